#include "node/cluster/cluster_file.h"
#include "replication/base/memory.h"
#include "sim/live/d1_answer.h"
#include "sim/live/live_internal.h"

#include <inttypes.h>
#include <string.h>

#define ANSWER_LIMIT_NS (30 * PS_SECOND)
#define READY_LIMIT_NS (60 * PS_SECOND)
#define SCHEMA_LIMIT_NS (120 * PS_SECOND)
#define PAUSE_S 0.02

/* ---- one question, waited for ---- */

struct question {
    struct ps_live_call call; /* first member */
    bool done;
    enum ps_status status;
    int http_status;
    struct ps_live_response told; /* without its body */
    struct ps_buf body;
};

static void on_answered(struct ps_live_call *call, enum ps_status status,
                        const struct ps_live_response *response)
{
    struct question *question = (struct question *)(void *)call;
    question->done = true;
    question->status = status;
    if (status == PS_OK) {
        question->http_status = response->status;
        question->told = *response;
        question->told.body = (struct ps_buf){0};
        ps_buf_append_slice(&question->body, ps_buf_slice(&response->body));
    }
}

static void put_request(const struct ps_live *live, struct ps_buf *out, const char *method,
                        const char *target, struct ps_slice body)
{
    ps_buf_printf(out, "%s %s HTTP/1.1\r\nHost: popsim\r\n", method, target);
    if (live->state->token[0] != '\0') {
        ps_buf_printf(out, "Authorization: Bearer %s\r\n", live->state->token);
    }
    if (method[0] == 'P') {
        ps_buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.size);
    }
    ps_buf_append_text(out, "\r\n");
    ps_buf_append_slice(out, body);
}

static void ask_and_wait(struct ps_live *live, struct question *question, uint64_t limit_ns)
{
    question->call.done = on_answered;
    question->call.deadline_mono_ns = ps_live_mono_ns() + limit_ns;
    ps_live_client_start(live->client, &question->call);
    while (!question->done) {
        (void)ev_run(live->loop, EVRUN_ONCE);
    }
    ps_buf_fini(&question->call.request);
}

/* Give *ret_body (the caller's) what the node says with status 200. */
static enum ps_status ask(struct ps_live *live, uint16_t pop, const char *method,
                          const char *target, struct ps_slice body, struct ps_buf *ret_body,
                          struct ps_error *err)
{
    struct question question = {.call = {.pop = pop}};
    put_request(live, &question.call.request, method, target, body);
    ask_and_wait(live, &question, ANSWER_LIMIT_NS);
    const char *code = live->state->cluster.pops[pop]->code;
    if (question.status == PS_OK && question.http_status == 200) {
        *ret_body = question.body;
        return PS_OK;
    }
    enum ps_status status = question.status;
    if (status != PS_OK) {
        (void)ps_fail(err, status, "%s %s at %s: %s", method, target, code, ps_status_text(status));
    } else {
        status = ps_fail(err, PS_CORRUPT, "%s %s at %s: HTTP status %d: %.*s", method, target, code,
                         question.http_status,
                         (int)(question.body.size < 200 ? question.body.size : 200),
                         question.body.size == 0 ? "" : question.body.data);
    }
    ps_buf_fini(&question.body);
    return status;
}

static void on_pause(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    *(bool *)watcher->data = true;
}

static void pause_a_little(struct ps_live *live)
{
    bool over = false;
    ev_timer timer;
    ev_timer_init(&timer, on_pause, PAUSE_S, 0.);
    timer.data = &over;
    ev_timer_start(live->loop, &timer);
    while (!over) {
        (void)ev_run(live->loop, EVRUN_ONCE);
    }
}

/* ---- state, caches, links, metrics ---- */

static enum ps_status wait_ready(struct ps_live *live, uint16_t pop, uint64_t limit_mono_ns,
                                 struct ps_error *err)
{
    for (;;) {
        struct ps_buf body = {0};
        bool ready = false;
        enum ps_status status = ask(live, pop, "GET", "/popsim/state", PS_LIT(""), &body, err);
        if (status == PS_OK) {
            status = ps_live_state_ready(ps_buf_slice(&body), &ready, err);
        }
        ps_buf_fini(&body);
        if (live->error.status != PS_OK) {
            return ps_fail(err, live->error.status, "%s", live->error.text);
        }
        if (status != PS_OK || ready) {
            return status;
        }
        if (ps_live_mono_ns() > limit_mono_ns) {
            return ps_fail(err, PS_TIMEOUT, "%s does not hear of its home",
                           live->state->cluster.pops[pop]->code);
        }
        pause_a_little(live);
    }
}

