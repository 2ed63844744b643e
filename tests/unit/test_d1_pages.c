/* SQLite over pages of the versioned map: one record a commit and none for a rollback, snapshots,
 * and what a connection refuses. */
#include "tests/support/d1_base.h"

#include <stdio.h>

struct fixture {
    struct d1_store home;
    struct d1_store replica;
    struct ps_pages *writer;
    struct ps_pages *reader; /* the replica's */
};

static void set_up(struct fixture *f)
{
    d1_store_open(&f->home, ps_map_create_memory());
    d1_store_open(&f->replica, ps_map_create_memory());
    f->writer = d1_connect(&f->home, true);
    f->reader = d1_connect(&f->replica, false);
}

static void tear_down(struct fixture *f)
{
    ps_pages_close(f->writer);
    ps_pages_close(f->reader);
    ps_map_close(f->home.map);
    ps_map_close(f->replica.map);
}

static void test_one_record_a_commit(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)");
    assert_int_equal(d1_log(&f.home).last_lsn, 1);
    d1_exec(f.writer, "BEGIN; INSERT INTO t(x) VALUES('a'); INSERT INTO t(x) VALUES('b'); COMMIT");
    assert_int_equal(d1_log(&f.home).last_lsn, 2);
    assert_int_equal(ps_pages_lsn(f.writer), 2);
    assert_int_equal(ps_pages_count(f.writer), 2);
    d1_exec(f.writer, "BEGIN; INSERT INTO t(x) VALUES('c'); ROLLBACK");
    d1_exec(f.writer, "BEGIN IMMEDIATE; COMMIT");
    d1_exec(f.writer, "UPDATE t SET x = 'z' WHERE id = 99");
    d1_exec(f.writer, "SELECT * FROM t");
    assert_int_equal(d1_try(f.writer, "INSERT INTO t(id) VALUES(1)"), SQLITE_CONSTRAINT);
    assert_int_equal(d1_log(&f.home).last_lsn, 2);
    d1_expect(f.writer, "SELECT x FROM t ORDER BY id", "t:a|\nt:b|\n");
    d1_hash(&f.home, 2);
    tear_down(&f);
}

/* Pages that left the cache before the end, and what a savepoint takes back of them. */
static void test_spill_and_savepoints(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "PRAGMA cache_size=10; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    d1_exec(f.writer, "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                      "i<400) INSERT INTO t(x) SELECT randomblob(1000) FROM n; ROLLBACK");
    assert_int_equal(d1_log(&f.home).last_lsn, 1);
    d1_exec(f.writer, "BEGIN; INSERT INTO t VALUES(1, 'kept'); SAVEPOINT s;"
                      "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i<400)"
                      "INSERT INTO t SELECT i, zeroblob(1000) FROM n; ROLLBACK TO s; COMMIT");
    assert_int_equal(d1_log(&f.home).last_lsn, 2);
    d1_expect(f.writer, "SELECT * FROM t", "i:1|t:kept|\n");
    d1_expect(f.writer, "PRAGMA integrity_check", "t:ok|\n");
    d1_replicate(&f.home, &f.replica);
    assert_in_range(f.home.pages_in_record, 1, 3);
    d1_expect(f.reader, "SELECT * FROM t", "i:1|t:kept|\n");
    assert_true(d1_hash(&f.home, 2) == d1_hash(&f.replica, 2));
    tear_down(&f);
}

