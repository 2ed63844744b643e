#include "replication/base/random.h"

#include "replication/base/assert.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
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
#pragma GCC unroll 10
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

#if defined(__x86_64__)
/* Sixteen draws side by side: four vectors of four 64-bit lanes, each lane with one 32-bit word of
 * the state in its lower half. The upper halves hold what is left of products; multiplications do
 * not look at them, and the last step takes them away. */
enum { SIDE_BY_SIDE = 16, VECTORS = 4 };

__attribute__((target("avx2"))) static void random_side_by_side(uint64_t seed, ps_stream stream,
                                                                uint64_t first, uint64_t *ret)
{
    const __m256i m0 = _mm256_set1_epi64x(PHILOX_M0);
    const __m256i m1 = _mm256_set1_epi64x(PHILOX_M1);
    __m256i c0[VECTORS];
    __m256i c1[VECTORS];
    __m256i c2[VECTORS];
    __m256i c3[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        __m256i n = _mm256_add_epi64(_mm256_set1_epi64x((long long)(first + 4 * (uint64_t)v)),
                                     _mm256_set_epi64x(3, 2, 1, 0));
        c0[v] = n;
        c1[v] = _mm256_srli_epi64(n, 32);
        c2[v] = _mm256_set1_epi64x((long long)stream);
        c3[v] = _mm256_srli_epi64(c2[v], 32);
    }
    uint32_t k0 = (uint32_t)seed;
    uint32_t k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const __m256i key0 = _mm256_set1_epi64x(k0);
        const __m256i key1 = _mm256_set1_epi64x(k1);
        for (int v = 0; v < VECTORS; v++) {
            __m256i p0 = _mm256_mul_epu32(m0, c0[v]);
            __m256i p1 = _mm256_mul_epu32(m1, c2[v]);
            c0[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1[v]), key0);
            c2[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3[v]), key1);
            c1[v] = p1;
            c3[v] = p0;
        }
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    const __m256i lower = _mm256_set1_epi64x(0xFFFFFFFF);
    for (int v = 0; v < VECTORS; v++) {
        __m256i word =
            _mm256_or_si256(_mm256_and_si256(c0[v], lower), _mm256_slli_epi64(c1[v], 32));
        _mm256_storeu_si256((__m256i_u *)(void *)(ret + 4 * v), word);
    }
}
#endif

void ps_random_many(uint64_t seed, ps_stream stream, uint64_t first, size_t count, uint64_t *ret)
{
    size_t i = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        for (; i + SIDE_BY_SIDE <= count; i += SIDE_BY_SIDE) {
            random_side_by_side(seed, stream, first + i, ret + i);
        }
    }
#endif
    for (; i < count; i++) {
        ret[i] = ps_random_u64(seed, stream, first + i);
    }
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

/* For the 128 equal parts of [1, 2), by the first bits of the mantissa: a centre c (halved from
 * part LOG_HALVED on, so that all lie around 1), 1 / c and ln c. The parts that touch 1 have the
 * centre 1, so that the logarithm of what is near 1 keeps its digits. Made with 60 decimal digits
 * and rounded. */
enum { LOG_PARTS_BITS = 7, LOG_HALVED = 53 };

