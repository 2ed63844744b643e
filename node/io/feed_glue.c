/* What a follower does with what home sends: records and snapshot parts go into the map on the
 * writer thread, and count as here once they are in it.
 *
 * The follower's own state runs ahead: it counts a record as applied when it is accepted, so that
 * the next batch joins on without waiting for the map. Reads go by have_lsn and closed_ns of the
 * store, which follow when the map has the records. */
#include "node/d1/delta.h"
#include "node/d1/pages.h"
#include "node/io/node_internal.h"
#include "node/io/r2/objects.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <inttypes.h>
#include <string.h>

struct ps_intake {
    struct ps_intake *next;
    char *bytes; /* the message's slices point into them */
    struct ps_message message;
    size_t first; /* of a batch: the run of records to apply */
    size_t count;
    bool begins; /* of a part: the snapshot's first */
};

/* One job: all that was accepted while the former was under way. */
struct apply {
    struct ps_job job; /* first member */
    struct ps_node_store *store;
    struct ps_intake *intake;
    uint64_t have_lsn; /* once all of it is in the map */
    ps_time_ns closed_ns;
    bool diverged; /* the pages here are not home's */
};

static void intake_destroy(struct ps_intake *intake)
{
    while (intake != NULL) {
        struct ps_intake *next = intake->next;
        ps_message_fini(&intake->message);
        free(intake->bytes);
        free(intake);
        intake = next;
    }
}

/* ---- on the writer thread ---- */

static size_t count_records(const struct ps_intake *intake)
{
    size_t count = 0;
    for (; intake != NULL && intake->message.kind == PS_MESSAGE_BATCH; intake = intake->next) {
        count += intake->count;
    }
    return count;
}

struct former {
    const struct ps_node_store *store;
    uint64_t lsn;
};

static enum ps_status read_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct former *former = context;
    return ps_pages_read(former->store->node->map, former->store->map_store, page, former->lsn,
                         ret);
}

/* A database's record came as what differs from the pages before it, so each needs the one before
 * it in the map. */
static enum ps_status apply_pages(struct apply *apply, const struct ps_record *wire)
{
    struct ps_node_store *store = apply->store;
    struct ps_map *map = store->node->map;
    struct former former = {store, wire->lsn - 1};
    struct ps_page_record whole = {0};
    enum ps_status status = ps_map_read_begin(map);
    if (status != PS_OK) {
        return ps_fail(&apply->job.err, status, "the pages cannot be read");
    }
    status = ps_page_record_apply(wire, read_former, &former, &whole);
    ps_map_read_end(map);
    if (status == PS_OK) {
        struct ps_append append = {store->map_store, &whole.record};
        status = ps_map_apply(map, &append, 1, &apply->job.err);
        ps_page_record_fini(&whole);
    } else {
        apply->diverged = status == PS_GAP || status == PS_CORRUPT;
        status = ps_fail(&apply->job.err, status, "record %" PRIu64 " does not fit the pages here",
                         wire->lsn);
    }
    return status;
}

static enum ps_status apply_databases_batch(struct apply *apply, const struct ps_intake *intake)
{
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < intake->count && status == PS_OK; i++) {
        status = apply_pages(apply, &intake->message.batch.records[intake->first + i]);
    }
    return status;
}

/* Put the batches from *at on into the map, up to the next part. */
static enum ps_status apply_batches(struct apply *apply, struct ps_intake **at)
{
    size_t count = count_records(*at);
    struct ps_append *appends = PS_NEW_ARRAY(struct ps_append, count + 1);
    size_t filled = 0;
    struct ps_intake *intake = *at;
    for (; intake != NULL && intake->message.kind == PS_MESSAGE_BATCH; intake = intake->next) {
        for (size_t i = 0; i < intake->count; i++) {
            appends[filled++] =
                (struct ps_append){.store = apply->store->map_store,
                                   .record = &intake->message.batch.records[intake->first + i]};
        }
    }
    *at = intake;
    enum ps_status status = ps_map_apply(apply->store->node->map, appends, count, &apply->job.err);
    free(appends);
    return status;
}

static enum ps_status apply_part(struct apply *apply, const struct ps_intake *intake)
{
    struct ps_map *map = apply->store->node->map;
    ps_map_store store = apply->store->map_store;
    struct ps_error *err = &apply->job.err;
    enum ps_status status = PS_OK;
    if (intake->begins) {
        status = ps_map_snapshot_begin(map, store, err);
    }
    for (size_t i = 0; i < intake->message.part.entry_count && status == PS_OK; i++) {
        const struct ps_snapshot_entry *entry = &intake->message.part.entries[i];
        status = ps_map_snapshot_put(map, store, &entry->entry, entry->lsn, entry->commit_ns, err);
    }
    if (intake->message.part.last && status == PS_OK) {
        status = ps_map_snapshot_finish(map, store, intake->message.part.at_lsn,
                                        intake->message.part.at_commit_ns, err);
    }
    return status;
}

