/* A loss of power under the LMDB end, simulated: of each file the disk has what was synced last,
 * and of what was written since any sectors. Whatever it is, the map opens and has a beginning of
 * what was applied and nothing that is torn; a sync map has all that was acknowledged, a relaxed
 * one all that was before its last checkpoint, and after a kill all.
 *
 * PS_POWER_ROUNDS: rounds, 60 if not set. */
#include "node/map/map_internal.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "tests/support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    FILES = 4,
    SAMPLES = 4,
    SECTOR = 512,
    KEYS = 40,
    ENTRIES_MAX = 4,
    VALUE_MAX = 9000,
    PAGE = 4048,
    PAGE_KEYS = KEYS / 4, /* whose values are pages of which a little changes */
    OPS = 40
};

static const char *const file_names[FILES] = {"data.mdb", "journal.0", "journal.1", "checkpoint"};

/* A file: what the disk has for certain, and contents that it had since. */
struct file {
    struct ps_buf synced;
    struct ps_buf samples[SAMPLES];
    size_t sample_count;
};

struct power {
    struct temp_folder folder; /* of the map */
    struct temp_folder after;  /* of the map as it is found */
    struct file files[FILES];
    struct ps_rng rng;
    struct ps_map *map;
    ps_map_store store;
    ps_map_store other;
    uint64_t boots;
    bool sync;
    uint64_t durable;      /* the newest record that no loss of power takes away */
    uint64_t acknowledged; /* the newest record that was */
    uint64_t written;      /* the newest record that may be there */
    ps_time_ns horizon_ns;
    uint64_t other_lsn;  /* where the other store's log ended before its snapshot */
    uint64_t other_next; /* where it will; 0: none is under way */
    uint64_t other_was;  /* of a relaxed map: where it may still end while one is under way */
    uint64_t crashes;
    size_t recent_max;
    bool opening;
};

static char pool[VALUE_MAX + 4096];

static uint64_t below(struct power *power, uint64_t bound)
{
    return ps_rng_below(&power->rng, bound);
}

/* --- the history --- */

/* Where an entry's bytes lie. */
struct room {
    char key[16];
    char page[PAGE];
};

static struct ps_slice page_of(uint64_t lsn, size_t entry, size_t key, struct room *room)
{
    uint64_t drawn = ps_random_u64(8, lsn, entry);
    memcpy(room->page, pool + key, PAGE);
    for (size_t i = 0; i < drawn % 5; i++) {
        memset(room->page + drawn % 4001 / (i + 1), (int)(lsn + i), 1 + drawn % 40);
    }
    return (struct ps_slice){room->page, PAGE};
}

static struct ps_slice value_of(uint64_t lsn, size_t entry, size_t key, struct room *room)
{
    if (key < PAGE_KEYS) {
        return page_of(lsn, entry, key, room);
    }
    uint64_t drawn = ps_random_u64(5, lsn, entry);
    size_t size = drawn % 3 == 0 ? drawn % VALUE_MAX : drawn % 300;
    return (struct ps_slice){pool + drawn / 7 % 4096, size};
}

static size_t key_of(uint64_t lsn, size_t entry)
{
    return ps_random_u64(6, lsn, entry) % KEYS;
}

static struct ps_record record_at(uint64_t lsn, struct ps_entry entries[ENTRIES_MAX],
                                  struct room rooms[ENTRIES_MAX])
{
    struct ps_record record = {.lsn = lsn, .commit_ns = lsn * 10, .entries = entries};
    memcpy(record.token.bytes, &lsn, sizeof lsn);
    size_t count = 1 + ps_random_u64(7, lsn, 0) % ENTRIES_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t key = key_of(lsn, i);
        bool twice = false;
        for (size_t k = 0; k < i; k++) {
            twice = twice || key_of(lsn, k) == key;
        }
        if (!twice) {
            size_t at = record.entry_count++;
            int size = snprintf(rooms[at].key, sizeof rooms[at].key, "key %zu", key);
            entries[at] = (struct ps_entry){.key = {rooms[at].key, (size_t)size},
                                            .value = value_of(lsn, i, key, &rooms[at])};
        }
    }
    return record;
}

struct check {
    uint64_t next;
    uint64_t newest[KEYS];
};

