#include "node/http/api_r2.h"

#include "node/http/api_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SSEC_KEY_SIZE = 32 };

static const char BAD_METADATA[] = "Metadata missing or invalid";

/* ---- what is asked ---- */

/* Reads members with a sticky failure. A member of another kind than is wanted makes the call none.
 */
struct reader {
    struct ps_api_r2_call *call;
    struct ps_r2_error *err;
};

static bool fail(struct reader *reader)
{
    return ps_r2_fail_with(reader->err, PS_R2_CODE_INVALID_ARGUMENT, "%s", BAD_METADATA);
}

static struct ps_slice slice_of(const json_t *string)
{
    return (struct ps_slice){json_string_value(string), json_string_length(string)};
}

/* A string, or nothing when it is not given. */
static struct ps_slice text(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (member != NULL && !json_is_string(member)) {
        (void)fail(reader);
    }
    return json_is_string(member) ? slice_of(member) : (struct ps_slice){NULL, 0};
}

static bool decimal(struct ps_slice digits, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < digits.size; i++) {
        uint64_t digit = (uint64_t)(digits.data[i] - '0');
        if (digits.data[i] < '0' || digits.data[i] > '9' || *ret > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *ret = *ret * 10 + digit;
    }
    return digits.size > 0;
}

/* A number, or a string of its digits, as 64-bit ones travel. Returns whether it is given. */
static bool number(struct reader *reader, const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *member = json_object_get(object, name);
    *ret = 0;
    if (member == NULL) {
        return false;
    }
    if (json_is_integer(member) && json_integer_value(member) >= 0) {
        *ret = (uint64_t)json_integer_value(member);
        return true;
    }
    return (json_is_string(member) && decimal(slice_of(member), ret)) || fail(reader);
}

/* Unix time in ms. */
static bool time_ms(struct reader *reader, const json_t *object, const char *name, int64_t *ret)
{
    uint64_t value;
    bool given = number(reader, object, name, &value);
    *ret = (int64_t)(value <= INT64_MAX ? value : INT64_MAX);
    return given;
}

/* An array; NULL when it is not given. */
static const json_t *array(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (member != NULL && !json_is_array(member)) {
        (void)fail(reader);
    }
    return json_is_array(member) ? member : NULL;
}

static const json_t *child(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (member != NULL && !json_is_object(member)) {
        (void)fail(reader);
    }
    return json_is_object(member) ? member : NULL;
}

static void read_etag(struct reader *reader, const json_t *json, struct ps_r2_etag *ret)
{
    struct ps_slice type = text(reader, json, "type");
    *ret = (struct ps_r2_etag){.value = text(reader, json, "value")};
    if (ps_slice_eq(type, PS_LIT("wildcard"))) {
        *ret = (struct ps_r2_etag){.kind = PS_R2_ETAG_ANY};
    } else if (ps_slice_eq(type, PS_LIT("weak"))) {
        ret->kind = PS_R2_ETAG_WEAK;
    } else if (!ps_slice_eq(type, PS_LIT("strong"))) {
        (void)fail(reader);
    }
}

static struct ps_r2_etag *read_etags(struct reader *reader, const json_t *json, const char *name,
                                     bool *ret_has, size_t *ret_count)
{
    const json_t *list = array(reader, json, name);
    size_t count = json_array_size(list);
    *ret_has = list != NULL;
    if (count > PS_R2_ETAGS_MAX) {
        (void)fail(reader);
    }
    if (count == 0 || count > PS_R2_ETAGS_MAX) {
        return NULL;
    }
    struct ps_r2_etag *etags = PS_NEW_ARRAY(struct ps_r2_etag, count);
    for (size_t i = 0; i < count; i++) {
        read_etag(reader, json_array_get(list, i), &etags[i]);
    }
    *ret_count = count;
    return etags;
}

static void read_condition(struct reader *reader, const json_t *root, struct ps_r2_condition *ret)
{
    const json_t *json = child(reader, root, "onlyIf");
    if (json == NULL) {
        return;
    }
    ret->matches = read_etags(reader, json, "etagMatches", &ret->has_matches, &ret->match_count);
    ret->differs =
        read_etags(reader, json, "etagDoesNotMatch", &ret->has_differs, &ret->differ_count);
    ret->has_before = time_ms(reader, json, "uploadedBefore", &ret->before_ms);
    ret->has_after = time_ms(reader, json, "uploadedAfter", &ret->after_ms);
    ret->seconds = json_is_true(json_object_get(json, "secondsGranularity"));
}

