/* One request: what it asks for is begun, and its result becomes the answer. */
#include "node/io/exchange.h"

#include "node/d1/pages.h"
#include "node/http/api.h"
#include "node/io/conn.h"
#include "node/io/d1/databases.h"
#include "node/io/d1/queries.h"
#include "node/io/execute.h"
#include "node/io/r2/buckets.h"
#include "node/io/r2/buckets_rest.h"
#include "node/io/r2/public.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* What is kept until a request is answered. */
struct kv_call {
    struct ps_api_call api;
    struct ps_execution *execution;
    struct ps_namespace_call change; /* of the namespaces */
    struct ps_query *query;          /* of a database */
};

void ps_exchange_complete(struct ps_exchange *exchange)
{
    PS_ASSERT(!exchange->complete);
    exchange->complete = true;
    ps_exchange_resume(exchange); /* what still comes is read over */
    if (exchange->conn != NULL) {
        ps_conn_ready(exchange->conn);
    } else {
        ps_exchange_destroy(exchange);
    }
}

void ps_exchange_hold(struct ps_exchange *exchange)
{
    exchange->held = exchange->receiving;
}

void ps_exchange_resume(struct ps_exchange *exchange)
{
    if (exchange->held) {
        exchange->held = false;
        ps_conn_resume(exchange->conn);
    }
}

void ps_exchange_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    PS_ASSERT(exchange->receiving);
    if (!exchange->complete && exchange->sink != NULL) {
        exchange->sink->bytes(exchange, bytes);
    }
}

void ps_exchange_end(struct ps_exchange *exchange)
{
    PS_ASSERT(exchange->receiving);
    exchange->receiving = false;
    exchange->held = false;
    if (!exchange->complete && exchange->sink != NULL) {
        exchange->sink->end(exchange);
    }
}

void ps_exchange_drop(struct ps_exchange *exchange)
{
    bool receiving = exchange->receiving;
    exchange->conn = NULL;
    exchange->receiving = false;
    exchange->held = false;
    if (exchange->complete) {
        ps_exchange_destroy(exchange);
    } else if (receiving && exchange->sink != NULL) {
        exchange->sink->abort(exchange);
    }
}

void ps_exchange_destroy(struct ps_exchange *exchange)
{
    exchange->node->server->under_way--;
    *exchange->all_prev = exchange->all_next;
    if (exchange->all_next != NULL) {
        exchange->all_next->all_prev = exchange->all_prev;
    }
    if (exchange->free_transfer != NULL) {
        exchange->free_transfer(exchange->transfer);
    }
    if (exchange->free_calls != NULL) {
        exchange->free_calls(exchange->calls);
    }
    if (exchange->free_storage != NULL) {
        exchange->free_storage(exchange->storage);
    }
    ps_http_response_fini(&exchange->response);
    ps_tail_fini(&exchange->tail);
    free(exchange);
}

static void free_kv_call(void *pointer)
{
    struct kv_call *call = pointer;
    ps_execution_destroy(call->execution);
    ps_namespace_fini(&call->change);
    ps_query_destroy(call->query);
    ps_api_call_fini(&call->api);
    free(call);
}

static void on_done(struct ps_execution *execution)
{
    struct ps_exchange *exchange = execution->context;
    const struct kv_call *call = exchange->calls;
    ps_api_answer(&exchange->node->server->api, &call->api, &execution->result,
                  &exchange->response);
    if (exchange->response.tail_size > 0) {
        const struct ps_api_item *item = &execution->result.items[0];
        ps_tail_init(&exchange->tail, execution->store, item->key, item->version.lsn,
                     exchange->response.tail_size);
    }
    ps_exchange_complete(exchange);
}

static struct ps_write write_of(const struct ps_kv_request *request)
{
    return (struct ps_write){
        .entry = {.key = request->key,
                  .value = request->value,
                  .metadata = request->metadata,
                  .expires_unix_s = request->has_expiration ? (uint64_t)request->expiration_s : 0,
                  .deleted = request->op == PS_KV_DELETE}};
}

