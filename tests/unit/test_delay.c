/* Delays: what is drawn against what the distribution says, its bounds, and what is refused. */
#include "replication/base/memory.h"
#include "replication/world/delay.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define CENTURY (100 * 366 * PS_DAY)

enum { DRAWS = 20000 };

static struct ps_delay constant(ps_dur_ns value_ns)
{
    return (struct ps_delay){.kind = PS_DELAY_CONSTANT, .constant = {value_ns}};
}

static struct ps_delay uniform(ps_dur_ns from_ns, ps_dur_ns to_ns)
{
    return (struct ps_delay){.kind = PS_DELAY_UNIFORM, .uniform = {from_ns, to_ns}};
}

static struct ps_delay exponential(ps_dur_ns mean_ns, ps_dur_ns min_ns)
{
    return (struct ps_delay){.kind = PS_DELAY_EXPONENTIAL, .exponential = {mean_ns, min_ns}};
}

static struct ps_delay lognormal(ps_dur_ns median_ns, double sigma)
{
    return (struct ps_delay){.kind = PS_DELAY_LOGNORMAL, .lognormal = {median_ns, sigma}};
}

static struct ps_delay pareto(ps_dur_ns scale_ns, double shape)
{
    return (struct ps_delay){.kind = PS_DELAY_PARETO, .pareto = {scale_ns, shape}};
}

/* Takes the parts over. */
static struct ps_delay mixture(size_t count, const double *weights, const struct ps_delay *parts)
{
    struct ps_delay delay = {.kind = PS_DELAY_MIXTURE,
                             .mixture = {.parts = PS_NEW_ARRAY(struct ps_delay, count),
                                         .weights = PS_NEW_ARRAY(double, count),
                                         .count = count}};
    memcpy(delay.mixture.parts, parts, count * sizeof *parts);
    memcpy(delay.mixture.weights, weights, count * sizeof *weights);
    return delay;
}

static struct ps_delay empirical(size_t count, const ps_dur_ns *samples)
{
    struct ps_delay delay = {.kind = PS_DELAY_EMPIRICAL,
                             .empirical = {PS_NEW_ARRAY(ps_dur_ns, count), count}};
    memcpy(delay.empirical.samples, samples, count * sizeof *samples);
    return delay;
}

static const ps_dur_ns measured_ns[] = {10 * PS_MS, 11 * PS_MS, 11 * PS_MS,  12 * PS_MS,
                                        20 * PS_MS, 90 * PS_MS, 500 * PS_MS, 3 * PS_SECOND};

enum { KINDS = 13 };

/* One of each form, and those that have an edge. */
static struct ps_delay sample(int kind)
{
    struct ps_delay delay;
    switch (kind) {
    case 0:
        return constant(70 * PS_MS);
    case 1:
        return uniform(10 * PS_MS, 90 * PS_MS);
    case 2:
        return uniform(10 * PS_MS, 10 * PS_MS);
    case 3:
        return exponential(40 * PS_MS, 0);
    case 4:
        return exponential(40 * PS_MS, 25 * PS_MS);
    case 5:
        return lognormal(107 * PS_MS, 0.375);
    case 6:
        return lognormal(PS_SECOND, 2);
    case 7:
        return pareto(20 * PS_MS, 3);
    case 8:
        return pareto(PS_MS, 0.7); /* without a mean */
    case 9:
        return empirical(COUNT(measured_ns), measured_ns);
    case 10:
        return empirical(1, measured_ns);
    case 11:
        return mixture(3, (const double[]){0.5, 0.3, 0.2},
                       (const struct ps_delay[]){uniform(0, 10 * PS_MS), lognormal(PS_SECOND, 0.5),
                                                 exponential(PS_MS, 5 * PS_MS)});
    default:
        delay = lognormal(107 * PS_MS, 1.5);
        delay.max_ns = 300 * PS_MS;
        return delay;
    }
}

