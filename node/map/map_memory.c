/* The memory end of the versioned map: for the virtual world and for tests. One thread.
 *
 * A key's versions are one array in LSN order. Keys are found by hash; their order is kept in an
 * array that is sorted when it is asked for: new keys wait in a small array of their own, and a
 * list walks both. The log refers to keys, so it takes few bytes a record. */
#include "node/map/map_internal.h"
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { VERSION_DELETED = 1, VERSION_EXPIRES = 2, VERSION_INLINE = 8 };

/* 32 bytes; a small value lies in it. Otherwise the bytes are [expires u64], metadata, value. */
struct mem_version {
    uint64_t lsn;
    ps_time_ns commit_ns;

    union {
        char near[VERSION_INLINE];
        char *far; /* owned */
    } data;

    uint32_t value_size;
    uint16_t metadata_size;
    uint8_t flags;
    bool is_far;
};

static_assert(PS_METADATA_SIZE_MAX <= UINT16_MAX, "a version can say how large its metadata is");

struct mem_key {
    UT_hash_handle hh;
    struct mem_version *versions; /* ascending by LSN */
    size_t count;
    size_t capacity;
    size_t log_refs; /* log records and tombstones that point here */
    size_t size;
    char bytes[];
};

struct mem_mark {
    ps_time_ns commit_ns;
    struct ps_token token;
    size_t count;

    union {
        struct mem_key *one;
        struct mem_key **many; /* owned; when count > 1 */
    } keys;
};

struct mem_token {
    UT_hash_handle hh;
    struct ps_token token;
    uint64_t lsn;
    ps_time_ns commit_ns;
};

/* A tombstone that came in a snapshot: no log record leads to it. */
struct mem_tomb {
    uint64_t lsn;
    ps_time_ns commit_ns;
    struct mem_key *key;
};

struct mem_store {
    char name[PS_STORE_NAME_MAX + 1];
    struct mem_arena *arena; /* the map's; NULL: versions own their bytes */
    struct ps_log_state log;
    struct mem_key *keys;
    struct mem_key **sorted;
    size_t sorted_count;
    size_t sorted_capacity;
    struct mem_key **fresh; /* keys that are not yet in `sorted` */
    size_t fresh_count;
    size_t fresh_capacity;
    bool fresh_in_order;
    size_t dead;            /* keys without a version */
    struct mem_mark *marks; /* of LSN first_lsn ..., from marks_head on */
    size_t marks_head;
    size_t marks_count; /* with the head */
    size_t marks_capacity;
    struct mem_token *tokens;
    struct mem_tomb *tombs;
    size_t tombs_head;
    size_t tombs_count;
    size_t tombs_capacity;
    bool snapshot;
    uint64_t snapshot_lsn_max;
    uint64_t versions;
    uint64_t bytes;
};

/* Bytes that stay where they are until the map is closed. */
struct mem_arena {
    struct mem_block *blocks;
    size_t left; /* of the first */
};

struct mem_block {
    struct mem_block *next;
    char bytes[];
};

enum { BLOCK_SIZE = 60 << 10 };

struct mem_meta {
    UT_hash_handle hh;
    struct ps_buf value;
    size_t size;
    char name[];
};

struct mem_map {
    struct ps_map base;
    bool reading;
    struct mem_arena *arena; /* NULL: slices are valid until the map changes */
    struct mem_store *stores[PS_MAP_STORES_MAX];
    size_t store_count;
    struct mem_meta *meta;
};

static struct mem_map *map_of(struct ps_map *base)
{
    return (struct mem_map *)(void *)base;
}

static struct mem_store *store_of(struct ps_map *base, ps_map_store store)
{
    PS_ASSERT(store < map_of(base)->store_count);
    return map_of(base)->stores[store];
}

/* --- versions --- */

static uint64_t version_bytes(const struct mem_version *version)
{
    return sizeof *version +
           (version->is_far ? (uint64_t)version->value_size + version->metadata_size : 0);
}

static void *arena_take(struct mem_arena *arena, size_t size)
{
    if (size > arena->left) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct mem_block *block = ps_realloc(NULL, sizeof *block + room, 1);
        block->next = arena->blocks;
        arena->blocks = block;
        arena->left = room;
    }
    arena->left -= size;
    return arena->blocks->bytes + arena->left;
}