static void add_writes(struct ps_execution *execution, const struct ps_api_call *api)
{
    bool bulk = api->kind == PS_API_KV_BULK;
    if (!bulk && api->kv.op != PS_KV_PUT && api->kv.op != PS_KV_DELETE) {
        return;
    }
    execution->write_count = bulk ? api->write_count : 1;
    execution->writes = PS_NEW_ARRAY(struct ps_write, execution->write_count);
    for (size_t i = 0; i < execution->write_count; i++) {
        execution->writes[i] = write_of(bulk ? &api->writes[i] : &api->kv);
    }
    if (!bulk) {
        execution->writes[0].token = api->token;
    }
}

static void start_kv(struct ps_exchange *exchange, struct kv_call *call)
{
    struct ps_node *node = exchange->node;
    struct ps_api_call *api = &call->api;
    PS_ASSERT(api->ns < node->server->api.namespace_count);
    if (api->kind == PS_API_KV_BULK && api->write_count == 0) {
        struct ps_api_result nothing = {.staleness = {.boot = node->boot}};
        ps_api_answer(&node->server->api, api, &nothing, &exchange->response);
        ps_exchange_complete(exchange);
        return;
    }
    struct ps_execution *execution = ps_execution_create(node->server->stores[api->ns]);
    call->execution = execution;
    execution->request = api->kv;
    execution->fresh = api->kv.fresh;
    execution->context = exchange;
    execution->done = on_done;
    add_writes(execution, api);
    ps_execution_start(execution);
}

static void answer_database(struct ps_exchange *exchange, const struct kv_call *call);

/* A database is shown as it is now. */
static void answer_changed_database(struct ps_exchange *exchange, struct kv_call *call,
                                    enum ps_status status)
{
    const struct ps_api_config *config = &exchange->node->server->api;
    bool found = false;
    for (size_t i = 0; i < config->namespace_count && !found; i++) {
        found = strcmp(config->namespaces[i].id, call->change.id) == 0;
        call->api.ns = found ? i : call->api.ns;
    }
    if (status == PS_OK && call->api.kind != PS_API_D1_DELETE && found) {
        answer_database(exchange, call);
        return;
    }
    bool gone = status == PS_OK && call->api.kind != PS_API_D1_DELETE;
    ps_api_answer_d1_change(&call->api, gone ? PS_NOT_FOUND : status, &exchange->response);
    ps_exchange_complete(exchange);
}

static void on_changed(struct ps_namespace_call *change, enum ps_status status)
{
    struct ps_exchange *exchange = change->context;
    struct kv_call *call = exchange->calls;
    if (call->api.kind >= PS_API_D1_CREATE && call->api.kind <= PS_API_D1_DELETE) {
        answer_changed_database(exchange, call, status);
        return;
    }
    ps_api_answer_change(&call->api, status, change->id, &exchange->response);
    ps_exchange_complete(exchange);
}

static enum ps_namespace_op op_of(enum ps_api_kind kind)
{
    switch ((int)kind) {
    case PS_API_NS_CREATE:
    case PS_API_D1_CREATE:
        return PS_NAMESPACE_CREATE;
    case PS_API_NS_RENAME:
        return PS_NAMESPACE_RENAME;
    case PS_API_D1_UPDATE:
        return PS_NAMESPACE_REPLICATION;
    default:
        return PS_NAMESPACE_DELETE;
    }
}

static void start_change(struct ps_exchange *exchange, struct kv_call *call)
{
    struct ps_namespace_call *change = &call->change;
    const struct ps_api_config *config = &exchange->node->server->api;
    change->node = exchange->node;
    change->context = exchange;
    change->done = on_changed;
    change->title = call->api.title;
    change->op = op_of(call->api.kind);
    change->type = call->api.kind == PS_API_D1_CREATE ? PS_STORE_D1 : PS_STORE_KV;
    change->unreplicated = call->api.d1.unreplicated;
    memcpy(change->region, call->api.d1.region, sizeof change->region);
    if (change->op != PS_NAMESPACE_CREATE) {
        memcpy(change->id, config->namespaces[call->api.ns].id, sizeof change->id);
    }
    ps_namespace_start(change);
}

static void on_query(struct ps_query *query)
{
    struct ps_exchange *exchange = query->context;
    const struct kv_call *call = exchange->calls;
    const struct ps_api_d1_result result = {.status = query->status,
                                            .failed = query->failed,
                                            .text = ps_buf_slice(&query->job.text),
                                            .staleness = query->staleness,
                                            .bookmark = query->bookmark};
    ps_api_answer_d1(&exchange->node->server->api, &call->api, &result, &exchange->response);
    ps_exchange_complete(exchange);
}

