/* KV's limits with the service's exact words, expiry, the write limit and cursors. */
#include "node/kv/kv.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int64_t now_s = 1767225600;

/* Bytes for sizes only; never looked into. */
static struct ps_slice sized(size_t size)
{
    static char bytes[4096];
    if (bytes[0] == 0) {
        memset(bytes, 'k', sizeof bytes);
    }
    return (struct ps_slice){bytes, size};
}

static struct ps_kv_request put_of(struct ps_slice key)
{
    return (struct ps_kv_request){.op = PS_KV_PUT, .key = key, .value = PS_LIT("v")};
}

static void check_ok(const struct ps_kv_request *request, uint64_t expires_unix_s)
{
    struct ps_kv_error err = {0};
    uint64_t expires = 99;
    if (!ps_kv_check(request, now_s, &expires, &err)) {
        fail_msg("refused: %s", err.phrase);
    }
    assert_int_equal(expires, expires_unix_s);
}

static void check_refused(const struct ps_kv_request *request, int http_status, int api_code,
                          const char *phrase)
{
    struct ps_kv_error err = {0};
    uint64_t expires;
    if (ps_kv_check(request, now_s, &expires, &err)) {
        fail_msg("not refused: %s", phrase);
    }
    assert_string_equal(err.phrase, phrase);
    assert_int_equal(err.http_status, http_status);
    assert_int_equal(err.api_code, api_code);
}

static void test_keys(void **state)
{
    (void)state;

    static const enum ps_kv_op ops[] = {PS_KV_GET, PS_KV_PUT, PS_KV_DELETE, PS_KV_GET_BULK};

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct ps_slice keys[2] = {PS_LIT("fine")};
        struct ps_kv_request request = {.op = ops[i], .keys = keys, .key_count = 2};
        struct ps_slice *key = ops[i] == PS_KV_GET_BULK ? &keys[1] : &request.key;
        *key = PS_LIT("");
        check_refused(&request, 400, 10021, "Key names must not be empty");
        *key = PS_LIT(".");
        check_refused(&request, 400, 10021, "Illegal key name \".\". Please use a different name.");
        *key = PS_LIT("..");
        check_refused(&request, 400, 10021,
                      "Illegal key name \"..\". Please use a different name.");
        *key = sized(513);
        check_refused(&request, 414, 10021,
                      "UTF-8 encoded length of 513 exceeds key length limit of 512.");
        *key = sized(512);
        check_ok(&request, 0);
        *key = PS_LIT("...");
        check_ok(&request, 0);
        *key = PS_LIT("\0");
        check_ok(&request, 0);
    }
}

static void test_cache_ttl(void **state)
{
    (void)state;

    static const struct {
        int64_t ttl_s;
        const char *phrase; /* NULL: allowed */
    } cases[] = {
        {30, NULL},
        {INT64_MAX, NULL},
        {29, "Invalid cache_ttl of 29. Cache TTL must be at least 30."},
        {0, "Invalid cache_ttl of 0. Cache TTL must be at least 30."},
        {INT64_MIN, "Invalid cache_ttl of -9223372036854775808. Cache TTL must be at least 30."},
    };
    struct ps_slice key = PS_LIT("k");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_kv_request request = {.op = i % 2 == 0 ? PS_KV_GET : PS_KV_GET_BULK,
                                        .key = key,
                                        .keys = &key,
                                        .key_count = 1,
                                        .has_cache_ttl = true,
                                        .cache_ttl_s = cases[i].ttl_s};
        if (cases[i].phrase == NULL) {
            check_ok(&request, 0);
        } else {
            check_refused(&request, 400, 10021, cases[i].phrase);
        }
        request.has_cache_ttl = false;
        check_ok(&request, 0);
    }
}

