/* Clusters, links and the state of a running cluster as JSON: round trips, exact errors, and a file
 * that is whole at every instant. */
#include "node/cluster/cluster_file.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/world/profile.h"
#include "tests/support/temp_folder.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { SEEDS = 300, PARTS = 3 };

static struct ps_rng rng;

static uint64_t below(uint64_t bound)
{
    return ps_rng_below(&rng, bound);
}

static bool coin(void)
{
    return below(2) == 0;
}

static ps_dur_ns some_duration(void)
{
    return ps_rng_u64(&rng) >> (2 + below(60));
}

static void simple_delay(struct ps_delay *delay)
{
    static const enum ps_delay_kind kinds[] = {PS_DELAY_CONSTANT,    PS_DELAY_UNIFORM,
                                               PS_DELAY_EXPONENTIAL, PS_DELAY_LOGNORMAL,
                                               PS_DELAY_PARETO,      PS_DELAY_EMPIRICAL};

    const ps_dur_ns year_ns = 365 * PS_DAY;
    *delay = (struct ps_delay){.kind = kinds[below(6)], .max_ns = coin() ? 0 : some_duration()};
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        delay->constant.value_ns = below(year_ns);
        break;
    case PS_DELAY_UNIFORM:
        delay->uniform.from_ns = below(year_ns);
        delay->uniform.to_ns = delay->uniform.from_ns + below(year_ns);
        break;
    case PS_DELAY_EXPONENTIAL:
        delay->exponential.mean_ns = below(year_ns);
        delay->exponential.min_ns = below(year_ns);
        break;
    case PS_DELAY_LOGNORMAL:
        delay->lognormal.median_ns = below(year_ns);
        delay->lognormal.sigma = 20 * ps_rng_unit(&rng);
        break;
    case PS_DELAY_PARETO:
        delay->pareto.scale_ns = below(year_ns);
        delay->pareto.shape = 0.01 + 900 * ps_rng_unit(&rng);
        break;
    case PS_DELAY_EMPIRICAL:
        delay->empirical.count = 1 + below(20);
        delay->empirical.samples = PS_NEW_ARRAY(ps_dur_ns, delay->empirical.count);
        for (size_t i = 0; i < delay->empirical.count; i++) {
            delay->empirical.samples[i] =
                below(PS_SECOND) + (i == 0 ? 0 : delay->empirical.samples[i - 1]);
        }
        break;
    case PS_DELAY_MIXTURE:
        break;
    }
}

static void some_delay(struct ps_delay *delay)
{
    static const double weights[PARTS] = {0.25, 0.5, 0.25};
    if (below(4) != 0) {
        simple_delay(delay);
        return;
    }
    *delay = (struct ps_delay){.kind = PS_DELAY_MIXTURE};
    delay->mixture.count = PARTS;
    delay->mixture.parts = PS_NEW_ARRAY(struct ps_delay, PARTS);
    delay->mixture.weights = PS_NEW_ARRAY(double, PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        simple_delay(&delay->mixture.parts[i]);
        delay->mixture.weights[i] = weights[i];
    }
}

static void some_store(struct ps_cluster *cluster, size_t number)
{
    enum ps_store_type type = (enum ps_store_type)below(3);
    char name[32];
    int size = snprintf(name, sizeof name, "S_%zu-.@", number);
    struct ps_store *store;
    assert_int_equal(ps_cluster_add_store(cluster, (struct ps_slice){name, (size_t)size}, type,
                                          coin() ? PS_LIT("none") : PS_LIT(""), &store, NULL),
                     PS_OK);
    struct ps_policy *policy = &store->policy;
    ps_delay_fini(&policy->push.delay);
    *policy =
        (struct ps_policy){.kind = (enum ps_policy_kind)below(3), .timeout_ns = some_duration()};
    policy->push.order = (enum ps_order)below(2);
    some_delay(&policy->push.delay);
    policy->cache.ttl_ns = some_duration();
    policy->cache.ttl_min_ns = some_duration();
    policy->cache.own_writes = coin();
    policy->cache.negative = coin();
    policy->cache.shorten = coin();
    policy->cache.ahead_milli = (uint32_t)below(1001);
    policy->cache.tier = (enum ps_tier)below(3);
    policy->cache.tier_ns = some_duration();
    store->kv.write_interval_ns = some_duration();
    store->home = (uint16_t)below(cluster->pop_count);
    store->id[below(32)] = 'f';
}

