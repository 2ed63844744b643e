#include "node/r2/public.h"

#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

/* A purge's time on a link that is not cut, however slow. */
#define PURGE_FLIGHT_NS PS_MINUTE

/* What the PoP has of one key. uthash keeps insertion order. */
struct slot {
    UT_hash_handle hh;
    bool has;                       /* an entry: what a fetch that has ended left */
    bool resolved;                  /* ... and what it found was looked up */
    ps_time_ns as_of_ns;            /* of the entry */
    struct ps_r2_cache_entry entry; /* resolved */
    uint64_t seen_lsn;              /* resolved: of its version, also of a tombstone */
    ps_time_ns next_as_of_ns;       /* of the fetch on its way that is to be kept */
    ps_time_ns next_ready_ns;       /* 0: none */
    size_t key_size;
    char key[];
};

struct ps_r2_public {
    const struct ps_cluster *cluster;
    struct ps_replica view;
    struct ps_policy purge_policy;
    struct ps_replica purges; /* the same link, for them */
    struct ps_map *map;
    ps_map_store map_store;
    enum ps_r2_cache_kinds kinds;
    struct slot *slots;

    /* What entries hold up, as the sweeps find it: a cycle of them sees every entry. */
    struct {
        size_t left;          /* entries that the cycle has not seen */
        ps_time_ns oldest_ns; /* of those that it has, and of all that came since it began */
        ps_time_ns found_ns;  /* what the last whole cycle found; 0 = none is done */
    } cycle;
};

struct ps_r2_public *ps_r2_public_create(const struct ps_cluster *cluster,
                                         const struct ps_store *store, uint16_t pop,
                                         const struct ps_link *link, struct ps_map *map,
                                         ps_map_store map_store)
{
    struct ps_r2_public *cache = PS_NEW(struct ps_r2_public);
    cache->cluster = cluster;
    cache->view = ps_cluster_replica(cluster, store, pop, link);
    cache->purge_policy =
        (struct ps_policy){.kind = PS_POLICY_PUSH,
                           .push = {.order = PS_ORDER_NONE,
                                    .delay = {.kind = PS_DELAY_CONSTANT,
                                              .constant = {.value_ns = PS_R2_PURGE_MS * PS_MS}}}};
    cache->purges = cache->view;
    cache->purges.policy = &cache->purge_policy;
    cache->map = map;
    cache->map_store = map_store;
    cache->kinds = store->cache_everything ? PS_R2_CACHE_EVERYTHING : PS_R2_CACHE_DEFAULT_KINDS;
    return cache;
}

static void forget_slot(struct ps_r2_public *cache, struct slot *slot)
{
    HASH_DEL(cache->slots, slot);
    free(slot);
}

void ps_r2_public_reset(struct ps_r2_public *cache)
{
    struct slot *slot;
    struct slot *next;
    HASH_ITER(hh, cache->slots, slot, next)
    {
        forget_slot(cache, slot);
    }
}

void ps_r2_public_destroy(struct ps_r2_public *cache)
{
    if (cache != NULL) {
        ps_r2_public_reset(cache);
        free(cache);
    }
}

static struct slot *find(const struct ps_r2_public *cache, struct ps_slice key)
{
    struct slot *slot = NULL;
    HASH_FIND(hh, cache->slots, key.data, key.size, slot);
    return slot;
}

static struct slot *make(struct ps_r2_public *cache, struct ps_slice key)
{
    if (HASH_COUNT(cache->slots) >= PS_PINS_MAX) {
        forget_slot(cache, cache->slots);
    }
    struct slot *slot = ps_calloc(1, sizeof *slot + key.size);
    slot->key_size = key.size;
    memcpy(slot->key, key.data, key.size);
    HASH_ADD_KEYPTR(hh, cache->slots, slot->key, slot->key_size, slot);
    return slot;
}

static struct ps_slice key_of(const struct slot *slot)
{
    return (struct ps_slice){slot->key, slot->key_size};
}

