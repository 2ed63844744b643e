/* Bodies of objects through real node processes: in and out of home, and through a PoP that is not
 * home; broken off, refused, with slow clients and full disks; home and PoPs killed meanwhile
 * (PS_BLOB_KILL_ROUNDS=200 for the long form).
 *
 * The program starts itself again as `test_node_blobs --node FOLDER POP`. */
#include "node/r2/request.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/feed/transport.h"
#include "replication/wire/message.h"
#include "tests/support/nodes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { POPS = 2, HOME = 0, AWAY = 1, PIECE = 64 << 10, KILL_ROUNDS = 4 };

#define MIB ((uint64_t)1 << 20)
#define BIG (256 * MIB)
#define GROWTH_MAX_KB (64 << 10)
#define TOKEN "Authorization: Bearer secret\r\n"

/* Under AddressSanitizer what was freed is kept, to find its use. */
#if defined __SANITIZE_ADDRESS__
#define MEMORY_IS_MEANINGFUL false
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_IS_MEANINGFUL false
#endif
#endif
#ifndef MEMORY_IS_MEANINGFUL
#define MEMORY_IS_MEANINGFUL true
#endif

static const char *const codes[POPS] = {"ams", "sin"};

/* Of the test that runs: set_up begins them anew. */
static char piece[PIECE];
static uint64_t last_id;

/* ---- the cluster ---- */

static int set_up(void **state)
{
    struct ps_rng rng = {.seed = 11};
    last_id = 0;
    for (size_t i = 0; i < PIECE; i += 8) {
        uint64_t word = ps_rng_u64(&rng);
        memcpy(piece + i, &word, 8);
    }
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)snprintf(cs.token, sizeof cs.token, "secret");
    (void)add_store(&cs, "ASSETS", PS_STORE_R2, "");
    struct ps_store *store;
    assert_int_equal(
        ps_cluster_add_store(&cs.cluster, PS_LIT("CACHE"), PS_STORE_KV, PS_LIT(""), &store, NULL),
        PS_OK);
    cluster_start(cluster, &cs, 1000);
    *state = cluster;
    return 0;
}

/* The most memory that it has had, in KiB. */
static long peak_kb(const struct cluster *cluster, size_t i)
{
    char path[64];
    char line[256];
    long kb = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)cluster->pids[i]);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (kb < 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmHWM: %ld", &kb);
    }
    (void)fclose(file);
    assert_true(kb > 0);
    return kb;
}

struct peaks {
    long kb[POPS];
};

static struct peaks peaks_of(const struct cluster *cluster)
{
    struct peaks peaks;
    for (size_t i = 0; i < POPS; i++) {
        peaks.kb[i] = peak_kb(cluster, i);
    }
    return peaks;
}

static void assert_little_growth(const struct cluster *cluster, struct peaks before)
{
    for (size_t i = 0; i < POPS && MEMORY_IS_MEANINGFUL; i++) {
        long growth_kb = peak_kb(cluster, i) - before.kb[i];
        print_message("%s: grew by %ld KiB\n", codes[i], growth_kb);
        assert_true(growth_kb < GROWTH_MAX_KB);
    }
}

/* Blobs at home; *ret_temporary: files that are none yet. */
static size_t blobs(const struct cluster *cluster, size_t *ret_temporary)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/ASSETS", cluster->folder, codes[HOME]);
    DIR *folder = opendir(path);
    size_t count = 0;
    *ret_temporary = 0;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        bool temporary = strstr(entry->d_name, ".tmp") != NULL;
        *ret_temporary += temporary;
        count += entry->d_name[0] != '.' && !temporary;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

static bool is_left(const struct cluster *cluster, size_t count)
{
    size_t temporary;
    return blobs(cluster, &temporary) == count && temporary == 0;
}

/* ---- HTTP ---- */

struct client {
    struct ps_buf in; /* the head, and what came of the body with it */
    uint64_t body_size;
    size_t body; /* where it begins */
    int status;
    int fd;
};

static void client_open(struct client *client, uint16_t port)
{
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = DEADLINE_S};
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static void client_close(struct client *client)
{
    (void)close(client->fd);
    ps_buf_fini(&client->in);
}

