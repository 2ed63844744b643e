#include "sim/measure/measure.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/measure/r2_call.h"
#include "sim/measure/sessions.h"
#include "sim/measure/store_log.h"
#include "sim/measure/visibility_walk.h"

/* One store under measure. */
struct subject {
    const struct ps_history *history;
    const struct ps_store *store;
    struct ps_store_log log;
    struct ps_store_measures *ret;
    uint16_t number;
    bool public; /* the reads of a bucket's public URL, else all others */
};

/* ---- reads and sessions ---- */

/* All as of the read's decision: what a client could have known then. */
static void measure_get(struct subject *subject, const struct ps_op *op)
{
    const struct ps_store_log *log = &subject->log;
    size_t newest = ps_store_log_upto(log, op->key, op->eval_ns);
    size_t returned = newest; /* versions up to and with the one returned */
    while (returned > 0 && ps_store_log_version(log, op->key, returned - 1)->lsn > op->lsn) {
        returned--;
    }
    ps_time_ns superseded_ns =
        returned < newest ? ps_store_log_version(log, op->key, returned)->commit_ns : op->eval_ns;
    ps_time_ns newest_ns =
        newest > 0 ? ps_store_log_version(log, op->key, newest - 1)->commit_ns : op->eval_ns;
    ps_measures_read(subject->ret, newest - returned, op->eval_ns - superseded_ns, newest > 0,
                     op->eval_ns - newest_ns);
}

/* A delete of several keys is a write of each that was there. */
static void feed(const struct subject *subject, struct ps_sessions *sessions,
                 const struct ps_op *op)
{
    const struct ps_store_log *log = &subject->log;
    if (!ps_op_is_r2(op) || !ps_op_is_delete(op) || op->request == 0 || op->lsn == 0) {
        ps_sessions_feed(sessions, op);
        return;
    }
    const struct ps_log_record *record = &log->records[op->lsn - log->records[0].lsn];
    struct ps_op one = *op;
    for (size_t i = 0; i < ps_log_record_versions(record); i++) {
        one.key = i == 0 ? record->key : record->more[i - 1];
        ps_sessions_feed(sessions, &one);
    }
}

/* Does the operation belong to the subject? Writes belong to both a bucket and its public URL. */
static bool concerns(const struct subject *subject, const struct ps_op *op)
{
    bool write = ps_op_is_write(op) && op->kind != PS_OP_R2_PURGE;
    bool public = ps_op_is_public(op) || op->kind == PS_OP_R2_PURGE;
    return op->store == subject->number && (write || public == subject->public);
}

static void count(struct subject *subject, const struct ps_op *op)
{
    struct ps_store_measures *ret = subject->ret;
    if (op->error != PS_OK) {
        /* What a bucket refused is not its public URL's error. */
        ret->errors += subject->public && ps_op_is_write(op) && op->kind != PS_OP_R2_PURGE ? 0 : 1;
    } else if (ps_op_is_read(op)) {
        measure_get(subject, op);
    } else if (ps_op_is_list(op)) {
        ret->lists++;
    } else if (op->kind == PS_OP_R2_PURGE) {
        ret->purges++;
    } else {
        ret->writes++;
        ret->deletes += ps_op_is_delete(op) ? 1 : 0;
    }
}

static enum ps_status measure_op(struct subject *subject, struct ps_sessions *sessions,
                                 const struct ps_op *op, struct ps_error *err)
{
    struct ps_store_measures *ret = subject->ret;
    const struct ps_store_log *log = &subject->log;
    uint64_t last_lsn = log->count == 0 ? 0 : log->records[log->count - 1].lsn;
    if (op->lsn > last_lsn && ps_op_is_read(op)) {
        return ps_fail(err, PS_INVALID, "operation %llu returned LSN %llu, which nobody wrote",
                       (unsigned long long)op->id, (unsigned long long)op->lsn);
    }
    count(subject, op);
    if (op->error == PS_OK) {
        ret->rows_read += op->rows_read;
        ret->rows_written += op->rows_written;
    }
    feed(subject, sessions, op);
    return PS_OK;
}

