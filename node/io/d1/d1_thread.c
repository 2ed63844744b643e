#include "node/io/d1/d1_thread.h"

#include "node/d1/database.h"
#include "node/io/d1/d1_files.h"
#include "node/io/d1/travel.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum commit_state { COMMIT_NONE, COMMIT_ASKED, COMMIT_UNDER_WAY, COMMIT_ENDED };

struct ps_d1_thread {
    struct ps_node_store *store;
    ev_async wake;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct ps_queue todo; /* guarded by mutex, as all down to `writer` */
    struct ps_queue finished;
    bool stop;
    struct ps_d1_job *running;
    enum commit_state commit_state;
    struct ps_record *record; /* of the commit: its thread waits until it has ended */
    enum ps_status commit_status;
    struct ps_writer writer;    /* the loop's */
    size_t queued;              /* the loop's: submitted and not done */
    struct ps_page_record wire; /* of the commit; the thread's, but for while the loop has it */
    atomic_bool hurry;
    atomic_bool cancel; /* the one that runs */
    /* the thread's own */
    struct ps_d1_database *database;
    struct ps_d1_job *job;
    bool cancelled; /* it was cut short by that */
    uint64_t deadline_mono_ns;
    char region[8];
    char colo[8];
};

void ps_d1_job_fini(struct ps_d1_job *job)
{
    ps_buf_fini(&job->text);
}

/* ---- on the database's thread ---- */

struct former {
    struct ps_map *map;
    ps_map_store store;
    uint64_t lsn;
};

static enum ps_status read_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct former *former = context;
    return ps_pages_read(former->map, former->store, page, former->lsn, ret);
}

/* Other nodes are sent what differs; here is the place to find that out, where nobody waits. */
static enum ps_status encode(struct ps_d1_thread *thread, const struct ps_record *record)
{
    const struct ps_node_store *store = thread->store;
    struct former former = {store->node->map, store->map_store, record->lsn - 1};
    enum ps_status status = ps_map_read_begin(former.map);
    if (status == PS_OK) {
        status = ps_page_record_encode(record, read_former, &former, &thread->wire);
        ps_map_read_end(former.map);
    }
    return status;
}

static enum ps_status commit(void *context, struct ps_record *record)
{
    struct ps_d1_thread *thread = context;
    record->token = thread->job->token;
    enum ps_status status = encode(thread, record);
    if (status != PS_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&thread->mutex);
    thread->record = record;
    thread->commit_state = COMMIT_ASKED;
    thread->commit_status = PS_IO;
    ev_async_send(thread->store->node->loop, &thread->wake);
    while (thread->commit_state != COMMIT_ENDED && !thread->stop) {
        (void)pthread_cond_wait(&thread->changed, &thread->mutex);
    }
    thread->commit_state = COMMIT_NONE;
    thread->record = NULL;
    status = thread->commit_status;
    thread->job->wrote = status == PS_OK;
    (void)pthread_mutex_unlock(&thread->mutex);
    ps_page_record_fini(&thread->wire); /* it may be large */
    return status;
}

static bool expired(void *context)
{
    struct ps_d1_thread *thread = context;
    thread->cancelled = atomic_load(&thread->cancel);
    return thread->cancelled || atomic_load(&thread->hurry) ||
           ps_mono_ns() >= thread->deadline_mono_ns;
}

static uint64_t now_ns(void *context)
{
    (void)context;
    return ps_mono_ns();
}

static enum ps_status open_database(struct ps_d1_thread *thread, struct ps_error *err)
{
    const struct ps_node_store *store = thread->store;
    if (thread->database != NULL) {
        return PS_OK;
    }
    struct ps_pages_config config = {.map = store->node->map,
                                     .store = store->map_store,
                                     .commit = store->primary == NULL ? NULL : commit,
                                     .context = thread};
    return ps_d1_database_open(&config, &thread->database, err);
}

/* A retry whose first try was committed before home went down is not run again. */
bool ps_d1_thread_made(const struct ps_node_store *store, const struct ps_token *token,
                       uint64_t *ret_lsn, ps_time_ns *ret_commit_ns)
{
    if (store->primary == NULL || ps_map_read_begin(store->node->map) != PS_OK) {
        return false;
    }
    bool made =
        ps_map_token(store->node->map, store->map_store, token, ret_lsn, ret_commit_ns) == PS_OK;
    ps_map_read_end(store->node->map);
    return made;
}

