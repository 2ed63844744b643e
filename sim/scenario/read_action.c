#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <string.h>

/* One key each; the index is enum ps_verb. */
static const char *const VERBS[PS_VERBS] = {
    "kv.get",  "kv.put", "kv.delete", "kv.list", "d1.query", "d1.batch", "r2.get",
    "r2.head", "r2.put", "r2.delete", "r2.list", "r2.fetch", "r2.purge"};

/** What later versions will know, so that a file for one gets a plain answer. */
static const char *const LATER[] = {"flow"};

static const char *const GET_KEYS[] = {"store", "key", "cacheTtl"};
static const char *const PUT_KEYS[] = {"store",         "key",        "value",
                                       "expirationTtl", "expiration", "metadata"};
static const char *const DELETE_KEYS[] = {"store", "key"};
static const char *const LIST_KEYS[] = {"store", "prefix", "limit"};
static const char *const QUERY_KEYS[] = {"store", "sql", "params", "withSession"};
static const char *const BATCH_KEYS[] = {"store", "statements", "withSession"};

static const char *const R2_GET_KEYS[] = {"store", "key", "onlyIf"};
static const char *const R2_KEY_KEYS[] = {"store", "key"}; /* head, fetch */
static const char *const R2_PUT_KEYS[] = {
    "store", "key", "value", "size", "httpMetadata", "customMetadata", "storageClass", "onlyIf"};
static const char *const R2_DELETE_KEYS[] = {"store", "key", "keys"};
static const char *const R2_LIST_KEYS[] = {"store", "prefix", "delimiter", "limit"};
static const char *const R2_PURGE_KEYS[] = {"store", "key", "everything"};

static const struct verb_keys {
    const char *const *keys;
    size_t count;
} VERB_KEYS[] = {
    {GET_KEYS, PS_COUNT(GET_KEYS)},           {PUT_KEYS, PS_COUNT(PUT_KEYS)},
    {DELETE_KEYS, PS_COUNT(DELETE_KEYS)},     {LIST_KEYS, PS_COUNT(LIST_KEYS)},
    {QUERY_KEYS, PS_COUNT(QUERY_KEYS)},       {BATCH_KEYS, PS_COUNT(BATCH_KEYS)},
    {R2_GET_KEYS, PS_COUNT(R2_GET_KEYS)},     {R2_KEY_KEYS, PS_COUNT(R2_KEY_KEYS)},
    {R2_PUT_KEYS, PS_COUNT(R2_PUT_KEYS)},     {R2_DELETE_KEYS, PS_COUNT(R2_DELETE_KEYS)},
    {R2_LIST_KEYS, PS_COUNT(R2_LIST_KEYS)},   {R2_KEY_KEYS, PS_COUNT(R2_KEY_KEYS)},
    {R2_PURGE_KEYS, PS_COUNT(R2_PURGE_KEYS)},
};

void ps_action_fini(struct ps_action *action)
{
    ps_text_fini(&action->key);
    ps_text_fini(&action->value);
    ps_text_fini(&action->metadata);
    ps_statements_fini(action);
    ps_objects_fini(action);
}

static enum ps_status read_store(struct ps_reader *reader, const struct ps_yaml *node,
                                 struct ps_action *action)
{
    const struct ps_yaml *name = NULL;
    const struct ps_cluster *cluster = &reader->scenario->cluster;
    enum ps_status status = ps_read_member(reader, node, "store", "the name of a store", &name);
    struct ps_slice text;
    if (status == PS_OK) {
        status = ps_read_text(reader, name, "the name of a store", &text);
    }
    if (status != PS_OK) {
        return status;
    }
    int index = ps_cluster_find_store(cluster, text);
    enum ps_store_type type = ps_verb_store_type(action->verb);
    if (index >= 0 && cluster->stores[index].type != type) {
        return ps_refuse(reader, name,
                         "found store %s, which is of type %s, expected one of type %s",
                         cluster->stores[index].name,
                         ps_store_type_name(cluster->stores[index].type), ps_store_type_name(type));
    }
    if (index >= 0) {
        action->store = (uint16_t)index;
        return PS_OK;
    }
    const char *names[PS_STORES_MAX];
    for (size_t i = 0; i < cluster->store_count; i++) {
        names[i] = cluster->stores[i].name;
    }
    size_t ignored;
    return ps_read_choice(reader, name, names, cluster->store_count, &ignored);
}

