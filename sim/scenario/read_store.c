#include "replication/base/memory.h"
#include "replication/world/profile.h"
#include "sim/scenario/read.h"

#include <string.h>

static const char *const STORE_KEYS[] = {
    "type",    "profile",       "home", "policy",  "timeout",    "write_interval",
    "delay",   "order",         "ttl",  "ttl_min", "own_writes", "negative",
    "shorten", "refresh_ahead", "tier", "schema",  "schema_sql", "public"};

/** Keys that only one policy knows. */
static const struct policy_key {
    const char *key;
    enum ps_policy_kind kind;
} POLICY_KEYS[] = {
    {"delay", PS_POLICY_PUSH},          {"order", PS_POLICY_PUSH},
    {"ttl", PS_POLICY_CACHE},           {"ttl_min", PS_POLICY_CACHE},
    {"negative", PS_POLICY_CACHE},      {"shorten", PS_POLICY_CACHE},
    {"own_writes", PS_POLICY_CACHE},    {"tier", PS_POLICY_CACHE},
    {"refresh_ahead", PS_POLICY_CACHE},
};

static const char *const POLICIES[] = {"push", "cache", "strong"};

static const char TTL_EXPECTED[] = "a time over 0 and up to 365d, such as 60s";

static enum ps_status read_type(struct ps_reader *reader, const struct ps_yaml *store,
                                enum ps_store_type *ret)
{
    const struct ps_yaml *node = NULL;
    struct ps_slice type;
    enum ps_status status =
        ps_read_member(reader, store, "type", "a store type, as in type: kv", &node);
    if (status == PS_OK) {
        status = ps_read_text(reader, node, "a store type: kv, d1 or r2", &type);
    }
    if (status != PS_OK) {
        return status;
    }
    for (int i = PS_STORE_KV; i <= PS_STORE_R2; i++) {
        if (ps_slice_eq(type, ps_slice_of(ps_store_type_name((enum ps_store_type)i)))) {
            *ret = (enum ps_store_type)i;
            return PS_OK;
        }
    }
    return ps_found(reader, node, "a store type: kv, d1 or r2");
}

static enum ps_status read_profile(struct ps_reader *reader, const struct ps_yaml *store,
                                   enum ps_store_type type, const struct ps_profile **ret)
{
    const char *names[64];
    size_t count = 0;
    const struct ps_yaml *node = ps_yaml_get(store, "profile");
    if (node == NULL) {
        *ret = ps_profile_find(ps_slice_of(ps_profile_default(type)));
        return PS_OK;
    }
    for (size_t i = 0; i < ps_profile_count() && count < PS_COUNT(names); i++) {
        if (strstr(ps_profile_at(i)->types, ps_store_type_name(type)) != NULL) {
            names[count++] = ps_profile_at(i)->name;
        }
    }
    size_t index = 0;
    enum ps_status status = ps_read_choice(reader, node, names, count, &index);
    if (status == PS_OK) {
        *ret = ps_profile_find(ps_slice_of(names[index]));
    }
    return status;
}

static enum ps_status read_tier(struct ps_reader *reader, const struct ps_yaml *node,
                                struct ps_policy *policy)
{
    static const char *const KEYS[] = {"ttl", "revalidated"};
    static const char EXPECTED[] = "none, {ttl: 5m} or {revalidated: 2s}";
    if (node->kind == PS_YAML_SCALAR && ps_slice_eq(ps_yaml_slice(node), PS_LIT("none"))) {
        policy->cache.tier = PS_TIER_NONE;
        policy->cache.tier_ns = 0;
        return PS_OK;
    }
    if (node->kind != PS_YAML_MAP) {
        return ps_found(reader, node, EXPECTED);
    }
    enum ps_status status = ps_read_keys(reader, node, "a tier", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK && node->count != 1) {
        status = ps_refuse(reader, node, "found a tier with %zu keys, expected %s", node->count,
                           EXPECTED);
    }
    if (status == PS_OK) {
        policy->cache.tier = ps_yaml_get(node, "ttl") != NULL ? PS_TIER_TTL : PS_TIER_REVALIDATED;
        status = ps_read_duration(reader, node->items[0], 1, 365 * PS_DAY, TTL_EXPECTED,
                                  &policy->cache.tier_ns);
    }
    return status;
}

static enum ps_status read_cache(struct ps_reader *reader, const struct ps_yaml *store,
                                 struct ps_policy *policy)
{
    const struct {
        const char *key;
        ps_dur_ns least;
        ps_dur_ns *value;
    } durations[] = {{"ttl", 1, &policy->cache.ttl_ns}, {"ttl_min", 0, &policy->cache.ttl_min_ns}};

