/* The primary against a plain model under random writes, batches, failures and restarts; and each
 * promise of the header in a small case of its own. */
#include "node/kv/primary.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TAGS = 4096, KEYS = 6, TOKENS = 60, STEPS = 700, SEEDS = 300, COMMITS = TAGS };

/* One write as the test made it: what it asked for, and what came back. */
struct attempt {
    uint8_t token; /* 0 = none */
    uint8_t key;
    bool deleted;
    bool answered;
    bool lost; /* home stopped before it was answered */
    struct ps_written result;
};

struct commit {
    uint8_t token;
    uint8_t key;
    bool deleted;
    uint64_t lsn;
    ps_time_ns commit_ns;
};

struct world {
    struct ps_map *map;
    ps_map_store store;
    struct ps_kv_limits limits;
    struct ps_primary *primary;
    struct ps_rng rng;
    struct attempt attempts[TAGS];
    size_t attempt_count;
    size_t queue[TAGS]; /* attempts that wait for a batch, joined ones not */
    size_t queue_count;
    size_t batch[TAGS];
    size_t batch_count;
    size_t joined[TAGS]; /* the attempt that this one joined, or itself */
    struct commit commits[COMMITS];
    size_t commit_count;
    size_t batch_commits; /* of them, those of the batch under way */
    const struct ps_record *records;
    size_t record_count;
    bool busy;
    ps_time_ns now_ns;
    ps_time_ns given_ns;  /* the latest stamp given */
    ps_time_ns closed_ns; /* the latest promise */
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

static uint64_t below(struct world *world, uint64_t bound)
{
    return ps_rng_below(&world->rng, bound);
}

static void set_up(struct world *world, uint64_t seed, ps_dur_ns interval_ns)
{
    *world = (struct world){.seed = seed, .limits = {.write_interval_ns = interval_ns}};
    world->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("primary", NULL, NULL)};
    world->map = ps_map_create_memory();
    assert_int_equal(ps_map_store_open(world->map, PS_LIT("CACHE"), &world->store, NULL), PS_OK);
    world->primary = ps_primary_create(world->map, world->store, &world->limits);
}

static void tear_down(struct world *world)
{
    ps_primary_destroy(world->primary);
    ps_map_close(world->map);
}

static struct ps_token token_of(uint8_t number)
{
    struct ps_token token = {{0}};
    token.bytes[PS_TOKEN_SIZE - 1] = number;
    return token;
}

static struct ps_write write_of(const struct attempt *attempt)
{
    static const char *const names[KEYS] = {"a", "b", "c", "dd", "eee", "ffff"};
    struct ps_write write = {.token = token_of(attempt->token),
                             .entry = {.key = ps_slice_of(names[attempt->key]),
                                       .value = PS_LIT("value"),
                                       .metadata = PS_LIT("{}"),
                                       .expires_unix_s = 9,
                                       .deleted = attempt->deleted}};
    if (attempt->deleted) {
        write.entry.value.size = 0;
        write.entry.metadata.size = 0;
        write.entry.expires_unix_s = 0;
    }
    return write;
}

static void *tag_of(struct world *world, size_t attempt)
{
    return &world->attempts[attempt];
}

/* The waiting attempt with the same token, or SIZE_MAX. */
static size_t find_waiting(const struct world *world, uint8_t token)
{
    for (size_t i = 0; token != 0 && i < world->batch_count; i++) {
        if (world->attempts[world->batch[i]].token == token) {
            return world->batch[i];
        }
    }
    for (size_t i = 0; token != 0 && i < world->queue_count; i++) {
        if (world->attempts[world->queue[i]].token == token) {
            return world->queue[i];
        }
    }
    return SIZE_MAX;
}

static const struct commit *find_committed(const struct world *world, uint8_t token)
{
    size_t durable = world->commit_count - world->batch_commits;
    for (size_t i = 0; token != 0 && i < durable; i++) {
        if (world->commits[i].token == token) {
            return &world->commits[i];
        }
    }
    return NULL;
}

