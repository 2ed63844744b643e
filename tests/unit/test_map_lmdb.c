/* What only the LMDB end does: it lasts, it grows, it is one process's own, it survives a kill at
 * any instant, and it says what is wrong with a folder. */
#include "node/map/map_internal.h"
#include "replication/base/memory.h"
#include "tests/support/map_model.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wire_equal.h"

#include <lmdb.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { SMALL_MAP = 1 << 16, ENTRIES = 5 };

struct fixture {
    struct temp_folder folder;
    struct ps_map *map;
    ps_map_store store;
    struct ps_error err;
};

static enum ps_status try_open(struct fixture *f, bool sync, size_t size)
{
    f->err = (struct ps_error){0};
    f->map = NULL;
    /* In a small map every record settles the one before. */
    const struct ps_lmdb_tuning tuning = {.size_bytes = size, .recent_max = size != 0 ? 1 : 0};
    return ps_map_open_lmdb_tuned(f->folder.path, sync, &tuning, &f->map, &f->err);
}

static void open_map(struct fixture *f, size_t size)
{
    if (try_open(f, false, size) != PS_OK) {
        fail_msg("%s", f->err.text);
    }
    assert_int_equal(ps_map_store_open(f->map, PS_LIT("CACHE"), &f->store, NULL), PS_OK);
}

static void set_up(struct fixture *f, size_t size)
{
    temp_folder_make(&f->folder);
    open_map(f, size);
}

static void tear_down(struct fixture *f)
{
    ps_map_close(f->map);
    temp_folder_remove(&f->folder);
}

static void reopen(struct fixture *f)
{
    ps_map_close(f->map);
    open_map(f, 0);
}

static enum ps_status apply_one(struct ps_map *map, ps_map_store store, uint64_t lsn,
                                struct ps_slice key, struct ps_slice value, struct ps_error *err)
{
    struct ps_entry entry = {.key = key, .value = value};
    struct ps_record record = {
        .lsn = lsn, .commit_ns = lsn * 10, .entries = &entry, .entry_count = 1};
    struct ps_append append = {store, &record};
    return ps_map_apply(map, &append, 1, err);
}

static uint64_t last_lsn(struct ps_map *map, ps_map_store store)
{
    struct ps_log_state state;
    assert_int_equal(ps_map_log_state(map, store, &state), PS_OK);
    return state.last_lsn;
}

static struct ps_map_stats stats_of(struct ps_map *map)
{
    struct ps_map_stats stats;
    assert_int_equal(ps_map_stats(map, &stats), PS_OK);
    return stats;
}

/* Record `lsn` of the test's history: the same each time it is asked for. */
static struct ps_record record_at(struct maker *maker, uint64_t lsn, struct ps_entry *entries)
{
    maker->rng = (struct ps_rng){.seed = lsn, .stream = ps_stream_of("record", NULL, NULL)};
    struct ps_log_state before = {.last_lsn = lsn - 1, .last_commit_ns = lsn * 1000};
    struct ps_record record = maker_record(maker, &before, entries, ENTRIES);
    memcpy(record.token.bytes, &lsn, sizeof lsn);
    return record;
}

struct prefix_check {
    struct maker *maker;
    struct model *model;
    uint64_t next;
};

static bool check_record(void *context, const struct ps_record *record)
{
    struct prefix_check *check = context;
    struct ps_entry entries[ENTRIES];
    struct ps_record expected = record_at(check->maker, check->next, entries);
    model_apply(check->model, 0, &expected);
    const struct ps_record *kept = model_record_of(check->model, 0, check->next);
    assert_true(kept != NULL && record_equal(record, kept));
    check->next++;
    return true;
}

