/* Reading what is settled: LMDB's rows. map_lmdb_recent.c has the reads over these and what is
 * recent. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

static struct ps_lmdb_map *map_of(struct ps_map *base)
{
    return (struct ps_lmdb_map *)(void *)base;
}

/* The thread's read transaction; a failure of an earlier call in the same read does not stick to
 * it.
 */
static struct ps_lmdb_txn *reader_of(struct ps_lmdb_map *map)
{
    struct ps_lmdb_txn *txn = ps_lmdb_reader(map);
    txn->rc = 0;
    txn->status = PS_OK;
    return txn;
}

/* A version with its place among its key's. */
struct row_at {
    struct ps_version version;
    uint64_t seq;
};

/* Read the row that a seek of the version table gave, if it is one of key `id`. */
static bool version_row(struct ps_lmdb_txn *txn, bool found, MDB_val key, MDB_val value,
                        uint64_t id, struct row_at *ret)
{
    if (!found || key.mv_size != PS_LMDB_VERSION_KEY_SIZE || ps_get_be64(key.mv_data) != id) {
        return false;
    }
    enum ps_status status = ps_version_row_read(key, value, &ret->version, &ret->seq);
    if (status != PS_OK) {
        ps_lmdb_fail_status(txn, status);
    }
    return status == PS_OK;
}

/* The key's newest version with an LSN of at most `lsn_max`. */
static bool version_at(struct ps_lmdb_txn *txn, uint64_t id, uint64_t lsn_max, struct row_at *ret)
{
    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    ps_version_key(bytes, id, lsn_max);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    bool found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET_RANGE, &key, &value);
    return version_row(txn, found, key, value, id, ret);
}

/* The next older one than where the cursor is. */
static bool version_older(struct ps_lmdb_txn *txn, uint64_t id, struct row_at *ret)
{
    MDB_val key;
    MDB_val value;
    bool found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_NEXT, &key, &value);
    return version_row(txn, found, key, value, id, ret);
}

static bool version_newer(struct ps_lmdb_txn *txn, uint64_t id, struct row_at *ret)
{
    MDB_val key;
    MDB_val value;
    bool found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_PREV, &key, &value);
    return version_row(txn, found, key, value, id, ret);
}

static bool version_oldest(struct ps_lmdb_txn *txn, uint64_t id, struct row_at *ret)
{
    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    ps_version_key(bytes, id + 1, UINT64_MAX);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    bool found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET_RANGE, &key, &value);
    found = ps_lmdb_seek(txn, PS_LMDB_VERSION, found ? MDB_PREV : MDB_LAST, &key, &value);
    return version_row(txn, found, key, value, id, ret);
}

/* The key's newest version below `lsn_high` that was committed at or before `commit_max`. Commit
 * times ascend with LSNs, so it is found by bisection over LSNs: first strides of doubling length
 * back from lsn_high, then halves. A key with a million versions takes some forty steps. */
static bool version_before(struct ps_lmdb_txn *txn, uint64_t id, uint64_t lsn_high,
                           ps_time_ns commit_max, struct row_at *ret)
{
    uint64_t high = lsn_high; /* this one is too new */
    uint64_t low = 0;         /* no version in (low, the one found] is wanted */
    uint64_t stride = 8;
    bool any = false;
    struct row_at at;
    while (low + 1 < high) {
        uint64_t middle = low == 0 && stride < high ? high - stride : low + (high - low) / 2;
        stride = stride > UINT64_MAX / 4 ? stride : stride * 2;
        if (!version_at(txn, id, middle, &at)) {
            low = middle;
        } else if (at.version.commit_ns <= commit_max) {
            low = middle;
            *ret = at;
            any = true;
        } else {
            high = at.version.lsn;
        }
    }
    /* The cursor goes where the answer is: callers step on from it. */
    return any && version_at(txn, id, ret->version.lsn, ret);
}

static bool version_find(struct ps_lmdb_txn *txn, uint64_t id, const struct ps_bound *bound,
                         struct row_at *ret)
{
    enum { NEAR = 3 };

    bool found = version_at(txn, id, bound->lsn_max, ret);
    for (int i = 0; found && i < NEAR && ret->version.commit_ns > bound->commit_max; i++) {
        found = version_older(txn, id, ret);
    }
    if (found && ret->version.commit_ns > bound->commit_max) {
        found = version_before(txn, id, ret->version.lsn, bound->commit_max, ret);
    }
    while (found && bound->accept != NULL &&
           !bound->accept(bound->context, ret->version.lsn, ret->version.commit_ns)) {
        found = version_older(txn, id, ret);
    }
    return found;
}

