/* A scenario file, read and checked (DESIGN section 8; scenarios/README.md has every key).
 *
 * Errors are "file:line:column: what was found, what was expected"; nothing runs before the whole
 * file has passed. Only yaml.c knows libfyaml. */
#ifndef PS_SIM_SCENARIO_SCENARIO_H
#define PS_SIM_SCENARIO_SCENARIO_H

#include "node/cluster/cluster_file.h"
#include "replication/world/cluster.h"
#include "sim/scenario/d1_session.h"
#include "sim/scenario/text.h"

enum ps_verb {
    PS_VERB_KV_GET,
    PS_VERB_KV_PUT,
    PS_VERB_KV_DELETE,
    PS_VERB_KV_LIST,
    PS_VERB_D1_QUERY,
    PS_VERB_D1_BATCH,
    PS_VERB_R2_GET,
    PS_VERB_R2_HEAD,
    PS_VERB_R2_PUT,
    PS_VERB_R2_DELETE,
    PS_VERB_R2_LIST,
    PS_VERB_R2_FETCH, /* a GET of the bucket's public URL */
    PS_VERB_R2_PURGE  /* of what public URLs' caches hold */
};

enum { PS_VERBS = PS_VERB_R2_PURGE + 1 };

bool ps_verb_is_d1(enum ps_verb verb);
bool ps_verb_is_r2(enum ps_verb verb);
/** The type of the stores that it is for. */
enum ps_store_type ps_verb_store_type(enum ps_verb verb);

/** What a parameter is bound as. */
enum ps_param_kind {
    PS_PARAM_NULL,
    PS_PARAM_NUMBER, /* `text` draws to a number, as JSON writes one */
    PS_PARAM_TEXT
};

struct ps_param {
    enum ps_param_kind kind;
    struct ps_text text;
};

/** One statement of a D1 operation. */
struct ps_statement {
    struct ps_text sql;
    struct ps_param *params; /* owned */
    size_t param_count;
};

/** One operation as a workload names it. */
struct ps_action {
    enum ps_verb verb;
    uint16_t store;
    struct ps_text key;              /* list: the prefix; r2.purge: empty = everything */
    struct ps_text value;            /* put */
    struct ps_text metadata;         /* put; empty = none */
    ps_dur_ns cache_ttl_ns;          /* get; 0 = not given */
    ps_dur_ns expiration_ttl_ns;     /* put; 0 = not given */
    int64_t expiration_s;            /* put; Unix time; 0 = not given */
    uint32_t limit;                  /* list; 0 = not given */
    enum ps_d1_session session;      /* d1 */
    struct ps_statement *statements; /* owned; d1: one of a query, each of a batch */
    size_t statement_count;
    struct ps_text size;    /* r2.put, of a generated body, instead of a value; else empty */
    struct ps_text *keys;   /* owned; r2.delete: the second key and those behind it */
    size_t key_count;       /* of these */
    struct ps_text options; /* r2: members of the binding's JSON, each with a comma before it */
    double weight;          /* in a mix; 1 alone */
};

enum ps_timing {
    PS_TIMING_AT,
    PS_TIMING_EVERY,
    PS_TIMING_RATE,
    PS_TIMING_CLIENTS,
    PS_TIMING_TRACE
};

enum ps_where { PS_WHERE_LIST, PS_WHERE_EACH, PS_WHERE_ANY };

/** One operation of a JSON Lines trace. */
struct ps_trace_op {
    ps_time_ns at_ns;
    uint16_t pop;
    struct ps_action action;
    char *session; /* owned; NULL = one per PoP */
};

/** One entry of `workload:`. Each stream of it (one per PoP for a list and for `each`, one for
 * `any`, one per client) is a session of its own: "<name>/<pop>" or "<name>/<pop>#<client>" or
 * "<name>". */
struct ps_workload {
    char *name; /* owned; unique in the file */
    enum ps_timing timing;
    ps_time_ns at_ns;    /* AT (several times: one workload each, from a list) */
    ps_dur_ns every_ns;  /* EVERY */
    double rate_hz;      /* RATE: Poisson, per stream */
    uint32_t clients;    /* CLIENTS: per PoP of the list or each; in all for any */
    ps_dur_ns think_ns;  /* CLIENTS: between completion and the next invocation */
    ps_time_ns from_ns;  /* the first instant; default 0 */
    ps_time_ns until_ns; /* exclusive; default: the scenario's duration */
    uint64_t count;      /* at most so many operations per session; 0 = no limit */
    enum ps_where where;
    uint16_t *pops; /* owned; for LIST */
    size_t pop_count;
    struct ps_action *actions; /* owned; one, or a mix drawn by weight */
    size_t action_count;
    struct ps_trace_op *trace; /* owned; ascending by time */
    size_t trace_count;
};

enum ps_fault_kind { PS_FAULT_PARTITION, PS_FAULT_CRASH, PS_FAULT_SLOW };

struct ps_fault {
    enum ps_fault_kind kind;
    struct ps_interval when;
    uint16_t *pops; /* owned */
    size_t pop_count;
    uint32_t factor_milli; /* SLOW */
};

/** One line of `expect:`: name, comparison, bound. */
enum ps_comparison { PS_LESS, PS_LESS_EQUAL, PS_EQUAL, PS_NOT_EQUAL, PS_GREATER_EQUAL, PS_GREATER };

struct ps_expectation {
    char *text; /* owned; as written */
    char *name; /* owned; "CACHE.visibility.max" */
    enum ps_comparison comparison;
    double bound; /* durations in seconds */
    int line, column;
};

struct ps_scenario {
    char *path; /* owned */
    char *name; /* owned */
    uint64_t seed;
    ps_dur_ns duration_ns;
    struct ps_cluster cluster;
    char **schemas; /* owned; per store of the cluster: SQL that is run as one transaction before
                       all else; NULL = none */
    struct ps_workload *workloads; /* owned */
    size_t workload_count;
    struct ps_fault *faults; /* owned; ascending by time */
    size_t fault_count;
    struct ps_expectation *expectations; /* owned */
    size_t expectation_count;
};

/** A change from the command line: `--set cluster.home=fra`. Applied to the document before
 * checking. */
struct ps_setting {
    const char *path;
    const char *value; /* YAML */
};

/** Read and check. Errors (PS_INVALID, PS_NOT_FOUND, PS_IO, PS_LIMIT): the first, as
 * "file:line:column: ...". Ownership: *ret is the caller's, ps_scenario_destroy. */
PS_MUST_CHECK enum ps_status ps_scenario_load(const char *path, const struct ps_setting *settings,
                                              size_t setting_count, struct ps_scenario **ret,
                                              struct ps_error *err);
/** The same from bytes; `path` is only for messages and for files named inside (NULL: none may be).
 */
PS_MUST_CHECK enum ps_status ps_scenario_parse(struct ps_slice yaml, const char *path,
                                               const struct ps_setting *settings,
                                               size_t setting_count, struct ps_scenario **ret,
                                               struct ps_error *err);
void ps_scenario_destroy(struct ps_scenario *scenario);

/** Append the plan in words, a few lines a part: cluster, stores with their policies, workloads,
 * faults, expectations. */
void ps_scenario_describe(struct ps_buf *buf, const struct ps_scenario *scenario);

#endif
