/* Requests to buckets at the PoP they came to. */
#include "node/io/r2/objects.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum {
    RETRY_MS_MAX = 2000, /* a mutation without an answer is sent again after this, at last */
    NS_PER_BYTE = 40     /* a large message takes its time on a busy machine */
};

static struct ps_object_call *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_object_call *)(void *)((char *)alarm -
                                             offsetof(struct ps_object_call, alarm));
}

static struct ps_object_call *of_read(struct ps_read_call *read)
{
    return (struct ps_object_call *)(void *)((char *)read - offsetof(struct ps_object_call, read));
}

static void finish(struct ps_object_call *call, enum ps_status status)
{
    call->status = status;
    if (!ps_r2_op_reads(call->request->op)) {
        call->store->metrics.writes++;
        call->store->metrics.writes_failed += status != PS_OK ? 1 : 0;
    }
    call->staleness.boot = call->store->node->boot;
    call->done(call);
}

/* ---- reads ---- */

static struct ps_slice keep(struct ps_buf *bytes, struct ps_slice slice)
{
    struct ps_slice kept = {bytes->data + bytes->size, slice.size};
    ps_buf_append_slice(bytes, slice); /* room was reserved: it does not move */
    return kept;
}

/* The map's bytes go with its read. */
static enum ps_status copy_object(struct ps_object_call *call, const struct ps_version *version)
{
    struct ps_version copied = *version;
    ps_buf_reserve(&call->bytes,
                   call->request->key.size + version->metadata.size + version->value.size + 1);
    struct ps_slice key = keep(&call->bytes, call->request->key);
    copied.metadata = keep(&call->bytes, version->metadata);
    copied.value = keep(&call->bytes, version->value);
    return ps_r2_object_of(&call->store->node->state.cluster, key, &copied, &call->object);
}

/* Bytes of one part of a multipart object (S3's partNumber). */
static bool span_of_part(struct ps_object_call *call, const struct ps_r2_body *body)
{
    uint32_t number = call->request->part_number;
    if (call->object.part_count == 0 && number == 1) {
        call->span = (struct ps_r2_span){.length = call->object.size, .partial = true};
        return true;
    }
    if (number > body->blob_count) {
        return ps_r2_fail_with(&call->error, PS_R2_CODE_INVALID_RANGE,
                               "The requested partnumber is not satisfiable");
    }
    call->span = (struct ps_r2_span){.length = body->blobs[number - 1].size, .partial = true};
    for (uint32_t i = 0; i + 1 < number; i++) {
        call->span.offset += body->blobs[i].size;
    }
    return true;
}

static bool resolve_span(struct ps_object_call *call)
{
    const struct ps_r2_request *request = call->request;
    if (request->part_number > 0) {
        return span_of_part(call, &call->body);
    }
    return ps_r2_range_resolve(&request->range, call->object.size, &call->span, &call->error);
}

static bool condition_holds(struct ps_object_call *call)
{
    switch (ps_r2_condition_test(&call->request->condition, &call->object)) {
    case PS_R2_HOLDS:
        return true;
    case PS_R2_FAILS:
        return ps_r2_fail(&call->error, PS_R2_CODE_PRECONDITION_FAILED);
    case PS_R2_UNMODIFIED:
        return ps_r2_fail(&call->error, PS_R2_CODE_NOT_MODIFIED);
    }
    PS_NOT_REACHED();
}

static enum ps_status take_object(struct ps_object_call *call, const struct ps_version *version)
{
    enum ps_status status = copy_object(call, version);
    if (status != PS_OK) {
        return status;
    }
    status = ps_r2_object_body(&call->object, &call->body);
    if (status != PS_OK) {
        return status;
    }
    call->has_object = ps_r2_ssec_check(&call->object, &call->request->meta.ssec, &call->error);
    (void)(call->has_object && condition_holds(call) && resolve_span(call));
    return PS_OK;
}

