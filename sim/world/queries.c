/* D1 requests. The order of decisions is that of node/io/d1/queries.c; a statement takes no time.
 */
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/world_internal.h"

enum { FORGET_EVERY = 1024, FORGET_BUDGET = 1 << 16 };

/* ---- the end ---- */

static void wait_until(struct world *world, struct world_query *query, ps_time_ns at_ns,
                       void (*go_on)(struct world *world, struct world_query *query))
{
    query->go_on = go_on;
    ps_queue_push(&world->queue, at_ns, PS_EVENT_QUERY, query);
}

static void on_answer(struct world *world, struct world_query *query)
{
    const struct ps_op *op = &query->op;
    ps_history_add(world->history, op);
    if (op->error == PS_OK) {
        ps_session_bookmark(query->session, query->action, op->lsn);
    }
    if (ps_session_waits(query->session)) {
        ps_world_go_on(world, query->session, op->complete_ns);
    }
    free(query);
}

static void answer_at(struct world *world, struct world_query *query, ps_time_ns complete_ns)
{
    query->op.complete_ns = complete_ns;
    wait_until(world, query, complete_ns, on_answer);
}

static void fail_at(struct world *world, struct world_query *query, enum ps_status error,
                    ps_time_ns complete_ns)
{
    query->op.error = (uint8_t)error;
    answer_at(world, query, complete_ns);
}

/* ---- running ---- */

static struct ps_d1_database *open_database(struct world_store *store, ps_pages_commit_fn commit)
{
    struct ps_pages_config config = {
        .map = store->world->map, .store = store->map_store, .commit = commit, .context = store};
    struct ps_d1_database *database = NULL;
    struct ps_error err = {0};
    enum ps_status status = ps_d1_database_open(&config, &database, &err);
    PS_ASSERT(status == PS_OK); /* it reads the memory that it wrote itself */
    return database;
}

static struct ps_d1_database *database_of(struct world_store *store, struct world_replica *replica)
{
    if (replica->database == NULL) {
        replica->database = open_database(store, NULL);
    }
    return replica->database;
}

static struct ps_d1_asked asked_of(const struct world *world, struct ps_op *op, uint64_t lsn,
                                   ps_time_ns run_ns)
{
    uint64_t seed = ps_random_u64(world->scenario->seed, world->stores[op->store].seeds, op->id);
    op->seed = seed == 0 ? 1 : seed;
    op->run_ns = run_ns;
    return (struct ps_d1_asked){.request =
                                    ps_intern_text(world->history->requests, op->request - 1),
                                .lsn = lsn,
                                .run_ns = run_ns,
                                .seed = op->seed};
}

static void take(struct ps_op *op, const struct ps_d1_ran *ran)
{
    op->lsn = ran->lsn;
    op->digest = ran->digest;
    op->rows_read = ran->rows_read;
    op->rows_written = ran->rows_written;
    if (ran->outcome == PS_D1_FAILED) {
        op->error = (uint8_t)(ran->status == PS_OK ? PS_INVALID : ran->status);
    }
}

/* Pages take memory; those that no replica shows any more are let go now and then. */
static void forget_pages(struct world *world, struct world_store *store)
{
    if (store->commit_count - store->forgotten_commits < FORGET_EVERY) {
        return;
    }
    store->forgotten_commits = store->commit_count;
    ps_time_ns horizon_ns = world->now_ns;
    for (size_t p = 0; p < world->cluster->pop_count; p++) {
        struct world_replica *replica = &store->replicas[p];
        ps_world_catch_up(world, store, replica);
        horizon_ns =
            ps_time_min(horizon_ns, ps_store_replica_horizon(replica->replica, world->now_ns));
    }
    bool more = true;
    while (more && ps_map_forget(world->map, store->map_store, horizon_ns, FORGET_BUDGET, &more,
                                 NULL) == PS_OK) {
    }
}

/* ---- at home ---- */

/* Home's connection, with which everything that writes is run. */
static struct ps_d1_database *home_of(struct world_store *store)
{
    if (store->database == NULL) {
        store->database = open_database(store, ps_world_append);
    }
    return store->database;
}

/* What is read has seen all that was committed, and nothing is committed at its instant any more.
 */
static ps_time_ns read_at_home(struct world *world, struct world_store *store)
{
    ps_time_ns newest_ns = store->commit_count == 0 ? 0 : store->commits[store->commit_count - 1];
    ps_time_ns eval_ns = ps_eval_clock_next(&world->pops[store->config->home].clock,
                                            ps_time_max(world->now_ns, newest_ns));
    uint64_t last_lsn;
    (void)ps_primary_closed(store->primary, eval_ns, &last_lsn);
    PS_ASSERT(last_lsn == store->commit_count);
    return eval_ns;
}

