/* One HTTP/1.1 connection. */
#ifndef PS_NODE_IO_CONN_H
#define PS_NODE_IO_CONN_H

#include "node/http/api.h"
#include "node/io/server.h"

struct ps_conn;
struct ps_exchange;
struct ps_s3_keyring;

/** A port that is listened on. */
struct ps_listener {
    struct ps_server *server;
    int fd;
    uint16_t port;
    ev_io accept;
    bool s3; /* requests are the S3 API's */
};

enum { PS_LISTENERS = 2 };

/** What connections share, and how they hang in the server. */
struct ps_server {
    struct ps_node *node;
    struct ps_listener listeners[PS_LISTENERS]; /* the API's, S3's */
    ev_timer sweep;
    struct ps_conn *conns; /* all of them, newest first */
    struct ps_conn *ready; /* those with answers to write or input to go on with */
    struct ps_exchange *exchanges;
    struct ps_s3_keyring *keyring;
    struct ps_api_config api; /* borrows what follows */
    struct ps_api_namespace *namespaces;
    struct ps_node_store **stores; /* one for each namespace */
    size_t conn_count;
    size_t conn_max;
    size_t under_way; /* exchanges that are started and not yet written or dropped */
    uint64_t accepted;
    uint64_t requests;
    bool stopping;
    bool destroying;
    int64_t date_unix_s; /* what `date` says */
    char date[30];
    char input[128 << 10]; /* what one read can take */
};

/** Take over the socket. */
void ps_conn_open(struct ps_listener *listener, int fd);
/** Close now; exchanges whose calls are under way go on without a client. */
void ps_conn_close(struct ps_conn *conn);
/** Close when the answers under way are written (at once if there are none). */
void ps_conn_finish(struct ps_conn *conn);
/** Is one of its time limits over? */
bool ps_conn_expired(const struct ps_conn *conn, double now_s);
void ps_conn_ready(struct ps_conn *conn);
/** The sink of the body that comes takes more again. */
void ps_conn_resume(struct ps_conn *conn);
struct ps_conn *ps_conn_next(const struct ps_conn *conn);
/** Give all ready ones their turn, but not those that become ready by it. Returns false when there
 *  was none. */
bool ps_conns_turn(struct ps_server *server);

#endif
