/* The versioned map's two ends and a naive model under the same random histories: every answer of
 * each is the same. */
#include "node/map/map_internal.h"
#include "replication/base/memory.h"
#include "tests/support/map_model.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wire_equal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEEDS = 60, STEPS = 250, ENTRIES = 6, RECORDS = 4, ENDS = 2, MEMORY = 0, LMDB = 1 };

struct world {
    struct temp_folder folder;
    struct ps_map *ends[ENDS];
    ps_map_store stores[MODEL_STORES];
    struct model model;
    struct maker maker;
    uint64_t seed;
    int step;
};

static void check(const struct world *world, bool holds, const char *expression, int line)
{
    if (!holds) {
        fail_msg("seed %llu, step %d, line %d: %s", (unsigned long long)world->seed, world->step,
                 line, expression);
    }
}

#define CHECK(world, expression) check((world), (expression), #expression, __LINE__)

static void open_lmdb(struct world *world)
{
    struct ps_error err = {0};
    enum ps_status status = ps_map_open_lmdb(world->folder.path, false, &world->ends[LMDB], &err);
    if (status != PS_OK) {
        fail_msg("%s", err.text);
    }
}

static void open_stores(struct world *world)
{
    static const char *const names[MODEL_STORES] = {"CACHE", "OTHER"};
    for (size_t end = 0; end < ENDS; end++) {
        for (size_t i = 0; i < MODEL_STORES; i++) {
            ps_map_store store;
            assert_int_equal(
                ps_map_store_open(world->ends[end], ps_slice_of(names[i]), &store, NULL), PS_OK);
            assert_int_equal(store, i);
            world->stores[i] = store;
        }
    }
}

static void set_up(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed};
    temp_folder_make(&world->folder);
    model_init(&world->model);
    maker_init(&world->maker, seed);
    world->ends[MEMORY] = ps_map_create_memory();
    open_lmdb(world);
    open_stores(world);
}

static void tear_down(struct world *world)
{
    ps_map_close(world->ends[MEMORY]);
    ps_map_close(world->ends[LMDB]);
    model_fini(&world->model);
    temp_folder_remove(&world->folder);
}

static uint64_t below(struct world *world, uint64_t bound)
{
    return maker_below(&world->maker, bound);
}

static ps_map_store some_store(struct world *world)
{
    return world->stores[below(world, MODEL_STORES)];
}

/* An LSN or instant of the store's history, a little before or behind it too. */
static uint64_t some_lsn(struct world *world, ps_map_store store)
{
    return below(world, world->model.log[store].last_lsn + 3);
}

static ps_time_ns some_instant(struct world *world, ps_map_store store)
{
    const struct model *model = &world->model;
    if (model->version_count > 0 && below(world, 2) == 0) {
        const struct model_version *version = &model->versions[below(world, model->version_count)];
        return version->commit_ns + below(world, 3) - (version->commit_ns > 0 ? 1 : 0);
    }
    return below(world, model->log[store].last_commit_ns + 10);
}

/* --- writing --- */

static void check_log_states(struct world *world)
{
    for (size_t end = 0; end < ENDS; end++) {
        for (ps_map_store store = 0; store < MODEL_STORES; store++) {
            struct ps_log_state state;
            CHECK(world, ps_map_log_state(world->ends[end], store, &state) == PS_OK);
            CHECK(world, state.last_lsn == world->model.log[store].last_lsn);
            CHECK(world, state.last_commit_ns == world->model.log[store].last_commit_ns);
            CHECK(world, state.first_lsn == world->model.log[store].first_lsn);
        }
    }
}

