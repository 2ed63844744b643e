/* Real node processes: three PoPs of one cluster in a temporary folder, spoken to over HTTP.
 *
 * The program starts itself again as `test_node --node FOLDER POP`, which is what `popsim node`
 * does. */
#include "node/kv/kv.h"
#include "replication/base/memory.h"
#include "replication/feed/transport.h"
#include "replication/wire/message.h"
#include "tests/support/nodes.h"

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { POPS = 3, HOME = 0 };

/* Four seconds of the wall: what is read of SLOW stays stale while a loaded machine delivers. */
#define SLOW_NS (240 * PS_SECOND)

#define REST "/client/v4/accounts/a/storage/kv/namespaces"

static const char *const codes[POPS] = {"ams", "fra", "sin"};

/* Does it stand anywhere in the answer? */
static bool says(const struct reply *reply, const char *text)
{
    return reply->bytes.data != NULL && strstr(reply->bytes.data, text) != NULL;
}

static int put(uint16_t port, const char *store, const char *key, const char *value)
{
    char target[256];
    (void)snprintf(target, sizeof target, "/%s?urlencoded=true", key);
    return call_status(port, "PUT", target, store, value);
}

static struct reply get(uint16_t port, const char *store, const char *key)
{
    char target[256];
    (void)snprintf(target, sizeof target, "/%s?urlencoded=true", key);
    return call(port, "GET", target, store, "", (struct ps_slice){0});
}

/* Does a get give that value (NULL: not found)? */
static bool gives(uint16_t port, const char *store, const char *key, const char *value)
{
    struct reply reply = get(port, store, key);
    bool same = value == NULL ? reply.status == 404
                              : reply.status == 200 && reply.body_size == strlen(value) &&
                                    memcmp(reply.body, value, reply.body_size) == 0;
    reply_fini(&reply);
    return same;
}

/* ---- the cluster ---- */

static int set_up(void **state)
{
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)add_store(&cs, "NONE", PS_STORE_KV, "none");
    (void)add_store(&cs, "CACHE", PS_STORE_KV, "workers-kv");
    add_store(&cs, "LIMITED", PS_STORE_KV, "none")->kv.write_interval_ns = PS_SECOND;
    struct ps_store *slow = add_store(&cs, "SLOW", PS_STORE_KV, "none");
    ps_delay_fini(&slow->policy.push.delay);
    slow->policy.push.delay =
        (struct ps_delay){.kind = PS_DELAY_CONSTANT, .constant = {.value_ns = SLOW_NS}};
    cluster_start(cluster, &cs, 60000);
    *state = cluster;
    return 0;
}

/* ---- tests ---- */

static void test_put_get_list_delete_at_each(void **state)
{
    struct cluster *cluster = *state;
    char value[32];
    for (size_t at = 0; at < POPS; at++) {
        (void)snprintf(value, sizeof value, "from %s", codes[at]);
        assert_int_equal(put(cluster->ports[at], "NONE", codes[at], value), 200);
        for (size_t i = 0; i < POPS; i++) {
            assert_true(gives(cluster->ports[i], "NONE", codes[at], value));
        }
    }
    for (size_t i = 0; i < POPS; i++) {
        struct reply reply =
            call(cluster->ports[i], "GET", "/?prefix=", "NONE", "", (struct ps_slice){0});
        assert_int_equal(reply.status, 200);
        assert_non_null(strstr(reply.body, "\"ams\""));
        assert_non_null(strstr(reply.body, "\"fra\""));
        assert_non_null(strstr(reply.body, "\"sin\""));
        assert_non_null(strstr(reply.body, "\"list_complete\":true"));
        reply_fini(&reply);
    }
    assert_int_equal(call_status(cluster->ports[2], "DELETE", "/ams?urlencoded=true", "NONE", ""),
                     200);
    for (size_t i = 0; i < POPS; i++) {
        assert_true(gives(cluster->ports[i], "NONE", "ams", NULL));
        assert_true(gives(cluster->ports[i], "NONE", "never", NULL));
    }
}

static bool same_log(struct cluster *cluster, size_t i, const char *store)
{
    char target[64];
    (void)snprintf(target, sizeof target, "/popsim/log?store=%s&from=1", store);
    struct reply home = call(cluster->ports[HOME], "GET", target, NULL, "", (struct ps_slice){0});
    struct reply here = call(cluster->ports[i], "GET", target, NULL, "", (struct ps_slice){0});
    bool same = home.status == 200 && here.status == 200 && home.body_size == here.body_size &&
                memcmp(home.body, here.body, home.body_size) == 0;
    reply_fini(&home);
    reply_fini(&here);
    return same;
}

