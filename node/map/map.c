/* The part that both ends of the map have in common: sizes are checked here, once. */
#include "node/map/map.h"

#include "node/map/map_internal.h"
#include "replication/base/assert.h"

#include <inttypes.h>
#include <string.h>

bool ps_token_is_zero(const struct ps_token *token)
{
    static const struct ps_token zero;
    return memcmp(token->bytes, zero.bytes, sizeof zero.bytes) == 0;
}

enum ps_status ps_log_state_follow(struct ps_log_state *state, const struct ps_record *record,
                                   struct ps_error *err)
{
    if (record->lsn != state->last_lsn + 1) {
        return ps_fail(err, PS_GAP, "record %" PRIu64 " does not follow record %" PRIu64,
                       record->lsn, state->last_lsn);
    }
    if (record->commit_ns <= state->last_commit_ns || record->commit_ns == PS_NEVER) {
        return ps_fail(err, PS_GAP,
                       "record %" PRIu64 " was committed at %" PRIu64 ", not later than %" PRIu64,
                       record->lsn, record->commit_ns, state->last_commit_ns);
    }
    state->last_lsn = record->lsn;
    state->last_commit_ns = record->commit_ns;
    return PS_OK;
}

static enum ps_status check_entry(const struct ps_entry *entry, struct ps_error *err)
{
    if (entry->key.size > PS_KEY_SIZE_MAX) {
        return ps_fail(err, PS_LIMIT, "a key of %zu bytes, %d are allowed", entry->key.size,
                       PS_KEY_SIZE_MAX);
    }
    if (entry->value.size > PS_VALUE_SIZE_MAX) {
        return ps_fail(err, PS_LIMIT, "a value of %zu bytes, %d are allowed", entry->value.size,
                       PS_VALUE_SIZE_MAX);
    }
    if (entry->metadata.size > PS_METADATA_SIZE_MAX) {
        return ps_fail(err, PS_LIMIT, "metadata of %zu bytes, %d are allowed", entry->metadata.size,
                       PS_METADATA_SIZE_MAX);
    }
    return PS_OK;
}

void ps_map_close(struct ps_map *map)
{
    if (map != NULL) {
        map->ops->close(map);
    }
}

enum ps_status ps_map_store_open(struct ps_map *map, struct ps_slice name, ps_map_store *ret,
                                 struct ps_error *err)
{
    if (name.size == 0 || name.size > PS_STORE_NAME_MAX) {
        return ps_fail(err, PS_INVALID, "a store's name has 1 to %d bytes, this one has %zu",
                       PS_STORE_NAME_MAX, name.size);
    }
    if (memchr(name.data, 0, name.size) != NULL) {
        return ps_fail(err, PS_INVALID, "a store's name holds no NUL");
    }
    return map->ops->store_open(map, name, ret, err);
}

enum ps_status ps_map_log_state(struct ps_map *map, ps_map_store store, struct ps_log_state *ret)
{
    return map->ops->log_state(map, store, ret);
}

enum ps_status ps_map_apply(struct ps_map *map, const struct ps_append *appends, size_t count,
                            struct ps_error *err)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < appends[i].record->entry_count; k++) {
            enum ps_status status = check_entry(&appends[i].record->entries[k], err);
            if (status != PS_OK) {
                return status;
            }
        }
    }
    return count == 0 ? PS_OK : map->ops->apply(map, appends, count, err);
}

enum ps_status ps_map_read_begin(struct ps_map *map)
{
    return map->ops->read_begin(map);
}

void ps_map_read_end(struct ps_map *map)
{
    map->ops->read_end(map);
}

enum ps_status ps_map_get(struct ps_map *map, ps_map_store store, struct ps_slice key,
                          const struct ps_bound *bound, struct ps_version *ret)
{
    if (key.size > PS_KEY_SIZE_MAX) {
        return PS_NOT_FOUND;
    }
    return map->ops->get(map, store, key, bound, ret);
}