static bool client_send(const struct client *client, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* False: the connection ended. */
static bool client_more(struct client *client)
{
    ps_buf_reserve(&client->in, PIECE);
    ssize_t got = recv(client->fd, client->in.data + client->in.size, PIECE, 0);
    client->in.size += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* Read a final answer's head; status 0 when the connection ended before it. */
static void client_head(struct client *client)
{
    client->status = 0;
    client->in.size = 0;
    for (;;) {
        const char *text = ps_buf_text(&client->in);
        const char *end = strstr(text, "\r\n\r\n");
        if (end != NULL && strncmp(text, "HTTP/1.1 100", 12) == 0) {
            client->in.size -= (size_t)(end + 4 - text);
            memmove(client->in.data, end + 4, client->in.size);
            continue;
        }
        if (end != NULL) {
            const char *size = strcasestr(text, "\r\nContent-Length: ");
            client->status = atoi(text + 9);
            client->body_size = size == NULL || size > end ? 0 : strtoull(size + 18, NULL, 10);
            client->body = (size_t)(end + 4 - text);
            return;
        }
        if (!client_more(client)) {
            return;
        }
    }
}

/* The rest of a small answer's body. */
static const char *client_body(struct client *client)
{
    while (client->in.size - client->body < client->body_size && client_more(client)) {
    }
    return ps_buf_text(&client->in) + client->body;
}

static void put_head(const struct client *client, const char *id, bool chunked, uint64_t size,
                     const char *headers)
{
    struct ps_buf head = {0};
    ps_buf_printf(&head, "PUT /popsim/blobs/ASSETS/%s HTTP/1.1\r\nHost: x\r\n%s", id, headers);
    if (chunked) {
        ps_buf_append_text(&head, "Transfer-Encoding: chunked\r\n\r\n");
    } else {
        ps_buf_printf(&head, "Content-Length: %" PRIu64 "\r\n\r\n", size);
    }
    (void)client_send(client, head.data, head.size);
    ps_buf_fini(&head);
}

/* A body is the piece again and again, each time with its number in front. */
static void fill_piece(uint64_t number)
{
    memcpy(piece, &number, sizeof number);
}

/* Returns false when the connection broke. */
static bool put_bytes(const struct client *client, bool chunked, uint64_t from, uint64_t until)
{
    bool goes = true;
    for (uint64_t at = from; at < until && goes; at += PIECE) {
        uint64_t size = until - at < PIECE ? until - at : PIECE;
        char line[32];
        fill_piece(at / PIECE);
        if (chunked) {
            int line_size = snprintf(line, sizeof line, "%" PRIx64 "\r\n", size);
            goes = client_send(client, line, (size_t)line_size);
        }
        goes = goes && client_send(client, piece, (size_t)size);
        goes = goes && (!chunked || client_send(client, "\r\n", 2));
    }
    return goes;
}

static void new_id(char ret[33])
{
    (void)snprintf(ret, 33, "%032" PRIx64, ++last_id);
}

/* Put a whole blob; its status. The MD5 that was told, if ret_md5 is given. */
static int put_blob(struct cluster *cluster, size_t pop, const char *id, bool chunked,
                    uint64_t size, char ret_md5[33])
{
    struct client client;
    client_open(&client, cluster->ports[pop]);
    put_head(&client, id, chunked, size, TOKEN);
    if (put_bytes(&client, chunked, 0, size) && chunked) {
        (void)client_send(&client, "0\r\n\r\n", 5);
    }
    client_head(&client);
    const char *body = client.status == 0 ? "" : client_body(&client);
    const char *md5 = strstr(body, "\"0\":\"");
    if (ret_md5 != NULL) {
        (void)snprintf(ret_md5, 33, "%.32s", md5 == NULL ? "" : md5 + 5);
    }
    int status = client.status;
    client_close(&client);
    return status;
}

static void ask(const struct client *client, const char *method, const char *id,
                const char *headers)
{
    struct ps_buf head = {0};
    ps_buf_printf(&head, "%s /popsim/blobs/ASSETS/%s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, id,
                  headers);
    assert_true(client_send(client, head.data, head.size));
    ps_buf_fini(&head);
}

/* Compare the answer's body with the blob's bytes from `offset` on, up to `until`. */
static bool body_is(struct client *client, uint64_t offset, uint64_t until)
{
    uint64_t at = offset;
    size_t in = client->body;
    while (at < until) {
        while (in < client->in.size && at < until) {
            size_t within = (size_t)(at % PIECE);
            size_t size = PIECE - within;
            size = size < client->in.size - in ? size : client->in.size - in;
            size = size < until - at ? size : (size_t)(until - at);
            fill_piece(at / PIECE);
            if (memcmp(client->in.data + in, piece + within, size) != 0) {
                return false;
            }
            in += size;
            at += size;
        }
        if (at < until) {
            client->in.size = 0;
            in = 0;
            if (!client_more(client)) {
                return false;
            }
        }
    }
    client->body = in;
    return true;
}

static bool blob_is(struct cluster *cluster, size_t pop, const char *id, uint64_t size)
{
    struct client client;
    client_open(&client, cluster->ports[pop]);
    ask(&client, "GET", id, TOKEN);
    client_head(&client);
    bool same = client.status == 200 && client.body_size == size && body_is(&client, 0, size) &&
                client.body == client.in.size;
    client_close(&client);
    return same;
}

static int status_of(struct cluster *cluster, size_t pop, const char *method, const char *id,
                     const char *headers)
{
    struct client client;
    client_open(&client, cluster->ports[pop]);
    ask(&client, method, id, headers);
    client_head(&client);
    int status = client.status;
    client_close(&client);
    return status;
}

static void md5_of(uint64_t size, char ret[33])
{
    struct ps_r2_digest *digest = ps_r2_digest_create(PS_R2_HASH_BIT(PS_R2_MD5));
    struct ps_r2_checksums sums;
    struct ps_buf hex = {0};
    for (uint64_t at = 0; at < size; at += PIECE) {
        fill_piece(at / PIECE);
        ps_r2_digest_update(digest,
                            (struct ps_slice){piece, size - at < PIECE ? size - at : PIECE});
    }
    ps_r2_digest_finish(digest, &sums);
    ps_r2_digest_destroy(digest);
    ps_r2_hex(&hex, ps_r2_checksums_get(&sums, PS_R2_MD5));
    (void)snprintf(ret, 33, "%s", ps_buf_text(&hex));
    ps_buf_fini(&hex);
}

/* ---- tests ---- */

/* 256 MiB through a PoP that is not home, up and down, in little memory at both. */
static void test_big_blobs_in_little_memory(void **state)
{
    struct cluster *cluster = *state;
    struct peaks before = peaks_of(cluster);
    char wanted[33];
    char id[33];
    char md5[33];
    md5_of(BIG, wanted);
    for (size_t pop = 0; pop < POPS; pop++) {
        new_id(id);
        assert_int_equal(put_blob(cluster, pop, id, pop == HOME, BIG, md5), 200);
        assert_string_equal(md5, wanted);
        assert_true(blob_is(cluster, HOME, id, BIG));
        assert_true(blob_is(cluster, AWAY, id, BIG));
    }
    assert_little_growth(cluster, before);
    assert_true(is_left(cluster, 2));
}

static void test_sizes_and_framings(void **state)
{
    static const uint64_t sizes[] = {0, 1, PIECE - 1, 3 * PIECE + 5, 5 * MIB};

    struct cluster *cluster = *state;
    size_t count = 0;
    char id[33];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t way = 0; way < 4; way++) {
            new_id(id);
            assert_int_equal(put_blob(cluster, way % 2, id, way / 2 == 1, sizes[i], NULL), 200);
            assert_true(blob_is(cluster, HOME, id, sizes[i]));
            assert_true(blob_is(cluster, AWAY, id, sizes[i]));
            count++;
        }
    }
    assert_true(is_left(cluster, count));
}

