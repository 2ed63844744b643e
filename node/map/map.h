/* The versioned map: (store, key, LSN) -> value, and the log that made it.
 *
 * Two ends behind one interface: LMDB (one environment per node, durable) and memory (the virtual
 * world, tests). A record appended at LSN n adds one version to each key it names. Reads take a
 * bound and get the newest version within it. Nothing here knows of policies or clocks.
 *
 * LMDB end: what is applied goes to a journal and to memory, and settles in LMDB with others
 * (map_lmdb_journal.h, map_lmdb_recent.h). Readers on any threads and the one writer may work at
 * once; each thread's read is its own. The map grows by itself when it is full. A key may have
 * PS_KEY_SIZE_MAX bytes although LMDB's own limit is smaller.
 *
 * Tables (LMDB): `log` (store, lsn) -> commit time, token, keys; `key` (store, key) -> key id, in
 * key order; `version` (key id, ~lsn) -> version; `token` (store, token) -> lsn; `meta`. */
#ifndef PS_NODE_MAP_MAP_H
#define PS_NODE_MAP_MAP_H

#include "replication/wire/record.h"

struct ps_map;
typedef uint32_t ps_map_store; /* a store's handle within one map */

/** One version of one key. Slices: valid until the read ends (LMDB) or the map changes (memory). */
struct ps_version {
    uint64_t lsn;
    ps_time_ns commit_ns;
    uint64_t expires_unix_s; /* 0 = never */
    bool deleted;
    struct ps_slice value;
    struct ps_slice metadata;
};

/** Which versions a read may see: lsn <= lsn_max and commit_ns <= commit_max, and, when `accept` is
 *  set, those it returns true for (asked from the newest down). */
struct ps_bound {
    uint64_t lsn_max;
    ps_time_ns commit_max;
    bool (*accept)(void *context, uint64_t lsn, ps_time_ns commit_ns);
    void *context;
};

#define PS_BOUND_NEWEST ((struct ps_bound){UINT64_MAX, PS_NEVER, NULL, NULL})

/** How a version stands against what is committed. */
struct ps_freshness {
    uint64_t newest_lsn;      /* the key's newest version within commit_max; 0 = none */
    uint64_t behind;          /* versions newer than the one asked about */
    ps_time_ns superseded_ns; /* commit time of the next newer version; PS_NEVER if none */
};

/** Open or create an environment in folder `path` (mode 0700). sync: what is applied is durable on
 *  return, whatever then happens to the machine; otherwise, whatever happens to the process, and a
 *  loss of power leaves a beginning of it (map_lmdb_journal.h).
 *  Errors: PS_IO, PS_CORRUPT, PS_UNSUPPORTED (a later format), PS_BUSY (open elsewhere), with the
 * path. */
PS_MUST_CHECK enum ps_status ps_map_open_lmdb(const char *path, bool sync, struct ps_map **ret,
                                              struct ps_error *err);
/** From now on the map is sync; what was applied before is made durable first. Called where
 *  ps_map_apply is. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_map_make_sync(struct ps_map *map, struct ps_error *err);
struct ps_map *ps_map_create_memory(void);
void ps_map_close(struct ps_map *map); /* NULL accepted; no read or apply may be on */

/** The handle of the store called `name`, made if new. Called where ps_map_apply is.
 *  Errors: PS_INVALID (the name), PS_LIMIT (PS_MAP_STORES_MAX), PS_FULL, PS_IO. */
PS_MUST_CHECK enum ps_status ps_map_store_open(struct ps_map *map, struct ps_slice name,
                                               ps_map_store *ret, struct ps_error *err);

/** Where the store's log ends and begins: LSN and commit time of the last record (0, 0: empty), and
 *  the first LSN that is still in the log (last + 1 if none). From any thread. While another one
 *  applies, a read that begins afterwards sees all of it, and one under way may see more or less.
 */
struct ps_log_state {
    uint64_t last_lsn;
    ps_time_ns last_commit_ns;
    uint64_t first_lsn;
};
PS_MUST_CHECK enum ps_status ps_map_log_state(struct ps_map *map, ps_map_store store,
                                              struct ps_log_state *ret);

/** Append records to stores, all or nothing, durable on return when the map is sync. Each record's
 * LSN is its store's last + 1 and its commit time is later than the last. Only one thread applies.
 *  Errors: PS_GAP (LSN or commit time out of order), PS_FULL (disk), PS_IO; nothing changed. */
struct ps_append {
    ps_map_store store;
    const struct ps_record *record;
};
PS_MUST_CHECK enum ps_status ps_map_apply(struct ps_map *map, const struct ps_append *appends,
                                          size_t count, struct ps_error *err);

/** Reads stand between begin and end (one LMDB read transaction, cheap to renew; keep it short).
 * They see all that was applied before begin. Not nested in one thread. */
