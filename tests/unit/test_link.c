/* Links: outages as a set of intervals, stretching, and what happens to a record in flight. */
#include "replication/base/random.h"
#include "replication/world/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct ps_interval span(ps_time_ns from_s, ps_time_ns until_s)
{
    return (struct ps_interval){from_s * PS_SECOND,
                                until_s == PS_NEVER ? PS_NEVER : until_s * PS_SECOND};
}

static void test_cut_merges(void **state)
{
    (void)state;
    struct ps_link link = {0};
    assert_int_equal(ps_link_cut(&link, span(10, 20)), PS_OK);
    assert_int_equal(ps_link_cut(&link, span(30, 40)), PS_OK);
    assert_int_equal(link.outage_count, 2);
    assert_int_equal(ps_link_cut(&link, span(20, 30)), PS_OK); /* touches both */
    assert_int_equal(link.outage_count, 1);
    assert_int_equal(link.outages[0].from_ns, 10 * PS_SECOND);
    assert_int_equal(link.outages[0].until_ns, 40 * PS_SECOND);
    assert_int_equal(ps_link_cut(&link, span(5, 5)), PS_INVALID);
    assert_int_equal(ps_link_cut(&link, span(0, 3)), PS_OK);
    assert_int_equal(link.outages[0].from_ns, 0);
    assert_int_equal(link.outage_count, 2);
    ps_link_fini(&link);
}

/* The list of outages says the same as a plain array of cut seconds, whatever order they come in.
 */
static void test_cut_is_a_set(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 200; round++) {
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "link", NULL)};
        struct ps_link link = {0};
        bool cut[101] = {false};
        for (int i = 0; i < 12; i++) {
            uint64_t from = ps_rng_below(&rng, 100);
            uint64_t until = from + 1 + ps_rng_below(&rng, 100 - from);
            assert_int_equal(ps_link_cut(&link, span(from, until)), PS_OK);
            for (uint64_t s = from; s < until; s++) {
                cut[s] = true;
            }
        }
        for (size_t i = 1; i < link.outage_count; i++) {
            assert_true(link.outages[i - 1].until_ns < link.outages[i].from_ns);
        }
        for (uint64_t s = 0; s < 100; s++) {
            ps_time_ns middle_ns = s * PS_SECOND + PS_SECOND / 2;
            assert_int_equal(ps_link_outage(&link, middle_ns, middle_ns) != NULL, cut[s]);
        }
        ps_link_fini(&link);
    }
}

static void test_heal(void **state)
{
    (void)state;
    struct ps_link link = {0};
    assert_int_equal(ps_link_cut(&link, span(10, PS_NEVER)), PS_OK);
    assert_int_equal(ps_link_heal(&link, 5 * PS_SECOND), PS_NOT_FOUND);
    assert_int_equal(ps_link_heal(&link, 25 * PS_SECOND), PS_OK);
    assert_int_equal(link.outages[0].until_ns, 25 * PS_SECOND);
    assert_int_equal(ps_link_heal(&link, 25 * PS_SECOND), PS_NOT_FOUND);
    assert_int_equal(ps_link_cut(&link, span(40, 50)), PS_OK);
    assert_int_equal(ps_link_heal(&link, 40 * PS_SECOND), PS_OK); /* healed as it begins */
    assert_int_equal(link.outage_count, 1);
    ps_link_fini(&link);
}

static void test_slow_factors_multiply(void **state)
{
    (void)state;
    struct ps_link link = {0};
    struct ps_slow ten = {.when = span(10, 20), .factor_milli = 10000};
    struct ps_slow half_more = {.when = span(15, 30), .factor_milli = 1500};
    assert_int_equal(ps_link_slow(&link, ten), PS_OK);
    assert_int_equal(ps_link_slow(&link, half_more), PS_OK);
    struct ps_slow faster = {.when = span(0, 9), .factor_milli = 500};
    assert_int_equal(ps_link_slow(&link, faster), PS_INVALID);
    assert_int_equal(ps_link_stretch(&link, 9 * PS_SECOND, PS_MS), PS_MS);
    assert_int_equal(ps_link_stretch(&link, 10 * PS_SECOND, PS_MS), 10 * PS_MS);
    assert_int_equal(ps_link_stretch(&link, 15 * PS_SECOND, PS_MS), 15 * PS_MS);
    assert_int_equal(ps_link_stretch(&link, 20 * PS_SECOND, PS_MS), 1500 * PS_US);
    assert_int_equal(ps_link_stretch(&link, 15 * PS_SECOND, PS_NEVER / 2), PS_NEVER);
    ps_link_fini(&link);
}

static void test_arrival(void **state)
{
    (void)state;
    struct ps_link link = {0};
    assert_int_equal(ps_link_cut(&link, span(60, 90)), PS_OK);

    const struct {
        ps_time_ns commit_s, delay_s, arrival_s;
    } cases[] = {
        {10, 5, 15},   /* undisturbed */
        {50, 10, 60},  /* there at the instant of the cut */
        {55, 10, 100}, /* in flight when the cut came: sent again at its end */
        {60, 0, 90},   /* committed in the outage, no way to go */
        {70, 10, 100}, /* committed in the outage */
        {90, 10, 100}, /* the outage's end is outside it */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            ps_link_arrival(&link, cases[i].commit_s * PS_SECOND, cases[i].delay_s * PS_SECOND),
            cases[i].arrival_s * PS_SECOND);
    }
    assert_int_equal(ps_link_cut(&link, span(95, 105)), PS_OK);
    assert_int_equal(ps_link_arrival(&link, 70 * PS_SECOND, 10 * PS_SECOND), 115 * PS_SECOND);
    assert_int_equal(ps_link_cut(&link, span(110, PS_NEVER)), PS_OK);
    assert_int_equal(ps_link_arrival(&link, 70 * PS_SECOND, 10 * PS_SECOND), PS_NEVER);
    ps_link_fini(&link);
}

/* More outages never make a record earlier, and nothing arrives while the link is cut. */
static void test_arrival_is_monotonic_in_outages(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 300; round++) {
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "arrival", NULL)};
        struct ps_link link = {0};
        ps_time_ns commit_ns = ps_rng_below(&rng, 100 * PS_SECOND);
        ps_dur_ns delay_ns = 1 + ps_rng_below(&rng, 20 * PS_SECOND);
        ps_time_ns before_ns = ps_link_arrival(&link, commit_ns, delay_ns);
        assert_int_equal(before_ns, commit_ns + delay_ns);
        for (int i = 0; i < 8; i++) {
            ps_time_ns from_ns = ps_rng_below(&rng, 120 * PS_SECOND);
            struct ps_interval when = {from_ns, from_ns + 1 + ps_rng_below(&rng, 10 * PS_SECOND)};
            assert_int_equal(ps_link_cut(&link, when), PS_OK);
            ps_time_ns arrival_ns = ps_link_arrival(&link, commit_ns, delay_ns);
            assert_true(arrival_ns >= before_ns);
            const struct ps_interval *met = ps_link_outage(&link, arrival_ns - 1, arrival_ns - 1);
            assert_null(met);
            before_ns = arrival_ns;
        }
        ps_link_fini(&link);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_merges), cmocka_unit_test(test_cut_is_a_set),
        cmocka_unit_test(test_heal),       cmocka_unit_test(test_slow_factors_multiply),
        cmocka_unit_test(test_arrival),    cmocka_unit_test(test_arrival_is_monotonic_in_outages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
