/* Time Travel: a database brought back to any of its states, as one more commit, which all
 * connections and replicas see. */
#include "replication/base/random.h"
#include "tests/support/d1_base.h"

#include <stdio.h>

enum { SEEDS = 6, STEPS = 90, TABLES = 3 };

struct world {
    struct d1_store home;
    struct d1_store replica;
    struct ps_pages *writer;
    struct ps_pages *other; /* at home, always open */
    struct ps_pages *far;   /* the replica's, always open */
    struct sqlite3_stmt *prepared;
    struct ps_rng rng;
    uint64_t *dumps; /* by LSN: what the database held */
    size_t dump_count;
    size_t dump_capacity;
    uint32_t restores;
    uint32_t cookie; /* of page 1, the greatest yet */
};

static uint64_t below(struct world *world, uint64_t bound)
{
    return ps_rng_below(&world->rng, bound);
}

static uint64_t dump(struct ps_pages *pages)
{
    uint64_t hash = 0;
    char *whole = d1_ask(pages, "PRAGMA integrity_check");
    assert_string_equal(whole, "t:ok|\n");
    free(whole);
    static const char *const questions[] = {"SELECT name, sql FROM sqlite_schema ORDER BY name",
                                            "SELECT * FROM t0", "SELECT * FROM t1",
                                            "SELECT * FROM t2"};
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        char *text = d1_ask(pages, questions[i]); /* also that there is no such table */
        hash = hash * 31 + ps_slice_hash(ps_slice_of(text));
        free(text);
    }
    return hash;
}

static void some_statement(struct world *world, struct ps_buf *sql)
{
    unsigned table = (unsigned)below(world, TABLES);
    unsigned long long size = below(world, 8) == 0 ? below(world, 30000) : below(world, 300);
    switch (below(world, 10)) {
    case 0:
        ps_buf_printf(sql, "CREATE TABLE t%u(id INTEGER PRIMARY KEY, a, b);", table);
        break;
    case 1:
        ps_buf_printf(sql, "DROP TABLE t%u;", table);
        break;
    case 2:
        ps_buf_printf(sql, "CREATE INDEX IF NOT EXISTS i%u ON t%u(a, b);", table, table);
        break;
    case 3:
        ps_buf_printf(sql, "DELETE FROM t%u WHERE id %% 3 = %u;", table, (unsigned)below(world, 3));
        break;
    case 4:
        ps_buf_printf(sql, "UPDATE t%u SET a = a + 1;", table);
        break;
    default:
        ps_buf_printf(sql, "INSERT INTO t%u(a, b) VALUES(%u, zeroblob(%llu)), (1, 2);", table,
                      (unsigned)below(world, 50), size);
    }
}

static void some_transaction(struct world *world)
{
    struct ps_buf sql = {0};
    if (below(world, 12) == 0) {
        ps_buf_append_text(&sql, "VACUUM");
    } else {
        some_statement(world, &sql);
    }
    (void)d1_try(world->writer, ps_buf_text(&sql));
    ps_buf_fini(&sql);
}

/* --- pages --- */

