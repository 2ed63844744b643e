/* One store as one PoP sees it: its cache entries or its window of arrivals, and the order in which
 * it decides reads. Pure: values stay in the map; time is an argument.
 *
 * A read goes through two calls: ps_store_replica_decide at the PoP's evaluation time, and, once
 * the log is complete up to view.need_ns, ps_store_replica_bound to resolve the view against the
 * map. */
#ifndef PS_NODE_KV_REPLICA_H
#define PS_NODE_KV_REPLICA_H

#include "node/map/map.h"
#include "replication/world/cluster.h"

enum { PS_PINS_MAX = 1 << 20 };

/** A node's evaluation clock: strictly ascending, so that its decisions have a total order. */
struct ps_eval_clock {
    ps_time_ns last_ns;
};

static inline ps_time_ns ps_eval_clock_next(struct ps_eval_clock *clock, ps_time_ns now_ns)
{
    clock->last_ns = now_ns > clock->last_ns ? now_ns : clock->last_ns + 1;
    return clock->last_ns;
}

struct ps_store_replica;

/** Borrowed: cluster, store, link (they outlive the replica; the link may change, see _relinked),
 * map. */
struct ps_store_replica *ps_store_replica_create(const struct ps_cluster *cluster,
                                                 const struct ps_store *store, uint16_t pop,
                                                 const struct ps_link *link, struct ps_map *map,
                                                 ps_map_store map_store);
void ps_store_replica_destroy(struct ps_store_replica *replica);

/** Record `lsn` = last + 1 is in the map (push policies keep their window by it). */
void ps_store_replica_applied(struct ps_store_replica *replica, uint64_t lsn, ps_time_ns commit_ns);
/** The map now starts at a snapshot of `lsn`: it counts as visible from its commit time's arrival
 * on. Cache entries are to be reset when a snapshot begins, since the versions that they show may
 * go; those that were made since then stay. */
void ps_store_replica_snapshot(struct ps_store_replica *replica, uint64_t lsn,
                               ps_time_ns commit_ns);
/** The link changed from `t` on. */
void ps_store_replica_relinked(struct ps_store_replica *replica, ps_time_ns t);
/** Forget all cache entries (a restart, a reset). */
void ps_store_replica_reset_pins(struct ps_store_replica *replica);

/** Up to which instant the log must be complete here before a read of `key` may be decided at `t`;
 * 0 = it need not be. A policy without negative entries asks whether the version that a live entry
 * shows is absent, which only a complete log can tell. */
ps_time_ns ps_store_replica_decide_need(const struct ps_store_replica *replica, struct ps_slice key,
                                        ps_time_ns t);

/** Decide a read of `key` at evaluation time `t` (from the node's ps_eval_clock). ttl_ns 0 = none
 * named. Called inside a map read (a policy without negative entries looks the pinned version up),
 * once the log is complete up to ps_store_replica_decide_need.
 *  Errors: PS_UNREACHABLE, with ret->ready_ns = when the client learns it. */
PS_MUST_CHECK enum ps_status ps_store_replica_decide(struct ps_store_replica *replica,
                                                     struct ps_slice key, ps_time_ns t,
                                                     ps_dur_ns ttl_ns, struct ps_view *ret);

/** A write of `key`, committed at commit_ns, is acknowledged at evaluation time `t`. Returns
 * whether the PoP's own entry was refreshed (the policy says so): then `t` is the answer's refresh
 * time. */
bool ps_store_replica_acknowledge(struct ps_store_replica *replica, struct ps_slice key,
                                  ps_time_ns commit_ns, ps_time_ns t);

/** The map bound of a decided view. Valid while the replica is not changed. `have_lsn` limits it to
 * the log that is here (UINT64_MAX: all). */
struct ps_bound ps_store_replica_bound(struct ps_store_replica *replica, const struct ps_view *view,
                                       uint64_t have_lsn);

/** From when on a push policy's reads here may see record `lsn`; 0: for long already, PS_NEVER: it
 *  is not here yet. Other policies, and order none, have no such instant. */
ps_time_ns ps_store_replica_visible(const struct ps_store_replica *replica, uint64_t lsn);

/** House-keeping at `t`: drop pins that ended and marks no waiting read needs (`oldest_wait_ns`:
 * the earliest evaluation time that still waits, or t). Work is bounded by `budget`. */
void ps_store_replica_sweep(struct ps_store_replica *replica, ps_time_ns oldest_wait_ns,
                            size_t budget);

/** The horizon for ps_map_forget: no read that waits or comes is resolved at an earlier commit
 * instant. `t` is no later than the evaluation time and the instant (at_ns) of any read that waits,
 * and than the commit time of any write whose acknowledgement is still to come. Under a push
 * policy, and with very many cache entries, it moves on with ps_store_replica_sweep. */
ps_time_ns ps_store_replica_horizon(const struct ps_store_replica *replica, ps_time_ns t);

size_t ps_store_replica_pins(const struct ps_store_replica *replica);

#endif
