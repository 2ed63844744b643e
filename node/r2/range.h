/* Ranges of bodies: the binding's object form, and the Range header (RFC 9110, 14). Pure. */
#ifndef PS_NODE_R2_RANGE_H
#define PS_NODE_R2_RANGE_H

#include "node/r2/error.h"
#include "replication/base/slice.h"

enum ps_r2_range_kind {
    PS_R2_RANGE_NONE,
    PS_R2_RANGE_SPAN,   /* offset and length, of which either may be missing */
    PS_R2_RANGE_SUFFIX, /* the last `length` bytes */
    PS_R2_RANGE_HEADER, /* a Range header, by the binding's rules: exactly one valid range counts,
                           else all */
    PS_R2_RANGE_S3      /* a Range header, by the S3 API's rules: what is malformed is an error */
};

/** What is asked. Zeroed = all. */
struct ps_r2_range {
    enum ps_r2_range_kind kind;
    bool has_offset;
    uint64_t offset;
    bool has_length;
    uint64_t length;
    struct ps_slice header; /* "bytes=0-4" */
};

/** What is given. */
struct ps_r2_span {
    uint64_t offset;
    uint64_t length;
    bool partial; /* a range was asked for and counts: 206 */
};

/** The part of a body of `size` bytes that `range` names. Returns false and fills *err when it
 *  cannot be given (416 InvalidRange; S3: 400 InvalidArgument). */
bool ps_r2_range_resolve(const struct ps_r2_range *range, uint64_t size, struct ps_r2_span *ret,
                         struct ps_r2_error *err);

/** Append "bytes 0-4/10", the Content-Range of a span. */
void ps_r2_content_range(struct ps_buf *buf, const struct ps_r2_span *span, uint64_t size);

#endif
