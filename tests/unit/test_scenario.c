/* Right scenario files: what the reader makes of them. */
#include "sim/scenario/scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "duration: 60s\ncluster: {home: fra, pops: [ams, fra, syd]}\nstores: {CACHE: {type: kv}}\n"
#define HEAD_D1                                                                                    \
    "duration: 60s\ncluster: {home: fra, pops: [ams, fra, syd]}\n"                                 \
    "stores: {CACHE: {type: kv}, DB: {type: d1}, A: {type: r2}}\n"
#define GETS "workload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n"

static struct ps_scenario *parse(const char *yaml, const struct ps_setting *settings, size_t count)
{
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    enum ps_status status =
        ps_scenario_parse(ps_slice_of(yaml), "t.yaml", settings, count, &scenario, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, PS_OK);
    return scenario;
}

static void test_defaults(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(HEAD GETS, NULL, 0);
    assert_string_equal(s->name, "t");
    assert_int_equal(s->seed, 1);
    assert_int_equal(s->duration_ns, 60 * PS_SECOND);
    assert_int_equal(s->cluster.pop_count, 3);
    assert_int_equal(s->cluster.home, 1);
    assert_int_equal(s->cluster.epoch_unix_s, PS_EPOCH_VIRTUAL);
    assert_int_equal(s->cluster.stores[0].home, 1);
    assert_string_equal(s->cluster.stores[0].profile, "workers-kv");
    assert_int_equal(s->workload_count, 1);
    assert_string_equal(s->workloads[0].name, "workload-1");
    assert_int_equal(s->workloads[0].timing, PS_TIMING_EVERY);
    assert_int_equal(s->workloads[0].from_ns, 0);
    assert_int_equal(s->workloads[0].until_ns, 60 * PS_SECOND);
    assert_int_equal(s->workloads[0].where, PS_WHERE_EACH);
    assert_int_equal(s->fault_count, 0);
    ps_scenario_destroy(s);
}

static void test_overrides(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(
        "seed: 18446744073709551615\nduration: 60s\n"
        "cluster: {pops: 5, home: syd, latency: {scale: 0.5}, speed: 60, epoch: "
        "2024-02-29T12:00:01Z}\n"
        "stores:\n"
        "  A: {type: kv, ttl: 30s, ttl_min: 0, own_writes: false, negative: false, shorten: true,\n"
        "      refresh_ahead: 0.8, tier: {ttl: 5m}, timeout: 2s, write_interval: 0}\n"
        "  B: {type: kv, policy: push, order: none, delay: {uniform: [1s, 2s], max: 1500ms}}\n"
        "  C: {type: kv, policy: push, delay: {mixture: [{weight: 1, constant: 1s},\n"
        "      {weight: 3, empirical: [3s, 1s]}]}}\n"
        "workload: [{rate: 6/m, pop: any, count: 4, kv.get: {store: B, key: a, cacheTtl: 30}}]\n",
        NULL, 0);
    assert_true(s->seed == UINT64_MAX && s->cluster.seed == UINT64_MAX);
    assert_int_equal(s->cluster.pop_count, 5);
    assert_string_equal(s->cluster.pops[s->cluster.home]->code, "syd");
    assert_int_equal(s->cluster.latency_scale_milli, 500);
    assert_int_equal(s->cluster.speed_milli, 60000);
    assert_int_equal(s->cluster.epoch_unix_s, 1709208001);
    const struct ps_policy *a = &s->cluster.stores[0].policy, *b = &s->cluster.stores[1].policy;
    const struct ps_policy *c = &s->cluster.stores[2].policy;
    assert_int_equal(a->cache.ttl_ns, 30 * PS_SECOND);
    assert_int_equal(a->cache.ttl_min_ns, 0);
    assert_true(!a->cache.own_writes && !a->cache.negative && a->cache.shorten);
    assert_int_equal(a->cache.ahead_milli, 800);
    assert_int_equal(a->cache.tier, PS_TIER_TTL);
    assert_int_equal(a->cache.tier_ns, 5 * PS_MINUTE);
    assert_int_equal(a->timeout_ns, 2 * PS_SECOND);
    assert_int_equal(s->cluster.stores[0].kv.write_interval_ns, 0);
    assert_int_equal(b->kind, PS_POLICY_PUSH);
    assert_int_equal(b->push.order, PS_ORDER_NONE);
    assert_int_equal(b->push.delay.kind, PS_DELAY_UNIFORM);
    assert_int_equal(b->push.delay.max_ns, 1500 * PS_MS);
    assert_int_equal(c->push.delay.mixture.count, 2);
    assert_true(c->push.delay.mixture.weights[0] == 0.25);
    assert_int_equal(c->push.delay.mixture.parts[1].empirical.samples[0], PS_SECOND);
    assert_true(fabs(s->workloads[0].rate_hz - 0.1) < 1e-12);
    assert_int_equal(s->workloads[0].count, 4);
    assert_int_equal(s->workloads[0].actions[0].cache_ttl_ns, 30 * PS_SECOND);
    ps_scenario_destroy(s);
}

