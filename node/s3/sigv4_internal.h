/* What the checker and the signer of Signature Version 4 share. */
#ifndef PS_NODE_S3_SIGV4_INTERNAL_H
#define PS_NODE_S3_SIGV4_INTERNAL_H

#include "node/s3/sigv4.h"
#include "node/s3/text.h"

#define PS_S3_ALGORITHM "AWS4-HMAC-SHA256"

/** A request as it is signed. */
struct ps_s3_signed {
    struct ps_slice method;
    struct ps_slice path;
    const struct ps_s3_query *query;
    const struct ps_http_header *headers;
    size_t header_count;
    struct ps_slice names; /* SignedHeaders: lower case, separated by ";" */
    struct ps_slice payload;
};

/** Append the canonical request. */
void ps_s3_canonical(const struct ps_s3_signed *request, struct ps_buf *into);
/** Append the text that is signed for a canonical request. */
void ps_s3_to_sign(struct ps_slice canonical, const char *date, const char *scope,
                   struct ps_buf *into);
/** HMAC(HMAC(HMAC(HMAC("AWS4" secret, day), region), "s3"), "aws4_request") */
void ps_s3_signing_key(struct ps_slice secret, struct ps_slice day, struct ps_slice region,
                       uint8_t ret[static 32]);
/** Write "day/region/s3/aws4_request" into a seed's scope. */
void ps_s3_scope(struct ps_slice day, struct ps_slice region, struct ps_s3_seed *seed);

#endif
