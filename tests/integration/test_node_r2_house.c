/* Buckets' house-keeping through real node processes: sweeping while clients are at work, counting
 * in several steps, buckets that are deleted with uploads and mutations under way, a home that
 * falls silent within a body, full disks.
 *
 * The program starts itself again as `test_node_r2_house --node FOLDER POP`; with one argument it
 * runs the tests of that pattern. */
#include "node/s3/sigv4.h"
#include "tests/support/nodes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    POPS = 2,
    HOME = 0,
    AWAY = 1,
    LARGE = 64 << 10, /* a blob */
    SMALL = 12 << 10  /* within the record */
};

#define KEY_ID "0123456789abcdef0123456789abcdef"
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define REST "/client/v4/accounts/a/r2/buckets"

static const char *const codes[POPS] = {"ams", "fra"};

/* ---- the cluster ---- */

static int set_up(void **state)
{
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)snprintf(cs.s3_key_id, sizeof cs.s3_key_id, "%s", KEY_ID);
    (void)snprintf(cs.s3_secret, sizeof cs.s3_secret, "%s", SECRET);
    cs.cluster.no_write_limit = true;
    add_store(&cs, "FILES", PS_STORE_R2, "")->policy.timeout_ns = DEADLINE_S * PS_SECOND;
    (void)add_store(&cs, "CACHE", PS_STORE_KV, "");
    (void)add_store(&cs, "DB", PS_STORE_D1, "");
    add_store(&cs, "LIMITED", PS_STORE_R2, "")->kv.write_interval_ns = PS_DAY;
    cluster_start(cluster, &cs, 1000);
    *state = cluster;
    return 0;
}

/* As set_up, but little time passes until what nothing refers to goes. */
static int set_up_tidy(void **state)
{
    (void)setenv(NODES_BLOB_HOLD, "2000", 1);
    (void)setenv(NODES_SWEEP_EVERY, "5", 1);
    return set_up(state);
}

/* ... or until silence is noticed. */
static int set_up_hasty(void **state)
{
    (void)setenv(NODES_PEER_SILENT, "1500", 1);
    return set_up(state);
}

static int tear_down(void **state)
{
    (void)unsetenv(NODES_BLOB_HOLD);
    (void)unsetenv(NODES_SWEEP_EVERY);
    (void)unsetenv(NODES_PEER_SILENT);
    return cluster_tear_down(state);
}