static int ascending(const void *left, const void *right)
{
    const ps_dur_ns *a = left;
    const ps_dur_ns *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Sorted draws 0 .. DRAWS - 1. The caller's, by free(). */
static ps_dur_ns *draw(const struct ps_delay *delay, uint64_t seed)
{
    ps_stream stream = ps_stream_of("test", "delay", NULL);
    ps_dur_ns *draws = PS_NEW_ARRAY(ps_dur_ns, DRAWS);
    for (size_t n = 0; n < DRAWS; n++) {
        draws[n] = ps_delay_draw(delay, seed, stream, n);
    }
    qsort(draws, DRAWS, sizeof *draws, ascending);
    return draws;
}

/* Kolmogorov and Smirnov: the share of draws at or below x is nowhere further from the distribution
 * function than 1.95 / sqrt(n), but for one sample in a thousand. The seed is fixed. */
static void test_draws_follow_their_quantiles(void **state)
{
    (void)state;
    double band = 1.95 / sqrt(DRAWS);
    for (int kind = 0; kind < KINDS; kind++) {
        struct ps_delay delay = sample(kind);
        struct ps_error err;
        assert_int_equal(ps_delay_check(&delay, &err), PS_OK);
        ps_dur_ns *draws = draw(&delay, 17);
        for (size_t i = 0; i < DRAWS; i += 97) {
            double below = (double)i / DRAWS - band;
            double above = (double)(i + 1) / DRAWS + band;
            if (below > 0) {
                assert_true(draws[i] >= ps_delay_quantile(&delay, below));
            }
            if (above < 1) {
                assert_true(draws[i] <= ps_delay_quantile(&delay, above));
            }
        }
        free(draws);
        ps_delay_fini(&delay);
    }
}

static double mean_of(const struct ps_delay *delay)
{
    ps_dur_ns *draws = draw(delay, 23);
    double sum = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        sum += (double)draws[i];
    }
    free(draws);
    return sum / DRAWS;
}

/* Within four standard errors; `deviation_ns` is that of the distribution. */
static void check_mean(struct ps_delay delay, double mean_ns, double deviation_ns)
{
    assert_true(fabs(mean_of(&delay) - mean_ns) <= 4 * deviation_ns / sqrt(DRAWS) + 0.5);
    ps_delay_fini(&delay);
}

static void test_means(void **state)
{
    (void)state;
    check_mean(constant(7), 7, 0);
    check_mean(uniform(10 * PS_MS, 90 * PS_MS), 50e6, 80e6 / sqrt(12));
    check_mean(exponential(40 * PS_MS, 25 * PS_MS), 65e6, 40e6);
    double s2 = 0.375 * 0.375;
    double mean_ns = 107e6 * exp(s2 / 2);
    check_mean(lognormal(107 * PS_MS, 0.375), mean_ns, mean_ns * sqrt(exp(s2) - 1));
    check_mean(pareto(20 * PS_MS, 3), 30e6, 20e6 * sqrt(3.0 / 4));
    check_mean(mixture(2, (const double[]){0.25, 0.75},
                       (const struct ps_delay[]){constant(100), constant(200)}),
               175, 50);
    /* The middles of the two gaps between three samples, each as likely. */
    check_mean(empirical(3, (const ps_dur_ns[]){0, 100, 1000}), 300, 300);
}

/* The quantile functions against the formulas, by the C library's functions. */
static void test_quantiles_by_formula(void **state)
{
    (void)state;
    for (int i = 1; i < 1000; i++) {
        double p = i / 1000.0;
        struct ps_delay e = exponential(40 * PS_MS, 25 * PS_MS);
        assert_true(fabs((double)ps_delay_quantile(&e, p) - (25e6 - 40e6 * log1p(-p))) <= 1);
        struct ps_delay u = uniform(10, 1000010);
        assert_true(fabs((double)ps_delay_quantile(&u, p) - (10 + 1e6 * p)) <= 1);
        struct ps_delay t = pareto(20 * PS_MS, 3);
        assert_true(fabs((double)ps_delay_quantile(&t, p) - 20e6 * pow(1 - p, -1.0 / 3)) <= 1);
        struct ps_delay n = lognormal(107 * PS_MS, 0.375);
        double share = erfc(-log((double)ps_delay_quantile(&n, p) / 107e6) / 0.375 / sqrt(2)) / 2;
        assert_true(fabs(share - p) < 1e-7);
    }
    struct ps_delay m = empirical(COUNT(measured_ns), measured_ns);
    assert_true(ps_delay_quantile(&m, 1.0 / 7) == 11 * PS_MS);
    assert_true(ps_delay_quantile(&m, 0.5) == 16 * PS_MS); /* half-way between 12 and 20 */
    assert_true(ps_delay_quantile(&m, 1 - 0x1p-53) <= 3 * PS_SECOND);
    ps_delay_fini(&m);
}

