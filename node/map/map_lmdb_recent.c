/* Recent records, and reads over them and LMDB. map_lmdb_recent.h says how they fit. */
#include "node/map/map_lmdb_recent.h"

#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What settling a record costs besides its bytes, in bytes: a row costs as much as half a page. */
enum { RECORD_COST = 2048, ENTRY_COST = 2048, CHUNK = 64 };

static struct ps_lmdb_map *map_of(struct ps_map *base)
{
    return (struct ps_lmdb_map *)(void *)base;
}

/* --- generations --- */

static struct ps_lmdb_recent *create(uint64_t base_txn)
{
    struct ps_lmdb_recent *recent = PS_NEW(struct ps_lmdb_recent);
    recent->base_txn = base_txn;
    recent->users = 1;
    recent->memory = ps_map_create_memory_stable();
    enum ps_status status = ps_map_read_begin(recent->memory);
    PS_ASSERT(status == PS_OK);
    return recent;
}

void ps_lmdb_recent_release(struct ps_lmdb_map *map, struct ps_lmdb_recent *recent)
{
    if (recent == NULL) {
        return;
    }
    pthread_mutex_lock(&map->mutex);
    PS_ASSERT(recent->users > 0);
    bool last = --recent->users == 0;
    pthread_mutex_unlock(&map->mutex);
    if (last) {
        ps_map_read_end(recent->memory);
        ps_map_close(recent->memory);
        free(recent);
    }
}

int ps_lmdb_recent_renew(struct ps_lmdb_map *map)
{
    MDB_envinfo info;
    int rc = mdb_env_info(map->env, &info);
    if (rc != 0) {
        return rc;
    }
    struct ps_lmdb_recent *renewed = create(info.me_last_txnid);
    pthread_mutex_lock(&map->mutex);
    struct ps_lmdb_recent *former = map->recent;
    map->recent = renewed;
    pthread_mutex_unlock(&map->mutex);
    ps_lmdb_recent_release(map, former);
    return 0;
}

/* --- adding --- */

/* The store in the generation's map, made now if it is not there: its log goes on where LMDB's
 * ends. */
static ps_map_store store_in(struct ps_lmdb_map *map, struct ps_lmdb_recent *recent,
                             ps_map_store store)
{
    if (recent->stores[store] != 0) {
        return recent->stores[store] - 1U;
    }
    const struct ps_lmdb_store *from = &map->stores[store];
    ps_map_store ret;
    enum ps_status status = ps_map_store_open(recent->memory, ps_slice_of(from->name), &ret, NULL);
    PS_ASSERT(status == PS_OK);
    status = ps_map_snapshot_begin(recent->memory, ret, NULL);
    PS_ASSERT(status == PS_OK);
    status = ps_map_snapshot_finish(recent->memory, ret, from->log.last_lsn,
                                    from->log.last_commit_ns, NULL);
    PS_ASSERT(status == PS_OK);
    recent->stores[store] = (uint16_t)(ret + 1);
    return ret;
}

static size_t cost_of(const struct ps_record *record)
{
    size_t cost = RECORD_COST;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        cost += ENTRY_COST + entry->key.size + entry->metadata.size + entry->value.size;
    }
    return cost;
}

void ps_lmdb_recent_add(struct ps_lmdb_map *map, const struct ps_append *appends, size_t count)
{
    struct ps_lmdb_recent *recent = map->recent;
    pthread_mutex_lock(&map->recent_lock);
    for (size_t i = 0; i < count; i++) {
        const struct ps_append append = {store_in(map, recent, appends[i].store),
                                         appends[i].record};
        enum ps_status status = ps_map_apply(recent->memory, &append, 1, NULL);
        PS_ASSERT(status == PS_OK);
        recent->cost += cost_of(append.record);
    }
    pthread_mutex_unlock(&map->recent_lock);
    atomic_fetch_add(&recent->records, count);
}

void ps_lmdb_recent_each(struct ps_lmdb_map *map, ps_map_store store, ps_map_record_fn each,
                         void *context)
{
    const struct ps_lmdb_recent *recent = map->recent;
    if (recent->stores[store] == 0) {
        return;
    }
    ps_map_store inside = recent->stores[store] - 1U;
    struct ps_log_state log;
    pthread_mutex_lock(&map->recent_lock);
    enum ps_status status = ps_map_log_state(recent->memory, inside, &log);
    PS_ASSERT(status == PS_OK);
    status = ps_map_log(recent->memory, inside, log.first_lsn, each, context);
    PS_ASSERT(status == PS_OK);
    pthread_mutex_unlock(&map->recent_lock);
}

