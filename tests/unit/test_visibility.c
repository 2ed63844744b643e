/* The policies, as properties over random histories: bounds, order, and agreement with plain models
 * that know nothing of pins or windows. */
#include "replication/base/random.h"
#include "replication/world/visibility.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { RTT_MS = 100 };

struct fixture {
    struct ps_policy policy;
    struct ps_link link;
    struct ps_replica replica;
};

static void set_up(struct fixture *fixture, enum ps_policy_kind kind)
{
    *fixture = (struct fixture){0};
    fixture->policy.kind = kind;
    fixture->policy.timeout_ns = 5 * PS_SECOND;
    fixture->policy.cache.ttl_ns = 60 * PS_SECOND;
    fixture->policy.cache.ttl_min_ns = 30 * PS_SECOND;
    fixture->policy.cache.own_writes = true;
    fixture->policy.cache.negative = true;
    fixture->link.rtt_ns = RTT_MS * PS_MS;
    fixture->link.tier_rtt_ns = 20 * PS_MS;
    fixture->replica = (struct ps_replica){.policy = &fixture->policy,
                                           .link = &fixture->link,
                                           .seed = 7,
                                           .delay_stream = ps_stream_of("delay", "S", "syd"),
                                           .tier_stream = ps_stream_of("tier", "S", "oc")};
}

static struct ps_view read_at(struct fixture *fixture, struct ps_pin *pin, ps_time_ns t)
{
    struct ps_view view;
    assert_int_equal(ps_view_cache(&fixture->replica, pin, 1, t, 0, false, &view), PS_OK);
    return view;
}

static void test_fetch_pins_half_a_round_trip_later(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    struct ps_pin pin = {0};
    ps_time_ns t = 10 * PS_SECOND;
    struct ps_view miss = read_at(&f, &pin, t);
    assert_int_equal(miss.cache, PS_CACHE_MISS);
    assert_int_equal(miss.at_ns, t + 50 * PS_MS);
    assert_int_equal(miss.ready_ns, t + 100 * PS_MS);
    assert_int_equal(miss.need_ns, miss.at_ns);
    struct ps_view joined = read_at(&f, &pin, t + 30 * PS_MS);
    assert_int_equal(joined.cache, PS_CACHE_MISS);
    assert_int_equal(joined.at_ns, miss.at_ns);
    assert_int_equal(joined.ready_ns, miss.ready_ns);
    struct ps_view hit = read_at(&f, &pin, t + PS_SECOND);
    assert_int_equal(hit.cache, PS_CACHE_HIT);
    assert_int_equal(hit.at_ns, miss.at_ns);
    assert_int_equal(hit.ready_ns, t + PS_SECOND);
    ps_time_ns until_ns = ps_pin_until(&pin);
    assert_int_equal(until_ns, miss.at_ns + 60 * PS_SECOND);
    assert_int_equal(read_at(&f, &pin, until_ns - 1).at_ns, miss.at_ns);
    assert_int_equal(read_at(&f, &pin, until_ns).at_ns, until_ns + 50 * PS_MS);
}

static void test_ttl_asked_and_minimum(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    struct ps_pin pin = {0};
    struct ps_view view;
    assert_int_equal(ps_view_cache(&f.replica, &pin, 1, PS_SECOND, 300 * PS_SECOND, false, &view),
                     PS_OK);
    assert_int_equal(ps_pin_until(&pin), view.at_ns + 300 * PS_SECOND);
    pin = (struct ps_pin){0};
    assert_int_equal(ps_view_cache(&f.replica, &pin, 1, PS_SECOND, PS_SECOND, false, &view), PS_OK);
    assert_int_equal(ps_pin_until(&pin), view.at_ns + 30 * PS_SECOND);
}

static void test_shorten_is_a_switch(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    ps_time_ns later_ns = 41 * PS_SECOND;
    for (int shorten = 0; shorten < 2; shorten++) {
        f.policy.cache.shorten = shorten == 1;
        struct ps_pin pin = {0};
        ps_time_ns first_ns = read_at(&f, &pin, PS_SECOND).at_ns;
        struct ps_view view;
        assert_int_equal(ps_view_cache(&f.replica, &pin, 1, later_ns, 30 * PS_SECOND, false, &view),
                         PS_OK);
        assert_int_equal(view.at_ns == first_ns, shorten == 0);
    }
}

