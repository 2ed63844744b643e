/* D1's routes: what the binding sends to /query and /execute, and the REST API's /d1/database. */
#include "node/http/api_internal.h"
#include "replication/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NOT_FOUND_CODE = 7404, MALFORMED_CODE = 7400, FAILED_CODE = 7500, ID_SIZE = 32 };

/* ---- what is asked ---- */

static bool check_body(struct ps_api_parser *parser)
{
    if (parser->call->body.size <= PS_VALUE_SIZE_MAX) {
        return true;
    }
    ps_api_fail(parser, 413, MALFORMED_CODE, "The request is malformed: it is larger than 25 MiB");
    return false;
}

void ps_api_parse_d1_binding(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    bool run =
        ps_slice_eq(call->path, PS_LIT("/query")) || ps_slice_eq(call->path, PS_LIT("/execute"));
    if (!run || call->method != PS_HTTP_POST) {
        ps_api_fail(parser, 404, NOT_FOUND_CODE, "Not Found");
        return;
    }
    if (!check_body(parser)) {
        return;
    }
    struct ps_slice text;
    call->kind = PS_API_D1;
    call->session = ps_api_header(parser, "x-cf-d1-session-commit-token");
    if (ps_api_query(call, "resultsFormat", &text) &&
        ps_slice_eq(text, PS_LIT("ROWS_AND_COLUMNS"))) {
        call->d1_flags |= PS_QUERY_ROWS;
    }
    if (ps_api_query(call, "each", &text) && ps_slice_eq(text, PS_LIT("true"))) {
        call->d1_flags |= PS_QUERY_EACH | PS_QUERY_ARRAY; /* popsim's own */
    }
}

/* By its title or name, or its id with or without dashes. */
static bool find_database(struct ps_api_parser *parser, struct ps_slice wanted)
{
    char id[ID_SIZE + 1] = {0};
    size_t size = 0;
    for (size_t i = 0; i < wanted.size && size < ID_SIZE; i++) {
        if (wanted.data[i] != '-') {
            id[size++] = wanted.data[i];
        }
    }
    for (size_t i = 0; i < parser->config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &parser->config->namespaces[i];
        if (ns->is_d1 && (ps_slice_eq(ps_slice_of(ns->name), wanted) ||
                          ps_slice_eq(ps_slice_of(ns->title), wanted) || strcmp(ns->id, id) == 0)) {
            parser->call->ns = i;
            return true;
        }
    }
    return false;
}

static void parse_database(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    switch ((int)call->method) {
    case PS_HTTP_GET:
        call->kind = PS_API_D1_GET;
        return;
    case PS_HTTP_DELETE:
        call->kind = PS_API_D1_DELETE;
        return;
    case PS_HTTP_PUT:
    case PS_HTTP_PATCH:
        ps_api_parse_d1_update(parser);
        return;
    default:
        ps_api_fail(parser, 405, 10405, "method not allowed");
        return;
    }
}

static void parse_in_database(struct ps_api_parser *parser, struct ps_slice rest)
{
    struct ps_api_call *call = parser->call;
    bool raw = ps_slice_eq(rest, PS_LIT("/raw"));
    if (rest.size == 0) {
        parse_database(parser);
    } else if (raw || ps_slice_eq(rest, PS_LIT("/query"))) {
        if (call->method != PS_HTTP_POST) {
            ps_api_fail(parser, 405, 10405, "method not allowed");
        } else if (check_body(parser)) {
            call->kind = PS_API_D1;
            call->d1_flags = PS_QUERY_EACH | PS_QUERY_ARRAY | (raw ? PS_QUERY_ROWS : 0U);
        }
    } else if (ps_slice_starts(rest, PS_LIT("/time_travel/"))) {
        ps_api_parse_d1_travel(parser, (struct ps_slice){rest.data + 12, rest.size - 12});
    } else if (!ps_api_parse_d1_transfer(parser, rest)) {
        ps_api_fail(parser, 404, 7003, "Could not route to this path");
    }
}

static void parse_databases(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice text;
    if (call->method == PS_HTTP_POST) {
        ps_api_parse_d1_create(parser);
        return;
    }
    int64_t page = ps_api_query(call, "page", &text) ? ps_api_number(text) : 1;
    int64_t per_page = ps_api_query(call, "per_page", &text) ? ps_api_number(text) : 100;
    call->kind = PS_API_D1_LIST;
    call->page = page < 1 ? 1 : (size_t)page;
    call->per_page = per_page < 1 || per_page > 1000 ? 1000 : (size_t)per_page;
    if (ps_api_query(call, "name", &text) && !ps_api_decode(call, text, true, &call->title)) {
        ps_api_fail(parser, 400, MALFORMED_CODE, "The request is malformed: name");
        return;
    }
    if (call->method != PS_HTTP_GET) {
        ps_api_fail(parser, 405, 10405, "method not allowed");
    }
}

void ps_api_parse_d1_rest(struct ps_api_parser *parser, struct ps_slice rest)
{
    if (rest.size == 0 || ps_slice_eq(rest, PS_LIT("/"))) {
        parse_databases(parser);
        return;
    }
    const char *id = rest.data + 1;
    const char *end = rest.data + rest.size;
    const char *stop = memchr(id, '/', (size_t)(end - id));
    stop = stop == NULL ? end : stop;
    struct ps_slice raw = {id, (size_t)(stop - id)};
    struct ps_slice wanted = raw;
    if (rest.data[0] == '/' && ps_api_decode(parser->call, raw, false, &wanted) &&
        find_database(parser, wanted)) {
        parse_in_database(parser, (struct ps_slice){stop, (size_t)(end - stop)});
        return;
    }
    char words[128];
    (void)snprintf(words, sizeof words, "The database %.*s could not be found",
                   wanted.size > 64 ? 64 : (int)wanted.size, wanted.data);
    ps_api_fail(parser, 404, NOT_FOUND_CODE, words);
}

