/* Objects, uploads, parts, mutations and answers as bytes: there and back, cut anywhere, and
 * against the limits. */
#include "tests/support/r2_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 300 };

static void check_same(const struct ps_buf *a, const struct ps_buf *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

static void test_objects(void **state)
{
    (void)state;
    struct r2_draw draw = {.rng = {.seed = 1}};
    for (int round = 0; round < ROUNDS; round++) {
        struct ps_r2_object object = r2_object(&draw);
        struct ps_buf bytes = {0};
        struct ps_buf again = {0};
        ps_r2_object_encode(&bytes, &object);
        struct ps_r2_object back;
        assert_int_equal(ps_r2_head_decode(object.key, ps_buf_slice(&bytes), &back), PS_OK);
        ps_r2_object_encode(&again, &back);
        check_same(&bytes, &again);
        assert_true(ps_r2_id_eq(&back.version, &object.version));
        assert_string_equal(back.etag, object.etag);
        assert_int_equal(back.size, object.size);
        assert_int_equal(back.meta.custom_count, object.meta.custom_count);
        assert_int_equal(back.meta.ssec.given, object.meta.ssec.given);
        assert_int_equal(back.meta.http.cache_expiry_ms, object.meta.http.cache_expiry_ms);
        ps_r2_object_fini(&back);
        for (size_t size = 0; size < bytes.size; size++) {
            struct ps_slice cut = {bytes.data, size};
            assert_int_not_equal(ps_r2_head_decode(object.key, cut, &back), PS_OK);
        }
        ps_buf_fini(&bytes);
        ps_buf_fini(&again);
        r2_draw_fini(&draw);
    }
}

static void test_uploads_and_parts(void **state)
{
    (void)state;
    struct r2_draw draw = {.rng = {.seed = 2}};
    for (int round = 0; round < ROUNDS; round++) {
        struct ps_r2_upload upload = {.key = r2_text(&draw, 1, 40),
                                      .meta = r2_metadata(&draw),
                                      .hashes = PS_R2_HASH_BIT(PS_R2_CRC32C),
                                      .full_object = r2_flip(&draw)};
        r2_bytes(&draw, upload.id.bytes, PS_R2_ID_SIZE);
        struct ps_buf key = {0};
        struct ps_buf bytes = {0};
        ps_r2_upload_key(&key, &upload.id);
        ps_r2_upload_encode(&bytes, &upload);
        struct ps_r2_upload back;
        assert_int_equal(ps_r2_upload_decode(ps_buf_slice(&key), ps_buf_slice(&bytes), &back),
                         PS_OK);
        assert_true(ps_slice_eq(back.key, upload.key));
        assert_true(ps_r2_id_eq(&back.id, &upload.id));
        assert_int_equal(back.hashes, upload.hashes);
        ps_r2_upload_fini(&back);
        struct ps_r2_part part = r2_part(&draw);
        key.size = 0;
        bytes.size = 0;
        ps_r2_part_key(&key, &upload.id, part.number);
        ps_r2_part_encode(&bytes, &part);
        struct ps_r2_part part_back;
        assert_int_equal(ps_r2_part_decode(ps_buf_slice(&key), ps_buf_slice(&bytes), &part_back),
                         PS_OK);
        assert_int_equal(part_back.number, part.number);
        assert_int_equal(part_back.blob.size, part.blob.size);
        assert_int_equal(ps_r2_checksums_differ(&part_back.checksums, &part.checksums),
                         PS_R2_HASHES);
        key.data[key.size - 1] = key.data[key.size - 2] = 0; /* part 0 */
        assert_int_equal(ps_r2_part_decode(ps_buf_slice(&key), ps_buf_slice(&bytes), &part_back),
                         PS_CORRUPT);
        ps_buf_fini(&key);
        ps_buf_fini(&bytes);
        r2_draw_fini(&draw);
    }
}

static void test_mutations(void **state)
{
    (void)state;
    struct r2_draw draw = {.rng = {.seed = 3}};
    for (int round = 0; round < ROUNDS; round++) {
        struct ps_r2_request request = r2_mutation(&draw);
        struct ps_buf bytes = {0};
        struct ps_buf again = {0};
        ps_r2_request_encode(&bytes, &request);
        struct ps_r2_request back;
        assert_int_equal(ps_r2_request_decode(ps_buf_slice(&bytes), &back), PS_OK);
        ps_r2_request_encode(&again, &back);
        check_same(&bytes, &again);
        assert_int_equal(back.op, request.op);
        assert_int_equal(back.condition.after_ms, INT64_MIN);
        ps_r2_request_fini(&back);
        for (size_t size = 0; size < bytes.size; size += 1 + size / 8) {
            struct ps_slice cut = {bytes.data, size};
            assert_int_not_equal(ps_r2_request_decode(cut, &back), PS_OK);
        }
        ps_buf_fini(&bytes);
        ps_buf_fini(&again);
        r2_draw_fini(&draw);
    }
}

static void test_answers(void **state)
{
    (void)state;
    struct r2_draw draw = {.rng = {.seed = 4}};
    for (int round = 0; round < ROUNDS; round++) {
        struct ps_r2_answer answer = {.lsn = r2_below(&draw, 1000), .commit_ns = 7};
        answer.has_object = r2_flip(&draw);
        if (answer.has_object) {
            answer.object = r2_object(&draw);
        } else if (r2_flip(&draw)) {
            answer.part = r2_part(&draw);
            answer.part.uploaded_ms = 12;
        } else {
            (void)ps_r2_fail_with(&answer.error, PS_R2_CODE_BAD_DIGEST, "no %d", round);
        }
        struct ps_buf bytes = {0};
        struct ps_buf again = {0};
        ps_r2_answer_encode(&bytes, &answer);
        struct ps_r2_answer back;
        assert_int_equal(ps_r2_answer_decode(ps_buf_slice(&bytes), &back), PS_OK);
        ps_r2_answer_encode(&again, &back);
        check_same(&bytes, &again);
        assert_int_equal(back.error.code, answer.error.code);
        assert_string_equal(back.error.text, answer.error.text);
        assert_int_equal(back.object.uploaded_ms, answer.object.uploaded_ms);
        assert_int_equal(back.part.number, answer.part.number);
        ps_r2_answer_fini(&back);
        ps_buf_fini(&bytes);
        ps_buf_fini(&again);
        r2_draw_fini(&draw);
    }
}

static void count_blob(void *context, const struct ps_r2_blob *blob)
{
    *(uint64_t *)context += blob->size;
}

static void test_bodies(void **state)
{
    (void)state;
    struct ps_r2_object object = {.key = PS_LIT("k"), .size = 60, .etag = "e", .part_count = 3};
    static const struct ps_r2_blob blobs[3] = {{.size = 10}, {.size = 20}, {.size = 30}};
    struct ps_buf head = {0};
    struct ps_buf list = {0};
    ps_r2_object_encode(&head, &object);
    ps_r2_blobs_encode(&list, blobs, 3);
    struct ps_r2_object back;
    struct ps_r2_body body;
    assert_int_equal(
        ps_r2_object_decode(PS_LIT("k"), ps_buf_slice(&head), ps_buf_slice(&list), &back), PS_OK);
    assert_int_equal(ps_r2_object_body(&back, &body), PS_OK);
    assert_int_equal(body.blob_count, 3);
    assert_int_equal(body.blobs[2].size, 30);
    ps_r2_body_fini(&body);
    back.size = 61; /* the blobs do not add up to it */
    assert_int_equal(ps_r2_object_body(&back, &body), PS_CORRUPT);
    uint64_t sum = 0;
    assert_int_equal(
        ps_r2_entry_blobs(PS_LIT("k"), ps_buf_slice(&head), ps_buf_slice(&list), count_blob, &sum),
        PS_OK);
    assert_int_equal(sum, 60);
    ps_r2_object_fini(&back);

    head.size = 0;
    object = (struct ps_r2_object){.size = 5, .etag = "e", .is_inline = true};
    ps_r2_object_encode(&head, &object);
    assert_int_equal(ps_r2_object_decode(PS_LIT("k"), ps_buf_slice(&head), PS_LIT("1234"), &back),
                     PS_CORRUPT);
    assert_int_equal(ps_r2_object_decode(PS_LIT("k"), ps_buf_slice(&head), PS_LIT("12345"), &back),
                     PS_OK);
    assert_int_equal(ps_r2_object_body(&back, &body), PS_OK);
    assert_int_equal(body.bytes.size, 5);
    ps_r2_object_fini(&back);
    ps_buf_fini(&head);
    ps_buf_fini(&list);
}

/* The largest metadata that are allowed fit an entry. */
static void test_largest(void **state)
{
    (void)state;
    static struct ps_r2_pair pairs[PS_R2_CUSTOM_MAX];
    static char text[PS_R2_HTTP_SIZE_MAX];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < PS_R2_CUSTOM_MAX; i++) {
        pairs[i].name = (struct ps_slice){text, 1};
    }
    struct ps_r2_request request = {
        .op = PS_R2_CREATE_UPLOAD,
        .key = {text, PS_R2_KEY_SIZE_MAX},
        .meta = {.custom = pairs,
                 .custom_count = PS_R2_CUSTOM_MAX,
                 .http = {.content_type = {text, PS_R2_HTTP_SIZE_MAX}}}};
    struct ps_r2_error err = {0};
    assert_true(ps_r2_request_check(&request, &err));
    struct ps_r2_upload upload = {.key = request.key, .meta = request.meta};
    struct ps_buf bytes = {0};
    ps_r2_upload_encode(&bytes, &upload);
    assert_true(bytes.size <= PS_METADATA_SIZE_MAX);
    ps_buf_fini(&bytes);
    request.meta.http.cache_control = PS_LIT("x");
    assert_false(ps_r2_request_check(&request, &err));
    assert_int_equal(err.code, PS_R2_CODE_METADATA_TOO_LARGE);
    request.meta.http.cache_control = (struct ps_slice){NULL, 0};
    pairs[7].value = PS_LIT("y");
    err.code = PS_R2_CODE_NONE;
    assert_false(ps_r2_request_check(&request, &err));
    request.meta.custom_count = 0;
    err.code = PS_R2_CODE_NONE;
    request.key.size++;
    assert_false(ps_r2_request_check(&request, &err));
    assert_int_equal(err.code, PS_R2_CODE_INVALID_OBJECT_NAME);
}

