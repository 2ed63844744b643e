#include "replication/base/assert.h"
#include "sim/report/report.h"

static const struct {
    const char *name;
    double quantile;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

/* The members of a distribution, without braces: those of an empty one are 0. */
static void append_figures(struct ps_buf *buf, const struct ps_histogram *histogram)
{
    uint64_t count = histogram->count;
    ps_buf_append_text(buf, "\"count\":");
    ps_buf_append_u64(buf, count);
    ps_buf_append_text(buf, ",\"min\":");
    ps_report_seconds(buf, ps_histogram_quantile(histogram, 0));
    ps_buf_append_text(buf, ",\"mean\":");
    ps_report_seconds(buf, count == 0 ? 0 : (uint64_t)(histogram->sum / count));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        ps_buf_printf(buf, ",\"%s\":", quantiles[i].name);
        ps_report_seconds(buf, ps_histogram_quantile(histogram, quantiles[i].quantile));
    }
    ps_buf_append_text(buf, ",\"max\":");
    ps_report_seconds(buf, ps_histogram_quantile(histogram, 1));
}

static void append_visibility(struct ps_buf *buf, const struct ps_report *report,
                              const struct ps_store_measures *store)
{
    ps_buf_append_text(buf, "\"visibility\":{");
    append_figures(buf, store->visibility);
    ps_buf_append_text(buf, ",\"never\":");
    ps_buf_append_u64(buf, store->never_visible);
    ps_buf_append_text(buf, ",\"by_pop\":{");
    for (size_t i = 0; i < report->cluster->pop_count; i++) {
        ps_buf_printf(buf, "%s\"%s\":{", i == 0 ? "" : ",", report->cluster->pops[i]->code);
        append_figures(buf, store->visibility_by_pop[i]);
        ps_buf_append_char(buf, '}');
    }
    ps_buf_append_text(buf, "}}");
}

static void append_behind(struct ps_buf *buf, const struct ps_store_measures *store)
{
    size_t used = PS_BEHIND_MAX + 1;
    while (used > 0 && store->behind[used - 1] == 0) {
        used--;
    }
    ps_buf_append_text(buf, "\"behind\":{\"max\":");
    ps_buf_append_u64(buf, store->behind_max);
    ps_buf_append_text(buf, ",\"histogram\":[");
    for (size_t i = 0; i < used; i++) {
        ps_buf_append_text(buf, i == 0 ? "" : ",");
        ps_buf_append_u64(buf, store->behind[i]);
    }
    ps_buf_append_text(buf, "]}");
}

/* Steps without reads are left out; the last step has no end (null). */
static void append_curve(struct ps_buf *buf, const struct ps_store_measures *store)
{
    ps_buf_append_text(buf, "\"curve\":[");
    bool first = true;
    for (size_t i = 0; i < PS_CURVE_POINTS; i++) {
        if (store->curve[i].reads == 0) {
            continue;
        }
        ps_buf_append_text(buf, first ? "[" : ",[");
        first = false;
        if (store->curve[i].until_ns == PS_NEVER) {
            ps_buf_append_text(buf, "null");
        } else {
            ps_report_seconds(buf, store->curve[i].until_ns);
        }
        ps_buf_append_char(buf, ',');
        ps_report_ratio(buf, store->curve[i].fresh, store->curve[i].reads);
        ps_buf_append_char(buf, ']');
    }
    ps_buf_append_char(buf, ']');
}

static void append_violations(struct ps_buf *buf, const struct ps_store_measures *store)
{
    if (store->without_sessions) {
        ps_buf_append_text(buf, "\"violations\":null");
        return;
    }
    ps_buf_append_text(buf, "\"violations\":{");
    for (size_t i = 0; i < PS_VIOLATION_KINDS; i++) {
        const struct ps_violations *it = &store->violations[i];
        ps_buf_printf(buf, "%s\"%s\":{\"count\":", i == 0 ? "" : ",",
                      ps_violation_name((enum ps_violation)i));
        ps_buf_append_u64(buf, it->count);
        ps_buf_append_text(buf, ",\"witness\":");
        if (it->witness_count == 0) {
            ps_buf_append_text(buf, "null}");
            continue;
        }
        ps_buf_append_text(buf, "{\"operations\":[");
        for (size_t n = 0; n < it->witness_count; n++) {
            ps_buf_append_text(buf, n == 0 ? "" : ",");
            ps_buf_append_u64(buf, it->witness[n].id);
        }
        ps_buf_append_text(buf, "],\"text\":");
        ps_buf_append_json(buf, ps_slice_of(it->text));
        ps_buf_append_text(buf, "}}");
    }
    ps_buf_append_char(buf, '}');
}

