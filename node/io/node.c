/* The node's life: start, the loop's turn, stop. */
#include "node/io/node.h"

#include "node/io/d1/d1_thread.h"
#include "node/io/d1/databases.h"
#include "node/io/peer.h"
#include "node/io/r2/blobs.h"
#include "node/io/r2/objects.h"
#include "node/io/server.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { STOP_S = 10, FDS_MAX = 256, ROUNDS_MAX = 16 };

uint64_t ps_node_when(const struct ps_node *node, ps_time_ns t)
{
    return ps_timeline_when(&node->state.timeline, t);
}

ps_time_ns ps_node_answer_at(const struct ps_node *node, ps_time_ns from_ns, ps_time_ns end_ns)
{
    return ps_cluster_answer_at(&node->state.cluster, from_ns, end_ns);
}

void ps_node_alarm(struct ps_node *node, struct ps_alarm *alarm, uint64_t mono_ns)
{
    ps_heap_remove(&node->alarms, &alarm->item);
    ps_heap_push(&node->alarms, &alarm->item, mono_ns);
}

void ps_node_alarm_stop(struct ps_node *node, struct ps_alarm *alarm)
{
    ps_heap_remove(&node->alarms, &alarm->item);
}

/* ---- the loop's turn ---- */

static void ring_alarms(struct ps_node *node)
{
    uint64_t mono_ns = ps_mono_ns();
    for (;;) {
        struct ps_heap_item *item = ps_heap_first(&node->alarms);
        if (item == NULL || item->key > mono_ns) {
            return;
        }
        ps_heap_remove(&node->alarms, item);
        struct ps_alarm *alarm = (struct ps_alarm *)(void *)item;
        alarm->ring(alarm);
    }
}

/* libev's own timers count in milliseconds; emulated latencies at a high speed are shorter. */
static void set_timer(struct ps_node *node, uint64_t mono_ns)
{
    if (mono_ns == node->timer_mono_ns) {
        return;
    }
    node->timer_mono_ns = mono_ns;
    struct itimerspec when = {0};
    if (mono_ns != PS_NEVER) {
        mono_ns = mono_ns == 0 ? 1 : mono_ns;
        when.it_value.tv_sec = (time_t)(mono_ns / PS_SECOND);
        when.it_value.tv_nsec = (long)(mono_ns % PS_SECOND);
    }
    (void)timerfd_settime(node->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_node *node = watcher->data;
    uint64_t expirations;
    (void)!read(node->timer_fd, &expirations, sizeof expirations);
    node->timer_mono_ns = PS_NEVER;
    ring_alarms(node);
}

/* Buckets' mutations become records before the next group commit. */
static void objects_turn(struct ps_node *node)
{
    for (size_t i = 0; i < node->store_count; i++) {
        if (node->stores[i]->objects != NULL) {
            ps_objects_turn(node->stores[i]->objects);
        }
    }
}

static uint64_t home_store_turn(struct ps_node_store *store, uint64_t mono_ns)
{
    uint64_t next_ns = PS_NEVER;
    const struct ps_heap_item *first = ps_heap_first(&store->waiting);
    if (first != NULL) {
        uint64_t due_ns = ps_node_when(store->node, first->key);
        if (due_ns <= mono_ns) {
            ps_reads_wake(store); /* else the commit under way wakes them */
        } else {
            next_ns = due_ns;
        }
    }
    uint64_t parked_ns = ps_node_when(store->node, ps_home_answer_parked(store));
    return parked_ns > mono_ns ? ps_time_min(next_ns, parked_ns) : next_ns;
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_node *node = watcher->data;
    uint64_t next_ns = PS_NEVER;
    bool more = true;
    for (int round = 0; more && round < ROUNDS_MAX; round++) {
        (void)ps_server_turn(node->server);
        objects_turn(node);
        ps_home_turn(node);
        next_ns = PS_NEVER;
        uint64_t mono_ns = ps_mono_ns();
        ps_stores_reap(node);
        for (size_t i = 0; i < node->store_count; i++) {
            struct ps_node_store *store = node->stores[i];
            if (store->dropped) {
                continue;
            }
            if (store->primary != NULL) {
                next_ns = ps_time_min(next_ns, home_store_turn(store, mono_ns));
            } else {
                ps_writes_forward(store);
                next_ns = ps_time_min(next_ns, ps_feed_turn(store, mono_ns));
            }
        }
        more = ps_server_turn(node->server);
    }
    if (more) {
        next_ns = 0;
    }
    const struct ps_heap_item *first = ps_heap_first(&node->alarms);
    set_timer(node, first == NULL ? next_ns : ps_time_min(next_ns, first->key));
    if (node->stopping && !ps_server_busy(node->server) && !ps_worker_busy(node->worker) &&
        (node->blobs == NULL || !ps_blobs_busy(node->blobs))) {
        ev_break(node->loop, EVBREAK_ALL);
        set_timer(node, 0);
    }
}

/* ---- the feed's sockets ---- */

static void poll_feed(struct ps_node *node)
{
    bool more = ps_transport_poll(node->transport, PS_POLL_BUDGET) >= PS_POLL_BUDGET;
    if (more) {
        ev_idle_start(node->loop, &node->feed_idle);
    } else {
        ev_idle_stop(node->loop, &node->feed_idle);
    }
}

static void on_feed(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    poll_feed(watcher->data);
}

static void on_feed_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)loop;
    (void)events;
    poll_feed(watcher->data);
}

