/* Log-linear histograms of durations (the layout of HdrHistogram: powers of two, each cut into 2^k
 * equal parts): any number of values in fixed memory, quantiles within 1/256, exact count, sum, min
 * and max, and merging that gives the same as recording all in one. Integers only. */
#ifndef PS_REPLICATION_BASE_HISTOGRAM_H
#define PS_REPLICATION_BASE_HISTOGRAM_H

#include "replication/base/time.h"

#include <stdint.h>

enum {
    PS_HISTOGRAM_SUB_BITS = 8,
    PS_HISTOGRAM_BUCKETS = (64 - PS_HISTOGRAM_SUB_BITS + 1) << PS_HISTOGRAM_SUB_BITS
};

/** Zeroed = empty. 114 KiB: allocate it. */
struct ps_histogram {
    uint64_t count;
    uint64_t min; /* valid when count > 0 */
    uint64_t max;
    ps_u128 sum;
    uint64_t buckets[PS_HISTOGRAM_BUCKETS];
};

void ps_histogram_record(struct ps_histogram *histogram, uint64_t value, uint64_t times);
void ps_histogram_merge(struct ps_histogram *into, const struct ps_histogram *from);
/** The smallest recorded-value bound with at least `q` (0..1) of the values at or below it, never
 *  over max; 0 when empty. q = 0 gives min, q = 1 gives max. */
uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, double q);
double ps_histogram_mean(const struct ps_histogram *histogram); /* 0 when empty */

#endif
