/* Log records and their msgpack form.
 *
 * A record is one commit: its LSN, commit time, the writer's idempotency token, and the entries
 * that it sets (KV: one; a D1 commit: its pages). docs/PROTOCOL.md gives the bytes. Outside bytes
 * are checked (ps_wire_check) before the msgpack library sees them. */
#ifndef PS_REPLICATION_WIRE_RECORD_H
#define PS_REPLICATION_WIRE_RECORD_H

#include "replication/base/limits.h"
#include "replication/base/slice.h"
#include "replication/base/time.h"

enum { PS_WIRE_VERSION = 1, PS_TOKEN_SIZE = 16 };

/** Idempotency token of a write: unique per write, the same on each try. All zero = none. */
struct ps_token {
    uint8_t bytes[PS_TOKEN_SIZE];
};

struct ps_entry {
    struct ps_slice key;
    struct ps_slice value;    /* empty when deleted */
    struct ps_slice metadata; /* the user's JSON, or empty */
    uint64_t expires_unix_s;  /* 0 = never */
    bool deleted;             /* a tombstone */
};

struct ps_record {
    uint64_t lsn;
    ps_time_ns commit_ns;
    struct ps_token token;
    struct ps_entry *entries;
    size_t entry_count;
};

/** Is `bytes` one whole msgpack object whose nesting, counts and sizes fit within the bytes and
 * within PS_NESTING_MAX and PS_ENTRIES_MAX? Iterative; allocates nothing. PS_OK or PS_CORRUPT. */
PS_MUST_CHECK enum ps_status ps_wire_check(struct ps_slice bytes);

/** Append the record's bytes. */
void ps_record_encode(struct ps_buf *buf, const struct ps_record *record);

/** Decode one record. Ownership: entries is allocated (free it with ps_record_fini), slices borrow
 *  from `bytes`. Errors: PS_CORRUPT, PS_UNSUPPORTED (a later format version), PS_LIMIT; *ret
 * zeroed. */
PS_MUST_CHECK enum ps_status ps_record_decode(struct ps_slice bytes, struct ps_record *ret);
void ps_record_fini(struct ps_record *record);

#endif
