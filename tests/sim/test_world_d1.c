/* D1 in the virtual world: its histories hold what verify computes, answers included; sessions do
 * what they promise; faults fail what they must. */
#include "replication/base/memory.h"
#include "tests/support/draw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SWARM = 150 }; /* more by hand: PS_SWARM=20000 */

/* Every answer is made again, and is the same. */
static void assert_verifies(const struct ps_history *history, const char *yaml)
{
    struct ps_verify_result result;
    struct ps_error err = {0};
    assert_int_equal(ps_verify(history, &result, &err), PS_OK);
    if (result.differences > 0 || result.answers_skipped > 0) {
        fail_msg("%" PRIu64 " differences, %" PRIu64 " answers skipped, the first: %s\n%s",
                 result.differences, result.answers_skipped, result.first, yaml);
    }
    uint64_t answered = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        answered +=
            ps_op_is_d1(op) && op->eval_ns != 0 && (op->error == PS_OK || op->error == PS_INVALID);
    }
    assert_int_equal(result.answers, answered);
}

/* ---- the swarm ---- */

static void draw_store(struct draw *draw, const char *name, size_t pops)
{
    ps_buf_printf(&draw->yaml,
                  "  %s: {type: d1, home: %s, timeout: %s, delay: %s, schema_sql: \"CREATE TABLE t "
                  "(id INTEGER PRIMARY KEY, k TEXT UNIQUE, v); CREATE INDEX i ON t (v)\"}\n",
                  name, codes[below(draw, pops)], PICK(draw, "300ms", "2s", "30s"),
                  PICK(draw, "0", "2s", "{uniform: [0s, 10s]}",
                       "{lognormal: {p50: 100ms, p99: 1s}}",
                       "{pareto: {scale: 100ms, shape: 1.2}, max: 40s}"));
}

static const char *session(struct draw *draw)
{
    static const char *const all[] = {"", ", withSession: first-primary",
                                      ", withSession: first-unconstrained",
                                      ", withSession: bookmark", ", withSession: bookmark-primary"};
    return draw->session != NULL ? draw->session : pick(draw, all, 5);
}

static void draw_workload(struct draw *draw, size_t number, size_t pops)
{
    static const char *const requests[] = {
        "d1.query: {store: %s, sql: 'SELECT count(*), max(id), group_concat(v) FROM t'%s}",
        "d1.query: {store: %s, sql: 'SELECT * FROM t WHERE k = ?', params: ['k{zipf(20, 0.9)}']%s}",
        "d1.query: {store: %s, sql: \"SELECT random(), datetime('now'), hex(randomblob(4)), "
        "count(*) "
        "FROM t\"%s}",
        "d1.query: {store: %s, sql: 'INSERT INTO t (k, v) VALUES (?, ?) RETURNING id', params: "
        "['k{uniform(1, 50)}', {number: '{seq}'}]%s}",
        "d1.query: {store: %s, sql: 'INSERT INTO t (k, v) VALUES (?, random()) ON CONFLICT DO "
        "UPDATE "
        "SET v = excluded.v', params: ['{uuid}']%s}",
        "d1.query: {store: %s, sql: 'UPDATE t SET v = v + 1 WHERE id = ?', params: [{number: "
        "'{uniform(1, 100)}'}]%s}",
        "d1.query: {store: %s, sql: 'DELETE FROM t WHERE id %% 7 = ?', params: [{number: "
        "'{uniform(0, 6)}'}]%s}",
        "d1.query: {store: %s, sql: 'SELECT nothing FROM t'%s}",
        "d1.query: {store: %s, sql: 'CREATE TABLE IF NOT EXISTS u{uniform(1, 9)} (a)'%s}",
        "d1.query: {store: %s, sql: 'SELECT name FROM sqlite_master ORDER BY name'%s}",
        "d1.batch: {store: %s, statements: [{sql: \"INSERT INTO t (k, v) VALUES ('{uuid}', "
        "unixepoch())\"}, {sql: 'SELECT max(id) FROM t'}]%s}",
        "d1.batch: {store: %s, statements: [{sql: 'SELECT 1'}, {sql: 'SELECT count(*) FROM t'}]%s}",
    };
    struct ps_buf *yaml = &draw->yaml;
    ps_buf_printf(yaml, "  - name: w%zu\n    pop: %s\n", number,
                  PICK(draw, "each", "any", codes[below(draw, pops)]));
    switch (below(draw, 3)) {
    case 0:
        ps_buf_printf(yaml, "    every: %s\n", PICK(draw, "500ms", "1s", "7s"));
        break;
    case 1:
        ps_buf_printf(yaml, "    rate: %s\n", PICK(draw, "3/s", "0.5"));
        break;
    default:
        ps_buf_printf(yaml, "    clients: 3\n    think: %s\n    count: 50\n",
                      PICK(draw, "10ms", "1s"));
        break;
    }
    ps_buf_append_text(yaml, "    mix:\n");
    for (size_t i = 1 + below(draw, 6); i > 0; i--) {
        const char *request = pick(draw, requests, sizeof requests / sizeof requests[0]);
        const char *store = PICK(draw, "A", "B");
        char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof text, request, store, session(draw));
#pragma GCC diagnostic pop
        ps_buf_printf(yaml, "      - {weight: %" PRIu64 ", %s}\n", 1 + below(draw, 4), text);
    }
}

