/* R2: what home decided on each mutation, made again from the log; what reads gave besides the
 * version. */
#include "replication/base/memory.h"
#include "sim/measure/r2_call.h"
#include "sim/measure/verify_internal.h"

#include <string.h>

/* ---- objects ---- */

/* The head of an object, as far as conditions ask. False: its ETag is not known. */
static bool object_of(const struct ps_history *history, const struct ps_log_record *version,
                      struct ps_r2_object *ret)
{
    *ret =
        (struct ps_r2_object){.uploaded_ms = ps_r2_unix_ms(history->cluster, version->commit_ns)};
    if (version->etag == 0) {
        return false;
    }
    struct ps_slice etag = ps_intern_text(history->requests, version->etag - 1);
    size_t size = etag.size < sizeof ret->etag - 1 ? etag.size : sizeof ret->etag - 1;
    memcpy(ret->etag, etag.data, size);
    return true;
}

enum answer { NO, YES, UNKNOWN };

/* Does the operation's condition hold of the version (NULL: of none)? */
static enum answer holds(const struct ps_history *history, const struct ps_op *op,
                         const struct ps_log_record *version)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    struct ps_r2_object object;
    enum answer answer = UNKNOWN;
    bool there = version != NULL && !version->deleted;
    if (op->request == 0) {
        return YES;
    }
    if (ps_r2_call_of(history, (enum ps_op_kind)op->kind, op->key, op->request, &call, &err) &&
        (!there || object_of(history, version, &object))) {
        answer =
            ps_r2_condition_test(&call.request.condition, there ? &object : NULL) == PS_R2_HOLDS
                ? YES
                : NO;
    }
    ps_api_r2_call_fini(&call);
    return answer;
}

/* ---- mutations ---- */

/* The key's version that home decided by: the last one before the record, or before the instant at
 * which it decided to write none. NULL: there was none. */
static const struct ps_log_record *before(const struct ps_verify_store *store,
                                          const struct ps_op *op, uint32_t key)
{
    const struct ps_store_log *log = &store->log;
    size_t n = ps_store_log_upto(log, key, op->eval_ns);
    if (op->lsn != 0 && n > 0 && ps_store_log_version(log, key, n - 1)->lsn == op->lsn) {
        n--;
    }
    return n == 0 ? NULL : ps_store_log_version(log, key, n - 1);
}

static bool is_there(const struct ps_log_record *version)
{
    return version != NULL && !version->deleted;
}

static void check_put(struct ps_verify_store *store, const struct ps_op *op)
{
    const struct ps_log_record *version = before(store, op, op->key);
    enum answer answer = holds(store->history, op, version);
    if (answer != UNKNOWN && (answer == YES) != (op->lsn != 0)) {
        ps_verify_differs(
            store, op,
            op->lsn != 0 ? "it wrote LSN %llu, and its condition did not hold of LSN %llu"
                         : "it wrote nothing (LSN %llu), and its condition held of LSN %llu",
            (unsigned long long)op->lsn, (unsigned long long)(version == NULL ? 0 : version->lsn));
    }
}

/* Deletes do not count, and do not lift the limit. */
static void check_limit(struct ps_verify_store *store, const struct ps_op *op)
{
    const struct ps_store_log *log = &store->log;
    ps_dur_ns interval_ns = store->store->kv.write_interval_ns;
    for (size_t n = ps_store_log_upto(log, op->key, op->eval_ns); n > 0; n--) {
        const struct ps_log_record *version = ps_store_log_version(log, op->key, n - 1);
        if (version->lsn >= op->lsn || version->deleted) {
            continue;
        }
        if (ps_time_add(version->commit_ns, interval_ns) > op->eval_ns) {
            ps_verify_differs(store, op,
                              "it was written %llu ns behind LSN %llu, and the write limit allows "
                              "one in %llu ns",
                              (unsigned long long)(op->eval_ns - version->commit_ns),
                              (unsigned long long)version->lsn, (unsigned long long)interval_ns);
        }
        return;
    }
}

static bool any_there(const struct ps_verify_store *store, const struct ps_op *op)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    bool any = false;
    if (ps_r2_call_of(store->history, PS_OP_R2_DELETE, op->key, op->request, &call, &err)) {
        for (size_t i = 0; i < call.request.key_count; i++) {
            uint32_t key = ps_intern_put(store->history->keys, call.request.keys[i]);
            any = any || is_there(before(store, op, key));
        }
    }
    ps_api_r2_call_fini(&call);
    return any;
}

static void check_delete(struct ps_verify_store *store, const struct ps_op *op)
{
    bool any = op->request == 0 ? is_there(before(store, op, op->key)) : any_there(store, op);
    if (any != (op->lsn != 0)) {
        ps_verify_differs(store, op,
                          any ? "it deleted nothing, and what it names was there"
                              : "it deleted something, and nothing that it names was there");
    }
}

