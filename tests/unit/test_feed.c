/* Followers and a model home over the memory transport, with loss, repetition, late answers,
 * restarts of either side and a log whose head is cut off. Home's full log is the oracle: records
 * are applied in order and once, closed times are true the moment they are claimed and stay true,
 * and in the end each follower has what home has. A failure prints its seed. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/feed/follower.h"
#include "replication/feed/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 150,
    STEPS = 400,
    STEPS_TO_CONVERGE = 3000,
    LOG_MAX = 4 * STEPS,
    KEYS = 12,
    FOLLOWERS = 3,
    HELD_MAX = 64,
    ANSWER_RECORDS_MAX = 7,
    PART_ENTRIES_MAX = 3
};

static const uint64_t STEP_NS = 10 * PS_MS;

/* One record: which key it sets, or deletes. */
struct logged {
    ps_time_ns commit_ns;
    unsigned key;
    bool deleted;
};

struct home {
    struct ps_transport *transport;
    uint64_t boot;
    struct logged log[LOG_MAX + 1]; /* by LSN */
    uint64_t last_lsn;
    uint64_t first_kept;     /* CATCH_UP from before it is TOO_OLD */
    uint64_t snapshot_floor; /* SNAPSHOT at an LSN before it is TOO_OLD */
    ps_time_ns closed_ns;

    /* answers that wait: SYNC for its time, others for chance */
    struct held {
        struct ps_reply_to to;
        struct ps_buf bytes;
        ps_time_ns sync_ns;  /* 0 = ready */
        ps_time_ns until_ns; /* so late that it is asked again meanwhile; 0 = not late */
    } held[HELD_MAX];

    size_t held_count;
    struct ps_buf published; /* an earlier publication, to be repeated */
};

struct replica {
    struct world *world;
    struct ps_transport *transport;
    struct ps_follower follower;
    uint32_t next_request;
    uint64_t newest[KEYS]; /* LSN of each key's newest version; 0 = none */
    ps_time_ns need_ns;
};

struct world {
    uint64_t seed;
    struct ps_rng rng;
    struct ps_memory_hub *hub;
    ps_time_ns now_ns; /* both clocks */
    bool calm;         /* no more trouble: converge */
    struct home home;
    struct replica replicas[FOLLOWERS];
};

#define CHECK(world, expression)                                                                   \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            fail_msg("seed %llu: %s", (unsigned long long)(world)->seed, #expression);             \
        }                                                                                          \
    } while (0)

static bool one_in(struct world *world, uint64_t n)
{
    return ps_rng_below(&world->rng, n) == 0;
}