static void test_workloads(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(
        HEAD
        "workload:\n"
        "  - {name: w, at: [1s, 2s], pop: [syd, ams], kv.put: {store: CACHE, key: \"k{seq}\",\n"
        "     value: \"v\", expirationTtl: 1h, metadata: {by: \"{pop}\", n: [1, null, \"2\"]}}}\n"
        "  - {clients: 3, think: 1ms, pop: any, mix: [{weight: 9, kv.list: {store: CACHE, limit: "
        "7}},\n"
        "     {kv.delete: {store: CACHE, key: x}}]}\n",
        NULL, 0);
    assert_int_equal(s->workload_count, 3);
    assert_string_equal(s->workloads[0].name, "w.1");
    assert_string_equal(s->workloads[1].name, "w.2");
    assert_int_equal(s->workloads[1].at_ns, 2 * PS_SECOND);
    assert_int_equal(s->workloads[0].pops[0], 2);
    const struct ps_action *put = &s->workloads[0].actions[0];
    assert_int_equal(put->expiration_ttl_ns, PS_HOUR);
    struct ps_buf metadata = {0};
    ps_text_draw(&put->metadata, 1, 2, 3, "fra", &metadata);
    assert_string_equal(ps_buf_text(&metadata), "{\"by\":\"fra\",\"n\":[1,null,\"2\"]}");
    ps_buf_fini(&metadata);
    assert_string_equal(s->workloads[2].name, "workload-2");
    assert_int_equal(s->workloads[2].clients, 3);
    assert_int_equal(s->workloads[2].action_count, 2);
    assert_true(s->workloads[2].actions[0].weight == 9 && s->workloads[2].actions[1].weight == 1);
    assert_int_equal(s->workloads[2].actions[0].limit, 7);
    ps_scenario_destroy(s);
}

static void test_faults_and_expectations(void **state)
{
    (void)state;
    struct ps_scenario *s =
        parse(HEAD GETS "faults:\n"
                        "  - {at: 20s, for: 1s, slow: {pop: each, factor: 2.5}}\n"
                        "  - {at: 10s, partition: {pop: syd}}\n"
                        "  - {at: 10s, for: 5s, crash: {pop: [fra, ams]}}\n"
                        "  - {at: 15s, for: 5s, crash: {pop: fra}}\n"
                        "expect: [CACHE.a.b<=60s, \"CACHE.c > 1.5\", \"operations == 250 ms\"]\n",
              NULL, 0);
    assert_int_equal(s->fault_count, 4);
    assert_int_equal(s->faults[0].kind, PS_FAULT_PARTITION);
    assert_true(s->faults[0].when.until_ns == PS_NEVER);
    assert_int_equal(s->faults[1].kind, PS_FAULT_CRASH);
    assert_int_equal(s->faults[3].factor_milli, 2500);
    assert_int_equal(s->faults[3].pop_count, 2); /* each but home */
    assert_string_equal(s->expectations[0].name, "CACHE.a.b");
    assert_int_equal(s->expectations[0].comparison, PS_LESS_EQUAL);
    assert_true(s->expectations[0].bound == 60);
    assert_int_equal(s->expectations[1].comparison, PS_GREATER);
    assert_true(s->expectations[1].bound == 1.5);
    assert_int_equal(s->expectations[2].comparison, PS_EQUAL);
    assert_true(s->expectations[2].bound == 0.25);
    assert_string_equal(s->expectations[2].text, "operations == 250 ms");
    ps_scenario_destroy(s);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct ps_setting SETTINGS[] = {
        {"seed", "9"},
        {"cluster.home", "ams"},
        {"cluster.pops", "[ams, iad]"},
        {"stores.CACHE.ttl", "45s"},
        {"stores.OTHER.type", "kv"},
        {"workload.0.every", "2s"},
        {"workload.0.kv.get.key", "\"{seq}\""},
    };
    struct ps_scenario *s = parse(HEAD GETS, SETTINGS, sizeof SETTINGS / sizeof *SETTINGS);
    assert_int_equal(s->seed, 9);
    assert_int_equal(s->cluster.home, 0);
    assert_int_equal(s->cluster.pop_count, 2);
    assert_int_equal(s->cluster.stores[0].policy.cache.ttl_ns, 45 * PS_SECOND);
    assert_int_equal(s->cluster.store_count, 2);
    assert_int_equal(s->workloads[0].every_ns, 2 * PS_SECOND);
    assert_int_equal(s->workloads[0].actions[0].key.pieces[0].kind, PS_PIECE_SEQ);
    ps_scenario_destroy(s);
}

