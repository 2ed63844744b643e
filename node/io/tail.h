/* The rest of a large answer, behind its head: sent a part at a time, as the client takes it, so
 * that a value of 25 MiB or an object of 5 TiB costs a connection a part's memory, however slow its
 * client is. Its size is known before it begins. It is one of
 *
 * - a value in the map. What is sent is one version, found again by its LSN for each part: it does
 * not change while it is there, and it is there for the retention after it was superseded;
 * - parts of files, one after the other, which the kernel sends from its page cache. Each is opened
 *   when its turn has come: a multipart object has thousands;
 * - a source, which gives what has come of it until now. */
#ifndef PS_NODE_IO_TAIL_H
#define PS_NODE_IO_TAIL_H

#include "node/io/node_internal.h"

#include <sys/types.h>

enum { PS_TAIL_PART = 256 << 10 /* bytes of one part */ };

enum ps_tail_state {
    PS_TAIL_READY, /* something is there, or all was given */
    PS_TAIL_WAITS, /* nothing is there yet; who gives it calls ready */
    PS_TAIL_BROKEN /* the rest will not come: the answer cannot be ended */
};

/** Where bytes come from that are not here yet. Embedded in what gives them. */
struct ps_tail_source {
    /** Append what is there, at most PS_TAIL_PART bytes of it. READY: something was appended. */
    enum ps_tail_state (*next)(struct ps_tail_source *source, struct ps_buf *ret);
    enum ps_tail_state (*state)(const struct ps_tail_source *source);
    /** All is given, or no more is wanted. */
    void (*close)(struct ps_tail_source *source);
    /** Set by who takes the bytes; NULL: nobody does yet. To be called, from the loop, when what
     * waited is READY or BROKEN. */
    void (*ready)(void *reader);
    void *reader;
};

/** Part of a file. */
struct ps_tail_file {
    char *path; /* owned by the tail, once handed over */
    uint64_t offset;
    uint64_t size;
};

enum ps_tail_kind { PS_TAIL_NONE, PS_TAIL_VALUE, PS_TAIL_FILES, PS_TAIL_SOURCE };

/** Zeroed = nothing is to come. */
struct ps_tail {
    enum ps_tail_kind kind;
    uint64_t size; /* bytes in all */
    uint64_t sent; /* of them, given or sent */
    /* a value */
    struct ps_node_store *store;
    struct ps_buf key;
    uint64_t lsn;
    /* files */
    struct ps_tail_file *files; /* owned */
    size_t file_count;
    size_t file;        /* under way */
    uint64_t file_sent; /* of it */
    int fd;             /* of it, while it is open: file_open */
    bool file_open;
    /* a source */
    struct ps_tail_source *source;
};

/** A value of that many bytes. Copies the key. */
void ps_tail_init(struct ps_tail *tail, struct ps_node_store *store, struct ps_slice key,
                  uint64_t lsn, size_t size);
/** Takes over the array and its paths. `fd` is the first file, open, or -1. */
void ps_tail_init_files(struct ps_tail *tail, struct ps_tail_file *files, size_t count, int fd);
/** The source gives that many bytes; it is closed by ps_tail_fini. */
void ps_tail_init_source(struct ps_tail *tail, struct ps_tail_source *source, uint64_t size);
void ps_tail_fini(struct ps_tail *tail); /* leaves it zeroed */
/** Is more to come? */
bool ps_tail_left(const struct ps_tail *tail);
enum ps_tail_state ps_tail_state(const struct ps_tail *tail);
/** Append the next part to `ret`. READY: at least a byte was appended. */
enum ps_tail_state ps_tail_next(struct ps_tail *tail, struct ps_buf *ret);
/** Send some of the files' bytes to a socket. As sendfile(): the bytes sent, or -1 and errno; EPIPE
 * when the rest cannot be read. */
ssize_t ps_tail_send(struct ps_tail *tail, int socket);

#endif
