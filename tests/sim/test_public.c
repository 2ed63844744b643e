/* A public bucket's cache as nodes run it (node/r2/public.c, on a map that forgets) against the one
 * that verify computes from the log alone (sim/measure/public_cache.c): drawn histories, with cuts,
 * slow times, purges and resets, must get the same answers. */
#include "node/r2/public.h"
#include "replication/base/memory.h"
#include "sim/measure/public_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 5, RECORDS_MAX = 4096, STEPS = 3000, ROUNDS = 60, POP = 1 };

static const char *const keys[KEYS] = {"a.css", "b/b.js", "c.png", "d.html", "e.zip"};
static const char *const controls[] = {"",
                                       "max-age=5",
                                       "max-age=600, stale-if-error=60",
                                       "s-maxage=30, stale-if-error=60",
                                       "no-store",
                                       "max-age=60, stale-while-revalidate=300",
                                       "max-age=30, stale-while-revalidate=9, stale-if-error=99",
                                       "s-maxage=30, stale-while-revalidate=60",
                                       "max-age=31536000"};

enum { YEAR = sizeof controls / sizeof controls[0] - 1 };

enum { CONTROLS = sizeof controls / sizeof controls[0] };

struct put {
    size_t key;
    bool deleted;
    bool purge;
    size_t control;
    ps_time_ns commit_ns;
};

struct world {
    struct ps_cluster cluster;
    const struct ps_store *store;
    struct ps_link link;
    struct ps_replica replica;
    struct ps_map *map;
    ps_map_store map_store;
    struct ps_r2_public *cache;
    struct ps_public_cache *model;
    size_t given_key; /* out of the cache, last */
    uint64_t given_lsn;
    size_t drops;
    struct put log[RECORDS_MAX]; /* number n is LSN n + 1 */
    size_t log_count;
    uint64_t seed;
    uint64_t drawn;
    ps_time_ns t;
    size_t states[PS_R2_CACHE_STATES]; /* how often each was told */
    size_t forgot;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    return ps_random_u64(world->seed, ps_stream_of("public", "", ""), world->drawn++) % below;
}

/* ---- the log ---- */

static const struct put *newest(const struct world *world, size_t key, ps_time_ns as_of_ns,
                                uint64_t *ret_lsn)
{
    *ret_lsn = 0;
    for (size_t i = world->log_count; i > 0; i--) {
        const struct put *put = &world->log[i - 1];
        if (!put->purge && put->key == key && put->commit_ns <= as_of_ns) {
            *ret_lsn = i;
            return put;
        }
    }
    return NULL;
}

static struct ps_r2_cache_stay stay_of(void *context, uint32_t key, ps_time_ns as_of_ns,
                                       uint64_t *ret_lsn, bool *ret_there)
{
    const struct world *world = context;
    const struct put *put = newest(world, key, as_of_ns, ret_lsn);
    *ret_there = put != NULL && !put->deleted;
    struct ps_r2_object object = {0};
    if (*ret_there) {
        object.meta.http.cache_control = ps_slice_of(controls[put->control]);
    }
    return ps_r2_cache_stay_of(ps_slice_of(keys[key]), *ret_there ? &object : NULL,
                               PS_R2_CACHE_DEFAULT_KINDS, ps_r2_unix_ms(&world->cluster, as_of_ns));
}

static void encode(struct ps_buf *metadata, const struct put *put)
{
    struct ps_r2_object object = {.key = ps_slice_of(keys[put->key]),
                                  .etag = "0123456789abcdef0123456789abcdef",
                                  .is_inline = true};
    object.checksums.present = 0;
    object.meta.http.cache_control = ps_slice_of(controls[put->control]);
    ps_r2_object_encode(metadata, &object);
}