static void test_stale_then_fresh(void **state)
{
    struct cluster *cluster = *state;
    assert_int_equal(put(cluster->ports[1], "SLOW", "k", "one"), 200);
    WAIT_FOR(gives(cluster->ports[2], "SLOW", "k", "one"));
    assert_int_equal(put(cluster->ports[1], "SLOW", "k", "two"), 200);
    WAIT_FOR(same_log(cluster, 2, "SLOW"));
    struct reply reply = get(cluster->ports[2], "SLOW", "k");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "one");
    assert_int_equal(header_number(&reply, "popsim-behind"), 1);
    assert_int_equal(header_number(&reply, "popsim-lsn") + 1,
                     header_number(&reply, "popsim-latest-lsn"));
    assert_true(header_number(&reply, "popsim-time") > 0);
    assert_int_equal(header_number(&reply, "popsim-boot"), 1);
    reply_fini(&reply);
    WAIT_FOR(gives(cluster->ports[2], "SLOW", "k", "two"));
}

static void test_cache_keeps_what_it_read(void **state)
{
    struct cluster *cluster = *state;
    assert_int_equal(put(cluster->ports[0], "CACHE", "k", "one"), 200);
    assert_true(gives(cluster->ports[2], "CACHE", "k", "one"));
    assert_int_equal(put(cluster->ports[1], "CACHE", "k", "two"), 200);
    assert_true(gives(cluster->ports[1], "CACHE", "k", "two")); /* its own write */
    WAIT_FOR(gives(cluster->ports[2], "CACHE", "k", "two"));
    assert_int_equal(call_status(cluster->ports[2], "POST", "/popsim/cache/reset", NULL, ""), 200);
    struct reply reply = get(cluster->ports[2], "CACHE", "k");
    assert_int_equal(header_number(&reply, "popsim-boot"), 2);
    reply_fini(&reply);
}

static void test_cut_and_heal(void **state)
{
    struct cluster *cluster = *state;
    assert_int_equal(
        call_status(cluster->ports[2], "POST", "/popsim/link", NULL, "{\"outages\":[[null,null]]}"),
        200);
    WAIT_FOR(put(cluster->ports[2], "NONE", "cut", "x") == 503);
    /* The cut survives a crash. */
    kill_node(cluster, 2);
    start_node(cluster, 2);
    wait_for_node(cluster, 2);
    assert_int_equal(put(cluster->ports[2], "NONE", "cut", "x"), 503);
    assert_int_equal(put(cluster->ports[1], "NONE", "cut", "y"), 200);
    assert_int_equal(call_status(cluster->ports[2], "POST", "/popsim/heal", NULL, ""), 200);
    assert_int_equal(call_status(cluster->ports[2], "POST", "/popsim/heal", NULL, ""), 409);
    WAIT_FOR(gives(cluster->ports[2], "NONE", "cut", "y"));
    assert_int_equal(put(cluster->ports[2], "NONE", "cut", "z"), 200);
}

static void put_many(struct cluster *cluster, size_t at, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        char key[32];
        char value[32];
        (void)snprintf(key, sizeof key, "key-%zu", i);
        (void)snprintf(value, sizeof value, "value-%zu", i);
        assert_int_equal(put(cluster->ports[at], "NONE", key, value), 200);
    }
}

static void test_follower_killed(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, 1, 0, 20);
    kill_node(cluster, 2);
    put_many(cluster, 1, 20, 40);
    start_node(cluster, 2);
    wait_for_node(cluster, 2);
    put_many(cluster, 0, 60, 5);
    WAIT_FOR(same_log(cluster, 2, "NONE"));
    assert_true(gives(cluster->ports[2], "NONE", "key-41", "value-41"));
    struct reply reply = get(cluster->ports[2], "NONE", "key-64");
    assert_int_equal(reply.status, 200);
    assert_int_equal(header_number(&reply, "popsim-boot"), 2);
    reply_fini(&reply);
}

static void test_home_killed(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, 1, 0, 20);
    WAIT_FOR(same_log(cluster, 2, "NONE"));
    kill_node(cluster, HOME);
    /* A push policy's PoP answers from what it has, and says so. */
    struct reply reply = get(cluster->ports[2], "NONE", "key-7");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "value-7");
    assert_int_equal(header_number(&reply, "popsim-late"), 1);
    assert_int_equal(header_number(&reply, "popsim-have-lsn"), 20);
    reply_fini(&reply);
    assert_int_equal(call_status(cluster->ports[1], "GET", "/k?urlencoded=true", "CACHE", ""), 503);
    assert_int_equal(put(cluster->ports[1], "NONE", "lost", "x"), 503);
    start_node(cluster, HOME);
    wait_for_node(cluster, HOME);
    WAIT_FOR(put(cluster->ports[1], "NONE", "back", "x") == 200);
    for (size_t i = 0; i < 20; i++) {
        char key[32];
        char value[32];
        (void)snprintf(key, sizeof key, "key-%zu", i);
        (void)snprintf(value, sizeof value, "value-%zu", i);
        assert_true(gives(cluster->ports[HOME], "NONE", key, value));
    }
    WAIT_FOR(same_log(cluster, 1, "NONE"));
    WAIT_FOR(same_log(cluster, 2, "NONE"));
}

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
    (void)context;
    (void)peer;
    (void)request_id;
    (void)bytes;
}

