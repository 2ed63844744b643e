/* The REST API of D1 but for queries: databases made, changed and dropped; export and import. */
#include "node/http/api_internal.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

enum { MALFORMED = 7400, NOT_FOUND = 7404, LIMIT = 7406, FAILED = 7500, EXISTS = 7502 };

/* ---- what is asked ---- */

static void malformed(struct ps_api_parser *parser, const char *why)
{
    char words[160];
    (void)snprintf(words, sizeof words, "The request is malformed: %s", why);
    ps_api_fail(parser, 400, MALFORMED, words);
}

/* The body as an object; the call owns it. NULL: the call has failed. */
static const json_t *read_body(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->json = json_loadb(call->body.size == 0 ? "" : call->body.data, call->body.size, 0, NULL);
    if (!json_is_object((const json_t *)call->json)) {
        malformed(parser, "its body is no JSON object");
        return NULL;
    }
    return call->json;
}

/* A member that is a string; empty when it is none. */
static struct ps_slice text_of(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return json_is_string(text)
               ? (struct ps_slice){json_string_value(text), json_string_length(text)}
               : PS_LIT("");
}

/* {"read_replication": {"mode"}}. False: the call has failed. */
static bool read_replication(struct ps_api_parser *parser, const json_t *body, bool needed)
{
    const json_t *replication = json_object_get(body, "read_replication");
    struct ps_slice mode = text_of(replication, "mode");
    parser->call->d1.unreplicated = ps_slice_eq(mode, PS_LIT("disabled"));
    if ((replication == NULL && !needed) || parser->call->d1.unreplicated ||
        ps_slice_eq(mode, PS_LIT("auto"))) {
        return true;
    }
    malformed(parser, "read_replication.mode is auto or disabled");
    return false;
}

static bool read_hint(struct ps_api_parser *parser, const json_t *body)
{
    static const char *const hints[] = {"wnam", "enam", "weur", "eeur", "apac", "oc"};
    struct ps_slice hint = text_of(body, "primary_location_hint");
    bool known = hint.size == 0;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0] && !known; i++) {
        if (ps_slice_eq(hint, ps_slice_of(hints[i]))) {
            (void)snprintf(parser->call->d1.region, sizeof parser->call->d1.region, "%s", hints[i]);
            known = true;
        }
    }
    if (!known) {
        malformed(parser, "primary_location_hint is one of wnam, enam, weur, eeur, apac, oc");
    }
    return known;
}

void ps_api_parse_d1_create(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *body = read_body(parser);
    call->title = text_of(body, "name");
    if (body == NULL || !read_hint(parser, body) || !read_replication(parser, body, false)) {
        return;
    }
    if (call->title.size == 0 || call->title.size > PS_KV_TITLE_SIZE_MAX) {
        malformed(parser, "the database's name is missing or too long");
        return;
    }
    call->kind = PS_API_D1_CREATE;
}

void ps_api_parse_d1_update(struct ps_api_parser *parser)
{
    const json_t *body = read_body(parser);
    if (body != NULL && read_replication(parser, body, true)) {
        parser->call->kind = PS_API_D1_UPDATE;
    }
}

/* ---- export ---- */

static bool read_switch(const json_t *options, const char *name, bool *ret)
{
    const json_t *value = json_object_get(options, name);
    *ret = json_is_true(value);
    return value == NULL || json_is_boolean(value);
}

/* {"no_schema", "no_data", "tables"}, written anew as home is told of it. */
static bool read_dump_options(const json_t *options, struct ps_buf *ret)
{
    bool no_schema;
    bool no_data;
    size_t index;
    const json_t *table;
    const json_t *tables = json_object_get(options, "tables");
    if ((options != NULL && !json_is_object(options)) ||
        !read_switch(options, "no_schema", &no_schema) ||
        !read_switch(options, "no_data", &no_data) || (tables != NULL && !json_is_array(tables))) {
        return false;
    }
    ps_buf_printf(ret, "\"no_schema\":%s,\"no_data\":%s,\"tables\":[", no_schema ? "true" : "false",
                  no_data ? "true" : "false");
    json_array_foreach(tables, index, table)
    {
        if (!json_is_string(table)) {
            return false;
        }
        ps_buf_append_text(ret, index > 0 ? "," : "");
        ps_buf_append_json(ret,
                           (struct ps_slice){json_string_value(table), json_string_length(table)});
    }
    ps_buf_append_char(ret, ']');
    return true;
}

static void parse_export(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *body = read_body(parser);
    if (body == NULL) {
        return;
    }
    call->d1.bookmark = text_of(body, "current_bookmark");
    if (!ps_slice_eq(text_of(body, "output_format"), PS_LIT("polling"))) {
        malformed(parser, "output_format is polling");
    } else if (!read_dump_options(json_object_get(body, "dump_options"), &call->d1.dump)) {
        malformed(parser, "dump_options are no_schema, no_data and tables");
    } else {
        call->kind = PS_API_D1_EXPORT;
    }
}

/* ---- import ---- */