static void do_apply(struct world *world)
{
    struct ps_entry entries[RECORDS][ENTRIES];
    struct ps_record records[RECORDS];
    struct ps_append appends[RECORDS];
    struct ps_log_state log[MODEL_STORES];
    memcpy(log, world->model.log, sizeof log);
    size_t count = 1 + below(world, RECORDS);
    for (size_t i = 0; i < count; i++) {
        ps_map_store store = some_store(world);
        records[i] = maker_record(&world->maker, &log[store], entries[i], ENTRIES);
        log[store].last_lsn = records[i].lsn;
        log[store].last_commit_ns = records[i].commit_ns;
        appends[i] = (struct ps_append){store, &records[i]};
    }
    enum ps_status expected = PS_OK;
    if (below(world, 6) == 0) {
        struct ps_record *spoiled = &records[below(world, count)];
        if (below(world, 2) == 0) {
            spoiled->lsn += below(world, 2) == 0 ? 1 : (uint64_t)-1;
        } else {
            spoiled->commit_ns = below(world, 2) == 0 ? 0 : PS_NEVER;
        }
        expected = PS_GAP;
    }
    for (size_t end = 0; end < ENDS; end++) {
        CHECK(world, ps_map_apply(world->ends[end], appends, count, NULL) == expected);
    }
    for (size_t i = 0; i < count && expected == PS_OK; i++) {
        model_apply(&world->model, appends[i].store, &records[i]);
    }
    check_log_states(world);
}

static void do_forget(struct world *world)
{
    ps_map_store store = some_store(world);
    ps_time_ns horizon_ns = some_instant(world, store);
    size_t budget = below(world, 3) == 0 ? 1 + below(world, 5) : 1 + below(world, 1000);
    bool more[ENDS] = {true, true};
    while (more[MEMORY]) {
        struct ps_map_stats stats[ENDS];
        struct ps_log_state state[ENDS];
        for (size_t end = 0; end < ENDS; end++) {
            struct ps_map *map = world->ends[end];
            CHECK(world, ps_map_forget(map, store, horizon_ns, budget, &more[end], NULL) == PS_OK);
            CHECK(world, ps_map_stats(map, &stats[end]) == PS_OK);
            CHECK(world, ps_map_log_state(map, store, &state[end]) == PS_OK);
        }
        /* Both do the same part of the work in each call. */
        CHECK(world, more[MEMORY] == more[LMDB]);
        CHECK(world, stats[MEMORY].versions == stats[LMDB].versions);
        CHECK(world, stats[MEMORY].keys == stats[LMDB].keys);
        CHECK(world, state[MEMORY].first_lsn == state[LMDB].first_lsn);
    }
    model_forget(&world->model, store, horizon_ns);
    check_log_states(world);
}

static void check_busy(struct world *world, ps_map_store store)
{
    struct ps_record record = {.lsn = 1, .commit_ns = 1};
    struct ps_append append = {store, &record};
    for (size_t end = 0; end < ENDS; end++) {
        bool more = true;
        struct ps_log_state state;
        CHECK(world, ps_map_apply(world->ends[end], &append, 1, NULL) == PS_BUSY);
        CHECK(world, ps_map_forget(world->ends[end], store, PS_NEVER - 1, 1, &more, NULL) == PS_OK);
        CHECK(world, !more);
        CHECK(world, ps_map_log_state(world->ends[end], store, &state) == PS_OK);
        CHECK(world, state.last_lsn == 0);
        CHECK(world, state.first_lsn == 1);
    }
}

static void put_parts(struct world *world, ps_map_store store, bool counts, uint64_t *ret_lsn,
                      ps_time_ns *ret_commit_ns)
{
    uint64_t lsn = 0;
    ps_time_ns commit_ns = 0;
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        struct ps_entry entry = maker_entry(&world->maker);
        entry.key = world->maker.keys[i];
        lsn += 1 + below(world, 3);
        commit_ns += 1 + below(world, 50);
        if (below(world, 2) == 0 ||
            (counts && model_get(&world->model, store, entry.key, &PS_BOUND_NEWEST) != NULL)) {
            continue;
        }
        int times = below(world, 8) == 0 ? 2 : 1; /* a part may come twice */
        for (int time = 0; time < times; time++) {
            for (size_t end = 0; end < ENDS; end++) {
                CHECK(world, ps_map_snapshot_put(world->ends[end], store, &entry, lsn, commit_ns,
                                                 NULL) == PS_OK);
            }
        }
        if (counts) {
            model_add_version(&world->model, (struct model_version){store, entry, lsn, commit_ns});
        }
    }
    *ret_lsn = lsn + below(world, 3);
    *ret_commit_ns = commit_ns + below(world, 100);
}

