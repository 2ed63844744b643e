/* HTTP connections to the PoPs of a cluster: keep-alive, one request at a time on each, as many
 * connections as requests are under way. On libev. */
#ifndef PS_SIM_LIVE_CLIENT_H
#define PS_SIM_LIVE_CLIENT_H

#include "node/cluster/cluster_file.h"
#include "sim/live/response.h"

#include <ev.h>

#include <time.h>

/** One request. Whoever starts it owns it, and it stays where it is, until `done`. */
struct ps_live_call {
    struct ps_buf request; /* owned by the caller; whole bytes */
    uint16_t pop;
    uint64_t deadline_mono_ns; /* PS_TIMEOUT after this */

    /** PS_OK: the node answered, whatever it said; `response` is valid within the call.
     * PS_UNREACHABLE: nobody listens, or the connection was lost. PS_TIMEOUT. PS_CORRUPT: no HTTP.
     * With these `response` is NULL, or the head of an answer whose body broke off.
     * May start calls; may not destroy the client. */
    void (*done)(struct ps_live_call *call, enum ps_status status,
                 const struct ps_live_response *response);
    void *context;
    /* the client's own */
    struct ps_live_conn *conn;  /* NULL while it waits for one */
    struct ps_live_call *next;  /* of those under way */
    struct ps_live_call **prev; /* NULL = not under way */
    struct ps_live_call *after; /* in the line for a connection, or of those that failed at once */
};

struct ps_live_client;

/** Borrowed: loop and state, which outlive the client. Errors: PS_INVALID (the cluster's address).
 */
PS_MUST_CHECK enum ps_status ps_live_client_create(struct ev_loop *loop,
                                                   const struct ps_cluster_state *state,
                                                   struct ps_live_client **ret,
                                                   struct ps_error *err);
/** Closes all connections; calls under way are not told. NULL accepted. */
void ps_live_client_destroy(struct ps_live_client *client);

/** Send the request. `done` is never called before this returns. */
void ps_live_client_start(struct ps_live_client *client, struct ps_live_call *call);

static inline uint64_t ps_live_mono_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

#endif