/* The map holds exactly the history's first records, in its log, its keys and its tokens. */
static void check_prefix(struct fixture *f, struct maker *maker)
{
    struct model model;
    model_init(&model);
    struct prefix_check check = {.maker = maker, .model = &model, .next = 1};
    assert_int_equal(ps_map_read_begin(f->map), PS_OK);
    assert_int_equal(ps_map_log(f->map, f->store, 1, check_record, &check), PS_OK);
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        struct ps_version version = {0};
        const struct model_version *expected =
            model_get(&model, 0, maker->keys[i], &PS_BOUND_NEWEST);
        enum ps_status status =
            ps_map_get(f->map, f->store, maker->keys[i], &PS_BOUND_NEWEST, &version);
        assert_int_equal(status, expected == NULL ? PS_NOT_FOUND : PS_OK);
        assert_int_equal(version.lsn, expected == NULL ? 0 : expected->lsn);
        assert_true(expected == NULL || ps_slice_eq(version.value, expected->entry.value));
    }
    for (size_t i = 0; i < model.record_count; i++) {
        const struct ps_record *record = &model.records[i].record;
        uint64_t lsn = 0;
        ps_time_ns commit_ns = 0;
        assert_int_equal(ps_map_token(f->map, f->store, &record->token, &lsn, &commit_ns), PS_OK);
        assert_int_equal(lsn, record->lsn);
        assert_int_equal(commit_ns, record->commit_ns);
    }
    ps_map_read_end(f->map);
    assert_int_equal(check.next, last_lsn(f->map, f->store) + 1);
    struct ps_map_stats expected = model_stats(&model);
    struct ps_map_stats stats = stats_of(f->map);
    assert_int_equal(stats.keys, expected.keys);
    assert_int_equal(stats.versions, expected.versions);
    assert_int_equal(stats.log_records, expected.log_records);
    model_fini(&model);
}

static void apply_history(struct fixture *f, struct maker *maker, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct ps_entry entries[ENTRIES];
        struct ps_record record = record_at(maker, last_lsn(f->map, f->store) + 1, entries);
        struct ps_append append = {f->store, &record};
        assert_int_equal(ps_map_apply(f->map, &append, 1, NULL), PS_OK);
    }
}

/* --- lasting --- */

