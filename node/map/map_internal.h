/* What the two ends of the versioned map share with map.c, and what their tests may turn.
 * For node/map/ and its tests only. */
#ifndef PS_NODE_MAP_MAP_INTERNAL_H
#define PS_NODE_MAP_MAP_INTERNAL_H

#include "node/map/map.h"

/** Bytes of a key that one row of LMDB's key table holds; longer keys go on in a row of their own
 *  (see map_lmdb_key.c). LMDB's limit is 511 with the 4 bytes of the node in front. */
enum { PS_MAP_CHUNK = 504 };

/** One function per public function; map.c has checked sizes before it calls them. */
struct ps_map_ops {
    void (*close)(struct ps_map *map);
    enum ps_status (*store_open)(struct ps_map *map, struct ps_slice name, ps_map_store *ret,
                                 struct ps_error *err);
    enum ps_status (*log_state)(struct ps_map *map, ps_map_store store, struct ps_log_state *ret);
    enum ps_status (*apply)(struct ps_map *map, const struct ps_append *appends, size_t count,
                            struct ps_error *err);
    enum ps_status (*read_begin)(struct ps_map *map);
    void (*read_end)(struct ps_map *map);
    enum ps_status (*get)(struct ps_map *map, ps_map_store store, struct ps_slice key,
                          const struct ps_bound *bound, struct ps_version *ret);
    enum ps_status (*freshness)(struct ps_map *map, ps_map_store store, struct ps_slice key,
                                uint64_t lsn, ps_time_ns commit_max, struct ps_freshness *ret);
    enum ps_status (*list)(struct ps_map *map, ps_map_store store, struct ps_slice prefix,
                           struct ps_slice after, const struct ps_bound *bound, ps_map_each_fn each,
                           void *context);
    enum ps_status (*log)(struct ps_map *map, ps_map_store store, uint64_t from_lsn, bool entries,
                          ps_map_record_fn each, void *context);
    enum ps_status (*token)(struct ps_map *map, ps_map_store store, const struct ps_token *token,
                            uint64_t *ret_lsn, ps_time_ns *ret_commit_ns);
    enum ps_status (*snapshot_begin)(struct ps_map *map, ps_map_store store, struct ps_error *err);
    enum ps_status (*snapshot_put)(struct ps_map *map, ps_map_store store,
                                   const struct ps_entry *entry, uint64_t lsn, ps_time_ns commit_ns,
                                   struct ps_error *err);
    enum ps_status (*snapshot_finish)(struct ps_map *map, ps_map_store store, uint64_t at_lsn,
                                      ps_time_ns at_commit_ns, struct ps_error *err);
    enum ps_status (*forget)(struct ps_map *map, ps_map_store store, ps_time_ns horizon_ns,
                             size_t budget, bool *ret_more, struct ps_error *err);
    enum ps_status (*meta_get)(struct ps_map *map, struct ps_slice name, struct ps_buf *ret);
    enum ps_status (*meta_put)(struct ps_map *map, struct ps_slice name, struct ps_slice value,
                               struct ps_error *err);
    enum ps_status (*make_sync)(struct ps_map *map, struct ps_error *err);
    enum ps_status (*stats)(struct ps_map *map, struct ps_map_stats *ret);
};

struct ps_map {
    const struct ps_map_ops *ops;
};

/** A memory map whose slices are valid until it is closed, as long as nothing in it is forgotten
 * and no snapshot begun. */
struct ps_map *ps_map_create_memory_stable(void);

/** Longest name of a meta value, in bytes. */
enum { PS_MAP_META_NAME_MAX = 255 };

/** Does `record` follow the state of its store's log? If so the state moves on to it.
 *  Errors: PS_GAP, with the reason. */
PS_MUST_CHECK enum ps_status ps_log_state_follow(struct ps_log_state *state,
                                                 const struct ps_record *record,
                                                 struct ps_error *err);

bool ps_token_is_zero(const struct ps_token *token);

/** What a test may turn of the LMDB end's durability (map_lmdb_journal.h). */
enum ps_lmdb_phase { PS_LMDB_PINNED, PS_LMDB_SYNCED, PS_LMDB_NAMED }; /* steps 1, 2, 3 are done */

struct ps_lmdb_tuning {
    size_t
        size_bytes; /* first size of the memory map, so that tests reach its end; 0 = the usual */
    size_t recent_max;   /* cost of recent records that are settled (map_lmdb.c); 0 = the usual */
    const char *boot_id; /* NULL = the system's */
    bool by_hand;        /* checkpoints only where they must be, and by ps_map_checkpoint_lmdb */
    uint64_t work_max;   /* bytes of work after which a checkpoint is made; 0 = the usual */
    /* Called within each checkpoint, on the thread that makes it. Where ps_map_checkpoint_lmdb
     * makes it, the map may be written meanwhile, though nothing that needs a checkpoint. */
    void (*phase)(void *context, enum ps_lmdb_phase phase);
    void *context;
};
PS_MUST_CHECK enum ps_status ps_map_open_lmdb_tuned(const char *path, bool sync,
                                                    const struct ps_lmdb_tuning *tuning,
                                                    struct ps_map **ret, struct ps_error *err);
/** Make a checkpoint now. Of a sync map, called where ps_map_apply is. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_map_checkpoint_lmdb(struct ps_map *map, struct ps_error *err);

#endif
