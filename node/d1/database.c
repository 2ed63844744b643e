#include "node/d1/database.h"

#include "node/d1/database_internal.h"
#include "node/d1/statement.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <limits.h>
#include <string.h>

/* Steps of SQLite's machine between two looks at the time: some tens of microseconds. */
enum { STEPS_PER_LOOK = 4096 };

/* --- opening --- */

static struct sqlite3_stmt *prepare_own(struct ps_d1_database *database, const char *sql)
{
    struct sqlite3_stmt *statement = NULL;
    database->trusted = true;
    int rc = sqlite3_prepare_v3(database->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    database->trusted = false;
    PS_ASSERT(rc == SQLITE_OK || ps_pages_status(database->pages) != PS_OK);
    return statement;
}

static int step_own(struct ps_d1_database *database, struct sqlite3_stmt *statement)
{
    database->trusted = true;
    int rc = sqlite3_step(statement);
    database->trusted = false;
    return rc;
}

int ps_d1_run_own(struct ps_d1_database *database, struct sqlite3_stmt *statement)
{
    int rc = step_own(database, statement);
    int end = sqlite3_reset(statement);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

enum ps_status ps_d1_database_open(const struct ps_pages_config *config,
                                   struct ps_d1_database **ret, struct ps_error *err)
{
    struct ps_pages_config with_size = *config;
    if (with_size.page_count_max == 0) {
        with_size.page_count_max = PS_D1_SIZE_MAX_PAGES;
    }
    struct ps_d1_database *database = PS_NEW(struct ps_d1_database);
    enum ps_status status = ps_pages_open(&with_size, &database->pages, err);
    if (status != PS_OK) {
        free(database);
        return status;
    }
    database->db = ps_pages_db(database->pages);
    database->writes = config->commit != NULL;
    status = ps_d1_policy_set(database);
    if (status == PS_OK) {
        database->begin = prepare_own(database, "BEGIN");
        database->commit = prepare_own(database, "COMMIT");
        database->rollback = prepare_own(database, "ROLLBACK");
        database->page_count = prepare_own(database, "PRAGMA page_count");
        database->free_count = prepare_own(database, "PRAGMA freelist_count");
        status = ps_pages_status(database->pages);
    }
    if (status != PS_OK) {
        ps_d1_database_close(database);
        return ps_fail(err, status, "open the database: %s", ps_status_text(status));
    }
    *ret = database;
    return PS_OK;
}

void ps_d1_database_close(struct ps_d1_database *database)
{
    if (database != NULL) {
        ps_d1_cache_clear(database);
        sqlite3_finalize(database->begin);
        sqlite3_finalize(database->commit);
        sqlite3_finalize(database->rollback);
        sqlite3_finalize(database->page_count);
        sqlite3_finalize(database->free_count);
        ps_pages_close(database->pages);
        free(database);
    }
}

struct ps_pages *ps_d1_database_pages(struct ps_d1_database *database)
{
    return database->pages;
}

/* --- one statement --- */

struct run {
    struct ps_d1_database *database;
    const struct ps_d1_request *request;
    struct ps_d1_answer *answer;
    size_t capacity;
    uint64_t size_bytes; /* of the database, now */
    size_t rows_bytes;   /* of all results */
};

static bool fail(struct run *run, const char *text)
{
    run->answer->outcome = PS_D1_FAILED;
    ps_buf_append_text(&run->answer->error, text);
    return false;
}

void ps_d1_fail_sqlite(struct ps_d1_database *database, struct ps_d1_answer *answer)
{
    bool readonly = (sqlite3_errcode(database->db) & 0xFF) == SQLITE_READONLY;
    if (readonly && !database->writes && ps_pages_status(database->pages) == PS_OK) {
        answer->outcome = PS_D1_TO_PRIMARY;
        return;
    }
    answer->outcome = PS_D1_FAILED;
    answer->status = ps_pages_status(database->pages);
    ps_d1_put_error(&answer->error, database);
}

static bool fail_sqlite(struct run *run)
{
    ps_d1_fail_sqlite(run->database, run->answer);
    return false;
}

static uint64_t now_ns(const struct run *run)
{
    const struct ps_d1_call *call = run->database->call;
    return call->now_ns == NULL ? 0 : call->now_ns(call->context);
}

static bool read_number(struct run *run, struct sqlite3_stmt *statement, int64_t *ret)
{
    bool found = step_own(run->database, statement) == SQLITE_ROW;
    *ret = found ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    return found || fail_sqlite(run);
}

/* D1 counts the pages in use. */
static bool read_size(struct run *run)
{
    struct ps_d1_database *database = run->database;
    int64_t all;
    int64_t unused;
    if (!read_number(run, database->page_count, &all) ||
        !read_number(run, database->free_count, &unused)) {
        return false;
    }
    run->size_bytes = (uint64_t)(all - unused) * (uint64_t)PS_PAGE_SIZE;
    return true;
}

/* PRAGMA optimize writes and yet calls itself read-only. */
static bool has_written(const struct run *run)
{
    return sqlite3_txn_state(run->database->db, "main") == SQLITE_TXN_WRITE;
}

static struct ps_d1_result *add_result(struct run *run)
{
    struct ps_d1_answer *answer = run->answer;
    answer->results =
        ps_grow(answer->results, answer->result_count, &run->capacity, sizeof *answer->results);
    struct ps_d1_result *result = &answer->results[answer->result_count++];
    *result = (struct ps_d1_result){0};
    return result;
}

/* What was before the statements that one result stands for. */
struct before {
    sqlite3_int64 changes;
    sqlite3_int64 row_id;
    uint64_t size_bytes;
    uint64_t start_ns;
};

static struct before before(const struct run *run)
{
    return (struct before){
        .changes = sqlite3_total_changes64(run->database->db),
        .row_id = sqlite3_last_insert_rowid(run->database->db),
        .size_bytes = run->size_bytes,
        .start_ns = now_ns(run),
    };
}

static void fill_meta(struct run *run, const struct before *before, struct sqlite3_stmt *statement,
                      struct ps_d1_meta *ret)
{
    struct sqlite3 *db = run->database->db;
    *ret = (struct ps_d1_meta){
        .changes = (uint64_t)(sqlite3_total_changes64(db) - before->changes),
        .last_row_id = sqlite3_last_insert_rowid(db),
        .size_after = run->size_bytes,
        .duration_ns = now_ns(run) - before->start_ns,
    };
    if (statement != NULL) {
        ret->rows_read = (uint64_t)sqlite3_stmt_status(statement, PS_STATUS_ROWS_READ, 0);
        ret->rows_written = (uint64_t)sqlite3_stmt_status(statement, PS_STATUS_ROWS_WRITTEN, 0);
    }
    ret->changed_db = ret->changes != 0 || ret->last_row_id != before->row_id ||
                      run->size_bytes != before->size_bytes;
}

static int bind(struct sqlite3_stmt *statement, int at, const struct ps_d1_value *value)
{
    const char *bytes = value->bytes.size == 0 ? "" : value->bytes.data;
    switch (value->kind) {
    case PS_D1_NUMBER:
        return sqlite3_bind_double(statement, at, value->number);
    case PS_D1_TEXT:
        return sqlite3_bind_text64(statement, at, bytes, value->bytes.size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case PS_D1_BLOB:
        return sqlite3_bind_blob64(statement, at, bytes, value->bytes.size, SQLITE_STATIC);
    case PS_D1_NULL:
    default:
        return sqlite3_bind_null(statement, at);
    }
}

static bool bind_all(struct run *run, struct sqlite3_stmt *statement,
                     const struct ps_d1_statement *text)
{
    if ((size_t)sqlite3_bind_parameter_count(statement) != text->param_count) {
        return fail(run, "Wrong number of parameter bindings for SQL query.");
    }
    for (size_t i = 0; i < text->param_count; i++) {
        if (bind(statement, (int)i + 1, &text->params[i]) != SQLITE_OK) {
            return fail_sqlite(run);
        }
    }
    return true;
}

/* Run a statement to its end, for its rows. */
static bool run_for_rows(struct run *run, struct sqlite3_stmt *statement,
                         const struct before *since)
{
    struct ps_d1_result *result = add_result(run);
    struct ps_d1_rows rows = {.out = &result->rows, .format = run->request->format};
    ps_d1_rows_begin(&rows, statement);
    int rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
        ps_d1_rows_add(&rows, statement);
        if (run->rows_bytes + result->rows.size > PS_D1_RESULTS_SIZE_MAX) {
            return fail(run, "D1 DB's isolate exceeded its memory limit and was reset.");
        }
    }
    ps_d1_rows_end(&rows);
    run->rows_bytes += result->rows.size;
    if (rc != SQLITE_DONE) {
        return fail_sqlite(run);
    }
    if (has_written(run) && !read_size(run)) {
        return false;
    }
    fill_meta(run, since, statement, &result->meta);
    return true;
}

/* Run a statement for what it does: one step does it. */
static bool run_for_effect(struct run *run, struct sqlite3_stmt *statement)
{
    if (sqlite3_bind_parameter_count(statement) != 0) {
        return fail(run, "When executing multiple SQL statements in a single call, only the last "
                         "statement can have parameters.");
    }
    int rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        return fail_sqlite(run);
    }
    return !has_written(run) || read_size(run);
}

/* --- a text of statements --- */

/* The next statement of *text, which moves behind it; it is given back, whatever becomes of it.
 * False: an error. A statement of NULL: only comments. */
static bool prepare_next(struct run *run, struct ps_slice *text, struct ps_d1_prepared *ret)
{
    run->database->transaction_refused = false;
    if (ps_d1_prepare(run->database, *text, ret) != SQLITE_OK) {
        return fail_sqlite(run);
    }
    *text = ps_d1_skip_blanks((struct ps_slice){text->data + ret->used, text->size - ret->used});
    return true;
}

static bool run_statement(struct run *run, const struct ps_d1_statement *text, struct ps_slice left,
                          struct sqlite3_stmt *statement, struct before *since)
{
    /* The parameters are the last statement's. */
    const struct ps_d1_statement without = {.sql = text->sql};
    bool last = left.size == 0;
    if (!last && (!run->request->each || sqlite3_bind_parameter_count(statement) != 0)) {
        return run_for_effect(run, statement);
    }
    if (!bind_all(run, statement, last ? text : &without) || !run_for_rows(run, statement, since)) {
        return false;
    }
    *since = before(run);
    return true;
}

static bool run_text(struct run *run, const struct ps_d1_statement *text)
{
    struct before since = before(run);
    struct ps_slice left = text->sql;
    bool any = false;
    do {
        struct ps_d1_prepared prepared;
        if (!prepare_next(run, &left, &prepared)) {
            return false;
        }
        if (prepared.statement == NULL) {
            /* Comments alone, which are no statement; behind others where each counts they are. */
            return (any && run->request->each) ||
                   fail(run, "SQL code did not contain a statement.");
        }
        bool done = run_statement(run, text, left, prepared.statement, &since);
        ps_d1_give_back(run->database, &prepared);
        if (!done) {
            return false;
        }
        any = true;
    } while (left.size > 0);
    return true;
}

/* --- a script --- */

/* One statement of a script, which may be comments alone. */
static bool run_one_of_script(struct run *run, struct ps_slice text, struct ps_d1_meta *sum)
{
    while (text.size > 0) {
        struct ps_d1_prepared prepared;
        if (!prepare_next(run, &text, &prepared)) {
            return false;
        }
        struct sqlite3_stmt *statement = prepared.statement;
        if (statement == NULL) {
            return true;
        }
        bool done = sqlite3_bind_parameter_count(statement) == 0 ||
                    fail(run, "Wrong number of parameter bindings for SQL query.");
        int rc = SQLITE_ROW;
        while (done && rc == SQLITE_ROW) {
            rc = sqlite3_step(statement);
        }
        done = done && (rc == SQLITE_DONE || fail_sqlite(run));
        sum->rows_read += (uint64_t)sqlite3_stmt_status(statement, PS_STATUS_ROWS_READ, 0);
        sum->rows_written += (uint64_t)sqlite3_stmt_status(statement, PS_STATUS_ROWS_WRITTEN, 0);
        run->answer->statement_count++;
        ps_d1_give_back(run->database, &prepared);
        if (!done) {
            return false;
        }
    }
    return true;
}

/* A text of any size for what it does: its statements obey the limits one by one. */
static bool run_script(struct run *run, struct ps_slice text)
{
    struct before since = before(run);
    struct ps_d1_meta sum = {0};
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) {
        return fail(run, "The file holds a NUL byte, so it is no text of SQL.");
    }
    for (text = ps_d1_skip_blanks(text); text.size > 0; text = ps_d1_skip_blanks(text)) {
        size_t size = ps_d1_statement_size(text);
        if (size > INT_MAX) {
            return fail(run, "statement too long: SQLITE_TOOBIG");
        }
        if (!run_one_of_script(run, (struct ps_slice){text.data, size}, &sum)) {
            return false;
        }
        text = (struct ps_slice){text.data + size, text.size - size};
    }
    if (run->answer->statement_count == 0) {
        return fail(run, "No SQL statements detected.");
    }
    if (!read_size(run)) {
        return false;
    }
    struct ps_d1_result *result = add_result(run);
    ps_buf_append_text(&result->rows, "[]");
    fill_meta(run, &since, NULL, &result->meta);
    result->meta.rows_read = sum.rows_read;
    result->meta.rows_written = sum.rows_written;
    return true;
}

