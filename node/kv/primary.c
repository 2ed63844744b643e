#include "node/kv/primary.h"

#include "node/kv/kv.h"
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <string.h>

/* A write that waits for its result: queued, under way, or joined to one with the same token. */
struct waiting {
    struct waiting *next;
    void *tag;
};

struct pending {
    UT_hash_handle hh; /* by token, while queued or under way */
    struct pending *next;
    struct ps_token token;
    struct ps_entry entry; /* slices into bytes */
    struct waiting first;  /* further tries hang behind it */
    struct waiting **last;
    struct ps_written result;
    ps_time_ns put_before_ns;       /* the key's last put before this one; PS_NEVER: none */
    const struct ps_record *record; /* of several entries, borrowed; else NULL */
    char bytes[];
};

struct list {
    struct pending *head;
    struct pending **tail;
    size_t count;
};

/* When a key was last put, for as long as the write limit asks. */
struct recent {
    UT_hash_handle hh;
    ps_time_ns put_ns;
    size_t key_size;
    char key[];
};

struct ps_primary {
    struct ps_map *map;
    ps_map_store store;
    const struct ps_kv_limits *limits;
    struct list queue;
    struct list batch; /* under way, the left-out ones included */
    bool busy;
    struct pending *by_token;
    struct recent *recent;     /* about in the order of put_ns */
    struct ps_record *records; /* of the batch */
    size_t record_count;
    size_t record_capacity;
    uint64_t durable_lsn;
    ps_time_ns last_commit_ns;    /* of all stamps given, failed batches included */
    ps_time_ns first_of_batch_ns; /* commit time of the batch's first record */
    ps_time_ns closed_ns;         /* the latest promise */
};

static void list_clear(struct list *list)
{
    *list = (struct list){.head = NULL, .tail = &list->head, .count = 0};
}

static void list_push(struct list *list, struct pending *pending)
{
    pending->next = NULL;
    *list->tail = pending;
    list->tail = &pending->next;
    list->count++;
}

static void note_put(struct ps_primary *primary, struct ps_slice key, ps_time_ns put_ns)
{
    if (primary->limits->write_interval_ns == 0) {
        return;
    }
    struct recent *recent = NULL;
    HASH_FIND(hh, primary->recent, key.data, key.size, recent);
    if (recent != NULL) {
        HASH_DEL(primary->recent, recent);
    } else {
        recent = ps_calloc(1, sizeof *recent + key.size);
        recent->key_size = key.size;
        memcpy(recent->key, key.data, key.size);
    }
    recent->put_ns = put_ns;
    HASH_ADD_KEYPTR(hh, primary->recent, recent->key, recent->key_size, recent);
}

static ps_time_ns last_put(const struct ps_primary *primary, struct ps_slice key)
{
    struct recent *recent = NULL;
    HASH_FIND(hh, primary->recent, key.data, key.size, recent);
    return recent == NULL ? PS_NEVER : recent->put_ns;
}

/* The put's batch failed: it was never made. An earlier put of the key in the same batch takes both
 * back. */
static void take_back_put(struct ps_primary *primary, const struct pending *pending)
{
    bool was_put =
        pending->result.status == PS_OK && pending->record == NULL && !pending->entry.deleted;
    bool is_first =
        pending->put_before_ns == PS_NEVER || pending->put_before_ns < primary->first_of_batch_ns;
    struct recent *recent = NULL;
    if (was_put && is_first) {
        HASH_FIND(hh, primary->recent, pending->entry.key.data, pending->entry.key.size, recent);
    }
    if (recent == NULL) {
        return;
    }
    if (pending->put_before_ns == PS_NEVER) {
        HASH_DEL(primary->recent, recent);
        free(recent);
    } else {
        recent->put_ns = pending->put_before_ns;
    }
}

static void forget_puts(struct ps_primary *primary, ps_time_ns now_ns)
{
    struct recent *recent;
    struct recent *next;
    HASH_ITER(hh, primary->recent, recent, next)
    {
        if (ps_time_add(recent->put_ns, primary->limits->write_interval_ns) > now_ns) {
            return;
        }
        HASH_DEL(primary->recent, recent);
        free(recent);
    }
}

static bool remember_puts(void *context, const struct ps_record *record)
{
    for (size_t i = 0; i < record->entry_count; i++) {
        if (!record->entries[i].deleted) {
            note_put(context, record->entries[i].key, record->commit_ns);
        }
    }
    return true;
}

struct since {
    ps_time_ns from_ns;
    uint64_t lsn;
};

static bool find_since(void *context, const struct ps_record *record)
{
    struct since *since = context;
    since->lsn = record->lsn;
    return record->commit_ns < since->from_ns;
}

/* A restart must not lift the write limit: read the puts of the last interval back. Finding where
 * it begins walks the marks of the log's tail, a bounded stretch at a time, from the end. */
