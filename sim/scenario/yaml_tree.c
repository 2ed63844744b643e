#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/scenario/yaml.h"

#include <string.h>

enum { QUOTE_SIZE_MAX = 40 };

/* Recursion is bounded by PS_YAML_NESTING_MAX. */
void ps_yaml_destroy(struct ps_yaml *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys != NULL) {
            ps_yaml_destroy(node->keys[i]);
        }
        ps_yaml_destroy(node->items[i]);
    }
    free(node->keys);
    free(node->items);
    free(node->text);
    free(node);
}

void ps_yaml_add(struct ps_yaml *parent, struct ps_yaml *key, struct ps_yaml *item)
{
    PS_ASSERT(parent->kind != PS_YAML_SCALAR);
    PS_ASSERT((parent->kind == PS_YAML_MAP) == (key != NULL));
    size_t capacity = parent->capacity;
    parent->items = ps_grow(parent->items, parent->count, &capacity, sizeof(struct ps_yaml *));
    if (key != NULL) {
        capacity = parent->capacity;
        parent->keys = ps_grow(parent->keys, parent->count, &capacity, sizeof(struct ps_yaml *));
        parent->keys[parent->count] = key;
    }
    parent->capacity = capacity;
    parent->items[parent->count++] = item;
}

static bool is_text(const struct ps_yaml *node, struct ps_slice text)
{
    return node->size == text.size && memcmp(node->text, text.data, text.size) == 0;
}

static size_t find(const struct ps_yaml *map, struct ps_slice key)
{
    size_t at = 0;
    while (at < map->count && !is_text(map->keys[at], key)) {
        at++;
    }
    return at;
}

struct ps_yaml *ps_yaml_get(const struct ps_yaml *map, const char *key)
{
    if (map == NULL || map->kind != PS_YAML_MAP) {
        return NULL;
    }
    size_t at = find(map, ps_slice_of(key));
    return at < map->count ? map->items[at] : NULL;
}

bool ps_yaml_is_null(const struct ps_yaml *node)
{
    return node->kind == PS_YAML_SCALAR && node->plain &&
           (node->size == 0 || is_text(node, PS_LIT("~")) || is_text(node, PS_LIT("null")));
}

void ps_yaml_quote(struct ps_buf *buf, struct ps_slice text)
{
    size_t size = text.size;
    if (size > QUOTE_SIZE_MAX) {
        size = QUOTE_SIZE_MAX;
        while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) {
            size--; /* not inside a character */
        }
    }
    ps_buf_append_char(buf, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f) {
            ps_buf_printf(buf, "\\x%02x", c);
        } else {
            ps_buf_append_char(buf, (char)c);
        }
    }
    ps_buf_append_text(buf, size < text.size ? "...\"" : "\"");
}

void ps_yaml_describe(struct ps_buf *buf, const struct ps_yaml *node)
{
    if (ps_yaml_is_null(node)) {
        ps_buf_append_text(buf, "nothing");
    } else if (node->kind == PS_YAML_SCALAR) {
        ps_yaml_quote(buf, (struct ps_slice){node->text, node->size});
    } else {
        ps_buf_append_text(buf, node->count == 0 ? "an empty " : "a ");
        ps_buf_append_text(buf, node->kind == PS_YAML_LIST ? "list" : "map");
    }
}

/* Settings */

static struct ps_yaml *make(enum ps_yaml_kind kind, const char *setting)
{
    struct ps_yaml *node = PS_NEW(struct ps_yaml);
    node->kind = kind;
    node->setting = setting;
    node->line = node->column = 1;
    return node;
}

