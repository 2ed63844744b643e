/* popsim kv: the verbs of wrangler against a PoP, as a Worker's binding would see it. */
#include "node/kv/kv.h"
#include "tools/popsim/client.h"
#include "tools/popsim/http_client.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMESPACES "/client/v4/accounts/popsim/storage/kv/namespaces"

enum value {
    POP = CLIENT_POP,
    TTL,
    EXPIRATION,
    METADATA,
    CACHE_TTL,
    PREFIX,
    LIMIT,
    CURSOR,
    VALUE_PATH,
};

enum {
    MS_PER_S = 1000,
    FILE_SIZE_MAX = 104857600 /* a bulk write's documented limit */
};

static const struct argp_option argp_options[] = {
    CLIENT_POP_OPTION,
    {"ttl", CLI_OPTION + TTL, "SECONDS", 0, "put: expire after so long", 0},
    {"expiration", CLI_OPTION + EXPIRATION, "UNIX_S", 0, "put: expire at this time", 0},
    {"metadata", CLI_OPTION + METADATA, "JSON", 0, "put: metadata", 0},
    {"path", CLI_OPTION + VALUE_PATH, "FILE", 0, "put: take the value from FILE", 0},
    {"cache-ttl", CLI_OPTION + CACHE_TTL, "SECONDS", 0, "get: keep the PoP's entry so long", 0},
    {"prefix", CLI_OPTION + PREFIX, "TEXT", 0, "list: only names that start with TEXT", 0},
    {"limit", CLI_OPTION + LIMIT, "N", 0, "list: at most N names", 0},
    {"cursor", CLI_OPTION + CURSOR, "TEXT", 0, "list: go on where an earlier list ended", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    client_parse,
    "put STORE KEY [VALUE]\nget STORE KEY\ndelete STORE KEY\nlist STORE\n"
    "bulk put STORE FILE\nbulk get STORE FILE\nbulk delete STORE FILE",
    "Put, get, delete and list keys of a KV store at a PoP.\v"
    "The value goes to stdout; how stale it was, to stderr. "
    "A key that is not visible at the PoP exits with 1. "
    "FILE is JSON as wrangler takes it: [{\"key\": ..., \"value\": ...}, ...] to put, "
    "[\"key\", ...] to get and delete.",
    NULL,
    NULL,
    NULL};

static void add_query(struct ps_buf *target, const char *name, const char *value)
{
    if (value != NULL) {
        bool first = memchr(target->data, '?', target->size) == NULL;
        ps_buf_printf(target, "%c%s=", first ? '?' : '&', name);
        client_put_coded(target, value);
    }
}

static struct ps_slice text_or(struct ps_slice text, const char *otherwise)
{
    return text.size == 0 ? ps_slice_of(otherwise) : text;
}

/* "sin: version at LSN 3, cache HIT, STALE: 2 behind (newest is LSN 5), superseded 12.4 s ago" */
static void print_staleness(const char *pop, const struct http_reply *reply)
{
    struct ps_slice lsn = http_reply_header(reply, "popsim-lsn");
    struct ps_slice latest = http_reply_header(reply, "popsim-latest-lsn");
    struct ps_slice behind = text_or(http_reply_header(reply, "popsim-behind"), "0");
    struct ps_slice stale = text_or(http_reply_header(reply, "popsim-stale-ms"), "0");
    struct ps_slice cache = http_reply_header(reply, "cf-cache-status");
    if (lsn.size == 0) {
        return;
    }
    if (ps_slice_eq(lsn, PS_LIT("0"))) {
        (void)fprintf(stderr, "%s: no version", pop);
    } else {
        (void)fprintf(stderr, "%s: version at LSN %.*s", pop, (int)lsn.size, lsn.data);
    }
    if (cache.size > 0) {
        (void)fprintf(stderr, ", cache %.*s", (int)cache.size, cache.data);
    }
    if (http_reply_header(reply, "popsim-late").size > 0) {
        (void)fprintf(stderr, ", LATE: home is away");
    }
    if (ps_slice_eq(behind, PS_LIT("0"))) {
        (void)fprintf(stderr, ", the newest\n");
    } else {
        (void)fprintf(stderr, ", STALE: %.*s behind (newest is LSN %.*s), superseded %.3f s ago\n",
                      (int)behind.size, behind.data, (int)latest.size, latest.data,
                      strtod(stale.data, NULL) / MS_PER_S);
    }
}

static int read_value(const struct client_args *args, struct ps_buf *ret)
{
    if (args->values[VALUE_PATH] != NULL) {
        return client_read_file(args->values[VALUE_PATH], FILE_SIZE_MAX, ret);
    }
    if (args->word_count < 4) {
        return cli_usage("kv put: VALUE or --path FILE is missing");
    }
    ps_buf_append_text(ret, args->words[3]);
    return CLI_OK;
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
        (void)fprintf(stderr, "there are more; go on with --cursor %s\n",
                      json_string_value(json_object_get(json, "cursor")));
    }
    json_decref(json);
    return CLI_OK;
}

