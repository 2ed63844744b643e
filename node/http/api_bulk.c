#include "node/http/api_internal.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>

static json_t *load(struct ps_api_parser *parser)
{
    const struct ps_slice body = parser->call->body;
    json_t *root = json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_ALLOW_NUL, NULL);
    parser->call->json = root;
    return root;
}

static void fail_body(struct ps_api_parser *parser)
{
    bool rest = parser->call->dialect == PS_API_REST;
    ps_api_fail(parser, 400, 10012, rest ? "invalid request body" : "Bad Request");
}

static struct ps_slice text_of(const json_t *string)
{
    return (struct ps_slice){json_string_value(string), json_string_length(string)};
}

/* ---- get ---- */

/* workerd sends cacheTtl as text. */
static void read_cache_ttl(const json_t *ttl, struct ps_kv_request *kv)
{
    if (json_is_integer(ttl)) {
        kv->has_cache_ttl = true;
        kv->cache_ttl_s = (int64_t)json_integer_value(ttl);
    } else if (json_is_string(ttl)) {
        kv->has_cache_ttl = true;
        kv->cache_ttl_s = ps_api_number(text_of(ttl));
    }
}

void ps_api_parse_bulk_get(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *root = load(parser);
    const json_t *keys = json_object_get(root, "keys");
    call->kv.op = PS_KV_GET_BULK;
    if (!json_is_array(keys)) {
        fail_body(parser);
        return;
    }
    const char *type = json_string_value(json_object_get(root, "type"));
    if (type != NULL && strcmp(type, "json") != 0 && strcmp(type, "text") != 0) {
        char phrase[256];
        (void)snprintf(phrase, sizeof phrase,
                       "\"%.100s\" is not a valid type. Use \"json\" or \"text\"", type);
        ps_api_fail(parser, 400, 10021, phrase);
        return;
    }
    call->bulk_json = type != NULL && type[0] == 'j';
    call->with_metadata = json_is_true(json_object_get(root, "withMetadata"));
    read_cache_ttl(json_object_get(root, "cacheTtl"), &call->kv);
    call->kv.key_count = json_array_size(keys);
    call->keys = PS_NEW_ARRAY(struct ps_slice, call->kv.key_count + 1);
    call->kv.keys = call->keys;
    for (size_t i = 0; i < call->kv.key_count; i++) {
        const json_t *key = json_array_get(keys, i);
        if (!json_is_string(key)) {
            fail_body(parser);
            return;
        }
        call->keys[i] = text_of(key);
    }
    ps_api_check(parser, &call->kv);
}

/* ---- writes ---- */

/* The array of a bulk write; NULL when it was refused. */
static const json_t *load_writes(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *root = load(parser);
    if (!json_is_array(root)) {
        fail_body(parser);
        return NULL;
    }
    size_t count = json_array_size(root);
    if (count > PS_KV_BULK_WRITE_MAX) {
        char phrase[96];
        (void)snprintf(phrase, sizeof phrase, "%zu keys exceed the limit of %d", count,
                       PS_KV_BULK_WRITE_MAX);
        ps_api_fail(parser, 400, 10021, phrase);
        return NULL;
    }
    call->kind = PS_API_KV_BULK;
    call->writes = PS_NEW_ARRAY(struct ps_kv_request, count + 1);
    call->write_count = count;
    return root;
}

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Base64 (RFC 4648, 4) into the call's text, which has room for it. */
static bool decode_base64(struct ps_buf *into, struct ps_slice text, struct ps_slice *ret)
{
    size_t start = into->size;
    while (text.size > 0 && text.data[text.size - 1] == '=') {
        text.size--;
    }
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = digit(text.data[i]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ps_buf_append_char(into, (char)(bits >> count & 0xff));
        }
    }
    *ret = (struct ps_slice){into->data + start, into->size - start};
    return count < 6; /* one digit alone is no byte */
}

/* A number that may be left out. */
static bool read_number(const json_t *json, bool *ret_has, int64_t *ret)
{
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_number(json)) {
        return false;
    }
    double value = json_number_value(json);
    *ret_has = true;
    *ret = value >= 0 && value < 1e15 ? (int64_t)value : 0;
    return true;
}

/* The metadata's bytes, into the call's text. What is too large there is refused by its size alone.
 */
static bool dump_metadata(struct ps_buf *into, const json_t *json, struct ps_slice *ret)
{
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    char text[PS_KV_METADATA_SIZE_MAX + 1];
    size_t size = json_dumpb(json, text, sizeof text, JSON_COMPACT | JSON_ENCODE_ANY);
    if (size == 0) {
        return false;
    }
    size_t kept = size < sizeof text ? size : sizeof text;
    *ret = (struct ps_slice){into->data + into->size, size};
    ps_buf_append(into, text, kept);
    return true;
}

static bool read_pair(struct ps_api_call *call, const json_t *pair, struct ps_kv_request *ret)
{
    const json_t *key = json_object_get(pair, "key");
    const json_t *value = json_object_get(pair, "value");
    ret->op = PS_KV_PUT;
    if (!json_is_string(key) || !json_is_string(value) ||
        !read_number(json_object_get(pair, "expiration"), &ret->has_expiration,
                     &ret->expiration_s) ||
        !read_number(json_object_get(pair, "expiration_ttl"), &ret->has_expiration_ttl,
                     &ret->expiration_ttl_s) ||
        !dump_metadata(&call->text, json_object_get(pair, "metadata"), &ret->metadata)) {
        return false;
    }
    ret->key = text_of(key);
    ret->value = text_of(value);
    return !json_is_true(json_object_get(pair, "base64")) ||
           decode_base64(&call->text, ret->value, &ret->value);
}

void ps_api_parse_bulk_put(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *root = load_writes(parser);
    if (root == NULL) {
        return;
    }
    /* Room for all that is decoded, so that it never moves. */
    ps_buf_reserve(&call->text,
                   call->body.size + call->write_count * (PS_KV_METADATA_SIZE_MAX + 1));
    for (size_t i = 0; i < call->write_count && call->kind == PS_API_KV_BULK; i++) {
        if (!read_pair(call, json_array_get(root, i), &call->writes[i])) {
            fail_body(parser);
            return;
        }
        ps_api_check(parser, &call->writes[i]);
    }
}

void ps_api_parse_bulk_delete(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    const json_t *root = load_writes(parser);
    if (root == NULL) {
        return;
    }
    for (size_t i = 0; i < call->write_count && call->kind == PS_API_KV_BULK; i++) {
        const json_t *key = json_array_get(root, i);
        if (!json_is_string(key)) {
            fail_body(parser);
            return;
        }
        call->writes[i] = (struct ps_kv_request){.op = PS_KV_DELETE, .key = text_of(key)};
        ps_api_check(parser, &call->writes[i]);
    }
}