static const char *key_name(unsigned key)
{
    static const char *names[KEYS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    return names[key];
}

static unsigned key_number(struct world *world, struct ps_slice name)
{
    CHECK(world, name.size == 1 && name.data[0] >= 'a' && name.data[0] < 'a' + KEYS);
    return (unsigned)(name.data[0] - 'a');
}

static struct ps_entry entry_of(const struct logged *logged)
{
    return (struct ps_entry){.key = ps_slice_of(key_name(logged->key)),
                             .value = logged->deleted ? PS_LIT("") : PS_LIT("v"),
                             .deleted = logged->deleted};
}

/* The oracle: LSN of a key's newest version as of `lsn`. */
static uint64_t newest_at(const struct home *home, unsigned key, uint64_t lsn)
{
    while (lsn > 0 && home->log[lsn].key != key) {
        lsn--;
    }
    return lsn;
}

/* Home. */

/* Append a batch of records first .. last (none if last < first). */
static void encode_batch(const struct home *home, uint64_t first, uint64_t last, struct ps_buf *buf)
{
    struct ps_record records[LOG_MAX];
    struct ps_entry entries[LOG_MAX];
    size_t count = 0;
    for (uint64_t lsn = first; lsn <= last; lsn++, count++) {
        entries[count] = entry_of(&home->log[lsn]);
        records[count] = (struct ps_record){.lsn = lsn,
                                            .commit_ns = home->log[lsn].commit_ns,
                                            .entries = &entries[count],
                                            .entry_count = 1};
    }
    struct ps_message message = {.kind = PS_MESSAGE_BATCH, .store = PS_LIT("S")};
    message.batch = (struct ps_batch){home->boot, home->closed_ns, home->last_lsn, records, count};
    ps_message_encode(buf, &message);
}

static void encode_part(const struct home *home, const struct ps_message *request,
                        struct ps_buf *buf)
{
    struct ps_snapshot_entry entries[PART_ENTRIES_MAX];
    struct ps_message part = {.kind = PS_MESSAGE_PART, .store = PS_LIT("S")};
    uint64_t at = request->snapshot.at_lsn != 0 ? request->snapshot.at_lsn : home->last_lsn;
    part.part.home_boot = home->boot;
    part.part.at_lsn = at;
    part.part.at_commit_ns = at > 0 ? home->log[at].commit_ns : 0;
    part.part.after_key = request->snapshot.after_key;
    part.part.last = true;
    part.part.entries = entries;
    part.part.entry_count = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t lsn = newest_at(home, key, at);
        struct ps_slice name = ps_slice_of(key_name(key));
        if (lsn == 0 || ps_slice_cmp(name, request->snapshot.after_key) <= 0) {
            continue;
        }
        if (part.part.entry_count == PART_ENTRIES_MAX) {
            part.part.last = false;
            break;
        }
        entries[part.part.entry_count++] = (struct ps_snapshot_entry){
            .entry = entry_of(&home->log[lsn]), .lsn = lsn, .commit_ns = home->log[lsn].commit_ns};
    }
    ps_message_encode(buf, &part);
}

static void encode_error(enum ps_status status, struct ps_buf *buf)
{
    struct ps_message message = {.kind = PS_MESSAGE_ERROR, .store = PS_LIT("S")};
    message.error.status = status;
    ps_message_encode(buf, &message);
}

static void commit(struct world *world)
{
    struct home *home = &world->home;
    if (home->last_lsn == LOG_MAX) {
        return;
    }
    ps_time_ns after = ps_time_max(home->closed_ns, home->log[home->last_lsn].commit_ns);
    home->last_lsn++;
    home->log[home->last_lsn] = (struct logged){.commit_ns = ps_time_max(world->now_ns, after + 1),
                                                .key = (unsigned)ps_rng_below(&world->rng, KEYS),
                                                .deleted = one_in(world, 4)};
}

/* Publish what was committed since `first`, or a heartbeat. */
static void publish(struct world *world, uint64_t first)
{
    struct home *home = &world->home;
    home->closed_ns = ps_time_max(home->closed_ns, world->now_ns);
    home->closed_ns = ps_time_max(home->closed_ns, home->log[home->last_lsn].commit_ns);
    struct ps_buf buf = {.size = 0};
    encode_batch(home, first, home->last_lsn, &buf);
    ps_transport_publish(home->transport, ps_buf_slice(&buf));
    if (!world->calm && home->published.size > 0 && one_in(world, 5)) {
        ps_transport_publish(home->transport, ps_buf_slice(&home->published));
    }
    if (one_in(world, 3)) {
        ps_buf_fini(&home->published);
        home->published = buf;
    } else {
        ps_buf_fini(&buf);
    }
}

