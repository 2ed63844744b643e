#include "sim/measure/store_log.h"

#include "replication/base/memory.h"
#include "sim/measure/r2_call.h"

static int compare_records(const void *left, const void *right)
{
    const struct ps_log_record *a = left;
    const struct ps_log_record *b = right;
    if (a->lsn != b->lsn) {
        return a->lsn < b->lsn ? -1 : 1;
    }
    if (a->commit_ns != b->commit_ns) {
        return a->commit_ns < b->commit_ns ? -1 : 1;
    }
    return 0;
}

static bool is_version(const struct ps_op *op, uint16_t store)
{
    return op->store == store && op->lsn != 0 && ps_op_is_write(op);
}

static void collect(struct ps_store_log *log, const struct ps_history *history, uint16_t store)
{
    size_t capacity = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        if (is_version(op, store)) {
            log->records = ps_grow(log->records, log->count, &capacity, sizeof *log->records);
            log->records[log->count++] =
                (struct ps_log_record){.lsn = op->lsn,
                                       .commit_ns = op->eval_ns,
                                       .expires_unix_s = op->expires_unix_s,
                                       .digest = op->digest,
                                       .op = op,
                                       .key = op->key,
                                       .deleted = ps_op_is_delete(op),
                                       .purge = op->kind == PS_OP_R2_PURGE,
                                       .none = op->kind == PS_OP_R2_PURGE,
                                       .request = op->request,
                                       .etag = op->etag,
                                       .run_ns = op->run_ns,
                                       .seed = op->seed};
        }
    }
    for (size_t i = 0; i < history->foreign_count; i++) {
        const struct ps_foreign *foreign = &history->foreign[i];
        if (foreign->store == store) {
            log->records = ps_grow(log->records, log->count, &capacity, sizeof *log->records);
            log->records[log->count++] =
                (struct ps_log_record){.lsn = foreign->lsn,
                                       .commit_ns = foreign->commit_ns,
                                       .expires_unix_s = foreign->expires_unix_s,
                                       .digest = foreign->digest,
                                       .key = foreign->key,
                                       .deleted = foreign->deleted,
                                       .purge = foreign->purge,
                                       .none = foreign->none || foreign->purge,
                                       .request = foreign->request,
                                       .etag = foreign->etag,
                                       .run_ns = foreign->run_ns,
                                       .seed = foreign->seed};
        }
    }
}

static void describe(struct ps_buf *text, const struct ps_log_record *record)
{
    if (record->op == NULL) {
        ps_buf_printf(text, "a foreign record (committed at %llu ns)",
                      (unsigned long long)record->commit_ns);
    } else {
        ps_buf_printf(text, "operation %llu (committed at %llu ns)",
                      (unsigned long long)record->op->id, (unsigned long long)record->commit_ns);
    }
}

static void problem(struct ps_store_log *log, const char *name, const struct ps_log_record *at,
                    const struct ps_log_record *before, const char *what)
{
    if (log->problems++ > 0) {
        return;
    }
    struct ps_buf text = {0};
    ps_buf_printf(&text, "store %s, LSN %llu, ", name, (unsigned long long)at->lsn);
    describe(&text, at);
    ps_buf_printf(&text, ": %s", what);
    if (before != NULL) {
        ps_buf_printf(&text, " LSN %llu, ", (unsigned long long)before->lsn);
        describe(&text, before);
    }
    snprintf(log->problem, sizeof log->problem, "%s", ps_buf_text(&text));
    ps_buf_fini(&text);
}

static void check(struct ps_store_log *log, const char *name)
{
    if (log->count > 0 && log->records[0].lsn != 1 && log->records[0].op != NULL) {
        problem(log, name, &log->records[0], NULL,
                "it is the first known, and the records before it are missing");
    }
    for (size_t i = 1; i < log->count; i++) {
        const struct ps_log_record *a = &log->records[i - 1];
        const struct ps_log_record *b = &log->records[i];
        if (b->lsn == a->lsn) {
            problem(log, name, b, a, "this LSN was given twice, first to");
        } else if (b->lsn != a->lsn + 1) {
            problem(log, name, b, a, "records are missing between it and");
        } else if (b->commit_ns <= a->commit_ns) {
            problem(log, name, b, a, "it was not committed later than");
        }
    }
}

size_t ps_log_record_versions(const struct ps_log_record *record)
{
    return record->none ? 0 : 1 + (size_t)record->more_count;
}

