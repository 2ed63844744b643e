/* Hash tables: uthash with popsim's memory and hash function.
 *
 * Tables iterate in insertion order, which does not depend on the hash. Include this instead of
 * <uthash.h>: by default uthash takes memory with malloc() and ends the program with exit() where
 * there is none. */
#ifndef PS_REPLICATION_BASE_HASH_H
#define PS_REPLICATION_BASE_HASH_H

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/base/slice.h"

#define HASH_FUNCTION(data, size, hash)                                                            \
    ((hash) = (unsigned)ps_slice_hash((struct ps_slice){(const char *)(data), (size)}))
#define uthash_malloc(size) ps_calloc(1, (size))
#define uthash_fatal(reason) PS_NOT_REACHED()

#include <uthash.h>

#endif
