/* What the files of node/io share: the node, its stores, and the calls that are under way.
 *
 * All of it belongs to the loop's thread, but for the jobs that run on the writer thread
 * (worker.h).
 *
 *   server.c, conn.c   sockets and HTTP/1.1 connections
 *   exchange.c         one request: which call it makes, and its answer
 *   tail.c             the part of an answer that is sent as it is read
 *   execute.c          a KV request of any number of keys, as one call with one result
 *   reads.c            reads: decided, waiting for the log or for the time, resolved
 *   writes.c           writes: at home into the primary, elsewhere forwarded; their answers' time
 *   home.c             home's part: group commit, publishing, heartbeats, others' requests
 *   feed_glue.c        a follower's part: batches and snapshots into the map, what to ask next
 *   catch_up.c         home's answers to who has missed records
 *   peer.c             HTTP to another node
 *   control.c          /popsim/...
 *   metrics.c          /metrics
 *   log.c              what the node says
 *   jobs.c, worker.c   threads that are handed jobs
 *   heap.c             what waits, by its instant
 *   house.c            sweeping and forgetting
 *   stores.c           stores: opened, dropped, closed
 *   namespaces.c       the hidden store that says which stores there are
 *   node.c             start, the loop's turn, stop
 *
 * d1/
 *   queries.c          requests to D1 databases: here or at home, and when clients learn of it
 *   queries_home.c     home's part of that
 *   d1_thread.c        the thread that runs the SQL of one D1 database
 *   travel.c           Time Travel: bookmarks of instants, restores
 *   databases.c        exports and imports of D1 databases that were begun here
 *   d1_files.c         ... home's part: between a database and a file
 *
 * r2/
 *   object_exchange.c  a request to a bucket over an exchange, whichever protocol it came in
 *   buckets.c          the binding; buckets_rest.c: the REST API of buckets and objects
 *   public.c           GET and HEAD of public buckets; purges of their caches
 *   objects.c          requests to buckets: reads here, mutations at home
 *   objects_home.c     home's part of that
 *   objects_census.c, objects_sweep.c  which blobs are referred to; the others go
 *   bucket_drop.c      a bucket is closed at home, then dropped
 *   lifecycle.c        what buckets' lifecycles make expire
 *   blobs.c            large bodies as files, at home; blob_routes.c: /popsim/blobs/...
 *   transfer.c         bodies on their way: into files and out of them, here or at home
 *
 * s3/
 *   s3.c               the S3 port; s3_buckets.c: its buckets, s3_copy.c: copies that pass through
 */
#ifndef PS_NODE_IO_NODE_INTERNAL_H
#define PS_NODE_IO_NODE_INTERNAL_H

#include "node/cluster/cluster_file.h"
#include "node/io/heap.h"
#include "node/io/metrics.h"
#include "node/io/worker.h"
#include "node/kv/kv.h"
#include "node/kv/primary.h"
#include "node/kv/replica.h"
#include "node/map/map.h"
#include "node/r2/public.h"
#include "replication/feed/follower.h"
#include "replication/feed/transport.h"

#include <ev.h>

#include <time.h>

enum {
    PS_HEARTBEAT_MS = 50,
    PS_HEARTBEAT_HIDDEN_MS = 500, /* of the hidden store, which nobody waits for */
    PS_WRITE_RETRY_MS = 250,      /* a forwarded write without an answer is sent again after this */
    PS_WRITE_BUSY_MS = 20,        /* ... and after this when the peer's pipe was not there */
    PS_WRITE_WALL_MS = 2000,      /* least wall time before a forwarded write is given up */
    PS_READ_WALL_MS = 10000, /* a read waits no longer for the log, from the instant it needs on */
    PS_POLL_BUDGET = 256     /* messages of one loop turn */
};

struct ps_node;
struct ps_server;

/** Something that is called at an instant of the monotonic clock. */
struct ps_alarm {
    struct ps_heap_item item; /* first member */
    void (*ring)(struct ps_alarm *alarm);
};

