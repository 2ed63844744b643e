/* R2's routes of the REST API: /r2/buckets, and the objects below each. */
#include "node/http/api_r2_rest.h"

#include "node/http/api_internal.h"
#include "node/r2/bucket.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_PER_PAGE = 20, PER_PAGE_MAX = 1000 };

/* ---- what is asked ---- */

static void fail(struct ps_api_parser *parser, enum ps_r2_code code, const char *words)
{
    struct ps_r2_error error = {.code = code};
    (void)snprintf(error.text, sizeof error.text, "%s", words);
    parser->call->kind = PS_API_ANSWERED;
    ps_api_r2_rest_error(&error, parser->response);
}

static void fail_method(struct ps_api_parser *parser)
{
    ps_api_fail(parser, 405, 10405, "method not allowed");
}

/* A parameter of the query, decoded; empty when it is not given. False: the call has failed. */
static bool query_text(struct ps_api_parser *parser, const char *name, struct ps_slice *ret)
{
    struct ps_slice raw;
    *ret = (struct ps_slice){0};
    if (!ps_api_query(parser->call, name, &raw) || ps_api_decode(parser->call, raw, true, ret)) {
        return true;
    }
    fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "Could not URL-decode the query");
    return false;
}

/* "Standard", "InfrequentAccess"; empty: not given. False: the call has failed. */
static bool read_class(struct ps_api_parser *parser, struct ps_slice text, bool *ret_infrequent)
{
    *ret_infrequent = ps_slice_eq(text, PS_LIT("InfrequentAccess"));
    if (*ret_infrequent || text.size == 0 || ps_slice_eq(text, PS_LIT("Standard"))) {
        return true;
    }
    fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "The storage class you specified is not valid.");
    return false;
}

/* A bucket of another jurisdiction would be another bucket. False: the call has failed. */
static bool read_jurisdiction(struct ps_api_parser *parser)
{
    struct ps_slice given = ps_api_header(parser, "cf-r2-jurisdiction");
    if (given.size == 0 || ps_slice_eq(given, PS_LIT("default"))) {
        return true;
    }
    fail(parser, PS_R2_CODE_INVALID_ARGUMENT,
         "popsim's buckets are all of the default jurisdiction: leave cf-r2-jurisdiction out");
    return false;
}

/* ---- buckets ---- */

static void parse_list(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice text;
    struct ps_slice cursor;
    if (!query_text(parser, "name_contains", &call->bucket.contains) ||
        !query_text(parser, "start_after", &call->bucket.after) ||
        !query_text(parser, "cursor", &cursor)) {
        return;
    }
    if (cursor.size > 0) {
        size_t start = call->text.size;
        if (ps_r2_cursor_decode(cursor, &call->text) != PS_OK) {
            fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "Invalid cursor");
            return;
        }
        call->bucket.after = (struct ps_slice){call->text.data + start, call->text.size - start};
    }
    int64_t per_page = BUCKETS_PER_PAGE;
    if (ps_api_query(call, "per_page", &text)) {
        per_page = ps_api_number(text);
    }
    if (per_page < 1 || per_page > PER_PAGE_MAX) {
        fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "per_page is 1 to 1000");
        return;
    }
    call->kind = PS_API_BUCKETS;
    call->per_page = (size_t)per_page;
    call->descending = ps_api_query(call, "direction", &text) && ps_slice_eq(text, PS_LIT("desc"));
}

static bool read_hint(struct ps_api_parser *parser, struct ps_slice hint)
{
    static const char *const hints[] = {"wnam", "enam", "weur", "eeur", "apac", "oc"};
    bool known = hint.size == 0 || ps_slice_eq(hint, PS_LIT("auto"));
    for (size_t i = 0; i < sizeof hints / sizeof hints[0] && !known; i++) {
        if (ps_r2_bucket_name_eq(hint, ps_slice_of(hints[i]))) { /* of either case */
            (void)snprintf(parser->call->bucket.region, sizeof parser->call->bucket.region, "%s",
                           hints[i]);
            known = true;
        }
    }
    if (!known) {
        fail(parser, PS_R2_CODE_INVALID_ARGUMENT,
             "locationHint is one of wnam, enam, weur, eeur, apac, oc");
    }
    return known;
}

