/* A connection of SQLite to a database whose pages are versions in the versioned map.
 *
 * At home a connection writes: each transaction that changed something becomes one record (the
 * changed pages, the new size), which is handed to `commit` before SQLite takes the transaction for
 * done; a rollback makes none. A replica's connection reads at one LSN for the length of its
 * transaction, sees what the schema was there, and refuses to write. Neither blocks the other: what
 * a transaction reads are versions, and versions do not change.
 *
 * Two connections may write to one database; of two transactions that began at the same LSN the
 * second is refused, not lost: with SQLITE_BUSY when it begins to write, or at its end with
 * SQLITE_IOERR and PS_GAP. Nothing here opens files, reads a clock or draws
 * random numbers: time comes with the view, temporary tables and journals live in memory.
 *
 * A connection belongs to one thread at a time, and it reads the map between ps_map_read_begin and
 * _end; `commit` is called outside of these. */
#ifndef PS_NODE_D1_PAGES_H
#define PS_NODE_D1_PAGES_H

#include "node/d1/page.h"
#include "node/map/map.h"

struct sqlite3;
struct ps_pages;

enum { PS_PAGES_CACHE = 2000 }; /* 8 MB, taken as they are read */

/** Make a record durable in the connection's store: its LSN is the one the transaction read at,
 *  plus one; the callee gives it a later commit time than the last and a token if it has one, and
 *  returns when ps_map_apply has it. Entries belong to the connection and live until it returns.
 *  On any failure nothing may have been appended; the transaction fails with SQLITE_FULL (PS_FULL,
 *  PS_LIMIT) or SQLITE_IOERR, and ps_pages_status tells. PS_GAP: another record came first. */
typedef enum ps_status (*ps_pages_commit_fn)(void *context, struct ps_record *record);

struct ps_pages_config {
    struct ps_map *map;
    ps_map_store store;
    ps_pages_commit_fn commit; /* NULL: a replica's connection, which only reads */
    void *context;
    uint32_t page_count_max; /* 0 = SQLite's own limit; beyond it: "database or disk is full" */
    uint32_t cache_pages;    /* that SQLite keeps at most; 0 = PS_PAGES_CACHE */
};

/** What the next transactions are given of the world. */
struct ps_pages_view {
    uint64_t lsn;    /* read at this LSN; UINT64_MAX: at the newest when a transaction begins */
    int64_t unix_ms; /* what 'now' is in SQL */
};

/** Open a connection. Errors: PS_IO, PS_CORRUPT, PS_UNSUPPORTED (a later format). */
PS_MUST_CHECK enum ps_status ps_pages_open(const struct ps_pages_config *config,
                                           struct ps_pages **ret, struct ps_error *err);
/** Its statements must be finalized; NULL accepted. */
void ps_pages_close(struct ps_pages *pages);

/** The connection itself. Owned by `pages`; never closed by the caller. */
struct sqlite3 *ps_pages_db(struct ps_pages *pages);

/** Takes effect at the next transaction's begin. An LSN that the map does not hold yet or any more
 *  makes the reads fail (PS_BEHIND, PS_TOO_OLD). */
void ps_pages_set_view(struct ps_pages *pages, const struct ps_pages_view *view);

/** Time Travel: make the database what it was at `lsn`, as one more commit, between transactions.
 *  Every page is what it was but for page 1's schema cookie, which like its change counter goes on
 *  ascending, so that no connection anywhere trusts what it has cached; and the head counts one
 *  more restore. LSN 0 gives an empty database. Errors: PS_TOO_OLD (that state is forgotten),
 *  PS_BEHIND (there is no such LSN yet), PS_LIMIT (more pages differ than a record holds),
 *  `commit`'s; nothing has changed. */
PS_MUST_CHECK enum ps_status ps_pages_restore(struct ps_pages *pages, uint64_t lsn);

/** The LSN that the last transaction read at, or made. */
uint64_t ps_pages_lsn(const struct ps_pages *pages);
/** The database's size at that LSN. */
uint32_t ps_pages_count(const struct ps_pages *pages);
/** How often it had been restored then. */
uint32_t ps_pages_restores(const struct ps_pages *pages);
/** SQLite's count of schema changes there; 0 where the database is empty. Within a transaction that
 *  has read something. Errors: the map's. */
PS_MUST_CHECK enum ps_status ps_pages_schema(struct ps_pages *pages, uint32_t *ret);
/** Why the map or `commit` last failed under SQLite's SQLITE_IOERR; PS_OK if they did not. Cleared
 *  by ps_pages_set_view. */
enum ps_status ps_pages_status(const struct ps_pages *pages);

/** Read a page (or for page 0 the head's bytes) at an LSN, between ps_map_read_begin and _end.
 *  `ret` borrows from the map. Errors: PS_NOT_FOUND (never written, or gone), PS_CORRUPT, PS_IO. */
PS_MUST_CHECK enum ps_status ps_pages_read(struct ps_map *map, ps_map_store store, uint32_t page,
                                           uint64_t lsn, struct ps_slice *ret);

#endif
