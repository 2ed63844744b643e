/* The live driver's pure parts: responses at every split, operations as requests and back, home's
 * log merged into a history, the agenda. */
#include "node/r2/cache.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "sim/live/agenda.h"
#include "sim/live/log.h"
#include "sim/live/response.h"
#include "sim/live/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- responses ---- */

#define GET_HEAD                                                                                   \
    "HTTP/1.1 200 OK\r\npopsim-pop: fra\r\nPopsim-LSN: 7\r\npopsim-latest-lsn: 9\r\n"              \
    "popsim-behind: 2\r\npopsim-stale-ms: 1.000000\r\npopsim-time: 18446744073709551614\r\n"       \
    "popsim-boot: 3\r\npopsim-late: 1\r\npopsim-have-lsn: 8\r\n"                                   \
    "CF-KV-Metadata: {\"a\":\"\xc3\xa4\"}\r\n"

static const char two[] = GET_HEAD "Content-Length: 5\r\n\r\nhello"
                                   "HTTP/1.1 404 Not Found\r\npopsim-time: 12\r\npopsim-lsn: 0\r\n"
                                   "popsim-refresh-time: 13\r\nContent-Length: 0\r\n\r\n";

static void assert_first(const struct ps_live_response *response)
{
    assert_int_equal(response->status, 200);
    assert_true(response->keep_alive);
    assert_true(response->told);
    assert_true(response->late);
    assert_int_equal(response->lsn, 7);
    assert_true(response->eval_ns == UINT64_MAX - 1);
    assert_int_equal(response->boot, 3);
    assert_int_equal(response->have_lsn, 8);
    assert_int_equal(response->refresh_ns, 0);
    assert_true(ps_slice_eq(ps_buf_slice(&response->body), PS_LIT("hello")));
}

static void assert_second(const struct ps_live_response *response)
{
    assert_int_equal(response->status, 404);
    assert_true(response->told);
    assert_false(response->late);
    assert_int_equal(response->eval_ns, 12);
    assert_int_equal(response->boot, 0);
    assert_int_equal(response->refresh_ns, 13);
    assert_int_equal(response->body.size, 0);
}

/* Feed all; count whole ones. */
static int feed(struct ps_live_parser *parser, struct ps_slice bytes, int whole)
{
    for (;;) {
        size_t taken;
        switch (ps_live_parser_feed(parser, bytes, &taken)) {
        case PS_LIVE_NEED:
            assert_int_equal(taken, bytes.size);
            return whole;
        case PS_LIVE_WHOLE:
            if (whole++ == 0) {
                assert_first(ps_live_parser_response(parser));
            } else {
                assert_second(ps_live_parser_response(parser));
            }
            break;
        case PS_LIVE_BROKEN:
            fail_msg("broken");
        }
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        if (bytes.size == 0) {
            return whole;
        }
    }
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof two; cut++) {
        struct ps_live_parser *parser = ps_live_parser_create();
        int whole = feed(parser, (struct ps_slice){two, cut}, 0);
        whole = feed(parser, (struct ps_slice){two + cut, sizeof two - 1 - cut}, whole);
        assert_int_equal(whole, 2);
        ps_live_parser_destroy(parser);
    }
}

static enum ps_live_event feed_one(const char *text, struct ps_live_response *ret)
{
    struct ps_live_parser *parser = ps_live_parser_create();
    size_t taken;
    enum ps_live_event event = ps_live_parser_feed(parser, ps_slice_of(text), &taken);
    *ret = *ps_live_parser_response(parser);
    ret->body = (struct ps_buf){0};
    if (event == PS_LIVE_BROKEN) { /* and stays so */
        assert_int_equal(ps_live_parser_feed(parser, PS_LIT("HTTP/1.1 200 OK\r\n"), &taken),
                         PS_LIVE_BROKEN);
    }
    ps_live_parser_destroy(parser);
    return event;
}

