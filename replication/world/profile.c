#include "replication/world/profile.h"

#include "replication/base/assert.h"

#define TIMEOUT (5 * PS_SECOND)

static void fill_cache(struct ps_policy *policy, struct ps_kv_limits *kv, ps_dur_ns ttl_ns)
{
    *policy = (struct ps_policy){
        .kind = PS_POLICY_CACHE,
        .timeout_ns = TIMEOUT,
        .cache = {
            .ttl_ns = ttl_ns, .ttl_min_ns = 30 * PS_SECOND, .own_writes = true, .negative = true}};
    *kv = (struct ps_kv_limits){.write_interval_ns = PS_SECOND};
}

static void fill_workers_kv(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    fill_cache(policy, kv, 60 * PS_SECOND);
}

static void fill_workers_kv_30s(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    fill_cache(policy, kv, 30 * PS_SECOND);
}

static void fill_push(struct ps_policy *policy, struct ps_kv_limits *kv, struct ps_delay delay)
{
    *policy = (struct ps_policy){.kind = PS_POLICY_PUSH,
                                 .timeout_ns = TIMEOUT,
                                 .push = {.order = PS_ORDER_FIFO, .delay = delay}};
    *kv = (struct ps_kv_limits){0};
}

static void fill_kv_instant(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    fill_push(policy, kv, ps_delay_from_p50_p99(107 * PS_MS, 256 * PS_MS));
}

static void fill_kv_push_60s(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    struct ps_delay delay = {.kind = PS_DELAY_UNIFORM, .uniform = {.to_ns = 60 * PS_SECOND}};
    fill_push(policy, kv, delay);
    kv->write_interval_ns = PS_SECOND;
}

static void fill_d1_replica(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    fill_push(policy, kv, ps_delay_from_p50_p99(100 * PS_MS, PS_SECOND));
}

static void fill_r2(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    *policy = (struct ps_policy){.kind = PS_POLICY_STRONG, .timeout_ns = TIMEOUT};
    *kv = (struct ps_kv_limits){.write_interval_ns = PS_SECOND};
}

static void fill_none(struct ps_policy *policy, struct ps_kv_limits *kv)
{
    fill_push(policy, kv, (struct ps_delay){0});
}

static const struct ps_profile profiles[] = {
    {"workers-kv", "kv", "Workers KV as documented: each PoP keeps what it read for 60 s",
     "cacheTtl 60 s by default, 30 s at least; absence is cached too: developers.cloudflare.com/kv/"
     "concepts/how-kv-works/, /kv/api/read-key-value-pairs/\n"
     "a write is usually visible at once where it was made, which is not guaranteed (own_writes): "
     "/kv/concepts/how-kv-works/\n"
     "one write a second to a key, else 429: /kv/platform/limits/\n"
     "no upper tier: writes revalidate the tiers (2026 documentation), so 60 s bounds the age; "
     "`tier: {revalidated: 2s}` adds the lag that older documentation speaks of\n"
     "timeout 5 s: assumption",
     fill_workers_kv},
    {"workers-kv-30s", "kv", "Workers KV read with the smallest cacheTtl, 30 s",
     "minimum cacheTtl 30 s since 2026-01-30: developers.cloudflare.com changelog "
     "kv-reduced-minimum-cachettl\n"
     "all else as workers-kv",
     fill_workers_kv_30s},
    {"kv-instant", "kv", "KV Instant: pushed to every PoP, p50 107 ms, p99 256 ms",
     "propagation to 300+ places p50 107, p95 181, p99 256 ms: blog.cloudflare.com/"
     "workers-kv-instant (2026-10-01, second hand)\n"
     "lognormal through p50 and p99 (its p95 is then 198 ms); in order per store: assumptions\n"
     "its limit of one write a second to a namespace is not modelled",
     fill_kv_instant},
    {"kv-push-60s", "kv", "Any write reaches each PoP within 60 s, uniformly",
     "\"up to 60 seconds\": developers.cloudflare.com/kv/concepts/how-kv-works/, read as a push\n"
     "uniform and in order per store: assumptions; use it for code that must bear any delay to 60 "
     "s",
     fill_kv_push_60s},
    {"d1-replica", "kv d1", "D1 read replication: asynchronous, in order",
     "replicas apply the primary's log asynchronously and in order: developers.cloudflare.com/d1/"
     "best-practices/read-replication/\n"
     "lognormal with p50 100 ms and p99 1 s: assumption, no figures are published",
     fill_d1_replica},
    {"r2", "kv r2", "Strong consistency: each read goes to home",
     "R2 is strongly consistent: developers.cloudflare.com/r2/reference/consistency/\n"
     "one write a second to a key, else 429: /r2/platform/limits/; that its deletes do not count: "
     "assumption",
     fill_r2},
    {"none", "kv d1 r2", "No delay: what local emulators do", "by definition", fill_none},
};

enum { PROFILE_COUNT = sizeof profiles / sizeof profiles[0] };

size_t ps_profile_count(void)
{
    return PROFILE_COUNT;
}

const struct ps_profile *ps_profile_at(size_t index)
{
    PS_ASSERT(index < PROFILE_COUNT);
    return &profiles[index];
}

const struct ps_profile *ps_profile_find(struct ps_slice name)
{
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        if (ps_slice_eq(ps_slice_of(profiles[i].name), name)) {
            return &profiles[i];
        }
    }
    return NULL;
}

const char *ps_profile_default(enum ps_store_type type)
{
    switch (type) {
    case PS_STORE_KV:
        return "workers-kv";
    case PS_STORE_D1:
        return "d1-replica";
    case PS_STORE_R2:
        return "r2";
    }
    PS_NOT_REACHED();
}
