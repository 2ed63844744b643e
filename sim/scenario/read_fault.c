#include "replication/base/memory.h"
#include "sim/scenario/read.h"

#include <string.h>

enum { FAULTS_MAX = 4096 };

/* The index is enum ps_fault_kind. */
static const char *const KINDS[] = {"partition", "crash", "slow"};

static void fault_fini(struct ps_fault *fault)
{
    free(fault->pops);
    *fault = (struct ps_fault){0};
}

void ps_scenario_faults_fini(struct ps_scenario *scenario)
{
    for (size_t i = 0; i < scenario->fault_count; i++) {
        fault_fini(&scenario->faults[i]);
    }
    free(scenario->faults);
    scenario->faults = NULL;
    scenario->fault_count = 0;
}

static enum ps_status read_when(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_fault *fault)
{
    const struct ps_yaml *at = NULL, *length = ps_yaml_get(node, "for");
    ps_dur_ns duration_ns = reader->scenario->duration_ns, length_ns = 0;
    struct ps_buf run = {0};
    ps_dur_format(&run, duration_ns);
    enum ps_status status =
        ps_read_member(reader, node, "at", "when it begins, as in at: 60s", &at);
    if (status == PS_OK) {
        status = ps_read_duration(reader, at, 0, PS_NEVER, "a time, such as at: 60s",
                                  &fault->when.from_ns);
    }
    if (status == PS_OK && fault->when.from_ns >= duration_ns) {
        status =
            ps_refuse(reader, at, "found at: %s, expected a time before the run's duration, %s",
                      at->text, ps_buf_text(&run));
    }
    fault->when.until_ns = PS_NEVER;
    if (status == PS_OK && length != NULL) {
        status = ps_read_duration(reader, length, 1, PS_NEVER, "a length of time, such as for: 30s",
                                  &length_ns);
    }
    if (status == PS_OK && length != NULL) {
        fault->when.until_ns = ps_time_add(fault->when.from_ns, length_ns);
        if (fault->when.until_ns > duration_ns) {
            status = ps_refuse(reader, length,
                               "found for: %s, expected an end not beyond the run's "
                               "duration, %s (without for: it lasts to the end)",
                               length->text, ps_buf_text(&run));
        }
    }
    ps_buf_fini(&run);
    return status;
}

static enum ps_status read_pops(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_fault *fault)
{
    const struct ps_yaml *pop = NULL;
    enum ps_status status =
        ps_read_member(reader, node, "pop", "where: pop: syd, a list of PoPs, or each", &pop);
    if (status != PS_OK) {
        return status;
    }
    if (pop->kind != PS_YAML_SCALAR || strcmp(pop->text, "each") != 0) {
        status = ps_read_pop_list(reader, pop, &fault->pops, &fault->pop_count);
    } else {
        size_t count = reader->scenario->cluster.pop_count;
        fault->pops = PS_NEW_ARRAY(uint16_t, count);
        for (size_t i = 0; i < count; i++) {
            /* `each` leaves out home, whose link has no length. */
            if (fault->kind == PS_FAULT_CRASH || i != reader->scenario->cluster.home) {
                fault->pops[fault->pop_count++] = (uint16_t)i;
            }
        }
    }
    const struct ps_cluster *cluster = &reader->scenario->cluster;
    for (size_t i = 0; i < fault->pop_count && status == PS_OK && fault->kind != PS_FAULT_CRASH;
         i++) {
        for (size_t j = 0; j < cluster->store_count && status == PS_OK; j++) {
            if (cluster->stores[j].home == fault->pops[i]) {
                status = ps_refuse(reader, pop,
                                   "found a %s of %s, home of %s, expected another PoP: the "
                                   "link from home to a PoP is what it changes",
                                   KINDS[fault->kind], cluster->pops[fault->pops[i]]->code,
                                   cluster->stores[j].name);
            }
        }
    }
    return status;
}

