/* The virtual world: its histories hold what verify computes, are the same each time, and show
 * faults. */
#include "replication/base/memory.h"
#include "tests/support/draw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SWARM = 400 }; /* more by hand: PS_SWARM=20000 */

static void assert_verifies(const struct ps_history *history, const char *yaml)
{
    struct ps_verify_result result;
    struct ps_error err = {0};
    assert_int_equal(ps_verify(history, &result, &err), PS_OK);
    if (result.differences > 0) {
        fail_msg("%" PRIu64 " differences, the first: %s\n%s", result.differences, result.first,
                 yaml);
    }
    struct ps_measures *measures = ps_measures_create(history->cluster);
    if (ps_measure(history, measures, &err) != PS_OK) {
        fail_msg("%s\n%s", err.text, yaml);
    }
    assert_int_equal(measures->operations, history->op_count);
    ps_measures_destroy(measures);
}

/* ---- the swarm: scenarios drawn from a seed ---- */

static void draw_store(struct draw *draw, const char *name, size_t pops)
{
    struct ps_buf *yaml = &draw->yaml;
    ps_buf_printf(yaml, "  %s: {type: kv, home: %s, write_interval: %s, timeout: %s", name,
                  codes[below(draw, pops)], PICK(draw, "0", "1s"), PICK(draw, "2s", "30s"));
    switch (below(draw, 3)) {
    case 0:
        ps_buf_printf(
            yaml, ", policy: push, order: %s, delay: %s", PICK(draw, "fifo", "none"),
            PICK(draw, "0", "2s", "{uniform: [0s, 60s]}", "{exponential: {mean: 5s}}",
                 "{lognormal: {p50: 107ms, p99: 256ms}}",
                 "{pareto: {scale: 100ms, shape: 1.2}, max: 40s}",
                 "{mixture: [{weight: 9, constant: 1s}, {weight: 1, uniform: [1s, 60s]}]}"));
        break;
    case 1:
        ps_buf_printf(yaml,
                      ", policy: cache, ttl: %s, ttl_min: 5s, own_writes: %s, negative: %s, "
                      "shorten: %s, refresh_ahead: %s, tier: %s",
                      PICK(draw, "5s", "60s"), PICK(draw, "true", "false"),
                      PICK(draw, "true", "false"), PICK(draw, "true", "false"),
                      PICK(draw, "0", "0.5"),
                      PICK(draw, "none", "{ttl: 20s}", "{revalidated: 2s}"));
        break;
    default:
        ps_buf_append_text(yaml, ", policy: strong");
        break;
    }
    ps_buf_append_text(yaml, "}\n");
}

static void draw_workload(struct draw *draw, size_t number, size_t pops)
{
    static const char *const stores[] = {"A", "B"};
    static const char *const keys[] = {"k:{zipf(20, 0.9)}", "k:{uniform(1, 5)}", "one",
                                       "{pop}:{seq}"};
    struct ps_buf *yaml = &draw->yaml;
    ps_buf_printf(yaml, "  - name: w%zu\n    pop: %s\n", number,
                  PICK(draw, "each", "any", codes[below(draw, pops)]));
    switch (below(draw, 3)) {
    case 0:
        ps_buf_printf(yaml, "    every: %s\n", PICK(draw, "500ms", "1s", "7s"));
        break;
    case 1:
        ps_buf_printf(yaml, "    rate: %s\n", PICK(draw, "3/s", "0.5"));
        break;
    default:
        ps_buf_printf(yaml, "    clients: 3\n    think: %s\n", PICK(draw, "10ms", "1s"));
        ps_buf_append_text(yaml, "    count: 200\n");
        break;
    }
    ps_buf_append_text(yaml, "    mix:\n");
    const char *store = pick(draw, stores, 2);
    ps_buf_printf(yaml, "      - {weight: 8, kv.get: {store: %s, key: \"%s\"%s}}\n", store,
                  pick(draw, keys, 4), PICK(draw, "", ", cacheTtl: 30"));
    ps_buf_printf(yaml,
                  "      - {weight: 2, kv.put: {store: %s, key: \"%s\", value: \"{uuid}\"%s}}\n",
                  store, pick(draw, keys, 4), PICK(draw, "", ", expirationTtl: 60"));
    ps_buf_printf(yaml, "      - {weight: 0.5, kv.delete: {store: %s, key: \"%s\"}}\n", store,
                  pick(draw, keys, 4));
    ps_buf_printf(yaml, "      - {weight: 0.5, kv.list: {store: %s, prefix: \"%s\"%s}}\n", store,
                  PICK(draw, "", "k:", "k:1"), PICK(draw, "", ", limit: 3"));
}

