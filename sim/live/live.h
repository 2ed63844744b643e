/* The live driver: a scenario's sessions against the nodes of a running cluster, over HTTP as any
 * client does it, and a history of what they saw.
 *
 * The same sessions as in the virtual world (sim/workload), each operation sent at its instant of
 * cluster time on the wall. Before the first, the PoPs' caches are emptied and the cuts and slow
 * times of the scenario are given to the nodes, exact to the nanosecond; crashes are the caller's
 * to carry out. Afterwards home's log tells which writes happened though their answer was lost, and
 * what others wrote; the nodes tell how their links really were.
 *
 * Whoever else reads from the cluster meanwhile changes its PoPs' cache entries: then popsim verify
 * finds differences. */
#ifndef PS_SIM_LIVE_LIVE_H
#define PS_SIM_LIVE_LIVE_H

#include "node/cluster/cluster_file.h"
#include "sim/measure/history.h"
#include "sim/scenario/scenario.h"

struct ps_live_options {
    /** Called now and then with how far the run is; NULL = not. Times count from the run's begin.
     */
    void (*progress)(void *context, ps_time_ns now_ns, ps_time_ns end_ns, uint64_t operations);

    /** End the PoP's process at once and keep it down; let it start again. NULL: a scenario with
     * crashes is refused. */
    enum ps_status (*crash)(void *context, uint16_t pop, struct ps_error *err);
    enum ps_status (*release)(void *context, uint16_t pop, struct ps_error *err);
    void *context;
};

struct ps_live_result {
    struct ps_history *history; /* sorted; its session numbers are those of ps_sessions_open */
    uint64_t lost_writes;       /* acknowledged, and not in home's log: a failure of the cluster */
    char lost[256];             /* the first of them, in words */
    uint64_t late_records;      /* records that came to a PoP after they were to be visible there */
    ps_dur_ns late_max_ns;      /* by how much the latest of them, in cluster time */
    ps_dur_ns wall_ns;          /* from the first operation's planned time to the last answer */
    ps_dur_ns lag_max_ns;       /* on the wall: how late the latest operation was sent */
};

void ps_live_result_fini(struct ps_live_result *result);

/** Run the scenario. `state` is of a running cluster with the scenario's PoPs and stores, in its
 *  order. Ctrl-C ends the run with PS_IO.
 *  Errors: PS_INVALID (another cluster), PS_UNREACHABLE and PS_TIMEOUT (a node does not serve),
 *  PS_TOO_OLD (the cluster has forgotten the begin of a log), PS_CORRUPT (an answer that no node
 *  gives), PS_LIMIT, PS_IO. *ret is the caller's, ps_live_result_fini, on success only. */
PS_MUST_CHECK enum ps_status ps_live_run(const struct ps_scenario *scenario,
                                         const struct ps_cluster_state *state,
                                         const struct ps_live_options *options,
                                         struct ps_live_result *ret, struct ps_error *err);

#endif
