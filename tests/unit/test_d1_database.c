/* Requests to a D1 database: formats, parameters, one transaction a request, the replica's part,
 * what is handed in (time, chance, the deadline), and what is too much. */
#include "node/d1/database_internal.h"
#include "tests/support/d1_request.h"

struct fixture {
    struct d1_store home;
    struct d1_store replica;
    struct ps_d1_database *primary;
    struct ps_d1_database *reader;
};

static void set_up(struct fixture *f)
{
    d1_store_open(&f->home, ps_map_create_memory());
    d1_store_open(&f->replica, ps_map_create_memory());
    f->primary = d1_database_open(&f->home, true);
    f->reader = d1_database_open(&f->replica, false);
}

static void tear_down(struct fixture *f)
{
    ps_d1_database_close(f->primary);
    ps_d1_database_close(f->reader);
    ps_map_close(f->home.map);
    ps_map_close(f->replica.map);
}

static struct ps_d1_answer with_format(struct ps_d1_database *database, const char *body,
                                       enum ps_d1_format format, bool each)
{
    struct ps_d1_call call = d1_call();
    return d1_body_with(database, body, format, each, &call);
}

static void test_formats(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    const char *sql = "{\"sql\":\"SELECT 1 AS a, 'x' AS b, 2 AS a UNION ALL SELECT NULL, x'00ff', "
                      "1.5\"}";
    EXPECT(with_format(f.primary, sql, PS_D1_ROWS_AND_COLUMNS, false),
           "{\"columns\":[\"a\",\"b\",\"a\"],\"rows\":[[1,\"x\",2],[null,[0,255],1.5]]}");
    EXPECT(with_format(f.primary, sql, PS_D1_ARRAY_OF_OBJECTS, false),
           "[{\"b\":\"x\",\"a\":2},{\"b\":[0,255],\"a\":1.5}]");
    EXPECT(with_format(f.primary, "{\"sql\":\"CREATE TABLE t(x)\"}", PS_D1_ROWS_AND_COLUMNS, false),
           "{\"columns\":[],\"rows\":[]}");
    EXPECT(with_format(f.primary, "{\"sql\":\"SELECT x AS \\\"a\\\"\\\"\\n\\\" FROM t\"}",
                       PS_D1_ROWS_AND_COLUMNS, false),
           "{\"columns\":[\"a\\\"\\n\"],\"rows\":[]}");
    assert_int_equal(ps_d1_format_of(PS_LIT("ROWS_AND_COLUMNS")), PS_D1_ROWS_AND_COLUMNS);
    assert_int_equal(ps_d1_format_of(PS_LIT("NONE")), PS_D1_ARRAY_OF_OBJECTS);
    assert_int_equal(ps_d1_format_of(PS_LIT("")), PS_D1_ARRAY_OF_OBJECTS);
    tear_down(&f);
}