static void test_quantiles_of_mixtures(void **state)
{
    (void)state;
    struct ps_delay two =
        mixture(2, (const double[]){0.25, 0.75},
                (const struct ps_delay[]){constant(10 * PS_MS), constant(PS_SECOND)});
    assert_true(ps_delay_quantile(&two, 0.001) == 10 * PS_MS);
    assert_true(ps_delay_quantile(&two, 0.249) == 10 * PS_MS);
    assert_true(ps_delay_quantile(&two, 0.251) == PS_SECOND);
    assert_true(ps_delay_quantile(&two, 0.999) == PS_SECOND);
    ps_delay_fini(&two);
    /* Halves that lie one behind the other are the whole. */
    struct ps_delay halves =
        mixture(2, (const double[]){0.5, 0.5},
                (const struct ps_delay[]){uniform(0, 500), uniform(500, 1000)});
    for (int i = 1; i < 100; i++) {
        double off = (double)ps_delay_quantile(&halves, i / 100.0) - 10.0 * i;
        assert_true(fabs(off) <= 2);
    }
    ps_delay_fini(&halves);
}

/* A draw is a function of (seed, stream, n) and of nothing else. */
static void test_draws_are_pure(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct ps_delay delay = sample(kind);
        struct ps_delay copy;
        ps_delay_copy(&copy, &delay);
        size_t differ[3] = {0};
        for (uint64_t n = 1000; n-- > 0;) {
            ps_dur_ns drawn_ns = ps_delay_draw(&delay, 1, 2, n);
            assert_true(ps_delay_draw(&copy, 1, 2, n) == drawn_ns);
            differ[0] += ps_delay_draw(&delay, 3, 2, n) != drawn_ns;
            differ[1] += ps_delay_draw(&delay, 1, 4, n) != drawn_ns;
            differ[2] += ps_delay_draw(&delay, 1, 2, n + 1) != drawn_ns;
        }
        bool fixed = ps_delay_quantile(&delay, 0.01) == ps_delay_quantile(&delay, 0.99);
        for (int i = 0; i < 3; i++) {
            assert_true(fixed ? differ[i] == 0 : differ[i] > 700);
        }
        ps_dur_ns many[150];
        for (size_t count = 0; count <= 150; count += 25) {
            ps_delay_draw_many(&delay, 1, 2, 7, count, many);
            for (size_t i = 0; i < count; i++) {
                assert_true(many[i] == ps_delay_draw(&delay, 1, 2, 7 + i));
            }
        }
        ps_delay_fini(&delay);
        ps_delay_fini(&copy);
        assert_true(copy.kind == PS_DELAY_CONSTANT && copy.constant.value_ns == 0);
    }
}

/* No draw is below ps_delay_min; where draws come close to it, no larger bound would hold. */
static void test_min(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct ps_delay delay = sample(kind);
        ps_dur_ns *draws = draw(&delay, 29);
        ps_dur_ns min_ns = ps_delay_min(&delay);
        assert_true(draws[0] >= min_ns);
        assert_true(ps_delay_quantile(&delay, 1e-12) >= min_ns);
        if (delay.kind != PS_DELAY_LOGNORMAL) {
            assert_true(ps_delay_quantile(&delay, 1e-12) - min_ns <= min_ns / 1000000 + 1);
        }
        free(draws);
        ps_delay_fini(&delay);
    }
    struct ps_delay clamped = constant(PS_SECOND);
    clamped.max_ns = PS_MS;
    assert_true(ps_delay_min(&clamped) == PS_MS);
}

static void test_clamps(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct ps_delay delay = sample(kind);
        struct ps_delay clamped;
        ps_delay_copy(&clamped, &delay);
        clamped.max_ns = 50 * PS_MS;
        delay.max_ns = 0;
        for (uint64_t n = 0; n < 2000; n++) {
            ps_dur_ns free_ns = ps_delay_draw(&delay, 5, 6, n);
            ps_dur_ns drawn_ns = ps_delay_draw(&clamped, 5, 6, n);
            assert_true(drawn_ns == ps_time_min(free_ns, 50 * PS_MS));
        }
        assert_true(ps_delay_quantile(&clamped, 0.9999) <= 50 * PS_MS);
        ps_delay_fini(&delay);
        ps_delay_fini(&clamped);
    }
    /* A part has a clamp of its own. */
    struct ps_delay part = pareto(PS_MS, 0.5);
    part.max_ns = 2 * PS_MS;
    struct ps_delay both = mixture(2, (const double[]){0.5, 0.5},
                                   (const struct ps_delay[]){part, constant(9 * PS_MS)});
    ps_dur_ns *draws = draw(&both, 31);
    for (size_t i = 0; i < DRAWS; i++) {
        assert_true(draws[i] <= 2 * PS_MS || draws[i] == 9 * PS_MS);
    }
    free(draws);
    both.max_ns = 5 * PS_MS;
    assert_true(ps_delay_quantile(&both, 0.9) == 5 * PS_MS);
    assert_true(ps_delay_quantile(&both, 0.49) == 2 * PS_MS);
    ps_delay_fini(&both);
}