/* Stop all nodes well, and let so much time pass that versions and uploads of before are old. */
static void sleep_for_days(struct cluster *cluster)
{
    struct ps_cluster_state state;
    for (size_t i = 0; i < POPS; i++) {
        int status;
        assert_int_equal(kill(cluster->pids[i], SIGTERM), 0);
        assert_int_equal(waitpid(cluster->pids[i], &status, 0), cluster->pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        cluster->pids[i] = 0;
    }
    assert_int_equal(ps_cluster_state_load(cluster->folder, &state, NULL), PS_OK);
    uint64_t now_ns = mono_ns();
    state.timeline.base_ns = ps_timeline_at(&state.timeline, now_ns) + 2 * PS_DAY;
    state.timeline.origin_ns = now_ns;
    assert_int_equal(ps_cluster_state_save(cluster->folder, &state, NULL), PS_OK);
    ps_cluster_state_fini(&state);
    for (size_t i = 0; i < POPS; i++) {
        start_node(cluster, i);
    }
    for (size_t i = 0; i < POPS; i++) {
        wait_for_node(cluster, i);
    }
}

/* ---- files ---- */

struct names {
    char (*list)[256];
    size_t count;
    size_t capacity;
};

/* The files of a bucket's blobs, whole or not. */
static struct names blobs_of(const struct cluster *cluster, const char *store)
{
    char path[256];
    struct names names = {0};
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/%s", cluster->folder, codes[HOME], store);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            names.list = ps_grow(names.list, names.count, &names.capacity, sizeof *names.list);
            (void)snprintf(names.list[names.count++], sizeof *names.list, "%s", entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return names;
}

static size_t blob_count(const struct cluster *cluster, const char *store)
{
    struct names names = blobs_of(cluster, store);
    free(names.list);
    return names.count;
}

/* How many of these files are still there. */
static size_t left_of(const struct cluster *cluster, const struct names *names)
{
    size_t left = 0;
    for (size_t i = 0; i < names->count; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/FILES/%s", cluster->folder, codes[HOME],
                       names->list[i]);
        left += access(path, F_OK) == 0;
    }
    return left;
}

static bool log_says(const struct cluster *cluster, size_t pop, const char *text)
{
    char path[128];
    struct ps_buf log = {0};
    (void)snprintf(path, sizeof path, "%s/pop-%s.log", cluster->folder, codes[pop]);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got;
    do {
        ps_buf_reserve(&log, 65536);
        got = fread(log.data + log.size, 1, 65536, file);
        log.size += got;
    } while (got > 0);
    (void)fclose(file);
    bool says = strstr(ps_buf_text(&log), text) != NULL;
    ps_buf_fini(&log);
    return says;
}

/* ---- requests ---- */

/* A request whose answer is not read yet. */
struct asked {
    int fd;
    struct reply reply;
};

static struct asked ask_at(uint16_t port, const char *method, const char *target,
                           const char *headers, struct ps_slice first, struct ps_slice rest)
{
    struct asked asked = {.fd = dial(port), .reply = {.body = ""}};
    struct ps_buf head = {0};
    assert_true(asked.fd >= 0);
    ps_buf_printf(&head,
                  "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
                  method, target, first.size + rest.size, headers);
    assert_true(send_all(asked.fd, head.data, head.size));
    assert_true(send_all(asked.fd, first.data, first.size));
    assert_true(send_all(asked.fd, rest.data, rest.size));
    ps_buf_fini(&head);
    return asked;
}

/* A mutation by the binding. */
static struct asked ask_of(const struct cluster *cluster, size_t pop, const char *bucket,
                           const char *json, struct ps_slice value)
{
    char headers[96];
    (void)snprintf(headers, sizeof headers, "popsim-store: %s\r\nCF-R2-Metadata-Size: %zu\r\n",
                   bucket, strlen(json));
    return ask_at(cluster->ports[pop], "PUT", "/", headers, ps_slice_of(json), value);
}

static struct asked ask(const struct cluster *cluster, size_t pop, const char *json,
                        struct ps_slice value)
{
    return ask_of(cluster, pop, "FILES", json, value);
}

/* Its status; 0: the connection ended before. */
static int answer(struct asked *asked)
{
    read_to_end(asked->fd, &asked->reply.bytes);
    reply_parse(&asked->reply);
    (void)close(asked->fd);
    return asked->reply.status;
}

static int answered(struct asked asked)
{
    int status = answer(&asked);
    reply_fini(&asked.reply);
    return status;
}

/* Bytes by a number. */
static struct ps_buf value_of(uint64_t number, size_t size)
{
    struct ps_buf value = {0};
    ps_buf_reserve(&value, size);
    while (value.size < size) {
        char text[32];
        int got = snprintf(text, sizeof text, "%" PRIx64 ".", number + value.size);
        size_t left = size - value.size;
        ps_buf_append(&value, text, (size_t)got < left ? (size_t)got : left);
    }
    return value;
}

static struct asked ask_put(const struct cluster *cluster, size_t pop, const char *key,
                            const char *more, uint64_t number, size_t size)
{
    char json[256];
    struct ps_buf value = value_of(number, size);
    (void)snprintf(json, sizeof json, "{\"version\":1,\"method\":\"put\",\"object\":\"%s\"%s}", key,
                   more);
    struct asked asked = ask(cluster, pop, json, ps_buf_slice(&value));
    ps_buf_fini(&value);
    return asked;
}

static struct reply get(const struct cluster *cluster, size_t pop, const char *key)
{
    char headers[256];
    (void)snprintf(headers, sizeof headers,
                   "CF-R2-Request: {\"version\":1,\"method\":\"get\",\"object\":\"%s\"}\r\n", key);
    return call(cluster->ports[pop], "GET", "/", "FILES", headers, PS_LIT(""));
}

/* The head of a put, and half of its bytes. */
static struct asked begin_put(const struct cluster *cluster, size_t pop, const char *target,
                              const char *headers, const char *json, struct ps_slice half)
{
    struct asked asked = {.fd = dial(cluster->ports[pop]), .reply = {.body = ""}};
    struct ps_buf head = {0};
    assert_true(asked.fd >= 0);
    ps_buf_printf(&head,
                  "PUT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s"
                  "\r\n%s",
                  target, strlen(json) + 2 * half.size, headers, json);
    assert_true(send_all(asked.fd, head.data, head.size));
    assert_true(send_all(asked.fd, half.data, half.size));
    ps_buf_fini(&head);
    return asked;
}

static struct asked begin_object(const struct cluster *cluster, size_t pop, const char *key,
                                 struct ps_slice half)
{
    char json[96];
    char headers[96];
    (void)snprintf(json, sizeof json, "{\"version\":1,\"method\":\"put\",\"object\":\"%s\"}", key);
    (void)snprintf(headers, sizeof headers, "popsim-store: FILES\r\nCF-R2-Metadata-Size: %zu\r\n",
                   strlen(json));
    return begin_put(cluster, pop, "/", headers, json, half);
}

/* What a key must hold: the value of a number, or nothing (0). */
static void assert_holds(const struct cluster *cluster, size_t pop, const char *key,
                         uint64_t number, size_t size)
{
    struct reply reply = get(cluster, pop, key);
    uint64_t end_ns = mono_ns() + DEADLINE_S * UINT64_C(1000000000);
    while (reply.status == 503 && mono_ns() < end_ns) { /* on a busy machine home seems away */
        reply_fini(&reply);
        reply = get(cluster, pop, key);
    }
    assert_int_equal(reply.status, number == 0 ? 404 : 200);
    if (number != 0) {
        struct ps_buf value = value_of(number, size);
        int64_t json = header_number(&reply, "CF-R2-Metadata-Size");
        assert_int_equal(reply.body_size, (size_t)json + size);
        assert_memory_equal(reply.body + json, value.data, size);
        ps_buf_fini(&value);
    }
    reply_fini(&reply);
}

static bool page_says(const struct cluster *cluster, size_t pop, const char *target,
                      const char *text)
{
    struct reply reply = call(cluster->ports[pop], "GET", target, NULL, "", PS_LIT(""));
    bool says = reply.status == 200 && strstr(reply.body, text) != NULL;
    reply_fini(&reply);
    return says;
}

/* ---- sweeping under load ---- */

enum { KEYS = 12, OLD_KEYS = 6, OLD_ROUNDS = 3, BATCH = 8, BATCHES_MIN = 25 };

struct load {
    struct cluster *cluster;
    struct ps_rng rng;
    uint64_t numbers;
    uint64_t held[KEYS]; /* what each key holds */
    size_t referred;     /* blobs that versions and uploads refer to: none of them is old */
    size_t refused;
};

static const char *name_of(size_t key, char ret[16])
{
    (void)snprintf(ret, 16, "key-%zu", key);
    return ret;
}

/* A blob was swept before its mutation came: on a machine that was busy for so long. */
static bool is_too_late(const struct reply *reply)
{
    return reply->status == 500 && strstr(reply->bytes.data, "is not there any more") != NULL;
}

static void put_one_per_key(struct load *load, struct asked asked[BATCH], uint64_t numbers[BATCH])
{
    for (size_t i = 0; i < BATCH; i++) {
        char key[16];
        numbers[i] = ++load->numbers << 20;
        asked[i] = ask_put(load->cluster, ps_rng_below(&load->rng, POPS), name_of(i, key), "",
                           numbers[i], LARGE);
    }
}

/* Puts of different keys at once, half of them overwrites; one connection breaks off; one put is
 * refused when its blob is there. */
static void put_batch(struct load *load)
{
    struct asked asked[BATCH];
    uint64_t numbers[BATCH];
    struct ps_buf value = value_of(1, LARGE);
    struct asked broken =
        begin_object(load->cluster, ps_rng_below(&load->rng, POPS), "never", ps_buf_slice(&value));
    put_one_per_key(load, asked, numbers);
    (void)close(broken.fd);
    struct asked refused = ask_put(
        load->cluster, ps_rng_below(&load->rng, POPS), "never",
        ",\"onlyIf\":{\"etagMatches\":[{\"value\":\"none\",\"type\":\"strong\"}]}", 1, LARGE);
    for (size_t i = 0; i < BATCH; i++) {
        int status = answer(&asked[i]);
        if (!is_too_late(&asked[i].reply)) {
            assert_int_equal(status, 200);
            load->held[i] = numbers[i];
            load->referred++;
        }
        reply_fini(&asked[i].reply);
    }
    int status = answer(&refused);
    assert_true(status == 412 || is_too_late(&refused.reply));
    load->refused++;
    reply_fini(&refused.reply);
    ps_buf_fini(&value);
}

static struct ps_buf text_of(struct asked asked, const char *name)
{
    struct ps_buf text = {0};
    char begin[32];
    int status = answer(&asked);
    (void)snprintf(begin, sizeof begin, "\"%s\":\"", name);
    const char *at = status == 200 ? strstr(asked.reply.body, begin) : NULL;
    if (at == NULL) {
        assert_true(is_too_late(&asked.reply));
    } else {
        at += strlen(begin);
        ps_buf_append(&text, at, strcspn(at, "\""));
    }
    (void)ps_buf_text(&text);
    reply_fini(&asked.reply);
    return text;
}

/* Of one part, which may be as small as it likes; completed, aborted or left. */
static void upload(struct load *load, size_t key, unsigned end)
{
    char json[512];
    char name[16];
    struct cluster *cluster = load->cluster;
    size_t pop = ps_rng_below(&load->rng, POPS);
    uint64_t number = ++load->numbers << 20;
    struct ps_buf value = value_of(number, LARGE);
    (void)snprintf(json, sizeof json,
                   "{\"version\":1,\"method\":\"createMultipartUpload\",\"object\":\"%s\"}",
                   name_of(key, name));
    struct ps_buf id = text_of(ask(cluster, pop, json, PS_LIT("")), "uploadId");
    (void)snprintf(json, sizeof json,
                   "{\"version\":1,\"method\":\"uploadPart\",\"object\":\"%s\",\"uploadId\":\"%s\","
                   "\"partNumber\":1}",
                   name, id.data);
    struct ps_buf etag = text_of(ask(cluster, pop, json, ps_buf_slice(&value)), "etag");
    if (etag.size > 0) {
        load->referred++;
        (void)snprintf(json, sizeof json,
                       "{\"version\":1,\"method\":\"%s\",\"object\":\"%s\",\"uploadId\":\"%s\""
                       ",\"parts\":[{\"part\":1,\"etag\":\"%s\"}]}",
                       end == 0 ? "completeMultipartUpload" : "abortMultipartUpload", name, id.data,
                       etag.data);
        if (end < 2) {
            assert_int_equal(answered(ask(cluster, pop, json, PS_LIT(""))), 200);
            load->held[key] = end == 0 ? number : load->held[key];
        }
    }
    ps_buf_fini(&value);
    ps_buf_fini(&id);
    ps_buf_fini(&etag);
}

static void delete_key(struct load *load, size_t key)
{
    char json[128];
    char name[16];
    (void)snprintf(json, sizeof json, "{\"version\":1,\"method\":\"delete\",\"object\":\"%s\"}",
                   name_of(key, name));
    assert_int_equal(answered(ask(load->cluster, ps_rng_below(&load->rng, POPS), json, PS_LIT(""))),
                     200);
    load->held[key] = 0;
}

static void read_all(const struct load *load)
{
    for (size_t key = 0; key < KEYS; key++) {
        char name[16];
        for (size_t pop = 0; pop < POPS; pop++) {
            assert_holds(load->cluster, pop, name_of(key, name), load->held[key], LARGE);
        }
    }
}

/* Objects of before whose overwritten versions are old, and an upload that is still under way.
 * Returns how many of their blobs are to stay. */
static size_t make_old(struct load *load)
{
    for (uint64_t round = 0; round < OLD_ROUNDS; round++) {
        for (size_t i = 0; i < OLD_KEYS; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "old-%zu", i);
            assert_int_equal(
                answered(ask_put(load->cluster, i % POPS, key, "", (round + 1) << 20, LARGE)), 200);
        }
    }
    upload(load, 0, 2);
    load->referred = 0;
    return OLD_KEYS + 1;
}