bool ps_lmdb_recent_newest(struct ps_lmdb_map *map, ps_map_store store, struct ps_slice key,
                           struct ps_version *ret)
{
    const struct ps_lmdb_recent *recent = map->recent;
    if (recent->stores[store] == 0) {
        return false;
    }
    pthread_mutex_lock(&map->recent_lock);
    enum ps_status status =
        ps_map_get(recent->memory, recent->stores[store] - 1U, key, &PS_BOUND_NEWEST, ret);
    pthread_mutex_unlock(&map->recent_lock);
    return status == PS_OK;
}

/* --- reads --- */

static struct ps_lmdb_limit limit_now(struct ps_lmdb_map *map, const struct ps_lmdb_recent *recent,
                                      ps_map_store store)
{
    struct ps_lmdb_limit limit = {.store = store};
    struct ps_log_state log;
    if (atomic_load(&recent->records) == 0) {
        return limit;
    }
    pthread_mutex_lock(&map->recent_lock);
    if (recent->stores[store] != 0 &&
        ps_map_log_state(recent->memory, recent->stores[store] - 1U, &log) == PS_OK) {
        limit.lsn = log.last_lsn;
        limit.commit_ns = log.last_commit_ns;
    }
    pthread_mutex_unlock(&map->recent_lock);
    return limit;
}

/* A read that goes through more stores than there is room for gets the first ones' anew. */
static const struct ps_lmdb_limit *limit_of(struct ps_lmdb_map *map, ps_map_store store)
{
    struct ps_lmdb_txn *txn = ps_lmdb_reader(map);
    size_t known = txn->limit_count < PS_LMDB_LIMITS ? txn->limit_count : PS_LMDB_LIMITS;
    for (size_t i = 0; i < known; i++) {
        if (txn->limits[i].store == store) {
            return &txn->limits[i];
        }
    }
    struct ps_lmdb_limit *limit = &txn->limits[txn->limit_count++ % PS_LMDB_LIMITS];
    *limit = limit_now(map, txn->recent, store);
    return limit;
}

/* The generation of the thread's read, locked: the store's handle in it, and what the read may see
 * of it. NULL, not locked: nothing. */
static struct ps_map *lock_recent(struct ps_lmdb_map *map, ps_map_store store, ps_map_store *ret,
                                  struct ps_lmdb_limit *ret_limit)
{
    *ret_limit = *limit_of(map, store);
    if (ret_limit->lsn == 0) {
        return NULL;
    }
    const struct ps_lmdb_recent *recent = ps_lmdb_reader(map)->recent;
    pthread_mutex_lock(&map->recent_lock);
    *ret = recent->stores[store] - 1U;
    return recent->memory;
}

static void unlock_recent(struct ps_lmdb_map *map)
{
    pthread_mutex_unlock(&map->recent_lock);
}

static struct ps_bound within(const struct ps_bound *bound, const struct ps_lmdb_limit *limit)
{
    struct ps_bound ret = *bound;
    ret.lsn_max = ret.lsn_max < limit->lsn ? ret.lsn_max : limit->lsn;
    return ret;
}

/* All that is recent is newer than what is settled. */
enum ps_status ps_lmdb_get(struct ps_map *base, ps_map_store store, struct ps_slice key,
                           const struct ps_bound *bound, struct ps_version *ret)
{
    struct ps_lmdb_map *map = map_of(base);
    struct ps_lmdb_limit limit;
    ps_map_store inside;
    struct ps_map *memory = lock_recent(map, store, &inside, &limit);
    if (memory != NULL) {
        const struct ps_bound limited = within(bound, &limit);
        enum ps_status status = ps_map_get(memory, inside, key, &limited, ret);
        unlock_recent(map);
        if (status != PS_NOT_FOUND) {
            return status;
        }
    }
    return ps_lmdb_settled_get(map, store, key, bound, ret);
}

