#include "sim/scenario/read.h"

#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct ps_slice ps_yaml_slice(const struct ps_yaml *scalar)
{
    return (struct ps_slice){scalar->text, scalar->size};
}

static enum ps_status refuse(struct ps_reader *reader, const struct ps_yaml *node, int column,
                             const char *text)
{
    if (node->setting != NULL) {
        return ps_fail(reader->err, PS_INVALID, "--set %s: %s", node->setting, text);
    }
    return ps_fail(reader->err, PS_INVALID, "%s:%d:%d: %s", reader->path, node->line, column, text);
}

enum ps_status ps_refuse(struct ps_reader *reader, const struct ps_yaml *node, const char *format,
                         ...)
{
    char text[PS_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return refuse(reader, node, node->column, text);
}

enum ps_status ps_refuse_at(struct ps_reader *reader, const struct ps_yaml *node, size_t at,
                            const char *format, ...)
{
    char text[PS_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int column = node->column;
    if (node->exact && at <= node->size) {
        column += (int)ps_utf8_count(node->text, at) + (node->plain ? 0 : 1);
    }
    return refuse(reader, node, column, text);
}

enum ps_status ps_found(struct ps_reader *reader, const struct ps_yaml *node, const char *expected)
{
    struct ps_buf found = {0};
    ps_yaml_describe(&found, node);
    enum ps_status status =
        ps_refuse(reader, node, "found %s, expected %s", ps_buf_text(&found), expected);
    ps_buf_fini(&found);
    return status;
}

/** Append "a, b, c". */
static void list_names(struct ps_buf *buf, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_text(buf, i > 0 ? ", " : "");
        ps_buf_append_text(buf, names[i]);
    }
}

/** "found <what> <text>, expected one of a, b, c; did you mean b?" */
static enum ps_status found_no_name(struct ps_reader *reader, const struct ps_yaml *node,
                                    const char *what, const char *const *names, size_t count)
{
    struct ps_buf text = {0};
    ps_buf_append_text(&text, "found ");
    ps_buf_append_text(&text, what);
    ps_yaml_describe(&text, node);
    ps_buf_append_text(&text, count > 1 ? ", expected one of " : ", expected ");
    list_names(&text, names, count);
    const char *nearest =
        node->kind == PS_YAML_SCALAR ? ps_nearest(ps_yaml_slice(node), names, count) : NULL;
    if (nearest != NULL && count > 1) {
        ps_buf_printf(&text, "; did you mean %s?", nearest);
    }
    enum ps_status status = ps_refuse(reader, node, "%s", ps_buf_text(&text));
    ps_buf_fini(&text);
    return status;
}

static bool is_one_of(struct ps_slice text, const char *const *names, size_t count, size_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (ps_slice_eq(text, ps_slice_of(names[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

enum ps_status ps_read_keys(struct ps_reader *reader, const struct ps_yaml *node, const char *what,
                            const char *const *names, size_t count)
{
    if (node->kind != PS_YAML_MAP) {
        struct ps_buf expected = {0};
        ps_buf_printf(&expected, "%s, a map with the keys ", what);
        list_names(&expected, names, count);
        enum ps_status status = ps_found(reader, node, ps_buf_text(&expected));
        ps_buf_fini(&expected);
        return status;
    }
    for (size_t i = 0; i < node->count; i++) {
        size_t index;
        if (!is_one_of(ps_yaml_slice(node->keys[i]), names, count, &index)) {
            return found_no_name(reader, node->keys[i], "key ", names, count);
        }
    }
    return PS_OK;
}

enum ps_status ps_read_member(struct ps_reader *reader, const struct ps_yaml *map, const char *key,
                              const char *expected, const struct ps_yaml **ret)
{
    const struct ps_yaml *member = ps_yaml_get(map, key);
    if (member == NULL) {
        return ps_refuse(reader, map, "found no key \"%s\", expected %s", key, expected);
    }
    *ret = member;
    return PS_OK;
}

enum ps_status ps_read_text(struct ps_reader *reader, const struct ps_yaml *node,
                            const char *expected, struct ps_slice *ret)
{
    if (node->kind != PS_YAML_SCALAR || ps_yaml_is_null(node)) {
        return ps_found(reader, node, expected);
    }
    *ret = ps_yaml_slice(node);
    return PS_OK;
}

enum ps_status ps_read_duration(struct ps_reader *reader, const struct ps_yaml *node,
                                ps_dur_ns least, ps_dur_ns most, const char *expected,
                                ps_dur_ns *ret)
{
    ps_dur_ns value;
    if (node->kind != PS_YAML_SCALAR || ps_dur_parse(ps_yaml_slice(node), &value) != PS_OK ||
        value < least || value > most) {
        return ps_found(reader, node, expected);
    }
    *ret = value;
    return PS_OK;
}

enum ps_status ps_read_u64(struct ps_reader *reader, const struct ps_yaml *node, uint64_t least,
                           uint64_t most, const char *expected, uint64_t *ret)
{
    uint64_t value;
    if (node->kind != PS_YAML_SCALAR || !ps_number_u64(ps_yaml_slice(node), &value) ||
        value < least || value > most) {
        return ps_found(reader, node, expected);
    }
    *ret = value;
    return PS_OK;
}

enum ps_status ps_read_double(struct ps_reader *reader, const struct ps_yaml *node, double least,
                              double most, const char *expected, double *ret)
{
    double value;
    if (node->kind != PS_YAML_SCALAR || !ps_number_double(ps_yaml_slice(node), &value) ||
        value < least || value > most) {
        return ps_found(reader, node, expected);
    }
    *ret = value;
    return PS_OK;
}

enum ps_status ps_read_bool(struct ps_reader *reader, const struct ps_yaml *node, bool *ret)
{
    if (node->kind == PS_YAML_SCALAR && node->plain) {
        struct ps_slice text = ps_yaml_slice(node);
        if (ps_slice_eq(text, PS_LIT("true")) || ps_slice_eq(text, PS_LIT("false"))) {
            *ret = text.data[0] == 't';
            return PS_OK;
        }
    }
    return ps_found(reader, node, "true or false");
}

enum ps_status ps_read_choice(struct ps_reader *reader, const struct ps_yaml *node,
                              const char *const *names, size_t count, size_t *ret)
{
    if (node->kind == PS_YAML_SCALAR && is_one_of(ps_yaml_slice(node), names, count, ret)) {
        return PS_OK;
    }
    return found_no_name(reader, node, "", names, count);
}

enum ps_status ps_read_pop(struct ps_reader *reader, const struct ps_yaml *node, uint16_t *ret)
{
    struct ps_slice code = {0};
    enum ps_status status = ps_read_text(reader, node, "the code of a PoP", &code);
    if (status != PS_OK) {
        return status;
    }
    int index = ps_cluster_find_pop(&reader->scenario->cluster, code);
    if (index < 0) {
        struct ps_buf text = {0};
        ps_buf_append_text(&text, "found PoP ");
        ps_yaml_quote(&text, code);
        ps_buf_append_text(&text, ps_pop_find(code) != NULL
                                      ? ", expected one of this cluster: "
                                      : ", expected one of this cluster, for example ");
        (void)ps_nearest_pops(&text, code, &reader->scenario->cluster);
        status = ps_refuse(reader, node, "%s", ps_buf_text(&text));
        ps_buf_fini(&text);
        return status;
    }
    *ret = (uint16_t)index;
    return PS_OK;
}

enum ps_status ps_read_pop_list(struct ps_reader *reader, const struct ps_yaml *node,
                                uint16_t **ret, size_t *ret_count)
{
    bool list = node->kind == PS_YAML_LIST;
    size_t count = list ? node->count : 1;
    if (node->kind == PS_YAML_MAP || count == 0) {
        return ps_found(reader, node, "the code of a PoP, or a list of such codes");
    }
    if (count > PS_POPS_MAX) {
        return ps_refuse(reader, node, "found %zu PoPs, expected at most %d", count,
                         (int)PS_POPS_MAX);
    }
    uint16_t *pops = PS_NEW_ARRAY(uint16_t, count);
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < count && status == PS_OK; i++) {
        const struct ps_yaml *item = list ? node->items[i] : node;
        status = ps_read_pop(reader, item, &pops[i]);
        for (size_t j = 0; j < i && status == PS_OK; j++) {
            if (pops[j] == pops[i]) {
                status = ps_found(reader, item, "each PoP once");
            }
        }
    }
    if (status != PS_OK) {
        free(pops);
        return status;
    }
    *ret = pops;
    *ret_count = count;
    return PS_OK;
}

enum ps_status ps_read_template(struct ps_reader *reader, const struct ps_yaml *node,
                                const char *expected, struct ps_text *ret)
{
    struct ps_slice source = {0};
    enum ps_status status = ps_read_text(reader, node, expected, &source);
    if (status != PS_OK) {
        return status;
    }
    if (reader->literal) {
        ps_text_init_literal(ret, source);
        return PS_OK;
    }
    size_t at = 0;
    struct ps_error err = {0};
    status = ps_text_parse(source, ret, &at, &err);
    return status == PS_OK ? PS_OK : ps_refuse_at(reader, node, at, "%s", err.text);
}

enum ps_status ps_read_bounded(struct ps_reader *reader, const struct ps_yaml *node,
                               const char *what, size_t least, size_t most, struct ps_text *ret)
{
    size_t shortest = 0, longest = 0;
    enum ps_status status = ps_read_template(reader, node, what, ret);
    if (status == PS_OK) {
        ps_text_sizes(ret, &shortest, &longest);
        if (shortest < least) {
            status = ps_refuse(reader, node, "found an empty text, expected %s", what);
        } else if (longest > most) {
            status = ps_refuse(reader, node,
                               "found a text of up to %zu bytes, expected %s of at most %zu",
                               longest, what, most);
        }
    }
    return status;
}
