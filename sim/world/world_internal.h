/* What the files of the virtual world share.
 *
 *   world.c    setting up, the loop, the end
 *   way.c      how long reads and writes are on their way, and what may end them
 *   reads.c    reads: decided when invoked, resolved when home's state of that instant is there
 *   writes.c   writes: on the way to home, committed, answered
 *   objects.c  R2: what reads find, mutations at home
 *   queries.c  D1 requests: at home, or at a replica's LSN
 *   faults.c   what is down or cut, and when: all of it is known before the run begins
 *   queue.c    the events */
#ifndef PS_SIM_WORLD_WORLD_INTERNAL_H
#define PS_SIM_WORLD_WORLD_INTERNAL_H

#include "node/kv/kv.h"
#include "node/kv/primary.h"
#include "node/kv/replica.h"
#include "node/r2/home.h"
#include "sim/measure/d1_run.h"
#include "sim/measure/public_cache.h"
#include "sim/workload/session.h"
#include "sim/world/queue.h"
#include "sim/world/world.h"

/** One PoP. */
struct world_pop {
    struct ps_eval_clock clock;
    uint32_t boot; /* its start count */
    size_t index;
    struct ps_interval *downs; /* owned; ascending, disjoint */
    size_t down_count;
};

/** One store as one PoP sees it. */
struct world_replica {
    struct ps_store_replica *replica;
    struct ps_replica view;
    struct ps_link link;             /* owned: the PoP's faults, this store's round trips */
    uint64_t applied_lsn;            /* told to `replica` so far */
    struct ps_d1_database *database; /* its connection; NULL = none yet */
    struct ps_public_cache *public;  /* of a bucket; else NULL */
};

struct world_store {
    struct world *world;
    const struct ps_store *config;
    ps_map_store map_store;
    struct ps_primary *primary;
    struct ps_r2_home *objects;     /* a bucket's; else NULL */
    struct world_replica *replicas; /* owned; one per PoP */
    ps_time_ns *commits;            /* owned; of LSN n at n - 1 */
    size_t commit_count;
    size_t commit_capacity;
    struct ps_d1_database *database; /* home's connection; NULL = no database, or none yet */
    ps_stream seeds;                 /* of its requests' chance */
    size_t forgotten_commits;        /* how many there were when pages were last forgotten */
};

struct world {
    const struct ps_scenario *scenario;
    const struct ps_cluster *cluster;
    struct ps_history *history;
    struct ps_map *map;
    struct world_store *stores;
    struct world_pop *pops;
    struct ps_sessions_plan plan;
    struct ps_queue queue;
    struct ps_buf text; /* scratch of the operation that is invoked */
    ps_time_ns now_ns;
    uint64_t operations;
};

/* ---- faults.c ---- */

/** Lay out the scenario's faults: downs, links, the history's record of both.
 *  Errors: PS_LIMIT (too many). */
PS_MUST_CHECK enum ps_status ps_world_faults(struct world *world, struct ps_error *err);
/** Is the PoP down at `t`? Gives when it is up again (PS_NEVER: not), `t` itself if it is up. */
ps_time_ns ps_world_up_at(const struct world_pop *pop, ps_time_ns t);
/** When does the PoP crash next, later than `t`? PS_NEVER if it does not. */
ps_time_ns ps_world_crash_after(const struct world_pop *pop, ps_time_ns t);

/* ---- way.c ---- */

/** From a read's decision to its answer. */
struct ps_world_read_way {
    enum ps_status status;  /* PS_OK, or why there is no answer */
    ps_time_ns known_ns;    /* when the view can be resolved */
    ps_time_ns complete_ns; /* when the client has its answer, or its error */
};
/** `decided`: what deciding the view gave at `eval_ns`, for what was invoked at `invoke_ns`. */
struct ps_world_read_way ps_world_read_way(const struct world *world, uint16_t store, uint16_t pop,
                                           ps_time_ns invoke_ns, ps_time_ns eval_ns,
                                           enum ps_status decided, const struct ps_view *view);

/** From a write's invocation to its answer. */
struct ps_world_write_way {
    enum ps_status status; /* PS_OK: it comes to home, and is committed there */
    ps_time_ns home_ns;    /* when it is there */
    ps_time_ns end_ns;     /* when its answer is due, if it is not committed later */
    ps_time_ns lost_ns;    /* from here on its client is gone */
    enum ps_status lost;   /* ... with this error */
    bool crashed;          /* ... since its PoP is */
};
struct ps_world_write_way ps_world_write_way(const struct world *world, uint16_t store,
                                             uint16_t pop, ps_time_ns invoke_ns);

