#include "replication/world/pops.h"

#include "replication/base/assert.h"
#include "replication/world/pops_data.h"

#include <math.h>
#include <string.h>

#define EARTH_RADIUS_KM 6371.0088
#define RADIANS_PER_DEGREE 0.017453292519943295
#define LIGHT_IN_FIBRE_KM_PER_S (299792.458 * 2 / 3)
#define SWITCHING_US 1000.0

enum { CODE_SIZE = 3 };

size_t ps_pop_count(void)
{
    return ps_pops_count;
}

const struct ps_pop *ps_pop_at(size_t index)
{
    PS_ASSERT(index < ps_pops_count);
    return &ps_pops[index];
}

const struct ps_pop *ps_pop_spread(size_t n)
{
    PS_ASSERT(n < ps_pops_count);
    return &ps_pops[ps_pops_spread[n]];
}

const struct ps_pop *ps_pop_find(struct ps_slice code)
{
    if (code.size != CODE_SIZE) {
        return NULL;
    }
    char lower[CODE_SIZE];
    for (size_t i = 0; i < CODE_SIZE; i++) {
        char c = code.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    size_t low = 0;
    size_t high = ps_pops_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(ps_pops[middle].code, lower, CODE_SIZE);
        if (order == 0) {
            return &ps_pops[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool ps_region_exists(struct ps_slice region)
{
    for (size_t i = 0; i < ps_pops_count; i++) {
        if (ps_slice_eq(ps_slice_of(ps_pops[i].region), region)) {
            return true;
        }
    }
    return false;
}

double ps_pop_distance_km(const struct ps_pop *a, const struct ps_pop *b)
{
    /* Haversine: exact enough for near points, where the law of cosines is not. */
    double latitude = (b->latitude - a->latitude) * RADIANS_PER_DEGREE / 2;
    double longitude = (b->longitude - a->longitude) * RADIANS_PER_DEGREE / 2;
    double h = sin(latitude) * sin(latitude) + cos(a->latitude * RADIANS_PER_DEGREE) *
                                                   cos(b->latitude * RADIANS_PER_DEGREE) *
                                                   sin(longitude) * sin(longitude);
    return 2 * EARTH_RADIUS_KM * asin(h >= 1 ? 1 : sqrt(h));
}

ps_dur_ns ps_pop_round_trip(const struct ps_pop *a, const struct ps_pop *b, double route_factor)
{
    if (a == b) {
        return 0;
    }
    double us = 2e6 * ps_pop_distance_km(a, b) * route_factor / LIGHT_IN_FIBRE_KM_PER_S;
    return (ps_dur_ns)(us + SWITCHING_US + 0.5) * PS_US;
}