static void test_what_was_applied_lasts(void **state)
{
    (void)state;
    struct fixture f;
    static struct maker maker;
    maker_init(&maker, 3);
    set_up(&f, 0);
    for (int round = 0; round < 4; round++) {
        apply_history(&f, &maker, 40);
        reopen(&f);
        check_prefix(&f, &maker);
    }
    assert_int_equal(ps_map_meta_put(f.map, PS_LIT("boot"), PS_LIT("7"), NULL), PS_OK);
    struct stat info;
    assert_int_equal(stat(f.folder.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    reopen(&f);
    struct ps_buf boot = {0};
    assert_int_equal(ps_map_meta_get(f.map, PS_LIT("boot"), &boot), PS_OK);
    assert_string_equal(ps_buf_text(&boot), "7");
    ps_buf_fini(&boot);
    tear_down(&f);
}

/* An empty log remembers where it ended, whether it was forgotten or came as a snapshot. */
static void test_where_an_empty_log_ends_lasts(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    bool more;
    assert_int_equal(apply_one(f.map, f.store, 1, PS_LIT("k"), PS_LIT("v"), NULL), PS_OK);
    assert_int_equal(apply_one(f.map, f.store, 2, PS_LIT("k"), PS_LIT("w"), NULL), PS_OK);
    assert_int_equal(ps_map_forget(f.map, f.store, 1000, 100, &more, NULL), PS_OK);
    for (int round = 0; round < 2; round++) {
        struct ps_log_state log;
        assert_int_equal(ps_map_log_state(f.map, f.store, &log), PS_OK);
        assert_int_equal(log.last_lsn, 2);
        assert_int_equal(log.last_commit_ns, 20);
        assert_int_equal(log.first_lsn, 3);
        reopen(&f);
    }
    const struct ps_entry entry = {.key = PS_LIT("s"), .value = PS_LIT("v")};
    assert_int_equal(ps_map_snapshot_begin(f.map, f.store, NULL), PS_OK);
    assert_int_equal(ps_map_snapshot_put(f.map, f.store, &entry, 70, 700, NULL), PS_OK);
    assert_int_equal(ps_map_snapshot_finish(f.map, f.store, 77, 777, NULL), PS_OK);
    reopen(&f);
    struct ps_log_state log;
    assert_int_equal(ps_map_log_state(f.map, f.store, &log), PS_OK);
    assert_int_equal(log.last_lsn, 77);
    assert_int_equal(log.last_commit_ns, 777);
    assert_int_equal(log.first_lsn, 78);
    assert_int_equal(apply_one(f.map, f.store, 78, PS_LIT("k"), PS_LIT("v"), NULL), PS_OK);
    tear_down(&f);
}

static void put_parts(struct fixture *f, size_t count, uint64_t lsn)
{
    for (size_t i = 0; i < count; i++) {
        char key[32];
        int size = snprintf(key, sizeof key, "part %06zu", i);
        struct ps_entry entry = {
            .key = {key, (size_t)size}, .value = {maker_pool(), i % 900}, .deleted = i % 7 == 0};
        if (entry.deleted) {
            entry.value.size = 0;
        }
        if (ps_map_snapshot_put(f->map, f->store, &entry, lsn, lsn * 10, NULL) != PS_OK) {
            abort();
        }
    }
}

static void test_an_unfinished_snapshot_leaves_the_store_empty(void **state)
{
    (void)state;
    struct fixture f;
    static struct maker maker;
    maker_init(&maker, 3);
    static const size_t part_counts[] = {0, 10, 5000};
    for (size_t i = 0; i < sizeof part_counts / sizeof part_counts[0]; i++) {
        set_up(&f, 0);
        ps_map_store other;
        assert_int_equal(ps_map_store_open(f.map, PS_LIT("OTHER"), &other, NULL), PS_OK);
        assert_int_equal(apply_one(f.map, other, 1, PS_LIT("mine"), PS_LIT("v"), NULL), PS_OK);
        apply_history(&f, &maker, 100);
        assert_int_equal(ps_map_snapshot_begin(f.map, f.store, NULL), PS_OK);
        put_parts(&f, part_counts[i], 500);
        reopen(&f);
        struct ps_log_state log;
        assert_int_equal(ps_map_log_state(f.map, f.store, &log), PS_OK);
        assert_int_equal(log.last_lsn, 0);
        assert_int_equal(log.last_commit_ns, 0);
        assert_int_equal(log.first_lsn, 1);
        struct ps_map_stats stats = stats_of(f.map);
        assert_int_equal(stats.keys, 1);
        assert_int_equal(stats.versions, 1);
        assert_int_equal(stats.log_records, 1);
        assert_int_equal(last_lsn(f.map, other), 1);
        apply_history(&f, &maker, 10);
        reopen(&f);
        assert_int_equal(last_lsn(f.map, f.store), 10);
        tear_down(&f);
    }
}

static void test_a_gap_leaves_nothing_changed(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    ps_map_store other;
    assert_int_equal(ps_map_store_open(f.map, PS_LIT("OTHER"), &other, NULL), PS_OK);
    struct ps_entry entry = {.key = PS_LIT("k"), .value = PS_LIT("v")};
    struct ps_record good = {.lsn = 1, .commit_ns = 5, .entries = &entry, .entry_count = 1};
    struct ps_record gap = {.lsn = 2, .commit_ns = 9, .entries = &entry, .entry_count = 1};
    struct ps_append appends[] = {{f.store, &good}, {other, &gap}};
    struct ps_error err = {0};
    assert_int_equal(ps_map_apply(f.map, appends, 2, &err), PS_GAP);
    assert_string_equal(err.text, "store OTHER: record 2 does not follow record 0");
    struct ps_record early = {.lsn = 2, .commit_ns = 5, .entries = &entry, .entry_count = 1};
    appends[1] = (struct ps_append){f.store, &early};
    assert_int_equal(ps_map_apply(f.map, appends, 2, &err), PS_GAP);
    assert_string_equal(err.text, "store CACHE: record 2 was committed at 5, not later than 5");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(last_lsn(f.map, f.store), 0);
        assert_int_equal(stats_of(f.map).keys, 0);
        assert_int_equal(stats_of(f.map).log_records, 0);
        reopen(&f);
    }
    tear_down(&f);
}

/* --- growing --- */

static void test_the_map_grows_by_itself(void **state)
{
    (void)state;
    struct fixture f;
    static struct maker maker;
    maker_init(&maker, 5);
    set_up(&f, SMALL_MAP);
    apply_history(&f, &maker, 200);
    check_prefix(&f, &maker);
    /* More at once than twice the mapping. */
    struct ps_slice large = {maker_pool(), PS_VALUE_SIZE_MAX};
    ps_map_close(f.map);
    open_map(&f, SMALL_MAP);
    struct ps_entry entry = {.key = PS_LIT("large"), .value = large};
    assert_int_equal(ps_map_snapshot_begin(f.map, f.store, NULL), PS_OK);
    assert_int_equal(ps_map_snapshot_put(f.map, f.store, &entry, 1, 1, NULL), PS_OK);
    put_parts(&f, 3000, 2);
    assert_int_equal(ps_map_snapshot_finish(f.map, f.store, 2, 20, NULL), PS_OK);
    reopen(&f);
    assert_int_equal(stats_of(f.map).keys, 3001);
    assert_int_equal(ps_map_read_begin(f.map), PS_OK);
    struct ps_version version;
    assert_int_equal(ps_map_get(f.map, f.store, entry.key, &PS_BOUND_NEWEST, &version), PS_OK);
    assert_true(ps_slice_eq(version.value, large));
    ps_map_read_end(f.map);
    tear_down(&f);
}

/* A thread that reads cannot have the map moved under it: the writer gives up instead of waiting
 * for itself. */
static void test_growing_within_a_read_of_the_same_thread_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, SMALL_MAP);
    struct ps_slice value = {maker_pool(), 1 << 20};
    assert_int_equal(apply_one(f.map, f.store, 1, PS_LIT("k"), PS_LIT("v"), NULL), PS_OK);
    assert_int_equal(ps_map_read_begin(f.map), PS_OK);
    assert_int_equal(apply_one(f.map, f.store, 2, PS_LIT("k"), value, NULL), PS_OK);
    assert_int_equal(apply_one(f.map, f.store, 3, PS_LIT("k"), value, &f.err), PS_FULL);
    assert_int_equal(last_lsn(f.map, f.store), 2);
    struct ps_version version;
    assert_int_equal(ps_map_get(f.map, f.store, PS_LIT("k"), &PS_BOUND_NEWEST, &version), PS_OK);
    assert_int_equal(version.lsn, 1);
    ps_map_read_end(f.map);
    assert_int_equal(apply_one(f.map, f.store, 3, PS_LIT("k"), value, NULL), PS_OK);
    tear_down(&f);
}

