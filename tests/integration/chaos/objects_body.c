/* An object's bytes as a function of its number. */
#include "replication/base/memory.h"
#include "tests/integration/chaos/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 17, MULTIPART_OF = 24, LARGE_OF = 3, HUGE_OF = 16 };

static uint64_t word_of(uint64_t number, uint64_t i)
{
    return ps_random_u64(number, 1, i);
}

bool object_is_multipart(uint64_t number)
{
    return word_of(number, 0) % MULTIPART_OF == 0;
}

/* Bodies in the map, and in files of one write and of many. */
static size_t size_of(uint64_t number)
{
    uint64_t word = word_of(number, 1);
    size_t within = (size_t)(word >> 32);
    if (object_is_multipart(number)) {
        return PART_SIZE + 1 + within % 100000;
    }
    if (word % HUGE_OF == 0) {
        return 500000 + within % 1000000;
    }
    return word % LARGE_OF == 0 ? 16000 + within % 100000 : NUMBER_SIZE + within % 10000;
}

void object_body(struct ps_buf *buf, uint64_t number)
{
    size_t size = size_of(number);
    ps_buf_reserve(buf, size + 8);
    ps_buf_printf(buf, "%016" PRIx64 "\n", number);
    uint64_t state = word_of(number, 2) | 1;
    for (size_t at = NUMBER_SIZE; at < size; at += 8) {
        state ^= state << 13; /* Marsaglia's xorshift64 */
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(buf->data + at, &state, 8);
    }
    buf->size = size;
}

uint64_t object_number(struct ps_slice body)
{
    char text[NUMBER_SIZE] = {0};
    if (body.size < NUMBER_SIZE || body.data[NUMBER_SIZE - 1] != '\n') {
        return 0;
    }
    memcpy(text, body.data, NUMBER_SIZE - 1);
    return strtoull(text, NULL, 16);
}

static void md5_of(struct ps_slice bytes, uint8_t ret[PS_R2_ID_SIZE])
{
    struct ps_r2_checksums sums;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), bytes, &sums);
    memcpy(ret, sums.bytes[PS_R2_MD5], PS_R2_ID_SIZE);
}

void object_etag(uint64_t number, struct ps_slice body, char ret[PS_R2_ETAG_SIZE])
{
    uint8_t md5s[2][PS_R2_ID_SIZE];
    if (!object_is_multipart(number)) {
        md5_of(body, md5s[0]);
        ps_r2_etag_of_md5(md5s[0], ret);
        return;
    }
    md5_of((struct ps_slice){body.data, PART_SIZE}, md5s[0]);
    md5_of((struct ps_slice){body.data + PART_SIZE, body.size - PART_SIZE}, md5s[1]);
    ps_r2_etag_of_parts((const uint8_t(*)[PS_R2_ID_SIZE])md5s, 2, ret);
}

uint64_t object_value(struct ps_slice etag)
{
    return ps_slice_hash(etag) | 1;
}
