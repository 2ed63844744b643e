/* The parts of popsim run: the command line, a live cluster to run on, what is printed. */
#ifndef PS_TOOLS_POPSIM_RUN_H
#define PS_TOOLS_POPSIM_RUN_H

#include "sim/live/live.h"
#include "sim/measure/history.h"
#include "sim/scenario/scenario.h"

#include <stdio.h>

enum { RUN_SETTINGS_MAX = 256 };

struct run_options {
    const char *file;
    const char *state;
    const char *json;    /* NULL = none; "-" = stdout */
    const char *history; /* the same */
    const char *compare; /* a history file */
    const char *speed;   /* live */
    struct ps_setting settings[RUN_SETTINGS_MAX];
    size_t setting_count;
    bool live;
    bool describe;
    bool no_history;
    bool quiet;
};

/* ---- run_output.c ---- */

/** Both are opened before anything runs: a run is long, and a wrong path is soon found. */
struct run_outputs {
    FILE *json; /* NULL = none */
    FILE *history;
};

/** Errors: PS_INVALID. */
PS_MUST_CHECK enum ps_status run_outputs_open(const struct run_options *options,
                                              struct run_outputs *ret, struct ps_error *err);
/** Errors: PS_IO: something was not written. */
PS_MUST_CHECK enum ps_status run_outputs_close(const struct run_options *options,
                                               struct run_outputs *outputs, struct ps_error *err);
/** "-", or a name of stdout; false for NULL. */
bool run_is_stdout(const char *path);

/* ---- run_progress.c ---- */

/** A line on the terminal that says how far the run is and how long it will go on. */
struct run_progress {
    bool quiet;
    bool shown; /* stderr is a terminal, and not quiet */
    bool dirty; /* the line is on the screen */
    uint64_t begun_mono_ns;
    uint64_t last_mono_ns;
};

void run_progress_begin(struct run_progress *progress, bool quiet);
/** As ps_world_options.progress calls it; context: the progress. */
void run_progress_show(void *context, ps_time_ns now_ns, ps_time_ns end_ns, uint64_t operations);
void run_progress_end(struct run_progress *progress);

/* ---- run_live.c ---- */

/** Run the scenario on the cluster that is up in the state folder if it is the scenario's, else on
 *  one started for it. Errors as ps_live_run; PS_IO when no cluster can be started. */
PS_MUST_CHECK enum ps_status run_live(const struct run_options *options,
                                      const struct ps_scenario *scenario,
                                      struct run_progress *progress, struct ps_live_result *ret,
                                      struct ps_error *err);

#endif
