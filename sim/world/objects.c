/* R2: mutations, which home carries out, and what reads find. Bodies that are generated and large
 * are not there: a blob's id says of what seed and size they would be. */
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/measure/r2_call.h"
#include "sim/world/world_internal.h"

#include <string.h>

/* ---- bodies ---- */

static struct ps_r2_blob blob_of(const struct ps_body *body)
{
    struct ps_r2_blob blob = {.size = body->size};
    static_assert(sizeof body->seed + sizeof body->size == sizeof blob.id.bytes, "an id");
    memcpy(blob.id.bytes, &body->seed, sizeof body->seed);
    memcpy(blob.id.bytes + sizeof body->seed, &body->size, sizeof body->size);
    return blob;
}

static struct ps_body body_of(const struct ps_r2_blob *blob)
{
    struct ps_body body = {0};
    memcpy(&body.seed, blob->id.bytes, sizeof body.seed);
    memcpy(&body.size, blob->id.bytes + sizeof body.seed, sizeof body.size);
    return body;
}

static uint64_t digest_of(const struct ps_r2_object *object)
{
    struct ps_r2_body body = {.blob_count = 0};
    enum ps_status status = ps_r2_object_body(object, &body);
    PS_ASSERT(status == PS_OK); /* it was written here */
    uint64_t digest = ps_slice_hash(body.bytes);
    if (body.blob_count > 0) {
        struct ps_body generated = body_of(&body.blobs[0]);
        digest = ps_body_digest(&generated);
    }
    ps_r2_body_fini(&body);
    return digest;
}

/* ---- reads ---- */

static uint32_t etag_of(const struct world *world, const struct ps_r2_object *object)
{
    return ps_intern_put(world->history->requests, ps_slice_of(object->etag)) + 1;
}

/* Does the condition let the body be given? */
static bool condition_holds(const struct world *world, const struct ps_op *op,
                            const struct ps_r2_object *object)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    bool good =
        ps_r2_call_of(world->history, (enum ps_op_kind)op->kind, op->key, op->request, &call, &err);
    PS_ASSERT(good); /* it was held against the limits when it was invoked */
    bool holds = ps_r2_condition_test(&call.request.condition, object) == PS_R2_HOLDS;
    ps_api_r2_call_fini(&call);
    return holds;
}

void ps_world_object_found(const struct world *world, const struct ps_version *version,
                           struct ps_op *op)
{
    struct ps_r2_object object;
    op->lsn = version->lsn;
    if (ps_r2_object_of(world->cluster, ps_intern_text(world->history->keys, op->key), version,
                        &object) != PS_OK) {
        return; /* a deletion */
    }
    op->found = true;
    bool body =
        op->kind == PS_OP_R2_FETCH ||
        (op->kind == PS_OP_R2_GET && (op->request == 0 || condition_holds(world, op, &object)));
    op->digest = body ? digest_of(&object) : 0;
    op->etag = etag_of(world, &object);
    ps_r2_object_fini(&object);
}

enum ps_status ps_world_object_list(const struct world *world, const struct world_store *store,
                                    const struct ps_bound *bound, struct ps_op *op)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    struct ps_r2_page page = {.object_count = 0};
    bool good = ps_r2_call_of(world->history, PS_OP_R2_LIST, op->key, op->request, &call, &err);
    PS_ASSERT(good); /* it was held against the limits when it was invoked */
    enum ps_status status =
        ps_r2_list(world->map, store->map_store, world->cluster, bound, &call.request,
                   ps_r2_unix_ms(world->cluster, op->eval_ns), 0, &page, &err);
    op->digest = ps_r2_page_digest(&page);
    ps_r2_page_fini(&page);
    ps_api_r2_call_fini(&call);
    return status;
}

/* ---- mutations ---- */

/* The operation is refused for what it asks. */
static bool check(struct world *world, const struct ps_drawn *drawn, struct ps_op *op)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    bool good = ps_r2_call_make((enum ps_op_kind)op->kind, drawn->key, drawn->request, &call, &err);
    ps_api_r2_call_fini(&call);
    if (!good) {
        op->http_status = (uint16_t)ps_r2_code_info(err.code)->http_status;
        ps_world_fail(world, op, PS_INVALID, op->invoke_ns);
    }
    return good;
}

void ps_world_object_ask(const struct world *world, const struct ps_drawn *drawn, struct ps_op *op)
{
    const struct ps_action *action = drawn->action;
    if (action->options.count > 0 || action->key_count > 0) {
        op->request = ps_intern_put(world->history->requests, drawn->request) + 1;
    }
}

