/* HTTP/1.1 for a client: bytes of one connection -> answers, each as its head, its body in spans
 * that point into the bytes fed, and its end. Pure. Of the headers only those that frame the body
 * are looked at; interim answers (1xx) are read over. Requests are never HEAD or CONNECT. */
#ifndef PS_NODE_HTTP_HTTP1_ANSWER_H
#define PS_NODE_HTTP_HTTP1_ANSWER_H

#include "replication/base/slice.h"

struct ps_http1_answer_parser;

enum ps_http1_answer_event {
    PS_HTTP1_ANSWER_NEED,   /* all bytes are taken */
    PS_HTTP1_ANSWER_HEAD,   /* ps_http1_answer_head; then feed the rest, even if nothing is left */
    PS_HTTP1_ANSWER_BODY,   /* ps_http1_answer_span; then feed the rest, even if nothing is left */
    PS_HTTP1_ANSWER_END,    /* it is whole; then feed the rest, of the next one */
    PS_HTTP1_ANSWER_REFUSED /* this is no HTTP; close */
};

struct ps_http1_answer_head {
    int status;
    bool keep_alive;    /* the connection can be used again */
    bool sized;         /* the body's size is known, */
    uint64_t body_size; /* and it is this */
};

struct ps_http1_answer_parser *ps_http1_answer_parser_create(void);
void ps_http1_answer_parser_destroy(struct ps_http1_answer_parser *parser); /* NULL accepted */

/** Take bytes up to the next event; *ret_taken of them are used up. An answer without a length ends
 *  with the connection: call ps_http1_answer_finish then. */
enum ps_http1_answer_event ps_http1_answer_feed(struct ps_http1_answer_parser *parser,
                                                struct ps_slice bytes, size_t *ret_taken);
/** The other side sends no more: END if that ends the answer, NEED if none was under way, else
 * REFUSED. */
enum ps_http1_answer_event ps_http1_answer_finish(struct ps_http1_answer_parser *parser);

struct ps_http1_answer_head ps_http1_answer_head(const struct ps_http1_answer_parser *parser);
/** After PS_HTTP1_ANSWER_BODY: never empty. */
struct ps_slice ps_http1_answer_span(const struct ps_http1_answer_parser *parser);

#endif
