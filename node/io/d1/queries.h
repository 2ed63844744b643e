/* Requests to D1 databases made at this PoP: run here or at home, as their session says; and those
 * of other PoPs, at home. */
#ifndef PS_NODE_IO_QUERIES_H
#define PS_NODE_IO_QUERIES_H

#include "node/d1/bookmark.h"
#include "node/io/d1/d1_thread.h"
#include "replication/base/hash.h"

/** One request. Who starts it owns it, and its slices, until `done`; then it calls
 *  ps_query_destroy. */
struct ps_query {
    struct ps_d1_job job; /* first member; its own but for the token, which may be given */
    struct ps_alarm alarm;
    struct ps_read_call read;
    struct ps_read_key read_key;
    struct ps_node *node;
    struct ps_node_store *store;
    struct ps_slice body;    /* given, as down to `done` */
    unsigned flags;          /* enum ps_query_flag */
    struct ps_slice session; /* "first-primary", "first-unconstrained", a bookmark; empty: none */
    bool fresh;              /* of the REST API: at home, without an emulated round trip */
    void *context;
    void (*done)(struct ps_query *query);
    /* How it went: PS_OK, or why it could not be run. */
    enum ps_status status;
    bool failed;                         /* then `job.text` is the reason, else the results */
    struct ps_kv_staleness staleness;    /* of what was read */
    char bookmark[PS_BOOKMARK_SIZE + 1]; /* of the LSN that was read or made; empty: none */
    uint64_t need_lsn;
    uint64_t deadline_mono_ns; /* of the wait for need_lsn, or for home's answer */
    bool classified;
    struct ps_query *next_wait;
    /* on its way to home */
    UT_hash_handle hh; /* by id, while `sent` */
    uint32_t id;
    bool sent;
    uint64_t retry_ns;
    uint64_t give_up_mono_ns;
    ps_time_ns invoke_ns;
    struct ps_buf bytes;
};

struct ps_query *ps_query_create(struct ps_node_store *store);
void ps_query_destroy(struct ps_query *query); /* NULL accepted */
/** `done` may be called before this returns, and may destroy the query. */
void ps_query_start(struct ps_query *query);

#endif
