/* R2 in the virtual world: buckets are linearizable per key, their histories hold what verify
 * computes; faults fail what they must. */
#include "node/r2/cache.h"
#include "replication/base/memory.h"
#include "tests/support/draw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SWARM = 300 }; /* more by hand: PS_SWARM=20000 */

static void assert_verifies(const struct ps_history *history, const char *yaml)
{
    struct ps_verify_result result;
    struct ps_error err = {0};
    assert_int_equal(ps_verify(history, &result, &err), PS_OK);
    if (result.differences > 0) {
        fail_msg("%" PRIu64 " differences, the first: %s\n%s", result.differences, result.first,
                 yaml);
    }
}

/* ---- the swarm ---- */

static void draw_store(struct draw *draw, const char *name, size_t pops)
{
    ps_buf_printf(&draw->yaml, "  %s: {type: r2, home: %s, timeout: %s, write_interval: %s%s}\n",
                  name, codes[below(draw, pops)], PICK(draw, "300ms", "2s", "30s"),
                  PICK(draw, "0", "1s", "100ms"),
                  PICK(draw, "", ", public: {cache: default}", ", public: {cache: everything}"));
}

static void draw_workload(struct draw *draw, size_t number, size_t pops)
{
    static const char *const requests[] = {
        "r2.get: {store: %s, key: 'a/{uniform(1, 9)}'}",
        "r2.head: {store: %s, key: 'a/{zipf(9, 0.9)}'}",
        "r2.get: {store: %s, key: 'once', onlyIf: {etagDoesNotMatch: "
        "9dd4e461268c8034f5c8564e155c67a6}}",
        "r2.get: {store: %s, key: 'a/1', onlyIf: {uploadedAfter: 1767225620, secondsGranularity: "
        "true}}",
        "r2.list: {store: %s, prefix: '{uniform(1, 2)}', delimiter: /}",
        "r2.list: {store: %s, delimiter: /, limit: '4'}",
        "r2.list: {store: %s, prefix: a/}",
        "r2.put: {store: %s, key: 'a/{uniform(1, 9)}', value: 'v{seq}', httpMetadata: "
        "{cacheControl: 'max-age={uniform(1, 20)}'}}",
        "r2.put: {store: %s, key: 'a/{uniform(1, 9)}', size: '{uniform(1, 40000)}', "
        "customMetadata: {n: '{seq}'}}",
        "r2.put: {store: %s, key: '{uniform(1, 12)}/{uniform(1, 2)}', size: 3GiB}",
        "r2.put: {store: %s, key: once, value: x, onlyIf: {etagDoesNotMatch: '*'}}",
        "r2.put: {store: %s, key: once, value: '{seq}', onlyIf: {etagMatches: "
        "9dd4e461268c8034f5c8564e155c67a6}}",
        "r2.put: {store: %s, key: 'a/3', value: old, onlyIf: {uploadedBefore: 1767225630}}",
        "r2.delete: {store: %s, key: 'a/{uniform(1, 9)}'}",
        "r2.fetch: {store: %s, key: 'a/{uniform(1, 9)}'}",
        "r2.fetch: {store: %s, key: 'a/{uniform(1, 3)}'}",
        "r2.fetch: {store: %s, key: 'p/{uniform(1, 2)}.png'}",
        "r2.fetch: {store: %s, key: 'p/{uniform(1, 2)}.png'}",
        "r2.put: {store: %s, key: 'p/{uniform(1, 2)}.png', value: '{seq}', httpMetadata: "
        "{cacheControl: 'max-age=5, stale-if-error=30'}}",
        "r2.put: {store: %s, key: 'p/{uniform(1, 2)}.png', value: '{seq}', httpMetadata: "
        "{cacheExpiry: 1767225640}}",
        "r2.put: {store: %s, key: 'p/{uniform(1, 2)}.png', value: '{seq}', httpMetadata: "
        "{cacheControl: 'max-age=3, stale-while-revalidate=9'}}",
        "r2.delete: {store: %s, key: 'p/1.png'}",
        "r2.purge: {store: %s, key: 'p/{uniform(1, 2)}.png'}",
        "r2.purge: {store: %s, key: 'a/{uniform(1, 9)}'}",
        "r2.purge: {store: %s, everything: true}",
        "r2.delete: {store: %s, keys: [once, 'a/{uniform(1, 9)}', 'a/{uniform(1, 9)}', "
        "'{uniform(1, 12)}/1', never]}",
    };
    struct ps_buf *yaml = &draw->yaml;
    ps_buf_printf(yaml, "  - name: w%zu\n    pop: %s\n", number,
                  PICK(draw, "each", "any", codes[below(draw, pops)]));
    switch (below(draw, 3)) {
    case 0:
        ps_buf_printf(yaml, "    every: %s\n", PICK(draw, "200ms", "1s", "7s"));
        break;
    case 1:
        ps_buf_printf(yaml, "    rate: %s\n", PICK(draw, "9/s", "0.5"));
        break;
    default:
        ps_buf_printf(yaml, "    clients: 3\n    think: %s\n    count: 80\n",
                      PICK(draw, "10ms", "1s"));
        break;
    }
    ps_buf_append_text(yaml, "    mix:\n");
    for (size_t i = 1 + below(draw, 12); i > 0; i--) {
        const char *request = pick(draw, requests, sizeof requests / sizeof requests[0]);
        char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof text, request, PICK(draw, "A", "B"));
#pragma GCC diagnostic pop
        ps_buf_printf(yaml, "      - {weight: %" PRIu64 ", %s}\n", 1 + below(draw, 4), text);
    }
}

