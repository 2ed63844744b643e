/* Blobs: bodies of objects that are too large for the map, as files of the PoP that is their
 * store's home.
 *
 * <PoP's folder>/blobs/<store>/<id> is a blob that is whole and, when the cluster is durable, on
 * the disk; <id>.<n>.tmp is one that is being written. A blob gets its name after its bytes are
 * synced and never changes; so whoever finds its name finds all of it. What is broken off leaves
 * nothing, also when the process is killed: temporary files go at the next start.
 *
 * A blob lives as long as something refers to it. What that is only the store's owner knows:
 * sweeping gives it those blobs that might be unknown to it (ps_blobs_sweep_begin), it names those
 * that it knows, and the others are deleted. A blob that was just written is held for a while,
 * until the record that refers to it has had the time to be committed.
 *
 * All functions are the loop's. Writing, syncing, hashing and deleting happen on threads of their
 * own; reading is the kernel's (node/io/tail.h). */
#ifndef PS_NODE_IO_BLOBS_H
#define PS_NODE_IO_BLOBS_H

#include "node/r2/object.h"
#include "replication/base/status.h"

struct ev_loop;
struct ps_blobs;
struct ps_blob_write;

enum {
    PS_BLOB_THREADS = 2,
    PS_BLOB_PENDING = 64 << 10, /* bytes that wait for the disk before a writer is to wait */
    PS_BLOB_HOLD_S = 300,       /* a new blob is not swept for this long, usually */
    PS_BLOB_SWEEP_MAX = 4096    /* blobs of one sweep */
};

/** Open or create the folder `path` (mode 0700), delete temporary files, start the threads. sync:
 *  blobs are on the disk before they are done. A new blob is not swept for hold_s. Errors: PS_IO,
 *  PS_FULL, with the path. */
PS_MUST_CHECK enum ps_status ps_blobs_open(struct ev_loop *loop, const char *path, bool sync,
                                           double hold_s, struct ps_blobs **ret,
                                           struct ps_error *err);
/** End the threads once what they do is done. What is not finished stays so, and is to be aborted
 *  before the end. NULL accepted. */
void ps_blobs_stop(struct ps_blobs *blobs);
/** Behind ps_blobs_stop; all writes are done or aborted. NULL accepted. */
void ps_blobs_close(struct ps_blobs *blobs);
/** Is a thread at work? */
bool ps_blobs_busy(const struct ps_blobs *blobs);

/** What became of a write. */
struct ps_blob_result {
    enum ps_status status;
    const char *text; /* why not; NULL if PS_OK */
    uint64_t size;
    struct ps_r2_checksums checksums;
};

/** Who writes a blob. Both are called later, never from within a call below. */
struct ps_blob_writer {
    /** More can be taken, after ps_blob_append has returned false. */
    void (*drained)(void *context);
    /** It is whole and has its name, or it failed and has left nothing: PS_EXISTS (there is one of
     * that id), PS_FULL (the disk), PS_NOT_FOUND (the store was dropped), PS_IO. A failure may come
     * at any time, and ends the write: it is not to be touched any more. */
    void (*done)(void *context, const struct ps_blob_result *result);
    void *context;
};

/** Begin a blob. `hashes` are taken of its bytes as they pass. The store's name is copied. */
struct ps_blob_write *ps_blob_begin(struct ps_blobs *blobs, const char *store,
                                    const struct ps_r2_id *id, ps_r2_hash_set hashes,
                                    const struct ps_blob_writer *writer);
/** Add bytes (copied, and always taken). False: enough for now, `drained` will tell. */
bool ps_blob_append(struct ps_blob_write *write, struct ps_slice bytes);
/** That was all. `done` tells. */
void ps_blob_finish(struct ps_blob_write *write);
/** Give it up, before `done`: neither is called any more. Its file goes. */
void ps_blob_abort(struct ps_blob_write *write);

/** Size of a blob, and its file, open for reading. One that is being deleted is not there. Errors:
 * PS_NOT_FOUND, PS_IO. */
PS_MUST_CHECK enum ps_status ps_blob_open(const struct ps_blobs *blobs, const char *store,
                                          const struct ps_r2_id *id, int *ret_fd,
                                          uint64_t *ret_size);
/** Its file's path. Ownership: the caller's, free(). */
char *ps_blob_path(const struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id);
/** Delete it; who is reading it reads on. done(context, ...) (may be NULL) is called later. Errors:
 *  PS_NOT_FOUND, PS_IO. */
void ps_blob_delete(struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id,
                    void (*done)(void *context, enum ps_status status), void *context);
/** All blobs of a store that is gone, once those that are being written have failed; no more are
 * taken. */
void ps_blobs_drop(struct ps_blobs *blobs, const char *store);

/** Each store that has blobs, or had some. `each` may drop it. */
void ps_blobs_stores(const struct ps_blobs *blobs, void (*each)(void *context, const char *store),
                     void *context);

/** Keep it from being swept, from now on until as many calls of ps_blob_release. A record that
 * refers to it is on its way. */
void ps_blob_hold(struct ps_blobs *blobs, const struct ps_r2_id *id);
/** The record is in the map, or will not be. */
void ps_blob_release(struct ps_blobs *blobs, const struct ps_r2_id *id);

/** The same of a record that was refused. When nobody else holds the blob, and nobody has released
 * it since it was written, nothing refers to it nor will: it is deleted at once. */
void ps_blob_discard(struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id);

/** Look at up to `budget` (at most PS_BLOB_SWEEP_MAX) more of a store's blobs; returns how many of
 *  them are candidates: nothing holds them. *ret_round: all of that store were looked at since the
 * last time it was true. One sweep at a time, of whichever store. */
size_t ps_blobs_sweep_begin(struct ps_blobs *blobs, const char *store, size_t budget,
                            bool *ret_round);
bool ps_blobs_sweeps(const struct ps_blobs *blobs);
/** Something refers to this blob: if it is a candidate, it is none any more. To be called for all
 * that is referred to at any time between begin and end: of a walk that takes several turns of the
 * loop, holds cover what is committed meanwhile. */
void ps_blobs_sweep_known(struct ps_blobs *blobs, const struct ps_r2_id *id);
/** Delete the candidates that are left, but those that have been held since; returns how many. With
 *  `all_known` none. */
size_t ps_blobs_sweep_end(struct ps_blobs *blobs, bool all_known);

#endif
