/* verify of D1: names what was forged in a history of the virtual world. */
#include "tests/support/forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char yaml[] =
    "seed: 5\nduration: 30s\ncluster: {pops: [ams, fra, syd]}\nstores:\n"
    "  DB: {type: d1, delay: 2s, timeout: 10s, schema_sql: 'CREATE TABLE t (id INTEGER PRIMARY "
    "KEY, "
    "v)'}\n"
    "workload:\n"
    "  - {name: write, every: 1s, from: 5s, pop: syd, d1.query: {store: DB, sql: 'INSERT INTO t "
    "(v) "
    "VALUES (random()) RETURNING id, v'}}\n"
    "  - {name: home, every: 700ms, from: 5s, pop: syd, d1.query: {store: DB, sql: 'SELECT max(id) "
    "FROM t'}}\n"
    "  - {name: here, every: 300ms, from: 5s, pop: [fra, syd], d1.query: {store: DB, sql: 'SELECT "
    "max(id) FROM t', withSession: first-unconstrained}}\n"
    "  - {name: chance, every: 1500ms, from: 5s, pop: syd, d1.query: {store: DB, sql: \"SELECT "
    "random(), datetime('now')\", withSession: first-unconstrained}}\n"
    "  - {name: carried, clients: 1, think: 500ms, from: 5s, pop: syd, d1.query: {store: DB, sql: "
    "'SELECT count(*) FROM t', withSession: bookmark}}\n"
    "  - {name: wrong, every: 2s, from: 5s, pop: syd, d1.query: {store: DB, sql: 'SELECT nothing "
    "FROM "
    "t', withSession: first-unconstrained}}\n";

/* ---- what is forged ---- */

static void other_answer(struct ps_op *op)
{
    op->digest ^= 1;
}

static void other_rows(struct ps_op *op)
{
    op->rows_read++;
}

static void other_chance(struct ps_op *op)
{
    op->seed++;
}

static void other_time(struct ps_op *op)
{
    op->run_ns += PS_SECOND;
}

static void at_a_replica(struct ps_op *op)
{
    op->at_home = false;
}

static void at_any_replica(struct ps_op *op)
{
    op->with_session = PS_D1_SESSION_UNCONSTRAINED;
}

static void higher_bookmark(struct ps_op *op)
{
    op->bookmark_lsn = op->lsn + 1;
}

static void in_vain(struct ps_op *op)
{
    op->error = PS_TIMEOUT;
    op->complete_ns = op->invoke_ns + 10 * PS_SECOND;
}

static void accepted(struct ps_op *op)
{
    op->error = PS_OK;
}

static void refused(struct ps_op *op)
{
    op->error = PS_INVALID;
}

static void incomplete(struct ps_op *op)
{
    op->late = true;
    op->have_lsn = op->lsn;
}

static void of_an_earlier_start(struct ps_op *op)
{
    op->boot = 0x7fffffff;
}

