/* The LMDB end of the versioned map, as its files know it.
 *
 *   map_lmdb.c        the environment: its folder and lock, opening, closing
 *   map_lmdb_run.c    the gate, growing, and the two runners of transactions
 *   map_lmdb_row.c    the bytes of rows
 *   map_lmdb_txn.c    a transaction with a sticky status
 *   map_lmdb_key.c    the key table: keys longer than LMDB's are cut into chunks
 *   map_lmdb_read.c   get, freshness, list, log, token: what is settled
 *   map_lmdb_recent.c what is not yet, and the reads over both (its header says why)
 *   map_lmdb_write.c  stores, apply, forget, meta
 *   map_lmdb_snapshot.c  replacing a store
 *   map_lmdb_journal.c     the journal's files (its header says how all is made durable)
 *   map_lmdb_replay.c      what transactions write into the journal, and doing it again
 *   map_lmdb_checkpoint.c  making LMDB's file durable, and putting it back
 *
 * Rows; integers in keys are big-endian, those in values little-endian, `varint` is LEB128:
 *
 *   log      store u16, lsn u64             -> 0x80 | flags u8, commit u64, [token 16],
 *                                              key count varint, (size varint, key)*
 *            0x8000 | store, lsn, key id    -> the same with one key: a tombstone that came in a
 *                                              snapshot, which no log record will ever point at
 *   key      node u32, chunk < P bytes      -> key id u64
 *            node u32, chunk of P bytes     -> the node u32 in which the key goes on
 *            (a store's root is the node with the store's number, other nodes are above)
 *   version  key id u64, ~lsn u64           -> 0x80 | flags u8, commit u64, seq varint,
 *                                              [expires varint], [metadata size varint, metadata],
 *                                              value
 *   token    store u16, token               -> lsn u64, commit u64
 *   meta     "f"                            -> format number u32
 *            "n"                            -> inner rows of the key table u64
 *            "s", store u16                 -> flags u8, base lsn u64, base commit u64, name
 *            "u", name                      -> a named value of the node
 *
 * A version's `seq` counts the versions of its key from 1, so that "how many are newer" is a
 * subtraction. A store's base is where its log ended when the log's last row was forgotten, or
 * where its snapshot ended. */
#ifndef PS_NODE_MAP_MAP_LMDB_INTERNAL_H
#define PS_NODE_MAP_MAP_LMDB_INTERNAL_H

#include "node/map/map_internal.h"
#include "node/map/map_lmdb_journal.h"
#include "node/map/map_lmdb_recent.h"

#include <lmdb.h>

#include <pthread.h>

enum {
    PS_LMDB_FORMAT = 2, /* 1: no journal stood beside it */
    PS_LMDB_VERSION_KEY_SIZE = 16,
    PS_LMDB_LOG_KEY_SIZE = 10,
    PS_LMDB_TOMB_KEY_SIZE = 18,
    PS_LMDB_TOMB_STORE = 0x8000,
    PS_LMDB_NODE_FIRST = 0x10000 /* nodes below are roots of stores */
};

enum ps_lmdb_table {
    PS_LMDB_LOG,
    PS_LMDB_KEY,
    PS_LMDB_VERSION,
    PS_LMDB_TOKEN,
    PS_LMDB_META,
    PS_LMDB_TABLES
};

struct ps_lmdb_map;

/** Up to where a read sees a store's recent records: to where they led when it first asked. */
struct ps_lmdb_limit {
    ps_map_store store;
    uint64_t lsn; /* 0: none were there */
    ps_time_ns commit_ns;
};

enum { PS_LMDB_LIMITS = 8 };

/** A transaction. The first failure sticks: every later call does nothing and finds nothing, so
 * that callers are straight lines with one check at the end. */
struct ps_lmdb_txn {
    struct ps_lmdb_map *map;
    MDB_txn *txn;
    struct ps_lmdb_recent *recent;               /* of a read: what is not in LMDB ... */
    struct ps_lmdb_limit limits[PS_LMDB_LIMITS]; /* ... for the stores that it asked for last */
    size_t limit_count;
    int rc;                /* LMDB's or errno's code of the first failure; 0 = none */
    enum ps_status status; /* what it means */

