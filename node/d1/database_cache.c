/* Statements that were prepared before. An application sends the same texts again and again, and
 * preparing one takes longer than running it.
 *
 * A statement is kept under the text that it was the first of, until the schema is another one: the
 * schema's cookie is looked at in each transaction, and a statement that may change the schema or
 * the rules (whatever does more than read and write rows) empties the cache and keeps all that
 * follows in its call out of it. So a kept statement is what preparing its text now would give:
 * same columns, same plan, same refusal or none. */
#include "node/d1/database_internal.h"
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

enum { KEPT_MAX = 100, KEPT_SQL_MAX = 4096 };

struct ps_d1_kept {
    struct sqlite3_stmt *statement;
    size_t used;
    UT_hash_handle hh;
    size_t size;
    char sql[]; /* the text it was found in, to its end */
};

static void destroy(struct ps_d1_kept *kept)
{
    sqlite3_finalize(kept->statement);
    free(kept);
}

void ps_d1_cache_clear(struct ps_d1_database *database)
{
    struct ps_d1_kept *kept;
    struct ps_d1_kept *next;
    HASH_ITER(hh, database->kept, kept, next)
    {
        HASH_DEL(database->kept, kept);
        destroy(kept);
    }
}

size_t ps_d1_cache_count(const struct ps_d1_database *database)
{
    return HASH_COUNT(database->kept);
}

void ps_d1_cache_begin(struct ps_d1_database *database)
{
    uint32_t cookie = 0;
    bool known = ps_pages_schema(database->pages, &cookie) == PS_OK;
    if (!known || cookie != database->kept_schema) {
        ps_d1_cache_clear(database);
    }
    database->kept_schema = cookie;
    database->keeps = known;
}

void ps_d1_cache_end(struct ps_d1_database *database)
{
    database->keeps = false;
}

/* Take the statement out of the cache: while it is used it is its user's. */
static struct ps_d1_kept *take(struct ps_d1_database *database, struct ps_slice text)
{
    struct ps_d1_kept *kept = NULL;
    if (database->keeps && database->kept != NULL && text.size <= KEPT_SQL_MAX) {
        HASH_FIND(hh, database->kept, text.data, text.size, kept);
    }
    if (kept != NULL) {
        HASH_DEL(database->kept, kept);
        (void)sqlite3_stmt_status(kept->statement, PS_STATUS_ROWS_READ, 1);
        (void)sqlite3_stmt_status(kept->statement, PS_STATUS_ROWS_WRITTEN, 1);
    }
    return kept;
}

static struct ps_d1_kept *keep(struct ps_slice text, const struct ps_d1_prepared *prepared)
{
    struct ps_d1_kept *kept = ps_calloc(1, sizeof *kept + text.size);
    kept->statement = prepared->statement;
    kept->used = prepared->used;
    kept->size = text.size;
    memcpy(kept->sql, text.data, text.size);
    return kept;
}

int ps_d1_prepare(struct ps_d1_database *database, struct ps_slice text, struct ps_d1_prepared *ret)
{
    struct ps_d1_kept *kept = take(database, text);
    if (kept != NULL) {
        *ret = (struct ps_d1_prepared){kept->statement, kept->used, kept};
        return SQLITE_OK;
    }
    *ret = (struct ps_d1_prepared){0};
    bool small = database->keeps && text.size <= KEPT_SQL_MAX;
    const char *tail = NULL;
    database->only_rows = true;
    /* A NUL ends what SQLite reads, so that the text needs none. */
    int rc = sqlite3_prepare_v3(database->db, text.data, (int)text.size,
                                small ? SQLITE_PREPARE_PERSISTENT : 0, &ret->statement, &tail);
    if (rc != SQLITE_OK) {
        return rc;
    }
    ret->used = (size_t)(tail - text.data);
    if (!database->only_rows) {
        ps_d1_cache_clear(database);
        database->keeps = false;
    } else if (small && ret->statement != NULL) {
        ret->kept = keep(text, ret);
    }
    return SQLITE_OK;
}

void ps_d1_give_back(struct ps_d1_database *database, struct ps_d1_prepared *prepared)
{
    struct ps_d1_kept *kept = prepared->kept;
    if (kept == NULL || !database->keeps) {
        sqlite3_finalize(prepared->statement);
        free(kept);
        return;
    }
    (void)sqlite3_reset(kept->statement);
    (void)sqlite3_clear_bindings(kept->statement); /* they borrow from the request */
    HASH_ADD_KEYPTR(hh, database->kept, kept->sql, kept->size, kept);
    if (HASH_COUNT(database->kept) > KEPT_MAX) {
        struct ps_d1_kept *oldest = database->kept; /* the order is that of being given back */
        HASH_DEL(database->kept, oldest);
        destroy(oldest);
    }
}