static void draw_scenario(struct draw *draw, uint64_t seed)
{
    draw->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("d1-swarm", NULL, NULL)};
    draw->yaml.size = 0;
    size_t pops = 2 + (size_t)below(draw, 5);
    draw->session = PICK(draw, NULL, NULL, ", withSession: bookmark");
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

/* A client that carries its bookmark sees what it wrote, and never goes back. */
static void assert_keeps_promises(const struct draw *draw, const struct ps_history *history)
{
    struct ps_measures *measures = measures_of(history);
    for (size_t s = 0; s < measures->store_count && draw->session != NULL; s++) {
        const struct ps_violations *violations = measures->stores[s].violations;
        for (int kind = 0; kind < PS_VIOLATION_LINEARIZABLE; kind++) {
            if (violations[kind].count > 0) {
                fail_msg("%s: %s\n%s", ps_violation_name((enum ps_violation)kind),
                         violations[kind].text, draw->yaml.data);
            }
        }
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
        ps_history_destroy(read);
    }
    free(bytes);
}

static void test_swarm(void **state)
{
    (void)state;
    struct draw draw = {0};
    uint64_t operations = 0;
    uint64_t writes = 0;
    uint64_t errors[256] = {0};
    const char *asked = getenv("PS_SWARM");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : SWARM;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        draw_scenario(&draw, seed);
        draw_cuts(&draw);
        struct ps_history *history = history_of(ps_buf_text(&draw.yaml));
        assert_verifies(history, ps_buf_text(&draw.yaml));
        assert_keeps_promises(&draw, history);
        if (seed % 10 == 0) {
            assert_reads_back(history);
        }
        operations += history->op_count;
        for (size_t i = 0; i < history->op_count; i++) {
            writes += history->ops[i].wrote;
            errors[history->ops[i].error]++;
        }
        ps_history_destroy(history);
    }
    assert_true(operations > seeds * 100);
    assert_true(writes > seeds * 10);
    assert_true(errors[PS_INVALID] > 0);
    assert_true(errors[PS_UNREACHABLE] > 0);
    assert_true(errors[PS_TIMEOUT] > 0);
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

/* As test_world's: these bytes change only with a reason in the changelog. */
static void test_golden_history(void **state)
{
    (void)state;
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    assert_int_equal(ps_scenario_load(PS_SOURCE_DIR "/scenarios/d1-late-migration.yaml", NULL, 0,
                                      &scenario, &err),
                     PS_OK);
    struct ps_history *history = NULL;
    assert_int_equal(ps_world_run(scenario, NULL, &history, &err), PS_OK);
    char hash[65];
    hash_of(history, hash);
    assert_string_equal(hash, "31ab8fa68127cdad67448eabf71895dccd4b61cd6b23e0540d3e4e7f9eceff77");
    assert_verifies(history, "");
    ps_history_destroy(history);
    ps_scenario_destroy(scenario);
}

/* ---- single effects ---- */

#define HEAD(more)                                                                                 \
    "duration: 1m\ncluster: {pops: [ams, syd]}\nstores:\n"                                         \
    "  DB: {type: d1, delay: 5s, timeout: 2s, schema_sql: CREATE TABLE t (a)" more "}\n"           \
    "workload:\n"