    struct {
        MDB_cursor *cursor; /* opened when first used */
        bool stale;         /* belongs to the time before the renewal of a read transaction */
    } cursors[PS_LMDB_TABLES];

    uint64_t next_key;  /* write: the ids that are given out next ... */
    uint64_t next_node; /* ... committed to the map with the transaction */
    int64_t inner_rows; /* write: inner rows made less those removed */
    uint64_t work;      /* write: about as many bytes of pages */
};

/** Parts of a snapshot that wait for their transaction. */
struct ps_lmdb_snapshot {
    struct ps_buf bytes;
    struct ps_lmdb_part *parts;
    size_t count;
    size_t capacity;
    uint64_t lsn_max;
    bool failed;
};

struct ps_lmdb_store {
    char name[PS_STORE_NAME_MAX + 1];
    struct ps_log_state log;           /* as committed; under the map's mutex */
    struct ps_log_state next;          /* the writer's, until its transaction is committed */
    struct ps_lmdb_snapshot *snapshot; /* being taken; writer only */
};

/** What one thread reads by. It stays, for that thread or one that comes after it. */
struct ps_lmdb_reader {
    struct ps_lmdb_txn txn; /* first member; reset between reads */
    struct ps_lmdb_reader *next;
    pthread_t thread;
    bool reading; /* between ps_map_read_begin and _end; its thread's own */
};

enum { PS_LMDB_META_SIZE = 512, PS_LMDB_BOOT_SIZE = 40 };

enum ps_lmdb_file_state {
    PS_LMDB_UNBORN, /* data.mdb was about to be made */
    PS_LMDB_WHOLE   /* the state that `checkpoint` names is whole on the disk */
};

/** A state of LMDB's file, as the file `checkpoint` names it. */
struct ps_lmdb_saved {
    uint64_t number; /* of the checkpoint; 0 = there is none */
    enum ps_lmdb_file_state state;
    uint64_t txn;        /* LMDB's newest transaction in it */
    uint64_t generation; /* of the journal, from which on it leads further ... */
    uint64_t chain;      /* ... and what its first entry stands behind */
    uint64_t page_size;
    char boot_id[PS_LMDB_BOOT_SIZE];  /* NUL-terminated; empty = not known */
    char metas[2][PS_LMDB_META_SIZE]; /* the beginnings of pages 0 and 1 */
};

/** Checkpoints. Under the map's `writing`, if nothing else is said. */
struct ps_lmdb_checkpoints {
    struct ps_lmdb_tuning tuning;
    int fd;                          /* of `checkpoint`; -1: not there yet */
    char boot_id[PS_LMDB_BOOT_SIZE]; /* the system's */
    struct ps_lmdb_saved saved;
    bool restored; /* opening put the meta pages back */
    MDB_txn *pin;  /* keeps the pages of `saved` */
    pthread_t thread;
    bool threaded;
    bool stop;
    bool making;         /* one is being made */
    bool wanted;         /* work_max is reached, or the journal's */
    bool dirty;          /* something was written since the last one began ... */
    int64_t dirty_ns;    /* ... first at this time, CLOCK_MONOTONIC ... */
    uint64_t work;       /* ... and about so many bytes */
    int failed;          /* errno of a sync that failed; it stays */
    bool stuck;          /* the last one could not settle what is recent: the disk is full */
    pthread_cond_t wake; /* of the thread */
    pthread_cond_t done; /* of who waits for a checkpoint */
};

struct ps_lmdb_map {
    struct ps_map base;
    char *path;
    int lock_fd;
    bool sync;               /* what is applied is durable on return; the writer's */
    bool opened;             /* what is written goes through the journal */
    pthread_mutex_t writing; /* held while the map is written, and where a checkpoint begins */
    struct ps_journal journal;
    struct ps_lmdb_checkpoints checkpoints;
    MDB_env *env;
    MDB_dbi tables[PS_LMDB_TABLES];