/* A member that is a string; empty when it is none. */
static struct ps_slice text_of(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return json_is_string(text)
               ? (struct ps_slice){json_string_value(text), json_string_length(text)}
               : PS_LIT("");
}

/* {"name", "locationHint", "storageClass"} */
static void parse_create(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->json = json_loadb(call->body.size == 0 ? "" : call->body.data, call->body.size, 0, NULL);
    if (!json_is_object((const json_t *)call->json)) {
        fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "The request's body is no JSON object");
        return;
    }
    call->title = text_of(call->json, "name");
    if (!ps_r2_bucket_name_valid(call->title)) {
        fail(parser, PS_R2_CODE_INVALID_BUCKET_NAME, "");
    } else if (read_hint(parser, text_of(call->json, "locationHint")) &&
               read_class(parser, text_of(call->json, "storageClass"), &call->bucket.infrequent)) {
        call->kind = PS_API_BUCKET_CREATE;
    }
}

static bool find_bucket(struct ps_api_parser *parser, struct ps_slice wanted)
{
    for (size_t i = 0; i < parser->config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &parser->config->namespaces[i];
        if (ns->is_r2 && (ps_r2_bucket_name_eq(ps_slice_of(ns->title), wanted) ||
                          ps_slice_eq(ps_slice_of(ns->name), wanted) ||
                          ps_slice_eq(ps_slice_of(ns->id), wanted))) {
            parser->call->ns = i;
            return true;
        }
    }
    return false;
}

static void parse_bucket(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice given = ps_api_header(parser, "cf-r2-storage-class");
    switch ((int)call->method) {
    case PS_HTTP_GET:
        call->kind = PS_API_BUCKET_GET;
        return;
    case PS_HTTP_DELETE:
        call->kind = PS_API_BUCKET_DELETE;
        return;
    case PS_HTTP_PATCH:
        if (given.size == 0) {
            fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "The header cf-r2-storage-class is missing");
        } else if (read_class(parser, given, &call->bucket.infrequent)) {
            call->kind = PS_API_BUCKET_UPDATE;
        }
        return;
    default:
        fail_method(parser);
    }
}

/* ---- objects ---- */

static void check_object(struct ps_api_parser *parser)
{
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    struct ps_r2_request plain = parser->call->bucket.request;
    if (plain.op == PS_R2_PUT) { /* its body is still to come */
        plain.computed.present = PS_R2_HASH_BIT(PS_R2_MD5);
    }
    if (ps_r2_request_check(&plain, &error)) {
        parser->call->kind = PS_API_OBJECT;
    } else {
        parser->call->kind = PS_API_ANSWERED;
        ps_api_r2_rest_error(&error, parser->response);
    }
}

static void parse_objects(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_r2_request *request = &call->bucket.request;
    struct ps_slice text;
    if (call->method != PS_HTTP_GET) {
        fail_method(parser);
        return;
    }
    request->op = PS_R2_LIST;
    request->include = PS_R2_INCLUDE_HTTP | PS_R2_INCLUDE_CUSTOM;
    if (!query_text(parser, "prefix", &request->prefix) ||
        !query_text(parser, "delimiter", &request->delimiter) ||
        !query_text(parser, "cursor", &request->cursor) ||
        !query_text(parser, "start_after", &request->start_after)) {
        return;
    }
    request->has_limit = ps_api_query(call, "per_page", &text);
    if (request->has_limit) {
        request->limit = ps_api_number(text);
    }
    check_object(parser);
}

static void read_http(const struct ps_api_parser *parser, struct ps_r2_http *ret)
{
    int64_t expires_s;
    ret->content_type = ps_api_header(parser, "content-type");
    ret->content_language = ps_api_header(parser, "content-language");
    ret->content_disposition = ps_api_header(parser, "content-disposition");
    ret->content_encoding = ps_api_header(parser, "content-encoding");
    ret->cache_control = ps_api_header(parser, "cache-control");
    ret->has_cache_expiry = ps_r2_date_parse(ps_api_header(parser, "expires"), &expires_s);
    ret->cache_expiry_ms = ret->has_cache_expiry ? expires_s * 1000 : 0;
}

