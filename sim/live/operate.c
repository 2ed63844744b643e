#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/live/live_internal.h"

enum { BUDGET = 64 };

static struct ps_live_op *take_op(struct ps_live *live)
{
    struct ps_live_op *it = live->free_ops;
    if (it == NULL) {
        it = PS_NEW(struct ps_live_op);
        it->next = live->all_ops;
        live->all_ops = it;
        return it;
    }
    live->free_ops = it->next_free;
    return it;
}

static void plan_next(struct ps_live *live, uint32_t number)
{
    const struct ps_session *session = &live->plan.sessions[number];
    if (session->at_ns != PS_NEVER) {
        ps_live_agenda_push(&live->agenda, session->at_ns, number);
    }
}

/* What a client carries on is an LSN; all else of a bookmark is the database's. */
static void take_bookmark(struct ps_live *live, struct ps_live_op *it,
                          const struct ps_live_response *response)
{
    struct ps_bookmark bookmark;
    if (ps_bookmark_read(ps_slice_of(response->bookmark), &bookmark) == PS_OK) {
        live->bookmarks[it->op.store] = bookmark;
        ps_session_bookmark(&live->plan.sessions[it->session], it->action, bookmark.lsn);
    }
}

/* A client that carries an LSN was given it in a bookmark. */
static void put_bookmark(const struct ps_live *live, uint16_t store, uint64_t lsn,
                         char ret[PS_BOOKMARK_SIZE + 1])
{
    struct ps_bookmark bookmark = live->bookmarks[store];
    bookmark.lsn = lsn;
    ps_bookmark_write(ret, &bookmark);
    ret[PS_BOOKMARK_SIZE] = '\0';
}

static void on_done(struct ps_live_call *call, enum ps_status status,
                    const struct ps_live_response *response)
{
    struct ps_live_op *it = (struct ps_live_op *)(void *)call;
    struct ps_live *live = it->live;
    struct ps_op *op = &it->op;
    op->complete_ns = ps_live_now(live);
    op->error = (uint8_t)status;
    struct ps_error err = {0};
    if (status == PS_OK) {
        status = ps_live_op_answer(op, live->history->requests, response, &err);
        take_bookmark(live, it, response);
    } else if (response != NULL) {
        ps_live_op_cut(op, response);
    }
    if (status == PS_CORRUPT && err.status == PS_OK) {
        (void)ps_fail(&err, PS_CORRUPT, "an answer that is no HTTP");
    }
    if (status == PS_CORRUPT && live->error.status == PS_OK) {
        (void)ps_fail(&live->error, PS_CORRUPT, "%s, operation %llu (%s): %s",
                      live->state->cluster.pops[op->pop]->code, (unsigned long long)op->id,
                      ps_op_kind_name((enum ps_op_kind)op->kind), err.text);
    }
    ps_history_add(live->history, op);
    struct ps_session *session = &live->plan.sessions[it->session];
    if (ps_session_waits(session)) {
        ps_session_advance(session, ps_time_sub(op->complete_ns, live->begin_ns));
        plan_next(live, it->session);
    }
    it->next_free = live->free_ops;
    live->free_ops = it;
    live->under_way--;
}

static void invoke(struct ps_live *live, uint32_t number)
{
    struct ps_session *session = &live->plan.sessions[number];
    struct ps_live_op *it = take_op(live);
    struct ps_drawn drawn;
    ps_session_draw(session, &live->text, &drawn);
    struct ps_live_asked asked = {.token = ps_live_token(live->run, live->operations + 1),
                                  .unix_shift_s = live->unix_shift_s};
    ps_live_op_init(&it->op, &drawn, &asked.token);
    it->live = live;
    it->action = drawn.action;
    it->session = number;
    it->op.id = ++live->operations;
    it->op.session = number;
    it->op.key = ps_intern_put(live->history->keys, drawn.key);
    char bookmark[PS_BOOKMARK_SIZE + 1];
    if (ps_op_is_d1(&it->op)) {
        it->op.request = ps_intern_put(live->history->requests, drawn.value) + 1;
        put_bookmark(live, it->op.store, drawn.bookmark_lsn, bookmark);
        asked.bookmark = bookmark;
    }
    ps_live_object_ask(live->history, &drawn, &it->op);
    it->call.request.size = 0;
    ps_live_request(&it->call.request, live->state, &drawn, &asked);
    it->call.pop = drawn.pop;
    it->call.done = on_done;
    it->op.invoke_ns = ps_live_now(live);
    PS_ASSERT(it->op.invoke_ns >= live->begin_ns + session->at_ns);
    ps_dur_ns longest_ns =
        live->longest_ns[it->op.store * live->state->cluster.pop_count + drawn.pop];
    ps_dur_ns margin_ns = PS_LIVE_MARGIN_NS + (ps_op_is_d1(&it->op) ? PS_LIVE_QUERY_NS : 0);
    it->call.deadline_mono_ns =
        ps_time_add(ps_live_when(live, ps_time_add(it->op.invoke_ns, longest_ns)), margin_ns);
    live->under_way++;
    ps_live_client_start(live->client, &it->call);
    if (!ps_session_waits(session)) {
        ps_session_advance(session, 0);
        plan_next(live, number);
    }
}

uint64_t ps_live_operate(struct ps_live *live)
{
    for (int i = 0; i < BUDGET; i++) {
        ps_time_ns next_ns = ps_live_agenda_next(&live->agenda);
        uint64_t due_ns = ps_live_when(live, ps_time_add(live->begin_ns, next_ns));
        uint64_t mono_ns = ps_live_mono_ns();
        if (due_ns > mono_ns) {
            return due_ns;
        }
        live->lag_max_ns = ps_time_max(live->lag_max_ns, mono_ns - due_ns);
        invoke(live, ps_live_agenda_pop(&live->agenda));
    }
    return 0;
}

void ps_live_operate_fini(struct ps_live *live)
{
    while (live->all_ops != NULL) {
        struct ps_live_op *it = live->all_ops;
        live->all_ops = it->next;
        ps_buf_fini(&it->call.request);
        free(it);
    }
    ps_live_agenda_fini(&live->agenda);
    ps_sessions_close(&live->plan);
    ps_buf_fini(&live->text);
    free(live->longest_ns);
    free(live->bookmarks);
}
