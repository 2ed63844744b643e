/* HTTP/1.1 for a server: bytes of one connection -> requests, and answers -> bytes. Pure: the
 * caller reads, writes and keeps the time.
 *
 * A request comes whole, or, when the limit function says so, as its head, then its body in spans
 * that point into the bytes fed (nothing of it is kept), then its end. */
#ifndef PS_NODE_HTTP_HTTP1_H
#define PS_NODE_HTTP_HTTP1_H

#include "node/http/http.h"

#include <stdbool.h>

enum {
    PS_HTTP1_HEAD_SIZE_MAX = 64 << 10, /* target and headers; more is answered 431 */
    PS_HTTP1_HEADERS_MAX = 256
};

enum ps_http1_event {
    PS_HTTP1_NEED,     /* all bytes are taken, the request is not whole */
    PS_HTTP1_CONTINUE, /* the client waits for "HTTP/1.1 100 Continue\r\n\r\n"; then feed the rest
                        */
    PS_HTTP1_REQUEST,  /* one is whole: ps_http1_take, then feed the rest */
    PS_HTTP1_HEAD,     /* that of a streamed one is: ps_http1_take, then feed the rest */
    PS_HTTP1_BODY,     /* bytes of a streamed one's body: ps_http1_span, then feed the rest, even
                          if nothing is left */
    PS_HTTP1_END,      /* a streamed one's body is whole; then feed the rest */
    PS_HTTP1_REFUSED   /* ps_http1_refusal says with what to answer; close after it */
};

/** One request; `request` borrows from the message itself. The body of a streamed one is empty. */
struct ps_http1_message {
    struct ps_http_request request;
    bool keep_alive;
    bool http10;
    bool streamed;
    bool sized;         /* streamed: its body's size is known, */
    uint64_t body_size; /* and it is this */
};

struct ps_http1_parser;

/** How is the body of a request with this head to be taken? Asked once a request, when its header
 * is complete (`head->body` is empty). */
typedef struct ps_http_intake (*ps_http1_limit_fn)(void *context,
                                                   const struct ps_http_request *head);

struct ps_http1_parser *ps_http1_parser_create(ps_http1_limit_fn limit, void *context);
void ps_http1_parser_destroy(struct ps_http1_parser *parser); /* NULL accepted */

/** Take bytes up to the end of at most one request; *ret_taken of them are used up. */
enum ps_http1_event ps_http1_feed(struct ps_http1_parser *parser, struct ps_slice bytes,
                                  size_t *ret_taken);

/** The request, after PS_HTTP1_REQUEST or PS_HTTP1_HEAD. Ownership: the caller's,
 * ps_http1_message_free. It may outlive the parser. */
struct ps_http1_message *ps_http1_take(struct ps_http1_parser *parser);
void ps_http1_message_free(void *message); /* NULL accepted */

/** After PS_HTTP1_BODY: what came of it, never empty; it points into the bytes fed. */
struct ps_slice ps_http1_span(const struct ps_http1_parser *parser);

/** After PS_HTTP1_REFUSED, which may come behind a streamed one's head, too: status 400, 413 or
 * 431, and the phrase in *ret_phrase (never NULL; valid as long as the parser; empty = the standard
 * one). */
int ps_http1_refusal(const struct ps_http1_parser *parser, const char **ret_phrase);

/** Is the header of the request under way complete? */
bool ps_http1_has_head(const struct ps_http1_parser *parser);

/** Has a byte of a request come that is not whole? */
bool ps_http1_is_inside(const struct ps_http1_parser *parser);

/** Append status line and headers, Content-Length included; the body follows by the caller.
 *  close: say Connection: close. A kept HTTP/1.0 connection is told keep-alive. `date` is the value
 * of the Date header, empty = none. */
void ps_http1_write_head_dated(struct ps_buf *out, const struct ps_http_response *response,
                               bool close, bool http10, struct ps_slice date);
/** The same without a Date. */
void ps_http1_write_head(struct ps_buf *out, const struct ps_http_response *response, bool close,
                         bool http10);

/** Write Unix time as a Date header's value, always 29 bytes and a NUL. A time outside the years
 * 1970 to 9999 counts as 0. */
void ps_http1_date(int64_t unix_s, char ret_date[static 30]);

#endif
