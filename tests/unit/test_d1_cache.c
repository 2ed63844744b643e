/* Statements that were prepared before answer as those that are prepared anew: rows, counters,
 * errors, whatever the schema has become meanwhile, at home and on a replica at any LSN. */
#include "node/d1/database_internal.h"
#include "replication/base/random.h"
#include "tests/support/d1_request.h"

enum { STEPS = 4000 };

/* Drawn one or two at a time, as a batch. Failures on purpose. */
static const char *const ROWS[] = {
    "SELECT * FROM t",
    "SELECT * FROM t",
    "SELECT id, x FROM t WHERE id = 3",
    "SELECT count(*) AS n FROM t WHERE x LIKE 'a%'",
    "SELECT * FROM u ORDER BY y",
    "SELECT * FROM u ORDER BY y",
    "SELECT * FROM v",
    "SELECT random() AS r, date() AS d, changes() AS c, total_changes() > 0 AS t",
    "INSERT INTO t(x) VALUES('abc')",
    "INSERT INTO t(x) VALUES('abc') RETURNING id, x",
    "INSERT INTO t(id, x) VALUES(3, 'three')",
    "INSERT INTO t(x) VALUES('xyz'); SELECT max(id) AS m FROM t; -- and no more",
    "INSERT INTO u(y) SELECT x FROM t",
    "INSERT INTO u(t_id, y) VALUES(999999, 'nobody')",
    "UPDATE t SET x = x || '!' WHERE id % 7 = 1 AND length(x) < 20",
    "DELETE FROM t WHERE id > 40",
    "DELETE FROM u WHERE rowid % 3 = 0",
    "SELECT f FROM full WHERE full MATCH 'abc'",
    "INSERT INTO full(f) VALUES('abc def')",
    "EXPLAIN QUERY PLAN SELECT * FROM t WHERE x = 'abc'",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT no_such_column FROM t",
    "SELECT 1 +",
    "-- nothing",
};

/* What other statements are prepared by. */
static const char *const RULES[] = {
    "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x TEXT)",
    "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x TEXT)",
    "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x TEXT)",
    "CREATE TABLE IF NOT EXISTS u(y, t_id REFERENCES t(id))",
    "CREATE TABLE IF NOT EXISTS u(y, t_id REFERENCES t(id))",
    "CREATE TABLE IF NOT EXISTS u(y, t_id REFERENCES t(id))",
    "CREATE VIRTUAL TABLE IF NOT EXISTS full USING fts5(f)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS full USING fts5(f)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS full USING fts5(f)",
    "CREATE VIEW IF NOT EXISTS v AS SELECT x, count(*) AS n FROM t GROUP BY x",
    "CREATE INDEX IF NOT EXISTS by_x ON t(x)",
    "CREATE INDEX IF NOT EXISTS by_x ON t(x COLLATE NOCASE)",
    "CREATE TRIGGER IF NOT EXISTS g AFTER INSERT ON t BEGIN INSERT INTO u(y) VALUES(NEW.x); END",
    "ALTER TABLE t ADD COLUMN z DEFAULT 'new'",
    "ALTER TABLE t DROP COLUMN z",
    "DROP INDEX IF EXISTS by_x",
    "DROP VIEW IF EXISTS v",
    "DROP TRIGGER IF EXISTS g",
    "DROP TABLE IF EXISTS u",
    "DROP TABLE IF EXISTS t",
    "DROP TABLE IF EXISTS full",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA foreign_keys = ON",
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA case_sensitive_like = ON",
    "PRAGMA case_sensitive_like = OFF",
    "PRAGMA reverse_unordered_selects = ON",
    "PRAGMA reverse_unordered_selects = OFF",
    "PRAGMA table_info(t)",
    "ANALYZE",
    "BEGIN",
};

