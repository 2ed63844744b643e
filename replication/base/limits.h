/* Every bound of popsim in one place. A queue, a message or a name without a line here has a
 * defined size elsewhere in this list. */
#ifndef PS_REPLICATION_BASE_LIMITS_H
#define PS_REPLICATION_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

enum {
    PS_POPS_MAX = 1024,                /* PoPs of one cluster */
    PS_STORES_MAX = 64,                /* stores of one cluster */
    PS_MAP_STORES_MAX = 1024,          /* stores that one map ever held, dropped ones included */
    PS_STORE_NAME_MAX = 63,            /* bytes of a binding name */
    PS_KEY_SIZE_MAX = 1024,            /* bytes of any key in the versioned map (R2's limit) */
    PS_VALUE_SIZE_MAX = 25 << 20,      /* bytes of one value (KV's limit) */
    PS_METADATA_SIZE_MAX = UINT16_MAX, /* bytes of an entry's metadata: an R2 object has 8 KiB of
                                        the user's, packed, and its HTTP fields */
    PS_ENTRIES_MAX = 65536,            /* entries of one record */
    PS_RECORD_SIZE_MAX = 48 << 20,     /* bytes of one encoded record */
    PS_MESSAGE_SIZE_MAX = 64 << 20,    /* bytes of one message between nodes */
    PS_TEXT_SIZE_MAX = (64 << 20) - (64 << 10), /* ... of a query's or an answer's text in one */
    PS_BATCH_SIZE = 1 << 20, /* bytes after which a batch is closed (one record may exceed it) */
    PS_NESTING_MAX = 8,      /* msgpack nesting that a message may have */
    PS_OUTAGES_MAX = 4096    /* outages of one link that are kept */
};

static_assert(PS_STORES_MAX < PS_MAP_STORES_MAX, "a map has room for a cluster's stores, and ours");
static_assert(PS_VALUE_SIZE_MAX + PS_KEY_SIZE_MAX + PS_METADATA_SIZE_MAX < PS_RECORD_SIZE_MAX,
              "the largest KV write fits a record");
static_assert(PS_RECORD_SIZE_MAX + PS_BATCH_SIZE < PS_MESSAGE_SIZE_MAX,
              "any record fits a message");

#endif