static void test_odd_responses(void **state)
{
    (void)state;
    struct ps_live_response response;
    assert_int_equal(
        feed_one("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", &response),
        PS_LIVE_WHOLE);
    assert_false(response.keep_alive);
    assert_false(response.told);
    assert_int_equal(
        feed_one("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                 &response),
        PS_LIVE_WHOLE);
    assert_int_equal(response.status, 200);
    assert_int_equal(feed_one("HTTP/1.1 204 No Content\r\nX-Empty:\r\n\r\n", &response),
                     PS_LIVE_WHOLE);
    assert_int_equal(
        feed_one("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                 &response),
        PS_LIVE_WHOLE);
    assert_int_equal(feed_one("GET / HTTP/1.1\r\n\r\n", &response), PS_LIVE_BROKEN);
    assert_int_equal(feed_one("HTTP/1.1 200 OK\r\npopsim-time: 1x\r\n\r\n", &response),
                     PS_LIVE_BROKEN);
    assert_int_equal(
        feed_one("HTTP/1.1 200 OK\r\npopsim-lsn: 18446744073709551616\r\n\r\n", &response),
        PS_LIVE_BROKEN);
    assert_int_equal(feed_one("HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n", &response),
                     PS_LIVE_BROKEN);
}

static void test_large_head(void **state)
{
    (void)state;
    struct ps_buf text = {0};
    ps_buf_append_text(&text, "HTTP/1.1 200 OK\r\n");
    while (text.size < PS_LIVE_HEAD_SIZE_MAX) {
        ps_buf_append_text(&text, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    struct ps_live_parser *parser = ps_live_parser_create();
    size_t taken;
    assert_int_equal(ps_live_parser_feed(parser, ps_buf_slice(&text), &taken), PS_LIVE_NEED);
    while (text.size < 2 * PS_LIVE_HEAD_SIZE_MAX) {
        ps_buf_append_text(&text, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    ps_live_parser_destroy(parser);
    parser = ps_live_parser_create();
    assert_int_equal(ps_live_parser_feed(parser, ps_buf_slice(&text), &taken), PS_LIVE_BROKEN);
    ps_live_parser_destroy(parser);
    ps_buf_fini(&text);
}

/* ---- requests ---- */

struct fixture {
    struct ps_scenario *scenario;
    struct ps_sessions_plan plan;
};

static struct fixture open_fixture(const char *operation)
{
    struct ps_buf yaml = {0};
    struct fixture fixture = {0};
    struct ps_error err = {0};
    ps_buf_printf(&yaml,
                  "duration: 60s\ncluster: {home: fra, pops: [fra, iad]}\n"
                  "stores: {CACHE: {type: kv}, DB: {type: d1}, A: {type: r2}}\n"
                  "workload:\n  - {name: w, every: 1s, pop: iad, %s}\n",
                  operation);
    assert_int_equal(
        ps_scenario_parse(ps_buf_slice(&yaml), "t.yaml", NULL, 0, &fixture.scenario, &err), PS_OK);
    assert_int_equal(ps_sessions_open(fixture.scenario, &fixture.plan, &err), PS_OK);
    ps_buf_fini(&yaml);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    ps_sessions_close(&fixture->plan);
    ps_scenario_destroy(fixture->scenario);
}

/* With the bookmark of LSN 9 where the client was given one. */
static void assert_request_after(bool given, const char *operation, const char *expected,
                                 struct ps_op *ret_op)
{
    struct fixture fixture = open_fixture(operation);
    struct ps_session *session = &fixture.plan.sessions[0];
    struct ps_buf text = {0};
    struct ps_buf request = {0};
    struct ps_drawn drawn;
    if (given) {
        ps_session_bookmark(session, ps_session_action(session, 0), 9);
    }
    ps_session_draw(session, &text, &drawn);
    struct ps_live_asked asked = {
        .token = ps_live_token(0xabcdef, 17), .unix_shift_s = 1000, .bookmark = "the-bookmark"};
    struct ps_cluster_state cs = {.cluster = fixture.scenario->cluster, .token = "secret"};
    ps_live_request(&request, &cs, &drawn, &asked);
    ps_live_op_init(ret_op, &drawn, &asked.token);
    assert_string_equal(ps_buf_text(&request), expected);
    (void)snprintf(cs.bind, sizeof cs.bind, "127.0.0.2");
    request.size = 0;
    ps_live_request(&request, &cs, &drawn, &asked);
    assert_non_null(strstr(ps_buf_text(&request), "\r\nAuthorization: Bearer secret\r\n"));
    assert_int_equal(ret_op->pop, 1);
    ps_buf_fini(&text);
    ps_buf_fini(&request);
    close_fixture(&fixture);
}

static void assert_request(const char *operation, const char *expected, struct ps_op *ret_op)
{
    assert_request_after(false, operation, expected, ret_op);
}

#define TAIL " HTTP/1.1\r\nHost: popsim\r\npopsim-store: CACHE\r\n"
#define TOKEN "popsim-token: 0000000000abcdef0000000000000011\r\n"

static void test_requests(void **state)
{
    (void)state;
    struct ps_op op;
    assert_request("kv.get: {store: CACHE, key: \"a/b ?&%\\u00e4~\", cacheTtl: 2m}",
                   "GET /a%2Fb%20%3F%26%25%C3%A4~?urlencoded=true&cache_ttl=120" TAIL "\r\n", &op);
    assert_int_equal(op.kind, PS_OP_KV_GET);
    assert_int_equal(op.cache_ttl_ns, 120 * PS_SECOND);
    assert_request("kv.put: {store: CACHE, key: k, value: \"v 1\", expirationTtl: 90, "
                   "metadata: {a: 1}}",
                   "PUT /k?urlencoded=true&expiration_ttl=90" TAIL TOKEN
                   "CF-KV-Metadata: {\"a\":1}\r\nContent-Length: 3\r\n\r\nv 1",
                   &op);
    assert_int_equal(op.kind, PS_OP_KV_PUT);
    assert_true(op.digest == ps_slice_hash(PS_LIT("v 1")));
    assert_request(
        "kv.put: {store: CACHE, key: k, value: \"\", expiration: 1800000000}",
        "PUT /k?urlencoded=true&expiration=1800001000" TAIL TOKEN "Content-Length: 0\r\n\r\n", &op);
    assert_request("kv.delete: {store: CACHE, key: k}",
                   "DELETE /k?urlencoded=true" TAIL TOKEN "\r\n", &op);
    assert_int_equal(op.kind, PS_OP_KV_DELETE);
    assert_int_equal(op.digest, 0);
    assert_request("kv.list: {store: CACHE, prefix: \"a:\", limit: 7}",
                   "GET /?prefix=a%3A&key_count_limit=7" TAIL "\r\n", &op);
    assert_int_equal(op.kind, PS_OP_KV_LIST);
    assert_int_equal(op.list_limit, 7);
}

static void test_d1_requests(void **state)
{
    (void)state;
    static const char head[] = "POST /query?resultsFormat=ROWS_AND_COLUMNS HTTP/1.1\r\n"
                               "Host: popsim\r\npopsim-store: DB\r\n" TOKEN;
    struct ps_op op;
    char expected[512];
    (void)snprintf(expected, sizeof expected, "%s%s", head,
                   "Content-Length: 34\r\n\r\n{\"sql\":\"SELECT ?\",\"params\":[\"\xc3\xa4\"]}");
    assert_request("d1.query: {store: DB, sql: SELECT ?, params: [\"\\u00e4\"]}", expected, &op);
    assert_int_equal(op.kind, PS_OP_D1_QUERY);
    assert_int_equal(op.with_session, PS_D1_SESSION_NONE);
    struct ps_token token = ps_live_token(0xabcdef, 17);
    assert_true(op.seed ==
                ps_slice_hash((struct ps_slice){(const char *)token.bytes, sizeof token.bytes}));
    (void)snprintf(expected, sizeof expected, "%s%s", head,
                   "x-cf-d1-session-commit-token: first-unconstrained\r\nContent-Length: 68\r\n"
                   "\r\n[{\"sql\":\"DELETE FROM t\",\"params\":[]},{\"sql\":\"SELECT 1\","
                   "\"params\":[]}]");
    static const char batch[] = "d1.batch: {store: DB, withSession: bookmark, statements: "
                                "[{sql: DELETE FROM t}, {sql: SELECT 1}]}";
    assert_request(batch, expected, &op);
    assert_int_equal(op.kind, PS_OP_D1_BATCH);
    assert_int_equal(op.with_session, PS_D1_SESSION_UNCONSTRAINED);
    assert_int_equal(op.bookmark_lsn, 0);
    (void)snprintf(expected, sizeof expected, "%s%s", head,
                   "x-cf-d1-session-commit-token: the-bookmark\r\nContent-Length: 68\r\n"
                   "\r\n[{\"sql\":\"DELETE FROM t\",\"params\":[]},{\"sql\":\"SELECT 1\","
                   "\"params\":[]}]");
    assert_request_after(true, batch, expected, &op);
    assert_int_equal(op.with_session, PS_D1_SESSION_BOOKMARK);
    assert_int_equal(op.bookmark_lsn, 9);
}

static void test_tokens(void **state)
{
    (void)state;
    struct ps_token token = ps_live_token(5, UINT64_C(0x0102030405060708));
    assert_int_equal(token.bytes[7], 5);
    assert_int_equal(token.bytes[8], 1);
    assert_true(ps_live_token_id(5, &token) == UINT64_C(0x0102030405060708));
    assert_int_equal(ps_live_token_id(6, &token), 0);
}

static void test_r2_requests(void **state)
{
    (void)state;
#define TAIL_R2 " / HTTP/1.1\r\nHost: popsim\r\npopsim-store: A\r\n"
    struct ps_op op;
    assert_request("r2.get: {store: A, key: \"a/b\", onlyIf: {etagMatches: x}}",
                   "GET" TAIL_R2
                   "CF-R2-Request: {\"version\":1,\"method\":\"get\",\"object\":\"a/b\","
                   "\"onlyIf\":{\"etagMatches\":[{\"type\":\"strong\",\"value\":\"x\"}]}}\r\n\r\n",
                   &op);
    assert_int_equal(op.kind, PS_OP_R2_GET);
    assert_request("r2.put: {store: A, key: k, value: \"v 1\"}",
                   "PUT" TAIL_R2 TOKEN "CF-R2-Metadata-Size: 41\r\nContent-Length: 44\r\n\r\n"
                   "{\"version\":1,\"method\":\"put\",\"object\":\"k\"}v 1",
                   &op);
    assert_true(op.digest == ps_slice_hash(PS_LIT("v 1")));
    assert_request("r2.delete: {store: A, keys: [a, b]}",
                   "PUT" TAIL_R2 TOKEN "CF-R2-Metadata-Size: 51\r\nContent-Length: 51\r\n\r\n"
                   "{\"version\":1,\"method\":\"delete\",\"objects\":[\"a\",\"b\"]}",
                   &op);
    assert_request("r2.list: {store: A, prefix: p, limit: 7}",
                   "GET" TAIL_R2
                   "CF-R2-Request: {\"version\":1,\"method\":\"list\",\"prefix\":\"p\","
                   "\"limit\":7}\r\n\r\n",
                   &op);
    assert_int_equal(op.list_limit, 7);
}

/* What anybody may ask for, and what the account's token is needed for. */
static void test_public_requests(void **state)
{
    (void)state;

    static const struct {
        const char *operation;
        const char *request;
    } cases[] = {
        {"r2.fetch: {store: A, key: \"a/b c\"}",
         "GET /cdn-cgi/local/r2/public/A/a%2Fb%20c HTTP/1.1\r\nHost: popsim\r\n\r\n"},
        {"r2.purge: {store: A, key: a.png}",
         "POST /client/v4/zones/A/purge_cache HTTP/1.1\r\nHost: popsim\r\nAuthorization: Bearer "
         "secret\r\nContent-Type: application/json\r\nContent-Length: 59\r\n\r\n"
         "{\"files\":[\"http://popsim/cdn-cgi/local/r2/public/A/a.png\"]}"},
        {"r2.purge: {store: A, everything: true}",
         "POST /client/v4/zones/A/purge_cache HTTP/1.1\r\nHost: popsim\r\nAuthorization: Bearer "
         "secret\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"
         "{\"purge_everything\":true}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture = open_fixture(cases[i].operation);
        struct ps_buf text = {0};
        struct ps_buf request = {0};
        struct ps_drawn drawn;
        const struct ps_live_asked asked = {.token = ps_live_token(1, 1)};
        ps_session_draw(&fixture.plan.sessions[0], &text, &drawn);
        struct ps_cluster_state cs = {.cluster = fixture.scenario->cluster, .token = "secret"};
        ps_live_request(&request, &cs, &drawn, &asked);
        assert_string_equal(ps_buf_text(&request), cases[i].request);
        ps_buf_fini(&text);
        ps_buf_fini(&request);
        close_fixture(&fixture);
    }
}

/* ---- answers ---- */

static struct ps_intern *texts; /* what ETags are put into */

static int open_texts(void **state)
{
    (void)state;
    texts = ps_intern_create();
    return 0;
}

static int close_texts(void **state)
{
    (void)state;
    ps_intern_destroy(texts);
    return 0;
}

static struct ps_op object_answer(enum ps_op_kind kind, int status, const char *json,
                                  const char *body, enum ps_status expected)
{
    struct ps_op op = {.kind = (uint8_t)kind};
    struct ps_live_response response = {.status = status,
                                        .told = true,
                                        .eval_ns = 50,
                                        .lsn = 4,
                                        .boot = 2,
                                        .metadata_size = strlen(json)};
    ps_buf_append_text(&response.body, json);
    ps_buf_append_text(&response.body, body);
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), expected);
    ps_buf_fini(&response.body);
    return op;
}

static void assert_etag(const struct ps_op *op, const char *etag)
{
    assert_int_not_equal(op->etag, 0);
    assert_true(ps_slice_eq(ps_intern_text(texts, op->etag - 1), ps_slice_of(etag)));
}

static void test_r2_answers(void **state)
{
    (void)state;
    struct ps_op op =
        object_answer(PS_OP_R2_GET, 200, "{\"etag\":\"e1\",\"name\":\"k\"}", "the body", PS_OK);
    assert_true(op.found && op.lsn == 4 && op.eval_ns == 50 && op.boot == 2 && op.error == PS_OK);
    assert_true(op.digest == ps_slice_hash(PS_LIT("the body")));
    assert_etag(&op, "e1");
    op = object_answer(PS_OP_R2_GET, 412, "{\"etag\":\"e2\"}", "", PS_OK); /* onlyIf */
    assert_true(op.found && op.digest == 0 && op.error == PS_OK);
    assert_etag(&op, "e2");
    op = object_answer(PS_OP_R2_HEAD, 404, "", "", PS_OK);
    assert_true(!op.found && op.lsn == 4 && op.etag == 0);
    op = object_answer(PS_OP_R2_PUT, 200, "{\"etag\":\"e3\"}", "", PS_OK);
    assert_etag(&op, "e3");
    op = object_answer(PS_OP_R2_PUT, 412, "", "", PS_OK);
    assert_true(op.error == PS_OK && op.etag == 0);
    op = object_answer(PS_OP_R2_DELETE, 200, "", "", PS_OK);
    assert_int_equal(op.lsn, 4);
    op =
        object_answer(PS_OP_R2_LIST, 200,
                      "{\"objects\":[{\"name\":\"a\"}],\"delimitedPrefixes\":[\"b/\"]}", "", PS_OK);
    assert_true(op.digest == ps_slice_hash((struct ps_slice){"a\0b/", 5}));
    op = object_answer(PS_OP_R2_PUT, 429, "", "", PS_OK);
    assert_int_equal(op.error, PS_RATE_LIMITED);
    assert_int_equal(op.http_status, 429);
    op = object_answer(PS_OP_R2_PUT, 507, "", "", PS_OK);
    assert_int_equal(op.error, PS_FULL);
    op = object_answer(PS_OP_R2_GET, 200, "{\"name\":\"k\"}", "", PS_CORRUPT);
    assert_int_equal(op.error, PS_CORRUPT);
    (void)object_answer(PS_OP_R2_LIST, 200, "[]", "", PS_CORRUPT);
    (void)object_answer(PS_OP_R2_GET, 200, "", "no JSON", PS_CORRUPT);
}

/* An answer whose body broke off: it failed, but it is known when it was decided. */
static void test_cut_answers(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\npopsim-time: 50\r\npopsim-boot: 3\r\n"
                               "popsim-dropped: 49\r\nContent-Length: 5\r\n\r\n";
    struct ps_live_parser *parser = ps_live_parser_create();
    size_t taken;
    struct ps_slice bytes = PS_LIT("HTTP/1.1 200 OK\r\npopsim-time: 50\r\n");
    assert_int_equal(ps_live_parser_feed(parser, bytes, &taken), PS_LIVE_NEED);
    assert_null(ps_live_parser_head(parser));
    ps_live_parser_destroy(parser);
    parser = ps_live_parser_create();
    assert_int_equal(ps_live_parser_feed(parser, ps_slice_of(head), &taken), PS_LIVE_NEED);
    const struct ps_live_response *response = ps_live_parser_head(parser);
    assert_non_null(response);
    struct ps_op op = {.kind = PS_OP_R2_FETCH, .error = PS_UNREACHABLE};
    ps_live_op_cut(&op, response);
    assert_int_equal(op.error, PS_UNREACHABLE);
    assert_true(op.eval_ns == 50 && op.boot == 3 && op.dropped_ns == 49);
    op = (struct ps_op){.kind = PS_OP_R2_PUT, .error = PS_UNREACHABLE};
    ps_live_op_cut(&op, response);
    assert_int_equal(op.eval_ns, 0); /* whether it was made nobody knows */
    assert_int_equal(ps_live_parser_feed(parser, PS_LIT("12345"), &taken), PS_LIVE_WHOLE);
    assert_null(ps_live_parser_head(parser)); /* also when the next one does not begin */
    ps_live_parser_destroy(parser);
}

static void test_public_answers(void **state)
{
    (void)state;
    struct ps_op op = {.kind = PS_OP_R2_FETCH};
    struct ps_live_response response = {.status = 200,
                                        .told = true,
                                        .lsn = 4,
                                        .eval_ns = 50,
                                        .etag = "\"e1\"",
                                        .cache = "hit",
                                        .dropped_ns = 45};
    ps_buf_append_text(&response.body, "the body");
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_OK);
    assert_true(op.found && op.dropped_ns == 45 && op.cache == PS_R2_CACHE_HIT + 1);
    assert_true(op.digest == ps_slice_hash(PS_LIT("the body")));
    assert_etag(&op, "e1");
    response.status = 404;
    response.etag[0] = '\0';
    op = (struct ps_op){.kind = PS_OP_R2_FETCH};
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_OK);
    assert_true(!op.found && op.digest == 0 && op.etag == 0 && op.lsn == 4);
    response.cache[0] = '\0';
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_CORRUPT);
    op = (struct ps_op){.kind = PS_OP_R2_PURGE};
    response = (struct ps_live_response){.status = 200, .body = response.body};
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_OK);
    assert_int_equal(op.error, PS_OK);
    response.status = 503;
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_OK);
    assert_int_equal(op.error, PS_UNREACHABLE);
    ps_buf_fini(&response.body);
}

