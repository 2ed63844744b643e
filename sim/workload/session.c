#include "sim/workload/session.h"

#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"
#include "sim/scenario/number.h"

#include <stdio.h>
#include <string.h>

/* ---- opening ---- */

struct opening {
    const struct ps_scenario *scenario;
    struct ps_sessions_plan plan;
    size_t capacity;
};

static struct ps_session *add(struct opening *opening, const struct ps_workload *workload, int pop,
                              const char *name)
{
    struct ps_sessions_plan *plan = &opening->plan;
    plan->sessions =
        ps_grow(plan->sessions, plan->count, &opening->capacity, sizeof *plan->sessions);
    struct ps_session *session = &plan->sessions[plan->count++];
    *session = (struct ps_session){.scenario = opening->scenario,
                                   .workload = workload,
                                   .name = ps_strndup(name, strlen(name)),
                                   .pop = pop,
                                   .gap = ps_stream_of("gap", name, NULL),
                                   .place = ps_stream_of("place", name, NULL),
                                   .mix = ps_stream_of("mix", name, NULL),
                                   .key = ps_stream_of("key", name, NULL),
                                   .value = ps_stream_of("value", name, NULL),
                                   .metadata = ps_stream_of("metadata", name, NULL)};
    for (size_t i = 0; i < workload->action_count; i++) {
        session->mix_total += workload->actions[i].weight;
    }
    return session;
}

/* A word as a duration around `mean`, by the inverse of the exponential distribution. */
static ps_dur_ns gap_of(const struct ps_session *session, uint64_t n)
{
    double unit = ps_unit_of(ps_random_u64(session->scenario->seed, session->gap, n));
    double seconds = -ps_log(unit) / session->workload->rate_hz;
    double ns = seconds * 1e9;
    return ns >= 9e18 ? PS_NEVER : (ps_dur_ns)ns + 1; /* instants of one session differ */
}

/* The session ends where its time or its count does. */
static void settle(struct ps_session *session, ps_time_ns at_ns)
{
    const struct ps_workload *workload = session->workload;
    bool over =
        at_ns >= workload->until_ns || (workload->count != 0 && session->next >= workload->count);
    session->at_ns = over ? PS_NEVER : at_ns;
}

static void start(struct ps_session *session)
{
    const struct ps_workload *workload = session->workload;
    switch (workload->timing) {
    case PS_TIMING_AT:
        session->at_ns = workload->at_ns;
        return;
    case PS_TIMING_EVERY:
        settle(session, workload->from_ns);
        return;
    case PS_TIMING_RATE:
        settle(session, ps_time_add(workload->from_ns, gap_of(session, 0)));
        return;
    case PS_TIMING_CLIENTS: {
        /* Clients do not all begin at once: each somewhere in its first time to think. */
        uint64_t word = ps_random_u64(session->scenario->seed, session->gap, 0);
        settle(session, ps_time_add(workload->from_ns, ps_below(word, workload->think_ns)));
        return;
    }
    case PS_TIMING_TRACE:
        session->at_ns =
            session->trace_count == 0 ? PS_NEVER : workload->trace[session->trace[0]].at_ns;
        return;
    }
    PS_NOT_REACHED();
}

static enum ps_status check_count(const struct opening *opening, uint64_t more,
                                  struct ps_error *err)
{
    if (opening->plan.count + more > PS_SESSIONS_MAX) {
        return ps_fail(err, PS_LIMIT, "the scenario has more than %d sessions (clients times PoPs)",
                       PS_SESSIONS_MAX);
    }
    return PS_OK;
}

/* One stream of a workload: a session, or as many as it has clients. */
static enum ps_status open_stream(struct opening *opening, const struct ps_workload *workload,
                                  int pop, struct ps_error *err)
{
    struct ps_buf name = {0};
    ps_buf_append_text(&name, workload->name);
    if (pop >= 0) {
        ps_buf_append_char(&name, '/');
        ps_buf_append_text(&name, opening->scenario->cluster.pops[pop]->code);
    }
    bool clients = workload->timing == PS_TIMING_CLIENTS;
    uint32_t count = clients ? workload->clients : 1;
    enum ps_status status = check_count(opening, count, err);
    size_t size = name.size;
    for (uint32_t i = 0; i < count && status == PS_OK; i++) {
        name.size = size;
        if (clients) {
            ps_buf_printf(&name, "#%u", i + 1);
        }
        start(add(opening, workload, pop, ps_buf_text(&name)));
    }
    ps_buf_fini(&name);
    return status;
}

