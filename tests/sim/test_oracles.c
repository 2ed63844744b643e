/* Staleness against closed forms.
 *
 * One key, Poisson writes of rate u, Poisson reads of rate l at one PoP. The forms are those of a
 * renewal argument (PASTA): a cache's entry lives T from the read that filled it; under push a
 * version shows when it, or any newer one, has arrived (order none), or when it and all older ones
 * have (fifo: M/G/inf is empty). Each figure is the mean of independent runs; it may lie at most
 * four standard errors off. */
#include "replication/base/memory.h"
#include "sim/world/world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RUNS = 40 };

struct oracle {
    const char *store; /* of the scenario */
    const char *pop;   /* where is read */
    double writes_hz;
    double reads_hz;
    double minutes;
};

typedef double (*figure_fn)(const struct ps_measures *measures, size_t pop);

static struct ps_measures *run(const struct oracle *oracle, uint64_t seed, size_t *ret_pop)
{
    struct ps_buf yaml = {0};
    ps_buf_printf(&yaml,
                  "seed: %llu\nduration: %.0fm\ncluster: {pops: [ams, fra], home: ams}\n"
                  "stores: {A: {type: kv, write_interval: 0, %s}}\n"
                  "workload:\n"
                  "  - {name: w, rate: %.6f, pop: fra, kv.put: {store: A, key: k, value: v}}\n"
                  "  - {name: r, rate: %.6f, pop: %s, kv.get: {store: A, key: k}}\n",
                  (unsigned long long)seed, oracle->minutes, oracle->store, oracle->writes_hz,
                  oracle->reads_hz, oracle->pop);
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    if (ps_scenario_parse(ps_buf_slice(&yaml), NULL, NULL, 0, &scenario, &err) != PS_OK) {
        fail_msg("%s\n%s", err.text, ps_buf_text(&yaml));
    }
    struct ps_measures *measures = NULL;
    assert_int_equal(ps_world_measure(scenario, &measures, &err), PS_OK);
    *ret_pop = (size_t)ps_cluster_find_pop(&scenario->cluster, ps_slice_of(oracle->pop));
    ps_scenario_destroy(scenario);
    ps_buf_fini(&yaml);
    return measures;
}

static void check(const struct oracle *oracle, const char *name, figure_fn figure, double expected)
{
    double sum = 0;
    double squares = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        size_t pop;
        struct ps_measures *measures = run(oracle, seed, &pop);
        double x = figure(measures, pop);
        sum += x;
        squares += x * x;
        ps_measures_destroy(measures);
    }
    double mean = sum / RUNS;
    double error = sqrt((squares / RUNS - mean * mean) / (RUNS - 1));
    assert_true(error > 0);
    assert_true(error < expected / 20); /* sharp enough to say something */
    double z = (mean - expected) / error;
    if (!(z <= 4 && z >= -4)) {
        fail_msg("%s: %.6f, expected %.6f, z = %.1f", name, mean, expected, z);
    }
}

static double stale(const struct ps_measures *measures, size_t pop)
{
    (void)pop;
    return (double)measures->stores[0].stale_reads / (double)measures->stores[0].reads;
}

/* Mean staleness over all reads, in seconds. */
static double age(const struct ps_measures *measures, size_t pop)
{
    (void)pop;
    const struct ps_histogram *ages = measures->stores[0].age;
    return ps_histogram_mean(ages) * (double)ages->count / (double)measures->stores[0].reads / 1e9;
}

static double behind(const struct ps_measures *measures, size_t pop)
{
    (void)pop;
    const struct ps_store_measures *store = &measures->stores[0];
    double sum = 0;
    for (size_t i = 0; i <= PS_BEHIND_MAX; i++) {
        sum += (double)i * (double)store->behind[i];
    }
    return sum / (double)store->reads;
}

static double visible_after(const struct ps_measures *measures, size_t pop)
{
    return ps_histogram_mean(measures->stores[0].visibility_by_pop[pop]) / 1e9;
}

static void test_ttl_cache(void **state)
{
    (void)state;
    static const double rates[][2] = {{0.02, 0.05}, {0.05, 0.2}, {0.01, 1}};
    for (size_t i = 0; i < 3; i++) {
        double u = rates[i][0];
        double l = rates[i][1];
        double ttl = 60;
        /* At home's PoP the round trip is nothing: a fetch reads home at its own instant. */
        struct oracle oracle = {"policy: cache, ttl: 60s, own_writes: false", "ams", u, l, 900};
        double cycle = 1 + l * ttl;
        double g = ttl - (1 - exp(-u * ttl)) / u;
        check(&oracle, "P(stale)", stale, l * g / cycle);
        check(&oracle, "E Z", age,
              l / cycle * (ttl * ttl / 2 - ttl / u + (1 - exp(-u * ttl)) / (u * u)));
        check(&oracle, "E K", behind, l * u * ttl * ttl / 2 / cycle);
        /* A write meets a live entry with probability lT / (1 + lT), which then has T / 2 to live.
         */
        check(&oracle, "E window", visible_after, l * ttl / cycle * ttl / 2);
    }
}

static void test_push_unordered(void **state)
{
    (void)state;
    struct oracle oracle = {"policy: push, order: none, delay: {exponential: {mean: 200ms}}", "fra",
                            1, 5, 120};
    check(&oracle, "exponential", stale, 1 / (1 + 5.0));
    oracle.store = "policy: push, order: none, delay: {uniform: [0s, 2s]}";
    check(&oracle, "uniform", stale, 1 - (1 - exp(-2.0)) / 2);
    oracle.store = "policy: push, order: none, delay: 700ms";
    check(&oracle, "constant", stale, 1 - exp(-0.7));
}

static void test_push_fifo(void **state)
{
    (void)state;
    /* 1 - exp(-u E D), whatever the distribution. */
    struct oracle oracle = {"policy: push, order: fifo, delay: {exponential: {mean: 200ms}}", "fra",
                            1, 5, 120};
    check(&oracle, "exponential", stale, 1 - exp(-0.2));
    oracle.store = "policy: push, order: fifo, delay: {uniform: [0s, 2s]}";
    check(&oracle, "uniform", stale, 1 - exp(-1.0));
    /* Mean visible delay of exponential delays, r = u / h: (Ein(r) + (1 - e^-r) / r) / h; r = 2
     * here. */
    oracle.store = "policy: push, order: fifo, delay: {exponential: {mean: 2s}}";
    double ein = 0; /* Ein(2) by its series */
    double term = 1;
    for (int k = 1; k < 40; k++) {
        term *= -2.0 / k;
        ein -= term / k;
    }
    check(&oracle, "mean visibility", visible_after, 2 * (ein + (1 - exp(-2.0)) / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ttl_cache),
        cmocka_unit_test(test_push_unordered),
        cmocka_unit_test(test_push_fifo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