static bool read_conditions(struct ps_api_parser *parser, struct ps_r2_condition *ret)
{
    const struct ps_r2_if_headers headers = {
        .if_match = ps_api_header(parser, "if-match"),
        .if_none_match = ps_api_header(parser, "if-none-match"),
        .if_modified_since = ps_api_header(parser, "if-modified-since"),
        .if_unmodified_since = ps_api_header(parser, "if-unmodified-since")};
    if (ps_r2_condition_parse(&headers, ret) == PS_OK) {
        return true;
    }
    fail(parser, PS_R2_CODE_INVALID_ARGUMENT, "A list of ETags is malformed");
    return false;
}

static void parse_object(struct ps_api_parser *parser, struct ps_slice key)
{
    struct ps_api_call *call = parser->call;
    struct ps_r2_request *request = &call->bucket.request;
    struct ps_slice given = ps_api_header(parser, "cf-r2-storage-class");
    bool infrequent;
    if (!ps_api_decode(call, key, false, &request->key)) {
        fail(parser, PS_R2_CODE_INVALID_OBJECT_NAME, "Could not URL-decode the object's key");
        return;
    }
    switch ((int)call->method) {
    case PS_HTTP_GET:
    case PS_HTTP_HEAD:
        request->op = call->method == PS_HTTP_GET ? PS_R2_GET : PS_R2_HEAD;
        request->range.header = ps_api_header(parser, "range");
        request->range.kind =
            request->range.header.size > 0 ? PS_R2_RANGE_HEADER : PS_R2_RANGE_NONE;
        break;
    case PS_HTTP_PUT:
        request->op = PS_R2_PUT;
        read_http(parser, &request->meta.http);
        if (!read_class(parser, given, &infrequent)) {
            return;
        }
        request->has_storage_class = given.size > 0;
        request->meta.storage_class = infrequent ? PS_R2_INFREQUENT : PS_R2_STANDARD;
        break;
    case PS_HTTP_DELETE:
        request->op = PS_R2_DELETE;
        call->bucket.key = request->key;
        request->keys = &call->bucket.key;
        request->key_count = 1;
        check_object(parser);
        return;
    default:
        fail_method(parser);
        return;
    }
    if (read_conditions(parser, &request->condition)) {
        check_object(parser);
    }
}

/* ---- routes ---- */

/* What is behind "/{bucket}"; *ret_bucket is raw. */
static struct ps_slice cut_bucket(struct ps_slice rest, struct ps_slice *ret_bucket)
{
    const char *end = rest.data + rest.size;
    const char *name = rest.data + 1;
    const char *stop = memchr(name, '/', (size_t)(end - name));
    stop = stop == NULL ? end : stop;
    *ret_bucket = (struct ps_slice){name, (size_t)(stop - name)};
    return (struct ps_slice){stop, (size_t)(end - stop)};
}

bool ps_api_is_r2_object(struct ps_slice path)
{
    struct ps_slice bucket;
    if (path.size < 2 || path.data[0] != '/') {
        return false;
    }
    return ps_slice_starts(cut_bucket(path, &bucket), PS_LIT("/objects/"));
}

void ps_api_parse_r2_rest(struct ps_api_parser *parser, struct ps_slice rest)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice raw;
    struct ps_slice wanted;
    if (!read_jurisdiction(parser)) {
        return;
    }
    if (rest.size == 0) {
        if (call->method == PS_HTTP_GET) {
            parse_list(parser);
        } else if (call->method == PS_HTTP_POST) {
            parse_create(parser);
        } else {
            fail_method(parser);
        }
        return;
    }
    if (rest.data[0] != '/') {
        ps_api_fail(parser, 404, 7003, "Could not route to this path");
        return;
    }
    struct ps_slice below = cut_bucket(rest, &raw);
    if (!ps_api_decode(call, raw, false, &wanted) || !find_bucket(parser, wanted)) {
        fail(parser, PS_R2_CODE_NO_SUCH_BUCKET, "");
        call->kind = PS_API_BUCKET_UNKNOWN;
    } else if (below.size == 0) {
        parse_bucket(parser);
    } else if (ps_slice_eq(below, PS_LIT("/objects"))) {
        parse_objects(parser);
    } else if (ps_slice_starts(below, PS_LIT("/objects/"))) {
        parse_object(parser, (struct ps_slice){below.data + 9, below.size - 9});
    } else {
        ps_api_fail(parser, 404, 7003, "Could not route to this path");
    }
}