/* Says that home is there and has more, but answers no request. */
static void tell_of_records(struct ps_transport *transport, const char *store)
{
    struct ps_message message = {.kind = PS_MESSAGE_BATCH,
                                 .store = ps_slice_of(store),
                                 .batch = {.home_boot = 9, .closed_ns = 1, .last_lsn = 1000}};
    struct ps_buf bytes = {0};
    ps_message_encode(&bytes, &message);
    ps_transport_publish(transport, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
    (void)ps_transport_poll(transport, 100);
}

static bool hears_of_records(struct cluster *cluster, struct ps_transport *transport)
{
    tell_of_records(transport, "NONE");
    struct reply reply =
        call(cluster->ports[2], "GET", "/popsim/state", NULL, "", (struct ps_slice){0});
    bool hears = reply.status == 200 && strstr(reply.body, "\"last_lsn\":1000,") != NULL;
    reply_fini(&reply);
    return hears;
}

/* Wait for the answer on `fd` while home goes on telling. */
static bool is_answered(struct ps_transport *transport, int fd)
{
    tell_of_records(transport, "NONE");
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    return poll(&watch, 1, 20) == 1;
}

static void test_reads_do_not_wait_for_ever(void **state)
{
    struct cluster *cluster = *state;
    assert_int_equal(put(cluster->ports[HOME], "NONE", "k", "v"), 200);
    WAIT_FOR(gives(cluster->ports[2], "NONE", "k", "v"));
    kill_node(cluster, HOME);
    char feed[128];
    char answers[128];
    (void)snprintf(feed, sizeof feed, "ipc://%s/pop-ams/feed.ipc", cluster->folder);
    (void)snprintf(answers, sizeof answers, "ipc://%s/pop-ams/answer.ipc", cluster->folder);
    struct ps_transport_handler handler = {
        .published = on_published, .requested = on_requested, .answered = on_answered};
    struct ps_transport *transport;
    assert_int_equal(ps_transport_nano_create(feed, answers, &handler, &transport, NULL), PS_OK);
    WAIT_FOR(hears_of_records(cluster, transport));
    static const char request[] = "GET /k?urlencoded=true HTTP/1.1\r\nHost: x\r\n"
                                  "popsim-store: NONE\r\nConnection: close\r\n\r\n";
    int fd = dial(cluster->ports[2]);
    assert_true(fd >= 0);
    assert_true(send_all(fd, request, sizeof request - 1));
    WAIT_FOR(is_answered(transport, fd));
    struct reply reply = {.body = ""};
    read_to_end(fd, &reply.bytes);
    reply_parse(&reply);
    (void)close(fd);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "v");
    assert_int_equal(header_number(&reply, "popsim-late"), 1);
    reply_fini(&reply);
    ps_transport_destroy(transport);
}

static void test_same_token_writes_once(void **state)
{
    struct cluster *cluster = *state;
    static const char token[] = "popsim-token: 000102030405060708090a0b0c0d0e0f\r\n";
    int64_t lsn = 0;
    for (size_t i = 0; i < 2 * POPS; i++) {
        struct reply reply = call(cluster->ports[i % POPS], "PUT", "/k?urlencoded=true", "NONE",
                                  token, PS_LIT("once"));
        assert_int_equal(reply.status, 200);
        assert_true(header_number(&reply, "popsim-lsn") > 0);
        if (i == 0) {
            lsn = header_number(&reply, "popsim-lsn");
        }
        assert_int_equal(header_number(&reply, "popsim-lsn"), lsn);
        reply_fini(&reply);
    }
}

static void test_large_value(void **state)
{
    struct cluster *cluster = *state;
    size_t size = 25 << 20;
    char *value = ps_calloc(1, size);
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)(i * 2654435761U >> 13);
    }
    struct reply reply = call(cluster->ports[1], "PUT", "/big?urlencoded=true", "NONE", "",
                              (struct ps_slice){value, size});
    assert_int_equal(reply.status, 200);
    reply_fini(&reply);
    reply = get(cluster->ports[2], "NONE", "big");
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body_size, size);
    assert_memory_equal(reply.body, value, size);
    reply_fini(&reply);
    free(value);
}

/* Memory of the node's own: mapped files do not count. */
static size_t memory_kib(pid_t pid)
{
    char path[64];
    char line[256];
    unsigned long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "RssAnon: %lu", &kib);
    }
    (void)fclose(file);
    assert_true(kib > 0);
    return kib;
}

/* What the sanitizer keeps of freed memory is not the node's. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MORE_KIB_MAX (500U << 10)
#endif
#endif
#ifndef MORE_KIB_MAX
#define MORE_KIB_MAX (100U << 10)
#endif

/* Clients that ask for a large value and are slow to take it cost a part of it each, not all of it.
 */
