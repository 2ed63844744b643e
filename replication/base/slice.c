#include "replication/base/slice.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <xxhash.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUF_MIN = 64, DECIMAL_DIGITS_MAX = 20 };

struct ps_slice ps_slice_of(const char *text)
{
    return (struct ps_slice){text, text == NULL ? 0 : strlen(text)};
}

bool ps_slice_eq(struct ps_slice a, struct ps_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int ps_slice_cmp(struct ps_slice a, struct ps_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

bool ps_slice_starts(struct ps_slice text, struct ps_slice prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

uint64_t ps_slice_hash(struct ps_slice bytes)
{
    return XXH3_64bits(bytes.size == 0 ? "" : bytes.data, bytes.size);
}

void ps_buf_fini(struct ps_buf *buf)
{
    free(buf->data);
    *buf = (struct ps_buf){0};
}

void ps_buf_reserve(struct ps_buf *buf, size_t more)
{
    size_t needed;
    PS_ASSERT(!__builtin_add_overflow(buf->size, more, &needed));
    if (needed <= buf->capacity) {
        return;
    }
    size_t capacity = buf->capacity < BUF_MIN ? BUF_MIN : buf->capacity;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    buf->data = ps_realloc(buf->data, capacity, 1);
    buf->capacity = capacity;
}

void ps_buf_append(struct ps_buf *buf, const void *data, size_t size)
{
    if (size > 0) {
        ps_buf_reserve(buf, size);
        memcpy(buf->data + buf->size, data, size);
        buf->size += size;
    }
}

void ps_buf_append_slice(struct ps_buf *buf, struct ps_slice bytes)
{
    ps_buf_append(buf, bytes.data, bytes.size);
}

void ps_buf_append_text(struct ps_buf *buf, const char *text)
{
    ps_buf_append(buf, text, strlen(text));
}

void ps_buf_append_char(struct ps_buf *buf, char c)
{
    ps_buf_append(buf, &c, 1);
}

void ps_buf_append_u64(struct ps_buf *buf, uint64_t value)
{
    char digits[DECIMAL_DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    ps_buf_append(buf, digits + at, sizeof digits - at);
}

void ps_buf_printf(struct ps_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    PS_ASSERT(size >= 0);
    ps_buf_reserve(buf, (size_t)size + 1);
    (void)vsnprintf(buf->data + buf->size, (size_t)size + 1, format, again);
    va_end(again);
    buf->size += (size_t)size;
}

struct ps_slice ps_buf_slice(const struct ps_buf *buf)
{
    return (struct ps_slice){buf->data, buf->size};
}

const char *ps_buf_text(struct ps_buf *buf)
{
    ps_buf_reserve(buf, 1);
    buf->data[buf->size] = '\0';
    return buf->data;
}

/* Bytes of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 if there is none. */
static size_t utf8_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) {
        return 1;
    }
    size_t size = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || left < size) {
        return 0;
    }
    unsigned char low = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

static void append_json_ascii(struct ps_buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
        ps_buf_append(buf, "\\\"", 2);
        break;
    case '\\':
        ps_buf_append(buf, "\\\\", 2);
        break;
    case '\n':
        ps_buf_append(buf, "\\n", 2);
        break;
    case '\r':
        ps_buf_append(buf, "\\r", 2);
        break;
    case '\t':
        ps_buf_append(buf, "\\t", 2);
        break;
    default:
        if (c < 0x20 || c == 0x7F) {
            ps_buf_printf(buf, "\\u%04x", c);
        } else {
            ps_buf_append(buf, &c, 1);
        }
    }
}

void ps_buf_append_json(struct ps_buf *buf, struct ps_slice text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    ps_buf_append_char(buf, '"');
    for (size_t at = 0; at < text.size;) {
        size_t size = utf8_size(bytes + at, text.size - at);
        if (size == 1) {
            append_json_ascii(buf, bytes[at]);
        } else if (size == 0) {
            ps_buf_append_text(buf, "\xEF\xBF\xBD");
            size = 1;
        } else {
            ps_buf_append(buf, bytes + at, size);
        }
        at += size;
    }
    ps_buf_append_char(buf, '"');
}
