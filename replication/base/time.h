/* Cluster time.
 *
 * Cluster time is nanoseconds since the cluster's start, times the cluster's speed; it is the only
 * time that logic sees. A `ps_timeline` maps the machine's monotonic clock to it, with integers
 * only, so that all processes of a cluster agree to the nanosecond. Nothing here reads a clock. */
#ifndef PS_REPLICATION_BASE_TIME_H
#define PS_REPLICATION_BASE_TIME_H

#include "replication/base/slice.h"
#include "replication/base/status.h"

#include <stdint.h>

typedef uint64_t ps_time_ns; /* an instant of cluster time, unless a name says otherwise */
typedef uint64_t ps_dur_ns;  /* a length of time */

/* Wide enough for any product of two 64-bit numbers. */
__extension__ typedef unsigned __int128 ps_u128;

#define PS_NEVER UINT64_MAX
#define PS_US ((ps_dur_ns)1000)
#define PS_MS ((ps_dur_ns)1000000)
#define PS_SECOND ((ps_dur_ns)1000000000)
#define PS_MINUTE (60 * PS_SECOND)
#define PS_HOUR (3600 * PS_SECOND)
#define PS_DAY (24 * PS_HOUR)

/** t + d, PS_NEVER when either is or when it does not fit. */
static inline ps_time_ns ps_time_add(ps_time_ns t, ps_dur_ns d)
{
    return d > PS_NEVER - t ? PS_NEVER : t + d;
}

/** t - d, not below 0; PS_NEVER stays. */
static inline ps_time_ns ps_time_sub(ps_time_ns t, ps_dur_ns d)
{
    return t == PS_NEVER ? PS_NEVER : t > d ? t - d : 0;
}

static inline ps_time_ns ps_time_max(ps_time_ns a, ps_time_ns b)
{
    return a > b ? a : b;
}

static inline ps_time_ns ps_time_min(ps_time_ns a, ps_time_ns b)
{
    return a < b ? a : b;
}

/** How cluster time runs against the machine's monotonic clock. */
struct ps_timeline {
    uint64_t origin_ns;   /* monotonic clock at which cluster time was base_ns */
    ps_time_ns base_ns;   /* 0 for a new cluster; where it stood for one that is started again */
    uint64_t speed_milli; /* thousandths: 1000 = real time, 60000 = sixty times faster; > 0 */
};

/** Cluster time at a reading of the monotonic clock (base_ns for readings before the origin). */
ps_time_ns ps_timeline_at(const struct ps_timeline *line, uint64_t monotonic_ns);

/** First reading of the monotonic clock at which cluster time is at least `t`; PS_NEVER stays. */
uint64_t ps_timeline_when(const struct ps_timeline *line, ps_time_ns t);

/** Read a duration: a number with a unit (ns us ms s m h d), parts may follow each other ("1m30s").
 *  "0" needs no unit. Errors: PS_INVALID, PS_LIMIT (over 100 years); *ret untouched. */
PS_MUST_CHECK enum ps_status ps_dur_parse(struct ps_slice text, ps_dur_ns *ret);

/** Append a duration for people: the largest unit that keeps three digits ("1.25s", "90s",
 * "250us"). */
void ps_dur_format(struct ps_buf *buf, ps_dur_ns duration_ns);

#endif
