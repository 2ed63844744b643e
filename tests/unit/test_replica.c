/* One store at one PoP against a naive recomputation: pins that are never swept, a log that is
 * never forgotten, arrivals recomputed over the whole of it for every read. */
#include "node/kv/replica.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/world/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 5, RECORDS = 700, WAITING = 64, SEEDS = 200, STEPS = 500, POP = 2 };

struct version {
    uint8_t key;
    bool deleted;
    ps_time_ns commit_ns;
};

struct waiting {
    bool on;
    uint8_t key;
    ps_time_ns eval_ns;
    struct ps_view view;
};

struct world {
    struct ps_cluster cluster;
    struct ps_store *store;
    struct ps_link link;
    struct ps_replica view;
    struct ps_map *map;
    ps_map_store map_store;
    struct ps_store_replica *replica;
    struct ps_eval_clock clock;
    struct ps_rng rng;
    ps_time_ns now_ns;
    ps_dur_ns pace_ns; /* how far time goes in a step, about */

    struct version log[RECORDS + 1]; /* by LSN, from 1 */
    uint64_t committed;
    uint64_t applied;
    uint64_t base;           /* the snapshot or log head that the map began with */
    ps_time_ns forgotten_ns; /* the latest horizon given to the map */
    struct ps_pin pins[KEYS];
    struct waiting waiting[WAITING];
    uint64_t own[WAITING]; /* writes through this PoP that are not acknowledged yet: LSNs */
    size_t own_count;
    uint64_t seed;
    int step;
    unsigned long resolved;
    unsigned long undecided;
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

static bool one_in(struct world *world, uint64_t n)
{
    return below(world, n) == 0;
}

static struct ps_slice key_of(unsigned key)
{
    static const char *const names[KEYS] = {"a", "bb", "ccc", "dddd", "eeeee"};
    return ps_slice_of(names[key]);
}

static void some_delay(struct world *world, struct ps_delay *delay)
{
    switch (below(world, 4)) {
    case 0:
        *delay = (struct ps_delay){.kind = PS_DELAY_CONSTANT,
                                   .constant = {below(world, 20) * PS_SECOND}};
        break;
    case 1:
        *delay =
            (struct ps_delay){.kind = PS_DELAY_UNIFORM, .uniform = {PS_SECOND, 60 * PS_SECOND}};
        break;
    case 2:
        *delay = ps_delay_from_p50_p99(PS_SECOND, 30 * PS_SECOND);
        break;
    default: /* longer than any retention */
        *delay = (struct ps_delay){.kind = PS_DELAY_UNIFORM, .uniform = {0, 3 * PS_DAY}};
        break;
    }
}

static void some_policy(struct world *world, struct ps_policy *policy)
{
    policy->timeout_ns = 5 * PS_SECOND;
    policy->kind = (enum ps_policy_kind)below(world, 3);
    policy->push.order = one_in(world, 2) ? PS_ORDER_FIFO : PS_ORDER_NONE;
    ps_delay_fini(&policy->push.delay);
    some_delay(world, &policy->push.delay);
    policy->cache.ttl_ns = 30 * PS_SECOND + below(world, 60) * PS_SECOND;
    policy->cache.ttl_min_ns = 10 * PS_SECOND;
    policy->cache.own_writes = !one_in(world, 3);
    policy->cache.negative = one_in(world, 2);
    policy->cache.shorten = one_in(world, 2);
    policy->cache.ahead_milli = one_in(world, 2) ? 500 : 0;
    policy->cache.tier = (enum ps_tier)below(world, 3);
    policy->cache.tier_ns = below(world, 90) * PS_SECOND;
}

static void make_replica(struct world *world)
{
    world->replica = ps_store_replica_create(&world->cluster, world->store, POP, &world->link,
                                             world->map, world->map_store);
    memset(world->pins, 0, sizeof world->pins);
}

static void set_up(struct world *world, uint64_t seed)
{
    static const char *const codes[] = {"fra", "iad", "syd"};
    *world = (struct world){.seed = seed, .now_ns = PS_SECOND};
    world->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("replica", NULL, NULL)};
    ps_cluster_init(&world->cluster);
    world->cluster.seed = seed;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_int_equal(ps_cluster_add_pop(&world->cluster, ps_slice_of(codes[i]), NULL), PS_OK);
    }
    assert_int_equal(ps_cluster_add_store(&world->cluster, PS_LIT("CACHE"), PS_STORE_KV,
                                          PS_LIT("workers-kv"), &world->store, NULL),
                     PS_OK);
    some_policy(world, &world->store->policy);
    world->pace_ns = one_in(world, 3) ? 10 * PS_MINUTE : PS_SECOND;
    ps_cluster_link(&world->cluster, world->store, POP, &world->link);
    world->view = ps_cluster_replica(&world->cluster, world->store, POP, &world->link);
    world->map = ps_map_create_memory();
    assert_int_equal(ps_map_store_open(world->map, PS_LIT("CACHE"), &world->map_store, NULL),
                     PS_OK);
    make_replica(world);
}