static void recall_puts(struct ps_primary *primary, const struct ps_log_state *log)
{
    enum { STRETCH = 1024 };

    ps_dur_ns interval_ns = primary->limits->write_interval_ns;
    if (interval_ns == 0 || log->last_lsn == 0 || ps_map_read_begin(primary->map) != PS_OK) {
        return;
    }
    struct since since = {.from_ns = ps_time_sub(log->last_commit_ns, interval_ns),
                          .lsn = log->last_lsn};
    uint64_t from = log->last_lsn;
    while (from > log->first_lsn) {
        from = from - log->first_lsn > STRETCH ? from - STRETCH : log->first_lsn;
        since.lsn = from;
        if (ps_map_log_marks(primary->map, primary->store, from, find_since, &since) != PS_OK ||
            since.lsn > from) {
            break;
        }
    }
    enum ps_status status =
        ps_map_log(primary->map, primary->store, since.lsn, remember_puts, primary);
    PS_ASSERT(status != PS_INVALID);
    ps_map_read_end(primary->map);
}

struct ps_primary *ps_primary_create(struct ps_map *map, ps_map_store store,
                                     const struct ps_kv_limits *limits)
{
    struct ps_primary *primary = PS_NEW(struct ps_primary);
    primary->map = map;
    primary->store = store;
    primary->limits = limits;
    list_clear(&primary->queue);
    list_clear(&primary->batch);
    struct ps_log_state log = {0};
    if (ps_map_log_state(map, store, &log) == PS_OK) {
        primary->durable_lsn = log.last_lsn;
        primary->last_commit_ns = log.last_commit_ns;
        recall_puts(primary, &log);
    }
    return primary;
}

static void pending_destroy(struct pending *pending)
{
    struct waiting *waiting = pending->first.next;
    while (waiting != NULL) {
        struct waiting *next = waiting->next;
        free(waiting);
        waiting = next;
    }
    free(pending);
}

static void list_destroy(struct list *list)
{
    struct pending *pending = list->head;
    while (pending != NULL) {
        struct pending *next = pending->next;
        pending_destroy(pending);
        pending = next;
    }
    list_clear(list);
}

void ps_primary_destroy(struct ps_primary *primary)
{
    if (primary == NULL) {
        return;
    }
    HASH_CLEAR(hh, primary->by_token);
    list_destroy(&primary->queue);
    list_destroy(&primary->batch);
    struct recent *recent;
    struct recent *next;
    HASH_ITER(hh, primary->recent, recent, next)
    {
        HASH_DEL(primary->recent, recent);
        free(recent);
    }
    free(primary->records);
    free(primary);
}

static bool has_token(const struct ps_token *token)
{
    static const struct ps_token none;
    return memcmp(token, &none, sizeof none) != 0;
}

static struct ps_slice keep(char **at, struct ps_slice bytes)
{
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
    }
    struct ps_slice kept = {*at, bytes.size};
    *at += bytes.size;
    return kept;
}

static struct pending *pending_create(const struct ps_write *write, void *tag)
{
    const struct ps_entry *entry = &write->entry;
    struct pending *pending =
        ps_calloc(1, sizeof *pending + entry->key.size + entry->value.size + entry->metadata.size);
    char *at = pending->bytes;
    pending->token = write->token;
    pending->entry = *entry;
    pending->entry.key = keep(&at, entry->key);
    pending->entry.value = keep(&at, entry->value);
    pending->entry.metadata = keep(&at, entry->metadata);
    pending->first.tag = tag;
    pending->last = &pending->first.next;
    return pending;
}

bool ps_primary_write(struct ps_primary *primary, const struct ps_write *write, void *tag,
                      struct ps_written *ret)
{
    if (has_token(&write->token)) {
        struct pending *earlier = NULL;
        HASH_FIND(hh, primary->by_token, &write->token, sizeof write->token, earlier);
        if (earlier != NULL) {
            struct waiting *waiting = PS_NEW(struct waiting);
            waiting->tag = tag;
            *earlier->last = waiting;
            earlier->last = &waiting->next;
            return false;
        }
        struct ps_written known = {.status = PS_OK};
        if (ps_map_read_begin(primary->map) == PS_OK) {
            enum ps_status status = ps_map_token(primary->map, primary->store, &write->token,
                                                 &known.lsn, &known.commit_ns);
            ps_map_read_end(primary->map);
            if (status == PS_OK) {
                *ret = known;
                return true;
            }
        }
    }
    struct pending *pending = pending_create(write, tag);
    if (has_token(&pending->token)) {
        HASH_ADD(hh, primary->by_token, token, sizeof pending->token, pending);
    }
    list_push(&primary->queue, pending);
    return false;
}

