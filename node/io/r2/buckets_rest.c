#include "node/io/r2/buckets_rest.h"

#include "node/http/api_r2.h"
#include "node/http/api_r2_rest.h"
#include "node/io/conn.h"
#include "node/io/r2/bucket_drop.h"
#include "node/io/r2/object_exchange.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum { OPENING_MS = 10000, AGAIN_MS = 10 };

/* Lives as long as the exchange, whose `transfer` it is. */
struct rest {
    struct ps_exchange *exchange;
    struct ps_api_call *call;
    struct ps_object_exchange run; /* of an object */
    /* of buckets */
    struct ps_namespace_call change;
    struct ps_bucket_drop drop;
    struct ps_object_call object;
    struct ps_read_call look; /* at what buckets there are, as of now */
    struct ps_read_key look_key;
    uint64_t look_until_ns;
    struct ps_alarm alarm;
    void (*next)(struct rest *rest); /* behind the alarm */
};

static struct ps_node *node_of(const struct rest *rest)
{
    return rest->exchange->node;
}

static const struct ps_api_config *config_of(const struct rest *rest)
{
    return &rest->exchange->node->server->api;
}

static void free_rest(void *pointer)
{
    struct rest *rest = pointer;
    ps_node_alarm_stop(node_of(rest), &rest->alarm);
    ps_object_exchange_fini(&rest->run);
    ps_object_call_fini(&rest->object);
    ps_namespace_fini(&rest->change);
    ps_bucket_drop_fini(&rest->drop);
    free(rest);
}

static void on_alarm(struct ps_alarm *alarm)
{
    struct rest *rest = (struct rest *)(void *)((char *)alarm - offsetof(struct rest, alarm));
    rest->next(rest);
}

/* In a later turn: outside of a read of the map. */
static void later_in(struct rest *rest, uint64_t wait_ns, void (*next)(struct rest *rest))
{
    rest->next = next;
    rest->alarm.ring = on_alarm;
    ps_node_alarm(node_of(rest), &rest->alarm, ps_mono_ns() + wait_ns);
}

static void complete_failed(struct rest *rest, enum ps_status status)
{
    ps_api_answer_bucket_change(status, &rest->exchange->response);
    ps_exchange_complete(rest->exchange);
}

/* ---- which buckets there are ---- */

static struct ps_node_store *store_of(const struct rest *rest)
{
    PS_ASSERT(rest->call->ns < config_of(rest)->namespace_count);
    return rest->exchange->node->server->stores[rest->call->ns];
}

static void run(struct rest *rest);

/* What the request asks for, with the buckets that are known by now. */
static void parse_again(struct rest *rest)
{
    struct ps_node *node = node_of(rest);
    struct ps_exchange *exchange = rest->exchange;
    ps_api_call_fini(rest->call);
    ps_http_response_fini(&exchange->response);
    *rest->call = (struct ps_api_call){.kind = PS_API_ANSWERED};
    exchange->response = (struct ps_http_response){0};
    ps_api_parse(config_of(rest), &exchange->request,
                 ps_kv_unix_s(&node->state.cluster, ps_node_now(node)), rest->call,
                 &exchange->response);
}

static bool is_any_opening(const struct ps_node *node)
{
    for (const struct ps_node_store *store = node->opening; store != NULL; store = store->next) {
        if (store->config->type == PS_STORE_R2 && store->open_status == PS_OK) {
            return true;
        }
    }
    return false;
}

static void go_on(struct rest *rest)
{
    parse_again(rest);
    if (rest->call->kind == PS_API_BUCKET_UNKNOWN && is_any_opening(node_of(rest)) &&
        ps_mono_ns() < rest->look_until_ns) {
        later_in(rest, AGAIN_MS * PS_MS, go_on);
        return;
    }
    run(rest);
}

