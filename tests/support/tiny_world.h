/* A history made the plain way: three PoPs, a few keys, all policies, versions found by walking the
 * whole log. Slow and short, so that it can be seen to be right; what the engine and verify do with
 * indices is held against it. */
#ifndef PS_TESTS_SUPPORT_TINY_WORLD_H
#define PS_TESTS_SUPPORT_TINY_WORLD_H

#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "sim/measure/history.h"

#include <stdio.h>

enum { TINY_POPS = 3, TINY_KEYS = 5, TINY_STORES = 4 };

enum { TINY_CACHE, TINY_FIFO, TINY_NONE, TINY_STRONG };

/* One pin as it was, for oracles of visibility: in effect from start until the next one or until.
 */
struct tiny_pin {
    ps_time_ns start_ns, as_of_ns, until_ns;
    uint16_t pop;
    uint32_t key;
};

struct tiny {
    struct ps_history *history;
    struct tiny_pin pins[4096];
    size_t pin_count;
};

static void tiny_store(struct ps_cluster *cluster, const char *name, const char *profile)
{
    struct ps_store *store;
    enum ps_status status = ps_cluster_add_store(cluster, ps_slice_of(name), PS_STORE_KV,
                                                 ps_slice_of(profile), &store, NULL);
    if (status != PS_OK) {
        abort();
    }
    if (cluster->store_count - 1 == TINY_NONE) {
        store->policy.push.order = PS_ORDER_NONE;
    }
    if (cluster->store_count - 1 == TINY_STRONG) {
        store->policy.kind = PS_POLICY_STRONG;
    }
}

static void tiny_cluster(struct ps_cluster *cluster, uint64_t seed)
{
    static const char *const codes[TINY_POPS] = {"fra", "iad", "syd"};
    cluster->seed = seed;
    for (size_t i = 0; i < TINY_POPS; i++) {
        if (ps_cluster_add_pop(cluster, ps_slice_of(codes[i]), NULL) != PS_OK) {
            abort();
        }
    }
    cluster->home = 0;
    tiny_store(cluster, "CACHE", "workers-kv");
    tiny_store(cluster, "FIFO", "kv-instant");
    tiny_store(cluster, "LOOSE", "kv-instant");
    tiny_store(cluster, "STRONG", "none");
}

static uint32_t tiny_name(struct ps_intern *intern, const char *what, unsigned number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%s:%u", what, number);
    return ps_intern_put(intern, (struct ps_slice){text, (size_t)size});
}

static struct ps_replica tiny_replica(const struct ps_history *history, uint16_t store,
                                      uint16_t pop, struct ps_link *link)
{
    *link = history->links[pop];
    ps_cluster_link(history->cluster, &history->cluster->stores[store], pop, link);
    return ps_cluster_replica(history->cluster, &history->cluster->stores[store], pop, link);
}

/* The newest write of the key that the view lets through, by walking all of them. */
static const struct ps_op *tiny_resolve(const struct tiny *tiny, const struct ps_op *read,
                                        const struct ps_replica *replica,
                                        const struct ps_view *view, const struct ps_op *ops,
                                        size_t count)
{
    (void)tiny;
    const struct ps_op *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct ps_op *op = &ops[i];
        bool is_version = op->store == read->store && op->key == read->key && op->lsn != 0 &&
                          (op->kind == PS_OP_KV_PUT || op->kind == PS_OP_KV_DELETE);
        if (!is_version || (best != NULL && best->lsn > op->lsn)) {
            continue;
        }
        ps_time_ns visible_ns = op->eval_ns;
        if (view->kind == PS_VIEW_ARRIVED) {
            visible_ns = ps_push_arrival(replica, op->lsn, op->eval_ns);
        }
        for (size_t n = 0; view->kind == PS_VIEW_FIFO && n < count; n++) {
            const struct ps_op *other = &ops[n];
            if (other->store == op->store && other->lsn != 0 && other->lsn <= op->lsn &&
                (other->kind == PS_OP_KV_PUT || other->kind == PS_OP_KV_DELETE)) {
                visible_ns =
                    ps_time_max(visible_ns, ps_push_arrival(replica, other->lsn, other->eval_ns));
            }
        }
        if (visible_ns <= view->at_ns) {
            best = op;
        }
    }
    return best;
}

