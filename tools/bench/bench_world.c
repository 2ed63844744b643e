/* One part of the benchmark `world`, timed: prints a line of JSON. tools/bench/world.py runs the
 * parts in turn, each in a process of its own.
 *
 *   bench_world measure FILE [PATH=VALUE...]    ps_world_measure
 *   bench_world history FILE [PATH=VALUE...]    ps_world_run and ps_measure
 *   bench_world draws-push FILE ...             only a delay for each (write, PoP)
 *   bench_world draws-cache FILE ...            only gap, key and a pin's look-up for each read */
#include "replication/base/memory.h"
#include "sim/workload/session.h"
#include "sim/world/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { SETTINGS_MAX = 16, EXIT_BAD_INPUT = 2, EXIT_FAILED = 3 };

#define NS_PER_S 1e9

/** What a part did. */
struct done {
    uint64_t reads;
    uint64_t writes;
    uint64_t errors;
    uint64_t visibilities; /* (write, PoP) pairs that were accounted for */
    uint64_t sink;         /* depends on all that was computed */
};

/* ---- the engines ---- */

static void count_measures(const struct ps_measures *measures, struct done *ret)
{
    for (size_t s = 0; s < measures->store_count; s++) {
        const struct ps_store_measures *store = &measures->stores[s];
        ret->reads += store->reads;
        ret->writes += store->writes;
        ret->errors += store->errors;
        ret->visibilities += store->visibility->count + store->never_visible;
        ret->sink += store->stale_reads + (uint64_t)store->visibility->sum;
    }
}

static enum ps_status run_measure(const struct ps_scenario *scenario, struct done *ret,
                                  struct ps_error *err)
{
    struct ps_measures *measures;
    enum ps_status status = ps_world_measure(scenario, &measures, err);
    if (status == PS_OK) {
        count_measures(measures, ret);
        ps_measures_destroy(measures);
    }
    return status;
}

static enum ps_status run_history(const struct ps_scenario *scenario, struct done *ret,
                                  struct ps_error *err)
{
    struct ps_history *history;
    enum ps_status status = ps_world_run(scenario, NULL, &history, err);
    if (status != PS_OK) {
        return status;
    }
    struct ps_measures *measures = ps_measures_create(&scenario->cluster);
    status = ps_measure(history, measures, err);
    count_measures(measures, ret);
    ps_measures_destroy(measures);
    ps_history_destroy(history);
    return status;
}

/* ---- the bare loops ---- */

/* The operations of all workloads of this verb: rate times duration. */
static uint64_t planned(const struct ps_scenario *scenario, enum ps_verb verb)
{
    double count = 0;
    for (size_t w = 0; w < scenario->workload_count; w++) {
        const struct ps_workload *workload = &scenario->workloads[w];
        if (workload->actions[0].verb == verb) {
            count += workload->rate_hz * (double)scenario->duration_ns / NS_PER_S;
        }
    }
    return (uint64_t)count;
}

static enum ps_status draws_push(const struct ps_scenario *scenario, struct done *ret,
                                 struct ps_error *err)
{
    const struct ps_store *store = &scenario->cluster.stores[0];
    if (store->policy.kind != PS_POLICY_PUSH) {
        return ps_fail(err, PS_INVALID, "draws-push needs a store with a push policy");
    }
    uint64_t writes = planned(scenario, PS_VERB_KV_PUT);
    for (size_t p = 0; p < scenario->cluster.pop_count; p++) {
        ps_stream stream = ps_stream_of("delay", store->name, scenario->cluster.pops[p]->code);
        for (uint64_t n = 1; n <= writes; n++) {
            ret->sink += ps_delay_draw(&store->policy.push.delay, scenario->seed, stream, n);
        }
    }
    ret->writes = writes;
    ret->visibilities = writes * scenario->cluster.pop_count;
    return PS_OK;
}

static const struct ps_workload *readers_of(const struct ps_scenario *scenario)
{
    for (size_t w = 0; w < scenario->workload_count; w++) {
        if (scenario->workloads[w].actions[0].verb == PS_VERB_KV_GET) {
            return &scenario->workloads[w];
        }
    }
    return NULL;
}