static enum ps_status answer(struct ps_op *op, int status, bool told, const char *body)
{
    struct ps_live_response response = {.status = status,
                                        .told = told,
                                        .eval_ns = told ? 50 : 0,
                                        .lsn = told ? 4 : 0,
                                        .boot = told ? 2 : 0,
                                        .refresh_ns = 60};
    struct ps_error err = {0};
    ps_buf_append_text(&response.body, body);
    enum ps_status ret = ps_live_op_answer(op, texts, &response, &err);
    assert_int_equal(ret, err.status);
    ps_buf_fini(&response.body);
    return ret;
}

static void test_answers(void **state)
{
    (void)state;
    struct ps_op op = {.kind = PS_OP_KV_GET};
    assert_int_equal(answer(&op, 200, true, "value"), PS_OK);
    assert_true(op.found && op.lsn == 4 && op.eval_ns == 50 && op.boot == 2 && op.error == PS_OK);
    assert_true(op.digest == ps_slice_hash(PS_LIT("value")));
    assert_int_equal(op.refresh_ns, 0);
    assert_int_equal(op.http_status, 0);

    op = (struct ps_op){.kind = PS_OP_KV_GET};
    assert_int_equal(answer(&op, 404, true, ""), PS_OK);
    assert_true(!op.found && op.lsn == 4 && op.eval_ns == 50 &&
                op.error == PS_OK); /* a tombstone */
    assert_int_equal(op.digest, 0);

    op = (struct ps_op){.kind = PS_OP_KV_GET};
    assert_int_equal(answer(&op, 503, true, "Service Unavailable"), PS_OK);
    assert_true(op.error == PS_UNREACHABLE && op.http_status == 503 && op.eval_ns == 50);
    assert_int_equal(op.lsn, 0);

    op = (struct ps_op){.kind = PS_OP_KV_PUT, .digest = 9};
    assert_int_equal(answer(&op, 200, true, ""), PS_OK);
    assert_true(op.lsn == 4 && op.eval_ns == 50 && op.refresh_ns == 60 && op.digest == 9);

    op = (struct ps_op){.kind = PS_OP_KV_PUT};
    assert_int_equal(answer(&op, 429, true, ""), PS_OK);
    assert_true(op.error == PS_RATE_LIMITED && op.eval_ns == 0 && op.refresh_ns == 0);

    op = (struct ps_op){.kind = PS_OP_KV_PUT};
    assert_int_equal(answer(&op, 400, false, ""), PS_OK);
    assert_true(op.error == PS_INVALID && op.boot == 0);

    op = (struct ps_op){.kind = PS_OP_KV_DELETE};
    assert_int_equal(answer(&op, 404, true, ""), PS_OK); /* a delete never misses: no such store */
    assert_int_equal(op.error, PS_NOT_FOUND);
}

