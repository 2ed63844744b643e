/* What the files of the chaos test share.
 *
 *   common.c    where the test is, why it ends
 *   client.c    HTTP/1.1 over one kept connection
 *   cluster.c   node processes in a temporary folder: start, kill, stop, time
 *   load.c      writers and readers, and the ledger of what they did
 *   check.c     home's log, every replica and the ledger held against each other
 *   chaos.c     the rounds
 *
 * Nothing here knows how a node does its work: it is spoken to over HTTP and by signals. */
#ifndef PS_TESTS_CHAOS_CHAOS_H
#define PS_TESTS_CHAOS_CHAOS_H

#include "replication/base/random.h"
#include "replication/base/slice.h"
#include "replication/world/cluster.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    POPS = 5,
    STORES = 4,
    KEYS = 200,
    WRITERS = 8,
    READERS = 3,
    DEADLINE_S = 60 /* after which something that must come counts as never coming */
};

extern const char *const chaos_pops[POPS];
/* chaos.c's */
extern const char *const chaos_stores[STORES];
extern const size_t chaos_homes[STORES]; /* index of the PoP that is home of the store */

/* ---- the test as a whole ---- */

extern struct chaos_where {
    uint64_t seed;
    size_t round;
    const char *kind;
    const char *folder;
} chaos_where;

/** Say why, and end the test. The nodes die with it; the folder stays. */
_Noreturn void chaos_fail(const char *format, ...) PS_PRINTF(1, 2);
uint64_t chaos_now_ns(void);
/** Between two looks at a condition of another process; or a moment of the schedule. */
void chaos_pause_ms(uint64_t ms);
/** A positive number that the environment may set. */
uint64_t chaos_from_environment(const char *name, uint64_t otherwise);
/** The program was started as `--node FOLDER POP`: be that node. */
int chaos_run_node(char **argv);

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ns = chaos_now_ns() + DEADLINE_S * UINT64_C(1000000000);                    \
        while (!(condition)) {                                                                     \
            if (chaos_now_ns() > until_ns) {                                                       \
                chaos_fail("in vain: %s", #condition);                                             \
            }                                                                                      \
            chaos_pause_ms(2);                                                                     \
        }                                                                                          \
    } while (0)

/** Where the threads of a load rest between two operations. Closed at first. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closed;
    bool ended;
    size_t resting;
};

void gate_init(struct gate *gate);
void gate_fini(struct gate *gate);
/** Wait while it is closed. False: the load has ended. */
bool gate_pass(struct gate *gate);
void gate_open(struct gate *gate);
/** Returns when so many threads rest. */
void gate_close(struct gate *gate, size_t threads);
void gate_end(struct gate *gate);

/* ---- client.c ---- */

struct client {
    int fd; /* -1 = not connected */
    uint16_t port;
    struct ps_buf in;
};

/** Valid until the client's next call. */
struct reply {
    int status;
    const char *head; /* NUL-terminated */
    struct ps_slice body;
};

#define CLIENT_NONE ((struct client){.fd = -1})

void client_close(struct client *client);
/** One request. False: no answer (nobody there, a broken connection, nothing within limit_ms); the
 *  request may have been carried out or not. `headers`: whole lines. */
bool client_call(struct client *client, uint16_t port, const char *method, const char *target,
                 const char *headers, struct ps_slice body, uint64_t limit_ms, struct reply *ret);
/** Send a request's head, and of its body, which has `size` bytes, only `part`; then go. */
void client_break_off(struct client *client, uint16_t port, const char *method, const char *target,
                      const char *headers, size_t size, struct ps_slice part, uint64_t limit_ms);
/** A header's text, up to the line's end; empty if it is not there. */
struct ps_slice reply_text(const struct reply *reply, const char *name);
/** A header's number, -1 if it is not there. */
int64_t reply_number(const struct reply *reply, const char *name);

/* ---- cluster.c ---- */

#define CHAOS_KEY_ID "chaos"
#define CHAOS_SECRET "chaos-secret"

struct cluster_store {
    const char *name;
    enum ps_store_type type;
    const char *profile;
    size_t home;
};

struct cluster {
    size_t pops; /* the first of chaos_pops */
    char folder[256];
    pid_t pids[POPS];             /* 0 = not running */
    _Atomic uint16_t ports[POPS]; /* 0 = not serving */
    _Atomic uint16_t s3_ports[POPS];
    uint64_t kills;
    uint64_t starts;
};

void cluster_create(struct cluster *cluster, size_t pops, const struct cluster_store *stores,
                    size_t store_count, uint64_t seed);
