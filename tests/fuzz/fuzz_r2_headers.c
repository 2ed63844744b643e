/* Any five lines as the values of Range, If-Match, If-None-Match, If-Modified-Since and
 * If-Unmodified-Since: refused, or a part that lies within the body and a condition that has a
 * verdict. The first byte chooses the body's size. */
#include "node/r2/conditional.h"
#include "node/r2/range.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct ps_slice take_line(struct ps_slice *left)
{
    const char *end = left->size == 0 ? NULL : memchr(left->data, '\n', left->size);
    size_t size = end == NULL ? left->size : (size_t)(end - left->data);
    struct ps_slice line = {left->data, size};
    size += end == NULL ? 0 : 1;
    *left = (struct ps_slice){left->data + size, left->size - size};
    return line;
}

static void check_span(const struct ps_r2_span *span, uint64_t size)
{
    require(span->offset <= size && span->length <= size - span->offset);
    require(span->partial ? span->length > 0 : span->offset == 0 && span->length == size);
    struct ps_buf text = {0};
    if (span->partial) {
        ps_r2_content_range(&text, span, size);
        require(ps_slice_starts(ps_buf_slice(&text), PS_LIT("bytes ")));
    }
    ps_buf_fini(&text);
}

/* The binding never refuses; the S3 API does, and where both take a part it is the same one. */
static void check_range(struct ps_slice header, uint64_t size)
{
    struct ps_r2_range range = {.kind = PS_R2_RANGE_HEADER, .header = header};
    struct ps_r2_error err = {.code = PS_R2_CODE_NONE};
    struct ps_r2_span ours;
    struct ps_r2_span theirs;
    require(ps_r2_range_resolve(&range, size, &ours, &err));
    check_span(&ours, size);
    range.kind = PS_R2_RANGE_S3;
    if (!ps_r2_range_resolve(&range, size, &theirs, &err)) {
        require(!ours.partial);
        require(err.code == PS_R2_CODE_INVALID_ARGUMENT || err.code == PS_R2_CODE_INVALID_RANGE);
        return;
    }
    check_span(&theirs, size);
    require(theirs.partial);
    require(!ours.partial || (ours.offset == theirs.offset && ours.length == theirs.length));
}

/* A date comes back from its text. */
static void check_date(int64_t unix_ms)
{
    struct ps_buf text = {0};
    int64_t unix_s;
    ps_r2_date_format(&text, unix_ms / 1000);
    require(ps_r2_date_parse(ps_buf_slice(&text), &unix_s) && unix_s == unix_ms / 1000);
    ps_buf_fini(&text);
}

static void check_etags(const struct ps_r2_etag *etags, size_t count, struct ps_slice header)
{
    require(count > 0 && count <= PS_R2_ETAGS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct ps_slice value = etags[i].value;
        require(etags[i].kind != PS_R2_ETAG_ANY || value.size == 0);
        require(value.size == 0 || (value.data >= header.data &&
                                    value.data + value.size <= header.data + header.size));
    }
}

static void check_condition(const struct ps_r2_if_headers *headers)
{
    static const struct ps_r2_object object = {.etag = "a", .uploaded_ms = 784111777000};
    struct ps_r2_condition condition;
    enum ps_status status = ps_r2_condition_parse(headers, &condition);
    if (status != PS_OK) {
        require(status == PS_INVALID || status == PS_LIMIT);
        return;
    }
    if (condition.has_matches) {
        check_etags(condition.matches, condition.match_count, headers->if_match);
    }
    if (condition.has_differs) {
        check_etags(condition.differs, condition.differ_count, headers->if_none_match);
    }
    if (condition.has_after) {
        check_date(condition.after_ms);
    }
    if (condition.has_before) {
        check_date(condition.before_ms);
    }
    require(ps_r2_condition_given(&condition) || ps_r2_condition_test(&condition, &object) == 0);
    require(ps_r2_condition_test(&condition, NULL) != PS_R2_UNMODIFIED);
    ps_r2_condition_fini(&condition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 5, 1000, UINT64_C(1) << 43, UINT64_MAX >> 1};

    if (size == 0) {
        return 0;
    }
    struct ps_slice left = {(const char *)data + 1, size - 1};
    check_range(take_line(&left), sizes[data[0] % (sizeof sizes / sizeof sizes[0])]);
    struct ps_r2_if_headers headers = {.if_match = take_line(&left)};
    headers.if_none_match = take_line(&left);
    headers.if_modified_since = take_line(&left);
    headers.if_unmodified_since = take_line(&left);
    check_condition(&headers);
    return 0;
}
