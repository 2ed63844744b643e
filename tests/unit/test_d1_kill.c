/* kill -9 of the process that writes, in the middle of its commits: the database opens, is whole,
 * and holds every acknowledged transaction and nothing of the others. The long form:
 * PS_D1_ROUNDS=200 .../test_d1_kill */
#include "replication/base/random.h"
#include "tests/support/d1_base.h"
#include "tests/support/temp_folder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { ROUNDS = 20, ACKS_MAX = 40, SPINS_MAX = 1000000 };

static struct ps_map *open_map(const char *path)
{
    struct ps_map *map = NULL;
    struct ps_error err = {0};
    if (ps_map_open_lmdb(path, false, &map, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return map;
}

/* Transaction after transaction, each over two tables; its number goes to the pipe when it is
 * committed. */
_Noreturn static void write_until_killed(const char *path, uint64_t first, int pipe_fd)
{
    struct d1_store home;
    d1_store_open(&home, open_map(path));
    struct ps_pages *pages = d1_connect(&home, true);
    d1_exec(pages, "PRAGMA cache_size=10");
    for (uint64_t n = first;; n++) {
        char sql[256];
        (void)snprintf(sql, sizeof sql,
                       "BEGIN; INSERT INTO a VALUES(%llu, randomblob(%llu)); UPDATE b SET n = n + "
                       "1; INSERT INTO a VALUES(-%llu, 'pair'); COMMIT",
                       (unsigned long long)n, (unsigned long long)(n % 7 == 0 ? 60000 : n % 900),
                       (unsigned long long)n);
        d1_exec(pages, sql);
        if (write(pipe_fd, &n, sizeof n) != (ssize_t)sizeof n) {
            _exit(1);
        }
    }
}

/* Read what was acknowledged; after `count` of them kill the child, and then read the rest. */
static uint64_t kill_after(pid_t child, int pipe_fd, uint64_t count, uint64_t spins, uint64_t last)
{
    for (uint64_t acks = 0;; acks++) {
        uint64_t n;
        ssize_t got = read(pipe_fd, &n, sizeof n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0) {
            break;
        }
        assert_int_equal(got, sizeof n);
        last = n;
        if (acks + 1 == count) {
            for (volatile uint64_t i = 0; i < spins; i = i + 1) {
                /* so that it falls anywhere in the next transactions */
            }
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

static uint64_t number(struct ps_pages *pages, const char *sql)
{
    char *text = d1_ask(pages, sql);
    unsigned long long value = 0;
    assert_int_equal(sscanf(text, "i:%llu|", &value), 1);
    free(text);
    return value;
}

/* Give the number of transactions that the database holds. */
static uint64_t check_whole(const char *path, uint64_t acknowledged)
{
    struct d1_store home;
    d1_store_open(&home, open_map(path));
    struct ps_pages *pages = d1_connect(&home, true);
    d1_expect(pages, "PRAGMA integrity_check", "t:ok|\n");
    uint64_t held = number(pages, "SELECT n FROM b");
    assert_in_range(held, acknowledged, acknowledged + 1);
    assert_int_equal(number(pages, "SELECT count(*) FROM a"), 2 * held);
    assert_int_equal(number(pages, "SELECT coalesce(max(id), 0) FROM a"), held);
    assert_int_equal(number(pages, "SELECT count(*) FROM a WHERE id < 0 AND x = 'pair'"), held);
    assert_int_equal(d1_log(&home).last_lsn, held + 1);
    (void)d1_hash(&home, held + 1);
    ps_pages_close(pages);
    ps_map_close(home.map);
    return held;
}

/* The log alone makes the same database again. */
static void check_replica(const char *path)
{
    struct d1_store home;
    struct d1_store replica;
    d1_store_open(&home, open_map(path));
    d1_store_open(&replica, ps_map_create_memory());
    d1_replicate(&home, &replica);
    uint64_t lsn = d1_log(&home).last_lsn;
    assert_true(d1_hash(&home, lsn) == d1_hash(&replica, lsn));
    ps_map_close(home.map);
    ps_map_close(replica.map);
}

static void test_kill(void **state)
{
    (void)state;
    const char *wanted = getenv("PS_D1_ROUNDS");
    long rounds = wanted == NULL ? ROUNDS : strtol(wanted, NULL, 10);
    struct temp_folder folder;
    temp_folder_make(&folder);
    struct d1_store home;
    d1_store_open(&home, open_map(folder.path));
    struct ps_pages *pages = d1_connect(&home, true);
    d1_exec(pages, "BEGIN; CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(n);"
                   "INSERT INTO b VALUES(0); COMMIT");
    ps_pages_close(pages);
    ps_map_close(home.map);

    uint64_t held = 0;
    struct ps_rng rng = {.seed = 11, .stream = ps_stream_of("test-kill", NULL, NULL)};
    for (long round = 0; round < rounds; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(fds[0]);
            write_until_killed(folder.path, held + 1, fds[1]);
        }
        (void)close(fds[1]);
        uint64_t count = 1 + ps_rng_below(&rng, ACKS_MAX);
        uint64_t last = kill_after(child, fds[0], count, ps_rng_below(&rng, SPINS_MAX), held);
        (void)close(fds[0]);
        held = check_whole(folder.path, last);
    }
    check_replica(folder.path);
    print_message("%ld kills, %llu transactions\n", rounds, (unsigned long long)held);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