static void some_cluster(struct ps_cluster *cluster)
{
    ps_cluster_init(cluster);
    cluster->seed = ps_rng_u64(&rng);
    cluster->speed_milli = 1 + below(1000000);
    cluster->epoch_unix_s = (int64_t)below(5000000000);
    cluster->latency = (enum ps_latency)below(3);
    cluster->latency_scale_milli = (uint32_t)ps_rng_u64(&rng);
    cluster->durability = (enum ps_durability)below(2);
    cluster->no_write_limit = below(2) == 0;
    cluster->route_factor = 1 + 99 * ps_rng_unit(&rng);
    size_t first = below(ps_pop_count() - 40);
    for (size_t i = 0; i <= below(40); i++) {
        struct ps_slice code = ps_slice_of(ps_pop_at(first + i)->code);
        assert_int_equal(ps_cluster_add_pop(cluster, code, NULL), PS_OK);
    }
    cluster->home = (uint16_t)below(cluster->pop_count);
    for (size_t i = below(5); i > 0; i--) {
        some_store(cluster, i);
    }
}

static void check_delay(const struct ps_delay *a, const struct ps_delay *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->max_ns, b->max_ns);
    if (a->kind == PS_DELAY_MIXTURE) {
        assert_int_equal(a->mixture.count, b->mixture.count);
        for (size_t i = 0; i < a->mixture.count; i++) {
            assert_memory_equal(&a->mixture.weights[i], &b->mixture.weights[i], sizeof(double));
            check_delay(&a->mixture.parts[i], &b->mixture.parts[i]);
        }
    } else if (a->kind == PS_DELAY_EMPIRICAL) {
        assert_int_equal(a->empirical.count, b->empirical.count);
        assert_memory_equal(a->empirical.samples, b->empirical.samples,
                            a->empirical.count * sizeof(ps_dur_ns));
    } else if (a->kind == PS_DELAY_CONSTANT) {
        assert_int_equal(a->constant.value_ns, b->constant.value_ns);
    } else {
        /* All others are two words. */
        assert_memory_equal(&a->uniform, &b->uniform, sizeof a->uniform);
    }
}

static void check_store(const struct ps_store *a, const struct ps_store *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->id, b->id);
    assert_int_equal(a->type, b->type);
    assert_string_equal(a->profile, b->profile);
    assert_int_equal(a->home, b->home);
    assert_int_equal(a->kv.write_interval_ns, b->kv.write_interval_ns);
    assert_int_equal(a->policy.kind, b->policy.kind);
    assert_int_equal(a->policy.timeout_ns, b->policy.timeout_ns);
    assert_int_equal(a->policy.push.order, b->policy.push.order);
    check_delay(&a->policy.push.delay, &b->policy.push.delay);
    assert_int_equal(a->policy.cache.ttl_ns, b->policy.cache.ttl_ns);
    assert_int_equal(a->policy.cache.ttl_min_ns, b->policy.cache.ttl_min_ns);
    assert_int_equal(a->policy.cache.own_writes, b->policy.cache.own_writes);
    assert_int_equal(a->policy.cache.negative, b->policy.cache.negative);
    assert_int_equal(a->policy.cache.shorten, b->policy.cache.shorten);
    assert_int_equal(a->policy.cache.ahead_milli, b->policy.cache.ahead_milli);
    assert_int_equal(a->policy.cache.tier, b->policy.cache.tier);
    assert_int_equal(a->policy.cache.tier_ns, b->policy.cache.tier_ns);
}

static void check_cluster(const struct ps_cluster *a, const struct ps_cluster *b)
{
    assert_int_equal(a->seed, b->seed);
    assert_int_equal(a->speed_milli, b->speed_milli);
    assert_int_equal(a->epoch_unix_s, b->epoch_unix_s);
    assert_int_equal(a->home, b->home);
    assert_int_equal(a->latency, b->latency);
    assert_int_equal(a->latency_scale_milli, b->latency_scale_milli);
    assert_int_equal(a->durability, b->durability);
    assert_int_equal(a->no_write_limit, b->no_write_limit);
    assert_memory_equal(&a->route_factor, &b->route_factor, sizeof a->route_factor);
    assert_int_equal(a->pop_count, b->pop_count);
    for (size_t i = 0; i < a->pop_count; i++) {
        assert_ptr_equal(a->pops[i], b->pops[i]);
    }
    assert_int_equal(a->store_count, b->store_count);
    for (size_t i = 0; i < a->store_count; i++) {
        check_store(&a->stores[i], &b->stores[i]);
    }
}