/* Whatever passes the check gives delays of at most two centuries, at any probability. */
static void test_extremes(void **state)
{
    (void)state;
    const struct ps_delay extremes[] = {
        constant(CENTURY),      uniform(0, CENTURY), exponential(CENTURY, CENTURY),
        lognormal(CENTURY, 20), lognormal(1, 20),    lognormal(0, 20),
        pareto(CENTURY, 0.01),  pareto(1, 0.01),     pareto(0, 0.01),
        pareto(0, 1000),        exponential(0, 0),   lognormal(5, 0),
    };
    static const double shares[] = {0x1p-53, 1e-9, 0.5, 0.999, 0.99999, 1 - 0x1p-53};
    for (size_t i = 0; i < COUNT(extremes); i++) {
        struct ps_error err;
        assert_int_equal(ps_delay_check(&extremes[i], &err), PS_OK);
        ps_dur_ns before_ns = 0;
        for (size_t k = 0; k < COUNT(shares); k++) {
            ps_dur_ns at_ns = ps_delay_quantile(&extremes[i], shares[k]);
            assert_true(at_ns >= before_ns && at_ns <= 2 * CENTURY);
            before_ns = at_ns;
        }
    }
    /* Nothing times whatever is nothing. */
    for (size_t k = 0; k < COUNT(shares); k++) {
        struct ps_delay nothing = pareto(0, 0.01);
        assert_true(ps_delay_quantile(&nothing, shares[k]) == 0);
        struct ps_delay median = lognormal(5, 0);
        assert_true(ps_delay_quantile(&median, shares[k]) == 5);
    }
}

static void test_two_quantiles(void **state)
{
    (void)state;
    struct ps_delay delay = ps_delay_from_p50_p99(107 * PS_MS, 256 * PS_MS);
    assert_int_equal(delay.kind, PS_DELAY_LOGNORMAL);
    assert_true(fabs(delay.lognormal.sigma - 0.375) < 0.0005);
    assert_true(ps_delay_quantile(&delay, 0.5) == 107 * PS_MS);
    assert_true(fabs((double)ps_delay_quantile(&delay, 0.99) - 256e6) <= 1);
    delay = ps_delay_from_p50_p99(PS_MS, PS_MS);
    assert_true(ps_delay_quantile(&delay, 0.01) == PS_MS);
    assert_true(ps_delay_quantile(&delay, 0.99) == PS_MS);
}

static void check_refused(struct ps_delay delay, const char *text)
{
    struct ps_error err = {0};
    assert_int_equal(ps_delay_check(&delay, &err), PS_INVALID);
    assert_string_equal(err.text, text);
    assert_int_equal(ps_delay_check(&delay, NULL), PS_INVALID);
    ps_delay_fini(&delay);
}