static void run_apply(struct ps_job *job)
{
    struct apply *apply = (struct apply *)(void *)job;
    struct ps_intake *at = apply->intake;
    job->status = PS_OK;
    while (at != NULL && job->status == PS_OK) {
        if (at->message.kind == PS_MESSAGE_BATCH && apply->store->d1 != NULL) {
            job->status = apply_databases_batch(apply, at);
            at = at->next;
        } else if (at->message.kind == PS_MESSAGE_BATCH) {
            job->status = apply_batches(apply, &at);
        } else {
            job->status = apply_part(apply, at);
            at = at->next;
        }
    }
}

/* ---- on the loop ---- */

static void note_record(struct ps_node_store *store, const struct ps_record *record,
                        ps_time_ns now_ns)
{
    ps_store_replica_applied(store->replica, record->lsn, record->commit_ns);
    store->metrics.records++;
    if (store->config->policy.kind != PS_POLICY_PUSH) {
        return;
    }
    ps_time_ns arrival_ns = ps_push_arrival(&store->view, record->lsn, record->commit_ns);
    if (arrival_ns < now_ns) {
        struct ps_store_metrics *metrics = &store->metrics;
        metrics->records_late++;
        metrics->late_max_ns = ps_time_max(metrics->late_max_ns, now_ns - arrival_ns);
    }
}

static void note_applied(struct apply *apply)
{
    struct ps_node_store *store = apply->store;
    ps_time_ns now_ns = ps_node_now(store->node);
    for (const struct ps_intake *at = apply->intake; at != NULL; at = at->next) {
        for (size_t i = 0; i < at->count; i++) {
            note_record(store, &at->message.batch.records[at->first + i], now_ns);
        }
        if (at->message.kind == PS_MESSAGE_PART && at->message.part.last) {
            store->installing = false;
            ps_store_replica_snapshot(store->replica, at->message.part.at_lsn,
                                      at->message.part.at_commit_ns);
        }
    }
}

static bool replay_mark(void *context, const struct ps_record *record)
{
    struct ps_node_store *store = context;
    ps_store_replica_applied(store->replica, record->lsn, record->commit_ns);
    store->have_lsn = record->lsn;
    store->closed_ns = ps_time_max(store->closed_ns, record->commit_ns);
    return true;
}

/* The map refused: go on from what it holds, after a pause. */
static void start_over(struct ps_node_store *store)
{
    struct ps_follower *follower = &store->follower;
    struct ps_node *node = store->node;
    intake_destroy(store->intake);
    store->intake = NULL;
    store->intake_tail = &store->intake;
    struct ps_log_state log = {0};
    if (ps_map_log_state(node->map, store->map_store, &log) == PS_OK &&
        log.last_lsn > store->have_lsn && ps_map_read_begin(node->map) == PS_OK) {
        if (ps_map_log_marks(node->map, store->map_store, store->have_lsn + 1, replay_mark,
                             store) != PS_OK) {
            ps_node_log(node, PS_LOG_ERROR, "feed", "%s: the log cannot be read",
                        store->config->name);
        }
        ps_map_read_end(node->map);
    }
    store->installing = false; /* it is to begin again */
    struct ps_follower former = *follower;
    ps_follower_fini(follower);
    ps_follower_init(follower, store->have_lsn, store->closed_ns);
    follower->announced_lsn = former.announced_lsn;
    follower->heard_mono_ns = former.heard_mono_ns;
    follower->gaps = former.gaps;
    follower->catch_ups = former.catch_ups;
    follower->snapshots = former.snapshots;
    follower->duplicates = former.duplicates;
    follower->asked = PS_MESSAGE_CATCH_UP;
    follower->asked_mono_ns = ps_mono_ns();
}

