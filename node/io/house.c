/* House-keeping: entries whose life is over, and versions that no read can reach any more. A little
 * at a time, in turns, store by store. */
#include "node/io/d1/travel.h"
#include "node/io/node_internal.h"
#include "replication/base/memory.h"

enum { HOUSE_MS = 1000, SWEEP_BUDGET = 4096, FORGET_BUDGET = 1024, PUBLIC_BUDGET = 1024 };

struct forget {
    struct ps_job job; /* first member */
    struct ps_node_store *store;
    ps_time_ns horizon_ns;
    bool more;
};

static void run_forget(struct ps_job *job)
{
    struct forget *forget = (struct forget *)(void *)job;
    job->status = ps_map_forget(forget->store->node->map, forget->store->map_store,
                                forget->horizon_ns, FORGET_BUDGET, &forget->more, &job->err);
}

static void submit(struct forget *forget);

static void on_forgot(struct ps_job *job)
{
    struct forget *forget = (struct forget *)(void *)job;
    struct ps_node *node = forget->store->node;
    if (job->status != PS_OK) {
        ps_node_log(node, PS_LOG_WARN, "house", "%s: old versions stay: %s",
                    forget->store->config->name, job->err.text);
    } else if (forget->more && !node->stopping) {
        submit(forget);
        return;
    }
    node->house_busy = false;
    free(forget);
}

static void submit(struct forget *forget)
{
    forget->more = false;
    ps_worker_submit(forget->store->node->worker, &forget->job);
}

static ps_time_ns horizon_of(const struct ps_node_store *store, ps_time_ns now_ns)
{
    const struct ps_node *node = store->node;
    ps_dur_ns wall_ns =
        (ps_dur_ns)((ps_u128)PS_RETENTION_NS * node->state.timeline.speed_milli / 1000);
    ps_time_ns horizon_ns = ps_time_sub(now_ns, ps_time_max(PS_RETENTION_NS, wall_ns));
    if (store->d1 != NULL && store->primary != NULL) {
        horizon_ns = ps_time_min(horizon_ns, ps_travel_horizon(store, now_ns));
    }
    if (store->public != NULL) {
        horizon_ns = ps_time_min(horizon_ns, ps_r2_public_horizon(store->public, horizon_ns));
    }
    return ps_time_min(horizon_ns, ps_store_replica_horizon(store->replica, horizon_ns));
}

static void sweep_public(const struct ps_node_store *store, ps_time_ns oldest_wait_ns)
{
    struct ps_map *map = store->node->map;
    ps_time_ns closed_ns = store->primary != NULL ? oldest_wait_ns : store->closed_ns;
    if (store->public == NULL || store->installing || ps_map_read_begin(map) != PS_OK) {
        return;
    }
    ps_r2_public_sweep(store->public, oldest_wait_ns, closed_ns, PUBLIC_BUDGET);
    ps_map_read_end(map);
}

static void on_house(struct ps_alarm *alarm)
{
    struct ps_node *node =
        (struct ps_node *)(void *)((char *)alarm - offsetof(struct ps_node, house));
    ps_node_alarm(node, alarm, ps_mono_ns() + HOUSE_MS * PS_MS);
    if (ps_transport_mend(node->transport)) {
        ps_node_log(node, PS_LOG_WARN, "feed", "connections to other PoPs did not last; new ones");
        ps_node_watch_feed(node);
    }
    if (node->store_count == 0) {
        return;
    }
    struct ps_node_store *store = node->stores[node->house_turn++ % node->store_count];
    if (store->dropped) {
        return;
    }
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns);
    /* A read that waits was decided a while ago: its window must not be trimmed away. No read waits
     * for longer than its time-out and home's silence. */
    ps_dur_ns longest_ns =
        ps_time_max(2 * store->config->policy.timeout_ns,
                    (ps_dur_ns)((ps_u128)PS_MINUTE * node->state.timeline.speed_milli / 1000));
    ps_store_replica_sweep(store->replica, ps_time_sub(now_ns, longest_ns), SWEEP_BUDGET);
    sweep_public(store, ps_time_sub(now_ns, longest_ns));
    ps_time_ns horizon_ns = horizon_of(store, now_ns);
    if (horizon_ns > 0 && !node->house_busy) {
        struct forget *forget = PS_NEW(struct forget);
        forget->store = store;
        forget->horizon_ns = horizon_ns;
        forget->job.run = run_forget;
        forget->job.done = on_forgot;
        node->house_busy = true;
        submit(forget);
    }
}

void ps_house_start(struct ps_node *node)
{
    node->house.ring = on_house;
    ps_node_alarm(node, &node->house, ps_mono_ns() + HOUSE_MS * PS_MS);
}
