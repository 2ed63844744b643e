#include "sim/measure/verify.h"

#include "replication/base/memory.h"
#include "sim/measure/verify_internal.h"

#include <stdarg.h>

/* A node takes home for away a second after it fell silent, and waits with an answer until then. */
#define AWAY_WALL_NS (5 * PS_SECOND)

enum { SPEED_ONE = 1000 };

void ps_verify_differs(struct ps_verify_store *store, const struct ps_op *op, const char *format,
                       ...)
{
    if (store->result->differences++ > 0) {
        return;
    }
    const struct ps_history *history = store->history;
    struct ps_slice session = ps_intern_text(history->sessions, op->session);
    struct ps_slice key = ps_intern_text(history->keys, op->key);
    struct ps_buf text = {0};
    ps_buf_printf(&text, "operation %llu (%s %s ", (unsigned long long)op->id,
                  ps_op_kind_name((enum ps_op_kind)op->kind), store->store->name);
    ps_buf_append_json(&text, (struct ps_slice){key.data, key.size < 80 ? key.size : 80});
    ps_buf_printf(&text, ", session %.*s, at %s, evaluated at %llu ns): ",
                  (int)(session.size < 80 ? session.size : 80),
                  session.data == NULL ? "" : session.data, ps_op_pop(history, op),
                  (unsigned long long)op->eval_ns);
    char reason[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    ps_buf_append_text(&text, reason);
    (void)snprintf(store->result->first, sizeof store->result->first, "%s", ps_buf_text(&text));
    ps_buf_fini(&text);
}

bool ps_verify_down(const struct ps_history *history, uint16_t pop, ps_time_ns from_ns,
                    ps_time_ns until_ns)
{
    ps_dur_ns slack_ns =
        history->live
            ? (ps_dur_ns)((ps_u128)AWAY_WALL_NS * history->cluster->speed_milli / SPEED_ONE)
            : 0;
    for (size_t i = 0; i < history->downtime_count; i++) {
        const struct ps_downtime *down = &history->downtimes[i];
        if (down->pop == pop && down->when.from_ns <= until_ns &&
            ps_time_add(down->when.until_ns, slack_ns) >= from_ns) {
            return true;
        }
    }
    return false;
}

/* What an acknowledged write says of itself. The log as a whole was checked when it was built. */
static void check_write(struct ps_verify_store *store, const struct ps_op *op)
{
    const struct ps_policy *policy = &store->store->policy;
    store->result->writes++;
    if (op->error != PS_OK) {
        return;
    }
    if (op->lsn == 0 && !ps_op_is_r2(op)) {
        ps_verify_differs(store, op, "it was acknowledged without an LSN");
        return;
    }
    if (ps_op_is_d1(op) && !op->at_home) {
        ps_verify_differs(store, op, "it wrote, and was not run at home");
    }
    if (op->eval_ns < op->invoke_ns || op->eval_ns > op->complete_ns) {
        ps_verify_differs(store, op, "it was committed outside of its own time, %llu to %llu ns",
                          (unsigned long long)op->invoke_ns, (unsigned long long)op->complete_ns);
    }
    bool refreshes = policy->kind == PS_POLICY_CACHE && policy->cache.own_writes;
    if (refreshes != (op->refresh_ns != 0)) {
        ps_verify_differs(store, op,
                          refreshes
                              ? "the PoP's own entry was not refreshed, and the policy says it is"
                              : "the PoP's own entry was refreshed, and the policy says it is not");
    } else if (refreshes && (op->refresh_ns < op->eval_ns || op->refresh_ns > op->complete_ns)) {
        ps_verify_differs(
            store, op,
            "the PoP's own entry was refreshed at %llu ns, not between the commit and "
            "the answer at %llu ns",
            (unsigned long long)op->refresh_ns, (unsigned long long)op->complete_ns);
    }
}

static void check_writes(struct ps_verify_store *store)
{
    for (size_t i = 0; i < store->history->op_count; i++) {
        const struct ps_op *op = &store->history->ops[i];
        if (op->store == store->number && ps_op_is_write(op)) {
            check_write(store, op);
        }
    }
}

static void verify_store(struct ps_verify_store *store)
{
    check_writes(store);
    if (store->log.problems > 0) {
        if (store->result->differences == 0) {
            snprintf(store->result->first, sizeof store->result->first,
                     "%s; the reads of this store cannot be checked", store->log.problem);
        }
        store->result->differences += store->log.problems;
        return;
    }
    if (store->store->type == PS_STORE_R2) {
        ps_verify_r2_writes(store);
    }
    size_t count = 0;
    struct ps_pop_event *events = ps_pop_events(store->history, store->number, &count);
    if (store->store->type == PS_STORE_D1) {
        ps_verify_d1(store, events, count);
        ps_verify_d1_answers(store);
        free(events);
        return;
    }
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && events[to].op->pop == events[from].op->pop) {
            to++;
        }
        ps_verify_pop(store, events[from].op->pop, events + from, to - from);
        from = to;
    }
    free(events);
}

enum ps_status ps_verify(const struct ps_history *history, struct ps_verify_result *ret,
                         struct ps_error *err)
{
    if (history->cluster->pop_count == 0 || history->cluster->store_count == 0) {
        return ps_fail(err, PS_INVALID, "the history names no cluster");
    }
    *ret = (struct ps_verify_result){.operations = history->op_count};
    for (size_t i = 0; i < history->cluster->store_count; i++) {
        struct ps_verify_store store = {.history = history,
                                        .result = ret,
                                        .store = &history->cluster->stores[i],
                                        .number = (uint16_t)i};
        ps_store_log_init(&store.log, history, store.number);
        verify_store(&store);
        ps_store_log_fini(&store.log);
        free(store.sorted_keys);
    }
    return PS_OK;
}
