#include "replication/base/histogram.h"

enum { SUB_COUNT = 1 << PS_HISTOGRAM_SUB_BITS };

/* Values below 2^SUB_BITS have a bucket each; above, each power of two is cut into 2^SUB_BITS. */
static unsigned bucket_of(uint64_t value)
{
    if (value < SUB_COUNT) {
        return (unsigned)value;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - PS_HISTOGRAM_SUB_BITS;
    return ((shift + 1) << PS_HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift) - SUB_COUNT;
}

/* The largest value that falls into a bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < SUB_COUNT) {
        return bucket;
    }
    unsigned shift = (bucket >> PS_HISTOGRAM_SUB_BITS) - 1;
    uint64_t mantissa = SUB_COUNT + (bucket & (SUB_COUNT - 1));
    return ((mantissa + 1) << shift) - 1;
}

void ps_histogram_record(struct ps_histogram *histogram, uint64_t value, uint64_t times)
{
    if (times == 0) {
        return;
    }
    if (histogram->count == 0 || value < histogram->min) {
        histogram->min = value;
    }
    if (histogram->count == 0 || value > histogram->max) {
        histogram->max = value;
    }
    histogram->count += times;
    histogram->sum += (ps_u128)value * times;
    histogram->buckets[bucket_of(value)] += times;
}

void ps_histogram_merge(struct ps_histogram *into, const struct ps_histogram *from)
{
    if (from->count == 0) {
        return;
    }
    if (into->count == 0 || from->min < into->min) {
        into->min = from->min;
    }
    if (into->count == 0 || from->max > into->max) {
        into->max = from->max;
    }
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < PS_HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, double q)
{
    if (histogram->count == 0) {
        return 0;
    }
    double wanted = q * (double)histogram->count;
    uint64_t rank = wanted <= 1 ? 1 : (uint64_t)wanted;
    if ((double)rank < wanted) {
        rank++;
    }
    if (q <= 0) {
        return histogram->min;
    }
    if (rank >= histogram->count) {
        return histogram->max;
    }
    uint64_t seen = 0;
    for (unsigned i = 0; i < PS_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t top = top_of(i);
            top = top > histogram->max ? histogram->max : top;
            return top < histogram->min ? histogram->min : top;
        }
    }
    return histogram->max;
}

double ps_histogram_mean(const struct ps_histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
}
