#include "node/io/d1/queries.h"

#include "node/io/d1/d1_files.h"
#include "node/io/d1/travel.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <inttypes.h>
#include <string.h>

enum {
    RETRY_MS_MAX = 2000,   /* a question without an answer is asked again after this, at last */
    QUERY_WALL_MS = 90000, /* ... and this is the longest that home may take */
    TRANSFER_WALL_MS = (PS_D1_FILES_S + 60) * 1000,
    NS_PER_BYTE = 40 /* a large message takes its time on a busy machine */
};

static struct ps_query *of_job(struct ps_d1_job *job)
{
    return (struct ps_query *)(void *)job;
}

static struct ps_query *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_query *)(void *)((char *)alarm - offsetof(struct ps_query, alarm));
}

static struct ps_query *of_read(struct ps_read_call *read)
{
    return (struct ps_query *)(void *)((char *)read - offsetof(struct ps_query, read));
}

/* ---- the end ---- */

static void finish(struct ps_query *query)
{
    struct ps_node_store *store = query->store;
    query->staleness.boot = query->node->boot;
    store->metrics.reads_failed += query->status != PS_OK ? 1 : 0;
    query->done(query);
}

static void fail(struct ps_query *query, enum ps_status status, const char *text)
{
    query->status = status;
    query->failed = true;
    query->job.text.size = 0;
    ps_buf_append_text(&query->job.text, text);
    finish(query);
}

/* The first words are D1's, since programs look for them. */
static const char *words_of(enum ps_status status)
{
    static const struct {
        enum ps_status status;
        const char *words;
    } known[] = {
        {PS_BUSY, "D1 DB is overloaded. Too many requests queued."},
        {PS_UNREACHABLE, "Network connection lost. (popsim: home cannot be reached from this PoP)"},
        {PS_TIMEOUT, "Network connection lost. (popsim: home gave no answer; what was asked for "
                     "may have been done)"},
        {PS_EXISTS, "Network connection lost. (popsim: home has committed it and lost its answer)"},
        {PS_NOT_FOUND, "The database could not be found: it was deleted."},
        {PS_BEHIND, "The bookmark is of a state that home does not have."},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].words;
        }
    }
    return "Internal error in D1 DB storage caused object to be reset.";
}

/* Errors of which D1 says that they may pass. */
static bool may_pass(enum ps_status status)
{
    return status == PS_UNREACHABLE || status == PS_TIMEOUT || status == PS_IO ||
           status == PS_CANCELLED;
}

static void start_at_home(struct ps_query *query);

/* D1 does so by itself where a request only reads. False: it is not to be tried once more. */
static bool try_again(struct ps_query *query, enum ps_status status)
{
    struct ps_d1_job *job = &query->job;
    if (job->retries >= PS_D1_RETRIES_MAX || !may_pass(status) || query->store->dropped ||
        query->node->stopping || ps_travel_is(job) || ps_d1_files_is(job) ||
        !ps_d1_body_only_reads(query->body)) {
        return false;
    }
    job->retries++;
    job->now_ns = 0;
    job->failed = false;
    job->status = PS_OK;
    job->text.size = 0;
    query->store->metrics.query_retries++;
    start_at_home(query);
    return true;
}

static void fail_as(struct ps_query *query, enum ps_status status)
{
    if (try_again(query, status)) {
        return;
    }
    query->staleness = (struct ps_kv_staleness){0}; /* nobody will know what it saw */
    fail(query, status, words_of(status));
}

/* What was run at home saw the newest, which it may have made. */
static void put_newest(struct ps_query *query, ps_time_ns eval_ns)
{
    const struct ps_d1_job *job = &query->job;
    query->staleness = (struct ps_kv_staleness){.lsn = job->at_lsn,
                                                .latest_lsn = job->at_lsn,
                                                .eval_ns = eval_ns,
                                                .run_ns = job->now_ns,
                                                .at_home = true,
                                                .wrote = job->wrote};
}

/* ---- at home ---- */

static void on_time(struct ps_alarm *alarm);

