/* Reads: decided at once (but where that takes a more complete log), resolved when the log is
 * complete and the emulated round trip is over. */
#include "node/io/node_internal.h"
#include "replication/base/assert.h"

static struct ps_read_call *of_item(struct ps_heap_item *item)
{
    return (struct ps_read_call *)(void *)item;
}

static struct ps_read_call *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_read_call *)(void *)((char *)alarm - offsetof(struct ps_read_call, alarm));
}

bool ps_store_complete(struct ps_node_store *store, ps_time_ns need_ns)
{
    if (store->primary == NULL) {
        return !store->installing && store->closed_ns >= need_ns;
    }
    struct ps_node *node = store->node;
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns);
    uint64_t last_lsn;
    return ps_primary_closed(store->primary, now_ns, &last_lsn) >= need_ns;
}

static void finish(struct ps_read_call *call, enum ps_status status)
{
    struct ps_node_store *store = call->store;
    if (status == PS_OK) {
        status = ps_map_read_begin(store->node->map);
        if (status == PS_OK) {
            call->done(call, PS_OK);
            ps_map_read_end(store->node->map);
            return;
        }
    }
    store->metrics.reads_failed += call->key_count;
    call->done(call, status);
}

static void on_ready(struct ps_alarm *alarm)
{
    struct ps_read_call *call = of_alarm(alarm);
    /* What it was decided upon may be gone with the log that a snapshot replaced. */
    bool replaced = call->installs != call->store->installs;
    finish(call, call->failed || replaced ? PS_UNREACHABLE : PS_OK);
}

/* The log is complete, or will not be: what is left is the emulated latency. */
static void answer_when_ready(struct ps_read_call *call)
{
    struct ps_node *node = call->store->node;
    ps_time_ns at_ns =
        call->failed ? call->ready_ns : ps_node_answer_at(node, call->eval_ns, call->ready_ns);
    if (at_ns <= call->eval_ns || ps_node_now(node) >= at_ns) {
        on_ready(&call->alarm);
    } else {
        ps_node_alarm(node, &call->alarm, ps_node_when(node, at_ns));
    }
}

/* Home is away: what the public cache has is given by what is known here. */
static void give_up_public(struct ps_read_call *call)
{
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    enum ps_status status = PS_UNREACHABLE;
    if (call->undecided) {
        call->eval_ns = ps_eval_clock_next(&node->eval, ps_node_now(node));
        call->boot = node->boot;
        call->installs = store->installs;
    }
    if (!store->installing && ps_map_read_begin(node->map) == PS_OK) {
        status = ps_r2_public_decide_late(store->public, call->keys[0].key, call->eval_ns,
                                          store->closed_ns, call->public);
        ps_map_read_end(node->map);
    }
    if (call->undecided && status != PS_OK) {
        call->eval_ns = 0;
        finish(call, PS_UNREACHABLE); /* without an evaluation time: no entry has changed */
        return;
    }
    call->keys[0].view = call->public->view;
    call->cache = call->public->view.cache;
    call->late = status == PS_OK;
    call->failed = status != PS_OK;
    call->ready_ns = ps_time_max(call->ready_ns, call->eval_ns);
    store->metrics.reads_late += call->late ? 1 : 0;
    answer_when_ready(call);
}

/* The log will not be complete in time: a push policy's replica answers from what it has, all
 * others cannot. */
static void give_up(struct ps_read_call *call)
{
    if (call->public != NULL) {
        give_up_public(call);
        return;
    }
    if (call->undecided) {
        finish(call, PS_UNREACHABLE); /* without an evaluation time: no entry has changed */
        return;
    }
    bool has_own = !call->fresh && !call->store->installing &&
                   call->store->config->policy.kind == PS_POLICY_PUSH;
    call->late = has_own;
    if (has_own) {
        call->store->metrics.reads_late += call->key_count;
    }
    call->failed = !has_own;
    answer_when_ready(call);
}

