/* One store's reads at one PoP, decided again in the PoP's own order. */
#include "node/kv/list.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/measure/r2_call.h"
#include "sim/measure/verify_internal.h"

const struct ps_log_record *ps_verify_resolve(const struct ps_store_log *log, uint32_t key,
                                              const struct ps_verify_bound *bound)
{
    for (size_t n = ps_store_log_upto(log, key, bound->commit_max); n > 0; n--) {
        const struct ps_log_record *version = ps_store_log_version(log, key, n - 1);
        if (version->lsn <= bound->lsn_max &&
            (bound->arrived_ns == PS_NEVER ||
             ps_push_arrival(bound->replica, version->lsn, version->commit_ns) <=
                 bound->arrived_ns)) {
            return version;
        }
    }
    return NULL;
}

bool ps_verify_present(const struct ps_history *history, const struct ps_log_record *version,
                       ps_time_ns t)
{
    if (version == NULL || version->deleted) {
        return false;
    }
    int64_t unix_s = history->cluster->epoch_unix_s + (int64_t)(t / PS_SECOND);
    return version->expires_unix_s == 0 || (int64_t)version->expires_unix_s > unix_s;
}

/* ---- lists ---- */

static int compare_key_text(const void *left, const void *right, void *context)
{
    const struct ps_history *history = context;
    return ps_slice_cmp(ps_intern_text(history->keys, *(const uint32_t *)left),
                        ps_intern_text(history->keys, *(const uint32_t *)right));
}

void ps_verify_sort_keys(struct ps_verify_store *store)
{
    if (store->sorted_keys != NULL) {
        return;
    }
    size_t key_count = ps_intern_count(store->history->keys);
    store->sorted_keys = PS_NEW_ARRAY(uint32_t, key_count + 1);
    for (uint32_t key = 0; key < key_count; key++) {
        if (ps_store_log_commits(&store->log, key).count > 0) {
            store->sorted_keys[store->sorted_key_count++] = key;
        }
    }
    qsort_r(store->sorted_keys, store->sorted_key_count, sizeof *store->sorted_keys,
            compare_key_text, (void *)(uintptr_t)store->history);
}

