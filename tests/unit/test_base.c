/* Time, slices, buffers, JSON texts, statuses, growing arrays, assertions. */
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/base/slice.h"
#include "replication/base/status.h"
#include "replication/base/time.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- time ---- */

static void test_instants_saturate(void **state)
{
    (void)state;
    assert_true(ps_time_add(5, 7) == 12);
    assert_true(ps_time_add(PS_NEVER, 0) == PS_NEVER);
    assert_true(ps_time_add(0, PS_NEVER) == PS_NEVER);
    assert_true(ps_time_add(PS_NEVER - 5, 5) == PS_NEVER);
    assert_true(ps_time_add(PS_NEVER - 5, 4) == PS_NEVER - 1);
    assert_true(ps_time_add(PS_NEVER - 5, 6) == PS_NEVER);
    assert_true(ps_time_sub(7, 5) == 2);
    assert_true(ps_time_sub(5, 7) == 0);
    assert_true(ps_time_sub(PS_NEVER, 7) == PS_NEVER);
    assert_true(ps_time_max(3, 4) == 4 && ps_time_max(4, 3) == 4);
    assert_true(ps_time_min(3, 4) == 3 && ps_time_min(4, 3) == 3);
}

static void test_timeline(void **state)
{
    (void)state;
    struct ps_timeline line = {.origin_ns = 1000, .base_ns = 50, .speed_milli = 60000};
    assert_true(ps_timeline_at(&line, 0) == 50);
    assert_true(ps_timeline_at(&line, 1000) == 50);
    assert_true(ps_timeline_at(&line, 1001) == 110);
    assert_true(ps_timeline_when(&line, 50) == 1000);
    assert_true(ps_timeline_when(&line, 51) == 1001);
    assert_true(ps_timeline_when(&line, 110) == 1001);
    assert_true(ps_timeline_when(&line, 111) == 1002);
    assert_true(ps_timeline_when(&line, PS_NEVER) == PS_NEVER);
    /* Cluster time ends before the clock does. */
    assert_true(ps_timeline_at(&line, UINT64_MAX) == PS_NEVER);
    line.speed_milli = 1;
    assert_true(ps_timeline_at(&line, 1000 + 999) == 50);
    assert_true(ps_timeline_at(&line, 1000 + 1000) == 51);
    assert_true(ps_timeline_when(&line, PS_NEVER - 1) == PS_NEVER);
}

/* ps_timeline_when gives the first reading of the clock at which an instant has come, at any speed.
 */
static void test_when_is_the_first_reading(void **state)
{
    (void)state;
    static const uint64_t speeds[] = {1, 7, 333, 999, 1000, 1001, 1500, 60000, 3600000, 1000000007};
    for (uint64_t round = 0; round < 20000; round++) {
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "timeline", NULL)};
        struct ps_timeline line = {
            .origin_ns = ps_rng_u64(&rng) >> (8 + ps_rng_below(&rng, 50)),
            .base_ns = ps_rng_u64(&rng) >> (8 + ps_rng_below(&rng, 50)),
            .speed_milli = speeds[ps_rng_below(&rng, COUNT(speeds))],
        };
        ps_time_ns t = ps_time_add(line.base_ns, ps_rng_u64(&rng) >> (12 + ps_rng_below(&rng, 50)));
        uint64_t first_ns = ps_timeline_when(&line, t);
        if (t == line.base_ns) {
            assert_true(first_ns == line.origin_ns);
            continue;
        }
        assert_true(first_ns > line.origin_ns && first_ns < PS_NEVER);
        assert_true(ps_timeline_at(&line, first_ns) >= t);
        assert_true(ps_timeline_at(&line, first_ns - 1) < t);
    }
}

/* ---- durations ---- */

static void test_durations_are_read(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        ps_dur_ns ns;
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"1ns", 1},
        {"250us", 250 * PS_US},
        {"1.5ms", 1500 * PS_US},
        {"60s", PS_MINUTE},
        {"1m", PS_MINUTE},
        {"1m30s", 90 * PS_SECOND},
        {"1h1m1s1ms1us1ns", PS_HOUR + PS_MINUTE + PS_SECOND + PS_MS + PS_US + 1},
        {"1d", PS_DAY},
        {"0.25d", 6 * PS_HOUR},
        {"1.123456789s", 1123456789},
        {"0.5ns", 0},
        {"1.9ns", 1},
        {"007s", 7 * PS_SECOND},
        {"36600d", 36600 * PS_DAY},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ps_dur_ns got = 42;
        assert_int_equal(ps_dur_parse(ps_slice_of(cases[i].text), &got), PS_OK);
        assert_true(got == cases[i].ns);
    }
}

