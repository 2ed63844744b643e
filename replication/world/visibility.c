#include "replication/world/visibility.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

enum { MILLI = 1000 };

ps_time_ns ps_pin_until(const struct ps_pin *pin)
{
    return pin->ttl_ns == 0 ? 0 : ps_time_add(pin->filled_ns, pin->ttl_ns);
}

/* Where fetches of this replica go: the state they bring as of the instant they get there, and how
 * long the way is. */
struct fetch {
    ps_time_ns as_of_ns;
    ps_time_ns filled_ns;
    ps_time_ns ready_ns;
};

/* The instant of home's state that the region's warm cache holds at `t`. */
static ps_time_ns tier_as_of(const struct ps_replica *replica, uint64_t key_hash, ps_time_ns t)
{
    const struct ps_policy *policy = replica->policy;
    if (policy->cache.tier_ns == 0) {
        return t;
    }
    if (policy->cache.tier == PS_TIER_REVALIDATED) {
        return ps_time_sub(t, policy->cache.tier_ns);
    }
    uint64_t phase_ns = ps_below(ps_random_u64(replica->seed, replica->tier_stream, key_hash),
                                 policy->cache.tier_ns);
    return ps_time_sub(t, (t + phase_ns) % policy->cache.tier_ns);
}

static enum ps_status fetch(const struct ps_replica *replica, uint64_t key_hash, ps_time_ns t,
                            struct fetch *ret)
{
    bool tiered = replica->policy->cache.tier != PS_TIER_NONE;
    ps_dur_ns rtt_ns = ps_link_stretch(replica->link, t,
                                       tiered ? replica->link->tier_rtt_ns : replica->link->rtt_ns);
    ps_time_ns ready_ns = ps_time_add(t, rtt_ns);
    if (ps_link_outage(replica->link, t, ready_ns) != NULL) {
        return PS_UNREACHABLE;
    }
    ps_time_ns there_ns = ps_time_add(t, rtt_ns / 2);
    ret->filled_ns = there_ns;
    ret->as_of_ns = tiered ? tier_as_of(replica, key_hash, there_ns) : there_ns;
    ret->ready_ns = ready_ns;
    return PS_OK;
}

/* A refresh that was on its way and has come replaces the entry's state. */
static void land_refresh(struct ps_pin *pin, ps_time_ns t)
{
    if (pin->next_ready_ns != 0 && pin->next_ready_ns <= t) {
        if (pin->next_filled_ns > pin->filled_ns) {
            pin->as_of_ns = pin->next_as_of_ns;
            pin->filled_ns = pin->next_filled_ns;
            pin->ready_ns = pin->next_ready_ns;
        }
        pin->next_as_of_ns = 0;
        pin->next_filled_ns = 0;
        pin->next_ready_ns = 0;
    }
}

static ps_dur_ns ttl_of(const struct ps_policy *policy, ps_dur_ns asked_ns)
{
    return asked_ns == 0 ? policy->cache.ttl_ns : ps_time_max(asked_ns, policy->cache.ttl_min_ns);
}

static struct ps_view as_of_view(ps_time_ns as_of_ns, ps_time_ns ready_ns,
                                 enum ps_cache_status cache)
{
    return (struct ps_view){.kind = PS_VIEW_AS_OF,
                            .cache = cache,
                            .at_ns = as_of_ns,
                            .ready_ns = ready_ns,
                            .need_ns = as_of_ns};
}

static struct ps_view failed_view(const struct ps_policy *policy, ps_time_ns t)
{
    return (struct ps_view){.kind = PS_VIEW_AS_OF, .ready_ns = ps_time_add(t, policy->timeout_ns)};
}

/* A read late in an entry's life starts the next fetch; one that cannot get through is not tried.
 */
static void refresh_ahead(const struct ps_replica *replica, struct ps_pin *pin, uint64_t key_hash,
                          ps_time_ns t)
{
    uint32_t ahead_milli = replica->policy->cache.ahead_milli;
    if (ahead_milli == 0 || pin->next_ready_ns != 0) {
        return;
    }
    ps_dur_ns age_ns = (ps_dur_ns)((ps_u128)pin->ttl_ns * ahead_milli / MILLI);
    struct fetch next;
    if (t >= ps_time_add(pin->filled_ns, age_ns) && fetch(replica, key_hash, t, &next) == PS_OK) {
        pin->next_as_of_ns = next.as_of_ns;
        pin->next_filled_ns = next.filled_ns;
        pin->next_ready_ns = next.ready_ns;
    }
}

