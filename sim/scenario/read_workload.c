#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <stdio.h>
#include <string.h>

enum { TIMES_MAX = 10000, WORKLOADS_MAX = 10000 };

static const char *const ENTRY_KEYS[] = {
    "name",      "at",      "every",    "rate",     "clients", "think",   "trace",
    "from",      "until",   "count",    "pop",      "mix",     "kv.get",  "kv.put",
    "kv.delete", "kv.list", "d1.query", "d1.batch", "r2.get",  "r2.head", "r2.put",
    "r2.delete", "r2.list", "r2.fetch", "r2.purge"};

/* The index is enum ps_timing. */
static const char *const TIMINGS[] = {"at", "every", "rate", "clients", "trace"};

struct list {
    struct ps_scenario *scenario;
    size_t capacity;
};

static void workload_fini(struct ps_workload *workload)
{
    free(workload->name);
    free(workload->pops);
    for (size_t i = 0; i < workload->action_count; i++) {
        ps_action_fini(&workload->actions[i]);
    }
    free(workload->actions);
    for (size_t i = 0; i < workload->trace_count; i++) {
        ps_action_fini(&workload->trace[i].action);
        free(workload->trace[i].session);
    }
    free(workload->trace);
    *workload = (struct ps_workload){0};
}

void ps_scenario_workloads_fini(struct ps_scenario *scenario)
{
    for (size_t i = 0; i < scenario->workload_count; i++) {
        workload_fini(&scenario->workloads[i]);
    }
    free(scenario->workloads);
    scenario->workloads = NULL;
    scenario->workload_count = 0;
}

/** An instant of the run: a duration since its begin. */
static enum ps_status read_instant(struct ps_reader *reader, const struct ps_yaml *node,
                                   const char *what, bool end_too, ps_time_ns *ret)
{
    ps_time_ns t = 0;
    struct ps_buf text = {0};
    ps_buf_printf(&text, "a time, such as %s: 90s", what);
    enum ps_status status = ps_read_duration(reader, node, 0, PS_NEVER, ps_buf_text(&text), &t);
    ps_dur_ns duration_ns = reader->scenario->duration_ns;
    if (status == PS_OK && (end_too ? t > duration_ns : t >= duration_ns)) {
        text.size = 0;
        ps_buf_printf(&text, "found %s: %s, expected a time %s the run's duration, ", what,
                      node->text, end_too ? "not beyond" : "before");
        ps_dur_format(&text, duration_ns);
        status = ps_refuse(reader, node, "%s", ps_buf_text(&text));
    }
    ps_buf_fini(&text);
    *ret = t;
    return status;
}

static enum ps_status read_where(struct ps_reader *reader, const struct ps_yaml *entry,
                                 struct ps_workload *workload)
{
    const struct ps_yaml *node = NULL;
    enum ps_status status =
        ps_read_member(reader, entry, "pop", "where: pop: fra, a list of PoPs, each or any", &node);
    if (status != PS_OK) {
        return status;
    }
    if (node->kind == PS_YAML_SCALAR && strcmp(node->text, "each") == 0) {
        workload->where = PS_WHERE_EACH;
        return PS_OK;
    }
    if (node->kind == PS_YAML_SCALAR && strcmp(node->text, "any") == 0) {
        workload->where = PS_WHERE_ANY;
        return PS_OK;
    }
    workload->where = PS_WHERE_LIST;
    return ps_read_pop_list(reader, node, &workload->pops, &workload->pop_count);
}

static size_t stream_count(const struct ps_reader *reader, const struct ps_workload *workload)
{
    return workload->where == PS_WHERE_LIST   ? workload->pop_count
           : workload->where == PS_WHERE_EACH ? reader->scenario->cluster.pop_count
                                              : 1;
}

static enum ps_status read_clients(struct ps_reader *reader, const struct ps_yaml *entry,
                                   struct ps_workload *workload)
{
    uint64_t clients = 0;
    const struct ps_yaml *think = NULL, *node = ps_yaml_get(entry, "clients");
    enum ps_status status = ps_read_u64(reader, node, 1, PS_SCENARIO_CLIENTS_MAX,
                                        "a number of clients from 1 to 1000000", &clients);
    uint64_t all = clients * stream_count(reader, workload);
    if (status == PS_OK && all > PS_SCENARIO_CLIENTS_MAX) {
        status = ps_refuse(reader, node, "found %llu clients in all, expected at most %d",
                           (unsigned long long)all, (int)PS_SCENARIO_CLIENTS_MAX);
    }
    workload->clients = (uint32_t)clients;
    if (status == PS_OK) {
        status =
            ps_read_member(reader, entry, "think",
                           "how long a client waits between operations, as in think: 50ms", &think);
    }
    if (status == PS_OK) {
        /* An answer may take no time at all: without a pause the run would stand still. */
        status = ps_read_duration(reader, think, PS_US, 365 * PS_DAY,
                                  "a think time from 1us to 365d", &workload->think_ns);
    }
    return status;
}

