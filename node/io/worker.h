/* A thread that runs jobs: the writer thread, the only one that changes the map, and others that
 * read what takes a while.
 *
 * The loop hands jobs over; they run in order, one at a time, and come back to the loop when they
 * are done. The loop never waits for the disk. */
#ifndef PS_NODE_IO_WORKER_H
#define PS_NODE_IO_WORKER_H

#include "node/io/jobs.h"
#include "replication/base/status.h"

#include <stdbool.h>

struct ev_loop;
struct ps_worker;

/** Embedded in a job. `run` is called on the thread, `done` on the loop afterwards; `done`
 *  owns the job again. */
struct ps_job {
    struct ps_queued queued; /* first member */
    void (*run)(struct ps_job *job);
    void (*done)(struct ps_job *job);
    enum ps_status status; /* for run to fill in */
    struct ps_error err;
};

/** Start the thread; `loop` gets an async watcher. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_worker_create(struct ev_loop *loop, struct ps_worker **ret,
                                              struct ps_error *err);
/** Run what is queued, end the thread, and call the last jobs' `done`. NULL accepted. */
void ps_worker_destroy(struct ps_worker *worker);
void ps_worker_submit(struct ps_worker *worker, struct ps_job *job);
/** Jobs handed over that are not yet done. */
bool ps_worker_busy(const struct ps_worker *worker);

#endif