enum ps_status ps_view_cache(const struct ps_replica *replica, struct ps_pin *pin,
                             uint64_t key_hash, ps_time_ns t, ps_dur_ns ttl_ns, bool absent,
                             struct ps_view *ret)
{
    const struct ps_policy *policy = replica->policy;
    ps_dur_ns asked_ns = ttl_of(policy, ttl_ns);
    land_refresh(pin, t);
    ps_dur_ns life_ns = policy->cache.shorten ? ps_time_min(pin->ttl_ns, asked_ns) : pin->ttl_ns;
    bool landed = t >= pin->ready_ns;
    bool live = life_ns != 0 && t < ps_time_add(pin->filled_ns, life_ns) &&
                (policy->cache.negative || !absent || !landed);
    if (live) {
        bool was_on_its_way = pin->next_ready_ns != 0;
        if (landed) {
            refresh_ahead(replica, pin, key_hash, t);
        }
        bool started = !was_on_its_way && pin->next_ready_ns != 0;
        enum ps_cache_status cache = !landed   ? PS_CACHE_MISS
                                     : started ? PS_CACHE_REVALIDATE
                                               : PS_CACHE_HIT;
        *ret = as_of_view(pin->as_of_ns, ps_time_max(t, pin->ready_ns), cache);
        return PS_OK;
    }
    struct fetch got;
    if (fetch(replica, key_hash, t, &got) != PS_OK) {
        *ret = failed_view(policy, t);
        return PS_UNREACHABLE;
    }
    *pin = (struct ps_pin){.as_of_ns = got.as_of_ns,
                           .filled_ns = got.filled_ns,
                           .ready_ns = got.ready_ns,
                           .ttl_ns = asked_ns};
    *ret = as_of_view(got.as_of_ns, got.ready_ns, PS_CACHE_MISS);
    return PS_OK;
}

void ps_pin_acknowledge(const struct ps_policy *policy, struct ps_pin *pin, ps_time_ns commit_ns,
                        ps_time_ns t)
{
    if (policy->kind != PS_POLICY_CACHE || !policy->cache.own_writes) {
        return;
    }
    land_refresh(pin, t);
    if (pin->ttl_ns != 0 && pin->as_of_ns >= commit_ns) {
        return; /* what the PoP has, or is fetching, is at least as new */
    }
    bool next_is_newer = pin->next_ready_ns != 0 && pin->next_as_of_ns > commit_ns;
    *pin = (struct ps_pin){.as_of_ns = commit_ns,
                           .filled_ns = commit_ns,
                           .ready_ns = t,
                           .ttl_ns = policy->cache.ttl_ns,
                           .next_as_of_ns = next_is_newer ? pin->next_as_of_ns : 0,
                           .next_filled_ns = next_is_newer ? pin->next_filled_ns : 0,
                           .next_ready_ns = next_is_newer ? pin->next_ready_ns : 0};
}

enum ps_status ps_round_trip(const struct ps_replica *replica, ps_time_ns t,
                             ps_time_ns *ret_home_ns, ps_time_ns *ret_end_ns)
{
    ps_dur_ns rtt_ns = ps_link_stretch(replica->link, t, replica->link->rtt_ns);
    ps_time_ns end_ns = ps_time_add(t, rtt_ns);
    *ret_home_ns = ps_time_add(t, rtt_ns / 2);
    if (ps_link_outage(replica->link, t, end_ns) != NULL) {
        *ret_end_ns = ps_time_add(t, replica->policy->timeout_ns);
        return PS_UNREACHABLE;
    }
    *ret_end_ns = end_ns;
    return PS_OK;
}

enum ps_status ps_view_strong(const struct ps_replica *replica, ps_time_ns t, struct ps_view *ret)
{
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (ps_round_trip(replica, t, &home_ns, &end_ns) != PS_OK) {
        *ret = failed_view(replica->policy, t);
        return PS_UNREACHABLE;
    }
    *ret = as_of_view(home_ns, end_ns, PS_CACHE_NONE);
    return PS_OK;
}

struct ps_view ps_view_push(const struct ps_replica *replica, ps_time_ns t)
{
    const struct ps_policy *policy = replica->policy;
    return (struct ps_view){.kind = policy->push.order == PS_ORDER_FIFO ? PS_VIEW_FIFO
                                                                        : PS_VIEW_ARRIVED,
                            .at_ns = t,
                            .ready_ns = t,
                            .need_ns = ps_time_sub(t, ps_delay_min(&policy->push.delay))};
}

ps_time_ns ps_push_arrival(const struct ps_replica *replica, ps_lsn n, ps_time_ns commit_ns)
{
    ps_dur_ns delay_ns =
        ps_delay_draw(&replica->policy->push.delay, replica->seed, replica->delay_stream, n);
    return ps_link_arrival(replica->link, commit_ns, delay_ns);
}

void ps_push_arrivals(const struct ps_replica *replica, ps_lsn first, const ps_time_ns *commit_ns,
                      size_t count, ps_time_ns *ret)
{
    ps_delay_draw_many(&replica->policy->push.delay, replica->seed, replica->delay_stream, first,
                       count, ret);
    bool undisturbed = replica->link->outage_count == 0 && replica->link->slow_count == 0;
    for (size_t i = 0; i < count; i++) {
        ret[i] = undisturbed ? ps_time_add(commit_ns[i], ret[i])
                             : ps_link_arrival(replica->link, commit_ns[i], ret[i]);
    }
}
