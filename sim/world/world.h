/* The virtual world: a scenario replayed under a virtual clock, in one process.
 *
 * The logic is the live node's own (node/kv: primary, replica; node/map: the memory end, one copy
 * for all PoPs; replication/world: visibility); what is different is who tells the time. Nothing
 * here reads a clock or sleeps. Same scenario and seed: the same history, byte by byte.
 *
 * Order of what happens at one instant: PoPs start again, writes arrive at home, D1
 * requests go on, reads are resolved, answers arrive, sessions invoke (in the order of the file);
 * else in the order of scheduling. A commit is stamped one nanosecond after its arrival. Disk and
 * process take no time; the way to home and back takes the link's round trip, of which the write is
 * committed in the middle.
 *
 * A crashed PoP refuses connections, and starts again with an empty cache. While home is down a
 * fetch waits for it as long as the policy's timeout says. */
#ifndef PS_SIM_WORLD_WORLD_H
#define PS_SIM_WORLD_WORLD_H

#include "sim/measure/measure.h"
#include "sim/scenario/scenario.h"

struct ps_world_options {
    /** Called now and then with how far the run is; NULL = not. */
    void (*progress)(void *context, ps_time_ns now_ns, ps_time_ns end_ns, uint64_t operations);
    void *context;
};

/** Replay the scenario and give its history, sorted. Measure it with ps_measure, check it with
 * ps_verify. Errors: PS_LIMIT (sessions, memory of operations). Ownership: *ret is the caller's. */
PS_MUST_CHECK enum ps_status ps_world_run(const struct ps_scenario *scenario,
                                          const struct ps_world_options *options,
                                          struct ps_history **ret, struct ps_error *err);

/** Can the scenario be measured without a history: no D1 stores, closed loops, lists, absolute
 * expirations? Else *ret_why says what stands against it (a constant text). */
bool ps_world_can_measure(const struct ps_scenario *scenario, const char **ret_why);

/** The measures that ps_measure would take of ps_world_run's history, but for the session
 * guarantees (without_sessions), in a fraction of the time and the memory.
 *
 *  Writes do not depend on reads, and no PoP depends on another: so the log is made first, and then
 * each PoP is walked by itself, as a cursor over the log. Errors: PS_UNSUPPORTED (see above),
 * PS_LIMIT. Ownership: *ret is the caller's. */
PS_MUST_CHECK enum ps_status ps_world_measure(const struct ps_scenario *scenario,
                                              struct ps_measures **ret, struct ps_error *err);

#endif
