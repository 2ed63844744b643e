/* Writes made at this PoP: into the primary when it is here, else to home's node, with the same
 * token at each try; and when their clients learn of it. */
#include "node/io/node_internal.h"
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

/* A large message takes its time on a busy machine: per byte, before it is sent again (25 MB/s) and
 * before it is given up (5 MB/s). */
enum { RETRY_NS_PER_BYTE = 40, GIVE_UP_NS_PER_BYTE = 200 };

/* One WRITE message on its way. */
struct ps_forward {
    UT_hash_handle hh; /* by id */
    uint32_t id;
    struct ps_alarm alarm; /* to send again, or to give up */
    struct ps_node_store *store;
    struct ps_buf bytes;
    struct ps_write_call **calls;
    size_t call_count;
    uint64_t deadline_mono_ns;
};

static struct ps_write_call *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_write_call *)(void *)((char *)alarm - offsetof(struct ps_write_call, alarm));
}

static struct ps_write_call *of_writer(struct ps_writer *writer)
{
    return (struct ps_write_call *)(void *)writer;
}

static struct ps_forward *forward_of(struct ps_alarm *alarm)
{
    return (struct ps_forward *)(void *)((char *)alarm - offsetof(struct ps_forward, alarm));
}

static void finish(struct ps_write_call *call, enum ps_status status)
{
    struct ps_node_store *store = call->store;
    store->metrics.writes++;
    if (status != PS_OK) {
        store->metrics.writes_failed++;
    }
    call->done(call, status);
}

/* Home is done with the write. The client learns of it when the emulated round trip is over, if the
 * link held for all of it. */
static void on_time(struct ps_alarm *alarm)
{
    struct ps_write_call *call = of_alarm(alarm);
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    if (call->fresh) {
        finish(call, call->writer.result.status);
        return;
    }
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    enum ps_status way = ps_round_trip(&store->view, call->invoke_ns, &home_ns, &end_ns);
    ps_time_ns now_ns = ps_node_now(node);
    if (way == PS_OK) {
        end_ns = ps_node_answer_at(node, call->invoke_ns, end_ns);
    }
    if (now_ns < end_ns) {
        ps_node_alarm(node, alarm, ps_node_when(node, end_ns));
        return;
    }
    if (way != PS_OK) {
        finish(call, way);
        return;
    }
    enum ps_status status = call->writer.result.status;
    if (status == PS_OK) {
        ps_time_ns refresh_ns = ps_eval_clock_next(&node->eval, now_ns);
        if (ps_store_replica_acknowledge(store->replica, call->write.entry.key,
                                         call->writer.result.commit_ns, refresh_ns)) {
            call->refresh_ns = refresh_ns;
        }
    }
    finish(call, status);
}

static void on_result(struct ps_writer *writer)
{
    on_time(&of_writer(writer)->alarm);
}

void ps_node_unique(struct ps_node *node, struct ps_token *ret)
{
    uint64_t words[2];
    ps_random_u64x2(node->token_seed, ps_stream_of("token", node->code, NULL), node->token_count++,
                    words);
    memcpy(ret->bytes, words, sizeof words);
}

static void make_token(struct ps_node *node, struct ps_token *token)
{
    static const struct ps_token none;
    if (memcmp(token, &none, sizeof none) == 0) {
        ps_node_unique(node, token);
    }
}

void ps_write_start(struct ps_write_call *call)
{
    struct ps_node_store *store = call->store;
    struct ps_node *node = store->node;
    call->next = NULL;
    call->refresh_ns = 0;
    call->alarm.ring = on_time;
    call->writer.done = on_result;
    call->writer.result = (struct ps_written){.status = PS_UNREACHABLE};
    call->invoke_ns = ps_node_now(node);
    call->invoke_mono_ns = ps_mono_ns();
    make_token(node, &call->write.token);
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (!call->fresh && ps_round_trip(&store->view, call->invoke_ns, &home_ns, &end_ns) != PS_OK) {
        on_time(&call->alarm);
        return;
    }
    if (store->primary != NULL) {
        if ((store->hidden && ps_namespaces_refuse(node, &call->write, &call->writer.result)) ||
            ps_primary_write(store->primary, &call->write, &call->writer, &call->writer.result)) {
            on_time(&call->alarm);
        }
        return;
    }
    *store->unsent_tail = call;
    store->unsent_tail = &call->next;
}

static void forward_destroy(struct ps_node *node, struct ps_forward *forward)
{
    ps_node_alarm_stop(node, &forward->alarm);
    HASH_DEL(node->forwards, forward);
    ps_buf_fini(&forward->bytes);
    free(forward->calls);
    free(forward);
}

/* All of a forward's writes have their result: let each go its way. */
static void forward_end(struct ps_node *node, struct ps_forward *forward)
{
    struct ps_write_call **calls = forward->calls;
    size_t count = forward->call_count;
    forward->calls = NULL;
    forward_destroy(node, forward);
    for (size_t i = 0; i < count; i++) {
        on_time(&calls[i]->alarm);
    }
    free(calls);
}

static void forward_fail(struct ps_forward *forward, enum ps_status status)
{
    for (size_t i = 0; i < forward->call_count; i++) {
        forward->calls[i]->writer.result = (struct ps_written){.status = status};
    }
    forward_end(forward->store->node, forward);
}

static void send_again_in(struct ps_forward *forward, uint64_t wait_ns)
{
    uint64_t again_ns = ps_mono_ns() + wait_ns;
    ps_node_alarm(forward->store->node, &forward->alarm,
                  again_ns < forward->deadline_mono_ns ? again_ns : forward->deadline_mono_ns);
}

