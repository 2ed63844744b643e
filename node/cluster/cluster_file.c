/* A cluster as JSON, in and out. Encoding is by hand: fixed key order, the same bytes each time. */
#include "node/cluster/cluster_file.h"

#include "node/cluster/cluster_internal.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

static const char *const policy_names[] = {"push", "cache", "strong"};
static const char *const order_names[] = {"fifo", "none"};
static const char *const tier_names[] = {"none", "ttl", "revalidated"};
static const char *const latency_names[] = {"profile", "none", "scale"};
static const char *const durability_names[] = {"sync", "relaxed"};
static const char *const type_names[] = {"kv", "d1", "r2"};
static const char *const delay_names[] = {"constant", "uniform", "exponential", "lognormal",
                                          "pareto",   "mixture", "empirical"};

#define NAMES(table) table, sizeof(table) / sizeof(table)[0]

static void put_key(struct ps_buf *buf, const char *name)
{
    char last = buf->size == 0 ? '{' : buf->data[buf->size - 1];
    if (last != '{' && last != '[') {
        ps_buf_append_char(buf, ',');
    }
    ps_buf_append_char(buf, '"');
    ps_buf_append_text(buf, name);
    ps_buf_append_text(buf, "\":");
}

static void put_u64(struct ps_buf *buf, const char *name, uint64_t value)
{
    put_key(buf, name);
    ps_buf_append_u64(buf, value);
}

static void put_bool(struct ps_buf *buf, const char *name, bool value)
{
    put_key(buf, name);
    ps_buf_append_text(buf, value ? "true" : "false");
}

static void put_text(struct ps_buf *buf, const char *name, const char *value)
{
    put_key(buf, name);
    ps_buf_append_json(buf, ps_slice_of(value));
}

/* Doubles are carried as the bits that make them: decimal digits would have to be read back
 * exactly. */
static void put_double(struct ps_buf *buf, const char *name, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(buf, name);
    ps_buf_printf(buf, "\"%016" PRIx64 "\"", bits);
}

static void put_delay(struct ps_buf *buf, const struct ps_delay *delay)
{
    ps_buf_append_char(buf, '{');
    put_text(buf, "kind", delay_names[delay->kind]);
    put_u64(buf, "max_ns", delay->max_ns);
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        put_u64(buf, "value_ns", delay->constant.value_ns);
        break;
    case PS_DELAY_UNIFORM:
        put_u64(buf, "from_ns", delay->uniform.from_ns);
        put_u64(buf, "to_ns", delay->uniform.to_ns);
        break;
    case PS_DELAY_EXPONENTIAL:
        put_u64(buf, "mean_ns", delay->exponential.mean_ns);
        put_u64(buf, "min_ns", delay->exponential.min_ns);
        break;
    case PS_DELAY_LOGNORMAL:
        put_u64(buf, "median_ns", delay->lognormal.median_ns);
        put_double(buf, "sigma", delay->lognormal.sigma);
        break;
    case PS_DELAY_PARETO:
        put_u64(buf, "scale_ns", delay->pareto.scale_ns);
        put_double(buf, "shape", delay->pareto.shape);
        break;
    case PS_DELAY_MIXTURE:
        put_key(buf, "parts");
        ps_buf_append_char(buf, '[');
        for (size_t i = 0; i < delay->mixture.count; i++) {
            ps_buf_append_text(buf, i == 0 ? "{" : ",{");
            put_double(buf, "weight", delay->mixture.weights[i]);
            put_key(buf, "delay");
            put_delay(buf, &delay->mixture.parts[i]);
            ps_buf_append_char(buf, '}');
        }
        ps_buf_append_char(buf, ']');
        break;
    case PS_DELAY_EMPIRICAL:
        put_key(buf, "samples_ns");
        ps_buf_append_char(buf, '[');
        for (size_t i = 0; i < delay->empirical.count; i++) {
            ps_buf_append_text(buf, i == 0 ? "" : ",");
            ps_buf_append_u64(buf, delay->empirical.samples[i]);
        }
        ps_buf_append_char(buf, ']');
        break;
    }
    ps_buf_append_char(buf, '}');
}

