/* Home's part of a bucket: mutations from here and from other PoPs, one after the other per key,
 * into the store's primary. */
#include "node/io/r2/bucket_drop.h"
#include "node/io/r2/objects.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <unistd.h>

/* Who is told of a mutation: a call made here, or another PoP. */
struct ps_object_waiter {
    struct ps_object_waiter *next; /* of all */
    struct ps_object_waiter **prev;
    struct ps_object_waiter *next_finished;
    struct ps_objects *objects;
    struct ps_object_call *call; /* NULL: another PoP's, or nobody any more */
    bool remote;
    struct ps_reply_to from;
    struct ps_r2_id *held; /* blobs that it refers to */
    size_t held_count;
    bool refused; /* no record refers to them, nor will */
    enum ps_status status;
    struct ps_buf bytes; /* the answer */
};

/* A record on its way to the disk. */
struct commit {
    struct ps_writer writer; /* first member */
    struct ps_objects *objects;
    struct ps_r2_commit *r2;
    struct commit *next; /* of those to be appended, then of those the primary has */
    struct commit **prev;
};

struct ps_objects {
    struct ps_node_store *store;
    struct ps_r2_home *home;
    struct ps_sweep *sweep;
    struct ps_census *census;
    struct ps_bucket_goer *goer;
    struct ps_object_waiter *waiters;
    struct ps_object_waiter *finished;
    struct ps_object_waiter **finished_tail;
    struct commit *commits; /* that are to be appended */
    struct commit **commits_tail;
    struct commit *under_way; /* that the primary has */
};

/* ---- answers ---- */

static void finish(struct ps_object_waiter *waiter)
{
    struct ps_objects *objects = waiter->objects;
    waiter->next_finished = NULL;
    *objects->finished_tail = waiter;
    objects->finished_tail = &waiter->next_finished;
}

static void on_answer(void *context, void *tag, const struct ps_r2_answer *answer)
{
    (void)context;
    struct ps_object_waiter *waiter = tag;
    waiter->refused = ps_r2_is_refusal(answer->error.code);
    ps_r2_answer_encode(&waiter->bytes, answer);
    finish(waiter);
}

/* What was uploaded for a mutation that is refused goes at once, unless another try still refers to
 * it: it will be refused as well. */
static void release_blobs(struct ps_object_waiter *waiter)
{
    const struct ps_node_store *store = waiter->objects->store;
    for (size_t i = 0; i < waiter->held_count; i++) {
        if (waiter->refused) {
            ps_blob_discard(store->node->blobs, store->config->name, &waiter->held[i]);
        } else {
            ps_blob_release(store->node->blobs, &waiter->held[i]);
        }
    }
}

static void destroy(struct ps_object_waiter *waiter)
{
    release_blobs(waiter);
    *waiter->prev = waiter->next;
    if (waiter->next != NULL) {
        waiter->next->prev = waiter->prev;
    }
    free(waiter->held);
    ps_buf_fini(&waiter->bytes);
    free(waiter);
}

static void answer_remote(const struct ps_object_waiter *waiter)
{
    const struct ps_node_store *store = waiter->objects->store;
    struct ps_message message = {
        .kind = PS_MESSAGE_ANSWERED,
        .store = ps_slice_of(store->config->name),
        .answered = {.status = waiter->status, .body = ps_buf_slice(&waiter->bytes)}};
    struct ps_buf bytes = {0};
    ps_message_encode(&bytes, &message);
    ps_transport_answer(store->node->transport, &waiter->from, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
}

/* Nothing of home is under way: who is told may come back. */
static void deliver(struct ps_objects *objects)
{
    while (objects->finished != NULL) {
        struct ps_object_waiter *waiter = objects->finished;
        objects->finished = waiter->next_finished;
        if (objects->finished == NULL) {
            objects->finished_tail = &objects->finished;
        }
        struct ps_object_call *call = waiter->call;
        enum ps_status status = waiter->status;
        struct ps_buf bytes = waiter->bytes;
        if (waiter->remote) {
            answer_remote(waiter);
        }
        waiter->bytes = (struct ps_buf){0};
        destroy(waiter);
        if (call != NULL) {
            ps_object_call_answered(call, status, ps_buf_slice(&bytes));
        }
        ps_buf_fini(&bytes);
    }
}

/* ---- commits ---- */

static void on_commit(void *context, struct ps_r2_commit *r2)
{
    struct ps_objects *objects = context;
    struct commit *commit = PS_NEW(struct commit);
    commit->objects = objects;
    commit->r2 = r2;
    *objects->commits_tail = commit;
    objects->commits_tail = &commit->next;
}

static struct ps_r2_home_sink sink_of(struct ps_objects *objects)
{
    return (struct ps_r2_home_sink){on_answer, on_commit, objects};
}

static void on_committed(struct ps_writer *writer)
{
    struct commit *commit = (struct commit *)(void *)writer;
    struct ps_objects *objects = commit->objects;
    const struct ps_r2_home_sink sink = sink_of(objects);
    if (writer->result.status == PS_OK) {
        ps_sweep_committed(objects->sweep, &commit->r2->record);
    }
    ps_r2_home_done(objects->home, commit->r2, &writer->result, &sink);
    if (ps_r2_home_closed(objects->home)) {
        ps_bucket_goer_closed(objects->goer);
    }
    *commit->prev = commit->next;
    if (commit->next != NULL) {
        commit->next->prev = commit->prev;
    }
    free(commit);
    ps_objects_turn(objects);
}

static void append_commits(struct ps_objects *objects)
{
    struct commit *commit = objects->commits;
    objects->commits = NULL;
    objects->commits_tail = &objects->commits;
    while (commit != NULL) {
        struct commit *next = commit->next;
        commit->writer = (struct ps_writer){.done = on_committed};
        commit->next = objects->under_way;
        commit->prev = &objects->under_way;
        if (commit->next != NULL) {
            commit->next->prev = &commit->next;
        }
        objects->under_way = commit;
        ps_primary_append(objects->store->primary, &commit->r2->record, &commit->writer);
        commit = next;
    }
}

void ps_objects_turn(struct ps_objects *objects)
{
    struct ps_node *node = objects->store->node;
    if (ps_r2_home_has_work(objects->home)) {
        const struct ps_r2_home_sink sink = sink_of(objects);
        ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns);
        ps_r2_home_run(objects->home, now_ns, &sink);
    }
    append_commits(objects);
    deliver(objects);
}