static void read_range(struct reader *reader, const json_t *root, struct ps_r2_range *ret)
{
    struct ps_slice header = text(reader, root, "rangeHeader");
    const json_t *json = child(reader, root, "range");
    if (header.size > 0) {
        *ret = (struct ps_r2_range){.kind = PS_R2_RANGE_HEADER, .header = header};
    } else if (json != NULL) {
        ret->kind = PS_R2_RANGE_SPAN;
        ret->has_offset = number(reader, json, "offset", &ret->offset);
        ret->has_length = number(reader, json, "length", &ret->length);
        uint64_t suffix;
        if (number(reader, json, "suffix", &suffix)) {
            *ret = (struct ps_r2_range){.kind = PS_R2_RANGE_SUFFIX, .length = suffix};
        }
    }
}

static void read_http(struct reader *reader, const json_t *root, struct ps_r2_http *ret)
{
    const json_t *json = child(reader, root, "httpFields");
    ret->content_type = text(reader, json, "contentType");
    ret->content_language = text(reader, json, "contentLanguage");
    ret->content_disposition = text(reader, json, "contentDisposition");
    ret->content_encoding = text(reader, json, "contentEncoding");
    ret->cache_control = text(reader, json, "cacheControl");
    ret->has_cache_expiry = time_ms(reader, json, "cacheExpiry", &ret->cache_expiry_ms);
}

static void read_custom(struct reader *reader, const json_t *root, struct ps_r2_metadata *ret)
{
    const json_t *list = array(reader, root, "customFields");
    size_t count = json_array_size(list);
    if (count == 0) {
        return;
    }
    ret->custom = PS_NEW_ARRAY(struct ps_r2_pair, count);
    ret->custom_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        ret->custom[i].name = text(reader, pair, "k");
        ret->custom[i].value = text(reader, pair, "v");
    }
}

static void read_ssec(struct reader *reader, const json_t *root, struct ps_r2_ssec *ret)
{
    const json_t *json = child(reader, root, "ssec");
    uint8_t key[SSEC_KEY_SIZE];
    if (json == NULL) {
        return;
    }
    if (!ps_r2_unhex(text(reader, json, "key"), key, sizeof key)) {
        (void)fail(reader);
        return;
    }
    struct ps_r2_checksums sums;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), (struct ps_slice){(const char *)key, sizeof key},
                    &sums);
    ret->given = true;
    memcpy(ret->key_md5, sums.bytes[PS_R2_MD5], sizeof ret->key_md5);
}

static void read_metadata(struct reader *reader, const json_t *root, struct ps_r2_request *request)
{
    struct ps_r2_metadata *ret = &request->meta;
    struct ps_slice storage_class = text(reader, root, "storageClass");
    request->has_storage_class = storage_class.size > 0;
    read_http(reader, root, &ret->http);
    read_custom(reader, root, ret);
    if (ps_slice_eq(storage_class, PS_LIT("InfrequentAccess"))) {
        ret->storage_class = PS_R2_INFREQUENT;
    } else if (storage_class.size > 0 && !ps_slice_eq(storage_class, PS_LIT("Standard"))) {
        (void)ps_r2_fail_with(reader->err, PS_R2_CODE_INVALID_ARGUMENT,
                              "The storage class you specified is not valid.");
    }
}

static void read_digests(struct reader *reader, const json_t *root, struct ps_r2_checksums *ret)
{
    static const char *const names[] = {"md5", "sha1", "sha256", "sha384", "sha512"};
    for (unsigned hash = 0; hash < sizeof names / sizeof names[0]; hash++) {
        struct ps_slice digest = text(reader, root, names[hash]);
        bool good =
            digest.size == 0 ||
            (hash == PS_R2_MD5 ? ps_r2_checksums_set_base64(ret, (enum ps_r2_hash)hash, digest)
                               : ps_r2_checksums_set_hex(ret, (enum ps_r2_hash)hash, digest));
        if (!good) {
            (void)fail(reader);
        }
    }
}

static void read_keys(struct reader *reader, const json_t *root, struct ps_r2_request *ret)
{
    const json_t *list = array(reader, root, "objects");
    size_t count = list == NULL ? 1 : json_array_size(list);
    if (count > PS_R2_DELETE_MAX) {
        (void)ps_r2_fail_with(reader->err, PS_R2_CODE_INVALID_ARGUMENT,
                              "At most 1000 keys can be deleted at once.");
        return;
    }
    struct ps_slice *keys = PS_NEW_ARRAY(struct ps_slice, count + 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *key =
            list == NULL ? json_object_get(root, "object") : json_array_get(list, i);
        if (json_is_string(key)) {
            keys[i] = slice_of(key);
        } else {
            (void)fail(reader);
        }
    }
    ret->keys = keys;
    ret->key_count = count;
}