static void commit(struct world *world, const struct put *put, bool all)
{
    struct ps_buf key = {0};
    struct ps_buf metadata = {0};
    if (put->purge) {
        ps_r2_purge_key(&key, all ? (struct ps_slice){0} : ps_slice_of(keys[put->key]));
        ps_public_cache_purged(world->model, (uint32_t)put->key, all, put->commit_ns);
    } else {
        ps_buf_append_text(&key, keys[put->key]);
    }
    bool deleted = put->deleted || put->purge;
    if (!deleted) {
        encode(&metadata, put);
    }
    struct ps_entry entry = {.key = ps_buf_slice(&key),
                             .value = {"", 0},
                             .metadata = ps_buf_slice(&metadata),
                             .deleted = deleted};
    world->log[world->log_count++] = *put;
    struct ps_record record = {
        .lsn = world->log_count, .commit_ns = put->commit_ns, .entries = &entry, .entry_count = 1};
    struct ps_append append = {world->map_store, &record};
    assert_int_equal(ps_map_apply(world->map, &append, 1, NULL), PS_OK);
    ps_buf_fini(&key);
    ps_buf_fini(&metadata);
}

static void write(struct world *world)
{
    uint64_t kind = draw(world, 8);
    struct put put = {.key = draw(world, KEYS),
                      .deleted = kind == 0,
                      .purge = kind == 1 || kind == 2,
                      .control = draw(world, CONTROLS),
                      .commit_ns = world->t};
    if (world->log_count < RECORDS_MAX) {
        commit(world, &put, kind == 2 && draw(world, 2) == 0);
    }
}

/* ---- reads ---- */

static void check_state(struct world *world, size_t key, const struct ps_r2_public_view *got,
                        const struct ps_public_view *wanted)
{
    uint64_t lsn;
    bool there;
    const struct put *put = newest(world, key, world->t, &lsn);
    struct ps_r2_cache_stay stay = stay_of(world, (uint32_t)key, got->view.at_ns, &lsn, &there);
    struct ps_r2_object object = {0};
    if (there) {
        object.meta.http.cache_control = ps_slice_of(controls[put->control]);
    }
    enum ps_r2_cache_state state =
        ps_r2_public_state(world->cache, ps_slice_of(keys[key]), got, there ? &object : NULL, lsn);
    assert_int_equal(state, ps_public_cache_state(wanted, there ? lsn : 0, &stay));
    world->states[state]++;
}

static void check_version(const struct world *world, size_t key,
                          const struct ps_r2_public_view *got)
{
    struct ps_bound bound = ps_r2_public_bound(got);
    struct ps_version version = {0};
    enum ps_status status =
        ps_map_get(world->map, world->map_store, ps_slice_of(keys[key]), &bound, &version);
    uint64_t lsn;
    const struct put *put = newest(world, key, got->view.at_ns, &lsn);
    /* A deletion may be forgotten, as nothing is. */
    bool same = status == PS_OK && version.lsn == lsn;
    bool none = put == NULL || put->deleted;
    assert_true(same || (status == PS_NOT_FOUND && none));
    assert_true(got->lsn == lsn || (got->lsn == 0 && none));
}

static void read_key(struct world *world)
{
    size_t key = draw(world, KEYS);
    struct ps_slice name = ps_slice_of(keys[key]);
    struct ps_r2_public_view got;
    struct ps_public_view wanted;
    assert_true(ps_r2_public_decide_need(world->cache, name, world->t) <= world->t);
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    enum ps_status status = ps_r2_public_decide(world->cache, name, world->t, &got);
    assert_int_equal(status,
                     ps_public_cache_decide(world->model, (uint32_t)key, name, world->t, &wanted));
    assert_int_equal(got.view.ready_ns, wanted.view.ready_ns);
    if (status == PS_OK) {
        assert_int_equal(got.view.at_ns, wanted.view.at_ns);
        assert_int_equal(got.cached, wanted.cached);
        assert_int_equal(got.state, wanted.state);
        assert_int_equal(got.had, wanted.had);
        assert_int_equal(got.had_lsn, wanted.had_lsn);
        check_state(world, key, &got, &wanted);
    }
    if (status == PS_OK && got.cached) {
        assert_int_equal(got.age_s, (world->t - got.view.at_ns) / PS_SECOND);
        check_version(world, key, &got);
        world->given_key = key;
        world->given_lsn = got.lsn;
    }
    ps_map_read_end(world->map);
}