static void run_at_home(struct world *world, struct ps_op *op)
{
    struct world_store *store = &world->stores[op->store];
    size_t before = store->commit_count;
    struct ps_d1_asked asked = asked_of(world, op, UINT64_MAX, world->now_ns);
    struct ps_d1_ran ran;
    ps_d1_run(home_of(store), world->cluster, &asked, &ran);
    take(op, &ran);
    op->at_home = true;
    op->wrote = store->commit_count > before;
    op->eval_ns = op->wrote ? store->commits[store->commit_count - 1] : read_at_home(world, store);
    PS_ASSERT(!op->wrote || (op->lsn == store->commit_count && op->error == PS_OK));
    ps_buf_fini(&ran.words);
    forget_pages(world, store);
}

/* Nobody has seen what was read. */
static void forget(struct ps_op *op)
{
    op->lsn = 0;
    op->digest = 0;
    op->eval_ns = 0;
    op->run_ns = 0;
    op->seed = 0;
    op->rows_read = 0;
    op->rows_written = 0;
    op->at_home = false;
}

static void forward(struct world *world, struct world_query *query);

/* D1 tries what only reads again by itself. */
static void lose(struct world *world, struct world_query *query, ps_time_ns lost_ns)
{
    const struct ps_op *op = &query->op;
    struct ps_slice request = ps_intern_text(world->history->requests, op->request - 1);
    if (query->way.crashed || query->retries == PS_D1_RETRIES_MAX ||
        !ps_d1_body_only_reads(request)) {
        fail_at(world, query, query->way.lost, lost_ns);
        return;
    }
    query->retries++;
    wait_until(world, query, lost_ns, forward);
}

/* It has come to home. */
static void on_home(struct world *world, struct world_query *query)
{
    struct ps_op *op = &query->op;
    run_at_home(world, op);
    ps_time_ns end_ns = ps_time_max(query->way.end_ns, op->eval_ns);
    if (end_ns > query->way.lost_ns) {
        /* It happened, and its client does not know. */
        ps_time_ns lost_ns = ps_time_max(query->way.lost_ns, op->eval_ns);
        if (!op->wrote) {
            forget(op);
        }
        lose(world, query, lost_ns);
        return;
    }
    answer_at(world, query, end_ns);
}

static void forward(struct world *world, struct world_query *query)
{
    const struct ps_op *op = &query->op;
    query->way = ps_world_write_way(world, op->store, op->pop, world->now_ns);
    if (query->way.status != PS_OK) {
        lose(world, query, query->way.lost_ns);
        return;
    }
    wait_until(world, query, query->way.home_ns, on_home);
}

/* ---- here ---- */

static void on_known(struct world *world, struct world_query *query)
{
    struct ps_op *op = &query->op;
    struct world_store *store = &world->stores[op->store];
    struct world_replica *replica = &store->replicas[op->pop];
    uint64_t last_lsn;
    (void)ps_primary_closed(store->primary, ps_time_max(world->now_ns, query->view.need_ns),
                            &last_lsn);
    ps_world_catch_up(world, store, replica);
    struct ps_bound bound = ps_store_replica_bound(replica->replica, &query->view, UINT64_MAX);
    struct ps_d1_asked asked = asked_of(world, op, bound.lsn_max, op->eval_ns);
    struct ps_d1_ran ran;
    ps_d1_run(database_of(store, replica), world->cluster, &asked, &ran);
    PS_ASSERT(ran.status != PS_TOO_OLD && ran.status != PS_BEHIND);
    bool elsewhere = ran.outcome == PS_D1_TO_PRIMARY || ran.status != PS_OK;
    if (!elsewhere) {
        take(op, &ran);
    }
    ps_buf_fini(&ran.words);
    if (elsewhere) {
        op->eval_ns = 0;
        forward(world, query);
        return;
    }
    answer_at(world, query, query->complete_ns);
}

static void start_here(struct world *world, struct world_query *query)
{
    struct ps_op *op = &query->op;
    struct world_store *store = &world->stores[op->store];
    struct world_replica *replica = &store->replicas[op->pop];
    if (op->pop == store->config->home) {
        run_at_home(world, op);
        answer_at(world, query, op->eval_ns);
        return;
    }
    op->eval_ns = ps_eval_clock_next(&world->pops[op->pop].clock, world->now_ns);
    enum ps_status status = ps_map_read_begin(world->map);
    if (status == PS_OK) {
        status =
            ps_store_replica_decide(replica->replica, PS_LIT(""), op->eval_ns, 0, &query->view);
        ps_map_read_end(world->map);
    }
    struct ps_world_read_way way = ps_world_read_way(world, op->store, op->pop, op->invoke_ns,
                                                     op->eval_ns, status, &query->view);
    query->complete_ns = way.complete_ns;
    if (way.status != PS_OK) {
        fail_at(world, query, way.status, way.complete_ns);
    } else if (way.known_ns <= world->now_ns) {
        on_known(world, query);
    } else {
        wait_until(world, query, way.known_ns, on_known);
    }
}

/* ---- a bookmark ---- */

