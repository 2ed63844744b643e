/* SQLite's errors in D1's words: "<message>[ at offset N]: SQLITE_X[ (extended: SQLITE_X_Y)]". */
#include "node/d1/database_internal.h"

struct name {
    int code;
    const char *text;
};

#define NAME(code)                                                                                 \
    {                                                                                              \
        code, #code                                                                                \
    }

static const struct name NAMES[] = {
    NAME(SQLITE_ERROR),
    NAME(SQLITE_INTERNAL),
    NAME(SQLITE_PERM),
    NAME(SQLITE_ABORT),
    NAME(SQLITE_BUSY),
    NAME(SQLITE_LOCKED),
    NAME(SQLITE_NOMEM),
    NAME(SQLITE_READONLY),
    NAME(SQLITE_INTERRUPT),
    NAME(SQLITE_IOERR),
    NAME(SQLITE_CORRUPT),
    NAME(SQLITE_NOTFOUND),
    NAME(SQLITE_FULL),
    NAME(SQLITE_CANTOPEN),
    NAME(SQLITE_PROTOCOL),
    NAME(SQLITE_EMPTY),
    NAME(SQLITE_SCHEMA),
    NAME(SQLITE_TOOBIG),
    NAME(SQLITE_CONSTRAINT),
    NAME(SQLITE_MISMATCH),
    NAME(SQLITE_MISUSE),
    NAME(SQLITE_NOLFS),
    NAME(SQLITE_AUTH),
    NAME(SQLITE_FORMAT),
    NAME(SQLITE_RANGE),
    NAME(SQLITE_NOTADB),
    NAME(SQLITE_ERROR_MISSING_COLLSEQ),
    NAME(SQLITE_ERROR_RETRY),
    NAME(SQLITE_ERROR_SNAPSHOT),
    NAME(SQLITE_ABORT_ROLLBACK),
    NAME(SQLITE_CONSTRAINT_CHECK),
    NAME(SQLITE_CONSTRAINT_COMMITHOOK),
    NAME(SQLITE_CONSTRAINT_FOREIGNKEY),
    NAME(SQLITE_CONSTRAINT_FUNCTION),
    NAME(SQLITE_CONSTRAINT_NOTNULL),
    NAME(SQLITE_CONSTRAINT_PRIMARYKEY),
    NAME(SQLITE_CONSTRAINT_TRIGGER),
    NAME(SQLITE_CONSTRAINT_UNIQUE),
    NAME(SQLITE_CONSTRAINT_VTAB),
    NAME(SQLITE_CONSTRAINT_ROWID),
    NAME(SQLITE_CONSTRAINT_PINNED),
    NAME(SQLITE_CONSTRAINT_DATATYPE),
    NAME(SQLITE_CORRUPT_VTAB),
    NAME(SQLITE_CORRUPT_SEQUENCE),
    NAME(SQLITE_CORRUPT_INDEX),
    NAME(SQLITE_LOCKED_VTAB),
};

static void put_name(struct ps_buf *buf, int code)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (NAMES[i].code == code) {
            ps_buf_append_text(buf, NAMES[i].text);
            return;
        }
    }
    ps_buf_printf(buf, "SQLITE_UNKNOWN(%d)", code);
}

void ps_d1_put_error(struct ps_buf *buf, const struct ps_d1_database *database)
{
    struct sqlite3 *db = database->db;
    if (database->expired) {
        ps_buf_append_text(
            buf, "D1 DB storage operation exceeded timeout which caused object to be reset.");
        return;
    }
    enum ps_status status = ps_pages_status(database->pages);
    if (status != PS_OK && status != PS_FULL && status != PS_LIMIT) {
        ps_buf_append_text(buf, "Internal error in D1 DB storage caused object to be reset.");
        return;
    }
    if (database->transaction_refused) {
        ps_buf_append_text(
            buf, "To execute a transaction, please use the state.storage.transaction() or "
                 "state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or "
                 "SAVEPOINT statements. The JavaScript API is safer because it will automatically "
                 "roll back on exceptions, and because it interacts correctly with Durable "
                 "Objects' automatic atomic write coalescing.");
        return;
    }
    int extended = sqlite3_extended_errcode(db);
    int code = extended & 0xFF;
    int offset = sqlite3_error_offset(db);
    ps_buf_append_text(buf, sqlite3_errmsg(db));
    if (offset >= 0) {
        ps_buf_printf(buf, " at offset %d", offset);
    }
    ps_buf_append_text(buf, ": ");
    put_name(buf, code);
    if (extended != code) {
        ps_buf_append_text(buf, " (extended: ");
        put_name(buf, extended);
        ps_buf_append_char(buf, ')');
    }
}
