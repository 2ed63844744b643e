#include "sim/scenario/text.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/base/time.h"
#include "sim/scenario/zipf.h"

#include <string.h>

/* The counter's layout; see text.h. */
enum { WORD_SHIFT = 36, PIECE_SHIFT = 60 };

/* 62 characters carry less than 6 bits: a 64-bit word gives ten. */
enum { BYTES_PER_WORD = 10, BYTES_PER_DRAW = 2 * BYTES_PER_WORD };

static const char LETTERS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static uint64_t counter_of(size_t piece, uint64_t word, uint64_t n)
{
    return (uint64_t)(piece + 1) << PIECE_SHIFT | word << WORD_SHIFT | n;
}

/** The integer that piece `index` (zipf or uniform) draws. */
static uint64_t draw_number(const struct ps_piece *piece, size_t index, uint64_t seed,
                            ps_stream stream, uint64_t n)
{
    if (piece->kind == PS_PIECE_UNIFORM) {
        uint64_t word = ps_random_u64(seed, stream, counter_of(index, 0, n));
        return piece->from + ps_below(word, piece->to - piece->from + 1);
    }
    /* More than one attempt is rare and a thousand are impossible; the bound makes the loop end. */
    for (uint64_t attempt = 0; attempt < 1024; attempt++) {
        uint64_t word = ps_random_u64(seed, stream, counter_of(index, attempt, n));
        uint64_t rank = ps_zipf_attempt(piece, ps_unit_of(word));
        if (rank != 0) {
            return rank;
        }
    }
    return 1;
}

static void draw_bytes(const struct ps_piece *piece, size_t index, uint64_t seed, ps_stream stream,
                       uint64_t n, struct ps_buf *ret)
{
    ps_buf_reserve(ret, piece->to);
    uint64_t left = piece->to;
    for (uint64_t word = 0; left > 0; word++) {
        uint64_t words[2];
        ps_random_u64x2(seed, stream, counter_of(index, word, n), words);
        for (size_t i = 0; i < BYTES_PER_DRAW && left > 0; i++, left--) {
            /* The next digit in base 62 of the word as a fraction. */
            ps_u128 product = (ps_u128)words[i / BYTES_PER_WORD] * (sizeof LETTERS - 1);
            ret->data[ret->size++] = LETTERS[(size_t)(product >> 64)];
            words[i / BYTES_PER_WORD] = (uint64_t)product;
        }
    }
}

static void draw_uuid(size_t index, uint64_t seed, ps_stream stream, uint64_t n, struct ps_buf *ret)
{
    uint64_t words[2];
    ps_random_u64x2(seed, stream, counter_of(index, 0, n), words);
    words[0] = (words[0] & ~(uint64_t)0xf000) | 0x4000;               /* version 4 */
    words[1] = (words[1] & ~((uint64_t)3 << 62)) | (uint64_t)1 << 63; /* RFC 9562's variant */
    static const char HEX[] = "0123456789abcdef";
    for (unsigned digit = 0; digit < 32; digit++) {
        if (digit == 8 || digit == 12 || digit == 16 || digit == 20) {
            ps_buf_append_char(ret, '-');
        }
        ps_buf_append_char(ret, HEX[words[digit / 16] >> (60 - digit % 16 * 4) & 15]);
    }
}

void ps_text_draw(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n,
                  const char *pop, struct ps_buf *ret)
{
    PS_ASSERT(n < PS_TEXT_DRAWS_MAX);
    for (size_t i = 0; i < text->count; i++) {
        const struct ps_piece *piece = &text->pieces[i];
        switch (piece->kind) {
        case PS_PIECE_LITERAL:
            ps_buf_append(ret, piece->literal, piece->literal_size);
            break;
        case PS_PIECE_ZIPF:
        case PS_PIECE_UNIFORM:
            ps_buf_append_u64(ret, draw_number(piece, i, seed, stream, n));
            break;
        case PS_PIECE_SEQ:
            ps_buf_append_u64(ret, n + 1);
            break;
        case PS_PIECE_UUID:
            draw_uuid(i, seed, stream, n, ret);
            break;
        case PS_PIECE_BYTES:
            draw_bytes(piece, i, seed, stream, n, ret);
            break;
        case PS_PIECE_POP:
            ps_buf_append_text(ret, pop);
            break;
        }
    }
}

/** The place of the only generator, if it is zipf or uniform; text->count if it is not so. */
static size_t numbered_at(const struct ps_text *text)
{
    size_t at = text->count;
    for (size_t i = 0; i < text->count; i++) {
        enum ps_piece_kind kind = text->pieces[i].kind;
        if (kind == PS_PIECE_LITERAL) {
            continue;
        }
        if (at < text->count || (kind != PS_PIECE_ZIPF && kind != PS_PIECE_UNIFORM)) {
            return text->count;
        }
        at = i;
    }
    return at;
}