struct reading {
    struct fixture *f;
    atomic_bool stop;
    atomic_ulong rounds;
    unsigned long wrong;
};

static bool count_key(void *context, struct ps_slice key, const struct ps_version *version)
{
    (void)key;
    uint64_t *newest = context;
    *newest = version->lsn > *newest ? version->lsn : *newest;
    return true;
}

/* Reads, and everything else a second thread may do while the writer is at work. */
static void *read_on(void *context)
{
    struct reading *reading = context;
    struct fixture *f = reading->f;
    uint64_t seen = 0;
    while (!atomic_load(&reading->stop)) {
        struct ps_version version;
        uint64_t newest = 0;
        struct ps_map_stats stats;
        struct ps_log_state log;
        /* What the log's state says, a read that begins afterwards sees. */
        if (ps_map_log_state(f->map, f->store, &log) != PS_OK ||
            ps_map_read_begin(f->map) != PS_OK) {
            reading->wrong++;
            continue;
        }
        enum ps_status got =
            ps_map_get(f->map, f->store, PS_LIT("every"), &PS_BOUND_NEWEST, &version);
        enum ps_status listed = ps_map_list(f->map, f->store, PS_LIT(""), PS_LIT(""),
                                            &PS_BOUND_NEWEST, count_key, &newest);
        /* Within the read: a helper's own transaction, while the writer may wait to move the map.
         */
        enum ps_status counted = ps_map_stats(f->map, &stats);
        bool right =
            got == PS_OK && listed == PS_OK && counted == PS_OK && newest == version.lsn &&
            version.lsn >= seen && version.value.size == version.lsn % 5000 &&
            memcmp(version.value.data, maker_pool() + version.lsn, version.value.size) == 0;
        seen = version.lsn;
        ps_map_read_end(f->map);
        reading->wrong += right ? 0 : 1;
        atomic_fetch_add(&reading->rounds, 1);
    }
    return NULL;
}