static void test_lists(void **state)
{
    (void)state;
    static const char names[] = "a\0b\"c\0"; /* each with its NUL, the last one the literal's */
    struct ps_op op = {.kind = PS_OP_KV_LIST};
    assert_int_equal(answer(&op, 200, true,
                            "{\"keys\":[{\"name\":\"a\",\"expiration\":5},{\"name\":\"b\\\"c\"}],"
                            "\"list_complete\":true}"),
                     PS_OK);
    assert_true(op.digest == ps_slice_hash((struct ps_slice){names, sizeof names - 1}));
    assert_int_equal(answer(&op, 200, true, "{\"keys\":[],\"list_complete\":true}"), PS_OK);
    assert_true(op.digest == ps_slice_hash(PS_LIT("")));
    assert_int_equal(answer(&op, 200, true, "{\"keys\":[{}]}"), PS_CORRUPT);
    assert_int_equal(op.error, PS_CORRUPT);
    assert_int_equal(answer(&op, 200, true, "[]"), PS_CORRUPT);
    assert_int_equal(answer(&op, 200, true, ""), PS_CORRUPT);
}

static const struct ps_live_response d1_told = {.status = 200,
                                                .told = true,
                                                .eval_ns = 50,
                                                .run_ns = 40,
                                                .lsn = 4,
                                                .boot = 2,
                                                .at_home = 1,
                                                .wrote = 1};