/* Requests on one connection, one behind the other, with bodies between them that come in pieces.
 */
static void test_pipelined(void **state)
{
    struct cluster *cluster = *state;
    char first[33];
    new_id(first);
    assert_int_equal(put_blob(cluster, HOME, first, false, 3 * PIECE, NULL), 200);
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client;
        char ids[3][33];
        client_open(&client, cluster->ports[pop]);
        for (size_t i = 0; i < 3; i++) {
            new_id(ids[i]);
            put_head(&client, ids[i], i == 1, 3 * PIECE, TOKEN "Expect: 100-continue\r\n");
            assert_true(put_bytes(&client, i == 1, 0, 3 * PIECE));
            assert_true(i != 1 || client_send(&client, "0\r\n\r\n", 5));
        }
        for (size_t i = 0; i < 3; i++) {
            ask(&client, "GET", first, TOKEN);
        }
        size_t answers = 0;
        while (answers < 6 && client_more(&client)) {
            answers = 0;
            const char *end = ps_buf_text(&client.in) + client.in.size;
            for (const char *at = client.in.data; at < end; at++) {
                at = memmem(at, (size_t)(end - at), "HTTP/1.1 200 OK", 15);
                if (at == NULL) {
                    break;
                }
                answers++;
            }
        }
        assert_int_equal(answers, 6);
        client_close(&client);
        for (size_t i = 0; i < 3; i++) {
            assert_true(blob_is(cluster, AWAY, ids[i], 3 * PIECE));
        }
    }
}