static void test_example_files(void **state)
{
    (void)state;
    static const char *const FILES[] = {"closed-loop-clients",
                                        "kv-60s-visibility",
                                        "lock-two-holders",
                                        "long-cache-ttl",
                                        "lost-update",
                                        "negative-cache",
                                        "partition-heals",
                                        "push-instant",
                                        "push-out-of-order",
                                        "stale-list",
                                        "trace-replay",
                                        "stale-read-after-write",
                                        "two-tier",
                                        "write-rate-429",
                                        "stale-session-after-delete"};
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char path[1024];
        struct ps_scenario *scenario = NULL;
        struct ps_error err = {0};
        struct ps_buf plan = {0};
        (void)snprintf(path, sizeof path, "%s/scenarios/%s.yaml", PS_SOURCE_DIR, FILES[i]);
        enum ps_status status = ps_scenario_load(path, NULL, 0, &scenario, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(status, PS_OK);
        assert_true(scenario->expectation_count > 0);
        ps_scenario_describe(&plan, scenario);
        assert_true(ps_slice_starts(ps_buf_slice(&plan), ps_slice_of(scenario->name)));
        ps_buf_fini(&plan);
        ps_scenario_destroy(scenario);
    }
}

static void test_describe(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(
        HEAD "workload: [{name: w, every: 1s, pop: any, kv.put: {store: CACHE, key: \"k{seq}\", "
             "value: v}}]\n"
             "faults: [{at: 1s, for: 2s, partition: {pop: syd}}]\nexpect: [operations > 1]\n",
        NULL, 0);
    struct ps_buf plan = {0};
    ps_scenario_describe(&plan, s);
    assert_string_equal(
        ps_buf_text(&plan),
        "t\n"
        "runs 1m with seed 1\n"
        "cluster: 3 PoPs, home fra: ams, fra, syd\n"
        "stores:\n"
        "  CACHE: kv, profile workers-kv, home fra; cache, ttl 1m (at least 30s), own "
        "writes at once, absence too\n"
        "workload:\n"
        "  w: every 1s, from 0s until 1m, at any PoP\n"
        "    kv.put CACHE \"k{seq}\" = \"v\"\n"
        "faults:\n"
        "  at 1s for 2s: no link from home to syd\n"
        "expect:\n"
        "  operations > 1\n");
    ps_buf_fini(&plan);
    ps_scenario_destroy(s);
}

static void test_describe_d1(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(
        "duration: 60s\ncluster: {pops: [ams]}\n"
        "stores: {DB: {type: d1, schema_sql: CREATE TABLE t (a)}}\n"
        "workload: [{name: w, every: 1s, pop: any, d1.batch: {store: DB, withSession: bookmark, "
        "statements: [{sql: SELECT ?, params: [\"{seq}\", 2.50, null]}, {sql: SELECT 1}]}}]\n",
        NULL, 0);
    struct ps_buf plan = {0};
    ps_scenario_describe(&plan, s);
    assert_non_null(strstr(ps_buf_text(&plan), "; schema of 18 bytes\n"));
    assert_non_null(strstr(ps_buf_text(&plan),
                           "    d1.batch DB \"SELECT ?\" with \"{seq}\", 2.5, null; \"SELECT 1\", "
                           "withSession bookmark\n"));
    ps_buf_fini(&plan);
    ps_scenario_destroy(s);
}