/** A batch's bytes and what is in them, on their way into the map. */
struct ps_intake;
struct ps_forward;
struct ps_parked_sync;
struct ps_write_call;
struct ps_blobs;
struct ps_d1_thread;
struct ps_object_call;
struct ps_lifecycle;
struct ps_objects;
struct ps_peers;
struct ps_query;
struct ps_remote_query;
struct ps_d1_transfer;

struct ps_node_store {
    struct ps_node *node;
    const struct ps_store *config;
    struct ps_store *own; /* of a store that was made at run time: its config; else NULL */
    char title[PS_KV_TITLE_SIZE_MAX + 1];
    int64_t created_unix_s;
    bool unreplicated; /* D1, read_replication "disabled": its queries are all home's */
    bool infrequent;   /* a bucket: what is put without a storage class is InfrequentAccess */
    bool hidden;       /* ours, not the user's */
    bool dropped;      /* takes no more requests */
    bool named;        /* ps_namespaces_changed: it is still there */
    bool installing;   /* a snapshot takes the place of what is here, until its last part is in the
                          map */
    bool in_commit;    /* home */
    enum ps_status open_status; /* in node->opening: why it could not be opened */
    struct ps_node_store *next; /* in node->opening or node->gone */
    ps_map_store map_store;
    uint32_t peer; /* home's number in the transport */
    struct ps_link link;
    struct ps_replica view;
    struct ps_store_replica *replica;
    struct ps_r2_public *public; /* a bucket's public cache; else NULL */
    struct ps_primary *primary;  /* at home, else NULL */
    struct ps_follower follower; /* elsewhere */
    uint64_t have_lsn;           /* in the map, as far as the loop was told */
    ps_time_ns closed_ns;        /* the log is complete here up to this */
    struct ps_heap waiting;      /* reads, by the instant that they need */
    uint64_t installs;           /* how many snapshots began */
    ps_time_ns installed_ns;     /* of the newest: what home had before this is not here */
    /* follower: accepted from home, not yet in the map */
    struct ps_intake *intake;
    struct ps_intake **intake_tail;
    bool applying;
    bool dropping; /* home's last batch was dropped */
    bool refusing; /* the map did not take what was accepted last */
    /* writes made here that wait to be sent to home at the end of the turn */
    struct ps_write_call *unsent;
    struct ps_write_call **unsent_tail;
    /* home */
    struct ps_parked_sync *parked; /* requests that wait for the commit under way */
    uint64_t published_mono_ns;
    size_t commit_count;
    const struct ps_record *commit_records;
    /* a D1 database; NULL and 0 for others */
    struct ps_d1_thread *d1;
    struct ps_query *query_waits;           /* those that wait for a bookmark's LSN */
    struct ps_remote_query *remote_queries; /* home: other PoPs', by token */
    struct ps_remote_query *first_remote;   /* ... and in the order they came */
    struct ps_remote_query *last_remote;
    size_t remote_size;
    struct ps_objects *objects;     /* a bucket, at home; else NULL */
    struct ps_lifecycle *lifecycle; /* the same */
    struct ps_store_metrics metrics;
};