/* Where in the plan a trace's session of that name is, and how much its list holds. */
struct trace_slot {
    UT_hash_handle hh;
    size_t at;
    size_t capacity;
    char name[];
};

static struct trace_slot *trace_slot(struct opening *opening, struct trace_slot **slots,
                                     const struct ps_workload *workload, const char *name)
{
    struct trace_slot *slot = NULL;
    HASH_FIND_STR(*slots, name, slot);
    if (slot == NULL) {
        size_t size = strlen(name);
        slot = ps_calloc(1, sizeof *slot + size + 1);
        memcpy(slot->name, name, size);
        slot->at = opening->plan.count;
        HASH_ADD_STR(*slots, name, slot);
        (void)add(opening, workload, -1, name);
    }
    return slot;
}

static enum ps_status open_trace(struct opening *opening, const struct ps_workload *workload,
                                 struct ps_error *err)
{
    struct ps_sessions_plan *plan = &opening->plan;
    size_t first = plan->count;
    struct trace_slot *slots = NULL;
    struct ps_buf name = {0};
    enum ps_status status = PS_OK;
    for (uint32_t i = 0; i < workload->trace_count && status == PS_OK; i++) {
        const struct ps_trace_op *op = &workload->trace[i];
        name.size = 0;
        ps_buf_append_text(&name, workload->name);
        ps_buf_append_char(&name, '/');
        ps_buf_append_text(&name, op->session != NULL
                                      ? op->session
                                      : opening->scenario->cluster.pops[op->pop]->code);
        status = check_count(opening, 1, err);
        struct trace_slot *slot = trace_slot(opening, &slots, workload, ps_buf_text(&name));
        struct ps_session *session = &plan->sessions[slot->at];
        session->trace =
            ps_grow(session->trace, session->trace_count, &slot->capacity, sizeof *session->trace);
        session->trace[session->trace_count++] = i;
    }
    for (size_t s = first; s < plan->count; s++) {
        start(&plan->sessions[s]);
    }
    struct trace_slot *slot;
    struct trace_slot *next;
    HASH_ITER(hh, slots, slot, next)
    {
        HASH_DEL(slots, slot);
        free(slot);
    }
    ps_buf_fini(&name);
    return status;
}

static enum ps_status open_workload(struct opening *opening, const struct ps_workload *workload,
                                    struct ps_error *err)
{
    if (workload->timing == PS_TIMING_TRACE) {
        return open_trace(opening, workload, err);
    }
    enum ps_status status = PS_OK;
    switch (workload->where) {
    case PS_WHERE_ANY:
        return open_stream(opening, workload, -1, err);
    case PS_WHERE_EACH:
        for (size_t i = 0; i < opening->scenario->cluster.pop_count && status == PS_OK; i++) {
            status = open_stream(opening, workload, (int)i, err);
        }
        return status;
    case PS_WHERE_LIST:
        for (size_t i = 0; i < workload->pop_count && status == PS_OK; i++) {
            status = open_stream(opening, workload, workload->pops[i], err);
        }
        return status;
    }
    PS_NOT_REACHED();
}

enum ps_status ps_sessions_open(const struct ps_scenario *scenario, struct ps_sessions_plan *ret,
                                struct ps_error *err)
{
    struct opening opening = {.scenario = scenario};
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < scenario->workload_count && status == PS_OK; i++) {
        status = open_workload(&opening, &scenario->workloads[i], err);
    }
    if (status != PS_OK) {
        ps_sessions_close(&opening.plan);
        return status;
    }
    *ret = opening.plan;
    return PS_OK;
}

