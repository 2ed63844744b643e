/* D1 operations: statements, their parameters, the session they are run in. */
#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <stdio.h>
#include <string.h>

/* The index is enum ps_d1_session. */
static const char *const SESSIONS[] = {"", "first-primary", "first-unconstrained", "bookmark",
                                       "bookmark-primary"};

const char *ps_d1_session_name(enum ps_d1_session session)
{
    return SESSIONS[session];
}

enum ps_status ps_d1_session_find(struct ps_slice name, enum ps_d1_session *ret)
{
    for (size_t i = 1; i < PS_COUNT(SESSIONS); i++) {
        if (ps_slice_eq(name, ps_slice_of(SESSIONS[i]))) {
            *ret = (enum ps_d1_session)i;
            return PS_OK;
        }
    }
    return PS_NOT_FOUND;
}

bool ps_verb_is_d1(enum ps_verb verb)
{
    return verb == PS_VERB_D1_QUERY || verb == PS_VERB_D1_BATCH;
}

static void statement_fini(struct ps_statement *statement)
{
    ps_text_fini(&statement->sql);
    for (size_t i = 0; i < statement->param_count; i++) {
        ps_text_fini(&statement->params[i].text);
    }
    free(statement->params);
}

void ps_statements_fini(struct ps_action *action)
{
    for (size_t i = 0; i < action->statement_count; i++) {
        statement_fini(&action->statements[i]);
    }
    free(action->statements);
    action->statements = NULL;
    action->statement_count = 0;
}

size_t ps_statements_size(const struct ps_action *action)
{
    size_t size = 0;
    for (size_t i = 0; i < action->statement_count; i++) {
        const struct ps_statement *statement = &action->statements[i];
        size_t least, most;
        ps_text_sizes(&statement->sql, &least, &most);
        size += most;
        for (size_t k = 0; k < statement->param_count; k++) {
            ps_text_sizes(&statement->params[k].text, &least, &most);
            size += most;
        }
    }
    return size;
}

void ps_param_number(struct ps_param *param, double number)
{
    char text[32];
    int precision = 15;
    do { /* the shortest digits that read back as the number */
        (void)snprintf(text, sizeof text, "%.*g", precision, number);
    } while (precision++ < 17 && strtod(text, NULL) != number);
    param->kind = PS_PARAM_NUMBER;
    ps_text_init_literal(&param->text, ps_slice_of(text));
}

/* {number: "{uniform(1, 100)}"} */
static enum ps_status read_drawn_number(struct ps_reader *reader, const struct ps_yaml *node,
                                        struct ps_param *param)
{
    static const char *const KEYS[] = {"number"};
    static const char EXPECTED[] =
        "one generator of numbers, as in {number: \"{uniform(1, 100)}\"}";
    const struct ps_yaml *text = NULL;
    enum ps_status status = ps_read_keys(reader, node, "a parameter", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK) {
        status = ps_read_member(reader, node, "number", EXPECTED, &text);
    }
    if (status == PS_OK) {
        status = ps_read_template(reader, text, EXPECTED, &param->text);
    }
    if (status != PS_OK) {
        return status;
    }
    param->kind = PS_PARAM_NUMBER;
    const struct ps_piece *piece = param->text.count == 1 ? &param->text.pieces[0] : NULL;
    bool number = piece != NULL && (piece->kind == PS_PIECE_UNIFORM ||
                                    piece->kind == PS_PIECE_ZIPF || piece->kind == PS_PIECE_SEQ);
    return number ? PS_OK : ps_found(reader, text, EXPECTED);
}

static enum ps_status read_param(struct ps_reader *reader, const struct ps_yaml *node,
                                 struct ps_param *param)
{
    static const char EXPECTED[] =
        "a parameter: a text, a number, true, false, null or {number: \"{uniform(1, 100)}\"}";
    double number = 0;
    if (node->kind == PS_YAML_MAP) {
        return read_drawn_number(reader, node, param);
    }
    if (node->kind == PS_YAML_LIST) {
        return ps_found(reader, node, EXPECTED);
    }
    if (ps_yaml_is_null(node)) {
        param->kind = PS_PARAM_NULL;
        return PS_OK;
    }
    if (node->plain && ps_number_double(ps_yaml_slice(node), &number)) {
        ps_param_number(param, number);
        return PS_OK;
    }
    if (node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        ps_param_number(param, node->text[0] == 't' ? 1 : 0);
        return PS_OK;
    }
    param->kind = PS_PARAM_TEXT;
    return ps_read_template(reader, node, EXPECTED, &param->text);
}

