/* multipart/form-data (RFC 7578), as the REST API's clients send a value with its metadata. Pure.
 */
#ifndef PS_NODE_HTTP_MULTIPART_H
#define PS_NODE_HTTP_MULTIPART_H

#include "replication/base/slice.h"

/** Find the field called `name` in a body of that Content-Type. *ret_found is false when there is
 *  none; else *ret borrows its bytes from the body. Errors: PS_INVALID (no boundary, or the body is
 *  not made of parts between it). */
PS_MUST_CHECK enum ps_status ps_multipart_field(struct ps_slice content_type, struct ps_slice body,
                                                const char *name, struct ps_slice *ret,
                                                bool *ret_found);

#endif
