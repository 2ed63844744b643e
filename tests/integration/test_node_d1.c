/* D1 on real node processes: three PoPs of one cluster, spoken to over HTTP as workerd's binding
 * and the REST API do.
 *
 * The program starts itself again as `test_node_d1 --node FOLDER POP`. `test_node_d1 'test_home*'`
 * runs only some. PS_D1_KILL_ROUNDS: how often home is killed while it commits (5; the long form:
 * 200). */
#include "node/d1/bookmark.h"
#include "node/d1/page.h"
#include "node/map/map.h"
#include "replication/base/memory.h"
#include "tests/support/nodes.h"

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { POPS = 3, HOME = 0, SPEED = 60 };

/* Four seconds of the wall: what is read of SLOW stays stale while a loaded machine delivers. */
#define SLOW_NS (240 * PS_SECOND)

#define REST "/client/v4/accounts/a/d1/database"

#define ANYWHERE "first-unconstrained"

static const char *const codes[POPS] = {"ams", "fra", "sin"};

/* ---- the cluster ---- */

/* DB shows what is committed at once; SLOW after a while; KV is there to be disturbed. */
static int set_up(void **state)
{
    struct ps_cluster_state cs;
    struct cluster *cluster = cluster_create(codes, POPS, &cs);
    (void)add_store(&cs, "KV", PS_STORE_KV, "none");
    (void)add_store(&cs, "DB", PS_STORE_D1, "none");
    struct ps_store *slow = add_store(&cs, "SLOW", PS_STORE_D1, "none");
    ps_delay_fini(&slow->policy.push.delay);
    slow->policy.push.delay =
        (struct ps_delay){.kind = PS_DELAY_CONSTANT, .constant = {.value_ns = SLOW_NS}};
    slow->policy.timeout_ns = DEADLINE_S * SPEED * PS_SECOND;
    cluster_start(cluster, &cs, SPEED * 1000);
    *state = cluster;
    return 0;
}

/* ---- SQL ---- */

/* What the binding sends for one statement, or `body` as it is where it begins with '['. */
static void put_request(struct ps_buf *request, const char *store, const char *sql,
                        const char *session)
{
    struct ps_buf body = {0};
    if (sql[0] == '[') {
        ps_buf_append_text(&body, sql);
    } else {
        ps_buf_append_text(&body, "{\"sql\":");
        ps_buf_append_json(&body, ps_slice_of(sql));
        ps_buf_append_text(&body, ",\"params\":[]}");
    }
    ps_buf_printf(request,
                  "POST /query?resultsFormat=ROWS_AND_COLUMNS HTTP/1.1\r\nHost: d1\r\n"
                  "Connection: close\r\nContent-Length: %zu\r\npopsim-store: %s\r\n",
                  body.size, store);
    if (session != NULL) {
        ps_buf_printf(request, "x-cf-d1-session-commit-token: %s\r\n", session);
    }
    ps_buf_append_text(request, "\r\n");
    ps_buf_append_slice(request, ps_buf_slice(&body));
    ps_buf_fini(&body);
}

/* Send a request and leave its answer for later; -1 if the node is not there. */
static int ask(uint16_t port, const char *store, const char *sql, const char *session)
{
    int fd = dial(port);
    struct ps_buf request = {0};
    put_request(&request, store, sql, session);
    if (fd >= 0 && !send_all(fd, request.data, request.size)) {
        (void)close(fd);
        fd = -1;
    }
    ps_buf_fini(&request);
    return fd;
}

static struct reply run(uint16_t port, const char *store, const char *sql, const char *session)
{
    struct reply reply = {.body = ""};
    int fd = ask(port, store, sql, session);
    if (fd >= 0) {
        read_to_end(fd, &reply.bytes);
        reply_parse(&reply);
        (void)close(fd);
    }
    return reply;
}

/* Did it run, and does its answer say so? */
static bool runs(uint16_t port, const char *store, const char *sql, const char *session,
                 const char *says)
{
    struct reply reply = run(port, store, sql, session);
    bool good = reply.status == 200 && strstr(reply.body, "\"error\"") == NULL &&
                strstr(reply.body, "\"success\":true") != NULL && strstr(reply.body, says) != NULL;
    reply_fini(&reply);
    return good;
}

static bool fails(uint16_t port, const char *store, const char *sql, const char *session,
                  const char *says)
{
    struct reply reply = run(port, store, sql, session);
    bool failed = reply.status == 200 && strstr(reply.body, "{\"success\":false") == reply.body &&
                  strstr(reply.body, says) != NULL;
    if (!failed) {
        print_error("%s: %s\n", sql, reply.body);
    }
    reply_fini(&reply);
    return failed;
}

/* Run it, which must go well, and give its bookmark. */
static int64_t run_for_bookmark(uint16_t port, const char *store, const char *sql,
                                char ret[PS_BOOKMARK_SIZE + 1])
{
    static const char name[] = "\r\nx-cf-d1-session-commit-token: ";
    struct reply reply = run(port, store, sql, NULL);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"success\":true"));
    const char *at = strstr(ps_buf_text(&reply.bytes), name);
    assert_non_null(at);
    memcpy(ret, at + sizeof name - 1, PS_BOOKMARK_SIZE);
    ret[PS_BOOKMARK_SIZE] = 0;
    int64_t lsn = header_number(&reply, "popsim-lsn");
    reply_fini(&reply);
    return lsn;
}

/* ---- tests ---- */

static void test_written_anywhere_read_everywhere(void **state)
{
    struct cluster *cluster = *state;
    for (size_t i = 0; i < POPS; i++) {
        assert_true(runs(cluster->ports[i], "DB", "SELECT 1", ANYWHERE, "\"rows\":[[1]]"));
        assert_true(
            fails(cluster->ports[i], "DB", "SELECT * FROM t", ANYWHERE, "no such table: t"));
    }
    assert_true(runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
                     NULL, "\"served_by_colo\":\"AMS\",\"served_by_primary\":true"));
    for (size_t at = 0; at < POPS; at++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "INSERT INTO t (b) VALUES ('%s')", codes[at]);
        assert_true(runs(cluster->ports[at], "DB", sql, at == 2 ? ANYWHERE : NULL,
                         "\"served_by_primary\":true")); /* who writes is sent to home */
        for (size_t i = 0; i < POPS; i++) {
            (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE b = '%s'", codes[at]);
            assert_true(runs(cluster->ports[i], "DB", sql, NULL, "\"rows\":[[1]]"));
            assert_true(runs(cluster->ports[i], "DB", sql, "first-primary", "\"rows\":[[1]]"));
        }
    }
    WAIT_FOR(runs(cluster->ports[2], "DB", "SELECT group_concat(b) FROM t", ANYWHERE,
                  "\"rows\":[[\"ams,fra,sin\"]]"));
    assert_true(runs(cluster->ports[2], "DB", "SELECT 1", ANYWHERE,
                     "\"served_by_region\":\"APAC\",\"served_by_colo\":\"SIN\","
                     "\"served_by_primary\":false"));
}

