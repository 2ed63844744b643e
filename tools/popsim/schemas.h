/* The schemas that a scenario's file gives its databases, run by popsim up on a cluster that is
 * new. */
#ifndef PS_TOOLS_POPSIM_SCHEMAS_H
#define PS_TOOLS_POPSIM_SCHEMAS_H

#include "node/cluster/cluster_file.h"
#include "sim/scenario/scenario.h"

/** Zeroed = none. */
struct schemas {
    char **texts; /* owned; by store of the cluster; NULL: it has none */
    size_t count;
};

/** Take the scenario's from it, before its cluster goes. */
void schemas_take(struct schemas *schemas, struct ps_scenario *scenario);
void schemas_fini(struct schemas *schemas);

/** Run each that belongs to a database in which nothing was ever committed, at its home. A live run
 * of the same file on this cluster knows that it is done (ps_live_schema_token). Every PoP must
 * serve. Errors: PS_INVALID (D1 refuses it); those of http_call. */
PS_MUST_CHECK enum ps_status schemas_run(const struct schemas *schemas,
                                         const struct ps_cluster_state *state,
                                         struct ps_error *err);

#endif