static void test_ranges_and_errors(void **state)
{
    struct cluster *cluster = *state;
    char id[33];
    char other[33];
    new_id(id);
    new_id(other);
    assert_int_equal(put_blob(cluster, AWAY, id, true, MIB, NULL), 200);

    static const struct {
        const char *range;
        int status;
        uint64_t offset;
        uint64_t until;
    } cases[] = {{"bytes=0-0", 206, 0, 1},
                 {"bytes=65530-140000", 206, 65530, 140001},
                 {"bytes=1048000-", 206, 1048000, 1048576},
                 {"bytes=1048576-", 416, 0, 0},
                 {"bytes=9-8", 400, 0, 0},
                 {"bytes=-5", 400, 0, 0},
                 {"bytes=18446744073709551615-18446744073709551616", 400, 0, 0}};

    for (size_t pop = 0; pop < POPS; pop++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct client client;
            char headers[160];
            (void)snprintf(headers, sizeof headers, TOKEN "Range: %s\r\n", cases[i].range);
            client_open(&client, cluster->ports[pop]);
            ask(&client, "GET", id, headers);
            client_head(&client);
            assert_int_equal(client.status, cases[i].status);
            if (cases[i].status == 206) {
                assert_int_equal(client.body_size, cases[i].until - cases[i].offset);
                assert_true(body_is(&client, cases[i].offset, cases[i].until));
            }
            client_close(&client);
        }
        assert_int_equal(status_of(cluster, pop, "GET", other, TOKEN), 404);
        assert_int_equal(status_of(cluster, pop, "GET", "no-id", TOKEN), 404);
        assert_int_equal(status_of(cluster, pop, "GET", id, ""), 401);
        assert_int_equal(status_of(cluster, pop, "POST", id, TOKEN), 405);
        assert_int_equal(put_blob(cluster, pop, id, false, 3 * MIB, NULL), 409);
        assert_true(blob_is(cluster, pop, id, MIB));
    }
    /* A refused body is read to its end, and the connection is used again. */
    struct client client;
    client_open(&client, cluster->ports[AWAY]);
    put_head(&client, other, false, 3 * MIB, "");
    assert_true(put_bytes(&client, false, 0, 3 * MIB));
    client_head(&client);
    assert_int_equal(client.status, 401);
    (void)client_body(&client);
    ask(&client, "GET", id, TOKEN);
    client_head(&client);
    assert_int_equal(client.status, 200);
    client_close(&client);
    assert_int_equal(status_of(cluster, AWAY, "DELETE", id, TOKEN), 405);
    assert_int_equal(status_of(cluster, HOME, "DELETE", id, TOKEN), 204);
    assert_int_equal(status_of(cluster, AWAY, "GET", id, TOKEN), 404);
    assert_true(is_left(cluster, 0));
}

static bool has_temporary(const struct cluster *cluster)
{
    size_t temporary;
    (void)blobs(cluster, &temporary);
    return temporary > 0;
}

