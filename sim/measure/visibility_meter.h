/* When would a read have shown this write? Visibility under the cache policy, by walking pins.
 *
 * A write committed at c is visible at a PoP from the first instant >= c at which a read there
 * would give it or a newer version. A pin is in effect for reads in [start, until), or up to the
 * next pin's start if that is sooner; it gives all writes committed at or before its as_of. Where
 * no pin is in effect (a gap), a read would fetch, and give what home had half a round trip later;
 * a fetch that would meet an outage waits for its end. A read that would have been is not one that
 * was: it leaves no pin. So a write is visible
 *
 *   at c       if a pin with as_of >= c is in effect then, or none is
 *   later      at the first later pin with as_of >= c, or in the first gap
 *   never      if an outage without end is in the way
 *
 * The virtual world feeds pins as they come; ps_measure feeds them from a history. One meter per
 * (PoP, key), 24 bytes, zeroed at first; O(1) a pin and O(1) a write that a pin hides. Delays of 0
 * are not recorded one by one: ps_visibility_zeros counts them at the end, for keys without any pin
 * as well. Only where a link has outages, or the policy a tier, do keys without pins need a
 * ps_visibility_finish of their own.
 *
 * Not modelled: readers who name a shorter ttl than the entry's (policy.cache.shorten), and entries
 * for absent keys that are not held (policy.cache.negative off): both would see a write sooner. */
#ifndef PS_SIM_MEASURE_VISIBILITY_METER_H
#define PS_SIM_MEASURE_VISIBILITY_METER_H

#include "replication/base/histogram.h"
#include "replication/world/visibility.h"

/** Where one PoP's figures for one store go. */
struct ps_visibility_sink {
    struct ps_replica replica;      /* borrowed parts */
    struct ps_histogram *histogram; /* borrowed; without the zeros until ps_visibility_zeros */
    uint64_t never;                 /* writes that never become visible here */
};

/** The walk of one key at one PoP. Zeroed = no pin yet. */
struct ps_visibility_meter {
    ps_time_ns shown_ns; /* writes committed at or before this are settled */
    ps_time_ns until_ns; /* when the pin in effect ends */
    size_t next;         /* the key's first version that is not settled */
};

/** The key's versions: commit times, ascending. May grow between calls. */
struct ps_commits {
    const ps_time_ns *at_ns; /* borrowed */
    size_t count;
};

/** Record one write's visibility, PS_NEVER included; a delay of 0 is left to ps_visibility_zeros.
 */
void ps_visibility_record(struct ps_visibility_sink *sink, ps_time_ns commit_ns,
                          ps_time_ns visible_ns);

/** A pin comes into effect at `start_ns`. All versions committed before it are in `commits`; calls
 * for one meter come with start_ns never decreasing. */
void ps_visibility_start(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                         uint64_t key_hash, struct ps_commits commits, ps_time_ns start_ns,
                         ps_time_ns as_of_ns, ps_time_ns until_ns);

/** The same from what ps_view_cache or ps_pin_acknowledge did to a pin at `t`: its state before and
 * after. */
void ps_visibility_observe(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                           uint64_t key_hash, struct ps_commits commits,
                           const struct ps_pin *before, const struct ps_pin *after, ps_time_ns t);

/** The PoP lost its cache at `t`; `pin` is what it held (a refresh that landed before counts). */
void ps_visibility_drop(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                        uint64_t key_hash, struct ps_commits commits, const struct ps_pin *pin,
                        ps_time_ns t);

/** The run is over: settle what is left. The last pin (NULL: none) runs out by itself. */
void ps_visibility_finish(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                          uint64_t key_hash, struct ps_commits commits, const struct ps_pin *pin);

/** Count the delays of 0: of `writes` (write, PoP) pairs, all that are neither in the histogram nor
 * never visible. Once per sink, at the end. */
void ps_visibility_zeros(struct ps_visibility_sink *sink, uint64_t writes);

/** The first instant at or after `t` at which a read that finds no entry would give a write
 * committed at `commit_ns` (<= t); PS_NEVER. Also answers for the strong policy. */
ps_time_ns ps_visibility_gap(const struct ps_replica *replica, uint64_t key_hash, ps_time_ns t,
                             ps_time_ns commit_ns);

#endif
