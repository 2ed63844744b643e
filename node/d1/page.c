#include "node/d1/page.h"

#include <string.h>

/* The first format had no restores, and none had happened, and no time. */
enum { HEAD_FORMAT = 2, FIRST_FORMAT = 1, FIRST_SIZE = PS_PAGE_HEAD_SIZE - 12 };

static void put_be32(char *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (char)(value >> (24 - 8 * i));
    }
}

static uint32_t get_be32(const char *in)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value = value << 8 | (uint8_t)in[i];
    }
    return value;
}

static void put_be64(char *out, uint64_t value)
{
    put_be32(out, (uint32_t)(value >> 32));
    put_be32(out + 4, (uint32_t)value);
}

static uint64_t get_be64(const char *in)
{
    return (uint64_t)get_be32(in) << 32 | get_be32(in + 4);
}

void ps_page_key(char out[PS_PAGE_KEY_SIZE], uint32_t page)
{
    put_be32(out, page);
}

bool ps_page_key_read(struct ps_slice key, uint32_t *ret)
{
    if (key.size != PS_PAGE_KEY_SIZE) {
        return false;
    }
    *ret = get_be32(key.data);
    return true;
}

/* format u8, page size u32, page count u32, checksum u64, restores u32, time u64 */
void ps_page_head_write(char out[PS_PAGE_HEAD_SIZE], const struct ps_page_head *head)
{
    out[0] = HEAD_FORMAT;
    put_be32(out + 1, PS_PAGE_SIZE);
    put_be32(out + 5, head->page_count);
    put_be64(out + 9, head->checksum);
    put_be32(out + 17, head->restores);
    put_be64(out + 21, head->unix_ms);
}

enum ps_status ps_page_head_read(struct ps_slice bytes, struct ps_page_head *ret)
{
    *ret = (struct ps_page_head){0};
    if (bytes.size == 0 || bytes.data[0] < FIRST_FORMAT) {
        return PS_CORRUPT;
    }
    if (bytes.data[0] > HEAD_FORMAT) {
        return PS_UNSUPPORTED;
    }
    bool first = bytes.data[0] == FIRST_FORMAT;
    if (bytes.size != (first ? (size_t)FIRST_SIZE : (size_t)PS_PAGE_HEAD_SIZE)) {
        return PS_CORRUPT;
    }
    if (get_be32(bytes.data + 1) != PS_PAGE_SIZE) {
        return PS_UNSUPPORTED;
    }
    ret->page_count = get_be32(bytes.data + 5);
    ret->checksum = get_be64(bytes.data + 9);
    ret->restores = first ? 0 : get_be32(bytes.data + 17);
    ret->unix_ms = first ? 0 : get_be64(bytes.data + 21);
    return PS_OK;
}

uint64_t ps_page_hash(uint32_t page, const char *kept)
{
    char at[PS_PAGE_KEY_SIZE + 8];
    uint64_t hash = ps_slice_hash((struct ps_slice){kept, PS_PAGE_KEPT});
    put_be32(at, page);
    put_be64(at + 4, hash);
    return ps_slice_hash((struct ps_slice){at, sizeof at});
}