struct ps_node {
    struct ev_loop *loop;
    struct ps_cluster_state state;
    uint16_t pop;
    const char *code;
    char folder[4096]; /* the PoP's own */
    struct ps_map *map;
    struct ps_worker *worker;
    struct ps_worker *reader; /* of catch_up.c; NULL: nobody has asked yet */
    size_t catch_ups;         /* that it has not made */
    struct ps_transport *transport;
    struct ps_server *server;
    struct ps_peers *peers; /* HTTP to other nodes */
    struct ps_blobs *blobs; /* NULL: no bucket has its home here */
    uint64_t boot;          /* how often its caches were emptied: at each start, and between */
    uint64_t boot_saved;    /* the newest one that was given to the disk */
    uint64_t process_boot;  /* boot at start: what peers are told */
    struct ps_eval_clock eval;
    struct ps_link link;     /* only its outages and slows: the same for all stores */
    ps_time_ns fetch_end_ns; /* the latest end of a round trip that was decided to succeed */
    struct ps_node_store **stores;
    size_t store_count;
    size_t store_capacity;
    struct ps_node_store *opening; /* those that are not in the map yet */
    struct ps_node_store *gone;    /* those that were dropped */
    struct ps_node_store *names;   /* the hidden one */
    struct ps_namespace_call *namespace_calls;
    struct ps_d1_transfer *transfers; /* exports and imports that were begun here */
    struct ps_heap alarms;
    int timer_fd;
    ev_io timer;
    uint64_t timer_mono_ns; /* what timer_fd is set to */
    ev_prepare prepare;
    ev_io *feed_watchers;
    size_t feed_watcher_count;
    ev_idle feed_idle; /* active while the transport may hold more than one turn's budget */
    struct ps_forward *forwards;         /* by request id */
    struct ps_query *queries;            /* on their way to home, by request id */
    struct ps_object_call *object_calls; /* the same of buckets */
    uint32_t next_request_id;
    struct ps_alarm heartbeat;
    struct ps_alarm house;
    size_t house_turn;
    bool house_busy;
    bool committing;
    bool stopping;
    uint64_t sweep_every_ns; /* of blobs, as the two below: see ps_node_options */
    double blob_hold_s;
    uint64_t peer_silent_ns;
    uint64_t token_seed;
    uint64_t token_count;
    uint64_t late_records;
};

/* ---- clock ---- */
static inline uint64_t ps_mono_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline ps_time_ns ps_node_now(const struct ps_node *node)
{
    return ps_timeline_at(&node->state.timeline, ps_mono_ns());
}

/** Does anybody but the node itself know of it? */
static inline bool ps_store_is_shown(const struct ps_node_store *store)
{
    return !store->hidden && !store->dropped;
}

/** Entries of its caches here. */
static inline size_t ps_store_pins(const struct ps_node_store *store)
{
    return ps_store_replica_pins(store->replica) +
           (store->public == NULL ? 0 : ps_r2_public_count(store->public));
}

/* ---- log.c ---- */
enum ps_log_level { PS_LOG_ERROR, PS_LOG_WARN, PS_LOG_INFO, PS_LOG_DEBUG };

/** One line to stderr: time level pop subsystem message. */
void ps_node_log(const struct ps_node *node, enum ps_log_level level, const char *subsystem,
                 const char *format, ...) PS_PRINTF(4, 5);

/* ---- node.c ---- */
void ps_node_alarm(struct ps_node *node, struct ps_alarm *alarm, uint64_t mono_ns);
void ps_node_alarm_stop(struct ps_node *node, struct ps_alarm *alarm);
/** The monotonic instant of a cluster time. */
uint64_t ps_node_when(const struct ps_node *node, ps_time_ns t);
/** When the answer of what began at `from_ns` and takes until `end_ns` is given: the cluster's
 * latency setting shortens the wait, never what is seen. */
ps_time_ns ps_node_answer_at(const struct ps_node *node, ps_time_ns from_ns, ps_time_ns end_ns);
/** Write the node's outages and boot count, then call done(context). */
void ps_node_save_meta(struct ps_node *node, void (*done)(void *context, enum ps_status status),
                       void *context);
/** Empty the caches of all stores under a new boot count, once that is on the disk: two states of a
 * cache never go under the same count. Then call done(context), with what the disk said; the caches
 * are empty in any case. */
void ps_node_empty_caches(struct ps_node *node, void (*done)(void *context, enum ps_status status),
                          void *context);

/** The transport has other sockets than before. */
void ps_node_watch_feed(struct ps_node *node);
/** Fill with 16 bytes that no other caller in the cluster is given. */
void ps_node_unique(struct ps_node *node, struct ps_token *ret);