static void test_describe_r2(void **state)
{
    (void)state;
    struct ps_scenario *s = parse(
        "duration: 60s\ncluster: {pops: [ams]}\nstores: {A: {type: r2}}\n"
        "workload: [{name: w, every: 1s, pop: any, mix: ["
        "{r2.put: {store: A, key: \"k{seq}\", value: v, httpMetadata: {cacheControl: no-store, "
        "cacheExpiry: 5}, customMetadata: {by: \"{pop}\"}, "
        "onlyIf: {etagDoesNotMatch: \"*\", uploadedAfter: 7}}}, "
        "{r2.put: {store: A, key: big, size: 2KiB}}, "
        "{r2.delete: {store: A, keys: [a, \"b{seq}\"]}}, "
        "{r2.list: {store: A, prefix: p/, delimiter: /, limit: 3}}, "
        "{r2.get: {store: A, key: a, onlyIf: {etagMatches: [x, y]}}}, "
        "{r2.head: {store: A, key: a}}]}]\n",
        NULL, 0);
    struct ps_buf plan = {0};
    ps_scenario_describe(&plan, s);

    static const char *const lines[] = {
        "  A: r2, profile r2, home ams; strong: each read goes home\n",
        "    r2.put A \"k{seq}\" = "
        "\"v\",\"httpFields\":{{\"cacheControl\":\"no-store\",\"cacheExpiry\":"
        "5000}},\"customFields\":[{{\"k\":\"by\",\"v\":\"{pop}\"}}],\"onlyIf\":{{"
        "\"etagDoesNotMatch\":["
        "{{\"type\":\"wildcard\"}}],\"uploadedAfter\":7000}} (weight 1)\n",
        "    r2.put A \"big\" of 2048 bytes (weight 1)\n",
        "    r2.delete A \"a\", \"b{seq}\" (weight 1)\n",
        "    r2.list A \"p/\",\"delimiter\":\"/\",\"limit\":3 (weight 1)\n",
        ("    r2.get A \"a\",\"onlyIf\":{{\"etagMatches\":[{{\"type\":\"strong\",\"value\":\"x\"}},"
         "{{\"type\":\"strong\",\"value\":\"y\"}}]}} (weight 1)\n"),
        "    r2.head A \"a\" (weight 1)\n"};

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(ps_buf_text(&plan), lines[i]) == NULL) {
            fail_msg("no line\n%sin\n%s", lines[i], ps_buf_text(&plan));
        }
    }
    ps_buf_fini(&plan);
    ps_scenario_destroy(s);
}

/** A folder with one scenario that replays `trace`. Gives the loader's error, empty if none. */
static void load_trace(const char *trace, struct ps_scenario **ret, char ret_text[512],
                       char ret_folder[64])
{
    char path[128];
    (void)snprintf(ret_folder, 64, "/tmp/popsim-test-XXXXXX");
    assert_non_null(mkdtemp(ret_folder));
    (void)snprintf(path, sizeof path, "%s/t.jsonl", ret_folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(trace, file) >= 0);
    assert_int_equal(fclose(file), 0);
    char yaml[128];
    (void)snprintf(yaml, sizeof yaml, "%s/t.yaml", ret_folder);
    struct ps_error err = {0};
    *ret = NULL;
    enum ps_status status = ps_scenario_parse(PS_LIT(HEAD_D1 "workload: [{trace: t.jsonl}]\n"),
                                              yaml, NULL, 0, ret, &err);
    assert_true((status == PS_OK) == (err.text[0] == '\0'));
    (void)snprintf(ret_text, 512, "%s", err.text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(ret_folder), 0);
}

#define OP(at, rest) "{\"at\":" at ",\"pop\":\"fra\",\"store\":\"CACHE\"," rest "}\n"
#define GET "\"op\":\"kv.get\",\"key\":\"{seq}\""

static void test_trace(void **state)
{
    (void)state;
    struct ps_scenario *s;
    char text[512], folder[64];
    load_trace(
        OP("\"1.5s\"", GET) "\n" OP("2.25", "\"op\":\"kv.list\",\"prefix\":\"\",\"session\":\"a\""),
        &s, text, folder);
    assert_string_equal(text, "");
    assert_int_equal(s->workloads[0].trace_count, 2);
    const struct ps_trace_op *op = s->workloads[0].trace;
    assert_int_equal(op[0].at_ns, 1500 * PS_MS);
    assert_int_equal(op[0].pop, 1);
    assert_null(op[0].session);
    assert_string_equal(op[0].action.key.pieces[0].literal, "{seq}"); /* literal */
    assert_int_equal(op[1].at_ns, 2250 * PS_MS);
    assert_int_equal(op[1].action.verb, PS_VERB_KV_LIST);
    assert_string_equal(op[1].session, "a");
    ps_scenario_destroy(s);
}