static void test_forged_operations(void **state)
{
    (void)state;

    static const struct {
        const char *session;
        void (*forge)(struct ps_op *op);
        const char *text;
    } cases[] = {
        {"here/fra", older, "had to read LSN"},
        {"here/syd", newer, "it was the newest visible there"},
        {"home/syd", older, "home had committed that by then"},
        {"here/fra", other_answer, "its answer has the digest"},
        {"home/syd", other_answer, "its answer has the digest"},
        {"write/syd", other_answer, "its answer has the digest"},
        {"wrong/syd", other_answer, "its answer has the digest"},
        {"here/fra", other_rows, "it read"},
        {"chance/syd", other_chance, "its answer has the digest"},
        {"chance/syd", other_time, "its answer has the digest"},
        {"home/syd", at_a_replica, "it was run at a replica, and its session asks for home"},
        {"home/syd", at_any_replica, "it was run at home, and it is a read"},
        {"write/syd", at_a_replica, "it wrote, and was not run at home"},
        {"carried/syd#1", higher_bookmark, "that is its bookmark's"},
        {"here/fra", unreachable, "it failed (unreachable), it had to be answered"},
        {"carried/syd#1", in_vain, "it failed (timeout), it had to be answered"},
        {"wrong/syd", accepted, "it was done, it had to be refused"},
        {"here/syd", refused, "it was refused, it had to be done"},
        {"here/fra", incomplete, "it was answered from an incomplete log"},
        {"here/fra", too_early, "it was evaluated outside of its own time"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_history *history = history_of(yaml);
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

static void test_a_start_before_another(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    of_an_earlier_start(find(history, "here/fra"));
    expect(history, "and later by its clock in start 1");
    ps_history_destroy(history);
}

/* What home answered was not, if the link was cut from before it was asked until it was answered.
 */
static void test_a_cut_link(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    const struct ps_op *op = find(history, "home/syd");
    const struct ps_interval cut = {op->invoke_ns - 1, op->complete_ns + 1};
    assert_int_equal(ps_link_cut(&history->links[2], cut), PS_OK);
    expect(history, "it was answered, and home could not be reached: the link was cut");
    ps_history_destroy(history);
}

/* A write that is no write leaves a hole. */
static void test_a_missing_record(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    find(history, "write/syd")->wrote = false;
    expect(history, "records are missing between it and");
    ps_history_destroy(history);
}

static void test_another_request(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    uint32_t select = find(history, "home/syd")->request;
    find(history, "write/syd")->request = select;
    expect(history, "the request that made it commits nothing there");
    ps_history_destroy(history);

    history = history_of(yaml);
    find(history, "home/syd")->request = find(history, "write/syd")->request;
    expect(history, "it wrote nothing, and the same request writes");
    ps_history_destroy(history);

    history = history_of(yaml);
    assert_int_equal(history->foreign_count, 1);
    history->foreign[0].request = select;
    expect(history, "LSN 1, a foreign record: the request that made it commits nothing there");
    ps_history_destroy(history);
}

static void test_instants_are_unique(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    struct ps_op *op = find(history, "home/syd");
    struct ps_op twin = *op;
    twin.id = history->op_count + 1;
    ps_history_add(history, &twin);
    ps_history_sort(history);
    expect(history, "its instants are unique");
    ps_history_destroy(history);

    history = history_of(yaml);
    twin = *find(history, "here/fra");
    twin.id = history->op_count + 1;
    ps_history_add(history, &twin);
    ps_history_sort(history);
    expect(history, "a PoP's instants are unique");
    ps_history_destroy(history);
}

/* Nobody knows what the first record holds: nothing can be made again, but one request at one LSN
 * still has one answer. */
static void test_an_unknown_record(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    history->foreign[0].request = 0;
    struct ps_verify_result result = verified(history);
    assert_int_equal(result.differences, 0);
    assert_int_equal(result.answers, 0);
    assert_true(result.answers_skipped > 200);
    struct ps_op *op = find(history, "here/fra");
    op->digest ^= 1;
    expect(history, "and the same request got");
    ps_history_destroy(history);
}

/* Without its seed, what could depend on chance is not run again, and the rest is. */
static void test_an_unknown_seed(void **state)
{
    (void)state;
    struct ps_history *history = history_of(yaml);
    for (size_t i = 0; i < history->op_count; i++) {
        history->ops[i].seed = history->ops[i].wrote ? history->ops[i].seed : 0;
    }
    struct ps_verify_result result = verified(history);
    assert_int_equal(result.differences, 0);
    assert_int_equal(result.answers_skipped, 17); /* one each 1.5 s from 5 s until 30 s */
    assert_true(result.answers > 200);
    ps_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged_operations), cmocka_unit_test(test_a_start_before_another),
        cmocka_unit_test(test_a_missing_record),  cmocka_unit_test(test_a_cut_link),
        cmocka_unit_test(test_another_request),   cmocka_unit_test(test_instants_are_unique),
        cmocka_unit_test(test_an_unknown_record), cmocka_unit_test(test_an_unknown_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
