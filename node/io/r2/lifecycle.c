#include "node/io/r2/lifecycle.h"

#include "node/io/r2/objects.h"
#include "node/s3/lifecycle.h"
#include "replication/base/memory.h"

#include <string.h>

struct ps_lifecycle {
    struct ps_alarm alarm; /* first member */
    struct ps_node_store *store;
    void (*next)(struct ps_lifecycle *lifecycle); /* when the alarm rings */
    struct ps_s3_lifecycle rules;
    struct ps_r2_request list; /* of objects, then of uploads */
    struct ps_object_call page;
    struct ps_buf after; /* the last name of the page before */
    struct ps_buf after_upload;
    size_t at; /* of the page's uploads */
    struct ps_r2_request change;
    struct ps_object_call call;
    struct ps_slice keys[PS_R2_DELETE_MAX];
    size_t expired;
    size_t aborted;
    unsigned round; /* 0: it looks for old uploads */
    struct ps_r2_id old[PS_LIFECYCLE_OLD_MAX];
    size_t old_sizes[PS_LIFECYCLE_OLD_MAX]; /* of their keys, */
    struct ps_buf old_keys;                 /* which are here, one after the other */
    size_t old_count;
    size_t old_key; /* where the key of old[at] begins */
};

static void wait(struct ps_lifecycle *lifecycle, uint64_t wait_ns,
                 void (*next)(struct ps_lifecycle *lifecycle))
{
    lifecycle->next = next;
    ps_node_alarm(lifecycle->store->node, &lifecycle->alarm, ps_mono_ns() + wait_ns);
}

static void begin(struct ps_lifecycle *lifecycle);
static void look_at_objects(struct ps_lifecycle *lifecycle);
static void look_at_uploads(struct ps_lifecycle *lifecycle);

static void end(struct ps_lifecycle *lifecycle)
{
    if (lifecycle->expired > 0 || lifecycle->aborted > 0) {
        ps_node_log(lifecycle->store->node, PS_LOG_INFO, "s3",
                    "%s: %zu objects expired, %zu uploads aborted", lifecycle->store->title,
                    lifecycle->expired, lifecycle->aborted);
    }
    ps_s3_lifecycle_fini(&lifecycle->rules);
    lifecycle->rules = (struct ps_s3_lifecycle){.count = 0};
    bool more = lifecycle->old_count == PS_LIFECYCLE_OLD_MAX;
    lifecycle->round = more ? 0 : (lifecycle->round + 1) % PS_LIFECYCLE_OLD_ROUNDS;
    lifecycle->old_count = 0;
    wait(lifecycle, PS_LIFECYCLE_EVERY_S * PS_SECOND, begin);
}

static int64_t now_unix_ms(const struct ps_lifecycle *lifecycle)
{
    const struct ps_node *node = lifecycle->store->node;
    return ps_r2_unix_ms(&node->state.cluster, ps_node_now(node));
}

/* ---- calls ---- */

static void on_called(struct ps_object_call *call)
{
    struct ps_lifecycle *lifecycle = call->context;
    wait(lifecycle, 0, lifecycle->next);
}

/* One that is new. */
static void start_call(struct ps_lifecycle *lifecycle, struct ps_object_call *call,
                       const struct ps_r2_request *request,
                       void (*next)(struct ps_lifecycle *lifecycle))
{
    call->request = request;
    call->fresh = true;
    call->context = lifecycle;
    call->done = on_called;
    lifecycle->next = next;
    ps_object_call_start(call);
}

static void start(struct ps_lifecycle *lifecycle, struct ps_object_call *call,
                  const struct ps_r2_request *request, void (*next)(struct ps_lifecycle *lifecycle))
{
    ps_object_call_fini(call);
    *call = (struct ps_object_call){.store = lifecycle->store};
    start_call(lifecycle, call, request, next);
}

static bool failed(struct ps_lifecycle *lifecycle, const struct ps_object_call *call)
{
    if (call->status == PS_OK && call->error.code == PS_R2_CODE_NONE) {
        return false;
    }
    ps_node_log(
        lifecycle->store->node, PS_LOG_WARN, "s3", "%s: its lifecycle: %s", lifecycle->store->title,
        call->status == PS_OK ? ps_r2_error_message(&call->error) : ps_status_text(call->status));
    end(lifecycle);
    return true;
}

/* ---- objects ---- */

static void on_deleted(struct ps_lifecycle *lifecycle)
{
    if (!failed(lifecycle, &lifecycle->call)) {
        lifecycle->expired += lifecycle->change.key_count;
        if (lifecycle->page.page.truncated) {
            look_at_objects(lifecycle);
        } else {
            lifecycle->after.size = 0;
            lifecycle->after_upload.size = 0;
            look_at_uploads(lifecycle);
        }
    }
}