static void do_snapshot(struct world *world)
{
    ps_map_store store = some_store(world);
    const struct ps_entry entry = {.key = PS_LIT("key"), .value = PS_LIT("value")};
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_map *map = world->ends[end];
        CHECK(world, ps_map_snapshot_put(map, store, &entry, 1, 1, NULL) == PS_INVALID);
        CHECK(world, ps_map_snapshot_finish(map, store, 1, 1, NULL) == PS_INVALID);
    }
    uint64_t at_lsn = 0;
    ps_time_ns at_commit_ns = 0;
    bool abandon = below(world, 2) == 0;
    for (int round = abandon ? 0 : 1; round < 2; round++) {
        for (size_t end = 0; end < ENDS; end++) {
            CHECK(world, ps_map_snapshot_begin(world->ends[end], store, NULL) == PS_OK);
        }
        model_clear(&world->model, store);
        put_parts(world, store, round == 1, &at_lsn, &at_commit_ns);
        check_busy(world, store);
    }
    const struct model_version *newest = NULL;
    for (size_t i = 0; i < world->model.version_count; i++) {
        const struct model_version *version = &world->model.versions[i];
        newest = version->store == store ? version : newest;
    }
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_map *map = world->ends[end];
        if (newest != NULL) {
            CHECK(world, ps_map_snapshot_finish(map, store, newest->lsn - 1, at_commit_ns, NULL) ==
                             PS_INVALID);
        }
        CHECK(world, ps_map_snapshot_finish(map, store, at_lsn, at_commit_ns, NULL) == PS_OK);
    }
    world->model.log[store] = (struct ps_log_state){at_lsn, at_commit_ns, at_lsn + 1};
    check_log_states(world);
}

static void do_reopen(struct world *world)
{
    ps_map_close(world->ends[LMDB]);
    open_lmdb(world);
    open_stores(world);
    check_log_states(world);
}

static void do_meta(struct world *world)
{
    char text[32];
    int size = snprintf(text, sizeof text, "name %d", (int)below(world, 5));
    struct ps_slice name = {text, (size_t)size};
    struct ps_slice value = maker_bytes(&world->maker, below(world, 200));
    struct ps_buf before[ENDS] = {{0}};
    CHECK(world, ps_map_meta_get(world->ends[MEMORY], name, &before[MEMORY]) ==
                     ps_map_meta_get(world->ends[LMDB], name, &before[LMDB]));
    CHECK(world, ps_slice_eq(ps_buf_slice(&before[MEMORY]), ps_buf_slice(&before[LMDB])));
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_buf after = {0};
        ps_buf_append_text(&after, "=");
        CHECK(world, ps_map_meta_put(world->ends[end], name, value, NULL) == PS_OK);
        CHECK(world, ps_map_meta_get(world->ends[end], name, &after) == PS_OK);
        CHECK(world, after.size == value.size + 1);
        CHECK(world, after.data[0] == '=');
        CHECK(world, ps_slice_eq((struct ps_slice){after.data + 1, after.size - 1}, value));
        ps_buf_fini(&after);
        ps_buf_fini(&before[end]);
    }
}

/* --- reading --- */

static bool accept_some(void *context, uint64_t lsn, ps_time_ns commit_ns)
{
    const uint64_t *salt = context;
    return ((lsn + *salt) * 2654435761U >> 7) % 3 != 0 || commit_ns % 5 == 0;
}

static struct ps_bound some_bound(struct world *world, ps_map_store store, uint64_t *salt)
{
    struct ps_bound bound = PS_BOUND_NEWEST;
    if (below(world, 2) == 0) {
        bound.lsn_max = some_lsn(world, store);
    }
    if (below(world, 2) == 0) {
        bound.commit_max = some_instant(world, store);
    }
    if (below(world, 3) == 0) {
        *salt = below(world, 100);
        bound.accept = accept_some;
        bound.context = salt;
    }
    return bound;
}

static void begin(struct world *world)
{
    for (size_t end = 0; end < ENDS; end++) {
        CHECK(world, ps_map_read_begin(world->ends[end]) == PS_OK);
    }
}

