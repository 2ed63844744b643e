/* A link: the way between home and one PoP.
 *
 * It has a round trip, times at which it is cut (outages) and times at which it is slow. Everything
 * here is a pure function of the link and of instants. The PoP is the authority for its own link: a
 * live node stamps a cut with its own cluster time, so no read of the past changes its meaning. */
#ifndef PS_REPLICATION_WORLD_LINK_H
#define PS_REPLICATION_WORLD_LINK_H

#include "replication/base/status.h"
#include "replication/base/time.h"

#include <stddef.h>

/** Half-open: [from, until). until may be PS_NEVER (not healed yet). */
struct ps_interval {
    ps_time_ns from_ns;
    ps_time_ns until_ns;
};

/** A time at which every delay and round trip of the link is longer. */
struct ps_slow {
    struct ps_interval when;
    uint32_t factor_milli; /* thousandths, >= 1000 */
};

/** Zeroed = a link without length that is never cut. */
struct ps_link {
    ps_dur_ns rtt_ns;            /* PoP to home and back, undisturbed; 0 at home */
    ps_dur_ns tier_rtt_ns;       /* PoP to its region's cache and back */
    struct ps_interval *outages; /* owned; ascending, disjoint, not touching */
    size_t outage_count;
    size_t outage_capacity;
    struct ps_slow *slows; /* owned; in the order given; where they overlap the factors multiply */
    size_t slow_count;
    size_t slow_capacity;
};

void ps_link_fini(struct ps_link *link);

/** Cut the link for an interval; overlapping outages become one. Errors: PS_INVALID (empty),
 *  PS_LIMIT (PS_OUTAGES_MAX). */
PS_MUST_CHECK enum ps_status ps_link_cut(struct ps_link *link, struct ps_interval when);

/** End at `t` the outage that is in force then. Errors: PS_NOT_FOUND if there is none. */
PS_MUST_CHECK enum ps_status ps_link_heal(struct ps_link *link, ps_time_ns t);

/** Add a slow time. Errors: PS_INVALID, PS_LIMIT. */
PS_MUST_CHECK enum ps_status ps_link_slow(struct ps_link *link, struct ps_slow slow);

/** Add all outages and slow times of `from`. Errors: PS_LIMIT; some may have been added. */
PS_MUST_CHECK enum ps_status ps_link_add(struct ps_link *link, const struct ps_link *from);

/** The outage that overlaps [from, until] (both ends count), the first if several; NULL if none.
 *  Lifetime: until the link changes. */
const struct ps_interval *ps_link_outage(const struct ps_link *link, ps_time_ns from_ns,
                                         ps_time_ns until_ns);

/** `duration_ns` as the link stretches it for what departs at `t`. */
ps_dur_ns ps_link_stretch(const struct ps_link *link, ps_time_ns t, ps_dur_ns duration_ns);

/** When a record arrives that home committed at `commit_ns` and whose drawn delay is `delay_ns`.
 *  A record that meets an outage anywhere in its flight [departure, arrival) is sent again when the
 *  outage ends, with the same drawn delay; PS_NEVER while the outage has no end. Never decreases
 *  when an outage is added or made longer. */
ps_time_ns ps_link_arrival(const struct ps_link *link, ps_time_ns commit_ns, ps_dur_ns delay_ns);

#endif
