/* Pipelined requests cut at every position, what is refused, routes and answers. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "node/http/api.h"
#include "node/http/http1.h"
#include "node/http/http1_answer.h"
#include "node/http/multipart.h"
#include "replication/wire/message.h"
#include "tests/support/api_ask.h"

#include <stdio.h>
#include <string.h>

/* Bodies below /s are streamed. */
static struct ps_http_intake limit_10(void *context, const struct ps_http_request *head)
{
    (void)context;
    return (struct ps_http_intake){10, ps_slice_starts(head->target, PS_LIT("/s"))};
}

static void feed_all(struct ps_http1_parser *parser, struct ps_slice bytes, struct ps_buf *seen)
{
    for (bool more = bytes.size > 0; more;) {
        size_t taken;
        enum ps_http1_event event = ps_http1_feed(parser, bytes, &taken);
        assert_int_not_equal(event, PS_HTTP1_REFUSED);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        more = bytes.size > 0 || event == PS_HTTP1_HEAD || event == PS_HTTP1_BODY;
        if (event == PS_HTTP1_CONTINUE) {
            ps_buf_append_text(seen, "C;");
        } else if (event == PS_HTTP1_BODY) {
            assert_true(ps_http1_span(parser).size > 0);
            ps_buf_append_slice(seen, ps_http1_span(parser));
        } else if (event == PS_HTTP1_END) {
            ps_buf_append_text(seen, " end;");
        } else if (event == PS_HTTP1_REQUEST || event == PS_HTTP1_HEAD) {
            struct ps_http1_message *message = ps_http1_take(parser);
            const struct ps_http_header *x = ps_http_header(&message->request, "x");
            ps_buf_printf(seen, "%d ", (int)message->request.method);
            ps_buf_append_slice(seen, message->request.target);
            ps_buf_append_char(seen, ' ');
            ps_buf_append_slice(seen, x == NULL ? PS_LIT("-") : x->value);
            ps_buf_append_char(seen, ' ');
            ps_buf_append_slice(seen, message->request.body);
            assert_int_equal(message->streamed, event == PS_HTTP1_HEAD);
            if (message->streamed) {
                ps_buf_printf(seen, "%d:%d ", message->sized, (int)message->body_size);
            }
            ps_buf_append_text(seen, message->keep_alive ? ";" : " last;");
            ps_http1_message_free(message);
        }
    }
}

static void every_split(void **state)
{
    (void)state;
    struct ps_slice bytes = PS_LIT("GET /a HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9\x7f \r\n\r\n"
                                   "PUT /b HTTP/1.1\r\nx:\r\nContent-Length: 3\r\n\r\nabc"
                                   "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "2\r\nde\r\n1\r\nf\r\n0\r\nT: t\r\n\r\n"
                                   "POST /d HTTP/1.1\r\nExpect: 100-continue\r\n"
                                   "Content-Length: 2\r\n\r\ngh"
                                   "HEAD /e HTTP/1.1\r\nConnection: close\r\n\r\n");
    for (size_t cut = 0; cut <= bytes.size; cut++) {
        struct ps_http1_parser *parser = ps_http1_parser_create(limit_10, NULL);
        struct ps_buf seen = {0};
        feed_all(parser, (struct ps_slice){bytes.data, cut}, &seen);
        feed_all(parser, (struct ps_slice){bytes.data + cut, bytes.size - cut}, &seen);
        assert_string_equal(ps_buf_text(&seen),
                            "0 /a \xc3\xa9\x7f ;2 /b  abc;2 /c - def;C;3 /d - gh;1 /e -  last;");
        ps_buf_fini(&seen);
        ps_http1_parser_destroy(parser);
    }
}

/* Streamed: the head, the body and the end, however the bytes are cut. */
static void every_split_of_a_stream(void **state)
{
    (void)state;
    struct ps_slice bytes = PS_LIT("PUT /s1 HTTP/1.1\r\nX: a\r\nContent-Length: 3\r\n\r\nabc"
                                   "PUT /s2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "2\r\nde\r\n1\r\nf\r\n0\r\nT: t\r\n\r\n"
                                   "GET /a HTTP/1.1\r\n\r\n"
                                   "PUT /s3 HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
                                   "GET /s4 HTTP/1.1\r\n\r\n"
                                   "PUT /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nij"
                                   "POST /s5 HTTP/1.1\r\nExpect: 100-continue\r\n"
                                   "Content-Length: 2\r\n\r\ngh"
                                   "PUT /s6 HTTP/1.1\r\nConnection: close\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore");
    for (size_t cut = 0; cut <= bytes.size; cut++) {
        for (size_t again = cut; again <= bytes.size; again += 7) {
            struct ps_http1_parser *parser = ps_http1_parser_create(limit_10, NULL);
            struct ps_buf seen = {0};
            feed_all(parser, (struct ps_slice){bytes.data, cut}, &seen);
            feed_all(parser, (struct ps_slice){bytes.data + cut, again - cut}, &seen);
            feed_all(parser, (struct ps_slice){bytes.data + again, bytes.size - again}, &seen);
            assert_string_equal(ps_buf_text(&seen),
                                "2 /s1 a 1:3 ;abc end;2 /s2 - 0:0 ;def end;0 /a - ;"
                                "2 /s3 - 1:0 ; end;0 /s4 - 1:0 ; end;2 /b - ij;"
                                "3 /s5 - 1:2 ;C;gh end;2 /s6 - 0:0  last; end;");
            assert_false(ps_http1_is_inside(parser));
            ps_buf_fini(&seen);
            ps_http1_parser_destroy(parser);
        }
    }
}

/* What was streamed before stays told; then the refusal comes, again and again. */
static void a_stream_is_refused_in_its_middle(void **state)
{
    (void)state;

    static const struct {
        const char *bytes;
        int status;
    } cases[] = {
        {"PUT /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nz\r\n", 400},
        {"PUT /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n8\r\n12345678", 413}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_http1_parser *parser = ps_http1_parser_create(limit_10, NULL);
        struct ps_slice bytes = ps_slice_of(cases[i].bytes);
        struct ps_buf seen = {0};
        enum ps_http1_event event;
        do {
            size_t taken;
            event = ps_http1_feed(parser, bytes, &taken);
            bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
            if (event == PS_HTTP1_HEAD) {
                ps_http1_message_free(ps_http1_take(parser));
            } else if (event == PS_HTTP1_BODY) {
                ps_buf_append_slice(&seen, ps_http1_span(parser));
            }
        } while (event != PS_HTTP1_REFUSED && (bytes.size > 0 || event == PS_HTTP1_BODY));
        const char *said;
        assert_int_equal(event, PS_HTTP1_REFUSED);
        assert_int_equal(ps_http1_refusal(parser, &said), cases[i].status);
        assert_string_equal(ps_buf_text(&seen), "abc");
        ps_buf_fini(&seen);
        ps_http1_parser_destroy(parser);
    }
}

static void feed_answers(struct ps_http1_answer_parser *parser, struct ps_slice bytes,
                         struct ps_buf *seen)
{
    for (bool more = bytes.size > 0; more;) {
        size_t taken;
        enum ps_http1_answer_event event = ps_http1_answer_feed(parser, bytes, &taken);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        more = bytes.size > 0 || event == PS_HTTP1_ANSWER_HEAD || event == PS_HTTP1_ANSWER_BODY;
        struct ps_http1_answer_head head = ps_http1_answer_head(parser);
        if (event == PS_HTTP1_ANSWER_HEAD) {
            ps_buf_printf(seen, "%d %d %d:%d ", head.status, head.keep_alive, head.sized,
                          (int)head.body_size);
        } else if (event == PS_HTTP1_ANSWER_BODY) {
            ps_buf_append_slice(seen, ps_http1_answer_span(parser));
        } else if (event == PS_HTTP1_ANSWER_END) {
            ps_buf_append_text(seen, " end;");
        } else {
            assert_int_equal(event, PS_HTTP1_ANSWER_NEED);
        }
    }
}

static void every_split_of_answers(void **state)
{
    (void)state;
    struct ps_slice bytes = PS_LIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
                                   "HTTP/1.1 100 Continue\r\n\r\n"
                                   "HTTP/1.1 206 P\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                                   "HTTP/1.1 204 N\r\n\r\n"
                                   "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"
                                   "HTTP/1.1 500 E\r\nConnection: close\r\n\r\nrest");
    for (size_t cut = 0; cut <= bytes.size; cut++) {
        struct ps_http1_answer_parser *parser = ps_http1_answer_parser_create();
        struct ps_buf seen = {0};
        feed_answers(parser, (struct ps_slice){bytes.data, cut}, &seen);
        feed_answers(parser, (struct ps_slice){bytes.data + cut, bytes.size - cut}, &seen);
        assert_string_equal(ps_buf_text(&seen),
                            "200 1 1:3 abc end;206 1 0:0 def end;204 1 1:0  end;404 1 1:0  end;"
                            "500 0 0:0 rest");
        assert_int_equal(ps_http1_answer_finish(parser), PS_HTTP1_ANSWER_END);
        ps_buf_fini(&seen);
        ps_http1_answer_parser_destroy(parser);
    }
}