static const struct {
    double centre;
    double inverse;
    double log;
} log_parts[1 << LOG_PARTS_BITS] = {
    /* clang-format off */
    {0x1.0000000000000p+0, 0x1.0000000000000p+0, 0x0.0p+0},
    {0x1.0300000000000p+0, 0x1.fa11caa01fa12p-1, 0x1.7dc475f810a77p-7},
    {0x1.0500000000000p+0, 0x1.f6310aca0dbb5p-1, 0x1.3cea44346a575p-6},
    {0x1.0700000000000p+0, 0x1.f25f644230ab5p-1, 0x1.b9fc027af9198p-6},
    {0x1.0900000000000p+0, 0x1.ee9c7f8458e02p-1, 0x1.1b0d98923d980p-5},
    {0x1.0b00000000000p+0, 0x1.eae807aba01ebp-1, 0x1.58a5bafc8e4d5p-5},
    {0x1.0d00000000000p+0, 0x1.e741aa59750e4p-1, 0x1.95c830ec8e3ebp-5},
    {0x1.0f00000000000p+0, 0x1.e3a9179dc1a73p-1, 0x1.d276b8adb0b52p-5},
    {0x1.1100000000000p+0, 0x1.e01e01e01e01ep-1, 0x1.075983598e471p-4},
    {0x1.1300000000000p+0, 0x1.dca01dca01dcap-1, 0x1.253f62f0a1417p-4},
    {0x1.1500000000000p+0, 0x1.d92f2231e7f8ap-1, 0x1.42edcbea646f0p-4},
    {0x1.1700000000000p+0, 0x1.d5cac807572b2p-1, 0x1.60658a93750c4p-4},
    {0x1.1900000000000p+0, 0x1.d272ca3fc5b1ap-1, 0x1.7da766d7b12cdp-4},
    {0x1.1b00000000000p+0, 0x1.cf26e5c44bfc6p-1, 0x1.9ab42462033adp-4},
    {0x1.1d00000000000p+0, 0x1.cbe6d9601cbe7p-1, 0x1.b78c82bb0eda1p-4},
    {0x1.1f00000000000p+0, 0x1.c8b265afb8a42p-1, 0x1.d4313d66cb35dp-4},
    {0x1.2100000000000p+0, 0x1.c5894d10d4986p-1, 0x1.f0a30c01162a6p-4},
    {0x1.2300000000000p+0, 0x1.c26b5392ea01cp-1, 0x1.0671512ca596ep-3},
    {0x1.2500000000000p+0, 0x1.bf583ee868d8bp-1, 0x1.14785846742acp-3},
    {0x1.2700000000000p+0, 0x1.bc4fd65883e7bp-1, 0x1.2266f190a5acbp-3},
    {0x1.2900000000000p+0, 0x1.b951e2b18ff23p-1, 0x1.303d718e47fd3p-3},
    {0x1.2b00000000000p+0, 0x1.b65e2e3beee05p-1, 0x1.3dfc2b0ecc62ap-3},
    {0x1.2d00000000000p+0, 0x1.b37484ad806cep-1, 0x1.4ba36f39a55e5p-3},
    {0x1.2f00000000000p+0, 0x1.b094b31d922a4p-1, 0x1.59338d9982086p-3},
    {0x1.3100000000000p+0, 0x1.adbe87f94905ep-1, 0x1.66acd4272ad51p-3},
    {0x1.3300000000000p+0, 0x1.aaf1d2f87ebfdp-1, 0x1.740f8f54037a5p-3},
    {0x1.3500000000000p+0, 0x1.a82e65130e159p-1, 0x1.815c0a14357ebp-3},
    {0x1.3700000000000p+0, 0x1.a574107688a4ap-1, 0x1.8e928de886d41p-3},
    {0x1.3900000000000p+0, 0x1.a2c2a87c51ca0p-1, 0x1.9bb362e7dfb83p-3},
    {0x1.3b00000000000p+0, 0x1.a01a01a01a01ap-1, 0x1.a8becfc882f19p-3},
    {0x1.3d00000000000p+0, 0x1.9d79f176b682dp-1, 0x1.b5b519e8fb5a4p-3},
    {0x1.3f00000000000p+0, 0x1.9ae24ea5510dap-1, 0x1.c2968558c18c1p-3},
    {0x1.4100000000000p+0, 0x1.9852f0d8ec0ffp-1, 0x1.cf6354e09c5dcp-3},
    {0x1.4300000000000p+0, 0x1.95cbb0be377aep-1, 0x1.dc1bca0abec7dp-3},
    {0x1.4500000000000p+0, 0x1.934c67f9b2ce6p-1, 0x1.e8c0252aa5a60p-3},
    {0x1.4700000000000p+0, 0x1.90d4f120190d5p-1, 0x1.f550a564b7b37p-3},
    {0x1.4900000000000p+0, 0x1.8e6527af1373fp-1, 0x1.00e6c45ad501dp-2},
    {0x1.4b00000000000p+0, 0x1.8bfce8062ff3ap-1, 0x1.071b85fcd590dp-2},
    {0x1.4d00000000000p+0, 0x1.899c0f601899cp-1, 0x1.0d46b579ab74bp-2},
    {0x1.4f00000000000p+0, 0x1.87427bcc092b9p-1, 0x1.136870293a8b0p-2},
    {0x1.5100000000000p+0, 0x1.84f00c2780614p-1, 0x1.1980d2dd4236fp-2},
    {0x1.5300000000000p+0, 0x1.82a4a0182a4a0p-1, 0x1.1f8ff9e48a2f3p-2},
    {0x1.5500000000000p+0, 0x1.8060180601806p-1, 0x1.2596010df763ap-2},
    {0x1.5700000000000p+0, 0x1.7e225515a4f1dp-1, 0x1.2b9303ab89d25p-2},
    {0x1.5900000000000p+0, 0x1.7beb3922e017cp-1, 0x1.31871c9544185p-2},
    {0x1.5b00000000000p+0, 0x1.79baa6bb6398bp-1, 0x1.3772662bfd85bp-2},
    {0x1.5d00000000000p+0, 0x1.77908119ac60dp-1, 0x1.3d54fa5c1f710p-2},
    {0x1.5f00000000000p+0, 0x1.756cac201756dp-1, 0x1.432ef2a04e814p-2},
    {0x1.6100000000000p+0, 0x1.734f0c541fe8dp-1, 0x1.49006804009d1p-2},
    {0x1.6300000000000p+0, 0x1.713786d9c7c09p-1, 0x1.4ec973260026ap-2},
    {0x1.6500000000000p+0, 0x1.6f26016f26017p-1, 0x1.548a2c3add263p-2},
    {0x1.6700000000000p+0, 0x1.6d1a62681c861p-1, 0x1.5a42ab0f4cfe2p-2},
    {0x1.6900000000000p+0, 0x1.6b1490aa31a3dp-1, 0x1.5ff3070a793d4p-2},
    {0x1.6b00000000000p-1, 0x1.691473a88d0c0p+0, -0x1.602d08af091ecp-2},
    {0x1.6d00000000000p-1, 0x1.6719f3601671ap+0, -0x1.5a8cadbbedfa1p-2},
    {0x1.6f00000000000p-1, 0x1.6524f853b4aa3p+0, -0x1.54f431b7be1a9p-2},
    {0x1.7100000000000p-1, 0x1.63356b88ac0dep+0, -0x1.4f637ebba9810p-2},
    {0x1.7300000000000p-1, 0x1.614b36831ae94p+0, -0x1.49da7f3bcc41fp-2},
    {0x1.7500000000000p-1, 0x1.5f66434292dfcp+0, -0x1.44591e0539f49p-2},
    {0x1.7700000000000p-1, 0x1.5d867c3ece2a5p+0, -0x1.3edf463c1683ep-2},
    {0x1.7900000000000p-1, 0x1.5babcc647fa91p+0, -0x1.396ce359bbf54p-2},
    {0x1.7b00000000000p-1, 0x1.59d61f123ccaap+0, -0x1.3401e12aecba1p-2},
    {0x1.7d00000000000p-1, 0x1.5805601580560p+0, -0x1.2e9e2bce12286p-2},
    {0x1.7f00000000000p-1, 0x1.56397ba7c52e2p+0, -0x1.2941afb186b7cp-2},
    {0x1.8100000000000p-1, 0x1.54725e6bb82fep+0, -0x1.23ec5991eba49p-2},
    {0x1.8300000000000p-1, 0x1.52aff56a8054bp+0, -0x1.1e9e1678899f4p-2},
    {0x1.8500000000000p-1, 0x1.50f22e111c4c5p+0, -0x1.1956d3b9bc2fap-2},
    {0x1.8700000000000p-1, 0x1.4f38f62dd4c9bp+0, -0x1.14167ef367783p-2},
    {0x1.8900000000000p-1, 0x1.4d843bedc2c4cp+0, -0x1.0edd060b78081p-2},
    {0x1.8b00000000000p-1, 0x1.4bd3edda68fe1p+0, -0x1.09aa572e6c6d4p-2},
    {0x1.8d00000000000p-1, 0x1.4a27fad76014ap+0, -0x1.047e60cde83b8p-2},
    {0x1.8f00000000000p-1, 0x1.4880522014880p+0, -0x1.feb2233ea07cdp-3},
    {0x1.9100000000000p-1, 0x1.46dce34596066p+0, -0x1.f474b134df229p-3},
    {0x1.9300000000000p-1, 0x1.453d9e2c776cap+0, -0x1.ea4449f04aaf5p-3},
    {0x1.9500000000000p-1, 0x1.43a2730abee4dp+0, -0x1.e020cc6235ab5p-3},
    {0x1.9700000000000p-1, 0x1.420b5265e5951p+0, -0x1.d60a17f903515p-3},
    {0x1.9900000000000p-1, 0x1.40782d10e6566p+0, -0x1.cc000c9db3c52p-3},
    {0x1.9b00000000000p-1, 0x1.3ee8f42a5af07p+0, -0x1.c2028ab17f9b4p-3},
    {0x1.9d00000000000p-1, 0x1.3d5d991aa75c6p+0, -0x1.b811730b823d2p-3},
    {0x1.9f00000000000p-1, 0x1.3bd60d9232955p+0, -0x1.ae2ca6f672bd4p-3},
    {0x1.a100000000000p-1, 0x1.3a524387ac822p+0, -0x1.a454082e6ab05p-3},
    {0x1.a300000000000p-1, 0x1.38d22d366088ep+0, -0x1.9a8778debaa38p-3},
    {0x1.a500000000000p-1, 0x1.3755bd1c945eep+0, -0x1.90c6db9fcbcd9p-3},
    {0x1.a700000000000p-1, 0x1.35dce5f9f2af8p+0, -0x1.871213750e994p-3},
    {0x1.a900000000000p-1, 0x1.34679ace01346p+0, -0x1.7d6903caf5ad0p-3},
    {0x1.ab00000000000p-1, 0x1.32f5ced6a1dfap+0, -0x1.73cb9074fd14dp-3},
    {0x1.ad00000000000p-1, 0x1.3187758e9ebb6p+0, -0x1.6a399dabbd383p-3},
    {0x1.af00000000000p-1, 0x1.301c82ac40260p+0, -0x1.60b3100b09476p-3},
    {0x1.b100000000000p-1, 0x1.2eb4ea1fed14bp+0, -0x1.5737cc9018cddp-3},
    {0x1.b300000000000p-1, 0x1.2d50a012d50a0p+0, -0x1.4dc7b897bc1c8p-3},
    {0x1.b500000000000p-1, 0x1.2bef98e5a3711p+0, -0x1.4462b9dc9b3dcp-3},
    {0x1.b700000000000p-1, 0x1.2a91c92f3c105p+0, -0x1.3b08b6757f2a9p-3},
    {0x1.b900000000000p-1, 0x1.293725bb804a5p+0, -0x1.31b994d3a4f85p-3},
    {0x1.bb00000000000p-1, 0x1.27dfa38a1ce4dp+0, -0x1.28753bc11aba5p-3},
    {0x1.bd00000000000p-1, 0x1.268b37cd60127p+0, -0x1.1f3b925f25d41p-3},
    {0x1.bf00000000000p-1, 0x1.2539d7e9177b2p+0, -0x1.160c8024b27b1p-3},
    {0x1.c100000000000p-1, 0x1.23eb79717605bp+0, -0x1.0ce7ecdccc28dp-3},
    {0x1.c300000000000p-1, 0x1.22a0122a0122ap+0, -0x1.03cdc0a51ec0dp-3},
    {0x1.c500000000000p-1, 0x1.21579804855e6p+0, -0x1.f57bc7d9005dbp-4},
    {0x1.c700000000000p-1, 0x1.2012012012012p+0, -0x1.e3707ee30487bp-4},
    {0x1.c900000000000p-1, 0x1.1ecf43c7fb84cp+0, -0x1.d179788219364p-4},
    {0x1.cb00000000000p-1, 0x1.1d8f5672e4abdp+0, -0x1.bf968769fca11p-4},
    {0x1.cd00000000000p-1, 0x1.1c522fc1ce059p+0, -0x1.adc77ee5aea8cp-4},
    {0x1.cf00000000000p-1, 0x1.1b17c67f2bae3p+0, -0x1.9c0c32d4d2548p-4},
    {0x1.d100000000000p-1, 0x1.19e0119e0119ep+0, -0x1.8a6477a91dc29p-4},
    {0x1.d300000000000p-1, 0x1.18ab083902bdbp+0, -0x1.78d02263d82d3p-4},
    {0x1.d500000000000p-1, 0x1.1778a191bd684p+0, -0x1.674f089365a7ap-4},
    {0x1.d700000000000p-1, 0x1.1648d50fc3201p+0, -0x1.55e10050e0384p-4},
    {0x1.d900000000000p-1, 0x1.151b9a3fdd5c9p+0, -0x1.4485e03dbdfadp-4},
    {0x1.db00000000000p-1, 0x1.13f0e8d344724p+0, -0x1.333d7f8183f4bp-4},
    {0x1.dd00000000000p-1, 0x1.12c8b89edc0acp+0, -0x1.2207b5c78549ep-4},
    {0x1.df00000000000p-1, 0x1.11a3019a74826p+0, -0x1.10e45b3cae831p-4},
    {0x1.e100000000000p-1, 0x1.107fbbe011080p+0, -0x1.ffa6911ab9301p-5},
    {0x1.e300000000000p-1, 0x1.0f5edfab325a2p+0, -0x1.dda8adc67ee4ep-5},
    {0x1.e500000000000p-1, 0x1.0e40655826011p+0, -0x1.bbcebfc68f420p-5},
    {0x1.e700000000000p-1, 0x1.0d24456359e3ap+0, -0x1.9a187b573de7cp-5},
    {0x1.e900000000000p-1, 0x1.0c0a7868b4171p+0, -0x1.788595a3577bap-5},
    {0x1.eb00000000000p-1, 0x1.0af2f722eecb5p+0, -0x1.5715c4c03ceefp-5},
    {0x1.ed00000000000p-1, 0x1.09ddba6af8360p+0, -0x1.35c8bfaa1306bp-5},
    {0x1.ef00000000000p-1, 0x1.08cabb37565e2p+0, -0x1.149e3e4005a8dp-5},
    {0x1.f100000000000p-1, 0x1.07b9f29b8eae2p+0, -0x1.e72bf2813ce51p-6},
    {0x1.f300000000000p-1, 0x1.06ab59c7912fbp+0, -0x1.a55f548c5c43fp-6},
    {0x1.f500000000000p-1, 0x1.059eea0727586p+0, -0x1.63d6178690bd6p-6},
    {0x1.f700000000000p-1, 0x1.04949cc1664c5p+0, -0x1.228fb1fea2e28p-6},
    {0x1.f900000000000p-1, 0x1.038c6b78247fcp+0, -0x1.c317384c75f06p-7},
    {0x1.fb00000000000p-1, 0x1.02864fc7729e9p+0, -0x1.41929f96832f0p-7},
    {0x1.fd00000000000p-1, 0x1.0182436517a37p+0, -0x1.8121214586b54p-8},
    {0x1.0000000000000p+0, 0x1.0000000000000p+0, 0x0.0p+0},
    /* clang-format on */
};

