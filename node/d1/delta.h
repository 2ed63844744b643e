/* A commit's pages on the wire: only the bytes that differ from the page's former version. Pure.
 *
 * In the map a record's entries are whole pages (node/d1/page.h); between nodes they are deltas,
 * some ten times smaller. `encode` makes the second of the first, `apply` the first of the second,
 * on a node whose map holds the database as it was one LSN before. Both are records, so that the
 * feed carries them like any other; the wire form's bytes are in docs/PROTOCOL.md.
 *
 * `apply` ends in the head's checksum over all pages: where it does not come out, the pages here
 * are not home's, and nothing may be appended (a snapshot heals it). */
#ifndef PS_NODE_D1_DELTA_H
#define PS_NODE_D1_DELTA_H

#include "node/d1/page.h"

/** Give what the page (0: the head) held before the record; valid until the next call or longer.
 *  Errors: PS_NOT_FOUND (it held nothing, or that is forgotten); others end the work. */
typedef enum ps_status (*ps_page_former_fn)(void *context, uint32_t page, struct ps_slice *ret);

/** A record and the memory that its entries point to. Zeroed = empty; may be used again. */
struct ps_page_record {
    struct ps_record record;
    struct ps_buf bytes;
};

/** The wire form of a record of pages. `ret` borrows nothing but the keys of `record`.
 *  Errors: PS_CORRUPT (no record of pages), `former`'s. */
PS_MUST_CHECK enum ps_status ps_page_record_encode(const struct ps_record *record,
                                                   ps_page_former_fn former, void *context,
                                                   struct ps_page_record *ret);

/** The record of pages of a wire form. Errors: PS_CORRUPT (no such form), PS_UNSUPPORTED (a later
 *  one), PS_GAP (the pages here are not what the record was made from), `former`'s. */
PS_MUST_CHECK enum ps_status ps_page_record_apply(const struct ps_record *wire,
                                                  ps_page_former_fn former, void *context,
                                                  struct ps_page_record *ret);

void ps_page_record_fini(struct ps_page_record *record);

#endif
