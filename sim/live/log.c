#include "sim/live/log.h"

#include "replication/base/memory.h"
#include "sim/live/translate.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

enum { SPEED_ONE = 1000 };

void ps_live_log_fini(struct ps_live_log *log)
{
    free(log->records);
    *log = (struct ps_live_log){0};
}

static bool hex_bytes(const json_t *text, uint8_t *ret, size_t size)
{
    if (!json_is_string(text) || json_string_length(text) != 2 * size) {
        return false;
    }
    const char *digits = json_string_value(text);
    for (size_t i = 0; i < size; i++) {
        unsigned value = 0;
        for (size_t k = 2 * i; k < 2 * i + 2; k++) {
            char c = digits[k];
            unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                             : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                    : 16;
            if (digit == 16) {
                return false;
            }
            value = value << 4 | digit;
        }
        ret[i] = (uint8_t)value;
    }
    return true;
}

static bool read_number(const json_t *line, const char *name, uint64_t *ret)
{
    const json_t *number = json_object_get(line, name);
    *ret = (uint64_t)json_integer_value(number);
    return json_is_integer(number) && json_integer_value(number) >= 0;
}

/* The calls that a bucket's record may stand for, as far as caches and other keys are concerned. */
static void put_call(const json_t *line, const json_t *key, const json_t *names, bool deleted,
                     struct ps_buf *ret)
{
    const json_t *control = json_object_get(line, "cache_control");
    const json_t *expiry = json_object_get(line, "cache_expiry_ms");
    if (deleted && json_array_size(names) > 1) {
        char *list = json_dumps(names, JSON_COMPACT);
        ps_buf_printf(ret, "{\"version\":1,\"method\":\"delete\",\"objects\":%s}",
                      list == NULL ? "[]" : list);
        free(list);
    } else if (json_is_string(control) || json_is_integer(expiry)) {
        ps_buf_append_text(ret, "{\"version\":1,\"method\":\"put\",\"object\":");
        ps_buf_append_json(ret, (struct ps_slice){json_string_value(key), json_string_length(key)});
        ps_buf_append_text(ret, ",\"httpFields\":{");
        if (json_is_string(control)) {
            ps_buf_append_text(ret, "\"cacheControl\":");
            ps_buf_append_json(
                ret, (struct ps_slice){json_string_value(control), json_string_length(control)});
        }
        if (json_is_integer(expiry)) {
            ps_buf_printf(ret, "%s\"cacheExpiry\":%" JSON_INTEGER_FORMAT,
                          json_is_string(control) ? "," : "", json_integer_value(expiry));
        }
        ps_buf_append_text(ret, "}}");
    }
}

static bool read_object(const json_t *line, struct ps_intern *requests, struct ps_live_record *ret)
{
    const json_t *etag = json_object_get(line, "etag");
    const json_t *names = json_object_get(line, "keys");
    struct ps_buf call = {0};
    ret->purge = json_is_true(json_object_get(line, "purge"));
    ret->none = json_is_true(json_object_get(line, "none"));
    ret->large = json_is_true(json_object_get(line, "large"));
    if (names != NULL && !json_is_array(names)) {
        return false;
    }
    if (json_is_string(etag)) {
        ret->etag = ps_intern_put(requests, ps_slice_of(json_string_value(etag))) + 1;
    }
    put_call(line, json_object_get(line, "key"), names, ret->deleted, &call);
    if (call.size > 0) {
        ret->request = ps_intern_put(requests, ps_buf_slice(&call)) + 1;
    }
    ps_buf_fini(&call);
    return true;
}

