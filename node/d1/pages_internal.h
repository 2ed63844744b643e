/* A connection, as the files of node/d1/pages*.c know it.
 *
 *   pages.c          opening, closing, the snapshot that a transaction reads
 *   pages_vfs.c      SQLite's virtual file system
 *   pages_commit.c   from changed pages to a record
 *   pages_restore.c  from a former state to the pages that bring it back */
#ifndef PS_NODE_D1_PAGES_INTERNAL_H
#define PS_NODE_D1_PAGES_INTERNAL_H

#include "node/d1/pages.h"
#include "replication/base/hash.h"

#include <sqlite3.h>

/* The fields of page 1 by which SQLite notices that others have written: a count of changes, and
 * the count up to which another field holds. Read, they are the LSN, so that what is cached of one
 * LSN is never taken for what is there at another (and `emptied` besides); as they are kept, they
 * mean nothing, and a record does without page 1 where nothing else of it has changed. */
enum { PS_CHANGES_AT = 24, PS_CHANGES_VALID_AT = 92, PS_CHANGES_SIZE = 4 };

/** A page that the transaction has written. */
struct ps_dirty_page {
    uint32_t page;
    char data[PS_PAGE_SIZE];
    UT_hash_handle hh;
};

struct ps_pages {
    struct ps_pages_config config;
    struct ps_pages_view view;
    struct sqlite3_vfs vfs; /* one a connection: it carries the connection's time */
    char vfs_name[32];
    struct sqlite3 *db;
    bool opened;
    bool set_up; /* SQLite's own pragmas are over: those that would break us are refused from now */

    int lock; /* SQLITE_LOCK_* of the one file */
    uint64_t lsn;
    struct ps_page_head head; /* at lsn */
    bool known;               /* lsn and head are set */
    /* How often the view went back to before the first record. An empty file has no such field, and
     * SQLite, which then reads nothing, still remembers the one of before: at the same LSN again it
     * would trust the empty page that it has cached meanwhile. */
    uint32_t emptied;

    char first[PS_PAGE_KEPT]; /* page 1 at lsn: SQLite asks for it at each begin */
    bool first_known;

    struct ps_dirty_page *dirty;
    uint32_t size; /* pages, as this transaction has made it */

    enum ps_status status;
};

/* pages.c */

/** Move to the view's LSN and read the head there. */
PS_MUST_CHECK enum ps_status ps_pages_snapshot(struct ps_pages *pages);
/** Copy the PS_PAGE_KEPT bytes of a page at the snapshot, page 1 with the LSN for its change
 * counter; zeros where there is none. */
PS_MUST_CHECK enum ps_status ps_pages_load(struct ps_pages *pages, uint32_t page, char *out);
/** Read the head at an LSN, between ps_map_read_begin and _end. Errors: PS_TOO_OLD, as above. */
PS_MUST_CHECK enum ps_status ps_pages_read_head(const struct ps_pages *pages, uint64_t lsn,
                                                struct ps_page_head *ret);
/** The page among those that the transaction has written; a new one is zeroed. */
struct ps_dirty_page *ps_pages_dirty(struct ps_pages *pages, uint32_t page);
/** Forget what the transaction has written. */
void ps_pages_drop_dirty(struct ps_pages *pages);

/* pages_commit.c */

/** Make the transaction's record and have it committed; the snapshot moves on to it, which has been
 * restored so often. Nothing is done where nothing has changed. Errors: PS_LIMIT (more pages than a
 * record holds), `commit`'s. */
PS_MUST_CHECK enum ps_status ps_pages_commit(struct ps_pages *pages, uint32_t restores);

/* pages_vfs.c */

/** Fill in pages->vfs. */
void ps_pages_vfs_init(struct ps_pages *pages);

#endif