static void test_a_batch_is_one_transaction(void **state)
{
    struct cluster *cluster = *state;
    assert_true(
        runs(cluster->ports[2], "DB",
             "[{\"sql\":\"CREATE TABLE t (a UNIQUE)\"},{\"sql\":\"INSERT INTO t VALUES (?)\","
             "\"params\":[7]}]",
             NULL, "\"changes\":1"));
    assert_true(
        fails(cluster->ports[2], "DB",
              "[{\"sql\":\"INSERT INTO t VALUES (8)\"},{\"sql\":\"INSERT INTO t VALUES (7)\"}]",
              NULL, "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT"));
    assert_true(runs(cluster->ports[1], "DB", "SELECT a FROM t", NULL, "\"rows\":[[7]]"));
    struct reply reply = run(cluster->ports[1], "DB", "SELECT a FROM t", NULL);
    assert_int_equal(header_number(&reply, "popsim-lsn"), 1);
    reply_fini(&reply);
    assert_true(fails(cluster->ports[1], "DB", "BEGIN", NULL, "To execute a transaction"));
    assert_true(fails(cluster->ports[1], "DB", "[]", NULL, "No SQL statements detected."));
    assert_true(fails(cluster->ports[1], "DB", "[3]", NULL, "\\\"sql\\\" is no string"));
}

static bool has_come(uint16_t port, const char *store, int64_t lsn)
{
    struct reply reply = run(port, store, "SELECT 1", ANYWHERE);
    bool has = header_number(&reply, "popsim-latest-lsn") >= lsn;
    reply_fini(&reply);
    return has;
}

static void test_stale_then_fresh(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    (void)run_for_bookmark(cluster->ports[1], "SLOW", "CREATE TABLE t (a)", bookmark);
    assert_true(runs(cluster->ports[2], "SLOW", "SELECT count(*) FROM t", bookmark, "[[0]]"));
    assert_int_equal(
        run_for_bookmark(cluster->ports[1], "SLOW", "INSERT INTO t VALUES (1)", bookmark), 2);
    WAIT_FOR(has_come(cluster->ports[2], "SLOW", 2)); /* long before it is visible */
    struct reply reply = run(cluster->ports[2], "SLOW", "SELECT count(*) FROM t", ANYWHERE);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"rows\":[[0]]"));
    assert_int_equal(header_number(&reply, "popsim-lsn"), 1);
    assert_int_equal(header_number(&reply, "popsim-latest-lsn"), 2);
    assert_int_equal(header_number(&reply, "popsim-behind"), 1);
    assert_true(header_number(&reply, "popsim-time") > 0);
    assert_int_equal(header_number(&reply, "popsim-boot"), 1);
    reply_fini(&reply);
    /* A statement that writes does not wait for the replica. */
    assert_true(runs(cluster->ports[2], "SLOW", "INSERT INTO t VALUES (2)", bookmark,
                     "\"served_by_primary\":true"));
    assert_true(
        runs(cluster->ports[2], "SLOW", "SELECT 1 FROM t WHERE a = 2", ANYWHERE, "\"rows\":[]"));
    /* One that reads does, and is served here. */
    reply = run(cluster->ports[2], "SLOW", "SELECT count(*) FROM t", bookmark);
    assert_non_null(strstr(reply.body, "\"served_by_primary\":false"));
    assert_null(strstr(reply.body, "\"rows\":[[0]]"));
    assert_true(header_number(&reply, "popsim-lsn") >= 2);
    reply_fini(&reply);
    WAIT_FOR(runs(cluster->ports[2], "SLOW", "SELECT count(*) FROM t", ANYWHERE, "[[2]]"));
}

static void test_bookmarks_that_cannot_be_reached(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    assert_int_equal(run_for_bookmark(cluster->ports[1], "DB", "CREATE TABLE t (a)", bookmark), 1);
    assert_true(fails(cluster->ports[2], "DB", "SELECT 1", "yesterday", "invalid bookmark"));
    assert_true(
        fails(cluster->ports[2], "SLOW", "SELECT 1", bookmark, "it is not of this database"));
    struct ps_bookmark future;
    assert_int_equal(ps_bookmark_read(ps_slice_of(bookmark), &future), PS_OK);
    future.lsn = 99;
    ps_bookmark_write(bookmark, &future);
    for (size_t i = 0; i < POPS; i++) {
        assert_true(fails(cluster->ports[i], "DB", "SELECT 1", bookmark,
                          "not reached in time: it is of LSN 99, and at "));
    }
    assert_true(fails(cluster->ports[2], "DB", "INSERT INTO t VALUES (1)", bookmark,
                      "not reached in time"));
}

/* How often queries of DB were tried again here. */
static uint64_t query_retries(uint16_t port)
{
    struct reply reply = call(port, "GET", "/metrics", NULL, "", PS_LIT(""));
    const char *at = strstr(reply.body, "popsim_query_retries_total{");
    at = at == NULL ? NULL : strstr(at, "store=\"DB\"} ");
    uint64_t count = at == NULL ? 0 : strtoull(at + strlen("store=\"DB\"} "), NULL, 10);
    reply_fini(&reply);
    return count;
}

static void test_cut_off(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    (void)run_for_bookmark(cluster->ports[1], "DB", "CREATE TABLE t (a)", bookmark);
    assert_true(runs(cluster->ports[2], "DB", "SELECT count(*) FROM t", bookmark, "[[0]]"));
    assert_int_equal(
        call_status(cluster->ports[2], "POST", "/popsim/link", NULL, "{\"outages\":[[null,null]]}"),
        200);
    (void)run_for_bookmark(cluster->ports[1], "DB", "INSERT INTO t VALUES (1)", bookmark);
    assert_true(runs(cluster->ports[2], "DB", "SELECT count(*) FROM t", ANYWHERE, "[[0]]"));
    uint64_t before = query_retries(cluster->ports[2]);
    assert_true(
        fails(cluster->ports[2], "DB", "SELECT count(*) FROM t", NULL, "Network connection lost"));
    assert_int_equal(query_retries(cluster->ports[2]), before + 2);
    assert_true(fails(cluster->ports[2], "DB", "INSERT INTO t VALUES (2)", ANYWHERE,
                      "Network connection lost"));
    assert_int_equal(query_retries(cluster->ports[2]), before + 2); /* a write is not */
    assert_true(fails(
        cluster->ports[2], "DB", "SELECT count(*) FROM t", bookmark,
        "not reached in time: it is of LSN 2, which the policy and the link do not show at sin"));
    int fd = ask(cluster->ports[2], "SLOW", "SELECT 1", ANYWHERE);
    assert_true(fd >= 0);
    (void)close(fd); /* a client that goes away leaves nothing behind */
    assert_int_equal(call_status(cluster->ports[2], "POST", "/popsim/heal", NULL, "{}"), 200);
    assert_true(runs(cluster->ports[2], "DB", "SELECT count(*) FROM t", bookmark, "[[1]]"));
}

static bool readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

static bool state_says(uint16_t port, const char *text)
{
    struct reply reply = call(port, "GET", "/popsim/state", NULL, "", (struct ps_slice){0});
    bool says = reply.status == 200 && strstr(reply.body, text) != NULL;
    reply_fini(&reply);
    return says;
}

/* ---- the order of what was seen ---- */

struct seen {
    int64_t lsn;
    int64_t eval_ns;
    bool wrote;
};

/* Commit times by LSN, from home's log. */
static size_t read_commits(uint16_t port, const char *store, int64_t *ret, size_t count_max)
{
    char target[64];
    (void)snprintf(target, sizeof target, "/popsim/log?store=%s", store);
    struct reply reply = call(port, "GET", target, NULL, "", (struct ps_slice){0});
    assert_int_equal(reply.status, 200);
    size_t count = 0;
    for (const char *line = reply.body; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_true(++count < count_max);
        int64_t lsn;
        assert_int_equal(
            sscanf(line, "{\"lsn\":%" SCNd64 ",\"commit_ns\":%" SCNd64, &lsn, &ret[count]), 2);
        assert_int_equal(lsn, count);
        assert_non_null(strstr(line, ",\"key\":\"\",\"unix_ms\":17"));
    }
    reply_fini(&reply);
    return count;
}