static void tear_down(struct world *world)
{
    ps_store_replica_destroy(world->replica);
    ps_map_close(world->map);
    ps_link_fini(&world->link);
    ps_cluster_fini(&world->cluster);
}

static ps_time_ns next_eval(struct world *world)
{
    ps_time_ns t = ps_eval_clock_next(&world->clock, world->now_ns);
    world->now_ns = ps_time_max(world->now_ns, t);
    return t;
}

/* --- the naive side --- */

/* visible(n): when all records up to n have arrived. What a snapshot brought counts as one. */
static ps_time_ns visible(const struct world *world, uint64_t n)
{
    ps_time_ns visible_ns = 0;
    for (uint64_t k = world->base == 0 ? 1 : world->base; k <= n; k++) {
        visible_ns =
            ps_time_max(visible_ns, ps_push_arrival(&world->view, k, world->log[k].commit_ns));
    }
    return visible_ns;
}

static bool is_let_through(const struct world *world, const struct ps_view *view, uint64_t seen,
                           uint64_t lsn)
{
    switch (view->kind) {
    case PS_VIEW_AS_OF:
        return world->log[lsn].commit_ns <= view->at_ns;
    case PS_VIEW_FIFO:
        return lsn <= seen;
    case PS_VIEW_ARRIVED:
        return ps_push_arrival(&world->view, lsn, world->log[lsn].commit_ns) <= view->at_ns;
    }
    return false;
}

/* The LSN that the view gives of the key; 0 = none. */
static uint64_t naive_resolve(const struct world *world, unsigned key, const struct ps_view *view,
                              uint64_t have_lsn)
{
    uint64_t seen = world->base;
    while (view->kind == PS_VIEW_FIFO && seen < world->applied &&
           visible(world, seen + 1) <= view->at_ns) {
        seen++;
    }
    for (uint64_t lsn = have_lsn; lsn > 0; lsn--) {
        if (world->log[lsn].key == key && is_let_through(world, view, seen, lsn)) {
            return lsn;
        }
    }
    return 0;
}

static enum ps_status naive_decide(struct world *world, unsigned key, ps_time_ns t,
                                   ps_dur_ns ttl_ns, struct ps_view *ret)
{
    struct ps_pin *pin = &world->pins[key];
    struct ps_view as_of = {.kind = PS_VIEW_AS_OF, .at_ns = pin->as_of_ns};
    uint64_t lsn = naive_resolve(world, key, &as_of, world->committed);
    switch (world->store->policy.kind) {
    case PS_POLICY_CACHE:
        return ps_view_cache(&world->view, pin, ps_slice_hash(key_of(key)), t, ttl_ns,
                             lsn == 0 || world->log[lsn].deleted, ret);
    case PS_POLICY_STRONG:
        return ps_view_strong(&world->view, t, ret);
    case PS_POLICY_PUSH:
        *ret = ps_view_push(&world->view, t);
        return PS_OK;
    }
    return PS_INVALID;
}

/* --- steps --- */

