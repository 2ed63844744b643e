/* The protocol of workerd's R2 binding: the JSON of a call as a request to a bucket, and what came
 * of it as an answer. Pure. Neither routing nor the value's bytes are here.
 *
 * Reads: GET with the JSON in the header CF-R2-Request; the answer's body is JSON, of as many bytes
 * as its header CF-R2-Metadata-Size says, and the value behind it. Writes: PUT whose body is JSON,
 * of as many bytes as the request's CF-R2-Metadata-Size says, and the value; the answer's body is
 * JSON. Errors: the header CF-R2-Error. */
#ifndef PS_NODE_HTTP_API_R2_H
#define PS_NODE_HTTP_API_R2_H

#include "node/http/http.h"
#include "node/r2/list.h"
#include "node/r2/request.h"

enum {
    PS_API_R2_JSON_SIZE_MAX = 1 << 20,  /* of a call's JSON; workerd takes no more of an answer's */
    PS_API_R2_LIST_SIZE_MAX = 960 << 10 /* for ps_r2_list, so that an answer has no more */
};

/** The body of a write: the JSON, and the largest value. A value that is larger still comes, for a
 *  while, so that the client hears R2's own words about it. */
#define PS_API_R2_BODY_SIZE_MAX (2 * PS_R2_UPLOAD_SIZE_MAX)

/** A call. Owns what its request points to, but for the value: `body` and `computed` are set by
 * whoever takes that, and stay theirs. */
struct ps_api_r2_call {
    struct ps_r2_request request;
    ps_r2_hash_set hashes; /* to be taken of a value: MD5 and what is declared */
    void *json;            /* its own */
};

/** The size of the JSON in front of a write's value: the header CF-R2-Metadata-Size. False: it is
 *  none, or too large. */
bool ps_api_r2_metadata_size(struct ps_slice header, size_t *ret);

/** Parse a call's JSON; `writes`: it came as a PUT. Returns false and fills *err when it is none
 * that can be made; else the request has passed ps_r2_request_check but for its value. The call
 * needs ps_api_r2_call_fini in either case. */
bool ps_api_r2_parse(struct ps_slice json, bool writes, struct ps_api_r2_call *ret,
                     struct ps_r2_error *err);
void ps_api_r2_call_fini(struct ps_api_r2_call *call);

/** head, get: the object. `span` is what is given of its body: who answers appends those bytes to
 *  response->body, or says response->tail_size. NULL: no body. */
void ps_api_r2_answer_object(const struct ps_r2_object *object, const struct ps_r2_span *span,
                             struct ps_http_response *response);
/** list */
void ps_api_r2_answer_list(const struct ps_r2_request *request, const struct ps_r2_page *page,
                           struct ps_http_response *response);
/** A mutation that `op` was. */
void ps_api_r2_answer_mutation(enum ps_r2_op op, const struct ps_r2_answer *answer,
                               struct ps_http_response *response);
/** An error. `object`: of a get whose condition does not hold, which is told with it; else NULL. */
void ps_api_r2_answer_error(const struct ps_r2_error *error, const struct ps_r2_object *object,
                            struct ps_http_response *response);

#endif