static void test_slow_readers_of_a_large_value(void **state)
{
    enum { READERS = 24, SIZE = 25 << 20 }; /* 600 MiB in all */

    struct cluster *cluster = *state;
    char *value = ps_calloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        value[i] = (char)(i * 2246822519U >> 11);
    }
    struct reply reply = call(cluster->ports[HOME], "PUT", "/slow?urlencoded=true", "NONE", "",
                              (struct ps_slice){value, SIZE});
    assert_int_equal(reply.status, 200);
    reply_fini(&reply);
    size_t before_kib = memory_kib(cluster->pids[HOME]);
    static const char request[] = "GET /slow?urlencoded=true HTTP/1.1\r\nHost: x\r\n"
                                  "popsim-store: NONE\r\nConnection: close\r\n\r\n";
    int fds[READERS];
    for (int i = 0; i < READERS; i++) {
        fds[i] = dial(cluster->ports[HOME]);
        assert_true(fds[i] >= 0);
        assert_true(send_all(fds[i], request, sizeof request - 1));
    }
    for (int i = 0; i < READERS; i++) { /* each has its first bytes: the answers are under way */
        struct pollfd watch = {.fd = fds[i], .events = POLLIN};
        assert_int_equal(poll(&watch, 1, DEADLINE_S * 1000), 1);
    }
    assert_true(memory_kib(cluster->pids[HOME]) < before_kib + MORE_KIB_MAX);
    /* A newer version does not get into what is being sent. */
    assert_int_equal(put(cluster->ports[HOME], "NONE", "slow", "new"), 200);
    for (int i = 0; i < READERS; i++) {
        struct reply got = {0};
        read_to_end(fds[i], &got.bytes);
        (void)close(fds[i]);
        reply_parse(&got);
        assert_int_equal(got.status, 200);
        assert_int_equal(got.body_size, SIZE);
        assert_memory_equal(got.body, value, SIZE);
        reply_fini(&got);
    }
    free(value);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void test_pipelined(void **state)
{
    struct cluster *cluster = *state;

    enum { REQUESTS = 200 };

    assert_int_equal(put(cluster->ports[0], "NONE", "p", "piped"), 200);
    struct ps_buf requests = {0};
    for (int i = 0; i < REQUESTS; i++) {
        ps_buf_printf(&requests,
                      "GET /p?urlencoded=true HTTP/1.1\r\nHost: x\r\npopsim-store: NONE\r\n%s\r\n",
                      i == REQUESTS - 1 ? "Connection: close\r\n" : "");
    }
    int fd = dial(cluster->ports[1]);
    assert_true(fd >= 0);
    assert_true(send_all(fd, requests.data, requests.size));
    struct ps_buf answers = {0};
    read_to_end(fd, &answers);
    (void)close(fd);
    assert_int_equal(count_of(answers.data, "HTTP/1.1 200 "), REQUESTS);
    assert_int_equal(count_of(answers.data, "piped"), REQUESTS);
    ps_buf_fini(&answers);
    ps_buf_fini(&requests);
}

static void test_bad_input_changes_nothing(void **state)
{
    struct cluster *cluster = *state;
    static const char *const bad[] = {"\r\n\r\nnonsense\r\n\r\n", "GET\r\n\r\n",
                                      "PUT /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                      "GET / HTTP/9.9\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = dial(cluster->ports[0]);
        assert_true(fd >= 0);
        assert_true(send_all(fd, bad[i], strlen(bad[i])));
        struct ps_buf answer = {0};
        read_to_end(fd, &answer);
        assert_int_equal(strncmp(answer.data, "HTTP/1.1 4", 10), 0);
        ps_buf_fini(&answer);
        (void)close(fd);
    }
    assert_int_equal(call_status(cluster->ports[0], "POST", "/popsim/link", NULL, "{"), 400);
    assert_int_equal(
        call_status(cluster->ports[0], "POST", "/popsim/link", NULL, "{\"outages\":[[1,\"x\"]]}"),
        400);
    assert_int_equal(call_status(cluster->ports[0], "GET", "/popsim/log?store=NO", NULL, ""), 404);
    assert_int_equal(call_status(cluster->ports[0], "GET", "/healthz", NULL, ""), 200);
    struct reply reply = call(cluster->ports[0], "GET", "/metrics", NULL, "", (struct ps_slice){0});
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "popsim_reads_total{pop=\"ams\",store=\"NONE\"}"));
    assert_non_null(strstr(reply.body, "# EOF\n"));
    reply_fini(&reply);
}

/* The namespace id of a store, as the REST API's list tells it. */
static void namespace_id(uint16_t port, const char *store, char ret[33])
{
    struct reply reply = call(port, "GET", REST "?per_page=1000&page=1", NULL, "", PS_LIT(""));
    char title[64];
    assert_int_equal(reply.status, 200);
    (void)snprintf(title, sizeof title, "\",\"title\":\"%s\"", store);
    const char *at = strstr(reply.body, title);
    assert_non_null(at);
    assert_true(at - reply.body > 32);
    memcpy(ret, at - 32, 32);
    ret[32] = '\0';
    reply_fini(&reply);
}