static void on_published(void *context, uint32_t peer, struct ps_slice bytes)
{
    ps_feed_published(context, peer, bytes);
}

static void on_requested(void *context, const struct ps_reply_to *from, struct ps_slice bytes)
{
    ps_home_requested(context, from, bytes);
}

static void on_answered(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes)
{
    ps_feed_answered(context, peer, request_id, bytes);
}

static enum ps_status open_feed(struct ps_node *node, struct ps_error *err)
{
    char feed[4224];
    char answers[4224];
    (void)snprintf(feed, sizeof feed, "ipc://%s/feed.ipc", node->folder);
    (void)snprintf(answers, sizeof answers, "ipc://%s/answer.ipc", node->folder);
    struct ps_transport_handler handler = {.context = node,
                                           .published = on_published,
                                           .requested = on_requested,
                                           .answered = on_answered};
    return ps_transport_nano_create(feed, answers, &handler, &node->transport, err);
}

static void unwatch_feed(struct ps_node *node)
{
    for (size_t i = 0; i < node->feed_watcher_count; i++) {
        ev_io_stop(node->loop, &node->feed_watchers[i]);
    }
    free(node->feed_watchers);
    node->feed_watchers = NULL;
    node->feed_watcher_count = 0;
}

void ps_node_watch_feed(struct ps_node *node)
{
    int fds[FDS_MAX];
    unwatch_feed(node);
    size_t count = ps_transport_fds(node->transport, fds, FDS_MAX);
    node->feed_watchers = PS_NEW_ARRAY(ev_io, count + 1);
    node->feed_watcher_count = count;
    for (size_t i = 0; i < count; i++) {
        ev_io_init(&node->feed_watchers[i], on_feed, fds[i], EV_READ);
        node->feed_watchers[i].data = node;
        ev_io_start(node->loop, &node->feed_watchers[i]);
    }
    ev_idle_start(node->loop, &node->feed_idle); /* something may have come already */
}

/* ---- start ---- */

static bool keeps_a_log_of_its_own(const struct ps_node *node)
{
    const struct ps_cluster *cluster = &node->state.cluster;
    for (size_t i = 0; i < cluster->store_count; i++) {
        if (cluster->stores[i].home == node->pop) {
            return true;
        }
    }
    return cluster->home == node->pop;
}

/* What a follower lost with the machine it fetches again: only home must wait for the disk. */
static enum ps_status open_map(struct ps_node *node, struct ps_error *err)
{
    char path[4224];
    (void)snprintf(path, sizeof path, "%s/map", node->folder);
    bool sync =
        node->state.cluster.durability == PS_DURABILITY_SYNC && keeps_a_log_of_its_own(node);
    return ps_map_open_lmdb(path, sync, &node->map, err);
}