static void test_the_map_grows_while_other_threads_read(void **state)
{
    (void)state;

    enum { RECORDS = 1500, READERS = 3 };

    struct fixture f;
    set_up(&f, SMALL_MAP);
    struct ps_slice pool = {maker_pool(), MODEL_POOL_SIZE};
    struct ps_slice first = {pool.data + 1, 1};
    assert_int_equal(apply_one(f.map, f.store, 1, PS_LIT("every"), first, NULL), PS_OK);
    struct reading readings[READERS];
    pthread_t threads[READERS];
    unsigned long starts[READERS] = {0};
    for (size_t i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.f = &f};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readings[i]), 0);
    }
    for (uint64_t lsn = 2; lsn <= RECORDS; lsn++) {
        struct ps_slice value = {pool.data + lsn, lsn % 5000};
        assert_int_equal(apply_one(f.map, f.store, lsn, PS_LIT("every"), value, NULL), PS_OK);
        for (size_t i = 0; i < READERS && lsn % 100 == 0; i++) {
            /* Each reader is at work between any two stretches. */
            while (atomic_load(&readings[i].rounds) == starts[i]) {
                sched_yield();
            }
            starts[i] = atomic_load(&readings[i].rounds);
        }
    }
    for (size_t i = 0; i < READERS; i++) {
        atomic_store(&readings[i].stop, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readings[i].wrong, 0);
    }
    assert_true(stats_of(f.map).bytes > 10 * SMALL_MAP);
    tear_down(&f);
}

/* --- errors of opening --- */

static void check_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, with);
    }
}

static void test_a_folder_has_one_owner(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    struct fixture second = f;
    char expected[128];
    (void)snprintf(expected, sizeof expected, "%s: open elsewhere", f.folder.path);
    assert_int_equal(try_open(&second, true, 0), PS_BUSY);
    assert_string_equal(second.err.text, expected);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(try_open(&second, true, 0) == PS_BUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(apply_one(f.map, f.store, 1, PS_LIT("k"), PS_LIT("v"), NULL), PS_OK);
    reopen(&f);
    assert_int_equal(last_lsn(f.map, f.store), 1);
    tear_down(&f);
}

static void write_file(const struct temp_folder *folder, const char *name, struct ps_slice bytes)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

static void test_errors_of_opening_name_the_path(void **state)
{
    (void)state;
    struct fixture f = {0};
    temp_folder_make(&f.folder);
    static const size_t sizes[] = {1, 100, 4096, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_file(&f.folder, "data.mdb", (struct ps_slice){maker_pool(), sizes[i]});
        assert_int_equal(try_open(&f, true, 0), PS_CORRUPT);
        check_begins(f.err.text, f.folder.path);
        assert_non_null(strstr(f.err.text, "/data.mdb: "));
        assert_non_null(strstr(f.err.text, "not an LMDB file"));
    }
    struct fixture below = f;
    (void)snprintf(below.folder.path, sizeof below.folder.path, "%.40s/data.mdb", f.folder.path);
    assert_int_equal(try_open(&below, true, 0), PS_IO);
    check_begins(below.err.text, below.folder.path);
    assert_non_null(strstr(below.err.text, "Not a directory"));
    (void)snprintf(below.folder.path, sizeof below.folder.path, "%.40s/no/such", f.folder.path);
    assert_int_equal(try_open(&below, true, 0), PS_IO);
    check_begins(below.err.text, below.folder.path);
    assert_non_null(strstr(below.err.text, "No such file or directory"));
    temp_folder_remove(&f.folder);
}

/* Change the format's number behind the map's back. */
static void put_format(const char *path, unsigned char format[4])
{
    char name[] = "f";
    MDB_val key = {1, name};
    MDB_val value = {4, format};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 5), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 1 << 24), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_another_format_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    ps_map_close(f.map);
    char expected[128];
    unsigned char format[4] = {0, 0, 0, 3};
    put_format(f.folder.path, format);
    (void)snprintf(expected, sizeof expected, "%s: written by a later version of popsim",
                   f.folder.path);
    assert_int_equal(try_open(&f, true, 0), PS_UNSUPPORTED);
    assert_string_equal(f.err.text, expected);
    format[3] = 0;
    put_format(f.folder.path, format);
    (void)snprintf(expected, sizeof expected, "%s/data.mdb: corrupt data", f.folder.path);
    assert_int_equal(try_open(&f, true, 0), PS_CORRUPT);
    assert_string_equal(f.err.text, expected);
    format[3] = 1; /* before there was a journal */
    put_format(f.folder.path, format);
    open_map(&f, 0);
    reopen(&f);
    tear_down(&f);
}

