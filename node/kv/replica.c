#include "node/kv/replica.h"

#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

/* Up to so many entries are walked to find the horizon; where there are more, the sweeps find it by
 * and by, so that no turn of the loop takes long. */
enum { HORIZON_WALK_MAX = 16384 };

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

    /* The oldest instant that an entry shows, as the sweeps find it: a cycle of them sees every
     * entry. */
    struct {
        size_t left;          /* entries that the cycle has not seen */
        ps_time_ns oldest_ns; /* of those that it has, and of all that came since it began */
        ps_time_ns found_ns;  /* what the last whole cycle found; 0 = none is done */
    } cycle;
    /* Push: what has not reached every read yet. Order none needs it for the horizon only. */
    struct ps_push_window window;
    ps_time_ns last_commit_ns; /* of the newest record here */
    uint64_t snapshot_lsn;     /* where the window began; 0 = with the log */
    ps_time_ns snapshot_commit_ns;
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

static bool is_push(const struct ps_store_replica *replica)
{
    return replica->policy->kind == PS_POLICY_PUSH;
}

void ps_store_replica_applied(struct ps_store_replica *replica, uint64_t lsn, ps_time_ns commit_ns)
{
    replica->last_commit_ns = commit_ns;
    if (is_push(replica)) {
        PS_ASSERT(lsn == replica->window.last + 1);
        ps_push_window_append(&replica->window, &replica->view, commit_ns);
    }
}

void ps_store_replica_snapshot(struct ps_store_replica *replica, uint64_t lsn, ps_time_ns commit_ns)
{
    replica->last_commit_ns = commit_ns;
    replica->snapshot_lsn = lsn;
    replica->snapshot_commit_ns = commit_ns;
    if (is_push(replica)) {
        ps_push_window_reset(&replica->window, lsn,
                             ps_push_arrival(&replica->view, lsn, commit_ns));
    }
}

void ps_store_replica_relinked(struct ps_store_replica *replica, ps_time_ns t)
{
    struct ps_push_window *window = &replica->window;
    if (!is_push(replica)) {
        return;
    }
    if (replica->snapshot_lsn != 0 && window->first == replica->snapshot_lsn + 1 &&
        window->before_ns >= t) {
        /* The window does not know when its beginning was committed: it may be held up for ever. */
        window->before_ns =
            ps_push_arrival(&replica->view, replica->snapshot_lsn, replica->snapshot_commit_ns);
    }
    ps_push_window_relink(window, &replica->view, t);
}

