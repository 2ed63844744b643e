/* D1: where each request was run, and what LSN it was answered from. */
#include "node/d1/request.h"
#include "replication/base/memory.h"
#include "sim/measure/verify_internal.h"

/* Requests that read at one PoP, of one store. */
struct check {
    struct ps_verify_store *store;
    uint16_t pop;
    struct ps_link link; /* borrowed parts */
    struct ps_replica replica;
    struct ps_push_window window;
    uint32_t boot;
    const struct ps_op *before; /* the last that this PoP's replica answered */
};

static bool is_failed_way(const struct ps_op *op)
{
    enum ps_status error = (enum ps_status)op->error;
    return error == PS_UNREACHABLE || error == PS_TIMEOUT || error == PS_IO;
}

/* ---- what failed ---- */

/* A wait for a bookmark that the policy did not show in time. */
static bool waited_in_vain(const struct check *check, const struct ps_op *op)
{
    if (op->with_session != PS_D1_SESSION_BOOKMARK || op->error != PS_TIMEOUT ||
        op->pop == check->store->store->home) {
        return false;
    }
    ps_time_ns give_up_ns = ps_time_add(op->invoke_ns, check->store->store->policy.timeout_ns);
    bool known = op->bookmark_lsn >= check->window.first && op->bookmark_lsn <= check->window.last;
    ps_time_ns visible_ns =
        known ? ps_push_window_visible(&check->window, op->bookmark_lsn) : PS_NEVER;
    return op->complete_ns >= give_up_ns && visible_ns > op->complete_ns;
}

static void check_failed(const struct check *check, const struct ps_op *op)
{
    const struct ps_history *history = check->store->history;
    if (ps_link_outage(&check->link, op->invoke_ns, op->complete_ns) != NULL ||
        ps_verify_down(history, op->pop, op->invoke_ns, op->complete_ns) ||
        ps_verify_down(history, check->store->store->home, op->invoke_ns, op->complete_ns) ||
        waited_in_vain(check, op)) {
        return;
    }
    ps_verify_differs(check->store, op,
                      "it failed (%s), it had to be answered: the link was whole, neither the PoP "
                      "nor home was down and no bookmark was waited for in vain from %llu to %llu "
                      "ns",
                      ps_status_name((enum ps_status)op->error), (unsigned long long)op->invoke_ns,
                      (unsigned long long)op->complete_ns);
}

/* ---- what was answered ---- */

static void differs_lsn(struct check *check, const struct ps_op *op, uint64_t expected_lsn,
                        const char *why)
{
    ps_verify_differs(check->store, op, "it read LSN %llu, it had to read LSN %llu: %s",
                      (unsigned long long)op->lsn, (unsigned long long)expected_lsn, why);
}

static bool is_retried(const struct check *check, const struct ps_op *op)
{
    return ps_d1_body_only_reads(ps_intern_text(check->store->history->requests, op->request - 1));
}

/* Could the PoP have sent it on by one of its tries, of which each begins when the one before it
 * has failed? */
static bool reached_home_virtually(const struct check *check, const struct ps_op *op)
{
    unsigned retries = is_retried(check, op) ? PS_D1_RETRIES_MAX : 0;
    ps_time_ns at_ns = op->invoke_ns;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    for (unsigned i = 0; i <= retries && at_ns <= op->eval_ns; i++) {
        if (ps_round_trip(&check->replica, at_ns, &home_ns, &end_ns) == PS_OK) {
            return true;
        }
        at_ns = end_ns;
    }
    return false;
}

/* A live one sends it a little after its client asked, or again, and before home ran it: the link
 * may have been healed meanwhile. */
static bool reached_home(const struct check *check, const struct ps_op *op)
{
    if (!check->store->history->live) {
        return reached_home_virtually(check, op);
    }
    ps_time_ns at_ns = op->invoke_ns;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    while (at_ns <= op->eval_ns) {
        if (ps_round_trip(&check->replica, at_ns, &home_ns, &end_ns) == PS_OK) {
            return true;
        }
        const struct ps_interval *outage = ps_link_outage(&check->link, at_ns, end_ns);
        at_ns = outage == NULL ? PS_NEVER : ps_time_add(outage->until_ns, 1);
    }
    return false;
}

static void check_at_home(struct check *check, const struct ps_op *op)
{
    uint64_t newest_lsn = ps_store_log_lsn_at(&check->store->log, op->eval_ns);
    if (op->lsn != newest_lsn) {
        differs_lsn(check, op, newest_lsn, "home had committed that by then");
    } else if (op->with_session <= PS_D1_SESSION_PRIMARY && !reached_home(check, op)) {
        ps_verify_differs(check->store, op,
                          "it was answered, and home could not be reached: the link was cut");
    }
}