static void on_deferred(struct ps_alarm *alarm)
{
    finish(of_alarm(alarm), PS_OK);
}

static void on_object(struct ps_read_call *read, enum ps_status status)
{
    struct ps_object_call *call = of_read(read);
    struct ps_version version;
    bool found = false;
    ps_read_staleness(read, &call->staleness);
    if (status == PS_OK) {
        status = ps_read_get(read, 0, &version, &found, &call->staleness);
    }
    if (status == PS_OK && found) {
        status = take_object(call, &version);
    } else if (status == PS_OK) {
        (void)ps_r2_fail(&call->error, PS_R2_CODE_NO_SUCH_KEY);
    }
    if (status == PS_OK && call->request->op == PS_R2_GET && call->body.blob_count > 0) {
        call->alarm.ring = on_deferred; /* behind the map's read: it may be started anew */
        ps_node_alarm(call->store->node, &call->alarm, ps_mono_ns());
        return;
    }
    finish(call, status);
}

static void on_list(struct ps_read_call *read, enum ps_status status)
{
    struct ps_object_call *call = of_read(read);
    struct ps_node_store *store = call->store;
    const struct ps_cluster *cluster = &store->node->state.cluster;
    ps_read_staleness(read, &call->staleness);
    if (status == PS_OK) {
        struct ps_bound bound = ps_read_bound(read, 0);
        ps_read_list_staleness(read, &call->staleness);
        status = ps_r2_list(store->node->map, store->map_store, cluster, &bound, call->request,
                            ps_r2_unix_ms(cluster, read->eval_ns), call->list_size_max, &call->page,
                            &call->error);
        store->metrics.lists++;
    }
    finish(call, status);
}

static void start_read(struct ps_object_call *call)
{
    enum ps_r2_op op = call->request->op;
    bool object = op == PS_R2_HEAD || op == PS_R2_GET;
    call->read_key =
        (struct ps_read_key){.key = object ? call->request->key : call->request->prefix};
    call->read = (struct ps_read_call){.store = call->store,
                                       .keys = &call->read_key,
                                       .key_count = 1,
                                       .fresh = call->fresh,
                                       .done = object ? on_object : on_list};
    ps_read_start(&call->read);
}

/* ---- mutations ---- */

static void conclude(struct ps_object_call *call)
{
    if (call->status != PS_OK) {
        finish(call, call->status);
        return;
    }
    enum ps_status status = ps_r2_answer_decode(ps_buf_slice(&call->bytes), &call->answer);
    if (status == PS_OK) {
        call->error = call->answer.error;
        call->staleness = (struct ps_kv_staleness){.lsn = call->answer.lsn,
                                                   .latest_lsn = call->answer.lsn,
                                                   .eval_ns = call->answer.commit_ns};
    }
    finish(call, status);
}

/* Home's answer is here, or will not come; the client has it when the emulated round trip is over,
 * if the link held for all of it. */
static void on_time(struct ps_alarm *alarm)
{
    struct ps_object_call *call = of_alarm(alarm);
    struct ps_node *node = call->store->node;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (!call->fresh && call->store->primary == NULL) {
        enum ps_status way = ps_round_trip(&call->store->view, call->invoke_ns, &home_ns, &end_ns);
        if (way == PS_OK) {
            end_ns = ps_node_answer_at(node, call->invoke_ns, end_ns);
        }
        if (ps_node_now(node) < end_ns) {
            call->alarm.ring = on_time;
            ps_node_alarm(node, &call->alarm, ps_node_when(node, end_ns));
            return;
        }
        call->status = way != PS_OK ? way : call->status;
    }
    conclude(call);
}

void ps_object_call_answered(struct ps_object_call *call, enum ps_status status,
                             struct ps_slice bytes)
{
    call->waiter = NULL;
    call->status = status;
    ps_buf_append_slice(&call->bytes, bytes);
    on_time(&call->alarm);
}

static void send_again_in(struct ps_object_call *call, uint64_t wait_ns)
{
    ps_node_alarm(call->store->node, &call->alarm, ps_mono_ns() + wait_ns);
}

