/* HTTP/1.1 responses of a node: bytes of one connection -> whole responses, with what the node
 * tells of itself in its popsim-* headers. Pure; the bytes are not trusted. */
#ifndef PS_SIM_LIVE_RESPONSE_H
#define PS_SIM_LIVE_RESPONSE_H

#include "replication/base/slice.h"

enum {
    PS_LIVE_HEAD_SIZE_MAX = 64 << 10, /* header names and values of one response */
    PS_LIVE_BODY_SIZE_MAX = 64 << 20, /* the largest: a page of a log, a value */
    PS_LIVE_TEXT_SIZE_MAX = 63        /* of a header's value that is kept: a bookmark has 59 */
};

/** One whole response. */
struct ps_live_response {
    int status;
    bool keep_alive;
    bool told; /* it has popsim-time: a store's operation was carried out, or failed, at the PoP */
    bool late;
    uint64_t eval_ns; /* popsim-time */
    uint64_t lsn;
    uint64_t boot;
    uint64_t refresh_ns;
    uint64_t have_lsn;
    /* of a database */
    uint64_t run_ns;
    uint64_t at_home;
    uint64_t wrote;
    char bookmark[PS_LIVE_TEXT_SIZE_MAX + 1];
    char error[PS_LIVE_TEXT_SIZE_MAX + 1]; /* popsim-status */
    /* of a bucket */
    uint64_t metadata_size;                /* of the JSON in front of a body */
    char etag[PS_LIVE_TEXT_SIZE_MAX + 1];  /* of a public answer, without quotes */
    char cache[PS_LIVE_TEXT_SIZE_MAX + 1]; /* CF-Cache-Status, in lower case */
    uint64_t dropped_ns;                   /* 0 = not */
    struct ps_buf body;
};

enum ps_live_event {
    PS_LIVE_NEED,  /* all bytes are taken, the response is not whole */
    PS_LIVE_WHOLE, /* one is whole */
    PS_LIVE_BROKEN /* this is no response, or one beyond the limits: close the connection */
};

struct ps_live_parser;

struct ps_live_parser *ps_live_parser_create(void);
void ps_live_parser_destroy(struct ps_live_parser *parser); /* NULL accepted */

/** Take bytes up to the end of at most one response; *ret_taken of them are used up. */
enum ps_live_event ps_live_parser_feed(struct ps_live_parser *parser, struct ps_slice bytes,
                                       size_t *ret_taken);

/** What came of a response that is not whole: its head; NULL: not even that. Lifetime: as below. */
const struct ps_live_response *ps_live_parser_head(const struct ps_live_parser *parser);

/** The whole response, after PS_LIVE_WHOLE. Lifetime: until the next feed. */
const struct ps_live_response *ps_live_parser_response(const struct ps_live_parser *parser);

#endif
