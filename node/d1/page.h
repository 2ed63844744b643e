/* One page of a database as the versioned map and the wire carry it. Pure.
 *
 * A store of the versioned map is a database: key = the page's number (from 1, big-endian), value =
 * the page. SQLite is asked to leave the last PS_PAGE_RESERVED bytes of each page alone; they are
 * not kept and read as zeros, so that a page with the map's own fields fits one page of LMDB. Key 0
 * is the database's head: its size and a checksum over all its pages, with which a replica notices
 * that it has diverged. */
#ifndef PS_NODE_D1_PAGE_H
#define PS_NODE_D1_PAGE_H

#include "replication/wire/record.h"

enum {
    PS_PAGE_SIZE = 4096,
    PS_PAGE_RESERVED = 48,
    PS_PAGE_KEPT = PS_PAGE_SIZE - PS_PAGE_RESERVED,
    PS_PAGE_KEY_SIZE = 4,
    PS_PAGE_HEAD_SIZE = 29,
    /* Pages that one record may change: whole, they fit PS_RECORD_SIZE_MAX. */
    PS_PAGES_PER_RECORD_MAX = (PS_RECORD_SIZE_MAX - (64 << 10)) / (PS_PAGE_KEPT + 32)
};

static_assert(PS_PAGES_PER_RECORD_MAX + 1 < PS_ENTRIES_MAX, "the pages of a record are entries");

/** What key 0 holds. Zeroed = an empty database. */
struct ps_page_head {
    uint32_t page_count;
    uint64_t checksum; /* the exclusive or of ps_page_hash of all pages that are kept */
    uint32_t restores; /* how often Time Travel has brought back a former state */
    uint64_t unix_ms;  /* what 'now' was in the transaction that made this state; 0: not known */
};

void ps_page_key(char out[PS_PAGE_KEY_SIZE], uint32_t page);
/** False: no key of a page or head. */
bool ps_page_key_read(struct ps_slice key, uint32_t *ret);

void ps_page_head_write(char out[PS_PAGE_HEAD_SIZE], const struct ps_page_head *head);
/** Errors: PS_CORRUPT; PS_UNSUPPORTED (a later format, another page size). */
PS_MUST_CHECK enum ps_status ps_page_head_read(struct ps_slice bytes, struct ps_page_head *ret);

/** Hash of a page's PS_PAGE_KEPT bytes at its place. The same on every machine. */
uint64_t ps_page_hash(uint32_t page, const char *kept);

#endif