static void draw_scenario(struct draw *draw, uint64_t seed)
{
    draw->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("r2-swarm", NULL, NULL)};
    draw->yaml.size = 0;
    size_t pops = 2 + (size_t)below(draw, 5);
    ps_buf_printf(&draw->yaml,
                  "seed: %" PRIu64 "\nduration: 1m\ncluster:\n  latency: %s\n  pops: [", seed,
                  PICK(draw, "profile", "none", "{scale: 0.5}"));
    for (size_t i = 0; i < pops; i++) {
        ps_buf_printf(&draw->yaml, "%s%s", i > 0 ? ", " : "", codes[i]);
    }
    ps_buf_append_text(&draw->yaml, "]\nstores:\n");
    draw_store(draw, "A", pops);
    draw_store(draw, "B", pops);
    ps_buf_append_text(&draw->yaml, "workload:\n");
    for (size_t i = 1 + below(draw, 3); i > 0; i--) {
        draw_workload(draw, i, pops);
    }
    draw_faults(draw, pops);
}

/* A bucket is one object that all see alike: nothing is ever stale. */
static void assert_strong(const struct draw *draw, const struct ps_history *history)
{
    struct ps_measures *measures = measures_of(history);
    for (size_t s = 0; s < measures->store_count; s++) {
        const struct ps_store_measures *store = &measures->stores[s];
        for (int kind = 0; kind < PS_VIOLATION_KINDS; kind++) {
            if (store->violations[kind].count > 0) {
                fail_msg("%s: %s\n%s", ps_violation_name((enum ps_violation)kind),
                         store->violations[kind].text, draw->yaml.data);
            }
        }
        assert_int_equal(store->stale_reads, 0);
        /* Each version is seen at each PoP, sooner or later, or never. */
        const struct ps_store_measures *public = &measures->publics[s];
        assert_int_equal(public->visibility->count + public->never_visible,
                         store->visibility->count + store->never_visible);
    }
    ps_measures_destroy(measures);
}

/* What is written is what is read again. */
static void assert_reads_back(const struct ps_history *history)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&bytes, &size);
    char hash[65];
    char again[65];
    assert_int_equal(ps_history_write(history, file, hash, NULL), PS_OK);
    assert_int_equal(fclose(file), 0);
    if (size > 0) {
        struct ps_history *read = NULL;
        struct ps_error err = {0};
        if (ps_history_parse((struct ps_slice){bytes, size}, "h", &read, &err) != PS_OK) {
            fail_msg("%s", err.text);
        }
        hash_of(read, again);
        assert_string_equal(hash, again);
        assert_verifies(read, "read back");
        ps_history_destroy(read);
    }
    free(bytes);
}