static bool is_md5(struct ps_slice text)
{
    bool right = text.size == 32;
    for (size_t i = 0; right && i < text.size; i++) {
        right = memchr("0123456789abcdef", text.data[i], 16) != NULL;
    }
    return right;
}

static void parse_import(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_api_d1_admin *d1 = &call->d1;
    const json_t *body = read_body(parser);
    if (body == NULL) {
        return;
    }
    struct ps_slice action = text_of(body, "action");
    d1->etag = text_of(body, "etag");
    d1->filename = text_of(body, "filename");
    d1->bookmark = text_of(body, "current_bookmark");
    if (ps_slice_eq(action, PS_LIT("poll"))) {
        d1->action = PS_API_IMPORT_POLL;
    } else if (ps_slice_eq(action, PS_LIT("init")) || ps_slice_eq(action, PS_LIT("ingest"))) {
        d1->action = action.size == 4 ? PS_API_IMPORT_INIT : PS_API_IMPORT_INGEST;
        if (!is_md5(d1->etag)) {
            malformed(parser, "etag is the MD5 of the file, in lower-case hexadecimal");
            return;
        }
    } else {
        malformed(parser, "action is init, ingest or poll");
        return;
    }
    call->kind = PS_API_D1_IMPORT;
}

bool ps_api_parse_d1_transfer(struct ps_api_parser *parser, struct ps_slice rest)
{
    bool exports = ps_slice_eq(rest, PS_LIT("/export"));
    if (!exports && !ps_slice_eq(rest, PS_LIT("/import"))) {
        return false;
    }
    if (parser->call->method != PS_HTTP_POST) {
        ps_api_fail(parser, 405, 10405, "method not allowed");
    } else if (exports) {
        parse_export(parser);
    } else {
        parse_import(parser);
    }
    return true;
}

/* ---- answers ---- */

void ps_api_answer_d1_change(const struct ps_api_call *call, enum ps_status status,
                             struct ps_http_response *response)
{
    struct ps_kv_error error = {0};
    switch ((int)status) {
    case PS_OK:
        ps_api_answer_begin(response);
        ps_buf_append_text(&response->body, "null}");
        return;
    case PS_EXISTS:
        error = (struct ps_kv_error){400, EXISTS, ""};
        (void)snprintf(error.phrase, sizeof error.phrase,
                       "Database with name '%.*s' already exists",
                       call->title.size > 64 ? 64 : (int)call->title.size, call->title.data);
        break;
    case PS_NOT_FOUND:
        error = (struct ps_kv_error){404, NOT_FOUND, "The database could not be found"};
        break;
    case PS_LIMIT:
        error =
            (struct ps_kv_error){400, LIMIT, "You have reached the maximum number of databases"};
        break;
    default:
        ps_kv_error_of(status, &error);
        error.api_code = FAILED;
        break;
    }
    ps_api_answer_error(PS_API_REST, &error, response);
}

void ps_api_answer_d1_upload(const char *url, const char *filename,
                             struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_api_answer_begin(response);
    ps_buf_append_text(body, "{\"success\":true,\"type\":\"import\",\"upload_url\":");
    ps_buf_append_json(body, ps_slice_of(url));
    ps_buf_append_text(body, ",\"filename\":");
    ps_buf_append_json(body, ps_slice_of(filename));
    ps_buf_append_text(body, "}}");
}

void ps_api_answer_d1_transfer(const struct ps_api_transfer *transfer,
                               struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    bool failed = transfer->state == PS_API_TRANSFER_FAILED;
    ps_api_answer_begin(response);
    ps_buf_printf(body,
                  "{\"success\":%s,\"type\":\"%s\",\"at_bookmark\":", failed ? "false" : "true",
                  transfer->import ? "import" : "export");
    ps_buf_append_json(body, ps_slice_of(transfer->bookmark));
    ps_buf_append_text(body, ",\"messages\":[");
    if (transfer->message != NULL) {
        ps_buf_append_json(body, ps_slice_of(transfer->message));
    }
    ps_buf_printf(body, "],\"status\":\"%s\"",
                  failed                                      ? "error"
                  : transfer->state == PS_API_TRANSFER_ACTIVE ? "active"
                                                              : "complete");
    if (failed) {
        ps_buf_append_text(body, ",\"error\":");
        ps_buf_append_json(body, transfer->text);
        ps_buf_append_text(body, ",\"errors\":[");
        ps_buf_append_json(body, transfer->text);
        ps_buf_append_char(body, ']');
    } else if (transfer->state == PS_API_TRANSFER_COMPLETE) {
        ps_buf_append_text(body, ",\"result\":{");
        ps_buf_append_slice(body, transfer->text);
        ps_buf_append_char(body, '}');
    }
    ps_buf_append_text(body, "}}");
}

void ps_api_answer_d1_failed(int http_status, const char *words, struct ps_http_response *response)
{
    struct ps_kv_error error = {.http_status = http_status, .api_code = FAILED};
    (void)snprintf(error.phrase, sizeof error.phrase, "%s", words);
    ps_api_answer_error(PS_API_REST, &error, response);
}
