#include "node/http/api.h"
#include "node/io/conn.h"
#include "node/io/s3/s3_internal.h"
#include "node/s3/cors.h"
#include "node/s3/lifecycle.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

static struct ps_s3_request *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_s3_request *)(void *)((char *)alarm - offsetof(struct ps_s3_request, alarm));
}

static void on_alarm(struct ps_alarm *alarm)
{
    struct ps_s3_request *request = of_alarm(alarm);
    request->next(request);
}

void ps_s3_later_in(struct ps_s3_request *request, uint64_t wait_ns,
                    void (*next)(struct ps_s3_request *request))
{
    request->next = next;
    request->alarm.ring = on_alarm;
    ps_node_alarm(request->node, &request->alarm, ps_mono_ns() + wait_ns);
}

void ps_s3_later(struct ps_s3_request *request, void (*next)(struct ps_s3_request *request))
{
    ps_s3_later_in(request, 0, next);
}

static void free_request(void *pointer)
{
    struct ps_s3_request *request = pointer;
    ps_node_alarm_stop(request->node, &request->alarm);
    ps_s3_copying_destroy(request->copying);
    ps_object_exchange_fini(&request->run);
    ps_object_call_fini(&request->object);
    ps_namespace_fini(&request->change);
    ps_bucket_drop_fini(&request->drop);
    ps_s3_body_destroy(request->body);
    ps_buf_fini(&request->document);
    ps_buf_fini(&request->cors);
    ps_buf_fini(&request->lifecycle);
    ps_s3_call_fini(&request->call);
    free(request);
}

/* ---- answers ---- */

static void add_cors(struct ps_s3_request *request)
{
    struct ps_s3_cors cors = {0};
    if (request->cors.size > 0 && ps_s3_cors_read(ps_buf_slice(&request->cors), &cors) == PS_OK) {
        ps_s3_cors_headers(&cors, request->call.head, &request->exchange->response);
    }
    ps_s3_cors_fini(&cors);
}

void ps_s3_complete(struct ps_s3_request *request)
{
    struct ps_exchange *exchange = request->exchange;
    if (request->call.op != PS_S3_PREFLIGHT) {
        add_cors(request);
    }
    if (request->object.store != NULL) {
        ps_api_put_staleness(&request->node->server->api, &request->object.staleness,
                             &exchange->response);
    }
    ps_exchange_complete(exchange);
}

static void fill_failed(struct ps_s3_request *request, enum ps_status status)
{
    struct ps_http_response *response = &request->exchange->response;
    if (status == PS_NOT_FOUND) {
        ps_s3_no_such_bucket(response); /* it was deleted meanwhile */
    } else {
        const struct ps_r2_error error = {.code = ps_r2_code_of(status)};
        ps_s3_answer_error(&request->call, &error, response);
    }
}

void ps_s3_complete_failed(struct ps_s3_request *request, enum ps_status status)
{
    fill_failed(request, status);
    ps_s3_complete(request);
}

/* Is an object what the answer is about? */
static bool shows_object(enum ps_s3_op op)
{
    return op == PS_S3_GET_OBJECT || op == PS_S3_HEAD_OBJECT || op == PS_S3_PUT_OBJECT ||
           op == PS_S3_COPY_OBJECT || op == PS_S3_COMPLETE;
}

static void add_expiration(struct ps_s3_request *request)
{
    const struct ps_object_call *call = &request->run.call;
    bool reads = request->call.op == PS_S3_GET_OBJECT || request->call.op == PS_S3_HEAD_OBJECT;
    const struct ps_r2_object *object = reads ? &call->object : &call->answer.object;
    struct ps_http_response *response = &request->exchange->response;
    struct ps_s3_lifecycle rules = {0};
    struct ps_buf text = {0};
    bool shown = response->status < 300 && shows_object(request->call.op);
    if (shown && request->lifecycle.size > 0 &&
        ps_s3_lifecycle_read(ps_buf_slice(&request->lifecycle), &rules) == PS_OK &&
        ps_s3_lifecycle_expiration(&rules, request->call.request.key, object->uploaded_ms, &text)) {
        ps_http_response_header(response, "x-amz-expiration", ps_buf_slice(&text));
    }
    ps_buf_fini(&text);
    ps_s3_lifecycle_fini(&rules);
}

