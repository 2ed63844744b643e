/* Objects, multipart uploads and their parts: what a bucket's versioned map holds, as structs and
 * as bytes. Pure.
 *
 * A bucket is a store. An object is the entry of its key: entry.metadata is its *head* (msgpack),
 * entry.value its body when that is small (PS_R2_INLINE_MAX), else the list of the *blobs* that
 * hold it (msgpack). A blob is a file at home; a multipart object has one per part, so that
 * completing an upload copies nothing, and a copy shares the blobs of its source. When an object
 * was uploaded is not in its bytes: it is the version's commit time.
 *
 * Keys of objects are UTF-8. Internal keys start with byte 0xFF, which UTF-8 does not have, and
 * sort behind all objects:
 *
 *   FF 'c'                           the bucket is closed: it is about to be dropped
 *   FF 'p' upload-id number(u16 be)  a part
 *   FF 'u' upload-id                 a multipart upload
 *   FF 'w'                           what was purged last: the key; empty: all
 *   FF 'x' hash(u64 be)              a purge of a key's cached public answers (by ps_slice_hash of
 *                                    the key); FF 'x': of all keys. A deletion, so that it is
 *                                    forgotten in time */
#ifndef PS_NODE_R2_OBJECT_H
#define PS_NODE_R2_OBJECT_H

#include "node/map/map.h"
#include "node/r2/digest.h"
#include "replication/world/cluster.h"

#define PS_R2_MIB ((uint64_t)1 << 20)
#define PS_R2_GIB ((uint64_t)1 << 30)
#define PS_R2_SIZE_MAX (5 * 1024 * PS_R2_GIB - 5 * PS_R2_GIB) /* of an object */
#define PS_R2_UPLOAD_SIZE_MAX (5 * PS_R2_GIB - 5 * PS_R2_MIB) /* of a put, or of a part */
#define PS_R2_PART_SIZE_MIN (5 * PS_R2_MIB)                   /* of all parts but the last */
#define PS_R2_UPLOAD_AGE_MS ((int64_t)7 * 24 * 3600 * 1000)   /* then an upload is aborted */

enum {
    PS_R2_KEY_SIZE_MAX = 1024,
    PS_R2_METADATA_SIZE_MAX = 8192, /* names and values of the custom metadata */
    PS_R2_CUSTOM_MAX = 8192,        /* pairs of custom metadata */
    PS_R2_HTTP_SIZE_MAX = 8192,     /* all HTTP fields */
    PS_R2_INLINE_MAX = 16 << 10,    /* larger bodies are blobs */
    PS_R2_PARTS_MAX = 10000,
    PS_R2_DELETE_MAX = 1000,
    PS_R2_LIST_MAX = 1000,
    PS_R2_INTERNAL = 0xFF /* first byte of internal keys */
};

/** A random id: of a version, an upload, a blob. Shown as 32 hex digits. */
struct ps_r2_id {
    uint8_t bytes[PS_R2_ID_SIZE];
};

void ps_r2_id_hex(const struct ps_r2_id *id, char ret[PS_R2_HEX_SIZE]);
bool ps_r2_id_parse(struct ps_slice text, struct ps_r2_id *ret);
bool ps_r2_id_eq(const struct ps_r2_id *a, const struct ps_r2_id *b);
/** The `n`th id of a token: the same on each try of one mutation. */
struct ps_r2_id ps_r2_id_of_token(const struct ps_token *token, uint64_t n);

/** HTTP fields that an object keeps; empty = not given. */
struct ps_r2_http {
    struct ps_slice content_type;
    struct ps_slice content_language;
    struct ps_slice content_disposition;
    struct ps_slice content_encoding;
    struct ps_slice cache_control;
    bool has_cache_expiry;
    int64_t cache_expiry_ms; /* Unix time; the Expires header */
};

struct ps_r2_pair {
    struct ps_slice name;
    struct ps_slice value;
};

enum ps_r2_class { PS_R2_STANDARD, PS_R2_INFREQUENT };

/** Where some of a body lies: bytes [0, size) of a blob. */
struct ps_r2_blob {
    struct ps_r2_id id;
    uint64_t size;
};

/** A body: its bytes (blob_count 0), or the blobs that hold it, in order. */
struct ps_r2_body {
    struct ps_slice bytes;
    struct ps_r2_blob *blobs;
    size_t blob_count;
};

/** SSE-C: bodies are not encrypted, but who reads must know the key that was given. */
struct ps_r2_ssec {
    bool given;
    uint8_t key_md5[PS_R2_ID_SIZE];
};

/** What clients give with an object, or with an upload. Owns `custom` when decoded. */
struct ps_r2_metadata {
    struct ps_r2_http http;
    struct ps_r2_pair *custom;
    size_t custom_count;
    enum ps_r2_class storage_class;
    struct ps_r2_ssec ssec;
};

