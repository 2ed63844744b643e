/* Histories: what was done and seen, one completed operation a line (JSON Lines).
 *
 * DESIGN section 9 names the fields: id, session, pop, store, op, key, invoke_ns, complete_ns,
 * eval_ns, lsn, ok, error. popsim adds: cache_ttl_ns (when a read named one), boot (the PoP's start
 * count), digest (XXH3-64 of the value, hex; reads and writes), found (reads), refresh_ns (writes:
 * when the PoP refreshed its own entry), late and have_lsn (reads answered while home was away),
 * and on the first line only `run`: everything that is needed to compute the history again
 * (cluster, links as they were, records of no operation). Lines are ordered by (complete_ns, id).
 * The format of a line:
 *
 *   {"id":1,"session":"readers/fra","pop":"fra","store":"CACHE","op":"kv.get","key":"user:1",
 *    "invoke_ns":0,"complete_ns":0,"eval_ns":0,"lsn":0,"ok":true,"error":null,"boot":1,
 *    "found":false,"digest":"0000000000000000"}
 *
 * and behind these, when they are not zero: refresh_ns, cache_ttl_ns, expires_unix_s, list_limit,
 * late, have_lsn, http_status; then `run`. `found` is there for gets, `digest` for all but deletes.
 *
 * The digest of a list is ps_slice_hash of the names listed, in order, each with a NUL behind it.
 *
 * D1: a database is one key, "". What was asked stands in `request` (the JSON that the binding
 * sends, as a string), `with_session` (how its D1 session began; absent: none) and `bookmark_lsn`.
 * `at_home` says that home ran it, be it of another PoP or of its own; `wrote` that its commit made
 * `lsn`, and only then it is a write. The digest is ps_slice_hash of what each statement gave as
 * `results` in the format ROWS_AND_COLUMNS, byte by byte, each with a NUL behind it; of a request
 * that D1 refused (error "invalid") that of its words. Also rows_read and rows_written, as D1 bills
 * them, and run_ns and seed: what 'now' was in SQL, and what its chance was drawn from.
 *
 * R2: `request` is the JSON that the binding sends, where more than the key was said; of a delete
 * of several keys `key` is the first. `etag` is the object's. A put whose condition did not hold
 * and a delete of what is not there are ok with LSN 0; their eval_ns is when home decided so. The
 * digest is that of the body that came with the answer (0: of none); of a large generated body that
 * of its seed and size (sim/workload/body.h); of a list that of its keys, then of its delimited
 * prefixes, each with a NUL behind it. r2.fetch is a read of the public URL, through the PoP's
 * cache: `cache` is its CF-Cache-Status; a 404 has the LSN of the deletion that it stands for.
 * r2.purge writes a record to the bucket's log, which is no version of any key. */
#ifndef PS_SIM_MEASURE_HISTORY_H
#define PS_SIM_MEASURE_HISTORY_H

#include "replication/world/cluster.h"
#include "sim/scenario/d1_session.h"

#include <stdio.h>

enum ps_op_kind {
    PS_OP_KV_GET,
    PS_OP_KV_PUT,
    PS_OP_KV_DELETE,
    PS_OP_KV_LIST,
    PS_OP_D1_QUERY,
    PS_OP_D1_BATCH,
    PS_OP_R2_GET,
    PS_OP_R2_HEAD,
    PS_OP_R2_PUT,
    PS_OP_R2_DELETE,
    PS_OP_R2_LIST,
    PS_OP_R2_FETCH, /* of the public URL */
    PS_OP_R2_PURGE  /* of the public URL's caches */
};

enum { PS_OP_KINDS = PS_OP_R2_PURGE + 1 };

/** "kv.get". */
const char *ps_op_kind_name(enum ps_op_kind kind);

/** One completed operation. `session`, `store`, `key` are indices into the history's tables. */
struct ps_op {
    uint64_t id;            /* from 1, in order of invocation */
    ps_time_ns invoke_ns;   /* at the client */
    ps_time_ns complete_ns; /* at the client */
    ps_time_ns
        eval_ns;     /* read: when the PoP decided it, or home ran it for D1 (unique and ascending
                        per PoP, or at home, and store); write: commit time; 0 = none */
    uint64_t lsn;    /* write: version written; read: version that decided the answer (a tombstone's
                        or an expired version's too); list: the store's LSN as listed; 0 = none */
    uint64_t digest; /* of the value; list: of the names; 0 = none */
    ps_time_ns refresh_ns;   /* write: when the PoP's entry was refreshed; 0 = not */
    ps_dur_ns cache_ttl_ns;  /* read: as asked; 0 = not */
    uint64_t have_lsn;       /* when late */
    uint64_t expires_unix_s; /* put: 0 = never */
    uint32_t session;
    uint32_t key; /* list: the prefix */
    uint32_t boot;
    uint32_t list_limit; /* list: as asked; 0 = default */
    uint16_t pop;        /* index into cluster.pops */
    uint16_t store;      /* index into cluster.stores */
    uint8_t kind;        /* enum ps_op_kind */
    uint8_t error;       /* enum ps_status; PS_OK = ok */
    bool found;
    bool late;
    uint16_t http_status; /* live: the status, when it was an error; 0 = none */
    /* d1, r2 */
    bool wrote; /* d1 */
    bool at_home;
    uint8_t cache;        /* r2.fetch: enum ps_r2_cache_state + 1; 0 = not known */
    uint8_t with_session; /* enum ps_d1_session, one of the first four */
    uint32_t request; /* index into the history's requests + 1; 0 = not known, r2: the key alone */
    uint32_t etag;    /* r2: index into the history's requests + 1; 0 = no object */
    uint64_t bookmark_lsn; /* with a bookmark: its LSN */
    ps_time_ns dropped_ns; /* r2.fetch: the entry's body was gone, and so the entry, at this instant
                              of the PoP's; 0 = not */
    ps_time_ns run_ns;     /* cluster time of its 'now'; 0 = not known */
    uint64_t seed;         /* of its random(); 0 = not known */
    uint64_t rows_read;
    uint64_t rows_written;
};

