/* popsim up: start a cluster. */
#include "replication/base/memory.h"
#include "sim/scenario/scenario.h"
#include "tools/popsim/cli.h"
#include "tools/popsim/cluster_options.h"
#include "tools/popsim/schemas.h"
#include "tools/popsim/state_folder.h"
#include "tools/popsim/supervisor.h"
#include "tools/popsim/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    OPTION_POPS = CLI_OPTION,
    OPTION_STORE,
    OPTION_HOME,
    OPTION_SPEED,
    OPTION_SEED,
    OPTION_LATENCY,
    OPTION_DURABILITY,
    OPTION_WRITE_LIMIT,
    OPTION_PORT,
    OPTION_S3_PORT,
    OPTION_BIND,
    OPTION_TOKEN,
    OPTION_DETACH,
    OPTION_FRESH,
    OPTION_QUIET,
    STORE_OPTIONS_MAX = 64,
    TOKEN_BYTES = 16,
    PORT_MAX = 65000 /* the PoPs' ports follow the first */
};

struct up_options {
    const char *file;
    const char *pops;
    const char *stores[STORE_OPTIONS_MAX];
    size_t store_count;
    const char *home;
    const char *speed;
    const char *seed;
    const char *latency;
    const char *durability;
    const char *write_limit;
    const char *state;
    const char *bind;
    const char *token;
    int port;
    bool port_given;
    int s3_port;
    bool s3_port_given;
    bool detach;
    bool fresh;
    bool quiet;
};

