#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"

#include <stdio.h>

static void write_class(struct ps_buf *body, enum ps_r2_class class)
{
    ps_s3_xml_text(body, "StorageClass",
                   class == PS_R2_INFREQUENT ? PS_LIT("STANDARD_IA") : PS_LIT("STANDARD"));
}

static void write_prefixes(const struct ps_s3_call *call, const struct ps_r2_page *page,
                           struct ps_buf *body)
{
    for (size_t i = 0; i < page->prefix_count; i++) {
        ps_s3_xml_open(body, "CommonPrefixes");
        ps_s3_xml_key(body, "Prefix", page->prefixes[i], call->url);
        ps_s3_xml_close(body, "CommonPrefixes");
    }
}

static void write_encoding(const struct ps_s3_call *call, struct ps_buf *body)
{
    if (call->url) {
        ps_s3_xml_text(body, "EncodingType", PS_LIT("url"));
    }
}

/* What the request said, where it did. */
static void write_param(const struct ps_s3_call *call, const char *param, const char *name,
                        bool key, struct ps_buf *body)
{
    const struct ps_slice *value = ps_s3_query_get(&call->query, param);
    if (value != NULL) {
        ps_s3_xml_key(body, name, *value, key && call->url);
    }
}

/* ---- objects ---- */

static void write_contents(const struct ps_s3_call *call, const struct ps_r2_page *page,
                           struct ps_buf *body)
{
    for (size_t i = 0; i < page->object_count; i++) {
        const struct ps_r2_object *object = &page->objects[i];
        ps_s3_xml_open(body, "Contents");
        ps_s3_xml_key(body, "Key", object->key, call->url);
        ps_s3_xml_number(body, "Size", object->size);
        ps_s3_element_date(body, "LastModified", object->uploaded_ms);
        ps_s3_element_etag(body, object->etag);
        write_class(body, object->meta.storage_class);
        ps_s3_xml_close(body, "Contents");
    }
}

static void write_next(const struct ps_s3_call *call, const struct ps_r2_page *page, bool truncated,
                       struct ps_buf *body)
{
    bool nothing = call->max_keys == 0; /* no page that another could follow */
    if (call->op == PS_S3_LIST_OBJECTS) {
        ps_s3_xml_key(body, "Marker", call->request.start_after, call->url);
        if (truncated && !nothing) {
            ps_s3_xml_key(body, "NextMarker", page->last, call->url);
        }
        return;
    }
    write_param(call, "start-after", "StartAfter", true, body);
    write_param(call, "continuation-token", "ContinuationToken", false, body);
    if (truncated && !nothing) {
        struct ps_buf cursor = {0};
        ps_r2_cursor_encode(&cursor, page->last);
        ps_s3_xml_text(body, "NextContinuationToken", ps_buf_slice(&cursor));
        ps_buf_fini(&cursor);
    }
}

static void answer_objects(const struct ps_s3_call *call, const struct ps_r2_page *page,
                           struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    bool nothing = call->max_keys == 0;
    bool truncated = nothing ? page->object_count + page->prefix_count > 0 : page->truncated;
    ps_s3_begin_document(response, "ListBucketResult");
    ps_s3_xml_text(body, "Name", call->bucket);
    if (!nothing) {
        write_contents(call, page, body);
    }
    ps_s3_xml_bool(body, "IsTruncated", truncated);
    if (!nothing) {
        write_prefixes(call, page, body);
    }
    ps_s3_xml_key(body, "Prefix", call->request.prefix, call->url);
    write_param(call, "delimiter", "Delimiter", true, body);
    write_next(call, page, truncated, body);
    ps_s3_xml_number(body, "MaxKeys", call->max_keys);
    if (call->op == PS_S3_LIST_OBJECTS_V2) {
        ps_s3_xml_number(body, "KeyCount", nothing ? 0 : page->object_count + page->prefix_count);
    }
    write_encoding(call, body);
    ps_s3_xml_close(body, "ListBucketResult");
}

/* ---- uploads ---- */

static void write_upload(const struct ps_s3_call *call, const struct ps_r2_upload *upload,
                         struct ps_buf *body)
{
    char id[PS_R2_HEX_SIZE];
    ps_r2_id_hex(&upload->id, id);
    ps_s3_xml_open(body, "Upload");
    ps_s3_xml_key(body, "Key", upload->key, call->url);
    ps_s3_xml_text(body, "UploadId", ps_slice_of(id));
    ps_s3_element_date(body, "Initiated", upload->initiated_ms);
    write_class(body, upload->meta.storage_class);
    ps_s3_xml_close(body, "Upload");
}

