/* The JSON of a request, and bookmarks. */
#include "node/d1/bookmark.h"
#include "node/d1/request.h"
#include "node/d1/statement.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum ps_status read_text(const char *body, struct ps_d1_request *ret, struct ps_error *err)
{
    *err = (struct ps_error){0};
    return ps_d1_request_read(ps_slice_of(body), ret, err);
}

static void test_forms(void **state)
{
    (void)state;
    struct ps_d1_request request;
    struct ps_error err;
    assert_int_equal(
        read_text("{\"sql\":\"SELECT ?\",\"params\":[1.5,\"x\",null,false,[0,255],[]]}", &request,
                  &err),
        PS_OK);
    assert_int_equal(request.count, 1);
    assert_false(request.array);
    const struct ps_d1_statement *statement = &request.statements[0];
    assert_true(ps_slice_eq(statement->sql, PS_LIT("SELECT ?")));
    assert_int_equal(statement->param_count, 6);

    static const enum ps_d1_kind kinds[] = {PS_D1_NUMBER, PS_D1_TEXT, PS_D1_NULL,
                                            PS_D1_NUMBER, PS_D1_BLOB, PS_D1_BLOB};

    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(statement->params[i].kind, kinds[i]);
    }
    assert_true(statement->params[0].number == 1.5);
    assert_true(statement->params[3].number == 0);
    assert_true(ps_slice_eq(statement->params[1].bytes, PS_LIT("x")));
    assert_int_equal(statement->params[4].bytes.size, 2);
    assert_memory_equal(statement->params[4].bytes.data, "\0\xff", 2);
    ps_d1_request_fini(&request);

    assert_int_equal(read_text("[{\"sql\":\"a\"},{\"sql\":\"b\",\"params\":null}]", &request, &err),
                     PS_OK);
    assert_int_equal(request.count, 2);
    assert_true(request.array);
    ps_d1_request_fini(&request);

    assert_int_equal(read_text("{\"batch\":[{\"sql\":\"a\",\"params\":[12345678901234567890]}]}",
                               &request, &err),
                     PS_OK);
    assert_int_equal(request.count, 1);
    assert_true(request.array);
    assert_true(request.statements[0].params[0].number == 12345678901234567890.0);
    ps_d1_request_fini(&request);
}

static void test_wrong_forms(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "x",
        "1",
        "\"SELECT 1\"",
        "{}",
        "{\"sql\":1}",
        "[{\"sql\":\"a\"},{}]",
        "[1]",
        "[[]]",
        "{\"sql\":\"a\",\"params\":{}}",
        "{\"sql\":\"a\",\"params\":[{}]}",
        "{\"sql\":\"a\",\"params\":[[256]]}",
        "{\"sql\":\"a\",\"params\":[[-1]]}",
        "{\"sql\":\"a\",\"params\":[[1.5]]}",
        "{\"sql\":\"a\",\"params\":[[\"1\"]]}",
        "{\"sql\":\"a\",\"params\":[[[1]]]}",
        "{\"sql\":\"a\"",
        "{\"sql\":\"\\ud800\"}",
        "{\"batch\":{}}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_d1_request request;
        struct ps_error err;
        if (read_text(cases[i], &request, &err) != PS_INVALID || err.text[0] == 0 ||
            request.statements != NULL) {
            fail_msg("%s: %s", cases[i], err.text);
        }
    }
}

static void test_too_many(void **state)
{
    (void)state;
    struct ps_buf body = {0};
    struct ps_d1_request request;
    ps_buf_append_text(&body, "{\"sql\":\"a\",\"params\":[1");
    for (int i = 0; i < PS_D1_PARAMS_MAX; i++) {
        ps_buf_append_text(&body, ",1");
    }
    ps_buf_append_text(&body, "]}");
    assert_int_equal(ps_d1_request_read(ps_buf_slice(&body), &request, NULL), PS_LIMIT);
    body.size = 0;
    ps_buf_append_text(&body, "[{\"sql\":\"\"}");
    for (int i = 0; i < PS_D1_STATEMENTS_MAX; i++) {
        ps_buf_append_text(&body, ",{\"sql\":\"\"}");
    }
    ps_buf_append_text(&body, "]");
    assert_int_equal(ps_d1_request_read(ps_buf_slice(&body), &request, NULL), PS_LIMIT);
    assert_int_equal(
        ps_d1_request_read((struct ps_slice){"{", PS_D1_BODY_SIZE_MAX + 1}, &request, NULL),
        PS_LIMIT);
    ps_buf_fini(&body);
}

/* --- bookmarks --- */

static void test_bookmark_text(void **state)
{
    (void)state;
    const char *text = "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683";
    struct ps_bookmark bookmark;
    assert_int_equal(ps_bookmark_read(ps_slice_of(text), &bookmark), PS_OK);
    assert_int_equal(bookmark.day, 0x4c6d);
    assert_int_equal(bookmark.hash[15], 0x83);
    char out[PS_BOOKMARK_SIZE];
    ps_bookmark_write(out, &bookmark);
    assert_memory_equal(out, text, PS_BOOKMARK_SIZE);

    bookmark = (struct ps_bookmark){.epoch = 1, .lsn = UINT64_C(0x312345678), .day = 19000};
    ps_bookmark_write(out, &bookmark);
    assert_memory_equal(out, "00001003-12345678-00004a38-00000000000000000000000000000000",
                        PS_BOOKMARK_SIZE);
    struct ps_bookmark again;
    assert_int_equal(ps_bookmark_read((struct ps_slice){out, sizeof out}, &again), PS_OK);
    assert_int_equal(again.epoch, 1);
    assert_true(again.lsn == bookmark.lsn);
}