static enum ps_status measure_ops(struct subject *subject, struct ps_error *err)
{
    const struct ps_history *history = subject->history;
    const struct ps_store_log *log = &subject->log;
    struct ps_sessions *sessions = ps_sessions_create(log->count == 0 ? 1 : log->records[0].lsn);
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < history->op_count && status == PS_OK; i++) {
        if (concerns(subject, &history->ops[i])) {
            status = measure_op(subject, sessions, &history->ops[i], err);
        }
    }
    if (status == PS_OK) {
        ps_sessions_result(sessions, history->cluster, history->sessions, history->keys,
                           subject->ret->violations);
    }
    ps_sessions_destroy(sessions);
    return status;
}

/* ---- visibility ---- */

/* Writes since the run began count; older records are only there to be superseded. */
static size_t first_counted(struct ps_commits commits, ps_time_ns begin_ns)
{
    size_t at = 0;
    while (at < commits.count && commits.at_ns[at] < begin_ns) {
        at++;
    }
    return at;
}

/* One PoP's pins, by key. */
struct pins {
    struct ps_pin *pins;
    struct ps_visibility_meter *meters;
    uint64_t *hashes;
    size_t count;
    uint32_t boot;
};

/* When did the PoP lose its cache, if it did so in [from, to]? `to` if not. */
static ps_time_ns lost_at(const struct ps_history *history, uint16_t pop, ps_time_ns from_ns,
                          ps_time_ns to_ns)
{
    ps_time_ns lost_ns = to_ns;
    for (size_t i = 0; i < history->downtime_count; i++) {
        const struct ps_downtime *down = &history->downtimes[i];
        if (down->pop == pop && down->when.from_ns >= from_ns) {
            lost_ns = ps_time_min(lost_ns, down->when.from_ns);
        }
    }
    return lost_ns;
}

static void drop_pins(struct subject *subject, struct ps_visibility_sink *sink, struct pins *pins,
                      ps_time_ns t)
{
    for (uint32_t key = 0; key < pins->count; key++) {
        if (pins->pins[key].ttl_ns != 0) {
            ps_visibility_drop(&pins->meters[key], sink, pins->hashes[key],
                               ps_store_log_commits(&subject->log, key), &pins->pins[key], t);
            pins->pins[key] = (struct ps_pin){0};
        }
    }
}

static void walk_event(struct subject *subject, struct ps_visibility_sink *sink, struct pins *pins,
                       const struct ps_pop_event *event)
{
    const struct ps_op *op = event->op;
    if (ps_op_is_list(op) || event->drop || (!event->refresh && op->eval_ns == 0)) {
        return;
    }
    struct ps_pin *pin = &pins->pins[op->key];
    struct ps_pin before = *pin;
    if (event->refresh) {
        ps_pin_acknowledge(sink->replica.policy, pin, op->eval_ns, op->refresh_ns);
    } else {
        /* A fetch that fails leaves the entry as it was. */
        struct ps_view view;
        enum ps_status ignored = ps_view_cache(
            &sink->replica, pin, pins->hashes[op->key], op->eval_ns, op->cache_ttl_ns,
            ps_store_log_pinned_absent(&subject->log, &subject->store->policy, pin, op->key),
            &view);
        (void)ignored;
    }
    ps_visibility_observe(&pins->meters[op->key], sink, pins->hashes[op->key],
                          ps_store_log_commits(&subject->log, op->key), &before, pin, event->at_ns);
}