static void do_commit(struct world *world)
{
    if (world->committed == RECORDS) {
        return;
    }
    uint64_t lsn = ++world->committed;
    world->log[lsn] = (struct version){
        .key = (uint8_t)below(world, KEYS),
        .deleted = one_in(world, 4),
        .commit_ns = ps_time_max(world->now_ns, world->log[lsn - 1].commit_ns + 1),
    };
    if (one_in(world, 3) && world->own_count < WAITING) {
        world->own[world->own_count++] = lsn;
    }
}

static void apply_next(struct world *world)
{
    uint64_t lsn = world->applied + 1;
    const struct version *version = &world->log[lsn];
    struct ps_entry entry = {.key = key_of(version->key), .deleted = version->deleted};
    struct ps_record record = {
        .lsn = lsn, .commit_ns = version->commit_ns, .entries = &entry, .entry_count = 1};
    struct ps_append append = {world->map_store, &record};
    CHECK(world, ps_map_apply(world->map, &append, 1, NULL) == PS_OK);
    ps_store_replica_applied(world->replica, lsn, version->commit_ns);
    world->applied = lsn;
}

static void do_apply(struct world *world)
{
    for (uint64_t n = 1 + below(world, 6); n > 0 && world->applied < world->committed; n--) {
        apply_next(world);
    }
}

/* Is every record committed at or before `t` here? */
static bool is_complete(const struct world *world, ps_time_ns t)
{
    return world->now_ns > t &&
           (world->applied == world->committed || world->log[world->applied + 1].commit_ns > t);
}

static void do_read(struct world *world)
{
    size_t at = below(world, WAITING);
    struct waiting *read = &world->waiting[at];
    if (read->on) {
        return;
    }
    read->key = (uint8_t)below(world, KEYS);
    read->eval_ns = next_eval(world);
    ps_time_ns need_ns =
        ps_store_replica_decide_need(world->replica, key_of(read->key), read->eval_ns);
    if (need_ns != 0 && !is_complete(world, need_ns)) {
        world->undecided++;
        return;
    }
    ps_dur_ns ttl_ns = one_in(world, 3) ? below(world, one_in(world, 2) ? 20 : 200) * PS_SECOND : 0;
    struct ps_view expected = {0};
    CHECK(world, ps_map_read_begin(world->map) == PS_OK);
    enum ps_status status = ps_store_replica_decide(world->replica, key_of(read->key),
                                                    read->eval_ns, ttl_ns, &read->view);
    ps_map_read_end(world->map);
    CHECK(world, naive_decide(world, read->key, read->eval_ns, ttl_ns, &expected) == status);
    CHECK(world, read->view.kind == expected.kind);
    CHECK(world, read->view.cache == expected.cache);
    CHECK(world, read->view.at_ns == expected.at_ns);
    CHECK(world, read->view.ready_ns == expected.ready_ns);
    CHECK(world, read->view.need_ns == expected.need_ns);
    read->on = status == PS_OK;
}

static void resolve(struct world *world, const struct waiting *read)
{
    /* A late read has what is here, which may be less than all that came since. */
    uint64_t have_lsn = one_in(world, 4)
                            ? world->base + below(world, world->applied - world->base + 1)
                            : UINT64_MAX;
    uint64_t expected = naive_resolve(world, read->key, &read->view,
                                      have_lsn < world->applied ? have_lsn : world->applied);
    struct ps_bound bound = ps_store_replica_bound(world->replica, &read->view, have_lsn);
    struct ps_version version = {0};
    CHECK(world, ps_map_read_begin(world->map) == PS_OK);
    enum ps_status status =
        ps_map_get(world->map, world->map_store, key_of(read->key), &bound, &version);
    ps_map_read_end(world->map);
    CHECK(world, status == PS_OK || status == PS_NOT_FOUND);
    bool gone_tombstone = expected != 0 && world->log[expected].deleted &&
                          world->log[expected].commit_ns <= world->forgotten_ns;
    bool was_limited = have_lsn < world->applied;
    if (was_limited && world->log[have_lsn].commit_ns < world->forgotten_ns) {
        return; /* only a log that is limited to its end can be asked about */
    }
    CHECK(world, version.lsn == expected || (version.lsn == 0 && gone_tombstone));
    world->resolved++;
}

