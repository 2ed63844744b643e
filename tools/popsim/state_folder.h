/* The state folder of a cluster: made new, or taken up again where it stopped. */
#ifndef PS_TOOLS_POPSIM_STATE_FOLDER_H
#define PS_TOOLS_POPSIM_STATE_FOLDER_H

#include "node/cluster/cluster_file.h"

struct state_folder_request {
    const char *folder;
    struct ps_cluster *asked; /* NULL = what the folder holds; else taken over (left empty) */
    bool fresh;               /* remove what an earlier cluster left */
    const char *bind;         /* the nodes' address; NULL = as before, or PS_LOOPBACK */
    int first_port;           /* 0 = free ones; -1 = as before, or the usual ones */
    int first_s3_port;        /* the same; -1 with a new first_port: those above it */
};

bool state_folder_exists(const char *folder);

/** Does a supervisor, or one that is being started, hold the folder? It does so by a lock, which
 * ends with its process, however that ends. */
bool state_folder_in_use(const char *folder);

/** Make the folder ready for a supervisor and give the state to run with: time line, ports, the
 * S3 key pair (made once), no pids. The folder is then in use until the calling process and those
 * it forked end. A folder whose cluster differs from `asked` is refused (PS_EXISTS) unless fresh;
 * one that is in use, too (PS_BUSY); an address that is none, too (PS_INVALID). */
PS_MUST_CHECK enum ps_status state_folder_open(const struct state_folder_request *request,
                                               struct ps_cluster_state *ret, struct ps_error *err);

/** Are two clusters the same in all that their data depends on: PoPs, stores, policies, seed? (Not:
 * speed, epoch, latency, durability.) */
bool state_folder_same_cluster(const struct ps_cluster *a, const struct ps_cluster *b);

/** Remove the folder's cluster's files: cluster.json, logs, pop-* folders; then the folder if it is
 * empty. */
PS_MUST_CHECK enum ps_status state_folder_remove(const char *folder, struct ps_error *err);

#endif
