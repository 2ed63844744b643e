/* SQLite counts the rows it reads and writes as D1 bills them: the figures are what workerd
 * 1.20261117.1 gives for the same statements in the same order, through miniflare's D1. */
#include "node/d1/database_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct vector {
    const char *sql;
    int read;
    int written;
};

static const struct vector FACTS[] = {
    {"CREATE TABLE a(id INTEGER PRIMARY KEY,x,y)", 1, 2},
    {"CREATE TABLE b(id TEXT PRIMARY KEY,x) WITHOUT ROWID", 1, 2},
    {"CREATE INDEX ax ON a(x)", 2, 1},
    {"INSERT INTO a VALUES(1,1,1)", 1, 2},
    {"INSERT INTO a VALUES(2,2,2),(3,3,3),(4,4,4),(5,5,5)", 4, 8},
    {"INSERT INTO b VALUES('k1',1),('k2',2)", 0, 2},
    {"SELECT * FROM a", 5, 0},
    {"SELECT * FROM a WHERE id=3", 1, 0},
    {"SELECT * FROM a WHERE id=99", 1, 0},
    {"SELECT * FROM a WHERE x=3", 2, 0},
    {"SELECT x FROM a WHERE x>=2", 4, 0},
    {"SELECT * FROM a WHERE y=3", 5, 0},
    {"SELECT count(*) FROM a", 5, 0},
    {"SELECT max(x) FROM a", 1, 0},
    {"SELECT * FROM a ORDER BY y LIMIT 1", 10, 0},
    {"SELECT * FROM a LIMIT 2", 2, 0},
    {"SELECT * FROM a JOIN b ON b.x=a.x", 6, 0},
    {"SELECT * FROM b WHERE id='k1'", 1, 0},
    {"UPDATE a SET y=9 WHERE id=1", 1, 1},
    {"UPDATE a SET x=9 WHERE id=1", 1, 2},
    {"UPDATE a SET y=0", 5, 5},
    {"INSERT INTO a VALUES(1,1,1) ON CONFLICT(id) DO UPDATE SET y=5", 1, 1},
    {"INSERT OR REPLACE INTO a VALUES(1,1,1)", 1, 2},
    {"INSERT OR IGNORE INTO a VALUES(1,1,1)", 1, 0},
    {"INSERT INTO a(x,y) SELECT x,y FROM a", 10, 10},
    {"DELETE FROM a WHERE id=1", 1, 1},
    {"DELETE FROM a", 0, 9},
    {"DROP INDEX ax", 5, 0},
    {"ALTER TABLE a ADD COLUMN z", 5, 1},
    {"SELECT 1", 0, 0},
    {"INSERT INTO a(x,y) VALUES(7,7) RETURNING id,x", 1, 1},
    {"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<10) SELECT count(*) "
     "FROM c",
     11, 0},
    {"DROP TABLE a", 4, 0},
};