bool ps_lmdb_settled_newest(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                            struct ps_version *ret)
{
    uint64_t id;
    struct row_at at;
    bool found = ps_key_find(txn, store, key, &id) && version_at(txn, id, UINT64_MAX, &at);
    if (found) {
        *ret = at.version;
    }
    return found;
}

enum ps_status ps_lmdb_settled_get(struct ps_lmdb_map *map, ps_map_store store, struct ps_slice key,
                                   const struct ps_bound *bound, struct ps_version *ret)
{
    struct ps_lmdb_txn *txn = reader_of(map);
    uint64_t id;
    struct row_at at;
    if (!ps_key_find(txn, store, key, &id) || !version_find(txn, id, bound, &at)) {
        return ps_lmdb_failed(txn) ? txn->status : PS_NOT_FOUND;
    }
    *ret = at.version;
    return PS_OK;
}

enum ps_status ps_lmdb_settled_freshness(struct ps_lmdb_map *map, ps_map_store store,
                                         struct ps_slice key, uint64_t lsn, ps_time_ns commit_max,
                                         struct ps_freshness *ret)
{
    struct ps_lmdb_txn *txn = reader_of(map);
    const struct ps_bound bound = {.lsn_max = UINT64_MAX, .commit_max = commit_max};
    uint64_t id;
    struct row_at newest;
    if (!ps_key_find(txn, store, key, &id) || !version_find(txn, id, &bound, &newest)) {
        return txn->status;
    }
    ret->newest_lsn = newest.version.lsn;
    if (lsn >= newest.version.lsn) {
        return txn->status;
    }
    struct row_at seen;
    struct row_at next;
    if (version_at(txn, id, lsn, &seen)) {
        ret->behind = newest.seq - seen.seq;
        if (version_newer(txn, id, &next)) {
            ret->superseded_ns = next.version.commit_ns;
        }
    } else if (version_oldest(txn, id, &next)) {
        ret->behind = newest.seq - next.seq + 1;
        ret->superseded_ns = next.version.commit_ns;
    }
    return txn->status;
}

enum ps_status ps_lmdb_settled_list(struct ps_lmdb_map *map, ps_map_store store,
                                    struct ps_slice prefix, struct ps_slice after,
                                    const struct ps_bound *bound, ps_map_each_fn each,
                                    void *context)
{
    struct ps_lmdb_txn *txn = reader_of(map);
    bool beyond = after.size != 0 && ps_slice_cmp(after, prefix) >= 0;
    struct ps_key_walk walk;
    struct row_at at;
    bool more = ps_key_walk_start(&walk, txn, store, beyond ? after : prefix);
    for (; more; more = more && ps_key_walk_next(&walk)) {
        struct ps_slice key = {walk.key, walk.key_size};
        if (beyond && ps_slice_eq(key, after)) {
            continue;
        }
        if (!ps_slice_starts(key, prefix)) {
            break;
        }
        if (version_find(txn, walk.id, bound, &at)) {
            more = each(context, key, &at.version);
        }
    }
    return txn->status;
}

/* A record's entries from its versions. */
static void read_entries(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_log_row *row,
                         struct ps_entry *entries)
{
    for (size_t i = 0; i < row->key_count && !ps_lmdb_failed(txn); i++) {
        struct ps_slice key = ps_log_row_next(row);
        uint64_t id;
        struct row_at at;
        if (row->keys.bad) {
            ps_lmdb_fail_status(txn, PS_CORRUPT);
        } else if (ps_key_find(txn, store, key, &id) && version_at(txn, id, row->lsn, &at) &&
                   at.version.lsn == row->lsn) {
            entries[i] = (struct ps_entry){
                .key = key,
                .value = at.version.value,
                .metadata = at.version.metadata,
                .expires_unix_s = at.version.expires_unix_s,
                .deleted = at.version.deleted,
            };
        } else {
            /* Only a tombstone is forgotten before its record. */
            entries[i] = (struct ps_entry){.key = key, .deleted = true};
        }
    }
}