/* The client goes, or says what is no HTTP, with a part of the body at home. */
static void test_broken_uploads_leave_nothing(void **state)
{
    struct cluster *cluster = *state;
    for (size_t way = 0; way < 6; way++) {
        size_t pop = way % 2;
        bool chunked = way >= 2;
        struct client client;
        char id[33];
        new_id(id);
        client_open(&client, cluster->ports[pop]);
        put_head(&client, id, chunked, 8 * MIB, TOKEN);
        assert_true(put_bytes(&client, chunked, 0, 4 * MIB));
        WAIT_FOR(has_temporary(cluster));
        if (way >= 4) {
            assert_true(client_send(&client, "nonsense\r\n", 10));
            client_head(&client);
            assert_int_equal(client.status, 400);
        }
        client_close(&client);
        WAIT_FOR(is_left(cluster, 0));
        assert_int_equal(status_of(cluster, pop, "GET", id, TOKEN), 404);
    }
}

/* Many clients that take little: home and the PoP wait for them in little memory, and for others as
 * before. */
static void test_slow_readers(void **state)
{
    enum { READERS = 24 };

    struct cluster *cluster = *state;
    struct client clients[READERS];
    char id[33];
    new_id(id);
    assert_int_equal(put_blob(cluster, HOME, id, false, 64 * MIB, NULL), 200);
    struct peaks before = peaks_of(cluster);
    for (size_t i = 0; i < READERS; i++) {
        client_open(&clients[i], cluster->ports[i % POPS]);
        ask(&clients[i], "GET", id, TOKEN);
        client_head(&clients[i]);
        assert_int_equal(clients[i].status, 200);
    }
    char small[33];
    new_id(small);
    assert_int_equal(put_blob(cluster, AWAY, small, false, MIB, NULL), 200);
    assert_true(blob_is(cluster, AWAY, small, MIB));
    assert_little_growth(cluster, before);
    for (size_t i = 0; i < READERS; i++) {
        if (i % 3 == 0) { /* the others go without the rest */
            assert_true(body_is(&clients[i], 0, 64 * MIB));
        }
        client_close(&clients[i]);
    }
    assert_true(blob_is(cluster, AWAY, small, MIB));
}

static bool has_limit(const struct cluster *cluster, rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    return prlimit(cluster->pids[HOME], RLIMIT_FSIZE, &limit, NULL) == 0;
}

static void test_full_disk(void **state)
{
    struct cluster *cluster = *state;
    char id[33];
    new_id(id);
    assert_true(has_limit(cluster, 2 * MIB));
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client;
        client_open(&client, cluster->ports[pop]);
        put_head(&client, id, false, 32 * MIB, TOKEN);
        assert_true(put_bytes(&client, false, 0, 32 * MIB)); /* it is read to its end */
        client_head(&client);
        assert_int_equal(client.status, 507);
        assert_non_null(strstr(client_body(&client), "/blobs/ASSETS/"));
        client_close(&client);
        assert_true(is_left(cluster, 0));
    }
    assert_true(has_limit(cluster, RLIM_INFINITY));
    assert_int_equal(put_blob(cluster, AWAY, id, false, 32 * MIB, NULL), 200);
    assert_true(blob_is(cluster, AWAY, id, 32 * MIB));
}

static void test_home_is_away(void **state)
{
    struct cluster *cluster = *state;
    char id[33];
    new_id(id);
    assert_int_equal(put_blob(cluster, AWAY, id, false, MIB, NULL), 200);
    kill_node(cluster, HOME);
    char other[33];
    new_id(other);
    assert_int_equal(put_blob(cluster, AWAY, other, true, 3 * MIB, NULL), 503);
    assert_int_equal(status_of(cluster, AWAY, "GET", id, TOKEN), 503);
    restart_node(cluster, HOME);
    assert_int_equal(put_blob(cluster, AWAY, other, true, 3 * MIB, NULL), 200);
    assert_true(blob_is(cluster, AWAY, other, 3 * MIB));
}

/* ---- records that refer to blobs ---- */

/* What another PoP asks home, asked from here. */
struct asker {
    struct ps_transport *transport;
    uint32_t peer;
    uint32_t id;
    bool answered;
    enum ps_status status;
    struct ps_buf body;
};

static void on_published(void *context, uint32_t peer, struct ps_slice bytes)
{
    (void)context;
    (void)peer;
    (void)bytes;
}

static void on_requested(void *context, const struct ps_reply_to *from, struct ps_slice bytes)
{
    (void)context;
    (void)from;
    (void)bytes;
}