struct call {
    struct client client;
    char store[PS_STORE_NAME_MAX + 1]; /* its name, or its id if it was made at run time */
    char store_id[33];
    const char *verb; /* "put", ..., or "bulk put", ... */
    const char *method;
    struct ps_buf target;
    struct ps_buf headers;
    struct ps_buf body;
};

static bool is(const struct call *call, const char *verb)
{
    return strcmp(call->verb, verb) == 0;
}

static const char *pop_of(const struct call *call)
{
    return client_code(&call->client);
}

/* A node's refusal in its own words: the REST API's are in the body. */
static int print_refusal(const struct call *call, const struct http_reply *reply)
{
    json_t *json =
        json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size, 0, NULL);
    const char *message = json_string_value(
        json_object_get(json_array_get(json_object_get(json, "errors"), 0), "message"));
    (void)fprintf(stderr, "popsim: kv %s failed: %d %s\n", call->verb, reply->status,
                  message == NULL ? reply->phrase : message);
    json_decref(json);
    return reply->status < 500 && reply->status != 429 ? CLI_BAD_INPUT : CLI_FAILED;
}

static int print_written(const struct call *call, struct ps_slice body)
{
    json_t *json = json_loadb(body.data, body.size, 0, NULL);
    const json_t *result = json_object_get(json, "result");
    const json_t *failed = json_object_get(result, "unsuccessful_keys");
    (void)fprintf(stderr, "%s: %" JSON_INTEGER_FORMAT " keys written, %zu not\n", pop_of(call),
                  json_integer_value(json_object_get(result, "successful_key_count")),
                  json_array_size(failed));
    for (size_t i = 0; i < json_array_size(failed); i++) {
        (void)puts(json_string_value(json_array_get(failed, i)));
    }
    int code = json_array_size(failed) == 0 ? CLI_OK : CLI_FAILED;
    json_decref(json);
    return code;
}

/* A pipe gets the value's own bytes; a terminal a line of its own, too. */
static void print_value(const struct http_reply *reply, bool line)
{
    (void)fwrite(reply->body.data, 1, reply->body.size, stdout);
    if (line || isatty(STDOUT_FILENO) == 1) {
        (void)fputc('\n', stdout);
    }
    (void)fflush(stdout);
}

