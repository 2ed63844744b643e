#include "replication/base/random.h"

#include "replication/base/assert.h"

#include <string.h>

/* Philox4x32-10: constants and round function as published (see the header). */
enum { PHILOX_ROUNDS = 10 };

#define PHILOX_M0 0xD2511F53U
#define PHILOX_M1 0xCD9E8D57U
#define PHILOX_W0 0x9E3779B9U
#define PHILOX_W1 0xBB67AE85U

void ps_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4])
{
    uint32_t c0 = counter[0];
    uint32_t c1 = counter[1];
    uint32_t c2 = counter[2];
    uint32_t c3 = counter[3];
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    ret[0] = c0;
    ret[1] = c1;
    ret[2] = c2;
    ret[3] = c3;
}

ps_stream ps_stream_of(const char *purpose, const char *a, const char *b)
{
    struct ps_buf name = {0};
    ps_buf_append_text(&name, purpose);
    ps_buf_append_char(&name, '/');
    ps_buf_append_text(&name, a == NULL ? "" : a);
    ps_buf_append_char(&name, '/');
    ps_buf_append_text(&name, b == NULL ? "" : b);
    ps_stream stream = ps_slice_hash(ps_buf_slice(&name));
    ps_buf_fini(&name);
    return stream;
}

void ps_random_u64x2(uint64_t seed, ps_stream stream, uint64_t n, uint64_t ret[2])
{
    const uint32_t counter[4] = {(uint32_t)n, (uint32_t)(n >> 32), (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    ps_philox4x32(counter, key, words);
    ret[0] = words[0] | (uint64_t)words[1] << 32;
    ret[1] = words[2] | (uint64_t)words[3] << 32;
}

uint64_t ps_random_u64(uint64_t seed, ps_stream stream, uint64_t n)
{
    uint64_t words[2];
    ps_random_u64x2(seed, stream, n, words);
    return words[0];
}

double ps_unit_of(uint64_t word)
{
    /* 52 bits and a half: exact, and neither 0 nor 1. */
    return ((double)(word >> 12) + 0.5) * 0x1p-52;
}

uint64_t ps_below(uint64_t word, uint64_t bound)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)word * bound) >> 64);
}

uint64_t ps_rng_u64(struct ps_rng *rng)
{
    return ps_random_u64(rng->seed, rng->stream, rng->next++);
}

double ps_rng_unit(struct ps_rng *rng)
{
    return ps_unit_of(ps_rng_u64(rng));
}

uint64_t ps_rng_below(struct ps_rng *rng, uint64_t bound)
{
    return ps_below(ps_rng_u64(rng), bound);
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

enum { EXPONENT_BIAS = 1023, MANTISSA_BITS = 52 };

/* ln 2 in two parts: the first has zeros at its end, so that k * LN2_HIGH is exact. */
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define SQRT2 1.4142135623730951

double ps_log(double x)
{
    PS_ASSERT(x > 0);
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits = bits_of(x);
    k += (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    double m = double_of((bits & 0xFFFFFFFFFFFFFULL) | (uint64_t)EXPONENT_BIAS << MANTISSA_BITS);
    if (m > SQRT2) {
        m *= 0.5;
        k++;
    }
    /* ln m = 2 atanh(s), s = (m-1)/(m+1), |s| < 0.1716; the series to s^23 is below half an ulp. */
    double f = m - 1;
    double s = f / (m + 1);
    double z = s * s;
    double sum = 0;
    for (int n = 23; n >= 3; n -= 2) {
        sum = z * (sum + 1.0 / n);
    }
    /* ln m = f - s * (f - 2 * sum), which keeps the leading term exact. */
    double low = s * (f - 2 * sum);
    return k * LN2_HIGH + (f - (low - k * LN2_LOW));
}

double ps_exp(double x)
{
    if (x > 709.7) {
        return double_of(0x7FF0000000000000ULL);
    }
    if (x < -708) {
        return 0;
    }
    double scaled = x * 1.4426950408889634;
    int k = (int)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    double r = (x - k * LN2_HIGH) - k * LN2_LOW;
    /* |r| < 0.347: the Taylor series to r^14. */
    double sum = 0;
    for (int n = 14; n >= 2; n--) {
        sum = r / n * (1 + sum);
    }
    double y = 1 + (r + r * sum);
    /* In two steps: 2^k itself is too large for a double where k is 1024. */
    return y * 2 * double_of((uint64_t)(k - 1 + EXPONENT_BIAS) << MANTISSA_BITS);
}

double ps_pow(double x, double y)
{
    return ps_exp(y * ps_log(x));
}

/* Ratio of two polynomials of degree 7; the denominator's constant is 1. */
static double ratio(double r, const double numerator[8], const double denominator[7])
{
    double above = 0;
    double below = 0;
    for (int i = 7; i >= 0; i--) {
        above = above * r + numerator[i];
    }
    for (int i = 6; i >= 0; i--) {
        below = (below + denominator[i]) * r;
    }
    return above / (below + 1);
}

double ps_normal_quantile(double p)
{
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[7] = {4.2313330701600911252e+1, 6.8718700749205790830e+2,
                                5.3941960214247511077e+3, 2.1213794301586595867e+4,
                                3.9307895800092710610e+4, 2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[7] = {2.05319162663775882187e0,  1.67638483018380384940e0,
                                6.89767334985100004550e-1, 1.48103976427480074590e-1,
                                1.51986665636164571966e-2, 5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[7] = {5.99832206555887937690e-1, 1.36929880922735805310e-1,
                                1.48753612908506148525e-2, 7.86869131145613259100e-4,
                                1.84631831751005468180e-5, 1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    PS_ASSERT(p > 0);
    PS_ASSERT(p < 1);
    double q = p - 0.5;
    if (q >= -0.425 && q <= 0.425) {
        return q * ratio(0.180625 - q * q, a, b);
    }
    double tail = -ps_log(q < 0 ? p : 1 - p);
    double r = __builtin_sqrt(tail);
    double x = r <= 5 ? ratio(r - 1.6, c, d) : ratio(r - 5, e, f);
    return q < 0 ? -x : x;
}