static void read_include(struct reader *reader, const json_t *root, struct ps_r2_request *ret)
{
    const json_t *list = array(reader, root, "include");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t which = json_is_integer(item) ? json_integer_value(item) : -1;
        if (which == 0) {
            ret->include |= PS_R2_INCLUDE_HTTP;
        } else if (which == 1) {
            ret->include |= PS_R2_INCLUDE_CUSTOM;
        } else {
            (void)fail(reader);
        }
    }
}

static void read_list(struct reader *reader, const json_t *root, struct ps_r2_request *ret)
{
    uint64_t limit;
    ret->has_limit = number(reader, root, "limit", &limit);
    ret->limit = (int64_t)(limit <= PS_R2_LIST_MAX ? limit : PS_R2_LIST_MAX + 1);
    ret->prefix = text(reader, root, "prefix");
    ret->cursor = text(reader, root, "cursor");
    ret->delimiter = text(reader, root, "delimiter");
    ret->start_after = text(reader, root, "startAfter");
    read_include(reader, root, ret);
    if (ret->has_limit && ret->limit == 0) {
        (void)ps_r2_fail(reader->err, PS_R2_CODE_INVALID_MAX_KEYS);
    }
}

/* What was never given by createMultipartUpload is no upload. */
static void read_upload_id(struct reader *reader, const json_t *root, struct ps_r2_id *ret)
{
    struct ps_slice id = text(reader, root, "uploadId");
    if (reader->err->code == PS_R2_CODE_NONE && !ps_r2_id_parse(id, ret)) {
        (void)ps_r2_fail(reader->err, PS_R2_CODE_NO_SUCH_UPLOAD);
    }
}

static void read_parts(struct reader *reader, const json_t *root, struct ps_r2_request *ret)
{
    const json_t *list = array(reader, root, "parts");
    size_t count = json_array_size(list);
    if (count == 0 || count > PS_R2_PARTS_MAX) {
        (void)ps_r2_fail(reader->err, PS_R2_CODE_INVALID_PART);
        return;
    }
    struct ps_r2_named_part *parts = PS_NEW_ARRAY(struct ps_r2_named_part, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(list, i);
        uint64_t value;
        (void)number(reader, part, "part", &value);
        parts[i].number = (uint32_t)(value <= PS_R2_PARTS_MAX ? value : 0);
        parts[i].etag = text(reader, part, "etag");
    }
    ret->parts = parts;
    ret->part_count = count;
}

static const struct {
    const char *method;
    enum ps_r2_op op;
} methods[] = {{"head", PS_R2_HEAD},
               {"get", PS_R2_GET},
               {"list", PS_R2_LIST},
               {"put", PS_R2_PUT},
               {"delete", PS_R2_DELETE},
               {"createMultipartUpload", PS_R2_CREATE_UPLOAD},
               {"uploadPart", PS_R2_UPLOAD_PART},
               {"completeMultipartUpload", PS_R2_COMPLETE},
               {"abortMultipartUpload", PS_R2_ABORT}};

static bool read_method(struct reader *reader, const json_t *root, bool writes)
{
    struct ps_slice method = text(reader, root, "method");
    uint64_t version;
    bool has_version = number(reader, root, "version", &version);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (ps_slice_eq(method, ps_slice_of(methods[i].method))) {
            reader->call->request.op = methods[i].op;
            bool fits = ps_r2_op_reads(methods[i].op) != writes;
            return (fits && has_version && version == 1) || fail(reader);
        }
    }
    return fail(reader);
}

static void read_members(struct reader *reader, const json_t *root)
{
    struct ps_r2_request *request = &reader->call->request;
    enum ps_r2_op op = request->op;
    if (op == PS_R2_LIST) {
        read_list(reader, root, request);
        return;
    }
    if (op == PS_R2_DELETE) {
        read_keys(reader, root, request);
        return;
    }
    request->key = text(reader, root, "object");
    read_condition(reader, root, &request->condition);
    read_ssec(reader, root, &request->meta.ssec);
    if (op == PS_R2_GET) {
        read_range(reader, root, &request->range);
    } else if (op == PS_R2_PUT || op == PS_R2_CREATE_UPLOAD) {
        read_metadata(reader, root, request);
        read_digests(reader, root, &request->declared);
    } else if (op != PS_R2_HEAD) {
        read_upload_id(reader, root, &request->upload_id);
    }
    uint64_t part;
    if (op == PS_R2_UPLOAD_PART) {
        (void)number(reader, root, "partNumber", &part);
        request->part_number = (uint32_t)(part <= PS_R2_PARTS_MAX ? part : 0);
    } else if (op == PS_R2_COMPLETE) {
        read_parts(reader, root, request);
    }
}