static void do_write(struct world *world)
{
    size_t at = world->attempt_count++;
    struct attempt *attempt = &world->attempts[at];
    attempt->token = (uint8_t)(below(world, 4) == 0 ? 0 : 1 + below(world, TOKENS));
    attempt->key = (uint8_t)below(world, KEYS);
    attempt->deleted = below(world, 4) == 0;
    size_t waiting = find_waiting(world, attempt->token);
    const struct commit *committed = find_committed(world, attempt->token);
    struct ps_write write = write_of(attempt);
    struct ps_written known = {.status = PS_IO};
    bool answered = ps_primary_write(world->primary, &write, tag_of(world, at), &known);
    world->joined[at] = waiting == SIZE_MAX ? at : waiting;
    if (waiting != SIZE_MAX) {
        CHECK(world, !answered);
    } else if (committed != NULL) {
        CHECK(world, answered);
        CHECK(world, known.status == PS_OK);
        CHECK(world, known.lsn == committed->lsn);
        CHECK(world, known.commit_ns == committed->commit_ns);
        attempt->answered = true;
    } else {
        CHECK(world, !answered);
        world->queue[world->queue_count++] = at;
    }
    CHECK(world, ps_primary_has_queue(world->primary) == (world->queue_count > 0));
}

/* The newest put of the key that counts for the write limit. */
static ps_time_ns last_put(const struct world *world, uint8_t key)
{
    for (size_t i = world->commit_count; i > 0; i--) {
        const struct commit *commit = &world->commits[i - 1];
        if (commit->key == key && !commit->deleted) {
            return commit->commit_ns;
        }
    }
    return PS_NEVER;
}

static void check_record(struct world *world, const struct ps_record *record,
                         const struct attempt *attempt, uint64_t lsn, ps_time_ns stamp_ns)
{
    struct ps_write write = write_of(attempt);
    CHECK(world, record->lsn == lsn);
    CHECK(world, record->commit_ns == stamp_ns);
    CHECK(world, record->commit_ns > world->closed_ns);
    CHECK(world, record->commit_ns >= world->now_ns);
    CHECK(world, memcmp(&record->token, &write.token, sizeof record->token) == 0);
    CHECK(world, record->entry_count == 1);
    CHECK(world, ps_slice_eq(record->entries[0].key, write.entry.key));
    CHECK(world, ps_slice_eq(record->entries[0].value, write.entry.value));
    CHECK(world, ps_slice_eq(record->entries[0].metadata, write.entry.metadata));
    CHECK(world, record->entries[0].expires_unix_s == write.entry.expires_unix_s);
    CHECK(world, record->entries[0].deleted == write.entry.deleted);
}

static void do_take(struct world *world)
{
    uint64_t lsn = world->commit_count;
    world->record_count = ps_primary_take(world->primary, world->now_ns, &world->records);
    size_t taken = 0;
    memcpy(world->batch, world->queue, sizeof world->batch);
    world->batch_count = world->queue_count;
    world->queue_count = 0;
    for (size_t i = 0; i < world->batch_count; i++) {
        struct attempt *attempt = &world->attempts[world->batch[i]];
        ps_time_ns after_ns = ps_time_max(world->given_ns, world->closed_ns);
        ps_time_ns stamp_ns = ps_time_max(world->now_ns, after_ns + 1);
        ps_time_ns put_ns = last_put(world, attempt->key);
        bool limited = !attempt->deleted && world->limits.write_interval_ns != 0 &&
                       put_ns != PS_NEVER && stamp_ns - put_ns < world->limits.write_interval_ns;
        attempt->result = (struct ps_written){.status = PS_RATE_LIMITED};
        if (!limited) {
            CHECK(world, taken < world->record_count);
            check_record(world, &world->records[taken++], attempt, ++lsn, stamp_ns);
            world->given_ns = stamp_ns;
            attempt->result = (struct ps_written){PS_OK, lsn, stamp_ns};
            world->commits[world->commit_count++] =
                (struct commit){attempt->token, attempt->key, attempt->deleted, lsn, stamp_ns};
        }
    }
    CHECK(world, taken == world->record_count);
    world->batch_commits = taken;
    world->busy = taken > 0;
    CHECK(world, ps_primary_busy(world->primary) == world->busy);
    CHECK(world, ps_primary_has_results(world->primary) == (world->batch_count > 0));
    CHECK(world, !ps_primary_has_queue(world->primary));
}

