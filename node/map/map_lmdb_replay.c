/* What transactions write into the journal, and doing it again after a crash.
 *
 * An entry's bytes, by its kind; u64 and varint as in rows:
 *
 *   apply     record count varint, then for each: store varint, lsn u64, commit u64, token 16,
 *             entry count varint, then for each: flags u8, expires varint, key size varint,
 *             metadata size varint, value size varint, key, metadata, value (flag 2: a patch of the
 *             key's version before this record)
 *   store     name
 *   forget    store varint, horizon u64, budget varint
 *   meta      name size varint, name, value
 *   snapshot  store varint
 *
 * Each does the same again on the same state, and the state is the same: entries name the
 * transaction of LMDB that they became, so those that a whole file has already are passed over, and
 * from a state that was put back they are done again from the first on. */
#include "node/map/map_lmdb_internal.h"
#include "node/map/patch.h"
#include "replication/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_DELETED = 1, ENTRY_PATCH = 2, PATCH_FROM = 1024 /* bytes of a value */ };

struct ps_buf *ps_lmdb_entry(struct ps_lmdb_map *map)
{
    return map->opened ? ps_journal_begin(&map->journal) : NULL;
}

struct encode {
    struct ps_buf *buf;
    const struct ps_append *appends;
    size_t count;
};

/* The newest version, recent or settled. */
static bool newest(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                   struct ps_version *ret)
{
    return ps_lmdb_recent_newest(txn->map, store, key, ret) ||
           ps_lmdb_settled_newest(txn, store, key, ret);
}

/* The patch that stands for the value, in the map's scratch; an empty buffer: none is worth it. */
static struct ps_slice patch_of(struct ps_lmdb_txn *txn, ps_map_store store,
                                const struct ps_entry *entry)
{
    struct ps_buf *patch = &txn->map->scratch;
    struct ps_version former;
    patch->size = 0;
    if (entry->value.size >= PATCH_FROM && newest(txn, store, entry->key, &former) &&
        former.value.size == entry->value.size) {
        ps_patch_put(patch, entry->value.data, former.value.data, entry->value.size);
    }
    return patch->size < entry->value.size / 2 ? ps_buf_slice(patch) : (struct ps_slice){0};
}

static void put_entry(struct ps_buf *buf, const struct ps_entry *entry, struct ps_slice patch)
{
    struct ps_slice value = patch.size != 0 ? patch : entry->value;
    ps_row_put_u8(
        buf, (uint8_t)((entry->deleted ? ENTRY_DELETED : 0) | (patch.size != 0 ? ENTRY_PATCH : 0)));
    ps_row_put_varint(buf, entry->expires_unix_s);
    ps_row_put_varint(buf, entry->key.size);
    ps_row_put_varint(buf, entry->metadata.size);
    ps_row_put_varint(buf, value.size);
    ps_buf_append_slice(buf, entry->key);
    ps_buf_append_slice(buf, entry->metadata);
    ps_buf_append_slice(buf, value);
}

/* What a patch is made from is looked for in the map, where the records before it in the same call
 * are not yet. */
static bool first_of_store(const struct encode *encode, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (encode->appends[i].store == encode->appends[at].store) {
            return false;
        }
    }
    return true;
}

/* txn: NULL = no value is so large that a patch is thought of. */
static void put_records(struct ps_lmdb_txn *txn, const struct encode *encode)
{
    struct ps_buf *buf = encode->buf;
    ps_row_put_varint(buf, encode->count);
    for (size_t i = 0; i < encode->count; i++) {
        const struct ps_append *append = &encode->appends[i];
        const struct ps_record *record = append->record;
        bool patches = txn != NULL && first_of_store(encode, i);
        ps_row_put_varint(buf, append->store);
        ps_row_put_u64(buf, record->lsn);
        ps_row_put_u64(buf, record->commit_ns);
        ps_buf_append(buf, record->token.bytes, sizeof record->token.bytes);
        ps_row_put_varint(buf, record->entry_count);
        for (size_t k = 0; k < record->entry_count; k++) {
            const struct ps_entry *entry = &record->entries[k];
            put_entry(buf, entry,
                      patches ? patch_of(txn, append->store, entry) : (struct ps_slice){0});
        }
    }
}

static void put_records_work(struct ps_lmdb_txn *txn, void *context)
{
    put_records(txn, context);
}

static bool any_large(const struct ps_append *appends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < appends[i].record->entry_count; k++) {
            if (appends[i].record->entries[k].value.size >= PATCH_FROM) {
                return true;
            }
        }
    }
    return false;
}

