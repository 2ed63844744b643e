#include "replication/feed/follower.h"

#include "replication/base/assert.h"

#include <string.h>

static uint64_t since(uint64_t mono_ns, uint64_t then_ns)
{
    return mono_ns > then_ns ? mono_ns - then_ns : 0;
}

/* What home told of is not all here. */
static bool is_behind(const struct ps_follower *follower)
{
    return follower->have_lsn < follower->announced_lsn;
}

static void close_until(struct ps_follower *follower, ps_time_ns closed_ns)
{
    follower->closed_ns = ps_time_max(follower->closed_ns, closed_ns);
}

/* The log is here up to `have_lsn`: count what that closes and choose the state. */
static void advance(struct ps_follower *follower, uint64_t have_lsn)
{
    PS_ASSERT(have_lsn >= follower->have_lsn);
    follower->have_lsn = have_lsn;
    if (have_lsn >= follower->announced_lsn) {
        follower->announced_lsn = have_lsn;
        close_until(follower, follower->announced_closed_ns);
    }
    if (follower->state == PS_FOLLOWER_SNAPSHOTTING) {
        return;
    }
    follower->state = is_behind(follower) ? PS_FOLLOWER_CATCHING_UP : PS_FOLLOWER_STEADY;
    if (follower->state == PS_FOLLOWER_STEADY && follower->asked == PS_MESSAGE_CATCH_UP) {
        follower->asked = 0; /* published records were faster than the answer */
    }
}

static void heard(struct ps_follower *follower, uint64_t home_boot, uint64_t mono_ns)
{
    /* Home publishes what is durable and its clock goes on across restarts, so what an earlier life
     * of it said stays true; the boot is only kept for people to see. */
    if (home_boot > follower->home_boot) {
        follower->home_boot = home_boot;
    }
    follower->heard_mono_ns = mono_ns;
}

void ps_follower_init(struct ps_follower *follower, uint64_t have_lsn, ps_time_ns closed_ns)
{
    memset(follower, 0, sizeof *follower);
    follower->have_lsn = have_lsn;
    follower->announced_lsn = have_lsn;
    follower->run_lsn = have_lsn;
    follower->closed_ns = closed_ns;
}

void ps_follower_fini(struct ps_follower *follower)
{
    ps_buf_fini(&follower->snapshot_after);
}

static bool is_sound(const struct ps_batch *batch)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct ps_record *record = &batch->records[i];
        if (record->lsn == 0 || record->lsn > batch->last_lsn) {
            return false;
        }
        if (i > 0 &&
            (record->lsn != record[-1].lsn + 1 || record->commit_ns <= record[-1].commit_ns)) {
            return false;
        }
    }
    return true;
}

/* More is here than home says it ever committed until an instant that is closed here too: home has
 * lost records, and would give their LSNs to others. (A late batch tells of an earlier instant.) */
static bool has_lost_records(const struct ps_follower *follower, const struct ps_batch *batch)
{
    return follower->state != PS_FOLLOWER_SNAPSHOTTING && batch->last_lsn < follower->have_lsn &&
           batch->closed_ns >= follower->closed_ns;
}

/* The records of a batch that come right behind what is here; none if there is a gap. */
static void find_run(const struct ps_follower *follower, const struct ps_batch *batch,
                     size_t *ret_first, size_t *ret_count)
{
    *ret_first = 0;
    *ret_count = 0;
    if (batch->record_count == 0 || follower->state == PS_FOLLOWER_SNAPSHOTTING) {
        return;
    }
    uint64_t first_lsn = batch->records[0].lsn;
    uint64_t last_lsn = first_lsn + batch->record_count - 1;
    if (first_lsn <= follower->have_lsn + 1 && last_lsn > follower->have_lsn) {
        *ret_first = (size_t)(follower->have_lsn + 1 - first_lsn);
        *ret_count = batch->record_count - *ret_first;
    }
}

/* Does the batch answer the request on its way? Answers can be late, and then fit an earlier one.
 */