static void send_again_in(struct ps_query *query, uint64_t wait_ns)
{
    ps_node_alarm(query->node, &query->alarm, ps_mono_ns() + wait_ns);
}

static void send(struct ps_query *query)
{
    struct ps_node *node = query->node;
    if (ps_transport_request(node->transport, query->store->peer, query->id,
                             ps_buf_slice(&query->bytes)) != PS_OK) {
        send_again_in(query, PS_WRITE_BUSY_MS * PS_MS);
        return;
    }
    send_again_in(query, query->retry_ns + query->bytes.size * NS_PER_BYTE);
    if (query->retry_ns < RETRY_MS_MAX * PS_MS) {
        query->retry_ns *= 2;
    }
}

static void forget_request(struct ps_query *query)
{
    if (query->sent) {
        HASH_DEL(query->node->queries, query);
        query->sent = false;
    }
}

/* Home may work on it for long, and then it is heard of all the same. */
static void on_retry(struct ps_alarm *alarm)
{
    struct ps_query *query = of_alarm(alarm);
    uint64_t mono_ns = ps_mono_ns();
    if (!ps_follower_home_away(&query->store->follower, mono_ns)) {
        query->deadline_mono_ns = mono_ns + PS_WRITE_WALL_MS * PS_MS;
    }
    if (mono_ns < query->deadline_mono_ns && mono_ns < query->give_up_mono_ns) {
        query->store->metrics.forward_retries++;
        send(query);
        return;
    }
    forget_request(query);
    fail_as(query, PS_TIMEOUT);
}

static uint64_t deadline_of(const struct ps_query *query)
{
    const struct ps_node_store *store = query->store;
    uint64_t cluster_ns = ps_node_when(
        query->node, ps_time_add(ps_node_now(query->node), store->config->policy.timeout_ns));
    uint64_t wall_ns = ps_mono_ns() + PS_WRITE_WALL_MS * PS_MS;
    return cluster_ns > wall_ns ? cluster_ns : wall_ns;
}

static void forward(struct ps_query *query)
{
    struct ps_node *node = query->node;
    struct ps_node_store *store = query->store;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (store->dropped) {
        fail_as(query, PS_NOT_FOUND);
        return;
    }
    query->invoke_ns = ps_node_now(node);
    query->job.text.size = 0;
    query->job.failed = false;
    query->job.status = PS_OK;
    query->staleness = (struct ps_kv_staleness){0};
    if (!query->fresh &&
        ps_round_trip(&store->view, query->invoke_ns, &home_ns, &end_ns) != PS_OK) {
        query->job.status = PS_UNREACHABLE;
        on_time(&query->alarm);
        return;
    }
    struct ps_message message = {.kind = PS_MESSAGE_QUERY,
                                 .store = ps_slice_of(store->config->name),
                                 .query = {.token = query->job.token,
                                           .flags = query->flags,
                                           .need_lsn = query->need_lsn,
                                           .retries = query->job.retries,
                                           .body = query->body}};
    query->bytes.size = 0;
    ps_message_encode(&query->bytes, &message);
    query->id = node->next_request_id++;
    query->sent = true;
    HASH_ADD(hh, node->queries, id, sizeof query->id, query);
    query->alarm.ring = on_retry;
    query->retry_ns = PS_WRITE_RETRY_MS * PS_MS;
    query->deadline_mono_ns = deadline_of(query);
    query->give_up_mono_ns =
        ps_mono_ns() + (ps_d1_files_is(&query->job) ? TRANSFER_WALL_MS : QUERY_WALL_MS) * PS_MS;
    store->metrics.forwards++;
    send(query);
}

static void conclude(struct ps_query *query)
{
    const struct ps_d1_job *job = &query->job;
    if (job->status != PS_OK && !job->failed) {
        fail_as(query, job->status);
        return;
    }
    if (job->failed && try_again(query, job->status)) {
        return;
    }
    query->status = job->status;
    query->failed = job->failed;
    if (job->status != PS_OK) {
        query->staleness = (struct ps_kv_staleness){0}; /* it saw nothing, or nobody knows what */
    }
    if (!job->failed) {
        const struct ps_travel_state state = {job->at_lsn, job->commit_ns, job->restores};
        ps_travel_bookmark(query->store, &state, query->bookmark);
    }
    finish(query);
}