/* All limits but those of the value, which is still to come. */
static bool check(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    struct ps_r2_request plain = *request;
    struct ps_r2_blob blob = {.size = 0};
    if (request->op == PS_R2_PUT || request->op == PS_R2_UPLOAD_PART) {
        plain.body = (struct ps_r2_body){.blobs = &blob, .blob_count = 1};
        plain.declared.present = 0;
        plain.computed.present = PS_R2_HASH_BIT(PS_R2_MD5);
    }
    return ps_r2_request_check(&plain, err);
}

bool ps_api_r2_parse(struct ps_slice json, bool writes, struct ps_api_r2_call *ret,
                     struct ps_r2_error *err)
{
    *ret = (struct ps_api_r2_call){.hashes = PS_R2_HASH_BIT(PS_R2_MD5)};
    *err = (struct ps_r2_error){.code = PS_R2_CODE_NONE};
    struct reader reader = {.call = ret, .err = err};
    json_t *root = json.size == 0 || json.size > PS_API_R2_JSON_SIZE_MAX
                       ? NULL
                       : json_loadb(json.data, json.size, JSON_ALLOW_NUL, NULL);
    ret->json = root;
    if (!json_is_object(root)) {
        return fail(&reader);
    }
    if (read_method(&reader, root, writes)) {
        read_members(&reader, root);
    }
    ret->hashes |= ret->request.declared.present;
    return err->code == PS_R2_CODE_NONE && check(&ret->request, err);
}

void ps_api_r2_call_fini(struct ps_api_r2_call *call)
{
    call->request.body = (struct ps_r2_body){.blob_count = 0}; /* not the call's */
    ps_r2_request_fini(&call->request);
    json_decref(call->json);
    *call = (struct ps_api_r2_call){.hashes = 0};
}

bool ps_api_r2_metadata_size(struct ps_slice header, size_t *ret)
{
    uint64_t size;
    *ret = 0;
    if (!decimal(header, &size) || size > PS_API_R2_JSON_SIZE_MAX) {
        return false;
    }
    *ret = (size_t)size;
    return true;
}

/* ---- routes ---- */

static const struct ps_http_header *either(const struct ps_http_request *head, const char *plain,
                                           const char *hooked)
{
    const struct ps_http_header *found = ps_http_header(head, plain);
    return found != NULL ? found : ps_http_header(head, hooked);
}

bool ps_api_is_r2_write(const struct ps_http_request *head)
{
    return head->method == PS_HTTP_PUT &&
           either(head, "cf-r2-metadata-size", "mf-header-cf-r2-metadata-size") != NULL;
}

bool ps_api_is_r2_binding(const struct ps_http_request *head)
{
    return ps_api_is_r2_write(head) ||
           either(head, "cf-r2-request", "mf-header-cf-r2-request") != NULL;
}

void ps_api_fail_r2(struct ps_api_parser *parser, enum ps_r2_code code)
{
    const struct ps_r2_error error = {.code = code};
    parser->call->kind = PS_API_ANSWERED;
    ps_api_r2_answer_error(&error, NULL, parser->response);
}

static void fail_metadata(struct ps_api_parser *parser)
{
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    (void)ps_r2_fail_with(&error, PS_R2_CODE_INVALID_ARGUMENT, "%s", BAD_METADATA);
    parser->call->kind = PS_API_ANSWERED;
    ps_api_r2_answer_error(&error, NULL, parser->response);
}

void ps_api_parse_r2_binding(struct ps_api_parser *parser)
{
    struct ps_api_call *call = parser->call;
    struct ps_api_r2_binding *r2 = &call->r2;
    call->kind = PS_API_R2;
    r2->writes = ps_api_is_r2_write(parser->request);
    r2->json = ps_api_header(parser, "cf-r2-request");
    if (!parser->config->namespaces[call->ns].is_r2) {
        ps_api_fail_r2(parser, PS_R2_CODE_NO_SUCH_BUCKET);
    } else if (r2->writes ? !ps_api_r2_metadata_size(ps_api_header(parser, "cf-r2-metadata-size"),
                                                     &r2->json_size) ||
                                r2->json_size == 0
                          : call->method != PS_HTTP_GET || r2->json.size == 0) {
        fail_metadata(parser);
    }
}

