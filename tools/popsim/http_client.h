/* One HTTP request to a node, blocking: what the commands use. */
#ifndef PS_TOOLS_POPSIM_HTTP_CLIENT_H
#define PS_TOOLS_POPSIM_HTTP_CLIENT_H

#include "replication/base/slice.h"

#include <stdint.h>
#include <stdio.h>

struct http_reply {
    int status;
    char phrase[512];
    struct ps_buf headers; /* "name: value\n" lines, names in lower case */
    struct ps_buf body;
};

void http_reply_fini(struct http_reply *reply);
/** The value of a header (lower-case name), or empty. */
struct ps_slice http_reply_header(const struct http_reply *reply, const char *name);

enum { HTTP_LIMIT_MS = 60000 }; /* how long a command that must have an answer waits for it */

/** Send `method target` with `headers` ("Name: value\r\n" lines, may be empty) and wait for the
 *  answer, limit_ms at most. Errors: PS_UNREACHABLE, PS_TIMEOUT, PS_CORRUPT, with the address. */
PS_MUST_CHECK enum ps_status http_call(const char *address, uint16_t port, const char *method,
                                       struct ps_slice target, const char *headers,
                                       struct ps_slice body, uint64_t limit_ms,
                                       struct http_reply *ret, struct ps_error *err);

/** Bodies of any size, which pass through a file on their way. */
struct http_stream {
    FILE *from; /* the request's body; NULL: it has none */
    bool sized; /* `from` has exactly `size` bytes; else it goes out until its end, chunked */
    uint64_t size;
    FILE *into; /* the body of a 200; NULL: into the reply, as all others are */
    /** So many bytes have gone, or come, of `total` (0: not known). NULL: nobody wants to know. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/** As http_call with such bodies. It is given up when nothing moves for HTTP_LIMIT_MS. Errors: as
 *  http_call; PS_IO (a file). */
PS_MUST_CHECK enum ps_status http_pass(const char *address, uint16_t port, const char *method,
                                       struct ps_slice target, const char *headers,
                                       const struct http_stream *stream, struct http_reply *ret,
                                       struct ps_error *err);

/** GET `target` into `file`, of any size; what is no 200 is in *ret. Errors: as http_call; PS_IO
 * (the file). */
PS_MUST_CHECK enum ps_status http_download(const char *address, uint16_t port,
                                           struct ps_slice target, FILE *file, uint64_t limit_ms,
                                           struct http_reply *ret, struct ps_error *err);

#endif
