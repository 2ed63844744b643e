#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/cursor.h"

/* A write on its way: when it comes to home, and where it stands in the order of invocation. */
struct arrival {
    ps_time_ns home_ns;
    size_t at;
    struct ps_world_write_way way;
};

static int compare_arrivals(const void *left, const void *right)
{
    const struct arrival *a = left;
    const struct arrival *b = right;
    if (a->home_ns != b->home_ns) {
        return a->home_ns < b->home_ns ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Give a write its place in the log; PS_NEVER if the write limit refuses it. What ps_primary_take
 * does. */
static ps_time_ns commit(const struct ps_store *config, struct ps_store_log *log, size_t *capacity,
                         ps_time_ns *last_put_ns, uint32_t key, bool deleted, ps_time_ns home_ns)
{
    ps_time_ns last_ns = log->count == 0 ? 0 : log->records[log->count - 1].commit_ns;
    ps_time_ns commit_ns = ps_time_max(home_ns + 1, last_ns + 1);
    if (!deleted && !ps_kv_write_allowed(&config->kv, *last_put_ns, commit_ns)) {
        return PS_NEVER;
    }
    if (!deleted) {
        *last_put_ns = commit_ns;
    }
    log->records = ps_grow(log->records, log->count, capacity, sizeof *log->records);
    log->records[log->count] = (struct ps_log_record){
        .lsn = log->count + 1, .commit_ns = commit_ns, .key = key, .deleted = deleted};
    log->count++;
    return commit_ns;
}

static void add_answer(struct cursor_answers *list, const struct cursor_answer *answer)
{
    list->answers = ps_grow(list->answers, list->count, &list->capacity, sizeof *list->answers);
    list->answers[list->count++] = *answer;
}

/* Answers were added in the order of their commits, which stays the order at one instant: insertion
 * keeps it, and moves little, since answers overtake each other only by differences of round trips.
 */
static void sort_answers(struct cursor_answers *list)
{
    for (size_t i = 1; i < list->count; i++) {
        struct cursor_answer answer = list->answers[i];
        size_t at = i;
        while (at > 0 && list->answers[at - 1].at_ns > answer.at_ns) {
            list->answers[at] = list->answers[at - 1];
            at--;
        }
        list->answers[at] = answer;
    }
}

/* Of all writes, those that come to home, in the order in which they do. */
static struct arrival *arrivals_of(struct cursor *cursor, size_t *ret_count)
{
    struct world *world = cursor->world;
    struct cursor_list *writes = &cursor->writes;
    struct arrival *arrivals = PS_NEW_ARRAY(struct arrival, writes->count + 1);
    size_t count = 0;
    for (size_t i = 0; i < writes->count; i++) {
        const struct cursor_op *op = &writes->ops[i];
        uint16_t store = cursor->actions[op->action]->store;
        struct ps_store_measures *measures = &cursor->measures->stores[store];
        if (ps_world_up_at(&world->pops[op->pop], op->at_ns) != op->at_ns || cursor->bad[op->key]) {
            measures->errors++;
            continue;
        }
        struct ps_world_write_way way = ps_world_write_way(world, store, op->pop, op->at_ns);
        if (way.status != PS_OK) {
            measures->errors++;
            continue;
        }
        arrivals[count++] = (struct arrival){.home_ns = way.home_ns, .at = i, .way = way};
    }
    qsort(arrivals, count, sizeof *arrivals, compare_arrivals);
    *ret_count = count;
    return arrivals;
}

void ps_cursor_log(struct cursor *cursor)
{
    const struct ps_cluster *cluster = cursor->world->cluster;
    ps_cursor_list_merge(&cursor->writes);
    size_t count;
    struct arrival *arrivals = arrivals_of(cursor, &count);
    size_t *capacities = PS_NEW_ARRAY(size_t, cluster->store_count);
    ps_time_ns **last_puts = PS_NEW_ARRAY(ps_time_ns *, cluster->store_count);
    for (size_t s = 0; s < cluster->store_count; s++) {
        last_puts[s] = PS_NEW_ARRAY(ps_time_ns, cursor->key_count + 1);
        for (size_t key = 0; key < cursor->key_count; key++) {
            last_puts[s][key] = PS_NEVER;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct ps_world_write_way *way = &arrivals[i].way;
        const struct cursor_op *op = &cursor->writes.ops[arrivals[i].at];
        const struct ps_action *action = cursor->actions[op->action];
        uint16_t store = action->store;
        struct ps_store_measures *measures = &cursor->measures->stores[store];
        ps_time_ns commit_ns = commit(&cluster->stores[store], &cursor->logs[store],
                                      &capacities[store], &last_puts[store][op->key], op->key,
                                      action->verb == PS_VERB_KV_DELETE, way->home_ns);
        bool refused = commit_ns == PS_NEVER;
        ps_time_ns end_ns = refused ? way->end_ns : ps_time_max(way->end_ns, commit_ns);
        if (refused || end_ns > way->lost_ns) {
            measures->errors++;
            continue;
        }
        measures->writes++;
        add_answer(&cursor->answers[op->pop],
                   &(struct cursor_answer){end_ns, commit_ns, op->key, store});
    }
    for (size_t s = 0; s < cluster->store_count; s++) {
        ps_store_log_index(&cursor->logs[s], cursor->key_count);
        free(last_puts[s]);
    }
    for (size_t p = 0; p < cluster->pop_count; p++) {
        sort_answers(&cursor->answers[p]);
    }
    free(last_puts);
    free(capacities);
    free(arrivals);
    free(cursor->writes.ops);
    free(cursor->writes.runs);
    cursor->writes = (struct cursor_list){0};
}
