#include "sim/report/report.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

enum { RATIO_ONE = 1000000, NANO_DIGITS = 9, RATIO_DIGITS = 6 };

void ps_report_fini(struct ps_report *report)
{
    free(report->expects);
    report->expects = NULL;
    report->expect_count = 0;
}

static bool compare(double value, enum ps_comparison comparison, double bound)
{
    switch (comparison) {
    case PS_LESS:
        return value < bound;
    case PS_LESS_EQUAL:
        return value <= bound;
    case PS_EQUAL:
        return value <= bound && value >= bound;
    case PS_NOT_EQUAL:
        return value < bound || value > bound;
    case PS_GREATER_EQUAL:
        return value >= bound;
    case PS_GREATER:
        return value > bound;
    }
    PS_NOT_REACHED();
}

enum ps_status ps_report_judge(struct ps_report *report, const struct ps_expectation *expectations,
                               size_t count, struct ps_error *err)
{
    struct ps_report_expect *expects = PS_NEW_ARRAY(struct ps_report_expect, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct ps_expectation *it = &expectations[i];
        expects[i].expectation = it;
        enum ps_status status = ps_measures_value(report->measures, report->cluster,
                                                  ps_slice_of(it->name), &expects[i].value, err);
        if (status != PS_OK) {
            free(expects);
            ps_error_wrap(err, "%d:%d", it->line, it->column);
            return status;
        }
        expects[i].holds = compare(expects[i].value, it->comparison, it->bound);
    }
    free(report->expects);
    report->expects = expects;
    report->expect_count = count;
    return PS_OK;
}

bool ps_report_holds(const struct ps_report *report)
{
    for (size_t i = 0; i < report->expect_count; i++) {
        if (!report->expects[i].holds) {
            return false;
        }
    }
    return true;
}

/* `value` units of 10^-digits as a decimal without trailing zeros. */
static void append_decimal(struct ps_buf *buf, uint64_t value, int digits)
{
    char text[NANO_DIGITS + 1];
    uint64_t one = 1;
    for (int i = 0; i < digits; i++) {
        one *= 10;
    }
    uint64_t fraction = value % one;
    ps_buf_append_u64(buf, value / one);
    if (fraction == 0) {
        return;
    }
    int used = digits;
    for (int i = digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
    while (text[used - 1] == '0') {
        used--;
    }
    ps_buf_append_char(buf, '.');
    ps_buf_append(buf, text, (size_t)used);
}

void ps_report_seconds(struct ps_buf *buf, uint64_t ns)
{
    append_decimal(buf, ns, NANO_DIGITS);
}

void ps_report_ratio(struct ps_buf *buf, uint64_t part, uint64_t whole)
{
    if (whole == 0) {
        ps_buf_append_char(buf, '0');
        return;
    }
    ps_u128 scaled = ((ps_u128)part * RATIO_ONE + whole / 2) / whole;
    append_decimal(buf, (uint64_t)scaled, RATIO_DIGITS);
}
