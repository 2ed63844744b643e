/* A database as SQL and back: the form, every kind of value and object, random databases; scripts
 * of any size; where a statement ends. */
#include "node/d1/database_internal.h"
#include "node/d1/dump.h"
#include "node/d1/statement.h"
#include "replication/base/random.h"
#include "tests/support/d1_request.h"

#include <math.h>

struct fixture {
    struct d1_store store;
    struct ps_d1_database *database;
};

static void set_up(struct fixture *f)
{
    d1_store_open(&f->store, ps_map_create_memory());
    f->database = d1_database_open(&f->store, true);
}

static void tear_down(struct fixture *f)
{
    ps_d1_database_close(f->database);
    ps_map_close(f->store.map);
}

static bool take_line(void *context, struct ps_slice text)
{
    struct ps_buf *out = context;
    assert_null(memchr(text.data, '\0', text.size));
    ps_buf_append_slice(out, text);
    ps_buf_append_char(out, '\n');
    return true;
}

static struct ps_d1_answer dump_with(struct fixture *f, struct ps_d1_dump dump, struct ps_buf *out)
{
    struct ps_d1_call call = d1_call();
    struct ps_d1_answer answer;
    out->size = 0;
    dump.line = take_line;
    dump.context = out;
    ps_d1_database_dump(f->database, &dump, &call, &answer);
    return answer;
}

static void dump(struct fixture *f, struct ps_buf *out)
{
    struct ps_d1_answer answer = dump_with(f, (struct ps_d1_dump){0}, out);
    if (answer.outcome != PS_D1_DONE) {
        fail_msg("%s", ps_buf_text(&answer.error));
    }
    ps_d1_answer_fini(&answer);
}

static struct ps_d1_answer script(struct fixture *f, struct ps_slice text)
{
    struct ps_d1_statement statement = {.sql = text};
    const struct ps_d1_request request = {.statements = &statement, .count = 1, .script = true};
    struct ps_d1_call call = d1_call();
    struct ps_d1_answer answer;
    ps_d1_database_run(f->database, &request, &call, &answer);
    return answer;
}

static void load(struct fixture *f, struct ps_slice text)
{
    struct ps_d1_answer answer = script(f, text);
    if (answer.outcome != PS_D1_DONE) {
        fail_msg("%s: %.*s", ps_buf_text(&answer.error), (int)text.size, text.data);
    }
    ps_d1_answer_fini(&answer);
}

/* ---- the form ---- */

static void expect_dump(const char *sql, struct ps_d1_dump how, const char *expected)
{
    struct fixture f;
    struct ps_buf out = {0};
    set_up(&f);
    load(&f, ps_slice_of(sql));
    struct ps_d1_answer answer = dump_with(&f, how, &out);
    assert_int_equal(answer.outcome, PS_D1_DONE);
    assert_string_equal(ps_buf_text(&out), expected);
    ps_d1_answer_fini(&answer);
    ps_buf_fini(&out);
    tear_down(&f);
}