static void test_numbers(void **state)
{
    (void)state;

    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {-17, "-17"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1e21, "1e+21"},
        {1e20, "100000000000000000000"},
        {123456789012345680.0, "123456789012345680"},
        {9007199254740992.0, "9007199254740992"},
        {9007199254740994.0, "9007199254740994"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {1.5e-9, "1.5e-9"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {123.456, "123.456"},
        {4.35, "4.35"},
        {0.000001234, "0.000001234"},
        {1e300 * 1e300, "null"},
        {-1e300 * 1e300, "null"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_buf buf = {0};
        ps_d1_put_number(&buf, cases[i].number);
        assert_string_equal(ps_buf_text(&buf), cases[i].text);
        ps_buf_fini(&buf);
    }
}

static void test_parameters(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_body(f.primary, "{\"sql\":\"SELECT typeof(?1) a, typeof(?2) b, typeof(?3) c, "
                              "typeof(?4) d, typeof(?5) e, hex(?4) f, typeof(?6) g\","
                              "\"params\":[1,\"x\",null,[1,2,255],true,[]]}"),
           "[{\"a\":\"real\",\"b\":\"text\",\"c\":\"null\",\"d\":\"blob\",\"e\":\"real\","
           "\"f\":\"0102FF\",\"g\":\"blob\"}]");
    EXPECT(d1_body(f.primary, "{\"sql\":\"CREATE TABLE t(i INTEGER, r REAL, t TEXT, n)\"}"), "[]");
    EXPECT(d1_body(f.primary, "{\"sql\":\"INSERT INTO t VALUES(?,?,?,?) RETURNING typeof(i) i, "
                              "typeof(r) r, t, typeof(n) n\",\"params\":[1,1,1,1]}"),
           "[{\"i\":\"integer\",\"r\":\"real\",\"t\":\"1.0\",\"n\":\"real\"}]");
    EXPECT(d1_body(f.primary, "{\"sql\":\"SELECT ? AS x, length(?1) AS l\",\"params\":[\"a\\u0000b"
                              "\"]}"),
           "[{\"x\":\"a\\u0000b\",\"l\":1}]");
    EXPECT(d1_body(f.primary, "{\"sql\":\"SELECT ?\",\"params\":[]}"),
           "Wrong number of parameter bindings for SQL query.");
    tear_down(&f);
}

static void test_a_batch_is_one_transaction(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_body(f.primary, "[{\"sql\":\"CREATE TABLE t(x UNIQUE)\"},"
                              "{\"sql\":\"INSERT INTO t VALUES(?)\",\"params\":[1]},"
                              "{\"sql\":\"SELECT * FROM t\"}]"),
           "[{\"x\":1}]");
    assert_int_equal(f.home.commits, 1);
    EXPECT(d1_body(f.primary, "[{\"sql\":\"INSERT INTO t VALUES(2)\"},"
                              "{\"sql\":\"INSERT INTO t VALUES(1)\"}]"),
           "UNIQUE constraint failed: t.x: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)");
    EXPECT(d1_sql(f.primary, "INSERT INTO t VALUES(3); INSERT OR ROLLBACK INTO t VALUES(1)"),
           "UNIQUE constraint failed: t.x: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)");
    EXPECT(d1_sql(f.primary, "INSERT INTO t VALUES(4); BEGIN"),
           "To execute a transaction, please use the state.storage.transaction() or "
           "state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
           "statements. The JavaScript API is safer because it will automatically roll back on "
           "exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
           "write coalescing.");
    EXPECT(d1_sql(f.primary, "SELECT * FROM t"), "[{\"x\":1}]");
    assert_int_equal(f.home.commits, 1);
    tear_down(&f);
}

/* Broken only at the end: the commit fails, with all of it. */
static void test_deferred_foreign_keys(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_sql(f.primary, "CREATE TABLE p(id INTEGER PRIMARY KEY);"
                             "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"),
           "[]");
    EXPECT(d1_sql(f.primary, "INSERT INTO c VALUES(1)"),
           "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: "
           "SQLITE_CONSTRAINT_FOREIGNKEY)");
    EXPECT(d1_sql(f.primary, "INSERT INTO c VALUES(1); INSERT INTO p VALUES(1)"), "[]");
    EXPECT(
        d1_sql(f.primary, "PRAGMA defer_foreign_keys=on; DELETE FROM p; INSERT INTO p VALUES(1)"),
        "[]");
    EXPECT(d1_sql(f.primary, "SELECT count(*) n FROM c, p"), "[{\"n\":1}]");
    tear_down(&f);
}

static void test_commit_fails(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_sql(f.primary, "CREATE TABLE t(x)"), "[]");
    f.home.refuse = PS_IO;
    struct ps_d1_answer answer = d1_sql(f.primary, "INSERT INTO t VALUES(1)");
    assert_int_equal(answer.outcome, PS_D1_FAILED);
    assert_int_equal(answer.status, PS_IO);
    assert_int_equal(answer.result_count, 0);
    EXPECT(answer, "Internal error in D1 DB storage caused object to be reset.");
    f.home.refuse = PS_FULL;
    EXPECT(d1_sql(f.primary, "INSERT INTO t VALUES(1)"), "database or disk is full: SQLITE_FULL");
    f.home.refuse = PS_OK;
    EXPECT(d1_sql(f.primary, "SELECT * FROM t"), "[]");
    EXPECT(d1_sql(f.primary, "INSERT INTO t VALUES(2) RETURNING x"), "[{\"x\":2}]");
    tear_down(&f);
}