static struct ps_d1_served served_by(const struct ps_d1_thread *thread)
{
    return (struct ps_d1_served){.by = "popsim",
                                 .region = thread->region,
                                 .colo = thread->colo,
                                 .primary = thread->store->primary != NULL,
                                 .attempts = thread->job->retries + 1};
}

/* A transfer's text is there already. */
static void take_answer(struct ps_d1_thread *thread, struct ps_d1_job *job,
                        struct ps_d1_answer *answer, bool array)
{
    const struct ps_node_store *store = thread->store;
    job->to_primary = answer->outcome == PS_D1_TO_PRIMARY;
    job->failed = answer->outcome == PS_D1_FAILED;
    job->status = answer->status;
    job->at_lsn = answer->lsn;
    const struct ps_bound bound = {.lsn_max = answer->lsn, .commit_max = PS_NEVER};
    struct ps_travel_state state;
    if (ps_travel_find(store, &bound, &state) == PS_OK) {
        job->commit_ns = state.commit_ns;
        job->restores = state.restores;
    }
    if (job->failed) {
        ps_buf_append_slice(&job->text, ps_buf_slice(&answer->error));
    } else if (!job->to_primary && !ps_d1_files_is(job)) {
        const struct ps_d1_served served = served_by(thread);
        ps_d1_answer_write(&job->text, answer, array, &served);
    }
}

/* All of the token counts: those of one client may begin alike. */
static uint64_t seed_of(const struct ps_token *token)
{
    return ps_slice_hash((struct ps_slice){(const char *)token->bytes, PS_TOKEN_SIZE});
}

static struct ps_d1_call call_of(struct ps_d1_thread *thread, struct ps_d1_job *job)
{
    const struct ps_node *node = thread->store->node;
    if (job->now_ns == 0) {
        job->now_ns = ps_node_now(node);
    }
    return (struct ps_d1_call){.view = {.lsn = job->lsn,
                                        .unix_ms = node->state.cluster.epoch_unix_s * 1000 +
                                                   (int64_t)(job->now_ns / (ps_time_ns)PS_MS)},
                               .seed = seed_of(&job->token),
                               .expired = expired,
                               .now_ns = now_ns,
                               .context = thread};
}

static void run_transfer(struct ps_d1_thread *thread, struct ps_d1_job *job)
{
    const struct ps_d1_call call = call_of(thread, job);
    const struct ps_d1_served served = served_by(thread);
    struct ps_d1_answer answer;
    thread->deadline_mono_ns = ps_mono_ns() + PS_D1_FILES_S * PS_SECOND;
    ps_d1_files_run(thread->store->node, thread->database, job, &call, &served, &job->text,
                    &answer);
    take_answer(thread, job, &answer, false);
    ps_d1_answer_fini(&answer);
}

static void run_request(struct ps_d1_thread *thread, struct ps_d1_job *job,
                        struct ps_d1_request *request)
{
    const struct ps_d1_call call = call_of(thread, job);
    if (job->classify) {
        ps_pages_set_view(ps_d1_database_pages(thread->database), &call.view);
        job->to_primary = ps_d1_database_writes(thread->database, request);
        return;
    }
    bool array = request->array || (job->flags & PS_QUERY_ARRAY) != 0;
    request->format =
        (job->flags & PS_QUERY_ROWS) != 0 ? PS_D1_ROWS_AND_COLUMNS : PS_D1_ARRAY_OF_OBJECTS;
    request->each = (job->flags & PS_QUERY_EACH) != 0;
    struct ps_d1_answer answer;
    ps_d1_database_run(thread->database, request, &call, &answer);
    take_answer(thread, job, &answer, array);
    ps_d1_answer_fini(&answer);
}