/* Call a REST route below one namespace; the answer must hold `wanted`. */
static void rest(uint16_t port, const char *method, const char *id, const char *route,
                 const char *headers, const char *body, int status, const char *wanted)
{
    char target[512];
    (void)snprintf(target, sizeof target, REST "/%s%s", id, route);
    struct reply reply = call(port, method, target, NULL, headers, ps_slice_of(body));
    if (reply.status != status || strstr(reply.body, wanted) == NULL) {
        fail_msg("%s %s: got %s", method, route, reply.bytes.data);
    }
    reply_fini(&reply);
}

static void test_rest(void **state)
{
    struct cluster *cluster = *state;
    uint16_t port = cluster->ports[2];
    char id[33];
    namespace_id(port, "NONE", id);
    struct reply page = call(port, "GET", REST "?page=2", NULL, "", PS_LIT(""));
    assert_non_null(strstr(page.body, "\"result\":[],\"result_info\":{\"page\":2,"));
    reply_fini(&page);
    rest(port, "GET", id, "", "", "", 200, "\"title\":\"NONE\",\"supports_url_encoding\":true");
    rest(port, "PUT", id, "/values/plain%2Fkey?expiration_ttl=3600", "", "v", 200,
         "\"success\":true");
    rest(port, "GET", id, "/values/plain%2Fkey", "", "", 200, "v");
    rest(port, "GET", id, "/metadata/plain%2Fkey", "", "", 200, "\"result\":null");
    rest(port, "PUT", id, "/values/form", "Content-Type: multipart/form-data; boundary=b\r\n",
         "--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nfrom a form\r\n"
         "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"a\":1}\r\n--b--\r\n",
         200, "\"success\":true");
    rest(port, "GET", id, "/values/form", "", "", 200, "from a form");
    rest(port, "GET", id, "/metadata/form", "", "", 200, "\"result\":{\"a\":1}");
    struct ps_buf pairs = {0};
    for (int i = 0; i < 25; i++) {
        ps_buf_printf(&pairs, "%s{\"key\":\"b%02d\",\"value\":\"%d\"}", i == 0 ? "[" : ",", i, i);
    }
    ps_buf_append_text(&pairs, "]");
    rest(port, "PUT", id, "/bulk", "", ps_buf_text(&pairs), 200, "\"successful_key_count\":25");
    ps_buf_fini(&pairs);
    rest(port, "PUT", id, "/bulk", "", "[]", 200, "\"successful_key_count\":0");
    rest(port, "GET", id, "/keys?prefix=b&limit=10", "", "", 200,
         "\"count\":10,\"cursor\":\"YjA5\"");
    rest(port, "GET", id, "/keys?prefix=b&limit=20&cursor=YjA5", "", "", 200,
         "\"count\":15,\"cursor\":\"\"");
    rest(port, "POST", id, "/bulk/get", "", "{\"keys\":[\"b07\",\"no\"]}", 200,
         "\"values\":{\"b07\":\"7\",\"no\":null}");
    rest(port, "POST", id, "/bulk/delete", "", "[\"b07\",\"no\"]", 200,
         "\"successful_key_count\":2");
    rest(port, "GET", id, "/values/b07", "", "", 404, "\"get: 'key not found'\"");
    rest(port, "DELETE", id, "/values/b08", "", "", 200, "\"success\":true");
    rest(port, "GET", id, "/values/b08", "", "", 404, "10009");
}

/* ---- namespaces that come and go ---- */

/* Make one; its id is in *ret. Returns whether it was made; else the title must have been taken. */
static bool made(const struct reply *reply, char ret[33])
{
    if (reply->status == 200) {
        const char *id = strstr(reply->body, "\"id\":\"");
        assert_non_null(id);
        memcpy(ret, id + 6, 32);
        ret[32] = '\0';
        return true;
    }
    assert_int_equal(reply->status, 400);
    assert_non_null(strstr(reply->body, "10014"));
    return false;
}

static bool make_namespace(uint16_t port, const char *title, char ret[33])
{
    char body[64];
    (void)snprintf(body, sizeof body, "{\"title\":\"%s\"}", title);
    struct reply reply = call(port, "POST", REST, NULL, "", ps_slice_of(body));
    bool was_made = made(&reply, ret);
    assert_true(!was_made || strstr(reply.body, title) != NULL);
    reply_fini(&reply);
    return was_made;
}

static bool is_listed(uint16_t port, const char *title)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "\"title\":\"%s\"", title);
    struct reply reply = call(port, "GET", REST "?per_page=1000", NULL, "", PS_LIT(""));
    bool listed = says(&reply, wanted);
    reply_fini(&reply);
    return listed;
}

