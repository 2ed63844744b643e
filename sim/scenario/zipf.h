/* Zipf ranks by rejection-inversion: W. Hoermann and G. Derflinger, "Rejection-inversion to
 * generate variates from monotone discrete distributions", ACM TOMACS 6(3), 1996. No tables,
 * constant time for any n, any exponent s >= 0.
 *
 * H(x) is an antiderivative of x^-s; here the one with H(1) = 0, (x^(1-s) - 1) / (1 - s), which is
 * ln x at s = 1, without a gap there. */
#ifndef PS_SIM_SCENARIO_ZIPF_H
#define PS_SIM_SCENARIO_ZIPF_H

#include "sim/scenario/text.h"

/** Fill the computed members from `to` (n >= 1) and `exponent` (0 .. 100). */
void ps_zipf_prepare(struct ps_piece *piece);

/** Lay a table over the inverse of H: 512 cells, in each the cubic through four of its points. It
 *  takes the place of a logarithm and an exponential a draw; cells in which it is off by more than
 *  a part in 10^6 of x stay without. */
void ps_zipf_tabulate(struct ps_piece *piece);

/** One attempt with a uniform number in (0, 1): a rank 1..n, or 0 = rejected, draw again. */
uint64_t ps_zipf_attempt(const struct ps_piece *piece, double unit);

#endif