    /* The gate: the map is only moved (grown) while nobody reads. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned readers;
    bool growing;
    struct ps_lmdb_reader *reader_list; /* under the mutex; as many as threads ever read */

    struct ps_lmdb_store stores[PS_MAP_STORES_MAX];
    size_t store_count; /* under the mutex */
    uint64_t next_key;
    uint64_t next_node;
    struct ps_buf scratch; /* the writer's */

    struct ps_lmdb_recent *recent; /* under the mutex */
    size_t recent_max;             /* its cost, when it is settled */
    pthread_mutex_t recent_lock;   /* of what generations hold */
};

/* map_lmdb_run.c */

enum ps_status ps_lmdb_status_of(int rc);
/** An error with the folder; where bytes are wrong, with the file that holds them. */
enum ps_status ps_lmdb_fail_in(const struct ps_lmdb_map *map, enum ps_status status,
                               const char *reason, struct ps_error *err);

typedef void (*ps_lmdb_work_fn)(struct ps_lmdb_txn *txn, void *context);

/** Settle what is recent, then run `work` in a write transaction and commit it. With a kind: what
 * was put into ps_lmdb_entry(map) goes to the journal first, and if the map is sync it is durable
 * on return (PS_JOURNAL_FORGET: with what comes next). When the map turns out to be full it is
 * grown and `work` runs again, so it must not change anything outside the transaction that it would
 * miss then. Errors: as `work` sets them, PS_FULL, PS_IO, PS_CORRUPT; nothing is changed. */
PS_MUST_CHECK enum ps_status ps_lmdb_write(struct ps_lmdb_map *map, enum ps_journal_kind kind,
                                           ps_lmdb_work_fn work, void *context,
                                           struct ps_error *err);

/** Put what is recent into LMDB; `writing` is held. ret->status, ret->rc: why it could not be. */
void ps_lmdb_settle(struct ps_lmdb_map *map, struct ps_lmdb_txn *ret);
/** Write an entry of records, which no transaction has yet, and sync it if the map is sync;
 *  `writing` is held. errno. */
PS_MUST_CHECK int ps_lmdb_write_records(struct ps_lmdb_map *map);
/** The error of a transaction that failed. */
enum ps_status ps_lmdb_fail_at(const struct ps_lmdb_map *map, const struct ps_lmdb_txn *txn,
                               struct ps_error *err);

/** Run `work` in a read transaction of its own; from any thread, within a read or not. */
PS_MUST_CHECK enum ps_status ps_lmdb_read(struct ps_lmdb_map *map, ps_lmdb_work_fn work,
                                          void *context);

enum ps_status ps_lmdb_read_begin(struct ps_map *base);
void ps_lmdb_read_end(struct ps_map *base);
/** The calling thread's read transaction, within its read. */
struct ps_lmdb_txn *ps_lmdb_reader(struct ps_lmdb_map *map);

/* map_lmdb_txn.c */

bool ps_lmdb_failed(const struct ps_lmdb_txn *txn);
void ps_lmdb_fail(struct ps_lmdb_txn *txn, int rc);
void ps_lmdb_fail_status(struct ps_lmdb_txn *txn, enum ps_status status);

/** Move the table's cursor. False: there is no such row, or the transaction has failed. */
bool ps_lmdb_seek(struct ps_lmdb_txn *txn, enum ps_lmdb_table table, MDB_cursor_op op, MDB_val *key,
                  MDB_val *value);
/** Put through the table's cursor; flags as for mdb_cursor_put. False on failure. */
bool ps_lmdb_put(struct ps_lmdb_txn *txn, enum ps_lmdb_table table, MDB_val key, MDB_val *value,
                 unsigned flags);
/** Delete the row under the table's cursor; MDB_NEXT then gives the row behind it. */
void ps_lmdb_delete(struct ps_lmdb_txn *txn, enum ps_lmdb_table table);
void ps_lmdb_close_cursors(struct ps_lmdb_txn *txn);

/* map_lmdb_row.c */

