#include "node/d1/request.h"

#include "node/d1/statement.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <string.h>

/* What a read request owns: the tree that texts point into, and its BLOBs. */
struct owner {
    json_t *root;
    char **blobs;
    size_t blob_count;
    size_t blob_capacity;
};

enum ps_d1_format ps_d1_format_of(struct ps_slice name)
{
    return ps_slice_eq(name, PS_LIT("ROWS_AND_COLUMNS")) ? PS_D1_ROWS_AND_COLUMNS
                                                         : PS_D1_ARRAY_OF_OBJECTS;
}

static enum ps_status read_blob(struct owner *owner, const json_t *array, struct ps_slice *ret)
{
    size_t size = json_array_size(array);
    char *bytes = ps_calloc(size == 0 ? 1 : size, 1);
    owner->blobs = ps_grow(owner->blobs, owner->blob_count, &owner->blob_capacity, sizeof(char *));
    owner->blobs[owner->blob_count++] = bytes;
    for (size_t i = 0; i < size; i++) {
        const json_t *item = json_array_get(array, i);
        double number = json_is_number(item) ? json_number_value(item) : -1;
        if (!(number >= 0 && number <= UINT8_MAX) || number != (double)(unsigned char)number) {
            return PS_INVALID;
        }
        bytes[i] = (char)(unsigned char)number;
    }
    *ret = (struct ps_slice){bytes, size};
    return PS_OK;
}

static enum ps_status read_value(struct owner *owner, const json_t *json, struct ps_d1_value *ret)
{
    *ret = (struct ps_d1_value){.kind = PS_D1_NULL};
    if (json_is_number(json)) {
        *ret = (struct ps_d1_value){.kind = PS_D1_NUMBER, .number = json_number_value(json)};
    } else if (json_is_boolean(json)) {
        *ret = (struct ps_d1_value){.kind = PS_D1_NUMBER, .number = json_is_true(json) ? 1 : 0};
    } else if (json_is_string(json)) {
        ret->kind = PS_D1_TEXT;
        ret->bytes = (struct ps_slice){json_string_value(json), json_string_length(json)};
    } else if (json_is_array(json)) {
        ret->kind = PS_D1_BLOB;
        return read_blob(owner, json, &ret->bytes);
    } else if (!json_is_null(json)) {
        return PS_INVALID;
    }
    return PS_OK;
}

static enum ps_status read_statement(struct owner *owner, const json_t *json, size_t i,
                                     struct ps_d1_statement *ret, struct ps_error *err)
{
    const json_t *sql = json_object_get(json, "sql");
    const json_t *params = json_object_get(json, "params");
    if (!json_is_string(sql)) {
        return ps_fail(err, PS_INVALID, "statement %zu: \"sql\" is no string", i);
    }
    if (params != NULL && !json_is_null(params) && !json_is_array(params)) {
        return ps_fail(err, PS_INVALID, "statement %zu: \"params\" is no array", i);
    }
    size_t count = json_array_size(params); /* 0 for what is no array */
    if (count > PS_D1_PARAMS_MAX) {
        return ps_fail(err, PS_LIMIT, "statement %zu: %zu parameters, %d are allowed", i, count,
                       PS_D1_PARAMS_MAX);
    }
    ret->sql = (struct ps_slice){json_string_value(sql), json_string_length(sql)};
    ret->params = count == 0 ? NULL : PS_NEW_ARRAY(struct ps_d1_value, count);
    ret->param_count = count;
    for (size_t k = 0; k < count; k++) {
        if (read_value(owner, json_array_get(params, k), &ret->params[k]) != PS_OK) {
            return ps_fail(err, PS_INVALID,
                           "statement %zu: parameter %zu is no number, string, null, boolean or "
                           "array of bytes",
                           i, k);
        }
    }
    return PS_OK;
}

static enum ps_status read_list(struct owner *owner, const json_t *list, struct ps_d1_request *ret,
                                struct ps_error *err)
{
    size_t count = json_array_size(list);
    if (count > PS_D1_STATEMENTS_MAX) {
        return ps_fail(err, PS_LIMIT, "%zu statements, %d are allowed", count,
                       PS_D1_STATEMENTS_MAX);
    }
    ret->statements = count == 0 ? NULL : PS_NEW_ARRAY(struct ps_d1_statement, count);
    ret->count = count;
    ret->array = true;
    enum ps_status status = PS_OK;
    for (size_t i = 0; status == PS_OK && i < count; i++) {
        status = read_statement(owner, json_array_get(list, i), i, &ret->statements[i], err);
    }
    return status;
}

static enum ps_status read_root(struct owner *owner, struct ps_d1_request *ret,
                                struct ps_error *err)
{
    const json_t *root = owner->root;
    const json_t *batch = json_object_get(root, "batch");
    if (json_is_array(root) || json_is_array(batch)) {
        return read_list(owner, json_is_array(root) ? root : batch, ret, err);
    }
    if (!json_is_object(root)) {
        return ps_fail(err, PS_INVALID, "neither an object nor an array");
    }
    ret->statements = PS_NEW(struct ps_d1_statement);
    ret->count = 1;
    return read_statement(owner, root, 0, ret->statements, err);
}

enum ps_status ps_d1_request_read(struct ps_slice body, struct ps_d1_request *ret,
                                  struct ps_error *err)
{
    *ret = (struct ps_d1_request){0};
    if (body.size > PS_D1_BODY_SIZE_MAX) {
        return ps_fail(err, PS_LIMIT, "a body of %zu bytes, %d are allowed", body.size,
                       PS_D1_BODY_SIZE_MAX);
    }
    json_error_t where;
    struct owner *owner = PS_NEW(struct owner);
    ret->owner = owner;
    owner->root = json_loadb(body.size == 0 ? "" : body.data, body.size,
                             JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &where);
    enum ps_status status = owner->root == NULL
                                ? ps_fail(err, PS_INVALID, "no JSON: %s", where.text)
                                : read_root(owner, ret, err);
    if (status != PS_OK) {
        ps_d1_request_fini(ret);
    }
    return status;
}

void ps_d1_request_fini(struct ps_d1_request *request)
{
    struct owner *owner = request->owner;
    if (owner != NULL) {
        for (size_t i = 0; i < request->count; i++) {
            free(request->statements[i].params);
        }
        for (size_t i = 0; i < owner->blob_count; i++) {
            free(owner->blobs[i]);
        }
        free(request->statements);
        free(owner->blobs);
        json_decref(owner->root);
        free(owner);
    }
    *request = (struct ps_d1_request){0};
}

bool ps_d1_body_only_reads(struct ps_slice body)
{
    struct ps_d1_request request;
    if (ps_d1_request_read(body, &request, NULL) != PS_OK) {
        return false;
    }
    bool reads = request.count > 0;
    for (size_t i = 0; i < request.count && reads; i++) {
        reads = ps_d1_text_only_reads(request.statements[i].sql);
    }
    ps_d1_request_fini(&request);
    return reads;
}