static void on_requested(void *context, const struct ps_reply_to *from, struct ps_slice bytes)
{
    struct world *world = context;
    struct home *home = &world->home;
    struct ps_message request;
    CHECK(world, ps_message_decode(bytes, &request) == PS_OK);
    if (home->held_count == HELD_MAX) {
        ps_message_fini(&request);
        return; /* lost: it is asked again */
    }
    struct held *held = &home->held[home->held_count++];
    memset(held, 0, sizeof *held);
    held->to = *from;
    if (!world->calm && one_in(world, 5)) {
        held->until_ns = world->now_ns + ps_rng_below(&world->rng, 1000) * PS_MS;
    }
    CHECK(world, request.kind == PS_MESSAGE_CATCH_UP || request.kind == PS_MESSAGE_SYNC ||
                     request.kind == PS_MESSAGE_SNAPSHOT);
    if (request.kind == PS_MESSAGE_SYNC) {
        held->sync_ns = request.sync.need_ns;
    } else if (request.kind == PS_MESSAGE_SNAPSHOT) {
        if (request.snapshot.at_lsn != 0 && request.snapshot.at_lsn < home->snapshot_floor) {
            encode_error(PS_TOO_OLD, &held->bytes);
        } else {
            encode_part(home, &request, &held->bytes);
        }
    } else if (request.catch_up.from_lsn < home->first_kept) {
        encode_error(PS_TOO_OLD, &held->bytes);
    } else {
        uint64_t last = request.catch_up.from_lsn + ps_rng_below(&world->rng, ANSWER_RECORDS_MAX);
        encode_batch(home, request.catch_up.from_lsn, last < home->last_lsn ? last : home->last_lsn,
                     &held->bytes);
    }
    ps_message_fini(&request);
}

/* Send the answers that are ready: in trouble some, in any order, and some never. */
static void answer(struct world *world)
{
    struct home *home = &world->home;
    size_t kept = 0;
    for (size_t i = home->held_count; i-- > 0;) {
        struct held *held = &home->held[i];
        if (held->sync_ns != 0 && home->closed_ns >= held->sync_ns) {
            held->sync_ns = 0;
            encode_batch(home, 1, 0, &held->bytes);
        }
    }
    for (size_t i = 0; i < home->held_count; i++) {
        struct held held = home->held[i];
        if (held.sync_ns != 0 || held.until_ns > world->now_ns ||
            (!world->calm && one_in(world, 2))) {
            home->held[kept++] = held;
            continue;
        }
        if (world->calm || held.until_ns != 0 || !one_in(world, 10)) {
            ps_transport_answer(home->transport, &held.to, ps_buf_slice(&held.bytes));
        }
        ps_buf_fini(&held.bytes);
    }
    home->held_count = kept;
    if (kept > 1 && one_in(world, 2)) {
        struct held first = home->held[0];
        home->held[0] = home->held[kept - 1];
        home->held[kept - 1] = first;
    }
}

static void start_home(struct world *world)
{
    const struct ps_transport_handler handler = {.context = world, .requested = on_requested};
    world->home.boot++;
    world->home.transport =
        ps_transport_memory_create(world->hub, "home-feed", "home-answer", &handler);
}

static void stop_home(struct world *world)
{
    ps_transport_destroy(world->home.transport);
    for (size_t i = 0; i < world->home.held_count; i++) {
        ps_buf_fini(&world->home.held[i].bytes);
    }
    world->home.held_count = 0;
}

/* Replicas. */

static void check_map(const struct replica *replica)
{
    const struct home *home = &replica->world->home;
    if (replica->follower.state == PS_FOLLOWER_SNAPSHOTTING) {
        return; /* its map is of two ages until the last part */
    }
    for (unsigned key = 0; key < KEYS; key++) {
        CHECK(replica->world,
              replica->newest[key] == newest_at(home, key, replica->follower.have_lsn));
    }
}

/* All that home committed at or before the closed time is here. */
static void check_closed(const struct replica *replica)
{
    const struct home *home = &replica->world->home;
    uint64_t next = replica->follower.have_lsn + 1;
    if (next <= home->last_lsn) {
        CHECK(replica->world, home->log[next].commit_ns > replica->follower.closed_ns);
    }
}