static void walk_cache(struct subject *subject, struct ps_visibility_sink *sink, uint16_t pop,
                       const struct ps_pop_event *events, size_t count)
{
    const struct ps_history *history = subject->history;
    struct pins pins = {.count = ps_intern_count(history->keys)};
    pins.pins = PS_NEW_ARRAY(struct ps_pin, pins.count + 1);
    pins.meters = PS_NEW_ARRAY(struct ps_visibility_meter, pins.count + 1);
    pins.hashes = PS_NEW_ARRAY(uint64_t, pins.count + 1);
    for (uint32_t key = 0; key < pins.count; key++) {
        pins.hashes[key] = ps_slice_hash(ps_intern_text(history->keys, key));
        pins.meters[key].next =
            first_counted(ps_store_log_commits(&subject->log, key), history->begin_ns);
    }
    ps_time_ns last_ns = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t boot = events[i].op->boot;
        if (boot != 0 && boot != pins.boot) {
            if (pins.boot != 0) {
                drop_pins(subject, sink, &pins, lost_at(history, pop, last_ns, events[i].at_ns));
            }
            pins.boot = boot;
        }
        walk_event(subject, sink, &pins, &events[i]);
        if (boot != 0) { /* what failed at a PoP that was down says nothing of its cache */
            last_ns = events[i].at_ns;
        }
    }
    ps_time_ns lost_ns = lost_at(history, pop, last_ns, PS_NEVER);
    if (lost_ns != PS_NEVER) {
        drop_pins(subject, sink, &pins, lost_ns);
    }
    for (uint32_t key = 0; key < pins.count; key++) {
        ps_visibility_finish(&pins.meters[key], sink, pins.hashes[key],
                             ps_store_log_commits(&subject->log, key), &pins.pins[key]);
    }
    free(pins.pins);
    free(pins.meters);
    free(pins.hashes);
}

/* ---- visibility in a public cache ---- */

struct public_walk {
    struct subject *subject;
    struct ps_visibility_sink *sink;
    struct ps_visibility_meter *meters; /* by key */
};

static struct ps_r2_cache_stay public_stay(void *context, uint32_t key, ps_time_ns as_of_ns,
                                           uint64_t *ret_lsn, bool *ret_there)
{
    const struct subject *subject = ((struct public_walk *)context)->subject;
    size_t n = ps_store_log_upto(&subject->log, key, as_of_ns);
    const struct ps_log_record *version =
        n == 0 ? NULL : ps_store_log_version(&subject->log, key, n - 1);
    *ret_lsn = version == NULL ? 0 : version->lsn;
    return ps_r2_stay_of(subject->history, subject->number, key, version, as_of_ns, ret_there);
}

static void public_entry(void *context, uint32_t key, ps_time_ns from_ns, ps_time_ns as_of_ns,
                         ps_time_ns until_ns)
{
    const struct public_walk *walk = context;
    ps_visibility_start(&walk->meters[key], walk->sink, 0,
                        ps_store_log_commits(&walk->subject->log, key), from_ns, as_of_ns,
                        until_ns);
}

static void lose(struct public_walk *walk, struct ps_public_cache *cache, size_t key_count,
                 ps_time_ns t)
{
    ps_public_cache_reset(cache, t);
    for (size_t key = 0; key < key_count; key++) {
        walk->meters[key].until_ns = ps_time_min(walk->meters[key].until_ns, t);
    }
}

static void walk_public(struct subject *subject, struct ps_visibility_sink *sink, uint16_t pop,
                        const struct ps_pop_event *events, size_t count)
{
    const struct ps_history *history = subject->history;
    size_t key_count = ps_intern_count(history->keys);
    struct public_walk walk = {subject, sink,
                               PS_NEW_ARRAY(struct ps_visibility_meter, key_count + 1)};
    struct ps_public_cache *cache = ps_public_cache_create(
        &sink->replica, ps_r2_kinds_of(subject->store), &walk, public_stay, public_entry);
    ps_r2_tell_purges(history, &subject->log, cache);
    for (uint32_t key = 0; key < key_count; key++) {
        walk.meters[key].next =
            first_counted(ps_store_log_commits(&subject->log, key), history->begin_ns);
    }
    ps_time_ns last_ns = 0;
    uint32_t boot = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ps_op *op = events[i].op;
        if (op->boot == 0) {
            continue; /* what failed at a PoP that was down says nothing of its cache */
        }
        if (boot != 0 && op->boot != boot) {
            lose(&walk, cache, key_count, lost_at(history, pop, last_ns, events[i].at_ns));
        }
        boot = op->boot;
        last_ns = events[i].at_ns;
        if (events[i].drop && ps_op_is_public(op)) {
            ps_public_cache_drop(cache, op->key, op->dropped_ns);
        } else if (!events[i].drop && ps_op_is_public(op) && op->eval_ns != 0 && !op->late) {
            struct ps_public_view view;
            enum ps_status ignored = ps_public_cache_decide(
                cache, op->key, ps_intern_text(history->keys, op->key), op->eval_ns, &view);
            (void)ignored; /* a fetch that fails leaves the entry as it was */
        }
    }
    lose(&walk, cache, key_count, lost_at(history, pop, last_ns, PS_NEVER));
    for (uint32_t key = 0; key < key_count; key++) {
        ps_visibility_finish(&walk.meters[key], sink, 0, ps_store_log_commits(&subject->log, key),
                             NULL);
    }
    subject->ret->fetches += ps_public_cache_fetches(cache);
    ps_public_cache_destroy(cache);
    free(walk.meters);
}