static void do_resolve(struct world *world)
{
    for (size_t i = 0; i < WAITING; i++) {
        struct waiting *read = &world->waiting[i];
        if (read->on && is_complete(world, read->view.need_ns) && one_in(world, 2)) {
            resolve(world, read);
            read->on = false;
        }
    }
}

static void do_acknowledge(struct world *world)
{
    if (world->own_count == 0) {
        return;
    }
    size_t at = below(world, world->own_count);
    uint64_t lsn = world->own[at];
    world->own[at] = world->own[--world->own_count];
    const struct version *version = &world->log[lsn];
    ps_time_ns t = next_eval(world);
    bool refreshed =
        ps_store_replica_acknowledge(world->replica, key_of(version->key), version->commit_ns, t);
    const struct ps_policy *policy = &world->store->policy;
    CHECK(world, refreshed == (policy->kind == PS_POLICY_CACHE && policy->cache.own_writes));
    ps_pin_acknowledge(policy, &world->pins[version->key], version->commit_ns, t);
}

static void do_relink(struct world *world)
{
    ps_time_ns t = next_eval(world);
    enum ps_status status = PS_OK;
    switch (below(world, 4)) {
    case 0:
        status = ps_link_cut(&world->link, (struct ps_interval){t, PS_NEVER});
        break;
    case 1:
        status = ps_link_cut(&world->link,
                             (struct ps_interval){t, t + (1 + below(world, 50)) * PS_SECOND});
        break;
    case 2: {
        struct ps_slow slow = {{t, t + 30 * PS_SECOND}, (uint32_t)(1000 + below(world, 4000))};
        status = ps_link_slow(&world->link, slow);
        break;
    }
    default:
        status = ps_link_heal(&world->link, t) == PS_INVALID ? PS_INVALID : PS_OK;
        break;
    }
    CHECK(world, status == PS_OK);
    ps_store_replica_relinked(world->replica, t);
}

/* No read that waits was evaluated, no read is resolved and no write acknowledged before this. */
static ps_time_ns oldest(const struct world *world, bool with_instants)
{
    ps_time_ns oldest_ns = world->now_ns;
    for (size_t i = 0; i < WAITING; i++) {
        const struct waiting *read = &world->waiting[i];
        if (read->on) {
            oldest_ns = ps_time_min(oldest_ns, read->eval_ns);
            oldest_ns = with_instants ? ps_time_min(oldest_ns, read->view.at_ns) : oldest_ns;
        }
    }
    for (size_t i = 0; with_instants && i < world->own_count; i++) {
        oldest_ns = ps_time_min(oldest_ns, world->log[world->own[i]].commit_ns);
    }
    return oldest_ns;
}

static void do_sweep(struct world *world)
{
    size_t pins = ps_store_replica_pins(world->replica);
    size_t budget = one_in(world, 2) ? 2 * KEYS : below(world, KEYS);
    ps_store_replica_sweep(world->replica, oldest(world, false), budget);
    CHECK(world, ps_store_replica_pins(world->replica) + budget >= pins);
}

static void do_forget(struct world *world)
{
    ps_time_ns t = oldest(world, true);
    ps_time_ns horizon_ns = ps_store_replica_horizon(world->replica, t);
    CHECK(world, horizon_ns <= t);
    bool more = true;
    while (more) {
        CHECK(world,
              ps_map_forget(world->map, world->map_store, horizon_ns, 100, &more, NULL) == PS_OK);
    }
    world->forgotten_ns = ps_time_max(world->forgotten_ns, horizon_ns);
}

static bool replay_mark(void *context, const struct ps_record *record)
{
    ps_store_replica_applied(context, record->lsn, record->commit_ns);
    return true;
}

/* The process ends and starts again, as the node does it: the cache is empty, waiting reads are
 * gone, the window is computed from the log that is left. */