    const struct {
        const char *key;
        bool *value;
    } switches[] = {{"own_writes", &policy->cache.own_writes},
                    {"negative", &policy->cache.negative},
                    {"shorten", &policy->cache.shorten}};
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < PS_COUNT(durations) && status == PS_OK; i++) {
        const struct ps_yaml *node = ps_yaml_get(store, durations[i].key);
        if (node != NULL) {
            status = ps_read_duration(reader, node, durations[i].least, 365 * PS_DAY,
                                      durations[i].least > 0 ? TTL_EXPECTED
                                                             : "a time up to 365d, such as 30s",
                                      durations[i].value);
        }
    }
    for (size_t i = 0; i < PS_COUNT(switches) && status == PS_OK; i++) {
        const struct ps_yaml *node = ps_yaml_get(store, switches[i].key);
        if (node != NULL) {
            status = ps_read_bool(reader, node, switches[i].value);
        }
    }
    const struct ps_yaml *ahead = ps_yaml_get(store, "refresh_ahead");
    if (status == PS_OK && ahead != NULL) {
        double share = 0;
        status = ps_read_double(reader, ahead, 0, 1,
                                "a share of an entry's life from 0 (never) to 1", &share);
        policy->cache.ahead_milli = (uint32_t)(share * 1000 + 0.5);
    }
    const struct ps_yaml *tier = ps_yaml_get(store, "tier");
    if (status == PS_OK && tier != NULL) {
        status = read_tier(reader, tier, policy);
    }
    if (status == PS_OK && policy->cache.ttl_ns == 0) {
        status = ps_refuse(reader, store,
                           "found policy cache without a ttl, expected one, such as "
                           "ttl: 60s");
    }
    return status;
}

static enum ps_status read_push(struct ps_reader *reader, const struct ps_yaml *store,
                                struct ps_policy *policy)
{
    static const char *const ORDERS[] = {"fifo", "none"};
    enum ps_status status = PS_OK;
    const struct ps_yaml *node = ps_yaml_get(store, "order");
    if (node != NULL) {
        size_t index = 0;
        status = ps_read_choice(reader, node, ORDERS, PS_COUNT(ORDERS), &index);
        policy->push.order = index == 0 ? PS_ORDER_FIFO : PS_ORDER_NONE;
    }
    node = ps_yaml_get(store, "delay");
    if (status == PS_OK && node != NULL) {
        struct ps_delay delay;
        status = ps_read_delay(reader, node, &delay);
        if (status == PS_OK) {
            ps_delay_fini(&policy->push.delay);
            policy->push.delay = delay;
        }
    }
    return status;
}

static enum ps_status read_policy(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_store *store)
{
    struct ps_policy *policy = &store->policy;
    enum ps_status status = PS_OK;
    const struct ps_yaml *kind = ps_yaml_get(node, "policy");
    if (kind != NULL) {
        size_t index = 0;
        status = ps_read_choice(reader, kind, POLICIES, PS_COUNT(POLICIES), &index);
        policy->kind = (enum ps_policy_kind)index;
    }
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        for (size_t j = 0; j < PS_COUNT(POLICY_KEYS); j++) {
            if (ps_slice_eq(ps_yaml_slice(node->keys[i]), ps_slice_of(POLICY_KEYS[j].key)) &&
                POLICY_KEYS[j].kind != policy->kind) {
                return ps_refuse(reader, node->keys[i],
                                 "found key \"%s\" of policy %s, expected keys of this store's "
                                 "policy, which is %s",
                                 POLICY_KEYS[j].key, POLICIES[POLICY_KEYS[j].kind],
                                 POLICIES[policy->kind]);
            }
        }
    }
    const struct ps_yaml *member = ps_yaml_get(node, "timeout");
    if (status == PS_OK && member != NULL) {
        status = ps_read_duration(reader, member, PS_MS, PS_HOUR,
                                  "a time from 1ms to 1h, such as 5s", &policy->timeout_ns);
    }
    member = ps_yaml_get(node, "write_interval");
    if (status == PS_OK && member != NULL) {
        status = ps_read_duration(reader, member, 0, PS_HOUR,
                                  "a time up to 1h between writes of one key, such as 1s (0 = any)",
                                  &store->kv.write_interval_ns);
    }
    if (status == PS_OK && policy->kind == PS_POLICY_CACHE) {
        status = read_cache(reader, node, policy);
    }
    if (status == PS_OK && policy->kind == PS_POLICY_PUSH) {
        status = read_push(reader, node, policy);
    }
    return status;
}

/* public: {cache: default} */
static enum ps_status read_public(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_store *store)
{
    static const char *const KEYS[] = {"cache"};
    static const char *const KINDS[] = {"default", "everything"};
    const struct ps_yaml *cache = NULL;
    size_t index = 0;
    enum ps_status status = ps_read_keys(reader, node, "public", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK) {
        status =
            ps_read_member(reader, node, "cache", "what PoPs keep: default or everything", &cache);
    }
    if (status == PS_OK) {
        status = ps_read_choice(reader, cache, KINDS, PS_COUNT(KINDS), &index);
        store->cache_everything = index == 1;
    }
    return status;
}

