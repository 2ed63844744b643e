/* Chance, by counter.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11):
 * number n of stream s under a seed is a pure function of (seed, s, n). Nothing holds generator
 * state that another draw could disturb, so the live cluster and the virtual run draw the same
 * delay for record n whatever else they drew. A stream is named ("delay/CACHE/syd"); its id is the
 * name's hash.
 *
 * Logarithm, exponential and power are computed here from IEEE additions and multiplications, so
 * that a delay has the same bits on every machine, whichever libm it has. */
#ifndef PS_REPLICATION_BASE_RANDOM_H
#define PS_REPLICATION_BASE_RANDOM_H

#include "replication/base/slice.h"

#include <stddef.h>
#include <stdint.h>

typedef uint64_t ps_stream; /* a named sub-stream of the seed */

/** The stream called "<purpose>/<a>/<b>"; a and b may be NULL. */
ps_stream ps_stream_of(const char *purpose, const char *a, const char *b);

/** The Philox4x32-10 bijection, for the known-answer tests. */
void ps_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4]);

/** Draw n of a stream: key = seed, counter = (n, stream); two 64-bit words of which the first. */
uint64_t ps_random_u64(uint64_t seed, ps_stream stream, uint64_t n);
void ps_random_u64x2(uint64_t seed, ps_stream stream, uint64_t n, uint64_t ret[2]);

/** Draws first .. first + count - 1 of a stream, as ps_random_u64 gives them, several at a time. */
void ps_random_many(uint64_t seed, ps_stream stream, uint64_t first, size_t count, uint64_t *ret);

/** A 64-bit word as a double in (0, 1), never 0 or 1 (52 bits, centred). */
static inline double ps_unit_of(uint64_t word)
{
    /* 52 bits and a half: exact, and neither 0 nor 1. */
    return ((double)(word >> 12) + 0.5) * 0x1p-52;
}

/** A word scaled to [0, bound) without division (Lemire's multiply-shift; bias < bound / 2^64). */
uint64_t ps_below(uint64_t word, uint64_t bound);

/** A cursor over one stream, for workload generators: draws 0, 1, 2, ... */
struct ps_rng {
    uint64_t seed;
    ps_stream stream;
    uint64_t next; /* the next draw's number */
};

uint64_t ps_rng_u64(struct ps_rng *rng);
double ps_rng_unit(struct ps_rng *rng);
uint64_t ps_rng_below(struct ps_rng *rng, uint64_t bound);

/** ln(x), x > 0; exp(x), infinite above 709.7 and 0 below -708: within 2 ulp; x^y, x > 0: within
 *  2 + 3 |y ln x| ulp. The same bits everywhere. */
double ps_log(double x);
double ps_exp(double x);
double ps_pow(double x, double y);
/** ps_log of each of x[0 .. count - 1], in place. */
void ps_log_many(double *x, size_t count);
/** Quantile of the standard normal distribution (Wichura's AS 241, PPND16), 0 < p < 1. */
double ps_normal_quantile(double p);

#endif
