/* /popsim/blobs/<store>/<id>: PUT streams a blob in and answers its size and hashes, GET streams it
 * out (with Range), DELETE deletes it. Other nodes ask home for it; at another PoP it goes to home
 * and comes from there, as the bodies of that PoP's clients do. */
#include "node/io/exchange.h"
#include "node/io/r2/transfer.h"
#include "replication/base/memory.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct route {
    struct ps_exchange *exchange;
    struct ps_node_store *store;
    struct ps_r2_id id;
    struct ps_upload *upload;
    struct ps_download *download;
    uint64_t offset; /* GET */
    uint64_t total;
    bool partial;
};

static void free_route(void *pointer)
{
    struct route *route = pointer;
    if (route->upload != NULL) {
        ps_upload_abort(route->upload);
    }
    if (route->download != NULL) {
        ps_download_cancel(route->download);
    }
    free(route);
}

static int http_of(enum ps_status status)
{
    return status == PS_NOT_FOUND     ? 404
           : status == PS_EXISTS      ? 409
           : status == PS_INVALID     ? 416
           : status == PS_FULL        ? 507
           : status == PS_UNREACHABLE ? 503
           : status == PS_TIMEOUT     ? 504
                                      : 500;
}

/* ---- PUT ---- */

static void on_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    const struct route *route = exchange->transfer;
    if (!ps_upload_append(route->upload, bytes)) {
        ps_exchange_hold(exchange);
    }
}

static void on_end(struct ps_exchange *exchange)
{
    ps_upload_finish(((const struct route *)exchange->transfer)->upload);
}

static void on_abort(struct ps_exchange *exchange)
{
    ps_exchange_complete(exchange); /* and so ends the upload */
}

static void on_drained(void *context)
{
    ps_exchange_resume(((const struct route *)context)->exchange);
}

static void on_uploaded(void *context, const struct ps_blob_result *result)
{
    struct route *route = context;
    struct ps_exchange *exchange = route->exchange;
    route->upload = NULL;
    if (result->status != PS_OK) {
        if (route->store->primary != NULL) { /* else home tells of its disk itself */
            ps_node_log(exchange->node, PS_LOG_WARN, "r2", "%s: an upload failed: %s",
                        route->store->config->name, result->text);
        }
        ps_exchange_fail(exchange, http_of(result->status), "%s", result->text);
        return;
    }
    struct ps_buf *body = &exchange->response.body;
    ps_buf_printf(body, "{\"size\":%" PRIu64 ",\"checksums\":{", result->size);
    const char *comma = "";
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        struct ps_slice bytes = ps_r2_checksums_get(&result->checksums, (enum ps_r2_hash)hash);
        if (bytes.size > 0) {
            ps_buf_printf(body, "%s\"%u\":\"", comma, hash);
            ps_r2_hex(body, bytes);
            ps_buf_append_char(body, '"');
            comma = ",";
        }
    }
    ps_buf_append_text(body, "}}\n");
    ps_exchange_json(exchange, 200);
}

static bool read_number(struct ps_slice *text, uint64_t *ret)
{
    size_t i = 0;
    uint64_t value = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        if (value > (UINT64_MAX >> 1) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(text->data[i] - '0');
    }
    *text = (struct ps_slice){text->data + i, text->size - i};
    *ret = value;
    return i > 0;
}

/* "hashes=5": a set; MD5 alone when nothing is said. */
static bool read_hashes(struct ps_slice query, ps_r2_hash_set *ret)
{
    uint64_t set;
    *ret = PS_R2_HASH_BIT(PS_R2_MD5);
    if (query.size == 0) {
        return true;
    }
    if (!ps_slice_starts(query, PS_LIT("hashes="))) {
        return false;
    }
    query = (struct ps_slice){query.data + 7, query.size - 7};
    if (!read_number(&query, &set) || query.size > 0 || set >= PS_R2_HASH_BIT(PS_R2_HASHES)) {
        return false;
    }
    *ret = (ps_r2_hash_set)set;
    return true;
}

static void put(struct route *route, struct ps_slice query)
{
    static const struct ps_body_sink sink = {on_bytes, on_end, on_abort};
    struct ps_exchange *exchange = route->exchange;
    ps_r2_hash_set hashes;
    if (!read_hashes(query, &hashes)) {
        ps_exchange_fail(exchange, 400, "hashes=N: a set of hashes is expected");
        return;
    }
    const struct ps_blob_writer writer = {on_drained, on_uploaded, route};
    route->upload = ps_upload_begin(route->store, &route->id, hashes, exchange->sized,
                                    exchange->body_size, &writer);
    exchange->sink = &sink;
}

/* ---- GET ---- */

