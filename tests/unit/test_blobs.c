/* Blobs: files that are whole or not there, whatever is broken off, full or swept. The loop is
 * turned by hand. */
#include "node/io/r2/blobs.h"
#include "node/io/tail.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "tests/support/temp_folder.h"

#include <ev.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    struct temp_folder folder;
    char path[96];
    struct ev_loop *loop;
    struct ps_blobs *blobs;
};

struct writing {
    struct ps_blob_write *write;
    size_t drained;
    size_t done;
    struct ps_blob_result result;
    char text[512];
};

static void on_drained(void *context)
{
    ((struct writing *)context)->drained++;
}

static void on_done(void *context, const struct ps_blob_result *result)
{
    struct writing *writing = context;
    writing->done++;
    writing->result = *result;
    (void)snprintf(writing->text, sizeof writing->text, "%s",
                   result->text == NULL ? "" : result->text);
}

static void open_blobs(struct bench *bench)
{
    struct ps_error err = {0};
    assert_int_equal(
        ps_blobs_open(bench->loop, bench->path, true, PS_BLOB_HOLD_S, &bench->blobs, &err), PS_OK);
}

static void close_blobs(struct bench *bench)
{
    ps_blobs_stop(bench->blobs);
    ps_blobs_close(bench->blobs);
    bench->blobs = NULL;
}

static int set_up(void **state)
{
    struct bench *bench = PS_NEW(struct bench);
    temp_folder_make(&bench->folder);
    (void)snprintf(bench->path, sizeof bench->path, "%s/blobs", bench->folder.path);
    (void)signal(SIGXFSZ, SIG_IGN);
    bench->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    open_blobs(bench);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    close_blobs(bench);
    ev_loop_destroy(bench->loop);
    temp_folder_remove(&bench->folder);
    free(bench);
    return 0;
}

static struct ps_r2_id id_of(uint64_t n)
{
    struct ps_r2_id id = {{0}};
    memcpy(id.bytes, &n, sizeof n);
    return id;
}

static void begin_in(struct bench *bench, const char *store, struct writing *writing, uint64_t n)
{
    const struct ps_blob_writer writer = {on_drained, on_done, writing};
    const struct ps_r2_id id = id_of(n);
    *writing = (struct writing){0};
    writing->write =
        ps_blob_begin(bench->blobs, store, &id,
                      PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_SHA256), &writer);
}

static void begin(struct bench *bench, struct writing *writing, uint64_t n)
{
    begin_in(bench, "ASSETS", writing, n);
}

static void turn_until_idle(struct bench *bench)
{
    while (ps_blobs_busy(bench->blobs)) {
        (void)ev_run(bench->loop, EVRUN_ONCE);
    }
}

static void wait_done(struct bench *bench, const struct writing *writing)
{
    while (writing->done == 0) {
        (void)ev_run(bench->loop, EVRUN_ONCE);
    }
}

static enum ps_status put(struct bench *bench, uint64_t n, struct ps_slice bytes)
{
    struct writing writing;
    begin(bench, &writing, n);
    (void)ps_blob_append(writing.write, bytes);
    ps_blob_finish(writing.write);
    wait_done(bench, &writing);
    return writing.result.status;
}

/* Files in the store's folder; *ret_temporary of them have no name yet. */
static size_t files(const struct bench *bench, size_t *ret_temporary)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/ASSETS", bench->path);
    DIR *folder = opendir(path);
    size_t count = 0;
    *ret_temporary = 0;
    if (folder == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
        *ret_temporary += strstr(entry->d_name, ".tmp") != NULL;
    }
    (void)closedir(folder);
    return count;
}

static void assert_files(const struct bench *bench, size_t wanted)
{
    size_t temporary;
    assert_int_equal(files(bench, &temporary), wanted);
    assert_int_equal(temporary, 0);
}

static bool holds(const struct bench *bench, uint64_t n, struct ps_slice bytes)
{
    const struct ps_r2_id id = id_of(n);
    int fd;
    uint64_t size;
    if (ps_blob_open(bench->blobs, "ASSETS", &id, &fd, &size) != PS_OK) {
        return false;
    }
    char *got = ps_calloc(1, size + 1);
    bool same = size == bytes.size && read(fd, got, size) == (ssize_t)size &&
                memcmp(got, bytes.data, size) == 0;
    free(got);
    (void)close(fd);
    return same;
}

