/* One request to a bucket over an exchange, whatever protocol it came in: its body, if it has one,
 * goes to where it belongs as it comes, the request is carried out (objects.h), and the object's
 * bytes follow the answer's head. The protocol's own part is before and behind that: it makes the
 * ps_r2_request, takes the object's bytes out of what the client sends, and fills the response.
 *
 *   no body:   ps_object_exchange_run
 *   a body:    ps_object_exchange_take as its bytes come, then ps_object_exchange_end; or
 *              ps_object_exchange_refuse, where they are not what the protocol wants
 *   then:      `fill` is called, once, and the exchange is completed
 *
 * A small object's bytes travel with the mutation; a larger one's, and every part's, become a blob
 * at home while they come, hashed as they pass, with the client held back when home is slower. An
 * error that comes early is answered when the client has sent all (ps_exchange_complete sees to
 * it): clients that still send do not read. When the client goes, an upload ends and leaves
 * nothing; a mutation that was begun goes on. */
#ifndef PS_NODE_IO_OBJECT_EXCHANGE_H
#define PS_NODE_IO_OBJECT_EXCHANGE_H

#include "node/io/exchange.h"
#include "node/io/r2/objects.h"

/** Part of what the protocol keeps for the exchange (exchange->calls), which owns it. Zero it
 *  first, and ps_object_exchange_fini before the request goes. Not to be moved once it is begun. */
struct ps_object_exchange {
    struct ps_exchange *exchange;  /* given, as down to `fill` */
    struct ps_r2_request *request; /* the caller's; its body is set here, and `computed` */
    /* Taken of the body; MD5 and what is declared must be among them. 0: the protocol hashes, and
     * has set request->computed before ps_object_exchange_end. */
    ps_r2_hash_set hashes;
    bool sized; /* the object's size is known before it comes, */
    uint64_t size;
    /** Fill exchange->response from `call`: call.status first (PS_NOT_FOUND: the bucket is gone;
     * ps_r2_code_of tells the others), then call.error, then the result. Behind the body of the
     * answer to a GET that is filled with status 200 or 206, what call.span spans of the object is
     * sent; that, and the headers that tell of staleness, are not for `fill` to do. */
    void (*fill)(struct ps_object_exchange *run);
    void *context;
    /* Before: store, token, fresh and list_size_max are given. In `fill`: what it came to. */
    struct ps_object_call call;
    /* its own */
    uint64_t came; /* bytes of the object */
    struct ps_buf bytes;
    struct ps_upload *upload;
    struct ps_r2_blob blob;
    struct ps_download *download;
    bool begun;            /* the call was */
    struct ps_alarm again; /* a blob was swept: the call is made anew */
    struct ps_blob_loss loss;
};

/** Carry the request out; a mutation's body, if it has one, is in it. */
void ps_object_exchange_run(struct ps_object_exchange *run);
/** Some of the object's bytes (copied). May refuse, so that `fill` is called before it returns: the
 * exchange is then complete, and no more is to be taken. */
void ps_object_exchange_take(struct ps_object_exchange *run, struct ps_slice bytes);
/** That was all of it. */
void ps_object_exchange_end(struct ps_object_exchange *run);
/** Nothing of what has come is kept; the response is filled. Completes the exchange. */
void ps_object_exchange_refuse(struct ps_object_exchange *run);
/** Give up what is under way. Zeroed accepted; leaves what was given. */
void ps_object_exchange_fini(struct ps_object_exchange *run);

#endif
