/* What a bucket's lifecycle configuration does: which objects are to go, and which uploads that
 * were not completed. Pure; times are arguments. Transitions to another storage class are kept with
 * the configuration and do nothing: nothing here costs less there.
 *
 * developers.cloudflare.com/r2/buckets/object-lifecycles. The service acts "typically within 24
 * hours" of an object's expiry; here whoever calls decides how soon. */
#ifndef PS_NODE_S3_LIFECYCLE_H
#define PS_NODE_S3_LIFECYCLE_H

#include "node/s3/xml.h"

/** Objects of this key that were uploaded before *ret_before_ms (Unix time) are to be deleted at
 *  `now_unix_ms`. false: none are. */
bool ps_s3_lifecycle_expires(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                             int64_t now_unix_ms, int64_t *ret_before_ms);
/** Append when an object of this key that was uploaded then will be due, as x-amz-expiration has
 * it: expiry-date="Sun, 06 Nov 1994 08:49:37 GMT", rule-id="..." of the rule that comes first.
 * false: none does. */
bool ps_s3_lifecycle_expiration(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                                int64_t uploaded_ms, struct ps_buf *into);
/** As ps_s3_lifecycle_expires, of uploads for this key, by when they were begun. */
bool ps_s3_lifecycle_aborts(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                            int64_t now_unix_ms, int64_t *ret_before_ms);

#endif
