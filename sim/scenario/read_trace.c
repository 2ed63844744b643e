/* A trace: JSON Lines, one operation each.
 *
 *   {"at": "1.5s", "pop": "fra", "op": "kv.put", "store": "CACHE", "key": "a", "value": "1"}
 *
 * Texts are literal: a trace has no generators. */
#include "replication/base/memory.h"
#include "sim/scenario/read.h"
#include "sim/scenario/utf8.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

static const char *const FIELDS[] = {"at",           "pop",      "op",           "store",
                                     "key",          "value",    "cacheTtl",     "expirationTtl",
                                     "expiration",   "metadata", "prefix",       "limit",
                                     "session",      "sql",      "params",       "statements",
                                     "withSession",  "size",     "httpMetadata", "customMetadata",
                                     "storageClass", "onlyIf",   "keys",         "delimiter",
                                     "everything"};

struct trace {
    struct ps_reader *reader;
    const char *path;
    struct ps_slice text; /* the line */
    size_t line;
    ps_time_ns last_ns;
};

static enum ps_status refuse(struct trace *trace, const char *format, ...) PS_PRINTF(2, 3);

static enum ps_status refuse(struct trace *trace, const char *format, ...)
{
    char text[PS_ERROR_TEXT_SIZE / 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ps_fail(trace->reader->err, PS_INVALID, "%s:%zu:1: %s", trace->path, trace->line, text);
}

/** A member that is a string; *ret empty if it is not there. */
static enum ps_status text_of(struct trace *trace, const json_t *object, const char *field,
                              bool needed, struct ps_slice *ret)
{
    const json_t *value = json_object_get(object, field);
    *ret = (struct ps_slice){"", 0};
    if (value == NULL && !needed) {
        return PS_OK;
    }
    if (!json_is_string(value)) {
        return refuse(trace,
                      value == NULL ? "found no \"%s\", expected a string"
                                    : "found \"%s\" that is no string, expected one",
                      field);
    }
    *ret = (struct ps_slice){json_string_value(value), json_string_length(value)};
    return PS_OK;
}

/** A duration: "1.5s", or a number of seconds. */
static enum ps_status time_of(struct trace *trace, const json_t *object, const char *field,
                              ps_dur_ns *ret)
{
    const json_t *value = json_object_get(object, field);
    struct ps_slice text = {json_string_value(value), json_string_length(value)};
    if (json_is_string(value) && ps_dur_parse(text, ret) == PS_OK) {
        return PS_OK;
    }
    if (json_is_number(value) && json_number_value(value) >= 0 &&
        json_number_value(value) < 3.2e9) {
        double seconds = json_number_value(value);
        uint64_t whole = (uint64_t)seconds;
        *ret = whole * PS_SECOND + (uint64_t)((seconds - (double)whole) * 1e9 + 0.5);
        return PS_OK;
    }
    return refuse(trace,
                  value == NULL ? "found no \"%s\", expected a time, such as \"1.5s\" or 1.5"
                                : "found \"%s\" that is no time, expected \"1.5s\" or seconds",
                  field);
}

static enum ps_status seconds_of(struct trace *trace, const json_t *object, const char *field,
                                 uint64_t least_s, ps_dur_ns *ret)
{
    if (json_object_get(object, field) == NULL) {
        return PS_OK;
    }
    enum ps_status status = time_of(trace, object, field, ret);
    if (status == PS_OK && (*ret < least_s * PS_SECOND || *ret % PS_SECOND != 0)) {
        status = refuse(trace, "found \"%s\" out of range, expected whole seconds, at least %llu",
                        field, (unsigned long long)least_s);
    }
    return status;
}

static enum ps_status integer_of(struct trace *trace, const json_t *object, const char *field,
                                 int64_t least, int64_t most, int64_t *ret)
{
    const json_t *value = json_object_get(object, field);
    if (value == NULL) {
        return PS_OK;
    }
    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most) {
        return refuse(trace, "found \"%s\" out of range, expected an integer from %lld to %lld",
                      field, (long long)least, (long long)most);
    }
    *ret = json_integer_value(value);
    return PS_OK;
}