/* Home sweeps all the time while clients put, overwrite, delete, upload in parts, break off. No
 * blob goes that something refers to, and in the end no other is there. */
static void test_swept_under_load(void **state)
{
    struct load load = {.cluster = *state, .rng = {.seed = 3}};
    size_t kept = make_old(&load);
    struct names old = blobs_of(load.cluster, "FILES");
    assert_int_equal(old.count, OLD_ROUNDS * OLD_KEYS + 1);
    sleep_for_days(load.cluster);
    struct ps_buf half = value_of(7, LARGE);
    struct asked slow[POPS];
    for (size_t pop = 0; pop < POPS; pop++) {
        slow[pop] = begin_object(load.cluster, pop, "slow", ps_buf_slice(&half));
    }
    uint64_t end_ns = mono_ns() + DEADLINE_S * UINT64_C(1000000000);
    for (size_t batch = 0; batch < BATCHES_MIN || left_of(load.cluster, &old) > kept; batch++) {
        assert_true(mono_ns() < end_ns);
        put_batch(&load);
        upload(&load, BATCH + batch % (KEYS - BATCH), (unsigned)ps_rng_below(&load.rng, 3));
        if (batch % 3 == 0) {
            delete_key(&load, ps_rng_below(&load.rng, KEYS));
        }
        read_all(&load);
    }
    for (size_t pop = 0; pop < POPS; pop++) {
        assert_true(send_all(slow[pop].fd, half.data, half.size));
        assert_int_equal(answered(slow[pop]), 200);
        load.referred++;
    }
    WAIT_FOR(blob_count(load.cluster, "FILES") == kept + load.referred);
    assert_int_equal(left_of(load.cluster, &old), kept);
    read_all(&load);
    for (size_t i = 0; i < OLD_KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "old-%zu", i);
        assert_holds(load.cluster, AWAY, key, OLD_ROUNDS << 20, LARGE);
    }
    struct reply reply = get(load.cluster, AWAY, "never");
    assert_int_equal(reply.status, 404);
    reply_fini(&reply);
    /* Still so after a start, which holds nothing. */
    kill_node(load.cluster, HOME);
    restart_node(load.cluster, HOME);
    read_all(&load);
    WAIT_FOR(page_says(load.cluster, HOME, "/popsim/state", "\"objects\":"));
    assert_int_equal(blob_count(load.cluster, "FILES"), kept + load.referred);
    print_message("%zu blobs are referred to, %zu puts were refused\n", load.referred,
                  load.refused);
    ps_buf_fini(&half);
    free(old.list);
}