#define INSERT "d1.query: {store: DB, sql: INSERT INTO t VALUES (1)"
#define COUNT "d1.query: {store: DB, sql: SELECT count(*) FROM t"

/* Where each session is run, and what it reads. */
static void test_sessions(void **state)
{
    (void)state;
    static const char yaml[] = HEAD(
        "") "  - {name: w, at: 10s, pop: syd, " INSERT "}}\n"
            "  - {name: none, at: 11s, pop: syd, " COUNT "}}\n"
            "  - {name: primary, at: 11s, pop: syd, " COUNT ", withSession: first-primary}}\n"
            "  - {name: any, at: 11s, pop: syd, " COUNT ", withSession: first-unconstrained}}\n"
            "  - {name: late, at: 17s, pop: syd, " COUNT ", withSession: first-unconstrained}}\n"
            "  - {name: home, at: 11s, pop: ams, " COUNT ", withSession: first-unconstrained}}\n"
            "  - {name: turns, at: 20s, pop: syd, " INSERT ", withSession: first-unconstrained}}\n"
            "  - {name: nothing, at: 30s, pop: syd, d1.query: {store: DB, sql: UPDATE t SET a = 2 "
            "WHERE "
            "a = 7, withSession: first-unconstrained}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *write = op_at(history, "w/syd", 10 * PS_SECOND);
    assert_true(write->wrote && write->at_home);
    assert_int_equal(write->lsn, 2);

    static const struct {
        const char *session;
        uint64_t lsn;
        bool at_home;
    } expected[] = {{"none/syd", 2, true},
                    {"primary/syd", 2, true},
                    {"any/syd", 1, false},
                    {"late/syd", 2, false},
                    {"home/ams", 2, true}};

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct ps_op *op =
            op_at(history, expected[i].session, (i == 3 ? 17 : 11) * PS_SECOND);
        assert_int_equal(op->lsn, expected[i].lsn);
        assert_int_equal(op->at_home, expected[i].at_home);
        assert_false(op->wrote);
    }
    /* The way to home takes its time, the replica's answer none. */
    ps_dur_ns way_ns = write->complete_ns - write->invoke_ns;
    const struct ps_op *none = op_at(history, "none/syd", 11 * PS_SECOND);
    assert_true(way_ns > 100 * PS_MS);
    assert_int_equal(none->complete_ns - none->invoke_ns, way_ns);
    const struct ps_op *any = op_at(history, "any/syd", 11 * PS_SECOND);
    assert_int_equal(any->complete_ns, any->eval_ns);
    assert_true(any->eval_ns < 11 * PS_SECOND + 10);
    /* What writes is sent to home; what would, and found nothing, is a read there. */
    const struct ps_op *turns = op_at(history, "turns/syd", 20 * PS_SECOND);
    assert_true(turns->wrote && turns->at_home);
    assert_int_equal(turns->lsn, 3);
    const struct ps_op *nothing = op_at(history, "nothing/syd", 30 * PS_SECOND);
    assert_true(!nothing->wrote && nothing->at_home);
    assert_int_equal(nothing->lsn, 3);
    assert_verifies(history, yaml);
    struct ps_measures *measures = measures_of(history);
    assert_int_equal(measures->stores[0].writes, 2);
    assert_int_equal(measures->stores[0].reads, 6);
    assert_int_equal(measures->stores[0].stale_reads, 1);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* A live PoP takes a moment to send a request on, in which its link may be healed. */
static void test_asked_before_the_link_was_healed(void **state)
{
    (void)state;
    static const char yaml[] = HEAD("") "  - {name: w, at: 5s, pop: ams, " INSERT "}}\n"
                                        "  - {name: none, at: 21s, pop: syd, " COUNT "}}\n"
                                        "faults: [{at: 10s, for: 10s, partition: {pop: syd}}]\n";
    struct ps_history *history = history_of(yaml);
    struct ps_op *op = (struct ps_op *)(uintptr_t)op_at(history, "none/syd", 21 * PS_SECOND);
    assert_verifies(history, yaml);
    op->invoke_ns = 20 * PS_SECOND - PS_MS;
    struct ps_verify_result result;
    assert_int_equal(ps_verify(history, &result, NULL), PS_OK);
    assert_int_equal(result.differences, 1); /* a virtual one takes none */
    history->live = true;
    assert_verifies(history, yaml);
    op->invoke_ns = 15 * PS_SECOND;
    op->eval_ns = 16 * PS_SECOND;
    assert_int_equal(ps_verify(history, &result, NULL), PS_OK);
    assert_int_equal(result.differences, 1);
    assert_non_null(strstr(result.first, "the link was cut"));
    ps_history_destroy(history);
}

