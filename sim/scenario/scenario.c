#include "sim/scenario/scenario.h"

#include "replication/base/memory.h"
#include "sim/scenario/file.h"
#include "sim/scenario/read.h"

#include <string.h>

#define DURATION_MAX (3650 * PS_DAY)

static const char *const KEYS[] = {"name",   "seed",     "duration", "cluster",
                                   "stores", "workload", "faults",   "expect"};

void ps_scenario_destroy(struct ps_scenario *scenario)
{
    if (scenario == NULL) {
        return;
    }
    ps_scenario_workloads_fini(scenario);
    ps_scenario_faults_fini(scenario);
    ps_scenario_expectations_fini(scenario);
    for (size_t i = 0; scenario->schemas != NULL && i < scenario->cluster.store_count; i++) {
        free(scenario->schemas[i]);
    }
    free(scenario->schemas);
    ps_cluster_fini(&scenario->cluster);
    free(scenario->path);
    free(scenario->name);
    free(scenario);
}

/** The file's name without folder and ending: what a scenario without a name is called. */
static struct ps_slice base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return (struct ps_slice){base,
                             dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base)};
}

static enum ps_status read_head(struct ps_reader *reader, const struct ps_yaml *root)
{
    struct ps_scenario *scenario = reader->scenario;
    struct ps_slice name = base_name(reader->path);
    for (size_t i = 0; i < root->count && root->kind == PS_YAML_MAP; i++) {
        if (strcmp(root->keys[i]->text, "flows") == 0) {
            return ps_refuse(
                reader, root->keys[i],
                "flows are not available in this version; available: " PS_SCENARIO_VERBS);
        }
    }
    enum ps_status status = ps_read_keys(reader, root, "a scenario", KEYS, PS_COUNT(KEYS));
    const struct ps_yaml *node = ps_yaml_get(root, "name");
    if (status == PS_OK && node != NULL) {
        status = ps_read_text(reader, node, "a name", &name);
        if (status == PS_OK && (name.size == 0 || name.size > PS_SCENARIO_NAME_MAX)) {
            status = ps_found(reader, node, "a name of 1 to 200 bytes");
        }
    }
    if (status == PS_OK) {
        scenario->name = ps_strndup(name.data, name.size);
        node = ps_yaml_get(root, "seed");
    }
    scenario->seed = 1;
    if (status == PS_OK && node != NULL) {
        status = ps_read_u64(reader, node, 0, UINT64_MAX, "a seed, an integer from 0 to 2^64 - 1",
                             &scenario->seed);
    }
    scenario->cluster.seed = scenario->seed;
    if (status == PS_OK) {
        status =
            ps_read_member(reader, root, "duration", "how long it runs, as in duration: 3m", &node);
    }
    if (status == PS_OK) {
        status =
            ps_read_duration(reader, node, 1, DURATION_MAX,
                             "a time over 0 and up to 3650d, such as 3m", &scenario->duration_ns);
    }
    return status;
}

static enum ps_status read_all(struct ps_reader *reader, const struct ps_yaml *root)
{
    const struct ps_yaml *node = NULL;
    enum ps_status status = read_head(reader, root);
    if (status == PS_OK) {
        status = ps_read_member(reader, root, "cluster",
                                "the cluster, as in cluster: {pops: [ams, fra]}", &node);
    }
    if (status == PS_OK) {
        status = ps_read_cluster(reader, node);
    }
    if (status == PS_OK) {
        status = ps_read_member(reader, root, "stores",
                                "the stores, as in stores: {CACHE: {type: kv}}", &node);
    }
    if (status == PS_OK) {
        status = ps_read_stores(reader, node);
    }
    if (status == PS_OK) {
        status = ps_read_member(reader, root, "workload", "a list of workloads", &node);
    }
    if (status == PS_OK) {
        status = ps_read_workloads(reader, node);
    }
    node = ps_yaml_get(root, "faults");
    if (status == PS_OK && node != NULL) {
        status = ps_read_faults(reader, node);
    }
    node = ps_yaml_get(root, "expect");
    if (status == PS_OK && node != NULL) {
        status = ps_read_expectations(reader, node);
    }
    return status;
}

enum ps_status ps_scenario_parse(struct ps_slice yaml, const char *path,
                                 const struct ps_setting *settings, size_t setting_count,
                                 struct ps_scenario **ret, struct ps_error *err)
{
    struct ps_yaml *root = NULL;
    struct ps_reader reader = {
        .path = path != NULL ? path : "scenario",
        .files = path != NULL,
        .err = err,
    };
    enum ps_status status = ps_yaml_parse(yaml, reader.path, &root, err);
    for (size_t i = 0; i < setting_count && status == PS_OK; i++) {
        status = ps_yaml_set(root, settings[i].path, settings[i].value, err);
    }
    if (status == PS_OK) {
        reader.scenario = PS_NEW(struct ps_scenario);
        reader.scenario->path = ps_strndup(reader.path, strlen(reader.path));
        ps_cluster_init(&reader.scenario->cluster);
        status = read_all(&reader, root);
    }
    ps_yaml_destroy(root);
    if (status != PS_OK) {
        ps_scenario_destroy(reader.scenario);
        return status;
    }
    *ret = reader.scenario;
    return PS_OK;
}

enum ps_status ps_scenario_load(const char *path, const struct ps_setting *settings,
                                size_t setting_count, struct ps_scenario **ret,
                                struct ps_error *err)
{
    struct ps_buf bytes = {0};
    enum ps_status status = ps_file_read(path, PS_YAML_SIZE_MAX, &bytes, err);
    if (status == PS_OK) {
        status = ps_scenario_parse(ps_buf_slice(&bytes), path, settings, setting_count, ret, err);
    }
    ps_buf_fini(&bytes);
    return status;
}