/** The place in the tree that one step of the path names; made in a map if missing. */
static enum ps_status step(struct ps_yaml *parent, struct ps_slice name, const char *path,
                           struct ps_yaml ***ret, struct ps_error *err)
{
    struct ps_buf text = {0};
    ps_yaml_quote(&text, name);
    enum ps_status status = PS_OK;
    if (parent->kind == PS_YAML_LIST) {
        size_t index = 0, digits = 0;
        while (digits < name.size && digits < 6 && name.data[digits] >= '0' &&
               name.data[digits] <= '9') {
            index = index * 10 + (size_t)(name.data[digits++] - '0');
        }
        if (digits == 0 || digits < name.size || index >= parent->count) {
            status = ps_fail(err, PS_INVALID,
                             "--set %s: found %s, expected the index of a list of %zu (from 0)",
                             path, ps_buf_text(&text), parent->count);
        } else {
            *ret = &parent->items[index];
        }
    } else if (name.size == 0) {
        status =
            ps_fail(err, PS_INVALID, "--set %s: found an empty name, expected a.b.c=value", path);
    } else {
        size_t at = find(parent, name);
        if (at == PS_YAML_MEMBERS_MAX) {
            status = ps_fail(err, PS_LIMIT, "--set %s: more than 1024 members in a map", path);
        } else if (at == parent->count) {
            struct ps_yaml *key = make(PS_YAML_SCALAR, path);
            key->text = ps_strndup(name.data, name.size);
            key->size = name.size;
            ps_yaml_add(parent, key, make(PS_YAML_MAP, path));
        }
        if (status == PS_OK) {
            *ret = &parent->items[at];
        }
    }
    ps_buf_fini(&text);
    return status;
}

/** Path names may hold dots ("kv.put"): of the names that a map has, the longest that fits wins. */
static size_t name_size(const struct ps_yaml *parent, struct ps_slice path)
{
    size_t longest = 0;
    if (parent->kind == PS_YAML_MAP) {
        for (size_t i = 0; i < parent->count; i++) {
            struct ps_slice key = {parent->keys[i]->text, parent->keys[i]->size};
            if (key.size > longest && ps_slice_starts(path, key) &&
                (path.size == key.size || path.data[key.size] == '.')) {
                longest = key.size;
            }
        }
    }
    if (longest == 0) {
        const char *dot = path.size > 0 ? memchr(path.data, '.', path.size) : NULL;
        longest = dot != NULL ? (size_t)(dot - path.data) : path.size;
    }
    return longest;
}

enum ps_status ps_yaml_set(struct ps_yaml *root, const char *path, const char *value,
                           struct ps_error *err)
{
    struct ps_slice rest = ps_slice_of(path);
    if (rest.size == 0 || rest.size > PS_YAML_SETTING_MAX ||
        strnlen(value, PS_YAML_SETTING_MAX + 1) > PS_YAML_SETTING_MAX) {
        return ps_fail(err, PS_INVALID, "--set: expected a.b.c=value of at most %d bytes each",
                       (int)PS_YAML_SETTING_MAX);
    }
    struct ps_yaml *made = NULL;
    enum ps_status status = ps_yaml_parse_setting(path, value, &made, err);
    if (status != PS_OK) {
        return status;
    }
    struct ps_yaml **at = &root;
    for (size_t depth = 0; status == PS_OK; depth++) {
        struct ps_yaml *parent = *at;
        size_t size = name_size(parent, rest);
        if (parent->kind == PS_YAML_SCALAR) {
            struct ps_buf found = {0};
            ps_yaml_describe(&found, parent);
            status =
                ps_fail(err, PS_INVALID, "--set %s: found %s on the way, expected a map or list",
                        path, ps_buf_text(&found));
            ps_buf_fini(&found);
        } else if (depth == PS_YAML_NESTING_MAX) {
            status = ps_fail(err, PS_LIMIT, "--set %s: nesting deeper than 16", path);
        } else {
            status = step(parent, (struct ps_slice){rest.data, size}, path, &at, err);
        }
        if (status == PS_OK && size == rest.size) {
            break;
        }
        if (status == PS_OK) {
            rest.data += size + 1;
            rest.size -= size + 1;
        }
    }
    if (status != PS_OK) {
        ps_yaml_destroy(made);
        return status;
    }
    ps_yaml_destroy(*at);
    *at = made;
    return PS_OK;
}
