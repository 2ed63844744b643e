/* HTTP/1.1 for a server: bytes of one connection -> whole requests, and answers -> bytes. Pure: the
 * caller reads, writes and keeps the time. */
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
    PS_HTTP1_REFUSED   /* ps_http1_refusal says with what to answer; close after it */
};

/** One whole request; `request` borrows from the message itself. */
struct ps_http1_message {
    struct ps_http_request request;
    bool keep_alive;
    bool http10;
};

struct ps_http1_parser;

/** How large may the body of a request with this head be, in bytes? Asked once a request, when its
 *  header is complete (`head->body` is empty). */
typedef size_t (*ps_http1_limit_fn)(void *context, const struct ps_http_request *head);

struct ps_http1_parser *ps_http1_parser_create(ps_http1_limit_fn limit, void *context);
void ps_http1_parser_destroy(struct ps_http1_parser *parser); /* NULL accepted */

/** Take bytes up to the end of at most one request; *ret_taken of them are used up. */
enum ps_http1_event ps_http1_feed(struct ps_http1_parser *parser, struct ps_slice bytes,
                                  size_t *ret_taken);

/** The whole request, after PS_HTTP1_REQUEST. Ownership: the caller's, ps_http1_message_free. It
 * may outlive the parser. */
struct ps_http1_message *ps_http1_take(struct ps_http1_parser *parser);
void ps_http1_message_free(void *message); /* NULL accepted */

/** After PS_HTTP1_REFUSED: status 400, 413 or 431, and the phrase in *ret_phrase (never NULL; valid
 *  as long as the parser; empty = the standard one). */
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
