/* The follower, event by event. tests/unit/test_feed.c runs it against a home that loses messages.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "replication/feed/follower.h"

#include <string.h>

enum { RECORDS = 32 };

/* The monotonic clock, far from 0. */
static const uint64_t T = 1000 * PS_SECOND;
static const uint64_t RETRY = PS_FOLLOWER_RETRY_MS * PS_MS;

/* Home's log: record n is committed at n * 100. */
static struct ps_record the_log[RECORDS];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDS; i++) {
        the_log[i] = (struct ps_record){.lsn = i + 1, .commit_ns = (i + 1) * 100};
    }
    return 0;
}

/* Records first .. last as home sent them when `last_lsn` was its newest; last < first = none. */
static struct ps_batch batch_of(uint64_t first, uint64_t last, uint64_t last_lsn,
                                ps_time_ns closed_ns)
{
    size_t count = last >= first ? (size_t)(last - first + 1) : 0;
    return (struct ps_batch){1, closed_ns, last_lsn, &the_log[first - 1], count};
}

/* Give a batch, check the run, apply it. */
static void give(struct ps_follower *follower, struct ps_batch batch, bool is_answer,
                 uint64_t run_first, size_t run_count)
{
    size_t first;
    size_t count;
    assert_int_equal(ps_follower_batch(follower, &batch, is_answer, T, &first, &count), PS_OK);
    assert_int_equal(count, run_count);
    if (count > 0) {
        assert_int_equal(batch.records[first].lsn, run_first);
    }
    ps_follower_applied(follower, follower->have_lsn + count);
}

static void ask_nothing(struct ps_follower *follower, ps_time_ns need_ns, uint64_t mono_ns)
{
    struct ps_message request;
    assert_false(ps_follower_ask(follower, need_ns, mono_ns, &request));
}

static struct ps_message ask(struct ps_follower *follower, ps_time_ns need_ns, uint64_t mono_ns,
                             enum ps_message_kind kind)
{
    struct ps_message request;
    assert_true(ps_follower_ask(follower, need_ns, mono_ns, &request));
    assert_int_equal(request.kind, kind);
    return request;
}

/* Home's folder was emptied, or an old copy of it put back. */
static void a_home_that_lost_records_is_refused(void **state)
{
    (void)state;
    size_t first;
    size_t count;
    struct ps_follower follower;
    ps_follower_init(&follower, 5, 500);
    struct ps_batch batch = batch_of(1, 0, 3, 600); /* a heartbeat */
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_CORRUPT);
    batch = batch_of(3, 4, 4, 600); /* others have their LSNs now */
    assert_int_equal(ps_follower_batch(&follower, &batch, true, T, &first, &count), PS_CORRUPT);
    assert_int_equal(follower.closed_ns, 500);
    assert_true(ps_follower_home_away(&follower, T));
    give(&follower, batch_of(3, 4, 4, 450), true, 0, 0); /* an answer of home's that was late */
    give(&follower, batch_of(6, 6, 6, 600), false, 6, 1);
    ps_follower_fini(&follower);
}

static void records_in_order_are_applied(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 0, 0);
    give(&follower, batch_of(1, 3, 3, 350), false, 1, 3);
    assert_int_equal(follower.have_lsn, 3);
    assert_int_equal(follower.closed_ns, 350);
    give(&follower, batch_of(4, 4, 4, 450), false, 4, 1);
    assert_int_equal(follower.state, PS_FOLLOWER_STEADY);
    assert_int_equal(follower.closed_ns, 450);
    ask_nothing(&follower, 450, T);
    assert_true(ps_follower_deadline(&follower, 450) == PS_NEVER);
    ps_follower_fini(&follower);
}

static void what_is_here_already_is_skipped(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 5, 500);
    give(&follower, batch_of(2, 4, 4, 420), false, 0, 0);
    assert_int_equal(follower.duplicates, 3);
    assert_int_equal(follower.closed_ns, 500);
    give(&follower, batch_of(4, 7, 7, 720), false, 6, 2);
    assert_int_equal(follower.duplicates, 5);
    assert_int_equal(follower.have_lsn, 7);
    assert_int_equal(follower.closed_ns, 720);
    ps_follower_fini(&follower);
}

