/* verify of R2: names what was forged in a history of the virtual world. */
#include "node/r2/cache.h"
#include "tests/support/forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char yaml[] =
    "seed: 5\nduration: 30s\ncluster: {pops: [ams, fra, syd]}\nstores:\n"
    "  A: {type: r2, timeout: 10s, write_interval: 1s}\n"
    "workload:\n"
    "  - {name: write, every: 2s, pop: syd, r2.put: {store: A, key: k, value: 'v{seq}'}}\n"
    "  - {name: once, every: 3s, pop: fra, r2.put: {store: A, key: once, value: x, onlyIf: "
    "{etagDoesNotMatch: '*'}}}\n"
    "  - {name: read, every: 700ms, pop: [fra, syd], r2.get: {store: A, key: k}}\n"
    "  - {name: head, every: 900ms, pop: fra, r2.head: {store: A, key: k}}\n"
    "  - {name: if, every: 900ms, pop: fra, r2.get: {store: A, key: once, onlyIf: {etagMatches: "
    "no}}}\n"
    "  - {name: list, every: 1s, pop: fra, r2.list: {store: A, delimiter: /}}\n"
    "  - {name: delete, every: 5s, from: 4s, pop: fra, r2.delete: {store: A, keys: [x, k]}}\n"
    "  - {name: fetch, every: 500ms, from: 1s, pop: syd, r2.fetch: {store: A, key: k.png}}\n"
    "  - {name: new, every: 6s, pop: fra, r2.put: {store: A, key: k.png, value: '{seq}', "
    "httpMetadata: {cacheControl: max-age=9}}}\n"
    "  - {name: purge, at: 20s, pop: fra, r2.purge: {store: A, key: k.png}}\n"
    "  - {name: vain, every: 5s, from: 4s, pop: fra, r2.delete: {store: A, key: never}}\n";

/* ---- what is forged ---- */

static void other_body(struct ps_op *op)
{
    op->digest ^= 1;
}

static void other_etag(struct ps_op *op)
{
    op->etag = 0;
}

static void absent(struct ps_op *op)
{
    op->found = false;
}

static void other_state(struct ps_op *op)
{
    op->cache = op->cache == PS_R2_CACHE_HIT + 1 ? PS_R2_CACHE_MISS + 1 : PS_R2_CACHE_HIT + 1;
}

static void late(struct ps_op *op)
{
    op->late = true;
}

static void unconditional(struct ps_op *op)
{
    op->request = 0;
}