static void apply_batch(struct world *world)
{
    for (size_t i = 0; i < world->record_count; i++) {
        struct ps_append append = {world->store, &world->records[i]};
        CHECK(world, ps_map_apply(world->map, &append, 1, NULL) == PS_OK);
    }
    world->batch_commits = 0;
}

struct results {
    struct world *world;
    void *tags[TAGS];
    struct ps_written written[TAGS];
    size_t count;
};

static void take_result(void *context, void *tag, const struct ps_written *result)
{
    struct results *results = context;
    results->tags[results->count] = tag;
    results->written[results->count++] = *result;
}

/* Results come in the order of the batch, each followed by those that joined it in theirs. */
static void check_results(struct world *world, const struct results *results, enum ps_status failed)
{
    size_t at = 0;
    for (size_t i = 0; i < world->batch_count; i++) {
        struct ps_written expected = world->attempts[world->batch[i]].result;
        if (expected.status == PS_OK && failed != PS_OK) {
            expected = (struct ps_written){.status = failed};
        }
        for (size_t k = world->batch[i]; k < world->attempt_count; k++) {
            if (world->joined[k] != world->batch[i] || world->attempts[k].answered) {
                continue;
            }
            CHECK(world, at < results->count);
            CHECK(world, results->tags[at] == tag_of(world, k));
            CHECK(world, results->written[at].status == expected.status);
            CHECK(world, results->written[at].lsn == expected.lsn);
            CHECK(world, results->written[at].commit_ns == expected.commit_ns);
            world->attempts[k].answered = true;
            at++;
        }
    }
    CHECK(world, at == results->count);
}

static void do_done(struct world *world)
{
    static struct results results;
    enum ps_status status = PS_OK;
    if (world->busy && below(world, 4) == 0) {
        status = PS_FULL;
        world->commit_count -= world->batch_commits;
        world->batch_commits = 0;
    } else {
        apply_batch(world);
    }
    results.world = world;
    results.count = 0;
    ps_primary_done(world->primary, status, take_result, &results);
    check_results(world, &results, status);
    world->batch_count = 0;
    world->record_count = 0;
    world->busy = false;
    CHECK(world, !ps_primary_busy(world->primary));
    CHECK(world, !ps_primary_has_results(world->primary));
}

static void do_closed(struct world *world)
{
    uint64_t last_lsn = UINT64_MAX;
    ps_time_ns closed_ns = ps_primary_closed(world->primary, world->now_ns, &last_lsn);
    CHECK(world, closed_ns >= world->closed_ns);
    CHECK(world, last_lsn == world->commit_count - world->batch_commits);
    /* Nothing under way lies at or before it; when nothing is, it is now. */
    if (world->busy) {
        CHECK(world, closed_ns < world->records[0].commit_ns);
    } else {
        CHECK(world, closed_ns >= world->now_ns);
    }
    world->closed_ns = closed_ns;
}

/* Home stops at any moment: the batch under way is in the map or is not. */
static void do_restart(struct world *world)
{
    if (world->busy && below(world, 2) == 0) {
        apply_batch(world);
    }
    world->commit_count -= world->batch_commits;
    world->batch_commits = 0;
    for (size_t i = 0; i < world->attempt_count; i++) {
        world->attempts[i].lost = world->attempts[i].lost || !world->attempts[i].answered;
        world->attempts[i].answered = true;
    }
    world->queue_count = 0;
    world->batch_count = 0;
    world->record_count = 0;
    world->busy = false;
    /* Cluster time goes on across it. */
    world->now_ns = ps_time_max(world->now_ns, ps_time_max(world->given_ns, world->closed_ns)) + 1;
    world->given_ns =
        world->commit_count == 0 ? 0 : world->commits[world->commit_count - 1].commit_ns;
    ps_primary_destroy(world->primary);
    world->primary = ps_primary_create(world->map, world->store, &world->limits);
}