void cluster_start(struct cluster *cluster, size_t pop);
/** Wait until the node serves. */
void cluster_wait(struct cluster *cluster, size_t pop);
void cluster_kill(struct cluster *cluster, size_t pop);
void cluster_signal(struct cluster *cluster, size_t pop, int number);
/** As if the disk of a PoP's node had no room left: its map's file cannot grow. Or it can again. */
void cluster_fill_disk(struct cluster *cluster, size_t pop, bool full);
/** Remove what the node of a PoP, which is down, has on disk. */
void cluster_wipe(struct cluster *cluster, size_t pop);
/** Put the cluster's time forward; no node may be running. */
void cluster_jump(struct cluster *cluster, uint64_t hours);
/** End all nodes well, look through their logs for what must not be there, remove the folder. */
void cluster_end(struct cluster *cluster);

/* ---- load.c ---- */

enum outcome { OPEN, ACKED, UNKNOWN };

/** A write as its client knows it. The value follows from writer and number. */
struct write {
    uint64_t lsn;      /* as acknowledged */
    uint64_t seen_lsn; /* as it stands in home's log; 0 = not seen there yet */
    uint64_t digest;
    uint16_t key;
    uint8_t store;
    uint8_t outcome;
    bool deleted;
};

struct writer {
    pthread_t thread;
    uint32_t index;
    struct ps_rng rng;
    struct client client;
    struct write *writes;
    size_t count;
    size_t capacity;
    size_t audited; /* writes before this were found in the log */
    uint64_t broken;
    uint64_t echoes;
};

struct seen {
    uint64_t lsn;
    uint64_t digest;
    uint16_t key;
    uint8_t store;
    bool deleted;
};

struct reader {
    pthread_t thread;
    uint32_t index;
    struct ps_rng rng;
    struct client client;
    struct seen *seen; /* since the last check */
    size_t seen_count;
    size_t capacity;
    uint64_t reads;
    uint64_t lists;
};

struct load {
    struct cluster *cluster;
    uint64_t seed;
    struct writer writers[WRITERS];
    struct reader readers[READERS];
    _Atomic uint64_t acked;
    _Atomic uint64_t refused; /* with an error of the store's own */
    struct gate gate;
};

/** Starts paused. */
void load_start(struct load *load, struct cluster *cluster, uint64_t seed);
void load_resume(struct load *load);
/** Returns when each client has finished what it was at and rests. */
void load_pause(struct load *load);
void load_end(struct load *load);
/** Wait for so many more acknowledged writes. */
void load_wait_acked(struct load *load, uint64_t count);

/** Append the value of a writer's write; its metadata and expiration (0 = none). */
void write_value(struct ps_buf *buf, uint64_t seed, uint32_t writer, uint64_t number);
uint64_t write_expires(uint64_t number);
void key_name(uint16_t key, char ret[8]);

/* ---- check.c ---- */

/** One record of home's log, as it was when it was first read. */
struct record {
    uint64_t line_hash;
    uint32_t writer;
    uint32_t number;
};

struct archive {
    struct record *records; /* LSN - 1 */
    size_t count;
    size_t capacity;
    uint64_t commit_ns;    /* of the last */
    uint64_t newest[KEYS]; /* LSN of the key's last write; 0 = none */
    size_t compared[POPS]; /* the replica's log is the same up to this LSN */
};

struct check {
    struct cluster *cluster;
    struct load *load;
    struct client clients[POPS];
    struct archive archives[STORES];
    pid_t counted_pids[POPS]; /* whose counters the following are */
    uint64_t counted[POPS][STORES][3];
    uint64_t gaps;
    uint64_t catch_ups;
    uint64_t snapshots;
    uint64_t values_compared;
    uint64_t lines_compared;
    uint64_t late_writes;
};

void check_init(struct check *check, struct cluster *cluster, struct load *load);
void check_fini(struct check *check);
/** Read on in the logs at home and hold them against the ledger. The load rests. */
void check_home(struct check *check);
/** Wait until every replica has what home has, then hold logs, values and lists of all against
 *  home's. `whole`: the logs from their first record on. The load rests. */
void check_all(struct check *check, bool whole);
/** The status of /popsim/log from that LSN; 0 = no answer. */
int check_log_status(struct check *check, size_t pop, size_t store, uint64_t from_lsn);
/** Does the node say that this store's home is away? */
bool check_home_away(struct check *check, size_t pop, size_t store);
/** Is a read there answered without waiting for what home has, and says so? */
bool check_reads_late(struct check *check, size_t pop, size_t store);

#endif