static enum ps_status load_meta(struct ps_node *node, struct ps_error *err)
{
    struct ps_buf text = {0};
    enum ps_status status = ps_map_meta_get(node->map, PS_LIT("boot"), &text);
    if (status == PS_OK) {
        node->boot = strtoull(ps_buf_text(&text), NULL, 10);
    }
    text.size = 0;
    if (status == PS_OK || status == PS_NOT_FOUND) {
        status = ps_map_meta_get(node->map, PS_LIT("link"), &text);
    }
    if (status == PS_OK) {
        status = ps_link_decode(ps_buf_slice(&text), &node->link, err);
    } else if (status == PS_NOT_FOUND) {
        status = PS_OK;
    }
    if (status == PS_OK) {
        node->boot++;
        node->process_boot = node->boot;
        node->boot_saved = node->boot;
        text.size = 0;
        ps_buf_append_u64(&text, node->boot);
        status = ps_map_meta_put(node->map, PS_LIT("boot"), ps_buf_slice(&text), err);
    }
    ps_buf_fini(&text);
    if (status != PS_OK && err->status == PS_OK) {
        return ps_fail(err, status, "read what %s/map says of this node", node->folder);
    }
    return status;
}

struct save {
    struct ps_job job; /* first member */
    struct ps_node *node;
    struct ps_buf boot;
    struct ps_buf link;
    void (*done)(void *context, enum ps_status status);
    void *context;
};

static void run_save(struct ps_job *job)
{
    struct save *save = (struct save *)(void *)job;
    struct ps_map *map = save->node->map;
    job->status = ps_map_meta_put(map, PS_LIT("boot"), ps_buf_slice(&save->boot), &job->err);
    if (job->status == PS_OK) {
        job->status = ps_map_meta_put(map, PS_LIT("link"), ps_buf_slice(&save->link), &job->err);
    }
}

static void on_saved(struct ps_job *job)
{
    struct save *save = (struct save *)(void *)job;
    if (job->status != PS_OK) {
        ps_node_log(save->node, PS_LOG_ERROR, "node", "the link is not stored: %s", job->err.text);
    }
    save->done(save->context, job->status);
    ps_buf_fini(&save->boot);
    ps_buf_fini(&save->link);
    free(save);
}

void ps_node_save_meta(struct ps_node *node, void (*done)(void *context, enum ps_status status),
                       void *context)
{
    struct save *save = PS_NEW(struct save);
    save->node = node;
    save->done = done;
    save->context = context;
    ps_buf_append_u64(&save->boot, node->boot_saved);
    ps_link_encode(&save->link, &node->link);
    save->job.run = run_save;
    save->job.done = on_saved;
    ps_worker_submit(node->worker, &save->job);
}

struct emptying {
    struct ps_node *node;
    uint64_t boot;
    void (*done)(void *context, enum ps_status status);
    void *context;
};

static void on_boot_saved(void *context, enum ps_status status)
{
    struct emptying *emptying = context;
    struct ps_node *node = emptying->node;
    node->boot = emptying->boot;
    for (size_t i = 0; i < node->store_count; i++) {
        ps_store_replica_reset_pins(node->stores[i]->replica);
        if (node->stores[i]->public != NULL) {
            ps_r2_public_reset(node->stores[i]->public);
        }
    }
    ps_node_log(node, PS_LOG_INFO, "node", "cache emptied boot=%" PRIu64, node->boot);
    emptying->done(emptying->context, status);
    free(emptying);
}

void ps_node_empty_caches(struct ps_node *node, void (*done)(void *context, enum ps_status status),
                          void *context)
{
    struct emptying *emptying = PS_NEW(struct emptying);
    *emptying = (struct emptying){node, ++node->boot_saved, done, context};
    ps_node_save_meta(node, on_boot_saved, emptying);
}