static const char FORM[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, \"a \"\"b\" TEXT, g AS (id * 2));\n"
    "CREATE TABLE \"q t\" (x);\n"
    "INSERT INTO t(\"a \"\"b\") VALUES('it''s'),(NULL),('a\nb\\nc\r');\n"
    "INSERT INTO \"q t\" VALUES(1.5),(x'00ff'),(1e999),(-9223372036854775808),(3.0);\n"
    "CREATE VIEW v AS SELECT * FROM t;\n"
    "CREATE TRIGGER a_first INSTEAD OF INSERT ON v BEGIN SELECT 1; END;\n"
    "CREATE INDEX i ON t(\"a \"\"b\");\n";

static void test_form(void **state)
{
    (void)state;
    expect_dump(
        FORM, (struct ps_d1_dump){0},
        "PRAGMA defer_foreign_keys=TRUE;\n"
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, \"a \"\"b\" TEXT, g AS (id * 2));\n"
        "INSERT INTO \"t\" (\"id\",\"a \"\"b\") VALUES(1,'it''s');\n"
        "INSERT INTO \"t\" (\"id\",\"a \"\"b\") VALUES(2,NULL);\n"
        "INSERT INTO \"t\" (\"id\",\"a \"\"b\") "
        "VALUES(3,replace(replace('a(\\0120)b\\nc\\r','\\r',char(13)),'(\\0120)',char(10)));\n"
        "CREATE TABLE IF NOT EXISTS \"q t\" (x);\n"
        "INSERT INTO \"q t\" (\"x\") VALUES(1.5);\n"
        "INSERT INTO \"q t\" (\"x\") VALUES(X'00ff');\n"
        "INSERT INTO \"q t\" (\"x\") VALUES(9.0e+999);\n"
        "INSERT INTO \"q t\" (\"x\") VALUES(-9223372036854775808);\n"
        "INSERT INTO \"q t\" (\"x\") VALUES(3.0);\n"
        "DELETE FROM sqlite_sequence;\n"
        "INSERT INTO \"sqlite_sequence\" (\"name\",\"seq\") VALUES('t',3);\n"
        "CREATE INDEX i ON t(\"a \"\"b\");\n"
        "CREATE VIEW v AS SELECT * FROM t;\n"
        "CREATE TRIGGER a_first INSTEAD OF INSERT ON v BEGIN SELECT 1; END;\n");
}

static void test_parts(void **state)
{
    (void)state;
    const char *sql = "CREATE TABLE a(x); CREATE TABLE b(y); CREATE INDEX ax ON a(x);"
                      "INSERT INTO a VALUES(1); INSERT INTO b VALUES(2);";
    const struct ps_slice names[] = {PS_LIT("b"), PS_LIT("none")};
    expect_dump(sql, (struct ps_d1_dump){.no_data = true},
                "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE a(x);\nCREATE TABLE b(y);\n"
                "CREATE INDEX ax ON a(x);\n");
    expect_dump(sql, (struct ps_d1_dump){.no_schema = true},
                "PRAGMA defer_foreign_keys=TRUE;\nINSERT INTO \"a\" (\"x\") VALUES(1);\n"
                "INSERT INTO \"b\" (\"y\") VALUES(2);\n");
    expect_dump(sql, (struct ps_d1_dump){.tables = names, .table_count = 2},
                "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE b(y);\n"
                "INSERT INTO \"b\" (\"y\") VALUES(2);\n");
    expect_dump(
        sql,
        (struct ps_d1_dump){.tables = names, .table_count = 2, .no_schema = true, .no_data = true},
        "PRAGMA defer_foreign_keys=TRUE;\n");
}

/* As a binding asks for it, on a replica, too. */
static void test_pragma(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    load(&f, PS_LIT("CREATE TABLE t(x); INSERT INTO t VALUES('\"'); CREATE TABLE u(y);"));
    EXPECT(d1_body(f.database, "{\"sql\":\"PRAGMA miniflare_d1_export(?,?,?);\","
                               "\"params\":[0,0,\"t\"]}"),
           "[[\"PRAGMA defer_foreign_keys=TRUE;\",\"CREATE TABLE t(x);\","
           "\"INSERT INTO \\\"t\\\" (\\\"x\\\") VALUES('\\\"');\"]]");
    EXPECT(d1_body(f.database, "{\"sql\":\"PRAGMA miniflare_d1_export(?,?);\","
                               "\"params\":[false,true]}"),
           "[[\"PRAGMA defer_foreign_keys=TRUE;\",\"CREATE TABLE t(x);\",\"CREATE TABLE u(y);\"]]");
    tear_down(&f);
}

/* ---- virtual tables ---- */

static void test_virtual(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture g;
    struct ps_buf first = {0};
    struct ps_buf second = {0};
    set_up(&f);
    set_up(&g);
    load(&f, PS_LIT("CREATE VIRTUAL TABLE own USING fts5(a, b UNINDEXED, tokenize='porter');"
                    "INSERT INTO own(rowid,a,b) VALUES(7,'running dogs','x'),(-3,'cats','y');"
                    "INSERT INTO own(own, rank) VALUES('pgsz', 64);"
                    "CREATE TABLE docs(id INTEGER PRIMARY KEY, body);"
                    "CREATE VIRTUAL TABLE outer_ USING FTS5(body, content='docs', "
                    "content_rowid='id');"
                    "CREATE TRIGGER docs_in AFTER INSERT ON docs BEGIN INSERT INTO outer_(rowid, "
                    "body) VALUES(new.id, new.body); END;"
                    "INSERT INTO docs VALUES(1,'one fish'),(5,'two fish');"
                    "CREATE VIRTUAL TABLE vocab USING fts5vocab(own, 'row');"
                    "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, +label);"
                    "INSERT INTO boxes VALUES(3, 0.1, 2.7, 'b'),(1, -1e9, 16777217, x'00');"));
    dump(&f, &first);
    load(&g, ps_buf_slice(&first));
    dump(&g, &second);
    assert_string_equal(ps_buf_text(&first), ps_buf_text(&second));
    EXPECT(d1_sql(g.database, "SELECT rowid FROM own('run')"), "[{\"rowid\":7}]");
    EXPECT(d1_sql(g.database, "SELECT rowid FROM outer_('fish') ORDER BY 1"),
           "[{\"rowid\":1},{\"rowid\":5}]");
    EXPECT(d1_sql(g.database, "SELECT count(*) AS n FROM vocab"), "[{\"n\":3}]");
    EXPECT(d1_sql(g.database, "SELECT id,label FROM boxes WHERE x0<-5"),
           "[{\"id\":1,\"label\":[0]}]");
    load(&g, PS_LIT("INSERT INTO docs VALUES(6,'three fish')"));
    EXPECT(d1_sql(g.database, "SELECT count(*) AS n FROM outer_('fish')"), "[{\"n\":3}]");
    load(&g, PS_LIT("CREATE VIRTUAL TABLE bare USING fts5(a, content = '')"));
    struct ps_d1_answer answer = dump_with(&g, (struct ps_d1_dump){0}, &second);
    EXPECT(answer, "D1 Export error: cannot export an FTS5 table without content");
    ps_buf_fini(&first);
    ps_buf_fini(&second);
    tear_down(&f);
    tear_down(&g);
}

/* A child's rows stand before their parents', which are not checked until the end. */
static void test_foreign_keys(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture g;
    struct ps_buf out = {0};
    set_up(&f);
    set_up(&g);
    load(&f, PS_LIT("CREATE TABLE child(p REFERENCES parent(id) ON DELETE CASCADE);"
                    "CREATE TABLE parent(id INTEGER PRIMARY KEY);"
                    "INSERT INTO parent VALUES(1),(2); INSERT INTO child VALUES(2),(1),(2);"));
    dump(&f, &out);
    load(&g, ps_buf_slice(&out));
    EXPECT(d1_sql(g.database, "DELETE FROM parent WHERE id=2; SELECT * FROM child"), "[{\"p\":1}]");
    ps_buf_fini(&out);
    tear_down(&f);
    tear_down(&g);
}

/* ---- random databases ---- */

static void put_random_value(struct ps_rng *rng, struct ps_buf *sql)
{
    static const char *const texts[] = {"",  "it''s", "a\nb", "\\n\n\\012(\\0120)", "\r\n", "ü€😀",
                                        ";", "--",    "1e5"};
    uint64_t bits = ps_rng_u64(rng);
    double number;
    switch (ps_rng_below(rng, 9)) {
    case 0:
        ps_buf_append_text(sql, "NULL");
        return;
    case 1:
        ps_buf_printf(sql, "%lld", (long long)bits);
        return;
    case 2:
        ps_buf_printf(sql, "%d", (int)ps_rng_below(rng, 7) - 3);
        return;
    case 3:
    case 4: {
        memcpy(&number, &bits, sizeof number);
        ps_buf_printf(sql, isfinite(number) ? "%.17e" : "1e999", number);
        return;
    }
    case 5:
        ps_buf_printf(sql, "%.1f", (double)((int64_t)ps_rng_below(rng, 2000) - 1000));
        return;
    case 6:
        ps_buf_printf(sql, "x'%016llx'", (unsigned long long)bits);
        return;
    case 7:
        ps_buf_printf(sql, "CAST(x'%016llx' AS TEXT)", (unsigned long long)bits);
        return;
    default:
        ps_buf_printf(sql, "'%s'", texts[ps_rng_below(rng, sizeof texts / sizeof texts[0])]);
        return;
    }
}

/* A strict table's columns take what they say alone: TEXT, ANY, REAL, BLOB. */
static void put_strict_value(struct ps_rng *rng, size_t column, struct ps_buf *sql)
{
    unsigned long long bits = ps_rng_u64(rng);
    switch (column) {
    case 0:
        ps_buf_printf(sql, "'%llx'", bits);
        return;
    case 1:
        put_random_value(rng, sql);
        return;
    case 2:
        ps_buf_printf(sql, "%llu.25", bits);
        return;
    default:
        ps_buf_printf(sql, "x'%016llx'", bits);
        return;
    }
}

static void put_random_database(struct ps_rng *rng, struct ps_buf *sql)
{
    static const char *const tables[] = {
        "(a, b TEXT, c REAL, d INTEGER, e NUMERIC, f BLOB);\n",
        ("(a INTEGER PRIMARY KEY AUTOINCREMENT, b, c, d, e, f AS "
         "(typeof(b)));\n"),
        "(a, b, c ANY, d, e REAL, f, PRIMARY KEY(c, a)) WITHOUT ROWID;\n",
        "(a INTEGER, b TEXT, c ANY, d REAL, e BLOB, f ANY) STRICT;\n",
    };
    size_t count = 1 + (size_t)ps_rng_below(rng, 4);
    for (size_t i = 0; i < count; i++) {
        size_t kind = (size_t)ps_rng_below(rng, 4);
        ps_buf_printf(sql, "CREATE TABLE \"t%zu\"%s", i, tables[kind]);
        for (uint64_t row = ps_rng_below(rng, 12); row > 0; row--) {
            ps_buf_printf(sql, "INSERT OR IGNORE INTO \"t%zu\"(b,c,d,e%s) VALUES(", i,
                          kind == 2 ? ",a" : "");
            for (size_t k = 0; k < (kind == 2 ? 5 : 4); k++) {
                ps_buf_append_text(sql, k > 0 ? "," : "");
                if (kind == 3) {
                    put_strict_value(rng, k, sql);
                } else {
                    put_random_value(rng, sql);
                }
            }
            ps_buf_append_text(sql, ");\n");
        }
        if (ps_rng_below(rng, 2) == 0) {
            ps_buf_printf(sql, "CREATE INDEX \"i%zu\" ON \"t%zu\"(c, b);\n", i, i);
            ps_buf_printf(sql, "CREATE VIEW \"a%zu\" AS SELECT * FROM \"t%zu\";\n", i, i);
            ps_buf_printf(sql,
                          "CREATE TRIGGER \"z%zu\" AFTER DELETE ON \"t%zu\" BEGIN\n SELECT ';'; "
                          "SELECT 2;\nEND;\n",
                          i, i);
        }
        if (ps_rng_below(rng, 4) == 0) {
            ps_buf_append_text(sql, "ANALYZE;\n");
        }
    }
}

/* What a database holds, read by SQLite alone: values by type and bytes. */
static void put_content(sqlite3 *db, struct ps_buf *out)
{
    sqlite3_stmt *names;
    sqlite3_stmt *rows;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT type,name,sql FROM sqlite_schema WHERE sql IS NOT "
                                        "NULL AND name NOT LIKE 'sqlite_stat%' ORDER BY 1,2",
                                        -1, &names, NULL),
                     SQLITE_OK);
    while (sqlite3_step(names) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(names, 0);
        const char *name = (const char *)sqlite3_column_text(names, 1);
        const char *sql = (const char *)sqlite3_column_text(names, 2);
        const char *body = strchr(sql, '(');
        ps_buf_printf(out, "%s %s %s\n", type, name, body == NULL ? sql : body);
        if (strcmp(type, "table") != 0) {
            continue;
        }
        char select[200];
        (void)snprintf(select, sizeof select, "SELECT * FROM \"%s\" NOT INDEXED", name);
        assert_int_equal(sqlite3_prepare_v2(db, select, -1, &rows, NULL), SQLITE_OK);
        while (sqlite3_step(rows) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(rows); i++) {
                double number = sqlite3_column_double(rows, i);
                uint64_t bits;
                int kind = sqlite3_column_type(rows, i);
                memcpy(&bits, &number, sizeof bits);
                ps_buf_printf(out, "%d ", kind);
                if (kind == SQLITE_FLOAT) {
                    ps_buf_printf(out, "%llx|", (unsigned long long)bits);
                    continue;
                }
                ps_buf_append(out, sqlite3_column_blob(rows, i),
                              (size_t)sqlite3_column_bytes(rows, i));
                ps_buf_append_char(out, '|');
            }
            ps_buf_append_char(out, '\n');
        }
        sqlite3_finalize(rows);
    }
    sqlite3_finalize(names);
}

