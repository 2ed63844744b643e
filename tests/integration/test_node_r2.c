/* Buckets' bindings through real node processes: what a Worker cannot do by itself. Clients that go
 * away or say less than they promised, homes that are killed while a mutation is under way, and
 * blobs that are gone when they are asked for.
 *
 * The program starts itself again as `test_node_r2 --node FOLDER POP`. */
#include "replication/base/memory.h"
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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { POPS = 2, HOME = 0, AWAY = 1, LARGE = 1 << 20 };

static const char *const codes[POPS] = {"ams", "fra"};

/* ---- the cluster ---- */

static int set_up(void **state)
{
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)snprintf(cs.token, sizeof cs.token, "secret");
    add_store(&cs, "FILES", PS_STORE_R2, "")->policy.timeout_ns = DEADLINE_S * PS_SECOND;
    cluster_start(cluster, &cs, 1000);
    *state = cluster;
    return 0;
}

/* ---- HTTP ---- */

struct client {
    int fd;
    struct ps_buf in;
    int status; /* 0: the connection ended */
    const char *head;
    const char *body; /* NUL-terminated, as `head` */
};

static struct client client_open(uint16_t port)
{
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = DEADLINE_S};
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return client;
}

static void client_close(struct client *client)
{
    (void)close(client->fd);
    ps_buf_fini(&client->in);
}

static void client_send(const struct client *client, struct ps_slice bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes = (struct ps_slice){bytes.data + sent, bytes.size - (size_t)sent};
    }
}

/* An answer with a Content-Length. */
static void client_read(struct client *client)
{
    client->in.size = 0;
    client->status = 0;
    for (;;) {
        const char *text = ps_buf_text(&client->in);
        const char *end = strstr(text, "\r\n\r\n");
        const char *size = end == NULL ? NULL : strcasestr(text, "\r\nContent-Length: ");
        if (size != NULL && size < end &&
            client->in.size >= (size_t)(end + 4 - text) + strtoull(size + 18, NULL, 10)) {
            client->status = atoi(text + 9);
            client->head = text;
            client->body = end + 4;
            return;
        }
        ps_buf_reserve(&client->in, LARGE);
        ssize_t got = recv(client->fd, client->in.data + client->in.size, LARGE, 0);
        if (got <= 0) {
            return;
        }
        client->in.size += (size_t)got;
    }
}

/* Begin a put: all but the value. `promised` bytes of it are said to come; -1: in chunks. */
static void put_head(const struct client *client, const char *json, const char *headers,
                     int64_t promised)
{
    struct ps_buf head = {0};
    ps_buf_printf(&head,
                  "PUT / HTTP/1.1\r\nHost: x\r\npopsim-store: FILES\r\n%s"
                  "CF-R2-Metadata-Size: %zu\r\n",
                  headers, strlen(json));
    if (promised < 0) {
        ps_buf_printf(&head, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(json), json);
    } else {
        ps_buf_printf(&head, "Content-Length: %" PRIu64 "\r\n\r\n%s",
                      strlen(json) + (uint64_t)promised, json);
    }
    client_send(client, ps_buf_slice(&head));
    ps_buf_fini(&head);
}

#define PUT(key) "{\"version\":1,\"method\":\"put\",\"object\":\"" key "\"}"
#define GET(key) "{\"version\":1,\"method\":\"get\",\"object\":\"" key "\"}"

static void ask(const struct client *client, const char *json)
{
    struct ps_buf head = {0};
    ps_buf_printf(&head,
                  "GET / HTTP/1.1\r\nHost: x\r\npopsim-store: FILES\r\nCF-R2-Request: %s\r\n\r\n",
                  json);
    client_send(client, ps_buf_slice(&head));
    ps_buf_fini(&head);
}

/* The value of a get: behind the JSON. */
static const char *value_of(const struct client *client)
{
    const char *size = strcasestr(client->head, "\r\nCF-R2-Metadata-Size: ");
    assert_true(size != NULL && size < client->body);
    return client->body + strtoull(size + 23, NULL, 10);
}