static void draw_fault(struct draw *draw, size_t number, size_t pops)
{
    uint64_t at = 5 + 25 * number + below(draw, 10); /* crashes of one PoP must not overlap */
    const char *code = codes[below(draw, pops)];
    ps_buf_printf(&draw->yaml, "  - {at: %" PRIu64 "s, for: %" PRIu64 "s, crash: {pop: %s}}\n", at,
                  1 + below(draw, 15), code);
}

static void draw_scenario(struct draw *draw, uint64_t seed)
{
    draw->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("swarm", NULL, NULL)};
    draw->yaml.size = 0;
    size_t pops = 2 + (size_t)below(draw, 7);
    struct ps_buf *yaml = &draw->yaml;
    ps_buf_printf(yaml, "seed: %" PRIu64 "\nduration: 2m\ncluster:\n  latency: %s\n  pops: [", seed,
                  PICK(draw, "profile", "none", "{scale: 0.5}"));
    for (size_t i = 0; i < pops; i++) {
        ps_buf_printf(yaml, "%s%s", i > 0 ? ", " : "", codes[i]);
    }
    ps_buf_append_text(yaml, "]\nstores:\n");
    draw_store(draw, "A", pops);
    draw_store(draw, "B", pops);
    ps_buf_append_text(yaml, "workload:\n");
    size_t workloads = 1 + (size_t)below(draw, 3);
    for (size_t i = 0; i < workloads; i++) {
        draw_workload(draw, i, pops);
    }
    ps_buf_append_text(yaml, "faults:\n");
    for (size_t i = 0; i < 4; i++) {
        draw_fault(draw, i, pops);
    }
}

/* Outages are refused at a store's home, so they are added where none of the stores lives. */
static void draw_links(struct draw *draw, const struct ps_scenario *scenario)
{
    const struct ps_cluster *cluster = &scenario->cluster;
    for (uint16_t pop = 0; pop < cluster->pop_count; pop++) {
        if (pop != cluster->stores[0].home && pop != cluster->stores[1].home) {
            ps_buf_printf(&draw->yaml,
                          "  - {at: %" PRIu64 "s, for: %" PRIu64 "s, partition: {pop: %s}}\n",
                          below(draw, 90), 1 + below(draw, 30), cluster->pops[pop]->code);
            ps_buf_printf(&draw->yaml,
                          "  - {at: %" PRIu64 "s, for: 20s, slow: {pop: %s, factor: %" PRIu64
                          "}}\n",
                          below(draw, 100), cluster->pops[pop]->code, 1 + below(draw, 50));
        }
    }
}

static void test_swarm(void **state)
{
    (void)state;
    struct draw draw = {0};
    uint64_t operations = 0;
    const char *asked = getenv("PS_SWARM");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : SWARM;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        draw_scenario(&draw, seed);
        struct ps_scenario *scenario = scenario_of(ps_buf_text(&draw.yaml));
        draw_links(&draw, scenario);
        ps_scenario_destroy(scenario);
        scenario = scenario_of(ps_buf_text(&draw.yaml));
        struct ps_history *history = run_of(scenario, "");
        assert_verifies(history, ps_buf_text(&draw.yaml));
        operations += history->op_count;
        ps_history_destroy(history);
        ps_scenario_destroy(scenario);
    }
    assert_true(operations > seeds * 100);
    ps_buf_fini(&draw.yaml);
}

