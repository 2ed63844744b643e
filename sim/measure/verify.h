/* Verify: compute again what every read of a history had to return.
 *
 * The log is rebuilt from the writes (and foreign records); then each PoP's reads are decided in
 * the order of their eval_ns with the functions of replication/world/visibility.h, and compared:
 * version, found, digest. Writes are checked too: LSNs without gaps, commit times that ascend, each
 * LSN once.
 *
 * D1: which LSN each request was answered from (at a replica by the policy, at home the newest),
 * that it was run where its session asks for, and not before its bookmark was reached. Then the
 * database is made again by SQLite from the requests that wrote, LSN by LSN, and each answer is
 * held against what the same request gives there. A request whose chance or time nobody knows, and
 * what comes behind a record whose request is not known, is not run again (`answers_skipped`); of
 * these, equal requests at one LSN must have equal answers. SQL that asks its connection about
 * earlier requests (last_insert_rowid(), changes()) is not compared. */
#ifndef PS_SIM_MEASURE_VERIFY_H
#define PS_SIM_MEASURE_VERIFY_H

#include "sim/measure/history.h"

struct ps_verify_result {
    uint64_t operations; /* lines */
    uint64_t reads;      /* reads and lists checked */
    uint64_t writes;     /* writes checked */
    uint64_t
        late; /* reads that home's absence excuses; they are checked against what the PoP had */
    uint64_t answers;         /* D1: made again, and compared */
    uint64_t answers_skipped; /* D1: that could not be */
    uint64_t differences;     /* all others that differ */
    char
        first[1024]; /* the first difference: the read, what it returned, what it had to, and why */
};

/** PS_OK: computed (differences may be > 0). PS_INVALID: the history cannot be computed, with the
 *  reason. */
PS_MUST_CHECK enum ps_status ps_verify(const struct ps_history *history,
                                       struct ps_verify_result *ret, struct ps_error *err);

#endif
