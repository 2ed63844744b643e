#include "node/s3/lifecycle.h"

#include "node/r2/conditional.h"
#include "node/s3/text.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

enum { DAYS_MAX = 2900000 }; /* until about the year 9900: HTTP's dates have four digits */

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

/* When the rule deletes the object; false: it does not. */
static bool is_due_at(const struct ps_s3_lifecycle_rule *rule, struct ps_slice key,
                      int64_t uploaded_ms, int64_t *ret_ms)
{
    if (!rule->enabled || !ps_slice_starts(key, rule->prefix)) {
        return false;
    }
    if (!rule->has_expire_days) {
        return rule->expire_date.size > 0 && read_date(rule->expire_date, ret_ms);
    }
    if (rule->expire_days > DAYS_MAX) {
        return false; /* no date that can be told */
    }
    *ret_ms = uploaded_ms + (int64_t)rule->expire_days * DAY_MS;
    return true;
}

bool ps_s3_lifecycle_expiration(const struct ps_s3_lifecycle *lifecycle, struct ps_slice key,
                                int64_t uploaded_ms, struct ps_buf *into)
{
    const struct ps_s3_lifecycle_rule *first = NULL;
    int64_t first_ms = 0;
    for (size_t i = 0; i < lifecycle->count; i++) {
        int64_t due_ms;
        if (is_due_at(&lifecycle->rules[i], key, uploaded_ms, &due_ms) &&
            (first == NULL || due_ms < first_ms)) {
            first = &lifecycle->rules[i];
            first_ms = due_ms;
        }
    }
    if (first == NULL) {
        return false;
    }
    ps_buf_append_text(into, "expiry-date=\"");
    ps_r2_date_format(into, first_ms / 1000);
    ps_buf_append_text(into, "\", rule-id=\"");
    ps_s3_uri_encode(into, first->id);
    ps_buf_append_char(into, '"');
    return true;
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