/* The other side ends within an answer whose size is known, or says no HTTP. */
static void broken_answers(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_http1_answer_parser *parser = ps_http1_answer_parser_create();
        struct ps_buf seen = {0};
        feed_answers(parser, ps_slice_of(cases[i]), &seen);
        assert_int_equal(ps_http1_answer_finish(parser), PS_HTTP1_ANSWER_REFUSED);
        ps_buf_fini(&seen);
        ps_http1_answer_parser_destroy(parser);
    }
    struct ps_http1_answer_parser *parser = ps_http1_answer_parser_create();
    size_t taken;
    assert_int_equal(ps_http1_answer_finish(parser), PS_HTTP1_ANSWER_NEED);
    assert_int_equal(ps_http1_answer_feed(parser, PS_LIT("nonsense\r\n\r\n"), &taken),
                     PS_HTTP1_ANSWER_REFUSED);
    assert_int_equal(ps_http1_answer_feed(parser, PS_LIT("HTTP/1.1 "), &taken),
                     PS_HTTP1_ANSWER_REFUSED);
    ps_http1_answer_parser_destroy(parser);
}

static void refuses(const char *bytes, int status, const char *phrase)
{
    struct ps_http1_parser *parser = ps_http1_parser_create(limit_10, NULL);
    size_t taken;
    const char *said;
    assert_int_equal(ps_http1_feed(parser, ps_slice_of(bytes), &taken), PS_HTTP1_REFUSED);
    assert_int_equal(ps_http1_refusal(parser, &said), status);
    assert_string_equal(said, phrase);
    assert_int_equal(ps_http1_feed(parser, PS_LIT("more"), &taken), PS_HTTP1_REFUSED);
    ps_http1_parser_destroy(parser);
}

