#include "sim/live/d1_answer.h"

#include <jansson.h>

#include <string.h>

/* The digest is of bytes as they came, which no parser of JSON gives: so values are only told apart
 * here, by quotes and brackets, and those that are looked at are read by one. */
struct cursor {
    const char *at;
    const char *end;
    bool broken;
};

static char peek(struct cursor *cursor)
{
    while (cursor->at < cursor->end && memchr(" \t\r\n", *cursor->at, 4) != NULL) {
        cursor->at++;
    }
    return cursor->at < cursor->end ? *cursor->at : '\0';
}

static bool take(struct cursor *cursor, char wanted)
{
    if (peek(cursor) != wanted || cursor->at == cursor->end) {
        cursor->broken = true;
        return false;
    }
    cursor->at++;
    return true;
}

static void skip_string(struct cursor *cursor)
{
    cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        bool escape = *cursor->at == '\\' && cursor->end - cursor->at > 1;
        cursor->at += escape ? 2 : 1;
    }
    if (cursor->at >= cursor->end) {
        cursor->at = cursor->end;
        cursor->broken = true;
        return;
    }
    cursor->at++;
}

static void skip_nested(struct cursor *cursor)
{
    size_t depth = 0;
    do {
        char c = *cursor->at;
        if (c == '"') {
            skip_string(cursor);
            continue;
        }
        depth += c == '{' || c == '[' ? 1 : 0;
        depth -= c == '}' || c == ']' ? 1 : 0;
        cursor->at++;
    } while (depth > 0 && cursor->at < cursor->end);
    cursor->broken = cursor->broken || depth > 0;
}

static struct ps_slice take_value(struct cursor *cursor)
{
    char c = peek(cursor);
    const char *begin = cursor->at;
    if (c == '"') {
        skip_string(cursor);
    } else if (c == '{' || c == '[') {
        skip_nested(cursor);
    } else {
        while (cursor->at < cursor->end && memchr(",]} \t\r\n", *cursor->at, 7) == NULL) {
            cursor->at++;
        }
    }
    cursor->broken = cursor->broken || cursor->at == begin;
    return (struct ps_slice){begin, (size_t)(cursor->at - begin)};
}

/* Give the next member of an object; false behind the last. `cursor` stands behind the '{' or a
 * member. */
static bool next_member(struct cursor *cursor, struct ps_slice *ret_name, struct ps_slice *ret)
{
    if (peek(cursor) == ',') {
        cursor->at++;
    }
    if (cursor->broken || peek(cursor) != '"') {
        (void)take(cursor, '}');
        return false;
    }
    struct ps_slice quoted = take_value(cursor);
    if (cursor->broken || !take(cursor, ':')) {
        return false;
    }
    *ret_name = (struct ps_slice){quoted.data + 1, quoted.size - 2};
    *ret = take_value(cursor);
    return !cursor->broken;
}

static bool read_count(struct ps_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret += value;
    return text.size > 0;
}

static bool read_meta(struct ps_slice meta, struct ps_live_d1_answer *answer)
{
    struct cursor cursor = {meta.data, meta.data + meta.size, false};
    struct ps_slice name;
    struct ps_slice value;
    int found = 0;
    bool good = take(&cursor, '{');
    while (good && next_member(&cursor, &name, &value)) {
        if (ps_slice_eq(name, PS_LIT("rows_read"))) {
            good = read_count(value, &answer->rows_read);
            found++;
        } else if (ps_slice_eq(name, PS_LIT("rows_written"))) {
            good = read_count(value, &answer->rows_written);
            found++;
        }
    }
    return good && !cursor.broken && found == 2;
}

static bool read_words(struct ps_slice text, struct ps_buf *ret)
{
    json_t *words = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool good = json_is_string(words);
    if (good) {
        ps_buf_append(ret, json_string_value(words), json_string_length(words));
    }
    json_decref(words);
    return good;
}

/* One object: a result, or a failure. `digested` takes what the digest is of. */
static bool read_object(struct cursor *cursor, struct ps_live_d1_answer *answer,
                        struct ps_buf *digested)
{
    struct ps_slice name;
    struct ps_slice value;
    bool success = false;
    bool results = false;
    bool meta = false;
    bool good = take(cursor, '{');
    while (good && next_member(cursor, &name, &value)) {
        if (ps_slice_eq(name, PS_LIT("success"))) {
            success = ps_slice_eq(value, PS_LIT("true"));
        } else if (ps_slice_eq(name, PS_LIT("results"))) {
            results = true;
            ps_buf_append_slice(digested, value);
            ps_buf_append_char(digested, '\0');
        } else if (ps_slice_eq(name, PS_LIT("meta"))) {
            meta = true;
            good = read_meta(value, answer);
        } else if (ps_slice_eq(name, PS_LIT("error"))) {
            answer->failed = true;
            good = read_words(value, &answer->error);
        }
    }
    return good && !cursor->broken &&
           (answer->failed ? !success && !results : success && results && meta);
}

static bool read_body(struct cursor *cursor, struct ps_live_d1_answer *answer,
                      struct ps_buf *digested)
{
    if (peek(cursor) != '[') {
        return read_object(cursor, answer, digested) && peek(cursor) == '\0';
    }
    cursor->at++;
    bool good = true;
    while (good && peek(cursor) != ']') {
        good = read_object(cursor, answer, digested) && !answer->failed;
        good = good && (peek(cursor) == ']' || take(cursor, ','));
    }
    return good && take(cursor, ']') && peek(cursor) == '\0';
}

enum ps_status ps_live_d1_answer_read(struct ps_slice body, struct ps_live_d1_answer *ret,
                                      struct ps_error *err)
{
    const char *data = body.size == 0 ? "" : body.data;
    struct cursor cursor = {data, data + body.size, false};
    struct ps_buf digested = {0};
    *ret = (struct ps_live_d1_answer){0};
    if (!read_body(&cursor, ret, &digested)) {
        ps_live_d1_answer_fini(ret);
        ps_buf_fini(&digested);
        return ps_fail(err, PS_CORRUPT, "a database's answer that cannot be read: %.*s",
                       (int)(body.size < 80 ? body.size : 80), data);
    }
    ret->digest = ps_slice_hash(ps_buf_slice(ret->failed ? &ret->error : &digested));
    ps_buf_fini(&digested);
    return PS_OK;
}

void ps_live_d1_answer_fini(struct ps_live_d1_answer *answer)
{
    ps_buf_fini(&answer->error);
    *answer = (struct ps_live_d1_answer){0};
}
