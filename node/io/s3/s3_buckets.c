#include "node/io/s3/s3_internal.h"
#include "node/r2/bucket.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum { OPENING_MS = 10000, AGAIN_MS = 10 };

/* ---- which there are ---- */

static struct ps_s3_request *of_look(struct ps_read_call *look)
{
    return (struct ps_s3_request *)(void *)((char *)look - offsetof(struct ps_s3_request, look));
}

/* What the hidden store says as of now is here; when home is away, what it said last. */
static void on_looked(struct ps_read_call *look, enum ps_status status)
{
    struct ps_s3_request *request = of_look(look);
    (void)status;
    request->looked = true;
    ps_s3_later(request, request->next);
}

void ps_s3_look(struct ps_s3_request *request, void (*next)(struct ps_s3_request *request))
{
    request->next = next;
    request->look_key = (struct ps_read_key){.key = PS_LIT("buckets")};
    request->look = (struct ps_read_call){.store = request->node->names,
                                          .keys = &request->look_key,
                                          .key_count = 1,
                                          .fresh = true,
                                          .done = on_looked};
    ps_read_start(&request->look);
}

static struct ps_node_store *find_open(struct ps_node *node, struct ps_slice name)
{
    for (size_t i = 0; i < node->store_count; i++) {
        if (ps_store_is_bucket(node->stores[i], name)) {
            return node->stores[i];
        }
    }
    return NULL;
}

static bool is_opening(struct ps_node *node, struct ps_slice name)
{
    bool opening = false;
    for (struct ps_node_store *store = node->opening; store != NULL; store = store->next) {
        opening = opening || (store->open_status == PS_OK && ps_store_is_bucket(store, name));
    }
    return opening;
}

/* One that was made elsewhere a moment ago is not known here yet, or is being opened. */
static void look_for(struct ps_s3_request *request)
{
    struct ps_node *node = request->node;
    *request->found = find_open(node, request->find_name);
    if (*request->found != NULL) {
        request->on_found(request);
    } else if (!request->looked) {
        ps_s3_look(request, look_for);
    } else if (is_opening(node, request->find_name) && ps_mono_ns() < request->look_until_ns) {
        ps_s3_later_in(request, AGAIN_MS * PS_MS, look_for);
    } else {
        request->on_found(request);
    }
}

void ps_s3_find(struct ps_s3_request *request, struct ps_slice name, struct ps_node_store **ret,
                void (*next)(struct ps_s3_request *request))
{
    request->find_name = name;
    request->found = ret;
    request->on_found = next;
    request->looked = false;
    request->look_until_ns = ps_mono_ns() + OPENING_MS * PS_MS;
    look_for(request);
}

/* ---- as answers show them ---- */

static struct ps_slice bucket_name(struct ps_buf *text, const struct ps_node_store *store)
{
    size_t from = text->size;
    ps_r2_bucket_name_put(text, ps_slice_of(store->title));
    return (struct ps_slice){text->data + from, text->size - from};
}

