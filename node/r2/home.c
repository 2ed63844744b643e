#include "node/r2/home.h"

#include "node/r2/home_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* The answer of a mutation that had nothing to commit. */
struct kept {
    UT_hash_handle hh; /* by token, in the order they came */
    struct ps_token token;
    ps_time_ns until_ns;
    struct ps_buf answer;
};

struct ps_r2_home {
    struct ps_r2_against against;
    struct ps_r2_mutation *by_token; /* waiting and under way */
    struct ps_r2_mutation *queue;
    struct ps_r2_mutation **queue_end;
    struct ps_r2_lock *locks;
    struct kept *kept;
    uint64_t run; /* number of ps_r2_home_run */
    bool has_work;
    bool knows_closed; /* against.closed was looked up */
};

struct ps_r2_home *ps_r2_home_create(const struct ps_cluster *cluster, struct ps_map *map,
                                     ps_map_store store, ps_dur_ns write_interval_ns)
{
    struct ps_r2_home *home = PS_NEW(struct ps_r2_home);
    home->against = (struct ps_r2_against){
        .cluster = cluster, .map = map, .store = store, .write_interval_ns = write_interval_ns};
    home->queue_end = &home->queue;
    return home;
}

/* ---- locks ---- */

static void hold(struct ps_r2_home *home, struct ps_r2_mutation *mutation, struct ps_slice key,
                 bool exclusive)
{
    struct ps_r2_lock *lock = NULL;
    HASH_FIND(hh, home->locks, key.data, key.size, lock);
    if (lock == NULL) {
        lock = ps_calloc(1, sizeof *lock + key.size);
        lock->key_size = key.size;
        if (key.size > 0) {
            memcpy(lock->key, key.data, key.size);
        }
        HASH_ADD_KEYPTR(hh, home->locks, lock->key, lock->key_size, lock);
    }
    if (lock->adding == mutation) {
        return; /* named twice; what is exclusive comes first */
    }
    lock->adding = mutation;
    lock->users++;
    mutation->holds = ps_grow(mutation->holds, mutation->hold_count, &mutation->hold_capacity,
                              sizeof *mutation->holds);
    mutation->holds[mutation->hold_count++] = (struct ps_r2_hold){lock, exclusive};
}

static void hold_buf(struct ps_r2_home *home, struct ps_r2_mutation *mutation, struct ps_buf *key,
                     bool exclusive)
{
    hold(home, mutation, ps_buf_slice(key), exclusive);
    ps_buf_fini(key);
}

static void hold_upload(struct ps_r2_home *home, struct ps_r2_mutation *mutation, bool exclusive)
{
    struct ps_buf key = {.size = 0};
    ps_r2_upload_key(&key, &mutation->request.upload_id);
    hold_buf(home, mutation, &key, exclusive);
}

static void hold_part(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    uint32_t number = mutation->request.part_number;
    struct ps_buf key = {.size = 0};
    ps_r2_part_key(&key, &mutation->request.upload_id,
                   number <= PS_R2_PARTS_MAX ? number : 0); /* refused when it is evaluated */
    hold_buf(home, mutation, &key, true);
}

static void hold_purge(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    struct ps_buf key = {.size = 0};
    ps_r2_purge_key(&key, mutation->request.key);
    hold_buf(home, mutation, &key, true);
}

/* Held by all, so that closing the bucket waits for them and they for it. */
static void hold_bucket(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    struct ps_buf key = {.size = 0};
    ps_r2_closed_key(&key);
    hold_buf(home, mutation, &key, mutation->request.op == PS_R2_CLOSE);
}

/* All keys that the mutation reads or writes. A new upload's own is nobody else's. */
static void hold_keys(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    const struct ps_r2_request *request = &mutation->request;
    enum ps_r2_op op = request->op;
    if (op == PS_R2_PUT || op == PS_R2_COPY || op == PS_R2_COMPLETE) {
        hold(home, mutation, request->key, true);
    }
    for (size_t i = 0; op == PS_R2_DELETE && i < request->key_count; i++) {
        hold(home, mutation, request->keys[i], true);
    }
    if (op == PS_R2_CREATE_UPLOAD && ps_r2_condition_given(&request->condition)) {
        hold(home, mutation, request->key, false);
    }
    if (op == PS_R2_COPY) {
        hold(home, mutation, request->source_key, false);
    }
    if (op == PS_R2_COMPLETE || op == PS_R2_ABORT || op == PS_R2_UPLOAD_PART) {
        hold_upload(home, mutation, op != PS_R2_UPLOAD_PART);
    }
    if (op == PS_R2_UPLOAD_PART) {
        hold_part(home, mutation);
    }
    if (op == PS_R2_PURGE) {
        hold_purge(home, mutation);
    }
    hold_bucket(home, mutation);
}

