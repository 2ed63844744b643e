#include "node/io/r2/object_exchange.h"

#include "node/http/api.h"
#include "node/io/conn.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

static struct ps_object_exchange *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_object_exchange *)(void *)((char *)alarm -
                                                 offsetof(struct ps_object_exchange, again));
}

/* ---- answers ---- */

static void answer(struct ps_object_exchange *run)
{
    struct ps_exchange *exchange = run->exchange;
    if (run->begun) {
        ps_api_put_staleness(&exchange->node->server->api, &run->call.staleness,
                             &exchange->response);
    }
    run->fill(run);
    PS_ASSERT(exchange->response.status != 0);
}

static void complete(struct ps_object_exchange *run)
{
    answer(run);
    ps_exchange_complete(run->exchange);
}

static void complete_failed(struct ps_object_exchange *run, enum ps_status status)
{
    run->call.status = status;
    run->call.request = run->request; /* `fill` may look at it, whether it was begun or not */
    complete(run);
}

/* Do bytes of the object follow the head? */
static bool sends(const struct ps_object_call *call)
{
    return call->request->op == PS_R2_GET && call->status == PS_OK &&
           call->error.code == PS_R2_CODE_NONE && call->has_object && call->span.length > 0;
}

static bool is_good(const struct ps_exchange *exchange)
{
    return exchange->response.status == 200 || exchange->response.status == 206;
}

/* ---- the request ---- */

static void on_done(struct ps_object_call *call);

static void start(struct ps_object_exchange *run)
{
    run->begun = true;
    run->call.request = run->request;
    run->call.context = run;
    run->call.done = on_done;
    ps_object_call_start(&run->call);
}

static void on_again(struct ps_alarm *alarm)
{
    start(of_alarm(alarm));
}

static void start_again(struct ps_object_exchange *run)
{
    uint64_t wait_ns;
    if (!ps_blob_look_again(&run->loss, &run->call.object.version, &wait_ns)) {
        complete_failed(run, PS_CORRUPT);
        return;
    }
    ps_object_call_fini(&run->call);
    run->again.ring = on_again;
    ps_node_alarm(run->exchange->node, &run->again, ps_mono_ns() + wait_ns);
}

static void on_begun(void *context, enum ps_status status, struct ps_tail *tail)
{
    struct ps_object_exchange *run = context;
    struct ps_exchange *exchange = run->exchange;
    run->download = NULL;
    if (status == PS_NOT_FOUND) {
        start_again(run);
        return;
    }
    if (status != PS_OK) {
        complete_failed(run, status == PS_INVALID ? PS_CORRUPT : status);
        return;
    }
    PS_ASSERT(tail->size == run->call.span.length);
    answer(run);
    if (is_good(exchange)) {
        exchange->tail = *tail;
        exchange->response.tail_size = tail->size;
    } else {
        ps_tail_fini(tail);
    }
    ps_exchange_complete(exchange);
}

static void send_blobs(struct ps_object_exchange *run)
{
    size_t count;
    struct ps_download_part *parts = ps_object_call_parts(&run->call, &count);
    struct ps_download *download = ps_download_begin(run->call.store, parts, count, on_begun, run);
    free(parts);
    if (download != NULL) { /* else the run may have ended */
        run->download = download;
    }
}

static void on_done(struct ps_object_call *call)
{
    struct ps_object_exchange *run = call->context;
    struct ps_exchange *exchange = run->exchange;
    bool follows = sends(call);
    if (follows && call->body.blob_count > 0) {
        send_blobs(run);
        return;
    }
    answer(run);
    if (follows && is_good(exchange)) {
        ps_buf_append(&exchange->response.body, call->body.bytes.data + call->span.offset,
                      call->span.length);
        exchange->response.tail_size = 0;
    }
    ps_exchange_complete(exchange);
}

/* Home has the body already: it shall refuse the request, and so throw it away. */
static bool is_for_home(const struct ps_object_exchange *run)
{
    return run->request->body.blob_count > 0 && run->call.error.code == PS_R2_CODE_BAD_DIGEST;
}

void ps_object_exchange_run(struct ps_object_exchange *run)
{
    if (!ps_r2_request_check(run->request, &run->call.error) && !is_for_home(run)) {
        complete_failed(run, PS_OK);
        return;
    }
    run->call.error = (struct ps_r2_error){.code = PS_R2_CODE_NONE};
    start(run);
}

/* ---- bodies ---- */

static void on_drained(void *context)
{
    ps_exchange_resume(((const struct ps_object_exchange *)context)->exchange);
}

