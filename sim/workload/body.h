/* Generated bodies of objects: as many bytes as a scenario names, out of one seed, so that a
 * history can tell what they were without holding them. Pure. */
#ifndef PS_SIM_WORKLOAD_BODY_H
#define PS_SIM_WORKLOAD_BODY_H

#include "replication/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct ps_body {
    uint64_t seed;
    uint64_t size; /* bytes */
};

/** A body of this size has a digest of its seed and size alone, in place of its bytes': the virtual
 * world does without the bytes. A bucket keeps smaller ones beside their heads. */
enum { PS_BODY_LARGE = (16 << 10) + 1 };

bool ps_body_is_large(const struct ps_body *body);

/** Append `size` bytes from `offset` on; offset a multiple of 8, offset + size <= body->size. */
void ps_body_bytes(const struct ps_body *body, uint64_t offset, size_t size, struct ps_buf *ret);

/** The digest of a generated body, as histories have it: of its bytes, unless it is large. */
uint64_t ps_body_digest(const struct ps_body *body);

/** The digest of bytes that were received: as ps_body_digest, if they are a large body that
 * ps_body_bytes made; else ps_slice_hash of them. */
uint64_t ps_body_digest_of(struct ps_slice bytes);

#endif