/* Home is away, or the map here takes nothing of what it says (a full disk). */
static bool is_cut_off(const struct ps_node_store *store)
{
    return store->primary == NULL &&
           (store->refusing || ps_follower_home_away(&store->follower, ps_mono_ns()));
}

/* Home is heard and yet the log does not come. */
static bool is_overdue(const struct ps_node_store *store, ps_time_ns need_ns)
{
    uint64_t due_ns = ps_node_when(store->node, need_ns);
    return store->primary == NULL && ps_time_add(due_ns, PS_READ_WALL_MS * PS_MS) <= ps_mono_ns();
}

static enum ps_status decide_key(struct ps_read_call *call, size_t i)
{
    struct ps_read_key *key = &call->keys[i];
    if (call->public == NULL) {
        return ps_store_replica_decide(call->store->replica, key->key, call->eval_ns, call->ttl_ns,
                                       &key->view);
    }
    enum ps_status status =
        ps_r2_public_decide(call->store->public, key->key, call->eval_ns, call->public);
    key->view = call->public->view;
    return status;
}

static enum ps_status decide(struct ps_read_call *call)
{
    struct ps_node_store *store = call->store;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < call->key_count && status == PS_OK; i++) {
        struct ps_view *view = &call->keys[i].view;
        if (call->fresh) {
            *view = (struct ps_view){.kind = PS_VIEW_AS_OF,
                                     .at_ns = call->eval_ns,
                                     .ready_ns = call->eval_ns,
                                     .need_ns = call->eval_ns};
        } else {
            status = decide_key(call, i);
            if (view->kind == PS_VIEW_AS_OF && view->at_ns < store->installed_ns) {
                status = PS_UNREACHABLE; /* a region's cache is older than the snapshot here */
            }
        }
        call->ready_ns = ps_time_max(call->ready_ns, view->ready_ns);
        call->need_ns = ps_time_max(call->need_ns, view->need_ns);
        call->cache = view->cache;
    }
    return status;
}

static void note_round_trip(struct ps_read_call *call)
{
    struct ps_node *node = call->store->node;
    ps_time_ns end_ns = call->ready_ns;
    if (call->cache == PS_CACHE_REVALIDATE || call->key_count > 1) {
        const struct ps_link *link = &call->store->link;
        ps_dur_ns longest_ns = ps_time_max(link->rtt_ns, link->tier_rtt_ns);
        end_ns = ps_time_max(
            end_ns, ps_time_add(call->eval_ns, ps_link_stretch(link, call->eval_ns, longest_ns)));
    }
    node->fetch_end_ns = ps_time_max(node->fetch_end_ns, end_ns);
}

static ps_time_ns decide_need(const struct ps_read_call *call, ps_time_ns t)
{
    ps_time_ns need_ns = 0;
    if (call->public != NULL) {
        return ps_r2_public_decide_need(call->store->public, call->keys[0].key, t);
    }
    for (size_t i = 0; i < call->key_count && !call->fresh; i++) {
        need_ns = ps_time_max(
            need_ns, ps_store_replica_decide_need(call->store->replica, call->keys[i].key, t));
    }
    return need_ns;
}

static void wait_for_the_log(struct ps_read_call *call)
{
    if (is_cut_off(call->store)) {
        give_up(call);
    } else {
        call->store->metrics.reads_waited += call->key_count;
        ps_heap_push(&call->store->waiting, &call->waiting, call->need_ns);
    }
}

/* When the read is to be evaluated. Cluster time may go on by more than a purge takes while home is
 * asked for its closed time: what the log is complete for is then a little in the past, but not
 * before the read was made. */
static ps_time_ns eval_of(struct ps_read_call *call)
{
    const struct ps_node *node = call->store->node;
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns + 1);
    if (call->public == NULL) {
        return now_ns;
    }
    call->since_ns = call->since_ns == 0 ? now_ns : call->since_ns;
    ps_time_ns closed_ns = ps_time_add(call->store->closed_ns, PS_R2_PURGE_MS * PS_MS);
    bool past = call->store->primary == NULL && closed_ns < now_ns && closed_ns >= call->since_ns &&
                closed_ns > node->eval.last_ns;
    return past ? closed_ns : now_ns;
}