static void test_replica_reads_at_one_lsn(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_expect(f.reader, "SELECT count(*) FROM sqlite_schema", "i:0|\n");
    d1_exec(f.writer, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "BEGIN; SELECT * FROM t", "i:1|\n");
    d1_exec(f.writer, "INSERT INTO t VALUES(2); ALTER TABLE t ADD COLUMN y DEFAULT 7");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "SELECT * FROM t", "i:1|\n");
    d1_expect(f.reader, "COMMIT; SELECT * FROM t", "i:1|i:7|\ni:2|i:7|\n");
    d1_exec(f.writer, "ALTER TABLE t RENAME TO u");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "SELECT x FROM u", "i:1|\ni:2|\n");
    assert_int_equal(d1_try(f.reader, "SELECT x FROM t"), SQLITE_ERROR);

    /* Any LSN that is kept, forwards and backwards, schema and all. */
    static const char *const gave[] = {"", "", "i:1|\n", "i:1|\ni:2|\n", "i:1|i:7|\ni:2|i:7|\n"};
    static const int order[] = {4, 2, 3, 4, 2, 2, 3};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        d1_view(f.reader, (uint64_t)order[i]);
        d1_expect(f.reader, "SELECT * FROM t", gave[order[i]]);
        assert_int_equal(ps_pages_lsn(f.reader), order[i]);
    }
    d1_view(f.reader, 0);
    d1_expect(f.reader, "SELECT count(*) FROM sqlite_schema", "i:0|\n");
    d1_view(f.reader, 6);
    assert_int_not_equal(d1_try(f.reader, "SELECT * FROM u"), SQLITE_OK);
    assert_int_equal(ps_pages_status(f.reader), PS_BEHIND);
    d1_view(f.reader, 5);
    d1_expect(f.reader, "SELECT x FROM u", "i:1|\ni:2|\n");
    tear_down(&f);
}

/* A slow replica: its map is ahead of what it may show when it is opened, which is nothing yet. */
static void test_nothing_between_two_looks(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x)");
    struct ps_pages *reader = d1_connect(&f.home, false);
    d1_expect(reader, "SELECT count(*) FROM t", "i:0|\n");
    d1_view(reader, 0);
    assert_int_equal(d1_try(reader, "SELECT * FROM t"), SQLITE_ERROR);
    d1_view(reader, 1);
    d1_expect(reader, "SELECT count(*) FROM t", "i:0|\n");
    ps_pages_close(reader);
    tear_down(&f);
}

/* A statement that was prepared before the schema changed under it. */
static void test_prepared_statement_sees_a_new_schema(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    d1_replicate(&f.home, &f.replica);
    struct sqlite3_stmt *statement;
    assert_int_equal(
        sqlite3_prepare_v2(ps_pages_db(f.reader), "SELECT * FROM t", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_count(statement), 1);
    sqlite3_reset(statement);
    d1_exec(f.writer, "ALTER TABLE t ADD COLUMN y DEFAULT 'new'");
    d1_replicate(&f.home, &f.replica);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_count(statement), 2);
    assert_string_equal((const char *)sqlite3_column_text(statement, 1), "new");
    sqlite3_finalize(statement);
    tear_down(&f);
}

static void test_replica_refuses_writes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_int_equal(d1_try(f.reader, "CREATE TABLE t(x)"), SQLITE_READONLY);
    d1_exec(f.writer, "CREATE TABLE t(x)");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "INSERT INTO t VALUES(1)",
              "error 8: attempt to write a readonly database\n");
    assert_int_equal(d1_try(f.reader, "VACUUM"), SQLITE_READONLY);
    assert_int_equal(d1_try(f.reader, "PRAGMA user_version=3"), SQLITE_READONLY);
    d1_expect(f.reader, "CREATE TEMP TABLE s(x); INSERT INTO s VALUES(1),(2); SELECT sum(x) FROM s",
              "i:3|\n");
    assert_int_equal(d1_log(&f.replica).last_lsn, 1);
    tear_down(&f);
}

/* Of two transactions that began at the same LSN one is refused, whenever it is noticed. */
static void test_two_writers(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct ps_pages *other = d1_connect(&f.home, true);
    d1_exec(f.writer, "CREATE TABLE t(x); INSERT INTO t VALUES(0)");
    d1_exec(f.writer, "BEGIN; UPDATE t SET x = x + 1");
    d1_exec(other, "BEGIN; UPDATE t SET x = x + 10");
    d1_exec(other, "COMMIT");
    assert_int_equal(d1_try(f.writer, "COMMIT"), SQLITE_IOERR);
    assert_int_equal(ps_pages_status(f.writer), PS_GAP);
    assert_true(sqlite3_get_autocommit(ps_pages_db(f.writer)));
    d1_expect(f.writer, "SELECT * FROM t", "i:10|\n");
    /* What it has read is old already when it begins to write. */
    d1_expect(f.writer, "BEGIN; SELECT * FROM t", "i:10|\n");
    d1_exec(other, "UPDATE t SET x = x + 10");
    assert_int_equal(d1_try(f.writer, "UPDATE t SET x = x + 1"), SQLITE_BUSY);
    d1_exec(f.writer, "ROLLBACK; UPDATE t SET x = x + 1");
    d1_expect(other, "SELECT * FROM t; PRAGMA integrity_check", "i:21|\nt:ok|\n");
    ps_pages_close(other);
    tear_down(&f);
}

