/* The body of an upload as its bytes come: taken out of aws-chunked where it is in it, measured,
 * hashed, and held against what the request's head said. Pure, in bounded memory. */
#ifndef PS_NODE_S3_BODY_H
#define PS_NODE_S3_BODY_H

#include "node/r2/sniff.h"
#include "node/s3/s3.h"

struct ps_s3_body;

/** For a call whose intake is PS_S3_BYTES (or whose document is to be checked). The call may be
 *  moved, the head must stay. */
struct ps_s3_body *ps_s3_body_create(const struct ps_s3_call *call);
void ps_s3_body_destroy(struct ps_s3_body *body); /* NULL accepted */

enum ps_s3_body_event {
    PS_S3_BODY_NEED,   /* all bytes are taken */
    PS_S3_BODY_DATA,   /* *ret_data is a piece of the object; feed the rest */
    PS_S3_BODY_REFUSED /* nothing more is taken: ps_s3_body_finish says why */
};

/** Take bytes off the front of *bytes up to the next event. *ret_data borrows from them. */
enum ps_s3_body_event ps_s3_body_feed(struct ps_s3_body *body, struct ps_slice *bytes,
                                      struct ps_slice *ret_data);

/** The first bytes of what was given out, at most PS_R2_SNIFF_SIZE. Borrowed. */
struct ps_slice ps_s3_body_head(const struct ps_s3_body *body);

/** All has come (or was refused). true: it is what the head said; *ret_computed are the hashes
 *  (call.hashes), and what the trailer declares is added to *ret_declared. false: the response is
 *  the error's, and nothing that was given out may be kept. */
bool ps_s3_body_finish(struct ps_s3_body *body, struct ps_r2_checksums *ret_declared,
                       struct ps_r2_checksums *ret_computed, struct ps_http_response *response);

#endif