PS_MUST_CHECK enum ps_status ps_map_read_begin(struct ps_map *map);
void ps_map_read_end(struct ps_map *map);

/** The newest version of `key` within the bound, tombstones included. Errors: PS_NOT_FOUND, PS_IO.
 */
PS_MUST_CHECK enum ps_status ps_map_get(struct ps_map *map, ps_map_store store, struct ps_slice key,
                                        const struct ps_bound *bound, struct ps_version *ret);

/** How version `lsn` of `key` (0 = "none was seen") stands against all versions committed at or
 * before `commit_max`. */
PS_MUST_CHECK enum ps_status ps_map_freshness(struct ps_map *map, ps_map_store store,
                                              struct ps_slice key, uint64_t lsn,
                                              ps_time_ns commit_max, struct ps_freshness *ret);

/** Call `each` for the keys that start with `prefix` and are > `after` (empty = from the start), in
 *  byte order, with their newest version within the bound, tombstones included (`deleted`), until
 * it returns false. */
typedef bool (*ps_map_each_fn)(void *context, struct ps_slice key,
                               const struct ps_version *version);
PS_MUST_CHECK enum ps_status ps_map_list(struct ps_map *map, ps_map_store store,
                                         struct ps_slice prefix, struct ps_slice after,
                                         const struct ps_bound *bound, ps_map_each_fn each,
                                         void *context);

/** Call `each` for the log's records from `from_lsn` on, in order, with entries, until it returns
 *  false. Errors: PS_TOO_OLD (from_lsn is before the log's first), PS_IO. */
typedef bool (*ps_map_record_fn)(void *context, const struct ps_record *record);
PS_MUST_CHECK enum ps_status ps_map_log(struct ps_map *map, ps_map_store store, uint64_t from_lsn,
                                        ps_map_record_fn each, void *context);
/** The same without entries (entry_count 0): LSN, commit time and token only. Fast. */
PS_MUST_CHECK enum ps_status ps_map_log_marks(struct ps_map *map, ps_map_store store,
                                              uint64_t from_lsn, ps_map_record_fn each,
                                              void *context);

/** LSN and commit time of the write with this token. Errors: PS_NOT_FOUND (never, or forgotten). */
PS_MUST_CHECK enum ps_status ps_map_token(struct ps_map *map, ps_map_store store,
                                          const struct ps_token *token, uint64_t *ret_lsn,
                                          ps_time_ns *ret_commit_ns);

/** Replace a store by a snapshot: begin (drops what the store holds), any number of parts, finish
 *  (the log then ends at at_lsn and begins at at_lsn + 1). A snapshot that was not finished when
 * the map closed leaves the store empty. */
PS_MUST_CHECK enum ps_status ps_map_snapshot_begin(struct ps_map *map, ps_map_store store,
                                                   struct ps_error *err);
PS_MUST_CHECK enum ps_status ps_map_snapshot_put(struct ps_map *map, ps_map_store store,
                                                 const struct ps_entry *entry, uint64_t lsn,
                                                 ps_time_ns commit_ns, struct ps_error *err);
PS_MUST_CHECK enum ps_status ps_map_snapshot_finish(struct ps_map *map, ps_map_store store,
                                                    uint64_t at_lsn, ps_time_ns at_commit_ns,
                                                    struct ps_error *err);

/** Forget what no read at or after `horizon_ns` can reach: versions superseded at or before it,
 *  tombstones committed at or before it that nothing older stands behind, and the log and tokens of
 *  records committed before it. Works on at most `budget` keys or records a call and goes on where
 * it stopped; *ret_more tells whether there is more to do. Called where ps_map_apply is. */
PS_MUST_CHECK enum ps_status ps_map_forget(struct ps_map *map, ps_map_store store,
                                           ps_time_ns horizon_ns, size_t budget, bool *ret_more,
                                           struct ps_error *err);

/** Small named values of the node itself (boot count, link). PS_NOT_FOUND if unset. get appends to
 *  `ret`; put is durable on return and is called where ps_map_apply is. */
PS_MUST_CHECK enum ps_status ps_map_meta_get(struct ps_map *map, struct ps_slice name,
                                             struct ps_buf *ret);
PS_MUST_CHECK enum ps_status ps_map_meta_put(struct ps_map *map, struct ps_slice name,
                                             struct ps_slice value, struct ps_error *err);

/** Bytes the map takes (LMDB: used pages; memory: an estimate), keys and versions. */
struct ps_map_stats {
    uint64_t bytes;
    uint64_t keys;
    uint64_t versions;
    uint64_t log_records;
};
PS_MUST_CHECK enum ps_status ps_map_stats(struct ps_map *map, struct ps_map_stats *ret);

#endif