/* One mutation at home: what its record and its answer come to. */
struct mutating {
    struct world *world;
    struct ps_op *op;
    struct ps_r2_commit *commit;
};

static void take_commit(void *context, struct ps_r2_commit *commit)
{
    struct mutating *it = context;
    PS_ASSERT(it->commit == NULL);
    it->commit = commit;
}

static void take_answer(void *context, void *tag, const struct ps_r2_answer *answer)
{
    struct mutating *it = context;
    struct ps_op *op = it->op;
    enum ps_r2_code code = answer->error.code;
    (void)tag;
    op->lsn = answer->lsn;
    op->eval_ns = answer->commit_ns;
    if (code == PS_R2_CODE_NONE || code == PS_R2_CODE_PRECONDITION_FAILED ||
        code == PS_R2_CODE_NOT_MODIFIED) {
        op->etag = answer->has_object ? etag_of(it->world, &answer->object) : 0;
        return;
    }
    op->http_status = (uint16_t)ps_r2_code_info(code)->http_status;
    op->error = op->http_status == 429 ? PS_RATE_LIMITED : PS_INVALID;
}

static void compute_md5(struct ps_r2_request *request)
{
    struct ps_slice bytes = request->body.bytes;
    if (request->body.blob_count > 0) {
        bytes = (struct ps_slice){(const char *)request->body.blobs[0].id.bytes,
                                  sizeof request->body.blobs[0].id.bytes};
    }
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), bytes, &request->computed);
}

/* Give home the request, and its record to the primary. */
static void submit(struct world_store *store, struct mutating *it, struct ps_slice bytes)
{
    struct ps_token token = {0};
    struct ps_r2_home_sink sink = {take_answer, take_commit, it};
    static_assert(sizeof it->op->id <= sizeof token, "a token");
    memcpy(&token, &it->op->id, sizeof it->op->id);
    enum ps_status status = ps_r2_home_submit(store->objects, &token, bytes, it);
    PS_ASSERT(status == PS_OK);
    ps_r2_home_run(store->objects, it->world->now_ns, &sink);
    if (it->commit == NULL) {
        /* It has seen all that is committed. */
        ps_time_ns newest_ns =
            store->commit_count == 0 ? 0 : store->commits[store->commit_count - 1];
        it->op->eval_ns = it->op->error == PS_OK ? ps_time_max(it->op->eval_ns, newest_ns) : 0;
        return;
    }
    struct ps_written written = {.status = PS_OK};
    ps_world_append_record(store, &it->commit->record, &written);
    ps_r2_home_done(store->objects, it->commit, &written, &sink);
}

static void tell_purge(const struct world *world, const struct ps_op *op)
{
    bool all = ps_intern_text(world->history->keys, op->key).size == 0;
    for (size_t p = 0; p < world->cluster->pop_count; p++) {
        ps_public_cache_purged(world->stores[op->store].replicas[p].public, op->key, all,
                               op->eval_ns);
    }
}