static void send(struct ps_object_call *call)
{
    struct ps_node *node = call->store->node;
    if (ps_transport_request(node->transport, call->store->peer, call->id,
                             ps_buf_slice(&call->message)) != PS_OK) {
        send_again_in(call, PS_WRITE_BUSY_MS * PS_MS);
        return;
    }
    send_again_in(call, call->retry_ns + call->message.size * NS_PER_BYTE);
    if (call->retry_ns < RETRY_MS_MAX * PS_MS) {
        call->retry_ns *= 2;
    }
}

static void forget_request(struct ps_object_call *call)
{
    if (call->sent) {
        struct ps_node *node = call->store->node;
        HASH_DEL(node->object_calls, call);
        call->sent = false;
        ps_node_alarm_stop(node, &call->alarm);
    }
}

/* While home is heard it is only slow. */
static void on_retry(struct ps_alarm *alarm)
{
    struct ps_object_call *call = of_alarm(alarm);
    uint64_t mono_ns = ps_mono_ns();
    if (mono_ns < call->deadline_mono_ns) {
        call->store->metrics.forward_retries++;
        send(call);
        return;
    }
    forget_request(call);
    finish(call, PS_TIMEOUT);
}

static uint64_t deadline_of(const struct ps_object_call *call)
{
    const struct ps_node_store *store = call->store;
    uint64_t cluster_ns = ps_node_when(
        store->node, ps_time_add(ps_node_now(store->node), store->config->policy.timeout_ns));
    uint64_t wall_ns = ps_mono_ns() + PS_WRITE_WALL_MS * PS_MS;
    return cluster_ns > wall_ns ? cluster_ns : wall_ns;
}

static void forward(struct ps_object_call *call, struct ps_slice bytes)
{
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (!call->fresh && ps_round_trip(&store->view, call->invoke_ns, &home_ns, &end_ns) != PS_OK) {
        call->status = PS_UNREACHABLE;
        on_time(&call->alarm);
        return;
    }
    struct ps_message message = {.kind = PS_MESSAGE_QUERY,
                                 .store = ps_slice_of(store->config->name),
                                 .query = {.token = call->token, .body = bytes}};
    call->message.size = 0;
    ps_message_encode(&call->message, &message);
    call->id = node->next_request_id++;
    call->sent = true;
    HASH_ADD(hh, node->object_calls, id, sizeof call->id, call);
    call->alarm.ring = on_retry;
    call->retry_ns = PS_WRITE_RETRY_MS * PS_MS;
    call->deadline_mono_ns = deadline_of(call);
    store->metrics.forwards++;
    send(call);
}

/* With the bucket's storage class where none is given. */
static void encode(const struct ps_object_call *call, struct ps_buf *ret)
{
    struct ps_r2_request request = *call->request;
    bool plain = !request.has_storage_class && call->store->infrequent &&
                 (request.op == PS_R2_PUT || request.op == PS_R2_CREATE_UPLOAD);
    if (plain) {
        request.meta.storage_class = PS_R2_INFREQUENT;
    }
    ps_r2_request_encode(ret, &request);
}

static void start_mutation(struct ps_object_call *call)
{
    static const struct ps_token none;
    struct ps_node_store *store = call->store;
    struct ps_buf bytes = {0};
    if (memcmp(&call->token, &none, sizeof none) == 0) {
        ps_node_unique(store->node, &call->token);
    }
    call->invoke_ns = ps_node_now(store->node);
    encode(call, &bytes);
    if (store->objects != NULL) {
        call->waiter = ps_objects_submit(store->objects, &call->token, ps_buf_slice(&bytes), call);
    } else {
        forward(call, ps_buf_slice(&bytes));
    }
    ps_buf_fini(&bytes);
}