/* Those of the page that are due. What was put meanwhile is none of them: it is newer than each. */
static void on_objects(struct ps_lifecycle *lifecycle)
{
    const struct ps_r2_page *page = &lifecycle->page.page;
    int64_t newest_ms = 0;
    size_t count = 0;
    if (failed(lifecycle, &lifecycle->page)) {
        return;
    }
    for (size_t i = 0; i < page->object_count; i++) {
        const struct ps_r2_object *object = &page->objects[i];
        int64_t before_ms;
        if (ps_s3_lifecycle_expires(&lifecycle->rules, object->key, now_unix_ms(lifecycle),
                                    &before_ms) &&
            object->uploaded_ms < before_ms) {
            newest_ms = object->uploaded_ms > newest_ms ? object->uploaded_ms : newest_ms;
            lifecycle->keys[count++] = object->key;
        }
    }
    lifecycle->after.size = 0;
    ps_buf_append_slice(&lifecycle->after, page->last);
    lifecycle->change = (struct ps_r2_request){
        .op = PS_R2_DELETE,
        .keys = lifecycle->keys,
        .key_count = count,
        .condition = {.has_before = true, .before_ms = newest_ms + 1},
    };
    if (count == 0) {
        lifecycle->call.status = PS_OK;
        lifecycle->call.error = (struct ps_r2_error){.code = PS_R2_CODE_NONE};
        on_deleted(lifecycle);
        return;
    }
    start(lifecycle, &lifecycle->call, &lifecycle->change, on_deleted);
}

static void look_at_objects(struct ps_lifecycle *lifecycle)
{
    lifecycle->list = (struct ps_r2_request){.op = PS_R2_LIST,
                                             .has_limit = true,
                                             .limit = PS_R2_DELETE_MAX,
                                             .start_after = ps_buf_slice(&lifecycle->after)};
    start(lifecycle, &lifecycle->page, &lifecycle->list, on_objects);
}

/* ---- uploads ---- */

static void abort_next(struct ps_lifecycle *lifecycle);

static void on_aborted(struct ps_lifecycle *lifecycle)
{
    if (!failed(lifecycle, &lifecycle->call)) {
        lifecycle->aborted++;
        abort_next(lifecycle);
    }
}

static bool is_due(struct ps_lifecycle *lifecycle, const struct ps_r2_upload *upload)
{
    int64_t before_ms;
    return ps_s3_lifecycle_aborts(&lifecycle->rules, upload->key, now_unix_ms(lifecycle),
                                  &before_ms) &&
           upload->initiated_ms < before_ms;
}

static void abort_next(struct ps_lifecycle *lifecycle)
{
    const struct ps_r2_page *page = &lifecycle->page.page;
    while (lifecycle->at < page->upload_count &&
           !is_due(lifecycle, &page->uploads[lifecycle->at])) {
        lifecycle->at++;
    }
    if (lifecycle->at < page->upload_count) {
        const struct ps_r2_upload *upload = &page->uploads[lifecycle->at++];
        lifecycle->change =
            (struct ps_r2_request){.op = PS_R2_ABORT, .key = upload->key, .upload_id = upload->id};
        start(lifecycle, &lifecycle->call, &lifecycle->change, on_aborted);
    } else if (page->truncated) {
        char id[PS_R2_HEX_SIZE];
        ps_r2_id_hex(&page->last_upload, id);
        lifecycle->after.size = 0;
        ps_buf_append_slice(&lifecycle->after, page->last);
        lifecycle->after_upload.size = 0;
        ps_buf_append_text(&lifecycle->after_upload, id);
        look_at_uploads(lifecycle);
    } else {
        end(lifecycle);
    }
}

static void on_uploads(struct ps_lifecycle *lifecycle)
{
    lifecycle->at = 0;
    if (!failed(lifecycle, &lifecycle->page)) {
        abort_next(lifecycle);
    }
}

static void look_at_uploads(struct ps_lifecycle *lifecycle)
{
    lifecycle->list =
        (struct ps_r2_request){.op = PS_R2_LIST_UPLOADS,
                               .has_limit = true,
                               .limit = PS_R2_LIST_MAX,
                               .start_after = ps_buf_slice(&lifecycle->after),
                               .upload_marker = ps_buf_slice(&lifecycle->after_upload)};
    start(lifecycle, &lifecycle->page, &lifecycle->list, on_uploads);
}

/* ---- rounds ---- */