static void version_of(const struct client *client, char ret[33])
{
    const char *version = strstr(client->body, "\"version\":\"");
    assert_non_null(version);
    (void)snprintf(ret, 33, "%.32s", version + 11);
}

static struct ps_buf value_of_size(size_t size, char letter)
{
    struct ps_buf value = {0};
    for (size_t i = 0; i < size; i++) {
        ps_buf_append_char(&value, letter);
    }
    return value;
}

/* Put `size` times a letter; the version. */
static void put(const struct cluster *cluster, size_t pop, const char *json, const char *headers,
                size_t size, char letter, char ret_version[33])
{
    struct client client = client_open(cluster->ports[pop]);
    struct ps_buf value = value_of_size(size, letter);
    put_head(&client, json, headers, (int64_t)size);
    client_send(&client, ps_buf_slice(&value));
    client_read(&client);
    assert_int_equal(client.status, 200);
    version_of(&client, ret_version);
    ps_buf_fini(&value);
    client_close(&client);
}

static int status_of_get(const struct cluster *cluster, size_t pop, const char *json)
{
    struct client client = client_open(cluster->ports[pop]);
    ask(&client, json);
    client_read(&client);
    client_close(&client);
    return client.status;
}

static bool page_says(const struct cluster *cluster, size_t pop, const char *target,
                      const char *text)
{
    struct client client = client_open(cluster->ports[pop]);
    struct ps_buf head = {0};
    ps_buf_printf(&head, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n",
                  target);
    client_send(&client, ps_buf_slice(&head));
    client_read(&client);
    bool says = client.status == 200 && strstr(client.body, text) != NULL;
    ps_buf_fini(&head);
    client_close(&client);
    return says;
}

static uint64_t counter(const struct cluster *cluster, size_t pop, const char *name)
{
    struct client client = client_open(cluster->ports[pop]);
    char line[96];
    (void)snprintf(line, sizeof line, "\npopsim_%s{pop=\"%s\",store=\"FILES\"} ", name, codes[pop]);
    client_send(&client, PS_LIT("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    client_read(&client);
    const char *at = client.status == 200 ? strstr(client.body, line) : NULL;
    assert_non_null(at);
    uint64_t value = at == NULL ? 0 : strtoull(at + strlen(line), NULL, 10);
    client_close(&client);
    return value;
}

/* The files of home's blobs. With `remove` they go. */
static size_t blobs(const struct cluster *cluster, bool remove)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/FILES", cluster->folder, codes[HOME]);
    DIR *folder = opendir(path);
    size_t count = 0;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            count++;
            assert_true(!remove || unlinkat(dirfd(folder), entry->d_name, 0) == 0);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

/* ---- the tests ---- */

static void test_a_client_that_goes_leaves_nothing(void **state)
{
    const struct cluster *cluster = *state;
    struct ps_buf some = value_of_size(LARGE, 'a');
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client = client_open(cluster->ports[pop]);
        put_head(&client, PUT("k"), "", 4 * (int64_t)LARGE);
        client_send(&client, ps_buf_slice(&some));
        WAIT_FOR(blobs(cluster, false) == 1); /* it comes */
        client_close(&client);
        WAIT_FOR(blobs(cluster, false) == 0);
        assert_int_equal(status_of_get(cluster, pop, GET("k")), 404);
    }
    ps_buf_fini(&some);
}

static void test_bodies_in_chunks(void **state)
{
    const struct cluster *cluster = *state;
    struct ps_buf some = value_of_size(LARGE, 'a');
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client = client_open(cluster->ports[pop]);
        put_head(&client, PUT("k"), "", -1);
        client_send(&client, PS_LIT("100000\r\n"));
        client_send(&client, ps_buf_slice(&some));
        client_send(&client, PS_LIT("\r\n1\r\nb\r\n0\r\n\r\n"));
        client_read(&client);
        assert_int_equal(client.status, 200);
        assert_non_null(strstr(client.body, "\"size\":1048577,"));
        ask(&client, GET("k"));
        client_read(&client);
        const char *value = value_of(&client);
        assert_memory_equal(value, some.data, LARGE);
        assert_string_equal(value + LARGE, "b");
        client_close(&client);
    }
    ps_buf_fini(&some);
}