/* --- what writes --- */

static bool text_writes(struct ps_d1_database *database, struct ps_slice text)
{
    bool writes = false;
    while (!writes && text.size > 0) {
        struct ps_d1_prepared prepared;
        if (ps_d1_prepare(database, text, &prepared) != SQLITE_OK || prepared.statement == NULL) {
            break;
        }
        writes = !sqlite3_stmt_readonly(prepared.statement) &&
                 !sqlite3_stmt_isexplain(prepared.statement);
        text = ps_d1_skip_blanks(
            (struct ps_slice){text.data + prepared.used, text.size - prepared.used});
        ps_d1_give_back(database, &prepared);
    }
    return writes;
}

static bool request_writes(struct ps_d1_database *database, const struct ps_d1_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (text_writes(database, request->statements[i].sql)) {
            return true;
        }
    }
    return false;
}

/* --- a request --- */

static int look_at_time(void *context)
{
    struct ps_d1_database *database = context;
    database->expired = database->call->expired(database->call->context);
    return database->expired ? 1 : 0;
}

static bool is_blank(const struct ps_d1_statement *statement)
{
    return ps_d1_skip_blanks(statement->sql).size == 0;
}

static bool run_all(struct run *run)
{
    const struct ps_d1_request *request = run->request;
    struct ps_d1_database *database = run->database;
    if (ps_d1_run_own(database, database->begin) != SQLITE_OK) {
        return fail_sqlite(run);
    }
    if (!read_size(run)) {
        return false;
    }
    if (!request->script) {
        ps_d1_cache_begin(database); /* a script's statements hardly come again */
    }
    if (!database->writes && request_writes(database, request)) {
        run->answer->outcome = PS_D1_TO_PRIMARY;
        return false;
    }
    size_t texts = 0;
    for (size_t i = 0; i < request->count; i++) {
        if (is_blank(&request->statements[i])) {
            continue;
        }
        texts++;
        if (request->script ? !run_script(run, request->statements[i].sql)
                            : !run_text(run, &request->statements[i])) {
            return false;
        }
    }
    if (texts == 0) {
        return fail(run, "No SQL statements detected.");
    }
    return ps_d1_run_own(database, database->commit) == SQLITE_OK || fail_sqlite(run);
}