static uint32_t number_at(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct ps_page_head head_at(const struct d1_store *store, uint64_t lsn)
{
    struct ps_page_head head = {0};
    struct ps_slice bytes;
    if (lsn > 0) {
        assert_int_equal(ps_map_read_begin(store->map), PS_OK);
        assert_int_equal(ps_pages_read(store->map, store->store, 0, lsn, &bytes), PS_OK);
        assert_int_equal(ps_page_head_read(bytes, &head), PS_OK);
        ps_map_read_end(store->map);
    }
    return head;
}

/* A page's bytes; for page 1 without what a restore may change. */
static void read_page(const struct d1_store *store, uint32_t page, uint64_t lsn, char *ret)
{
    struct ps_slice bytes;
    memset(ret, 0, PS_PAGE_KEPT);
    assert_int_equal(ps_map_read_begin(store->map), PS_OK);
    if (ps_pages_read(store->map, store->store, page, lsn, &bytes) == PS_OK) {
        memcpy(ret, bytes.data, PS_PAGE_KEPT);
    }
    ps_map_read_end(store->map);
}

static void check_same_pages(const struct d1_store *store, uint64_t was, uint64_t is)
{
    struct ps_page_head head = head_at(store, was);
    assert_int_equal(head_at(store, is).page_count, head.page_count);
    char a[PS_PAGE_KEPT];
    char b[PS_PAGE_KEPT];
    for (uint32_t page = 1; page <= head.page_count; page++) {
        read_page(store, page, was, a);
        read_page(store, page, is, b);
        for (size_t field = 0; page == 1 && field < 4; field++) {
            a[24 + field] = b[24 + field]; /* the change counter, which is not kept as it is read */
            a[92 + field] = b[92 + field];
            a[40 + field] = b[40 + field]; /* the schema cookie */
        }
        assert_memory_equal(a, b, PS_PAGE_KEPT);
    }
}

/* --- a step's checks --- */

/* What each connection has open sees the newest state. */
static void check_connections(struct world *world, uint64_t hash)
{
    d1_replicate(&world->home, &world->replica);
    uint64_t last = d1_log(&world->home).last_lsn;
    assert_true(d1_hash(&world->home, last) == d1_hash(&world->replica, last));
    assert_true(dump(world->writer) == hash);
    assert_true(dump(world->other) == hash);
    assert_true(dump(world->far) == hash);
    struct ps_buf count = {0};
    assert_int_equal(sqlite3_step(world->prepared), SQLITE_ROW);
    ps_buf_printf(&count, "i:%d|\n", sqlite3_column_int(world->prepared, 0));
    (void)sqlite3_reset(world->prepared);
    d1_expect(world->writer, "SELECT count(*) FROM sqlite_schema", ps_buf_text(&count));
    ps_buf_fini(&count);
}

static void note_new(struct world *world)
{
    uint64_t last = d1_log(&world->home).last_lsn;
    for (uint64_t lsn = world->dump_count; lsn <= last; lsn++) {
        world->dumps =
            ps_grow(world->dumps, world->dump_count, &world->dump_capacity, sizeof(uint64_t));
        world->dumps[world->dump_count++] = dump(world->writer);
    }
    char page[PS_PAGE_KEPT];
    read_page(&world->home, 1, last, page);
    uint32_t cookie = number_at(page + 40);
    assert_true(cookie >= world->cookie);
    world->cookie = cookie;
    assert_int_equal(head_at(&world->home, last).restores, world->restores);
    assert_int_equal(ps_pages_restores(world->writer), world->restores);
}

static void restore(struct world *world, uint64_t lsn)
{
    uint64_t last = d1_log(&world->home).last_lsn;
    uint32_t cookie = world->cookie;
    assert_int_equal(ps_pages_restore(world->writer, lsn), PS_OK);
    assert_int_equal(d1_log(&world->home).last_lsn, last + 1);
    assert_int_equal(ps_pages_lsn(world->writer), last + 1);
    world->restores++;
    note_new(world);
    assert_int_equal(world->cookie, cookie + 1);
    if (lsn > 0) {
        check_same_pages(&world->home, lsn, last + 1);
    }
    assert_true(world->dumps[last + 1] == world->dumps[lsn]);
    check_connections(world, world->dumps[lsn]);
}

static void start(struct world *world, uint64_t seed)
{
    *world = (struct world){.rng = {.seed = seed, .stream = ps_stream_of("test-d1", NULL, NULL)}};
    d1_store_open(&world->home, ps_map_create_memory());
    d1_store_open(&world->replica, ps_map_create_memory());
    world->writer = d1_connect(&world->home, true);
    world->other = d1_connect(&world->home, false);
    world->far = d1_connect(&world->replica, false);
    assert_int_equal(sqlite3_prepare_v2(ps_pages_db(world->far),
                                        "SELECT count(*) FROM sqlite_schema", -1, &world->prepared,
                                        NULL),
                     SQLITE_OK);
    note_new(world);
}

static void stop(struct world *world)
{
    (void)sqlite3_finalize(world->prepared);
    ps_pages_close(world->writer);
    ps_pages_close(world->other);
    ps_pages_close(world->far);
    ps_map_close(world->home.map);
    ps_map_close(world->replica.map);
    free(world->dumps);
}

/* --- tests --- */

static void test_any_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world world;
        start(&world, seed);
        for (int step = 0; step < STEPS; step++) {
            some_transaction(&world);
            note_new(&world);
            if (below(&world, 4) == 0) {
                uint64_t before = d1_log(&world.home).last_lsn;
                restore(&world, below(&world, world.dump_count));
                if (below(&world, 2) == 0) {
                    restore(&world, before); /* undone */
                }
            }
        }
        /* Each state there was, one after the other. */
        uint64_t last = d1_log(&world.home).last_lsn;
        for (uint64_t lsn = 0; lsn <= last; lsn++) {
            restore(&world, lsn);
        }
        assert_in_range(last, STEPS / 3, 2 * STEPS);
        stop(&world);
    }
}

/* A connection that has cached the first state takes no later one for it, although in a
 * database begun anew the schema is changed for the first time, too. */
