/* R2 operations. What is asked of a bucket besides the key stands in `options`: a text that draws
 * to members of the JSON that the Workers binding sends. */
#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <string.h>

enum { TEXT_MAX = 8192 }; /* bytes of one option: R2's limit of all HTTP fields */

bool ps_verb_is_r2(enum ps_verb verb)
{
    return verb >= PS_VERB_R2_GET && verb <= PS_VERB_R2_PURGE;
}

enum ps_store_type ps_verb_store_type(enum ps_verb verb)
{
    return ps_verb_is_r2(verb) ? PS_STORE_R2 : ps_verb_is_d1(verb) ? PS_STORE_D1 : PS_STORE_KV;
}

void ps_objects_fini(struct ps_action *action)
{
    ps_text_fini(&action->size);
    ps_text_fini(&action->options);
    for (size_t i = 0; i < action->key_count; i++) {
        ps_text_fini(&action->keys[i]);
    }
    free(action->keys);
    action->keys = NULL;
    action->key_count = 0;
}

/* ---- texts ---- */

/* Append a text as JSON, in which generators stay what they are. */
static void append_source(const struct ps_reader *reader, struct ps_buf *json, struct ps_slice text)
{
    struct ps_buf quoted = {0};
    ps_buf_append_json(&quoted, text);
    for (size_t i = 0; i < quoted.size; i++) {
        char c = quoted.data[i];
        ps_buf_append_char(json, c);
        if (reader->literal && (c == '{' || c == '}')) {
            ps_buf_append_char(json, c);
        }
    }
    ps_buf_fini(&quoted);
}

/* Check a text and append it as JSON. */
static enum ps_status append_text(struct ps_reader *reader, const struct ps_yaml *node,
                                  const char *what, struct ps_buf *json)
{
    struct ps_text text = {0};
    enum ps_status status = ps_read_bounded(reader, node, what, 0, TEXT_MAX, &text);
    if (status == PS_OK) {
        append_source(reader, json, ps_yaml_slice(node));
    }
    ps_text_fini(&text);
    return status;
}

/* ---- options ---- */

/* Unix time in seconds, appended in ms. */
static enum ps_status append_date(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_buf *json)
{
    uint64_t seconds = 0;
    enum ps_status status =
        ps_read_u64(reader, node, 0, (uint64_t)253402300799, "a time in Unix seconds", &seconds);
    ps_buf_printf(json, "%llu", (unsigned long long)seconds * 1000);
    return status;
}

static enum ps_status append_http(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_buf *json)
{
    static const char *const KEYS[] = {"contentType",        "contentLanguage", "cacheControl",
                                       "contentDisposition", "contentEncoding", "cacheExpiry"};
    enum ps_status status = ps_read_keys(reader, node, "httpMetadata", KEYS, PS_COUNT(KEYS));
    ps_buf_append_text(json, ",\"httpFields\":{{");
    for (size_t i = 0; status == PS_OK && i < node->count; i++) {
        const char *key = node->keys[i]->text;
        ps_buf_printf(json, "%s\"%s\":", i > 0 ? "," : "", key);
        status = strcmp(key, "cacheExpiry") == 0
                     ? append_date(reader, node->items[i], json)
                     : append_text(reader, node->items[i], "an HTTP field", json);
    }
    ps_buf_append_text(json, "}}");
    return status;
}

static enum ps_status append_custom(struct ps_reader *reader, const struct ps_yaml *node,
                                    struct ps_buf *json)
{
    if (node->kind != PS_YAML_MAP) {
        return ps_found(reader, node, "texts by name, as in customMetadata: {owner: me}");
    }
    enum ps_status status = PS_OK;
    ps_buf_append_text(json, ",\"customFields\":[");
    for (size_t i = 0; status == PS_OK && i < node->count; i++) {
        ps_buf_append_text(json, i > 0 ? ",{{\"k\":" : "{{\"k\":");
        append_source(reader, json, ps_yaml_slice(node->keys[i]));
        ps_buf_append_text(json, ",\"v\":");
        status = append_text(reader, node->items[i], "a text", json);
        ps_buf_append_text(json, "}}");
    }
    ps_buf_append_char(json, ']');
    return status;
}

