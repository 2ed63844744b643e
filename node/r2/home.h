/* Home's part of a bucket: runs its mutations one after the other per key. Pure.
 *
 * A mutation waits until no earlier one that touches its keys is waiting or on its way to the disk,
 * and is then evaluated against the newest durable state in the map: conditions, existence, the
 * write limit, the rules of parts. It comes to an answer at once (an error, a condition that fails,
 * nothing to do), or to a *commit*: one record of one or many entries that the owner gives to the
 * primary (ps_primary_append; its LSN is 0, the primary gives one) and whose outcome it reports.
 * Mutations of different keys, and the parts of one upload, are on their way together.
 *
 * A mutation carries a token. The same token again gets the first try's answer: from the try that
 * is waiting or under way; from the map, also after a restart, when it committed; from memory, for
 * PS_R2_ANSWERS_KEPT_NS, when it did not have to.
 *
 * A CLOSE waits for all mutations that came before it, and those behind it wait for it: when it
 * finds the bucket empty nothing is committed after it, and so nothing is lost when the bucket is
 * dropped. Whoever closes a closed bucket has nothing to commit.
 *
 * The ids that a mutation needs (version, upload) come from its token, so every try has the same.
 */
#ifndef PS_NODE_R2_HOME_H
#define PS_NODE_R2_HOME_H

#include "node/r2/request.h"
#include "replication/wire/message.h"

#define PS_R2_ANSWERS_KEPT_NS (60 * PS_SECOND)

enum { PS_R2_ANSWERS_KEPT = 4096 }; /* ... but no more of them than that */

struct ps_r2_home;

/** Borrowed: cluster, map. write_interval_ns: least time between two puts of one key; 0 = none. */
struct ps_r2_home *ps_r2_home_create(const struct ps_cluster *cluster, struct ps_map *map,
                                     ps_map_store store, ps_dur_ns write_interval_ns);
/** NULL accepted. Waiting mutations are dropped; of the records under way the primary must have let
 *  go. */
void ps_r2_home_destroy(struct ps_r2_home *home);

/** A mutation arrives, as ps_r2_request_encode made it; it is copied. `token` is not zero. `tag`
 *  comes back with the answer, from ps_r2_home_run or ps_r2_home_done, never from within this call.
 *  Errors: PS_CORRUPT, PS_UNSUPPORTED, PS_LIMIT, PS_INVALID (it is a read): there will be no
 * answer. */
PS_MUST_CHECK enum ps_status ps_r2_home_submit(struct ps_r2_home *home,
                                               const struct ps_token *token,
                                               struct ps_slice request, void *tag);

/** The same, of a mutation whose body was uploaded but is not there any more: it gets the answer of
 *  its first try, if there was one, else PS_R2_CODE_INTERNAL. */
PS_MUST_CHECK enum ps_status ps_r2_home_submit_lost(struct ps_r2_home *home,
                                                    const struct ps_token *token,
                                                    struct ps_slice request, void *tag);

/** A record that is to be committed. `record` stays as it is until ps_r2_home_done. */
struct ps_r2_commit {
    struct ps_record record; /* lsn and commit_ns are 0: the primary's to give */
    void *owner;             /* for whoever commits it */
};

/** Who gets what comes out. `answer` is borrowed for the call; neither may call back into home. */
struct ps_r2_home_sink {
    void (*answer)(void *context, void *tag, const struct ps_r2_answer *answer);
    void (*commit)(void *context, struct ps_r2_commit *commit);
    void *context;
};

/** Evaluate all that can be at `now_ns`. Begins and ends a map read of its own. */
void ps_r2_home_run(struct ps_r2_home *home, ps_time_ns now_ns, const struct ps_r2_home_sink *sink);

/** Is there something that ps_r2_home_run might evaluate? (Mutations that wait for others do not
 *  count until one of those is done.) */
bool ps_r2_home_has_work(const struct ps_r2_home *home);

/** A commit's outcome, as the primary tells it: PS_OK = it is durable and in the map. Answers it,
 * and releases it. Call ps_r2_home_run then. */
void ps_r2_home_done(struct ps_r2_home *home, struct ps_r2_commit *commit,
                     const struct ps_written *written, const struct ps_r2_home_sink *sink);

/** Is the bucket closed (PS_R2_CLOSE)? It is to be dropped then, whoever asked for that. Not within
 * a read of the map. */
bool ps_r2_home_closed(struct ps_r2_home *home);

/** Mutations that wait or are under way. */
size_t ps_r2_home_pending(const struct ps_r2_home *home);

/** Call `each` for every blob that a waiting mutation, or one under way, refers to: garbage
 *  collection keeps them besides those of the map. */
void ps_r2_home_blobs(const struct ps_r2_home *home, ps_r2_blob_fn each, void *context);

#endif
