/* Reading values out of the YAML tree: typed getters whose errors name the place, what was found
 * and what was expected. Private to sim/scenario. */
#ifndef PS_SIM_SCENARIO_READ_H
#define PS_SIM_SCENARIO_READ_H

#include "sim/scenario/scenario.h"
#include "sim/scenario/yaml.h"

/* KV's documented limits (node/kv/kv.h, which this folder does not link; a test compares them). */
enum {
    PS_SCENARIO_KEY_MAX = 512,
    PS_SCENARIO_METADATA_MAX = 1024,
    PS_SCENARIO_VALUE_MAX = 25 << 20,
    PS_SCENARIO_TTL_S_MIN = 60,
    PS_SCENARIO_CACHE_TTL_S_MIN = 30,
    PS_SCENARIO_LIST_MAX = 1000
};

/* R2's limits (node/r2/object.h, which this folder does not link; a test compares them). */
enum {
    PS_SCENARIO_OBJECT_KEY_MAX = 1024,
    PS_SCENARIO_ETAGS_MAX = 64 /* of one condition */
};

#define PS_SCENARIO_SIZE_MAX ((uint64_t)5115 << 20) /* bytes of a generated body */

/* D1's limits, as far as a scenario can break them. */
enum {
    PS_SCENARIO_PARAMS_MAX = 100, /* parameters of a statement */
    PS_SCENARIO_STATEMENTS_MAX = 1000,
    PS_SCENARIO_REQUEST_MAX = 128 << 10, /* bytes of an operation's texts */
    PS_SCENARIO_SCHEMA_MAX = 4 << 20     /* bytes of SQL */
};

/* Bounds of a scenario. */
enum {
    PS_SCENARIO_NAME_MAX = 200,        /* bytes of the scenario's name, and of a workload's */
    PS_SCENARIO_CLIENTS_MAX = 1000000, /* clients of one entry, over all PoPs */
    PS_SCENARIO_FILE_MAX = 256 << 20,  /* bytes of a trace or of a file of samples */
    PS_SCENARIO_LINE_MAX = 1 << 20,    /* bytes of one line of such a file */
    PS_SCENARIO_TRACE_MAX = 1000000,   /* operations of one trace */
    PS_SCENARIO_PREPARED_MAX = 1000    /* texts that are prepared for fast draws */
};

#define PS_SCENARIO_OPERATIONS_MAX 1e10 /* expected operations of one entry */

/** All operations' names, for messages. */
#define PS_SCENARIO_VERBS                                                                          \
    "kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, " \
    "r2.list, r2.fetch, r2.purge"

struct ps_reader {
    const char *path; /* as messages name it; also where files named inside are looked for */
    bool files;       /* may it name files? */
    bool literal;     /* texts have no generators: a trace's */
    size_t prepared;  /* texts */
    struct ps_scenario *scenario;
    struct ps_error *err;
};

/** PS_INVALID at the node's place: "file:line:column: <text>" or "--set path: <text>". */
enum ps_status ps_refuse(struct ps_reader *reader, const struct ps_yaml *node, const char *format,
                         ...) PS_PRINTF(3, 4);
/** The same at byte `at` of the node's text. */
enum ps_status ps_refuse_at(struct ps_reader *reader, const struct ps_yaml *node, size_t at,
                            const char *format, ...) PS_PRINTF(4, 5);
/** "found <the node>, expected <expected>" */
enum ps_status ps_found(struct ps_reader *reader, const struct ps_yaml *node, const char *expected);

struct ps_slice ps_yaml_slice(const struct ps_yaml *scalar);

/** The node is a map and each key is one of `names` (count of them); `what` names the map in
 * errors. */
PS_MUST_CHECK enum ps_status ps_read_keys(struct ps_reader *reader, const struct ps_yaml *node,
                                          const char *what, const char *const *names, size_t count);
/** A member that must be there. */
PS_MUST_CHECK enum ps_status ps_read_member(struct ps_reader *reader, const struct ps_yaml *map,
                                            const char *key, const char *expected,
                                            const struct ps_yaml **ret);
/** A scalar that is not nothing. */
PS_MUST_CHECK enum ps_status ps_read_text(struct ps_reader *reader, const struct ps_yaml *node,
                                          const char *expected, struct ps_slice *ret);
/** A duration in [least, most]; `expected` is the whole phrase for errors. */
PS_MUST_CHECK enum ps_status ps_read_duration(struct ps_reader *reader, const struct ps_yaml *node,
                                              ps_dur_ns least, ps_dur_ns most, const char *expected,
                                              ps_dur_ns *ret);
PS_MUST_CHECK enum ps_status ps_read_u64(struct ps_reader *reader, const struct ps_yaml *node,
                                         uint64_t least, uint64_t most, const char *expected,
                                         uint64_t *ret);
PS_MUST_CHECK enum ps_status ps_read_double(struct ps_reader *reader, const struct ps_yaml *node,
                                            double least, double most, const char *expected,
                                            double *ret);
PS_MUST_CHECK enum ps_status ps_read_bool(struct ps_reader *reader, const struct ps_yaml *node,
                                          bool *ret);
