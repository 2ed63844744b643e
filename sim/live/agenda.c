#include "sim/live/agenda.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

void ps_live_agenda_fini(struct ps_live_agenda *agenda)
{
    free(agenda->dues);
    *agenda = (struct ps_live_agenda){0};
}

static bool before(const struct ps_live_due *a, const struct ps_live_due *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

void ps_live_agenda_push(struct ps_live_agenda *agenda, ps_time_ns at_ns, uint32_t number)
{
    agenda->dues = ps_grow(agenda->dues, agenda->count, &agenda->capacity, sizeof *agenda->dues);
    struct ps_live_due due = {at_ns, number};
    size_t at = agenda->count++;
    while (at > 0 && before(&due, &agenda->dues[(at - 1) / 2])) {
        agenda->dues[at] = agenda->dues[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    agenda->dues[at] = due;
}

ps_time_ns ps_live_agenda_next(const struct ps_live_agenda *agenda)
{
    return agenda->count == 0 ? PS_NEVER : agenda->dues[0].at_ns;
}

uint32_t ps_live_agenda_pop(struct ps_live_agenda *agenda)
{
    PS_ASSERT(agenda->count > 0);
    uint32_t number = agenda->dues[0].number;
    struct ps_live_due last = agenda->dues[--agenda->count];
    size_t at = 0;
    for (size_t child = 1; child < agenda->count; child = 2 * at + 1) {
        if (child + 1 < agenda->count && before(&agenda->dues[child + 1], &agenda->dues[child])) {
            child++;
        }
        if (!before(&agenda->dues[child], &last)) {
            break;
        }
        agenda->dues[at] = agenda->dues[child];
        at = child;
    }
    agenda->dues[at] = last;
    return number;
}
