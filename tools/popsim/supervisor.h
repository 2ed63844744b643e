/* The supervisor: starts a cluster's node processes, restarts those that die, stops them all.
 *
 * A node that dies is started again after a back-off (50 ms, doubling to 5 s, forgotten after 10 s
 * of good health). A file `pop-<code>/hold` keeps a node down until it is removed, or until the
 * instant of the monotonic clock (ns) that is written in it: that is how faults crash a PoP for a
 * time. A node of an earlier supervisor that still ends what it has under way is waited for. */
#ifndef PS_TOOLS_POPSIM_SUPERVISOR_H
#define PS_TOOLS_POPSIM_SUPERVISOR_H

#include "node/cluster/cluster_file.h"

struct supervisor_options {
    const char *folder;
    bool quiet;   /* print nothing but errors */
    int ready_fd; /* a byte is written here, and it is closed, once every PoP serves; from then on
                     errors go to stdout; -1 = none */
    /** Called before that, once every PoP serves. NULL: nobody wants to know. */
    void (*ready)(void *context, const struct ps_cluster_state *state);
    void *context;
};

/** Run the cluster until SIGINT or SIGTERM. `state` has PoPs, stores, ports and time line; pids are
 *  filled in and cluster.json is kept up to date.
 *  Errors: PS_IO (a node cannot be started or dies before it ever served), PS_BUSY (one of an
 * earlier start does not end). */
PS_MUST_CHECK enum ps_status supervisor_run(const struct supervisor_options *options,
                                            struct ps_cluster_state *state, struct ps_error *err);

/** "<folder>/pop-<code>/<name>"; ret must hold 4096 bytes. */
void supervisor_path(const char *folder, const char *code, const char *name, char ret[4096]);

#endif
