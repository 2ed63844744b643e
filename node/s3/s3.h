/* The S3 API of a bucket, and of the account that buckets are of: an HTTP request becomes a call, a
 * result an HTTP answer. Pure.
 *
 * The way of a request, by its head (the body has not come):
 *   ps_s3_open          checks the signature, finds the operation, reads its parameters
 *   call.intake         says what to do with the body: there is none; buffer it whole, up to
 *                       call.body_max bytes, and give it to ps_s3_take_document; or pass it through
 *                       a ps_s3_body (node/s3/body.h) as it comes
 *   call.bucket         is looked up by the caller: ps_s3_no_such_bucket where there is none
 *   call.op             says what to run: call.request in the bucket, or an operation on buckets
 *   ps_s3_answer_...    makes the answer of the result
 * Each step may refuse: it returns false and the response is the error's. Who sends an answer to
 * HEAD sends no body. Order and words of errors are R2's, as captured by miniflare
 * (workers/r2/s3/{detect,dispatch,operations,account}.worker.ts); what R2 implements is
 * developers.cloudflare.com/r2/api/s3/api and .../extensions. */
#ifndef PS_NODE_S3_S3_H
#define PS_NODE_S3_S3_H

#include "node/r2/list.h"
#include "node/s3/sigv4.h"
#include "node/s3/text.h"
#include "node/s3/xml.h"

enum ps_s3_op {
    PS_S3_PREFLIGHT,    /* OPTIONS, not signed: ps_s3_preflight (node/s3/cors.h) */
    PS_S3_LIST_BUCKETS, /* ps_s3_answer_buckets */
    /* on a bucket: ps_s3_answer_bucket */
    PS_S3_HEAD_BUCKET,
    PS_S3_CREATE_BUCKET, /* with call.location */
    PS_S3_DELETE_BUCKET,
    PS_S3_GET_LOCATION,
    PS_S3_GET_ENCRYPTION,
    PS_S3_PUT_ENCRYPTION, /* AES256 is what there is: nothing to be done */
    PS_S3_GET_CORS,
    PS_S3_PUT_CORS, /* call.document is to be kept with the bucket */
    PS_S3_DELETE_CORS,
    PS_S3_GET_LIFECYCLE,
    PS_S3_PUT_LIFECYCLE, /* the same */
    PS_S3_DELETE_LIFECYCLE,
    PS_S3_GET_VERSIONING, /* what every bucket answers */
    PS_S3_GET_TAGGING,
    PS_S3_GET_OBJECT_LOCK,
    PS_S3_GET_REPLICATION,
    PS_S3_GET_ACL,
    PS_S3_POST_NOTHING, /* a POST to a bucket that says nothing is answered 200 */
    /* call.request is one of the lists: ps_s3_answer_page */
    PS_S3_LIST_OBJECTS,
    PS_S3_LIST_OBJECTS_V2,
    PS_S3_LIST_UPLOADS,
    PS_S3_LIST_PARTS,
    /* call.request reads an object: ps_s3_answer_object */
    PS_S3_GET_OBJECT,
    PS_S3_HEAD_OBJECT,
    /* call.request is a mutation: ps_s3_answer */
    PS_S3_PUT_OBJECT,
    PS_S3_COPY_OBJECT,
    PS_S3_DELETE_OBJECT,
    PS_S3_DELETE_OBJECTS,
    PS_S3_CREATE_UPLOAD,
    PS_S3_UPLOAD_PART,
    PS_S3_UPLOAD_PART_COPY,
    PS_S3_COMPLETE,
    PS_S3_ABORT
};

/** What is to be done with the body. */
enum ps_s3_intake {
    PS_S3_NO_BODY,  /* whatever comes is passed over */
    PS_S3_DOCUMENT, /* XML, whole: ps_s3_take_document */
    PS_S3_BYTES     /* an object's or a part's: ps_s3_body */
};

struct ps_s3_config {
    struct ps_s3_keyring *keyring;
    /* "localhost": a Host BUCKET.localhost[:port] names the bucket, and the path is the key. Empty:
     * the path always names both. */
    struct ps_slice domain;
};

/** One call. Zero it first, ps_s3_call_fini in any case. It borrows from the request's head, which
 *  must live as long, and must not be moved itself. */