static void step(struct world *world)
{
    /* Time may stand still or even seem to go back a little: stamps must not. */
    world->now_ns += below(world, 3) * below(world, 8);
    uint64_t dice = below(world, 100);
    if (dice < 55) {
        do_write(world);
    } else if (dice < 70) {
        if (world->batch_count == 0) {
            do_take(world);
            if (!world->busy) {
                do_done(world);
            }
        }
    } else if (dice < 85) {
        if (world->busy) {
            do_done(world);
        }
    } else if (dice < 98) {
        do_closed(world);
    } else {
        do_restart(world);
    }
}

static void test_against_the_model(void **state)
{
    (void)state;
    static const ps_dur_ns intervals_ns[] = {0, 1, 5, 40, 1000};
    static struct world world;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        set_up(&world, seed, intervals_ns[seed % (sizeof intervals_ns / sizeof intervals_ns[0])]);
        for (world.step = 0; world.step < STEPS; world.step++) {
            step(&world);
        }
        CHECK(&world, world.commit_count > 20);
        tear_down(&world);
    }
}

/* --- small cases --- */

static bool write_key(struct world *world, const char *key, uint8_t token, void *tag,
                      struct ps_written *ret)
{
    struct ps_write write = {.token = token_of(token),
                             .entry = {.key = ps_slice_of(key), .value = PS_LIT("v")}};
    return ps_primary_write(world->primary, &write, tag, ret);
}

/* Take, put into the map, done: the results. */
static void commit_all(struct world *world, ps_time_ns now_ns, enum ps_status status,
                       struct results *results)
{
    world->record_count = ps_primary_take(world->primary, now_ns, &world->records);
    if (status == PS_OK) {
        apply_batch(world);
    }
    results->count = 0;
    ps_primary_done(world->primary, status, take_result, results);
}

static void test_a_token_is_committed_once(void **state)
{
    (void)state;
    static struct world world;
    static struct results results;
    set_up(&world, 1, 0);
    struct ps_written known;
    int tags[4];
    assert_false(write_key(&world, "k", 1, &tags[0], &known));
    assert_false(write_key(&world, "k", 1, &tags[1], &known)); /* queued */
    assert_int_equal(ps_primary_take(world.primary, 100, &world.records), 1);
    assert_false(write_key(&world, "k", 1, &tags[2], &known)); /* under way */
    assert_false(ps_primary_has_queue(world.primary));
    world.record_count = 1;
    apply_batch(&world);
    ps_primary_done(world.primary, PS_OK, take_result, &results);
    assert_int_equal(results.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(results.tags[i], &tags[i]);
        assert_int_equal(results.written[i].lsn, 1);
        assert_int_equal(results.written[i].commit_ns, 100);
    }
    for (int restarted = 0; restarted < 2; restarted++) {
        known = (struct ps_written){.status = PS_IO};
        assert_true(write_key(&world, "k", 1, &tags[3], &known));
        assert_int_equal(known.status, PS_OK);
        assert_int_equal(known.lsn, 1);
        assert_int_equal(known.commit_ns, 100);
        ps_primary_destroy(world.primary);
        world.primary = ps_primary_create(world.map, world.store, &world.limits);
    }
    /* A write without a token has no such protection. */
    assert_false(write_key(&world, "k", 0, &tags[0], &known));
    assert_false(write_key(&world, "k", 0, &tags[1], &known));
    commit_all(&world, 200, PS_OK, &results);
    assert_int_equal(results.count, 2);
    assert_int_equal(results.written[0].lsn, 2);
    assert_int_equal(results.written[1].lsn, 3);
    tear_down(&world);
}