/* ---- counting ---- */

/* More objects than one step counts. */
static void test_counted_in_steps(void **state)
{
    enum { OBJECTS = 1300, AT_ONCE = 50, DELETED = 1000 };

    struct cluster *cluster = *state;
    struct ps_buf json = {0};
    for (size_t i = 0; i < OBJECTS; i += AT_ONCE) {
        struct asked asked[AT_ONCE];
        for (size_t k = 0; k < AT_ONCE; k++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%05zu", i + k);
            asked[k] = ask_put(cluster, HOME, key, "", 1, 10);
        }
        for (size_t k = 0; k < AT_ONCE; k++) {
            assert_int_equal(answered(asked[k]), 200);
        }
    }
    WAIT_FOR(page_says(cluster, HOME, "/popsim/state", "\"objects\":1300,\"bytes\":13000"));
    ps_buf_append_text(&json, "{\"version\":1,\"method\":\"delete\",\"objects\":[");
    for (size_t i = 0; i < DELETED; i++) {
        ps_buf_printf(&json, "%s\"%05zu\"", i > 0 ? "," : "", i);
    }
    ps_buf_append_text(&json, "]}");
    assert_int_equal(answered(ask(cluster, AWAY, ps_buf_text(&json), PS_LIT(""))), 200);
    WAIT_FOR(page_says(cluster, HOME, "/popsim/state", "\"objects\":300,\"bytes\":3000"));
    ps_buf_fini(&json);
}

