#include "node/io/r2/public.h"

#include "node/io/conn.h"
#include "node/io/r2/objects.h"
#include "node/s3/cors.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

enum { TRIES_MAX = 8 /* of a read whose blobs are not there */ };

/* ---- reads ---- */

struct public_call {
    struct ps_read_call read; /* first member */
    struct ps_read_key key;
    struct ps_r2_public_view view;
    struct ps_exchange *exchange;
    struct ps_object_call
        object; /* the object, its body and what of it is asked for; never begun */
    struct ps_api_public result;
    struct ps_alarm alarm;
    struct ps_download *download;
    struct ps_buf bytes; /* what the object points into */
    struct ps_buf cors;  /* the bucket's configuration, for a request with an Origin */
    int tries;
};

static struct public_call *of_alarm(struct ps_alarm *alarm)
{
    return (struct public_call *)(void *)((char *)alarm - offsetof(struct public_call, alarm));
}

static void forget_object(struct public_call *call)
{
    ps_object_call_fini(&call->object);
    ps_buf_fini(&call->bytes);
    call->bytes = (struct ps_buf){0};
    call->result = (struct ps_api_public){.dropped_ns = call->result.dropped_ns};
}

static void free_call(void *pointer)
{
    struct public_call *call = pointer;
    struct ps_node *node = call->exchange->node;
    if (call->download != NULL) {
        ps_download_cancel(call->download);
    }
    ps_node_alarm_stop(node, &call->alarm);
    ps_node_alarm_stop(node, &call->read.alarm);
    forget_object(call);
    ps_buf_fini(&call->cors);
    free(call);
}

/* By the bucket's CORS rules, as on the S3 port: answers from the cache, too. */
static void answer(struct public_call *call)
{
    struct ps_exchange *exchange = call->exchange;
    struct ps_s3_cors cors = {0};
    ps_api_answer_public(&exchange->node->server->api, &call->result, &exchange->response);
    if (call->cors.size > 0 && ps_s3_cors_read(ps_buf_slice(&call->cors), &cors) == PS_OK) {
        ps_s3_cors_headers(&cors, &exchange->request, &exchange->response);
    }
    ps_s3_cors_fini(&cors);
}

static void finish(struct public_call *call, enum ps_status status)
{
    struct ps_exchange *exchange = call->exchange;
    PS_ASSERT(exchange != NULL);
    call->result.status = status;
    call->result.staleness.boot = exchange->node->boot;
    answer(call);
    ps_exchange_complete(exchange);
}

static void start(struct public_call *call);

/* The body's file is not at home any more: the version was superseded a while ago. If it is what
 * the cache shows, that ends. */
static void start_again(struct public_call *call)
{
    bool again = call->view.cached && call->result.dropped_ns != 0;
    if (++call->tries == TRIES_MAX || again) { /* one drop can be told */
        finish(call, PS_CORRUPT);
        return;
    }
    if (call->view.cached) {
        struct ps_node *node = call->exchange->node;
        ps_time_ns t = ps_eval_clock_next(&node->eval, ps_node_now(node));
        bool drops = ps_r2_public_drop(call->read.store->public, call->key.key, call->view.lsn, t);
        call->result.dropped_ns = drops ? t : 0;
    }
    forget_object(call);
    start(call);
}

static void on_again(struct ps_alarm *alarm)
{
    start_again(of_alarm(alarm));
}

static void on_begun(void *context, enum ps_status status, struct ps_tail *tail)
{
    struct public_call *call = context;
    struct ps_exchange *exchange = call->exchange;
    call->download = NULL;
    if (status == PS_NOT_FOUND) {
        call->alarm.ring = on_again; /* not from within the download's begin */
        ps_node_alarm(exchange->node, &call->alarm, ps_mono_ns());
        return;
    }
    if (status != PS_OK) {
        finish(call, status);
        return;
    }
    answer(call);
    exchange->tail = *tail;
    exchange->response.tail_size = tail->size;
    ps_exchange_complete(exchange);
}

static void on_blobs(struct ps_alarm *alarm)
{
    struct public_call *call = of_alarm(alarm);
    size_t count;
    call->object.store = call->read.store;
    struct ps_download_part *parts = ps_object_call_parts(&call->object, &count);
    struct ps_download *download =
        ps_download_begin(call->read.store, parts, count, on_begun, call);
    free(parts);
    if (download != NULL) { /* else the call may have ended */
        call->download = download;
    }
}

static struct ps_slice keep(struct ps_buf *bytes, struct ps_slice slice)
{
    struct ps_slice kept = {bytes->data + bytes->size, slice.size};
    ps_buf_append_slice(bytes, slice); /* room was reserved: it does not move */
    return kept;
}

/* The map's bytes go with its read. */
static enum ps_status take_object(struct public_call *call, const struct ps_version *version)
{
    struct ps_version copied = *version;
    struct ps_object_call *object = &call->object;
    ps_buf_reserve(&call->bytes, version->metadata.size + version->value.size + 1);
    copied.metadata = keep(&call->bytes, version->metadata);
    copied.value = keep(&call->bytes, version->value);
    enum ps_status status = ps_r2_object_of(&call->exchange->node->state.cluster, call->key.key,
                                            &copied, &object->object);
    if (status == PS_OK) {
        object->has_object = true;
        status = ps_r2_object_body(&object->object, &object->body);
    }
    return status;
}

