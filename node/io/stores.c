/* A node's stores: opened at start, or later on the writer thread; dropped; closed.
 *
 * A store that is dropped takes no more requests. It goes when nothing of it is under way, and what
 * the map holds of it is thrown away; the little that is left stays until the process ends, since
 * calls that wait for their emulated latency still look at it. */
#include "node/io/d1/d1_thread.h"
#include "node/io/node_internal.h"
#include "node/io/r2/blobs.h"
#include "node/io/r2/lifecycle.h"
#include "node/io/r2/objects.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct ps_node_store *find(struct ps_node_store **stores, size_t count, struct ps_slice text,
                                  bool by_id)
{
    for (size_t i = 0; i < count; i++) {
        const struct ps_store *config = stores[i]->config;
        if (!stores[i]->dropped &&
            ps_slice_eq(ps_slice_of(by_id ? config->id : config->name), text)) {
            return stores[i];
        }
    }
    return NULL;
}

struct ps_node_store *ps_node_store_find(struct ps_node *node, struct ps_slice name)
{
    return find(node->stores, node->store_count, name, false);
}

struct ps_node_store *ps_node_store_by_id(struct ps_node *node, struct ps_slice id)
{
    return find(node->stores, node->store_count, id, true);
}

/* ---- open ---- */

static bool replay_mark(void *context, const struct ps_record *record)
{
    ps_store_replica_applied(context, record->lsn, record->commit_ns);
    return true;
}

/* The window of arrivals is not stored: it is computed again from the log. */
static enum ps_status replay(struct ps_node_store *store, const struct ps_log_state *log)
{
    struct ps_map *map = store->node->map;
    if (log->first_lsn > 1) {
        bool empty = log->first_lsn > log->last_lsn;
        ps_store_replica_snapshot(store->replica, log->first_lsn - 1,
                                  empty ? log->last_commit_ns : 0);
    }
    if (log->last_lsn == 0 || log->first_lsn > log->last_lsn) {
        return PS_OK;
    }
    enum ps_status status = ps_map_read_begin(map);
    if (status == PS_OK) {
        status =
            ps_map_log_marks(map, store->map_store, log->first_lsn, replay_mark, store->replica);
        ps_map_read_end(map);
    }
    return status;
}

static void url_of(const struct ps_node *node, uint16_t pop, const char *name, char ret[4224])
{
    size_t root_size = strlen(node->folder) - strlen("pop-fra");
    (void)snprintf(ret, 4224, "ipc://%.*spop-%s/%s", (int)root_size, node->folder,
                   node->state.cluster.pops[pop]->code, name);
}

static enum ps_status connect_home(struct ps_node_store *store, struct ps_error *err)
{
    struct ps_node *node = store->node;
    for (size_t i = 0; i < node->store_count; i++) {
        const struct ps_node_store *other = node->stores[i];
        if (other->primary == NULL && other->config->home == store->config->home) {
            store->peer = other->peer;
            return PS_OK;
        }
    }
    char feed[4224];
    char answers[4224];
    url_of(node, store->config->home, "feed.ipc", feed);
    url_of(node, store->config->home, "answer.ipc", answers);
    enum ps_status status = ps_transport_connect(node->transport, feed, answers, &store->peer, err);
    if (status == PS_OK && node->feed_watcher_count > 0) {
        ps_node_watch_feed(node);
    }
    return status;
}

struct ps_node_store *ps_store_create(struct ps_node *node, const struct ps_store *config)
{
    struct ps_node_store *store = PS_NEW(struct ps_node_store);
    store->node = node;
    store->config = config;
    store->unsent_tail = &store->unsent;
    store->created_unix_s = node->state.cluster.epoch_unix_s;
    (void)snprintf(store->title, sizeof store->title, "%s", config->name);
    return store;
}

/* Where the map is written: on the writer thread, or before that has anything to do. */
static enum ps_status open_in_map(struct ps_node_store *store, struct ps_log_state *ret_log,
                                  struct ps_error *err)
{
    const struct ps_node *node = store->node;
    struct ps_map *map = node->map;
    enum ps_status status = PS_OK;
    if (store->config->home == node->pop && node->state.cluster.durability == PS_DURABILITY_SYNC) {
        status = ps_map_make_sync(map, err); /* it may be the first store that has its home here */
    }
    if (status == PS_OK) {
        status = ps_map_store_open(map, ps_slice_of(store->config->name), &store->map_store, err);
    }
    return status == PS_OK ? ps_map_log_state(map, store->map_store, ret_log) : status;
}

static void put_blobs_path(const struct ps_node *node, char ret[4224])
{
    (void)snprintf(ret, 4224, "%s/blobs", node->folder);
}

