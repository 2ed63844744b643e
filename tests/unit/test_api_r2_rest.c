/* R2's routes of the REST API: what is asked, and answers. */
#include "node/http/api_r2_rest.h"
#include "node/r2/bucket.h"
#include "replication/base/assert.h"
#include "tests/support/api_ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BUCKETS "/client/v4/accounts/a/r2/buckets"
#define ID "0123456789abcdef0123456789abcdef"

static const struct ps_api_namespace namespaces[] = {
    {.name = "KV", .title = "photos", .id = "00000000000000000000000000000001", .is_kv = true},
    {.name = "MY_ASSETS",
     .title = "MY_ASSETS",
     .id = "00000000000000000000000000000002",
     .is_r2 = true,
     .created_unix_s = 951827696,
     .region = "weur"},
    {.name = ID,
     .title = "photos",
     .id = ID,
     .is_r2 = true,
     .infrequent = true,
     .region = "oc",
     .created_unix_s = 1},
    {.name = "a", .title = "bucket-3", .id = "a", .is_r2 = true, .region = "apac"}};

static const struct ps_api_config config = {
    .namespaces = namespaces, .namespace_count = 4, .pop = "fra"};

static void ask(struct asked *ret, enum ps_http_method method, const char *target,
                const char *const *headers, const char *body)
{
    ask_api(&config, method, target, headers, body, ret);
}

static void check_text(struct ps_slice text, const char *expected)
{
    if (!ps_slice_eq(text, ps_slice_of(expected))) {
        fail_msg("%.*s, not %s", (int)text.size, text.size > 0 ? text.data : "", expected);
    }
}

static void check_header(struct asked *asked, const char *line)
{
    const char *headers = ps_buf_text(&asked->response.headers);
    if (strstr(headers, line) == NULL) {
        fail_msg("no %s in %s", line, headers);
    }
}

static void refusals(void **state)
{
    (void)state;

    static const char *const cold[] = {"cf-r2-storage-class", "Cold", NULL};
    static const char *const etags[] = {"If-Match", "\"a", NULL};

    static const struct {
        const char *target;
        const char *const *headers;
        const char *body;
        const char *code;
        enum ps_http_method method;
        int status;
    } cases[] = {
        {BUCKETS "/none", NULL, "", "10006", PS_HTTP_GET, 404},
        {BUCKETS "/00000000000000000000000000000001", NULL, "", "10006", PS_HTTP_GET, 404}, /* KV */
        {BUCKETS "/none/objects/k", NULL, "", "10006", PS_HTTP_PUT, 404},
        {BUCKETS "/%4", NULL, "", "10006", PS_HTTP_GET, 404},
        {BUCKETS "x", NULL, "", "7003", PS_HTTP_GET, 404},
        {BUCKETS "/photos/cors", NULL, "", "7003", PS_HTTP_GET, 404},
        {BUCKETS, NULL, "", "10405", PS_HTTP_PUT, 405},
        {BUCKETS "/photos", NULL, "", "10405", PS_HTTP_POST, 405},
        {BUCKETS "/photos/objects", NULL, "", "10405", PS_HTTP_POST, 405},
        {BUCKETS "/photos/objects/k", NULL, "", "10405", PS_HTTP_POST, 405},
        {BUCKETS "?per_page=1001", NULL, "", "10029", PS_HTTP_GET, 400},
        {BUCKETS "?per_page=x", NULL, "", "10029", PS_HTTP_GET, 400},
        {BUCKETS "?cursor=*", NULL, "", "10029", PS_HTTP_GET, 400},
        {BUCKETS "?name_contains=%g0", NULL, "", "10029", PS_HTTP_GET, 400},
        {BUCKETS, NULL, "[]", "10029", PS_HTTP_POST, 400},
        {BUCKETS, NULL, "{}", "10005", PS_HTTP_POST, 400},
        {BUCKETS, NULL, "{\"name\":\"Photos\"}", "10005", PS_HTTP_POST, 400},
        {BUCKETS, NULL, "{\"name\":\"abc\",\"locationHint\":\"mars\"}", "10029", PS_HTTP_POST, 400},
        {BUCKETS, NULL, "{\"name\":\"abc\",\"storageClass\":\"Cold\"}", "10029", PS_HTTP_POST, 400},
        {BUCKETS "/photos", NULL, "", "10029", PS_HTTP_PATCH, 400},
        {BUCKETS "/photos", cold, "", "10029", PS_HTTP_PATCH, 400},
        {BUCKETS "/photos/objects/k", cold, "", "10029", PS_HTTP_PUT, 400},
        {BUCKETS "/photos/objects/k", etags, "", "10029", PS_HTTP_GET, 400},
        {BUCKETS "/photos/objects/", NULL, "", "10020", PS_HTTP_GET, 400},
        {BUCKETS "/photos/objects/%ff", NULL, "", "10020", PS_HTTP_GET, 400},
        {BUCKETS "/photos/objects/%f", NULL, "", "10020", PS_HTTP_GET, 400},
        {BUCKETS "/photos/objects/%ff", NULL, "", "10020", PS_HTTP_DELETE, 400},
        {BUCKETS "/photos/objects?per_page=1001", NULL, "", "10022", PS_HTTP_GET, 400},
        {BUCKETS "/photos/objects?prefix=%g", NULL, "", "10029", PS_HTTP_GET, 400},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        char code[32];
        ask(&asked, cases[i].method, cases[i].target, cases[i].headers, cases[i].body);
        (void)snprintf(code, sizeof code, "{\"code\":%s,", cases[i].code);
        const char *body = ps_buf_text(&asked.response.body);
        bool unknown = strcmp(cases[i].code, "10006") == 0;
        if (asked.response.status != cases[i].status || strstr(body, code) == NULL ||
            strstr(body, "{\"success\":false,") != body ||
            asked.call.kind != (unknown ? PS_API_BUCKET_UNKNOWN : PS_API_ANSWERED)) {
            fail_msg("%s: %d %s", cases[i].target, asked.response.status, body);
        }
        asked_fini(&asked);
    }
}

