/* popsim run: replay a scenario, virtually or against live nodes, and measure it. */
#include "replication/base/memory.h"
#include "sim/report/agree.h"
#include "sim/report/report.h"
#include "sim/world/world.h"
#include "tools/popsim/cli.h"
#include "tools/popsim/cluster_options.h"
#include "tools/popsim/run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_LIVE = CLI_OPTION,
    OPTION_SEED,
    OPTION_SET,
    OPTION_JSON,
    OPTION_HISTORY,
    OPTION_HTML,
    OPTION_SPEED,
    OPTION_COMPARE,
    OPTION_DESCRIBE,
    OPTION_DRY_RUN,
    OPTION_QUIET,
    OPTION_NO_HISTORY
};

/* ---- the command line ---- */

static void add_setting(struct argp_state *state, struct run_options *options, const char *path,
                        const char *value)
{
    if (options->setting_count == RUN_SETTINGS_MAX) {
        argp_error(state, "more than %d settings", RUN_SETTINGS_MAX);
    }
    options->settings[options->setting_count++] = (struct ps_setting){path, value};
}

static void parse_set(struct argp_state *state, struct run_options *options, char *argument)
{
    char *mark = strchr(argument, '=');
    if (mark == NULL || mark == argument) {
        argp_error(state, "--set %s: path=value is expected, such as stores.CACHE.ttl=30s",
                   argument);
        return;
    }
    *mark = '\0';
    add_setting(state, options, argument, mark + 1);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct run_options *options = state->input;
    switch (key) {
    case OPTION_LIVE:
        options->live = true;
        break;
    case OPTION_SEED:
        add_setting(state, options, "seed", argument);
        break;
    case OPTION_SET:
        parse_set(state, options, argument);
        break;
    case OPTION_JSON:
        options->json = argument;
        break;
    case OPTION_HISTORY:
        options->history = argument;
        break;
    case OPTION_HTML:
        argp_error(state, "--html is not available in this version; --json has all figures");
        break;
    case OPTION_SPEED:
        options->speed = argument;
        break;
    case OPTION_COMPARE:
        options->compare = argument;
        break;
    case OPTION_DESCRIBE:
    case OPTION_DRY_RUN:
        options->describe = true;
        break;
    case OPTION_NO_HISTORY:
        options->no_history = true;
        break;
    case OPTION_QUIET:
        options->quiet = true;
        break;
    case CLI_OPTION_STATE:
        options->state = argument;
        break;
    case ARGP_KEY_ARG:
        if (options->file != NULL) {
            argp_error(state, "one FILE is expected");
        }
        options->file = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option argp_options[] = {
    {"live", OPTION_LIVE, NULL, 0,
     "Against live nodes: the cluster that is up if it is the scenario's, else one of its own", 0},
    {"speed", OPTION_SPEED, "X", 0, "Live: cluster time runs X times faster than the wall", 0},
    {"seed", OPTION_SEED, "N", 0, "Another seed than the file's", 0},
    {"set", OPTION_SET, "PATH=VALUE", 0, "Change the scenario (stores.CACHE.ttl=30s); repeatable",
     0},
    {"json", OPTION_JSON, "F", 0, "Write the report as JSON (- is stdout)", 0},
    {"history", OPTION_HISTORY, "F", 0, "Write each operation as a line of JSON (- is stdout)", 0},
    {"no-history", OPTION_NO_HISTORY, NULL, 0,
     "Virtual: measure without keeping a history, for runs of many millions of operations; the "
     "session "
     "guarantees are not looked at",
     0},
    {"compare", OPTION_COMPARE, "HISTORY", 0, "Set the run beside an earlier one, read by read", 0},
    {"describe", OPTION_DESCRIBE, NULL, 0, "Say what the scenario does, and run nothing", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, OPTION_ALIAS, NULL, 0},
    {"quiet", OPTION_QUIET, NULL, 0, "Print only errors", 0},
    {"html", OPTION_HTML, "F", OPTION_HIDDEN, NULL, 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    parse_option,
    "FILE",
    "Replay a scenario under a virtual clock, or against live nodes, and measure it.\v"
    "Exits with 0 when every expectation of the file holds, with 1 when one does not, 2 on bad "
    "input, 3 on failure.",
    NULL,
    NULL,
    NULL};

/* ---- the run ---- */

/* A run, and what came of it. */
struct outcome {
    struct ps_live_result live; /* its history is the run's, virtual or live */
    struct ps_history *earlier; /* --compare's; NULL = none */
    struct ps_measures *measures;
    struct ps_report report;
};

static void outcome_fini(struct outcome *outcome)
{
    ps_live_result_fini(&outcome->live);
    ps_history_destroy(outcome->earlier);
    ps_measures_destroy(outcome->measures);
    ps_report_fini(&outcome->report);
}

/* Is it asked to be measured without a history, and can it be? */
static bool goes_without_history(const struct run_options *options,
                                 const struct ps_scenario *scenario)
{
    const char *why;
    return options->no_history && ps_world_can_measure(scenario, &why);
}

/* An expectation that names no measure is found before the run, not after it. */
static enum ps_status check_expectations(const struct run_options *options,
                                         const struct ps_scenario *scenario, struct ps_error *err)
{
    struct ps_measures *measures = ps_measures_create(&scenario->cluster);
    bool without = goes_without_history(options, scenario);
    for (size_t s = 0; s < measures->store_count; s++) {
        measures->stores[s].without_sessions = without;
    }
    struct ps_report report = {.cluster = &scenario->cluster, .measures = measures};
    struct ps_error reason = {0};
    enum ps_status status =
        ps_report_judge(&report, scenario->expectations, scenario->expectation_count, &reason);
    ps_report_fini(&report);
    ps_measures_destroy(measures);
    return status == PS_OK ? PS_OK : ps_fail(err, status, "%s:%s", scenario->path, reason.text);
}

static enum ps_status load(const struct run_options *options, struct ps_scenario **ret,
                           struct ps_error *err)
{
    enum ps_status status =
        ps_scenario_load(options->file, options->settings, options->setting_count, ret, err);
    if (status != PS_OK) {
        return status;
    }
    status = check_expectations(options, *ret, err);
    if (status == PS_OK && options->speed != NULL) {
        status = cluster_options_speed(&(*ret)->cluster, options->speed, err);
    }
    if (status != PS_OK) {
        ps_scenario_destroy(*ret);
    }
    return status;
}

static enum ps_status run(const struct run_options *options, const struct ps_scenario *scenario,
                          struct ps_live_result *ret, struct ps_error *err)
{
    struct run_progress progress;
    enum ps_status status;
    run_progress_begin(&progress, options->quiet);
    if (options->live) {
        status = run_live(options, scenario, &progress, ret, err);
    } else {
        struct ps_world_options world = {.progress = run_progress_show, .context = &progress};
        status = ps_world_run(scenario, &world, &ret->history, err);
    }
    run_progress_end(&progress);
    return status;
}

static enum ps_status measure(const struct ps_history *history, struct ps_measures **ret,
                              struct ps_report *report, struct ps_error *err)
{
    *ret = ps_measures_create(history->cluster);
    *report = (struct ps_report){.scenario = history->scenario,
                                 .cluster = history->cluster,
                                 .measures = *ret,
                                 .live = history->live,
                                 .cluster_ns = ps_time_sub(history->end_ns, history->begin_ns)};
    return ps_measure(history, *ret, err);
}

/* The same figures but for the session guarantees, and nothing is kept. */
static enum ps_status work_without_history(const struct ps_scenario *scenario, struct outcome *ret,
                                           struct ps_error *err)
{
    enum ps_status status = ps_world_measure(scenario, &ret->measures, err);
    if (status != PS_OK) {
        return status;
    }
    ret->report = (struct ps_report){.scenario = scenario->name,
                                     .cluster = &scenario->cluster,
                                     .measures = ret->measures,
                                     .cluster_ns = scenario->duration_ns};
    return ps_report_judge(&ret->report, scenario->expectations, scenario->expectation_count, err);
}

static void say_that_it_is_kept(const struct run_options *options,
                                const struct ps_scenario *scenario)
{
    const char *why;
    if (options->no_history && !options->quiet && !ps_world_can_measure(scenario, &why)) {
        (void)fprintf(stderr,
                      "popsim: --no-history: kept in memory until it is measured, since %s\n", why);
    }
}

static enum ps_status work(const struct run_options *options, const struct ps_scenario *scenario,
                           struct run_outputs *outputs, struct outcome *ret, struct ps_error *err)
{
    if (goes_without_history(options, scenario)) {
        return work_without_history(scenario, ret, err);
    }
    say_that_it_is_kept(options, scenario);
    enum ps_status status = run(options, scenario, &ret->live, err);
    if (status != PS_OK) {
        return status;
    }
    struct ps_history *history = ret->live.history;
    char sha256[65] = "";
    if (!options->no_history) {
        status = ps_history_write(history, outputs->history, sha256, err);
    }
    if (status != PS_OK && options->history != NULL) {
        (void)ps_error_wrap(err, "%s", options->history);
    }
    if (status == PS_OK) {
        status = measure(history, &ret->measures, &ret->report, err);
    }
    if (status == PS_OK) {
        (void)snprintf(ret->report.history_sha256, sizeof ret->report.history_sha256, "%s", sha256);
        ret->report.wall_ns = ret->live.wall_ns;
        ret->measures->late_records = ret->live.late_records;
        ret->measures->late_max_ns = ret->live.late_max_ns;
        status =
            ps_report_judge(&ret->report, scenario->expectations, scenario->expectation_count, err);
    }
    return status;
}

/* ---- what is said of it ---- */

/* An operation that is sent so much later than planned is worth a word. */
#define LAG_NS (250 * PS_MS)

static void put_lag(const struct ps_live_result *live, struct ps_buf *text)
{
    if (live->lag_max_ns > LAG_NS) {
        ps_buf_append_text(
            text,
            "\nThis machine was too slow for the scenario at this speed: an operation was sent ");
        ps_dur_format(text, live->lag_max_ns);
        ps_buf_append_text(text, " late (on the wall).\n");
    }
}

static enum ps_status put_comparison(const struct run_options *options,
                                     const struct outcome *outcome, struct ps_buf *text,
                                     struct ps_error *err)
{
    struct ps_measures *measures = NULL;
    struct ps_report report = {0};
    enum ps_status status = measure(outcome->earlier, &measures, &report, err);
    if (status == PS_OK) {
        struct ps_agreement agreement;
        ps_buf_append_text(text, "\nBeside ");
        ps_buf_append_text(text, options->compare);
        ps_buf_append_text(text, "\n\n");
        ps_report_compare(&report, &outcome->report, text);
        ps_agree(outcome->earlier, outcome->live.history, &agreement);
        ps_buf_append_char(text, '\n');
        ps_agree_text(&agreement, outcome->earlier, outcome->live.history, text);
    }
    ps_report_fini(&report);
    ps_measures_destroy(measures);
    return status;
}

static enum ps_status tell(const struct run_options *options, const struct outcome *outcome,
                           struct run_outputs *outputs, struct ps_error *err)
{
    struct ps_buf text = {0};
    if (outputs->json != NULL) {
        ps_report_json(&outcome->report, &text);
        (void)fwrite(text.data, 1, text.size, outputs->json);
        text.size = 0;
    }
    enum ps_status status = PS_OK;
    bool silent = options->quiet || run_is_stdout(options->json) || run_is_stdout(options->history);
    if (!silent) {
        struct ps_report_style style = {.terminal = isatty(STDOUT_FILENO) == 1};
        ps_report_tables(&outcome->report, style, &text);
        put_lag(&outcome->live, &text);
    }
    if (outcome->earlier != NULL && !silent) {
        status = put_comparison(options, outcome, &text, err);
    }
    if (fwrite(text.data, 1, text.size, stdout) != text.size || fflush(stdout) != 0) {
        status = ps_fail(err, PS_IO, "stdout: %s", strerror(errno));
    }
    ps_buf_fini(&text);
    return status;
}

static int judge(const struct outcome *outcome)
{
    if (outcome->live.lost_writes > 0) {
        (void)fprintf(stderr,
                      "popsim: %llu acknowledged writes are not in home's log; the first: %s\n",
                      (unsigned long long)outcome->live.lost_writes, outcome->live.lost);
        return CLI_FAILED;
    }
    return ps_report_holds(&outcome->report) ? CLI_OK : CLI_BROKEN;
}

static int run_scenario(const struct run_options *options, const struct ps_scenario *scenario)
{
    struct ps_error err = {0};
    struct run_outputs outputs = {0};
    struct outcome outcome = {0};
    enum ps_status status = PS_OK;
    if (options->compare != NULL) { /* first: it may be the file that is written anew */
        status = ps_history_read(options->compare, &outcome.earlier, &err);
    }
    if (status == PS_OK) {
        status = run_outputs_open(options, &outputs, &err);
    }
    if (status == PS_OK) {
        status = work(options, scenario, &outputs, &outcome, &err);
    }
    if (status == PS_OK) {
        status = tell(options, &outcome, &outputs, &err);
    }
    struct ps_error closing = {0};
    enum ps_status closed = run_outputs_close(options, &outputs, &closing);
    if (status == PS_OK && closed != PS_OK) {
        status = closed;
        err = closing;
    }
    int code = status == PS_OK ? judge(&outcome) : cli_fail(&err);
    outcome_fini(&outcome);
    return code;
}

static int describe(const struct ps_scenario *scenario)
{
    struct ps_buf text = {0};
    ps_scenario_describe(&text, scenario);
    (void)fwrite(text.data, 1, text.size, stdout);
    ps_buf_fini(&text);
    return CLI_OK;
}

int cmd_run(int argc, char **argv)
{
    struct run_options options = {0};
    if (cli_parse(&argp, argc, argv, &options) != 0) {
        return CLI_BAD_INPUT;
    }
    if (options.file == NULL) {
        return cli_usage("run: FILE is missing; write one with: popsim init");
    }
    if (options.speed != NULL && !options.live) {
        return cli_usage("run: --speed goes with --live; a virtual run takes no time to wait");
    }
    if (options.no_history &&
        (options.live || options.history != NULL || options.compare != NULL)) {
        return cli_usage("run: --no-history does not go with --live, --history and --compare");
    }
    struct ps_error err = {0};
    struct ps_scenario *scenario = NULL;
    if (load(&options, &scenario, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = options.describe ? describe(scenario) : run_scenario(&options, scenario);
    ps_scenario_destroy(scenario);
    return code;
}
