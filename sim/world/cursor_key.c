#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/world/cursor.h"

static const struct ps_policy *policy_of(const struct cursor_store *store)
{
    return store->sink.replica.policy;
}

void ps_cursor_store_init(struct cursor_store *store, const struct cursor *cursor, uint16_t number)
{
    *store = (struct cursor_store){.log = &cursor->logs[number],
                                   .measures = &cursor->measures->stores[number]};
    store->keys = PS_NEW_ARRAY(struct cursor_key, cursor->key_count + 1);
    store->touched = PS_NEW_ARRAY(uint32_t, cursor->key_count + 1);
    const struct ps_policy *policy = &cursor->world->cluster->stores[number].policy;
    if (policy->kind == PS_POLICY_CACHE) {
        store->entries = PS_NEW_ARRAY(struct cursor_entry, cursor->key_count + 1);
    }
    store->plain = policy->kind == PS_POLICY_CACHE && policy->cache.negative &&
                   !policy->cache.shorten && policy->cache.ahead_milli == 0;
}

void ps_cursor_store_fini(struct cursor_store *store)
{
    free(store->keys);
    free(store->entries);
    free(store->touched);
}

void ps_cursor_store_begin(struct cursor_store *store, const struct cursor *cursor, uint16_t pop)
{
    size_t number = (size_t)(store->measures - cursor->measures->stores);
    store->replica = &cursor->world->stores[number].replicas[pop];
    store->sink = (struct ps_visibility_sink){.replica = store->replica->view,
                                              .histogram = store->measures->visibility_by_pop[pop]};
    store->epoch++;
    store->touched_count = 0;
    store->passed = 0;
    store->drawn = 0;
}

/* ---- versions ---- */

static ps_time_ns commit_of(struct ps_commits commits, size_t version)
{
    return version < commits.count ? commits.at_ns[version] : PS_NEVER;
}

static struct cursor_key *key_at(struct cursor_store *store, uint32_t at)
{
    struct cursor_key *key = &store->keys[at];
    if (key->epoch != store->epoch) {
        struct ps_commits commits = ps_store_log_commits(store->log, at);
        *key = (struct cursor_key){.epoch = store->epoch,
                                   .next_ns = commit_of(commits, 0),
                                   .superseded_ns = commit_of(commits, 0)};
        if (store->entries != NULL) {
            store->entries[at] = (struct cursor_entry){0};
        }
        store->touched[store->touched_count++] = at;
    }
    return key;
}

static void advance(const struct cursor_store *store, struct cursor_key *key, uint32_t at,
                    ps_time_ns t)
{
    struct ps_commits commits = ps_store_log_commits(store->log, at);
    if (key->next_ns <= t) {
        size_t upto = ps_store_log_upto_from(store->log, at, key->upto, t);
        key->upto = (uint32_t)upto;
        key->newest_ns = commits.at_ns[upto - 1];
        key->next_ns = commit_of(commits, upto);
    }
}

static void show(const struct cursor_store *store, struct cursor_key *key, uint32_t at,
                 size_t shown)
{
    key->shown = (uint32_t)shown;
    key->superseded_ns = commit_of(ps_store_log_commits(store->log, at), shown);
}

static void count_read(struct cursor_store *store, const struct cursor_key *key, ps_time_ns eval_ns)
{
    uint64_t behind = key->upto > key->shown ? key->upto - key->shown : 0;
    ps_measures_read(store->measures, behind, behind > 0 ? eval_ns - key->superseded_ns : 0,
                     key->upto > 0, key->upto > 0 ? eval_ns - key->newest_ns : 0);
}

/* ---- cache and strong ---- */

static void observe(struct cursor_store *store, const struct cursor *cursor, uint32_t at,
                    const struct ps_pin *before, ps_time_ns t)
{
    struct cursor_entry *entry = &store->entries[at];
    ps_visibility_observe(&entry->meter, &store->sink, cursor->hashes[at],
                          ps_store_log_commits(store->log, at), before, &entry->pin, t);
}

