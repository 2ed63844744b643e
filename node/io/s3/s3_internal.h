/* What the files of the S3 port share: one request under way.
 *
 *   s3.c          from the head to the answer; objects
 *   s3_buckets.c  finding buckets, and what is done with them
 *   s3_copy.c     copies whose bytes pass: between buckets, and into parts */
#ifndef PS_NODE_IO_S3_INTERNAL_H
#define PS_NODE_IO_S3_INTERNAL_H

#include "node/io/exchange.h"
#include "node/io/r2/bucket_drop.h"
#include "node/io/r2/object_exchange.h"
#include "node/io/s3/s3.h"
#include "node/s3/body.h"
#include "node/s3/error.h"

struct ps_s3_copying;

/** Lives as long as the exchange, whose `calls` it is. */
struct ps_s3_request {
    struct ps_exchange *exchange;
    struct ps_node *node;
    struct ps_s3_call call;
    struct ps_node_store *store; /* call.bucket; NULL: not found (yet) */
    /* Its body. */
    struct ps_buf document;
    struct ps_s3_body *body; /* of an object or part, as it comes */
    uint64_t came;
    /* What it comes to. */
    struct ps_object_exchange run;
    struct ps_object_call object; /* of buckets */
    struct ps_s3_copying *copying;
    struct ps_namespace_call change;
    struct ps_bucket_drop drop;
    struct ps_read_call look; /* at what buckets there are, as of now */
    struct ps_read_key look_key;
    bool looked;
    uint64_t look_until_ns; /* a bucket that is being opened here is waited for */
    struct ps_slice find_name;
    struct ps_node_store **found;
    void (*on_found)(struct ps_s3_request *request);
    void (*on_made)(struct ps_s3_request *request);
    enum ps_status make_status;
    char region[8];
    struct ps_buf cors;      /* the bucket's, for a request with an Origin */
    struct ps_buf lifecycle; /* the bucket's, for an answer that shows an object */
    struct ps_alarm alarm;
    void (*next)(struct ps_s3_request *request); /* behind the alarm */
};

/** Answer: the response is filled. */
void ps_s3_complete(struct ps_s3_request *request);
/** Answer that popsim's own part failed so. */
void ps_s3_complete_failed(struct ps_s3_request *request, enum ps_status status);
/** Go on with next(request) in a later turn: outside of a read of the map. */
void ps_s3_later(struct ps_s3_request *request, void (*next)(struct ps_s3_request *request));
void ps_s3_later_in(struct ps_s3_request *request, uint64_t wait_ns,
                    void (*next)(struct ps_s3_request *request));
/** call.request, on the bucket. Answers. */
void ps_s3_run(struct ps_s3_request *request);
/** The same with another request, which call.op stands for; its body is in it. `what` lives as long
 *  as `request`. */
void ps_s3_run_as(struct ps_s3_request *request, struct ps_r2_request *what);

/* ---- s3_buckets.c ---- */

/** Look at what buckets there are now, wherever they were made, then next(request), later. */
void ps_s3_look(struct ps_s3_request *request, void (*next)(struct ps_s3_request *request));
/** Find `name` and go on with next(request), at once or later; *ret is NULL when there is no such
 *  bucket. */
void ps_s3_find(struct ps_s3_request *request, struct ps_slice name, struct ps_node_store **ret,
                void (*next)(struct ps_s3_request *request));
/** Is it an operation on buckets? */
bool ps_s3_is_of_buckets(enum ps_s3_op op);
/** Run it; its document, if it has one, is taken. Answers. */
void ps_s3_run_bucket(struct ps_s3_request *request);
/** Make the bucket (`region` as S3 has it; empty: anywhere), then next(request): request->store is
 *  set, or ps_s3_not_made is to be the answer. */
void ps_s3_make(struct ps_s3_request *request, struct ps_slice region,
                void (*next)(struct ps_s3_request *request));
/** The answer to a bucket that could not be made. */
void ps_s3_not_made(struct ps_s3_request *request);

/* ---- s3_copy.c ---- */

/** COPY_OBJECT from another bucket, and UPLOAD_PART_COPY. Answers. */
void ps_s3_copy(struct ps_s3_request *request);
void ps_s3_copying_destroy(struct ps_s3_copying *copying); /* NULL accepted */

#endif
