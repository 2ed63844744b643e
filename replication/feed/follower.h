/* The follower: how one replica of one store keeps up with home.
 *
 * Home publishes batches (PUB/SUB, which loses messages silently for a slow or late subscriber) and
 * answers requests (REQ/REP). The follower is a pure state machine: it is told what came and what
 * time it is, and says which records to apply and what to ask for next. It knows that it is
 * complete up to an instant by home's *closed time* (as CockroachDB's closed timestamps): a promise
 * that nothing will be committed at or before it.
 *
 *            batch from = have+1                      batch from > have+1
 *    STEADY ---------------------> apply      STEADY ---------------------> CATCHING_UP
 *    CATCHING_UP -- batch reply reaches announced LSN --> STEADY
 *    CATCHING_UP -- error TOO_OLD --> SNAPSHOTTING -- last part --> CATCHING_UP
 *
 * Times here are the monotonic clock's (wall), except closed and need, which are cluster time. */
#ifndef PS_REPLICATION_FEED_FOLLOWER_H
#define PS_REPLICATION_FEED_FOLLOWER_H

#include "replication/wire/message.h"

enum ps_follower_state { PS_FOLLOWER_STEADY, PS_FOLLOWER_CATCHING_UP, PS_FOLLOWER_SNAPSHOTTING };

enum {
    PS_FOLLOWER_RETRY_MS = 250,   /* a request without an answer is sent again after this */
    PS_FOLLOWER_SILENCE_MS = 1000 /* home that says nothing for this long counts as away */
};

struct ps_follower {
    enum ps_follower_state state;
    uint64_t have_lsn;      /* applied here without gaps */
    ps_time_ns closed_ns;   /* cluster time up to which `have_lsn` is complete */
    uint64_t announced_lsn; /* the newest LSN home has told of */
    ps_time_ns announced_closed_ns;
    uint64_t home_boot;
    uint64_t heard_mono_ns; /* when home was last heard; 0 = never. A node that starts sets it to
                               now, which gives home its first second */
    /* the run that ps_follower_batch gave: once it is applied, have is run_lsn and closed at least
       run_closed_ns */
    uint64_t run_lsn;
    ps_time_ns run_closed_ns;
    /* the request on its way; kind 0 = none */
    int asked; /* enum ps_message_kind */
    uint64_t asked_mono_ns;
    ps_time_ns asked_need_ns;
    /* the snapshot being taken */
    uint64_t snapshot_lsn;
    struct ps_buf snapshot_after;
    /* counters for /metrics */
    uint64_t gaps;
    uint64_t catch_ups;
    uint64_t snapshots;
    uint64_t duplicates;
};

/** Start behind what the local map holds; closed_ns is no earlier than its newest record's commit.
 */
void ps_follower_init(struct ps_follower *follower, uint64_t have_lsn, ps_time_ns closed_ns);
void ps_follower_fini(struct ps_follower *follower);

/** A batch came, published or as an answer. Gives the run of its records to apply (maybe empty):
 * the caller applies them durably enough for its store, then calls ps_follower_applied. Records
 * that are already here are skipped; a gap applies nothing and turns to CATCHING_UP. Order: nothing
 * else is called between this and ps_follower_applied, except again this one when the run could not
 * be applied (it then comes again by catching up). Errors: PS_CORRUPT: the batch is dropped. Its
 * LSNs have gaps or go beyond last_lsn, its commit times do not increase, a new record lies within
 * a closed time that home promised, or home has lost records that are here. */
PS_MUST_CHECK enum ps_status ps_follower_batch(struct ps_follower *follower,
                                               const struct ps_batch *batch, bool is_answer,
                                               uint64_t mono_ns, size_t *ret_first,
                                               size_t *ret_count);
/** The run given by ps_follower_batch is in the map (also call for an empty run): `have_lsn` is the
 *  map's newest LSN now. */
void ps_follower_applied(struct ps_follower *follower, uint64_t have_lsn);

/** An error answered the request on its way. PS_TOO_OLD turns to a snapshot; after any other the
 * request is sent again when its time is over. */
void ps_follower_error(struct ps_follower *follower, enum ps_status status, uint64_t mono_ns);

/** Is this the part that was asked for? A part that is late, or of a snapshot that was given up, is
 * not installed. */
bool ps_follower_wants_part(const struct ps_follower *follower, const struct ps_message *part);

/** A snapshot part was installed in the map. One that is not wanted changes nothing. */
void ps_follower_part(struct ps_follower *follower, const struct ps_message *part,
                      uint64_t mono_ns);

/** What to ask home now, if anything. `need_ns`: the latest instant that a waiting read needs (0 =
 *  none waits); with it the follower asks SYNC when it is behind. Fills `ret` (slices borrow from
 * the follower; `store` is left to the caller) and notes the request as sent. Returns false for
 * nothing. */
bool ps_follower_ask(struct ps_follower *follower, ps_time_ns need_ns, uint64_t mono_ns,
                     struct ps_message *ret);

/** When ps_follower_ask must be called again although nothing came; 0 = at once, PS_NEVER = no
 * need. */
uint64_t ps_follower_deadline(const struct ps_follower *follower, ps_time_ns need_ns);

/** Has home been silent for PS_FOLLOWER_SILENCE_MS, or never been heard? */
bool ps_follower_home_away(const struct ps_follower *follower, uint64_t mono_ns);

#endif