static enum ps_status read_key(struct ps_reader *reader, const struct ps_yaml *node,
                               struct ps_action *action)
{
    const struct ps_yaml *key = NULL;
    enum ps_status status = ps_read_member(reader, node, "key", "a key", &key);
    if (status == PS_OK) {
        status = ps_read_bounded(reader, key, "a key", 1, PS_SCENARIO_KEY_MAX, &action->key);
    }
    if (status == PS_OK && action->key.count == 1 &&
        action->key.pieces[0].kind == PS_PIECE_LITERAL) {
        struct ps_slice text = {action->key.pieces[0].literal, action->key.pieces[0].literal_size};
        if (ps_slice_eq(text, PS_LIT(".")) || ps_slice_eq(text, PS_LIT(".."))) {
            status = ps_found(reader, key, "a key other than . and ..");
        }
    }
    return status;
}

/** Seconds as the Workers API takes them, or a duration with a unit; whole seconds. */
static enum ps_status read_seconds(struct ps_reader *reader, const struct ps_yaml *node,
                                   uint64_t least_s, const char *expected, ps_dur_ns *ret)
{
    uint64_t seconds;
    if (node->kind == PS_YAML_SCALAR && ps_number_u64(ps_yaml_slice(node), &seconds) &&
        seconds <= 100 * 365 * (PS_DAY / PS_SECOND)) {
        *ret = seconds * PS_SECOND;
    } else if (node->kind != PS_YAML_SCALAR || ps_dur_parse(ps_yaml_slice(node), ret) != PS_OK) {
        return ps_found(reader, node, expected);
    }
    if (*ret < least_s * PS_SECOND || *ret % PS_SECOND != 0) {
        return ps_found(reader, node, expected);
    }
    return PS_OK;
}

/** Append JSON in which texts may hold generators. The pieces are parsed afterwards from one
 * source, so JSON's own braces are doubled. */
static void append_json(struct ps_buf *buf, const struct ps_yaml *node)
{
    double number;
    if (node->kind == PS_YAML_MAP || node->kind == PS_YAML_LIST) {
        bool map = node->kind == PS_YAML_MAP;
        ps_buf_append_text(buf, map ? "{{" : "[");
        for (size_t i = 0; i < node->count; i++) {
            ps_buf_append_text(buf, i > 0 ? "," : "");
            if (map) {
                ps_buf_append_json(buf, ps_yaml_slice(node->keys[i]));
                ps_buf_append_char(buf, ':');
            }
            append_json(buf, node->items[i]); /* as deep as PS_YAML_NESTING_MAX */
        }
        ps_buf_append_text(buf, map ? "}}" : "]");
    } else if (ps_yaml_is_null(node)) {
        ps_buf_append_text(buf, "null");
    } else if (node->plain &&
               (ps_number_double(ps_yaml_slice(node), &number) || strcmp(node->text, "true") == 0 ||
                strcmp(node->text, "false") == 0)) {
        ps_buf_append_slice(buf, ps_yaml_slice(node));
    } else {
        ps_buf_append_json(buf, ps_yaml_slice(node));
    }
}

