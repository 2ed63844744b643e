#include "node/io/metrics.h"

#include "node/io/r2/objects.h"
#include "node/io/server.h"

#include <inttypes.h>

const ps_dur_ns ps_stale_bounds_ns[PS_STALE_BUCKETS] = {0,
                                                        PS_MS,
                                                        10 * PS_MS,
                                                        100 * PS_MS,
                                                        250 * PS_MS,
                                                        500 * PS_MS,
                                                        1 * PS_SECOND,
                                                        5 * PS_SECOND,
                                                        15 * PS_SECOND,
                                                        30 * PS_SECOND,
                                                        60 * PS_SECOND,
                                                        300 * PS_SECOND};

void ps_metrics_stale(struct ps_store_metrics *metrics, ps_dur_ns stale_ns)
{
    size_t i = 0;
    while (i < PS_STALE_BUCKETS && stale_ns > ps_stale_bounds_ns[i]) {
        i++;
    }
    metrics->stale[i]++;
    metrics->stale_sum_ns += stale_ns;
}

static void family(struct ps_buf *buf, const char *name, const char *type, const char *help)
{
    ps_buf_printf(buf, "# TYPE popsim_%s %s\n# HELP popsim_%s %s\n", name, type, name, help);
}

static size_t next_shown(const struct ps_node *node, size_t i)
{
    while (i < node->store_count && !ps_store_is_shown(node->stores[i])) {
        i++;
    }
    return i;
}

/* One counter of each store, by its place in struct ps_store_metrics. */
static void store_counters(struct ps_node *node, struct ps_buf *buf, const char *name,
                           const char *help, size_t offset)
{
    family(buf, name, "counter", help);
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        const char *metrics = (const char *)&node->stores[i]->metrics;
        const uint64_t *value = (const uint64_t *)(const void *)(metrics + offset);
        ps_buf_printf(buf, "popsim_%s_total{pop=\"%s\",store=\"%s\"} %" PRIu64 "\n", name,
                      node->code, node->stores[i]->config->name, *value);
    }
}

static void store_value(struct ps_node *node, struct ps_buf *buf, const char *sample, size_t i,
                        uint64_t value)
{
    ps_buf_printf(buf, "popsim_%s{pop=\"%s\",store=\"%s\"} %" PRIu64 "\n", sample, node->code,
                  node->stores[i]->config->name, value);
}

static void staleness(struct ps_node *node, struct ps_buf *buf)
{
    family(buf, "read_staleness_seconds", "histogram",
           "How long the version returned had been superseded, in cluster time.");
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        const struct ps_node_store *store = node->stores[i];
        uint64_t sum = 0;
        for (size_t k = 0; k <= PS_STALE_BUCKETS; k++) {
            sum += store->metrics.stale[k];
            ps_buf_printf(buf, "popsim_read_staleness_seconds_bucket{pop=\"%s\",store=\"%s\",le=\"",
                          node->code, store->config->name);
            if (k < PS_STALE_BUCKETS) {
                ps_buf_printf(buf, "%g", (double)ps_stale_bounds_ns[k] / 1e9);
            } else {
                ps_buf_append_text(buf, "+Inf");
            }
            ps_buf_printf(buf, "\"} %" PRIu64 "\n", sum);
        }
        store_value(node, buf, "read_staleness_seconds_count", i, sum);
        ps_buf_printf(buf, "popsim_read_staleness_seconds_sum{pop=\"%s\",store=\"%s\"} %.9f\n",
                      node->code, store->config->name, (double)store->metrics.stale_sum_ns / 1e9);
    }
}

static void follower(struct ps_node *node, struct ps_buf *buf, const char *name, const char *help,
                     size_t offset)
{
    family(buf, name, "counter", help);
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        if (node->stores[i]->primary == NULL) {
            const char *at = (const char *)&node->stores[i]->follower + offset;
            ps_buf_printf(buf, "popsim_%s_total{pop=\"%s\",store=\"%s\"} %" PRIu64 "\n", name,
                          node->code, node->stores[i]->config->name,
                          *(const uint64_t *)(const void *)at);
        }
    }
}

