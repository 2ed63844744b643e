#include "sim/measure/visibility_walk.h"

#include "replication/base/assert.h"

/* For each key that it is a version of. */
static void record_all(struct ps_visibility_sink *sink, const struct ps_log_record *it,
                       ps_time_ns begin_ns, ps_time_ns visible_ns)
{
    size_t count = it->commit_ns < begin_ns ? 0 : ps_log_record_versions(it);
    for (size_t i = 0; i < count; i++) {
        ps_visibility_record(sink, it->commit_ns, visible_ns);
    }
}

/* In order: a record shows when it and all before it have arrived. */
static void walk_fifo(struct ps_visibility_sink *sink, const struct ps_store_log *log,
                      ps_time_ns begin_ns)
{
    ps_time_ns visible_ns = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct ps_log_record *it = &log->records[i];
        visible_ns =
            ps_time_max(visible_ns, ps_push_arrival(&sink->replica, it->lsn, it->commit_ns));
        record_all(sink, it, begin_ns, visible_ns);
    }
}

/* Each on its own: a version shows when it or any newer one of its key has arrived. */
static void walk_unordered(struct ps_visibility_sink *sink, const struct ps_store_log *log,
                           size_t key_count, ps_time_ns begin_ns)
{
    for (uint32_t key = 0; key < key_count; key++) {
        ps_time_ns soonest_ns = PS_NEVER;
        for (size_t n = ps_store_log_commits(log, key).count; n > 0; n--) {
            const struct ps_log_record *it = ps_store_log_version(log, key, n - 1);
            soonest_ns =
                ps_time_min(soonest_ns, ps_push_arrival(&sink->replica, it->lsn, it->commit_ns));
            if (it->commit_ns >= begin_ns) {
                ps_visibility_record(sink, it->commit_ns, ps_time_max(soonest_ns, it->commit_ns));
            }
        }
    }
}

static void walk_strong(struct ps_visibility_sink *sink, const struct ps_store_log *log,
                        ps_time_ns begin_ns)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct ps_log_record *it = &log->records[i];
        record_all(sink, it, begin_ns,
                   ps_visibility_gap(&sink->replica, 0, it->commit_ns, it->commit_ns));
    }
}

void ps_visibility_walk(struct ps_visibility_sink *sink, const struct ps_store_log *log,
                        size_t key_count, ps_time_ns begin_ns)
{
    const struct ps_policy *policy = sink->replica.policy;
    PS_ASSERT(policy->kind != PS_POLICY_CACHE);
    if (policy->kind == PS_POLICY_STRONG) {
        walk_strong(sink, log, begin_ns);
    } else if (policy->push.order == PS_ORDER_FIFO) {
        walk_fifo(sink, log, begin_ns);
    } else {
        walk_unordered(sink, log, key_count, begin_ns);
    }
}