/* A text of several statements: the binding gets the last one's rows, REST one result each. */
static void test_several_statements(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    const char *body = "{\"sql\":\"CREATE TABLE t(x); INSERT INTO t VALUES(1),(2); "
                       "SELECT * FROM t WHERE x > ?; -- the end\",\"params\":[1]}";
    EXPECT(with_format(f.primary, body, PS_D1_ARRAY_OF_OBJECTS, false),
           "When executing multiple SQL statements in a single call, only the last statement can "
           "have parameters.");
    body = "{\"sql\":\"CREATE TABLE t(x); INSERT INTO t VALUES(1),(2); SELECT * FROM t; -- end\"}";
    EXPECT(with_format(f.primary, body, PS_D1_ARRAY_OF_OBJECTS, false),
           "SQL code did not contain a statement.");
    struct ps_d1_answer answer = with_format(f.primary, body, PS_D1_ARRAY_OF_OBJECTS, true);
    if (answer.outcome != PS_D1_DONE) {
        fail_msg("%s", ps_buf_text(&answer.error));
    }
    assert_int_equal(answer.result_count, 3);
    assert_int_equal(answer.results[0].meta.rows_written, 2);
    assert_int_equal(answer.results[1].meta.changes, 2);
    assert_int_equal(answer.results[2].meta.rows_read, 2);
    assert_int_equal(answer.results[2].meta.changes, 0);
    EXPECT(answer, "[{\"x\":1},{\"x\":2}]");
    EXPECT(with_format(f.primary, "{\"sql\":\"SELECT 1; SELECT ?\",\"params\":[3]}",
                       PS_D1_ARRAY_OF_OBJECTS, true),
           "[{\"?\":3}]");
    EXPECT(with_format(f.primary, "{\"sql\":\"SELECT ?; SELECT 1\",\"params\":[3]}",
                       PS_D1_ARRAY_OF_OBJECTS, true),
           "When executing multiple SQL statements in a single call, only the last statement can "
           "have parameters.");
    EXPECT(d1_sql(f.primary,
                  "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;\r\n"
                  "SELECT 'a;b' AS s"),
           "[{\"s\":\"a;b\"}]");
    tear_down(&f);
}

static void test_nothing_to_run(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_body(f.primary, "[]"), "No SQL statements detected.");
    EXPECT(d1_body(f.primary, "[{\"sql\":\"\"},{\"sql\":\" \\n\"}]"),
           "No SQL statements detected.");
    EXPECT(d1_body(f.primary, "[{\"sql\":\"\"},{\"sql\":\"SELECT 1 a\"}]"), "[{\"a\":1}]");
    EXPECT(d1_body(f.primary, "{\"sql\":\"/* nothing */\"}"),
           "SQL code did not contain a statement.");
    EXPECT(d1_body(f.primary, "{\"sql\":\"SELECT 1 \\u0000 x\"}"),
           "SQL code did not contain a statement.");
    tear_down(&f);
}

static void test_replica(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_sql(f.reader, "SELECT * FROM t"), "no such table: t: SQLITE_ERROR");
    EXPECT(d1_sql(f.reader, "CREATE TABLE t(x)"), "to primary");
    EXPECT(d1_sql(f.primary, "CREATE TABLE t(x); INSERT INTO t VALUES(1)"), "[]");
    EXPECT(d1_sql(f.reader, "SELECT * FROM t"), "no such table: t: SQLITE_ERROR");
    d1_replicate(&f.home, &f.replica);
    EXPECT(d1_sql(f.reader, "PRAGMA table_info(t)"),
           "[{\"cid\":0,\"name\":\"x\",\"type\":\"\",\"notnull\":0,\"dflt_value\":null,"
           "\"pk\":0}]");
    struct ps_d1_answer answer = d1_sql(f.reader, "SELECT * FROM t");
    assert_int_equal(answer.lsn, 1);
    EXPECT(answer, "[{\"x\":1}]");
    EXPECT(d1_sql(f.reader, "INSERT INTO t VALUES(2)"), "to primary");
    EXPECT(d1_sql(f.reader, "SELECT 1; DELETE FROM t"), "to primary");
    EXPECT(d1_body(f.reader, "[{\"sql\":\"SELECT 1\"},{\"sql\":\"UPDATE t SET x = 3\"}]"),
           "to primary");
    EXPECT(d1_sql(f.reader, "PRAGMA optimize"), "[]");
    EXPECT(d1_sql(f.reader, "EXPLAIN QUERY PLAN DELETE FROM t WHERE x = 1"),
           "[{\"id\":3,\"parent\":0,\"notused\":216,\"detail\":\"SCAN t\"}]");
    EXPECT(d1_sql(f.reader, "ATTACH ':memory:' AS other"), "not authorized: SQLITE_AUTH");
    EXPECT(d1_sql(f.reader, "SELECT * FROM t"), "[{\"x\":1}]");

    /* At an older LSN, in one snapshot for the whole request. */
    EXPECT(d1_sql(f.primary, "UPDATE t SET x = 2"), "[]");
    d1_replicate(&f.home, &f.replica);
    struct ps_d1_call call = d1_call();
    call.view.lsn = 1;
    answer = d1_body_with(f.reader, "[{\"sql\":\"SELECT x FROM t\"},{\"sql\":\"SELECT x FROM t\"}]",
                          PS_D1_ARRAY_OF_OBJECTS, false, &call);
    assert_int_equal(answer.lsn, 1);
    EXPECT(answer, "[{\"x\":1}]");
    call.view.lsn = 9;
    answer = d1_body_with(f.reader, "{\"sql\":\"SELECT x FROM t\"}", PS_D1_ARRAY_OF_OBJECTS, false,
                          &call);
    assert_int_equal(answer.status, PS_BEHIND);
    EXPECT(answer, "Internal error in D1 DB storage caused object to be reset.");
    EXPECT(d1_sql(f.reader, "SELECT x FROM t"), "[{\"x\":2}]");
    assert_int_equal(f.replica.commits, 0);
    tear_down(&f);
}