static enum ps_status read_timing(struct ps_reader *reader, const struct ps_yaml *entry,
                                  struct ps_workload *workload)
{
    const struct ps_yaml *node = ps_yaml_get(entry, TIMINGS[workload->timing]);
    switch (workload->timing) {
    case PS_TIMING_EVERY:
        return ps_read_duration(reader, node, 1, 365 * PS_DAY, "a period over 0, such as 1s",
                                &workload->every_ns);
    case PS_TIMING_RATE:
        if (node->kind != PS_YAML_SCALAR ||
            !ps_number_rate(ps_yaml_slice(node), &workload->rate_hz) || workload->rate_hz < 1e-9 ||
            workload->rate_hz > 1e9) {
            return ps_found(reader, node, "operations per time over 0, such as 200/s, 5/m or 0.5");
        }
        return PS_OK;
    case PS_TIMING_CLIENTS:
        return read_clients(reader, entry, workload);
    case PS_TIMING_AT:
    case PS_TIMING_TRACE:
        break;
    }
    return PS_OK;
}

/** from, until and count, which only repeating entries have. */
static enum ps_status read_span(struct ps_reader *reader, const struct ps_yaml *entry,
                                struct ps_workload *workload)
{
    enum ps_status status = PS_OK;
    workload->until_ns = reader->scenario->duration_ns;
    const struct ps_yaml *from = ps_yaml_get(entry, "from"), *until = ps_yaml_get(entry, "until");
    if (from != NULL) {
        status = read_instant(reader, from, "from", false, &workload->from_ns);
    }
    if (status == PS_OK && until != NULL) {
        status = read_instant(reader, until, "until", true, &workload->until_ns);
    }
    if (status == PS_OK && workload->from_ns >= workload->until_ns) {
        struct ps_buf text = {0};
        ps_dur_format(&text, workload->from_ns);
        /* from is before the duration, which is until's default: so until was given. */
        PS_ASSERT(until != NULL);
        status = ps_refuse(reader, until, "found until: %s, expected a time after from: %s",
                           until->text, ps_buf_text(&text));
        ps_buf_fini(&text);
    }
    const struct ps_yaml *count = ps_yaml_get(entry, "count");
    if (status == PS_OK && count != NULL) {
        status = ps_read_u64(reader, count, 1, (uint64_t)PS_SCENARIO_OPERATIONS_MAX,
                             "a number of operations from 1 to 10000000000", &workload->count);
    }
    return status;
}

static enum ps_status check_size(struct ps_reader *reader, const struct ps_yaml *entry,
                                 const struct ps_workload *workload)
{
    double seconds = (double)(workload->until_ns - workload->from_ns) / 1e9;
    double per_stream = workload->timing == PS_TIMING_EVERY
                            ? seconds * 1e9 / (double)workload->every_ns
                        : workload->timing == PS_TIMING_RATE
                            ? seconds * workload->rate_hz
                            : seconds * 1e9 / (double)workload->think_ns * workload->clients;
    double most = (double)workload->count * (workload->clients > 0 ? workload->clients : 1);
    if (workload->count > 0 && per_stream > most) {
        per_stream = most;
    }
    double all = per_stream * (double)stream_count(reader, workload);
    if (all > PS_SCENARIO_OPERATIONS_MAX) {
        return ps_refuse(reader, entry, "found about %.3g operations, expected at most %.0e", all,
                         PS_SCENARIO_OPERATIONS_MAX);
    }
    return PS_OK;
}

