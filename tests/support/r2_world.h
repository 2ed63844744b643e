/* A bucket's home without a process: map, primary and mutations, driven by hand. */
#ifndef PS_TESTS_SUPPORT_R2_WORLD_H
#define PS_TESTS_SUPPORT_R2_WORLD_H

#include "node/kv/primary.h"
#include "node/r2/home.h"
#include "replication/base/memory.h"

#include <string.h>

enum { R2_EPOCH_S = 1767225600, R2_BATCH_MAX = 256 };

struct r2_world {
    struct ps_cluster cluster;
    struct ps_kv_limits limits;
    struct ps_map *map;
    ps_map_store store;
    struct ps_primary *primary;
    struct ps_r2_home *home;
    ps_dur_ns interval_ns;
    ps_time_ns now_ns;
    struct ps_r2_home_sink sink;
    /* the batch under way */
    const struct ps_record *records;
    size_t record_count;
    /* results of ps_primary_done, until home is told */
    struct ps_r2_commit *commits[R2_BATCH_MAX];
    struct ps_written written[R2_BATCH_MAX];
    size_t written_count;
};

static inline void r2_world_commit(void *context, struct ps_r2_commit *commit)
{
    struct r2_world *world = (struct r2_world *)context;
    ps_primary_append(world->primary, &commit->record, commit);
}

static inline void r2_world_start(struct r2_world *world)
{
    world->primary = ps_primary_create(world->map, world->store, &world->limits);
    world->home = ps_r2_home_create(&world->cluster, world->map, world->store, world->interval_ns);
    world->record_count = 0;
}

static inline void r2_world_init(struct r2_world *world, ps_dur_ns interval_ns,
                                 void (*answer)(void *, void *, const struct ps_r2_answer *))
{
    *world = (struct r2_world){
        .cluster = {.epoch_unix_s = R2_EPOCH_S}, .interval_ns = interval_ns, .now_ns = PS_HOUR};
    world->sink = (struct ps_r2_home_sink){answer, r2_world_commit, world};
    world->map = ps_map_create_memory();
    if (ps_map_store_open(world->map, PS_LIT("B"), &world->store, NULL) != PS_OK) {
        abort();
    }
    r2_world_start(world);
}

/** All that is not in the map is gone. */
static inline void r2_world_crash(struct r2_world *world)
{
    ps_primary_destroy(world->primary);
    ps_r2_home_destroy(world->home);
    r2_world_start(world);
}

static inline void r2_world_fini(struct r2_world *world)
{
    ps_primary_destroy(world->primary);
    ps_r2_home_destroy(world->home);
    ps_map_close(world->map);
}

static inline enum ps_status r2_world_submit(struct r2_world *world, const struct ps_token *token,
                                             const struct ps_r2_request *request, void *tag)
{
    struct ps_buf bytes = {.size = 0};
    ps_r2_request_encode(&bytes, request);
    enum ps_status status = ps_r2_home_submit(world->home, token, ps_buf_slice(&bytes), tag);
    ps_buf_fini(&bytes);
    return status;
}

/** Begin a batch; false when there is nothing for one. */
static inline bool r2_world_take(struct r2_world *world)
{
    world->record_count = ps_primary_take(world->primary, world->now_ns, &world->records);
    return world->record_count > 0;
}

/** Put it into the map. */
static inline void r2_world_apply(struct r2_world *world)
{
    struct ps_append appends[R2_BATCH_MAX];
    for (size_t i = 0; i < world->record_count; i++) {
        appends[i] = (struct ps_append){world->store, &world->records[i]};
    }
    if (ps_map_apply(world->map, appends, world->record_count, NULL) != PS_OK) {
        abort();
    }
}

static inline void r2_world_each(void *context, void *tag, const struct ps_written *result)
{
    struct r2_world *world = (struct r2_world *)context;
    world->commits[world->written_count] = (struct ps_r2_commit *)tag;
    world->written[world->written_count++] = *result;
}

/** Tell primary and home how it went. */
static inline void r2_world_done(struct r2_world *world, enum ps_status status)
{
    world->written_count = 0;
    ps_primary_done(world->primary, status, r2_world_each, world);
    for (size_t i = 0; i < world->written_count; i++) {
        ps_r2_home_done(world->home, world->commits[i], &world->written[i], &world->sink);
    }
}

/** Until nothing is left to do. */
static inline void r2_world_settle(struct r2_world *world)
{
    while (ps_r2_home_pending(world->home) > 0) {
        ps_r2_home_run(world->home, world->now_ns, &world->sink);
        if (r2_world_take(world)) {
            r2_world_apply(world);
            r2_world_done(world, PS_OK);
        }
    }
}

#endif
