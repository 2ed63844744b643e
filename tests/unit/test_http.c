/* Pipelined requests cut at every position, limits, and routes. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "node/http/api.h"
#include "node/http/http1.h"

#include <string.h>

static size_t limit_10(void *context, const struct ps_http_request *head)
{
    (void)context;
    (void)head;
    return 10;
}

static void feed_all(struct ps_http1_parser *parser, struct ps_slice bytes, struct ps_buf *seen)
{
    while (bytes.size > 0) {
        size_t taken;
        enum ps_http1_event event = ps_http1_feed(parser, bytes, &taken);
        assert_int_not_equal(event, PS_HTTP1_REFUSED);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        if (event == PS_HTTP1_CONTINUE) {
            ps_buf_append_text(seen, "C;");
        } else if (event == PS_HTTP1_REQUEST) {
            struct ps_http1_message *message = ps_http1_take(parser);
            const struct ps_http_header *x = ps_http_header(&message->request, "x");
            ps_buf_printf(seen, "%d ", (int)message->request.method);
            ps_buf_append_slice(seen, message->request.target);
            ps_buf_append_char(seen, ' ');
            ps_buf_append_slice(seen, x == NULL ? PS_LIT("-") : x->value);
            ps_buf_append_char(seen, ' ');
            ps_buf_append_slice(seen, message->request.body);
            ps_buf_append_text(seen, message->keep_alive ? ";" : " last;");
            ps_http1_message_free(message);
        }
    }
}

static void every_split(void **state)
{
    (void)state;
    struct ps_slice bytes = PS_LIT("GET /a HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9 \r\n\r\n"
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
                            "0 /a \xc3\xa9 ;2 /b  abc;2 /c - def;C;3 /d - gh;1 /e -  last;");
        ps_buf_fini(&seen);
        ps_http1_parser_destroy(parser);
    }
}

static void body_over_limit(void **state)
{
    (void)state;
    struct ps_http1_parser *parser = ps_http1_parser_create(limit_10, NULL);
    size_t taken;
    const char *phrase;
    struct ps_slice bytes = PS_LIT("PUT /b HTTP/1.1\r\nContent-Length: 11\r\n\r\n");
    assert_int_equal(ps_http1_feed(parser, bytes, &taken), PS_HTTP1_REFUSED);
    assert_int_equal(ps_http1_refusal(parser, &phrase), 413);
    ps_http1_parser_destroy(parser);
}

static void routes(void **state)
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
        {PS_HTTP_GET, "/k?urlencoded=true&cache_ttl=10", 400, PS_KV_GET,
         "Invalid cache_ttl of 10. Cache TTL must be at least 30."},
        {PS_HTTP_GET, "/%4?urlencoded=true", 400, PS_KV_GET, "Could not URL-decode key name"},
        {PS_HTTP_GET, "/?prefix=&cursor=", 0, PS_KV_LIST, ""},
        {PS_HTTP_GET, "/?key_count_limit=1001", 400, PS_KV_LIST,
         "Invalid key_count_limit of 1001. Please specify an integer less than 1000."},
        {PS_HTTP_DELETE, "/k?urlencoded=true", 0, PS_KV_DELETE, "k"},
        {PS_HTTP_PUT, "/k?urlencoded=true&expiration_ttl=59", 400, PS_KV_PUT,
         "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."},
        {PS_HTTP_PATCH, "/k?urlencoded=true", 405, PS_KV_GET, "Method Not Allowed"}};
    struct ps_api_namespace ns = {"CACHE", "cache", "00000000000000000000000000000001", true};
    struct ps_api_config config = {&ns, 1, NULL, "fra"};
    struct ps_http_header store = {PS_LIT("popsim-store"), PS_LIT("CACHE")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_http_request request = {.method = cases[i].method,
                                          .target = ps_slice_of(cases[i].target),
                                          .headers = &store,
                                          .header_count = 1};
        struct ps_api_call call = {0};
        struct ps_http_response response = {0};
        ps_api_parse(&config, &request, 1000, &call, &response);
        assert_int_equal(response.status, cases[i].status);
        if (cases[i].status == 0) {
            assert_int_equal(call.kind, PS_API_KV);
            assert_int_equal(call.kv.op, cases[i].op);
            assert_true(ps_slice_eq(call.kv.key, ps_slice_of(cases[i].key)));
        } else {
            assert_string_equal(response.phrase, cases[i].key);
        }
        ps_api_call_fini(&call);
        ps_http_response_fini(&response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_split),
                                       cmocka_unit_test(body_over_limit), cmocka_unit_test(routes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