/* All of the body is read before the answer, and the connection goes on. */
static void test_errors_wait_for_the_body(void **state)
{
    const struct cluster *cluster = *state;

    static const struct {
        const char *json;
        int status;
    } cases[] = {{"{\"version\":1}", 400},
                 {"nonsense", 400},
                 {"{\"version\":1,\"method\":\"get\",\"object\":\"k\"}", 400},
                 {"{\"version\":1,\"method\":\"put\",\"object\":\"\"}", 400},
                 {"{\"version\":1,\"method\":\"put\",\"object\":\"k\","
                  "\"sha256\":\"00000000000000000000000000000000000000000000000000000000000000"
                  "00\"}",
                  400}};

    struct ps_buf some = value_of_size(LARGE, 'a');
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client = client_open(cluster->ports[pop]);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            put_head(&client, cases[i].json, "", 4 * (int64_t)LARGE);
            for (int k = 0; k < 4; k++) {
                client_send(&client, ps_buf_slice(&some));
            }
            client_read(&client);
            assert_int_equal(client.status, cases[i].status);
            assert_non_null(strstr(client.head, "CF-R2-Error: {\"version\":1,\"v4code\":100"));
        }
        ask(&client, GET("k"));
        client_read(&client);
        assert_int_equal(client.status, 404);
        client_close(&client);
    }
    ps_buf_fini(&some);
}

static void test_a_body_shorter_than_its_metadata(void **state)
{
    const struct cluster *cluster = *state;
    struct client client = client_open(cluster->ports[HOME]);
    client_send(&client, PS_LIT("PUT / HTTP/1.1\r\nHost: x\r\npopsim-store: FILES\r\n"
                                "CF-R2-Metadata-Size: 100\r\nContent-Length: 2\r\n\r\n{}"));
    client_read(&client);
    assert_int_equal(client.status, 400);
    assert_non_null(strstr(client.head, "Metadata missing or invalid"));
    client_send(&client, PS_LIT("PUT / HTTP/1.1\r\nHost: x\r\npopsim-store: FILES\r\n"
                                "CF-R2-Metadata-Size: 100\r\nContent-Length: 0\r\n\r\n"));
    client_read(&client);
    assert_int_equal(client.status, 400);
    client_close(&client);
}

/* Home is silent when the mutation comes, is killed, and has it when it is back. */
static void test_home_is_killed_under_a_mutation(void **state)
{
    struct cluster *cluster = *state;
    char version[33];
    char again[33];
    static const char token[] = "popsim-token: 000102030405060708090a0b0c0d0e0f\r\n";
    put(cluster, AWAY, PUT("first"), "", 10, 'a', version); /* the way is open */
    assert_int_equal(kill(cluster->pids[HOME], SIGSTOP), 0);
    uint64_t before = counter(cluster, AWAY, "forward_retries_total");
    struct client client = client_open(cluster->ports[AWAY]);
    put_head(&client, PUT("k"), token, 5);
    client_send(&client, PS_LIT("hello"));
    WAIT_FOR(counter(cluster, AWAY, "forward_retries_total") > before);
    kill_node(cluster, HOME);
    restart_node(cluster, HOME);
    client_read(&client);
    assert_int_equal(client.status, 200);
    version_of(&client, version);
    client_close(&client);
    put(cluster, AWAY, PUT("k"), token, 5, 'x', again); /* the same write: it was done */
    assert_string_equal(again, version);
    for (size_t pop = 0; pop < POPS; pop++) {
        client = client_open(cluster->ports[pop]);
        ask(&client, GET("k"));
        client_read(&client);
        assert_int_equal(client.status, 200);
        assert_string_equal(value_of(&client), "hello");
        client_close(&client);
    }
}