static void start_query(struct ps_exchange *exchange, struct kv_call *call)
{
    const struct ps_api_call *api = &call->api;
    struct ps_query *query = ps_query_create(exchange->node->server->stores[api->ns]);
    call->query = query;
    query->body = api->body;
    query->flags = api->d1_flags;
    query->session = api->session;
    query->job.token = api->token;
    query->fresh = api->dialect == PS_API_REST;
    query->context = exchange;
    query->done = on_query;
    ps_query_start(query);
}

static void answer_database(struct ps_exchange *exchange, const struct kv_call *call)
{
    struct ps_node *node = exchange->node;
    const struct ps_node_store *store = node->server->stores[call->api.ns];
    char region[8] = "";
    const char *from = node->state.cluster.pops[store->config->home]->region;
    for (size_t i = 0; i < sizeof region - 1 && from[i] != '\0'; i++) {
        region[i] = (char)(from[i] - 'a' + 'A');
    }
    struct ps_page_head head = {0};
    struct ps_slice bytes;
    if (ps_map_read_begin(node->map) == PS_OK) {
        if (ps_pages_read(node->map, store->map_store, 0, UINT64_MAX, &bytes) != PS_OK ||
            ps_page_head_read(bytes, &head) != PS_OK) {
            head.page_count = 0;
        }
        ps_map_read_end(node->map);
    }
    ps_api_answer_database(&node->server->api, &call->api, region,
                           (uint64_t)head.page_count * PS_PAGE_SIZE, &exchange->response);
    ps_exchange_complete(exchange);
}

void ps_exchange_start(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    struct ps_server *server = node->server;
    struct kv_call *call = PS_NEW(struct kv_call);
    exchange->calls = call;
    exchange->free_calls = free_kv_call;
    server->requests++;
    ps_api_parse(&server->api, &exchange->request,
                 ps_kv_unix_s(&node->state.cluster, ps_node_now(node)), &call->api,
                 &exchange->response);
    switch (call->api.kind) {
    case PS_API_ANSWERED:
        ps_exchange_complete(exchange);
        return;
    case PS_API_KV:
    case PS_API_KV_METADATA:
    case PS_API_KV_BULK:
        start_kv(exchange, call);
        return;
    case PS_API_NS_LIST:
        ps_api_answer_namespaces(&server->api, &call->api, &exchange->response);
        ps_exchange_complete(exchange);
        return;
    case PS_API_NS_GET:
        ps_api_answer_namespace(&server->api.namespaces[call->api.ns], &exchange->response);
        ps_exchange_complete(exchange);
        return;
    case PS_API_NS_CREATE:
    case PS_API_NS_RENAME:
    case PS_API_NS_DELETE:
    case PS_API_D1_CREATE:
    case PS_API_D1_UPDATE:
    case PS_API_D1_DELETE:
        start_change(exchange, call);
        return;
    case PS_API_D1:
        start_query(exchange, call);
        return;
    case PS_API_D1_LIST:
        ps_api_answer_databases(&server->api, &call->api, &exchange->response);
        ps_exchange_complete(exchange);
        return;
    case PS_API_D1_GET:
        answer_database(exchange, call);
        return;
    case PS_API_R2:
        ps_buckets_start(exchange, &call->api);
        return;
    case PS_API_D1_EXPORT:
    case PS_API_D1_IMPORT:
    case PS_API_FILE:
        ps_databases_start(exchange, &call->api);
        return;
    case PS_API_PUBLIC:
    case PS_API_PURGE:
        ps_public_start(exchange, &call->api);
        return;
    case PS_API_BUCKETS:
    case PS_API_BUCKET_GET:
    case PS_API_BUCKET_CREATE:
    case PS_API_BUCKET_UPDATE:
    case PS_API_BUCKET_DELETE:
    case PS_API_BUCKET_UNKNOWN:
    case PS_API_OBJECT:
        ps_buckets_rest_start(exchange, &call->api);
        return;
    case PS_API_CONTROL:
    case PS_API_HEALTHZ:
    case PS_API_METRICS:
        ps_control_start(exchange);
        return;
    }
    PS_NOT_REACHED();
}
