#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/measure/measure.h"

const char *ps_violation_name(enum ps_violation violation)
{
    switch (violation) {
    case PS_VIOLATION_READ_YOUR_WRITES:
        return "read_your_writes";
    case PS_VIOLATION_MONOTONIC_READS:
        return "monotonic_reads";
    case PS_VIOLATION_MONOTONIC_WRITES:
        return "monotonic_writes";
    case PS_VIOLATION_WRITES_FOLLOW_READS:
        return "writes_follow_reads";
    case PS_VIOLATION_LINEARIZABLE:
        return "linearizable";
    case PS_VIOLATION_KINDS:
        break;
    }
    PS_NOT_REACHED();
}

/* Ends of the curve's steps: close where replication by push happens, then around the minute that a
 * cache holds an entry. */
static const ps_dur_ns curve_ends_ns[PS_CURVE_POINTS] = {
    1 * PS_MS,       2 * PS_MS,       5 * PS_MS,       10 * PS_MS,      20 * PS_MS,
    50 * PS_MS,      100 * PS_MS,     200 * PS_MS,     500 * PS_MS,     1 * PS_SECOND,
    2 * PS_SECOND,   5 * PS_SECOND,   10 * PS_SECOND,  20 * PS_SECOND,  30 * PS_SECOND,
    40 * PS_SECOND,  50 * PS_SECOND,  60 * PS_SECOND,  75 * PS_SECOND,  90 * PS_SECOND,
    120 * PS_SECOND, 180 * PS_SECOND, 300 * PS_SECOND, 600 * PS_SECOND, PS_NEVER};

/* The first step that a duration of so many bits can fall into: at most three steps end within a
 * power of two, so that the walk from there is short. */
static const unsigned char curve_starts[65] = {
    [21] = 1,  [22] = 2,  [23] = 2,  [24] = 3,  [25] = 4,  [26] = 5,  [27] = 6,
    [28] = 7,  [29] = 8,  [30] = 9,  [31] = 10, [32] = 11, [33] = 11, [34] = 12,
    [35] = 13, [36] = 15, [37] = 18, [38] = 21, [39] = 22, [40] = 23};

size_t ps_curve_step(ps_dur_ns since_ns)
{
    unsigned bits = since_ns == 0 ? 0 : 64U - (unsigned)__builtin_clzll(since_ns);
    size_t step = bits > 40 ? PS_CURVE_POINTS - 1 : curve_starts[bits];
    while (since_ns > curve_ends_ns[step]) {
        step++;
    }
    return step;
}

static struct ps_store_measures *create_stores(const struct ps_cluster *cluster, bool publics)
{
    struct ps_store_measures *stores =
        PS_NEW_ARRAY(struct ps_store_measures, cluster->store_count + 1);
    for (size_t i = 0; i < cluster->store_count; i++) {
        struct ps_store_measures *store = &stores[i];
        if (publics && cluster->stores[i].type != PS_STORE_R2) {
            continue;
        }
        store->visibility = PS_NEW(struct ps_histogram);
        store->age = PS_NEW(struct ps_histogram);
        store->visibility_by_pop = PS_NEW_ARRAY(struct ps_histogram *, cluster->pop_count);
        for (size_t p = 0; p < cluster->pop_count; p++) {
            store->visibility_by_pop[p] = PS_NEW(struct ps_histogram);
        }
        for (size_t c = 0; c < PS_CURVE_POINTS; c++) {
            store->curve[c].until_ns = curve_ends_ns[c];
        }
    }
    return stores;
}

struct ps_measures *ps_measures_create(const struct ps_cluster *cluster)
{
    struct ps_measures *measures = PS_NEW(struct ps_measures);
    measures->store_count = cluster->store_count;
    measures->pop_count = cluster->pop_count;
    measures->stores = create_stores(cluster, false);
    measures->publics = create_stores(cluster, true);
    return measures;
}

static void destroy_stores(struct ps_store_measures *stores, size_t count, size_t pop_count)
{
    for (size_t i = 0; i < count; i++) {
        struct ps_store_measures *store = &stores[i];
        for (size_t p = 0; p < pop_count && store->visibility_by_pop != NULL; p++) {
            free(store->visibility_by_pop[p]);
        }
        free(store->visibility_by_pop);
        free(store->visibility);
        free(store->age);
    }
    free(stores);
}

void ps_measures_destroy(struct ps_measures *measures)
{
    if (measures == NULL) {
        return;
    }
    destroy_stores(measures->stores, measures->store_count, measures->pop_count);
    destroy_stores(measures->publics, measures->store_count, measures->pop_count);
    free(measures);
}

bool ps_measures_public(const struct ps_measures *measures, size_t store)
{
    const struct ps_store_measures *it = &measures->publics[store];
    return it->reads + it->errors + it->purges > 0;
}

void ps_measures_read(struct ps_store_measures *store, uint64_t behind, ps_dur_ns age_ns,
                      bool written, ps_dur_ns since_ns)
{
    store->reads++;
    store->behind[behind < PS_BEHIND_MAX ? behind : PS_BEHIND_MAX]++;
    if (behind > store->behind_max) {
        store->behind_max = behind;
    }
    if (behind > 0) {
        store->stale_reads++;
        ps_histogram_record(store->age, age_ns, 1);
    }
    if (written) {
        size_t step = ps_curve_step(since_ns);
        store->curve[step].reads++;
        store->curve[step].fresh += behind == 0;
    }
}