/* ---- a bucket's request ---- */

static void fill_object(struct ps_s3_request *request)
{
    const struct ps_object_call *call = &request->run.call;
    struct ps_http_response *response = &request->exchange->response;
    struct ps_r2_span span;
    bool hidden = !call->has_object && call->error.code != PS_R2_CODE_NO_SUCH_KEY;
    if (hidden) {
        ps_s3_answer_error(&request->call, &call->error, response);
    } else {
        ps_s3_answer_object(&request->call, call->has_object ? &call->object : NULL, &span,
                            response);
    }
}

static void fill(struct ps_object_exchange *run)
{
    struct ps_s3_request *request = run->context;
    const struct ps_object_call *call = &run->call;
    struct ps_http_response *response = &request->exchange->response;
    enum ps_s3_op op = request->call.op;
    if (call->status != PS_OK) {
        fill_failed(request, call->status);
    } else if (op == PS_S3_GET_OBJECT || op == PS_S3_HEAD_OBJECT) {
        fill_object(request);
    } else if (call->error.code != PS_R2_CODE_NONE) {
        ps_s3_answer_error(&request->call, &call->error, response);
    } else if (op >= PS_S3_LIST_OBJECTS && op <= PS_S3_LIST_PARTS) {
        ps_s3_answer_page(&request->call, &call->page, response);
    } else {
        ps_s3_answer(&request->call, &call->answer, response);
    }
    add_expiration(request);
    add_cors(request);
}

static void prepare(struct ps_s3_request *request, struct ps_r2_request *what)
{
    struct ps_object_exchange *run = &request->run;
    run->exchange = request->exchange;
    run->request = what;
    run->sized = request->call.has_size;
    run->size = request->call.size;
    run->fill = fill;
    run->context = request;
    run->call.store = request->store;
}

void ps_s3_run_as(struct ps_s3_request *request, struct ps_r2_request *what)
{
    prepare(request, what);
    ps_object_exchange_run(&request->run);
}

void ps_s3_run(struct ps_s3_request *request)
{
    ps_s3_run_as(request, &request->call.request);
}

/* ---- an object's bytes ---- */

/* Refuse what has come; nothing of it stays. */
static void refuse_body(struct ps_s3_request *request)
{
    add_cors(request);
    ps_object_exchange_refuse(&request->run);
}

static void end_object(struct ps_s3_request *request)
{
    struct ps_r2_request *what = &request->call.request;
    if (ps_s3_body_finish(request->body, &what->declared, &what->computed,
                          &request->exchange->response)) {
        if (what->op == PS_R2_PUT && what->meta.http.content_type.size == 0) {
            what->meta.http.content_type = ps_r2_sniff(ps_s3_body_head(request->body));
        }
        ps_object_exchange_end(&request->run);
    } else {
        refuse_body(request);
    }
}

static void take_bytes(struct ps_s3_request *request, struct ps_slice bytes)
{
    struct ps_slice data;
    enum ps_s3_body_event event = PS_S3_BODY_DATA;
    while (event == PS_S3_BODY_DATA && !request->exchange->complete) {
        event = ps_s3_body_feed(request->body, &bytes, &data);
        if (event == PS_S3_BODY_DATA) {
            ps_object_exchange_take(&request->run, data);
        }
    }
    if (event == PS_S3_BODY_REFUSED) {
        struct ps_r2_checksums declared = {0};
        struct ps_r2_checksums computed;
        bool good =
            ps_s3_body_finish(request->body, &declared, &computed, &request->exchange->response);
        PS_ASSERT(!good);
        refuse_body(request);
    }
}

/* ---- what is asked for ---- */

static void run(struct ps_s3_request *request)
{
    enum ps_s3_op op = request->call.op;
    if (ps_s3_is_of_buckets(op)) {
        ps_s3_run_bucket(request);
    } else if (op == PS_S3_UPLOAD_PART_COPY || op == PS_S3_COPY_OBJECT) {
        ps_s3_copy(request);
    } else {
        ps_s3_run(request);
    }
}