enum ps_status ps_lmdb_freshness(struct ps_map *base, ps_map_store store, struct ps_slice key,
                                 uint64_t lsn, ps_time_ns commit_max, struct ps_freshness *ret)
{
    struct ps_lmdb_map *map = map_of(base);
    struct ps_freshness recent = {.superseded_ns = PS_NEVER};
    struct ps_lmdb_limit limit;
    ps_map_store inside;
    struct ps_map *memory = lock_recent(map, store, &inside, &limit);
    if (memory != NULL) {
        ps_time_ns until = commit_max < limit.commit_ns ? commit_max : limit.commit_ns;
        enum ps_status status = ps_map_freshness(memory, inside, key, lsn, until, &recent);
        unlock_recent(map);
        if (status != PS_OK) {
            return status;
        }
    }
    enum ps_status status = ps_lmdb_settled_freshness(map, store, key, lsn, commit_max, ret);
    ret->newest_lsn = recent.newest_lsn != 0 ? recent.newest_lsn : ret->newest_lsn;
    ret->behind += recent.behind;
    if (ret->superseded_ns == PS_NEVER) {
        ret->superseded_ns = recent.superseded_ns;
    }
    return status;
}

enum ps_status ps_lmdb_token(struct ps_map *base, ps_map_store store, const struct ps_token *token,
                             uint64_t *ret_lsn, ps_time_ns *ret_commit_ns)
{
    struct ps_lmdb_map *map = map_of(base);
    struct ps_lmdb_limit limit;
    ps_map_store inside;
    struct ps_map *memory = lock_recent(map, store, &inside, &limit);
    if (memory != NULL) {
        enum ps_status status = ps_map_token(memory, inside, token, ret_lsn, ret_commit_ns);
        unlock_recent(map);
        if (status == PS_OK && *ret_lsn <= limit.lsn) {
            return PS_OK;
        }
    }
    return ps_lmdb_settled_token(map, store, token, ret_lsn, ret_commit_ns);
}

/* --- the log --- */

struct log_walk {
    ps_map_record_fn each;
    void *context;
    uint64_t next_lsn;
    uint64_t last_lsn; /* that it may see */
    bool more;
};

static bool log_each(void *context, const struct ps_record *record)
{
    struct log_walk *walk = context;
    if (record->lsn > walk->last_lsn) {
        return false;
    }
    walk->next_lsn = record->lsn + 1;
    walk->more = walk->each(walk->context, record);
    return walk->more;
}

enum ps_status ps_lmdb_log(struct ps_map *base, ps_map_store store, uint64_t from_lsn, bool entries,
                           ps_map_record_fn each, void *context)
{
    struct ps_lmdb_map *map = map_of(base);
    struct log_walk walk = {each, context, from_lsn == 0 ? 1 : from_lsn, UINT64_MAX, true};
    enum ps_status status =
        ps_lmdb_settled_log(map, store, walk.next_lsn, entries, log_each, &walk);
    struct ps_lmdb_limit limit;
    ps_map_store inside;
    struct ps_map *memory =
        status == PS_OK && walk.more ? lock_recent(map, store, &inside, &limit) : NULL;
    if (memory != NULL) {
        walk.last_lsn = limit.lsn;
        status = entries ? ps_map_log(memory, inside, walk.next_lsn, log_each, &walk)
                         : ps_map_log_marks(memory, inside, walk.next_lsn, log_each, &walk);
        unlock_recent(map);
    }
    return status;
}

/* --- lists --- */

struct listed {
    struct ps_slice key;
    struct ps_version version;
};

/* Two lists in key order as one: LMDB's comes by call-backs, the generation's in chunks. */
struct list_walk {
    struct ps_lmdb_map *map;
    ps_map_store store;
    struct ps_slice prefix;
    struct ps_slice after;
    const struct ps_bound *bound;
    ps_map_each_fn each;
    void *context;
    bool more;
    struct listed chunk[CHUNK];
    size_t at;
    size_t count;
    bool any;             /* `last` is one */
    struct ps_slice last; /* of the chunk; its bytes stay with the generation */
};

static bool take_listed(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct list_walk *walk = context;
    if (walk->any && ps_slice_cmp(key, walk->last) <= 0) {
        return true; /* the empty key: "after" it means from the start */
    }
    walk->chunk[walk->count++] = (struct listed){key, *version};
    return walk->count < CHUNK;
}

static enum ps_status next_chunk(struct list_walk *walk)
{
    walk->at = 0;
    walk->count = 0;
    struct ps_lmdb_limit limit;
    ps_map_store inside;
    struct ps_map *memory = lock_recent(walk->map, walk->store, &inside, &limit);
    if (memory == NULL) {
        return PS_OK;
    }
    const struct ps_bound limited = within(walk->bound, &limit);
    enum ps_status status =
        ps_map_list(memory, inside, walk->prefix, walk->any ? walk->last : walk->after, &limited,
                    take_listed, walk);
    unlock_recent(walk->map);
    if (walk->count != 0) {
        walk->last = walk->chunk[walk->count - 1].key;
        walk->any = true;
    }
    return status;
}