/* ---- buckets that are deleted ---- */

static void make_bucket(const struct cluster *cluster, const char *name, char ret_id[33])
{
    char body[64];
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    assert_int_equal(call_status(cluster->ports[HOME], "POST", REST, NULL, body), 200);
    WAIT_FOR(call_status(cluster->ports[AWAY], "GET", REST "/photos", NULL, "") == 200);
    /* The newest store: its id is in the state's list of stores. */
    struct reply reply = call(cluster->ports[HOME], "GET", "/popsim/state", NULL, "", PS_LIT(""));
    const char *at = strstr(reply.body, name);
    assert_non_null(at);
    while (at > reply.body && *at != '{') {
        at--;
    }
    const char *id = strstr(at, "\"name\":\"");
    assert_non_null(id);
    (void)snprintf(ret_id, 33, "%.32s", id + 8);
    reply_fini(&reply);
}

/* With uploads under way, of which one has sent nothing yet, and puts of one key that wait for each
 * other. */
static void test_deleted_under_way(void **state)
{
    enum { PUTS = 12, UPLOADS = 2 * POPS, LITTLE = 100 };

    struct cluster *cluster = *state;
    struct ps_buf half = value_of(1, LARGE);
    char id[33];
    char path[256];
    struct asked uploads[UPLOADS];
    struct asked puts[PUTS];
    make_bucket(cluster, "photos", id);
    for (size_t i = 0; i < UPLOADS; i++) {
        uploads[i] = begin_put(cluster, i % POPS, REST "/photos/objects/slow", "", "",
                               (struct ps_slice){half.data, i < POPS ? LARGE : LITTLE});
    }
    WAIT_FOR(blob_count(cluster, id) == POPS);
    struct asked deletion =
        ask_at(cluster->ports[HOME], "DELETE", REST "/photos", "", PS_LIT(""), PS_LIT(""));
    for (size_t i = 0; i < PUTS; i++) {
        puts[i] = ask_at(cluster->ports[i % POPS], "PUT", REST "/photos/objects/k", "", PS_LIT("x"),
                         PS_LIT(""));
    }
    int deleted = answered(deletion);
    for (size_t i = 0; i < PUTS; i++) {
        int status = answered(puts[i]);
        assert_true(status == 200 || (status == 404 && deleted == 200));
    }
    if (deleted != 200) { /* a put came first */
        assert_int_equal(deleted, 409);
        assert_int_equal(
            call_status(cluster->ports[HOME], "DELETE", REST "/photos/objects/k", NULL, ""), 200);
        assert_int_equal(call_status(cluster->ports[HOME], "DELETE", REST "/photos", NULL, ""),
                         200);
    }
    for (size_t i = 0; i < UPLOADS; i++) {
        (void)send_all(uploads[i].fd, half.data, i < POPS ? LARGE : LITTLE);
        assert_int_equal(answer(&uploads[i]), 404);
        assert_non_null(strstr(uploads[i].reply.body, "10006"));
        reply_fini(&uploads[i].reply);
    }
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/%s", cluster->folder, codes[HOME], id);
    WAIT_FOR(access(path, F_OK) != 0);
    /* Killed just before its blobs went: they go at the start, but none that nobody dropped. */
    const char *const folders[] = {id, "FILES", "0123456789abcdef0123456789abcdef"};
    kill_node(cluster, HOME);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/%s", cluster->folder, codes[HOME],
                       folders[i]);
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
    restart_node(cluster, HOME);
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/%s", cluster->folder, codes[HOME], id);
    WAIT_FOR(access(path, F_OK) != 0);
    for (size_t i = 1; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/%s", cluster->folder, codes[HOME],
                       folders[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    /* Another one of that name is empty, and serves. */
    make_bucket(cluster, "photos", id);
    for (size_t pop = 0; pop < POPS; pop++) {
        assert_int_equal(
            call_status(cluster->ports[pop], "GET", REST "/photos/objects/k", NULL, ""),
            pop == 0 ? 404 : 200);
        assert_int_equal(
            call_status(cluster->ports[pop], "PUT", REST "/photos/objects/k", NULL, "y"), 200);
    }
    ps_buf_fini(&half);
}

/* ---- a home that falls silent ---- */

static void test_silent_within_bodies(void **state)
{
    enum { BODY = 8 << 20, LONG = 32 << 20 };

    struct cluster *cluster = *state;
    struct ps_buf half = value_of(1, BODY / 2);
    struct ps_buf some = {0};
    assert_int_equal(answered(ask_put(cluster, AWAY, "large", "", 9, LONG)), 200);

    /* Up: it takes no more, or says nothing in the end. */
    for (size_t way = 0; way < 2; way++) {
        struct asked asked =
            begin_put(cluster, AWAY, REST "/FILES/objects/k", "", "", ps_buf_slice(&half));
        WAIT_FOR(blob_count(cluster, "FILES") == 2);
        assert_int_equal(kill(cluster->pids[HOME], SIGSTOP), 0);
        assert_true(send_all(asked.fd, half.data, way == 0 ? half.size : 1000));
        if (way == 1) {
            (void)shutdown(asked.fd, SHUT_WR); /* the client goes: nothing is left either */
            (void)answer(&asked);
        } else {
            assert_int_equal(answer(&asked), 503);
            assert_non_null(strstr(asked.reply.body, "10043"));
        }
        reply_fini(&asked.reply);
        assert_int_equal(kill(cluster->pids[HOME], SIGCONT), 0);
        WAIT_FOR(blob_count(cluster, "FILES") == 1);
    }

    /* Down: the answer breaks off, and is not taken for whole. */
    int fd = dial(cluster->ports[AWAY]);
    static const char head[] = "GET " REST "/FILES/objects/large HTTP/1.1\r\nHost: x\r\n"
                               "Connection: close\r\n\r\n";
    assert_true(send_all(fd, head, sizeof head - 1));
    char bytes[4096];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    assert_true(got > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0);
    assert_int_equal(kill(cluster->pids[HOME], SIGSTOP), 0);
    read_to_end(fd, &some);
    assert_true((size_t)got + some.size < LONG);
    (void)close(fd);
    assert_int_equal(kill(cluster->pids[HOME], SIGCONT), 0);
    assert_holds(cluster, AWAY, "large", 9, LONG);
    assert_int_equal(answered(ask_put(cluster, AWAY, "k", "", 3, BODY)), 200);
    assert_holds(cluster, HOME, "k", 3, BODY);
    ps_buf_fini(&half);
    ps_buf_fini(&some);
}

/* ---- a full disk ---- */

/* As if home's disk had no room left: its map cannot grow, and no file be larger than that. */
static void set_room(const struct cluster *cluster, bool room)
{
    char path[256];
    struct stat file;
    (void)snprintf(path, sizeof path, "%s/pop-%s/map/data.mdb", cluster->folder, codes[HOME]);
    assert_int_equal(stat(path, &file), 0);
    const struct rlimit limit = {room ? RLIM_INFINITY : (rlim_t)file.st_size, RLIM_INFINITY};
    assert_int_equal(prlimit(cluster->pids[HOME], RLIMIT_FSIZE, &limit, NULL), 0);
}

/* Does home's log name the disk? */
static bool names_map(const struct cluster *cluster)
{
    char text[256];
    (void)snprintf(text, sizeof text, "records are not written: %s/pop-%s/map: ", cluster->folder,
                   codes[HOME]);
    return log_says(cluster, HOME, text);
}

static uint16_t s3_port(const struct cluster *cluster, size_t pop)
{
    char path[256];
    unsigned port = 0;
    (void)snprintf(path, sizeof path, "%s/pop-%s/node.json", cluster->folder, codes[pop]);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "{\"pid\":%*d,\"port\":%*u,\"s3_port\":%u", &port), 1);
    (void)fclose(file);
    return (uint16_t)port;
}