static struct ps_buf drawn(size_t size)
{
    struct ps_buf bytes = {0};
    struct ps_rng rng = {.seed = size};
    while (bytes.size < size) {
        uint64_t word = ps_rng_u64(&rng);
        ps_buf_append(&bytes, &word, sizeof word);
    }
    bytes.size = size;
    return bytes;
}

/* ---- tests ---- */

static void test_pieces_become_a_file(void **state)
{
    struct bench *bench = *state;
    struct ps_buf bytes = drawn((3 << 20) + 17);
    struct ps_rng rng = {.seed = 7};
    struct writing writing;
    begin(bench, &writing, 1);
    size_t told = 0;
    for (size_t at = 0; at < bytes.size;) {
        size_t size = 1 + (size_t)ps_rng_below(&rng, 100000);
        size = size < bytes.size - at ? size : bytes.size - at;
        size_t drained = writing.drained;
        if (!ps_blob_append(writing.write, (struct ps_slice){bytes.data + at, size})) {
            told++;
            while (writing.drained == drained) { /* as a connection waits */
                (void)ev_run(bench->loop, EVRUN_ONCE);
            }
        }
        at += size;
    }
    assert_true(told > 0);
    assert_int_equal(writing.drained, told);
    ps_blob_finish(writing.write);
    wait_done(bench, &writing);
    struct ps_r2_checksums sums;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_SHA256), ps_buf_slice(&bytes),
                    &sums);
    assert_int_equal(writing.result.status, PS_OK);
    assert_int_equal(writing.result.size, bytes.size);
    assert_int_equal(writing.result.checksums.present, sums.present);
    assert_int_equal(ps_r2_checksums_differ(&writing.result.checksums, &sums), PS_R2_HASHES);
    assert_true(holds(bench, 1, ps_buf_slice(&bytes)));
    assert_files(bench, 1);
    assert_int_equal(put(bench, 2, PS_LIT("")), PS_OK);
    assert_true(holds(bench, 2, PS_LIT("")));
    close_blobs(bench);
    open_blobs(bench);
    assert_true(holds(bench, 1, ps_buf_slice(&bytes)));
    ps_buf_fini(&bytes);
}

