#include "sim/measure/r2_call.h"

#include "replication/base/memory.h"

static enum ps_r2_op op_of(enum ps_op_kind kind)
{
    switch (kind) {
    case PS_OP_R2_HEAD:
        return PS_R2_HEAD;
    case PS_OP_R2_PUT:
        return PS_R2_PUT;
    case PS_OP_R2_DELETE:
        return PS_R2_DELETE;
    case PS_OP_R2_LIST:
        return PS_R2_LIST;
    case PS_OP_R2_PURGE:
        return PS_R2_PURGE;
    case PS_OP_R2_GET:
    case PS_OP_R2_FETCH:
    case PS_OP_KV_GET:
    case PS_OP_KV_PUT:
    case PS_OP_KV_DELETE:
    case PS_OP_KV_LIST:
    case PS_OP_D1_QUERY:
    case PS_OP_D1_BATCH:
        break;
    }
    return PS_R2_GET;
}

/* All but the value, which is still to come. */
static bool check(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    struct ps_r2_request plain = *request;
    if (request->op == PS_R2_PUT) {
        plain.computed.present = PS_R2_HASH_BIT(PS_R2_MD5);
    }
    return ps_r2_request_check(&plain, err);
}

bool ps_r2_call_make(enum ps_op_kind kind, struct ps_slice key, struct ps_slice request,
                     struct ps_api_r2_call *ret, struct ps_r2_error *err)
{
    enum ps_r2_op op = op_of(kind);
    if (request.size > 0) {
        return ps_api_r2_parse(request, !ps_r2_op_reads(op), ret, err) && ret->request.op == op;
    }
    *err = (struct ps_r2_error){.code = PS_R2_CODE_NONE};
    *ret = (struct ps_api_r2_call){.request = {.op = op}, .hashes = PS_R2_HASH_BIT(PS_R2_MD5)};
    if (op == PS_R2_DELETE) {
        struct ps_slice *keys = PS_NEW(struct ps_slice);
        keys[0] = key;
        ret->request.keys = keys;
        ret->request.key_count = 1;
    } else if (op == PS_R2_LIST) {
        ret->request.prefix = key;
    } else {
        ret->request.key = key;
    }
    return check(&ret->request, err);
}

bool ps_r2_call_of(const struct ps_history *history, enum ps_op_kind kind, uint32_t key,
                   uint32_t request, struct ps_api_r2_call *ret, struct ps_r2_error *err)
{
    return ps_r2_call_make(kind, ps_intern_text(history->keys, key),
                           request == 0 ? (struct ps_slice){"", 0}
                                        : ps_intern_text(history->requests, request - 1),
                           ret, err);
}

enum ps_r2_cache_kinds ps_r2_kinds_of(const struct ps_store *store)
{
    return store->cache_everything ? PS_R2_CACHE_EVERYTHING : PS_R2_CACHE_DEFAULT_KINDS;
}

struct ps_r2_cache_stay ps_r2_stay_of(const struct ps_history *history, uint16_t store,
                                      uint32_t key, const struct ps_log_record *version,
                                      ps_time_ns as_of_ns, bool *ret_there)
{
    struct ps_slice name = ps_intern_text(history->keys, key);
    enum ps_r2_cache_kinds kinds = ps_r2_kinds_of(&history->cluster->stores[store]);
    int64_t unix_ms = ps_r2_unix_ms(history->cluster, as_of_ns);
    *ret_there = version != NULL && !version->deleted;
    if (!*ret_there) {
        return ps_r2_cache_stay_of(name, NULL, kinds, unix_ms);
    }
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    struct ps_r2_object object = {.key = name};
    if (ps_r2_call_of(history, PS_OP_R2_PUT, key, version->request, &call, &err)) {
        object.meta.http = call.request.meta.http;
    }
    struct ps_r2_cache_stay stay = ps_r2_cache_stay_of(name, &object, kinds, unix_ms);
    ps_api_r2_call_fini(&call);
    return stay;
}

void ps_r2_tell_purges(const struct ps_history *history, const struct ps_store_log *log,
                       struct ps_public_cache *cache)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct ps_log_record *record = &log->records[i];
        if (record->purge) {
            ps_public_cache_purged(cache, record->key,
                                   ps_intern_text(history->keys, record->key).size == 0,
                                   record->commit_ns);
        }
    }
}

uint64_t ps_r2_page_digest(const struct ps_r2_page *page)
{
    struct ps_buf names = {0};
    for (size_t i = 0; i < page->object_count; i++) {
        ps_buf_append_slice(&names, page->objects[i].key);
        ps_buf_append_char(&names, 0);
    }
    for (size_t i = 0; i < page->prefix_count; i++) {
        ps_buf_append_slice(&names, page->prefixes[i]);
        ps_buf_append_char(&names, 0);
    }
    uint64_t digest = ps_slice_hash(ps_buf_slice(&names));
    ps_buf_fini(&names);
    return digest;
}