#define OP_R2(rest) "{\"at\":1,\"pop\":\"ams\",\"store\":\"A\"," rest "}\n"
#define OP_D1(rest) "{\"at\":1,\"pop\":\"fra\",\"store\":\"DB\"," rest "}\n"

static void test_d1_trace(void **state)
{
    (void)state;
    struct ps_scenario *s;
    char text[512], folder[64];
    load_trace(
        OP_D1("\"op\":\"d1.query\",\"sql\":\"SELECT {x}\",\"params\":[1,\"a\",null,true,2.5],"
              "\"withSession\":\"bookmark\",\"session\":\"client\"")
            OP_D1("\"op\":\"d1.batch\",\"statements\":[{\"sql\":\"SELECT 1\"},{\"sql\":"
                  "\"SELECT 2\"}]"),
        &s, text, folder);
    assert_string_equal(text, "");
    const struct ps_action *query = &s->workloads[0].trace[0].action;
    const struct ps_action *batch = &s->workloads[0].trace[1].action;
    assert_int_equal(query->verb, PS_VERB_D1_QUERY);
    assert_int_equal(query->session, PS_D1_SESSION_BOOKMARK);
    assert_string_equal(s->workloads[0].trace[0].session, "client");
    assert_string_equal(query->statements[0].sql.pieces[0].literal, "SELECT {x}");

    static const enum ps_param_kind kinds[] = {PS_PARAM_NUMBER, PS_PARAM_TEXT, PS_PARAM_NULL,
                                               PS_PARAM_NUMBER, PS_PARAM_NUMBER};

    assert_int_equal(query->statements[0].param_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(query->statements[0].params[i].kind, kinds[i]);
    }
    assert_string_equal(query->statements[0].params[3].text.pieces[0].literal, "1");
    assert_string_equal(query->statements[0].params[4].text.pieces[0].literal, "2.5");
    assert_int_equal(batch->verb, PS_VERB_D1_BATCH);
    assert_int_equal(batch->session, PS_D1_SESSION_NONE);
    assert_int_equal(batch->statement_count, 2);
    ps_scenario_destroy(s);
}

/* Texts of a trace have no generators, wherever they stand; errors name the place in the line. */
static void test_r2_trace(void **state)
{
    (void)state;
    struct ps_scenario *s;
    char text[512], folder[64];
    load_trace(
        OP_R2("\"op\":\"r2.put\",\"key\":\"{a}\",\"value\":\"{b}\",\"customMetadata\":{\"{c}\":"
              "\"{d}}\"}") OP_R2("\"op\":\"r2.delete\",\"keys\":[\"a\",\"{b}\"],\"session\":\"x\""),
        &s, text, folder);
    assert_string_equal(text, "");
    const struct ps_action *put = &s->workloads[0].trace[0].action;
    const struct ps_action *delete = &s->workloads[0].trace[1].action;
    assert_string_equal(put->key.pieces[0].literal, "{a}");
    assert_string_equal(put->value.pieces[0].literal, "{b}");
    assert_int_equal(put->options.count, 1);
    assert_string_equal(put->options.pieces[0].literal,
                        ",\"customFields\":[{\"k\":\"{c}\",\"v\":\"{d}}\"}]");
    assert_int_equal(delete->key_count, 1);
    assert_string_equal(delete->keys[0].pieces[0].literal, "{b}");
    ps_scenario_destroy(s);
    load_trace(OP_R2("\"op\":\"r2.get\",\"key\":\"a\"") OP_R2(
                   "\"op\":\"r2.put\",\"key\":\"a\",\"value\":\"\",\"onlyIf\":{\"etag\":\"b\"}"),
               &s, text, folder);
    assert_null(s);
    assert_non_null(
        strstr(text, "/t.jsonl:2:78: found key \"etag\", expected one of etagMatches, "));
    load_trace(OP_R2("\"op\":\"kv.get\",\"key\":\"a\""), &s, text, folder);
    assert_non_null(strstr(text, "/t.jsonl:1:1: found store \"A\" of type r2, expected one of "
                                 "type kv for kv.get"));
}

