/* Measures against oracles that follow the definitions word for word, over all pairs. */
#include "sim/measure/measure.h"
#include "sim/measure/sessions.h"
#include "sim/measure/visibility_meter.h"
#include "tests/support/tiny_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 900 };

static struct ps_measures *measured(const struct ps_history *history)
{
    struct ps_measures *measures = ps_measures_create(history->cluster);
    struct ps_error err = {0};
    if (ps_measure(history, measures, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return measures;
}

static bool is_write(const struct ps_op *op)
{
    return op->kind == PS_OP_KV_PUT || op->kind == PS_OP_KV_DELETE;
}

/* ---- visibility ---- */

/* What a read of the key at this PoP at `t` would show: home as of the instant returned. */
static ps_time_ns shown_at(const struct tiny *tiny, const struct ps_link *link, uint16_t pop,
                           uint32_t key, ps_time_ns t)
{
    const struct tiny_pin *in_effect = NULL;
    for (size_t i = 0; i < tiny->pin_count; i++) {
        const struct tiny_pin *pin = &tiny->pins[i];
        if (pin->pop == pop && pin->key == key && pin->start_ns <= t) {
            in_effect = pin;
        }
    }
    if (in_effect != NULL && t < in_effect->until_ns) {
        return in_effect->as_of_ns;
    }
    ps_dur_ns rtt_ns = ps_link_stretch(link, t, link->rtt_ns);
    return ps_link_outage(link, t, t + rtt_ns) != NULL ? 0 : t + rtt_ns / 2;
}

/* A read's answer changes only where a pin starts or ends or an outage ends: try each such instant.
 */
static ps_time_ns first_shown(const struct tiny *tiny, const struct ps_link *link, uint16_t pop,
                              const struct ps_op *write)
{
    ps_time_ns commit_ns = write->eval_ns;
    ps_time_ns best_ns = PS_NEVER;
    for (size_t i = 0; i < 2 * tiny->pin_count + link->outage_count + 1; i++) {
        ps_time_ns t =
            i == 0 ? commit_ns
            : i <= 2 * tiny->pin_count
                ? (i % 2 == 0 ? tiny->pins[(i - 1) / 2].start_ns : tiny->pins[(i - 1) / 2].until_ns)
                : link->outages[i - 2 * tiny->pin_count - 1].until_ns;
        if (t >= commit_ns && t < best_ns &&
            shown_at(tiny, link, pop, write->key, t) >= commit_ns) {
            best_ns = t;
        }
    }
    return best_ns;
}

/* Every step's ends, and what lies beside them, against a walk from the first step. */
static void the_curve_has_the_right_step(void **state)
{
    (void)state;
    struct ps_cluster cluster;
    ps_cluster_init(&cluster);
    struct ps_error err;
    struct ps_store *store;
    assert_int_equal(ps_cluster_add_pop(&cluster, PS_LIT("fra"), &err), PS_OK);
    assert_int_equal(
        ps_cluster_add_store(&cluster, PS_LIT("A"), PS_STORE_KV, PS_LIT(""), &store, &err), PS_OK);
    struct ps_measures *measures = ps_measures_create(&cluster);
    size_t expected = 0;
    for (size_t i = 0; i < PS_CURVE_POINTS; i++) {
        ps_dur_ns end_ns = measures->stores[0].curve[i].until_ns;
        assert_int_equal(ps_curve_step(end_ns), i);
        if (end_ns != PS_NEVER) {
            assert_int_equal(ps_curve_step(end_ns + 1), i + 1);
        }
    }
    for (unsigned bits = 0; bits < 64; bits++) {
        ps_dur_ns since_ns = (ps_dur_ns)1 << bits;
        while (since_ns > measures->stores[0].curve[expected].until_ns) {
            expected++;
        }
        assert_int_equal(ps_curve_step(since_ns), expected);
    }
    ps_measures_destroy(measures);
    ps_cluster_fini(&cluster);
}

static void visibility_of_caches_is_the_first_instant(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct tiny *tiny = tiny_create(seed, OPS, seed % 2 == 0);
        struct ps_history *history = tiny->history;
        struct ps_measures *measures = measured(history);
        for (uint16_t pop = 0; pop < TINY_POPS; pop++) {
            struct ps_link link;
            (void)tiny_replica(history, TINY_CACHE, pop, &link);
            struct ps_histogram *expected = PS_NEW(struct ps_histogram);
            for (size_t i = 0; i < history->op_count; i++) {
                const struct ps_op *op = &history->ops[i];
                if (op->store == TINY_CACHE && is_write(op) && op->lsn != 0) {
                    ps_histogram_record(expected, first_shown(tiny, &link, pop, op) - op->eval_ns,
                                        1);
                }
            }
            const struct ps_histogram *got = measures->stores[TINY_CACHE].visibility_by_pop[pop];
            assert_true(expected->max > 30 * PS_SECOND);
            assert_true(got->max <= 60 * PS_SECOND + PS_SECOND * 32);
            assert_memory_equal(got, expected, sizeof *got);
            free(expected);
        }
        ps_measures_destroy(measures);
        tiny_destroy(tiny);
    }
}

static void visibility_of_pushes_is_the_arrival(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(21, OPS, true);
    struct ps_history *history = tiny->history;
    struct ps_measures *measures = measured(history);
    for (uint16_t store = TINY_FIFO; store <= TINY_NONE; store++) {
        for (uint16_t pop = 0; pop < TINY_POPS; pop++) {
            struct ps_link link;
            struct ps_replica replica = tiny_replica(history, store, pop, &link);
            struct ps_histogram *expected = PS_NEW(struct ps_histogram);
            for (size_t i = 0; i < history->op_count; i++) {
                const struct ps_op *op = &history->ops[i];
                if (op->store != store || !is_write(op) || op->lsn == 0) {
                    continue;
                }
                /* fifo: the last arrival up to it; none: the first of it and the key's newer ones
                 */
                ps_time_ns visible_ns = store == TINY_FIFO ? 0 : PS_NEVER;
                for (size_t n = 0; n < history->op_count; n++) {
                    const struct ps_op *other = &history->ops[n];
                    if (other->store != store || !is_write(other) || other->lsn == 0) {
                        continue;
                    }
                    ps_time_ns arrival_ns = ps_push_arrival(&replica, other->lsn, other->eval_ns);
                    if (store == TINY_FIFO && other->lsn <= op->lsn) {
                        visible_ns = ps_time_max(visible_ns, arrival_ns);
                    } else if (store == TINY_NONE && other->lsn >= op->lsn &&
                               other->key == op->key) {
                        visible_ns = ps_time_min(visible_ns, arrival_ns);
                    }
                }
                ps_histogram_record(expected, visible_ns - op->eval_ns, 1);
            }
            const struct ps_histogram *got = measures->stores[store].visibility_by_pop[pop];
            assert_memory_equal(got, expected, sizeof *got);
            free(expected);
        }
    }
    ps_measures_destroy(measures);
    tiny_destroy(tiny);
}

static void a_link_that_stays_cut_is_never(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(22, 60, false);
    assert_int_equal(ps_link_cut(&tiny->history->links[2], (struct ps_interval){PS_HOUR, PS_NEVER}),
                     PS_OK);
    struct ps_op last = tiny->history->ops[59];
    last.id = 61;
    last.kind = PS_OP_KV_PUT;
    last.store = TINY_STRONG;
    last.lsn = 1;
    for (size_t i = 0; i < 60; i++) {
        const struct ps_op *op = &tiny->history->ops[i];
        last.lsn += op->store == TINY_STRONG && is_write(op) && op->lsn != 0;
    }
    last.pop = 0;
    last.error = PS_OK;
    last.invoke_ns = 2 * PS_HOUR;
    last.eval_ns = 2 * PS_HOUR;
    last.complete_ns = 2 * PS_HOUR;
    last.refresh_ns = 0;
    ps_history_add(tiny->history, &last);
    struct ps_measures *measures = measured(tiny->history);
    assert_int_equal(measures->stores[TINY_STRONG].never_visible, 1);
    assert_int_equal(measures->stores[TINY_STRONG].visibility->count, 3 * last.lsn - 1);
    assert_int_equal(measures->stores[TINY_STRONG].visibility->max, 0);
    ps_measures_destroy(measures);
    tiny_destroy(tiny);
}

/* ---- reads and sessions ---- */

static void staleness_counts_newer_versions(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(23, OPS, true);
    struct ps_history *history = tiny->history;
    struct ps_measures *measures = measured(history);
    for (uint16_t store = 0; store < TINY_STORES; store++) {
        uint64_t stale = 0;
        uint64_t behind_max = 0;
        ps_dur_ns age_max_ns = 0;
        for (size_t i = 0; i < history->op_count; i++) {
            const struct ps_op *read = &history->ops[i];
            if (read->store != store || read->kind != PS_OP_KV_GET || read->error != PS_OK) {
                continue;
            }
            uint64_t behind = 0;
            ps_time_ns superseded_ns = read->eval_ns;
            for (size_t n = 0; n < history->op_count; n++) {
                const struct ps_op *op = &history->ops[n];
                if (op->store == store && op->key == read->key && is_write(op) &&
                    op->lsn > read->lsn && op->eval_ns <= read->eval_ns) {
                    behind++;
                    superseded_ns = ps_time_min(superseded_ns, op->eval_ns);
                }
            }
            stale += behind > 0;
            behind_max = behind > behind_max ? behind : behind_max;
            age_max_ns = ps_time_max(age_max_ns, read->eval_ns - superseded_ns);
        }
        assert_int_equal(measures->stores[store].stale_reads, stale);
        assert_int_equal(measures->stores[store].behind_max, behind_max);
        assert_int_equal(measures->stores[store].age->max, age_max_ns);
        assert_true(store == TINY_STRONG ? stale == 0 : stale > 0);
    }
    ps_measures_destroy(measures);
    tiny_destroy(tiny);
}

static void sessions_agree_with_all_pairs(void **state)
{
    (void)state;
    uint64_t total[PS_VIOLATION_KINDS] = {0};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct tiny *tiny = tiny_create(seed, OPS, true);
        struct ps_history *history = tiny->history;
        struct ps_measures *measures = measured(history);
        for (uint16_t store = 0; store < TINY_STORES; store++) {
            uint64_t expected[PS_VIOLATION_KINDS] = {0};
            for (size_t i = 0; i < history->op_count; i++) {
                const struct ps_op *read = &history->ops[i];
                if (read->store != store || read->kind != PS_OP_KV_GET || read->error != PS_OK) {
                    continue;
                }
                bool broken[PS_VIOLATION_KINDS] = {0};
                for (size_t n = 0; n < history->op_count; n++) {
                    const struct ps_op *op = &history->ops[n];
                    if (op->store != store || op->key != read->key || op->error != PS_OK ||
                        op->complete_ns > read->invoke_ns || op->lsn <= read->lsn) {
                        continue;
                    }
                    broken[PS_VIOLATION_LINEARIZABLE] = true;
                    if (op->session == read->session) {
                        broken[is_write(op) ? PS_VIOLATION_READ_YOUR_WRITES
                                            : PS_VIOLATION_MONOTONIC_READS] = true;
                    }
                }
                for (size_t kind = 0; kind < PS_VIOLATION_KINDS; kind++) {
                    expected[kind] += broken[kind];
                }
            }
            static const int kinds[] = {PS_VIOLATION_READ_YOUR_WRITES, PS_VIOLATION_MONOTONIC_READS,
                                        PS_VIOLATION_LINEARIZABLE};
            for (size_t k = 0; k < 3; k++) {
                const struct ps_violations *got = &measures->stores[store].violations[kinds[k]];
                assert_int_equal(got->count, expected[kinds[k]]);
                assert_int_equal(got->witness_count, got->count > 0 ? 2 : 0);
                total[kinds[k]] += got->count;
                if (got->count > 0) {
                    assert_true(got->witness[0].lsn > got->witness[1].lsn);
                    assert_true(got->witness[0].complete_ns <= got->witness[1].invoke_ns);
                    assert_true(strlen(got->text) > 20);
                }
            }
        }
        for (size_t kind = 0; kind < PS_VIOLATION_KINDS; kind++) {
            assert_int_equal(measures->stores[TINY_STRONG].violations[kind].count, 0);
        }
        ps_measures_destroy(measures);
        tiny_destroy(tiny);
    }
    assert_true(total[PS_VIOLATION_READ_YOUR_WRITES] > 0);
    assert_true(total[PS_VIOLATION_MONOTONIC_READS] > 0);
    assert_true(total[PS_VIOLATION_LINEARIZABLE] > 0);
}