/* ---- answers ---- */

static void put_text(struct ps_buf *buf, const char *name, struct ps_slice value, bool *any)
{
    if (value.size > 0) {
        ps_buf_printf(buf, "%s\"%s\":", *any ? "," : "", name);
        ps_buf_append_json(buf, value);
        *any = true;
    }
}

static void put_http(struct ps_buf *buf, const struct ps_r2_http *http)
{
    bool any = false;
    ps_buf_append_text(buf, ",\"httpFields\":{");
    put_text(buf, "contentType", http->content_type, &any);
    put_text(buf, "contentLanguage", http->content_language, &any);
    put_text(buf, "contentDisposition", http->content_disposition, &any);
    put_text(buf, "contentEncoding", http->content_encoding, &any);
    put_text(buf, "cacheControl", http->cache_control, &any);
    if (http->has_cache_expiry) {
        ps_buf_printf(buf, "%s\"cacheExpiry\":%" PRId64, any ? "," : "", http->cache_expiry_ms);
    }
    ps_buf_append_char(buf, '}');
}

static void put_custom(struct ps_buf *buf, const struct ps_r2_metadata *meta)
{
    ps_buf_append_text(buf, ",\"customFields\":[");
    for (size_t i = 0; i < meta->custom_count; i++) {
        ps_buf_append_text(buf, i > 0 ? ",{\"k\":" : "{\"k\":");
        ps_buf_append_json(buf, meta->custom[i].name);
        ps_buf_append_text(buf, ",\"v\":");
        ps_buf_append_json(buf, meta->custom[i].value);
        ps_buf_append_char(buf, '}');
    }
    ps_buf_append_char(buf, ']');
}

/* Those that the binding knows: MD5 and the SHAs, by number. A composite one is not of the body. */
static void put_checksums(struct ps_buf *buf, const struct ps_r2_object *object)
{
    bool any = false;
    ps_buf_append_text(buf, ",\"checksums\":{");
    for (unsigned hash = 0; !object->composite && hash <= (unsigned)PS_R2_SHA512; hash++) {
        struct ps_slice bytes = ps_r2_checksums_get(&object->checksums, (enum ps_r2_hash)hash);
        if (bytes.size > 0) {
            ps_buf_printf(buf, "%s\"%u\":\"", any ? "," : "", hash);
            ps_r2_hex(buf, bytes);
            ps_buf_append_char(buf, '"');
            any = true;
        }
    }
    ps_buf_append_char(buf, '}');
}

static void put_ssec(struct ps_buf *buf, const struct ps_r2_ssec *ssec)
{
    if (ssec->given) {
        ps_buf_append_text(buf, ",\"ssec\":{\"algorithm\":\"AES256\",\"keyMd5\":\"");
        ps_r2_hex(buf, (struct ps_slice){(const char *)ssec->key_md5, PS_R2_ID_SIZE});
        ps_buf_append_text(buf, "\"}");
    }
}

static void put_object(struct ps_buf *buf, const struct ps_r2_object *object, unsigned include,
                       const struct ps_r2_span *span)
{
    char version[PS_R2_HEX_SIZE];
    ps_r2_id_hex(&object->version, version);
    ps_buf_append_text(buf, "{\"name\":");
    ps_buf_append_json(buf, object->key);
    ps_buf_printf(buf,
                  ",\"version\":\"%s\",\"size\":%" PRIu64 ",\"etag\":\"%s\",\"uploaded\":%" PRId64,
                  version, object->size, object->etag, object->uploaded_ms);
    if ((include & PS_R2_INCLUDE_HTTP) != 0) {
        put_http(buf, &object->meta.http);
    }
    if ((include & PS_R2_INCLUDE_CUSTOM) != 0) {
        put_custom(buf, &object->meta);
    }
    if (span != NULL && span->partial) {
        ps_buf_printf(buf, ",\"range\":{\"offset\":%" PRIu64 ",\"length\":%" PRIu64 "}",
                      span->offset, span->length);
    }
    put_checksums(buf, object);
    put_ssec(buf, &object->meta.ssec);
    ps_buf_printf(buf, ",\"storageClass\":\"%s\"}",
                  object->meta.storage_class == PS_R2_INFREQUENT ? "InfrequentAccess" : "Standard");
}