/* With a parameter. */
static const char *const BOUND[] = {
    "SELECT * FROM t WHERE id = ?",
    "SELECT count(*) AS n FROM t WHERE x LIKE ?",
    "SELECT ? AS what, typeof(?1) AS type",
    "INSERT INTO t(x) VALUES(?)",
    "INSERT INTO t(id, x) VALUES(?1, 'x' || ?1)",
};

static const char *const PARAMS[] = {"7", "\"a%\"", "\"A%\"", "null", "true", "[1,2,3]", "\"abc\""};

static size_t draw(uint64_t *drawn, size_t below)
{
    return (size_t)(ps_random_u64(11, 0, (*drawn)++) % below);
}

#define DRAW(array) (array)[draw(drawn, sizeof(array) / sizeof(array)[0])]

static void put_statement(struct ps_buf *body, uint64_t *drawn)
{
    enum { OF_RULES = 12 };

    size_t kind = draw(drawn, OF_RULES);
    bool bound = kind > 0 && kind % 3 == 0;
    const char *sql = kind == 0 ? DRAW(RULES) : bound ? DRAW(BOUND) : DRAW(ROWS);
    ps_buf_append_text(body, "{\"sql\":");
    ps_buf_append_json(body, ps_slice_of(sql));
    ps_buf_printf(body, ",\"params\":[%s]}", bound ? DRAW(PARAMS) : "");
}

static void put_body(struct ps_buf *body, uint64_t *drawn)
{
    size_t count = 1 + draw(drawn, 6) / 4;
    body->size = 0;
    ps_buf_append_text(body, count == 1 ? "" : "[");
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_text(body, i == 0 ? "" : ",");
        put_statement(body, drawn);
    }
    ps_buf_append_text(body, count == 1 ? "" : "]");
}

static char *answer_of(struct ps_d1_database *database, const char *body, uint64_t lsn)
{
    struct ps_d1_call call = d1_call();
    call.view.lsn = lsn;
    struct ps_d1_answer answer = d1_body_with(database, body, PS_D1_ARRAY_OF_OBJECTS, true, &call);
    struct ps_buf text = {0};
    ps_buf_printf(&text, "%d at %llu: ", (int)answer.outcome, (unsigned long long)answer.lsn);
    ps_buf_append_slice(&text, ps_buf_slice(&answer.error));
    if (answer.outcome == PS_D1_DONE) {
        const struct ps_d1_served served = {.by = "test"};
        ps_d1_answer_write(&text, &answer, true, &served);
    }
    ps_d1_answer_fini(&answer);
    (void)ps_buf_text(&text);
    return text.data;
}

/* `plain` has nothing that was prepared before. */
static void compare(struct ps_d1_database *kept, struct ps_d1_database *plain, const char *body,
                    uint64_t lsn)
{
    ps_d1_cache_clear(plain);
    char *expected = answer_of(plain, body, lsn);
    char *found = answer_of(kept, body, lsn);
    if (strcmp(expected, found) != 0) {
        fail_msg("%s\ngave      %s\nand before %s", body, found, expected);
    }
    free(expected);
    free(found);
}

