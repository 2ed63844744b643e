#include "sim/world/cursor.h"

#include "replication/base/memory.h"

bool ps_world_can_measure(const struct ps_scenario *scenario, const char **ret_why)
{
    *ret_why = NULL;
    for (size_t s = 0; s < scenario->cluster.store_count; s++) {
        if (scenario->cluster.stores[s].type == PS_STORE_D1) {
            *ret_why = "what a D1 database does is known when it is done";
        } else if (scenario->cluster.stores[s].type == PS_STORE_R2) {
            *ret_why = "what a bucket does is known when it is done";
        }
    }
    for (size_t w = 0; w < scenario->workload_count && *ret_why == NULL; w++) {
        const struct ps_workload *workload = &scenario->workloads[w];
        if (workload->timing == PS_TIMING_CLIENTS) {
            *ret_why = "clients wait for answers";
        }
        bool trace = workload->timing == PS_TIMING_TRACE;
        size_t count = trace ? workload->trace_count : workload->action_count;
        for (size_t i = 0; i < count && *ret_why == NULL; i++) {
            const struct ps_action *action =
                trace ? &workload->trace[i].action : &workload->actions[i];
            if (action->verb == PS_VERB_KV_LIST) {
                *ret_why = "kv.list is used";
            } else if (action->expiration_s != 0) {
                *ret_why = "an absolute expiration is used";
            }
        }
    }
    return *ret_why == NULL;
}

static void cursor_init(struct cursor *cursor, struct world *world)
{
    const struct ps_cluster *cluster = world->cluster;
    *cursor = (struct cursor){.world = world, .measures = ps_measures_create(cluster)};
    for (size_t s = 0; s < cluster->store_count; s++) {
        cursor->measures->stores[s].without_sessions = true;
    }
    cursor->reads = PS_NEW_ARRAY(struct cursor_list, cluster->pop_count);
    cursor->answers = PS_NEW_ARRAY(struct cursor_answers, cluster->pop_count);
    cursor->logs = PS_NEW_ARRAY(struct ps_store_log, cluster->store_count);
}

static void cursor_fini(struct cursor *cursor)
{
    for (size_t p = 0; p < cursor->world->cluster->pop_count; p++) {
        free(cursor->reads[p].ops);
        free(cursor->reads[p].runs);
        free(cursor->answers[p].answers);
    }
    for (size_t s = 0; s < cursor->world->cluster->store_count; s++) {
        ps_store_log_fini(&cursor->logs[s]);
    }
    free(cursor->writes.ops);
    free(cursor->writes.runs);
    free(cursor->reads);
    free(cursor->answers);
    free(cursor->logs);
    free(cursor->actions);
    free(cursor->hashes);
    free(cursor->bad);
}

static void walk_pops(struct cursor *cursor)
{
    const struct ps_cluster *cluster = cursor->world->cluster;
    struct cursor_store *stores = PS_NEW_ARRAY(struct cursor_store, cluster->store_count);
    for (size_t s = 0; s < cluster->store_count; s++) {
        ps_cursor_store_init(&stores[s], cursor, (uint16_t)s);
    }
    for (size_t p = 0; p < cluster->pop_count; p++) {
        ps_cursor_pop(cursor, stores, (uint16_t)p);
    }
    for (size_t s = 0; s < cluster->store_count; s++) {
        ps_cursor_store_fini(&stores[s]);
    }
    free(stores);
}

enum ps_status ps_world_measure(const struct ps_scenario *scenario, struct ps_measures **ret,
                                struct ps_error *err)
{
    const char *why;
    if (!ps_world_can_measure(scenario, &why)) {
        return ps_fail(err, PS_UNSUPPORTED, "this scenario needs its history to be measured: %s",
                       why);
    }
    struct world world = {.scenario = scenario, .cluster = &scenario->cluster};
    enum ps_status status = ps_world_open(&world, err);
    if (status == PS_OK) {
        struct cursor cursor;
        cursor_init(&cursor, &world);
        status = ps_cursor_plan(&cursor, err);
        if (status == PS_OK) {
            ps_cursor_log(&cursor);
            walk_pops(&cursor);
            *ret = cursor.measures;
        } else {
            ps_measures_destroy(cursor.measures);
        }
        cursor_fini(&cursor);
    }
    ps_world_close(&world);
    ps_history_destroy(world.history);
    return status;
}
