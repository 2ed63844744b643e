#include "node/kv/replica.h"

#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

/* One key's entry. uthash keeps insertion order, so the head is the oldest. */
struct pin_slot {
    UT_hash_handle hh;
    struct ps_pin pin;
    size_t key_size;
    char key[];
};

struct ps_store_replica {
    struct ps_replica view;
    const struct ps_policy *policy;
    struct ps_map *map;
    ps_map_store map_store;
    struct pin_slot *pins;
    struct ps_push_window window;
    ps_time_ns arrived_by_ns; /* PS_VIEW_ARRIVED: the instant that accept_arrived is asked about */
};

struct ps_store_replica *ps_store_replica_create(const struct ps_cluster *cluster,
                                                 const struct ps_store *store, uint16_t pop,
                                                 const struct ps_link *link, struct ps_map *map,
                                                 ps_map_store map_store)
{
    struct ps_store_replica *replica = PS_NEW(struct ps_store_replica);
    replica->view = ps_cluster_replica(cluster, store, pop, link);
    replica->policy = &store->policy;
    replica->map = map;
    replica->map_store = map_store;
    return replica;
}

void ps_store_replica_reset_pins(struct ps_store_replica *replica)
{
    struct pin_slot *slot;
    struct pin_slot *next;
    HASH_ITER(hh, replica->pins, slot, next)
    {
        HASH_DEL(replica->pins, slot);
        free(slot);
    }
}

void ps_store_replica_destroy(struct ps_store_replica *replica)
{
    if (replica == NULL) {
        return;
    }
    ps_store_replica_reset_pins(replica);
    ps_push_window_fini(&replica->window);
    free(replica);
}

static bool keeps_window(const struct ps_store_replica *replica)
{
    return replica->policy->kind == PS_POLICY_PUSH && replica->policy->push.order == PS_ORDER_FIFO;
}

void ps_store_replica_applied(struct ps_store_replica *replica, uint64_t lsn, ps_time_ns commit_ns)
{
    if (keeps_window(replica)) {
        PS_ASSERT(lsn == replica->window.last + 1);
        ps_push_window_append(&replica->window, &replica->view, commit_ns);
    }
}

void ps_store_replica_snapshot(struct ps_store_replica *replica, uint64_t lsn, ps_time_ns commit_ns)
{
    if (keeps_window(replica)) {
        ps_push_window_reset(&replica->window, lsn,
                             ps_push_arrival(&replica->view, lsn, commit_ns));
    }
}

void ps_store_replica_relinked(struct ps_store_replica *replica, ps_time_ns t)
{
    if (keeps_window(replica)) {
        ps_push_window_relink(&replica->window, &replica->view, t);
    }
}

static struct ps_pin *pin_of(struct ps_store_replica *replica, struct ps_slice key)
{
    struct pin_slot *slot = NULL;
    HASH_FIND(hh, replica->pins, key.data, key.size, slot);
    if (slot == NULL) {
        if (HASH_COUNT(replica->pins) >= PS_PINS_MAX) {
            slot = replica->pins;
            HASH_DEL(replica->pins, slot);
            free(slot);
        }
        slot = ps_calloc(1, sizeof *slot + key.size);
        slot->key_size = key.size;
        memcpy(slot->key, key.data, key.size);
        HASH_ADD_KEYPTR(hh, replica->pins, slot->key, slot->key_size, slot);
    }
    return &slot->pin;
}

static bool pinned_absent(struct ps_store_replica *replica, struct ps_slice key,
                          const struct ps_pin *pin)
{
    if (replica->policy->cache.negative || pin->ttl_ns == 0) {
        return false;
    }
    struct ps_bound bound = {.lsn_max = UINT64_MAX, .commit_max = pin->as_of_ns};
    struct ps_version version;
    return ps_map_get(replica->map, replica->map_store, key, &bound, &version) != PS_OK ||
           version.deleted;
}

