/* How much a bucket holds: its objects are counted a step at a time, and again once it has changed.
 * The larger it is the more seldom. */
#include "node/io/r2/objects.h"
#include "replication/base/memory.h"

enum {
    STEP_KEYS = 512, /* that one step looks at */
    STEP_MS = 5,     /* between two steps */
    AGAIN_MS = 500,  /* after a round, for each step that it took */
    AGAIN_MS_MAX = 60000
};

struct ps_census {
    struct ps_alarm alarm; /* first member */
    struct ps_node_store *store;
    struct ps_object_counts counts; /* of the last whole round */
    struct ps_object_counts round;
    struct ps_buf after; /* keys up to this were looked at */
    uint64_t counted_lsn;
    uint64_t steps; /* of the round; 0 = none is under way */
    size_t budget;
};

static void wait(struct ps_census *census, uint64_t wait_ms)
{
    ps_node_alarm(census->store->node, &census->alarm, ps_mono_ns() + wait_ms * PS_MS);
}

static bool count(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct ps_census *census = context;
    if (key.size > 0 && (unsigned char)key.data[0] == PS_R2_INTERNAL) {
        return false; /* behind all objects */
    }
    struct ps_r2_object object;
    if (!version->deleted && ps_r2_head_decode(key, version->metadata, &object) == PS_OK) {
        census->round.objects++;
        census->round.bytes += object.size;
        ps_r2_object_fini(&object);
    }
    census->after.size = 0;
    ps_buf_append_slice(&census->after, key);
    return --census->budget > 0;
}

static void end(struct ps_census *census)
{
    uint64_t again_ms = census->steps * AGAIN_MS;
    census->counts = census->round;
    census->steps = 0;
    wait(census, again_ms < AGAIN_MS_MAX ? again_ms : AGAIN_MS_MAX);
}

static void on_step(struct ps_alarm *alarm)
{
    struct ps_census *census = (struct ps_census *)(void *)alarm;
    const struct ps_node_store *store = census->store;
    struct ps_map *map = store->node->map;
    if (store->dropped) {
        return;
    }
    if (census->steps == 0) {
        if (census->counted_lsn == store->have_lsn) {
            wait(census, AGAIN_MS);
            return;
        }
        census->counted_lsn = store->have_lsn;
        census->round = (struct ps_object_counts){.objects = 0};
        census->after.size = 0;
    }
    census->steps++;
    census->budget = STEP_KEYS;
    if (ps_map_read_begin(map) != PS_OK) {
        wait(census, AGAIN_MS);
        return;
    }
    const struct ps_bound now = {.lsn_max = UINT64_MAX, .commit_max = PS_NEVER};
    enum ps_status status = ps_map_list(map, store->map_store, (struct ps_slice){"", 0},
                                        ps_buf_slice(&census->after), &now, count, census);
    ps_map_read_end(map);
    if (status == PS_OK && census->budget == 0) {
        wait(census, STEP_MS);
    } else {
        end(census);
    }
}

struct ps_census *ps_census_create(struct ps_node_store *store)
{
    struct ps_census *census = PS_NEW(struct ps_census);
    census->store = store;
    census->alarm.ring = on_step;
    wait(census, 0);
    return census;
}

void ps_census_destroy(struct ps_census *census)
{
    if (census != NULL) {
        ps_node_alarm_stop(census->store->node, &census->alarm);
        ps_buf_fini(&census->after);
        free(census);
    }
}

struct ps_object_counts ps_census_counts(const struct ps_census *census)
{
    return census->counts;
}
