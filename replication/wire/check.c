#include "replication/wire/record.h"

/* msgpack's lengths: how many bytes of length follow the type byte, what is counted. */
struct shape {
    size_t length_bytes; /* big-endian count behind the type byte */
    size_t body;         /* bytes that follow regardless */
    size_t items;        /* objects that follow regardless */
    bool counts_bytes;   /* the count is of bytes */
    size_t counts_items; /* objects per unit of the count */
};

/* Fixed-width types (nil, booleans, numbers, fixext) and those with a length behind the type byte.
 */
static bool wide_shape(uint8_t type, struct shape *ret)
{
    static const uint8_t number_sizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* 0xca .. 0xd3 */
    if (type == 0xc0 || type == 0xc2 || type == 0xc3) {
        return true;
    }
    if (type >= 0xc4 && type <= 0xc6) { /* bin 8, 16, 32 */
        *ret = (struct shape){.length_bytes = (size_t)1 << (type - 0xc4), .counts_bytes = true};
        return true;
    }
    if (type >= 0xc7 && type <= 0xc9) { /* ext 8, 16, 32: one byte of ext type besides */
        *ret = (struct shape){
            .length_bytes = (size_t)1 << (type - 0xc7), .body = 1, .counts_bytes = true};
        return true;
    }
    if (type >= 0xca && type <= 0xd3) {
        ret->body = number_sizes[type - 0xca];
        return true;
    }
    if (type >= 0xd4 && type <= 0xd8) { /* fixext 1 .. 16 */
        ret->body = 1 + ((size_t)1 << (type - 0xd4));
        return true;
    }
    if (type >= 0xd9 && type <= 0xdb) { /* str 8, 16, 32 */
        *ret = (struct shape){.length_bytes = (size_t)1 << (type - 0xd9), .counts_bytes = true};
        return true;
    }
    if (type == 0xdc || type == 0xdd) { /* array 16, 32 */
        *ret = (struct shape){.length_bytes = (size_t)2 << (type - 0xdc), .counts_items = 1};
        return true;
    }
    if (type == 0xde || type == 0xdf) { /* map 16, 32 */
        *ret = (struct shape){.length_bytes = (size_t)2 << (type - 0xde), .counts_items = 2};
        return true;
    }
    return false; /* 0xc1 is never used */
}

static bool shape_of(uint8_t type, struct shape *ret)
{
    *ret = (struct shape){.body = 0};
    if (type <= 0x7f || type >= 0xe0) { /* fixint */
        return true;
    }
    if (type <= 0x8f) { /* fixmap */
        ret->items = 2 * (size_t)(type & 0x0f);
        return true;
    }
    if (type <= 0x9f) { /* fixarray */
        ret->items = type & 0x0f;
        return true;
    }
    if (type <= 0xbf) { /* fixstr */
        ret->body = type & 0x1f;
        return true;
    }
    return wide_shape(type, ret);
}

/* One object's head: moves `*at` behind it and its bytes, gives how many objects it contains. */
static bool step(struct ps_slice bytes, size_t *at, size_t *ret_items)
{
    struct shape shape;
    if (!shape_of((uint8_t)bytes.data[*at], &shape)) {
        return false;
    }
    size_t next = *at + 1;
    if (shape.length_bytes > bytes.size - next) {
        return false;
    }
    uint64_t count = 0;
    for (size_t i = 0; i < shape.length_bytes; i++) {
        count = count << 8 | (uint8_t)bytes.data[next++];
    }
    uint64_t skip = shape.body + (shape.counts_bytes ? count : 0); /* count < 2^32: cannot wrap */
    if (skip > bytes.size - next) {
        return false;
    }
    next += skip;
    uint64_t items = shape.items + shape.counts_items * count;
    /* Each object takes a byte at least; a library would reserve memory for the declared count. */
    if (items > bytes.size - next || items > PS_ENTRIES_MAX) {
        return false;
    }
    *at = next;
    *ret_items = (size_t)items;
    return true;
}

enum ps_status ps_wire_check(struct ps_slice bytes)
{
    size_t left[PS_NESTING_MAX + 1] = {1}; /* objects still to come, by depth */
    size_t depth = 0;
    size_t at = 0;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0) {
                return at == bytes.size ? PS_OK : PS_CORRUPT;
            }
            depth--;
        }
        size_t items;
        if (at == bytes.size || !step(bytes, &at, &items)) {
            return PS_CORRUPT;
        }
        left[depth]--;
        if (items > 0) {
            if (depth == PS_NESTING_MAX) {
                return PS_CORRUPT;
            }
            left[++depth] = items;
        }
    }
}