static bool has_name(const struct bench *bench, uint64_t n)
{
    const struct ps_r2_id id = id_of(n);
    char *path = ps_blob_path(bench->blobs, "ASSETS", &id);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Broken off before anything, between, and behind the end: nothing is left, and nobody is called.
 */
static void test_broken_off(void **state)
{
    struct bench *bench = *state;
    struct ps_buf bytes = drawn(300000);
    for (int step = 0; step < 8; step++) {
        struct writing writing;
        begin(bench, &writing, (uint64_t)step);
        if (step > 0) {
            (void)ps_blob_append(writing.write, ps_buf_slice(&bytes));
        }
        if (step > 1) {
            (void)ps_blob_append(writing.write, ps_buf_slice(&bytes));
        }
        if (step == 3 || step == 4) {
            while (writing.drained == 0) {
                (void)ev_run(bench->loop, EVRUN_ONCE);
            }
        }
        if (step >= 4) {
            ps_blob_finish(writing.write);
        }
        if (step == 6) {
            (void)ev_run(bench->loop, EVRUN_ONCE);
        }
        if (step == 7) {
            /* It gets its name while the loop has not been told. */
            while (writing.done == 0 && !has_name(bench, 7)) {
                (void)ev_run(bench->loop, EVRUN_NOWAIT);
            }
        }
        if (writing.done == 0) {
            ps_blob_abort(writing.write);
            turn_until_idle(bench);
            assert_int_equal(writing.done, 0);
            assert_files(bench, 0);
        } else {
            const struct ps_r2_id id = id_of((uint64_t)step);
            ps_blob_delete(bench->blobs, "ASSETS", &id, NULL, NULL);
            turn_until_idle(bench);
        }
    }
    ps_buf_fini(&bytes);
}

static void test_an_id_is_used_once(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(put(bench, 1, PS_LIT("first")), PS_OK);
    assert_int_equal(put(bench, 1, PS_LIT("second")), PS_EXISTS);
    assert_true(holds(bench, 1, PS_LIT("first")));
    assert_files(bench, 1);
    /* Two at once: one of them. */
    struct writing writings[2];
    for (size_t i = 0; i < 2; i++) {
        begin(bench, &writings[i], 2);
        (void)ps_blob_append(writings[i].write, i == 0 ? PS_LIT("aa") : PS_LIT("bb"));
        ps_blob_finish(writings[i].write);
    }
    wait_done(bench, &writings[0]);
    wait_done(bench, &writings[1]);
    bool second = writings[0].result.status == PS_EXISTS;
    assert_int_equal(writings[second].result.status, PS_OK);
    assert_int_equal(writings[!second].result.status, PS_EXISTS);
    assert_true(holds(bench, 2, second ? PS_LIT("bb") : PS_LIT("aa")));
    assert_files(bench, 2);
}

static void test_a_full_disk_is_named(void **state)
{
    struct bench *bench = *state;
    struct ps_buf bytes = drawn(1 << 20);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit full = {.rlim_cur = 100000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    struct writing writing;
    begin(bench, &writing, 1);
    (void)ps_blob_append(writing.write, ps_buf_slice(&bytes));
    wait_done(bench, &writing); /* without its end */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(writing.result.status, PS_FULL);
    assert_non_null(strstr(writing.text, bench->path));
    assert_files(bench, 0);
    assert_int_equal(put(bench, 1, ps_buf_slice(&bytes)), PS_OK);
    assert_true(holds(bench, 1, ps_buf_slice(&bytes)));
    ps_buf_fini(&bytes);
}

static void test_a_start_tidies(void **state)
{
    struct bench *bench = *state;
    char path[256];
    assert_int_equal(put(bench, 1, PS_LIT("kept")), PS_OK);
    close_blobs(bench);
    (void)snprintf(path, sizeof path, "%s/ASSETS/%032x.7.tmp", bench->path, 5);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/.gone-1-1", bench->path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/.gone-1-1/file", bench->path);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    open_blobs(bench);
    turn_until_idle(bench);
    assert_files(bench, 1);
    assert_true(holds(bench, 1, PS_LIT("kept")));
    (void)snprintf(path, sizeof path, "%s/.gone-1-1", bench->path);
    assert_int_not_equal(access(path, F_OK), 0);
    ps_blobs_drop(bench->blobs, "ASSETS");
    ps_blobs_drop(bench->blobs, "OTHER"); /* it has none */
    turn_until_idle(bench);
    assert_files(bench, 0);
    assert_int_equal(put(bench, 2, PS_LIT("again")), PS_NOT_FOUND); /* it is gone for good */
    assert_files(bench, 0);
}

/* What nothing knows and nothing holds goes, a part of the folder at a time. */
static void test_sweeping(void **state)
{
    enum { BLOBS = 40, BUDGET = 7 };

    struct bench *bench = *state;
    for (uint64_t n = 0; n < BLOBS; n++) {
        assert_int_equal(put(bench, n, PS_LIT("x")), PS_OK);
    }
    bool round = false;
    /* All are new, and so held. */
    assert_int_equal(ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round), 0);
    assert_true(round);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, false), 0);
    close_blobs(bench);
    open_blobs(bench); /* a start holds nothing */
    const struct ps_r2_id held = id_of(1);
    const struct ps_r2_id late = id_of(2);
    ps_blob_hold(bench->blobs, &held);
    size_t deleted = 0;
    size_t sweeps = 0;
    for (round = false; !round; sweeps++) {
        size_t count = ps_blobs_sweep_begin(bench->blobs, "ASSETS", BUDGET, &round);
        assert_true(count <= BUDGET);
        assert_true(ps_blobs_sweeps(bench->blobs));
        for (uint64_t n = 0; n < BLOBS; n += 4) {
            const struct ps_r2_id known = id_of(n);
            ps_blobs_sweep_known(bench->blobs, &known);
        }
        if (sweeps == 0) {
            ps_blob_hold(bench->blobs, &late); /* while it may be a candidate */
        }
        deleted += ps_blobs_sweep_end(bench->blobs, false);
        turn_until_idle(bench);
    }
    assert_true(sweeps > BLOBS / BUDGET);
    assert_int_equal(deleted, BLOBS - BLOBS / 4 - 2);
    assert_files(bench, BLOBS / 4 + 2);
    for (uint64_t n = 0; n < BLOBS; n++) {
        assert_int_equal(holds(bench, n, PS_LIT("x")), n % 4 == 0 || n == 1 || n == 2);
    }
    ps_blob_release(bench->blobs, &held);
    ps_blob_release(bench->blobs, &late);
    (void)ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, true), 0);
    (void)ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, false), BLOBS / 4 + 2);
    turn_until_idle(bench);
    assert_files(bench, 0);
}