static void test_durations_are_refused(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        enum ps_status status;
    } cases[] = {
        {"", PS_INVALID},         {"s", PS_INVALID},         {"5", PS_INVALID},
        {"00", PS_INVALID},       {"1.5", PS_INVALID},       {".5s", PS_INVALID},
        {"1.s", PS_INVALID},      {"-1s", PS_INVALID},       {"+1s", PS_INVALID},
        {"1 s", PS_INVALID},      {" 1s", PS_INVALID},       {"1s ", PS_INVALID},
        {"1S", PS_INVALID},       {"1sec", PS_INVALID},      {"1s5", PS_INVALID},
        {"1e3s", PS_INVALID},     {"1.2.3s", PS_INVALID},    {"1,5s", PS_INVALID},
        {"inf", PS_INVALID},      {"0x1s", PS_INVALID},      {"1.1234567891s", PS_INVALID},
        {"36601d", PS_LIMIT},     {"36600d1ns", PS_LIMIT},   {"99999999999999999999ns", PS_LIMIT},
        {"36500d101d", PS_LIMIT}, {"9999999999d", PS_LIMIT},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ps_dur_ns got = 42;
        assert_int_equal(ps_dur_parse(ps_slice_of(cases[i].text), &got), cases[i].status);
        assert_true(got == 42);
    }
    ps_dur_ns got = 42;
    assert_int_equal(ps_dur_parse((struct ps_slice){0}, &got), PS_INVALID);
    assert_int_equal(ps_dur_parse((struct ps_slice){"1s\0s", 4}, &got), PS_INVALID);
    assert_true(got == 42);
}

static void test_durations_are_written(void **state)
{
    (void)state;

    static const struct {
        ps_dur_ns ns;
        const char *text;
    } cases[] = {
        {0, "0ns"},
        {1, "1ns"},
        {999, "999ns"},
        {1000, "1us"},
        {1050, "1.05us"},
        {1500, "1.5us"},
        {1999, "1.99us"},
        {12345, "12.3us"},
        {12045, "12us"},
        {123456, "123us"},
        {250 * PS_US, "250us"},
        {1250 * PS_MS, "1.25s"},
        {107 * PS_MS, "107ms"},
        {59990 * PS_MS, "59.9s"},
        {60 * PS_SECOND, "1m"},
        {90 * PS_SECOND, "90s"},
        {PS_HOUR, "1h"},
        {90 * PS_MINUTE, "90m"},
        {PS_DAY, "1d"},
        {25 * PS_HOUR, "25h"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_buf buf = {0};
        ps_dur_format(&buf, cases[i].ns);
        assert_string_equal(ps_buf_text(&buf), cases[i].text);
        ps_buf_fini(&buf);
    }
}

/* What is written can be read, and is at most one part in a hundred below. */
static void test_durations_round_trip(void **state)
{
    (void)state;
    struct ps_rng rng = {.seed = 1, .stream = ps_stream_of("test", "durations", NULL)};
    for (int i = 0; i < 20000; i++) {
        ps_dur_ns wanted = ps_rng_below(&rng, 36600 * PS_DAY) >> ps_rng_below(&rng, 62);
        ps_dur_ns got = PS_NEVER;
        struct ps_buf buf = {0};
        ps_dur_format(&buf, wanted);
        assert_int_equal(ps_dur_parse(ps_buf_slice(&buf), &got), PS_OK);
        assert_true(got <= wanted && wanted - got <= wanted / 100);
        ps_buf_fini(&buf);
    }
}

/* ---- slices and buffers ---- */

static void test_slices(void **state)
{
    (void)state;
    struct ps_slice none = ps_slice_of(NULL);
    struct ps_slice empty = PS_LIT("");
    assert_true(none.size == 0 && ps_slice_eq(none, empty) && ps_slice_cmp(none, empty) == 0);
    assert_true(ps_slice_hash(none) == ps_slice_hash(empty));
    assert_true(ps_slice_starts(none, empty) && ps_slice_starts(empty, none));
    assert_true(ps_slice_starts(PS_LIT("user:1"), PS_LIT("user:")));
    assert_true(ps_slice_starts(PS_LIT("user:1"), none));
    assert_false(ps_slice_starts(PS_LIT("user"), PS_LIT("user:")));
    assert_false(ps_slice_eq(PS_LIT("a"), PS_LIT("b")));
    assert_false(ps_slice_eq(PS_LIT("a"), PS_LIT("a\0")));
    assert_false(ps_slice_eq(PS_LIT("a\0b"), PS_LIT("a\0c")));
    /* Byte order, as unsigned bytes, a shorter prefix first. */
    static const struct ps_slice ascending[] = {{"", 0},  {"\0", 1},   {"\0\0", 2},
                                                {"a", 1}, {"a\0", 2},  {"ab", 2},
                                                {"b", 1}, {"\x80", 1}, {"\xFF", 1}};
    for (size_t i = 0; i < COUNT(ascending); i++) {
        for (size_t k = 0; k < COUNT(ascending); k++) {
            int order = ps_slice_cmp(ascending[i], ascending[k]);
            assert_true((order < 0) == (i < k) && (order > 0) == (i > k));
        }
    }
}

/* The hash names streams and orders nothing, but its values are part of every history. */
static void test_hash_is_xxh3(void **state)
{
    (void)state;
    /* XXH3_64bits of no bytes with seed 0, as xxHash publishes it. */
    assert_true(ps_slice_hash(PS_LIT("")) == UINT64_C(0x2d06800538d394c2));
}

static void test_buffers_grow(void **state)
{
    (void)state;
    struct ps_buf buf = {0};
    struct ps_buf expected = {0};
    ps_buf_append(&buf, NULL, 0);
    assert_null(buf.data);
    for (unsigned i = 0; i < 1000; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "%u,%u;", i, i * i);
        ps_buf_append(&expected, text, (size_t)size);
        switch (i % 3) {
        case 0:
            ps_buf_printf(&buf, "%u,%u;", i, i * i);
            break;
        case 1:
            ps_buf_append_u64(&buf, i);
            ps_buf_append_char(&buf, ',');
            ps_buf_append_u64(&buf, (uint64_t)i * i);
            ps_buf_append_text(&buf, ";");
            break;
        default:
            ps_buf_append_slice(&buf, (struct ps_slice){text, (size_t)size});
        }
    }
    assert_true(ps_slice_eq(ps_buf_slice(&buf), ps_buf_slice(&expected)));
    assert_true(strlen(ps_buf_text(&buf)) == buf.size);
    ps_buf_fini(&buf);
    ps_buf_fini(&expected);
    assert_true(buf.data == NULL && buf.size == 0 && buf.capacity == 0);
    ps_buf_fini(&buf);
}

