#include "node/http/api_internal.h"
#include "node/http/api_public.h"
#include "node/http/api_r2.h"
#include "node/http/multipart.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    BODY_MULTIPART = PS_KV_VALUE_SIZE_MAX + (64 << 10), /* a value and what stands around it */
    BODY_BULK = 100 << 20,
    REST_LIST_MIN = 10
};

static const char V4[] = "/client/v4/";
static const char ACCOUNTS[] = "/client/v4/accounts/";
static const char KV[] = "/storage/kv/namespaces";
static const char D1[] = "/d1/database";
static const char R2[] = "/r2/buckets";

void ps_api_rest_words(const struct ps_api_call *call, struct ps_kv_error *err)
{
    char words[sizeof err->phrase];
    (void)snprintf(words, sizeof words, "%s", err->phrase);
    if (call->operation != NULL && snprintf(err->phrase, sizeof err->phrase, "%s: '%s'",
                                            call->operation, words) >= (int)sizeof err->phrase) {
        err->phrase[sizeof err->phrase - 2] = '\'';
    }
}

static void refuse(struct ps_api_parser *parser, struct ps_kv_error *error)
{
    struct ps_api_call *call = parser->call;
    if (call->dialect == PS_API_REST) {
        ps_api_rest_words(call, error);
    }
    call->kind = PS_API_ANSWERED;
    ps_api_answer_error(call->dialect, error, parser->response);
}

void ps_api_fail(struct ps_api_parser *parser, int http_status, int api_code, const char *phrase)
{
    struct ps_kv_error error = {.http_status = http_status, .api_code = api_code};
    (void)snprintf(error.phrase, sizeof error.phrase, "%s", phrase);
    refuse(parser, &error);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Into the call's text, which has room for all that can be decoded, so that it never moves. */
bool ps_api_decode(struct ps_api_call *call, struct ps_slice from, bool plus, struct ps_slice *ret)
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
bool ps_api_query(const struct ps_api_call *call, const char *name, struct ps_slice *ret)
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

int64_t ps_api_number(struct ps_slice text)
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
    if (ps_api_query(call, name, &text)) {
        *ret_has = true;
        *ret = ps_api_number(text);
    }
}

struct ps_slice ps_api_header(const struct ps_api_parser *parser, const char *name)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s%s", parser->hook ? "mf-header-" : "", name);
    const struct ps_http_header *found = ps_http_header(parser->request, full);
    return found == NULL ? (struct ps_slice){0} : found->value;
}

void ps_api_check(struct ps_api_parser *parser, struct ps_kv_request *request)
{
    uint64_t expires = 0;
    struct ps_kv_error error = {0};
    if (!ps_kv_check(request, parser->now_unix_s, &expires, &error)) {
        refuse(parser, &error);
        return;
    }
    request->has_expiration_ttl = false;
    request->has_expiration = expires != 0;
    request->expiration_s = (int64_t)expires;
}

bool ps_api_is_json(struct ps_slice text)
{
    json_t *json = json_loadb(text.size == 0 ? "" : text.data, text.size,
                              JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    bool is = json != NULL;
    json_decref(json);
    return is;
}

/* ---- the token ---- */

/* Takes as long whatever is given. */
static bool same_bytes(const char *a, const char *b, size_t size)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < size; i++) {
        differs |= (unsigned char)(a[i] ^ b[i]);
    }
    return differs == 0;
}

static bool authorized(struct ps_api_parser *parser)
{
    const char *token = parser->config->token;
    if (token == NULL || token[0] == '\0') {
        return true;
    }
    const struct ps_http_header *given = ps_http_header(parser->request, "authorization");
    size_t size = strlen(token);
    if (given != NULL && given->value.size == size + 7 &&
        strncasecmp(given->value.data, "Bearer ", 7) == 0 &&
        same_bytes(given->value.data + 7, token, size)) {
        return true;
    }
    ps_api_fail(parser, 401, 10000, "Authentication error");
    return false;
}

static bool authorized_elsewhere(struct ps_api_parser *parser)
{
    return !parser->config->token_for_all || authorized(parser);
}

