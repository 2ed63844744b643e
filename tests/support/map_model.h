/* A naive model of the versioned map: all versions in one array, every question a walk over it; and
 * a maker of random keys, values and records. What the map's ends do is held against it. */
#ifndef PS_TESTS_SUPPORT_MAP_MODEL_H
#define PS_TESTS_SUPPORT_MAP_MODEL_H

#include "node/map/map_internal.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <string.h>

enum { MODEL_KEYS = 56, MODEL_STORES = 2, MODEL_POOL_SIZE = PS_VALUE_SIZE_MAX };

struct model_version {
    ps_map_store store;
    struct ps_entry entry;
    uint64_t lsn;
    ps_time_ns commit_ns;
};

struct model_record {
    ps_map_store store;
    struct ps_record record; /* owns entries */
};

struct model {
    struct model_version *versions;
    size_t version_count;
    size_t version_capacity;
    struct model_record *records;
    size_t record_count;
    size_t record_capacity;
    struct ps_log_state log[MODEL_STORES];
};

static inline void model_init(struct model *model)
{
    *model = (struct model){0};
    for (size_t i = 0; i < MODEL_STORES; i++) {
        model->log[i].first_lsn = 1;
    }
}

static inline void model_fini(struct model *model)
{
    for (size_t i = 0; i < model->record_count; i++) {
        free(model->records[i].record.entries);
    }
    free(model->records);
    free(model->versions);
}

static inline void model_add_version(struct model *model, struct model_version version)
{
    model->versions = ps_grow(model->versions, model->version_count, &model->version_capacity,
                              sizeof *model->versions);
    model->versions[model->version_count++] = version;
}

static inline struct model_version *model_version_of(const struct model *model, ps_map_store store,
                                                     struct ps_slice key, uint64_t lsn)
{
    for (size_t i = 0; i < model->version_count; i++) {
        struct model_version *version = &model->versions[i];
        if (version->store == store && version->lsn == lsn &&
            ps_slice_eq(version->entry.key, key)) {
            return version;
        }
    }
    return NULL;
}

/* A record that follows. A key that it names twice has its first place and its last value. */
static inline void model_apply(struct model *model, ps_map_store store,
                               const struct ps_record *record)
{
    struct model_record kept = {store, *record};
    kept.record.entries = PS_NEW_ARRAY(struct ps_entry, record->entry_count);
    kept.record.entry_count = 0;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        struct model_version *same = model_version_of(model, store, entry->key, record->lsn);
        if (same != NULL) {
            same->entry = *entry;
            for (size_t k = 0; k < kept.record.entry_count; k++) {
                if (ps_slice_eq(kept.record.entries[k].key, entry->key)) {
                    kept.record.entries[k] = *entry;
                }
            }
            continue;
        }
        kept.record.entries[kept.record.entry_count++] = *entry;
        model_add_version(model,
                          (struct model_version){store, *entry, record->lsn, record->commit_ns});
    }
    model->records =
        ps_grow(model->records, model->record_count, &model->record_capacity, sizeof kept);
    model->records[model->record_count++] = kept;
    model->log[store].last_lsn = record->lsn;
    model->log[store].last_commit_ns = record->commit_ns;
}

static inline const struct model_version *model_get(const struct model *model, ps_map_store store,
                                                    struct ps_slice key,
                                                    const struct ps_bound *bound)
{
    const struct model_version *best = NULL;
    for (size_t i = 0; i < model->version_count; i++) {
        const struct model_version *version = &model->versions[i];
        if (version->store == store && ps_slice_eq(version->entry.key, key) &&
            version->lsn <= bound->lsn_max && version->commit_ns <= bound->commit_max &&
            (best == NULL || version->lsn > best->lsn) &&
            (bound->accept == NULL ||
             bound->accept(bound->context, version->lsn, version->commit_ns))) {
            best = version;
        }
    }
    return best;
}

