#include "node/s3/text.h"

#include "replication/base/memory.h"

#include <string.h>

static const char lower_digits[] = "0123456789abcdef";

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void ps_s3_uri_encode(struct ps_buf *into, struct ps_slice text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            ps_buf_append_char(into, (char)c);
        } else {
            char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
            ps_buf_append(into, escaped, sizeof escaped);
        }
    }
}

void ps_s3_uri_decode(struct ps_buf *into, struct ps_slice text, bool plus)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int high = c == '%' && i + 2 < text.size ? digit_of(text.data[i + 1]) : -1;
        int low = high < 0 ? -1 : digit_of(text.data[i + 2]);
        if (low >= 0) {
            ps_buf_append_char(into, (char)(high << 4 | low));
            i += 2;
        } else {
            ps_buf_append_char(into, plus && c == '+' ? ' ' : c);
        }
    }
}

static struct ps_slice decode_param(struct ps_s3_query *query, struct ps_slice raw)
{
    size_t from = query->text.size;
    ps_s3_uri_decode(&query->text, raw, true);
    return (struct ps_slice){query->text.data + from, query->text.size - from};
}

enum ps_status ps_s3_query_read(struct ps_slice raw, struct ps_s3_query *ret)
{
    *ret = (struct ps_s3_query){0};
    size_t capacity = 0;
    ps_buf_reserve(&ret->text, raw.size + 1); /* what is decoded never moves */
    while (raw.size > 0) {
        const char *end = memchr(raw.data, '&', raw.size);
        size_t size = end == NULL ? raw.size : (size_t)(end - raw.data);
        struct ps_slice part = {raw.data, size};
        size_t used = size + (end == NULL ? 0 : 1);
        raw = (struct ps_slice){raw.data + used, raw.size - used};
        if (part.size == 0) {
            continue;
        }
        if (ret->count == PS_S3_PARAMS_MAX) {
            ps_s3_query_fini(ret);
            return PS_LIMIT;
        }
        ret->params = ps_grow(ret->params, ret->count, &capacity, sizeof *ret->params);
        const char *equals = memchr(part.data, '=', part.size);
        size_t name_size = equals == NULL ? part.size : (size_t)(equals - part.data);
        struct ps_s3_param *param = &ret->params[ret->count++];
        param->name = decode_param(ret, (struct ps_slice){part.data, name_size});
        struct ps_slice value = {"", 0};
        if (equals != NULL) {
            value = (struct ps_slice){equals + 1, part.size - name_size - 1};
        }
        param->value = decode_param(ret, value);
    }
    return PS_OK;
}

void ps_s3_query_fini(struct ps_s3_query *query)
{
    free(query->params);
    ps_buf_fini(&query->text);
    *query = (struct ps_s3_query){0};
}

const struct ps_slice *ps_s3_query_get(const struct ps_s3_query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++) {
        if (ps_slice_eq(query->params[i].name, ps_slice_of(name))) {
            return &query->params[i].value;
        }
    }
    return NULL;
}

void ps_s3_split_target(struct ps_slice target, struct ps_slice *ret_path,
                        struct ps_slice *ret_query)
{
    const char *mark = target.size == 0 ? NULL : memchr(target.data, '?', target.size);
    size_t size = mark == NULL ? target.size : (size_t)(mark - target.data);
    *ret_path = (struct ps_slice){target.data, size};
    *ret_query = mark == NULL ? (struct ps_slice){"", 0}
                              : (struct ps_slice){mark + 1, target.size - size - 1};
}

void ps_s3_hex(const uint8_t *bytes, size_t size, char *ret)
{
    for (size_t i = 0; i < size; i++) {
        ret[2 * i] = lower_digits[bytes[i] >> 4];
        ret[2 * i + 1] = lower_digits[bytes[i] & 15];
    }
    ret[2 * size] = '\0';
}

bool ps_s3_number(struct ps_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return text.size > 0;
}

struct ps_slice ps_s3_trim(struct ps_slice text)
{
    while (text.size > 0 && (*text.data == ' ' || *text.data == '\t')) {
        text = (struct ps_slice){text.data + 1, text.size - 1};
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}
