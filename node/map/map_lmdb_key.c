/* The key table: (store, key) -> key id, in key order, for keys longer than LMDB's.
 *
 * A key is cut into chunks of P = PS_MAP_CHUNK bytes. Each chunk is a row below a node; a row with
 * a whole chunk leads to the node where such keys go on, a row with less ends a key. A key of
 * exactly P bytes ends with an empty chunk in the next node. So a row's length tells its kind, and
 * byte order of rows within a node, with an inner row replaced by its node's rows, is byte order of
 * keys: a shorter row is a key that differs from the inner row's chunk, or is a proper prefix of it
 * and sorts before it. Keys below P bytes, nearly all, take one look-up. */
#include "node/map/map_lmdb_internal.h"

#include <string.h>

enum { NODE_SIZE = 4, ROW_KEY_MAX = NODE_SIZE + PS_MAP_CHUNK };

static_assert(ROW_KEY_MAX <= 511, "LMDB's longest key");

static size_t row_key(unsigned char out[ROW_KEY_MAX], uint32_t node, struct ps_slice rest)
{
    size_t size = rest.size < PS_MAP_CHUNK ? rest.size : PS_MAP_CHUNK;
    ps_put_be32(out, node);
    if (size != 0) {
        memcpy(out + NODE_SIZE, rest.data, size);
    }
    return NODE_SIZE + size;
}

static bool is_inner(MDB_val row)
{
    return row.mv_size == ROW_KEY_MAX;
}

/* The number in a row's value: a key id or a node. */
static uint64_t row_number(struct ps_lmdb_txn *txn, MDB_val value)
{
    struct ps_row row = ps_row_of(value);
    uint64_t number = ps_row_u64(&row);
    if (row.bad) {
        ps_lmdb_fail_status(txn, PS_CORRUPT);
    }
    return number;
}

static bool find_row(struct ps_lmdb_txn *txn, uint32_t node, struct ps_slice rest,
                     uint64_t *ret_number)
{
    unsigned char bytes[ROW_KEY_MAX];
    MDB_val key = ps_lmdb_val(bytes, row_key(bytes, node, rest));
    MDB_val value;
    if (!ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_SET, &key, &value)) {
        return false;
    }
    *ret_number = row_number(txn, value);
    return !ps_lmdb_failed(txn);
}

static struct ps_slice behind_chunk(struct ps_slice rest)
{
    return (struct ps_slice){rest.data + PS_MAP_CHUNK, rest.size - PS_MAP_CHUNK};
}

bool ps_key_find(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key, uint64_t *ret_id)
{
    uint64_t number = store;
    while (key.size >= PS_MAP_CHUNK) {
        if (!find_row(txn, (uint32_t)number, key, &number)) {
            return false;
        }
        key = behind_chunk(key);
    }
    return find_row(txn, (uint32_t)number, key, ret_id);
}

static void add_row(struct ps_lmdb_txn *txn, uint32_t node, struct ps_slice rest, uint64_t number)
{
    unsigned char bytes[ROW_KEY_MAX];
    unsigned char data[sizeof number];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(number >> (8 * i));
    }
    MDB_val value = ps_lmdb_val(data, sizeof data);
    ps_lmdb_put(txn, PS_LMDB_KEY, ps_lmdb_val(bytes, row_key(bytes, node, rest)), &value, 0);
}

uint64_t ps_key_find_or_add(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                            bool *ret_new)
{
    uint64_t node = store;
    *ret_new = false;
    while (key.size >= PS_MAP_CHUNK) {
        uint64_t next;
        if (!find_row(txn, (uint32_t)node, key, &next)) {
            if (txn->next_node > UINT32_MAX) {
                ps_lmdb_fail_status(txn, PS_LIMIT);
            }
            next = txn->next_node++;
            add_row(txn, (uint32_t)node, key, next);
            txn->inner_rows++;
        }
        node = next;
        key = behind_chunk(key);
    }
    uint64_t id;
    if (!find_row(txn, (uint32_t)node, key, &id)) {
        id = txn->next_key++;
        add_row(txn, (uint32_t)node, key, id);
        *ret_new = true;
    }
    return id;
}

static bool node_is_empty(struct ps_lmdb_txn *txn, uint32_t node)
{
    unsigned char bytes[NODE_SIZE];
    ps_put_be32(bytes, node);
    MDB_val key = ps_lmdb_val(bytes, sizeof bytes);
    MDB_val value;
    return !ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_SET_RANGE, &key, &value) ||
           ps_get_be32(key.mv_data) != node;
}