static void put_store(struct ps_buf *buf, const struct ps_store *store)
{
    const struct ps_policy *policy = &store->policy;
    ps_buf_append_char(buf, '{');
    put_text(buf, "name", store->name);
    put_text(buf, "id", store->id);
    put_text(buf, "type", type_names[store->type]);
    put_text(buf, "profile", store->profile);
    put_u64(buf, "home", store->home);
    put_u64(buf, "write_interval_ns", store->kv.write_interval_ns);
    put_text(buf, "policy", policy_names[policy->kind]);
    put_u64(buf, "timeout_ns", policy->timeout_ns);
    put_text(buf, "order", order_names[policy->push.order]);
    put_key(buf, "delay");
    put_delay(buf, &policy->push.delay);
    put_u64(buf, "ttl_ns", policy->cache.ttl_ns);
    put_u64(buf, "ttl_min_ns", policy->cache.ttl_min_ns);
    put_bool(buf, "own_writes", policy->cache.own_writes);
    put_bool(buf, "negative", policy->cache.negative);
    put_bool(buf, "shorten", policy->cache.shorten);
    put_u64(buf, "ahead_milli", policy->cache.ahead_milli);
    put_text(buf, "tier", tier_names[policy->cache.tier]);
    put_u64(buf, "tier_ns", policy->cache.tier_ns);
    if (store->cache_everything) {
        put_bool(buf, "cache_everything", true);
    }
    ps_buf_append_char(buf, '}');
}

void ps_cluster_encode(struct ps_buf *buf, const struct ps_cluster *cluster)
{
    ps_buf_append_char(buf, '{');
    ps_buf_append_text(buf, "\"format\":1");
    put_key(buf, "seed");
    /* A seed may be above what JSON readers hold as an integer. */
    ps_buf_printf(buf, "\"%" PRIu64 "\"", cluster->seed);
    put_u64(buf, "speed_milli", cluster->speed_milli);
    put_u64(buf, "epoch_unix_s", (uint64_t)cluster->epoch_unix_s);
    put_u64(buf, "home", cluster->home);
    put_text(buf, "latency", latency_names[cluster->latency]);
    put_u64(buf, "latency_scale_milli", cluster->latency_scale_milli);
    put_text(buf, "durability", durability_names[cluster->durability]);
    put_double(buf, "route_factor", cluster->route_factor);
    if (cluster->no_write_limit) {
        put_bool(buf, "no_write_limit", true);
    }
    put_key(buf, "pops");
    ps_buf_append_char(buf, '[');
    for (size_t i = 0; i < cluster->pop_count; i++) {
        ps_buf_printf(buf, "%s\"%s\"", i == 0 ? "" : ",", cluster->pops[i]->code);
    }
    ps_buf_append_char(buf, ']');
    put_key(buf, "stores");
    ps_buf_append_char(buf, '[');
    for (size_t i = 0; i < cluster->store_count; i++) {
        ps_buf_append_text(buf, i == 0 ? "" : ",");
        put_store(buf, &cluster->stores[i]);
    }
    ps_buf_append_text(buf, "]}");
}

enum { FORMAT = 1 };

/* The end of the year 9999, after which Unix seconds have no date that people write. */
#define EPOCH_MAX INT64_C(253402300799)

static void get_samples(struct ps_json_reader *reader, const json_t *json, struct ps_delay *delay)
{
    json_t *samples = ps_json_read_array(reader, json, "samples_ns", PS_DELAY_SAMPLES_MAX);
    delay->empirical.count = json_array_size(samples);
    delay->empirical.samples = PS_NEW_ARRAY(ps_dur_ns, delay->empirical.count);
    for (size_t i = 0; i < delay->empirical.count; i++) {
        const json_t *sample = json_array_get(samples, i);
        json_int_t value = json_integer_value(sample);
        if (!json_is_integer(sample) || value < 0) {
            ps_json_read_fail(reader, "samples_ns", "whole numbers are expected");
            return;
        }
        delay->empirical.samples[i] = (ps_dur_ns)value;
    }
}

static void get_mixture(struct ps_json_reader *reader, const json_t *json, struct ps_delay *delay);

