/* The binding's protocol: calls as a real workerd sends them, what is refused, and answers. */
#include "node/http/api_r2.h"
#include "tests/support/r2_random.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct ps_api_r2_call parsed(const char *json, bool writes)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    if (!ps_api_r2_parse(ps_slice_of(json), writes, &call, &err)) {
        fail_msg("%s: %s", json, ps_r2_error_message(&err));
    }
    return call;
}

static void check_text(struct ps_slice text, const char *expected)
{
    if (!ps_slice_eq(text, ps_slice_of(expected))) {
        fail_msg("%.*s, not %s", (int)text.size, text.size > 0 ? text.data : "", expected);
    }
}

/* As captured. */
static void test_reads(void **state)
{
    (void)state;
    struct ps_api_r2_call call =
        parsed("{\"version\":1,\"method\":\"head\",\"object\":\"k\"}", false);
    assert_int_equal(call.request.op, PS_R2_HEAD);
    check_text(call.request.key, "k");
    ps_api_r2_call_fini(&call);

    call = parsed("{\"version\":1,\"method\":\"get\",\"object\":\"k\",\"range\":{\"offset\":\"0\","
                  "\"length\":\"3\"}}",
                  false);
    assert_int_equal(call.request.op, PS_R2_GET);
    assert_int_equal(call.request.range.kind, PS_R2_RANGE_SPAN);
    assert_true(call.request.range.has_offset && call.request.range.has_length);
    assert_int_equal(call.request.range.length, 3);
    ps_api_r2_call_fini(&call);

    call = parsed("{\"version\":1,\"method\":\"get\",\"object\":\"k\",\"range\":{\"suffix\":\"7\"},"
                  "\"onlyIf\":{\"etagMatches\":[{\"value\":\"a\",\"type\":\"strong\"},{\"type\":"
                  "\"wildcard\"}],\"etagDoesNotMatch\":[{\"value\":\"b\",\"type\":\"weak\"}],"
                  "\"uploadedBefore\":\"1700000000123\",\"uploadedAfter\":\"5\","
                  "\"secondsGranularity\":true}}",
                  false);
    const struct ps_r2_condition *condition = &call.request.condition;
    assert_int_equal(call.request.range.kind, PS_R2_RANGE_SUFFIX);
    assert_int_equal(condition->match_count, 2);
    check_text(condition->matches[0].value, "a");
    assert_int_equal(condition->matches[1].kind, PS_R2_ETAG_ANY);
    assert_int_equal(condition->differs[0].kind, PS_R2_ETAG_WEAK);
    assert_int_equal(condition->before_ms, 1700000000123);
    assert_true(condition->has_after && condition->seconds);
    ps_api_r2_call_fini(&call);

    call = parsed(
        "{\"version\":1,\"method\":\"get\",\"object\":\"k\",\"rangeHeader\":\"bytes=1-2\"}", false);
    assert_int_equal(call.request.range.kind, PS_R2_RANGE_HEADER);
    ps_api_r2_call_fini(&call);
}

static void test_lists(void **state)
{
    (void)state;
    struct ps_api_r2_call call =
        parsed("{\"version\":1,\"method\":\"list\",\"newRuntime\":true}", false);
    assert_int_equal(call.request.op, PS_R2_LIST);
    assert_false(call.request.has_limit);
    assert_int_equal(call.request.include, 0);
    ps_api_r2_call_fini(&call);
    call =
        parsed("{\"version\":1,\"method\":\"list\",\"limit\":10,\"prefix\":\"p\",\"cursor\":\"c\","
               "\"delimiter\":\"/\",\"startAfter\":\"s\",\"include\":[1,0],\"newRuntime\":true}",
               false);
    assert_int_equal(call.request.limit, 10);
    check_text(call.request.prefix, "p");
    check_text(call.request.cursor, "c");
    check_text(call.request.delimiter, "/");
    check_text(call.request.start_after, "s");
    assert_int_equal(call.request.include, PS_R2_INCLUDE_HTTP | PS_R2_INCLUDE_CUSTOM);
    ps_api_r2_call_fini(&call);
}

