/* Conditions by R2's rules, If-* headers, dates and ranges. */
#include "node/r2/conditional.h"
#include "node/r2/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int64_t uploaded_ms = 1700000000123;

static struct ps_r2_object object_of(const char *etag)
{
    struct ps_r2_object object = {.uploaded_ms = uploaded_ms};
    memcpy(object.etag, etag, strlen(etag) + 1);
    return object;
}

static enum ps_r2_verdict by_headers(struct ps_r2_if_headers headers,
                                     const struct ps_r2_object *object)
{
    struct ps_r2_condition condition;
    assert_int_equal(ps_r2_condition_parse(&headers, &condition), PS_OK);
    enum ps_r2_verdict verdict = ps_r2_condition_test(&condition, object);
    ps_r2_condition_fini(&condition);
    return verdict;
}

static void test_etags(void **state)
{
    (void)state;

    static const struct {
        const char *match;
        const char *none_match;
        enum ps_r2_verdict verdict;
    } cases[] = {
        {"\"abc\"", "", PS_R2_HOLDS},
        {"abc", "", PS_R2_HOLDS},
        {"\"x\", \"abc\"", "", PS_R2_HOLDS},
        {"W/\"abc\"", "", PS_R2_FAILS}, /* compared strongly */
        {"\"x\"", "", PS_R2_FAILS},
        {"*", "", PS_R2_HOLDS},
        {"", "\"abc\"", PS_R2_UNMODIFIED},
        {"", "W/\"abc\"", PS_R2_UNMODIFIED}, /* compared weakly */
        {"", "\"x\",\"y\"", PS_R2_HOLDS},
        {"", "*", PS_R2_UNMODIFIED},
        {"\"x\"", "\"abc\"", PS_R2_FAILS}, /* 412 wins */
        {"\"*\"", "", PS_R2_FAILS},        /* quoted: no wildcard */
    };

    struct ps_r2_object object = object_of("abc");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum ps_r2_verdict verdict =
            by_headers((struct ps_r2_if_headers){.if_match = ps_slice_of(cases[i].match),
                                                 .if_none_match = ps_slice_of(cases[i].none_match)},
                       &object);
        if (verdict != cases[i].verdict) {
            fail_msg("%s | %s: %d", cases[i].match, cases[i].none_match, (int)verdict);
        }
    }
}

static void test_no_object(void **state)
{
    (void)state;
    struct ps_r2_condition condition = {.has_matches = false};
    assert_false(ps_r2_condition_given(&condition));
    assert_int_equal(ps_r2_condition_test(&condition, NULL), PS_R2_HOLDS);
    struct ps_r2_etag any = {.kind = PS_R2_ETAG_ANY};
    condition = (struct ps_r2_condition){.has_matches = true, .matches = &any, .match_count = 1};
    assert_true(ps_r2_condition_given(&condition));
    assert_int_equal(ps_r2_condition_test(&condition, NULL), PS_R2_FAILS);
    condition = (struct ps_r2_condition){.has_differs = true, .differs = &any, .differ_count = 1};
    assert_int_equal(ps_r2_condition_test(&condition, NULL), PS_R2_HOLDS);
    condition = (struct ps_r2_condition){.has_before = true, .before_ms = 0};
    assert_int_equal(ps_r2_condition_test(&condition, NULL), PS_R2_HOLDS);
    condition = (struct ps_r2_condition){.has_after = true, .after_ms = 0};
    assert_int_equal(ps_r2_condition_test(&condition, NULL), PS_R2_FAILS);
}

static enum ps_r2_verdict after(int64_t ms, bool seconds)
{
    struct ps_r2_object object = object_of("abc");
    struct ps_r2_condition condition = {.has_after = true, .after_ms = ms, .seconds = seconds};
    return ps_r2_condition_test(&condition, &object);
}

static enum ps_r2_verdict before(int64_t ms, bool seconds)
{
    struct ps_r2_object object = object_of("abc");
    struct ps_r2_condition condition = {.has_before = true, .before_ms = ms, .seconds = seconds};
    return ps_r2_condition_test(&condition, &object);
}

