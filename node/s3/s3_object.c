#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- headers of an object ---- */

static void header(struct ps_http_response *response, const char *name, struct ps_slice value)
{
    if (value.size > 0) {
        ps_http_response_header(response, name, value);
    }
}

static void write_etag(const char *etag, struct ps_http_response *response)
{
    char quoted[PS_R2_ETAG_SIZE + 2];
    int size = snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    PS_ASSERT(size > 0 && (size_t)size < sizeof quoted);
    ps_http_response_header(response, "ETag", (struct ps_slice){quoted, (size_t)size});
}

/* Buckets have no versions to choose from; R2 tells each one's name all the same. */
static void write_version(const struct ps_r2_id *version, struct ps_http_response *response)
{
    char hex[PS_R2_HEX_SIZE];
    ps_r2_id_hex(version, hex);
    ps_http_response_header(response, "x-amz-version-id", ps_slice_of(hex));
}

static void write_date(const char *name, int64_t unix_ms, struct ps_http_response *response)
{
    struct ps_buf date = {0};
    ps_r2_date_format(&date, unix_ms / 1000);
    ps_http_response_header(response, name, ps_buf_slice(&date));
    ps_buf_fini(&date);
}

static void write_http(const struct ps_r2_http *http, struct ps_http_response *response)
{
    struct ps_slice type = http->content_type;
    header(response, "Content-Type", type.size == 0 ? PS_LIT("application/octet-stream") : type);
    header(response, "Content-Language", http->content_language);
    header(response, "Content-Disposition", http->content_disposition);
    header(response, "Content-Encoding", http->content_encoding);
    header(response, "Cache-Control", http->cache_control);
    if (http->has_cache_expiry) {
        write_date("Expires", http->cache_expiry_ms, response);
    }
}

static void write_ssec(const struct ps_r2_ssec *ssec, struct ps_http_response *response)
{
    struct ps_buf md5 = {0};
    if (!ssec->given) {
        return;
    }
    ps_http_response_header(response, "x-amz-server-side-encryption-customer-algorithm",
                            PS_LIT("AES256"));
    ps_r2_base64(&md5, (struct ps_slice){(const char *)ssec->key_md5, sizeof ssec->key_md5});
    ps_http_response_header(response, "x-amz-server-side-encryption-customer-key-md5",
                            ps_buf_slice(&md5));
    ps_buf_fini(&md5);
}

/* A checksum as S3 shows it: base64, and the number of parts where it is of their checksums. */
static void append_checksum(struct ps_buf *into, const struct ps_r2_checksums *sums,
                            enum ps_r2_hash hash, uint32_t parts)
{
    ps_r2_base64(into, ps_r2_checksums_get(sums, hash));
    if (parts > 0) {
        ps_buf_printf(into, "-%u", parts);
    }
}

static void write_checksums(const struct ps_r2_checksums *sums, uint32_t parts,
                            struct ps_http_response *response)
{
    struct ps_buf value = {0};
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        const char *name = ps_s3_checksum_header((enum ps_r2_hash)hash);
        if (name != NULL && (sums->present & PS_R2_HASH_BIT(hash)) != 0) {
            value.size = 0;
            append_checksum(&value, sums, (enum ps_r2_hash)hash, parts);
            ps_http_response_header(response, name, ps_buf_slice(&value));
        }
    }
    if (value.size > 0) {
        ps_http_response_header(response, "x-amz-checksum-type",
                                parts > 0 ? PS_LIT("COMPOSITE") : PS_LIT("FULL_OBJECT"));
    }
    ps_buf_fini(&value);
}

static uint32_t parts_shown(const struct ps_r2_object *object)
{
    return object->composite ? object->part_count : 0;
}

static void write_object(const struct ps_r2_object *object, struct ps_http_response *response)
{
    write_http(&object->meta.http, response);
    write_etag(object->etag, response);
    write_date("Last-Modified", object->uploaded_ms, response);
    ps_http_response_header(response, "Accept-Ranges", PS_LIT("bytes"));
    write_version(&object->version, response);
    if (object->meta.storage_class == PS_R2_INFREQUENT) {
        ps_http_response_header(response, "x-amz-storage-class", PS_LIT("STANDARD_IA"));
    }
    write_ssec(&object->meta.ssec, response);
    ps_s3_write_metadata(&object->meta, response);
}

/* ---- GET, HEAD ---- */