static inline struct ps_freshness model_freshness(const struct model *model, ps_map_store store,
                                                  struct ps_slice key, uint64_t lsn,
                                                  ps_time_ns commit_max)
{
    struct ps_freshness fresh = {.superseded_ns = PS_NEVER};
    for (size_t i = 0; i < model->version_count; i++) {
        const struct model_version *version = &model->versions[i];
        if (version->store != store || !ps_slice_eq(version->entry.key, key) ||
            version->commit_ns > commit_max) {
            continue;
        }
        fresh.newest_lsn = version->lsn > fresh.newest_lsn ? version->lsn : fresh.newest_lsn;
        if (version->lsn > lsn) {
            fresh.behind++;
            fresh.superseded_ns = ps_time_min(fresh.superseded_ns, version->commit_ns);
        }
    }
    return fresh;
}

/* The smallest key > after (>= when it is NULL) that starts with the prefix; NULL if none. */
static inline const struct ps_slice *model_next_key(const struct model *model, ps_map_store store,
                                                    struct ps_slice prefix,
                                                    const struct ps_slice *after)
{
    const struct ps_slice *best = NULL;
    for (size_t i = 0; i < model->version_count; i++) {
        const struct ps_slice *key = &model->versions[i].entry.key;
        if (model->versions[i].store == store && ps_slice_starts(*key, prefix) &&
            (after == NULL || ps_slice_cmp(*key, *after) > 0) &&
            (best == NULL || ps_slice_cmp(*key, *best) < 0)) {
            best = key;
        }
    }
    return best;
}

/* The newest record with the token; NULL if none. */
static inline const struct ps_record *model_token(const struct model *model, ps_map_store store,
                                                  const struct ps_token *token)
{
    for (size_t i = model->record_count; i > 0; i--) {
        const struct model_record *at = &model->records[i - 1];
        if (at->store == store && memcmp(&at->record.token, token, sizeof *token) == 0) {
            return &at->record;
        }
    }
    return NULL;
}

static inline const struct ps_record *model_record_of(const struct model *model, ps_map_store store,
                                                      uint64_t lsn)
{
    for (size_t i = 0; i < model->record_count; i++) {
        if (model->records[i].store == store && model->records[i].record.lsn == lsn) {
            return &model->records[i].record;
        }
    }
    return NULL;
}

/* The header's words: versions superseded at or before the horizon; tombstones committed at or
 * before it that nothing older stands behind; the log of records committed before it. */
static inline void model_forget(struct model *model, ps_map_store store, ps_time_ns horizon_ns)
{
    const struct ps_bound within = {.lsn_max = UINT64_MAX, .commit_max = horizon_ns};
    size_t kept = 0;
    bool *gone = PS_NEW_ARRAY(bool, model->version_count);
    for (size_t i = 0; i < model->version_count; i++) {
        const struct model_version *version = &model->versions[i];
        if (version->store == store && version->commit_ns <= horizon_ns) {
            const struct model_version *newest =
                model_get(model, store, version->entry.key, &within);
            gone[i] = newest != version || version->entry.deleted;
        }
    }
    for (size_t i = 0; i < model->version_count; i++) {
        if (!gone[i]) {
            model->versions[kept++] = model->versions[i];
        }
    }
    model->version_count = kept;
    free(gone);
    kept = 0;
    for (size_t i = 0; i < model->record_count; i++) {
        if (model->records[i].store == store && model->records[i].record.commit_ns < horizon_ns) {
            model->log[store].first_lsn = model->records[i].record.lsn + 1;
            free(model->records[i].record.entries);
        } else {
            model->records[kept++] = model->records[i];
        }
    }
    model->record_count = kept;
}

static inline void model_clear(struct model *model, ps_map_store store)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->version_count; i++) {
        if (model->versions[i].store != store) {
            model->versions[kept++] = model->versions[i];
        }
    }
    model->version_count = kept;
    kept = 0;
    for (size_t i = 0; i < model->record_count; i++) {
        if (model->records[i].store == store) {
            free(model->records[i].record.entries);
        } else {
            model->records[kept++] = model->records[i];
        }
    }
    model->record_count = kept;
    model->log[store] = (struct ps_log_state){.first_lsn = 1};
}

static inline struct ps_map_stats model_stats(const struct model *model)
{
    struct ps_map_stats stats = {.versions = model->version_count,
                                 .log_records = model->record_count};
    for (size_t i = 0; i < model->version_count; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++) {
            first =
                first && !(model->versions[k].store == model->versions[i].store &&
                           ps_slice_eq(model->versions[k].entry.key, model->versions[i].entry.key));
        }
        stats.keys += first ? 1 : 0;
    }
    return stats;
}