/* ---- stores.c ---- */

/** An open store by the name that it has between nodes, or by its id; NULL: there is none. */
struct ps_node_store *ps_node_store_find(struct ps_node *node, struct ps_slice name);
struct ps_node_store *ps_node_store_by_id(struct ps_node *node, struct ps_slice id);
/** `config` outlives the store, or becomes its `own`. */
struct ps_node_store *ps_store_create(struct ps_node *node, const struct ps_store *config);
/** Open it now, while the writer thread has nothing to do. When that fails it is destroyed. */
PS_MUST_CHECK enum ps_status ps_store_open(struct ps_node_store *store, struct ps_error *err);
/** If there is a folder of blobs: buckets were here, and it may have to be tidied. */
PS_MUST_CHECK enum ps_status ps_stores_open_blobs(struct ps_node *node, struct ps_error *err);
/** Open it on the writer thread; ps_namespaces_opened tells of it. */
void ps_store_open_later(struct ps_node_store *store);
/** One that is being opened, or could not be; NULL: there is none. */
struct ps_node_store *ps_store_opening(struct ps_node *node, struct ps_slice name);
/** Take no more requests; those under way end. Its data go. */
void ps_store_drop(struct ps_node_store *store);
/** Put away dropped stores of which nothing is under way. */
void ps_stores_reap(struct ps_node *node);
void ps_stores_close(struct ps_node *node);

/* ---- namespaces.c ---- */

enum ps_namespace_op {
    PS_NAMESPACE_CREATE,
    PS_NAMESPACE_RENAME,
    PS_NAMESPACE_REPLICATION, /* set `unreplicated` */
    PS_NAMESPACE_CLASS,       /* set `infrequent` */
    PS_NAMESPACE_SETTING,     /* keep `document` as the bucket's `setting`; empty: none */
    PS_NAMESPACE_DELETE
};

/** One change of which stores there are. Who starts it owns it until `done`. Zero it first. */
struct ps_namespace_call {
    struct ps_write_call *write; /* its own, as all but those down to `context` */
    struct ps_node *node;
    enum ps_namespace_op op;
    enum ps_store_type type; /* create */
    struct ps_slice title;   /* create, rename; lives until `done` */
    char region[8];      /* create: its home is the first PoP of that region, if there is one; else
                            the cluster's */
    bool unreplicated;   /* create, replication */
    bool infrequent;     /* create, class */
    const char *setting; /* "cors", "lifecycle" */
    struct ps_slice document; /* lives until `done` */
    char id[33];              /* of the store; given by a create */
    /** Done everywhere it must be: durable at home, and so at this PoP. Errors: PS_EXISTS (the
     * title), PS_NOT_FOUND (the namespace), PS_LIMIT (PS_STORES_MAX), those of writes. Owns the
     * call again. */
    void (*done)(struct ps_namespace_call *call, enum ps_status status);
    void *context;
    struct ps_alarm alarm;
    uint64_t deadline_mono_ns;
    uint64_t lsn;
    struct ps_buf told; /* the record's metadata */
    struct ps_buf key;  /* of a setting */
    struct ps_buf title_now;
    struct ps_namespace_call *next;
};

void ps_namespace_start(struct ps_namespace_call *call);
void ps_namespace_fini(struct ps_namespace_call *call);

/** Append a setting of a bucket as this PoP has it; nothing when it has none. Not within a read of
 *  the map. */
void ps_namespace_setting(struct ps_node_store *store, const char *setting, struct ps_buf *ret);
/** Is it a bucket of that name, or title (node/r2/bucket.h)? */
bool ps_store_is_bucket(const struct ps_node_store *store, struct ps_slice name);

