/* Which of a bucket's blobs are referred to, found out a step at a time.
 *
 * What a read may see is the state before the log's first record, and what the log's records made
 * of it. So a sweep looks at the log first, up to the end that it had when it began, and then at
 * that state; what is committed meanwhile it is told of. When the log loses records that it has not
 * looked at it begins anew, later. */
#include "node/io/r2/objects.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <inttypes.h>

struct ps_sweep {
    struct ps_alarm alarm; /* first member */
    struct ps_node_store *store;
    const struct ps_r2_home *home;
    bool running;
    bool round;          /* this is the last one of a round */
    uint64_t base_lsn;   /* of the state before the log */
    uint64_t next_lsn;   /* of the log, to be looked at */
    uint64_t last_lsn;   /* ... up to this */
    struct ps_buf after; /* of the state, keys up to this were looked at */
    size_t budget;
    bool broken; /* something could not be read: nothing is deleted */
};

static void note(void *context, const struct ps_r2_blob *blob)
{
    ps_blobs_sweep_known(context, &blob->id);
}

static void note_entry(struct ps_sweep *sweep, struct ps_slice key, struct ps_slice metadata,
                       struct ps_slice value)
{
    if (ps_r2_entry_blobs(key, metadata, value, note, sweep->store->node->blobs) != PS_OK) {
        sweep->broken = true;
    }
}

static void note_record(struct ps_sweep *sweep, const struct ps_record *record)
{
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        if (!entry->deleted) {
            note_entry(sweep, entry->key, entry->metadata, entry->value);
        }
    }
}

void ps_sweep_committed(struct ps_sweep *sweep, const struct ps_record *record)
{
    if (sweep->running) {
        note_record(sweep, record);
    }
}

static bool look_at_record(void *context, const struct ps_record *record)
{
    struct ps_sweep *sweep = context;
    note_record(sweep, record);
    sweep->next_lsn = record->lsn + 1;
    return --sweep->budget > 0 && sweep->next_lsn <= sweep->last_lsn;
}

static bool look_at_key(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct ps_sweep *sweep = context;
    if (!version->deleted) {
        note_entry(sweep, key, version->metadata, version->value);
    }
    sweep->after.size = 0;
    ps_buf_append_slice(&sweep->after, key);
    return --sweep->budget > 0;
}

/* Sets *ret_more when there is more to look at. */
static enum ps_status look(struct ps_sweep *sweep, bool *ret_more)
{
    struct ps_map *map = sweep->store->node->map;
    ps_map_store store = sweep->store->map_store;
    sweep->budget = PS_SWEEP_STEP_MAX;
    enum ps_status status = PS_OK;
    if (sweep->next_lsn <= sweep->last_lsn) {
        status = ps_map_log(map, store, sweep->next_lsn, look_at_record, sweep);
    }
    if (status == PS_OK && sweep->budget > 0 && sweep->base_lsn > 0) {
        const struct ps_bound bound = {.lsn_max = sweep->base_lsn, .commit_max = PS_NEVER};
        status = ps_map_list(map, store, (struct ps_slice){0}, ps_buf_slice(&sweep->after), &bound,
                             look_at_key, sweep);
    }
    *ret_more = sweep->budget == 0;
    return status;
}

static void wait(struct ps_sweep *sweep, uint64_t wait_ns)
{
    ps_node_alarm(sweep->store->node, &sweep->alarm, ps_mono_ns() + wait_ns);
}

static void end(struct ps_sweep *sweep, bool all_known)
{
    const struct ps_node_store *store = sweep->store;
    ps_r2_home_blobs(sweep->home, note, store->node->blobs);
    size_t count = ps_blobs_sweep_end(store->node->blobs, all_known);
    if (count > 0) {
        ps_node_log(store->node, PS_LOG_INFO, "blobs", "%s: %zu that nothing refers to are deleted",
                    store->config->name, count);
    }
    sweep->running = false;
    bool again = !sweep->round && !all_known;
    wait(sweep, again ? PS_SWEEP_STEP_MS * PS_MS : sweep->store->node->sweep_every_ns);
}

static void begin(struct ps_sweep *sweep)
{
    struct ps_node_store *store = sweep->store;
    struct ps_blobs *blobs = store->node->blobs;
    struct ps_log_state log;
    if (ps_blobs_sweeps(blobs) || /* another bucket's turn */
        ps_map_log_state(store->node->map, store->map_store, &log) != PS_OK) {
        wait(sweep, PS_SWEEP_STEP_MS * PS_MS);
        return;
    }
    sweep->running = true;
    sweep->broken = false;
    sweep->after.size = 0;
    sweep->base_lsn = log.first_lsn - 1;
    sweep->next_lsn = log.first_lsn;
    sweep->last_lsn = log.last_lsn;
    if (ps_blobs_sweep_begin(blobs, store->config->name, PS_BLOB_SWEEP_MAX, &sweep->round) == 0) {
        end(sweep, false);
        return;
    }
    wait(sweep, 0);
}

static void on_step(struct ps_alarm *alarm)
{
    struct ps_sweep *sweep = (struct ps_sweep *)(void *)alarm;
    struct ps_map *map = sweep->store->node->map;
    if (sweep->store->dropped) {
        if (sweep->running) {
            end(sweep, true);
        }
        return;
    }
    if (!sweep->running) {
        begin(sweep);
        return;
    }
    bool more = false;
    enum ps_status status = ps_map_read_begin(map);
    if (status == PS_OK) {
        status = look(sweep, &more);
        ps_map_read_end(map);
    }
    if (status != PS_OK || sweep->broken) {
        if (status != PS_TOO_OLD) {
            ps_node_log(sweep->store->node, PS_LOG_WARN, "blobs", "%s is not swept: %s",
                        sweep->store->config->name,
                        sweep->broken ? "a record is not understood" : ps_status_text(status));
        }
        end(sweep, true);
    } else if (more) {
        wait(sweep, PS_SWEEP_STEP_MS * PS_MS);
    } else {
        end(sweep, false);
    }
}

struct ps_sweep *ps_sweep_create(struct ps_node_store *store, const struct ps_r2_home *home)
{
    struct ps_sweep *sweep = PS_NEW(struct ps_sweep);
    sweep->store = store;
    sweep->home = home;
    sweep->alarm.ring = on_step;
    wait(sweep, 0);
    return sweep;
}

void ps_sweep_destroy(struct ps_sweep *sweep)
{
    if (sweep == NULL) {
        return;
    }
    ps_node_alarm_stop(sweep->store->node, &sweep->alarm);
    if (sweep->running) {
        (void)ps_blobs_sweep_end(sweep->store->node->blobs, true);
    }
    ps_buf_fini(&sweep->after);
    free(sweep);
}
