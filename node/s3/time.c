#include "node/s3/text.h"
#include "replication/base/assert.h"

struct clock {
    int year, month, day, hour, minute, second;
};

enum { DAY_S = 86400 };

static const int64_t max_s = 253402300799; /* the last second of 9999 */

static bool leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && leap(year) ? 1 : 0);
}

/* Days before the first of January, from 1970. */
static int64_t days_before(int year)
{
    int64_t y = year - 1;
    return 365 * (int64_t)(year - 1970) + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static struct clock clock_of(int64_t unix_s)
{
    if (unix_s < 0 || unix_s > max_s) {
        unix_s = 0;
    }
    int64_t day = unix_s / DAY_S;
    int second = (int)(unix_s % DAY_S);
    int year = 1970 + (int)(day / 366);
    while (days_before(year + 1) <= day) {
        year++;
    }
    int left = (int)(day - days_before(year));
    int month = 1;
    while (left >= days_in(year, month)) {
        left -= days_in(year, month++);
    }
    return (struct clock){.year = year,
                          .month = month,
                          .day = left + 1,
                          .hour = second / 3600,
                          .minute = second / 60 % 60,
                          .second = second % 60};
}

static int64_t unix_of(const struct clock *clock)
{
    int64_t days = days_before(clock->year) + clock->day - 1;
    for (int month = 1; month < clock->month; month++) {
        days += days_in(clock->year, month);
    }
    return days * DAY_S + clock->hour * 3600 + clock->minute * 60 + clock->second;
}

static bool valid(const struct clock *clock)
{
    return clock->year >= 1970 && clock->year <= 9999 && clock->month >= 1 && clock->month <= 12 &&
           clock->day >= 1 && clock->day <= days_in(clock->year, clock->month) &&
           clock->hour <= 23 && clock->minute <= 59 && clock->second <= 60;
}

/* Exactly `count` digits at `at`. */
static bool digits(struct ps_slice text, size_t at, size_t count, int *ret)
{
    uint64_t value;
    if (at + count > text.size || !ps_s3_number((struct ps_slice){text.data + at, count}, &value)) {
        return false;
    }
    *ret = (int)value;
    return true;
}

bool ps_s3_amz_date_read(struct ps_slice text, int64_t *ret_unix_s)
{
    struct clock clock;
    bool well = text.size == 16 && text.data[8] == 'T' && text.data[15] == 'Z' &&
                digits(text, 0, 4, &clock.year) && digits(text, 4, 2, &clock.month) &&
                digits(text, 6, 2, &clock.day) && digits(text, 9, 2, &clock.hour) &&
                digits(text, 11, 2, &clock.minute) && digits(text, 13, 2, &clock.second) &&
                valid(&clock);
    if (well) {
        *ret_unix_s = unix_of(&clock);
    }
    return well;
}

/* Without printf's checks of widths the compiler cannot know that a year has four digits. */
static char *put(char *at, int value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

void ps_s3_amz_date(int64_t unix_s, char ret[static 17])
{
    struct clock clock = clock_of(unix_s);
    char *at = put(put(put(ret, clock.year, 4), clock.month, 2), clock.day, 2);
    *at++ = 'T';
    at = put(put(put(at, clock.hour, 2), clock.minute, 2), clock.second, 2);
    *at++ = 'Z';
    *at = '\0';
    PS_ASSERT(at == ret + 16);
}
