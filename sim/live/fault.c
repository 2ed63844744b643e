#include "replication/base/memory.h"
#include "sim/live/live_internal.h"

#define ASK_NS (10 * PS_MS)
#define ASK_LIMIT_NS (2 * PS_SECOND)
#define START_LIMIT_NS (120 * PS_SECOND)

/* A fault without an end lasts to the run's: nothing stays broken when the driver is gone. */
static struct ps_interval when_of(const struct ps_live *live, const struct ps_fault *fault)
{
    ps_time_ns end_ns = ps_time_min(
        fault->when.until_ns, ps_time_max(fault->when.from_ns + 1, live->scenario->duration_ns));
    return (struct ps_interval){live->begin_ns + fault->when.from_ns, live->begin_ns + end_ns};
}

static enum ps_status plan_fault(struct ps_live *live, const struct ps_fault *fault, uint16_t pop,
                                 struct ps_error *err)
{
    struct ps_interval when = when_of(live, fault);
    const char *code = live->state->cluster.pops[pop]->code;
    enum ps_status status = PS_OK;
    switch (fault->kind) {
    case PS_FAULT_PARTITION:
        status = ps_link_cut(&live->planned[pop], when);
        break;
    case PS_FAULT_SLOW:
        status = ps_link_slow(&live->planned[pop], (struct ps_slow){when, fault->factor_milli});
        break;
    case PS_FAULT_CRASH:
        if (live->options->crash == NULL) {
            return ps_fail(err, PS_INVALID, "crash of %s: the cluster's processes are not in reach",
                           code);
        }
        live->crashes[live->crash_count++] =
            (struct ps_live_crash){.live = live, .when = when, .pop = pop};
        return PS_OK;
    }
    return status == PS_OK ? PS_OK
                           : ps_fail(err, status, "faults of %s: %s", code, ps_status_text(status));
}

/* A round trip takes longest when it departs as a slow time begins. */
static ps_dur_ns longest_round_trip(const struct ps_live *live, const struct ps_store *store,
                                    uint16_t pop)
{
    struct ps_link link = live->planned[pop];
    ps_cluster_link(&live->state->cluster, store, pop, &link);
    ps_dur_ns rtt_ns = ps_time_max(link.rtt_ns, link.tier_rtt_ns);
    ps_dur_ns longest_ns = rtt_ns;
    for (size_t i = 0; i < link.slow_count; i++) {
        longest_ns =
            ps_time_max(longest_ns, ps_link_stretch(&link, link.slows[i].when.from_ns, rtt_ns));
    }
    return longest_ns;
}

static void plan_longest(struct ps_live *live)
{
    const struct ps_cluster *cluster = &live->state->cluster;
    live->longest_ns = PS_NEW_ARRAY(ps_dur_ns, cluster->store_count * cluster->pop_count + 1);
    for (size_t s = 0; s < cluster->store_count; s++) {
        const struct ps_store *store = &cluster->stores[s];
        for (uint16_t p = 0; p < cluster->pop_count; p++) {
            ps_dur_ns trip_ns = longest_round_trip(live, store, p);
            ps_dur_ns wait_ns = store->policy.timeout_ns;
            live->longest_ns[s * cluster->pop_count + p] =
                store->type == PS_STORE_D1 ? ps_time_add(wait_ns, trip_ns) /* one after the other */
                                           : ps_time_max(wait_ns, trip_ns);
        }
    }
}

enum ps_status ps_live_faults_plan(struct ps_live *live, struct ps_error *err)
{
    const struct ps_scenario *scenario = live->scenario;
    live->planned = PS_NEW_ARRAY(struct ps_link, scenario->cluster.pop_count);
    size_t most = 1;
    for (size_t i = 0; i < scenario->fault_count; i++) {
        most += scenario->faults[i].pop_count;
    }
    live->crashes = PS_NEW_ARRAY(struct ps_live_crash, most);
    for (size_t i = 0; i < scenario->fault_count; i++) {
        const struct ps_fault *fault = &scenario->faults[i];
        for (size_t p = 0; p < fault->pop_count; p++) {
            enum ps_status status = plan_fault(live, fault, fault->pops[p], err);
            if (status != PS_OK) {
                return status;
            }
        }
    }
    plan_longest(live);
    return PS_OK;
}

/* ---- crashes ---- */