static bool is_free(const struct ps_r2_home *home, const struct ps_r2_hold *held)
{
    const struct ps_r2_lock *lock = held->lock;
    bool taken = lock->exclusive || (held->exclusive && lock->shared > 0);
    /* Those that came first and wait go first. */
    bool awaited = lock->blocked_run == home->run ||
                   (held->exclusive && lock->blocked_shared_run == home->run);
    return !taken && !awaited;
}

static bool take_all(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    bool free_all = true;
    for (size_t i = 0; free_all && i < mutation->hold_count; i++) {
        free_all = is_free(home, &mutation->holds[i]);
    }
    for (size_t i = 0; i < mutation->hold_count; i++) {
        struct ps_r2_lock *lock = mutation->holds[i].lock;
        bool exclusive = mutation->holds[i].exclusive;
        if (free_all) {
            lock->exclusive = lock->exclusive || exclusive;
            lock->shared += exclusive ? 0 : 1;
        } else if (exclusive) {
            lock->blocked_run = home->run;
        } else {
            lock->blocked_shared_run = home->run;
        }
    }
    return free_all;
}

static void drop_holds(struct ps_r2_home *home, struct ps_r2_mutation *mutation, bool were_taken)
{
    for (size_t i = 0; i < mutation->hold_count; i++) {
        struct ps_r2_lock *lock = mutation->holds[i].lock;
        if (were_taken && mutation->holds[i].exclusive) {
            PS_ASSERT(lock->exclusive);
            lock->exclusive = false;
        } else if (were_taken) {
            PS_ASSERT(lock->shared > 0);
            lock->shared--;
        }
        if (--lock->users == 0) {
            HASH_DEL(home->locks, lock); /* NOLINT(clang-analyzer-*): uthash */
            free(lock);
        }
    }
    mutation->hold_count = 0;
}

/* ---- mutations ---- */

static void mutation_free(struct ps_r2_mutation *mutation)
{
    struct ps_r2_waiting *waiting = mutation->first.next;
    while (waiting != NULL) {
        struct ps_r2_waiting *next = waiting->next;
        free(waiting);
        waiting = next;
    }
    for (size_t i = 0; i < mutation->commit.record.entry_count; i++) {
        free(mutation->memory[i]);
    }
    free(mutation->memory);
    free(mutation->commit.record.entries);
    ps_r2_answer_fini(&mutation->answer);
    ps_r2_request_fini(&mutation->request);
    free(mutation->holds);
    free(mutation->bytes);
    free(mutation);
}

static void kept_free(struct ps_r2_home *home, struct kept *kept)
{
    HASH_DEL(home->kept, kept); /* NOLINT(clang-analyzer-*): uthash */
    ps_buf_fini(&kept->answer);
    free(kept);
}

void ps_r2_home_destroy(struct ps_r2_home *home)
{
    if (home == NULL) {
        return;
    }
    struct ps_r2_mutation *mutation;
    struct ps_r2_mutation *next;
    HASH_ITER(hh, home->by_token, mutation, next)
    {
        HASH_DEL(home->by_token, mutation);
        drop_holds(home, mutation, false);
        mutation_free(mutation);
    }
    PS_ASSERT(home->locks == NULL);
    while (home->kept != NULL) {
        kept_free(home, home->kept);
    }
    free(home);
}

static bool is_zero(const struct ps_token *token)
{
    static const struct ps_token none;
    return memcmp(token, &none, sizeof none) == 0;
}

static void join(struct ps_r2_mutation *mutation, void *tag)
{
    struct ps_r2_waiting *waiting = PS_NEW(struct ps_r2_waiting);
    waiting->tag = tag;
    *mutation->last = waiting;
    mutation->last = &waiting->next;
}