static void test_writes(void **state)
{
    (void)state;
    struct ps_api_r2_call call = parsed("{\"version\":1,\"method\":\"put\",\"object\":\"k\","
                                        "\"customFields\":[],\"httpFields\":{}}",
                                        true);
    assert_int_equal(call.request.op, PS_R2_PUT);
    assert_int_equal(call.hashes, PS_R2_HASH_BIT(PS_R2_MD5));
    ps_api_r2_call_fini(&call);

    call = parsed(
        "{\"version\":1,\"method\":\"put\",\"object\":\"k\\u0001\\u00e9\",\"customFields\":[{\"k\":"
        "\"a\",\"v\":\"1\"},{\"k\":\"b\",\"v\":\"\"}],\"httpFields\":{\"contentType\":\"text/"
        "plain\","
        "\"cacheControl\":\"no-store\",\"cacheExpiry\":\"1700000000000\"},\"md5\":"
        "\"kAFQmDzST7DWlj99KOF/cg==\",\"storageClass\":\"InfrequentAccess\",\"ssec\":{\"key\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}}",
        true);
    const struct ps_r2_metadata *meta = &call.request.meta;
    check_text(call.request.key, "k\x01\xc3\xa9");
    assert_int_equal(meta->custom_count, 2);
    check_text(meta->custom[0].value, "1");
    check_text(meta->http.content_type, "text/plain");
    assert_int_equal(meta->http.cache_expiry_ms, 1700000000000);
    assert_int_equal(meta->storage_class, PS_R2_INFREQUENT);
    assert_int_equal(call.request.declared.bytes[PS_R2_MD5][0], 0x90);
    assert_true(meta->ssec.given);
    assert_int_equal(meta->ssec.key_md5[0], 0x70); /* of 32 zeros: 70bc8f4b... */
    ps_api_r2_call_fini(&call);

    call = parsed("{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"sha256\":"
                  "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}",
                  true);
    assert_int_equal(call.hashes, PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_SHA256));
    ps_api_r2_call_fini(&call);

    call = parsed("{\"version\":1,\"method\":\"delete\",\"object\":\"k\"}", true);
    assert_int_equal(call.request.key_count, 1);
    ps_api_r2_call_fini(&call);
    call = parsed("{\"version\":1,\"method\":\"delete\",\"objects\":[\"a\",\"b\"]}", true);
    assert_int_equal(call.request.key_count, 2);
    check_text(call.request.keys[1], "b");
    ps_api_r2_call_fini(&call);
    call = parsed("{\"version\":1,\"method\":\"delete\",\"objects\":[]}", true);
    assert_int_equal(call.request.key_count, 0);
    ps_api_r2_call_fini(&call);
}

static void test_multipart(void **state)
{
    (void)state;
    struct ps_api_r2_call call =
        parsed("{\"version\":1,\"method\":\"createMultipartUpload\",\"object\":\"k\","
               "\"customFields\":[{\"k\":\"a\",\"v\":\"1\"}],\"httpFields\":{}}",
               true);
    assert_int_equal(call.request.op, PS_R2_CREATE_UPLOAD);
    assert_int_equal(call.request.meta.custom_count, 1);
    ps_api_r2_call_fini(&call);
    call = parsed("{\"version\":1,\"method\":\"uploadPart\",\"object\":\"k\",\"uploadId\":"
                  "\"000102030405060708090a0b0c0d0e0f\",\"partNumber\":17}",
                  true);
    assert_int_equal(call.request.part_number, 17);
    assert_int_equal(call.request.upload_id.bytes[15], 15);
    ps_api_r2_call_fini(&call);
    call = parsed(
        "{\"version\":1,\"method\":\"completeMultipartUpload\",\"object\":\"k\",\"uploadId\":"
        "\"000102030405060708090a0b0c0d0e0f\",\"parts\":[{\"etag\":\"x\",\"part\":2}]}",
        true);
    assert_int_equal(call.request.part_count, 1);
    assert_int_equal(call.request.parts[0].number, 2);
    check_text(call.request.parts[0].etag, "x");
    ps_api_r2_call_fini(&call);
    call =
        parsed("{\"version\":1,\"method\":\"abortMultipartUpload\",\"object\":\"k\",\"uploadId\":"
               "\"000102030405060708090a0b0c0d0e0f\"}",
               true);
    assert_int_equal(call.request.op, PS_R2_ABORT);
    ps_api_r2_call_fini(&call);
}

