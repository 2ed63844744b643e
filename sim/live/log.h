/* Home's log as GET /popsim/log tells it, and what it adds to a history: which writes happened
 * though nobody learned of it, what others wrote, when values expire. Pure; the bytes are not
 * trusted. */
#ifndef PS_SIM_LIVE_LOG_H
#define PS_SIM_LIVE_LOG_H

#include "replication/wire/record.h"
#include "sim/measure/history.h"

struct ps_live_record {
    uint64_t lsn;
    ps_time_ns commit_ns;
    uint64_t expires_unix_s;
    uint64_t digest;  /* of the value, 0 = deleted */
    uint64_t unix_ms; /* d1: what 'now' was; 0 = not known */
    struct ps_token token;
    uint32_t key; /* in the history's keys */
    bool deleted;
    /* r2 */
    bool purge;
    bool none;
    bool large;       /* the digest is not the body's */
    uint32_t etag;    /* in the history's requests + 1; 0 = none */
    uint32_t request; /* ... of what the history must know of it besides; 0 = nothing */
};

/** One store's log, as far as it was fetched. Zeroed = nothing yet. */
struct ps_live_log {
    struct ps_live_record *records; /* owned; LSNs from 1, without gaps */
    size_t count;
    size_t capacity;
};

void ps_live_log_fini(struct ps_live_log *log);

/** Take the lines of a page that begins at LSN count + 1. Keys are put into `keys`, ETags and what
 * else is text into `requests`. Errors: PS_CORRUPT; the records before the wrong line are kept. */
PS_MUST_CHECK enum ps_status ps_live_log_take(struct ps_live_log *log, struct ps_slice page,
                                              struct ps_intern *keys, struct ps_intern *requests,
                                              struct ps_error *err);

/** What a merge found wrong. */
struct ps_live_lost {
    uint64_t count; /* acknowledged writes that home's log does not have */
    uint64_t id;    /* the first one's operation */
};

/** Put a store's log into the history: expiries into its writes, LSNs and commit times into writes
 * of the run whose answer was lost, or that name none (purges), all other records as foreign ones.
 * The history's operations have ids 1 .. op_count, in any order. Adds to *lost. */
void ps_live_log_merge(const struct ps_live_log *log, uint16_t store, uint64_t run,
                       struct ps_history *history, struct ps_live_lost *lost);

#endif