static bool has_landed(const struct slot *slot, ps_time_ns t)
{
    return slot->next_ready_ns != 0 && slot->next_ready_ns <= t;
}

ps_time_ns ps_r2_public_decide_need(const struct ps_r2_public *cache, struct ps_slice key,
                                    ps_time_ns t)
{
    const struct slot *slot = find(cache, key);
    if (slot == NULL || (!slot->has && slot->next_ready_ns == 0)) {
        return 0;
    }
    ps_time_ns need_ns = ps_view_push(&cache->purges, t).need_ns; /* its purges */
    if (has_landed(slot, t)) {
        return ps_time_max(need_ns, slot->next_as_of_ns);
    }
    return slot->has && !slot->resolved ? ps_time_max(need_ns, slot->as_of_ns) : need_ns;
}

/* ---- purges ---- */

/* All purges committed up to here are visible at `t`. */
static ps_time_ns purges_arrived(const struct ps_r2_public *cache, ps_time_ns t)
{
    for (;;) {
        const struct ps_interval *cut =
            ps_link_outage(cache->view.link, ps_time_sub(t, PURGE_FLIGHT_NS), t);
        if (cut == NULL || cut->from_ns >= t) {
            return ps_time_sub(t, PURGE_FLIGHT_NS);
        }
        t = cut->from_ns; /* what met one cut may have met the one before it */
    }
}

struct purge_walk {
    const struct ps_r2_public *cache;
    ps_time_ns t;
};

static bool accept_visible(void *context, uint64_t lsn, ps_time_ns commit_ns)
{
    const struct purge_walk *walk = context;
    return ps_push_arrival(&walk->cache->purges, lsn, commit_ns) <= walk->t;
}

/* When the newest visible purge under that name became so; 0: there is none. */
static enum ps_status purged_ns(const struct ps_r2_public *cache, struct ps_slice key, ps_time_ns t,
                                ps_time_ns *ret)
{
    struct purge_walk walk = {cache, t};
    struct ps_bound bound = {
        .lsn_max = UINT64_MAX, .commit_max = t, .accept = accept_visible, .context = &walk};
    struct ps_buf name = {0};
    struct ps_version version;
    ps_r2_purge_key(&name, key);
    enum ps_status status =
        ps_map_get(cache->map, cache->map_store, ps_buf_slice(&name), &bound, &version);
    ps_buf_fini(&name);
    *ret = status == PS_OK ? ps_push_arrival(&cache->purges, version.lsn, version.commit_ns) : 0;
    return status == PS_NOT_FOUND ? PS_OK : status;
}

/* Whether a purge that is visible at `t` is looked for then or later comes to the same: of those
 * that become visible later each one's instant is later. */
static enum ps_status end_purged(const struct ps_r2_public *cache, struct slot *slot, ps_time_ns t)
{
    ps_time_ns one_ns;
    ps_time_ns all_ns;
    enum ps_status status = purged_ns(cache, key_of(slot), t, &one_ns);
    if (status == PS_OK) {
        status = purged_ns(cache, (struct ps_slice){0}, t, &all_ns);
    }
    if (status != PS_OK) {
        return status;
    }
    ps_time_ns until_ns = ps_time_max(one_ns, all_ns);
    if (slot->has && slot->as_of_ns <= until_ns) {
        slot->has = false;
    }
    if (slot->next_ready_ns != 0 && slot->next_as_of_ns <= until_ns) {
        slot->next_ready_ns = 0;
    }
    return PS_OK;
}

/* ---- entries ---- */

static void land(struct slot *slot, ps_time_ns t)
{
    if (has_landed(slot, t)) {
        slot->has = true;
        slot->resolved = false;
        slot->as_of_ns = slot->next_as_of_ns;
        slot->next_ready_ns = 0;
    }
}

