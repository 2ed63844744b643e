#include "node/io/r2/buckets.h"

#include "node/http/api_r2.h"
#include "node/io/conn.h"
#include "node/io/r2/object_exchange.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

/* One call. It is the exchange's transfer: freed before its `calls`, which it borrows from. */
struct bucket_call {
    struct ps_object_exchange run;
    struct ps_api_r2_call api;
    struct ps_buf json; /* of a write, as it comes */
    size_t json_size;
    bool parsed;
};

static void free_call(void *pointer)
{
    struct bucket_call *call = pointer;
    ps_object_exchange_fini(&call->run);
    ps_api_r2_call_fini(&call->api);
    ps_buf_fini(&call->json);
    free(call);
}

/* ---- answers ---- */

static void answer_error(const struct ps_object_call *call, struct ps_http_response *response)
{
    /* A condition that does not hold is told with the object, but only to who reads its body. */
    bool tells = call->request->op == PS_R2_GET && call->has_object &&
                 (call->error.code == PS_R2_CODE_PRECONDITION_FAILED ||
                  call->error.code == PS_R2_CODE_NOT_MODIFIED);
    ps_api_r2_answer_error(&call->error, tells ? &call->object : NULL, response);
}

static void fill(struct ps_object_exchange *run)
{
    const struct ps_object_call *call = &run->call;
    struct ps_http_response *response = &run->exchange->response;
    if (call->status != PS_OK) {
        bool gone = call->status == PS_NOT_FOUND;
        const struct ps_r2_error error = {.code = gone ? PS_R2_CODE_NO_SUCH_BUCKET
                                                       : ps_r2_code_of(call->status)};
        ps_api_r2_answer_error(&error, NULL, response);
    } else if (call->error.code != PS_R2_CODE_NONE) {
        answer_error(call, response);
    } else if (run->request->op == PS_R2_LIST) {
        ps_api_r2_answer_list(run->request, &call->page, response);
    } else if (ps_r2_op_reads(run->request->op)) {
        bool body = run->request->op == PS_R2_GET;
        ps_api_r2_answer_object(&call->object, body ? &call->span : NULL, response);
    } else {
        ps_api_r2_answer_mutation(run->request->op, &call->answer, response);
    }
}

/* ---- calls ---- */

static bool parse(struct bucket_call *call, struct ps_slice json, bool writes)
{
    struct ps_exchange *exchange = call->run.exchange;
    struct ps_r2_error error;
    if (!ps_api_r2_parse(json, writes, &call->api, &error)) {
        ps_api_r2_answer_error(&error, NULL, &exchange->response);
        ps_exchange_complete(exchange);
        return false;
    }
    call->parsed = true;
    call->run.request = &call->api.request;
    call->run.hashes = call->api.hashes;
    if (call->api.request.op == PS_R2_LIST) {
        call->run.call.list_size_max = PS_API_R2_LIST_SIZE_MAX;
    }
    return true;
}

static bool takes_value(const struct bucket_call *call)
{
    return call->api.request.op == PS_R2_PUT || call->api.request.op == PS_R2_UPLOAD_PART;
}

/* Takes the JSON off the front of what comes. */
static void take_json(struct bucket_call *call, struct ps_slice *bytes)
{
    size_t left = call->json_size - call->json.size;
    size_t size = bytes->size < left ? bytes->size : left;
    ps_buf_append(&call->json, bytes->data, size);
    *bytes = (struct ps_slice){bytes->data + size, bytes->size - size};
}

static void on_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    struct bucket_call *call = exchange->transfer;
    if (!call->parsed) {
        take_json(call, &bytes);
        if (call->json.size < call->json_size || !parse(call, ps_buf_slice(&call->json), true)) {
            return;
        }
    }
    if (takes_value(call) && bytes.size > 0) {
        ps_object_exchange_take(&call->run, bytes);
    }
}

static void on_end(struct ps_exchange *exchange)
{
    struct bucket_call *call = exchange->transfer;
    if (!call->parsed) { /* shorter than was said */
        if (parse(call, (struct ps_slice){"", 0}, true)) {
            PS_NOT_REACHED();
        }
        return;
    }
    if (takes_value(call)) {
        ps_object_exchange_end(&call->run);
    } else {
        ps_object_exchange_run(&call->run);
    }
}

static void on_abort(struct ps_exchange *exchange)
{
    ps_exchange_complete(exchange); /* and so ends the upload */
}

void ps_buckets_start(struct ps_exchange *exchange, const struct ps_api_call *api)
{
    static const struct ps_body_sink sink = {on_bytes, on_end, on_abort};
    struct bucket_call *call = PS_NEW(struct bucket_call);
    struct ps_object_exchange *run = &call->run;
    exchange->transfer = call;
    exchange->free_transfer = free_call;
    run->exchange = exchange;
    run->fill = fill;
    run->call.store = exchange->node->server->stores[api->ns];
    run->call.token = api->token;
    call->json_size = api->r2.json_size;
    if (!api->r2.writes) {
        if (parse(call, api->r2.json, false)) {
            ps_object_exchange_run(run);
        }
        return;
    }
    PS_ASSERT(exchange->receiving);
    run->sized = exchange->sized && exchange->body_size >= call->json_size;
    run->size = run->sized ? exchange->body_size - call->json_size : 0;
    exchange->sink = &sink;
}