static enum ps_status read_kind(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_fault *fault)
{
    static const char *const KEYS[] = {"pop", "factor"};
    const struct ps_yaml *what = NULL;
    for (size_t i = 0; i < PS_COUNT(KINDS); i++) {
        const struct ps_yaml *member = ps_yaml_get(node, KINDS[i]);
        if (member != NULL && what != NULL) {
            return ps_refuse(reader, node,
                             "found both %s and %s, expected one of partition, crash, slow",
                             KINDS[fault->kind], KINDS[i]);
        }
        if (member != NULL) {
            what = member;
            fault->kind = (enum ps_fault_kind)i;
        }
    }
    if (what == NULL) {
        return ps_refuse(reader, node,
                         "found no kind of fault, expected one of partition, crash, slow");
    }
    bool slow = fault->kind == PS_FAULT_SLOW;
    enum ps_status status = ps_read_keys(reader, what, KINDS[fault->kind], KEYS, slow ? 2 : 1);
    if (status == PS_OK) {
        status = read_pops(reader, what, fault);
    }
    if (status == PS_OK && slow) {
        const struct ps_yaml *node_factor = NULL;
        double factor = 1;
        status = ps_read_member(reader, what, "factor", "how many times longer, as in factor: 10",
                                &node_factor);
        if (status == PS_OK) {
            status = ps_read_double(reader, node_factor, 1, 1000000, "a factor from 1 to 1000000",
                                    &factor);
        }
        fault->factor_milli = (uint32_t)(factor * 1000 + 0.5);
    }
    return status;
}

/** A PoP that is down cannot crash. */
static enum ps_status check_overlap(struct ps_reader *reader, const struct ps_yaml *node,
                                    const struct ps_fault *fault)
{
    const struct ps_scenario *scenario = reader->scenario;
    for (size_t i = 0; fault->kind == PS_FAULT_CRASH && i < scenario->fault_count; i++) {
        const struct ps_fault *other = &scenario->faults[i];
        if (other->kind != PS_FAULT_CRASH || other->when.from_ns >= fault->when.until_ns ||
            fault->when.from_ns >= other->when.until_ns) {
            continue;
        }
        for (size_t a = 0; a < fault->pop_count; a++) {
            for (size_t b = 0; b < other->pop_count; b++) {
                if (fault->pops[a] == other->pops[b]) {
                    return ps_refuse(reader, node,
                                     "found a crash of %s while it is down from another, "
                                     "expected crashes of one PoP not to overlap",
                                     scenario->cluster.pops[fault->pops[a]]->code);
                }
            }
        }
    }
    return PS_OK;
}

/** Insert by time; equal times stay in the file's order. */
static void insert(struct ps_scenario *scenario, size_t *capacity, struct ps_fault *fault)
{
    scenario->faults =
        ps_grow(scenario->faults, scenario->fault_count, capacity, sizeof *scenario->faults);
    size_t at = scenario->fault_count++;
    while (at > 0 && scenario->faults[at - 1].when.from_ns > fault->when.from_ns) {
        scenario->faults[at] = scenario->faults[at - 1];
        at--;
    }
    scenario->faults[at] = *fault;
    *fault = (struct ps_fault){0};
}

enum ps_status ps_read_faults(struct ps_reader *reader, const struct ps_yaml *node)
{
    static const char *const KEYS[] = {"at", "for", "partition", "crash", "slow"};
    if (node->kind != PS_YAML_LIST) {
        return ps_found(reader, node, "a list of faults");
    }
    if (node->count > FAULTS_MAX) {
        return ps_refuse(reader, node, "found %zu faults, expected at most %d", node->count,
                         (int)FAULTS_MAX);
    }
    size_t capacity = 0;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        struct ps_fault fault = {0};
        status = ps_read_keys(reader, node->items[i], "a fault", KEYS, PS_COUNT(KEYS));
        if (status == PS_OK) {
            status = read_when(reader, node->items[i], &fault);
        }
        if (status == PS_OK) {
            status = read_kind(reader, node->items[i], &fault);
        }
        if (status == PS_OK) {
            status = check_overlap(reader, node->items[i], &fault);
        }
        if (status == PS_OK) {
            insert(reader->scenario, &capacity, &fault);
        }
        fault_fini(&fault);
    }
    return status;
}