static void begin_crash(struct ps_live *live, struct ps_live_crash *crash)
{
    struct ps_history *history = live->history;
    struct ps_downtime down = {crash->pop, {ps_live_now(live), PS_NEVER}};
    if (live->options->crash(live->options->context, crash->pop, &live->error) != PS_OK) {
        return;
    }
    history->downtimes = ps_grow(history->downtimes, history->downtime_count,
                                 &live->downtime_capacity, sizeof *history->downtimes);
    crash->downtime = history->downtime_count;
    history->downtimes[history->downtime_count++] = down;
    crash->phase = PS_LIVE_DOWN;
}

static void end_crash(struct ps_live *live, struct ps_live_crash *crash)
{
    crash->phase = PS_LIVE_STARTING;
    crash->ask_mono_ns = ps_live_mono_ns();
    crash->give_up_mono_ns = crash->ask_mono_ns + START_LIMIT_NS;
    (void)live->options->release(live->options->context, crash->pop, &live->error);
}

static void on_asked(struct ps_live_call *call, enum ps_status status,
                     const struct ps_live_response *response)
{
    struct ps_live_crash *crash = (struct ps_live_crash *)(void *)call;
    struct ps_live *live = crash->live;
    crash->asking = false;
    if (status == PS_OK && response->status == 200) {
        crash->phase = PS_LIVE_UP;
        live->history->downtimes[crash->downtime].when.until_ns = ps_live_now(live);
        return;
    }
    crash->ask_mono_ns = ps_live_mono_ns() + ASK_NS;
}

static void ask(struct ps_live *live, struct ps_live_crash *crash, uint64_t mono_ns)
{
    if (mono_ns > crash->give_up_mono_ns) {
        (void)ps_fail(&live->error, PS_TIMEOUT, "%s does not start again after its crash",
                      live->state->cluster.pops[crash->pop]->code);
        return;
    }
    crash->call.request.size = 0;
    ps_buf_append_text(&crash->call.request, "GET /healthz HTTP/1.1\r\nHost: popsim\r\n\r\n");
    crash->call.pop = crash->pop;
    crash->call.deadline_mono_ns = mono_ns + ASK_LIMIT_NS;
    crash->call.done = on_asked;
    crash->asking = true;
    ps_live_client_start(live->client, &crash->call);
}

/* Returns when to come again. */
static uint64_t turn(struct ps_live *live, struct ps_live_crash *crash)
{
    uint64_t mono_ns = ps_live_mono_ns();
    uint64_t due_ns = PS_NEVER;
    switch (crash->phase) {
    case PS_LIVE_PLANNED:
        due_ns = ps_live_when(live, crash->when.from_ns);
        if (due_ns <= mono_ns) {
            begin_crash(live, crash);
        }
        return due_ns <= mono_ns ? 0 : due_ns;
    case PS_LIVE_DOWN:
        due_ns = ps_live_when(live, crash->when.until_ns);
        if (due_ns <= mono_ns) {
            end_crash(live, crash);
        }
        return due_ns <= mono_ns ? 0 : due_ns;
    case PS_LIVE_STARTING:
        if (!crash->asking && crash->ask_mono_ns <= mono_ns) {
            ask(live, crash, mono_ns);
        }
        return crash->asking ? PS_NEVER : crash->ask_mono_ns;
    case PS_LIVE_UP:
        break;
    }
    return PS_NEVER;
}

uint64_t ps_live_faults_turn(struct ps_live *live)
{
    uint64_t next_ns = PS_NEVER;
    for (size_t i = 0; i < live->crash_count && live->error.status == PS_OK; i++) {
        next_ns = ps_time_min(next_ns, turn(live, &live->crashes[i]));
    }
    return next_ns;
}

bool ps_live_faults_over(const struct ps_live *live)
{
    for (size_t i = 0; i < live->crash_count; i++) {
        if (live->crashes[i].phase != PS_LIVE_UP) {
            return false;
        }
    }
    return true;
}

void ps_live_faults_release(struct ps_live *live)
{
    for (size_t i = 0; i < live->crash_count; i++) {
        if (live->crashes[i].phase == PS_LIVE_DOWN) {
            end_crash(live, &live->crashes[i]);
        }
    }
}

void ps_live_faults_fini(struct ps_live *live)
{
    for (size_t i = 0; i < live->crash_count; i++) {
        ps_buf_fini(&live->crashes[i].call.request);
    }
    free(live->crashes);
    for (size_t i = 0; live->planned != NULL && i < live->scenario->cluster.pop_count; i++) {
        ps_link_fini(&live->planned[i]);
    }
    free(live->planned);
}