enum ps_status ps_live_wait_ready(struct ps_live *live, struct ps_error *err)
{
    uint64_t limit_mono_ns = ps_live_mono_ns() + READY_LIMIT_NS;
    enum ps_status status = PS_OK;
    for (uint16_t p = 0; p < live->state->cluster.pop_count && status == PS_OK; p++) {
        status = wait_ready(live, p, limit_mono_ns, err);
    }
    return status;
}

enum ps_status ps_live_reset(struct ps_live *live, struct ps_error *err)
{
    enum ps_status status = PS_OK;
    for (uint16_t p = 0; p < live->state->cluster.pop_count && status == PS_OK; p++) {
        struct ps_buf body = {0};
        status = ask(live, p, "POST", "/popsim/cache/reset", PS_LIT(""), &body, err);
        ps_buf_fini(&body);
    }
    return status;
}

enum ps_status ps_live_give_links(struct ps_live *live, struct ps_error *err)
{
    enum ps_status status = PS_OK;
    for (uint16_t p = 0; p < live->state->cluster.pop_count && status == PS_OK; p++) {
        const struct ps_link *link = &live->planned[p];
        if (link->outage_count + link->slow_count == 0) {
            continue;
        }
        struct ps_buf text = {0};
        struct ps_buf body = {0};
        ps_link_encode(&text, link);
        status = ask(live, p, "POST", "/popsim/link", ps_buf_slice(&text), &body, err);
        ps_buf_fini(&text);
        ps_buf_fini(&body);
    }
    return status;
}

enum ps_status ps_live_take_links(struct ps_live *live, struct ps_error *err)
{
    struct ps_history *history = live->history;
    enum ps_status status = PS_OK;
    history->links = PS_NEW_ARRAY(struct ps_link, history->cluster->pop_count);
    for (uint16_t p = 0; p < history->cluster->pop_count && status == PS_OK; p++) {
        struct ps_buf body = {0};
        status = ask(live, p, "GET", "/popsim/link", PS_LIT(""), &body, err);
        if (status == PS_OK) {
            status = ps_link_decode(ps_buf_slice(&body), &history->links[p], err);
        }
        ps_buf_fini(&body);
    }
    return status;
}

enum ps_status ps_live_count_late(struct ps_live *live, uint64_t *ret_count, ps_dur_ns *ret_most_ns,
                                  struct ps_error *err)
{
    struct ps_live_metric count = {0};
    struct ps_live_metric most = {0};
    enum ps_status status = PS_OK;
    for (uint16_t p = 0; p < live->state->cluster.pop_count && status == PS_OK; p++) {
        struct ps_buf body = {0};
        status = ask(live, p, "GET", "/metrics", PS_LIT(""), &body, err);
        ps_live_metric_add(&count, ps_buf_slice(&body), "popsim_records_late_total");
        ps_live_metric_add(&most, ps_buf_slice(&body), "popsim_record_late_max_ns");
        ps_buf_fini(&body);
    }
    *ret_count = count.sum;
    *ret_most_ns = most.most;
    return status;
}

/* ---- schemas ---- */

/* Ask a database, as a client of no scenario: give what the node said of it, and the answer. */
static enum ps_status ask_database(struct ps_live *live, uint16_t pop, const struct ps_drawn *drawn,
                                   const struct ps_live_asked *asked,
                                   struct ps_live_response *ret_told, struct ps_live_d1_answer *ret,
                                   struct ps_error *err)
{
    struct question question = {.call = {.pop = pop}};
    *ret = (struct ps_live_d1_answer){0};
    ps_live_request(&question.call.request, live->state, drawn, asked);
    ask_and_wait(live, &question, ANSWER_LIMIT_NS + PS_LIVE_QUERY_NS);
    *ret_told = question.told;
    enum ps_status status =
        question.status == PS_OK
            ? ps_live_d1_answer_read(ps_buf_slice(&question.body), ret, err)
            : ps_fail(err, question.status, "%s", ps_status_text(question.status));
    ps_buf_fini(&question.body);
    return status == PS_OK ? PS_OK
                           : ps_error_wrap(err, "database %s at %s",
                                           live->state->cluster.stores[drawn->action->store].name,
                                           live->state->cluster.pops[pop]->code);
}

/* The run begins at an instant of its own, not at the schema's commit: the first operations are to
 * meet it everywhere, however fast the cluster's time is. */
