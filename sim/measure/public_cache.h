/* What a PoP's cache gives to reads of a bucket's public URL, decided from the log alone, by the
 * rules that node/r2/public.h states: the virtual world makes histories by it, verify holds live
 * histories against it, the measures walk it. Pure. */
#ifndef PS_SIM_MEASURE_PUBLIC_CACHE_H
#define PS_SIM_MEASURE_PUBLIC_CACHE_H

#include "node/r2/public.h"
#include "sim/measure/history.h"

/** What a fetch of a key that shows home's state of `as_of_ns` leaves in the cache: for how long.
 *  Gives the version's LSN (a deletion's too; 0: there is none), and whether there is an object. */
typedef struct ps_r2_cache_stay (*ps_public_stay_fn)(void *context, uint32_t key,
                                                     ps_time_ns as_of_ns, uint64_t *ret_lsn,
                                                     bool *ret_there);
/** An entry is given to reads in [from_ns, until_ns); it shows home's state of `as_of_ns`. */
typedef void (*ps_public_entry_fn)(void *context, uint32_t key, ps_time_ns from_ns,
                                   ps_time_ns as_of_ns, ps_time_ns until_ns);

struct ps_public_cache;

/** Borrowed: replica (of the bucket's own policy, strong), what `context` is. `entry` may be NULL;
 *  it needs all purges to be told before the reads. */
struct ps_public_cache *ps_public_cache_create(const struct ps_replica *replica,
                                               enum ps_r2_cache_kinds kinds, void *context,
                                               ps_public_stay_fn stay, ps_public_entry_fn entry);
void ps_public_cache_destroy(struct ps_public_cache *cache); /* NULL accepted */

/** A purge was committed. `all`: of all keys. In ascending order of LSNs. */
void ps_public_cache_purged(struct ps_public_cache *cache, uint32_t key, bool all,
                            ps_time_ns commit_ns);

/** The PoP lost its cache at `t`. */
void ps_public_cache_reset(struct ps_public_cache *cache, ps_time_ns t);

/** The PoP had to drop its entry of the key at `t`, between two reads. */
void ps_public_cache_drop(struct ps_public_cache *cache, uint32_t key, ps_time_ns t);

/** A decided read. */
struct ps_public_view {
    struct ps_view view; /* of what is given: AS_OF; need_ns: what must be known for that */
    bool cached;
    uint64_t lsn;                 /* cached: of the version that is given */
    enum ps_r2_cache_state state; /* fetched: ps_public_cache_state tells */
    bool had;                     /* fetched: there was an entry, ... */
    uint64_t had_lsn;             /* ... of this object; 0: of none */
};

/** Decide a read at `t`; times ascend. Errors: PS_UNREACHABLE, with ret->view.ready_ns = when the
 *  client learns it. */
PS_MUST_CHECK enum ps_status ps_public_cache_decide(struct ps_public_cache *cache, uint32_t key,
                                                    struct ps_slice name, ps_time_ns t,
                                                    struct ps_public_view *ret);

/** How often the bucket was asked: by reads, and behind them. */
uint64_t ps_public_cache_fetches(const struct ps_public_cache *cache);

/** The state to tell of a read that was decided so and found version `lsn` (0: no object), which
 *  may stay in the cache so. */
enum ps_r2_cache_state ps_public_cache_state(const struct ps_public_view *view, uint64_t lsn,
                                             const struct ps_r2_cache_stay *stay);

#endif