void ps_key_remove(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key)
{
    uint32_t nodes[PS_KEY_SIZE_MAX / PS_MAP_CHUNK + 1] = {store};
    size_t depth = 0;
    uint64_t number;
    struct ps_slice rest = key;
    for (; rest.size >= PS_MAP_CHUNK; rest = behind_chunk(rest)) {
        if (!find_row(txn, nodes[depth], rest, &number)) {
            return;
        }
        nodes[++depth] = (uint32_t)number;
    }
    if (!find_row(txn, nodes[depth], rest, &number)) {
        return;
    }
    ps_lmdb_delete(txn, PS_LMDB_KEY);
    while (depth > 0 && node_is_empty(txn, nodes[depth]) && !ps_lmdb_failed(txn)) {
        depth--;
        rest = (struct ps_slice){key.data + depth * PS_MAP_CHUNK, key.size - depth * PS_MAP_CHUNK};
        if (!find_row(txn, nodes[depth], rest, &number)) {
            ps_lmdb_fail_status(txn, PS_CORRUPT);
            return;
        }
        ps_lmdb_delete(txn, PS_LMDB_KEY);
        txn->inner_rows--;
    }
}

/* From the row under the cursor on, whatever node it is in: down to the key that it stands for, up
 *  where the walk's node has no more rows. */
static bool walk_settle(struct ps_key_walk *walk, bool found, MDB_val row, MDB_val value)
{
    struct ps_lmdb_txn *txn = walk->txn;
    while (!ps_lmdb_failed(txn)) {
        size_t before = walk->depth * PS_MAP_CHUNK;
        if (found && ps_get_be32(row.mv_data) == walk->nodes[walk->depth]) {
            size_t size = row.mv_size - NODE_SIZE;
            if (before + size > sizeof walk->key || (is_inner(row) && walk->depth == 2)) {
                ps_lmdb_fail_status(txn, PS_CORRUPT);
                return false;
            }
            memcpy(walk->key + before, (const char *)row.mv_data + NODE_SIZE, size);
            uint64_t number = row_number(txn, value);
            if (!is_inner(row)) {
                walk->key_size = before + size;
                walk->id = number;
                return !ps_lmdb_failed(txn);
            }
            walk->nodes[++walk->depth] = (uint32_t)number;
            unsigned char bytes[NODE_SIZE];
            ps_put_be32(bytes, (uint32_t)number);
            row = ps_lmdb_val(bytes, sizeof bytes);
            found = ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_SET_RANGE, &row, &value);
        } else if (walk->depth == 0) {
            return false;
        } else {
            walk->depth--;
            uint64_t number;
            struct ps_slice chunk = {walk->key + walk->depth * PS_MAP_CHUNK, PS_MAP_CHUNK};
            if (!find_row(txn, walk->nodes[walk->depth], chunk, &number)) {
                ps_lmdb_fail_status(txn, PS_CORRUPT);
                return false;
            }
            found = ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_NEXT, &row, &value);
        }
    }
    return false;
}

bool ps_key_walk_start(struct ps_key_walk *walk, struct ps_lmdb_txn *txn, ps_map_store store,
                       struct ps_slice from)
{
    walk->txn = txn;
    walk->depth = 0;
    walk->nodes[0] = store;
    for (;;) {
        unsigned char bytes[ROW_KEY_MAX];
        size_t size = row_key(bytes, walk->nodes[walk->depth], from);
        MDB_val row = ps_lmdb_val(bytes, size);
        MDB_val value;
        bool found = ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_SET_RANGE, &row, &value);
        bool exact = found && row.mv_size == size && memcmp(row.mv_data, bytes, size) == 0;
        if (!exact || from.size < PS_MAP_CHUNK || walk->depth == 2) {
            return walk_settle(walk, found, row, value);
        }
        memcpy(walk->key + walk->depth * PS_MAP_CHUNK, from.data, PS_MAP_CHUNK);
        walk->nodes[++walk->depth] = (uint32_t)row_number(txn, value);
        from = behind_chunk(from);
    }
}

bool ps_key_walk_next(struct ps_key_walk *walk)
{
    MDB_val row;
    MDB_val value;
    bool found = ps_lmdb_seek(walk->txn, PS_LMDB_KEY, MDB_NEXT, &row, &value);
    return walk_settle(walk, found, row, value);
}

static MDB_val inner_rows_key(void)
{
    return ps_lmdb_val("n", 1);
}

uint64_t ps_key_inner_rows(struct ps_lmdb_txn *txn)
{
    MDB_val key = inner_rows_key();
    MDB_val value;
    return ps_lmdb_seek(txn, PS_LMDB_META, MDB_SET, &key, &value) ? row_number(txn, value) : 0;
}

void ps_key_inner_rows_save(struct ps_lmdb_txn *txn)
{
    if (txn->inner_rows == 0) {
        return;
    }
    struct ps_buf buf = {0};
    ps_row_put_u64(&buf, ps_key_inner_rows(txn) + (uint64_t)txn->inner_rows);
    MDB_val value = ps_lmdb_val(buf.data, buf.size);
    ps_lmdb_put(txn, PS_LMDB_META, inner_rows_key(), &value, 0);
    ps_buf_fini(&buf);
    txn->inner_rows = 0;
}