/* Session 0 acts, session 1 watches at PoP 1. */
static struct ps_op step(uint64_t id, enum ps_op_kind kind, uint32_t session, uint32_t key,
                         uint64_t lsn)
{
    return (struct ps_op){.id = id,
                          .kind = (uint8_t)kind,
                          .session = session,
                          .key = key,
                          .lsn = lsn,
                          .invoke_ns = id * 10,
                          .eval_ns = id * 10 + 1,
                          .complete_ns = id * 10 + 2,
                          .pop = session == 0 ? 0 : 1};
}

static void run_steps(const struct ps_op *ops, size_t count,
                      struct ps_violations ret[PS_VIOLATION_KINDS])
{
    struct tiny *tiny = tiny_create(1, 1, false);
    struct ps_intern *names = ps_intern_create();
    ps_intern_put(names, PS_LIT("a"));
    ps_intern_put(names, PS_LIT("b"));
    struct ps_sessions *sessions = ps_sessions_create(1);
    for (size_t i = 0; i < count; i++) {
        ps_sessions_feed(sessions, &ops[i]);
    }
    ps_sessions_result(sessions, tiny->history->cluster, names, names, ret);
    ps_sessions_destroy(sessions);
    ps_intern_destroy(names);
    tiny_destroy(tiny);
}

