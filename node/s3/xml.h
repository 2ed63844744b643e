/* XML of the S3 protocol: a writer for the documents that are answered, and readers for those that
 * clients send. Pure. Readers refuse document type declarations, and with them entities, and bound
 * depth and counts; the size of a body is bounded by whoever buffers it (the limits below). */
#ifndef PS_NODE_S3_XML_H
#define PS_NODE_S3_XML_H

#include "node/r2/request.h"
#include "replication/base/slice.h"

enum {
    PS_S3_XML_DEPTH_MAX = 16,
    /* largest bodies */
    PS_S3_DELETE_SIZE_MAX = 8 << 20,   /* 1000 keys, each byte of which may be an entity */
    PS_S3_COMPLETE_SIZE_MAX = 8 << 20, /* 10000 parts with checksums */
    PS_S3_CONFIG_SIZE_MAX = 1 << 20,   /* CORS, lifecycle */
    PS_S3_CREATE_SIZE_MAX = 64 << 10,  /* CreateBucketConfiguration */
    /* what bodies may hold */
    PS_S3_CORS_RULES_MAX = 100,
    PS_S3_CORS_ITEMS_MAX = 100, /* origins, methods, headers of a rule, each */
    PS_S3_LIFECYCLE_RULES_MAX = 1000
};

/* ---- writing ---- */

void ps_s3_xml_begin(struct ps_buf *into);                  /* <?xml ...?> */
void ps_s3_xml_root(struct ps_buf *into, const char *name); /* with S3's namespace */
void ps_s3_xml_open(struct ps_buf *into, const char *name);
void ps_s3_xml_close(struct ps_buf *into, const char *name);
/** <name>text</name>, escaped. A control character becomes a numeric reference. */
void ps_s3_xml_text(struct ps_buf *into, const char *name, struct ps_slice text);
void ps_s3_xml_number(struct ps_buf *into, const char *name, uint64_t value);
void ps_s3_xml_bool(struct ps_buf *into, const char *name, bool value);
/** A key: percent-encoded first where the request asked for encoding-type=url. */
void ps_s3_xml_key(struct ps_buf *into, const char *name, struct ps_slice key, bool url);

/* ---- reading ----
 * All give PS_INVALID for what is not well formed or not such a document, PS_LIMIT for more than
 * may be; *ret is zeroed then. Texts belong to what is read; the _fini functions accept zeroed
 * ones. */

struct ps_s3_delete {
    struct ps_slice *keys;
    size_t count; /* at least 1, at most PS_R2_DELETE_MAX */
    bool quiet;   /* validated; R2 ignores it */
    struct ps_buf text;
};

PS_MUST_CHECK enum ps_status ps_s3_delete_read(struct ps_slice body, struct ps_s3_delete *ret);
void ps_s3_delete_fini(struct ps_s3_delete *list);

struct ps_s3_complete {
    struct ps_r2_named_part *parts; /* in the document's order; numbers may be any */
    size_t count;                   /* at least 1, at most PS_R2_PARTS_MAX */
    struct ps_buf text;
};

PS_MUST_CHECK enum ps_status ps_s3_complete_read(struct ps_slice body, struct ps_s3_complete *ret);
void ps_s3_complete_fini(struct ps_s3_complete *list);

struct ps_s3_create {
    struct ps_slice location; /* LocationConstraint; empty: not given */
    struct ps_buf text;
};

/** An empty body is fine: nothing is given. */
PS_MUST_CHECK enum ps_status ps_s3_create_read(struct ps_slice body, struct ps_s3_create *ret);
void ps_s3_create_fini(struct ps_s3_create *create);

struct ps_s3_texts {
    struct ps_slice *items;
    size_t count;
    size_t capacity;
};

struct ps_s3_cors_rule {
    struct ps_slice id;
    struct ps_s3_texts origins;
    struct ps_s3_texts methods;
    struct ps_s3_texts headers;
    struct ps_s3_texts expose;
    bool has_max_age;
    uint64_t max_age_s;
};

/** A bucket's CORS configuration. */
struct ps_s3_cors {
    struct ps_s3_cors_rule *rules;
    size_t count; /* at least 1 */
    struct ps_buf text;
};

PS_MUST_CHECK enum ps_status ps_s3_cors_read(struct ps_slice body, struct ps_s3_cors *ret);
void ps_s3_cors_write(const struct ps_s3_cors *cors, struct ps_buf *into); /* the document */
void ps_s3_cors_fini(struct ps_s3_cors *cors);

struct ps_s3_lifecycle_rule {
    struct ps_slice id;
    struct ps_slice prefix;
    struct ps_slice expire_date; /* ISO 8601, as sent; empty: none */
    struct ps_slice transition_date;
    uint64_t expire_days;
    uint64_t abort_days; /* of uploads, from when they were begun */
    uint64_t transition_days;
    bool enabled;
    bool has_expire_days;
    bool has_abort_days;
    bool has_transition_days;
    bool has_transition; /* to STANDARD_IA */
};

/** A bucket's lifecycle configuration. */
struct ps_s3_lifecycle {
    struct ps_s3_lifecycle_rule *rules;
    size_t count; /* at least 1 */
    struct ps_buf text;
};

PS_MUST_CHECK enum ps_status ps_s3_lifecycle_read(struct ps_slice body,
                                                  struct ps_s3_lifecycle *ret);
void ps_s3_lifecycle_write(const struct ps_s3_lifecycle *lifecycle, struct ps_buf *into);
void ps_s3_lifecycle_fini(struct ps_s3_lifecycle *lifecycle);

#endif
