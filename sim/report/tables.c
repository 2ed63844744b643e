#include "replication/base/memory.h"
#include "sim/report/report.h"

#include <libsmartcols/libsmartcols.h>

#include <string.h>

enum {
    POPS_SHOWN_MAX = 24, /* of more, those with the longest delays */
    BAR_WIDTH = 40
};

#define GREEN "\033[32m"
#define RED "\033[31m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void append_styled(struct ps_buf *ret, struct ps_report_style style, const char *colour,
                          const char *text)
{
    ps_buf_append_text(ret, style.terminal ? colour : "");
    ps_buf_append_text(ret, text);
    ps_buf_append_text(ret, style.terminal ? PLAIN : "");
}

/* ---- tables ---- */

struct table {
    struct libscols_table *scols;
    struct libscols_line *line;
    size_t at; /* the line's next cell */
};

static struct table table_open(const char *const *names, size_t count)
{
    struct table table = {.scols = scols_new_table()};
    for (size_t i = 0; table.scols != NULL && i < count; i++) {
        scols_table_new_column(table.scols, names[i], 0, i == 0 ? 0 : SCOLS_FL_RIGHT);
    }
    /* As wide as it has to be, in a pipe as in a terminal: a figure is never cut. */
    scols_table_set_termforce(table.scols, SCOLS_TERMFORCE_NEVER);
    return table;
}

static void table_line(struct table *table)
{
    table->line = scols_table_new_line(table->scols, NULL);
    table->at = 0;
}

static void table_cell(struct table *table, struct ps_buf *text)
{
    if (table->line != NULL) {
        scols_line_set_data(table->line, table->at++, ps_buf_text(text));
    }
    ps_buf_fini(text);
}

static void cell_text(struct table *table, const char *text)
{
    struct ps_buf buf = {0};
    ps_buf_append_text(&buf, text);
    table_cell(table, &buf);
}

static void cell_number(struct table *table, uint64_t number)
{
    struct ps_buf buf = {0};
    ps_buf_append_u64(&buf, number);
    table_cell(table, &buf);
}

static void cell_duration(struct table *table, ps_dur_ns duration_ns)
{
    struct ps_buf buf = {0};
    ps_dur_format(&buf, duration_ns);
    table_cell(table, &buf);
}

static void cell_quantile(struct table *table, const struct ps_histogram *histogram,
                          double quantile)
{
    if (histogram->count == 0) {
        cell_text(table, "-");
    } else {
        cell_duration(table, ps_histogram_quantile(histogram, quantile));
    }
}

static void cell_ratio(struct table *table, uint64_t part, uint64_t whole)
{
    struct ps_buf buf = {0};
    ps_report_ratio(&buf, part, whole);
    table_cell(table, &buf);
}

/* Append the table's lines, each indented, without blanks at their ends. */
static void table_close(struct table *table, struct ps_buf *ret)
{
    char *text = NULL;
    if (table->scols != NULL && scols_print_table_to_string(table->scols, &text) == 0 &&
        text != NULL) {
        for (const char *at = text; *at != 0;) {
            size_t size = strcspn(at, "\n");
            size_t used = size;
            while (used > 0 && at[used - 1] == ' ') {
                used--;
            }
            ps_buf_append_text(ret, "  ");
            ps_buf_append(ret, at, used);
            ps_buf_append_char(ret, '\n');
            at += size + (at[size] == '\n');
        }
    }
    free(text);
    scols_unref_table(table->scols);
}

/* ---- one store ---- */

static void visibility_line(struct table *table, const char *name,
                            const struct ps_histogram *histogram)
{
    table_line(table);
    cell_text(table, name);
    cell_number(table, histogram->count);
    cell_quantile(table, histogram, 0);
    cell_quantile(table, histogram, 0.5);
    cell_quantile(table, histogram, 0.9);
    cell_quantile(table, histogram, 0.99);
    cell_quantile(table, histogram, 1);
}