static uint32_t key_at(const struct ps_log_record *record, size_t index)
{
    return index == 0 ? record->key : record->more[index - 1];
}

void ps_store_log_index(struct ps_store_log *log, size_t key_count)
{
    log->version_count = 0;
    log->key_count = key_count;
    log->key_ends = PS_NEW_ARRAY(size_t, key_count + 2);
    for (size_t i = 0; i < log->count; i++) {
        size_t versions = ps_log_record_versions(&log->records[i]);
        log->version_count += versions;
        for (size_t k = 0; k < versions; k++) {
            log->key_ends[key_at(&log->records[i], k) + 2]++;
        }
    }
    log->by_key = PS_NEW_ARRAY(size_t, log->version_count + 1);
    log->key_commits = PS_NEW_ARRAY(ps_time_ns, log->version_count + 1);
    for (size_t k = 2; k < key_count + 2; k++) {
        log->key_ends[k] += log->key_ends[k - 1];
    }
    /* Now key_ends[k + 1] is where key k starts; filling moves it to where key k ends. */
    for (size_t i = 0; i < log->count; i++) {
        size_t versions = ps_log_record_versions(&log->records[i]);
        for (size_t k = 0; k < versions; k++) {
            size_t at = log->key_ends[key_at(&log->records[i], k) + 1]++;
            log->by_key[at] = i;
            log->key_commits[at] = log->records[i].commit_ns;
        }
    }
}

/* ---- deletes of several keys ---- */

/* The keys that a bucket's delete names. */
struct named {
    uint32_t *keys; /* owned */
    size_t count;
};

static struct named names_of(const struct ps_history *history, const struct ps_log_record *record)
{
    struct named named = {0};
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    if (ps_r2_call_of(history, PS_OP_R2_DELETE, record->key, record->request, &call, &err)) {
        named.keys = PS_NEW_ARRAY(uint32_t, call.request.key_count + 1);
        for (size_t i = 0; i < call.request.key_count; i++) {
            named.keys[named.count++] = ps_intern_put(history->keys, call.request.keys[i]);
        }
    }
    ps_api_r2_call_fini(&call);
    return named;
}

static bool deletes_several(const struct ps_log_record *record)
{
    return record->deleted && record->request != 0;
}

/* Those of them that were there, each once: the delete made a version of these alone. */
static void settle(struct ps_log_record *record, const struct named *named, bool *there,
                   uint32_t *into, size_t *used)
{
    uint32_t *kept = into + *used;
    size_t count = 0;
    for (size_t i = 0; i < named->count; i++) {
        if (there[named->keys[i]]) {
            there[named->keys[i]] = false;
            kept[count++] = named->keys[i];
        }
    }
    record->none = count == 0;
    record->key = count == 0 ? record->key : kept[0];
    record->more = kept + 1;
    record->more_count = count == 0 ? 0 : (uint32_t)(count - 1);
    *used += count;
}

static void settle_deletes(struct ps_store_log *log, const struct ps_history *history)
{
    struct named *named = PS_NEW_ARRAY(struct named, log->count + 1);
    size_t total = 0;
    for (size_t i = 0; i < log->count; i++) {
        if (deletes_several(&log->records[i])) {
            named[i] = names_of(history, &log->records[i]);
            total += named[i].count;
        }
    }
    log->keys = PS_NEW_ARRAY(uint32_t, total + 1);
    bool *there = PS_NEW_ARRAY(bool, ps_intern_count(history->keys) + 1);
    size_t used = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct ps_log_record *record = &log->records[i];
        if (named[i].count > 0) {
            settle(record, &named[i], there, log->keys, &used);
        } else if (!record->none) {
            there[record->key] = !record->deleted;
        }
        free(named[i].keys);
    }
    free(there);
    free(named);
}

void ps_store_log_init(struct ps_store_log *log, const struct ps_history *history, uint16_t store)
{
    *log = (struct ps_store_log){0};
    collect(log, history, store);
    if (log->count > 1) {
        qsort(log->records, log->count, sizeof *log->records, compare_records);
    }
    if (history->cluster->stores[store].type == PS_STORE_R2) {
        settle_deletes(log, history);
    }
    check(log, history->cluster->stores[store].name);
    ps_store_log_index(log, ps_intern_count(history->keys));
}

void ps_store_log_fini(struct ps_store_log *log)
{
    free(log->records);
    free(log->keys);
    free(log->key_ends);
    free(log->by_key);
    free(log->key_commits);
    *log = (struct ps_store_log){0};
}

