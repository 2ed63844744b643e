#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/cursor.h"

#include <string.h>

enum {
    SPACE_MAX = 1 << 22, /* numbers of one generator whose keys are remembered */
    ACTIONS_MAX = 1 << 22,
    OPERATIONS_MAX = 1 << 30
};

static_assert(PS_POPS_MAX <= 1 << 10, "a PoP's index fits cursor_op");

/* Keys of one action. The number that a text's only generator drew identifies its key, so that the
 * text is made once. */
struct key_space {
    bool numbered;
    uint64_t from;
    uint32_t *keys; /* 1 + key; 0 = not made yet */
};

struct planner {
    struct cursor *cursor;
    struct key_space *spaces; /* one per action */
    struct ps_buf text;
    uint64_t planned;
};

static void space_init(struct key_space *space, const struct ps_action *action)
{
    uint64_t to = 0;
    space->numbered =
        ps_text_is_numbered(&action->key, &space->from, &to) && to - space->from < SPACE_MAX;
    if (space->numbered) {
        space->keys = PS_NEW_ARRAY(uint32_t, (size_t)(to - space->from + 1));
    }
}

static uint32_t key_of(struct planner *planner, const struct ps_session *session, size_t action_at)
{
    struct key_space *space = &planner->spaces[action_at];
    const struct ps_action *action = planner->cursor->actions[action_at];
    uint64_t seed = session->scenario->seed;
    uint32_t *known = NULL;
    planner->text.size = 0;
    if (space->numbered) {
        uint64_t number = ps_text_number(&action->key, seed, session->key, session->next);
        known = &space->keys[number - space->from];
        if (*known != 0) {
            return *known - 1;
        }
        ps_text_with_number(&action->key, number, &planner->text);
    } else {
        uint16_t pop = ps_session_pop(session, session->next);
        ps_text_draw(&action->key, seed, session->key, session->next,
                     session->scenario->cluster.pops[pop]->code, &planner->text);
    }
    uint32_t key =
        ps_intern_put(planner->cursor->world->history->keys, ps_buf_slice(&planner->text));
    if (known != NULL) {
        *known = key + 1;
    }
    return key;
}

static void list_add(struct cursor_list *list, size_t session, const struct cursor_op *op)
{
    if (list->session != session + 1) {
        list->session = session + 1;
        list->runs = ps_grow(list->runs, list->run_count, &list->run_capacity, sizeof *list->runs);
        list->runs[list->run_count++] = list->count;
    }
    list->ops = ps_grow(list->ops, list->count, &list->capacity, sizeof *list->ops);
    list->ops[list->count++] = *op;
}

static enum ps_status plan_session(struct planner *planner, struct ps_session *session,
                                   size_t number, size_t first_action, struct ps_error *err)
{
    struct cursor *cursor = planner->cursor;
    for (; session->at_ns != PS_NEVER; ps_session_advance(session, 0)) {
        if (++planner->planned > OPERATIONS_MAX) {
            return ps_fail(err, PS_LIMIT, "more than %d operations", OPERATIONS_MAX);
        }
        const struct ps_action *action = ps_session_action(session, session->next);
        size_t action_at = session->workload->timing == PS_TIMING_TRACE
                               ? first_action + session->trace[session->next]
                               : first_action + (size_t)(action - session->workload->actions);
        uint16_t pop = ps_session_pop(session, session->next);
        struct cursor_op op = {.at_ns = session->at_ns,
                               .key = key_of(planner, session, action_at),
                               .action = (uint32_t)action_at & (ACTIONS_MAX - 1U),
                               .pop = (unsigned)pop & (PS_POPS_MAX - 1U)};
        bool read = action->verb == PS_VERB_KV_GET;
        list_add(read ? &cursor->reads[pop] : &cursor->writes, number, &op);
    }
    return PS_OK;
}

