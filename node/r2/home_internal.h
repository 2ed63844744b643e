/* What home.c (who runs when) and evaluate.c (what comes of it) share. */
#ifndef PS_NODE_R2_HOME_INTERNAL_H
#define PS_NODE_R2_HOME_INTERNAL_H

#include "node/r2/home.h"
#include "replication/base/hash.h"

/** A key that mutations touch, as long as there are such. */
struct ps_r2_lock {
    UT_hash_handle hh;
    size_t users;                        /* mutations that wait or are under way */
    size_t shared;                       /* ... under way and sharing it */
    bool exclusive;                      /* one is under way that does not */
    uint64_t blocked_run;                /* in this run somebody waits for it ... */
    uint64_t blocked_shared_run;         /* ... and would share it */
    const struct ps_r2_mutation *adding; /* whose holds have it already */
    size_t key_size;
    char key[];
};

struct ps_r2_hold {
    struct ps_r2_lock *lock;
    bool exclusive;
};

struct ps_r2_waiting {
    struct ps_r2_waiting *next;
    void *tag;
};

struct ps_r2_mutation {
    struct ps_r2_commit commit;  /* first member */
    UT_hash_handle hh;           /* by token */
    struct ps_r2_mutation *next; /* in the queue */
    struct ps_token token;
    bool lost;   /* its body is not there: it can only be recalled */
    char *bytes; /* that the request's slices point into */
    struct ps_r2_request request;
    struct ps_r2_waiting first; /* further tries hang behind it */
    struct ps_r2_waiting **last;
    struct ps_r2_hold *holds;
    size_t hold_count;
    size_t hold_capacity;
    struct ps_r2_answer answer;
    size_t entry_capacity;
    char **memory; /* that the entries' slices point into, one each */
    size_t memory_capacity;
};

/** What an evaluation is made against. Within a map read. */
struct ps_r2_against {
    const struct ps_cluster *cluster;
    struct ps_map *map;
    ps_map_store store;
    ps_dur_ns write_interval_ns;
    ps_time_ns now_ns;
    bool closed; /* the bucket is */
};

/** Evaluate: fills mutation->answer, and mutation->commit's entries when something is to be
 * committed. */
void ps_r2_evaluate(const struct ps_r2_against *against, struct ps_r2_mutation *mutation);

/** The answer of a mutation that committed at `lsn`, made again from the map. */
void ps_r2_recall(const struct ps_r2_against *against, struct ps_r2_mutation *mutation,
                  uint64_t lsn, ps_time_ns commit_ns);

#endif
