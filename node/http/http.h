/* HTTP messages as the front sees them: what http1.c parses and serialises, and what routes read
 * and write. Pure data; slices borrow from the connection's buffer. */
#ifndef PS_NODE_HTTP_HTTP_H
#define PS_NODE_HTTP_HTTP_H

#include "replication/base/slice.h"

enum ps_http_method {
    PS_HTTP_GET,
    PS_HTTP_HEAD,
    PS_HTTP_PUT,
    PS_HTTP_POST,
    PS_HTTP_DELETE,
    PS_HTTP_PATCH,
    PS_HTTP_OPTIONS,
    PS_HTTP_OTHER
};

struct ps_http_header {
    struct ps_slice name; /* as sent; compare without case */
    struct ps_slice value;
};

struct ps_http_request {
    enum ps_http_method method;
    struct ps_slice target; /* origin form: "/a%2Fb?x=1" */
    const struct ps_http_header *headers;
    size_t header_count;
    struct ps_slice body;
};

/** The first header of that name (lower case given), or NULL. */
const struct ps_http_header *ps_http_header(const struct ps_http_request *request,
                                            const char *name);

/** How a request's body is taken. */
struct ps_http_intake {
    uint64_t size_max; /* bytes; more is answered 413 */
    bool stream;       /* the head comes at once, and the body in pieces */
};

/** A response under construction. */
struct ps_http_response {
    int status;
    char phrase[512];      /* reason phrase; empty = the standard one for the status */
    struct ps_buf headers; /* "name: value\r\n" lines; no Content-Length, Connection or Date */
    struct ps_buf body;
    uint64_t tail_size; /* bytes of the body that follow behind `body`, by whoever sends it */
};

void ps_http_response_fini(struct ps_http_response *response);
/** Add a header; bytes that would break the line (CR, LF, NUL) are dropped. */
void ps_http_response_header(struct ps_http_response *response, const char *name,
                             struct ps_slice value);
const char *ps_http_phrase(int status); /* the standard reason phrase, "" if unknown */

#endif