void ps_world_mutate(struct world *world, struct world_pending *pending)
{
    struct ps_op *op = &pending->op;
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    struct ps_r2_blob blob = blob_of(&pending->body);
    bool good =
        ps_r2_call_of(world->history, (enum ps_op_kind)op->kind, op->key, op->request, &call, &err);
    PS_ASSERT(good);
    if (op->kind == PS_OP_R2_PUT) {
        call.request.body.bytes = pending->entry.value;
        if (ps_body_is_large(&pending->body)) {
            call.request.body = (struct ps_r2_body){.blobs = &blob, .blob_count = 1};
        }
        compute_md5(&call.request);
    }
    struct mutating it = {.world = world, .op = op};
    struct ps_buf bytes = {0};
    ps_r2_request_encode(&bytes, &call.request);
    submit(&world->stores[op->store], &it, ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
    ps_api_r2_call_fini(&call);
    if (op->kind == PS_OP_R2_PURGE && op->lsn != 0) {
        tell_purge(world, op);
    }
}

/* ---- the public URL ---- */

static struct ps_r2_cache_stay stay(void *context, uint32_t key, ps_time_ns as_of_ns,
                                    uint64_t *ret_lsn, bool *ret_there)
{
    const struct world_store *store = context;
    const struct world *world = store->world;
    struct ps_slice name = ps_intern_text(world->history->keys, key);
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    struct ps_r2_object object;
    bound.commit_max = as_of_ns;
    *ret_lsn = 0;
    *ret_there = false;
    enum ps_status status = ps_map_read_begin(world->map);
    PS_ASSERT(status == PS_OK); /* it is memory */
    if (ps_map_get(world->map, store->map_store, name, &bound, &version) == PS_OK) {
        *ret_lsn = version.lsn;
        *ret_there = ps_r2_object_of(world->cluster, name, &version, &object) == PS_OK;
    }
    struct ps_r2_cache_stay left =
        ps_r2_cache_stay_of(name, *ret_there ? &object : NULL, ps_r2_kinds_of(store->config),
                            ps_r2_unix_ms(world->cluster, as_of_ns));
    if (*ret_there) {
        ps_r2_object_fini(&object);
    }
    ps_map_read_end(world->map);
    return left;
}

void ps_world_publics_open(struct world_store *store)
{
    for (size_t p = 0; p < store->world->cluster->pop_count; p++) {
        struct world_replica *replica = &store->replicas[p];
        replica->public = ps_public_cache_create(&replica->view, ps_r2_kinds_of(store->config),
                                                 store, stay, NULL);
    }
}

void ps_world_fetched(struct world *world, struct world_pending *pending)
{
    struct ps_op *op = &pending->op;
    const struct ps_public_view *fetched = &pending->fetched;
    struct world_store *store = &world->stores[op->store];
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    uint64_t last_lsn;
    bool there;
    bound.commit_max = fetched->view.at_ns;
    (void)ps_primary_closed(store->primary, ps_time_max(world->now_ns, fetched->view.need_ns),
                            &last_lsn);
    enum ps_status status = ps_map_read_begin(world->map);
    PS_ASSERT(status == PS_OK);
    if (ps_map_get(world->map, store->map_store, ps_intern_text(world->history->keys, op->key),
                   &bound, &version) == PS_OK) {
        ps_world_object_found(world, &version, op);
    }
    ps_map_read_end(world->map);
    struct ps_r2_cache_stay left = stay(store, op->key, fetched->view.at_ns, &last_lsn, &there);
    op->cache = (uint8_t)(ps_public_cache_state(fetched, there ? last_lsn : 0, &left) + 1);
    ps_history_add(world->history, op);
    free(pending);
}

static ps_time_ns fetch(struct world *world, struct ps_op *op, const struct ps_drawn *drawn)
{
    struct world_replica *replica = &world->stores[op->store].replicas[op->pop];
    struct world_pending *pending = ps_calloc(1, sizeof *pending);
    op->eval_ns = ps_eval_clock_next(&world->pops[op->pop].clock, world->now_ns);
    enum ps_status status = ps_public_cache_decide(replica->public, op->key, drawn->key,
                                                   op->eval_ns, &pending->fetched);
    struct ps_world_read_way way = ps_world_read_way(world, op->store, op->pop, op->invoke_ns,
                                                     op->eval_ns, status, &pending->fetched.view);
    op->complete_ns = way.complete_ns;
    pending->op = *op;
    if (way.status != PS_OK) {
        ps_world_fail(world, op, way.status, way.complete_ns);
        free(pending);
    } else if (way.known_ns <= world->now_ns) {
        ps_world_fetched(world, pending);
    } else {
        ps_queue_push(&world->queue, way.known_ns, PS_EVENT_RESOLVE, pending);
    }
    return way.complete_ns;
}

/* ---- invoked ---- */

ps_time_ns ps_world_object(struct world *world, struct ps_op *op, const struct ps_drawn *drawn)
{
    struct ps_drawn whole = *drawn;
    struct ps_buf bytes = {0};
    op->boot = world->pops[op->pop].boot;
    if (!check(world, drawn, op)) {
        return op->invoke_ns;
    }
    if (drawn->generated && !ps_body_is_large(&drawn->body)) {
        ps_body_bytes(&drawn->body, 0, (size_t)drawn->body.size, &bytes);
        whole.value = ps_buf_slice(&bytes);
    }
    if (op->kind == PS_OP_R2_PUT) {
        op->digest = drawn->generated ? ps_body_digest(&drawn->body) : ps_slice_hash(drawn->value);
    }
    ps_time_ns complete_ns = ps_op_is_public(op)  ? fetch(world, op, drawn)
                             : ps_op_is_write(op) ? ps_world_write(world, op, &whole)
                                                  : ps_world_read(world, op, &whole);
    ps_buf_fini(&bytes);
    return complete_ns;
}
