/* popsim status, logs, down: look at a running cluster, and stop it. */
#include "replication/base/memory.h"
#include "tools/popsim/cli.h"
#include "tools/popsim/http_client.h"
#include "tools/popsim/state_folder.h"
#include "tools/popsim/supervisor.h"
#include "tools/popsim/tables.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OPTION_JSON = CLI_OPTION,
    OPTION_CLEAN,
    STATUS_MS = 2000, /* a node that says nothing for so long does not answer */
    POLL_MS = 100,
    DOWN_POLL_MS = 5,
    DOWN_WAIT_MS = 15000
};

struct cluster_options {
    const char *state;
    const char *pop;
    bool json;
    bool follow;
    bool clean;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct cluster_options *options = state->input;
    switch (key) {
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_CLEAN:
        options->clean = true;
        break;
    case 'f':
        options->follow = true;
        break;
    case CLI_OPTION_STATE:
        options->state = argument;
        break;
    case ARGP_KEY_ARG:
        if (options->pop != NULL) {
            argp_error(state, "one POP at most");
        }
        options->pop = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* What a node says of itself; NULL when it does not answer. */
static json_t *ask_node(const struct ps_cluster_state *state, size_t index)
{
    struct http_reply reply = {0};
    char headers[128] = "";
    if (state->token[0] != '\0') {
        (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", state->token);
    }
    json_t *json = NULL;
    if (http_call(state->bind, state->nodes[index].api_port, "GET", PS_LIT("/popsim/state"),
                  headers, (struct ps_slice){0}, STATUS_MS, &reply, NULL) == PS_OK &&
        reply.status == 200) {
        json = json_loadb(reply.body.data, reply.body.size, 0, NULL);
    }
    http_reply_fini(&reply);
    return json;
}

enum { STATUS_COLUMNS = 9, STATUS_BUCKET_COLUMNS = 11 };

/* A member that only a bucket's home tells. */
static void put_count(char ret[32], const json_t *store, const char *name)
{
    const json_t *value = json_object_get(store, name);
    ret[0] = '\0';
    if (value != NULL) {
        (void)snprintf(ret, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    }
}

static void add_store_row(struct libscols_table *table, size_t columns,
                          const struct ps_cluster_state *state, size_t index, const json_t *node,
                          const json_t *store)
{
    char url[96];
    char s3[96];
    char pid[32];
    char boot[32];
    char have[32];
    char objects[32];
    char bytes[32];
    put_count(objects, store, "objects");
    put_count(bytes, store, "bytes");
    (void)snprintf(url, sizeof url, "http://%s:%u", state->bind, state->nodes[index].api_port);
    (void)snprintf(s3, sizeof s3, "http://%s:%u", state->bind, state->nodes[index].s3_port);
    (void)snprintf(pid, sizeof pid, "%d", state->nodes[index].pid);
    (void)snprintf(boot, sizeof boot, "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(node, "boot")));
    (void)snprintf(have, sizeof have, "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(store, "have_lsn")));
    const char *name = json_string_value(json_object_get(store, "title"));
    const char *role = json_string_value(json_object_get(store, "role"));
    const char *cells[] = {state->cluster.pops[index]->code,
                           url,
                           s3,
                           pid,
                           node != NULL                   ? "up"
                           : state->nodes[index].pid == 0 ? "down"
                                                          : "no answer",
                           boot,
                           name == NULL ? "" : name,
                           role == NULL ? "" : role,
                           store == NULL ? "" : have,
                           objects,
                           bytes};
    tables_row(table, cells, columns);
}

static bool has_bucket(const json_t *nodes)
{
    size_t i;
    size_t k;
    const json_t *node;
    const json_t *store;
    json_array_foreach(nodes, i, node)
    {
        json_array_foreach(json_object_get(node, "stores"), k, store)
        {
            if (json_object_get(store, "objects") != NULL) {
                return true;
            }
        }
    }
    return false;
}

static int print_status(const struct ps_cluster_state *state)
{
    static const char *const columns[] = {"POP",   "URL",  "S3",  "PID",     "STATE", "BOOT",
                                          "STORE", "ROLE", "LSN", "OBJECTS", "BYTES"};
    json_t *nodes = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        json_t *node = ask_node(state, i);
        code = node == NULL ? CLI_BROKEN : code;
        (void)json_array_append_new(nodes, node == NULL ? json_null() : node);
    }
    size_t count = has_bucket(nodes) ? STATUS_BUCKET_COLUMNS : STATUS_COLUMNS;
    struct libscols_table *table = tables_new(stdout, columns, count);
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        const json_t *node = json_array_get(nodes, i);
        node = json_is_null(node) ? NULL : node;
        const json_t *stores = json_object_get(node, "stores");
        size_t at;
        const json_t *store;
        if (json_array_size(stores) == 0) {
            add_store_row(table, count, state, i, node, NULL);
        }
        json_array_foreach(stores, at, store)
        {
            add_store_row(table, count, state, i, node, store);
        }
    }
    tables_print(table);
    json_decref(nodes);
    return code;
}

static int print_status_json(const struct ps_cluster_state *state)
{
    json_t *nodes = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        json_t *node = ask_node(state, i);
        if (node == NULL) {
            code = CLI_BROKEN;
        }
        bool is_up = node != NULL;
        if (!is_up) {
            node = json_pack("{s:s}", "pop", state->cluster.pops[i]->code);
        }
        (void)json_object_set_new(node, "up", json_boolean(is_up));
        (void)json_object_set_new(node, "pid", json_integer(state->nodes[i].pid));
        (void)json_object_set_new(node, "port", json_integer(state->nodes[i].api_port));
        (void)json_object_set_new(node, "s3_port", json_integer(state->nodes[i].s3_port));
        (void)json_array_append_new(nodes, node);
    }
    json_t *all = json_pack("{s:i,s:{s:s,s:s,s:s},s:o}", "supervisor", state->supervisor_pid, "s3",
                            "access_key_id", state->s3_key_id, "secret_access_key",
                            state->s3_secret, "region", "auto", "nodes", nodes);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(all);
    return code;
}

int cmd_status(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", OPTION_JSON, NULL, 0, "Print JSON", 0}, CLI_STATE_OPTION, {0}};
    static const struct argp argp = {
        options, parse_option,
        "",      "Show the running cluster. Exits with 1 when a node does not answer.",
        NULL,    NULL,
        NULL};
    struct cluster_options given = {0};
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_parse(&argp, argc, argv, &given) != 0) {
        return CLI_BAD_INPUT;
    }
    if (cli_running(cli_state_folder(given.state), &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = given.json ? print_status_json(&state) : print_status(&state);
    ps_cluster_state_fini(&state);
    return code;
}

/* Print what came to a log since the last call; it is opened once it is there. */
static void print_log(FILE **log, const char *path, const char *prefix)
{
    *log = *log == NULL ? fopen(path, "re") : *log;
    if (*log == NULL) {
        return;
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, *log) > 0) {
        (void)printf("%s%s%s", prefix == NULL ? "" : prefix, prefix == NULL ? "" : " | ", line);
    }
    clearerr(*log);
    free(line);
    (void)fflush(stdout);
}

int cmd_logs(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"follow", 'f', NULL, 0, "Go on with what is written from now on", 0},
        CLI_STATE_OPTION,
        {0}};
    static const struct argp argp = {
        options, parse_option, "[POP]", "Print the log of one PoP's node, or of all.",
        NULL,    NULL,         NULL};
    struct cluster_options given = {0};
    if (cli_parse(&argp, argc, argv, &given) != 0) {
        return CLI_BAD_INPUT;
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    const char *folder = cli_state_folder(given.state);
    if (ps_cluster_state_load(folder, &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    size_t count = state.cluster.pop_count;
    int only = given.pop == NULL ? -1 : ps_cluster_find_pop(&state.cluster, ps_slice_of(given.pop));
    if (given.pop != NULL && only < 0) {
        ps_cluster_state_fini(&state);
        return cli_usage("%s is none of the cluster's PoPs", given.pop);
    }
    /* Behind the nodes' logs the supervisor's, which tells of restarts. */
    FILE **logs = PS_NEW_ARRAY(FILE *, count + 1);
    do {
        for (size_t i = 0; i < count; i++) {
            if (only >= 0 && (size_t)only != i) {
                continue;
            }
            char path[4096];
            const char *pop = state.cluster.pops[i]->code;
            supervisor_path(folder, pop, "node.log", path);
            print_log(&logs[i], path, only < 0 ? pop : NULL);
        }
        if (only < 0) {
            char path[4096];
            (void)snprintf(path, sizeof path, "%s/supervisor.log", folder);
            print_log(&logs[count], path, "popsim");
        }
        if (given.follow) {
            (void)poll(NULL, 0, POLL_MS);
        }
    } while (given.follow && ferror(stdout) == 0);
    for (size_t i = 0; i <= count; i++) {
        if (logs[i] != NULL) {
            (void)fclose(logs[i]);
        }
    }
    free(logs);
    ps_cluster_state_fini(&state);
    return CLI_OK;
}

int cmd_down(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"clean", OPTION_CLEAN, NULL, 0, "Remove the state folder too", 0}, CLI_STATE_OPTION, {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "",
        "Stop the cluster. Its data stay in the state folder, and popsim up goes on with them.",
        NULL,
        NULL,
        NULL};
    struct cluster_options given = {0};
    if (cli_parse(&argp, argc, argv, &given) != 0) {
        return CLI_BAD_INPUT;
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    const char *folder = cli_state_folder(given.state);
    enum ps_status status = cli_running(folder, &state, &err);
    if (status == PS_OK) {
        pid_t pid = state.supervisor_pid;
        ps_cluster_state_fini(&state);
        (void)kill(pid, SIGTERM);
        for (int waited_ms = 0; state_folder_in_use(folder) && waited_ms < DOWN_WAIT_MS;
             waited_ms += DOWN_POLL_MS) {
            (void)poll(NULL, 0, DOWN_POLL_MS);
        }
        if (state_folder_in_use(folder)) {
            (void)ps_fail(&err, PS_TIMEOUT, "the supervisor (pid %d) does not stop", (int)pid);
            return cli_fail(&err);
        }
    } else if (!given.clean || state_folder_in_use(folder)) {
        return cli_fail(&err);
    }
    if (given.clean && state_folder_remove(folder, &err) != PS_OK) {
        return cli_fail(&err);
    }
    return CLI_OK;
}