static void on_answered(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes)
{
    (void)peer;
    struct asker *asker = context;
    struct ps_message message;
    assert_int_equal(ps_message_decode(bytes, &message), PS_OK);
    if (request_id == asker->id && !asker->answered) {
        assert_int_equal(message.kind, PS_MESSAGE_ANSWERED);
        asker->answered = true;
        asker->status = message.answered.status;
        ps_buf_append_slice(&asker->body, message.answered.body);
    }
    ps_message_fini(&message);
}

static void asker_open(struct cluster *cluster, struct asker *asker)
{
    char own[2][256];
    char homes[2][256];
    *asker = (struct asker){.id = 1};
    const struct ps_transport_handler handler = {asker, on_published, on_requested, on_answered};
    const char *const names[] = {"feed", "answer"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(own[i], sizeof own[i], "ipc://%s/asker-%s.ipc", cluster->folder, names[i]);
        (void)snprintf(homes[i], sizeof homes[i], "ipc://%s/pop-%s/%s.ipc", cluster->folder,
                       codes[HOME], names[i]);
    }
    assert_int_equal(ps_transport_nano_create(own[0], own[1], &handler, &asker->transport, NULL),
                     PS_OK);
    assert_int_equal(ps_transport_connect(asker->transport, homes[0], homes[1], &asker->peer, NULL),
                     PS_OK);
}

static void asker_close(struct asker *asker)
{
    ps_transport_destroy(asker->transport);
    ps_buf_fini(&asker->body);
}

/* Ask until the answer is here, as a PoP does: what was sent may be lost while home starts. */
static bool is_answered(struct asker *asker, struct ps_slice bytes, uint64_t *next_ns)
{
    if (mono_ns() >= *next_ns) {
        *next_ns = mono_ns() + 100 * PS_MS;
        (void)!ps_transport_request(asker->transport, asker->peer, asker->id, bytes);
    }
    (void)ps_transport_poll(asker->transport, 100);
    return asker->answered;
}

/* A mutation, made at home. The answer points into the asker. */
static struct ps_r2_answer mutate(struct asker *asker, const struct ps_r2_request *request,
                                  uint64_t token)
{
    struct ps_buf body = {0};
    struct ps_buf bytes = {0};
    struct ps_r2_answer answer;
    struct ps_message message = {.kind = PS_MESSAGE_QUERY, .store = PS_LIT("ASSETS")};
    ps_r2_request_encode(&body, request);
    memcpy(message.query.token.bytes, &token, sizeof token);
    message.query.body = ps_buf_slice(&body);
    ps_message_encode(&bytes, &message);
    asker->id++;
    asker->answered = false;
    asker->body.size = 0;
    uint64_t next_ns = 0;
    WAIT_FOR(is_answered(asker, ps_buf_slice(&bytes), &next_ns));
    assert_int_equal(asker->status, PS_OK);
    assert_int_equal(ps_r2_answer_decode(ps_buf_slice(&asker->body), &answer), PS_OK);
    ps_buf_fini(&body);
    ps_buf_fini(&bytes);
    return answer;
}

static enum ps_r2_code put_object(struct asker *asker, const char *key, const char *id,
                                  uint64_t size, const char *md5, uint64_t token)
{
    struct ps_r2_blob blob = {.size = size};
    struct ps_r2_request request = {
        .op = PS_R2_PUT, .key = ps_slice_of(key), .body = {.blobs = &blob, .blob_count = 1}};
    assert_true(ps_r2_id_parse(ps_slice_of(id), &blob.id));
    assert_true(ps_r2_checksums_set_hex(&request.computed, PS_R2_MD5, ps_slice_of(md5)));
    struct ps_r2_answer answer = mutate(asker, &request, token);
    enum ps_r2_code code = answer.error.code;
    assert_int_equal(answer.has_object, code == PS_R2_CODE_NONE);
    ps_r2_answer_fini(&answer);
    return code;
}

/* Blobs that an object or a version in the retention refers to are there after kill -9 of home, and
 * no other; and a body that is gone by then makes no object. */