MDB_val ps_lmdb_val(const void *data, size_t size);
struct ps_slice ps_lmdb_slice(MDB_val val);
void ps_put_be16(unsigned char *out, uint16_t value);
void ps_put_be32(unsigned char *out, uint32_t value);
void ps_put_be64(unsigned char *out, uint64_t value);
uint16_t ps_get_be16(const unsigned char *in);
uint32_t ps_get_be32(const unsigned char *in);
uint64_t ps_get_be64(const unsigned char *in);

/** A cursor over a row's value. The first read beyond its end sticks in `bad`; numbers are 0 then.
 */
struct ps_row {
    const unsigned char *at;
    size_t left;
    bool bad;
};
struct ps_row ps_row_of(MDB_val val);
uint8_t ps_row_u8(struct ps_row *row);
uint64_t ps_row_u64(struct ps_row *row);
uint64_t ps_row_varint(struct ps_row *row);
struct ps_slice ps_row_bytes(struct ps_row *row, uint64_t size);

void ps_row_put_u8(struct ps_buf *buf, uint8_t value);
void ps_row_put_u64(struct ps_buf *buf, uint64_t value);
void ps_row_put_varint(struct ps_buf *buf, uint64_t value);

void ps_version_key(unsigned char out[PS_LMDB_VERSION_KEY_SIZE], uint64_t id, uint64_t lsn);
void ps_log_key(unsigned char out[PS_LMDB_LOG_KEY_SIZE], unsigned store, uint64_t lsn);

/** Append everything of a version's row but the value's bytes, which follow. */
void ps_version_row_head(struct ps_buf *buf, uint64_t seq, ps_time_ns commit_ns,
                         const struct ps_entry *entry);
/** Read a version's row. Errors: PS_CORRUPT. */
PS_MUST_CHECK enum ps_status ps_version_row_read(MDB_val key, MDB_val value, struct ps_version *ret,
                                                 uint64_t *ret_seq);

/** A log row: the marks, and a cursor that stands before the keys. */
struct ps_log_row {
    uint64_t lsn;
    ps_time_ns commit_ns;
    struct ps_token token;
    uint64_t key_count;
    struct ps_row keys;
};

void ps_log_row_head(struct ps_buf *buf, ps_time_ns commit_ns, const struct ps_token *token,
                     size_t key_count);
void ps_log_row_key(struct ps_buf *buf, struct ps_slice key);
PS_MUST_CHECK enum ps_status ps_log_row_read(MDB_val key, MDB_val value, struct ps_log_row *ret);
struct ps_slice ps_log_row_next(struct ps_log_row *row); /* the next key; size 0 when bad */

/* map_lmdb_key.c */

/** The key's id; false if there is none. */
bool ps_key_find(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                 uint64_t *ret_id);
/** The key's id, given now if it has none; *ret_new tells. */
uint64_t ps_key_find_or_add(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                            bool *ret_new);
void ps_key_remove(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key);

/** A walk over a store's keys in byte order. */
struct ps_key_walk {
    struct ps_lmdb_txn *txn;
    uint32_t nodes[PS_KEY_SIZE_MAX / PS_MAP_CHUNK + 1];
    size_t depth; /* nodes[depth] is where the walk is */
    char key[PS_KEY_SIZE_MAX];
    size_t key_size;
    uint64_t id;
};

/** Go to the first key >= from; false if there is none. */
bool ps_key_walk_start(struct ps_key_walk *walk, struct ps_lmdb_txn *txn, ps_map_store store,
                       struct ps_slice from);
bool ps_key_walk_next(struct ps_key_walk *walk);

/** Inner rows of the key table, as committed. */
uint64_t ps_key_inner_rows(struct ps_lmdb_txn *txn);
/** Write down what the transaction changed of them. */
void ps_key_inner_rows_save(struct ps_lmdb_txn *txn);

/* map_lmdb_read.c: what is settled, within the thread's read */

enum ps_status ps_lmdb_settled_get(struct ps_lmdb_map *map, ps_map_store store, struct ps_slice key,
                                   const struct ps_bound *bound, struct ps_version *ret);