/* Page 1 goes into a record only when more of it has changed than its change counter, for which
 * SQLite is given the LSN: what it has cached it may trust at that LSN alone. */
static void test_the_change_counter_is_the_lsn(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct ps_pages *other = d1_connect(&f.home, true);
    d1_exec(f.writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES(1, 'a')");
    d1_expect(other, "SELECT * FROM t", "i:1|t:a|\n");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "SELECT * FROM t", "i:1|t:a|\n");
    d1_exec(f.writer, "UPDATE t SET x = 'b'");
    d1_replicate(&f.home, &f.replica);
    assert_int_equal(f.home.pages_in_record, 1);
    struct ps_slice first;
    assert_int_equal(ps_map_read_begin(f.home.map), PS_OK);
    assert_int_equal(ps_pages_read(f.home.map, f.home.store, 1, 3, &first), PS_OK);
    assert_int_equal(first.data[27], 1); /* as the first commit made it */
    ps_map_read_end(f.home.map);
    d1_expect(f.reader, "SELECT * FROM t", "i:1|t:b|\n");
    d1_expect(other, "SELECT * FROM t", "i:1|t:b|\n");

    /* Nothing changes, and yet SQLite has counted: its count must not be that of a later record. */
    d1_exec(f.writer, "BEGIN; UPDATE t SET x = 'z'; UPDATE t SET x = 'b'; COMMIT");
    d1_exec(other, "UPDATE t SET x = 'c'");
    d1_expect(f.writer, "SELECT * FROM t", "i:1|t:c|\n");
    d1_exec(f.writer, "BEGIN; UPDATE t SET x = 'd'; ROLLBACK");
    d1_exec(other, "UPDATE t SET x = 'e'");
    d1_expect(f.writer, "SELECT * FROM t", "i:1|t:e|\n");
    d1_replicate(&f.home, &f.replica);
    uint64_t last = d1_log(&f.home).last_lsn;
    assert_true(d1_hash(&f.home, last) == d1_hash(&f.replica, last));

    /* At each LSN again, in any order. */
    static const char *const gave[] = {"",           "",           "i:1|t:a|\n", "i:1|t:b|\n",
                                       "i:1|t:b|\n", "i:1|t:c|\n", "i:1|t:e|\n"};
    assert_int_equal(last, sizeof gave / sizeof gave[0] - 1);
    for (uint64_t i = 0; i < 4 * last; i++) {
        uint64_t lsn = 1 + i * 5 % last;
        d1_view(f.reader, lsn);
        d1_expect(f.reader, "SELECT * FROM t", gave[lsn]);
    }
    d1_expect(f.reader, "PRAGMA integrity_check", "t:ok|\n");
    ps_pages_close(other);
    tear_down(&f);
}

static void test_failed_commits(void **state)
{
    (void)state;

    static const struct {
        enum ps_status status;
        int rc;
    } cases[] = {{PS_IO, SQLITE_IOERR},
                 {PS_FULL, SQLITE_FULL},
                 {PS_LIMIT, SQLITE_FULL},
                 {PS_GAP, SQLITE_IOERR},
                 {PS_TIMEOUT, SQLITE_IOERR}};
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "PRAGMA cache_size=10; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    d1_exec(f.writer, "INSERT INTO t VALUES(1, 'first')");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.home.refuse = cases[i].status;
        d1_view(f.writer, UINT64_MAX);
        assert_int_equal(d1_try(f.writer, "INSERT INTO t SELECT value, zeroblob(900) FROM "
                                          "json_each('[2,3,4,5,6,7,8,9]'), "
                                          "(SELECT 1) WHERE value > 1"),
                         cases[i].rc);
        assert_int_equal(ps_pages_status(f.writer), cases[i].status);
        (void)d1_try(f.writer, "ROLLBACK");
        d1_expect(f.writer, "SELECT * FROM t", "i:1|t:first|\n");
        assert_int_equal(d1_try(f.writer, "BEGIN; CREATE TABLE u(x); INSERT INTO u VALUES(1)"),
                         SQLITE_OK);
        assert_int_equal(d1_try(f.writer, "COMMIT"), cases[i].rc);
        (void)d1_try(f.writer, "ROLLBACK");
        f.home.refuse = PS_OK;
        assert_int_equal(d1_try(f.writer, "SELECT * FROM u"), SQLITE_ERROR);
        d1_exec(f.writer, "UPDATE t SET x = 'first'");
        d1_expect(f.writer, "PRAGMA integrity_check", "t:ok|\n");
    }
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "SELECT * FROM t", "i:1|t:first|\n");
    tear_down(&f);
}