static uint64_t counted_writes(const struct subject *subject)
{
    uint64_t count = 0;
    for (size_t i = 0; i < subject->log.count; i++) {
        const struct ps_log_record *record = &subject->log.records[i];
        count +=
            record->commit_ns < subject->history->begin_ns ? 0 : ps_log_record_versions(record);
    }
    return count;
}

/* By the bucket's or store's own policy. */
static void walk(struct subject *subject, struct ps_visibility_sink *sink, uint16_t pop,
                 const struct ps_pop_event *events, size_t count)
{
    bool home = subject->store->type == PS_STORE_D1 && pop == subject->store->home;
    if (subject->store->policy.kind == PS_POLICY_CACHE) {
        walk_cache(subject, sink, pop, events, count);
    } else if (!home) { /* a database is read at its home as it is there */
        ps_visibility_walk(sink, &subject->log, ps_intern_count(subject->history->keys),
                           subject->history->begin_ns);
    }
}

static void measure_pop(struct subject *subject, uint16_t pop, const struct ps_pop_event *events,
                        size_t count)
{
    const struct ps_history *history = subject->history;
    struct ps_link link = {0};
    if (history->links != NULL) {
        link = history->links[pop];
    }
    ps_cluster_link(history->cluster, subject->store, pop, &link);
    struct ps_visibility_sink sink = {
        .replica = ps_cluster_replica(history->cluster, subject->store, pop, &link),
        .histogram = subject->ret->visibility_by_pop[pop]};
    struct ps_policy strong = {.kind = PS_POLICY_STRONG,
                               .timeout_ns = subject->store->policy.timeout_ns};
    if (subject->public) {
        sink.replica.policy = &strong;
        walk_public(subject, &sink, pop, events, count);
    } else {
        walk(subject, &sink, pop, events, count);
    }
    ps_visibility_zeros(&sink, counted_writes(subject));
    ps_histogram_merge(subject->ret->visibility, sink.histogram);
    subject->ret->never_visible += sink.never;
}

static void measure_visibility(struct subject *subject)
{
    size_t count = 0;
    struct ps_pop_event *events = ps_pop_events(subject->history, subject->number, &count);
    size_t from = 0;
    for (uint16_t pop = 0; pop < subject->history->cluster->pop_count; pop++) {
        size_t to = from;
        while (to < count && events[to].op->pop == pop) {
            to++;
        }
        measure_pop(subject, pop, events == NULL ? NULL : events + from, to - from);
        from = to;
    }
    free(events);
}

static enum ps_status measure_subject(struct subject *subject, struct ps_error *err)
{
    if (subject->log.problems > 0) {
        return ps_fail(err, PS_INVALID, "%s", subject->log.problem);
    }
    enum ps_status status = measure_ops(subject, err);
    if (status == PS_OK) {
        measure_visibility(subject);
    }
    return status;
}

enum ps_status ps_measure(const struct ps_history *history, struct ps_measures *ret,
                          struct ps_error *err)
{
    PS_ASSERT(ret->store_count == history->cluster->store_count);
    PS_ASSERT(ret->pop_count == history->cluster->pop_count);
    ret->operations += history->op_count;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < history->cluster->store_count && status == PS_OK; i++) {
        struct subject subject = {.history = history,
                                  .store = &history->cluster->stores[i],
                                  .ret = &ret->stores[i],
                                  .number = (uint16_t)i};
        ps_store_log_init(&subject.log, history, subject.number);
        status = measure_subject(&subject, err);
        if (status == PS_OK && subject.store->type == PS_STORE_R2) {
            subject.public = true;
            subject.ret = &ret->publics[i];
            status = measure_subject(&subject, err);
        }
        ps_store_log_fini(&subject.log);
    }
    return status;
}
