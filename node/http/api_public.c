#include "node/http/api_public.h"

#include "node/http/api_internal.h"
#include "node/r2/bucket.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

static const char ZONES[] = "/client/v4/zones/";
static const char PURGE_CACHE[] = "/purge_cache";

/* ---- addresses ---- */

static bool find_bucket(const struct ps_api_config *config, struct ps_slice text, size_t *ret)
{
    for (size_t i = 0; i < config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &config->namespaces[i];
        if (ns->is_r2 &&
            (ps_r2_bucket_name_eq(ps_slice_of(ns->title), text) ||
             ps_slice_eq(text, ps_slice_of(ns->name)) ||
             ps_slice_eq(text, ps_slice_of(ns->title)) || ps_slice_eq(text, ps_slice_of(ns->id)))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Both parts of a path; false: it is no public address, or of no bucket. */
static bool parse_address(struct ps_api_parser *parser, struct ps_slice path, size_t *ret_ns,
                          struct ps_slice *ret_key)
{
    size_t size = sizeof PS_API_PUBLIC_PATH - 1;
    if (!ps_slice_starts(path, PS_LIT(PS_API_PUBLIC_PATH))) {
        return false;
    }
    const char *at = path.data + size;
    const char *end = path.data + path.size;
    const char *slash = memchr(at, '/', (size_t)(end - at));
    struct ps_slice bucket;
    return slash != NULL &&
           ps_api_decode(parser->call, (struct ps_slice){at, (size_t)(slash - at)}, false,
                         &bucket) &&
           ps_api_decode(parser->call, (struct ps_slice){slash + 1, (size_t)(end - slash) - 1},
                         false, ret_key) &&
           find_bucket(parser->config, bucket, ret_ns);
}

static void put_page(struct ps_http_response *response, const char *title, const char *words)
{
    ps_http_response_header(response, "Content-Type", PS_LIT("text/html; charset=utf-8"));
    ps_buf_printf(&response->body,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                  "<title>%s</title></head>\n<body><h1>%s</h1><p>%s</p></body>\n</html>\n",
                  title, title, words);
}

static void put_not_found(struct ps_http_response *response)
{
    response->status = 404;
    put_page(response, "Object not found",
             "This object does not exist or is not publicly accessible at this URL.");
}

void ps_api_parse_public(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->kind = PS_API_ANSWERED;
    bool preflight = call->method == PS_HTTP_OPTIONS; /* what a browser asks before */
    if (call->method != PS_HTTP_GET && call->method != PS_HTTP_HEAD && !preflight) {
        parser->response->status = 405;
        ps_http_response_header(parser->response, "Allow", PS_LIT("GET, HEAD"));
        put_page(parser->response, "Method not allowed", "Public buckets answer GET and HEAD.");
    } else if (!parse_address(parser, call->path, &call->ns, &call->title) ||
               !ps_r2_key_valid(call->title)) {
        put_not_found(parser->response);
    } else {
        call->kind = PS_API_PUBLIC;
    }
}

/* ---- answers ---- */

static struct ps_slice header_of(const struct ps_http_request *request, const char *name)
{
    const struct ps_http_header *found = ps_http_header(request, name);
    return found == NULL ? (struct ps_slice){0} : found->value;
}

struct ps_r2_public_answer ps_api_public_decide(const struct ps_http_request *request,
                                                const struct ps_r2_object *object)
{
    struct ps_r2_if_headers headers = {.if_match = header_of(request, "if-match"),
                                       .if_none_match = header_of(request, "if-none-match"),
                                       .if_modified_since = header_of(request, "if-modified-since"),
                                       .if_unmodified_since =
                                           header_of(request, "if-unmodified-since")};
    /* A range is of a GET only (RFC 9110, 14.2). */
    bool ranged = request->method == PS_HTTP_GET;
    return ps_r2_public_answer_of(object, &headers,
                                  ranged ? header_of(request, "range") : (struct ps_slice){0},
                                  header_of(request, "if-range"));
}

static void put_given(struct ps_http_response *response, const char *name, struct ps_slice value)
{
    if (value.size > 0) {
        ps_http_response_header(response, name, value);
    }
}

static void put_text(struct ps_http_response *response, const char *name, struct ps_buf *text)
{
    ps_http_response_header(response, name, ps_buf_slice(text));
    text->size = 0;
}

static void put_validators(const struct ps_r2_object *object, struct ps_http_response *response)
{
    struct ps_buf text = {0};
    ps_buf_printf(&text, "\"%s\"", object->etag);
    put_text(response, "ETag", &text);
    ps_r2_date_format(&text, object->uploaded_ms / 1000);
    put_text(response, "Last-Modified", &text);
    put_given(response, "Cache-Control", object->meta.http.cache_control);
    if (object->meta.http.has_cache_expiry) {
        ps_r2_date_format(&text, object->meta.http.cache_expiry_ms / 1000);
        put_text(response, "Expires", &text);
    }
    ps_buf_fini(&text);
}

static void put_representation(const struct ps_r2_object *object, struct ps_http_response *response)
{
    const struct ps_r2_http *http = &object->meta.http;
    bool typed = http->content_type.size > 0;
    put_given(response, "Content-Type",
              typed ? http->content_type : PS_LIT("application/octet-stream"));
    put_given(response, "Content-Language", http->content_language);
    put_given(response, "Content-Disposition", http->content_disposition);
    put_given(response, "Content-Encoding", http->content_encoding);
}

static void put_range(const struct ps_api_public *result, struct ps_http_response *response)
{
    struct ps_buf text = {0};
    if (result->answer.http_status == 206) {
        ps_r2_content_range(&text, &result->answer.span, result->object->size);
        put_text(response, "Content-Range", &text);
    } else if (result->answer.http_status == 416) {
        ps_buf_append_text(&text, "bytes */");
        ps_buf_append_u64(&text, result->object->size);
        put_text(response, "Content-Range", &text);
    }
    ps_buf_fini(&text);
}

static void put_object(const struct ps_api_public *result, struct ps_http_response *response)
{
    int status = result->answer.http_status;
    response->status = status;
    put_validators(result->object, response);
    put_range(result, response);
    if (status == 200 || status == 206) {
        ps_http_response_header(response, "Accept-Ranges", PS_LIT("bytes"));
        put_representation(result->object, response);
    } else if (status == 416) {
        put_page(response, "Range not satisfiable", "The object has no such bytes.");
    } else if (status == 412) {
        put_page(response, "Precondition failed", "The object is not the one that was asked for.");
    }
}

static void put_failure(enum ps_status status, struct ps_http_response *response)
{
    bool away = status == PS_UNREACHABLE || status == PS_TIMEOUT;
    bool gone = status == PS_NOT_FOUND;
    response->status = gone ? 404 : away ? 522 : 500;
    if (gone) {
        put_not_found(response);
    } else if (away) {
        (void)snprintf(response->phrase, sizeof response->phrase, "Connection timed out");
        put_page(response, "Connection timed out", "The bucket cannot be reached from here.");
    } else {
        put_page(response, "Internal error", ps_status_text(status));
    }
}

void ps_api_answer_public(const struct ps_api_config *config, const struct ps_api_public *result,
                          struct ps_http_response *response)
{
    struct ps_kv_staleness told = result->staleness;
    struct ps_buf text = {0};
    told.cache = PS_CACHE_NONE; /* this cache has words of its own */
    ps_api_put_staleness(config, &told, response);
    if (result->dropped_ns != 0) {
        ps_buf_append_u64(&text, result->dropped_ns);
        put_text(response, "popsim-dropped", &text);
    }
    if (result->status != PS_OK) {
        put_failure(result->status, response);
        return;
    }
    ps_http_response_header(response, "CF-Cache-Status",
                            ps_slice_of(ps_r2_cache_state_name(result->state)));
    if (result->cached) {
        ps_buf_append_u64(&text, result->age_s);
        put_text(response, "Age", &text);
    }
    ps_buf_fini(&text);
    if (result->object == NULL) {
        put_not_found(response);
    } else {
        put_object(result, response);
    }
}

/* ---- purges ---- */

static void add_purge(struct ps_api_call *call, size_t ns, struct ps_slice key)
{
    call->purges[call->purge_count++] = (struct ps_api_purge){ns, key};
}

/* Everything of the bucket that the zone is called like, or else of all. */
static void purge_everything(struct ps_api_parser *parser, struct ps_slice zone)
{
    const struct ps_api_config *config = parser->config;
    struct ps_api_call *call = parser->call;
    size_t only;
    call->purges = PS_NEW_ARRAY(struct ps_api_purge, config->namespace_count + 1);
    if (find_bucket(config, zone, &only)) {
        add_purge(call, only, (struct ps_slice){0});
        return;
    }
    for (size_t i = 0; i < config->namespace_count; i++) {
        if (config->namespaces[i].is_r2) {
            add_purge(call, i, (struct ps_slice){0});
        }
    }
}

/* "http://host/path?query": its path. */
static struct ps_slice path_of(struct ps_slice url)
{
    const char *end = url.data + url.size;
    const char *at = url.size == 0 ? NULL : memmem(url.data, url.size, "://", 3);
    at = at == NULL ? url.data : at + 3;
    while (at < end && *at != '/') {
        at++;
    }
    const char *stop = at;
    while (stop < end && *stop != '?' && *stop != '#') {
        stop++;
    }
    return (struct ps_slice){at, (size_t)(stop - at)};
}

static void purge_files(struct ps_api_parser *parser, const json_t *files)
{
    struct ps_api_call *call = parser->call;
    size_t count = json_array_size(files);
    if (count == 0 || count > PS_API_PURGE_MAX) {
        ps_api_fail(parser, 400, 1012, "\"files\" must be a list of 1 to 100 URLs");
        return;
    }
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *file = json_array_get(files, i);
        const json_t *url = json_is_object(file) ? json_object_get(file, "url") : file;
        room += 1 + json_string_length(url);
    }
    ps_buf_reserve(&call->text, room); /* decoded keys point into it */
    call->purges = PS_NEW_ARRAY(struct ps_api_purge, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *file = json_array_get(files, i);
        const json_t *url = json_is_object(file) ? json_object_get(file, "url") : file;
        struct ps_slice text = {json_string_value(url), json_string_length(url)};
        struct ps_slice key;
        size_t ns;
        if (!json_is_string(url) || !parse_address(parser, path_of(text), &ns, &key) ||
            !ps_r2_key_valid(key)) {
            ps_api_fail(parser, 400, 1016,
                        "each of \"files\" must be the public URL of an object of a bucket here: "
                        "http://<any host>" PS_API_PUBLIC_PATH "<bucket>/<key>");
            return;
        }
        add_purge(call, ns, key);
    }
}

bool ps_api_parse_purge(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    size_t begin = sizeof ZONES - 1;
    size_t end = sizeof PURGE_CACHE - 1;
    if (!ps_slice_starts(call->path, PS_LIT(ZONES)) || call->path.size <= begin + end ||
        memcmp(call->path.data + call->path.size - end, PURGE_CACHE, end) != 0) {
        return false;
    }
    struct ps_slice zone = {call->path.data + begin, call->path.size - begin - end};
    json_t *body =
        json_loadb(call->body.size == 0 ? "" : call->body.data, call->body.size, 0, NULL);
    call->json = body;
    call->kind = PS_API_PURGE;
    call->title = zone;
    if (call->method != PS_HTTP_POST) {
        ps_api_fail(parser, 405, 10405, "method not allowed");
    } else if (!json_is_object(body)) {
        ps_api_fail(parser, 400, 1012, "the body must be a JSON object");
    } else if (json_is_true(json_object_get(body, "purge_everything"))) {
        purge_everything(parser, zone);
    } else if (json_object_get(body, "files") != NULL) {
        purge_files(parser, json_object_get(body, "files"));
    } else {
        ps_api_fail(parser, 400, 1012,
                    "purging by prefixes, tags or hosts is not supported: give \"files\" or "
                    "\"purge_everything\": true");
    }
    return true;
}

void ps_api_answer_purge(const struct ps_api_call *call, enum ps_status status,
                         struct ps_http_response *response)
{
    struct ps_kv_error error = {0};
    if (status != PS_OK) {
        ps_kv_error_of(status, &error);
        ps_api_answer_error(PS_API_REST, &error, response);
        return;
    }
    ps_api_answer_begin(response);
    ps_buf_append_text(&response->body, "{\"id\":");
    ps_buf_append_json(&response->body, call->title);
    ps_buf_append_text(&response->body, "}}");
}
