/* Two runs read by read: versions known by their writes, LSNs in any order. */
#include "replication/base/memory.h"
#include "sim/report/agree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ps_history *begin(bool live, ps_time_ns begin_ns)
{
    struct ps_history *history = ps_history_create();
    struct ps_store *store;
    assert_int_equal(ps_cluster_add_pop(history->cluster, PS_LIT("fra"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_pop(history->cluster, PS_LIT("syd"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_store(history->cluster, PS_LIT("CACHE"), PS_STORE_KV,
                                          PS_LIT(""), &store, NULL),
                     PS_OK);
    history->live = live;
    history->begin_ns = begin_ns;
    return history;
}

static struct ps_op *add(struct ps_history *history, enum ps_op_kind kind, const char *session,
                         const char *key, uint64_t lsn, ps_time_ns eval_ns)
{
    struct ps_op op = {.id = history->op_count + 1,
                       .kind = (uint8_t)kind,
                       .session = ps_intern_put(history->sessions, ps_slice_of(session)),
                       .key = ps_intern_put(history->keys, ps_slice_of(key)),
                       .lsn = lsn,
                       .eval_ns = history->begin_ns + eval_ns,
                       .found = kind == PS_OP_KV_GET && lsn != 0};
    ps_history_add(history, &op);
    return &history->ops[history->op_count - 1];
}

#define PUT(history, session, lsn, at) add(history, PS_OP_KV_PUT, session, "k", lsn, at)
#define GET(history, session, lsn, at) add(history, PS_OP_KV_GET, session, "k", lsn, at)

static struct ps_agreement agree(struct ps_history *left, struct ps_history *right)
{
    struct ps_agreement ret;
    ps_agree(left, right, &ret);
    assert_int_equal(ret.matched, ret.failed + ret.same + ret.newer + ret.older + ret.other);
    return ret;
}

/* Two writers in another order: the LSNs differ, the versions are the same. */
static void test_by_writer(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(true, 1000);
    PUT(left, "a", 1, 10);
    PUT(left, "b", 2, 11);
    GET(left, "r", 1, 20);
    GET(left, "r", 2, 30);
    GET(left, "r", 0, 40);
    PUT(right, "b", 1, 9); /* session numbers differ too */
    PUT(right, "a", 2, 12);
    GET(right, "r", 2, 20);
    GET(right, "r", 1, 33);
    GET(right, "r", 0, 45);
    struct ps_agreement got = agree(left, right);
    assert_int_equal(got.left_reads, 3);
    assert_int_equal(got.right_reads, 3);
    assert_int_equal(got.matched, 3);
    assert_int_equal(got.same, 3);
    assert_int_equal(got.shift_p50, 3);
    assert_int_equal(got.shift_most, 5);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

static void test_newer_and_older(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(true, 0);
    struct ps_history *both[2] = {left, right};
    for (int i = 0; i < 2; i++) {
        PUT(both[i], "w", 1, 1);
        PUT(both[i], "w", 2, 2);
    }
    static const uint64_t lsns[][2] = {{1, 2}, {2, 1}, {0, 1}, {2, 0}, {2, 2}};
    for (size_t n = 0; n < sizeof lsns / sizeof lsns[0]; n++) {
        GET(left, "r", lsns[n][0], 10);
        GET(right, "r", lsns[n][1], 10);
    }
    struct ps_agreement got = agree(left, right);
    assert_int_equal(got.newer, 2);
    assert_int_equal(got.older, 2);
    assert_int_equal(got.same, 1);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

static void test_no_telling(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(true, 0);
    PUT(left, "w", 1, 1);
    PUT(right, "w", 0, 0)->error = PS_TIMEOUT; /* there it never happened */
    GET(left, "r", 1, 10);
    GET(right, "r", 0, 10);
    /* The same version, expired in one run. */
    PUT(left, "v", 2, 11);
    PUT(right, "v", 1, 11);
    GET(left, "r", 2, 12)->found = false;
    GET(right, "r", 1, 12);
    /* What others wrote. */
    GET(left, "r", 7, 13);
    GET(right, "r", 1, 13);
    add(left, PS_OP_KV_LIST, "l", "k", 1, 14)->digest = 5;
    add(right, PS_OP_KV_LIST, "l", "k", 9, 14)->digest = 5;
    add(left, PS_OP_KV_LIST, "l", "k", 1, 15)->digest = 5;
    add(right, PS_OP_KV_LIST, "l", "k", 1, 15)->digest = 6;
    struct ps_agreement got = agree(left, right);
    assert_int_equal(got.matched, 5);
    assert_int_equal(got.other, 4);
    assert_int_equal(got.same, 1);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

static struct ps_op *ask(struct ps_history *history, uint64_t lsn, bool wrote, ps_time_ns at_ns)
{
    struct ps_op *op = add(history, PS_OP_D1_QUERY, "q", "", lsn, at_ns);
    op->store = 1;
    op->wrote = wrote;
    op->request = ps_intern_put(history->requests, PS_LIT("a request")) + 1;
    return op;
}

/* The schema is known by what it is, and a refusal is an answer. */
static void test_databases(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(true, 0);
    struct ps_history *both[2] = {left, right};
    for (uint64_t i = 0; i < 2; i++) {
        struct ps_history *history = both[i];
        struct ps_store *store;
        assert_int_equal(ps_cluster_add_store(history->cluster, PS_LIT("DB"), PS_STORE_D1,
                                              PS_LIT(""), &store, NULL),
                         PS_OK);
        /* On the right another run was there before. */
        history->foreign_count = 1 + i;
        history->foreign = PS_NEW_ARRAY(struct ps_foreign, 2);
        history->foreign[0] = (struct ps_foreign){.store = 1, .lsn = 1};
        history->foreign[i] = (struct ps_foreign){
            .store = 1,
            .lsn = 1 + i,
            .request = ps_intern_put(history->requests, PS_LIT("a schema")) + 1};
        ask(history, 2 + i, true, 5);
        ask(history, 1 + i, false, 10);                     /* the same */
        ask(history, 2 - i, false, 11)->error = PS_INVALID; /* by the op; by others */
        ask(history, 1 + i, false, 12)->error = PS_INVALID; /* the same */
        ask(history, 1 + 2 * i, false, 13);                 /* the schema; newer */
        ask(history, 2, false, 14);                         /* older: the schema's */
        ask(history, 1 + i, false, 15)->error = i ? PS_INVALID : PS_OK;
        ask(history, 0, false, 16)->error = i ? PS_TIMEOUT : PS_OK;
    }
    struct ps_agreement got = agree(left, right);
    assert_int_equal(got.matched, 7);
    assert_int_equal(got.same, 2);
    assert_int_equal(got.newer, 1);
    assert_int_equal(got.older, 2);
    assert_int_equal(got.other, 1);
    assert_int_equal(got.failed, 1);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

static void test_not_matched(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(false, 0);
    GET(left, "r", 0, 1);
    GET(right, "r", 0, 1)->error = PS_UNREACHABLE;
    GET(left, "r", 0, 2)->pop = 1; /* asked elsewhere */
    GET(right, "r", 0, 2);
    add(left, PS_OP_KV_GET, "r", "other", 0, 3);
    GET(right, "r", 0, 3);
    PUT(left, "r", 1, 4);
    GET(right, "r", 0, 4);
    GET(right, "r", 0, 5); /* more than there were */
    GET(right, "s", 0, 6);
    struct ps_agreement got = agree(left, right);
    assert_int_equal(got.matched, 1);
    assert_int_equal(got.failed, 1);
    assert_int_equal(got.left_reads, 3);
    assert_int_equal(got.right_reads, 6);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

static void test_text(void **state)
{
    (void)state;
    struct ps_history *left = begin(false, 0);
    struct ps_history *right = begin(true, 0);
    struct ps_buf text = {0};
    struct ps_agreement agreement = {.left_reads = 9,
                                     .right_reads = 8,
                                     .matched = 8,
                                     .failed = 1,
                                     .same = 4,
                                     .newer = 2,
                                     .older = 1,
                                     .shift_p50 = 5 * PS_MS,
                                     .shift_most = PS_SECOND};
    ps_agree_text(&agreement, left, right, &text);
    assert_non_null(strstr(ps_buf_text(&text), "8 of 9 reads were asked in both runs"));
    assert_non_null(strstr(ps_buf_text(&text), "1 of them not answered"));
    assert_non_null(strstr(ps_buf_text(&text), "4 of 7 answers (57.14 %)"));
    assert_non_null(
        strstr(ps_buf_text(&text), "live run's are newer 2 times, older 1 times, else 0"));
    assert_non_null(strstr(ps_buf_text(&text), "(median; at most 1s)"));
    ps_buf_fini(&text);
    ps_history_destroy(left);
    ps_history_destroy(right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_writer),   cmocka_unit_test(test_newer_and_older),
        cmocka_unit_test(test_no_telling),  cmocka_unit_test(test_databases),
        cmocka_unit_test(test_not_matched), cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
