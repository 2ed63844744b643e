#include "sim/measure/public_cache.h"

#include "replication/base/memory.h"

/* Home's state as a fetch found it. */
struct fetch {
    bool any;
    ps_time_ns as_of_ns;
    ps_time_ns ready_ns;
};

struct entry {
    bool any;
    bool there; /* an object; else a 404 */
    uint64_t lsn;
    ps_time_ns as_of_ns;
    struct ps_r2_cache_stay stay;
};

struct purges {
    ps_time_ns *visible_ns; /* owned; in the order of their LSNs */
    size_t count;
    size_t capacity;
};

struct cached {
    struct entry entry;
    struct fetch fetch; /* on its way, or not looked at since it came */
    struct purges purges;
};

struct ps_public_cache {
    const struct ps_replica *replica;
    enum ps_r2_cache_kinds kinds;
    void *context;
    ps_public_stay_fn stay;
    ps_public_entry_fn entry;
    struct cached *keys; /* owned; by number */
    size_t key_count;
    struct purges all;
    uint64_t fetches;
};

struct ps_public_cache *ps_public_cache_create(const struct ps_replica *replica,
                                               enum ps_r2_cache_kinds kinds, void *context,
                                               ps_public_stay_fn stay, ps_public_entry_fn entry)
{
    struct ps_public_cache *cache = PS_NEW(struct ps_public_cache);
    *cache = (struct ps_public_cache){
        .replica = replica, .kinds = kinds, .context = context, .stay = stay, .entry = entry};
    return cache;
}

void ps_public_cache_destroy(struct ps_public_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->key_count; i++) {
        free(cache->keys[i].purges.visible_ns);
    }
    free(cache->keys);
    free(cache->all.visible_ns);
    free(cache);
}

static struct cached *at(struct ps_public_cache *cache, uint32_t key)
{
    if (key >= cache->key_count) {
        size_t count = 2 * (size_t)key + 1;
        struct cached *grown = PS_NEW_ARRAY(struct cached, count);
        for (size_t i = 0; i < cache->key_count; i++) {
            grown[i] = cache->keys[i];
        }
        free(cache->keys);
        cache->keys = grown;
        cache->key_count = count;
    }
    return &cache->keys[key];
}

/* ---- purges ---- */

void ps_public_cache_purged(struct ps_public_cache *cache, uint32_t key, bool all,
                            ps_time_ns commit_ns)
{
    struct purges *purges = all ? &cache->all : &at(cache, key)->purges;
    purges->visible_ns =
        ps_grow(purges->visible_ns, purges->count, &purges->capacity, sizeof *purges->visible_ns);
    purges->visible_ns[purges->count++] =
        ps_link_arrival(cache->replica->link, commit_ns, PS_R2_PURGE_MS * PS_MS);
}

/* Has a purge that is visible at `t` ended what shows home's state of `as_of_ns`? Of those that are
 * visible the last one counts. */
static bool ended_by(const struct purges *purges, ps_time_ns as_of_ns, ps_time_ns t)
{
    for (size_t i = purges->count; i > 0; i--) {
        if (purges->visible_ns[i - 1] <= t) {
            return as_of_ns <= purges->visible_ns[i - 1];
        }
    }
    return false;
}

static bool is_purged(const struct ps_public_cache *cache, const struct cached *cached,
                      ps_time_ns as_of_ns, ps_time_ns t)
{
    return ended_by(&cached->purges, as_of_ns, t) || ended_by(&cache->all, as_of_ns, t);
}

/* The first instant at or after as_of_ns at which a purge is visible. */
static ps_time_ns first_purge(const struct purges *purges, ps_time_ns as_of_ns)
{
    ps_time_ns first_ns = PS_NEVER;
    for (size_t i = 0; i < purges->count; i++) {
        if (purges->visible_ns[i] >= as_of_ns) {
            first_ns = ps_time_min(first_ns, purges->visible_ns[i]);
        }
    }
    return first_ns;
}

/* ---- entries ---- */

/* Tell of an entry that came, unless it was lost at `lost_ns` before. */
static void tell(const struct ps_public_cache *cache, uint32_t key, const struct cached *cached,
                 ps_time_ns from_ns, ps_time_ns lost_ns)
{
    const struct entry *entry = &cached->entry;
    ps_time_ns until_ns = ps_time_min(first_purge(&cached->purges, entry->as_of_ns),
                                      first_purge(&cache->all, entry->as_of_ns));
    /* What it is given for beyond its life, when the link is cut, does not count: no read would
     * have found anything newer. */
    ps_dur_ns life_ns = entry->stay.fresh_ns + entry->stay.updating_ns;
    until_ns = ps_time_min(until_ns, ps_time_add(entry->as_of_ns, life_ns));
    until_ns = ps_time_min(until_ns, lost_ns);
    if (from_ns < until_ns) {
        cache->entry(cache->context, key, from_ns, entry->as_of_ns, until_ns);
    }
}