/* What the hidden store says as of now is here; when home is away, what it said last. */
static void on_looked(struct ps_read_call *look, enum ps_status status)
{
    struct rest *rest = (struct rest *)(void *)((char *)look - offsetof(struct rest, look));
    (void)status;
    later_in(rest, 0, go_on);
}

static void look(struct rest *rest)
{
    rest->look_until_ns = ps_mono_ns() + OPENING_MS * PS_MS;
    rest->look_key = (struct ps_read_key){.key = PS_LIT("buckets")};
    rest->look = (struct ps_read_call){.store = node_of(rest)->names,
                                       .keys = &rest->look_key,
                                       .key_count = 1,
                                       .fresh = true,
                                       .done = on_looked};
    ps_read_start(&rest->look);
}

/* ---- buckets are made and changed ---- */

static void answer_changed(struct rest *rest)
{
    const struct ps_api_config *config = config_of(rest);
    for (size_t i = 0; i < config->namespace_count; i++) {
        if (strcmp(config->namespaces[i].id, rest->change.id) == 0) {
            rest->call->ns = i;
            ps_api_answer_bucket(config, rest->call, &rest->exchange->response);
            ps_exchange_complete(rest->exchange);
            return;
        }
    }
    complete_failed(rest, PS_NOT_FOUND); /* deleted again meanwhile */
}

static void on_reached(struct ps_object_call *object)
{
    later_in(object->context, 0, answer_changed); /* also when it cannot be reached: it is made */
}

static void reach_home(struct rest *rest, struct ps_node_store *store)
{
    static const struct ps_r2_request any = {.op = PS_R2_LIST, .has_limit = true, .limit = 1};

    ps_object_call_fini(&rest->object);
    rest->object = (struct ps_object_call){
        .store = store, .request = &any, .fresh = true, .context = rest, .done = on_reached};
    ps_object_call_start(&rest->object);
}

/* Its home may be another PoP, which learns of it now: once a read has come from there, all that
 * follows finds it there. */
static void on_made(struct rest *rest)
{
    struct ps_node_store *store = ps_node_store_by_id(node_of(rest), ps_slice_of(rest->change.id));
    if (store == NULL) {
        complete_failed(rest, PS_NOT_FOUND);
    } else {
        reach_home(rest, store);
    }
}

static void on_changed(struct ps_namespace_call *change, enum ps_status status)
{
    struct rest *rest = change->context;
    enum ps_api_kind kind = rest->call->kind;
    if (status != PS_OK) {
        complete_failed(rest, status);
    } else {
        later_in(rest, 0, kind == PS_API_BUCKET_CREATE ? on_made : answer_changed);
    }
}

static void start_change(struct rest *rest)
{
    const struct ps_api_call *call = rest->call;
    struct ps_namespace_call *change = &rest->change;
    *change = (struct ps_namespace_call){
        .node = node_of(rest),
        .op = call->kind == PS_API_BUCKET_CREATE ? PS_NAMESPACE_CREATE : PS_NAMESPACE_CLASS,
        .type = PS_STORE_R2,
        .title = call->title,
        .infrequent = call->bucket.infrequent,
        .done = on_changed,
        .context = rest};
    memcpy(change->region, call->bucket.region, sizeof change->region);
    if (change->op != PS_NAMESPACE_CREATE) {
        memcpy(change->id, store_of(rest)->config->id, sizeof change->id);
    }
    ps_namespace_start(change);
}

/* ---- buckets are dropped ---- */

static void on_dropped(struct ps_bucket_drop *drop, enum ps_status status,
                       const struct ps_r2_error *error)
{
    struct rest *rest = drop->context;
    if (status == PS_OK && error->code != PS_R2_CODE_NONE) {
        ps_api_r2_rest_error(error, &rest->exchange->response);
        ps_exchange_complete(rest->exchange);
    } else {
        complete_failed(rest, status);
    }
}

static void drop_if_empty(struct rest *rest)
{
    rest->drop = (struct ps_bucket_drop){
        .store = store_of(rest), .fresh = true, .done = on_dropped, .context = rest};
    ps_bucket_drop_start(&rest->drop);
}