static void test_negative_entries_are_a_switch(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    for (int negative = 0; negative < 2; negative++) {
        f.policy.cache.negative = negative == 1;
        struct ps_pin pin = {0};
        ps_time_ns first_ns = read_at(&f, &pin, PS_SECOND).at_ns;
        struct ps_view view;
        /* A read that joins the fetch does so in any case: nobody knows yet that nothing is there.
         */
        assert_int_equal(ps_view_cache(&f.replica, &pin, 1, PS_SECOND + PS_MS, 0, true, &view),
                         PS_OK);
        assert_int_equal(view.at_ns, first_ns);
        assert_int_equal(ps_view_cache(&f.replica, &pin, 1, 2 * PS_SECOND, 0, true, &view), PS_OK);
        assert_int_equal(view.at_ns == first_ns, negative == 1);
    }
}

static void test_cut_link_fails_fetches_only(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    struct ps_pin pin = {0};
    ps_time_ns as_of_ns = read_at(&f, &pin, PS_SECOND).at_ns;
    struct ps_interval when = {30 * PS_SECOND, 120 * PS_SECOND};
    assert_int_equal(ps_link_cut(&f.link, when), PS_OK);
    assert_int_equal(read_at(&f, &pin, 40 * PS_SECOND).at_ns, as_of_ns);
    struct ps_pin before = pin;
    struct ps_view view;
    assert_int_equal(ps_view_cache(&f.replica, &pin, 1, 90 * PS_SECOND, 0, false, &view),
                     PS_UNREACHABLE);
    assert_int_equal(view.ready_ns, 95 * PS_SECOND);
    assert_memory_equal(&pin, &before, sizeof pin);
    /* A fetch that is on its way when the cut comes fails too. */
    struct ps_pin empty = {0};
    assert_int_equal(
        ps_view_cache(&f.replica, &empty, 1, 30 * PS_SECOND - 50 * PS_MS, 0, false, &view),
        PS_UNREACHABLE);
    assert_int_equal(read_at(&f, &pin, 120 * PS_SECOND).at_ns, 120 * PS_SECOND + 50 * PS_MS);
    ps_link_fini(&f.link);
}

static void test_own_write_refreshes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    struct ps_pin pin = {0};
    (void)read_at(&f, &pin, PS_SECOND);
    ps_pin_acknowledge(&f.policy, &pin, 5 * PS_SECOND, 5 * PS_SECOND + 50 * PS_MS);
    struct ps_view view = read_at(&f, &pin, 6 * PS_SECOND);
    assert_int_equal(view.at_ns, 5 * PS_SECOND);
    assert_int_equal(ps_pin_until(&pin), 65 * PS_SECOND);
    /* An acknowledgement that comes after a newer fetch changes nothing. */
    ps_pin_acknowledge(&f.policy, &pin, 4 * PS_SECOND, 7 * PS_SECOND);
    assert_int_equal(read_at(&f, &pin, 8 * PS_SECOND).at_ns, 5 * PS_SECOND);
    f.policy.cache.own_writes = false;
    ps_pin_acknowledge(&f.policy, &pin, 9 * PS_SECOND, 9 * PS_SECOND);
    assert_int_equal(read_at(&f, &pin, 10 * PS_SECOND).at_ns, 5 * PS_SECOND);
}

static void test_refresh_ahead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_CACHE);
    f.policy.cache.ahead_milli = 500;
    struct ps_pin pin = {0};
    ps_time_ns first_ns = read_at(&f, &pin, 0).at_ns;
    assert_int_equal(read_at(&f, &pin, 20 * PS_SECOND).cache, PS_CACHE_HIT);
    struct ps_view early = read_at(&f, &pin, 31 * PS_SECOND);
    assert_int_equal(early.cache, PS_CACHE_REVALIDATE);
    assert_int_equal(early.at_ns, first_ns);
    assert_int_equal(early.ready_ns, 31 * PS_SECOND); /* nobody waits for it */
    assert_int_equal(read_at(&f, &pin, 31 * PS_SECOND + 99 * PS_MS).at_ns, first_ns);
    struct ps_view after = read_at(&f, &pin, 31 * PS_SECOND + 100 * PS_MS);
    assert_int_equal(after.at_ns, 31 * PS_SECOND + 50 * PS_MS);
    assert_int_equal(after.cache, PS_CACHE_HIT);
}

/* Whatever is read and written when: a read is given a state of home no older than one ttl before
 * it, a state never goes back in time, and a PoP sees its own acknowledged write from then on. */