static bool read_record(const json_t *line, struct ps_intern *keys, struct ps_intern *requests,
                        struct ps_live_record *ret)
{
    *ret = (struct ps_live_record){0};
    uint8_t digest[8];
    const json_t *key = json_object_get(line, "key");
    const json_t *deleted = json_object_get(line, "deleted");
    bool whole = read_number(line, "lsn", &ret->lsn) &&
                 read_number(line, "commit_ns", &ret->commit_ns) &&
                 read_number(line, "expires_unix_s", &ret->expires_unix_s) &&
                 hex_bytes(json_object_get(line, "token"), ret->token.bytes, PS_TOKEN_SIZE) &&
                 hex_bytes(json_object_get(line, "digest"), digest, sizeof digest) &&
                 json_is_string(key) && json_is_boolean(deleted);
    if (!whole) {
        return false;
    }
    if (json_object_get(line, "unix_ms") != NULL && !read_number(line, "unix_ms", &ret->unix_ms)) {
        return false;
    }
    ret->deleted = json_is_true(deleted);
    for (size_t i = 0; i < sizeof digest && !ret->deleted; i++) {
        ret->digest = ret->digest << 8 | digest[i];
    }
    ret->key =
        ps_intern_put(keys, (struct ps_slice){json_string_value(key), json_string_length(key)});
    return read_object(line, requests, ret);
}

enum ps_status ps_live_log_take(struct ps_live_log *log, struct ps_slice page,
                                struct ps_intern *keys, struct ps_intern *requests,
                                struct ps_error *err)
{
    for (size_t at = 0; at < page.size;) {
        const char *text = page.data + at;
        const char *end = memchr(text, '\n', page.size - at);
        size_t size = end == NULL ? page.size - at : (size_t)(end - text);
        json_t *line = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
        struct ps_live_record record;
        bool whole = end != NULL && read_record(line, keys, requests, &record);
        json_decref(line);
        if (!whole) {
            return ps_fail(err, PS_CORRUPT, "a log's line behind LSN %zu cannot be read",
                           log->count);
        }
        if (record.lsn != log->count + 1) {
            return ps_fail(err, PS_CORRUPT, "a log gives LSN %" PRIu64 " behind LSN %zu",
                           record.lsn, log->count);
        }
        log->records = ps_grow(log->records, log->count, &log->capacity, sizeof *log->records);
        log->records[log->count++] = record;
        at += size + 1;
    }
    return PS_OK;
}

/* The cluster time of a database's 'now'. */
static ps_time_ns run_time(const struct ps_history *history, const struct ps_live_record *record)
{
    uint64_t epoch_ms = (uint64_t)history->cluster->epoch_unix_s * 1000;
    uint64_t ms = record->unix_ms > epoch_ms ? record->unix_ms - epoch_ms : 0;
    return ms < PS_NEVER / PS_MS ? ms * PS_MS : 0;
}

static void add_foreign(struct ps_history *history, uint16_t store, size_t *capacity,
                        const struct ps_live_record *record)
{
    history->foreign =
        ps_grow(history->foreign, history->foreign_count, capacity, sizeof *history->foreign);
    history->foreign[history->foreign_count++] =
        (struct ps_foreign){.store = store,
                            .lsn = record->lsn,
                            .commit_ns = record->commit_ns,
                            .key = record->key,
                            .deleted = record->deleted,
                            .expires_unix_s = record->expires_unix_s,
                            .digest = record->large ? 0 : record->digest,
                            .purge = record->purge,
                            .none = record->none,
                            .request = record->request,
                            .etag = record->etag,
                            .run_ns = run_time(history, record)};
}

/* A request to a database may have written though its client was not told so. */
static bool may_write(const struct ps_op *op, uint16_t store)
{
    bool unknown = ps_op_is_d1(op) && op->error != PS_OK && op->error != PS_INVALID;
    return op->store == store && (ps_op_is_write(op) || unknown);
}

/* A bucket's record names the objects that were there, and the digest of no large body. */
static bool is_same_object(const struct ps_live_record *record, const struct ps_op *op)
{
    if (record->none || record->purge || op->kind == PS_OP_R2_PURGE ||
        record->deleted != ps_op_is_delete(op)) {
        return false;
    }
    return record->deleted ||
           (record->key == op->key && (record->large || record->digest == op->digest));
}