/* What was refused goes at once, when it is new, nobody else holds it, and no record may refer to
 * it.
 */
static void test_discarding(void **state)
{
    struct bench *bench = *state;
    for (uint64_t n = 1; n <= 4; n++) {
        assert_int_equal(put(bench, n, PS_LIT("x")), PS_OK);
    }
    const struct ps_r2_id ids[] = {id_of(0), id_of(1), id_of(2), id_of(3), id_of(4)};
    ps_blob_hold(bench->blobs, &ids[1]); /* two tries of one mutation */
    ps_blob_hold(bench->blobs, &ids[1]);
    ps_blob_discard(bench->blobs, "ASSETS", &ids[1]);
    turn_until_idle(bench);
    assert_true(holds(bench, 1, PS_LIT("x")));
    ps_blob_discard(bench->blobs, "ASSETS", &ids[1]);
    assert_false(holds(bench, 1, PS_LIT("x"))); /* at once */

    ps_blob_hold(bench->blobs, &ids[2]); /* committed, and tried again */
    ps_blob_release(bench->blobs, &ids[2]);
    ps_blob_hold(bench->blobs, &ids[2]);
    ps_blob_discard(bench->blobs, "ASSETS", &ids[2]);

    ps_blob_hold(bench->blobs, &ids[3]); /* the same, both at once */
    ps_blob_hold(bench->blobs, &ids[3]);
    ps_blob_release(bench->blobs, &ids[3]);
    ps_blob_discard(bench->blobs, "ASSETS", &ids[3]);
    turn_until_idle(bench);
    assert_files(bench, 3);

    close_blobs(bench);
    open_blobs(bench);
    ps_blob_hold(bench->blobs, &ids[4]); /* of an earlier process: who knows? */
    ps_blob_discard(bench->blobs, "ASSETS", &ids[4]);
    turn_until_idle(bench);
    assert_files(bench, 3);
}

/* A sweep that falls between a blob's name and the loop's learning of it. */
static void test_a_new_name_is_not_swept(void **state)
{
    struct bench *bench = *state;
    const struct ps_r2_id id = id_of(1);
    struct writing writing;
    bool round;
    int fd;
    uint64_t size;
    begin(bench, &writing, 1);
    (void)ps_blob_append(writing.write, PS_LIT("hello"));
    turn_until_idle(bench);
    ps_blob_finish(writing.write);
    while (ps_blob_open(bench->blobs, "ASSETS", &id, &fd, &size) != PS_OK) {
        (void)sched_yield();
    }
    (void)close(fd);
    assert_int_equal(writing.done, 0);
    assert_int_equal(ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round), 0);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, false), 0);
    wait_done(bench, &writing);
    assert_int_equal(writing.result.status, PS_OK);
    assert_true(holds(bench, 1, PS_LIT("hello")));
}

/* Its file may be there for a moment yet, but who finds it would refer to what goes. */
static void test_what_is_swept_is_gone_at_once(void **state)
{
    enum { BLOBS = 200 };

    struct bench *bench = *state;
    bool round;
    for (uint64_t n = 0; n < BLOBS; n++) {
        assert_int_equal(put(bench, n, PS_LIT("x")), PS_OK);
    }
    close_blobs(bench);
    open_blobs(bench);
    assert_int_equal(ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round), BLOBS);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, false), BLOBS);
    for (uint64_t n = BLOBS; n > 0; n--) {
        assert_false(holds(bench, n - 1, PS_LIT("x")));
    }
    /* Nor is it swept a second time. */
    assert_int_equal(ps_blobs_sweep_begin(bench->blobs, "ASSETS", 1000, &round), 0);
    assert_int_equal(ps_blobs_sweep_end(bench->blobs, false), 0);
    turn_until_idle(bench);
    assert_files(bench, 0);
}