static void drop_results(struct ps_d1_answer *answer)
{
    for (size_t i = 0; i < answer->result_count; i++) {
        ps_buf_fini(&answer->results[i].rows);
    }
    free(answer->results);
    answer->results = NULL;
    answer->result_count = 0;
}

void ps_d1_call_begin(struct ps_d1_database *database, const struct ps_d1_call *call)
{
    database->call = call;
    database->drawn = 0;
    database->expired = false;
    database->transaction_refused = false;
    ps_pages_set_view(database->pages, &call->view);
    sqlite3_progress_handler(database->db, call->expired == NULL ? 0 : STEPS_PER_LOOK,
                             call->expired == NULL ? NULL : look_at_time, database);
}

void ps_d1_call_end(struct ps_d1_database *database)
{
    sqlite3_progress_handler(database->db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(database->db)) {
        (void)ps_d1_run_own(database, database->rollback);
    }
    PS_ASSERT(sqlite3_get_autocommit(database->db));
    ps_d1_cache_end(database);
    database->call = NULL;
}

void ps_d1_database_run(struct ps_d1_database *database, const struct ps_d1_request *request,
                        const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    *ret = (struct ps_d1_answer){.outcome = PS_D1_DONE};
    if (ps_d1_asks_for_dump(request)) {
        ps_d1_run_dump(database, request, call, ret);
        return;
    }
    struct run run = {.database = database, .request = request, .answer = ret};
    ps_d1_call_begin(database, call);
    (void)run_all(&run);
    ps_d1_call_end(database);
    if (ret->outcome != PS_D1_DONE) {
        drop_results(ret);
    }
    ret->lsn = ps_pages_lsn(database->pages);
}

void ps_d1_answer_fini(struct ps_d1_answer *answer)
{
    drop_results(answer);
    ps_buf_fini(&answer->error);
    *answer = (struct ps_d1_answer){.outcome = PS_D1_FAILED};
}

/* In a transaction, so that all of its texts are held against one schema. */
bool ps_d1_database_writes(struct ps_d1_database *database, const struct ps_d1_request *request)
{
    if (ps_d1_run_own(database, database->begin) == SQLITE_OK &&
        ps_d1_run_own(database, database->page_count) == SQLITE_OK) {
        ps_d1_cache_begin(database);
    }
    bool writes = request_writes(database, request);
    ps_d1_cache_end(database);
    if (!sqlite3_get_autocommit(database->db)) {
        (void)ps_d1_run_own(database, database->rollback);
    }
    return writes;
}