static enum ps_status open_folder(struct ps_node *node, const struct ps_node_options *options,
                                  struct ps_error *err)
{
    char *folder = realpath(options->folder, NULL);
    if (folder == NULL) {
        return ps_fail(err, PS_INVALID, "%s: %s", options->folder, strerror(errno));
    }
    int pop = -1;
    enum ps_status status = ps_cluster_state_load(folder, &node->state, err);
    if (status == PS_OK) {
        pop = ps_cluster_find_pop(&node->state.cluster, ps_slice_of(options->pop));
        if (pop < 0) {
            status =
                ps_fail(err, PS_INVALID, "%s is no PoP of the cluster in %s", options->pop, folder);
        }
    }
    if (status == PS_OK) {
        node->pop = (uint16_t)pop;
        node->code = node->state.cluster.pops[pop]->code;
        int size = snprintf(node->folder, sizeof node->folder, "%s/pop-%s", folder, node->code);
        if (size >= (int)sizeof node->folder) {
            status = ps_fail(err, PS_INVALID, "%s: the path is too long", folder);
        } else if (mkdir(node->folder, 0700) != 0 && errno != EEXIST) {
            status = ps_fail(err, PS_IO, "%s: %s", node->folder, strerror(errno));
        }
    }
    free(folder);
    return status;
}

static enum ps_status open_loop(struct ps_node *node, struct ps_error *err)
{
    node->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    node->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    node->timer_mono_ns = PS_NEVER;
    if (node->loop == NULL || node->timer_fd < 0 ||
        getrandom(&node->token_seed, sizeof node->token_seed, 0) != sizeof node->token_seed) {
        return ps_fail(err, PS_IO, "set up the event loop: %s", strerror(errno));
    }
    ev_io_init(&node->timer, on_timer, node->timer_fd, EV_READ);
    node->timer.data = node;
    ev_io_start(node->loop, &node->timer);
    ev_idle_init(&node->feed_idle, on_feed_idle);
    node->feed_idle.data = node;
    ev_prepare_init(&node->prepare, on_prepare);
    node->prepare.data = node;
    return ps_worker_create(node->loop, &node->worker, err);
}

static enum ps_status say_ready(struct ps_node *node, struct ps_error *err)
{
    char path[4224];
    char temporary[4224];
    (void)snprintf(path, sizeof path, "%s/node.json", node->folder);
    (void)snprintf(temporary, sizeof temporary, "%s/node.json.%d", node->folder, (int)getpid());
    FILE *file = fopen(temporary, "we");
    if (file == NULL) {
        return ps_fail(err, PS_IO, "%s: %s", temporary, strerror(errno));
    }
    bool failed =
        fprintf(file,
                "{\"pid\":%d,\"port\":%u,\"s3_port\":%u,\"boot\":%" PRIu64 ",\"ready\":true}\n",
                (int)getpid(), ps_server_port(node->server), ps_server_s3_port(node->server),
                node->boot) < 0;
    failed = fclose(file) != 0 || failed;
    if (failed || rename(temporary, path) != 0) {
        return ps_fail(err, PS_IO, "%s: %s", path, strerror(errno));
    }
    return PS_OK;
}

static enum ps_status start(struct ps_node *node, const struct ps_node_options *options,
                            struct ps_error *err)
{
    enum ps_status status = open_folder(node, options, err);
    if (status == PS_OK) {
        status = open_map(node, err);
    }
    if (status == PS_OK) {
        status = load_meta(node, err);
    }
    if (status == PS_OK) {
        status = open_loop(node, err);
    }
    if (status == PS_OK) {
        node->peers = ps_peers_create(node);
        status = open_feed(node, err);
    }
    if (status == PS_OK) {
        status = ps_databases_open(node, err);
    }
    if (status == PS_OK) {
        status = ps_namespaces_open(node, err);
    }
    if (status == PS_OK) {
        ps_node_watch_feed(node);
        status = ps_server_create(node, &node->server, err);
    }
    if (status == PS_OK) {
        ps_home_start_heartbeat(node);
        ps_house_start(node);
        ev_prepare_start(node->loop, &node->prepare);
        status = say_ready(node, err);
    }
    return status;
}

/* ---- stop ---- */