/* ---- operations that both dialects have ---- */

static void parse_list(struct ps_api_parser *parser, const char *limit)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice text;
    struct ps_slice cursor = {0};
    call->kv.op = PS_KV_LIST;
    if ((ps_api_query(call, "prefix", &text) &&
         !ps_api_decode(call, text, true, &call->kv.prefix)) ||
        (ps_api_query(call, "cursor", &text) && !ps_api_decode(call, text, true, &cursor))) {
        ps_api_fail(parser, 400, 10021, "Could not URL-decode query");
        return;
    }
    size_t start = call->text.size;
    if (ps_kv_cursor_decode(cursor, &call->text) != PS_OK) {
        ps_api_fail(parser, 400, 10021, "Invalid cursor");
        return;
    }
    call->kv.after = (struct ps_slice){call->text.data + start, call->text.size - start};
    query_number(call, limit, &call->kv.has_limit, &call->kv.limit);
    ps_api_check(parser, &call->kv);
}

/* Metadata comes back inside of JSON, so it must be some. */
static void check_put(struct ps_api_parser *parser)
{
    struct ps_kv_request *kv = &parser->call->kv;
    ps_api_check(parser, kv);
    if (parser->call->kind != PS_API_ANSWERED && kv->metadata.size > 0 &&
        !ps_api_is_json(kv->metadata)) {
        ps_api_fail(parser, 400, 10147, "metadata must be valid json");
    }
}

static bool parse_multipart(struct ps_api_parser *parser, struct ps_slice type)
{
    struct ps_kv_request *kv = &parser->call->kv;
    struct ps_slice body = parser->call->body;
    bool has_value;
    bool has_metadata;
    if (ps_multipart_field(type, body, "value", &kv->value, &has_value) != PS_OK ||
        ps_multipart_field(type, body, "metadata", &kv->metadata, &has_metadata) != PS_OK) {
        ps_api_fail(parser, 400, 10012, "invalid request body");
        return false;
    }
    if (!has_value) {
        ps_api_fail(parser, 400, 10001, "Missing value field");
        return false;
    }
    return true;
}

static void parse_put(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->operation = "put";
    call->kv.op = PS_KV_PUT;
    call->kv.value = call->body;
    call->kv.metadata = ps_api_header(parser, "cf-kv-metadata");
    query_number(call, "expiration", &call->kv.has_expiration, &call->kv.expiration_s);
    query_number(call, "expiration_ttl", &call->kv.has_expiration_ttl, &call->kv.expiration_ttl_s);
    const struct ps_http_header *type = ps_http_header(parser->request, "content-type");
    if (call->dialect == PS_API_REST && type != NULL && type->value.size >= 10 &&
        strncasecmp(type->value.data, "multipart/", 10) == 0 &&
        !parse_multipart(parser, type->value)) {
        return;
    }
    check_put(parser);
}

static void parse_key(struct ps_api_parser *parser, struct ps_slice raw)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice coded;
    bool urlencoded = call->dialect == PS_API_REST ||
                      (ps_api_query(call, "urlencoded", &coded) && coded.size > 0);
    if (urlencoded && !ps_api_decode(call, raw, false, &call->kv.key)) {
        ps_api_fail(parser, 400, 10021, "Could not URL-decode key name");
        return;
    }
    if (!urlencoded) {
        call->kv.key = raw;
    }
    if (call->method == PS_HTTP_PUT) {
        parse_put(parser);
    } else if (call->method == PS_HTTP_DELETE) {
        call->operation = "remove key";
        call->kv.op = PS_KV_DELETE;
        ps_api_check(parser, &call->kv);
    } else if (call->method == PS_HTTP_GET || call->method == PS_HTTP_HEAD) {
        call->operation = "get";
        call->kv.op = PS_KV_GET;
        query_number(call, "cache_ttl", &call->kv.has_cache_ttl, &call->kv.cache_ttl_s);
        ps_api_check(parser, &call->kv);
    } else {
        ps_api_fail(parser, 405, 10405, "Method Not Allowed");
    }
}

/* ---- the binding's dialect ---- */

