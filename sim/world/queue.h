/* The virtual world's event queue: a heap by (instant, class, place or order of scheduling). The
 * order is total, so a run never depends on anything else. */
#ifndef PS_SIM_WORLD_QUEUE_H
#define PS_SIM_WORLD_QUEUE_H

#include "replication/base/time.h"

#include <stdbool.h>
#include <stddef.h>

/** What happens first at one instant stands first. */
enum ps_event_class {
    PS_EVENT_BOOT,    /* a PoP is up again */
    PS_EVENT_COMMIT,  /* a write arrives at home */
    PS_EVENT_QUERY,   /* a D1 request goes on */
    PS_EVENT_RESOLVE, /* a read's instant of home's state has come */
    PS_EVENT_ANSWER,  /* a write's answer arrives at its PoP */
    PS_EVENT_INVOKE   /* a session's next operation */
};

struct ps_event {
    ps_time_ns at_ns;
    uint64_t order; /* class and turn, or place */
    void *subject;
};

/** Zeroed = empty. */
struct ps_queue {
    struct ps_event *events; /* owned */
    size_t count;
    size_t capacity;
    uint64_t turns;
};

void ps_queue_fini(struct ps_queue *queue); /* subjects are their owners' */
void ps_queue_push(struct ps_queue *queue, ps_time_ns at_ns, enum ps_event_class kind,
                   void *subject);
/** The same with a place among the events of its instant and class instead of the order of
 * scheduling: sessions are invoked in the order of the file. */
void ps_queue_push_as(struct ps_queue *queue, ps_time_ns at_ns, enum ps_event_class kind,
                      uint64_t place, void *subject);
/** Take the first event; false if there is none. */
bool ps_queue_pop(struct ps_queue *queue, struct ps_event *ret);
enum ps_event_class ps_event_class(const struct ps_event *event);

#endif