static struct ps_object_call *find(struct ps_node *node, uint32_t request_id)
{
    struct ps_object_call *call = NULL;
    HASH_FIND(hh, node->object_calls, &request_id, sizeof request_id, call);
    return call; /* NULL: an answer to an earlier try, or one that came too late */
}

bool ps_objects_answered(struct ps_node *node, uint32_t request_id,
                         const struct ps_message *message)
{
    struct ps_object_call *call = find(node, request_id);
    if (call == NULL) {
        return false;
    }
    forget_request(call);
    ps_object_call_answered(call, message->answered.status, message->answered.body);
    return true;
}

bool ps_objects_answered_error(struct ps_node *node, uint32_t request_id,
                               const struct ps_message *message)
{
    struct ps_object_call *call = find(node, request_id);
    if (call == NULL) {
        return false;
    }
    /* The bucket is being opened there, or one that was made just now is not known there yet. */
    bool soon = message->error.status == PS_BUSY ||
                (message->error.status == PS_NOT_FOUND && call->store->own != NULL);
    if (soon) {
        send_again_in(call, PS_WRITE_BUSY_MS * PS_MS);
        return true;
    }
    forget_request(call);
    finish(call, message->error.status);
    return true;
}

void ps_objects_end(struct ps_node_store *store)
{
    struct ps_object_call *call;
    struct ps_object_call *next;
    HASH_ITER(hh, store->node->object_calls, call, next)
    {
        if (call->store == store) {
            forget_request(call);
            finish(call, PS_NOT_FOUND);
        }
    }
    if (store->objects != NULL) {
        ps_objects_end_calls(store->objects);
    }
}

/* ---- start and end ---- */

void ps_object_call_start(struct ps_object_call *call)
{
    if (call->store->dropped) {
        finish(call, PS_NOT_FOUND);
    } else if (ps_r2_op_reads(call->request->op)) {
        start_read(call);
    } else {
        start_mutation(call);
    }
}

void ps_object_call_fini(struct ps_object_call *call)
{
    forget_request(call);
    if (call->waiter != NULL) {
        ps_object_waiter_let_go(call->waiter);
        call->waiter = NULL;
    }
    ps_r2_body_fini(&call->body);
    ps_r2_object_fini(&call->object);
    ps_r2_page_fini(&call->page);
    ps_r2_answer_fini(&call->answer);
    ps_buf_fini(&call->bytes);
    ps_buf_fini(&call->message);
    call->body = (struct ps_r2_body){0};
    call->object = (struct ps_r2_object){0};
    call->page = (struct ps_r2_page){0};
    call->answer = (struct ps_r2_answer){.lsn = 0};
    call->error = (struct ps_r2_error){.code = PS_R2_CODE_NONE};
    call->has_object = false;
}

bool ps_blob_look_again(struct ps_blob_loss *loss, const struct ps_r2_id *version,
                        uint64_t *ret_wait_ns)
{
    bool same = loss->times > 0 && ps_r2_id_eq(&loss->version, version);
    loss->version = *version;
    loss->times = same ? loss->times + 1 : 1;
    *ret_wait_ns = same ? PS_BLOB_LOST_MS * PS_MS : 0;
    return loss->times < PS_BLOB_LOST_MAX;
}

struct ps_download_part *ps_object_call_parts(const struct ps_object_call *call, size_t *ret_count)
{
    const struct ps_r2_body *body = &call->body;
    struct ps_download_part *parts = PS_NEW_ARRAY(struct ps_download_part, body->blob_count + 1);
    uint64_t skip = call->span.offset;
    uint64_t left = call->span.length;
    size_t count = 0;
    for (size_t i = 0; i < body->blob_count && left > 0; i++) {
        const struct ps_r2_blob *blob = &body->blobs[i];
        if (skip >= blob->size) {
            skip -= blob->size;
            continue;
        }
        uint64_t size = blob->size - skip < left ? blob->size - skip : left;
        parts[count++] = (struct ps_download_part){blob->id, skip, size};
        left -= size;
        skip = 0;
    }
    *ret_count = count;
    return parts;
}
