/* The catalogue of PoPs: cities where the real network has a point of presence.
 *
 * The table is data (pops.c), made by tools/pops/make from public packages that it names. Constant;
 * sorted by code. */
#ifndef PS_REPLICATION_WORLD_POPS_H
#define PS_REPLICATION_WORLD_POPS_H

#include "replication/base/slice.h"
#include "replication/base/time.h"

#include <stddef.h>

struct ps_pop {
    char code[4];        /* IATA code in lower case: "fra" */
    const char *city;    /* "Frankfurt" */
    const char *country; /* ISO 3166-1 alpha-2: "DE" */
    const char *region;  /* wnam enam weur eeur apac oc sam afr me: the service's location hints */
    double latitude;     /* degrees, north positive */
    double longitude;    /* degrees, east positive */
};

size_t ps_pop_count(void);
const struct ps_pop *ps_pop_at(size_t index); /* index < ps_pop_count() */
/** By code, in either case; NULL if there is none. */
const struct ps_pop *ps_pop_find(struct ps_slice code);
/** Does a PoP of that region exist? */
bool ps_region_exists(struct ps_slice region);
/** The `n`-th (from 0) PoP of a fixed order that spreads over the regions, the busiest cities
 * first; what `--pops 6` takes. n < ps_pop_count(). */
const struct ps_pop *ps_pop_spread(size_t n);

/** Great-circle distance on a sphere of radius 6371.0088 km (IUGG mean radius), in km. */
double ps_pop_distance_km(const struct ps_pop *a, const struct ps_pop *b);

/** Round trip between two PoPs: 2 * distance * route_factor / (2/3 c) + a fixed 1 ms of switching,
 *  rounded to microseconds; 0 for a PoP and itself. route_factor >= 1 (default PS_ROUTE_FACTOR):
 *  how much longer fibre is than the great circle. */
#define PS_ROUTE_FACTOR 1.5
ps_dur_ns ps_pop_round_trip(const struct ps_pop *a, const struct ps_pop *b, double route_factor);

#endif