static int print_reply(const struct call *call, const struct http_reply *reply)
{
    bool was_read = http_reply_header(reply, "popsim-lsn").size > 0; /* there is such a store */
    if (reply->status == 404 && is(call, "get") && was_read) {
        print_staleness(pop_of(call), reply);
        (void)fprintf(stderr, "%s: not found\n", pop_of(call));
        return CLI_BROKEN;
    }
    if (reply->status >= 300) {
        return print_refusal(call, reply);
    }
    if (is(call, "get") || is(call, "bulk get")) {
        print_value(reply, is(call, "bulk get"));
        print_staleness(pop_of(call), reply);
        return CLI_OK;
    }
    if (is(call, "list")) {
        return print_names(ps_buf_slice(&reply->body));
    }
    if (is(call, "bulk put") || is(call, "bulk delete")) {
        return print_written(call, ps_buf_slice(&reply->body));
    }
    struct ps_slice lsn = http_reply_header(reply, "popsim-lsn");
    (void)fprintf(stderr, "%s: committed at LSN %.*s\n", pop_of(call), (int)lsn.size, lsn.data);
    return CLI_OK;
}

static enum ps_status send_call(struct call *call, struct http_reply *ret, struct ps_error *err)
{
    const struct ps_cluster_state *state = call->client.state;
    client_put_token(&call->client, &call->headers);
    return http_call(state->bind, state->nodes[call->client.pop].api_port, call->method,
                     ps_buf_slice(&call->target), ps_buf_text(&call->headers),
                     ps_buf_slice(&call->body), HTTP_LIMIT_MS, ret, err);
}

