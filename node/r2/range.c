#include "node/r2/range.h"

#include <inttypes.h>
#include <strings.h>

/* "a-b", "a-", "-b" with blanks around; numbers that do not fit are as large as can be. */
struct spec {
    bool has_first;
    uint64_t first;
    bool has_last;
    uint64_t last;
};

static void skip_blanks(struct ps_slice *left)
{
    while (left->size > 0 && left->data[0] == ' ') {
        *left = (struct ps_slice){left->data + 1, left->size - 1};
    }
}

static bool take_number(struct ps_slice *left, uint64_t *ret)
{
    bool any = false;
    *ret = 0;
    skip_blanks(left);
    while (left->size > 0 && left->data[0] >= '0' && left->data[0] <= '9') {
        uint64_t digit = (uint64_t)(left->data[0] - '0');
        *ret = *ret > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *ret * 10 + digit;
        any = true;
        *left = (struct ps_slice){left->data + 1, left->size - 1};
    }
    skip_blanks(left);
    return any;
}

static bool take_char(struct ps_slice *left, char c)
{
    if (left->size == 0 || left->data[0] != c) {
        return false;
    }
    *left = (struct ps_slice){left->data + 1, left->size - 1};
    return true;
}

static bool take_spec(struct ps_slice *left, struct spec *ret)
{
    ret->has_first = take_number(left, &ret->first);
    if (!take_char(left, '-')) {
        return false;
    }
    ret->has_last = take_number(left, &ret->last);
    return ret->has_first || ret->has_last;
}

/* The header's one range. False: it is malformed, or there are several. */
static bool parse_header(struct ps_slice header, struct spec *ret)
{
    struct ps_slice left = header;
    skip_blanks(&left);
    if (left.size < 5 || strncasecmp(left.data, "bytes", 5) != 0) {
        return false;
    }
    left = (struct ps_slice){left.data + 5, left.size - 5};
    skip_blanks(&left);
    return take_char(&left, '=') && take_spec(&left, ret) && left.size == 0;
}

static struct ps_r2_span part_of(const struct spec *spec, uint64_t size)
{
    if (!spec->has_first) {
        uint64_t length = spec->last < size ? spec->last : size;
        return (struct ps_r2_span){size - length, length, true};
    }
    uint64_t last = spec->has_last && spec->last < size ? spec->last : size - 1;
    return (struct ps_r2_span){spec->first, last - spec->first + 1, true};
}

/* What does not count means the whole body. */
static void resolve_header(struct ps_slice header, uint64_t size, struct ps_r2_span *ret)
{
    struct spec spec;
    if (!parse_header(header, &spec)) {
        return;
    }
    bool counts = spec.has_first ? spec.first < size && (!spec.has_last || spec.first <= spec.last)
                                 : spec.last > 0 && spec.last < size;
    if (counts) {
        *ret = part_of(&spec, size);
    }
}

static bool resolve_s3(struct ps_slice header, uint64_t size, struct ps_r2_span *ret,
                       struct ps_r2_error *err)
{
    struct spec spec;
    if (!parse_header(header, &spec)) {
        return ps_r2_fail_with(err, PS_R2_CODE_INVALID_ARGUMENT,
                               "range must be in format 'bytes=start-end', 'bytes=start-' or "
                               "'bytes=-suffix'.'");
    }
    if (spec.has_first && spec.has_last && spec.first > spec.last) {
        return ps_r2_fail_with(err, PS_R2_CODE_INVALID_ARGUMENT, "range must be positive.");
    }
    if (spec.has_first ? spec.first >= size : spec.last == 0 || size == 0) {
        return ps_r2_fail(err, PS_R2_CODE_INVALID_RANGE);
    }
    *ret = part_of(&spec, size);
    return true;
}

static bool resolve_span(const struct ps_r2_range *range, uint64_t size, struct ps_r2_span *ret,
                         struct ps_r2_error *err)
{
    uint64_t offset = range->has_offset ? range->offset : 0;
    if (offset > size || (range->has_length ? range->length == 0 : offset == size)) {
        return ps_r2_fail(err, PS_R2_CODE_INVALID_RANGE);
    }
    uint64_t left = size - offset;
    uint64_t length = range->has_length && range->length < left ? range->length : left;
    *ret = (struct ps_r2_span){offset, length, true};
    return true;
}

static bool resolve_suffix(uint64_t suffix, uint64_t size, struct ps_r2_span *ret,
                           struct ps_r2_error *err)
{
    uint64_t length = suffix < size ? suffix : size;
    if (length == 0) {
        return ps_r2_fail(err, PS_R2_CODE_INVALID_RANGE);
    }
    *ret = (struct ps_r2_span){size - length, length, true};
    return true;
}

bool ps_r2_range_resolve(const struct ps_r2_range *range, uint64_t size, struct ps_r2_span *ret,
                         struct ps_r2_error *err)
{
    *ret = (struct ps_r2_span){0, size, false};
    switch (range->kind) {
    case PS_R2_RANGE_SPAN:
        return resolve_span(range, size, ret, err);
    case PS_R2_RANGE_SUFFIX:
        return resolve_suffix(range->length, size, ret, err);
    case PS_R2_RANGE_S3:
        return resolve_s3(range->header, size, ret, err);
    case PS_R2_RANGE_HEADER:
        resolve_header(range->header, size, ret);
        return true;
    case PS_R2_RANGE_NONE:
        return true;
    }
    return true;
}

void ps_r2_content_range(struct ps_buf *buf, const struct ps_r2_span *span, uint64_t size)
{
    ps_buf_printf(buf, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, span->offset,
                  span->offset + span->length - 1, size);
}