/* What a node tells of itself holds this text. */
static bool tells(uint16_t port, const char *target, const char *text)
{
    struct reply reply = call(port, "GET", target, NULL, "", PS_LIT(""));
    assert_int_equal(reply.status, 200);
    bool told = says(&reply, text);
    reply_fini(&reply);
    return told;
}

static bool is_not_found(uint16_t port, const char *id)
{
    char target[128];
    (void)snprintf(target, sizeof target, REST "/%s/keys", id);
    struct reply reply = call(port, "GET", target, NULL, "", PS_LIT(""));
    bool right = reply.status == 404 && says(&reply, "10013");
    reply_fini(&reply);
    return right;
}

static void test_a_namespace_comes_and_goes(void **state)
{
    struct cluster *cluster = *state;
    uint16_t *ports = cluster->ports;
    char id[33];
    char other[33];
    assert_true(make_namespace(ports[2], "late", id));
    assert_true(is_listed(ports[2], "late"));
    rest(ports[2], "PUT", id, "/values/k", "", "v", 200, "true");
    assert_true(gives(ports[2], "late", "k", "v"));
    for (size_t i = 0; i < POPS; i++) {
        WAIT_FOR(is_listed(ports[i], "late"));
        assert_true(gives(ports[i], "late", "k", "v"));
        assert_int_equal(put(ports[i], id, codes[i], "own"), 200);
        assert_true(gives(ports[i], id, codes[i], "own"));
        assert_false(make_namespace(ports[i], "late", other));
        assert_false(make_namespace(ports[i], "CACHE", other));
    }
    rest(ports[1], "PUT", id, "", "", "{\"title\":\"later\"}", 200, "\"title\":\"later\"");
    rest(ports[1], "PUT", id, "", "", "{\"title\":\"later\"}", 200, "\"title\":\"later\"");
    rest(ports[1], "PUT", id, "", "", "{\"title\":\"CACHE\"}", 400, "10014");
    for (size_t i = 0; i < POPS; i++) {
        WAIT_FOR(is_listed(ports[i], "later"));
        assert_true(gives(ports[i], "later", "k", "v"));
    }
    assert_true(make_namespace(ports[1], "late", other)); /* the title is free again */
    rest(ports[0], "DELETE", id, "", "", "", 200, "\"result\":null");
    for (size_t i = 0; i < POPS; i++) {
        WAIT_FOR(is_not_found(ports[i], id));
        assert_false(is_listed(ports[i], "later"));
        assert_int_equal(put(ports[i], id, "k", "v"), 404);
        assert_false(tells(ports[i], "/popsim/state", id));
        assert_false(tells(ports[i], "/metrics", id));
        rest(ports[i], "DELETE", id, "", "", "", 404, "10013");
        WAIT_FOR(is_listed(ports[i], "late"));
    }
}

/* Who asks at the same time with the same title: one of them gets it. */
static void test_one_title_is_given_once(void **state)
{
    struct cluster *cluster = *state;

    enum { ASKERS = 4 * POPS };

    static const char request[] = "POST " REST " HTTP/1.1\r\nConnection: close\r\n"
                                  "Content-Length: 16\r\n\r\n{\"title\":\"same\"}";
    int fds[ASKERS];
    for (size_t i = 0; i < ASKERS; i++) {
        fds[i] = dial(cluster->ports[i % POPS]);
        assert_true(fds[i] >= 0);
    }
    for (size_t i = 0; i < ASKERS; i++) {
        assert_true(send_all(fds[i], request, sizeof request - 1));
    }
    size_t given = 0;
    char id[33];
    for (size_t i = 0; i < ASKERS; i++) {
        struct reply reply = {0};
        read_to_end(fds[i], &reply.bytes);
        reply_parse(&reply);
        given += made(&reply, id) ? 1 : 0;
        reply_fini(&reply);
        (void)close(fds[i]);
    }
    assert_int_equal(given, 1);
}

static void test_not_too_many_namespaces(void **state)
{
    struct cluster *cluster = *state;
    char id[33] = "";
    size_t count = 4; /* the cluster's own */
    for (int status = 200; status == 200; count++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"title\":\"number %zu\"}", count);
        struct reply reply =
            call(cluster->ports[count % POPS], "POST", REST, NULL, "", ps_slice_of(body));
        status = reply.status;
        assert_true(status == 200 ? made(&reply, id) : says(&reply, "10021"));
        reply_fini(&reply);
    }
    assert_int_equal(count, PS_STORES_MAX + 1);
    rest(cluster->ports[HOME], "DELETE", id, "", "", "", 200, "true");
    assert_true(make_namespace(cluster->ports[1], "in its place", id));
}

static void restart(struct cluster *cluster, size_t i)
{
    kill_node(cluster, i);
    start_node(cluster, i);
    wait_for_node(cluster, i);
}