/* Look up what the entry's fetch found: what may not be kept is none. */
static enum ps_status resolve(const struct ps_r2_public *cache, struct slot *slot)
{
    struct ps_bound bound = {.lsn_max = UINT64_MAX, .commit_max = slot->as_of_ns};
    struct ps_version version = {.deleted = true};
    struct ps_r2_object object = {0};
    if (!slot->has || slot->resolved) {
        return PS_OK;
    }
    enum ps_status status =
        ps_map_get(cache->map, cache->map_store, key_of(slot), &bound, &version);
    bool absent = status == PS_NOT_FOUND || (status == PS_OK && version.deleted);
    if (!absent && status == PS_OK) {
        status = ps_r2_head_decode(key_of(slot), version.metadata, &object);
    }
    if (!absent && status != PS_OK) {
        return status;
    }
    slot->seen_lsn = status == PS_NOT_FOUND ? 0 : version.lsn;
    slot->entry = (struct ps_r2_cache_entry){
        .lsn = absent ? 0 : version.lsn,
        .stored_ns = slot->as_of_ns,
        .stay = ps_r2_cache_stay_of(key_of(slot), absent ? NULL : &object, cache->kinds,
                                    ps_r2_unix_ms(cache->cluster, slot->as_of_ns))};
    ps_r2_object_fini(&object);
    slot->resolved = true;
    slot->has = slot->entry.stay.stored;
    return PS_OK;
}

/* From when on a resolved entry is not given any more, whatever happens. */
static ps_time_ns given_until(const struct slot *slot)
{
    return ps_time_add(slot->as_of_ns, ps_r2_cache_life(&slot->entry.stay));
}

static bool is_over(const struct slot *slot, ps_time_ns t)
{
    return ps_time_add(given_until(slot), PS_R2_PUBLIC_KEPT_NS) <= t;
}

/* Bring the key's entry to what it is at `t`. */
static enum ps_status bring_to(const struct ps_r2_public *cache, struct slot *slot, ps_time_ns t)
{
    land(slot, t);
    if (!slot->has && slot->next_ready_ns == 0) {
        return PS_OK;
    }
    enum ps_status status = end_purged(cache, slot, t);
    if (status == PS_OK) {
        status = resolve(cache, slot);
    }
    if (status == PS_OK && slot->has && is_over(slot, t)) {
        slot->has = false;
    }
    return status;
}

static const struct ps_r2_cache_entry *entry_of(const struct slot *slot)
{
    return slot != NULL && slot->has ? &slot->entry : NULL;
}

/* ---- reads ---- */

static void give(const struct slot *slot, const struct ps_r2_cache_decision *decision, ps_time_ns t,
                 struct ps_r2_public_view *ret)
{
    PS_ASSERT(slot != NULL && slot->resolved);
    ret->view = (struct ps_view){
        .kind = PS_VIEW_AS_OF, .cache = PS_CACHE_HIT, .at_ns = slot->as_of_ns, .ready_ns = t};
    ret->cached = true;
    ret->lsn = slot->seen_lsn;
    ret->age_s = decision->age_s;
    ret->state = decision->state;
    ret->had = false;
    ret->had_lsn = 0;
}

/* What a strong read at `t` brings becomes the entry, unless another one is on its way. */
static bool keep(struct slot *slot, const struct ps_view *view)
{
    bool first = slot->next_ready_ns == 0;
    if (first) {
        slot->next_as_of_ns = view->at_ns;
        slot->next_ready_ns = view->ready_ns;
    }
    return first;
}

/* The entry was given although it is out of date: home is asked behind it. */
static void update(const struct ps_r2_public *cache, struct slot *slot, ps_time_ns t)
{
    struct ps_view view;
    if (ps_view_strong(&cache->view, t, &view) == PS_OK) {
        (void)keep(slot, &view);
    }
}

/* The link is cut: what is here is given, if it may be. */
static enum ps_status without_home(const struct slot *slot, ps_time_ns t,
                                   struct ps_r2_public_view *ret)
{
    struct ps_r2_cache_decision decision = ps_r2_cache_decide(entry_of(slot), PS_NEVER, t, true);
    if (decision.step != PS_R2_CACHE_GIVE) {
        return PS_UNREACHABLE;
    }
    give(slot, &decision, t, ret);
    return PS_OK;
}