static enum ps_status d1_answer(struct ps_op *op, struct ps_live_response response,
                                const char *body)
{
    struct ps_error err = {0};
    *op = (struct ps_op){.kind = PS_OP_D1_QUERY};
    ps_buf_append_text(&response.body, body);
    enum ps_status ret = ps_live_op_answer(op, texts, &response, &err);
    assert_int_equal(ret, err.status);
    ps_buf_fini(&response.body);
    return ret;
}

#define META(read, wrote)                                                                          \
    "\"meta\":{\"x\":\"}\",\"rows_read\":" #read ",\"rows_written\":" #wrote "}"

static void test_d1_answers(void **state)
{
    (void)state;
    struct ps_op op;
    static const char one[] =
        "{\"columns\":[\"a\"],\"rows\":[[1.50,\"\\\"]}\"]]}"; /* and its NUL */
    struct ps_buf body = {0};
    ps_buf_printf(&body, "{\"success\":true,\"results\":%s," META(3, 2) "}", one);
    assert_int_equal(d1_answer(&op, d1_told, ps_buf_text(&body)), PS_OK);
    assert_true(op.lsn == 4 && op.eval_ns == 50 && op.run_ns == 40 && op.boot == 2);
    assert_true(op.at_home && op.wrote && op.error == PS_OK);
    assert_true(op.rows_read == 3 && op.rows_written == 2);
    assert_true(op.digest == ps_slice_hash((struct ps_slice){one, sizeof one}));
    body.size = 0;
    ps_buf_append_text(&body, "[{\"success\":true,\"results\":[]," META(
                                  1, 1) "},\n"
                                        " {\"success\":true, \"results\" : {} ," META(1, 1) "}]");
    struct ps_live_response told = d1_told;
    told.at_home = 0;
    told.wrote = 0;
    assert_int_equal(d1_answer(&op, told, ps_buf_text(&body)), PS_OK);
    assert_true(!op.at_home && !op.wrote && op.rows_read == 2 && op.rows_written == 2);
    assert_true(op.digest == ps_slice_hash((struct ps_slice){"[]\0{}", 6}));
    /* D1 refused it. */
    static const char words[] = "{\"success\":false,\"error\":\"no \\\"t\\\"\"}";
    assert_int_equal(d1_answer(&op, told, words), PS_OK);
    assert_true(op.error == PS_INVALID && op.lsn == 4 && op.eval_ns == 50);
    assert_true(op.digest == ps_slice_hash(PS_LIT("no \"t\"")));
    /* The cluster could not run it. */
    (void)snprintf(told.error, sizeof told.error, "timeout");
    assert_int_equal(d1_answer(&op, told, words), PS_OK);
    assert_true(op.error == PS_TIMEOUT && op.lsn == 0 && op.eval_ns == 50 && op.digest == 0);
    ps_buf_fini(&body);
}

