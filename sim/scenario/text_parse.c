#include "replication/base/limits.h"
#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/text.h"
#include "sim/scenario/yaml.h"
#include "sim/scenario/zipf.h"

#include <string.h>

enum { ZIPF_EXPONENT_MAX = 100, ARGUMENTS_MAX = 2 };

/* A rank is computed as a double. */
#define ZIPF_RANKS_MAX ((uint64_t)1 << 50)
#define UNIFORM_MAX ((uint64_t)INT64_MAX)

struct parser {
    struct ps_slice source;
    size_t at;
    struct ps_text text;
    size_t capacity;
    struct ps_buf literal; /* collected, not yet a piece */
    struct ps_error *err;
    size_t *ret_at;
};

struct argument {
    struct ps_slice text;
    size_t at;
};

static const struct generator {
    const char *name;
    enum ps_piece_kind kind;
    size_t arguments;
    const char *form;
} GENERATORS[] = {
    {"zipf", PS_PIECE_ZIPF, 2, "{zipf(n, s)}"},
    {"uniform", PS_PIECE_UNIFORM, 2, "{uniform(from, to)}"},
    {"seq", PS_PIECE_SEQ, 0, "{seq}"},
    {"uuid", PS_PIECE_UUID, 0, "{uuid}"},
    {"bytes", PS_PIECE_BYTES, 1, "{bytes(n)}"},
    {"pop", PS_PIECE_POP, 0, "{pop}"},
};

static enum ps_status refuse(struct parser *parser, size_t at, struct ps_slice found,
                             const char *expected)
{
    struct ps_buf text = {0};
    ps_yaml_quote(&text, found);
    *parser->ret_at = at;
    enum ps_status status =
        ps_fail(parser->err, PS_INVALID, "found %s, expected %s", ps_buf_text(&text), expected);
    ps_buf_fini(&text);
    return status;
}

static enum ps_status add(struct parser *parser, const struct ps_piece *piece)
{
    if (parser->text.count == PS_TEXT_PIECES_MAX) {
        free(piece->literal);
        *parser->ret_at = parser->at;
        return ps_fail(parser->err, PS_LIMIT,
                       "found more than %d parts in a text, expected at most %d",
                       (int)PS_TEXT_PIECES_MAX, (int)PS_TEXT_PIECES_MAX);
    }
    parser->text.pieces =
        ps_grow(parser->text.pieces, parser->text.count, &parser->capacity, sizeof *piece);
    parser->text.pieces[parser->text.count++] = *piece;
    return PS_OK;
}

static enum ps_status flush(struct parser *parser)
{
    if (parser->literal.size == 0) {
        return PS_OK;
    }
    struct ps_piece piece = {
        .kind = PS_PIECE_LITERAL,
        .literal = ps_strndup(parser->literal.data, parser->literal.size),
        .literal_size = parser->literal.size,
    };
    parser->literal.size = 0;
    return add(parser, &piece);
}

static struct ps_slice trim(struct ps_slice text, size_t *at)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
        ++*at;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

static enum ps_status read_u64(struct parser *parser, const struct argument *argument,
                               uint64_t least, uint64_t most, const char *expected, uint64_t *ret)
{
    uint64_t value;
    if (!ps_number_u64(argument->text, &value) || value < least || value > most) {
        return refuse(parser, argument->at, argument->text, expected);
    }
    *ret = value;
    return PS_OK;
}

static enum ps_status fill(struct parser *parser, const struct argument *arguments,
                           struct ps_piece *piece)
{
    enum ps_status status = PS_OK;
    if (piece->kind == PS_PIECE_ZIPF) {
        piece->from = 1;
        status = read_u64(parser, &arguments[0], 1, ZIPF_RANKS_MAX,
                          "the number of ranks, an integer from 1 to 2^50", &piece->to);
        if (status == PS_OK && (!ps_number_double(arguments[1].text, &piece->exponent) ||
                                piece->exponent < 0 || piece->exponent > ZIPF_EXPONENT_MAX)) {
            status =
                refuse(parser, arguments[1].at, arguments[1].text, "an exponent from 0 to 100");
        }
        if (status == PS_OK) {
            ps_zipf_prepare(piece);
        }
    } else if (piece->kind == PS_PIECE_UNIFORM) {
        status = read_u64(parser, &arguments[0], 0, UNIFORM_MAX, "an integer from 0 to 2^63 - 1",
                          &piece->from);
        if (status == PS_OK) {
            status = read_u64(parser, &arguments[1], piece->from, UNIFORM_MAX,
                              "an integer not below the first", &piece->to);
        }
    } else if (piece->kind == PS_PIECE_BYTES) {
        status = read_u64(parser, &arguments[0], 1, PS_VALUE_SIZE_MAX,
                          "a number of bytes from 1 to 26214400", &piece->to);
    }
    return status;
}

