#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/feed/transport_internal.h"

#include <string.h>

enum {
    INBOX_MAX = 65536
}; /* messages that may wait at one end; more are lost, as a full pipe's are */

enum delivery_kind { DELIVERY_PUBLISHED, DELIVERY_REQUEST, DELIVERY_ANSWER };

/* One message that waits at an end. */
struct delivery {
    enum delivery_kind kind;
    uint32_t peer;           /* published, answer */
    uint32_t request_id;     /* answer */
    struct ps_reply_to from; /* request */
    char *bytes;             /* owned */
    size_t size;
};

struct address {
    char *publish_url;
    char *answer_url;
};

struct memory {
    struct ps_transport base;
    struct ps_memory_hub *hub;
    uint64_t number; /* never used twice in a hub */
    struct address own;
    struct address *peers;
    size_t peer_count;
    size_t peer_capacity;
    struct delivery *inbox;
    size_t inbox_head;
    size_t inbox_count; /* behind inbox_head */
    size_t inbox_capacity;
};

struct ps_memory_hub {
    uint64_t seed;
    uint32_t loss_milli;
    uint64_t drawn;
    uint64_t next_number;
    struct memory **ends;
    size_t end_count;
    size_t end_capacity;
};

/* What a ps_reply_to of a memory end holds. */
struct route {
    uint64_t number;
    uint32_t peer;
    uint32_t request_id;
};

static struct memory *memory_of(struct ps_transport *transport)
{
    return (struct memory *)transport;
}

static struct address address_copy(const char *publish_url, const char *answer_url)
{
    return (struct address){ps_strndup(publish_url, strlen(publish_url)),
                            ps_strndup(answer_url, strlen(answer_url))};
}

static void address_fini(struct address *address)
{
    free(address->publish_url);
    free(address->answer_url);
}

struct ps_memory_hub *ps_memory_hub_create(uint64_t seed, uint32_t loss_milli)
{
    PS_ASSERT(loss_milli <= 1000);
    struct ps_memory_hub *hub = PS_NEW(struct ps_memory_hub);
    hub->seed = seed;
    hub->loss_milli = loss_milli;
    return hub;
}

void ps_memory_hub_destroy(struct ps_memory_hub *hub)
{
    if (hub != NULL) {
        PS_ASSERT(hub->end_count == 0);
        free(hub->ends);
        free(hub);
    }
}

/* Put a copy of `bytes` behind what waits. Returns false when the inbox is full. */
static bool enqueue(struct memory *end, const struct delivery *delivery, struct ps_slice bytes)
{
    if (end->inbox_count == INBOX_MAX) {
        return false;
    }
    if (end->inbox_head > end->inbox_capacity / 2 &&
        end->inbox_head + end->inbox_count == end->inbox_capacity) {
        memmove(end->inbox, end->inbox + end->inbox_head, end->inbox_count * sizeof *end->inbox);
        end->inbox_head = 0;
    }
    size_t at = end->inbox_head + end->inbox_count;
    end->inbox = ps_grow(end->inbox, at, &end->inbox_capacity, sizeof *end->inbox);
    end->inbox[at] = *delivery;
    end->inbox[at].bytes = ps_strndup(bytes.size > 0 ? bytes.data : "", bytes.size);
    end->inbox[at].size = bytes.size;
    end->inbox_count++;
    return true;
}

static void memory_destroy(struct ps_transport *transport)
{
    struct memory *end = memory_of(transport);
    struct ps_memory_hub *hub = end->hub;
    size_t kept = 0;
    for (size_t i = 0; i < hub->end_count; i++) {
        if (hub->ends[i] != end) {
            hub->ends[kept++] = hub->ends[i];
        }
    }
    hub->end_count = kept;
    for (size_t i = 0; i < end->inbox_count; i++) {
        free(end->inbox[end->inbox_head + i].bytes);
    }
    for (size_t i = 0; i < end->peer_count; i++) {
        address_fini(&end->peers[i]);
    }
    address_fini(&end->own);
    free(end->inbox);
    free(end->peers);
    free(end);
}

static enum ps_status memory_connect(struct ps_transport *transport, const char *publish_url,
                                     const char *answer_url, uint32_t *ret_peer,
                                     struct ps_error *err)
{
    (void)err; /* nothing can fail */
    struct memory *end = memory_of(transport);
    end->peers = ps_grow(end->peers, end->peer_count, &end->peer_capacity, sizeof *end->peers);
    end->peers[end->peer_count] = address_copy(publish_url, answer_url);
    *ret_peer = (uint32_t)end->peer_count++;
    return PS_OK;
}

