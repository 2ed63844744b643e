/* verify: agrees with histories made the plain way, and names exactly what was forged. */
#include "sim/measure/verify.h"
#include "tests/support/tiny_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ps_verify_result verified(const struct ps_history *history)
{
    struct ps_verify_result result;
    struct ps_error err = {0};
    if (ps_verify(history, &result, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return result;
}

static void good_histories_agree(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct tiny *tiny = tiny_create(seed, 900, seed % 2 == 0);
        struct ps_verify_result result = verified(tiny->history);
        if (result.differences != 0) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, result.first);
        }
        assert_int_equal(result.operations, 900);
        assert_true(result.reads > 400);
        assert_int_equal(result.reads + result.writes, 900);
        tiny_destroy(tiny);
    }
}

/* The first operation from the middle on that fits; -1 = any. */
static struct ps_op *find(struct ps_history *history, int store, int kind, bool found)
{
    for (size_t i = history->op_count / 2; i < history->op_count; i++) {
        struct ps_op *op = &history->ops[i];
        if (op->error == PS_OK && (store < 0 || op->store == store) && op->kind == kind &&
            op->lsn != 0 && (kind != PS_OP_KV_GET || op->found == found)) {
            return op;
        }
    }
    fail_msg("no such operation");
    return NULL;
}

static void expect_one(const struct ps_history *history, const struct ps_op *op, const char *text)
{
    struct ps_verify_result result = verified(history);
    char start[64];
    snprintf(start, sizeof start, "operation %llu (", (unsigned long long)op->id);
    if (result.differences != 1 || strncmp(result.first, start, strlen(start)) != 0 ||
        strstr(result.first, text) == NULL) {
        fail_msg("expected one difference of %s with \"%s\", got %llu: %s", start, text,
                 (unsigned long long)result.differences, result.first);
    }
}

static void forged_read_is_named(void **state)
{
    (void)state;
    for (int store = 0; store < TINY_STORES; store++) {
        struct tiny *tiny = tiny_create(3, 900, true);
        struct ps_history *history = tiny->history;
        struct ps_op *op = find(history, store, PS_OP_KV_GET, true);
        struct ps_op good = *op;
        op->lsn--;
        expect_one(history, op, "it had to return LSN");
        *op = good;
        op->lsn = 1000000;
        expect_one(history, op, "which nobody wrote");
        *op = good;
        op->digest ^= 1;
        expect_one(history, op, "that is what was written");
        *op = good;
        op->found = false;
        expect_one(history, op, "it returned nothing, it had to return a value");
        *op = good;
        op->eval_ns = op->complete_ns + 1;
        expect_one(history, op, "outside of its own time");
        *op = good;
        op->error = PS_UNREACHABLE;
        expect_one(history, op, "it had to be answered");
        *op = good;
        op->late = true;
        op->have_lsn = op->lsn;
        expect_one(history, op, "home was not down");
        *op = good;
        assert_int_equal(verified(history).differences, 0);
        op = find(history, store, PS_OP_KV_GET, false);
        op->found = true;
        expect_one(history, op, "it returned a value, it had to return nothing");
        tiny_destroy(tiny);
    }
}

/* An old deletion may be forgotten by a live node, a young one and a virtual one's may not. */
static void forgotten_deletions_are_no_difference(void **state)
{
    (void)state;
    struct ps_history *history = ps_history_create();
    struct ps_store *store;
    struct ps_error err;
    assert_int_equal(ps_cluster_add_pop(history->cluster, PS_LIT("fra"), &err), PS_OK);
    assert_int_equal(ps_cluster_add_store(history->cluster, PS_LIT("A"), PS_STORE_KV,
                                          PS_LIT("none"), &store, &err),
                     PS_OK);
    history->live = true;
    struct ps_op op = {.id = 1,
                       .kind = PS_OP_KV_DELETE,
                       .lsn = 1,
                       .eval_ns = 5,
                       .invoke_ns = 1,
                       .complete_ns = 10,
                       .boot = 1,
                       .session = ps_intern_put(history->sessions, PS_LIT("s")),
                       .key = ps_intern_put(history->keys, PS_LIT("k"))};
    ps_history_add(history, &op);
    op.id = 2;
    op.kind = PS_OP_KV_GET;
    op.lsn = 0;
    op.invoke_ns = op.eval_ns = op.complete_ns = 2 * PS_RETENTION_NS;
    ps_history_add(history, &op);
    assert_int_equal(verified(history).differences, 0);
    history->live = false;
    expect_one(history, &history->ops[1], "it returned no version, it had to return LSN 1");
    history->live = true;
    history->ops[1].invoke_ns = history->ops[1].eval_ns = history->ops[1].complete_ns =
        PS_RETENTION_NS;
    expect_one(history, &history->ops[1], "it returned no version, it had to return LSN 1");
    ps_history_destroy(history);
}

/* A read may fail when the PoP starts anew before it is answered, and not otherwise. */
static void a_new_boot_excuses_a_failure(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(3, 900, true);
    struct ps_history *history = tiny->history;
    struct ps_op *op = find(history, TINY_CACHE, PS_OP_KV_GET, true);
    op->error = PS_UNREACHABLE;
    expect_one(history, op, "it had to be answered");
    for (struct ps_op *later = op + 1; later < history->ops + history->op_count; later++) {
        later->boot += later->pop == op->pop && later->eval_ns > op->complete_ns;
    }
    struct ps_verify_result result = verified(history);
    char start[64];
    snprintf(start, sizeof start, "operation %llu (", (unsigned long long)op->id);
    /* Later reads there may differ, since they were made with the old cache: this one does not. */
    assert_true(result.differences == 0 || strncmp(result.first, start, strlen(start)) != 0);
    tiny_destroy(tiny);
}