static inline double log_of(double x)
{
    PS_ASSERT(x > 0);
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits = bits_of(x);
    unsigned part =
        (unsigned)(bits >> (MANTISSA_BITS - LOG_PARTS_BITS)) & ((1U << LOG_PARTS_BITS) - 1);
    uint64_t halved = part >= LOG_HALVED ? 1 : 0;
    k += (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS + (int)halved;
    double m = double_of((bits & 0xFFFFFFFFFFFFFULL) | ((uint64_t)EXPONENT_BIAS - halved)
                                                           << MANTISSA_BITS);
    /* m = c (1 + r), |r| < 2^-7; m - c is exact. ln(1 + r) by its series to r^9. */
    double r = (m - log_parts[part].centre) * log_parts[part].inverse;
    double r2 = r * r;
    double r4 = r2 * r2;
    double low = (-1.0 / 2 + r * (1.0 / 3)) + r2 * (-1.0 / 4 + r * (1.0 / 5));
    double high = (-1.0 / 6 + r * (1.0 / 7)) + r2 * (-1.0 / 8 + r * (1.0 / 9));
    double rest = r2 * (low + r4 * high) + k * LN2_LOW;
    return (k * LN2_HIGH + log_parts[part].log) + (r + rest);
}

double ps_log(double x)
{
    return log_of(x);
}

void ps_log_many(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        x[i] = log_of(x[i]);
    }
}

