/* D1: the database is made again from what the history says was asked, and each answer with it. */
#include "replication/base/memory.h"
#include "sim/measure/d1_run.h"
#include "sim/measure/verify_internal.h"

#include <string.h>

enum { FORGET_EVERY = 64, FORGET_BUDGET = 1 << 20 };

/* The database at one LSN after the other. */
struct again {
    struct ps_verify_store *store;
    struct ps_map *map;
    ps_map_store map_store;
    struct ps_d1_database *home;
    struct ps_d1_database *replica;
    uint64_t lsn;                       /* as far as it is made */
    const struct ps_log_record *record; /* that is made now; NULL: none may be */
};

static enum ps_status commit(void *context, struct ps_record *record)
{
    struct again *again = context;
    if (again->record == NULL || again->record->lsn != record->lsn) {
        return PS_GAP; /* the history knows of no such record */
    }
    record->commit_ns = again->record->commit_ns;
    struct ps_append append = {again->map_store, record};
    return ps_map_apply(again->map, &append, 1, NULL);
}

static enum ps_status open_again(struct again *again, struct ps_verify_store *store)
{
    *again = (struct again){.store = store, .map = ps_map_create_memory()};
    enum ps_status status =
        ps_map_store_open(again->map, ps_slice_of(store->store->name), &again->map_store, NULL);
    struct ps_pages_config config = {.map = again->map, .store = again->map_store};
    if (status == PS_OK) {
        status = ps_d1_database_open(&config, &again->replica, NULL);
    }
    config.commit = commit;
    config.context = again;
    return status == PS_OK ? ps_d1_database_open(&config, &again->home, NULL) : status;
}

static void close_again(struct again *again)
{
    ps_d1_database_close(again->home);
    ps_d1_database_close(again->replica);
    ps_map_close(again->map);
}

/* ---- which requests ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool holds(struct ps_slice text, const char *word)
{
    size_t size = strlen(word);
    for (size_t at = 0; at + size <= text.size; at++) {
        size_t same = 0;
        while (same < size && lower(text.data[at + same]) == word[same]) {
            same++;
        }
        if (same == size) {
            return true;
        }
    }
    return false;
}

/* Could the answer depend on more than the database: on time or chance (some words that are none of
 * either are taken for them), or on what the connection did before? */
static bool is_volatile(struct ps_slice request)
{
    static const char *const words[] = {"random",    "date",    "time", "julianday",
                                        "unixepoch", "current", "now"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (holds(request, words[i])) {
            return true;
        }
    }
    return false;
}

static bool asks_connection(struct ps_slice request)
{
    return holds(request, "last_insert_rowid") || holds(request, "changes");
}

static struct ps_slice request_of(const struct ps_verify_store *store, uint32_t request)
{
    return ps_intern_text(store->history->requests, request - 1);
}

/* Is all known that it takes to run it? */
static bool can_run(const struct ps_verify_store *store, uint32_t request, uint64_t seed)
{
    return request != 0 && (seed != 0 || !is_volatile(request_of(store, request)));
}

/* Was the request run, and its answer seen? */
static bool is_answered(const struct ps_verify_store *store, const struct ps_op *op)
{
    return op->store == store->number && op->eval_ns != 0 && op->digest != 0 &&
           (op->error == PS_OK || op->error == PS_INVALID);
}

/* ---- making it again ---- */

static void compare_answer(struct again *again, const struct ps_op *op, struct ps_d1_ran *ran)
{
    struct ps_verify_store *store = again->store;
    bool refused = ran->outcome != PS_D1_DONE;
    if (asks_connection(request_of(store, op->request))) {
        store->result->answers_skipped++;
        return;
    }
    store->result->answers++;
    if (refused != (op->error != PS_OK)) {
        ps_verify_differs(store, op, "LSN %llu: it was %s, it had to be %s%s%s",
                          (unsigned long long)op->lsn, refused ? "done" : "refused",
                          refused ? "refused" : "done", refused ? ": " : "",
                          refused ? ps_buf_text(&ran->words) : "");
    } else if (op->digest != ran->digest) {
        ps_verify_differs(store, op,
                          "LSN %llu: its answer has the digest %016llx, it had to have %016llx: "
                          "that is what the same request gives there",
                          (unsigned long long)op->lsn, (unsigned long long)op->digest,
                          (unsigned long long)ran->digest);
    } else if (op->error == PS_OK &&
               (op->rows_read != ran->rows_read || op->rows_written != ran->rows_written)) {
        ps_verify_differs(store, op,
                          "LSN %llu: it read %llu rows and wrote %llu, it had to read %llu and "
                          "write %llu",
                          (unsigned long long)op->lsn, (unsigned long long)op->rows_read,
                          (unsigned long long)op->rows_written, (unsigned long long)ran->rows_read,
                          (unsigned long long)ran->rows_written);
    }
}

static void differs_record(struct ps_verify_store *store, const struct ps_log_record *record,
                           const char *words)
{
    static const char text[] = "the request that made it commits nothing there";
    if (record->op != NULL) {
        ps_verify_differs(store, record->op, "LSN %llu: %s: %s", (unsigned long long)record->lsn,
                          text, words);
    } else if (store->result->differences++ == 0) {
        (void)snprintf(store->result->first, sizeof store->result->first,
                       "store %s, LSN %llu, a foreign record: %s: %s", store->store->name,
                       (unsigned long long)record->lsn, text, words);
    }
}

