/* Replacing a store of the LMDB end by a snapshot.
 *
 * The store is marked incomplete before its first row goes and is unmarked with the last part, so
 * that a crash in between leaves a store that the next opening empties. Rows go and parts come in
 * transactions of bounded size. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <inttypes.h>
#include <string.h>

enum { DROP_AT_ONCE = 4096, PARTS_AT_ONCE = 1024, BYTES_AT_ONCE = 1 << 20 };

/* Key, metadata and value lie behind each other in the snapshot's bytes. */
struct ps_lmdb_part {
    struct ps_entry entry; /* sizes; the data is found by `offset` */
    size_t offset;
    uint64_t lsn;
    ps_time_ns commit_ns;
};

static struct ps_lmdb_map *map_of(struct ps_map *base)
{
    return (struct ps_lmdb_map *)(void *)base;
}

struct step {
    ps_map_store store;
    bool more;
    struct ps_log_state state; /* for the last step */
};

/* Delete up to `budget` of the table's rows whose keys start with the two bytes of `number`. */
static size_t drop_rows(struct ps_lmdb_txn *txn, enum ps_lmdb_table table, unsigned number,
                        size_t budget)
{
    unsigned char bytes[2];
    ps_put_be16(bytes, (uint16_t)number);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    size_t done = 0;
    bool found = ps_lmdb_seek(txn, table, MDB_SET_RANGE, &key, &value);
    while (found && done < budget && ps_get_be16(key.mv_data) == number) {
        ps_lmdb_delete(txn, table);
        done++;
        found = ps_lmdb_seek(txn, table, MDB_NEXT, &key, &value);
    }
    return done;
}

static void drop_work(struct ps_lmdb_txn *txn, void *context)
{
    struct step *step = context;
    size_t left = DROP_AT_ONCE;
    left -= drop_rows(txn, PS_LMDB_LOG, step->store, left);
    left -= drop_rows(txn, PS_LMDB_LOG, step->store | PS_LMDB_TOMB_STORE, left);
    left -= drop_rows(txn, PS_LMDB_TOKEN, step->store, left);
    struct ps_key_walk walk;
    while (left > 0 && ps_key_walk_start(&walk, txn, step->store, PS_LIT(""))) {
        ps_versions_delete_below(txn, walk.id, UINT64_MAX);
        ps_key_remove(txn, step->store, (struct ps_slice){walk.key, walk.key_size});
        left--;
    }
    step->more = left == 0;
    ps_key_inner_rows_save(txn);
}

static void mark_work(struct ps_lmdb_txn *txn, void *context)
{
    const struct step *step = context;
    ps_store_row_put(txn, step->store, step->more, step->state.last_lsn,
                     step->state.last_commit_ns);
}

/* Set the store's mark and its base. */
static enum ps_status mark(struct ps_lmdb_map *map, enum ps_journal_kind kind, ps_map_store store,
                           bool incomplete, uint64_t base_lsn, ps_time_ns base_commit_ns,
                           struct ps_error *err)
{
    struct step step = {store, incomplete, {base_lsn, base_commit_ns, base_lsn + 1}};
    return ps_lmdb_write(map, kind, mark_work, &step, err);
}

static enum ps_status drop_all(struct ps_lmdb_map *map, ps_map_store store, struct ps_error *err)
{
    struct step step = {.store = store, .more = true};
    enum ps_status status = PS_OK;
    while (status == PS_OK && step.more) {
        status = ps_lmdb_write(map, PS_JOURNAL_NONE, drop_work, &step, err);
    }
    return status;
}

static void publish_state(struct ps_lmdb_map *map, ps_map_store store, struct ps_log_state state)
{
    pthread_mutex_lock(&map->mutex);
    map->stores[store].log = state;
    map->stores[store].next = state;
    pthread_mutex_unlock(&map->mutex);
}

static void forget_parts(struct ps_lmdb_snapshot *snapshot)
{
    snapshot->count = 0;
    snapshot->bytes.size = 0;
}

void ps_lmdb_snapshot_drop(struct ps_lmdb_store *store)
{
    if (store->snapshot != NULL) {
        ps_buf_fini(&store->snapshot->bytes);
        free(store->snapshot->parts);
        free(store->snapshot);
        store->snapshot = NULL;
    }
}

struct recover {
    bool incomplete[PS_MAP_STORES_MAX];
};

static void recover_work(struct ps_lmdb_txn *txn, void *context)
{
    struct recover *recover = context;
    for (size_t i = 0; i < txn->map->store_count; i++) {
        ps_store_state_read(txn, (ps_map_store)i, &recover->incomplete[i]);
    }
}

enum ps_status ps_lmdb_snapshot_recover(struct ps_lmdb_map *map, struct ps_error *err)
{
    struct recover recover = {0};
    enum ps_status status = ps_lmdb_read(map, recover_work, &recover);
    if (status != PS_OK) {
        return ps_fail(err, status, "%s: %s", map->path, ps_status_text(status));
    }
    for (size_t i = 0; i < map->store_count && status == PS_OK; i++) {
        if (!recover.incomplete[i]) {
            continue;
        }
        status = drop_all(map, (ps_map_store)i, err);
        if (status == PS_OK) {
            status = mark(map, PS_JOURNAL_NONE, (ps_map_store)i, false, 0, 0, err);
            publish_state(map, (ps_map_store)i, (struct ps_log_state){.first_lsn = 1});
        }
    }
    return status;
}

enum ps_status ps_lmdb_snapshot_mark(struct ps_lmdb_map *map, ps_map_store store,
                                     struct ps_error *err)
{
    ps_lmdb_entry_snapshot(map, store);
    return mark(map, PS_JOURNAL_SNAPSHOT, store, true, 0, 0, err);
}