static void on_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    ps_node_log(watcher->data, PS_LOG_WARN, "node", "stopped with requests under way");
    ev_break(loop, EVBREAK_ALL);
}

struct stop {
    struct ps_node *node;
    ev_signal terminate;
    ev_signal interrupt;
    ev_timer limit;
};

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    struct stop *stop = watcher->data;
    struct ps_node *node = stop->node;
    if (node->stopping) {
        return;
    }
    ps_node_log(node, PS_LOG_INFO, "node", "stopping");
    node->stopping = true;
    ps_server_stop(node->server);
    for (size_t i = 0; i < node->store_count; i++) {
        if (node->stores[i]->d1 != NULL) {
            ps_d1_thread_hurry(node->stores[i]->d1);
        }
    }
    ev_timer_start(loop, &stop->limit);
}

static void serve(struct ps_node *node)
{
    struct stop stop = {.node = node};
    ev_signal_init(&stop.terminate, on_signal, SIGTERM);
    ev_signal_init(&stop.interrupt, on_signal, SIGINT);
    ev_timer_init(&stop.limit, on_limit, STOP_S, 0.);
    stop.terminate.data = &stop;
    stop.interrupt.data = &stop;
    stop.limit.data = node;
    ev_signal_start(node->loop, &stop.terminate);
    ev_signal_start(node->loop, &stop.interrupt);
    ev_run(node->loop, 0);
    ev_timer_stop(node->loop, &stop.limit);
    ev_signal_stop(node->loop, &stop.terminate);
    ev_signal_stop(node->loop, &stop.interrupt);
}

/* Also of a node that was only half started. */
static void close_node(struct ps_node *node)
{
    ps_worker_destroy(node->worker);
    ps_worker_destroy(node->reader);
    ps_blobs_stop(node->blobs);
    unwatch_feed(node);
    ps_transport_destroy(node->transport);
    ps_writes_fini(node);
    ps_stores_close(node);
    ps_heap_fini(&node->alarms); /* before the calls that wait in it */
    ps_server_destroy(node->server);
    ps_peers_destroy(node->peers);
    ps_blobs_close(node->blobs);
    ps_databases_fini(node);
    ps_map_close(node->map);
    ps_link_fini(&node->link);
    if (node->loop != NULL) {
        ev_loop_destroy(node->loop);
    }
    if (node->timer_fd >= 0) {
        (void)close(node->timer_fd);
    }
    ps_cluster_state_fini(&node->state);
    free(node);
}

static void set_waits(struct ps_node *node, const struct ps_node_options *options)
{
    node->blob_hold_s =
        options->blob_hold_ms > 0 ? (double)options->blob_hold_ms / 1e3 : PS_BLOB_HOLD_S;
    node->sweep_every_ns = options->sweep_every_ms > 0 ? options->sweep_every_ms * PS_MS
                                                       : PS_SWEEP_EVERY_S * PS_SECOND;
    node->peer_silent_ns = options->peer_silent_ms > 0 ? options->peer_silent_ms * PS_MS
                                                       : PS_PEER_SILENT_S * PS_SECOND;
}

int ps_node_main(const struct ps_node_options *options)
{
    /* One arena is enough for one busy thread; large values go back to the system at once. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error like a full disk */
    struct ps_node *node = PS_NEW(struct ps_node);
    node->timer_fd = -1;
    node->next_request_id = 1;
    set_waits(node, options);
    struct ps_error err = {0};
    enum ps_status status = start(node, options, &err);
    if (status != PS_OK) {
        ps_node_log(node, PS_LOG_ERROR, "node", "cannot start: %s",
                    err.text[0] != '\0' ? err.text : ps_status_text(status));
        close_node(node);
        return status == PS_INVALID ? 2 : 3;
    }
    ps_node_log(node, PS_LOG_INFO, "node", "serving port=%u boot=%" PRIu64 " pid=%d",
                ps_server_port(node->server), node->boot, (int)getpid());
    serve(node);
    ps_node_log(node, PS_LOG_INFO, "node", "stopped");
    close_node(node);
    return 0;
}