static void append_store(struct ps_buf *buf, const struct ps_report *report, size_t index,
                         bool public)
{
    const struct ps_store *config = &report->cluster->stores[index];
    const struct ps_store_measures *store =
        public ? &report->measures->publics[index] : &report->measures->stores[index];
    ps_buf_printf(buf, "\"%s%s\"", config->name, public ? ".public" : "");
    ps_buf_printf(buf, ":{\"type\":\"%s\",\"profile\":", ps_store_type_name(config->type));
    ps_buf_append_json(buf, ps_slice_of(config->profile));
    ps_buf_printf(buf, ",\"home\":\"%s\",\"writes\":", report->cluster->pops[config->home]->code);
    ps_buf_append_u64(buf, store->writes);
    ps_buf_append_text(buf, ",\"reads\":");
    ps_buf_append_u64(buf, store->reads);
    ps_buf_append_text(buf, ",\"lists\":");
    ps_buf_append_u64(buf, store->lists);
    ps_buf_append_text(buf, ",\"errors\":");
    ps_buf_append_u64(buf, store->errors);
    if (public) {
        ps_buf_append_text(buf, ",\"purges\":");
        ps_buf_append_u64(buf, store->purges);
    }
    if (config->type == PS_STORE_D1) {
        ps_buf_append_text(buf, ",\"rows_read\":");
        ps_buf_append_u64(buf, store->rows_read);
        ps_buf_append_text(buf, ",\"rows_written\":");
        ps_buf_append_u64(buf, store->rows_written);
    }
    ps_buf_append_char(buf, ',');
    append_visibility(buf, report, store);
    ps_buf_append_text(buf, ",\"reads_age\":{");
    append_figures(buf, store->age);
    ps_buf_append_text(buf, "},\"stale_reads\":");
    ps_buf_append_u64(buf, store->stale_reads);
    ps_buf_append_text(buf, ",\"stale_ratio\":");
    ps_report_ratio(buf, store->stale_reads, store->reads);
    ps_buf_append_char(buf, ',');
    append_behind(buf, store);
    ps_buf_append_char(buf, ',');
    append_curve(buf, store);
    ps_buf_append_char(buf, ',');
    append_violations(buf, store);
    ps_buf_append_char(buf, '}');
}

static uint64_t append_kv_cost(struct ps_buf *buf, const struct ps_store_measures *store)
{
    struct ps_kv_cost cost = ps_report_kv_cost(store);
    ps_buf_append_text(buf, ":{\"reads_usd\":");
    ps_report_seconds(buf, cost.reads_nano_usd);
    ps_buf_append_text(buf, ",\"writes_usd\":");
    ps_report_seconds(buf, cost.writes_nano_usd);
    ps_buf_append_text(buf, ",\"lists_usd\":");
    ps_report_seconds(buf, cost.lists_nano_usd);
    ps_buf_append_char(buf, '}');
    return cost.reads_nano_usd + cost.writes_nano_usd + cost.lists_nano_usd;
}

static uint64_t append_d1_cost(struct ps_buf *buf, const struct ps_store_measures *store)
{
    struct ps_d1_cost cost = ps_report_d1_cost(store);
    ps_buf_append_text(buf, ":{\"rows_read_usd\":");
    ps_report_seconds(buf, cost.rows_read_nano_usd);
    ps_buf_append_text(buf, ",\"rows_written_usd\":");
    ps_report_seconds(buf, cost.rows_written_nano_usd);
    ps_buf_append_char(buf, '}');
    return cost.rows_read_nano_usd + cost.rows_written_nano_usd;
}

static uint64_t append_r2_cost(struct ps_buf *buf, const struct ps_store_measures *store,
                               const struct ps_store_measures *url)
{
    struct ps_r2_cost cost = ps_report_r2_cost(store, url);
    ps_buf_append_text(buf, ":{\"class_a_usd\":");
    ps_report_seconds(buf, cost.class_a_nano_usd);
    ps_buf_append_text(buf, ",\"class_b_usd\":");
    ps_report_seconds(buf, cost.class_b_nano_usd);
    ps_buf_append_char(buf, '}');
    return cost.class_a_nano_usd + cost.class_b_nano_usd;
}

