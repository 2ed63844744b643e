/* What a cluster is: its PoPs, stores, seed, speed. Data that the scenario file, the command line
 * and cluster.json all give, and that node, virtual world and verify all start from. */
#ifndef PS_REPLICATION_WORLD_CLUSTER_H
#define PS_REPLICATION_WORLD_CLUSTER_H

#include "replication/base/limits.h"
#include "replication/world/pops.h"
#include "replication/world/visibility.h"

enum ps_store_type { PS_STORE_KV, PS_STORE_D1, PS_STORE_R2 };

enum ps_latency { PS_LATENCY_PROFILE, PS_LATENCY_NONE, PS_LATENCY_SCALE };

enum ps_durability { PS_DURABILITY_SYNC, PS_DURABILITY_RELAXED };

/** The write limit of KV and R2; databases ignore it. */
struct ps_kv_limits {
    ps_dur_ns write_interval_ns; /* least time between two puts of one key; 0 = no limit */
};

struct ps_store {
    char name[PS_STORE_NAME_MAX + 1]; /* the binding name: "CACHE" */
    char id[33]; /* 32 hex digits, from the name: the namespace id of the REST API */
    enum ps_store_type type;
    char profile[32];
    struct ps_policy policy; /* the profile's, with the scenario's changes; owns its delay */
    struct ps_kv_limits kv;
    bool cache_everything; /* R2: the public cache keeps all keys, not only the usual files */
    uint16_t home;         /* index into the cluster's PoPs */
};

struct ps_cluster {
    uint64_t seed;
    uint64_t speed_milli; /* live only; 1000 = real time */
    int64_t epoch_unix_s; /* Unix time at cluster time 0: what expirations are counted from */
    uint16_t home;        /* the default home: index into pops */
    enum ps_latency latency;
    uint32_t latency_scale_milli; /* for PS_LATENCY_SCALE */
    enum ps_durability durability;
    bool no_write_limit; /* live: none of its stores has one, also those that are made later */
    double route_factor; /* see ps_pop_round_trip */
    const struct ps_pop **pops; /* owned array of catalogue entries, in the order given */
    size_t pop_count;
    struct ps_store *stores; /* owned */
    size_t store_count;
};

/** A live node keeps each version readable for this long after it was superseded, in cluster time
 * and also on the wall: long enough for any read under way, a follower that was down for a while,
 * and a person who wants to know what was there. A D1 database's home keeps its states for longer
 * (node/io/d1/travel.h). */
#define PS_RETENTION_NS PS_HOUR

enum {
    PS_EPOCH_VIRTUAL = 1767225600
}; /* 2026-01-01T00:00:00Z: cluster time 0 of every virtual run */

/** Defaults: seed 1, real time, virtual epoch, latency by profile, sync, no PoPs, no stores. */
void ps_cluster_init(struct ps_cluster *cluster);
void ps_cluster_fini(struct ps_cluster *cluster);

/** Add a PoP. Errors: PS_NOT_FOUND (no such code), PS_EXISTS, PS_LIMIT. */
PS_MUST_CHECK enum ps_status ps_cluster_add_pop(struct ps_cluster *cluster, struct ps_slice code,
                                                struct ps_error *err);
/** Add a store of a profile (NULL or empty: the type's default), home = the cluster's. The policy
 * may then be changed in place. Errors: PS_INVALID (name, profile of another type), PS_EXISTS,
 *  PS_NOT_FOUND (profile), PS_LIMIT. *ret is valid until the next store is added. */
PS_MUST_CHECK enum ps_status ps_cluster_add_store(struct ps_cluster *cluster, struct ps_slice name,
                                                  enum ps_store_type type, struct ps_slice profile,
                                                  struct ps_store **ret, struct ps_error *err);

/** Index of a PoP or store by name; -1 if there is none. PoP codes in either case. */
int ps_cluster_find_pop(const struct ps_cluster *cluster, struct ps_slice code);
int ps_cluster_find_store(const struct ps_cluster *cluster, struct ps_slice name);

/** Give a fresh link the undisturbed round trips between PoP `pop` and the store's home. The
 * region's cache is the cluster's first PoP of that region. */
void ps_cluster_link(const struct ps_cluster *cluster, const struct ps_store *store, uint16_t pop,
                     struct ps_link *link);

/** The replica of `store` at PoP `pop` over a link that the caller keeps. */
struct ps_replica ps_cluster_replica(const struct ps_cluster *cluster, const struct ps_store *store,
                                     uint16_t pop, const struct ps_link *link);

/** When the answer of what began at `from_ns` and takes until `end_ns` is given: the cluster's
 * latency setting shortens the wait, never what is seen. */
ps_time_ns ps_cluster_answer_at(const struct ps_cluster *cluster, ps_time_ns from_ns,
                                ps_time_ns end_ns);

const char *ps_store_type_name(enum ps_store_type type); /* "kv" */

#endif