/* What has come by `t` is the entry. */
static void settle(struct ps_public_cache *cache, uint32_t key, struct cached *cached, ps_time_ns t,
                   ps_time_ns lost_ns)
{
    struct fetch fetch = cached->fetch;
    if (!fetch.any || fetch.ready_ns > t) {
        return;
    }
    cached->fetch.any = false;
    cached->entry = (struct entry){.any = true, .as_of_ns = fetch.as_of_ns};
    cached->entry.stay =
        cache->stay(cache->context, key, fetch.as_of_ns, &cached->entry.lsn, &cached->entry.there);
    cached->entry.any = cached->entry.stay.stored;
    if (cached->entry.any && cache->entry != NULL) {
        tell(cache, key, cached, fetch.ready_ns, lost_ns);
    }
}

void ps_public_cache_reset(struct ps_public_cache *cache, ps_time_ns t)
{
    for (size_t i = 0; i < cache->key_count; i++) {
        struct cached *cached = &cache->keys[i];
        settle(cache, (uint32_t)i, cached, t, t);
        cached->entry.any = false;
        cached->fetch.any = false;
    }
}

void ps_public_cache_drop(struct ps_public_cache *cache, uint32_t key, ps_time_ns t)
{
    struct cached *cached = at(cache, key);
    settle(cache, key, cached, t, PS_NEVER);
    cached->entry.any = false;
}

/* ---- reads ---- */

static bool is_cut(const struct ps_public_cache *cache, ps_time_ns t, struct ps_view *ret,
                   enum ps_status *status)
{
    *status = ps_view_strong(cache->replica, t, ret);
    return *status != PS_OK;
}

static void give(const struct entry *entry, enum ps_r2_cache_state state, ps_time_ns t,
                 struct ps_public_view *ret)
{
    *ret = (struct ps_public_view){.view = {.kind = PS_VIEW_AS_OF,
                                            .at_ns = entry->as_of_ns,
                                            .ready_ns = t,
                                            .need_ns = entry->as_of_ns},
                                   .cached = true,
                                   .lsn = entry->lsn,
                                   .state = state};
}

enum ps_status ps_public_cache_decide(struct ps_public_cache *cache, uint32_t key,
                                      struct ps_slice name, ps_time_ns t,
                                      struct ps_public_view *ret)
{
    struct cached *cached = at(cache, key);
    struct entry *entry = &cached->entry;
    enum ps_status status;
    cached->fetch.any = cached->fetch.any && !is_purged(cache, cached, cached->fetch.as_of_ns, t);
    settle(cache, key, cached, t, PS_NEVER);
    entry->any = entry->any && !is_purged(cache, cached, entry->as_of_ns, t);
    ps_dur_ns age_ns = entry->any ? t - entry->as_of_ns : 0;
    if (entry->any && age_ns < entry->stay.fresh_ns) {
        give(entry, PS_R2_CACHE_HIT, t, ret);
        return PS_OK;
    }
    if (entry->any && age_ns - entry->stay.fresh_ns < entry->stay.updating_ns) {
        struct ps_view behind;
        give(entry, PS_R2_CACHE_UPDATING, t, ret);
        if (!cached->fetch.any && !is_cut(cache, t, &behind, &status)) {
            cache->fetches++;
            cached->fetch =
                (struct fetch){.any = true, .as_of_ns = behind.at_ns, .ready_ns = behind.ready_ns};
        }
        return PS_OK;
    }
    *ret = (struct ps_public_view){.state = PS_R2_CACHE_MISS};
    if (is_cut(cache, t, &ret->view, &status)) {
        if (entry->any && age_ns - entry->stay.fresh_ns < entry->stay.on_error_ns) {
            give(entry, PS_R2_CACHE_STALE, t, ret);
            return PS_OK;
        }
        return status;
    }
    cache->fetches++;
    if (!ps_r2_cache_kind(name, cache->kinds)) {
        ret->state = PS_R2_CACHE_DYNAMIC;
        return PS_OK;
    }
    ps_dur_ns over_ns = ps_r2_cache_life(&entry->stay) + PS_R2_PUBLIC_KEPT_NS;
    if (entry->any && age_ns < over_ns) {
        ret->state = PS_R2_CACHE_EXPIRED;
        ret->had = true;
        ret->had_lsn = entry->there ? entry->lsn : 0;
    }
    if (!cached->fetch.any) {
        cached->fetch = (struct fetch){
            .any = true, .as_of_ns = ret->view.at_ns, .ready_ns = ret->view.ready_ns};
    }
    return PS_OK;
}

uint64_t ps_public_cache_fetches(const struct ps_public_cache *cache)
{
    return cache->fetches;
}

enum ps_r2_cache_state ps_public_cache_state(const struct ps_public_view *view, uint64_t lsn,
                                             const struct ps_r2_cache_stay *stay)
{
    struct ps_r2_cache_decision decision = {.step = PS_R2_CACHE_FETCH, .state = view->state};
    struct ps_r2_cache_entry entry = {.lsn = view->had_lsn};
    return view->cached || view->state == PS_R2_CACHE_DYNAMIC
               ? view->state
               : ps_r2_cache_fetched(view->had ? &entry : NULL, &decision, lsn, stay);
}
