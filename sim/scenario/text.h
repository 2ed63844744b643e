/* Text with generators: "user:{uniform(1, 100)}", as keys and values in scenarios.
 *
 *   {zipf(n, s)}       1..n, rank r with probability ~ 1/r^s (s >= 0; rejection-inversion, Hormann and
 *                      Derflinger 1996)
 *   {uniform(a, b)}    an integer, both ends included
 *   {seq}              1, 2, 3, ... per stream
 *   {uuid}             version 4
 *   {bytes(n)}         n random letters and digits
 *   {pop}              the stream's PoP code
 *   {{ and }}          a brace
 *
 * Draw n of a text is a pure function of (seed, stream, n). */
#ifndef PS_SIM_SCENARIO_TEXT_H
#define PS_SIM_SCENARIO_TEXT_H

#include "replication/base/random.h"
#include "replication/base/status.h"

enum ps_piece_kind { PS_PIECE_LITERAL, PS_PIECE_ZIPF, PS_PIECE_UNIFORM, PS_PIECE_SEQ, PS_PIECE_UUID, PS_PIECE_BYTES, PS_PIECE_POP };

struct ps_piece {
    enum ps_piece_kind kind;
    char *literal; /* owned */
    size_t literal_size;
    uint64_t from, to; /* uniform; zipf: 1..n; bytes: to */
    double exponent;   /* zipf */
    double zipf_h_x1, zipf_h_n, zipf_s; /* zipf: precomputed */
};

struct ps_text {
    struct ps_piece *pieces; /* owned */
    size_t count;
};

/** Parse. Errors: PS_INVALID, with *ret_at the byte that is wrong. */
PS_MUST_CHECK enum ps_status ps_text_parse(struct ps_slice source, struct ps_text *ret, size_t *ret_at,
                                           struct ps_error *err);
void ps_text_fini(struct ps_text *text);

/** Append draw `n`. `pop` is the stream's PoP code. Piece i draws from numbers that no other piece
 *  or draw uses. */
void ps_text_draw(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n, const char *pop,
                  struct ps_buf *ret);

/** Is the text of the form literal, one integer generator (zipf or uniform), literal? Then the
 *  integer alone identifies it, and ps_text_number draws it without making text. */
bool ps_text_is_numbered(const struct ps_text *text, uint64_t *ret_from, uint64_t *ret_to);
uint64_t ps_text_number(const struct ps_text *text, uint64_t seed, ps_stream stream, uint64_t n);
/** Append the text with `number` in the generator's place. */
void ps_text_with_number(const struct ps_text *text, uint64_t number, struct ps_buf *ret);

#endif