/* Home's answer is here, or will not come; the client has it when the emulated round trip is over,
 * if the link held for all of it. */
static void on_time(struct ps_alarm *alarm)
{
    struct ps_query *query = of_alarm(alarm);
    struct ps_node *node = query->node;
    ps_time_ns home_ns;
    ps_time_ns end_ns;
    if (!query->fresh) {
        enum ps_status way =
            ps_round_trip(&query->store->view, query->invoke_ns, &home_ns, &end_ns);
        if (way == PS_OK) {
            end_ns = ps_node_answer_at(node, query->invoke_ns, end_ns);
        }
        if (ps_node_now(node) < end_ns) {
            query->alarm.ring = on_time;
            ps_node_alarm(node, &query->alarm, ps_node_when(node, end_ns));
            return;
        }
        if (way != PS_OK) {
            fail_as(query, way);
            return;
        }
    }
    conclude(query);
}

static struct ps_query *find(struct ps_node *node, uint32_t request_id)
{
    struct ps_query *query = NULL;
    HASH_FIND(hh, node->queries, &request_id, sizeof request_id, query);
    return query; /* NULL: an answer to an earlier try, or one that came too late */
}

void ps_queries_answered(struct ps_node *node, uint32_t request_id,
                         const struct ps_message *message)
{
    struct ps_query *query = find(node, request_id);
    if (query == NULL) {
        return;
    }
    forget_request(query);
    ps_node_alarm_stop(node, &query->alarm);
    struct ps_d1_job *job = &query->job;
    job->status = message->answered.status;
    job->failed = message->answered.failed;
    job->wrote = message->answered.wrote;
    job->now_ns = message->answered.run_ns;
    job->at_lsn = message->answered.lsn;
    job->commit_ns = message->answered.commit_ns;
    job->restores = message->answered.restores;
    ps_buf_append_slice(&job->text, message->answered.body);
    put_newest(query, message->answered.eval_ns);
    on_time(&query->alarm);
}

bool ps_queries_answered_error(struct ps_node *node, uint32_t request_id,
                               const struct ps_message *message)
{
    struct ps_query *query = find(node, request_id);
    if (query == NULL) {
        return false;
    }
    /* The store is being opened there, or one that was made just now is not known there yet. */
    bool soon = message->error.status == PS_BUSY ||
                (message->error.status == PS_NOT_FOUND && query->store->own != NULL);
    if (soon) {
        send_again_in(query, PS_WRITE_BUSY_MS * PS_MS);
        return true;
    }
    forget_request(query);
    ps_node_alarm_stop(node, &query->alarm);
    fail_as(query, message->error.status);
    return true;
}

/* ---- here ---- */

static void run(struct ps_query *query, uint64_t lsn, bool classify,
                void (*done)(struct ps_d1_job *job))
{
    struct ps_d1_job *job = &query->job;
    if (query->store->dropped) {
        fail_as(query, PS_NOT_FOUND);
        return;
    }
    job->body = query->body;
    job->lsn = lsn;
    job->classify = classify;
    job->queued_mono_ns = 0;
    job->done = done;
    if (ps_d1_thread_submit(query->store->d1, job) != PS_OK) {
        fail_as(query, PS_BUSY);
    }
}

static void on_run_at_home(struct ps_d1_job *job)
{
    struct ps_query *query = of_job(job);
    if (job->status != PS_CANCELLED) { /* in the midst of others, and saw nothing */
        put_newest(query, ps_query_home_eval(query->store, job));
    }
    conclude(query);
}