static void test_clusters_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("cluster", NULL, NULL)};
        struct ps_cluster cluster;
        struct ps_cluster back;
        struct ps_buf text = {0};
        struct ps_buf again = {0};
        struct ps_error err = {0};
        some_cluster(&cluster);
        ps_cluster_encode(&text, &cluster);
        if (ps_cluster_decode(ps_buf_slice(&text), &back, &err) != PS_OK) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
        }
        check_cluster(&cluster, &back);
        ps_cluster_encode(&again, &back);
        assert_true(ps_slice_eq(ps_buf_slice(&text), ps_buf_slice(&again)));
        ps_buf_fini(&text);
        ps_buf_fini(&again);
        ps_cluster_fini(&cluster);
        ps_cluster_fini(&back);
    }
}

static void test_every_profile_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ps_profile_count(); i++) {
        const struct ps_profile *profile = ps_profile_at(i);
        struct ps_cluster cluster;
        struct ps_cluster back;
        struct ps_store *store;
        struct ps_buf text = {0};
        ps_cluster_init(&cluster);
        assert_int_equal(ps_cluster_add_pop(&cluster, PS_LIT("syd"), NULL), PS_OK);
        assert_int_equal(ps_cluster_add_store(&cluster, PS_LIT("X"), PS_STORE_KV,
                                              ps_slice_of(profile->name), &store, NULL),
                         PS_OK);
        ps_cluster_encode(&text, &cluster);
        assert_int_equal(ps_cluster_decode(ps_buf_slice(&text), &back, NULL), PS_OK);
        check_cluster(&cluster, &back);
        ps_buf_fini(&text);
        ps_cluster_fini(&cluster);
        ps_cluster_fini(&back);
    }
}

/* --- errors name the member --- */

/* Append `text` with its first `from` replaced. */
static void replace(struct ps_buf *buf, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (at == NULL) {
        fail_msg("the text has no %s", from);
        return;
    }
    ps_buf_append(buf, text, (size_t)(at - text));
    ps_buf_append_text(buf, to);
    ps_buf_append_text(buf, at + strlen(from));
}

