#include "node/r2/cache.h"

#include "replication/base/assert.h"

#include <string.h>
#include <strings.h>

enum {
    DEFAULT_S = 120 * 60,      /* edge TTL of a 200 whose object says nothing */
    DEFAULT_MISSING_S = 3 * 60 /* of a 404 */
};

/* A number of seconds that stands for any longer time (RFC 9111, 1.2.2). */
static const uint64_t DELTA_MAX = 2147483648;

const char *ps_r2_cache_state_name(enum ps_r2_cache_state state)
{
    static const char *const names[] = {"DYNAMIC", "BYPASS",      "MISS",     "HIT",
                                        "EXPIRED", "REVALIDATED", "UPDATING", "STALE"};
    PS_ASSERT(state < PS_R2_CACHE_STATES);
    return names[state];
}

/* ---- Cache-Control ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void advance(struct ps_slice *left, size_t size)
{
    *left = (struct ps_slice){left->data + size, left->size - size};
}

static struct ps_slice take_token(struct ps_slice *left)
{
    size_t size = 0;
    while (size < left->size && left->data[size] != ',' && left->data[size] != '=' &&
           !is_blank(left->data[size])) {
        size++;
    }
    struct ps_slice token = {left->data, size};
    advance(left, size);
    return token;
}

/* A quoted string, its quotes dropped; what is escaped in it is not looked at closer. */
static struct ps_slice take_quoted(struct ps_slice *left)
{
    advance(left, 1);
    size_t size = 0;
    while (size < left->size && left->data[size] != '"') {
        size += left->data[size] == '\\' && size + 1 < left->size ? 2 : 1;
    }
    struct ps_slice text = {left->data, size};
    advance(left, size < left->size ? size + 1 : size);
    return text;
}

/* Take a directive; false at the header's end. */
static bool take_directive(struct ps_slice *left, struct ps_slice *ret_name,
                           struct ps_slice *ret_value)
{
    while (left->size > 0 && (is_blank(left->data[0]) || left->data[0] == ',')) {
        advance(left, 1);
    }
    if (left->size == 0) {
        return false;
    }
    *ret_name = take_token(left);
    *ret_value = (struct ps_slice){NULL, 0};
    if (left->size > 0 && left->data[0] == '=') {
        advance(left, 1);
        bool quoted = left->size > 0 && left->data[0] == '"';
        *ret_value = quoted ? take_quoted(left) : take_token(left);
    }
    while (left->size > 0 && left->data[0] != ',') {
        advance(left, 1); /* what belongs to nothing */
    }
    return true;
}

static uint64_t seconds_of(struct ps_slice text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
        value = value < DELTA_MAX ? value : DELTA_MAX;
    }
    return value;
}

static bool is_named(struct ps_slice name, const char *wanted)
{
    return name.size == strlen(wanted) && strncasecmp(name.data, wanted, name.size) == 0;
}

static void note_seconds(struct ps_slice value, bool *ret_has, uint64_t *ret)
{
    if (!*ret_has) {
        *ret_has = true;
        *ret = seconds_of(value);
    }
}

void ps_r2_cache_control_parse(struct ps_slice header, struct ps_r2_cache_control *ret)
{
    struct ps_slice left = header;
    struct ps_slice name;
    struct ps_slice value;
    *ret = (struct ps_r2_cache_control){.no_store = false};
    while (take_directive(&left, &name, &value)) {
        /* With names of fields, no-cache and private speak of those alone. */
        ret->no_store = ret->no_store || is_named(name, "no-store");
        ret->no_cache = ret->no_cache || (is_named(name, "no-cache") && value.size == 0);
        ret->is_private = ret->is_private || (is_named(name, "private") && value.size == 0);
        ret->must_revalidate = ret->must_revalidate || is_named(name, "must-revalidate") ||
                               is_named(name, "proxy-revalidate");
        if (is_named(name, "max-age")) {
            note_seconds(value, &ret->has_max_age, &ret->max_age_s);
        } else if (is_named(name, "s-maxage")) {
            note_seconds(value, &ret->has_s_maxage, &ret->s_maxage_s);
        } else if (is_named(name, "stale-while-revalidate")) {
            note_seconds(value, &ret->has_stale_while_revalidate, &ret->stale_while_revalidate_s);
        } else if (is_named(name, "stale-if-error")) {
            note_seconds(value, &ret->has_stale_if_error, &ret->stale_if_error_s);
        }
    }
}