static void test_wrong_bookmarks(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "first-primary",
        "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf89168",
        "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf8916833",
        "00000085-0000024C-00004c6d-8e61117bf38d7adb71b934ebbf891683",
        "00000085-0000024g-00004c6d-8e61117bf38d7adb71b934ebbf891683",
        "00000085_0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683",
        "0000008-50000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683",
        "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf89168-",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_bookmark bookmark;
        if (ps_bookmark_read(ps_slice_of(cases[i]), &bookmark) != PS_INVALID) {
            fail_msg("%s", cases[i]);
        }
    }
}

static int sign(int value)
{
    return value < 0 ? -1 : value > 0;
}

/* Their order is their texts' order. */
static void test_bookmark_order(void **state)
{
    (void)state;
    struct ps_rng rng = {.seed = 3, .stream = ps_stream_of("test-bookmark", NULL, NULL)};
    for (int i = 0; i < 20000; i++) {
        struct ps_bookmark pair[2];
        char text[2][PS_BOOKMARK_SIZE];
        for (size_t k = 0; k < 2; k++) {
            uint64_t wide = ps_rng_u64(&rng);
            unsigned shift = (unsigned)ps_rng_below(&rng, 64);
            pair[k] = (struct ps_bookmark){
                .epoch = (uint32_t)ps_rng_below(&rng, 2) * (uint32_t)ps_rng_below(&rng, 1 << 20),
                .lsn = (wide >> shift) & PS_BOOKMARK_LSN_MAX,
                .day = (uint32_t)ps_rng_below(&rng, 3),
            };
            pair[k].hash[ps_rng_below(&rng, 2)] = (uint8_t)ps_rng_below(&rng, 256);
            if (k == 1 && ps_rng_below(&rng, 2) == 0) {
                pair[1].epoch = pair[0].epoch;
                pair[1].lsn = ps_rng_below(&rng, 2) == 0 ? pair[0].lsn : pair[1].lsn;
            }
            ps_bookmark_write(text[k], &pair[k]);
        }
        assert_int_equal(sign(memcmp(text[0], text[1], PS_BOOKMARK_SIZE)),
                         sign(ps_bookmark_cmp(&pair[0], &pair[1])));
    }
    /* The end of an epoch is behind all that is in it and before the next. */
    const struct ps_bookmark end = {.epoch = 4, .lsn = PS_BOOKMARK_LSN_MAX};
    const struct ps_bookmark last = {.epoch = 4, .lsn = PS_BOOKMARK_LSN_MAX - 1, .day = 99};
    const struct ps_bookmark next = {.epoch = 5};
    assert_true(ps_bookmark_cmp(&last, &end) < 0 && ps_bookmark_cmp(&end, &next) < 0);
}

/* Which statements D1 would try again by itself. */
static void test_only_reads(void **state)
{
    (void)state;

    static const struct {
        const char *sql;
        bool reads;
    } cases[] = {
        {"SELECT 1", true},
        {" -- a comment: UPDATE\n select /* DELETE */ 'INSERT', \"drop\", [create], `alter` from t",
         true},
        {"WITH n AS (SELECT 1) SELECT CASE WHEN 1 THEN 2 END FROM n; EXPLAIN SELECT 2;", true},
        {"EXPLAIN QUERY PLAN SELECT updated FROM inserts", true},
        {"WITH n AS (SELECT 1) INSERT INTO t SELECT * FROM n", false},
        {"SELECT 1; UPDATE t SET a = 1", false},
        {"SELECT replace(a, 'b', 'c') FROM t", false}, /* its rule is that simple */
        {"PRAGMA table_info(t)", false},
        {"VALUES (1)", false},
        {"INSERT INTO t VALUES (1)", false},
        {"", false},
        {"-- SELECT", false},
        {"'SELECT'", false},
        {"/* SELECT", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (ps_d1_text_only_reads(ps_slice_of(cases[i].sql)) != cases[i].reads) {
            fail_msg("%s", cases[i].sql);
        }
    }
    assert_true(ps_d1_body_only_reads(PS_LIT("[{\"sql\":\"SELECT 1\"},{\"sql\":\"SELECT 2\"}]")));
    assert_false(
        ps_d1_body_only_reads(PS_LIT("[{\"sql\":\"SELECT 1\"},{\"sql\":\"DELETE FROM t\"}]")));
    assert_false(ps_d1_body_only_reads(PS_LIT("[]")));
    assert_false(ps_d1_body_only_reads(PS_LIT("no JSON")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),           cmocka_unit_test(test_wrong_forms),
        cmocka_unit_test(test_too_many),        cmocka_unit_test(test_bookmark_text),
        cmocka_unit_test(test_wrong_bookmarks), cmocka_unit_test(test_bookmark_order),
        cmocka_unit_test(test_only_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