/* ---- objects ---- */

static void fill(struct ps_object_exchange *done)
{
    const struct ps_object_call *call = &done->call;
    const struct ps_r2_request *request = call->request;
    struct ps_http_response *response = &done->exchange->response;
    if (call->status != PS_OK) {
        ps_api_answer_bucket_change(call->status, response);
        return;
    }
    if (call->has_object &&
        (call->error.code == PS_R2_CODE_NOT_MODIFIED || call->error.code == PS_R2_CODE_NONE)) {
        ps_api_r2_rest_object(&call->object, &call->span, response);
        response->tail_size = request->op == PS_R2_HEAD ? call->span.length : 0;
    }
    if (call->error.code != PS_R2_CODE_NONE) {
        ps_api_r2_rest_error(&call->error, response);
    } else if (request->op == PS_R2_LIST) {
        ps_api_r2_rest_page(request, &call->page, response);
    } else if (!ps_r2_op_reads(request->op)) {
        ps_api_r2_rest_mutation(request, &call->answer, response);
    }
}

static void on_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    ps_object_exchange_take(&((struct rest *)exchange->transfer)->run, bytes);
}

static void on_end(struct ps_exchange *exchange)
{
    ps_object_exchange_end(&((struct rest *)exchange->transfer)->run);
}

static void on_abort(struct ps_exchange *exchange)
{
    ps_exchange_complete(exchange); /* and so ends the upload */
}

static void run_object(struct rest *rest)
{
    static const struct ps_body_sink sink = {on_bytes, on_end, on_abort};
    struct ps_exchange *exchange = rest->exchange;
    struct ps_api_call *call = rest->call;
    struct ps_object_exchange *object = &rest->run;
    *object = (struct ps_object_exchange){.exchange = exchange,
                                          .request = &call->bucket.request,
                                          .hashes = PS_R2_HASH_BIT(PS_R2_MD5),
                                          .sized = exchange->sized,
                                          .size = exchange->body_size,
                                          .fill = fill,
                                          .context = rest,
                                          .call = {.store = store_of(rest),
                                                   .token = call->token,
                                                   .fresh = true,
                                                   .list_size_max = PS_API_R2_LIST_SIZE_MAX}};
    if (call->bucket.request.op != PS_R2_PUT) {
        ps_object_exchange_run(object);
        return;
    }
    exchange->sink = &sink;
    ps_exchange_resume(exchange);
    if (!exchange->receiving) {
        ps_exchange_complete(exchange); /* the client is gone */
    }
}

/* ---- all ---- */

static void run(struct rest *rest)
{
    struct ps_http_response *response = &rest->exchange->response;
    switch ((int)rest->call->kind) {
    case PS_API_BUCKETS:
        ps_api_answer_buckets(config_of(rest), rest->call, response);
        break;
    case PS_API_BUCKET_GET:
        ps_api_answer_bucket(config_of(rest), rest->call, response);
        break;
    case PS_API_BUCKET_CREATE:
    case PS_API_BUCKET_UPDATE:
        start_change(rest);
        return;
    case PS_API_BUCKET_DELETE:
        drop_if_empty(rest);
        return;
    case PS_API_OBJECT:
        run_object(rest);
        return;
    default:
        break; /* it is answered */
    }
    ps_exchange_complete(rest->exchange);
}

void ps_buckets_rest_start(struct ps_exchange *exchange, struct ps_api_call *call)
{
    struct rest *rest = PS_NEW(struct rest);
    rest->exchange = exchange;
    rest->call = call;
    exchange->transfer = rest;
    exchange->free_transfer = free_rest;
    ps_exchange_hold(exchange); /* until the bucket is found */
    if (call->kind == PS_API_BUCKETS || call->kind == PS_API_BUCKET_UNKNOWN) {
        look(rest);
    } else {
        run(rest);
    }
}
