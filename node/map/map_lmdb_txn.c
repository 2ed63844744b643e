/* A transaction with a sticky status, and its cursors. */
#include "node/map/map_lmdb_internal.h"

/* A row that is put or deleted makes one new page, as rows lie far apart. */
enum { WORK_OF_ROW = 4096 };

bool ps_lmdb_failed(const struct ps_lmdb_txn *txn)
{
    return txn->status != PS_OK;
}

void ps_lmdb_fail(struct ps_lmdb_txn *txn, int rc)
{
    if (txn->status == PS_OK) {
        txn->rc = rc;
        txn->status = ps_lmdb_status_of(rc);
    }
}

void ps_lmdb_fail_status(struct ps_lmdb_txn *txn, enum ps_status status)
{
    if (txn->status == PS_OK) {
        txn->rc = 0;
        txn->status = status;
    }
}

static MDB_cursor *cursor_of(struct ps_lmdb_txn *txn, enum ps_lmdb_table table)
{
    if (ps_lmdb_failed(txn)) {
        return NULL;
    }
    MDB_cursor **cursor = &txn->cursors[table].cursor;
    int rc = 0;
    if (*cursor == NULL) {
        rc = mdb_cursor_open(txn->txn, txn->map->tables[table], cursor);
    } else if (txn->cursors[table].stale) {
        rc = mdb_cursor_renew(txn->txn, *cursor);
    }
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
        return NULL;
    }
    txn->cursors[table].stale = false;
    return *cursor;
}

bool ps_lmdb_seek(struct ps_lmdb_txn *txn, enum ps_lmdb_table table, MDB_cursor_op op, MDB_val *key,
                  MDB_val *value)
{
    MDB_cursor *cursor = cursor_of(txn, table);
    if (cursor == NULL) {
        return false;
    }
    int rc = mdb_cursor_get(cursor, key, value, op);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        ps_lmdb_fail(txn, rc);
    }
    return rc == 0;
}

bool ps_lmdb_put(struct ps_lmdb_txn *txn, enum ps_lmdb_table table, MDB_val key, MDB_val *value,
                 unsigned flags)
{
    MDB_cursor *cursor = cursor_of(txn, table);
    if (cursor == NULL) {
        return false;
    }
    txn->work += WORK_OF_ROW + value->mv_size;
    int rc = mdb_cursor_put(cursor, &key, value, flags);
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
    }
    return rc == 0;
}

void ps_lmdb_delete(struct ps_lmdb_txn *txn, enum ps_lmdb_table table)
{
    MDB_cursor *cursor = cursor_of(txn, table);
    if (cursor == NULL) {
        return;
    }
    txn->work += WORK_OF_ROW;
    int rc = mdb_cursor_del(cursor, 0);
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
    }
}

void ps_lmdb_close_cursors(struct ps_lmdb_txn *txn)
{
    for (size_t i = 0; i < PS_LMDB_TABLES; i++) {
        if (txn->cursors[i].cursor != NULL) {
            mdb_cursor_close(txn->cursors[i].cursor);
            txn->cursors[i].cursor = NULL;
        }
    }
}