static enum ps_status read_metadata(struct ps_reader *reader, const struct ps_yaml *node,
                                    struct ps_action *action)
{
    struct ps_buf json = {0};
    struct ps_error err = {0};
    size_t at = 0, least = 0, most = 0;
    append_json(&json, node);
    enum ps_status status = ps_text_parse(ps_buf_slice(&json), &action->metadata, &at, &err);
    ps_buf_fini(&json);
    if (status != PS_OK) {
        return ps_refuse(reader, node, "%s", err.text);
    }
    ps_text_sizes(&action->metadata, &least, &most);
    if (most > PS_SCENARIO_METADATA_MAX) {
        return ps_refuse(reader, node,
                         "found metadata of up to %zu bytes as JSON, expected at most %d", most,
                         (int)PS_SCENARIO_METADATA_MAX);
    }
    return PS_OK;
}

static enum ps_status read_put(struct ps_reader *reader, const struct ps_yaml *node,
                               struct ps_action *action)
{
    const struct ps_yaml *member = NULL;
    enum ps_status status = ps_read_member(reader, node, "value", "a value", &member);
    if (status == PS_OK) {
        status =
            ps_read_bounded(reader, member, "a value", 0, PS_SCENARIO_VALUE_MAX, &action->value);
    }
    member = ps_yaml_get(node, "expirationTtl");
    if (status == PS_OK && member != NULL) {
        status = read_seconds(reader, member, PS_SCENARIO_TTL_S_MIN,
                              "an expirationTtl of whole seconds, at least 60s",
                              &action->expiration_ttl_ns);
    }
    member = ps_yaml_get(node, "expiration");
    if (status == PS_OK && member != NULL) {
        uint64_t seconds = 0;
        /* The service wants it 60 s ahead of the put; the earliest put comes at cluster time 0. */
        status = ps_read_u64(reader, member, 1, (uint64_t)253402300799,
                             "an expiration in Unix seconds", &seconds);
        action->expiration_s = (int64_t)seconds;
        if (status == PS_OK &&
            action->expiration_s < reader->scenario->cluster.epoch_unix_s + PS_SCENARIO_TTL_S_MIN) {
            status = ps_refuse(reader, member,
                               "found %s, expected an expiration at least 60 s after the run's "
                               "begin, which is %lld",
                               member->text, (long long)reader->scenario->cluster.epoch_unix_s);
        }
    }
    member = ps_yaml_get(node, "metadata");
    if (status == PS_OK && member != NULL) {
        status = read_metadata(reader, member, action);
    }
    return status;
}