static void test_check(void **state)
{
    (void)state;
    static const char mixed[] = "a mixture's weights add up to 1";
    check_refused(constant(CENTURY + 1), "a delay is below 100 years");
    check_refused(uniform(2, 1), "uniform: from <= to is expected, below 100 years");
    check_refused(uniform(0, CENTURY + 1), "uniform: from <= to is expected, below 100 years");
    check_refused(exponential(CENTURY + 1, 0), "exponential: mean and min are below 100 years");
    check_refused(exponential(0, CENTURY + 1), "exponential: mean and min are below 100 years");
    check_refused(lognormal(1, -0.1), "lognormal: sigma from 0 to 20 is expected");
    check_refused(lognormal(1, 20.1), "lognormal: sigma from 0 to 20 is expected");
    check_refused(lognormal(1, (double)NAN), "lognormal: sigma from 0 to 20 is expected");
    check_refused(lognormal(CENTURY + 1, 1), "lognormal: the median is below 100 years");
    check_refused(pareto(1, 0), "pareto: a shape from 0.01 to 1000 is expected");
    check_refused(pareto(1, 1001), "pareto: a shape from 0.01 to 1000 is expected");
    check_refused(pareto(1, (double)NAN), "pareto: a shape from 0.01 to 1000 is expected");
    check_refused(pareto(CENTURY + 1, 1), "pareto: the scale is below 100 years");
    check_refused((struct ps_delay){.kind = PS_DELAY_EMPIRICAL}, "1 to 65536 samples are expected");
    check_refused(empirical(2, (const ps_dur_ns[]){2, 1}),
                  "samples ascend and are below 100 years");
    check_refused(empirical(1, (const ps_dur_ns[]){CENTURY + 1}),
                  "samples ascend and are below 100 years");
    check_refused((struct ps_delay){.kind = PS_DELAY_MIXTURE}, "a mixture has 1 to 8 parts");
    const double ninth[9] = {1. / 9, 1. / 9, 1. / 9, 1. / 9, 1. / 9,
                             1. / 9, 1. / 9, 1. / 9, 1. / 9};
    check_refused(mixture(9, ninth, (const struct ps_delay[9]){{0}}), "a mixture has 1 to 8 parts");
    const struct ps_delay plain[2] = {{0}};
    check_refused(mixture(2, (const double[]){0.5, 0.6}, plain), mixed);
    check_refused(mixture(2, (const double[]){0.5, 0.4}, plain), mixed);
    check_refused(mixture(2, (const double[]){0.5, (double)INFINITY}, plain), mixed);
    check_refused(mixture(2, (const double[]){1, 0}, plain), "a mixture's weights are positive");
    check_refused(mixture(2, (const double[]){1.5, -0.5}, plain),
                  "a mixture's weights are positive");
    check_refused(mixture(2, (const double[]){0.5, (double)NAN}, plain),
                  "a mixture's weights are positive");
    check_refused(mixture(2, (const double[]){0.5, 0.5},
                          (const struct ps_delay[]){constant(1), uniform(2, 1)}),
                  "uniform: from <= to is expected, below 100 years");
    struct ps_delay inner = mixture(1, (const double[]){1}, plain);
    check_refused(mixture(1, (const double[]){1}, &inner), "a mixture's part is no mixture itself");
    struct ps_delay unknown = {.kind = (enum ps_delay_kind)99};
    struct ps_error err;
    assert_int_equal(ps_delay_check(&unknown, &err), PS_INVALID);
    assert_string_equal(err.text, "unknown delay distribution");
}

static void check_format(struct ps_delay delay, const char *expected)
{
    struct ps_buf buf = {0};
    ps_delay_format(&buf, &delay);
    assert_string_equal(ps_buf_text(&buf), expected);
    ps_buf_fini(&buf);
    ps_delay_fini(&delay);
}

static void test_format(void **state)
{
    (void)state;
    check_format(constant(0), "constant(0ns)");
    check_format(uniform(PS_MS, PS_SECOND), "uniform(1ms, 1s)");
    check_format(exponential(PS_SECOND, PS_MS), "exponential(mean 1s, min 1ms)");
    check_format(ps_delay_from_p50_p99(107 * PS_MS, 256 * PS_MS),
                 "lognormal(p50 107ms, sigma 0.375)");
    check_format(pareto(PS_MS, 1.5), "pareto(scale 1ms, shape 1.5)");
    check_format(empirical(COUNT(measured_ns), measured_ns), "empirical(8 samples)");
    struct ps_delay delay = uniform(0, PS_SECOND);
    delay.max_ns = 500 * PS_MS;
    check_format(delay, "uniform(0ns, 1s, max 500ms)");
    check_format(mixture(2, (const double[]){0.9, 0.1},
                         (const struct ps_delay[]){constant(PS_MS), uniform(0, PS_SECOND)}),
                 "mixture(0.9 constant(1ms), 0.1 uniform(0ns, 1s))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_follow_their_quantiles),
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_quantiles_by_formula),
        cmocka_unit_test(test_quantiles_of_mixtures),
        cmocka_unit_test(test_draws_are_pure),
        cmocka_unit_test(test_min),
        cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_two_quantiles),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