/* A bucket has its home here: so have its blobs. */
static enum ps_status open_blobs(struct ps_node *node, struct ps_error *err)
{
    if (node->blobs != NULL) {
        return PS_OK;
    }
    char path[4224];
    put_blobs_path(node, path);
    bool sync = node->state.cluster.durability == PS_DURABILITY_SYNC;
    return ps_blobs_open(node->loop, path, sync, node->blob_hold_s, &node->blobs, err);
}

enum ps_status ps_stores_open_blobs(struct ps_node *node, struct ps_error *err)
{
    char path[4224];
    put_blobs_path(node, path);
    return access(path, F_OK) == 0 ? open_blobs(node, err) : PS_OK;
}

/* The store is in the map: the loop's part. */
static enum ps_status attach(struct ps_node_store *store, const struct ps_log_state *log,
                             struct ps_error *err)
{
    struct ps_node *node = store->node;
    const struct ps_store *config = store->config;
    const struct ps_cluster *cluster = &node->state.cluster;
    ps_cluster_link(cluster, config, node->pop, &store->link);
    enum ps_status status = ps_link_add(&store->link, &node->link);
    if (status != PS_OK) {
        return status;
    }
    store->view = ps_cluster_replica(cluster, config, node->pop, &store->link);
    store->replica = ps_store_replica_create(cluster, config, node->pop, &store->link, node->map,
                                             store->map_store);
    if (config->type == PS_STORE_R2) {
        store->public = ps_r2_public_create(cluster, config, node->pop, &store->link, node->map,
                                            store->map_store);
    }
    store->have_lsn = log->last_lsn;
    store->closed_ns = log->last_commit_ns;
    if (config->home == node->pop) {
        store->primary = ps_primary_create(node->map, store->map_store, &config->kv);
    } else {
        status = connect_home(store, err);
    }
    ps_feed_init(store);
    status = status == PS_OK ? replay(store, log) : status;
    if (status == PS_OK && config->type == PS_STORE_R2 && config->home == node->pop) {
        status = open_blobs(node, err);
        if (status == PS_OK) {
            store->objects = ps_objects_create(store);
            store->lifecycle = ps_lifecycle_create(store);
        }
    }
    if (status == PS_OK && config->type == PS_STORE_D1) {
        status = ps_d1_thread_create(store, &store->d1, err);
    }
    if (status == PS_OK) {
        node->stores =
            ps_grow(node->stores, node->store_count, &node->store_capacity, sizeof *node->stores);
        node->stores[node->store_count++] = store;
    }
    return status;
}

static void store_destroy(struct ps_node_store *store)
{
    ps_d1_thread_destroy(store->d1);
    ps_queries_fini(store);
    if (store->replica != NULL) {
        ps_feed_fini(store);
    }
    ps_home_fini(store);
    ps_heap_fini(&store->waiting);
    ps_primary_destroy(store->primary);
    ps_lifecycle_destroy(store->lifecycle);
    ps_objects_destroy(store->objects);
    ps_r2_public_destroy(store->public);
    ps_store_replica_destroy(store->replica);
    ps_link_fini(&store->link);
    if (store->own != NULL) {
        ps_delay_fini(&store->own->policy.push.delay);
        free(store->own);
    }
    free(store);
}

enum ps_status ps_store_open(struct ps_node_store *store, struct ps_error *err)
{
    struct ps_log_state log = {0};
    enum ps_status status = open_in_map(store, &log, err);
    if (status == PS_OK) {
        status = attach(store, &log, err);
    }
    if (status != PS_OK) {
        status = err->status != PS_OK ? status
                                      : ps_fail(err, status, "open store %s", store->config->name);
        store_destroy(store);
    }
    return status;
}

static void remember(struct ps_node_store **list, struct ps_node_store *store)
{
    store->next = *list;
    *list = store;
}

static void forget(struct ps_node_store **list, const struct ps_node_store *store)
{
    while (*list != store) {
        list = &(*list)->next;
    }
    *list = store->next;
}

struct opening {
    struct ps_job job; /* first member */
    struct ps_node_store *store;
    struct ps_log_state log;
};

static void run_opening(struct ps_job *job)
{
    struct opening *opening = (struct opening *)(void *)job;
    job->status = open_in_map(opening->store, &opening->log, &job->err);
}

static void purge(struct ps_node_store *store);

