/* Histograms against sorted arrays. */
#include "replication/base/histogram.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 5000 };

static int ascending(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Value i of a shape: small, of every magnitude, all equal, or a few far apart. */
static uint64_t value_of(int shape, struct ps_rng *rng)
{
    switch (shape) {
    case 0:
        return ps_rng_below(rng, 300);
    case 1:
        return ps_rng_u64(rng) >> ps_rng_below(rng, 64);
    case 2:
        return 123456789;
    case 3:
        return ps_rng_below(rng, 2) == 0 ? 0 : UINT64_MAX;
    default:
        return 60 * PS_SECOND - ps_rng_below(rng, PS_MS);
    }
}

enum { SHAPES = 5 };

static const double quantiles[] = {0, 1e-9, 0.001, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};

static void test_quantiles(void **state)
{
    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        struct ps_rng rng = {.seed = 3, .stream = (ps_stream)shape};
        struct ps_histogram *histogram = PS_NEW(struct ps_histogram);
        uint64_t *values = PS_NEW_ARRAY(uint64_t, VALUES);
        ps_u128 sum = 0;
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = value_of(shape, &rng);
            sum += values[i];
            ps_histogram_record(histogram, values[i], 1);
        }
        qsort(values, VALUES, sizeof values[0], ascending);
        assert_true(histogram->count == VALUES);
        assert_true(histogram->sum == sum);
        assert_true(histogram->min == values[0]);
        assert_true(histogram->max == values[VALUES - 1]);
        assert_true(ps_histogram_mean(histogram) == (double)sum / VALUES);
        for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
            /* The smallest value with at least the share q at or below it. */
            size_t rank = 1;
            while ((double)rank < quantiles[i] * VALUES) {
                rank++;
            }
            uint64_t exact = values[rank - 1];
            uint64_t got = ps_histogram_quantile(histogram, quantiles[i]);
            assert_true(got >= exact);
            assert_true(got - exact <= exact / 256);
            assert_true(got <= histogram->max);
        }
        assert_true(ps_histogram_quantile(histogram, 0) == values[0]);
        assert_true(ps_histogram_quantile(histogram, 1) == values[VALUES - 1]);
        free(values);
        free(histogram);
    }
}

/* Any split over any number of histograms, merged, is what recording all in one gives. */
static void test_merge(void **state)
{
    (void)state;

    enum { PARTS = 4 };

    for (int shape = 0; shape < SHAPES; shape++) {
        struct ps_rng rng = {.seed = 4, .stream = (ps_stream)shape};
        struct ps_histogram *parts = PS_NEW_ARRAY(struct ps_histogram, PARTS);
        struct ps_histogram *all = PS_NEW(struct ps_histogram);
        struct ps_histogram *merged = PS_NEW(struct ps_histogram);
        for (size_t i = 0; i < VALUES; i++) {
            uint64_t value = value_of(shape, &rng);
            uint64_t times = ps_rng_below(&rng, 3);      /* 0 records nothing */
            size_t part = ps_rng_below(&rng, PARTS - 1); /* the last one stays empty */
            ps_histogram_record(&parts[part], value, times);
            ps_histogram_record(all, value, times);
        }
        for (size_t i = 0; i < PARTS; i++) {
            ps_histogram_merge(merged, &parts[i]);
        }
        assert_memory_equal(merged, all, sizeof *all);
        free(parts);
        free(all);
        free(merged);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct ps_histogram *histogram = PS_NEW(struct ps_histogram);
    ps_histogram_record(histogram, 5, 0);
    assert_true(histogram->count == 0);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        assert_true(ps_histogram_quantile(histogram, quantiles[i]) == 0);
    }
    assert_true(ps_histogram_mean(histogram) == 0);
    free(histogram);
}

/* `times` is many calls in one; sums beyond 64 bits are exact. */
static void test_times(void **state)
{
    (void)state;
    struct ps_histogram *once = PS_NEW(struct ps_histogram);
    struct ps_histogram *often = PS_NEW(struct ps_histogram);
    ps_histogram_record(once, 77, 100);
    ps_histogram_record(once, UINT64_MAX, 3);
    for (int i = 0; i < 100; i++) {
        ps_histogram_record(often, 77, 1);
    }
    for (int i = 0; i < 3; i++) {
        ps_histogram_record(often, UINT64_MAX, 1);
    }
    assert_memory_equal(once, often, sizeof *once);
    assert_true(once->sum == (ps_u128)UINT64_MAX * 3 + 7700);
    assert_true(ps_histogram_quantile(once, 0.5) == 77);
    assert_true(ps_histogram_quantile(once, 0.99) == UINT64_MAX);
    free(once);
    free(often);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
