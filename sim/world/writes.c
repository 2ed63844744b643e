#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/world_internal.h"

#include <string.h>

static struct ps_slice keep(char **at, struct ps_slice bytes)
{
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
    }
    struct ps_slice kept = {*at, bytes.size};
    *at += bytes.size;
    return kept;
}

static struct world_pending *pending_write(const struct ps_op *op, const struct ps_drawn *drawn)
{
    struct world_pending *pending =
        ps_calloc(1, sizeof *pending + drawn->key.size + drawn->value.size + drawn->metadata.size);
    char *at = pending->bytes;
    pending->op = *op;
    pending->body = drawn->body;
    pending->entry = (struct ps_entry){.key = keep(&at, drawn->key),
                                       .value = keep(&at, drawn->value),
                                       .metadata = keep(&at, drawn->metadata),
                                       .expires_unix_s = op->expires_unix_s,
                                       .deleted = ps_op_is_delete(op)};
    return pending;
}

/* Hold the write against the documented limits; a put's expiry becomes Unix time. */
static bool check(const struct world *world, const struct ps_drawn *drawn, struct ps_op *op)
{
    const struct ps_action *action = drawn->action;
    struct ps_kv_request request = {.op = op->kind == PS_OP_KV_PUT ? PS_KV_PUT : PS_KV_DELETE,
                                    .key = drawn->key,
                                    .value = drawn->value,
                                    .metadata = drawn->metadata,
                                    .has_expiration = action->expiration_s != 0,
                                    .expiration_s = action->expiration_s,
                                    .has_expiration_ttl = action->expiration_ttl_ns != 0,
                                    .expiration_ttl_s =
                                        (int64_t)(action->expiration_ttl_ns / PS_SECOND)};
    struct ps_kv_error error = {0};
    if (!ps_kv_check(&request, ps_world_unix_s(world, world->now_ns), &op->expires_unix_s,
                     &error)) {
        op->http_status = (uint16_t)error.http_status;
        return false;
    }
    return true;
}

ps_time_ns ps_world_write(struct world *world, struct ps_op *op, const struct ps_drawn *drawn)
{
    const struct world_pop *pop = &world->pops[op->pop];
    op->boot = pop->boot;
    if (op->kind == PS_OP_KV_PUT) {
        op->digest = ps_slice_hash(drawn->value);
    }
    if (!ps_op_is_r2(op) && !check(world, drawn, op)) {
        ps_world_fail(world, op, PS_INVALID, op->invoke_ns);
        return op->invoke_ns;
    }
    struct ps_world_write_way way = ps_world_write_way(world, op->store, op->pop, op->invoke_ns);
    if (way.status != PS_OK) {
        ps_world_fail(world, op, way.lost, way.lost_ns);
        return way.lost_ns;
    }
    struct world_pending *pending = pending_write(op, drawn);
    pending->way = way;
    ps_queue_push(&world->queue, way.home_ns, PS_EVENT_COMMIT, pending);
    return ps_time_min(way.end_ns, way.lost_ns);
}

static void take_result(void *context, void *tag, const struct ps_written *result)
{
    (void)context;
    *(struct ps_written *)tag = *result;
}

/* One write, one batch: the disk takes no time. The stamp is a tick after the arrival, so that it
 * never depends on what was read at that instant: a read closes it (ps_primary_closed). The result
 * comes to where its tag says. */
static void commit_batch(struct world *world, struct world_store *store,
                         const struct ps_written *written)
{
    const struct ps_record *records;
    size_t count = ps_primary_take(store->primary, world->now_ns + 1, &records);
    PS_ASSERT(count <= 1);
    enum ps_status status = PS_OK;
    if (count == 1) {
        struct ps_append append = {store->map_store, &records[0]};
        status = ps_map_apply(world->map, &append, 1, NULL);
    }
    ps_primary_done(store->primary, status, take_result, NULL);
    if (count == 1 && status == PS_OK) {
        store->commits = ps_grow(store->commits, store->commit_count, &store->commit_capacity,
                                 sizeof *store->commits);
        store->commits[store->commit_count++] = written->commit_ns;
        PS_ASSERT(written->lsn == store->commit_count);
    }
}

static struct ps_written commit(struct world *world, struct world_store *store,
                                const struct ps_entry *entry)
{
    struct ps_write write = {.entry = *entry};
    struct ps_written written = {.status = PS_OK};
    bool known = ps_primary_write(store->primary, &write, &written, &written);
    PS_ASSERT(!known); /* there is no token */
    commit_batch(world, store, &written);
    return written;
}

void ps_world_append_record(struct world_store *store, const struct ps_record *record,
                            struct ps_written *ret)
{
    ps_primary_append(store->primary, record, ret);
    commit_batch(store->world, store, ret);
}

enum ps_status ps_world_append(void *context, struct ps_record *record)
{
    struct world_store *store = context;
    struct ps_written written = {.status = PS_OK};
    ps_world_append_record(store, record, &written);
    return written.status;
}

static void commit_entry(struct world *world, struct world_pending *pending)
{
    struct ps_op *op = &pending->op;
    struct ps_written written = commit(world, &world->stores[op->store], &pending->entry);
    op->error = (uint8_t)written.status;
    op->lsn = written.lsn;
    op->eval_ns = written.commit_ns;
    if (written.status == PS_RATE_LIMITED) {
        op->http_status = 429;
    }
}

void ps_world_commit(struct world *world, struct world_pending *pending)
{
    struct ps_op *op = &pending->op;
    if (ps_op_is_r2(op)) {
        ps_world_mutate(world, pending);
    } else {
        commit_entry(world, pending);
    }
    ps_time_ns end_ns = ps_time_max(pending->way.end_ns, op->eval_ns);
    if (end_ns > pending->way.lost_ns) {
        /* It happened, and its client does not know. */
        ps_world_fail(world, op, pending->way.lost, ps_time_max(pending->way.lost_ns, op->eval_ns));
        free(pending);
        return;
    }
    ps_queue_push(&world->queue, end_ns, PS_EVENT_ANSWER, pending);
}

void ps_world_answer(struct world *world, struct world_pending *pending)
{
    struct ps_op *op = &pending->op;
    op->complete_ns = world->now_ns;
    if (op->error == PS_OK) {
        struct world_replica *replica = &world->stores[op->store].replicas[op->pop];
        ps_time_ns refresh_ns = ps_eval_clock_next(&world->pops[op->pop].clock, world->now_ns);
        if (ps_store_replica_acknowledge(replica->replica, pending->entry.key, op->eval_ns,
                                         refresh_ns)) {
            op->refresh_ns = refresh_ns;
            op->complete_ns = refresh_ns;
        }
    }
    ps_history_add(world->history, op);
    free(pending);
}