static void do_restart(struct world *world)
{
    memset(world->waiting, 0, sizeof world->waiting);
    world->own_count = 0;
    ps_store_replica_destroy(world->replica);
    make_replica(world);
    struct ps_log_state log;
    CHECK(world, ps_map_log_state(world->map, world->map_store, &log) == PS_OK);
    if (log.first_lsn > 1) {
        bool empty = log.first_lsn > log.last_lsn;
        ps_store_replica_snapshot(world->replica, log.first_lsn - 1,
                                  empty ? log.last_commit_ns : 0);
    }
    CHECK(world, ps_map_read_begin(world->map) == PS_OK);
    CHECK(world, ps_map_log_marks(world->map, world->map_store, log.first_lsn, replay_mark,
                                  world->replica) == PS_OK);
    ps_map_read_end(world->map);
}

static void do_reset_pins(struct world *world)
{
    ps_store_replica_reset_pins(world->replica);
    memset(world->pins, 0, sizeof world->pins);
    CHECK(world, ps_store_replica_pins(world->replica) == 0);
    if (one_in(world, 2)) {
        do_forget(world); /* no entry holds the horizon now */
    }
}

static void step(struct world *world)
{
    world->now_ns += below(world, (one_in(world, 3) ? 20 : 1) * world->pace_ns);
    uint64_t dice = below(world, 1000);
    if (dice < 250) {
        do_commit(world);
    } else if (dice < 400) {
        do_apply(world);
    } else if (dice < 650) {
        do_read(world);
    } else if (dice < 760) {
        do_resolve(world);
    } else if (dice < 820) {
        do_acknowledge(world);
    } else if (dice < 860) {
        do_relink(world);
    } else if (dice < 930) {
        do_sweep(world);
    } else if (dice < 975) {
        do_forget(world);
    } else if (dice < 982) {
        do_restart(world);
    } else {
        do_reset_pins(world);
    }
}

static void test_against_the_naive_recomputation(void **state)
{
    (void)state;
    static struct world world;
    unsigned long resolved = 0;
    unsigned long undecided = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        set_up(&world, seed);
        for (world.step = 0; world.step < STEPS; world.step++) {
            step(&world);
        }
        resolved += world.resolved;
        undecided += world.undecided;
        tear_down(&world);
    }
    assert_true(resolved > 20UL * SEEDS);
    assert_true(undecided > SEEDS);
}

/* --- small cases --- */

static void set_up_push(struct world *world, enum ps_order order, ps_dur_ns delay_ns)
{
    set_up(world, 1);
    world->store->policy.kind = PS_POLICY_PUSH;
    world->store->policy.push.order = order;
    world->store->policy.push.delay =
        (struct ps_delay){.kind = PS_DELAY_CONSTANT, .constant = {delay_ns}};
}

static void commit_at(struct world *world, ps_time_ns commit_ns)
{
    world->log[++world->committed] = (struct version){.commit_ns = commit_ns};
    apply_next(world);
}

static uint64_t seen_at(struct world *world, ps_time_ns t)
{
    struct ps_view view = ps_view_push(&world->view, t);
    return ps_store_replica_bound(world->replica, &view, UINT64_MAX).lsn_max;
}

/* A snapshot that comes while the link is cut is held up only until the link is healed. */
static void test_a_snapshot_taken_during_an_outage(void **state)
{
    (void)state;
    static struct world world;
    set_up_push(&world, PS_ORDER_FIFO, PS_SECOND);
    assert_int_equal(ps_link_cut(&world.link, (struct ps_interval){10 * PS_SECOND, PS_NEVER}),
                     PS_OK);
    ps_store_replica_snapshot(world.replica, 50, 20 * PS_SECOND);
    ps_store_replica_applied(world.replica, 51, 21 * PS_SECOND);
    assert_int_equal(seen_at(&world, 60 * PS_SECOND), 50);
    assert_int_equal(ps_link_heal(&world.link, 100 * PS_SECOND), PS_OK);
    ps_store_replica_relinked(world.replica, 100 * PS_SECOND);
    ps_store_replica_applied(world.replica, 52, 101 * PS_SECOND);
    assert_int_equal(seen_at(&world, 101 * PS_SECOND - 1), 50);
    assert_int_equal(seen_at(&world, 101 * PS_SECOND), 51);
    assert_int_equal(seen_at(&world, 102 * PS_SECOND), 52);
    tear_down(&world);
}

