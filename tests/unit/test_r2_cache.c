/* The cache in front of public buckets: how long, from which header, until when, and what a
 * client's own conditions make of it. */
#include "node/r2/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int64_t now_ms = 1767225600000;

static struct ps_r2_cache_stay stay(const char *cache_control, bool has_expiry, int64_t expiry_ms)
{
    struct ps_r2_object object = {.meta = {.http = {.cache_control = ps_slice_of(cache_control),
                                                    .has_cache_expiry = has_expiry,
                                                    .cache_expiry_ms = expiry_ms}}};
    return ps_r2_cache_stay_of(PS_LIT("a.css"), &object, PS_R2_CACHE_DEFAULT_KINDS, now_ms);
}

static void test_lifetime(void **state)
{
    (void)state;

    static const struct {
        const char *cache_control;
        bool has_expiry;
        int64_t expiry_ms;
        int64_t fresh_s; /* -1: bypass */
    } cases[] = {
        {"", false, 0, 7200},
        {"max-age=60", false, 0, 60},
        {"Max-Age = 60", false, 0, 0 - 1}, /* a blank before "=" makes it no number */
        {"public, max-age=60, s-maxage=10", false, 0, 10},
        {"s-maxage=0, max-age=60", false, 0, -1},
        {"max-age=\"30\"", false, 0, 30},
        {"max-age=5, max-age=7", false, 0, 5},
        {"max-age=x", false, 0, -1},
        {"max-age=99999999999999999999999", false, 0, 2147483648},
        {"no-store", false, 0, -1},
        {"no-cache", false, 0, -1},
        {"no-cache=\"set-cookie, x\", max-age=9", false, 0, 9},
        {"private, max-age=60", false, 0, -1},
        {"max-age=0", false, 0, -1},
        {"", true, now_ms + 90500, 90},
        {"", true, now_ms - 1, -1},
        {"max-age=60", true, now_ms - 1, 60},
        {"ext=\"no-store, max-age=1\", max-age=8", false, 0, 8},
        {",, ,public", false, 0, 7200},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_r2_cache_stay got =
            stay(cases[i].cache_control, cases[i].has_expiry, cases[i].expiry_ms);
        int64_t fresh_s = got.stored ? (int64_t)(got.fresh_ns / PS_SECOND) : -1;
        if (fresh_s != cases[i].fresh_s) {
            fail_msg("%s: %d", cases[i].cache_control, (int)fresh_s);
        }
        assert_int_equal(got.state, got.stored ? PS_R2_CACHE_MISS : PS_R2_CACHE_BYPASS);
    }
    struct ps_r2_cache_stay missing =
        ps_r2_cache_stay_of(PS_LIT("a.css"), NULL, PS_R2_CACHE_DEFAULT_KINDS, now_ms);
    assert_int_equal(missing.fresh_ns, 180 * PS_SECOND);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_true(ps_r2_cache_kind(PS_LIT("x/y.JPG"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_false(ps_r2_cache_kind(PS_LIT("index.html"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_false(ps_r2_cache_kind(PS_LIT("a.json"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_false(ps_r2_cache_kind(PS_LIT("css"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_false(ps_r2_cache_kind(PS_LIT("a."), PS_R2_CACHE_DEFAULT_KINDS));
    assert_true(ps_r2_cache_kind(PS_LIT("robots.txt"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_false(ps_r2_cache_kind(PS_LIT("x/robots.txt"), PS_R2_CACHE_DEFAULT_KINDS));
    assert_true(ps_r2_cache_kind(PS_LIT("index.html"), PS_R2_CACHE_EVERYTHING));
    struct ps_r2_object object = {.size = 1};
    struct ps_r2_cache_stay got =
        ps_r2_cache_stay_of(PS_LIT("page"), &object, PS_R2_CACHE_DEFAULT_KINDS, now_ms);
    assert_false(got.stored);
    assert_int_equal(got.state, PS_R2_CACHE_DYNAMIC);
}

static void check_decision(const struct ps_r2_cache_entry *entry, ps_time_ns purged_ns,
                           ps_time_ns at_ns, bool away, enum ps_r2_cache_state state)
{
    struct ps_r2_cache_decision decision = ps_r2_cache_decide(entry, purged_ns, at_ns, away);
    assert_string_equal(ps_r2_cache_state_name(decision.state), ps_r2_cache_state_name(state));
    bool gives =
        state == PS_R2_CACHE_HIT || state == PS_R2_CACHE_UPDATING || state == PS_R2_CACHE_STALE;
    assert_int_equal(decision.step, gives ? PS_R2_CACHE_GIVE : PS_R2_CACHE_FETCH);
}

static void test_decisions(void **state)
{
    (void)state;
    struct ps_r2_cache_entry entry = {.lsn = 4, .stored_ns = 100 * PS_SECOND};
    entry.stay = stay("max-age=60, stale-if-error=30", false, 0);
    ps_time_ns until_ns = 160 * PS_SECOND;
    check_decision(NULL, PS_NEVER, until_ns, false, PS_R2_CACHE_MISS);
    check_decision(&entry, PS_NEVER, until_ns - 1, false, PS_R2_CACHE_HIT);
    check_decision(&entry, PS_NEVER, until_ns, false, PS_R2_CACHE_EXPIRED);
    check_decision(&entry, PS_NEVER, until_ns + 30 * PS_SECOND - 1, true, PS_R2_CACHE_STALE);
    check_decision(&entry, PS_NEVER, until_ns + 30 * PS_SECOND, true, PS_R2_CACHE_EXPIRED);
    check_decision(&entry, entry.stored_ns - 1, until_ns - 1, false, PS_R2_CACHE_HIT);
    check_decision(&entry, entry.stored_ns, until_ns - 1, false, PS_R2_CACHE_MISS);
    check_decision(&entry, until_ns, until_ns - 1, false, PS_R2_CACHE_HIT); /* not visible yet */
    struct ps_r2_cache_decision hit =
        ps_r2_cache_decide(&entry, PS_NEVER, until_ns - PS_SECOND / 2, false);
    assert_int_equal(hit.age_s, 59);
    entry.stay = stay("max-age=60, must-revalidate, stale-if-error=30", false, 0);
    check_decision(&entry, PS_NEVER, until_ns, true, PS_R2_CACHE_EXPIRED);
}

/* stale-while-revalidate (RFC 5861), unless what is out of date may not be given at all. */
static void test_updating(void **state)
{
    (void)state;

    static const struct {
        const char *cache_control;
        uint64_t fresh_s, updating_s, on_error_s;
    } cases[] = {
        {"max-age=60, stale-while-revalidate=30", 60, 30, 0},
        {"stale-while-revalidate=30", 7200, 30, 0},
        {"max-age=60, stale-while-revalidate=30, stale-if-error=10", 60, 30, 10},
        {"max-age=60, stale-while-revalidate=30, must-revalidate", 60, 0, 0},
        {"max-age=60, stale-while-revalidate=30, proxy-revalidate", 60, 0, 0},
        {"s-maxage=60, stale-while-revalidate=30", 60, 0, 0},
        {"max-age=60, stale-while-revalidate", 60, 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_r2_cache_stay got = stay(cases[i].cache_control, false, 0);
        assert_int_equal(got.fresh_ns, cases[i].fresh_s * PS_SECOND);
        assert_int_equal(got.updating_ns, cases[i].updating_s * PS_SECOND);
        assert_int_equal(got.on_error_ns, cases[i].on_error_s * PS_SECOND);
    }
    struct ps_r2_cache_entry entry = {.lsn = 4, .stored_ns = 100 * PS_SECOND};
    entry.stay = stay("max-age=60, stale-while-revalidate=30, stale-if-error=40", false, 0);
    ps_time_ns until_ns = 160 * PS_SECOND;
    assert_int_equal(ps_r2_cache_life(&entry.stay), 100 * PS_SECOND);
    check_decision(&entry, PS_NEVER, until_ns - 1, false, PS_R2_CACHE_HIT);
    check_decision(&entry, PS_NEVER, until_ns, false, PS_R2_CACHE_UPDATING);
    check_decision(&entry, PS_NEVER, until_ns, true, PS_R2_CACHE_UPDATING);
    check_decision(&entry, until_ns, until_ns, false, PS_R2_CACHE_MISS); /* purged */
    until_ns += 30 * PS_SECOND;
    check_decision(&entry, PS_NEVER, until_ns - 1, false, PS_R2_CACHE_UPDATING);
    check_decision(&entry, PS_NEVER, until_ns, false, PS_R2_CACHE_EXPIRED);
    check_decision(&entry, PS_NEVER, until_ns, true, PS_R2_CACHE_STALE);
}

static void test_fetched(void **state)
{
    (void)state;
    struct ps_r2_cache_stay kept = stay("max-age=60", false, 0);
    struct ps_r2_cache_stay not_kept = stay("no-store", false, 0);
    struct ps_r2_cache_entry entry = {.lsn = 4, .stay = kept};
    struct ps_r2_cache_decision expired =
        ps_r2_cache_decide(&entry, PS_NEVER, 100 * PS_SECOND, false);
    assert_int_equal(ps_r2_cache_fetched(&entry, &expired, 4, &kept), PS_R2_CACHE_REVALIDATED);
    assert_int_equal(ps_r2_cache_fetched(&entry, &expired, 5, &kept), PS_R2_CACHE_EXPIRED);
    assert_int_equal(ps_r2_cache_fetched(&entry, &expired, 5, &not_kept), PS_R2_CACHE_BYPASS);
    struct ps_r2_cache_decision miss = ps_r2_cache_decide(NULL, PS_NEVER, 0, false);
    assert_int_equal(ps_r2_cache_fetched(NULL, &miss, 4, &kept), PS_R2_CACHE_MISS);
    entry.lsn = 0;
    assert_int_equal(ps_r2_cache_fetched(&entry, &expired, 0, &kept), PS_R2_CACHE_EXPIRED);
}

static void test_public_answers(void **state)
{
    (void)state;
    struct ps_r2_object object = {.size = 10, .etag = "abc", .uploaded_ms = 784111777000};

    static const struct {
        const char *if_none_match;
        const char *if_match;
        const char *range;
        const char *if_range;
        int status;
        uint64_t length;
    } cases[] = {
        {"", "", "", "", 200, 10},
        {"\"abc\"", "", "", "", 304, 0},
        {"\"abc\"", "", "bytes=0-1", "", 304, 0},
        {"\"x\"", "", "", "", 200, 10},
        {"broken\"", "", "", "", 200, 10},
        {"", "\"x\"", "", "", 412, 0},
        {"", "", "bytes=2-4", "", 206, 3},
        {"", "", "bytes=0-0,2-3", "", 200, 10},
        {"", "", "bytes=10-", "", 416, 10},
        {"", "", "bytes=2-4", "\"abc\"", 206, 3},
        {"", "", "bytes=2-4", "\"abd\"", 200, 10},
        {"", "", "bytes=2-4", "W/\"abc\"", 200, 10},
        {"", "", "bytes=2-4", "Sun, 06 Nov 1994 08:49:37 GMT", 206, 3},
        {"", "", "bytes=2-4", "Sun, 06 Nov 1994 08:49:38 GMT", 200, 10},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_r2_if_headers headers = {.if_match = ps_slice_of(cases[i].if_match),
                                           .if_none_match = ps_slice_of(cases[i].if_none_match)};
        struct ps_r2_public_answer answer = ps_r2_public_answer_of(
            &object, &headers, ps_slice_of(cases[i].range), ps_slice_of(cases[i].if_range));
        if (answer.http_status != cases[i].status || answer.span.length != cases[i].length) {
            fail_msg("case %zu: %d, %d bytes", i, answer.http_status, (int)answer.span.length);
        }
    }
    struct ps_r2_if_headers none = {.if_match = {NULL, 0}};
    assert_int_equal(ps_r2_public_answer_of(NULL, &none, PS_LIT(""), PS_LIT("")).http_status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),       cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_decisions),      cmocka_unit_test(test_fetched),
        cmocka_unit_test(test_public_answers), cmocka_unit_test(test_updating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
