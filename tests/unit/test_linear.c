/* The checker of linearizability (tests/support/linear.h): histories by hand that are and that are
 * not, and random short ones against all orders. */
#include "replication/base/random.h"
#include "tests/support/linear.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define READ(read, from, until)                                                                    \
    {                                                                                              \
        .kind = LINEAR_READ, .value = (read), .invoke_ns = (from), .complete_ns = (until)          \
    }
#define WRITE(written, from, until)                                                                \
    {                                                                                              \
        .kind = LINEAR_WRITE, .value = (written), .invoke_ns = (from), .complete_ns = (until)      \
    }
#define LOST(written, from)                                                                        \
    {                                                                                              \
        .kind = LINEAR_WRITE, .value = (written), .invoke_ns = (from), .outcome = LINEAR_UNKNOWN   \
    }
#define WRITE_IF(how, known, written, said, from, until)                                           \
    {                                                                                              \
        .kind = LINEAR_WRITE, .condition = (how), .expected = (known), .value = (written),         \
        .outcome = (said), .invoke_ns = (from), .complete_ns = (until)                             \
    }
#define IS(...)                                                                                    \
    do {                                                                                           \
        const struct linear_op ops[] = {__VA_ARGS__};                                              \
        assert_true(linear_check(ops, sizeof ops / sizeof ops[0], 0, NULL));                       \
    } while (0)
#define IS_NOT(stuck, ...)                                                                         \
    do {                                                                                           \
        const struct linear_op ops[] = {__VA_ARGS__};                                              \
        size_t at = SIZE_MAX;                                                                      \
        assert_false(linear_check(ops, sizeof ops / sizeof ops[0], 0, &at));                       \
        assert_int_equal(at, stuck);                                                               \
    } while (0)

static void one_after_the_other(void **state)
{
    (void)state;
    assert_true(linear_check(NULL, 0, 0, NULL));
    IS(READ(0, 1, 2), WRITE(1, 3, 4), READ(1, 5, 6), WRITE(0, 7, 8), READ(0, 9, 10));
    IS_NOT(1, WRITE(1, 1, 2), READ(0, 3, 4));                 /* stale */
    IS_NOT(2, WRITE(1, 1, 2), WRITE(2, 3, 4), READ(1, 5, 6)); /* lost update */
    IS_NOT(0, READ(1, 1, 2), WRITE(1, 3, 4));                 /* the future */
    IS_NOT(2, WRITE(1, 1, 2), WRITE(0, 3, 4), READ(1, 5, 6)); /* back from the dead */
    IS_NOT(0, READ(7, 1, 2));                                 /* nobody wrote it */
    IS_NOT(3, WRITE(1, 1, 2), WRITE(2, 3, 4), READ(2, 5, 6), READ(1, 7, 8)); /* back in time */
}

static void at_the_same_time(void **state)
{
    (void)state;
    IS(WRITE(1, 1, 10), READ(0, 2, 3), READ(1, 4, 5));
    IS(WRITE(1, 1, 10), WRITE(2, 1, 10), READ(1, 11, 12));
    IS(WRITE(1, 1, 10), WRITE(2, 1, 10), READ(2, 11, 12));
    IS_NOT(2, WRITE(1, 1, 10), READ(1, 2, 3), READ(0, 4, 5));
    /* Two readers see two writes in different orders. */
    IS_NOT(5, WRITE(1, 1, 20), WRITE(2, 1, 20), READ(1, 2, 3), READ(2, 4, 5), READ(2, 6, 7),
           READ(1, 8, 9));
    IS(WRITE(1, 1, 2), READ(0, 2, 3)); /* at the same instant */
}