struct ps_s3_call {
    enum ps_s3_op op;
    enum ps_http_method method;
    struct ps_s3_auth auth;
    struct ps_slice bucket; /* empty: the account's */
    enum ps_s3_intake intake;
    uint64_t body_max; /* bytes of the body as it comes over HTTP; more are refused */
    bool has_size;
    uint64_t size; /* BYTES: of the object or part, as declared */
    struct ps_r2_request request;
    bool create_bucket; /* cf-create-bucket-if-missing */
    /* What request.computed must have when the bytes have come; MD5 always. */
    ps_r2_hash_set hashes;
    /* COPY_OBJECT, UPLOAD_PART_COPY: where from. A copy within the bucket is request (PS_R2_COPY)
     * alone; another one reads `source` there (ps_s3_check_source), and puts (ps_s3_copy_as_put).
     */
    struct ps_slice source_bucket;
    struct ps_r2_request source; /* PS_R2_GET: key, condition, range, SSE-C */
    struct ps_slice location;    /* CREATE_BUCKET: LocationConstraint; empty: auto */
    struct ps_slice document;    /* PUT_CORS, PUT_LIFECYCLE: as it is to be kept */
    /* LIST_BUCKETS */
    struct ps_slice prefix;
    struct ps_slice start_after;
    struct ps_slice token;
    /* lists: as they were asked for */
    uint64_t max_keys;
    bool url;
    /* its own */
    const struct ps_http_request *head;
    struct ps_s3_query query;
    struct ps_buf text;
    struct ps_buf kept;
    struct ps_r2_pair *pairs;
    struct ps_s3_delete deletion;
    struct ps_s3_complete completion;
    struct ps_s3_create creation;
};

/** Find out what a request asks for. now_unix_ms: the wall's clock, for signatures. */
bool ps_s3_open(const struct ps_s3_config *config, const struct ps_http_request *head,
                int64_t now_unix_ms, struct ps_s3_call *call, struct ps_http_response *response);
void ps_s3_call_fini(struct ps_s3_call *call); /* zeroed accepted */

/** For PS_S3_DOCUMENT: the whole body as it came. Fills the call from it. It is borrowed no longer.
 */
bool ps_s3_take_document(struct ps_s3_call *call, struct ps_slice body,
                         struct ps_http_response *response);

/** May the source of a copy be read, and which part of it? `object` NULL: there is none. */
bool ps_s3_check_source(const struct ps_s3_call *call, const struct ps_r2_object *object,
                        struct ps_r2_span *ret, struct ps_http_response *response);
/** The put that a copy from another bucket comes to, without its body and hashes: `source` gives
 * the metadata as the directive says. *ret borrows from both; free(ret->meta.custom). */
void ps_s3_copy_as_put(const struct ps_s3_call *call, const struct ps_r2_object *source,
                       struct ps_r2_request *ret);

/** A bucket as answers show it. Borrowed. */
struct ps_s3_bucket {
    struct ps_slice name;
    int64_t created_ms;        /* Unix time */
    struct ps_slice location;  /* empty: "auto" */
    struct ps_slice cors;      /* call.document of the last PUT_CORS; empty: none */
    struct ps_slice lifecycle; /* the same */
};

/** LIST_BUCKETS: of all buckets, ascending by name, those that the call asks for. */
void ps_s3_answer_buckets(const struct ps_s3_call *call, const struct ps_s3_bucket *buckets,
                          size_t count, struct ps_http_response *response);
/** The operations on a bucket; they are done. */
void ps_s3_answer_bucket(const struct ps_s3_call *call, const struct ps_s3_bucket *bucket,
                         struct ps_http_response *response);

/** GET and HEAD: conditions, SSE-C, range, headers. `object` NULL: there is none.
 * response->tail_size bytes of the object's body from ret->offset on are the answer's body; the
 * caller sends them (for GET). */
void ps_s3_answer_object(const struct ps_s3_call *call, const struct ps_r2_object *object,
                         struct ps_r2_span *ret, struct ps_http_response *response);
void ps_s3_answer_page(const struct ps_s3_call *call, const struct ps_r2_page *page,
                       struct ps_http_response *response);
/** A mutation's. UPLOAD_PART_COPY: of the upload of the part. */
void ps_s3_answer(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                  struct ps_http_response *response);
/** Any call that failed so. */
void ps_s3_answer_error(const struct ps_s3_call *call, const struct ps_r2_error *error,
                        struct ps_http_response *response);

#endif