static enum ps_status submit(struct ps_r2_home *home, const struct ps_token *token,
                             struct ps_slice request, bool lost, void *tag)
{
    struct ps_r2_mutation *mutation = NULL;
    if (is_zero(token)) {
        return PS_INVALID;
    }
    HASH_FIND(hh, home->by_token, token, sizeof *token, mutation);
    if (mutation != NULL) {
        join(mutation, tag);
        return PS_OK;
    }
    mutation = PS_NEW(struct ps_r2_mutation);
    mutation->bytes = ps_strndup(request.data, request.size);
    enum ps_status status =
        ps_r2_request_decode((struct ps_slice){mutation->bytes, request.size}, &mutation->request);
    if (status != PS_OK) {
        mutation_free(mutation);
        return status;
    }
    mutation->token = *token;
    mutation->lost = lost;
    mutation->commit.record.token = *token;
    mutation->first.tag = tag;
    mutation->last = &mutation->first.next;
    hold_keys(home, mutation);
    HASH_ADD(hh, home->by_token, token, sizeof mutation->token, mutation);
    *home->queue_end = mutation;
    home->queue_end = &mutation->next;
    home->has_work = true;
    return PS_OK;
}

enum ps_status ps_r2_home_submit(struct ps_r2_home *home, const struct ps_token *token,
                                 struct ps_slice request, void *tag)
{
    return submit(home, token, request, false, tag);
}

enum ps_status ps_r2_home_submit_lost(struct ps_r2_home *home, const struct ps_token *token,
                                      struct ps_slice request, void *tag)
{
    return submit(home, token, request, true, tag);
}

/* ---- answers ---- */

static void keep_answer(struct ps_r2_home *home, const struct ps_r2_mutation *mutation)
{
    struct kept *kept = PS_NEW(struct kept);
    kept->token = mutation->token;
    kept->until_ns = ps_time_add(home->against.now_ns, PS_R2_ANSWERS_KEPT_NS);
    ps_r2_answer_encode(&kept->answer, &mutation->answer);
    HASH_ADD(hh, home->kept, token, sizeof kept->token, kept);
    if (HASH_COUNT(home->kept) > PS_R2_ANSWERS_KEPT) {
        kept_free(home, home->kept);
    }
}

static void forget_kept(struct ps_r2_home *home)
{
    while (home->kept != NULL && home->kept->until_ns <= home->against.now_ns) {
        kept_free(home, home->kept);
    }
}

/* Tell all who wait, and forget it. */
static void tell(struct ps_r2_home *home, struct ps_r2_mutation *mutation,
                 const struct ps_r2_home_sink *sink)
{
    HASH_DEL(home->by_token, mutation); /* NOLINT(clang-analyzer-*): uthash */
    for (const struct ps_r2_waiting *w = &mutation->first; w != NULL; w = w->next) {
        sink->answer(sink->context, w->tag, &mutation->answer);
    }
    mutation_free(mutation);
}

static void set_times(struct ps_r2_home *home, struct ps_r2_answer *answer)
{
    int64_t unix_ms = ps_r2_unix_ms(home->against.cluster, answer->commit_ns);
    answer->object.uploaded_ms = answer->has_object ? unix_ms : 0;
    answer->part.uploaded_ms = answer->part.number > 0 ? unix_ms : 0;
}

/* An earlier try of the mutation has the answer already, in memory or in the map. */
static bool recall(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    struct kept *kept = NULL;
    HASH_FIND(hh, home->kept, &mutation->token, sizeof mutation->token, kept);
    if (kept != NULL) {
        enum ps_status status = ps_r2_answer_decode(ps_buf_slice(&kept->answer), &mutation->answer);
        PS_ASSERT(status == PS_OK);
        return true;
    }
    uint64_t lsn;
    ps_time_ns commit_ns;
    if (ps_map_token(home->against.map, home->against.store, &mutation->token, &lsn, &commit_ns) !=
        PS_OK) {
        return false;
    }
    ps_r2_recall(&home->against, mutation, lsn, commit_ns);
    set_times(home, &mutation->answer);
    return true;
}

/* Is there something to commit? Else the answer is there. */
static bool evaluate(struct ps_r2_home *home, struct ps_r2_mutation *mutation)
{
    if (recall(home, mutation)) {
        return false;
    }
    mutation->answer.commit_ns = home->against.now_ns;
    if (mutation->lost) {
        return ps_r2_fail_with(&mutation->answer.error, PS_R2_CODE_INTERNAL,
                               "The body was uploaded but is not there any more. Please try "
                               "again.");
    }
    ps_r2_evaluate(&home->against, mutation);
    if (mutation->commit.record.entry_count > 0) {
        return true;
    }
    enum ps_r2_code code = mutation->answer.error.code;
    if (code == PS_R2_CODE_NONE || ps_r2_is_refusal(code)) {
        keep_answer(home, mutation);
    }
    return false;
}

/* ---- closed ---- */

