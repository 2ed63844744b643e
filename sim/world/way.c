#include "sim/world/world_internal.h"

/* From when on can the view be resolved? Nothing is committed while home is down, but its state of
 * an instant at which it is down is known only when it is up again. */
static ps_time_ns known_at(const struct world *world, const struct ps_store *config,
                           const struct ps_view *view)
{
    return config->policy.kind == PS_POLICY_PUSH
               ? view->need_ns
               : ps_world_up_at(&world->pops[config->home], view->need_ns);
}

struct ps_world_read_way ps_world_read_way(const struct world *world, uint16_t store, uint16_t pop,
                                           ps_time_ns invoke_ns, ps_time_ns eval_ns,
                                           enum ps_status decided, const struct ps_view *view)
{
    const struct ps_store *config = &world->cluster->stores[store];
    struct ps_world_read_way way = {.status = decided, .complete_ns = view->ready_ns};
    if (decided == PS_OK) {
        way.known_ns = known_at(world, config, view);
        way.complete_ns = ps_time_max(
            way.known_ns, ps_cluster_answer_at(world->cluster, eval_ns, view->ready_ns));
        /* A way that is longer than the time limit is no reason to give up; that home is down is.
         */
        ps_time_ns give_up_ns =
            ps_time_max(view->need_ns, ps_time_add(eval_ns, config->policy.timeout_ns));
        if (way.known_ns != view->need_ns && way.known_ns > give_up_ns) {
            way.status = PS_TIMEOUT;
            way.complete_ns = give_up_ns;
        }
    }
    ps_time_ns crash_ns = ps_world_crash_after(&world->pops[pop], invoke_ns);
    if (crash_ns < way.complete_ns) {
        way.status = PS_UNREACHABLE;
        way.complete_ns = crash_ns;
    }
    return way;
}

struct ps_world_write_way ps_world_write_way(const struct world *world, uint16_t store,
                                             uint16_t pop, ps_time_ns invoke_ns)
{
    const struct ps_store *config = &world->cluster->stores[store];
    struct ps_world_write_way way = {.lost_ns = ps_time_add(invoke_ns, config->policy.timeout_ns)};
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    way.status =
        ps_round_trip(&world->stores[store].replicas[pop].view, invoke_ns, &home_ns, &end_ns);
    way.lost = way.status == PS_OK ? PS_TIMEOUT : way.status;
    if (way.status == PS_OK) {
        home_ns = ps_cluster_answer_at(world->cluster, invoke_ns, home_ns);
        end_ns = ps_cluster_answer_at(world->cluster, invoke_ns, end_ns);
        way.lost_ns = ps_time_max(way.lost_ns, end_ns); /* a long way alone does not end the wait */
        /* The PoP asks again while home is down. */
        way.home_ns = ps_world_up_at(&world->pops[config->home], home_ns);
        way.end_ns = ps_time_add(way.home_ns, end_ns - home_ns);
    }
    ps_time_ns crash_ns = ps_world_crash_after(&world->pops[pop], invoke_ns);
    if (crash_ns < way.lost_ns) {
        way.lost_ns = crash_ns;
        way.lost = PS_UNREACHABLE;
        way.crashed = true;
    }
    if (way.status == PS_OK && way.home_ns > way.lost_ns) {
        way.status = way.lost;
    }
    return way;
}