static void put_content_of_dump(struct ps_buf *sql, struct ps_buf *out)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    if (sqlite3_exec(db, ps_buf_text(sql), NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", error, ps_buf_text(sql));
    }
    put_content(db, out);
    sqlite3_close(db);
}

static void check_random_database(uint64_t seed)
{
    struct ps_rng rng = {.seed = seed};
    struct fixture f;
    struct fixture g;
    struct ps_buf sql = {0};
    struct ps_buf dumps[2] = {{0}};
    struct ps_buf contents[3] = {{0}};
    set_up(&f);
    set_up(&g);
    put_random_database(&rng, &sql);
    load(&f, ps_buf_slice(&sql));
    dump(&f, &dumps[0]);
    load(&g, ps_buf_slice(&dumps[0]));
    dump(&g, &dumps[1]);
    assert_string_equal(ps_buf_text(&dumps[0]), ps_buf_text(&dumps[1]));
    f.database->trusted = true;
    g.database->trusted = true;
    put_content(f.database->db, &contents[0]);
    put_content(g.database->db, &contents[1]);
    put_content_of_dump(&dumps[0], &contents[2]);
    for (size_t i = 1; i < 3; i++) {
        if (!ps_slice_eq(ps_buf_slice(&contents[0]), ps_buf_slice(&contents[i]))) {
            fail_msg("seed %d, copy %zu:\n%s\nnot\n%s\nby\n%s", (int)seed, i,
                     ps_buf_text(&contents[i]), ps_buf_text(&contents[0]), ps_buf_text(&dumps[0]));
        }
    }
    for (size_t i = 0; i < 3; i++) {
        ps_buf_fini(&contents[i]);
        ps_buf_fini(&dumps[i == 2 ? 0 : i]);
    }
    ps_buf_fini(&sql);
    tear_down(&f);
    tear_down(&g);
}