static void test_one_put_an_interval(void **state)
{
    (void)state;
    static struct world world;
    static struct results results;
    set_up(&world, 1, PS_SECOND);
    struct ps_written known;
    assert_false(write_key(&world, "k", 0, NULL, &known));
    assert_false(write_key(&world, "k", 0, NULL, &known)); /* in the same batch */
    assert_false(write_key(&world, "other", 0, NULL, &known));
    commit_all(&world, 10 * PS_SECOND, PS_OK, &results);
    assert_int_equal(results.written[0].status, PS_OK);
    assert_int_equal(results.written[1].status, PS_RATE_LIMITED);
    assert_int_equal(results.written[2].status, PS_OK);
    assert_int_equal(results.written[2].lsn, 2);
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_false(write_key(&world, "k", 0, NULL, &known));
        commit_all(&world, 11 * PS_SECOND - 1, PS_OK, &results);
        assert_int_equal(results.count, 1);
        assert_int_equal(results.written[0].status, PS_RATE_LIMITED);
        ps_primary_destroy(world.primary);
        world.primary = ps_primary_create(world.map, world.store, &world.limits);
    }
    assert_false(write_key(&world, "k", 0, NULL, &known));
    commit_all(&world, 11 * PS_SECOND, PS_OK, &results);
    assert_int_equal(results.written[0].status, PS_OK);
    tear_down(&world);
}

/* A long log: the limit's interval is found from its end, however far back it begins. */
static void test_the_limit_is_read_back_from_a_long_log(void **state)
{
    (void)state;

    enum { RECORDS = 5000 };

    for (size_t first = 0; first < RECORDS; first += 700) {
        static struct world world;
        static struct results results;
        set_up(&world, 1, RECORDS);
        for (size_t i = 1; i <= RECORDS; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%zu", i);
            struct ps_entry entry = {.key = ps_slice_of(key), .value = PS_LIT("v")};
            /* From `first` on records are one apart, before it they are far away. */
            struct ps_record record = {.lsn = i,
                                       .commit_ns = i <= first ? i : i + 3ULL * RECORDS,
                                       .entries = &entry,
                                       .entry_count = 1};
            struct ps_append append = {world.store, &record};
            assert_int_equal(ps_map_apply(world.map, &append, 1, NULL), PS_OK);
        }
        ps_primary_destroy(world.primary);
        world.primary = ps_primary_create(world.map, world.store, &world.limits);
        struct ps_written known;
        for (size_t i = 1; i <= RECORDS; i += 19) {
            char key[16];
            (void)snprintf(key, sizeof key, "%zu", i);
            assert_false(write_key(&world, key, 0, NULL, &known));
        }
        commit_all(&world, 4ULL * RECORDS + 1, PS_OK, &results);
        ps_time_ns stamp_ns = 4ULL * RECORDS + 1;
        for (size_t n = 0; n < results.count; n++) {
            size_t i = 1 + n * 19;
            ps_time_ns put_ns = i <= first ? i : i + 3ULL * RECORDS;
            bool limited = stamp_ns - put_ns < RECORDS;
            assert_int_equal(results.written[n].status, limited ? PS_RATE_LIMITED : PS_OK);
            stamp_ns += limited ? 0 : 1;
        }
        tear_down(&world);
    }
}

/* What failed was never written: it neither takes an LSN nor counts for the write limit. */
static void test_a_failed_batch_leaves_no_trace(void **state)
{
    (void)state;
    static struct world world;
    static struct results results;
    set_up(&world, 1, PS_SECOND);
    struct ps_written known;
    assert_false(write_key(&world, "k", 7, NULL, &known));
    commit_all(&world, 100, PS_FULL, &results);
    assert_int_equal(results.written[0].status, PS_FULL);
    assert_int_equal(results.written[0].lsn, 0);
    uint64_t last_lsn;
    assert_int_equal(ps_primary_closed(world.primary, 150, &last_lsn), 150);
    assert_int_equal(last_lsn, 0);
    assert_false(write_key(&world, "k", 7, NULL, &known));
    commit_all(&world, 100, PS_OK, &results);
    assert_int_equal(results.written[0].status, PS_OK);
    assert_int_equal(results.written[0].lsn, 1);
    assert_int_equal(results.written[0].commit_ns, 151);
    tear_down(&world);
}

/* A database's commit takes one LSN for all its entries, beside writes; one that was made from an
 * older state is refused, and neither a limit nor a retry touches it. */
