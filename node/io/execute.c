#include "node/io/execute.h"

#include "node/kv/list.h"
#include "replication/base/memory.h"

struct ps_execution *ps_execution_create(struct ps_node_store *store)
{
    struct ps_execution *execution = PS_NEW(struct ps_execution);
    execution->store = store;
    return execution;
}

void ps_execution_destroy(struct ps_execution *execution)
{
    if (execution == NULL) {
        return;
    }
    free(execution->writes);
    free(execution->items);
    free(execution->read_keys);
    free(execution->slots);
    ps_buf_fini(&execution->pin_key);
    ps_buf_fini(&execution->names);
    ps_buf_fini(&execution->last);
    free(execution);
}

/* ---- reads ---- */

static struct ps_execution *of_read(struct ps_read_call *call)
{
    return (struct ps_execution *)(void *)((char *)call - offsetof(struct ps_execution, read));
}

static void finish(struct ps_execution *execution, enum ps_status status)
{
    execution->result.status = status;
    execution->result.items = execution->items;
    execution->result.item_count = execution->item_count;
    execution->done(execution);
}

/* What is told of several keys is what the worst of them makes of the whole. */
static void add_staleness(struct ps_kv_staleness *whole, const struct ps_kv_staleness *one)
{
    whole->lsn = one->lsn > whole->lsn ? one->lsn : whole->lsn;
    whole->latest_lsn = one->latest_lsn > whole->latest_lsn ? one->latest_lsn : whole->latest_lsn;
    whole->behind = one->behind > whole->behind ? one->behind : whole->behind;
    whole->stale_ns = ps_time_max(whole->stale_ns, one->stale_ns);
    whole->eval_ns = ps_time_max(whole->eval_ns, one->eval_ns);
    whole->refresh_ns = ps_time_max(whole->refresh_ns, one->refresh_ns);
}

static void on_read(struct ps_read_call *call, enum ps_status status)
{
    struct ps_execution *execution = of_read(call);
    struct ps_kv_staleness *whole = &execution->result.staleness;
    ps_read_staleness(call, whole);
    execution->items = PS_NEW_ARRAY(struct ps_api_item, call->key_count);
    for (size_t i = 0; i < call->key_count && status == PS_OK; i++) {
        struct ps_api_item *item = &execution->items[i];
        item->key = call->keys[i].key;
        status = ps_read_get(call, i, &item->version, &item->found, &item->staleness);
        add_staleness(whole, &item->staleness);
    }
    execution->item_count = status == PS_OK ? call->key_count : 0;
    finish(execution, status);
}

/* A list's names are copied: the map's go with each step. Their places are set once all are known.
 */
static void take_name(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct ps_execution *execution = context;
    execution->items = ps_grow(execution->items, execution->item_count, &execution->item_capacity,
                               sizeof *execution->items);
    execution->items[execution->item_count++] =
        (struct ps_api_item){.key = {NULL, key.size}, .found = true, .version = *version};
    ps_buf_append_slice(&execution->names, key);
}

static enum ps_status walk(struct ps_execution *execution)
{
    struct ps_node_store *store = execution->store;
    const struct ps_kv_request *request = &execution->request;
    struct ps_bound bound = ps_read_bound(&execution->read, 0);
    struct ps_kv_list list = {
        .prefix = request->prefix,
        .after = request->after,
        .limit = request->has_limit ? (size_t)request->limit : 0,
        .now_unix_s = ps_kv_unix_s(&store->node->state.cluster, execution->read.eval_ns),
        .each = take_name,
        .context = execution,
        .last = &execution->last};
    enum ps_status status = ps_kv_list_walk(store->node->map, store->map_store, &bound, &list,
                                            &execution->result.list_complete);
    const char *name = execution->names.data;
    for (size_t i = 0; i < execution->item_count; i++) {
        execution->items[i].key.data = name;
        name += execution->items[i].key.size;
    }
    execution->result.last_name = ps_buf_slice(&execution->last);
    store->metrics.lists++;
    return status;
}