/* A blob is gone when its version was found: the read is decided again, and finds the next one. */
static void test_a_read_whose_blob_is_gone(void **state)
{
    const struct cluster *cluster = *state;
    struct ps_buf expected = value_of_size(LARGE, 'b');
    for (size_t pop = 0; pop < POPS; pop++) {
        bool seen = false;
        uint64_t end_ns = mono_ns() + DEADLINE_S * UINT64_C(1000000000);
        while (!seen) {
            char version[33];
            assert_true(mono_ns() < end_ns);
            put(cluster, HOME, PUT("k"), "", LARGE, 'a', version);
            assert_true(blobs(cluster, true) > 0);
            uint64_t before = counter(cluster, pop, "reads_total");
            struct client client = client_open(cluster->ports[pop]);
            ask(&client, GET("k"));
            WAIT_FOR(counter(cluster, pop, "reads_total") > before);
            put(cluster, HOME, PUT("k"), "", LARGE, 'b', version);
            client_read(&client);
            seen = client.status == 200; /* else it was given up before */
            if (seen) {
                char read[33];
                version_of(&client, read);
                assert_string_equal(read, version);
                assert_memory_equal(value_of(&client), expected.data, LARGE);
            } else {
                assert_int_equal(client.status, 500);
            }
            client_close(&client);
        }
    }
    ps_buf_fini(&expected);
}

/* A file that is lost is told of, and is not looked for without end. */
static void test_a_blob_that_is_lost(void **state)
{
    const struct cluster *cluster = *state;
    char version[33];
    put(cluster, HOME, PUT("k"), "", LARGE, 'a', version);
    assert_int_equal(blobs(cluster, true), 1);
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client = client_open(cluster->ports[pop]);
        ask(&client, GET("k"));
        client_read(&client);
        assert_int_equal(client.status, 500);
        assert_non_null(strstr(client.head, "\"v4code\":10001,"));
        client_close(&client);
    }
}

/* Sweeping would hide what is left. */
static int set_up_unswept(void **state)
{
    (void)setenv(NODES_SWEEP_EVERY, "3600000", 1);
    int bad = set_up(state);
    (void)unsetenv(NODES_SWEEP_EVERY);
    return bad;
}

/* What was uploaded for a put that is refused then goes at once; what is there stays. */
static void test_a_refused_put_leaves_nothing(void **state)
{
    static const struct {
        const char *json;
        int status;
    } cases[] = {{"{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"onlyIf\":{\"etagMatches\":["
                  "{\"value\":\"00000000000000000000000000000000\",\"type\":\"strong\"}]}}",
                  412},
                 {"{\"version\":1,\"method\":\"uploadPart\",\"object\":\"k\",\"partNumber\":1,"
                  "\"uploadId\":\"00000000000000000000000000000000\"}",
                  404},
                 {"{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"sha256\":"
                  "\"0000000000000000000000000000000000000000000000000000000000000000\"}",
                  400}};

    const struct cluster *cluster = *state;
    char version[33];
    put(cluster, HOME, PUT("k"), "", LARGE, 'a', version);
    struct ps_buf some = value_of_size(LARGE, 'b');
    for (size_t pop = 0; pop < POPS; pop++) {
        struct client client = client_open(cluster->ports[pop]);
        for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
            char token[80]; /* each one twice */
            (void)snprintf(token, sizeof token, "popsim-token: %032zx\r\n",
                           100 * (pop + 1) + i / 2);
            put_head(&client, cases[i / 2].json, token, LARGE);
            client_send(&client, ps_buf_slice(&some));
            client_read(&client);
            assert_int_equal(client.status, cases[i / 2].status);
            WAIT_FOR(blobs(cluster, false) == 1);
        }
        ask(&client, GET("k"));
        client_read(&client);
        assert_int_equal(client.status, 200);
        client_close(&client);
    }
    ps_buf_fini(&some);
}

static void test_what_it_holds_is_told(void **state)
{
    struct cluster *cluster = *state;
    char version[33];
    put(cluster, AWAY, PUT("a"), "", 100, 'a', version);
    put(cluster, AWAY, PUT("b"), "", LARGE, 'b', version);
    put(cluster, AWAY, PUT("b"), "", 200, 'b', version);
    WAIT_FOR(page_says(cluster, HOME, "/popsim/state", "\"objects\":2,\"bytes\":300"));
    assert_int_equal(counter(cluster, HOME, "object_bytes"), 300);
    assert_int_equal(counter(cluster, AWAY, "writes_total"), 3);
    assert_false(page_says(cluster, AWAY, "/popsim/state", "\"objects\":"));
    kill_node(cluster, HOME);
    restart_node(cluster, HOME);
    WAIT_FOR(page_says(cluster, HOME, "/popsim/state", "\"objects\":2,\"bytes\":300"));
}

