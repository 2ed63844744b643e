/* What is due when: numbers (of sessions) by time, then by number. Pure. */
#ifndef PS_SIM_LIVE_AGENDA_H
#define PS_SIM_LIVE_AGENDA_H

#include "replication/base/time.h"

#include <stddef.h>

struct ps_live_due {
    ps_time_ns at_ns;
    uint32_t number;
};

/** Zeroed = empty. */
struct ps_live_agenda {
    struct ps_live_due *dues; /* owned; a binary heap */
    size_t count;
    size_t capacity;
};

void ps_live_agenda_fini(struct ps_live_agenda *agenda);
void ps_live_agenda_push(struct ps_live_agenda *agenda, ps_time_ns at_ns, uint32_t number);
/** When the first is due; PS_NEVER if there is none. */
ps_time_ns ps_live_agenda_next(const struct ps_live_agenda *agenda);
/** Take the first; count > 0. */
uint32_t ps_live_agenda_pop(struct ps_live_agenda *agenda);

#endif
