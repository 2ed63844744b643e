#include "replication/base/time.h"

#include "replication/base/assert.h"

enum { MILLI = 1000, FRACTION_DIGITS_MAX = 9 };

#define DURATION_MAX (100 * 366 * PS_DAY)

ps_time_ns ps_timeline_at(const struct ps_timeline *line, uint64_t monotonic_ns)
{
    PS_ASSERT(line->speed_milli > 0);
    if (monotonic_ns <= line->origin_ns) {
        return line->base_ns;
    }
    ps_u128 passed = (ps_u128)(monotonic_ns - line->origin_ns) * line->speed_milli / MILLI;
    return passed >= PS_NEVER ? PS_NEVER : ps_time_add(line->base_ns, (ps_dur_ns)passed);
}

uint64_t ps_timeline_when(const struct ps_timeline *line, ps_time_ns t)
{
    PS_ASSERT(line->speed_milli > 0);
    if (t == PS_NEVER) {
        return PS_NEVER;
    }
    if (t <= line->base_ns) {
        return line->origin_ns;
    }
    ps_u128 passed =
        ((ps_u128)(t - line->base_ns) * MILLI + line->speed_milli - 1) / line->speed_milli;
    return passed >= PS_NEVER ? PS_NEVER : ps_time_add(line->origin_ns, (uint64_t)passed);
}

static const struct {
    const char *name;
    ps_dur_ns ns;
} units[] = {{"ns", 1},        {"us", PS_US},  {"ms", PS_MS}, {"s", PS_SECOND},
             {"m", PS_MINUTE}, {"h", PS_HOUR}, {"d", PS_DAY}};

enum { UNIT_COUNT = sizeof units / sizeof units[0] };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One "12.5ms" at *at. Digits behind the point count down to a nanosecond. */
static enum ps_status parse_part(struct ps_slice text, size_t *at, ps_u128 *total)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    uint64_t scale = 1;
    size_t start = *at;
    while (*at < text.size && is_digit(text.data[*at])) {
        if (whole > DURATION_MAX / 10) {
            return PS_LIMIT;
        }
        whole = whole * 10 + (uint64_t)(text.data[(*at)++] - '0');
    }
    bool has_digits = *at > start;
    if (*at < text.size && text.data[*at] == '.') {
        size_t point = (*at)++;
        while (*at < text.size && is_digit(text.data[*at])) {
            if (*at - point > FRACTION_DIGITS_MAX) {
                return PS_INVALID;
            }
            fraction = fraction * 10 + (uint64_t)(text.data[(*at)++] - '0');
            scale *= 10;
        }
        has_digits = has_digits && scale > 1;
    }
    size_t unit_start = *at;
    while (*at < text.size && text.data[*at] >= 'a' && text.data[*at] <= 'z') {
        (*at)++;
    }
    struct ps_slice unit = {text.data + unit_start, *at - unit_start};
    for (size_t i = 0; i < UNIT_COUNT && has_digits; i++) {
        if (ps_slice_eq(unit, ps_slice_of(units[i].name))) {
            *total += (ps_u128)whole * units[i].ns + (ps_u128)fraction * units[i].ns / scale;
            return *total > DURATION_MAX ? PS_LIMIT : PS_OK;
        }
    }
    return PS_INVALID;
}

enum ps_status ps_dur_parse(struct ps_slice text, ps_dur_ns *ret)
{
    if (ps_slice_eq(text, PS_LIT("0"))) {
        *ret = 0;
        return PS_OK;
    }
    if (text.size == 0) { /* and its data may be NULL */
        return PS_INVALID;
    }
    ps_u128 total = 0;
    size_t at = 0;
    do {
        enum ps_status status = parse_part(text, &at, &total);
        if (status != PS_OK) {
            return status;
        }
    } while (at < text.size);
    *ret = (ps_dur_ns)total;
    return PS_OK;
}

void ps_dur_format(struct ps_buf *buf, ps_dur_ns duration_ns)
{
    /* Minutes, hours and days only where they are whole: "90s" reads better than "1.5m". */
    size_t unit = 0;
    for (size_t i = 1; i < UNIT_COUNT; i++) {
        bool exact_only = units[i].ns > PS_SECOND;
        if (duration_ns >= units[i].ns && (!exact_only || duration_ns % units[i].ns == 0)) {
            unit = i;
        }
    }
    uint64_t whole = duration_ns / units[unit].ns;
    uint64_t rest = duration_ns % units[unit].ns;
    ps_buf_append_u64(buf, whole);
    int digits = whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
    if (rest > 0 && digits > 0) {
        uint64_t scale = digits == 1 ? 10 : 100;
        uint64_t shown = (uint64_t)((ps_u128)rest * scale / units[unit].ns);
        if (shown > 0) {
            ps_buf_printf(buf, ".%0*llu", digits, (unsigned long long)shown);
            if (buf->data[buf->size - 1] == '0') {
                buf->size--;
            }
        }
    }
    ps_buf_append_text(buf, units[unit].name);
}