static void test_expiration_ttl(void **state)
{
    (void)state;
    struct ps_kv_request request = put_of(PS_LIT("k"));
    request.has_expiration_ttl = true;
    static const int64_t wrong[] = {0, -1, INT64_MIN};
    static const char *const phrases[] = {
        "Invalid expiration_ttl of 0. Please specify integer greater than 0.",
        "Invalid expiration_ttl of -1. Please specify integer greater than 0.",
        "Invalid expiration_ttl of -9223372036854775808. Please specify integer greater than 0."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        request.expiration_ttl_s = wrong[i];
        check_refused(&request, 400, 10034, phrases[i]);
    }
    request.expiration_ttl_s = 59;
    check_refused(&request, 400, 10034,
                  "Invalid expiration_ttl of 59. Expiration TTL must be at least 60.");
    request.expiration_ttl_s = 60;
    check_ok(&request, (uint64_t)now_s + 60);
    request.expiration_ttl_s = INT64_MAX;
    check_ok(&request, (uint64_t)now_s + INT64_MAX);
    /* It wins over an expiration, right or wrong. */
    request.expiration_ttl_s = 61;
    request.has_expiration = true;
    request.expiration_s = now_s - 5;
    check_ok(&request, (uint64_t)now_s + 61);
}

static void test_expiration(void **state)
{
    (void)state;
    struct ps_kv_request request = put_of(PS_LIT("k"));
    request.has_expiration = true;
    request.expiration_s = 0;
    check_refused(&request, 400, 10033,
                  "Invalid expiration of 0. Please specify integer greater than the current number "
                  "of seconds since the UNIX epoch.");
    request.expiration_s = INT64_MIN;
    check_refused(&request, 400, 10033,
                  "Invalid expiration of -9223372036854775808. Please specify integer greater than "
                  "the current number of seconds since the UNIX epoch.");
    request.expiration_s = now_s;
    check_refused(&request, 400, 10033,
                  "Invalid expiration of 1767225600. Please specify integer greater than the "
                  "current number of seconds since the UNIX epoch.");
    request.expiration_s = now_s + 1;
    check_refused(&request, 400, 10033,
                  "Invalid expiration of 1767225601. Expiration times must be at least 60 seconds "
                  "in the future.");
    request.expiration_s = now_s + 59;
    check_refused(&request, 400, 10033,
                  "Invalid expiration of 1767225659. Expiration times must be at least 60 seconds "
                  "in the future.");
    request.expiration_s = now_s + 60;
    check_ok(&request, (uint64_t)now_s + 60);
    request.expiration_s = INT64_MAX;
    check_ok(&request, INT64_MAX);
    request.has_expiration = false;
    check_ok(&request, 0);
}

static void test_sizes_of_a_put(void **state)
{
    (void)state;
    struct ps_kv_request request = put_of(PS_LIT("k"));
    request.metadata = sized(1025);
    check_refused(&request, 413, 10021, "Metadata length of 1025 exceeds limit of 1024.");
    request.metadata = sized(1024);
    check_ok(&request, 0);
    request.value = sized(26214401);
    check_refused(&request, 413, 10021, "Value length of 26214401 exceeds limit of 26214400.");
    request.value = sized(26214400);
    check_ok(&request, 0);
    request.value = PS_LIT("");
    check_ok(&request, 0);
}

static void test_bulk_gets(void **state)
{
    (void)state;
    struct ps_slice keys[101];
    for (size_t i = 0; i < 101; i++) {
        keys[i] = PS_LIT("key");
    }
    struct ps_kv_request request = {.op = PS_KV_GET_BULK, .keys = keys, .key_count = 101};
    check_refused(&request, 400, 10021, "You can request a maximum of 100 keys");
    request.key_count = 100;
    check_ok(&request, 0);
    request.key_count = 0;
    check_refused(&request, 400, 10029, "You must request a minimum of 1 key");
}

