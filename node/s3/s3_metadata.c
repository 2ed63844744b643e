#include "node/s3/s3_internal.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

#define PREFIX "x-amz-meta-"

/* ---- RFC 2047 ---- */

/* The part up to the next "?", which is cut off with it. */
static bool cut_part(struct ps_slice *rest, struct ps_slice *ret)
{
    const char *mark = rest->size == 0 ? NULL : memchr(rest->data, '?', rest->size);
    if (mark == NULL) {
        return false;
    }
    *ret = (struct ps_slice){rest->data, (size_t)(mark - rest->data)};
    *rest = (struct ps_slice){mark + 1, rest->size - ret->size - 1};
    return true;
}

static bool same_word(struct ps_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* The Q encoding: "_" is a space, =XX a byte. */
static bool decode_q(struct ps_buf *into, struct ps_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        uint8_t byte = (uint8_t)(c == '_' ? ' ' : c);
        if (c == '=') {
            if (text.size - i < 3 ||
                !ps_r2_unhex((struct ps_slice){text.data + i + 1, 2}, &byte, 1)) {
                return false;
            }
            i += 2;
        }
        ps_buf_append_char(into, (char)byte);
    }
    return true;
}

static bool decode_b(struct ps_buf *into, struct ps_slice text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=') {
        padding++;
    }
    if (text.size % 4 != 0) {
        return false;
    }
    size_t size = text.size / 4 * 3 - padding;
    ps_buf_reserve(into, size + 1);
    if (size > 0 && !ps_r2_unbase64(text, (uint8_t *)into->data + into->size, size)) {
        return false;
    }
    into->size += size;
    return true;
}

/* Latin-1 that stands in `into` from `from` on, as UTF-8. */
static void from_latin(struct ps_buf *into, size_t from)
{
    struct ps_buf text = {0};
    for (size_t i = from; i < into->size; i++) {
        uint8_t c = (uint8_t)into->data[i];
        if (c >= 0x80) {
            ps_buf_append_char(&text, (char)(0xc0 | c >> 6));
            c = (uint8_t)(0x80 | (c & 0x3f));
        }
        ps_buf_append_char(&text, (char)c);
    }
    into->size = from;
    ps_buf_append_slice(into, ps_buf_slice(&text));
    ps_buf_fini(&text);
}

/* One encoded word at the front of *text, "=?charset?B?...?=": appends what it says and takes it.
 */
static bool take_word(struct ps_buf *into, struct ps_slice *text)
{
    struct ps_slice charset;
    struct ps_slice encoding;
    struct ps_slice encoded;
    size_t before = into->size;
    if (!ps_slice_starts(*text, PS_LIT("=?"))) {
        return false;
    }
    struct ps_slice rest = {text->data + 2, text->size - 2};
    bool word = cut_part(&rest, &charset) && cut_part(&rest, &encoding) &&
                cut_part(&rest, &encoded) && rest.size > 0 && *rest.data == '=';
    bool latin = word && same_word(charset, "iso-8859-1");
    bool known = latin || (word && (same_word(charset, "utf-8") || same_word(charset, "us-ascii")));
    bool decoded = known && ((same_word(encoding, "B") && decode_b(into, encoded)) ||
                             (same_word(encoding, "Q") && decode_q(into, encoded)));
    if (!decoded) {
        into->size = before;
        return false;
    }
    if (latin) {
        from_latin(into, before);
    }
    *text = (struct ps_slice){rest.data + 1, rest.size - 1};
    return true;
}

void ps_s3_words_decode(struct ps_buf *into, struct ps_slice text)
{
    bool after_word = false;
    while (text.size > 0) {
        /* Blanks between two words belong to the encoding. */
        struct ps_slice next = text;
        size_t before = into->size;
        while (after_word && next.size > 0 && (*next.data == ' ' || *next.data == '\t')) {
            next = (struct ps_slice){next.data + 1, next.size - 1};
        }
        if (take_word(into, &next)) {
            text = next;
            after_word = true;
            continue;
        }
        into->size = before;
        ps_buf_append_char(into, *text.data);
        after_word = after_word && (*text.data == ' ' || *text.data == '\t');
        text = (struct ps_slice){text.data + 1, text.size - 1};
    }
}

