/* The thread of one D1 database: it runs requests one after the other, as D1 does, and never on the
 * loop, so that a query of seconds delays nothing but other queries of its database.
 *
 * At home a transaction that changed something is handed to the loop, where the store's primary
 * gives it its LSN and commit time, and waits until it is durable. Elsewhere nothing is written. */
#ifndef PS_NODE_IO_D1_THREAD_H
#define PS_NODE_IO_D1_THREAD_H

#include "node/d1/delta.h"
#include "node/io/jobs.h"
#include "node/io/node_internal.h"

enum {
    PS_D1_QUEUE_MAX = 1000, /* requests that wait for one database */
    PS_D1_QUEUED_S = 30,    /* ... and how long, on the wall, at most */
    PS_D1_DURATION_S = 30   /* of one request, on the wall (D1's limit) */
};

struct ps_d1_thread;

/** One request. Who starts it owns it, and its body, until `done`. Zero it first. */
struct ps_d1_job {
    struct ps_queued queued; /* first member */
    struct ps_slice body;
    unsigned flags;          /* enum ps_query_flag */
    bool classify;           /* only find out whether it writes */
    unsigned retries;        /* it was tried so often before, and failed */
    struct ps_token token;   /* of its commit; also where its random numbers come from */
    uint64_t lsn;            /* read at; UINT64_MAX: at the newest */
    ps_time_ns now_ns;       /* what 'now' is in SQL; 0: when it is begun, which is put here */
    uint64_t queued_mono_ns; /* since when it waits; 0: when it is submitted, which is put here */
    /** On the loop. Owns the job again. */
    void (*done)(struct ps_d1_job *job);
    /* How it went. PS_OK: it was run, or refused by D1's rules (`failed`). PS_EXISTS: it was
     * committed by an earlier try, whose answer is lost. PS_BUSY: it has waited for too long, and
     * was not run (`text` says so). PS_CANCELLED: a restore of the database came, and it has
     * changed nothing (`text` says so). Others: the map or the commit failed
     * (`text` may say more). */
    enum ps_status status;
    bool to_primary; /* nothing was done: it writes */
    bool failed;
    bool wrote;           /* it made at_lsn */
    uint32_t restores;    /* that there had been by at_lsn */
    struct ps_buf text;   /* JSON results, or the reason; ps_d1_job_fini releases it */
    uint64_t at_lsn;      /* that it read at, or made */
    ps_time_ns commit_ns; /* of that LSN; 0: there is none */
};

/** Start the store's thread. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_d1_thread_create(struct ps_node_store *store,
                                                 struct ps_d1_thread **ret, struct ps_error *err);
/** End it, whatever it is doing; jobs that are not done are forgotten. The loop and the writer
 * thread must be over. NULL accepted. */
void ps_d1_thread_destroy(struct ps_d1_thread *thread);

/** A restore (travel.h) cancels the requests that wait and the one under way. PS_BUSY: too many
 * wait already, and the job was not taken. */
PS_MUST_CHECK enum ps_status ps_d1_thread_submit(struct ps_d1_thread *thread,
                                                 struct ps_d1_job *job);
/** Jobs that are not done. */
size_t ps_d1_thread_queued(const struct ps_d1_thread *thread);
void ps_d1_job_fini(struct ps_d1_job *job);

/** The node is to stop: the request under way is cut short, as those that wait will be. */
void ps_d1_thread_hurry(struct ps_d1_thread *thread);

/** Has a commit with this token been made at home, by an earlier try? Outside of a map read. */
bool ps_d1_thread_made(const struct ps_node_store *store, const struct ps_token *token,
                       uint64_t *ret_lsn, ps_time_ns *ret_commit_ns);

/** Of the commit under way, as other nodes are told of it: `record` with the bytes that differ. */
struct ps_record ps_d1_thread_wire(const struct ps_d1_thread *thread,
                                   const struct ps_record *record);

#endif