static void test_schema(void **state)
{
    (void)state;
    struct ps_scenario *s =
        parse("duration: 60s\ncluster: {pops: [ams, fra]}\n"
              "stores: {CACHE: {type: kv}, DB: {type: d1, schema_sql: CREATE TABLE t (a)}}\n" GETS,
              NULL, 0);
    assert_null(s->schemas[0]);
    assert_string_equal(s->schemas[1], "CREATE TABLE t (a)");
    ps_scenario_destroy(s);
}

static void test_wrong_traces(void **state)
{
    (void)state;

    static const struct {
        const char *trace, *message;
    } CASES[] = {
        {OP("2", GET) OP("1", GET),
         "/t.jsonl:2:1: found an \"at\" before the line above's, expected ascending times"},
        {OP("60", GET),
         "/t.jsonl:1:1: found an \"at\" beyond the run's duration, expected one before its end"},
        {OP("true", GET),
         "/t.jsonl:1:1: found \"at\" that is no time, expected \"1.5s\" or seconds"},
        {OP("1", "\"op\":\"kv.get\""), "/t.jsonl:1:1: found no \"key\", expected a string"},
        {OP("1", "\"op\":\"kv.put\",\"key\":\"a\""),
         "/t.jsonl:1:1: found no \"value\", expected a string"},
        {OP("1", "\"op\":\"kv.set\",\"key\":\"a\""),
         "/t.jsonl:1:1: found op \"kv.set\", expected one of kv.get, kv.put, kv.delete, "
         "kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, "
         "r2.purge"},
        {OP("1", "\"op\":\"kv.get\",\"key\":\"\""),
         "/t.jsonl:1:1: found a key of 0 bytes, expected 1 to 512"},
        {OP("1", GET ",\"cacheTtl\":29"),
         "/t.jsonl:1:1: found \"cacheTtl\" out of range, expected whole seconds, at least 30"},
        {OP("1", GET ",\"colour\":1"),
         "/t.jsonl:1:1: found \"colour\", expected only the fields of a trace (scenarios/README.md "
         "lists them)"},
        {OP_D1("\"op\":\"kv.get\",\"key\":\"a\""),
         "/t.jsonl:1:1: found store \"DB\" of type d1, expected one of type kv for kv.get"},
        {OP_D1("\"op\":\"d1.query\""), "/t.jsonl:1:1: found no \"sql\", expected a string"},
        {OP_D1("\"op\":\"d1.query\",\"sql\":\"\""),
         "/t.jsonl:1:1: found an empty \"sql\", expected a statement"},
        {OP_D1("\"op\":\"d1.query\",\"sql\":\"SELECT 1\",\"params\":1"),
         "/t.jsonl:1:1: found \"params\" that is no list of at most 100, expected one"},
        {OP_D1("\"op\":\"d1.query\",\"sql\":\"SELECT 1\",\"params\":[{}]"),
         "/t.jsonl:1:1: found a parameter that is a list or an object, expected a string, a "
         "number, true, false or null"},
        {OP_D1("\"op\":\"d1.query\",\"sql\":\"SELECT 1\",\"withSession\":\"x\""),
         "/t.jsonl:1:1: found \"withSession\" \"x\", expected first-primary, "
         "first-unconstrained, bookmark or bookmark-primary"},
        {OP_D1("\"op\":\"d1.batch\",\"statements\":[]"),
         "/t.jsonl:1:1: found no \"statements\" that are a list of 1 to 1000, expected one"},
        {"[]\n", "/t.jsonl:1:1: found no object, expected one operation"},
        {"\n{\n",
         "/t.jsonl:2:1: found a mistake in the JSON: string or '}' expected near end of file, "
         "expected one object"},
        {"\n", "/t.yaml:4:20: found \"t.jsonl\", expected a trace with at least one operation"},
    };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ps_scenario *s;
        char text[512], folder[64], expected[600];
        load_trace(CASES[i].trace, &s, text, folder);
        (void)snprintf(expected, sizeof expected, "%s%s", folder, CASES[i].message);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_workloads),   cmocka_unit_test(test_faults_and_expectations),
        cmocka_unit_test(test_settings),    cmocka_unit_test(test_example_files),
        cmocka_unit_test(test_describe),    cmocka_unit_test(test_describe_d1),
        cmocka_unit_test(test_describe_r2), cmocka_unit_test(test_r2_trace),
        cmocka_unit_test(test_trace),       cmocka_unit_test(test_d1_trace),
        cmocka_unit_test(test_schema),      cmocka_unit_test(test_wrong_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