static void on_applied(struct ps_job *job)
{
    struct apply *apply = (struct apply *)(void *)job;
    struct ps_node_store *store = apply->store;
    store->applying = false;
    if (job->status == PS_OK) {
        note_applied(apply);
        /* With nothing more on its way, all that the follower knows is in the map. */
        bool all = store->intake == NULL && !store->installing;
        store->have_lsn = all ? store->follower.have_lsn : apply->have_lsn;
        store->closed_ns = all ? store->follower.closed_ns : apply->closed_ns;
        ps_reads_wake(store);
        ps_queries_wake(store);
        if (store->hidden && !store->installing) {
            ps_namespaces_changed(store->node);
        }
        if (store->refusing) {
            ps_node_log(store->node, PS_LOG_INFO, "feed", "%s: records are written again",
                        store->config->name);
        }
        store->refusing = false;
    } else {
        if (!store->refusing) {
            ps_node_log(store->node, PS_LOG_ERROR, "feed", "%s: records are not written: %s",
                        store->config->name, job->err.text);
        }
        store->refusing = !apply->diverged;
        start_over(store);
        if (apply->diverged) {
            /* Home's own pages take their place. */
            store->follower.state = PS_FOLLOWER_CATCHING_UP;
            ps_follower_error(&store->follower, PS_TOO_OLD, ps_mono_ns());
        }
        ps_reads_wake(store);
    }
    intake_destroy(apply->intake);
    free(apply);
}

static void submit(struct ps_node_store *store)
{
    struct apply *apply = PS_NEW(struct apply);
    apply->store = store;
    apply->intake = store->intake;
    apply->have_lsn = store->follower.have_lsn;
    apply->closed_ns = store->follower.closed_ns;
    bool in_snapshot = store->follower.state == PS_FOLLOWER_SNAPSHOTTING;
    if (in_snapshot) {
        apply->have_lsn = 0;
        apply->closed_ns = 0;
    }
    apply->job.run = run_apply;
    apply->job.done = on_applied;
    store->intake = NULL;
    store->intake_tail = &store->intake;
    store->applying = true;
    ps_worker_submit(store->node->worker, &apply->job);
}

static struct ps_intake *accept_message(struct ps_node_store *store, struct ps_slice bytes)
{
    struct ps_intake *intake = PS_NEW(struct ps_intake);
    intake->bytes = ps_strndup(bytes.data, bytes.size);
    enum ps_status status =
        ps_message_decode((struct ps_slice){intake->bytes, bytes.size}, &intake->message);
    PS_ASSERT(status == PS_OK); /* it was decoded from the same bytes just now */
    *store->intake_tail = intake;
    store->intake_tail = &intake->next;
    return intake;
}

static void on_batch(struct ps_node_store *store, struct ps_slice bytes,
                     const struct ps_message *message, bool is_answer)
{
    struct ps_follower *follower = &store->follower;
    size_t first;
    size_t count;
    enum ps_status status =
        ps_follower_batch(follower, &message->batch, is_answer, ps_mono_ns(), &first, &count);
    if (status != PS_OK) {
        if (!store->dropping) { /* once, not with each heartbeat */
            ps_node_log(store->node, PS_LOG_ERROR, "feed",
                        "%s: what home says is dropped (%s): LSN %" PRIu64
                        " is here, home tells of %" PRIu64,
                        store->config->name, ps_status_text(status), follower->have_lsn,
                        message->batch.last_lsn);
        }
        store->dropping = true;
        return;
    }
    store->dropping = false;
    if (count > 0) {
        struct ps_intake *intake = accept_message(store, bytes);
        intake->first = first;
        intake->count = count;
    }
    ps_follower_applied(follower, follower->have_lsn + count);
    if (store->intake == NULL && !store->applying && follower->state != PS_FOLLOWER_SNAPSHOTTING) {
        store->have_lsn = follower->have_lsn;
        store->closed_ns = follower->closed_ns;
        ps_reads_wake(store);
    }
}

static void on_emptied(void *context, enum ps_status status)
{
    const struct ps_node_store *store = context;
    if (status != PS_OK) {
        ps_node_log(store->node, PS_LOG_ERROR, "feed", "%s: the boot count is not stored: %s",
                    store->config->name, ps_status_text(status));
    }
}

/* What the map holds is about to go: nothing is complete here until the last part, and the versions
 * that cache entries show, and that reads under way were to be given, may be gone then. */
static void begin_snapshot(struct ps_node_store *store, ps_time_ns at_commit_ns)
{
    store->have_lsn = 0;
    store->closed_ns = 0;
    store->installing = true;
    store->installs++;
    store->installed_ns = at_commit_ns;
    ps_reads_end(store, false);
    ps_node_empty_caches(store->node, on_emptied, store);
}

static void on_part(struct ps_node_store *store, struct ps_slice bytes,
                    const struct ps_message *message)
{
    struct ps_follower *follower = &store->follower;
    if (ps_follower_wants_part(follower, message)) {
        struct ps_intake *intake = accept_message(store, bytes);
        intake->begins = follower->snapshot_lsn == 0;
        if (intake->begins) {
            begin_snapshot(store, message->part.at_commit_ns);
        }
    }
    ps_follower_part(follower, message, ps_mono_ns());
}