static void test_writes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);

    static const struct {
        const char *sql;
        bool writes;
    } cases[] = {
        {"SELECT 1", false},
        {"SELECT 1; SELECT 2", false},
        {"CREATE TABLE t(x)", true},
        {"SELECT 1; CREATE TABLE t(x)", true},
        {"WITH a AS (SELECT 1) SELECT * FROM a", false},
        {"EXPLAIN CREATE TABLE t(x)", false},
        {"PRAGMA table_list", false},
        {"PRAGMA foreign_keys=on", false},
        {"INSERT INTO nope VALUES(1)", false},
        {"nonsense", false},
        {"BEGIN", false},
        {"ATTACH ':memory:' AS x", false},
        {"", false},
        {"-- nothing", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_d1_statement statement = {.sql = ps_slice_of(cases[i].sql)};
        const struct ps_d1_request request = {.statements = &statement, .count = 1};
        if (ps_d1_database_writes(f.primary, &request) != cases[i].writes) {
            fail_msg("%s", cases[i].sql);
        }
    }
    tear_down(&f);
}

/* --- what is handed in --- */

struct deadline {
    int looks; /* until it is over */
};

static bool is_over(void *context)
{
    struct deadline *deadline = context;
    return deadline->looks-- <= 0;
}

static void test_deadline(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_sql(f.primary, "CREATE TABLE t(x)"), "[]");
    struct deadline deadline = {.looks = 20};
    struct ps_d1_call call = d1_call();
    call.expired = is_over;
    call.context = &deadline;
    EXPECT(d1_body_with(f.primary,
                        "[{\"sql\":\"INSERT INTO t VALUES(1)\"},{\"sql\":\"WITH RECURSIVE n(i) AS "
                        "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n\"}]",
                        PS_D1_ARRAY_OF_OBJECTS, false, &call),
           "D1 DB storage operation exceeded timeout which caused object to be reset.");
    EXPECT(d1_sql(f.primary, "SELECT * FROM t"), "[]");
    deadline.looks = 1000000;
    EXPECT(d1_body_with(f.primary, "{\"sql\":\"SELECT count(*) n FROM t\"}", PS_D1_ARRAY_OF_OBJECTS,
                        false, &call),
           "[{\"n\":0}]");
    tear_down(&f);
}

static char *random_values(struct ps_d1_database *database, uint64_t seed)
{
    struct ps_d1_call call = d1_call();
    call.seed = seed;
    struct ps_d1_answer answer =
        d1_body_with(database,
                     "{\"sql\":\"SELECT random() AS a, random() AS b, hex(randomblob(11)) AS c, "
                     "length(randomblob(-1)) AS d\"}",
                     PS_D1_ARRAY_OF_OBJECTS, false, &call);
    char *text = ps_strndup(answer.results[0].rows.data, answer.results[0].rows.size);
    ps_d1_answer_fini(&answer);
    return text;
}