/* The bytes of one part. An object that was put at once has one. */
static bool part_span(const struct ps_r2_object *object, uint32_t number, struct ps_r2_span *ret,
                      struct ps_http_response *response)
{
    struct ps_r2_body body = {0};
    *ret = (struct ps_r2_span){.length = object->size, .partial = true};
    uint32_t parts = object->part_count == 0 ? 1 : object->part_count;
    if (number > parts) {
        ps_s3_fail(response, 416, "InvalidPartNumber",
                   "The requested partnumber is not satisfiable");
        return false;
    }
    if (object->part_count == 0) {
        return true;
    }
    if (ps_r2_object_body(object, &body) != PS_OK || body.blob_count != parts) {
        ps_r2_body_fini(&body);
        return ps_s3_refuse(PS_R2_CODE_INTERNAL, response);
    }
    for (uint32_t i = 0; i + 1 < number; i++) {
        ret->offset += body.blobs[i].size;
    }
    ret->length = body.blobs[number - 1].size;
    ps_r2_body_fini(&body);
    return true;
}

static bool find_span(const struct ps_s3_call *call, const struct ps_r2_object *object,
                      struct ps_r2_span *ret, struct ps_http_response *response)
{
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    if (call->request.part_number != 0) {
        return part_span(object, call->request.part_number, ret, response);
    }
    if (!ps_r2_range_resolve(&call->request.range, object->size, ret, &error)) {
        ps_s3_answer_error(call, &error, response);
        return false;
    }
    return true;
}

static bool wants_checksums(const struct ps_s3_call *call)
{
    struct ps_slice mode;
    return ps_s3_header(call->head, "x-amz-checksum-mode", &mode) &&
           ps_slice_eq(mode, PS_LIT("ENABLED"));
}

static void write_part_count(const struct ps_r2_object *object, struct ps_http_response *response)
{
    struct ps_buf count = {0};
    ps_buf_append_u64(&count, object->part_count);
    ps_http_response_header(response, "x-amz-mp-parts-count", ps_buf_slice(&count));
    ps_buf_fini(&count);
}

void ps_s3_answer_object(const struct ps_s3_call *call, const struct ps_r2_object *object,
                         struct ps_r2_span *ret, struct ps_http_response *response)
{
    *ret = (struct ps_r2_span){0};
    if (object == NULL) {
        (void)ps_s3_refuse(PS_R2_CODE_NO_SUCH_KEY, response);
        return;
    }
    if (!ps_s3_check_ssec(&call->request.meta.ssec, &object->meta.ssec, response)) {
        return;
    }
    enum ps_r2_verdict verdict = ps_r2_condition_test(&call->request.condition, object);
    if (verdict == PS_R2_FAILS) {
        (void)ps_s3_refuse(PS_R2_CODE_PRECONDITION_FAILED, response);
        return;
    }
    if (verdict == PS_R2_UNMODIFIED) {
        response->status = 304;
        write_object(object, response);
        return;
    }
    struct ps_r2_span span = {0};
    if (!find_span(call, object, &span, response)) {
        return;
    }
    *ret = span;
    response->status = span.partial ? 206 : 200;
    response->tail_size = span.length;
    write_object(object, response);
    if (span.partial && span.length > 0) {
        struct ps_buf range = {0};
        ps_r2_content_range(&range, &span, object->size);
        ps_http_response_header(response, "Content-Range", ps_buf_slice(&range));
        ps_buf_fini(&range);
    }
    if (call->request.part_number != 0 && object->part_count > 0) {
        write_part_count(object, response);
    }
    if (!span.partial && wants_checksums(call)) {
        write_checksums(&object->checksums, parts_shown(object), response);
    }
}

/* ---- sources of copies ---- */

bool ps_s3_check_source(const struct ps_s3_call *call, const struct ps_r2_object *object,
                        struct ps_r2_span *ret, struct ps_http_response *response)
{
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    *ret = (struct ps_r2_span){0};
    if (object == NULL) {
        return ps_s3_refuse(PS_R2_CODE_NO_SUCH_KEY, response);
    }
    if (!ps_s3_check_ssec(&call->source.meta.ssec, &object->meta.ssec, response)) {
        return false;
    }
    if (ps_r2_condition_test(&call->source.condition, object) != PS_R2_HOLDS) {
        return ps_s3_refuse(PS_R2_CODE_PRECONDITION_FAILED, response);
    }
    if (!ps_r2_range_resolve(&call->source.range, object->size, ret, &error)) {
        ps_s3_answer_error(call, &error, response);
        return false;
    }
    return true;
}

static void merge(struct ps_slice *into, struct ps_slice other)
{
    if (into->size == 0) {
        *into = other;
    }
}

static bool has_pair(const struct ps_r2_metadata *meta, struct ps_slice name)
{
    for (size_t i = 0; i < meta->custom_count; i++) {
        if (ps_slice_eq(meta->custom[i].name, name)) {
            return true;
        }
    }
    return false;
}

