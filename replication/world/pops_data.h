/* The catalogue's table, private to pops.c. */
#ifndef PS_REPLICATION_WORLD_POPS_DATA_H
#define PS_REPLICATION_WORLD_POPS_DATA_H

#include "replication/world/pops.h"

extern const struct ps_pop ps_pops[]; /* ascending by code */
extern const size_t ps_pops_count;
extern const unsigned short ps_pops_spread[]; /* a permutation of the indices: see ps_pop_spread */

#endif