static void test_vacuum_shrinks(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x); CREATE INDEX tx ON t(x)");
    d1_exec(f.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<900)"
                      "INSERT INTO t SELECT hex(i)||hex(zeroblob(50)) FROM n");
    d1_replicate(&f.home, &f.replica);
    uint32_t large = ps_pages_count(f.writer);
    d1_exec(f.writer, "DELETE FROM t WHERE rowid % 10 <> 0");
    d1_exec(f.writer, "VACUUM");
    assert_true(ps_pages_count(f.writer) < large / 2);
    char *home = d1_ask(f.writer, "SELECT count(*), sum(length(x)) FROM t; PRAGMA page_count;"
                                  "PRAGMA integrity_check");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader,
              "SELECT count(*), sum(length(x)) FROM t; PRAGMA page_count; PRAGMA integrity_check",
              home);
    free(home);
    uint64_t lsn = d1_log(&f.home).last_lsn;
    assert_true(d1_hash(&f.home, lsn) == d1_hash(&f.replica, lsn));

    /* The removed pages are removed from the map, and come back as new ones. */
    struct ps_slice bytes;
    assert_int_equal(ps_map_read_begin(f.replica.map), PS_OK);
    assert_int_equal(ps_pages_read(f.replica.map, f.replica.store, large, lsn, &bytes),
                     PS_NOT_FOUND);
    assert_int_equal(ps_pages_read(f.replica.map, f.replica.store, large, lsn - 2, &bytes), PS_OK);
    ps_map_read_end(f.replica.map);
    d1_exec(f.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<900)"
                      "INSERT INTO t SELECT hex(i)||hex(zeroblob(50)) FROM n");
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "PRAGMA integrity_check", "t:ok|\n");
    tear_down(&f);
}

static void test_auto_vacuum(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "PRAGMA auto_vacuum=FULL; CREATE TABLE t(x)");
    d1_exec(f.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)"
                      "INSERT INTO t SELECT zeroblob(1000) FROM n");
    uint32_t large = ps_pages_count(f.writer);
    d1_exec(f.writer, "DELETE FROM t WHERE rowid > 20");
    assert_true(ps_pages_count(f.writer) < large / 2);
    d1_replicate(&f.home, &f.replica);
    d1_expect(f.reader, "SELECT count(*) FROM t; PRAGMA integrity_check", "i:20|\nt:ok|\n");
    tear_down(&f);
}

static void test_refused_pragmas(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x)");
    d1_expect(f.writer, "PRAGMA journal_mode=WAL", "error 1: journal_mode cannot be changed\n");
    d1_expect(f.writer, "PRAGMA locking_mode=EXCLUSIVE",
              "error 1: locking_mode cannot be changed\n");
    d1_expect(f.writer, "PRAGMA page_size=8192", "error 1: page_size cannot be changed\n");
    d1_expect(f.writer, "PRAGMA journal_mode", "t:memory|\n");
    d1_expect(f.writer, "PRAGMA page_size", "i:4096|\n");
    d1_exec(f.writer, "VACUUM; INSERT INTO t VALUES(1)");
    d1_expect(f.writer, "PRAGMA integrity_check", "t:ok|\n");
    tear_down(&f);
}

/* Nobody but the map has files: what SQLite would put into temporary ones stays in memory. */
static void test_big_sorts_and_temporary_tables(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "PRAGMA cache_size=10; CREATE TABLE t(x)");
    d1_exec(f.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)"
                      "INSERT INTO t SELECT (i * 7919) % 3001 || hex(zeroblob(200)) FROM n");
    d1_expect(f.writer,
              "SELECT count(*) FROM (SELECT DISTINCT x FROM t ORDER BY x DESC);"
              "CREATE TEMP TABLE s AS SELECT x FROM t ORDER BY x; SELECT count(*) FROM temp.s;"
              "CREATE INDEX tx ON t(x); DROP TABLE s",
              "i:3000|\ni:3000|\n");
    tear_down(&f);
}

