/* The aws-chunked encoding of a body, taken apart as its bytes come: chunks with or without
 * signatures, and the trailer behind them. Pure, in bounded memory; any split of the bytes gives
 * the same.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
 * .../sigv4-streaming-trailers.html. The data of a chunk is given out before its signature is
 * known: nothing of a body counts before PS_S3_CHUNKED_DONE. */
#ifndef PS_NODE_S3_CHUNKED_H
#define PS_NODE_S3_CHUNKED_H

#include "node/s3/sigv4.h"

enum {
    PS_S3_CHUNK_LINE_MAX = 1024,   /* bytes of a line between the data */
    PS_S3_CHUNK_TRAILER_MAX = 4096 /* bytes of all lines of a trailer */
};

enum ps_s3_chunked_event {
    PS_S3_CHUNKED_NEED,      /* all bytes are taken */
    PS_S3_CHUNKED_DATA,      /* *ret_data is a piece of the body; feed the rest */
    PS_S3_CHUNKED_DONE,      /* all is here and right; of what follows, only line ends are taken */
    PS_S3_CHUNKED_MALFORMED, /* these three stay */
    PS_S3_CHUNKED_TOO_LARGE, /* more than size_max bytes of data */
    PS_S3_CHUNKED_SIGNATURE  /* a chunk's or the trailer's is wrong */
};

struct ps_s3_chunked;

/** payload: one of the three chunked kinds; for the signed ones `seed` is copied. More than
 * size_max bytes of data are refused. */
struct ps_s3_chunked *ps_s3_chunked_create(enum ps_s3_payload payload,
                                           const struct ps_s3_seed *seed, uint64_t size_max);
void ps_s3_chunked_destroy(struct ps_s3_chunked *chunked); /* NULL accepted */

/** Take bytes off the front of *bytes up to the next event. *ret_data borrows from them. */
enum ps_s3_chunked_event ps_s3_chunked_feed(struct ps_s3_chunked *chunked, struct ps_slice *bytes,
                                            struct ps_slice *ret_data);

bool ps_s3_chunked_is_done(const struct ps_s3_chunked *chunked);
uint64_t ps_s3_chunked_size(const struct ps_s3_chunked *chunked); /* bytes of data so far */

/** A field of the trailer (lower case given), once done; false: there is none. Borrowed. */
bool ps_s3_chunked_trailer(const struct ps_s3_chunked *chunked, const char *name,
                           struct ps_slice *ret);

/** What a client puts on its next chunk of this data, or (a trailer, as "name:value\n" lines)
 * behind its last one: the signature goes into seed->signature, from which the next one goes on. */
void ps_s3_chunk_sign(struct ps_s3_seed *seed, struct ps_slice data);
void ps_s3_trailer_sign(struct ps_s3_seed *seed, struct ps_slice lines);

#endif