static bool check_record(void *context, const struct ps_record *record)
{
    struct check *check = context;
    struct ps_entry entries[ENTRIES_MAX];
    struct room rooms[ENTRIES_MAX];
    struct ps_record expected = record_at(check->next, entries, rooms);
    assert_int_equal(record->lsn, expected.lsn);
    assert_int_equal(record->entry_count, expected.entry_count);
    for (size_t i = 0; i < expected.entry_count; i++) {
        assert_true(ps_slice_eq(record->entries[i].key, entries[i].key));
        assert_true(ps_slice_eq(record->entries[i].value, entries[i].value));
    }
    check->next++;
    return true;
}

/* Each key has the newest version up to record `last`, and its bytes. */
static void check_keys(struct ps_map *map, ps_map_store store, uint64_t last)
{
    bool seen[KEYS] = {false};
    size_t left = KEYS;
    for (uint64_t lsn = last; lsn > 0 && left > 0; lsn--) {
        struct ps_entry entries[ENTRIES_MAX];
        struct room rooms[ENTRIES_MAX];
        struct ps_record record = record_at(lsn, entries, rooms);
        for (size_t i = 0; i < record.entry_count; i++) {
            size_t key = strtoul(entries[i].key.data + 4, NULL, 10);
            struct ps_version version;
            if (seen[key]) {
                continue;
            }
            seen[key] = true;
            left--;
            assert_int_equal(ps_map_get(map, store, entries[i].key, &PS_BOUND_NEWEST, &version),
                             PS_OK);
            assert_int_equal(version.lsn, lsn);
            assert_true(ps_slice_eq(version.value, entries[i].value));
        }
    }
}

static void check_other(struct power *power, struct ps_map *map, ps_map_store other)
{
    struct ps_log_state log;
    struct ps_version version;
    assert_int_equal(ps_map_log_state(map, other, &log), PS_OK);
    assert_true(
        log.last_lsn == power->other_lsn || log.last_lsn == power->other_was ||
        (power->other_next != 0 && (log.last_lsn == 0 || log.last_lsn == power->other_next)));
    if (log.last_lsn != 0) {
        assert_int_equal(ps_map_get(map, other, PS_LIT("part 7"), &PS_BOUND_NEWEST, &version),
                         PS_OK);
        assert_int_equal(version.lsn, log.last_lsn);
    }
}

/* Gives the newest record that is there. */
static uint64_t check_map(struct power *power, struct ps_map *map, uint64_t at_least)
{
    ps_map_store store;
    ps_map_store other;
    struct ps_log_state log;
    assert_int_equal(ps_map_store_open(map, PS_LIT("STORE"), &store, NULL), PS_OK);
    assert_int_equal(ps_map_store_open(map, PS_LIT("OTHER"), &other, NULL), PS_OK);
    assert_int_equal(ps_map_log_state(map, store, &log), PS_OK);
    assert_true(log.last_lsn >= at_least);
    assert_true(log.last_lsn <= power->written);
    assert_int_equal(ps_map_read_begin(map), PS_OK);
    struct check check = {.next = log.first_lsn};
    assert_int_equal(ps_map_log(map, store, log.first_lsn, check_record, &check), PS_OK);
    assert_int_equal(check.next, log.last_lsn + 1);
    check_keys(map, store, log.last_lsn);
    check_other(power, map, other);
    ps_map_read_end(map);
    return log.last_lsn;
}

/* --- the disk --- */

static void read_file(const struct temp_folder *folder, const char *name, struct ps_buf *ret)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    ret->size = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return;
    }
    char bytes[1 << 16];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, file)) > 0) {
        ps_buf_append(ret, bytes, got);
    }
    (void)fclose(file);
}

static void write_file(const struct temp_folder *folder, const char *name, struct ps_slice bytes)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    (void)remove(path);
    if (bytes.size == 0) {
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

static void synced(struct power *power, size_t which)
{
    struct file *file = &power->files[which];
    read_file(&power->folder, file_names[which], &file->synced);
    file->sample_count = 0;
}

static void crash(struct power *power);

static struct power *at_work; /* whose files are synced */

/* In place of libc's, here and in LMDB. The power may go before it is done. */
int fdatasync(int fd)
{
    char link[64];
    char path[160] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    const struct temp_folder *folder = at_work == NULL ? NULL : &at_work->folder;
    if (size <= 0 || folder == NULL || strncmp(path, folder->path, strlen(folder->path)) != 0) {
        return 0; /* a map as it is found: nothing happens to it any more */
    }
    if (below(at_work, 10) == 0) {
        crash(at_work);
    }
    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(path + strlen(folder->path) + 1, file_names[i]) == 0) {
            synced(at_work, i);
        }
    }
    return 0;
}

