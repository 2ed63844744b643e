/* Writing to the LMDB end: stores, apply, forget, meta. One thread. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"

#include <inttypes.h>
#include <string.h>

enum { STORE_INCOMPLETE = 1, STORE_KEY_SIZE = 3 };

static struct ps_lmdb_map *map_of(struct ps_map *base)
{
    return (struct ps_lmdb_map *)(void *)base;
}

void ps_lmdb_publish(struct ps_lmdb_map *map)
{
    pthread_mutex_lock(&map->mutex);
    for (size_t i = 0; i < map->store_count; i++) {
        map->stores[i].log = map->stores[i].next;
    }
    pthread_mutex_unlock(&map->mutex);
}

static void start_next(struct ps_lmdb_map *map)
{
    for (size_t i = 0; i < map->store_count; i++) {
        map->stores[i].next = map->stores[i].log;
    }
}

/* --- stores --- */

void ps_store_row_put(struct ps_lmdb_txn *txn, ps_map_store store, bool incomplete,
                      uint64_t base_lsn, ps_time_ns base_commit_ns)
{
    unsigned char key[STORE_KEY_SIZE] = {'s'};
    ps_put_be16(key + 1, (uint16_t)store);
    struct ps_buf row = {0};
    ps_row_put_u8(&row, incomplete ? STORE_INCOMPLETE : 0);
    ps_row_put_u64(&row, base_lsn);
    ps_row_put_u64(&row, base_commit_ns);
    ps_buf_append_text(&row, txn->map->stores[store].name);
    MDB_val value = ps_lmdb_val(row.data, row.size);
    ps_lmdb_put(txn, PS_LMDB_META, ps_lmdb_val(key, sizeof key), &value, 0);
    ps_buf_fini(&row);
}

/* The first row of the store's log at or behind `lsn`; or, for `last`, its last row. */
static bool log_row(struct ps_lmdb_txn *txn, unsigned store, bool last, struct ps_log_row *ret)
{
    unsigned char bytes[PS_LMDB_LOG_KEY_SIZE];
    ps_log_key(bytes, last ? store + 1 : store, 0);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    bool found = ps_lmdb_seek(txn, PS_LMDB_LOG, MDB_SET_RANGE, &key, &value);
    if (last) {
        found = ps_lmdb_seek(txn, PS_LMDB_LOG, found ? MDB_PREV : MDB_LAST, &key, &value);
    }
    if (!found || ps_get_be16(key.mv_data) != store) {
        return false;
    }
    enum ps_status status = ps_log_row_read(key, value, ret);
    if (status != PS_OK) {
        ps_lmdb_fail_status(txn, status);
    }
    return status == PS_OK;
}

struct ps_log_state ps_store_state_read(struct ps_lmdb_txn *txn, ps_map_store store,
                                        bool *ret_incomplete)
{
    struct ps_log_state state = {.first_lsn = 1};
    unsigned char bytes[STORE_KEY_SIZE] = {'s'};
    ps_put_be16(bytes + 1, (uint16_t)store);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    *ret_incomplete = false;
    if (ps_lmdb_seek(txn, PS_LMDB_META, MDB_SET, &key, &value)) {
        struct ps_row row = ps_row_of(value);
        *ret_incomplete = (ps_row_u8(&row) & STORE_INCOMPLETE) != 0;
        state.last_lsn = ps_row_u64(&row);
        state.last_commit_ns = ps_row_u64(&row);
        state.first_lsn = state.last_lsn + 1;
    }
    struct ps_log_row first;
    struct ps_log_row last;
    if (log_row(txn, store, false, &first) && log_row(txn, store, true, &last)) {
        state = (struct ps_log_state){last.lsn, last.commit_ns, first.lsn};
    }
    return state;
}

void ps_lmdb_load_stores(struct ps_lmdb_txn *txn, void *unused)
{
    (void)unused;
    struct ps_lmdb_map *map = txn->map;
    map->store_count = 0;
    for (; map->store_count < PS_MAP_STORES_MAX && !ps_lmdb_failed(txn); map->store_count++) {
        unsigned char bytes[STORE_KEY_SIZE] = {'s'};
        ps_put_be16(bytes + 1, (uint16_t)map->store_count);
        MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
        MDB_val value;
        if (!ps_lmdb_seek(txn, PS_LMDB_META, MDB_SET, &key, &value)) {
            break;
        }
        struct ps_lmdb_store *store = &map->stores[map->store_count];
        struct ps_row row = ps_row_of(value);
        ps_row_bytes(&row, 1 + 8 + 8);
        if (row.bad || row.left == 0 || row.left > PS_STORE_NAME_MAX) {
            ps_lmdb_fail_status(txn, PS_CORRUPT);
            break;
        }
        memset(store, 0, sizeof *store);
        memcpy(store->name, row.at, row.left);
        bool incomplete;
        store->log = ps_store_state_read(txn, (ps_map_store)map->store_count, &incomplete);
        store->next = store->log;
    }
}

