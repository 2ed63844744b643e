/* Reports: the measures of one run as JSON (DESIGN section 9) and as tables for a terminal.
 *
 * Everything here makes text in buffers; the program prints it. The JSON of a virtual run is a pure
 * function of the scenario and the seed: its wall_seconds is 0. Times are decimal seconds made from
 * whole nanoseconds, ratios have six digits made from whole counts, so no figure depends on a
 * float's printing. */
#ifndef PS_SIM_REPORT_REPORT_H
#define PS_SIM_REPORT_REPORT_H

#include "sim/measure/measure.h"
#include "sim/scenario/scenario.h"

/** One expectation, judged. */
struct ps_report_expect {
    const struct ps_expectation *expectation; /* borrowed */
    double value;                             /* durations in seconds */
    bool holds;
};

/** What a run gave. Zeroed = empty; the caller fills it; all pointers are borrowed but `expects`.
 */
struct ps_report {
    const char *scenario; /* its name */
    const struct ps_cluster *cluster;
    const struct ps_measures *measures;
    bool live;
    ps_dur_ns cluster_ns;             /* how long the run lasted, in cluster time */
    ps_dur_ns wall_ns;                /* and on the wall; only shown for a live run */
    char history_sha256[65];          /* empty: no history was kept */
    struct ps_report_expect *expects; /* owned; by ps_report_judge */
    size_t expect_count;
};

void ps_report_fini(struct ps_report *report);

/** Judge the expectations against report->measures. Errors: PS_NOT_FOUND: one names no measure; the
 * text begins with its line and column. */
PS_MUST_CHECK enum ps_status ps_report_judge(struct ps_report *report,
                                             const struct ps_expectation *expectations,
                                             size_t count, struct ps_error *err);
/** Do all hold? */
bool ps_report_holds(const struct ps_report *report);

/** Append the report as JSON, one line. */
void ps_report_json(const struct ps_report *report, struct ps_buf *ret);

/** How text is to look: a terminal gets colour and block characters, a pipe gets plain lines. */
struct ps_report_style {
    bool terminal;
};

/** Append the report as tables. */
void ps_report_tables(const struct ps_report *report, struct ps_report_style style,
                      struct ps_buf *ret);

/** Append one table that sets two runs of the same cluster beside each other (virtual and live). */
void ps_report_compare(const struct ps_report *left, const struct ps_report *right,
                       struct ps_buf *ret);

/** What the operations of a KV store would cost, in billionths of a US dollar, beyond what a plan
 * includes. */
struct ps_kv_cost {
    uint64_t reads_nano_usd;
    uint64_t writes_nano_usd; /* puts and deletes */
    uint64_t lists_nano_usd;
};
struct ps_kv_cost ps_report_kv_cost(const struct ps_store_measures *store);

/** The same of a D1 database. */
struct ps_d1_cost {
    uint64_t rows_read_nano_usd;
    uint64_t rows_written_nano_usd;
};
struct ps_d1_cost ps_report_d1_cost(const struct ps_store_measures *store);

/** The same of a bucket, of Standard storage. A delete, and what a public URL's caches answer
 * themselves, is free. */
struct ps_r2_cost {
    uint64_t class_a_nano_usd; /* puts, also those whose condition does not hold, and lists */
    uint64_t class_b_nano_usd; /* gets, heads, and what public caches ask for */
};
struct ps_r2_cost ps_report_r2_cost(const struct ps_store_measures *store,
                                    const struct ps_store_measures *url);
/** The month and places the prices were read. */
const char *ps_report_prices(void);

/** Append whole nanoseconds as decimal seconds without trailing zeros: "0.25". */
void ps_report_seconds(struct ps_buf *buf, uint64_t ns);
/** Append part / whole with six digits, rounded: "0.333333"; "0" when whole is 0. */
void ps_report_ratio(struct ps_buf *buf, uint64_t part, uint64_t whole);

#endif