bool ps_text_is_numbered(const struct ps_text *text, uint64_t *ret_from, uint64_t *ret_to)
{
    size_t at = numbered_at(text);
    if (at == text->count) {
        return false;
    }
    *ret_from = text->pieces[at].from;
    *ret_to = text->pieces[at].to;
    return true;
}

uint64_t ps_text_number(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n)
{
    /* Literals stand only before and behind: the generator is the first or the second piece. */
    size_t at = text->pieces[0].kind == PS_PIECE_LITERAL ? 1 : 0;
    return draw_number(&text->pieces[at], at, seed, stream, n);
}

void ps_text_with_number(const struct ps_text *text, uint64_t number, struct ps_buf *ret)
{
    for (size_t i = 0; i < text->count; i++) {
        const struct ps_piece *piece = &text->pieces[i];
        if (piece->kind == PS_PIECE_LITERAL) {
            ps_buf_append(ret, piece->literal, piece->literal_size);
        } else {
            ps_buf_append_u64(ret, number);
        }
    }
}

static size_t digits_of(uint64_t value)
{
    size_t digits = 1;
    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

void ps_text_sizes(const struct ps_text *text, size_t *ret_least, size_t *ret_most)
{
    size_t least = 0, most = 0;
    for (size_t i = 0; i < text->count; i++) {
        const struct ps_piece *piece = &text->pieces[i];
        switch (piece->kind) {
        case PS_PIECE_LITERAL:
            least += piece->literal_size;
            most += piece->literal_size;
            break;
        case PS_PIECE_ZIPF:
        case PS_PIECE_UNIFORM:
            least += digits_of(piece->from);
            most += digits_of(piece->to);
            break;
        case PS_PIECE_SEQ:
            least += 1;
            most += digits_of(PS_TEXT_DRAWS_MAX);
            break;
        case PS_PIECE_UUID:
            least += 36;
            most += 36;
            break;
        case PS_PIECE_BYTES:
            least += (size_t)piece->to;
            most += (size_t)piece->to;
            break;
        case PS_PIECE_POP:
            least += 3;
            most += 3;
            break;
        }
    }
    *ret_least = least;
    *ret_most = most;
}

void ps_text_format(struct ps_buf *buf, const struct ps_text *text)
{
    for (size_t i = 0; i < text->count; i++) {
        const struct ps_piece *piece = &text->pieces[i];
        switch (piece->kind) {
        case PS_PIECE_LITERAL:
            for (size_t at = 0; at < piece->literal_size; at++) {
                char c = piece->literal[at];
                ps_buf_append_char(buf, c);
                if (c == '{' || c == '}') {
                    ps_buf_append_char(buf, c);
                }
            }
            break;
        case PS_PIECE_ZIPF:
            ps_buf_printf(buf, "{zipf(%llu, %.15g)}", (unsigned long long)piece->to,
                          piece->exponent);
            break;
        case PS_PIECE_UNIFORM:
            ps_buf_printf(buf, "{uniform(%llu, %llu)}", (unsigned long long)piece->from,
                          (unsigned long long)piece->to);
            break;
        case PS_PIECE_SEQ:
            ps_buf_append_text(buf, "{seq}");
            break;
        case PS_PIECE_UUID:
            ps_buf_append_text(buf, "{uuid}");
            break;
        case PS_PIECE_BYTES:
            ps_buf_printf(buf, "{bytes(%llu)}", (unsigned long long)piece->to);
            break;
        case PS_PIECE_POP:
            ps_buf_append_text(buf, "{pop}");
            break;
        }
    }
}

void ps_text_init_literal(struct ps_text *text, struct ps_slice literal)
{
    *text = (struct ps_text){0};
    if (literal.size > 0) {
        text->pieces = PS_NEW(struct ps_piece);
        text->pieces[0].literal = ps_strndup(literal.data, literal.size);
        text->pieces[0].literal_size = literal.size;
        text->count = 1;
    }
}

void ps_text_prepare(struct ps_text *text)
{
    for (size_t i = 0; i < text->count; i++) {
        if (text->pieces[i].kind == PS_PIECE_ZIPF && text->pieces[i].zipf_cells == NULL) {
            ps_zipf_tabulate(&text->pieces[i]);
        }
    }
}

void ps_text_fini(struct ps_text *text)
{
    for (size_t i = 0; i < text->count; i++) {
        free(text->pieces[i].literal);
        free(text->pieces[i].zipf_cells);
    }
    free(text->pieces);
    *text = (struct ps_text){0};
}
