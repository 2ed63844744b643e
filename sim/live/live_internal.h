/* What the files of sim/live share: one run under way.
 *
 *   live.c      the run: its begin, its loop, its end
 *   operate.c   operations: sent when due, answered
 *   fault.c     what goes wrong on purpose
 *   control.c   questions to the nodes about themselves; home's logs */
#ifndef PS_SIM_LIVE_LIVE_INTERNAL_H
#define PS_SIM_LIVE_LIVE_INTERNAL_H

#include "node/d1/bookmark.h"
#include "sim/live/agenda.h"
#include "sim/live/client.h"
#include "sim/live/live.h"
#include "sim/live/log.h"
#include "sim/live/translate.h"

/* How long the driver waits, on the wall, beyond what cluster time says; and how much longer for a
 * database, whose home may take its time as long as it is heard. */
#define PS_LIVE_MARGIN_NS (30 * PS_SECOND)
#define PS_LIVE_QUERY_NS (90 * PS_SECOND)

struct ps_live;

/** One operation under way. */
struct ps_live_op {
    struct ps_live_call call; /* first member */
    struct ps_live *live;
    struct ps_op op;
    const struct ps_action *action; /* borrowed from the scenario */
    uint32_t session;
    struct ps_live_op *next_free;
    struct ps_live_op *next; /* of all */
};

/** One PoP's crash: planned, under way, or over. */
struct ps_live_crash {
    struct ps_live_call call; /* first member: asks whether it serves again */
    struct ps_live *live;
    struct ps_interval when; /* as planned, cluster time */
    size_t downtime;         /* index into the history's, once it is down */

    enum { PS_LIVE_PLANNED, PS_LIVE_DOWN, PS_LIVE_STARTING, PS_LIVE_UP } phase;

    uint64_t ask_mono_ns; /* STARTING: when to ask (again) */
    uint64_t give_up_mono_ns;
    bool asking;
    uint16_t pop;
};

/** One store's log being fetched from home, page by page. */
struct ps_live_fetch {
    struct ps_live_call call; /* first member */
    struct ps_live *live;
    struct ps_live_log log;
    uint16_t store;
    bool busy;
    enum ps_status status; /* of the latest: why it ended early */
};

struct ps_live {
    const struct ps_scenario *scenario;
    const struct ps_cluster_state *state;
    const struct ps_live_options *options;
    struct ev_loop *loop;
    struct ps_live_client *client;
    struct ps_history *history;
    uint64_t run; /* its number, in the tokens of its writes */
    ps_time_ns begin_ns;
    int64_t unix_shift_s; /* from the scenario's Unix time to the cluster's */

    /* operations */
    struct ps_sessions_plan plan;
    struct ps_live_agenda agenda;  /* times from the run's begin */
    struct ps_link *planned;       /* per PoP: the faults as planned, in cluster time */
    ps_dur_ns *longest_ns;         /* per store and PoP: what an operation may take at most */
    struct ps_bookmark *bookmarks; /* per store: the one that was given last */
    struct ps_live_op *free_ops;
    struct ps_live_op *all_ops;
    struct ps_buf text;
    uint64_t operations;
    uint64_t under_way;
    uint64_t lag_max_ns;

    /* faults */
    struct ps_live_crash *crashes;
    size_t crash_count;
    size_t downtime_capacity;

    struct ps_live_fetch *fetches; /* per store */
    uint32_t *schemas; /* per store: its schema in the history's requests + 1; 0: it has none */
    ev_timer fetch_timer;

    /* the loop */
    int timer_fd;
    ev_io timer;
    ev_prepare prepare;
    ev_timer report;
    ev_signal interrupt;
    ev_signal terminate;
    uint64_t timer_mono_ns;
    bool running;          /* between begin and end */
    struct ps_error error; /* ends the run */
};

static inline ps_time_ns ps_live_at(const struct ps_live *live, uint64_t mono_ns)
{
    return ps_timeline_at(&live->state->timeline, mono_ns);
}

static inline ps_time_ns ps_live_now(const struct ps_live *live)
{
    return ps_live_at(live, ps_live_mono_ns());
}

static inline uint64_t ps_live_when(const struct ps_live *live, ps_time_ns t)
{
    return ps_timeline_when(&live->state->timeline, t);
}

/* ---- operate.c ---- */

/** Send what is due; bounded work. Returns when to come again, on the wall (0: at once; PS_NEVER).
 */
uint64_t ps_live_operate(struct ps_live *live);
void ps_live_operate_fini(struct ps_live *live);

/* ---- fault.c ---- */

/** Read the scenario's faults: crashes, and each PoP's link as planned (in cluster time).
 *  Errors: PS_INVALID, PS_LIMIT. */
PS_MUST_CHECK enum ps_status ps_live_faults_plan(struct ps_live *live, struct ps_error *err);
/** Begin and end crashes that are due; errors go to live->error. Returns when to come again. */
uint64_t ps_live_faults_turn(struct ps_live *live);
/** Are all crashes over? */
bool ps_live_faults_over(const struct ps_live *live);
/** Let every PoP start that this run holds down. */
void ps_live_faults_release(struct ps_live *live);
void ps_live_faults_fini(struct ps_live *live);

/* ---- control.c ---- */

/** Wait until every PoP follows its homes. Errors: PS_TIMEOUT, PS_CORRUPT. */
PS_MUST_CHECK enum ps_status ps_live_wait_ready(struct ps_live *live, struct ps_error *err);
/** Empty the caches of all PoPs. */
PS_MUST_CHECK enum ps_status ps_live_reset(struct ps_live *live, struct ps_error *err);
/** Run the scenario's schemas, and wait until every PoP sees them. Errors: PS_INVALID (one is
 * refused), PS_TIMEOUT, PS_CORRUPT, PS_UNREACHABLE. */
PS_MUST_CHECK enum ps_status ps_live_run_schemas(struct ps_live *live, struct ps_error *err);
/** Say in the history's records what the schemas were. */
void ps_live_name_schemas(struct ps_live *live);
/** Give each node the cuts and slow times planned for it. */
PS_MUST_CHECK enum ps_status ps_live_give_links(struct ps_live *live, struct ps_error *err);
/** Take each node's link as it was into the history. */
PS_MUST_CHECK enum ps_status ps_live_take_links(struct ps_live *live, struct ps_error *err);
/** Begin to fetch what home's logs have behind what is here. */
void ps_live_fetch_logs(struct ps_live *live);
void ps_live_fetches_fini(struct ps_live *live);
/** The same, and wait for it. Errors: PS_TOO_OLD (a log's begin is forgotten), ... */
PS_MUST_CHECK enum ps_status ps_live_take_logs(struct ps_live *live, struct ps_error *err);
/** How many records came late so far, over all nodes, and the latest by how much. */
PS_MUST_CHECK enum ps_status ps_live_count_late(struct ps_live *live, uint64_t *ret_count,
                                                ps_dur_ns *ret_most_ns, struct ps_error *err);

#endif
