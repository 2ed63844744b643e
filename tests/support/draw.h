/* Scenarios drawn from a seed, as text. */
#ifndef PS_TESTS_SUPPORT_DRAW_H
#define PS_TESTS_SUPPORT_DRAW_H

#include "replication/base/random.h"
#include "tests/support/runs.h"

/* PoPs of a drawn cluster: so many from the first on. */
static const char *const codes[] = {"ams", "fra", "iad", "sin", "syd", "gru", "nrt", "jnb"};

struct draw {
    struct ps_rng rng;
    struct ps_buf yaml;
    const char *session; /* D1: of all operations; NULL: each its own */
};

static inline uint64_t below(struct draw *draw, uint64_t bound)
{
    return ps_rng_below(&draw->rng, bound);
}

static inline const char *pick(struct draw *draw, const char *const *of, size_t count)
{
    return of[below(draw, count)];
}

#define PICK(draw, ...)                                                                            \
    pick((draw), (const char *const[]){__VA_ARGS__},                                               \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Crashes. */
static inline void draw_faults(struct draw *draw, size_t pops)
{
    ps_buf_append_text(&draw->yaml, "faults:\n");
    for (size_t i = 0; i < 2; i++) { /* crashes of one PoP must not overlap */
        ps_buf_printf(&draw->yaml, "  - {at: %" PRIu64 "s, for: %" PRIu64 "s, crash: {pop: %s}}\n",
                      5 + 25 * i + below(draw, 10), 1 + below(draw, 15), codes[below(draw, pops)]);
    }
}

/* Outages are refused at a store's home, so they are added where none of the stores lives. */
static inline void draw_cuts(struct draw *draw)
{
    struct ps_scenario *scenario = scenario_of(ps_buf_text(&draw->yaml));
    const struct ps_cluster *cluster = &scenario->cluster;
    for (uint16_t pop = 0; pop < cluster->pop_count; pop++) {
        if (pop != cluster->stores[0].home && pop != cluster->stores[1].home) {
            ps_buf_printf(&draw->yaml,
                          "  - {at: %" PRIu64 "s, for: %" PRIu64 "s, partition: {pop: %s}}\n",
                          below(draw, 40), 1 + below(draw, 20), cluster->pops[pop]->code);
        }
    }
    ps_scenario_destroy(scenario);
}

#endif