static enum ps_status append_etag(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_buf *json)
{
    if (node->kind == PS_YAML_SCALAR && strcmp(node->text, "*") == 0) {
        ps_buf_append_text(json, "{{\"type\":\"wildcard\"}}");
        return PS_OK;
    }
    ps_buf_append_text(json, "{{\"type\":\"strong\",\"value\":");
    enum ps_status status = append_text(reader, node, "an ETag", json);
    ps_buf_append_text(json, "}}");
    return status;
}

/* One, or a list. */
static enum ps_status append_etags(struct ps_reader *reader, const struct ps_yaml *node,
                                   struct ps_buf *json)
{
    enum ps_status status = PS_OK;
    ps_buf_append_char(json, '[');
    if (node->kind != PS_YAML_LIST) {
        status = append_etag(reader, node, json);
    } else if (node->count == 0 || node->count > PS_SCENARIO_ETAGS_MAX) {
        return ps_found(reader, node, "one ETag or a list of 1 to 64");
    }
    for (size_t i = 0; node->kind == PS_YAML_LIST && i < node->count && status == PS_OK; i++) {
        ps_buf_append_text(json, i > 0 ? "," : "");
        status = append_etag(reader, node->items[i], json);
    }
    ps_buf_append_char(json, ']');
    return status;
}

static enum ps_status append_condition(struct ps_reader *reader, const struct ps_yaml *node,
                                       struct ps_buf *json)
{
    static const char *const KEYS[] = {"etagMatches", "etagDoesNotMatch", "uploadedBefore",
                                       "uploadedAfter", "secondsGranularity"};
    enum ps_status status = ps_read_keys(reader, node, "onlyIf", KEYS, PS_COUNT(KEYS));
    ps_buf_append_text(json, ",\"onlyIf\":{{");
    for (size_t i = 0; status == PS_OK && i < node->count; i++) {
        const char *key = node->keys[i]->text;
        const struct ps_yaml *item = node->items[i];
        ps_buf_printf(json, "%s\"%s\":", i > 0 ? "," : "", key);
        if (strncmp(key, "etag", 4) == 0) {
            status = append_etags(reader, item, json);
        } else if (strncmp(key, "uploaded", 8) == 0) {
            status = append_date(reader, item, json);
        } else {
            bool seconds = false;
            status = ps_read_bool(reader, item, &seconds);
            ps_buf_append_text(json, seconds ? "true" : "false");
        }
    }
    ps_buf_append_text(json, "}}");
    return status;
}

static enum ps_status append_class(struct ps_reader *reader, const struct ps_yaml *node,
                                   struct ps_buf *json)
{
    static const char *const CLASSES[] = {"Standard", "InfrequentAccess"};
    size_t index = 0;
    enum ps_status status = ps_read_choice(reader, node, CLASSES, PS_COUNT(CLASSES), &index);
    ps_buf_printf(json, ",\"storageClass\":\"%s\"", CLASSES[index]);
    return status;
}

static enum ps_status append_delimiter(struct ps_reader *reader, const struct ps_yaml *node,
                                       struct ps_buf *json)
{
    ps_buf_append_text(json, ",\"delimiter\":");
    return append_text(reader, node, "a delimiter", json);
}

static const struct {
    const char *key;
    enum ps_status (*append)(struct ps_reader *reader, const struct ps_yaml *node,
                             struct ps_buf *json);
} OPTIONS[] = {{"httpMetadata", append_http},
               {"customMetadata", append_custom},
               {"storageClass", append_class},
               {"onlyIf", append_condition},
               {"delimiter", append_delimiter}};