/** Is it an operation on a D1 database? */
bool ps_op_is_d1(const struct ps_op *op);
/** ... on an R2 bucket, its public URL included? */
bool ps_op_is_r2(const struct ps_op *op);
/** The type of the stores that it is for. */
enum ps_store_type ps_op_store_type(enum ps_op_kind kind);
/** Is it a read of a bucket's public URL? */
bool ps_op_is_public(const struct ps_op *op);
/** Does it list keys? */
bool ps_op_is_list(const struct ps_op *op);
/** Does it delete? */
bool ps_op_is_delete(const struct ps_op *op);
/** Did it write, or try to: a put, a delete, a purge, a D1 request that committed something? */
bool ps_op_is_write(const struct ps_op *op);
/** Is it a read of one key that the measures look at: a get, a head, a fetch, a D1 request that
 * wrote nothing? */
bool ps_op_is_read(const struct ps_op *op);

/** A record of the log that no operation of the history is known to have made (set-up by others, or
 * a write whose client got no answer). */
struct ps_foreign {
    uint16_t store;
    uint64_t lsn;
    ps_time_ns commit_ns;
    uint32_t key;
    bool deleted;
    bool purge; /* r2: of public caches; none */
    bool none;  /* r2: no version of any key: a purge, an upload under way; key: what is purged */
    uint64_t expires_unix_s;
    uint64_t digest;
    /* d1 where it is known, r2: as of an operation */
    uint32_t request;
    uint32_t etag;
    ps_time_ns run_ns;
    uint64_t seed;
};

/** A time at which home (or any PoP) was down, for `late` reads. */
struct ps_downtime {
    uint16_t pop;
    struct ps_interval when;
};

/** Interned strings: equal text, equal number; numbers from 0 in order of first use. */
struct ps_intern;
struct ps_intern *ps_intern_create(void);
void ps_intern_destroy(struct ps_intern *intern); /* NULL accepted */
/** The text's number; a new text is copied. */
uint32_t ps_intern_put(struct ps_intern *intern, struct ps_slice text);
/** Lifetime: until the next put. number < count. */
struct ps_slice ps_intern_text(const struct ps_intern *intern, uint32_t number);
size_t ps_intern_count(const struct ps_intern *intern);

struct ps_history {
    struct ps_cluster *cluster; /* owned */
    char *scenario;             /* owned: the scenario's name */
    bool live;
    ps_time_ns begin_ns; /* cluster time at which the run began (virtual: 0) */
    ps_time_ns end_ns;   /* and ended */
    struct ps_link
        *links; /* owned: per PoP, outages and slows as they were (round trips are computed) */
    struct ps_foreign *foreign; /* owned */
    size_t foreign_count;
    struct ps_downtime *downtimes; /* owned */
    size_t downtime_count;
    struct ps_intern *sessions; /* owned */
    struct ps_intern *keys;     /* owned */
    struct ps_intern *requests; /* owned: of D1 and R2, and ETags */
    struct ps_op *ops;          /* owned; ordered by (complete_ns, id) */
    size_t op_count;
    size_t op_capacity;
};

/** Empty, with an empty cluster (ps_cluster_init) and no links: the maker sets them. */
struct ps_history *ps_history_create(void);
/** NULL accepted. links: one per PoP of the cluster, or NULL. */
void ps_history_destroy(struct ps_history *history);
/** Append; the order is restored by ps_history_sort. */
void ps_history_add(struct ps_history *history, const struct ps_op *op);
/** By (complete_ns, id); takes no time when it is in order already. */
void ps_history_sort(struct ps_history *history);

/** Write all lines to `file` (NULL: only hash) and give the SHA-256 of the bytes in hex. A history
 *  without operations has no line, and so loses its `run`.
 *  Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_history_write(const struct ps_history *history, FILE *file,
                                              char ret_sha256[65], struct ps_error *err);
/** Read a history file. Members that are not known are passed over. Errors name the line:
 *  PS_INVALID, PS_NOT_FOUND (no such file), PS_IO, PS_LIMIT. Ownership: *ret is the caller's. */
PS_MUST_CHECK enum ps_status ps_history_read(const char *path, struct ps_history **ret,
                                             struct ps_error *err);
/** The same from bytes; `name` is for messages. */
PS_MUST_CHECK enum ps_status ps_history_parse(struct ps_slice bytes, const char *name,
                                              struct ps_history **ret, struct ps_error *err);

#endif