/* 2^(i / 128), rounded from 60 decimal digits. */
enum { EXP_PARTS_BITS = 7 };

static const double exp_parts[1 << EXP_PARTS_BITS] = {
    /* clang-format off */
    0x1.0000000000000p+0,
    0x1.0163da9fb3335p+0,
    0x1.02c9a3e778061p+0,
    0x1.04315e86e7f85p+0,
    0x1.059b0d3158574p+0,
    0x1.0706b29ddf6dep+0,
    0x1.0874518759bc8p+0,
    0x1.09e3ecac6f383p+0,
    0x1.0b5586cf9890fp+0,
    0x1.0cc922b7247f7p+0,
    0x1.0e3ec32d3d1a2p+0,
    0x1.0fb66affed31bp+0,
    0x1.11301d0125b51p+0,
    0x1.12abdc06c31ccp+0,
    0x1.1429aaea92de0p+0,
    0x1.15a98c8a58e51p+0,
    0x1.172b83c7d517bp+0,
    0x1.18af9388c8deap+0,
    0x1.1a35beb6fcb75p+0,
    0x1.1bbe084045cd4p+0,
    0x1.1d4873168b9aap+0,
    0x1.1ed5022fcd91dp+0,
    0x1.2063b88628cd6p+0,
    0x1.21f49917ddc96p+0,
    0x1.2387a6e756238p+0,
    0x1.251ce4fb2a63fp+0,
    0x1.26b4565e27cddp+0,
    0x1.284dfe1f56381p+0,
    0x1.29e9df51fdee1p+0,
    0x1.2b87fd0dad990p+0,
    0x1.2d285a6e4030bp+0,
    0x1.2ecafa93e2f56p+0,
    0x1.306fe0a31b715p+0,
    0x1.32170fc4cd831p+0,
    0x1.33c08b26416ffp+0,
    0x1.356c55f929ff1p+0,
    0x1.371a7373aa9cbp+0,
    0x1.38cae6d05d866p+0,
    0x1.3a7db34e59ff7p+0,
    0x1.3c32dc313a8e5p+0,
    0x1.3dea64c123422p+0,
    0x1.3fa4504ac801cp+0,
    0x1.4160a21f72e2ap+0,
    0x1.431f5d950a897p+0,
    0x1.44e086061892dp+0,
    0x1.46a41ed1d0057p+0,
    0x1.486a2b5c13cd0p+0,
    0x1.4a32af0d7d3dep+0,
    0x1.4bfdad5362a27p+0,
    0x1.4dcb299fddd0dp+0,
    0x1.4f9b2769d2ca7p+0,
    0x1.516daa2cf6642p+0,
    0x1.5342b569d4f82p+0,
    0x1.551a4ca5d920fp+0,
    0x1.56f4736b527dap+0,
    0x1.58d12d497c7fdp+0,
    0x1.5ab07dd485429p+0,
    0x1.5c9268a5946b7p+0,
    0x1.5e76f15ad2148p+0,
    0x1.605e1b976dc09p+0,
    0x1.6247eb03a5585p+0,
    0x1.6434634ccc320p+0,
    0x1.6623882552225p+0,
    0x1.68155d44ca973p+0,
    0x1.6a09e667f3bcdp+0,
    0x1.6c012750bdabfp+0,
    0x1.6dfb23c651a2fp+0,
    0x1.6ff7df9519484p+0,
    0x1.71f75e8ec5f74p+0,
    0x1.73f9a48a58174p+0,
    0x1.75feb564267c9p+0,
    0x1.780694fde5d3fp+0,
    0x1.7a11473eb0187p+0,
    0x1.7c1ed0130c132p+0,
    0x1.7e2f336cf4e62p+0,
    0x1.80427543e1a12p+0,
    0x1.82589994cce13p+0,
    0x1.8471a4623c7adp+0,
    0x1.868d99b4492edp+0,
    0x1.88ac7d98a6699p+0,
    0x1.8ace5422aa0dbp+0,
    0x1.8cf3216b5448cp+0,
    0x1.8f1ae99157736p+0,
    0x1.9145b0b91ffc6p+0,
    0x1.93737b0cdc5e5p+0,
    0x1.95a44cbc8520fp+0,
    0x1.97d829fde4e50p+0,
    0x1.9a0f170ca07bap+0,
    0x1.9c49182a3f090p+0,
    0x1.9e86319e32323p+0,
    0x1.a0c667b5de565p+0,
    0x1.a309bec4a2d33p+0,
    0x1.a5503b23e255dp+0,
    0x1.a799e1330b358p+0,
    0x1.a9e6b5579fdbfp+0,
    0x1.ac36bbfd3f37ap+0,
    0x1.ae89f995ad3adp+0,
    0x1.b0e07298db666p+0,
    0x1.b33a2b84f15fbp+0,
    0x1.b59728de5593ap+0,
    0x1.b7f76f2fb5e47p+0,
    0x1.ba5b030a1064ap+0,
    0x1.bcc1e904bc1d2p+0,
    0x1.bf2c25bd71e09p+0,
    0x1.c199bdd85529cp+0,
    0x1.c40ab5fffd07ap+0,
    0x1.c67f12e57d14bp+0,
    0x1.c8f6d9406e7b5p+0,
    0x1.cb720dcef9069p+0,
    0x1.cdf0b555dc3fap+0,
    0x1.d072d4a07897cp+0,
    0x1.d2f87080d89f2p+0,
    0x1.d5818dcfba487p+0,
    0x1.d80e316c98398p+0,
    0x1.da9e603db3285p+0,
    0x1.dd321f301b460p+0,
    0x1.dfc97337b9b5fp+0,
    0x1.e264614f5a129p+0,
    0x1.e502ee78b3ff6p+0,
    0x1.e7a51fbc74c83p+0,
    0x1.ea4afa2a490dap+0,
    0x1.ecf482d8e67f1p+0,
    0x1.efa1bee615a27p+0,
    0x1.f252b376bba97p+0,
    0x1.f50765b6e4540p+0,
    0x1.f7bfdad9cbe14p+0,
    0x1.fa7c1819e90d8p+0,
    0x1.fd3c22b8f71f1p+0,
    /* clang-format on */
};

/* ln 2 / 128 in two parts, as above. */
#define LN2_128_HIGH 0x1.62e42fef00000p-8
#define LN2_128_LOW 0x1.473de6af278edp-41

double ps_exp(double x)
{
    if (x > 709.7) {
        return double_of(0x7FF0000000000000ULL);
    }
    if (x < -708) {
        return 0;
    }
    /* x = n ln 2 / 128 + r, |r| < 0.0028: a power of two, a part of the table, the series to r^5.
     */
    double scaled = x * 184.6649652337873;
    int n = (int)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    unsigned part = (unsigned)n & ((1U << EXP_PARTS_BITS) - 1);
    int k = (n - (int)part) / (1 << EXP_PARTS_BITS);
    double r = (x - n * LN2_128_HIGH) - n * LN2_128_LOW;
    double r2 = r * r;
    double rest = r + r2 * ((1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120)));
    double y = exp_parts[part] + exp_parts[part] * rest;
    return y * double_of((uint64_t)(k + EXPONENT_BIAS) << MANTISSA_BITS);
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
