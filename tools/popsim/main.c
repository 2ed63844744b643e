/* popsim: edge storage, as stale as production. */
#include "tools/popsim/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

const struct cli_command cli_commands[] = {
    {"up", "Start a cluster of PoPs on this machine", cmd_up, false},
    {"status", "Show the running cluster: PoPs, stores, how far each replica is", cmd_status,
     false},
    {"logs", "Print the log of one PoP or of all", cmd_logs, false},
    {"down", "Stop the cluster", cmd_down, false},
    {"kv", "Put, get, delete and list keys of a KV store at a PoP", cmd_kv, false},
    {"d1", "Run SQL on a D1 database at a PoP, migrations, Time Travel", cmd_d1, false},
    {"r2", "Make buckets, put, get, delete and list objects at a PoP", cmd_r2, false},
    {"fault", "Cut, heal, slow or crash a PoP of the running cluster", cmd_fault, false},
    {"run", "Replay a scenario, virtually or against live nodes, and measure it", cmd_run, false},
    {"verify", "Compute again what every read of a history had to return", cmd_verify, false},
    {"pops", "List the catalogue of PoPs", cmd_pops, false},
    {"profiles", "List the visibility profiles and where their figures come from", cmd_profiles,
     false},
    {"init", "Write a first scenario file", cmd_init, false},
    {"completion", "Print a completion script for bash", cmd_completion, false},
    {"version", "Print the version", cmd_version, false},
    {"node", "Serve one PoP (started by popsim up)", cmd_node, true},
    {NULL, NULL, NULL, false},
};

static int print_help(FILE *out)
{
    (void)fputs("Usage: popsim COMMAND [OPTION...]\n"
                "Edge storage (Workers KV, D1, R2) on one machine, as stale as in production.\n\n",
                out);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            (void)fprintf(out, "  %-12s%s\n", command->name, command->summary);
        }
    }
    (void)fputs("\n`popsim COMMAND --help` tells each command's options.\n"
                "A first try: popsim run scenarios/kv-60s-visibility.yaml\n",
                out);
    return out == stdout ? CLI_OK : CLI_BAD_INPUT;
}

int main(int argc, char **argv)
{
    /* Names of cities are UTF-8, wherever this runs; numbers keep the C locale's point. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc < 2) {
        return print_help(stderr);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        return print_help(stdout);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        return cmd_version(argc - 1, argv + 1);
    }
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(argv[1], command->name) == 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "popsim %s", command->name);
            argv[1] = name;
            return command->run(argc - 1, argv + 1);
        }
    }
    return cli_usage("there is no command \"%s\"; see popsim --help", argv[1]);
}
