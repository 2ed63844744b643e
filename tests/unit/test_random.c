/* Chance: the published vectors, the functions with the same bits everywhere, bounds, streams. */
#include "replication/base/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* How far `got` is from the exact value, in units of the last place of a double there. */
static double ulps(double got, long double exact)
{
    int exponent;
    (void)frexpl(exact, &exponent);
    return (double)(fabsl((long double)got - exact) / ldexpl(1, exponent - DBL_MANT_DIG));
}

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
static void test_philox_known_answers(void **state)
{
    (void)state;

    static const struct {
        uint32_t counter[4];
        uint32_t key[2];
        uint32_t expected[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint32_t words[4];
        ps_philox4x32(vectors[i].counter, vectors[i].key, words);
        assert_memory_equal(words, vectors[i].expected, sizeof words);
    }
}

/* Where seed, stream and number go: the third vector, said in 64-bit words. */
static void test_draws_are_philox(void **state)
{
    (void)state;
    uint64_t words[2];
    ps_random_u64x2(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, words);
    assert_true(words[0] == 0x94fdccebd16cfe09);
    assert_true(words[1] == 0x24126ea15001e420);
    assert_true(ps_random_u64(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
                words[0]);
}

static void test_streams(void **state)
{
    (void)state;
    assert_true(ps_stream_of("delay", "CACHE", "syd") == ps_slice_hash(PS_LIT("delay/CACHE/syd")));
    assert_true(ps_stream_of("delay", NULL, NULL) == ps_slice_hash(PS_LIT("delay//")));
    assert_true(ps_stream_of("delay", NULL, "syd") == ps_slice_hash(PS_LIT("delay//syd")));

    struct ps_rng rng = {.seed = 7, .stream = ps_stream_of("test", "rng", NULL)};
    for (uint64_t n = 0; n < 100; n++) {
        uint64_t word = ps_random_u64(7, rng.stream, n);
        struct ps_rng at_n = {.seed = 7, .stream = rng.stream, .next = n};
        struct ps_rng same = at_n;
        assert_true(bits_of(ps_rng_unit(&at_n)) == bits_of(ps_unit_of(word)));
        assert_true(ps_rng_below(&same, 1000) == ps_below(word, 1000));
        assert_true(ps_rng_u64(&rng) == word);
        assert_true(rng.next == n + 1);
    }
}

/* One bit of the seed, the stream or the number changes half of the draw's bits. */
static void test_each_argument_counts(void **state)
{
    (void)state;

    enum { ROUNDS = 64 };

    unsigned changed[3] = {0};
    for (unsigned bit = 0; bit < ROUNDS; bit++) {
        uint64_t flip = UINT64_C(1) << bit;
        uint64_t plain = ps_random_u64(1, 2, 3);
        changed[0] += (unsigned)__builtin_popcountll(plain ^ ps_random_u64(1 ^ flip, 2, 3));
        changed[1] += (unsigned)__builtin_popcountll(plain ^ ps_random_u64(1, 2 ^ flip, 3));
        changed[2] += (unsigned)__builtin_popcountll(plain ^ ps_random_u64(1, 2, 3 ^ flip));
    }
    for (int i = 0; i < 3; i++) {
        /* 4096 fair coins: 2048 with a standard deviation of 32. */
        assert_in_range(changed[i], 2048 - 128, 2048 + 128);
    }
}

static void test_unit(void **state)
{
    (void)state;
    assert_true(ps_unit_of(0) == 0x1p-53);
    assert_true(ps_unit_of(UINT64_MAX) == 1 - 0x1p-53);
    assert_true(ps_unit_of(UINT64_C(1) << 63) == 0.5 + 0x1p-53);

    enum { DRAWS = 100000 };

    double sum = 0;
    double squares = 0;
    for (uint64_t n = 0; n < DRAWS; n++) {
        double u = ps_unit_of(ps_random_u64(11, 12, n));
        assert_true(u > 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    /* Four standard errors: of the mean 0.29 / sqrt(n), of the mean square 0.30 / sqrt(n). */
    assert_true(fabs(sum / DRAWS - 0.5) < 4 * 0.29 / sqrt(DRAWS));
    assert_true(fabs(squares / DRAWS - 1.0 / 3) < 4 * 0.30 / sqrt(DRAWS));
}

static void test_below(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {1, 2, 3, 10, 1000, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_true(ps_below(0, bounds[i]) == 0);
        assert_true(ps_below(UINT64_MAX, bounds[i]) == bounds[i] - 1);
        uint64_t before = 0;
        for (uint64_t step = 0; step < 64; step++) {
            uint64_t at = ps_below(step << 58, bounds[i]);
            assert_true(at >= before && at < bounds[i]);
            before = at;
        }
    }

    /* Chi-square over 10 cells, 9 degrees of freedom: 27.9 has a probability of 0.001. */
    enum { CELLS = 10, DRAWS = 100000 };

    unsigned cells[CELLS] = {0};
    for (uint64_t n = 0; n < DRAWS; n++) {
        cells[ps_below(ps_random_u64(5, 6, n), CELLS)]++;
    }
    double chi = 0;
    for (int i = 0; i < CELLS; i++) {
        double off = cells[i] - (double)DRAWS / CELLS;
        chi += off * off / ((double)DRAWS / CELLS);
    }
    assert_true(chi < 27.9);
}

enum { MATH_ROUNDS = 200000 };

static void test_log(void **state)
{
    (void)state;
    assert_true(ps_log(1) == 0);
    double worst = 0;
    struct ps_rng rng = {.seed = 1, .stream = 1};
    for (int i = 0; i < MATH_ROUNDS; i++) {
        /* Every exponent, subnormals too; and close to 1, where the result is small. */
        double far = ldexp(1 + ps_rng_unit(&rng), (int)ps_rng_below(&rng, 2097) - 1074);
        double near = 1 + (ps_rng_unit(&rng) - 0.5) * ldexp(1, -(int)ps_rng_below(&rng, 50));
        worst = fmax(worst, ulps(ps_log(far), logl((long double)far)));
        worst = near == 1 ? worst : fmax(worst, ulps(ps_log(near), logl((long double)near)));
    }
    assert_true(worst <= 2);
}

static void test_exp(void **state)
{
    (void)state;
    assert_true(ps_exp(0) == 1);
    assert_true(isfinite(ps_exp(709.7)));
    assert_true(isinf(ps_exp(709.71)) && isinf(ps_exp(1e300)));
    assert_true(ps_exp(-708) > 0 && ps_exp(-708.01) == 0 && ps_exp(-1e300) == 0);
    double worst = 0;
    struct ps_rng rng = {.seed = 2, .stream = 1};
    for (int i = 0; i < MATH_ROUNDS; i++) {
        double far = ps_rng_unit(&rng) * 1417.7 - 708;
        double near = (ps_rng_unit(&rng) - 0.5) * ldexp(1, -(int)ps_rng_below(&rng, 50));
        worst = fmax(worst, ulps(ps_exp(far), expl((long double)far)));
        worst = fmax(worst, ulps(ps_exp(near), expl((long double)near)));
    }
    assert_true(worst <= 2);
}

static void test_pow(void **state)
{
    (void)state;
    assert_true(ps_pow(1, 12345.678) == 1);
    assert_true(ps_pow(2, 0) == 1);
    struct ps_rng rng = {.seed = 3, .stream = 1};
    for (int i = 0; i < MATH_ROUNDS; i++) {
        double x = ldexp(1 + ps_rng_unit(&rng), (int)ps_rng_below(&rng, 60) - 30);
        double y = (ps_rng_unit(&rng) - 0.5) * 20;
        assert_true(ulps(ps_pow(x, y), powl((long double)x, (long double)y)) <=
                    2 + 3 * fabs(y * log(x)));
    }
}

/* The share of the standard normal distribution at or below x. */
static long double normal_share(long double x)
{
    return erfcl(-x / sqrtl(2)) / 2;
}

static void test_normal_quantile(void **state)
{
    (void)state;
    assert_true(ps_normal_quantile(0.5) == 0);
    /* Abramowitz and Stegun, table 26.5. */
    assert_true(fabs(ps_normal_quantile(0.975) - 1.959963984540054) < 1e-14);
    assert_true(fabs(ps_normal_quantile(0.99) - 2.326347874040841) < 1e-14);
    assert_true(fabs(ps_normal_quantile(0.999) - 3.090232306167813) < 1e-14);
    struct ps_rng rng = {.seed = 4, .stream = 1};
    for (int i = 0; i < MATH_ROUNDS / 4; i++) {
        double p = ps_rng_unit(&rng) * ldexp(1, -(int)ps_rng_below(&rng, 53));
        double x = ps_normal_quantile(p);
        /* An error of x by e changes the tail's share by about |x| e of it. */
        long double off = fabsl(normal_share((long double)x) - (long double)p) / (long double)p;
        assert_true((double)off < (4 + x * x) * 8 * DBL_EPSILON);
    }
    for (int k = 2; k < 50; k++) { /* 1 - 2^-k has no rounding */
        assert_true(ps_normal_quantile(ldexp(1, -k)) == -ps_normal_quantile(1 - ldexp(1, -k)));
    }
    double before = ps_normal_quantile(DBL_MIN);
    for (int i = 1; i < 1 << 20; i++) {
        double x = ps_normal_quantile(ldexp(i, -20));
        assert_true(x > before);
        before = x;
    }
}

/* Many draws at once are the draws one by one, wherever they begin and end. */
static void test_many_draws(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {0, 1, 5, UINT32_MAX - 7, UINT64_MAX - 100};
    uint64_t got[101];
    for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
        for (size_t count = 0; count <= 101; count++) {
            uint64_t stream = ps_stream_of("many", NULL, NULL) + f;
            got[count % 101] = 0;
            ps_random_many(77 + f, stream, firsts[f], count, got);
            for (size_t i = 0; i < count; i++) {
                assert_true(got[i] == ps_random_u64(77 + f, stream, firsts[f] + i));
            }
        }
    }
}

/* The bits themselves: they are the same in every build and on every machine, or a run would not
 * be. A change here changes every history that has such delays in it; say so in CHANGELOG.md. */
static void test_golden_bits(void **state)
{
    (void)state;
    struct ps_buf all = {0};
    struct ps_rng rng = {.seed = 9, .stream = ps_stream_of("golden", NULL, NULL)};
    for (int i = 0; i < 20000; i++) {
        double u = ps_rng_unit(&rng);
        double values[] = {ps_log(u), ps_log(u * 1e9), ps_exp(u * 60 - 30), ps_pow(1 + u, 7 * u),
                           ps_normal_quantile(u)};
        ps_buf_append(&all, values, sizeof values);
    }
    uint64_t hash = ps_slice_hash(ps_buf_slice(&all));
    ps_buf_fini(&all);
    assert_true(bits_of(ps_log(10)) == UINT64_C(0x40026bb1bbb55516));
    assert_true(bits_of(ps_exp(1)) == UINT64_C(0x4005bf0a8b145769));
    assert_true(bits_of(ps_pow(10, -0.3)) == UINT64_C(0x3fe009b9cf334252));
    assert_true(bits_of(ps_normal_quantile(0.99)) == UINT64_C(0x40029c5c4630ff0c));
    assert_true(hash == UINT64_C(0xa89aa9f1c73ee688));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_draws_are_philox),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_each_argument_counts),
        cmocka_unit_test(test_unit),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_pow),
        cmocka_unit_test(test_normal_quantile),
        cmocka_unit_test(test_many_draws),
        cmocka_unit_test(test_golden_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
