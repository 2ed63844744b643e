/* Time Travel of a D1 database: the bookmark of an instant, and bringing back the state that a
 * bookmark or an instant names. Home's thread of the database does it, as a request among others:
 * those behind it see the restored state. Of those before it the ones that are not done yet are
 * cancelled, as D1 does (ps_d1_thread_submit).
 *
 * A restore is one more commit (ps_pages_restore). LSNs go on, so that a session with a bookmark of
 * before it waits for nothing, and the next epoch begins, so that all later bookmarks sort behind
 * all earlier ones. Home keeps former states for PS_TRAVEL_NS (house.c). */
#ifndef PS_NODE_IO_TRAVEL_H
#define PS_NODE_IO_TRAVEL_H

#include "node/d1/bookmark.h"
#include "node/d1/pages.h"
#include "node/io/d1/d1_thread.h"

/** How long home keeps the former states of a database, in cluster time (D1: 30 days); and of how
 *  many commits at most, so that one that is written to for days does not fill the disk. What
 *  PS_RETENTION_NS promises is kept in any case. */
#define PS_TRAVEL_NS (30 * 24 * PS_HOUR)

enum { PS_TRAVEL_COMMITS = 100000 };

/** D1 restores a database so often in such a time at most. */
#define PS_TRAVEL_RESTORES_NS (10 * PS_MINUTE)

enum { PS_TRAVEL_RESTORES = 10 };

/** A state of a database. Zeroed = before the first commit. */
struct ps_travel_state {
    uint64_t lsn;
    ps_time_ns commit_ns;
    uint32_t restores; /* that there had been by then */
};

/** The newest state within a bound. Any thread, outside of a map read. Errors: PS_NOT_FOUND (there
 *  is none, or not any more), PS_CORRUPT, PS_IO; *ret zeroed. */
PS_MUST_CHECK enum ps_status ps_travel_find(const struct ps_node_store *store,
                                            const struct ps_bound *bound,
                                            struct ps_travel_state *ret);

/** The bookmark of a state, NUL-terminated. */
void ps_travel_bookmark(const struct ps_node_store *store, const struct ps_travel_state *state,
                        char ret[PS_BOOKMARK_SIZE + 1]);
/** May it be a bookmark of this database? */
bool ps_travel_is_of(const struct ps_node_store *store, const struct ps_bookmark *bookmark);

/** Home keeps all states that were the newest at this instant or later, and maybe more. */
ps_time_ns ps_travel_horizon(const struct ps_node_store *store, ps_time_ns now_ns);

/** Is it a job for the next function? */
static inline bool ps_travel_is(const struct ps_d1_job *job)
{
    return (job->flags & (PS_QUERY_BOOKMARK | PS_QUERY_RESTORE)) != 0;
}

/** Does this job restore a state, as far as that is known before it is carried out? (It may turn
 * out to be too large.) On the loop, outside of a map read. */
bool ps_travel_restores(const struct ps_node_store *store, const struct ps_d1_job *job);

/** Carry out a job with PS_QUERY_BOOKMARK or PS_QUERY_RESTORE, on home's thread of the database.
 *  `text` becomes {"bookmark"}, or {"bookmark","previous_bookmark","message"}. `made`: an earlier
 *  try has restored it (job->at_lsn), and only its answer is lost. */
void ps_travel_run(struct ps_node_store *store, struct ps_pages *pages, struct ps_d1_job *job,
                   bool made);

#endif