/* One more content that sectors may have. */
static void sample(struct power *power)
{
    for (size_t i = 0; i < FILES; i++) {
        struct file *file = &power->files[i];
        size_t at = file->sample_count < SAMPLES ? file->sample_count++ : below(power, SAMPLES);
        read_file(&power->folder, file_names[i], &file->samples[at]);
    }
}

static const struct ps_buf *draw_content(struct power *power, struct file *file, uint64_t bias)
{
    size_t drawn = (size_t)below(power, file->sample_count + 1 + bias);
    return drawn >= file->sample_count ? &file->synced : &file->samples[drawn];
}

/* What the disk may have of a file. A sector that it has no content for reads as zeros. */
static void draw_file(struct power *power, size_t which, struct ps_buf *ret)
{
    struct file *file = &power->files[which];
    uint64_t bias = below(power, 4) == 0 ? 20 : below(power, 3);
    size_t size = draw_content(power, file, bias)->size;
    size = size < file->synced.size ? file->synced.size : size;
    ret->size = 0;
    for (size_t at = 0; at < size; at += SECTOR) {
        static const char zeros[SECTOR];
        const struct ps_buf *content = draw_content(power, file, bias);
        size_t part = size - at < SECTOR ? size - at : SECTOR;
        size_t there = content->size > at ? content->size - at : 0;
        there = there < part ? there : part;
        ps_buf_append(ret, content->data == NULL ? zeros : content->data + (there == 0 ? 0 : at),
                      there);
        ps_buf_append(ret, zeros, part - there);
    }
}