static void test_limits(void **state)
{
    (void)state;
    struct d1_store home;
    d1_store_open(&home, ps_map_create_memory());
    const struct ps_pages_config config = {
        .map = home.map,
        .store = home.store,
        .commit = d1_commit,
        .context = &home,
        .page_count_max = 20,
    };
    struct ps_pages *pages;
    assert_int_equal(ps_pages_open(&config, &pages, NULL), PS_OK);
    d1_exec(pages, "CREATE TABLE t(x)");
    assert_int_equal(d1_try(pages, "INSERT INTO t VALUES(zeroblob(100000))"), SQLITE_FULL);
    d1_exec(pages, "INSERT INTO t VALUES(zeroblob(50000))");
    d1_expect(pages, "SELECT length(x) FROM t; PRAGMA integrity_check", "i:50000|\nt:ok|\n");
    assert_int_equal(home.commits, 2);
    ps_pages_close(pages);
    ps_map_close(home.map);
}

/* More than a record holds: refused, undone, and the connection goes on. */
static void test_transaction_too_large(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x)");
    char sql[128];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO t SELECT zeroblob(%d) FROM (VALUES(1),(2),(3),(4))",
                   PS_PAGES_PER_RECORD_MAX / 4 * PS_PAGE_SIZE);
    d1_view(f.writer, UINT64_MAX);
    assert_int_equal(d1_try(f.writer, sql), SQLITE_FULL);
    assert_int_equal(ps_pages_status(f.writer), PS_LIMIT);
    d1_expect(f.writer, "SELECT count(*) FROM t; PRAGMA integrity_check", "i:0|\nt:ok|\n");
    assert_int_equal(f.home.commits, 1);
    tear_down(&f);
}

/* A snapshot that was forgotten gives an error, never zeros. */
static void test_forgotten_snapshot(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    for (int i = 0; i < 20; i++) {
        d1_exec(f.writer, "UPDATE t SET x = x + 1");
    }
    struct ps_pages *old = d1_connect(&f.home, false);
    d1_view(old, 3);
    d1_expect(old, "BEGIN; SELECT x FROM t", "i:2|\n");
    bool more = true;
    while (more) {
        assert_int_equal(
            ps_map_forget(f.home.map, f.home.store, d1_log(&f.home).last_commit_ns, 8, &more, NULL),
            PS_OK);
    }
    /* What is in its cache it may still give. */
    d1_expect(old, "COMMIT", "");
    d1_view(old, 4);
    assert_int_equal(d1_try(old, "SELECT x FROM t"), SQLITE_IOERR);
    assert_int_equal(ps_pages_status(old), PS_TOO_OLD);
    d1_view(old, UINT64_MAX);
    d1_expect(old, "SELECT x FROM t", "i:21|\n");
    ps_pages_close(old);
    d1_exec(f.writer, "UPDATE t SET x = 0");
    d1_expect(f.writer, "SELECT x FROM t; PRAGMA integrity_check", "i:0|\nt:ok|\n");
    tear_down(&f);
}

/* Snapshots that are begun in the middle of a transaction's reading are noticed page by page. */
static void test_forgotten_in_the_middle(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    d1_exec(f.writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    d1_exec(f.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200)"
                      "INSERT INTO t SELECT i, zeroblob(1000) FROM n");
    struct ps_pages *old = d1_connect(&f.home, false);
    d1_view(old, 2);
    d1_expect(old, "BEGIN; SELECT length(x) FROM t WHERE id = 1", "i:1000|\n");
    d1_exec(f.writer, "UPDATE t SET x = 'new'");
    bool more = true;
    while (more) {
        assert_int_equal(
            ps_map_forget(f.home.map, f.home.store, d1_log(&f.home).last_commit_ns, 8, &more, NULL),
            PS_OK);
    }
    assert_int_equal(d1_try(old, "SELECT length(x) FROM t WHERE id = 150"), SQLITE_IOERR);
    assert_int_equal(ps_pages_status(old), PS_TOO_OLD);
    ps_pages_close(old);
    tear_down(&f);
}

