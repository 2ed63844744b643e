/* Any bytes as a scenario: read or refused with a place, never anything else. A second read of what
 * was read, with settings, must do as well. */
#include "sim/scenario/scenario.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* libfyaml 0.7.12 loses a few hundred bytes on a quoted scalar with more than four escaped quotes
 * (its issue 233, mended upstream). Memory that is taken from within it is not looked for; ours is.
 */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* D1: each operation's texts are bounded, and numbers are numbers. */
static void check_requests(const struct ps_workload *workload)
{
    struct ps_buf drawn = {0};
    for (size_t j = 0; j < workload->action_count; j++) {
        const struct ps_action *action = &workload->actions[j];
        size_t size = 0;
        if (ps_verb_is_d1(action->verb) != (action->statement_count > 0)) {
            abort();
        }
        for (size_t s = 0; s < action->statement_count; s++) {
            const struct ps_statement *statement = &action->statements[s];
            drawn.size = 0;
            ps_text_draw(&statement->sql, 1, 2, 3, "fra", &drawn);
            size += drawn.size;
            for (size_t k = 0; k < statement->param_count; k++) {
                char *end;
                drawn.size = 0;
                ps_text_draw(&statement->params[k].text, 1, 2, 3, "fra", &drawn);
                size += drawn.size;
                const char *text = ps_buf_text(&drawn);
                if (statement->params[k].kind == PS_PARAM_NUMBER &&
                    (strtod(text, &end), end == text || *end != '\0')) {
                    abort();
                }
            }
        }
        if (size > 128 << 10) {
            abort();
        }
    }
    ps_buf_fini(&drawn);
}

static void check_plan(const struct ps_scenario *scenario)
{
    struct ps_buf plan = {0}, drawn = {0};
    ps_scenario_describe(&plan, scenario);
    if (plan.size == 0 || scenario->workload_count == 0 || scenario->cluster.pop_count == 0) {
        abort();
    }
    for (size_t i = 0; i < scenario->workload_count; i++) {
        const struct ps_workload *workload = &scenario->workloads[i];
        for (size_t j = 0; j < workload->action_count; j++) {
            size_t least, most;
            drawn.size = 0;
            ps_text_sizes(&workload->actions[j].key, &least, &most);
            ps_text_draw(&workload->actions[j].key, 1, 2, 3, "fra", &drawn);
            if (drawn.size < least || drawn.size > most || most > 1024) {
                abort();
            }
        }
        check_requests(workload);
        if (workload->from_ns >= workload->until_ns && workload->timing != PS_TIMING_AT) {
            abort();
        }
    }
    ps_buf_fini(&plan);
    ps_buf_fini(&drawn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_slice yaml = {(const char *)data, size};
    static const struct ps_setting SETTINGS[] = {{"seed", "9"}, {"cluster.pops", "3"}};
    for (size_t settings = 0; settings <= 2; settings += 2) {
        struct ps_scenario *scenario = NULL;
        struct ps_error err = {0};
        enum ps_status status = ps_scenario_parse(yaml, NULL, SETTINGS, settings, &scenario, &err);
        if (status == PS_OK) {
            check_plan(scenario);
            ps_scenario_destroy(scenario);
        } else if (strncmp(err.text, "scenario:", 9) != 0 && strncmp(err.text, "--set", 5) != 0) {
            abort();
        }
    }
    return 0;
}