static void sample_cluster(struct ps_cluster *cluster)
{
    struct ps_store *store;
    ps_cluster_init(cluster);
    assert_int_equal(ps_cluster_add_pop(cluster, PS_LIT("fra"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_pop(cluster, PS_LIT("syd"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_store(cluster, PS_LIT("CACHE"), PS_STORE_KV,
                                          PS_LIT("workers-kv"), &store, NULL),
                     PS_OK);
    assert_int_equal(ps_cluster_add_store(cluster, PS_LIT("MIXED"), PS_STORE_KV,
                                          PS_LIT("kv-push-60s"), &store, NULL),
                     PS_OK);
    struct ps_delay *delay = &store->policy.push.delay;
    *delay = (struct ps_delay){.kind = PS_DELAY_MIXTURE};
    delay->mixture.count = 2;
    delay->mixture.parts = PS_NEW_ARRAY(struct ps_delay, 2);
    delay->mixture.weights = PS_NEW_ARRAY(double, 2);
    delay->mixture.weights[0] = delay->mixture.weights[1] = 0.5;
    delay->mixture.parts[1] = ps_delay_from_p50_p99(PS_SECOND, 2 * PS_SECOND);
}

static const struct {
    const char *from, *to, *reason;
} wrong_clusters[] = {
    {"\"format\":1", "\"format\":2", "format: another version of popsim wrote this"},
    {"\"format\":1", "\"form\":1", "format: a whole number within its range is expected"},
    {"\"seed\":\"1\"", "\"seed\":1", "seed: a string is expected"},
    {"\"seed\":\"1\"", "\"seed\":\"\"", "seed: a whole number as text is expected"},
    {"\"seed\":\"1\"", "\"seed\":\"-1\"", "seed: a whole number as text is expected"},
    {"\"seed\":\"1\"", "\"seed\":\"18446744073709551616\"",
     "seed: a whole number as text is expected"},
    {"\"speed_milli\":1000", "\"speed_milli\":0", "speed_milli: a positive number is expected"},
    {"\"speed_milli\":1000", "\"speed_milli\":1000001",
     "speed_milli: a whole number within its range is expected"},
    {"\"speed_milli\":1000", "\"speed_milli\":1.5",
     "speed_milli: a whole number within its range is expected"},
    {"\"epoch_unix_s\":1767225600", "\"epoch_unix_s\":253402300800",
     "epoch_unix_s: a whole number within its range is expected"},
    {"\"home\":0", "\"home\":2", "home: a whole number within its range is expected"},
    {"\"latency\":\"profile\"", "\"latency\":\"fast\"", "latency: an unknown name"},
    {"\"latency_scale_milli\":1000", "\"latency_scale_milli\":4294967296",
     "latency_scale_milli: a whole number within its range is expected"},
    {"\"durability\":\"sync\"", "\"durability\":null", "durability: a string is expected"},
    {"\"route_factor\":\"", "\"route_factor\":\"+",
     "route_factor: 16 hex digits of a finite number are expected"},
    {"\"route_factor\":\"3", "\"route_factor\":\"+",
     "route_factor: 16 hex digits of a finite number are expected"},
    {"\"route_factor\":\"3ff", "\"route_factor\":\"7ff",
     "route_factor: 16 hex digits of a finite number are expected"},
    {"\"route_factor\":\"3ff", "\"route_factor\":\"3fe",
     "route_factor: a number from 1 to 100 is expected"},
    {"\"pops\":[\"fra\",\"syd\"]", "\"pops\":[]", "pops: at least one is expected"},
    {"\"pops\":[\"fra\",\"syd\"]", "\"pops\":7", "pops: an array within its limit is expected"},
    {"\"fra\"", "\"fr\"", "pops: there is no PoP \"fr\"; popsim pops lists them"},
    {"\"fra\"", "17", "pops: there is no PoP \"\"; popsim pops lists them"},
    {"\"fra\"", "\"SYD\"", "pops: PoP syd is named twice"},
    {"\"stores\":[", "\"stores\":7,\"x\":[", "stores: an array within its limit is expected"},
    {"\"stores\":[", "\"stores\":[3,", "stores[0].type: a string is expected"},
    {"\"name\":\"MIXED\"", "\"name\":\"CACHE\"", "stores[1].name: store CACHE is named twice"},
    {"\"name\":\"MIXED\"", "\"name\":\"a b\"",
     "stores[1].name: a store's name has 1 to 63 letters, digits, \"_\", \"-\" or \".\""},
    {"\"type\":\"kv\"", "\"type\":\"sql\"", "stores[0].type: an unknown name"},
    {"\"type\":\"kv\"", "\"type\":\"r2\"",
     "stores[0].name: profile workers-kv is for kv, not for r2"},
    {"\"profile\":\"workers-kv\"", "\"profile\":\"gone\"",
     "stores[0].profile: there is no profile \"gone\"; popsim profiles lists them"},
    {"\"id\":\"", "\"id\":\"0", "stores[0].id: 32 hex digits are expected"},
    {"\"home\":0,\"write_interval_ns\"", "\"home\":2,\"write_interval_ns\"",
     "stores[0].home: a whole number within its range is expected"},
    {"\"write_interval_ns\":1000000000", "\"write_interval_ns\":-1",
     "stores[0].write_interval_ns: a whole number within its range is expected"},
    {"\"policy\":\"cache\"", "\"policy\":\"lucky\"", "stores[0].policy: an unknown name"},
    {"\"own_writes\":true", "\"own_writes\":1", "stores[0].own_writes: true or false is expected"},
    {"\"ahead_milli\":0", "\"ahead_milli\":1001",
     "stores[0].ahead_milli: a whole number within its range is expected"},
    {"\"kind\":\"constant\"", "\"kind\":\"never\"", "stores[0].delay.kind: an unknown name"},
    {"\"kind\":\"constant\",\"max_ns\":0,\"value_ns\":0", "\"kind\":\"uniform\",\"max_ns\":0",
     "stores[0].delay.from_ns: a whole number within its range is expected"},
    {"\"kind\":\"constant\",\"max_ns\":0,\"value_ns\":0",
     "\"kind\":\"uniform\",\"max_ns\":0,\"from_ns\":2,\"to_ns\":1",
     "stores[0].delay: uniform: from <= to is expected, below 100 years"},
    {"\"kind\":\"constant\",\"max_ns\":0,\"value_ns\":0",
     "\"kind\":\"empirical\",\"max_ns\":0,\"samples_ns\":[]",
     "stores[0].delay: 1 to 65536 samples are expected"},
    {"\"kind\":\"constant\",\"max_ns\":0,\"value_ns\":0",
     "\"kind\":\"empirical\",\"max_ns\":0,\"samples_ns\":[0,\"1\"]",
     "stores[0].delay.samples_ns: whole numbers are expected"},
    {"\"kind\":\"constant\",\"max_ns\":0,\"value_ns\":0",
     "\"kind\":\"empirical\",\"max_ns\":0,\"samples_ns\":[-1]",
     "stores[0].delay.samples_ns: whole numbers are expected"},
    {"\"weight\":\"3fe", "\"weight\":\"3ff", "stores[1].delay: a mixture's weights add up to 1"},
    {"\"kind\":\"lognormal\"", "\"kind\":\"mixture\"",
     "stores[1].delay.parts[1].delay.kind: a mixture's part is no mixture itself"},
    {"\"kind\":\"lognormal\"", "\"kind\":\"pareto\"",
     "stores[1].delay.parts[1].delay.scale_ns: a whole number within its range is expected"},
    {"\"sigma\":\"", "\"sigma\":\"x",
     "stores[1].delay.parts[1].delay.sigma: 16 hex digits of a "
     "finite number are expected"},
    {"{\"format\"", "[]{\"format\"", "line 1, column 3: end of file expected near '{'"},
    {"\"format\":1", "\"format\":1,\"format\":1",
     "line 1, column 20: duplicate object key near '\"format\"'"},
};

static void test_errors_name_the_member(void **state)
{
    (void)state;

    struct ps_cluster cluster;
    struct ps_buf text = {0};
    sample_cluster(&cluster);
    ps_cluster_encode(&text, &cluster);
    for (size_t i = 0; i < sizeof wrong_clusters / sizeof wrong_clusters[0]; i++) {
        struct ps_buf wrong = {0};
        struct ps_cluster back;
        struct ps_error err = {0};
        replace(&wrong, ps_buf_text(&text), wrong_clusters[i].from, wrong_clusters[i].to);
        assert_int_equal(ps_cluster_decode(ps_buf_slice(&wrong), &back, &err), PS_INVALID);
        assert_string_equal(err.text, wrong_clusters[i].reason);
        assert_int_equal(ps_cluster_decode(ps_buf_slice(&wrong), &back, NULL), PS_INVALID);
        ps_buf_fini(&wrong);
    }
    ps_buf_fini(&text);
    ps_cluster_fini(&cluster);
}

/* Text cut anywhere is an error. */
static void test_cut_text_is_refused(void **state)
{
    (void)state;
    struct ps_cluster cluster;
    struct ps_buf text = {0};
    sample_cluster(&cluster);
    ps_cluster_encode(&text, &cluster);
    for (size_t size = 0; size < text.size; size++) {
        struct ps_cluster back;
        struct ps_error err = {0};
        struct ps_slice cut = {text.data, size};
        assert_int_equal(ps_cluster_decode(cut, &back, &err), PS_INVALID);
        assert_true(err.text[0] != '\0');
    }
    ps_buf_fini(&text);
    ps_cluster_fini(&cluster);
}

/* --- links --- */

static void test_links_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("link", NULL, NULL)};
        struct ps_link link = {0};
        struct ps_link back = {0};
        struct ps_buf text = {0};
        for (uint64_t i = below(10); i > 0; i--) {
            ps_time_ns from_ns = below(1000);
            ps_time_ns until_ns = below(8) == 0 ? PS_NEVER : from_ns + 1 + below(100);
            assert_int_equal(ps_link_cut(&link, (struct ps_interval){from_ns, until_ns}), PS_OK);
        }
        for (uint64_t i = below(6); i > 0; i--) {
            ps_time_ns from_ns = some_duration();
            ps_time_ns until_ns = coin() ? PS_NEVER : from_ns + 1 + below(100);
            uint32_t factor_milli = 1000 + (uint32_t)below(UINT32_MAX - 1000);
            assert_int_equal(
                ps_link_slow(&link, (struct ps_slow){{from_ns, until_ns}, factor_milli}), PS_OK);
        }
        ps_link_encode(&text, &link);
        assert_int_equal(ps_link_decode(ps_buf_slice(&text), &back, NULL), PS_OK);
        assert_int_equal(back.outage_count, link.outage_count);
        assert_int_equal(back.slow_count, link.slow_count);
        for (size_t i = 0; i < link.outage_count; i++) {
            assert_int_equal(back.outages[i].from_ns, link.outages[i].from_ns);
            assert_int_equal(back.outages[i].until_ns, link.outages[i].until_ns);
        }
        for (size_t i = 0; i < link.slow_count; i++) {
            assert_int_equal(back.slows[i].when.from_ns, link.slows[i].when.from_ns);
            assert_int_equal(back.slows[i].when.until_ns, link.slows[i].when.until_ns);
            assert_int_equal(back.slows[i].factor_milli, link.slows[i].factor_milli);
        }
        ps_link_fini(&link);
        ps_link_fini(&back);
        ps_buf_fini(&text);
    }
}

static void test_wrong_links_are_refused(void **state)
{
    (void)state;
    static const char outages[] = "outages: [from, until] with from < until is expected";
    static const char slows[] =
        "slows: [from, until, factor_milli] with a factor of 1000 or more is expected";

    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"7", "line 1, column 1: '[' or '{' expected near '7'"},
        {"[]", "outages: an array within its limit is expected"},
        {"{}", "outages: an array within its limit is expected"},
        {"{\"outages\":[]}", "slows: an array within its limit is expected"},
        {"{\"outages\":{},\"slows\":[]}", "outages: an array within its limit is expected"},
        {"{\"outages\":[7],\"slows\":[]}", outages},
        {"{\"outages\":[[]],\"slows\":[]}", outages},
        {"{\"outages\":[[1]],\"slows\":[]}", outages},
        {"{\"outages\":[[1,2,3]],\"slows\":[]}", outages},
        {"{\"outages\":[[2,2]],\"slows\":[]}", outages},
        {"{\"outages\":[[-1,2]],\"slows\":[]}", outages},
        {"{\"outages\":[[1,\"2\"]],\"slows\":[]}", outages},
        {"{\"outages\":[[\"1\",null]],\"slows\":[]}", outages},
        {"{\"outages\":[[null,null]],\"slows\":[]}", outages},
        {"{\"outages\":[[1,2.5]],\"slows\":[]}", outages},
        {"{\"outages\":[],\"slows\":[[1,2]]}", slows},
        {"{\"outages\":[],\"slows\":[[1,2,999]]}", slows},
        {"{\"outages\":[],\"slows\":[[1,2,-1]]}", slows},
        {"{\"outages\":[],\"slows\":[[1,2,4294967296]]}", slows},
        {"{\"outages\":[],\"slows\":[[1,2,\"1000\"]]}", slows},
        {"{\"outages\":[],\"slows\":[[2,1,1000]]}", slows},
        {"{\"outages\":[],\"slows\":[[-5,1,1000]]}", slows},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_link link = {0};
        struct ps_error err = {0};
        assert_int_equal(ps_link_decode(ps_slice_of(cases[i].text), &link, &err), PS_INVALID);
        assert_string_equal(err.text, cases[i].reason);
        ps_link_fini(&link);
    }
}

