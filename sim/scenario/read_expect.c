#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <string.h>

enum { EXPECTATIONS_MAX = 4096, EXPECTATION_SIZE_MAX = 300 };

static const char FORM[] = "NAME, then one of <= < == != >= >, then a number, as in "
                           "CACHE.visibility.max <= 60s";

/* Longer ones first: "<=" begins with "<". */
static const struct {
    const char *text;
    enum ps_comparison comparison;
} COMPARISONS[] = {
    {"<=", PS_LESS_EQUAL},    {"==", PS_EQUAL}, {"!=", PS_NOT_EQUAL},
    {">=", PS_GREATER_EQUAL}, {"<", PS_LESS},   {">", PS_GREATER},
};

void ps_scenario_expectations_fini(struct ps_scenario *scenario)
{
    for (size_t i = 0; i < scenario->expectation_count; i++) {
        free(scenario->expectations[i].text);
        free(scenario->expectations[i].name);
    }
    free(scenario->expectations);
    scenario->expectations = NULL;
    scenario->expectation_count = 0;
}

static size_t skip_spaces(struct ps_slice text, size_t at)
{
    while (at < text.size && text.data[at] == ' ') {
        at++;
    }
    return at;
}

/** A number, or a duration, which becomes seconds; "60 s" is one too. */
static bool parse_bound(struct ps_slice text, double *ret)
{
    char packed[64];
    size_t size = 0;
    if (ps_number_double(text, ret)) {
        return true;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != ' ') {
            if (size == sizeof packed) {
                return false;
            }
            packed[size++] = text.data[i];
        }
    }
    ps_dur_ns duration_ns;
    if (ps_dur_parse((struct ps_slice){packed, size}, &duration_ns) != PS_OK) {
        return false;
    }
    *ret = (double)duration_ns / 1e9;
    return true;
}

/** The first part is a store, or a measure of the whole run. What stands behind it, sim/measure
 * knows. */
static enum ps_status check_subject(struct ps_reader *reader, const struct ps_yaml *node, size_t at,
                                    struct ps_slice name)
{
    const struct ps_cluster *cluster = &reader->scenario->cluster;
    const char *names[PS_STORES_MAX + 2];
    size_t count = cluster->store_count;
    for (size_t i = 0; i < count; i++) {
        names[i] = cluster->stores[i].name;
    }
    names[count++] = "fidelity";
    names[count++] = "operations";
    const char *dot = memchr(name.data, '.', name.size);
    struct ps_slice subject = {name.data, dot != NULL ? (size_t)(dot - name.data) : name.size};
    struct ps_buf text = {0};
    for (size_t i = 0; i < count; i++) {
        if (ps_slice_eq(subject, ps_slice_of(names[i]))) {
            bool whole = i == count - 1;
            if (whole == (dot == NULL)) {
                return PS_OK;
            }
            return ps_refuse_at(reader, node, at,
                                whole ? "found more behind operations, expected it alone"
                                      : "found a name without a measure, expected one, as in "
                                        "CACHE.visibility.max");
        }
    }
    ps_buf_append_text(&text, "found ");
    ps_yaml_quote(&text, subject);
    ps_buf_append_text(&text, ", expected one of ");
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_text(&text, i > 0 ? ", " : "");
        ps_buf_append_text(&text, names[i]);
    }
    enum ps_status status = ps_refuse_at(reader, node, at, "%s", ps_buf_text(&text));
    ps_buf_fini(&text);
    return status;
}

static enum ps_status read_line(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_expectation *ret)
{
    struct ps_slice text;
    enum ps_status status = ps_read_text(reader, node, FORM, &text);
    if (status != PS_OK) {
        return status;
    }
    if (text.size > EXPECTATION_SIZE_MAX) {
        return ps_refuse(reader, node, "found %zu bytes, expected at most %d", text.size,
                         (int)EXPECTATION_SIZE_MAX);
    }
    size_t from = skip_spaces(text, 0), at = from;
    while (at < text.size && strchr(" <=>!", text.data[at]) == NULL) {
        at++;
    }
    struct ps_slice name = {text.data + from, at - from};
    if (name.size == 0) {
        return ps_found(reader, node, FORM);
    }
    at = skip_spaces(text, at);
    struct ps_slice rest = {text.data + at, text.size - at};
    size_t found = 0;
    while (found < PS_COUNT(COMPARISONS) &&
           !ps_slice_starts(rest, ps_slice_of(COMPARISONS[found].text))) {
        found++;
    }
    struct ps_buf quoted = {0};
    if (found == PS_COUNT(COMPARISONS)) {
        if (rest.size > 0) {
            ps_yaml_quote(&quoted, rest);
        } else {
            ps_buf_append_text(&quoted, "nothing behind the name");
        }
        status = ps_refuse_at(reader, node, at, "found %s, expected one of <= < == != >= >",
                              ps_buf_text(&quoted));
        ps_buf_fini(&quoted);
        return status;
    }
    at = skip_spaces(text, at + strlen(COMPARISONS[found].text));
    rest = (struct ps_slice){text.data + at, text.size - at};
    while (rest.size > 0 && rest.data[rest.size - 1] == ' ') {
        rest.size--;
    }
    if (!parse_bound(rest, &ret->bound)) {
        ps_yaml_quote(&quoted, rest);
        status = ps_refuse_at(reader, node, at,
                              "found %s, expected a number or a duration, as 0.2 or 60s",
                              ps_buf_text(&quoted));
        ps_buf_fini(&quoted);
        return status;
    }
    status = check_subject(reader, node, from, name);
    if (status == PS_OK) {
        ret->comparison = COMPARISONS[found].comparison;
        ret->name = ps_strndup(name.data, name.size);
        ret->text = ps_strndup(text.data, text.size);
        ret->line = node->line;
        ret->column = node->column;
    }
    return status;
}

enum ps_status ps_read_expectations(struct ps_reader *reader, const struct ps_yaml *node)
{
    struct ps_scenario *scenario = reader->scenario;
    if (node->kind != PS_YAML_LIST) {
        return ps_found(reader, node,
                        "a list of expectations, as in [CACHE.visibility.max <= 60s]");
    }
    if (node->count > EXPECTATIONS_MAX) {
        return ps_refuse(reader, node, "found %zu expectations, expected at most %d", node->count,
                         (int)EXPECTATIONS_MAX);
    }
    size_t capacity = 0;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        struct ps_expectation expectation = {0};
        status = read_line(reader, node->items[i], &expectation);
        if (status == PS_OK) {
            scenario->expectations = ps_grow(scenario->expectations, scenario->expectation_count,
                                             &capacity, sizeof *scenario->expectations);
            scenario->expectations[scenario->expectation_count++] = expectation;
        }
    }
    return status;
}
