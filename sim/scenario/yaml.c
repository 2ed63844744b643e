#include "sim/scenario/yaml.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/scenario/utf8.h"

#include <libfyaml.h>

#include <string.h>

/** What one parse carries. Nesting is bounded, so the open maps and lists fit an array. */
struct reader {
    struct fy_parser *parser;
    const char *path;
    const char *setting; /* NULL for a file */
    struct ps_error *err;
    struct ps_yaml *root;
    struct ps_yaml *open[PS_YAML_NESTING_MAX];
    size_t depth;
    struct ps_yaml *key; /* owned until its value comes */
    size_t nodes;
    size_t documents;
};

static enum ps_status refuse(struct reader *reader, enum ps_status status, int line, int column,
                             const char *text)
{
    if (reader->setting != NULL) {
        return ps_fail(reader->err, status, "--set %s: %s", reader->setting, text);
    }
    return ps_fail(reader->err, status, "%s:%d:%d: %s", reader->path, line, column, text);
}

/** The place of an event, from 1. A value that is not there has its key's. */
static void place(const struct reader *reader, struct fy_event *event, int *ret_line,
                  int *ret_column)
{
    struct fy_token *token = fy_event_get_token(event);
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark != NULL) {
        *ret_line = mark->line + 1;
        *ret_column = mark->column + 1;
    } else {
        *ret_line = reader->key != NULL ? reader->key->line : 1;
        *ret_column = reader->key != NULL ? reader->key->column : 1;
    }
}

static enum ps_status check_key(struct reader *reader, const struct ps_yaml *map,
                                const struct ps_yaml *key)
{
    if (map->count >= PS_YAML_MEMBERS_MAX) {
        return refuse(reader, PS_LIMIT, key->line, key->column,
                      "found more than 1024 members in a map, expected at most 1024");
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct ps_yaml *other = map->keys[i];
        if (other->size == key->size && memcmp(other->text, key->text, key->size) == 0) {
            struct ps_buf text = {0};
            ps_buf_append_text(&text, "found key ");
            ps_yaml_quote(&text, (struct ps_slice){key->text, key->size});
            ps_buf_printf(&text, " twice, expected it once (first at line %d)", other->line);
            enum ps_status status =
                refuse(reader, PS_INVALID, key->line, key->column, ps_buf_text(&text));
            ps_buf_fini(&text);
            return status;
        }
    }
    return PS_OK;
}

/** Put a finished or just opened node where it belongs. Takes ownership in every case. */
static enum ps_status place_node(struct reader *reader, struct ps_yaml *node)
{
    struct ps_yaml *parent = reader->depth > 0 ? reader->open[reader->depth - 1] : NULL;
    enum ps_status status = PS_OK;
    if (parent == NULL) {
        reader->root = node;
    } else if (parent->kind == PS_YAML_LIST) {
        ps_yaml_add(parent, NULL, node);
    } else if (reader->key == NULL) {
        if (node->kind == PS_YAML_SCALAR) {
            status = check_key(reader, parent, node);
        } else {
            status = refuse(reader, PS_INVALID, node->line, node->column,
                            node->kind == PS_YAML_LIST ? "found a list as a key, expected a name"
                                                       : "found a map as a key, expected a name");
        }
        if (status != PS_OK) {
            ps_yaml_destroy(node);
            return status;
        }
        reader->key = node;
    } else {
        ps_yaml_add(parent, reader->key, node);
        reader->key = NULL;
    }
    return status;
}

static enum ps_status make_node(struct reader *reader, struct fy_event *event,
                                enum ps_yaml_kind kind, struct ps_yaml **ret)
{
    int line, column;
    place(reader, event, &line, &column);
    if (++reader->nodes > PS_YAML_NODES_MAX) {
        return refuse(reader, PS_LIMIT, line, column,
                      "found more than 100000 values, expected at most 100000");
    }
    struct ps_yaml *node = PS_NEW(struct ps_yaml);
    node->kind = kind;
    node->setting = reader->setting;
    node->line = line;
    node->column = column;
    *ret = node;
    return PS_OK;
}