/* A file that lost its end gives errors where something is missing, and never a signal. */
static void test_a_file_cut_short_gives_errors(void **state)
{
    (void)state;
    struct fixture f;
    static struct maker maker;
    maker_init(&maker, 9);
    set_up(&f, 0);
    apply_history(&f, &maker, 60);
    ps_map_close(f.map);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/data.mdb", f.folder.path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    size_t refused = 0;
    for (off_t size = info.st_size - 4096; size > 3 * 4096; size -= info.st_size / 40) {
        assert_int_equal(truncate(path, size), 0);
        if (try_open(&f, false, 0) != PS_OK) {
            check_begins(f.err.text, f.folder.path);
            refused++;
            continue;
        }
        ps_map_store store;
        if (ps_map_store_open(f.map, PS_LIT("CACHE"), &store, NULL) == PS_OK &&
            ps_map_read_begin(f.map) == PS_OK) {
            uint64_t newest = 0;
            for (size_t i = 0; i < MODEL_KEYS; i++) {
                struct ps_version version;
                enum ps_status status =
                    ps_map_get(f.map, store, maker.keys[i], &PS_BOUND_NEWEST, &version);
                refused += status != PS_OK && status != PS_NOT_FOUND ? 1 : 0;
            }
            enum ps_status listed = ps_map_list(f.map, store, PS_LIT(""), PS_LIT(""),
                                                &PS_BOUND_NEWEST, count_key, &newest);
            refused += listed != PS_OK ? 1 : 0;
            ps_map_read_end(f.map);
        }
        ps_map_close(f.map);
    }
    assert_true(refused > 0);
    temp_folder_remove(&f.folder);
}

/* --- a full disk, a kill --- */

static void wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the child ended with status %d", status);
    }
}

#define MUST(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            (void)fprintf(stderr, "line %d: %s\n", __LINE__, #expression);                         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void fill_disk(struct fixture *f)
{
    struct rlimit limit = {.rlim_cur = 4 << 20, .rlim_max = RLIM_INFINITY};
    MUST(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MUST(try_open(f, true, 0) == PS_OK);
    MUST(ps_map_store_open(f->map, PS_LIT("CACHE"), &f->store, NULL) == PS_OK);
    uint64_t lsn = 0;
    enum ps_status status = PS_OK;
    while (status == PS_OK && lsn < 100) {
        char key[16];
        int size = snprintf(key, sizeof key, "%d", (int)++lsn);
        struct ps_slice value = {maker_pool() + lsn, 300000};
        status =
            apply_one(f->map, f->store, lsn, (struct ps_slice){key, (size_t)size}, value, &f->err);
    }
    MUST(status == PS_FULL);
    MUST(strncmp(f->err.text, f->folder.path, strlen(f->folder.path)) == 0);
    MUST(last_lsn(f->map, f->store) == lsn - 1);
    /* Reads go on, and so do writes once there is room. */
    struct ps_version version;
    MUST(ps_map_read_begin(f->map) == PS_OK);
    MUST(ps_map_get(f->map, f->store, PS_LIT("1"), &PS_BOUND_NEWEST, &version) == PS_OK);
    MUST(version.value.size == 300000);
    ps_map_read_end(f->map);
    limit.rlim_cur = RLIM_INFINITY;
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MUST(apply_one(f->map, f->store, lsn, PS_LIT("k"), PS_LIT("v"), NULL) == PS_OK);
    ps_map_close(f->map);
    MUST(try_open(f, true, 0) == PS_OK);
    MUST(last_lsn(f->map, f->store) == lsn);
    _exit(0);
}

static void test_a_full_disk_refuses_writes_only(void **state)
{
    (void)state;
    struct fixture f = {0};
    temp_folder_make(&f.folder);
    maker_pool();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fill_disk(&f);
    }
    wait_for(child);
    temp_folder_remove(&f.folder);
}

static void acknowledge(int fd, uint64_t lsn)
{
    MUST(write(fd, &lsn, sizeof lsn) == sizeof lsn);
}

/* Applies batches of the history until it is killed. */
static _Noreturn void apply_on(struct fixture *f, struct maker *maker, bool sync, int fd)
{
    MUST(try_open(f, sync, SMALL_MAP) == PS_OK);
    MUST(ps_map_store_open(f->map, PS_LIT("CACHE"), &f->store, NULL) == PS_OK);
    for (;;) {
        struct ps_entry entries[4][ENTRIES];
        struct ps_record records[4];
        struct ps_append appends[4];
        uint64_t next = last_lsn(f->map, f->store) + 1;
        size_t count = 1 + next % 4;
        for (size_t i = 0; i < count; i++) {
            records[i] = record_at(maker, next + i, entries[i]);
            appends[i] = (struct ps_append){f->store, &records[i]};
        }
        MUST(ps_map_apply(f->map, appends, count, NULL) == PS_OK);
        acknowledge(fd, next + count - 1);
    }
}