/* ---- answers: errors ---- */

void ps_api_r2_rest_error(const struct ps_r2_error *error, struct ps_http_response *response)
{
    const struct ps_r2_code_info *info = ps_r2_code_info(error->code);
    PS_ASSERT(error->code != PS_R2_CODE_NONE);
    response->status = info->http_status;
    response->body.size = 0;
    if (error->code == PS_R2_CODE_NOT_MODIFIED) {
        return;
    }
    /* Codes of the S3 API alone the REST API does not know. */
    uint32_t code = info->v4_code != 0 ? info->v4_code
                    : info->http_status >= 500
                        ? ps_r2_code_info(PS_R2_CODE_INTERNAL)->v4_code
                        : ps_r2_code_info(PS_R2_CODE_INVALID_ARGUMENT)->v4_code;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/json"));
    ps_buf_printf(&response->body,
                  "{\"success\":false,\"errors\":[{\"code\":%" PRIu32 ",\"message\":", code);
    ps_buf_append_json(&response->body, ps_slice_of(ps_r2_error_message(error)));
    ps_buf_append_text(&response->body, "}],\"messages\":[],\"result\":null}");
}

/* ---- answers: buckets ---- */

static void put_date(struct ps_buf *buf, int64_t unix_ms)
{
    ps_buf_append_char(buf, '"');
    ps_r2_date_iso(buf, unix_ms);
    ps_buf_append_char(buf, '"');
}

static const char *class_name(bool infrequent)
{
    return infrequent ? "InfrequentAccess" : "Standard";
}