static enum ps_status decide(struct cursor_store *store, const struct cursor *cursor, uint32_t at,
                             ps_dur_ns ttl_ns, ps_time_ns eval_ns, struct ps_view *ret)
{
    if (policy_of(store)->kind == PS_POLICY_STRONG) {
        return ps_view_strong(&store->sink.replica, eval_ns, ret);
    }
    struct cursor_entry *entry = &store->entries[at];
    struct ps_pin before = entry->pin;
    enum ps_status status = ps_view_cache(
        &store->sink.replica, &entry->pin, cursor->hashes[at], eval_ns, ttl_ns,
        ps_store_log_pinned_absent(store->log, policy_of(store), &entry->pin, at), ret);
    observe(store, cursor, at, &before, eval_ns);
    return status;
}

/* From when to when is a read given the same without a decision? */
static void settle(struct cursor_store *store, struct cursor_key *key, uint32_t at,
                   ps_time_ns known_ns)
{
    key->from_ns = 0;
    key->until_ns = 0;
    if (store->plain) {
        const struct ps_pin *pin = &store->entries[at].pin;
        key->from_ns = ps_time_max(pin->ready_ns, known_ns);
        key->until_ns = ps_pin_until(pin);
    }
}

static bool read_decided(struct cursor_store *store, const struct cursor *cursor, uint16_t pop,
                         const struct cursor_op *op, struct cursor_key *key, ps_time_ns eval_ns)
{
    const struct ps_action *action = cursor->actions[op->action];
    struct ps_view view;
    enum ps_status status = decide(store, cursor, op->key, action->cache_ttl_ns, eval_ns, &view);
    struct ps_world_read_way way =
        ps_world_read_way(cursor->world, action->store, pop, op->at_ns, eval_ns, status, &view);
    if (status == PS_OK) {
        show(store, key, op->key, ps_store_log_upto(store->log, op->key, view.at_ns));
        settle(store, key, op->key, way.known_ns);
    }
    return way.status == PS_OK;
}

/* ---- push ---- */

/* Draw the arrivals of the next block of records, and when each is visible: not before the one
 * before it. */
static void draw_block(struct cursor_store *store)
{
    const struct ps_log_record *records = store->log->records + store->drawn;
    size_t left = store->log->count - store->drawn;
    size_t count = left < PS_CURSOR_BLOCK ? left : PS_CURSOR_BLOCK;
    ps_time_ns last_ns = store->drawn == 0 ? 0 : store->visible_ns[PS_CURSOR_BLOCK - 1];
    ps_time_ns commit_ns[PS_CURSOR_BLOCK];
    PS_ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) {
        commit_ns[i] = records[i].commit_ns;
    }
    ps_push_arrivals(&store->sink.replica, records[0].lsn, commit_ns, count, store->visible_ns);
    for (size_t i = 0; i < count; i++) {
        last_ns = ps_time_max(last_ns, store->visible_ns[i]);
        store->visible_ns[i] = last_ns;
        ps_visibility_record(&store->sink, commit_ns[i], last_ns);
    }
    store->drawn += count;
}

/* Go on to the last record that is visible by `t`. */
static void pass(struct cursor_store *store, ps_time_ns t)
{
    for (; store->passed < store->log->count; store->passed++) {
        if (store->drawn == store->passed) {
            draw_block(store);
        }
        if (store->visible_ns[store->passed % PS_CURSOR_BLOCK] > t) {
            return;
        }
    }
}

static void show_fifo(struct cursor_store *store, struct cursor_key *key, uint32_t at, ps_time_ns t)
{
    pass(store, t);
    ps_time_ns last_ns = store->passed == 0 ? 0 : store->log->records[store->passed - 1].commit_ns;
    if (key->superseded_ns <= last_ns) {
        show(store, key, at, ps_store_log_upto_from(store->log, at, key->shown, last_ns));
    }
}

static void show_arrived(struct cursor_store *store, struct cursor_key *key, uint32_t at,
                         ps_time_ns t)
{
    size_t shown = key->upto;
    for (; shown > 0; shown--) {
        const struct ps_log_record *it = ps_store_log_version(store->log, at, shown - 1);
        if (ps_push_arrival(&store->sink.replica, it->lsn, it->commit_ns) <= t) {
            break;
        }
    }
    show(store, key, at, shown);
}

/* ---- the doings of a PoP ---- */