static void conditions(void **state)
{
    (void)state;
    IS(WRITE_IF(LINEAR_IF, 0, 1, LINEAR_DONE, 1, 2), WRITE_IF(LINEAR_IF, 1, 2, LINEAR_DONE, 3, 4),
       READ(2, 5, 6));
    IS(WRITE(1, 1, 2), WRITE_IF(LINEAR_IF, 0, 2, LINEAR_REFUSED, 3, 4), READ(1, 5, 6));
    /* Both of two that wanted the same value got it. */
    IS_NOT(1, WRITE_IF(LINEAR_IF, 0, 1, LINEAR_DONE, 1, 9),
           WRITE_IF(LINEAR_IF, 0, 2, LINEAR_DONE, 1, 10));
    IS_NOT(0, WRITE_IF(LINEAR_IF, 0, 1, LINEAR_REFUSED, 1, 2));
    IS_NOT(1, WRITE(1, 1, 2), WRITE_IF(LINEAR_IF_NOT, 1, 2, LINEAR_DONE, 3, 4));
    IS(WRITE(1, 1, 2), WRITE_IF(LINEAR_IF_NOT, 9, 2, LINEAR_DONE, 3, 4), READ(2, 5, 6));
    /* What was refused must not be seen. */
    IS_NOT(2, WRITE(1, 1, 2), WRITE_IF(LINEAR_IF, 0, 2, LINEAR_REFUSED, 3, 4), READ(2, 5, 6));
}

static void unknown_outcomes(void **state)
{
    (void)state;
    IS(LOST(1, 1), READ(0, 2, 3));
    IS(LOST(1, 1), READ(0, 2, 3), READ(1, 4, 5));
    IS(LOST(1, 1), READ(0, 2, 3), WRITE(2, 4, 5), READ(1, 6, 7));
    IS_NOT(2, LOST(1, 1), READ(1, 2, 3), READ(0, 4, 5));
    IS_NOT(0, READ(1, 1, 2), LOST(1, 3));
    IS_NOT(4, LOST(1, 1), READ(1, 2, 3), WRITE(2, 4, 5), READ(2, 6, 7), READ(1, 8, 9)); /* twice */
    IS(WRITE(1, 1, 2), LOST(0, 3), READ(1, 4, 5), READ(0, 6, 7));
    /* Seen by nobody, but a condition failed by it. */
    IS(LOST(1, 1), WRITE_IF(LINEAR_IF, 0, 2, LINEAR_REFUSED, 2, 3));
    IS_NOT(0, WRITE_IF(LINEAR_IF, 0, 2, LINEAR_REFUSED, 2, 3), LOST(1, 4));
    IS(WRITE_IF(LINEAR_IF, 0, 1, LINEAR_UNKNOWN, 1, 0), READ(1, 2, 3));
    IS_NOT(2, WRITE(2, 1, 2), WRITE_IF(LINEAR_IF, 0, 1, LINEAR_UNKNOWN, 3, 0), READ(1, 4, 5));
}

/* ---- against all orders ---- */

enum { OPS = 6, CLIENTS = 3, ROUNDS = 20000 };

static bool any_order(const struct linear_op *ops, unsigned left, uint64_t value)
{
    bool all = true;
    for (unsigned i = 0; i < OPS; i++) {
        bool open = (left >> i & 1U) != 0 && ops[i].outcome != LINEAR_UNKNOWN;
        all = all && !open;
    }
    for (unsigned i = 0; i < OPS && !all; i++) {
        uint64_t next;
        bool first = (left >> i & 1U) != 0 && linear_apply(&ops[i], value, &next);
        for (unsigned k = 0; k < OPS && first; k++) {
            first = (left >> k & 1U) == 0 || ops[k].outcome == LINEAR_UNKNOWN ||
                    ops[k].complete_ns >= ops[i].invoke_ns;
        }
        all = first && any_order(ops, left & ~(1U << i), next);
    }
    return all;
}

/* Clients one operation after the other; what is read is any value. */
static void draw(struct ps_rng *rng, struct linear_op ops[OPS])
{
    uint64_t now_ns[CLIENTS] = {0};
    for (size_t i = 0; i < OPS; i++) {
        size_t client = i % CLIENTS;
        bool write = ps_rng_below(rng, 2) == 0;
        ops[i] = (struct linear_op){.kind = write ? LINEAR_WRITE : LINEAR_READ};
        ops[i].invoke_ns = now_ns[client] + 1 + ps_rng_below(rng, 4);
        ops[i].complete_ns = ops[i].invoke_ns + 1 + ps_rng_below(rng, 6);
        now_ns[client] = ops[i].complete_ns;
        ops[i].value = write ? i + 1 : ps_rng_below(rng, OPS + 1);
        if (write) {
            ops[i].value = ps_rng_below(rng, 4) == 0 ? 0 : i + 1;
            ops[i].condition = (enum linear_condition)ps_rng_below(rng, 3);
            ops[i].expected = ps_rng_below(rng, 3);
            ops[i].outcome = (enum linear_outcome)ps_rng_below(rng, 3);
            if (ops[i].condition == LINEAR_ALWAYS && ops[i].outcome == LINEAR_REFUSED) {
                ops[i].outcome = LINEAR_DONE;
            }
        }
    }
}