static void test_random(void **state)
{
    (void)state;
    const char *rounds = getenv("PS_DUMP_ROUNDS");
    uint64_t count = rounds == NULL ? 150 : strtoull(rounds, NULL, 10);
    for (uint64_t seed = 1; seed <= count; seed++) {
        check_random_database(seed);
    }
}

/* ---- scripts ---- */

static void test_script(void **state)
{
    (void)state;
    struct fixture f;
    struct ps_buf text = {0};
    set_up(&f);
    ps_buf_append_text(&text, "-- a file; of SQL\nCREATE TABLE t(x, y);;\n/* ; */ CREATE TRIGGER g "
                              "AFTER DELETE ON t BEGIN UPDATE t SET y=1; SELECT 2; END;\n");
    for (size_t i = 0; i < 20000; i++) {
        ps_buf_printf(&text, "INSERT INTO t(x) VALUES('row; %zu');\n", i);
    }
    ps_buf_append_text(&text, "DROP TRIGGER g; SELECT * FROM t; -- the end");
    assert_true(text.size > 500000);
    struct ps_d1_answer answer = script(&f, ps_buf_slice(&text));
    assert_int_equal(answer.outcome, PS_D1_DONE);
    assert_int_equal(answer.statement_count, 20004);
    assert_int_equal(answer.result_count, 1);
    assert_int_equal(answer.results[0].meta.changes, 20000);
    assert_true(answer.results[0].meta.changed_db);
    assert_true(answer.results[0].meta.rows_written >= 20000);
    assert_true(answer.results[0].meta.rows_read >= 20000);
    ps_d1_answer_fini(&answer);
    EXPECT(d1_sql(f.database, "SELECT count(*) AS n, max(x) AS m FROM t"),
           "[{\"n\":20000,\"m\":\"row; 9999\"}]");
    ps_buf_fini(&text);
    tear_down(&f);
}