/* ---- the engine without a history ---- */

static void assert_same_figures(const struct ps_histogram *a, const struct ps_histogram *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

static void assert_same_measures(const struct ps_measures *a, const struct ps_measures *b)
{
    assert_int_equal(a->operations, b->operations);
    for (size_t s = 0; s < a->store_count; s++) {
        const struct ps_store_measures *x = &a->stores[s];
        const struct ps_store_measures *y = &b->stores[s];
        assert_int_equal(x->writes, y->writes);
        assert_int_equal(x->errors, y->errors);
        assert_int_equal(x->reads, y->reads);
        assert_int_equal(x->stale_reads, y->stale_reads);
        assert_int_equal(x->never_visible, y->never_visible);
        assert_memory_equal(x->behind, y->behind, sizeof x->behind);
        assert_memory_equal(x->curve, y->curve, sizeof x->curve);
        assert_same_figures(x->age, y->age);
        assert_same_figures(x->visibility, y->visibility);
        for (size_t p = 0; p < a->pop_count; p++) {
            assert_same_figures(x->visibility_by_pop[p], y->visibility_by_pop[p]);
        }
    }
}

/* Take from a drawn scenario what ps_world_measure does not do. */
static void open_up(struct ps_scenario *scenario)
{
    for (size_t w = 0; w < scenario->workload_count; w++) {
        struct ps_workload *workload = &scenario->workloads[w];
        if (workload->timing == PS_TIMING_CLIENTS) {
            workload->timing = PS_TIMING_EVERY;
            workload->every_ns = 700 * PS_MS;
        }
        for (size_t i = 0; i < workload->action_count; i++) {
            if (workload->actions[i].verb == PS_VERB_KV_LIST) {
                workload->actions[i].verb = PS_VERB_KV_GET;
                if (workload->actions[i].key.count == 0) { /* a prefix may be empty, a key not */
                    ps_text_init_literal(&workload->actions[i].key, PS_LIT("one"));
                }
            }
        }
    }
}

static void test_both_engines_measure_the_same(void **state)
{
    (void)state;
    struct draw draw = {0};
    const char *asked = getenv("PS_SWARM");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : SWARM;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        draw_scenario(&draw, seed);
        struct ps_scenario *scenario = scenario_of(ps_buf_text(&draw.yaml));
        draw_links(&draw, scenario);
        ps_scenario_destroy(scenario);
        scenario = scenario_of(ps_buf_text(&draw.yaml));
        open_up(scenario);
        struct ps_history *history = run_of(scenario, "");
        struct ps_measures *expected = ps_measures_create(history->cluster);
        struct ps_measures *got = NULL;
        struct ps_error err = {0};
        assert_int_equal(ps_measure(history, expected, &err), PS_OK);
        assert_int_equal(ps_world_measure(scenario, &got, &err), PS_OK);
        assert_same_measures(got, expected);
        ps_measures_destroy(got);
        ps_measures_destroy(expected);
        ps_history_destroy(history);
        ps_scenario_destroy(scenario);
    }
    ps_buf_fini(&draw.yaml);
}