static void a_gap_is_caught_up(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 2, 200);
    give(&follower, batch_of(5, 6, 6, 650), false, 0, 0);
    assert_int_equal(follower.state, PS_FOLLOWER_CATCHING_UP);
    assert_int_equal(follower.gaps, 1);
    assert_int_equal(follower.closed_ns, 200);
    struct ps_message request = ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    assert_int_equal(request.catch_up.from_lsn, 3);
    assert_true(request.catch_up.bytes_max > 0);
    /* asked once, and again when its time is over */
    ask_nothing(&follower, 0, T + RETRY - 1);
    assert_int_equal(ps_follower_deadline(&follower, 0), T + RETRY);
    (void)ask(&follower, 0, T + RETRY, PS_MESSAGE_CATCH_UP);
    /* a part of what is missing: have grows, and with it what is certainly complete */
    give(&follower, batch_of(3, 4, 6, 650), true, 3, 2);
    assert_int_equal(follower.state, PS_FOLLOWER_CATCHING_UP);
    assert_int_equal(follower.closed_ns, 400);
    assert_int_equal(ps_follower_deadline(&follower, 0), 0);
    request = ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    assert_int_equal(request.catch_up.from_lsn, 5);
    give(&follower, batch_of(5, 6, 6, 680), true, 5, 2);
    assert_int_equal(follower.state, PS_FOLLOWER_STEADY);
    assert_int_equal(follower.closed_ns, 680);
    ps_follower_fini(&follower);
}

static void a_heartbeat_tells_of_lost_records(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 2, 200);
    give(&follower, batch_of(1, 0, 2, 290), false, 0, 0);
    assert_int_equal(follower.closed_ns, 290);
    give(&follower, batch_of(1, 0, 3, 900), false, 0, 0);
    assert_int_equal(follower.state, PS_FOLLOWER_CATCHING_UP);
    assert_int_equal(follower.closed_ns, 290);
    (void)ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    /* the record was only late: the published batch closes what the heartbeat promised */
    give(&follower, batch_of(3, 3, 3, 310), false, 3, 1);
    assert_int_equal(follower.state, PS_FOLLOWER_STEADY);
    assert_int_equal(follower.closed_ns, 900);
    ask_nothing(&follower, 900, T);
    /* and the answer that was on its way changes nothing */
    give(&follower, batch_of(3, 3, 3, 910), true, 0, 0);
    assert_int_equal(follower.closed_ns, 910);
    ps_follower_fini(&follower);
}

static void unsound_batches_are_dropped(void **state)
{
    (void)state;
    struct ps_follower follower;
    size_t first;
    size_t count;
    ps_follower_init(&follower, 0, 0);
    struct ps_batch batch = batch_of(1, 4, 4, 450);
    the_log[2].lsn = 9; /* 1 2 9 4 */
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_CORRUPT);
    the_log[2].lsn = 3;
    the_log[2].commit_ns = 200; /* as record 2 */
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_CORRUPT);
    the_log[2].commit_ns = 300;
    batch.last_lsn = 3; /* holds record 4 */
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_CORRUPT);
    batch.last_lsn = 4;
    give(&follower, batch, false, 1, 4);
    /* home had closed 450; a record at 440 breaks the promise */
    the_log[4].commit_ns = 440;
    batch = batch_of(5, 5, 5, 600);
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_CORRUPT);
    assert_int_equal(follower.have_lsn, 4);
    assert_int_equal(follower.closed_ns, 450);
    ps_follower_fini(&follower);
}

