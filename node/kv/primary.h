/* The primary: how home puts one store's writes in order.
 *
 * Pure. Writes queue; when no batch is on its way to the disk the owner takes the queue as the next
 * batch (group commit), which is when LSNs and commit times are given; when the batch is durable
 * the owner says so, publishes it, and each writer gets its result. A write carries a token: the
 * same token again gets the first try's result, also after a restart (the map remembers tokens),
 * and never a second version.
 *
 * Closed time: ps_primary_closed promises that nothing will be committed at or before it that is
 * not durable now. Commit times strictly ascend, and are later than every closed time given. */
#ifndef PS_NODE_KV_PRIMARY_H
#define PS_NODE_KV_PRIMARY_H

#include "node/map/map.h"
#include "replication/wire/message.h"
#include "replication/world/cluster.h"

struct ps_primary;

/** `map` is read for tokens, inside reads that the primary begins and ends itself when
 * `ps_primary_write` is called (so not within one). The log's end is taken from the map. Puts of
 * the last write interval are read from the log, so that a restart does not lift the write limit.
 * Borrowed: map, limits. */
struct ps_primary *ps_primary_create(struct ps_map *map, ps_map_store store,
                                     const struct ps_kv_limits *limits);
void ps_primary_destroy(struct ps_primary *primary); /* NULL accepted; queued writes are dropped */

/** A write arrives. Copies what it needs.
 *  Returns true when the result is known at once (*ret: the outcome of an earlier try); else it is
 * queued (or joins the same token's earlier try) and `tag` comes back with its result from
 * ps_primary_done. */
bool ps_primary_write(struct ps_primary *primary, const struct ps_write *write, void *tag,
                      struct ps_written *ret);

/** A record of several entries arrives (a database's commit, a bucket's): it takes its place in the
 *  queue as a write does, under no write limit. Its LSN must come out as it says, unless it is 0;
 * else PS_GAP is its result. Borrowed until `tag` comes back: record and entries. ps_primary_take's
 * record has the commit time. */
void ps_primary_append(struct ps_primary *primary, const struct ps_record *record, void *tag);

/** Make the queue the batch under way, stamped at `now_ns`; only while none is. Gives its records,
 * valid until ps_primary_done; the owner puts them into the map. Writes over the write limit are
 * left out and reported by the ps_primary_done that follows. Returns the number of records; when it
 * is 0 ps_primary_has_results tells whether ps_primary_done is due all the same. */
size_t ps_primary_take(struct ps_primary *primary, ps_time_ns now_ns,
                       const struct ps_record **ret_records);
bool ps_primary_has_results(const struct ps_primary *primary);
bool ps_primary_has_queue(const struct ps_primary *primary);
bool ps_primary_busy(const struct ps_primary *primary); /* a batch is under way */

/** The batch under way ended: PS_OK = durable; else none of it is, and its LSNs are given again.
 *  Calls `each` for each of its writes, and joined tries, in order; `each` must not call the
 * primary. */
typedef void (*ps_primary_each_fn)(void *context, void *tag, const struct ps_written *result);
void ps_primary_done(struct ps_primary *primary, enum ps_status status, ps_primary_each_fn each,
                     void *context);

/** See above; also the newest durable LSN, which goes with it. */
ps_time_ns ps_primary_closed(struct ps_primary *primary, ps_time_ns now_ns, uint64_t *ret_last_lsn);

#endif
