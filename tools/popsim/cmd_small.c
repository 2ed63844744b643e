/* The small commands: pops, profiles, init, version, completion, node. */
#include "node/io/node.h"
#include "replication/world/profile.h"
#include "tools/popsim/cli.h"
#include "tools/popsim/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)puts("popsim " PS_VERSION);
    return CLI_OK;
}

struct pops_options {
    const char *region;
};

static error_t parse_pops(int key, char *argument, struct argp_state *state)
{
    struct pops_options *options = state->input;
    if (key != ARGP_KEY_ARG) {
        return ARGP_ERR_UNKNOWN;
    }
    if (options->region != NULL) {
        argp_error(state, "one REGION at most");
    }
    options->region = argument;
    return 0;
}

int cmd_pops(int argc, char **argv)
{
    static const struct argp argp = {NULL,
                                     parse_pops,
                                     "[REGION]",
                                     "List the catalogue of PoPs, all or those of one region (wnam "
                                     "enam weur eeur apac oc sam afr me).",
                                     NULL,
                                     NULL,
                                     NULL};
    struct pops_options options = {0};
    if (cli_parse(&argp, argc, argv, &options) != 0) {
        return CLI_BAD_INPUT;
    }
    if (options.region != NULL && !ps_region_exists(ps_slice_of(options.region))) {
        return cli_usage(
            "there is no region \"%s\"; regions: wnam enam weur eeur apac oc sam afr me",
            options.region);
    }
    static const char *const columns[] = {"POP",    "CITY",     "COUNTRY",
                                          "REGION", "LATITUDE", "LONGITUDE"};
    struct libscols_table *table = tables_new(stdout, columns, 6);
    for (size_t i = 0; i < ps_pop_count(); i++) {
        const struct ps_pop *pop = ps_pop_at(i);
        if (options.region != NULL && strcmp(options.region, pop->region) != 0) {
            continue;
        }
        char latitude[32];
        char longitude[32];
        (void)snprintf(latitude, sizeof latitude, "%.2f", pop->latitude);
        (void)snprintf(longitude, sizeof longitude, "%.2f", pop->longitude);
        const char *cells[] = {pop->code,   pop->city, pop->country,
                               pop->region, latitude,  longitude};
        tables_row(table, cells, 6);
    }
    tables_print(table);
    return CLI_OK;
}

int cmd_profiles(int argc, char **argv)
{
    static const struct argp argp = {
        NULL, NULL, "",  "List the profiles: what each mimics, and where its figures come from.",
        NULL, NULL, NULL};
    if (cli_parse(&argp, argc, argv, NULL) != 0) {
        return CLI_BAD_INPUT;
    }
    for (size_t i = 0; i < ps_profile_count(); i++) {
        const struct ps_profile *profile = ps_profile_at(i);
        (void)printf("%s%s (%s)\n  %s\n", i == 0 ? "" : "\n", profile->name, profile->types,
                     profile->summary);
        for (const char *at = profile->sources; *at != '\0';) {
            size_t size = strcspn(at, "\n");
            (void)printf("  . %.*s\n", (int)size, at);
            at += size + (at[size] == '\n' ? 1 : 0);
        }
    }
    return CLI_OK;
}

static const char first_scenario[] =
    "# A first scenario. Try: popsim run %s\n"
    "name: A write in Frankfurt, read in Singapore\n"
    "seed: 1\n"
    "duration: 3m\n"
    "cluster:\n"
    "  home: fra\n"
    "  pops: [fra, iad, sin]\n"
    "stores:\n"
    "  CACHE: {type: kv, profile: workers-kv}\n"
    "workload:\n"
    "  - name: writer\n"
    "    at: [0s, 30s, 90s]\n"
    "    pop: fra\n"
    "    kv.put: {store: CACHE, key: \"user:1\", value: \"v{seq}\"}\n"
    "  - name: readers\n"
    "    every: 1s\n"
    "    pop: each\n"
    "    kv.get: {store: CACHE, key: \"user:1\"}\n"
    "expect:\n"
    "  - CACHE.visibility.max <= 60s\n";

static error_t parse_one_file(int key, char *argument, struct argp_state *state)
{
    const char **file = state->input;
    if (key != ARGP_KEY_ARG) {
        return ARGP_ERR_UNKNOWN;
    }
    if (*file != NULL) {
        argp_error(state, "one FILE at most");
    }
    *file = argument;
    return 0;
}

int cmd_init(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,     parse_one_file,
        "[FILE]", "Write a first scenario file (default scenario.yaml). Never overwrites.",
        NULL,     NULL,
        NULL};
    const char *path = NULL;
    if (cli_parse(&argp, argc, argv, &path) != 0) {
        return CLI_BAD_INPUT;
    }
    path = path == NULL ? "scenario.yaml" : path;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        return cli_usage("%s: %s", path, strerror(errno));
    }
    (void)fprintf(file, first_scenario, path);
    if (fclose(file) != 0) {
        (void)cli_usage("%s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    (void)printf("wrote %s; replay it with: popsim run %s\n", path, path);
    return CLI_OK;
}

int cmd_completion(int argc, char **argv)
{
    static const struct argp argp = {
        NULL, NULL,
        "",   "Print a completion script for bash.\vUse it with: source <(popsim completion)",
        NULL, NULL,
        NULL};
    if (cli_parse(&argp, argc, argv, NULL) != 0) {
        return CLI_BAD_INPUT;
    }
    (void)fputs("_popsim() {\n"
                "  local word=${COMP_WORDS[COMP_CWORD]}\n"
                "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                "    COMPREPLY=($(compgen -W '",
                stdout);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            (void)printf("%s ", command->name);
        }
    }
    (void)fputs("' -- \"$word\"))\n"
                "  elif [[ $word == -* ]]; then\n"
                "    COMPREPLY=($(compgen -W \"$(popsim \"${COMP_WORDS[1]}\" --help 2>/dev/null |\n"
                "      grep -oE -- '--[a-z-]+' | sort -u)\" -- \"$word\"))\n"
                "  else\n"
                "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
                "  fi\n"
                "}\n"
                "complete -F _popsim popsim\n",
                stdout);
    return CLI_OK;
}

struct node_arguments {
    const char *state;
    const char *pop;
};

enum { OPTION_POP = CLI_OPTION };

static error_t parse_node(int key, char *argument, struct argp_state *state)
{
    struct node_arguments *arguments = state->input;
    switch (key) {
    case OPTION_POP:
        arguments->pop = argument;
        return 0;
    case CLI_OPTION_STATE:
        arguments->state = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_node(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"pop", OPTION_POP, "CODE", 0, "Which PoP this process is", 0}, CLI_STATE_OPTION, {0}};
    static const struct argp argp = {
        options, parse_node, "",  "Serve one PoP of the cluster in the state folder.",
        NULL,    NULL,       NULL};
    struct node_arguments arguments = {0};
    if (cli_parse(&argp, argc, argv, &arguments) != 0) {
        return CLI_BAD_INPUT;
    }
    if (arguments.pop == NULL) {
        return cli_usage("node: --pop CODE is missing");
    }
    struct ps_node_options node = {.folder = cli_state_folder(arguments.state),
                                   .pop = arguments.pop};
    return ps_node_main(&node);
}
