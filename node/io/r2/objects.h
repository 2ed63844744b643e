/* Requests to buckets, carried out: reads from this PoP's log, as strong reads; mutations at home,
 * here or over there. Whatever protocol a request came in, it is a ps_r2_request by now, and its
 * body, when it is large, is a blob at home already (transfer.h).
 *
 * At home a bucket's mutations run through node/r2/home.h and the store's primary. Its blobs are
 * swept: those that no version in the retention, no upload and no mutation under way refers to are
 * deleted; the first time right at the start, where that is what a killed process left. */
#ifndef PS_NODE_IO_OBJECTS_H
#define PS_NODE_IO_OBJECTS_H

#include "node/io/r2/transfer.h"
#include "node/r2/home.h"
#include "node/r2/list.h"
#include "replication/base/hash.h"

enum {
    PS_SWEEP_EVERY_S = 60,  /* from the end of one round to the next */
    PS_SWEEP_STEP_MS = 5,   /* between two steps */
    PS_SWEEP_STEP_MAX = 512 /* records or keys that one step looks at */
};

struct ps_object_waiter;

/** One request. Who starts it owns it, the request and its slices until `done`. Zero it first; then
 *  ps_object_call_fini. */
struct ps_object_call {
    struct ps_node_store *store;         /* given, as down to `done` */
    const struct ps_r2_request *request; /* has passed ps_r2_request_check */
    struct ps_token token;               /* of a mutation; zero: it gets one */
    bool fresh;                          /* of the REST API: without an emulated round trip */
    size_t list_size_max;                /* of a list's page; 0 = no bound */
    void *context;
    /** The answer's time has come. May be called before ps_object_call_start returns, and within a
     * map read, but the call may be started anew from it (after _fini) when it was a GET that has
     * blobs: one that is not there any more (ps_download_begin) was superseded and swept meanwhile.
     */
    void (*done)(struct ps_object_call *call);
    /* How it went. PS_OK: `error` and the rest tell. Others: popsim's part failed (ps_r2_code_of):
     * PS_UNREACHABLE, PS_TIMEOUT, PS_NOT_FOUND (the bucket was deleted), PS_IO, ... */
    enum ps_status status;
    struct ps_r2_error error;
    struct ps_kv_staleness staleness;
    /* HEAD, GET: also of a condition that failed (412, 304) */
    bool has_object;
    struct ps_r2_object object;
    struct ps_r2_span span; /* what of the body is asked for; of a HEAD, too */
    struct ps_r2_body body; /* GET: all of it */
    struct ps_r2_page page; /* lists */
    /* mutations */
    struct ps_r2_answer answer;
    /* its own */
    struct ps_read_call read;
    struct ps_read_key read_key;
    struct ps_alarm alarm;
    struct ps_buf bytes; /* what results point into */
    struct ps_object_waiter *waiter;
    UT_hash_handle hh; /* by id, while `sent` */
    struct ps_buf message;
    uint32_t id;
    bool sent;
    uint64_t retry_ns;
    uint64_t deadline_mono_ns;
    ps_time_ns invoke_ns;
};

void ps_object_call_start(struct ps_object_call *call);
/** Release what it holds, and forget what is under way (at the end of the process); leaves what was
 *  given. */
void ps_object_call_fini(struct ps_object_call *call);
/** The asked-for part of a body that is blobs, for ps_download_begin. Ownership: the caller's,
 * free(). *ret_count is 0 when no byte is asked for. */
struct ps_download_part *ps_object_call_parts(const struct ps_object_call *call, size_t *ret_count);

/** How often a blob of one version was not there. Zeroed: not yet. */
struct ps_blob_loss {
    unsigned times;
    struct ps_r2_id version;
};

enum {
    PS_BLOB_LOST_MAX = 20, /* then it will not come back */
    PS_BLOB_LOST_MS = 50   /* from one look to the next */
};

/** A blob of `version` is not there: the version was superseded and swept meanwhile, and now
 * another one is found. But a file may also be lost. True: read again, after *ret_wait_ns. */
bool ps_blob_look_again(struct ps_blob_loss *loss, const struct ps_r2_id *version,
                        uint64_t *ret_wait_ns);

/** Home answered a QUERY, or refused it; false: it was none of a bucket. */
bool ps_objects_answered(struct ps_node *node, uint32_t request_id,
                         const struct ps_message *message);
bool ps_objects_answered_error(struct ps_node *node, uint32_t request_id,
                               const struct ps_message *message);
/** The store is dropped: mutations under way end. */
void ps_objects_end(struct ps_node_store *store);

/* ---- home: objects_home.c ---- */

struct ps_objects;

/** A bucket's home. */
struct ps_objects *ps_objects_create(struct ps_node_store *store);
/** The primary must have let go of its records. NULL accepted. */
void ps_objects_destroy(struct ps_objects *objects);
/** Evaluate what has come, and answer what is done. */
void ps_objects_turn(struct ps_objects *objects);
/** A QUERY of another PoP. */
void ps_objects_serve(struct ps_objects *objects, const struct ps_reply_to *from,
                      const struct ps_message *message);
/** A mutation made here; `bytes` as ps_r2_request_encode made them. ps_object_call_answered
 * follows, later, unless the waiter is let go first. Returns the waiter. */
struct ps_object_waiter *ps_objects_submit(struct ps_objects *objects, const struct ps_token *token,
                                           struct ps_slice bytes, struct ps_object_call *call);
void ps_object_waiter_let_go(struct ps_object_waiter *waiter);
/** All calls made here end with PS_NOT_FOUND. */
void ps_objects_end_calls(struct ps_objects *objects);
/** For objects_home.c: home's answer to a call made here; its waiter is gone. */
void ps_object_call_answered(struct ps_object_call *call, enum ps_status status,
                             struct ps_slice bytes);

/** What the bucket holds, as last counted: moments ago, for a large bucket up to a minute. */
struct ps_object_counts {
    uint64_t objects;
    uint64_t bytes; /* of their bodies */
};

struct ps_object_counts ps_objects_counts(const struct ps_objects *objects);

/* ---- home: objects_census.c ---- */

struct ps_census;

struct ps_census *ps_census_create(struct ps_node_store *store);
void ps_census_destroy(struct ps_census *census); /* NULL accepted */
struct ps_object_counts ps_census_counts(const struct ps_census *census);

/* ---- home: objects_sweep.c ---- */

struct ps_sweep;

struct ps_sweep *ps_sweep_create(struct ps_node_store *store, const struct ps_r2_home *home);
void ps_sweep_destroy(struct ps_sweep *sweep); /* NULL accepted */
/** A record was committed: what it refers to stays. */
void ps_sweep_committed(struct ps_sweep *sweep, const struct ps_record *record);

#endif