static void test_script_failures(void **state)
{
    (void)state;
    struct fixture f;
    struct ps_buf text = {0};
    set_up(&f);
    EXPECT(script(&f, PS_LIT("CREATE TABLE t(x); INSERT INTO nope VALUES(1);")),
           "no such table: nope: SQLITE_ERROR");
    EXPECT(d1_sql(f.database, "SELECT count(*) AS n FROM sqlite_schema"), "[{\"n\":0}]");
    EXPECT(script(&f, PS_LIT("")), "No SQL statements detected.");
    EXPECT(script(&f, PS_LIT(" -- nothing\n ; ;")), "No SQL statements detected.");
    EXPECT(script(&f, PS_LIT("SELECT ?1;")), "Wrong number of parameter bindings for SQL query.");
    EXPECT(script(&f, (struct ps_slice){"SELECT 1;\0SELECT 2;", 19}),
           "The file holds a NUL byte, so it is no text of SQL.");
    ps_buf_append_text(&text, "CREATE TABLE t(x); INSERT INTO t VALUES('");
    for (size_t i = 0; i < 100000; i++) {
        ps_buf_append_char(&text, 'a');
    }
    ps_buf_append_text(&text, "');");
    EXPECT(script(&f, ps_buf_slice(&text)), "statement too long: SQLITE_TOOBIG");
    struct ps_d1_answer answer = script(&f, PS_LIT("BEGIN TRANSACTION; COMMIT;"));
    assert_int_equal(answer.outcome, PS_D1_FAILED);
    assert_non_null(strstr(ps_buf_text(&answer.error), "To execute a transaction"));
    ps_d1_answer_fini(&answer);
    ps_buf_fini(&text);
    tear_down(&f);
}