static enum ps_status read_options(struct ps_reader *reader, const struct ps_yaml *node,
                                   struct ps_action *action)
{
    struct ps_buf json = {0};
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < PS_COUNT(OPTIONS) && status == PS_OK; i++) {
        const struct ps_yaml *member = ps_yaml_get(node, OPTIONS[i].key);
        if (member != NULL) {
            status = OPTIONS[i].append(reader, member, &json);
        }
    }
    if (status == PS_OK && action->limit > 0) {
        ps_buf_printf(&json, ",\"limit\":%u", (unsigned)action->limit);
    }
    struct ps_error err = {0};
    size_t at = 0;
    if (status == PS_OK && json.size > 0 &&
        ps_text_parse(ps_buf_slice(&json), &action->options, &at, &err) != PS_OK) {
        status = ps_refuse(reader, node, "%s", err.text); /* too many generators, or too long */
    }
    ps_buf_fini(&json);
    return status;
}

/* ---- bodies ---- */

/* "64KiB", "10MB", "1234" */
static bool parse_size(struct ps_slice text, uint64_t *ret)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } UNITS[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},   {"kB", 1000},
                 {"KB", 1000},     {"MB", 1000000},  {"GB", 1000000000}, {"B", 1}};

    uint64_t bytes = 1;
    for (size_t i = 0; i < PS_COUNT(UNITS); i++) {
        struct ps_slice unit = ps_slice_of(UNITS[i].unit);
        if (text.size > unit.size &&
            memcmp(text.data + text.size - unit.size, unit.data, unit.size) == 0) {
            text.size -= unit.size;
            bytes = UNITS[i].bytes;
            break;
        }
    }
    if (!ps_number_u64(text, ret) || *ret > PS_SCENARIO_SIZE_MAX / bytes) {
        return false;
    }
    *ret *= bytes;
    return true;
}

static enum ps_status read_size(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_action *action)
{
    static const char EXPECTED[] =
        "a size up to 5115MiB, as in 64KiB, or one generator of numbers, as in "
        "\"{uniform(1, 100000)}\"";
    uint64_t size = 0;
    if (node->kind == PS_YAML_SCALAR && parse_size(ps_yaml_slice(node), &size)) {
        struct ps_buf digits = {0};
        ps_buf_printf(&digits, "%llu", (unsigned long long)size);
        ps_text_init_literal(&action->size, ps_buf_slice(&digits));
        ps_buf_fini(&digits);
        return PS_OK;
    }
    if (node->kind != PS_YAML_SCALAR || strchr(node->text, '{') == NULL) {
        return ps_found(reader, node, EXPECTED);
    }
    enum ps_status status = ps_read_template(reader, node, EXPECTED, &action->size);
    if (status != PS_OK) {
        return status;
    }
    const struct ps_piece *piece = action->size.count == 1 ? &action->size.pieces[0] : NULL;
    bool number = piece != NULL &&
                  (piece->kind == PS_PIECE_UNIFORM || piece->kind == PS_PIECE_ZIPF) &&
                  piece->to <= PS_SCENARIO_SIZE_MAX;
    return number ? PS_OK : ps_found(reader, node, EXPECTED);
}

static enum ps_status read_body(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_action *action)
{
    const struct ps_yaml *value = ps_yaml_get(node, "value");
    const struct ps_yaml *size = ps_yaml_get(node, "size");
    if (value != NULL && size != NULL) {
        return ps_refuse(reader, size, "found both value and size, expected one of them");
    }
    if (value == NULL && size == NULL) {
        return ps_refuse(reader, node, "found neither value nor size, expected one of them");
    }
    return size != NULL ? read_size(reader, size, action)
                        : ps_read_bounded(reader, value, "a value", 0, PS_SCENARIO_VALUE_MAX,
                                          &action->value);
}

/* ---- keys ---- */