static void test_refused(void **state)
{
    (void)state;

    static const struct {
        bool writes;
        uint32_t v4_code;
        const char *json;
    } cases[] = {
        {false, 10029, ""},
        {false, 10029, "[]"},
        {false, 10029, "{\"version\":1}"},
        {false, 10029, "{\"version\":2,\"method\":\"head\",\"object\":\"k\"}"},
        {false, 10029, "{\"version\":1,\"method\":\"put\",\"object\":\"k\"}"},
        {true, 10029, "{\"version\":1,\"method\":\"head\",\"object\":\"k\"}"},
        {true, 10029, "{\"version\":1,\"method\":\"createBucket\",\"bucket\":\"k\"}"},
        {false, 10020, "{\"version\":1,\"method\":\"head\"}"},
        {false, 10029, "{\"version\":1,\"method\":\"head\",\"object\":7}"},
        {false, 10022, "{\"version\":1,\"method\":\"list\",\"limit\":0}"},
        {false, 10022, "{\"version\":1,\"method\":\"list\",\"limit\":1001}"},
        {false, 10029, "{\"version\":1,\"method\":\"list\",\"limit\":-1}"},
        {false, 10029, "{\"version\":1,\"method\":\"list\",\"include\":[2]}"},
        {false, 10029,
         "{\"version\":1,\"method\":\"get\",\"object\":\"k\",\"range\":{\"offset\":\"x\"}}"},
        {false, 10029,
         "{\"version\":1,\"method\":\"get\",\"object\":\"k\",\"range\":{\"offset\":"
         "\"18446744073709551616\"}}"},
        {true, 10029, "{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"md5\":\"short\"}"},
        {true, 10029,
         "{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"ssec\":{\"key\":\"0\"}}"},
        {true, 10029, "{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"storageClass\":\"X\"}"},
        {true, 10029, "{\"version\":1,\"method\":\"delete\"}"},
        {true, 10020, "{\"version\":1,\"method\":\"delete\",\"objects\":[\"\"]}"},
        {true, 10024,
         "{\"version\":1,\"method\":\"uploadPart\",\"object\":\"k\",\"uploadId\":\"no\","
         "\"partNumber\":1}"},
        {true, 10029,
         "{\"version\":1,\"method\":\"uploadPart\",\"object\":\"k\",\"uploadId\":"
         "\"000102030405060708090a0b0c0d0e0f\",\"partNumber\":10001}"},
        {true, 10025,
         "{\"version\":1,\"method\":\"completeMultipartUpload\",\"object\":\"k\",\"uploadId\":"
         "\"000102030405060708090a0b0c0d0e0f\",\"parts\":[]}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_api_r2_call call;
        struct ps_r2_error err;
        if (ps_api_r2_parse(ps_slice_of(cases[i].json), cases[i].writes, &call, &err)) {
            fail_msg("taken: %s", cases[i].json);
        }
        if (ps_r2_code_info(err.code)->v4_code != cases[i].v4_code) {
            fail_msg("%s: %u", cases[i].json, ps_r2_code_info(err.code)->v4_code);
        }
        ps_api_r2_call_fini(&call);
    }
    size_t size;
    assert_true(ps_api_r2_metadata_size(PS_LIT("123"), &size));
    assert_int_equal(size, 123);
    assert_false(ps_api_r2_metadata_size(PS_LIT(""), &size));
    assert_false(ps_api_r2_metadata_size(PS_LIT("-1"), &size));
    assert_false(ps_api_r2_metadata_size(PS_LIT("1048577"), &size));
}

/* ---- answers ---- */

static void check_has(const struct ps_http_response *response, const char *header)
{
    if (memmem(response->headers.data, response->headers.size, header, strlen(header)) == NULL) {
        fail_msg("%.*s lacks %s", (int)response->headers.size, response->headers.data, header);
    }
}

static void test_object_answer(void **state)
{
    (void)state;
    struct ps_r2_pair pair = {PS_LIT("a\""), PS_LIT("\n")};
    struct ps_r2_object object = {
        .key = PS_LIT("k"),
        .version = {{0xAB}},
        .size = 5497558138880,
        .etag = "9e3669d19b675bd57058fd4664205d2a",
        .uploaded_ms = 1700000000123,
        .meta = {.http = {.content_type = PS_LIT("text/plain"), .has_cache_expiry = true},
                 .custom = &pair,
                 .custom_count = 1}};
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_CRC32), PS_LIT("v"),
                    &object.checksums);
    struct ps_r2_span span = {1, 2, true};
    struct ps_http_response response = {0};
    ps_api_r2_answer_object(&object, &span, &response);
    assert_string_equal(
        ps_buf_text(&response.body),
        "{\"name\":\"k\",\"version\":\"ab000000000000000000000000000000\",\"size\":5497558138880,"
        "\"etag\":\"9e3669d19b675bd57058fd4664205d2a\",\"uploaded\":1700000000123,\"httpFields\":{"
        "\"contentType\":\"text/"
        "plain\",\"cacheExpiry\":0},\"customFields\":[{\"k\":\"a\\\"\",\"v\":"
        "\"\\n\"}],\"range\":{\"offset\":1,\"length\":2},\"checksums\":{\"0\":"
        "\"9e3669d19b675bd57058fd4664205d2a\"},\"storageClass\":\"Standard\"}");
    assert_int_equal(response.status, 200);
    char header[64];
    (void)snprintf(header, sizeof header, "CF-R2-Metadata-Size: %zu\r\n", response.body.size);
    check_has(&response, header);
    ps_http_response_fini(&response);
}