static void test_only_what_is_referred_to_stays(void **state)
{
    enum { BLOBS = 5, KEPT = 3 };

    struct cluster *cluster = *state;
    struct asker asker;
    char ids[BLOBS][33];
    char md5s[BLOBS][33];
    asker_open(cluster, &asker);
    for (uint64_t i = 0; i < BLOBS; i++) {
        new_id(ids[i]);
        assert_int_equal(put_blob(cluster, AWAY, ids[i], false, (i + 1) * MIB, md5s[i]), 200);
    }
    /* The second put supersedes the first one's blob, which older views still show. */
    const char *const keys[KEPT] = {"a", "a", "b"};
    for (uint64_t i = 0; i < KEPT; i++) {
        assert_int_equal(put_object(&asker, keys[i], ids[i], (i + 1) * MIB, md5s[i], i + 1),
                         PS_R2_CODE_NONE);
    }
    /* Asked once more with its token: the same answer. */
    assert_int_equal(put_object(&asker, "b", ids[2], 3 * MIB, md5s[2], 3), PS_R2_CODE_NONE);
    for (int round = 0; round < 2; round++) {
        kill_node(cluster, HOME);
        restart_node(cluster, HOME);
        WAIT_FOR(is_left(cluster, KEPT));
        for (uint64_t i = 0; i < KEPT; i++) {
            assert_true(blob_is(cluster, AWAY, ids[i], (i + 1) * MIB));
        }
    }
    assert_int_equal(put_object(&asker, "c", ids[4], 5 * MIB, md5s[4], 9), PS_R2_CODE_INTERNAL);
    /* A record whose blob has another size than it says is none, too. */
    assert_int_equal(put_object(&asker, "c", ids[0], 2 * MIB, md5s[0], 10), PS_R2_CODE_INTERNAL);
    asker_close(&asker);
}

/* One of the two is killed within an upload through the PoP, at any moment. When it was the PoP,
 * the blob is there whole, or not at all, and it is there when it was acknowledged. When it was
 * home, nothing is there after its start: no object refers to it. */
static void test_killed_within_uploads(void **state)
{
    struct cluster *cluster = *state;
    const char *wish = getenv("PS_BLOB_KILL_ROUNDS");
    int rounds = wish == NULL ? KILL_ROUNDS : atoi(wish);
    struct ps_rng rng = {.seed = 5};
    size_t kept = 0;
    size_t whole = 0;
    for (int round = 0; round < rounds; round++) {
        uint64_t size = 1 + ps_rng_below(&rng, 6 * MIB);
        uint64_t at = ps_rng_below(&rng, size + size / 4 + 1);
        size_t victim = (size_t)round % POPS;
        struct client client;
        char id[33];
        new_id(id);
        client_open(&client, cluster->ports[AWAY]);
        put_head(&client, id, false, size, TOKEN);
        (void)put_bytes(&client, false, 0, at < size ? at / PIECE * PIECE : size);
        bool waits = at >= size + size / 8; /* for the answer: it is killed right behind it */
        if (waits) {
            client_head(&client);
        }
        kill_node(cluster, victim);
        if (at < size) {
            (void)put_bytes(&client, false, at / PIECE * PIECE, size);
        }
        if (!waits) {
            client_head(&client);
        }
        bool acknowledged = client.status == 200;
        client_close(&client);
        restart_node(cluster, victim);
        /* Home notices that a PoP died, and sweeps when it starts itself. */
        WAIT_FOR(!has_temporary(cluster));
        if (victim == HOME) {
            WAIT_FOR(is_left(cluster, 0));
            kept = 0;
            continue;
        }
        size_t temporary;
        bool there = blobs(cluster, &temporary) > kept;
        assert_true(there || !acknowledged);
        if (there) {
            assert_true(blob_is(cluster, AWAY, id, size));
            kept++;
            whole++;
        }
        assert_true(is_left(cluster, kept));
    }
    print_message("%d rounds, %zu whole\n", rounds, whole);
}

int main(int argc, char **argv)
{
    int ret;
    if (nodes_become(argc, argv, &ret)) {
        return ret;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_big_blobs_in_little_memory),
        TEST(test_sizes_and_framings),
        TEST(test_pipelined),
        TEST(test_ranges_and_errors),
        TEST(test_broken_uploads_leave_nothing),
        TEST(test_slow_readers),
        TEST(test_full_disk),
        TEST(test_home_is_away),
        TEST(test_only_what_is_referred_to_stays),
        TEST(test_killed_within_uploads),
    };
    return cmocka_run_group_tests_name("node_blobs", tests, NULL, NULL);
}