static void buckets_are_found(void **state)
{
    (void)state;

    static const struct {
        const char *name;
        size_t ns;
    } cases[] = {{"my-assets", 1}, {"MY_ASSETS", 1}, {"photos", 2}, {ID, 2}, {"ph%6ftos", 2}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        char target[128];
        (void)snprintf(target, sizeof target, BUCKETS "/%s", cases[i].name);
        ask(&asked, PS_HTTP_GET, target, NULL, "");
        assert_int_equal(asked.call.kind, PS_API_BUCKET_GET);
        assert_int_equal(asked.call.ns, cases[i].ns);
        asked_fini(&asked);
    }
}

static void buckets_are_changed(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, PS_HTTP_POST, BUCKETS, NULL,
        "{\"name\":\"a-1\",\"locationHint\":\"WEUR\",\"storageClass\":\"InfrequentAccess\"}");
    assert_int_equal(asked.call.kind, PS_API_BUCKET_CREATE);
    check_text(asked.call.title, "a-1");
    assert_string_equal(asked.call.bucket.region, "weur");
    assert_true(asked.call.bucket.infrequent);
    asked_fini(&asked);
    ask(&asked, PS_HTTP_POST, BUCKETS, NULL, "{\"name\":\"abc\"}");
    assert_int_equal(asked.call.kind, PS_API_BUCKET_CREATE);
    assert_string_equal(asked.call.bucket.region, "");
    assert_false(asked.call.bucket.infrequent);
    asked_fini(&asked);

    static const char *const headers[] = {"cf-r2-storage-class", "InfrequentAccess", NULL};
    ask(&asked, PS_HTTP_PATCH, BUCKETS "/photos", headers, "");
    assert_int_equal(asked.call.kind, PS_API_BUCKET_UPDATE);
    assert_true(asked.call.bucket.infrequent);
    ps_api_answer_bucket(&config, &asked.call, &asked.response);
    assert_string_equal(
        ps_buf_text(&asked.response.body),
        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":{\"name\":\"photos\","
        "\"creation_date\":\"1970-01-01T00:00:01.000Z\",\"location\":\"OC\",\"storage_class\":"
        "\"InfrequentAccess\",\"jurisdiction\":\"default\"}}");
    asked_fini(&asked);

    static const struct {
        enum ps_status status;
        int http;
        const char *says;
    } outcomes[] = {{PS_OK, 200, "\"result\":{}}"},
                    {PS_EXISTS, 409, "10004"},
                    {PS_NOT_FOUND, 404, "10006"},
                    {PS_LIMIT, 400, "10009"},
                    {PS_FULL, 507, "10001,\"message\":\"The disk of "},
                    {PS_UNREACHABLE, 503, "10043"}};

    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        ask(&asked, PS_HTTP_DELETE, BUCKETS "/photos", NULL, "");
        assert_int_equal(asked.call.kind, PS_API_BUCKET_DELETE);
        ps_api_answer_bucket_change(outcomes[i].status, &asked.response);
        assert_int_equal(asked.response.status, outcomes[i].http);
        assert_non_null(strstr(ps_buf_text(&asked.response.body), outcomes[i].says));
        asked_fini(&asked);
    }
}

