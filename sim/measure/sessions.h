/* Session guarantees and linearizability, checked as operations complete.
 *
 * The guarantees are those of Terry et al. ("Session Guarantees for Weakly Consistent Replicated
 * Data", PDIS 1994), asked of what clients saw. One primary gives every write its LSN, so each is a
 * comparison of LSNs. An operation comes "before" another if it completed at or before the other's
 * invocation; overlapping ones are in no order. Each read breaks a guarantee at most once.
 *
 * read_your_writes: a read returns an older version of the key than a write of it that the same
 * session made before.
 *
 * monotonic_reads: a read returns an older version of the key than one that the same session read
 * before.
 *
 * monotonic_writes: a session wrote W1 and then W2 of another key, W1 being its newest write that
 * came before W2. Some session read W2's version at a PoP, and then, at the same PoP, an older
 * version of W1's key than W1: the PoP showed W2 without W1. Also counted: a session's later write
 * with the smaller LSN.
 *
 * writes_follow_reads: the same with a read R in W1's place, R being the session's newest read
 * before W2 that saw something new: a PoP showed W2 without what R saw.
 *
 * linearizable, per key: a read returns an older version than one that was written, or read by any
 * session, before; or a version that was committed after the read had completed.
 *
 * monotonic_writes and writes_follow_reads look one step back, and at versions whose write had
 * completed before they were read. Failed operations are passed over, except that a failed write
 * with a known LSN has a version.
 *
 * Work is O(1) an operation: a few hash look-ups, and a walk over the operations it overlaps. The
 * witness kept is the shortest: fewest operations, then least time from the first's invocation to
 * the last's completion, then the first found. */
#ifndef PS_SIM_MEASURE_SESSIONS_H
#define PS_SIM_MEASURE_SESSIONS_H

#include "sim/measure/measure.h"

struct ps_sessions;

/** The checker of one store whose log begins at `first_lsn` (1, unless it is older than the run).
 */
struct ps_sessions *ps_sessions_create(uint64_t first_lsn);
void ps_sessions_destroy(struct ps_sessions *sessions); /* NULL accepted */

/** Feed one completed operation of the store. A D1 request is a write of its one key if it wrote,
 * else a read. Order: by (complete_ns, id). Lists are passed over.
 */
void ps_sessions_feed(struct ps_sessions *sessions, const struct ps_op *op);

/** Give the counts and witnesses found so far, with their text; names come from the history's
 * tables. */
void ps_sessions_result(const struct ps_sessions *sessions, const struct ps_cluster *cluster,
                        const struct ps_intern *session_names, const struct ps_intern *keys,
                        struct ps_violations ret[PS_VIOLATION_KINDS]);

#endif