/* A bucket is read at home. */
static enum ps_status read_bucket(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_store *store)
{
    const struct ps_yaml *policy = ps_yaml_get(node, "policy");
    const struct ps_yaml *public = ps_yaml_get(node, "public");
    if (public != NULL && store->type != PS_STORE_R2) {
        return ps_refuse(reader, public,
                         "found key \"public\" of a store of type %s, expected it of stores of "
                         "type r2 alone",
                         ps_store_type_name(store->type));
    }
    return policy == NULL || store->type != PS_STORE_R2
               ? (public == NULL ? PS_OK : read_public(reader, public, store))
               : ps_refuse(reader, policy,
                           "found key \"policy\" of a store of type r2, expected none: buckets are "
                           "strongly consistent");
}

/* A database's pages are the log's, in order, or they are no database. */
static enum ps_status check_database(struct ps_reader *reader, const struct ps_yaml *node)
{
    static const char *const KEYS[] = {"policy", "order", "write_interval"};
    for (size_t i = 0; i < PS_COUNT(KEYS); i++) {
        if (ps_yaml_get(node, KEYS[i]) != NULL) {
            return ps_refuse(reader, ps_yaml_get(node, KEYS[i]),
                             "found key \"%s\" of a store of type d1, expected those of type kv "
                             "alone to have it: databases are pushed in order",
                             KEYS[i]);
        }
    }
    return PS_OK;
}

/* Of the store that was added last. */
static enum ps_status read_schema(struct ps_reader *reader, const struct ps_yaml *node,
                                  enum ps_store_type type)
{
    static const char *const KEYS[] = {"schema", "schema_sql"};
    for (size_t i = 0; i < PS_COUNT(KEYS) && type != PS_STORE_D1; i++) {
        if (ps_yaml_get(node, KEYS[i]) != NULL) {
            return ps_refuse(reader, ps_yaml_get(node, KEYS[i]),
                             "found key \"%s\" of a store of type %s, expected it of stores of "
                             "type d1 alone",
                             KEYS[i], ps_store_type_name(type));
        }
    }
    struct ps_scenario *scenario = reader->scenario;
    return ps_read_schema(reader, node, &scenario->schemas[scenario->cluster.store_count - 1]);
}

static enum ps_status read_store(struct ps_reader *reader, const struct ps_yaml *name,
                                 const struct ps_yaml *node)
{
    const struct ps_profile *profile = NULL;
    struct ps_store *store = NULL;
    /* The type first: another type's keys would only hide that it is not there yet. */
    enum ps_store_type type = PS_STORE_KV;
    enum ps_status status =
        ps_yaml_get(node, "type") != NULL ? read_type(reader, node, &type) : PS_OK;
    if (status == PS_OK) {
        status = ps_read_keys(reader, node, "a store", STORE_KEYS, PS_COUNT(STORE_KEYS));
    }
    if (status == PS_OK) {
        status = read_type(reader, node, &type);
    }
    if (status == PS_OK) {
        status = read_profile(reader, node, type, &profile);
    }
    if (status == PS_OK) {
        struct ps_error err = {0};
        status = ps_cluster_add_store(&reader->scenario->cluster, ps_yaml_slice(name), type,
                                      ps_slice_of(profile->name), &store, &err);
        if (status != PS_OK) {
            struct ps_buf text = {0};
            ps_yaml_describe(&text, name);
            status = ps_refuse(reader, name, "found store %s: %s", ps_buf_text(&text), err.text);
            ps_buf_fini(&text);
        }
    }
    if (status != PS_OK) {
        return status;
    }
    const struct ps_yaml *home = ps_yaml_get(node, "home");
    if (home != NULL) {
        status = ps_read_pop(reader, home, &store->home);
    }
    if (status == PS_OK && type == PS_STORE_D1) {
        status = check_database(reader, node);
    }
    if (status == PS_OK) {
        status = read_bucket(reader, node, store);
    }
    if (status == PS_OK) {
        status = read_schema(reader, node, type);
    }
    return status == PS_OK ? read_policy(reader, node, store) : status;
}

enum ps_status ps_read_stores(struct ps_reader *reader, const struct ps_yaml *node)
{
    if (node->kind != PS_YAML_MAP) {
        return ps_found(reader, node, "stores by name, as in CACHE: {type: kv}");
    }
    if (node->count == 0) {
        return ps_refuse(reader, node,
                         "found no store, expected at least one, as in "
                         "CACHE: {type: kv}");
    }
    reader->scenario->schemas = PS_NEW_ARRAY(char *, node->count);
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        status = read_store(reader, node->keys[i], node->items[i]);
    }
    return status;
}
