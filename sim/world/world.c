#include "sim/world/world.h"

#include "node/cluster/cluster_file.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/world_internal.h"

#include <string.h>

enum { PROGRESS_EVERY = 1 << 16, OPERATIONS_MAX = 1 << 28 };

int64_t ps_world_unix_s(const struct world *world, ps_time_ns t)
{
    return ps_kv_unix_s(world->cluster, t);
}

void ps_world_fail(struct world *world, struct ps_op *op, enum ps_status error,
                   ps_time_ns complete_ns)
{
    op->error = (uint8_t)error;
    op->complete_ns = complete_ns;
    ps_history_add(world->history, op);
}

/* ---- operations ---- */

static const enum ps_op_kind kinds[] = {
    [PS_VERB_KV_GET] = PS_OP_KV_GET,       [PS_VERB_KV_PUT] = PS_OP_KV_PUT,
    [PS_VERB_KV_DELETE] = PS_OP_KV_DELETE, [PS_VERB_KV_LIST] = PS_OP_KV_LIST,
    [PS_VERB_D1_QUERY] = PS_OP_D1_QUERY,   [PS_VERB_D1_BATCH] = PS_OP_D1_BATCH,
    [PS_VERB_R2_GET] = PS_OP_R2_GET,       [PS_VERB_R2_HEAD] = PS_OP_R2_HEAD,
    [PS_VERB_R2_PUT] = PS_OP_R2_PUT,       [PS_VERB_R2_DELETE] = PS_OP_R2_DELETE,
    [PS_VERB_R2_LIST] = PS_OP_R2_LIST,     [PS_VERB_R2_FETCH] = PS_OP_R2_FETCH,
    [PS_VERB_R2_PURGE] = PS_OP_R2_PURGE};

/* Returns when it is answered; PS_NEVER: that is not known yet. */
static ps_time_ns invoke(struct world *world, struct ps_session *session)
{
    struct ps_drawn drawn;
    ps_session_draw(session, &world->text, &drawn);
    struct ps_op op = {.id = ++world->operations,
                       .session = (uint32_t)(session - world->plan.sessions),
                       .pop = drawn.pop,
                       .store = drawn.action->store,
                       .kind = (uint8_t)kinds[drawn.action->verb],
                       .key = ps_intern_put(world->history->keys, drawn.key),
                       .invoke_ns = world->now_ns};
    if (ps_op_is_d1(&op)) {
        op.request = ps_intern_put(world->history->requests, drawn.value) + 1;
    } else if (ps_op_is_r2(&op)) {
        ps_world_object_ask(world, &drawn, &op);
    }
    if (ps_world_up_at(&world->pops[op.pop], world->now_ns) != world->now_ns) {
        ps_world_fail(world, &op, PS_UNREACHABLE, world->now_ns); /* nobody listens */
        return world->now_ns;
    }
    if (ps_op_is_d1(&op)) {
        ps_world_query(world, &op, &drawn, session);
        return PS_NEVER;
    }
    if (ps_op_is_r2(&op)) {
        return ps_world_object(world, &op, &drawn);
    }
    bool read = op.kind == PS_OP_KV_GET || op.kind == PS_OP_KV_LIST;
    return read ? ps_world_read(world, &op, &drawn) : ps_world_write(world, &op, &drawn);
}

static void plan_next(struct world *world, struct ps_session *session)
{
    if (session->at_ns != PS_NEVER) {
        ps_queue_push_as(&world->queue, session->at_ns, PS_EVENT_INVOKE,
                         (uint64_t)(session - world->plan.sessions), session);
    }
}

void ps_world_go_on(struct world *world, struct ps_session *session, ps_time_ns complete_ns)
{
    ps_session_advance(session, complete_ns);
    plan_next(world, session);
}

static void boot(struct world *world, struct world_pop *pop)
{
    pop->boot++;
    for (size_t s = 0; s < world->cluster->store_count; s++) {
        struct world_replica *replica = &world->stores[s].replicas[pop->index];
        ps_store_replica_reset_pins(replica->replica);
        if (replica->public != NULL) {
            ps_public_cache_reset(replica->public, world->now_ns);
        }
    }
}

static void step(struct world *world, const struct ps_event *event)
{
    world->now_ns = event->at_ns;
    switch (ps_event_class(event)) {
    case PS_EVENT_BOOT:
        boot(world, event->subject);
        return;
    case PS_EVENT_COMMIT:
        ps_world_commit(world, event->subject);
        return;
    case PS_EVENT_QUERY: {
        struct world_query *query = event->subject;
        query->go_on(world, query);
        return;
    }
    case PS_EVENT_RESOLVE:
        ps_world_resolve(world, event->subject);
        return;
    case PS_EVENT_ANSWER:
        ps_world_answer(world, event->subject);
        return;
    case PS_EVENT_INVOKE: {
        struct ps_session *session = event->subject;
        ps_time_ns complete_ns = invoke(world, session);
        if (complete_ns != PS_NEVER || !ps_session_waits(session)) {
            ps_world_go_on(world, session, complete_ns);
        }
        return;
    }
    }
    PS_NOT_REACHED();
}

/* ---- the world's parts ---- */

