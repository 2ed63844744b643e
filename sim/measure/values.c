/* Measures by name, as expectations use them. */
#include "sim/measure/measure.h"

#include <string.h>

struct path {
    struct ps_slice whole;
    struct ps_slice rest;
    struct ps_error *err;
};

/* Take the next part, up to a dot. */
static struct ps_slice next_part(struct path *path)
{
    const char *dot = path->rest.size == 0 ? NULL : memchr(path->rest.data, '.', path->rest.size);
    size_t size = dot == NULL ? path->rest.size : (size_t)(dot - path->rest.data);
    struct ps_slice part = {path->rest.data, size};
    size_t used = dot == NULL ? size : size + 1;
    path->rest.data += used;
    path->rest.size -= used;
    return part;
}

static bool is(struct ps_slice part, const char *name)
{
    return ps_slice_eq(part, ps_slice_of(name));
}

static enum ps_status unknown(const struct path *path, struct ps_slice part, const char *names)
{
    return ps_fail(path->err, PS_NOT_FOUND, "%.*s: no measure \"%.*s\" here; there are %s",
                   (int)path->whole.size, path->whole.data, (int)part.size,
                   part.data == NULL ? "" : part.data, names);
}

/* A value was found: nothing may follow. */
static enum ps_status give(const struct path *path, double value, double *ret)
{
    if (path->rest.size > 0) {
        return ps_fail(path->err, PS_NOT_FOUND, "%.*s: nothing follows before \".%.*s\"",
                       (int)path->whole.size, path->whole.data, (int)path->rest.size,
                       path->rest.data);
    }
    *ret = value;
    return PS_OK;
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)PS_SECOND;
}

static enum ps_status figure(struct path *path, const struct ps_histogram *histogram,
                             const char *names, double *ret)
{
    static const struct {
        const char *name;
        double quantile;
    } quantiles[] = {{"min", 0},    {"p50", 0.5},    {"p90", 0.9},
                     {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    struct ps_slice part = next_part(path);
    if (is(part, "count")) {
        return give(path, (double)histogram->count, ret);
    }
    if (is(part, "mean")) {
        return give(path, ps_histogram_mean(histogram) / (double)PS_SECOND, ret);
    }
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        if (is(part, quantiles[i].name)) {
            return give(path, seconds(ps_histogram_quantile(histogram, quantiles[i].quantile)),
                        ret);
        }
    }
    return unknown(path, part, names);
}

#define FIGURES "count, min, mean, p50, p90, p99, p999, max"

static enum ps_status visibility(struct path *path, const struct ps_store_measures *store,
                                 const struct ps_cluster *cluster, double *ret)
{
    struct path ahead = *path;
    struct ps_slice part = next_part(&ahead);
    if (is(part, "never")) {
        return give(&ahead, (double)store->never_visible, ret);
    }
    if (!is(part, "by_pop")) {
        return figure(path, store->visibility, FIGURES ", never, by_pop.<PoP>", ret);
    }
    struct ps_slice code = next_part(&ahead);
    int pop = ps_cluster_find_pop(cluster, code);
    if (pop < 0) {
        return unknown(path, code, "the cluster's PoPs");
    }
    return figure(&ahead, store->visibility_by_pop[pop], FIGURES, ret);
}

static double stale_ratio(const struct ps_store_measures *store)
{
    return store->reads == 0 ? 0 : (double)store->stale_reads / (double)store->reads;
}

static enum ps_status reads(struct path *path, const struct ps_store_measures *store, double *ret)
{
    if (path->rest.size == 0) {
        return give(path, (double)store->reads, ret);
    }
    struct ps_slice part = next_part(path);
    if (is(part, "count")) {
        return give(path, (double)store->reads, ret);
    }
    if (is(part, "stale_ratio")) {
        return give(path, stale_ratio(store), ret);
    }
    if (is(part, "stale")) {
        return give(path, (double)store->stale_reads, ret);
    }
    if (is(part, "age")) {
        return figure(path, store->age, FIGURES, ret);
    }
    return unknown(path, part, "count, stale, stale_ratio, age.<figure>");
}

static enum ps_status violations(struct path *path, const struct ps_store_measures *store,
                                 double *ret)
{
    struct ps_slice part = next_part(path);
    if (store->without_sessions) {
        return ps_fail(path->err, PS_NOT_FOUND,
                       "violations were not looked for, since no history was kept");
    }
    for (int kind = 0; kind < PS_VIOLATION_KINDS; kind++) {
        if (is(part, ps_violation_name((enum ps_violation)kind))) {
            return give(path, (double)store->violations[kind].count, ret);
        }
    }
    return unknown(path, part,
                   "read_your_writes, monotonic_reads, monotonic_writes, writes_follow_reads, "
                   "linearizable");
}

static enum ps_status of_store(struct path *path, const struct ps_store_measures *store,
                               const struct ps_cluster *cluster, double *ret)
{
    struct ps_slice part = next_part(path);
    if (is(part, "visibility")) {
        return visibility(path, store, cluster, ret);
    }
    if (is(part, "reads")) {
        return reads(path, store, ret);
    }
    if (is(part, "reads_age")) {
        return figure(path, store->age, FIGURES, ret);
    }
    if (is(part, "violations")) {
        return violations(path, store, ret);
    }
    if (is(part, "behind")) {
        struct ps_slice last = next_part(path);
        return is(last, "max") ? give(path, (double)store->behind_max, ret)
                               : unknown(path, last, "max");
    }
    if (is(part, "writes")) {
        return give(path, (double)store->writes, ret);
    }
    if (is(part, "lists")) {
        return give(path, (double)store->lists, ret);
    }
    if (is(part, "purges")) {
        return give(path, (double)store->purges, ret);
    }
    if (is(part, "errors")) {
        return give(path, (double)store->errors, ret);
    }
    if (is(part, "rows_read")) {
        return give(path, (double)store->rows_read, ret);
    }
    if (is(part, "rows_written")) {
        return give(path, (double)store->rows_written, ret);
    }
    if (is(part, "stale_reads")) {
        return give(path, (double)store->stale_reads, ret);
    }
    if (is(part, "stale_ratio")) {
        return give(path, stale_ratio(store), ret);
    }
    return unknown(path, part,
                   "visibility, reads, reads_age, stale_reads, stale_ratio, behind.max, "
                   "violations, writes, lists, errors, rows_read, rows_written");
}

enum ps_status ps_measures_value(const struct ps_measures *measures,
                                 const struct ps_cluster *cluster, struct ps_slice name,
                                 double *ret, struct ps_error *err)
{
    struct path path = {name, name, err};
    struct ps_slice part = next_part(&path);
    if (is(part, "operations")) {
        return give(&path, (double)measures->operations, ret);
    }
    if (is(part, "fidelity")) {
        struct ps_slice last = next_part(&path);
        if (is(last, "late_records")) {
            return give(&path, (double)measures->late_records, ret);
        }
        if (is(last, "late_max")) {
            return give(&path, seconds(measures->late_max_ns), ret);
        }
        return unknown(&path, last, "late_records, late_max");
    }
    int store = ps_cluster_find_store(cluster, part);
    if (store < 0) {
        return unknown(&path, part, "the stores' names, operations, fidelity");
    }
    struct path ahead = path;
    if (is(next_part(&ahead), "public") && cluster->stores[store].type == PS_STORE_R2) {
        return of_store(&ahead, &measures->publics[store], cluster, ret);
    }
    return of_store(&path, &measures->stores[store], cluster, ret);
}