static void on_uploaded(void *context, const struct ps_blob_result *result)
{
    struct ps_object_exchange *run = context;
    run->upload = NULL;
    if (result->status != PS_OK) {
        ps_node_log(run->exchange->node, PS_LOG_WARN, "r2", "%s: an upload failed: %s",
                    run->call.store->config->name, result->text);
        complete_failed(run, result->status);
        return;
    }
    PS_ASSERT(result->size == run->blob.size);
    if (run->hashes != 0) {
        run->request->computed = result->checksums;
    }
    ps_object_exchange_run(run);
}

static void begin_upload(struct ps_object_exchange *run)
{
    const struct ps_blob_writer writer = {on_drained, on_uploaded, run};
    struct ps_token id;
    _Static_assert(sizeof id == sizeof run->blob.id, "an id is as large as a token");
    ps_node_unique(run->exchange->node, &id);
    memcpy(&run->blob.id, &id, sizeof run->blob.id);
    run->upload = ps_upload_begin(run->call.store, &run->blob.id, run->hashes, run->sized,
                                  run->size, &writer);
    if (run->bytes.size > 0) {
        (void)ps_upload_append(run->upload, ps_buf_slice(&run->bytes));
    }
    ps_buf_fini(&run->bytes);
    run->bytes = (struct ps_buf){.size = 0};
}

static void abort_upload(struct ps_object_exchange *run)
{
    if (run->upload != NULL) {
        ps_upload_abort(run->upload);
        run->upload = NULL;
    }
}

static void refuse_with(struct ps_object_exchange *run, enum ps_r2_code code)
{
    abort_upload(run);
    (void)ps_r2_fail(&run->call.error, code);
    complete_failed(run, PS_OK);
}

void ps_object_exchange_refuse(struct ps_object_exchange *run)
{
    abort_upload(run);
    ps_exchange_complete(run->exchange);
}

static bool is_small(const struct ps_object_exchange *run, size_t more)
{
    return run->request->op == PS_R2_PUT && run->bytes.size + more <= PS_R2_INLINE_MAX &&
           !(run->sized && run->size > PS_R2_INLINE_MAX);
}

void ps_object_exchange_take(struct ps_object_exchange *run, struct ps_slice bytes)
{
    run->came += bytes.size;
    if (run->came > PS_R2_UPLOAD_SIZE_MAX || (run->sized && run->size > PS_R2_UPLOAD_SIZE_MAX)) {
        refuse_with(run, PS_R2_CODE_ENTITY_TOO_LARGE);
        return;
    }
    if (run->sized && run->came > run->size) {
        refuse_with(run, PS_R2_CODE_INCOMPLETE_BODY);
        return;
    }
    if (run->upload == NULL && is_small(run, bytes.size)) {
        ps_buf_append_slice(&run->bytes, bytes);
        return;
    }
    if (run->upload == NULL) {
        begin_upload(run);
    }
    if (!ps_upload_append(run->upload, bytes)) {
        ps_exchange_hold(run->exchange);
    }
}

static void end_small(struct ps_object_exchange *run)
{
    struct ps_slice bytes = ps_buf_slice(&run->bytes);
    run->request->body = (struct ps_r2_body){.bytes = bytes};
    if (run->hashes != 0) {
        ps_r2_digest_of(run->hashes, bytes, &run->request->computed);
    }
    ps_object_exchange_run(run);
}

void ps_object_exchange_end(struct ps_object_exchange *run)
{
    struct ps_r2_request *request = run->request;
    PS_ASSERT(request->op == PS_R2_PUT || request->op == PS_R2_UPLOAD_PART);
    if (run->sized && run->came != run->size) {
        refuse_with(run, PS_R2_CODE_INCOMPLETE_BODY);
        return;
    }
    if (run->upload == NULL && request->op == PS_R2_PUT) {
        end_small(run);
        return;
    }
    if (run->upload == NULL) {
        begin_upload(run); /* of nothing: a part is always a blob */
    }
    run->blob.size = run->came;
    request->body = (struct ps_r2_body){.blobs = &run->blob, .blob_count = 1};
    if (run->hashes == 0 && !ps_r2_request_check(request, &run->call.error)) {
        abort_upload(run); /* before it is a blob */
        complete_failed(run, PS_OK);
        return;
    }
    ps_upload_finish(run->upload);
}

void ps_object_exchange_fini(struct ps_object_exchange *run)
{
    if (run->exchange == NULL) {
        return;
    }
    ps_node_alarm_stop(run->exchange->node, &run->again);
    if (run->download != NULL) {
        ps_download_cancel(run->download);
        run->download = NULL;
    }
    abort_upload(run);
    if (run->call.store != NULL) {
        ps_object_call_fini(&run->call);
    }
    ps_buf_fini(&run->bytes);
    run->bytes = (struct ps_buf){.size = 0};
}
