/* D1's Time Travel: which state a request names. */
#include "node/http/api_internal.h"
#include "replication/wire/message.h"

#include <inttypes.h>
#include <string.h>

enum { MALFORMED_CODE = 7400, DAY_S = 86400, MS_DIGITS_MIN = 12, DIGITS_MAX = 14 };

/* ---- instants ---- */

/* Exactly so many digits at *at, which moves behind them. */
static bool get_digits(struct ps_slice text, size_t *at, size_t count, int64_t *ret)
{
    *ret = 0;
    for (size_t end = *at + count; *at < end; (*at)++) {
        if (*at >= text.size || text.data[*at] < '0' || text.data[*at] > '9') {
            return false;
        }
        *ret = *ret * 10 + (text.data[*at] - '0');
    }
    return true;
}

static bool get_char(struct ps_slice text, size_t *at, const char *one_of)
{
    if (*at >= text.size || memchr(one_of, text.data[*at], strlen(one_of)) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

/* Of the civil calendar; the years begin in March, so that the leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    enum { ERA_DAYS = 146097, ERA_YEARS = 400, EPOCH_DAYS = 719468 };

    year -= month <= 2 ? 1 : 0;
    int64_t era = year / ERA_YEARS;
    int64_t of_era = year % ERA_YEARS;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static bool is_day(int64_t year, int64_t month, int64_t day)
{
    static const int8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (leap || month != 2 || day < 29);
}

/* ".123": of a second; further digits than nanoseconds have are of no account. */
static bool get_fraction(struct ps_slice text, size_t *at, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (!get_char(text, at, ".")) {
        return true;
    }
    int64_t unit_ns = (int64_t)PS_SECOND / 10;
    size_t first = *at;
    for (int64_t digit; get_digits(text, at, 1, &digit); unit_ns /= 10) {
        *ret_ns += digit * unit_ns;
    }
    return *at > first;
}

/* RFC 3339, with its offset: an instant, not what some clock shows. A '+' that was not coded in a
 * query comes as a space. */
static bool read_rfc3339(struct ps_slice text, int64_t *ret_ns)
{
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t fraction_ns;
    int64_t offset_hour = 0;
    int64_t offset_minute = 0;
    size_t at = 0;
    bool good = get_digits(text, &at, 4, &year) && get_char(text, &at, "-") &&
                get_digits(text, &at, 2, &month) && get_char(text, &at, "-") &&
                get_digits(text, &at, 2, &day) && get_char(text, &at, "Tt ") &&
                get_digits(text, &at, 2, &hour) && get_char(text, &at, ":") &&
                get_digits(text, &at, 2, &minute) && get_char(text, &at, ":") &&
                get_digits(text, &at, 2, &second) && get_fraction(text, &at, &fraction_ns);
    if (!good || !is_day(year, month, day) || hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    bool west = at < text.size && text.data[at] == '-';
    if (!get_char(text, &at, "Zz") &&
        !(get_char(text, &at, "+- ") && get_digits(text, &at, 2, &offset_hour) &&
          get_char(text, &at, ":") && get_digits(text, &at, 2, &offset_minute) &&
          offset_hour <= 23 && offset_minute <= 59)) {
        return false;
    }
    int64_t offset_s = (offset_hour * 60 + offset_minute) * 60;
    int64_t unix_s = days_of(year, month, day) * DAY_S + (hour * 60 + minute) * 60 + second -
                     (west ? -offset_s : offset_s);
    const int64_t most_s = INT64_MAX / (int64_t)PS_SECOND - 1;
    if (at != text.size || unix_s > most_s || unix_s < -most_s) {
        return false;
    }
    *ret_ns = unix_s * (int64_t)PS_SECOND + fraction_ns;
    return true;
}

/* Seconds since 1970; or, as they come from JavaScript, milliseconds. */
static bool read_unix(struct ps_slice text, int64_t *ret_ns)
{
    size_t at = 0;
    int64_t number;
    if (text.size == 0 || text.size > DIGITS_MAX || !get_digits(text, &at, text.size, &number)) {
        return false;
    }
    int64_t unit_ns = (int64_t)(text.size >= MS_DIGITS_MIN ? PS_MS : PS_SECOND);
    if (number > INT64_MAX / unit_ns) {
        return false;
    }
    *ret_ns = number * unit_ns;
    return true;
}

bool ps_api_read_instant(struct ps_slice text, int64_t *ret_unix_ns)
{
    return read_unix(text, ret_unix_ns) || read_rfc3339(text, ret_unix_ns);
}

/* ---- the routes ---- */

static void fail(struct ps_api_parser *parser, const char *words)
{
    ps_api_fail(parser, 400, MALFORMED_CODE, words);
}

/* The body becomes what PS_QUERY_BOOKMARK wants to be told. */
static void name_instant(struct ps_api_parser *parser, struct ps_slice raw)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice text;
    int64_t unix_ns;
    if (!ps_api_decode(call, raw, true, &text) || !ps_api_read_instant(text, &unix_ns)) {
        fail(parser, "Invalid timestamp. Please provide a Unix timestamp or one of RFC 3339, for "
                     "example 2026-11-25T19:00:00Z");
        return;
    }
    size_t start = call->text.size;
    ps_buf_printf(&call->text, "t%" PRId64, unix_ns);
    call->body = (struct ps_slice){call->text.data + start, call->text.size - start};
}

static void name_bookmark(struct ps_api_parser *parser, struct ps_slice raw)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice text;
    size_t start = call->text.size;
    ps_buf_append_char(&call->text, 'b');
    if (!ps_api_decode(call, raw, true, &text)) {
        fail(parser, "Invalid bookmark: it has not the form of one.");
        return;
    }
    call->body = (struct ps_slice){call->text.data + start, call->text.size - start};
}

void ps_api_parse_d1_travel(struct ps_api_parser *parser, struct ps_slice rest)
{
    struct ps_api_call *call = parser->call;
    struct ps_slice timestamp;
    struct ps_slice bookmark;
    bool restore = ps_slice_eq(rest, PS_LIT("/restore"));
    if (!restore && !ps_slice_eq(rest, PS_LIT("/bookmark"))) {
        ps_api_fail(parser, 404, 7003, "Could not route to this path");
        return;
    }
    if (call->method != (restore ? PS_HTTP_POST : PS_HTTP_GET)) {
        ps_api_fail(parser, 405, 10405, "method not allowed");
        return;
    }
    bool has_timestamp = ps_api_query(call, "timestamp", &timestamp);
    bool has_bookmark = restore && ps_api_query(call, "bookmark", &bookmark);
    call->kind = PS_API_D1;
    call->d1_flags = restore ? PS_QUERY_RESTORE : PS_QUERY_BOOKMARK;
    call->body = (struct ps_slice){0};
    if (restore && has_timestamp == has_bookmark) {
        fail(parser, "The request is malformed: either bookmark or timestamp is expected");
    } else if (has_timestamp) {
        name_instant(parser, timestamp);
    } else if (has_bookmark) {
        name_bookmark(parser, bookmark);
    }
}
