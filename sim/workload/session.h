/* Sessions: what each client of a scenario does next, and when.
 *
 * A workload entry stands for one or more sessions (scenario.h, struct ps_workload). A session is a
 * sequence of operations: operation n, its PoP, its key and value are pure functions of (seed,
 * session name, n), so that the virtual world and the live driver do the same things, whatever else
 * they do in between. Only when an operation of a closed loop (`clients:`) begins depends on a run:
 * `think` after the one before it was answered. No I/O, no clock.
 *
 * Streams of chance (ps_stream_of(purpose, session name, NULL)): "gap" (Poisson gaps, a client's
 * first instant), "place" (PoP, for `pop: any`), "mix", "key", "value" (of a generated body its
 * seed), "metadata" (R2's options); and with a third name "sql" ("1": the first statement's text),
 * "param" ("1.2": its second parameter), "key" ("2": the second key of those that r2.delete names)
 * and "size".
 *
 * One thing does depend on answers: the bookmark that a client carries from one D1 operation to its
 * next (`withSession: bookmark`). */
#ifndef PS_SIM_WORKLOAD_SESSION_H
#define PS_SIM_WORKLOAD_SESSION_H

#include "sim/scenario/scenario.h"
#include "sim/workload/body.h"

/** The newest bookmark of a store that the client was given. */
struct ps_carried {
    bool any;
    uint64_t lsn;
};

/** One session. Made by ps_sessions_open. */
struct ps_session {
    const struct ps_scenario *scenario; /* borrowed */
    const struct ps_workload *workload; /* borrowed */
    char *name;                         /* owned */
    int pop;                            /* index; -1 = drawn for each operation */
    uint64_t next;                      /* number of the next operation, from 0 */
    ps_time_ns at_ns;                   /* when it is invoked; PS_NEVER = the session is over */
    double mix_total;                   /* sum of the mix's weights */
    ps_stream gap;
    ps_stream place;
    ps_stream mix;
    ps_stream key;
    ps_stream value;
    ps_stream metadata;
    uint32_t *trace; /* owned; of a trace: indices of its operations */
    size_t trace_count;
    struct ps_carried *carried; /* owned; per store of the cluster; NULL = none yet */
};

struct ps_sessions_plan {
    struct ps_session
        *sessions; /* owned; in the order of the file, then of PoPs, then of clients */
    size_t count;
};

/** All sessions of a scenario, each before its first operation. The scenario must outlive them.
 *  Errors: PS_LIMIT: more than PS_SESSIONS_MAX. */
enum { PS_SESSIONS_MAX = 4 << 20 };
PS_MUST_CHECK enum ps_status ps_sessions_open(const struct ps_scenario *scenario,
                                              struct ps_sessions_plan *ret, struct ps_error *err);
void ps_sessions_close(struct ps_sessions_plan *plan); /* zeroed plan accepted */

/** One operation as drawn. Slices borrow from the buffers given. */
struct ps_drawn {
    const struct ps_action *action; /* borrowed from the scenario */
    struct ps_slice key;            /* list: the prefix */
    struct ps_slice value;          /* put; d1: the request's JSON, as the binding sends it */
    struct ps_slice metadata;       /* put; empty = none */
    struct ps_slice request; /* r2: the call's JSON, as the binding sends it; fetch, purge: none */
    struct ps_body body;     /* r2.put, when it is generated */
    uint64_t bookmark_lsn;   /* d1: of the bookmark, where that is what it is asked with */
    enum ps_d1_session session; /* d1: what the PoP is asked with, one of the first four */
    uint16_t pop;
    bool generated; /* r2.put: the body is generated, and `value` empty */
};

/** Draw the session's next operation (at_ns is not PS_NEVER). `text` is scratch: emptied first, and
 *  what the slices borrow from. */
void ps_session_draw(const struct ps_session *session, struct ps_buf *text, struct ps_drawn *ret);
/** The action and PoP of operation `n` without its texts; n < the number of a trace's operations.
 */
const struct ps_action *ps_session_action(const struct ps_session *session, uint64_t n);
uint16_t ps_session_pop(const struct ps_session *session, uint64_t n);

/** The most bytes of a generated body of r2.put; 0: it has none. */
uint64_t ps_action_body_max(const struct ps_action *action);

/** The client was given the bookmark of `lsn` for what it did by `action`. One that carries its
 *  bookmark keeps it if it is newer than the one it has. */
void ps_session_bookmark(struct ps_session *session, const struct ps_action *action, uint64_t lsn);

/** Does the next operation wait for the answer of the one before it? */
bool ps_session_waits(const struct ps_session *session);

/** Go on behind the operation at at_ns. `complete_ns`: when it was answered; looked at only if the
 *  session waits. */
void ps_session_advance(struct ps_session *session, ps_time_ns complete_ns);

#endif