static void end_reads(struct world *world)
{
    for (size_t end = 0; end < ENDS; end++) {
        ps_map_read_end(world->ends[end]);
    }
}

static bool same_version(const struct ps_version *version, const struct model_version *expected)
{
    return version->lsn == expected->lsn && version->commit_ns == expected->commit_ns &&
           version->deleted == expected->entry.deleted &&
           version->expires_unix_s == expected->entry.expires_unix_s &&
           ps_slice_eq(version->value, expected->entry.value) &&
           ps_slice_eq(version->metadata, expected->entry.metadata);
}

static void do_get(struct world *world)
{
    ps_map_store store = some_store(world);
    struct ps_slice key = maker_key(&world->maker);
    uint64_t salt;
    struct ps_bound bound = some_bound(world, store, &salt);
    const struct model_version *expected = model_get(&world->model, store, key, &bound);
    begin(world);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_version version;
        enum ps_status status = ps_map_get(world->ends[end], store, key, &bound, &version);
        CHECK(world, status == (expected == NULL ? PS_NOT_FOUND : PS_OK));
        CHECK(world, expected == NULL || same_version(&version, expected));
    }
    end_reads(world);
}

static void do_freshness(struct world *world)
{
    ps_map_store store = some_store(world);
    struct ps_slice key = maker_key(&world->maker);
    uint64_t lsn = below(world, 4) == 0 ? 0 : some_lsn(world, store);
    ps_time_ns commit_max = below(world, 2) == 0 ? PS_NEVER : some_instant(world, store);
    struct ps_freshness expected = model_freshness(&world->model, store, key, lsn, commit_max);
    begin(world);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_freshness fresh;
        CHECK(world,
              ps_map_freshness(world->ends[end], store, key, lsn, commit_max, &fresh) == PS_OK);
        CHECK(world, fresh.newest_lsn == expected.newest_lsn);
        CHECK(world, fresh.behind == expected.behind);
        CHECK(world, fresh.superseded_ns == expected.superseded_ns);
    }
    end_reads(world);
}

struct list_check {
    struct world *world;
    ps_map_store store;
    struct ps_slice prefix;
    struct ps_slice after;
    bool beyond;
    struct ps_bound bound;
    struct ps_slice last;
    size_t count;
    size_t stop_at;
};

/* The model's next key with a version within the bound. */
static const struct model_version *expected_next(struct list_check *list)
{
    for (;;) {
        const struct ps_slice *key = model_next_key(&list->world->model, list->store, list->prefix,
                                                    list->beyond ? &list->last : NULL);
        if (key == NULL) {
            return NULL;
        }
        list->last = *key;
        list->beyond = true;
        const struct model_version *version =
            model_get(&list->world->model, list->store, *key, &list->bound);
        if (version != NULL) {
            return version;
        }
    }
}

static bool take_listed(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct list_check *list = context;
    const struct model_version *expected = expected_next(list);
    CHECK(list->world, expected != NULL);
    if (expected == NULL) {
        return false;
    }
    CHECK(list->world, ps_slice_eq(key, expected->entry.key));
    CHECK(list->world, same_version(version, expected));
    list->count++;
    return list->count < list->stop_at;
}

static void do_list(struct world *world)
{
    ps_map_store store = some_store(world);
    struct ps_slice key = maker_key(&world->maker);
    struct ps_slice prefix = {key.data, below(world, 3) == 0 ? 0 : below(world, key.size + 1)};
    struct ps_slice after = below(world, 2) == 0 ? maker_key(&world->maker) : PS_LIT("");
    if (after.size > 0 && below(world, 4) == 0) {
        after.size = 1 + below(world, after.size);
    }
    uint64_t salt;
    struct list_check list = {.world = world, .store = store, .prefix = prefix, .after = after};
    list.bound = some_bound(world, store, &salt);
    list.stop_at = below(world, 3) == 0 ? 1 + below(world, 5) : SIZE_MAX;
    begin(world);
    for (size_t end = 0; end < ENDS; end++) {
        list.last = after;
        list.beyond = after.size > 0;
        list.count = 0;
        CHECK(world, ps_map_list(world->ends[end], store, prefix, after, &list.bound, take_listed,
                                 &list) == PS_OK);
        CHECK(world, list.count == list.stop_at || expected_next(&list) == NULL);
    }
    end_reads(world);
}