/* ---- what is kept ---- */

bool ps_r2_cache_kind(struct ps_slice key, enum ps_r2_cache_kinds kinds)
{
    static const char *const extensions[] = {
        "7z",   "avi",   "avif", "apk",  "bin",  "bmp", "bz2",  "class", "css",  "csv",
        "doc",  "docx",  "dmg",  "ejs",  "eot",  "eps", "exe",  "flac",  "gif",  "gz",
        "ico",  "iso",   "jar",  "jpg",  "jpeg", "js",  "mid",  "midi",  "mkv",  "mp3",
        "mp4",  "ogg",   "otf",  "pdf",  "pict", "pls", "png",  "ppt",   "pptx", "ps",
        "rar",  "svg",   "svgz", "swf",  "tar",  "tif", "tiff", "ttf",   "webm", "webp",
        "woff", "woff2", "xls",  "xlsx", "zip",  "zst"};
    if (ps_slice_eq(key, PS_LIT("robots.txt"))) {
        return true;
    }
    const char *dot = key.size == 0 ? NULL : memrchr(key.data, '.', key.size);
    if (kinds == PS_R2_CACHE_EVERYTHING || dot == NULL) {
        return kinds == PS_R2_CACHE_EVERYTHING;
    }
    struct ps_slice extension = {dot + 1, (size_t)(key.data + key.size - dot) - 1};
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        if (is_named(extension, extensions[i])) {
            return true;
        }
    }
    return false;
}

static struct ps_r2_cache_stay stay_of_s(uint64_t fresh_s)
{
    return (struct ps_r2_cache_stay){
        .stored = true, .fresh_ns = fresh_s * PS_SECOND, .state = PS_R2_CACHE_MISS};
}

ps_dur_ns ps_r2_cache_life(const struct ps_r2_cache_stay *stay)
{
    return stay->fresh_ns + ps_time_max(stay->updating_ns, stay->on_error_ns);
}

/* Seconds until Expires; 0 when it has passed. */
static uint64_t until_expiry_s(const struct ps_r2_object *object, int64_t now_unix_ms)
{
    int64_t left_ms = object->meta.http.cache_expiry_ms - now_unix_ms;
    uint64_t left_s = left_ms > 0 ? (uint64_t)left_ms / 1000 : 0;
    return left_s < DELTA_MAX ? left_s : DELTA_MAX;
}

struct ps_r2_cache_stay ps_r2_cache_stay_of(struct ps_slice key, const struct ps_r2_object *object,
                                            enum ps_r2_cache_kinds kinds, int64_t now_unix_ms)
{
    if (!ps_r2_cache_kind(key, kinds)) {
        return (struct ps_r2_cache_stay){.state = PS_R2_CACHE_DYNAMIC};
    }
    if (object == NULL) {
        return stay_of_s(DEFAULT_MISSING_S);
    }
    struct ps_r2_cache_control control;
    ps_r2_cache_control_parse(object->meta.http.cache_control, &control);
    bool has_expiry = object->meta.http.has_cache_expiry;
    uint64_t fresh_s = control.has_s_maxage  ? control.s_maxage_s
                       : control.has_max_age ? control.max_age_s
                       : has_expiry          ? until_expiry_s(object, now_unix_ms)
                                             : DEFAULT_S;
    if (control.no_store || control.no_cache || control.is_private || fresh_s == 0) {
        return (struct ps_r2_cache_stay){.state = PS_R2_CACHE_BYPASS};
    }
    struct ps_r2_cache_stay stay = stay_of_s(fresh_s);
    bool strict = control.must_revalidate || control.has_s_maxage; /* which implies the former */
    stay.updating_ns = strict ? 0 : control.stale_while_revalidate_s * PS_SECOND;
    stay.on_error_ns = strict ? 0 : control.stale_if_error_s * PS_SECOND;
    return stay;
}

/* ---- what is answered ---- */

