/* Turning `--pops fra,iad,sin` or `--pops 6`, `--store CACHE=kv:workers-kv` and the like into a
 * cluster. */
#ifndef PS_TOOLS_POPSIM_CLUSTER_OPTIONS_H
#define PS_TOOLS_POPSIM_CLUSTER_OPTIONS_H

#include "replication/world/cluster.h"

/** "fra,iad,sin", a number (the first of ps_pop_spread), or "all". */
PS_MUST_CHECK enum ps_status cluster_options_pops(struct ps_cluster *cluster, const char *text,
                                                  struct ps_error *err);
/** "NAME=kv" or "NAME=kv:PROFILE". */
PS_MUST_CHECK enum ps_status cluster_options_store(struct ps_cluster *cluster, const char *text,
                                                   struct ps_error *err);
/** "60" or "0.5": times real time, 0.001 .. 1000. */
PS_MUST_CHECK enum ps_status cluster_options_speed(struct ps_cluster *cluster, const char *text,
                                                   struct ps_error *err);
/** "profile", "none", or a factor ("0.1"). */
PS_MUST_CHECK enum ps_status cluster_options_latency(struct ps_cluster *cluster, const char *text,
                                                     struct ps_error *err);

#endif