void ps_verify_r2_writes(struct ps_verify_store *store)
{
    for (size_t i = 0; i < store->history->op_count; i++) {
        const struct ps_op *op = &store->history->ops[i];
        if (op->store != store->number || !ps_op_is_write(op) ||
            (op->error != PS_OK && op->lsn == 0)) {
            continue;
        }
        if (op->kind == PS_OP_R2_PUT) {
            check_put(store, op);
            if (op->lsn != 0) {
                check_limit(store, op);
            }
        } else if (ps_op_is_delete(op)) {
            check_delete(store, op);
        } else if (op->lsn == 0) {
            ps_verify_differs(store, op, "it was acknowledged without an LSN");
        }
    }
}

/* ---- reads ---- */

void ps_verify_r2_read(struct ps_verify_store *store, const struct ps_op *op,
                       const struct ps_log_record *version)
{
    const struct ps_history *history = store->history;
    enum answer body = version == NULL || op->kind == PS_OP_R2_HEAD ? NO
                       : op->kind == PS_OP_R2_FETCH                 ? YES
                                                                    : holds(history, op, version);
    uint64_t digest = body == NO ? 0 : version->digest;
    if (body != UNKNOWN && op->digest != digest) {
        ps_verify_differs(store, op,
                          "LSN %llu: it returned a body with digest %016llx, it had to return "
                          "%016llx",
                          (unsigned long long)op->lsn, (unsigned long long)op->digest,
                          (unsigned long long)digest);
        return;
    }
    uint32_t etag = version == NULL ? 0 : version->etag;
    if (op->etag != etag && (version == NULL || etag != 0)) {
        ps_verify_differs(store, op, "LSN %llu: it returned an ETag that is not this version's",
                          (unsigned long long)op->lsn);
    }
}

/* One page of a list as it is made. */
struct page {
    struct ps_slice prefix;
    struct ps_slice delimiter;
    size_t left; /* names that still fit */
    struct ps_buf names;
    struct ps_buf groups;
    struct ps_slice group; /* the last one; no bytes: none */
};

/* The part of a key up to and with the first delimiter behind the prefix; no bytes: it has none. */
static struct ps_slice group_of(const struct page *page, struct ps_slice name)
{
    const char *from = name.data + page->prefix.size;
    size_t size = name.size - page->prefix.size;
    const char *at = page->delimiter.size == 0
                         ? NULL
                         : memmem(from, size, page->delimiter.data, page->delimiter.size);
    return at == NULL
               ? (struct ps_slice){name.data, 0}
               : (struct ps_slice){name.data, (size_t)(at - name.data) + page->delimiter.size};
}

static void add_name(struct page *page, struct ps_slice name)
{
    struct ps_slice group = group_of(page, name);
    if (group.size > 0 && ps_slice_eq(group, page->group)) {
        return;
    }
    struct ps_buf *into = group.size > 0 ? &page->groups : &page->names;
    ps_buf_append_slice(into, group.size > 0 ? group : name);
    ps_buf_append_char(into, 0);
    page->group = group;
    page->left--;
}

static void walk(struct ps_verify_store *store, const struct ps_op *op,
                 const struct ps_verify_bound *bound, struct page *page)
{
    const struct ps_history *history = store->history;
    for (size_t i = ps_verify_first_key(store, page->prefix);
         i < store->sorted_key_count && page->left > 0; i++) {
        uint32_t key = store->sorted_keys[i];
        struct ps_slice name = ps_intern_text(history->keys, key);
        if (!ps_slice_starts(name, page->prefix)) {
            break;
        }
        if (ps_verify_present(history, ps_verify_resolve(&store->log, key, bound), op->eval_ns)) {
            add_name(page, name);
        }
    }
}

uint64_t ps_verify_r2_list_digest(struct ps_verify_store *store, const struct ps_op *op,
                                  const struct ps_verify_bound *bound)
{
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    uint64_t digest = 0;
    ps_verify_sort_keys(store);
    if (ps_r2_call_of(store->history, PS_OP_R2_LIST, op->key, op->request, &call, &err)) {
        const struct ps_r2_request *request = &call.request;
        struct page page = {.prefix = request->prefix,
                            .delimiter = request->delimiter,
                            .left = request->has_limit ? (size_t)request->limit : PS_R2_LIST_MAX};
        walk(store, op, bound, &page);
        ps_buf_append_slice(&page.names, ps_buf_slice(&page.groups));
        digest = ps_slice_hash(ps_buf_slice(&page.names));
        ps_buf_fini(&page.names);
        ps_buf_fini(&page.groups);
    }
    ps_api_r2_call_fini(&call);
    return digest;
}