static void test_strange_d1_answers(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{",
        "[",
        "[{}]",
        "{\"success\":true,\"results\":[]}",
        "{\"success\":true," META(1, 1) "}",
        "{\"success\":true,\"results\":[]," META(1, -1) "}",
        "{\"success\":true,\"results\":[]," META(18446744073709551616, 1) "}",
        "{\"success\":true,\"results\":[],\"meta\":{\"rows_read\":1}}",
        "{\"success\":false,\"results\":[]," META(1, 1) "}",
        "{\"success\":true,\"error\":\"x\"}",
        "{\"success\":false,\"error\":3}",
        "{\"success\":true,\"results\":[[]," META(1, 1) "}",
        "{\"success\":true,\"results\":[]," META(1, 1) "}}",
        "{\"success\":true,\"results\":\"\\",
        "[{\"success\":false,\"error\":\"x\"}]",
    };
    struct ps_op op;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(d1_answer(&op, d1_told, bodies[i]), PS_CORRUPT);
        assert_int_equal(op.error, PS_CORRUPT);
    }
    struct ps_live_response told = d1_told;
    (void)snprintf(told.error, sizeof told.error, "io");
    assert_int_equal(d1_answer(&op, told, "{\"success\":true,\"results\":[]," META(1, 1) "}"),
                     PS_CORRUPT);
}

static void test_strange_answers(void **state)
{
    (void)state;
    struct ps_op op = {.kind = PS_OP_KV_GET};
    assert_int_equal(answer(&op, 200, false, "<html>"), PS_CORRUPT); /* another server */
    assert_int_equal(op.error, PS_CORRUPT);
    assert_int_equal(answer(&op, 302, false, ""), PS_CORRUPT);
    struct ps_live_response response = {.status = 200, .told = true, .boot = UINT64_C(1) << 32};
    assert_int_equal(ps_live_op_answer(&op, texts, &response, NULL), PS_CORRUPT);
}

static void test_state(void **state)
{
    (void)state;
    bool ready;
    assert_int_equal(
        ps_live_state_ready(PS_LIT("{\"stores\":[{\"role\":\"home\"}]}"), &ready, NULL), PS_OK);
    assert_true(ready);
    assert_int_equal(
        ps_live_state_ready(PS_LIT("{\"stores\":[{\"role\":\"follower\",\"closed_ns\":0,"
                                   "\"home_away\":false}]}"),
                            &ready, NULL),
        PS_OK);
    assert_false(ready);
    assert_int_equal(
        ps_live_state_ready(PS_LIT("{\"stores\":[{\"role\":\"follower\",\"closed_ns\":5,"
                                   "\"home_away\":true}]}"),
                            &ready, NULL),
        PS_OK);
    assert_false(ready);
    assert_int_equal(
        ps_live_state_ready(PS_LIT("{\"stores\":[{\"role\":\"follower\",\"closed_ns\":5,"
                                   "\"home_away\":false}]}"),
                            &ready, NULL),
        PS_OK);
    assert_true(ready);
    assert_int_equal(ps_live_state_ready(PS_LIT("nothing"), &ready, NULL), PS_CORRUPT);
}

static void test_metric(void **state)
{
    (void)state;
    struct ps_slice text = PS_LIT("# TYPE popsim_late counter\npopsim_late_total{pop=\"a\"} 12\n"
                                  "popsim_late_total_more 9\npopsim_late_total{pop=\"b\"} 30");
    struct ps_live_metric metric = {0};
    ps_live_metric_add(&metric, text, "popsim_late_total");
    assert_int_equal(metric.sum, 42);
    assert_int_equal(metric.most, 30);
    ps_live_metric_add(&metric, text, "popsim_late_total"); /* of the next node */
    assert_int_equal(metric.sum, 84);
    assert_int_equal(metric.most, 30);
    ps_live_metric_add(&metric, text, "popsim_gone_total");
    ps_live_metric_add(&metric, PS_LIT(""), "popsim_late_total");
    assert_int_equal(metric.sum, 84);
}

/* ---- logs ---- */

#define RUN UINT64_C(0xaa)

static void put_line(struct ps_buf *page, uint64_t lsn, uint64_t run, uint64_t id, const char *key,
                     const char *value)
{
    struct ps_token token = ps_live_token(run, id);
    ps_buf_printf(page, "{\"lsn\":%llu,\"commit_ns\":%llu,\"token\":\"", (unsigned long long)lsn,
                  (unsigned long long)lsn * 100);
    for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
        ps_buf_printf(page, "%02x", token.bytes[i]);
    }
    ps_buf_printf(page,
                  "\",\"key\":\"%s\",\"deleted\":%s,\"expires_unix_s\":%llu,"
                  "\"digest\":\"%016llx\"}\n",
                  key, value == NULL ? "true" : "false", (unsigned long long)lsn + 1000,
                  (unsigned long long)ps_slice_hash(ps_slice_of(value)));
}

static void add_put(struct ps_history *history, uint64_t id, const char *key, const char *value,
                    uint64_t lsn, enum ps_status error)
{
    struct ps_op op = {.id = id,
                       .kind = value == NULL ? PS_OP_KV_DELETE : PS_OP_KV_PUT,
                       .key = ps_intern_put(history->keys, ps_slice_of(key)),
                       .digest = value == NULL ? 0 : ps_slice_hash(ps_slice_of(value)),
                       .lsn = lsn,
                       .eval_ns = lsn * 100,
                       .error = (uint8_t)error};
    ps_history_add(history, &op);
}

static void test_merge(void **state)
{
    (void)state;
    struct ps_history *history = ps_history_create();
    add_put(history, 4, "k", "lost on the way", 0, PS_TIMEOUT); /* no order by id is needed */
    add_put(history, 1, "k", "v1", 2, PS_OK);
    add_put(history, 2, "k", NULL, 3, PS_OK);
    add_put(history, 3, "k", "never came", 0, PS_UNREACHABLE);
    add_put(history, 5, "k", "vanished", 9, PS_OK);
    struct ps_buf page = {0};
    put_line(&page, 1, 7, 1, "other", "before the run");
    put_line(&page, 2, RUN, 1, "k", "v1");
    put_line(&page, 3, RUN, 2, "k", NULL);
    put_line(&page, 4, RUN, 4, "k", "lost on the way");
    put_line(&page, 5, RUN, 99, "k", "no operation of ours");
    struct ps_live_log log = {0};
    struct ps_error err = {0};
    assert_int_equal(
        ps_live_log_take(&log, ps_buf_slice(&page), history->keys, history->requests, &err), PS_OK);
    assert_int_equal(log.count, 5);
    struct ps_live_lost lost = {0};
    ps_live_log_merge(&log, 0, RUN, history, &lost);
    assert_int_equal(history->ops[0].lsn, 4);
    assert_int_equal(history->ops[0].eval_ns, 400);
    assert_int_equal(history->ops[0].error, PS_TIMEOUT);
    assert_int_equal(history->ops[1].expires_unix_s, 1002);
    assert_int_equal(history->ops[3].lsn, 0);
    assert_int_equal(history->foreign_count, 2);
    assert_int_equal(history->foreign[0].lsn, 1);
    assert_int_equal(history->foreign[0].commit_ns, 100);
    assert_int_equal(history->foreign[0].expires_unix_s, 1001);
    assert_true(
        ps_slice_eq(ps_intern_text(history->keys, history->foreign[0].key), PS_LIT("other")));
    assert_int_equal(history->foreign[1].lsn, 5);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.id, 5);
    ps_live_log_fini(&log);
    ps_buf_fini(&page);
    ps_history_destroy(history);
}

