/* popsim kv: the verbs of wrangler against a PoP, as a Worker's binding would see it. */
#include "node/kv/kv.h"
#include "tools/popsim/cli.h"
#include "tools/popsim/http_client.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_POP = CLI_OPTION,
    OPTION_TTL,
    OPTION_EXPIRATION,
    OPTION_METADATA,
    OPTION_CACHE_TTL,
    OPTION_PREFIX,
    OPTION_LIMIT,
    OPTION_PATH,
    WORDS_MAX = 4
};

struct kv_options {
    const char *state;
    const char *pop;
    const char *ttl;
    const char *expiration;
    const char *metadata;
    const char *cache_ttl;
    const char *prefix;
    const char *limit;
    const char *path;
    const char *words[WORDS_MAX];
    size_t word_count;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct kv_options *options = state->input;
    switch (key) {
    case OPTION_POP:
        options->pop = argument;
        break;
    case OPTION_TTL:
        options->ttl = argument;
        break;
    case OPTION_EXPIRATION:
        options->expiration = argument;
        break;
    case OPTION_METADATA:
        options->metadata = argument;
        break;
    case OPTION_CACHE_TTL:
        options->cache_ttl = argument;
        break;
    case OPTION_PREFIX:
        options->prefix = argument;
        break;
    case OPTION_LIMIT:
        options->limit = argument;
        break;
    case OPTION_PATH:
        options->path = argument;
        break;
    case CLI_OPTION_STATE:
        options->state = argument;
        break;
    case ARGP_KEY_ARG:
        if (options->word_count == WORDS_MAX) {
            argp_error(state, "too many arguments");
        }
        options->words[options->word_count++] = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option argp_options[] = {
    {"pop", OPTION_POP, "CODE", 0, "The PoP to talk to (default: the first)", 0},
    {"ttl", OPTION_TTL, "SECONDS", 0, "put: expire after so long", 0},
    {"expiration", OPTION_EXPIRATION, "UNIX_S", 0, "put: expire at this time", 0},
    {"metadata", OPTION_METADATA, "JSON", 0, "put: metadata", 0},
    {"path", OPTION_PATH, "FILE", 0, "put: take the value from FILE", 0},
    {"cache-ttl", OPTION_CACHE_TTL, "SECONDS", 0, "get: keep the PoP's entry so long", 0},
    {"prefix", OPTION_PREFIX, "TEXT", 0, "list: only names that start with TEXT", 0},
    {"limit", OPTION_LIMIT, "N", 0, "list: at most N names", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    parse_option,
    "put STORE KEY [VALUE]\nget STORE KEY\ndelete STORE KEY\nlist STORE",
    "Put, get, delete and list keys of a KV store at a PoP.\v"
    "The value goes to stdout; how stale it was, to stderr. "
    "A key that is not visible at the PoP exits with 1.",
    NULL,
    NULL,
    NULL};

static void encode(struct ps_buf *buf, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || strchr("-._~", byte) != NULL;
        if (plain) {
            ps_buf_append_char(buf, *at);
        } else {
            ps_buf_printf(buf, "%%%02X", byte);
        }
    }
}

static void add_query(struct ps_buf *target, const char *name, const char *value)
{
    if (value != NULL) {
        bool first = memchr(target->data, '?', target->size) == NULL;
        ps_buf_printf(target, "%c%s=", first ? '?' : '&', name);
        encode(target, value);
    }
}

/* "hit: version 3 of 5, 2 newer, superseded 12.4s ago" */
static void print_staleness(const char *pop, const struct http_reply *reply)
{
    struct ps_slice lsn = http_reply_header(reply, "popsim-lsn");
    struct ps_slice latest = http_reply_header(reply, "popsim-latest-lsn");
    struct ps_slice behind = http_reply_header(reply, "popsim-behind");
    struct ps_slice stale = http_reply_header(reply, "popsim-stale-ms");
    struct ps_slice cache = http_reply_header(reply, "cf-cache-status");
    if (lsn.size == 0) {
        return;
    }
    double stale_ms = stale.size == 0 ? 0 : strtod(stale.data, NULL);
    (void)fprintf(stderr, "%s: version at LSN %.*s", pop, (int)lsn.size, lsn.data);
    if (cache.size > 0) {
        (void)fprintf(stderr, ", cache %.*s", (int)cache.size, cache.data);
    }
    if (ps_slice_eq(behind, PS_LIT("0")) || behind.size == 0) {
        (void)fprintf(stderr, ", the newest\n");
    } else {
        (void)fprintf(stderr, ", STALE: %.*s behind (newest is LSN %.*s), superseded %.3f s ago\n",
                      (int)behind.size, behind.data, (int)latest.size, latest.data,
                      stale_ms / 1000);
    }
}

static int read_value(const struct kv_options *options, struct ps_buf *ret)
{
    if (options->path == NULL) {
        if (options->word_count < 4) {
            return cli_usage("kv put: VALUE or --path FILE is missing");
        }
        ps_buf_append_text(ret, options->words[3]);
        return CLI_OK;
    }
    FILE *file = fopen(options->path, "rbe");
    if (file == NULL) {
        return cli_usage("%s: %s", options->path, strerror(errno));
    }
    char chunk[65536];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0 && ret->size <= PS_KV_VALUE_SIZE_MAX) {
        ps_buf_append(ret, chunk, got);
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    return failed ? cli_usage("%s: it cannot be read", options->path) : CLI_OK;
}

static int print_names(struct ps_slice body)
{
    json_error_t reason;
    json_t *json = json_loadb(body.data, body.size, 0, &reason);
    if (json == NULL) {
        return cli_usage("the node's answer is no JSON: %s", reason.text);
    }
    size_t index;
    json_t *name;
    json_array_foreach(json_object_get(json, "keys"), index, name)
    {
        (void)puts(json_string_value(json_object_get(name, "name")));
    }
    if (json_is_false(json_object_get(json, "list_complete"))) {
        (void)fprintf(stderr, "there are more; the next cursor: %s\n",
                      json_string_value(json_object_get(json, "cursor")));
    }
    json_decref(json);
    return CLI_OK;
}

struct call {
    const char *pop;
    const char *address;
    uint16_t port;
    struct ps_buf target;
    struct ps_buf headers;
    struct ps_buf body;
};

static int finish(const char *verb, struct call *call, const char *method)
{
    struct http_reply reply = {0};
    struct ps_error err = {0};
    if (http_call(call->address, call->port, method, ps_buf_slice(&call->target),
                  ps_buf_text(&call->headers), ps_buf_slice(&call->body), &reply, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = CLI_OK;
    bool is_get = strcmp(verb, "get") == 0;
    if (reply.status == 404 && is_get) {
        print_staleness(call->pop, &reply);
        (void)fprintf(stderr, "%s: not found\n", call->pop);
        code = CLI_BROKEN;
    } else if (reply.status >= 300) {
        (void)fprintf(stderr, "popsim: kv %s failed: %d %s\n", verb, reply.status, reply.phrase);
        code = reply.status < 500 && reply.status != 429 ? CLI_BAD_INPUT : CLI_FAILED;
    } else if (is_get) {
        (void)fwrite(reply.body.data, 1, reply.body.size, stdout);
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
        print_staleness(call->pop, &reply);
    } else if (strcmp(verb, "list") == 0) {
        code = print_names(ps_buf_slice(&reply.body));
    } else {
        struct ps_slice lsn = http_reply_header(&reply, "popsim-lsn");
        (void)fprintf(stderr, "%s: committed at LSN %.*s\n", call->pop, (int)lsn.size, lsn.data);
    }
    http_reply_fini(&reply);
    return code;
}

static int prepare(const struct kv_options *options, const char *verb, struct call *call,
                   const char **ret_method)
{
    ps_buf_append_char(&call->target, '/');
    bool needs_key = strcmp(verb, "list") != 0;
    if (needs_key) {
        if (options->word_count < 3) {
            return cli_usage("kv %s: STORE and KEY are expected", verb);
        }
        encode(&call->target, options->words[2]);
        add_query(&call->target, "urlencoded", "true");
    }
    ps_buf_printf(&call->headers, "popsim-store: %s\r\n", options->words[1]);
    if (strcmp(verb, "put") == 0) {
        *ret_method = "PUT";
        add_query(&call->target, "expiration_ttl", options->ttl);
        add_query(&call->target, "expiration", options->expiration);
        if (options->metadata != NULL) {
            if (strpbrk(options->metadata, "\r\n") != NULL) {
                return cli_usage("--metadata: it must be one line");
            }
            ps_buf_printf(&call->headers, "CF-KV-Metadata: %s\r\n", options->metadata);
        }
        return read_value(options, &call->body);
    }
    *ret_method = strcmp(verb, "delete") == 0 ? "DELETE" : "GET";
    if (strcmp(verb, "get") == 0) {
        add_query(&call->target, "cache_ttl", options->cache_ttl);
    } else if (!needs_key) {
        add_query(&call->target, "prefix", options->prefix);
        add_query(&call->target, "key_count_limit", options->limit);
    }
    return CLI_OK;
}

int cmd_kv(int argc, char **argv)
{
    struct kv_options options = {0};
    if (cli_parse(&argp, argc, argv, &options) != 0) {
        return CLI_BAD_INPUT;
    }
    static const char *const verbs[] = {"put", "get", "delete", "list"};
    const char *verb = NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && options.word_count > 0; i++) {
        verb = strcmp(options.words[0], verbs[i]) == 0 ? verbs[i] : verb;
    }
    if (verb == NULL || options.word_count < 2) {
        return cli_usage(
            "kv: put, get, delete or list and a STORE are expected; see popsim kv --help");
    }
    if (strpbrk(options.words[1], "\r\n") != NULL) {
        return cli_usage("kv: a store's name has no line ends");
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_running(cli_state_folder(options.state), &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int pop =
        options.pop == NULL ? 0 : ps_cluster_find_pop(&state.cluster, ps_slice_of(options.pop));
    int code = CLI_OK;
    if (pop < 0) {
        code = cli_usage("--pop %s: it is none of the cluster's PoPs", options.pop);
    } else {
        struct call call = {.pop = state.cluster.pops[pop]->code,
                            .address = state.bind,
                            .port = state.nodes[pop].api_port};
        const char *method = NULL;
        code = prepare(&options, verb, &call, &method);
        if (code == CLI_OK) {
            code = finish(verb, &call, method);
        }
        ps_buf_fini(&call.target);
        ps_buf_fini(&call.headers);
        ps_buf_fini(&call.body);
    }
    ps_cluster_state_fini(&state);
    return code;
}