static void check_list(const char *query, const char *const *names, const char *more)
{
    struct asked asked;
    char target[128];
    (void)snprintf(target, sizeof target, BUCKETS "%s", query);
    ask(&asked, PS_HTTP_GET, target, NULL, "");
    assert_int_equal(asked.call.kind, PS_API_BUCKETS);
    ps_api_answer_buckets(&config, &asked.call, &asked.response);
    const char *at = ps_buf_text(&asked.response.body);
    for (size_t i = 0; names[i] != NULL; i++) {
        char name[64];
        at = at == NULL ? NULL : strstr(at, "{\"name\":");
        (void)snprintf(name, sizeof name, "{\"name\":\"%s\",", names[i]);
        if (at == NULL || strncmp(at, name, strlen(name)) != 0) {
            fail_msg("%s: not %s: %s", query, names[i], ps_buf_text(&asked.response.body));
        }
        at++;
    }
    PS_ASSERT(at != NULL);
    assert_null(strstr(at, "{\"name\":"));
    assert_non_null(strstr(at, more));
    asked_fini(&asked);
}

static void buckets_are_listed(void **state)
{
    (void)state;
    check_list("", (const char *[]){"bucket-3", "my-assets", "photos", NULL}, "\"per_page\":20}}");
    check_list("?direction=desc", (const char *[]){"photos", "my-assets", "bucket-3", NULL},
               "\"per_page\":20}}");
    check_list("?name_contains=s", (const char *[]){"my-assets", "photos", NULL}, "}");
    check_list("?start_after=bucket-3", (const char *[]){"my-assets", "photos", NULL}, "}");
    check_list("?start_after=photos&direction=desc",
               (const char *[]){"my-assets", "bucket-3", NULL}, "}");
    check_list("?per_page=1", (const char *[]){"bucket-3", NULL}, ",\"cursor\":\"YnVja2V0LTM=\"");
    check_list("?per_page=1&cursor=YnVja2V0LTM%3D", (const char *[]){"my-assets", NULL},
               ",\"cursor\":\"");
    check_list("?per_page=1&cursor=YnVja2V0LTM%3D&direction=desc", (const char *[]){NULL},
               "\"per_page\":1}}");
}