static struct ps_pin *pin_of(struct ps_store_replica *replica, struct ps_slice key)
{
    struct pin_slot *slot = NULL;
    if (key.size == 0) { /* a list of all keys; memcmp and memcpy want an address nevertheless */
        key.data = "";
    }
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

ps_time_ns ps_store_replica_decide_need(const struct ps_store_replica *replica, struct ps_slice key,
                                        ps_time_ns t)
{
    if (replica->policy->kind != PS_POLICY_CACHE || replica->policy->cache.negative) {
        return 0;
    }
    struct pin_slot *slot = NULL;
    key.data = key.size == 0 ? "" : key.data;
    HASH_FIND(hh, replica->pins, key.data, key.size, slot);
    if (slot == NULL) {
        return 0;
    }
    const struct ps_pin *pin = &slot->pin;
    bool refreshed = pin->next_ready_ns != 0 && pin->next_ready_ns <= t;
    bool landed =
        refreshed || pin->ready_ns <= t; /* one on its way is joined, whatever it brings */
    return pin->ttl_ns != 0 && landed ? pin->as_of_ns : 0;
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

ps_time_ns ps_store_replica_visible(const struct ps_store_replica *replica, uint64_t lsn)
{
    const struct ps_push_window *window = &replica->window;
    if (lsn == 0) {
        return 0;
    }
    if (window->first == 0 || lsn > window->last) {
        return PS_NEVER;
    }
    return lsn < window->first ? window->before_ns : ps_push_window_visible(window, lsn);
}

/* No read and no acknowledgement at or after `t` can tell the entry from none. A late one of a
 * write that the entry has seen would put an older entry in its place, whose life must be over. */
static bool is_over(const struct ps_store_replica *replica, const struct ps_pin *pin, ps_time_ns t)
{
    if (pin->ttl_ns == 0) {
        return true;
    }
    /* A refresh that has come, though no read has taken it up yet, is an entry's life like another;
     * zeros where there is none. */
    ps_time_ns filled_ns = ps_time_max(pin->filled_ns, pin->next_filled_ns);
    ps_time_ns as_of_ns = ps_time_max(pin->as_of_ns, pin->next_as_of_ns);
    return pin->next_ready_ns <= t && ps_time_add(filled_ns, pin->ttl_ns) <= t &&
           ps_time_add(as_of_ns, replica->policy->cache.ttl_ns) <= t;
}

/* The oldest instant that reads may be shown by the entry; PS_NEVER if by none. */
static ps_time_ns oldest_shown(const struct ps_pin *pin)
{
    ps_time_ns now_ns = pin->ttl_ns != 0 ? pin->as_of_ns : PS_NEVER;
    return pin->next_ready_ns != 0 ? ps_time_min(now_ns, pin->next_as_of_ns) : now_ns;
}

/* What a fetch at or after `t` brings is no older: the region's cache may have got it that long
 * ago. */
static ps_time_ns oldest_fetch(const struct ps_store_replica *replica, ps_time_ns t)
{
    bool tiered = replica->policy->cache.tier != PS_TIER_NONE;
    return ps_time_sub(t, tiered ? replica->policy->cache.tier_ns : 0);
}

static void note_swept(struct ps_store_replica *replica, const struct ps_pin *pin)
{
    replica->cycle.oldest_ns = ps_time_min(replica->cycle.oldest_ns, oldest_shown(pin));
}

void ps_store_replica_sweep(struct ps_store_replica *replica, ps_time_ns oldest_wait_ns,
                            size_t budget)
{
    if (is_push(replica)) {
        ps_push_window_trim(&replica->window, oldest_wait_ns);
        return;
    }
    if (replica->cycle.left == 0) {
        replica->cycle.found_ns = replica->cycle.oldest_ns;
        replica->cycle.left = HASH_COUNT(replica->pins);
        replica->cycle.oldest_ns = oldest_fetch(replica, oldest_wait_ns);
    }
    /* The oldest entries stand first; one that is still alive goes to the end of the queue. */
    struct pin_slot *slot;
    struct pin_slot *next;
    size_t left = HASH_COUNT(replica->pins);
    left = budget < left ? budget : left;
    HASH_ITER(hh, replica->pins, slot, next)
    {
        if (left-- == 0) {
            return;
        }
        replica->cycle.left -= replica->cycle.left > 0;
        HASH_DEL(replica->pins, slot);
        if (is_over(replica, &slot->pin, oldest_wait_ns)) {
            free(slot);
        } else {
            note_swept(replica, &slot->pin);
            HASH_ADD_KEYPTR(hh, replica->pins, slot->key, slot->key_size, slot);
        }
    }
}

static ps_time_ns cache_horizon(const struct ps_store_replica *replica, ps_time_ns t)
{
    ps_time_ns oldest_ns = oldest_fetch(replica, t);
    if (HASH_COUNT(replica->pins) > HORIZON_WALK_MAX) {
        return ps_time_min(oldest_ns, replica->cycle.found_ns);
    }
    const struct pin_slot *slot;
    const struct pin_slot *next;
    HASH_ITER(hh, replica->pins, slot, next)
    {
        oldest_ns = ps_time_min(oldest_ns, oldest_shown(&slot->pin));
    }
    return oldest_ns;
}

ps_time_ns ps_store_replica_horizon(const struct ps_store_replica *replica, ps_time_ns t)
{
    const struct ps_push_window *window = &replica->window;
    switch (replica->policy->kind) {
    case PS_POLICY_CACHE:
        return cache_horizon(replica, t);
    case PS_POLICY_STRONG:
        return t;
    case PS_POLICY_PUSH:
        break;
    }
    /* Records before the first mark have reached every read, so what they superseded is out of
     * reach; the first itself has not, nor has any that is still to come from home. */
    ps_time_ns reached_ns = replica->last_commit_ns;
    if (window->first != 0 && window->last >= window->first) {
        reached_ns = window->marks[window->first & (window->capacity - 1)].commit_ns - 1;
    }
    return ps_time_min(t, reached_ns);
}

size_t ps_store_replica_pins(const struct ps_store_replica *replica)
{
    return HASH_COUNT(replica->pins);
}