struct tiny_event {
    ps_time_ns at_ns;
    size_t op;
    bool refresh;
};

static int tiny_by_time(const void *left, const void *right)
{
    const struct tiny_event *a = left;
    const struct tiny_event *b = right;
    if (a->at_ns != b->at_ns) {
        return a->at_ns < b->at_ns ? -1 : 1;
    }
    return a->op < b->op ? -1 : a->op > b->op;
}

/* Commit all writes of the store in the order of their instants at home. */
static void tiny_commit(struct ps_op *ops, size_t count, uint16_t store)
{
    ps_time_ns last_ns = 0;
    for (uint64_t lsn = 1;; lsn++) {
        struct ps_op *next = NULL;
        for (size_t i = 0; i < count; i++) {
            struct ps_op *op = &ops[i];
            if (op->store == store && op->lsn == 0 && op->eval_ns != 0 &&
                (op->kind == PS_OP_KV_PUT || op->kind == PS_OP_KV_DELETE) &&
                (next == NULL || op->eval_ns < next->eval_ns)) {
                next = op;
            }
        }
        if (next == NULL) {
            return;
        }
        next->lsn = lsn;
        next->eval_ns = ps_time_max(next->eval_ns, last_ns + 1);
        last_ns = next->eval_ns;
    }
}

static void tiny_note_pin(struct tiny *tiny, const struct ps_op *op, ps_time_ns t,
                          const struct ps_pin *before, const struct ps_pin *after)
{
    if (before->as_of_ns != after->as_of_ns || before->filled_ns != after->filled_ns) {
        tiny->pins[tiny->pin_count++] =
            (struct tiny_pin){t, after->as_of_ns, ps_pin_until(after), op->pop, op->key};
    }
}