struct ps_commits ps_store_log_commits(const struct ps_store_log *log, uint32_t key)
{
    if (key >= log->key_count) { /* one that nothing in the log named */
        return (struct ps_commits){log->key_commits, 0};
    }
    size_t from = log->key_ends[key];
    return (struct ps_commits){log->key_commits + from, log->key_ends[key + 1] - from};
}

/* The first of [low, high) that was committed after `t`; `high` if none was. */
static size_t first_after(struct ps_commits commits, size_t low, size_t high, ps_time_ns t)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (commits.at_ns[middle] <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t ps_store_log_upto(const struct ps_store_log *log, uint32_t key, ps_time_ns t)
{
    struct ps_commits commits = ps_store_log_commits(log, key);
    return first_after(commits, 0, commits.count, t);
}

size_t ps_store_log_upto_from(const struct ps_store_log *log, uint32_t key, size_t from,
                              ps_time_ns t)
{
    struct ps_commits commits = ps_store_log_commits(log, key);
    size_t step = 1;
    /* All before `from` are in; the strides double until one leads behind `t`. */
    while (from + step <= commits.count && commits.at_ns[from + step - 1] <= t) {
        from += step;
        step *= 2;
    }
    size_t high = from + step < commits.count ? from + step : commits.count;
    return first_after(commits, from, high, t);
}

const struct ps_log_record *ps_store_log_version(const struct ps_store_log *log, uint32_t key,
                                                 size_t index)
{
    return &log->records[log->by_key[log->key_ends[key] + index]];
}

bool ps_store_log_pinned_absent(const struct ps_store_log *log, const struct ps_policy *policy,
                                const struct ps_pin *pin, uint32_t key)
{
    if (policy->cache.negative || pin->ttl_ns == 0) {
        return false;
    }
    size_t shown = ps_store_log_upto(log, key, pin->as_of_ns);
    return shown == 0 || ps_store_log_version(log, key, shown - 1)->deleted;
}

uint64_t ps_store_log_lsn_at(const struct ps_store_log *log, ps_time_ns t)
{
    size_t low = 0;
    size_t high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->records[middle].commit_ns <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : log->records[low - 1].lsn;
}

const char *ps_op_pop(const struct ps_history *history, const struct ps_op *op)
{
    return history->cluster->pops[op->pop]->code;
}

/* By PoP, then time; a PoP's instants are unique, and where a forged history breaks that, the
 * order is still total. */
static int compare_events(const void *left, const void *right)
{
    const struct ps_pop_event *a = left;
    const struct ps_pop_event *b = right;
    if (a->op->pop != b->op->pop) {
        return a->op->pop < b->op->pop ? -1 : 1;
    }
    if (a->at_ns != b->at_ns) {
        return a->at_ns < b->at_ns ? -1 : 1;
    }
    if (a->op->id != b->op->id) {
        return a->op->id < b->op->id ? -1 : 1;
    }
    return (int)a->refresh - (int)b->refresh;
}

struct events {
    struct ps_pop_event *list;
    size_t count;
    size_t capacity;
};

static void add_event(struct events *events, struct ps_pop_event event)
{
    events->list = ps_grow(events->list, events->count, &events->capacity, sizeof *events->list);
    events->list[events->count++] = event;
}

struct ps_pop_event *ps_pop_events(const struct ps_history *history, uint16_t store,
                                   size_t *ret_count)
{
    bool cached = history->cluster->stores[store].policy.kind == PS_POLICY_CACHE;
    struct events events = {.list = NULL};
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        bool refresh = ps_op_is_write(op);
        if (op->store != store || (refresh && (op->refresh_ns == 0 || !cached))) {
            continue;
        }
        ps_time_ns at_ns = op->eval_ns != 0 ? op->eval_ns : op->invoke_ns;
        add_event(&events, (struct ps_pop_event){.at_ns = refresh ? op->refresh_ns : at_ns,
                                                 .op = op,
                                                 .refresh = refresh});
        if (op->dropped_ns != 0) {
            add_event(&events,
                      (struct ps_pop_event){.at_ns = op->dropped_ns, .op = op, .drop = true});
        }
    }
    if (events.count > 1) {
        qsort(events.list, events.count, sizeof *events.list, compare_events);
    }
    *ret_count = events.count;
    return events.list;
}