/* The body of what was given from the cache, a while ago, cannot be had. */
static void drop_given(struct world *world)
{
    size_t key = world->given_key;
    if (ps_r2_public_drop(world->cache, ps_slice_of(keys[key]), world->given_lsn, world->t)) {
        ps_public_cache_drop(world->model, (uint32_t)key, world->t);
        world->drops++;
    }
}

/* ---- the rest ---- */

static void keep_house(struct world *world)
{
    bool more = true;
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    ps_r2_public_sweep(world->cache, ps_time_sub(world->t, draw(world, PS_MINUTE)), world->t,
                       1 + draw(world, KEYS));
    ps_map_read_end(world->map);
    ps_time_ns horizon_ns = ps_r2_public_horizon(world->cache, world->t);
    assert_true(horizon_ns <= world->t);
    while (more && horizon_ns > 0) {
        assert_int_equal(ps_map_forget(world->map, world->map_store, horizon_ns, 64, &more, NULL),
                         PS_OK);
        world->forgot++;
    }
}

static void go_on(struct world *world)
{
    static const ps_dur_ns longest_ns[] = {1,         PS_MS,          400 * PS_MS, 5 * PS_SECOND,
                                           PS_MINUTE, 10 * PS_MINUTE, PS_HOUR,     3 * PS_HOUR};
    world->t += 1 + draw(world, longest_ns[draw(world, 6 + draw(world, 3))]);
}

/* Known from the start: what is said of the past does not change. */
static void disturb(struct world *world)
{
    ps_time_ns t = PS_HOUR;
    for (size_t i = 0; i < 200; i++) {
        t += draw(world, 6 * PS_HOUR);
        struct ps_interval when = {
            t, t + 1 + draw(world, draw(world, 2) == 0 ? PS_SECOND : 2 * PS_HOUR)};
        if (draw(world, 3) > 0) {
            assert_int_equal(ps_link_cut(&world->link, when), PS_OK);
        } else {
            struct ps_slow slow = {when, 1000 + (uint32_t)draw(world, 20000)};
            assert_int_equal(ps_link_slow(&world->link, slow), PS_OK);
        }
    }
}