static void agrees_with_all_orders(void **state)
{
    (void)state;
    struct ps_rng rng = {.seed = 3};
    size_t good = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct linear_op ops[OPS];
        draw(&rng, ops);
        bool expected = any_order(ops, (1U << OPS) - 1, 0);
        if (linear_check(ops, OPS, 0, NULL) != expected) {
            fail_msg("round %zu: the checker says %d", round, !expected);
        }
        good += expected;
    }
    assert_true(good > ROUNDS / 100 && good < ROUNDS / 2);
}

/* Many clients and many operations take little time, also when there is a fault at the end. */
static void long_histories(void **state)
{
    enum { LONG = 4000, WIDTH = 16 };

    (void)state;
    struct linear_op *ops = PS_NEW_ARRAY(struct linear_op, LONG + 1);
    struct ps_rng rng = {.seed = 4};
    uint64_t value = 0;
    for (size_t i = 0; i < LONG; i++) { /* each takes effect at 100 * i */
        bool write = ps_rng_below(&rng, 3) == 0;
        value = write ? i + 1 : value;
        ops[i] =
            (struct linear_op){.kind = write ? LINEAR_WRITE : LINEAR_READ,
                               .value = value,
                               .invoke_ns = 100 * i + 10000 - ps_rng_below(&rng, WIDTH * 50),
                               .complete_ns = 100 * i + 10000 + ps_rng_below(&rng, WIDTH * 50)};
    }
    assert_true(linear_check(ops, LONG, 0, NULL));
    size_t stuck;
    ops[LONG] = (struct linear_op)READ(UINT64_MAX - 1, 1000000000, 1000000001);
    assert_false(linear_check(ops, LONG + 1, 0, &stuck));
    assert_int_equal(stuck, LONG);
    free(ops);
}

/* As when processes are killed: of every fifth write nobody knows the outcome, and conditions fail
 * by what nobody saw. */
static void many_unknown_outcomes(void **state)
{
    enum { MANY = 2000, FEWER = 150 };

    (void)state;
    struct linear_op *ops = PS_NEW_ARRAY(struct linear_op, MANY);
    struct ps_rng rng = {.seed = 5};
    uint64_t value = 0;
    for (size_t i = 0; i < MANY; i++) {
        struct linear_op *op = &ops[i];
        *op = (struct linear_op){.kind = LINEAR_READ, .value = value};
        if (ps_rng_below(&rng, 2) == 0) {
            op->kind = LINEAR_WRITE;
            op->value = ps_rng_below(&rng, 4) == 0 ? 0 : i + 1;
            op->condition = ps_rng_below(&rng, 3) == 0 ? LINEAR_IF : LINEAR_ALWAYS;
            op->expected = ps_rng_below(&rng, 2) == 0 ? value : ps_rng_below(&rng, i + 1);
            bool holds = op->condition == LINEAR_ALWAYS || op->expected == value;
            bool lost = ps_rng_below(&rng, 5) == 0;
            bool effect = holds && (!lost || ps_rng_below(&rng, 2) == 0);
            op->outcome = lost ? LINEAR_UNKNOWN : holds ? LINEAR_DONE : LINEAR_REFUSED;
            value = effect ? op->value : value;
        }
        op->invoke_ns = 100 * i + 10000 - ps_rng_below(&rng, 400);
        op->complete_ns = 100 * i + 10000 + ps_rng_below(&rng, 400);
    }
    assert_true(linear_check(ops, MANY, 0, NULL));
    size_t stuck;
    ops[FEWER] = (struct linear_op)READ(UINT64_MAX - 1, 1000000000, 1000000001);
    assert_false(linear_check(ops, FEWER + 1, 0, &stuck));
    assert_int_equal(stuck, FEWER);
    free(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(at_the_same_time),
        cmocka_unit_test(conditions),
        cmocka_unit_test(unknown_outcomes),
        cmocka_unit_test(agrees_with_all_orders),
        cmocka_unit_test(long_histories),
        cmocka_unit_test(many_unknown_outcomes),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
