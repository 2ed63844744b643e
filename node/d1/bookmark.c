#include "node/d1/bookmark.h"

#include "replication/base/assert.h"

#include <string.h>

enum { EPOCH_SHIFT = 12 };

static void put_hex(char **out, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        *(*out)++ = "0123456789abcdef"[value >> (4 * (i - 1)) & 0xF];
    }
}

void ps_bookmark_write(char out[PS_BOOKMARK_SIZE], const struct ps_bookmark *bookmark)
{
    PS_ASSERT(bookmark->epoch <= PS_BOOKMARK_EPOCH_MAX && bookmark->lsn <= PS_BOOKMARK_LSN_MAX);
    char *at = out;
    put_hex(&at, (uint64_t)bookmark->epoch << EPOCH_SHIFT | bookmark->lsn >> 32, 8);
    *at++ = '-';
    put_hex(&at, bookmark->lsn & UINT32_MAX, 8);
    *at++ = '-';
    put_hex(&at, bookmark->day, 8);
    *at++ = '-';
    for (size_t i = 0; i < PS_BOOKMARK_HASH_SIZE; i++) {
        put_hex(&at, bookmark->hash[i], 2);
    }
    PS_ASSERT(at == out + PS_BOOKMARK_SIZE);
}

static bool get_hex(const char **from, unsigned digits, uint32_t *ret)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = *(*from)++;
        bool decimal = c >= '0' && c <= '9';
        if (!decimal && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        value = value << 4 | (uint32_t)(decimal ? c - '0' : c - 'a' + 10);
    }
    *ret = value;
    return true;
}

enum ps_status ps_bookmark_read(struct ps_slice text, struct ps_bookmark *ret)
{
    *ret = (struct ps_bookmark){0};
    if (text.size != PS_BOOKMARK_SIZE) {
        return PS_INVALID;
    }
    const char *from = text.data;
    uint32_t fields[3];
    for (size_t i = 0; i < 3; i++) {
        if (!get_hex(&from, 8, &fields[i]) || *from++ != '-') {
            return PS_INVALID;
        }
    }
    struct ps_bookmark bookmark = {
        .epoch = fields[0] >> EPOCH_SHIFT,
        .lsn = (uint64_t)(fields[0] & ((1U << EPOCH_SHIFT) - 1)) << 32 | fields[1],
        .day = fields[2],
    };
    for (size_t i = 0; i < PS_BOOKMARK_HASH_SIZE; i++) {
        uint32_t byte;
        if (!get_hex(&from, 2, &byte)) {
            return PS_INVALID;
        }
        bookmark.hash[i] = (uint8_t)byte;
    }
    *ret = bookmark;
    return PS_OK;
}

int ps_bookmark_cmp(const struct ps_bookmark *a, const struct ps_bookmark *b)
{
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->lsn != b->lsn) {
        return a->lsn < b->lsn ? -1 : 1;
    }
    if (a->day != b->day) {
        return a->day < b->day ? -1 : 1;
    }
    return memcmp(a->hash, b->hash, sizeof a->hash);
}