static enum ps_status check_type(struct trace *trace, const struct ps_store *store,
                                 enum ps_verb verb)
{
    enum ps_store_type type = ps_verb_store_type(verb);
    if (store->type == type) {
        return PS_OK;
    }
    return refuse(trace, "found store \"%s\" of type %s, expected one of type %s for %s",
                  store->name, ps_store_type_name(store->type), ps_store_type_name(type),
                  ps_verb_name(verb));
}

static enum ps_status read_place(struct trace *trace, const json_t *object, struct ps_trace_op *op)
{
    struct ps_scenario *scenario = trace->reader->scenario;
    struct ps_slice pop, store, verb;
    enum ps_status status = time_of(trace, object, "at", &op->at_ns);
    if (status == PS_OK && op->at_ns < trace->last_ns) {
        status = refuse(trace, "found an \"at\" before the line above's, expected ascending times");
    }
    if (status == PS_OK && op->at_ns >= scenario->duration_ns) {
        status =
            refuse(trace, "found an \"at\" beyond the run's duration, expected one before its end");
    }
    trace->last_ns = op->at_ns;
    if (status == PS_OK) {
        status = text_of(trace, object, "pop", true, &pop);
    }
    if (status == PS_OK) {
        status = text_of(trace, object, "store", true, &store);
    }
    if (status == PS_OK) {
        status = text_of(trace, object, "op", true, &verb);
    }
    if (status != PS_OK) {
        return status;
    }
    int index = ps_cluster_find_pop(&scenario->cluster, pop);
    if (index < 0) {
        return refuse(trace, "found PoP \"%.40s\", expected one of this cluster", pop.data);
    }
    op->pop = (uint16_t)index;
    index = ps_cluster_find_store(&scenario->cluster, store);
    if (index < 0) {
        return refuse(trace, "found store \"%.40s\", expected a store of this scenario",
                      store.data);
    }
    op->action.store = (uint16_t)index;
    for (int i = 0; i < PS_VERBS; i++) {
        if (ps_slice_eq(verb, ps_slice_of(ps_verb_name((enum ps_verb)i)))) {
            op->action.verb = (enum ps_verb)i;
            return check_type(trace, &scenario->cluster.stores[index], op->action.verb);
        }
    }
    return refuse(trace, "found op \"%.40s\", expected one of " PS_SCENARIO_VERBS, verb.data);
}

/* Whose operation it is: one per PoP where the line does not say. */
static enum ps_status read_session(struct trace *trace, const json_t *object,
                                   struct ps_trace_op *op)
{
    struct ps_slice session;
    enum ps_status status = text_of(trace, object, "session", false, &session);
    if (status == PS_OK && session.size > PS_SCENARIO_NAME_MAX) {
        return refuse(trace, "found a session of %zu bytes, expected at most 200", session.size);
    }
    if (status == PS_OK && session.size > 0) {
        op->session = ps_strndup(session.data, session.size);
    }
    return status;
}

static enum ps_status read_param(struct trace *trace, const json_t *json, struct ps_param *ret)
{
    if (json_is_string(json)) {
        ret->kind = PS_PARAM_TEXT;
        ps_text_init_literal(&ret->text,
                             (struct ps_slice){json_string_value(json), json_string_length(json)});
    } else if (json_is_number(json)) {
        ps_param_number(ret, json_number_value(json));
    } else if (json_is_boolean(json)) {
        ps_param_number(ret, json_is_true(json) ? 1 : 0);
    } else if (!json_is_null(json)) {
        return refuse(trace, "found a parameter that is a list or an object, expected a string, a "
                             "number, true, false or null");
    }
    return PS_OK;
}

static enum ps_status read_statement(struct trace *trace, const json_t *object,
                                     struct ps_statement *ret)
{
    struct ps_slice sql;
    enum ps_status status = text_of(trace, object, "sql", true, &sql);
    if (status != PS_OK) {
        return status;
    }
    if (sql.size == 0) {
        return refuse(trace, "found an empty \"sql\", expected a statement");
    }
    ps_text_init_literal(&ret->sql, sql);
    const json_t *params = json_object_get(object, "params");
    size_t count = json_array_size(params); /* 0 for what is no array */
    if ((params != NULL && !json_is_array(params)) || count > PS_SCENARIO_PARAMS_MAX) {
        return refuse(trace, "found \"params\" that is no list of at most 100, expected one");
    }
    ret->params = count == 0 ? NULL : PS_NEW_ARRAY(struct ps_param, count);
    for (size_t i = 0; i < count && status == PS_OK; i++) {
        ret->param_count = i + 1;
        status = read_param(trace, json_array_get(params, i), &ret->params[i]);
    }
    return status;
}

