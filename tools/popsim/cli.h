/* What the commands of popsim share: exit codes, messages, the state folder. */
#ifndef PS_TOOLS_POPSIM_CLI_H
#define PS_TOOLS_POPSIM_CLI_H

#include "node/cluster/cluster_file.h"
#include "replication/base/status.h"

#include <argp.h>
#include <stdbool.h>

/** Exit codes (DESIGN section 9). */
enum cli_exit { CLI_OK = 0, CLI_BROKEN = 1, CLI_BAD_INPUT = 2, CLI_FAILED = 3 };

/** A command: called with argv[0] = "popsim NAME". Returns the exit code. */
struct cli_command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
    bool hidden; /* not in --help */
};

extern const struct cli_command cli_commands[]; /* ends with a NULL name */

int cmd_up(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_kv(int argc, char **argv);
int cmd_d1(int argc, char **argv);
int cmd_r2(int argc, char **argv);
int cmd_fault(int argc, char **argv);
int cmd_pops(int argc, char **argv);
int cmd_profiles(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_completion(int argc, char **argv);

/** Print "popsim: <reason>" to stderr and give the exit code that fits the status. */
int cli_fail(const struct ps_error *err);
/** The same for a message of the command's own; exit code 2. */
int cli_usage(const char *format, ...) PS_PRINTF(1, 2);
/** The exit code for a status: bad input 2, all else 3. */
int cli_exit_of(enum ps_status status);

/** Run argp; its usage errors exit with 2. Returns 0 to go on. */
int cli_parse(const struct argp *argp, int argc, char **argv, void *input);

/** The state folder: `given` (--state), else $POPSIM_STATE, else ".popsim". */
const char *cli_state_folder(const char *given);

/** Load the state of a running cluster; a clear error when none is up. */
PS_MUST_CHECK enum ps_status cli_running(const char *folder, struct ps_cluster_state *ret,
                                         struct ps_error *err);
/** Monotonic clock, ns. */
uint64_t cli_monotonic_ns(void);

/** "a,b,c" cut at commas: calls `each` with each part; stops at the first that is not PS_OK. */
PS_MUST_CHECK enum ps_status cli_split(const char *list,
                                       enum ps_status (*each)(void *context, struct ps_slice part,
                                                              struct ps_error *err),
                                       void *context, struct ps_error *err);

/** Option keys without a letter start here. */
enum { CLI_OPTION = 0x100 };

#define CLI_STATE_OPTION                                                                           \
    {                                                                                              \
        "state", CLI_OPTION_STATE, "DIR", 0, "State folder (default: $POPSIM_STATE or .popsim)", 0 \
    }

enum { CLI_OPTION_STATE = 0xff };

#endif