static void test_chance_and_time(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    char *one = random_values(f.primary, 1);
    char *again = random_values(f.reader, 1);
    char *other = random_values(f.primary, 2);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    json_t *row = json_loads(one, 0, NULL);
    json_t *values = json_array_get(row, 0);
    assert_false(json_equal(json_object_get(values, "a"), json_object_get(values, "b")));
    assert_int_equal(json_string_length(json_object_get(values, "c")), 22);
    assert_int_equal(json_integer_value(json_object_get(values, "d")), 1);
    json_decref(row);
    free(one);
    free(again);
    free(other);
    EXPECT(d1_sql(f.primary, "SELECT CURRENT_TIMESTAMP AS t"), "[{\"t\":\"2023-11-14 22:13:20\"}]");
    EXPECT(d1_sql(f.primary, "CREATE TABLE t(x, at TEXT DEFAULT CURRENT_TIMESTAMP, "
                             "r INTEGER DEFAULT (abs(random()) % 10 >= 0)); INSERT INTO t(x) "
                             "VALUES(1) RETURNING at, r"),
           "[{\"at\":\"2023-11-14 22:13:20\",\"r\":1}]");
    EXPECT(d1_sql(f.primary, "CREATE INDEX tr ON t(random())"),
           "non-deterministic functions prohibited in index expressions at offset 21: "
           "SQLITE_ERROR");
    EXPECT(d1_sql(f.primary, "SELECT randomblob(2000001)"),
           "string or blob too big: SQLITE_TOOBIG");
    tear_down(&f);
}

static uint64_t ticking(void *context)
{
    uint64_t *now_ns = context;
    *now_ns += 1234567;
    return *now_ns;
}

static void test_answers(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    uint64_t now_ns = 5;
    struct ps_d1_call call = d1_call();
    call.now_ns = ticking;
    call.context = &now_ns;
    struct ps_d1_answer answer = d1_body_with(
        f.primary, "[{\"sql\":\"CREATE TABLE t(x)\"},{\"sql\":\"INSERT INTO t VALUES(1)\"}]",
        PS_D1_ROWS_AND_COLUMNS, false, &call);
    assert_int_equal(answer.lsn, 1);
    struct ps_buf buf = {0};
    const struct ps_d1_served served = {"v3-prod", "WEUR", "AMS", true, 2};
    ps_d1_answer_write(&buf, &answer, true, &served);
    assert_string_equal(
        ps_buf_text(&buf),
        "[{\"success\":true,\"results\":{\"columns\":[],\"rows\":[]},\"meta\":{\"served_by\":"
        "\"v3-prod\",\"served_by_region\":\"WEUR\",\"served_by_colo\":\"AMS\","
        "\"served_by_primary\":true,\"timings\":{\"sql_duration_ms\":1.2345},\"duration\":1.2345,"
        "\"changes\":0,\"last_row_id\":0,\"changed_db\":true,\"size_after\":8192,\"rows_read\":1,"
        "\"rows_written\":2,\"total_attempts\":2}},"
        "{\"success\":true,\"results\":{\"columns\":[],\"rows\":[]},\"meta\":{\"served_by\":"
        "\"v3-prod\",\"served_by_region\":\"WEUR\",\"served_by_colo\":\"AMS\","
        "\"served_by_primary\":true,\"timings\":{\"sql_duration_ms\":1.2345},\"duration\":1.2345,"
        "\"changes\":1,\"last_row_id\":1,\"changed_db\":true,\"size_after\":8192,\"rows_read\":0,"
        "\"rows_written\":1,\"total_attempts\":2}}]");
    ps_d1_answer_fini(&answer);

    answer = d1_sql(f.primary, "SELECT x FROM t");
    const struct ps_d1_served local = {.by = "miniflare.db"};
    buf.size = 0;
    ps_d1_answer_write(&buf, &answer, false, &local);
    assert_string_equal(
        ps_buf_text(&buf),
        "{\"success\":true,\"results\":[{\"x\":1}],\"meta\":{\"served_by\":\"miniflare.db\","
        "\"duration\":0,\"changes\":0,\"last_row_id\":1,\"changed_db\":false,\"size_after\":8192,"
        "\"rows_read\":1,\"rows_written\":0}}");
    ps_d1_answer_fini(&answer);

    answer = d1_sql(f.primary, "SELECT \"");
    buf.size = 0;
    ps_d1_answer_write(&buf, &answer, true, &local);
    assert_string_equal(ps_buf_text(&buf),
                        "{\"success\":false,\"error\":\"unrecognized token: \\\"\\\"\\\" at offset "
                        "7: SQLITE_ERROR\"}");
    ps_d1_answer_fini(&answer);
    ps_buf_fini(&buf);
    tear_down(&f);
}

/* --- too much --- */