static void on_opened(struct ps_job *job)
{
    struct opening *opening = (struct opening *)(void *)job;
    struct ps_node_store *store = opening->store;
    struct ps_node *node = store->node;
    enum ps_status status = job->status;
    if (status == PS_OK && store->dropped) {
        forget(&node->opening, store);
        remember(&node->gone, store);
        purge(store);
    } else {
        if (status == PS_OK) {
            forget(&node->opening, store);
            status = attach(store, &opening->log, &job->err);
            if (status != PS_OK) {
                remember(&node->opening, store);
            }
            ps_home_start_heartbeat(node); /* if it has none yet */
        }
        store->open_status = status;
        if (status != PS_OK) {
            ps_node_log(node, PS_LOG_ERROR, "node", "store %s cannot be opened: %s",
                        store->config->name,
                        job->err.text[0] != '\0' ? job->err.text : ps_status_text(status));
        }
    }
    free(opening);
    ps_namespaces_opened(node);
}

void ps_store_open_later(struct ps_node_store *store)
{
    struct opening *opening = PS_NEW(struct opening);
    opening->store = store;
    opening->job.run = run_opening;
    opening->job.done = on_opened;
    remember(&store->node->opening, store);
    ps_worker_submit(store->node->worker, &opening->job);
}

struct ps_node_store *ps_store_opening(struct ps_node *node, struct ps_slice name)
{
    for (struct ps_node_store *store = node->opening; store != NULL; store = store->next) {
        if (!store->dropped && ps_slice_eq(ps_slice_of(store->config->name), name)) {
            return store;
        }
    }
    return NULL;
}

/* ---- drop ---- */

struct purge {
    struct ps_job job; /* first member */
    struct ps_node_store *store;
};

/* A snapshot of nothing takes the store's place. */
static void run_purge(struct ps_job *job)
{
    struct ps_node_store *store = ((struct purge *)(void *)job)->store;
    struct ps_map *map = store->node->map;
    job->status = ps_map_snapshot_begin(map, store->map_store, &job->err);
    if (job->status == PS_OK) {
        job->status = ps_map_snapshot_finish(map, store->map_store, 0, 0, &job->err);
    }
}

static void on_purged(struct ps_job *job)
{
    const struct ps_node_store *store = ((struct purge *)(void *)job)->store;
    if (job->status != PS_OK) {
        ps_node_log(store->node, PS_LOG_ERROR, "node", "the data of %s stay: %s",
                    store->config->name, job->err.text);
    }
    free(job);
}

static void purge(struct ps_node_store *store)
{
    if (store->config->type == PS_STORE_R2 && store->node->blobs != NULL) {
        ps_blobs_drop(store->node->blobs, store->config->name);
    }
    struct purge *purge = PS_NEW(struct purge);
    purge->store = store;
    purge->job.run = run_purge;
    purge->job.done = on_purged;
    ps_worker_submit(store->node->worker, &purge->job);
}

void ps_store_drop(struct ps_node_store *store)
{
    ps_node_log(store->node, PS_LOG_INFO, "node", "store %s is dropped", store->config->name);
    store->dropped = true;
    if (store->replica == NULL) {
        return; /* it is being opened: see there */
    }
    store->installs++; /* whatever waits for its answer gets none */
    ps_reads_end(store, true);
    ps_writes_end(store, PS_NOT_FOUND);
    ps_queries_end(store);
    ps_objects_end(store);
    ps_home_fini(store);
    ps_store_replica_reset_pins(store->replica);
    if (store->public != NULL) {
        ps_r2_public_reset(store->public);
    }
}

static bool is_quiet(const struct ps_node_store *store)
{
    const struct ps_primary *primary = store->primary;
    bool writing = primary != NULL &&
                   (store->in_commit || ps_primary_busy(primary) || ps_primary_has_queue(primary));
    bool running = store->d1 != NULL && ps_d1_thread_queued(store->d1) > 0;
    return !writing && !store->applying && !running;
}

void ps_stores_reap(struct ps_node *node)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->store_count; i++) {
        struct ps_node_store *store = node->stores[i];
        if (store->dropped && is_quiet(store)) {
            ps_d1_thread_destroy(store->d1); /* it has nothing to do */
            store->d1 = NULL;
            remember(&node->gone, store);
            purge(store);
        } else {
            node->stores[kept++] = store;
        }
    }
    node->store_count = kept;
}

static void destroy_all(struct ps_node_store *store)
{
    while (store != NULL) {
        struct ps_node_store *next = store->next;
        store_destroy(store);
        store = next;
    }
}

void ps_stores_close(struct ps_node *node)
{
    for (size_t i = 0; i < node->store_count; i++) {
        store_destroy(node->stores[i]);
    }
    free(node->stores);
    destroy_all(node->opening);
    destroy_all(node->gone);
}