static bool is_awaited(const struct ps_follower *follower, const struct ps_batch *batch)
{
    if (follower->asked == PS_MESSAGE_SYNC) {
        return true;
    }
    if (follower->asked != PS_MESSAGE_CATCH_UP) {
        return false;
    }
    bool joins = batch->record_count > 0 && batch->records[0].lsn <= follower->have_lsn + 1;
    return joins || follower->have_lsn >= batch->last_lsn;
}

static void count_batch(struct ps_follower *follower, const struct ps_batch *batch,
                        size_t run_count)
{
    if (batch->record_count == 0) {
        return;
    }
    uint64_t first_lsn = batch->records[0].lsn;
    if (first_lsn > follower->have_lsn + 1) {
        follower->gaps += follower->state == PS_FOLLOWER_STEADY;
    } else if (follower->state != PS_FOLLOWER_SNAPSHOTTING) {
        follower->duplicates += batch->record_count - run_count;
    }
}

enum ps_status ps_follower_batch(struct ps_follower *follower, const struct ps_batch *batch,
                                 bool is_answer, uint64_t mono_ns, size_t *ret_first,
                                 size_t *ret_count)
{
    *ret_first = 0;
    *ret_count = 0;
    if (!is_sound(batch) || has_lost_records(follower, batch)) {
        return PS_CORRUPT;
    }
    size_t first;
    size_t count;
    find_run(follower, batch, &first, &count);
    /* A commit within what home had closed would change answers that were given already. */
    if (count > 0 && batch->records[first].commit_ns <= follower->closed_ns) {
        return PS_CORRUPT;
    }
    heard(follower, batch->home_boot, mono_ns);
    if (is_answer && is_awaited(follower, batch)) {
        follower->asked = 0;
    }
    count_batch(follower, batch, count);
    /* The larger LSN holds for both closed times: all records up to either have one at most it. */
    if (batch->last_lsn > follower->announced_lsn) {
        follower->announced_lsn = batch->last_lsn;
    }
    follower->announced_closed_ns = ps_time_max(follower->announced_closed_ns, batch->closed_ns);
    follower->run_lsn = follower->have_lsn + count;
    follower->run_closed_ns = 0;
    if (count > 0) {
        /* Commit times increase with the LSN: nothing before the newest one here can be missing. */
        follower->run_closed_ns = batch->records[first + count - 1].commit_ns;
    }
    if (follower->run_lsn >= batch->last_lsn) {
        follower->run_closed_ns = ps_time_max(follower->run_closed_ns, batch->closed_ns);
    }
    if (follower->state == PS_FOLLOWER_STEADY && follower->run_lsn < follower->announced_lsn) {
        follower->state = PS_FOLLOWER_CATCHING_UP;
    }
    *ret_first = first;
    *ret_count = count;
    return PS_OK;
}

void ps_follower_applied(struct ps_follower *follower, uint64_t have_lsn)
{
    advance(follower, have_lsn);
    if (have_lsn >= follower->run_lsn) {
        close_until(follower, follower->run_closed_ns);
        follower->run_closed_ns = 0;
    }
}

static void start_snapshot(struct ps_follower *follower)
{
    follower->state = PS_FOLLOWER_SNAPSHOTTING;
    follower->asked = 0;
    follower->snapshot_lsn = 0;
    follower->snapshot_after.size = 0;
    follower->snapshots++;
}

void ps_follower_error(struct ps_follower *follower, enum ps_status status, uint64_t mono_ns)
{
    follower->heard_mono_ns = mono_ns;
    if (status != PS_TOO_OLD) {
        return; /* `asked` stays, so the request is sent again, but not before its time is over */
    }
    if (follower->state == PS_FOLLOWER_CATCHING_UP) {
        start_snapshot(follower);
    } else if (follower->state == PS_FOLLOWER_SNAPSHOTTING && follower->snapshot_lsn != 0) {
        start_snapshot(follower); /* home let go of the state at that LSN: from the start */
    }
}

