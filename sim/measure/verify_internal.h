/* The parts of verify: events in a PoP's order, views resolved on the log, differences in words. */
#ifndef PS_SIM_MEASURE_VERIFY_INTERNAL_H
#define PS_SIM_MEASURE_VERIFY_INTERNAL_H

#include "sim/measure/store_log.h"
#include "sim/measure/verify.h"

/** One store under check. */
struct ps_verify_store {
    const struct ps_history *history;
    struct ps_verify_result *result;
    struct ps_store_log log;
    const struct ps_store *store;
    uint16_t number;
    uint32_t *sorted_keys; /* owned: keys with versions, in byte order; made for the first list */
    size_t sorted_key_count;
};

/** A view made definite: which versions of any key it lets through. */
struct ps_verify_bound {
    const struct ps_replica *replica;
    ps_time_ns commit_max; /* versions committed later are not seen */
    uint64_t lsn_max;
    ps_time_ns arrived_ns; /* order none: only records that arrived by then; PS_NEVER: all */
};

/** The version of the key within the bound; NULL if there is none. */
const struct ps_log_record *ps_verify_resolve(const struct ps_store_log *log, uint32_t key,
                                              const struct ps_verify_bound *bound);
/** Is it shown as a value at `t`: neither deleted nor expired? NULL is not. */
bool ps_verify_present(const struct ps_history *history, const struct ps_log_record *version,
                       ps_time_ns t);
/** Digest of the names that the list operation had to give. */
uint64_t ps_verify_list_digest(struct ps_verify_store *store, const struct ps_op *op,
                               const struct ps_verify_bound *bound);

/** Count a difference; the first is kept: the operation, then the text. */
void ps_verify_differs(struct ps_verify_store *store, const struct ps_op *op, const char *format,
                       ...) PS_PRINTF(3, 4);

/** Was PoP `pop` down, or about to be found down, somewhere in [from, until]? A node counts its
 * home as away only a while after it fell silent, and is found again a while after it came back. */
bool ps_verify_down(const struct ps_history *history, uint16_t pop, ps_time_ns from_ns,
                    ps_time_ns until_ns);

/** The replica of the store at a PoP, over a link that the caller keeps: the history's outages,
 * this store's round trips. */
struct ps_replica ps_verify_replica(const struct ps_verify_store *store, uint16_t pop,
                                    struct ps_link *link);
/** The window of a store that is pushed in order. Ownership: the caller's, ps_push_window_fini. */
void ps_verify_window(const struct ps_verify_store *store, const struct ps_replica *replica,
                      struct ps_push_window *ret);

/** Check the requests to a database but their answers: `events` of all PoPs. */
void ps_verify_d1(struct ps_verify_store *store, const struct ps_pop_event *events, size_t count);
/** Check their answers, by making the database again. */
void ps_verify_d1_answers(struct ps_verify_store *store);

/* ---- verify_r2.c ---- */

/** Check what home decided on the mutations of a bucket: conditions, what was there, the write
 * limit. */
void ps_verify_r2_writes(struct ps_verify_store *store);
/** What a read of a bucket that returned `version` had to give besides: digest and ETag. */
void ps_verify_r2_read(struct ps_verify_store *store, const struct ps_op *op,
                       const struct ps_log_record *version);
/** Digest of the keys and prefixes that the list operation had to give. */
uint64_t ps_verify_r2_list_digest(struct ps_verify_store *store, const struct ps_op *op,
                                  const struct ps_verify_bound *bound);
/** The keys that have versions, in byte order: store->sorted_keys. */
void ps_verify_sort_keys(struct ps_verify_store *store);
/** The first of them that is not before `prefix`. */
size_t ps_verify_first_key(const struct ps_verify_store *store, struct ps_slice prefix);

/** Check the reads of the store at one PoP: `events` ascending by time. */
void ps_verify_pop(struct ps_verify_store *store, uint16_t pop, const struct ps_pop_event *events,
                   size_t count);

#endif