enum ps_status ps_lmdb_entry_apply(struct ps_lmdb_map *map, const struct ps_append *appends,
                                   size_t count)
{
    struct encode encode = {ps_lmdb_entry(map), appends, count};
    if (any_large(appends, count)) {
        return ps_lmdb_read(map, put_records_work, &encode);
    }
    put_records(NULL, &encode);
    return PS_OK;
}

void ps_lmdb_entry_forget(struct ps_lmdb_map *map, ps_map_store store, ps_time_ns horizon_ns,
                          size_t budget)
{
    struct ps_buf *buf = ps_lmdb_entry(map);
    if (buf != NULL) {
        ps_row_put_varint(buf, store);
        ps_row_put_u64(buf, horizon_ns);
        ps_row_put_varint(buf, budget);
    }
}

void ps_lmdb_entry_named(struct ps_lmdb_map *map, struct ps_slice name, struct ps_slice value)
{
    struct ps_buf *buf = ps_lmdb_entry(map);
    if (buf != NULL) {
        ps_row_put_varint(buf, name.size);
        ps_buf_append_slice(buf, name);
        ps_buf_append_slice(buf, value);
    }
}

void ps_lmdb_entry_snapshot(struct ps_lmdb_map *map, ps_map_store store)
{
    struct ps_buf *buf = ps_lmdb_entry(map);
    if (buf != NULL) {
        ps_row_put_varint(buf, store);
    }
}

/* --- again --- */

struct replay {
    struct ps_lmdb_map *map;
    uint64_t txn; /* what LMDB had before */
    enum ps_status status;
    struct ps_error *err;
};

static struct ps_entry read_entry(struct ps_row *row, bool *ret_patch)
{
    unsigned flags = ps_row_u8(row);
    struct ps_entry entry = {.deleted = (flags & ENTRY_DELETED) != 0};
    *ret_patch = (flags & ENTRY_PATCH) != 0;
    entry.expires_unix_s = ps_row_varint(row);
    uint64_t key = ps_row_varint(row);
    uint64_t metadata = ps_row_varint(row);
    uint64_t value = ps_row_varint(row);
    entry.key = ps_row_bytes(row, key);
    entry.metadata = ps_row_bytes(row, metadata);
    entry.value = ps_row_bytes(row, value);
    return entry;
}

/* The store's number; one that there is not makes the row bad. */
static ps_map_store read_store(const struct ps_lmdb_map *map, struct ps_row *row)
{
    uint64_t store = ps_row_varint(row);
    row->bad = row->bad || store >= map->store_count;
    return (ps_map_store)store;
}

/* A record that is done again: its entries, and the values that were patches. */
struct again {
    ps_map_store store;
    struct ps_record record;
    struct ps_entry *entries;
    char **values; /* owned; NULL where the value is in the journal's bytes */
};

struct unpatch {
    ps_map_store store;
    struct ps_entry *entry;
    char *value;
};

static void unpatch_work(struct ps_lmdb_txn *txn, void *context)
{
    struct unpatch *unpatch = context;
    struct ps_version former;
    struct ps_slice patch = unpatch->entry->value;
    if (!newest(txn, unpatch->store, unpatch->entry->key, &former) || former.value.size == 0) {
        ps_lmdb_fail_status(txn, PS_CORRUPT);
        return;
    }
    unpatch->value = ps_calloc(former.value.size, 1);
    enum ps_status status =
        ps_patch_apply(patch, former.value.data, unpatch->value, former.value.size);
    if (status != PS_OK) {
        ps_lmdb_fail_status(txn, status);
    }
    unpatch->entry->value = (struct ps_slice){unpatch->value, former.value.size};
}

static enum ps_status read_record(struct ps_lmdb_map *map, struct ps_row *row, struct again *ret)
{
    enum ps_status status = PS_OK;
    ret->store = read_store(map, row);
    ret->record.lsn = ps_row_u64(row);
    ret->record.commit_ns = ps_row_u64(row);
    struct ps_slice token = ps_row_bytes(row, sizeof ret->record.token.bytes);
    if (token.size != 0) {
        memcpy(ret->record.token.bytes, token.data, token.size);
    }
    uint64_t count = ps_row_varint(row);
    row->bad = row->bad || count > row->left;
    ret->record.entry_count = row->bad ? 0 : (size_t)count;
    ret->entries = PS_NEW_ARRAY(struct ps_entry, ret->record.entry_count + 1);
    ret->values = PS_NEW_ARRAY(char *, ret->record.entry_count + 1);
    ret->record.entries = ret->entries;
    for (size_t i = 0; i < ret->record.entry_count && !row->bad && status == PS_OK; i++) {
        bool patch;
        ret->entries[i] = read_entry(row, &patch);
        if (patch && !row->bad) {
            struct unpatch unpatch = {.store = ret->store, .entry = &ret->entries[i]};
            status = ps_lmdb_read(map, unpatch_work, &unpatch);
            ret->values[i] = unpatch.value;
        }
    }
    return row->bad ? PS_CORRUPT : status;
}

