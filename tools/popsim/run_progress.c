#include "tools/popsim/cli.h"
#include "tools/popsim/run.h"

#include <inttypes.h>
#include <unistd.h>

#define INTERVAL_NS (200 * PS_MS)

void run_progress_begin(struct run_progress *progress, bool quiet)
{
    *progress = (struct run_progress){.quiet = quiet,
                                      .shown = !quiet && isatty(STDERR_FILENO) == 1,
                                      .begun_mono_ns = cli_monotonic_ns()};
}

void run_progress_show(void *context, ps_time_ns now_ns, ps_time_ns end_ns, uint64_t operations)
{
    struct run_progress *progress = context;
    uint64_t mono_ns = cli_monotonic_ns();
    if (!progress->shown || mono_ns - progress->last_mono_ns < INTERVAL_NS) {
        return;
    }
    progress->last_mono_ns = mono_ns;
    progress->dirty = true;
    now_ns = ps_time_min(now_ns, end_ns);
    uint64_t percent = end_ns == 0 ? 100 : (uint64_t)((ps_u128)now_ns * 100 / end_ns);
    (void)fprintf(stderr, "\r\033[K%3" PRIu64 " %%  %" PRIu64 " operations", percent, operations);
    if (percent > 0 && now_ns > 0) {
        uint64_t spent_ns = mono_ns - progress->begun_mono_ns;
        uint64_t left_ns = (uint64_t)((ps_u128)spent_ns * (end_ns - now_ns) / now_ns);
        (void)fprintf(stderr, "  %" PRIu64 " s left", (left_ns + PS_SECOND - 1) / PS_SECOND);
    }
    (void)fflush(stderr);
}

void run_progress_end(struct run_progress *progress)
{
    if (progress->dirty) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}
