#include "node/io/r2/bucket_drop.h"

#include "replication/base/memory.h"

#include <string.h>

/* Whoever closed it has dropped it, also when another one who found it closed was faster. */
static void on_dropped(struct ps_namespace_call *change, enum ps_status status)
{
    struct ps_bucket_drop *drop = change->context;
    const struct ps_r2_error none = {.code = PS_R2_CODE_NONE};
    bool gone = status == PS_OK || status == PS_NOT_FOUND;
    if (gone) {
        status = drop->close.answer.lsn > 0 ? PS_OK : PS_NOT_FOUND;
    }
    drop->done(drop, status, &none);
}

static void on_closed(struct ps_object_call *close)
{
    struct ps_bucket_drop *drop = close->context;
    if (close->status != PS_OK || close->error.code != PS_R2_CODE_NONE) {
        drop->done(drop, close->status, &close->error);
        return;
    }
    const struct ps_node_store *store = drop->store;
    drop->change = (struct ps_namespace_call){
        .node = store->node, .op = PS_NAMESPACE_DELETE, .done = on_dropped, .context = drop};
    memcpy(drop->change.id, store->config->id, sizeof drop->change.id);
    ps_namespace_start(&drop->change);
}

void ps_bucket_drop_start(struct ps_bucket_drop *drop)
{
    static const struct ps_r2_request request = {.op = PS_R2_CLOSE};
    drop->close = (struct ps_object_call){.store = drop->store,
                                          .request = &request,
                                          .fresh = drop->fresh,
                                          .context = drop,
                                          .done = on_closed};
    ps_object_call_start(&drop->close);
}

void ps_bucket_drop_fini(struct ps_bucket_drop *drop)
{
    if (drop->store == NULL) {
        return;
    }
    struct ps_node *node = drop->store->node;
    ps_object_call_fini(&drop->close);
    ps_node_alarm_stop(node, &drop->change.alarm);
    if (drop->change.write != NULL) {
        ps_node_alarm_stop(node, &drop->change.write->alarm);
    }
    ps_namespace_fini(&drop->change);
}

/* ---- home ---- */

struct ps_bucket_goer {
    struct ps_alarm alarm; /* first member */
    struct ps_node_store *store;
    struct ps_bucket_drop drop;
    bool closed;
};

static void go_in(struct ps_bucket_goer *goer, uint64_t wait_s)
{
    ps_node_alarm(goer->store->node, &goer->alarm, ps_mono_ns() + wait_s * PS_SECOND);
}

static void on_gone(struct ps_bucket_drop *drop, enum ps_status status,
                    const struct ps_r2_error *error)
{
    struct ps_bucket_goer *goer = drop->context;
    (void)error;
    if (!goer->store->dropped) {
        ps_node_log(goer->store->node, PS_LOG_WARN, "r2", "%s is closed, but cannot be dropped: %s",
                    goer->store->title, ps_status_text(status));
        go_in(goer, PS_BUCKET_AGAIN_S);
    }
}

static void on_alarm(struct ps_alarm *alarm)
{
    struct ps_bucket_goer *goer = (struct ps_bucket_goer *)(void *)alarm;
    if (!goer->store->dropped) {
        ps_bucket_drop_fini(&goer->drop);
        goer->drop = (struct ps_bucket_drop){
            .store = goer->store, .fresh = true, .done = on_gone, .context = goer};
        ps_bucket_drop_start(&goer->drop);
    }
}

struct ps_bucket_goer *ps_bucket_goer_create(struct ps_node_store *store, bool closed)
{
    struct ps_bucket_goer *goer = PS_NEW(struct ps_bucket_goer);
    goer->store = store;
    goer->closed = closed;
    goer->alarm.ring = on_alarm;
    if (closed) {
        go_in(goer, PS_BUCKET_AGAIN_S);
    }
    return goer;
}

void ps_bucket_goer_destroy(struct ps_bucket_goer *goer)
{
    if (goer != NULL) {
        ps_node_alarm_stop(goer->store->node, &goer->alarm);
        ps_bucket_drop_fini(&goer->drop);
        free(goer);
    }
}

void ps_bucket_goer_closed(struct ps_bucket_goer *goer)
{
    if (!goer->closed) {
        goer->closed = true;
        go_in(goer, PS_BUCKET_GOES_ON_S);
    }
}