static enum ps_status again_record(struct replay *replay, struct ps_row *row)
{
    struct again again = {0};
    enum ps_status status = read_record(replay->map, row, &again);
    if (status == PS_OK) {
        const struct ps_append append = {again.store, &again.record};
        status = ps_lmdb_apply(&replay->map->base, &append, 1, replay->err);
    }
    for (size_t i = 0; i < again.record.entry_count; i++) {
        free(again.values[i]);
    }
    free(again.values);
    free(again.entries);
    return status;
}

/* One by one: the map is nobody's yet, and the entry is whole. */
static enum ps_status again_apply(struct replay *replay, struct ps_row *row)
{
    uint64_t count = ps_row_varint(row);
    enum ps_status status = row->bad || count > row->left ? PS_CORRUPT : PS_OK;
    for (uint64_t i = 0; i < count && status == PS_OK; i++) {
        status = again_record(replay, row);
    }
    return status;
}

static enum ps_status again_forget(struct replay *replay, struct ps_row *row)
{
    bool more;
    ps_map_store store = read_store(replay->map, row);
    ps_time_ns horizon_ns = ps_row_u64(row);
    uint64_t budget = ps_row_varint(row);
    return row->bad
               ? PS_CORRUPT
               : ps_lmdb_forget(&replay->map->base, store, horizon_ns, budget, &more, replay->err);
}

static enum ps_status again_named(struct replay *replay, struct ps_row *row)
{
    struct ps_slice name = ps_row_bytes(row, ps_row_varint(row));
    struct ps_slice value = {(const char *)row->at, row->left};
    return row->bad || name.size == 0 || name.size > PS_MAP_META_NAME_MAX
               ? PS_CORRUPT
               : ps_lmdb_named_put(replay->map, name, value, replay->err);
}

static enum ps_status again_store(struct replay *replay, struct ps_row *row)
{
    ps_map_store store;
    struct ps_slice name = {(const char *)row->at, row->left};
    return name.size == 0 || name.size > PS_STORE_NAME_MAX
               ? PS_CORRUPT
               : ps_lmdb_store_open(&replay->map->base, name, &store, replay->err);
}

static enum ps_status again_snapshot(struct replay *replay, struct ps_row *row)
{
    ps_map_store store = read_store(replay->map, row);
    return row->bad ? PS_CORRUPT : ps_lmdb_snapshot_mark(replay->map, store, replay->err);
}

static bool again(void *context, uint64_t txn, enum ps_journal_kind kind, struct ps_slice bytes)
{
    static enum ps_status (*const kinds[])(struct replay * replay, struct ps_row * row) = {
        [PS_JOURNAL_APPLY] = again_apply,
        [PS_JOURNAL_STORE] = again_store,
        [PS_JOURNAL_FORGET] = again_forget,
        [PS_JOURNAL_META] = again_named,
        [PS_JOURNAL_SNAPSHOT] = again_snapshot};
    struct replay *replay = context;
    if (txn <= replay->txn) {
        return true;
    }
    struct ps_row row = ps_row_of(ps_lmdb_val(bytes.data, bytes.size));
    bool known = kind > PS_JOURNAL_NONE && kind < sizeof kinds / sizeof kinds[0];
    enum ps_status status = known ? kinds[kind](replay, &row) : PS_CORRUPT;
    if (status == PS_GAP || status == PS_CORRUPT) {
        status = ps_fail(replay->err, PS_CORRUPT,
                         "%s/journal.*: the entry of transaction %" PRIu64 " does not fit data.mdb",
                         replay->map->path, txn);
    }
    replay->status = status;
    return status == PS_OK;
}

enum ps_status ps_lmdb_replay(struct ps_lmdb_map *map, bool *ret_entries, struct ps_error *err)
{
    struct replay replay = {.map = map, .txn = map->checkpoints.saved.txn, .err = err};
    uint64_t chain = map->checkpoints.saved.chain;
    *ret_entries = false;
    for (uint64_t i = 0; i < 2 && replay.status == PS_OK; i++) {
        size_t count;
        uint64_t generation = map->checkpoints.saved.generation + i;
        chain = i == 0 ? chain : ps_journal_chain(generation, chain);
        int rc = ps_journal_read(&map->journal, generation, &chain, again, &replay, &count);
        *ret_entries = *ret_entries || count != 0;
        if (rc != 0) {
            return ps_fail(err, ps_lmdb_status_of(rc), "%s: %s", map->journal.paths[generation & 1],
                           mdb_strerror(rc));
        }
    }
    return replay.status;
}
