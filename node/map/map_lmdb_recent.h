/* Recent records: what was applied and is not yet in LMDB.
 *
 * A commit of LMDB copies the path to every row that it changes, some fifteen pages of 4 KiB for a
 * transaction of two rows, and writes each of them. So ps_map_apply does not commit: it appends the
 * record to the journal (map_lmdb_journal.h), which is what makes it last, and puts it here, where
 * reads find it. When enough has come together all of it goes to LMDB in one transaction, in which
 * paths are shared: it is *settled*. (So do log-structured merge trees, O'Neil et al., "The
 * log-structured merge-tree", 1996; here with one memory component and one on the disk.)
 *
 * A *generation* is what came since LMDB's transaction `base_txn`. Every commit of LMDB settles it
 * first, or settles it itself, and so begins a new, empty one; a record is in the generation or in
 * LMDB, never in both. A read takes the generation and LMDB's snapshot that belong together, and
 * holds both until it ends. Of the records that come to its generation meanwhile it sees none: it
 * keeps for each store how far the log led when it first asked for it.
 *
 * A generation lies in a memory map whose slices stay (ps_map_create_memory_stable). Its lock is
 * recursive: a call-back of a read may read. */
#ifndef PS_NODE_MAP_MAP_LMDB_RECENT_H
#define PS_NODE_MAP_MAP_LMDB_RECENT_H

#include "node/map/map_internal.h"

#include <stdatomic.h>

struct ps_lmdb_map;

struct ps_lmdb_recent {
    uint64_t base_txn;
    size_t users;          /* reads, and the map; under the map's mutex */
    atomic_size_t records; /* 0: no read need look here */
    size_t cost;           /* of settling it; under `writing` */
    struct ps_map *memory; /* under the map's recent_lock; a read of it is always begun */
    /* The store's handle in `memory` + 1; 0: none of its records are here. */
    uint16_t stores[PS_MAP_STORES_MAX];
};

/** Begin a new generation on LMDB's newest transaction; what was in the former must be in LMDB.
 *  With `writing` held, or while the map is opened. Errors: LMDB's. */
PS_MUST_CHECK int ps_lmdb_recent_renew(struct ps_lmdb_map *map);
/** Give a generation back that a read has held, or the map. */
void ps_lmdb_recent_release(struct ps_lmdb_map *map, struct ps_lmdb_recent *recent);

/** Add records that were found to follow, and are in the journal. With `writing` held. */
void ps_lmdb_recent_add(struct ps_lmdb_map *map, const struct ps_append *appends, size_t count);

/** The generation's records of `store`, in order, with entries. With `writing` held. */
void ps_lmdb_recent_each(struct ps_lmdb_map *map, ps_map_store store, ps_map_record_fn each,
                         void *context);

/** The key's newest version in the map's generation; the slices stay with it. With `writing` held.
 *  False: it has none there. */
bool ps_lmdb_recent_newest(struct ps_lmdb_map *map, ps_map_store store, struct ps_slice key,
                           struct ps_version *ret);

/** Reads: LMDB's rows and the generation's as one. As the map's functions of these names. */
enum ps_status ps_lmdb_get(struct ps_map *base, ps_map_store store, struct ps_slice key,
                           const struct ps_bound *bound, struct ps_version *ret);
enum ps_status ps_lmdb_freshness(struct ps_map *base, ps_map_store store, struct ps_slice key,
                                 uint64_t lsn, ps_time_ns commit_max, struct ps_freshness *ret);
enum ps_status ps_lmdb_list(struct ps_map *base, ps_map_store store, struct ps_slice prefix,
                            struct ps_slice after, const struct ps_bound *bound,
                            ps_map_each_fn each, void *context);
enum ps_status ps_lmdb_log(struct ps_map *base, ps_map_store store, uint64_t from_lsn, bool entries,
                           ps_map_record_fn each, void *context);
enum ps_status ps_lmdb_token(struct ps_map *base, ps_map_store store, const struct ps_token *token,
                             uint64_t *ret_lsn, ps_time_ns *ret_commit_ns);
enum ps_status ps_lmdb_stats(struct ps_map *base, struct ps_map_stats *ret);

#endif