static struct ps_map *open_at(struct power *power, const struct temp_folder *folder, uint64_t boot,
                              void (*phase)(void *, enum ps_lmdb_phase))
{
    char boot_id[32];
    struct ps_error err = {0};
    struct ps_map *map = NULL;
    (void)snprintf(boot_id, sizeof boot_id, "boot %llu", (unsigned long long)boot);
    const struct ps_lmdb_tuning tuning = {.recent_max = power->recent_max,
                                          .boot_id = boot_id,
                                          .by_hand = true,
                                          .phase = phase,
                                          .context = power};
    if (ps_map_open_lmdb_tuned(folder->path, power->sync, &tuning, &map, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return map;
}

/* The power goes now; what is found then, after another boot, and after one in which the process
 * was killed alone, is as it must be. */
static void crash(struct power *power)
{
    sample(power);
    struct ps_buf bytes = {0};
    bool kill_only = below(power, 5) == 0;
    for (size_t i = 0; i < FILES; i++) {
        if (kill_only) {
            read_file(&power->folder, file_names[i], &bytes);
        } else {
            draw_file(power, i, &bytes);
        }
        write_file(&power->after, file_names[i], ps_buf_slice(&bytes));
    }
    ps_buf_fini(&bytes);
    struct ps_map *map =
        open_at(power, &power->after, kill_only ? power->boots : power->boots + 1, NULL);
    (void)check_map(power, map, kill_only ? power->acknowledged : power->durable);
    ps_map_close(map);
    power->crashes++;
}

/* --- work --- */

static void apply(struct power *power)
{
    struct ps_entry entries[ENTRIES_MAX];
    struct room rooms[ENTRIES_MAX];
    struct ps_record record = record_at(power->written + 1, entries, rooms);
    struct ps_append append = {power->store, &record};
    power->written++;
    assert_int_equal(ps_map_apply(power->map, &append, 1, NULL), PS_OK);
    power->acknowledged = power->written;
    power->durable = power->sync ? power->acknowledged : power->durable;
}

static void forget(struct power *power)
{
    bool more;
    uint64_t lsn = power->acknowledged - below(power, power->acknowledged + 1) / 2;
    ps_time_ns horizon_ns = lsn * 10;
    power->horizon_ns = horizon_ns > power->horizon_ns ? horizon_ns : power->horizon_ns;
    assert_int_equal(ps_map_forget(power->map, power->store, power->horizon_ns,
                                   1 + below(power, 50), &more, NULL),
                     PS_OK);
}

static void work_a_little(struct power *power)
{
    for (uint64_t i = below(power, 5); i > 0; i--) {
        if (below(power, 4) == 0) {
            forget(power);
        } else {
            apply(power);
        }
        if (below(power, 3) == 0) {
            sample(power);
        }
    }
}

/* Between a checkpoint's steps: work goes on, and the power goes. */
static void at_phase(void *context, enum ps_lmdb_phase phase)
{
    struct power *power = context;
    (void)phase;
    if (below(power, 4) == 0) {
        crash(power);
    }
    if (!power->opening) {
        work_a_little(power);
    }
    if (below(power, 4) == 0) {
        crash(power);
    }
}

/* The other store is replaced. */
static void snapshot(struct power *power)
{
    uint64_t lsn = power->other_lsn + 1;
    power->other_next = lsn;
    power->other_was = power->sync ? lsn : power->other_lsn;
    assert_int_equal(ps_map_snapshot_begin(power->map, power->other, NULL), PS_OK);
    power->other_lsn = 0; /* its beginning is acknowledged */
    for (size_t i = 0; i < 30; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "part %zu", i);
        struct ps_entry entry = {.key = {key, (size_t)size}, .value = {pool, i * 70}};
        assert_int_equal(ps_map_snapshot_put(power->map, power->other, &entry, lsn, lsn, NULL),
                         PS_OK);
    }
    apply(power);
    assert_int_equal(ps_map_snapshot_finish(power->map, power->other, lsn, lsn, NULL), PS_OK);
    power->other_lsn = lsn;
    power->other_next = 0;
    power->other_was = lsn;
    crash(power);
}

static void do_something(struct power *power)
{
    uint64_t drawn = below(power, 30);
    if (drawn == 0) {
        uint64_t before = power->acknowledged;
        assert_int_equal(ps_map_checkpoint_lmdb(power->map, NULL), PS_OK);
        power->durable = before > power->durable ? before : power->durable;
    } else if (drawn == 1) {
        snapshot(power);
    } else if (drawn < 5) {
        forget(power);
    } else {
        apply(power);
    }
    if (below(power, 6) == 0) {
        sample(power);
    }
    if (below(power, 12) == 0) {
        crash(power);
    }
}

/* Go on from what the power has left. */
static void start_from(struct power *power)
{
    static const size_t recent_maxes[] = {1, 20000, 0}; /* settled at once, now and then, never */
    power->boots++;
    power->recent_max = recent_maxes[below(power, 3)];
    power->opening = true;
    power->acknowledged = power->durable; /* as far as is known */
    for (size_t i = 0; i < FILES; i++) {
        synced(power, i);
    }
    power->map = open_at(power, &power->folder, power->boots, at_phase);
    power->opening = false;
    assert_int_equal(ps_map_store_open(power->map, PS_LIT("STORE"), &power->store, NULL), PS_OK);
    assert_int_equal(ps_map_store_open(power->map, PS_LIT("OTHER"), &power->other, NULL), PS_OK);
    power->acknowledged = check_map(power, power->map, power->durable);
    power->durable = power->acknowledged; /* opening ends in a checkpoint */
    power->written = power->acknowledged;
    struct ps_log_state other;
    assert_int_equal(ps_map_log_state(power->map, power->other, &other), PS_OK);
    power->other_lsn = other.last_lsn;
    power->other_was = other.last_lsn;
}

static void fail_power(struct power *power)
{
    struct ps_buf bytes = {0};
    sample(power);
    ps_map_close(power->map);
    for (size_t i = 0; i < FILES; i++) {
        draw_file(power, i, &bytes);
        write_file(&power->folder, file_names[i], ps_buf_slice(&bytes));
    }
    ps_buf_fini(&bytes);
}

static void test_a_loss_of_power_leaves_what_was_promised(void **state)
{
    (void)state;
    const char *asked = getenv("PS_POWER_ROUNDS");
    uint64_t rounds = asked == NULL ? 60 : strtoull(asked, NULL, 10);
    static struct power power;
    for (size_t i = 0; i < sizeof pool; i++) {
        pool[i] = (char)ps_random_u64(1, 1, i);
    }
    uint64_t crashes = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        if (round % 10 == 0) {
            power = (struct power){.rng = {.seed = round, .stream = 3}, .sync = round % 20 == 0};
            temp_folder_make(&power.folder);
            temp_folder_make(&power.after);
        }
        at_work = &power;
        start_from(&power);
        for (size_t i = 0; i < OPS; i++) {
            do_something(&power);
        }
        fail_power(&power);
        if (round % 10 == 9 || round == rounds - 1) {
            crashes += power.crashes;
            for (size_t i = 0; i < FILES; i++) {
                ps_buf_fini(&power.files[i].synced);
                for (size_t k = 0; k < SAMPLES; k++) {
                    ps_buf_fini(&power.files[i].samples[k]);
                }
            }
            temp_folder_remove(&power.folder);
            temp_folder_remove(&power.after);
        }
    }
    print_message("%llu losses of power\n", (unsigned long long)(crashes + rounds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loss_of_power_leaves_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