static void test_begun_anew(void **state)
{
    (void)state;
    struct world world;
    start(&world, 1);
    d1_exec(world.writer, "CREATE TABLE t0(a); ");
    d1_expect(world.other, "SELECT count(*) FROM t0", "i:0|\n");
    assert_int_equal(ps_pages_restore(world.writer, 0), PS_OK);
    d1_exec(world.writer, "CREATE TABLE t1(a)");
    d1_expect(world.other, "SELECT name FROM sqlite_schema", "t:t1|\n");
    d1_expect(world.writer, "PRAGMA integrity_check", "t:ok|\n");
    d1_replicate(&world.home, &world.replica);
    d1_expect(world.far, "SELECT name FROM sqlite_schema", "t:t1|\n");
    d1_exec(world.writer, "VACUUM"); /* a whole new file keeps the count */
    assert_int_equal(head_at(&world.home, d1_log(&world.home).last_lsn).restores, 1);
    stop(&world);
}

/* A database that nobody has written to yet. */
static void test_nothing_to_restore(void **state)
{
    (void)state;
    struct world world;
    start(&world, 1);
    assert_int_equal(ps_pages_restore(world.writer, 1), PS_BEHIND);
    assert_int_equal(ps_pages_restore(world.writer, 0), PS_OK);
    assert_int_equal(d1_log(&world.home).last_lsn, 1);
    d1_expect(world.writer, "PRAGMA integrity_check", "t:ok|\n");
    d1_exec(world.writer, "CREATE TABLE t0(a); INSERT INTO t0 VALUES('x')");
    d1_expect(world.other, "SELECT a FROM t0", "t:x|\n");
    stop(&world);
}

static void test_refused(void **state)
{
    (void)state;
    struct world world;
    start(&world, 1);
    d1_exec(world.writer, "CREATE TABLE t0(id INTEGER PRIMARY KEY, a)");
    d1_exec(world.writer, "INSERT INTO t0(a) VALUES(1)");
    uint64_t last = d1_log(&world.home).last_lsn;
    assert_int_equal(ps_pages_restore(world.writer, last + 1), PS_BEHIND);
    world.home.refuse = PS_FULL;
    assert_int_equal(ps_pages_restore(world.writer, 1), PS_FULL);
    world.home.refuse = PS_OK;
    assert_int_equal(d1_log(&world.home).last_lsn, last);
    d1_expect(world.writer, "SELECT a FROM t0", "i:1|\n");
    d1_exec(world.writer, "INSERT INTO t0(a) VALUES(2)");
    bool more = true;
    while (more) {
        assert_int_equal(ps_map_forget(world.home.map, world.home.store,
                                       d1_log(&world.home).last_commit_ns, 1000, &more, NULL),
                         PS_OK);
    }
    assert_int_equal(ps_pages_restore(world.writer, 2), PS_TOO_OLD);
    assert_int_equal(ps_pages_restore(world.writer, 3), PS_OK);
    d1_expect(world.other, "SELECT a FROM t0", "i:1|\ni:2|\n");
    stop(&world);
}

/* More pages than a record takes, gathered by many commits. */
static void test_too_much(void **state)
{
    (void)state;
    struct world world;
    start(&world, 1);
    char sql[256];
    d1_exec(world.writer, "CREATE TABLE t0(id INTEGER PRIMARY KEY, a)");
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)"
                   "INSERT INTO t0(a) SELECT zeroblob(3900) FROM n",
                   PS_PAGES_PER_RECORD_MAX * 2 / 3);
    d1_exec(world.writer, sql);
    d1_exec(world.writer, sql);
    uint64_t full = d1_log(&world.home).last_lsn;
    d1_exec(world.writer, "DELETE FROM t0"); /* the pages are free, and still as they were */
    assert_int_equal(ps_pages_restore(world.writer, full), PS_OK);
    d1_expect(world.writer, "PRAGMA quick_check", "t:ok|\n");
    d1_exec(world.writer, "UPDATE t0 SET a = 1 WHERE id % 3 <> 0; VACUUM");
    d1_exec(world.writer, "DROP TABLE t0");
    d1_exec(world.writer, "VACUUM");
    uint64_t last = d1_log(&world.home).last_lsn;
    assert_int_equal(ps_pages_restore(world.writer, full), PS_LIMIT);
    assert_int_equal(d1_log(&world.home).last_lsn, last);
    d1_exec(world.writer, "CREATE TABLE t1(a)");
    d1_expect(world.writer, "PRAGMA integrity_check", "t:ok|\n");
    stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_state),          cmocka_unit_test(test_begun_anew),
        cmocka_unit_test(test_nothing_to_restore), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