static void test_what_needs_a_history_is_refused(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        scenario_of("duration: 1m\ncluster: {pops: [ams]}\nstores: {A: {type: kv}}\nworkload:\n"
                    "  - {clients: 1, think: 1s, pop: ams, kv.get: {store: A, key: k}}\n");
    struct ps_measures *measures = NULL;
    struct ps_error err = {0};
    assert_int_equal(ps_world_measure(scenario, &measures, &err), PS_UNSUPPORTED);
    assert_string_equal(err.text,
                        "this scenario needs its history to be measured: clients wait for "
                        "answers");
    ps_scenario_destroy(scenario);
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct draw draw = {0};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        char first[65];
        char second[65];
        char other[65];
        draw_scenario(&draw, seed);
        struct ps_scenario *scenario = scenario_of(ps_buf_text(&draw.yaml));
        struct ps_history *history = run_of(scenario, "");
        hash_of(history, first);
        ps_history_destroy(history);
        history = run_of(scenario, "");
        hash_of(history, second);
        ps_history_destroy(history);
        scenario->seed++;
        scenario->cluster.seed++;
        history = run_of(scenario, "");
        hash_of(history, other);
        ps_history_destroy(history);
        ps_scenario_destroy(scenario);
        assert_string_equal(first, second);
        assert_string_not_equal(first, other);
    }
    ps_buf_fini(&draw.yaml);
}

/* The bytes of a history are a promise to users: this one changes only with a reason in the
 * changelog. */