static bool find_by(struct ps_api_parser *parser, struct ps_slice text,
                    const char *(*name_of)(const struct ps_api_namespace *ns))
{
    for (size_t i = 0; i < parser->config->namespace_count; i++) {
        const struct ps_api_namespace *ns = &parser->config->namespaces[i];
        if ((ns->is_kv || ns->is_d1 || ns->is_r2) && ps_slice_eq(ps_slice_of(name_of(ns)), text)) {
            parser->call->ns = i;
            return true;
        }
    }
    return false;
}

static const char *name_of(const struct ps_api_namespace *ns)
{
    return ns->name;
}

static const char *title_of(const struct ps_api_namespace *ns)
{
    return ns->title;
}

static const char *id_of(const struct ps_api_namespace *ns)
{
    return ns->id;
}

static bool find_store(struct ps_api_parser *parser, struct ps_slice text)
{
    return find_by(parser, text, name_of) || find_by(parser, text, title_of) ||
           find_by(parser, text, id_of);
}

static void parse_binding(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    if (!authorized_elsewhere(parser)) {
        return;
    }
    const struct ps_http_header *store = ps_http_header(parser->request, "popsim-store");
    if (store == NULL && parser->hook) {
        store = ps_http_header(parser->request, "mf-binding");
    }
    bool of_bucket = ps_api_is_r2_binding(parser->request);
    if (store == NULL || !find_store(parser, store->value)) {
        if (of_bucket) {
            ps_api_fail_r2(parser, PS_R2_CODE_NO_SUCH_BUCKET);
            return;
        }
        ps_api_fail(parser, 404, 10013, store == NULL ? "Not Found" : "namespace not found");
        return;
    }
    if (of_bucket || parser->config->namespaces[call->ns].is_r2) {
        ps_api_parse_r2_binding(parser);
        return;
    }
    if (parser->config->namespaces[call->ns].is_d1) {
        ps_api_parse_d1_binding(parser);
        return;
    }
    call->kind = PS_API_KV;
    struct ps_slice key = {call->path.data + 1, call->path.size - 1};
    if (call->method == PS_HTTP_POST && ps_slice_eq(key, PS_LIT("bulk/get"))) {
        ps_api_parse_bulk_get(parser);
    } else if (key.size == 0 && (call->method == PS_HTTP_GET || call->method == PS_HTTP_HEAD)) {
        parse_list(parser, "key_count_limit");
    } else {
        parse_key(parser, key);
    }
}

/* ---- the REST API ---- */

static void fail_method(struct ps_api_parser *parser)
{
    ps_api_fail(parser, 405, 10405, "method not allowed");
}

static void parse_namespaces(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    bool has;
    int64_t page = 1;
    int64_t per_page = 20;
    struct ps_slice text;
    query_number(call, "page", &has, &page);
    query_number(call, "per_page", &has, &per_page);
    call->kind = PS_API_NS_LIST;
    call->page = page < 1 ? 1 : (size_t)page;
    call->per_page = per_page < 1 || per_page > 1000 ? 1000 : (size_t)per_page;
    call->order_by_id = ps_api_query(call, "order", &text) && ps_slice_eq(text, PS_LIT("id"));
    call->descending = ps_api_query(call, "direction", &text) && ps_slice_eq(text, PS_LIT("desc"));
}

/* {"title": ...} */
static void parse_title(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    json_t *body =
        json_loadb(call->body.size == 0 ? "" : call->body.data, call->body.size, 0, NULL);
    call->json = body;
    const json_t *title = json_object_get(body, "title");
    call->title = (struct ps_slice){json_string_value(title), json_string_length(title)};
    if (body == NULL) {
        ps_api_fail(parser, 400, 10012, "invalid request body");
    } else if (call->title.size == 0) {
        ps_api_fail(parser, 400, 10019, "title required");
    } else if (call->title.size > PS_KV_TITLE_SIZE_MAX) {
        ps_api_fail(parser, 400, 10021, "the title is too long");
    }
}

static void parse_create(struct ps_api_parser *parser)
{
    parser->call->kind = PS_API_NS_CREATE;
    parser->call->operation = "create namespace";
    parse_title(parser);
}