static void take_batch(struct replica *replica, const struct ps_batch *batch, bool is_answer)
{
    struct world *world = replica->world;
    struct ps_follower *follower = &replica->follower;
    size_t first;
    size_t count;
    CHECK(world,
          ps_follower_batch(follower, batch, is_answer, world->now_ns, &first, &count) == PS_OK);
    if (count > 0 && !world->calm && one_in(world, 20)) {
        return; /* the map could not be written */
    }
    for (size_t i = first; i < first + count; i++) {
        const struct ps_record *record = &batch->records[i];
        CHECK(world, record->lsn == follower->have_lsn + 1 + (i - first));
        CHECK(world, record->commit_ns == world->home.log[record->lsn].commit_ns);
        replica->newest[key_number(world, record->entries[0].key)] = record->lsn;
    }
    ps_time_ns closed_ns = follower->closed_ns;
    ps_follower_applied(follower, follower->have_lsn + count);
    CHECK(world, follower->closed_ns >= closed_ns);
    check_closed(replica);
    check_map(replica);
}

static void take_part(struct replica *replica, const struct ps_message *part)
{
    if (ps_follower_wants_part(&replica->follower, part)) {
        for (size_t i = 0; i < part->part.entry_count; i++) {
            const struct ps_snapshot_entry *entry = &part->part.entries[i];
            replica->newest[key_number(replica->world, entry->entry.key)] = entry->lsn;
        }
    }
    ps_follower_part(&replica->follower, part, replica->world->now_ns);
    check_closed(replica);
    check_map(replica);
}

static void take(struct replica *replica, struct ps_slice bytes, bool is_answer)
{
    struct ps_message message;
    CHECK(replica->world, ps_message_decode(bytes, &message) == PS_OK);
    if (message.kind == PS_MESSAGE_BATCH) {
        take_batch(replica, &message.batch, is_answer);
    } else if (message.kind == PS_MESSAGE_PART) {
        take_part(replica, &message);
    } else {
        CHECK(replica->world, message.kind == PS_MESSAGE_ERROR);
        ps_follower_error(&replica->follower, message.error.status, replica->world->now_ns);
    }
    ps_message_fini(&message);
}

static void on_published(void *context, uint32_t peer, struct ps_slice bytes)
{
    (void)peer;
    take(context, bytes, false);
}

static void on_answered(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes)
{
    (void)peer;
    (void)request_id;
    take(context, bytes, true);
}

static void step_replica(struct replica *replica)
{
    struct world *world = replica->world;
    (void)ps_transport_poll(replica->transport, SIZE_MAX);
    if (one_in(world, 4)) {
        replica->need_ns = world->now_ns + ps_rng_below(&world->rng, 4) * STEP_NS;
    }
    if (!world->calm && one_in(world, 60) && replica->follower.state != PS_FOLLOWER_SNAPSHOTTING) {
        /* the process starts again with what its map holds */
        uint64_t have_lsn = replica->follower.have_lsn;
        ps_follower_fini(&replica->follower);
        ps_follower_init(&replica->follower, have_lsn, world->home.log[have_lsn].commit_ns);
    }
    struct ps_message request;
    uint64_t deadline = ps_follower_deadline(&replica->follower, replica->need_ns);
    bool asks = ps_follower_ask(&replica->follower, replica->need_ns, world->now_ns, &request);
    CHECK(world, asks == (deadline <= world->now_ns));
    if (asks) {
        request.store = PS_LIT("S");
        struct ps_buf buf = {.size = 0};
        ps_message_encode(&buf, &request);
        enum ps_status status = ps_transport_request(replica->transport, 0, replica->next_request++,
                                                     ps_buf_slice(&buf));
        CHECK(world, status == PS_OK || status == PS_BUSY);
        ps_buf_fini(&buf);
    }
}

/* The world. */

