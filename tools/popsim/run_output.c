/* The files that popsim run writes. */
#include "tools/popsim/run.h"

#include <errno.h>
#include <string.h>

bool run_is_stdout(const char *path)
{
    return path != NULL && (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0 ||
                            strcmp(path, "/dev/fd/1") == 0);
}

static enum ps_status open_output(const char *path, FILE **ret, struct ps_error *err)
{
    *ret = path == NULL ? NULL : run_is_stdout(path) ? stdout : fopen(path, "we");
    if (path != NULL && *ret == NULL) {
        return ps_fail(err, PS_INVALID, "%s: %s", path, strerror(errno));
    }
    return PS_OK;
}

static enum ps_status close_output(const char *path, FILE *file, struct ps_error *err)
{
    if (file == NULL) {
        return PS_OK;
    }
    bool failed = ferror(file) != 0;
    failed = (file == stdout ? fflush(file) : fclose(file)) != 0 || failed;
    return failed ? ps_fail(err, PS_IO, "%s: %s", path, strerror(errno)) : PS_OK;
}

enum ps_status run_outputs_open(const struct run_options *options, struct run_outputs *ret,
                                struct ps_error *err)
{
    *ret = (struct run_outputs){0};
    if (run_is_stdout(options->json) && run_is_stdout(options->history)) {
        return ps_fail(err, PS_INVALID, "only one of --json and --history can go to stdout");
    }
    enum ps_status status = open_output(options->json, &ret->json, err);
    return status == PS_OK ? open_output(options->history, &ret->history, err) : status;
}

enum ps_status run_outputs_close(const struct run_options *options, struct run_outputs *outputs,
                                 struct ps_error *err)
{
    enum ps_status status = close_output(options->json, outputs->json, err);
    enum ps_status other = close_output(options->history, outputs->history, err);
    return status != PS_OK ? status : other;
}