/* ---- where a statement ends ---- */

static void test_statement_size(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"", 0},
        {"SELECT 1", 8},
        {"SELECT 1; SELECT 2;", 9},
        {";;", 1},
        {"SELECT ';'; x", 11},
        {"SELECT \";\"; x", 11},
        {"SELECT [;]; x", 11},
        {"SELECT `;`; x", 11},
        {"SELECT 'it'';'; x", 15},
        {"-- ;\nx; y", 7},
        {"/* ; */x; y", 9},
        {"SELECT 1 - - 2; x", 15},
        {"SELECT '", 8},
        {"/*", 2},
        {"--", 2},
        {"create trigger a begin x; end; y", 30},
        {"CREATE TEMP TRIGGER a BEGIN x; END; y", 35},
        {"explain query plan create trigger a begin x; /**/ end ; y", 55},
        {"CREATE TRIGGER a BEGIN SELECT CASE 1 WHEN 2 THEN 3 END; END; y", 60},
        {"explain plak create trigger a begin x; e d ; y", 46},
        {"explain temp create trigger a begin x; y", 38},
        {"explain 'x' 1 create trigger a begin x; end; y", 44},
        {"CREATE TABLE trigger(x); y", 24},
        {"CREATE TRIGGER a BEGIN x; ending; END; y", 38},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = ps_d1_statement_size(ps_slice_of(cases[i].text));
        if (size != cases[i].size) {
            fail_msg("%s: %zu not %zu", cases[i].text, size, cases[i].size);
        }
    }
}

/* The end is where sqlite3_complete first holds. */
static void test_statement_size_random(void **state)
{
    (void)state;

    static const char *const words[] = {"CREATE ", "TRIGGER ",   "TEMP ", "END", "end ", ";",  ";",
                                        "; ",      "EXPLAIN ",   "x",     " ",   "'",    "\"", "[",
                                        "]",       "--",         "\n",    "/*",  "*/",   "1",  "-",
                                        "é",       "TEMPORARY ", "BEGIN "};

    static const char *const starts[] = {"",
                                         "",
                                         "CREATE ",
                                         "EXPLAIN ",
                                         "EXPLAIN 1 x CREATE ",
                                         "CREATE TRIGGER ",
                                         "EXPLAIN CREATE TEMP TRIGGER "};

    struct ps_rng rng = {.seed = 3};
    for (size_t round = 0; round < 20000; round++) {
        struct ps_buf text = {0};
        struct ps_buf prefix = {0};
        ps_buf_append_text(&text, starts[ps_rng_below(&rng, sizeof starts / sizeof starts[0])]);
        for (uint64_t i = 1 + ps_rng_below(&rng, 14); i > 0; i--) {
            ps_buf_append_text(&text, words[ps_rng_below(&rng, sizeof words / sizeof words[0])]);
        }
        size_t expected = text.size;
        for (size_t size = 1; size <= text.size; size++) {
            prefix.size = 0;
            ps_buf_append(&prefix, text.data, size);
            if (text.data[size - 1] == ';' && sqlite3_complete(ps_buf_text(&prefix)) != 0) {
                expected = size;
                break;
            }
        }
        size_t found = ps_d1_statement_size(ps_buf_slice(&text));
        if (found != expected) {
            fail_msg("%s: %zu not %zu", ps_buf_text(&text), found, expected);
        }
        ps_buf_fini(&text);
        ps_buf_fini(&prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),           cmocka_unit_test(test_parts),
        cmocka_unit_test(test_pragma),         cmocka_unit_test(test_virtual),
        cmocka_unit_test(test_foreign_keys),   cmocka_unit_test(test_random),
        cmocka_unit_test(test_script),         cmocka_unit_test(test_script_failures),
        cmocka_unit_test(test_statement_size), cmocka_unit_test(test_statement_size_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
