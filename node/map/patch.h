/* What differs between two values of one size. Pure.
 *
 * A page of a database changes in a few places when a row comes; between nodes and in the journal
 * only these are carried. A patch is runs until its end: (skip varint, size varint, bytes)*, where
 * varint is LEB128 and skip counts from the run before. The same bytes on every machine. */
#ifndef PS_NODE_MAP_PATCH_H
#define PS_NODE_MAP_PATCH_H

#include "replication/base/slice.h"
#include "replication/base/status.h"

/** Append to `buf` what makes `now` of `former`, both of `size` bytes. */
void ps_patch_put(struct ps_buf *buf, const char *now, const char *former, size_t size);

/** Make the value of `former` in `out`, `size` bytes each, which do not overlap.
 *  Errors: PS_CORRUPT; `out` is undefined then. */
PS_MUST_CHECK enum ps_status ps_patch_apply(struct ps_slice patch, const char *former, char *out,
                                            size_t size);

#endif
