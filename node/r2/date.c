#include "node/r2/conditional.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Dates as HTTP and S3 write them; the calendar by the count of days in eras of 400 years, which
 * begin in March so that a leap day is their last. */

enum { DAY_S = 86400, ERA_DAYS = 146097, EPOCH_DAYS = 719468, YEAR_MAX = 9999 };

static const char *const months[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekdays[7] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

struct civil {
    int64_t year;
    int64_t month; /* 1 .. 12 */
    int64_t day;
    int64_t second; /* of the day */
    int64_t days;   /* since 1970-01-01 */
};

static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* the year from March on; never negative here */
    int64_t era = y / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static struct civil civil_of(int64_t unix_s)
{
    int64_t second = unix_s % DAY_S;
    second += second < 0 ? DAY_S : 0;
    struct civil civil = {.second = second, .days = (unix_s - second) / DAY_S};
    int64_t days = civil.days + EPOCH_DAYS;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day = days - era * ERA_DAYS;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    civil.day = of_year - (153 * month + 2) / 5 + 1;
    civil.month = month < 10 ? month + 3 : month - 9;
    civil.year = year + era * 400 + (civil.month <= 2 ? 1 : 0);
    return civil;
}

void ps_r2_date_format(struct ps_buf *buf, int64_t unix_s)
{
    struct civil civil = civil_of(unix_s);
    int64_t weekday = civil.days % 7;
    ps_buf_printf(buf, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                  weekdays[weekday < 0 ? weekday + 7 : weekday], (int)civil.day,
                  months[civil.month - 1], (int)civil.year, (int)(civil.second / 3600),
                  (int)(civil.second / 60 % 60), (int)(civil.second % 60));
}

void ps_r2_date_iso(struct ps_buf *buf, int64_t unix_ms)
{
    int64_t ms = unix_ms % 1000;
    ms += ms < 0 ? 1000 : 0;
    struct civil civil = civil_of((unix_ms - ms) / 1000);
    ps_buf_printf(buf, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)civil.year, (int)civil.month,
                  (int)civil.day, (int)(civil.second / 3600), (int)(civil.second / 60 % 60),
                  (int)(civil.second % 60), (int)ms);
}

/* ---- reading ---- */

struct scan {
    struct ps_slice left;
    bool failed;
};

static void drop(struct scan *scan, size_t size)
{
    scan->left.data += size;
    scan->left.size -= size;
}

static void expect(struct scan *scan, const char *text)
{
    struct ps_slice wanted = ps_slice_of(text);
    scan->failed = scan->failed || !ps_slice_starts(scan->left, wanted);
    if (!scan->failed) {
        drop(scan, wanted.size);
    }
}

/* A number of exactly `digits` digits. */
static int64_t number(struct scan *scan, size_t digits)
{
    int64_t value = 0;
    scan->failed = scan->failed || scan->left.size < digits;
    for (size_t i = 0; !scan->failed && i < digits; i++) {
        char c = scan->left.data[i];
        scan->failed = c < '0' || c > '9';
        value = value * 10 + (c - '0');
    }
    if (!scan->failed) {
        drop(scan, digits);
    }
    return value;
}

static int64_t month(struct scan *scan)
{
    for (int64_t i = 0; !scan->failed && scan->left.size >= 3 && i < 12; i++) {
        if (strncasecmp(scan->left.data, months[i], 3) == 0) {
            drop(scan, 3);
            return i + 1;
        }
    }
    scan->failed = true;
    return 1;
}

/* What stands before the day: a name of the week, which is not looked at, and `end`. */
static bool skip_weekday(struct scan *scan, char end)
{
    const char *at = scan->left.size == 0 ? NULL : memchr(scan->left.data, end, scan->left.size);
    if (at == NULL || at - scan->left.data < 3 || at - scan->left.data > 9) {
        return false;
    }
    drop(scan, (size_t)(at - scan->left.data) + 1);
    return true;
}

static int64_t time_of_day(struct scan *scan)
{
    int64_t hour = number(scan, 2);
    expect(scan, ":");
    int64_t minute = number(scan, 2);
    expect(scan, ":");
    int64_t second = number(scan, 2);
    scan->failed = scan->failed || hour > 23 || minute > 59 || second > 60;
    return hour * 3600 + minute * 60 + second;
}

/* Sun Nov  6 08:49:37 1994 */
static void scan_asctime(struct scan *scan, struct civil *ret)
{
    ret->month = month(scan);
    expect(scan, " ");
    if (ps_slice_starts(scan->left, PS_LIT(" "))) {
        drop(scan, 1);
        ret->day = number(scan, 1);
    } else {
        ret->day = number(scan, 2);
    }
    expect(scan, " ");
    ret->second = time_of_day(scan);
    expect(scan, " ");
    ret->year = number(scan, 4);
}

/* 06 Nov 1994 08:49:37 GMT, 06-Nov-94 08:49:37 GMT */
static void scan_date(struct scan *scan, struct civil *ret)
{
    expect(scan, " ");
    ret->day = number(scan, 2);
    bool is_old = ps_slice_starts(scan->left, PS_LIT("-"));
    expect(scan, is_old ? "-" : " ");
    ret->month = month(scan);
    expect(scan, is_old ? "-" : " ");
    ret->year = number(scan, is_old ? 2 : 4);
    ret->year += is_old ? (ret->year < 70 ? 2000 : 1900) : 0;
    expect(scan, " ");
    ret->second = time_of_day(scan);
    expect(scan, " GMT");
}

bool ps_r2_date_parse(struct ps_slice text, int64_t *ret_unix_s)
{
    struct scan scan = {.left = text};
    struct civil civil = {.month = 1};
    if (skip_weekday(&scan, ',')) {
        scan_date(&scan, &civil);
    } else if (skip_weekday(&scan, ' ')) {
        scan_asctime(&scan, &civil);
    } else {
        return false;
    }
    if (scan.failed || scan.left.size > 0 || civil.day < 1 || civil.day > 31 ||
        civil.year > YEAR_MAX || civil.year < 1) {
        return false;
    }
    *ret_unix_s = days_of(civil.year, civil.month, civil.day) * DAY_S + civil.second;
    return true;
}