static enum ps_status read_list(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_action *action)
{
    enum ps_status status = PS_OK;
    const struct ps_yaml *member = ps_yaml_get(node, "prefix");
    if (member != NULL) {
        status = ps_read_bounded(reader, member, "a prefix", 0, PS_SCENARIO_KEY_MAX, &action->key);
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

const char *ps_verb_name(enum ps_verb verb)
{
    return VERBS[verb];
}

static enum ps_status read_operation(struct ps_reader *reader, const struct ps_yaml *node,
                                     enum ps_verb verb, struct ps_action *action)
{
    const struct verb_keys *known = &VERB_KEYS[verb];
    action->verb = verb;
    enum ps_status status = ps_read_keys(reader, node, VERBS[verb], known->keys, known->count);
    if (status == PS_OK) {
        status = read_store(reader, node, action);
    }
    if (status == PS_OK && ps_verb_is_r2(verb)) {
        return ps_read_r2(reader, node, action);
    }
    if (status == PS_OK && verb != PS_VERB_KV_LIST && !ps_verb_is_d1(verb)) {
        status = read_key(reader, node, action);
    }
    if (status != PS_OK) {
        return status;
    }
    const struct ps_yaml *cache_ttl = ps_yaml_get(node, "cacheTtl"); /* of kv.get */
    if (cache_ttl != NULL) {
        status = read_seconds(reader, cache_ttl, PS_SCENARIO_CACHE_TTL_S_MIN,
                              "a cacheTtl of whole seconds, at least 30s", &action->cache_ttl_ns);
    } else if (verb == PS_VERB_KV_PUT) {
        status = read_put(reader, node, action);
    } else if (verb == PS_VERB_KV_LIST) {
        status = read_list(reader, node, action);
    } else if (ps_verb_is_d1(verb)) {
        status = ps_read_d1(reader, node, action);
    }
    return status;
}

/** The one operation among the keys of `entry`. */
static enum ps_status read_one(struct ps_reader *reader, const struct ps_yaml *entry,
                               struct ps_action *action)
{
    const struct ps_yaml *found = NULL;
    size_t verb = 0;
    for (size_t i = 0; i < PS_COUNT(VERBS); i++) {
        const struct ps_yaml *member = ps_yaml_get(entry, VERBS[i]);
        if (member != NULL && found != NULL) {
            return ps_refuse(reader, entry,
                             "found both %s and %s, expected one operation "
                             "(mix: [...] for several)",
                             VERBS[verb], VERBS[i]);
        }
        if (member != NULL) {
            found = member;
            verb = i;
        }
    }
    if (found == NULL) {
        return ps_refuse(reader, entry, "found no operation, expected one of " PS_SCENARIO_VERBS);
    }
    action->weight = 1;
    return read_operation(reader, found, (enum ps_verb)verb, action);
}

static enum ps_status read_mix(struct ps_reader *reader, const struct ps_yaml *mix,
                               struct ps_workload *workload)
{
    static const char *const KEYS[] = {"weight",    "kv.get",   "kv.put",   "kv.delete", "kv.list",
                                       "d1.query",  "d1.batch", "r2.get",   "r2.head",   "r2.put",
                                       "r2.delete", "r2.list",  "r2.fetch", "r2.purge"};
    if (mix->kind != PS_YAML_LIST || mix->count == 0 || mix->count > 64) {
        return ps_found(reader, mix,
                        "a list of 1 to 64 operations, as in [{weight: 9, kv.get: {...}}, ...]");
    }
    workload->actions = PS_NEW_ARRAY(struct ps_action, mix->count);
    workload->action_count = mix->count;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < mix->count && status == PS_OK; i++) {
        const struct ps_yaml *item = mix->items[i];
        status = ps_check_later(reader, item);
        if (status == PS_OK) {
            status = ps_read_keys(reader, item, "an operation with a weight", KEYS, PS_COUNT(KEYS));
        }
        if (status == PS_OK) {
            status = read_one(reader, item, &workload->actions[i]);
        }
        const struct ps_yaml *weight = ps_yaml_get(item, "weight");
        if (status == PS_OK && weight != NULL) {
            status = ps_read_double(reader, weight, 1e-9, 1e9, "a weight over 0",
                                    &workload->actions[i].weight);
        }
    }
    return status;
}

enum ps_status ps_check_later(struct ps_reader *reader, const struct ps_yaml *entry)
{
    /* What is no map has no keys; ps_read_keys says so. */
    for (size_t i = 0; entry->kind == PS_YAML_MAP && i < entry->count; i++) {
        for (size_t j = 0; j < PS_COUNT(LATER); j++) {
            if (strcmp(entry->keys[i]->text, LATER[j]) == 0) {
                return ps_refuse(
                    reader, entry->keys[i],
                    "operation %s is not available in this version; available: " PS_SCENARIO_VERBS,
                    LATER[j]);
            }
        }
    }
    return PS_OK;
}

enum ps_status ps_read_actions(struct ps_reader *reader, const struct ps_yaml *entry,
                               struct ps_workload *workload)
{
    const struct ps_yaml *mix = ps_yaml_get(entry, "mix");
    if (mix == NULL) {
        workload->actions = PS_NEW(struct ps_action);
        workload->action_count = 1;
        return read_one(reader, entry, &workload->actions[0]);
    }
    for (size_t i = 0; i < PS_COUNT(VERBS); i++) {
        if (ps_yaml_get(entry, VERBS[i]) != NULL) {
            return ps_refuse(reader, entry, "found both mix and %s, expected one of them",
                             VERBS[i]);
        }
    }
    return read_mix(reader, mix, workload);
}