static enum ps_status read_d1(struct trace *trace, const json_t *object, struct ps_trace_op *op)
{
    struct ps_action *action = &op->action;
    struct ps_slice session;
    enum ps_status status = text_of(trace, object, "withSession", false, &session);
    if (status == PS_OK && session.size > 0 &&
        ps_d1_session_find(session, &action->session) != PS_OK) {
        status = refuse(trace,
                        "found \"withSession\" \"%.40s\", expected first-primary, "
                        "first-unconstrained, bookmark or bookmark-primary",
                        session.data);
    }
    bool batch = action->verb == PS_VERB_D1_BATCH;
    const json_t *list = json_object_get(object, "statements");
    size_t count = batch ? json_array_size(list) : 1;
    if (status == PS_OK && (count == 0 || count > PS_SCENARIO_STATEMENTS_MAX)) {
        status =
            refuse(trace, "found no \"statements\" that are a list of 1 to 1000, expected one");
    }
    if (status != PS_OK) {
        return status;
    }
    action->statements = PS_NEW_ARRAY(struct ps_statement, count);
    for (size_t i = 0; i < count && status == PS_OK; i++) {
        const json_t *item = batch ? json_array_get(list, i) : object;
        action->statement_count = i + 1;
        status = read_statement(trace, item, &action->statements[i]);
    }
    if (status == PS_OK && ps_statements_size(action) > PS_SCENARIO_REQUEST_MAX) {
        status = refuse(trace, "found statements and parameters of %zu bytes, expected at most %d",
                        ps_statements_size(action), (int)PS_SCENARIO_REQUEST_MAX);
    }
    return status;
}

static void set_lines(struct ps_yaml *node, int line)
{
    node->line = line;
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys != NULL) {
            node->keys[i]->line = line;
        }
        set_lines(node->items[i], line); /* as deep as PS_YAML_NESTING_MAX */
    }
}

/* JSON is YAML, and R2's options are many: they are read as a scenario's are. */
static enum ps_status read_r2(struct trace *trace, struct ps_trace_op *op)
{
    struct ps_reader reader = *trace->reader;
    struct ps_yaml *root = NULL;
    struct ps_error err = {0};
    reader.path = trace->path;
    reader.literal = true;
    if (ps_yaml_parse(trace->text, trace->path, &root, &err) != PS_OK) {
        return refuse(trace, "found a line that is no YAML, expected one object of plain JSON");
    }
    set_lines(root, (int)trace->line);
    enum ps_status status = ps_read_r2(&reader, root, &op->action);
    ps_yaml_destroy(root);
    return status;
}

static enum ps_status read_texts(struct trace *trace, const json_t *object, struct ps_trace_op *op)
{
    struct ps_slice key, value;
    bool list = op->action.verb == PS_VERB_KV_LIST, put = op->action.verb == PS_VERB_KV_PUT;
    enum ps_status status = text_of(trace, object, list ? "prefix" : "key", !list, &key);
    if (status == PS_OK && ((!list && key.size == 0) || key.size > PS_SCENARIO_KEY_MAX)) {
        status = refuse(trace, "found a key of %zu bytes, expected 1 to 512", key.size);
    }
    if (status == PS_OK) {
        status = text_of(trace, object, "value", put, &value);
    }
    if (status != PS_OK) {
        return status;
    }
    ps_text_init_literal(&op->action.key, key);
    ps_text_init_literal(&op->action.value, value);
    const json_t *metadata = json_object_get(object, "metadata");
    if (metadata != NULL) {
        char *json = json_dumps(metadata, JSON_COMPACT | JSON_ENCODE_ANY);
        size_t size = json != NULL ? strlen(json) : 0;
        if (size > PS_SCENARIO_METADATA_MAX) {
            status =
                refuse(trace, "found metadata of %zu bytes as JSON, expected at most 1024", size);
        } else {
            ps_text_init_literal(&op->action.metadata, (struct ps_slice){json, size});
        }
        free(json);
    }
    return status;
}