/* A text of every length from nothing on: vsnprintf's NUL needs room too, and is not counted. */
static void test_printf_at_each_size(void **state)
{
    (void)state;
    for (int size = 0; size < 300; size++) {
        struct ps_buf buf = {0};
        ps_buf_printf(&buf, "%*s", size, "");
        assert_true(buf.size == (size_t)size);
        ps_buf_printf(&buf, "%s", "end");
        assert_true(buf.size == (size_t)size + 3);
        assert_string_equal(ps_buf_text(&buf) + size, "end");
        ps_buf_fini(&buf);
    }
    struct ps_buf buf = {0};
    ps_buf_append_u64(&buf, 0);
    ps_buf_append_u64(&buf, UINT64_MAX);
    assert_string_equal(ps_buf_text(&buf), "018446744073709551615");
    ps_buf_fini(&buf);
}

/* ---- JSON ---- */

static void check_json(struct ps_slice text, const char *expected)
{
    struct ps_buf buf = {0};
    ps_buf_append_json(&buf, text);
    assert_string_equal(ps_buf_text(&buf), expected);
    ps_buf_fini(&buf);
}

#define BAD "\xEF\xBF\xBD"

static void test_json_escapes(void **state)
{
    (void)state;
    check_json((struct ps_slice){0}, "\"\"");
    check_json(PS_LIT("plain"), "\"plain\"");
    check_json(PS_LIT("\"\\/\n\r\t"), "\"\\\"\\\\/\\n\\r\\t\"");
    check_json(PS_LIT("a\0b\x1F\x7F"), "\"a\\u0000b\\u001f\\u007f\"");
    check_json(PS_LIT("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80"),
               "\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\"");
}

