/* The small texts of S3's protocol: percent-encoding, query strings, hex, times. Pure; says
 * nothing of what they mean. */
#ifndef PS_NODE_S3_TEXT_H
#define PS_NODE_S3_TEXT_H

#include "replication/base/slice.h"

enum { PS_S3_PARAMS_MAX = 128 }; /* parameters of a query string */

/** Append `text` with all but RFC 3986's unreserved bytes as %XX (AWS's UriEncode, "/" too). */
void ps_s3_uri_encode(struct ps_buf *into, struct ps_slice text);
/** Append `text` percent-decoded; plus: "+" is a space. A "%" without two hex digits stays. Never
 *  appends more bytes than `text` has. */
void ps_s3_uri_decode(struct ps_buf *into, struct ps_slice text, bool plus);

struct ps_s3_param {
    struct ps_slice name; /* decoded */
    struct ps_slice value;
};

/** A query string's parameters in their order. Owns its text. */
struct ps_s3_query {
    struct ps_s3_param *params;
    size_t count;
    struct ps_buf text;
};

/** Split and decode what stands behind "?" (empty parts are skipped). Errors: PS_LIMIT (more than
 *  PS_S3_PARAMS_MAX); *ret is empty then. ps_s3_query_fini in any case. */
PS_MUST_CHECK enum ps_status ps_s3_query_read(struct ps_slice raw, struct ps_s3_query *ret);
void ps_s3_query_fini(struct ps_s3_query *query);
/** The first parameter of that name, or NULL. */
const struct ps_slice *ps_s3_query_get(const struct ps_s3_query *query, const char *name);

/** Split an origin-form target: "/p?q" -> "/p" and "q". */
void ps_s3_split_target(struct ps_slice target, struct ps_slice *ret_path,
                        struct ps_slice *ret_query);

void ps_s3_hex(const uint8_t *bytes, size_t size, char *ret); /* 2 * size lower digits and a NUL */
/** Decimal digits only; false: none, others, or more than 2^63-1. */
bool ps_s3_number(struct ps_slice text, uint64_t *ret);
/** Without blanks at both ends. */
struct ps_slice ps_s3_trim(struct ps_slice text);

/** "20130524T000000Z" only. */
bool ps_s3_amz_date_read(struct ps_slice text, int64_t *ret_unix_s);
void ps_s3_amz_date(int64_t unix_s, char ret[static 17]);

#endif