static void store_open_work(struct ps_lmdb_txn *txn, void *context)
{
    const ps_map_store *store = context;
    ps_store_row_put(txn, *store, false, 0, 0);
}

enum ps_status ps_lmdb_store_open(struct ps_map *base, struct ps_slice name, ps_map_store *ret,
                                  struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    for (size_t i = 0; i < map->store_count; i++) {
        if (ps_slice_eq(ps_slice_of(map->stores[i].name), name)) {
            *ret = (ps_map_store)i;
            return PS_OK;
        }
    }
    if (map->store_count == PS_MAP_STORES_MAX) {
        return ps_fail(err, PS_LIMIT, "a map has at most %d stores", PS_MAP_STORES_MAX);
    }
    ps_map_store id = (ps_map_store)map->store_count;
    struct ps_lmdb_store *store = &map->stores[id];
    *store = (struct ps_lmdb_store){.log.first_lsn = 1, .next.first_lsn = 1};
    memcpy(store->name, name.data, name.size);
    struct ps_buf *entry = ps_lmdb_entry(map);
    if (entry != NULL) {
        ps_buf_append_slice(entry, name);
    }
    enum ps_status status = ps_lmdb_write(map, PS_JOURNAL_STORE, store_open_work, &id, err);
    if (status != PS_OK) {
        return status;
    }
    pthread_mutex_lock(&map->mutex);
    map->store_count++;
    pthread_mutex_unlock(&map->mutex);
    *ret = id;
    return PS_OK;
}

/* --- versions --- */

/* The seq of the key's newest version, and whether that is version `lsn` itself; 0 if it has none.
 */
static uint64_t newest_seq(struct ps_lmdb_txn *txn, uint64_t id, uint64_t lsn, bool *ret_same)
{
    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    ps_version_key(bytes, id, UINT64_MAX);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    struct ps_version version;
    uint64_t seq = 0;
    *ret_same = false;
    if (ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET_RANGE, &key, &value) &&
        ps_get_be64(key.mv_data) == id) {
        enum ps_status status = ps_version_row_read(key, value, &version, &seq);
        if (status != PS_OK) {
            ps_lmdb_fail_status(txn, status);
        }
        *ret_same = version.lsn == lsn;
    }
    return seq;
}

bool ps_version_add(struct ps_lmdb_txn *txn, ps_map_store store, const struct ps_entry *entry,
                    uint64_t lsn, ps_time_ns commit_ns, uint64_t *ret_id)
{
    bool is_new;
    bool same = false;
    uint64_t id = ps_key_find_or_add(txn, store, entry->key, &is_new);
    uint64_t seq = is_new ? 0 : newest_seq(txn, id, lsn, &same);
    struct ps_buf *head = &txn->map->scratch;
    size_t mark = head->size;
    ps_version_row_head(head, same ? seq : seq + 1, commit_ns, entry);
    size_t head_size = head->size - mark;

    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    ps_version_key(bytes, id, lsn);
    MDB_val value = {.mv_size = head_size + entry->value.size};
    /* A new key's id is the highest: its rows come behind all others and pack full pages. */
    if (ps_lmdb_put(txn, PS_LMDB_VERSION, ps_lmdb_val(bytes, sizeof bytes), &value,
                    MDB_RESERVE | (is_new ? MDB_APPEND : 0U))) {
        char *out = value.mv_data;
        memcpy(out, head->data + mark, head_size);
        if (entry->value.size != 0) {
            memcpy(out + head_size, entry->value.data, entry->value.size);
        }
    }
    head->size = mark;
    *ret_id = id;
    return !same;
}