enum ps_status ps_lmdb_settled_freshness(struct ps_lmdb_map *map, ps_map_store store,
                                         struct ps_slice key, uint64_t lsn, ps_time_ns commit_max,
                                         struct ps_freshness *ret);
enum ps_status ps_lmdb_settled_list(struct ps_lmdb_map *map, ps_map_store store,
                                    struct ps_slice prefix, struct ps_slice after,
                                    const struct ps_bound *bound, ps_map_each_fn each,
                                    void *context);
enum ps_status ps_lmdb_settled_log(struct ps_lmdb_map *map, ps_map_store store, uint64_t from_lsn,
                                   bool entries, ps_map_record_fn each, void *context);
enum ps_status ps_lmdb_settled_token(struct ps_lmdb_map *map, ps_map_store store,
                                     const struct ps_token *token, uint64_t *ret_lsn,
                                     ps_time_ns *ret_commit_ns);
/** The key's newest version. False: it has none, or the transaction has failed. */
bool ps_lmdb_settled_newest(struct ps_lmdb_txn *txn, ps_map_store store, struct ps_slice key,
                            struct ps_version *ret);
/** Adds bytes, keys and versions. */
void ps_lmdb_settled_stats(struct ps_lmdb_txn *txn, struct ps_map_stats *stats);
enum ps_status ps_lmdb_log_state(struct ps_map *base, ps_map_store store, struct ps_log_state *ret);
enum ps_status ps_lmdb_meta_get(struct ps_map *base, struct ps_slice name, struct ps_buf *ret);

/* map_lmdb_write.c */

/** The writer's state of a store becomes the committed one. */
void ps_lmdb_publish(struct ps_lmdb_map *map);

/** Put the generation's records into the tables. Work of ps_lmdb_settle. */
void ps_lmdb_settle_work(struct ps_lmdb_txn *txn, void *unused);
/** Add the version (entry, lsn, commit) of a key. False when the same version was there already and
 *  was replaced (a record that names a key twice). *ret_id: the key's id. */
bool ps_version_add(struct ps_lmdb_txn *txn, ps_map_store store, const struct ps_entry *entry,
                    uint64_t lsn, ps_time_ns commit_ns, uint64_t *ret_id);
/** Delete the versions of key `id` below `lsn`; gives whether any version is left. */
bool ps_versions_delete_below(struct ps_lmdb_txn *txn, uint64_t id, uint64_t lsn);
/** Write the store's row of the meta table. */
void ps_store_row_put(struct ps_lmdb_txn *txn, ps_map_store store, bool incomplete,
                      uint64_t base_lsn, ps_time_ns base_commit_ns);
/** Read the store's log state, and whether a snapshot of it was left unfinished. */
struct ps_log_state ps_store_state_read(struct ps_lmdb_txn *txn, ps_map_store store,
                                        bool *ret_incomplete);
/** Read all stores into the map. For opening. */
void ps_lmdb_load_stores(struct ps_lmdb_txn *txn, void *unused);

enum ps_status ps_lmdb_store_open(struct ps_map *base, struct ps_slice name, ps_map_store *ret,
                                  struct ps_error *err);
enum ps_status ps_lmdb_apply(struct ps_map *base, const struct ps_append *appends, size_t count,
                             struct ps_error *err);
enum ps_status ps_lmdb_forget(struct ps_map *base, ps_map_store store, ps_time_ns horizon_ns,
                              size_t budget, bool *ret_more, struct ps_error *err);
enum ps_status ps_lmdb_make_sync(struct ps_map *base, struct ps_error *err);
/** A named value, as durable as an apply is. */
enum ps_status ps_lmdb_named_put(struct ps_lmdb_map *map, struct ps_slice name,
                                 struct ps_slice value, struct ps_error *err);
enum ps_status ps_lmdb_meta_put(struct ps_map *base, struct ps_slice name, struct ps_slice value,
                                struct ps_error *err);

/* map_lmdb_checkpoint.c */

