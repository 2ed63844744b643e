#include "node/s3/lifecycle.h"

#include "node/s3/text.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static int64_t days_ago(int64_t now_unix_ms, uint64_t days)
{
    return days > (uint64_t)(now_unix_ms / DAY_MS) ? 0 : now_unix_ms - (int64_t)days * DAY_MS;
}

/* "2030-01-02", "2030-01-02T00:00:00Z", "2030-01-02T00:00:00.000Z" */
static bool read_date(struct ps_slice text, int64_t *ret_unix_ms)
{
    char basic[sizeof "20300102T000000Z"];
    size_t size = 0;
    for (size_t i = 0; i < text.size && text.data[i] != '.'; i++) {
        char c = text.data[i];
        if (c != '-' && c != ':' && size < sizeof basic - 1) {
            basic[size++] = c;
        }
    }
    for (const char *rest = "00000000T000000Z"; size < sizeof basic - 1; size++) {
        basic[size] = rest[size];
    }
    int64_t unix_s;
    if (!ps_s3_amz_date_read((struct ps_slice){basic, size}, &unix_s)) {
        return false;
    }
    *ret_unix_ms = unix_s * 1000;
    return true;
}

static void raise(int64_t before_ms, int64_t *ret, bool *found)
{
    *ret = !*found || before_ms > *ret ? before_ms : *ret;
    *found = true;
}

bool ps_s3_lifecycle_expires(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                             int64_t now_unix_ms, int64_t *ret_before_ms)
{
    bool found = false;
    for (size_t i = 0; i < lifecycle->count; i++) {
        const struct ps_s3_lifecycle_rule *rule = &lifecycle->rules[i];
        int64_t date_ms;
        if (!rule->enabled || !ps_slice_starts(key, rule->prefix)) {
            continue;
        }
        if (rule->has_expire_days) {
            raise(days_ago(now_unix_ms, rule->expire_days), ret_before_ms, &found);
        } else if (rule->expire_date.size > 0 && read_date(rule->expire_date, &date_ms) &&
                   date_ms <= now_unix_ms) {
            raise(now_unix_ms, ret_before_ms, &found);
        }
    }
    return found;
}

bool ps_s3_lifecycle_aborts(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                            int64_t now_unix_ms, int64_t *ret_before_ms)
{
    bool found = false;
    for (size_t i = 0; i < lifecycle->count; i++) {
        const struct ps_s3_lifecycle_rule *rule = &lifecycle->rules[i];
        if (rule->enabled && rule->has_abort_days && ps_slice_starts(key, rule->prefix)) {
            raise(days_ago(now_unix_ms, rule->abort_days), ret_before_ms, &found);
        }
    }
    return found;
}