static void on_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    struct ps_s3_request *request = exchange->calls;
    enum ps_s3_intake intake = request->call.intake;
    request->came += bytes.size;
    if (intake != PS_S3_NO_BODY && request->came > request->call.body_max) {
        const struct ps_r2_error error = {.code = PS_R2_CODE_ENTITY_TOO_LARGE};
        ps_s3_answer_error(&request->call, &error, &exchange->response);
        if (intake == PS_S3_BYTES) {
            refuse_body(request);
        } else {
            ps_s3_complete(request);
        }
    } else if (intake == PS_S3_DOCUMENT) {
        ps_buf_append_slice(&request->document, bytes);
    } else if (intake == PS_S3_BYTES) {
        take_bytes(request, bytes);
    }
}

static void on_end(struct ps_exchange *exchange)
{
    struct ps_s3_request *request = exchange->calls;
    if (request->call.intake == PS_S3_BYTES) {
        end_object(request);
    } else if (request->call.intake == PS_S3_DOCUMENT &&
               !ps_s3_take_document(&request->call, ps_buf_slice(&request->document),
                                    &exchange->response)) {
        ps_s3_complete(request);
    } else {
        run(request);
    }
}

static void on_abort(struct ps_exchange *exchange)
{
    ps_exchange_complete(exchange); /* and so ends the upload */
}

/* The bucket is there, or is not asked for: now the body may come. */
static void take_body(struct ps_s3_request *request)
{
    static const struct ps_body_sink sink = {on_bytes, on_end, on_abort};
    struct ps_exchange *exchange = request->exchange;
    if (request->call.intake == PS_S3_BYTES) {
        request->body = ps_s3_body_create(&request->call);
        prepare(request, &request->call.request);
    }
    exchange->sink = &sink;
    ps_exchange_resume(exchange);
    if (!exchange->receiving) { /* the client is gone */
        ps_exchange_complete(exchange);
    }
}

static void on_found(struct ps_s3_request *request);

static void on_made(struct ps_s3_request *request)
{
    if (request->store == NULL && request->make_status == PS_EXISTS) {
        ps_s3_find(request, request->call.bucket, &request->store, on_found); /* just now */
    } else if (request->store == NULL) {
        ps_s3_not_made(request);
    } else {
        take_body(request);
    }
}

static void preflight(struct ps_s3_request *request)
{
    struct ps_s3_cors cors = {0};
    bool has =
        request->cors.size > 0 && ps_s3_cors_read(ps_buf_slice(&request->cors), &cors) == PS_OK;
    ps_s3_preflight(has ? &cors : NULL, request->call.head, &request->exchange->response);
    ps_s3_cors_fini(&cors);
    ps_s3_complete(request);
}

static void on_found(struct ps_s3_request *request)
{
    if (request->store != NULL && ps_http_header(request->call.head, "origin") != NULL) {
        ps_namespace_setting(request->store, "cors", &request->cors);
    }
    if (request->store != NULL && shows_object(request->call.op)) {
        ps_namespace_setting(request->store, "lifecycle", &request->lifecycle);
    }
    if (request->call.op == PS_S3_PREFLIGHT) {
        preflight(request);
    } else if (request->store != NULL || request->call.op == PS_S3_CREATE_BUCKET) {
        take_body(request);
    } else if (request->call.create_bucket) {
        ps_s3_make(request, (struct ps_slice){"", 0}, on_made);
    } else {
        ps_s3_no_such_bucket(&request->exchange->response);
        ps_s3_complete(request);
    }
}

struct ps_http_intake ps_s3_intake(const struct ps_http_request *head)
{
    (void)head;
    return (struct ps_http_intake){UINT64_MAX, true};
}

static int64_t wall_unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void ps_s3_start(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    struct ps_s3_request *request = PS_NEW(struct ps_s3_request);
    const struct ps_s3_config config = {node->server->keyring, PS_LIT("localhost")};
    request->exchange = exchange;
    request->node = node;
    exchange->calls = request;
    exchange->free_calls = free_request;
    node->server->requests++;
    if (!ps_s3_open(&config, &exchange->request, wall_unix_ms(), &request->call,
                    &exchange->response)) {
        ps_exchange_complete(exchange);
        return;
    }
    ps_exchange_hold(exchange); /* until the bucket is found */
    if (request->call.bucket.size == 0) {
        take_body(request);
    } else {
        ps_s3_find(request, request->call.bucket, &request->store, on_found);
    }
}