static void run_on_open(struct ps_d1_thread *thread, struct ps_d1_job *job)
{
    struct ps_error err = {0};
    struct ps_d1_request request;
    bool made = ps_d1_thread_made(thread->store, &job->token, &job->at_lsn, &job->commit_ns);
    if (ps_travel_is(job)) {
        ps_travel_run(thread->store, ps_d1_database_pages(thread->database), job, made);
    } else if (made) {
        job->status = PS_EXISTS;
    } else if (ps_d1_files_is(job)) {
        run_transfer(thread, job);
    } else if (ps_d1_request_read(job->body, &request, &err) != PS_OK) {
        job->failed = true;
        ps_buf_append_text(&job->text, err.text);
    } else {
        run_request(thread, job, &request);
        ps_d1_request_fini(&request);
    }
}

static void refuse(struct ps_d1_job *job, enum ps_status status, const char *text)
{
    job->status = status;
    job->failed = true;
    ps_buf_append_text(&job->text, text);
}

static void cancel(struct ps_d1_job *job)
{
    job->text.size = 0;
    refuse(job, PS_CANCELLED,
           "Internal error in D1 DB storage caused object to be reset. (popsim: the database was "
           "restored meanwhile)");
}

static void run(struct ps_d1_thread *thread, struct ps_d1_job *job)
{
    struct ps_error err = {0};
    uint64_t mono_ns = ps_mono_ns();
    if (mono_ns - job->queued_mono_ns > PS_D1_QUEUED_S * PS_SECOND) {
        refuse(job, PS_BUSY, "D1 DB is overloaded. Requests queued for too long.");
        return;
    }
    thread->job = job;
    thread->deadline_mono_ns = mono_ns + PS_D1_DURATION_S * PS_SECOND;
    job->status = open_database(thread, &err);
    thread->cancelled = false;
    if (job->status == PS_OK) {
        run_on_open(thread, job);
        if (thread->cancelled && job->failed) {
            cancel(job);
        }
    } else {
        refuse(job, job->status, err.text);
    }
    thread->job = NULL;
}

static void *work(void *argument)
{
    struct ps_d1_thread *thread = argument;
    (void)pthread_mutex_lock(&thread->mutex);
    while (!thread->stop) {
        struct ps_d1_job *job = ps_queue_pop(&thread->todo);
        if (job == NULL) {
            (void)pthread_cond_wait(&thread->changed, &thread->mutex);
            continue;
        }
        thread->running = job;
        atomic_store(&thread->cancel, false);
        (void)pthread_mutex_unlock(&thread->mutex);
        run(thread, job);
        (void)pthread_mutex_lock(&thread->mutex);
        thread->running = NULL;
        ps_queue_push(&thread->finished, &job->queued);
        ev_async_send(thread->store->node->loop, &thread->wake);
    }
    (void)pthread_mutex_unlock(&thread->mutex);
    ps_d1_database_close(thread->database);
    return NULL;
}

/* ---- on the loop ---- */

static void on_committed(struct ps_writer *writer)
{
    struct ps_d1_thread *thread =
        (struct ps_d1_thread *)(void *)((char *)writer - offsetof(struct ps_d1_thread, writer));
    (void)pthread_mutex_lock(&thread->mutex);
    PS_ASSERT(thread->commit_state == COMMIT_UNDER_WAY);
    thread->commit_state = COMMIT_ENDED;
    thread->commit_status = writer->result.status;
    (void)pthread_cond_broadcast(&thread->changed);
    (void)pthread_mutex_unlock(&thread->mutex);
}

static void begin_commit(struct ps_d1_thread *thread)
{
    (void)pthread_mutex_lock(&thread->mutex);
    bool asked = thread->commit_state == COMMIT_ASKED;
    if (asked) {
        thread->commit_state = COMMIT_UNDER_WAY;
    }
    const struct ps_record *record = thread->record;
    (void)pthread_mutex_unlock(&thread->mutex);
    if (asked) {
        thread->writer = (struct ps_writer){.done = on_committed};
        ps_primary_append(thread->store->primary, record, &thread->writer);
    }
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_d1_thread *thread = watcher->data;
    begin_commit(thread);
    for (;;) {
        (void)pthread_mutex_lock(&thread->mutex);
        struct ps_d1_job *job = ps_queue_pop(&thread->finished);
        (void)pthread_mutex_unlock(&thread->mutex);
        if (job == NULL) {
            return;
        }
        thread->queued--;
        job->done(job);
    }
}