static void test_forged_operations(void **state)
{
    (void)state;

    static const struct {
        const char *session;
        void (*forge)(struct ps_op *op);
        const char *text;
    } cases[] = {
        {"read/fra", older, "it had to return LSN"},
        {"read/syd", other_body, "it returned a body with digest"},
        {"read/syd", other_etag, "it returned an ETag that is not this version's"},
        {"read/fra", absent, "it returned nothing, it had to return a value"},
        {"read/fra", unreachable, "it failed (unreachable), it had to be answered"},
        {"read/fra", too_early, "it was evaluated outside of its own time"},
        {"head/fra", older, "it had to return LSN"},
        {"head/fra", other_body, "it returned a body with digest"},
        {"head/fra", other_etag, "it returned an ETag that is not this version's"},
        {"if/fra", other_body, "it returned a body with digest"},
        {"if/fra", unconditional, "it returned a body with digest"},
        {"fetch/syd", newer, "its cache shows home as of"},
        {"fetch/syd", other_body, "it returned a body with digest"},
        {"fetch/syd", other_state, "of its cache, it had to say"},
        {"fetch/syd", late, "it was answered from an incomplete log"},
        {"list/fra", other_body, "it returned names with digest"},
        {"list/fra", older, "it had to return LSN"},
        {"write/syd", too_early, "it was committed outside of its own time"},
        {"once/fra", unconditional, "it wrote nothing (LSN 0), and its condition held of LSN"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_history *history = history_of(yaml);
        assert_int_equal(verified(history).differences, 0);
        struct ps_op *op = find(history, cases[i].session);
        uint64_t id = op->id;
        cases[i].forge(op);
        struct ps_verify_result result = verified(history);
        char start[64];
        (void)snprintf(start, sizeof start, "operation %llu (", (unsigned long long)id);
        if (result.differences == 0 || strncmp(result.first, start, strlen(start)) != 0 ||
            strstr(result.first, cases[i].text) == NULL) {
            fail_msg("%s: expected %s with \"%s\", got %llu: %s", cases[i].session, start,
                     cases[i].text, (unsigned long long)result.differences, result.first);
        }
        ps_history_destroy(history);
    }
}

static uint32_t request(struct ps_history *history, const char *json)
{
    return ps_intern_put(history->requests, ps_slice_of(json)) + 1;
}

/* What home decided is made again from the log, for each mutation. */
static void test_forged_mutations(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    find(history, "write/syd")->request = request(
        history,
        "{\"version\":1,\"method\":\"put\",\"object\":\"k\",\"onlyIf\":{\"uploadedBefore\":5}}");
    expect(history, "and its condition did not hold of LSN");
    ps_history_destroy(history);

    history = history_of(yaml);
    struct ps_op *delete = find(history, "delete/fra");
    delete->request =
        request(history, "{\"version\":1,\"method\":\"delete\",\"objects\":[\"x\",\"y\"]}");
    expect(history, "it deleted something, and nothing that it names was there");
    ps_history_destroy(history);

    history = history_of(yaml);
    find(history, "vain/fra")->request =
        request(history, "{\"version\":1,\"method\":\"delete\",\"objects\":[\"once\"]}");
    expect(history, "it deleted nothing, and what it names was there");
    ps_history_destroy(history);

    history = history_of(yaml); /* a purge that nobody made */
    find(history, "purge/fra")->key = ps_intern_put(history->keys, PS_LIT("other"));
    expect(history, "it said MISS of its cache, it had to say HIT");
    ps_history_destroy(history);

    history = history_of(yaml); /* an object that says that it may be kept for longer */
    for (size_t i = 0; i < history->op_count; i++) {
        struct ps_op *op = &history->ops[i];
        if (op->kind == PS_OP_R2_PUT && op->request != 0 && op->lsn > 1) {
            op->request = request(history, "{\"version\":1,\"method\":\"put\",\"object\":\"k\","
                                           "\"httpFields\":{\"cacheControl\":\"max-age=90\"}}");
        }
    }
    expect(history, "its cache shows home as of");
    ps_history_destroy(history);

    history = history_of(yaml);
    history->cluster->stores[0].kv.write_interval_ns = 5 * PS_SECOND;
    expect(history, "and the write limit allows one in 5000000000 ns");
    ps_history_destroy(history);
}

/* ---- what the log does not tell ---- */

#define CACHED                                                                                     \
    "seed: 5\nduration: 12s\ncluster: {pops: [ams, syd]}\nstores: {A: {type: r2}}\nworkload:\n"    \
    "  - {name: new, at: 0s, pop: ams, r2.put: {store: A, key: k.png, value: x, "                  \
    "httpMetadata: {cacheControl: max-age=3600}}}\n"                                               \
    "  - {name: fetch, every: 500ms, from: 2s, pop: syd, r2.fetch: {store: A, key: k.png}}\n"

static struct ps_op *fetch(struct ps_history *history, size_t number)
{
    for (size_t i = 0; i < history->op_count; i++) {
        if (ps_op_is_public(&history->ops[i]) && number-- == 0) {
            return &history->ops[i];
        }
    }
    fail_msg("there are not so many fetches");
    abort(); /* fail_msg does not return */
}

/* An entry that the PoP had to drop is gone from then on, whoever reads next. */
static void test_dropped_entries(void **state)
{
    (void)state;
    struct ps_history *history = history_of(CACHED);
    assert_int_equal(fetch(history, 0)->cache, PS_R2_CACHE_MISS + 1);
    assert_int_equal(fetch(history, 1)->cache, PS_R2_CACHE_HIT + 1);
    fetch(history, 8)->cache = PS_R2_CACHE_MISS + 1;
    expect(history, "it said MISS of its cache, it had to say HIT");
    fetch(history, 8)->dropped_ns = fetch(history, 8)->eval_ns - 1;
    assert_int_equal(verified(history).differences, 0);
    /* The one that dropped it waited, so that another one fetched before it. */
    fetch(history, 9)->dropped_ns = fetch(history, 8)->dropped_ns;
    fetch(history, 8)->dropped_ns = 0;
    assert_int_equal(verified(history).differences, 0);
    fetch(history, 9)->dropped_ns = fetch(history, 9)->eval_ns - 1;
    expect(history, "of its cache, it had to say");
    ps_history_destroy(history);
}

/* Home dies within a body: the fetch fails, and has left its entry. */
static void test_cut_answers(void **state)
{
    (void)state;
    struct ps_history *history =
        history_of(CACHED "faults: [{at: 2200ms, for: 1s, crash: {pop: ams}}]\n");
    assert_int_equal(verified(history).differences, 0);
    struct ps_op *cut = fetch(history, 0);
    cut->error = PS_UNREACHABLE;
    cut->found = false;
    cut->lsn = cut->digest = cut->etag = cut->cache = 0;
    assert_int_equal(verified(history).differences, 0);
    cut->eval_ns = 0;
    expect(history, "of its cache, it had to say");
    ps_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged_operations),
        cmocka_unit_test(test_dropped_entries),
        cmocka_unit_test(test_cut_answers),
        cmocka_unit_test(test_forged_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