static enum ps_status read_op(struct trace *trace, const json_t *object, struct ps_trace_op *op)
{
    const char *field;
    json_t *value;
    if (!json_is_object(object)) {
        return refuse(trace, "found no object, expected one operation");
    }
    json_object_foreach((json_t *)(uintptr_t)object, field, value)
    {
        bool known = false;
        for (size_t i = 0; i < PS_COUNT(FIELDS); i++) {
            known = known || strcmp(field, FIELDS[i]) == 0;
        }
        if (!known) {
            return refuse(trace,
                          "found \"%.40s\", expected only the fields of a trace (scenarios/"
                          "README.md lists them)",
                          field);
        }
    }
    op->action.weight = 1;
    int64_t limit = 0;
    enum ps_status status = read_place(trace, object, op);
    if (status == PS_OK) {
        status = read_session(trace, object, op);
    }
    if (status == PS_OK && ps_verb_is_d1(op->action.verb)) {
        return read_d1(trace, object, op);
    }
    if (status == PS_OK && ps_verb_is_r2(op->action.verb)) {
        return read_r2(trace, op);
    }
    if (status == PS_OK) {
        status = read_texts(trace, object, op);
    }
    if (status == PS_OK) {
        status = seconds_of(trace, object, "cacheTtl", PS_SCENARIO_CACHE_TTL_S_MIN,
                            &op->action.cache_ttl_ns);
    }
    if (status == PS_OK) {
        status = seconds_of(trace, object, "expirationTtl", PS_SCENARIO_TTL_S_MIN,
                            &op->action.expiration_ttl_ns);
    }
    if (status == PS_OK) {
        status = integer_of(trace, object, "expiration", 1, 253402300799, &op->action.expiration_s);
    }
    if (status == PS_OK) {
        status = integer_of(trace, object, "limit", 1, PS_SCENARIO_LIST_MAX, &limit);
    }
    op->action.limit = (uint32_t)limit;
    return status;
}

static enum ps_status read_line(struct trace *trace, struct ps_slice text,
                                struct ps_workload *workload, size_t *capacity)
{
    json_error_t error;
    if (workload->trace_count == PS_SCENARIO_TRACE_MAX) {
        return refuse(trace, "found more than 1000000 operations, expected at most 1000000");
    }
    if (text.size > PS_SCENARIO_LINE_MAX) {
        return refuse(trace, "found a line of %zu bytes, expected at most %d", text.size,
                      (int)PS_SCENARIO_LINE_MAX);
    }
    json_t *object = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        return ps_fail(trace->reader->err, PS_INVALID,
                       "%s:%zu:%d: found a mistake in the JSON: %s, expected one object",
                       trace->path, trace->line, error.column > 0 ? error.column : 1, error.text);
    }
    struct ps_trace_op op = {0};
    trace->text = text;
    enum ps_status status = read_op(trace, object, &op);
    json_decref(object);
    if (status != PS_OK) {
        ps_action_fini(&op.action);
        free(op.session);
        return status;
    }
    workload->trace = ps_grow(workload->trace, workload->trace_count, capacity, sizeof op);
    workload->trace[workload->trace_count++] = op;
    return PS_OK;
}

enum ps_status ps_read_trace(struct ps_reader *reader, const struct ps_yaml *node,
                             struct ps_workload *workload)
{
    struct ps_buf path = {0}, bytes = {0};
    size_t at = 0, capacity = 0;
    enum ps_status status = ps_read_file(reader, node, &path, &bytes);
    struct trace trace = {.reader = reader, .path = ps_buf_text(&path)};
    while (status == PS_OK && at < bytes.size) {
        const char *end = memchr(bytes.data + at, '\n', bytes.size - at);
        size_t until = end != NULL ? (size_t)(end - bytes.data) : bytes.size;
        struct ps_slice text = {bytes.data + at, until - at};
        at = until + 1;
        trace.line++;
        while (text.size > 0 &&
               (text.data[text.size - 1] == '\r' || text.data[text.size - 1] == ' ')) {
            text.size--;
        }
        if (text.size > 0) {
            status = read_line(&trace, text, workload, &capacity);
        }
    }
    if (status == PS_OK && workload->trace_count == 0) {
        status = ps_found(reader, node, "a trace with at least one operation");
    }
    ps_buf_fini(&path);
    ps_buf_fini(&bytes);
    return status;
}