static void a_pop_that_shows_the_later_write_alone(void **state)
{
    (void)state;
    struct ps_violations got[PS_VIOLATION_KINDS];
    struct ps_op ops[] = {step(1, PS_OP_KV_PUT, 0, 0, 1), step(2, PS_OP_KV_PUT, 0, 1, 2),
                          step(3, PS_OP_KV_GET, 1, 1, 2), step(4, PS_OP_KV_GET, 1, 0, 0)};
    run_steps(ops, 4, got);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].count, 1);
    assert_int_equal(got[PS_VIOLATION_WRITES_FOLLOW_READS].count, 0);
    assert_int_equal(got[PS_VIOLATION_READ_YOUR_WRITES].count, 0);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].witness[0].id, 1);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].witness[2].id, 4);
    ops[3].pop = 2; /* another PoP owes nothing */
    run_steps(ops, 4, got);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].count, 0);
    ops[3].pop = 1;
    ops[3].lsn = 1;
    run_steps(ops, 4, got);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].count, 0);
}

static void a_pop_that_shows_the_reply_alone(void **state)
{
    (void)state;
    struct ps_violations got[PS_VIOLATION_KINDS];
    struct ps_op ops[] = {step(1, PS_OP_KV_PUT, 1, 0, 1), step(2, PS_OP_KV_GET, 0, 0, 1),
                          step(3, PS_OP_KV_PUT, 0, 1, 2), step(4, PS_OP_KV_GET, 1, 1, 2),
                          step(5, PS_OP_KV_GET, 1, 0, 0)};
    run_steps(ops, 5, got);
    assert_int_equal(got[PS_VIOLATION_WRITES_FOLLOW_READS].count, 1);
    assert_int_equal(got[PS_VIOLATION_MONOTONIC_WRITES].count, 0);
    assert_int_equal(got[PS_VIOLATION_READ_YOUR_WRITES].count, 1);
    ops[1].lsn = 0; /* it had not seen the first */
    run_steps(ops, 5, got);
    assert_int_equal(got[PS_VIOLATION_WRITES_FOLLOW_READS].count, 0);
}