/* The client waits for what it wrote, up to the time limit; what it writes next does not wait. */
static void test_a_bookmark_waits(void **state)
{
    (void)state;
#define CLIENT(what, timeout)                                                                      \
    "duration: 1m\ncluster: {pops: [ams, syd]}\nstores:\n"                                         \
    "  DB: {type: d1, delay: 5s, timeout: " timeout ", schema_sql: CREATE TABLE t (a)}\n"          \
    "workload:\n  - {name: c, clients: 1, think: 1s, from: 10s, count: 2, pop: syd, " what         \
    ", withSession: bookmark}}\n"

    struct ps_history *history = history_of(CLIENT(INSERT, "30s"));
    assert_int_equal(history->op_count, 2); /* a write behind a write */
    assert_true(history->ops[1].with_session == PS_D1_SESSION_BOOKMARK);
    assert_int_equal(history->ops[1].bookmark_lsn, 2);
    assert_true(history->ops[1].complete_ns - history->ops[1].invoke_ns < PS_SECOND);
    assert_verifies(history, "insert");
    ps_history_destroy(history);

    static const char mixed[] =
        "seed: 3\nduration: 1m\ncluster: {pops: [ams, syd]}\nstores:\n"
        "  DB: {type: d1, delay: 5s, timeout: %s, schema_sql: CREATE TABLE t (a)}\n"
        "workload:\n  - name: c\n    clients: 1\n    think: 1s\n    from: 10s\n    pop: syd\n"
        "    mix: [{" INSERT ", withSession: bookmark}}, {" COUNT ", withSession: bookmark}}]\n";
    for (int limit = 0; limit < 2; limit++) {
        char yaml[sizeof mixed + 8];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(yaml, sizeof yaml, mixed, limit == 0 ? "30s" : "2s");
#pragma GCC diagnostic pop
        history = history_of(yaml);
        uint64_t waited = 0;
        uint64_t in_vain = 0;
        for (size_t i = 0; i < history->op_count; i++) {
            const struct ps_op *op = &history->ops[i];
            ps_dur_ns took_ns = op->complete_ns - op->invoke_ns;
            waited += op->error == PS_OK && !op->at_home && took_ns > PS_SECOND;
            if (op->error == PS_TIMEOUT) {
                in_vain++;
                assert_int_equal(took_ns, 2 * PS_SECOND);
                assert_int_equal(op->lsn, 0);
            }
        }
        assert_true(limit == 0 ? waited > 0 && in_vain == 0 : in_vain > 0);
        assert_verifies(history, yaml);
        ps_history_destroy(history);
    }
}

