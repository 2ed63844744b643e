/* Home's part of D1 requests made at other PoPs: each is run once, however often it is asked for.
 */
#include "node/io/d1/queries.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum {
    KEPT_MS = 60000,         /* answers are kept that long, for those who ask again */
    KEPT_SIZE_MAX = 64 << 20 /* ... if they have no more bytes than that */
};

/* A request of another PoP. Who asks again with its token while it runs waits for the same answer,
 * and gets it once more afterwards. */
struct ps_remote_query {
    struct ps_d1_job job;         /* first member */
    UT_hash_handle hh;            /* by the job's token */
    struct ps_remote_query *next; /* in the order they came */
    struct ps_node_store *store;
    struct ps_reply_to from;
    char *body;
    bool done;
    uint64_t done_mono_ns;
    struct ps_buf answer;
};

static void remote_destroy(struct ps_node_store *store, struct ps_remote_query *remote)
{
    HASH_DEL(store->remote_queries, remote); /* NOLINT(clang-analyzer-*): uthash */
    store->remote_size -= remote->answer.size;
    ps_d1_job_fini(&remote->job);
    ps_buf_fini(&remote->answer);
    free(remote->body);
    free(remote);
}

static void forget_first(struct ps_node_store *store)
{
    struct ps_remote_query *first = store->first_remote;
    store->first_remote = first->next;
    if (store->first_remote == NULL) {
        store->last_remote = NULL;
    }
    remote_destroy(store, first);
}

static void forget_old(struct ps_node_store *store)
{
    uint64_t mono_ns = ps_mono_ns();
    const struct ps_remote_query *first = store->first_remote;
    while (
        first != NULL && first->done &&
        (store->remote_size > KEPT_SIZE_MAX || first->done_mono_ns + KEPT_MS * PS_MS < mono_ns)) {
        forget_first(store);
        first = store->first_remote;
    }
}

static void answer_remote(struct ps_remote_query *remote)
{
    ps_transport_answer(remote->store->node->transport, &remote->from,
                        ps_buf_slice(&remote->answer));
}

/* The database's thread is the only one that makes records, and it asks for its next one behind
 * this job: that one has no commit time yet, and will be given a later one. */
ps_time_ns ps_query_home_eval(struct ps_node_store *store, struct ps_d1_job *job)
{
    struct ps_node *node = store->node;
    if (job->wrote) {
        return job->commit_ns;
    }
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), job->commit_ns);
    ps_time_ns eval_ns = ps_eval_clock_next(&node->eval, now_ns);
    uint64_t last_lsn;
    ps_time_ns closed_ns = ps_primary_closed(store->primary, eval_ns, &last_lsn);
    PS_ASSERT(closed_ns >= eval_ns);
    if (job->failed) {
        job->at_lsn = last_lsn; /* it may not have come to reading */
    }
    return eval_ns;
}

static void encode_answer(struct ps_buf *ret, const struct ps_node_store *store,
                          const struct ps_d1_job *job, ps_time_ns eval_ns)
{
    struct ps_slice body = ps_buf_slice(&job->text);
    bool too_large = body.size > PS_TEXT_SIZE_MAX;
    if (too_large) {
        body = PS_LIT("The answer is larger than 63 MiB, which popsim does not send to another "
                      "PoP. (If it wrote, that is done.)");
    }
    struct ps_message message = {.kind = PS_MESSAGE_ANSWERED,
                                 .store = ps_slice_of(store->config->name),
                                 .answered = {.status = job->status,
                                              .failed = job->failed || too_large,
                                              .wrote = job->wrote,
                                              .lsn = job->at_lsn,
                                              .commit_ns = job->commit_ns,
                                              .restores = job->restores,
                                              .eval_ns = eval_ns,
                                              .run_ns = job->now_ns,
                                              .body = body}};
    ps_message_encode(ret, &message);
}

static void finish(struct ps_remote_query *remote, ps_time_ns eval_ns)
{
    struct ps_node_store *store = remote->store;
    struct ps_d1_job *job = &remote->job;
    encode_answer(&remote->answer, store, job, eval_ns);
    store->remote_size += remote->answer.size;
    ps_d1_job_fini(job);
    free(remote->body);
    remote->body = NULL;
    remote->done = true;
    remote->done_mono_ns = ps_mono_ns();
    answer_remote(remote);
}

static void on_remote_run(struct ps_d1_job *job)
{
    struct ps_remote_query *remote = (struct ps_remote_query *)(void *)job;
    bool placed = job->status != PS_CANCELLED; /* in the midst of others, and saw nothing */
    finish(remote, placed ? ps_query_home_eval(remote->store, job) : 0);
}

/* PS_BUSY: it was not taken. */
static enum ps_status start(struct ps_remote_query *remote, const struct ps_message *message)
{
    struct ps_slice body = message->query.body;
    remote->body = ps_strndup(body.data, body.size);
    remote->done = false;
    remote->job = (struct ps_d1_job){.body = {remote->body, body.size},
                                     .flags = (unsigned)message->query.flags,
                                     .retries = (unsigned)message->query.retries,
                                     .token = message->query.token,
                                     .lsn = UINT64_MAX,
                                     .done = on_remote_run};
    return ps_d1_thread_submit(remote->store->d1, &remote->job);
}

/* Its answer came too late for the PoP, which has given that try up: what was read then is of no
 * use to it. */
static void start_again(struct ps_remote_query *remote, const struct ps_message *message)
{
    remote->store->remote_size -= remote->answer.size;
    remote->answer.size = 0;
    if (start(remote, message) != PS_OK) {
        remote->job.status = PS_BUSY;
        finish(remote, 0);
    }
}

static void refuse(struct ps_node_store *store, const struct ps_reply_to *from,
                   enum ps_status status)
{
    const struct ps_d1_job job = {.status = status};
    struct ps_buf bytes = {0};
    encode_answer(&bytes, store, &job, 0);
    ps_transport_answer(store->node->transport, from, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
}

void ps_query_serve(struct ps_node_store *store, const struct ps_reply_to *from,
                    const struct ps_message *message)
{
    struct ps_remote_query *remote = NULL;
    HASH_FIND(hh, store->remote_queries, &message->query.token, PS_TOKEN_SIZE, remote);
    if (remote != NULL) {
        remote->from = *from;
        if (remote->done && remote->job.retries < message->query.retries) {
            start_again(remote, message);
        } else if (remote->done) {
            answer_remote(remote);
        }
        return;
    }
    forget_old(store);
    if (message->query.need_lsn > store->have_lsn) {
        refuse(store, from, PS_BEHIND);
        return;
    }
    remote = PS_NEW(struct ps_remote_query);
    remote->store = store;
    remote->from = *from;
    if (start(remote, message) != PS_OK) {
        refuse(store, from, PS_BUSY);
        free(remote->body);
        free(remote);
        return;
    }
    HASH_ADD(hh, store->remote_queries, job.token, PS_TOKEN_SIZE, remote);
    if (store->last_remote == NULL) {
        store->first_remote = remote;
    } else {
        store->last_remote->next = remote;
    }
    store->last_remote = remote;
}

void ps_queries_fini(struct ps_node_store *store)
{
    while (store->first_remote != NULL) {
        forget_first(store);
    }
}
