/* popsim d1 time-travel: through the REST API, as wrangler does it. */
#include "tools/popsim/d1_travel.h"

#include "tools/popsim/cli.h"
#include "tools/popsim/http_client.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

static void put_coded(struct ps_buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '_' || c == '.';
        if (plain) {
            ps_buf_append_char(buf, (char)c);
        } else {
            ps_buf_printf(buf, "%%%02X", c);
        }
    }
}

static void put_target(struct ps_buf *buf, const struct d1_travel *travel)
{
    ps_buf_append_text(buf, "/client/v4/accounts/popsim/d1/database/");
    put_coded(buf, travel->database);
    ps_buf_append_text(buf, travel->restore ? "/time_travel/restore" : "/time_travel/bookmark");
    if (travel->timestamp != NULL) {
        ps_buf_append_text(buf, "?timestamp=");
        put_coded(buf, travel->timestamp);
    } else if (travel->bookmark != NULL) {
        ps_buf_append_text(buf, "?bookmark=");
        put_coded(buf, travel->bookmark);
    }
}

static enum ps_status ask(const struct d1_travel *travel, struct http_reply *reply,
                          struct ps_error *err)
{
    const struct ps_cluster_state *state = travel->state;
    struct ps_buf target = {0};
    struct ps_buf headers = {0};
    put_target(&target, travel);
    if (state->token[0] != '\0') {
        ps_buf_printf(&headers, "Authorization: Bearer %s\r\n", state->token);
    }
    enum ps_status status =
        http_call(state->bind, state->nodes[travel->pop].api_port, travel->restore ? "POST" : "GET",
                  ps_buf_slice(&target), ps_buf_text(&headers), (struct ps_slice){0}, HTTP_LIMIT_MS,
                  reply, err);
    ps_buf_fini(&target);
    ps_buf_fini(&headers);
    return status;
}

static int print_error(const struct d1_travel *travel, const struct http_reply *reply,
                       const json_t *json)
{
    const json_t *first = json_array_get(json_object_get(json, "errors"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    (void)fprintf(stderr, "popsim: %s: %s\n", travel->state->cluster.pops[travel->pop]->code,
                  message == NULL ? reply->phrase : message);
    bool refused = reply->status >= 400 && reply->status < 500 && reply->status != 429;
    return refused ? CLI_BAD_INPUT : CLI_FAILED;
}

static void print_result(const struct d1_travel *travel, const json_t *result)
{
    const char *bookmark = json_string_value(json_object_get(result, "bookmark"));
    const char *previous = json_string_value(json_object_get(result, "previous_bookmark"));
    if (travel->json) {
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    } else if (travel->restore) {
        (void)printf("%s is restored, and at bookmark %s\n"
                     "To undo this: popsim d1 time-travel restore %s --bookmark %s\n",
                     travel->database, bookmark == NULL ? "?" : bookmark, travel->database,
                     previous == NULL ? "?" : previous);
    } else {
        (void)puts(bookmark == NULL ? "?" : bookmark);
    }
}

int d1_travel_run(const struct d1_travel *travel)
{
    if (travel->restore && (travel->bookmark == NULL) == (travel->timestamp == NULL)) {
        return cli_usage("d1 time-travel restore: --bookmark or --timestamp is expected");
    }
    if (!travel->restore && travel->bookmark != NULL) {
        return cli_usage("d1 time-travel info: --bookmark is for restore");
    }
    struct http_reply reply = {0};
    struct ps_error err = {0};
    if (ask(travel, &reply, &err) != PS_OK) {
        return cli_fail(&err);
    }
    json_t *json =
        json_loadb(reply.body.size == 0 ? "" : reply.body.data, reply.body.size, 0, NULL);
    const json_t *result = json_object_get(json, "result");
    int code = CLI_OK;
    if (reply.status == 200 && json_is_object(result)) {
        print_result(travel, result);
    } else {
        code = print_error(travel, &reply, json);
    }
    json_decref(json);
    http_reply_fini(&reply);
    return code;
}