static struct ps_node_store *follower_store(struct ps_node *node, uint32_t peer,
                                            struct ps_slice name)
{
    struct ps_node_store *store = ps_node_store_find(node, name);
    bool ours = store != NULL && store->primary == NULL && store->peer == peer;
    return ours ? store : NULL;
}

void ps_feed_published(struct ps_node *node, uint32_t peer, struct ps_slice bytes)
{
    struct ps_message message;
    enum ps_status status = ps_message_decode(bytes, &message);
    if (status != PS_OK) {
        ps_node_log(node, PS_LOG_WARN, "feed", "a publication is dropped: %s",
                    ps_status_text(status));
        return;
    }
    struct ps_node_store *store = follower_store(node, peer, message.store);
    if (store != NULL && message.kind == PS_MESSAGE_BATCH) {
        on_batch(store, bytes, &message, false);
    }
    ps_message_fini(&message);
}

void ps_feed_answered(struct ps_node *node, uint32_t peer, uint32_t request_id,
                      struct ps_slice bytes)
{
    struct ps_message message;
    enum ps_status status = ps_message_decode(bytes, &message);
    if (status != PS_OK) {
        ps_node_log(node, PS_LOG_WARN, "feed", "an answer is dropped: %s", ps_status_text(status));
        return;
    }
    struct ps_node_store *store = follower_store(node, peer, message.store);
    if (store != NULL && message.kind == PS_MESSAGE_BATCH) {
        on_batch(store, bytes, &message, true);
    } else if (store != NULL && message.kind == PS_MESSAGE_PART) {
        on_part(store, bytes, &message);
    } else if (store != NULL && message.kind == PS_MESSAGE_WRITTEN) {
        ps_writes_answered(node, request_id, &message);
    } else if (store != NULL && message.kind == PS_MESSAGE_ANSWERED) {
        if (!ps_objects_answered(node, request_id, &message)) {
            ps_queries_answered(node, request_id, &message);
        }
    } else if (store != NULL && message.kind == PS_MESSAGE_ERROR) {
        if (!ps_writes_answered_error(node, request_id, &message) &&
            !ps_queries_answered_error(node, request_id, &message) &&
            !ps_objects_answered_error(node, request_id, &message)) {
            ps_follower_error(&store->follower, message.error.status, ps_mono_ns());
        }
    }
    ps_message_fini(&message);
}

static void ask(struct ps_node_store *store, ps_time_ns need_ns, uint64_t mono_ns)
{
    struct ps_node *node = store->node;
    struct ps_message message;
    if (!ps_follower_ask(&store->follower, need_ns, mono_ns, &message)) {
        return;
    }
    message.store = ps_slice_of(store->config->name);
    struct ps_buf bytes = {0};
    ps_message_encode(&bytes, &message);
    /* A request that finds no pipe is asked again, as one that is lost. */
    (void)!ps_transport_request(node->transport, store->peer, node->next_request_id++,
                                ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
}

uint64_t ps_feed_turn(struct ps_node_store *store, uint64_t mono_ns)
{
    struct ps_node *node = store->node;
    if (store->intake != NULL && !store->applying) {
        submit(store);
    }
    /* The earliest need is asked for once its time has come: home's answer then closes all that has
     * become due meanwhile. */
    const struct ps_heap_item *first = ps_heap_first(&store->waiting);
    uint64_t due_ns = PS_NEVER;
    ps_time_ns need_ns = 0;
    if (first != NULL) {
        due_ns = ps_node_when(node, first->key);
        if (due_ns <= mono_ns) {
            need_ns = first->key;
            /* ... unless home says nothing any more, or nothing that helps. */
            due_ns = ps_time_min(
                ps_time_add(store->follower.heard_mono_ns, PS_FOLLOWER_SILENCE_MS * PS_MS),
                ps_time_add(due_ns, PS_READ_WALL_MS * PS_MS));
            ps_reads_wake(store);
        }
    }
    ask(store, need_ns, mono_ns);
    return ps_time_min(due_ns, ps_follower_deadline(&store->follower, need_ns));
}

void ps_feed_init(struct ps_node_store *store)
{
    store->intake_tail = &store->intake;
    if (store->primary == NULL) {
        ps_follower_init(&store->follower, store->have_lsn, store->closed_ns);
        /* Home has the usual time to be heard before it counts as away. */
        store->follower.heard_mono_ns = ps_mono_ns();
    }
}

void ps_feed_fini(struct ps_node_store *store)
{
    intake_destroy(store->intake);
    store->intake = NULL;
    if (store->primary == NULL) {
        ps_follower_fini(&store->follower);
    }
}
