/* What home does for its stores: group commit, publishing, heartbeats, and answers to other nodes.
 */
#include "node/d1/pages.h"
#include "node/io/d1/d1_thread.h"
#include "node/io/node_internal.h"
#include "node/io/r2/objects.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* A SYNC that cannot be answered yet. */
struct ps_parked_sync {
    struct ps_parked_sync *next;
    struct ps_reply_to from;
    ps_time_ns need_ns;
};

enum { PARKED_MAX = 4096 };

/* One group commit on the writer thread: what all stores of this home had queued. */
struct commit {
    struct ps_job job; /* first member */
    struct ps_node *node;
    struct ps_append *appends;
    size_t count;
    size_t capacity;
    struct ps_writer *finished;
    struct ps_writer **finished_tail;
};

/* A WRITE of another node: its answer goes out when each of its writes has a result. */
struct remote {
    struct ps_node_store *store;
    struct ps_reply_to from;
    struct ps_written *results;
    size_t count;
    size_t left;

    struct remote_writer {
        struct ps_writer writer; /* first member */
        struct remote *remote;
        size_t index;
    } writers[];
};

void ps_home_answer(struct ps_node *node, const struct ps_reply_to *to,
                    const struct ps_message *message)
{
    struct ps_buf bytes = {0};
    ps_message_encode(&bytes, message);
    ps_transport_answer(node->transport, to, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
}

void ps_home_answer_error(struct ps_node *node, const struct ps_reply_to *to, struct ps_slice store,
                          enum ps_status status)
{
    struct ps_message message = {
        .kind = PS_MESSAGE_ERROR, .store = store, .error = {.status = status}};
    ps_home_answer(node, to, &message);
}

void ps_home_batch_init(struct ps_node_store *store, struct ps_message *message)
{
    struct ps_node *node = store->node;
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns);
    *message = (struct ps_message){.kind = PS_MESSAGE_BATCH,
                                   .store = ps_slice_of(store->config->name),
                                   .batch = {.home_boot = node->process_boot}};
    message->batch.closed_ns = ps_primary_closed(store->primary, now_ns, &message->batch.last_lsn);
}

static void publish(struct ps_node_store *store, const struct ps_message *message)
{
    struct ps_buf bytes = {0};
    ps_message_encode(&bytes, message);
    ps_transport_publish(store->node->transport, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
    store->published_mono_ns = ps_mono_ns();
}

static void heartbeat(struct ps_node_store *store)
{
    struct ps_message message;
    ps_home_batch_init(store, &message);
    publish(store, &message);
}

static size_t size_of(const struct ps_record *record)
{
    size_t size = 64;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        size += entry->key.size + entry->value.size + entry->metadata.size + 32;
    }
    return size;
}

/* Tell of records that are durable now. Commit times ascend strictly, so the last one's is closed.
 */
static void publish_records(struct ps_node_store *store, const struct ps_record *records,
                            size_t count)
{
    size_t from = 0;
    while (from < count) {
        size_t until = from;
        size_t size = 0;
        do {
            size += size_of(&records[until++]);
        } while (until < count && until - from < PS_ENTRIES_MAX / 2 &&
                 size + size_of(&records[until]) <= PS_BATCH_SIZE);
        struct ps_message message = {
            .kind = PS_MESSAGE_BATCH,
            .store = ps_slice_of(store->config->name),
            .batch = {.home_boot = store->node->process_boot,
                      .closed_ns = records[until - 1].commit_ns,
                      .last_lsn = records[until - 1].lsn,
                      .records = (struct ps_record *)(uintptr_t)&records[from],
                      .record_count = until - from}};
        publish(store, &message);
        from = until;
    }
}

/* A database's record goes out as what differs from the pages before it. Its thread has one commit
 * on its way at a time. */
static void publish_committed(struct ps_node_store *store)
{
    if (store->d1 == NULL) {
        publish_records(store, store->commit_records, store->commit_count);
        return;
    }
    PS_ASSERT(store->commit_count == 1);
    struct ps_record wire = ps_d1_thread_wire(store->d1, store->commit_records);
    publish_records(store, &wire, 1);
}

/* ---- group commit ---- */

static void on_each(void *context, void *tag, const struct ps_written *result)
{
    struct commit *commit = context;
    struct ps_writer *writer = tag;
    writer->result = *result;
    writer->next = NULL;
    *commit->finished_tail = writer;
    commit->finished_tail = &writer->next;
}