static enum ps_status read_statement(struct ps_reader *reader, const struct ps_yaml *node,
                                     struct ps_statement *statement)
{
    const struct ps_yaml *sql = NULL;
    size_t least = 0, most = 0;
    enum ps_status status = ps_read_member(reader, node, "sql", "a statement", &sql);
    if (status == PS_OK) {
        status = ps_read_template(reader, sql, "a statement", &statement->sql);
    }
    if (status == PS_OK) {
        ps_text_sizes(&statement->sql, &least, &most);
        if (least == 0) {
            status = ps_refuse(reader, sql, "found an empty text, expected a statement");
        }
    }
    const struct ps_yaml *params = ps_yaml_get(node, "params");
    if (status != PS_OK || params == NULL) {
        return status;
    }
    if (params->kind != PS_YAML_LIST || params->count > PS_SCENARIO_PARAMS_MAX) {
        return ps_found(reader, params, "a list of at most 100 parameters, as in [1, \"two\"]");
    }
    if (params->count > 0) {
        statement->params = PS_NEW_ARRAY(struct ps_param, params->count);
    }
    for (size_t i = 0; i < params->count && status == PS_OK; i++) {
        statement->param_count = i + 1;
        status = read_param(reader, params->items[i], &statement->params[i]);
    }
    return status;
}

static enum ps_status read_batch(struct ps_reader *reader, const struct ps_yaml *node,
                                 struct ps_action *action)
{
    static const char *const KEYS[] = {"sql", "params"};
    const struct ps_yaml *list = NULL;
    enum ps_status status = ps_read_member(reader, node, "statements",
                                           "a list, as in statements: [{sql: ...}, ...]", &list);
    if (status != PS_OK) {
        return status;
    }
    if (list->kind != PS_YAML_LIST || list->count == 0 ||
        list->count > PS_SCENARIO_STATEMENTS_MAX) {
        return ps_found(reader, list, "a list of 1 to 1000 statements, as in [{sql: ...}, ...]");
    }
    action->statements = PS_NEW_ARRAY(struct ps_statement, list->count);
    for (size_t i = 0; i < list->count && status == PS_OK; i++) {
        status = ps_read_keys(reader, list->items[i], "a statement", KEYS, PS_COUNT(KEYS));
        if (status == PS_OK) {
            action->statement_count = i + 1;
            status = read_statement(reader, list->items[i], &action->statements[i]);
        }
    }
    return status;
}

enum ps_status ps_read_d1(struct ps_reader *reader, const struct ps_yaml *node,
                          struct ps_action *action)
{
    enum ps_status status = PS_OK;
    const struct ps_yaml *session = ps_yaml_get(node, "withSession");
    if (session != NULL) {
        size_t index = 0;
        status = ps_read_choice(reader, session, SESSIONS + 1, PS_COUNT(SESSIONS) - 1, &index);
        action->session = (enum ps_d1_session)(index + 1);
    }
    if (status == PS_OK && action->verb == PS_VERB_D1_BATCH) {
        status = read_batch(reader, node, action);
    } else if (status == PS_OK) {
        action->statements = PS_NEW(struct ps_statement);
        action->statement_count = 1;
        status = read_statement(reader, node, &action->statements[0]);
    }
    if (status == PS_OK && ps_statements_size(action) > PS_SCENARIO_REQUEST_MAX) {
        status = ps_refuse(reader, node,
                           "found statements and parameters of up to %zu bytes, expected at most "
                           "%d",
                           ps_statements_size(action), (int)PS_SCENARIO_REQUEST_MAX);
    }
    return status;
}

/* ---- a store's schema ---- */

static enum ps_status read_schema_text(struct ps_reader *reader, const struct ps_yaml *node,
                                       bool file, struct ps_buf *ret)
{
    if (!file) {
        struct ps_slice text = {0};
        enum ps_status status = ps_read_text(reader, node, "SQL", &text);
        ps_buf_append_slice(ret, text);
        return status;
    }
    struct ps_buf path = {0};
    enum ps_status status = ps_read_file(reader, node, &path, ret);
    ps_buf_fini(&path);
    return status;
}

enum ps_status ps_read_schema(struct ps_reader *reader, const struct ps_yaml *store, char **ret)
{
    const struct ps_yaml *file = ps_yaml_get(store, "schema");
    const struct ps_yaml *inline_sql = ps_yaml_get(store, "schema_sql");
    if (file == NULL && inline_sql == NULL) {
        return PS_OK;
    }
    if (file != NULL && inline_sql != NULL) {
        return ps_refuse(reader, inline_sql,
                         "found both schema and schema_sql, expected one of them");
    }
    const struct ps_yaml *node = file != NULL ? file : inline_sql;
    struct ps_buf sql = {0};
    enum ps_status status = read_schema_text(reader, node, file != NULL, &sql);
    if (status == PS_OK && sql.size > PS_SCENARIO_SCHEMA_MAX) {
        status = ps_refuse(reader, node, "found %zu bytes of SQL, expected at most %d", sql.size,
                           (int)PS_SCENARIO_SCHEMA_MAX);
    } else if (status == PS_OK && (sql.size == 0 || memchr(sql.data, 0, sql.size) != NULL)) {
        status = ps_refuse(reader, node, "found %s, expected SQL",
                           sql.size == 0 ? "nothing" : "a NUL byte in the SQL");
    }
    if (status == PS_OK) {
        *ret = ps_strndup(sql.data, sql.size);
    }
    ps_buf_fini(&sql);
    return status;
}