bool ps_versions_delete_below(struct ps_lmdb_txn *txn, uint64_t id, uint64_t lsn)
{
    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    MDB_val key;
    MDB_val value;
    if (lsn > 0) {
        ps_version_key(bytes, id, lsn - 1);
        key = ps_lmdb_val(bytes, sizeof bytes);
        bool found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET_RANGE, &key, &value);
        while (found && ps_get_be64(key.mv_data) == id) {
            ps_lmdb_delete(txn, PS_LMDB_VERSION);
            found = ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_NEXT, &key, &value);
        }
    }
    ps_version_key(bytes, id, UINT64_MAX);
    key = ps_lmdb_val(bytes, sizeof bytes);
    return ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET_RANGE, &key, &value) &&
           ps_get_be64(key.mv_data) == id;
}

/* --- apply --- */

static MDB_val token_key(unsigned char bytes[2 + PS_TOKEN_SIZE], ps_map_store store,
                         const struct ps_token *token)
{
    ps_put_be16(bytes, (uint16_t)store);
    memcpy(bytes + 2, token->bytes, PS_TOKEN_SIZE);
    return ps_lmdb_val(bytes, 2 + PS_TOKEN_SIZE);
}

static void put_token(struct ps_lmdb_txn *txn, ps_map_store store, const struct ps_record *record)
{
    if (ps_token_is_zero(&record->token)) {
        return;
    }
    unsigned char bytes[2 + PS_TOKEN_SIZE];
    struct ps_buf row = {0};
    ps_row_put_u64(&row, record->lsn);
    ps_row_put_u64(&row, record->commit_ns);
    MDB_val value = ps_lmdb_val(row.data, row.size);
    ps_lmdb_put(txn, PS_LMDB_TOKEN, token_key(bytes, store, &record->token), &value, 0);
    ps_buf_fini(&row);
}

static void apply_record(struct ps_lmdb_txn *txn, ps_map_store store,
                         const struct ps_record *record)
{
    /* The keys are collected behind each other; their count, which is known last, goes before them.
     */
    struct ps_buf keys = {0};
    size_t key_count = 0;
    for (size_t i = 0; i < record->entry_count && !ps_lmdb_failed(txn); i++) {
        uint64_t id;
        if (ps_version_add(txn, store, &record->entries[i], record->lsn, record->commit_ns, &id)) {
            ps_log_row_key(&keys, record->entries[i].key);
            key_count++;
        }
    }
    struct ps_buf row = {0};
    ps_log_row_head(&row, record->commit_ns, &record->token, key_count);
    ps_buf_append_slice(&row, ps_buf_slice(&keys));
    unsigned char bytes[PS_LMDB_LOG_KEY_SIZE];
    ps_log_key(bytes, store, record->lsn);
    MDB_val value = ps_lmdb_val(row.data, row.size);
    ps_lmdb_put(txn, PS_LMDB_LOG, ps_lmdb_val(bytes, sizeof bytes), &value, 0);
    ps_buf_fini(&row);
    ps_buf_fini(&keys);
    put_token(txn, store, record);
}

struct settle {
    struct ps_lmdb_txn *txn;
    ps_map_store store;
};

static bool settle_record(void *context, const struct ps_record *record)
{
    const struct settle *settle = context;
    apply_record(settle->txn, settle->store, record);
    return !ps_lmdb_failed(settle->txn);
}

void ps_lmdb_settle_work(struct ps_lmdb_txn *txn, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < txn->map->store_count && !ps_lmdb_failed(txn); i++) {
        struct settle settle = {txn, (ps_map_store)i};
        ps_lmdb_recent_each(txn->map, (ps_map_store)i, settle_record, &settle);
    }
    ps_key_inner_rows_save(txn);
}

/* Do the records follow? If so stores[].next is where they lead to. */
static enum ps_status follow(struct ps_lmdb_map *map, const struct ps_append *appends, size_t count,
                             struct ps_error *err)
{
    start_next(map);
    for (size_t i = 0; i < count; i++) {
        PS_ASSERT(appends[i].store < map->store_count);
        struct ps_lmdb_store *store = &map->stores[appends[i].store];
        if (store->snapshot != NULL) {
            return ps_fail(err, PS_BUSY, "store %s: a snapshot is being taken", store->name);
        }
        enum ps_status status = ps_log_state_follow(&store->next, appends[i].record, err);
        if (status != PS_OK) {
            ps_error_wrap(err, "store %s", store->name);
            return status;
        }
    }
    return PS_OK;
}

/* With `writing` held. A full generation is settled before more comes: should that fail, nothing
 * has been promised yet. */