static void test_error_answers(void **state)
{
    (void)state;
    struct ps_http_response response = {0};
    struct ps_r2_error error = {.code = PS_R2_CODE_NO_SUCH_KEY};
    ps_api_r2_answer_error(&error, NULL, &response);
    assert_int_equal(response.status, 404);
    assert_int_equal(response.body.size, 0);
    check_has(&response,
              "CF-R2-Error: {\"version\":1,\"v4code\":10007,\"message\":\"The specified key "
              "does not exist.\"}\r\n");
    ps_http_response_fini(&response);

    struct ps_r2_object object = {.key = PS_LIT("k"), .etag = "e"};
    response = (struct ps_http_response){0};
    error.code = PS_R2_CODE_PRECONDITION_FAILED;
    ps_api_r2_answer_error(&error, &object, &response);
    assert_int_equal(response.status, 412);
    assert_int_not_equal(response.body.size, 0);
    check_has(&response, "\"v4code\":10031,");
    check_has(&response, "CF-R2-Metadata-Size: ");
    ps_http_response_fini(&response);

    response = (struct ps_http_response){0};
    error.code = PS_R2_CODE_NOT_MODIFIED;
    ps_api_r2_answer_error(&error, &object, &response);
    assert_int_equal(response.status, 412);
    ps_http_response_fini(&response);

    response = (struct ps_http_response){0};
    struct ps_r2_answer answer = {.error = {.code = PS_R2_CODE_BAD_DIGEST}};
    (void)snprintf(answer.error.text, sizeof answer.error.text, "two\nlines");
    ps_api_r2_answer_mutation(PS_R2_PUT, &answer, &response);
    assert_int_equal(response.status, 400);
    check_has(&response, "\"message\":\"two\\nlines\"}\r\n");
    ps_http_response_fini(&response);
}

