#include "node/cluster/cluster_file.h"
#include "node/r2/cache.h"
#include "replication/base/memory.h"
#include "sim/measure/history.h"

#include <openssl/evp.h>

#include <errno.h>
#include <string.h>

enum {
    CHUNK_SIZE = 64 << 10,
    LINE_FIXED_MAX =
        1024, /* bytes of a line without its names: 16 numbers of 20 digits, and members */
    DIGEST_SIZE = 32
};

/* The JSON text of each string of a table, made once. */
struct quoted {
    struct ps_buf text;
    size_t *ends;
};

static struct quoted quote_all(const struct ps_intern *intern)
{
    struct quoted quoted = {0};
    size_t count = ps_intern_count(intern);
    quoted.ends = PS_NEW_ARRAY(size_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_json(&quoted.text, ps_intern_text(intern, (uint32_t)i));
        quoted.ends[i + 1] = quoted.text.size;
    }
    return quoted;
}

static void quoted_fini(struct quoted *quoted)
{
    ps_buf_fini(&quoted->text);
    free(quoted->ends);
}

struct writer {
    const struct ps_history *history;
    struct quoted sessions;
    struct quoted keys;
    struct quoted requests;
    struct ps_buf out;
    EVP_MD_CTX *hash;
    FILE *file;
};

/* Digits by pairs; lines are mostly numbers. */
static char *put_u64(char *at, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t left = sizeof digits;
    while (value >= 100) {
        uint64_t pair = value % 100;
        value /= 100;
        left -= 2;
        memcpy(digits + left, pairs + 2 * pair, 2);
    }
    if (value >= 10) {
        left -= 2;
        memcpy(digits + left, pairs + 2 * value, 2);
    } else {
        digits[--left] = (char)('0' + value);
    }
    memcpy(at, digits + left, sizeof digits - left);
    return at + (sizeof digits - left);
}

static char *put(char *at, const char *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

#define PUT_LIT(at, text) put((at), (text), sizeof(text) - 1)

static char *put_text(char *at, const char *text)
{
    return put(at, text, strlen(text));
}

static char *put_quoted(char *at, const struct quoted *quoted, uint32_t number)
{
    size_t from = quoted->ends[number];
    return put(at, quoted->text.data + from, quoted->ends[number + 1] - from);
}

static char *put_hex(char *at, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(value >> shift) & 15];
    }
    return at;
}

static char *put_extra(char *at, const char *name, uint64_t value)
{
    if (value == 0) {
        return at;
    }
    at = PUT_LIT(at, ",\"");
    at = put_text(at, name);
    at = PUT_LIT(at, "\":");
    return put_u64(at, value);
}

static char *put_d1(char *at, const struct writer *writer, const struct ps_op *op)
{
    at = put_extra(at, "bookmark_lsn", op->bookmark_lsn);
    if (op->with_session != PS_D1_SESSION_NONE) {
        at = PUT_LIT(at, ",\"with_session\":\"");
        at = put_text(at, ps_d1_session_name((enum ps_d1_session)op->with_session));
        *at++ = '"';
    }
    if (op->wrote) {
        at = PUT_LIT(at, ",\"wrote\":true");
    }
    if (op->at_home) {
        at = PUT_LIT(at, ",\"at_home\":true");
    }
    at = put_extra(at, "rows_read", op->rows_read);
    at = put_extra(at, "rows_written", op->rows_written);
    at = put_extra(at, "run_ns", op->run_ns);
    if (op->seed != 0) {
        at = PUT_LIT(at, ",\"seed\":\"");
        at = put_hex(at, op->seed);
        *at++ = '"';
    }
    if (op->request != 0) {
        at = PUT_LIT(at, ",\"request\":");
        at = put_quoted(at, &writer->requests, op->request - 1);
    }
    return at;
}

static char *put_r2(char *at, const struct writer *writer, const struct ps_op *op)
{
    if (op->etag != 0) {
        at = PUT_LIT(at, ",\"etag\":");
        at = put_quoted(at, &writer->requests, op->etag - 1);
    }
    at = put_extra(at, "dropped_ns", op->dropped_ns);
    if (op->cache != 0) {
        at = PUT_LIT(at, ",\"cache\":\"");
        at = put_text(at, ps_r2_cache_state_name((enum ps_r2_cache_state)(op->cache - 1)));
        *at++ = '"';
    }
    if (op->request != 0) {
        at = PUT_LIT(at, ",\"request\":");
        at = put_quoted(at, &writer->requests, op->request - 1);
    }
    return at;
}

static bool has_digest(const struct ps_op *op)
{
    return !ps_op_is_delete(op) && op->kind != PS_OP_R2_HEAD && op->kind != PS_OP_R2_PURGE;
}

