/* The HTTP front's sockets: listening, connections, their limits and their end. */
#ifndef PS_NODE_IO_SERVER_H
#define PS_NODE_IO_SERVER_H

#include "node/io/node_internal.h"

enum {
    PS_CONNECTIONS_MAX = 16384,   /* lowered to what the process may open */
    PS_IDLE_S = 300,              /* a connection without a request */
    PS_HEADER_S = 30,             /* from a request's first byte to the end of its header */
    PS_BODY_S = 60,               /* without a byte of a body that is not complete */
    PS_WRITE_S = 60,              /* without a byte taken of an answer */
    PS_LINGER_S = 3,              /* reading over what still comes behind a refusal */
    PS_PIPELINE_MAX = 64,         /* requests of one connection under way */
    PS_BODY_SIZE_MAX = 104857600, /* the largest body: a bulk write */
    PS_OUTPUT_MAX = 4 << 20       /* bytes of answers that wait before no more requests are read */
};

/** Listen on the node's address, for the API and for S3. Errors: PS_IO. Ownership: the caller's. */
PS_MUST_CHECK enum ps_status ps_server_create(struct ps_node *node, struct ps_server **ret,
                                              struct ps_error *err);
/** The node's stores have changed: requests are for those that it has now. */
void ps_server_describe(struct ps_server *server);
/** Take no more connections, and close those that have nothing under way. */
void ps_server_stop(struct ps_server *server);
/** Is anything still under way? */
bool ps_server_busy(const struct ps_server *server);
/** Close all; forget what is under way (its calls are no longer told). NULL accepted. */
void ps_server_destroy(struct ps_server *server);
uint16_t ps_server_port(const struct ps_server *server);
uint16_t ps_server_s3_port(const struct ps_server *server);
/** Take connections again, if there is room for them. */
void ps_server_accept(struct ps_server *server);
size_t ps_server_connections(const struct ps_server *server);
uint64_t ps_server_accepted(const struct ps_server *server);
uint64_t ps_server_requests(const struct ps_server *server);
/** Write what became ready in this turn and go on with what came behind it; returns false when
 * there was nothing. */
bool ps_server_turn(struct ps_server *server);

#endif