static void stores(struct ps_node *node, struct ps_buf *buf)
{
#define COUNTER(member, name, help)                                                                \
    store_counters(node, buf, name, help, offsetof(struct ps_store_metrics, member))
    COUNTER(reads, "reads", "Keys read.");
    COUNTER(lists, "lists", "Lists answered.");
    COUNTER(reads_stale, "reads_stale", "Keys read of which a newer version was committed.");
    COUNTER(reads_late, "reads_late", "Keys read from an incomplete log, because home was away.");
    COUNTER(reads_failed, "reads_failed", "Keys whose read failed.");
    COUNTER(reads_waited, "reads_waited", "Keys whose read waited for the log.");
    COUNTER(cache_hits, "cache_hits", "Keys read from the cache of this PoP.");
    COUNTER(writes, "writes", "Writes made at this PoP.");
    COUNTER(writes_failed, "writes_failed", "Writes made at this PoP that failed.");
    COUNTER(forwards, "forwards", "Messages with writes sent to home.");
    COUNTER(forward_retries, "forward_retries", "Messages with writes sent again.");
    COUNTER(query_retries, "query_retries", "Queries that only read tried again after an error.");
    COUNTER(commits, "commits", "Group commits, at home.");
    COUNTER(records, "records", "Records put into the map.");
    COUNTER(records_late, "records_late", "Records that came after they were to be visible.");
#undef COUNTER
#define FOLLOWER(member, name, help)                                                               \
    follower(node, buf, name, help, offsetof(struct ps_follower, member))
    FOLLOWER(gaps, "follower_gaps", "Gaps noticed in what home published.");
    FOLLOWER(catch_ups, "follower_catch_ups", "Requests for missing records.");
    FOLLOWER(snapshots, "follower_snapshots", "Snapshots begun.");
    FOLLOWER(duplicates, "follower_duplicates", "Records received more than once.");
#undef FOLLOWER
}

static void bucket_gauge(struct ps_node *node, struct ps_buf *buf, const char *name,
                         const char *help, size_t offset)
{
    family(buf, name, "gauge", help);
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        if (node->stores[i]->objects != NULL) {
            struct ps_object_counts counts = ps_objects_counts(node->stores[i]->objects);
            const char *at = (const char *)&counts + offset;
            store_value(node, buf, name, i, *(const uint64_t *)(const void *)at);
        }
    }
}

static void gauges(struct ps_node *node, struct ps_buf *buf)
{
    family(buf, "have_lsn", "gauge", "The newest record that is complete here.");
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        store_value(node, buf, "have_lsn", i, node->stores[i]->have_lsn);
    }
    family(buf, "pins", "gauge", "Cache entries of this PoP.");
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        store_value(node, buf, "pins", i, ps_store_pins(node->stores[i]));
    }

    bucket_gauge(node, buf, "objects", "Objects of the bucket, at home, as last counted.",
                 offsetof(struct ps_object_counts, objects));
    bucket_gauge(node, buf, "object_bytes", "Bytes of the bucket's objects, at home.",
                 offsetof(struct ps_object_counts, bytes));

    family(buf, "record_late_max_ns", "gauge",
           "How late the latest record came, in cluster time, since the cache was emptied.");
    for (size_t i = next_shown(node, 0); i < node->store_count; i = next_shown(node, i + 1)) {
        store_value(node, buf, "record_late_max_ns", i, node->stores[i]->metrics.late_max_ns);
    }

    struct {
        const char *name;
        const char *type;
        const char *help;
        uint64_t value;
    } values[] = {
        {"connections", "gauge", "Open HTTP connections.", ps_server_connections(node->server)},
        {"connections_accepted", "counter", "HTTP connections taken.",
         ps_server_accepted(node->server)},
        {"http_requests", "counter", "HTTP requests.", ps_server_requests(node->server)},
        {"boot", "gauge", "How often this PoP's cache has been emptied.", node->boot},
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        family(buf, values[i].name, values[i].type, values[i].help);
        ps_buf_printf(buf, "popsim_%s%s{pop=\"%s\"} %" PRIu64 "\n", values[i].name,
                      values[i].type[0] == 'c' ? "_total" : "", node->code, values[i].value);
    }
}

static void map_gauges(struct ps_node *node, struct ps_buf *buf)
{
    struct ps_map_stats stats = {0};
    if (ps_map_stats(node->map, &stats) != PS_OK) {
        return;
    }

    const struct {
        const char *name;
        const char *help;
        uint64_t value;
    } values[] = {{"map_bytes", "Bytes of the versioned map.", stats.bytes},
                  {"map_keys", "Keys in the versioned map.", stats.keys},
                  {"map_versions", "Versions in the versioned map.", stats.versions},
                  {"map_log_records", "Records in the log.", stats.log_records}};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        family(buf, values[i].name, "gauge", values[i].help);
        ps_buf_printf(buf, "popsim_%s{pop=\"%s\"} %" PRIu64 "\n", values[i].name, node->code,
                      values[i].value);
    }
}

void ps_metrics_write(struct ps_node *node, struct ps_buf *buf)
{
    stores(node, buf);
    staleness(node, buf);
    gauges(node, buf);
    map_gauges(node, buf);
    ps_buf_append_text(buf, "# EOF\n");
}