static const unsigned ALL = PS_R2_INCLUDE_HTTP | PS_R2_INCLUDE_CUSTOM;

static void put_metadata_size(struct ps_http_response *response)
{
    struct ps_buf size = {.size = 0};
    ps_buf_append_u64(&size, response->body.size);
    ps_http_response_header(response, "CF-R2-Metadata-Size", ps_buf_slice(&size));
    ps_http_response_header(response, "Content-Type", PS_LIT("application/json"));
    ps_buf_fini(&size);
}

void ps_api_r2_answer_object(const struct ps_r2_object *object, const struct ps_r2_span *span,
                             struct ps_http_response *response)
{
    response->status = 200;
    put_object(&response->body, object, ALL, span);
    put_metadata_size(response);
}

void ps_api_r2_answer_list(const struct ps_r2_request *request, const struct ps_r2_page *page,
                           struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    response->status = 200;
    ps_buf_append_text(body, "{\"objects\":[");
    for (size_t i = 0; i < page->object_count; i++) {
        ps_buf_append_text(body, i > 0 ? "," : "");
        put_object(body, &page->objects[i], request->include, NULL);
    }
    ps_buf_printf(body, "],\"truncated\":%s", page->truncated ? "true" : "false");
    if (page->truncated) {
        ps_buf_append_text(body, ",\"cursor\":\"");
        ps_r2_cursor_encode(body, page->last);
        ps_buf_append_char(body, '"');
    }
    ps_buf_append_text(body, ",\"delimitedPrefixes\":[");
    for (size_t i = 0; i < page->prefix_count; i++) {
        ps_buf_append_text(body, i > 0 ? "," : "");
        ps_buf_append_json(body, page->prefixes[i]);
    }
    ps_buf_append_text(body, "]}");
    put_metadata_size(response);
}

static void put_mutation(struct ps_buf *body, enum ps_r2_op op, const struct ps_r2_answer *answer)
{
    char id[PS_R2_HEX_SIZE];
    char etag[PS_R2_ETAG_SIZE];
    if (answer->has_object) {
        put_object(body, &answer->object, ALL, NULL);
    } else if (op == PS_R2_CREATE_UPLOAD) {
        ps_r2_id_hex(&answer->upload_id, id);
        ps_buf_printf(body, "{\"uploadId\":\"%s\"}", id);
    } else if (op == PS_R2_UPLOAD_PART) {
        ps_r2_etag_of_md5(answer->part.checksums.bytes[PS_R2_MD5], etag);
        ps_buf_printf(body, "{\"etag\":\"%s\"}", etag);
    }
}

void ps_api_r2_answer_mutation(enum ps_r2_op op, const struct ps_r2_answer *answer,
                               struct ps_http_response *response)
{
    if (answer->error.code != PS_R2_CODE_NONE) {
        ps_api_r2_answer_error(&answer->error, NULL, response);
        return;
    }
    response->status = 200;
    put_mutation(&response->body, op, answer);
    if (response->body.size > 0) {
        ps_http_response_header(response, "Content-Type", PS_LIT("application/json"));
    }
}

void ps_api_r2_answer_error(const struct ps_r2_error *error, const struct ps_r2_object *object,
                            struct ps_http_response *response)
{
    const struct ps_r2_code_info *info = ps_r2_code_info(error->code);
    PS_ASSERT(error->code != PS_R2_CODE_NONE);
    /* The binding has one status for both verdicts; codes of the S3 API alone it does not know. */
    response->status = error->code == PS_R2_CODE_NOT_MODIFIED ? 412 : info->http_status;
    uint32_t code = info->v4_code != 0 ? info->v4_code
                    : info->http_status >= 500
                        ? ps_r2_code_info(PS_R2_CODE_INTERNAL)->v4_code
                        : ps_r2_code_info(PS_R2_CODE_INVALID_ARGUMENT)->v4_code;
    struct ps_buf header = {.size = 0};
    ps_buf_printf(&header, "{\"version\":1,\"v4code\":%" PRIu32 ",\"message\":", code);
    ps_buf_append_json(&header, ps_slice_of(ps_r2_error_message(error)));
    ps_buf_append_char(&header, '}');
    ps_http_response_header(response, "CF-R2-Error", ps_buf_slice(&header));
    ps_buf_fini(&header);
    if (object != NULL) {
        put_object(&response->body, object, ALL, NULL);
        put_metadata_size(response);
    }
}
