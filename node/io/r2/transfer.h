/* Bodies on their way between a client's PoP and home, from the PoP's point of view: an upload
 * becomes a blob at home, a download is parts of blobs of home. Where the PoP is home they are
 * files here; else they go and come over HTTP (peer.h), with the same back-pressure. */
#ifndef PS_NODE_IO_TRANSFER_H
#define PS_NODE_IO_TRANSFER_H

#include "node/io/node_internal.h"
#include "node/io/r2/blobs.h"
#include "node/io/tail.h"

struct ps_upload;
struct ps_download;

/** Begin a blob of the store; as ps_blob_begin, with its errors and PS_NOT_FOUND (home knows no
 * such store), PS_UNREACHABLE and PS_TIMEOUT (home is away). sized: its size is known. */
struct ps_upload *ps_upload_begin(struct ps_node_store *store, const struct ps_r2_id *id,
                                  ps_r2_hash_set hashes, bool sized, uint64_t size,
                                  const struct ps_blob_writer *writer);
/** As ps_blob_append, ps_blob_finish, ps_blob_abort. */
bool ps_upload_append(struct ps_upload *upload, struct ps_slice bytes);
void ps_upload_finish(struct ps_upload *upload);
void ps_upload_abort(struct ps_upload *upload);

/** Bytes [offset, offset + size) of a blob. */
struct ps_download_part {
    struct ps_r2_id id;
    uint64_t offset;
    uint64_t size;
};

/** A download has begun: PS_OK: `tail` has all its bytes, and is the callee's. PS_NOT_FOUND: the
 * first blob is not there (any more); PS_INVALID: it is shorter; PS_UNREACHABLE, PS_TIMEOUT: home
 * is away; PS_IO. The download is not to be touched any more. */
typedef void (*ps_download_fn)(void *context, enum ps_status status, struct ps_tail *tail);

/** Begin to read parts (copied), one after the other; at least one has a byte. Elsewhere than at
 * home a single part may be of UINT64_MAX bytes: up to the blob's end. At home `begun` is called
 * before this returns, which then gives NULL. */
struct ps_download *ps_download_begin(struct ps_node_store *store,
                                      const struct ps_download_part *parts, size_t count,
                                      ps_download_fn begun, void *context);
/** Give it up, before `begun`. */
void ps_download_cancel(struct ps_download *download);

#endif
