#include "sim/world/cursor.h"

#include <stdlib.h>

struct walk {
    struct cursor *cursor;
    struct cursor_store *stores;
    uint16_t pop;
    struct ps_eval_clock clock;
    size_t downs; /* downs that have begun */
};

static const struct world_pop *pop_of(const struct walk *walk)
{
    return &walk->cursor->world->pops[walk->pop];
}

/* The caches are lost at the instant of a crash. */
static void crash_until(struct walk *walk, ps_time_ns t)
{
    const struct world_pop *pop = pop_of(walk);
    for (; walk->downs < pop->down_count && pop->downs[walk->downs].from_ns <= t; walk->downs++) {
        for (size_t s = 0; s < walk->cursor->world->cluster->store_count; s++) {
            ps_cursor_store_drop(&walk->stores[s], walk->cursor, pop->downs[walk->downs].from_ns);
        }
    }
}

static void read_one(struct walk *walk, const struct cursor_op *op)
{
    const struct world_pop *pop = pop_of(walk);
    crash_until(walk, op->at_ns);
    struct cursor_store *store = &walk->stores[walk->cursor->actions[op->action]->store];
    if (ps_world_up_at(pop, op->at_ns) != op->at_ns) {
        store->measures->errors++;
        return;
    }
    ps_time_ns crash_ns =
        walk->downs < pop->down_count ? pop->downs[walk->downs].from_ns : PS_NEVER;
    ps_time_ns eval_ns = ps_eval_clock_next(&walk->clock, op->at_ns);
    ps_cursor_store_read(store, walk->cursor, walk->pop, op, eval_ns, crash_ns);
}

static void take_answer(struct walk *walk, const struct cursor_answer *answer)
{
    crash_until(walk, ps_time_sub(answer->at_ns, 1)); /* one that comes at the crash came before */
    ps_time_ns refresh_ns = ps_eval_clock_next(&walk->clock, answer->at_ns);
    ps_cursor_store_answer(&walk->stores[answer->store], walk->cursor, answer, refresh_ns);
}

void ps_cursor_pop(struct cursor *cursor, struct cursor_store *stores, uint16_t pop)
{
    struct walk walk = {.cursor = cursor, .stores = stores, .pop = pop};
    size_t store_count = cursor->world->cluster->store_count;
    for (size_t s = 0; s < store_count; s++) {
        ps_cursor_store_begin(&stores[s], cursor, pop);
    }
    struct cursor_list *reads = &cursor->reads[pop];
    const struct cursor_answers *answers = &cursor->answers[pop];
    ps_cursor_list_merge(reads);
    size_t next = 0;
    for (size_t i = 0; i < reads->count; i++) {
        for (; next < answers->count && answers->answers[next].at_ns <= reads->ops[i].at_ns;
             next++) {
            take_answer(&walk, &answers->answers[next]);
        }
        read_one(&walk, &reads->ops[i]);
    }
    for (; next < answers->count; next++) {
        take_answer(&walk, &answers->answers[next]);
    }
    crash_until(&walk, PS_NEVER - 1);
    for (size_t s = 0; s < store_count; s++) {
        ps_cursor_store_end(&stores[s], cursor);
    }
    free(reads->ops);
    free(reads->runs);
    *reads = (struct cursor_list){0};
}