static enum ps_status open_store(struct world *world, size_t at, struct ps_error *err)
{
    struct world_store *store = &world->stores[at];
    const struct ps_store *config = &world->cluster->stores[at];
    store->config = config;
    store->world = world;
    store->seeds = ps_stream_of("d1-seed", config->name, NULL);
    enum ps_status status =
        ps_map_store_open(world->map, ps_slice_of(config->name), &store->map_store, err);
    if (status != PS_OK) {
        return status;
    }
    store->primary = ps_primary_create(world->map, store->map_store, &config->kv);
    if (config->type == PS_STORE_R2) {
        store->objects = ps_r2_home_create(world->cluster, world->map, store->map_store,
                                           config->kv.write_interval_ns);
    }
    for (size_t p = 0; p < world->cluster->pop_count; p++) {
        struct world_replica *replica = &store->replicas[p];
        uint16_t pop = (uint16_t)p;
        ps_cluster_link(world->cluster, config, pop, &replica->link);
        replica->view = ps_cluster_replica(world->cluster, config, pop, &replica->link);
        replica->replica = ps_store_replica_create(world->cluster, config, pop, &replica->link,
                                                   world->map, store->map_store);
    }
    if (config->type == PS_STORE_R2) {
        ps_world_publics_open(store);
    }
    return PS_OK;
}

static enum ps_status copy_cluster(const struct ps_cluster *from, struct ps_cluster *to,
                                   struct ps_error *err)
{
    struct ps_buf json = {0};
    ps_cluster_encode(&json, from);
    ps_cluster_fini(to);
    enum ps_status status = ps_cluster_decode(ps_buf_slice(&json), to, err);
    ps_buf_fini(&json);
    return status;
}

enum ps_status ps_world_open(struct world *world, struct ps_error *err)
{
    const struct ps_cluster *cluster = world->cluster;
    world->map = ps_map_create_memory();
    world->history = ps_history_create();
    world->history->scenario = ps_strndup(world->scenario->name, strlen(world->scenario->name));
    world->history->end_ns = world->scenario->duration_ns;
    world->stores = PS_NEW_ARRAY(struct world_store, cluster->store_count);
    world->pops = PS_NEW_ARRAY(struct world_pop, cluster->pop_count);
    for (size_t p = 0; p < cluster->pop_count; p++) {
        world->pops[p].boot = 1;
        world->pops[p].index = p;
    }
    for (size_t s = 0; s < cluster->store_count; s++) {
        world->stores[s].replicas = PS_NEW_ARRAY(struct world_replica, cluster->pop_count);
    }
    enum ps_status status = copy_cluster(cluster, world->history->cluster, err);
    if (status == PS_OK) {
        status = ps_world_faults(world, err);
    }
    for (size_t s = 0; s < cluster->store_count && status == PS_OK; s++) {
        status = open_store(world, s, err);
    }
    for (uint16_t s = 0; s < cluster->store_count && status == PS_OK; s++) {
        status = ps_world_schema(world, s, err);
    }
    if (status == PS_OK) {
        status = ps_sessions_open(world->scenario, &world->plan, err);
    }
    for (size_t i = 0; i < world->plan.count && status == PS_OK; i++) {
        struct ps_session *session = &world->plan.sessions[i];
        uint32_t number = ps_intern_put(world->history->sessions, ps_slice_of(session->name));
        PS_ASSERT(number == i); /* names are unique */
        plan_next(world, session);
    }
    return status;
}

static void close_store(const struct world *world, struct world_store *store)
{
    for (size_t p = 0; p < world->cluster->pop_count; p++) {
        ps_d1_database_close(store->replicas[p].database);
        ps_store_replica_destroy(store->replicas[p].replica);
        ps_public_cache_destroy(store->replicas[p].public);
        ps_link_fini(&store->replicas[p].link);
    }
    ps_d1_database_close(store->database);
    free(store->replicas);
    free(store->commits);
    ps_r2_home_destroy(store->objects);
    ps_primary_destroy(store->primary);
}

void ps_world_close(struct world *world)
{
    for (size_t s = 0; s < world->cluster->store_count; s++) {
        close_store(world, &world->stores[s]);
    }
    for (size_t p = 0; p < world->cluster->pop_count; p++) {
        free(world->pops[p].downs);
    }
    struct ps_event event;
    while (ps_queue_pop(&world->queue, &event)) { /* left only when the run was ended early */
        enum ps_event_class kind = ps_event_class(&event);
        if (kind != PS_EVENT_BOOT && kind != PS_EVENT_INVOKE) {
            free(event.subject);
        }
    }
    ps_queue_fini(&world->queue);
    ps_sessions_close(&world->plan);
    ps_buf_fini(&world->text);
    ps_map_close(world->map);
    free(world->stores);
    free(world->pops);
}

static enum ps_status run(struct world *world, const struct ps_world_options *options,
                          struct ps_error *err)
{
    struct ps_event event;
    for (uint64_t turn = 1; ps_queue_pop(&world->queue, &event); turn++) {
        step(world, &event);
        if (turn % PROGRESS_EVERY == 0 && options->progress != NULL) {
            options->progress(options->context, world->now_ns, world->scenario->duration_ns,
                              world->operations);
        }
        if (world->operations == OPERATIONS_MAX) {
            return ps_fail(err, PS_LIMIT, "more than %d operations: a history of them does not fit",
                           OPERATIONS_MAX);
        }
    }
    return PS_OK;
}

enum ps_status ps_world_run(const struct ps_scenario *scenario,
                            const struct ps_world_options *options, struct ps_history **ret,
                            struct ps_error *err)
{
    static const struct ps_world_options none;
    struct world world = {.scenario = scenario, .cluster = &scenario->cluster};
    enum ps_status status = ps_world_open(&world, err);
    if (status == PS_OK) {
        status = run(&world, options == NULL ? &none : options, err);
    }
    ps_world_close(&world);
    if (status != PS_OK) {
        ps_history_destroy(world.history);
        return status;
    }
    ps_history_sort(world.history);
    *ret = world.history;
    return PS_OK;
}