static struct ps_slice location_of(struct ps_buf *text, const struct ps_node_store *store)
{
    size_t from = text->size;
    const char *region = store->node->state.cluster.pops[store->config->home]->region;
    for (const char *c = region; *c != '\0'; c++) {
        ps_buf_append_char(text, (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
    }
    return (struct ps_slice){text->data + from, text->size - from};
}

static int by_name(const void *left, const void *right)
{
    const struct ps_s3_bucket *a = left;
    const struct ps_s3_bucket *b = right;
    return ps_slice_cmp(a->name, b->name);
}

static void list(struct ps_s3_request *request)
{
    struct ps_node *node = request->node;
    struct ps_s3_bucket *buckets = PS_NEW_ARRAY(struct ps_s3_bucket, node->store_count + 1);
    struct ps_buf text = {0};
    size_t count = 0;
    ps_buf_reserve(&text, node->store_count * (PS_KV_TITLE_SIZE_MAX + 1) + 1); /* does not move */
    for (size_t i = 0; i < node->store_count; i++) {
        const struct ps_node_store *store = node->stores[i];
        if (store->config->type == PS_STORE_R2 && ps_store_is_shown(store)) {
            buckets[count++] = (struct ps_s3_bucket){.name = bucket_name(&text, store),
                                                     .created_ms = store->created_unix_s * 1000};
        }
    }
    qsort(buckets, count, sizeof *buckets, by_name);
    ps_s3_answer_buckets(&request->call, buckets, count, &request->exchange->response);
    ps_buf_fini(&text);
    free(buckets);
    ps_s3_complete(request);
}

/* Of what is done. */
static void answer(struct ps_s3_request *request)
{
    struct ps_node_store *store = request->store;
    struct ps_buf texts[4] = {{0}};
    struct ps_s3_bucket bucket = {.name = bucket_name(&texts[0], store),
                                  .created_ms = store->created_unix_s * 1000,
                                  .location = location_of(&texts[1], store)};
    if (request->call.op == PS_S3_GET_CORS) {
        ps_namespace_setting(store, "cors", &texts[2]);
        bucket.cors = ps_buf_slice(&texts[2]);
    } else if (request->call.op == PS_S3_GET_LIFECYCLE) {
        ps_namespace_setting(store, "lifecycle", &texts[3]);
        bucket.lifecycle = ps_buf_slice(&texts[3]);
    }
    ps_s3_answer_bucket(&request->call, &bucket, &request->exchange->response);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ps_buf_fini(&texts[i]);
    }
    ps_s3_complete(request);
}

/* ---- made ---- */

static void on_reached(struct ps_object_call *call)
{
    struct ps_s3_request *request = call->context;
    ps_s3_later(request, request->on_made); /* also when it cannot be reached: it is made */
}

/* Its home may be another PoP, which learns of it now: once a read has come from there, all that
 * follows finds it there. */
static void reach_home(struct ps_s3_request *request)
{
    static const struct ps_r2_request any = {.op = PS_R2_LIST, .has_limit = true, .limit = 1};

    ps_object_call_fini(&request->object);
    request->object = (struct ps_object_call){.store = request->store,
                                              .request = &any,
                                              .fresh = true,
                                              .context = request,
                                              .done = on_reached};
    ps_object_call_start(&request->object);
}

static void on_made(struct ps_namespace_call *change, enum ps_status status)
{
    struct ps_s3_request *request = change->context;
    request->make_status = status;
    if (status == PS_OK) {
        request->store = ps_node_store_by_id(request->node, ps_slice_of(change->id));
        if (request->store != NULL) {
            reach_home(request);
            return;
        }
        request->make_status = PS_NOT_FOUND; /* deleted again meanwhile */
    }
    ps_s3_later(request, request->on_made);
}

void ps_s3_make(struct ps_s3_request *request, struct ps_slice region,
                void (*next)(struct ps_s3_request *request))
{
    struct ps_namespace_call *change = &request->change;
    request->on_made = next;
    if (!ps_r2_bucket_name_valid(request->call.bucket)) {
        request->make_status = PS_INVALID;
        next(request);
        return;
    }
    *change = (struct ps_namespace_call){.node = request->node,
                                         .op = PS_NAMESPACE_CREATE,
                                         .type = PS_STORE_R2,
                                         .title = request->call.bucket,
                                         .done = on_made,
                                         .context = request};
    for (size_t i = 0; i < region.size && i < sizeof change->region - 1; i++) {
        char c = region.data[i];
        change->region[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    ps_namespace_start(change);
}

void ps_s3_not_made(struct ps_s3_request *request)
{
    struct ps_http_response *response = &request->exchange->response;
    enum ps_status status = request->make_status;
    const struct ps_r2_error error = {.code = status == PS_INVALID ? PS_R2_CODE_INVALID_BUCKET_NAME
                                              : status == PS_LIMIT ? PS_R2_CODE_TOO_MANY_BUCKETS
                                                                   : ps_r2_code_of(status)};
    if (status == PS_EXISTS) {
        ps_s3_fail(response, 409, "BucketAlreadyOwnedByYou",
                   "Your previous request to create the named bucket succeeded and you already "
                   "own it.");
    } else {
        ps_s3_answer_error(&request->call, &error, response);
    }
    ps_s3_complete(request);
}

static void on_created(struct ps_s3_request *request)
{
    if (request->make_status != PS_OK) {
        ps_s3_not_made(request);
        return;
    }
    ps_object_call_fini(&request->object);
    request->object = (struct ps_object_call){.store = NULL}; /* it was not the client's */
    answer(request);
}

/* ---- dropped ---- */

static void on_dropped(struct ps_bucket_drop *drop, enum ps_status status,
                       const struct ps_r2_error *error)
{
    struct ps_s3_request *request = drop->context;
    if (status != PS_OK) {
        ps_s3_complete_failed(request, status);
    } else if (error->code != PS_R2_CODE_NONE) {
        ps_s3_answer_error(&request->call, error, &request->exchange->response);
        ps_s3_complete(request);
    } else {
        answer(request);
    }
}

static void drop_if_empty(struct ps_s3_request *request)
{
    request->drop =
        (struct ps_bucket_drop){.store = request->store, .done = on_dropped, .context = request};
    ps_bucket_drop_start(&request->drop);
}

/* ---- settings ---- */

static void on_set(struct ps_namespace_call *change, enum ps_status status)
{
    struct ps_s3_request *request = change->context;
    if (status == PS_OK) {
        answer(request);
    } else {
        ps_s3_complete_failed(request, status);
    }
}

static void set(struct ps_s3_request *request, const char *setting, struct ps_slice document)
{
    request->change = (struct ps_namespace_call){.node = request->node,
                                                 .op = PS_NAMESPACE_SETTING,
                                                 .setting = setting,
                                                 .document = document,
                                                 .done = on_set,
                                                 .context = request};
    memcpy(request->change.id, request->store->config->id, sizeof request->change.id);
    ps_namespace_start(&request->change);
}

/* ---- all ---- */

bool ps_s3_is_of_buckets(enum ps_s3_op op)
{
    return op >= PS_S3_LIST_BUCKETS && op <= PS_S3_POST_NOTHING;
}

void ps_s3_run_bucket(struct ps_s3_request *request)
{
    const struct ps_slice none = {"", 0};
    switch ((int)request->call.op) {
    case PS_S3_LIST_BUCKETS:
        ps_s3_look(request, list);
        return;
    case PS_S3_CREATE_BUCKET:
        ps_s3_make(request, request->call.location, on_created);
        return;
    case PS_S3_DELETE_BUCKET:
        drop_if_empty(request);
        return;
    case PS_S3_GET_CORS:
    case PS_S3_GET_LIFECYCLE:
        ps_s3_look(request, answer);
        return;
    case PS_S3_PUT_CORS:
        set(request, "cors", request->call.document);
        return;
    case PS_S3_DELETE_CORS:
        set(request, "cors", none);
        return;
    case PS_S3_PUT_LIFECYCLE:
        set(request, "lifecycle", request->call.document);
        return;
    case PS_S3_DELETE_LIFECYCLE:
        set(request, "lifecycle", none);
        return;
    default:
        answer(request);
    }
}