struct ps_r2_cache_decision ps_r2_cache_decide(const struct ps_r2_cache_entry *entry,
                                               ps_time_ns purged_ns, ps_time_ns now_ns,
                                               bool home_away)
{
    bool purged = entry != NULL && purged_ns != PS_NEVER && purged_ns >= entry->stored_ns &&
                  purged_ns <= now_ns;
    if (entry == NULL || !entry->stay.stored || purged || entry->stored_ns > now_ns) {
        return (struct ps_r2_cache_decision){PS_R2_CACHE_FETCH, PS_R2_CACHE_MISS, 0};
    }
    ps_dur_ns age_ns = now_ns - entry->stored_ns;
    uint64_t age_s = age_ns / PS_SECOND;
    if (age_ns < entry->stay.fresh_ns) {
        return (struct ps_r2_cache_decision){PS_R2_CACHE_GIVE, PS_R2_CACHE_HIT, age_s};
    }
    if (age_ns - entry->stay.fresh_ns < entry->stay.updating_ns) {
        return (struct ps_r2_cache_decision){PS_R2_CACHE_GIVE, PS_R2_CACHE_UPDATING, age_s};
    }
    if (home_away && age_ns - entry->stay.fresh_ns < entry->stay.on_error_ns) {
        return (struct ps_r2_cache_decision){PS_R2_CACHE_GIVE, PS_R2_CACHE_STALE, age_s};
    }
    return (struct ps_r2_cache_decision){PS_R2_CACHE_FETCH, PS_R2_CACHE_EXPIRED, 0};
}

enum ps_r2_cache_state ps_r2_cache_fetched(const struct ps_r2_cache_entry *entry,
                                           const struct ps_r2_cache_decision *decision,
                                           uint64_t lsn, const struct ps_r2_cache_stay *stay)
{
    PS_ASSERT(decision->step == PS_R2_CACHE_FETCH);
    if (!stay->stored) {
        return stay->state;
    }
    bool same = decision->state == PS_R2_CACHE_EXPIRED && entry != NULL && entry->lsn == lsn;
    /* Only what has an ETag can be asked about: a 404 is fetched anew. */
    return same && lsn != 0 ? PS_R2_CACHE_REVALIDATED : decision->state;
}

/* If-Range: the range counts only if it names what the object is now: by its ETag, or the second it
 * was uploaded in. */
static bool range_counts(const struct ps_r2_object *object, struct ps_slice if_range)
{
    int64_t unix_s;
    if (if_range.size == 0) {
        return true;
    }
    if (ps_r2_date_parse(if_range, &unix_s)) {
        return unix_s == object->uploaded_ms / 1000;
    }
    size_t size = strlen(object->etag);
    return if_range.size == size + 2 && if_range.data[0] == '"' &&
           memcmp(if_range.data + 1, object->etag, size) == 0 && if_range.data[size + 1] == '"';
}

/* A range that is malformed, or several at once, means all; one that lies behind the end is 416. */
static int resolve(const struct ps_r2_object *object, struct ps_slice range,
                   struct ps_slice if_range, struct ps_r2_span *ret)
{
    struct ps_r2_range all = {.kind = PS_R2_RANGE_NONE};
    struct ps_r2_range asked = {.kind = PS_R2_RANGE_S3, .header = range};
    struct ps_r2_error err = {.code = PS_R2_CODE_NONE};
    bool counts = range.size > 0 && range_counts(object, if_range);
    if (counts && ps_r2_range_resolve(&asked, object->size, ret, &err)) {
        return 206;
    }
    (void)ps_r2_range_resolve(&all, object->size, ret, &err);
    return err.code == PS_R2_CODE_INVALID_RANGE ? 416 : 200;
}

struct ps_r2_public_answer ps_r2_public_answer_of(const struct ps_r2_object *object,
                                                  const struct ps_r2_if_headers *headers,
                                                  struct ps_slice range, struct ps_slice if_range)
{
    struct ps_r2_public_answer answer = {.http_status = 404};
    if (object == NULL) {
        return answer;
    }
    struct ps_r2_condition condition;
    enum ps_r2_verdict verdict = PS_R2_HOLDS; /* what is no list of ETags does not count */
    if (ps_r2_condition_parse(headers, &condition) == PS_OK) {
        verdict = ps_r2_condition_test(&condition, object);
        ps_r2_condition_fini(&condition);
    }
    answer.http_status = verdict == PS_R2_FAILS ? 412
                         : verdict == PS_R2_UNMODIFIED
                             ? 304
                             : resolve(object, range, if_range, &answer.span);
    return answer;
}