static void test_golden_history(void **state)
{
    (void)state;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/scenarios/kv-60s-visibility.yaml", PS_SOURCE_DIR);
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    assert_int_equal(ps_scenario_load(path, NULL, 0, &scenario, &err), PS_OK);
    struct ps_history *history = run_of(scenario, "");
    char hash[65];
    hash_of(history, hash);
    assert_string_equal(hash, "f9e6750ce78dc859ab0d59920d17dcc5d021a8c114e6ee85b88a8306885a9575");
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

/* ---- single effects ---- */

#define HEAD                                                                                       \
    "duration: 3m\ncluster: {pops: [ams, syd]}\nstores: {A: {type: kv, write_interval: 0}}\n"

static void test_a_crashed_pop_refuses_and_forgets(void **state)
{
    (void)state;
    struct ps_scenario *scenario = scenario_of(
        HEAD "workload:\n"
             "  - {name: w, at: [1s, 12s], pop: ams, kv.put: {store: A, key: k, value: v}}\n"
             "  - {name: r, every: 10s, from: 5s, pop: syd, kv.get: {store: A, key: k}}\n"
             "faults:\n  - {at: 24s, for: 2s, crash: {pop: syd}}\n");
    struct ps_history *history = run_of(scenario, "");
    const struct ps_op *pinned = op_at(history, "r/syd", 15 * PS_SECOND);
    assert_int_equal(pinned->error, PS_OK);
    assert_int_equal(pinned->lsn, 1); /* from its cache: filled at 5 s */
    assert_int_equal(pinned->boot, 1);
    const struct ps_op *down = op_at(history, "r/syd", 25 * PS_SECOND);
    assert_int_equal(down->error, PS_UNREACHABLE);
    assert_int_equal(down->complete_ns, down->invoke_ns);
    const struct ps_op *after = op_at(history, "r/syd", 35 * PS_SECOND);
    assert_int_equal(after->error, PS_OK);
    assert_int_equal(after->lsn, 2); /* the entry of 5 s would have lived until 65 s */
    assert_int_equal(after->boot, 2);
    assert_verifies(history, "");
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

static void test_home_down_delays_or_fails(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        scenario_of("duration: 3m\ncluster: {pops: [ams, syd]}\n"
                    "stores: {A: {type: kv, write_interval: 0, timeout: 10s}}\n"
                    "workload:\n"
                    "  - {name: early, at: 11s, pop: syd, kv.put: {store: A, key: k, value: v}}\n"
                    "  - {name: late, at: 25s, pop: syd, kv.put: {store: A, key: k, value: v}}\n"
                    "  - {name: read, at: 12s, pop: syd, kv.get: {store: A, key: other}}\n"
                    "  - {name: asks, at: 28s, pop: syd, kv.get: {store: A, key: third}}\n"
                    "faults:\n  - {at: 10s, for: 20s, crash: {pop: ams}}\n");
    struct ps_history *history = run_of(scenario, "");
    /* 20 s are over the time limit for who asks at their begin, and not for who asks near their
     * end. */
    const struct ps_op *early = op_at(history, "early/syd", 11 * PS_SECOND);
    assert_int_equal(early->error, PS_TIMEOUT);
    assert_int_equal(early->complete_ns, 21 * PS_SECOND);
    assert_int_equal(early->lsn, 0);
    const struct ps_op *late = op_at(history, "late/syd", 25 * PS_SECOND);
    assert_int_equal(late->error, PS_OK);
    assert_int_equal(late->eval_ns, 30 * PS_SECOND + 1);
    assert_true(late->complete_ns > 30 * PS_SECOND);
    const struct ps_op *read = op_at(history, "read/syd", 12 * PS_SECOND);
    assert_int_equal(read->error, PS_TIMEOUT);
    assert_int_equal(read->complete_ns, 22 * PS_SECOND);
    const struct ps_op *asks = op_at(history, "asks/syd", 28 * PS_SECOND);
    assert_int_equal(asks->error, PS_OK);
    assert_true(asks->complete_ns >= 30 * PS_SECOND);
    assert_verifies(history, "");
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

static void test_a_cut_link_fails_writes_and_fetches(void **state)
{
    (void)state;
    struct ps_scenario *scenario = scenario_of(
        "duration: 3m\ncluster: {pops: [ams, syd]}\n"
        "stores: {A: {type: kv, timeout: 7s}}\n"
        "workload:\n"
        "  - {name: w, at: 20s, pop: syd, kv.put: {store: A, key: k, value: v}}\n"
        "  - {name: r, every: 10s, from: 15s, count: 2, pop: syd, kv.get: {store: A, key: k}}\n"
        "  - {name: fresh, at: 25s, pop: syd, kv.get: {store: A, key: other}}\n"
        "faults:\n  - {at: 18s, for: 20s, partition: {pop: syd}}\n");
    struct ps_history *history = run_of(scenario, "");
    const struct ps_op *write = op_at(history, "w/syd", 20 * PS_SECOND);
    assert_int_equal(write->error, PS_UNREACHABLE);
    assert_int_equal(write->complete_ns, 27 * PS_SECOND);
    assert_int_equal(op_at(history, "r/syd", 25 * PS_SECOND)->error, PS_OK); /* from the cache */
    assert_int_equal(op_at(history, "fresh/syd", 25 * PS_SECOND)->error, PS_UNREACHABLE);
    assert_verifies(history, "");
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

static void test_a_closed_loop_thinks_after_each_answer(void **state)
{
    (void)state;
    struct ps_scenario *scenario = scenario_of(
        HEAD "workload:\n"
             "  - {name: c, clients: 2, think: 1s, count: 5, pop: syd, kv.put: {store: A, key: "
             "\"{seq}\", value: v}}\n");
    struct ps_history *history = run_of(scenario, "");
    assert_int_equal(history->op_count, 10);
    ps_time_ns last_ns[2] = {0, 0};
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        assert_true(op->session < 2);
        if (last_ns[op->session] != 0) {
            /* The answer may carry the tick of the PoP's clock: a nanosecond or two. */
            ps_dur_ns thought_ns = op->invoke_ns - last_ns[op->session];
            assert_true(thought_ns <= PS_SECOND && thought_ns + 100 > PS_SECOND);
        }
        last_ns[op->session] = op->complete_ns;
    }
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swarm),
        cmocka_unit_test(test_both_engines_measure_the_same),
        cmocka_unit_test(test_what_needs_a_history_is_refused),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_golden_history),
        cmocka_unit_test(test_a_crashed_pop_refuses_and_forgets),
        cmocka_unit_test(test_home_down_delays_or_fails),
        cmocka_unit_test(test_a_cut_link_fails_writes_and_fetches),
        cmocka_unit_test(test_a_closed_loop_thinks_after_each_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
