#include "replication/world/cluster.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/world/profile.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MILLI = 1000 };

enum { POPS_GROW = 16 };

const char *ps_store_type_name(enum ps_store_type type)
{
    switch (type) {
    case PS_STORE_KV:
        return "kv";
    case PS_STORE_D1:
        return "d1";
    case PS_STORE_R2:
        return "r2";
    }
    PS_NOT_REACHED();
}

void ps_cluster_init(struct ps_cluster *cluster)
{
    *cluster = (struct ps_cluster){.seed = 1,
                                   .speed_milli = 1000,
                                   .epoch_unix_s = PS_EPOCH_VIRTUAL,
                                   .latency = PS_LATENCY_PROFILE,
                                   .latency_scale_milli = 1000,
                                   .durability = PS_DURABILITY_SYNC,
                                   .route_factor = PS_ROUTE_FACTOR};
}

void ps_cluster_fini(struct ps_cluster *cluster)
{
    for (size_t i = 0; i < cluster->store_count; i++) {
        ps_delay_fini(&cluster->stores[i].policy.push.delay);
    }
    free(cluster->stores);
    free(cluster->pops);
    *cluster = (struct ps_cluster){0};
}

int ps_cluster_find_pop(const struct ps_cluster *cluster, struct ps_slice code)
{
    const struct ps_pop *pop = ps_pop_find(code);
    for (size_t i = 0; pop != NULL && i < cluster->pop_count; i++) {
        if (cluster->pops[i] == pop) {
            return (int)i;
        }
    }
    return -1;
}

int ps_cluster_find_store(const struct ps_cluster *cluster, struct ps_slice name)
{
    for (size_t i = 0; i < cluster->store_count; i++) {
        if (ps_slice_eq(ps_slice_of(cluster->stores[i].name), name)) {
            return (int)i;
        }
    }
    return -1;
}

enum ps_status ps_cluster_add_pop(struct ps_cluster *cluster, struct ps_slice code,
                                  struct ps_error *err)
{
    const struct ps_pop *pop = ps_pop_find(code);
    if (pop == NULL) {
        return ps_fail(err, PS_NOT_FOUND, "there is no PoP \"%.*s\"; popsim pops lists them",
                       (int)(code.size > 16 ? 16 : code.size), code.data);
    }
    if (ps_cluster_find_pop(cluster, code) >= 0) {
        return ps_fail(err, PS_EXISTS, "PoP %s is named twice", pop->code);
    }
    if (cluster->pop_count >= PS_POPS_MAX) {
        return ps_fail(err, PS_LIMIT, "a cluster has at most %d PoPs", PS_POPS_MAX);
    }
    if (cluster->pop_count % POPS_GROW == 0) {
        cluster->pops =
            ps_realloc(cluster->pops, cluster->pop_count + POPS_GROW, sizeof *cluster->pops);
    }
    cluster->pops[cluster->pop_count++] = pop;
    return PS_OK;
}

/* A binding's name: what a JavaScript identifier and a header value both allow. */
static bool is_name(struct ps_slice name)
{
    if (name.size == 0 || name.size > PS_STORE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (isalnum((unsigned char)name.data[i]) == 0 && strchr("_-.@", name.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool fits(const struct ps_profile *profile, enum ps_store_type type)
{
    const char *found = strstr(profile->types, ps_store_type_name(type));
    return found != NULL;
}

static void name_id(struct ps_store *store)
{
    struct ps_buf text = {0};
    ps_buf_append_text(&text, "store/");
    ps_buf_append_text(&text, store->name);
    uint64_t high = ps_slice_hash(ps_buf_slice(&text));
    ps_buf_append_char(&text, '/');
    uint64_t low = ps_slice_hash(ps_buf_slice(&text));
    (void)snprintf(store->id, sizeof store->id, "%016" PRIx64 "%016" PRIx64, high, low);
    ps_buf_fini(&text);
}

enum ps_status ps_cluster_add_store(struct ps_cluster *cluster, struct ps_slice name,
                                    enum ps_store_type type, struct ps_slice profile_name,
                                    struct ps_store **ret, struct ps_error *err)
{
    if (!is_name(name)) {
        return ps_fail(err, PS_INVALID,
                       "a store's name has 1 to %d letters, digits, \"_\", \"-\" or \".\"",
                       PS_STORE_NAME_MAX);
    }
    if (ps_cluster_find_store(cluster, name) >= 0) {
        return ps_fail(err, PS_EXISTS, "store %.*s is named twice", (int)name.size, name.data);
    }
    if (cluster->store_count >= PS_STORES_MAX) {
        return ps_fail(err, PS_LIMIT, "a cluster has at most %d stores", PS_STORES_MAX);
    }
    if (profile_name.size == 0) {
        profile_name = ps_slice_of(ps_profile_default(type));
    }
    const struct ps_profile *profile = ps_profile_find(profile_name);
    if (profile == NULL) {
        return ps_fail(err, PS_NOT_FOUND,
                       "there is no profile \"%.*s\"; popsim profiles lists them",
                       (int)(profile_name.size > 64 ? 64 : profile_name.size), profile_name.data);
    }
    if (!fits(profile, type)) {
        return ps_fail(err, PS_INVALID, "profile %s is for %s, not for %s", profile->name,
                       profile->types, ps_store_type_name(type));
    }
    cluster->stores =
        ps_realloc(cluster->stores, cluster->store_count + 1, sizeof *cluster->stores);
    struct ps_store *store = &cluster->stores[cluster->store_count++];
    *store = (struct ps_store){.type = type, .home = cluster->home};
    memcpy(store->name, name.data, name.size);
    (void)snprintf(store->profile, sizeof store->profile, "%s", profile->name);
    name_id(store);
    profile->fill(&store->policy, &store->kv);
    *ret = store;
    return PS_OK;
}

void ps_cluster_link(const struct ps_cluster *cluster, const struct ps_store *store, uint16_t pop,
                     struct ps_link *link)
{
    PS_ASSERT(pop < cluster->pop_count);
    PS_ASSERT(store->home < cluster->pop_count);
    const struct ps_pop *here = cluster->pops[pop];
    link->rtt_ns = ps_pop_round_trip(here, cluster->pops[store->home], cluster->route_factor);
    link->tier_rtt_ns = link->rtt_ns;
    for (size_t i = 0; i < cluster->pop_count; i++) {
        if (strcmp(cluster->pops[i]->region, here->region) == 0) {
            link->tier_rtt_ns = ps_pop_round_trip(here, cluster->pops[i], cluster->route_factor);
            return;
        }
    }
}

struct ps_replica ps_cluster_replica(const struct ps_cluster *cluster, const struct ps_store *store,
                                     uint16_t pop, const struct ps_link *link)
{
    const struct ps_pop *here = cluster->pops[pop];
    return (struct ps_replica){.policy = &store->policy,
                               .link = link,
                               .seed = cluster->seed,
                               .delay_stream = ps_stream_of("delay", store->name, here->code),
                               .tier_stream = ps_stream_of("tier", store->name, here->region)};
}

ps_time_ns ps_cluster_answer_at(const struct ps_cluster *cluster, ps_time_ns from_ns,
                                ps_time_ns end_ns)
{
    switch (cluster->latency) {
    case PS_LATENCY_PROFILE:
        return end_ns;
    case PS_LATENCY_NONE:
        return from_ns;
    case PS_LATENCY_SCALE:
        return ps_time_add(from_ns, (ps_dur_ns)((ps_u128)ps_time_sub(end_ns, from_ns) *
                                                cluster->latency_scale_milli / MILLI));
    }
    PS_NOT_REACHED();
}