/* The first of the sorted keys that is not before `prefix`. */
size_t ps_verify_first_key(const struct ps_verify_store *store, struct ps_slice prefix)
{
    size_t low = 0;
    size_t high = store->sorted_key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ps_slice_cmp(ps_intern_text(store->history->keys, store->sorted_keys[middle]), prefix) <
            0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t ps_verify_list_digest(struct ps_verify_store *store, const struct ps_op *op,
                               const struct ps_verify_bound *bound)
{
    if (ps_op_is_r2(op)) {
        return ps_verify_r2_list_digest(store, op, bound);
    }
    ps_verify_sort_keys(store);
    struct ps_slice prefix = ps_intern_text(store->history->keys, op->key);
    size_t limit = op->list_limit == 0 ? PS_KV_LIST_MAX : op->list_limit;
    struct ps_buf names = {0};
    for (size_t i = ps_verify_first_key(store, prefix); i < store->sorted_key_count && limit > 0;
         i++) {
        uint32_t key = store->sorted_keys[i];
        struct ps_slice name = ps_intern_text(store->history->keys, key);
        if (!ps_slice_starts(name, prefix)) {
            break;
        }
        if (ps_verify_present(store->history, ps_verify_resolve(&store->log, key, bound),
                              op->eval_ns)) {
            ps_buf_append_slice(&names, name);
            ps_buf_append_char(&names, 0);
            limit--;
        }
    }
    uint64_t digest = ps_slice_hash(ps_buf_slice(&names));
    ps_buf_fini(&names);
    return digest;
}

/* ---- one PoP ---- */

struct pop_check {
    struct ps_verify_store *store;
    uint16_t pop;
    struct ps_link link; /* borrowed parts: the history's outages, this store's round trips */
    struct ps_replica replica;
    struct ps_push_window window;
    struct ps_public_cache *public; /* of a bucket */
    struct ps_public_view fetched;  /* of the public read that was decided last */
    struct ps_pin *pins;            /* by key; lists by prefix behind them */
    uint32_t *pin_epochs;           /* a pin counts only if its epoch is the present one */
    uint32_t epoch;
    uint32_t boot;
    size_t key_count;
    const struct ps_pop_event *next; /* behind the one that is checked */
    const struct ps_pop_event *end;
};

static struct ps_pin *pin_of(struct pop_check *check, const struct ps_op *op)
{
    size_t at = ps_op_is_list(op) ? check->key_count + op->key : op->key;
    if (check->pin_epochs[at] != check->epoch) {
        check->pin_epochs[at] = check->epoch;
        check->pins[at] = (struct ps_pin){0};
    }
    return &check->pins[at];
}

/* The phase of a ttl tier depends on the bytes under which the entry stands. */
static uint64_t pin_hash(const struct ps_history *history, const struct ps_op *op)
{
    struct ps_slice key = ps_intern_text(history->keys, op->key);
    if (!ps_op_is_list(op)) {
        return ps_slice_hash(key);
    }
    struct ps_buf bytes = {0};
    ps_kv_list_pin_key(&bytes, key);
    uint64_t hash = ps_slice_hash(ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
    return hash;
}

static bool pinned_absent(const struct pop_check *check, const struct ps_op *op,
                          const struct ps_pin *pin)
{
    const struct ps_policy *policy = &check->store->store->policy;
    if (ps_op_is_list(op)) { /* its entry stands under no key that has versions */
        return !policy->cache.negative && pin->ttl_ns != 0;
    }
    return ps_store_log_pinned_absent(&check->store->log, policy, pin, op->key);
}

static struct ps_r2_cache_stay stay(void *context, uint32_t key, ps_time_ns as_of_ns,
                                    uint64_t *ret_lsn, bool *ret_there)
{
    const struct pop_check *check = context;
    const struct ps_verify_store *store = check->store;
    struct ps_verify_bound bound = {
        .commit_max = as_of_ns, .lsn_max = UINT64_MAX, .arrived_ns = PS_NEVER};
    const struct ps_log_record *version = ps_verify_resolve(&store->log, key, &bound);
    *ret_lsn = version == NULL ? 0 : version->lsn;
    return ps_r2_stay_of(store->history, store->number, key, version, as_of_ns, ret_there);
}

static enum ps_status decide(struct pop_check *check, const struct ps_op *op, struct ps_view *ret)
{
    if (ps_op_is_public(op)) {
        enum ps_status status = ps_public_cache_decide(
            check->public, op->key, ps_intern_text(check->store->history->keys, op->key),
            op->eval_ns, &check->fetched);
        *ret = check->fetched.view;
        return status;
    }
    switch (check->store->store->policy.kind) {
    case PS_POLICY_CACHE: {
        struct ps_pin *pin = pin_of(check, op);
        return ps_view_cache(&check->replica, pin, pin_hash(check->store->history, op), op->eval_ns,
                             op->cache_ttl_ns, pinned_absent(check, op, pin), ret);
    }
    case PS_POLICY_STRONG:
        return ps_view_strong(&check->replica, op->eval_ns, ret);
    case PS_POLICY_PUSH:
        *ret = ps_view_push(&check->replica, op->eval_ns);
        return PS_OK;
    }
    PS_NOT_REACHED();
}

static struct ps_verify_bound bound_of(const struct pop_check *check, const struct ps_view *view)
{
    struct ps_verify_bound bound = {.replica = &check->replica,
                                    .commit_max = PS_NEVER,
                                    .lsn_max = UINT64_MAX,
                                    .arrived_ns = PS_NEVER};
    switch (view->kind) {
    case PS_VIEW_AS_OF:
        bound.commit_max = view->at_ns;
        break;
    case PS_VIEW_FIFO:
        bound.lsn_max = ps_push_window_at(&check->window, view->at_ns);
        break;
    case PS_VIEW_ARRIVED:
        bound.commit_max = view->at_ns;
        bound.arrived_ns = view->at_ns;
        break;
    }
    return bound;
}

/* Why the view is what it is: the pin, or the arrival. */
static void explain(struct pop_check *check, const struct ps_op *op, const struct ps_view *view,
                    const struct ps_verify_bound *bound, const struct ps_log_record *got,
                    struct ps_buf *text)
{
    switch (view->kind) {
    case PS_VIEW_AS_OF:
        if (ps_op_is_public(op) && check->fetched.cached) {
            ps_buf_printf(text, "its cache shows home as of %llu ns",
                          (unsigned long long)view->at_ns);
        } else if (check->store->store->policy.kind == PS_POLICY_CACHE) {
            const struct ps_pin *pin = pin_of(check, op);
            ps_buf_printf(text, "its entry shows home as of %llu ns, until %llu ns",
                          (unsigned long long)view->at_ns, (unsigned long long)ps_pin_until(pin));
        } else {
            ps_buf_printf(text, "home was read as of %llu ns", (unsigned long long)view->at_ns);
        }
        return;
    case PS_VIEW_FIFO:
        ps_buf_printf(text, "LSN %llu was the newest visible there",
                      (unsigned long long)bound->lsn_max);
        if (got != NULL) {
            ps_buf_printf(text, "; LSN %llu became visible at %llu ns",
                          (unsigned long long)got->lsn,
                          (unsigned long long)ps_push_window_visible(&check->window, got->lsn));
        }
        return;
    case PS_VIEW_ARRIVED:
        ps_buf_append_text(text, "the newest version that had arrived");
        if (got != NULL) {
            ps_buf_printf(
                text, "; LSN %llu arrived at %llu ns", (unsigned long long)got->lsn,
                (unsigned long long)ps_push_arrival(&check->replica, got->lsn, got->commit_ns));
        }
        return;
    }
}

static const struct ps_log_record *record_of(const struct ps_store_log *log, uint64_t lsn)
{
    if (log->count == 0 || lsn < log->records[0].lsn || lsn > log->records[log->count - 1].lsn) {
        return NULL;
    }
    return &log->records[lsn - log->records[0].lsn];
}

static void describe_version(struct ps_buf *text, const struct ps_log_record *version, uint64_t lsn)
{
    if (lsn == 0) {
        ps_buf_append_text(text, "no version");
    } else if (version == NULL) {
        ps_buf_printf(text, "LSN %llu, which nobody wrote", (unsigned long long)lsn);
    } else {
        ps_buf_printf(text, "LSN %llu (committed at %llu ns)", (unsigned long long)lsn,
                      (unsigned long long)version->commit_ns);
    }
}

static void differs_version(struct pop_check *check, const struct ps_op *op,
                            const struct ps_view *view, const struct ps_verify_bound *bound,
                            uint64_t expected_lsn)
{
    const struct ps_store_log *log = &check->store->log;
    const struct ps_log_record *got = record_of(log, op->lsn);
    struct ps_buf text = {0};
    ps_buf_append_text(&text, "it returned ");
    describe_version(&text, got, op->lsn);
    ps_buf_append_text(&text, ", it had to return ");
    describe_version(&text, record_of(log, expected_lsn), expected_lsn);
    ps_buf_append_text(&text, ": ");
    explain(check, op, view, bound, got, &text);
    ps_verify_differs(check->store, op, "%s", ps_buf_text(&text));
    ps_buf_fini(&text);
}

/* A live node forgets a deletion some time after the retention: the key is then one that never was.
 */
static bool is_forgotten(const struct pop_check *check, const struct ps_log_record *version,
                         ps_time_ns t)
{
    return check->store->history->live && version != NULL && version->deleted &&
           version->commit_ns < ps_time_sub(t, PS_RETENTION_NS);
}

static void check_get(struct pop_check *check, const struct ps_op *op, const struct ps_view *view,
                      const struct ps_verify_bound *bound)
{
    const struct ps_log_record *version = ps_verify_resolve(&check->store->log, op->key, bound);
    if (op->lsn == 0 && is_forgotten(check, version, op->eval_ns)) {
        version = NULL;
    }
    uint64_t expected_lsn = version == NULL ? 0 : version->lsn;
    if (op->lsn != expected_lsn) {
        differs_version(check, op, view, bound, expected_lsn);
        return;
    }
    bool present = ps_verify_present(check->store->history, version, op->eval_ns);
    if (op->found != present) {
        const char *why = present            ? "this version has a value"
                          : version == NULL  ? "the key has no version"
                          : version->deleted ? "this version is a deletion"
                                             : "this version had expired";
        ps_verify_differs(check->store, op, "LSN %llu: it returned %s, it had to return %s: %s",
                          (unsigned long long)op->lsn, op->found ? "a value" : "nothing",
                          present ? "a value" : "nothing", why);
        return;
    }
    if (ps_op_is_r2(op)) {
        ps_verify_r2_read(check->store, op, present ? version : NULL);
        return;
    }
    uint64_t digest = present ? version->digest : 0;
    if (op->digest != digest) {
        ps_verify_differs(check->store, op,
                          "LSN %llu: it returned a value with digest %016llx, it had to return "
                          "%016llx: that is what was written",
                          (unsigned long long)op->lsn, (unsigned long long)op->digest,
                          (unsigned long long)digest);
    }
}

/* What a public read says of the cache. */
static void check_state(struct pop_check *check, const struct ps_op *op)
{
    uint64_t lsn;
    bool there;
    struct ps_r2_cache_stay left = stay(check, op->key, check->fetched.view.at_ns, &lsn, &there);
    enum ps_r2_cache_state state = ps_public_cache_state(&check->fetched, there ? lsn : 0, &left);
    if (op->cache != 0 && op->cache != state + 1U) {
        ps_verify_differs(check->store, op, "it said %s of its cache, it had to say %s",
                          ps_r2_cache_state_name((enum ps_r2_cache_state)(op->cache - 1)),
                          ps_r2_cache_state_name(state));
    }
}

static void check_list(struct pop_check *check, const struct ps_op *op, const struct ps_view *view,
                       const struct ps_verify_bound *bound)
{
    struct ps_verify_store *store = check->store;
    const struct ps_store_log *log = &store->log;
    if (op->lsn != 0 && view->kind != PS_VIEW_ARRIVED) {
        uint64_t last_lsn = log->count == 0 ? 0 : log->records[log->count - 1].lsn;
        uint64_t expected_lsn =
            view->kind == PS_VIEW_AS_OF ? ps_store_log_lsn_at(log, bound->commit_max) : last_lsn;
        expected_lsn = expected_lsn < bound->lsn_max ? expected_lsn : bound->lsn_max;
        if (op->lsn != expected_lsn) {
            differs_version(check, op, view, bound, expected_lsn);
            return;
        }
    }
    uint64_t digest = ps_verify_list_digest(store, op, bound);
    if (op->digest != digest) {
        ps_verify_differs(store, op,
                          "it returned names with digest %016llx, it had to return %016llx",
                          (unsigned long long)op->digest, (unsigned long long)digest);
    }
}

/* Did the PoP lose its cache, and what a read was decided by with it, before the read was answered?
 */
static bool boot_ended(const struct pop_check *check, const struct ps_op *op)
{
    for (const struct ps_pop_event *next = check->next; next < check->end; next++) {
        if (next->op->boot != 0 && next->at_ns > op->complete_ns) {
            return next->op->boot > op->boot;
        }
    }
    return false;
}

/* A read that failed, failed rightly if no answer could be had. */
static void check_failed(struct pop_check *check, const struct ps_op *op)
{
    struct ps_verify_store *store = check->store;
    const struct ps_history *history = store->history;
    enum ps_status error = (enum ps_status)op->error;
    if (error != PS_UNREACHABLE && error != PS_TIMEOUT && error != PS_IO) {
        return; /* refused for what it asked, not for what the PoP could see */
    }
    struct ps_view view;
    bool changes = !(op->late && ps_op_is_public(op)); /* what the PoP's cache has */
    bool cut = op->eval_ns != 0 && changes
                   ? decide(check, op, &view) == PS_UNREACHABLE
                   : ps_link_outage(&check->link, op->invoke_ns, op->complete_ns) != NULL;
    if (cut) {
        return;
    }
    if (ps_verify_down(history, op->pop, op->invoke_ns, op->complete_ns) ||
        ps_verify_down(history, store->store->home, op->invoke_ns, op->complete_ns) ||
        (op->boot != 0 && boot_ended(check, op))) {
        return;
    }
    ps_verify_differs(store, op,
                      "it failed (%s), it had to be answered: the link was whole and neither the "
                      "PoP nor home was down from %llu to %llu ns",
                      ps_status_name(error), (unsigned long long)op->invoke_ns,
                      (unsigned long long)op->complete_ns);
}

/* Was home away, so that the log that was here had to do? */
static bool check_late(struct pop_check *check, const struct ps_op *op)
{
    struct ps_verify_store *store = check->store;
    store->result->late++;
    bool away = (store->store->policy.kind == PS_POLICY_PUSH || ps_op_is_public(op)) &&
                ps_verify_down(store->history, store->store->home, op->eval_ns, op->complete_ns);
    if (!away) {
        ps_verify_differs(store, op,
                          "it was answered from an incomplete log (up to LSN %llu), "
                          "and home was not down",
                          (unsigned long long)op->have_lsn);
    }
    return away;
}

static void check_read(struct pop_check *check, const struct ps_op *op)
{
    struct ps_verify_store *store = check->store;
    store->result->reads++;
    if (op->error != PS_OK) {
        check_failed(check, op);
        return;
    }
    if (op->eval_ns < op->invoke_ns || op->eval_ns > op->complete_ns) {
        ps_verify_differs(store, op, "it was evaluated outside of its own time, %llu to %llu ns",
                          (unsigned long long)op->invoke_ns, (unsigned long long)op->complete_ns);
        return;
    }
    if (op->late && ps_op_is_public(op)) {
        check_late(check, op); /* it was given what the PoP knew, and changed nothing */
        return;
    }
    struct ps_view view;
    if (decide(check, op, &view) != PS_OK) {
        ps_verify_differs(store, op,
                          "it was answered, and home could not be reached: the link was cut");
        return;
    }
    struct ps_verify_bound bound = bound_of(check, &view);
    if (op->late) {
        if (!check_late(check, op)) {
            return;
        }
        bound.lsn_max = bound.lsn_max < op->have_lsn ? bound.lsn_max : op->have_lsn;
    }
    if (ps_op_is_list(op)) {
        check_list(check, op, &view, &bound);
    } else {
        uint64_t differences = store->result->differences;
        check_get(check, op, &view, &bound);
        if (ps_op_is_public(op) && store->result->differences == differences) {
            check_state(check, op);
        }
    }
}

/* A PoP that started again has an empty cache. Failed operations may not know the start count. */
static void note_boot(struct pop_check *check, const struct ps_op *op)
{
    if (op->boot == 0 || op->boot == check->boot) {
        return;
    }
    if (op->boot < check->boot) {
        ps_verify_differs(check->store, op,
                          "the PoP was in its start %lu, and later by its clock in start %lu",
                          (unsigned long)check->boot, (unsigned long)op->boot);
    }
    check->boot = op->boot;
    check->epoch++;
    if (check->public != NULL) {
        ps_public_cache_reset(check->public, 0);
    }
}

struct ps_replica ps_verify_replica(const struct ps_verify_store *store, uint16_t pop,
                                    struct ps_link *link)
{
    const struct ps_history *history = store->history;
    *link = history->links != NULL ? history->links[pop] : (struct ps_link){0};
    ps_cluster_link(history->cluster, store->store, pop, link);
    return ps_cluster_replica(history->cluster, store->store, pop, link);
}

void ps_verify_window(const struct ps_verify_store *store, const struct ps_replica *replica,
                      struct ps_push_window *ret)
{
    if (store->log.count > 0) {
        ps_push_window_reset(ret, store->log.records[0].lsn - 1, 0);
        for (size_t i = 0; i < store->log.count; i++) {
            ps_push_window_append(ret, replica, store->log.records[i].commit_ns);
        }
    }
}

static void prepare(struct pop_check *check)
{
    struct ps_verify_store *store = check->store;
    const struct ps_history *history = store->history;
    check->replica = ps_verify_replica(store, check->pop, &check->link);
    check->key_count = ps_intern_count(history->keys);
    const struct ps_policy *policy = &store->store->policy;
    if (policy->kind == PS_POLICY_CACHE) {
        check->pins = PS_NEW_ARRAY(struct ps_pin, 2 * check->key_count + 1);
        check->pin_epochs = PS_NEW_ARRAY(uint32_t, 2 * check->key_count + 1);
        check->epoch = 1;
    }
    if (store->store->type == PS_STORE_R2) {
        check->public = ps_public_cache_create(&check->replica, ps_r2_kinds_of(store->store), check,
                                               stay, NULL);
        ps_r2_tell_purges(history, &store->log, check->public);
    }
    if (policy->kind == PS_POLICY_PUSH && policy->push.order == PS_ORDER_FIFO) {
        ps_verify_window(store, &check->replica, &check->window);
    }
}

void ps_verify_pop(struct ps_verify_store *store, uint16_t pop, const struct ps_pop_event *events,
                   size_t count)
{
    struct pop_check check = {.store = store, .pop = pop};
    prepare(&check);
    for (size_t i = 0; i < count; i++) {
        const struct ps_op *op = events[i].op;
        check.next = &events[i + 1];
        check.end = &events[count];
        note_boot(&check, op);
        if (i > 0 && events[i].at_ns == events[i - 1].at_ns && op->error == PS_OK &&
            events[i - 1].op->error == PS_OK) {
            ps_verify_differs(
                store, op,
                "the PoP decided operation %llu at the same instant; a PoP's instants "
                "are unique",
                (unsigned long long)events[i - 1].op->id);
        }
        if (events[i].drop) {
            if (ps_op_is_public(op) && check.public != NULL) {
                ps_public_cache_drop(check.public, op->key, op->dropped_ns);
            }
        } else if (events[i].refresh) {
            ps_pin_acknowledge(&store->store->policy, pin_of(&check, op), op->eval_ns,
                               op->refresh_ns);
        } else {
            check_read(&check, op);
        }
    }
    ps_push_window_fini(&check.window);
    ps_public_cache_destroy(check.public);
    free(check.pins);
    free(check.pin_epochs);
}