void ps_sessions_close(struct ps_sessions_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->sessions[i].name);
        free(plan->sessions[i].trace);
        free(plan->sessions[i].carried);
    }
    free(plan->sessions);
    *plan = (struct ps_sessions_plan){0};
}

/* ---- drawing ---- */

uint16_t ps_session_pop(const struct ps_session *session, uint64_t n)
{
    if (session->workload->timing == PS_TIMING_TRACE) {
        PS_ASSERT(n < session->trace_count);
        return session->workload->trace[session->trace[n]].pop;
    }
    if (session->pop >= 0) {
        return (uint16_t)session->pop;
    }
    uint64_t word = ps_random_u64(session->scenario->seed, session->place, n);
    return (uint16_t)ps_below(word, session->scenario->cluster.pop_count);
}

const struct ps_action *ps_session_action(const struct ps_session *session, uint64_t n)
{
    const struct ps_workload *workload = session->workload;
    if (workload->timing == PS_TIMING_TRACE) {
        PS_ASSERT(n < session->trace_count);
        return &workload->trace[session->trace[n]].action;
    }
    if (workload->action_count == 1) {
        return &workload->actions[0];
    }
    double at =
        ps_unit_of(ps_random_u64(session->scenario->seed, session->mix, n)) * session->mix_total;
    size_t i = 0;
    while (i + 1 < workload->action_count && at >= workload->actions[i].weight) {
        at -= workload->actions[i].weight;
        i++;
    }
    return &workload->actions[i];
}

/* What the texts of one operation are drawn with. */
struct drawing {
    const struct ps_session *session;
    const char *pop;
    struct ps_buf part; /* scratch */
    struct ps_buf *json;
};

static void draw_part(struct drawing *drawing, const struct ps_text *text, const char *purpose,
                      size_t statement, size_t param)
{
    const struct ps_session *session = drawing->session;
    char place[48];
    if (param == 0) {
        (void)snprintf(place, sizeof place, "%zu", statement);
    } else {
        (void)snprintf(place, sizeof place, "%zu.%zu", statement, param);
    }
    drawing->part.size = 0;
    ps_text_draw(text, session->scenario->seed, ps_stream_of(purpose, session->name, place),
                 session->next, drawing->pop, &drawing->part);
}

static void draw_statement(struct drawing *drawing, const struct ps_statement *statement,
                           size_t number)
{
    draw_part(drawing, &statement->sql, "sql", number, 0);
    ps_buf_append_text(drawing->json, "{\"sql\":");
    ps_buf_append_json(drawing->json, ps_buf_slice(&drawing->part));
    ps_buf_append_text(drawing->json, ",\"params\":[");
    for (size_t i = 0; i < statement->param_count; i++) {
        const struct ps_param *param = &statement->params[i];
        ps_buf_append_text(drawing->json, i == 0 ? "" : ",");
        if (param->kind == PS_PARAM_NULL) {
            ps_buf_append_text(drawing->json, "null");
            continue;
        }
        draw_part(drawing, &param->text, "param", number, i + 1);
        if (param->kind == PS_PARAM_NUMBER) {
            ps_buf_append_slice(drawing->json, ps_buf_slice(&drawing->part));
        } else {
            ps_buf_append_json(drawing->json, ps_buf_slice(&drawing->part));
        }
    }
    ps_buf_append_text(drawing->json, "]}");
}

/* The request's JSON, and what it is asked with. */
static void draw_request(const struct ps_session *session, const struct ps_action *action,
                         struct ps_buf *text, struct ps_drawn *ret)
{
    struct drawing drawing = {
        .session = session, .pop = session->scenario->cluster.pops[ret->pop]->code, .json = text};
    bool batch = action->verb == PS_VERB_D1_BATCH;
    ps_buf_append_text(text, batch ? "[" : "");
    for (size_t i = 0; i < action->statement_count; i++) {
        ps_buf_append_text(text, i == 0 ? "" : ",");
        draw_statement(&drawing, &action->statements[i], i + 1);
    }
    ps_buf_append_text(text, batch ? "]" : "");
    ps_buf_fini(&drawing.part);
    ret->value = ps_buf_slice(text);
    ret->session = action->session;
    bool carries = action->session >= PS_D1_SESSION_BOOKMARK;
    if (carries && session->carried != NULL && session->carried[action->store].any) {
        ret->session = PS_D1_SESSION_BOOKMARK;
        ret->bookmark_lsn = session->carried[action->store].lsn;
    } else if (carries) {
        ret->session = action->session == PS_D1_SESSION_BOOKMARK ? PS_D1_SESSION_UNCONSTRAINED
                                                                 : PS_D1_SESSION_PRIMARY;
    }
}