/* DB delays nothing: whoever is asked, at home or elsewhere, sees what was committed by then. */
static void check_seen(const struct seen *seen, const int64_t *commits, size_t count)
{
    assert_true(seen->lsn >= 0 && (size_t)seen->lsn <= count);
    if (seen->wrote) {
        assert_int_equal(seen->eval_ns, commits[seen->lsn]);
        return;
    }
    assert_true(seen->lsn == 0 || commits[seen->lsn] <= seen->eval_ns);
    assert_true((size_t)seen->lsn == count || commits[seen->lsn + 1] > seen->eval_ns);
}

static struct seen see(int fd)
{
    struct reply reply = {.body = ""};
    read_to_end(fd, &reply.bytes);
    reply_parse(&reply);
    (void)close(fd);
    assert_int_equal(reply.status, 200);
    struct seen seen = {.lsn = header_number(&reply, "popsim-lsn"),
                        .eval_ns = header_number(&reply, "popsim-time"),
                        .wrote = header_number(&reply, "popsim-wrote") == 1};
    assert_true(!seen.wrote || header_number(&reply, "popsim-home") == 1);
    /* 'now' lies before what came of it. */
    int64_t run_ns = header_number(&reply, "popsim-run-time");
    assert_true(run_ns > 0 && run_ns <= seen.eval_ns);
    assert_int_equal(header_number(&reply, "popsim-status"), -1);
    reply_fini(&reply);
    return seen;
}

static void test_answers_have_one_order(void **state)
{
    enum { ROUNDS = 40, ASKED = 9, COMMITS_MAX = 2 * ROUNDS * ASKED };

    struct cluster *cluster = *state;
    static const char *const requests[] = {
        "INSERT INTO t VALUES (1)", "SELECT count(*) FROM t", "SELECT * FROM no_such_table",
        "UPDATE t SET a = 2 WHERE a = 3", "INSERT INTO t SELECT count(*) FROM t"};
    static const char *const sessions[] = {NULL, ANYWHERE};
    struct seen *seen = PS_NEW_ARRAY(struct seen, ROUNDS * ASKED);
    size_t wrote = 0;
    assert_true(runs(cluster->ports[1], "DB", "CREATE TABLE t (a)", NULL, ""));
    WAIT_FOR(runs(cluster->ports[1], "DB", "SELECT * FROM t", ANYWHERE, ""));
    WAIT_FOR(runs(cluster->ports[2], "DB", "SELECT * FROM t", ANYWHERE, ""));
    for (size_t round = 0; round < ROUNDS; round++) {
        int fds[ASKED];
        for (size_t i = 0; i < ASKED; i++) {
            fds[i] = ask(cluster->ports[i % POPS], "DB", requests[(round + i) % 5],
                         sessions[(round / 3 + i) % 2]);
            assert_true(fds[i] >= 0);
        }
        for (size_t i = 0; i < ASKED; i++) {
            seen[round * ASKED + i] = see(fds[i]);
            wrote += seen[round * ASKED + i].wrote ? 1 : 0;
        }
    }
    int64_t commits[COMMITS_MAX];
    size_t count = read_commits(cluster->ports[HOME], "DB", commits, COMMITS_MAX);
    assert_int_equal(count, wrote + 1);
    for (size_t i = 0; i < (size_t)ROUNDS * ASKED; i++) {
        check_seen(&seen[i], commits, count);
    }
    free(seen);
}

/* Who waited in vain says when it gave up; whom home did not answer, nothing. */
static void test_failures_say_why(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    (void)run_for_bookmark(cluster->ports[1], "DB", "CREATE TABLE t (a)", bookmark);
    assert_int_equal(
        call_status(cluster->ports[2], "POST", "/popsim/link", NULL, "{\"outages\":[[null,null]]}"),
        200);
    (void)run_for_bookmark(cluster->ports[1], "DB", "INSERT INTO t VALUES (1)", bookmark);
    struct reply reply = run(cluster->ports[2], "DB", "SELECT 1", bookmark);
    assert_non_null(strstr(ps_buf_text(&reply.bytes), "popsim-status: timeout\r\n"));
    assert_true(header_number(&reply, "popsim-time") > 0);
    assert_int_equal(header_number(&reply, "popsim-home"), -1);
    reply_fini(&reply);
    reply = run(cluster->ports[2], "DB", "SELECT 1", NULL);
    assert_non_null(strstr(ps_buf_text(&reply.bytes), "popsim-status: unreachable\r\n"));
    assert_int_equal(header_number(&reply, "popsim-time"), 0);
    reply_fini(&reply);
}

/* Queries without an end run on a replica and at home; both stop when their nodes do (tear_down).
 */
static void test_keys_are_read_while_a_query_runs(void **state)
{
    struct cluster *cluster = *state;
    static const char endless[] =
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    int replica = ask(cluster->ports[2], "DB", endless, ANYWHERE);
    int primary = ask(cluster->ports[HOME], "DB", endless, NULL);
    assert_true(replica >= 0 && primary >= 0);
    WAIT_FOR(state_says(cluster->ports[2], "\"queries\":1"));
    WAIT_FOR(state_says(cluster->ports[HOME], "\"queries\":1"));
    char target[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(target, sizeof target, "/k%d?urlencoded=true", i);
        assert_int_equal(call_status(cluster->ports[2], "PUT", target, "KV", "v"), 200);
        assert_int_equal(call_status(cluster->ports[2], "GET", target, "KV", ""), 200);
        assert_int_equal(call_status(cluster->ports[HOME], "GET", target, "KV", ""), 200);
    }
    /* Another database is not disturbed either. */
    assert_true(runs(cluster->ports[HOME], "SLOW", "CREATE TABLE t (a)", NULL, ""));
    assert_false(readable(replica));
    assert_false(readable(primary));
    (void)close(replica);
    (void)close(primary);
}

/* ---- crashes ---- */

static void insert_rows(uint16_t port, int from, int count)
{
    char sql[160];
    for (int i = from; i < from + count; i++) {
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO t VALUES (%d, hex(randomblob(%d))); SELECT count(*) FROM t", i,
                       1 + i * 37 % 3000);
        assert_true(runs(port, "DB", sql, NULL, "\"rows\""));
    }
}

static bool counts(uint16_t port, const char *session, int count)
{
    char says[64];
    (void)snprintf(says, sizeof says, "\"rows\":[[%d,%d]]", count, count - 1);
    return runs(port, "DB", "SELECT count(*), max(a) FROM t", session, says) &&
           runs(port, "DB", "PRAGMA quick_check", session, "\"rows\":[[\"ok\"]]");
}

/* A map of a node that is down. */
static struct ps_map *open_map(const struct cluster *cluster, size_t i, const char *store,
                               ps_map_store *ret)
{
    char path[256];
    struct ps_map *map = NULL;
    (void)snprintf(path, sizeof path, "%s/pop-%s/map", cluster->folder, codes[i]);
    assert_int_equal(ps_map_open_lmdb(path, false, &map, NULL), PS_OK);
    assert_int_equal(ps_map_store_open(map, ps_slice_of(store), ret, NULL), PS_OK);
    return map;
}

struct pages {
    struct ps_buf bytes;
    size_t count;
};

static bool add_page(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct pages *pages = context;
    pages->count++;
    ps_buf_append_slice(&pages->bytes, key);
    ps_buf_append_u64(&pages->bytes, version->lsn);
    ps_buf_append_slice(&pages->bytes, version->value);
    return true;
}