static void a_run_that_was_not_applied_comes_again(void **state)
{
    (void)state;
    struct ps_follower follower;
    size_t first;
    size_t count;
    ps_follower_init(&follower, 0, 0);
    struct ps_batch batch = batch_of(1, 2, 2, 250);
    assert_int_equal(ps_follower_batch(&follower, &batch, false, T, &first, &count), PS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(follower.closed_ns, 0);
    struct ps_message request = ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    assert_int_equal(request.catch_up.from_lsn, 1);
    give(&follower, batch, true, 1, 2);
    assert_int_equal(follower.closed_ns, 250);
    ps_follower_fini(&follower);
}

static void a_waiting_read_asks_for_the_closed_time(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 2, 200);
    ask_nothing(&follower, 200, T);
    assert_int_equal(ps_follower_deadline(&follower, 201), 0);
    struct ps_message request = ask(&follower, 260, T, PS_MESSAGE_SYNC);
    assert_int_equal(request.sync.need_ns, 260);
    ask_nothing(&follower, 280, T + 1); /* wait for the answer first */
    /* a gap is more urgent than the answer to SYNC, which home may hold */
    give(&follower, batch_of(4, 4, 4, 450), false, 0, 0);
    (void)ask(&follower, 280, T + 2, PS_MESSAGE_CATCH_UP);
    give(&follower, batch_of(3, 4, 4, 450), true, 3, 2);
    ask_nothing(&follower, 280, T + 3);
    /* a heartbeat satisfied this SYNC before its answer: the next need does not wait for it */
    (void)ask(&follower, 460, T + 4, PS_MESSAGE_SYNC);
    give(&follower, batch_of(1, 0, 4, 470), false, 0, 0);
    request = ask(&follower, 480, T + 5, PS_MESSAGE_SYNC);
    assert_int_equal(request.sync.need_ns, 480);
    give(&follower, batch_of(1, 0, 4, 480), true, 0, 0);
    ask_nothing(&follower, 480, T + 6);
    ps_follower_fini(&follower);
}

static struct ps_message part_of(uint64_t at_lsn, const char *after,
                                 struct ps_snapshot_entry *entry, bool last)
{
    struct ps_message part;
    memset(&part, 0, sizeof part);
    part.kind = PS_MESSAGE_PART;
    part.part.home_boot = 1;
    part.part.at_lsn = at_lsn;
    part.part.at_commit_ns = at_lsn * 100;
    part.part.after_key = ps_slice_of(after);
    part.part.last = last;
    part.part.entries = entry;
    part.part.entry_count = entry == NULL ? 0 : 1;
    return part;
}

static void start_snapshot(struct ps_follower *follower)
{
    ps_follower_init(follower, 2, 200);
    give(follower, batch_of(10, 10, 10, 1000), false, 0, 0);
    (void)ask(follower, 0, T, PS_MESSAGE_CATCH_UP);
    ps_follower_error(follower, PS_TOO_OLD, T);
    assert_int_equal(follower->state, PS_FOLLOWER_SNAPSHOTTING);
    struct ps_message request = ask(follower, 0, T, PS_MESSAGE_SNAPSHOT);
    assert_int_equal(request.snapshot.at_lsn, 0);
    assert_int_equal(request.snapshot.after_key.size, 0);
}

static void a_follower_beyond_the_log_takes_a_snapshot(void **state)
{
    (void)state;
    struct ps_follower follower;
    struct ps_snapshot_entry a = {.entry = {.key = PS_LIT("a")}, .lsn = 4, .commit_ns = 400};
    struct ps_snapshot_entry b = {.entry = {.key = PS_LIT("b")}, .lsn = 7, .commit_ns = 700};
    start_snapshot(&follower);
    struct ps_message part = part_of(11, "", &a, false);
    assert_true(ps_follower_wants_part(&follower, &part));
    ps_follower_part(&follower, &part, T);
    assert_false(ps_follower_wants_part(&follower, &part)); /* not twice */
    struct ps_message request = ask(&follower, 0, T, PS_MESSAGE_SNAPSHOT);
    assert_int_equal(request.snapshot.at_lsn, 11);
    assert_true(ps_slice_eq(request.snapshot.after_key, PS_LIT("a")));
    /* published meanwhile: only noted */
    give(&follower, batch_of(12, 12, 12, 1250), false, 0, 0);
    assert_int_equal(follower.have_lsn, 2);
    /* parts that do not fit: of another snapshot, from another key, empty though not the last */
    struct ps_message other = part_of(12, "a", &b, true);
    assert_false(ps_follower_wants_part(&follower, &other));
    other = part_of(11, "0", &b, true);
    assert_false(ps_follower_wants_part(&follower, &other));
    other = part_of(11, "a", NULL, false);
    ps_follower_part(&follower, &other, T);
    assert_int_equal(follower.state, PS_FOLLOWER_SNAPSHOTTING);
    part = part_of(11, "a", &b, true);
    ps_follower_part(&follower, &part, T);
    assert_int_equal(follower.state, PS_FOLLOWER_CATCHING_UP);
    assert_int_equal(follower.have_lsn, 11);
    assert_int_equal(follower.closed_ns, 1100);
    request = ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    assert_int_equal(request.catch_up.from_lsn, 12);
    give(&follower, batch_of(12, 12, 12, 1260), true, 12, 1);
    assert_int_equal(follower.state, PS_FOLLOWER_STEADY);
    assert_int_equal(follower.snapshots, 1);
    ps_follower_fini(&follower);
}

