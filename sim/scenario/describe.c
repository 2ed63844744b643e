#include "sim/scenario/read.h"

#include <inttypes.h>
#include <string.h>

enum { POPS_SHOWN_MAX = 12 };

static void add_duration(struct ps_buf *buf, const char *before, ps_dur_ns duration_ns)
{
    ps_buf_append_text(buf, before);
    if (duration_ns == 0) {
        ps_buf_append_text(buf, "0s");
    } else {
        ps_dur_format(buf, duration_ns);
    }
}

static void add_pops(struct ps_buf *buf, const struct ps_cluster *cluster, const uint16_t *pops,
                     size_t count)
{
    for (size_t i = 0; i < count && i < POPS_SHOWN_MAX; i++) {
        ps_buf_append_text(buf, i > 0 ? ", " : "");
        ps_buf_append_text(buf, cluster->pops[pops != NULL ? pops[i] : i]->code);
    }
    if (count > POPS_SHOWN_MAX) {
        ps_buf_printf(buf, " and %zu more", count - POPS_SHOWN_MAX);
    }
}

static void describe_policy(struct ps_buf *buf, const struct ps_policy *policy)
{
    switch (policy->kind) {
    case PS_POLICY_STRONG:
        ps_buf_append_text(buf, "strong: each read goes home");
        break;
    case PS_POLICY_PUSH:
        ps_buf_printf(buf, "push, %s, delay ",
                      policy->push.order == PS_ORDER_FIFO ? "in order" : "each record on its own");
        ps_delay_format(buf, &policy->push.delay);
        break;
    case PS_POLICY_CACHE:
        add_duration(buf, "cache, ttl ", policy->cache.ttl_ns);
        add_duration(buf, " (at least ", policy->cache.ttl_min_ns);
        ps_buf_append_text(buf, ")");
        ps_buf_append_text(buf, policy->cache.own_writes ? ", own writes at once" : "");
        ps_buf_append_text(buf, policy->cache.negative ? ", absence too" : "");
        if (policy->cache.ahead_milli > 0) {
            ps_buf_printf(buf, ", refreshed after %g of its life",
                          policy->cache.ahead_milli / 1000.0);
        }
        if (policy->cache.tier != PS_TIER_NONE) {
            add_duration(buf,
                         policy->cache.tier == PS_TIER_TTL ? ", regional tier with ttl "
                                                           : ", regional tier revalidated after ",
                         policy->cache.tier_ns);
        }
        break;
    }
}

static void describe_text(struct ps_buf *buf, const struct ps_text *text)
{
    struct ps_buf plain = {0};
    ps_text_format(&plain, text);
    ps_yaml_quote(buf, ps_buf_slice(&plain));
    ps_buf_fini(&plain);
}

static void describe_statement(struct ps_buf *buf, const struct ps_statement *statement)
{
    describe_text(buf, &statement->sql);
    for (size_t i = 0; i < statement->param_count; i++) {
        const struct ps_param *param = &statement->params[i];
        ps_buf_append_text(buf, i == 0 ? " with " : ", ");
        if (param->kind == PS_PARAM_NULL) {
            ps_buf_append_text(buf, "null");
        } else if (param->kind == PS_PARAM_NUMBER) {
            ps_text_format(buf, &param->text);
        } else {
            describe_text(buf, &param->text);
        }
    }
}

static void describe_request(struct ps_buf *buf, const struct ps_action *action)
{
    for (size_t i = 0; i < action->statement_count; i++) {
        ps_buf_append_text(buf, i == 0 ? "" : "; ");
        describe_statement(buf, &action->statements[i]);
    }
    if (action->session != PS_D1_SESSION_NONE) {
        ps_buf_append_text(buf, ", withSession ");
        ps_buf_append_text(buf, ps_d1_session_name(action->session));
    }
}

static void describe_action(struct ps_buf *buf, const struct ps_cluster *cluster,
                            const struct ps_action *action)
{
    ps_buf_printf(buf, "%s %s ", ps_verb_name(action->verb), cluster->stores[action->store].name);
    if (ps_verb_is_d1(action->verb)) {
        describe_request(buf, action);
        return;
    }
    if (action->verb == PS_VERB_R2_PURGE && action->key.count == 0) {
        ps_buf_append_text(buf, "everything");
        return;
    }
    ps_buf_append_char(buf, '"');
    ps_text_format(buf, &action->key);
    ps_buf_append_char(buf, '"');
    for (size_t i = 0; i < action->key_count; i++) {
        ps_buf_append_text(buf, ", ");
        describe_text(buf, &action->keys[i]);
    }
    if (action->size.count > 0) {
        ps_buf_append_text(buf, " of ");
        ps_text_format(buf, &action->size);
        ps_buf_append_text(buf, " bytes");
    } else if (action->verb == PS_VERB_KV_PUT || action->verb == PS_VERB_R2_PUT) {
        struct ps_buf value = {0};
        ps_text_format(&value, &action->value);
        ps_buf_append_text(buf, " = ");
        ps_yaml_quote(buf, ps_buf_slice(&value));
        ps_buf_fini(&value);
    }
    if (action->cache_ttl_ns > 0) {
        add_duration(buf, ", cacheTtl ", action->cache_ttl_ns);
    }
    if (action->expiration_ttl_ns > 0) {
        add_duration(buf, ", expirationTtl ", action->expiration_ttl_ns);
    }
    if (action->expiration_s > 0) {
        ps_buf_printf(buf, ", expiration %" PRId64, action->expiration_s);
    }
    if (action->options.count > 0) {
        ps_text_format(buf, &action->options);
    } else if (action->limit > 0) {
        ps_buf_printf(buf, ", limit %" PRIu32, action->limit);
    }
}