static void test_namespaces_survive(void **state)
{
    struct cluster *cluster = *state;
    const uint16_t *ports = cluster->ports;
    char id[33];
    char gone[33];
    char limited[33];
    char slow[33];
    namespace_id(ports[1], "LIMITED", limited);
    namespace_id(ports[1], "SLOW", slow);
    assert_true(make_namespace(ports[1], "stays", id));
    assert_true(make_namespace(ports[1], "goes", gone));
    rest(ports[1], "PUT", id, "/values/k", "", "v", 200, "true");
    /* One PoP is away while all is changed. */
    kill_node(cluster, 2);
    rest(ports[1], "DELETE", gone, "", "", "", 200, "true");
    rest(ports[1], "DELETE", limited, "", "", "", 200, "true");
    rest(ports[1], "PUT", slow, "", "", "{\"title\":\"sloth\"}", 200, "true");
    start_node(cluster, 2);
    wait_for_node(cluster, 2);
    WAIT_FOR(is_not_found(ports[2], limited));
    for (size_t i = 0; i < POPS; i++) {
        restart(cluster, i);
        for (size_t k = 0; k < POPS; k++) {
            WAIT_FOR(gives(ports[k], "stays", "k", "v"));
            assert_true(is_not_found(ports[k], gone));
            assert_true(is_not_found(ports[k], limited));
            assert_true(is_listed(ports[k], "sloth"));
            assert_true(gives(ports[k], "SLOW", "k", NULL)); /* a binding keeps its name */
        }
    }
    WAIT_FOR(put(ports[2], "stays", "k2", "v2") == 200);
    assert_true(make_namespace(ports[2], "goes", gone));
}

static void test_the_hidden_store_is_hidden(void **state)
{
    struct cluster *cluster = *state;
    char id[33];
    assert_true(make_namespace(cluster->ports[1], "seen", id));
    for (size_t i = 0; i < POPS; i++) {
        uint16_t port = cluster->ports[i];
        WAIT_FOR(tells(port, "/popsim/state", "\"title\":\"seen\""));
        assert_true(tells(port, "/metrics", id));
        static const char *const targets[] = {"/popsim/state", "/metrics", REST "?per_page=1000"};
        for (size_t k = 0; k < sizeof targets / sizeof targets[0]; k++) {
            assert_false(tells(port, targets[k], "popsim/namespaces"));
        }
        assert_int_equal(call_status(port, "GET", "/popsim/log?store=popsim/namespaces", NULL, ""),
                         404);
        assert_int_equal(call_status(port, "GET", "/k", "popsim/namespaces", ""), 404);
    }
}

/* The REST API sees the central store, a binding its PoP's cache. */
static void test_rest_is_fresh(void **state)
{
    struct cluster *cluster = *state;
    char id[33];
    namespace_id(cluster->ports[2], "SLOW", id);
    assert_int_equal(put(cluster->ports[1], "SLOW", "k", "new"), 200);
    WAIT_FOR(same_log(cluster, 2, "SLOW"));
    assert_true(gives(cluster->ports[2], "SLOW", "k", NULL));
    rest(cluster->ports[2], "GET", id, "/values/k", "", "", 200, "new");
    struct reply reply = call(cluster->ports[2], "GET", "/", "SLOW", "", PS_LIT(""));
    assert_non_null(strstr(reply.body, "{\"keys\":[],\"list_complete\":true}"));
    assert_int_equal(header_number(&reply, "popsim-lsn"), 0);
    assert_int_equal(header_number(&reply, "popsim-latest-lsn"), 1);
    assert_int_equal(header_number(&reply, "popsim-behind"), 1);
    assert_true(header_number(&reply, "popsim-stale-ms") >= 0);
    reply_fini(&reply);
}

static void test_every_read_tells_of_itself(void **state)
{
    struct cluster *cluster = *state;

    static const struct {
        const char *method;
        const char *target;
        const char *body;
        int status;
    } cases[] = {{"GET", "/k?urlencoded=true", "", 200},
                 {"HEAD", "/k?urlencoded=true", "", 200},
                 {"GET", "/none?urlencoded=true", "", 404},
                 {"GET", "/?prefix=k", "", 200},
                 {"POST", "/bulk/get", "{\"keys\":[\"k\",\"none\"]}", 200}};

    assert_int_equal(put(cluster->ports[0], "CACHE", "k", "value"), 200);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply reply = call(cluster->ports[2], cases[i].method, cases[i].target, "CACHE", "",
                                  ps_slice_of(cases[i].body));
        assert_int_equal(reply.status, cases[i].status);
        assert_true(says(&reply, "\r\npopsim-pop: sin\r\n"));
        static const char *const names[] = {"popsim-lsn", "popsim-latest-lsn", "popsim-behind",
                                            "popsim-stale-ms", "popsim-time"};
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            assert_true(header_number(&reply, names[k]) >= 0);
        }
        if (reply.status == 404 || cases[i].method[0] == 'H') {
            assert_int_equal(header_number(&reply, "content-length"), reply.status == 404 ? 0 : 5);
            assert_int_equal(reply.body_size, 0);
        }
        reply_fini(&reply);
    }
}