/* ---- answers ---- */

/* "2026-11-25T19:00:00.000Z"; the days by the count of years from March on. */
static void put_date(struct ps_buf *buf, int64_t unix_s)
{
    enum { DAY_S = 86400, ERA_DAYS = 146097, EPOCH_DAYS = 719468 };

    uint64_t second = (uint64_t)unix_s % DAY_S;
    uint64_t days = (uint64_t)unix_s / DAY_S + EPOCH_DAYS;
    uint64_t era = days / ERA_DAYS;
    uint64_t day = days % ERA_DAYS;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t of_year = day - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    ps_buf_printf(buf, "\"%04u-%02u-%02uT%02u:%02u:%02u.000Z\"",
                  (unsigned)(year + era * 400 + (month >= 10 ? 1 : 0)),
                  (unsigned)(month < 10 ? month + 3 : month - 9),
                  (unsigned)(of_year - (153 * month + 2) / 5 + 1), (unsigned)(second / 3600),
                  (unsigned)(second / 60 % 60), (unsigned)(second % 60));
}

static void put_database(struct ps_buf *body, const struct ps_api_namespace *ns)
{
    ps_buf_printf(body, "{\"uuid\":\"%.8s-%.4s-%.4s-%.4s-%.12s\",\"name\":", ns->id, ns->id + 8,
                  ns->id + 12, ns->id + 16, ns->id + 20);
    ps_buf_append_json(body, ps_slice_of(ns->title));
    ps_buf_append_text(body, ",\"version\":\"production\",\"created_at\":");
    put_date(body, ns->created_unix_s);
}

void ps_api_answer_databases(const struct ps_api_config *config, const struct ps_api_call *call,
                             struct ps_http_response *response)
{
    size_t total = 0;
    size_t count = 0;
    ps_api_answer_begin(response);
    ps_buf_append_char(&response->body, '[');
    for (size_t i = 0; i < config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &config->namespaces[i];
        bool named = call->title.size == 0 || ps_slice_eq(ps_slice_of(ns->title), call->title);
        if (!ns->is_d1 || !named) {
            continue;
        }
        if (total++ / call->per_page == call->page - 1) {
            ps_buf_append_text(&response->body, count++ > 0 ? "," : "");
            put_database(&response->body, ns);
            ps_buf_append_char(&response->body, '}');
        }
    }
    ps_buf_printf(&response->body,
                  "],\"result_info\":{\"page\":%zu,\"per_page\":%zu,\"count\":%zu,"
                  "\"total_count\":%zu}}",
                  call->page, call->per_page, count, total);
}

void ps_api_answer_database(const struct ps_api_config *config, const struct ps_api_call *call,
                            const char *region, uint64_t file_size,
                            struct ps_http_response *response)
{
    ps_api_answer_begin(response);
    const struct ps_api_namespace *ns = &config->namespaces[call->ns];
    put_database(&response->body, ns);
    ps_buf_printf(&response->body,
                  ",\"file_size\":%" PRIu64
                  ",\"created_in_region\":\"%s\",\"running_in_region\":\"%s\","
                  "\"read_replication\":{\"mode\":\"%s\"}}}",
                  file_size, region, region, ns->unreplicated ? "disabled" : "auto");
}

static int status_of(const struct ps_api_d1_result *result)
{
    return !result->failed                                                    ? 200
           : result->status == PS_OK                                          ? 400
           : result->status == PS_INVALID                                     ? 400
           : result->status == PS_BUSY                                        ? 429
           : result->status == PS_UNREACHABLE || result->status == PS_TIMEOUT ? 503
                                                                              : 500;
}

void ps_api_answer_d1(const struct ps_api_config *config, const struct ps_api_call *call,
                      const struct ps_api_d1_result *result, struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_api_put_staleness(config, &result->staleness, response);
    if (result->failed && result->status != PS_OK) {
        ps_http_response_header(response, "popsim-status",
                                ps_slice_of(ps_status_name(result->status)));
    }
    if (result->bookmark[0] != '\0') {
        ps_http_response_header(response, "x-cf-d1-session-commit-token",
                                ps_slice_of(result->bookmark));
    }
    bool rest = call->dialect == PS_API_REST;
    if (!result->failed && rest) {
        ps_api_answer_begin(response);
        ps_buf_append_slice(body, result->text);
        ps_buf_append_char(body, '}');
        return;
    }
    response->status = rest ? status_of(result) : 200; /* the binding looks at the JSON alone */
    ps_http_response_header(response, "Content-Type", PS_LIT("application/json"));
    if (!result->failed) {
        ps_buf_append_slice(body, result->text);
        return;
    }
    if (rest) {
        ps_buf_printf(body,
                      "{\"success\":false,\"errors\":[{\"code\":%d,\"message\":", FAILED_CODE);
        ps_buf_append_json(body, result->text);
        ps_buf_append_text(body, "}],\"messages\":[],\"result\":[]}");
    } else {
        ps_buf_append_text(body, "{\"success\":false,\"error\":");
        ps_buf_append_json(body, result->text);
        ps_buf_append_char(body, '}');
    }
}