/* A PoP's share of the reads, one after the other: what any simulation of a cache has to do. */
static void draws_of_pop(const struct ps_scenario *scenario, const struct ps_workload *readers,
                         const char *pop, uint64_t reads, ps_time_ns *pins, struct done *ret)
{
    ps_dur_ns ttl_ns = scenario->cluster.stores[0].policy.cache.ttl_ns;
    double mean_ns = (double)scenario->duration_ns / (double)reads;
    ps_stream gap = ps_stream_of("gap", "bench", pop);
    ps_stream key = ps_stream_of("key", "bench", pop);
    ps_time_ns now_ns = 0;
    for (uint64_t n = 0; n < reads; n++) {
        double unit = ps_unit_of(ps_random_u64(scenario->seed, gap, n));
        now_ns += (ps_dur_ns)(-ps_log(unit) * mean_ns) + 1;
        uint64_t at = ps_text_number(&readers->actions[0].key, scenario->seed, key, n);
        if (pins[at] <= now_ns) {
            pins[at] = now_ns + ttl_ns;
            ret->sink++;
        }
    }
    ret->reads += reads;
}

static enum ps_status draws_cache(const struct ps_scenario *scenario, struct done *ret,
                                  struct ps_error *err)
{
    const struct ps_workload *readers = readers_of(scenario);
    uint64_t from;
    uint64_t to;
    if (readers == NULL || scenario->cluster.stores[0].policy.kind != PS_POLICY_CACHE ||
        !ps_text_is_numbered(&readers->actions[0].key, &from, &to)) {
        return ps_fail(err, PS_INVALID, "draws-cache needs a cache policy and numbered keys");
    }
    uint64_t reads = planned(scenario, PS_VERB_KV_GET);
    size_t pop_count = scenario->cluster.pop_count;
    ps_time_ns *pins = PS_NEW_ARRAY(ps_time_ns, (size_t)to + 1);
    for (size_t p = 0; p < pop_count; p++) {
        memset(pins, 0, ((size_t)to + 1) * sizeof *pins);
        draws_of_pop(scenario, readers, scenario->cluster.pops[p]->code, reads / pop_count, pins,
                     ret);
    }
    free(pins);
    return PS_OK;
}

/* ---- the program ---- */

static const struct part {
    const char *name;
    enum ps_status (*run)(const struct ps_scenario *scenario, struct done *ret,
                          struct ps_error *err);
} parts[] = {
    {"measure", run_measure},
    {"history", run_history},
    {"draws-push", draws_push},
    {"draws-cache", draws_cache},
};

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double wall_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

/* Not ru_maxrss, which an exec does not reset. */
static long peak_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    long kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

static enum ps_status time_part(const struct part *part, const struct ps_scenario *scenario,
                                struct ps_error *err)
{
    struct done done = {0};
    struct rusage before;
    struct rusage after;
    double begin_s = wall_s();
    (void)getrusage(RUSAGE_SELF, &before);
    enum ps_status status = part->run(scenario, &done, err);
    (void)getrusage(RUSAGE_SELF, &after);
    double end_s = wall_s();
    if (status == PS_OK) {
        (void)printf("{\"wall_s\": %.6f, \"user_s\": %.6f, \"system_s\": %.6f, \"peak_kib\": %ld, "
                     "\"reads\": %llu, \"writes\": %llu, \"errors\": %llu, \"visibilities\": %llu, "
                     "\"sink\": %llu}\n",
                     end_s - begin_s, seconds_of(after.ru_utime) - seconds_of(before.ru_utime),
                     seconds_of(after.ru_stime) - seconds_of(before.ru_stime), peak_kib(),
                     (unsigned long long)done.reads, (unsigned long long)done.writes,
                     (unsigned long long)done.errors, (unsigned long long)done.visibilities,
                     (unsigned long long)done.sink);
    }
    return status;
}

static const struct part *part_named(const char *name)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            return &parts[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct ps_setting settings[SETTINGS_MAX];
    size_t count = 0;
    const struct part *part = argc < 3 ? NULL : part_named(argv[1]);
    for (int i = 3; i < argc; i++) {
        char *mark = strchr(argv[i], '=');
        if (mark == NULL || count == SETTINGS_MAX) {
            part = NULL;
            break;
        }
        *mark = '\0';
        settings[count++] = (struct ps_setting){argv[i], mark + 1};
    }
    if (part == NULL) {
        (void)fputs("usage: bench_world measure|history|draws-push|draws-cache FILE "
                    "[PATH=VALUE...]\n",
                    stderr);
        return EXIT_BAD_INPUT;
    }
    struct ps_error err = {0};
    struct ps_scenario *scenario;
    if (ps_scenario_load(argv[2], settings, count, &scenario, &err) != PS_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_BAD_INPUT;
    }
    enum ps_status status = time_part(part, scenario, &err);
    ps_scenario_destroy(scenario);
    if (status != PS_OK) {
        (void)fprintf(stderr, "bench_world: %s\n", err.text);
        return EXIT_FAILED;
    }
    return 0;
}