static void test_same_answers(void **state)
{
    (void)state;
    struct d1_store stores[2];
    struct d1_store replica;
    struct ps_d1_database *homes[2];
    struct ps_d1_database *readers[2];
    for (size_t i = 0; i < 2; i++) {
        d1_store_open(&stores[i], ps_map_create_memory());
        homes[i] = d1_database_open(&stores[i], true);
    }
    d1_store_open(&replica, ps_map_create_memory());
    for (size_t i = 0; i < 2; i++) {
        readers[i] = d1_database_open(&replica, false);
    }
    struct ps_buf body = {0};
    uint64_t drawn = 0;
    size_t most = 0;
    for (size_t step = 0; step < STEPS; step++) {
        put_body(&body, &drawn);
        compare(homes[0], homes[1], ps_buf_text(&body), UINT64_MAX);
        d1_replicate(&stores[0], &replica);
        put_body(&body, &drawn);
        uint64_t last = d1_log(&replica).last_lsn;
        uint64_t lsn = draw(&drawn, 2) == 0 ? last : last - draw(&drawn, last < 9 ? last + 1 : 9);
        compare(readers[0], readers[1], ps_buf_text(&body), lsn);
        size_t count = ps_d1_cache_count(homes[0]);
        most = count > most ? count : most;
    }
    assert_true(most > 10);
    uint64_t last = d1_log(&stores[0]).last_lsn;
    assert_in_range(last, STEPS / 10, STEPS);
    assert_true(d1_hash(&stores[0], last) == d1_hash(&stores[1], last));
    ps_buf_fini(&body);
    for (size_t i = 0; i < 2; i++) {
        ps_d1_database_close(homes[i]);
        ps_d1_database_close(readers[i]);
        ps_map_close(stores[i].map);
    }
    ps_map_close(replica.map);
}

static struct sqlite3_stmt *only_kept(const struct ps_d1_database *database)
{
    return ps_d1_cache_count(database) == 1 ? sqlite3_next_stmt(database->db, NULL) : NULL;
}

static void test_a_statement_is_kept(void **state)
{
    (void)state;
    struct d1_store store;
    d1_store_open(&store, ps_map_create_memory());
    struct ps_d1_database *database = d1_database_open(&store, true);
    EXPECT(d1_sql(database, "CREATE TABLE t(x)"), "[]");
    assert_null(only_kept(database));
    EXPECT(d1_sql(database, "SELECT * FROM t"), "[]");
    struct sqlite3_stmt *statement = only_kept(database);
    assert_non_null(statement);
    EXPECT(d1_sql(database, "SELECT * FROM t"), "[]");
    assert_ptr_equal(only_kept(database), statement);
    /* Another schema: by this connection, and by a restore that this one is not told of. */
    EXPECT(d1_sql(database, "ALTER TABLE t ADD COLUMN y DEFAULT 1"), "[]");
    assert_int_equal(ps_d1_cache_count(database), 0);
    EXPECT(d1_sql(database, "INSERT INTO t(x) VALUES(1)"), "[]");
    EXPECT(d1_sql(database, "SELECT * FROM t"), "[{\"x\":1,\"y\":1}]");
    struct ps_pages *other = d1_connect(&store, true);
    assert_int_equal(ps_pages_restore(other, 1), PS_OK);
    ps_pages_close(other);
    EXPECT(d1_sql(database, "INSERT INTO t(x) VALUES(1)"), "[]");
    EXPECT(d1_sql(database, "SELECT * FROM t"), "[{\"x\":1}]");
    ps_d1_database_close(database);
    ps_map_close(store.map);
}

/* As many as there is room for, and no long ones. */
static void test_room(void **state)
{
    (void)state;
    struct d1_store store;
    d1_store_open(&store, ps_map_create_memory());
    struct ps_d1_database *database = d1_database_open(&store, true);
    char sql[8192];
    for (int i = 0; i < 300; i++) {
        char expected[32];
        (void)snprintf(sql, sizeof sql, "SELECT %d AS n", i);
        (void)snprintf(expected, sizeof expected, "[{\"n\":%d}]", i);
        EXPECT(d1_sql(database, sql), expected);
        EXPECT(d1_sql(database, "SELECT 'often' AS n"), "[{\"n\":\"often\"}]");
    }
    assert_int_equal(ps_d1_cache_count(database), 100);
    ps_d1_cache_clear(database);
    (void)snprintf(sql, sizeof sql, "SELECT 1 AS n -- %*s", 5000, "");
    EXPECT(d1_sql(database, sql), "[{\"n\":1}]");
    assert_int_equal(ps_d1_cache_count(database), 0);
    ps_d1_database_close(database);
    ps_map_close(store.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_answers),
        cmocka_unit_test(test_a_statement_is_kept),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