static void reason_names_the_pin(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(4, 900, false);
    struct ps_op *op = find(tiny->history, TINY_CACHE, PS_OP_KV_GET, true);
    op->lsn--;
    expect_one(tiny->history, op, "its entry shows home as of ");
    op->lsn++;
    op = find(tiny->history, TINY_FIFO, PS_OP_KV_GET, true);
    op->lsn--;
    expect_one(tiny->history, op, "was the newest visible there");
    tiny_destroy(tiny);
}

/* A PoP's decisions have a total order: two at one instant cannot be replayed. */
static void instants_are_unique(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(5, 900, false);
    struct ps_history *history = tiny->history;
    struct ps_op twin = *find(history, TINY_CACHE, PS_OP_KV_GET, true);
    twin.id = 901;
    ps_history_add(history, &twin);
    ps_history_sort(history);
    expect_one(history, &twin, "at the same instant");
    tiny_destroy(tiny);
}

/* A read said to have been decided earlier than the entry it shows was filled. */
static void order_of_evaluation_counts(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(5, 900, false);
    struct ps_history *history = tiny->history;
    struct ps_op *read = find(history, TINY_FIFO, PS_OP_KV_GET, true);
    ps_time_ns commit_ns = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        if (op->store == TINY_FIFO && op->kind != PS_OP_KV_GET && op->lsn == read->lsn) {
            commit_ns = op->eval_ns;
        }
    }
    assert_true(commit_ns > 0);
    read->eval_ns = commit_ns - 1;
    read->invoke_ns = commit_ns - 1;
    expect_one(history, read, "became visible at");
    tiny_destroy(tiny);
}

static void forged_write_is_named(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(6, 900, false);
    struct ps_history *history = tiny->history;
    struct ps_op *op = find(history, TINY_CACHE, PS_OP_KV_PUT, false);
    ps_time_ns refresh_ns = op->refresh_ns;
    op->refresh_ns = op->complete_ns + 1;
    struct ps_verify_result result = verified(history);
    assert_true(result.differences >= 1);
    assert_non_null(strstr(result.first, "entry was refreshed at"));
    op->refresh_ns = 0;
    result = verified(history);
    assert_true(result.differences >= 1);
    assert_non_null(strstr(result.first, "was not refreshed"));
    op->refresh_ns = refresh_ns;
    struct ps_op *push = find(history, TINY_FIFO, PS_OP_KV_PUT, false);
    push->refresh_ns = push->complete_ns;
    expect_one(history, push, "the policy says it is not");
    push->refresh_ns = 0;
    assert_int_equal(verified(history).differences, 0);
    tiny_destroy(tiny);
}

static void broken_log_is_named(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(7, 900, false);
    struct ps_history *history = tiny->history;
    struct ps_op *op = find(history, TINY_FIFO, PS_OP_KV_PUT, false);
    struct ps_op good = *op;
    op->lsn--;
    struct ps_verify_result result = verified(history);
    assert_int_equal(result.differences, 2); /* given twice, and its own is missing */
    assert_non_null(strstr(result.first, "this LSN was given twice"));
    *op = good;
    op->lsn += 100000;
    result = verified(history);
    assert_non_null(strstr(result.first, "records are missing"));
    *op = good;
    for (size_t i = 0; i < history->op_count; i++) {
        struct ps_op *before = &history->ops[i];
        if (before->store == op->store && before->kind != PS_OP_KV_GET &&
            before->lsn == op->lsn - 1) {
            op->eval_ns = before->eval_ns;
        }
    }
    result = verified(history);
    assert_true(result.differences >= 1);
    *op = good;
    assert_int_equal(verified(history).differences, 0);
    tiny_destroy(tiny);
}

static void foreign_records_fill_in(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(8, 900, false);
    struct ps_history *history = tiny->history;
    struct ps_op *op = find(history, TINY_STRONG, PS_OP_KV_PUT, false);
    history->foreign = PS_NEW(struct ps_foreign);
    history->foreign_count = 1;
    history->foreign[0] = (struct ps_foreign){.store = op->store,
                                              .lsn = op->lsn,
                                              .commit_ns = op->eval_ns,
                                              .key = op->key,
                                              .expires_unix_s = op->expires_unix_s,
                                              .digest = op->digest};
    assert_int_equal(verified(history).differences, 1);
    op->lsn = 0;
    op->error = PS_TIMEOUT;
    assert_int_equal(verified(history).differences, 0);
    tiny_destroy(tiny);
}

/* A start of the PoP empties its cache: the same reads are wrong if it is said to have restarted.
 */
static void boot_empties_the_cache(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(9, 900, false);
    struct ps_history *history = tiny->history;
    for (size_t i = 0; i < history->op_count; i++) {
        struct ps_op *op = &history->ops[i];
        op->boot = op->store == TINY_CACHE ? (uint32_t)(op->eval_ns / PS_SECOND) + 1 : 1;
    }
    assert_true(verified(history).differences > 0);
    tiny_destroy(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_histories_agree),
        cmocka_unit_test(forged_read_is_named),
        cmocka_unit_test(forgotten_deletions_are_no_difference),
        cmocka_unit_test(a_new_boot_excuses_a_failure),
        cmocka_unit_test(reason_names_the_pin),
        cmocka_unit_test(instants_are_unique),
        cmocka_unit_test(order_of_evaluation_counts),
        cmocka_unit_test(forged_write_is_named),
        cmocka_unit_test(broken_log_is_named),
        cmocka_unit_test(foreign_records_fill_in),
        cmocka_unit_test(boot_empties_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