static enum ps_status on_open(struct reader *reader, struct fy_event *event, enum ps_yaml_kind kind)
{
    struct ps_yaml *node = NULL;
    enum ps_status status = make_node(reader, event, kind, &node);
    if (status != PS_OK) {
        return status;
    }
    PS_ASSERT(node != NULL);
    if (reader->depth == PS_YAML_NESTING_MAX) {
        status = refuse(reader, PS_LIMIT, node->line, node->column,
                        "found nesting deeper than 16, expected at most 16");
        ps_yaml_destroy(node);
        return status;
    }
    status = place_node(reader, node);
    if (status == PS_OK) {
        reader->open[reader->depth++] = node;
    }
    return status;
}

static enum ps_status on_scalar(struct reader *reader, struct fy_event *event)
{
    struct ps_yaml *node = NULL;
    enum ps_status status = make_node(reader, event, PS_YAML_SCALAR, &node);
    if (status != PS_OK) {
        return status;
    }
    PS_ASSERT(node != NULL);
    struct fy_token *token = event->scalar.value;
    size_t size = 0;
    const char *text = token != NULL ? fy_token_get_text(token, &size) : NULL;
    node->text = ps_strndup(text != NULL ? text : "", text != NULL ? size : 0);
    node->size = text != NULL ? size : 0;
    enum fy_scalar_style style = token != NULL ? fy_token_scalar_style(token) : FYSS_PLAIN;
    node->plain = style == FYSS_PLAIN;
    if (token != NULL) {
        const struct fy_mark *from = fy_token_start_mark(token);
        const struct fy_mark *to = fy_token_end_mark(token);
        bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
        /* libfyaml's marks leave the quotes out: ours name the opening one. */
        node->column -= quoted && node->column > 1;
        node->exact = (quoted || node->plain) && from != NULL && to != NULL &&
                      from->line == to->line && to->input_pos - from->input_pos == node->size;
    }
    if (memchr(node->text, '\0', node->size) != NULL) {
        status = refuse(reader, PS_INVALID, node->line, node->column,
                        "found a NUL character in text, expected none");
    } else if (ps_utf8_bad_at(node->text, node->size) < node->size) {
        status = refuse(reader, PS_INVALID, node->line, node->column,
                        "found an escape that is no character, expected UTF-8");
    }
    if (status != PS_OK) {
        ps_yaml_destroy(node);
        return status;
    }
    return place_node(reader, node);
}

static enum ps_status check_properties(struct reader *reader, struct fy_event *event,
                                       struct fy_token *anchor, struct fy_token *tag)
{
    int line, column;
    struct fy_token *token = anchor != NULL ? anchor : tag;
    if (token == NULL) {
        return PS_OK;
    }
    place(reader, event, &line, &column);
    const struct fy_mark *mark = fy_token_start_mark(token);
    if (mark != NULL) {
        line = mark->line + 1;
        /* The mark of an anchor stands behind its &. */
        column = mark->column + (anchor != NULL && mark->column > 0 ? 0 : 1);
    }
    return refuse(reader, PS_INVALID, line, column,
                  anchor != NULL
                      ? "found an anchor, expected plain YAML without anchors and aliases"
                      : "found a tag, expected plain YAML without tags");
}

static enum ps_status on_event(struct reader *reader, struct fy_event *event)
{
    int line, column;
    enum ps_status status;
    /* A cast to int: most kinds need nothing, and the library may grow new ones. */
    switch ((int)event->type) {
    case FYET_DOCUMENT_START:
        place(reader, event, &line, &column);
        if (++reader->documents > 1) {
            return refuse(reader, PS_INVALID, line, column,
                          "found a second document, expected one");
        }
        return PS_OK;
    case FYET_MAPPING_START:
        status =
            check_properties(reader, event, event->mapping_start.anchor, event->mapping_start.tag);
        return status != PS_OK ? status : on_open(reader, event, PS_YAML_MAP);
    case FYET_SEQUENCE_START:
        status = check_properties(reader, event, event->sequence_start.anchor,
                                  event->sequence_start.tag);
        return status != PS_OK ? status : on_open(reader, event, PS_YAML_LIST);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        PS_ASSERT(reader->depth > 0);
        reader->depth--;
        return PS_OK;
    case FYET_SCALAR:
        status = check_properties(reader, event, event->scalar.anchor, event->scalar.tag);
        return status != PS_OK ? status : on_scalar(reader, event);
    case FYET_ALIAS:
        place(reader, event, &line, &column);
        /* The mark stands behind the *. */
        return refuse(reader, PS_INVALID, line, column > 1 ? column - 1 : column,
                      "found an alias, expected plain YAML without anchors and aliases");
    default:
        return PS_OK;
    }
}