static void describe_timing(struct ps_buf *buf, const struct ps_workload *workload)
{
    switch (workload->timing) {
    case PS_TIMING_AT:
        add_duration(buf, "at ", workload->at_ns);
        return;
    case PS_TIMING_TRACE:
        ps_buf_printf(buf, "a trace of %zu operations", workload->trace_count);
        return;
    case PS_TIMING_EVERY:
        add_duration(buf, "every ", workload->every_ns);
        break;
    case PS_TIMING_RATE:
        ps_buf_printf(buf, "%g/s at random (Poisson)", workload->rate_hz);
        break;
    case PS_TIMING_CLIENTS:
        ps_buf_printf(buf, "%" PRIu32 " clients", workload->clients);
        add_duration(buf, " that think ", workload->think_ns);
        break;
    }
    add_duration(buf, ", from ", workload->from_ns);
    add_duration(buf, " until ", workload->until_ns);
    if (workload->count > 0) {
        ps_buf_printf(buf, ", at most %" PRIu64 " each", workload->count);
    }
}

static void describe_workload(struct ps_buf *buf, const struct ps_cluster *cluster,
                              const struct ps_workload *workload)
{
    ps_buf_printf(buf, "  %s: ", workload->name);
    describe_timing(buf, workload);
    if (workload->timing != PS_TIMING_TRACE) {
        ps_buf_append_text(buf, workload->where == PS_WHERE_EACH  ? ", at each PoP"
                                : workload->where == PS_WHERE_ANY ? ", at any PoP"
                                                                  : ", at ");
        if (workload->where == PS_WHERE_LIST) {
            add_pops(buf, cluster, workload->pops, workload->pop_count);
        }
    }
    ps_buf_append_text(buf, "\n");
    for (size_t i = 0; i < workload->action_count; i++) {
        ps_buf_append_text(buf, "    ");
        describe_action(buf, cluster, &workload->actions[i]);
        if (workload->action_count > 1) {
            ps_buf_printf(buf, " (weight %g)", workload->actions[i].weight);
        }
        ps_buf_append_text(buf, "\n");
    }
}

static void describe_fault(struct ps_buf *buf, const struct ps_cluster *cluster,
                           const struct ps_fault *fault)
{
    add_duration(buf, "  at ", fault->when.from_ns);
    if (fault->when.until_ns == PS_NEVER) {
        ps_buf_append_text(buf, " to the end");
    } else {
        add_duration(buf, " for ", fault->when.until_ns - fault->when.from_ns);
    }
    switch (fault->kind) {
    case PS_FAULT_PARTITION:
        ps_buf_append_text(buf, ": no link from home to ");
        break;
    case PS_FAULT_CRASH:
        ps_buf_append_text(buf, ": down: ");
        break;
    case PS_FAULT_SLOW:
        ps_buf_printf(buf, ": %g times slower link from home to ", fault->factor_milli / 1000.0);
        break;
    }
    add_pops(buf, cluster, fault->pops, fault->pop_count);
    ps_buf_append_text(buf, "\n");
}

void ps_scenario_describe(struct ps_buf *buf, const struct ps_scenario *scenario)
{
    const struct ps_cluster *cluster = &scenario->cluster;
    ps_buf_printf(buf, "%s\n", scenario->name);
    add_duration(buf, "runs ", scenario->duration_ns);
    ps_buf_printf(buf, " with seed %" PRIu64 "\n", scenario->seed);
    ps_buf_printf(buf, "cluster: %zu PoPs, home %s: ", cluster->pop_count,
                  cluster->pops[cluster->home]->code);
    add_pops(buf, cluster, NULL, cluster->pop_count);
    ps_buf_append_text(buf, "\nstores:\n");
    for (size_t i = 0; i < cluster->store_count; i++) {
        const struct ps_store *store = &cluster->stores[i];
        ps_buf_printf(buf, "  %s: %s, profile %s, home %s; ", store->name,
                      ps_store_type_name(store->type), store->profile,
                      cluster->pops[store->home]->code);
        describe_policy(buf, &store->policy);
        ps_buf_append_text(buf, store->cache_everything ? "; public caches keep everything" : "");
        if (scenario->schemas != NULL && scenario->schemas[i] != NULL) {
            ps_buf_printf(buf, "; schema of %zu bytes", strlen(scenario->schemas[i]));
        }
        ps_buf_append_text(buf, "\n");
    }
    ps_buf_append_text(buf, "workload:\n");
    for (size_t i = 0; i < scenario->workload_count; i++) {
        describe_workload(buf, cluster, &scenario->workloads[i]);
    }
    if (scenario->fault_count > 0) {
        ps_buf_append_text(buf, "faults:\n");
    }
    for (size_t i = 0; i < scenario->fault_count; i++) {
        describe_fault(buf, cluster, &scenario->faults[i]);
    }
    if (scenario->expectation_count > 0) {
        ps_buf_append_text(buf, "expect:\n");
    }
    for (size_t i = 0; i < scenario->expectation_count; i++) {
        ps_buf_printf(buf, "  %s\n", scenario->expectations[i].text);
    }
}
