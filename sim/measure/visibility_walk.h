/* When would a read have shown each write? Visibility under policies that keep no state at the PoP:
 * push and strong. The cache policy's is visibility_meter.h. */
#ifndef PS_SIM_MEASURE_VISIBILITY_WALK_H
#define PS_SIM_MEASURE_VISIBILITY_WALK_H

#include "sim/measure/store_log.h"

/** Record into the sink, for one PoP, the visibility of all records committed at or after
 * `begin_ns`. Delays of 0 are left to ps_visibility_zeros. `key_count`: keys of the log are below
 * it. */
void ps_visibility_walk(struct ps_visibility_sink *sink, const struct ps_store_log *log,
                        size_t key_count, ps_time_ns begin_ns);

#endif