static void parse_namespace(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    if (call->method == PS_HTTP_GET) {
        call->kind = PS_API_NS_GET;
    } else if (call->method == PS_HTTP_PUT) {
        call->kind = PS_API_NS_RENAME;
        call->operation = "rename namespace";
        parse_title(parser);
    } else if (call->method == PS_HTTP_DELETE) {
        call->kind = PS_API_NS_DELETE;
        call->operation = "remove namespace";
    } else {
        fail_method(parser);
    }
}

static void parse_keys(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->operation = "list keys";
    bool has = false;
    int64_t limit;
    query_number(call, "limit", &has, &limit);
    if (has && (limit < REST_LIST_MIN || limit > PS_KV_LIST_MAX)) {
        char words[96];
        (void)snprintf(words, sizeof words,
                       "Invalid limit of %" PRId64 ". Please specify an integer from %d to %d.",
                       limit, REST_LIST_MIN, PS_KV_LIST_MAX);
        ps_api_fail(parser, 400, 10021, words);
        return;
    }
    parse_list(parser, "limit");
}

static void parse_bulk(struct ps_api_parser *parser, struct ps_slice rest)
{
    struct ps_api_call *call = parser->call;
    enum ps_http_method method = call->method;
    bool plain = rest.size == 0;
    bool post = method == PS_HTTP_POST;
    if (plain && method == PS_HTTP_PUT) {
        call->operation = "put";
        ps_api_parse_bulk_put(parser);
    } else if ((plain && method == PS_HTTP_DELETE) ||
               (post && ps_slice_eq(rest, PS_LIT("/delete")))) {
        call->operation = "bulk remove keys";
        ps_api_parse_bulk_delete(parser);
    } else if (post && ps_slice_eq(rest, PS_LIT("/get"))) {
        call->operation = "get";
        ps_api_parse_bulk_get(parser);
    } else {
        fail_method(parser);
    }
}

static void fail_route(struct ps_api_parser *parser)
{
    char words[160];
    struct ps_slice path = parser->call->path;
    (void)snprintf(words, sizeof words,
                   "Could not route to %.*s, perhaps your object identifier is invalid?",
                   path.size > 80 ? 80 : (int)path.size, path.data);
    ps_api_fail(parser, 404, 7003, words);
}

/* A route below one namespace. */
static void parse_in_namespace(struct ps_api_parser *parser, struct ps_slice rest)
{
    struct ps_api_call *call = parser->call;
    bool get = call->method == PS_HTTP_GET;
    call->kv.fresh = true;
    call->kind = PS_API_KV;
    if (rest.size == 0) {
        parse_namespace(parser);
    } else if (ps_slice_eq(rest, PS_LIT("/keys"))) {
        (get ? parse_keys : fail_method)(parser);
    } else if (ps_slice_eq(rest, PS_LIT("/bulk")) || ps_slice_starts(rest, PS_LIT("/bulk/"))) {
        parse_bulk(parser, (struct ps_slice){rest.data + 5, rest.size - 5});
    } else if (ps_slice_starts(rest, PS_LIT("/values/"))) {
        parse_key(parser, (struct ps_slice){rest.data + 8, rest.size - 8});
    } else if (ps_slice_starts(rest, PS_LIT("/metadata/"))) {
        call->kind = PS_API_KV_METADATA;
        if (get) {
            parse_key(parser, (struct ps_slice){rest.data + 10, rest.size - 10});
        } else {
            fail_method(parser);
        }
    } else {
        fail_route(parser);
    }
}