static void step(struct world *world)
{
    struct home *home = &world->home;
    world->now_ns += STEP_NS;
    if (home->transport != NULL) {
        uint64_t first = home->last_lsn + 1;
        if (!world->calm) {
            for (uint64_t n = ps_rng_below(&world->rng, 4); n > 0; n--) {
                commit(world);
            }
        }
        if (home->last_lsn >= first || one_in(world, 3)) {
            publish(world, first);
        }
        (void)ps_transport_poll(home->transport, SIZE_MAX);
        answer(world);
    }
    if (home->transport != NULL && !world->calm && one_in(world, 40)) {
        stop_home(world);
        home->transport = NULL;
    } else if (home->transport == NULL && (world->calm || one_in(world, 10))) {
        start_home(world);
    }
    if (!world->calm && one_in(world, 30)) {
        home->first_kept += ps_rng_below(&world->rng, home->last_lsn + 2 - home->first_kept);
    }
    if (!world->calm && one_in(world, 30)) {
        home->snapshot_floor = home->last_lsn;
    }
    for (size_t i = 0; i < FOLLOWERS; i++) {
        step_replica(&world->replicas[i]);
    }
}

static bool has_converged(const struct world *world, ps_time_ns since_ns)
{
    for (size_t i = 0; i < FOLLOWERS; i++) {
        const struct ps_follower *follower = &world->replicas[i].follower;
        if (follower->state != PS_FOLLOWER_STEADY || follower->have_lsn != world->home.last_lsn ||
            follower->closed_ns < since_ns) {
            return false;
        }
    }
    return true;
}

static struct world *create_world(uint64_t seed)
{
    struct world *world = PS_NEW(struct world);
    world->seed = seed;
    world->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("test-feed", NULL, NULL)};
    world->hub = ps_memory_hub_create(seed, (uint32_t)ps_rng_below(&world->rng, 600));
    world->now_ns = 1000 * PS_SECOND;
    world->home.first_kept = 1;
    start_home(world);
    for (size_t i = 0; i < FOLLOWERS; i++) {
        struct replica *replica = &world->replicas[i];
        const struct ps_transport_handler handler = {
            .context = replica, .published = on_published, .answered = on_answered};
        char url[2][16];
        (void)snprintf(url[0], sizeof url[0], "feed-%zu", i);
        (void)snprintf(url[1], sizeof url[1], "answer-%zu", i);
        replica->world = world;
        ps_follower_init(&replica->follower, 0, 0);
        replica->transport = ps_transport_memory_create(world->hub, url[0], url[1], &handler);
        uint32_t peer;
        CHECK(world, ps_transport_connect(replica->transport, "home-feed", "home-answer", &peer,
                                          NULL) == PS_OK);
    }
    return world;
}

static void destroy_world(struct world *world)
{
    for (size_t i = 0; i < FOLLOWERS; i++) {
        ps_transport_destroy(world->replicas[i].transport);
        ps_follower_fini(&world->replicas[i].follower);
    }
    stop_home(world);
    ps_buf_fini(&world->home.published);
    ps_memory_hub_destroy(world->hub);
    free(world);
}

static void followers_converge_and_never_claim_too_much(void **state)
{
    (void)state;
    uint64_t gaps = 0;
    uint64_t snapshots = 0;
    uint64_t boots = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = create_world(seed);
        for (size_t i = 0; i < STEPS; i++) {
            step(world);
        }
        world->calm = true;
        ps_time_ns since_ns = world->now_ns;
        for (size_t i = 0; i < STEPS_TO_CONVERGE && !has_converged(world, since_ns); i++) {
            step(world);
        }
        CHECK(world, has_converged(world, since_ns));
        for (size_t i = 0; i < FOLLOWERS; i++) {
            check_map(&world->replicas[i]);
            gaps += world->replicas[i].follower.gaps;
            snapshots += world->replicas[i].follower.snapshots;
        }
        boots += world->home.boot;
        destroy_world(world);
    }
    /* the trouble that this is about did happen */
    assert_true(gaps > SEEDS);
    assert_true(snapshots > SEEDS);
    assert_true(boots > 2 * SEEDS);
}

/* The transport itself. */

struct counts {
    struct ps_transport *transport;
    size_t published;
    size_t requested;
    size_t answered;
    uint32_t last_id;
};

static void count_published(void *context, uint32_t peer, struct ps_slice bytes)
{
    struct counts *counts = context;
    assert_int_equal(peer, 0);
    assert_true(ps_slice_eq(bytes, PS_LIT("news")));
    counts->published++;
}