/** The one timing among the entry's keys, and no key that goes with another. */
static enum ps_status find_timing(struct ps_reader *reader, const struct ps_yaml *entry,
                                  enum ps_timing *ret)
{
    const char *first = NULL;
    for (size_t i = 0; i < PS_COUNT(TIMINGS); i++) {
        if (ps_yaml_get(entry, TIMINGS[i]) == NULL) {
            continue;
        }
        if (first != NULL) {
            return ps_refuse(reader, entry,
                             "found both %s and %s, expected one of at, every, rate, "
                             "clients, trace",
                             first, TIMINGS[i]);
        }
        first = TIMINGS[i];
        *ret = (enum ps_timing)i;
    }
    if (first == NULL) {
        return ps_refuse(reader, entry,
                         "found no timing, expected one of at, every, rate, clients, trace");
    }

    static const struct {
        const char *key;
        unsigned timings; /* a bit for each that it goes with */
    } RULES[] = {
        {"think", 1U << PS_TIMING_CLIENTS},
        {"from", 1U << PS_TIMING_EVERY | 1U << PS_TIMING_RATE | 1U << PS_TIMING_CLIENTS},
        {"until", 1U << PS_TIMING_EVERY | 1U << PS_TIMING_RATE | 1U << PS_TIMING_CLIENTS},
        {"count", 1U << PS_TIMING_EVERY | 1U << PS_TIMING_RATE | 1U << PS_TIMING_CLIENTS},
        {"pop", ~(1U << PS_TIMING_TRACE)},
        {"mix", ~(1U << PS_TIMING_TRACE)},
        {"kv.get", ~(1U << PS_TIMING_TRACE)},
        {"kv.put", ~(1U << PS_TIMING_TRACE)},
        {"kv.delete", ~(1U << PS_TIMING_TRACE)},
        {"kv.list", ~(1U << PS_TIMING_TRACE)},
        {"d1.query", ~(1U << PS_TIMING_TRACE)},
        {"d1.batch", ~(1U << PS_TIMING_TRACE)},
        {"r2.get", ~(1U << PS_TIMING_TRACE)},
        {"r2.head", ~(1U << PS_TIMING_TRACE)},
        {"r2.put", ~(1U << PS_TIMING_TRACE)},
        {"r2.delete", ~(1U << PS_TIMING_TRACE)},
        {"r2.list", ~(1U << PS_TIMING_TRACE)},
        {"r2.fetch", ~(1U << PS_TIMING_TRACE)},
        {"r2.purge", ~(1U << PS_TIMING_TRACE)},
    };

    for (size_t i = 0; i < entry->count; i++) {
        for (size_t j = 0; j < PS_COUNT(RULES); j++) {
            if (strcmp(entry->keys[i]->text, RULES[j].key) == 0 &&
                (RULES[j].timings >> *ret & 1) == 0) {
                return ps_refuse(reader, entry->keys[i],
                                 "found key \"%s\" beside %s, expected keys that go with it",
                                 RULES[j].key, first);
            }
        }
    }
    return PS_OK;
}

/** Unique in the file; "workload-3" for an entry without one. */
static enum ps_status read_name(struct ps_reader *reader, const struct ps_yaml *entry, size_t index,
                                char **ret)
{
    const struct ps_yaml *node = ps_yaml_get(entry, "name");
    struct ps_slice name;
    char made[32];
    (void)snprintf(made, sizeof made, "workload-%zu", index + 1);
    name = ps_slice_of(made);
    if (node != NULL) {
        enum ps_status status = ps_read_text(reader, node, "a name", &name);
        if (status == PS_OK && (name.size == 0 || name.size > PS_SCENARIO_NAME_MAX ||
                                memchr(name.data, '/', name.size) != NULL ||
                                memchr(name.data, '#', name.size) != NULL)) {
            status = ps_found(reader, node, "a name of 1 to 200 bytes without / and #");
        }
        if (status != PS_OK) {
            return status;
        }
    }
    *ret = ps_strndup(name.data, name.size);
    return PS_OK;
}

static enum ps_status add(struct ps_reader *reader, const struct ps_yaml *entry, struct list *list,
                          struct ps_workload *workload)
{
    struct ps_scenario *scenario = list->scenario;
    enum ps_status status = PS_OK;
    if (scenario->workload_count == WORKLOADS_MAX) {
        status = ps_refuse(reader, entry, "found more than %d workloads, expected at most %d",
                           (int)WORKLOADS_MAX, (int)WORKLOADS_MAX);
    }
    for (size_t i = 0; i < scenario->workload_count && status == PS_OK; i++) {
        if (strcmp(scenario->workloads[i].name, workload->name) == 0) {
            const struct ps_yaml *name = ps_yaml_get(entry, "name");
            status =
                ps_refuse(reader, name != NULL ? name : entry,
                          "found name \"%s\" twice, expected a name of its own for each workload",
                          workload->name);
        }
    }
    if (status != PS_OK) {
        return status;
    }
    scenario->workloads = ps_grow(scenario->workloads, scenario->workload_count, &list->capacity,
                                  sizeof *scenario->workloads);
    scenario->workloads[scenario->workload_count++] = *workload;
    *workload = (struct ps_workload){0};
    return PS_OK;
}