/* --- random keys, values, records --- */

/* Bytes that values are slices of; made once, never released. */
static inline const char *maker_pool(void)
{
    static char *pool;
    if (pool == NULL) {
        pool = ps_calloc(MODEL_POOL_SIZE, 1);
        uint64_t word = 1;
        for (size_t i = 0; i < MODEL_POOL_SIZE; i += sizeof word) {
            word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            memcpy(pool + i, &word, sizeof word);
        }
    }
    return pool;
}

struct maker {
    struct ps_rng rng;
    struct ps_slice keys[MODEL_KEYS]; /* distinct or not; slices into bytes */
    char bytes[MODEL_KEYS][PS_KEY_SIZE_MAX];
};

static inline uint64_t maker_below(struct maker *maker, uint64_t bound)
{
    return ps_rng_below(&maker->rng, bound);
}

/* Keys are prefixes of one long text over three bytes, most with one byte changed: they share long
 * prefixes, and their lengths lie around those at which the key table cuts. */
static inline void maker_init(struct maker *maker, uint64_t seed)
{
    static const char alphabet[] = {0, 'a', (char)0xff};
    static const size_t lengths[] = {1,
                                     2,
                                     3,
                                     17,
                                     PS_MAP_CHUNK - 1,
                                     PS_MAP_CHUNK,
                                     PS_MAP_CHUNK + 1,
                                     PS_MAP_CHUNK + 2,
                                     2 * PS_MAP_CHUNK - 1,
                                     2 * PS_MAP_CHUNK,
                                     2 * PS_MAP_CHUNK + 1,
                                     PS_KEY_SIZE_MAX};
    maker->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("test-map", NULL, NULL)};
    char text[PS_KEY_SIZE_MAX];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = alphabet[maker_below(maker, sizeof alphabet)];
    }
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        size_t size = lengths[maker_below(maker, sizeof lengths / sizeof lengths[0])];
        memcpy(maker->bytes[i], text, size);
        if (maker_below(maker, 4) != 0) {
            size_t at = maker_below(maker, 3) == 0 ? maker_below(maker, size) : size - 1;
            maker->bytes[i][at] = alphabet[maker_below(maker, sizeof alphabet)];
        }
        maker->keys[i] = (struct ps_slice){maker->bytes[i], size};
    }
}

static inline struct ps_slice maker_key(struct maker *maker)
{
    return maker->keys[maker_below(maker, MODEL_KEYS)];
}

static inline struct ps_slice maker_bytes(struct maker *maker, size_t size)
{
    return (struct ps_slice){maker_pool() + maker_below(maker, MODEL_POOL_SIZE - size + 1), size};
}

static inline struct ps_entry maker_entry(struct maker *maker)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 200, 2000, 4096, 70000};
    struct ps_entry entry = {.key = maker_key(maker), .deleted = maker_below(maker, 4) == 0};
    if (!entry.deleted) {
        size_t size = sizes[maker_below(maker, sizeof sizes / sizeof sizes[0])];
        entry.value = maker_bytes(maker, maker_below(maker, 400) == 0 ? (3 << 20) + size : size);
        entry.metadata =
            maker_bytes(maker, maker_below(maker, 3) == 0 ? maker_below(maker, 60) : 0);
        entry.expires_unix_s =
            maker_below(maker, 3) == 0 ? ps_rng_u64(&maker->rng) >> maker_below(maker, 64) : 0;
    }
    return entry;
}

/* The record that follows the state, with up to `capacity` entries into `entries`. */
static inline struct ps_record maker_record(struct maker *maker, const struct ps_log_state *state,
                                            struct ps_entry *entries, size_t capacity)
{
    struct ps_record record = {.lsn = state->last_lsn + 1,
                               .commit_ns = state->last_commit_ns + 1 + maker_below(maker, 100),
                               .entries = entries,
                               .entry_count = maker_below(maker, capacity + 1)};
    for (size_t i = 0; i < record.entry_count; i++) {
        entries[i] = maker_entry(maker);
    }
    if (maker_below(maker, 3) != 0) {
        /* Few tokens, so that some come again. */
        record.token.bytes[0] = 1;
        record.token.bytes[PS_TOKEN_SIZE - 1] = (uint8_t)maker_below(maker, 200);
    }
    return record;
}

#endif