static ps_time_ns visible_from(const struct world *world, const struct ps_op *op)
{
    const struct world_store *store = &world->stores[op->store];
    struct world_replica *replica = &store->replicas[op->pop];
    ps_world_catch_up(world, store, replica);
    return ps_store_replica_visible(replica->replica, op->bookmark_lsn);
}

static void on_waited(struct world *world, struct world_query *query)
{
    const struct ps_op *op = &query->op;
    if (visible_from(world, op) <= world->now_ns) {
        start_here(world, query);
        return;
    }
    fail_at(world, query, PS_TIMEOUT, world->now_ns);
}

/* Home runs what writes, so only who reads must wait for the replica. */
static bool writes(struct world *world, const struct ps_op *op)
{
    struct world_store *store = &world->stores[op->store];
    struct ps_op unchanged = *op;
    struct ps_d1_asked asked = asked_of(world, &unchanged, UINT64_MAX, world->now_ns);
    return ps_d1_run_writes(database_of(store, &store->replicas[op->pop]), world->cluster, &asked);
}

static void start_from_bookmark(struct world *world, struct world_query *query)
{
    struct ps_op *op = &query->op;
    const struct ps_store *config = world->stores[op->store].config;
    if (op->pop == config->home) {
        start_here(world, query);
        return;
    }
    ps_time_ns from_ns = visible_from(world, op);
    if (from_ns <= world->now_ns) {
        start_here(world, query);
        return;
    }
    if (writes(world, op)) {
        forward(world, query);
        return;
    }
    ps_time_ns until_ns =
        ps_time_min(from_ns, ps_time_add(world->now_ns, config->policy.timeout_ns));
    ps_time_ns crash_ns = ps_world_crash_after(&world->pops[op->pop], op->invoke_ns);
    if (crash_ns < until_ns) {
        fail_at(world, query, PS_UNREACHABLE, crash_ns);
        return;
    }
    wait_until(world, query, until_ns, on_waited);
}

/* ---- start ---- */

void ps_world_query(struct world *world, struct ps_op *op, const struct ps_drawn *drawn,
                    struct ps_session *session)
{
    struct world_query *query = PS_NEW(struct world_query);
    query->op = *op;
    query->op.boot = world->pops[op->pop].boot;
    query->op.with_session = (uint8_t)drawn->session;
    query->op.bookmark_lsn = drawn->bookmark_lsn;
    query->session = session;
    query->action = drawn->action;
    switch (drawn->session) {
    case PS_D1_SESSION_UNCONSTRAINED:
        start_here(world, query);
        return;
    case PS_D1_SESSION_BOOKMARK:
        start_from_bookmark(world, query);
        return;
    case PS_D1_SESSION_NONE:
    case PS_D1_SESSION_PRIMARY:
    case PS_D1_SESSION_BOOKMARK_PRIMARY: /* is one of the others when it is drawn */
        forward(world, query);
        return;
    }
    PS_NOT_REACHED();
}

static void add_foreign(struct ps_history *history, const struct ps_foreign *foreign)
{
    struct ps_foreign *grown = PS_NEW_ARRAY(struct ps_foreign, history->foreign_count + 1);
    for (size_t i = 0; i < history->foreign_count; i++) {
        grown[i] = history->foreign[i];
    }
    grown[history->foreign_count++] = *foreign;
    free(history->foreign);
    history->foreign = grown;
}

enum ps_status ps_world_schema(struct world *world, uint16_t number, struct ps_error *err)
{
    const char *const *schemas = (const char *const *)world->scenario->schemas;
    struct ps_history *history = world->history;
    struct world_store *store = &world->stores[number];
    if (schemas == NULL || schemas[number] == NULL) {
        return PS_OK;
    }
    struct ps_buf request = {0};
    ps_buf_append_text(&request, "{\"sql\":");
    ps_buf_append_json(&request, ps_slice_of(schemas[number]));
    ps_buf_append_text(&request, ",\"params\":[]}");
    struct ps_op op = {.store = number,
                       .request = ps_intern_put(history->requests, ps_buf_slice(&request)) + 1};
    ps_buf_fini(&request);
    struct ps_d1_asked asked = asked_of(world, &op, UINT64_MAX, 0);
    struct ps_d1_ran ran;
    ps_d1_run(home_of(store), world->cluster, &asked, &ran);
    enum ps_status status = PS_OK;
    if (ran.outcome != PS_D1_DONE) {
        status = ps_fail(err, PS_INVALID, "%s: the schema of store %s: %s", world->scenario->path,
                         store->config->name, ps_buf_text(&ran.words));
    } else if (store->commit_count == 1) {
        const struct ps_foreign foreign = {.store = number,
                                           .lsn = 1,
                                           .commit_ns = store->commits[0],
                                           .key = ps_intern_put(history->keys, PS_LIT("")),
                                           .request = op.request,
                                           .run_ns = op.run_ns,
                                           .seed = op.seed};
        add_foreign(history, &foreign);
    }
    ps_buf_fini(&ran.words);
    return status;
}