static void answer_uploads(const struct ps_s3_call *call, const struct ps_r2_page *page,
                           struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    bool nothing = call->max_keys == 0;
    bool truncated = nothing ? page->upload_count + page->prefix_count > 0 : page->truncated;
    ps_s3_begin_document(response, "ListMultipartUploadsResult");
    ps_s3_xml_text(body, "Bucket", call->bucket);
    ps_s3_xml_key(body, "KeyMarker", call->request.start_after, call->url);
    ps_s3_xml_text(body, "UploadIdMarker", call->request.upload_marker);
    if (truncated && !nothing) {
        char id[PS_R2_HEX_SIZE];
        ps_r2_id_hex(&page->last_upload, id);
        ps_s3_xml_key(body, "NextKeyMarker", page->last, call->url);
        ps_s3_xml_text(body, "NextUploadIdMarker", ps_slice_of(id));
    }
    ps_s3_xml_key(body, "Prefix", call->request.prefix, call->url);
    write_param(call, "delimiter", "Delimiter", true, body);
    ps_s3_xml_number(body, "MaxUploads", call->max_keys);
    ps_s3_xml_bool(body, "IsTruncated", truncated);
    for (size_t i = 0; !nothing && i < page->upload_count; i++) {
        write_upload(call, &page->uploads[i], body);
    }
    if (!nothing) {
        write_prefixes(call, page, body);
    }
    write_encoding(call, body);
    ps_s3_xml_close(body, "ListMultipartUploadsResult");
}

/* ---- parts ---- */

static void write_part(const struct ps_r2_part *part, struct ps_buf *body)
{
    char etag[PS_R2_ETAG_SIZE];
    ps_r2_etag_of_md5(part->checksums.bytes[PS_R2_MD5], etag);
    ps_s3_xml_open(body, "Part");
    ps_s3_xml_number(body, "PartNumber", part->number);
    ps_s3_element_date(body, "LastModified", part->uploaded_ms);
    ps_s3_element_etag(body, etag);
    ps_s3_xml_number(body, "Size", part->blob.size);
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        const char *name = ps_s3_checksum_element((enum ps_r2_hash)hash);
        if (name != NULL && (part->checksums.present & PS_R2_HASH_BIT(hash)) != 0) {
            struct ps_buf value = {0};
            ps_r2_base64(&value, ps_r2_checksums_get(&part->checksums, (enum ps_r2_hash)hash));
            ps_s3_xml_text(body, name, ps_buf_slice(&value));
            ps_buf_fini(&value);
        }
    }
    ps_s3_xml_close(body, "Part");
}

static void answer_parts(const struct ps_s3_call *call, const struct ps_r2_page *page,
                         struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    bool nothing = call->max_keys == 0;
    bool truncated = nothing ? page->part_count > 0 : page->truncated;
    char id[PS_R2_HEX_SIZE];
    ps_r2_id_hex(&call->request.upload_id, id);
    ps_s3_begin_document(response, "ListPartsResult");
    ps_s3_xml_text(body, "Bucket", call->bucket);
    ps_s3_xml_key(body, "Key", call->request.key, call->url);
    ps_s3_xml_text(body, "UploadId", ps_slice_of(id));
    write_class(body, page->upload.meta.storage_class);
    ps_s3_xml_number(body, "PartNumberMarker", call->request.part_marker);
    if (truncated && !nothing) {
        ps_s3_xml_number(body, "NextPartNumberMarker", page->last_part);
    }
    ps_s3_xml_number(body, "MaxParts", call->max_keys);
    ps_s3_xml_bool(body, "IsTruncated", truncated);
    for (size_t i = 0; !nothing && i < page->part_count; i++) {
        write_part(&page->parts[i], body);
    }
    write_encoding(call, body);
    ps_s3_xml_close(body, "ListPartsResult");
}

void ps_s3_answer_page(const struct ps_s3_call *call, const struct ps_r2_page *page,
                       struct ps_http_response *response)
{
    if (call->op == PS_S3_LIST_UPLOADS) {
        answer_uploads(call, page, response);
    } else if (call->op == PS_S3_LIST_PARTS) {
        answer_parts(call, page, response);
    } else {
        PS_ASSERT(call->op == PS_S3_LIST_OBJECTS || call->op == PS_S3_LIST_OBJECTS_V2);
        answer_objects(call, page, response);
    }
}