static void count_requested(void *context, const struct ps_reply_to *from, struct ps_slice bytes)
{
    struct counts *counts = context;
    counts->requested++;
    ps_transport_answer(counts->transport, from, bytes);
}

static void count_answered(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes)
{
    struct counts *counts = context;
    assert_int_equal(peer, 0);
    assert_true(ps_slice_eq(bytes, PS_LIT("question")));
    counts->answered++;
    counts->last_id = request_id;
}

static struct ps_transport *open_counting(struct ps_memory_hub *hub, struct counts *counts,
                                          const char *feed, const char *answer_url)
{
    const struct ps_transport_handler handler = {counts, count_published, count_requested,
                                                 count_answered};
    counts->transport = ps_transport_memory_create(hub, feed, answer_url, &handler);
    return counts->transport;
}

static size_t hear_of_thousand(uint64_t seed, uint32_t loss_milli)
{
    struct counts from = {.transport = NULL};
    struct counts to = {.transport = NULL};
    uint32_t peer;
    struct ps_memory_hub *hub = ps_memory_hub_create(seed, loss_milli);
    (void)open_counting(hub, &from, "f1", "a1");
    (void)open_counting(hub, &to, "f2", "a2");
    assert_int_equal(ps_transport_connect(to.transport, "f1", "a1", &peer, NULL), PS_OK);
    for (size_t i = 0; i < 1000; i++) {
        ps_transport_publish(from.transport, PS_LIT("news"));
    }
    assert_int_equal(ps_transport_poll(to.transport, 1), loss_milli < 1000);
    (void)ps_transport_poll(to.transport, SIZE_MAX);
    ps_transport_destroy(from.transport);
    ps_transport_destroy(to.transport);
    ps_memory_hub_destroy(hub);
    return to.published;
}

static void the_memory_transport_loses_by_its_seed(void **state)
{
    (void)state;
    assert_int_equal(hear_of_thousand(1, 0), 1000);
    assert_int_equal(hear_of_thousand(1, 1000), 0);
    size_t heard = hear_of_thousand(1, 300);
    assert_in_range(heard, 600, 800);
    assert_int_equal(hear_of_thousand(1, 300), heard);
}

static void the_memory_transport_answers_requests(void **state)
{
    (void)state;
    struct counts home = {.transport = NULL};
    struct counts asker = {.transport = NULL};
    uint32_t peer;
    struct ps_memory_hub *hub = ps_memory_hub_create(1, 0);
    (void)open_counting(hub, &asker, "f2", "a2");
    assert_int_equal(ps_transport_connect(asker.transport, "f1", "a1", &peer, NULL), PS_OK);
    assert_int_equal(ps_transport_request(asker.transport, peer, 5, PS_LIT("question")), PS_BUSY);
    (void)open_counting(hub, &home, "f1", "a1");
    assert_int_equal(ps_transport_request(asker.transport, peer, 6, PS_LIT("question")), PS_OK);
    assert_int_equal(ps_transport_request(asker.transport, peer, UINT32_MAX, PS_LIT("question")),
                     PS_OK);
    assert_int_equal(ps_transport_poll(home.transport, SIZE_MAX), 2);
    assert_int_equal(ps_transport_poll(asker.transport, SIZE_MAX), 2);
    assert_int_equal(asker.answered, 2);
    assert_true(asker.last_id == UINT32_MAX);
    /* an answer to one who left is lost */
    assert_int_equal(ps_transport_request(asker.transport, peer, 7, PS_LIT("question")), PS_OK);
    ps_transport_destroy(asker.transport);
    assert_int_equal(ps_transport_poll(home.transport, SIZE_MAX), 1);
    ps_transport_destroy(home.transport);
    ps_memory_hub_destroy(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followers_converge_and_never_claim_too_much),
        cmocka_unit_test(the_memory_transport_loses_by_its_seed),
        cmocka_unit_test(the_memory_transport_answers_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