static struct pages read_pages(const struct cluster *cluster, size_t i)
{
    struct pages pages = {.count = 0};
    ps_map_store store;
    struct ps_map *map = open_map(cluster, i, "DB", &store);
    const struct ps_bound newest = PS_BOUND_NEWEST;
    assert_int_equal(ps_map_read_begin(map), PS_OK);
    assert_int_equal(ps_map_list(map, store, (struct ps_slice){0}, (struct ps_slice){0}, &newest,
                                 add_page, &pages),
                     PS_OK);
    ps_map_read_end(map);
    ps_map_close(map);
    return pages;
}

/* All nodes have the same pages, byte by byte. They are down afterwards. */
static void check_pages(struct cluster *cluster, const char *bookmark)
{
    for (size_t i = 0; i < POPS; i++) {
        assert_true(runs(cluster->ports[i], "DB", "SELECT 1", bookmark, ""));
    }
    for (size_t i = 0; i < POPS; i++) {
        kill_node(cluster, i);
    }
    struct pages home = read_pages(cluster, HOME);
    assert_true(home.count > 2);
    for (size_t i = 1; i < POPS; i++) {
        struct pages here = read_pages(cluster, i);
        assert_int_equal(here.count, home.count);
        assert_true(ps_slice_eq(ps_buf_slice(&here.bytes), ps_buf_slice(&home.bytes)));
        ps_buf_fini(&here.bytes);
    }
    ps_buf_fini(&home.bytes);
}