enum form { BINDING, S3, REST_API, FORMS };

/* Put "k" of a bucket, by each of the three protocols. */
static struct asked put_by(const struct cluster *cluster, size_t pop, enum form form,
                           const char *bucket, struct ps_slice value)
{
    char target[64];
    const struct ps_s3_signer signer = {.key_id = PS_LIT(KEY_ID),
                                        .secret = PS_LIT(SECRET),
                                        .region = PS_LIT("auto"),
                                        .unix_s = time(NULL)};
    if (form == BINDING) {
        return ask_of(cluster, pop, bucket, "{\"version\":1,\"method\":\"put\",\"object\":\"k\"}",
                      value);
    }
    if (form == REST_API) {
        (void)snprintf(target, sizeof target, REST "/%s/objects/k", bucket);
        return ask_at(cluster->ports[pop], "PUT", target, "", value, PS_LIT(""));
    }
    (void)snprintf(target, sizeof target, "/%s/k", bucket);
    for (char *c = target; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c); /* as the S3 API knows it */
    }
    struct ps_buf presigned = {0};
    ps_s3_presign(&signer, "PUT", PS_LIT("x"), ps_slice_of(target), 60, &presigned);
    struct asked asked =
        ask_at(s3_port(cluster, pop), "PUT", ps_buf_text(&presigned), "", value, PS_LIT(""));
    ps_buf_fini(&presigned);
    return asked;
}

