/* Conditions of requests: R2's onlyIf and HTTP's If-* headers (RFC 9110, 13), which are one thing.
 * Pure. */
#ifndef PS_NODE_R2_CONDITIONAL_H
#define PS_NODE_R2_CONDITIONAL_H

#include "node/r2/object.h"

enum ps_r2_etag_kind { PS_R2_ETAG_STRONG, PS_R2_ETAG_WEAK, PS_R2_ETAG_ANY };

struct ps_r2_etag {
    enum ps_r2_etag_kind kind;
    struct ps_slice value; /* unquoted; empty for ANY */
};

enum { PS_R2_ETAGS_MAX = 64 }; /* of one list */

/** Zeroed = no condition. Owns its lists when parsed or decoded (ps_r2_condition_fini). */
struct ps_r2_condition {
    struct ps_r2_etag *matches; /* etagMatches, If-Match */
    size_t match_count;
    struct ps_r2_etag *differs; /* etagDoesNotMatch, If-None-Match */
    size_t differ_count;
    int64_t before_ms; /* uploadedBefore, If-Unmodified-Since */
    int64_t after_ms;  /* uploadedAfter, If-Modified-Since */
    bool has_matches;
    bool has_differs;
    bool has_before;
    bool has_after;
    bool seconds; /* secondsGranularity: If-* headers have whole seconds */
};

enum ps_r2_verdict {
    PS_R2_HOLDS,
    PS_R2_FAILS,     /* 412: If-Match or If-Unmodified-Since does not hold, or there is no object */
    PS_R2_UNMODIFIED /* If-None-Match or If-Modified-Since does not: a GET's 304, else 412 */
};

bool ps_r2_condition_given(const struct ps_r2_condition *condition);

/** Evaluate against an object; NULL: there is none. */
enum ps_r2_verdict ps_r2_condition_test(const struct ps_r2_condition *condition,
                                        const struct ps_r2_object *object);

/** The values of the If-* headers; empty = not given. What is no date is ignored, as RFC 9110
 * wants. Slices borrow from the headers. Errors: PS_INVALID (a list of ETags that is none),
 * PS_LIMIT. */
struct ps_r2_if_headers {
    struct ps_slice if_match;
    struct ps_slice if_none_match;
    struct ps_slice if_modified_since;
    struct ps_slice if_unmodified_since;
};
PS_MUST_CHECK enum ps_status ps_r2_condition_parse(const struct ps_r2_if_headers *headers,
                                                   struct ps_r2_condition *ret);
void ps_r2_condition_fini(struct ps_r2_condition *condition); /* zeroed accepted */

/** HTTP dates (RFC 9110, 5.6.7: IMF-fixdate, and the two obsolete forms) as Unix time in s. */
bool ps_r2_date_parse(struct ps_slice text, int64_t *ret_unix_s);
/** Append "Sun, 06 Nov 1994 08:49:37 GMT". */
void ps_r2_date_format(struct ps_buf *buf, int64_t unix_s);
/** Append "1994-11-06T08:49:37.123Z", as S3's XML has it. */
void ps_r2_date_iso(struct ps_buf *buf, int64_t unix_ms);

#endif
