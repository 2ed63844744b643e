#include "node/kv/list.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/world_internal.h"

#include <string.h>

/* Push replicas learn of the records committed since they were last asked. What is visible by now
 * stays so: reads that still wait look at later instants. */
void ps_world_catch_up(const struct world *world, const struct world_store *store,
                       struct world_replica *replica)
{
    if (replica->applied_lsn == store->commit_count) {
        return;
    }
    while (replica->applied_lsn < store->commit_count) {
        ps_time_ns commit_ns = store->commits[replica->applied_lsn++];
        ps_store_replica_applied(replica->replica, replica->applied_lsn, commit_ns);
    }
    if (store->config->policy.kind == PS_POLICY_PUSH) {
        ps_store_replica_sweep(replica->replica, world->now_ns, 0);
    }
}

/* ---- results ---- */

static uint64_t lsn_upto(const struct world_store *store, ps_time_ns t)
{
    size_t low = 0;
    size_t high = store->commit_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->commits[middle] <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void add_name(void *context, struct ps_slice key, const struct ps_version *version)
{
    (void)version;
    ps_buf_append_slice(context, key);
    ps_buf_append_char(context, 0);
}

static enum ps_status list_names(const struct world *world, const struct world_store *store,
                                 const struct ps_bound *bound, struct ps_op *op)
{
    struct ps_buf names = {0};
    struct ps_kv_list list = {.prefix = ps_intern_text(world->history->keys, op->key),
                              .limit = op->list_limit,
                              .now_unix_s = ps_world_unix_s(world, op->eval_ns),
                              .each = add_name,
                              .context = &names};
    bool complete;
    enum ps_status status = ps_kv_list_walk(world->map, store->map_store, bound, &list, &complete);
    op->digest = ps_slice_hash(ps_buf_slice(&names));
    ps_buf_fini(&names);
    return status;
}

static enum ps_status resolve_list(const struct world *world, const struct world_store *store,
                                   const struct ps_bound *bound, const struct ps_view *view,
                                   struct ps_op *op)
{
    enum ps_status status = ps_op_is_r2(op) ? ps_world_object_list(world, store, bound, op)
                                            : list_names(world, store, bound, op);
    if (view->kind == PS_VIEW_AS_OF) {
        op->lsn = lsn_upto(store, bound->commit_max);
    } else if (view->kind == PS_VIEW_FIFO) {
        op->lsn = bound->lsn_max;
    }
    return status;
}

static enum ps_status resolve_get(const struct world *world, const struct world_store *store,
                                  const struct ps_bound *bound, struct ps_op *op)
{
    struct ps_version version;
    struct ps_slice key = ps_intern_text(world->history->keys, op->key);
    enum ps_status status = ps_map_get(world->map, store->map_store, key, bound, &version);
    if (status != PS_OK) {
        return status == PS_NOT_FOUND ? PS_OK : status;
    }
    if (ps_op_is_r2(op)) {
        ps_world_object_found(world, &version, op);
        return PS_OK;
    }
    op->lsn = version.lsn;
    op->found = !ps_kv_absent(&version, ps_world_unix_s(world, op->eval_ns));
    op->digest = op->found ? ps_slice_hash(version.value) : 0;
    return PS_OK;
}

/* Home's log is complete up to view->need_ns: look. */
static void resolve(struct world *world, struct ps_op *op, const struct ps_view *view)
{
    struct world_store *store = &world->stores[op->store];
    struct world_replica *replica = &store->replicas[op->pop];
    uint64_t last_lsn;
    ps_time_ns closed_ns =
        ps_primary_closed(store->primary, ps_time_max(world->now_ns, view->need_ns), &last_lsn);
    PS_ASSERT(closed_ns >= view->need_ns);
    ps_world_catch_up(world, store, replica);
    struct ps_bound bound = ps_store_replica_bound(replica->replica, view, UINT64_MAX);
    enum ps_status status = ps_map_read_begin(world->map);
    if (status == PS_OK) {
        status = ps_op_is_list(op) ? resolve_list(world, store, &bound, view, op)
                                   : resolve_get(world, store, &bound, op);
        ps_map_read_end(world->map);
    }
    op->error = (uint8_t)status;
    ps_history_add(world->history, op);
}

void ps_world_resolve(struct world *world, struct world_pending *pending)
{
    if (ps_op_is_public(&pending->op)) {
        ps_world_fetched(world, pending);
        return;
    }
    resolve(world, &pending->op, &pending->view);
    free(pending);
}

/* ---- decisions ---- */

static enum ps_status decide(struct world *world, struct ps_op *op, struct ps_slice key,
                             struct ps_view *ret)
{
    struct world_replica *replica = &world->stores[op->store].replicas[op->pop];
    struct ps_buf pin_key = {0};
    if (op->kind == PS_OP_KV_LIST) {
        ps_kv_list_pin_key(&pin_key, key);
        key = ps_buf_slice(&pin_key);
    }
    enum ps_status status = ps_map_read_begin(world->map);
    if (status == PS_OK) {
        status = ps_store_replica_decide(replica->replica, key, op->eval_ns, op->cache_ttl_ns, ret);
        ps_map_read_end(world->map);
    }
    ps_buf_fini(&pin_key);
    return status;
}

static void resolve_later(struct world *world, const struct ps_op *op, const struct ps_view *view,
                          ps_time_ns at_ns)
{
    struct world_pending *pending = ps_calloc(1, sizeof *pending);
    pending->op = *op;
    pending->view = *view;
    ps_queue_push(&world->queue, at_ns, PS_EVENT_RESOLVE, pending);
}

ps_time_ns ps_world_read(struct world *world, struct ps_op *op, const struct ps_drawn *drawn)
{
    struct world_pop *pop = &world->pops[op->pop];
    op->cache_ttl_ns = drawn->action->cache_ttl_ns;
    op->list_limit = drawn->action->limit;
    op->eval_ns = ps_eval_clock_next(&pop->clock, world->now_ns);
    op->boot = pop->boot;
    struct ps_view view = {0}; /* what a map that cannot be read leaves */
    enum ps_status status = decide(world, op, drawn->key, &view);
    struct ps_world_read_way way =
        ps_world_read_way(world, op->store, op->pop, op->invoke_ns, op->eval_ns, status, &view);
    op->complete_ns = way.complete_ns;
    if (way.status != PS_OK) {
        ps_world_fail(world, op, way.status, way.complete_ns);
    } else if (way.known_ns <= world->now_ns) {
        resolve(world, op, &view);
    } else {
        resolve_later(world, op, &view, way.known_ns);
    }
    return way.complete_ns;
}
