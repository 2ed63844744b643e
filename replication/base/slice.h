/* Bytes: borrowed (`ps_slice`) and owned (`ps_buf`).
 *
 * A slice owns nothing; who keeps one copies it. A buffer grows, is never NUL-terminated unless
 * asked, and is released with ps_buf_fini. */
#ifndef PS_REPLICATION_BASE_SLICE_H
#define PS_REPLICATION_BASE_SLICE_H

#include "replication/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ps_slice {
    const char *data; /* may be NULL when size is 0 */
    size_t size;
};

/** A slice over a string literal. */
#define PS_LIT(text) ((struct ps_slice){(text), sizeof(text) - 1})

struct ps_slice ps_slice_of(const char *text); /* NUL-terminated; NULL gives an empty slice */
bool ps_slice_eq(struct ps_slice a, struct ps_slice b);
/** Byte order, as memcmp, a shorter prefix first. Total. */
int ps_slice_cmp(struct ps_slice a, struct ps_slice b);
bool ps_slice_starts(struct ps_slice text, struct ps_slice prefix);
/** 64-bit hash (XXH3, seed 0): the same on every machine. */
uint64_t ps_slice_hash(struct ps_slice bytes);

struct ps_buf {
    char *data;
    size_t size;
    size_t capacity;
};

void ps_buf_fini(struct ps_buf *buf);                 /* zeroed buffer accepted; leaves it zeroed */
void ps_buf_reserve(struct ps_buf *buf, size_t more); /* room for `more` bytes behind size */
void ps_buf_append(struct ps_buf *buf, const void *data, size_t size);
void ps_buf_append_slice(struct ps_buf *buf, struct ps_slice bytes);
void ps_buf_append_text(struct ps_buf *buf, const char *text);
void ps_buf_append_char(struct ps_buf *buf, char c);
void ps_buf_append_u64(struct ps_buf *buf, uint64_t value); /* decimal */
void ps_buf_printf(struct ps_buf *buf, const char *format, ...) PS_PRINTF(2, 3);
/** Append `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void ps_buf_append_json(struct ps_buf *buf, struct ps_slice text);
struct ps_slice ps_buf_slice(const struct ps_buf *buf);
/** Put a NUL behind the bytes (not counted in size) and give them as a string. */
const char *ps_buf_text(struct ps_buf *buf);

#endif