/* The writers are told after the primary is done with its list: they may write again. */
static void tell(struct commit *commit)
{
    struct ps_writer *writer = commit->finished;
    while (writer != NULL) {
        struct ps_writer *next = writer->next;
        writer->done(writer);
        writer = next;
    }
    free(commit->appends);
    free(commit);
}

static void run_commit(struct ps_job *job)
{
    struct commit *commit = (struct commit *)(void *)job;
    job->status = ps_map_apply(commit->node->map, commit->appends, commit->count, &job->err);
}

static void store_committed(struct commit *commit, struct ps_node_store *store)
{
    store->in_commit = false;
    if (commit->job.status == PS_OK) {
        publish_committed(store);
        for (size_t i = 0; i < store->commit_count; i++) {
            const struct ps_record *record = &store->commit_records[i];
            ps_store_replica_applied(store->replica, record->lsn, record->commit_ns);
            store->have_lsn = record->lsn;
        }
        store->metrics.records += store->commit_count;
        store->metrics.commits++;
    }
    ps_primary_done(store->primary, commit->job.status, on_each, commit);
}

static void on_committed(struct ps_job *job)
{
    struct commit *commit = (struct commit *)(void *)job;
    struct ps_node *node = commit->node;
    node->committing = false;
    if (job->status != PS_OK) {
        ps_node_log(node, PS_LOG_ERROR, "commit", "%zu records are not written: %s", commit->count,
                    job->err.text);
    }
    bool named = node->names->in_commit && job->status == PS_OK;
    for (size_t i = 0; i < node->store_count; i++) {
        if (node->stores[i]->in_commit) {
            store_committed(commit, node->stores[i]);
        }
    }
    for (size_t i = 0; i < node->store_count; i++) {
        if (node->stores[i]->primary != NULL) {
            ps_home_answer_parked(node->stores[i]);
            ps_reads_wake(node->stores[i]);
            ps_queries_wake(node->stores[i]);
        }
    }
    if (named) {
        ps_namespaces_changed(node);
    }
    tell(commit);
}

static void gather(struct commit *commit, struct ps_node_store *store)
{
    struct ps_node *node = store->node;
    size_t count = ps_primary_take(store->primary, ps_node_now(node), &store->commit_records);
    store->commit_count = count;
    if (count == 0) {
        if (ps_primary_has_results(store->primary)) {
            ps_primary_done(store->primary, PS_OK, on_each, commit);
        }
        return;
    }
    store->in_commit = true;
    for (size_t i = 0; i < count; i++) {
        commit->appends =
            ps_grow(commit->appends, commit->count, &commit->capacity, sizeof *commit->appends);
        commit->appends[commit->count++] =
            (struct ps_append){.store = store->map_store, .record = &store->commit_records[i]};
    }
}

void ps_home_turn(struct ps_node *node)
{
    if (node->committing) {
        return;
    }
    struct commit *commit = NULL;
    for (size_t i = 0; i < node->store_count; i++) {
        struct ps_node_store *store = node->stores[i];
        if (store->primary != NULL && ps_primary_has_queue(store->primary)) {
            if (commit == NULL) {
                commit = PS_NEW(struct commit);
                commit->node = node;
                commit->finished_tail = &commit->finished;
            }
            gather(commit, store);
        }
    }
    if (commit == NULL) {
        return;
    }
    if (commit->count == 0) {
        tell(commit);
        return;
    }
    node->committing = true;
    commit->job.run = run_commit;
    commit->job.done = on_committed;
    ps_worker_submit(node->worker, &commit->job);
}

/* ---- requests of other nodes ---- */

ps_time_ns ps_home_answer_parked(struct ps_node_store *store)
{
    ps_time_ns next_ns = PS_NEVER;
    if (store->parked == NULL) {
        return next_ns;
    }
    struct ps_message message;
    ps_home_batch_init(store, &message);
    struct ps_parked_sync **at = &store->parked;
    while (*at != NULL) {
        struct ps_parked_sync *parked = *at;
        if (parked->need_ns <= message.batch.closed_ns) {
            ps_home_answer(store->node, &parked->from, &message);
            *at = parked->next;
            free(parked);
        } else {
            next_ns = ps_time_min(next_ns, parked->need_ns);
            at = &parked->next;
        }
    }
    return next_ns;
}

static void serve_sync(struct ps_node_store *store, const struct ps_reply_to *from,
                       ps_time_ns need_ns)
{
    struct ps_message message;
    ps_home_batch_init(store, &message);
    if (message.batch.closed_ns >= need_ns) {
        ps_home_answer(store->node, from, &message);
        return;
    }
    size_t count = 0;
    for (const struct ps_parked_sync *parked = store->parked; parked != NULL;
         parked = parked->next) {
        count++;
    }
    if (count < PARKED_MAX) { /* else it is lost, and asked again */
        struct ps_parked_sync *parked = PS_NEW(struct ps_parked_sync);
        *parked = (struct ps_parked_sync){.next = store->parked, .from = *from, .need_ns = need_ns};
        store->parked = parked;
    }
}

