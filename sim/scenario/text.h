/* Text with generators: "user:{uniform(1, 100)}", as keys and values in scenarios.
 *
 *   {zipf(n, s)}       1..n, rank r with probability ~ 1/r^s (s >= 0; rejection-inversion, Hormann
 * and Derflinger 1996) {uniform(a, b)}    an integer, both ends included {seq}              1, 2,
 * 3, ... per stream {uuid}             version 4 {bytes(n)}         n random letters and digits
 *   {pop}              the stream's PoP code
 *   {{ and }}          a brace
 *
 * Draw n of a text is a pure function of (seed, stream, n): no generator holds state. The numbers
 * behind it are ps_random_u64(seed, stream, c) with the counter
 *
 *     c = (i + 1) << 60 | w << 36 | n      piece i < 15, word w < 2^24, draw n < 2^36
 *
 * so that no two draws, pieces or words of one text share a number. A rejection sampler (zipf)
 * takes word 0 for its first attempt, 1 for the next; {bytes} takes one for each 20 characters.
 * Counters below 2^60 are the stream's owner's. Two texts of one operation need two streams. */
#ifndef PS_SIM_SCENARIO_TEXT_H
#define PS_SIM_SCENARIO_TEXT_H

#include "replication/base/random.h"
#include "replication/base/status.h"

enum {
    PS_TEXT_PIECES_MAX = 15,
    PS_TEXT_SOURCE_MAX = 64 << 10 /* bytes of a text as written */
};

#define PS_TEXT_DRAWS_MAX ((uint64_t)1 << 36)

enum ps_piece_kind {
    PS_PIECE_LITERAL,
    PS_PIECE_ZIPF,
    PS_PIECE_UNIFORM,
    PS_PIECE_SEQ,
    PS_PIECE_UUID,
    PS_PIECE_BYTES,
    PS_PIECE_POP
};

struct ps_piece {
    enum ps_piece_kind kind;
    char *literal; /* owned */
    size_t literal_size;
    uint64_t from, to;                  /* uniform; zipf: 1..n; bytes: to */
    double exponent;                    /* zipf */
    double zipf_h_x1, zipf_h_n, zipf_s; /* zipf: H(3/2) - 1, H(n + 1/2), width of sure acceptance */
    double *zipf_cells;                 /* zipf: owned; NULL unless prepared (zipf.h) */
};

struct ps_text {
    struct ps_piece *pieces; /* owned */
    size_t count;
};

/** Parse. Errors: PS_INVALID, PS_LIMIT as "found ..., expected ...", with *ret_at the byte of
 * `source` that is wrong (0 on success). *ret is initialised on success only. */
PS_MUST_CHECK enum ps_status ps_text_parse(struct ps_slice source, struct ps_text *ret,
                                           size_t *ret_at, struct ps_error *err);
/** A text without generators, whatever braces it holds. */
void ps_text_init_literal(struct ps_text *text, struct ps_slice literal);
/** Spend 16 KiB for each zipf generator to make its draws three times faster. Ranks of a prepared
 * text may differ from the unprepared one's where two ranks meet, by a part in 10^6. */
void ps_text_prepare(struct ps_text *text);
/** Zeroed text accepted; leaves it zeroed. */
void ps_text_fini(struct ps_text *text);

/** The least and the greatest size in bytes that a draw can have, for PoP codes of three letters.
 */
void ps_text_sizes(const struct ps_text *text, size_t *ret_least, size_t *ret_most);

/** Append the text as it is written in a scenario. */
void ps_text_format(struct ps_buf *buf, const struct ps_text *text);

/** Append draw `n` (from 0; n < PS_TEXT_DRAWS_MAX; {seq} is n + 1). `pop` is the stream's PoP code.
 */
void ps_text_draw(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n,
                  const char *pop, struct ps_buf *ret);

/** Is the text of the form literal, one integer generator (zipf or uniform), literal? Then the
 *  integer alone identifies it, and ps_text_number draws it without making text. */
bool ps_text_is_numbered(const struct ps_text *text, uint64_t *ret_from, uint64_t *ret_to);
uint64_t ps_text_number(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n);
/** Append the text with `number` in the generator's place. */
void ps_text_with_number(const struct ps_text *text, uint64_t number, struct ps_buf *ret);

#endif