static void test_follower_killed(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    assert_true(
        runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", NULL, ""));
    insert_rows(cluster->ports[1], 0, 20);
    kill_node(cluster, 2);
    insert_rows(cluster->ports[1], 20, 60);
    start_node(cluster, 2);
    wait_for_node(cluster, 2);
    (void)run_for_bookmark(cluster->ports[1], "DB", "UPDATE t SET b = 'x' WHERE a % 7 = 0",
                           bookmark);
    assert_true(counts(cluster->ports[2], bookmark, 80));
    assert_true(state_says(cluster->ports[2], "\"snapshots\":0"));
    check_pages(cluster, bookmark);
}

/* Records of many megabytes for two followers at once; home goes on meanwhile. */
static void test_large_records_are_caught_up(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    assert_true(
        runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", NULL, ""));
    kill_node(cluster, 1);
    kill_node(cluster, 2);
    static const char *const large[] = {
        ("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999) "
         "INSERT INTO t SELECT i, randomblob(3000) FROM n"),
        "UPDATE t SET b = randomblob(2990) WHERE a % 2 = 0",
        "DELETE FROM t WHERE a >= 3000",
    };
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        assert_true(runs(cluster->ports[HOME], "DB", large[i], NULL, ""));
    }
    start_node(cluster, 1);
    start_node(cluster, 2);
    wait_for_node(cluster, 1);
    wait_for_node(cluster, 2);
    assert_int_equal(call_status(cluster->ports[HOME], "PUT", "/k", "KV", "v"), 200);
    (void)run_for_bookmark(cluster->ports[HOME], "DB", "UPDATE t SET b = 'x' WHERE a % 7 = 0",
                           bookmark);
    for (size_t i = 0; i < POPS; i++) {
        WAIT_FOR(
            counts(cluster->ports[i], bookmark, 3000)); /* at a time limit there is more to do */
        assert_true(i == HOME || state_says(cluster->ports[i], "\"snapshots\":0"));
    }
    check_pages(cluster, bookmark);
}

static void test_home_killed(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    assert_true(
        runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", NULL, ""));
    insert_rows(cluster->ports[1], 0, 20);
    kill_node(cluster, HOME);
    assert_true(counts(cluster->ports[2], ANYWHERE, 20)); /* from what it has */
    assert_true(fails(cluster->ports[2], "DB", "DELETE FROM t", NULL, "Network connection lost"));
    start_node(cluster, HOME);
    wait_for_node(cluster, HOME);
    assert_true(counts(cluster->ports[HOME], NULL, 20));
    insert_rows(cluster->ports[2], 20, 20);
    (void)run_for_bookmark(cluster->ports[1], "DB", "UPDATE t SET b = b || 'y'", bookmark);
    for (size_t i = 0; i < POPS; i++) {
        assert_true(counts(cluster->ports[i], bookmark, 40));
    }
    check_pages(cluster, bookmark);
}

/* A record that home never made. */
static void add_false_record(const struct cluster *cluster, size_t i)
{
    ps_map_store store;
    struct ps_map *map = open_map(cluster, i, "DB", &store);
    struct ps_log_state log;
    char keys[2][PS_PAGE_KEY_SIZE];
    char head[PS_PAGE_HEAD_SIZE];
    char page[PS_PAGE_KEPT];
    memset(page, 'x', sizeof page);
    ps_page_key(keys[0], 0);
    ps_page_key(keys[1], 2);
    assert_int_equal(ps_map_log_state(map, store, &log), PS_OK);
    const struct ps_bound newest = PS_BOUND_NEWEST;
    struct ps_version version;
    assert_int_equal(ps_map_read_begin(map), PS_OK);
    assert_int_equal(
        ps_map_get(map, store, (struct ps_slice){keys[0], sizeof keys[0]}, &newest, &version),
        PS_OK);
    assert_int_equal(version.value.size, sizeof head);
    memcpy(head, version.value.data, sizeof head);
    ps_map_read_end(map);
    struct ps_entry entries[] = {
        {.key = {keys[0], sizeof keys[0]}, .value = {head, sizeof head}},
        {.key = {keys[1], sizeof keys[1]}, .value = {page, sizeof page}},
    };
    const struct ps_record record = {.lsn = log.last_lsn + 1,
                                     .commit_ns = log.last_commit_ns + 1,
                                     .entries = entries,
                                     .entry_count = 2};
    const struct ps_append append = {store, &record};
    assert_int_equal(ps_map_apply(map, &append, 1, NULL), PS_OK);
    ps_map_close(map);
}

static void test_a_replica_that_differs_is_healed(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    assert_true(
        runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", NULL, ""));
    insert_rows(cluster->ports[1], 0, 5);
    WAIT_FOR(counts(cluster->ports[2], ANYWHERE, 5));
    kill_node(cluster, 2);
    insert_rows(cluster->ports[1], 5, 5);
    add_false_record(cluster, 2);
    start_node(cluster, 2);
    wait_for_node(cluster, 2);
    WAIT_FOR(state_says(cluster->ports[2], "\"snapshots\":1"));
    WAIT_FOR(counts(cluster->ports[2], ANYWHERE, 10));
    insert_rows(cluster->ports[1], 10, 5); /* deltas go on from the snapshot's pages */
    (void)run_for_bookmark(cluster->ports[1], "DB", "SELECT 1", bookmark);
    assert_true(counts(cluster->ports[2], bookmark, 15));
    check_pages(cluster, bookmark);
}

/* Transactions of several rows and tables, of which every fifth fails at its end. */
static int ask_transaction(uint16_t port, int id)
{
    struct ps_buf body = {0};
    ps_buf_printf(&body,
                  "[{\"sql\":\"INSERT INTO t VALUES (%d, hex(randomblob(%d)))\"},"
                  "{\"sql\":\"INSERT INTO t VALUES (%d, 'second')\"},"
                  "{\"sql\":\"UPDATE sums SET n = n + 1, total = total + %d\"}",
                  id, 1 + id * 997 % 12000, id, id);
    if (id % 5 == 4) {
        ps_buf_append_text(&body, ",{\"sql\":\"INSERT INTO sums VALUES (1, 0, 0)\"}");
    }
    ps_buf_append_char(&body, ']');
    int fd = ask(port, "DB", ps_buf_text(&body), NULL);
    ps_buf_fini(&body);
    return fd;
}

/* The database is whole, and so is each transaction in it; those acknowledged are all there, those
 * refused are not. */
static void check_transactions(uint16_t port, const char *acknowledged, int count)
{
    struct ps_buf check = {0};
    char says[64];
    assert_true(runs(port, "DB", "PRAGMA quick_check", NULL, "\"rows\":[[\"ok\"]]"));
    assert_true(runs(port, "DB",
                     "SELECT id FROM t WHERE id % 5 = 4 OR id IN (SELECT id FROM t GROUP BY id "
                     "HAVING count(*) <> 2)",
                     NULL, "\"rows\":[]"));
    assert_true(runs(port, "DB",
                     "SELECT n = (SELECT count(DISTINCT id) FROM t), "
                     "total = (SELECT coalesce(sum(DISTINCT id), 0) FROM t) FROM sums",
                     NULL, "\"rows\":[[1,1]]"));
    ps_buf_printf(&check, "SELECT count(DISTINCT id) FROM t WHERE id IN (%s)", acknowledged);
    (void)snprintf(says, sizeof says, "\"rows\":[[%d]]", count);
    assert_true(runs(port, "DB", ps_buf_text(&check), NULL, says));
    ps_buf_fini(&check);
}

/* Home dies with requests in its queue, in SQLite, on the way to the disk and back: what was
 * acknowledged is there, of the others all or nothing, and what is asked for again, by nodes that
 * had no answer, is not done twice. */
static void test_home_killed_while_it_commits(void **state)
{
    enum { ASKED = 8, ROUNDS = 5, KEPT_BYTES = 60000 };

    struct cluster *cluster = *state;
    const char *given = getenv("PS_D1_KILL_ROUNDS");
    int rounds = given == NULL ? ROUNDS : atoi(given);
    struct ps_buf acknowledged = {0};
    int count = 0;
    int count_all = 0;
    assert_true(runs(cluster->ports[1], "DB",
                     "CREATE TABLE t (id, b); CREATE TABLE sums (id INTEGER PRIMARY KEY, n, total);"
                     "INSERT INTO sums VALUES (1, 0, 0)",
                     NULL, ""));
    for (int round = 0; round < rounds; round++) {
        struct pollfd fds[ASKED];
        for (int i = 0; i < ASKED; i++) {
            fds[i] =
                (struct pollfd){.fd = ask_transaction(cluster->ports[1 + i % 2], round * ASKED + i),
                                .events = POLLIN};
            assert_true(fds[i].fd >= 0);
        }
        for (int i = 0; i < round % ASKED; i++) { /* after none, one, two, ... of the answers */
            assert_int_equal(poll(&fds[i], 1, DEADLINE_S * 1000), 1);
        }
        kill_node(cluster, HOME);
        start_node(cluster, HOME);
        for (int i = 0; i < ASKED; i++) {
            struct reply reply = {.body = ""};
            read_to_end(fds[i].fd, &reply.bytes);
            reply_parse(&reply);
            (void)close(fds[i].fd);
            assert_int_equal(reply.status, 200);
            if (strstr(reply.body, "\"success\":true") != NULL) {
                assert_int_not_equal((round * ASKED + i) % 5, 4);
                ps_buf_printf(&acknowledged, "%s%d", count++ == 0 ? "" : ",", round * ASKED + i);
            }
            reply_fini(&reply);
        }
        wait_for_node(cluster, HOME);
        check_transactions(cluster->ports[HOME], ps_buf_text(&acknowledged), count);
        if (acknowledged.size > KEPT_BYTES) { /* a statement has 100 KB at most */
            acknowledged.size = 0;
            count_all += count;
            count = 0;
        }
    }
    count_all += count;
    print_message("%d rounds, %d transactions acknowledged\n", rounds, count_all);
    assert_true(count_all >= rounds);
    ps_buf_fini(&acknowledged);
    char bookmark[PS_BOOKMARK_SIZE + 1];
    (void)run_for_bookmark(cluster->ports[1], "DB", "INSERT INTO t VALUES (-1, 0)", bookmark);
    check_pages(cluster, bookmark);
}

/* Home keeps its answer for who asks again; after a crash it knows still that it was done. */
static void test_same_token_runs_once(void **state)
{
    struct cluster *cluster = *state;
    static const char headers[] = "popsim-token: 000102030405060708090a0b0c0d0e0f\r\n";
    static const char insert[] = "{\"sql\":\"INSERT INTO t VALUES (1) RETURNING 'made'\"}";
    assert_true(runs(cluster->ports[1], "DB", "CREATE TABLE t (a)", NULL, ""));
    for (size_t i = 0; i < 4; i++) {
        struct reply reply =
            call(cluster->ports[1 + i % 2], "POST", "/query", "DB", headers, ps_slice_of(insert));
        assert_int_equal(reply.status, 200);
        assert_non_null(strstr(reply.body, "made"));
        assert_int_equal(header_number(&reply, "popsim-lsn"), 2);
        reply_fini(&reply);
    }
    kill_node(cluster, HOME);
    start_node(cluster, HOME);
    wait_for_node(cluster, HOME);
    for (size_t i = 0; i < POPS; i++) {
        struct reply reply =
            call(cluster->ports[i], "POST", "/query", "DB", headers, ps_slice_of(insert));
        assert_non_null(strstr(reply.body, "home has committed it"));
        reply_fini(&reply);
    }
    assert_true(runs(cluster->ports[1], "DB", "SELECT count(*) FROM t", NULL, "[[1]]"));
}

/* ---- the REST API ---- */

static bool rest_says(uint16_t port, const char *method, const char *target, const char *body,
                      int status, const char *says)
{
    struct reply reply = call(port, method, target, NULL, "", ps_slice_of(body));
    bool good = reply.status == status && strstr(reply.body, says) != NULL;
    reply_fini(&reply);
    return good;
}

static void test_rest(void **state)
{
    const struct cluster *cluster = *state;
    uint16_t port = cluster->ports[2];
    assert_true(
        rest_says(port, "GET", REST "?name=SLOW", "", 200, "\"count\":1,\"total_count\":1}"));
    assert_true(
        rest_says(port, "GET", REST, "", 200, "\"created_at\":\"2026-01-01T00:00:00.000Z\""));
    assert_true(rest_says(port, "POST", REST "/DB/query",
                          "{\"sql\":\"CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x')\"}", 200,
                          "\"changes\":1"));
    assert_true(rest_says(port, "POST", REST "/DB/query",
                          "{\"sql\":\"SELECT * FROM t WHERE a = ?\",\"params\":[1]}", 200,
                          "\"result\":[{\"success\":true,\"results\":[{\"a\":1,\"b\":\"x\"}]"));
    assert_true(rest_says(port, "POST", REST "/DB/raw", "{\"sql\":\"SELECT * FROM t\"}", 200,
                          "\"results\":{\"columns\":[\"a\",\"b\"],\"rows\":[[1,\"x\"]]}"));
    assert_true(rest_says(port, "POST", REST "/DB/query", "{\"sql\":\"SELEC\"}", 400,
                          "\"code\":7500,\"message\":\"near \\\"SELEC\\\": syntax error"));
    assert_true(rest_says(port, "POST", REST "/DB/query", "no", 400, "\"success\":false"));
    WAIT_FOR(rest_says(port, "GET", REST "/DB", "", 200, "\"file_size\":8192"));
    assert_true(rest_says(port, "GET", REST "/NONE", "", 404, "\"code\":7404"));
    /* Keys and databases are not taken for each other. */
    assert_true(rest_says(port, "GET", "/client/v4/accounts/a/storage/kv/namespaces", "", 200,
                          "\"total_count\":1}"));
    assert_int_equal(call_status(port, "PUT", "/key?urlencoded=true", "DB", "v"), 404);
    assert_int_equal(call_status(port, "POST", "/query", "KV", "{}"), 405);
}

/* That many megabytes. */
#define LARGE(count)                                                                               \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT " count                    \
    ") SELECT hex(zeroblob(500000)) FROM n"

/* What home sends another PoP may be larger than any value of KV; what is too large is told. */
static void test_large_answers(void **state)
{
    const struct cluster *cluster = *state;
    for (size_t i = 0; i < 2; i++) {
        struct reply reply = run(cluster->ports[i], "DB", LARGE("62"), NULL);
        assert_int_equal(reply.status, 200);
        assert_true(reply.body_size > 62000000 && reply.body_size < 63000000);
        reply_fini(&reply);
        assert_true(fails(cluster->ports[i], "DB", LARGE("70"), NULL, "memory limit"));
    }
}

/* ---- databases made at run time ---- */

static bool is_listed(const struct cluster *cluster, const char *name, bool expected)
{
    char target[160];
    bool as_expected = true;
    (void)snprintf(target, sizeof target, REST "/%s", name);
    for (size_t i = 0; i < POPS; i++) {
        struct reply reply = call(cluster->ports[i], "GET", target, NULL, "", PS_LIT(""));
        as_expected = as_expected && reply.status == (expected ? 200 : 404);
        reply_fini(&reply);
    }
    return as_expected;
}

/* Its home is a PoP that had none, and keeps what it has acknowledged when it is killed. */
static void test_made_at_run_time(void **state)
{
    struct cluster *cluster = *state;
    assert_true(rest_says(cluster->ports[1], "POST", REST,
                          "{\"name\":\"made ü\",\"primary_location_hint\":\"apac\"}", 200,
                          "\"created_in_region\":\"APAC\""));
    assert_true(
        runs(cluster->ports[1], "made ü",
             "CREATE TABLE t(x INTEGER PRIMARY KEY); INSERT INTO t VALUES(1); SELECT * FROM t",
             NULL, "[[1]]"));
    WAIT_FOR(is_listed(cluster, "made%20%C3%BC", true));
    assert_true(rest_says(cluster->ports[0], "POST", REST, "{\"name\":\"made ü\"}", 400, "7502"));
    for (int round = 2; round < 5; round++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO t VALUES(%d)", round);
        WAIT_FOR(runs(cluster->ports[round % POPS], "made ü", sql, NULL, ""));
        kill_node(cluster, 2);
        start_node(cluster, 2);
        wait_for_node(cluster, 2);
        char expected[16];
        (void)snprintf(expected, sizeof expected, "[[%d]]", round);
        WAIT_FOR(runs(cluster->ports[0], "made ü", "SELECT count(*) FROM t", NULL, expected));
    }
    WAIT_FOR(runs(cluster->ports[0], "made ü", "SELECT count(*) FROM t", ANYWHERE, "[[4]]"));
    assert_true(rest_says(cluster->ports[0], "PATCH", REST "/made%20%C3%BC",
                          "{\"read_replication\":{\"mode\":\"disabled\"}}", 200, "\"disabled\""));
    struct reply reply = run(cluster->ports[0], "made ü", "SELECT 1", ANYWHERE);
    assert_non_null(strstr(reply.body, "\"served_by_primary\":true"));
    reply_fini(&reply);
    for (size_t i = 0; i < POPS; i++) {
        kill_node(cluster, i);
    }
    for (size_t i = 0; i < POPS; i++) {
        start_node(cluster, i);
    }
    for (size_t i = 0; i < POPS; i++) {
        wait_for_node(cluster, i);
    }
    assert_true(is_listed(cluster, "made%20%C3%BC", true));
    assert_true(
        rest_says(cluster->ports[2], "GET", REST "/made%20%C3%BC", "", 200, "\"disabled\""));
    WAIT_FOR(runs(cluster->ports[1], "made ü", "SELECT count(*) FROM t", NULL, "[[4]]"));
    assert_true(
        rest_says(cluster->ports[1], "DELETE", REST "/made%20%C3%BC", "", 200, "\"result\":null"));
    WAIT_FOR(is_listed(cluster, "made%20%C3%BC", false));
}

/* Deleted while it works: who waits for an answer gets one, and the node goes on. */
static void test_deleted_under_way(void **state)
{
    const struct cluster *cluster = *state;
    assert_true(rest_says(cluster->ports[1], "POST", REST, "{\"name\":\"gone\"}", 200, "\"gone\""));
    assert_true(runs(cluster->ports[1], "gone", "CREATE TABLE t(x); SELECT 1", NULL, "[[1]]"));
    int waits[POPS];
    for (size_t i = 0; i < POPS; i++) {
        WAIT_FOR(runs(cluster->ports[i], "gone", "SELECT 1", NULL, "[[1]]"));
    }
    for (size_t i = 0; i < POPS; i++) {
        waits[i] = ask(cluster->ports[i], "gone",
                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                       "SELECT count(*) FROM n",
                       NULL);
    }
    assert_true(rest_says(cluster->ports[2], "DELETE", REST "/gone", "", 200, "\"result\":null"));
    for (size_t i = 0; i < POPS; i++) {
        struct ps_buf bytes = {0};
        read_to_end(waits[i], &bytes);
        assert_non_null(strstr(ps_buf_text(&bytes), "HTTP/1.1 "));
        assert_null(strstr(ps_buf_text(&bytes), "\"success\":true"));
        ps_buf_fini(&bytes);
        (void)close(waits[i]);
    }
    assert_true(rest_says(cluster->ports[1], "POST", REST, "{\"name\":\"gone\"}", 200, "\"gone\""));
    assert_true(runs(cluster->ports[1], "gone", "CREATE TABLE t(x); SELECT 1", NULL, "[[1]]"));
    assert_true(rest_says(cluster->ports[1], "DELETE", REST "/gone", "", 200, "\"result\":null"));
}

/* ---- Time Travel ---- */

/* Ask, and give a text of the answer's JSON; the answer's status. */
static int rest_text(uint16_t port, const char *method, const char *target, const char *headers,
                     const char *key, char ret[PS_BOOKMARK_SIZE + 1])
{
    char name[64];
    (void)snprintf(name, sizeof name, "\"%s\":\"", key);
    struct reply reply = call(port, method, target, NULL, headers, PS_LIT(""));
    const char *at = reply.status == 200 ? strstr(reply.body, name) : NULL;
    ret[0] = 0;
    if (at != NULL) {
        (void)snprintf(ret, PS_BOOKMARK_SIZE + 1, "%s", at + strlen(name));
    }
    int status = reply.status;
    reply_fini(&reply);
    return status;
}

static void newest_bookmark(uint16_t port, char ret[PS_BOOKMARK_SIZE + 1])
{
    assert_int_equal(rest_text(port, "GET", REST "/DB/time_travel/bookmark", "", "bookmark", ret),
                     200);
}

/* Restore, which must go well; its own bookmark. What was before must be `expected`. */
static void restore(uint16_t port, const char *to, const char *expected,
                    char ret[PS_BOOKMARK_SIZE + 1])
{
    char target[256];
    char previous[PS_BOOKMARK_SIZE + 1];
    static const char token[] = "popsim-token: %032x\r\n";
    static unsigned count;
    char headers[64];
    (void)snprintf(headers, sizeof headers, token, ++count);
    (void)snprintf(target, sizeof target, REST "/DB/time_travel/restore?bookmark=%s", to);
    assert_int_equal(rest_text(port, "POST", target, headers, "bookmark", ret), 200);
    /* The same token again gets the same answer, and is one restore. */
    assert_int_equal(rest_text(port, "POST", target, headers, "previous_bookmark", previous), 200);
    assert_string_equal(previous, expected);
    assert_true(strcmp(ret, expected) > 0);
    newest_bookmark(port, previous);
    assert_string_equal(previous, ret);
}

static void test_restore(void **state)
{
    struct cluster *cluster = *state;
    uint16_t *ports = cluster->ports;

    enum { LENGTH = PS_BOOKMARK_SIZE + 1 };

    char first[LENGTH];
    char second[LENGTH];
    char last[LENGTH];
    char restored[LENGTH];
    char undone[LENGTH];
    (void)run_for_bookmark(ports[1], "DB", "CREATE TABLE t (a)", first);
    (void)run_for_bookmark(ports[0], "DB", "INSERT INTO t VALUES ('first')", first);
    (void)run_for_bookmark(ports[2], "DB", "INSERT INTO t VALUES ('second')", second);
    (void)run_for_bookmark(ports[2], "DB", "ALTER TABLE t ADD COLUMN b", last);
    (void)run_for_bookmark(ports[2], "DB", "CREATE TABLE u (c)", last);
    newest_bookmark(ports[1], restored);
    assert_string_equal(restored, last);
    for (size_t i = 0; i < POPS; i++) { /* so that each has the schema in its cache */
        assert_true(runs(ports[i], "DB", "SELECT a, b FROM t, u", last, "\"rows\":[]"));
    }

    restore(ports[2], first, last, restored);
    for (size_t i = 0; i < POPS; i++) {
        assert_true(runs(ports[i], "DB", "SELECT * FROM t", restored, "\"rows\":[[\"first\"]]"));
        assert_true(fails(ports[i], "DB", "SELECT * FROM u", restored, "no such table: u"));
        assert_true(runs(ports[i], "DB", "PRAGMA quick_check", restored, "[[\"ok\"]]"));
        /* A session of before goes on. */
        assert_true(runs(ports[i], "DB", "SELECT count(*) FROM t", second, "\"rows\":[[1]]"));
    }

    kill_node(cluster, HOME);
    kill_node(cluster, 2);
    start_node(cluster, HOME);
    start_node(cluster, 2);
    wait_for_node(cluster, HOME);
    wait_for_node(cluster, 2);
    newest_bookmark(ports[2], undone);
    assert_string_equal(undone, restored);
    assert_true(runs(ports[2], "DB", "SELECT * FROM t", restored, "\"rows\":[[\"first\"]]"));
    char written[LENGTH];
    (void)run_for_bookmark(ports[1], "DB", "INSERT INTO t VALUES ('third')", written);
    assert_true(strcmp(written, restored) > 0);

    restore(ports[1], last, written, undone);
    assert_true(strcmp(undone, written) > 0);
    for (size_t i = 0; i < POPS; i++) {
        assert_true(runs(ports[i], "DB", "SELECT count(*), count(b) FROM t LEFT JOIN u", undone,
                         "\"rows\":[[2,0]]"));
    }
    /* A restore whose answer is lost with home is known to it still. */
    kill_node(cluster, HOME);
    start_node(cluster, HOME);
    wait_for_node(cluster, HOME);
    char target[256];
    (void)snprintf(target, sizeof target, REST "/DB/time_travel/restore?bookmark=%s", last);
    assert_int_equal(rest_text(ports[1], "POST", target,
                               "popsim-token: 00000000000000000000000000000002\r\n",
                               "previous_bookmark", restored),
                     200);
    assert_string_equal(restored, written);
    newest_bookmark(ports[1], restored);
    assert_string_equal(restored, undone);
    check_pages(cluster, undone);
}

/* Ask for a restore, and leave its answer for later. */
static int ask_restore(uint16_t port, const char *bookmark)
{
    char request[512];
    int size = snprintf(request, sizeof request,
                        "POST " REST "/DB/time_travel/restore?bookmark=%s HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\nContent-Length: 0\r\n\r\n",
                        bookmark);
    int fd = dial(port);
    assert_true(fd >= 0 && send_all(fd, request, (size_t)size));
    return fd;
}

static void read_says(int fd, const char *says)
{
    struct ps_buf bytes = {0};
    read_to_end(fd, &bytes);
    if (strstr(ps_buf_text(&bytes), says) == NULL) {
        print_error("%s\n", ps_buf_text(&bytes));
    }
    assert_non_null(strstr(ps_buf_text(&bytes), says));
    ps_buf_fini(&bytes);
    (void)close(fd);
}

/* Those that are under way or wait are cancelled, by a restore that is made; and change nothing. */
static void test_restore_cancels(void **state)
{
    struct cluster *cluster = *state;
    const uint16_t *ports = cluster->ports;
    char first[PS_BOOKMARK_SIZE + 1];
    static const char endless[] =
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "INSERT INTO t SELECT count(*) FROM c";
    (void)run_for_bookmark(ports[0], "DB", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", first);
    assert_true(runs(ports[1], "DB", "INSERT INTO t VALUES (2)", NULL, ""));
    int waits[POPS];
    waits[0] = ask(ports[HOME], "DB", endless, NULL);
    WAIT_FOR(state_says(ports[HOME], "\"queries\":1"));
    waits[1] = ask(ports[1], "DB", "INSERT INTO t VALUES (3)", NULL);
    waits[2] = ask(ports[HOME], "DB", "INSERT INTO t VALUES (4)", NULL);
    int read = ask(ports[2], "DB", "SELECT * FROM t", NULL);
    int refused =
        ask_restore(ports[2], "00001000-00000002-00005000-00000000000000000000000000000000");
    WAIT_FOR(state_says(ports[HOME], "\"queries\":5"));
    for (size_t i = 0; i < POPS; i++) {
        assert_false(readable(waits[i]));
    }

    int restored = ask_restore(ports[2], first);
    for (size_t i = 0; i < POPS; i++) {
        read_says(waits[i],
                  "\"error\":\"Internal error in D1 DB storage caused object to be reset. "
                  "(popsim: the database was restored meanwhile)\"");
    }
    read_says(refused, "Invalid bookmark");
    /* What only reads is tried again, behind it. */
    struct ps_buf bytes = {0};
    read_to_end(read, &bytes);
    (void)close(read);
    assert_non_null(strstr(ps_buf_text(&bytes), "\"rows\":[[1]]"));
    assert_non_null(strstr(ps_buf_text(&bytes), "\"total_attempts\":2"));
    ps_buf_fini(&bytes);
    read_says(restored, "\"previous_bookmark\"");
    assert_true(runs(ports[1], "DB", "SELECT * FROM t", NULL, "\"rows\":[[1]]"));
}

/* Home comes back within the tries of a read. */
static void test_reads_are_tried_again(void **state)
{
    struct cluster *cluster = *state;
    assert_true(
        runs(cluster->ports[1], "DB", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", NULL, ""));
    kill_node(cluster, HOME);
    int read = ask(cluster->ports[1], "DB", "SELECT * FROM t", NULL);
    WAIT_FOR(query_retries(cluster->ports[1]) > 0);
    start_node(cluster, HOME);
    struct ps_buf bytes = {0};
    read_to_end(read, &bytes);
    (void)close(read);
    assert_non_null(strstr(ps_buf_text(&bytes), "\"rows\":[[1]]"));
    assert_null(strstr(ps_buf_text(&bytes), "\"total_attempts\":1"));
    ps_buf_fini(&bytes);
}

static bool has_asked_again(uint16_t port)
{
    static const char name[] = "popsim_forward_retries_total{pop=\"fra\",store=\"SLOW\"} ";
    struct reply reply = call(port, "GET", "/metrics", NULL, "", PS_LIT(""));
    const char *at = strstr(reply.body, name);
    bool has = at != NULL && strtol(at + sizeof name - 1, NULL, 10) > 0;
    reply_fini(&reply);
    return has;
}

/* Asked for while home is down, and done once when it is back. */
static void test_restore_at_a_home_that_is_away(void **state)
{
    struct cluster *cluster = *state;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    char request[256];
    (void)run_for_bookmark(cluster->ports[1], "SLOW", "CREATE TABLE t (a)", bookmark);
    assert_true(runs(cluster->ports[1], "SLOW", "DROP TABLE t", NULL, ""));
    kill_node(cluster, HOME);
    int fd = dial(cluster->ports[1]);
    (void)snprintf(request, sizeof request,
                   "POST " REST "/SLOW/time_travel/restore?bookmark=%s HTTP/1.1\r\nHost: x\r\n"
                   "Connection: close\r\nContent-Length: 0\r\n\r\n",
                   bookmark);
    assert_true(fd >= 0 && send_all(fd, request, strlen(request)));
    /* It has come so far that it is asked for again and again. */
    WAIT_FOR(has_asked_again(cluster->ports[1]));
    start_node(cluster, HOME);
    wait_for_node(cluster, HOME);
    struct reply reply = {.body = ""};
    read_to_end(fd, &reply.bytes);
    reply_parse(&reply);
    (void)close(fd);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "{\"bookmark\":\"00002000-00000003-"));
    reply_fini(&reply);
    assert_true(runs(cluster->ports[2], "SLOW", "SELECT count(*) FROM t", NULL, "[[0]]"));
    assert_true(rest_says(cluster->ports[2], "GET", REST "/SLOW/time_travel/bookmark", "", 200,
                          "{\"bookmark\":\"00002000-00000003-"));
}

/* ".../time_travel/<what>?timestamp=" and a cluster time. */
static void put_time(char ret[256], const char *what, int64_t ns)
{
    const int64_t second = (int64_t)PS_SECOND;
    assert_in_range(ns, 0, 3600 * second - 1);
    (void)snprintf(ret, 256, REST "/DB/time_travel/%s?timestamp=2026-01-01T00%%3A%02d:%02d.%09dZ",
                   what, (int)(ns / second / 60), (int)(ns / second % 60), (int)(ns % second));
}

static void test_times(void **state)
{
    enum { WRITES = 6 };

    const struct cluster *cluster = *state;
    char bookmarks[WRITES][PS_BOOKMARK_SIZE + 1];
    char found[PS_BOOKMARK_SIZE + 1];
    char target[256];
    int64_t commits[WRITES];
    assert_true(runs(cluster->ports[1], "DB", "CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL, ""));
    for (int i = 0; i < WRITES; i++) {
        struct reply reply =
            run(cluster->ports[i % POPS], "DB", "INSERT INTO t VALUES (NULL)", NULL);
        commits[i] = header_number(&reply, "popsim-time");
        reply_fini(&reply);
        newest_bookmark(cluster->ports[i % POPS], bookmarks[i]);
        assert_true(i == 0 || strcmp(bookmarks[i], bookmarks[i - 1]) > 0);
    }
    for (int i = 0; i < WRITES; i++) {
        put_time(target, "bookmark", commits[i]);
        assert_int_equal(rest_text(cluster->ports[i % POPS], "GET", target, "", "bookmark", found),
                         200);
        assert_string_equal(found, bookmarks[i]);
        put_time(target, "bookmark", commits[i] - 1);
        assert_int_equal(rest_text(cluster->ports[i % POPS], "GET", target, "", "bookmark", found),
                         200);
        assert_true(i == 0 || strcmp(found, bookmarks[i - 1]) == 0);
    }
    uint16_t port = cluster->ports[2];
    put_time(target, "restore", commits[2]);
    assert_int_equal(rest_text(port, "POST", target, "", "previous_bookmark", found), 200);
    assert_string_equal(found, bookmarks[WRITES - 1]);
    assert_true(runs(port, "DB", "SELECT max(a) FROM t", NULL, "\"rows\":[[3]]"));
    put_time(target, "restore", 0); /* before its first commit: empty */
    assert_int_equal(rest_text(port, "POST", target, "", "previous_bookmark", found), 200);
    assert_true(fails(port, "DB", "SELECT max(a) FROM t", NULL, "no such table: t"));
    put_time(target, "bookmark", commits[4]); /* an instant's bookmark is for ever */
    assert_int_equal(rest_text(port, "GET", target, "", "bookmark", found), 200);
    assert_string_equal(found, bookmarks[4]);

    static const struct {
        const char *method;
        const char *rest;
        int status;
        const char *says;
    } refused[] = {
        {"GET", "bookmark?timestamp=1767225599", 400, "before this database was created"},
        {"GET", "bookmark?timestamp=2100-01-01T00:00:00Z", 400, "in the future"},
        {"GET", "bookmark?timestamp=yesterday", 400, "Invalid timestamp"},
        {"POST", "restore?timestamp=2100-01-01T00:00:00Z", 400, "in the future"},
        {"POST", "restore", 400, "either bookmark or timestamp"},
        {"POST", "restore?bookmark=a&timestamp=1", 400, "either bookmark or timestamp"},
        {"POST", "restore?bookmark=a", 400, "Invalid bookmark"},
        {"POST", "restore?bookmark=00001000-00000002-00005000-00000000000000000000000000000000",
         400, "not of this database"},
        {"GET", "restore?bookmark=a", 405, "method"},
        {"POST", "bookmark", 405, "method"},
        {"GET", "forks", 404, "route"},
    };

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(target, sizeof target, REST "/DB/time_travel/%s", refused[i].rest);
        for (size_t at = 0; at < POPS; at++) {
            assert_true(rest_says(cluster->ports[at], refused[i].method, target, "",
                                  refused[i].status, refused[i].says));
        }
    }
    struct ps_bookmark other;
    assert_int_equal(ps_bookmark_read(ps_slice_of(found), &other), PS_OK);
    other.lsn = 99;
    ps_bookmark_write(found, &other);
    (void)snprintf(target, sizeof target, REST "/DB/time_travel/restore?bookmark=%s", found);
    assert_true(rest_says(port, "POST", target, "", 400, "that there is not yet"));
    other.lsn = 2;
    other.epoch = 7;
    ps_bookmark_write(found, &other);
    (void)snprintf(target, sizeof target, REST "/DB/time_travel/restore?bookmark=%s", found);
    assert_true(rest_says(port, "POST", target, "", 400, "never gave it"));
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
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_written_anywhere_read_everywhere),
        TEST(test_a_batch_is_one_transaction),
        TEST(test_stale_then_fresh),
        TEST(test_bookmarks_that_cannot_be_reached),
        TEST(test_cut_off),
        TEST(test_answers_have_one_order),
        TEST(test_failures_say_why),
        TEST(test_keys_are_read_while_a_query_runs),
        TEST(test_follower_killed),
        TEST(test_large_records_are_caught_up),
        TEST(test_home_killed),
        TEST(test_a_replica_that_differs_is_healed),
        TEST(test_home_killed_while_it_commits),
        TEST(test_same_token_runs_once),
        TEST(test_rest),
        TEST(test_large_answers),
        TEST(test_made_at_run_time),
        TEST(test_deleted_under_way),
        TEST(test_restore),
        TEST(test_restore_cancels),
        TEST(test_reads_are_tried_again),
        TEST(test_restore_at_a_home_that_is_away),
        TEST(test_times),
    };
    return cmocka_run_group_tests_name("node_d1", tests, NULL, NULL);
}