static enum ps_status read_key(struct ps_reader *reader, const struct ps_yaml *key,
                               struct ps_text *ret)
{
    return ps_read_bounded(reader, key, "a key", 1, PS_SCENARIO_OBJECT_KEY_MAX, ret);
}

static enum ps_status read_keys(struct ps_reader *reader, const struct ps_yaml *list,
                                struct ps_action *action)
{
    if (list->kind != PS_YAML_LIST || list->count == 0 || list->count > PS_SCENARIO_LIST_MAX) {
        return ps_found(reader, list, "a list of 1 to 1000 keys");
    }
    size_t total = 0, least = 0, most = 0;
    action->keys = PS_NEW_ARRAY(struct ps_text, list->count);
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < list->count && status == PS_OK; i++) {
        struct ps_text *key = i == 0 ? &action->key : &action->keys[i - 1];
        action->key_count = i;
        status = read_key(reader, list->items[i], key);
        ps_text_sizes(key, &least, &most);
        total += status == PS_OK ? most : 0;
    }
    if (status == PS_OK && total > PS_SCENARIO_REQUEST_MAX) {
        status = ps_refuse(reader, list, "found keys of up to %zu bytes, expected at most %d",
                           total, (int)PS_SCENARIO_REQUEST_MAX);
    }
    return status;
}

/* The key, or what may stand in its place. */
static enum ps_status read_name(struct ps_reader *reader, const struct ps_yaml *node,
                                const char *other_name, struct ps_action *action)
{
    const struct ps_yaml *key = ps_yaml_get(node, "key");
    const struct ps_yaml *other = ps_yaml_get(node, other_name);
    if (key != NULL && other != NULL) {
        return ps_refuse(reader, other, "found both key and %s, expected one of them", other_name);
    }
    if (key == NULL && other == NULL) {
        return ps_refuse(reader, node, "found neither key nor %s, expected one of them",
                         other_name);
    }
    if (key != NULL) {
        return read_key(reader, key, &action->key);
    }
    if (action->verb == PS_VERB_R2_DELETE) {
        return read_keys(reader, other, action);
    }
    bool everything = false;
    enum ps_status status = ps_read_bool(reader, other, &everything);
    return status != PS_OK || everything ? status : ps_found(reader, other, "true, or a key");
}

static enum ps_status read_list(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_action *action)
{
    enum ps_status status = PS_OK;
    const struct ps_yaml *member = ps_yaml_get(node, "prefix");
    if (member != NULL) {
        status = ps_read_bounded(reader, member, "a prefix", 0, PS_SCENARIO_OBJECT_KEY_MAX,
                                 &action->key);
    }
    member = ps_yaml_get(node, "limit");
    if (status == PS_OK && member != NULL) {
        uint64_t limit = 0;
        status =
            ps_read_u64(reader, member, 1, PS_SCENARIO_LIST_MAX, "a limit from 1 to 1000", &limit);
        action->limit = (uint32_t)limit;
    }
    return status;
}

enum ps_status ps_read_r2(struct ps_reader *reader, const struct ps_yaml *node,
                          struct ps_action *action)
{
    enum ps_status status = PS_OK;
    const struct ps_yaml *key = NULL;
    if (action->verb == PS_VERB_R2_LIST) {
        status = read_list(reader, node, action);
    } else if (action->verb == PS_VERB_R2_DELETE || action->verb == PS_VERB_R2_PURGE) {
        status = read_name(reader, node, action->verb == PS_VERB_R2_DELETE ? "keys" : "everything",
                           action);
    } else {
        status = ps_read_member(reader, node, "key", "a key", &key);
        if (status == PS_OK) {
            status = read_key(reader, key, &action->key);
        }
    }
    if (status == PS_OK && action->verb == PS_VERB_R2_PUT) {
        status = read_body(reader, node, action);
    }
    return status == PS_OK ? read_options(reader, node, action) : status;
}