static void apply(struct ps_lmdb_map *map, const struct ps_append *appends, size_t count,
                  struct ps_lmdb_txn *txn)
{
    *txn = (struct ps_lmdb_txn){.map = map};
    int rc = ps_lmdb_checkpoint_wait(map);
    if (rc == 0 && map->recent->cost >= map->recent_max) {
        ps_lmdb_settle(map, txn);
    }
    if (rc == 0 && txn->status == PS_OK && map->opened) {
        enum ps_status status = ps_lmdb_entry_apply(map, appends, count);
        if (status != PS_OK) {
            ps_lmdb_fail_status(txn, status);
        } else {
            rc = ps_lmdb_write_records(map);
        }
    }
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
    }
    if (txn->status == PS_OK) {
        ps_lmdb_recent_add(map, appends, count);
        ps_lmdb_publish(map);
        ps_lmdb_checkpoint_note(map, 0);
    }
}

enum ps_status ps_lmdb_apply(struct ps_map *base, const struct ps_append *appends, size_t count,
                             struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    enum ps_status status = follow(map, appends, count, err);
    if (status != PS_OK) {
        return status;
    }
    struct ps_lmdb_txn txn;
    pthread_mutex_lock(&map->writing);
    apply(map, appends, count, &txn);
    pthread_mutex_unlock(&map->writing);
    /* Pages that only a checkpoint's pin holds may be had instead of new ones. */
    if (txn.status == PS_FULL && map->opened && ps_lmdb_checkpoint(map, NULL) == PS_OK) {
        pthread_mutex_lock(&map->writing);
        apply(map, appends, count, &txn);
        pthread_mutex_unlock(&map->writing);
    }
    return txn.status == PS_OK ? PS_OK : ps_lmdb_fail_at(map, &txn, err);
}

/* --- forget --- */

struct forget {
    ps_map_store store;
    ps_time_ns horizon_ns;
    size_t budget;
    size_t done;
    bool more;
    struct ps_log_state state;
};

/* Record `lsn` superseded what is below it; and a tombstone with nothing below it says no more than
 * absence does. */
static void forget_below(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                         uint64_t lsn)
{
    uint64_t id;
    if (!ps_key_find(txn, store, key, &id)) {
        return;
    }
    bool left = ps_versions_delete_below(txn, id, lsn);
    unsigned char bytes[PS_LMDB_VERSION_KEY_SIZE];
    ps_version_key(bytes, id, lsn);
    MDB_val row_key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    struct ps_version version;
    uint64_t seq;
    if (ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_SET, &row_key, &value)) {
        if (ps_version_row_read(ps_lmdb_val(bytes, sizeof bytes), value, &version, &seq) != PS_OK) {
            ps_lmdb_fail_status(txn, PS_CORRUPT);
        } else if (version.deleted) {
            ps_lmdb_delete(txn, PS_LMDB_VERSION);
            left = ps_versions_delete_below(txn, id, 0);
        }
    }
    if (!left && !ps_lmdb_failed(txn)) {
        ps_key_remove(txn, store, key);
    }
}

static void forget_token(struct ps_lmdb_txn *txn, ps_map_store store, const struct ps_token *token,
                         uint64_t lsn)
{
    unsigned char bytes[2 + PS_TOKEN_SIZE];
    MDB_val key = token_key(bytes, store, token);
    MDB_val value;
    if (ps_token_is_zero(token) || !ps_lmdb_seek(txn, PS_LMDB_TOKEN, MDB_SET, &key, &value)) {
        return;
    }
    struct ps_row row = ps_row_of(value);
    if (ps_row_u64(&row) == lsn) {
        ps_lmdb_delete(txn, PS_LMDB_TOKEN);
    }
}

/* Forget by the log's rows of `number` (the store's, or its tombstones from a snapshot). The row is
 * read into memory first: deleting moves what it points at. */