static void arena_fini(struct mem_arena *arena)
{
    while (arena->blocks != NULL) {
        struct mem_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
}

static void version_fini(const struct mem_store *store, struct mem_version *version)
{
    if (version->is_far && store->arena == NULL) {
        free(version->data.far);
    }
}

static struct mem_version version_of(const struct mem_store *store, const struct ps_entry *entry,
                                     uint64_t lsn, ps_time_ns commit_ns)
{
    struct mem_version version = {
        .lsn = lsn,
        .commit_ns = commit_ns,
        .value_size = (uint32_t)entry->value.size,
        .metadata_size = (uint16_t)entry->metadata.size,
        .flags = (uint8_t)((entry->deleted ? VERSION_DELETED : 0) |
                           (entry->expires_unix_s != 0 ? VERSION_EXPIRES : 0)),
    };
    size_t expires_size = entry->expires_unix_s != 0 ? sizeof entry->expires_unix_s : 0;
    size_t size = expires_size + entry->metadata.size + entry->value.size;
    char *out = version.data.near;
    if (size > VERSION_INLINE || (size > 0 && store->arena != NULL)) {
        version.is_far = true;
        version.data.far =
            store->arena != NULL ? arena_take(store->arena, size) : ps_realloc(NULL, size, 1);
        out = version.data.far;
    }
    memcpy(out, &entry->expires_unix_s, expires_size);
    if (entry->metadata.size != 0) {
        memcpy(out + expires_size, entry->metadata.data, entry->metadata.size);
    }
    if (entry->value.size != 0) {
        memcpy(out + expires_size + entry->metadata.size, entry->value.data, entry->value.size);
    }
    return version;
}

static struct ps_version version_view(const struct mem_version *version)
{
    struct ps_version view = {
        .lsn = version->lsn,
        .commit_ns = version->commit_ns,
        .deleted = (version->flags & VERSION_DELETED) != 0,
    };
    const char *at = version->is_far ? version->data.far : version->data.near;
    if ((version->flags & VERSION_EXPIRES) != 0) {
        memcpy(&view.expires_unix_s, at, sizeof view.expires_unix_s);
        at += sizeof view.expires_unix_s;
    }
    view.metadata = (struct ps_slice){at, version->metadata_size};
    view.value = (struct ps_slice){at + version->metadata_size, version->value_size};
    return view;
}

/* How many of the key's versions have lsn <= lsn_max and commit <= commit_max. Both ascend. */
static size_t versions_within(const struct mem_key *key, uint64_t lsn_max, ps_time_ns commit_max)
{
    size_t low = 0;
    size_t high = key->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key->versions[middle].lsn <= lsn_max && key->versions[middle].commit_ns <= commit_max) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const struct mem_version *version_find(const struct mem_key *key,
                                              const struct ps_bound *bound)
{
    for (size_t n = versions_within(key, bound->lsn_max, bound->commit_max); n > 0; n--) {
        const struct mem_version *version = &key->versions[n - 1];
        if (bound->accept == NULL ||
            bound->accept(bound->context, version->lsn, version->commit_ns)) {
            return version;
        }
    }
    return NULL;
}

/* --- keys --- */

static struct mem_key *key_find(const struct mem_store *store, struct ps_slice bytes)
{
    struct mem_key *key = NULL;
    const char *data = bytes.size == 0 ? "" : bytes.data;
    HASH_FIND(hh, store->keys, data, (unsigned)bytes.size, key);
    return key;
}

static struct mem_key *key_find_or_add(struct mem_store *store, struct ps_slice bytes)
{
    struct mem_key *key = key_find(store, bytes);
    if (key != NULL) {
        return key;
    }
    key = ps_calloc(1, sizeof *key + bytes.size + 1);
    key->size = bytes.size;
    if (bytes.size != 0) {
        memcpy(key->bytes, bytes.data, bytes.size);
    }
    HASH_ADD_KEYPTR(hh, store->keys, key->bytes, (unsigned)key->size, key);
    store->fresh =
        ps_grow(store->fresh, store->fresh_count, &store->fresh_capacity, sizeof *store->fresh);
    store->fresh[store->fresh_count++] = key;
    store->fresh_in_order = false;
    store->dead++;
    store->bytes += sizeof *key + key->size + 2 * sizeof key;
    return key;
}

static struct ps_slice key_slice(const struct mem_key *key)
{
    return (struct ps_slice){key->bytes, key->size};
}

static int compare_keys(const void *a, const void *b)
{
    const struct mem_key *const *left = a;
    const struct mem_key *const *right = b;
    return ps_slice_cmp(key_slice(*left), key_slice(*right));
}

static void merge_fresh(struct mem_store *store)
{
    size_t total = store->sorted_count + store->fresh_count;
    if (total > store->sorted_capacity) {
        store->sorted_capacity = total + total / 2;
        store->sorted = ps_realloc(store->sorted, store->sorted_capacity, sizeof *store->sorted);
    }
    size_t left = store->sorted_count;
    size_t right = store->fresh_count;
    for (size_t out = total; right > 0; out--) {
        bool from_sorted =
            left > 0 && compare_keys(&store->sorted[left - 1], &store->fresh[right - 1]) > 0;
        store->sorted[out - 1] = from_sorted ? store->sorted[--left] : store->fresh[--right];
    }
    store->sorted_count = total;
    store->fresh_count = 0;
}

/* Both arrays in order; few fresh keys stay apart, so that writing and listing in turn is cheap. */
static void order_keys(struct mem_store *store)
{
    if (!store->fresh_in_order && store->fresh_count > 0) {
        qsort(store->fresh, store->fresh_count, sizeof(struct mem_key *), compare_keys);
    }
    store->fresh_in_order = true;
    if (store->fresh_count > 64 + store->sorted_count / 64) {
        merge_fresh(store);
    }
}

static void key_free(struct mem_store *store, struct mem_key *key)
{
    HASH_DEL(store->keys, key); /* NOLINT(clang-analyzer-*): uthash */
    store->bytes -= sizeof *key + key->size + 2 * sizeof key;
    for (size_t i = 0; i < key->count; i++) {
        version_fini(store, &key->versions[i]);
    }
    free(key->versions);
    free(key);
}

static size_t drop_dead(struct mem_store *store, struct mem_key **keys, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (keys[i]->count == 0 && keys[i]->log_refs == 0) {
            key_free(store, keys[i]);
            store->dead--;
        } else {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

static void compact_keys(struct mem_store *store)
{
    if (store->dead > 64 + HASH_COUNT(store->keys) / 2) {
        store->sorted_count = drop_dead(store, store->sorted, store->sorted_count);
        store->fresh_count = drop_dead(store, store->fresh, store->fresh_count);
    }
}

/* False when a version of the same LSN was replaced. */
static bool key_add_version(struct mem_store *store, struct mem_key *key,
                            struct mem_version version)
{
    store->bytes += version_bytes(&version);
    if (key->count > 0 && key->versions[key->count - 1].lsn == version.lsn) {
        struct mem_version *old = &key->versions[key->count - 1];
        store->bytes -= version_bytes(old);
        version_fini(store, old);
        *old = version;
        return false;
    }
    if (key->count == key->capacity) {
        /* Most keys have one version: grow from one, not from sixteen. */
        key->capacity = key->capacity == 0 ? 1 : key->capacity * 2;
        key->versions = ps_realloc(key->versions, key->capacity, sizeof *key->versions);
    }
    if (key->count == 0) {
        store->dead--;
    }
    key->versions[key->count++] = version;
    store->versions++;
    return true;
}

static void key_drop_oldest(struct mem_store *store, struct mem_key *key, size_t count)
{
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        store->bytes -= version_bytes(&key->versions[i]);
        version_fini(store, &key->versions[i]);
    }
    key->count -= count;
    memmove(key->versions, key->versions + count, key->count * sizeof *key->versions);
    store->versions -= count;
    if (key->count == 0) {
        store->dead++;
    }
    if (key->count * 4 < key->capacity) {
        key->capacity = key->count;
        if (key->count == 0) {
            free(key->versions);
            key->versions = NULL;
        } else {
            key->versions = ps_realloc(key->versions, key->count, sizeof *key->versions);
        }
    }
}

/* --- stores --- */

static struct mem_key **mark_keys(struct mem_mark *mark)
{
    return mark->count > 1 ? mark->keys.many : &mark->keys.one;
}

static void mark_fini(struct mem_mark *mark)
{
    for (size_t i = 0; i < mark->count; i++) {
        mark_keys(mark)[i]->log_refs--;
    }
    if (mark->count > 1) {
        free(mark->keys.many);
    }
}

static void store_clear(struct mem_store *store)
{
    for (size_t i = store->marks_head; i < store->marks_count; i++) {
        mark_fini(&store->marks[i]);
    }
    struct mem_token *token = NULL;
    struct mem_token *next_token = NULL;
    HASH_ITER(hh, store->tokens, token, next_token)
    {
        HASH_DEL(store->tokens, token);
        free(token);
    }
    struct mem_key *key = NULL;
    struct mem_key *next_key = NULL;
    HASH_ITER(hh, store->keys, key, next_key)
    {
        key_free(store, key);
    }
    free(store->sorted);
    free(store->fresh);
    free(store->marks);
    free(store->tombs);
    struct mem_store empty = {.log.first_lsn = 1, .arena = store->arena};
    memcpy(empty.name, store->name, sizeof empty.name);
    *store = empty;
}

static void mem_close(struct ps_map *base)
{
    struct mem_map *map = map_of(base);
    for (size_t i = 0; i < map->store_count; i++) {
        store_clear(map->stores[i]);
        free(map->stores[i]);
    }
    struct mem_meta *meta = NULL;
    struct mem_meta *next = NULL;
    HASH_ITER(hh, map->meta, meta, next)
    {
        HASH_DEL(map->meta, meta);
        ps_buf_fini(&meta->value);
        free(meta);
    }
    if (map->arena != NULL) {
        arena_fini(map->arena);
        free(map->arena);
    }
    free(map);
}

static enum ps_status mem_store_open(struct ps_map *base, struct ps_slice name, ps_map_store *ret,
                                     struct ps_error *err)
{
    struct mem_map *map = map_of(base);
    for (size_t i = 0; i < map->store_count; i++) {
        if (ps_slice_eq(ps_slice_of(map->stores[i]->name), name)) {
            *ret = (ps_map_store)i;
            return PS_OK;
        }
    }
    if (map->store_count == PS_MAP_STORES_MAX) {
        return ps_fail(err, PS_LIMIT, "a map has at most %d stores", PS_MAP_STORES_MAX);
    }
    struct mem_store *store = PS_NEW(struct mem_store);
    memcpy(store->name, name.data, name.size);
    store->log.first_lsn = 1;
    store->arena = map->arena;
    *ret = (ps_map_store)map->store_count;
    map->stores[map->store_count++] = store;
    return PS_OK;
}

static enum ps_status mem_log_state(struct ps_map *base, ps_map_store store,
                                    struct ps_log_state *ret)
{
    *ret = store_of(base, store)->log;
    return PS_OK;
}

/* --- apply --- */

static void remember_token(struct mem_store *store, const struct ps_record *record)
{
    if (ps_token_is_zero(&record->token)) {
        return;
    }
    struct mem_token *token = NULL;
    HASH_FIND(hh, store->tokens, &record->token, sizeof record->token, token);
    if (token == NULL) {
        token = PS_NEW(struct mem_token);
        token->token = record->token;
        HASH_ADD(hh, store->tokens, token, sizeof token->token, token);
        store->bytes += sizeof *token;
    }
    token->lsn = record->lsn;
    token->commit_ns = record->commit_ns;
}

static void apply_record(struct mem_store *store, const struct ps_record *record)
{
    struct mem_mark mark = {.commit_ns = record->commit_ns, .token = record->token};
    if (record->entry_count > 1) {
        mark.keys.many = PS_NEW_ARRAY(struct mem_key *, record->entry_count);
    }
    struct mem_key *first = NULL;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        struct mem_key *key = key_find_or_add(store, entry->key);
        if (!key_add_version(store, key,
                             version_of(store, entry, record->lsn, record->commit_ns))) {
            continue;
        }
        key->log_refs++;
        first = mark.count == 0 ? key : first;
        if (record->entry_count > 1) {
            mark.keys.many[mark.count] = key;
        }
        mark.count++;
    }
    if (mark.count <= 1) {
        if (record->entry_count > 1) {
            free(mark.keys.many);
        }
        mark.keys.one = first;
    }
    store->marks =
        ps_grow(store->marks, store->marks_count, &store->marks_capacity, sizeof *store->marks);
    store->marks[store->marks_count++] = mark;
    store->bytes += sizeof mark;
    remember_token(store, record);
}

static enum ps_status mem_apply(struct ps_map *base, const struct ps_append *appends, size_t count,
                                struct ps_error *err)
{
    /* All or nothing: the order of every record is checked before the first is taken. */
    struct ps_log_state next[PS_MAP_STORES_MAX];
    for (size_t i = 0; i < map_of(base)->store_count; i++) {
        next[i] = map_of(base)->stores[i]->log;
    }
    for (size_t i = 0; i < count; i++) {
        const struct mem_store *store = store_of(base, appends[i].store);
        if (store->snapshot) {
            return ps_fail(err, PS_BUSY, "store %s: a snapshot is being taken", store->name);
        }
        enum ps_status status =
            ps_log_state_follow(&next[appends[i].store], appends[i].record, err);
        if (status != PS_OK) {
            return ps_error_wrap(err, "store %s", store->name), status;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct mem_store *store = store_of(base, appends[i].store);
        apply_record(store, appends[i].record);
        store->log = next[appends[i].store];
    }
    return PS_OK;
}

/* --- reads --- */

static enum ps_status mem_read_begin(struct ps_map *base)
{
    PS_ASSERT(!map_of(base)->reading);
    map_of(base)->reading = true;
    return PS_OK;
}

static void mem_read_end(struct ps_map *base)
{
    PS_ASSERT(map_of(base)->reading);
    map_of(base)->reading = false;
}

static enum ps_status mem_get(struct ps_map *base, ps_map_store store, struct ps_slice key,
                              const struct ps_bound *bound, struct ps_version *ret)
{
    PS_ASSERT(map_of(base)->reading);
    const struct mem_key *found = key_find(store_of(base, store), key);
    const struct mem_version *version = found == NULL ? NULL : version_find(found, bound);
    if (version == NULL) {
        return PS_NOT_FOUND;
    }
    *ret = version_view(version);
    return PS_OK;
}

static enum ps_status mem_freshness(struct ps_map *base, ps_map_store store, struct ps_slice key,
                                    uint64_t lsn, ps_time_ns commit_max, struct ps_freshness *ret)
{
    PS_ASSERT(map_of(base)->reading);
    const struct mem_key *found = key_find(store_of(base, store), key);
    size_t all = found == NULL ? 0 : versions_within(found, UINT64_MAX, commit_max);
    if (all == 0) {
        return PS_OK;
    }
    size_t seen = versions_within(found, lsn, commit_max);
    ret->newest_lsn = found->versions[all - 1].lsn;
    ret->behind = all - seen;
    if (seen < all) {
        ret->superseded_ns = found->versions[seen].commit_ns;
    }
    return PS_OK;
}

/* The first of `keys` that is >= from, or > from when `beyond`. */
static size_t lower_bound(struct mem_key *const *keys, size_t count, struct ps_slice from,
                          bool beyond)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ps_slice_cmp(key_slice(keys[middle]), from);
        if (order < 0 || (beyond && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum ps_status mem_list(struct ps_map *base, ps_map_store store_id, struct ps_slice prefix,
                               struct ps_slice after, const struct ps_bound *bound,
                               ps_map_each_fn each, void *context)
{
    PS_ASSERT(map_of(base)->reading);
    struct mem_store *store = store_of(base, store_id);
    order_keys(store);
    bool beyond = after.size != 0 && ps_slice_cmp(after, prefix) >= 0;
    struct ps_slice from = beyond ? after : prefix;
    size_t left = lower_bound(store->sorted, store->sorted_count, from, beyond);
    size_t right = lower_bound(store->fresh, store->fresh_count, from, beyond);
    while (left < store->sorted_count || right < store->fresh_count) {
        bool from_fresh = left == store->sorted_count ||
                          (right < store->fresh_count &&
                           compare_keys(&store->fresh[right], &store->sorted[left]) < 0);
        const struct mem_key *key = from_fresh ? store->fresh[right++] : store->sorted[left++];
        if (!ps_slice_starts(key_slice(key), prefix)) {
            break;
        }
        const struct mem_version *version = version_find(key, bound);
        if (version != NULL) {
            struct ps_version view = version_view(version);
            if (!each(context, key_slice(key), &view)) {
                break;
            }
        }
    }
    return PS_OK;
}

static struct ps_entry entry_of(const struct mem_key *key, uint64_t lsn)
{
    size_t count = versions_within(key, lsn, PS_NEVER);
    if (count == 0 || key->versions[count - 1].lsn != lsn) {
        /* Only a tombstone is forgotten before its record. */
        return (struct ps_entry){.key = key_slice(key), .deleted = true};
    }
    struct ps_version view = version_view(&key->versions[count - 1]);
    return (struct ps_entry){
        .key = key_slice(key),
        .value = view.value,
        .metadata = view.metadata,
        .expires_unix_s = view.expires_unix_s,
        .deleted = view.deleted,
    };
}

static enum ps_status mem_log(struct ps_map *base, ps_map_store store_id, uint64_t from_lsn,
                              bool entries, ps_map_record_fn each, void *context)
{
    PS_ASSERT(map_of(base)->reading);
    struct mem_store *store = store_of(base, store_id);
    uint64_t lsn = from_lsn == 0 ? 1 : from_lsn;
    if (lsn < store->log.first_lsn) {
        return PS_TOO_OLD;
    }
    struct ps_entry *array = NULL;
    size_t capacity = 0;
    bool more = true;
    for (; more && lsn <= store->log.last_lsn; lsn++) {
        struct mem_mark *mark = &store->marks[store->marks_head + (lsn - store->log.first_lsn)];
        struct ps_record record = {.lsn = lsn, .commit_ns = mark->commit_ns, .token = mark->token};
        if (entries) {
            if (mark->count > capacity) {
                capacity = mark->count;
                array = ps_realloc(array, capacity, sizeof *array);
            }
            for (size_t i = 0; i < mark->count; i++) {
                array[i] = entry_of(mark_keys(mark)[i], lsn);
            }
            record.entries = array;
            record.entry_count = mark->count;
        }
        more = each(context, &record);
    }
    free(array);
    return PS_OK;
}

static enum ps_status mem_token(struct ps_map *base, ps_map_store store,
                                const struct ps_token *token, uint64_t *ret_lsn,
                                ps_time_ns *ret_commit_ns)
{
    PS_ASSERT(map_of(base)->reading);
    struct mem_token *found = NULL;
    HASH_FIND(hh, store_of(base, store)->tokens, token, sizeof *token, found);
    if (found == NULL) {
        return PS_NOT_FOUND;
    }
    *ret_lsn = found->lsn;
    *ret_commit_ns = found->commit_ns;
    return PS_OK;
}

/* --- snapshots --- */

static enum ps_status mem_snapshot_begin(struct ps_map *base, ps_map_store store_id,
                                         struct ps_error *err)
{
    (void)err;
    struct mem_store *store = store_of(base, store_id);
    store_clear(store);
    store->snapshot = true;
    return PS_OK;
}

static enum ps_status mem_snapshot_put(struct ps_map *base, ps_map_store store_id,
                                       const struct ps_entry *entry, uint64_t lsn,
                                       ps_time_ns commit_ns, struct ps_error *err)
{
    struct mem_store *store = store_of(base, store_id);
    if (!store->snapshot) {
        return ps_fail(err, PS_INVALID, "store %s: no snapshot was begun", store->name);
    }
    struct mem_key *key = key_find_or_add(store, entry->key);
    /* A part may come twice; a tombstone is noted once. */
    bool again = key->count > 0 && key->versions[0].lsn == lsn &&
                 (key->versions[0].flags & VERSION_DELETED) != 0;
    key_drop_oldest(store, key, key->count);
    key_add_version(store, key, version_of(store, entry, lsn, commit_ns));
    if (entry->deleted && !again) {
        store->tombs =
            ps_grow(store->tombs, store->tombs_count, &store->tombs_capacity, sizeof *store->tombs);
        store->tombs[store->tombs_count++] = (struct mem_tomb){lsn, commit_ns, key};
        key->log_refs++;
    }
    if (lsn > store->snapshot_lsn_max) {
        store->snapshot_lsn_max = lsn;
    }
    return PS_OK;
}

static int compare_tombs(const void *a, const void *b)
{
    const struct mem_tomb *left = a;
    const struct mem_tomb *right = b;
    return left->lsn != right->lsn ? (left->lsn < right->lsn ? -1 : 1)
                                   : ps_slice_cmp(key_slice(left->key), key_slice(right->key));
}

static enum ps_status mem_snapshot_finish(struct ps_map *base, ps_map_store store_id,
                                          uint64_t at_lsn, ps_time_ns at_commit_ns,
                                          struct ps_error *err)
{
    struct mem_store *store = store_of(base, store_id);
    if (!store->snapshot) {
        return ps_fail(err, PS_INVALID, "store %s: no snapshot was begun", store->name);
    }
    if (store->snapshot_lsn_max > at_lsn) {
        return ps_fail(err, PS_INVALID,
                       "store %s: a snapshot at record %" PRIu64 " holds record %" PRIu64,
                       store->name, at_lsn, store->snapshot_lsn_max);
    }
    if (store->tombs_count > 0) {
        qsort(store->tombs, store->tombs_count, sizeof *store->tombs, compare_tombs);
    }
    store->snapshot = false;
    store->log = (struct ps_log_state){at_lsn, at_commit_ns, at_lsn + 1};
    return PS_OK;
}

/* --- forgetting --- */

/* Record `lsn` superseded what is below it; and a tombstone with nothing below it says no more than
 * absence does. */
static void forget_below(struct mem_store *store, struct mem_key *key, uint64_t lsn)
{
    key_drop_oldest(store, key, versions_within(key, lsn - 1, PS_NEVER));
    if (key->count > 0 && key->versions[0].lsn == lsn &&
        (key->versions[0].flags & VERSION_DELETED) != 0) {
        key_drop_oldest(store, key, 1);
    }
}

static void forget_token(struct mem_store *store, const struct ps_token *token, uint64_t lsn)
{
    struct mem_token *found = NULL;
    HASH_FIND(hh, store->tokens, token, sizeof *token, found);
    if (found != NULL && found->lsn == lsn) {
        HASH_DEL(store->tokens, found);
        free(found);
        store->bytes -= sizeof *found;
    }
}

static size_t forget_tombs(struct mem_store *store, ps_time_ns horizon_ns, size_t budget)
{
    size_t done = 0;
    while (done < budget && store->tombs_head < store->tombs_count &&
           store->tombs[store->tombs_head].commit_ns <= horizon_ns) {
        struct mem_tomb *tomb = &store->tombs[store->tombs_head++];
        tomb->key->log_refs--;
        forget_below(store, tomb->key, tomb->lsn);
        done++;
    }
    return done;
}

static enum ps_status mem_forget(struct ps_map *base, ps_map_store store_id, ps_time_ns horizon_ns,
                                 size_t budget, bool *ret_more, struct ps_error *err)
{
    (void)err;
    struct mem_store *store = store_of(base, store_id);
    *ret_more = false;
    if (store->snapshot) {
        return PS_OK;
    }
    size_t done = forget_tombs(store, horizon_ns, budget);
    *ret_more = store->tombs_head < store->tombs_count &&
                store->tombs[store->tombs_head].commit_ns <= horizon_ns;
    while (store->marks_head < store->marks_count &&
           store->marks[store->marks_head].commit_ns <= horizon_ns) {
        if (done >= budget) {
            *ret_more = true;
            break;
        }
        struct mem_mark *mark = &store->marks[store->marks_head];
        uint64_t lsn = store->log.first_lsn;
        for (size_t i = 0; i < mark->count; i++) {
            forget_below(store, mark_keys(mark)[i], lsn);
        }
        done += mark->count == 0 ? 1 : mark->count;
        if (mark->commit_ns == horizon_ns) {
            break; /* the record itself stays in the log */
        }
        forget_token(store, &mark->token, lsn);
        mark_fini(mark);
        store->bytes -= sizeof *mark;
        store->marks_head++;
        store->log.first_lsn++;
    }
    if (store->marks_head > 64 && store->marks_head > store->marks_count / 2) {
        store->marks_count -= store->marks_head;
        memmove(store->marks, store->marks + store->marks_head,
                store->marks_count * sizeof *store->marks);
        store->marks_head = 0;
    }
    compact_keys(store);
    return PS_OK;
}

/* --- meta, stats --- */

static struct mem_meta *meta_find(struct mem_map *map, struct ps_slice name)
{
    struct mem_meta *meta = NULL;
    HASH_FIND(hh, map->meta, name.data, (unsigned)name.size, meta);
    return meta;
}

static enum ps_status mem_meta_get(struct ps_map *base, struct ps_slice name, struct ps_buf *ret)
{
    const struct mem_meta *meta = meta_find(map_of(base), name);
    if (meta == NULL) {
        return PS_NOT_FOUND;
    }
    ps_buf_append_slice(ret, ps_buf_slice(&meta->value));
    return PS_OK;
}

static enum ps_status mem_meta_put(struct ps_map *base, struct ps_slice name, struct ps_slice value,
                                   struct ps_error *err)
{
    (void)err;
    struct mem_map *map = map_of(base);
    struct mem_meta *meta = meta_find(map, name);
    if (meta == NULL) {
        meta = ps_calloc(1, sizeof *meta + name.size);
        meta->size = name.size;
        memcpy(meta->name, name.data, name.size);
        HASH_ADD_KEYPTR(hh, map->meta, meta->name, (unsigned)meta->size, meta);
    }
    meta->value.size = 0;
    ps_buf_append_slice(&meta->value, value);
    return PS_OK;
}

static enum ps_status mem_stats(struct ps_map *base, struct ps_map_stats *ret)
{
    *ret = (struct ps_map_stats){.bytes = sizeof(struct mem_map)};
    for (size_t i = 0; i < map_of(base)->store_count; i++) {
        const struct mem_store *store = map_of(base)->stores[i];
        ret->bytes += sizeof *store + store->bytes;
        ret->keys += HASH_COUNT(store->keys) - store->dead;
        ret->versions += store->versions;
        ret->log_records += store->log.last_lsn + 1 - store->log.first_lsn;
    }
    return PS_OK;
}

static enum ps_status mem_make_sync(struct ps_map *base, struct ps_error *err)
{
    (void)base;
    (void)err;
    return PS_OK;
}

static const struct ps_map_ops MEMORY_OPS = {
    .close = mem_close,
    .store_open = mem_store_open,
    .log_state = mem_log_state,
    .apply = mem_apply,
    .read_begin = mem_read_begin,
    .read_end = mem_read_end,
    .get = mem_get,
    .freshness = mem_freshness,
    .list = mem_list,
    .log = mem_log,
    .token = mem_token,
    .snapshot_begin = mem_snapshot_begin,
    .snapshot_put = mem_snapshot_put,
    .snapshot_finish = mem_snapshot_finish,
    .forget = mem_forget,
    .meta_get = mem_meta_get,
    .meta_put = mem_meta_put,
    .make_sync = mem_make_sync,
    .stats = mem_stats,
};

static struct ps_map *create(bool stable)
{
    struct mem_map *map = PS_NEW(struct mem_map);
    map->base.ops = &MEMORY_OPS;
    map->arena = stable ? PS_NEW(struct mem_arena) : NULL;
    return &map->base;
}

struct ps_map *ps_map_create_memory(void)
{
    return create(false);
}

struct ps_map *ps_map_create_memory_stable(void)
{
    return create(true);
}
