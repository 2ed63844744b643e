/* Requests to a bucket and their answers, whatever protocol they came in (the binding's, S3's,
 * REST, a scenario), and the bytes of those that travel to home. Pure.
 *
 * Reads (ps_r2_op_reads) are answered at the PoP out of its own map. Mutations go to home, encoded;
 * home runs them (node/r2/home.h) and sends the answer back, encoded. Bodies have gone ahead: a
 * mutation carries a small one itself, else the ids of the blobs that home wrote already, and the
 * hashes that were taken as the bytes passed. */
#ifndef PS_NODE_R2_REQUEST_H
#define PS_NODE_R2_REQUEST_H

#include "node/r2/conditional.h"
#include "node/r2/error.h"
#include "node/r2/object.h"
#include "node/r2/range.h"

enum ps_r2_op {
    PS_R2_HEAD,
    PS_R2_GET,
    PS_R2_LIST,
    PS_R2_LIST_PARTS,
    PS_R2_LIST_UPLOADS,
    /* mutations from here on */
    PS_R2_PUT,
    PS_R2_DELETE, /* of `keys`; with a condition, of those for which it holds */
    PS_R2_COPY,   /* within the bucket; what the source has comes along */
    PS_R2_CREATE_UPLOAD,
    PS_R2_UPLOAD_PART,
    PS_R2_COMPLETE,
    PS_R2_ABORT,
    PS_R2_PURGE, /* end what public caches hold of `key` (empty: of all) */
    PS_R2_CLOSE  /* the bucket, if it is empty: it takes no more mutations and is to be dropped */
};

/* There is no uploadPartCopy here, nor a copy from another bucket: a part's ETag is its MD5, so its
 * bytes pass in any case. Who offers these reads the source (PS_R2_GET with its conditions and
 * range) into a blob and makes an UPLOAD_PART or a PUT of it. */

/** What a list tells of each object besides its head's own fields. */
enum ps_r2_include { PS_R2_INCLUDE_HTTP = 1, PS_R2_INCLUDE_CUSTOM = 2 };

/** How a copy's metadata come about (x-amz-metadata-directive). */
enum ps_r2_directive { PS_R2_DIRECTIVE_COPY, PS_R2_DIRECTIVE_REPLACE, PS_R2_DIRECTIVE_MERGE };

/** A part as completeMultipartUpload names it. */
struct ps_r2_named_part {
    struct ps_slice etag;             /* unquoted */
    struct ps_r2_checksums checksums; /* S3: to be compared, where given */
    uint32_t number;
};

/** One request. Slices borrow from whoever made it; arrays too, unless it was decoded
 *  (ps_r2_request_fini). Zeroed = not given. */
struct ps_r2_request {
    enum ps_r2_op op;
    struct ps_slice key;         /* of an object; also of an upload */
    const struct ps_slice *keys; /* DELETE */
    size_t key_count;
    struct ps_r2_condition condition;     /* onlyIf */
    struct ps_r2_range range;             /* GET (and HEAD in S3) */
    uint32_t part_number;                 /* UPLOAD_PART; GET, HEAD: only that part (S3), 0 = all */
    struct ps_r2_metadata meta;           /* PUT, CREATE_UPLOAD, COPY; ssec: of whatever op */
    bool has_storage_class;               /* COPY: meta.storage_class counts */
    struct ps_r2_checksums declared;      /* PUT, UPLOAD_PART, COMPLETE: what the client says */
    struct ps_r2_checksums computed;      /* PUT, UPLOAD_PART: what the bytes have; MD5 always */
    struct ps_r2_body body;               /* PUT: bytes or one blob; UPLOAD_PART: one blob */
    struct ps_r2_id upload_id;            /* of uploads; CREATE_UPLOAD: none */
    ps_r2_hash_set hashes;                /* CREATE_UPLOAD: S3's checksum algorithm; 0 = none */
    bool full_object;                     /* CREATE_UPLOAD, COMPLETE: S3's checksum type */
    const struct ps_r2_named_part *parts; /* COMPLETE */
    size_t part_count;
    struct ps_slice source_key; /* COPY */
    struct ps_r2_condition source_condition;
    struct ps_r2_ssec source_ssec;
    enum ps_r2_directive directive;
    /* LIST, LIST_UPLOADS, LIST_PARTS */
    bool has_limit;
    int64_t limit; /* keys, parts or uploads */
    struct ps_slice prefix;
    struct ps_slice delimiter;
    struct ps_slice cursor;        /* opaque, as a page gave it */
    struct ps_slice start_after;   /* LIST; LIST_UPLOADS: key-marker */
    struct ps_slice upload_marker; /* LIST_UPLOADS: upload-id-marker, text */
    uint32_t part_marker;          /* LIST_PARTS */
    unsigned include;              /* enum ps_r2_include */
};

bool ps_r2_op_reads(enum ps_r2_op op);
/** "put", "completeMultipartUpload", ... as the binding calls it; never NULL. */
const char *ps_r2_op_name(enum ps_r2_op op);

/** Hold a request against the limits that need no state: sizes and characters of keys, metadata,
 *  counts, part numbers, the declared hashes against the computed ones. Returns true when it may go
 *  on; else fills *err. Home checks again. */
bool ps_r2_request_check(const struct ps_r2_request *request, struct ps_r2_error *err);

/** May who knows the key `given` read the object? Else fills *err, with S3's words. */
bool ps_r2_ssec_check(const struct ps_r2_object *object, const struct ps_r2_ssec *given,
                      struct ps_r2_error *err);

/** Append a mutation's bytes. */
void ps_r2_request_encode(struct ps_buf *buf, const struct ps_r2_request *request);
/** Decode. Slices borrow from `bytes`, arrays are owned. Errors: PS_CORRUPT, PS_UNSUPPORTED,
 *  PS_LIMIT; *ret zeroed. */
PS_MUST_CHECK enum ps_status ps_r2_request_decode(struct ps_slice bytes, struct ps_r2_request *ret);
/** Free a decoded (or zeroed) request's arrays. */
void ps_r2_request_fini(struct ps_r2_request *request);

/** What a mutation came to. Slices borrow; objects' arrays are owned (ps_r2_answer_fini). */
struct ps_r2_answer {
    struct ps_r2_error error;   /* code PS_R2_CODE_NONE: done */
    bool has_object;            /* PUT, COPY, COMPLETE: the new version */
    struct ps_r2_object object; /* without its body's bytes */
    struct ps_r2_id upload_id;  /* CREATE_UPLOAD */
    struct ps_r2_part part;     /* UPLOAD_PART */
    uint64_t lsn;               /* of the record; 0 = nothing had to be written */
    ps_time_ns commit_ns;       /* of it, or when home decided */
};

void ps_r2_answer_encode(struct ps_buf *buf, const struct ps_r2_answer *answer);
PS_MUST_CHECK enum ps_status ps_r2_answer_decode(struct ps_slice bytes, struct ps_r2_answer *ret);
void ps_r2_answer_fini(struct ps_r2_answer *answer); /* zeroed accepted */

#endif