/** "name(a, b)", the part between braces, which begins at byte `at`. */
static enum ps_status read_generator(struct parser *parser, struct ps_slice inner, size_t at)
{
    struct argument arguments[ARGUMENTS_MAX];
    size_t count = 0;
    const char *open = inner.size > 0 ? memchr(inner.data, '(', inner.size) : NULL;
    struct ps_slice name = inner;
    size_t name_at = at;
    if (open != NULL) {
        name.size = (size_t)(open - inner.data);
    }
    name = trim(name, &name_at);
    const struct generator *generator = NULL;
    for (size_t i = 0; i < sizeof GENERATORS / sizeof *GENERATORS; i++) {
        if (ps_slice_eq(name, ps_slice_of(GENERATORS[i].name))) {
            generator = &GENERATORS[i];
        }
    }
    if (generator == NULL) {
        return refuse(parser, name_at, name,
                      "a generator: zipf(n, s), uniform(from, to), seq, uuid, bytes(n) or pop "
                      "({{ for a brace)");
    }
    size_t end_at = at;
    struct ps_slice whole = trim(inner, &end_at);
    if (open != NULL) {
        if (whole.data[whole.size - 1] != ')') {
            return refuse(parser, name_at, whole, generator->form);
        }
        size_t from = (size_t)(open - inner.data) + 1;
        size_t end = (size_t)(whole.data + whole.size - 1 - inner.data);
        while (from <= end) {
            const char *comma = end > from ? memchr(inner.data + from, ',', end - from) : NULL;
            size_t until = comma != NULL ? (size_t)(comma - inner.data) : end;
            if (count == ARGUMENTS_MAX) {
                return refuse(parser, at + from, whole, generator->form);
            }
            arguments[count].at = at + from;
            arguments[count].text =
                trim((struct ps_slice){inner.data + from, until - from}, &arguments[count].at);
            count++;
            from = until + 1;
        }
    }
    if (count != generator->arguments || (open == NULL) != (generator->arguments == 0)) {
        return refuse(parser, name_at, whole, generator->form);
    }
    struct ps_piece piece = {.kind = generator->kind};
    enum ps_status status = fill(parser, arguments, &piece);
    return status != PS_OK ? status : add(parser, &piece);
}

static enum ps_status read_all(struct parser *parser)
{
    struct ps_slice source = parser->source;
    enum ps_status status = PS_OK;
    while (status == PS_OK && parser->at < source.size) {
        char c = source.data[parser->at];
        bool twice = parser->at + 1 < source.size && source.data[parser->at + 1] == c;
        if ((c == '{' || c == '}') && twice) {
            ps_buf_append_char(&parser->literal, c);
            parser->at += 2;
        } else if (c == '}') {
            status = refuse(parser, parser->at, PS_LIT("}"), "{ before it, or }} for a brace");
        } else if (c == '{') {
            struct ps_slice inner = {source.data + parser->at + 1, source.size - parser->at - 1};
            const char *close = inner.size > 0 ? memchr(inner.data, '}', inner.size) : NULL;
            if (close == NULL) {
                return refuse(parser, parser->at,
                              (struct ps_slice){source.data + parser->at, inner.size + 1},
                              "a closing }, or {{ for a brace");
            }
            inner.size = (size_t)(close - inner.data);
            status = flush(parser);
            if (status == PS_OK) {
                status = read_generator(parser, inner, parser->at + 1);
            }
            parser->at += inner.size + 2;
        } else {
            ps_buf_append_char(&parser->literal, c);
            parser->at++;
        }
    }
    return status == PS_OK ? flush(parser) : status;
}

enum ps_status ps_text_parse(struct ps_slice source, struct ps_text *ret, size_t *ret_at,
                             struct ps_error *err)
{
    *ret_at = 0;
    if (source.size > PS_TEXT_SOURCE_MAX) {
        return ps_fail(err, PS_LIMIT,
                       "found a text of %zu bytes, expected at most %d (use {bytes(n)})",
                       source.size, (int)PS_TEXT_SOURCE_MAX);
    }
    struct parser parser = {.source = source, .err = err, .ret_at = ret_at};
    enum ps_status status = read_all(&parser);
    ps_buf_fini(&parser.literal);
    if (status != PS_OK) {
        ps_text_fini(&parser.text);
        return status;
    }
    *ret = parser.text;
    return PS_OK;
}