/* Run the request that made the record. False: the database ends here. */
static bool make_record(struct again *again, const struct ps_log_record *record)
{
    struct ps_verify_store *store = again->store;
    const struct ps_op *op = record->op;
    if (record->lsn != again->lsn + 1 || !can_run(store, record->request, record->seed)) {
        return false;
    }
    struct ps_d1_asked asked = {.request = request_of(store, record->request),
                                .lsn = UINT64_MAX,
                                .run_ns = record->run_ns,
                                .seed = record->seed};
    struct ps_d1_ran ran;
    again->record = record;
    ps_d1_run(again->home, store->history->cluster, &asked, &ran);
    again->record = NULL;
    bool made = ran.outcome == PS_D1_DONE && ran.lsn == record->lsn;
    if (!made) {
        differs_record(store, record, ps_buf_text(&ran.words));
    } else if (op != NULL && op->error == PS_OK) {
        compare_answer(again, op, &ran);
    }
    ps_buf_fini(&ran.words);
    again->lsn += made ? 1 : 0;
    return made;
}

static void forget(struct again *again, ps_time_ns commit_ns)
{
    bool more = again->lsn % FORGET_EVERY == 0;
    while (more && ps_map_forget(again->map, again->map_store, commit_ns, FORGET_BUDGET, &more,
                                 NULL) == PS_OK) {
    }
}

/* Is it strange that home ran it, unless it could have written? A live PoP also asks home while its
 * replica is being replaced. */
static bool needs_no_home(const struct again *again, const struct ps_op *op)
{
    return op->at_home && op->error == PS_OK && op->with_session > PS_D1_SESSION_PRIMARY &&
           op->pop != again->store->store->home && !again->store->history->live;
}

/* Run a request that wrote nothing, at the newest LSN. */
static void run_read(struct again *again, const struct ps_op *op)
{
    struct ps_verify_store *store = again->store;
    struct ps_d1_asked asked = {.request = request_of(store, op->request),
                                .lsn = UINT64_MAX,
                                .run_ns = op->run_ns,
                                .seed = op->seed};
    struct ps_d1_ran ran;
    ps_d1_run(op->at_home ? again->home : again->replica, store->history->cluster, &asked, &ran);
    if (needs_no_home(again, op) &&
        !ps_d1_run_writes(again->replica, store->history->cluster, &asked)) {
        ps_verify_differs(store, op,
                          "LSN %llu: it was run at home, and it is a read, which its session lets "
                          "its PoP answer",
                          (unsigned long long)op->lsn);
    }
    if (ran.outcome == PS_D1_TO_PRIMARY || ran.status == PS_GAP) {
        ps_verify_differs(store, op, "LSN %llu: it wrote nothing, and the same request writes",
                          (unsigned long long)op->lsn);
    } else {
        compare_answer(again, op, &ran);
    }
    ps_buf_fini(&ran.words);
}

/* By LSN; at one in the order in which they were decided. */
static int compare_ops(const void *left, const void *right)
{
    const struct ps_op *a = *(const struct ps_op *const *)left;
    const struct ps_op *b = *(const struct ps_op *const *)right;
    if (a->lsn != b->lsn) {
        return a->lsn < b->lsn ? -1 : 1;
    }
    if (a->eval_ns != b->eval_ns) {
        return a->eval_ns < b->eval_ns ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

/* ---- what is not made again ---- */

/* By LSN, then request, then id. */
static int compare_requests(const void *left, const void *right)
{
    const struct ps_op *a = *(const struct ps_op *const *)left;
    const struct ps_op *b = *(const struct ps_op *const *)right;
    if (a->lsn != b->lsn) {
        return a->lsn < b->lsn ? -1 : 1;
    }
    if (a->request != b->request) {
        return a->request < b->request ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static void compare_among(struct ps_verify_store *store, const struct ps_op **ops, size_t count)
{
    store->result->answers_skipped += count;
    qsort(ops, count, sizeof *ops, compare_requests);
    for (size_t i = 1; i < count; i++) {
        const struct ps_op *a = ops[i - 1];
        const struct ps_op *b = ops[i];
        if (a->lsn != b->lsn || a->request != b->request || b->request == 0 ||
            a->digest == b->digest) {
            continue;
        }
        struct ps_slice request = request_of(store, b->request);
        if (!is_volatile(request) && !asks_connection(request)) {
            ps_verify_differs(store, b,
                              "LSN %llu: its answer has the digest %016llx, and the same request "
                              "got %016llx at this LSN (operation %llu)",
                              (unsigned long long)b->lsn, (unsigned long long)b->digest,
                              (unsigned long long)a->digest, (unsigned long long)a->id);
        }
    }
}

static const struct ps_op **collect(const struct ps_verify_store *store, size_t *ret_count)
{
    const struct ps_history *history = store->history;
    const struct ps_op **ops = PS_NEW_ARRAY(const struct ps_op *, history->op_count + 1);
    *ret_count = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        if (is_answered(store, op) && ps_op_is_read(op)) {
            ops[(*ret_count)++] = op;
        }
    }
    qsort(ops, *ret_count, sizeof *ops, compare_ops);
    return ops;
}

void ps_verify_d1_answers(struct ps_verify_store *store)
{
    struct again again;
    size_t count;
    const struct ps_op **ops = collect(store, &count);
    size_t at = 0;
    size_t skipped = 0; /* of the first `at`, moved to the front */
    bool going = open_again(&again, store) == PS_OK;
    for (size_t next = 0; going; next++) {
        for (; at < count && ops[at]->lsn == again.lsn; at++) {
            if (can_run(store, ops[at]->request, ops[at]->seed)) {
                run_read(&again, ops[at]);
            } else {
                ops[skipped++] = ops[at];
            }
        }
        going = next < store->log.count && make_record(&again, &store->log.records[next]);
        if (going) {
            forget(&again, store->log.records[next].commit_ns);
        }
    }
    while (at < count) {
        ops[skipped++] = ops[at++];
    }
    compare_among(store, ops, skipped);
    close_again(&again);
    free(ops);
}
