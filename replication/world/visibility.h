/* Visibility: what a read at a PoP may see.
 *
 * Every replica holds the whole log; a read sees the part that its store's policy lets through. The
 * functions here decide that part, and nothing else: they do no I/O, keep no values, and see time
 * only as an argument. The live node and the virtual world call the same ones, and `popsim verify`
 * calls them a third time.
 *
 * A decision is a `ps_view`, of one of three forms:
 *
 *   PS_VIEW_AS_OF    the key as home had it at the instant `at_ns`: its newest version committed at
 *                    or before it (cache, strong)
 *   PS_VIEW_FIFO     the store as of the largest LSN n with visible(n) <= at_ns, where
 *                    visible(n) = max(visible(n-1), arrival(n)) (push, order fifo)
 *   PS_VIEW_ARRIVED  the key's newest version n with arrival(n) <= at_ns (push, order none)
 *
 * plus when its answer is ready (the emulated latency), and up to which instant the log must be
 * complete before the view can be resolved (`need_ns`): a replica that is not that far asks home
 * for its closed time first, so that a decision never depends on how fast a message was.
 *
 * The cache policy is the one Workers KV documents. A pin is an instant: "this PoP shows this key
 * as home had it at as_of_ns, until filled_ns + ttl_ns". A fetch at t that takes a round trip r
 * reads home at filled = t + r/2 and is ready at t + r; reads in between join it; without a tier
 * as_of is filled, so that nothing is ever shown for longer than its ttl. A write acknowledged
 * through the PoP pins its own commit time. The upper tier, where a policy has one, is taken to be
 * warm and revalidated with a fixed period or a fixed lag: its content is a pure function of time,
 * so no state is shared between PoPs. */
#ifndef PS_REPLICATION_WORLD_VISIBILITY_H
#define PS_REPLICATION_WORLD_VISIBILITY_H

#include "replication/base/random.h"
#include "replication/world/delay.h"
#include "replication/world/link.h"

#include <stdbool.h>

typedef uint64_t ps_lsn; /* position in one store's log, from 1, without gaps; 0 = none */

enum ps_policy_kind { PS_POLICY_PUSH, PS_POLICY_CACHE, PS_POLICY_STRONG };

enum ps_order { PS_ORDER_FIFO, PS_ORDER_NONE };

/** What stands between a PoP's cache and home. */
enum ps_tier {
    PS_TIER_NONE, /* fetches go to home */
    PS_TIER_TTL,  /* a regional cache with its own ttl, refilled every tier_ns at a phase of its own
                   */
    PS_TIER_REVALIDATED /* a regional cache that a write reaches after tier_ns */
};

/** A store's policy. Data; copied freely except for the delay's owned parts (ps_delay_copy). */
struct ps_policy {
    enum ps_policy_kind kind;
    ps_dur_ns timeout_ns; /* how long a client of a cut link waits for its error */

    struct {
        enum ps_order order;
        struct ps_delay delay;
    } push;

    struct {
        ps_dur_ns ttl_ns;     /* for a read that names none */
        ps_dur_ns ttl_min_ns; /* a read that names less gets this */
        bool own_writes; /* an acknowledged write refreshes the entry of the PoP it came through */
        bool negative;   /* absence is cached too */
        bool shorten;    /* a read with a smaller ttl ends an entry early */
        uint32_t
            ahead_milli; /* a read past this share of an entry's life refreshes it; 0 = never */
        enum ps_tier tier;
        ps_dur_ns tier_ns;
    } cache;
};

enum ps_view_kind { PS_VIEW_AS_OF, PS_VIEW_FIFO, PS_VIEW_ARRIVED };

/** How a cache answered, as CF-Cache-Status names it. */
enum ps_cache_status { PS_CACHE_NONE, PS_CACHE_MISS, PS_CACHE_HIT, PS_CACHE_REVALIDATE };

struct ps_view {
    enum ps_view_kind kind;
    enum ps_cache_status cache;
    ps_time_ns at_ns; /* see the form above */
    ps_time_ns
        ready_ns; /* when the client has its answer, with emulated latency; >= the read's time */
    ps_time_ns need_ns; /* the log must be complete for commit times <= this */
};

/** What a view depends on besides time. Borrowed pointers; one per (store, PoP). */
struct ps_replica {
    const struct ps_policy *policy;
    const struct ps_link *link;
    uint64_t seed;
    ps_stream delay_stream; /* ps_stream_of("delay", store, pop) */
    ps_stream tier_stream;  /* ps_stream_of("tier", store, region) */
};

