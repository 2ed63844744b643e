#include "sim/live/log.h"

#include "replication/base/memory.h"
#include "sim/live/translate.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

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

static bool read_record(const json_t *line, struct ps_intern *keys, struct ps_live_record *ret)
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
    return true;
}

enum ps_status ps_live_log_take(struct ps_live_log *log, struct ps_slice page,
                                struct ps_intern *keys, struct ps_error *err)
{
    for (size_t at = 0; at < page.size;) {
        const char *text = page.data + at;
        const char *end = memchr(text, '\n', page.size - at);
        size_t size = end == NULL ? page.size - at : (size_t)(end - text);
        json_t *line = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
        struct ps_live_record record;
        bool whole = end != NULL && read_record(line, keys, &record);
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
                            .digest = record->digest,
                            .run_ns = run_time(history, record)};
}

/* A request to a database may have written though its client was not told so. */
static bool may_write(const struct ps_op *op, uint16_t store)
{
    bool unknown = ps_op_is_d1(op) && op->error != PS_OK && op->error != PS_INVALID;
    return op->store == store && (ps_op_is_write(op) || unknown);
}

/* Is the record what this operation asked for, and, as far as it was told, what it was told? */
static bool is_made_by(const struct ps_live_record *record, const struct ps_op *op, uint16_t store)
{
    bool same = ps_op_is_d1(op) || (record->key == op->key && record->digest == op->digest &&
                                    record->deleted == (op->kind == PS_OP_KV_DELETE));
    return may_write(op, store) && same &&
           (op->lsn == 0 || (op->lsn == record->lsn && op->eval_ns == record->commit_ns));
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
        if (ps_op_is_d1(op)) {
            op->wrote = true;
            op->at_home = true;
            op->run_ns = op->run_ns == 0 ? run_time(history, record) : op->run_ns;
        }
    }
    for (uint64_t id = 1; id <= op_count; id++) {
        const struct ps_op *op = by_id[id];
        bool wrote = op != NULL && op->error == PS_OK && may_write(op, store);
        if (wrote && !found[id]) {
            lost->id = lost->count++ == 0 ? id : lost->id;
        }
    }
    free(by_id);
    free(found);
}