/* All workloads' actions behind each other, and where each workload's begin. */
static size_t *collect_actions(struct cursor *cursor, size_t *ret_count)
{
    const struct ps_scenario *scenario = cursor->world->scenario;
    size_t *first = PS_NEW_ARRAY(size_t, scenario->workload_count);
    size_t count = 0;
    for (size_t w = 0; w < scenario->workload_count; w++) {
        const struct ps_workload *workload = &scenario->workloads[w];
        first[w] = count;
        count +=
            workload->timing == PS_TIMING_TRACE ? workload->trace_count : workload->action_count;
    }
    cursor->actions = PS_NEW_ARRAY(const struct ps_action *, count + 1);
    for (size_t w = 0; w < scenario->workload_count; w++) {
        const struct ps_workload *workload = &scenario->workloads[w];
        bool trace = workload->timing == PS_TIMING_TRACE;
        size_t size = trace ? workload->trace_count : workload->action_count;
        for (size_t i = 0; i < size; i++) {
            cursor->actions[first[w] + i] =
                trace ? &workload->trace[i].action : &workload->actions[i];
        }
    }
    *ret_count = count;
    return first;
}

static void note_keys(struct cursor *cursor)
{
    const struct ps_intern *keys = cursor->world->history->keys;
    cursor->key_count = ps_intern_count(keys);
    cursor->hashes = PS_NEW_ARRAY(uint64_t, cursor->key_count + 1);
    cursor->bad = PS_NEW_ARRAY(bool, cursor->key_count + 1);
    for (uint32_t key = 0; key < cursor->key_count; key++) {
        struct ps_kv_request request = {.op = PS_KV_GET, .key = ps_intern_text(keys, key)};
        uint64_t expires;
        struct ps_kv_error error = {0};
        cursor->hashes[key] = ps_slice_hash(request.key);
        cursor->bad[key] = !ps_kv_check(&request, 0, &expires, &error);
    }
}

enum ps_status ps_cursor_plan(struct cursor *cursor, struct ps_error *err)
{
    struct world *world = cursor->world;
    size_t action_count;
    size_t *first = collect_actions(cursor, &action_count);
    struct planner planner = {.cursor = cursor};
    enum ps_status status = PS_OK;
    if (action_count > ACTIONS_MAX) {
        status = ps_fail(err, PS_LIMIT, "more than %d operations in traces", ACTIONS_MAX);
        action_count = 0;
    }
    planner.spaces = PS_NEW_ARRAY(struct key_space, action_count + 1);
    for (size_t i = 0; i < action_count; i++) {
        space_init(&planner.spaces[i], cursor->actions[i]);
    }
    for (size_t s = 0; s < world->plan.count && status == PS_OK; s++) {
        struct ps_session *session = &world->plan.sessions[s];
        size_t workload = (size_t)(session->workload - world->scenario->workloads);
        status = plan_session(&planner, session, s, first[workload], err);
    }
    cursor->measures->operations = planner.planned;
    for (size_t i = 0; i < action_count; i++) {
        free(planner.spaces[i].keys);
    }
    free(planner.spaces);
    free(first);
    ps_buf_fini(&planner.text);
    note_keys(cursor);
    return status;
}

/* ---- order ---- */

/* Merge neighbours [from, middle) and [middle, to) into `into`; at one instant the left is first.
 */
static void merge(const struct cursor_op *ops, size_t from, size_t middle, size_t to,
                  struct cursor_op *into)
{
    size_t left = from;
    size_t right = middle;
    for (size_t at = from; at < to; at++) {
        bool take_left = left < middle && (right == to || ops[left].at_ns <= ops[right].at_ns);
        into[at] = take_left ? ops[left++] : ops[right++];
    }
}

void ps_cursor_list_merge(struct cursor_list *list)
{
    if (list->run_count < 2) {
        return;
    }
    struct cursor_op *other = PS_NEW_ARRAY(struct cursor_op, list->count);
    while (list->run_count > 1) {
        size_t kept = 0;
        for (size_t r = 0; r < list->run_count; r += 2) {
            size_t middle = r + 1 < list->run_count ? list->runs[r + 1] : list->count;
            size_t to = r + 2 < list->run_count ? list->runs[r + 2] : list->count;
            merge(list->ops, list->runs[r], middle, to, other);
            list->runs[kept++] = list->runs[r];
        }
        list->run_count = kept;
        struct cursor_op *merged = other;
        other = list->ops;
        list->ops = merged;
    }
    free(other);
    list->capacity = list->count;
}