static void note_order(struct check *check, const struct ps_op *op)
{
    if (op->boot != 0 && op->boot < check->boot) {
        ps_verify_differs(check->store, op,
                          "the PoP was in its start %lu, and later by its clock in start %lu",
                          (unsigned long)check->boot, (unsigned long)op->boot);
    }
    check->boot = op->boot != 0 ? op->boot : check->boot;
    if (check->before != NULL && check->before->eval_ns == op->eval_ns) {
        ps_verify_differs(check->store, op,
                          "the PoP decided operation %llu at the same instant; a PoP's instants "
                          "are unique",
                          (unsigned long long)check->before->id);
    }
    check->before = op;
}

static void check_here(struct check *check, const struct ps_op *op)
{
    struct ps_verify_store *store = check->store;
    uint64_t expected_lsn = ps_push_window_at(&check->window, op->eval_ns);
    note_order(check, op);
    if (op->pop == store->store->home || op->with_session <= PS_D1_SESSION_PRIMARY) {
        ps_verify_differs(store, op, "it was run at a replica, and its session asks for home");
        return;
    }
    if (op->late) {
        store->result->late++;
        if (!ps_verify_down(store->history, store->store->home, op->eval_ns, op->complete_ns)) {
            ps_verify_differs(store, op,
                              "it was answered from an incomplete log (up to LSN %llu), and home "
                              "was not down",
                              (unsigned long long)op->have_lsn);
            return;
        }
        expected_lsn = expected_lsn < op->have_lsn ? expected_lsn : op->have_lsn;
    }
    if (op->lsn != expected_lsn) {
        differs_lsn(check, op, expected_lsn, "it was the newest visible there");
    }
}

static void check_op(struct check *check, const struct ps_op *op)
{
    struct ps_verify_store *store = check->store;
    store->result->reads++;
    if (is_failed_way(op)) {
        check_failed(check, op);
        return;
    }
    if (op->eval_ns == 0 && op->error != PS_OK) {
        return; /* refused before it was run */
    }
    if (op->eval_ns < op->invoke_ns || op->eval_ns > op->complete_ns) {
        ps_verify_differs(store, op, "it was evaluated outside of its own time, %llu to %llu ns",
                          (unsigned long long)op->invoke_ns, (unsigned long long)op->complete_ns);
        return;
    }
    if (op->at_home) {
        check_at_home(check, op);
    } else {
        check_here(check, op);
    }
    if (op->with_session == PS_D1_SESSION_BOOKMARK && op->lsn < op->bookmark_lsn) {
        differs_lsn(check, op, op->bookmark_lsn, "that is its bookmark's, or a later one");
    }
}

static void check_pop(struct ps_verify_store *store, const struct ps_pop_event *events,
                      size_t count)
{
    struct check check = {.store = store, .pop = events[0].op->pop};
    check.replica = ps_verify_replica(store, check.pop, &check.link);
    ps_verify_window(store, &check.replica, &check.window);
    for (size_t i = 0; i < count; i++) {
        check_op(&check, events[i].op);
    }
    ps_push_window_fini(&check.window);
}

/* ---- home's instants ---- */

static int compare_eval(const void *left, const void *right)
{
    const struct ps_op *a = *(const struct ps_op *const *)left;
    const struct ps_op *b = *(const struct ps_op *const *)right;
    if (a->eval_ns != b->eval_ns) {
        return a->eval_ns < b->eval_ns ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static void check_home_instants(struct ps_verify_store *store, const struct ps_pop_event *events,
                                size_t count)
{
    const struct ps_op **ops = PS_NEW_ARRAY(const struct ps_op *, count + 1);
    size_t at_home = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].op->at_home && events[i].op->eval_ns != 0) {
            ops[at_home++] = events[i].op;
        }
    }
    qsort(ops, at_home, sizeof *ops, compare_eval);
    for (size_t i = 1; i < at_home; i++) {
        if (ops[i]->eval_ns == ops[i - 1]->eval_ns) {
            ps_verify_differs(store, ops[i],
                              "home ran operation %llu at the same instant; its instants are "
                              "unique",
                              (unsigned long long)ops[i - 1]->id);
        }
    }
    free(ops);
}

void ps_verify_d1(struct ps_verify_store *store, const struct ps_pop_event *events, size_t count)
{
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && events[to].op->pop == events[from].op->pop) {
            to++;
        }
        check_pop(store, events + from, to - from);
        from = to;
    }
    check_home_instants(store, events, count);
}