static void init(struct world *world, uint64_t seed)
{
    struct ps_store *store;
    *world = (struct world){.seed = seed, .t = PS_HOUR};
    ps_cluster_init(&world->cluster);
    assert_int_equal(ps_cluster_add_pop(&world->cluster, PS_LIT("ams"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_pop(&world->cluster, PS_LIT("syd"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_store(&world->cluster, PS_LIT("B"), PS_STORE_R2,
                                          (struct ps_slice){0}, &store, NULL),
                     PS_OK);
    world->store = store;
    ps_cluster_link(&world->cluster, store, POP, &world->link);
    if (seed % 4 != 0) {
        disturb(world);
    }
    world->replica = ps_cluster_replica(&world->cluster, store, POP, &world->link);
    world->map = ps_map_create_memory();
    assert_int_equal(ps_map_store_open(world->map, PS_LIT("B"), &world->map_store, NULL), PS_OK);
    world->cache = ps_r2_public_create(&world->cluster, store, POP, &world->link, world->map,
                                       world->map_store);
    world->model =
        ps_public_cache_create(&world->replica, PS_R2_CACHE_DEFAULT_KINDS, world, stay_of, NULL);
}

static void fini(struct world *world)
{
    ps_public_cache_destroy(world->model);
    ps_r2_public_destroy(world->cache);
    ps_map_close(world->map);
    ps_link_fini(&world->link);
    ps_cluster_fini(&world->cluster);
}

static void test_drawn(void **state)
{
    (void)state;
    size_t told[PS_R2_CACHE_STATES] = {0};
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct world *world = PS_NEW(struct world);
        init(world, seed);
        for (size_t i = 0; i < STEPS; i++) {
            uint64_t what = draw(world, 100);
            go_on(world);
            if (what < 20) {
                write(world);
            } else if (what < 30) {
                keep_house(world);
            } else if (what < 35) {
                drop_given(world);
            } else if (what < 36) {
                ps_r2_public_reset(world->cache);
                ps_public_cache_reset(world->model, world->t);
            } else {
                read_key(world);
            }
        }
        assert_true(world->forgot > 0 && world->drops > 0);
        for (size_t i = 0; i < PS_R2_CACHE_STATES; i++) {
            told[i] += world->states[i];
        }
        fini(world);
        free(world);
    }
    for (size_t i = 0; i < PS_R2_CACHE_STATES; i++) {
        assert_true(told[i] > 0);
    }
}

/* ---- what the model does not know ---- */

static void put_at(struct world *world, size_t key, size_t control, ps_time_ns t)
{
    struct put put = {.key = key, .control = control, .commit_ns = t};
    world->t = t;
    commit(world, &put, false);
}

static enum ps_status decide(struct world *world, size_t key, ps_time_ns t,
                             struct ps_r2_public_view *ret)
{
    world->t = t;
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    enum ps_status status = ps_r2_public_decide(world->cache, ps_slice_of(keys[key]), t, ret);
    ps_map_read_end(world->map);
    return status;
}

static enum ps_status decide_late(struct world *world, ps_time_ns t, ps_time_ns closed_ns,
                                  struct ps_r2_public_view *ret)
{
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    enum ps_status status =
        ps_r2_public_decide_late(world->cache, ps_slice_of(keys[0]), t, closed_ns, ret);
    ps_map_read_end(world->map);
    return status;
}

static void sweep_twice(struct world *world, ps_time_ns t)
{
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    ps_r2_public_sweep(world->cache, t, t, 10);
    ps_r2_public_sweep(world->cache, t, t, 10);
    ps_map_read_end(world->map);
}

static void test_home_away(void **state)
{
    (void)state;
    struct world *world = PS_NEW(struct world);
    struct ps_r2_public_view view;
    struct ps_slice name = ps_slice_of(keys[0]);
    ps_time_ns t = PS_HOUR;
    init(world, 0);
    put_at(world, 0, 2, t); /* max-age=600, stale-if-error=60 */
    assert_int_equal(decide_late(world, t + 1, PS_NEVER, &view), PS_UNREACHABLE);
    assert_int_equal(decide(world, 0, t + 2, &view), PS_OK);
    ps_time_ns as_of_ns = view.view.at_ns;
    ps_time_ns there_ns = view.view.ready_ns;
    assert_true(view.kept);
    /* Nobody knows what the fetch found. */
    assert_int_equal(ps_r2_public_decide_need(world->cache, name, there_ns), as_of_ns);
    assert_int_equal(decide_late(world, there_ns, as_of_ns - 1, &view), PS_UNREACHABLE);
    assert_int_equal(decide_late(world, there_ns, as_of_ns, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_HIT);
    assert_int_equal(view.lsn, 1);
    ps_time_ns over_ns = as_of_ns + 600 * PS_SECOND;
    assert_int_equal(decide_late(world, over_ns, as_of_ns, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_STALE);
    over_ns += 60 * PS_SECOND;
    assert_int_equal(decide_late(world, over_ns, as_of_ns, &view), PS_UNREACHABLE);
    /* It has changed nothing. */
    assert_int_equal(decide(world, 0, there_ns, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_HIT);
    fini(world);
    free(world);
}

static void test_drop(void **state)
{
    (void)state;
    struct world *world = PS_NEW(struct world);
    struct ps_r2_public_view view;
    ps_time_ns t = PS_HOUR;
    init(world, 0);
    put_at(world, 0, YEAR, t);
    assert_int_equal(decide(world, 0, t + 1, &view), PS_OK);
    t = view.view.ready_ns;
    struct ps_slice key = ps_slice_of(keys[0]);
    assert_false(ps_r2_public_drop(world->cache, key, 1, t - 1)); /* it has not come yet */
    assert_int_equal(decide(world, 0, t, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_HIT);
    assert_false(ps_r2_public_drop(world->cache, key, 7, t)); /* another version */
    assert_int_equal(decide(world, 0, t + 1, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_HIT);
    assert_true(ps_r2_public_drop(world->cache, key, 1, t + 1));
    assert_false(ps_r2_public_drop(world->cache, key, 1, t + 1));
    assert_int_equal(decide(world, 0, t + 2, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_MISS);
    /* The fetch has landed by then: what is there is another entry. */
    assert_false(ps_r2_public_drop(world->cache, key, 1, view.view.ready_ns));
    assert_int_equal(decide(world, 0, view.view.ready_ns, &view), PS_OK);
    assert_int_equal(view.state, PS_R2_CACHE_HIT);
    fini(world);
    free(world);
}

/* An entry of a year holds up what it shows only once that is superseded. */
static void test_horizon(void **state)
{
    (void)state;
    struct world *world = PS_NEW(struct world);
    struct ps_r2_public_view view;
    ps_time_ns t = PS_HOUR;
    init(world, 0);
    put_at(world, 0, YEAR, t);
    assert_int_equal(decide(world, 0, t + 1, &view), PS_OK);
    ps_time_ns as_of_ns = view.view.at_ns;
    t = t + 100 * PS_HOUR;
    sweep_twice(world, t);
    assert_int_equal(ps_r2_public_horizon(world->cache, t), t - PS_MINUTE);
    put_at(world, 0, YEAR, t + 1);
    sweep_twice(world, t + 2);
    assert_int_equal(ps_r2_public_horizon(world->cache, t + PS_HOUR), as_of_ns);
    assert_int_equal(decide(world, 0, t + PS_HOUR, &view), PS_OK);
    assert_int_equal(view.lsn, 1);
    ps_r2_public_reset(world->cache);
    assert_int_equal(ps_r2_public_count(world->cache), 0);
    assert_int_equal(ps_r2_public_horizon(world->cache, t + PS_HOUR), t + PS_HOUR - PS_MINUTE);
    fini(world);
    free(world);
}

static bool is_there(struct world *world, struct ps_slice key)
{
    struct ps_buf name = {0};
    struct ps_version version;
    ps_r2_purge_key(&name, key);
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    enum ps_status status =
        ps_map_get(world->map, world->map_store, ps_buf_slice(&name), &PS_BOUND_NEWEST, &version);
    ps_map_read_end(world->map);
    ps_buf_fini(&name);
    return status == PS_OK;
}

static void forget_all(struct world *world, ps_time_ns t)
{
    bool more = true;
    ps_time_ns horizon_ns = ps_r2_public_horizon(world->cache, t);
    while (more && horizon_ns > 0) {
        assert_int_equal(ps_map_forget(world->map, world->map_store, horizon_ns, 64, &more, NULL),
                         PS_OK);
    }
}

/* Purges do not pile up: each one goes once every entry has been held against it, and no entry that
 * it ended, read or not, is there again. */
static void test_purges_go(void **state)
{
    (void)state;
    for (int all = 0; all <= 1; all++) {
        struct world *world = PS_NEW(struct world);
        struct ps_r2_public_view view;
        struct ps_slice purged = all ? (struct ps_slice){"", 0} : ps_slice_of(keys[0]);
        ps_time_ns t = PS_HOUR;
        init(world, 0);
        put_at(world, 0, YEAR, t);
        put_at(world, 1, YEAR, t + 1);
        assert_int_equal(decide(world, 0, t + 2, &view), PS_OK);
        assert_int_equal(decide(world, 1, t + 3, &view), PS_OK);
        t += PS_MINUTE;
        commit(world, &(struct put){.purge = true, .commit_ns = t}, all == 1);
        t += 100 * PS_HOUR;
        forget_all(world, t);
        assert_true(is_there(world, purged)); /* no entry was looked at */
        sweep_twice(world, t);
        forget_all(world, t);
        assert_false(is_there(world, purged));
        assert_int_equal(decide(world, 0, t + 1, &view), PS_OK);
        assert_int_equal(view.state, PS_R2_CACHE_MISS);
        assert_int_equal(decide(world, 1, t + 2, &view), PS_OK);
        assert_int_equal(view.state, all ? PS_R2_CACHE_MISS : PS_R2_CACHE_HIT);
        fini(world);
        free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawn),     cmocka_unit_test(test_home_away),
        cmocka_unit_test(test_drop),      cmocka_unit_test(test_horizon),
        cmocka_unit_test(test_purges_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