/** Before LMDB opens its file: read what was saved, and put the meta pages back if the file may be
 *  torn. Errors: PS_IO, PS_CORRUPT, PS_FULL. */
PS_MUST_CHECK enum ps_status ps_lmdb_checkpoint_prepare(struct ps_lmdb_map *map,
                                                        struct ps_error *err);
/** LMDB has opened its file and nothing was written: pin its state and have it named. */
PS_MUST_CHECK enum ps_status ps_lmdb_checkpoint_pin(struct ps_lmdb_map *map, struct ps_error *err);
/** The end of opening: a checkpoint if anything was done, then the thread. `entries`: the journal
 * had entries, and starts anew. */
PS_MUST_CHECK enum ps_status ps_lmdb_checkpoint_start(struct ps_lmdb_map *map, bool entries,
                                                      struct ps_error *err);
/** Make a checkpoint; waits for one under way first. Not while `writing` is held. Errors: PS_IO,
 *  PS_FULL. */
PS_MUST_CHECK enum ps_status ps_lmdb_checkpoint(struct ps_lmdb_map *map, struct ps_error *err);
/** Something was written that made so much work, if any; `writing` is held. */
void ps_lmdb_checkpoint_note(struct ps_lmdb_map *map, uint64_t work);
/** Before anything is written: wait while checkpoints are far behind; `writing` is held. errno of
 *  why nothing can be written, 0 = it can. */
PS_MUST_CHECK int ps_lmdb_checkpoint_wait(struct ps_lmdb_map *map);
/** Wait until none is being made; `writing` is held. errno of a sync that failed, 0 = none. */
PS_MUST_CHECK int ps_lmdb_checkpoint_await(struct ps_lmdb_map *map);
void ps_lmdb_checkpoint_stop(
    struct ps_lmdb_map *map); /* the last one, if need be; no thread left */

/* map_lmdb_replay.c */

/** Where a transaction puts what the journal is to say of it; NULL when none is kept. */
struct ps_buf *ps_lmdb_entry(struct ps_lmdb_map *map);
/** Within no transaction; of a map that is open. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_lmdb_entry_apply(struct ps_lmdb_map *map,
                                                 const struct ps_append *appends, size_t count);
void ps_lmdb_entry_forget(struct ps_lmdb_map *map, ps_map_store store, ps_time_ns horizon_ns,
                          size_t budget);
void ps_lmdb_entry_named(struct ps_lmdb_map *map, struct ps_slice name, struct ps_slice value);
void ps_lmdb_entry_snapshot(struct ps_lmdb_map *map, ps_map_store store);

/** Do again what the journal holds beyond the map. *ret_entries: whether it holds anything.
 *  Errors: PS_CORRUPT, PS_IO, PS_FULL. */
PS_MUST_CHECK enum ps_status ps_lmdb_replay(struct ps_lmdb_map *map, bool *ret_entries,
                                            struct ps_error *err);

/* map_lmdb_snapshot.c */

enum ps_status ps_lmdb_snapshot_begin(struct ps_map *base, ps_map_store store,
                                      struct ps_error *err);
enum ps_status ps_lmdb_snapshot_put(struct ps_map *base, ps_map_store store,
                                    const struct ps_entry *entry, uint64_t lsn,
                                    ps_time_ns commit_ns, struct ps_error *err);
enum ps_status ps_lmdb_snapshot_finish(struct ps_map *base, ps_map_store store, uint64_t at_lsn,
                                       ps_time_ns at_commit_ns, struct ps_error *err);
/** Mark the store as one whose snapshot was begun. */
PS_MUST_CHECK enum ps_status ps_lmdb_snapshot_mark(struct ps_lmdb_map *map, ps_map_store store,
                                                   struct ps_error *err);
void ps_lmdb_snapshot_drop(struct ps_lmdb_store *store);
/** Empty the stores whose snapshot was not finished. For opening. */
PS_MUST_CHECK enum ps_status ps_lmdb_snapshot_recover(struct ps_lmdb_map *map,
                                                      struct ps_error *err);

#endif