static void send_soon(struct ps_forward *forward)
{
    send_again_in(forward, PS_WRITE_BUSY_MS * PS_MS);
}

static void forward_send(struct ps_forward *forward)
{
    struct ps_node *node = forward->store->node;
    if (ps_transport_request(node->transport, forward->store->peer, forward->id,
                             ps_buf_slice(&forward->bytes)) == PS_OK) {
        send_again_in(forward, PS_WRITE_RETRY_MS * PS_MS + forward->bytes.size * RETRY_NS_PER_BYTE);
    } else {
        send_soon(forward);
    }
}

static void on_retry(struct ps_alarm *alarm)
{
    struct ps_forward *forward = forward_of(alarm);
    if (ps_mono_ns() < forward->deadline_mono_ns) {
        forward->store->metrics.forward_retries++;
        forward_send(forward);
        return;
    }
    forward_fail(forward, PS_TIMEOUT);
}

static uint64_t deadline_of(const struct ps_write_call *call)
{
    const struct ps_node_store *store = call->store;
    ps_time_ns end_ns = ps_time_add(call->invoke_ns, store->config->policy.timeout_ns);
    uint64_t wall_ns = call->invoke_mono_ns + PS_WRITE_WALL_MS * PS_MS;
    uint64_t cluster_ns = ps_node_when(store->node, end_ns);
    return cluster_ns > wall_ns ? cluster_ns : wall_ns;
}

static size_t size_of(const struct ps_write *write)
{
    return write->entry.key.size + write->entry.value.size + write->entry.metadata.size + 64;
}

/* Put `count` calls from `call` on into one message. */
static void forward_create(struct ps_node_store *store, struct ps_write_call *call, size_t count)
{
    struct ps_node *node = store->node;
    struct ps_forward *forward = PS_NEW(struct ps_forward);
    struct ps_write *writes = PS_NEW_ARRAY(struct ps_write, count);
    forward->store = store;
    forward->id = node->next_request_id++;
    forward->alarm.ring = on_retry;
    forward->calls = PS_NEW_ARRAY(struct ps_write_call *, count);
    forward->call_count = count;
    forward->deadline_mono_ns = deadline_of(call);
    for (size_t i = 0; i < count; i++, call = call->next) {
        forward->calls[i] = call;
        writes[i] = call->write;
    }
    struct ps_message message = {.kind = PS_MESSAGE_WRITE,
                                 .store = ps_slice_of(store->config->name),
                                 .write = {.writes = writes, .write_count = count}};
    ps_message_encode(&forward->bytes, &message);
    forward->deadline_mono_ns =
        ps_time_add(forward->deadline_mono_ns, forward->bytes.size * GIVE_UP_NS_PER_BYTE);
    free(writes);
    HASH_ADD(hh, node->forwards, id, sizeof forward->id, forward);
    store->metrics.forwards++;
    forward_send(forward);
}

void ps_writes_forward(struct ps_node_store *store)
{
    while (store->unsent != NULL) {
        struct ps_write_call *first = store->unsent;
        struct ps_write_call *call = first;
        size_t count = 0;
        size_t size = 0;
        do {
            size += size_of(&call->write);
            count++;
            call = call->next;
        } while (call != NULL && count < PS_ENTRIES_MAX / 2 &&
                 size + size_of(&call->write) <= PS_BATCH_SIZE);
        store->unsent = call;
        forward_create(store, first, count);
    }
    store->unsent_tail = &store->unsent;
}

static struct ps_forward *forward_find(struct ps_node *node, uint32_t request_id)
{
    struct ps_forward *forward = NULL;
    HASH_FIND(hh, node->forwards, &request_id, sizeof request_id, forward);
    return forward; /* NULL: an answer to an earlier try, or one that came too late */
}

void ps_writes_answered(struct ps_node *node, uint32_t request_id, const struct ps_message *message)
{
    struct ps_forward *forward = forward_find(node, request_id);
    if (forward == NULL) {
        return;
    }
    if (message->written.result_count != forward->call_count) {
        ps_node_log(node, PS_LOG_WARN, "feed", "home answered %zu of %zu writes: dropped",
                    message->written.result_count, forward->call_count);
        return;
    }
    for (size_t i = 0; i < forward->call_count; i++) {
        forward->calls[i]->writer.result = message->written.results[i];
    }
    forward_end(node, forward);
}

bool ps_writes_answered_error(struct ps_node *node, uint32_t request_id,
                              const struct ps_message *message)
{
    struct ps_forward *forward = forward_find(node, request_id);
    if (forward == NULL) {
        return false;
    }
    if (message->error.status == PS_BUSY) {
        send_soon(forward); /* the store is being opened there */
    } else {
        forward_fail(forward, message->error.status);
    }
    return true;
}

void ps_writes_end(struct ps_node_store *store, enum ps_status status)
{
    struct ps_node *node = store->node;
    ps_writes_forward(store); /* so that all are in a message */
    struct ps_forward *forward;
    struct ps_forward *next;
    HASH_ITER(hh, node->forwards, forward, next)
    {
        if (forward->store == store) {
            forward_fail(forward, status);
        }
    }
}

void ps_writes_fini(struct ps_node *node)
{
    struct ps_forward *forward;
    struct ps_forward *next;
    HASH_ITER(hh, node->forwards, forward, next)
    {
        forward_destroy(node, forward);
    }
}