static void test_cache_bounds(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 200; round++) {
        struct fixture f;
        set_up(&f, PS_POLICY_CACHE);
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "cache", NULL)};
        f.policy.cache.ahead_milli = round % 3 == 0 ? 800 : 0;
        f.link.rtt_ns = ps_rng_below(&rng, 300 * PS_MS);
        struct ps_pin pin = {0};
        ps_time_ns t = 0;
        ps_time_ns shown_ns = 0;
        ps_time_ns own_ns = 0;
        for (int i = 0; i < 400; i++) {
            t += 1 + ps_rng_below(&rng, 20 * PS_SECOND);
            if (ps_rng_below(&rng, 10) == 0) {
                own_ns = t;
                t += f.link.rtt_ns / 2 + 1;
                ps_pin_acknowledge(&f.policy, &pin, own_ns, t);
                continue;
            }
            struct ps_view view = read_at(&f, &pin, t);
            assert_true(view.ready_ns >= t);
            assert_true(view.ready_ns <= t + f.link.rtt_ns);
            assert_true(view.at_ns + f.policy.cache.ttl_ns > t);
            assert_true(view.at_ns >= shown_ns);
            assert_true(view.at_ns >= own_ns);
            shown_ns = view.at_ns;
        }
    }
}

/* Two tiers: the worst age is both lives together (ttl), or one life and the lag (revalidated); and
 * a tier that is older than an entry's life does not make entries that are dead when they are born.
 */
static void test_tiers(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 100; round++) {
        struct fixture f;
        set_up(&f, PS_POLICY_CACHE);
        f.policy.cache.tier = round % 2 == 0 ? PS_TIER_TTL : PS_TIER_REVALIDATED;
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "tiers", NULL)};
        f.policy.cache.tier_ns = 1 + ps_rng_below(&rng, 200 * PS_SECOND);
        struct ps_pin pin = {0};
        ps_time_ns t = 1000 * PS_SECOND;
        ps_dur_ns oldest_ns = 0;
        size_t hits = 0;
        for (int i = 0; i < 2000; i++) {
            t += 1 + ps_rng_below(&rng, 3 * PS_SECOND);
            struct ps_view view = read_at(&f, &pin, t);
            hits += view.cache == PS_CACHE_HIT ? 1 : 0;
            assert_true(view.ready_ns <= t + 20 * PS_MS);
            ps_dur_ns age_ns = view.at_ns < t ? t - view.at_ns : 0;
            assert_true(age_ns <= f.policy.cache.ttl_ns + f.policy.cache.tier_ns);
            oldest_ns = ps_time_max(oldest_ns, age_ns);
        }
        assert_true(hits > 1500);
        assert_true(oldest_ns > f.policy.cache.tier_ns / 4);
    }
}

static void test_strong(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_STRONG);
    struct ps_view view;
    assert_int_equal(ps_view_strong(&f.replica, PS_SECOND, &view), PS_OK);
    assert_int_equal(view.at_ns, PS_SECOND + 50 * PS_MS);
    assert_int_equal(view.ready_ns, PS_SECOND + 100 * PS_MS);
    struct ps_interval when = {PS_SECOND + 90 * PS_MS, 2 * PS_SECOND};
    assert_int_equal(ps_link_cut(&f.link, when), PS_OK);
    assert_int_equal(ps_view_strong(&f.replica, PS_SECOND, &view), PS_UNREACHABLE);
    ps_link_fini(&f.link);
}

enum { RECORDS = 300 };

struct log {
    ps_time_ns commit_ns[RECORDS + 1];
    ps_time_ns visible_ns[RECORDS + 1];
};

/* The definition, word for word: visible(n) = max(visible(n-1), arrival(n)). */
static void fill_log(const struct fixture *f, struct ps_rng *rng, struct log *log)
{
    log->commit_ns[0] = 0;
    log->visible_ns[0] = 0;
    for (ps_lsn n = 1; n <= RECORDS; n++) {
        log->commit_ns[n] = log->commit_ns[n - 1] + 1 + ps_rng_below(rng, PS_SECOND);
        ps_time_ns arrival_ns = ps_push_arrival(&f->replica, n, log->commit_ns[n]);
        log->visible_ns[n] = ps_time_max(log->visible_ns[n - 1], arrival_ns);
    }
}

static ps_lsn seen_by_definition(const struct log *log, ps_time_ns t)
{
    ps_lsn seen = 0;
    while (seen < RECORDS && log->visible_ns[seen + 1] <= t) {
        seen++;
    }
    return seen;
}