#define FULL_TEXT "The disk of the bucket&apos;s home has no room left: nothing was changed."

static const char *const full_texts[FORMS] = {
    [BINDING] = "CF-R2-Error: {\"version\":1,\"v4code\":10001,\"message\":\"The disk of the "
                "bucket's home has no room left: nothing was changed.\"}",
    [S3] = "<Code>InsufficientStorage</Code><Message>" FULL_TEXT "</Message>",
    [REST_API] = "{\"code\":10001,\"message\":\"The disk of the bucket's home has no room left: "
                 "nothing was changed.\"}"};

/* Puts until one finds no room. */
static bool finds_no_room(const struct cluster *cluster, size_t pop, enum form form, size_t size)
{
    struct ps_buf value = value_of(5, size);
    struct asked asked = put_by(cluster, pop, form, "FILES", ps_buf_slice(&value));
    int status = answer(&asked);
    if (status != 200) {
        assert_int_equal(status, 507);
        assert_non_null(strstr(asked.reply.bytes.data, full_texts[form]));
    }
    reply_fini(&asked.reply);
    ps_buf_fini(&value);
    return status == 507;
}

/* Objects, small and large, by each protocol at each PoP. */
static void test_full_disk(void **state)
{
    enum { HUGE = 32 << 20 };

    struct cluster *cluster = *state;
    assert_int_equal(answered(ask_put(cluster, AWAY, "before", "", 1, LARGE)), 200);
    set_room(cluster, false);
    for (size_t pop = 0; pop < POPS; pop++) {
        for (enum form form = BINDING; form < FORMS; form++) {
            assert_true(finds_no_room(cluster, pop, form, HUGE));
            WAIT_FOR(finds_no_room(cluster, pop, form, SMALL));
        }
        assert_holds(cluster, pop, "before", 1, LARGE);
    }
    assert_int_equal(blob_count(cluster, "FILES"), 1);
    assert_true(names_map(cluster));
    assert_true(log_says(cluster, HOME, "FILES: an upload failed: write "));
    set_room(cluster, true);
    for (size_t pop = 0; pop < POPS; pop++) {
        assert_int_equal(answered(ask_put(cluster, pop, "k", "", pop + 1, LARGE)), 200);
        assert_holds(cluster, HOME, "k", pop + 1, LARGE);
        assert_int_equal(answered(ask_put(cluster, pop, "k", "", pop + 1, SMALL)), 200);
        assert_holds(cluster, AWAY, "k", pop + 1, SMALL);
    }
    assert_int_equal(blob_count(cluster, "FILES"), 3);
}