/* ---- drawing R2 operations ---- */

static const char *const METHODS[PS_VERBS] = {[PS_VERB_R2_GET] = "get",
                                              [PS_VERB_R2_HEAD] = "head",
                                              [PS_VERB_R2_PUT] = "put",
                                              [PS_VERB_R2_DELETE] = "delete",
                                              [PS_VERB_R2_LIST] = "list"};

/* What is being drawn of an operation on a bucket. */
struct object_drawing {
    const struct ps_session *session;
    const struct ps_action *action;
    const char *pop;
    struct ps_buf key;
    struct ps_buf part; /* scratch */
};

static void draw_object_part(struct object_drawing *it, const struct ps_text *text,
                             ps_stream stream)
{
    it->part.size = 0;
    ps_text_draw(text, it->session->scenario->seed, stream, it->session->next, it->pop, &it->part);
}

/* "objects":["a","b"] */
static void draw_keys(struct object_drawing *it, struct ps_buf *json)
{
    ps_buf_append_text(json, ",\"objects\":[");
    ps_buf_append_json(json, ps_buf_slice(&it->key));
    for (size_t i = 0; i < it->action->key_count; i++) {
        char place[24];
        (void)snprintf(place, sizeof place, "%zu", i + 2);
        draw_object_part(it, &it->action->keys[i], ps_stream_of("key", it->session->name, place));
        ps_buf_append_char(json, ',');
        ps_buf_append_json(json, ps_buf_slice(&it->part));
    }
    ps_buf_append_char(json, ']');
}

static void draw_call(struct object_drawing *it, struct ps_buf *json)
{
    const struct ps_action *action = it->action;
    ps_buf_printf(json, "{\"version\":1,\"method\":\"%s\"", METHODS[action->verb]);
    if (action->key_count > 0) {
        draw_keys(it, json);
    } else if (action->verb != PS_VERB_R2_LIST || it->key.size > 0) {
        ps_buf_append_text(json, action->verb == PS_VERB_R2_LIST ? ",\"prefix\":" : ",\"object\":");
        ps_buf_append_json(json, ps_buf_slice(&it->key));
    }
    draw_object_part(it, &action->options, it->session->metadata);
    ps_buf_append_slice(json, ps_buf_slice(&it->part));
    ps_buf_append_char(json, '}');
}

static void draw_body(struct object_drawing *it, struct ps_drawn *ret)
{
    const struct ps_session *session = it->session;
    uint64_t size = 0;
    draw_object_part(it, &it->action->size, ps_stream_of("size", session->name, NULL));
    bool number = ps_number_u64(ps_buf_slice(&it->part), &size);
    PS_ASSERT(number); /* the reader took nothing else */
    ret->generated = true;
    ret->body = (struct ps_body){
        .seed = ps_random_u64(session->scenario->seed, session->value, session->next),
        .size = size};
}

/* `text` gets the key, the value, the call, one behind the other. */
static void draw_object(const struct ps_session *session, struct ps_buf *text, struct ps_drawn *ret)
{
    const struct ps_action *action = ret->action;
    uint64_t seed = session->scenario->seed;
    struct object_drawing it = {.session = session,
                                .action = action,
                                .pop = session->scenario->cluster.pops[ret->pop]->code};
    ps_text_draw(&action->key, seed, session->key, session->next, it.pop, &it.key);
    ps_buf_append_slice(text, ps_buf_slice(&it.key));
    if (action->size.count > 0) {
        draw_body(&it, ret);
    } else {
        ps_text_draw(&action->value, seed, session->value, session->next, it.pop, text);
    }
    size_t value_end = text->size;
    if (METHODS[action->verb] != NULL) {
        draw_call(&it, text);
    }
    const char *data = text->data == NULL ? "" : text->data;
    ret->key = (struct ps_slice){data, it.key.size};
    ret->value = (struct ps_slice){data + it.key.size, value_end - it.key.size};
    ret->request = (struct ps_slice){data + value_end, text->size - value_end};
    ps_buf_fini(&it.key);
    ps_buf_fini(&it.part);
}