static bool is_same(const struct ps_live_record *record, const struct ps_op *op)
{
    if (ps_op_is_d1(op)) {
        return true;
    }
    return ps_op_is_r2(op) ? is_same_object(record, op)
                           : record->key == op->key && record->digest == op->digest &&
                                 record->deleted == (op->kind == PS_OP_KV_DELETE);
}

/* Is the record what this operation asked for, and, as far as it was told, what it was told? */
static bool is_made_by(const struct ps_live_record *record, const struct ps_op *op, uint16_t store)
{
    return may_write(op, store) && is_same(record, op) &&
           (op->lsn == 0 || (op->lsn == record->lsn && op->eval_ns == record->commit_ns));
}

/* A purge has no token: its record is one of its time, and of those that it may be of, of the one
 * that was answered first. The REST API answers without an emulated way, and a home that has just
 * started again stamps ahead of its clock: the answer may come before the stamp. */
static struct ps_op *purger_of(struct ps_history *history, uint16_t store, uint64_t op_count,
                               const struct ps_live_record *record)
{
    ps_dur_ns ahead_ns =
        (ps_dur_ns)((ps_u128)PS_SECOND * history->cluster->speed_milli / SPEED_ONE);
    struct ps_op *first = NULL;
    for (size_t i = 0; i < op_count; i++) {
        struct ps_op *op = &history->ops[i];
        if (op->store == store && op->kind == PS_OP_R2_PURGE && op->error == PS_OK &&
            op->lsn == 0 && op->key == record->key && op->invoke_ns <= record->commit_ns &&
            ps_time_add(op->complete_ns, ahead_ns) >= record->commit_ns &&
            (first == NULL || op->complete_ns < first->complete_ns)) {
            first = op;
        }
    }
    return first;
}

static void take_purge(struct ps_op *op, const struct ps_live_record *record)
{
    op->lsn = record->lsn;
    op->eval_ns = record->commit_ns;
    op->complete_ns = ps_time_max(op->complete_ns, op->eval_ns);
}

void ps_live_log_merge(const struct ps_live_log *log, uint16_t store, uint64_t run,
                       struct ps_history *history, struct ps_live_lost *lost)
{
    size_t op_count = history->op_count;
    size_t foreign_capacity = history->foreign_count; /* exact: the next one grows it */
    struct ps_op **by_id = PS_NEW_ARRAY(struct ps_op *, op_count + 1);
    bool *found = PS_NEW_ARRAY(bool, op_count + 1);
    for (size_t i = 0; i < op_count; i++) {
        uint64_t id = history->ops[i].id;
        if (id <= op_count) {
            by_id[id] = &history->ops[i];
        }
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct ps_live_record *record = &log->records[i];
        struct ps_op *purger = record->purge ? purger_of(history, store, op_count, record) : NULL;
        if (purger != NULL) {
            take_purge(purger, record);
            continue;
        }
        uint64_t id = ps_live_token_id(run, &record->token);
        struct ps_op *op = id <= op_count ? by_id[id] : NULL;
        if (op == NULL || found[id] || !is_made_by(record, op, store)) {
            add_foreign(history, store, &foreign_capacity, record);
            continue;
        }
        found[id] = true;
        op->lsn = record->lsn;
        op->eval_ns = record->commit_ns;
        op->expires_unix_s = record->expires_unix_s;
        op->etag = record->etag;
        if (ps_op_is_d1(op)) {
            op->wrote = true;
            op->at_home = true;
            op->run_ns = op->run_ns == 0 ? run_time(history, record) : op->run_ns;
        }
    }
    for (uint64_t id = 1; id <= op_count; id++) {
        const struct ps_op *op = by_id[id];
        bool wrote = op != NULL && op->error == PS_OK && may_write(op, store) &&
                     (!ps_op_is_r2(op) || op->lsn != 0 || op->kind == PS_OP_R2_PURGE);
        bool purged = wrote && op->kind == PS_OP_R2_PURGE && op->lsn != 0;
        if (wrote && !found[id] && !purged) {
            lost->id = lost->count++ == 0 ? id : lost->id;
        }
    }
    free(by_id);
    free(found);
}