static int perform(struct call *call)
{
    struct http_reply reply = {0};
    struct ps_error err = {0};
    if (send_call(call, &reply, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = print_reply(call, &reply);
    http_reply_fini(&reply);
    return code;
}

static void call_reset(struct call *call)
{
    ps_buf_fini(&call->target);
    ps_buf_fini(&call->headers);
    ps_buf_fini(&call->body);
}

/* Find a namespace that was made at run time, by its title or id, among those that the PoP lists.
 */
static bool find_namespace(struct call *call, const char *name, struct ps_slice listed)
{
    json_t *json = json_loadb(listed.size == 0 ? "" : listed.data, listed.size, 0, NULL);
    size_t index;
    const json_t *one;
    json_array_foreach(json_object_get(json, "result"), index, one)
    {
        const char *title = json_string_value(json_object_get(one, "title"));
        const char *id = json_string_value(json_object_get(one, "id"));
        if (title != NULL && id != NULL && (strcmp(title, name) == 0 || strcmp(id, name) == 0)) {
            (void)snprintf(call->store, sizeof call->store, "%s", id);
            (void)snprintf(call->store_id, sizeof call->store_id, "%s", id);
        }
    }
    json_decref(json);
    return call->store_id[0] != '\0';
}

static int find_store(struct call *call, const char *name)
{
    const struct ps_cluster *cluster = &call->client.state->cluster;
    int store = ps_cluster_find_store(cluster, ps_slice_of(name));
    if (store >= 0 && cluster->stores[store].type != PS_STORE_KV) {
        return cli_usage("%s is no KV store; see popsim %s", name,
                         ps_store_type_name(cluster->stores[store].type));
    }
    if (store >= 0) {
        (void)snprintf(call->store, sizeof call->store, "%s", cluster->stores[store].name);
        (void)snprintf(call->store_id, sizeof call->store_id, "%s", cluster->stores[store].id);
        return CLI_OK;
    }
    struct http_reply reply = {0};
    struct ps_error err = {0};
    call->method = "GET";
    ps_buf_append_text(&call->target, NAMESPACES "?per_page=1000");
    if (send_call(call, &reply, &err) != PS_OK) {
        return cli_fail(&err);
    }
    bool found = find_namespace(call, name, ps_buf_slice(&reply.body));
    http_reply_fini(&reply);
    call_reset(call);
    return found ? CLI_OK : cli_usage("the cluster has no store \"%s\"; see popsim status", name);
}

static int prepare_key(const struct client_args *args, struct call *call)
{
    if (args->word_count < 3) {
        return cli_usage("kv %s: STORE and KEY are expected", call->verb);
    }
    client_put_coded(&call->target, args->words[2]);
    add_query(&call->target, "urlencoded", "true");
    if (is(call, "get")) {
        call->method = "GET";
        add_query(&call->target, "cache_ttl", args->values[CACHE_TTL]);
        return CLI_OK;
    }
    if (is(call, "delete")) {
        call->method = "DELETE";
        return CLI_OK;
    }
    call->method = "PUT";
    add_query(&call->target, "expiration_ttl", args->values[TTL]);
    add_query(&call->target, "expiration", args->values[EXPIRATION]);
    if (args->values[METADATA] != NULL) {
        if (strpbrk(args->values[METADATA], "\r\n") != NULL) {
            return cli_usage("--metadata: it must be one line");
        }
        ps_buf_printf(&call->headers, "CF-KV-Metadata: %s\r\n", args->values[METADATA]);
    }
    return read_value(args, &call->body);
}

/* Bulk writes are the REST API's alone; a bulk get is a binding's, so that it sees the PoP's cache.
 */
static int prepare_bulk(const struct client_args *args, struct call *call)
{
    if (args->word_count < 4) {
        return cli_usage("kv %s: STORE and FILE are expected", call->verb);
    }
    ps_buf_append_text(&call->headers, "Content-Type: application/json\r\n");
    if (is(call, "bulk get")) {
        call->method = "POST";
        ps_buf_append_text(&call->target, "bulk/get");
        ps_buf_append_text(&call->body, "{\"keys\":");
        int code = client_read_file(args->words[3], FILE_SIZE_MAX, &call->body);
        ps_buf_append_char(&call->body, '}');
        return code;
    }
    call->method = is(call, "bulk put") ? "PUT" : "POST";
    call->headers.size = 0;
    call->target.size = 0;
    ps_buf_printf(&call->target, NAMESPACES "/%s/bulk%s", call->store_id,
                  is(call, "bulk put") ? "" : "/delete");
    return client_read_file(args->words[3], FILE_SIZE_MAX, &call->body);
}

static int prepare(const struct client_args *args, struct call *call)
{
    ps_buf_append_char(&call->target, '/');
    ps_buf_printf(&call->headers, "popsim-store: %s\r\n", call->store);
    if (strncmp(call->verb, "bulk ", 5) == 0) {
        return prepare_bulk(args, call);
    }
    if (!is(call, "list")) {
        return prepare_key(args, call);
    }
    call->method = "GET";
    add_query(&call->target, "prefix", args->values[PREFIX]);
    add_query(&call->target, "key_count_limit", args->values[LIMIT]);
    add_query(&call->target, "cursor", args->values[CURSOR]);
    return CLI_OK;
}

static int run(const struct client_args *args, const char *verb,
               const struct ps_cluster_state *state)
{
    const char *name = args->words[client_verb(args, verb)];
    struct call call = {.verb = verb};
    int code = client_init(&call.client, args, state);
    if (code == CLI_OK) {
        code = find_store(&call, name);
    }
    if (code == CLI_OK) {
        code = prepare(args, &call);
    }
    if (code == CLI_OK) {
        code = perform(&call);
    }
    call_reset(&call);
    return code;
}

/* The verb that the words begin with; NULL if it is none, or no store follows. */
static const char *verb_of(const struct client_args *args)
{
    static const char *const verbs[] = {"put",      "get",      "delete",     "list",
                                        "bulk put", "bulk get", "bulk delete"};

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        size_t count = client_verb(args, verbs[i]);
        if (count > 0 && args->word_count > count) {
            return verbs[i];
        }
    }
    return NULL;
}

int cmd_kv(int argc, char **argv)
{
    struct client_args args = {0};
    if (cli_parse(&argp, argc, argv, &args) != 0) {
        return CLI_BAD_INPUT;
    }
    const char *verb = verb_of(&args);
    if (verb == NULL) {
        return cli_usage("kv: put, get, delete, list or bulk put, get, delete and a STORE are "
                         "expected; see popsim kv --help");
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_running(cli_state_folder(args.state), &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = run(&args, verb, &state);
    ps_cluster_state_fini(&state);
    return code;
}