/** Open all stores: the cluster's and those made since. At start. */
PS_MUST_CHECK enum ps_status ps_namespaces_open(struct ps_node *node, struct ps_error *err);
/** The hidden store has new records: open, rename and drop what they say. */
void ps_namespaces_changed(struct ps_node *node);
/** A store was opened. */
void ps_namespaces_opened(struct ps_node *node);
/** At home: may this write of the hidden store not be made? Gives its result then. */
bool ps_namespaces_refuse(struct ps_node *node, const struct ps_write *write,
                          struct ps_written *ret);

/* ---- reads.c ---- */

/** One read: of some keys, or a list. Who starts it owns it and its slices until `done`. */
struct ps_read_key {
    struct ps_slice key;
    struct ps_view view;
};

struct ps_read_call {
    struct ps_heap_item waiting; /* first member: in the store's heap */
    struct ps_alarm alarm;       /* for the emulated latency */
    struct ps_node_store *store;
    struct ps_read_key *keys;
    size_t key_count;
    ps_dur_ns ttl_ns; /* 0 = not named */
    bool fresh;
    struct ps_r2_public_view *public; /* through the bucket's public cache, of one key: filled when
                                         decided; NULL: by the store's policy */
    /* from here on the call's own */
    ps_time_ns since_ns; /* public: when it was tried first */
    uint64_t boot;       /* at its decision, as all that follows */
    uint64_t installs;   /* of its store */
    ps_time_ns eval_ns;
    ps_time_ns need_ns;
    ps_time_ns ready_ns;
    enum ps_cache_status cache;
    bool undecided; /* the log must be more complete before the policy can decide */
    bool late;
    bool failed;
    /** The answer's time has come. PS_OK: called within a map read; ps_read_get and ps_read_bound
     *  give the results. Else the read failed (PS_UNREACHABLE, PS_IO). Owns the call again. */
    void (*done)(struct ps_read_call *call, enum ps_status status);
};

void ps_read_start(struct ps_read_call *call);
/** Key i as this read sees it; *ret_found is false for a deleted, expired or unknown key (ret then
 *  has the version's LSN, or 0). */
PS_MUST_CHECK enum ps_status ps_read_get(struct ps_read_call *call, size_t i,
                                         struct ps_version *ret, bool *ret_found,
                                         struct ps_kv_staleness *ret_staleness);
struct ps_bound ps_read_bound(struct ps_read_call *call, size_t i);
/** What the PoP tells of a list, within the read: the store's log stands for a key's versions. Its
 * LSN is 0 where no one number tells what is seen (push, order none). */
void ps_read_list_staleness(struct ps_read_call *call, struct ps_kv_staleness *ret);
/** What the PoP tells of a read as a whole. */
void ps_read_staleness(const struct ps_read_call *call, struct ps_kv_staleness *ret);
/** Wake the reads that the log is now complete for, or that have waited in vain. */
void ps_reads_wake(struct ps_node_store *store);
/** What the reads that wait were to be answered from goes: they fail. Those that are not even
 * decided wait on, unless `all` are meant. */
void ps_reads_end(struct ps_node_store *store, bool all);
/** Is the log complete here for commit times <= need_ns? */
bool ps_store_complete(struct ps_node_store *store, ps_time_ns need_ns);

/* ---- writes.c ---- */

/** Whoever the primary must tell a result. */
struct ps_writer {
    struct ps_writer *next;
    struct ps_written result;
    void (*done)(struct ps_writer *writer);
};

/** One write made at this PoP. Who starts it owns it and its slices until `done`. */
struct ps_write_call {
    struct ps_writer writer; /* first member */
    struct ps_alarm alarm;
    struct ps_write_call *next;
    struct ps_node_store *store;
    struct ps_write write; /* a zero token gets one */
    bool fresh; /* of the REST API: no emulated round trip, no refresh of this PoP's entry */
    /* from here on the call's own; lsn and commit are in writer.result */
    ps_time_ns invoke_ns;
    ps_time_ns refresh_ns;
    uint64_t invoke_mono_ns;
    /** The answer's time has come; its status says how it went. Owns the call again. */
    void (*done)(struct ps_write_call *call, enum ps_status status);
};