static void assert_etag_of(const struct ps_history *history, uint32_t text, const char *expected)
{
    assert_int_not_equal(text, 0);
    assert_true(ps_slice_eq(ps_intern_text(history->requests, text - 1), ps_slice_of(expected)));
}

static void add_object(struct ps_history *history, uint64_t id, enum ps_op_kind kind,
                       const char *key, uint64_t lsn)
{
    struct ps_op op = {.id = id,
                       .kind = (uint8_t)kind,
                       .key = ps_intern_put(history->keys, ps_slice_of(key)),
                       .digest = ps_slice_hash(PS_LIT("v")),
                       .lsn = lsn,
                       .invoke_ns = id * 100,
                       .eval_ns = lsn * 100,
                       .complete_ns = id * 100 + 50};
    ps_history_add(history, &op);
}

/* A bucket's records: of several keys, of a large body, of purges, which have no token, and of
 * uploads, which are no version of any key. */
static void test_merge_of_a_bucket(void **state)
{
    (void)state;
    struct ps_history *history = ps_history_create();
    add_object(history, 1, PS_OP_R2_PUT, "k", 1);
    add_object(history, 2, PS_OP_R2_PUT, "large", 0);
    add_object(history, 3, PS_OP_R2_DELETE, "never", 3); /* and k: that one was there */
    add_object(history, 4, PS_OP_R2_PURGE, "k", 0);
    add_object(history, 5, PS_OP_R2_PURGE, "k", 0); /* has no record */
    add_object(history, 6, PS_OP_R2_PUT, "k", 0);   /* its condition did not hold */
    history->ops[1].error = PS_TIMEOUT;
    struct ps_buf page = {0};

    static const struct {
        uint64_t id;
        const char *key, *value, *more;
    } lines[] = {
        {1, "k", "v", ",\"keys\":[\"k\"],\"etag\":\"e1\",\"cache_control\":\"no-store\""},
        {2, "large", "a list of blobs", ",\"keys\":[\"large\"],\"etag\":\"e2\",\"large\":true"},
        {3, "k", NULL, ",\"keys\":[\"k\"]"},
        {99, "k", NULL, ",\"purge\":true"},
        {99, "", NULL, ",\"none\":true"},
        {99, "x", NULL, ",\"keys\":[\"x\",\"y\"]"},
        {99, "z", "v", ",\"keys\":[\"z\"],\"etag\":\"e3\",\"cache_expiry_ms\":5"},
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        put_line(&page, i + 1, RUN, lines[i].id, lines[i].key, lines[i].value);
        page.size -= 2; /* "}\n" */
        ps_buf_printf(&page, "%s}\n", lines[i].more);
    }
    struct ps_live_log log = {0};
    struct ps_live_lost lost = {0};
    struct ps_error err = {0};
    assert_int_equal(
        ps_live_log_take(&log, ps_buf_slice(&page), history->keys, history->requests, &err), PS_OK);
    ps_live_log_merge(&log, 0, RUN, history, &lost);
    assert_etag_of(history, history->ops[0].etag, "e1");
    assert_int_equal(history->ops[1].lsn, 2); /* its answer was lost */
    assert_etag_of(history, history->ops[1].etag, "e2");
    assert_int_equal(history->ops[3].lsn, 4);
    assert_int_equal(history->ops[3].eval_ns, 400);
    assert_int_equal(history->ops[4].lsn, 0);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.id, 5);
    assert_int_equal(history->foreign_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct ps_foreign *it = &history->foreign[i];
        assert_int_equal(it->none, it->lsn == 5);
        if (it->lsn == 6) {
            assert_etag_of(history, it->request,
                           "{\"version\":1,\"method\":\"delete\",\"objects\":[\"x\",\"y\"]}");
        } else if (it->lsn == 7) {
            assert_etag_of(history, it->request,
                           "{\"version\":1,\"method\":\"put\",\"object\":\"z\",\"httpFields\":{"
                           "\"cacheExpiry\":5}}");
        }
    }
    ps_live_log_fini(&log);
    ps_buf_fini(&page);
    ps_history_destroy(history);
}

static void add_request(struct ps_history *history, uint64_t id, enum ps_status error, bool wrote,
                        uint64_t lsn)
{
    struct ps_op op = {.id = id,
                       .kind = PS_OP_D1_QUERY,
                       .key = ps_intern_put(history->keys, PS_LIT("")),
                       .digest = id,
                       .lsn = lsn,
                       .eval_ns = lsn * 100,
                       .wrote = wrote,
                       .error = (uint8_t)error};
    ps_history_add(history, &op);
}

/* Who had no answer may have written; who was told that it wrote did; a reader and one whom D1
 * refused did not. */