static void get_delay(struct ps_json_reader *reader, const json_t *json, struct ps_delay *delay,
                      bool is_part)
{
    *delay = (struct ps_delay){0};
    enum ps_delay_kind kind =
        (enum ps_delay_kind)ps_json_read_name(reader, json, "kind", NAMES(delay_names));
    delay->max_ns = ps_json_read_u64(reader, json, "max_ns", UINT64_MAX);
    switch (kind) {
    case PS_DELAY_CONSTANT:
        delay->constant.value_ns = ps_json_read_u64(reader, json, "value_ns", UINT64_MAX);
        break;
    case PS_DELAY_UNIFORM:
        delay->uniform.from_ns = ps_json_read_u64(reader, json, "from_ns", UINT64_MAX);
        delay->uniform.to_ns = ps_json_read_u64(reader, json, "to_ns", UINT64_MAX);
        break;
    case PS_DELAY_EXPONENTIAL:
        delay->exponential.mean_ns = ps_json_read_u64(reader, json, "mean_ns", UINT64_MAX);
        delay->exponential.min_ns = ps_json_read_u64(reader, json, "min_ns", UINT64_MAX);
        break;
    case PS_DELAY_LOGNORMAL:
        delay->lognormal.median_ns = ps_json_read_u64(reader, json, "median_ns", UINT64_MAX);
        delay->lognormal.sigma = ps_json_read_double(reader, json, "sigma");
        break;
    case PS_DELAY_PARETO:
        delay->pareto.scale_ns = ps_json_read_u64(reader, json, "scale_ns", UINT64_MAX);
        delay->pareto.shape = ps_json_read_double(reader, json, "shape");
        break;
    case PS_DELAY_MIXTURE:
        if (is_part) {
            ps_json_read_fail(reader, "kind", "a mixture's part is no mixture itself");
            return;
        }
        get_mixture(reader, json, delay);
        break;
    case PS_DELAY_EMPIRICAL:
        get_samples(reader, json, delay);
        break;
    }
    delay->kind = kind;
}

static void get_mixture(struct ps_json_reader *reader, const json_t *json, struct ps_delay *delay)
{
    json_t *parts = ps_json_read_array(reader, json, "parts", PS_DELAY_PARTS_MAX);
    size_t count = json_array_size(parts);
    delay->mixture.count = count;
    delay->mixture.parts = PS_NEW_ARRAY(struct ps_delay, count);
    delay->mixture.weights = PS_NEW_ARRAY(double, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(parts, i);
        size_t path_size = ps_json_read_enter(reader, "parts[%zu].", i);
        delay->mixture.weights[i] = ps_json_read_double(reader, part, "weight");
        (void)ps_json_read_enter(reader, "delay.");
        get_delay(reader, json_object_get(part, "delay"), &delay->mixture.parts[i], true);
        ps_json_read_leave(reader, path_size);
    }
}

static void get_policy(struct ps_json_reader *reader, const json_t *json, struct ps_policy *policy)
{
    *policy = (struct ps_policy){0};
    policy->kind =
        (enum ps_policy_kind)ps_json_read_name(reader, json, "policy", NAMES(policy_names));
    policy->timeout_ns = ps_json_read_u64(reader, json, "timeout_ns", UINT64_MAX);
    policy->push.order =
        (enum ps_order)ps_json_read_name(reader, json, "order", NAMES(order_names));
    policy->cache.ttl_ns = ps_json_read_u64(reader, json, "ttl_ns", UINT64_MAX);
    policy->cache.ttl_min_ns = ps_json_read_u64(reader, json, "ttl_min_ns", UINT64_MAX);
    policy->cache.own_writes = ps_json_read_bool(reader, json, "own_writes");
    policy->cache.negative = ps_json_read_bool(reader, json, "negative");
    policy->cache.shorten = ps_json_read_bool(reader, json, "shorten");
    policy->cache.ahead_milli = (uint32_t)ps_json_read_u64(reader, json, "ahead_milli", 1000);
    policy->cache.tier = (enum ps_tier)ps_json_read_name(reader, json, "tier", NAMES(tier_names));
    policy->cache.tier_ns = ps_json_read_u64(reader, json, "tier_ns", UINT64_MAX);
    size_t path_size = ps_json_read_enter(reader, "delay.");
    get_delay(reader, json_object_get(json, "delay"), &policy->push.delay, false);
    ps_json_read_leave(reader, path_size);
    struct ps_error reason = {0};
    if (reader->status == PS_OK && ps_delay_check(&policy->push.delay, &reason) != PS_OK) {
        ps_json_read_fail(reader, "delay", reason.text);
    }
}

/* The namespace id of the REST API. */
static void get_id(struct ps_json_reader *reader, const json_t *json, struct ps_store *store)
{
    struct ps_slice id = ps_json_read_text(reader, json, "id");
    bool right = id.size == sizeof store->id - 1;
    for (size_t i = 0; right && i < id.size; i++) {
        right = strchr("0123456789abcdef", id.data[i]) != NULL;
    }
    if (right) {
        memcpy(store->id, id.data, id.size);
    } else {
        ps_json_read_fail(reader, "id", "32 hex digits are expected");
    }
}

