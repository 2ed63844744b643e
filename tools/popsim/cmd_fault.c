/* popsim fault: cut, heal, slow or crash a PoP of the running cluster. */
#include "tools/popsim/cli.h"
#include "tools/popsim/http_client.h"
#include "tools/popsim/supervisor.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_POP = CLI_OPTION,
    OPTION_FOR,
    OPTION_FACTOR,
    FACTOR_MAX = 1000000 /* what a node takes */
};

struct fault_options {
    const char *state;
    const char *verb;
    const char *pop;
    const char *duration;
    const char *factor;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct fault_options *options = state->input;
    switch (key) {
    case OPTION_POP:
        options->pop = argument;
        break;
    case OPTION_FOR:
        options->duration = argument;
        break;
    case OPTION_FACTOR:
        options->factor = argument;
        break;
    case CLI_OPTION_STATE:
        options->state = argument;
        break;
    case ARGP_KEY_ARG:
        if (options->verb != NULL) {
            argp_error(state, "one fault at a time");
        }
        options->verb = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option argp_options[] = {
    {"pop", OPTION_POP, "CODE", 0, "The PoP", 0},
    {"for", OPTION_FOR, "DURATION", 0, "How long, in cluster time (partition: until healed)", 0},
    {"factor", OPTION_FACTOR, "X", 0, "slow: how much longer everything takes", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    parse_option,
    "partition --pop CODE [--for DURATION]\nheal --pop CODE\n"
    "slow --pop CODE --factor X --for DURATION\ncrash --pop CODE [--for DURATION]",
    "Cut, heal, slow or crash a PoP of the running cluster.",
    NULL,
    NULL,
    NULL};

struct target {
    const char *folder;
    const struct ps_cluster_state *state;
    size_t pop;
    const char *duration;
    ps_dur_ns duration_ns; /* 0 = not given */
};

/* A refusal's reason; the phrase when there is none. */
static int refused(const struct http_reply *reply)
{
    json_t *json =
        json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size, 0, NULL);
    const char *reason = json_string_value(json_object_get(json, "error"));
    int code = cli_usage("%s", reason == NULL ? reply->phrase : reason);
    json_decref(json);
    return code;
}

static int post(const struct target *target, const char *path, const struct ps_buf *body,
                const char *outcome)
{
    struct http_reply reply = {0};
    struct ps_error err = {0};
    char headers[160] = "Content-Type: application/json\r\n";
    if (target->state->token[0] != '\0') {
        (void)snprintf(headers, sizeof headers,
                       "Content-Type: application/json\r\nAuthorization: Bearer %s\r\n",
                       target->state->token);
    }
    if (http_call(target->state->bind, target->state->nodes[target->pop].api_port, "POST",
                  ps_slice_of(path), headers, ps_buf_slice(body), HTTP_LIMIT_MS, &reply,
                  &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = CLI_OK;
    if (reply.status != 200) {
        code = refused(&reply);
    } else {
        (void)printf("%s: %s\n", target->state->cluster.pops[target->pop]->code, outcome);
    }
    http_reply_fini(&reply);
    return code;
}

/* The PoP's cluster time now: what a fault with a length is counted from. */
static ps_time_ns now_of(const struct target *target)
{
    return ps_timeline_at(&target->state->timeline, cli_monotonic_ns());
}

static int partition(const struct target *target)
{
    struct ps_buf body = {0};
    if (target->duration_ns == 0) {
        ps_buf_append_text(&body, "{\"outages\":[[null,null]]}");
    } else {
        ps_buf_printf(&body, "{\"outages\":[[null,%" PRIu64 "]]}",
                      ps_time_add(now_of(target), target->duration_ns));
    }
    char outcome[96] = "cut off from home until popsim fault heal";
    if (target->duration_ns != 0) {
        (void)snprintf(outcome, sizeof outcome, "cut off from home for %s", target->duration);
    }
    int code = post(target, "/popsim/link", &body, outcome);
    ps_buf_fini(&body);
    return code;
}

static int slow(const struct target *target, const char *factor_text)
{
    char *end = NULL;
    double factor = factor_text == NULL ? 0 : strtod(factor_text, &end);
    if (factor_text == NULL || *end != '\0' || !(factor >= 1 && factor <= FACTOR_MAX)) {
        return cli_usage("fault slow: --factor X is expected, from 1 to %d", FACTOR_MAX);
    }
    if (target->duration_ns == 0) {
        return cli_usage("fault slow: --for DURATION is expected");
    }
    struct ps_buf body = {0};
    ps_buf_printf(&body, "{\"slows\":[[null,%" PRIu64 ",%" PRIu64 "]]}",
                  ps_time_add(now_of(target), target->duration_ns), (uint64_t)(factor * 1000));
    char outcome[96];
    (void)snprintf(outcome, sizeof outcome, "%g times slower for %s", factor, target->duration);
    int code = post(target, "/popsim/link", &body, outcome);
    ps_buf_fini(&body);
    return code;
}

/* Keep the node down: until an instant of the monotonic clock. */
static int hold_down(const char *path, uint64_t until_mono_ns)
{
    FILE *file = fopen(path, "we");
    bool failed = file == NULL || fprintf(file, "%" PRIu64 "\n", until_mono_ns) < 0;
    failed = (file != NULL && fclose(file) != 0) || failed;
    return failed ? cli_usage("%s: %s", path, strerror(errno)) : CLI_OK;
}

static int crash(const struct target *target)
{
    const char *name = target->state->cluster.pops[target->pop]->code;
    char hold[4096];
    supervisor_path(target->folder, name, "hold", hold);
    if (target->duration_ns > 0) {
        ps_time_ns until_ns = ps_time_add(now_of(target), target->duration_ns);
        int code = hold_down(hold, ps_timeline_when(&target->state->timeline, until_ns));
        if (code != CLI_OK) {
            return code;
        }
    }
    int32_t pid = target->state->nodes[target->pop].pid;
    if (pid <= 0 || kill(pid, SIGKILL) != 0) {
        (void)unlink(hold);
        return cli_usage("%s is not running", name);
    }
    if (target->duration_ns > 0) {
        (void)printf("%s: killed (pid %d) and held down for %s\n", name, (int)pid,
                     target->duration);
    } else {
        (void)printf("%s: killed (pid %d)\n", name, (int)pid);
    }
    return CLI_OK;
}

static int dispatch(const struct fault_options *options, const struct target *target)
{
    static const struct ps_buf empty;
    if (strcmp(options->verb, "partition") == 0) {
        return partition(target);
    }
    if (strcmp(options->verb, "heal") == 0) {
        return post(target, "/popsim/heal", &empty, "its link is whole again");
    }
    if (strcmp(options->verb, "slow") == 0) {
        return slow(target, options->factor);
    }
    if (strcmp(options->verb, "crash") == 0) {
        return crash(target);
    }
    return cli_usage("fault: unknown fault \"%s\"; partition, heal, slow or crash is expected",
                     options->verb);
}

int cmd_fault(int argc, char **argv)
{
    struct fault_options options = {0};
    if (cli_parse(&argp, argc, argv, &options) != 0) {
        return CLI_BAD_INPUT;
    }
    if (options.verb == NULL || options.pop == NULL) {
        return cli_usage("fault: a fault and --pop are expected; see popsim fault --help");
    }
    struct target target = {.folder = cli_state_folder(options.state),
                            .duration = options.duration};
    if (options.duration != NULL &&
        (ps_dur_parse(ps_slice_of(options.duration), &target.duration_ns) != PS_OK ||
         target.duration_ns == 0)) {
        return cli_usage("--for %s: a duration like 30s is expected", options.duration);
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_running(target.folder, &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    target.state = &state;
    int pop = ps_cluster_find_pop(&state.cluster, ps_slice_of(options.pop));
    target.pop = (size_t)pop;
    int code = pop < 0 ? cli_usage("--pop %s: it is none of the cluster's PoPs", options.pop)
                       : dispatch(&options, &target);
    ps_cluster_state_fini(&state);
    return code;
}
