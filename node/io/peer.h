/* HTTP from this node to the API port of another one, on the loop: bodies of objects go to home and
 * come from there. One request at a time on a connection; connections are kept and used again.
 * Memory is bounded: who sends too fast is told to wait, and who cannot take more stops the other
 * side. */
#ifndef PS_NODE_IO_PEER_H
#define PS_NODE_IO_PEER_H

#include "node/http/http1_answer.h"
#include "node/io/node_internal.h"

enum {
    PS_PEER_IDLE_MAX = 8,         /* connections that are kept to one node, */
    PS_PEER_IDLE_S = 60,          /* ... for this long */
    PS_PEER_SILENT_S = 30,        /* the other node may say nothing for this long, usually */
    PS_PEER_PENDING = 128 << 10,  /* bytes that wait for the socket before a sender is to wait */
    PS_PEER_ERROR_SIZE_MAX = 1024 /* of an error's body, what is kept of it */
};

struct ps_peers;
struct ps_peer_call;

/** Who makes a request. None is called from within a function below. */
struct ps_peer_handler {
    /** More of the request's body can be taken, after ps_peer_send has returned false. May be NULL.
     */
    void (*drained)(void *context);
    /** The answer's head. */
    void (*head)(void *context, const struct ps_http1_answer_head *head);
    /** Some of its body. Returns false: enough for now, until ps_peer_resume. One more call may
     * come behind it. */
    bool (*bytes)(void *context, struct ps_slice bytes);
    /** The end, at any time: PS_OK: the answer is whole. PS_UNREACHABLE: there is no connection, or
     * it broke; PS_TIMEOUT: the other side was silent. The call is not to be touched any more. */
    void (*done)(void *context, enum ps_status status);
    void *context;
};

/** A request. Slices are borrowed for the call of ps_peer_start. */
struct ps_peer_request {
    const char *method;
    struct ps_slice target;
    struct ps_slice headers; /* "name: value\r\n" lines; Host, the token and framing are added */
    bool has_body;
    bool sized; /* its size is known, */
    uint64_t body_size;
};

struct ps_peers *ps_peers_create(struct ps_node *node);
/** All calls are done or cancelled. NULL accepted. */
void ps_peers_destroy(struct ps_peers *peers);

/** Begin a request to the PoP with this index. */
struct ps_peer_call *ps_peer_start(struct ps_peers *peers, uint16_t pop,
                                   const struct ps_peer_request *request,
                                   const struct ps_peer_handler *handler);
/** Some of the request's body; copied, always taken. False: enough for now. */
bool ps_peer_send(struct ps_peer_call *call, struct ps_slice bytes);
/** That was all of it. */
void ps_peer_finish(struct ps_peer_call *call);
void ps_peer_resume(struct ps_peer_call *call);
/** Give it up, before `done`: nothing is called any more, and the other side sees it break off. */
void ps_peer_cancel(struct ps_peer_call *call);

#endif
