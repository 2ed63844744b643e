#include "node/cluster/cluster_file.h"
#include "node/r2/cache.h"
#include "replication/base/memory.h"
#include "sim/measure/history.h"

#include <jansson.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
    LINE_SIZE_MAX = 1 << 20,
    FIRST_LINE_SIZE_MAX = 64 << 20, /* carries the run */
    LETTERS = 26,
    CODES = LETTERS * LETTERS * LETTERS
};

struct reader {
    struct ps_history *history;
    const char *name;
    uint64_t line;
    int16_t pops[CODES]; /* index by code; -1 = none */
    struct ps_error *err;
};

static enum ps_status bad(struct reader *reader, const char *what)
{
    return ps_fail(reader->err, PS_INVALID, "%s:%llu: %s", reader->name,
                   (unsigned long long)reader->line, what);
}

/* ---- members; a sticky status, so that the callers read straight on ---- */

struct object {
    struct reader *reader;
    json_t *json;
    enum ps_status status;
};

static void object_bad(struct object *object, const char *member, const char *expected)
{
    if (object->status == PS_OK) {
        object->status = ps_fail(object->reader->err, PS_INVALID, "%s:%llu: \"%s\": expected %s",
                                 object->reader->name, (unsigned long long)object->reader->line,
                                 member, expected);
    }
}