/* ---- what comes ---- */

static bool is_there(const struct ps_objects *objects, const struct ps_r2_blob *blob)
{
    const struct ps_node_store *store = objects->store;
    int fd;
    uint64_t size;
    if (ps_blob_open(store->node->blobs, store->config->name, &blob->id, &fd, &size) != PS_OK) {
        return false;
    }
    (void)close(fd);
    return size == blob->size;
}

/* Its blobs stay while it is under way. Returns false when one of them is not there: it was
 * uploaded so long ago, or before a crash, that it was swept. */
static bool hold_blobs(struct ps_object_waiter *waiter, const struct ps_r2_body *body)
{
    bool all = true;
    waiter->held = PS_NEW_ARRAY(struct ps_r2_id, body->blob_count + 1);
    for (size_t i = 0; i < body->blob_count; i++) {
        waiter->held[waiter->held_count++] = body->blobs[i].id;
        ps_blob_hold(waiter->objects->store->node->blobs, &body->blobs[i].id);
        all = all && is_there(waiter->objects, &body->blobs[i]);
    }
    return all;
}

static void submit(struct ps_object_waiter *waiter, const struct ps_token *token,
                   struct ps_slice bytes)
{
    struct ps_r2_request request;
    waiter->status = ps_r2_request_decode(bytes, &request);
    if (waiter->status != PS_OK) {
        finish(waiter);
        return;
    }
    struct ps_r2_home *home = waiter->objects->home;
    waiter->status = hold_blobs(waiter, &request.body)
                         ? ps_r2_home_submit(home, token, bytes, waiter)
                         : ps_r2_home_submit_lost(home, token, bytes, waiter);
    if (waiter->status != PS_OK) {
        finish(waiter);
    }
    ps_r2_request_fini(&request);
}

static struct ps_object_waiter *add_waiter(struct ps_objects *objects)
{
    struct ps_object_waiter *waiter = PS_NEW(struct ps_object_waiter);
    waiter->objects = objects;
    waiter->next = objects->waiters;
    waiter->prev = &objects->waiters;
    if (waiter->next != NULL) {
        waiter->next->prev = &waiter->next;
    }
    objects->waiters = waiter;
    return waiter;
}

void ps_objects_serve(struct ps_objects *objects, const struct ps_reply_to *from,
                      const struct ps_message *message)
{
    struct ps_object_waiter *waiter = add_waiter(objects);
    waiter->remote = true;
    waiter->from = *from;
    submit(waiter, &message->query.token, message->query.body);
}

struct ps_object_waiter *ps_objects_submit(struct ps_objects *objects, const struct ps_token *token,
                                           struct ps_slice bytes, struct ps_object_call *call)
{
    struct ps_object_waiter *waiter = add_waiter(objects);
    waiter->call = call;
    submit(waiter, token, bytes);
    return waiter;
}

void ps_object_waiter_let_go(struct ps_object_waiter *waiter)
{
    waiter->call = NULL;
}

void ps_objects_end_calls(struct ps_objects *objects)
{
    struct ps_object_waiter *next;
    for (struct ps_object_waiter *waiter = objects->waiters; waiter != NULL; waiter = next) {
        next = waiter->next;
        struct ps_object_call *call = waiter->call;
        waiter->call = NULL;
        if (call != NULL) {
            ps_object_call_answered(call, PS_NOT_FOUND, (struct ps_slice){0});
        }
    }
}

struct ps_object_counts ps_objects_counts(const struct ps_objects *objects)
{
    return ps_census_counts(objects->census);
}

/* ---- life ---- */

struct ps_objects *ps_objects_create(struct ps_node_store *store)
{
    struct ps_objects *objects = PS_NEW(struct ps_objects);
    struct ps_node *node = store->node;
    objects->store = store;
    objects->finished_tail = &objects->finished;
    objects->commits_tail = &objects->commits;
    objects->home = ps_r2_home_create(&node->state.cluster, node->map, store->map_store,
                                      store->config->kv.write_interval_ns);
    objects->sweep = ps_sweep_create(store, objects->home);
    objects->census = ps_census_create(store);
    objects->goer = ps_bucket_goer_create(store, ps_r2_home_closed(objects->home));
    return objects;
}

void ps_objects_destroy(struct ps_objects *objects)
{
    if (objects == NULL) {
        return;
    }
    ps_sweep_destroy(objects->sweep);
    ps_census_destroy(objects->census);
    ps_bucket_goer_destroy(objects->goer);
    while (objects->waiters != NULL) {
        if (objects->waiters->call != NULL) {
            objects->waiters->call->waiter = NULL;
        }
        destroy(objects->waiters);
    }
    while (objects->under_way != NULL) {
        struct commit *next = objects->under_way->next;
        free(objects->under_way);
        objects->under_way = next;
    }
    ps_r2_home_destroy(objects->home);
    free(objects);
}
