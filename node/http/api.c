#include "node/http/api.h"

#include "replication/base/memory.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BODY_VALUE = PS_KV_VALUE_SIZE_MAX + (1 << 20), BODY_BULK = 100 << 20 };

static const char V4[] = "/client/v4/accounts/";
static const char KV[] = "/storage/kv/namespaces";

/* What is being parsed; only within ps_api_parse. */
struct parse {
    const struct ps_api_config *config;
    const struct ps_http_request *request;
    int64_t now_unix_s;
    struct ps_api_call *call;
    struct ps_http_response *response;
    bool hook; /* through miniflare's remote-binding hook: headers have a prefix */
};

static void fail(struct parse *parse, int http_status, int api_code, const char *phrase)
{
    struct ps_kv_error error = {.http_status = http_status, .api_code = api_code};
    (void)snprintf(error.phrase, sizeof error.phrase, "%s", phrase);
    parse->call->kind = PS_API_ANSWERED;
    ps_api_answer_error(parse->call->dialect, &error, parse->response);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Into the call's text, which has room for all that can be decoded, so that it never moves. */
static bool decode(struct ps_api_call *call, struct ps_slice from, bool plus, struct ps_slice *ret)
{
    size_t start = call->text.size;
    for (size_t i = 0; i < from.size; i++) {
        char c = from.data[i];
        if (c == '%') {
            int high = i + 2 < from.size ? hex(from.data[i + 1]) : -1;
            int low = i + 2 < from.size ? hex(from.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        ps_buf_append_char(&call->text, c);
    }
    *ret = (struct ps_slice){call->text.data + start, call->text.size - start};
    return true;
}

/* The raw value of a query parameter. */
static bool query(const struct ps_api_call *call, const char *name, struct ps_slice *ret)
{
    size_t size = strlen(name);
    const char *at = call->query.data;
    const char *end = at + call->query.size;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if ((size_t)(stop - at) > size && memcmp(at, name, size) == 0 && at[size] == '=') {
            *ret = (struct ps_slice){at + size + 1, (size_t)(stop - at) - size - 1};
            return true;
        }
        at = stop + (stop < end);
    }
    return false;
}

/* What is no whole number becomes 0, which every limit refuses with its own words. */
static int64_t number(struct ps_slice text)
{
    int64_t value = 0;
    size_t i = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    if (text.size == i || text.size > 18) {
        return 0;
    }
    for (size_t at = i; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return 0;
        }
        value = value * 10 + (text.data[at] - '0');
    }
    return i == 1 ? -value : value;
}

static void query_number(const struct ps_api_call *call, const char *name, bool *ret_has,
                         int64_t *ret)
{
    struct ps_slice text;
    if (query(call, name, &text)) {
        *ret_has = true;
        *ret = number(text);
    }
}

static struct ps_slice header(const struct parse *parse, const char *name)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s%s", parse->hook ? "mf-header-" : "", name);
    const struct ps_http_header *found = ps_http_header(parse->request, full);
    return found == NULL ? (struct ps_slice){0} : found->value;
}

static void check(struct parse *parse, struct ps_kv_request *request)
{
    uint64_t expires = 0;
    struct ps_kv_error error = {0};
    if (!ps_kv_check(request, parse->now_unix_s, &expires, &error)) {
        parse->call->kind = PS_API_ANSWERED;
        ps_api_answer_error(parse->call->dialect, &error, parse->response);
        return;
    }
    request->has_expiration_ttl = false;
    request->has_expiration = expires != 0;
    request->expiration_s = (int64_t)expires;
}

/* ---- operations that both dialects have ---- */