void ps_read_start(struct ps_read_call *call)
{
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    ps_time_ns now_ns = eval_of(call);
    call->alarm.ring = on_ready;
    call->need_ns = decide_need(call, now_ns);
    call->undecided = call->need_ns != 0 && !ps_store_complete(store, call->need_ns);
    if (call->undecided) {
        wait_for_the_log(call);
        return;
    }
    call->eval_ns = ps_eval_clock_next(&node->eval, now_ns);
    call->ready_ns = call->eval_ns;
    call->boot = node->boot;
    call->installs = store->installs;
    enum ps_status status = ps_map_read_begin(node->map);
    if (status != PS_OK) {
        call->done(call, status);
        return;
    }
    status = decide(call);
    call->failed = status != PS_OK;
    bool complete = !call->failed && ps_store_complete(store, call->need_ns);
    if (complete && call->ready_ns <= call->eval_ns) {
        /* The usual case, a cache hit, takes one map read. */
        call->done(call, PS_OK);
        ps_map_read_end(node->map);
        return;
    }
    ps_map_read_end(node->map);
    if (call->failed) {
        answer_when_ready(call);
        return;
    }
    note_round_trip(call);
    if (complete) {
        answer_when_ready(call);
    } else {
        wait_for_the_log(call);
    }
}

static void go_on(struct ps_read_call *call)
{
    if (call->undecided) {
        ps_read_start(call);
    } else {
        answer_when_ready(call);
    }
}

void ps_reads_wake(struct ps_node_store *store)
{
    struct ps_heap_item *item = ps_heap_first(&store->waiting);
    if (item == NULL) {
        return;
    }
    bool cut_off = is_cut_off(store);
    for (; item != NULL; item = ps_heap_first(&store->waiting)) {
        bool complete = ps_store_complete(store, item->key);
        if (!complete && !cut_off && !is_overdue(store, item->key)) {
            return;
        }
        ps_heap_remove(&store->waiting, item);
        if (complete) {
            go_on(of_item(item));
        } else {
            give_up(of_item(item));
        }
    }
}

void ps_reads_end(struct ps_node_store *store, bool all)
{
    struct ps_heap undecided = {0};
    for (struct ps_heap_item *item = ps_heap_first(&store->waiting); item != NULL;
         item = ps_heap_first(&store->waiting)) {
        uint64_t need_ns = item->key;
        ps_heap_remove(&store->waiting, item);
        if (of_item(item)->undecided && !all) {
            ps_heap_push(&undecided, item, need_ns);
        } else {
            finish(of_item(item), PS_UNREACHABLE);
        }
    }
    ps_heap_fini(&store->waiting);
    store->waiting = undecided;
}

struct ps_bound ps_read_bound(struct ps_read_call *call, size_t i)
{
    uint64_t have_lsn = call->late ? call->store->have_lsn : UINT64_MAX;
    if (call->public != NULL) {
        return ps_r2_public_bound(call->public);
    }
    if (call->fresh) {
        return (struct ps_bound){.lsn_max = have_lsn, .commit_max = call->keys[i].view.at_ns};
    }
    return ps_store_replica_bound(call->store->replica, &call->keys[i].view, have_lsn);
}

void ps_read_staleness(const struct ps_read_call *call, struct ps_kv_staleness *ret)
{
    *ret = (struct ps_kv_staleness){.eval_ns = call->eval_ns,
                                    .boot = call->boot,
                                    .late = call->late,
                                    .have_lsn = call->late ? call->store->have_lsn : 0,
                                    .cache = call->cache};
}