static void test_lists(void **state)
{
    (void)state;
    struct ps_kv_request request = {.op = PS_KV_LIST};
    check_ok(&request, 0);
    request.has_limit = true;
    request.limit = 0;
    check_refused(&request, 400, 10021,
                  "Invalid key_count_limit of 0. Please specify an integer greater than 0.");
    request.limit = -7;
    check_refused(&request, 400, 10021,
                  "Invalid key_count_limit of -7. Please specify an integer greater than 0.");
    request.limit = 1001;
    check_refused(&request, 400, 10021,
                  "Invalid key_count_limit of 1001. Please specify an integer less than 1000.");
    request.limit = 1000;
    check_ok(&request, 0);
    request.limit = 1;
    check_ok(&request, 0);
    request.prefix = sized(513);
    check_refused(&request, 414, 10021,
                  "UTF-8 encoded length of 513 exceeds key length limit of 512.");
    request.prefix = sized(512);
    check_ok(&request, 0);
    request.prefix = PS_LIT(".");
    check_ok(&request, 0);
}

static void test_expiry_is_seen_at_read_time(void **state)
{
    (void)state;
    struct ps_version version = {.lsn = 1};
    assert_false(ps_kv_absent(&version, now_s));
    version.expires_unix_s = (uint64_t)now_s + 60;
    assert_false(ps_kv_absent(&version, now_s));
    assert_false(ps_kv_absent(&version, now_s + 59));
    assert_true(ps_kv_absent(&version, now_s + 60));
    assert_true(ps_kv_absent(&version, INT64_MAX));
    assert_false(ps_kv_absent(&version, -1));
    version.expires_unix_s = UINT64_MAX;
    assert_false(ps_kv_absent(&version, INT64_MAX));
    version = (struct ps_version){.lsn = 1, .deleted = true};
    assert_true(ps_kv_absent(&version, now_s));

    struct ps_cluster cluster;
    ps_cluster_init(&cluster);
    cluster.epoch_unix_s = now_s;
    assert_int_equal(ps_kv_unix_s(&cluster, 0), now_s);
    assert_int_equal(ps_kv_unix_s(&cluster, PS_SECOND - 1), now_s);
    assert_int_equal(ps_kv_unix_s(&cluster, 61 * PS_SECOND), now_s + 61);
    ps_cluster_fini(&cluster);
}

static void test_the_write_limit(void **state)
{
    (void)state;
    struct ps_kv_limits limits = {.write_interval_ns = PS_SECOND};
    assert_true(ps_kv_write_allowed(&limits, PS_NEVER, 0));
    assert_false(ps_kv_write_allowed(&limits, 5, 5));
    assert_false(ps_kv_write_allowed(&limits, 5, PS_SECOND + 4));
    assert_true(ps_kv_write_allowed(&limits, 5, PS_SECOND + 5));
    limits.write_interval_ns = PS_NEVER;
    assert_false(ps_kv_write_allowed(&limits, 5, PS_NEVER - 1));
    limits.write_interval_ns = 0;
    assert_true(ps_kv_write_allowed(&limits, 5, 5));
}

