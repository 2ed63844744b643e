/* Sessions: what each client does next, and when, as a function of seed, name and number alone. */
#include "sim/workload/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "duration: 60s\ncluster: {home: fra, pops: [fra, iad, syd]}\n"                                 \
    "stores: {CACHE: {type: kv}, OTHER: {type: kv}}\n"

static struct ps_scenario *parse(const char *yaml, const char *path)
{
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    enum ps_status status = ps_scenario_parse(ps_slice_of(yaml), path, NULL, 0, &scenario, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, PS_OK);
    return scenario;
}

static struct ps_sessions_plan open_plan(const struct ps_scenario *scenario)
{
    struct ps_sessions_plan plan;
    struct ps_error err = {0};
    assert_int_equal(ps_sessions_open(scenario, &plan, &err), PS_OK);
    return plan;
}

static struct ps_session *find(const struct ps_sessions_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->sessions[i].name, name) == 0) {
            return &plan->sessions[i];
        }
    }
    fail_msg("no session %s", name);
    return NULL;
}

static void assert_slice(struct ps_slice got, const char *expected)
{
    assert_true(ps_slice_eq(got, ps_slice_of(expected)));
}

/* ---- when ---- */

static void test_at(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        parse(HEAD "workload:\n  - {name: w, at: [5s, 1s], pop: [iad, fra], "
                   "kv.delete: {store: OTHER, key: k}}\n",
              "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    assert_int_equal(plan.count, 4);
    /* In the order of the file, then of the PoPs named. */
    assert_string_equal(plan.sessions[0].name, "w.1/iad");
    assert_string_equal(plan.sessions[1].name, "w.1/fra");
    assert_int_equal(plan.sessions[0].at_ns, 5 * PS_SECOND);
    assert_int_equal(find(&plan, "w.2/fra")->at_ns, 1 * PS_SECOND);
    assert_int_equal(ps_session_pop(&plan.sessions[0], 0), 1);
    assert_false(ps_session_waits(&plan.sessions[0]));
    ps_session_advance(&plan.sessions[0], 0);
    assert_true(plan.sessions[0].at_ns == PS_NEVER);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

static void test_every(void **state)
{
    (void)state;
    struct ps_scenario *scenario = parse(
        HEAD "workload:\n"
             "  - {name: r, every: 10s, from: 5s, until: 35s, pop: each, "
             "kv.get: {store: CACHE, key: k}}\n"
             "  - {name: few, every: 1s, count: 3, pop: fra, kv.get: {store: CACHE, key: k}}\n",
        "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    assert_int_equal(plan.count, 4);
    struct ps_session *session = find(&plan, "r/syd");
    for (uint64_t n = 0; n < 3; n++) {
        assert_int_equal(session->at_ns, (5 + 10 * n) * PS_SECOND);
        assert_int_equal(session->next, n);
        ps_session_advance(session, 0);
    }
    assert_true(session->at_ns == PS_NEVER); /* until is not included */
    session = find(&plan, "few/fra");
    for (int n = 0; n < 3; n++) {
        assert_true(session->at_ns != PS_NEVER);
        ps_session_advance(session, 0);
    }
    assert_true(session->at_ns == PS_NEVER);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

/* A Poisson stream: all gaps positive, their number near rate times length (a deviation of six
 * standard ones would be wrong), and as many short ones as the exponential distribution has. */
static void test_rate(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        parse(HEAD "workload:\n  - {name: r, rate: 200/s, from: 10s, pop: any, "
                   "kv.get: {store: CACHE, key: k}}\n",
              "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    assert_int_equal(plan.count, 1);
    struct ps_session *session = find(&plan, "r");
    ps_time_ns before_ns = 10 * PS_SECOND;
    int count = 0;
    int shorter = 0; /* than the mean */
    for (; session->at_ns != PS_NEVER; count++) {
        assert_true(session->at_ns > before_ns);
        assert_true(session->at_ns < 60 * PS_SECOND);
        shorter += session->at_ns - before_ns < 5 * PS_MS ? 1 : 0;
        before_ns = session->at_ns;
        ps_session_advance(session, 0);
    }
    assert_in_range(count, 9400, 10600);
    assert_in_range(shorter * 1000, 600 * count, 665 * count); /* 1 - 1/e = 0.632 */
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

static void test_clients(void **state)
{
    (void)state;
    struct ps_scenario *scenario = parse(
        HEAD "workload:\n"
             "  - {name: c, clients: 30, think: 2s, from: 1s, pop: [fra, syd], "
             "kv.get: {store: CACHE, key: k}}\n"
             "  - {name: a, clients: 2, think: 1s, pop: any, kv.get: {store: CACHE, key: k}}\n",
        "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    assert_int_equal(plan.count, 62);
    assert_string_equal(plan.sessions[0].name, "c/fra#1");
    assert_string_equal(plan.sessions[31].name, "c/syd#2");
    assert_string_equal(plan.sessions[61].name, "a#2");
    bool differ = false;
    for (size_t i = 0; i < 60; i++) {
        const struct ps_session *session = &plan.sessions[i];
        assert_true(ps_session_waits(session));
        assert_true(session->at_ns >= 1 * PS_SECOND && session->at_ns < 3 * PS_SECOND);
        differ = differ || session->at_ns != plan.sessions[0].at_ns;
    }
    assert_true(differ);
    struct ps_session *session = &plan.sessions[0];
    ps_session_advance(session, 50 * PS_SECOND);
    assert_int_equal(session->at_ns, 52 * PS_SECOND);
    ps_session_advance(session, 58 * PS_SECOND);
    assert_true(session->at_ns == PS_NEVER); /* 60 s is the run's end */
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

static void test_trace(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_session.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char trace[64];
    char path[64];
    (void)snprintf(trace, sizeof trace, "%s/t.jsonl", folder);
    (void)snprintf(path, sizeof path, "%s/t.yaml", folder);
    FILE *file = fopen(trace, "we");
    assert_non_null(file);
    (void)fputs(
        "{\"at\":\"1s\",\"pop\":\"fra\",\"op\":\"kv.put\",\"store\":\"CACHE\",\"key\":\"a\","
        "\"value\":\"1\",\"session\":\"alice\"}\n"
        "{\"at\":\"2s\",\"pop\":\"syd\",\"op\":\"kv.get\",\"store\":\"OTHER\",\"key\":\"b\"}\n"
        "{\"at\":\"3s\",\"pop\":\"iad\",\"op\":\"kv.get\",\"store\":\"CACHE\",\"key\":\"{seq}\","
        "\"session\":\"alice\"}\n",
        file);
    assert_int_equal(fclose(file), 0);
    struct ps_scenario *scenario = parse(HEAD "workload: [{name: t, trace: t.jsonl}]\n", path);
    struct ps_sessions_plan plan = open_plan(scenario);
    assert_int_equal(plan.count, 2);
    struct ps_session *alice = find(&plan, "t/alice");
    struct ps_session *syd = find(&plan, "t/syd");
    assert_int_equal(alice->at_ns, 1 * PS_SECOND);
    assert_int_equal(syd->at_ns, 2 * PS_SECOND);
    ps_session_advance(alice, 0);
    assert_int_equal(alice->at_ns, 3 * PS_SECOND);
    struct ps_buf text = {0};
    struct ps_drawn drawn;
    ps_session_draw(alice, &text, &drawn);
    assert_int_equal(drawn.pop, 1);
    assert_int_equal(drawn.action->verb, PS_VERB_KV_GET);
    assert_slice(drawn.key, "{seq}"); /* a trace's texts are literal */
    ps_session_advance(alice, 0);
    assert_true(alice->at_ns == PS_NEVER);
    ps_buf_fini(&text);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
    (void)unlink(trace);
    (void)rmdir(folder);
}

/* ---- what ---- */

#define MIXED                                                                                      \
    "  - name: m\n    every: 10ms\n    pop: any\n    mix:\n"                                       \
    "      - {weight: 3, kv.get: {store: CACHE, key: \"k{uniform(1, 1000000)}\"}}\n"               \
    "      - {weight: 1, kv.put: {store: CACHE, key: \"{pop}:{seq}\", value: \"{bytes(8)}\", "     \
    "metadata: {n: \"{seq}\"}}}\n"

static void test_draw(void **state)
{
    (void)state;
    struct ps_scenario *scenario = parse(HEAD "workload:\n" MIXED, "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    struct ps_session *session = &plan.sessions[0];
    struct ps_buf text = {0};
    int puts = 0;
    int at_pop[3] = {0};
    for (uint64_t n = 0; n < 4000; n++) {
        struct ps_drawn drawn;
        ps_session_draw(session, &text, &drawn);
        assert_ptr_equal(drawn.action, ps_session_action(session, n));
        assert_int_equal(drawn.pop, ps_session_pop(session, n));
        at_pop[drawn.pop]++;
        if (drawn.action->verb == PS_VERB_KV_PUT) {
            char expected[64];
            puts++;
            (void)snprintf(expected, sizeof expected, "%s:%llu",
                           scenario->cluster.pops[drawn.pop]->code, (unsigned long long)n + 1);
            assert_slice(drawn.key, expected);
            assert_int_equal(drawn.value.size, 8);
            (void)snprintf(expected, sizeof expected, "{\"n\":\"%llu\"}",
                           (unsigned long long)n + 1);
            assert_slice(drawn.metadata, expected);
        } else {
            assert_int_equal(drawn.value.size, 0);
            assert_int_equal(drawn.metadata.size, 0);
        }
        ps_session_advance(session, 0);
    }
    assert_in_range(puts, 836, 1164); /* 1000, within six standard deviations */
    for (int p = 0; p < 3; p++) {
        assert_in_range(at_pop[p], 1154, 1513); /* 1333, as above */
    }
    ps_buf_fini(&text);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

/* A bucket's request is the JSON that the binding sends; a generated body has its own chance. */
static void test_draw_r2(void **state)
{
    (void)state;
    struct ps_scenario *scenario = parse(
        "duration: 60s\ncluster: {pops: [fra, iad]}\nstores: {A: {type: r2}}\n"
        "workload:\n"
        "  - {name: p, every: 1s, pop: iad, r2.put: {store: A, key: \"k{seq}\", value: \"v{seq}\", "
        "httpMetadata: {contentType: \"a\\\"{pop}\"}}}\n"
        "  - {name: g, every: 1s, pop: fra, r2.put: {store: A, key: a, size: "
        "\"{uniform(100, 200)}\"}}\n"
        "  - {name: d, every: 1s, pop: fra, r2.delete: {store: A, keys: [\"{uniform(1, "
        "1000000)}\", "
        "\"{uniform(1, 1000000)}\"]}}\n"
        "  - {name: l, every: 1s, pop: fra, r2.list: {store: A, prefix: p, delimiter: /}}\n",
        "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    struct ps_buf text = {0};
    struct ps_drawn drawn;
    ps_session_draw(find(&plan, "p/iad"), &text, &drawn);
    assert_slice(drawn.key, "k1");
    assert_slice(drawn.value, "v1");
    assert_slice(drawn.request,
                 "{\"version\":1,\"method\":\"put\",\"object\":\"k1\",\"httpFields\":{"
                 "\"contentType\":\"a\\\"iad\"}}");
    assert_false(drawn.generated);
    struct ps_session *generated = find(&plan, "g/fra");
    ps_session_draw(generated, &text, &drawn);
    assert_true(drawn.generated);
    assert_in_range(drawn.body.size, 100, 200);
    uint64_t seed = drawn.body.seed;
    ps_session_advance(generated, 0);
    ps_session_draw(generated, &text, &drawn);
    assert_int_not_equal(drawn.body.seed, seed);
    ps_session_draw(find(&plan, "d/fra"), &text, &drawn);
    int first, second;
    assert_int_equal(sscanf(drawn.request.data,
                            "{\"version\":1,\"method\":\"delete\",\"objects\":[\"%d\",\"%d\"]}",
                            &first, &second),
                     2);
    assert_int_not_equal(first, second);
    ps_session_draw(find(&plan, "l/fra"), &text, &drawn);
    assert_slice(drawn.request,
                 "{\"version\":1,\"method\":\"list\",\"prefix\":\"p\",\"delimiter\":\"/\"}");
    ps_buf_fini(&text);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

/* A large body is known again by its bytes; one that differs in a byte is not. */
static void test_bodies(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 8, PS_BODY_LARGE - 1, PS_BODY_LARGE, PS_BODY_LARGE + 6};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct ps_body body = {.seed = 0x0123456789abcdefU, .size = sizes[i]};
        const struct ps_body other = {.seed = 5, .size = sizes[i]};
        struct ps_buf bytes = {0};
        struct ps_buf part = {0};
        ps_body_bytes(&body, 0, (size_t)body.size, &bytes);
        assert_int_equal(bytes.size, body.size);
        assert_int_equal(ps_body_digest_of(ps_buf_slice(&bytes)), ps_body_digest(&body));
        if (body.size > 0) {
            assert_int_not_equal(ps_body_digest(&body), ps_body_digest(&other));
            bytes.data[bytes.size - 1] ^= 1;
            assert_int_not_equal(ps_body_digest_of(ps_buf_slice(&bytes)), ps_body_digest(&body));
            bytes.data[bytes.size - 1] ^= 1;
        }
        if (body.size > 24) {
            ps_body_bytes(&body, 16, (size_t)body.size - 16, &part);
            assert_memory_equal(part.data, bytes.data + 16, part.size);
        }
        ps_buf_fini(&bytes);
        ps_buf_fini(&part);
    }
}

/* A request is the JSON that the binding sends; what it is asked with is the session's affair. */
static void test_draw_d1(void **state)
{
    (void)state;
    struct ps_scenario *scenario = parse(
        "duration: 60s\ncluster: {pops: [fra, iad]}\nstores: {DB: {type: d1}, B: {type: d1}}\n"
        "workload:\n"
        "  - {name: q, every: 1s, pop: iad, d1.query: {store: B, sql: \"SELECT '{pop}'\", "
        "params: [1, \"a\\\"{seq}\", null, true, 0.1, {number: \"{seq}\"}], withSession: "
        "bookmark}}\n"
        "  - {name: b, every: 1s, pop: fra, d1.batch: {store: DB, withSession: bookmark-primary, "
        "statements: [{sql: SELECT 1}, {sql: SELECT ?, params: [\"{uniform(1, 1000000)}\"]}, "
        "{sql: SELECT ?, params: [\"{uniform(1, 1000000)}\"]}]}}\n",
        "t.yaml");
    struct ps_sessions_plan plan = open_plan(scenario);
    struct ps_session *query = find(&plan, "q/iad");
    struct ps_session *batch = find(&plan, "b/fra");
    struct ps_buf text = {0};
    struct ps_drawn drawn;
    ps_session_draw(query, &text, &drawn);
    assert_int_equal(drawn.key.size, 0);
    assert_slice(drawn.value, "{\"sql\":\"SELECT 'iad'\",\"params\":[1,\"a\\\"1\",null,1,0.1,1]}");
    assert_int_equal(drawn.session, PS_D1_SESSION_UNCONSTRAINED);
    ps_session_bookmark(query, drawn.action, 7);
    ps_session_bookmark(query, drawn.action, 5); /* an older one is not taken */
    ps_session_advance(query, 0);
    ps_session_draw(query, &text, &drawn);
    assert_int_equal(drawn.session, PS_D1_SESSION_BOOKMARK);
    assert_int_equal(drawn.bookmark_lsn, 7);

    ps_session_draw(batch, &text, &drawn);
    assert_int_equal(drawn.session, PS_D1_SESSION_PRIMARY);
    int first, second;
    assert_int_equal(
        sscanf(ps_buf_text(&text),
               "[{\"sql\":\"SELECT 1\",\"params\":[]},{\"sql\":\"SELECT ?\",\"params\":[\"%d\"]},"
               "{\"sql\":\"SELECT ?\",\"params\":[\"%d\"]}]",
               &first, &second),
        2);
    assert_int_not_equal(first, second);         /* each text has its own chance */
    ps_session_bookmark(batch, drawn.action, 0); /* of a database that is empty */
    ps_session_advance(batch, 0);
    ps_session_draw(batch, &text, &drawn);
    assert_int_equal(drawn.session, PS_D1_SESSION_BOOKMARK);
    ps_buf_fini(&text);
    ps_sessions_close(&plan);
    ps_scenario_destroy(scenario);
}

/* What a session does depends on the seed, its name and the number, and on nothing else: not on the
 * sessions beside it, nor on what was drawn before. */
static void test_purity(void **state)
{
    (void)state;
    struct ps_scenario *alone = parse(HEAD "workload:\n" MIXED, "t.yaml");
    struct ps_scenario *among = parse(
        HEAD
        "workload:\n  - {name: x, rate: 5/s, pop: each, kv.get: {store: OTHER, key: z}}\n" MIXED
        "  - {name: y, clients: 3, think: 1s, pop: any, kv.list: {store: OTHER}}\n",
        "t.yaml");
    struct ps_sessions_plan a = open_plan(alone);
    struct ps_sessions_plan b = open_plan(among);
    struct ps_session *left = find(&a, "m");
    struct ps_session *right = find(&b, "m");
    struct ps_buf texts[2] = {{0}};
    for (int n = 0; n < 500; n++) {
        struct ps_drawn drawn[2];
        ps_session_draw(left, &texts[0], &drawn[0]);
        for (size_t i = 0; i < b.count; i++) {
            if (&b.sessions[i] != right && b.sessions[i].at_ns != PS_NEVER) {
                ps_session_draw(&b.sessions[i], &texts[1], &drawn[1]);
                ps_session_advance(&b.sessions[i], b.sessions[i].at_ns);
            }
        }
        ps_session_draw(right, &texts[1], &drawn[1]);
        assert_int_equal(left->at_ns, right->at_ns);
        assert_int_equal(drawn[0].pop, drawn[1].pop);
        assert_int_equal(drawn[0].action->verb, drawn[1].action->verb);
        assert_true(ps_slice_eq(drawn[0].key, drawn[1].key));
        assert_true(ps_slice_eq(drawn[0].value, drawn[1].value));
        assert_true(ps_slice_eq(drawn[0].metadata, drawn[1].metadata));
        ps_session_advance(left, 0);
        ps_session_advance(right, 0);
    }
    ps_buf_fini(&texts[0]);
    ps_buf_fini(&texts[1]);
    ps_sessions_close(&a);
    ps_sessions_close(&b);
    ps_scenario_destroy(alone);
    ps_scenario_destroy(among);
}

static void test_seed(void **state)
{
    (void)state;
    struct ps_scenario *scenarios[2] = {parse("seed: 1\n" HEAD "workload:\n" MIXED, "t.yaml"),
                                        parse("seed: 2\n" HEAD "workload:\n" MIXED, "t.yaml")};
    struct ps_buf keys[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        struct ps_sessions_plan plan = open_plan(scenarios[i]);
        struct ps_buf text = {0};
        for (int n = 0; n < 50; n++) {
            struct ps_drawn drawn;
            ps_session_draw(&plan.sessions[0], &text, &drawn);
            ps_buf_append_slice(&keys[i], drawn.key);
            ps_session_advance(&plan.sessions[0], 0);
        }
        ps_buf_fini(&text);
        ps_sessions_close(&plan);
        ps_scenario_destroy(scenarios[i]);
    }
    assert_false(ps_slice_eq(ps_buf_slice(&keys[0]), ps_buf_slice(&keys[1])));
    ps_buf_fini(&keys[0]);
    ps_buf_fini(&keys[1]);
}

static void test_too_many(void **state)
{
    (void)state;
    struct ps_scenario *scenario =
        parse(HEAD "workload:\n  - {name: c, clients: 9, think: 1s, pop: any, "
                   "kv.get: {store: CACHE, key: k}}\n",
              "t.yaml");
    scenario->workloads[0].clients = PS_SESSIONS_MAX + 1; /* a file may not say so much */
    struct ps_sessions_plan plan = {0};
    struct ps_error err = {0};
    assert_int_equal(ps_sessions_open(scenario, &plan, &err), PS_LIMIT);
    assert_non_null(strstr(err.text, "4194304 sessions"));
    assert_null(plan.sessions);
    ps_scenario_destroy(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at),      cmocka_unit_test(test_every),
        cmocka_unit_test(test_rate),    cmocka_unit_test(test_clients),
        cmocka_unit_test(test_trace),   cmocka_unit_test(test_draw),
        cmocka_unit_test(test_draw_d1), cmocka_unit_test(test_draw_r2),
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_purity),
        cmocka_unit_test(test_seed),    cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