/* Within a map read. What home commits from then on it knows by itself. */
static bool learn_closed(struct ps_r2_home *home)
{
    if (!home->knows_closed) {
        struct ps_buf key = {.size = 0};
        struct ps_version version;
        ps_r2_closed_key(&key);
        enum ps_status status = ps_map_get(home->against.map, home->against.store,
                                           ps_buf_slice(&key), &PS_BOUND_NEWEST, &version);
        ps_buf_fini(&key);
        home->knows_closed = status == PS_OK || status == PS_NOT_FOUND;
        home->against.closed = status == PS_OK && !version.deleted;
    }
    return home->knows_closed;
}

bool ps_r2_home_closed(struct ps_r2_home *home)
{
    if (!home->knows_closed && ps_map_read_begin(home->against.map) == PS_OK) {
        (void)learn_closed(home);
        ps_map_read_end(home->against.map);
    }
    return home->against.closed;
}

/* ---- who runs when ---- */

struct queue {
    struct ps_r2_mutation *head;
    struct ps_r2_mutation **end;
};

static void push(struct queue *queue, struct ps_r2_mutation *mutation)
{
    *queue->end = mutation;
    queue->end = &mutation->next;
}

/* Sort the waiting ones into those that go on waiting, have an answer, are to be committed. */
static void evaluate_queue(struct ps_r2_home *home, struct queue *answered, struct queue *ready)
{
    struct ps_r2_mutation *mutation = home->queue;
    home->queue = NULL;
    home->queue_end = &home->queue;
    while (mutation != NULL) {
        struct ps_r2_mutation *next = mutation->next;
        mutation->next = NULL;
        if (!take_all(home, mutation)) {
            *home->queue_end = mutation;
            home->queue_end = &mutation->next;
        } else if (evaluate(home, mutation)) {
            push(ready, mutation);
        } else {
            drop_holds(home, mutation, true); /* the next one may have them at once */
            push(answered, mutation);
        }
        mutation = next;
    }
}

void ps_r2_home_run(struct ps_r2_home *home, ps_time_ns now_ns, const struct ps_r2_home_sink *sink)
{
    if (home->queue == NULL || ps_map_read_begin(home->against.map) != PS_OK) {
        home->has_work = home->queue != NULL;
        return;
    }
    if (!learn_closed(home)) {
        ps_map_read_end(home->against.map);
        return;
    }
    home->has_work = false;
    home->run++;
    home->against.now_ns = now_ns;
    forget_kept(home);
    struct queue answered = {.end = &answered.head};
    struct queue ready = {.end = &ready.head};
    evaluate_queue(home, &answered, &ready);
    ps_map_read_end(home->against.map);
    for (struct ps_r2_mutation *next; answered.head != NULL; answered.head = next) {
        next = answered.head->next;
        tell(home, answered.head, sink);
    }
    for (struct ps_r2_mutation *next; ready.head != NULL; ready.head = next) {
        next = ready.head->next;
        ready.head->next = NULL;
        sink->commit(sink->context, &ready.head->commit);
    }
}

bool ps_r2_home_has_work(const struct ps_r2_home *home)
{
    return home->has_work;
}

void ps_r2_home_done(struct ps_r2_home *home, struct ps_r2_commit *commit,
                     const struct ps_written *written, const struct ps_r2_home_sink *sink)
{
    struct ps_r2_mutation *mutation = (struct ps_r2_mutation *)(void *)commit;
    struct ps_r2_answer *answer = &mutation->answer;
    if (written->status == PS_OK) {
        answer->lsn = written->lsn;
        answer->commit_ns = written->commit_ns;
        set_times(home, answer);
        home->against.closed = home->against.closed || mutation->request.op == PS_R2_CLOSE;
    } else {
        ps_r2_answer_fini(answer);
        (void)ps_r2_fail(&answer->error, ps_r2_code_of(written->status));
    }
    drop_holds(home, mutation, true);
    tell(home, mutation, sink);
    home->has_work = home->queue != NULL;
}

size_t ps_r2_home_pending(const struct ps_r2_home *home)
{
    return HASH_COUNT(home->by_token);
}

void ps_r2_home_blobs(const struct ps_r2_home *home, ps_r2_blob_fn each, void *context)
{
    for (const struct ps_r2_mutation *mutation = home->by_token; mutation != NULL;
         mutation = mutation->hh.next) {
        for (size_t i = 0; i < mutation->request.body.blob_count; i++) {
            each(context, &mutation->request.body.blobs[i]);
        }
    }
}