static void parse_list(struct parse *parse, const char *limit)
{
    struct ps_api_call *call = parse->call;
    struct ps_slice text;
    struct ps_slice cursor = {0};
    call->kv.op = PS_KV_LIST;
    if ((query(call, "prefix", &text) && !decode(call, text, true, &call->kv.prefix)) ||
        (query(call, "cursor", &text) && !decode(call, text, true, &cursor))) {
        fail(parse, 400, 10021, "Could not URL-decode query");
        return;
    }
    size_t start = call->text.size;
    if (ps_kv_cursor_decode(cursor, &call->text) != PS_OK) {
        fail(parse, 400, 10021, "Invalid cursor");
        return;
    }
    call->kv.after = (struct ps_slice){call->text.data + start, call->text.size - start};
    query_number(call, limit, &call->kv.has_limit, &call->kv.limit);
    check(parse, &call->kv);
}

static void parse_bulk_get(struct parse *parse)
{
    struct ps_api_call *call = parse->call;
    json_t *root = json_loadb(call->body.data == NULL ? "" : call->body.data, call->body.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    call->json = root;
    call->kv.op = PS_KV_GET_BULK;
    json_t *keys = json_object_get(root, "keys");
    if (!json_is_array(keys)) {
        fail(parse, 400, 10012, "Bad Request");
        return;
    }
    const char *type = json_string_value(json_object_get(root, "type"));
    if (type != NULL && strcmp(type, "json") != 0 && strcmp(type, "text") != 0) {
        char phrase[256];
        (void)snprintf(phrase, sizeof phrase,
                       "\"%.100s\" is not a valid type. Use \"json\" or \"text\"", type);
        fail(parse, 400, 10021, phrase);
        return;
    }
    call->bulk_json = type != NULL && type[0] == 'j';
    call->with_metadata = json_is_true(json_object_get(root, "withMetadata"));
    const json_t *ttl = json_object_get(root, "cacheTtl");
    if (json_is_string(ttl) || json_is_integer(ttl)) {
        call->kv.has_cache_ttl = true;
        call->kv.cache_ttl_s = json_is_integer(ttl) ? (int64_t)json_integer_value(ttl)
                                                    : number(ps_slice_of(json_string_value(ttl)));
    }
    call->kv.key_count = json_array_size(keys);
    call->keys = PS_NEW_ARRAY(struct ps_slice, call->kv.key_count + 1);
    call->kv.keys = call->keys;
    for (size_t i = 0; i < call->kv.key_count; i++) {
        const json_t *key = json_array_get(keys, i);
        if (!json_is_string(key)) {
            fail(parse, 400, 10012, "Bad Request");
            return;
        }
        call->keys[i] = (struct ps_slice){json_string_value(key), json_string_length(key)};
    }
    check(parse, &call->kv);
}

static void parse_key(struct parse *parse, struct ps_slice raw)
{
    struct ps_api_call *call = parse->call;
    bool rest = call->dialect == PS_API_REST;
    struct ps_slice coded;
    bool urlencoded = rest || (query(call, "urlencoded", &coded) && coded.size > 0);
    if (urlencoded && !decode(call, raw, false, &call->kv.key)) {
        fail(parse, 400, 10021, "Could not URL-decode key name");
        return;
    }
    if (!urlencoded) {
        call->kv.key = raw;
    }
    if (call->method == PS_HTTP_PUT) {
        call->kv.op = PS_KV_PUT;
        call->kv.value = call->body;
        call->kv.metadata = header(parse, "cf-kv-metadata");
        query_number(call, "expiration", &call->kv.has_expiration, &call->kv.expiration_s);
        query_number(call, "expiration_ttl", &call->kv.has_expiration_ttl,
                     &call->kv.expiration_ttl_s);
    } else if (call->method == PS_HTTP_DELETE) {
        call->kv.op = PS_KV_DELETE;
    } else if (call->method == PS_HTTP_GET || call->method == PS_HTTP_HEAD) {
        call->kv.op = PS_KV_GET;
        query_number(call, "cache_ttl", &call->kv.has_cache_ttl, &call->kv.cache_ttl_s);
    } else {
        fail(parse, 405, 10405, "Method Not Allowed");
        return;
    }
    check(parse, &call->kv);
}

/* ---- dialects ---- */

static bool find_store(struct parse *parse, struct ps_slice name)
{
    for (size_t i = 0; i < parse->config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &parse->config->namespaces[i];
        if (ns->is_kv && ps_slice_eq(ps_slice_of(ns->name), name)) {
            parse->call->ns = i;
            return true;
        }
    }
    return false;
}

static void parse_binding(struct parse *parse)
{
    struct ps_api_call *call = parse->call;
    const struct ps_http_header *store = ps_http_header(parse->request, "popsim-store");
    if (store == NULL) {
        store = ps_http_header(parse->request, "mf-binding");
    }
    if (store == NULL || !find_store(parse, store->value)) {
        fail(parse, 404, 10013, store == NULL ? "Not Found" : "namespace not found");
        return;
    }
    call->kind = PS_API_KV;
    struct ps_slice key = {call->path.data + 1, call->path.size - 1};
    if (call->method == PS_HTTP_POST && ps_slice_eq(key, PS_LIT("bulk/get"))) {
        parse_bulk_get(parse);
    } else if (key.size == 0 && (call->method == PS_HTTP_GET || call->method == PS_HTTP_HEAD)) {
        parse_list(parse, "key_count_limit");
    } else {
        parse_key(parse, key);
    }
}

static void parse_rest(struct parse *parse)
{
    struct ps_api_call *call = parse->call;
    call->dialect = PS_API_REST;
    const char *token = parse->config->token;
    if (token != NULL && token[0] != '\0') {
        const struct ps_http_header *given = ps_http_header(parse->request, "authorization");
        size_t size = strlen(token);
        if (given == NULL || given->value.size != size + 7 ||
            strncasecmp(given->value.data, "Bearer ", 7) != 0 ||
            memcmp(given->value.data + 7, token, size) != 0) {
            fail(parse, 401, 10000, "Authentication error");
            return;
        }
    }
    const char *end = call->path.data + call->path.size;
    const char *account = call->path.data + sizeof V4 - 1;
    const char *at = memchr(account, '/', (size_t)(end - account));
    if (at == NULL || !ps_slice_starts((struct ps_slice){at, (size_t)(end - at)}, PS_LIT(KV))) {
        fail(parse, 404, 7003, "Could not route");
        return;
    }
    at += sizeof KV - 1;
    if (at == end) {
        if (call->method != PS_HTTP_GET) {
            fail(parse, 405, 10405, "method not allowed");
            return;
        }
        bool has;
        int64_t page = 1;
        int64_t per_page = 20;
        struct ps_slice text;
        query_number(call, "page", &has, &page);
        query_number(call, "per_page", &has, &per_page);
        call->kind = PS_API_NS_LIST;
        call->page = page < 1 ? 1 : (size_t)page;
        call->per_page = per_page < 1 || per_page > 1000 ? 1000 : (size_t)per_page;
        call->order_by_id = query(call, "order", &text) && ps_slice_eq(text, PS_LIT("id"));
        call->descending = query(call, "direction", &text) && ps_slice_eq(text, PS_LIT("desc"));
        return;
    }
    const char *id = at + 1;
    const char *stop = memchr(id, '/', (size_t)(end - id));
    struct ps_slice wanted = {id, (size_t)((stop == NULL ? end : stop) - id)};
    size_t ns = 0;
    while (ns < parse->config->namespace_count &&
           !(parse->config->namespaces[ns].is_kv &&
             ps_slice_eq(ps_slice_of(parse->config->namespaces[ns].id), wanted))) {
        ns++;
    }
    if (*at != '/' || ns == parse->config->namespace_count) {
        fail(parse, 404, 10013, "namespace not found");
        return;
    }
    call->ns = ns;
    call->kv.fresh = true;
    struct ps_slice rest = {stop, stop == NULL ? 0 : (size_t)(end - stop)};
    call->kind = PS_API_KV;
    if (rest.size == 0 && call->method == PS_HTTP_GET) {
        call->kind = PS_API_NS_GET;
    } else if (ps_slice_eq(rest, PS_LIT("/keys")) && call->method == PS_HTTP_GET) {
        parse_list(parse, "limit");
    } else if (ps_slice_eq(rest, PS_LIT("/bulk/get")) && call->method == PS_HTTP_POST) {
        parse_bulk_get(parse);
    } else if (ps_slice_starts(rest, PS_LIT("/values/"))) {
        const struct ps_http_header *type = ps_http_header(parse->request, "content-type");
        if (type != NULL && ps_slice_starts(type->value, PS_LIT("multipart/"))) {
            fail(parse, 501, 10012, "multipart bodies are not supported yet");
            return;
        }
        parse_key(parse, (struct ps_slice){rest.data + 8, rest.size - 8});
    } else if (ps_slice_starts(rest, PS_LIT("/metadata/")) && call->method == PS_HTTP_GET) {
        call->kind = PS_API_KV_METADATA;
        parse_key(parse, (struct ps_slice){rest.data + 10, rest.size - 10});
    } else {
        fail(parse, 501, 10405, "this route is not supported yet");
    }
}

size_t ps_api_body_limit(const struct ps_http_request *head)
{
    const struct ps_slice target = head->target;
    bool bulk =
        ps_slice_starts(target, PS_LIT(V4)) && memmem(target.data, target.size, "/bulk", 5) != NULL;
    return bulk ? BODY_BULK : BODY_VALUE;
}

static void parse_token(struct parse *parse)
{
    const struct ps_http_header *token = ps_http_header(parse->request, "popsim-token");
    if (token == NULL || token->value.size != 2 * (size_t)PS_TOKEN_SIZE) {
        return;
    }
    struct ps_token ret = {0};
    for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
        int high = hex(token->value.data[2 * i]);
        int low = hex(token->value.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return;
        }
        ret.bytes[i] = (uint8_t)(high << 4 | low);
    }
    parse->call->token = ret;
}

