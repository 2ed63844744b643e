#include "node/http/api_internal.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS_SIZE = 512 }; /* of most answers: taken at once */

static void header_text(struct ps_http_response *response, const char *name, const char *value)
{
    ps_http_response_header(response, name, ps_slice_of(value));
}

static void header_u64(struct ps_http_response *response, const char *name, uint64_t value)
{
    struct ps_buf *headers = &response->headers;
    ps_buf_append_text(headers, name);
    ps_buf_append(headers, ": ", 2);
    ps_buf_append_u64(headers, value);
    ps_buf_append(headers, "\r\n", 2);
}

/* Milliseconds to the nanosecond. */
static void header_ms(struct ps_http_response *response, const char *name, ps_dur_ns value_ns)
{
    struct ps_buf *headers = &response->headers;
    ps_buf_append_text(headers, name);
    ps_buf_append(headers, ": ", 2);
    ps_buf_append_u64(headers, value_ns / PS_MS);
    size_t point = headers->size;
    ps_buf_append_u64(headers, PS_MS + value_ns % PS_MS); /* "1" and six digits */
    headers->data[point] = '.';
    ps_buf_append(headers, "\r\n", 2);
}

static void as_json(struct ps_http_response *response)
{
    header_text(response, "Content-Type", "application/json");
}

