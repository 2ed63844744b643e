#include "sim/live/live.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/live/live_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define REPORT_S 0.2
#define FETCH_S 600. /* well before a node forgets, which takes it an hour */

/* Time to tell the nodes of their links, before the first operation. */
#define LEAD_NS (200 * PS_MS)
#define LEAD_PER_POP_NS (10 * PS_MS)

/* ---- the loop ---- */

static void set_timer(struct ps_live *live, uint64_t mono_ns)
{
    if (mono_ns == live->timer_mono_ns && mono_ns != 0) {
        return;
    }
    live->timer_mono_ns = mono_ns;
    struct itimerspec when = {0};
    if (mono_ns != PS_NEVER) {
        mono_ns = mono_ns == 0 ? 1 : mono_ns;
        when.it_value.tv_sec = (time_t)(mono_ns / PS_SECOND);
        when.it_value.tv_nsec = (long)(mono_ns % PS_SECOND);
    }
    (void)timerfd_settime(live->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live *live = watcher->data;
    uint64_t expirations;
    (void)!read(live->timer_fd, &expirations, sizeof expirations);
    live->timer_mono_ns = PS_NEVER;
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)events;
    struct ps_live *live = watcher->data;
    if (!live->running) {
        return;
    }
    uint64_t next_ns = ps_live_operate(live);
    next_ns = ps_time_min(next_ns, ps_live_faults_turn(live));
    uint64_t end_ns = ps_live_when(live, live->begin_ns + live->scenario->duration_ns);
    bool over = live->agenda.count == 0 && live->under_way == 0 && ps_live_faults_over(live) &&
                ps_live_mono_ns() >= end_ns;
    if (over || live->error.status != PS_OK) {
        ev_break(loop, EVBREAK_ONE);
        next_ns = 0;
    } else if (ps_live_mono_ns() < end_ns) {
        next_ns = ps_time_min(next_ns, end_ns);
    }
    set_timer(live, next_ns);
}

static void on_report(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    const struct ps_live *live = watcher->data;
    if (live->running && live->options->progress != NULL) {
        live->options->progress(live->options->context,
                                ps_time_sub(ps_live_now(live), live->begin_ns),
                                live->scenario->duration_ns, live->operations);
    }
}

