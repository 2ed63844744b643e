/* A cluster as JSON: cluster.json in the state folder, the `run` member of a history, and what
 * `popsim status --json` shows. One encoder and one decoder for all three. */
#ifndef PS_NODE_CLUSTER_CLUSTER_FILE_H
#define PS_NODE_CLUSTER_CLUSTER_FILE_H

#include "replication/world/cluster.h"

/** Append the cluster (PoPs, stores with their whole policies, seed, epoch, speed) as one JSON
 * object. Compact, keys in a fixed order, integers only (durations in ns): the same bytes each
 * time. */
void ps_cluster_encode(struct ps_buf *buf, const struct ps_cluster *cluster);
/** Decode what ps_cluster_encode wrote. Errors: PS_INVALID with the member's path. *ret is
 *  initialised on success only. */
PS_MUST_CHECK enum ps_status ps_cluster_decode(struct ps_slice json, struct ps_cluster *ret,
                                               struct ps_error *err);

/** Append a link's outages and slows:
 * {"outages":[[from,until],...],"slows":[[from,until,factor_milli],...]}; until null = not healed.
 */
void ps_link_encode(struct ps_buf *buf, const struct ps_link *link);
/** Add to *link what ps_link_encode wrote. */
PS_MUST_CHECK enum ps_status ps_link_decode(struct ps_slice json, struct ps_link *link,
                                            struct ps_error *err);

/** The live part: where a running cluster's nodes are. */
struct ps_cluster_node {
    uint16_t api_port;
    uint16_t s3_port; /* 0: a free one, which only the node knows */
    int32_t pid;      /* 0 = not running */
};

struct ps_cluster_state {
    struct ps_cluster cluster;
    struct ps_timeline timeline;
    struct ps_cluster_node *nodes; /* owned; one per PoP */
    int32_t supervisor_pid;
    char token[65]; /* bearer token that control and REST calls must carry; empty = none needed */
    char bind[64];  /* address; empty = PS_LOOPBACK */
    /* The key pair that requests to the S3 ports are signed with; empty = none, and all are
     * refused. */
    char s3_key_id[33];
    char s3_secret[65];
};

#define PS_LOOPBACK "127.0.0.1"

/** Do the nodes listen where others than this machine's users may come from? Then every call must
 * carry the token. Any address but PS_LOOPBACK counts as such. */
bool ps_cluster_is_exposed(const struct ps_cluster_state *state);

/** Read or atomically write (temporary file, fsync, rename; mode 0600) `<folder>/cluster.json`. */
PS_MUST_CHECK enum ps_status ps_cluster_state_load(const char *folder, struct ps_cluster_state *ret,
                                                   struct ps_error *err);
PS_MUST_CHECK enum ps_status ps_cluster_state_save(const char *folder,
                                                   const struct ps_cluster_state *state,
                                                   struct ps_error *err);
void ps_cluster_state_fini(struct ps_cluster_state *state);

#endif