void ps_s3_words_encode(struct ps_buf *into, struct ps_slice text)
{
    enum { WORD = 45 }; /* bytes of a word, which has 75 characters then */

    bool plain = true;
    for (size_t i = 0; i < text.size; i++) {
        plain = plain && text.data[i] >= ' ' && text.data[i] < 0x7f;
    }
    /* What looks like an encoded word would be taken for one. */
    bool odd = text.size >= 2 && memmem(text.data, text.size, "=?", 2) != NULL;
    if (plain && !odd) {
        ps_buf_append_slice(into, text);
        return;
    }
    for (size_t from = 0; from < text.size;) {
        size_t size = text.size - from < WORD ? text.size - from : WORD;
        while (from + size < text.size && size > 1 &&
               ((uint8_t)text.data[from + size] & 0xc0) == 0x80) {
            size--; /* not within a character */
        }
        ps_buf_append_text(into, from == 0 ? "=?UTF-8?B?" : " =?UTF-8?B?");
        ps_r2_base64(into, (struct ps_slice){text.data + from, size});
        ps_buf_append_text(into, "?=");
        from += size;
    }
}

/* ---- in ---- */

static bool is_meta(const struct ps_http_header *header)
{
    size_t size = sizeof PREFIX - 1;
    return header->name.size > size && strncasecmp(header->name.data, PREFIX, size) == 0;
}

static struct ps_slice lower_name(struct ps_s3_call *call, struct ps_slice name)
{
    size_t from = call->text.size;
    for (size_t i = sizeof PREFIX - 1; i < name.size; i++) {
        char c = name.data[i];
        ps_buf_append_char(&call->text, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
    return (struct ps_slice){call->text.data + from, call->text.size - from};
}

/* A header that comes twice is one with both values. */
static struct ps_r2_pair *pair_of(struct ps_s3_call *call, struct ps_slice name)
{
    for (size_t i = 0; i < call->request.meta.custom_count; i++) {
        if (ps_slice_eq(call->pairs[i].name, name)) {
            return &call->pairs[i];
        }
    }
    return NULL;
}

bool ps_s3_read_metadata(struct ps_s3_call *call, struct ps_http_response *response)
{
    size_t capacity = 0;
    size_t size = 0;
    for (size_t i = 0; i < call->head->header_count; i++) {
        const struct ps_http_header *header = &call->head->headers[i];
        if (!is_meta(header)) {
            continue;
        }
        struct ps_slice name = lower_name(call, header->name);
        struct ps_r2_pair *pair = pair_of(call, name);
        size_t from = call->text.size;
        if (pair != NULL) {
            ps_buf_append_slice(&call->text, pair->value);
            ps_buf_append_char(&call->text, ',');
        } else {
            size_t count = call->request.meta.custom_count++;
            call->pairs = ps_grow(call->pairs, count, &capacity, sizeof *call->pairs);
            pair = &call->pairs[count];
            pair->name = name;
        }
        ps_s3_words_decode(&call->text, ps_s3_trim(header->value));
        pair->value = (struct ps_slice){call->text.data + from, call->text.size - from};
        size += pair->name.size + pair->value.size;
        if (size > PS_R2_METADATA_SIZE_MAX) {
            return ps_s3_refuse(PS_R2_CODE_METADATA_TOO_LARGE, response);
        }
    }
    call->request.meta.custom = call->pairs;
    return true;
}

/* ---- out ---- */

/* May it be part of a header's name (RFC 9110, 5.6.2)? */
static bool is_token(struct ps_slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return name.size > 0;
}

void ps_s3_write_metadata(const struct ps_r2_metadata *meta, struct ps_http_response *response)
{
    struct ps_buf name = {0};
    struct ps_buf value = {0};
    uint64_t missing = 0;
    for (size_t i = 0; i < meta->custom_count; i++) {
        if (!is_token(meta->custom[i].name)) {
            missing++;
            continue;
        }
        name.size = 0;
        value.size = 0;
        ps_buf_append_text(&name, PREFIX);
        ps_buf_append_slice(&name, meta->custom[i].name);
        ps_s3_words_encode(&value, meta->custom[i].value);
        ps_http_response_header(response, ps_buf_text(&name), ps_buf_slice(&value));
    }
    if (missing > 0) {
        value.size = 0;
        ps_buf_append_u64(&value, missing);
        ps_http_response_header(response, "x-amz-missing-meta", ps_buf_slice(&value));
    }
    ps_buf_fini(&name);
    ps_buf_fini(&value);
}
