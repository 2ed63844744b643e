#include "sim/world/queue.h"

#include "replication/base/memory.h"

/* Four children a node: half the levels of a binary heap, and children share a cache line or two.
 */
enum { CHILDREN = 4, CLASS_SHIFT = 60 };

void ps_queue_fini(struct ps_queue *queue)
{
    free(queue->events);
    *queue = (struct ps_queue){0};
}

enum ps_event_class ps_event_class(const struct ps_event *event)
{
    return (enum ps_event_class)(event->order >> CLASS_SHIFT);
}

static bool before(const struct ps_event *a, const struct ps_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void ps_queue_push(struct ps_queue *queue, ps_time_ns at_ns, enum ps_event_class kind,
                   void *subject)
{
    ps_queue_push_as(queue, at_ns, kind, queue->turns++, subject);
}

void ps_queue_push_as(struct ps_queue *queue, ps_time_ns at_ns, enum ps_event_class kind,
                      uint64_t place, void *subject)
{
    queue->events = ps_grow(queue->events, queue->count, &queue->capacity, sizeof *queue->events);
    struct ps_event event = {
        .at_ns = at_ns, .order = (uint64_t)kind << CLASS_SHIFT | place, .subject = subject};
    size_t at = queue->count++;
    while (at > 0) {
        size_t parent = (at - 1) / CHILDREN;
        if (!before(&event, &queue->events[parent])) {
            break;
        }
        queue->events[at] = queue->events[parent];
        at = parent;
    }
    queue->events[at] = event;
}

bool ps_queue_pop(struct ps_queue *queue, struct ps_event *ret)
{
    if (queue->count == 0) {
        return false;
    }
    *ret = queue->events[0];
    struct ps_event last = queue->events[--queue->count];
    size_t at = 0;
    for (;;) {
        size_t first = at * CHILDREN + 1;
        size_t end = first + CHILDREN < queue->count ? first + CHILDREN : queue->count;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++) {
            if (before(&queue->events[child], &queue->events[least])) {
                least = child;
            }
        }
        if (first >= queue->count || !before(&queue->events[least], &last)) {
            break;
        }
        queue->events[at] = queue->events[least];
        at = least;
    }
    queue->events[at] = last;
    return true;
}