static void objects_are_asked_for(void **state)
{
    (void)state;

    static const char *const put[] = {"Content-Type",
                                      "text/plain",
                                      "Cache-Control",
                                      "max-age=5",
                                      "Expires",
                                      "Sun, 06 Nov 1994 08:49:37 GMT",
                                      "cf-r2-storage-class",
                                      "Standard",
                                      "If-None-Match",
                                      "*",
                                      NULL};
    struct asked asked;
    const struct ps_r2_request *request = &asked.call.bucket.request;
    ask(&asked, PS_HTTP_PUT, BUCKETS "/photos/objects/a/b%2Fc%20+?x=1", put, "");
    assert_int_equal(asked.call.kind, PS_API_OBJECT);
    assert_int_equal(request->op, PS_R2_PUT);
    check_text(request->key, "a/b/c +");
    check_text(request->meta.http.content_type, "text/plain");
    check_text(request->meta.http.cache_control, "max-age=5");
    assert_true(request->meta.http.has_cache_expiry);
    assert_int_equal(request->meta.http.cache_expiry_ms, INT64_C(784111777000));
    assert_true(request->has_storage_class);
    assert_int_equal(request->meta.storage_class, PS_R2_STANDARD);
    assert_true(request->condition.has_differs);
    asked_fini(&asked);

    static const char *const get[] = {"Range", "bytes=1-", NULL};
    ask(&asked, PS_HTTP_GET, BUCKETS "/photos/objects/k", get, "");
    assert_int_equal(request->op, PS_R2_GET);
    assert_int_equal(request->range.kind, PS_R2_RANGE_HEADER);
    assert_false(request->has_storage_class);
    asked_fini(&asked);
    ask(&asked, PS_HTTP_HEAD, BUCKETS "/photos/objects/k", NULL, "");
    assert_int_equal(request->op, PS_R2_HEAD);
    asked_fini(&asked);
    ask(&asked, PS_HTTP_DELETE, BUCKETS "/photos/objects/k//", NULL, "");
    assert_int_equal(request->op, PS_R2_DELETE);
    assert_int_equal(request->key_count, 1);
    check_text(request->keys[0], "k//");
    asked_fini(&asked);
    ask(&asked, PS_HTTP_GET,
        BUCKETS "/photos/objects?prefix=a%2f&delimiter=/&start_after=b+c&cursor=YQ&per_page=7",
        NULL, "");
    assert_int_equal(request->op, PS_R2_LIST);
    check_text(request->prefix, "a/");
    check_text(request->delimiter, "/");
    check_text(request->start_after, "b c");
    check_text(request->cursor, "YQ");
    assert_true(request->has_limit && request->limit == 7);
    asked_fini(&asked);
}