static void on_fetch(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live *live = watcher->data;
    if (live->running) {
        ps_live_fetch_logs(live);
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live *live = watcher->data;
    if (live->error.status == PS_OK) {
        (void)ps_fail(&live->error, PS_IO, "interrupted");
    }
}

static enum ps_status open_loop(struct ps_live *live, struct ps_error *err)
{
    ev_signal_init(&live->interrupt, on_signal, SIGINT);
    ev_signal_init(&live->terminate, on_signal, SIGTERM);
    live->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    live->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    live->timer_mono_ns = PS_NEVER;
    if (live->loop == NULL || live->timer_fd < 0 ||
        getrandom(&live->run, sizeof live->run, 0) != sizeof live->run) {
        return ps_fail(err, PS_IO, "set up the event loop: %s", strerror(errno));
    }
    ev_io_init(&live->timer, on_timer, live->timer_fd, EV_READ);
    ev_prepare_init(&live->prepare, on_prepare);
    ev_timer_init(&live->report, on_report, REPORT_S, REPORT_S);
    ev_timer_init(&live->fetch_timer, on_fetch, FETCH_S, FETCH_S);
    live->timer.data = live;
    live->prepare.data = live;
    live->report.data = live;
    live->fetch_timer.data = live;
    live->interrupt.data = live;
    live->terminate.data = live;
    ev_io_start(live->loop, &live->timer);
    ev_prepare_start(live->loop, &live->prepare);
    ev_timer_start(live->loop, &live->report);
    ev_timer_start(live->loop, &live->fetch_timer);
    ev_signal_start(live->loop, &live->interrupt);
    ev_signal_start(live->loop, &live->terminate);
    return ps_live_client_create(live->loop, live->state, &live->client, err);
}

static void close_loop(struct ps_live *live)
{
    ps_live_client_destroy(live->client);
    if (live->loop != NULL) {
        ev_signal_stop(live->loop, &live->interrupt);
        ev_signal_stop(live->loop, &live->terminate);
        ev_loop_destroy(live->loop);
    }
    if (live->timer_fd >= 0) {
        (void)close(live->timer_fd);
    }
}

/* ---- the begin ---- */

static bool same_names(const struct ps_cluster *a, const struct ps_cluster *b)
{
    bool same = a->pop_count == b->pop_count && a->store_count == b->store_count;
    for (size_t i = 0; same && i < a->pop_count; i++) {
        same = a->pops[i] == b->pops[i];
    }
    for (size_t i = 0; same && i < a->store_count; i++) {
        same = strcmp(a->stores[i].name, b->stores[i].name) == 0 &&
               a->stores[i].home == b->stores[i].home;
    }
    return same;
}

static enum ps_status open_history(struct ps_live *live, struct ps_error *err)
{
    struct ps_history *history = ps_history_create();
    live->history = history;
    history->live = true;
    history->scenario = ps_strndup(live->scenario->name, strlen(live->scenario->name));
    struct ps_buf json = {0};
    ps_cluster_encode(&json, &live->state->cluster);
    ps_cluster_fini(history->cluster);
    enum ps_status status = ps_cluster_decode(ps_buf_slice(&json), history->cluster, err);
    if (status != PS_OK) {
        ps_cluster_init(history->cluster);
    }
    ps_buf_fini(&json);
    return status;
}

static enum ps_status open_sessions(struct ps_live *live, struct ps_error *err)
{
    enum ps_status status = ps_sessions_open(live->scenario, &live->plan, err);
    for (size_t i = 0; i < live->plan.count && status == PS_OK; i++) {
        const struct ps_session *session = &live->plan.sessions[i];
        uint32_t number = ps_intern_put(live->history->sessions, ps_slice_of(session->name));
        PS_ASSERT(number == i); /* names are unique */
        if (session->at_ns != PS_NEVER) {
            ps_live_agenda_push(&live->agenda, session->at_ns, number);
        }
    }
    return status;
}

/* Bodies are held as a whole here, where the virtual world does without them. */
static enum ps_status check_bodies(const struct ps_scenario *scenario, struct ps_error *err)
{
    for (size_t w = 0; w < scenario->workload_count; w++) {
        const struct ps_workload *workload = &scenario->workloads[w];
        bool trace = workload->timing == PS_TIMING_TRACE;
        size_t count = trace ? workload->trace_count : workload->action_count;
        for (size_t i = 0; i < count; i++) {
            const struct ps_action *action =
                trace ? &workload->trace[i].action : &workload->actions[i];
            uint64_t size = ps_action_body_max(action);
            if (size > PS_LIVE_OBJECT_SIZE_MAX) {
                return ps_fail(err, PS_LIMIT,
                               "workload %s puts bodies of up to %llu bytes, a live run at most "
                               "%llu",
                               workload->name, (unsigned long long)size,
                               (unsigned long long)PS_LIVE_OBJECT_SIZE_MAX);
            }
        }
    }
    return PS_OK;
}

/* The run begins a little later, at a whole second of cluster time where these are not long. */
static void choose_begin(struct ps_live *live)
{
    uint64_t lead_ns = LEAD_NS + LEAD_PER_POP_NS * live->state->cluster.pop_count;
    ps_time_ns begin_ns = ps_live_at(live, ps_live_mono_ns() + lead_ns);
    if (live->state->timeline.speed_milli >= 1000) {
        begin_ns = (begin_ns + PS_SECOND - 1) / PS_SECOND * PS_SECOND;
    }
    live->begin_ns = begin_ns;
    live->history->begin_ns = begin_ns;
    live->history->end_ns = begin_ns + live->scenario->duration_ns;
    live->unix_shift_s = live->state->cluster.epoch_unix_s + (int64_t)(begin_ns / PS_SECOND) -
                         live->scenario->cluster.epoch_unix_s;
}

static enum ps_status prepare(struct ps_live *live, uint64_t *ret_late, struct ps_error *err)
{
    enum ps_status status = ps_live_wait_ready(live, err);
    if (status == PS_OK) {
        status = ps_live_run_schemas(live, err);
    }
    if (status == PS_OK) {
        status = ps_live_take_logs(live, err);
    }
    if (status == PS_OK) {
        status = ps_live_reset(live, err);
    }
    if (status == PS_OK) {
        ps_dur_ns most_ns;
        status = ps_live_count_late(live, ret_late, &most_ns, err);
    }
    if (status == PS_OK) {
        choose_begin(live);
        status = ps_live_faults_plan(live, err);
    }
    if (status == PS_OK) {
        status = ps_live_give_links(live, err);
    }
    return status;
}

static enum ps_status open_run(struct ps_live *live, uint64_t *ret_late, struct ps_error *err)
{
    live->fetches = PS_NEW_ARRAY(struct ps_live_fetch, live->state->cluster.store_count + 1);
    live->schemas = PS_NEW_ARRAY(uint32_t, live->state->cluster.store_count + 1);
    live->bookmarks = PS_NEW_ARRAY(struct ps_bookmark, live->state->cluster.store_count + 1);
    if (!same_names(&live->scenario->cluster, &live->state->cluster)) {
        return ps_fail(err, PS_INVALID, "the running cluster is not the scenario's");
    }
    enum ps_status status = check_bodies(live->scenario, err);
    if (status == PS_OK) {
        status = open_history(live, err);
    }
    if (status == PS_OK) {
        status = open_sessions(live, err);
    }
    if (status == PS_OK) {
        status = open_loop(live, err);
    }
    return status == PS_OK ? prepare(live, ret_late, err) : status;
}

/* ---- the end ---- */

static void name_lost(const struct ps_live *live, const struct ps_live_lost *lost,
                      struct ps_live_result *ret)
{
    ret->lost_writes = lost->count;
    for (size_t i = 0; i < live->history->op_count && lost->count > 0; i++) {
        const struct ps_op *op = &live->history->ops[i];
        if (op->id == lost->id) {
            struct ps_slice key = ps_intern_text(live->history->keys, op->key);
            (void)snprintf(ret->lost, sizeof ret->lost,
                           "operation %" PRIu64 " (%s of %s \"%.*s\" at %s), acknowledged as LSN "
                           "%" PRIu64,
                           op->id, ps_op_kind_name((enum ps_op_kind)op->kind),
                           live->state->cluster.stores[op->store].name,
                           (int)(key.size < 80 ? key.size : 80), key.size == 0 ? "" : key.data,
                           live->state->cluster.pops[op->pop]->code, op->lsn);
            return;
        }
    }
}

static enum ps_status finish(struct ps_live *live, uint64_t late_before, struct ps_live_result *ret,
                             struct ps_error *err)
{
    uint64_t late = 0;
    struct ps_live_lost lost = {0};
    enum ps_status status = ps_live_take_links(live, err);
    if (status == PS_OK) {
        status = ps_live_take_logs(live, err);
    }
    if (status == PS_OK) {
        status = ps_live_count_late(live, &late, &ret->late_max_ns, err);
    }
    if (status != PS_OK) {
        return status;
    }
    for (size_t s = 0; s < live->state->cluster.store_count; s++) {
        ps_live_log_merge(&live->fetches[s].log, (uint16_t)s, live->run, live->history, &lost);
    }
    ps_live_name_schemas(live);
    ps_history_sort(live->history);
    name_lost(live, &lost, ret);
    /* A node that was started again counts from 0. */
    ret->late_records = late > late_before ? late - late_before : 0;
    ret->lag_max_ns = live->lag_max_ns;
    ret->history = live->history;
    live->history = NULL;
    return PS_OK;
}

static void close_run(struct ps_live *live)
{
    ps_live_faults_release(live);
    close_loop(live);
    ps_live_faults_fini(live);
    ps_live_fetches_fini(live);
    ps_live_operate_fini(live);
    free(live->schemas);
    ps_history_destroy(live->history);
}

void ps_live_result_fini(struct ps_live_result *result)
{
    ps_history_destroy(result->history);
    *result = (struct ps_live_result){0};
}

enum ps_status ps_live_run(const struct ps_scenario *scenario, const struct ps_cluster_state *state,
                           const struct ps_live_options *options, struct ps_live_result *ret,
                           struct ps_error *err)
{
    static const struct ps_live_options none;
    struct ps_live live = {.scenario = scenario,
                           .state = state,
                           .options = options == NULL ? &none : options,
                           .timer_fd = -1};
    struct ps_live_result result = {0};
    uint64_t late_before = 0;
    enum ps_status status = open_run(&live, &late_before, err);
    if (status == PS_OK) {
        live.running = true;
        (void)ev_run(live.loop, 0);
        live.running = false;
        status = live.error.status == PS_OK
                     ? PS_OK
                     : ps_fail(err, live.error.status, "%s", live.error.text);
        uint64_t end_ns = ps_live_mono_ns();
        uint64_t begin_ns = ps_live_when(&live, live.begin_ns);
        result.wall_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
    }
    if (status == PS_OK) {
        status = finish(&live, late_before, &result, err);
    }
    close_run(&live);
    if (status == PS_OK) {
        *ret = result;
    }
    return status;
}