static void get_store(struct ps_json_reader *reader, const json_t *json, struct ps_cluster *cluster)
{
    enum ps_store_type type =
        (enum ps_store_type)ps_json_read_name(reader, json, "type", NAMES(type_names));
    struct ps_slice name = ps_json_read_text(reader, json, "name");
    struct ps_slice profile = ps_json_read_text(reader, json, "profile");
    struct ps_store *store;
    struct ps_error reason = {0};
    if (reader->status != PS_OK) {
        return;
    }
    enum ps_status status = ps_cluster_add_store(cluster, name, type, profile, &store, &reason);
    if (status != PS_OK) {
        bool of_profile = status == PS_NOT_FOUND;
        ps_json_read_fail(reader, of_profile ? "profile" : "name", reason.text);
        return;
    }
    get_id(reader, json, store);
    store->home = (uint16_t)ps_json_read_u64(reader, json, "home", cluster->pop_count - 1);
    store->kv.write_interval_ns = ps_json_read_u64(reader, json, "write_interval_ns", UINT64_MAX);
    if (json_object_get(json, "cache_everything") != NULL) {
        store->cache_everything = ps_json_read_bool(reader, json, "cache_everything");
    }
    ps_delay_fini(&store->policy.push.delay);
    get_policy(reader, json, &store->policy);
}

static void get_pops(struct ps_json_reader *reader, const json_t *json, struct ps_cluster *cluster)
{
    json_t *pops = ps_json_read_array(reader, json, "pops", PS_POPS_MAX);
    size_t index;
    json_t *pop;
    json_array_foreach(pops, index, pop)
    {
        struct ps_error reason = {0};
        if (ps_cluster_add_pop(cluster, ps_slice_of(json_string_value(pop)), &reason) != PS_OK) {
            ps_json_read_fail(reader, "pops", reason.text);
            return;
        }
    }
    if (cluster->pop_count == 0) {
        ps_json_read_fail(reader, "pops", "at least one is expected");
    }
}

static void get_seed(struct ps_json_reader *reader, const json_t *json, struct ps_cluster *cluster)
{
    struct ps_slice text = ps_json_read_text(reader, json, "seed");
    uint64_t seed = 0;
    bool right = text.size > 0;
    for (size_t i = 0; right && i < text.size; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        right = digit <= 9 && !__builtin_mul_overflow(seed, 10, &seed) &&
                !__builtin_add_overflow(seed, digit, &seed);
    }
    if (!right) {
        ps_json_read_fail(reader, "seed", "a whole number as text is expected");
    }
    cluster->seed = seed;
}

static void get_stores(struct ps_json_reader *reader, const json_t *json,
                       struct ps_cluster *cluster)
{
    json_t *stores = ps_json_read_array(reader, json, "stores", PS_STORES_MAX);
    for (size_t i = 0; i < json_array_size(stores) && reader->status == PS_OK; i++) {
        size_t path_size = ps_json_read_enter(reader, "stores[%zu].", i);
        get_store(reader, json_array_get(stores, i), cluster);
        ps_json_read_leave(reader, path_size);
    }
}

static void get_cluster(struct ps_json_reader *reader, const json_t *json,
                        struct ps_cluster *cluster)
{
    if (ps_json_read_u64(reader, json, "format", INT32_MAX) != FORMAT) {
        ps_json_read_fail(reader, "format", "another version of popsim wrote this");
    }
    get_seed(reader, json, cluster);
    cluster->speed_milli = ps_json_read_u64(reader, json, "speed_milli", 1000000);
    if (cluster->speed_milli == 0) {
        ps_json_read_fail(reader, "speed_milli", "a positive number is expected");
    }
    cluster->epoch_unix_s = (int64_t)ps_json_read_u64(reader, json, "epoch_unix_s", EPOCH_MAX);
    cluster->latency =
        (enum ps_latency)ps_json_read_name(reader, json, "latency", NAMES(latency_names));
    cluster->latency_scale_milli =
        (uint32_t)ps_json_read_u64(reader, json, "latency_scale_milli", UINT32_MAX);
    cluster->durability =
        (enum ps_durability)ps_json_read_name(reader, json, "durability", NAMES(durability_names));
    cluster->route_factor = ps_json_read_double(reader, json, "route_factor");
    if (!(cluster->route_factor >= 1 && cluster->route_factor <= 100)) {
        ps_json_read_fail(reader, "route_factor", "a number from 1 to 100 is expected");
    }
    cluster->no_write_limit = json_object_get(json, "no_write_limit") != NULL &&
                              ps_json_read_bool(reader, json, "no_write_limit");
    get_pops(reader, json, cluster);
    if (reader->status == PS_OK) {
        cluster->home = (uint16_t)ps_json_read_u64(reader, json, "home", cluster->pop_count - 1);
        get_stores(reader, json, cluster);
    }
}

