/* A random workload: at every LSN the database is whole, and a replica's pages are home's; and any
 * of these LSNs can be read again later, at home and on the replica. */
#include "replication/base/random.h"
#include "tests/support/d1_base.h"

#include <stdio.h>

enum { SEEDS = 4, STEPS = 120, TABLES = 4, AGAIN = 60 };

struct world {
    struct d1_store home;
    struct d1_store replica;
    struct ps_pages *writer;
    struct ps_pages *at_home; /* reads at an LSN */
    struct ps_pages *at_replica;
    struct ps_rng rng;
    uint64_t *dumps; /* by LSN: a hash of what the database held */
    size_t dump_count;
    size_t dump_capacity;
};

static uint64_t below(struct world *world, uint64_t bound)
{
    return ps_rng_below(&world->rng, bound);
}

static uint64_t dump_hash(struct ps_pages *pages)
{
    char *text = d1_ask(pages, "PRAGMA integrity_check; SELECT name, sql FROM sqlite_schema; "
                               "SELECT * FROM t0; SELECT * FROM t1; SELECT * FROM t2; "
                               "SELECT * FROM t3");
    assert_memory_equal(text, "t:ok|\n", 6);
    uint64_t hash = ps_slice_hash(ps_slice_of(text));
    free(text);
    return hash;
}

/* One statement on one of the tables. Some fail; that is part of it. */
static void some_statement(struct world *world, struct ps_buf *sql)
{
    unsigned table = (unsigned)below(world, TABLES);
    unsigned long long a = below(world, 50);
    unsigned long long size = below(world, 10) == 0 ? below(world, 30000) : below(world, 300);
    switch (below(world, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        ps_buf_printf(sql, "INSERT INTO t%u VALUES(NULL, %llu, zeroblob(%llu));", table, a, size);
        break;
    case 4:
        ps_buf_printf(sql,
                      "INSERT INTO t%u SELECT NULL, a + 1, hex(a) FROM t%u ORDER BY id LIMIT 40;",
                      table, (unsigned)below(world, TABLES));
        break;
    case 5:
        ps_buf_printf(sql, "UPDATE t%u SET b = hex(zeroblob(%llu)) WHERE a %% 10 = %llu;", table,
                      size / 2, a % 10);
        break;
    case 6:
        ps_buf_printf(sql, "UPDATE t%u SET a = a + 1;", table);
        break;
    case 7:
        ps_buf_printf(sql, "DELETE FROM t%u WHERE a > %llu;", table, a);
        break;
    case 8:
        ps_buf_printf(sql, "CREATE INDEX IF NOT EXISTS i%u ON t%u(a, b);", table, table);
        break;
    case 9:
        ps_buf_printf(sql, "DROP INDEX IF EXISTS i%u;", table);
        break;
    case 10:
        ps_buf_printf(sql, "DELETE FROM t%u;", table);
        break;
    default:
        ps_buf_printf(sql, "INSERT INTO t%u VALUES(1, 1, 1), (2, 2, 2);", table); /* may collide */
    }
}

static void some_transaction(struct world *world)
{
    struct ps_buf sql = {0};
    uint64_t kind = below(world, 20);
    if (kind == 0) {
        ps_buf_append_text(&sql, "VACUUM");
    } else if (kind < 8) {
        some_statement(world, &sql);
    } else {
        ps_buf_append_text(&sql, "BEGIN;");
        for (uint64_t count = below(world, 6); count > 0; count--) {
            some_statement(world, &sql);
        }
        ps_buf_append_text(&sql, "SAVEPOINT s;");
        some_statement(world, &sql);
        ps_buf_append_text(&sql, below(world, 2) == 0 ? "ROLLBACK TO s;" : "RELEASE s;");
        ps_buf_append_text(&sql, below(world, 6) == 0 ? "ROLLBACK" : "COMMIT");
    }
    (void)d1_try(world->writer, ps_buf_text(&sql));
    if (!sqlite3_get_autocommit(ps_pages_db(world->writer))) {
        d1_exec(world->writer, "ROLLBACK");
    }
    ps_buf_fini(&sql);
}

/* The LSNs that a transaction has made: one or none. */
static void check_new(struct world *world)
{
    uint64_t last = d1_log(&world->home).last_lsn;
    d1_replicate(&world->home, &world->replica);
    for (uint64_t lsn = world->dump_count; lsn <= last; lsn++) {
        d1_view(world->at_home, lsn);
        d1_view(world->at_replica, lsn);
        uint64_t hash = lsn == 0 ? 0 : dump_hash(world->at_home);
        assert_true(lsn == 0 || dump_hash(world->at_replica) == hash);
        assert_true(d1_hash(&world->home, lsn) == d1_hash(&world->replica, lsn));
        world->dumps = ps_grow(world->dumps, world->dump_count, &world->dump_capacity, sizeof hash);
        world->dumps[world->dump_count++] = hash;
    }
}

static void check_again(struct world *world)
{
    for (int i = 0; i < AGAIN; i++) {
        uint64_t lsn = 1 + below(world, world->dump_count - 1);
        struct ps_pages *pages = below(world, 2) == 0 ? world->at_home : world->at_replica;
        d1_view(pages, lsn);
        if (dump_hash(pages) != world->dumps[lsn]) {
            fail_msg("LSN %llu", (unsigned long long)lsn);
        }
    }
}

static void run_seed(uint64_t seed)
{
    struct world world = {.rng = {.seed = seed, .stream = ps_stream_of("test-d1", NULL, NULL)}};
    d1_store_open(&world.home, ps_map_create_memory());
    d1_store_open(&world.replica, ps_map_create_memory());
    world.writer = d1_connect(&world.home, true);
    world.at_home = d1_connect(&world.home, false);
    world.at_replica = d1_connect(&world.replica, false);
    if (seed % 2 == 0) {
        d1_exec(world.writer, "PRAGMA cache_size=10"); /* pages leave it before the commit */
    }
    d1_exec(world.writer, "BEGIN; CREATE TABLE t0(id INTEGER PRIMARY KEY, a, b);"
                          "CREATE TABLE t1(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b);"
                          "CREATE TABLE t2(id, a, b UNIQUE);"
                          "CREATE TABLE t3(id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE, b)"
                          "; COMMIT");
    check_new(&world);
    for (int step = 0; step < STEPS; step++) {
        some_transaction(&world);
        check_new(&world);
    }
    check_again(&world);
    assert_in_range(world.dump_count, STEPS / 3, STEPS + 2);
    ps_pages_close(world.writer);
    ps_pages_close(world.at_home);
    ps_pages_close(world.at_replica);
    ps_map_close(world.home.map);
    ps_map_close(world.replica.map);
    free(world.dumps);
}

static void test_every_lsn_is_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_lsn_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
