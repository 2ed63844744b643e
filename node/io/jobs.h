/* What threads that are handed jobs share: the queue between them and the loop, and how they are
 * started. What guards a queue is its owner's. */
#ifndef PS_NODE_IO_JOBS_H
#define PS_NODE_IO_JOBS_H

#include <pthread.h>
#include <stddef.h>

/** The first member of what is queued, which belongs to its queue as long as it is in it. */
struct ps_queued {
    struct ps_queued *next;
};

/** First come, first served. */
struct ps_queue {
    struct ps_queued *head;
    struct ps_queued **tail;
};

static inline void ps_queue_clear(struct ps_queue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
}

static inline void ps_queue_push(struct ps_queue *queue, struct ps_queued *item)
{
    item->next = NULL;
    *queue->tail = item;
    queue->tail = &item->next;
}

/** The one that came first, whose first member it is; NULL: none is there. */
static inline void *ps_queue_pop(struct ps_queue *queue)
{
    struct ps_queued *item = queue->head;
    if (item != NULL) {
        queue->head = item->next;
        if (queue->head == NULL) {
            queue->tail = &queue->head;
        }
    }
    return item;
}

/** Start a thread that takes no signals: they are the loop's. 0, or an error number. */
int ps_thread_start(pthread_t *ret, void *(*run)(void *argument), void *argument);

#endif