enum ps_status ps_lmdb_settled_log(struct ps_lmdb_map *map, ps_map_store store, uint64_t from_lsn,
                                   bool entries, ps_map_record_fn each, void *context)
{
    struct ps_lmdb_txn *txn = reader_of(map);
    bool incomplete;
    struct ps_log_state state = ps_store_state_read(txn, store, &incomplete);
    uint64_t lsn = from_lsn == 0 ? 1 : from_lsn;
    if (ps_lmdb_failed(txn) || lsn < state.first_lsn) {
        return ps_lmdb_failed(txn) ? txn->status : PS_TOO_OLD;
    }
    unsigned char bytes[PS_LMDB_LOG_KEY_SIZE];
    ps_log_key(bytes, store, lsn);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    MDB_cursor_op op = MDB_SET_RANGE;
    struct ps_entry *array = NULL;
    size_t capacity = 0;
    bool more = true;
    for (; more && lsn <= state.last_lsn; lsn++, op = MDB_NEXT) {
        struct ps_log_row row;
        if (!ps_lmdb_seek(txn, PS_LMDB_LOG, op, &key, &value) ||
            ps_log_row_read(key, value, &row) != PS_OK || row.lsn != lsn) {
            ps_lmdb_fail_status(txn, PS_CORRUPT);
            break;
        }
        struct ps_record record = {.lsn = lsn, .commit_ns = row.commit_ns, .token = row.token};
        if (entries) {
            if (row.key_count > capacity) {
                capacity = (size_t)row.key_count;
                array = ps_realloc(array, capacity, sizeof *array);
            }
            read_entries(txn, store, &row, array);
            record.entries = array;
            record.entry_count = (size_t)row.key_count;
        }
        more = !ps_lmdb_failed(txn) && each(context, &record);
    }
    free(array);
    return txn->status;
}

enum ps_status ps_lmdb_settled_token(struct ps_lmdb_map *map, ps_map_store store,
                                     const struct ps_token *token, uint64_t *ret_lsn,
                                     ps_time_ns *ret_commit_ns)
{
    struct ps_lmdb_txn *txn = reader_of(map);
    unsigned char bytes[2 + PS_TOKEN_SIZE];
    ps_put_be16(bytes, (uint16_t)store);
    memcpy(bytes + 2, token->bytes, PS_TOKEN_SIZE);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    if (!ps_lmdb_seek(txn, PS_LMDB_TOKEN, MDB_SET, &key, &value)) {
        return ps_lmdb_failed(txn) ? txn->status : PS_NOT_FOUND;
    }
    struct ps_row row = ps_row_of(value);
    uint64_t lsn = ps_row_u64(&row);
    ps_time_ns commit_ns = ps_row_u64(&row);
    if (row.bad) {
        return PS_CORRUPT;
    }
    *ret_lsn = lsn;
    *ret_commit_ns = commit_ns;
    return PS_OK;
}

enum ps_status ps_lmdb_log_state(struct ps_map *base, ps_map_store store, struct ps_log_state *ret)
{
    struct ps_lmdb_map *map = map_of(base);
    pthread_mutex_lock(&map->mutex);
    PS_ASSERT(store < map->store_count);
    *ret = map->stores[store].log;
    pthread_mutex_unlock(&map->mutex);
    return PS_OK;
}

struct meta_get {
    struct ps_slice name;
    struct ps_buf *ret;
    bool found;
};

static void meta_get_work(struct ps_lmdb_txn *txn, void *context)
{
    struct meta_get *get = context;
    unsigned char bytes[1 + PS_MAP_META_NAME_MAX] = {'u'};
    memcpy(bytes + 1, get->name.data, get->name.size);
    MDB_val key = ps_lmdb_val(bytes, 1 + get->name.size);
    MDB_val value;
    get->found = ps_lmdb_seek(txn, PS_LMDB_META, MDB_SET, &key, &value);
    if (get->found) {
        ps_buf_append_slice(get->ret, ps_lmdb_slice(value));
    }
}

enum ps_status ps_lmdb_meta_get(struct ps_map *base, struct ps_slice name, struct ps_buf *ret)
{
    struct meta_get get = {.name = name, .ret = ret};
    enum ps_status status = ps_lmdb_read(map_of(base), meta_get_work, &get);
    return status == PS_OK && !get.found ? PS_NOT_FOUND : status;
}

void ps_lmdb_settled_stats(struct ps_lmdb_txn *txn, struct ps_map_stats *stats)
{
    for (size_t i = 0; i < PS_LMDB_TABLES && !ps_lmdb_failed(txn); i++) {
        MDB_stat stat;
        int rc = mdb_stat(txn->txn, txn->map->tables[i], &stat);
        if (rc != 0) {
            ps_lmdb_fail(txn, rc);
            break;
        }
        stats->bytes += (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
                        (uint64_t)stat.ms_psize;
        stats->keys += i == PS_LMDB_KEY ? stat.ms_entries : 0;
        stats->versions += i == PS_LMDB_VERSION ? stat.ms_entries : 0;
    }
    stats->keys -= ps_key_inner_rows(txn);
}
