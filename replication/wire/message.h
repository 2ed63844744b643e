/* Messages between nodes: one msgpack array each, [version, kind, fields...]; docs/PROTOCOL.md. */
#ifndef PS_REPLICATION_WIRE_MESSAGE_H
#define PS_REPLICATION_WIRE_MESSAGE_H

#include "replication/wire/record.h"

enum ps_message_kind {
    PS_MESSAGE_BATCH = 1, /* PUB, and the reply to CATCH_UP and SYNC */
    PS_MESSAGE_CATCH_UP,  /* REQ: records from an LSN on */
    PS_MESSAGE_SYNC,      /* REQ: what is your closed time? answered once it is >= need_ns */
    PS_MESSAGE_SNAPSHOT,  /* REQ: the state at an LSN, a part at a time */
    PS_MESSAGE_PART,      /* reply to SNAPSHOT */
    PS_MESSAGE_WRITE,     /* REQ: writes that came in at another PoP */
    PS_MESSAGE_WRITTEN,   /* reply to WRITE */
    PS_MESSAGE_ERROR, /* reply: status (PS_TOO_OLD: take a snapshot; PS_NOT_FOUND: no such store) */
    PS_MESSAGE_QUERY, /* REQ: a database's request that came in at another PoP */
    PS_MESSAGE_ANSWERED /* reply to QUERY */
};

/** Records of one store, in order. Also a heartbeat, when it has none. */
struct ps_batch {
    uint64_t home_boot;   /* grows with each start of the home node */
    ps_time_ns closed_ns; /* home will never commit at or before this; all records up to it have LSN
                             <= last_lsn */
    uint64_t last_lsn;    /* home's newest durable LSN when this was sent */
    struct ps_record *records; /* LSNs without gaps */
    size_t record_count;
};

/** One write as it travels to home, and what became of it. */
struct ps_write {
    struct ps_token token;
    struct ps_entry entry;
};

struct ps_written {
    enum ps_status status; /* PS_OK, PS_RATE_LIMITED, PS_FULL, PS_IO, ... */
    uint64_t lsn;          /* when PS_OK */
    ps_time_ns commit_ns;  /* when PS_OK */
};

/** One key's newest version in a snapshot. */
struct ps_snapshot_entry {
    struct ps_entry entry;
    uint64_t lsn;
    ps_time_ns commit_ns;
};

/** How a database's request is to be answered. */
enum ps_query_flag {
    PS_QUERY_ROWS = 1,  /* rows and columns, else an array of objects */
    PS_QUERY_EACH = 2,  /* one result for each statement of a text */
    PS_QUERY_ARRAY = 4, /* results in an array, also when there is one */
    /* Time Travel: tell the bookmark of a state, or bring the state back. The body says which one:
     * empty (the newest), 'b' and its bookmark, or 't' and an instant in nanoseconds since 1970. */
    PS_QUERY_BOOKMARK = 8,
    PS_QUERY_RESTORE = 16,
    /* Export and import; `body` says to or from which file (node/io/d1/d1_files.h). */
    PS_QUERY_EXPORT = 32,
    PS_QUERY_IMPORT = 64,
    PS_QUERY_FLAGS = 127
};

enum { PS_QUERY_RETRIES_MAX = 9 };

struct ps_message {
    enum ps_message_kind kind;
    struct ps_slice store; /* the store's name */

    union {
        struct ps_batch batch;

        struct {
            uint64_t from_lsn;
            uint64_t bytes_max; /* of records in the answer; at least one record comes */
        } catch_up;

        struct {
            ps_time_ns need_ns;
        } sync;

        struct {
            uint64_t at_lsn; /* 0 = home's newest; later parts repeat what the first part said */
            struct ps_slice after_key;
            uint64_t bytes_max;
        } snapshot;

        struct {
            uint64_t home_boot;
            uint64_t at_lsn;
            ps_time_ns at_commit_ns;
            struct ps_slice after_key; /* repeats the request's: the part starts behind it */
            bool last;                 /* no part follows */
            struct ps_snapshot_entry *entries; /* ascending by key */
            size_t entry_count;
        } part;

        struct {
            struct ps_write *writes;
            size_t write_count;
        } write;

        struct {
            struct ps_written *results; /* one per write, in order */
            size_t result_count;
        } written;

        struct {
            enum ps_status status;
        } error;

        struct {
            struct ps_token token;
            uint64_t flags;    /* enum ps_query_flag */
            uint64_t need_lsn; /* home must have it */
            uint64_t retries;  /* it was asked for so often before, and failed */
            struct ps_slice body;
        } query;

        struct {
            enum ps_status status; /* PS_OK: the request was run, however that went */
            bool failed;           /* `body` is the reason, else the results */
            bool wrote;            /* it made that LSN */
            uint64_t lsn;          /* that it read at or made */
            ps_time_ns commit_ns;  /* of that LSN */
            uint32_t restores;     /* that there had been by then */
            ps_time_ns eval_ns;    /* its place in the order of home's decisions */
            ps_time_ns run_ns;     /* what 'now' was in its SQL */
            struct ps_slice body;
        } answered;
    };
};

/** Append a message's bytes. */
void ps_message_encode(struct ps_buf *buf, const struct ps_message *message);

/** Decode. Ownership: arrays are allocated (ps_message_fini), slices borrow from `bytes`.
 *  Errors: PS_CORRUPT, PS_UNSUPPORTED, PS_LIMIT; *ret zeroed. */
PS_MUST_CHECK enum ps_status ps_message_decode(struct ps_slice bytes, struct ps_message *ret);
/** Release the arrays that decoding allocated; a message built by hand is not given here. */
void ps_message_fini(struct ps_message *message);

#endif
