/* Answers of R2's REST API: buckets, and objects as wrangler and the official SDKs put, get, list
 * and delete them. Pure. What is asked is in api.h (PS_API_BUCKETS and what follows it). */
#ifndef PS_NODE_HTTP_API_R2_REST_H
#define PS_NODE_HTTP_API_R2_REST_H

#include "node/http/api.h"
#include "node/r2/list.h"

/** PS_API_BUCKETS: a page of them. */
void ps_api_answer_buckets(const struct ps_api_config *config, const struct ps_api_call *call,
                           struct ps_http_response *response);
/** One, as it is: call->ns. */
void ps_api_answer_bucket(const struct ps_api_config *config, const struct ps_api_call *call,
                          struct ps_http_response *response);
/** What became of a bucket's creation, change or deletion; PS_OK: of a deletion. PS_EXISTS: there
 * is one of that name; PS_NOT_FOUND: it is not there (any more); PS_LIMIT: there are too many. */
void ps_api_answer_bucket_change(enum ps_status status, struct ps_http_response *response);

/** The envelope of an error of R2; of PS_R2_CODE_NOT_MODIFIED there is none. */
void ps_api_r2_rest_error(const struct ps_r2_error *error, struct ps_http_response *response);
/** GET, HEAD: the object's headers; `span` is what is given of its body, which whoever answers
 * appends, or says in response->tail_size. A condition that does not hold is an error with the
 * object. */
void ps_api_r2_rest_object(const struct ps_r2_object *object, const struct ps_r2_span *span,
                           struct ps_http_response *response);
/** A page of objects. */
void ps_api_r2_rest_page(const struct ps_r2_request *request, const struct ps_r2_page *page,
                         struct ps_http_response *response);
/** PUT, DELETE that were done. */
void ps_api_r2_rest_mutation(const struct ps_r2_request *request, const struct ps_r2_answer *answer,
                             struct ps_http_response *response);

#endif