/* The entries from before were reset when it began; those of reads that wait for it are theirs. */
static void test_a_snapshot_keeps_what_was_read_since_it_began(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    world.store->policy.kind = PS_POLICY_CACHE;
    world.store->policy.cache.negative = true;
    struct ps_view views[2];
    assert_int_equal(ps_store_replica_decide(world.replica, PS_LIT("a"), PS_SECOND, 0, &views[0]),
                     PS_OK);
    ps_store_replica_snapshot(world.replica, 50, PS_SECOND);
    assert_int_equal(
        ps_store_replica_decide(world.replica, PS_LIT("a"), 10 * PS_SECOND, 0, &views[1]), PS_OK);
    assert_int_equal(views[1].cache, PS_CACHE_HIT);
    assert_int_equal(views[1].at_ns, views[0].at_ns);
    tear_down(&world);
}

/* Whatever its delay, a record that is still on its way holds the horizon. */
static void test_the_horizon_waits_for_arrivals(void **state)
{
    (void)state;
    for (int order = PS_ORDER_FIFO; order <= PS_ORDER_NONE; order++) {
        static struct world world;
        set_up_push(&world, (enum ps_order)order, 5 * PS_DAY);
        commit_at(&world, PS_SECOND);
        commit_at(&world, PS_DAY);
        ps_time_ns t = 5 * PS_DAY + PS_HOUR;
        ps_store_replica_sweep(world.replica, PS_HOUR, 1);
        assert_int_equal(ps_store_replica_horizon(world.replica, t), PS_SECOND - 1);
        ps_store_replica_sweep(world.replica, t, 1);
        assert_int_equal(ps_store_replica_horizon(world.replica, t), PS_DAY - 1);
        ps_store_replica_sweep(world.replica, 6 * PS_DAY, 1);
        /* All is visible. What is still to come from home has a later commit time. */
        assert_int_equal(ps_store_replica_horizon(world.replica, 6 * PS_DAY), PS_DAY);
        tear_down(&world);
    }
}

static void test_the_horizon_of_a_cache(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    struct ps_policy *policy = &world.store->policy;
    policy->kind = PS_POLICY_CACHE;
    policy->cache.ttl_ns = 60 * PS_SECOND;
    policy->cache.negative = true;
    policy->cache.ahead_milli = 0;
    policy->cache.tier = PS_TIER_NONE;
    ps_time_ns t = 1000 * PS_SECOND;
    assert_int_equal(ps_store_replica_horizon(world.replica, t), t);
    policy->cache.tier = PS_TIER_REVALIDATED;
    policy->cache.tier_ns = 70 * PS_SECOND;
    assert_int_equal(ps_store_replica_horizon(world.replica, t), t - 70 * PS_SECOND);
    policy->cache.tier = PS_TIER_NONE;
    struct ps_view view;
    assert_int_equal(ps_store_replica_decide(world.replica, PS_LIT("a"), t, 0, &view), PS_OK);
    assert_int_equal(ps_store_replica_horizon(world.replica, t + PS_HOUR), view.at_ns);
    ps_store_replica_sweep(world.replica, view.at_ns + 60 * PS_SECOND - 1, 10);
    assert_int_equal(ps_store_replica_pins(world.replica), 1);
    ps_store_replica_sweep(world.replica, view.at_ns + 60 * PS_SECOND, 10);
    assert_int_equal(ps_store_replica_pins(world.replica), 0);
    assert_int_equal(ps_store_replica_horizon(world.replica, t + PS_HOUR), t + PS_HOUR);
    policy->kind = PS_POLICY_STRONG;
    assert_int_equal(ps_store_replica_horizon(world.replica, t), t);
    tear_down(&world);
}

/* With very many entries no call walks them all: cycles of sweeps find the oldest, and until one
 * has, nothing is given up. */
