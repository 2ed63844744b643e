/* Counters of one store at one PoP, and /metrics in the OpenMetrics text format. */
#ifndef PS_NODE_IO_METRICS_H
#define PS_NODE_IO_METRICS_H

#include "replication/base/slice.h"
#include "replication/base/time.h"

struct ps_node;

enum { PS_STALE_BUCKETS = 12 };

/** Bounds of the staleness histogram; the last bucket has none. */
extern const ps_dur_ns ps_stale_bounds_ns[PS_STALE_BUCKETS];

struct ps_store_metrics {
    uint64_t reads; /* keys read */
    uint64_t lists;
    uint64_t reads_stale;
    uint64_t reads_late;
    uint64_t reads_failed;
    uint64_t reads_waited; /* the log was not complete when the read was decided */
    uint64_t cache_hits;
    uint64_t writes;
    uint64_t writes_failed;
    uint64_t forwards;
    uint64_t forward_retries;
    uint64_t query_retries; /* d1: by D1's own rule, after an error */
    uint64_t commits;       /* group commits, at home */
    uint64_t records;       /* put into the map here */
    uint64_t records_late;  /* push: here only after the instant at which they were to be visible */
    ps_dur_ns late_max_ns;  /* how late the latest of these was, since the cache was emptied */
    uint64_t stale[PS_STALE_BUCKETS + 1];
    ps_u128 stale_sum_ns;
};

void ps_metrics_stale(struct ps_store_metrics *metrics, ps_dur_ns stale_ns);
void ps_metrics_write(struct ps_node *node, struct ps_buf *buf);

#endif