/* Two stores whose rounds take several sweeps, in turns: both come to their ends. */
static void test_rounds_of_two_stores(void **state)
{
    enum { BLOBS = 20, BUDGET = 3, SWEEPS = 20 };

    static const char *const stores[2] = {"ASSETS", "OTHER"};
    struct bench *bench = *state;
    for (uint64_t n = 0; n < 2 * BLOBS; n++) {
        struct writing writing;
        begin_in(bench, stores[n % 2], &writing, n);
        ps_blob_finish(writing.write);
        wait_done(bench, &writing);
        assert_int_equal(writing.result.status, PS_OK);
    }
    close_blobs(bench);
    open_blobs(bench);
    size_t deleted = 0;
    size_t rounds[2] = {0};
    for (size_t i = 0; i < SWEEPS; i++) {
        bool round;
        (void)ps_blobs_sweep_begin(bench->blobs, stores[i % 2], BUDGET, &round);
        rounds[i % 2] += round;
        deleted += ps_blobs_sweep_end(bench->blobs, false);
        turn_until_idle(bench);
    }
    assert_true(rounds[0] > 0 && rounds[1] > 0);
    assert_int_equal(deleted, 2 * BLOBS);
}

/* Writes of a store that is dropped fail, wherever they are, and make no folder anew. */
static void test_dropped_under_way(void **state)
{
    enum { WRITES = 5 };

    struct bench *bench = *state;
    struct ps_buf bytes = drawn(1 << 20);
    struct writing writings[WRITES];
    struct writing late;
    char path[128];
    for (size_t i = 0; i < WRITES; i++) {
        begin(bench, &writings[i], i); /* the first one gets no bytes */
        if (i > 0) {
            (void)ps_blob_append(writings[i].write, ps_buf_slice(&bytes));
        }
        if (i == 1) {
            turn_until_idle(bench); /* its client is slow */
        }
        if (i == 2) {
            ps_blob_finish(writings[i].write);
        }
    }
    ps_blob_abort(writings[3].write);
    ps_blobs_drop(bench->blobs, "ASSETS");
    begin(bench, &late, WRITES); /* its request was begun before */
    (void)ps_blob_append(late.write, PS_LIT("x"));
    for (size_t i = 0; i < WRITES; i++) {
        if (i == 3) {
            continue;
        }
        wait_done(bench, &writings[i]);
        assert_int_equal(writings[i].result.status, PS_NOT_FOUND);
        assert_non_null(strstr(writings[i].text, "was deleted"));
    }
    wait_done(bench, &late);
    assert_int_equal(late.result.status, PS_NOT_FOUND);
    turn_until_idle(bench);
    assert_int_equal(writings[3].done, 0);
    (void)snprintf(path, sizeof path, "%s/ASSETS", bench->path);
    assert_int_not_equal(access(path, F_OK), 0);
    ps_buf_fini(&bytes);
}

static void on_deleted(void *context, enum ps_status status)
{
    *(enum ps_status *)context = status;
}

static void test_delete_while_it_is_read(void **state)
{
    struct bench *bench = *state;
    const struct ps_r2_id id = id_of(1);
    int fd;
    uint64_t size;
    char text[6] = "";
    enum ps_status status = PS_BUSY;
    assert_int_equal(put(bench, 1, PS_LIT("hello")), PS_OK);
    assert_int_equal(ps_blob_open(bench->blobs, "ASSETS", &id, &fd, &size), PS_OK);
    ps_blob_delete(bench->blobs, "ASSETS", &id, on_deleted, &status);
    turn_until_idle(bench);
    assert_int_equal(status, PS_OK);
    assert_int_equal(read(fd, text, 5), 5);
    assert_string_equal(text, "hello");
    (void)close(fd);
    assert_int_equal(ps_blob_open(bench->blobs, "ASSETS", &id, &fd, &size), PS_NOT_FOUND);
    ps_blob_delete(bench->blobs, "ASSETS", &id, on_deleted, &status);
    turn_until_idle(bench);
    assert_int_equal(status, PS_NOT_FOUND);
}

