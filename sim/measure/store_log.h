/* One store's log, rebuilt from a history: its writes and the foreign records, by LSN and by key.
 */
#ifndef PS_SIM_MEASURE_STORE_LOG_H
#define PS_SIM_MEASURE_STORE_LOG_H

#include "sim/measure/history.h"
#include "sim/measure/visibility_meter.h"

struct ps_log_record {
    uint64_t lsn;
    ps_time_ns commit_ns;
    uint64_t expires_unix_s; /* 0 = never */
    uint64_t digest;
    const struct ps_op *op; /* borrowed; NULL: foreign */
    uint32_t key;
    bool deleted;
    bool purge;           /* r2: of public caches: of `key`, of all keys if that is empty */
    bool none;            /* r2: a version of no key (struct ps_foreign) */
    const uint32_t *more; /* r2: the other keys that a delete made versions of; the log's */
    uint32_t more_count;
    /* d1, r2: as in an operation */
    uint32_t request;
    uint32_t etag;
    ps_time_ns run_ns;
    uint64_t seed;
};

struct ps_store_log {
    struct ps_log_record *records; /* owned; ascending by LSN, without gaps if `problems` is 0 */
    size_t count;
    size_t key_count;        /* keys below it are indexed */
    size_t *key_ends;        /* owned; of key k: [key_ends[k], key_ends[k + 1]) in the two below */
    uint32_t *keys;          /* owned; what records' `more` points into */
    size_t version_count;    /* of all keys */
    size_t *by_key;          /* owned; indices of records, ascending */
    ps_time_ns *key_commits; /* owned; their commit times */
    uint64_t problems; /* LSNs that come twice or not at all, commit times that do not ascend */
    char problem[512]; /* the first, in words */
};

/** A log may begin behind LSN 1 only with a foreign record. */
void ps_store_log_init(struct ps_store_log *log, const struct ps_history *history, uint16_t store);
void ps_store_log_fini(struct ps_store_log *log);
/** Make the key index of a log whose `records` and `count` the caller has filled: ascending,
 * without gaps, of keys below `key_count`. */
void ps_store_log_index(struct ps_store_log *log, size_t key_count);

/** Of how many keys is it a version? */
size_t ps_log_record_versions(const struct ps_log_record *record);

/** The key's versions; none for a key that was not there when the log was indexed. */
struct ps_commits ps_store_log_commits(const struct ps_store_log *log, uint32_t key);
/** How many of the key's versions were committed at or before `t`. */
size_t ps_store_log_upto(const struct ps_store_log *log, uint32_t key, ps_time_ns t);
/** The same, for one who knows that the first `from` were: fast when there are few more, or none.
 */
size_t ps_store_log_upto_from(const struct ps_store_log *log, uint32_t key, size_t from,
                              ps_time_ns t);
/** Is what a cache's entry shows known to be absent: no version, or a deletion? Asked only where
 * absence is not held (policy->cache.negative), false otherwise: what ps_view_cache is to be told.
 */
bool ps_store_log_pinned_absent(const struct ps_store_log *log, const struct ps_policy *policy,
                                const struct ps_pin *pin, uint32_t key);
/** The key's version number `index` (0 = the oldest). */
const struct ps_log_record *ps_store_log_version(const struct ps_store_log *log, uint32_t key,
                                                 size_t index);
/** LSN of the store's last record committed at or before `t`; 0 if there is none. */
uint64_t ps_store_log_lsn_at(const struct ps_store_log *log, ps_time_ns t);

/** What a PoP did to its view of a store, at the instant by which its doings are ordered. */
struct ps_pop_event {
    ps_time_ns at_ns;
    const struct ps_op *op; /* borrowed */
    bool refresh;           /* a write's refresh of the PoP's own entry; else a read or list, */
    bool drop;              /* ... or that its entry had to go, before it was decided again */
};

/** A store's events by PoP, then time; D1: with what was read at home, at home's instants. Failed
 * reads that no PoP decided stand where they were invoked. Ownership: the caller's, free(). */
struct ps_pop_event *ps_pop_events(const struct ps_history *history, uint16_t store,
                                   size_t *ret_count);

/** "fra" of an operation. */
const char *ps_op_pop(const struct ps_history *history, const struct ps_op *op);

#endif