struct tally {
    uint64_t operations;
    uint64_t made;     /* mutations that wrote */
    uint64_t declined; /* ... that were ok, and wrote nothing */
    uint64_t found;
    uint64_t cache[PS_R2_CACHE_STATES + 1]; /* by enum ps_r2_cache_state + 1 */
    uint64_t errors[256];
};

static void count(const struct ps_history *history, struct tally *tally)
{
    tally->operations += history->op_count;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        bool write = ps_op_is_write(op);
        tally->made += write && op->lsn != 0;
        tally->declined += write && op->error == PS_OK && op->lsn == 0;
        tally->found += op->found;
        tally->cache[op->cache]++;
        tally->errors[op->error]++;
    }
}

static void test_swarm(void **state)
{
    (void)state;
    struct draw draw = {0};
    struct tally tally = {0};
    const char *asked = getenv("PS_SWARM");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : SWARM;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        draw_scenario(&draw, seed);
        draw_cuts(&draw);
        struct ps_history *history = history_of(ps_buf_text(&draw.yaml));
        assert_verifies(history, ps_buf_text(&draw.yaml));
        assert_strong(&draw, history);
        if (seed % 10 == 0) {
            assert_reads_back(history);
        }
        count(history, &tally);
        ps_history_destroy(history);
    }
    assert_true(tally.operations > seeds * 100);
    assert_true(tally.made > seeds * 10);
    assert_true(tally.declined > seeds);
    assert_true(tally.found > seeds * 10);
    for (int kind = PS_R2_CACHE_DYNAMIC; kind < PS_R2_CACHE_STATES; kind++) {
        if (tally.cache[kind + 1] == 0) {
            fail_msg("nothing was %s", ps_r2_cache_state_name((enum ps_r2_cache_state)kind));
        }
    }
    assert_true(tally.errors[PS_RATE_LIMITED] > 0);
    assert_true(tally.errors[PS_UNREACHABLE] > 0);
    assert_true(tally.errors[PS_TIMEOUT] > 0);
    ps_buf_fini(&draw.yaml);
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct draw draw = {0};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        char first[65];
        char second[65];
        draw_scenario(&draw, seed);
        struct ps_history *history = history_of(ps_buf_text(&draw.yaml));
        hash_of(history, first);
        ps_history_destroy(history);
        history = history_of(ps_buf_text(&draw.yaml));
        hash_of(history, second);
        ps_history_destroy(history);
        assert_string_equal(first, second);
    }
    ps_buf_fini(&draw.yaml);
}

/* ---- single effects ---- */

#define HEAD                                                                                       \
    "duration: 1m\ncluster: {pops: [ams, syd]}\n"                                                  \
    "stores: {A: {type: r2, timeout: 2s, write_interval: 1s}}\nworkload:\n"

/* Who writes at one PoP is read at the other at once; a body may be larger than memory. */
static void test_read_after_write(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: w, at: 10s, pop: syd, r2.put: {store: A, key: k, size: 4GiB}}\n"
             "  - {name: r, at: [9s, 11s], pop: ams, r2.get: {store: A, key: k}}\n"
             "  - {name: h, at: 11s, pop: syd, r2.head: {store: A, key: k}}\n"
             "  - {name: d, at: 20s, pop: ams, r2.delete: {store: A, key: k}}\n"
             "  - {name: gone, at: 21s, pop: syd, r2.get: {store: A, key: k}}\n"
             "  - {name: again, at: 22s, pop: ams, r2.delete: {store: A, key: k}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *write = op_at(history, "w/syd", 10 * PS_SECOND);
    assert_false(op_at(history, "r.1/ams", 9 * PS_SECOND)->found);
    const struct ps_op *read = op_at(history, "r.2/ams", 11 * PS_SECOND);
    assert_true(read->found);
    assert_int_equal(read->digest, write->digest);
    assert_int_equal(read->etag, write->etag);
    const struct ps_op *head = op_at(history, "h/syd", 11 * PS_SECOND);
    assert_true(head->found && head->digest == 0 && head->etag == write->etag);
    assert_int_equal(head->complete_ns - head->invoke_ns, write->complete_ns - write->invoke_ns);
    const struct ps_op *gone = op_at(history, "gone/syd", 21 * PS_SECOND);
    assert_true(!gone->found && gone->lsn == 2 && gone->etag == 0);
    const struct ps_op *again = op_at(history, "again/ams", 22 * PS_SECOND);
    assert_int_equal(again->error, PS_OK);
    assert_int_equal(again->lsn, 0);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

