/* CORS on the S3 API, by a bucket's configuration (ps_s3_cors): preflight requests and the headers
 * of answers. Pure. docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html */
#ifndef PS_NODE_S3_CORS_H
#define PS_NODE_S3_CORS_H

#include "node/http/http.h"
#include "node/s3/xml.h"

/** Answer an OPTIONS request. `cors` NULL: the bucket has none, or there is no such bucket. */
void ps_s3_preflight(const struct ps_s3_cors *cors, const struct ps_http_request *head,
                     struct ps_http_response *response);

/** Add to any answer what lets the browser give it to the page. A request without Origin, or one
 *  that no rule allows, gets nothing. */
void ps_s3_cors_headers(const struct ps_s3_cors *cors, const struct ps_http_request *head,
                        struct ps_http_response *response);

#endif
