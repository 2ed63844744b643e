#include "node/r2/conditional.h"

#include "replication/base/memory.h"

#include <string.h>

bool ps_r2_condition_given(const struct ps_r2_condition *condition)
{
    return condition->has_matches || condition->has_differs || condition->has_before ||
           condition->has_after;
}

/* ---- R2's rules ---- */

static bool includes(const struct ps_r2_etag *etags, size_t count, struct ps_slice etag,
                     bool strongly)
{
    for (size_t i = 0; i < count; i++) {
        bool may = etags[i].kind == PS_R2_ETAG_STRONG || !strongly;
        if (etags[i].kind == PS_R2_ETAG_ANY || (may && ps_slice_eq(etags[i].value, etag))) {
            return true;
        }
    }
    return false;
}

static int64_t floor_to(int64_t ms, bool seconds)
{
    int64_t rest = ms % 1000;
    return !seconds ? ms : ms - (rest < 0 ? rest + 1000 : rest);
}

enum ps_r2_verdict ps_r2_condition_test(const struct ps_r2_condition *condition,
                                        const struct ps_r2_object *object)
{
    if (object == NULL) {
        return condition->has_matches || condition->has_after ? PS_R2_FAILS : PS_R2_HOLDS;
    }
    struct ps_slice etag = ps_slice_of(object->etag);
    bool seconds = condition->seconds;
    int64_t uploaded_ms = floor_to(object->uploaded_ms, seconds);
    bool match =
        !condition->has_matches || includes(condition->matches, condition->match_count, etag, true);
    bool differ = !condition->has_differs ||
                  !includes(condition->differs, condition->differ_count, etag, false);
    /* A date counts only where the ETags have not decided for it (RFC 9110, 13.2.2). */
    bool after = !condition->has_after || floor_to(condition->after_ms, seconds) < uploaded_ms ||
                 (condition->has_differs && differ);
    bool before = !condition->has_before || uploaded_ms < floor_to(condition->before_ms, seconds) ||
                  (condition->has_matches && match);
    return !match || !before ? PS_R2_FAILS : !differ || !after ? PS_R2_UNMODIFIED : PS_R2_HOLDS;
}

/* ---- headers ---- */

static struct ps_slice trim(struct ps_slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = (struct ps_slice){text.data + 1, text.size - 1};
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* Take one ETag off the front of `left`: quoted, weak, "*", or (as S3 clients do) without quotes.
 */
static bool take_etag(struct ps_slice *left, struct ps_r2_etag *ret)
{
    *ret = (struct ps_r2_etag){.kind = PS_R2_ETAG_STRONG};
    if (ps_slice_starts(*left, PS_LIT("W/\""))) {
        ret->kind = PS_R2_ETAG_WEAK;
        *left = (struct ps_slice){left->data + 2, left->size - 2};
    }
    bool quoted = ps_slice_starts(*left, PS_LIT("\""));
    const char *begin = left->data + (quoted ? 1 : 0);
    size_t size = left->size - (quoted ? 1 : 0);
    const char *end = size == 0 ? NULL : memchr(begin, quoted ? '"' : ',', size);
    if (end == NULL && (quoted || size == 0)) {
        return false;
    }
    size_t taken = end == NULL ? size : (size_t)(end - begin);
    ret->value = (struct ps_slice){begin, taken};
    if (!quoted) {
        ret->value = trim(ret->value);
    }
    size_t used = (size_t)(begin - left->data) + taken + (quoted ? 1 : 0);
    *left = (struct ps_slice){left->data + used, left->size - used};
    if (!quoted && ps_slice_eq(ret->value, PS_LIT("*"))) {
        *ret = (struct ps_r2_etag){.kind = PS_R2_ETAG_ANY};
        return true;
    }
    return quoted || (ret->value.size > 0 && memchr(ret->value.data, '"', ret->value.size) == NULL);
}

static enum ps_status parse_etags(struct ps_slice header, struct ps_r2_etag **ret,
                                  size_t *ret_count)
{
    struct ps_slice left = trim(header);
    *ret = PS_NEW_ARRAY(struct ps_r2_etag, PS_R2_ETAGS_MAX);
    *ret_count = 0;
    for (bool more = true; more;) {
        if (*ret_count == PS_R2_ETAGS_MAX) {
            return PS_LIMIT;
        }
        if (!take_etag(&left, &(*ret)[*ret_count])) {
            return PS_INVALID;
        }
        (*ret_count)++;
        left = trim(left);
        more = left.size > 0;
        if (more && left.data[0] != ',') {
            return PS_INVALID;
        }
        left = more ? trim((struct ps_slice){left.data + 1, left.size - 1}) : left;
    }
    return PS_OK;
}

static bool parse_date(struct ps_slice header, int64_t *ret_ms)
{
    int64_t unix_s;
    if (!ps_r2_date_parse(trim(header), &unix_s)) {
        return false;
    }
    *ret_ms = unix_s * 1000;
    return true;
}

enum ps_status ps_r2_condition_parse(const struct ps_r2_if_headers *headers,
                                     struct ps_r2_condition *ret)
{
    *ret = (struct ps_r2_condition){.seconds = true};
    ret->has_matches = headers->if_match.size > 0;
    ret->has_differs = headers->if_none_match.size > 0;
    ret->has_after = parse_date(headers->if_modified_since, &ret->after_ms);
    ret->has_before = parse_date(headers->if_unmodified_since, &ret->before_ms);
    enum ps_status status = PS_OK;
    if (ret->has_matches) {
        status = parse_etags(headers->if_match, &ret->matches, &ret->match_count);
    }
    if (status == PS_OK && ret->has_differs) {
        status = parse_etags(headers->if_none_match, &ret->differs, &ret->differ_count);
    }
    if (status != PS_OK) {
        ps_r2_condition_fini(ret);
    }
    return status;
}

void ps_r2_condition_fini(struct ps_r2_condition *condition)
{
    free(condition->matches);
    free(condition->differs);
    *condition = (struct ps_r2_condition){.seconds = false};
}
