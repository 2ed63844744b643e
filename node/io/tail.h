/* The rest of a large answer: a value that is read from the map a part at a time, as the client
 * takes it. So a value of 25 MiB costs a connection a part's memory, however slow its client is.
 *
 * What is sent is one version, found again by its LSN for each part: it does not change while it is
 * there, and it is there for the retention after it was superseded. */
#ifndef PS_NODE_IO_TAIL_H
#define PS_NODE_IO_TAIL_H

#include "node/io/node_internal.h"

enum { PS_TAIL_PART = 256 << 10 /* bytes of one part */ };

/** Zeroed = nothing is to come. */
struct ps_tail {
    struct ps_node_store *store;
    struct ps_buf key;
    uint64_t lsn;
    size_t size; /* bytes of the value */
    size_t sent; /* of them, given by ps_tail_next */
};

/** Copies the key. */
void ps_tail_init(struct ps_tail *tail, struct ps_node_store *store, struct ps_slice key,
                  uint64_t lsn, size_t size);
void ps_tail_fini(struct ps_tail *tail); /* leaves it zeroed */
/** Is more to come? */
bool ps_tail_left(const struct ps_tail *tail);
/** Append the next part to `ret`. False: the version is gone, and the answer cannot be ended. */
bool ps_tail_next(struct ps_tail *tail, struct ps_buf *ret);

#endif
