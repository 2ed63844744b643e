/* Scenarios from their text, run in the virtual world, and what is asked of their histories. For
 * test programs with cmocka. */
#ifndef PS_TESTS_SUPPORT_RUNS_H
#define PS_TESTS_SUPPORT_RUNS_H

#include "sim/measure/measure.h"
#include "sim/measure/verify.h"
#include "sim/world/world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline struct ps_scenario *scenario_of(const char *yaml)
{
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    if (ps_scenario_parse(ps_slice_of(yaml), NULL, NULL, 0, &scenario, &err) != PS_OK) {
        fail_msg("%s\n%s", err.text, yaml);
    }
    return scenario;
}

/* `yaml`: what to print besides when it cannot be run. */
static inline struct ps_history *run_of(const struct ps_scenario *scenario, const char *yaml)
{
    struct ps_history *history = NULL;
    struct ps_error err = {0};
    if (ps_world_run(scenario, NULL, &history, &err) != PS_OK) {
        fail_msg("%s\n%s", err.text, yaml);
    }
    return history;
}

static inline struct ps_history *history_of(const char *yaml)
{
    struct ps_scenario *scenario = scenario_of(yaml);
    struct ps_history *history = run_of(scenario, yaml);
    ps_scenario_destroy(scenario);
    return history;
}

static inline void hash_of(const struct ps_history *history, char ret[65])
{
    assert_int_equal(ps_history_write(history, NULL, ret, NULL), PS_OK);
}

static inline struct ps_measures *measures_of(const struct ps_history *history)
{
    struct ps_measures *measures = ps_measures_create(history->cluster);
    struct ps_error err = {0};
    if (ps_measure(history, measures, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return measures;
}

/* The session's operation that was invoked then. */
static inline const struct ps_op *op_at(const struct ps_history *history, const char *session_name,
                                        ps_time_ns invoke_ns)
{
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        struct ps_slice name = ps_intern_text(history->sessions, op->session);
        if (op->invoke_ns == invoke_ns && ps_slice_eq(name, ps_slice_of(session_name))) {
            return op;
        }
    }
    fail_msg("%s did nothing at %" PRIu64 " ns", session_name, invoke_ns);
    abort(); /* fail_msg does not return */
}

#endif