static uint64_t append_store_cost(struct ps_buf *buf, const struct ps_measures *measures, size_t i,
                                  enum ps_store_type type)
{
    switch (type) {
    case PS_STORE_KV:
        return append_kv_cost(buf, &measures->stores[i]);
    case PS_STORE_D1:
        return append_d1_cost(buf, &measures->stores[i]);
    case PS_STORE_R2:
        return append_r2_cost(buf, &measures->stores[i], &measures->publics[i]);
    }
    PS_NOT_REACHED();
}

static void append_cost(struct ps_buf *buf, const struct ps_report *report)
{
    uint64_t total = 0;
    ps_buf_append_text(buf, "\"cost\":{\"prices\":");
    ps_buf_append_json(buf, ps_slice_of(ps_report_prices()));
    ps_buf_append_text(buf, ",\"stores\":{");
    for (size_t i = 0; i < report->cluster->store_count; i++) {
        const struct ps_store *config = &report->cluster->stores[i];
        ps_buf_append_text(buf, i == 0 ? "" : ",");
        ps_buf_append_json(buf, ps_slice_of(config->name));
        total += append_store_cost(buf, report->measures, i, config->type);
    }
    ps_buf_append_text(buf, "},\"total_usd\":");
    ps_report_seconds(buf, total);
    ps_buf_append_char(buf, '}');
}

static void append_expect(struct ps_buf *buf, const struct ps_report *report)
{
    ps_buf_append_text(buf, "\"expect\":[");
    for (size_t i = 0; i < report->expect_count; i++) {
        const struct ps_report_expect *it = &report->expects[i];
        ps_buf_append_text(buf, i == 0 ? "{\"expr\":" : ",{\"expr\":");
        ps_buf_append_json(buf, ps_slice_of(it->expectation->text));
        ps_buf_printf(buf, ",\"value\":%.12g,\"holds\":%s}", it->value,
                      it->holds ? "true" : "false");
    }
    ps_buf_append_char(buf, ']');
}

void ps_report_json(const struct ps_report *report, struct ps_buf *ret)
{
    ps_buf_append_text(ret, "{\"popsim\":{\"version\":\"" PS_VERSION "\"},\"scenario\":");
    ps_buf_append_json(ret, ps_slice_of(report->scenario));
    ps_buf_append_text(ret, ",\"seed\":");
    ps_buf_append_u64(ret, report->cluster->seed);
    ps_buf_printf(ret, ",\"mode\":\"%s\",\"cluster_seconds\":", report->live ? "live" : "virtual");
    ps_report_seconds(ret, report->cluster_ns);
    ps_buf_append_text(ret, ",\"wall_seconds\":");
    ps_report_seconds(ret, report->live ? report->wall_ns : 0);
    ps_buf_append_text(ret, ",\"operations\":");
    ps_buf_append_u64(ret, report->measures->operations);
    ps_buf_append_text(ret, ",\"history_sha256\":");
    if (report->history_sha256[0] == 0) {
        ps_buf_append_text(ret, "null");
    } else {
        ps_buf_append_json(ret, ps_slice_of(report->history_sha256));
    }
    ps_buf_append_text(ret, ",\"stores\":{");
    for (size_t i = 0; i < report->cluster->store_count; i++) {
        ps_buf_append_text(ret, i == 0 ? "" : ",");
        append_store(ret, report, i, false);
        if (ps_measures_public(report->measures, i)) {
            ps_buf_append_char(ret, ',');
            append_store(ret, report, i, true);
        }
    }
    ps_buf_append_text(ret, "},\"fidelity\":{\"late_records\":");
    ps_buf_append_u64(ret, report->measures->late_records);
    ps_buf_append_text(ret, ",\"late_max\":");
    ps_report_seconds(ret, report->measures->late_max_ns);
    ps_buf_append_text(ret, "},");
    append_cost(ret, report);
    ps_buf_append_char(ret, ',');
    append_expect(ret, report);
    ps_buf_append_text(ret, "}\n");
}