/* Who writes is sent to home, as is who met a replica that is being replaced. */
static void on_run(struct ps_d1_job *job)
{
    struct ps_query *query = of_job(job);
    if (job->status == PS_BUSY) {
        conclude(query); /* home's database has its own queue */
        return;
    }
    if (job->to_primary || job->status != PS_OK) {
        forward(query);
        return;
    }
    struct ps_store_metrics *metrics = &query->store->metrics;
    metrics->reads++;
    metrics->reads_stale += query->staleness.behind > 0 ? 1 : 0;
    ps_metrics_stale(metrics, query->staleness.stale_ns);
    conclude(query);
}

static void list(struct ps_query *query)
{
    query->next_wait = query->store->query_waits;
    query->store->query_waits = query;
}

static void unlist(struct ps_query *query)
{
    struct ps_query **at = &query->store->query_waits;
    while (*at != query) {
        PS_ASSERT(*at != NULL);
        at = &(*at)->next_wait;
    }
    *at = query->next_wait;
    ps_node_alarm_stop(query->node, &query->alarm);
}

static void on_look(struct ps_alarm *alarm);

static void on_read(struct ps_read_call *read, enum ps_status status)
{
    struct ps_query *query = of_read(read);
    if (status != PS_OK) {
        forward(query);
        return;
    }
    ps_read_list_staleness(read, &query->staleness);
    if (query->staleness.lsn < query->need_lsn) {
        list(query);
        query->alarm.ring = on_look;
        ps_node_alarm(query->node, &query->alarm, ps_mono_ns());
        return;
    }
    query->staleness.run_ns = query->staleness.eval_ns;
    query->job.now_ns = query->staleness.eval_ns;
    run(query, query->staleness.lsn, false, on_run);
}

static void start_here(struct ps_query *query)
{
    struct ps_node_store *store = query->store;
    if (store->primary != NULL) {
        run(query, UINT64_MAX, false, on_run_at_home);
        return;
    }
    query->read_key = (struct ps_read_key){.key = PS_LIT("")};
    query->read = (struct ps_read_call){
        .store = store, .keys = &query->read_key, .key_count = 1, .done = on_read};
    ps_read_start(&query->read);
}

/* ---- a bookmark ---- */

static ps_time_ns visible_from(const struct ps_query *query)
{
    const struct ps_node_store *store = query->store;
    if (store->primary != NULL) {
        return query->need_lsn <= store->have_lsn ? 0 : PS_NEVER;
    }
    return store->installing ? PS_NEVER : ps_store_replica_visible(store->replica, query->need_lsn);
}

static void fail_in_vain(struct ps_query *query)
{
    struct ps_buf text = {0};
    ps_buf_printf(&text, "The bookmark was not reached in time: it is of LSN %" PRIu64 ", ",
                  query->need_lsn);
    if (query->need_lsn <= query->store->have_lsn) {
        ps_buf_printf(&text, "which the policy and the link do not show at %s yet.",
                      query->node->code);
    } else {
        ps_buf_printf(&text, "and at %s LSN %" PRIu64 " is the newest that has come.",
                      query->node->code, query->store->have_lsn);
    }
    fail(query, PS_TIMEOUT, ps_buf_text(&text));
    ps_buf_fini(&text);
}

static void on_classified(struct ps_d1_job *job);

/* The query is in the list: is its wait over? Home runs what writes, so only who reads must wait
 * for the replica; what a statement does is found out by the schema at the bookmark or later. */
static void look(struct ps_query *query)
{
    struct ps_node *node = query->node;
    struct ps_node_store *store = query->store;
    if (!query->classified && !store->installing && store->have_lsn >= query->need_lsn) {
        query->classified = true;
        unlist(query);
        run(query, UINT64_MAX, true, on_classified);
        return;
    }
    ps_time_ns from_ns = visible_from(query);
    uint64_t mono_ns = ps_mono_ns();
    ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns + 1);
    if (from_ns <= now_ns) {
        unlist(query);
        start_here(query);
    } else if (mono_ns >= query->deadline_mono_ns) {
        unlist(query);
        query->staleness =
            (struct ps_kv_staleness){.eval_ns = ps_eval_clock_next(&node->eval, now_ns)};
        fail_in_vain(query);
    } else {
        uint64_t when_ns = from_ns == PS_NEVER ? PS_NEVER : ps_node_when(node, from_ns);
        query->alarm.ring = on_look;
        ps_node_alarm(node, &query->alarm,
                      when_ns < query->deadline_mono_ns ? when_ns : query->deadline_mono_ns);
    }
}