/* A migration is seen late: until it has come, the replica knows no such table. */
static void test_a_schema_comes_late(void **state)
{
    (void)state;
    static const char yaml[] = HEAD(
        "") "  - {name: m, at: 20s, pop: ams, d1.query: {store: DB, sql: ALTER TABLE t ADD COLUMN "
            "b}}\n"
            "  - {name: r, at: [1s, 10s, 22s, 26s], pop: syd, d1.query: {store: DB, sql: SELECT a "
            "FROM t, "
            "withSession: first-unconstrained}}\n"
            "  - {name: b, at: [22s, 26s], pop: syd, d1.query: {store: DB, sql: SELECT b FROM t, "
            "withSession: first-unconstrained}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *early = op_at(history, "r.1/syd", 1 * PS_SECOND);
    assert_int_equal(early->error, PS_INVALID); /* no such table */
    assert_int_equal(early->lsn, 0);
    assert_int_equal(op_at(history, "r.2/syd", 10 * PS_SECOND)->error, PS_OK);
    assert_int_equal(op_at(history, "r.3/syd", 22 * PS_SECOND)->error, PS_OK);
    assert_int_equal(op_at(history, "b.1/syd", 22 * PS_SECOND)->error, PS_INVALID);
    assert_int_equal(op_at(history, "b.2/syd", 26 * PS_SECOND)->error, PS_OK);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

static void test_a_cut_link_and_home_down(void **state)
{
    (void)state;
    static const char yaml[] = HEAD("") "  - {name: cut, at: 15s, pop: syd, " INSERT "}}\n"
                                        "  - {name: here, at: 15s, pop: syd, " COUNT
                                        ", withSession: first-unconstrained}}\n"
                                        "  - {name: down, at: 31s, pop: syd, " INSERT "}}\n"
                                        "  - {name: waits, at: 39s, pop: syd, " INSERT "}}\n"
                                        "  - {name: lost, at: 49900ms, pop: syd, " INSERT "}}\n"
                                        "faults:\n  - {at: 14s, for: 4s, partition: {pop: syd}}\n"
                                        "  - {at: 30s, for: 10s, crash: {pop: ams}}\n"
                                        "  - {at: 50050ms, for: 2s, crash: {pop: syd}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *cut = op_at(history, "cut/syd", 15 * PS_SECOND);
    assert_int_equal(cut->error, PS_UNREACHABLE);
    assert_int_equal(cut->eval_ns, 0);
    assert_int_equal(op_at(history, "here/syd", 15 * PS_SECOND)->error, PS_OK);
    const struct ps_op *down = op_at(history, "down/syd", 31 * PS_SECOND);
    assert_int_equal(down->error, PS_TIMEOUT);
    assert_int_equal(down->complete_ns, 33 * PS_SECOND);
    const struct ps_op *waits = op_at(history, "waits/syd", 39 * PS_SECOND);
    assert_int_equal(waits->error, PS_OK);
    assert_int_equal(waits->eval_ns, 40 * PS_SECOND + 1);
    /* It was committed, and its client's PoP went down before the answer was there. */
    const struct ps_op *lost = op_at(history, "lost/syd", 49900 * PS_MS);
    assert_int_equal(lost->error, PS_UNREACHABLE);
    assert_true(lost->wrote);
    assert_int_equal(lost->lsn, 3);
    struct ps_verify_result result;
    assert_int_equal(ps_verify(history, &result, NULL), PS_OK);
    if (result.differences > 0) {
        fail_msg("%s", result.first);
    }
    ps_history_destroy(history);
}

/* What only reads is tried twice more, each time when the try before it has failed. */
static void test_reads_are_tried_again(void **state)
{
    (void)state;
    static const char yaml[] = HEAD("") "  - {name: healed, at: 15s, pop: syd, " COUNT "}}\n"
                                        "  - {name: cut, at: 21s, pop: syd, " COUNT "}}\n"
                                        "  - {name: down, at: 33s, pop: syd, " COUNT "}}\n"
                                        "  - {name: waits, at: 36500ms, pop: syd, " COUNT "}}\n"
                                        "  - {name: gone, at: 46s, pop: syd, " COUNT "}}\n"
                                        "faults:\n  - {at: 14s, for: 4s, partition: {pop: syd}}\n"
                                        "  - {at: 20s, for: 9s, partition: {pop: syd}}\n"
                                        "  - {at: 30s, for: 10s, crash: {pop: ams}}\n"
                                        "  - {at: 45s, for: 9s, partition: {pop: syd}}\n"
                                        "  - {at: 47s, for: 1s, crash: {pop: syd}}\n";
    struct ps_history *history = history_of(yaml);
    const struct ps_op *healed = op_at(history, "healed/syd", 15 * PS_SECOND);
    assert_int_equal(healed->error, PS_OK);
    assert_true(healed->at_home && healed->eval_ns > 19 * PS_SECOND); /* by its third try */
    assert_true(healed->complete_ns < 20 * PS_SECOND);
    const struct ps_op *cut = op_at(history, "cut/syd", 21 * PS_SECOND);
    assert_int_equal(cut->error, PS_UNREACHABLE);
    assert_int_equal(cut->complete_ns, 27 * PS_SECOND);
    assert_int_equal(cut->eval_ns, 0);
    const struct ps_op *down = op_at(history, "down/syd", 33 * PS_SECOND);
    assert_int_equal(down->error, PS_TIMEOUT);
    assert_int_equal(down->complete_ns, 39 * PS_SECOND);
    const struct ps_op *waits = op_at(history, "waits/syd", 36500 * PS_MS);
    assert_int_equal(waits->error, PS_OK);
    assert_int_equal(waits->eval_ns, 40 * PS_SECOND);
    const struct ps_op *gone = op_at(history, "gone/syd", 46 * PS_SECOND);
    assert_int_equal(gone->error, PS_UNREACHABLE); /* with its PoP */
    assert_int_equal(gone->complete_ns, 47 * PS_SECOND);
    assert_verifies(history, yaml);

    struct ps_op *forged = (struct ps_op *)(uintptr_t)cut; /* no try of it came to home */
    forged->error = PS_OK;
    forged->at_home = true;
    forged->lsn = healed->lsn;
    forged->digest = healed->digest;
    forged->eval_ns = 26 * PS_SECOND;
    forged->run_ns = 26 * PS_SECOND;
    struct ps_verify_result result;
    assert_int_equal(ps_verify(history, &result, NULL), PS_OK);
    assert_non_null(strstr(result.first, "home could not be reached"));
    ps_history_destroy(history);
}

static void test_a_wrong_schema(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        scenario_of("duration: 1m\ncluster: {pops: [ams]}\n"
                    "stores: {DB: {type: d1, schema_sql: CREATE TABEL t (a)}}\n"
                    "workload: [{at: 1s, pop: ams, " COUNT "}}]\n");
    struct ps_history *history = NULL;
    struct ps_error err = {0};
    assert_int_equal(ps_world_run(scenario, NULL, &history, &err), PS_INVALID);
    assert_string_equal(
        err.text, "scenario: the schema of store DB: near \"TABEL\": syntax error at offset 7: "
                  "SQLITE_ERROR");
    ps_scenario_destroy(scenario);
}

/* A database's home shows each write at once; a replica when its record has come. */
static void test_visibility(void **state)
{
    (void)state;
    struct ps_history *history =
        history_of(HEAD("") "  - {name: w, every: 1s, from: 10s, pop: ams, " INSERT "}}\n");
    struct ps_measures *measures = measures_of(history);
    const struct ps_store_measures *store = &measures->stores[0];
    assert_int_equal(store->writes, 50);
    assert_int_equal(store->visibility_by_pop[0]->max, 0);
    assert_int_equal(store->visibility_by_pop[1]->min, 5 * PS_SECOND);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
}

/* Old pages are let go in a long run, and not while a replica may still show them: one that is cut
 * off shows the state of before. */
static void test_pages_are_let_go(void **state)
{
    (void)state;
    static const char yaml[] =
        "duration: 3m\ncluster: {pops: [ams, fra, syd]}\nstores:\n"
        "  DB: {type: d1, delay: {uniform: [0s, 5s]}, schema_sql: CREATE TABLE t (a)}\n"
        "workload:\n"
        "  - {name: w, every: 40ms, from: 10s, pop: ams, " INSERT "}}\n"
        "  - {name: r, every: 500ms, from: 10s, pop: each, " COUNT
        ", withSession: first-unconstrained}}\n"
        "faults:\n  - {at: 20s, for: 130s, partition: {pop: syd}}\n";
    struct ps_history *history = history_of(yaml);
    assert_true(history->op_count > 4000);
    const struct ps_op *cut = op_at(history, "r/syd", 149 * PS_SECOND);
    assert_int_equal(cut->error, PS_OK);
    assert_true(cut->lsn < 260);
    const struct ps_op *healed = op_at(history, "r/syd", 170 * PS_SECOND);
    assert_true(healed->lsn > 3000);
    assert_verifies(history, yaml);
    ps_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swarm),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_golden_history),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_a_bookmark_waits),
        cmocka_unit_test(test_asked_before_the_link_was_healed),
        cmocka_unit_test(test_a_schema_comes_late),
        cmocka_unit_test(test_a_cut_link_and_home_down),
        cmocka_unit_test(test_reads_are_tried_again),
        cmocka_unit_test(test_a_wrong_schema),
        cmocka_unit_test(test_visibility),
        cmocka_unit_test(test_pages_are_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
