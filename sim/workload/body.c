#include "sim/workload/body.h"

#include "replication/base/random.h"

#include <string.h>

enum { WORD = 8 };

bool ps_body_is_large(const struct ps_body *body)
{
    return body->size >= PS_BODY_LARGE;
}

static void put_word(char at[WORD], uint64_t word)
{
    for (int i = 0; i < WORD; i++) {
        at[i] = (char)(word >> (8 * i) & 0xff);
    }
}

/* The first word is the seed, by which the body is known again. */
static uint64_t word_at(const struct ps_body *body, uint64_t index)
{
    return index == 0 ? body->seed : ps_random_u64(body->seed, 0, index);
}

void ps_body_bytes(const struct ps_body *body, uint64_t offset, size_t size, struct ps_buf *ret)
{
    ps_buf_reserve(ret, size + WORD);
    for (size_t at = 0; at < size; at += WORD) {
        char word[WORD];
        put_word(word, word_at(body, (offset + at) / WORD));
        ps_buf_append(ret, word, size - at < WORD ? size - at : WORD);
    }
}

uint64_t ps_body_digest(const struct ps_body *body)
{
    if (!ps_body_is_large(body)) {
        struct ps_buf bytes = {0};
        ps_body_bytes(body, 0, (size_t)body->size, &bytes);
        uint64_t digest = ps_slice_hash(ps_buf_slice(&bytes));
        ps_buf_fini(&bytes);
        return digest;
    }
    char words[2 * WORD];
    put_word(words, body->seed);
    put_word(words + WORD, body->size);
    return ps_slice_hash((struct ps_slice){words, sizeof words});
}

static bool is_made_of(struct ps_slice bytes, const struct ps_body *body)
{
    for (size_t at = 0; at < bytes.size; at += WORD) {
        char word[WORD];
        put_word(word, word_at(body, at / WORD));
        if (memcmp(bytes.data + at, word, bytes.size - at < WORD ? bytes.size - at : WORD) != 0) {
            return false;
        }
    }
    return true;
}

uint64_t ps_body_digest_of(struct ps_slice bytes)
{
    struct ps_body body = {.size = bytes.size};
    if (!ps_body_is_large(&body)) {
        return ps_slice_hash(bytes);
    }
    for (int i = WORD - 1; i >= 0; i--) {
        body.seed = body.seed << 8 | (unsigned char)bytes.data[i];
    }
    return is_made_of(bytes, &body) ? ps_body_digest(&body) : ps_slice_hash(bytes);
}
