/* What the live driver hears: responses in any pieces, and the bodies it reads. The first byte says
 * which. Nothing crashes, leaks or takes memory out of proportion; pieces change nothing. */
#include "replication/base/assert.h"
#include "sim/live/log.h"
#include "sim/live/translate.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feed it in pieces of `piece` bytes; returns a hash of all that came out. */
static uint64_t feed(struct ps_slice bytes, size_t piece)
{
    struct ps_live_parser *parser = ps_live_parser_create();
    struct ps_buf seen = {0};
    struct ps_intern *texts = ps_intern_create();
    enum ps_live_event event = PS_LIVE_NEED;
    while (bytes.size > 0 && event != PS_LIVE_BROKEN) {
        struct ps_slice part = {bytes.data, bytes.size < piece ? bytes.size : piece};
        size_t taken;
        event = ps_live_parser_feed(parser, part, &taken);
        PS_ASSERT(taken <= part.size);
        if (event == PS_LIVE_WHOLE) {
            const struct ps_live_response *response = ps_live_parser_response(parser);
            ps_buf_printf(&seen, "%d %d %d %llu %llu %llu;", response->status, response->told,
                          response->keep_alive, (unsigned long long)response->eval_ns,
                          (unsigned long long)response->lsn, (unsigned long long)response->boot);
            ps_buf_append_slice(&seen, ps_buf_slice(&response->body));
            for (uint8_t kind = 0; kind < PS_OP_KINDS; kind++) {
                struct ps_op op = {.kind = kind};
                struct ps_error err = {0};
                PS_ASSERT(ps_live_op_answer(&op, texts, response, &err) == err.status);
            }
        } else if (event == PS_LIVE_NEED) {
            PS_ASSERT(taken == part.size);
        }
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
    }
    uint64_t hash = ps_slice_hash(ps_buf_slice(&seen));
    ps_buf_fini(&seen);
    ps_intern_destroy(texts);
    ps_live_parser_destroy(parser);
    return hash;
}

static void take_log(struct ps_slice page)
{
    struct ps_history *history = ps_history_create();
    struct ps_op op = {.id = 1, .kind = PS_OP_KV_PUT, .key = ps_intern_put(history->keys, page)};
    ps_history_add(history, &op);
    struct ps_live_log log = {0};
    struct ps_live_lost lost = {0};
    enum ps_status status = ps_live_log_take(&log, page, history->keys, history->requests, NULL);
    PS_ASSERT(status == PS_OK || status == PS_CORRUPT);
    ps_live_log_merge(&log, 0, 0, history, &lost);
    PS_ASSERT(history->foreign_count <= log.count);
    ps_live_log_fini(&log);
    ps_history_destroy(history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct ps_slice rest = {(const char *)data + 1, size - 1};
    switch (data[0] & 3) {
    case 0:
    case 1:
        PS_ASSERT(feed(rest, SIZE_MAX) == feed(rest, (size_t)(data[0] >> 2) + 1));
        break;
    case 2:
        take_log(rest);
        break;
    default: {
        bool ready;
        enum ps_status status = ps_live_state_ready(rest, &ready, NULL);
        PS_ASSERT(status == PS_OK || status == PS_CORRUPT);
        struct ps_live_metric metric = {0};
        ps_live_metric_add(&metric, rest, "popsim_records_late_total");
        break;
    }
    }
    return 0;
}
