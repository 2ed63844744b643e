/* The transport: how bytes go between nodes. Two ends: nanomsg (live) and memory (tests, with
 * seeded loss of published messages). Neither looks into the bytes.
 *
 * A node publishes to all who subscribe to it, sends requests to a peer and answers requests.
 * Requests are pipelined: any number may be on their way to one peer, and answers come in any
 * order. Delivery of published messages and of requests is at most once; who needs more asks again.
 *
 * The nanomsg end uses PUB/SUB and raw REQ/REP (nn_req(7), nn_rep(7)) with buffers sized for
 * bursts. It never blocks: the owner watches ps_transport_fds() for readability and calls
 * ps_transport_poll(), which delivers until nothing is left. */
#ifndef PS_REPLICATION_FEED_TRANSPORT_H
#define PS_REPLICATION_FEED_TRANSPORT_H

#include "replication/base/slice.h"
#include "replication/base/status.h"

struct ps_transport; /* one node's end */

/** Whom an answer goes to. Opaque, copied freely, good for one answer. */
struct ps_reply_to {
    uint32_t size;
    unsigned char bytes[60];
};

/** What a transport delivers. Slices are valid during the call. A handler may send, but must not
 *  destroy the transport. */
struct ps_transport_handler {
    void *context;
    void (*published)(void *context, uint32_t peer, struct ps_slice bytes);
    void (*requested)(void *context, const struct ps_reply_to *from, struct ps_slice bytes);
    void (*answered)(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes);
};

/** Bind the node's two addresses (nanomsg URLs: "ipc:///x/feed", "tcp://127.0.0.1:9000").
 *  Errors: PS_IO with the reason. Ownership: *ret is the caller's, ps_transport_destroy. */
PS_MUST_CHECK enum ps_status ps_transport_nano_create(const char *publish_url,
                                                      const char *answer_url,
                                                      const struct ps_transport_handler *handler,
                                                      struct ps_transport **ret,
                                                      struct ps_error *err);

/** A hub that connects memory ends in one process. `loss_milli`: share of published messages that
 * are lost, drawn by (seed, count). */
struct ps_memory_hub;
struct ps_memory_hub *ps_memory_hub_create(uint64_t seed, uint32_t loss_milli);
void ps_memory_hub_destroy(struct ps_memory_hub *hub); /* after its ends */
struct ps_transport *ps_transport_memory_create(struct ps_memory_hub *hub, const char *publish_url,
                                                const char *answer_url,
                                                const struct ps_transport_handler *handler);

void ps_transport_destroy(struct ps_transport *transport); /* NULL accepted */

/** Connect to a peer: subscribe to its publications and be able to ask it. Gives its number (0, 1,
 *  ...). The peer need not be up yet; nanomsg reconnects by itself. Errors: PS_IO (nanomsg has 512
 *  sockets a process, so 255 peers), PS_INVALID (an address that is too long). */
PS_MUST_CHECK enum ps_status ps_transport_connect(struct ps_transport *transport,
                                                  const char *publish_url, const char *answer_url,
                                                  uint32_t *ret_peer, struct ps_error *err);

/** Send to all subscribers. Never blocks, may lose. */
void ps_transport_publish(struct ps_transport *transport, struct ps_slice bytes);
/** Ask a peer. Errors: PS_BUSY (the peer's pipe is full or not connected: try later), PS_LIMIT
 * (more than PS_MESSAGE_SIZE_MAX), PS_IO. */
PS_MUST_CHECK enum ps_status ps_transport_request(struct ps_transport *transport, uint32_t peer,
                                                  uint32_t request_id, struct ps_slice bytes);
/** Answer a request. Lost without notice if the asker is gone or its pipe is full (nanomsg holds
 * what the kernel's socket buffer takes, and one message more): the asker asks again. */
void ps_transport_answer(struct ps_transport *transport, const struct ps_reply_to *to,
                         struct ps_slice bytes);

/** File descriptors to watch for reading (nanomsg: NN_RCVFD, poll only). Returns how many were
 *  written; the set grows with ps_transport_connect. Memory ends have none. */
size_t ps_transport_fds(const struct ps_transport *transport, int *ret_fds, size_t size);
/** Begin anew with those peers to whom connections come about again and again and end at once: so
 *  it is with nanomsg's sockets now and then when the peer was killed while they connected, and
 *  they do not recover. To be called now and then, but not by a handler. Returns true when
 *  descriptors have changed: ask ps_transport_fds. */
bool ps_transport_mend(struct ps_transport *transport);
/** Deliver what has come, at most `budget` messages; returns how many were delivered. */
size_t ps_transport_poll(struct ps_transport *transport, size_t budget);

#endif