/* The node stops while bodies come. */
static void test_stopped_under_way(void **state)
{
    struct bench *bench = *state;
    struct ps_buf bytes = drawn(1 << 20);
    struct writing writings[3];
    for (size_t i = 0; i < 3; i++) {
        begin(bench, &writings[i], i);
        (void)ps_blob_append(writings[i].write, ps_buf_slice(&bytes));
    }
    ps_blobs_stop(bench->blobs);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(writings[i].done, 0);
        (void)ps_blob_append(writings[i].write, ps_buf_slice(&bytes));
        ps_blob_abort(writings[i].write);
    }
    assert_files(bench, 0);
    ps_buf_fini(&bytes);
}

/* Parts of several files as one answer's rest, through a socket that is often full. */
static void test_files_are_sent(void **state)
{
    struct bench *bench = *state;
    struct ps_buf bytes = drawn(700000);
    struct ps_buf wanted = {0};
    struct ps_buf got = {0};
    struct ps_tail_file *parts = PS_NEW_ARRAY(struct ps_tail_file, 3);
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    for (uint64_t n = 0; n < 3; n++) {
        const struct ps_r2_id id = id_of(n);
        assert_int_equal(put(bench, n, ps_buf_slice(&bytes)), PS_OK);
        parts[n] = (struct ps_tail_file){ps_blob_path(bench->blobs, "ASSETS", &id), n * 1000,
                                         n == 1 ? 0 : 600000};
        ps_buf_append(&wanted, bytes.data + parts[n].offset, parts[n].size);
    }
    struct ps_tail tail;
    ps_tail_init_files(&tail, parts, 3, -1);
    assert_int_equal(tail.size, wanted.size);
    while (ps_tail_left(&tail)) {
        if (ps_tail_send(&tail, sockets[0]) < 0) {
            assert_int_equal(errno, EAGAIN);
        }
        ps_buf_reserve(&got, 65536);
        ssize_t count = read(sockets[1], got.data + got.size, 65536);
        got.size += count > 0 ? (size_t)count : 0;
    }
    for (ssize_t count = 1; count > 0; got.size += (size_t)(count > 0 ? count : 0)) {
        ps_buf_reserve(&got, 65536);
        count = read(sockets[1], got.data + got.size, 65536);
    }
    assert_true(ps_slice_eq(ps_buf_slice(&got), ps_buf_slice(&wanted)));
    ps_tail_fini(&tail);
    /* One that is shorter than was said, and one that is not there. */
    for (uint64_t n = 2; n < 4; n++) {
        const struct ps_r2_id id = id_of(n);
        parts = PS_NEW_ARRAY(struct ps_tail_file, 1);
        parts[0] = (struct ps_tail_file){ps_blob_path(bench->blobs, "ASSETS", &id), 700000, 1};
        ps_tail_init_files(&tail, parts, 1, -1);
        assert_int_equal(ps_tail_send(&tail, sockets[0]), -1);
        assert_int_equal(errno, EPIPE);
        ps_tail_fini(&tail);
    }
    (void)close(sockets[0]);
    (void)close(sockets[1]);
    ps_buf_fini(&bytes);
    ps_buf_fini(&wanted);
    ps_buf_fini(&got);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(test_pieces_become_a_file),
                                       TEST(test_broken_off),
                                       TEST(test_an_id_is_used_once),
                                       TEST(test_a_full_disk_is_named),
                                       TEST(test_a_start_tidies),
                                       TEST(test_sweeping),
                                       TEST(test_discarding),
                                       TEST(test_delete_while_it_is_read),
                                       TEST(test_stopped_under_way),
                                       TEST(test_a_new_name_is_not_swept),
                                       TEST(test_what_is_swept_is_gone_at_once),
                                       TEST(test_rounds_of_two_stores),
                                       TEST(test_dropped_under_way),
                                       TEST(test_files_are_sent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