/* The generation's next; NULL behind the last. */
static const struct listed *peek(struct list_walk *walk, enum ps_status *status)
{
    if (walk->at == walk->count && walk->count != 0 && *status == PS_OK) {
        *status = next_chunk(walk);
    }
    return walk->at < walk->count && *status == PS_OK ? &walk->chunk[walk->at] : NULL;
}

struct list_settled {
    struct list_walk *walk;
    enum ps_status status;
};

/* Those of the generation's that come before `key`; NULL: all that are left. */
static void list_recent(struct list_settled *list, const struct ps_slice *key)
{
    struct list_walk *walk = list->walk;
    const struct listed *next;
    while (walk->more && (next = peek(walk, &list->status)) != NULL &&
           (key == NULL || ps_slice_cmp(next->key, *key) < 0)) {
        walk->at++;
        walk->more = walk->each(walk->context, next->key, &next->version);
    }
}

static bool list_each(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct list_settled *list = context;
    struct list_walk *walk = list->walk;
    list_recent(list, &key);
    if (!walk->more || list->status != PS_OK) {
        return false;
    }
    const struct listed *next = peek(walk, &list->status);
    bool newer = next != NULL && ps_slice_eq(next->key, key);
    walk->at += newer ? 1 : 0;
    walk->more = walk->each(walk->context, key, newer ? &next->version : version);
    return walk->more;
}

enum ps_status ps_lmdb_list(struct ps_map *base, ps_map_store store, struct ps_slice prefix,
                            struct ps_slice after, const struct ps_bound *bound,
                            ps_map_each_fn each, void *context)
{
    struct ps_lmdb_map *map = map_of(base);
    struct list_walk walk = {.map = map,
                             .store = store,
                             .prefix = prefix,
                             .after = after,
                             .bound = bound,
                             .each = each,
                             .context = context,
                             .more = true};
    struct list_settled list = {.walk = &walk, .status = next_chunk(&walk)};
    if (list.status != PS_OK) {
        return list.status;
    }
    if (walk.count == 0) {
        return ps_lmdb_settled_list(map, store, prefix, after, bound, each, context);
    }
    enum ps_status status =
        ps_lmdb_settled_list(map, store, prefix, after, bound, list_each, &list);
    if (status == PS_OK && list.status == PS_OK) {
        list_recent(&list, NULL);
    }
    return status != PS_OK ? status : list.status;
}

/* --- figures --- */

struct count_new {
    struct ps_lmdb_txn *txn;
    ps_map_store store;
    uint64_t keys;
};

static bool count_key(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct count_new *count = context;
    uint64_t id;
    (void)version;
    count->keys += ps_key_find(count->txn, count->store, key, &id) ? 0 : 1;
    return !ps_lmdb_failed(count->txn);
}

static void stats_work(struct ps_lmdb_txn *txn, void *context)
{
    struct ps_map_stats *stats = context;
    const struct ps_lmdb_recent *recent = txn->recent;
    struct ps_map_stats inside;
    ps_lmdb_settled_stats(txn, stats);
    pthread_mutex_lock(&txn->map->recent_lock);
    enum ps_status status = ps_map_stats(recent->memory, &inside);
    for (ps_map_store i = 0; i < PS_MAP_STORES_MAX && status == PS_OK; i++) {
        struct count_new count = {.txn = txn, .store = i};
        if (recent->stores[i] != 0) {
            status = ps_map_list(recent->memory, recent->stores[i] - 1U, PS_LIT(""), PS_LIT(""),
                                 &PS_BOUND_NEWEST, count_key, &count);
            stats->keys += count.keys;
        }
    }
    pthread_mutex_unlock(&txn->map->recent_lock);
    if (status != PS_OK) {
        ps_lmdb_fail_status(txn, status);
        return;
    }
    stats->bytes += inside.bytes;
    stats->versions += inside.versions;
}

enum ps_status ps_lmdb_stats(struct ps_map *base, struct ps_map_stats *ret)
{
    struct ps_lmdb_map *map = map_of(base);
    struct ps_map_stats stats = {0};
    enum ps_status status = ps_lmdb_read(map, stats_work, &stats);
    if (status != PS_OK) {
        return status;
    }
    pthread_mutex_lock(&map->mutex);
    for (size_t i = 0; i < map->store_count; i++) {
        stats.log_records += map->stores[i].log.last_lsn + 1 - map->stores[i].log.first_lsn;
    }
    pthread_mutex_unlock(&map->mutex);
    *ret = stats;
    return PS_OK;
}