/* What is no UTF-8: each byte that begins nothing becomes one U+FFFD. */
static void test_json_replaces(void **state)
{
    (void)state;
    check_json(PS_LIT("\x80"), "\"" BAD "\"");
    check_json(PS_LIT("a\xFFz"), "\"a" BAD "z\"");
    check_json(PS_LIT("\xC0\x80"), "\"" BAD BAD "\"");                 /* overlong NUL */
    check_json(PS_LIT("\xC1\xBF"), "\"" BAD BAD "\"");                 /* overlong */
    check_json(PS_LIT("\xE0\x9F\xBF"), "\"" BAD BAD BAD "\"");         /* overlong */
    check_json(PS_LIT("\xED\xA0\x80"), "\"" BAD BAD BAD "\"");         /* a surrogate */
    check_json(PS_LIT("\xF0\x8F\xBF\xBF"), "\"" BAD BAD BAD BAD "\""); /* overlong */
    check_json(PS_LIT("\xF4\x90\x80\x80"), "\"" BAD BAD BAD BAD "\""); /* over U+10FFFF */
    check_json(PS_LIT("\xC3"), "\"" BAD "\"");                         /* cut off */
    check_json(PS_LIT("\xE2\x82"), "\"" BAD BAD "\"");
    check_json(PS_LIT("\xE2\x82z"), "\"" BAD BAD "z\"");
    check_json(PS_LIT("\xC3\xC3\xBC"), "\"" BAD "\xC3\xBC\"");
}