/* ---- buckets are dropped ---- */

/* Another PoP than the bucket's home says which buckets there are. */
static int set_up_away(void **state)
{
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)snprintf(cs.token, sizeof cs.token, "secret");
    add_store(&cs, "FILES", PS_STORE_R2, "")->home = AWAY;
    cluster_start(cluster, &cs, 1000);
    *state = cluster;
    return 0;
}

#define BUCKETS "/client/v4/accounts/a/r2/buckets"

/* The cluster's home is silent, so that the bucket stays for now; whether it is empty was looked at
 * by the time that this returns. */
static struct client begin_to_drop(const struct cluster *cluster)
{
    uint64_t before =
        counter(cluster, AWAY, "lists_total") + counter(cluster, AWAY, "writes_total");
    assert_int_equal(kill(cluster->pids[HOME], SIGSTOP), 0);
    struct client client = client_open(cluster->ports[AWAY]);
    client_send(&client, PS_LIT("DELETE " BUCKETS "/files HTTP/1.1\r\nHost: x\r\n"
                                "Authorization: Bearer secret\r\n\r\n"));
    WAIT_FOR(counter(cluster, AWAY, "lists_total") + counter(cluster, AWAY, "writes_total") >
             before);
    return client;
}

static int status_of_put(const struct cluster *cluster, size_t pop)
{
    struct client client = client_open(cluster->ports[pop]);
    put_head(&client, PUT("k"), "", 5);
    client_send(&client, PS_LIT("hello"));
    client_read(&client);
    client_close(&client);
    return client.status;
}

/* A put that comes between the look and the drop is not lost: it is refused. */
static void test_a_put_while_its_bucket_is_dropped(void **state)
{
    const struct cluster *cluster = *state;
    struct client client = begin_to_drop(cluster);
    int put_status = status_of_put(cluster, AWAY);
    assert_int_equal(kill(cluster->pids[HOME], SIGCONT), 0);
    client_read(&client);
    assert_int_equal(client.status, 200);
    assert_int_equal(put_status, 404);
    client_close(&client);
}

/* Its home goes on when whoever began it is gone. */
static void test_a_drop_that_was_broken_off(void **state)
{
    struct cluster *cluster = *state;
    assert_true(page_says(cluster, HOME, BUCKETS, "\"name\":\"files\""));
    struct client client = begin_to_drop(cluster);
    kill_node(cluster, AWAY);
    client_close(&client);
    assert_int_equal(kill(cluster->pids[HOME], SIGCONT), 0);
    restart_node(cluster, AWAY);
    WAIT_FOR(page_says(cluster, HOME, BUCKETS, "\"buckets\":[]"));
}

int main(int argc, char **argv)
{
    int ret;
    if (nodes_become(argc, argv, &ret)) {
        return ret;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, cluster_tear_down)
#define TEST_AWAY(function)                                                                        \
    cmocka_unit_test_setup_teardown(function, set_up_away, cluster_tear_down)
#define TEST_UNSWEPT(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, set_up_unswept, cluster_tear_down)
    const struct CMUnitTest tests[] = {TEST_UNSWEPT(test_a_refused_put_leaves_nothing),
                                       TEST(test_a_client_that_goes_leaves_nothing),
                                       TEST(test_bodies_in_chunks),
                                       TEST(test_errors_wait_for_the_body),
                                       TEST(test_a_body_shorter_than_its_metadata),
                                       TEST(test_home_is_killed_under_a_mutation),
                                       TEST(test_a_read_whose_blob_is_gone),
                                       TEST(test_a_blob_that_is_lost),
                                       TEST(test_what_it_holds_is_told),
                                       TEST_AWAY(test_a_put_while_its_bucket_is_dropped),
                                       TEST_AWAY(test_a_drop_that_was_broken_off)};
    return cmocka_run_group_tests_name("node_r2", tests, NULL, NULL);
}