static void test_head_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\2\0\0\x10\0\0\0\0\3\1\2\3\4\5\6\7\x8\0\0\0\7\0\0\1\x9b\0\0\0\5";
    static_assert(sizeof bytes - 1 == PS_PAGE_HEAD_SIZE, "docs/PROTOCOL.md");
    const struct ps_page_head head = {.page_count = 3,
                                      .checksum = UINT64_C(0x0102030405060708),
                                      .restores = 7,
                                      .unix_ms = UINT64_C(0x19b00000005)};
    char out[PS_PAGE_HEAD_SIZE];
    struct ps_page_head back;
    ps_page_head_write(out, &head);
    assert_memory_equal(out, bytes, sizeof out);
    assert_int_equal(ps_page_head_read((struct ps_slice){out, sizeof out}, &back), PS_OK);
    assert_true(back.page_count == head.page_count && back.checksum == head.checksum &&
                back.restores == head.restores && back.unix_ms == head.unix_ms);
    for (size_t size = 0; size < sizeof out; size++) {
        assert_int_equal(ps_page_head_read((struct ps_slice){out, size}, &back), PS_CORRUPT);
    }
    out[0] = 1; /* the first format ended before the restores */
    assert_int_equal(ps_page_head_read((struct ps_slice){out, 17}, &back), PS_OK);
    assert_true(back.checksum == head.checksum && back.restores == 0 && back.unix_ms == 0);
}

static void test_foreign_bytes(void **state)
{
    (void)state;
    struct d1_store home;
    d1_store_open(&home, ps_map_create_memory());
    char key[PS_PAGE_KEY_SIZE];
    char head[PS_PAGE_HEAD_SIZE];
    ps_page_key(key, 0);
    ps_page_head_write(head, &(struct ps_page_head){.page_count = 1});
    head[0] = 9;
    struct ps_entry entry = {.key = {key, sizeof key}, .value = {head, sizeof head}};
    struct ps_record record = {.lsn = 1, .entries = &entry, .entry_count = 1};
    assert_int_equal(d1_commit(&home, &record), PS_OK);
    const struct ps_pages_config config = {.map = home.map, .store = home.store};
    struct ps_pages *pages;
    struct ps_error err = {0};
    enum ps_status status = ps_pages_open(&config, &pages, &err);
    if (status == PS_OK) {
        assert_int_equal(d1_try(pages, "SELECT * FROM sqlite_schema"), SQLITE_IOERR);
        status = ps_pages_status(pages);
        ps_pages_close(pages);
    }
    assert_int_equal(status, PS_UNSUPPORTED);
    ps_map_close(home.map);
}

/* 'now' is what the view says; local time is UTC. */
static void test_time_is_handed_in(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    ps_pages_set_view(f.writer, &(struct ps_pages_view){UINT64_MAX, 1700000000123});
    d1_expect(f.writer,
              "SELECT datetime('now'), strftime('%f', 'now'), current_date, "
              "datetime('now', 'localtime')",
              "t:2023-11-14 22:13:20|t:20.123|t:2023-11-14|t:2023-11-14 22:13:20|\n");
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_record_a_commit),
        cmocka_unit_test(test_spill_and_savepoints),
        cmocka_unit_test(test_replica_reads_at_one_lsn),
        cmocka_unit_test(test_nothing_between_two_looks),
        cmocka_unit_test(test_prepared_statement_sees_a_new_schema),
        cmocka_unit_test(test_replica_refuses_writes),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_the_change_counter_is_the_lsn),
        cmocka_unit_test(test_failed_commits),
        cmocka_unit_test(test_vacuum_shrinks),
        cmocka_unit_test(test_auto_vacuum),
        cmocka_unit_test(test_refused_pragmas),
        cmocka_unit_test(test_big_sorts_and_temporary_tables),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_transaction_too_large),
        cmocka_unit_test(test_forgotten_snapshot),
        cmocka_unit_test(test_forgotten_in_the_middle),
        cmocka_unit_test(test_head_bytes),
        cmocka_unit_test(test_foreign_bytes),
        cmocka_unit_test(test_time_is_handed_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
