#include "node/d1/dump.h"

#include "node/d1/database_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A dump under way. What returns false has failed, and said so in the answer. */
struct dumper {
    struct ps_d1_database *database;
    const struct ps_d1_dump *dump;
    struct ps_d1_answer *answer;
    struct ps_buf line;
    struct ps_buf made;         /* names of the tables that the dump has made, each behind a NUL */
    struct sqlite3_stmt *quote; /* a number as SQLite writes it */
};

static bool fail(struct dumper *dumper, const char *text)
{
    dumper->answer->outcome = PS_D1_FAILED;
    ps_buf_append_text(&dumper->answer->error, text);
    return false;
}

static bool fail_sqlite(struct dumper *dumper)
{
    ps_d1_fail_sqlite(dumper->database, dumper->answer);
    return false;
}

/* Hand the line over and begin the next. */
static bool emit(struct dumper *dumper)
{
    bool taken = dumper->dump->line(dumper->dump->context, ps_buf_slice(&dumper->line));
    dumper->line.size = 0;
    if (!taken) {
        dumper->answer->status = PS_IO;
        return fail(dumper, "D1 Export error: the dump could not be stored.");
    }
    return true;
}

static bool emit_text(struct dumper *dumper, const char *text)
{
    ps_buf_append_text(&dumper->line, text);
    return emit(dumper);
}

/* ---- SQL of ours ---- */

static struct sqlite3_stmt *prepare(struct dumper *dumper, struct ps_slice sql)
{
    struct sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(dumper->database->db, sql.data, (int)sql.size, &statement, NULL) !=
        SQLITE_OK) {
        (void)fail_sqlite(dumper);
    }
    return statement;
}

/* The next row. False at the end, or when it failed: *ret_whole tells. */
static bool next(struct dumper *dumper, struct sqlite3_stmt *statement, bool *ret_whole)
{
    int rc = sqlite3_step(statement);
    *ret_whole = rc == SQLITE_DONE || rc == SQLITE_ROW || fail_sqlite(dumper);
    return rc == SQLITE_ROW;
}

static struct ps_slice text_of(struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return (struct ps_slice){text == NULL ? "" : text,
                             (size_t)sqlite3_column_bytes(statement, column)};
}

/* ---- names and values ---- */

static void put_doubled(struct ps_buf *buf, struct ps_slice text, char quote)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == quote) {
            ps_buf_append_char(buf, quote);
        }
        ps_buf_append_char(buf, text.data[i]);
    }
}

static void put_name(struct ps_buf *buf, struct ps_slice name)
{
    ps_buf_append_char(buf, '"');
    put_doubled(buf, name, '"');
    ps_buf_append_char(buf, '"');
}

static void put_blob(struct ps_buf *buf, struct ps_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    ps_buf_append_text(buf, "X'");
    ps_buf_reserve(buf, 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        ps_buf_append_char(buf, digits[byte >> 4]);
        ps_buf_append_char(buf, digits[byte & 15]);
    }
    ps_buf_append_char(buf, '\'');
}