static void parse_rest(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    call->dialect = PS_API_REST;
    if (!authorized(parser) || ps_api_parse_purge(parser)) {
        return;
    }
    const char *end = call->path.data + call->path.size;
    const char *at = NULL;
    if (ps_slice_starts(call->path, PS_LIT(ACCOUNTS))) {
        const char *account = call->path.data + sizeof ACCOUNTS - 1;
        at = memchr(account, '/', (size_t)(end - account)); /* any account will do */
    }
    struct ps_slice below = {at, at == NULL ? 0 : (size_t)(end - at)};
    if (at != NULL && ps_slice_starts(below, PS_LIT(D1))) {
        ps_api_parse_d1_rest(
            parser, (struct ps_slice){below.data + sizeof D1 - 1, below.size - (sizeof D1 - 1)});
        return;
    }
    if (at != NULL && ps_slice_starts(below, PS_LIT(R2))) {
        ps_api_parse_r2_rest(
            parser, (struct ps_slice){below.data + sizeof R2 - 1, below.size - (sizeof R2 - 1)});
        return;
    }
    if (at == NULL || !ps_slice_starts(below, PS_LIT(KV))) {
        fail_route(parser);
        return;
    }
    at += sizeof KV - 1;
    if (at == end) {
        if (call->method == PS_HTTP_GET) {
            parse_namespaces(parser);
        } else if (call->method == PS_HTTP_POST) {
            parse_create(parser);
        } else {
            fail_method(parser);
        }
        return;
    }
    if (*at != '/') {
        fail_route(parser);
        return;
    }
    const char *id = at + 1;
    const char *stop = memchr(id, '/', (size_t)(end - id));
    stop = stop == NULL ? end : stop;
    struct ps_slice wanted = {id, (size_t)(stop - id)};
    if (find_by(parser, wanted, id_of) && parser->config->namespaces[call->ns].is_kv) {
        parse_in_namespace(parser, (struct ps_slice){stop, (size_t)(end - stop)});
        return;
    }
    call->operation = "get namespace";
    ps_api_fail(parser, 404, 10013, "namespace not found");
}

/* Does the head name the store of a binding's call? Then its key may look like anything. */
static bool names_store(const struct ps_http_request *head)
{
    return ps_http_header(head, "popsim-store") != NULL || ps_http_header(head, "mf-url") != NULL;
}

static bool is_blob(const struct ps_http_request *head)
{
    return head->method == PS_HTTP_PUT && ps_slice_starts(head->target, PS_LIT("/popsim/blobs/")) &&
           !names_store(head);
}

static bool is_file(const struct ps_http_request *head)
{
    return head->method == PS_HTTP_PUT && ps_slice_starts(head->target, PS_LIT(PS_API_FILES)) &&
           !names_store(head);
}

/* PUT /client/v4/accounts/{account}/r2/buckets/{bucket}/objects/{key} */
static bool is_object(const struct ps_http_request *head)
{
    struct ps_slice path = head->target;
    if (head->method != PS_HTTP_PUT || !ps_slice_starts(path, PS_LIT(ACCOUNTS)) ||
        ps_http_header(head, "popsim-store") != NULL || ps_http_header(head, "mf-url") != NULL) {
        return false;
    }
    const char *end = path.data + path.size;
    const char *account = path.data + sizeof ACCOUNTS - 1;
    const char *at = memchr(account, '/', (size_t)(end - account));
    struct ps_slice below = {at, at == NULL ? 0 : (size_t)(end - at)};
    if (at == NULL || !ps_slice_starts(below, PS_LIT(R2))) {
        return false;
    }
    return ps_api_is_r2_object(
        (struct ps_slice){below.data + sizeof R2 - 1, below.size - (sizeof R2 - 1)});
}

struct ps_http_intake ps_api_intake(const struct ps_http_request *head)
{
    const struct ps_slice target = head->target;
    if (is_object(head)) {
        return (struct ps_http_intake){PS_API_R2_BODY_SIZE_MAX, true};
    }
    if (is_blob(head)) {
        return (struct ps_http_intake){PS_API_BLOB_SIZE_MAX, true};
    }
    if (is_file(head)) {
        return (struct ps_http_intake){PS_API_IMPORT_SIZE_MAX, true};
    }
    if (names_store(head) && ps_api_is_r2_write(head)) {
        return (struct ps_http_intake){PS_API_R2_BODY_SIZE_MAX, true};
    }
    if (!ps_slice_starts(target, PS_LIT(V4))) {
        return (struct ps_http_intake){PS_KV_VALUE_SIZE_MAX, false};
    }
    bool bulk = memmem(target.data, target.size, "/bulk", 5) != NULL;
    return (struct ps_http_intake){bulk ? BODY_BULK : BODY_MULTIPART, false};
}