enum ps_status ps_map_freshness(struct ps_map *map, ps_map_store store, struct ps_slice key,
                                uint64_t lsn, ps_time_ns commit_max, struct ps_freshness *ret)
{
    *ret = (struct ps_freshness){.superseded_ns = PS_NEVER};
    if (key.size > PS_KEY_SIZE_MAX) {
        return PS_OK;
    }
    return map->ops->freshness(map, store, key, lsn, commit_max, ret);
}

enum ps_status ps_map_list(struct ps_map *map, ps_map_store store, struct ps_slice prefix,
                           struct ps_slice after, const struct ps_bound *bound, ps_map_each_fn each,
                           void *context)
{
    return map->ops->list(map, store, prefix, after, bound, each, context);
}

enum ps_status ps_map_log(struct ps_map *map, ps_map_store store, uint64_t from_lsn,
                          ps_map_record_fn each, void *context)
{
    return map->ops->log(map, store, from_lsn, true, each, context);
}

enum ps_status ps_map_log_marks(struct ps_map *map, ps_map_store store, uint64_t from_lsn,
                                ps_map_record_fn each, void *context)
{
    return map->ops->log(map, store, from_lsn, false, each, context);
}

enum ps_status ps_map_token(struct ps_map *map, ps_map_store store, const struct ps_token *token,
                            uint64_t *ret_lsn, ps_time_ns *ret_commit_ns)
{
    if (ps_token_is_zero(token)) {
        return PS_NOT_FOUND;
    }
    return map->ops->token(map, store, token, ret_lsn, ret_commit_ns);
}

enum ps_status ps_map_snapshot_begin(struct ps_map *map, ps_map_store store, struct ps_error *err)
{
    return map->ops->snapshot_begin(map, store, err);
}

enum ps_status ps_map_snapshot_put(struct ps_map *map, ps_map_store store,
                                   const struct ps_entry *entry, uint64_t lsn, ps_time_ns commit_ns,
                                   struct ps_error *err)
{
    enum ps_status status = check_entry(entry, err);
    if (status != PS_OK) {
        return status;
    }
    if (lsn == 0) {
        return ps_fail(err, PS_INVALID, "a version without an LSN");
    }
    return map->ops->snapshot_put(map, store, entry, lsn, commit_ns, err);
}

enum ps_status ps_map_snapshot_finish(struct ps_map *map, ps_map_store store, uint64_t at_lsn,
                                      ps_time_ns at_commit_ns, struct ps_error *err)
{
    return map->ops->snapshot_finish(map, store, at_lsn, at_commit_ns, err);
}

enum ps_status ps_map_forget(struct ps_map *map, ps_map_store store, ps_time_ns horizon_ns,
                             size_t budget, bool *ret_more, struct ps_error *err)
{
    PS_ASSERT(budget > 0);
    return map->ops->forget(map, store, horizon_ns, budget, ret_more, err);
}

static bool meta_name_fits(struct ps_slice name)
{
    return name.size > 0 && name.size <= PS_MAP_META_NAME_MAX;
}

enum ps_status ps_map_meta_get(struct ps_map *map, struct ps_slice name, struct ps_buf *ret)
{
    return meta_name_fits(name) ? map->ops->meta_get(map, name, ret) : PS_NOT_FOUND;
}

enum ps_status ps_map_meta_put(struct ps_map *map, struct ps_slice name, struct ps_slice value,
                               struct ps_error *err)
{
    if (!meta_name_fits(name)) {
        return ps_fail(err, PS_LIMIT, "a meta name has 1 to %d bytes, this one has %zu",
                       PS_MAP_META_NAME_MAX, name.size);
    }
    return map->ops->meta_put(map, name, value, err);
}

enum ps_status ps_map_stats(struct ps_map *map, struct ps_map_stats *ret)
{
    return map->ops->stats(map, ret);
}

enum ps_status ps_map_make_sync(struct ps_map *map, struct ps_error *err)
{
    return map->ops->make_sync(map, err);
}