/* --- the state file --- */

static void sample_state(struct ps_cluster_state *state, int32_t number)
{
    *state = (struct ps_cluster_state){
        .timeline = {.origin_ns = 5000000000000, .base_ns = 77, .speed_milli = 60000},
        .supervisor_pid = number,
    };
    sample_cluster(&state->cluster);
    state->nodes = PS_NEW_ARRAY(struct ps_cluster_node, state->cluster.pop_count);
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        state->nodes[i] = (struct ps_cluster_node){(uint16_t)(8700 + i), (uint16_t)(8800 + i),
                                                   number * (int32_t)i};
    }
    memset(state->s3_key_id, 'b', sizeof state->s3_key_id - 1);
    memset(state->s3_secret, 'c', sizeof state->s3_secret - 1);
    memset(state->token, 'a', sizeof state->token - 1);
    (void)snprintf(state->bind, sizeof state->bind, "::1%%\"lo\\\"");
}

static void check_state(const struct ps_cluster_state *a, const struct ps_cluster_state *b)
{
    check_cluster(&a->cluster, &b->cluster);
    assert_int_equal(a->timeline.origin_ns, b->timeline.origin_ns);
    assert_int_equal(a->timeline.base_ns, b->timeline.base_ns);
    assert_int_equal(a->timeline.speed_milli, b->timeline.speed_milli);
    assert_int_equal(a->supervisor_pid, b->supervisor_pid);
    assert_string_equal(a->token, b->token);
    assert_string_equal(a->bind, b->bind);
    assert_string_equal(a->s3_key_id, b->s3_key_id);
    assert_string_equal(a->s3_secret, b->s3_secret);
    for (size_t i = 0; i < a->cluster.pop_count; i++) {
        assert_int_equal(a->nodes[i].api_port, b->nodes[i].api_port);
        assert_int_equal(a->nodes[i].s3_port, b->nodes[i].s3_port);
        assert_int_equal(a->nodes[i].pid, b->nodes[i].pid);
    }
}