static enum ps_status wait_for_schema(struct ps_live *live, uint16_t store, uint16_t pop,
                                      const char *bookmark, struct ps_error *err)
{
    const struct ps_action action = {.verb = PS_VERB_D1_QUERY, .store = store};
    const struct ps_drawn drawn = {.action = &action,
                                   .pop = pop,
                                   .value = PS_LIT("{\"sql\":\"SELECT 1\",\"params\":[]}"),
                                   .session = PS_D1_SESSION_BOOKMARK};
    const struct ps_live_asked asked = {.token = ps_live_token(live->run, 0), .bookmark = bookmark};
    uint64_t limit_mono_ns = ps_live_mono_ns() + SCHEMA_LIMIT_NS;
    for (;;) {
        struct ps_live_response told;
        struct ps_live_d1_answer answer;
        enum ps_status status = ask_database(live, pop, &drawn, &asked, &told, &answer, err);
        bool seen = status == PS_OK && !answer.failed;
        ps_live_d1_answer_fini(&answer);
        if (live->error.status != PS_OK) {
            return ps_fail(err, live->error.status, "%s", live->error.text);
        }
        if (status != PS_OK || seen) {
            return status;
        }
        if (ps_live_mono_ns() > limit_mono_ns) {
            return ps_fail(err, PS_TIMEOUT, "%s does not see the schema of store %s",
                           live->state->cluster.pops[pop]->code,
                           live->state->cluster.stores[store].name);
        }
        pause_a_little(live);
    }
}

/* A database that the schema was run on before, by popsim up or an earlier run, is as new as its
 * newest state. */
static enum ps_status find_bookmark(struct ps_live *live, const struct ps_drawn *schema,
                                    struct ps_live_response *ret_told, struct ps_error *err)
{
    struct ps_drawn drawn = *schema;
    drawn.value = PS_LIT("{\"sql\":\"SELECT 1\",\"params\":[]}");
    const struct ps_live_asked asked = {.token = ps_live_token(live->run, 0)};
    struct ps_live_d1_answer answer;
    enum ps_status status = ask_database(live, drawn.pop, &drawn, &asked, ret_told, &answer, err);
    if (status == PS_OK && answer.failed) {
        status = ps_fail(err, PS_IO, "%s", ps_buf_text(&answer.error));
    }
    ps_live_d1_answer_fini(&answer);
    return status;
}

static enum ps_status run_schema(struct ps_live *live, uint16_t store, struct ps_error *err)
{
    const struct ps_cluster *cluster = &live->state->cluster;
    struct ps_slice sql = ps_slice_of(live->scenario->schemas[store]);
    const struct ps_action action = {.verb = PS_VERB_D1_QUERY, .store = store};
    const struct ps_live_asked asked = {.token = ps_live_schema_token(sql)};
    struct ps_buf request = {0};
    struct ps_live_response told;
    struct ps_live_d1_answer answer;
    ps_live_schema_request(&request, sql);
    const struct ps_drawn drawn = {
        .action = &action, .pop = cluster->stores[store].home, .value = ps_buf_slice(&request)};
    enum ps_status status = ask_database(live, drawn.pop, &drawn, &asked, &told, &answer, err);
    if (status == PS_OK && strcmp(told.error, ps_status_name(PS_EXISTS)) == 0) {
        status = find_bookmark(live, &drawn, &told, err);
    } else if (status == PS_OK && answer.failed) {
        status = ps_fail(err, PS_INVALID, "the schema of store %s: %s", cluster->stores[store].name,
                         ps_buf_text(&answer.error));
    }
    live->schemas[store] = ps_intern_put(live->history->requests, ps_buf_slice(&request)) + 1;
    for (uint16_t p = 0; p < cluster->pop_count && status == PS_OK; p++) {
        status = wait_for_schema(live, store, p, told.bookmark, err);
    }
    ps_live_d1_answer_fini(&answer);
    ps_buf_fini(&request);
    return status;
}

enum ps_status ps_live_run_schemas(struct ps_live *live, struct ps_error *err)
{
    enum ps_status status = PS_OK;
    size_t count = live->scenario->schemas == NULL ? 0 : live->state->cluster.store_count;
    for (uint16_t s = 0; s < count && status == PS_OK; s++) {
        if (live->scenario->schemas[s] != NULL) {
            status = run_schema(live, s, err);
        }
    }
    return status;
}

/* The LSN of the record with that token; 0: there is none, since the schema changed nothing. */
static uint64_t lsn_of(const struct ps_live_log *log, const struct ps_token *token)
{
    for (size_t i = 0; i < log->count; i++) {
        if (memcmp(&log->records[i].token, token, sizeof *token) == 0) {
            return log->records[i].lsn;
        }
    }
    return 0;
}