static void check_refused(const struct ps_r2_request *request, enum ps_r2_code code)
{
    struct ps_r2_error err = {0};
    assert_false(ps_r2_request_check(request, &err));
    assert_int_equal(err.code, code);
}

static void test_limits(void **state)
{
    (void)state;
    struct ps_r2_request put = {
        .op = PS_R2_PUT, .key = PS_LIT("k"), .body = {.bytes = PS_LIT("v")}};
    check_refused(&put, PS_R2_CODE_INTERNAL); /* nobody took its MD5 */
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), PS_LIT("v"), &put.computed);
    struct ps_r2_error err = {0};
    assert_true(ps_r2_request_check(&put, &err));
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), PS_LIT("w"), &put.declared);
    assert_false(ps_r2_request_check(&put, &err));
    assert_string_equal(ps_r2_error_message(&err),
                        "The MD5 checksum you specified did not match what we received.\n"
                        "You provided a MD5 checksum with value: f1290186a5d0b1ceab27f4e77c0c5d68\n"
                        "Actual MD5 was: 9e3669d19b675bd57058fd4664205d2a");
    put.declared.present = PS_R2_HASH_BIT(PS_R2_SHA1);
    check_refused(&put, PS_R2_CODE_INTERNAL);
    put.declared.present = 0;
    struct ps_r2_blob large = {.size = PS_R2_UPLOAD_SIZE_MAX + 1};
    put.body = (struct ps_r2_body){.blobs = &large, .blob_count = 1};
    check_refused(&put, PS_R2_CODE_ENTITY_TOO_LARGE);
    large.size--;
    err.code = PS_R2_CODE_NONE;
    assert_true(ps_r2_request_check(&put, &err));
    put.op = PS_R2_UPLOAD_PART;
    check_refused(&put, PS_R2_CODE_INVALID_ARGUMENT);
    put.part_number = PS_R2_PARTS_MAX;
    assert_true(ps_r2_request_check(&put, &err));

    static const char *const bad[] = {
        "", "\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ps_r2_request head = {.op = PS_R2_HEAD, .key = ps_slice_of(bad[i])};
        check_refused(&head, PS_R2_CODE_INVALID_OBJECT_NAME);
    }
    assert_true(ps_r2_key_valid(PS_LIT("\xe2\x82\xac\xf0\x9f\x98\x80\x7f\x01")));

    struct ps_r2_request list = {.op = PS_R2_LIST, .has_limit = true, .limit = 1001};
    check_refused(&list, PS_R2_CODE_INVALID_MAX_KEYS);
    list.limit = -1;
    check_refused(&list, PS_R2_CODE_INVALID_MAX_KEYS);
    list.limit = 1000;
    assert_true(ps_r2_request_check(&list, &err));
    static struct ps_slice keys[PS_R2_DELETE_MAX + 1];
    struct ps_r2_request delete = {.op = PS_R2_DELETE, .keys = keys, .key_count = 1};
    check_refused(&delete, PS_R2_CODE_INVALID_OBJECT_NAME);
    delete.key_count = PS_R2_DELETE_MAX + 1;
    check_refused(&delete, PS_R2_CODE_MALFORMED_XML);
    delete.key_count = 0;
    assert_true(ps_r2_request_check(&delete, &err));
}

static void test_ids(void **state)
{
    (void)state;
    struct ps_token token = {{1, 2, 3}};
    struct ps_r2_id a = ps_r2_id_of_token(&token, 0);
    struct ps_r2_id b = ps_r2_id_of_token(&token, 1);
    struct ps_r2_id c = ps_r2_id_of_token(&token, 0);
    assert_true(ps_r2_id_eq(&a, &c));
    assert_false(ps_r2_id_eq(&a, &b));
    char text[PS_R2_HEX_SIZE];
    ps_r2_id_hex(&a, text);
    assert_true(ps_r2_id_parse(ps_slice_of(text), &b));
    assert_true(ps_r2_id_eq(&a, &b));
    assert_false(ps_r2_id_parse(PS_LIT("00"), &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),   cmocka_unit_test(test_uploads_and_parts),
        cmocka_unit_test(test_mutations), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_bodies),    cmocka_unit_test(test_largest),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