void ps_cursor_store_read(struct cursor_store *store, const struct cursor *cursor, uint16_t pop,
                          const struct cursor_op *op, ps_time_ns eval_ns, ps_time_ns crash_ns)
{
    struct cursor_key *key = key_at(store, op->key);
    advance(store, key, op->key, eval_ns);
    bool answered = crash_ns >= eval_ns; /* the clock's ticks may reach into a crash */
    if (policy_of(store)->kind != PS_POLICY_PUSH) {
        if (eval_ns < key->from_ns || eval_ns >= key->until_ns || !answered) {
            answered = read_decided(store, cursor, pop, op, key, eval_ns);
        }
    } else if (policy_of(store)->push.order == PS_ORDER_FIFO) {
        show_fifo(store, key, op->key, eval_ns);
    } else {
        show_arrived(store, key, op->key, eval_ns);
    }
    if (answered) {
        count_read(store, key, eval_ns);
    } else {
        store->measures->errors++;
    }
}

void ps_cursor_store_answer(struct cursor_store *store, const struct cursor *cursor,
                            const struct cursor_answer *answer, ps_time_ns refresh_ns)
{
    if (policy_of(store)->kind != PS_POLICY_CACHE || !policy_of(store)->cache.own_writes) {
        return;
    }
    struct cursor_key *key = key_at(store, answer->key);
    struct cursor_entry *entry = &store->entries[answer->key];
    struct ps_pin before = entry->pin;
    ps_pin_acknowledge(policy_of(store), &entry->pin, answer->commit_ns, refresh_ns);
    observe(store, cursor, answer->key, &before, refresh_ns);
    if (before.as_of_ns != entry->pin.as_of_ns || before.ttl_ns != entry->pin.ttl_ns) {
        show(store, key, answer->key,
             ps_store_log_upto(store->log, answer->key, entry->pin.as_of_ns));
        settle(store, key, answer->key, 0);
    }
}

void ps_cursor_store_drop(struct cursor_store *store, const struct cursor *cursor, ps_time_ns t)
{
    for (size_t i = 0; i < store->touched_count && store->entries != NULL; i++) {
        uint32_t at = store->touched[i];
        struct cursor_entry *entry = &store->entries[at];
        if (entry->pin.ttl_ns != 0) {
            ps_visibility_drop(&entry->meter, &store->sink, cursor->hashes[at],
                               ps_store_log_commits(store->log, at), &entry->pin, t);
            entry->pin = (struct ps_pin){0};
        }
        store->keys[at].from_ns = 0;
        store->keys[at].until_ns = 0;
    }
}

/* Keys that no pin ever hid are visible at once, unless a cut or a tier is in the way. */
static void finish_cache(struct cursor_store *store, const struct cursor *cursor)
{
    const struct ps_policy *policy = policy_of(store);
    bool all = store->sink.replica.link->outage_count > 0 || policy->cache.tier != PS_TIER_NONE;
    for (size_t i = 0; i < store->touched_count; i++) {
        uint32_t at = store->touched[i];
        ps_visibility_finish(&store->entries[at].meter, &store->sink, cursor->hashes[at],
                             ps_store_log_commits(store->log, at), &store->entries[at].pin);
    }
    for (uint32_t at = 0; at < cursor->key_count && all; at++) {
        if (store->keys[at].epoch != store->epoch) {
            struct ps_visibility_meter meter = {0};
            ps_visibility_finish(&meter, &store->sink, cursor->hashes[at],
                                 ps_store_log_commits(store->log, at), NULL);
        }
    }
}

void ps_cursor_store_end(struct cursor_store *store, const struct cursor *cursor)
{
    const struct ps_policy *policy = policy_of(store);
    if (policy->kind == PS_POLICY_CACHE) {
        finish_cache(store, cursor);
    } else if (policy->kind == PS_POLICY_PUSH && policy->push.order == PS_ORDER_FIFO) {
        pass(store, PS_NEVER);
    } else {
        ps_visibility_walk(&store->sink, store->log, cursor->key_count, 0);
    }
    ps_visibility_zeros(&store->sink, store->log->count);
    ps_histogram_merge(store->measures->visibility, store->sink.histogram);
    store->measures->never_visible += store->sink.never;
}
