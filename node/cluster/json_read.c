#include "node/cluster/json_read.h"

#include "replication/base/assert.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEX_DIGITS = 16 };

void ps_json_read_fail(struct ps_json_reader *reader, const char *name, const char *reason)
{
    if (reader->status == PS_OK) {
        reader->status = ps_fail(reader->err, PS_INVALID, "%s%s: %s", reader->path, name, reason);
    }
}

size_t ps_json_read_enter(struct ps_json_reader *reader, const char *format, ...)
{
    size_t before = reader->path_size;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(reader->path + before, sizeof reader->path - before, format, args);
    va_end(args);
    PS_ASSERT(size >= 0 && (size_t)size < sizeof reader->path - before);
    reader->path_size = before + (size_t)size;
    return before;
}

void ps_json_read_leave(struct ps_json_reader *reader, size_t path_size)
{
    reader->path_size = path_size;
    reader->path[path_size] = '\0';
}

enum ps_status ps_json_read_parse(struct ps_slice bytes, json_t **ret, struct ps_error *err)
{
    json_error_t reason;
    *ret =
        json_loadb(bytes.size == 0 ? "" : bytes.data, bytes.size, JSON_REJECT_DUPLICATES, &reason);
    if (*ret == NULL) {
        return ps_fail(err, PS_INVALID, "line %d, column %d: %s", reason.line, reason.column,
                       reason.text);
    }
    return PS_OK;
}

uint64_t ps_json_read_u64(struct ps_json_reader *reader, const json_t *object, const char *name,
                          uint64_t max)
{
    const json_t *member = json_object_get(object, name);
    json_int_t value = json_integer_value(member);
    if (!json_is_integer(member) || value < 0 || (uint64_t)value > max) {
        ps_json_read_fail(reader, name, "a whole number within its range is expected");
        return 0;
    }
    return (uint64_t)value;
}

bool ps_json_read_bool(struct ps_json_reader *reader, const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_boolean(member)) {
        ps_json_read_fail(reader, name, "true or false is expected");
    }
    return json_is_true(member);
}

double ps_json_read_double(struct ps_json_reader *reader, const json_t *object, const char *name)
{
    struct ps_slice text = ps_json_read_text(reader, object, name);
    char digits[HEX_DIGITS + 1] = {0};
    if (text.size == HEX_DIGITS) {
        memcpy(digits, text.data, HEX_DIGITS);
    }
    uint64_t bits = strtoull(digits, NULL, 16);
    double value;
    memcpy(&value, &bits, sizeof value);
    bool all_digits = strspn(digits, "0123456789abcdef") == HEX_DIGITS;
    if (text.size != HEX_DIGITS || !all_digits || !isfinite(value)) {
        ps_json_read_fail(reader, name, "16 hex digits of a finite number are expected");
        return 0;
    }
    return value;
}

struct ps_slice ps_json_read_text(struct ps_json_reader *reader, const json_t *object,
                                  const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member)) {
        ps_json_read_fail(reader, name, "a string is expected");
        return (struct ps_slice){0};
    }
    return (struct ps_slice){json_string_value(member), json_string_length(member)};
}

size_t ps_json_read_name(struct ps_json_reader *reader, const json_t *object, const char *name,
                         const char *const *names, size_t count)
{
    struct ps_slice text = ps_json_read_text(reader, object, name);
    for (size_t i = 0; i < count; i++) {
        if (ps_slice_eq(text, ps_slice_of(names[i]))) {
            return i;
        }
    }
    ps_json_read_fail(reader, name, "an unknown name");
    return 0;
}

json_t *ps_json_read_array(struct ps_json_reader *reader, const json_t *object, const char *name,
                           size_t max)
{
    json_t *member = json_object_get(object, name);
    if (!json_is_array(member) || json_array_size(member) > max) {
        ps_json_read_fail(reader, name, "an array within its limit is expected");
        return NULL;
    }
    return member;
}