static void put_bucket(struct ps_buf *buf, const struct ps_api_namespace *ns)
{
    struct ps_buf name = {0};
    ps_r2_bucket_name_put(&name, ps_slice_of(ns->title));
    ps_buf_append_text(buf, "{\"name\":");
    ps_buf_append_json(buf, ps_buf_slice(&name));
    ps_buf_append_text(buf, ",\"creation_date\":");
    put_date(buf, ns->created_unix_s * 1000);
    ps_buf_append_text(buf, ",\"location\":\"");
    for (const char *c = ns->region; *c != '\0'; c++) {
        ps_buf_append_char(buf, (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
    }
    ps_buf_printf(buf, "\",\"storage_class\":\"%s\",\"jurisdiction\":\"default\"}",
                  class_name(ns->infrequent));
    ps_buf_fini(&name);
}

struct named {
    const struct ps_api_namespace *ns;
    struct ps_buf name;
};

static int by_name(const void *left, const void *right)
{
    const struct named *a = left;
    const struct named *b = right;
    return ps_slice_cmp(ps_buf_slice(&a->name), ps_buf_slice(&b->name));
}

static bool is_asked_for(const struct ps_api_call *call, struct ps_slice name)
{
    const struct ps_api_bucket_call *bucket = &call->bucket;
    int order = ps_slice_cmp(name, bucket->after);
    bool behind = bucket->after.size == 0 || (call->descending ? order < 0 : order > 0);
    return behind &&
           (bucket->contains.size == 0 ||
            memmem(name.data, name.size, bucket->contains.data, bucket->contains.size) != NULL);
}

/* All that are asked for, in order; as many as there is room for in `ret`. */
static size_t choose(const struct ps_api_config *config, const struct ps_api_call *call,
                     struct named *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &config->namespaces[i];
        struct named *one = &ret[count];
        if (!ns->is_r2) {
            continue;
        }
        *one = (struct named){.ns = ns};
        ps_r2_bucket_name_put(&one->name, ps_slice_of(ns->title));
        if (is_asked_for(call, ps_buf_slice(&one->name))) {
            count++;
        } else {
            ps_buf_fini(&one->name);
        }
    }
    qsort(ret, count, sizeof *ret, by_name);
    return count;
}

void ps_api_answer_buckets(const struct ps_api_config *config, const struct ps_api_call *call,
                           struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    struct named *chosen = PS_NEW_ARRAY(struct named, config->namespace_count + 1);
    size_t count = choose(config, call, chosen);
    size_t shown = count < call->per_page ? count : call->per_page;
    struct ps_slice last = PS_LIT("");
    ps_api_answer_begin(response);
    ps_buf_append_text(body, "{\"buckets\":[");
    for (size_t i = 0; i < shown; i++) {
        const struct named *one = &chosen[call->descending ? count - 1 - i : i];
        ps_buf_append_text(body, i > 0 ? "," : "");
        put_bucket(body, one->ns);
        last = ps_buf_slice(&one->name);
    }
    ps_buf_printf(body, "]},\"result_info\":{\"per_page\":%zu", call->per_page);
    if (shown < count) {
        ps_buf_append_text(body, ",\"cursor\":\"");
        ps_r2_cursor_encode(body, last);
        ps_buf_append_char(body, '"');
    }
    ps_buf_append_text(body, "}}");
    for (size_t i = 0; i < count; i++) {
        ps_buf_fini(&chosen[i].name);
    }
    free(chosen);
}

void ps_api_answer_bucket(const struct ps_api_config *config, const struct ps_api_call *call,
                          struct ps_http_response *response)
{
    PS_ASSERT(config->namespaces[call->ns].is_r2);
    ps_api_answer_begin(response);
    put_bucket(&response->body, &config->namespaces[call->ns]);
    ps_buf_append_char(&response->body, '}');
}

void ps_api_answer_bucket_change(enum ps_status status, struct ps_http_response *response)
{
    const struct ps_r2_error error = {.code = status == PS_EXISTS      ? PS_R2_CODE_BUCKET_EXISTS
                                              : status == PS_NOT_FOUND ? PS_R2_CODE_NO_SUCH_BUCKET
                                              : status == PS_LIMIT     ? PS_R2_CODE_TOO_MANY_BUCKETS
                                                                       : ps_r2_code_of(status)};
    if (status != PS_OK) {
        ps_api_r2_rest_error(&error, response);
        return;
    }
    ps_api_answer_begin(response);
    ps_buf_append_text(&response->body, "{}}");
}

/* ---- answers: objects ---- */

static void header(struct ps_http_response *response, const char *name, struct ps_slice value)
{
    if (value.size > 0) {
        ps_http_response_header(response, name, value);
    }
}

static void header_date(struct ps_http_response *response, const char *name, int64_t unix_ms)
{
    struct ps_buf value = {0};
    ps_r2_date_format(&value, unix_ms / 1000);
    ps_http_response_header(response, name, ps_buf_slice(&value));
    ps_buf_fini(&value);
}

void ps_api_r2_rest_object(const struct ps_r2_object *object, const struct ps_r2_span *span,
                           struct ps_http_response *response)
{
    const struct ps_r2_http *http = &object->meta.http;
    char etag[PS_R2_ETAG_SIZE + 2];
    (void)snprintf(etag, sizeof etag, "\"%s\"", object->etag);
    response->status = span->partial ? 206 : 200;
    header(response, "Content-Type",
           http->content_type.size > 0 ? http->content_type : PS_LIT("application/octet-stream"));
    header(response, "Content-Language", http->content_language);
    header(response, "Content-Disposition", http->content_disposition);
    header(response, "Content-Encoding", http->content_encoding);
    header(response, "Cache-Control", http->cache_control);
    if (http->has_cache_expiry) {
        header_date(response, "Expires", http->cache_expiry_ms);
    }
    header(response, "ETag", ps_slice_of(etag));
    header_date(response, "Last-Modified", object->uploaded_ms);
    header(response, "Accept-Ranges", PS_LIT("bytes"));
    header(response, "cf-r2-storage-class",
           ps_slice_of(class_name(object->meta.storage_class == PS_R2_INFREQUENT)));
    if (span->partial) {
        struct ps_buf range = {0};
        ps_r2_content_range(&range, span, object->size);
        header(response, "Content-Range", ps_buf_slice(&range));
        ps_buf_fini(&range);
    }
}

static void put_member(struct ps_buf *buf, bool *any, const char *name, struct ps_slice value)
{
    if (value.size > 0) {
        ps_buf_printf(buf, "%s\"%s\":", *any ? "," : "", name);
        ps_buf_append_json(buf, value);
        *any = true;
    }
}

static void put_http(struct ps_buf *buf, const struct ps_r2_http *http)
{
    bool any = false;
    put_member(buf, &any, "contentType", http->content_type);
    put_member(buf, &any, "contentLanguage", http->content_language);
    put_member(buf, &any, "contentDisposition", http->content_disposition);
    put_member(buf, &any, "contentEncoding", http->content_encoding);
    put_member(buf, &any, "cacheControl", http->cache_control);
    if (http->has_cache_expiry) {
        ps_buf_printf(buf, "%s\"cacheExpiry\":", any ? "," : "");
        put_date(buf, http->cache_expiry_ms);
    }
}

static void put_object(struct ps_buf *buf, const struct ps_r2_object *object)
{
    const struct ps_r2_metadata *meta = &object->meta;
    ps_buf_append_text(buf, "{\"key\":");
    ps_buf_append_json(buf, object->key);
    ps_buf_printf(buf, ",\"size\":%" PRIu64 ",\"etag\":\"%s\",\"last_modified\":", object->size,
                  object->etag);
    put_date(buf, object->uploaded_ms);
    ps_buf_append_text(buf, ",\"http_metadata\":{");
    put_http(buf, &meta->http);
    ps_buf_append_text(buf, "},\"custom_metadata\":{");
    for (size_t i = 0; i < meta->custom_count; i++) {
        ps_buf_append_text(buf, i > 0 ? "," : "");
        ps_buf_append_json(buf, meta->custom[i].name);
        ps_buf_append_char(buf, ':');
        ps_buf_append_json(buf, meta->custom[i].value);
    }
    ps_buf_printf(buf, "},\"storage_class\":\"%s\",\"ssec\":%s}",
                  class_name(meta->storage_class == PS_R2_INFREQUENT),
                  meta->ssec.given ? "true" : "false");
}

void ps_api_r2_rest_page(const struct ps_r2_request *request, const struct ps_r2_page *page,
                         struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_api_answer_begin(response);
    ps_buf_append_char(body, '[');
    for (size_t i = 0; i < page->object_count; i++) {
        ps_buf_append_text(body, i > 0 ? "," : "");
        put_object(body, &page->objects[i]);
    }
    ps_buf_printf(body, "],\"result_info\":{\"per_page\":%" PRId64 ",\"is_truncated\":%s",
                  request->has_limit ? request->limit : (int64_t)PS_R2_LIST_MAX,
                  page->truncated ? "true" : "false");
    if (page->truncated) {
        ps_buf_append_text(body, ",\"cursor\":\"");
        ps_r2_cursor_encode(body, page->last);
        ps_buf_append_char(body, '"');
    }
    if (request->delimiter.size > 0) {
        ps_buf_append_text(body, ",\"delimited\":[");
        for (size_t i = 0; i < page->prefix_count; i++) {
            ps_buf_append_text(body, i > 0 ? "," : "");
            ps_buf_append_json(body, page->prefixes[i]);
        }
        ps_buf_append_char(body, ']');
    }
    ps_buf_append_text(body, "}}");
}

void ps_api_r2_rest_mutation(const struct ps_r2_request *request, const struct ps_r2_answer *answer,
                             struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    const struct ps_r2_object *object = &answer->object;
    char version[PS_R2_HEX_SIZE];
    ps_api_answer_begin(response);
    ps_buf_append_text(body, "{\"key\":");
    ps_buf_append_json(body, request->key);
    if (answer->has_object) {
        ps_r2_id_hex(&object->version, version);
        ps_buf_printf(body,
                      ",\"etag\":\"%s\",\"version\":\"%s\",\"size\":\"%" PRIu64 "\",\"uploaded\":",
                      object->etag, version, object->size);
        put_date(body, object->uploaded_ms);
        ps_buf_printf(body, ",\"storage_class\":\"%s\"",
                      class_name(object->meta.storage_class == PS_R2_INFREQUENT));
    }
    ps_buf_append_text(body, "}}");
}