/* Takes snapshots until it is killed, each of them acknowledged. */
static _Noreturn void snapshot_on(struct fixture *f, struct maker *maker, bool sync, int fd)
{
    (void)maker;
    MUST(try_open(f, sync, SMALL_MAP) == PS_OK);
    MUST(ps_map_store_open(f->map, PS_LIT("CACHE"), &f->store, NULL) == PS_OK);
    for (uint64_t lsn = last_lsn(f->map, f->store) + 1;; lsn++) {
        MUST(ps_map_snapshot_begin(f->map, f->store, NULL) == PS_OK);
        put_parts(f, 1500 + lsn % 700, lsn);
        MUST(ps_map_snapshot_finish(f->map, f->store, lsn, lsn * 10, NULL) == PS_OK);
        acknowledge(fd, lsn);
    }
}

/* Let a child work, kill it after `count` acknowledgements; gives the last one that came. */
static uint64_t kill_at_work(struct fixture *f, struct maker *maker, bool sync, size_t count,
                             void (*work)(struct fixture *, struct maker *, bool, int))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        work(f, maker, sync, ends[1]);
        _exit(1);
    }
    (void)close(ends[1]);
    uint64_t last = 0;
    uint64_t lsn;
    for (size_t i = 0; i < count && read(ends[0], &lsn, sizeof lsn) == sizeof lsn; i++) {
        last = lsn;
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &lsn, sizeof lsn) == sizeof lsn) {
        last = lsn;
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(ends[0]);
    return last;
}

static void test_a_kill_loses_nothing_acknowledged(void **state)
{
    (void)state;

    enum { ROUNDS = 24 };

    struct fixture f = {0};
    static struct maker maker;
    maker_init(&maker, 11);
    maker_pool();
    temp_folder_make(&f.folder);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t count = (size_t)ps_below(ps_random_u64(1, 2, round), 40);
        uint64_t acknowledged = kill_at_work(&f, &maker, round % 2 == 0, count, apply_on);
        open_map(&f, 0);
        assert_true(last_lsn(f.map, f.store) >= acknowledged);
        check_prefix(&f, &maker);
        ps_map_close(f.map);
    }
    temp_folder_remove(&f.folder);
}

static void test_a_kill_leaves_a_whole_snapshot_or_none(void **state)
{
    (void)state;

    enum { ROUNDS = 12 };

    struct fixture f = {0};
    temp_folder_make(&f.folder);
    maker_pool();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t count = (size_t)ps_below(ps_random_u64(1, 3, round), 4);
        uint64_t acknowledged = kill_at_work(&f, NULL, false, count, snapshot_on);
        open_map(&f, 0);
        uint64_t lsn = last_lsn(f.map, f.store);
        assert_true(lsn == 0 || lsn >= acknowledged);
        struct ps_map_stats stats = stats_of(f.map);
        assert_int_equal(stats.versions, lsn == 0 ? 0 : 1500 + lsn % 700);
        assert_int_equal(stats.keys, stats.versions);
        ps_map_close(f.map);
    }
    temp_folder_remove(&f.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_applied_lasts),
        cmocka_unit_test(test_where_an_empty_log_ends_lasts),
        cmocka_unit_test(test_an_unfinished_snapshot_leaves_the_store_empty),
        cmocka_unit_test(test_a_gap_leaves_nothing_changed),
        cmocka_unit_test(test_the_map_grows_by_itself),
        cmocka_unit_test(test_growing_within_a_read_of_the_same_thread_is_refused),
        cmocka_unit_test(test_the_map_grows_while_other_threads_read),
        cmocka_unit_test(test_a_folder_has_one_owner),
        cmocka_unit_test(test_errors_of_opening_name_the_path),
        cmocka_unit_test(test_another_format_is_refused),
        cmocka_unit_test(test_a_file_cut_short_gives_errors),
        cmocka_unit_test(test_a_full_disk_refuses_writes_only),
        cmocka_unit_test(test_a_kill_loses_nothing_acknowledged),
        cmocka_unit_test(test_a_kill_leaves_a_whole_snapshot_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
