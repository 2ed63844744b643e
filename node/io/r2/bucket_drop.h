/* A bucket is dropped, if it is empty, in a way that loses no put.
 *
 * Its home *closes* it (PS_R2_CLOSE): in the order of its mutations it looks whether the bucket is
 * empty, and if it is takes no more of them, which is a record. Only then the hidden store is told
 * that the bucket is dropped. A close is not taken back: when whoever asked for it cannot go on,
 * home goes on by itself (ps_bucket_closed_*).
 *
 * Of those who drop one bucket at the same time exactly one succeeds. */
#ifndef PS_NODE_IO_BUCKET_DROP_H
#define PS_NODE_IO_BUCKET_DROP_H

#include "node/io/r2/objects.h"

enum {
    PS_BUCKET_GOES_ON_S = 15, /* home waits so long for whoever closed it */
    PS_BUCKET_AGAIN_S = 1     /* ... and so long when dropping it failed */
};

/** Who starts it owns it until `done`. Zero it first; then ps_bucket_drop_fini. */
struct ps_bucket_drop {
    struct ps_node_store *store; /* given, as down to `context` */
    bool fresh;                  /* as of ps_object_call */
    /** PS_OK, and error->code is PS_R2_CODE_NONE: it is dropped. PS_OK and an error:
     * PS_R2_CODE_BUCKET_NOT_EMPTY, or what else kept it from being closed. PS_NOT_FOUND: somebody
     * else dropped it; PS_UNREACHABLE, PS_TIMEOUT, ...: it may be closed, and goes in a while.
     * Never within a read of the map. Owns the call again. */
    void (*done)(struct ps_bucket_drop *drop, enum ps_status status,
                 const struct ps_r2_error *error);
    void *context;
    /* its own */
    struct ps_object_call close;
    struct ps_namespace_call change;
};

void ps_bucket_drop_start(struct ps_bucket_drop *drop);
/** Release what it holds, and forget what is under way (at the end of the process). Zeroed
 *  accepted. */
void ps_bucket_drop_fini(struct ps_bucket_drop *drop);

/* ---- home ---- */

/** Sees to it that a closed bucket is dropped. */
struct ps_bucket_goer;

/** closed: it is already, so that whoever closed it may have gone with the process before. */
struct ps_bucket_goer *ps_bucket_goer_create(struct ps_node_store *store, bool closed);
void ps_bucket_goer_destroy(struct ps_bucket_goer *goer); /* NULL accepted */
/** The bucket is closed now. May be called again. */
void ps_bucket_goer_closed(struct ps_bucket_goer *goer);

#endif
