/* popsim verify: compute again what every read of a history had to return. */
#include "sim/measure/verify.h"
#include "tools/popsim/cli.h"

#include <inttypes.h>
#include <stdio.h>

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    const char **file = state->input;
    if (key != ARGP_KEY_ARG) {
        return ARGP_ERR_UNKNOWN;
    }
    if (*file != NULL) {
        argp_error(state, "one HISTORY is expected");
    }
    *file = argument;
    return 0;
}

static int print_result(const struct ps_verify_result *result)
{
    (void)printf("%" PRIu64 " operations: %" PRIu64 " reads and %" PRIu64 " writes checked, ",
                 result->operations, result->reads, result->writes);
    if (result->differences == 0) {
        (void)printf("no difference");
    } else {
        (void)printf("%" PRIu64 " differ", result->differences);
    }
    if (result->late > 0) {
        (void)printf("; %" PRIu64
                     " answered late while home was away (checked against what the PoP had)",
                     result->late);
    }
    if (result->answers + result->answers_skipped > 0) {
        (void)printf("; %" PRIu64 " answers of D1 made again", result->answers);
    }
    if (result->answers_skipped > 0) {
        (void)printf(", %" PRIu64 " not", result->answers_skipped);
    }
    (void)printf("\n");
    if (result->differences == 0) {
        return CLI_OK;
    }
    (void)printf("the first: %s\n", result->first);
    return CLI_BROKEN;
}

int cmd_verify(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,
        parse_option,
        "HISTORY",
        "Compute again what every read of a history had to return.\v"
        "Exits with 0 when all reads agree, with 1 and the first that does not otherwise.",
        NULL,
        NULL,
        NULL};
    const char *file = NULL;
    if (cli_parse(&argp, argc, argv, &file) != 0) {
        return CLI_BAD_INPUT;
    }
    if (file == NULL) {
        return cli_usage("verify: HISTORY is missing; make one with: popsim run FILE --history F");
    }
    struct ps_error err = {0};
    struct ps_history *history = NULL;
    if (ps_history_read(file, &history, &err) != PS_OK) {
        return cli_fail(&err);
    }
    struct ps_verify_result result;
    enum ps_status status = ps_verify(history, &result, &err);
    ps_history_destroy(history);
    return status == PS_OK ? print_result(&result) : cli_fail(&err);
}