static void answer_body(struct public_call *call)
{
    struct ps_exchange *exchange = call->exchange;
    const struct ps_r2_span *span = &call->object.span;
    const struct ps_r2_body *body = &call->object.body;
    int status = call->result.answer.http_status;
    bool sent = (status == 200 || status == 206) && span->length > 0;
    if (sent && exchange->request.method == PS_HTTP_GET && body->blob_count > 0) {
        call->alarm.ring = on_blobs; /* behind the map's read */
        ps_node_alarm(exchange->node, &call->alarm, ps_mono_ns());
        return;
    }
    answer(call);
    if (sent && body->blob_count > 0) {
        exchange->response.tail_size = span->length; /* of a HEAD: told, not sent */
    } else if (sent) {
        ps_buf_append(&exchange->response.body, body->bytes.data + span->offset, span->length);
    }
    ps_exchange_complete(exchange);
}

static void on_read(struct ps_read_call *read, enum ps_status status)
{
    struct public_call *call = (struct public_call *)(void *)read;
    struct ps_api_public *result = &call->result;
    struct ps_version version;
    bool found = false;
    ps_read_staleness(read, &result->staleness);
    if (status == PS_OK) {
        status = ps_read_get(read, 0, &version, &found, &result->staleness);
    }
    if (status == PS_OK && found) {
        status = take_object(call, &version);
    }
    if (status != PS_OK) {
        finish(call, status);
        return;
    }
    /* Whom the object asks for a key of its own it is not public to. */
    bool shown = found && !call->object.object.meta.ssec.given;
    result->object = shown ? &call->object.object : NULL;
    result->cached = call->view.cached;
    result->age_s = call->view.age_s;
    result->state = ps_r2_public_state(read->store->public, call->key.key, &call->view,
                                       found ? &call->object.object : NULL, version.lsn);
    result->answer = ps_api_public_decide(&call->exchange->request, result->object);
    call->object.span = result->answer.span;
    answer_body(call);
}

static void start(struct public_call *call)
{
    struct ps_node_store *store = call->read.store;
    call->read = (struct ps_read_call){
        .store = store, .keys = &call->key, .key_count = 1, .public = &call->view, .done = on_read};
    if (store->dropped) {
        finish(call, PS_NOT_FOUND);
    } else {
        ps_read_start(&call->read);
    }
}

static void start_read(struct ps_exchange *exchange, const struct ps_api_call *api)
{
    struct public_call *call = PS_NEW(struct public_call);
    exchange->transfer = call;
    exchange->free_transfer = free_call;
    call->exchange = exchange;
    call->read.store = exchange->node->server->stores[api->ns];
    call->object.store = call->read.store;
    call->key.key = api->title;
    if (ps_http_header(&exchange->request, "origin") != NULL) {
        ps_namespace_setting(call->read.store, "cors", &call->cors);
    }
    start(call);
}

static void answer_preflight(struct ps_exchange *exchange, const struct ps_api_call *api)
{
    struct ps_node_store *store = exchange->node->server->stores[api->ns];
    struct ps_s3_cors cors = {0};
    struct ps_buf text = {0};
    ps_namespace_setting(store, "cors", &text);
    bool has = text.size > 0 && ps_s3_cors_read(ps_buf_slice(&text), &cors) == PS_OK;
    ps_s3_preflight(has ? &cors : NULL, &exchange->request, &exchange->response);
    ps_s3_cors_fini(&cors);
    ps_buf_fini(&text);
    ps_exchange_complete(exchange);
}

/* ---- purges ---- */

struct purges {
    struct ps_exchange *exchange;
    const struct ps_api_call *api;
    struct ps_object_call *calls;
    struct ps_r2_request *requests;
    size_t count;
    size_t left;
    enum ps_status status; /* the first that failed */
};

static void free_purges(void *pointer)
{
    struct purges *purges = pointer;
    for (size_t i = 0; i < purges->count; i++) {
        ps_object_call_fini(&purges->calls[i]);
    }
    free(purges->calls);
    free(purges->requests);
    free(purges);
}

static void complete_purges(struct purges *purges)
{
    ps_api_answer_purge(purges->api, purges->status, &purges->exchange->response);
    ps_exchange_complete(purges->exchange);
}

static void on_purged(struct ps_object_call *call)
{
    struct purges *purges = call->context;
    enum ps_status status = call->status;
    if (status == PS_OK && call->error.code != PS_R2_CODE_NONE) {
        status = PS_INVALID;
    }
    purges->status = purges->status == PS_OK ? status : purges->status;
    if (--purges->left == 0) {
        complete_purges(purges);
    }
}

static void start_purges(struct ps_exchange *exchange, const struct ps_api_call *api)
{
    struct purges *purges = PS_NEW(struct purges);
    exchange->transfer = purges;
    exchange->free_transfer = free_purges;
    purges->exchange = exchange;
    purges->api = api;
    purges->count = api->purge_count;
    purges->left = api->purge_count + 1; /* all are begun before one can be the last */
    purges->calls = PS_NEW_ARRAY(struct ps_object_call, api->purge_count + 1);
    purges->requests = PS_NEW_ARRAY(struct ps_r2_request, api->purge_count + 1);
    for (size_t i = 0; i < purges->count; i++) {
        purges->requests[i] = (struct ps_r2_request){.op = PS_R2_PURGE, .key = api->purges[i].key};
        purges->calls[i] =
            (struct ps_object_call){.store = exchange->node->server->stores[api->purges[i].ns],
                                    .request = &purges->requests[i],
                                    .fresh = true,
                                    .context = purges,
                                    .done = on_purged};
        ps_object_call_start(&purges->calls[i]);
    }
    if (--purges->left == 0) {
        complete_purges(purges);
    }
}

void ps_public_start(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    PS_ASSERT(call->kind == PS_API_PUBLIC || call->kind == PS_API_PURGE);
    if (call->kind == PS_API_PUBLIC && call->method == PS_HTTP_OPTIONS) {
        answer_preflight(exchange, call);
    } else if (call->kind == PS_API_PUBLIC) {
        start_read(exchange, call);
    } else {
        start_purges(exchange, call);
    }
}