struct log_check {
    struct world *world;
    ps_map_store store;
    uint64_t next;
    bool marks;
    size_t count;
    size_t stop_at;
};

static bool take_record(void *context, const struct ps_record *record)
{
    struct log_check *log = context;
    const struct ps_record *expected = model_record_of(&log->world->model, log->store, log->next++);
    CHECK(log->world, expected != NULL);
    if (expected == NULL) {
        return false;
    }
    struct ps_record without = *expected;
    if (log->marks) {
        without.entry_count = 0;
    }
    CHECK(log->world, record_equal(record, &without));
    log->count++;
    return log->count < log->stop_at;
}

static void do_log(struct world *world)
{
    ps_map_store store = some_store(world);
    uint64_t from = some_lsn(world, store);
    uint64_t first = world->model.log[store].first_lsn;
    enum ps_status expected = (from == 0 ? 1 : from) < first ? PS_TOO_OLD : PS_OK;
    size_t stop_at = below(world, 2) == 0 ? 1 + below(world, 5) : SIZE_MAX;
    begin(world);
    for (size_t end = 0; end < ENDS; end++) {
        for (int marks = 0; marks < 2; marks++) {
            struct log_check log = {.world = world,
                                    .store = store,
                                    .next = from == 0 ? 1 : from,
                                    .marks = marks == 1,
                                    .stop_at = stop_at};
            enum ps_status status =
                marks == 1 ? ps_map_log_marks(world->ends[end], store, from, take_record, &log)
                           : ps_map_log(world->ends[end], store, from, take_record, &log);
            CHECK(world, status == expected);
            CHECK(world, expected == PS_OK || log.count == 0);
            CHECK(world, expected != PS_OK || log.count == stop_at ||
                             log.next > world->model.log[store].last_lsn);
        }
    }
    end_reads(world);
}

static void do_token(struct world *world)
{
    ps_map_store store = some_store(world);
    struct ps_token token = {{0}};
    if (below(world, 10) != 0) {
        token.bytes[0] = 1;
        token.bytes[PS_TOKEN_SIZE - 1] = (uint8_t)below(world, 200);
    }
    const struct ps_record *expected =
        token.bytes[0] == 0 ? NULL : model_token(&world->model, store, &token);
    begin(world);
    for (size_t end = 0; end < ENDS; end++) {
        uint64_t lsn = 0;
        ps_time_ns commit_ns = 0;
        enum ps_status status = ps_map_token(world->ends[end], store, &token, &lsn, &commit_ns);
        CHECK(world, status == (expected == NULL ? PS_NOT_FOUND : PS_OK));
        CHECK(world, expected == NULL || lsn == expected->lsn);
        CHECK(world, expected == NULL || commit_ns == expected->commit_ns);
    }
    end_reads(world);
}

static void do_stats(struct world *world)
{
    struct ps_map_stats expected = model_stats(&world->model);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_map_stats stats;
        CHECK(world, ps_map_stats(world->ends[end], &stats) == PS_OK);
        CHECK(world, stats.keys == expected.keys);
        CHECK(world, stats.versions == expected.versions);
        CHECK(world, stats.log_records == expected.log_records);
        CHECK(world, stats.bytes > 0);
    }
}

static void step(struct world *world)
{
    static void (*const reads[])(struct world *) = {do_get,  do_get, do_freshness,
                                                    do_list, do_log, do_token};
    uint64_t dice = below(world, 100);
    if (dice < 30) {
        do_apply(world);
    } else if (dice < 36) {
        do_forget(world);
    } else if (dice < 37) {
        do_snapshot(world);
    } else if (dice < 38) {
        do_reopen(world);
    } else if (dice < 40) {
        do_meta(world);
    } else if (dice < 42) {
        do_stats(world);
    } else {
        reads[below(world, sizeof reads / sizeof reads[0])](world);
    }
}