static uint64_t number_of(struct object *object, const char *member, uint64_t max, bool needed)
{
    json_t *value = json_object_get(object->json, member);
    if (value == NULL && !needed) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        object_bad(object, member, "a whole number in range");
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static bool flag_of(struct object *object, const char *member, bool needed)
{
    json_t *value = json_object_get(object->json, member);
    if (value == NULL && !needed) {
        return false;
    }
    if (!json_is_boolean(value)) {
        object_bad(object, member, "true or false");
    }
    return json_is_true(value);
}

static struct ps_slice text_of(struct object *object, const char *member)
{
    json_t *value = json_object_get(object->json, member);
    if (!json_is_string(value)) {
        object_bad(object, member, "a string");
        return (struct ps_slice){0};
    }
    return (struct ps_slice){json_string_value(value), json_string_length(value)};
}

static uint64_t hex_of(struct object *object, const char *member, bool needed)
{
    json_t *value = json_object_get(object->json, member);
    if (value == NULL && !needed) {
        return 0;
    }
    struct ps_slice text = text_of(object, member);
    uint64_t number = 0;
    bool good = text.size == 16;
    for (size_t i = 0; i < text.size && good; i++) {
        char c = text.data[i];
        bool digit = c >= '0' && c <= '9';
        good = digit || (c >= 'a' && c <= 'f');
        number = number << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    if (!good) {
        object_bad(object, member, "16 hex digits");
        return 0;
    }
    return number;
}

static int find_pop(const struct reader *reader, struct ps_slice code)
{
    if (code.size != 3) {
        return -1;
    }
    int index = 0;
    for (size_t i = 0; i < 3; i++) {
        if (code.data[i] < 'a' || code.data[i] > 'z') {
            return -1;
        }
        index = index * LETTERS + (code.data[i] - 'a');
    }
    return reader->pops[index];
}

static uint16_t pop_of(struct object *object, const char *member)
{
    int pop = find_pop(object->reader, text_of(object, member));
    if (pop < 0) {
        object_bad(object, member, "the code of a PoP of the cluster");
        return 0;
    }
    return (uint16_t)pop;
}

static uint16_t store_of(struct object *object, const char *member)
{
    int store = ps_cluster_find_store(object->reader->history->cluster, text_of(object, member));
    if (store < 0) {
        object_bad(object, member, "the name of a store of the cluster");
        return 0;
    }
    return (uint16_t)store;
}

static uint8_t kind_of(struct object *object)
{
    struct ps_slice name = text_of(object, "op");
    for (int kind = 0; kind < PS_OP_KINDS; kind++) {
        if (ps_slice_eq(name, ps_slice_of(ps_op_kind_name((enum ps_op_kind)kind)))) {
            return (uint8_t)kind;
        }
    }
    object_bad(object, "op", "the name of an operation, as in kv.get");
    return 0;
}

static uint8_t error_of(struct object *object)
{
    bool ok = flag_of(object, "ok", true);
    json_t *value = json_object_get(object->json, "error");
    if (ok) {
        if (!json_is_null(value)) {
            object_bad(object, "error", "null, as ok is true");
        }
        return PS_OK;
    }
    struct ps_slice name = text_of(object, "error");
    for (int status = PS_OK + 1; status <= PS_STATUS_LAST; status++) {
        if (ps_slice_eq(name, ps_slice_of(ps_status_name((enum ps_status)status)))) {
            return (uint8_t)status;
        }
    }
    object_bad(object, "error", "the name of an error, as ok is false");
    return PS_OK;
}

/* 0: it is not known. */
static uint32_t request_of(struct object *object, const char *member)
{
    struct ps_history *history = object->reader->history;
    return json_object_get(object->json, member) == NULL
               ? 0
               : ps_intern_put(history->requests, text_of(object, member)) + 1;
}

static void d1_of(struct object *object, struct ps_op *op)
{
    op->wrote = flag_of(object, "wrote", false);
    op->at_home = flag_of(object, "at_home", false);
    op->bookmark_lsn = number_of(object, "bookmark_lsn", INT64_MAX, false);
    op->run_ns = number_of(object, "run_ns", INT64_MAX, false);
    op->seed = hex_of(object, "seed", false);
    op->rows_read = number_of(object, "rows_read", INT64_MAX, false);
    op->rows_written = number_of(object, "rows_written", INT64_MAX, false);
    op->request = request_of(object, "request");
    enum ps_d1_session session = PS_D1_SESSION_NONE;
    if (json_object_get(object->json, "with_session") != NULL &&
        (ps_d1_session_find(text_of(object, "with_session"), &session) != PS_OK ||
         session == PS_D1_SESSION_BOOKMARK_PRIMARY)) {
        object_bad(object, "with_session", "first-primary, first-unconstrained or bookmark");
    }
    op->with_session = (uint8_t)session;
}

static uint8_t cache_of(struct object *object)
{
    if (json_object_get(object->json, "cache") == NULL) {
        return 0;
    }
    struct ps_slice name = text_of(object, "cache");
    for (int state = PS_R2_CACHE_DYNAMIC; state < PS_R2_CACHE_STATES; state++) {
        if (ps_slice_eq(name, ps_slice_of(ps_r2_cache_state_name((enum ps_r2_cache_state)state)))) {
            return (uint8_t)(state + 1);
        }
    }
    object_bad(object, "cache", "a CF-Cache-Status, as in HIT");
    return 0;
}

/* What only operations of one type have. */
static void type_of(struct object *object, struct ps_op *op)
{
    enum ps_store_type type = object->reader->history->cluster->stores[op->store].type;
    if (ps_op_store_type((enum ps_op_kind)op->kind) != type) {
        object_bad(object, "op", "an operation of the store's type");
    } else if (ps_op_is_d1(op)) {
        d1_of(object, op);
    } else if (ps_op_is_r2(op)) {
        op->request = request_of(object, "request");
        op->etag = request_of(object, "etag");
        op->cache = cache_of(object);
        op->dropped_ns = number_of(object, "dropped_ns", INT64_MAX, false);
    }
}

static enum ps_status read_op(struct reader *reader, json_t *json)
{
    struct object object = {reader, json, PS_OK};
    struct ps_history *history = reader->history;
    struct ps_op op = {.id = number_of(&object, "id", INT64_MAX, true),
                       .invoke_ns = number_of(&object, "invoke_ns", INT64_MAX, true),
                       .complete_ns = number_of(&object, "complete_ns", INT64_MAX, true),
                       .eval_ns = number_of(&object, "eval_ns", INT64_MAX, true),
                       .lsn = number_of(&object, "lsn", INT64_MAX, true),
                       .digest = hex_of(&object, "digest", false),
                       .refresh_ns = number_of(&object, "refresh_ns", INT64_MAX, false),
                       .cache_ttl_ns = number_of(&object, "cache_ttl_ns", INT64_MAX, false),
                       .have_lsn = number_of(&object, "have_lsn", INT64_MAX, false),
                       .expires_unix_s = number_of(&object, "expires_unix_s", INT64_MAX, false),
                       .session = ps_intern_put(history->sessions, text_of(&object, "session")),
                       .key = ps_intern_put(history->keys, text_of(&object, "key")),
                       .boot = (uint32_t)number_of(&object, "boot", UINT32_MAX, false),
                       .list_limit = (uint32_t)number_of(&object, "list_limit", UINT32_MAX, false),
                       .pop = pop_of(&object, "pop"),
                       .store = store_of(&object, "store"),
                       .kind = kind_of(&object),
                       .error = error_of(&object),
                       .found = flag_of(&object, "found", false),
                       .late = flag_of(&object, "late", false),
                       .http_status =
                           (uint16_t)number_of(&object, "http_status", UINT16_MAX, false)};
    if (object.status == PS_OK) {
        type_of(&object, &op);
    }
    if (object.status != PS_OK) {
        return object.status;
    }
    if (op.complete_ns < op.invoke_ns) {
        return bad(reader, "\"complete_ns\" is before \"invoke_ns\"");
    }
    if (history->op_count > 0) {
        const struct ps_op *last = &history->ops[history->op_count - 1];
        if (op.complete_ns < last->complete_ns ||
            (op.complete_ns == last->complete_ns && op.id <= last->id)) {
            return bad(reader, "the lines are not in ascending order of complete_ns and id");
        }
    }
    ps_history_add(history, &op);
    return PS_OK;
}

/* ---- run ---- */

/* A member's JSON text, for the decoders of the parts below. */
static struct ps_slice dump(json_t *json, char **ret_owned)
{
    *ret_owned = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    return ps_slice_of(*ret_owned);
}

static enum ps_status read_cluster(struct object *run)
{
    struct reader *reader = run->reader;
    json_t *json = json_object_get(run->json, "cluster");
    if (!json_is_object(json)) {
        object_bad(run, "cluster", "an object");
        return run->status;
    }
    struct ps_cluster cluster;
    char *text;
    enum ps_status status = ps_cluster_decode(dump(json, &text), &cluster, reader->err);
    free(text);
    if (status != PS_OK) {
        ps_error_wrap(reader->err, "%s:%llu", reader->name, (unsigned long long)reader->line);
        return status;
    }
    ps_cluster_fini(reader->history->cluster);
    *reader->history->cluster = cluster;
    for (size_t i = 0; i < cluster.pop_count; i++) {
        const char *code = cluster.pops[i]->code;
        reader->pops[((code[0] - 'a') * LETTERS + (code[1] - 'a')) * LETTERS + (code[2] - 'a')] =
            (int16_t)i;
    }
    return PS_OK;
}

static enum ps_status read_links(struct object *run)
{
    struct reader *reader = run->reader;
    struct ps_history *history = reader->history;
    json_t *links = json_object_get(run->json, "links");
    if (!json_is_object(links)) {
        object_bad(run, "links", "an object");
        return run->status;
    }
    history->links = PS_NEW_ARRAY(struct ps_link, history->cluster->pop_count + 1);
    const char *code;
    json_t *json;
    json_object_foreach(links, code, json)
    {
        int pop = find_pop(reader, ps_slice_of(code));
        if (pop < 0) {
            return bad(reader, "\"links\": expected codes of PoPs of the cluster");
        }
        char *text;
        enum ps_status status =
            ps_link_decode(dump(json, &text), &history->links[pop], reader->err);
        free(text);
        if (status != PS_OK) {
            ps_error_wrap(reader->err, "%s:%llu: link of %s", reader->name,
                          (unsigned long long)reader->line, code);
            return status;
        }
    }
    return PS_OK;
}

static enum ps_status read_foreign(struct object *run)
{
    struct reader *reader = run->reader;
    struct ps_history *history = reader->history;
    json_t *list = json_object_get(run->json, "foreign");
    if (!json_is_array(list)) {
        object_bad(run, "foreign", "a list");
        return run->status;
    }
    history->foreign = PS_NEW_ARRAY(struct ps_foreign, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct object object = {reader, json_array_get(list, i), PS_OK};
        history->foreign[history->foreign_count++] = (struct ps_foreign){
            .store = store_of(&object, "store"),
            .lsn = number_of(&object, "lsn", INT64_MAX, true),
            .commit_ns = number_of(&object, "commit_ns", INT64_MAX, true),
            .key = ps_intern_put(history->keys, text_of(&object, "key")),
            .deleted = flag_of(&object, "deleted", true),
            .expires_unix_s = number_of(&object, "expires_unix_s", INT64_MAX, true),
            .digest = hex_of(&object, "digest", true),
            .run_ns = number_of(&object, "run_ns", INT64_MAX, false),
            .seed = hex_of(&object, "seed", false),
            .none = flag_of(&object, "none", false),
            .purge = flag_of(&object, "purge", false),
            .request = request_of(&object, "request"),
            .etag = request_of(&object, "etag")};
        if (object.status == PS_OK && history->foreign[i].lsn == 0) {
            object_bad(&object, "lsn", "a number from 1");
        }
        if (object.status != PS_OK) {
            return object.status;
        }
    }
    return PS_OK;
}

static enum ps_status read_downtimes(struct object *run)
{
    struct reader *reader = run->reader;
    struct ps_history *history = reader->history;
    json_t *list = json_object_get(run->json, "downtimes");
    if (!json_is_array(list)) {
        object_bad(run, "downtimes", "a list");
        return run->status;
    }
    history->downtimes = PS_NEW_ARRAY(struct ps_downtime, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        json_t *from = json_array_get(item, 1);
        json_t *until = json_array_get(item, 2);
        const char *code = json_string_value(json_array_get(item, 0));
        int pop = find_pop(reader, ps_slice_of(code));
        bool good =
            pop >= 0 && json_is_integer(from) && json_integer_value(from) >= 0 &&
            (json_is_null(until) ||
             (json_is_integer(until) && json_integer_value(until) >= json_integer_value(from)));
        if (!good) {
            return bad(reader, "\"downtimes\": expected [PoP, from, until or null]");
        }
        history->downtimes[history->downtime_count++] = (struct ps_downtime){
            .pop = (uint16_t)pop,
            .when = {(ps_time_ns)json_integer_value(from),
                     json_is_null(until) ? PS_NEVER : (ps_time_ns)json_integer_value(until)}};
    }
    return PS_OK;
}

static enum ps_status read_run(struct reader *reader, json_t *line)
{
    struct object run = {reader, json_object_get(line, "run"), PS_OK};
    if (!json_is_object(run.json)) {
        return bad(reader, "the first line has no \"run\": this is no history");
    }
    struct ps_history *history = reader->history;
    struct ps_slice scenario = text_of(&run, "scenario");
    struct ps_slice mode = text_of(&run, "mode");
    history->begin_ns = number_of(&run, "begin_ns", INT64_MAX, true);
    history->end_ns = number_of(&run, "end_ns", INT64_MAX, true);
    if (run.status != PS_OK) {
        return run.status;
    }
    history->scenario = ps_strndup(scenario.data, scenario.size);
    history->live = ps_slice_eq(mode, PS_LIT("live"));
    if (!history->live && !ps_slice_eq(mode, PS_LIT("virtual"))) {
        return bad(reader, "\"mode\": expected virtual or live");
    }
    enum ps_status status = read_cluster(&run);
    if (status == PS_OK) {
        status = read_links(&run);
    }
    if (status == PS_OK) {
        status = read_foreign(&run);
    }
    return status == PS_OK ? read_downtimes(&run) : status;
}

/* ---- lines ---- */

static enum ps_status read_line(struct reader *reader, const char *data, size_t size)
{
    reader->line++;
    if (size > (reader->line == 1 ? FIRST_LINE_SIZE_MAX : LINE_SIZE_MAX)) {
        (void)bad(reader, "the line is too long");
        if (reader->err != NULL) {
            reader->err->status = PS_LIMIT;
        }
        return PS_LIMIT;
    }
    json_error_t error;
    json_t *json = json_loadb(data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        return ps_fail(reader->err, PS_INVALID, "%s:%llu:%d: %s", reader->name,
                       (unsigned long long)reader->line, error.column, error.text);
    }
    enum ps_status status = PS_OK;
    if (!json_is_object(json)) {
        status = bad(reader, "expected an object");
    } else if (reader->line == 1) {
        status = read_run(reader, json);
    }
    if (status == PS_OK) {
        status = read_op(reader, json);
    }
    json_decref(json);
    return status;
}

static void reader_init(struct reader *reader, const char *name, struct ps_error *err)
{
    reader->history = ps_history_create();
    reader->name = name;
    reader->line = 0;
    reader->err = err;
    memset(reader->pops, 0xff, sizeof reader->pops);
}

static enum ps_status reader_finish(struct reader *reader, enum ps_status status,
                                    struct ps_history **ret)
{
    if (status == PS_OK && reader->line == 0) {
        status = ps_fail(reader->err, PS_INVALID, "%s: the history is empty", reader->name);
    }
    if (status == PS_OK) {
        *ret = reader->history;
    } else {
        ps_history_destroy(reader->history);
    }
    free(reader);
    return status;
}

enum ps_status ps_history_parse(struct ps_slice bytes, const char *name, struct ps_history **ret,
                                struct ps_error *err)
{
    struct reader *reader = PS_NEW(struct reader);
    reader_init(reader, name, err);
    enum ps_status status = PS_OK;
    for (size_t at = 0; at < bytes.size && status == PS_OK;) {
        const char *end = memchr(bytes.data + at, '\n', bytes.size - at);
        size_t size = end == NULL ? bytes.size - at : (size_t)(end - (bytes.data + at));
        status = read_line(reader, bytes.data + at, size);
        at += size + 1;
    }
    return reader_finish(reader, status, ret);
}

/* The line's bytes, at most one more than the bound, so that memory is bounded before it is taken.
 */
static bool next_line(FILE *file, size_t size_max, struct ps_buf *line)
{
    line->size = 0;
    int c;
    while (line->size <= size_max && (c = getc_unlocked(file)) != EOF) {
        if (c == '\n') {
            return true;
        }
        ps_buf_append_char(line, (char)c);
    }
    return line->size > 0;
}

enum ps_status ps_history_read(const char *path, struct ps_history **ret, struct ps_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return ps_fail(err, PS_NOT_FOUND, "%s: %s", path, strerror(errno));
    }
    struct reader *reader = PS_NEW(struct reader);
    reader_init(reader, path, err);
    struct ps_buf line = {0};
    enum ps_status status = PS_OK;
    while (status == PS_OK &&
           next_line(file, reader->line == 0 ? FIRST_LINE_SIZE_MAX : LINE_SIZE_MAX, &line)) {
        status = read_line(reader, line.data, line.size);
    }
    if (status == PS_OK && ferror(file)) {
        status = ps_fail(err, PS_IO, "%s: %s", path, strerror(errno));
    }
    ps_buf_fini(&line);
    (void)fclose(file);
    return reader_finish(reader, status, ret);
}