/* A part of a snapshot; slices point into the map within its read. */
struct part {
    struct ps_snapshot_entry *entries;
    size_t count;
    size_t capacity;
    size_t size;
    uint64_t bytes_max;
    bool full;
    struct ps_buf keys; /* the map's key slices live only for one call */
};

static bool take_entry(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct part *part = context;
    if (part->size >= part->bytes_max || part->count >= PS_ENTRIES_MAX / 2) {
        part->full = true;
        return false;
    }
    part->entries = ps_grow(part->entries, part->count, &part->capacity, sizeof *part->entries);
    part->entries[part->count++] =
        (struct ps_snapshot_entry){.entry = {.key = {NULL, key.size},
                                             .value = version->value,
                                             .metadata = version->metadata,
                                             .expires_unix_s = version->expires_unix_s,
                                             .deleted = version->deleted},
                                   .lsn = version->lsn,
                                   .commit_ns = version->commit_ns};
    ps_buf_append_slice(&part->keys, key);
    part->size += key.size + version->value.size + version->metadata.size + 64;
    return true;
}

struct find_commit {
    ps_time_ns commit_ns;
};

static bool note_commit(void *context, const struct ps_record *record)
{
    ((struct find_commit *)context)->commit_ns = record->commit_ns;
    return false;
}

static void serve_snapshot(struct ps_node_store *store, const struct ps_reply_to *from,
                           const struct ps_message *request)
{
    struct ps_node *node = store->node;
    struct ps_message batch;
    ps_home_batch_init(store, &batch);
    uint64_t at_lsn =
        request->snapshot.at_lsn == 0 ? batch.batch.last_lsn : request->snapshot.at_lsn;
    struct find_commit at = {0};
    struct part part = {.bytes_max = PS_BATCH_SIZE};
    enum ps_status status = ps_map_read_begin(node->map);
    if (status != PS_OK) {
        ps_home_answer_error(node, from, request->store, status);
        return;
    }
    struct ps_log_state log;
    status = ps_map_log_state(node->map, store->map_store, &log);
    if (status == PS_OK && at_lsn == log.last_lsn) {
        at.commit_ns = log.last_commit_ns;
    } else if (status == PS_OK) {
        status = ps_map_log_marks(node->map, store->map_store, at_lsn, note_commit, &at);
    }
    if (status == PS_OK) {
        struct ps_bound bound = {.lsn_max = at_lsn, .commit_max = PS_NEVER};
        status = ps_map_list(node->map, store->map_store, (struct ps_slice){0},
                             request->snapshot.after_key, &bound, take_entry, &part);
    }
    if (status != PS_OK) {
        ps_home_answer_error(node, from, request->store, status);
    } else {
        const char *key = part.keys.data;
        for (size_t i = 0; i < part.count; i++) {
            part.entries[i].entry.key.data = key;
            key += part.entries[i].entry.key.size;
        }
        struct ps_message message = {.kind = PS_MESSAGE_PART,
                                     .store = request->store,
                                     .part = {.home_boot = node->process_boot,
                                              .at_lsn = at_lsn,
                                              .at_commit_ns = at.commit_ns,
                                              .after_key = request->snapshot.after_key,
                                              .last = !part.full,
                                              .entries = part.entries,
                                              .entry_count = part.count}};
        ps_home_answer(node, from, &message);
    }
    ps_map_read_end(node->map);
    free(part.entries);
    ps_buf_fini(&part.keys);
}

static void remote_answer(struct remote *remote)
{
    struct ps_message message = {.kind = PS_MESSAGE_WRITTEN,
                                 .store = ps_slice_of(remote->store->config->name),
                                 .written = {remote->results, remote->count}};
    ps_home_answer(remote->store->node, &remote->from, &message);
    free(remote->results);
    free(remote);
}

static void on_remote_result(struct ps_writer *writer)
{
    struct remote_writer *one = (struct remote_writer *)(void *)writer;
    struct remote *remote = one->remote;
    remote->results[one->index] = writer->result;
    if (--remote->left == 0) {
        remote_answer(remote);
    }
}

