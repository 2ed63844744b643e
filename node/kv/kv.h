/* Workers KV: requests, their documented limits and errors, and their answers. Pure: no I/O, no
 * clock.
 *
 * The HTTP front parses bytes into a `ps_kv_request`; the node decides and executes it; the front
 * turns the `ps_kv_answer` into bytes of the dialect it came in. The scenario engine makes the same
 * requests without HTTP, and is held to the same limits by the same functions. */
#ifndef PS_NODE_KV_KV_H
#define PS_NODE_KV_KV_H

#include "node/map/map.h"
#include "replication/world/cluster.h"

enum {
    PS_KV_KEY_SIZE_MAX = 512,
    PS_KV_METADATA_SIZE_MAX = 1024,
    PS_KV_VALUE_SIZE_MAX = 25 << 20,
    PS_KV_TTL_S_MIN = 60, /* expirationTtl, and expiration from now */
    PS_KV_CACHE_TTL_S_MIN = 30,
    PS_KV_LIST_MAX = 1000,
    PS_KV_BULK_GET_MAX = 100,
    PS_KV_BULK_GET_SIZE_MAX = 25000000,
    PS_KV_BULK_WRITE_MAX = 10000,
    PS_KV_TITLE_SIZE_MAX = 512 /* of a namespace */
};

enum ps_kv_op { PS_KV_GET, PS_KV_GET_BULK, PS_KV_LIST, PS_KV_PUT, PS_KV_DELETE };

/** An error as the service tells it: workerd shows the reason phrase to its user. Zeroed = none. */
struct ps_kv_error {
    int http_status;  /* 400, 404, 413, 414, 429, 500, 503 */
    int api_code;     /* the REST API's code (10009, ...) */
    char phrase[256]; /* reason phrase, and the REST message */
};

/** One request. Slices borrow from whoever made it. Zeroed numbers = not given. */
struct ps_kv_request {
    enum ps_kv_op op;
    bool fresh; /* read the central store (the REST API does), not the PoP's cache */
    struct ps_slice key;
    const struct ps_slice *keys; /* GET_BULK */
    size_t key_count;
    bool has_cache_ttl;
    int64_t cache_ttl_s;
    struct ps_slice value;
    struct ps_slice metadata; /* JSON text, or empty */
    bool has_expiration;
    int64_t expiration_s; /* Unix time */
    bool has_expiration_ttl;
    int64_t expiration_ttl_s;
    struct ps_slice prefix;
    struct ps_slice after; /* list: the decoded cursor: names > this */
    bool has_limit;
    int64_t limit;
};

/** Check a request against the documented limits at Unix time `now_unix_s`, and turn expiration and
 *  expirationTtl (which wins when both are given) into *ret_expires_unix_s (0 = never).
 *  Returns true when it may go on; else fills *err. */
bool ps_kv_check(const struct ps_kv_request *request, int64_t now_unix_s,
                 uint64_t *ret_expires_unix_s, struct ps_kv_error *err);

/** May a put of a key whose newest put was committed at `last_put_ns` (PS_NEVER: none) be committed
 *  at `now_ns`? */
bool ps_kv_write_allowed(const struct ps_kv_limits *limits, ps_time_ns last_put_ns,
                         ps_time_ns now_ns);

/** Fill *err with the service's words for a failed write or fetch (429 "Too Many Requests", 503
 * ...). */
void ps_kv_error_of(enum ps_status status, struct ps_kv_error *err);

/** Unix time in whole seconds at cluster time `t`. */
int64_t ps_kv_unix_s(const struct ps_cluster *cluster, ps_time_ns t);

/** Is this version to be shown as absent at Unix time `now_unix_s`: deleted or expired? */
bool ps_kv_absent(const struct ps_version *version, int64_t now_unix_s);

/** List cursors: opaque text that holds the last name given. Errors: PS_INVALID. */
void ps_kv_cursor_encode(struct ps_buf *buf, struct ps_slice last_name);
PS_MUST_CHECK enum ps_status ps_kv_cursor_decode(struct ps_slice cursor,
                                                 struct ps_buf *ret_last_name);

/** What a read was told about itself: the popsim-* headers. */
struct ps_kv_staleness {
    uint64_t lsn;        /* version returned; 0 = none */
    uint64_t latest_lsn; /* the key's newest version */
    uint64_t behind;
    ps_dur_ns stale_ns;    /* how long ago it was superseded; 0 = newest */
    ps_time_ns eval_ns;    /* cluster time of evaluation (for a write: its commit time) */
    uint64_t boot;         /* the PoP's start count: its cache is empty at each */
    bool late;             /* home was away: answered from an incomplete log ... */
    uint64_t have_lsn;     /* ... which ended here */
    ps_time_ns refresh_ns; /* write: when the PoP's own entry was refreshed; 0 = not */
    enum ps_cache_status cache;
    /* of a database's request */
    bool at_home;      /* home ran it, whoever was asked */
    bool wrote;        /* it made `lsn` */
    ps_time_ns run_ns; /* what 'now' was in its SQL; 0 = it was not run */
};

#endif