static void test_chunked_and_expected_bodies(void **state)
{
    struct cluster *cluster = *state;
    static const char request[] =
        "PUT /k?urlencoded=true HTTP/1.1\r\npopsim-store: NONE\r\nExpect: 100-continue\r\n"
        "Connection: close\r\nCF-KV-Metadata: {\"who\":\"j\xc3\xbcrgen\"}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    int fd = dial(cluster->ports[2]);
    assert_true(fd >= 0);
    assert_true(send_all(fd, request, sizeof request - 1));
    char interim[64] = "";
    static const char wanted[] = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_int_equal(recv(fd, interim, sizeof wanted - 1, MSG_WAITALL), sizeof wanted - 1);
    assert_string_equal(interim, wanted);
    static const char body[] = "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
    assert_true(send_all(fd, body, sizeof body - 1));
    struct reply reply = {0};
    read_to_end(fd, &reply.bytes);
    reply_parse(&reply);
    assert_int_equal(reply.status, 200);
    reply_fini(&reply);
    (void)close(fd);
    reply = get(cluster->ports[0], "NONE", "k");
    assert_string_equal(reply.body, "hello, world");
    assert_true(says(&reply, "\r\nCF-KV-Metadata: {\"who\":\"j\xc3\xbcrgen\"}\r\n"));
    reply_fini(&reply);
}

static void test_limits_in_the_services_words(void **state)
{
    struct cluster *cluster = *state;
    size_t size = PS_KV_VALUE_SIZE_MAX + 1;
    char *value = ps_calloc(1, size);
    struct reply reply = call(cluster->ports[1], "PUT", "/big?urlencoded=true", "NONE", "",
                              (struct ps_slice){value, size});
    assert_true(says(&reply, "HTTP/1.1 413 Value length of 26214401 exceeds limit of 26214400."));
    reply_fini(&reply);
    free(value);
    assert_int_equal(put(cluster->ports[1], "LIMITED", "k", "1"), 200);
    WAIT_FOR(put(cluster->ports[2], "LIMITED", "k", "2") == 200);
    /* Sixty cluster seconds pass in one of the wall: two puts in one turn are a second's. */
    char id[33];
    namespace_id(cluster->ports[2], "LIMITED", id);
    rest(cluster->ports[2], "PUT", id, "/bulk", "",
         "[{\"key\":\"x\",\"value\":\"1\"},{\"key\":\"x\",\"value\":\"2\"}]", 200,
         "\"unsuccessful_keys\":[\"x\"],\"successful_key_count\":1");
}

static void test_graceful_stop(void **state)
{
    struct cluster *cluster = *state;
    /* An idle connection does not hold the node up. */
    int idle = dial(cluster->ports[1]);
    assert_true(idle >= 0);
    static const char request[] = "GET /healthz HTTP/1.1\r\n\r\n";
    char answer[512] = "";
    size_t size = 0;
    assert_true(send_all(idle, request, sizeof request - 1));
    while (strstr(answer, "\r\n\r\nok\n") == NULL) { /* the node has taken it */
        ssize_t got = recv(idle, answer + size, sizeof answer - 1 - size, 0);
        assert_true(got > 0);
        size += (size_t)got;
    }
    int status;
    assert_int_equal(kill(cluster->pids[1], SIGTERM), 0);
    assert_int_equal(waitpid(cluster->pids[1], &status, 0), cluster->pids[1]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    cluster->pids[1] = 0;
    char byte;
    assert_int_equal(recv(idle, &byte, 1, 0), 0);
    (void)close(idle);
}

int main(int argc, char **argv)
{
    int ret;
    if (nodes_become(argc, argv, &ret)) {
        return ret;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_put_get_list_delete_at_each),
        TEST(test_stale_then_fresh),
        TEST(test_cache_keeps_what_it_read),
        TEST(test_cut_and_heal),
        TEST(test_follower_killed),
        TEST(test_home_killed),
        TEST(test_reads_do_not_wait_for_ever),
        TEST(test_same_token_writes_once),
        TEST(test_large_value),
        TEST(test_slow_readers_of_a_large_value),
        TEST(test_pipelined),
        TEST(test_bad_input_changes_nothing),
        TEST(test_rest),
        TEST(test_a_namespace_comes_and_goes),
        TEST(test_one_title_is_given_once),
        TEST(test_not_too_many_namespaces),
        TEST(test_namespaces_survive),
        TEST(test_the_hidden_store_is_hidden),
        TEST(test_rest_is_fresh),
        TEST(test_every_read_tells_of_itself),
        TEST(test_chunked_and_expected_bodies),
        TEST(test_limits_in_the_services_words),
        TEST(test_graceful_stop),
    };
    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