static void bodies_stream(void **state)
{
    (void)state;

    static const struct {
        const char *target;
        enum ps_http_method method;
        bool streams;
    } cases[] = {{BUCKETS "/b/objects/k", PS_HTTP_PUT, true},
                 {BUCKETS "/b/objects/bulk/k", PS_HTTP_PUT, true},
                 {BUCKETS "/b/objects/k", PS_HTTP_POST, false},
                 {BUCKETS "/b/objects", PS_HTTP_PUT, false},
                 {BUCKETS, PS_HTTP_PUT, false},
                 {"/client/v4/accounts/", PS_HTTP_PUT, false},
                 {"/client/v4/accounts/a/storage/kv/namespaces/b/objects/", PS_HTTP_PUT, false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct ps_http_request head = {.method = cases[i].method,
                                             .target = ps_slice_of(cases[i].target)};
        if (ps_api_intake(&head).stream != cases[i].streams) {
            fail_msg("%s", cases[i].target);
        }
    }
}

static const struct ps_r2_object object = {
    .key = {"k\"", 2},
    .size = 10,
    .etag = "5d41402abc4b2a76b9719d911017c592",
    .uploaded_ms = INT64_C(784111777123),
    .meta = {.http = {.content_language = {"de", 2},
                      .has_cache_expiry = true,
                      .cache_expiry_ms = INT64_C(784111777000)},
             .storage_class = PS_R2_INFREQUENT}};

static void objects_are_answered(void **state)
{
    (void)state;
    struct asked asked = {.response = {.status = 0}};
    const struct ps_r2_span part = {.offset = 1, .length = 3, .partial = true};
    ps_api_r2_rest_object(&object, &part, &asked.response);
    assert_int_equal(asked.response.status, 206);
    check_header(&asked, "Content-Type: application/octet-stream\r\n");
    check_header(&asked, "Content-Language: de\r\n");
    check_header(&asked, "Expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    check_header(&asked, "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n");
    check_header(&asked, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    check_header(&asked, "Content-Range: bytes 1-3/10\r\n");
    check_header(&asked, "cf-r2-storage-class: InfrequentAccess\r\n");
    asked_fini(&asked);

    asked = (struct asked){.response = {.status = 0}};
    const struct ps_r2_request put = {.op = PS_R2_PUT, .key = {"k\"", 2}};
    const struct ps_r2_answer answer = {.has_object = true, .object = object};
    ps_api_r2_rest_mutation(&put, &answer, &asked.response);
    assert_non_null(
        strstr(ps_buf_text(&asked.response.body),
               "\"result\":{\"key\":\"k\\\"\",\"etag\":"
               "\"5d41402abc4b2a76b9719d911017c592\",\"version\":"
               "\"00000000000000000000000000000000\",\"size\":\"10\",\"uploaded\":"
               "\"1994-11-06T08:49:37.123Z\",\"storage_class\":\"InfrequentAccess\"}}"));
    asked_fini(&asked);

    asked = (struct asked){.response = {.status = 0}};
    const struct ps_r2_error same = {.code = PS_R2_CODE_NOT_MODIFIED};
    ps_api_r2_rest_error(&same, &asked.response);
    assert_int_equal(asked.response.status, 304);
    assert_int_equal(asked.response.body.size, 0);
    asked_fini(&asked);
}

static void pages_are_answered(void **state)
{
    (void)state;
    struct asked asked = {.response = {.status = 0}};
    struct ps_r2_object one = object;
    struct ps_r2_pair custom[] = {{{"a", 1}, {"1", 1}}, {{"b", 1}, {"\"", 1}}};
    struct ps_slice prefixes[] = {{"p/", 2}, {"q/", 2}};
    one.meta.custom = custom;
    one.meta.custom_count = 2;
    const struct ps_r2_request list = {
        .op = PS_R2_LIST, .has_limit = true, .limit = 3, .delimiter = {"/", 1}};
    const struct ps_r2_page page = {.objects = &one,
                                    .object_count = 1,
                                    .prefixes = prefixes,
                                    .prefix_count = 2,
                                    .truncated = true,
                                    .last = {"q/", 2}};
    ps_api_r2_rest_page(&list, &page, &asked.response);
    assert_string_equal(
        ps_buf_text(&asked.response.body),
        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":[{\"key\":\"k\\\"\",\"size\":"
        "10,"
        "\"etag\":\"5d41402abc4b2a76b9719d911017c592\",\"last_modified\":"
        "\"1994-11-06T08:49:37.123Z\",\"http_metadata\":{\"contentLanguage\":\"de\","
        "\"cacheExpiry\":\"1994-11-06T08:49:37.000Z\"},\"custom_metadata\":{\"a\":\"1\",\"b\":"
        "\"\\\"\"},\"storage_class\":\"InfrequentAccess\",\"ssec\":false}],\"result_info\":{"
        "\"per_page\":3,\"is_truncated\":true,\"cursor\":\"cS8=\",\"delimited\":[\"p/\",\"q/\"]}}");
    asked_fini(&asked);
}

static void names(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof longest - 1);
    longest[64] = '\0';
    assert_false(ps_r2_bucket_name_valid(ps_slice_of(longest)));
    longest[63] = '\0';
    assert_true(ps_r2_bucket_name_valid(ps_slice_of(longest)));
    assert_true(ps_r2_bucket_name_eq(PS_LIT("MY_Assets"), PS_LIT("my-assets")));
    assert_false(ps_r2_bucket_name_eq(PS_LIT("my-assets"), PS_LIT("my-asset")));
    struct ps_buf name = {0};
    ps_r2_bucket_name_put(&name, PS_LIT("MY_Assets 1"));
    assert_string_equal(ps_buf_text(&name), "my-assets 1");
    ps_buf_fini(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals),
                                       cmocka_unit_test(buckets_are_found),
                                       cmocka_unit_test(buckets_are_changed),
                                       cmocka_unit_test(buckets_are_listed),
                                       cmocka_unit_test(objects_are_asked_for),
                                       cmocka_unit_test(bodies_stream),
                                       cmocka_unit_test(objects_are_answered),
                                       cmocka_unit_test(pages_are_answered),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