/** An `at` list: one workload for each time, "name.1", "name.2", ... */
static enum ps_status add_times(struct ps_reader *reader, const struct ps_yaml *entry, size_t index,
                                struct list *list)
{
    const struct ps_yaml *at = ps_yaml_get(entry, "at");
    bool many = at->kind == PS_YAML_LIST;
    size_t count = many ? at->count : 1;
    if (at->kind == PS_YAML_MAP || count == 0 || count > TIMES_MAX) {
        return ps_found(reader, at, "a time such as 30s, or a list of 1 to 10000 times");
    }
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < count && status == PS_OK; i++) {
        struct ps_workload workload = {.timing = PS_TIMING_AT};
        status = read_instant(reader, many ? at->items[i] : at, "at", false, &workload.at_ns);
        workload.from_ns = workload.at_ns;
        workload.until_ns = reader->scenario->duration_ns;
        if (status == PS_OK) {
            status = read_name(reader, entry, index, &workload.name);
        }
        if (status == PS_OK && many) {
            struct ps_buf name = {0};
            ps_buf_printf(&name, "%s.%zu", workload.name, i + 1);
            free(workload.name);
            workload.name = ps_strndup(name.data, name.size);
            ps_buf_fini(&name);
        }
        if (status == PS_OK) {
            status = read_where(reader, entry, &workload);
        }
        if (status == PS_OK) {
            status = ps_read_actions(reader, entry, &workload);
        }
        if (status == PS_OK) {
            status = add(reader, entry, list, &workload);
        }
        workload_fini(&workload);
    }
    return status;
}

/** Entries that repeat draw often; what is drawn once is not worth a table. */
static void prepare(struct ps_reader *reader, struct ps_workload *workload)
{
    for (size_t i = 0; i < workload->action_count; i++) {
        if (reader->prepared < PS_SCENARIO_PREPARED_MAX) {
            ps_text_prepare(&workload->actions[i].key);
            reader->prepared++;
        }
    }
}

static enum ps_status read_entry(struct ps_reader *reader, const struct ps_yaml *entry,
                                 size_t index, struct list *list)
{
    struct ps_workload workload = {0};
    enum ps_status status = ps_check_later(reader, entry);
    if (status == PS_OK) {
        status = ps_read_keys(reader, entry, "a workload", ENTRY_KEYS, PS_COUNT(ENTRY_KEYS));
    }
    if (status == PS_OK) {
        status = find_timing(reader, entry, &workload.timing);
    }
    if (status == PS_OK && workload.timing == PS_TIMING_AT) {
        return add_times(reader, entry, index, list);
    }
    if (status == PS_OK) {
        status = read_name(reader, entry, index, &workload.name);
    }
    if (status == PS_OK && workload.timing == PS_TIMING_TRACE) {
        workload.until_ns = reader->scenario->duration_ns;
        status = ps_read_trace(reader, ps_yaml_get(entry, "trace"), &workload);
    } else if (status == PS_OK) {
        status = read_where(reader, entry, &workload);
        if (status == PS_OK) {
            status = read_timing(reader, entry, &workload);
        }
        if (status == PS_OK) {
            status = read_span(reader, entry, &workload);
        }
        if (status == PS_OK) {
            status = check_size(reader, entry, &workload);
        }
        if (status == PS_OK) {
            status = ps_read_actions(reader, entry, &workload);
        }
        prepare(reader, &workload);
    }
    if (status == PS_OK) {
        status = add(reader, entry, list, &workload);
    }
    workload_fini(&workload);
    return status;
}

enum ps_status ps_read_workloads(struct ps_reader *reader, const struct ps_yaml *node)
{
    if (node->kind != PS_YAML_LIST) {
        return ps_found(reader, node, "a list of workloads");
    }
    if (node->count == 0) {
        return ps_refuse(reader, node, "found an empty list, expected at least one workload");
    }
    struct list list = {.scenario = reader->scenario};
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        status = read_entry(reader, node->items[i], i, &list);
    }
    return status;
}
