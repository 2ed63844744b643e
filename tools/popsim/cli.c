#include "tools/popsim/cli.h"

#include "tools/popsim/state_folder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int cli_exit_of(enum ps_status status)
{
    switch (status) {
    case PS_OK:
        return CLI_OK;
    case PS_INVALID:
    case PS_LIMIT:
    case PS_NOT_FOUND:
    case PS_EXISTS:
    case PS_UNSUPPORTED:
        return CLI_BAD_INPUT;
    case PS_CORRUPT:
    case PS_RATE_LIMITED:
    case PS_GAP:
    case PS_TOO_OLD:
    case PS_BEHIND:
    case PS_UNREACHABLE:
    case PS_TIMEOUT:
    case PS_BUSY:
    case PS_FULL:
    case PS_IO:
    case PS_CANCELLED:
        break;
    }
    return CLI_FAILED;
}

int cli_fail(const struct ps_error *err)
{
    (void)fprintf(stderr, "popsim: %s\n",
                  err->text[0] == '\0' ? ps_status_text(err->status) : err->text);
    return cli_exit_of(err->status);
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("popsim: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return CLI_BAD_INPUT;
}

int cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = CLI_BAD_INPUT;
    return argp_parse(argp, argc, argv, 0, NULL, input) == 0 ? 0 : CLI_BAD_INPUT;
}

const char *cli_state_folder(const char *given)
{
    if (given != NULL) {
        return given;
    }
    const char *from_environment = getenv("POPSIM_STATE");
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : ".popsim";
}

enum ps_status cli_running(const char *folder, struct ps_cluster_state *ret, struct ps_error *err)
{
    if (!state_folder_exists(folder)) {
        return ps_fail(err, PS_IO, "no cluster is up in %s; start one with: popsim up", folder);
    }
    if (!state_folder_in_use(folder)) {
        return ps_fail(err, PS_IO, "the cluster in %s is not running; start it with: popsim up",
                       folder);
    }
    enum ps_status status = ps_cluster_state_load(folder, ret, err);
    if (status == PS_OK && ret->supervisor_pid <= 0) {
        ps_cluster_state_fini(ret);
        return ps_fail(err, PS_BUSY, "the cluster in %s is about to start or to end", folder);
    }
    return status;
}

uint64_t cli_monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * PS_SECOND + (uint64_t)now.tv_nsec;
}

enum ps_status cli_split(const char *list,
                         enum ps_status (*each)(void *context, struct ps_slice part,
                                                struct ps_error *err),
                         void *context, struct ps_error *err)
{
    for (const char *at = list;;) {
        size_t size = strcspn(at, ",");
        if (size == 0) {
            return ps_fail(err, PS_INVALID, "empty name in the list \"%s\"", list);
        }
        enum ps_status status = each(context, (struct ps_slice){at, size}, err);
        if (status != PS_OK || at[size] == '\0') {
            return status;
        }
        at += size + 1;
    }
}