static bool draw_loss(struct ps_memory_hub *hub)
{
    uint64_t word = ps_random_u64(hub->seed, ps_stream_of("memory-loss", NULL, NULL), hub->drawn++);
    return ps_below(word, 1000) < hub->loss_milli;
}

static void memory_publish(struct ps_transport *transport, struct ps_slice bytes)
{
    struct memory *end = memory_of(transport);
    for (size_t i = 0; i < end->hub->end_count; i++) {
        struct memory *other = end->hub->ends[i];
        for (size_t k = 0; k < other->peer_count; k++) {
            if (strcmp(other->peers[k].publish_url, end->own.publish_url) == 0 &&
                !draw_loss(end->hub)) {
                struct delivery delivery = {.kind = DELIVERY_PUBLISHED, .peer = (uint32_t)k};
                (void)enqueue(other, &delivery, bytes);
            }
        }
    }
}

static enum ps_status memory_request(struct ps_transport *transport, uint32_t peer,
                                     uint32_t request_id, struct ps_slice bytes)
{
    struct memory *end = memory_of(transport);
    PS_ASSERT(peer < end->peer_count);
    for (size_t i = 0; i < end->hub->end_count; i++) {
        struct memory *other = end->hub->ends[i];
        if (strcmp(end->peers[peer].answer_url, other->own.answer_url) == 0) {
            struct route route = {end->number, peer, request_id};
            struct delivery delivery = {.kind = DELIVERY_REQUEST, .from = {.size = sizeof route}};
            memcpy(delivery.from.bytes, &route, sizeof route);
            return enqueue(other, &delivery, bytes) ? PS_OK : PS_BUSY;
        }
    }
    return PS_BUSY;
}

static void memory_answer(struct ps_transport *transport, const struct ps_reply_to *to,
                          struct ps_slice bytes)
{
    struct memory *end = memory_of(transport);
    struct route route;
    PS_ASSERT(to->size == sizeof route);
    memcpy(&route, to->bytes, sizeof route);
    for (size_t i = 0; i < end->hub->end_count; i++) {
        struct memory *other = end->hub->ends[i];
        if (other->number == route.number) {
            struct delivery delivery = {
                .kind = DELIVERY_ANSWER, .peer = route.peer, .request_id = route.request_id};
            (void)enqueue(other, &delivery, bytes);
        }
    }
}

static size_t memory_fds(const struct ps_transport *transport, int *ret_fds, size_t size)
{
    (void)transport;
    (void)ret_fds;
    (void)size;
    return 0;
}

static void hand_over(const struct ps_transport_handler *handler, const struct delivery *delivery)
{
    struct ps_slice bytes = {delivery->bytes, delivery->size};
    switch (delivery->kind) {
    case DELIVERY_PUBLISHED:
        handler->published(handler->context, delivery->peer, bytes);
        break;
    case DELIVERY_REQUEST:
        handler->requested(handler->context, &delivery->from, bytes);
        break;
    case DELIVERY_ANSWER:
        handler->answered(handler->context, delivery->peer, delivery->request_id, bytes);
        break;
    }
}

static size_t memory_poll(struct ps_transport *transport, size_t budget)
{
    struct memory *end = memory_of(transport);
    size_t delivered = 0;
    while (delivered < budget && end->inbox_count > 0) {
        struct delivery delivery = end->inbox[end->inbox_head++];
        end->inbox_count--;
        if (end->inbox_count == 0) {
            end->inbox_head = 0;
        }
        hand_over(&end->base.handler, &delivery);
        free(delivery.bytes);
        delivered++;
    }
    return delivered;
}

static const struct ps_transport_ops memory_ops = {.destroy = memory_destroy,
                                                   .connect = memory_connect,
                                                   .publish = memory_publish,
                                                   .request = memory_request,
                                                   .answer = memory_answer,
                                                   .fds = memory_fds,
                                                   .poll = memory_poll};

struct ps_transport *ps_transport_memory_create(struct ps_memory_hub *hub, const char *publish_url,
                                                const char *answer_url,
                                                const struct ps_transport_handler *handler)
{
    struct memory *end = PS_NEW(struct memory);
    end->base.ops = &memory_ops;
    end->base.handler = *handler;
    end->hub = hub;
    end->number = ++hub->next_number;
    end->own = address_copy(publish_url, answer_url);
    hub->ends = ps_grow(hub->ends, hub->end_count, &hub->end_capacity, sizeof(struct memory *));
    hub->ends[hub->end_count++] = end;
    return &end->base;
}