static void serve_write(struct ps_node_store *store, const struct ps_reply_to *from,
                        const struct ps_message *message)
{
    size_t count = message->write.write_count;
    if (count == 0) {
        return;
    }
    struct remote *remote = ps_calloc(1, sizeof *remote + count * sizeof remote->writers[0]);
    remote->store = store;
    remote->from = *from;
    remote->results = PS_NEW_ARRAY(struct ps_written, count);
    remote->count = count;
    remote->left = count + 1; /* so that the answer does not go out within the loop */
    for (size_t i = 0; i < count; i++) {
        struct remote_writer *one = &remote->writers[i];
        *one = (struct remote_writer){
            .writer = {.done = on_remote_result}, .remote = remote, .index = i};
        const struct ps_write *write = &message->write.writes[i];
        struct ps_written *result = &one->writer.result;
        if ((store->hidden && ps_namespaces_refuse(store->node, write, result)) ||
            ps_primary_write(store->primary, write, &one->writer, result)) {
            on_remote_result(&one->writer);
        }
    }
    if (--remote->left == 0) {
        remote_answer(remote);
    }
}

void ps_home_requested(struct ps_node *node, const struct ps_reply_to *from, struct ps_slice bytes)
{
    struct ps_message message;
    enum ps_status status = ps_message_decode(bytes, &message);
    if (status != PS_OK) {
        ps_node_log(node, PS_LOG_WARN, "feed", "a request is dropped: %s", ps_status_text(status));
        return;
    }
    struct ps_node_store *store = ps_node_store_find(node, message.store);
    if (store == NULL || store->primary == NULL) {
        bool soon = store == NULL && ps_store_opening(node, message.store) != NULL;
        ps_home_answer_error(node, from, message.store, soon ? PS_BUSY : PS_NOT_FOUND);
        ps_message_fini(&message);
        return;
    }
    switch (message.kind) {
    case PS_MESSAGE_CATCH_UP:
        ps_catch_up_serve(store, from, message.catch_up.from_lsn, message.catch_up.bytes_max);
        break;
    case PS_MESSAGE_SYNC:
        serve_sync(store, from, message.sync.need_ns);
        break;
    case PS_MESSAGE_SNAPSHOT:
        serve_snapshot(store, from, &message);
        break;
    case PS_MESSAGE_WRITE:
        if (store->d1 == NULL && store->objects == NULL) {
            serve_write(store, from, &message);
        } else {
            ps_home_answer_error(node, from, message.store, PS_INVALID);
        }
        break;
    case PS_MESSAGE_QUERY:
        if (store->d1 != NULL) {
            ps_query_serve(store, from, &message);
        } else if (store->objects != NULL) {
            ps_objects_serve(store->objects, from, &message);
        } else {
            ps_home_answer_error(node, from, message.store, PS_INVALID);
        }
        break;
    case PS_MESSAGE_BATCH:
    case PS_MESSAGE_PART:
    case PS_MESSAGE_WRITTEN:
    case PS_MESSAGE_ERROR:
    case PS_MESSAGE_ANSWERED:
        ps_home_answer_error(node, from, message.store, PS_INVALID);
        break;
    }
    ps_message_fini(&message);
}

/* ---- heartbeats ---- */

static void on_heartbeat(struct ps_alarm *alarm)
{
    struct ps_node *node =
        (struct ps_node *)(void *)((char *)alarm - offsetof(struct ps_node, heartbeat));
    uint64_t mono_ns = ps_mono_ns();
    uint64_t next_ns = mono_ns + PS_HEARTBEAT_MS * PS_MS;
    for (size_t i = 0; i < node->store_count; i++) {
        struct ps_node_store *store = node->stores[i];
        if (store->primary == NULL || store->dropped) {
            continue;
        }
        uint64_t due_ns = store->published_mono_ns +
                          (store->hidden ? PS_HEARTBEAT_HIDDEN_MS : PS_HEARTBEAT_MS) * PS_MS;
        if (due_ns <= mono_ns) {
            heartbeat(store);
        } else if (due_ns < next_ns) {
            next_ns = due_ns;
        }
    }
    ps_node_alarm(node, alarm, next_ns);
}

void ps_home_start_heartbeat(struct ps_node *node)
{
    for (size_t i = 0; i < node->store_count; i++) {
        if (node->stores[i]->primary != NULL && node->heartbeat.item.place == 0) {
            node->heartbeat.ring = on_heartbeat;
            ps_node_alarm(node, &node->heartbeat, ps_mono_ns());
        }
    }
}

void ps_home_fini(struct ps_node_store *store)
{
    while (store->parked != NULL) {
        struct ps_parked_sync *parked = store->parked;
        store->parked = parked->next;
        free(parked);
    }
}