static void test_the_horizon_of_many_entries(void **state)
{
    (void)state;

    enum { MANY = 20000, STEP = 3000, CALLS = 2 * (MANY / STEP + 2) };
    static struct world world;
    set_up(&world, 1);
    struct ps_policy *policy = &world.store->policy;
    policy->kind = PS_POLICY_CACHE;
    policy->cache.ttl_ns = PS_DAY;
    policy->cache.negative = true;
    policy->cache.ahead_milli = 0;
    policy->cache.tier = PS_TIER_NONE;
    ps_time_ns t = 1000 * PS_SECOND;
    ps_time_ns oldest_ns = 0;
    for (unsigned i = 0; i < MANY; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "%u", i);
        struct ps_view view;
        assert_int_equal(ps_store_replica_decide(
                             world.replica, (struct ps_slice){key, (size_t)size}, t + i, 0, &view),
                         PS_OK);
        oldest_ns = i == 0 ? view.at_ns : oldest_ns;
    }
    ps_time_ns later_ns = t + PS_HOUR;
    ps_time_ns last_ns = 0;
    for (int i = 0; i < CALLS; i++) {
        ps_time_ns horizon_ns = ps_store_replica_horizon(world.replica, later_ns);
        assert_true(horizon_ns >= last_ns && horizon_ns <= oldest_ns);
        last_ns = horizon_ns;
        ps_store_replica_sweep(world.replica, later_ns, STEP);
    }
    assert_int_equal(last_ns, oldest_ns);
    /* All are over a day later, but for one that is read again; then the horizon goes on to that.
     */
    struct ps_view view;
    later_ns = t + 2 * PS_DAY;
    assert_int_equal(ps_store_replica_decide(world.replica, PS_LIT("7"), later_ns, 0, &view),
                     PS_OK);
    for (int i = 0; i < CALLS; i++) {
        ps_store_replica_sweep(world.replica, later_ns, STEP);
    }
    assert_int_equal(ps_store_replica_pins(world.replica), 1);
    assert_int_equal(ps_store_replica_horizon(world.replica, later_ns + PS_HOUR), view.at_ns);
    tear_down(&world);
}

/* An entry that was asked for with a short life is over; a write that it has seen and that is
 * acknowledged late must find it all the same. */
static void test_sweeping_changes_no_answer(void **state)
{
    (void)state;
    struct ps_view views[2];
    for (int swept = 0; swept < 2; swept++) {
        static struct world world;
        set_up(&world, 1);
        struct ps_policy *policy = &world.store->policy;
        policy->kind = PS_POLICY_CACHE;
        policy->cache.ttl_ns = 60 * PS_SECOND;
        policy->cache.ttl_min_ns = 30 * PS_SECOND;
        policy->cache.negative = policy->cache.own_writes = true;
        policy->cache.ahead_milli = 0;
        policy->cache.tier = PS_TIER_NONE;
        struct ps_slice key = PS_LIT("a");
        struct ps_view view;
        assert_int_equal(
            ps_store_replica_decide(world.replica, key, 100 * PS_SECOND, 30 * PS_SECOND, &view),
            PS_OK);
        ps_time_ns t = 140 * PS_SECOND;
        if (swept == 1) {
            ps_store_replica_sweep(world.replica, t, 10);
        }
        ps_store_replica_acknowledge(world.replica, key, 100 * PS_SECOND, t);
        assert_int_equal(
            ps_store_replica_decide(world.replica, key, t + PS_SECOND, 0, &views[swept]), PS_OK);
        tear_down(&world);
    }
    assert_int_equal(views[0].at_ns, views[1].at_ns);
    assert_int_equal(views[0].cache, views[1].cache);
}

/* An entry, read at half its life, so that a refresh is on its way from then on. */
static struct ps_view start_refresh(struct world *world, enum ps_tier tier)
{
    set_up(world, 1);
    struct ps_policy *policy = &world->store->policy;
    policy->kind = PS_POLICY_CACHE;
    policy->cache.ttl_ns = 60 * PS_SECOND;
    policy->cache.negative = policy->cache.own_writes = true;
    policy->cache.ahead_milli = 500;
    policy->cache.tier = tier;
    policy->cache.tier_ns = 90 * PS_SECOND;
    world->link.rtt_ns = world->link.tier_rtt_ns = 40 * PS_SECOND;
    ps_time_ns commit_ns = 100 * PS_SECOND;
    assert_true(ps_store_replica_acknowledge(world->replica, PS_LIT("a"), commit_ns, commit_ns));
    struct ps_view view;
    assert_int_equal(
        ps_store_replica_decide(world->replica, PS_LIT("a"), 150 * PS_SECOND, 0, &view), PS_OK);
    assert_int_equal(view.cache, PS_CACHE_REVALIDATE);
    return view;
}