enum ps_status ps_store_replica_decide(struct ps_store_replica *replica, struct ps_slice key,
                                       ps_time_ns t, ps_dur_ns ttl_ns, struct ps_view *ret)
{
    switch (replica->policy->kind) {
    case PS_POLICY_CACHE: {
        struct ps_pin *pin = pin_of(replica, key);
        bool absent = pinned_absent(replica, key, pin);
        return ps_view_cache(&replica->view, pin, ps_slice_hash(key), t, ttl_ns, absent, ret);
    }
    case PS_POLICY_STRONG:
        return ps_view_strong(&replica->view, t, ret);
    case PS_POLICY_PUSH:
        *ret = ps_view_push(&replica->view, t);
        return PS_OK;
    }
    PS_NOT_REACHED();
}

bool ps_store_replica_acknowledge(struct ps_store_replica *replica, struct ps_slice key,
                                  ps_time_ns commit_ns, ps_time_ns t)
{
    if (replica->policy->kind != PS_POLICY_CACHE || !replica->policy->cache.own_writes) {
        return false;
    }
    ps_pin_acknowledge(replica->policy, pin_of(replica, key), commit_ns, t);
    return true;
}

static bool accept_arrived(void *context, uint64_t lsn, ps_time_ns commit_ns)
{
    const struct ps_store_replica *replica = context;
    return ps_push_arrival(&replica->view, lsn, commit_ns) <= replica->arrived_by_ns;
}

struct ps_bound ps_store_replica_bound(struct ps_store_replica *replica, const struct ps_view *view,
                                       uint64_t have_lsn)
{
    switch (view->kind) {
    case PS_VIEW_AS_OF:
        return (struct ps_bound){.lsn_max = have_lsn, .commit_max = view->at_ns};
    case PS_VIEW_FIFO: {
        uint64_t seen = ps_push_window_at(&replica->window, view->at_ns);
        return (struct ps_bound){.lsn_max = seen < have_lsn ? seen : have_lsn,
                                 .commit_max = PS_NEVER};
    }
    case PS_VIEW_ARRIVED:
        replica->arrived_by_ns = view->at_ns;
        return (struct ps_bound){.lsn_max = have_lsn,
                                 .commit_max = view->at_ns,
                                 .accept = accept_arrived,
                                 .context = replica};
    }
    PS_NOT_REACHED();
}

void ps_store_replica_sweep(struct ps_store_replica *replica, ps_time_ns oldest_wait_ns,
                            size_t budget)
{
    if (keeps_window(replica)) {
        ps_push_window_trim(&replica->window, oldest_wait_ns);
        return;
    }
    /* The oldest entries stand first; one that is still alive goes to the end of the queue. */
    struct pin_slot *slot;
    struct pin_slot *next;
    HASH_ITER(hh, replica->pins, slot, next)
    {
        if (budget-- == 0) {
            return;
        }
        HASH_DEL(replica->pins, slot);
        if (ps_pin_until(&slot->pin) <= oldest_wait_ns && slot->pin.next_ready_ns == 0) {
            free(slot);
        } else {
            HASH_ADD_KEYPTR(hh, replica->pins, slot->key, slot->key_size, slot);
        }
    }
}

ps_time_ns ps_store_replica_horizon(const struct ps_store_replica *replica, ps_time_ns t)
{
    if (replica->policy->kind == PS_POLICY_CACHE) {
        ps_time_ns oldest_ns = t;
        const struct pin_slot *slot;
        const struct pin_slot *next;
        HASH_ITER(hh, replica->pins, slot, next)
        {
            if (slot->pin.ttl_ns != 0) {
                oldest_ns = ps_time_min(oldest_ns, slot->pin.as_of_ns);
            }
        }
        return oldest_ns;
    }
    if (keeps_window(replica) && replica->window.last >= replica->window.first &&
        replica->window.first != 0) {
        /* The record before the first mark is what reads see now: it must stay. */
        const struct ps_push_window *window = &replica->window;
        ps_time_ns first_ns = window->marks[window->first & (window->capacity - 1)].commit_ns;
        return ps_time_min(t, ps_time_sub(first_ns, 1));
    }
    if (replica->policy->kind == PS_POLICY_PUSH) {
        /* Any record may still be on its way for as long as the longest delay. */
        return ps_time_sub(t, PS_DAY);
    }
    return t;
}

size_t ps_store_replica_pins(const struct ps_store_replica *replica)
{
    return HASH_COUNT(replica->pins);
}
