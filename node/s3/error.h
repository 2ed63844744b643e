/* Error documents of the S3 protocol, as R2 writes them: no namespace, "'" escaped, and whatever
 * further elements follow the message. */
#ifndef PS_NODE_S3_ERROR_H
#define PS_NODE_S3_ERROR_H

#include "node/http/http.h"

/** Fill a zeroed response. The message is `format`'s. */
void ps_s3_fail(struct ps_http_response *response, int status, const char *code, const char *format,
                ...) PS_PRINTF(4, 5);

/** The same with elements behind the message: open, append with node/s3/xml.h to response->body,
 *  close. */
void ps_s3_fail_open(struct ps_http_response *response, int status, const char *code,
                     struct ps_slice message);
void ps_s3_fail_close(struct ps_http_response *response);

/* Those that several places give. */
void ps_s3_no_such_bucket(struct ps_http_response *response);
void ps_s3_malformed_xml(struct ps_http_response *response);
void ps_s3_route_not_found(struct ps_http_response *response);
void ps_s3_not_implemented(struct ps_http_response *response, const char *format, ...)
    PS_PRINTF(2, 3);
void ps_s3_invalid_argument(struct ps_http_response *response, const char *format, ...)
    PS_PRINTF(2, 3);

#endif