/* How many bytes of UTF-8 (RFC 3629) stand at `at`; 0: none. */
static size_t utf8_at(struct ps_slice text, size_t at)
{
    const unsigned char *bytes = (const unsigned char *)text.data + at;
    unsigned char first = bytes[0];
    size_t size = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
    if (size == 0 || text.size - at < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool wrong = (first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
                 (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f);
    return wrong ? 0 : size;
}

/* Can it stand in a text of SQL, and in JSON? */
static bool is_plain(struct ps_slice text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t size = text.data[at] == 0 ? 0 : utf8_at(text, at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

/* A text that does not stand in `text`, for a byte that is taken out of it. */
static void choose_unused(struct ps_slice text, const char *plain, const char *number, char ret[24])
{
    (void)snprintf(ret, 24, "%s", plain);
    for (unsigned i = 0; memmem(text.data, text.size, ret, strlen(ret)) != NULL; i++) {
        (void)snprintf(ret, 24, "(%s%u)", number, i);
    }
}

static void put_replaced(struct ps_buf *buf, struct ps_slice text, const char *line_feed,
                         const char *carriage_return)
{
    ps_buf_append_char(buf, '\'');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\n') {
            ps_buf_append_text(buf, line_feed);
        } else if (c == '\r') {
            ps_buf_append_text(buf, carriage_return);
        } else {
            put_doubled(buf, (struct ps_slice){&text.data[i], 1}, '\'');
        }
    }
    ps_buf_append_char(buf, '\'');
}

/* So that a statement stays in its line, line ends are put in by replace(), as sqlite3's shell
 * does.
 */
static void put_text(struct ps_buf *buf, struct ps_slice text)
{
    if (text.size == 0) {
        ps_buf_append_text(buf, "''");
        return;
    }
    if (!is_plain(text)) {
        ps_buf_append_text(buf, "CAST(");
        put_blob(buf, text);
        ps_buf_append_text(buf, " AS TEXT)");
        return;
    }
    bool lf = memchr(text.data, '\n', text.size) != NULL;
    bool cr = memchr(text.data, '\r', text.size) != NULL;
    char line_feed[24] = "";
    char carriage_return[24] = "";
    if (lf) {
        choose_unused(text, "\\n", "\\012", line_feed);
    }
    if (cr) {
        choose_unused(text, "\\r", "\\015", carriage_return);
    }
    ps_buf_append_text(buf, lf ? "replace(" : "");
    ps_buf_append_text(buf, cr ? "replace(" : "");
    put_replaced(buf, text, line_feed, carriage_return);
    if (cr) {
        ps_buf_printf(buf, ",'%s',char(13))", carriage_return);
    }
    if (lf) {
        ps_buf_printf(buf, ",'%s',char(10))", line_feed);
    }
}

static bool put_real(struct dumper *dumper, double number)
{
    (void)sqlite3_bind_double(dumper->quote, 1, number);
    bool done = sqlite3_step(dumper->quote) == SQLITE_ROW;
    if (done) {
        ps_buf_append_slice(&dumper->line, text_of(dumper->quote, 0));
    }
    (void)sqlite3_reset(dumper->quote);
    return done || fail_sqlite(dumper);
}

static bool put_value(struct dumper *dumper, struct sqlite3_stmt *row, int column)
{
    struct ps_buf *line = &dumper->line;
    const void *blob;
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        ps_buf_printf(line, "%lld", sqlite3_column_int64(row, column));
        return true;
    case SQLITE_FLOAT:
        return put_real(dumper, sqlite3_column_double(row, column));
    case SQLITE_TEXT:
        put_text(line, text_of(row, column));
        return true;
    case SQLITE_BLOB:
        blob = sqlite3_column_blob(row, column);
        put_blob(line, (struct ps_slice){blob == NULL ? "" : blob,
                                         (size_t)sqlite3_column_bytes(row, column)});
        return true;
    default:
        ps_buf_append_text(line, "NULL");
        return true;
    }
}

/* ---- rows ---- */

/* The columns that an INSERT sets: no generated and no hidden ones. */
static bool put_columns(struct dumper *dumper, struct ps_slice table, struct ps_buf *ret)
{
    struct sqlite3_stmt *names = prepare(
        dumper, PS_LIT("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden=0 ORDER BY cid"));
    if (names == NULL) {
        return false;
    }
    bool whole;
    (void)sqlite3_bind_text64(names, 1, table.data, table.size, SQLITE_STATIC, SQLITE_UTF8);
    while (next(dumper, names, &whole)) {
        ps_buf_append_text(ret, ret->size > 0 ? "," : "");
        put_name(ret, text_of(names, 0));
    }
    sqlite3_finalize(names);
    return whole;
}

static bool put_row(struct dumper *dumper, struct ps_slice head, struct sqlite3_stmt *rows)
{
    int count = sqlite3_column_count(rows);
    ps_buf_append_slice(&dumper->line, head);
    for (int i = 0; i < count; i++) {
        ps_buf_append_text(&dumper->line, i > 0 ? "," : "");
        if (!put_value(dumper, rows, i)) {
            return false;
        }
    }
    ps_buf_append_text(&dumper->line, ");");
    return emit(dumper);
}

/* An INSERT for each row that `select` gives; `head` is what stands before its values. */
static bool put_rows(struct dumper *dumper, struct ps_slice head, struct ps_slice select)
{
    struct sqlite3_stmt *rows = prepare(dumper, select);
    bool whole = rows != NULL;
    while (whole && next(dumper, rows, &whole)) {
        whole = put_row(dumper, head, rows);
    }
    sqlite3_finalize(rows);
    return whole;
}

/* All rows of a table; `first` is a column more, or empty; `how` what follows the table's name. */
static bool put_table_rows(struct dumper *dumper, struct ps_slice table, const char *first,
                           const char *how)
{
    struct ps_buf columns = {0};
    struct ps_buf head = {0};
    struct ps_buf select = {0};
    ps_buf_append_text(&columns, first);
    bool done = put_columns(dumper, table, &columns);
    if (done && columns.size > 0) {
        ps_buf_append_text(&head, "INSERT INTO ");
        put_name(&head, table);
        ps_buf_printf(&head, " (%s) VALUES(", ps_buf_text(&columns));
        ps_buf_printf(&select, "SELECT %s FROM ", ps_buf_text(&columns));
        put_name(&select, table);
        ps_buf_append_text(&select, how);
        done = put_rows(dumper, ps_buf_slice(&head), ps_buf_slice(&select));
    }
    ps_buf_fini(&columns);
    ps_buf_fini(&head);
    ps_buf_fini(&select);
    return done;
}

/* ---- tables ---- */

static bool is_wanted(const struct dumper *dumper, struct ps_slice name)
{
    const struct ps_d1_dump *dump = dumper->dump;
    bool wanted = dump->table_count == 0;
    for (size_t i = 0; i < dump->table_count && !wanted; i++) {
        wanted = ps_slice_eq(dump->tables[i], name);
    }
    return wanted;
}

static bool put_sequence(struct dumper *dumper, struct ps_slice name)
{
    return dumper->dump->no_data || (emit_text(dumper, "DELETE FROM sqlite_sequence;") &&
                                     put_table_rows(dumper, name, "", ""));
}

static bool put_statistics(struct dumper *dumper, struct ps_slice name)
{
    return (dumper->dump->no_schema || emit_text(dumper, "ANALYZE sqlite_schema;")) &&
           (dumper->dump->no_data || put_table_rows(dumper, name, "", ""));
}

static bool is_virtual(struct ps_slice sql)
{
    return ps_slice_starts(sql, PS_LIT("CREATE VIRTUAL TABLE"));
}

static bool put_create(struct dumper *dumper, struct ps_slice name, struct ps_slice sql)
{
    static const char create[] = "CREATE TABLE ";
    const size_t size = sizeof create - 1;
    size_t before = dumper->made.size;
    ps_buf_append_char(&dumper->made, '\0');
    ps_buf_append_slice(&dumper->made, name);
    ps_buf_append_char(&dumper->made, '\0');
    size_t entry = dumper->made.size - before;
    if (dumper->dump->no_schema ||
        memmem(dumper->made.data, before, dumper->made.data + before, entry) != NULL) {
        dumper->made.size = before;
        return true;
    }
    /* As the service does it: what has a quoted name is made only if it is not there. */
    bool quoted = ps_slice_starts(sql, PS_LIT(create)) && sql.size > size &&
                  (sql.data[size] == '"' || sql.data[size] == '\'');
    if (quoted) {
        ps_buf_append_text(&dumper->line, "CREATE TABLE IF NOT EXISTS ");
        sql = (struct ps_slice){sql.data + size, sql.size - size};
    }
    ps_buf_append_slice(&dumper->line, sql);
    ps_buf_append_char(&dumper->line, ';');
    return emit(dumper);
}

/* Rows cannot be put into a table while one that it refers to is not there, checked later or not.
 */
static bool put_parents(struct dumper *dumper, struct ps_slice name)
{
    struct sqlite3_stmt *parents =
        prepare(dumper, PS_LIT("SELECT s.name,s.sql FROM pragma_foreign_key_list(?1) AS f JOIN "
                               "sqlite_schema AS s ON s.name=f.\"table\" COLLATE NOCASE AND "
                               "s.type='table' GROUP BY s.rowid ORDER BY s.rowid"));
    if (parents == NULL) {
        return false;
    }
    bool whole;
    (void)sqlite3_bind_text64(parents, 1, name.data, name.size, SQLITE_STATIC, SQLITE_UTF8);
    while (next(dumper, parents, &whole)) {
        struct ps_slice parent = text_of(parents, 0);
        struct ps_slice sql = text_of(parents, 1);
        if (is_wanted(dumper, parent) && !is_virtual(sql) && !put_create(dumper, parent, sql)) {
            whole = false;
            break;
        }
    }
    sqlite3_finalize(parents);
    return whole;
}

static bool put_ordinary(struct dumper *dumper, struct ps_slice name, struct ps_slice sql)
{
    if (!put_create(dumper, name, sql)) {
        return false;
    }
    /* NOT INDEXED: in the order of the table itself. */
    return dumper->dump->no_data ||
           (put_parents(dumper, name) && put_table_rows(dumper, name, "", " NOT INDEXED"));
}

/* A virtual table's own tables are made with it. */
static bool find_table(struct dumper *dumper, const char *sql, struct ps_slice name, bool *ret)
{
    struct sqlite3_stmt *found = prepare(dumper, ps_slice_of(sql));
    bool whole = found != NULL;
    if (whole) {
        (void)sqlite3_bind_text64(found, 1, name.data, name.size, SQLITE_STATIC, SQLITE_UTF8);
        *ret = next(dumper, found, &whole);
    }
    sqlite3_finalize(found);
    return whole;
}

static bool put_one_table(struct dumper *dumper, struct ps_slice name, struct ps_slice sql)
{
    bool shadow = false;
    if (!is_wanted(dumper, name) || is_virtual(sql) || ps_slice_starts(name, PS_LIT("_cf_"))) {
        return true;
    }
    if (ps_slice_eq(name, PS_LIT("sqlite_sequence"))) {
        return put_sequence(dumper, name);
    }
    if (ps_slice_starts(name, PS_LIT("sqlite_stat"))) {
        return put_statistics(dumper, name);
    }
    return find_table(dumper,
                      "SELECT 1 FROM pragma_table_list WHERE schema='main' AND type='shadow' AND "
                      "name=?1",
                      name, &shadow) &&
           (shadow || put_ordinary(dumper, name, sql));
}

/* ---- virtual tables ---- */

/* What an option of an FTS5 table is set to; empty with *ret_found false when it is not named. */
static bool has_empty_content(struct ps_slice sql)
{
    const char *end = sql.data + sql.size;
    for (const char *at = sql.data; at < end; at++) {
        if ((size_t)(end - at) < 7 || strncasecmp(at, "content", 7) != 0) {
            continue;
        }
        const char *after = at + 7;
        while (after < end && memchr(" \t\r\n=", *after, 5) != NULL) {
            after++;
        }
        if (end - after >= 2 && (*after == '\'' || *after == '"') && after[1] == *after) {
            return true;
        }
    }
    return false;
}

static bool is_module(struct ps_slice sql, const char *module)
{
    struct ps_slice left = sql;
    for (;;) {
        const char *using = memmem(left.data, left.size, "USING ", 6);
        if (using == NULL) {
            return false;
        }
        left = (struct ps_slice){using + 6, left.size - (size_t)(using + 6 - left.data)};
        size_t size = strlen(module);
        if (left.size >= size && strncasecmp(left.data, module, size) == 0) {
            return true;
        }
    }
}

/* Its settings, which are rows of a table of its own. */
static bool put_settings(struct dumper *dumper, struct ps_slice name)
{
    struct ps_buf head = {0};
    struct ps_buf select = {0};
    struct ps_buf config = {0};
    ps_buf_append_text(&head, "INSERT INTO ");
    put_name(&head, name);
    ps_buf_append_text(&head, " (");
    put_name(&head, name);
    ps_buf_append_text(&head, ",rank) VALUES(");
    ps_buf_append_slice(&config, name);
    ps_buf_append_text(&config, "_config");
    ps_buf_append_text(&select, "SELECT k,v FROM ");
    put_name(&select, ps_buf_slice(&config));
    ps_buf_append_text(&select, " WHERE k<>'version'");
    bool done = put_rows(dumper, ps_buf_slice(&head), ps_buf_slice(&select));
    ps_buf_fini(&head);
    ps_buf_fini(&select);
    ps_buf_fini(&config);
    return done;
}

static bool put_fts5(struct dumper *dumper, struct ps_slice name)
{
    bool own = false;
    if (!put_settings(dumper, name) ||
        !find_table(dumper, "SELECT 1 FROM sqlite_schema WHERE name=?1||'_content'", name, &own)) {
        return false;
    }
    if (own) {
        return put_table_rows(dumper, name, "rowid", "");
    }
    ps_buf_append_text(&dumper->line, "INSERT INTO ");
    put_name(&dumper->line, name);
    ps_buf_append_text(&dumper->line, " (");
    put_name(&dumper->line, name);
    ps_buf_append_text(&dumper->line, ") VALUES('rebuild');");
    return emit(dumper);
}

static bool put_virtual(struct dumper *dumper, struct ps_slice name, struct ps_slice sql)
{
    if (!is_wanted(dumper, name) || !is_virtual(sql) || ps_slice_starts(name, PS_LIT("_cf_"))) {
        return true;
    }
    bool fts5 = is_module(sql, "fts5") && !is_module(sql, "fts5vocab");
    if (fts5 && has_empty_content(sql) && !dumper->dump->no_data) {
        return fail(dumper, "D1 Export error: cannot export an FTS5 table without content");
    }
    if (!dumper->dump->no_schema) {
        ps_buf_append_slice(&dumper->line, sql);
        ps_buf_append_char(&dumper->line, ';');
        if (!emit(dumper)) {
            return false;
        }
    }
    if (dumper->dump->no_data) {
        return true;
    }
    return fts5 ? put_fts5(dumper, name)
                : !is_module(sql, "rtree") || put_table_rows(dumper, name, "", "");
}

/* ---- the schema ---- */

static bool put_other(struct dumper *dumper, struct ps_slice name, struct ps_slice sql)
{
    if (!is_wanted(dumper, name)) {
        return true;
    }
    ps_buf_append_slice(&dumper->line, sql);
    ps_buf_append_char(&dumper->line, ';');
    return emit(dumper);
}

/* Each object of the schema that the SQL selects. */
static bool each(struct dumper *dumper, const char *sql,
                 bool (*put)(struct dumper *dumper, struct ps_slice name, struct ps_slice sql))
{
    struct sqlite3_stmt *objects = prepare(dumper, ps_slice_of(sql));
    bool whole = objects != NULL;
    while (whole && next(dumper, objects, &whole)) {
        whole = put(dumper, text_of(objects, 0), text_of(objects, 1));
    }
    sqlite3_finalize(objects);
    return whole;
}

static bool put_all(struct dumper *dumper)
{
    static const char tables[] =
        "SELECT name,sql FROM sqlite_schema WHERE type='table' AND sql IS NOT NULL "
        "ORDER BY tbl_name='sqlite_sequence',rowid";
    /* A view before the triggers on it. */
    static const char others[] =
        "SELECT name,sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN "
        "('index','view','trigger') ORDER BY type='trigger',type,rowid";
    return emit_text(dumper, "PRAGMA defer_foreign_keys=TRUE;") &&
           each(dumper, tables, put_one_table) && each(dumper, tables, put_virtual) &&
           (dumper->dump->no_schema || each(dumper, others, put_other));
}

void ps_d1_database_dump(struct ps_d1_database *database, const struct ps_d1_dump *dump,
                         const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    *ret = (struct ps_d1_answer){.outcome = PS_D1_DONE};
    struct dumper dumper = {.database = database, .dump = dump, .answer = ret};
    ps_d1_call_begin(database, call);
    database->trusted = true;
    if (ps_d1_run_own(database, database->begin) != SQLITE_OK) {
        (void)fail_sqlite(&dumper);
    } else {
        database->trusted = true; /* it is on for one statement of ours only */
        dumper.quote = prepare(&dumper, PS_LIT("SELECT quote(?1)"));
        (void)(dumper.quote != NULL && put_all(&dumper));
    }
    sqlite3_finalize(dumper.quote);
    database->trusted = false;
    ps_buf_fini(&dumper.line);
    ps_buf_fini(&dumper.made);
    ps_d1_call_end(database);
    ret->lsn = ps_pages_lsn(database->pages);
}