static void test_limits(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    EXPECT(d1_sql(f.primary, "SELECT length(zeroblob(2000000)) n"), "[{\"n\":2000000}]");
    EXPECT(d1_sql(f.primary, "SELECT zeroblob(2000001)"), "string or blob too big: SQLITE_TOOBIG");
    EXPECT(d1_sql(f.primary, "CREATE TABLE t(a, b); INSERT INTO t VALUES(zeroblob(1500000), "
                             "zeroblob(1500000))"),
           "string or blob too big: SQLITE_TOOBIG");
    struct ps_buf body = {0};
    ps_buf_append_text(&body, "{\"sql\":\"SELECT length(?) n\",\"params\":[\"");
    for (int i = 0; i < 2000001; i++) {
        ps_buf_append_char(&body, 'a');
    }
    ps_buf_append_text(&body, "\"]}");
    EXPECT(d1_body(f.primary, ps_buf_text(&body)), "string or blob too big: SQLITE_TOOBIG");
    body.size = 0;
    ps_buf_append_text(&body, "{\"sql\":\"SELECT 1");
    for (int i = 0; i < 100000; i++) {
        ps_buf_append_char(&body, ' ');
    }
    ps_buf_append_text(&body, "+1\"}");
    EXPECT(d1_body(f.primary, ps_buf_text(&body)), "statement too long: SQLITE_TOOBIG");
    ps_buf_fini(&body);
    EXPECT(d1_sql(f.primary, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                             "i < 100) SELECT zeroblob(1000000) FROM n"),
           "D1 DB's isolate exceeded its memory limit and was reset.");
    EXPECT(d1_sql(f.primary, "SELECT 1 AS a"), "[{\"a\":1}]");
    tear_down(&f);
}

static void test_size_limit(void **state)
{
    (void)state;
    struct d1_store home;
    d1_store_open(&home, ps_map_create_memory());
    const struct ps_pages_config config = {
        .map = home.map,
        .store = home.store,
        .commit = d1_commit,
        .context = &home,
        .page_count_max = 10,
    };
    struct ps_d1_database *database;
    assert_int_equal(ps_d1_database_open(&config, &database, NULL), PS_OK);
    EXPECT(d1_sql(database, "CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(50000))"),
           "database or disk is full: SQLITE_FULL");
    EXPECT(d1_sql(database, "CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(5000))"), "[]");
    ps_d1_database_close(database);
    ps_map_close(home.map);
}

/* A replica's connection that has seen a record (to find out what a statement does) is asked for
 * the state before it, and then for it again: every order of the LSNs gives each its own answer. */
static void test_views_in_any_order(void **state)
{
    (void)state;
    static const char *const expected[] = {"no such table: t: SQLITE_ERROR", "[{\"n\":1}]",
                                           "[{\"n\":2}]", "[{\"n\":3}]"};

    enum { STATES = sizeof expected / sizeof expected[0], STEPS = 5 };
    struct d1_store home;
    d1_store_open(&home, ps_map_create_memory());
    struct ps_d1_database *primary = d1_database_open(&home, true);
    EXPECT(d1_sql(primary, "CREATE TABLE t(x); INSERT INTO t VALUES(1)"), "[]");
    EXPECT(d1_sql(primary, "INSERT INTO t VALUES(2)"), "[]");
    EXPECT(d1_sql(primary, "INSERT INTO t VALUES(3)"), "[]");
    unsigned orders = 1;
    for (int i = 0; i < STEPS; i++) {
        orders *= STATES;
    }
    for (unsigned order = 0; order < orders; order++) {
        struct ps_d1_database *reader = d1_database_open(&home, false);
        unsigned left = order;
        for (int i = 0; i < STEPS; i++) {
            struct ps_d1_call call = d1_call();
            call.view.lsn = left % STATES;
            left /= STATES;
            struct ps_d1_answer answer =
                d1_body_with(reader, "{\"sql\":\"SELECT count(*) n FROM t\"}",
                             PS_D1_ARRAY_OF_OBJECTS, false, &call);
            assert_int_equal(answer.lsn, call.view.lsn);
            EXPECT(answer, expected[call.view.lsn]);
        }
        ps_d1_database_close(reader);
    }
    ps_d1_database_close(primary);
    ps_map_close(home.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_a_batch_is_one_transaction),
        cmocka_unit_test(test_deferred_foreign_keys),
        cmocka_unit_test(test_commit_fails),
        cmocka_unit_test(test_several_statements),
        cmocka_unit_test(test_nothing_to_run),
        cmocka_unit_test(test_replica),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_chance_and_time),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_views_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