void ps_api_answer_begin(struct ps_http_response *response)
{
    response->status = 200;
    as_json(response);
    ps_buf_append_text(&response->body,
                       "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":");
}

void ps_api_answer_error(enum ps_api_dialect dialect, const struct ps_kv_error *error,
                         struct ps_http_response *response)
{
    response->status = error->http_status;
    if (dialect == PS_API_REST) {
        as_json(response);
        ps_buf_printf(&response->body,
                      "{\"success\":false,\"errors\":[{\"code\":%d,\"message\":", error->api_code);
        ps_buf_append_json(&response->body, ps_slice_of(error->phrase));
        ps_buf_append_text(&response->body, "}],\"messages\":[],\"result\":null}");
        return;
    }
    (void)snprintf(response->phrase, sizeof response->phrase, "%s", error->phrase);
    if (error->http_status != 404) { /* which stands for a value: null */
        ps_buf_append_text(&response->body, error->phrase);
    }
}

static void put_empty(struct ps_http_response *response)
{
    ps_api_answer_begin(response);
    ps_buf_append_text(&response->body, "null}");
}

static void put_namespace(struct ps_buf *body, struct ps_slice id, struct ps_slice title)
{
    ps_buf_append_text(body, "{\"id\":");
    ps_buf_append_json(body, id);
    ps_buf_append_text(body, ",\"title\":");
    ps_buf_append_json(body, title);
    ps_buf_append_text(body, ",\"supports_url_encoding\":true}");
}

void ps_api_answer_namespace(const struct ps_api_namespace *ns, struct ps_http_response *response)
{
    ps_api_answer_begin(response);
    put_namespace(&response->body, ps_slice_of(ns->id), ps_slice_of(ns->title));
    ps_buf_append_char(&response->body, '}');
}

void ps_api_answer_change(const struct ps_api_call *call, enum ps_status status, const char *id,
                          struct ps_http_response *response)
{
    struct ps_kv_error error = {0};
    if (status == PS_EXISTS) {
        error = (struct ps_kv_error){400, 10014,
                                     "A namespace with this account ID and title already exists"};
    } else if (status == PS_NOT_FOUND) {
        error = (struct ps_kv_error){404, 10013, "namespace not found"};
    } else if (status == PS_LIMIT) {
        error = (struct ps_kv_error){400, 10021, "the cluster has no room for more namespaces"};
    } else {
        ps_kv_error_of(status, &error);
    }
    if (error.http_status != 0) {
        ps_api_rest_words(call, &error);
        ps_api_answer_error(PS_API_REST, &error, response);
        return;
    }
    if (call->kind == PS_API_NS_DELETE) {
        put_empty(response);
        return;
    }
    ps_api_answer_begin(response);
    put_namespace(&response->body, ps_slice_of(id), call->title);
    ps_buf_append_char(&response->body, '}');
}

/* How many namespaces come before this one in the order asked for. */
static size_t rank(const struct ps_api_config *config, const struct ps_api_call *call, size_t which)
{
    const struct ps_api_namespace *me = &config->namespaces[which];
    size_t before = 0;
    for (size_t i = 0; i < config->namespace_count; i++) {
        const struct ps_api_namespace *other = &config->namespaces[i];
        int order = call->order_by_id ? strcmp(other->id, me->id) : strcmp(other->title, me->title);
        order = order == 0 ? (i < which ? -1 : i > which) : call->descending ? -order : order;
        before += other->is_kv && order < 0 ? 1 : 0;
    }
    return before;
}

void ps_api_answer_namespaces(const struct ps_api_config *config, const struct ps_api_call *call,
                              struct ps_http_response *response)
{
    size_t total = 0;
    size_t count = 0;
    for (size_t i = 0; i < config->namespace_count; i++) {
        total += config->namespaces[i].is_kv ? 1 : 0;
    }
    ps_api_answer_begin(response);
    struct ps_buf *body = &response->body;
    ps_buf_append_char(body, '[');
    for (size_t at = 0; at < total; at++) {
        if (at / call->per_page != call->page - 1) {
            continue;
        }
        for (size_t i = 0; i < config->namespace_count; i++) {
            if (config->namespaces[i].is_kv && rank(config, call, i) == at) {
                ps_buf_append_text(body, count++ > 0 ? "," : "");
                put_namespace(body, ps_slice_of(config->namespaces[i].id),
                              ps_slice_of(config->namespaces[i].title));
            }
        }
    }
    ps_buf_printf(body,
                  "],\"result_info\":{\"page\":%zu,\"per_page\":%zu,\"count\":%zu,"
                  "\"total_count\":%zu}}",
                  call->page, call->per_page, count, total);
}

void ps_api_put_staleness(const struct ps_api_config *config, const struct ps_kv_staleness *told,
                          struct ps_http_response *response)
{
    static const char *const caches[] = {
        [PS_CACHE_MISS] = "MISS", [PS_CACHE_HIT] = "HIT", [PS_CACHE_REVALIDATE] = "REVALIDATE"};
    ps_buf_reserve(&response->headers, HEADERS_SIZE);
    header_text(response, "popsim-pop", config->pop);
    header_u64(response, "popsim-lsn", told->lsn);
    header_u64(response, "popsim-latest-lsn", told->latest_lsn);
    header_u64(response, "popsim-behind", told->behind);
    header_ms(response, "popsim-stale-ms", told->stale_ns);
    header_u64(response, "popsim-time", told->eval_ns);
    header_u64(response, "popsim-boot", told->boot);
    if (told->refresh_ns != 0) {
        header_u64(response, "popsim-refresh-time", told->refresh_ns);
    }
    if (told->late) {
        header_u64(response, "popsim-late", 1);
        header_u64(response, "popsim-have-lsn", told->have_lsn);
    }
    if (told->at_home) {
        header_u64(response, "popsim-home", 1);
    }
    if (told->wrote) {
        header_u64(response, "popsim-wrote", 1);
    }
    if (told->run_ns != 0) {
        header_u64(response, "popsim-run-time", told->run_ns);
    }
    if (told->cache != PS_CACHE_NONE) {
        header_text(response, "CF-Cache-Status", caches[told->cache]);
    }
}

static void put_get(const struct ps_api_call *call, const struct ps_api_item *item,
                    struct ps_http_response *response)
{
    const struct ps_version *version = &item->version;
    response->status = 200;
    if (version->metadata.size > 0) {
        ps_http_response_header(response, "CF-KV-Metadata", version->metadata);
    }
    if (version->expires_unix_s != 0) {
        header_u64(response, call->dialect == PS_API_REST ? "expiration" : "CF-Expiration",
                   version->expires_unix_s);
    }
    header_text(response, "Content-Type", "application/octet-stream");
    if (version->value.size > PS_API_INLINE_MAX) {
        response->tail_size = version->value.size;
    } else {
        ps_buf_append_slice(&response->body, version->value);
    }
}

static void put_list(const struct ps_api_call *call, const struct ps_api_result *result,
                     struct ps_http_response *response)
{
    bool rest = call->dialect == PS_API_REST;
    struct ps_buf *body = &response->body;
    struct ps_buf cursor = {0};
    if (rest) {
        ps_api_answer_begin(response);
    } else {
        response->status = 200;
        as_json(response);
        ps_buf_append_text(body, "{\"keys\":");
    }
    ps_buf_append_char(body, '[');
    for (size_t i = 0; i < result->item_count; i++) {
        const struct ps_api_item *item = &result->items[i];
        ps_buf_append_text(body, i > 0 ? ",{\"name\":" : "{\"name\":");
        ps_buf_append_json(body, item->key);
        if (item->version.expires_unix_s != 0) {
            ps_buf_printf(body, ",\"expiration\":%" PRIu64, item->version.expires_unix_s);
        }
        if (item->version.metadata.size > 0) {
            ps_buf_append_text(body, ",\"metadata\":");
            if (rest) {
                ps_buf_append_slice(body, item->version.metadata);
            } else {
                ps_buf_append_json(body, item->version.metadata);
            }
        }
        ps_buf_append_char(body, '}');
    }
    if (!result->list_complete) {
        ps_kv_cursor_encode(&cursor, result->last_name);
    }
    if (rest) {
        ps_buf_printf(body, "],\"result_info\":{\"count\":%zu,\"cursor\":\"%s\"}}",
                      result->item_count, ps_buf_text(&cursor));
    } else if (result->list_complete) {
        ps_buf_append_text(body, "],\"list_complete\":true}");
    } else {
        ps_buf_printf(body, "],\"list_complete\":false,\"cursor\":\"%s\"}", ps_buf_text(&cursor));
    }
    ps_buf_fini(&cursor);
}

static bool put_value(const struct ps_api_call *call, struct ps_slice value, struct ps_buf *body)
{
    if (!call->bulk_json) {
        ps_buf_append_json(body, value);
        return true;
    }
    bool is_json = ps_api_is_json(value);
    if (is_json) {
        ps_buf_append_slice(body, value); /* as it is: numbers keep their digits */
    }
    return is_json;
}

static bool put_bulk(const struct ps_api_call *call, const struct ps_api_result *result,
                     struct ps_http_response *response, struct ps_kv_error *err)
{
    struct ps_buf *body = &response->body;
    bool rest = call->dialect == PS_API_REST;
    ps_buf_append_text(body, rest ? "{\"success\":true,\"errors\":[],\"messages\":[],"
                                    "\"result\":{\"values\":{"
                                  : "{");
    for (size_t i = 0; i < result->item_count; i++) {
        const struct ps_api_item *item = &result->items[i];
        ps_buf_append_text(body, i > 0 ? "," : "");
        ps_buf_append_json(body, item->key);
        ps_buf_append_char(body, ':');
        if (!item->found) {
            ps_buf_append_text(body, "null");
            continue;
        }
        ps_buf_append_text(body, call->with_metadata ? "{\"value\":" : "");
        if (!put_value(call, item->version.value, body)) {
            *err = (struct ps_kv_error){400, 10029,
                                        "At least one of the requested keys corresponds to a "
                                        "non-json value"};
            return false;
        }
        if (call->with_metadata) {
            ps_buf_append_text(body, ",\"metadata\":");
            ps_buf_append_slice(body, item->version.metadata.size > 0 ? item->version.metadata
                                                                      : PS_LIT("null"));
            if (rest && item->version.expires_unix_s != 0) {
                ps_buf_printf(body, ",\"expiration\":%" PRIu64, item->version.expires_unix_s);
            }
            ps_buf_append_char(body, '}');
        }
        if (body->size > PS_KV_BULK_GET_SIZE_MAX) {
            ps_kv_error_of(PS_LIMIT, err);
            return false;
        }
    }
    ps_buf_append_text(body, rest ? "}}}" : "}");
    response->status = 200;
    as_json(response);
    return true;
}

/* What became of each write of a bulk write. */
static void put_written(const struct ps_api_result *result, struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    size_t failed = 0;
    ps_api_answer_begin(response);
    ps_buf_append_text(body, "{\"unsuccessful_keys\":[");
    for (size_t i = 0; i < result->item_count; i++) {
        if (result->items[i].status != PS_OK) {
            ps_buf_append_text(body, failed++ > 0 ? "," : "");
            ps_buf_append_json(body, result->items[i].key);
        }
    }
    ps_buf_printf(body, "],\"successful_key_count\":%zu}}", result->item_count - failed);
}

static void put_metadata(const struct ps_api_item *item, struct ps_http_response *response)
{
    struct ps_slice metadata = item->version.metadata;
    ps_api_answer_begin(response);
    ps_buf_append_slice(&response->body, metadata.size > 0 ? metadata : PS_LIT("null"));
    ps_buf_append_char(&response->body, '}');
}

static void put_result(const struct ps_api_call *call, const struct ps_api_result *result,
                       struct ps_http_response *response, struct ps_kv_error *err)
{
    if (call->kind == PS_API_KV_BULK) {
        put_written(result, response);
        return;
    }
    switch (call->kv.op) {
    case PS_KV_GET:
        if (!result->items[0].found) {
            ps_kv_error_of(PS_NOT_FOUND, err);
            if (call->dialect == PS_API_REST) {
                (void)snprintf(err->phrase, sizeof err->phrase, "key not found");
            }
        } else if (call->kind == PS_API_KV_METADATA) {
            put_metadata(&result->items[0], response);
        } else {
            put_get(call, &result->items[0], response);
        }
        return;
    case PS_KV_LIST:
        put_list(call, result, response);
        return;
    case PS_KV_GET_BULK:
        (void)put_bulk(call, result, response, err);
        return;
    case PS_KV_PUT:
    case PS_KV_DELETE:
        if (call->dialect == PS_API_REST) {
            put_empty(response);
        } else {
            response->status = 200;
        }
        return;
    }
}

void ps_api_answer(const struct ps_api_config *config, const struct ps_api_call *call,
                   const struct ps_api_result *result, struct ps_http_response *response)
{
    struct ps_kv_error error = {0};
    ps_api_put_staleness(config, &result->staleness, response);
    ps_kv_error_of(result->status, &error);
    if (error.http_status == 0) {
        put_result(call, result, response, &error);
    }
    if (error.http_status != 0) {
        response->body.size = 0;
        if (call->dialect == PS_API_REST) {
            ps_api_rest_words(call, &error);
        }
        ps_api_answer_error(call->dialect, &error, response);
    }
}
