/* One HTTP request under way, and its answer. */
#ifndef PS_NODE_IO_EXCHANGE_H
#define PS_NODE_IO_EXCHANGE_H

#include "node/http/http.h"
#include "node/io/node_internal.h"
#include "node/io/tail.h"

struct ps_conn;
struct ps_exchange;

/** Who takes a streamed request's body as it comes. Not called any more once the exchange is
 * complete: what still comes then is read over. */
struct ps_body_sink {
    /** Some bytes; who keeps them copies them. Who has enough for now calls ps_exchange_hold: one
     * more call may come behind it, then none until ps_exchange_resume. */
    void (*bytes)(struct ps_exchange *exchange, struct ps_slice bytes);
    /** That was all of it. */
    void (*end)(struct ps_exchange *exchange);
    /** The rest will not come: the client is gone, or what it sends is no HTTP. Nobody gets an
     * answer; the exchange is to be completed as soon as nothing is under way for it. */
    void (*abort)(struct ps_exchange *exchange);
};

/** Lives from the request's last byte, or from the end of its head when its body is streamed, until
 * its answer is written, or, when the client went away first, until its calls are done. */
struct ps_exchange {
    struct ps_node *node;
    struct ps_conn *conn;         /* NULL once the client is gone */
    struct ps_exchange *next;     /* of the connection, in the order of the requests */
    struct ps_exchange *all_next; /* of the server */
    struct ps_exchange **all_prev;
    struct ps_http_request request; /* borrows from storage */
    void *storage;                  /* what holds the request's bytes; released by free_storage */
    void (*free_storage)(void *storage);
    struct ps_http_response response;
    struct ps_tail tail; /* behind the response's body, when response.tail_size > 0 */
    bool close;          /* the connection ends after the answer */
    bool head;           /* the answer goes without its body */
    bool http10;
    bool complete; /* the answer can be written, */
    /* ... but while its body comes it waits: a client that still sends does not read */
    bool receiving;                  /* more of a streamed body is to come */
    bool held;                       /* ... and its sink has enough for now */
    const struct ps_body_sink *sink; /* set when the request is begun; NULL: it is read over */
    bool sized;                      /* the streamed body's size is known, */
    uint64_t body_size;              /* and it is this */
    void *calls;                     /* what is under way for it; released by free_calls */
    void (*free_calls)(void *calls);
    void *transfer; /* ... of bodies; released by free_transfer, before calls */
    void (*free_transfer)(void *transfer);
};

/** Find out what the request asks for and begin it; ps_exchange_complete is called then or later.
 */
void ps_exchange_start(struct ps_exchange *exchange);
/** The response is whole. Never writes by itself: the server does, later in the turn. Without a
 *  client the exchange ends here. */
void ps_exchange_complete(struct ps_exchange *exchange);
void ps_exchange_destroy(struct ps_exchange *exchange);

/** The sink has enough, and can take more again. */
void ps_exchange_hold(struct ps_exchange *exchange);
void ps_exchange_resume(struct ps_exchange *exchange);

/* Of the connection: more of the body, its end, or that neither will come. */
void ps_exchange_bytes(struct ps_exchange *exchange, struct ps_slice bytes);
void ps_exchange_end(struct ps_exchange *exchange);
/** The client is gone. May destroy the exchange. */
void ps_exchange_drop(struct ps_exchange *exchange);

/** Answer with a JSON body. */
void ps_exchange_json(struct ps_exchange *exchange, int status);
/** Answer with {"error": text}. */
void ps_exchange_fail(struct ps_exchange *exchange, int status, const char *format, ...)
    PS_PRINTF(3, 4);

/** Serve /popsim/blobs/<store>/<id>; `path` is what is behind the first two. */
void ps_blob_route_start(struct ps_exchange *exchange, struct ps_slice path, struct ps_slice query);
/** Serve /popsim/..., /metrics, /healthz. */
void ps_control_start(struct ps_exchange *exchange);

#endif