static const struct vector MORE[] = {
    {"CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT NOT NULL CHECK(length(n)<5), u UNIQUE)", 1, 3},
    {"CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", 1, 2},
    {"CREATE INDEX cp ON c(p)", 2, 1},
    {"INSERT INTO p VALUES(1,'a',1),(2,'b',2),(3,'c',NULL)", 3, 6},
    {"INSERT INTO c VALUES(1,1),(2,1),(3,2),(4,NULL)", 7, 8},
    {"SELECT * FROM p WHERE u=2", 1, 0},
    {"SELECT * FROM p WHERE u IN (1,2,3)", 5, 0},
    {"SELECT * FROM p LEFT JOIN c ON c.p=p.id", 15, 0},
    {"SELECT p.id, count(c.id) FROM p LEFT JOIN c ON c.p=p.id GROUP BY p.id", 15, 0},
    {"SELECT DISTINCT p FROM c", 4, 0},
    {"SELECT * FROM p ORDER BY n DESC", 6, 0},
    {"SELECT * FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.p=p.id)", 11, 0},
    {"SELECT n FROM p UNION SELECT id FROM c", 10, 0},
    {"SELECT n FROM p UNION ALL SELECT id FROM c", 7, 0},
    {"SELECT sum(id) OVER (ORDER BY id) FROM c", 13, 0},
    {"SELECT min(id), max(id) FROM c", 4, 0},
    {"SELECT * FROM c WHERE id>2 ORDER BY id DESC", 3, 0},
    {"SELECT count(*) FROM c WHERE p=1", 3, 0},
    {"SELECT * FROM p, c", 15, 0},
    {"SELECT * FROM c WHERE p IS NULL", 2, 0},
    {"SELECT * FROM json_each('[1,2,3]')", 3, 0},
    {"SELECT value FROM c, json_each('[1,2]') WHERE c.id=value", 4, 0},
    {"INSERT INTO c(p) VALUES(3) RETURNING *", 2, 2},
    {"UPDATE p SET n='z' WHERE u=1 RETURNING n", 2, 1},
    {"DELETE FROM p WHERE id=1", 15, 3},
    {"DELETE FROM c WHERE id=99", 1, 0},
    {"REPLACE INTO p VALUES(2,'q',2)", 10, 3},
    {"REPLACE INTO p VALUES(9,'q',2)", 7, 2},
    {"INSERT INTO p VALUES(10,'x',10) ON CONFLICT(u) DO NOTHING", 1, 2},
    {"INSERT INTO p VALUES(11,'x',10) ON CONFLICT(u) DO NOTHING", 0, 0},
    {"INSERT INTO p VALUES(11,'x',10) ON CONFLICT(u) DO UPDATE SET n='up'", 1, 1},
    {"ALTER TABLE p ADD COLUMN q", 7, 1},
    {"ALTER TABLE p RENAME COLUMN q TO z", 40, 7},
    {"ALTER TABLE p DROP COLUMN z", 37, 8},
    {"ALTER TABLE p RENAME TO p2", 28, 5},
    {"CREATE TABLE gg(a, b GENERATED ALWAYS AS (a*2) STORED)", 1, 2},
    {"INSERT INTO gg(a) VALUES(3)", 0, 1},
    {"SELECT * FROM gg", 1, 0},
    {"CREATE TABLE lg(t)", 1, 2},
    {"CREATE TRIGGER tt AFTER INSERT ON gg BEGIN INSERT INTO lg VALUES('t'||new.a); END", 0, 1},
    {"INSERT INTO gg(a) VALUES(5),(6)", 2, 4},
    {"UPDATE gg SET a=1 LIMIT 1", 5, 1},
    {"DELETE FROM gg ORDER BY a LIMIT 1", 9, 1},
    {"CREATE VIEW vv AS SELECT * FROM gg", 1, 2},
    {"SELECT * FROM vv", 2, 0},
    {"DROP VIEW vv", 9, 0},
    {"SELECT count(*) FROM sqlite_master", 8, 0},
    {"ANALYZE", 16, 7},
    {"REINDEX", 14, 5},
    {"CREATE TABLE ai(id INTEGER PRIMARY KEY AUTOINCREMENT, x)", 2, 4},
    {"INSERT INTO ai(x) VALUES(1),(2)", 1, 3},
    {"INSERT INTO ai(x) VALUES(3)", 1, 2},
    {"CREATE TABLE IF NOT EXISTS ai(x)", 0, 0},
    {"CREATE UNIQUE INDEX aix ON ai(x)", 8, 4},
    {"DELETE FROM ai", 0, 3},
    {"CREATE VIRTUAL TABLE f USING fts5(t)", 1, 2},
    {"INSERT INTO f VALUES('hello world'),('hello')", 0, 2},
    {"SELECT * FROM f WHERE f MATCH 'hello'", 2, 0},
    {"DELETE FROM f WHERE rowid=1", 0, 1},
    {"DROP TABLE f", 23, 0},
    {"PRAGMA table_info(gg)", 0, 0},
    {"SELECT * FROM pragma_table_info('gg')", 1, 0},
    {"PRAGMA foreign_key_check", 3, 0},
    {"PRAGMA quick_check", 30, 0},
};

static void run(struct sqlite3 *db, const char *sql, int *ret_read, int *ret_written)
{
    struct sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    int rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
    }
    if (rc != SQLITE_DONE) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    *ret_read = sqlite3_stmt_status(statement, PS_STATUS_ROWS_READ, 0);
    *ret_written = sqlite3_stmt_status(statement, PS_STATUS_ROWS_WRITTEN, 0);
    sqlite3_finalize(statement);
}

/* Behind its first statement workerd makes a table of its own, which stands in the schema. */
static void run_vectors(const struct vector *vectors, size_t count)
{
    struct sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        int read;
        int written;
        run(db, vectors[i].sql, &read, &written);
        if (read != vectors[i].read || written != vectors[i].written) {
            print_error("%s: %d/%d, not %d/%d\n", vectors[i].sql, read, written, vectors[i].read,
                        vectors[i].written);
            wrong++;
        }
        if (i == 0) {
            run(db, "CREATE TABLE _cf_METADATA(key INTEGER PRIMARY KEY, value BLOB)", &read,
                &written);
            run(db, "INSERT INTO _cf_METADATA VALUES(1, 1)", &read, &written);
        }
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(wrong, 0);
}

static void test_facts(void **state)
{
    (void)state;
    run_vectors(FACTS, sizeof FACTS / sizeof FACTS[0]);
}

static void test_more(void **state)
{
    (void)state;
    run_vectors(MORE, sizeof MORE / sizeof MORE[0]);
}

static void test_reset(void **state)
{
    (void)state;
    struct sqlite3 *db;
    struct sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1),(2)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT x FROM t", -1, &statement, NULL), SQLITE_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
        assert_int_equal(sqlite3_stmt_status(statement, PS_STATUS_ROWS_READ, 1), 2);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_more),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