/** A port, or -1. */
static int parse_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return end != text && *end == '\0' && port >= 0 && port <= PORT_MAX ? (int)port : -1;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct up_options *options = state->input;
    switch (key) {
    case OPTION_POPS:
        options->pops = argument;
        break;
    case OPTION_STORE:
        if (options->store_count == STORE_OPTIONS_MAX) {
            argp_error(state, "too many --store options");
        }
        options->stores[options->store_count++] = argument;
        break;
    case OPTION_HOME:
        options->home = argument;
        break;
    case OPTION_SPEED:
        options->speed = argument;
        break;
    case OPTION_SEED:
        options->seed = argument;
        break;
    case OPTION_LATENCY:
        options->latency = argument;
        break;
    case OPTION_DURABILITY:
        options->durability = argument;
        break;
    case OPTION_WRITE_LIMIT:
        options->write_limit = argument;
        break;
    case OPTION_PORT:
        options->port = parse_port(argument);
        options->port_given = true;
        if (options->port < 0) {
            argp_error(state, "--port %s: a port number is expected, or 0 for free ones", argument);
        }
        break;
    case OPTION_S3_PORT:
        options->s3_port = parse_port(argument);
        options->s3_port_given = true;
        if (options->s3_port < 0) {
            argp_error(state, "--s3-port %s: a port number is expected, or 0 for free ones",
                       argument);
        }
        break;
    case OPTION_BIND:
        options->bind = argument;
        break;
    case OPTION_TOKEN:
        options->token = argument;
        break;
    case OPTION_DETACH:
        options->detach = true;
        break;
    case OPTION_FRESH:
        options->fresh = true;
        break;
    case OPTION_QUIET:
        options->quiet = true;
        break;
    case CLI_OPTION_STATE:
        options->state = argument;
        break;
    case ARGP_KEY_ARG:
        if (options->file != NULL) {
            argp_error(state, "one FILE at most");
        }
        options->file = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option argp_options[] = {
    {"pops", OPTION_POPS, "LIST", 0, "PoPs: codes (fra,iad,sin), a number, or all (default 3)", 0},
    {"store", OPTION_STORE, "NAME=TYPE[:PROFILE]", 0,
     "A store; may be given several times (default CACHE=kv)", 0},
    {"home", OPTION_HOME, "POP", 0, "The home PoP (default: the first)", 0},
    {"speed", OPTION_SPEED, "X", 0, "Cluster time runs X times faster than the wall (default 1)",
     0},
    {"seed", OPTION_SEED, "N", 0, "Seed of all delays (default 1)", 0},
    {"latency", OPTION_LATENCY, "profile|none|X", 0, "Emulated latency of answers", 0},
    {"durability", OPTION_DURABILITY, "sync|relaxed", 0, "fsync before a write is acknowledged", 0},
    {"write-limit", OPTION_WRITE_LIMIT, "on|off", 0,
     "Whether a key can be put once a second only (default on)", 0},
    {"port", OPTION_PORT, "N", 0, "First API port (default 8700); 0 takes free ones", 0},
    {"s3-port", OPTION_S3_PORT, "N", 0,
     "First S3 port (default: 100 above the first API port); 0 takes free ones", 0},
    {"bind", OPTION_BIND, "ADDRESS", 0,
     "IPv4 address to listen on (default 127.0.0.1); with any other, all must carry the token", 0},
    {"token", OPTION_TOKEN, "TEXT", 0, "The token that requests must carry (default: one is made)",
     0},
    {"detach", OPTION_DETACH, NULL, 0, "Return once every PoP serves", 0},
    {"fresh", OPTION_FRESH, NULL, 0, "Throw away what an earlier cluster left in the state folder",
     0},
    {"quiet", OPTION_QUIET, NULL, 0, "Print only errors", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    parse_option,
    "[FILE]",
    "Start one process per PoP and serve until Ctrl-C.\v"
    "FILE is a scenario whose cluster and stores are taken; the schemas "
    "of its databases are run if they are new. Without "
    "FILE and options, a cluster that was "
    "stopped goes on where it stopped.",
    NULL,
    NULL,
    NULL};

/* How it runs, which does not touch its data. */
static enum ps_status running_options(const struct up_options *options, struct ps_cluster *cluster,
                                      struct ps_error *err)
{
    enum ps_status status = PS_OK;
    if (options->speed != NULL) {
        status = cluster_options_speed(cluster, options->speed, err);
    }
    if (status == PS_OK && options->latency != NULL) {
        status = cluster_options_latency(cluster, options->latency, err);
    }
    if (status == PS_OK && options->durability != NULL) {
        bool relaxed = strcmp(options->durability, "relaxed") == 0;
        if (!relaxed && strcmp(options->durability, "sync") != 0) {
            return ps_fail(err, PS_INVALID, "--durability %s: sync or relaxed is expected",
                           options->durability);
        }
        cluster->durability = relaxed ? PS_DURABILITY_RELAXED : PS_DURABILITY_SYNC;
    }
    return status;
}

static enum ps_status limit_writes(const struct up_options *options, struct ps_cluster *cluster,
                                   struct ps_error *err)
{
    cluster->no_write_limit = strcmp(options->write_limit, "off") == 0;
    if (!cluster->no_write_limit && strcmp(options->write_limit, "on") != 0) {
        return ps_fail(err, PS_INVALID, "--write-limit %s: on or off is expected",
                       options->write_limit);
    }
    for (size_t i = 0; i < cluster->store_count && cluster->no_write_limit; i++) {
        cluster->stores[i].kv.write_interval_ns = 0;
    }
    return PS_OK;
}

/* What the command line asks for. */
static enum ps_status cluster_of(const struct up_options *options, struct ps_cluster *cluster,
                                 struct schemas *schemas, struct ps_error *err)
{
    if (options->file != NULL) {
        struct ps_scenario *scenario;
        enum ps_status status = ps_scenario_load(options->file, NULL, 0, &scenario, err);
        if (status != PS_OK) {
            return status;
        }
        schemas_take(schemas, scenario);
        *cluster = scenario->cluster;
        scenario->cluster = (struct ps_cluster){0};
        ps_scenario_destroy(scenario);
    } else {
        ps_cluster_init(cluster);
    }
    enum ps_status status = PS_OK;
    if (options->pops != NULL && cluster->pop_count > 0) {
        return ps_fail(err, PS_INVALID, "--pops does not go with a FILE");
    }
    if (options->pops != NULL || cluster->pop_count == 0) {
        status = cluster_options_pops(cluster, options->pops == NULL ? "3" : options->pops, err);
    }
    if (status == PS_OK && options->home != NULL) {
        int home = ps_cluster_find_pop(cluster, ps_slice_of(options->home));
        if (home < 0) {
            return ps_fail(err, PS_INVALID, "--home %s: it is none of the cluster's PoPs",
                           options->home);
        }
        cluster->home = (uint16_t)home;
    }
    if (options->store_count == 0 && cluster->store_count == 0 && status == PS_OK) {
        status = cluster_options_store(cluster, "CACHE=kv", err);
    }
    for (size_t i = 0; i < options->store_count && status == PS_OK; i++) {
        status = cluster_options_store(cluster, options->stores[i], err);
    }
    if (status == PS_OK) {
        status = running_options(options, cluster, err);
    }
    if (status == PS_OK && options->write_limit != NULL) {
        status = limit_writes(options, cluster, err);
    }
    if (status == PS_OK && options->seed != NULL) {
        char *end;
        errno = 0;
        cluster->seed = strtoull(options->seed, &end, 10);
        if (errno != 0 || *end != '\0' || end == options->seed || options->seed[0] == '-') {
            return ps_fail(err, PS_INVALID, "--seed %s: a whole number is expected", options->seed);
        }
    }
    return status;
}

static bool is_token(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return size > 0 && size < sizeof((struct ps_cluster_state *)0)->token;
}

static enum ps_status make_token(struct ps_cluster_state *state, struct ps_error *err)
{
    unsigned char bytes[TOKEN_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        return ps_fail(err, PS_IO, "make a token: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(state->token + 2 * i, 3, "%02x", bytes[i]);
    }
    return PS_OK;
}

/* Who may ask. A token that is made is told once; later it stands in cluster.json only. */
static enum ps_status access_options(const struct up_options *options,
                                     struct ps_cluster_state *state, struct ps_error *err)
{
    if (options->token != NULL) {
        (void)snprintf(state->token, sizeof state->token, "%s", options->token);
    } else if (options->bind != NULL && !ps_cluster_is_exposed(state)) {
        state->token[0] = '\0'; /* it was for others */
    }
    if (!ps_cluster_is_exposed(state) || state->token[0] != '\0') {
        return PS_OK;
    }
    enum ps_status status = make_token(state, err);
    if (status == PS_OK && !options->quiet) {
        (void)printf("All requests must carry this header (popsim's own commands do):\n"
                     "  Authorization: Bearer %s\n\n",
                     state->token);
    }
    return status;
}

static bool asks_for_a_cluster(const struct up_options *options)
{
    return options->file != NULL || options->pops != NULL || options->store_count > 0 ||
           options->home != NULL || options->seed != NULL || options->write_limit != NULL;
}

static const struct ps_store *first_of(const struct ps_cluster *cluster, enum ps_store_type type)
{
    for (size_t i = 0; i < cluster->store_count; i++) {
        if (cluster->stores[i].type == type) {
            return &cluster->stores[i];
        }
    }
    return NULL;
}

/* What an S3 client has to know. Each PoP's S3 port is in the table above. */
static void print_s3(const struct ps_cluster_state *state)
{
    (void)printf("  AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_REGION=auto \\\n"
                 "    aws s3 ls --endpoint-url http://%s:%u\n",
                 state->s3_key_id, state->s3_secret, state->bind, state->nodes[0].s3_port);
}

static void print_tour(const struct ps_cluster_state *state, const char *stop)
{
    tables_print_cluster(stdout, state);
    const char *first = state->cluster.pops[0]->code;
    const char *last = state->cluster.pops[state->cluster.pop_count - 1]->code;
    const struct ps_store *kv = first_of(&state->cluster, PS_STORE_KV);
    const struct ps_store *d1 = first_of(&state->cluster, PS_STORE_D1);
    const char *token = ps_cluster_is_exposed(state) ? "-H \"Authorization: Bearer $TOKEN\" " : "";
    (void)printf("\nTry, in another terminal:\n");
    if (kv != NULL) {
        (void)printf("  popsim kv put --pop %s %s user:1 hello\n"
                     "  popsim kv get --pop %s %s user:1\n"
                     "  curl -i %s-H 'popsim-store: %s' 'http://%s:%u/user:1?urlencoded=true'\n",
                     first, kv->name, last, kv->name, token, kv->name, state->bind,
                     state->nodes[0].api_port);
    }
    if (d1 != NULL) {
        (void)printf("  popsim d1 execute --pop %s %s --command 'CREATE TABLE t (a)'\n"
                     "  popsim d1 execute --pop %s %s --session first-unconstrained --command "
                     "'SELECT * FROM t'\n",
                     first, d1->name, last, d1->name);
    }
    if (first_of(&state->cluster, PS_STORE_R2) != NULL) {
        print_s3(state);
    }
    (void)printf("  popsim status\n"
                 "  popsim logs -f %s\n"
                 "Stop it with %s.\n",
                 last, stop);
    (void)fflush(stdout);
}

/* Every PoP serves: what is left to do. A cluster whose schema is refused runs on without it. */
static int get_ready(const struct up_options *options, const struct schemas *schemas,
                     const struct ps_cluster_state *state, const char *stop)
{
    struct ps_error err = {0};
    enum ps_status status = schemas_run(schemas, state, &err);
    if (!options->quiet) {
        print_tour(state, stop);
    }
    return status == PS_OK ? CLI_OK : cli_fail(&err);
}

struct attached {
    const struct up_options *options;
    const struct schemas *schemas;
};

static void on_ready(void *context, const struct ps_cluster_state *state)
{
    const struct attached *attached = context;
    (void)get_ready(attached->options, attached->schemas, state, "Ctrl-C or popsim down");
}

/* The child becomes the supervisor; the parent returns once it says that every PoP serves. */
static int detach(struct supervisor_options *supervisor, struct ps_cluster_state *state,
                  const struct up_options *options, const struct schemas *schemas)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        return cli_usage("pipe: %s", strerror(errno));
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return cli_usage("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)close(ready[0]);
        (void)setsid();
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/supervisor.log", supervisor->folder);
        int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (log >= 0 && null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(log, STDOUT_FILENO);
        }
        supervisor->ready_fd = ready[1];
        struct ps_error err = {0};
        /* Errors before the cluster serves go to the terminal of whoever waits. */
        enum ps_status status = supervisor_run(supervisor, state, &err);
        exit(status == PS_OK ? CLI_OK : cli_fail(&err));
    }
    (void)close(ready[1]);
    char byte;
    ssize_t got = read(ready[0], &byte, 1);
    (void)close(ready[0]);
    if (got != 1) {
        int status = 0;
        (void)waitpid(pid, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : CLI_FAILED;
    }
    struct ps_error err = {0};
    struct ps_cluster_state running;
    if (cli_running(supervisor->folder, &running, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = get_ready(options, schemas, &running, "popsim down");
    ps_cluster_state_fini(&running);
    return code;
}

int cmd_up(int argc, char **argv)
{
    struct up_options options = {0};
    if (cli_parse(&argp, argc, argv, &options) != 0) {
        return CLI_BAD_INPUT;
    }
    if (options.token != NULL && !is_token(options.token)) {
        return cli_usage("--token: up to 64 visible characters without spaces are expected");
    }
    struct ps_error err = {0};
    const char *folder = cli_state_folder(options.state);
    struct ps_cluster asked = {0};
    struct schemas schemas = {0};
    bool asks = asks_for_a_cluster(&options);
    struct ps_cluster_state state;
    enum ps_status status = PS_OK;
    if (asks || !state_folder_exists(folder) || options.fresh) {
        status = cluster_of(&options, &asked, &schemas, &err);
        asks = true;
    }
    if (status == PS_OK) {
        struct state_folder_request request = {.folder = folder,
                                               .asked = asks ? &asked : NULL,
                                               .fresh = options.fresh,
                                               .bind = options.bind,
                                               .first_port = options.port_given ? options.port : -1,
                                               .first_s3_port =
                                                   options.s3_port_given ? options.s3_port : -1};
        status = state_folder_open(&request, &state, &err);
    }
    ps_cluster_fini(&asked);
    if (status == PS_OK) {
        status = access_options(&options, &state, &err);
        if (status == PS_OK && !asks) {
            status = running_options(&options, &state.cluster, &err);
            state.timeline.speed_milli = state.cluster.speed_milli;
        }
        if (status != PS_OK) {
            ps_cluster_state_fini(&state);
        }
    }
    if (status != PS_OK) {
        schemas_fini(&schemas);
        return cli_fail(&err);
    }
    struct attached attached = {&options, &schemas};
    struct supervisor_options supervisor = {
        .folder = folder, .quiet = options.quiet, .ready_fd = -1};
    int code = CLI_OK;
    if (options.detach) {
        code = detach(&supervisor, &state, &options, &schemas);
    } else {
        supervisor.ready = on_ready;
        supervisor.context = &attached;
        code = supervisor_run(&supervisor, &state, &err) == PS_OK ? CLI_OK : cli_fail(&err);
    }
    ps_cluster_state_fini(&state);
    schemas_fini(&schemas);
    return code;
}