static void forget_rows(struct ps_lmdb_txn *txn, struct forget *forget, unsigned number)
{
    bool tombs = number != forget->store;
    struct ps_buf copy = {0};
    struct ps_log_row row;
    while (log_row(txn, number, false, &row) && row.commit_ns <= forget->horizon_ns) {
        if (forget->done >= forget->budget) {
            forget->more = true;
            break;
        }
        copy.size = 0;
        ps_buf_append(&copy, row.keys.at, row.keys.left);
        row.keys = ps_row_of(ps_lmdb_val(copy.data, copy.size));
        forget->done += row.key_count == 0 ? 1 : (size_t)row.key_count;
        bool keep = !tombs && row.commit_ns == forget->horizon_ns;
        if (!keep) {
            ps_lmdb_delete(txn, PS_LMDB_LOG);
            if (!tombs) {
                forget_token(txn, forget->store, &row.token, row.lsn);
                forget->state.first_lsn = row.lsn + 1;
            }
        }
        for (uint64_t i = 0; i < row.key_count && !ps_lmdb_failed(txn); i++) {
            struct ps_slice key = ps_log_row_next(&row);
            if (row.keys.bad) {
                ps_lmdb_fail_status(txn, PS_CORRUPT);
            } else {
                forget_below(txn, forget->store, key, row.lsn);
            }
        }
        if (keep) {
            break;
        }
    }
    ps_buf_fini(&copy);
}

static void forget_work(struct ps_lmdb_txn *txn, void *context)
{
    struct forget *forget = context;
    forget->done = 0;
    forget->more = false;
    forget->state = txn->map->stores[forget->store].log;
    forget_rows(txn, forget, forget->store | PS_LMDB_TOMB_STORE);
    forget_rows(txn, forget, forget->store);
    if (forget->state.first_lsn > forget->state.last_lsn) {
        /* The log has no row left to tell where it ends. */
        ps_store_row_put(txn, forget->store, false, forget->state.last_lsn,
                         forget->state.last_commit_ns);
    }
    ps_key_inner_rows_save(txn);
}

enum ps_status ps_lmdb_forget(struct ps_map *base, ps_map_store store, ps_time_ns horizon_ns,
                              size_t budget, bool *ret_more, struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    PS_ASSERT(store < map->store_count);
    struct forget forget = {.store = store, .horizon_ns = horizon_ns, .budget = budget};
    if (map->stores[store].snapshot == NULL) {
        ps_lmdb_entry_forget(map, store, horizon_ns, budget);
        enum ps_status status = ps_lmdb_write(map, PS_JOURNAL_FORGET, forget_work, &forget, err);
        if (status != PS_OK) {
            return status;
        }
        start_next(map);
        map->stores[store].next = forget.state;
        ps_lmdb_publish(map);
    }
    *ret_more = forget.more;
    return PS_OK;
}

/* --- meta --- */

struct meta_put {
    struct ps_slice name;
    struct ps_slice value;
};

static void meta_put_work(struct ps_lmdb_txn *txn, void *context)
{
    const struct meta_put *put = context;
    unsigned char bytes[1 + PS_MAP_META_NAME_MAX] = {'u'};
    memcpy(bytes + 1, put->name.data, put->name.size);
    MDB_val value = ps_lmdb_val(put->value.data, put->value.size);
    ps_lmdb_put(txn, PS_LMDB_META, ps_lmdb_val(bytes, 1 + put->name.size), &value, 0);
}

enum ps_status ps_lmdb_named_put(struct ps_lmdb_map *map, struct ps_slice name,
                                 struct ps_slice value, struct ps_error *err)
{
    struct meta_put put = {name, value};
    ps_lmdb_entry_named(map, name, value);
    return ps_lmdb_write(map, PS_JOURNAL_META, meta_put_work, &put, err);
}

/* Durable in a relaxed map, too: what is in the journal before it, and the state that leads to. */
static int sync_named(struct ps_lmdb_map *map)
{
    pthread_mutex_lock(&map->writing);
    int rc = ps_lmdb_checkpoint_await(map);
    if (rc == 0) {
        rc = ps_journal_sync(&map->journal);
        map->checkpoints.failed = rc;
    }
    pthread_mutex_unlock(&map->writing);
    return rc;
}

enum ps_status ps_lmdb_meta_put(struct ps_map *base, struct ps_slice name, struct ps_slice value,
                                struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    enum ps_status status = ps_lmdb_named_put(map, name, value, err);
    int rc = status == PS_OK ? sync_named(map) : 0;
    return rc == 0 ? status
                   : ps_fail(err, ps_lmdb_status_of(rc), "%s: %s", map->path, mdb_strerror(rc));
}

/* From its checkpoint on the journal has all, and is synced with every entry. */
enum ps_status ps_lmdb_make_sync(struct ps_map *base, struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    enum ps_status status = map->sync ? PS_OK : ps_lmdb_checkpoint(map, err);
    pthread_mutex_lock(&map->writing);
    map->sync = map->sync || status == PS_OK;
    pthread_mutex_unlock(&map->writing);
    return status;
}