void ps_s3_copy_as_put(const struct ps_s3_call *call, const struct ps_r2_object *source,
                       struct ps_r2_request *ret)
{
    const struct ps_r2_metadata *own = &call->request.meta;
    bool copies = call->request.directive != PS_R2_DIRECTIVE_REPLACE;
    bool replaces = call->request.directive != PS_R2_DIRECTIVE_COPY;
    *ret = (struct ps_r2_request){.op = PS_R2_PUT,
                                  .key = call->request.key,
                                  .condition = call->request.condition,
                                  .has_storage_class = call->request.has_storage_class};
    struct ps_r2_metadata *meta = &ret->meta;
    meta->ssec = own->ssec;
    meta->storage_class =
        call->request.has_storage_class ? own->storage_class : source->meta.storage_class;
    meta->custom =
        PS_NEW_ARRAY(struct ps_r2_pair, own->custom_count + source->meta.custom_count + 1);
    if (replaces) {
        meta->http = own->http;
        for (size_t i = 0; i < own->custom_count; i++) {
            meta->custom[meta->custom_count++] = own->custom[i];
        }
    }
    for (size_t i = 0; copies && i < source->meta.custom_count; i++) {
        if (!has_pair(meta, source->meta.custom[i].name)) {
            meta->custom[meta->custom_count++] = source->meta.custom[i];
        }
    }
    if (copies) {
        const struct ps_r2_http *http = &source->meta.http;
        merge(&meta->http.content_type, http->content_type);
        merge(&meta->http.content_language, http->content_language);
        merge(&meta->http.content_disposition, http->content_disposition);
        merge(&meta->http.content_encoding, http->content_encoding);
        merge(&meta->http.cache_control, http->cache_control);
        if (!meta->http.has_cache_expiry) {
            meta->http.has_cache_expiry = http->has_cache_expiry;
            meta->http.cache_expiry_ms = http->cache_expiry_ms;
        }
    }
}

/* ---- mutations ---- */

static void element_checksums(struct ps_buf *into, const struct ps_r2_checksums *sums,
                              uint32_t parts)
{
    struct ps_buf value = {0};
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        const char *name = ps_s3_checksum_element((enum ps_r2_hash)hash);
        if (name != NULL && (sums->present & PS_R2_HASH_BIT(hash)) != 0) {
            value.size = 0;
            append_checksum(&value, sums, (enum ps_r2_hash)hash, parts);
            ps_s3_xml_text(into, name, ps_buf_slice(&value));
        }
    }
    ps_buf_fini(&value);
}

static void answer_copy(const struct ps_r2_answer *answer, struct ps_http_response *response)
{
    ps_s3_begin_document(response, "CopyObjectResult");
    ps_s3_element_etag(&response->body, answer->object.etag);
    ps_s3_element_date(&response->body, "LastModified", answer->object.uploaded_ms);
    element_checksums(&response->body, &answer->object.checksums, parts_shown(&answer->object));
    ps_s3_xml_close(&response->body, "CopyObjectResult");
    write_version(&answer->object.version, response);
}

static void answer_delete(const struct ps_s3_call *call, struct ps_http_response *response)
{
    ps_s3_begin_document(response, "DeleteResult");
    for (size_t i = 0; i < call->request.key_count; i++) {
        ps_s3_xml_open(&response->body, "Deleted");
        ps_s3_xml_text(&response->body, "Key", call->request.keys[i]);
        ps_s3_xml_close(&response->body, "Deleted");
    }
    ps_s3_xml_close(&response->body, "DeleteResult");
}

static const char *algorithm_of(ps_r2_hash_set hashes)
{
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        const char *element = ps_s3_checksum_element((enum ps_r2_hash)hash);
        if (element != NULL && (hashes & PS_R2_HASH_BIT(hash)) != 0) {
            return element + sizeof "Checksum" - 1;
        }
    }
    return NULL;
}

static void answer_create(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                          struct ps_http_response *response)
{
    char id[PS_R2_HEX_SIZE];
    const char *algorithm = algorithm_of(call->request.hashes);
    ps_r2_id_hex(&answer->upload_id, id);
    ps_s3_begin_document(response, "InitiateMultipartUploadResult");
    ps_s3_xml_text(&response->body, "UploadId", ps_slice_of(id));
    ps_s3_xml_text(&response->body, "Bucket", call->bucket);
    ps_s3_xml_text(&response->body, "Key", call->request.key);
    ps_s3_xml_close(&response->body, "InitiateMultipartUploadResult");
    write_ssec(&call->request.meta.ssec, response);
    if (algorithm != NULL) {
        ps_http_response_header(response, "x-amz-checksum-algorithm", ps_slice_of(algorithm));
        ps_http_response_header(response, "x-amz-checksum-type",
                                call->request.full_object ? PS_LIT("FULL_OBJECT")
                                                          : PS_LIT("COMPOSITE"));
    }
}