/** An operation whose end is still to come. */
struct world_pending {
    struct ps_op op;
    struct ps_view view;           /* of a read */
    struct ps_public_view fetched; /* of a public one */
    /* of a write */
    struct ps_world_write_way way;
    struct ps_entry entry; /* slices into bytes */
    struct ps_body body;   /* r2.put, if generated; else of no size */
    char bytes[];
};

/* ---- reads.c ---- */

/** Invoke a read; op has id, session, pop, store, kind, key and invoke_ns. Returns when its client
 * has the answer. */
ps_time_ns ps_world_read(struct world *world, struct ps_op *op, const struct ps_drawn *drawn);
void ps_world_resolve(struct world *world, struct world_pending *pending);
/** Tell a replica of what has been committed since it was last told. */
void ps_world_catch_up(const struct world *world, const struct world_store *store,
                       struct world_replica *replica);

/* ---- writes.c ---- */

ps_time_ns ps_world_write(struct world *world, struct ps_op *op, const struct ps_drawn *drawn);
void ps_world_commit(struct world *world, struct world_pending *pending);
void ps_world_answer(struct world *world, struct world_pending *pending);
/** Commit a database's record, as ps_pages_commit_fn; context: the world_store. */
enum ps_status ps_world_append(void *context, struct ps_record *record);

/** Commit a record of several entries. */
void ps_world_append_record(struct world_store *store, const struct ps_record *record,
                            struct ps_written *ret);

/* ---- objects.c ---- */

/** Note what is asked, where that is more than the key. */
void ps_world_object_ask(const struct world *world, const struct ps_drawn *drawn, struct ps_op *op);
/** Invoke an operation on a bucket. Returns when its client has the answer. */
ps_time_ns ps_world_object(struct world *world, struct ps_op *op, const struct ps_drawn *drawn);
/** Make the public caches of a bucket. */
void ps_world_publics_open(struct world_store *store);
/** The cache's answer is known. */
void ps_world_fetched(struct world *world, struct world_pending *pending);
/** A read found this version. */
void ps_world_object_found(const struct world *world, const struct ps_version *version,
                           struct ps_op *op);
/** List what the bound shows; inside a map read. */
enum ps_status ps_world_object_list(const struct world *world, const struct world_store *store,
                                    const struct ps_bound *bound, struct ps_op *op);
/** A mutation has come to home: the operation gets what came of it. */
void ps_world_mutate(struct world *world, struct world_pending *pending);

/* ---- queries.c ---- */

/** A D1 request under way. */
struct world_query {
    struct ps_op op;
    struct ps_session *session;
    const struct ps_action *action;
    struct ps_view view;           /* of what is read at a replica */
    ps_time_ns complete_ns;        /* of the same */
    struct ps_world_write_way way; /* of what goes to home */
    unsigned retries;              /* it was sent there so often before, and failed */
    void (*go_on)(struct world *world, struct world_query *query); /* when its event has come */
};

/** Run the schema, if the scenario has one. Errors: PS_INVALID (SQL), PS_IO. */
PS_MUST_CHECK enum ps_status ps_world_schema(struct world *world, uint16_t store,
                                             struct ps_error *err);
/** Invoke a D1 request; op as for ps_world_read. Its session goes on when it is answered, if it
 * waits for that. */
void ps_world_query(struct world *world, struct ps_op *op, const struct ps_drawn *drawn,
                    struct ps_session *session);

/* ---- world.c ---- */

/** Set up all of world->scenario. Errors: as ps_world_run's; ps_world_close all the same. */
PS_MUST_CHECK enum ps_status ps_world_open(struct world *world, struct ps_error *err);
void ps_world_close(struct world *world); /* but for the history */

/** The operation failed at its PoP's door or on its way. */
void ps_world_fail(struct world *world, struct ps_op *op, enum ps_status error,
                   ps_time_ns complete_ns);
/** Its operation was answered: the session, which waits for that, goes on. */
void ps_world_go_on(struct world *world, struct ps_session *session, ps_time_ns complete_ns);
int64_t ps_world_unix_s(const struct world *world, ps_time_ns t);

#endif