static void on_list(struct ps_read_call *call, enum ps_status status)
{
    struct ps_execution *execution = of_read(call);
    ps_read_staleness(call, &execution->result.staleness);
    if (status == PS_OK) {
        ps_read_list_staleness(call, &execution->result.staleness);
        status = walk(execution);
    }
    finish(execution, status);
}

static void start_read(struct ps_execution *execution)
{
    const struct ps_kv_request *request = &execution->request;
    bool list = request->op == PS_KV_LIST;
    size_t count = request->op == PS_KV_GET_BULK ? request->key_count : 1;
    execution->read_keys = PS_NEW_ARRAY(struct ps_read_key, count);
    for (size_t i = 0; i < count; i++) {
        execution->read_keys[i].key =
            request->op == PS_KV_GET_BULK ? request->keys[i] : request->key;
    }
    if (list) {
        ps_kv_list_pin_key(&execution->pin_key, request->prefix);
        execution->read_keys[0].key = ps_buf_slice(&execution->pin_key);
    }
    struct ps_read_call *call = &execution->read;
    call->store = execution->store;
    call->keys = execution->read_keys;
    call->key_count = count;
    call->fresh = request->fresh || execution->fresh;
    if (request->has_cache_ttl) {
        call->ttl_ns = (ps_dur_ns)request->cache_ttl_s > PS_NEVER / PS_SECOND
                           ? PS_NEVER
                           : (ps_dur_ns)request->cache_ttl_s * PS_SECOND;
    }
    call->done = list ? on_list : on_read;
    ps_read_start(call);
}

/* ---- writes ---- */

struct ps_write_slot {
    struct ps_write_call call; /* first member */
    struct ps_execution *execution;
    size_t index;
};

static void finish_writes(struct ps_execution *execution)
{
    struct ps_kv_staleness *whole = &execution->result.staleness;
    whole->boot = execution->store->node->boot;
    for (size_t i = 0; i < execution->item_count; i++) {
        add_staleness(whole, &execution->items[i].staleness);
    }
    finish(execution, execution->item_count == 1 ? execution->items[0].status : PS_OK);
}

static void on_written(struct ps_write_call *call, enum ps_status status)
{
    struct ps_write_slot *slot = (struct ps_write_slot *)(void *)call;
    struct ps_execution *execution = slot->execution;
    struct ps_api_item *item = &execution->items[slot->index];
    item->status = status;
    item->staleness.refresh_ns = call->refresh_ns;
    if (status == PS_OK) {
        item->staleness.lsn = call->writer.result.lsn;
        item->staleness.latest_lsn = call->writer.result.lsn;
        item->staleness.eval_ns = call->writer.result.commit_ns;
    }
    if (--execution->left == 0) {
        finish_writes(execution);
    }
}

static void start_writes(struct ps_execution *execution)
{
    size_t count = execution->write_count;
    execution->slots = PS_NEW_ARRAY(struct ps_write_slot, count);
    execution->items = PS_NEW_ARRAY(struct ps_api_item, count);
    execution->item_count = count;
    execution->left = count + 1; /* so that the last result does not come within the loop */
    for (size_t i = 0; i < count; i++) {
        struct ps_write_slot *slot = &execution->slots[i];
        slot->execution = execution;
        slot->index = i;
        slot->call.store = execution->store;
        slot->call.write = execution->writes[i];
        slot->call.fresh = execution->fresh;
        slot->call.done = on_written;
        execution->items[i].key = execution->writes[i].entry.key;
        ps_write_start(&slot->call);
    }
    if (--execution->left == 0) {
        finish_writes(execution);
    }
}

void ps_execution_start(struct ps_execution *execution)
{
    if (execution->write_count > 0) {
        start_writes(execution);
    } else {
        start_read(execution);
    }
}