bool ps_follower_wants_part(const struct ps_follower *follower, const struct ps_message *part)
{
    if (follower->state != PS_FOLLOWER_SNAPSHOTTING || part->kind != PS_MESSAGE_PART) {
        return false;
    }
    if (!ps_slice_eq(part->part.after_key, ps_buf_slice(&follower->snapshot_after))) {
        return false;
    }
    if (part->part.entry_count == 0 && !part->part.last) {
        return false;
    }
    return follower->snapshot_lsn == 0 ? part->part.at_lsn > follower->have_lsn
                                       : part->part.at_lsn == follower->snapshot_lsn;
}

void ps_follower_part(struct ps_follower *follower, const struct ps_message *part, uint64_t mono_ns)
{
    PS_ASSERT(part->kind == PS_MESSAGE_PART);
    heard(follower, part->part.home_boot, mono_ns);
    if (!ps_follower_wants_part(follower, part)) {
        return;
    }
    follower->asked = 0;
    follower->snapshot_lsn = part->part.at_lsn;
    if (part->part.entry_count > 0) {
        follower->snapshot_after.size = 0;
        ps_buf_append_slice(&follower->snapshot_after,
                            part->part.entries[part->part.entry_count - 1].entry.key);
    }
    if (part->part.last) {
        follower->state = PS_FOLLOWER_CATCHING_UP;
        follower->run_lsn = part->part.at_lsn;
        advance(follower, part->part.at_lsn);
        close_until(follower, part->part.at_commit_ns);
    }
}

/* What there is to ask; 0 = nothing. */
static int wanted(const struct ps_follower *follower, ps_time_ns need_ns)
{
    if (follower->state == PS_FOLLOWER_SNAPSHOTTING) {
        return PS_MESSAGE_SNAPSHOT;
    }
    if (is_behind(follower)) {
        return PS_MESSAGE_CATCH_UP;
    }
    return need_ns > follower->closed_ns ? PS_MESSAGE_SYNC : 0;
}

/* The same request is on its way and its answer would still help. A SYNC, which home may hold until
 * its time has come, does not keep records waiting. */
static bool is_asked(const struct ps_follower *follower, int kind)
{
    return follower->asked == kind &&
           (kind != PS_MESSAGE_SYNC || follower->asked_need_ns > follower->closed_ns);
}

bool ps_follower_ask(struct ps_follower *follower, ps_time_ns need_ns, uint64_t mono_ns,
                     struct ps_message *ret)
{
    int kind = wanted(follower, need_ns);
    if (kind == 0) {
        return false;
    }
    if (is_asked(follower, kind) &&
        since(mono_ns, follower->asked_mono_ns) < PS_FOLLOWER_RETRY_MS * PS_MS) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->kind = (enum ps_message_kind)kind;
    if (kind == PS_MESSAGE_SNAPSHOT) {
        ret->snapshot.at_lsn = follower->snapshot_lsn;
        ret->snapshot.after_key = ps_buf_slice(&follower->snapshot_after);
        ret->snapshot.bytes_max = PS_BATCH_SIZE;
    } else if (kind == PS_MESSAGE_CATCH_UP) {
        follower->state = PS_FOLLOWER_CATCHING_UP;
        follower->catch_ups++;
        ret->catch_up.from_lsn = follower->have_lsn + 1;
        ret->catch_up.bytes_max = PS_BATCH_SIZE;
    } else {
        ret->sync.need_ns = need_ns;
    }
    follower->asked = kind;
    follower->asked_mono_ns = mono_ns;
    follower->asked_need_ns = need_ns;
    return true;
}

uint64_t ps_follower_deadline(const struct ps_follower *follower, ps_time_ns need_ns)
{
    int kind = wanted(follower, need_ns);
    if (kind == 0) {
        return PS_NEVER;
    }
    return is_asked(follower, kind)
               ? ps_time_add(follower->asked_mono_ns, PS_FOLLOWER_RETRY_MS * PS_MS)
               : 0;
}

bool ps_follower_home_away(const struct ps_follower *follower, uint64_t mono_ns)
{
    return follower->heard_mono_ns == 0 ||
           since(mono_ns, follower->heard_mono_ns) >= PS_FOLLOWER_SILENCE_MS * PS_MS;
}