static void on_begun(void *context, enum ps_status status, struct ps_tail *tail)
{
    struct route *route = context;
    struct ps_exchange *exchange = route->exchange;
    route->download = NULL;
    if (status != PS_OK) {
        ps_exchange_fail(exchange, http_of(status), "%s", ps_status_text(status));
        return;
    }
    exchange->tail = *tail;
    exchange->response.tail_size = tail->size;
    exchange->response.status = 200;
    struct ps_http_response *response = &exchange->response;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/octet-stream"));
    if (route->partial) {
        response->status = 206;
        ps_buf_printf(&response->headers, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/",
                      route->offset, route->offset + tail->size - 1);
        if (route->store->primary != NULL) {
            ps_buf_append_u64(&response->headers, route->total);
        } else {
            ps_buf_append_char(&response->headers, '*');
        }
        ps_buf_append_text(&response->headers, "\r\n");
    }
    ps_exchange_complete(exchange);
}

/* "bytes=3-9", "bytes=3-". Sets *ret_size to UINT64_MAX for the latter. */
static bool read_range(struct ps_slice text, uint64_t *ret_offset, uint64_t *ret_size)
{
    uint64_t last;
    if (!ps_slice_starts(text, PS_LIT("bytes="))) {
        return false;
    }
    text = (struct ps_slice){text.data + 6, text.size - 6};
    if (!read_number(&text, ret_offset) || text.size == 0 || text.data[0] != '-') {
        return false;
    }
    text = (struct ps_slice){text.data + 1, text.size - 1};
    *ret_size = UINT64_MAX;
    if (text.size == 0) {
        return true;
    }
    if (!read_number(&text, &last) || text.size > 0 || last < *ret_offset) {
        return false;
    }
    *ret_size = last - *ret_offset + 1;
    return true;
}

static void get(struct route *route)
{
    struct ps_exchange *exchange = route->exchange;
    const struct ps_http_header *range = ps_http_header(&exchange->request, "range");
    struct ps_download_part part = {.id = route->id, .size = UINT64_MAX};
    route->partial = range != NULL;
    if (range != NULL && !read_range(range->value, &part.offset, &part.size)) {
        ps_exchange_fail(exchange, 400, "Range: bytes=FROM-TO or bytes=FROM- is expected");
        return;
    }
    route->offset = part.offset;
    if (route->store->primary != NULL) {
        int fd;
        enum ps_status status = ps_blob_open(exchange->node->blobs, route->store->config->name,
                                             &route->id, &fd, &route->total);
        if (status != PS_OK) {
            on_begun(route, status, NULL);
            return;
        }
        (void)close(fd);
        uint64_t left = part.offset < route->total ? route->total - part.offset : 0;
        part.size = part.size < left ? part.size : left;
        if (part.size == 0) {
            struct ps_tail nothing = {0};
            on_begun(route, range == NULL ? PS_OK : PS_INVALID, &nothing);
            return;
        }
    }
    route->download = ps_download_begin(route->store, &part, 1, on_begun, route);
}

/* ---- DELETE, and what is asked for ---- */

static void on_deleted(void *context, enum ps_status status)
{
    struct ps_exchange *exchange = context;
    if (status != PS_OK) {
        ps_exchange_fail(exchange, http_of(status), "%s", ps_status_text(status));
        return;
    }
    exchange->response.status = 204;
    ps_exchange_complete(exchange);
}

static bool find(struct ps_node *node, struct ps_slice path, struct route *route)
{
    const char *slash = path.size == 0 ? NULL : memchr(path.data, '/', path.size);
    if (slash == NULL) {
        return false;
    }
    size_t size = (size_t)(slash - path.data);
    struct ps_slice id = {slash + 1, path.size - size - 1};
    route->store = ps_node_store_find(node, (struct ps_slice){path.data, size});
    return route->store != NULL && route->store->config->type == PS_STORE_R2 &&
           ps_r2_id_parse(id, &route->id);
}

void ps_blob_route_start(struct ps_exchange *exchange, struct ps_slice path, struct ps_slice query)
{
    struct ps_node *node = exchange->node;
    struct route *route = PS_NEW(struct route);
    route->exchange = exchange;
    exchange->transfer = route;
    exchange->free_transfer = free_route;
    if (!find(node, path, route)) {
        ps_exchange_fail(exchange, 404, "there is no such bucket");
        return;
    }
    enum ps_http_method method = exchange->request.method;
    if (method == PS_HTTP_PUT && exchange->receiving) {
        put(route, query);
    } else if (method == PS_HTTP_GET) {
        get(route);
    } else if (method == PS_HTTP_DELETE && route->store->primary != NULL) {
        ps_blob_delete(node->blobs, route->store->config->name, &route->id, on_deleted, exchange);
    } else {
        ps_exchange_fail(exchange, 405, "PUT, GET, or at home DELETE is expected");
    }
}