static void part_etag(const struct ps_r2_part *part, char ret[PS_R2_ETAG_SIZE])
{
    ps_r2_etag_of_md5(part->checksums.bytes[PS_R2_MD5], ret);
}

static void answer_part(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                        struct ps_http_response *response)
{
    char etag[PS_R2_ETAG_SIZE];
    part_etag(&answer->part, etag);
    if (call->op == PS_S3_UPLOAD_PART_COPY) {
        ps_s3_begin_document(response, "CopyPartResult");
        ps_s3_element_etag(&response->body, etag);
        ps_s3_element_date(&response->body, "LastModified", answer->part.uploaded_ms);
        ps_s3_xml_close(&response->body, "CopyPartResult");
    } else {
        response->status = 200;
        write_etag(etag, response);
        write_checksums(&answer->part.checksums, 0, response);
    }
    write_ssec(&call->request.meta.ssec, response);
}

static void answer_complete(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                            struct ps_http_response *response)
{
    struct ps_buf location = {0};
    struct ps_slice host = PS_LIT("localhost");
    (void)ps_s3_header(call->head, "host", &host);
    ps_buf_append_text(&location, "http://");
    ps_buf_append_slice(&location, host);
    ps_buf_append_char(&location, '/');
    ps_buf_append_slice(&location, call->bucket);
    ps_buf_append_char(&location, '/');
    ps_s3_uri_encode(&location, call->request.key);
    ps_s3_begin_document(response, "CompleteMultipartUploadResult");
    ps_s3_xml_text(&response->body, "Bucket", call->bucket);
    ps_s3_xml_text(&response->body, "Key", call->request.key);
    ps_s3_element_etag(&response->body, answer->object.etag);
    ps_s3_xml_text(&response->body, "Location", ps_buf_slice(&location));
    element_checksums(&response->body, &answer->object.checksums, parts_shown(&answer->object));
    ps_s3_xml_close(&response->body, "CompleteMultipartUploadResult");
    write_version(&answer->object.version, response);
    ps_buf_fini(&location);
}

static void answer_put(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                       struct ps_http_response *response)
{
    response->status = 200;
    write_etag(answer->object.etag, response);
    write_checksums(&answer->object.checksums, 0, response);
    write_version(&answer->object.version, response);
    write_ssec(&call->request.meta.ssec, response);
}

void ps_s3_answer(const struct ps_s3_call *call, const struct ps_r2_answer *answer,
                  struct ps_http_response *response)
{
    enum ps_s3_op op = call->op;
    PS_ASSERT(op >= PS_S3_PUT_OBJECT);
    if (answer->error.code != PS_R2_CODE_NONE) {
        ps_s3_answer_error(call, &answer->error, response);
    } else if (op == PS_S3_PUT_OBJECT) {
        answer_put(call, answer, response);
    } else if (op == PS_S3_COPY_OBJECT) {
        answer_copy(answer, response);
    } else if (op == PS_S3_DELETE_OBJECTS) {
        answer_delete(call, response);
    } else if (op == PS_S3_CREATE_UPLOAD) {
        answer_create(call, answer, response);
    } else if (op == PS_S3_UPLOAD_PART || op == PS_S3_UPLOAD_PART_COPY) {
        answer_part(call, answer, response);
    } else if (op == PS_S3_COMPLETE) {
        answer_complete(call, answer, response);
    } else {
        response->status = 204; /* DeleteObject, AbortMultipartUpload */
    }
}

/* A put that a cache validator stops is not a 304. */
void ps_s3_answer_error(const struct ps_s3_call *call, const struct ps_r2_error *error,
                        struct ps_http_response *response)
{
    enum ps_r2_code code = error->code;
    bool reads = call->op == PS_S3_GET_OBJECT || call->op == PS_S3_HEAD_OBJECT;
    if (code == PS_R2_CODE_NOT_MODIFIED && !reads) {
        code = PS_R2_CODE_PRECONDITION_FAILED;
    }
    if (code == PS_R2_CODE_NOT_MODIFIED) {
        response->status = 304;
        return;
    }
    const struct ps_r2_code_info *info = ps_r2_code_info(code);
    PS_ASSERT(info->http_status >= 400);
    ps_s3_fail(response, info->http_status, info->s3_code, "%s", ps_r2_error_message(error));
}