/** One version of an object. */
struct ps_r2_object {
    struct ps_slice key;
    struct ps_r2_id version;
    uint64_t size;
    char etag[PS_R2_ETAG_SIZE]; /* unquoted */
    int64_t uploaded_ms;        /* Unix time of the commit; not in the bytes */
    /* MD5 unless multipart, and those that were given; `composite`: of the parts' hashes (S3). */
    struct ps_r2_checksums checksums;
    bool composite;
    uint32_t part_count; /* 0 = not a multipart object */
    struct ps_r2_metadata meta;
    bool is_inline;       /* then entry.value is the body */
    struct ps_slice body; /* entry.value; see ps_r2_object_body */
};

/** A multipart upload under way. */
struct ps_r2_upload {
    struct ps_r2_id id;
    struct ps_slice key;
    int64_t initiated_ms; /* Unix time of the commit; not in the bytes */
    struct ps_r2_metadata meta;
    ps_r2_hash_set hashes; /* CRC32 ... SHA256: S3's checksum algorithm; 0 = none */
    bool full_object;      /* its checksum type */
};

/** A part of an upload. Always one blob, also when it has no bytes. */
struct ps_r2_part {
    uint32_t number; /* 1 .. PS_R2_PARTS_MAX */
    struct ps_r2_blob blob;
    int64_t uploaded_ms;              /* Unix time of the commit; not in the bytes */
    struct ps_r2_checksums checksums; /* MD5 always: its hex is the part's ETag */
};

/** Unix time in ms at cluster time `t`. */
int64_t ps_r2_unix_ms(const struct ps_cluster *cluster, ps_time_ns t);

/** Is it a key that an object may have: 1 .. 1024 bytes of UTF-8? */
bool ps_r2_key_valid(struct ps_slice key);

/** Append an object's head (entry.metadata). */
void ps_r2_object_encode(struct ps_buf *buf, const struct ps_r2_object *object);
/** Decode an object's entry. Slices borrow from the arguments; ps_r2_object_fini frees what is
 *  owned. Errors: PS_CORRUPT, PS_UNSUPPORTED (a later format), PS_LIMIT; *ret zeroed. */
PS_MUST_CHECK enum ps_status ps_r2_object_decode(struct ps_slice key, struct ps_slice metadata,
                                                 struct ps_slice value, struct ps_r2_object *ret);
/** The same of the head alone: no body. */
PS_MUST_CHECK enum ps_status ps_r2_head_decode(struct ps_slice key, struct ps_slice metadata,
                                               struct ps_r2_object *ret);
/** The same of a version in the map, with uploaded_ms set. A tombstone is PS_NOT_FOUND. */
PS_MUST_CHECK enum ps_status ps_r2_object_of(const struct ps_cluster *cluster, struct ps_slice key,
                                             const struct ps_version *version,
                                             struct ps_r2_object *ret);
void ps_r2_object_fini(struct ps_r2_object *object); /* zeroed accepted */

/** Append the list of blobs (entry.value of an object that is not inline). */
void ps_r2_blobs_encode(struct ps_buf *buf, const struct ps_r2_blob *blobs, size_t count);
/** An object's body: bytes borrowed, blobs owned (ps_r2_body_fini). Their sizes add up to the
 *  object's. Errors: PS_CORRUPT, PS_UNSUPPORTED, PS_LIMIT. */
PS_MUST_CHECK enum ps_status ps_r2_object_body(const struct ps_r2_object *object,
                                               struct ps_r2_body *ret);
void ps_r2_body_fini(struct ps_r2_body *body); /* zeroed accepted */

/** Uploads and parts: append the entry's metadata; the value is empty. Keys are fixed by ids. */
void ps_r2_upload_encode(struct ps_buf *buf, const struct ps_r2_upload *upload);
PS_MUST_CHECK enum ps_status ps_r2_upload_decode(struct ps_slice key, struct ps_slice metadata,
                                                 struct ps_r2_upload *ret);
void ps_r2_upload_fini(struct ps_r2_upload *upload); /* zeroed accepted */
void ps_r2_part_encode(struct ps_buf *buf, const struct ps_r2_part *part);
PS_MUST_CHECK enum ps_status ps_r2_part_decode(struct ps_slice key, struct ps_slice metadata,
                                               struct ps_r2_part *ret);

/** Append an internal key. `number` 0 gives the prefix of all of the upload's parts. */
void ps_r2_upload_key(struct ps_buf *buf, const struct ps_r2_id *upload);
void ps_r2_part_key(struct ps_buf *buf, const struct ps_r2_id *upload, uint32_t number);
void ps_r2_closed_key(struct ps_buf *buf);
/** An empty key: the purge of all. */
void ps_r2_purge_key(struct ps_buf *buf, struct ps_slice key);
/** The key whose value says what was purged last. */
void ps_r2_purged_key(struct ps_buf *buf);
/** Is it a record of a purge? *ret_key is what it purges, of the record's bytes. */
bool ps_r2_record_purges(const struct ps_record *record, struct ps_slice *ret_key);

/** Call `each` for every blob that an entry (of an object or a part; others have none) refers to:
 *  what garbage collection must keep. Errors: as decoding. */
typedef void (*ps_r2_blob_fn)(void *context, const struct ps_r2_blob *blob);
PS_MUST_CHECK enum ps_status ps_r2_entry_blobs(struct ps_slice key, struct ps_slice metadata,
                                               struct ps_slice value, ps_r2_blob_fn each,
                                               void *context);

#endif
