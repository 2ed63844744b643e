/* Any bytes as what a home, sound or hostile, might say to a follower. Whatever it is told, it
 * gives runs that join what is here, never goes back, and asks only what home can decode. */
#include "replication/feed/follower.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_MAX = 8, OPS_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t take(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* Near `base` for most bytes, anywhere for the rest; within what the decoder lets through. */
static uint64_t near(struct input *input, uint64_t base)
{
    uint8_t byte = take(input);
    uint64_t value = base + byte - 16;
    if (byte >= 240) {
        for (size_t i = 0; i < sizeof value; i++) {
            value = value << 8 | take(input);
        }
    }
    return value < UINT64_MAX - 1 ? value : 0;
}

static void give_batch(struct ps_follower *follower, struct input *input, uint64_t mono_ns)
{
    struct ps_record records[RECORDS_MAX];
    struct ps_batch batch = {.home_boot = take(input), .records = records};
    batch.record_count = take(input) % (RECORDS_MAX + 1);
    uint64_t lsn = near(input, follower->have_lsn + 1);
    ps_time_ns commit_ns = near(input, follower->closed_ns);
    for (size_t i = 0; i < batch.record_count; i++) {
        records[i] = (struct ps_record){.lsn = lsn + i, .commit_ns = commit_ns + 2 * i};
    }
    if (batch.record_count > 0 && take(input) >= 240) { /* a batch that is not sound */
        records[take(input) % batch.record_count].lsn ^= take(input);
    }
    batch.last_lsn = near(input, lsn + batch.record_count);
    batch.closed_ns = near(input, commit_ns + 2 * batch.record_count);
    size_t first;
    size_t count;
    ps_time_ns closed_ns = follower->closed_ns;
    if (ps_follower_batch(follower, &batch, take(input) & 1, mono_ns, &first, &count) != PS_OK) {
        check(count == 0);
        return;
    }
    check(first + count <= batch.record_count);
    check(follower->closed_ns == closed_ns); /* nothing is closed before it is applied */
    for (size_t i = 0; i < count; i++) {
        check(records[first + i].lsn == follower->have_lsn + 1 + i);
        check(records[first + i].commit_ns > closed_ns);
    }
    if (take(input) < 240) { /* else the map refused */
        ps_follower_applied(follower, follower->have_lsn + count);
        check(count == 0 || follower->closed_ns >= records[first + count - 1].commit_ns);
    }
}

static void give_part(struct ps_follower *follower, struct input *input, uint64_t mono_ns)
{
    char key[2] = {(char)take(input), (char)take(input)};
    struct ps_snapshot_entry entry = {.entry = {.key = {key, 2}}, .lsn = 1};
    struct ps_message part;
    memset(&part, 0, sizeof part);
    part.kind = PS_MESSAGE_PART;
    part.part.at_lsn = take(input) & 1 ? follower->snapshot_lsn : near(input, follower->have_lsn);
    part.part.at_commit_ns = near(input, follower->closed_ns);
    struct ps_buf after = {.size = 0};
    if (take(input) & 1) {
        ps_buf_append_slice(&after, ps_buf_slice(&follower->snapshot_after));
    }
    part.part.after_key = ps_buf_slice(&after);
    part.part.last = take(input) & 1;
    part.part.entries = &entry;
    part.part.entry_count = take(input) & 1;
    bool wanted = ps_follower_wants_part(follower, &part);
    uint64_t have_lsn = follower->have_lsn;
    ps_follower_part(follower, &part, mono_ns);
    check(follower->have_lsn == (wanted && part.part.last ? part.part.at_lsn : have_lsn));
    ps_buf_fini(&after);
}

static void ask(struct ps_follower *follower, struct input *input, uint64_t mono_ns)
{
    ps_time_ns need_ns = near(input, follower->closed_ns);
    struct ps_message request;
    bool due = ps_follower_deadline(follower, need_ns) <= mono_ns;
    bool asks = ps_follower_ask(follower, need_ns, mono_ns, &request);
    check(asks == due);
    if (asks) {
        struct ps_buf buf = {.size = 0};
        struct ps_message decoded;
        request.store = PS_LIT("S");
        ps_message_encode(&buf, &request);
        check(ps_message_decode(ps_buf_slice(&buf), &decoded) == PS_OK);
        check(decoded.kind == request.kind);
        ps_message_fini(&decoded);
        ps_buf_fini(&buf);
        check(!ps_follower_ask(follower, need_ns, mono_ns, &request)); /* not twice at once */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct ps_follower follower;
    uint64_t mono_ns = 1000 * PS_SECOND;
    ps_follower_init(&follower, take(&input), take(&input) * UINT64_C(3));
    for (size_t i = 0; i < OPS_MAX && input.size > 0; i++) {
        uint64_t have_lsn = follower.have_lsn;
        ps_time_ns closed_ns = follower.closed_ns;
        mono_ns += take(&input) * PS_MS;
        switch (take(&input) % 5) {
        case 0:
        case 1:
            give_batch(&follower, &input, mono_ns);
            break;
        case 2:
            give_part(&follower, &input, mono_ns);
            break;
        case 3:
            ps_follower_error(
                &follower,
                take(&input) & 1 ? PS_TOO_OLD : (enum ps_status)(1 + take(&input) % PS_UNSUPPORTED),
                mono_ns);
            break;
        default:
            ask(&follower, &input, mono_ns);
            break;
        }
        check(follower.have_lsn >= have_lsn);
        check(follower.closed_ns >= closed_ns);
        check(follower.announced_lsn >= follower.have_lsn);
        check(follower.state != PS_FOLLOWER_STEADY || follower.run_lsn >= follower.announced_lsn);
    }
    ps_follower_fini(&follower);
    return 0;
}