static void test_push_window_is_the_definition(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 100; round++) {
        struct fixture f;
        set_up(&f, PS_POLICY_PUSH);
        f.policy.push.delay = (struct ps_delay){
            .kind = PS_DELAY_UNIFORM, .uniform = {.from_ns = PS_SECOND, .to_ns = 20 * PS_SECOND}};
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "push", NULL)};
        f.replica.seed = round;
        for (int i = 0; i < 3; i++) {
            ps_time_ns from_ns = ps_rng_below(&rng, 150 * PS_SECOND);
            struct ps_interval when = {from_ns, from_ns + 1 + ps_rng_below(&rng, 20 * PS_SECOND)};
            assert_int_equal(ps_link_cut(&f.link, when), PS_OK);
        }
        static struct log log;
        fill_log(&f, &rng, &log);
        struct ps_push_window window = {0};
        ps_lsn appended = 0;
        ps_time_ns t = 0;
        while (t < 220 * PS_SECOND) {
            t += ps_rng_below(&rng, 2 * PS_SECOND);
            /* A replica knows at least what was committed up to the read's need. */
            ps_time_ns need_ns = ps_view_push(&f.replica, t).need_ns;
            while (appended < RECORDS && log.commit_ns[appended + 1] <= need_ns) {
                ps_push_window_append(&window, &f.replica, log.commit_ns[++appended]);
            }
            assert_int_equal(ps_push_window_at(&window, t), seen_by_definition(&log, t));
            if (ps_rng_below(&rng, 4) == 0) {
                ps_push_window_trim(&window, t);
                assert_int_equal(ps_push_window_at(&window, t), seen_by_definition(&log, t));
            }
        }
        ps_push_window_fini(&window);
        ps_link_fini(&f.link);
    }
}

/* A cut that is told of later, for the time from now on, gives what it would have given from the
 * start. */
static void test_push_relink(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 100; round++) {
        struct fixture f;
        set_up(&f, PS_POLICY_PUSH);
        f.replica.seed = round;
        f.policy.push.delay = (struct ps_delay){.kind = PS_DELAY_EXPONENTIAL,
                                                .exponential = {.mean_ns = 3 * PS_SECOND}};
        struct ps_rng rng = {.seed = round, .stream = ps_stream_of("test", "relink", NULL)};
        static struct log log;
        fill_log(&f, &rng, &log);
        struct ps_push_window window = {0};
        for (ps_lsn n = 1; n <= RECORDS; n++) {
            ps_push_window_append(&window, &f.replica, log.commit_ns[n]);
        }
        ps_time_ns cut_ns = 40 * PS_SECOND + ps_rng_below(&rng, 40 * PS_SECOND);
        ps_push_window_trim(&window, cut_ns);
        ps_lsn seen = ps_push_window_at(&window, cut_ns);
        struct ps_interval when = {cut_ns, cut_ns + 30 * PS_SECOND};
        assert_int_equal(ps_link_cut(&f.link, when), PS_OK);
        ps_push_window_relink(&window, &f.replica, cut_ns);
        struct ps_push_window fresh = {0};
        for (ps_lsn n = 1; n <= RECORDS; n++) {
            ps_push_window_append(&fresh, &f.replica, log.commit_ns[n]);
        }
        for (ps_time_ns t = cut_ns; t < 250 * PS_SECOND; t += PS_SECOND) {
            assert_int_equal(ps_push_window_at(&window, t), ps_push_window_at(&fresh, t));
        }
        assert_true(ps_push_window_at(&window, cut_ns + 29 * PS_SECOND) == seen);
        ps_push_window_fini(&window);
        ps_push_window_fini(&fresh);
        ps_link_fini(&f.link);
    }
}

static void test_push_window_reset(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, PS_POLICY_PUSH);
    struct ps_push_window window = {0};
    ps_push_window_reset(&window, 1000, 5 * PS_SECOND);
    assert_int_equal(ps_push_window_at(&window, 0), 1000);
    ps_push_window_append(&window, &f.replica, 6 * PS_SECOND);
    assert_int_equal(window.last, 1001);
    assert_int_equal(ps_push_window_at(&window, 6 * PS_SECOND - 1), 1000);
    assert_int_equal(ps_push_window_at(&window, 6 * PS_SECOND), 1001);
    assert_int_equal(ps_push_window_visible(&window, 1001), 6 * PS_SECOND);
    ps_push_window_fini(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_pins_half_a_round_trip_later),
        cmocka_unit_test(test_ttl_asked_and_minimum),
        cmocka_unit_test(test_shorten_is_a_switch),
        cmocka_unit_test(test_negative_entries_are_a_switch),
        cmocka_unit_test(test_cut_link_fails_fetches_only),
        cmocka_unit_test(test_own_write_refreshes),
        cmocka_unit_test(test_refresh_ahead),
        cmocka_unit_test(test_cache_bounds),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_strong),
        cmocka_unit_test(test_push_window_is_the_definition),
        cmocka_unit_test(test_push_relink),
        cmocka_unit_test(test_push_window_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
