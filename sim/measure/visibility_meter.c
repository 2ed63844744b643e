#include "sim/measure/visibility_meter.h"

#include "replication/base/assert.h"

/* What a read at `t` that finds no entry would be given. */
static enum ps_status probe(const struct ps_replica *replica, uint64_t key_hash, ps_time_ns t,
                            ps_time_ns *ret_as_of_ns)
{
    struct ps_view view;
    enum ps_status status;
    if (replica->policy->kind == PS_POLICY_STRONG) {
        status = ps_view_strong(replica, t, &view);
    } else {
        struct ps_pin none = {0};
        status = ps_view_cache(replica, &none, key_hash, t, 0, false, &view);
    }
    *ret_as_of_ns = view.at_ns;
    return status;
}

static bool tiered(const struct ps_replica *replica)
{
    return replica->policy->kind == PS_POLICY_CACHE &&
           replica->policy->cache.tier != PS_TIER_NONE && replica->policy->cache.tier_ns != 0;
}

static ps_dur_ns round_trip(const struct ps_replica *replica, ps_time_ns t)
{
    bool tier =
        replica->policy->kind == PS_POLICY_CACHE && replica->policy->cache.tier != PS_TIER_NONE;
    return ps_link_stretch(replica->link, t,
                           tier ? replica->link->tier_rtt_ns : replica->link->rtt_ns);
}

ps_time_ns ps_visibility_gap(const struct ps_replica *replica, uint64_t key_hash, ps_time_ns t,
                             ps_time_ns commit_ns)
{
    if (replica->link->outage_count == 0 && !tiered(replica)) {
        return t;
    }
    /* Each turn moves on to an outage's end, or to where the tier would have the write if nothing
     * else were in the way. */
    for (;;) {
        ps_time_ns as_of_ns;
        if (probe(replica, key_hash, t, &as_of_ns) != PS_OK) {
            ps_dur_ns rtt_ns = round_trip(replica, t);
            const struct ps_interval *outage =
                ps_link_outage(replica->link, t, ps_time_add(t, rtt_ns));
            PS_ASSERT(outage != NULL);
            if (outage->until_ns == PS_NEVER) {
                return PS_NEVER;
            }
            t = outage->until_ns;
            continue;
        }
        if (as_of_ns >= commit_ns) {
            return t;
        }
        /* The instant at which the tier is to be read; not counted from as_of_ns, which stays 0
         * until the tier has lagged once. */
        ps_dur_ns tier_ns = replica->policy->cache.tier_ns;
        ps_time_ns there_ns = ps_time_add(commit_ns, tier_ns);
        if (replica->policy->cache.tier == PS_TIER_TTL) {
            ps_dur_ns periods = (commit_ns - as_of_ns + tier_ns - 1) / tier_ns;
            there_ns = ps_time_add(as_of_ns, periods * tier_ns);
        }
        t = ps_time_add(t, there_ns - ps_time_add(t, round_trip(replica, t) / 2));
    }
}

void ps_visibility_record(struct ps_visibility_sink *sink, ps_time_ns commit_ns,
                          ps_time_ns visible_ns)
{
    if (visible_ns == PS_NEVER) {
        sink->never++;
    } else if (visible_ns > commit_ns) {
        ps_histogram_record(sink->histogram, visible_ns - commit_ns, 1);
    }
}

void ps_visibility_start(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                         uint64_t key_hash, struct ps_commits commits, ps_time_ns start_ns,
                         ps_time_ns as_of_ns, ps_time_ns until_ns)
{
    for (; meter->next < commits.count; meter->next++) {
        ps_time_ns commit_ns = commits.at_ns[meter->next];
        if (commit_ns <= meter->shown_ns) {
            continue;
        }
        /* In the gap before this pin, if there is one at or after the commit. */
        ps_time_ns from_ns = ps_time_max(commit_ns, meter->until_ns);
        ps_time_ns gap_ns = from_ns < start_ns
                                ? ps_visibility_gap(&sink->replica, key_hash, from_ns, commit_ns)
                                : PS_NEVER;
        if (gap_ns < start_ns) {
            ps_visibility_record(sink, commit_ns, gap_ns);
        } else if (commit_ns <= as_of_ns || start_ns == PS_NEVER) {
            ps_visibility_record(sink, commit_ns, ps_time_max(commit_ns, start_ns));
        } else {
            break; /* hidden by this pin; versions behind it are too */
        }
    }
    meter->shown_ns = ps_time_max(meter->shown_ns, as_of_ns);
    meter->until_ns = until_ns;
}

/* A refresh that was on its way when nothing else happened comes into effect by itself. */
static struct ps_pin land(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                          uint64_t key_hash, struct ps_commits commits, const struct ps_pin *pin,
                          ps_time_ns t)
{
    struct ps_pin landed = *pin;
    if (pin->next_ready_ns != 0 && pin->next_ready_ns <= t) {
        if (pin->next_filled_ns > pin->filled_ns) {
            landed.as_of_ns = pin->next_as_of_ns;
            landed.filled_ns = pin->next_filled_ns;
            ps_visibility_start(meter, sink, key_hash, commits, pin->next_ready_ns, landed.as_of_ns,
                                ps_pin_until(&landed));
        }
        landed.next_ready_ns = 0;
    }
    return landed;
}

void ps_visibility_observe(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                           uint64_t key_hash, struct ps_commits commits,
                           const struct ps_pin *before, const struct ps_pin *after, ps_time_ns t)
{
    struct ps_pin landed = land(meter, sink, key_hash, commits, before, t);
    if (after->filled_ns != landed.filled_ns || after->as_of_ns != landed.as_of_ns ||
        after->ttl_ns != landed.ttl_ns) {
        ps_visibility_start(meter, sink, key_hash, commits, t, after->as_of_ns,
                            ps_pin_until(after));
    }
}

void ps_visibility_drop(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                        uint64_t key_hash, struct ps_commits commits, const struct ps_pin *pin,
                        ps_time_ns t)
{
    (void)land(meter, sink, key_hash, commits, pin, t);
    meter->until_ns = ps_time_min(meter->until_ns, t);
}

void ps_visibility_finish(struct ps_visibility_meter *meter, struct ps_visibility_sink *sink,
                          uint64_t key_hash, struct ps_commits commits, const struct ps_pin *pin)
{
    if (pin != NULL) {
        (void)land(meter, sink, key_hash, commits, pin, PS_NEVER - 1);
    }
    ps_visibility_start(meter, sink, key_hash, commits, PS_NEVER, 0, PS_NEVER);
}

void ps_visibility_zeros(struct ps_visibility_sink *sink, uint64_t writes)
{
    uint64_t counted = sink->histogram->count + sink->never;
    PS_ASSERT(counted <= writes);
    if (writes > counted) {
        ps_histogram_record(sink->histogram, 0, writes - counted);
    }
}