static void test_both_ends_answer_as_the_model(void **state)
{
    (void)state;
    static struct world world;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        set_up(&world, seed);
        for (world.step = 0; world.step < STEPS; world.step++) {
            step(&world);
        }
        do_stats(&world);
        tear_down(&world);
    }
}

static void test_the_largest_value_and_metadata(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    struct ps_entry entry = {.key = PS_LIT("large"),
                             .value = {maker_pool(), PS_VALUE_SIZE_MAX},
                             .metadata = {maker_pool(), PS_METADATA_SIZE_MAX}};
    struct ps_record record = {.lsn = 1, .commit_ns = 1, .entries = &entry, .entry_count = 1};
    struct ps_append append = {0, &record};
    for (size_t end = 0; end < ENDS; end++) {
        assert_int_equal(ps_map_apply(world.ends[end], &append, 1, NULL), PS_OK);
    }
    model_apply(&world.model, 0, &record);
    do_reopen(&world);
    begin(&world);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_version version;
        assert_int_equal(ps_map_get(world.ends[end], 0, entry.key, &PS_BOUND_NEWEST, &version),
                         PS_OK);
        assert_true(ps_slice_eq(version.value, entry.value));
        assert_true(ps_slice_eq(version.metadata, entry.metadata));
    }
    end_reads(&world);
    tear_down(&world);
}

static void check_refused(struct world *world, const struct ps_entry *entry, const char *reason)
{
    struct ps_entry array[2] = {{.key = PS_LIT("good"), .value = PS_LIT("v")}, *entry};
    struct ps_record record = {.lsn = 1, .commit_ns = 1, .entries = array, .entry_count = 2};
    struct ps_append append = {0, &record};
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_map_stats stats;
        struct ps_error err = {0};
        assert_int_equal(ps_map_apply(world->ends[end], &append, 1, &err), PS_LIMIT);
        assert_string_equal(err.text, reason);
        assert_int_equal(ps_map_snapshot_put(world->ends[end], 0, entry, 1, 1, NULL), PS_LIMIT);
        assert_int_equal(ps_map_stats(world->ends[end], &stats), PS_OK);
        assert_int_equal(stats.versions, 0);
    }
}

static void test_sizes_over_the_limits_are_refused(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    const char *pool = maker_pool();
    struct ps_entry entry = {.key = {pool, PS_KEY_SIZE_MAX + 1}};
    check_refused(&world, &entry, "a key of 1025 bytes, 1024 are allowed");
    /* Only the size is looked at. */
    entry = (struct ps_entry){.key = PS_LIT("k"), .value = {pool, PS_VALUE_SIZE_MAX + 1}};
    check_refused(&world, &entry, "a value of 26214401 bytes, 26214400 are allowed");
    entry = (struct ps_entry){.key = PS_LIT("k"), .metadata = {pool, PS_METADATA_SIZE_MAX + 1}};
    check_refused(&world, &entry, "metadata of 65536 bytes, 65535 are allowed");
    begin(&world);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_version version;
        struct ps_freshness fresh;
        struct ps_slice key = {pool, PS_KEY_SIZE_MAX + 1};
        assert_int_equal(ps_map_get(world.ends[end], 0, key, &PS_BOUND_NEWEST, &version),
                         PS_NOT_FOUND);
        assert_int_equal(ps_map_freshness(world.ends[end], 0, key, 0, PS_NEVER, &fresh), PS_OK);
        assert_int_equal(fresh.newest_lsn, 0);
        assert_int_equal(fresh.superseded_ns, PS_NEVER);
    }
    end_reads(&world);
    tear_down(&world);
}