static char *put_extras(char *at, const struct ps_op *op)
{
    at = PUT_LIT(at, ",\"boot\":");
    at = put_u64(at, op->boot);
    if (ps_op_is_read(op) && !ps_op_is_d1(op)) {
        at = PUT_LIT(at, ",\"found\":");
        at = op->found ? PUT_LIT(at, "true") : PUT_LIT(at, "false");
    }
    if (has_digest(op)) {
        at = PUT_LIT(at, ",\"digest\":\"");
        at = put_hex(at, op->digest);
        *at++ = '"';
    }
    at = put_extra(at, "refresh_ns", op->refresh_ns);
    at = put_extra(at, "cache_ttl_ns", op->cache_ttl_ns);
    at = put_extra(at, "expires_unix_s", op->expires_unix_s);
    at = put_extra(at, "list_limit", op->list_limit);
    if (op->late) {
        at = PUT_LIT(at, ",\"late\":true");
    }
    at = put_extra(at, "have_lsn", op->have_lsn);
    return put_extra(at, "http_status", op->http_status);
}

static size_t quoted_size(const struct quoted *quoted, uint32_t number)
{
    return quoted->ends[number + 1] - quoted->ends[number];
}

/* One line, without its closing brace. */
static void append_op(struct writer *writer, const struct ps_op *op)
{
    const struct ps_cluster *cluster = writer->history->cluster;
    size_t names = quoted_size(&writer->sessions, op->session) +
                   quoted_size(&writer->keys, op->key) + PS_STORE_NAME_MAX +
                   (op->etag == 0 ? 0 : quoted_size(&writer->requests, op->etag - 1)) +
                   (op->request == 0 ? 0 : quoted_size(&writer->requests, op->request - 1));
    ps_buf_reserve(&writer->out, LINE_FIXED_MAX + names);
    char *at = writer->out.data + writer->out.size;
    at = PUT_LIT(at, "{\"id\":");
    at = put_u64(at, op->id);
    at = PUT_LIT(at, ",\"session\":");
    at = put_quoted(at, &writer->sessions, op->session);
    at = PUT_LIT(at, ",\"pop\":\"");
    at = put_text(at, cluster->pops[op->pop]->code);
    at = PUT_LIT(at, "\",\"store\":\"");
    at = put_text(at, cluster->stores[op->store].name);
    at = PUT_LIT(at, "\",\"op\":\"");
    at = put_text(at, ps_op_kind_name((enum ps_op_kind)op->kind));
    at = PUT_LIT(at, "\",\"key\":");
    at = put_quoted(at, &writer->keys, op->key);
    at = PUT_LIT(at, ",\"invoke_ns\":");
    at = put_u64(at, op->invoke_ns);
    at = PUT_LIT(at, ",\"complete_ns\":");
    at = put_u64(at, op->complete_ns);
    at = PUT_LIT(at, ",\"eval_ns\":");
    at = put_u64(at, op->eval_ns);
    at = PUT_LIT(at, ",\"lsn\":");
    at = put_u64(at, op->lsn);
    if (op->error == PS_OK) {
        at = PUT_LIT(at, ",\"ok\":true,\"error\":null");
    } else {
        at = PUT_LIT(at, ",\"ok\":false,\"error\":\"");
        at = put_text(at, ps_status_name((enum ps_status)op->error));
        *at++ = '"';
    }
    at = put_extras(at, op);
    if (ps_op_is_d1(op)) {
        at = put_d1(at, writer, op);
    } else if (ps_op_is_r2(op)) {
        at = put_r2(at, writer, op);
    }
    writer->out.size = (size_t)(at - writer->out.data);
}

/* A member that is one of the history's requests. */
static void append_text(struct ps_buf *out, const struct ps_history *history, const char *name,
                        uint32_t request)
{
    if (request != 0) {
        ps_buf_printf(out, ",\"%s\":", name);
        ps_buf_append_json(out, ps_intern_text(history->requests, request - 1));
    }
}

static void append_foreign(struct ps_buf *out, const struct ps_history *history)
{
    ps_buf_append_text(out, ",\"foreign\":[");
    for (size_t i = 0; i < history->foreign_count; i++) {
        const struct ps_foreign *record = &history->foreign[i];
        ps_buf_printf(out, "%s{\"store\":\"%s\",\"lsn\":%llu,\"commit_ns\":%llu,\"key\":",
                      i == 0 ? "" : ",", history->cluster->stores[record->store].name,
                      (unsigned long long)record->lsn, (unsigned long long)record->commit_ns);
        ps_buf_append_json(out, ps_intern_text(history->keys, record->key));
        ps_buf_printf(out, ",\"deleted\":%s,\"expires_unix_s\":%llu,\"digest\":\"%016llx\"",
                      record->deleted ? "true" : "false",
                      (unsigned long long)record->expires_unix_s,
                      (unsigned long long)record->digest);
        bool d1 = history->cluster->stores[record->store].type == PS_STORE_D1;
        if (record->request != 0 && d1) {
            ps_buf_printf(out, ",\"run_ns\":%llu,\"seed\":\"%016llx\"",
                          (unsigned long long)record->run_ns, (unsigned long long)record->seed);
        }
        ps_buf_append_text(out, record->none ? ",\"none\":true" : "");
        ps_buf_append_text(out, record->purge ? ",\"purge\":true" : "");
        append_text(out, history, "request", record->request);
        append_text(out, history, "etag", record->etag);
        ps_buf_append_char(out, '}');
    }
    ps_buf_append_char(out, ']');
}