static void test_a_refresh_on_its_way(void **state)
{
    (void)state;
    static struct world world;
    struct ps_view view = start_refresh(&world, PS_TIER_REVALIDATED);
    /* The region's cache is behind: what the refresh brings is older than the writer's own. */
    assert_int_equal(view.at_ns, 100 * PS_SECOND);
    assert_int_equal(ps_store_replica_horizon(world.replica, PS_HOUR), 80 * PS_SECOND);
    tear_down(&world);

    (void)start_refresh(&world, PS_TIER_NONE);
    /* The entry ended at 160 s; the refresh left at 150 s, read home at 170 s, and is here at 190.
     */
    ps_store_replica_sweep(world.replica, 165 * PS_SECOND, 10);
    assert_int_equal(ps_store_replica_pins(world.replica), 1);
    assert_int_equal(ps_store_replica_decide(world.replica, PS_LIT("a"), 200 * PS_SECOND, 0, &view),
                     PS_OK);
    assert_int_equal(view.cache, PS_CACHE_REVALIDATE);
    assert_int_equal(view.at_ns, 170 * PS_SECOND);
    tear_down(&world);

    /* Nobody reads again: the entry goes when what the refresh brought has had its life. */
    (void)start_refresh(&world, PS_TIER_NONE);
    ps_store_replica_sweep(world.replica, 230 * PS_SECOND - 1, 10);
    assert_int_equal(ps_store_replica_pins(world.replica), 1);
    ps_store_replica_sweep(world.replica, 230 * PS_SECOND, 10);
    assert_int_equal(ps_store_replica_pins(world.replica), 0);
    tear_down(&world);
}

static void test_the_sweep_keeps_to_its_budget(void **state)
{
    (void)state;

    enum { COUNT = 100 };

    static struct world world;
    set_up(&world, 1);
    world.store->policy.kind = PS_POLICY_CACHE;
    world.store->policy.cache.negative = true;
    world.store->policy.cache.ttl_ns = 60 * PS_SECOND;
    struct ps_view view;
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        assert_int_equal(ps_store_replica_decide(world.replica, ps_slice_of(key),
                                                 (ps_time_ns)(i + 1) * PS_SECOND, 0, &view),
                         PS_OK);
    }
    /* Nothing is over: a sweep of any size leaves all. */
    ps_store_replica_sweep(world.replica, PS_SECOND, SIZE_MAX);
    assert_int_equal(ps_store_replica_pins(world.replica), COUNT);
    for (size_t left = COUNT; left > 0; left -= 20) {
        assert_int_equal(ps_store_replica_pins(world.replica), left);
        ps_store_replica_sweep(world.replica, PS_HOUR, 20);
    }
    assert_int_equal(ps_store_replica_pins(world.replica), 0);
    tear_down(&world);
}

static void test_the_evaluation_clock_ascends(void **state)
{
    (void)state;
    struct ps_eval_clock clock = {0};
    assert_int_equal(ps_eval_clock_next(&clock, 10), 10);
    assert_int_equal(ps_eval_clock_next(&clock, 10), 11);
    assert_int_equal(ps_eval_clock_next(&clock, 5), 12);
    assert_int_equal(ps_eval_clock_next(&clock, 100), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_naive_recomputation),
        cmocka_unit_test(test_a_snapshot_taken_during_an_outage),
        cmocka_unit_test(test_a_snapshot_keeps_what_was_read_since_it_began),
        cmocka_unit_test(test_the_horizon_waits_for_arrivals),
        cmocka_unit_test(test_the_horizon_of_a_cache),
        cmocka_unit_test(test_the_horizon_of_many_entries),
        cmocka_unit_test(test_sweeping_changes_no_answer),
        cmocka_unit_test(test_a_refresh_on_its_way),
        cmocka_unit_test(test_the_sweep_keeps_to_its_budget),
        cmocka_unit_test(test_the_evaluation_clock_ascends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