static void test_errors_of_statuses(void **state)
{
    (void)state;

    static const struct {
        enum ps_status status;
        int http_status;
        int api_code;
        const char *phrase;
    } cases[] = {
        {PS_OK, 0, 0, ""},
        {PS_RATE_LIMITED, 429, 971, "Too Many Requests"},
        {PS_NOT_FOUND, 404, 10009, "Not Found"},
        {PS_LIMIT, 413, 10021, "Total size of request exceeds the limit of 25MB"},
        {PS_INVALID, 400, 10021, "Bad Request"},
        {PS_UNREACHABLE, 503, 10000, "Service Unavailable"},
        {PS_TIMEOUT, 503, 10000, "Service Unavailable"},
        {PS_BEHIND, 503, 10000, "Service Unavailable"},
        {PS_BUSY, 503, 10000, "Service Unavailable"},
        {PS_FULL, 507, 10000,
         "Insufficient Storage: the disk of the namespace's home has no room left"},
        {PS_IO, 500, 10000, "Internal Server Error"},
        {PS_CORRUPT, 500, 10000, "Internal Server Error"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_kv_error err = {.http_status = 1, .api_code = 1, .phrase = "left over"};
        ps_kv_error_of(cases[i].status, &err);
        assert_int_equal(err.http_status, cases[i].http_status);
        assert_int_equal(err.api_code, cases[i].api_code);
        assert_string_equal(err.phrase, cases[i].phrase);
    }
}

/* --- cursors --- */

static void test_cursors_come_back(void **state)
{
    (void)state;
    struct ps_rng rng = {.seed = 1, .stream = ps_stream_of("cursor", NULL, NULL)};
    for (size_t size = 0; size <= PS_KV_KEY_SIZE_MAX; size++) {
        char name[PS_KV_KEY_SIZE_MAX];
        for (size_t i = 0; i < size; i++) {
            name[i] = (char)ps_rng_u64(&rng);
        }
        struct ps_buf cursor = {0};
        struct ps_buf back = {0};
        ps_kv_cursor_encode(&cursor, (struct ps_slice){name, size});
        for (size_t i = 0; i < cursor.size; i++) {
            assert_non_null(
                memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                       cursor.data[i], 64));
        }
        assert_int_equal(ps_kv_cursor_decode(ps_buf_slice(&cursor), &back), PS_OK);
        assert_true(ps_slice_eq(ps_buf_slice(&back), (struct ps_slice){name, size}));
        ps_buf_fini(&cursor);
        ps_buf_fini(&back);
    }
    struct ps_buf cursor = {0};
    ps_kv_cursor_encode(&cursor, PS_LIT("user:1"));
    assert_string_equal(ps_buf_text(&cursor), "dXNlcjox");
    ps_buf_fini(&cursor);
}

static void test_bad_cursors(void **state)
{
    (void)state;
    static const char *const bad[] = {"A",  "=",   "AA==", "AA=",     "a b",  "dXNl\n", "dXNlc",
                                      "AB", "AAB", "%41A", "\377AAA", "AA+A", "AA/A"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ps_buf name = {0};
        if (ps_kv_cursor_decode(ps_slice_of(bad[i]), &name) != PS_INVALID) {
            fail_msg("\"%s\" is taken for a cursor", bad[i]);
        }
        ps_buf_fini(&name);
    }
}

/* Whatever reads as a cursor is the one cursor of its name. */
static void test_a_name_has_one_cursor(void **state)
{
    (void)state;
    static const char digits[] = "ABab09-_zZ=";
    struct ps_rng rng = {.seed = 2, .stream = ps_stream_of("cursor", NULL, NULL)};
    size_t taken = 0;
    for (int round = 0; round < 20000; round++) {
        char text[8];
        size_t size = ps_rng_below(&rng, sizeof text + 1);
        for (size_t i = 0; i < size; i++) {
            text[i] = digits[ps_rng_below(&rng, sizeof digits - 1)];
        }
        struct ps_buf name = {0};
        struct ps_buf again = {0};
        struct ps_slice cursor = {text, size};
        if (ps_kv_cursor_decode(cursor, &name) == PS_OK) {
            ps_kv_cursor_encode(&again, ps_buf_slice(&name));
            assert_true(ps_slice_eq(ps_buf_slice(&again), cursor));
            taken++;
        }
        ps_buf_fini(&name);
        ps_buf_fini(&again);
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_cache_ttl),
        cmocka_unit_test(test_expiration_ttl),
        cmocka_unit_test(test_expiration),
        cmocka_unit_test(test_sizes_of_a_put),
        cmocka_unit_test(test_bulk_gets),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_expiry_is_seen_at_read_time),
        cmocka_unit_test(test_the_write_limit),
        cmocka_unit_test(test_errors_of_statuses),
        cmocka_unit_test(test_cursors_come_back),
        cmocka_unit_test(test_bad_cursors),
        cmocka_unit_test(test_a_name_has_one_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