static size_t encode(unsigned code, char ret[4])
{
    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        ret[0] = (char)(0xC0 | code >> 6);
        ret[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        ret[0] = (char)(0xE0 | code >> 12);
        ret[1] = (char)(0x80 | (code >> 6 & 0x3F));
        ret[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    ret[0] = (char)(0xF0 | code >> 18);
    ret[1] = (char)(0x80 | (code >> 12 & 0x3F));
    ret[2] = (char)(0x80 | (code >> 6 & 0x3F));
    ret[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* Every character of Unicode comes back from a JSON parser that somebody else wrote. */
static void test_json_carries_unicode(void **state)
{
    (void)state;

    enum { PIECE = 4096 };

    for (unsigned piece = 0; piece < 0x110000; piece += PIECE) {
        struct ps_buf text = {0};
        for (unsigned code = piece; code < piece + PIECE; code++) {
            char bytes[4];
            if (code < 0xD800 || code > 0xDFFF) {
                ps_buf_append(&text, bytes, encode(code, bytes));
            }
        }
        struct ps_buf json = {0};
        ps_buf_append_json(&json, ps_buf_slice(&text));
        json_t *back = json_loadb(json.data, json.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(back);
        struct ps_slice got = {json_string_value(back), json_string_length(back)};
        assert_true(ps_slice_eq(got, ps_buf_slice(&text)));
        json_decref(back);
        ps_buf_fini(&json);
        ps_buf_fini(&text);
    }
}

/* Any bytes give JSON that parses. */
static void test_json_of_any_bytes(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 2000; round++) {
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "json", NULL)};
        char bytes[64];
        size_t size = ps_rng_below(&rng, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (char)(ps_rng_u64(&rng) >> 32 | (ps_rng_below(&rng, 2) == 0 ? 0x80 : 0));
        }
        struct ps_buf json = {0};
        ps_buf_append_json(&json, (struct ps_slice){bytes, size});
        json_t *back = json_loadb(json.data, json.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(back);
        json_decref(back);
        ps_buf_fini(&json);
    }
}

/* ---- statuses ---- */

static void test_statuses(void **state)
{
    (void)state;
    assert_string_equal(ps_status_text(PS_RATE_LIMITED), "too many requests");
    assert_string_equal(ps_status_name(PS_RATE_LIMITED), "rate_limited");
    assert_string_equal(ps_status_text((enum ps_status)1000), "unknown status");
    assert_string_equal(ps_status_name((enum ps_status)1000), "unknown");
    /* The numbers go over the wire (docs/PROTOCOL.md). */
    assert_int_equal(PS_OK, 0);
    assert_int_equal(PS_TOO_OLD, 8);
    assert_int_equal(PS_UNSUPPORTED, 15);
    assert_int_equal(PS_CANCELLED, 16);
    for (int a = PS_OK; a <= (int)PS_STATUS_LAST; a++) {
        assert_string_not_equal(ps_status_name((enum ps_status)a), "unknown");
        for (int b = PS_OK; b < a; b++) {
            assert_string_not_equal(ps_status_name((enum ps_status)a),
                                    ps_status_name((enum ps_status)b));
            assert_string_not_equal(ps_status_text((enum ps_status)a),
                                    ps_status_text((enum ps_status)b));
        }
    }
}

static void test_errors(void **state)
{
    (void)state;
    struct ps_error err = {0};
    assert_int_equal(ps_fail(&err, PS_IO, "no space left on %s", "/x"), PS_IO);
    assert_int_equal(err.status, PS_IO);
    assert_int_equal(ps_error_wrap(&err, "open store %d", 7), PS_IO);
    assert_string_equal(err.text, "open store 7: no space left on /x");
    assert_int_equal(ps_fail(NULL, PS_FULL, "nobody asks"), PS_FULL);
    assert_int_equal(ps_error_wrap(NULL, "nobody asks"), PS_OK);

    /* What does not fit is cut, whichever part of it is long. */
    char rest[2 * PS_ERROR_TEXT_SIZE];
    memset(rest, 'r', sizeof rest);
    rest[sizeof rest - 1] = '\0';
    assert_int_equal(ps_fail(&err, PS_LIMIT, "%s", rest), PS_LIMIT);
    assert_int_equal(strlen(err.text), PS_ERROR_TEXT_SIZE - 1);
    assert_int_equal(ps_error_wrap(&err, "long"), PS_LIMIT);
    assert_int_equal(strlen(err.text), PS_ERROR_TEXT_SIZE - 1);
    assert_true(strncmp(err.text, "long: rrrr", 10) == 0);
    assert_int_equal(ps_error_wrap(&err, "%s", rest), PS_LIMIT);
    assert_int_equal(strlen(err.text), PS_ERROR_TEXT_SIZE - 1);
}

/* ---- memory, hash tables, assertions ---- */

static void test_arrays_grow(void **state)
{
    (void)state;
    uint64_t *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        numbers = ps_grow(numbers, i, &capacity, sizeof *numbers);
        assert_true(capacity > i && capacity >= 16 && (capacity & (capacity - 1)) == 0);
        numbers[i] = i * i;
    }
    for (size_t i = 0; i < 1000; i++) {
        assert_true(numbers[i] == i * i);
    }
    numbers = ps_realloc(numbers, 0, sizeof *numbers); /* still an object to free */
    assert_non_null(numbers);
    free(numbers);
    char *copy = ps_strndup("a\0bc", 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = ps_strndup(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    void *nothing = ps_calloc(0, 8);
    assert_non_null(nothing);
    free(nothing);
}

struct named {
    UT_hash_handle hh;
    char name[8];
    int number;
};

/* Tables iterate in the order of insertion, whatever the names hash to. */
static void test_tables_keep_their_order(void **state)
{
    (void)state;
    struct named *table = NULL;
    for (int i = 0; i < 500; i++) {
        struct named *one = PS_NEW(struct named);
        (void)snprintf(one->name, sizeof one->name, "%d", i * 7919 % 1000);
        one->number = i;
        HASH_ADD_STR(table, name, one);
    }
    int expected = 0;
    struct named *one;
    struct named *next;
    HASH_ITER(hh, table, one, next)
    {
        assert_int_equal(one->number, expected);
        expected++;
        struct named *found;
        HASH_FIND_STR(table, one->name, found);
        assert_ptr_equal(found, one);
        HASH_DEL(table, one);
        free(one);
    }
    assert_int_equal(expected, 500);
    assert_null(table);
}

static jmp_buf after_failure;
static char failed_expression[64];

static void note_failure(const char *expression, const char *file, int line)
{
    (void)file;
    (void)line;
    (void)snprintf(failed_expression, sizeof failed_expression, "%s", expression);
    longjmp(after_failure, 1);
}

static void test_assertions_stay(void **state)
{
    (void)state;
    ps_assert_hook_fn former = ps_assert_set_hook(note_failure);
    volatile int two = 2;
    if (setjmp(after_failure) == 0) {
        PS_ASSERT(two == 2);
        PS_ASSERT(two == 3);
        fail_msg("an assertion that does not hold was passed");
    }
    assert_string_equal(failed_expression, "two == 3");
    assert_ptr_equal(ps_assert_set_hook(former), note_failure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instants_saturate),
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_when_is_the_first_reading),
        cmocka_unit_test(test_durations_are_read),
        cmocka_unit_test(test_durations_are_refused),
        cmocka_unit_test(test_durations_are_written),
        cmocka_unit_test(test_durations_round_trip),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_hash_is_xxh3),
        cmocka_unit_test(test_buffers_grow),
        cmocka_unit_test(test_printf_at_each_size),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_json_replaces),
        cmocka_unit_test(test_json_carries_unicode),
        cmocka_unit_test(test_json_of_any_bytes),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_arrays_grow),
        cmocka_unit_test(test_tables_keep_their_order),
        cmocka_unit_test(test_assertions_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