enum ps_status ps_cluster_decode_json(struct ps_json_reader *reader, const json_t *json,
                                      struct ps_cluster *ret)
{
    struct ps_cluster cluster;
    ps_cluster_init(&cluster);
    get_cluster(reader, json, &cluster);
    if (reader->status != PS_OK) {
        ps_cluster_fini(&cluster);
        return reader->status;
    }
    *ret = cluster;
    return PS_OK;
}

enum ps_status ps_cluster_decode(struct ps_slice bytes, struct ps_cluster *ret,
                                 struct ps_error *err)
{
    json_t *json = NULL;
    struct ps_json_reader reader = {.err = err};
    enum ps_status status = ps_json_read_parse(bytes, &json, err);
    if (status == PS_OK) {
        status = ps_cluster_decode_json(&reader, json, ret);
    }
    json_decref(json);
    return status;
}

static void put_instant(struct ps_buf *buf, ps_time_ns t)
{
    if (t == PS_NEVER) {
        ps_buf_append_text(buf, "null");
    } else {
        ps_buf_append_u64(buf, t);
    }
}

void ps_link_encode(struct ps_buf *buf, const struct ps_link *link)
{
    ps_buf_append_text(buf, "{\"outages\":[");
    for (size_t i = 0; i < link->outage_count; i++) {
        ps_buf_append_text(buf, i == 0 ? "[" : ",[");
        put_instant(buf, link->outages[i].from_ns);
        ps_buf_append_char(buf, ',');
        put_instant(buf, link->outages[i].until_ns);
        ps_buf_append_char(buf, ']');
    }
    ps_buf_append_text(buf, "],\"slows\":[");
    for (size_t i = 0; i < link->slow_count; i++) {
        ps_buf_append_text(buf, i == 0 ? "[" : ",[");
        put_instant(buf, link->slows[i].when.from_ns);
        ps_buf_append_char(buf, ',');
        put_instant(buf, link->slows[i].when.until_ns);
        ps_buf_append_char(buf, ',');
        ps_buf_append_u64(buf, link->slows[i].factor_milli);
        ps_buf_append_char(buf, ']');
    }
    ps_buf_append_text(buf, "]}");
}

/* null = never. */
static bool get_instant(const json_t *json, ps_time_ns *ret)
{
    json_int_t value = json_integer_value(json);
    *ret = json_is_null(json) ? PS_NEVER : (ps_time_ns)value;
    return json_is_null(json) || (json_is_integer(json) && value >= 0);
}

static bool get_interval(const json_t *item, size_t size, struct ps_interval *ret)
{
    return json_array_size(item) == size && get_instant(json_array_get(item, 0), &ret->from_ns) &&
           get_instant(json_array_get(item, 1), &ret->until_ns);
}

static void get_outages(struct ps_json_reader *reader, const json_t *json, struct ps_link *link)
{
    json_t *outages = ps_json_read_array(reader, json, "outages", PS_OUTAGES_MAX);
    size_t index;
    json_t *item;
    json_array_foreach(outages, index, item)
    {
        struct ps_interval when;
        if (!get_interval(item, 2, &when) || ps_link_cut(link, when) != PS_OK) {
            ps_json_read_fail(reader, "outages", "[from, until] with from < until is expected");
            return;
        }
    }
}

static void get_slows(struct ps_json_reader *reader, const json_t *json, struct ps_link *link)
{
    json_t *slows = ps_json_read_array(reader, json, "slows", PS_OUTAGES_MAX);
    size_t index;
    json_t *item;
    json_array_foreach(slows, index, item)
    {
        json_int_t factor = json_integer_value(json_array_get(item, 2));
        struct ps_slow slow = {.factor_milli =
                                   factor < 0 || factor > UINT32_MAX ? 0 : (uint32_t)factor};
        if (!get_interval(item, 3, &slow.when) || ps_link_slow(link, slow) != PS_OK) {
            ps_json_read_fail(
                reader, "slows",
                "[from, until, factor_milli] with a factor of 1000 or more is expected");
            return;
        }
    }
}

enum ps_status ps_link_decode(struct ps_slice bytes, struct ps_link *link, struct ps_error *err)
{
    json_t *json = NULL;
    enum ps_status status = ps_json_read_parse(bytes, &json, err);
    struct ps_json_reader reader = {.err = err};
    if (status == PS_OK) {
        get_outages(&reader, json, link);
        get_slows(&reader, json, link);
        status = reader.status;
    }
    json_decref(json);
    return status;
}
