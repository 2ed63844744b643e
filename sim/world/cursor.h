/* What the files of ps_world_measure share: the engine that keeps no history.
 *
 *   cursor.c       the whole
 *   cursor_plan.c  every session's operations: writes in one list, reads in one list per PoP
 *   cursor_log.c   the writes in home's order: each store's log, and the answers that come to each
 * PoP cursor_pop.c   one PoP: its answers and reads in the order of its clock cursor_key.c   one
 * key at one PoP: what is shown, and how stale that is */
#ifndef PS_SIM_WORLD_CURSOR_H
#define PS_SIM_WORLD_CURSOR_H

#include "sim/measure/store_log.h"
#include "sim/measure/visibility_walk.h"
#include "sim/world/world_internal.h"

/** One operation, planned. */
struct cursor_op {
    ps_time_ns at_ns;
    uint32_t key;
    uint32_t action : 22; /* index into cursor.actions */
    uint32_t pop : 10;
};

/** Operations in runs: each session's ascend by time. */
struct cursor_list {
    struct cursor_op *ops; /* owned */
    size_t count;
    size_t capacity;
    size_t *runs; /* owned: where each run begins */
    size_t run_count;
    size_t run_capacity;
    size_t session; /* 1 + whose run the last one is; 0 = none */
};

/** A write's answer, as it comes to its PoP. */
struct cursor_answer {
    ps_time_ns at_ns;
    ps_time_ns commit_ns;
    uint32_t key;
    uint32_t store;
};

struct cursor_answers {
    struct cursor_answer *answers; /* owned; ascending by time once ps_cursor_log is done */
    size_t count;
    size_t capacity;
};

struct cursor {
    struct world *world;
    struct ps_measures *measures;
    const struct ps_action **actions; /* owned; of all workloads, one behind the other */
    uint64_t *hashes;                 /* owned; of each key */
    bool *bad;                        /* owned; of each key: refused as a name */
    size_t key_count;
    struct cursor_list writes;
    struct cursor_list *reads;      /* owned; one per PoP */
    struct cursor_answers *answers; /* owned; one per PoP */
    struct ps_store_log *logs;      /* owned; one per store */
};

/** Errors: PS_LIMIT. */
PS_MUST_CHECK enum ps_status ps_cursor_plan(struct cursor *cursor, struct ps_error *err);
/** Give `list` the order of time, and of the file at one instant. */
void ps_cursor_list_merge(struct cursor_list *list);
void ps_cursor_log(struct cursor *cursor);

/** How one key stands at one PoP; reads come with time never decreasing. */
struct cursor_key {
    ps_time_ns from_ns;       /* a read in [from, until) is given what was shown last ... */
    ps_time_ns until_ns;      /* ... without being decided anew */
    ps_time_ns next_ns;       /* commit time of version `upto` (from 0); PS_NEVER = there is none */
    ps_time_ns newest_ns;     /* of the one before it */
    ps_time_ns superseded_ns; /* of version `shown`; PS_NEVER = there is none */
    uint32_t shown;           /* versions that are shown */
    uint32_t upto;            /* versions committed by the last read */
    uint32_t epoch;           /* the PoP for which all this holds */
};

/** What deciding needs besides. */
struct cursor_entry {
    struct ps_pin pin;
    struct ps_visibility_meter meter;
};

enum { PS_CURSOR_BLOCK = 64 };

/** One store at the PoP that is walked. */
struct cursor_store {
    const struct ps_store_log *log;
    const struct world_replica *replica;
    struct ps_store_measures *measures;
    struct ps_visibility_sink sink;
    bool plain;                   /* what a cache shows is settled by its pin alone */
    struct cursor_key *keys;      /* owned; kept from PoP to PoP */
    struct cursor_entry *entries; /* owned; cache only */
    uint32_t *touched;            /* owned: keys of this epoch */
    size_t touched_count;
    uint32_t epoch;
    size_t passed; /* fifo: records that are visible by now */
    size_t drawn;  /* fifo: records whose arrival is drawn, a block at a time */
    ps_time_ns visible_ns[PS_CURSOR_BLOCK]; /* fifo: when those of the last block are visible */
};

void ps_cursor_store_init(struct cursor_store *store, const struct cursor *cursor, uint16_t number);
void ps_cursor_store_fini(struct cursor_store *store);
/** Begin the walk of a PoP, and end it: what is left of visibility is settled. */
void ps_cursor_store_begin(struct cursor_store *store, const struct cursor *cursor, uint16_t pop);
void ps_cursor_store_end(struct cursor_store *store, const struct cursor *cursor);
/** The PoP lost its cache at `t`. */
void ps_cursor_store_drop(struct cursor_store *store, const struct cursor *cursor, ps_time_ns t);
/** A read that the PoP decides at eval_ns. */
void ps_cursor_store_read(struct cursor_store *store, const struct cursor *cursor, uint16_t pop,
                          const struct cursor_op *op, ps_time_ns eval_ns, ps_time_ns crash_ns);
/** A write's answer came. */
void ps_cursor_store_answer(struct cursor_store *store, const struct cursor *cursor,
                            const struct cursor_answer *answer, ps_time_ns refresh_ns);

/** Walk one PoP with all stores. */
void ps_cursor_pop(struct cursor *cursor, struct cursor_store *stores, uint16_t pop);

#endif