void ps_write_start(struct ps_write_call *call);
/** Send what was gathered in this turn. */
void ps_writes_forward(struct ps_node_store *store);
/** Home answered a WRITE. */
void ps_writes_answered(struct ps_node *node, uint32_t request_id,
                        const struct ps_message *message);
/** Home refused a request: returns false if it was no WRITE. */
bool ps_writes_answered_error(struct ps_node *node, uint32_t request_id,
                              const struct ps_message *message);
/** End the store's writes that wait for home with this status. */
void ps_writes_end(struct ps_node_store *store, enum ps_status status);
/** Give up all that is on its way; at the end of the process. */
void ps_writes_fini(struct ps_node *node);

/* ---- queries.c ---- */

/** The store is dropped: its queries that wait, here or for home, fail; the one that runs is cut
 *  short. */
void ps_queries_end(struct ps_node_store *store);
/** More is visible, or may be: those who wait for a bookmark look again. */
void ps_queries_wake(struct ps_node_store *store);
/** Home answered a QUERY. */
void ps_queries_answered(struct ps_node *node, uint32_t request_id,
                         const struct ps_message *message);
/** Home refused a request: returns false if it was no QUERY. */
bool ps_queries_answered_error(struct ps_node *node, uint32_t request_id,
                               const struct ps_message *message);
/* ---- queries_home.c ---- */

struct ps_d1_job;

/** The place, in the order of all that home decides, of a request that its thread has just given
 * back: the commit of one that wrote; for others an instant at which what it saw was home's newest
 * durable state, and after which nothing will be said to have been before. */
ps_time_ns ps_query_home_eval(struct ps_node_store *store, struct ps_d1_job *job);

/** A QUERY of another PoP. */
void ps_query_serve(struct ps_node_store *store, const struct ps_reply_to *from,
                    const struct ps_message *message);
/** Forget other PoPs' queries; behind ps_d1_thread_destroy. */
void ps_queries_fini(struct ps_node_store *store);

/* ---- home.c ---- */

/** Start the next group commit if there is something to commit and none is under way. */
void ps_home_turn(struct ps_node *node);
/** A request of another node. */
void ps_home_requested(struct ps_node *node, const struct ps_reply_to *from, struct ps_slice bytes);
void ps_home_start_heartbeat(struct ps_node *node);
/** Answer parked SYNC requests whose time has come; returns the earliest cluster time that one of
 * the rest waits for, PS_NEVER if none. */
ps_time_ns ps_home_answer_parked(struct ps_node_store *store);
void ps_home_fini(struct ps_node_store *store);

/** A batch of no records: what home can tell of the store now. */
void ps_home_batch_init(struct ps_node_store *store, struct ps_message *message);
void ps_home_answer(struct ps_node *node, const struct ps_reply_to *to,
                    const struct ps_message *message);
void ps_home_answer_error(struct ps_node *node, const struct ps_reply_to *to, struct ps_slice store,
                          enum ps_status status);

/* ---- catch_up.c ---- */

/** A CATCH_UP of another node: answered at once, or, for a database, when its records are made. */
void ps_catch_up_serve(struct ps_node_store *store, const struct ps_reply_to *from,
                       uint64_t from_lsn, uint64_t bytes_max);

/* ---- feed_glue.c ---- */
void ps_feed_published(struct ps_node *node, uint32_t peer, struct ps_slice bytes);
void ps_feed_answered(struct ps_node *node, uint32_t peer, uint32_t request_id,
                      struct ps_slice bytes);
/** Ask home what is to be asked, and hand over what was accepted in this turn. Returns when to come
 *  again at the latest. */
uint64_t ps_feed_turn(struct ps_node_store *store, uint64_t mono_ns);
void ps_feed_init(struct ps_node_store *store);
void ps_feed_fini(struct ps_node_store *store);

/* ---- house.c ---- */
void ps_house_start(struct ps_node *node);

#endif