static void name_schema(struct ps_live *live, uint16_t store)
{
    struct ps_history *history = live->history;
    const struct ps_token token = ps_live_schema_token(ps_slice_of(live->scenario->schemas[store]));
    uint64_t lsn = lsn_of(&live->fetches[store].log, &token);
    for (size_t i = 0; i < history->foreign_count; i++) {
        struct ps_foreign *record = &history->foreign[i];
        if (record->store == store && record->lsn == lsn) {
            record->request = live->schemas[store];
            record->seed = ps_live_seed(&token);
        }
    }
}

void ps_live_name_schemas(struct ps_live *live)
{
    for (uint16_t s = 0; s < live->state->cluster.store_count; s++) {
        if (live->schemas[s] != 0) {
            name_schema(live, s);
        }
    }
}

/* ---- logs ---- */

static void fetch_page(struct ps_live_fetch *fetch);

static void fetch_fail(struct ps_live_fetch *fetch, enum ps_status status, const char *why)
{
    fetch->status = status;
    if (status != PS_UNREACHABLE && status != PS_TIMEOUT && fetch->live->error.status == PS_OK) {
        (void)ps_fail(&fetch->live->error, status, "the log of store %s: %s",
                      fetch->live->state->cluster.stores[fetch->store].name, why);
    }
}

static void on_page(struct ps_live_call *call, enum ps_status status,
                    const struct ps_live_response *response)
{
    struct ps_live_fetch *fetch = (struct ps_live_fetch *)(void *)call;
    fetch->busy = false;
    if (status != PS_OK) {
        fetch_fail(fetch, status, ps_status_text(status));
    } else if (response->status == 410) {
        fetch_fail(fetch, PS_TOO_OLD,
                   "the cluster has forgotten its beginning, so that reads cannot be checked "
                   "against it; run against a new cluster");
    } else if (response->status != 200) {
        fetch_fail(fetch, PS_CORRUPT, "it cannot be had");
    } else if (response->body.size > 0) {
        struct ps_error err = {0};
        status = ps_live_log_take(&fetch->log, ps_buf_slice(&response->body),
                                  fetch->live->history->keys, fetch->live->history->requests, &err);
        if (status != PS_OK) {
            fetch_fail(fetch, status, err.text);
        } else {
            fetch_page(fetch);
        }
    }
}

static void fetch_page(struct ps_live_fetch *fetch)
{
    struct ps_live *live = fetch->live;
    const struct ps_store *store = &live->state->cluster.stores[fetch->store];
    struct ps_buf target = {0};
    ps_buf_printf(&target, "/popsim/log?store=%s&from=%zu", store->name, fetch->log.count + 1);
    fetch->call.request.size = 0;
    put_request(live, &fetch->call.request, "GET", ps_buf_text(&target), PS_LIT(""));
    ps_buf_fini(&target);
    fetch->call.pop = store->home;
    fetch->call.deadline_mono_ns = ps_live_mono_ns() + ANSWER_LIMIT_NS;
    fetch->call.done = on_page;
    fetch->busy = true;
    fetch->status = PS_OK;
    ps_live_client_start(live->client, &fetch->call);
}

void ps_live_fetch_logs(struct ps_live *live)
{
    for (size_t s = 0; s < live->state->cluster.store_count; s++) {
        struct ps_live_fetch *fetch = &live->fetches[s];
        fetch->live = live;
        fetch->store = (uint16_t)s;
        if (!fetch->busy) {
            fetch_page(fetch);
        }
    }
}

static bool any_busy(const struct ps_live *live)
{
    for (size_t s = 0; s < live->state->cluster.store_count; s++) {
        if (live->fetches[s].busy) {
            return true;
        }
    }
    return false;
}

enum ps_status ps_live_take_logs(struct ps_live *live, struct ps_error *err)
{
    /* One that is under way may have begun before the last write. */
    for (int round = 0; round < 2; round++) {
        ps_live_fetch_logs(live);
        while (any_busy(live)) {
            (void)ev_run(live->loop, EVRUN_ONCE);
        }
    }
    if (live->error.status != PS_OK) {
        return ps_fail(err, live->error.status, "%s", live->error.text);
    }
    for (size_t s = 0; s < live->state->cluster.store_count; s++) {
        enum ps_status status = live->fetches[s].status;
        if (status != PS_OK) {
            return ps_fail(err, status, "the log of store %s: %s",
                           live->state->cluster.stores[s].name, ps_status_text(status));
        }
    }
    return PS_OK;
}

void ps_live_fetches_fini(struct ps_live *live)
{
    for (size_t s = 0; live->fetches != NULL && s < live->state->cluster.store_count; s++) {
        ps_live_log_fini(&live->fetches[s].log);
        ps_buf_fini(&live->fetches[s].call.request);
    }
    free(live->fetches);
}