/** What libfyaml found wrong, in our form. */
static enum ps_status syntax_error(struct reader *reader, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);
    struct ps_buf text = {0};
    if (error == NULL) {
        return refuse(reader, PS_INVALID, 1, 1, "found something that is no YAML");
    }
    ps_buf_printf(&text, "found a mistake in the YAML: %s", error->msg != NULL ? error->msg : "?");
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == ' ')) {
        text.size--;
    }
    enum ps_status status = refuse(reader, PS_INVALID, error->line > 0 ? error->line : 1,
                                   error->column > 0 ? error->column : 1, ps_buf_text(&text));
    ps_buf_fini(&text);
    return status;
}

static enum ps_status check_bytes(struct reader *reader, struct ps_slice source)
{
    if (source.size > PS_YAML_SIZE_MAX) {
        return refuse(reader, PS_LIMIT, 1, 1, "found more than 1 MiB, expected at most 1 MiB");
    }
    int line = 1, column = 1;
    size_t bad = source.size > 0 ? ps_utf8_bad_at(source.data, source.size) : 0;
    size_t nul = source.size;
    if (source.size > 0) {
        const char *found = memchr(source.data, '\0', source.size);
        nul = found != NULL ? (size_t)(found - source.data) : source.size;
    }
    if (bad == source.size && nul == source.size) {
        return PS_OK;
    }
    ps_utf8_place(source.data, bad < nul ? bad : nul, &line, &column);
    if (bad < nul) {
        return refuse(reader, PS_INVALID, line, column,
                      "found a byte that is no UTF-8, expected text");
    }
    return refuse(reader, PS_INVALID, line, column, "found a NUL byte, expected text");
}

static enum ps_status read_events(struct reader *reader, struct fy_diag *diag)
{
    enum ps_status status = PS_OK;
    bool ended = false;
    while (status == PS_OK && !ended) {
        struct fy_event *event = fy_parser_parse(reader->parser);
        if (event == NULL) {
            break;
        }
        ended = event->type == FYET_STREAM_END;
        status = on_event(reader, event);
        fy_parser_event_free(reader->parser, event);
    }
    if (status == PS_OK && (!ended || fy_parser_get_stream_error(reader->parser))) {
        status = syntax_error(reader, diag);
    }
    if (status == PS_OK && reader->root == NULL) {
        status = refuse(reader, PS_INVALID, 1, 1,
                        reader->setting != NULL ? "found nothing, expected a value"
                                                : "found nothing, expected a scenario");
    }
    return status;
}

static enum ps_status parse(struct ps_slice source, const char *path, const char *setting,
                            struct ps_yaml **ret, struct ps_error *err)
{
    struct reader reader = {.path = path, .setting = setting, .err = err};
    enum ps_status status = check_bytes(&reader, source);
    if (status != PS_OK) {
        return status;
    }
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (diag == NULL) {
        return ps_fail(err, PS_IO, "%s: the YAML reader does not start", path);
    }
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = diag,
    };
    reader.parser = fy_parser_create(&cfg);
    if (reader.parser == NULL ||
        fy_parser_set_string(reader.parser, source.size > 0 ? source.data : "", source.size) != 0) {
        status = ps_fail(err, PS_IO, "%s: the YAML reader does not start", path);
    } else {
        status = read_events(&reader, diag);
    }
    fy_parser_destroy(reader.parser);
    fy_diag_destroy(diag);
    ps_yaml_destroy(reader.key);
    if (status != PS_OK) {
        ps_yaml_destroy(reader.root);
        return status;
    }
    *ret = reader.root;
    return PS_OK;
}

enum ps_status ps_yaml_parse(struct ps_slice source, const char *path, struct ps_yaml **ret,
                             struct ps_error *err)
{
    return parse(source, path, NULL, ret, err);
}

enum ps_status ps_yaml_parse_setting(const char *path, const char *value, struct ps_yaml **ret,
                                     struct ps_error *err)
{
    return parse(ps_slice_of(value), path, path, ret, err);
}