void ps_primary_append(struct ps_primary *primary, const struct ps_record *record, void *tag)
{
    PS_ASSERT(record->entry_count > 0);
    struct ps_write write = {.token = record->token};
    struct pending *pending = pending_create(&write, tag);
    pending->record = record;
    struct pending *earlier = NULL;
    HASH_FIND(hh, primary->by_token, &pending->token, sizeof pending->token, earlier);
    PS_ASSERT(earlier == NULL);
    if (has_token(&pending->token)) {
        HASH_ADD(hh, primary->by_token, token, sizeof pending->token, pending);
    }
    list_push(&primary->queue, pending);
}

static ps_time_ns stamp(struct ps_primary *primary, ps_time_ns now_ns)
{
    ps_time_ns after_ns = ps_time_max(primary->last_commit_ns, primary->closed_ns);
    return now_ns > after_ns ? now_ns : after_ns + 1;
}

static struct ps_record *add_record(struct ps_primary *primary)
{
    primary->records = ps_grow(primary->records, primary->record_count, &primary->record_capacity,
                               sizeof *primary->records);
    return &primary->records[primary->record_count++];
}

/* Give a write its place in the batch, unless it may not be made. */
static void take(struct ps_primary *primary, struct pending *pending, ps_time_ns commit_ns)
{
    uint64_t lsn = primary->durable_lsn + primary->record_count + 1;
    const struct ps_record *whole = pending->record;
    if (whole != NULL && whole->lsn != 0 && whole->lsn != lsn) {
        pending->result = (struct ps_written){.status = PS_GAP};
        return;
    }
    bool put = whole == NULL && !pending->entry.deleted;
    pending->put_before_ns = whole == NULL ? last_put(primary, pending->entry.key) : PS_NEVER;
    if (put && !ps_kv_write_allowed(primary->limits, pending->put_before_ns, commit_ns)) {
        pending->result = (struct ps_written){.status = PS_RATE_LIMITED};
        return;
    }
    *add_record(primary) =
        (struct ps_record){.lsn = lsn,
                           .commit_ns = commit_ns,
                           .token = pending->token,
                           .entries = whole == NULL ? &pending->entry : whole->entries,
                           .entry_count = whole == NULL ? 1 : whole->entry_count};
    pending->result = (struct ps_written){.status = PS_OK, .lsn = lsn, .commit_ns = commit_ns};
    primary->last_commit_ns = commit_ns;
    if (put) {
        note_put(primary, pending->entry.key, commit_ns);
    }
}

size_t ps_primary_take(struct ps_primary *primary, ps_time_ns now_ns,
                       const struct ps_record **ret_records)
{
    PS_ASSERT(!primary->busy);
    PS_ASSERT(primary->batch.count == 0);
    primary->record_count = 0;
    forget_puts(primary, now_ns);
    struct pending *pending = primary->queue.head;
    list_clear(&primary->queue);
    while (pending != NULL) {
        struct pending *next = pending->next;
        list_push(&primary->batch, pending);
        take(primary, pending, stamp(primary, now_ns));
        pending = next;
    }
    primary->busy = primary->record_count > 0;
    primary->first_of_batch_ns = primary->busy ? primary->records[0].commit_ns : PS_NEVER;
    *ret_records = primary->records;
    return primary->record_count;
}

bool ps_primary_has_results(const struct ps_primary *primary)
{
    return primary->batch.count > 0;
}

bool ps_primary_has_queue(const struct ps_primary *primary)
{
    return primary->queue.count > 0;
}

bool ps_primary_busy(const struct ps_primary *primary)
{
    return primary->busy;
}

void ps_primary_done(struct ps_primary *primary, enum ps_status status, ps_primary_each_fn each,
                     void *context)
{
    if (status == PS_OK) {
        primary->durable_lsn += primary->record_count;
    }
    primary->busy = false;
    primary->record_count = 0;
    struct list batch = primary->batch;
    list_clear(&primary->batch);
    struct pending *pending = batch.head;
    while (pending != NULL) {
        struct pending *next = pending->next;
        if (has_token(&pending->token)) {
            HASH_DEL(primary->by_token, pending); /* NOLINT(clang-analyzer-*): uthash */
        }
        if (pending->result.status == PS_OK && status != PS_OK) {
            take_back_put(primary, pending);
            pending->result = (struct ps_written){.status = status};
        }
        for (struct waiting *w = &pending->first; w != NULL; w = w->next) {
            each(context, w->tag, &pending->result);
        }
        pending_destroy(pending);
        pending = next;
    }
}

ps_time_ns ps_primary_closed(struct ps_primary *primary, ps_time_ns now_ns, uint64_t *ret_last_lsn)
{
    ps_time_ns open_ns = primary->busy ? primary->first_of_batch_ns - 1 : now_ns;
    primary->closed_ns = ps_time_max(primary->closed_ns, open_ns);
    *ret_last_lsn = primary->durable_lsn;
    return primary->closed_ns;
}