static void test_dates_decide(void **state)
{
    (void)state;
    assert_int_equal(after(uploaded_ms - 1, false), PS_R2_HOLDS);
    assert_int_equal(after(uploaded_ms, false), PS_R2_UNMODIFIED);
    assert_int_equal(after(uploaded_ms - 1, true), PS_R2_UNMODIFIED);
    assert_int_equal(after(uploaded_ms - 1000, true), PS_R2_HOLDS);
    assert_int_equal(before(uploaded_ms + 1, false), PS_R2_HOLDS);
    assert_int_equal(before(uploaded_ms, false), PS_R2_FAILS);
    assert_int_equal(before(uploaded_ms + 1, true), PS_R2_FAILS);
    assert_int_equal(before(uploaded_ms + 1000, true), PS_R2_HOLDS);
}

/* An ETag that decides makes the date beside it not count. */
static void test_etag_before_date(void **state)
{
    (void)state;
    struct ps_r2_object object = object_of("abc");
    struct ps_slice past = PS_LIT("Mon, 01 Jan 2001 00:00:00 GMT");
    struct ps_slice future = PS_LIT("Fri, 01 Jan 2100 00:00:00 GMT");
    assert_int_equal(by_headers((struct ps_r2_if_headers){.if_match = PS_LIT("\"abc\""),
                                                          .if_unmodified_since = past},
                                &object),
                     PS_R2_HOLDS);
    assert_int_equal(by_headers((struct ps_r2_if_headers){.if_none_match = PS_LIT("\"x\""),
                                                          .if_modified_since = future},
                                &object),
                     PS_R2_HOLDS);
    assert_int_equal(by_headers((struct ps_r2_if_headers){.if_unmodified_since = past}, &object),
                     PS_R2_FAILS);
    assert_int_equal(by_headers((struct ps_r2_if_headers){.if_modified_since = future}, &object),
                     PS_R2_UNMODIFIED);
    /* What is no date does not count. */
    assert_int_equal(
        by_headers((struct ps_r2_if_headers){.if_modified_since = PS_LIT("yesterday")}, &object),
        PS_R2_HOLDS);
}

static void test_bad_lists(void **state)
{
    (void)state;
    static const char *const bad[] = {"\"abc", "\"a\" \"b\"", ",", "\"a\",", "a\"b"};
    struct ps_r2_condition condition;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ps_r2_if_headers headers = {.if_match = ps_slice_of(bad[i])};
        if (ps_r2_condition_parse(&headers, &condition) != PS_INVALID) {
            fail_msg("%s is taken", bad[i]);
        }
        assert_null(condition.matches);
    }
    struct ps_buf many = {0};
    for (int i = 0; i <= PS_R2_ETAGS_MAX; i++) {
        ps_buf_printf(&many, "%s\"%d\"", i > 0 ? "," : "", i);
    }
    struct ps_r2_if_headers headers = {.if_none_match = ps_buf_slice(&many)};
    assert_int_equal(ps_r2_condition_parse(&headers, &condition), PS_LIMIT);
    ps_buf_fini(&many);
}

static void check_date(const char *text, int64_t unix_s)
{
    int64_t parsed;
    if (!ps_r2_date_parse(ps_slice_of(text), &parsed) || parsed != unix_s) {
        fail_msg("%s", text);
    }
}

static void test_dates(void **state)
{
    (void)state;
    check_date("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    check_date("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    check_date("Sun Nov  6 08:49:37 1994", 784111777);
    check_date("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    static const char *const bad[] = {"",
                                      "now",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Foo 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 25:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37 GMT "};
    int64_t unix_s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ps_r2_date_parse(ps_slice_of(bad[i]), &unix_s));
    }
    struct ps_buf buf = {0};
    ps_r2_date_format(&buf, 784111777);
    assert_string_equal(ps_buf_text(&buf), "Sun, 06 Nov 1994 08:49:37 GMT");
    buf.size = 0;
    ps_r2_date_iso(&buf, 784111777007);
    assert_string_equal(ps_buf_text(&buf), "1994-11-06T08:49:37.007Z");
    /* Every day of 500 years, there and back. */
    for (int64_t day = -30000; day < 150000; day++) {
        buf.size = 0;
        ps_r2_date_format(&buf, day * 86400 + 12345);
        assert_true(ps_r2_date_parse(ps_buf_slice(&buf), &unix_s));
        assert_int_equal(unix_s, day * 86400 + 12345);
    }
    ps_buf_fini(&buf);
}