enum ps_status ps_r2_public_decide(struct ps_r2_public *cache, struct ps_slice key, ps_time_ns t,
                                   struct ps_r2_public_view *ret)
{
    *ret = (struct ps_r2_public_view){.state = PS_R2_CACHE_DYNAMIC};
    if (!ps_r2_cache_kind(key, cache->kinds)) {
        return ps_view_strong(&cache->view, t, &ret->view);
    }
    struct slot *slot = find(cache, key);
    enum ps_status status = slot == NULL ? PS_OK : bring_to(cache, slot, t);
    if (status != PS_OK) {
        return status;
    }
    const struct ps_r2_cache_entry *entry = entry_of(slot);
    struct ps_r2_cache_decision decision = ps_r2_cache_decide(entry, PS_NEVER, t, false);
    ret->state = decision.state;
    if (decision.step == PS_R2_CACHE_GIVE) {
        give(slot, &decision, t, ret);
        if (decision.state == PS_R2_CACHE_UPDATING) {
            update(cache, slot, t);
        }
        return PS_OK;
    }
    ret->had = entry != NULL;
    ret->had_lsn = entry != NULL ? entry->lsn : 0;
    status = ps_view_strong(&cache->view, t, &ret->view);
    if (status != PS_OK) {
        return without_home(slot, t, ret);
    }
    ret->view.cache = PS_CACHE_MISS;
    slot = slot == NULL ? make(cache, key) : slot;
    ret->kept = keep(slot, &ret->view);
    return PS_OK;
}

enum ps_status ps_r2_public_decide_late(struct ps_r2_public *cache, struct ps_slice key,
                                        ps_time_ns t, ps_time_ns closed_ns,
                                        struct ps_r2_public_view *ret)
{
    *ret = (struct ps_r2_public_view){.state = PS_R2_CACHE_DYNAMIC,
                                      .view = {.kind = PS_VIEW_AS_OF, .ready_ns = t}};
    const struct slot *slot = find(cache, key);
    if (slot == NULL) {
        return PS_UNREACHABLE;
    }
    struct slot *copy = ps_calloc(1, sizeof *copy + slot->key_size);
    memcpy(copy, slot, sizeof *copy + slot->key_size);
    if (copy->next_as_of_ns > closed_ns) {
        copy->next_ready_ns = 0; /* nobody knows what it found */
    }
    copy->has = copy->has && (copy->resolved || copy->as_of_ns <= closed_ns);
    enum ps_status status = bring_to(cache, copy, t);
    if (status == PS_OK) {
        status = without_home(copy, t, ret);
    }
    free(copy);
    return status;
}

struct ps_bound ps_r2_public_bound(const struct ps_r2_public_view *view)
{
    return (struct ps_bound){.lsn_max = view->cached ? view->lsn : UINT64_MAX,
                             .commit_max = view->view.at_ns};
}

enum ps_r2_cache_state ps_r2_public_state(const struct ps_r2_public *cache, struct ps_slice key,
                                          const struct ps_r2_public_view *view,
                                          const struct ps_r2_object *object, uint64_t lsn)
{
    if (view->cached) {
        return view->state;
    }
    struct ps_r2_cache_stay stay = ps_r2_cache_stay_of(
        key, object, cache->kinds, ps_r2_unix_ms(cache->cluster, view->view.at_ns));
    struct ps_r2_cache_entry had = {.lsn = view->had_lsn};
    struct ps_r2_cache_decision decision = {PS_R2_CACHE_FETCH, view->state, 0};
    return ps_r2_cache_fetched(view->had ? &had : NULL, &decision, object == NULL ? 0 : lsn, &stay);
}