static void on_look(struct ps_alarm *alarm)
{
    look(of_alarm(alarm));
}

void ps_queries_wake(struct ps_node_store *store)
{
    struct ps_query *query = store->query_waits;
    while (query != NULL) {
        struct ps_query *next = query->next_wait;
        look(query); /* takes no other one off the list */
        query = next;
    }
}

void ps_queries_end(struct ps_node_store *store)
{
    struct ps_node *node = store->node;
    if (store->d1 != NULL) {
        ps_d1_thread_hurry(store->d1);
    }
    while (store->query_waits != NULL) {
        struct ps_query *query = store->query_waits;
        unlist(query);
        fail_as(query, PS_NOT_FOUND);
    }
    struct ps_query *query;
    struct ps_query *next;
    HASH_ITER(hh, node->queries, query, next)
    {
        if (query->store == store) {
            forget_request(query);
            ps_node_alarm_stop(node, &query->alarm);
            fail_as(query, PS_NOT_FOUND);
        }
    }
}

static void wait_for_bookmark(struct ps_query *query)
{
    list(query);
    look(query);
}

static void on_classified(struct ps_d1_job *job)
{
    struct ps_query *query = of_job(job);
    bool writes = job->status == PS_OK && job->to_primary;
    job->to_primary = false;
    job->failed = false; /* why it cannot be run will be told when it is */
    job->status = PS_OK;
    job->text.size = 0;
    if (writes) {
        forward(query);
    } else {
        wait_for_bookmark(query);
    }
}

static void start_from_bookmark(struct ps_query *query)
{
    query->deadline_mono_ns = deadline_of(query);
    if (visible_from(query) <= ps_node_now(query->node)) {
        start_here(query);
        return;
    }
    query->classified = query->store->primary != NULL; /* home needs not know */
    wait_for_bookmark(query);
}

/* ---- start ---- */

static struct ps_slice trim(struct ps_slice text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

struct ps_query *ps_query_create(struct ps_node_store *store)
{
    struct ps_query *query = PS_NEW(struct ps_query);
    query->node = store->node;
    query->store = store;
    return query;
}

void ps_query_destroy(struct ps_query *query)
{
    if (query == NULL) {
        return;
    }
    forget_request(query); /* at the end of the process */
    ps_buf_fini(&query->bytes);
    ps_d1_job_fini(&query->job);
    free(query);
}

static void start_at_home(struct ps_query *query)
{
    if (query->store->primary != NULL) {
        start_here(query);
    } else {
        forward(query);
    }
}

void ps_query_start(struct ps_query *query)
{
    struct ps_slice session = trim(query->session);
    static const struct ps_token none;
    query->job.flags = query->flags;
    if (memcmp(&query->job.token, &none, sizeof none) == 0) {
        ps_node_unique(query->node, &query->job.token);
    }
    if (query->fresh || session.size == 0 || ps_slice_eq(session, PS_LIT("first-primary"))) {
        start_at_home(query);
        return;
    }
    if (ps_slice_eq(session, PS_LIT("first-unconstrained"))) {
        (query->store->unreplicated ? start_at_home : start_here)(query);
        return;
    }
    struct ps_bookmark bookmark;
    if (ps_bookmark_read(session, &bookmark) != PS_OK) {
        fail(query, PS_INVALID, "invalid bookmark or constraint");
    } else if (!ps_travel_is_of(query->store, &bookmark)) {
        fail(query, PS_INVALID, "invalid bookmark: it is not of this database");
    } else {
        query->need_lsn = bookmark.lsn;
        (query->store->unreplicated ? start_at_home : start_from_bookmark)(query);
    }
}
