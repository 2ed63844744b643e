/* Measures (DESIGN section 9) of a finished history. Pure; the same for live and virtual runs.
 *
 * The virtual world measures visibility while it runs; a live run's is computed from its history
 * and links. Both give this structure; sim/report prints it. */
#ifndef PS_SIM_MEASURE_MEASURE_H
#define PS_SIM_MEASURE_MEASURE_H

#include "replication/base/histogram.h"
#include "sim/measure/history.h"

enum ps_violation {
    PS_VIOLATION_READ_YOUR_WRITES,
    PS_VIOLATION_MONOTONIC_READS,
    PS_VIOLATION_MONOTONIC_WRITES,
    PS_VIOLATION_WRITES_FOLLOW_READS,
    PS_VIOLATION_LINEARIZABLE,
    PS_VIOLATION_KINDS
};

const char *ps_violation_name(enum ps_violation violation); /* "read_your_writes" */

enum { PS_BEHIND_MAX = 32, PS_CURVE_POINTS = 25 };

struct ps_violations {
    uint64_t count;
    struct ps_op witness[3]; /* the operations of the shortest one, in order */
    size_t witness_count;
    char text[512]; /* in words: operations, PoPs, times */
};

struct ps_store_measures {
    uint64_t writes; /* acknowledged */
    uint64_t reads;  /* answered gets */
    uint64_t lists;
    uint64_t deletes;   /* of the writes */
    uint64_t fetches;   /* of a public URL's caches, from the bucket */
    uint64_t purges;    /* of a public URL's caches, acknowledged */
    uint64_t errors;    /* operations that failed */
    uint64_t rows_read; /* d1: of what was answered, as the service bills them */
    uint64_t rows_written;
    uint64_t stale_reads;
    struct ps_histogram *visibility;         /* owned; over all PoPs */
    struct ps_histogram **visibility_by_pop; /* owned; one per PoP of the cluster */
    uint64_t never_visible; /* (write, PoP) pairs that were not visible by the run's end; not in the
                               histograms */
    struct ps_histogram *age;           /* owned; over stale reads */
    uint64_t behind[PS_BEHIND_MAX + 1]; /* reads by versions behind; the last counts all beyond */
    uint64_t behind_max;

    struct {
        ps_dur_ns until_ns; /* reads within (previous until, until] of the key's newest write */
        uint64_t reads;
        uint64_t fresh;
    } curve[PS_CURVE_POINTS];

    bool without_sessions; /* no history was kept: nobody looked for violations */
    struct ps_violations violations[PS_VIOLATION_KINDS];
};

struct ps_measures {
    struct ps_store_measures *stores; /* owned; one per store of the cluster */
    /* Owned; one per store: of a bucket's public URL, with the bucket's writes; without histograms
       for a store of another type. */
    struct ps_store_measures *publics;
    size_t store_count;
    size_t pop_count;
    uint64_t operations;
    uint64_t late_records; /* live */
    ps_dur_ns late_max_ns;
};

struct ps_measures *ps_measures_create(const struct ps_cluster *cluster);
/** Is there something to tell of the store's public URL? */
bool ps_measures_public(const struct ps_measures *measures, size_t store);
void ps_measures_destroy(struct ps_measures *measures); /* NULL accepted */

/** The curve's step for a read `since_ns` after the key's newest write. */
size_t ps_curve_step(ps_dur_ns since_ns);

/** Count one answered get. All is as of the read's eval_ns: `behind` is how many versions of the
 * key newer than the one returned were committed at or before it, age_ns how long ago the first of
 * these was, since_ns how long ago the newest version was (written: there is one). */
void ps_measures_read(struct ps_store_measures *store, uint64_t behind, ps_dur_ns age_ns,
                      bool written, ps_dur_ns since_ns);

/** Measure a history: reads, violations, and visibility (by walking each PoP's pins or arrivals).
 *  Errors: PS_INVALID (the history contradicts itself). */
PS_MUST_CHECK enum ps_status ps_measure(const struct ps_history *history, struct ps_measures *ret,
                                        struct ps_error *err);

/** Value of a dotted name, as expectations use it: "CACHE.visibility.max" (seconds),
 *  "CACHE.visibility.by_pop.syd.p99", "CACHE.reads.stale_ratio", "CACHE.stale_reads",
 * "CACHE.reads.age.p99", "CACHE.behind.max", "CACHE.violations.read_your_writes",
 * "fidelity.late_records", "operations"; of a bucket's public URL "ASSETS.public.visibility.max".
 * Errors: PS_NOT_FOUND with the names that exist at the
 * place where it failed. */
PS_MUST_CHECK enum ps_status ps_measures_value(const struct ps_measures *measures,
                                               const struct ps_cluster *cluster,
                                               struct ps_slice name, double *ret,
                                               struct ps_error *err);

#endif