/** One of `names`; errors list them and name the nearest. */
PS_MUST_CHECK enum ps_status ps_read_choice(struct ps_reader *reader, const struct ps_yaml *node,
                                            const char *const *names, size_t count, size_t *ret);
/** A PoP of the cluster. */
PS_MUST_CHECK enum ps_status ps_read_pop(struct ps_reader *reader, const struct ps_yaml *node,
                                         uint16_t *ret);
/** One PoP or a list of them, each once. *ret is the caller's (free), also on failure NULL or
 * freed. */
PS_MUST_CHECK enum ps_status ps_read_pop_list(struct ps_reader *reader, const struct ps_yaml *node,
                                              uint16_t **ret, size_t *ret_count);
/** A text with generators. Errors point into the text. */
PS_MUST_CHECK enum ps_status ps_read_template(struct ps_reader *reader, const struct ps_yaml *node,
                                              const char *expected, struct ps_text *ret);
/** The same, whose draws all have from `least` to `most` bytes; `what` names it in errors. On
 *  failure *ret may have been read: it is the caller's all the same. */
PS_MUST_CHECK enum ps_status ps_read_bounded(struct ps_reader *reader, const struct ps_yaml *node,
                                             const char *what, size_t least, size_t most,
                                             struct ps_text *ret);

/** The name nearest to `text` by edit distance, if it is near; else NULL. */
const char *ps_nearest(struct ps_slice text, const char *const *names, size_t count);
/** Append up to three PoP codes near `text` ("fra, fru"); a city's name counts. `cluster` NULL: of
 * the whole catalogue. Returns how many. */
size_t ps_nearest_pops(struct ps_buf *buf, struct ps_slice text, const struct ps_cluster *cluster);

/** Append the path of a file that the scenario names: beside the scenario unless absolute. */
void ps_scenario_file(const struct ps_reader *reader, struct ps_slice name, struct ps_buf *ret);
/** Read a whole file named at `node`. Errors at the node's place. */
PS_MUST_CHECK enum ps_status ps_read_file(struct ps_reader *reader, const struct ps_yaml *node,
                                          struct ps_buf *ret_path, struct ps_buf *ret);

/* The parts of the file, in the order they are read. Each fills reader->scenario. */
PS_MUST_CHECK enum ps_status ps_read_cluster(struct ps_reader *reader, const struct ps_yaml *node);
PS_MUST_CHECK enum ps_status ps_read_stores(struct ps_reader *reader, const struct ps_yaml *node);
PS_MUST_CHECK enum ps_status ps_read_delay(struct ps_reader *reader, const struct ps_yaml *node,
                                           struct ps_delay *ret);
PS_MUST_CHECK enum ps_status ps_read_workloads(struct ps_reader *reader,
                                               const struct ps_yaml *node);
PS_MUST_CHECK enum ps_status ps_read_faults(struct ps_reader *reader, const struct ps_yaml *node);
PS_MUST_CHECK enum ps_status ps_read_expectations(struct ps_reader *reader,
                                                  const struct ps_yaml *node);

/** Refuse, in plain words, an operation of a store type that is not there yet. */
PS_MUST_CHECK enum ps_status ps_check_later(struct ps_reader *reader, const struct ps_yaml *entry);
/** What a workload does: `entry` holds one of kv.get, ... or mix. */
PS_MUST_CHECK enum ps_status ps_read_actions(struct ps_reader *reader, const struct ps_yaml *entry,
                                             struct ps_workload *workload);
/** What a D1 operation asks; verb and store are read. */
PS_MUST_CHECK enum ps_status ps_read_d1(struct ps_reader *reader, const struct ps_yaml *node,
                                        struct ps_action *action);
/** What an R2 operation asks; verb and store are read. */
PS_MUST_CHECK enum ps_status ps_read_r2(struct ps_reader *reader, const struct ps_yaml *node,
                                        struct ps_action *action);
void ps_objects_fini(struct ps_action *action);
/** A D1 store's schema or schema_sql; *ret stays NULL where it has none. Ownership: the caller's,
 * free(). */
PS_MUST_CHECK enum ps_status ps_read_schema(struct ps_reader *reader, const struct ps_yaml *store,
                                            char **ret);
/** A number, as JSON writes it. */
void ps_param_number(struct ps_param *param, double number);
/** The most bytes that the texts of an operation's statements can have. */
size_t ps_statements_size(const struct ps_action *action);
void ps_statements_fini(struct ps_action *action);
PS_MUST_CHECK enum ps_status ps_read_trace(struct ps_reader *reader, const struct ps_yaml *node,
                                           struct ps_workload *workload);
void ps_scenario_workloads_fini(struct ps_scenario *scenario);
void ps_scenario_faults_fini(struct ps_scenario *scenario);
void ps_scenario_expectations_fini(struct ps_scenario *scenario);
const char *ps_verb_name(enum ps_verb verb); /* "kv.get" */
void ps_action_fini(struct ps_action *action);

#define PS_COUNT(array) (sizeof(array) / sizeof *(array))

#endif