static void test_names_of_stores_and_meta_values(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    char text[PS_MAP_META_NAME_MAX + 1];
    memset(text, 'n', sizeof text);
    for (size_t end = 0; end < ENDS; end++) {
        struct ps_map *map = world.ends[end];
        ps_map_store store;
        struct ps_error err = {0};
        struct ps_buf value = {0};
        assert_int_equal(ps_map_store_open(map, PS_LIT(""), &store, &err), PS_INVALID);
        assert_string_equal(err.text, "a store's name has 1 to 63 bytes, this one has 0");
        struct ps_slice name = {text, PS_STORE_NAME_MAX + 1};
        assert_int_equal(ps_map_store_open(map, name, &store, NULL), PS_INVALID);
        assert_int_equal(ps_map_store_open(map, PS_LIT("a\0b"), &store, NULL), PS_INVALID);
        for (ps_map_store i = MODEL_STORES; i < PS_MAP_STORES_MAX; i++) {
            name.size = i < PS_STORE_NAME_MAX ? i : PS_STORE_NAME_MAX; /* of any size */
            (void)snprintf(text, sizeof text, "%03x", i);
            text[3] = 'n';
            assert_int_equal(ps_map_store_open(map, name, &store, NULL), PS_OK);
            assert_int_equal(store, i);
        }
        assert_int_equal(ps_map_store_open(map, PS_LIT("one more"), &store, &err), PS_LIMIT);
        assert_string_equal(err.text, "a map has at most 1024 stores");
        assert_int_equal(ps_map_store_open(map, name, &store, NULL), PS_OK);
        assert_int_equal(store, PS_MAP_STORES_MAX - 1);

        name.size = PS_MAP_META_NAME_MAX;
        assert_int_equal(ps_map_meta_put(map, name, PS_LIT("v"), NULL), PS_OK);
        assert_int_equal(ps_map_meta_get(map, name, &value), PS_OK);
        name.size++;
        assert_int_equal(ps_map_meta_put(map, name, PS_LIT("v"), NULL), PS_LIMIT);
        assert_int_equal(ps_map_meta_get(map, name, &value), PS_NOT_FOUND);
        assert_int_equal(ps_map_meta_put(map, PS_LIT(""), PS_LIT("v"), NULL), PS_LIMIT);
        assert_int_equal(ps_map_meta_get(map, PS_LIT(""), &value), PS_NOT_FOUND);
        ps_buf_fini(&value);
    }
    tear_down(&world);
}

/* A key with many versions, asked about at every instant: bisection against a plain walk. */
static void test_a_key_with_many_versions(void **state)
{
    (void)state;

    enum { VERSIONS = 600 };

    static struct world world;
    set_up(&world, 1);
    struct ps_entry entry = {.key = PS_LIT("busy"), .value = PS_LIT("v")};
    for (size_t i = 0; i < VERSIONS; i++) {
        struct ps_record record = maker_record(&world.maker, &world.model.log[0], &entry, 0);
        if (below(&world, 3) != 0) {
            record.entries = &entry;
            record.entry_count = 1;
        }
        struct ps_append append = {0, &record};
        for (size_t end = 0; end < ENDS; end++) {
            assert_int_equal(ps_map_apply(world.ends[end], &append, 1, NULL), PS_OK);
        }
        model_apply(&world.model, 0, &record);
    }
    begin(&world);
    for (size_t i = 0; i < 3 * VERSIONS; i++) {
        struct ps_bound bound = {.lsn_max =
                                     below(&world, 2) == 0 ? UINT64_MAX : some_lsn(&world, 0),
                                 .commit_max = some_instant(&world, 0)};
        const struct model_version *expected = model_get(&world.model, 0, entry.key, &bound);
        uint64_t lsn = expected == NULL ? 0 : expected->lsn;
        struct ps_freshness fresh = model_freshness(&world.model, 0, entry.key, lsn, PS_NEVER);
        for (size_t end = 0; end < ENDS; end++) {
            struct ps_version version = {0};
            struct ps_freshness got;
            enum ps_status status = ps_map_get(world.ends[end], 0, entry.key, &bound, &version);
            assert_int_equal(status, expected == NULL ? PS_NOT_FOUND : PS_OK);
            assert_int_equal(version.lsn, lsn);
            assert_int_equal(ps_map_freshness(world.ends[end], 0, entry.key, lsn, PS_NEVER, &got),
                             PS_OK);
            assert_memory_equal(&got, &fresh, sizeof got);
        }
    }
    end_reads(&world);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ends_answer_as_the_model),
        cmocka_unit_test(test_the_largest_value_and_metadata),
        cmocka_unit_test(test_sizes_over_the_limits_are_refused),
        cmocka_unit_test(test_names_of_stores_and_meta_values),
        cmocka_unit_test(test_a_key_with_many_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