static void follow_rules(struct ps_lifecycle *lifecycle)
{
    struct ps_buf document = {0};
    ps_namespace_setting(lifecycle->store, "lifecycle", &document);
    bool has = document.size > 0 &&
               ps_s3_lifecycle_read(ps_buf_slice(&document), &lifecycle->rules) == PS_OK;
    ps_buf_fini(&document);
    lifecycle->after.size = 0;
    if (has) {
        look_at_objects(lifecycle);
    } else {
        end(lifecycle);
    }
}

static void take_old(void *context, const struct ps_r2_upload *upload)
{
    struct ps_lifecycle *lifecycle = context;
    if (lifecycle->old_count < PS_LIFECYCLE_OLD_MAX) {
        lifecycle->old[lifecycle->old_count] = upload->id;
        lifecycle->old_sizes[lifecycle->old_count++] = upload->key.size;
        ps_buf_append_slice(&lifecycle->old_keys, upload->key);
    }
}

static void find_old(struct ps_lifecycle *lifecycle)
{
    const struct ps_node_store *store = lifecycle->store;
    lifecycle->old_keys.size = 0;
    lifecycle->old_count = 0;
    if (ps_map_read_begin(store->node->map) != PS_OK) {
        return;
    }
    enum ps_status status =
        ps_r2_list_old_uploads(store->node->map, store->map_store, &store->node->state.cluster,
                               now_unix_ms(lifecycle), take_old, lifecycle);
    ps_map_read_end(store->node->map);
    if (status != PS_OK) {
        ps_node_log(store->node, PS_LOG_WARN, "s3", "%s: its old uploads: %s", store->title,
                    ps_status_text(status));
    }
}

static void abort_next_old(struct ps_lifecycle *lifecycle);

static void on_old_aborted(struct ps_lifecycle *lifecycle)
{
    if (!failed(lifecycle, &lifecycle->call)) {
        lifecycle->aborted++;
        abort_next_old(lifecycle);
    }
}

/* With a token that is the upload's own: however often it is tried, it is one abort. */
static void abort_next_old(struct ps_lifecycle *lifecycle)
{
    if (lifecycle->at == lifecycle->old_count) {
        follow_rules(lifecycle);
        return;
    }
    const struct ps_r2_id *id = &lifecycle->old[lifecycle->at];
    struct ps_slice key = {lifecycle->old_keys.data + lifecycle->old_key,
                           lifecycle->old_sizes[lifecycle->at]};
    lifecycle->at++;
    lifecycle->old_key += key.size;
    lifecycle->change = (struct ps_r2_request){.op = PS_R2_ABORT, .key = key, .upload_id = *id};
    _Static_assert(sizeof lifecycle->call.token == sizeof *id, "an id is as large as a token");
    ps_object_call_fini(&lifecycle->call);
    lifecycle->call = (struct ps_object_call){.store = lifecycle->store};
    memcpy(&lifecycle->call.token, id, sizeof *id);
    start_call(lifecycle, &lifecycle->call, &lifecycle->change, on_old_aborted);
}

static void begin(struct ps_lifecycle *lifecycle)
{
    lifecycle->expired = 0;
    lifecycle->aborted = 0;
    lifecycle->at = 0;
    lifecycle->old_key = 0;
    if (lifecycle->round == 0) {
        find_old(lifecycle);
    }
    abort_next_old(lifecycle);
}

static void on_alarm(struct ps_alarm *alarm)
{
    struct ps_lifecycle *lifecycle = (struct ps_lifecycle *)(void *)alarm;
    if (!lifecycle->store->dropped) {
        lifecycle->next(lifecycle);
    }
}

struct ps_lifecycle *ps_lifecycle_create(struct ps_node_store *store)
{
    struct ps_lifecycle *lifecycle = PS_NEW(struct ps_lifecycle);
    lifecycle->store = store;
    lifecycle->alarm.ring = on_alarm;
    wait(lifecycle, PS_LIFECYCLE_EVERY_S * PS_SECOND, begin);
    return lifecycle;
}

void ps_lifecycle_destroy(struct ps_lifecycle *lifecycle)
{
    if (lifecycle == NULL) {
        return;
    }
    ps_node_alarm_stop(lifecycle->store->node, &lifecycle->alarm);
    ps_object_call_fini(&lifecycle->page);
    ps_object_call_fini(&lifecycle->call);
    ps_s3_lifecycle_fini(&lifecycle->rules);
    ps_buf_fini(&lifecycle->after);
    ps_buf_fini(&lifecycle->after_upload);
    ps_buf_fini(&lifecycle->old_keys);
    free(lifecycle);
}