static const char *path_of(const struct temp_folder *folder, const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_a_state_comes_back(void **unused)
{
    (void)unused;
    struct temp_folder folder;
    struct ps_cluster_state state;
    struct ps_cluster_state back;
    struct stat info;
    temp_folder_make(&folder);
    /* What a crash left over does not matter, nor does its mode. */
    write_file(path_of(&folder, "cluster.json.new"), "left over");
    assert_int_equal(chmod(path_of(&folder, "cluster.json.new"), 0644), 0);
    for (int32_t number = 1; number < 3; number++) {
        sample_state(&state, number);
        assert_int_equal(ps_cluster_state_save(folder.path, &state, NULL), PS_OK);
        assert_int_equal(ps_cluster_state_load(folder.path, &back, NULL), PS_OK);
        check_state(&state, &back);
        assert_int_equal(stat(path_of(&folder, "cluster.json"), &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
        assert_int_equal(stat(path_of(&folder, "cluster.json.new"), &info), -1);
        ps_cluster_state_fini(&state);
        ps_cluster_state_fini(&back);
    }
    temp_folder_remove(&folder);
}

/* What a version before S3 wrote has neither ports nor keys. */
static void test_a_state_without_s3(void **unused)
{
    (void)unused;
    struct temp_folder folder;
    struct ps_cluster_state state;
    struct ps_cluster_state back;
    static char text[1 << 16];
    temp_folder_make(&folder);
    sample_state(&state, 1);
    assert_int_equal(ps_cluster_state_save(folder.path, &state, NULL), PS_OK);
    FILE *file = fopen(path_of(&folder, "cluster.json"), "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    char *keys = strstr(text, "\"s3\":");
    assert_non_null(keys);
    memcpy(keys, "\"xx\"", 4);
    for (char *port = strstr(text, "s3_port"); port != NULL; port = strstr(text, "s3_port")) {
        memcpy(port, "xx_port", 7);
    }
    write_file(path_of(&folder, "cluster.json"), text);
    assert_int_equal(ps_cluster_state_load(folder.path, &back, NULL), PS_OK);
    for (size_t i = 0; i < state.cluster.pop_count; i++) {
        assert_int_equal(back.nodes[i].s3_port, 0);
    }
    assert_string_equal(back.s3_key_id, "");
    assert_string_equal(back.s3_secret, "");
    ps_cluster_state_fini(&state);
    ps_cluster_state_fini(&back);
    temp_folder_remove(&folder);
}

static void test_errors_of_loading(void **unused)
{
    (void)unused;

    static const struct {
        const char *from, *to, *reason;
    } cases[] = {
        {"\"home\":0", "\"home\":9", "cluster.home: a whole number within its range is expected"},
        {"\"cluster\":", "\"custer\":",
         "cluster.format: a whole number within its range is expected"},
        {"\"origin_ns\":5000000000000", "\"origin_ns\":\"\"",
         "origin_ns: a whole number within its range is expected"},
        {"\"base_ns\":77", "\"base_ns\":-77",
         "base_ns: a whole number within its range is expected"},
        {"\"speed_milli\":60000", "\"speed_milli\":0",
         "speed_milli: a positive number is expected"},
        {"\"supervisor_pid\":1", "\"supervisor_pid\":2147483648",
         "supervisor_pid: a whole number within its range is expected"},
        {"\"token\":\"", "\"token\":\"b", "token: it is too long"},
        {"\"bind\":\"", "\"bind\":8,\"b\":\"", "bind: a string is expected"},
        {"\"nodes\":[", "\"nodes\":[{},", "nodes: one for each PoP is expected"},
        {"\"api_port\":8701", "\"api_port\":65536",
         "nodes[1].api_port: a whole number within its range is expected"},
        {"\"s3_port\":8801", "\"s3_port\":-1",
         "nodes[1].s3_port: a whole number within its range is expected"},
        {"\"access_key_id\":\"", "\"access_key_id\":\"b", "s3.access_key_id: it is too long"},
        {"\"secret_access_key\":", "\"secret\":", "s3.secret_access_key: a string is expected"},
        {"]}\n", "]", "line 7, column 53: '}' expected near end of file"},
    };
    struct temp_folder folder;
    struct ps_cluster_state state;
    struct ps_cluster_state back;
    struct ps_error err = {0};
    temp_folder_make(&folder);
    char path[128];
    (void)snprintf(path, sizeof path, "%s", path_of(&folder, "cluster.json"));
    char expected[512];
    assert_int_equal(ps_cluster_state_load(folder.path, &back, &err), PS_NOT_FOUND);
    (void)snprintf(expected, sizeof expected, "%s: No such file or directory", path);
    assert_string_equal(err.text, expected);
    sample_state(&state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ps_cluster_state_save(folder.path, &state, NULL), PS_OK);
        static char text[1 << 16];
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        assert_int_equal(fclose(file), 0);
        struct ps_buf wrong = {0};
        replace(&wrong, text, cases[i].from, cases[i].to);
        write_file(path, ps_buf_text(&wrong));
        ps_buf_fini(&wrong);
        err = (struct ps_error){0};
        assert_int_equal(ps_cluster_state_load(folder.path, &back, &err), PS_INVALID);
        (void)snprintf(expected, sizeof expected, "%s: %s", path, cases[i].reason);
        assert_string_equal(err.text, expected);
    }
    assert_int_equal(truncate(path, (16 << 20) + 100), 0);
    assert_int_equal(ps_cluster_state_load(folder.path, &back, &err), PS_LIMIT);
    (void)snprintf(expected, sizeof expected, "%s: it is too large", path);
    assert_string_equal(err.text, expected);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(ps_cluster_state_load(folder.path, &back, &err), PS_IO);
    (void)snprintf(expected, sizeof expected, "%s: Is a directory", path);
    assert_string_equal(err.text, expected);
    ps_cluster_state_fini(&state);
    temp_folder_remove(&folder);
}

#define MUST(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            (void)fprintf(stderr, "line %d: %s\n", __LINE__, #expression);                         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void save_in_little_room(const struct temp_folder *folder,
                                const struct ps_cluster_state *state)
{
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
    struct ps_error err = {0};
    struct stat info;
    MUST(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MUST(ps_cluster_state_save(folder->path, state, &err) == PS_IO);
    MUST(strstr(err.text, "File too large") != NULL);
    MUST(stat(path_of(folder, "cluster.json.new"), &info) != 0);
    _exit(0);
}

/* A save that fails leaves the file as it was. */
static void test_a_failed_save_changes_nothing(void **unused)
{
    (void)unused;
    struct temp_folder folder;
    struct ps_cluster_state states[2];
    struct ps_cluster_state back;
    struct ps_error err = {0};
    char expected[256];
    temp_folder_make(&folder);
    sample_state(&states[0], 1);
    sample_state(&states[1], 2);
    assert_int_equal(ps_cluster_state_save(folder.path, &states[0], NULL), PS_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        save_in_little_room(&folder, &states[1]);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(mkdir(path_of(&folder, "cluster.json.new"), 0700), 0);
    assert_int_equal(ps_cluster_state_save(folder.path, &states[1], &err), PS_IO);
    (void)snprintf(expected, sizeof expected, "%s: Is a directory",
                   path_of(&folder, "cluster.json"));
    assert_string_equal(err.text, expected);
    assert_int_equal(ps_cluster_state_load(folder.path, &back, NULL), PS_OK);
    check_state(&back, &states[0]);
    ps_cluster_state_fini(&back);
    assert_int_equal(ps_cluster_state_save("/no/such/folder", &states[1], &err), PS_IO);
    assert_string_equal(err.text, "/no/such/folder/cluster.json: No such file or directory");
    ps_cluster_state_fini(&states[0]);
    ps_cluster_state_fini(&states[1]);
    temp_folder_remove(&folder);
}

static _Noreturn void save_on(const struct temp_folder *folder, int fd)
{
    for (int32_t number = 1;; number++) {
        struct ps_cluster_state state;
        sample_state(&state, number);
        MUST(ps_cluster_state_save(folder->path, &state, NULL) == PS_OK);
        MUST(write(fd, &number, sizeof number) == sizeof number);
        ps_cluster_state_fini(&state);
    }
}

/* Whoever loads sees a whole state, also while another process saves and after it was killed. */
static void test_the_file_is_whole_at_every_instant(void **unused)
{
    (void)unused;

    enum { ROUNDS = 8, LOADS = 20 };

    struct temp_folder folder;
    temp_folder_make(&folder);
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            save_on(&folder, ends[1]);
        }
        (void)close(ends[1]);
        int32_t saved = 0;
        for (int i = 0; i < LOADS; i++) {
            assert_int_equal(read(ends[0], &saved, sizeof saved), sizeof saved);
            struct ps_cluster_state back;
            struct ps_cluster_state expected;
            assert_int_equal(ps_cluster_state_load(folder.path, &back, NULL), PS_OK);
            assert_true(back.supervisor_pid >= saved);
            sample_state(&expected, back.supervisor_pid);
            check_state(&back, &expected);
            ps_cluster_state_fini(&back);
            ps_cluster_state_fini(&expected);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        while (read(ends[0], &saved, sizeof saved) == sizeof saved) {
        }
        (void)close(ends[0]);
        struct ps_cluster_state back;
        assert_int_equal(ps_cluster_state_load(folder.path, &back, NULL), PS_OK);
        assert_true(back.supervisor_pid >= saved);
        ps_cluster_state_fini(&back);
    }
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clusters_come_back),
        cmocka_unit_test(test_every_profile_comes_back),
        cmocka_unit_test(test_errors_name_the_member),
        cmocka_unit_test(test_cut_text_is_refused),
        cmocka_unit_test(test_links_come_back),
        cmocka_unit_test(test_wrong_links_are_refused),
        cmocka_unit_test(test_a_state_comes_back),
        cmocka_unit_test(test_a_state_without_s3),
        cmocka_unit_test(test_errors_of_loading),
        cmocka_unit_test(test_a_failed_save_changes_nothing),
        cmocka_unit_test(test_the_file_is_whole_at_every_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