static void test_mutation_answers(void **state)
{
    (void)state;
    struct ps_http_response response = {0};
    struct ps_r2_answer answer = {.upload_id = {{0xCD}}};
    ps_api_r2_answer_mutation(PS_R2_CREATE_UPLOAD, &answer, &response);
    assert_string_equal(ps_buf_text(&response.body),
                        "{\"uploadId\":\"cd000000000000000000000000000000\"}");
    ps_http_response_fini(&response);
    response = (struct ps_http_response){0};
    answer.part = (struct ps_r2_part){.number = 1};
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), PS_LIT("v"), &answer.part.checksums);
    ps_api_r2_answer_mutation(PS_R2_UPLOAD_PART, &answer, &response);
    assert_string_equal(ps_buf_text(&response.body),
                        "{\"etag\":\"9e3669d19b675bd57058fd4664205d2a\"}");
    ps_http_response_fini(&response);
    response = (struct ps_http_response){0};
    ps_api_r2_answer_mutation(PS_R2_DELETE, &answer, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body.size, 0);
    ps_http_response_fini(&response);
}

/* A bucket of awkward objects, listed with all metadata: valid JSON, never more than was allowed.
 */
static void test_list_size(void **state)
{
    (void)state;

    enum { OBJECTS = 300, NAME_SIZE = 40, LIMIT = 64 << 10 };

    static const struct ps_cluster cluster = {.epoch_unix_s = 1767225600};
    struct ps_map *map = ps_map_create_memory();
    ps_map_store store;
    assert_int_equal(ps_map_store_open(map, PS_LIT("B"), &store, NULL), PS_OK);
    struct r2_draw draw = {.rng = {.seed = 8}};
    for (uint64_t lsn = 1; lsn <= OBJECTS; lsn++) {
        struct ps_r2_object object = r2_object(&draw);
        object.checksums = r2_checksums(&draw, (1U << PS_R2_HASHES) - 1);
        object.is_inline = true;
        object.composite = false;
        object.meta.http.content_disposition = PS_LIT("\x01\x02\"\\\x1f");
        char name[NAME_SIZE + 1];
        memset(name, (int)(1 + lsn % 40), NAME_SIZE);
        name[NAME_SIZE] = (char)('a' + lsn % 26);
        struct ps_buf head = {0};
        ps_r2_object_encode(&head, &object);
        struct ps_entry entry = {.key = {name, sizeof name}, .metadata = ps_buf_slice(&head)};
        struct ps_record record = {
            .lsn = lsn, .commit_ns = lsn, .entries = &entry, .entry_count = 1};
        struct ps_append append = {store, &record};
        assert_int_equal(ps_map_apply(map, &append, 1, NULL), PS_OK);
        ps_buf_fini(&head);
        r2_draw_fini(&draw);
    }
    struct ps_r2_request request = {.op = PS_R2_LIST,
                                    .include = PS_R2_INCLUDE_HTTP | PS_R2_INCLUDE_CUSTOM};
    struct ps_r2_page page;
    struct ps_r2_error err = {0};
    assert_int_equal(ps_map_read_begin(map), PS_OK);
    assert_int_equal(
        ps_r2_list(map, store, &cluster, &PS_BOUND_NEWEST, &request, 0, LIMIT, &page, &err), PS_OK);
    ps_map_read_end(map);
    assert_true(page.truncated);
    struct ps_http_response response = {0};
    ps_api_r2_answer_list(&request, &page, &response);
    assert_true(response.body.size <= LIMIT + 2048);
    assert_true(response.body.size > LIMIT / 2);
    json_t *json = json_loadb(response.body.data, response.body.size, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "objects")), page.object_count);
    assert_true(json_is_true(json_object_get(json, "truncated")));
    assert_true(json_is_string(json_object_get(json, "cursor")));
    json_decref(json);
    ps_http_response_fini(&response);
    ps_r2_page_fini(&page);
    ps_map_close(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),         cmocka_unit_test(test_lists),
        cmocka_unit_test(test_writes),        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_object_answer),
        cmocka_unit_test(test_error_answers), cmocka_unit_test(test_mutation_answers),
        cmocka_unit_test(test_list_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
