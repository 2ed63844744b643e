#include "node/io/worker.h"

#include "replication/base/memory.h"

#include <ev.h>

#include <pthread.h>
#include <string.h>

struct ps_worker {
    struct ev_loop *loop;
    ev_async wake;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct ps_queue todo; /* guarded by mutex, as are the next two */
    struct ps_queue finished;
    bool stop;
    size_t submitted; /* the loop's own */
    size_t done;
};

static void *work(void *argument)
{
    struct ps_worker *worker = argument;
    (void)pthread_mutex_lock(&worker->mutex);
    for (;;) {
        struct ps_job *job = ps_queue_pop(&worker->todo);
        if (job != NULL) {
            (void)pthread_mutex_unlock(&worker->mutex);
            job->run(job);
            (void)pthread_mutex_lock(&worker->mutex);
            ps_queue_push(&worker->finished, &job->queued);
            ev_async_send(worker->loop, &worker->wake);
        } else if (worker->stop) {
            break;
        } else {
            (void)pthread_cond_wait(&worker->changed, &worker->mutex);
        }
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

static void deliver(struct ps_worker *worker)
{
    for (;;) {
        (void)pthread_mutex_lock(&worker->mutex);
        struct ps_job *job = ps_queue_pop(&worker->finished);
        (void)pthread_mutex_unlock(&worker->mutex);
        if (job == NULL) {
            return;
        }
        worker->done++;
        job->done(job);
    }
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    deliver(watcher->data);
}

enum ps_status ps_worker_create(struct ev_loop *loop, struct ps_worker **ret, struct ps_error *err)
{
    struct ps_worker *worker = PS_NEW(struct ps_worker);
    worker->loop = loop;
    ps_queue_clear(&worker->todo);
    ps_queue_clear(&worker->finished);
    (void)pthread_mutex_init(&worker->mutex, NULL);
    (void)pthread_cond_init(&worker->changed, NULL);
    ev_async_init(&worker->wake, on_wake);
    worker->wake.data = worker;
    ev_async_start(loop, &worker->wake);
    int failed = ps_thread_start(&worker->thread, work, worker);
    if (failed != 0) {
        ev_async_stop(loop, &worker->wake);
        (void)pthread_cond_destroy(&worker->changed);
        (void)pthread_mutex_destroy(&worker->mutex);
        free(worker);
        return ps_fail(err, PS_IO, "start a thread: %s", strerror(failed));
    }
    *ret = worker;
    return PS_OK;
}

void ps_worker_destroy(struct ps_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&worker->mutex);
    worker->stop = true;
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->mutex);
    (void)pthread_join(worker->thread, NULL);
    deliver(worker);
    ev_async_stop(worker->loop, &worker->wake);
    (void)pthread_cond_destroy(&worker->changed);
    (void)pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

void ps_worker_submit(struct ps_worker *worker, struct ps_job *job)
{
    (void)pthread_mutex_lock(&worker->mutex);
    ps_queue_push(&worker->todo, &job->queued);
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->mutex);
    worker->submitted++;
}

bool ps_worker_busy(const struct ps_worker *worker)
{
    return worker->submitted != worker->done;
}
