/* A public bucket's cache at one PoP: which answer it gives to a GET or HEAD of the public URL, and
 * how old that is. Pure: values stay in the map, time is an argument; what is shown is a function
 * of the log, the link and the reads before. It stands on the rules of node/r2/cache.h.
 *
 * What counts when, so that it can be computed again from the log and the reads alone:
 *
 * - A read at evaluation time t of a key that is not of a cached kind goes home (DYNAMIC), as a
 *   strong read: home's state at t + r/2, ready at t + r.
 * - Else it is given the key's *entry*, at once, while that is fresh (HIT), or *fetches*, which is
 *   a strong read too. A fetch leaves an entry that is there from t + r on, and shows home's state
 *   of t + r/2: `as_of_ns`. From that instant its life counts, and its Age: nothing is ever shown
 *   longer after it was superseded than its life is long.
 * - While a fetch is on its way, others of the same key fetch too, each for itself, as nobody may
 *   wait for an answer that might not be allowed to be kept. Only the first one's is kept.
 * - What may be kept, and how long, is said by the version that the fetch found
 *   (ps_r2_cache_stay_of, at the Unix time of as_of_ns). What may not leaves no entry.
 * - An entry that is no longer fresh, but whose object's stale-while-revalidate still allows it, is
 *   given at once, too (UPDATING), and that read fetches behind it: unless a fetch is on its way
 *   already, or the link is cut.
 * - After that, or without it, the next read fetches (EXPIRED, or REVALIDATED: home has the same
 *   version). Only when the link is cut at t it is given once more, if its object's
 *   stale-if-error says so (STALE), and that at once. An hour after that it is forgotten (MISS).
 * - A purge is a record of the log. It is visible at a PoP PS_R2_PURGE_MS after its commit, held up
 *   by cuts and slow times as any record (ps_link_arrival). From then on, entries and fetches on
 *   their way whose as_of_ns is not after that instant are gone. Of purges of one key (and of those
 *   of all keys) the one with the largest LSN that is visible counts.
 * - A restart, a snapshot that replaces the log, and what else empties a PoP's caches, empties this
 *   one (ps_r2_public_reset). The answers of one boot count belong to one cache.
 *
 * With more than PS_PINS_MAX entries the one that was looked at least goes. */
#ifndef PS_NODE_R2_PUBLIC_H
#define PS_NODE_R2_PUBLIC_H

#include "node/kv/replica.h"
#include "node/r2/cache.h"

/** From the commit of a purge until it is visible everywhere: Cloudflare says that half of all
 *  purges take less. */
#define PS_R2_PURGE_MS 150
/** An entry that can no longer be given is remembered for this long. */
#define PS_R2_PUBLIC_KEPT_NS PS_HOUR

struct ps_r2_public;

/** A decided read. */
struct ps_r2_public_view {
    /* PS_VIEW_AS_OF: home's state at at_ns is given, ready at ready_ns; for `cached`, at_ns is the
     * entry's as_of_ns, and need_ns is 0. */
    struct ps_view view;
    bool cached; /* out of the cache: `lsn` is given */
    bool kept;   /* fetched, and what it brings becomes the entry, if it may be kept */
    uint64_t
        lsn; /* cached: of the version, also of the tombstone that a cached 404 shows; 0: none */
    uint64_t age_s;               /* cached: the Age header */
    enum ps_r2_cache_state state; /* of a fetch: ps_r2_public_state refines it */
    bool had;                     /* fetched: there was an entry, no longer fresh */
    uint64_t had_lsn;             /* ... that showed this object; 0: a 404 */
};

/** Borrowed: cluster, store, link (it may change, as long as what it said of the past stays), map.
 *  They outlive it. */
struct ps_r2_public *ps_r2_public_create(const struct ps_cluster *cluster,
                                         const struct ps_store *store, uint16_t pop,
                                         const struct ps_link *link, struct ps_map *map,
                                         ps_map_store map_store);
void ps_r2_public_destroy(struct ps_r2_public *cache); /* NULL accepted */
/** Forget all entries and fetches on their way. */
void ps_r2_public_reset(struct ps_r2_public *cache);

/** Up to which instant the log must be complete here before a read of `key` may be decided at `t`;
 *  0 = it need not be. */
ps_time_ns ps_r2_public_decide_need(const struct ps_r2_public *cache, struct ps_slice key,
                                    ps_time_ns t);

/** Decide a read of `key`, a valid object key, at `t` (from the node's ps_eval_clock: strictly
 *  ascending), within a map read, once the log is complete up to ps_r2_public_decide_need.
 *  Errors: PS_UNREACHABLE: a fetch was needed and the link is cut; ret->view.ready_ns is when the
 *  client learns it; PS_IO, PS_CORRUPT, ...: the map's, or of an object that is not understood. */
PS_MUST_CHECK enum ps_status ps_r2_public_decide(struct ps_r2_public *cache, struct ps_slice key,
                                                 ps_time_ns t, struct ps_r2_public_view *ret);

/** The same when home is away and the log is complete only up to `closed_ns`: what the PoP has is
 * given by what it knows, as if the link were cut; nothing changes. Such a read is to be marked
 * late: nobody can compute it again. Within a map read. Errors: as above. */
PS_MUST_CHECK enum ps_status ps_r2_public_decide_late(struct ps_r2_public *cache,
                                                      struct ps_slice key, ps_time_ns t,
                                                      ps_time_ns closed_ns,
                                                      struct ps_r2_public_view *ret);

/** The map bound of a decided view. */
struct ps_bound ps_r2_public_bound(const struct ps_r2_public_view *view);

/** The state to tell of a read, once its version is found: `object`, or NULL: there is none. `lsn`
 *  is the object's version. */
enum ps_r2_cache_state ps_r2_public_state(const struct ps_r2_public *cache, struct ps_slice key,
                                          const struct ps_r2_public_view *view,
                                          const struct ps_r2_object *object, uint64_t lsn);

/** The entry's body cannot be had any more: forget it at `t` (of the node's ps_eval_clock), if it
 * still shows `lsn` and no fetch has taken its place. Returns whether it did: such a read is to be
 * marked with `t` (popsim-dropped), as nothing in the log tells of it. */
bool ps_r2_public_drop(struct ps_r2_public *cache, struct ps_slice key, uint64_t lsn, ps_time_ns t);

/** House-keeping, within a map read: look at `budget` entries, forget those whose time is over at
 *  `oldest_wait_ns` (the earliest evaluation time that still waits, or now); the log is complete up
 *  to `closed_ns`. */
void ps_r2_public_sweep(struct ps_r2_public *cache, ps_time_ns oldest_wait_ns, ps_time_ns closed_ns,
                        size_t budget);

/** The horizon for ps_map_forget: what entries show, and what those on their way found, stays. `t`
 *  as for ps_store_replica_horizon. It moves on with ps_r2_public_sweep. An entry whose version is
 *  the newest holds nothing up. */
ps_time_ns ps_r2_public_horizon(const struct ps_r2_public *cache, ps_time_ns t);

size_t ps_r2_public_count(const struct ps_r2_public *cache);

#endif