static void parse_token(struct ps_api_parser *parser)
{
    const struct ps_http_header *token = ps_http_header(parser->request, "popsim-token");
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
    parser->call->token = ret;
}

/* Cut a target at its question mark. */
static void split_target(struct ps_slice target, struct ps_slice *ret_path,
                         struct ps_slice *ret_query)
{
    const char *mark = memchr(target.data, '?', target.size);
    size_t size = mark == NULL ? target.size : (size_t)(mark - target.data);
    *ret_path = (struct ps_slice){target.data, size};
    *ret_query = mark == NULL ? (struct ps_slice){"", 0}
                              : (struct ps_slice){mark + 1, target.size - size - 1};
}

/* Through the hook the target is the connection string's; the Worker's own is in a header, as an
 * absolute URL whose path may be left out: "https://fake-host?prefix=a". */
static struct ps_slice hooked_target(struct ps_slice url)
{
    const char *end = url.data + url.size;
    const char *at = url.size == 0 ? NULL : memmem(url.data, url.size, "://", 3);
    at = at == NULL ? url.data : at + 3;
    while (at < end && *at != '/' && *at != '?') {
        at++;
    }
    return (struct ps_slice){at, (size_t)(end - at)};
}

/* Which dialect? A key may look like a route of ours: a request that names its store never is one.
 */
static void parse_route(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    if (parser->hook || ps_http_header(parser->request, "popsim-store") != NULL) {
        parse_binding(parser);
    } else if (ps_slice_starts(call->path, PS_LIT(PS_API_FILES))) {
        /* Who has the address was given it with the token: its key is one. */
        size_t size = sizeof PS_API_FILES - 1;
        call->kind = PS_API_FILE;
        call->title = (struct ps_slice){call->path.data + size, call->path.size - size};
    } else if (ps_slice_starts(call->path, PS_LIT("/popsim/"))) {
        call->kind = authorized(parser) ? PS_API_CONTROL : PS_API_ANSWERED;
    } else if (ps_slice_starts(call->path, PS_LIT(PS_API_PUBLIC_PATH))) {
        if (authorized_elsewhere(parser)) {
            ps_api_parse_public(parser);
        }
    } else if (ps_slice_eq(call->path, PS_LIT("/healthz"))) {
        call->kind = PS_API_HEALTHZ;
    } else if (ps_slice_eq(call->path, PS_LIT("/metrics"))) {
        call->kind = authorized_elsewhere(parser) ? PS_API_METRICS : PS_API_ANSWERED;
    } else if (ps_slice_starts(call->path, PS_LIT(V4))) {
        parse_rest(parser);
    } else {
        parse_binding(parser);
    }
}

void ps_api_parse(const struct ps_api_config *config, const struct ps_http_request *request,
                  int64_t now_unix_s, struct ps_api_call *ret, struct ps_http_response *response)
{
    struct ps_api_parser parser = {config, request, now_unix_s, ret, response, false};
    struct ps_slice target = request->target;
    const struct ps_http_header *url = ps_http_header(request, "mf-url");
    if (url != NULL) {
        parser.hook = true;
        target = hooked_target(url->value);
    }
    ret->method = request->method;
    ret->body = request->body;
    if (!parser.hook && (target.size == 0 || target.data[0] != '/')) {
        ps_api_fail(&parser, 400, 7003, "Bad Request");
        return;
    }
    split_target(target.size == 0 ? PS_LIT("/") : target, &ret->path, &ret->query);
    ret->path = ret->path.size == 0 ? PS_LIT("/") : ret->path;
    ps_buf_reserve(&ret->text, 2 * target.size + 1);
    parse_token(&parser);
    parse_route(&parser);
}

void ps_api_call_fini(struct ps_api_call *call)
{
    free(call->writes);
    free(call->keys);
    free(call->purges);
    json_decref(call->json);
    ps_buf_fini(&call->text);
    ps_buf_fini(&call->d1.dump);
    ps_r2_condition_fini(&call->bucket.request.condition);
}