static void upper(char ret[8], const char *text)
{
    size_t i = 0;
    for (; i < 7 && text[i] != '\0'; i++) {
        ret[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
    }
    ret[i] = '\0';
}

enum ps_status ps_d1_thread_create(struct ps_node_store *store, struct ps_d1_thread **ret,
                                   struct ps_error *err)
{
    struct ps_d1_thread *thread = PS_NEW(struct ps_d1_thread);
    struct ps_node *node = store->node;
    thread->store = store;
    upper(thread->region, node->state.cluster.pops[node->pop]->region);
    upper(thread->colo, node->code);
    ps_queue_clear(&thread->todo);
    ps_queue_clear(&thread->finished);
    (void)pthread_mutex_init(&thread->mutex, NULL);
    (void)pthread_cond_init(&thread->changed, NULL);
    ev_async_init(&thread->wake, on_wake);
    thread->wake.data = thread;
    ev_async_start(node->loop, &thread->wake);
    int failed = ps_thread_start(&thread->thread, work, thread);
    if (failed != 0) {
        ev_async_stop(node->loop, &thread->wake);
        (void)pthread_cond_destroy(&thread->changed);
        (void)pthread_mutex_destroy(&thread->mutex);
        free(thread);
        return ps_fail(err, PS_IO, "start the thread of database %s: %s", store->config->name,
                       strerror(failed));
    }
    *ret = thread;
    return PS_OK;
}

void ps_d1_thread_destroy(struct ps_d1_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    atomic_store(&thread->hurry, true);
    (void)pthread_mutex_lock(&thread->mutex);
    thread->stop = true;
    (void)pthread_cond_broadcast(&thread->changed);
    (void)pthread_mutex_unlock(&thread->mutex);
    (void)pthread_join(thread->thread, NULL);
    ev_async_stop(thread->store->node->loop, &thread->wake);
    ps_page_record_fini(&thread->wire);
    (void)pthread_cond_destroy(&thread->changed);
    (void)pthread_mutex_destroy(&thread->mutex);
    free(thread);
}

/* Time Travel's own requests are none of the database. */
static void cancel_all(struct ps_d1_thread *thread)
{
    struct ps_queue stay;
    struct ps_d1_job *job;
    ps_queue_clear(&stay);
    while ((job = ps_queue_pop(&thread->todo)) != NULL) {
        bool stays = ps_travel_is(job);
        if (!stays) {
            cancel(job);
        }
        ps_queue_push(stays ? &stay : &thread->finished, &job->queued);
    }
    while ((job = ps_queue_pop(&stay)) != NULL) {
        ps_queue_push(&thread->todo, &job->queued);
    }
    if (thread->running != NULL && !ps_travel_is(thread->running)) {
        atomic_store(&thread->cancel, true);
    }
    ev_async_send(thread->store->node->loop, &thread->wake);
}

enum ps_status ps_d1_thread_submit(struct ps_d1_thread *thread, struct ps_d1_job *job)
{
    if (thread->queued >= PS_D1_QUEUE_MAX) {
        return PS_BUSY;
    }
    thread->queued++;
    if (job->queued_mono_ns == 0) {
        job->queued_mono_ns = ps_mono_ns();
    }
    bool restores = ps_travel_restores(thread->store, job);
    (void)pthread_mutex_lock(&thread->mutex);
    if (restores) {
        cancel_all(thread);
    }
    ps_queue_push(&thread->todo, &job->queued);
    (void)pthread_cond_broadcast(&thread->changed);
    (void)pthread_mutex_unlock(&thread->mutex);
    return PS_OK;
}

size_t ps_d1_thread_queued(const struct ps_d1_thread *thread)
{
    return thread->queued;
}

void ps_d1_thread_hurry(struct ps_d1_thread *thread)
{
    atomic_store(&thread->hurry, true);
}

struct ps_record ps_d1_thread_wire(const struct ps_d1_thread *thread,
                                   const struct ps_record *record)
{
    struct ps_record wire = thread->wire.record;
    PS_ASSERT(wire.lsn == record->lsn);
    wire.commit_ns = record->commit_ns;
    wire.token = record->token;
    return wire;
}