static void what_is_refused(void **state)
{
    (void)state;
    refuses("PUT /b HTTP/1.1\r\nContent-Length: 11\r\n\r\n", 413,
            "Value length of 11 exceeds limit of 10.");
    refuses("PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n",
            413, "Value length exceeds limit of 10.");
    refuses("GET / HTTP/9.9\r\n\r\n", 400, "");
    refuses("nonsense\r\n\r\n", 400, "");
    refuses("GET / HTTP/1.1\r\na: b\x01c\r\n\r\n", 400, "");
    refuses("GET / HTTP/1.1\r\na: b\rc\r\n\r\n", 400, "");
    refuses("PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "");
    struct ps_buf many = {0};
    ps_buf_append_text(&many, "GET / HTTP/1.1\r\n");
    for (size_t i = 0; i <= PS_HTTP1_HEADERS_MAX; i++) {
        ps_buf_append_text(&many, "a: b\r\n");
    }
    refuses(ps_buf_text(&many), 431, "");
    many.size = 0;
    ps_buf_append_text(&many, "GET /");
    for (size_t i = 0; i < PS_HTTP1_HEAD_SIZE_MAX; i++) {
        ps_buf_append_char(&many, 'a');
    }
    refuses(ps_buf_text(&many), 431, "");
    ps_buf_fini(&many);
}

static void heads_are_written(void **state)
{
    (void)state;
    struct ps_buf out = {0};
    struct ps_http_response response = {.status = 400, .phrase = "a\nb \xc3\xa9"};
    ps_http_response_header(&response, "x", PS_LIT("1\r\n\xc3\xa9"));
    ps_buf_append_text(&response.body, "body");
    ps_http1_write_head_dated(&out, &response, true, false, PS_LIT("today"));
    assert_string_equal(ps_buf_text(&out), "HTTP/1.1 400 a?b \xc3\xa9\r\nx: 1\xc3\xa9\r\n"
                                           "Content-Length: 4\r\nDate: today\r\n"
                                           "Connection: close\r\n\r\n");
    ps_http_response_fini(&response);
    out.size = 0;
    response.status = 404;
    ps_http1_write_head(&out, &response, false, true);
    assert_string_equal(ps_buf_text(&out), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
                                           "Connection: keep-alive\r\n\r\n");
    ps_buf_fini(&out);
}

static void dates(void **state)
{
    (void)state;

    static const struct {
        int64_t unix_s;
        const char *text;
    } cases[] = {{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                 {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110, 5.6.7 */
                 {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
                 {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
                 {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
                 {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
                 {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
                 {1767225599, "Wed, 31 Dec 2025 23:59:59 GMT"},
                 {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
                 {253402300800, "Thu, 01 Jan 1970 00:00:00 GMT"},
                 {-1, "Thu, 01 Jan 1970 00:00:00 GMT"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char date[30];
        ps_http1_date(cases[i].unix_s, date);
        assert_string_equal(date, cases[i].text);
    }
}

static void multipart_fields(void **state)
{
    (void)state;
    static const char type[] = "multipart/form-data; boundary=\"x y\"";
    static const char body[] = "preamble\r\n--x y\r\n"
                               "Content-Disposition: form-data; name=\"value\"; filename=\"f\"\r\n"
                               "Content-Type: text/plain\r\n\r\n"
                               "one\r\n--x\r\ntwo\r\n--x y  \r\n"
                               "content-disposition: form-data; name=empty\r\n\r\n"
                               "\r\n--x y\r\n"
                               "content-disposition: form-data; name=none\r\n\r\n"
                               "--x y--\r\nepilogue";
    struct ps_slice got;
    bool found;
    assert_int_equal(
        ps_multipart_field(ps_slice_of(type), ps_slice_of(body), "value", &got, &found), PS_OK);
    assert_true(found);
    assert_true(ps_slice_eq(got, PS_LIT("one\r\n--x\r\ntwo")));
    assert_int_equal(
        ps_multipart_field(ps_slice_of(type), ps_slice_of(body), "empty", &got, &found), PS_OK);
    assert_true(found && got.size == 0);
    assert_int_equal(ps_multipart_field(ps_slice_of(type), ps_slice_of(body), "none", &got, &found),
                     PS_OK);
    assert_true(found && got.size == 0);
    assert_int_equal(
        ps_multipart_field(ps_slice_of(type), ps_slice_of(body), "metadata", &got, &found), PS_OK);
    assert_false(found);
    /* Cut anywhere before the last delimiter it is no multipart body. */
    size_t whole = (size_t)(strstr(body, "--\r\nepilogue") - body) + 2;
    for (size_t size = 0; size < whole; size++) {
        assert_int_equal(ps_multipart_field(ps_slice_of(type), (struct ps_slice){body, size},
                                            "value", &got, &found),
                         PS_INVALID);
    }
    assert_int_equal(
        ps_multipart_field(PS_LIT("multipart/form-data"), ps_slice_of(body), "value", &got, &found),
        PS_INVALID);
}

/* ---- routes ---- */

#define REST "/client/v4/accounts/a/storage/kv/namespaces"
#define ID "00000000000000000000000000000001"

static const struct ps_api_namespace namespaces[] = {
    {.name = "CACHE", .title = "cache", .id = ID, .is_kv = true},
    {.name = "DB", .title = "db", .id = "00000000000000000000000000000002"},
    {.name = "MORE", .title = "more", .id = "00000000000000000000000000000003", .is_kv = true},
    {.name = "SQL",
     .title = "SQL",
     .id = "0123456789abcdef0123456789abcdef",
     .is_d1 = true,
     .created_unix_s = 951827696},
    {.name = "FILES", .title = "files", .id = "00000000000000000000000000000005", .is_r2 = true}};

static const struct ps_api_config usual = {
    .namespaces = namespaces, .namespace_count = 5, .pop = "fra"};
static struct ps_api_config config;

static void ask(struct asked *ret, enum ps_http_method method, const char *target,
                const char *const *headers, const char *body)
{
    ask_api(&config, method, target, headers, body, ret);
}

static const char *body_of(struct asked *asked)
{
    return ps_buf_text(&asked->response.body);
}

static const char *const with_store[] = {"popsim-store", "CACHE", NULL};

static void binding_routes(void **state)
{
    (void)state;

    static const struct {
        enum ps_http_method method;
        const char *target;
        int status; /* 0 = a KV call of `op` on `key` */
        enum ps_kv_op op;
        const char *key; /* or the phrase */
    } cases[] = {
        {PS_HTTP_GET, "/a%2Fb+c?urlencoded=true&cache_ttl=60", 0, PS_KV_GET, "a/b+c"},
        {PS_HTTP_GET, "/a%41?urlencoded=true", 0, PS_KV_GET, "aA"},
        {PS_HTTP_GET, "/a%41", 0, PS_KV_GET, "a%41"},
        {PS_HTTP_HEAD, "/k?urlencoded=true", 0, PS_KV_GET, "k"},
        {PS_HTTP_GET, "/healthz", 0, PS_KV_GET, "healthz"}, /* a key like any other */
        {PS_HTTP_GET, "/k?urlencoded=true&cache_ttl=10", 400, PS_KV_GET,
         "Invalid cache_ttl of 10. Cache TTL must be at least 30."},
        {PS_HTTP_GET, "/%4?urlencoded=true", 400, PS_KV_GET, "Could not URL-decode key name"},
        {PS_HTTP_GET, "/.?urlencoded=true", 400, PS_KV_GET,
         "Illegal key name \".\". Please use a different name."},
        {PS_HTTP_GET, "/?prefix=&cursor=", 0, PS_KV_LIST, ""},
        {PS_HTTP_GET, "/?key_count_limit=1", 0, PS_KV_LIST, ""},
        {PS_HTTP_GET, "/?key_count_limit=1001", 400, PS_KV_LIST,
         "Invalid key_count_limit of 1001. Please specify an integer less than 1000."},
        {PS_HTTP_GET, "/?cursor=%2A", 400, PS_KV_LIST, "Invalid cursor"},
        {PS_HTTP_DELETE, "/k?urlencoded=true", 0, PS_KV_DELETE, "k"},
        {PS_HTTP_DELETE, "/?urlencoded=true", 400, PS_KV_DELETE, "Key names must not be empty"},
        {PS_HTTP_PUT, "/k?urlencoded=true&expiration_ttl=59", 400, PS_KV_PUT,
         "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."},
        {PS_HTTP_PUT, "/k?urlencoded=true&expiration=x", 400, PS_KV_PUT,
         "Invalid expiration of 0. Please specify integer greater than the current number of "
         "seconds since the UNIX epoch."},
        {PS_HTTP_PATCH, "/k?urlencoded=true", 405, PS_KV_GET, "Method Not Allowed"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        ask(&asked, cases[i].method, cases[i].target, with_store, "");
        assert_int_equal(asked.response.status, cases[i].status);
        if (cases[i].status == 0) {
            assert_int_equal(asked.call.kind, PS_API_KV);
            assert_int_equal(asked.call.kv.op, cases[i].op);
            assert_true(ps_slice_eq(asked.call.kv.key, ps_slice_of(cases[i].key)));
        } else {
            assert_string_equal(asked.response.phrase, cases[i].key);
        }
        asked_fini(&asked);
    }
}

static void binding_put(void **state)
{
    (void)state;
    struct asked asked;
    static const char *const headers[] = {"Popsim-Store",
                                          "CACHE",
                                          "CF-KV-Metadata",
                                          "{\"who\":\"j\xc3\xbcrgen\"}",
                                          "popsim-token",
                                          "000102030405060708090a0b0c0d0e0f",
                                          NULL};
    ask(&asked, PS_HTTP_PUT, "/k?urlencoded=true&expiration_ttl=60&expiration=1", headers, "v");
    assert_int_equal(asked.call.kind, PS_API_KV);
    assert_true(ps_slice_eq(asked.call.kv.value, PS_LIT("v")));
    assert_true(ps_slice_eq(asked.call.kv.metadata, PS_LIT("{\"who\":\"j\xc3\xbcrgen\"}")));
    assert_int_equal(asked.call.kv.expiration_s, 1060);
    assert_int_equal(asked.call.token.bytes[15], 15);
    asked_fini(&asked);
    static const char *const bad[] = {"popsim-store", "CACHE", "CF-KV-Metadata", "{", NULL};
    ask(&asked, PS_HTTP_PUT, "/k?urlencoded=true", bad, "v");
    assert_int_equal(asked.response.status, 400);
    assert_string_equal(asked.response.phrase, "metadata must be valid json");
    asked_fini(&asked);
}

static void unknown_stores(void **state)
{
    (void)state;
    struct asked asked;
    static const char *const stores[] = {"NO", "DB", ""};
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        const char *const headers[] = {"popsim-store", stores[i], NULL};
        ask(&asked, PS_HTTP_GET, "/k", headers, "");
        assert_int_equal(asked.response.status, 404);
        assert_string_equal(asked.response.phrase, "namespace not found");
        asked_fini(&asked);
    }
    ask(&asked, PS_HTTP_GET, "/k", NULL, "");
    assert_int_equal(asked.response.status, 404);
    assert_int_equal(asked.response.body.size, 0);
    asked_fini(&asked);
}

/* miniflare's remote bindings: the Worker's request is in headers. */
static void hook_routes(void **state)
{
    (void)state;

    static const struct {
        const char *url;
        enum ps_kv_op op;
        const char *key;
        const char *prefix;
    } cases[] = {{"https://fake-host/a%2Fb?urlencoded=true", PS_KV_GET, "a/b", ""},
                 {"https://fake-host?prefix=a%2F+b&key_count_limit=2", PS_KV_LIST, "", "a/ b"},
                 {"https://fake-host/?prefix=x", PS_KV_LIST, "", "x"},
                 {"https://fake-host", PS_KV_LIST, "", ""},
                 {"", PS_KV_LIST, "", ""}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const headers[] = {"MF-Binding", "MORE", "MF-URL", cases[i].url, NULL};
        struct asked asked;
        ask(&asked, PS_HTTP_GET, "/", headers, "");
        assert_int_equal(asked.call.kind, PS_API_KV);
        assert_int_equal(asked.call.ns, 2);
        assert_int_equal(asked.call.kv.op, cases[i].op);
        assert_true(ps_slice_eq(asked.call.kv.key, ps_slice_of(cases[i].key)));
        assert_true(ps_slice_eq(asked.call.kv.prefix, ps_slice_of(cases[i].prefix)));
        asked_fini(&asked);
    }
    static const char *const put[] = {"MF-Binding",
                                      "CACHE",
                                      "MF-URL",
                                      "https://fake-host/k?urlencoded=true",
                                      "MF-Header-cf-kv-metadata",
                                      "{\"a\":1}",
                                      "CF-KV-Metadata",
                                      "not this one",
                                      NULL};
    struct asked asked;
    ask(&asked, PS_HTTP_PUT, "/", put, "v");
    assert_true(ps_slice_eq(asked.call.kv.metadata, PS_LIT("{\"a\":1}")));
    asked_fini(&asked);
}

static void other_routes(void **state)
{
    (void)state;

    static const struct {
        const char *target;
        enum ps_api_kind kind;
    } cases[] = {
        {"/popsim/state", PS_API_CONTROL}, {"/healthz", PS_API_HEALTHZ},
        {"/metrics", PS_API_METRICS},      {REST, PS_API_NS_LIST},
        {REST "/" ID, PS_API_NS_GET},      {REST "/" ID "/metadata/k", PS_API_KV_METADATA}};

    struct asked asked;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(&asked, PS_HTTP_GET, cases[i].target, NULL, "");
        assert_int_equal(asked.call.kind, cases[i].kind);
        asked_fini(&asked);
    }
    /* A cluster with a token asks for it, but not a load balancer's question. */
    config.token = "secret";
    static const char *const right[] = {"Authorization", "bearer secret", NULL};
    static const char *const wrong[] = {"Authorization", "Bearer Secret", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool open = cases[i].kind == PS_API_HEALTHZ || cases[i].kind == PS_API_METRICS;
        ask(&asked, PS_HTTP_GET, cases[i].target, right, "");
        assert_int_equal(asked.call.kind, cases[i].kind);
        asked_fini(&asked);
        ask(&asked, PS_HTTP_GET, cases[i].target, wrong, "");
        assert_int_equal(asked.call.kind, open ? cases[i].kind : PS_API_ANSWERED);
        assert_int_equal(asked.response.status, open ? 0 : 401);
        asked_fini(&asked);
    }
    config.token = NULL;
}

/* Where others than this machine's users can ask, all must carry the token. */
static void exposed_routes(void **state)
{
    (void)state;
    static const char *const binding[] = {"popsim-store", "CACHE", NULL};
    static const char *const binding_right[] = {"popsim-store", "CACHE", "Authorization",
                                                "Bearer secret", NULL};
    static const char *const binding_wrong[] = {"popsim-store", "CACHE", "Authorization",
                                                "Bearer secreT", NULL};
    static const char *const hook[] = {"MF-URL", "https://fake-host/k", "MF-Binding", "CACHE",
                                       NULL};

    struct {
        const char *target;
        const char *const *headers;
        int status; /* 0 = it goes on */
    } cases[] = {{"/k?urlencoded=true", binding, 401},
                 {"/k?urlencoded=true", binding_wrong, 401},
                 {"/k?urlencoded=true", binding_right, 0},
                 {"/k", hook, 401},
                 {"/metrics", NULL, 401},
                 {"/metrics", binding_right + 2, 0},
                 {"/popsim/state", NULL, 401},
                 {REST, NULL, 401},
                 {"/healthz", NULL, 0}};

    struct asked asked;
    config.token = "secret";
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        size_t at = i / 2;
        config.token_for_all = i % 2 == 0;
        ask(&asked, PS_HTTP_GET, cases[at].target, cases[at].headers, "");
        bool only_elsewhere =
            cases[at].headers != NULL || strcmp(cases[at].target, "/metrics") == 0;
        bool open = !config.token_for_all && only_elsewhere;
        assert_int_equal(asked.response.status, open ? 0 : cases[at].status);
        asked_fini(&asked);
    }
    config = usual;
}

static void rest_errors(void **state)
{
    (void)state;

    static const struct {
        enum ps_http_method method;
        const char *target;
        const char *body;
        int status;
        int code;
        const char *message;
    } cases[] = {
        {PS_HTTP_GET, "/client/v4/user", "", 404, 7003,
         "Could not route to /client/v4/user, "
         "perhaps your object identifier is "
         "invalid?"},
        {PS_HTTP_GET, REST "/" ID "/other", "", 404, 7003,
         "Could not route to " REST "/" ID "/oth, perhaps your object identifier is invalid?"},
        {PS_HTTP_GET, REST "/nope/keys", "", 404, 10013, "get namespace: 'namespace not found'"},
        {PS_HTTP_GET, REST "/00000000000000000000000000000002", "", 404, 10013,
         "get namespace: 'namespace not found'"},
        {PS_HTTP_PATCH, REST, "", 405, 10405, "method not allowed"},
        {PS_HTTP_POST, REST "/" ID, "", 405, 10405, "method not allowed"},
        {PS_HTTP_PUT, REST "/" ID "/keys", "", 405, 10405, "method not allowed"},
        {PS_HTTP_GET, REST "/" ID "/bulk", "", 405, 10405, "method not allowed"},
        {PS_HTTP_PUT, REST "/" ID "/metadata/k", "", 405, 10405, "method not allowed"},
        {PS_HTTP_POST, REST "/" ID "/values/k", "", 405, 10405, "Method Not Allowed"},
        {PS_HTTP_POST, REST, "{}", 400, 10019, "create namespace: 'title required'"},
        {PS_HTTP_POST, REST, "title", 400, 10012, "create namespace: 'invalid request body'"},
        {PS_HTTP_POST, REST, "{\"title\":7}", 400, 10019, "create namespace: 'title required'"},
        {PS_HTTP_PUT, REST "/" ID, "{\"title\":\"\"}", 400, 10019,
         "rename namespace: 'title required'"},
        {PS_HTTP_PUT, REST "/nope", "{\"title\":\"t\"}", 404, 10013,
         "get namespace: 'namespace not found'"},
        {PS_HTTP_GET, REST "/" ID "/keys?limit=9", "", 400, 10021,
         "list keys: 'Invalid limit of 9. Please specify an integer from 10 to 1000.'"},
        {PS_HTTP_PUT, REST "/" ID "/values/k?expiration=1", "v", 400, 10033,
         "put: 'Invalid expiration of 1. Please specify integer greater than the current number of "
         "seconds since the UNIX epoch.'"},
        {PS_HTTP_DELETE, REST "/" ID "/values/", "", 400, 10021,
         "remove key: 'Key names must not be empty'"},
        {PS_HTTP_PUT, REST "/" ID "/bulk", "{}", 400, 10012, "put: 'invalid request body'"},
        {PS_HTTP_PUT, REST "/" ID "/bulk", "[{\"key\":\"a\"}]", 400, 10012,
         "put: 'invalid request body'"},
        {PS_HTTP_PUT, REST "/" ID "/bulk", "[{\"key\":\"a\",\"value\":\"A\",\"base64\":true}]", 400,
         10012, "put: 'invalid request body'"},
        {PS_HTTP_PUT, REST "/" ID "/bulk", "[{\"key\":\"a\",\"value\":\"\",\"expiration_ttl\":1}]",
         400, 10034, "put: 'Invalid expiration_ttl of 1. Expiration TTL must be at least 60.'"},
        {PS_HTTP_POST, REST "/" ID "/bulk/delete", "[1]", 400, 10012,
         "bulk remove keys: 'invalid request body'"},
        {PS_HTTP_POST, REST "/" ID "/bulk/get", "{\"keys\":[]}", 400, 10029,
         "get: 'You must request a minimum of 1 key'"},
        {PS_HTTP_POST, REST "/" ID "/bulk/get", "{\"keys\":[\"a\"],\"type\":\"stream\"}", 400,
         10021, "get: '\"stream\" is not a valid type. Use \"json\" or \"text\"'"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        struct ps_buf wanted = {0};
        ask(&asked, cases[i].method, cases[i].target, NULL, cases[i].body);
        ps_buf_printf(&wanted,
                      "{\"success\":false,\"errors\":[{\"code\":%d,\"message\":", cases[i].code);
        ps_buf_append_json(&wanted, ps_slice_of(cases[i].message));
        ps_buf_append_text(&wanted, "}],\"messages\":[],\"result\":null}");
        assert_string_equal(body_of(&asked), ps_buf_text(&wanted));
        assert_int_equal(asked.response.status, cases[i].status);
        assert_string_equal(asked.response.phrase, ""); /* the standard one */
        ps_buf_fini(&wanted);
        asked_fini(&asked);
    }
}

static void namespace_changes(void **state)
{
    (void)state;

    static const struct {
        enum ps_http_method method;
        const char *target;
        const char *body;
        enum ps_api_kind kind;
        const char *title;
    } calls[] = {{PS_HTTP_POST, REST, "{\"title\":\"a \\u00fc\"}", PS_API_NS_CREATE, "a \xc3\xbc"},
                 {PS_HTTP_PUT, REST "/" ID, "{\"title\":\"b\",\"x\":1}", PS_API_NS_RENAME, "b"},
                 {PS_HTTP_DELETE, REST "/" ID, "", PS_API_NS_DELETE, ""}};

    static const struct {
        enum ps_status status;
        int http_status;
        const char *wanted;
    } answers[] = {
        {PS_OK, 200, "\"success\":true"},
        {PS_EXISTS, 400,
         "{\"code\":10014,\"message\":\"create namespace: 'A namespace with this account "
         "ID and title already exists'\"}"},
        {PS_NOT_FOUND, 404,
         "{\"code\":10013,\"message\":\"create namespace: 'namespace not found'\"}"},
        {PS_LIMIT, 400, "{\"code\":10021,"},
        {PS_TIMEOUT, 503, "Service Unavailable"}};

    struct asked asked;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ask(&asked, calls[i].method, calls[i].target, NULL, calls[i].body);
        assert_int_equal(asked.call.kind, calls[i].kind);
        assert_true(ps_slice_eq(asked.call.title, ps_slice_of(calls[i].title)));
        ps_api_answer_change(&asked.call, PS_OK, ID, &asked.response);
        struct ps_buf wanted = {0};
        ps_buf_append_text(&wanted, "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":");
        if (calls[i].kind == PS_API_NS_DELETE) {
            ps_buf_append_text(&wanted, "null}");
        } else {
            ps_buf_printf(&wanted,
                          "{\"id\":\"%s\",\"title\":\"%s\",\"supports_url_encoding\":true}}", ID,
                          calls[i].title);
        }
        assert_string_equal(body_of(&asked), ps_buf_text(&wanted));
        ps_buf_fini(&wanted);
        asked_fini(&asked);
    }
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        ask(&asked, calls[0].method, calls[0].target, NULL, calls[0].body);
        ps_api_answer_change(&asked.call, answers[i].status, ID, &asked.response);
        assert_int_equal(asked.response.status, answers[i].http_status);
        assert_non_null(strstr(body_of(&asked), answers[i].wanted));
        asked_fini(&asked);
    }
    char body[PS_KV_TITLE_SIZE_MAX + 16];
    (void)snprintf(body, sizeof body, "{\"title\":\"%0513d\"}", 0);
    ask(&asked, PS_HTTP_POST, REST, NULL, body);
    assert_non_null(strstr(body_of(&asked), "create namespace: 'the title is too long'"));
    asked_fini(&asked);
    /* A binding may be known by the title, or the id. */
    static const char *const names[] = {"CACHE", "cache", ID};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *const headers[] = {"popsim-store", names[i], NULL};
        ask(&asked, PS_HTTP_GET, "/k?urlencoded=true", headers, "");
        assert_int_equal(asked.call.kind, PS_API_KV);
        assert_int_equal(asked.call.ns, 0);
        asked_fini(&asked);
    }
}

static void rest_put_with_metadata(void **state)
{
    (void)state;
    static const char *const headers[] = {"Content-Type", "multipart/form-data; boundary=b", NULL};
    static const char field[] = "--b\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n";
    struct asked asked;
    struct ps_buf body = {0};
    ps_buf_printf(&body, field, "metadata", "{\"a\":1}"); /* NOLINT: a constant format */
    ps_buf_printf(&body, field, "value", "the\r\nvalue"); /* NOLINT */
    ps_buf_append_text(&body, "--b--\r\n");
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/a%2Fb", headers, ps_buf_text(&body));
    assert_int_equal(asked.call.kind, PS_API_KV);
    assert_true(asked.call.kv.fresh);
    assert_true(ps_slice_eq(asked.call.kv.key, PS_LIT("a/b")));
    assert_true(ps_slice_eq(asked.call.kv.value, PS_LIT("the\r\nvalue")));
    assert_true(ps_slice_eq(asked.call.kv.metadata, PS_LIT("{\"a\":1}")));
    asked_fini(&asked);
    body.size = 0;
    ps_buf_printf(&body, field, "metadata", "{"); /* NOLINT */
    ps_buf_printf(&body, field, "value", "v");    /* NOLINT */
    ps_buf_append_text(&body, "--b--\r\n");
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/k", headers, ps_buf_text(&body));
    assert_non_null(strstr(body_of(&asked), "10147"));
    asked_fini(&asked);
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/k", headers, "--b--\r\n");
    assert_non_null(strstr(body_of(&asked), "put: 'Missing value field'"));
    asked_fini(&asked);
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/k", headers, "no part");
    assert_non_null(strstr(body_of(&asked), "put: 'invalid request body'"));
    asked_fini(&asked);
    ps_buf_fini(&body);
}

static struct ps_kv_request write_at(const struct asked *asked, size_t i)
{
    bool has = asked->call.writes != NULL && i < asked->call.write_count;
    return has ? asked->call.writes[i] : (struct ps_kv_request){0};
}

static void bulk_put(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/bulk", NULL,
        "[{\"key\":\"a\",\"value\":\"A\\u0000\",\"metadata\":{\"x\": [1, "
        "null]},\"expiration\":2000},"
        "{\"key\":\"b\",\"value\":\"AP8+/w==\",\"base64\":true,\"expiration_ttl\":60}]");
    assert_int_equal(asked.call.kind, PS_API_KV_BULK);
    assert_int_equal(asked.call.write_count, 2);
    struct ps_kv_request a = write_at(&asked, 0);
    struct ps_kv_request b = write_at(&asked, 1);
    assert_true(ps_slice_eq(a.key, PS_LIT("a")));
    assert_true(ps_slice_eq(a.value, PS_LIT("A\0")));
    assert_true(ps_slice_eq(a.metadata, PS_LIT("{\"x\":[1,null]}")));
    assert_int_equal(a.expiration_s, 2000);
    assert_true(ps_slice_eq(b.value, PS_LIT("\0\xff\x3e\xff")));
    assert_int_equal(b.metadata.size, 0);
    assert_int_equal(b.expiration_s, 1060);
    struct ps_api_item items[] = {{.key = PS_LIT("a"), .status = PS_OK},
                                  {.key = PS_LIT("b"), .status = PS_RATE_LIMITED}};
    struct ps_api_result result = {.items = items, .item_count = 2};
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_string_equal(body_of(&asked),
                        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":"
                        "{\"unsuccessful_keys\":[\"b\"],\"successful_key_count\":1}}");
    asked_fini(&asked);
}

static void bulk_limits(void **state)
{
    (void)state;
    struct asked asked;
    struct ps_buf body = {0};
    for (int i = 0; i <= PS_KV_BULK_WRITE_MAX; i++) {
        ps_buf_append_text(&body, i == 0 ? "[\"k\"" : ",\"k\"");
    }
    ps_buf_append_text(&body, "]");
    ask(&asked, PS_HTTP_DELETE, REST "/" ID "/bulk", NULL, ps_buf_text(&body));
    assert_non_null(
        strstr(body_of(&asked), "bulk remove keys: '10001 keys exceed the limit of 10000'"));
    asked_fini(&asked);
    body.size = 0;
    ps_buf_append_text(&body, "[{\"key\":\"k\",\"value\":\"\",\"metadata\":\"");
    for (int i = 0; i < PS_KV_METADATA_SIZE_MAX - 1; i++) {
        ps_buf_append_char(&body, 'm');
    }
    ps_buf_append_text(&body, "\"}]");
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/bulk", NULL, ps_buf_text(&body));
    assert_non_null(
        strstr(body_of(&asked), "put: 'Metadata length of 1025 exceeds limit of 1024.'"));
    asked_fini(&asked);
    ps_buf_fini(&body);
}

/* ---- answers ---- */

static void get_answers(void **state)
{
    (void)state;
    struct asked asked;
    struct ps_api_item item = {.found = true,
                               .version = {.lsn = 3,
                                           .expires_unix_s = 2000,
                                           .value = PS_LIT("v"),
                                           .metadata = PS_LIT("{\"a\":\"\xc3\xbc\"}")}};
    struct ps_api_result result = {.items = &item,
                                   .item_count = 1,
                                   .staleness = {.lsn = 3,
                                                 .latest_lsn = 5,
                                                 .behind = 2,
                                                 .stale_ns = 1000507,
                                                 .eval_ns = 77,
                                                 .boot = 1,
                                                 .cache = PS_CACHE_HIT}};
    ask(&asked, PS_HTTP_GET, "/k?urlencoded=true", with_store, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 200);
    assert_string_equal(body_of(&asked), "v");
    assert_string_equal(ps_buf_text(&asked.response.headers),
                        "popsim-pop: fra\r\npopsim-lsn: 3\r\npopsim-latest-lsn: 5\r\n"
                        "popsim-behind: 2\r\npopsim-stale-ms: 1.000507\r\npopsim-time: 77\r\n"
                        "popsim-boot: 1\r\nCF-Cache-Status: HIT\r\n"
                        "CF-KV-Metadata: {\"a\":\"\xc3\xbc\"}\r\nCF-Expiration: 2000\r\n"
                        "Content-Type: application/octet-stream\r\n");
    asked_fini(&asked);
    ask(&asked, PS_HTTP_GET, REST "/" ID "/metadata/k", NULL, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_string_equal(body_of(&asked), "{\"success\":true,\"errors\":[],\"messages\":[],"
                                         "\"result\":{\"a\":\"\xc3\xbc\"}}");
    asked_fini(&asked);
    /* Absent is 404 without a body, and its staleness is told all the same. */
    item.found = false;
    ask(&asked, PS_HTTP_GET, "/k?urlencoded=true", with_store, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 404);
    assert_int_equal(asked.response.body.size, 0);
    assert_non_null(strstr(ps_buf_text(&asked.response.headers), "CF-Cache-Status: HIT\r\n"));
    asked_fini(&asked);
    ask(&asked, PS_HTTP_GET, REST "/" ID "/values/k", NULL, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 404);
    assert_string_equal(body_of(&asked),
                        "{\"success\":false,\"errors\":[{\"code\":10009,\"message\":"
                        "\"get: 'key not found'\"}],\"messages\":[],\"result\":null}");
    asked_fini(&asked);
}

static void write_answers(void **state)
{
    (void)state;
    struct asked asked;
    struct ps_api_item item = {.status = PS_OK};
    struct ps_api_result result = {.items = &item, .item_count = 1};
    ask(&asked, PS_HTTP_PUT, "/k?urlencoded=true", with_store, "v");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 200);
    assert_int_equal(asked.response.body.size, 0);
    asked_fini(&asked);
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/k", NULL, "v");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_string_equal(body_of(&asked),
                        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":null}");
    asked_fini(&asked);

    static const struct {
        enum ps_status status;
        int http_status;
        const char *phrase;
    } cases[] = {
        {PS_RATE_LIMITED, 429, "Too Many Requests"},
        {PS_UNREACHABLE, 503, "Service Unavailable"},
        {PS_TIMEOUT, 503, "Service Unavailable"},
        {PS_FULL, 507, "Insufficient Storage: the disk of the namespace's home has no room left"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        result.status = cases[i].status;
        ask(&asked, PS_HTTP_PUT, "/k?urlencoded=true", with_store, "v");
        ps_api_answer(&config, &asked.call, &result, &asked.response);
        assert_int_equal(asked.response.status, cases[i].http_status);
        assert_string_equal(asked.response.phrase, cases[i].phrase);
        asked_fini(&asked);
    }

    /* The REST API says it in the body. */
    result.status = PS_FULL;
    ask(&asked, PS_HTTP_PUT, REST "/" ID "/values/k", NULL, "v");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 507);
    assert_string_equal(
        body_of(&asked),
        "{\"success\":false,\"errors\":[{\"code\":10000,\"message\":\"put: 'Insufficient "
        "Storage: the disk of the namespace's home has no room left'\"}],"
        "\"messages\":[],\"result\":null}");
    asked_fini(&asked);
}

static void list_answers(void **state)
{
    (void)state;
    struct asked asked;
    struct ps_api_item items[] = {
        {.key = PS_LIT("a\"b"), .found = true},
        {.key = PS_LIT("c"),
         .found = true,
         .version = {.expires_unix_s = 2000, .metadata = PS_LIT("{\"x\":1}")}}};
    struct ps_api_result result = {.items = items, .item_count = 2, .list_complete = true};
    ask(&asked, PS_HTTP_GET, "/", with_store, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_string_equal(body_of(&asked),
                        "{\"keys\":[{\"name\":\"a\\\"b\"},{\"name\":\"c\",\"expiration\":2000,"
                        "\"metadata\":\"{\\\"x\\\":1}\"}],\"list_complete\":true}");
    asked_fini(&asked);
    result.list_complete = false;
    result.last_name = PS_LIT("c");
    ask(&asked, PS_HTTP_GET, REST "/" ID "/keys?limit=10", NULL, "");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_string_equal(
        body_of(&asked),
        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":"
        "[{\"name\":\"a\\\"b\"},{\"name\":\"c\",\"expiration\":2000,"
        "\"metadata\":{\"x\":1}}],\"result_info\":{\"count\":2,\"cursor\":\"Yw\"}}");
    asked_fini(&asked);
    ask(&asked, PS_HTTP_GET, "/?cursor=Yw", with_store, "");
    assert_true(ps_slice_eq(asked.call.kv.after, PS_LIT("c")));
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_non_null(strstr(body_of(&asked), "\"list_complete\":false,\"cursor\":\"Yw\"}"));
    asked_fini(&asked);
}

static void bulk_get_answers(void **state)
{
    (void)state;

    static const struct {
        bool rest;
        const char *body;
        const char *wanted;
    } cases[] = {
        {false, "{\"keys\":[\"n\",\"gone\"],\"cacheTtl\":\"60\"}",
         "{\"n\":\"12345678901234567890\",\"gone\":null}"},
        {false, "{\"keys\":[\"n\",\"gone\"],\"type\":\"json\"}",
         "{\"n\":12345678901234567890,\"gone\":null}"},
        {false, "{\"keys\":[\"n\",\"gone\"],\"withMetadata\":true}",
         "{\"n\":{\"value\":\"12345678901234567890\",\"metadata\":null},\"gone\":null}"},
        {true, "{\"keys\":[\"n\",\"gone\"],\"withMetadata\":true}",
         "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":{\"values\":{\"n\":{\"value\":"
         "\"12345678901234567890\",\"metadata\":null,\"expiration\":2000},\"gone\":null}}}"}};

    struct ps_api_item items[] = {
        {.key = PS_LIT("n"),
         .found = true,
         .version = {.value = PS_LIT("12345678901234567890"), .expires_unix_s = 2000}},
        {.key = PS_LIT("gone")}};
    struct ps_api_result result = {.items = items, .item_count = 2};
    struct asked asked;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(&asked, PS_HTTP_POST, cases[i].rest ? REST "/" ID "/bulk/get" : "/bulk/get",
            cases[i].rest ? NULL : with_store, cases[i].body);
        assert_int_equal(asked.call.kind, PS_API_KV);
        assert_int_equal(asked.call.kv.op, PS_KV_GET_BULK);
        assert_int_equal(asked.call.kv.key_count, 2);
        assert_int_equal(asked.call.kv.cache_ttl_s, i == 0 ? 60 : 0);
        ps_api_answer(&config, &asked.call, &result, &asked.response);
        assert_string_equal(body_of(&asked), cases[i].wanted);
        asked_fini(&asked);
    }
    items[0].version.value = PS_LIT("{");
    ask(&asked, PS_HTTP_POST, "/bulk/get", with_store, "{\"keys\":[\"n\"],\"type\":\"json\"}");
    ps_api_answer(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 400);
    assert_string_equal(asked.response.phrase,
                        "At least one of the requested keys corresponds to a non-json value");
    asked_fini(&asked);
}

static void namespace_pages(void **state)
{
    (void)state;

    static const struct {
        const char *query;
        const char *wanted; /* titles of the page, then its counts */
    } cases[] = {{"", "cache more 1/20 2 of 2"},
                 {"?per_page=1&order=title&direction=desc", "more 1/1 1 of 2"},
                 {"?per_page=1&page=2&order=id", "more 2/1 1 of 2"},
                 {"?per_page=1000&order=title&direction=asc&page=2", "2/1000 0 of 2"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char target[256];
        char told[256] = "";
        struct asked asked;
        (void)snprintf(target, sizeof target, REST "%s", cases[i].query);
        ask(&asked, PS_HTTP_GET, target, NULL, "");
        ps_api_answer_namespaces(&config, &asked.call, &asked.response);
        for (const char *at = strstr(body_of(&asked), "\"title\":\""); at != NULL;
             at = strstr(at + 1, "\"title\":\"")) {
            (void)snprintf(told + strlen(told), sizeof told - strlen(told), "%.*s ",
                           (int)strcspn(at + 9, "\""), at + 9);
        }
        unsigned page;
        unsigned per_page;
        unsigned count;
        unsigned total;
        assert_int_equal(sscanf(strstr(body_of(&asked), "\"result_info\""),
                                "\"result_info\":{\"page\":%u,\"per_page\":%u,\"count\":%u,"
                                "\"total_count\":%u}",
                                &page, &per_page, &count, &total),
                         4);
        (void)snprintf(told + strlen(told), sizeof told - strlen(told), "%u/%u %u of %u", page,
                       per_page, count, total);
        assert_string_equal(told, cases[i].wanted);
        asked_fini(&asked);
    }
}

static void body_limits(void **state)
{
    (void)state;
    struct ps_http_request head = {.target = PS_LIT("/k?urlencoded=true")};
    assert_int_equal(ps_api_intake(&head).size_max, PS_KV_VALUE_SIZE_MAX);
    head.target = PS_LIT(REST "/" ID "/values/k");
    assert_true(ps_api_intake(&head).size_max > PS_KV_VALUE_SIZE_MAX);
    head.target = PS_LIT(REST "/" ID "/bulk");
    assert_int_equal(ps_api_intake(&head).size_max, 100 << 20);
    head.target = PS_LIT("/bulk");
    assert_int_equal(ps_api_intake(&head).size_max, PS_KV_VALUE_SIZE_MAX);
    assert_false(ps_api_intake(&head).stream);
}

/* Blobs are streamed; a key of a binding that looks like one is not. */
static void what_is_streamed(void **state)
{
    (void)state;
    const struct ps_http_header named = {PS_LIT("Popsim-Store"), PS_LIT("CACHE")};
    struct ps_http_request head = {.method = PS_HTTP_PUT,
                                   .target = PS_LIT("/popsim/blobs/ASSETS/0")};
    assert_true(ps_api_intake(&head).stream);
    assert_true(ps_api_intake(&head).size_max == UINT64_C(5368709120));
    head.headers = &named;
    head.header_count = 1;
    assert_false(ps_api_intake(&head).stream);
    head.header_count = 0;
    head.method = PS_HTTP_POST;
    assert_false(ps_api_intake(&head).stream);
}

/* ---- R2 ---- */

static void expect_r2_error(const char *const *headers, enum ps_http_method method, int status,
                            const char *code)
{
    struct asked asked;
    ask(&asked, method, "/", headers, "");
    assert_int_equal(asked.call.kind, PS_API_ANSWERED);
    assert_int_equal(asked.response.status, status);
    assert_non_null(strstr(ps_buf_text(&asked.response.headers), "CF-R2-Error: "));
    assert_non_null(strstr(ps_buf_text(&asked.response.headers), code));
    asked_fini(&asked);
}

static void r2_routes(void **state)
{
    (void)state;
    struct asked asked;
    static const char *const reads[] = {"popsim-store", "FILES", "CF-R2-Request", "{}", NULL};
    ask(&asked, PS_HTTP_GET, "/", reads, "");
    assert_int_equal(asked.call.kind, PS_API_R2);
    assert_int_equal(asked.call.ns, 4);
    assert_false(asked.call.r2.writes);
    assert_true(ps_slice_eq(asked.call.r2.json, PS_LIT("{}")));
    assert_false(ps_api_intake(&asked.request).stream);
    asked_fini(&asked);
    static const char *const hooked[] = {
        "MF-Binding", "FILES", "MF-URL", "https://fake-host", "MF-Header-cf-r2-metadata-size",
        "17",         NULL};
    ask(&asked, PS_HTTP_PUT, "/", hooked, "");
    assert_int_equal(asked.call.kind, PS_API_R2);
    assert_true(asked.call.r2.writes);
    assert_int_equal(asked.call.r2.json_size, 17);
    assert_true(ps_api_intake(&asked.request).stream);
    asked_fini(&asked);
}

/* In the binding's way, so that a Worker sees why. */
static void r2_refusals(void **state)
{
    (void)state;
    static const char *const unknown[] = {"popsim-store", "NO", "CF-R2-Request", "{}", NULL};
    static const char *const of_kv[] = {"popsim-store", "CACHE", "CF-R2-Metadata-Size", "2", NULL};
    static const char *const nothing[] = {"popsim-store", "FILES", NULL};
    static const char *const empty[] = {"popsim-store", "FILES", "CF-R2-Metadata-Size", "0", NULL};
    static const char *const huge[] = {"popsim-store", "FILES", "CF-R2-Metadata-Size", "1048577",
                                       NULL};
    /* Without the hook's URL its other headers mean nothing. */
    static const char *const half[] = {"MF-Binding", "FILES", "CF-R2-Metadata-Size", "2", NULL};
    expect_r2_error(unknown, PS_HTTP_GET, 404, "10006");
    expect_r2_error(of_kv, PS_HTTP_PUT, 404, "10006");
    expect_r2_error(nothing, PS_HTTP_GET, 400, "Metadata missing or invalid");
    expect_r2_error(nothing, PS_HTTP_PUT, 400, "Metadata missing or invalid");
    expect_r2_error(empty, PS_HTTP_PUT, 400, "Metadata missing or invalid");
    expect_r2_error(huge, PS_HTTP_PUT, 400, "Metadata missing or invalid");
    expect_r2_error(half, PS_HTTP_PUT, 404, "10006");
}

/* ---- D1 ---- */

#define DATABASES "/client/v4/accounts/a/d1/database"

static void d1_routes(void **state)
{
    (void)state;
    static const char *const plain[] = {"popsim-store", "SQL", NULL};
    static const char *const session[] = {"popsim-store", "SQL", "x-cf-d1-session-commit-token",
                                          "first-primary", NULL};
    static const char *const hook[] = {
        "MF-URL", "http://d1/query?resultsFormat=NONE",     "MF-Binding",
        "SQL",    "MF-Header-x-cf-d1-session-commit-token", "first-primary",
        NULL};

    static const struct {
        enum ps_http_method method;
        const char *target;
        const char *const *headers;
        int status; /* 0: a call with `flags` and `session` */
        unsigned flags;
        const char *session;
    } cases[] = {
        {PS_HTTP_POST, "/query?resultsFormat=ROWS_AND_COLUMNS", plain, 0, PS_QUERY_ROWS, ""},
        {PS_HTTP_POST, "/execute?resultsFormat=NONE", session, 0, 0, "first-primary"},
        {PS_HTTP_POST, "/query", plain, 0, 0, ""},
        {PS_HTTP_POST, "/query?each=true", plain, 0, PS_QUERY_EACH | PS_QUERY_ARRAY, ""},
        {PS_HTTP_POST, "/", hook, 0, 0, "first-primary"},
        {PS_HTTP_POST, "/dump", plain, 404, 0, ""},
        {PS_HTTP_GET, "/query", plain, 404, 0, ""},
        {PS_HTTP_PUT, "/key", plain, 404, 0, ""},
        {PS_HTTP_POST, DATABASES "/SQL/query", NULL, 0, PS_QUERY_EACH | PS_QUERY_ARRAY, ""},
        {PS_HTTP_POST, DATABASES "/01234567-89ab-cdef-0123-456789abcdef/raw", NULL, 0,
         PS_QUERY_EACH | PS_QUERY_ARRAY | PS_QUERY_ROWS, ""},
        {PS_HTTP_POST, DATABASES "/0123456789abcdef0123456789abcdef/query", NULL, 0,
         PS_QUERY_EACH | PS_QUERY_ARRAY, ""},
        {PS_HTTP_GET, DATABASES "/SQL/query", NULL, 405, 0, ""},
        {PS_HTTP_POST, DATABASES "/CACHE/query", NULL, 404, 0, ""},
        {PS_HTTP_GET, DATABASES "/", NULL, 0, 0, ""},
        {PS_HTTP_GET, DATABASES "x", NULL, 404, 0, ""},
        {PS_HTTP_PUT, DATABASES, NULL, 405, 0, ""},
        {PS_HTTP_POST, DATABASES "/SQL", NULL, 405, 0, ""},
        {PS_HTTP_GET, DATABASES "/SQL/import", NULL, 405, 0, ""},
        {PS_HTTP_POST, DATABASES "/SQL/elsewhere", NULL, 404, 0, ""},
        {PS_HTTP_GET, REST "/0123456789abcdef0123456789abcdef/keys", NULL, 404, 0, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        ask(&asked, cases[i].method, cases[i].target, cases[i].headers, "{}");
        assert_int_equal(asked.response.status, cases[i].status);
        if (cases[i].status == 0 && asked.call.kind != PS_API_D1_LIST) {
            assert_int_equal(asked.call.kind, PS_API_D1);
            assert_int_equal(asked.call.ns, 3);
            assert_int_equal(asked.call.d1_flags, cases[i].flags);
            assert_true(ps_slice_eq(asked.call.session, ps_slice_of(cases[i].session)));
        }
        asked_fini(&asked);
    }
}

/* What administrative calls are taken for; NULL words: they are taken. */
static void d1_admin_routes(void **state)
{
    (void)state;

    static const struct {
        enum ps_http_method method;
        enum ps_api_kind kind;
        const char *rest;
        const char *body;
        const char *words; /* NULL, or in the refusal */
    } cases[] = {
        {PS_HTTP_POST, PS_API_D1_CREATE, "", "{\"name\":\"n\"}", NULL},
        {PS_HTTP_POST, PS_API_D1_CREATE, "", "{\"name\":\"n\",\"primary_location_hint\":\"oc\"}",
         NULL},
        {PS_HTTP_POST, 0, "", "{\"name\":\"n\",\"primary_location_hint\":\"mars\"}",
         "primary_location_hint"},
        {PS_HTTP_POST, 0, "", "{\"name\":\"\"}", "name is missing"},
        {PS_HTTP_POST, 0, "", "{\"name\":7}", "name is missing"},
        {PS_HTTP_POST, 0, "", "[]", "no JSON object"},
        {PS_HTTP_POST, 0, "", "", "no JSON object"},
        {PS_HTTP_POST, 0, "", "{\"name\":\"n\",\"read_replication\":{\"mode\":\"x\"}}", "mode"},
        {PS_HTTP_PUT, PS_API_D1_UPDATE, "/SQL", "{\"read_replication\":{\"mode\":\"auto\"}}", NULL},
        {PS_HTTP_PATCH, PS_API_D1_UPDATE, "/SQL", "{\"read_replication\":{\"mode\":\"disabled\"}}",
         NULL},
        {PS_HTTP_PATCH, 0, "/SQL", "{}", "mode"},
        {PS_HTTP_DELETE, PS_API_D1_DELETE, "/SQL", "", NULL},
        {PS_HTTP_DELETE, 0, "/NONE", "", "could not be found"},
        {PS_HTTP_POST, PS_API_D1_EXPORT, "/SQL/export", "{\"output_format\":\"polling\"}", NULL},
        {PS_HTTP_POST, PS_API_D1_EXPORT, "/SQL/export",
         "{\"output_format\":\"polling\",\"dump_options\":{\"no_data\":true,\"tables\":[\"a\"]}}",
         NULL},
        {PS_HTTP_POST, 0, "/SQL/export", "{}", "output_format"},
        {PS_HTTP_POST, 0, "/SQL/export", "{\"output_format\":\"polling\",\"dump_options\":[]}",
         "dump_options"},
        {PS_HTTP_POST, 0, "/SQL/export",
         "{\"output_format\":\"polling\",\"dump_options\":{\"tables\":[1]}}", "dump_options"},
        {PS_HTTP_POST, PS_API_D1_IMPORT, "/SQL/import",
         "{\"action\":\"init\",\"etag\":\"0123456789abcdef0123456789abcdef\"}", NULL},
        {PS_HTTP_POST, 0, "/SQL/import",
         "{\"action\":\"init\",\"etag\":\"0123456789ABCDEF0123456789abcdef\"}", "etag"},
        {PS_HTTP_POST, 0, "/SQL/import", "{\"action\":\"ingest\"}", "etag"},
        {PS_HTTP_POST, PS_API_D1_IMPORT, "/SQL/import",
         "{\"action\":\"poll\",\"current_bookmark\":\"b\"}", NULL},
        {PS_HTTP_POST, 0, "/SQL/import", "{\"action\":\"x\"}", "action"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        char target[160];
        (void)snprintf(target, sizeof target, DATABASES "%s", cases[i].rest);
        ask(&asked, cases[i].method, target, NULL, cases[i].body);
        if (cases[i].words == NULL) {
            assert_int_equal(asked.response.status, 0);
            assert_int_equal(asked.call.kind, cases[i].kind);
        } else {
            assert_int_equal(asked.call.kind, PS_API_ANSWERED);
            assert_int_equal(asked.response.status,
                             strcmp(cases[i].rest, "/NONE") == 0 ? 404 : 400);
            assert_non_null(strstr(ps_buf_text(&asked.response.body), cases[i].words));
        }
        asked_fini(&asked);
    }
}

static void d1_admin_values(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, PS_HTTP_POST, DATABASES, NULL,
        "{\"name\":\"n\",\"primary_location_hint\":\"apac\",\"read_replication\":{\"mode\":"
        "\"disabled\"}}");
    assert_true(ps_slice_eq(asked.call.title, PS_LIT("n")));
    assert_string_equal(asked.call.d1.region, "apac");
    assert_true(asked.call.d1.unreplicated);
    asked_fini(&asked);
    ask(&asked, PS_HTTP_POST, DATABASES "/SQL/export", NULL,
        "{\"output_format\":\"polling\",\"current_bookmark\":\"b\",\"dump_options\":{\"no_schema\":"
        "true,\"tables\":[\"a\\\"\",\"b\"]}}");
    assert_string_equal(ps_buf_text(&asked.call.d1.dump),
                        "\"no_schema\":true,\"no_data\":false,\"tables\":[\"a\\\"\",\"b\"]");
    assert_true(ps_slice_eq(asked.call.d1.bookmark, PS_LIT("b")));
    asked_fini(&asked);
    ask(&asked, PS_HTTP_PUT, "/popsim/files/0123?x", NULL, "");
    assert_int_equal(asked.call.kind, PS_API_FILE);
    assert_true(ps_slice_eq(asked.call.title, PS_LIT("0123")));
    asked_fini(&asked);
}

static void d1_admin_answers(void **state)
{
    (void)state;

    static const struct {
        struct ps_api_transfer transfer;
        const char *result;
    } cases[] = {
        {{true, PS_API_TRANSFER_ACTIVE, "b", "m", {"", 0}},
         "{\"success\":true,\"type\":\"import\",\"at_bookmark\":\"b\",\"messages\":[\"m\"],"
         "\"status\":\"active\"}"},
        {{false, PS_API_TRANSFER_COMPLETE, "b", NULL, {"\"a\":1", 5}},
         "{\"success\":true,\"type\":\"export\",\"at_bookmark\":\"b\",\"messages\":[],"
         "\"status\":\"complete\",\"result\":{\"a\":1}}"},
        {{false, PS_API_TRANSFER_FAILED, "b", NULL, {"n\"o", 3}},
         "{\"success\":false,\"type\":\"export\",\"at_bookmark\":\"b\",\"messages\":[],"
         "\"status\":\"error\",\"error\":\"n\\\"o\",\"errors\":[\"n\\\"o\"]}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_http_response response = {0};
        ps_api_answer_d1_transfer(&cases[i].transfer, &response);
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(ps_buf_text(&response.body), cases[i].result));
        ps_http_response_fini(&response);
    }

    static const struct {
        enum ps_status status;
        int http_status;
        const char *says;
    } changes[] = {
        {PS_OK, 200, "\"result\":null"},      {PS_EXISTS, 400, "\"code\":7502"},
        {PS_NOT_FOUND, 404, "\"code\":7404"}, {PS_LIMIT, 400, "\"code\":7406"},
        {PS_TIMEOUT, 503, "\"code\":7500"},
    };

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct ps_http_response response = {0};
        const struct ps_api_call call = {.title = PS_LIT("n")};
        ps_api_answer_d1_change(&call, changes[i].status, &response);
        assert_int_equal(response.status, changes[i].http_status);
        assert_non_null(strstr(ps_buf_text(&response.body), changes[i].says));
        ps_http_response_fini(&response);
    }
}

/* Which state is named: the body that home is asked with, or NULL for what is refused. */
static void d1_instants(void **state)
{
    (void)state;

    static const struct {
        const char *rest; /* behind .../bookmark */
        const char *body;
    } bookmarks[] = {
        {"", ""},
        {"?", ""},
        {"?timestamp=1767225600", "t1767225600000000000"},
        {"?timestamp=1767225600123", "t1767225600123000000"},
        {"?timestamp=0", "t0"},
        {"?timestamp=2026-01-01T00:00:00Z", "t1767225600000000000"},
        {"?timestamp=2026-01-01T00%3A00%3A00.000Z", "t1767225600000000000"},
        {"?timestamp=2026-01-01t00:00:00.1234567891z", "t1767225600123456789"},
        {"?timestamp=2026-01-01%2002:30:00%2B02:30", "t1767225600000000000"},
        {"?timestamp=2026-01-01T02:30:00+02:30", "t1767225600000000000"},
        {"?timestamp=2025-12-31T19:00:00-05:00", "t1767225600000000000"},
        {"?timestamp=2024-02-29T23:59:59Z", "t1709251199000000000"},
        {"?timestamp=2000-02-29T23:59:60Z", "t951868800000000000"},
        {"?timestamp=1970-01-01T00:00:00Z", "t0"},
        {"?timestamp=1969-12-31T23:59:59.5Z", "t-500000000"},
        {"?timestamp=1677-12-31T00:00:00Z", "t-9214646400000000000"},
        {"?timestamp=0001-01-01T00:00:00Z", NULL},
        {"?timestamp=9999-12-31T23:59:59Z", NULL},
        {"?timestamp=2023-02-29T00:00:00Z", NULL},
        {"?timestamp=2026-13-01T00:00:00Z", NULL},
        {"?timestamp=2026-01-32T00:00:00Z", NULL},
        {"?timestamp=2026-00-01T00:00:00Z", NULL},
        {"?timestamp=2026-01-01T24:00:00Z", NULL},
        {"?timestamp=2026-01-01T00:60:00Z", NULL},
        {"?timestamp=2026-01-01T00:00:00", NULL},
        {"?timestamp=2026-01-01T00:00:00.Z", NULL},
        {"?timestamp=2026-01-01T00:00:00Zx", NULL},
        {"?timestamp=2026-01-01T00:00:00%2B2:30", NULL},
        {"?timestamp=2026-01-01", NULL},
        {"?timestamp=99999999999999", NULL},
        {"?timestamp=99999999999", NULL},
        {"?timestamp=123456789012345", NULL},
        {"?timestamp=-5", NULL},
        {"?timestamp=", NULL},
        {"?timestamp=%", NULL},
    };

    for (size_t i = 0; i < sizeof bookmarks / sizeof bookmarks[0]; i++) {
        struct asked asked;
        char target[160];
        (void)snprintf(target, sizeof target, DATABASES "/SQL/time_travel/bookmark%s",
                       bookmarks[i].rest);
        ask(&asked, PS_HTTP_GET, target, NULL, "");
        const char *body = bookmarks[i].body;
        if (asked.response.status != (body == NULL ? 400 : 0)) {
            fail_msg("%s: %d", target, asked.response.status);
        }
        if (body != NULL) {
            assert_int_equal(asked.call.kind, PS_API_D1);
            assert_int_equal(asked.call.d1_flags, PS_QUERY_BOOKMARK);
            if (!ps_slice_eq(asked.call.body, ps_slice_of(body))) {
                fail_msg("%s: %.*s", target, (int)asked.call.body.size, asked.call.body.data);
            }
        }
        asked_fini(&asked);
    }
}

static void d1_restores(void **state)
{
    (void)state;

    static const struct {
        const char *rest;
        const char *body;
        enum ps_http_method method;
        int status;
    } restores[] = {
        {"/restore?bookmark=0-1%2D2", "b0-1-2", PS_HTTP_POST, 0},
        {"/restore?timestamp=1", "t1000000000", PS_HTTP_POST, 0},
        {"/restore?bookmark=%x", "", PS_HTTP_POST, 400},
        {"/restore?bookmark=a&timestamp=1", "", PS_HTTP_POST, 400},
        {"/restore", "", PS_HTTP_POST, 400},
        {"/restore?timestamp=1", "", PS_HTTP_GET, 405},
        {"/bookmark?timestamp=1", "", PS_HTTP_POST, 405},
        {"/restored?timestamp=1", "", PS_HTTP_POST, 404},
        {"/", "", PS_HTTP_POST, 404},
    };

    for (size_t i = 0; i < sizeof restores / sizeof restores[0]; i++) {
        struct asked asked;
        char target[160];
        (void)snprintf(target, sizeof target, DATABASES "/SQL/time_travel%s", restores[i].rest);
        ask(&asked, restores[i].method, target, NULL, "{\"sql\":\"SELECT 1\"}");
        assert_int_equal(asked.response.status, restores[i].status);
        if (restores[i].status == 0) {
            assert_int_equal(asked.call.d1_flags, PS_QUERY_RESTORE);
            assert_true(ps_slice_eq(asked.call.body, ps_slice_of(restores[i].body)));
        }
        asked_fini(&asked);
    }
}

static void d1_answers(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, PS_HTTP_GET, DATABASES "?name=SQL&per_page=10&page=1", NULL, "");
    ps_api_answer_databases(&config, &asked.call, &asked.response);
    assert_string_equal(
        body_of(&asked),
        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":[{\"uuid\":"
        "\"01234567-89ab-cdef-0123-456789abcdef\",\"name\":\"SQL\",\"version\":\"production\","
        "\"created_at\":\"2000-02-29T12:34:56.000Z\"}],\"result_info\":{\"page\":1,\"per_page\":10,"
        "\"count\":1,\"total_count\":1}}");
    asked_fini(&asked);
    static const char *const plain[] = {"popsim-store", "SQL", NULL};
    struct ps_api_d1_result result = {.text = PS_LIT("[1]"), .bookmark = "b"};
    ask(&asked, PS_HTTP_POST, "/query", plain, "{}");
    ps_api_answer_d1(&config, &asked.call, &result, &asked.response);
    assert_int_equal(asked.response.status, 200);
    assert_string_equal(body_of(&asked), "[1]");
    assert_non_null(
        strstr(ps_buf_text(&asked.response.headers), "x-cf-d1-session-commit-token: b\r\n"));
    asked_fini(&asked);

    static const struct {
        enum ps_status status;
        int rest;
    } failures[] = {{PS_OK, 400},          {PS_INVALID, 400}, {PS_BUSY, 429},
                    {PS_UNREACHABLE, 503}, {PS_TIMEOUT, 503}, {PS_IO, 500}};

    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        result = (struct ps_api_d1_result){.status = failures[i].status,
                                           .failed = true,
                                           .text = PS_LIT("a \"b\""),
                                           .bookmark = ""};
        ask(&asked, PS_HTTP_POST, "/query", plain, "{}");
        ps_api_answer_d1(&config, &asked.call, &result, &asked.response);
        assert_int_equal(asked.response.status, 200);
        assert_string_equal(body_of(&asked), "{\"success\":false,\"error\":\"a \\\"b\\\"\"}");
        assert_null(strstr(ps_buf_text(&asked.response.headers), "commit-token"));
        asked_fini(&asked);
        ask(&asked, PS_HTTP_POST, DATABASES "/SQL/query", NULL, "{}");
        ps_api_answer_d1(&config, &asked.call, &result, &asked.response);
        assert_int_equal(asked.response.status, failures[i].rest);
        assert_non_null(strstr(body_of(&asked), "{\"code\":7500,\"message\":\"a \\\"b\\\"\"}"));
        asked_fini(&asked);
    }
}

int main(void)
{
    config = usual;
    const struct CMUnitTest tests[] = {cmocka_unit_test(r2_routes),
                                       cmocka_unit_test(r2_refusals),
                                       cmocka_unit_test(d1_routes),
                                       cmocka_unit_test(d1_admin_routes),
                                       cmocka_unit_test(d1_admin_values),
                                       cmocka_unit_test(d1_admin_answers),
                                       cmocka_unit_test(d1_instants),
                                       cmocka_unit_test(d1_restores),
                                       cmocka_unit_test(d1_answers),
                                       cmocka_unit_test(every_split),
                                       cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(heads_are_written),
                                       cmocka_unit_test(dates),
                                       cmocka_unit_test(multipart_fields),
                                       cmocka_unit_test(binding_routes),
                                       cmocka_unit_test(binding_put),
                                       cmocka_unit_test(unknown_stores),
                                       cmocka_unit_test(hook_routes),
                                       cmocka_unit_test(other_routes),
                                       cmocka_unit_test(exposed_routes),
                                       cmocka_unit_test(rest_errors),
                                       cmocka_unit_test(namespace_changes),
                                       cmocka_unit_test(rest_put_with_metadata),
                                       cmocka_unit_test(bulk_put),
                                       cmocka_unit_test(bulk_limits),
                                       cmocka_unit_test(get_answers),
                                       cmocka_unit_test(write_answers),
                                       cmocka_unit_test(list_answers),
                                       cmocka_unit_test(bulk_get_answers),
                                       cmocka_unit_test(namespace_pages),
                                       cmocka_unit_test(body_limits),
                                       cmocka_unit_test(what_is_streamed),
                                       cmocka_unit_test(every_split_of_a_stream),
                                       cmocka_unit_test(every_split_of_answers),
                                       cmocka_unit_test(a_stream_is_refused_in_its_middle),
                                       cmocka_unit_test(broken_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