static void test_a_record_of_several_entries(void **state)
{
    (void)state;
    static struct world world;
    static struct results results;
    set_up(&world, 1, PS_SECOND);
    struct ps_entry entries[] = {{.key = PS_LIT("k"), .value = PS_LIT("1")},
                                 {.key = PS_LIT("l"), .value = PS_LIT("2")},
                                 {.key = PS_LIT("m"), .deleted = true}};
    struct ps_record record = {
        .lsn = 1, .token = token_of(9), .entries = entries, .entry_count = 3};
    struct ps_record stale = {.lsn = 1, .entries = entries, .entry_count = 1};
    ps_primary_append(world.primary, &record, NULL);
    ps_primary_append(world.primary, &stale, NULL);
    struct ps_written known;
    assert_false(write_key(&world, "k", 8, NULL, &known));
    commit_all(&world, 100, PS_OK, &results);
    assert_int_equal(world.record_count, 2);
    assert_int_equal(results.written[0].status, PS_OK);
    assert_int_equal(results.written[0].lsn, 1);
    assert_int_equal(results.written[0].commit_ns, 100);
    assert_int_equal(results.written[1].status, PS_GAP);
    assert_int_equal(results.written[2].status, PS_OK); /* the record is no put of "k" */
    assert_int_equal(results.written[2].lsn, 2);
    uint64_t lsn = 0;
    ps_time_ns commit_ns = 0;
    assert_int_equal(ps_map_read_begin(world.map), PS_OK);
    assert_int_equal(ps_map_token(world.map, world.store, &record.token, &lsn, &commit_ns), PS_OK);
    ps_map_read_end(world.map);
    assert_int_equal(lsn, 1);
    /* One that failed may be made again, with the same LSN and token. */
    record.lsn = 3;
    record.token = token_of(10);
    ps_primary_append(world.primary, &record, NULL);
    commit_all(&world, 200, PS_FULL, &results);
    assert_int_equal(results.written[0].status, PS_FULL);
    ps_primary_append(world.primary, &record, NULL);
    commit_all(&world, 200, PS_OK, &results);
    assert_int_equal(results.written[0].status, PS_OK);
    assert_int_equal(results.written[0].lsn, 3);
    /* Whose LSN is 0 takes what comes (a bucket's). */
    struct ps_record any = {.entries = entries, .entry_count = 2};
    ps_primary_append(world.primary, &any, NULL);
    commit_all(&world, 300, PS_OK, &results);
    assert_int_equal(results.written[0].status, PS_OK);
    assert_int_equal(results.written[0].lsn, 4);
    tear_down(&world);
}

static void test_closed_times_and_stamps(void **state)
{
    (void)state;
    static struct world world;
    static struct results results;
    set_up(&world, 1, 0);
    struct ps_written known;
    uint64_t last_lsn;
    assert_int_equal(ps_primary_closed(world.primary, 1000, &last_lsn), 1000);
    /* The clock stands still, or a reading is old: stamps go on. */
    assert_false(write_key(&world, "a", 0, NULL, &known));
    assert_false(write_key(&world, "b", 0, NULL, &known));
    assert_int_equal(ps_primary_take(world.primary, 900, &world.records), 2);
    assert_int_equal(world.records[0].commit_ns, 1001);
    assert_int_equal(world.records[1].commit_ns, 1002);
    /* Under way: closed stays before it, and does not go back. */
    assert_int_equal(ps_primary_closed(world.primary, 5000, &last_lsn), 1000);
    assert_int_equal(last_lsn, 0);
    world.record_count = 2;
    apply_batch(&world);
    ps_primary_done(world.primary, PS_OK, take_result, &results);
    assert_int_equal(ps_primary_closed(world.primary, 5000, &last_lsn), 5000);
    assert_int_equal(last_lsn, 2);
    assert_int_equal(ps_primary_closed(world.primary, 4000, &last_lsn), 5000);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_a_token_is_committed_once),
        cmocka_unit_test(test_one_put_an_interval),
        cmocka_unit_test(test_the_limit_is_read_back_from_a_long_log),
        cmocka_unit_test(test_a_failed_batch_leaves_no_trace),
        cmocka_unit_test(test_a_record_of_several_entries),
        cmocka_unit_test(test_closed_times_and_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
