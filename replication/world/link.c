#include "replication/world/link.h"

#include "replication/base/limits.h"
#include "replication/base/memory.h"

#include <string.h>

enum { FACTOR_ONE = 1000 };

void ps_link_fini(struct ps_link *link)
{
    free(link->outages);
    free(link->slows);
    *link = (struct ps_link){0};
}

/* Index of the first outage that ends after `t`. */
static size_t first_ending_after(const struct ps_link *link, ps_time_ns t)
{
    size_t low = 0;
    size_t high = link->outage_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (link->outages[middle].until_ns > t) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

enum ps_status ps_link_cut(struct ps_link *link, struct ps_interval when)
{
    if (when.from_ns >= when.until_ns) {
        return PS_INVALID;
    }
    /* Outages that overlap or touch the new one become part of it. */
    size_t from = when.from_ns == 0 ? 0 : first_ending_after(link, when.from_ns - 1);
    size_t to = from;
    while (to < link->outage_count && link->outages[to].from_ns <= when.until_ns) {
        when.from_ns = ps_time_min(when.from_ns, link->outages[to].from_ns);
        when.until_ns = ps_time_max(when.until_ns, link->outages[to].until_ns);
        to++;
    }
    if (from == to) {
        if (link->outage_count >= PS_OUTAGES_MAX) {
            return PS_LIMIT;
        }
        link->outages = ps_grow(link->outages, link->outage_count, &link->outage_capacity,
                                sizeof *link->outages);
    }
    size_t tail = link->outage_count - to;
    if (tail > 0) {
        memmove(link->outages + from + 1, link->outages + to, tail * sizeof *link->outages);
    }
    link->outages[from] = when;
    link->outage_count = from + 1 + tail;
    return PS_OK;
}

enum ps_status ps_link_heal(struct ps_link *link, ps_time_ns t)
{
    size_t at = first_ending_after(link, t);
    if (at == link->outage_count || link->outages[at].from_ns > t) {
        return PS_NOT_FOUND;
    }
    if (link->outages[at].from_ns == t) {
        size_t tail = link->outage_count - at - 1;
        memmove(link->outages + at, link->outages + at + 1, tail * sizeof *link->outages);
        link->outage_count--;
    } else {
        link->outages[at].until_ns = t;
    }
    return PS_OK;
}

enum ps_status ps_link_slow(struct ps_link *link, struct ps_slow slow)
{
    if (slow.when.from_ns >= slow.when.until_ns || slow.factor_milli < FACTOR_ONE) {
        return PS_INVALID;
    }
    if (link->slow_count >= PS_OUTAGES_MAX) {
        return PS_LIMIT;
    }
    link->slows = ps_grow(link->slows, link->slow_count, &link->slow_capacity, sizeof *link->slows);
    link->slows[link->slow_count++] = slow;
    return PS_OK;
}

enum ps_status ps_link_add(struct ps_link *link, const struct ps_link *from)
{
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < from->outage_count && status == PS_OK; i++) {
        status = ps_link_cut(link, from->outages[i]);
    }
    for (size_t i = 0; i < from->slow_count && status == PS_OK; i++) {
        status = ps_link_slow(link, from->slows[i]);
    }
    return status;
}

const struct ps_interval *ps_link_outage(const struct ps_link *link, ps_time_ns from_ns,
                                         ps_time_ns until_ns)
{
    if (link->outage_count == 0) {
        return NULL;
    }
    size_t at = first_ending_after(link, from_ns);
    if (at == link->outage_count || link->outages[at].from_ns > until_ns) {
        return NULL;
    }
    return &link->outages[at];
}

ps_dur_ns ps_link_stretch(const struct ps_link *link, ps_time_ns t, ps_dur_ns duration_ns)
{
    ps_u128 stretched = duration_ns;
    for (size_t i = 0; i < link->slow_count; i++) {
        const struct ps_slow *slow = &link->slows[i];
        if (t >= slow->when.from_ns && t < slow->when.until_ns) {
            stretched = stretched * slow->factor_milli / FACTOR_ONE;
            if (stretched >= PS_NEVER) {
                return PS_NEVER;
            }
        }
    }
    return (ps_dur_ns)stretched;
}

ps_time_ns ps_link_arrival(const struct ps_link *link, ps_time_ns commit_ns, ps_dur_ns delay_ns)
{
    ps_time_ns departure_ns = commit_ns;
    for (size_t i = first_ending_after(link, commit_ns);; i++) {
        ps_time_ns arrival_ns =
            ps_time_add(departure_ns, ps_link_stretch(link, departure_ns, delay_ns));
        /* In flight during [departure, arrival): an outage from the instant of arrival on is too
         * late, but one in force at departure is met even by a record that takes no time. */
        if (i == link->outage_count ||
            (link->outages[i].from_ns > departure_ns && link->outages[i].from_ns >= arrival_ns)) {
            return arrival_ns;
        }
        departure_ns = link->outages[i].until_ns;
        if (departure_ns == PS_NEVER) {
            return PS_NEVER;
        }
    }
}