void ps_session_draw(const struct ps_session *session, struct ps_buf *text, struct ps_drawn *ret)
{
    PS_ASSERT(session->at_ns != PS_NEVER);
    uint64_t seed = session->scenario->seed;
    uint64_t n = session->next;
    const struct ps_action *action = ps_session_action(session, n);
    uint16_t pop = ps_session_pop(session, n);
    const char *code = session->scenario->cluster.pops[pop]->code;
    text->size = 0;
    if (ps_verb_is_d1(action->verb)) {
        *ret = (struct ps_drawn){.action = action, .pop = pop, .key = PS_LIT("")};
        draw_request(session, action, text, ret);
        return;
    }
    if (ps_verb_is_r2(action->verb)) {
        *ret = (struct ps_drawn){.action = action, .pop = pop};
        draw_object(session, text, ret);
        return;
    }
    ps_text_draw(&action->key, seed, session->key, n, code, text);
    size_t key_size = text->size;
    ps_text_draw(&action->value, seed, session->value, n, code, text);
    size_t value_size = text->size - key_size;
    ps_text_draw(&action->metadata, seed, session->metadata, n, code, text);
    *ret = (struct ps_drawn){
        .action = action,
        .pop = pop,
        .key = {text->data, key_size},
        .value = {text->data == NULL ? NULL : text->data + key_size, value_size},
        .metadata = {text->data == NULL ? NULL : text->data + key_size + value_size,
                     text->size - key_size - value_size}};
}

uint64_t ps_action_body_max(const struct ps_action *action)
{
    const struct ps_piece *piece = action->size.count == 0 ? NULL : &action->size.pieces[0];
    uint64_t size = 0;
    if (piece != NULL && piece->kind == PS_PIECE_LITERAL) {
        bool number = ps_number_u64((struct ps_slice){piece->literal, piece->literal_size}, &size);
        PS_ASSERT(number);
    } else if (piece != NULL) {
        size = piece->to;
    }
    return size;
}

/* ---- going on ---- */

void ps_session_bookmark(struct ps_session *session, const struct ps_action *action, uint64_t lsn)
{
    if (action->session < PS_D1_SESSION_BOOKMARK) {
        return;
    }
    if (session->carried == NULL) {
        session->carried = PS_NEW_ARRAY(struct ps_carried, session->scenario->cluster.store_count);
    }
    struct ps_carried *carried = &session->carried[action->store];
    carried->lsn = !carried->any || lsn > carried->lsn ? lsn : carried->lsn;
    carried->any = true;
}

bool ps_session_waits(const struct ps_session *session)
{
    return session->workload->timing == PS_TIMING_CLIENTS;
}

void ps_session_advance(struct ps_session *session, ps_time_ns complete_ns)
{
    const struct ps_workload *workload = session->workload;
    PS_ASSERT(session->at_ns != PS_NEVER);
    session->next++;
    switch (workload->timing) {
    case PS_TIMING_AT:
        session->at_ns = PS_NEVER;
        return;
    case PS_TIMING_EVERY:
        settle(session, ps_time_add(session->at_ns, workload->every_ns));
        return;
    case PS_TIMING_RATE:
        settle(session, ps_time_add(session->at_ns, gap_of(session, session->next)));
        return;
    case PS_TIMING_CLIENTS:
        PS_ASSERT(complete_ns >= session->at_ns);
        settle(session, ps_time_add(complete_ns, workload->think_ns));
        return;
    case PS_TIMING_TRACE:
        session->at_ns = session->next == session->trace_count
                             ? PS_NEVER
                             : workload->trace[session->trace[session->next]].at_ns;
        return;
    }
    PS_NOT_REACHED();
}