static void tiny_draw(struct ps_history *history, struct ps_op *ops, size_t count, uint64_t seed,
                      bool faults)
{
    struct ps_rng rng = {seed, ps_stream_of("tiny", NULL, NULL), 0};
    struct ps_link *links = history->links;
    if (faults) {
        if (ps_link_cut(&links[2], (struct ps_interval){60 * PS_SECOND, 90 * PS_SECOND}) != PS_OK ||
            ps_link_cut(&links[1], (struct ps_interval){100 * PS_SECOND, 101 * PS_SECOND}) !=
                PS_OK ||
            ps_link_slow(&links[1], (struct ps_slow){{20 * PS_SECOND, 50 * PS_SECOND}, 4000}) !=
                PS_OK) {
            abort();
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct ps_op *op = &ops[i];
        op->id = i + 1;
        op->invoke_ns = (i + 1) * 150 * PS_MS + ps_rng_below(&rng, 100 * PS_MS);
        op->pop = (uint16_t)ps_rng_below(&rng, TINY_POPS);
        op->store = (uint16_t)ps_rng_below(&rng, TINY_STORES);
        op->session = tiny_name(history->sessions, "s", (unsigned)ps_rng_below(&rng, 4));
        op->key = tiny_name(history->keys, "k", (unsigned)ps_rng_below(&rng, TINY_KEYS));
        op->boot = 1;
        uint64_t dice = ps_rng_below(&rng, 10);
        op->kind = dice < 6 ? PS_OP_KV_GET : dice < 9 ? PS_OP_KV_PUT : PS_OP_KV_DELETE;
        if (op->kind == PS_OP_KV_PUT) {
            op->digest = (op->id + 1) * UINT64_C(0x9E3779B97F4A7C15);
            if (ps_rng_below(&rng, 4) == 0) {
                op->expires_unix_s = (uint64_t)history->cluster->epoch_unix_s + 60 + i / 10;
            }
        }
        if (op->kind == PS_OP_KV_GET) {
            op->cache_ttl_ns = ps_rng_below(&rng, 3) == 0 ? 90 * PS_SECOND : 0;
            continue;
        }
        struct ps_link link;
        struct ps_replica replica = tiny_replica(history, op->store, op->pop, &link);
        if (ps_round_trip(&replica, op->invoke_ns, &op->eval_ns, &op->complete_ns) != PS_OK) {
            op->eval_ns = 0;
            op->error = PS_UNREACHABLE;
        }
    }
}

static void tiny_read(struct tiny *tiny, struct ps_op *ops, size_t count, struct ps_op *op,
                      struct ps_pin *pin)
{
    struct ps_history *history = tiny->history;
    struct ps_link link;
    struct ps_replica replica = tiny_replica(history, op->store, op->pop, &link);
    struct ps_slice key = ps_intern_text(history->keys, op->key);
    struct ps_view view;
    enum ps_status status = PS_OK;
    struct ps_pin before = *pin;
    if (replica.policy->kind == PS_POLICY_CACHE) {
        status = ps_view_cache(&replica, pin, ps_slice_hash(key), op->eval_ns, op->cache_ttl_ns,
                               false, &view);
        tiny_note_pin(tiny, op, op->eval_ns, &before, pin);
    } else if (replica.policy->kind == PS_POLICY_STRONG) {
        status = ps_view_strong(&replica, op->eval_ns, &view);
    } else {
        view = ps_view_push(&replica, op->eval_ns);
    }
    op->complete_ns = view.ready_ns;
    if (status != PS_OK) {
        op->error = PS_UNREACHABLE;
        return;
    }
    const struct ps_op *version = tiny_resolve(tiny, op, &replica, &view, ops, count);
    if (version == NULL) {
        return;
    }
    op->lsn = version->lsn;
    uint64_t now_s = (uint64_t)history->cluster->epoch_unix_s + op->eval_ns / PS_SECOND;
    op->found = version->kind == PS_OP_KV_PUT &&
                (version->expires_unix_s == 0 || version->expires_unix_s > now_s);
    op->digest = op->found ? version->digest : 0;
}

static struct tiny *tiny_create(uint64_t seed, size_t count, bool faults)
{
    struct tiny *tiny = PS_NEW(struct tiny);
    struct ps_history *history = tiny->history = ps_history_create();
    history->scenario = ps_strndup("tiny", 4);
    tiny_cluster(history->cluster, seed);
    history->links = PS_NEW_ARRAY(struct ps_link, TINY_POPS);
    struct ps_op *ops = PS_NEW_ARRAY(struct ps_op, count);
    tiny_draw(history, ops, count, seed, faults);
    for (uint16_t store = 0; store < TINY_STORES; store++) {
        tiny_commit(ops, count, store);
    }
    struct tiny_event *events = PS_NEW_ARRAY(struct tiny_event, count);
    for (size_t i = 0; i < count; i++) {
        bool refresh = ops[i].kind != PS_OP_KV_GET;
        ps_time_ns acknowledged_ns = ps_time_max(ops[i].complete_ns, ops[i].eval_ns);
        ops[i].complete_ns = refresh ? acknowledged_ns : 0;
        events[i] = (struct tiny_event){refresh ? acknowledged_ns : ops[i].invoke_ns, i, refresh};
    }
    qsort(events, count, sizeof *events, tiny_by_time);
    struct ps_pin pins[TINY_STORES][TINY_POPS][TINY_KEYS] = {0};
    ps_time_ns last_ns[TINY_POPS] = {0};
    for (size_t i = 0; i < count; i++) {
        struct ps_op *op = &ops[events[i].op];
        ps_time_ns at_ns = ps_time_max(events[i].at_ns, last_ns[op->pop] + 1);
        last_ns[op->pop] = at_ns;
        struct ps_pin *pin = &pins[op->store][op->pop][op->key];
        if (!events[i].refresh) {
            op->eval_ns = at_ns;
            tiny_read(tiny, ops, count, op, pin);
        } else if (op->store == TINY_CACHE && op->error == PS_OK) {
            struct ps_pin before = *pin;
            op->refresh_ns = at_ns;
            op->complete_ns = at_ns;
            ps_pin_acknowledge(&history->cluster->stores[TINY_CACHE].policy, pin, op->eval_ns,
                               at_ns);
            tiny_note_pin(tiny, op, at_ns, &before, pin);
        }
    }
    for (size_t i = 0; i < count; i++) {
        ps_history_add(history, &ops[i]);
        history->end_ns = ps_time_max(history->end_ns, ops[i].complete_ns);
    }
    free(events);
    free(ops);
    ps_history_sort(history);
    return tiny;
}

static void tiny_destroy(struct tiny *tiny)
{
    ps_history_destroy(tiny->history);
    free(tiny);
}

#endif