static void append_downtimes(struct ps_buf *out, const struct ps_history *history)
{
    ps_buf_append_text(out, ",\"downtimes\":[");
    for (size_t i = 0; i < history->downtime_count; i++) {
        const struct ps_downtime *down = &history->downtimes[i];
        ps_buf_printf(out, "%s[\"%s\",%llu,", i == 0 ? "" : ",",
                      history->cluster->pops[down->pop]->code,
                      (unsigned long long)down->when.from_ns);
        if (down->when.until_ns == PS_NEVER) {
            ps_buf_append_text(out, "null]");
        } else {
            ps_buf_printf(out, "%llu]", (unsigned long long)down->when.until_ns);
        }
    }
    ps_buf_append_char(out, ']');
}

static void append_run(struct ps_buf *out, const struct ps_history *history)
{
    ps_buf_append_text(out, ",\"run\":{\"version\":\"" PS_VERSION "\",\"scenario\":");
    ps_buf_append_json(out, ps_slice_of(history->scenario));
    ps_buf_printf(out, ",\"mode\":\"%s\",\"begin_ns\":%llu,\"end_ns\":%llu,\"cluster\":",
                  history->live ? "live" : "virtual", (unsigned long long)history->begin_ns,
                  (unsigned long long)history->end_ns);
    ps_cluster_encode(out, history->cluster);
    ps_buf_append_text(out, ",\"links\":{");
    for (size_t i = 0; history->links != NULL && i < history->cluster->pop_count; i++) {
        ps_buf_printf(out, "%s\"%s\":", i == 0 ? "" : ",", history->cluster->pops[i]->code);
        ps_link_encode(out, &history->links[i]);
    }
    ps_buf_append_char(out, '}');
    append_foreign(out, history);
    append_downtimes(out, history);
    ps_buf_append_char(out, '}');
}

static enum ps_status flush(struct writer *writer, struct ps_error *err)
{
    const struct ps_buf *out = &writer->out;
    if (out->size == 0) {
        return PS_OK;
    }
    if (EVP_DigestUpdate(writer->hash, out->data, out->size) != 1) {
        return ps_fail(err, PS_IO, "SHA-256 failed");
    }
    if (writer->file != NULL && fwrite(out->data, 1, out->size, writer->file) != out->size) {
        return ps_fail(err, PS_IO, "write history: %s", strerror(errno));
    }
    writer->out.size = 0;
    return PS_OK;
}

static enum ps_status write_all(struct writer *writer, struct ps_error *err)
{
    const struct ps_history *history = writer->history;
    for (size_t i = 0; i < history->op_count; i++) {
        append_op(writer, &history->ops[i]);
        if (i == 0) {
            append_run(&writer->out, history);
        }
        ps_buf_append(&writer->out, "}\n", 2);
        if (writer->out.size >= CHUNK_SIZE) {
            enum ps_status status = flush(writer, err);
            if (status != PS_OK) {
                return status;
            }
        }
    }
    enum ps_status status = flush(writer, err);
    if (status == PS_OK && writer->file != NULL && fflush(writer->file) != 0) {
        status = ps_fail(err, PS_IO, "write history: %s", strerror(errno));
    }
    return status;
}

enum ps_status ps_history_write(const struct ps_history *history, FILE *file, char ret_sha256[65],
                                struct ps_error *err)
{
    struct writer writer = {.history = history, .file = file, .hash = EVP_MD_CTX_new()};
    if (writer.hash == NULL || EVP_DigestInit_ex(writer.hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(writer.hash);
        return ps_fail(err, PS_IO, "SHA-256 is not available");
    }
    writer.sessions = quote_all(history->sessions);
    writer.keys = quote_all(history->keys);
    writer.requests = quote_all(history->requests);
    enum ps_status status = write_all(&writer, err);
    unsigned char digest[DIGEST_SIZE];
    if (status == PS_OK && EVP_DigestFinal_ex(writer.hash, digest, NULL) != 1) {
        status = ps_fail(err, PS_IO, "SHA-256 failed");
    }
    if (status == PS_OK) {
        for (size_t i = 0; i < DIGEST_SIZE; i++) {
            ret_sha256[2 * i] = "0123456789abcdef"[digest[i] >> 4];
            ret_sha256[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
        }
        ret_sha256[2 * DIGEST_SIZE] = 0;
    }
    EVP_MD_CTX_free(writer.hash);
    quoted_fini(&writer.sessions);
    quoted_fini(&writer.keys);
    quoted_fini(&writer.requests);
    ps_buf_fini(&writer.out);
    return status;
}