enum ps_status ps_read_get(struct ps_read_call *call, size_t i, struct ps_version *ret,
                           bool *ret_found, struct ps_kv_staleness *ret_staleness)
{
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    struct ps_slice key = call->keys[i].key;
    struct ps_bound bound = ps_read_bound(call, i);
    enum ps_status status = ps_map_get(node->map, store->map_store, key, &bound, ret);
    if (status != PS_OK) {
        *ret = (struct ps_version){.deleted = true};
        if (status != PS_NOT_FOUND) {
            return status;
        }
    }
    *ret_found =
        ret->lsn != 0 && !ps_kv_absent(ret, ps_kv_unix_s(&node->state.cluster, call->eval_ns));
    ps_read_staleness(call, ret_staleness);
    ret_staleness->lsn = ret->lsn;
    ret_staleness->cache = call->keys[i].view.cache;
    struct ps_freshness fresh;
    status = ps_map_freshness(node->map, store->map_store, key, ret->lsn, call->eval_ns, &fresh);
    if (status != PS_OK) {
        return status;
    }
    ret_staleness->latest_lsn = fresh.newest_lsn;
    ret_staleness->behind = fresh.behind;
    if (fresh.superseded_ns != PS_NEVER) {
        ret_staleness->stale_ns = ps_time_sub(call->eval_ns, fresh.superseded_ns);
    }
    store->metrics.reads++;
    store->metrics.reads_stale += fresh.behind > 0 ? 1 : 0;
    store->metrics.cache_hits +=
        call->keys[i].view.cache == PS_CACHE_HIT || call->keys[i].view.cache == PS_CACHE_REVALIDATE
            ? 1
            : 0;
    ps_metrics_stale(&store->metrics, ret_staleness->stale_ns);
    return PS_OK;
}

static bool note_commit(void *context, const struct ps_record *record)
{
    *(ps_time_ns *)context = record->commit_ns;
    return false;
}

/* The newest record committed at or before `at_ns`: commit times ascend with the LSN. */
static uint64_t lsn_at(struct ps_node_store *store, ps_time_ns at_ns)
{
    struct ps_map *map = store->node->map;
    struct ps_log_state log;
    if (ps_map_log_state(map, store->map_store, &log) != PS_OK || log.last_lsn == 0) {
        return 0;
    }
    if (log.last_commit_ns <= at_ns) {
        return log.last_lsn;
    }
    uint64_t low = log.first_lsn - 1; /* is within; its predecessors are forgotten */
    uint64_t high = log.last_lsn;     /* is not */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        ps_time_ns commit_ns = PS_NEVER;
        if (ps_map_log_marks(map, store->map_store, middle, note_commit, &commit_ns) != PS_OK) {
            return 0;
        }
        if (commit_ns <= at_ns) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The newest LSN that the list was given; 0 = there is no such number (push, order none). */
static uint64_t listed_lsn(struct ps_read_call *call)
{
    struct ps_bound bound = ps_read_bound(call, 0);
    switch (call->keys[0].view.kind) {
    case PS_VIEW_AS_OF: {
        uint64_t lsn = lsn_at(call->store, bound.commit_max);
        return lsn < bound.lsn_max ? lsn : bound.lsn_max;
    }
    case PS_VIEW_FIFO:
        return bound.lsn_max;
    case PS_VIEW_ARRIVED:
        return 0;
    }
    PS_NOT_REACHED();
}

void ps_read_list_staleness(struct ps_read_call *call, struct ps_kv_staleness *ret)
{
    struct ps_node_store *store = call->store;
    struct ps_map *map = store->node->map;
    ps_read_staleness(call, ret);
    ret->lsn = listed_lsn(call);
    ret->latest_lsn = lsn_at(store, call->eval_ns);
    struct ps_log_state log;
    if (call->keys[0].view.kind == PS_VIEW_ARRIVED || ret->lsn >= ret->latest_lsn ||
        ps_map_log_state(map, store->map_store, &log) != PS_OK) {
        return;
    }
    ret->behind = ret->latest_lsn - ret->lsn;
    uint64_t next_lsn = ret->lsn + 1 < log.first_lsn ? log.first_lsn : ret->lsn + 1;
    ps_time_ns superseded_ns = call->eval_ns;
    if (ps_map_log_marks(map, store->map_store, next_lsn, note_commit, &superseded_ns) == PS_OK) {
        ret->stale_ns = ps_time_sub(call->eval_ns, superseded_ns);
    }
}