static void test_merge_of_a_database(void **state)
{
    (void)state;
    struct ps_history *history = ps_history_create();
    add_request(history, 1, PS_OK, true, 1);
    add_request(history, 2, PS_OK, false, 1);
    add_request(history, 3, PS_TIMEOUT, false, 0);
    add_request(history, 4, PS_EXISTS, false, 0);
    add_request(history, 5, PS_UNREACHABLE, false, 0);
    add_request(history, 6, PS_INVALID, false, 1);
    add_request(history, 7, PS_OK, true, 9);
    struct ps_buf page = {0};
    for (uint64_t lsn = 1; lsn <= 5; lsn++) {
        static const uint64_t ids[] = {0, 1, 3, 4, 2, 6};
        put_line(&page, lsn, RUN, ids[lsn], "", "a head");
        page.size -= 2; /* "}\n" */
        ps_buf_printf(&page, ",\"unix_ms\":%llu}\n", 5000 + (unsigned long long)lsn);
    }
    history->cluster->epoch_unix_s = 5;
    history->ops[0].run_ns = 77;
    struct ps_live_log log = {0};
    assert_int_equal(
        ps_live_log_take(&log, ps_buf_slice(&page), history->keys, history->requests, NULL), PS_OK);
    struct ps_live_lost lost = {0};
    ps_live_log_merge(&log, 0, RUN, history, &lost);
    assert_true(history->ops[0].lsn == 1 && history->ops[0].wrote);
    assert_int_equal(history->ops[0].digest, 1);
    assert_true(history->ops[2].lsn == 2 && history->ops[2].wrote && history->ops[2].at_home);
    assert_int_equal(history->ops[2].eval_ns, 200);
    assert_int_equal(history->ops[2].error, PS_TIMEOUT);
    assert_true(history->ops[3].lsn == 3 && history->ops[3].wrote);
    assert_int_equal(history->ops[0].run_ns, 77); /* as its client was told */
    assert_int_equal(history->ops[2].run_ns, 2 * PS_MS);
    assert_int_equal(history->foreign[1].run_ns, 5 * PS_MS);
    assert_true(history->ops[4].lsn == 0 && !history->ops[4].wrote);
    assert_true(!history->ops[1].wrote && !history->ops[5].wrote);
    assert_int_equal(history->foreign_count, 2);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.id, 7);
    ps_live_log_fini(&log);
    ps_buf_fini(&page);
    ps_history_destroy(history);
}

/* A record that is not what its writer was told stays foreign, so that verify sees both. */
static void test_merge_differs(void **state)
{
    (void)state;

    static const struct {
        uint64_t lsn;
        const char *key;
        const char *value;
    } told[] = {{2, "k", "v"}, {1, "j", "v"}, {1, "k", "w"}, {1, "k", NULL}};

    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct ps_history *history = ps_history_create();
        add_put(history, 1, told[i].key, told[i].value, told[i].lsn, PS_OK);
        struct ps_buf page = {0};
        put_line(&page, 1, RUN, 1, "k", "v");
        struct ps_live_log log = {0};
        assert_int_equal(
            ps_live_log_take(&log, ps_buf_slice(&page), history->keys, history->requests, NULL),
            PS_OK);
        struct ps_live_lost lost = {0};
        ps_live_log_merge(&log, 0, RUN, history, &lost);
        assert_int_equal(history->foreign_count, 1);
        assert_int_equal(lost.count, 1);
        ps_live_log_fini(&log);
        ps_buf_fini(&page);
        ps_history_destroy(history);
    }
}

static void test_wrong_pages(void **state)
{
    (void)state;
    struct ps_intern *keys = ps_intern_create();
    struct ps_buf page = {0};
    put_line(&page, 1, RUN, 1, "k", "v");
    struct ps_slice whole = ps_buf_slice(&page);
    for (size_t cut = 1; cut < whole.size; cut++) {
        struct ps_live_log log = {0};
        assert_int_equal(
            ps_live_log_take(&log, (struct ps_slice){whole.data, cut}, keys, texts, NULL),
            PS_CORRUPT);
        assert_int_equal(log.count, 0);
        ps_live_log_fini(&log);
    }
    struct ps_live_log log = {0};
    assert_int_equal(ps_live_log_take(&log, whole, keys, texts, NULL), PS_OK);
    assert_int_equal(ps_live_log_take(&log, whole, keys, texts, NULL),
                     PS_CORRUPT); /* LSN 1 again */
    page.size = 0;
    put_line(&page, 2, RUN, 2, "k", "v");
    put_line(&page, 4, RUN, 3, "k", "v");
    assert_int_equal(ps_live_log_take(&log, ps_buf_slice(&page), keys, texts, NULL),
                     PS_CORRUPT); /* a gap */
    assert_int_equal(log.count, 2);
    ps_live_log_fini(&log);
    ps_buf_fini(&page);
    ps_intern_destroy(keys);
}

/* ---- agenda ---- */

static void test_agenda(void **state)
{
    (void)state;

    enum { COUNT = 2000 };

    struct ps_live_agenda agenda = {0};
    ps_time_ns at_ns[COUNT];
    assert_true(ps_live_agenda_next(&agenda) == PS_NEVER);
    for (uint32_t i = 0; i < COUNT; i++) {
        at_ns[i] = ps_random_u64(3, 4, i) % 500; /* many are equal */
        ps_live_agenda_push(&agenda, at_ns[i], i);
    }
    ps_time_ns last_ns = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        ps_time_ns next_ns = ps_live_agenda_next(&agenda);
        uint32_t number = ps_live_agenda_pop(&agenda);
        assert_int_equal(at_ns[number], next_ns);
        assert_true(i == 0 || next_ns > last_ns || (next_ns == last_ns && number > last));
        last_ns = next_ns;
        last = number;
        at_ns[number] = PS_NEVER; /* each comes once */
    }
    assert_int_equal(agenda.count, 0);
    ps_live_agenda_fini(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_odd_responses),
        cmocka_unit_test(test_large_head),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_d1_requests),
        cmocka_unit_test(test_d1_answers),
        cmocka_unit_test(test_strange_d1_answers),
        cmocka_unit_test(test_merge_of_a_database),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_strange_answers),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_metric),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_of_a_bucket),
        cmocka_unit_test(test_r2_requests),
        cmocka_unit_test(test_public_requests),
        cmocka_unit_test(test_r2_answers),
        cmocka_unit_test(test_cut_answers),
        cmocka_unit_test(test_public_answers),
        cmocka_unit_test(test_merge_differs),
        cmocka_unit_test(test_wrong_pages),
        cmocka_unit_test(test_agenda),
    };
    return cmocka_run_group_tests(tests, open_texts, close_texts);
}