enum ps_status ps_lmdb_snapshot_begin(struct ps_map *base, ps_map_store store, struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    PS_ASSERT(store < map->store_count);
    enum ps_status status = ps_lmdb_snapshot_mark(map, store, err);
    if (status != PS_OK) {
        return status;
    }
    ps_lmdb_snapshot_drop(&map->stores[store]);
    map->stores[store].snapshot = PS_NEW(struct ps_lmdb_snapshot);
    publish_state(map, store, (struct ps_log_state){.first_lsn = 1});
    status = drop_all(map, store, err);
    map->stores[store].snapshot->failed = status != PS_OK;
    return status;
}

static void put_part(struct ps_lmdb_txn *txn, ps_map_store store, const struct ps_lmdb_part *part,
                     const char *bytes)
{
    struct ps_entry entry = part->entry;
    entry.key.data = bytes + part->offset;
    entry.metadata.data = entry.key.data + entry.key.size;
    entry.value.data = entry.metadata.data + entry.metadata.size;
    uint64_t id;
    ps_version_add(txn, store, &entry, part->lsn, part->commit_ns, &id);
    /* A part that came twice. */
    ps_versions_delete_below(txn, id, part->lsn);
    if (!entry.deleted) {
        return;
    }
    unsigned char key[PS_LMDB_TOMB_KEY_SIZE];
    ps_log_key(key, store | PS_LMDB_TOMB_STORE, part->lsn);
    ps_put_be64(key + PS_LMDB_LOG_KEY_SIZE, id);
    struct ps_buf row = {0};
    ps_log_row_head(&row, part->commit_ns, &(struct ps_token){0}, 1);
    ps_log_row_key(&row, entry.key);
    MDB_val value = ps_lmdb_val(row.data, row.size);
    ps_lmdb_put(txn, PS_LMDB_LOG, ps_lmdb_val(key, sizeof key), &value, 0);
    ps_buf_fini(&row);
}

static void parts_work(struct ps_lmdb_txn *txn, void *context)
{
    const struct step *step = context;
    const struct ps_lmdb_snapshot *snapshot = txn->map->stores[step->store].snapshot;
    for (size_t i = 0; i < snapshot->count && !ps_lmdb_failed(txn); i++) {
        put_part(txn, step->store, &snapshot->parts[i], snapshot->bytes.data);
    }
    ps_key_inner_rows_save(txn);
}

static enum ps_status write_parts(struct ps_lmdb_map *map, ps_map_store store, struct ps_error *err)
{
    struct ps_lmdb_snapshot *snapshot = map->stores[store].snapshot;
    struct step step = {.store = store};
    enum ps_status status =
        snapshot->count == 0 ? PS_OK : ps_lmdb_write(map, PS_JOURNAL_NONE, parts_work, &step, err);
    snapshot->failed = status != PS_OK;
    forget_parts(snapshot);
    return status;
}

static enum ps_status check_begun(const struct ps_lmdb_store *store, struct ps_error *err)
{
    if (store->snapshot == NULL) {
        return ps_fail(err, PS_INVALID, "store %s: no snapshot was begun", store->name);
    }
    if (store->snapshot->failed) {
        return ps_fail(err, PS_IO, "store %s: the snapshot has failed; begin it again",
                       store->name);
    }
    return PS_OK;
}

enum ps_status ps_lmdb_snapshot_put(struct ps_map *base, ps_map_store store,
                                    const struct ps_entry *entry, uint64_t lsn,
                                    ps_time_ns commit_ns, struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    PS_ASSERT(store < map->store_count);
    enum ps_status status = check_begun(&map->stores[store], err);
    if (status != PS_OK) {
        return status;
    }
    struct ps_lmdb_snapshot *snapshot = map->stores[store].snapshot;
    snapshot->parts =
        ps_grow(snapshot->parts, snapshot->count, &snapshot->capacity, sizeof *snapshot->parts);
    snapshot->parts[snapshot->count++] =
        (struct ps_lmdb_part){*entry, snapshot->bytes.size, lsn, commit_ns};
    ps_buf_append_slice(&snapshot->bytes, entry->key);
    ps_buf_append_slice(&snapshot->bytes, entry->metadata);
    ps_buf_append_slice(&snapshot->bytes, entry->value);
    if (lsn > snapshot->lsn_max) {
        snapshot->lsn_max = lsn;
    }
    return snapshot->count >= PARTS_AT_ONCE || snapshot->bytes.size >= BYTES_AT_ONCE
               ? write_parts(map, store, err)
               : PS_OK;
}

enum ps_status ps_lmdb_snapshot_finish(struct ps_map *base, ps_map_store store, uint64_t at_lsn,
                                       ps_time_ns at_commit_ns, struct ps_error *err)
{
    struct ps_lmdb_map *map = map_of(base);
    PS_ASSERT(store < map->store_count);
    enum ps_status status = check_begun(&map->stores[store], err);
    if (status != PS_OK) {
        return status;
    }
    if (map->stores[store].snapshot->lsn_max > at_lsn) {
        return ps_fail(err, PS_INVALID,
                       "store %s: a snapshot at record %" PRIu64 " holds record %" PRIu64,
                       map->stores[store].name, at_lsn, map->stores[store].snapshot->lsn_max);
    }
    status = write_parts(map, store, err);
    if (status == PS_OK) {
        status = mark(map, PS_JOURNAL_NONE, store, false, at_lsn, at_commit_ns, err);
    }
    if (status == PS_OK && map->opened) {
        status = ps_lmdb_checkpoint(map, err); /* the parts are in no journal */
    }
    if (status == PS_OK) {
        ps_lmdb_snapshot_drop(&map->stores[store]);
        publish_state(map, store, (struct ps_log_state){at_lsn, at_commit_ns, at_lsn + 1});
    }
    return status;
}
