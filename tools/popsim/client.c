#include "tools/popsim/client.h"

#include "replication/base/assert.h"
#include "tools/popsim/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 65536 };

error_t client_parse(int key, char *argument, struct argp_state *state)
{
    struct client_args *args = state->input;
    if (key >= CLI_OPTION && key < CLI_OPTION + CLIENT_VALUES_MAX) {
        args->values[key - CLI_OPTION] = argument == NULL ? "" : argument;
        return 0;
    }
    if (key == CLI_OPTION_STATE) {
        args->state = argument;
        return 0;
    }
    if (key != ARGP_KEY_ARG) {
        return ARGP_ERR_UNKNOWN;
    }
    if (args->word_count == CLIENT_WORDS_MAX) {
        argp_error(state, "too many arguments");
    }
    args->words[args->word_count++] = argument;
    return 0;
}

size_t client_verb(const struct client_args *args, const char *verb)
{
    for (size_t count = 0; count < args->word_count; count++) {
        size_t size = strcspn(verb, " ");
        if (strlen(args->words[count]) != size || memcmp(args->words[count], verb, size) != 0) {
            return 0;
        }
        if (verb[size] == '\0') {
            return count + 1;
        }
        verb += size + 1;
    }
    return 0;
}

int client_init(struct client *client, const struct client_args *args,
                const struct ps_cluster_state *state)
{
    const char *code = args->values[CLIENT_POP];
    int pop = code == NULL ? 0 : ps_cluster_find_pop(&state->cluster, ps_slice_of(code));
    *client = (struct client){state, pop < 0 ? 0 : (size_t)pop};
    return pop < 0 ? cli_usage("--pop %s: it is none of the cluster's PoPs", code) : CLI_OK;
}

const char *client_code(const struct client *client)
{
    return client->state->cluster.pops[client->pop]->code;
}

void client_put_token(const struct client *client, struct ps_buf *headers)
{
    if (client->state->token[0] != '\0') {
        ps_buf_printf(headers, "Authorization: Bearer %s\r\n", client->state->token);
    }
}

int client_read_file(const char *path, size_t size_max, struct ps_buf *ret)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return cli_usage("%s: %s", path, strerror(errno));
    }
    size_t before = ret->size;
    size_t got;
    do {
        ps_buf_reserve(ret, CHUNK);
        got = fread(ret->data + ret->size, 1, CHUNK, file);
        ret->size += got;
    } while (got > 0 && ret->size - before <= size_max);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (ret->size - before > size_max) {
        return cli_usage("%s: more than %zu bytes", path, size_max);
    }
    return failed ? cli_usage("%s: it cannot be read", path) : CLI_OK;
}

const char *client_text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "?" : text;
}

void client_put_coded(struct ps_buf *buf, const char *text)
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

int client_refusal(const struct client *client, const struct http_reply *reply)
{
    json_t *json =
        json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size, 0, NULL);
    const json_t *first = json_array_get(json_object_get(json, "errors"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    (void)fprintf(stderr, "popsim: %s: %s\n", client_code(client),
                  message == NULL ? reply->phrase : message);
    json_decref(json);
    bool refused = reply->status >= 400 && reply->status < 500 && reply->status != 429;
    return refused ? CLI_BAD_INPUT : CLI_FAILED;
}

static int rest(const struct client *client, const char *method, struct ps_slice target,
                struct ps_slice body, bool whole, json_t **ret)
{
    const struct ps_cluster_state *state = client->state;
    struct ps_buf headers = {0};
    struct http_reply reply = {0};
    struct ps_error err = {0};
    client_put_token(client, &headers);
    if (body.size > 0) {
        ps_buf_append_text(&headers, "Content-Type: application/json\r\n");
    }
    enum ps_status status =
        http_call(state->bind, state->nodes[client->pop].api_port, method, target,
                  ps_buf_text(&headers), body, HTTP_LIMIT_MS, &reply, &err);
    ps_buf_fini(&headers);
    if (status != PS_OK) {
        return cli_fail(&err);
    }
    json_t *json =
        json_loadb(reply.body.size == 0 ? "" : reply.body.data, reply.body.size, 0, NULL);
    json_t *result = json_object_get(json, "result");
    int code = CLI_OK;
    if (reply.status == 200 && result != NULL) {
        *ret = json_incref(whole ? json : result);
    } else {
        code = client_refusal(client, &reply);
    }
    json_decref(json);
    http_reply_fini(&reply);
    return code;
}

int client_rest(const struct client *client, const char *method, struct ps_slice target,
                struct ps_slice body, json_t **ret)
{
    return rest(client, method, target, body, false, ret);
}

int client_rest_page(const struct client *client, struct ps_slice target, json_t **ret)
{
    return rest(client, "GET", target, (struct ps_slice){"", 0}, true, ret);
}
