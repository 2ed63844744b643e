/* Profiles: named parameter sets that mimic one real service, each figure with its source. */
#ifndef PS_REPLICATION_WORLD_PROFILE_H
#define PS_REPLICATION_WORLD_PROFILE_H

#include "replication/world/cluster.h"

struct ps_profile {
    const char *name;    /* "workers-kv" */
    const char *types;   /* store types it fits: "kv", "d1", "r2", or "kv d1 r2" */
    const char *summary; /* one line */
    const char *sources; /* where each figure comes from; lines */
    void (*fill)(struct ps_policy *policy,
                 struct ps_kv_limits *kv); /* overwrite with the profile's */
};

size_t ps_profile_count(void);
const struct ps_profile *ps_profile_at(size_t index);
const struct ps_profile *ps_profile_find(struct ps_slice name); /* NULL if there is none */
/** "workers-kv", "d1-replica", "r2". */
const char *ps_profile_default(enum ps_store_type type);

#endif