static int compare_slowest(const void *left, const void *right, void *context)
{
    const struct ps_store_measures *store = context;
    uint16_t a = *(const uint16_t *)left;
    uint16_t b = *(const uint16_t *)right;
    uint64_t max_a = ps_histogram_quantile(store->visibility_by_pop[a], 1);
    uint64_t max_b = ps_histogram_quantile(store->visibility_by_pop[b], 1);
    if (max_a != max_b) {
        return max_a > max_b ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

static void append_visibility(struct ps_buf *ret, const struct ps_report *report,
                              struct ps_store_measures *store)
{
    static const char *const names[] = {"VISIBLE AFTER", "WRITES", "MIN", "P50",
                                        "P90",           "P99",    "MAX"};
    size_t count = report->cluster->pop_count;
    uint16_t *order = PS_NEW_ARRAY(uint16_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint16_t)i;
    }
    size_t shown = count;
    if (count > POPS_SHOWN_MAX) {
        qsort_r(order, count, sizeof *order, compare_slowest, store);
        shown = POPS_SHOWN_MAX;
    }
    struct table table = table_open(names, sizeof names / sizeof *names);
    for (size_t i = 0; i < shown; i++) {
        visibility_line(&table, report->cluster->pops[order[i]]->code,
                        store->visibility_by_pop[order[i]]);
    }
    visibility_line(&table, "all PoPs", store->visibility);
    table_close(&table, ret);
    if (shown < count) {
        ps_buf_printf(ret, "  The %zu slowest of %zu PoPs are shown.\n", shown, count);
    }
    if (store->never_visible > 0) {
        ps_buf_printf(ret, "  %llu times a write is never visible at a PoP: its link stays cut.\n",
                      (unsigned long long)store->never_visible);
    }
    free(order);
}

static void append_reads(struct ps_buf *ret, const struct ps_store_measures *store)
{
    static const char *const names[] = {"READS",   "STALE",   "RATIO",     "AGE P50",
                                        "AGE P99", "AGE MAX", "BEHIND MAX"};
    struct table table = table_open(names, sizeof names / sizeof *names);
    table_line(&table);
    cell_number(&table, store->reads);
    cell_number(&table, store->stale_reads);
    cell_ratio(&table, store->stale_reads, store->reads);
    cell_quantile(&table, store->age, 0.5);
    cell_quantile(&table, store->age, 0.99);
    cell_quantile(&table, store->age, 1);
    cell_number(&table, store->behind_max);
    table_close(&table, ret);
}

/* P(fresh) against the time since the key's newest write, as bars. */
static void append_curve(struct ps_buf *ret, struct ps_report_style style,
                         const struct ps_store_measures *store)
{
    bool any = false;
    for (size_t i = 0; i < PS_CURVE_POINTS; i++) {
        uint64_t reads = store->curve[i].reads;
        if (reads == 0) {
            continue;
        }
        if (!any) {
            ps_buf_append_text(ret, "\n  Fresh reads by time since the newest write\n");
            any = true;
        }
        struct ps_buf label = {0};
        if (store->curve[i].until_ns == PS_NEVER) {
            ps_buf_append_text(&label, "more");
        } else {
            ps_buf_append_text(&label, "to ");
            ps_dur_format(&label, store->curve[i].until_ns);
        }
        uint64_t fresh = store->curve[i].fresh;
        uint64_t filled = (uint64_t)((ps_u128)fresh * BAR_WIDTH / reads);
        ps_buf_printf(ret, "  %9s  ", ps_buf_text(&label));
        ps_buf_fini(&label);
        for (uint64_t n = 0; n < BAR_WIDTH; n++) {
            const char *full = style.terminal ? "\u2588" : "#";
            ps_buf_append_text(ret, n < filled ? full : style.terminal ? "\u2591" : ".");
        }
        uint64_t milli = (uint64_t)((ps_u128)fresh * 1000 / reads);
        ps_buf_printf(ret, " %3llu.%llu %% of %llu\n", (unsigned long long)(milli / 10),
                      (unsigned long long)(milli % 10), (unsigned long long)reads);
    }
}

static void append_violations(struct ps_buf *ret, struct ps_report_style style,
                              const struct ps_store_measures *store)
{
    if (store->without_sessions) {
        ps_buf_append_text(ret, "\n  Violations were not looked for: no history was kept\n");
        return;
    }
    ps_buf_append_text(ret, "\n  Violations\n");
    for (size_t i = 0; i < PS_VIOLATION_KINDS; i++) {
        const struct ps_violations *it = &store->violations[i];
        ps_buf_printf(ret, "  %-20s ", ps_violation_name((enum ps_violation)i));
        struct ps_buf count = {0};
        ps_buf_append_u64(&count, it->count);
        append_styled(ret, style, it->count == 0 ? GREEN : RED, ps_buf_text(&count));
        ps_buf_fini(&count);
        if (it->count > 0) {
            ps_buf_printf(ret, "  e.g. %s", it->text);
        }
        ps_buf_append_char(ret, '\n');
    }
}

static void append_store(struct ps_buf *ret, const struct ps_report *report,
                         struct ps_report_style style, size_t index, bool public)
{
    const struct ps_store *config = &report->cluster->stores[index];
    struct ps_store_measures *store =
        public ? &report->measures->publics[index] : &report->measures->stores[index];
    char name[PS_STORE_NAME_MAX + sizeof ".public"];
    (void)snprintf(name, sizeof name, "%s%s", config->name, public ? ".public" : "");
    ps_buf_append_char(ret, '\n');
    append_styled(ret, style, BOLD, name);
    ps_buf_printf(ret, " (%s, %s, home %s): %llu writes, %llu reads, ",
                  ps_store_type_name(config->type), config->profile,
                  report->cluster->pops[config->home]->code, (unsigned long long)store->writes,
                  (unsigned long long)store->reads);
    if (config->type == PS_STORE_D1) {
        ps_buf_printf(ret, "%llu rows read, %llu rows written, ",
                      (unsigned long long)store->rows_read,
                      (unsigned long long)store->rows_written);
    } else if (public) {
        ps_buf_printf(ret, "%llu purges, ", (unsigned long long)store->purges);
    } else {
        ps_buf_printf(ret, "%llu lists, ", (unsigned long long)store->lists);
    }
    ps_buf_printf(ret, "%llu errors\n\n", (unsigned long long)store->errors);
    append_visibility(ret, report, store);
    ps_buf_append_char(ret, '\n');
    append_reads(ret, store);
    append_curve(ret, style, store);
    append_violations(ret, style, store);
}

/* A late record delays the reads that need it; it never makes them wrong. */
static void append_fidelity(struct ps_buf *ret, const struct ps_measures *measures)
{
    if (measures->late_records == 0) {
        ps_buf_append_text(ret, "\nFidelity: no record came late.\n");
        return;
    }
    ps_buf_printf(ret,
                  "\nFidelity: %llu times a record came to a PoP after it was to be visible there, "
                  "the latest by ",
                  (unsigned long long)measures->late_records);
    ps_dur_format(ret, measures->late_max_ns);
    ps_buf_append_text(ret, "; reads waited for it.\n");
}

static void append_expects(struct ps_buf *ret, const struct ps_report *report,
                           struct ps_report_style style)
{
    if (report->expect_count == 0) {
        return;
    }
    ps_buf_append_text(ret, "\nExpectations\n");
    for (size_t i = 0; i < report->expect_count; i++) {
        const struct ps_report_expect *it = &report->expects[i];
        ps_buf_append_text(ret, "  ");
        append_styled(ret, style, it->holds ? GREEN : RED, it->holds ? "pass" : "FAIL");
        ps_buf_printf(ret, "  %-44s  is %.6g\n", it->expectation->text, it->value);
    }
}

void ps_report_tables(const struct ps_report *report, struct ps_report_style style,
                      struct ps_buf *ret)
{
    append_styled(ret, style, BOLD, report->scenario == NULL ? "" : report->scenario);
    ps_buf_printf(ret, "\n%s run, seed %llu, %zu PoPs, %llu operations in ",
                  report->live ? "Live" : "Virtual", (unsigned long long)report->cluster->seed,
                  report->cluster->pop_count, (unsigned long long)report->measures->operations);
    ps_dur_format(ret, report->cluster_ns);
    ps_buf_append_text(ret, " of cluster time");
    if (report->wall_ns > 0) {
        ps_buf_append_text(ret, ", ");
        ps_dur_format(ret, report->wall_ns);
        ps_buf_append_text(ret, " on the wall");
    }
    ps_buf_append_char(ret, '\n');
    for (size_t i = 0; i < report->cluster->store_count; i++) {
        append_store(ret, report, style, i, false);
        if (ps_measures_public(report->measures, i)) {
            append_store(ret, report, style, i, true);
        }
    }
    if (report->live) {
        append_fidelity(ret, report->measures);
    }
    append_expects(ret, report, style);
    if (report->history_sha256[0] != 0) {
        ps_buf_printf(ret, "\nHistory SHA-256 %s\n", report->history_sha256);
    }
}

/* ---- two runs ---- */

static void compare_quantile(struct table *table, const char *store, const char *name,
                             const struct ps_histogram *left, const struct ps_histogram *right,
                             double quantile)
{
    struct ps_buf label = {0};
    ps_buf_printf(&label, "%s.%s", store, name);
    table_line(table);
    table_cell(table, &label);
    cell_quantile(table, left, quantile);
    cell_quantile(table, right, quantile);
}

static void compare_number(struct table *table, const char *store, const char *name, uint64_t left,
                           uint64_t right)
{
    struct ps_buf label = {0};
    ps_buf_printf(&label, "%s.%s", store, name);
    table_line(table);
    table_cell(table, &label);
    cell_number(table, left);
    cell_number(table, right);
}

static void compare_store(struct table *table, const char *name,
                          const struct ps_store_measures *left,
                          const struct ps_store_measures *right)
{
    compare_number(table, name, "writes", left->writes, right->writes);
    compare_number(table, name, "reads", left->reads, right->reads);
    compare_number(table, name, "errors", left->errors, right->errors);
    compare_quantile(table, name, "visibility.p50", left->visibility, right->visibility, 0.5);
    compare_quantile(table, name, "visibility.p99", left->visibility, right->visibility, 0.99);
    compare_quantile(table, name, "visibility.max", left->visibility, right->visibility, 1);
    struct ps_buf label = {0};
    ps_buf_printf(&label, "%s.reads.stale_ratio", name);
    table_line(table);
    table_cell(table, &label);
    cell_ratio(table, left->stale_reads, left->reads);
    cell_ratio(table, right->stale_reads, right->reads);
    compare_quantile(table, name, "reads.age.p50", left->age, right->age, 0.5);
    compare_quantile(table, name, "reads.age.max", left->age, right->age, 1);
    for (size_t i = 0; i < PS_VIOLATION_KINDS; i++) {
        compare_number(table, name, ps_violation_name((enum ps_violation)i),
                       left->violations[i].count, right->violations[i].count);
    }
}

void ps_report_compare(const struct ps_report *left, const struct ps_report *right,
                       struct ps_buf *ret)
{
    const char *names[] = {"MEASURE", left->live ? "LIVE" : "VIRTUAL",
                           right->live ? "LIVE" : "VIRTUAL"};
    struct table table = table_open(names, sizeof names / sizeof *names);
    size_t count = left->cluster->store_count < right->cluster->store_count
                       ? left->cluster->store_count
                       : right->cluster->store_count;
    for (size_t i = 0; i < count; i++) {
        compare_store(&table, left->cluster->stores[i].name, &left->measures->stores[i],
                      &right->measures->stores[i]);
    }
    table_close(&table, ret);
}