void ps_api_parse(const struct ps_api_config *config, const struct ps_http_request *request,
                  int64_t now_unix_s, struct ps_api_call *ret, struct ps_http_response *response)
{
    struct parse parse = {config, request, now_unix_s, ret, response, false};
    struct ps_slice target = request->target;
    const struct ps_http_header *url = ps_http_header(request, "mf-url");
    if (url != NULL) {
        parse.hook = true;
        target = url->value;
        const char *host = memmem(target.data, target.size, "://", 3);
        host = host == NULL ? target.data : host + 3;
        size_t left = target.size - (size_t)(host - target.data);
        const char *path = left == 0 ? NULL : memchr(host, '/', left);
        target = path == NULL ? PS_LIT("/")
                              : (struct ps_slice){path, target.size - (size_t)(path - target.data)};
    }
    ret->method = request->method;
    ret->body = request->body;
    if (target.size == 0 || target.data[0] != '/') {
        fail(&parse, 400, 7003, "Bad Request");
        return;
    }
    const char *mark = memchr(target.data, '?', target.size);
    size_t size = mark == NULL ? target.size : (size_t)(mark - target.data);
    ret->path = (struct ps_slice){target.data, size};
    ret->query = mark == NULL ? (struct ps_slice){"", 0}
                              : (struct ps_slice){mark + 1, target.size - size - 1};
    ps_buf_reserve(&ret->text, 2 * target.size + 1);
    parse_token(&parse);
    /* A key may look like a route of ours: a request that names its store is never one. */
    if (parse.hook || ps_http_header(request, "popsim-store") != NULL) {
        parse_binding(&parse);
    } else if (ps_slice_starts(ret->path, PS_LIT("/popsim/"))) {
        ret->kind = PS_API_CONTROL;
    } else if (ps_slice_eq(ret->path, PS_LIT("/healthz"))) {
        ret->kind = PS_API_HEALTHZ;
    } else if (ps_slice_eq(ret->path, PS_LIT("/metrics"))) {
        ret->kind = PS_API_METRICS;
    } else if (ps_slice_starts(ret->path, PS_LIT(V4))) {
        parse_rest(&parse);
    } else {
        parse_binding(&parse);
    }
}

void ps_api_call_fini(struct ps_api_call *call)
{
    free(call->writes);
    free(call->keys);
    json_decref(call->json);
    ps_buf_fini(&call->text);
}