static bool d1_is_full(const struct cluster *cluster, size_t pop)
{
    struct ps_buf json = {0};
    struct ps_buf value = value_of(5, SMALL);
    ps_buf_printf(&json, "{\"sql\":\"INSERT INTO t VALUES ('%s')\"}", ps_buf_text(&value));
    struct reply reply = call(cluster->ports[pop], "POST", "/query", "DB",
                              "Content-Type: application/json\r\n", ps_buf_slice(&json));
    bool full = strstr(reply.body, "database or disk is full") != NULL;
    assert_true(full || reply.status == 200);
    ps_buf_fini(&json);
    ps_buf_fini(&value);
    reply_fini(&reply);
    return full;
}

/* A database's rows. */
static void test_full_disk_of_a_database(void **state)
{
    struct cluster *cluster = *state;
    static const char make[] = "{\"sql\":\"CREATE TABLE t (a TEXT)\"}";
    static const char count[] = "{\"sql\":\"SELECT count(*) FROM t\"}";
    assert_int_equal(call_status(cluster->ports[HOME], "POST", "/query", "DB", make), 200);
    set_room(cluster, false);
    for (size_t pop = 0; pop < POPS; pop++) {
        WAIT_FOR(d1_is_full(cluster, pop));
        assert_int_equal(call_status(cluster->ports[pop], "POST", "/query", "DB", count), 200);
    }
    assert_true(names_map(cluster));
    set_room(cluster, true);
    for (size_t pop = 0; pop < POPS; pop++) {
        assert_false(d1_is_full(cluster, pop));
    }
}

/* ---- the write limit ---- */

#define LIMIT_TEXT "Reduce your concurrent request rate for the same object."

static const char *const limit_texts[FORMS] = {
    [BINDING] = "CF-R2-Error: {\"version\":1,\"v4code\":10058,\"message\":\"" LIMIT_TEXT "\"}",
    [S3] = "<Code>TooManyRequests</Code><Message>" LIMIT_TEXT "</Message>",
    [REST_API] = "{\"code\":10058,\"message\":\"" LIMIT_TEXT "\"}"};

/* A key's second write is refused in each protocol's words, with a small body and with a large
 * one, of which nothing is left. */
static void test_write_limit(void **state)
{
    struct cluster *cluster = *state;
    struct ps_buf value = value_of(1, LARGE);
    assert_int_equal(answered(put_by(cluster, AWAY, S3, "LIMITED", PS_LIT("first"))), 200);
    for (size_t pop = 0; pop < POPS; pop++) {
        for (enum form form = BINDING; form < FORMS; form++) {
            for (size_t size = 5; size <= LARGE; size += LARGE - 5) {
                struct asked asked =
                    put_by(cluster, pop, form, "LIMITED", (struct ps_slice){value.data, size});
                assert_int_equal(answer(&asked), 429);
                assert_non_null(strstr(asked.reply.bytes.data, limit_texts[form]));
                reply_fini(&asked.reply);
            }
        }
    }
    WAIT_FOR(blob_count(cluster, "LIMITED") == 0);
    ps_buf_fini(&value);
}

int main(int argc, char **argv)
{
    int ret;
    if (nodes_become(argc, argv, &ret)) {
        return ret;
    }
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define TEST_TIDY(function) cmocka_unit_test_setup_teardown(function, set_up_tidy, tear_down)
#define TEST_HASTY(function) cmocka_unit_test_setup_teardown(function, set_up_hasty, tear_down)
    const struct CMUnitTest tests[] = {TEST_TIDY(test_swept_under_load),
                                       TEST(test_counted_in_steps),
                                       TEST(test_deleted_under_way),
                                       TEST_HASTY(test_silent_within_bodies),
                                       TEST(test_full_disk),
                                       TEST(test_full_disk_of_a_database),
                                       TEST_TIDY(test_write_limit)};
    return cmocka_run_group_tests_name("node_r2_house", tests, NULL, NULL);
}