/** One key's cache entry at one PoP. Zeroed = empty. */
struct ps_pin {
    ps_time_ns as_of_ns;      /* the instant of home's state that reads are given */
    ps_time_ns filled_ns;     /* when that was read, at home or in the tier: life counts from here;
                                 as_of_ns     without a tier */
    ps_time_ns ready_ns;      /* the fetch's end; a read before it joins and waits */
    ps_dur_ns ttl_ns;         /* 0 = empty; the entry ends at filled_ns + ttl_ns */
    ps_time_ns next_as_of_ns; /* a refresh on its way (ahead_milli); next_ready_ns 0 = none */
    ps_time_ns next_filled_ns;
    ps_time_ns next_ready_ns;
};

/** The end of an entry's life for a reader who asks for no shorter one: filled + ttl; 0 if empty.
 */
ps_time_ns ps_pin_until(const struct ps_pin *pin);

/** Decide a read of one key at `t` under the cache policy, and change the entry as the read does.
 *
 *  key_hash   ps_slice_hash of the key: the phase of a ttl tier
 *  ttl_ns     the reader's cacheTtl, 0 = the policy's
 *  absent     the entry's version is known to be absent: only looked at when !policy.cache.negative
 *  Order:     calls for one PoP and key come with t never decreasing.
 *  Errors:    PS_UNREACHABLE: a fetch was needed and the link is cut; the entry is as before and
 *             ret->ready_ns is when the client learns it. */
PS_MUST_CHECK enum ps_status ps_view_cache(const struct ps_replica *replica, struct ps_pin *pin,
                                           uint64_t key_hash, ps_time_ns t, ps_dur_ns ttl_ns,
                                           bool absent, struct ps_view *ret);

/** A write of the key, committed at `commit_ns`, is acknowledged through this PoP at `t`. */
void ps_pin_acknowledge(const struct ps_policy *policy, struct ps_pin *pin, ps_time_ns commit_ns,
                        ps_time_ns t);

/** Decide a read at `t` under the strong policy. Errors: PS_UNREACHABLE, as above. */
PS_MUST_CHECK enum ps_status ps_view_strong(const struct ps_replica *replica, ps_time_ns t,
                                            struct ps_view *ret);

/** Decide a read at `t` under a push policy; cannot fail. */
struct ps_view ps_view_push(const struct ps_replica *replica, ps_time_ns t);

/** Does a round trip from the PoP to home that starts at `t` succeed? What writes and strong reads
 *  ask. Gives the instant at home and the end at the PoP; on PS_UNREACHABLE *ret_end_ns is when the
 *  client learns it (t + timeout). */
PS_MUST_CHECK enum ps_status ps_round_trip(const struct ps_replica *replica, ps_time_ns t,
                                           ps_time_ns *ret_home_ns, ps_time_ns *ret_end_ns);

/** When record n, committed at `commit_ns`, arrives at the PoP. */
ps_time_ns ps_push_arrival(const struct ps_replica *replica, ps_lsn n, ps_time_ns commit_ns);

/** The same for records first .. first + count - 1, faster; commit_ns has their commit times. */
void ps_push_arrivals(const struct ps_replica *replica, ps_lsn first, const ps_time_ns *commit_ns,
                      size_t count, ps_time_ns *ret);

/** The running maximum of arrivals at one PoP: visible(n) for the records that are still of
 * interest. Zeroed = nothing appended. */
struct ps_push_window {
    struct ps_push_mark {
        ps_time_ns commit_ns;
        ps_time_ns visible_ns; /* ascending */
    } * marks;                 /* owned ring; marks of LSN first .. last */

    size_t capacity;      /* a power of two, or 0 */
    ps_lsn first;         /* the oldest LSN with a mark; first - 1 is visible since `before_ns` */
    ps_lsn last;          /* the newest LSN appended; first - 1 when the window is empty */
    ps_time_ns before_ns; /* visible(first - 1) */
};

void ps_push_window_fini(struct ps_push_window *window);
/** Append record `window->last + 1`. */
void ps_push_window_append(struct ps_push_window *window, const struct ps_replica *replica,
                           ps_time_ns commit_ns);
/** Start a window behind record `lsn` (a snapshot, or a log whose head is forgotten), which counts
 *  as visible since `visible_ns`. */
void ps_push_window_reset(struct ps_push_window *window, ps_lsn lsn, ps_time_ns visible_ns);
/** The largest LSN with visible(n) <= t; t is not before the last trim. */
ps_lsn ps_push_window_at(const struct ps_push_window *window, ps_time_ns t);
/** visible(n) for first <= n <= last. */
ps_time_ns ps_push_window_visible(const struct ps_push_window *window, ps_lsn n);
/** Forget marks that no read at or after `t` needs. */
void ps_push_window_trim(struct ps_push_window *window, ps_time_ns t);
/** The link changed from `t` on: compute again what is not visible before `t`. */
void ps_push_window_relink(struct ps_push_window *window, const struct ps_replica *replica,
                           ps_time_ns t);

#endif