/* One put a second per key: R2's 429 (10058). */
static void test_write_limit(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: w, at: [10s, 10500ms, 11001ms], pop: ams, r2.put: {store: A, key: k, "
             "value: v}}\n";
    struct ps_history *history = history_of(yaml);
    assert_int_equal(op_at(history, "w.1/ams", 10 * PS_SECOND)->error, PS_OK);
    const struct ps_op *second = op_at(history, "w.2/ams", 10500 * PS_MS);
    assert_int_equal(second->error, PS_RATE_LIMITED);
    assert_int_equal(second->http_status, 429);
    assert_int_equal(second->lsn, 0);
    assert_int_equal(op_at(history, "w.3/ams", 11001 * PS_MS)->lsn, 2);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

/* Of those who put a key that is not there, each at another PoP, one does. */
static void test_put_if_absent(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: w, at: 10s, pop: each, r2.put: {store: A, key: lock, value: '{pop}', "
             "onlyIf: {etagDoesNotMatch: '*'}}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *near = op_at(history, "w/ams", 10 * PS_SECOND);
    const struct ps_op *far = op_at(history, "w/syd", 10 * PS_SECOND);
    assert_int_equal(near->lsn, 1);
    assert_int_equal(far->error, PS_OK);
    assert_int_equal(far->lsn, 0);
    assert_int_equal(far->etag, 0);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

/* A delete of several keys is one record, and a version of each that was there. */
static void test_delete_of_several(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: w, at: 10s, pop: ams, r2.put: {store: A, key: a, value: v}}\n"
             "  - {name: x, at: 11s, pop: ams, r2.put: {store: A, key: b, value: v}}\n"
             "  - {name: d, at: 20s, pop: ams, r2.delete: {store: A, keys: [never, a, b, a]}}\n"
             "  - {name: r, at: 21s, pop: syd, mix: [{r2.get: {store: A, key: b}}]}\n"
             "  - {name: n, at: 21s, pop: syd, r2.get: {store: A, key: never}}\n"
             "  - {name: l, at: 22s, pop: syd, r2.list: {store: A}}\n";
    struct ps_history *history = history_of(yaml);
    assert_int_equal(op_at(history, "d/ams", 20 * PS_SECOND)->lsn, 3);
    assert_int_equal(op_at(history, "r/syd", 21 * PS_SECOND)->lsn, 3);
    assert_int_equal(op_at(history, "n/syd", 21 * PS_SECOND)->lsn, 0);
    assert_int_equal(op_at(history, "l/syd", 22 * PS_SECOND)->digest, ps_slice_hash(PS_LIT("")));
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    assert_int_equal(measures->stores[0].writes, 3);
    assert_int_equal(measures->stores[0].visibility->count, 2 * 4); /* two PoPs, four versions */
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* A cut link and a home that is down end reads and writes alike. */
static void test_home_is_away(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: cut, at: 15s, pop: syd, r2.get: {store: A, key: k}}\n"
             "  - {name: put, at: 15s, pop: syd, r2.put: {store: A, key: k, value: v}}\n"
             "  - {name: down, at: 31s, pop: syd, r2.head: {store: A, key: k}}\n"
             "  - {name: waits, at: 39s, pop: syd, r2.put: {store: A, key: k, value: v}}\n"
             "faults:\n  - {at: 14s, for: 4s, partition: {pop: syd}}\n"
             "  - {at: 30s, for: 10s, crash: {pop: ams}}\n";
    struct ps_history *history = history_of(yaml);
    assert_int_equal(op_at(history, "cut/syd", 15 * PS_SECOND)->error, PS_UNREACHABLE);
    assert_int_equal(op_at(history, "put/syd", 15 * PS_SECOND)->error, PS_UNREACHABLE);
    assert_int_equal(op_at(history, "down/syd", 31 * PS_SECOND)->error, PS_TIMEOUT);
    const struct ps_op *waits = op_at(history, "waits/syd", 39 * PS_SECOND);
    assert_int_equal(waits->error, PS_OK);
    assert_int_equal(waits->eval_ns, 40 * PS_SECOND + 1);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

static const struct ps_op *fetch_at(const struct ps_history *history, const char *session,
                                    ps_time_ns at_ns, enum ps_r2_cache_state state, uint64_t lsn)
{
    const struct ps_op *op = op_at(history, session, at_ns);
    assert_int_equal(op->error, PS_OK);
    assert_int_equal(op->lsn, lsn);
    assert_string_equal(ps_r2_cache_state_name((enum ps_r2_cache_state)(op->cache - 1)),
                        ps_r2_cache_state_name(state));
    return op;
}

/* What the URL gives is as old as the PoP's cache; a purge ends it, everywhere. */
static void test_public_url(void **state)
{
    (void)state;
    static const char yaml[] = HEAD
        "  - {name: w, at: [10s, 20s], pop: ams, r2.put: {store: A, key: a.png, value: v, "
        "httpMetadata: {cacheControl: max-age=30}}}\n"
        "  - {name: f, at: [11s, 12s, 21s, 29s, 31s, 59s], pop: syd, r2.fetch: {store: A, key: "
        "a.png}}\n"
        "  - {name: home, at: [12s, 21s], pop: ams, r2.fetch: {store: A, key: a.png}}\n"
        "  - {name: g, at: 21s, pop: syd, r2.get: {store: A, key: a.png}}\n"
        "  - {name: p, at: 30s, pop: ams, r2.purge: {store: A, key: a.png}}\n"
        "  - {name: j, at: [11s, 21s], pop: syd, r2.fetch: {store: A, key: a.json}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *miss = fetch_at(history, "f.1/syd", 11 * PS_SECOND, PS_R2_CACHE_MISS, 1);
    assert_true(miss->complete_ns - miss->eval_ns > 100 * PS_MS);
    const struct ps_op *hit = fetch_at(history, "f.2/syd", 12 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    assert_int_equal(hit->complete_ns, hit->eval_ns);
    (void)fetch_at(history, "f.3/syd", 21 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    (void)fetch_at(history, "home.2/ams", 21 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    assert_int_equal(op_at(history, "g/syd", 21 * PS_SECOND)->lsn, 2);
    (void)fetch_at(history, "f.4/syd", 29 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    (void)fetch_at(history, "f.5/syd", 31 * PS_SECOND, PS_R2_CACHE_MISS, 2);
    (void)fetch_at(history, "f.6/syd", 59 * PS_SECOND, PS_R2_CACHE_HIT, 2);
    (void)fetch_at(history, "j.2/syd", 21 * PS_SECOND, PS_R2_CACHE_DYNAMIC, 0);
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    const struct ps_store_measures *public = &measures->publics[0];
    assert_int_equal(public->reads, 10);
    assert_int_equal(public->stale_reads, 3);
    assert_int_equal(public->purges, 1);
    assert_int_equal(public->fetches, 5); /* all but the hits */
    assert_int_equal(measures->stores[0].reads, 1);
    assert_int_equal(measures->stores[0].writes, 2);
    /* The second version: until the purge, which takes 150 ms to be seen. */
    assert_in_range(public->visibility_by_pop[1]->max, 10 * PS_SECOND + 149 * PS_MS,
                    10 * PS_SECOND + 151 * PS_MS);
    assert_int_equal(public->violations[PS_VIOLATION_READ_YOUR_WRITES].count, 0);
    assert_int_equal(public->violations[PS_VIOLATION_LINEARIZABLE].count, 3);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* What is out of date is given once more while home is asked: the one after it finds the answer. */
static void test_public_updating(void **state)
{
    (void)state;
    static const char yaml[] = HEAD
        "  - {name: w, at: [10s, 20s], pop: ams, r2.put: {store: A, key: a.png, value: 'v{seq}', "
        "httpMetadata: {cacheControl: 'max-age=5, stale-while-revalidate=20'}}}\n"
        "  - {name: f, at: [11s, 15s, 25s, 25010ms, 26s, 55s], pop: syd, r2.fetch: {store: A, key: "
        "a.png}}\n";
    struct ps_history *history = history_of(yaml);
    (void)fetch_at(history, "f.1/syd", 11 * PS_SECOND, PS_R2_CACHE_MISS, 1);
    (void)fetch_at(history, "f.2/syd", 15 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    const struct ps_op *first =
        fetch_at(history, "f.3/syd", 25 * PS_SECOND, PS_R2_CACHE_UPDATING, 1);
    assert_int_equal(first->complete_ns, first->eval_ns); /* it waits for nothing */
    (void)fetch_at(history, "f.4/syd", 25010 * PS_MS, PS_R2_CACHE_UPDATING, 1);
    (void)fetch_at(history, "f.5/syd", 26 * PS_SECOND, PS_R2_CACHE_HIT, 2);
    (void)fetch_at(history, "f.6/syd", 55 * PS_SECOND, PS_R2_CACHE_REVALIDATED, 2);
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    assert_int_equal(measures->publics[0].stale_reads, 2);
    assert_int_equal(measures->publics[0].fetches, 3); /* the first, one behind a read, the last */
    /* The second version: until the fetch behind the read at 25 s comes back. */
    assert_in_range(measures->publics[0].visibility_by_pop[1]->max, 5 * PS_SECOND,
                    5 * PS_SECOND + 500 * PS_MS);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* A 404 is kept as well, also when the object has come. */
static void test_public_404(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: f, at: [10s, 20s], pop: syd, r2.fetch: {store: A, key: a.png}}\n"
             "  - {name: w, at: 15s, pop: ams, r2.put: {store: A, key: a.png, value: v}}\n"
             "  - {name: d, at: 21s, pop: ams, r2.delete: {store: A, key: a.png}}\n"
             "  - {name: e, at: 22s, pop: syd, r2.purge: {store: A, everything: true}}\n"
             "  - {name: g, at: [23s, 25s], pop: syd, r2.fetch: {store: A, key: a.png}}\n";
    struct ps_history *history = history_of(yaml);
    (void)fetch_at(history, "f.1/syd", 10 * PS_SECOND, PS_R2_CACHE_MISS, 0);
    assert_false(fetch_at(history, "f.2/syd", 20 * PS_SECOND, PS_R2_CACHE_HIT, 0)->found);
    /* It tells which deletion it is of: it is not stale. */
    (void)fetch_at(history, "g.1/syd", 23 * PS_SECOND, PS_R2_CACHE_MISS, 2);
    (void)fetch_at(history, "g.2/syd", 25 * PS_SECOND, PS_R2_CACHE_HIT, 2);
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    assert_int_equal(measures->publics[0].stale_reads, 1);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* A PoP that starts again has an empty cache. */
static void test_public_crash(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "  - {name: w, at: [10s, 15s], pop: ams, r2.put: {store: A, key: a.png, value: v}}\n"
             "  - {name: f, at: [11s, 16s, 30s], pop: syd, r2.fetch: {store: A, key: a.png}}\n"
             "faults: [{at: 20s, for: 5s, crash: {pop: syd}}]\n";
    struct ps_history *history = history_of(yaml);
    (void)fetch_at(history, "f.1/syd", 11 * PS_SECOND, PS_R2_CACHE_MISS, 1);
    (void)fetch_at(history, "f.2/syd", 16 * PS_SECOND, PS_R2_CACHE_HIT, 1);
    (void)fetch_at(history, "f.3/syd", 30 * PS_SECOND, PS_R2_CACHE_MISS, 2);
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    assert_in_range(measures->publics[0].visibility_by_pop[1]->max, 4990 * PS_MS, 5010 * PS_MS);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swarm),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_read_after_write),
        cmocka_unit_test(test_write_limit),
        cmocka_unit_test(test_put_if_absent),
        cmocka_unit_test(test_delete_of_several),
        cmocka_unit_test(test_home_is_away),
        cmocka_unit_test(test_public_url),
        cmocka_unit_test(test_public_updating),
        cmocka_unit_test(test_public_404),
        cmocka_unit_test(test_public_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