bool ps_r2_public_drop(struct ps_r2_public *cache, struct ps_slice key, uint64_t lsn, ps_time_ns t)
{
    struct slot *slot = find(cache, key);
    if (slot == NULL) {
        return false;
    }
    land(slot, t);
    bool drops = slot->has && slot->resolved && slot->entry.lsn == lsn;
    slot->has = slot->has && !drops;
    return drops;
}

/* ---- house-keeping ---- */

/* What of the past the slot needs at or after `t`: its version must not be forgotten before it is
 * looked up, nor while it may be given and has been superseded (at the instant returned, or after
 * it). */
static ps_time_ns holds(const struct ps_r2_public *cache, const struct slot *slot, ps_time_ns t)
{
    struct ps_freshness fresh;
    ps_time_ns oldest_ns = slot->next_ready_ns != 0 ? slot->next_as_of_ns : PS_NEVER;
    if (!slot->has) {
        return oldest_ns;
    }
    if (!slot->resolved) {
        return ps_time_min(oldest_ns, slot->as_of_ns);
    }
    if (given_until(slot) <= t) {
        return oldest_ns; /* only its number counts */
    }
    if (ps_map_freshness(cache->map, cache->map_store, key_of(slot), slot->seen_lsn, PS_NEVER,
                         &fresh) != PS_OK) {
        return ps_time_min(oldest_ns, slot->as_of_ns);
    }
    return fresh.superseded_ns == PS_NEVER ? oldest_ns : ps_time_min(oldest_ns, slot->as_of_ns);
}

static void begin_cycle(struct ps_r2_public *cache, ps_time_ns t)
{
    if (cache->cycle.left == 0) {
        cache->cycle.found_ns = cache->cycle.oldest_ns;
        cache->cycle.left = HASH_COUNT(cache->slots);
        cache->cycle.oldest_ns = t;
    }
}

void ps_r2_public_sweep(struct ps_r2_public *cache, ps_time_ns oldest_wait_ns, ps_time_ns closed_ns,
                        size_t budget)
{
    struct slot *slot;
    struct slot *next;
    ps_time_ns known_ns = ps_time_min(oldest_wait_ns, closed_ns);
    /* What is superseded later than this cycle began is so after what the log is closed to; and the
     * purges that all entries are held against here may be forgotten. */
    begin_cycle(cache, purges_arrived(cache, known_ns));
    size_t left = HASH_COUNT(cache->slots);
    left = budget < left ? budget : left;
    HASH_ITER(hh, cache->slots, slot, next)
    {
        if (left-- == 0) {
            return;
        }
        cache->cycle.left -= cache->cycle.left > 0;
        if (slot->next_as_of_ns <= known_ns) {
            land(slot, oldest_wait_ns);
        }
        bool purged = end_purged(cache, slot, known_ns) == PS_OK;
        if (slot->as_of_ns <= known_ns) {
            (void)resolve(cache, slot); /* if that fails it holds its version */
        }
        bool over = !slot->has || (slot->resolved && is_over(slot, oldest_wait_ns));
        if (over && slot->next_ready_ns == 0) {
            forget_slot(cache, slot);
            continue;
        }
        cache->cycle.oldest_ns =
            purged ? ps_time_min(cache->cycle.oldest_ns, holds(cache, slot, oldest_wait_ns)) : 0;
        HASH_DEL(cache->slots, slot);
        HASH_ADD_KEYPTR(hh, cache->slots, slot->key, slot->key_size, slot);
    }
}

ps_time_ns ps_r2_public_horizon(const struct ps_r2_public *cache, ps_time_ns t)
{
    /* A purge that not every read sees yet must not take the place of one that it does. */
    ps_time_ns horizon_ns = ps_time_min(t, purges_arrived(cache, t));
    return HASH_COUNT(cache->slots) == 0 ? horizon_ns
                                         : ps_time_min(horizon_ns, cache->cycle.found_ns);
}

size_t ps_r2_public_count(const struct ps_r2_public *cache)
{
    return HASH_COUNT(cache->slots);
}
