#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/world_internal.h"

ps_time_ns ps_world_up_at(const struct world_pop *pop, ps_time_ns t)
{
    for (size_t i = 0; i < pop->down_count; i++) {
        const struct ps_interval *down = &pop->downs[i];
        if (t >= down->from_ns && t < down->until_ns) {
            return down->until_ns;
        }
    }
    return t;
}

ps_time_ns ps_world_crash_after(const struct world_pop *pop, ps_time_ns t)
{
    for (size_t i = 0; i < pop->down_count; i++) {
        if (pop->downs[i].from_ns > t) {
            return pop->downs[i].from_ns;
        }
    }
    return PS_NEVER;
}

/* The scenario's faults ascend by time, and crashes of one PoP do not overlap. */
static void add_down(struct world *world, uint16_t at, struct ps_interval when)
{
    struct world_pop *pop = &world->pops[at];
    PS_ASSERT(pop->down_count == 0 || pop->downs[pop->down_count - 1].until_ns <= when.from_ns);
    pop->downs = ps_realloc(pop->downs, pop->down_count + 1, sizeof *pop->downs);
    pop->downs[pop->down_count++] = when;
    if (when.until_ns != PS_NEVER) {
        ps_queue_push(&world->queue, when.until_ns, PS_EVENT_BOOT, pop);
    }
    struct ps_history *history = world->history;
    history->downtimes =
        ps_realloc(history->downtimes, history->downtime_count + 1, sizeof *history->downtimes);
    history->downtimes[history->downtime_count++] = (struct ps_downtime){.pop = at, .when = when};
}

static enum ps_status add_fault(struct world *world, const struct ps_fault *fault, uint16_t pop)
{
    struct ps_link *link = &world->history->links[pop];
    switch (fault->kind) {
    case PS_FAULT_PARTITION:
        return ps_link_cut(link, fault->when);
    case PS_FAULT_SLOW:
        return ps_link_slow(link, (struct ps_slow){fault->when, fault->factor_milli});
    case PS_FAULT_CRASH:
        add_down(world, pop, fault->when);
        return PS_OK;
    }
    PS_NOT_REACHED();
}

enum ps_status ps_world_faults(struct world *world, struct ps_error *err)
{
    const struct ps_scenario *scenario = world->scenario;
    world->history->links = PS_NEW_ARRAY(struct ps_link, world->cluster->pop_count);
    enum ps_status status = PS_OK;
    for (size_t f = 0; f < scenario->fault_count; f++) {
        const struct ps_fault *fault = &scenario->faults[f];
        for (size_t i = 0; i < fault->pop_count && status == PS_OK; i++) {
            status = add_fault(world, fault, fault->pops[i]);
        }
    }
    for (size_t s = 0; s < world->cluster->store_count; s++) {
        for (size_t p = 0; p < world->cluster->pop_count && status == PS_OK; p++) {
            struct world_replica *replica = &world->stores[s].replicas[p];
            status = ps_link_add(&replica->link, &world->history->links[p]);
        }
    }
    return status == PS_OK ? PS_OK : ps_fail(err, status, "faults: %s", ps_status_text(status));
}