static void a_snapshot_that_home_forgot_starts_again(void **state)
{
    (void)state;
    struct ps_follower follower;
    struct ps_snapshot_entry a = {.entry = {.key = PS_LIT("a")}, .lsn = 4, .commit_ns = 400};
    start_snapshot(&follower);
    ps_follower_error(&follower, PS_TOO_OLD, T); /* the late answer to a CATCH_UP */
    ask_nothing(&follower, 0, T + 1);
    struct ps_message part = part_of(11, "", &a, false);
    ps_follower_part(&follower, &part, T);
    (void)ask(&follower, 0, T, PS_MESSAGE_SNAPSHOT);
    ps_follower_error(&follower, PS_TOO_OLD, T);
    struct ps_message late = part_of(11, "a", &a, true);
    assert_false(ps_follower_wants_part(&follower, &late));
    struct ps_message request = ask(&follower, 0, T, PS_MESSAGE_SNAPSHOT);
    assert_int_equal(request.snapshot.at_lsn, 0);
    assert_int_equal(request.snapshot.after_key.size, 0);
    /* a snapshot that is not ahead of what is here is of no use */
    struct ps_message old = part_of(2, "", &a, true);
    assert_false(ps_follower_wants_part(&follower, &old));
    ps_follower_fini(&follower);
}

static void other_errors_are_tried_again_later(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 0, 0);
    give(&follower, batch_of(1, 0, 1, 150), false, 0, 0);
    (void)ask(&follower, 0, T, PS_MESSAGE_CATCH_UP);
    ps_follower_error(&follower, PS_IO, T + 1);
    ask_nothing(&follower, 0, T + 2);
    (void)ask(&follower, 0, T + RETRY, PS_MESSAGE_CATCH_UP);
    /* an answer that does not join what is here does not make the follower ask in a circle */
    give(&follower, batch_of(2, 2, 2, 250), true, 0, 0);
    ask_nothing(&follower, 0, T + RETRY + 1);
    ps_follower_fini(&follower);
}

static void silence_means_that_home_is_away(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 0, 0);
    assert_true(ps_follower_home_away(&follower, T));
    give(&follower, batch_of(1, 0, 0, 10), false, 0, 0);
    assert_false(ps_follower_home_away(&follower, T + PS_FOLLOWER_SILENCE_MS * PS_MS - 1));
    assert_true(ps_follower_home_away(&follower, T + PS_FOLLOWER_SILENCE_MS * PS_MS));
    ps_follower_error(&follower, PS_BUSY, T + 2 * PS_SECOND);
    assert_false(ps_follower_home_away(&follower, T + 2 * PS_SECOND));
    ps_follower_fini(&follower);
}

static void a_new_life_of_home_continues_the_log(void **state)
{
    (void)state;
    struct ps_follower follower;
    ps_follower_init(&follower, 2, 200);
    struct ps_batch batch = batch_of(3, 3, 3, 350);
    batch.home_boot = 2;
    give(&follower, batch, false, 3, 1);
    assert_int_equal(follower.home_boot, 2);
    /* late, from the life before: still true */
    batch = batch_of(1, 0, 3, 340);
    give(&follower, batch, false, 0, 0);
    assert_int_equal(follower.home_boot, 2);
    assert_int_equal(follower.closed_ns, 350);
    ps_follower_fini(&follower);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(a_home_that_lost_records_is_refused),
        TEST(records_in_order_are_applied),
        TEST(what_is_here_already_is_skipped),
        TEST(a_gap_is_caught_up),
        TEST(a_heartbeat_tells_of_lost_records),
        TEST(unsound_batches_are_dropped),
        TEST(a_run_that_was_not_applied_comes_again),
        TEST(a_waiting_read_asks_for_the_closed_time),
        TEST(a_follower_beyond_the_log_takes_a_snapshot),
        TEST(a_snapshot_that_home_forgot_starts_again),
        TEST(other_errors_are_tried_again_later),
        TEST(silence_means_that_home_is_away),
        TEST(a_new_life_of_home_continues_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
