#include "node/map/patch.h"

#include <stdint.h>
#include <string.h>

enum { WORD = sizeof(uint64_t) };

static void put_varint(struct ps_buf *buf, size_t value)
{
    while (value >= 0x80) {
        ps_buf_append_char(buf, (char)(value | 0x80));
        value >>= 7;
    }
    ps_buf_append_char(buf, (char)value);
}

static bool words_equal(const char *a, const char *b, size_t at)
{
    uint64_t one;
    uint64_t other;
    memcpy(&one, a + at, sizeof one);
    memcpy(&other, b + at, sizeof other);
    return one == other;
}

/* The first place from `at` on where they differ; or `size`. */
static size_t differ_at(const char *a, const char *b, size_t at, size_t size)
{
    while (at + WORD <= size && words_equal(a, b, at)) {
        at += WORD;
    }
    while (at < size && a[at] == b[at]) {
        at++;
    }
    return at;
}

/* Where a run that begins at `at` ends: before an equal word, counted from its beginning, or with
 * the value. Single equal bytes within it cost less than another run would. */
static size_t run_end(const char *a, const char *b, size_t at, size_t size)
{
    while (at + WORD <= size && !words_equal(a, b, at)) {
        at += WORD;
    }
    if (at + WORD > size) {
        at = size;
    }
    while (a[at - 1] == b[at - 1]) {
        at--;
    }
    return at;
}

void ps_patch_put(struct ps_buf *buf, const char *now, const char *former, size_t size)
{
    size_t end = 0;
    for (size_t at = differ_at(now, former, 0, size); at < size;
         at = differ_at(now, former, end, size)) {
        size_t skip = at - end;
        end = run_end(now, former, at, size);
        put_varint(buf, skip);
        put_varint(buf, end - at);
        ps_buf_append(buf, now + at, end - at);
    }
}

static bool get_varint(struct ps_slice *from, size_t *ret)
{
    size_t value = 0;
    for (unsigned shift = 0; shift < 35 && from->size > 0; shift += 7) {
        unsigned char byte = (unsigned char)*from->data++;
        from->size--;
        value |= (size_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

enum ps_status ps_patch_apply(struct ps_slice patch, const char *former, char *out, size_t size)
{
    memcpy(out, former, size);
    size_t at = 0;
    while (patch.size > 0) {
        size_t skip;
        size_t run;
        if (!get_varint(&patch, &skip) || !get_varint(&patch, &run) || run == 0 ||
            run > patch.size || skip > size - at || run > size - at - skip) {
            return PS_CORRUPT;
        }
        at += skip;
        memcpy(out + at, patch.data, run);
        at += run;
        patch.data += run;
        patch.size -= run;
    }
    return PS_OK;
}