static void reading_the_future_is_not_linearizable(void **state)
{
    (void)state;
    struct ps_violations got[PS_VIOLATION_KINDS];
    struct ps_op ops[] = {step(1, PS_OP_KV_GET, 1, 0, 1), step(2, PS_OP_KV_PUT, 0, 0, 1)};
    run_steps(ops, 2, got);
    assert_int_equal(got[PS_VIOLATION_LINEARIZABLE].count, 1);
    ops[1].invoke_ns = 5;
    ops[1].eval_ns = 6;
    run_steps(ops, 2, got);
    assert_int_equal(got[PS_VIOLATION_LINEARIZABLE].count, 0);
}

/* ---- values ---- */

static void value_is(const struct ps_measures *measures, const struct ps_cluster *cluster,
                     const char *name, double expected)
{
    double value;
    struct ps_error err = {0};
    if (ps_measures_value(measures, cluster, ps_slice_of(name), &value, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    if (value < expected || value > expected) {
        fail_msg("%s is %g, expected %g", name, value, expected);
    }
}

static void values_by_name(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(1, 1, false);
    const struct ps_cluster *cluster = tiny->history->cluster;
    struct ps_measures *measures = ps_measures_create(cluster);
    measures->operations = 7;
    struct ps_store_measures *store = &measures->stores[0];
    for (uint64_t i = 0; i < 4; i++) {
        ps_measures_read(store, i, i * PS_SECOND, true, 60 * PS_SECOND);
    }
    ps_histogram_record(store->visibility_by_pop[2], 5 * PS_SECOND, 3);
    store->violations[PS_VIOLATION_LINEARIZABLE].count = 9;
    value_is(measures, cluster, "operations", 7);
    value_is(measures, cluster, "CACHE.reads", 4);
    value_is(measures, cluster, "CACHE.reads.stale_ratio", 0.75);
    value_is(measures, cluster, "CACHE.stale_reads", 3);
    value_is(measures, cluster, "CACHE.behind.max", 3);
    value_is(measures, cluster, "CACHE.reads.age.max", 3);
    value_is(measures, cluster, "CACHE.visibility.by_pop.syd.max", 5);
    value_is(measures, cluster, "CACHE.visibility.count", 0);
    value_is(measures, cluster, "CACHE.violations.linearizable", 9);
    value_is(measures, cluster, "fidelity.late_records", 0);
    static const char *const wrong[] = {"",
                                        "CASH.reads",
                                        "CACHE",
                                        "CACHE.reads.x",
                                        "CACHE.visibility.p95",
                                        "CACHE.visibility.by_pop.ams.max",
                                        "CACHE.violations.bad",
                                        "operations.x",
                                        "fidelity"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        double value;
        struct ps_error err = {0};
        assert_int_equal(ps_measures_value(measures, cluster, ps_slice_of(wrong[i]), &value, &err),
                         PS_NOT_FOUND);
        assert_true(strlen(err.text) > 10);
    }
    ps_measures_destroy(measures);
    tiny_destroy(tiny);
}

static void a_broken_log_is_refused(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(24, 200, false);
    for (size_t i = 0; i < 200; i++) {
        tiny->history->ops[i].lsn += is_write(&tiny->history->ops[i]) ? 5 : 0;
    }
    struct ps_measures *measures = ps_measures_create(tiny->history->cluster);
    struct ps_error err = {0};
    assert_int_equal(ps_measure(tiny->history, measures, &err), PS_INVALID);
    assert_non_null(strstr(err.text, "missing"));
    ps_measures_destroy(measures);
    tiny_destroy(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_curve_has_the_right_step),
        cmocka_unit_test(visibility_of_caches_is_the_first_instant),
        cmocka_unit_test(visibility_of_pushes_is_the_arrival),
        cmocka_unit_test(a_link_that_stays_cut_is_never),
        cmocka_unit_test(staleness_counts_newer_versions),
        cmocka_unit_test(sessions_agree_with_all_pairs),
        cmocka_unit_test(a_pop_that_shows_the_later_write_alone),
        cmocka_unit_test(a_pop_that_shows_the_reply_alone),
        cmocka_unit_test(reading_the_future_is_not_linearizable),
        cmocka_unit_test(values_by_name),
        cmocka_unit_test(a_broken_log_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
