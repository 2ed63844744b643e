/* Histories that are forged, and what verify says of them. */
#ifndef PS_TESTS_SUPPORT_FORGE_H
#define PS_TESTS_SUPPORT_FORGE_H

#include "tests/support/runs.h"

static inline struct ps_verify_result verified(const struct ps_history *history)
{
    struct ps_verify_result result;
    assert_int_equal(ps_verify(history, &result, NULL), PS_OK);
    return result;
}

/* The session's first operation from the middle of the history on. */
static inline struct ps_op *find(struct ps_history *history, const char *session)
{
    for (size_t i = history->op_count / 2; i < history->op_count; i++) {
        struct ps_op *op = &history->ops[i];
        if (ps_slice_eq(ps_intern_text(history->sessions, op->session), ps_slice_of(session))) {
            return op;
        }
    }
    fail_msg("no operation of %s", session);
    abort(); /* fail_msg does not return */
}

/* Its first difference says that. */
static inline void expect(const struct ps_history *history, const char *text)
{
    struct ps_verify_result result = verified(history);
    if (result.differences == 0 || strstr(result.first, text) == NULL) {
        fail_msg("expected \"%s\", got %llu: %s", text, (unsigned long long)result.differences,
                 result.first);
    }
}

static inline void older(struct ps_op *op)
{
    op->lsn--;
}

static inline void newer(struct ps_op *op)
{
    op->lsn++;
}

static inline void too_early(struct ps_op *op)
{
    op->eval_ns = op->invoke_ns - 1;
}

static inline void unreachable(struct ps_op *op)
{
    op->error = PS_UNREACHABLE;
}

#endif