/* ---- ranges ---- */

static void check_range(struct ps_r2_range range, uint64_t size, const char *expected)
{
    struct ps_r2_span span;
    struct ps_r2_error err = {0};
    struct ps_buf buf = {0};
    if (!ps_r2_range_resolve(&range, size, &span, &err)) {
        ps_buf_printf(&buf, "%s", ps_r2_code_info(err.code)->s3_code);
    } else if (!span.partial) {
        ps_buf_append_text(&buf, "all");
        assert_int_equal(span.length, size);
    } else {
        ps_buf_printf(&buf, "%d+%d", (int)span.offset, (int)span.length);
    }
    if (strcmp(ps_buf_text(&buf), expected) != 0) {
        fail_msg("%.*s: %s, not %s", (int)range.header.size,
                 range.header.size > 0 ? range.header.data : "", ps_buf_text(&buf), expected);
    }
    ps_buf_fini(&buf);
}

static void test_range_objects(void **state)
{
    (void)state;
    struct ps_r2_range all = {.kind = PS_R2_RANGE_NONE};
    check_range(all, 10, "all");
    struct ps_r2_range from = {.kind = PS_R2_RANGE_SPAN, .has_offset = true, .offset = 4};
    check_range(from, 10, "4+6");
    check_range(from, 4, "InvalidRange");
    check_range(from, 3, "InvalidRange");
    from.has_length = true;
    from.length = 3;
    check_range(from, 10, "4+3");
    check_range(from, 6, "4+2");
    check_range(from, 4, "4+0");
    from.length = 0;
    check_range(from, 10, "InvalidRange");
    struct ps_r2_range suffix = {.kind = PS_R2_RANGE_SUFFIX, .length = 4};
    check_range(suffix, 10, "6+4");
    check_range(suffix, 3, "0+3");
    check_range(suffix, 0, "InvalidRange");
}

static void test_range_headers(void **state)
{
    (void)state;

    static const struct {
        const char *header;
        uint64_t size;
        const char *binding;
        const char *s3;
    } cases[] = {
        {"bytes=0-4", 10, "0+5", "0+5"},
        {"Bytes = 2 - 3 ", 10, "2+2", "2+2"},
        {"bytes=8-99", 10, "8+2", "8+2"},
        {"bytes=3-", 10, "3+7", "3+7"},
        {"bytes=-4", 10, "6+4", "6+4"},
        {"bytes=-40", 10, "all", "0+10"},
        {"bytes=-0", 10, "all", "InvalidRange"},
        {"bytes=10-", 10, "all", "InvalidRange"},
        {"bytes=0-", 0, "all", "InvalidRange"},
        {"bytes=-1", 0, "all", "InvalidRange"},
        {"bytes=5-4", 10, "all", "InvalidArgument"},
        {"bytes=0-1,3-4", 10, "all", "InvalidArgument"},
        {"bytes=", 10, "all", "InvalidArgument"},
        {"bytes=-", 10, "all", "InvalidArgument"},
        {"lines=0-1", 10, "all", "InvalidArgument"},
        {"", 10, "all", "InvalidArgument"},
        {"bytes=1-99999999999999999999999999", 10, "1+9", "1+9"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_slice header = ps_slice_of(cases[i].header);
        check_range((struct ps_r2_range){.kind = PS_R2_RANGE_HEADER, .header = header},
                    cases[i].size, cases[i].binding);
        check_range((struct ps_r2_range){.kind = PS_R2_RANGE_S3, .header = header}, cases[i].size,
                    cases[i].s3);
    }
    struct ps_buf buf = {0};
    ps_r2_content_range(&buf, &(struct ps_r2_span){2, 3, true}, 10);
    assert_string_equal(ps_buf_text(&buf), "bytes 2-4/10");
    ps_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etags),         cmocka_unit_test(test_no_object),
        cmocka_unit_test(test_dates_decide),  cmocka_unit_test(test_etag_before_date),
        cmocka_unit_test(test_bad_lists),     cmocka_unit_test(test_dates),
        cmocka_unit_test(test_range_objects), cmocka_unit_test(test_range_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
