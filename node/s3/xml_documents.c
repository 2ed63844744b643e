#include "node/s3/text.h"
#include "node/s3/xml_internal.h"
#include "replication/base/memory.h"

#include <string.h>

static bool at(const char *path, const char *wanted)
{
    return strcmp(path, wanted) == 0;
}

/* ---- DeleteObjects ---- */

struct delete_reader {
    struct ps_s3_delete *list;
    size_t capacity;
    bool has_key; /* the Object under way */
};

static enum ps_status delete_begin(void *context, const char *path)
{
    struct delete_reader *reader = context;
    if (!at(path, "Delete/Object")) {
        return PS_OK;
    }
    reader->has_key = false;
    struct ps_s3_delete *list = reader->list;
    if (list->count == PS_R2_DELETE_MAX) {
        return PS_LIMIT;
    }
    list->keys = ps_grow(list->keys, list->count, &reader->capacity, sizeof *list->keys);
    list->count++;
    return PS_OK;
}

static enum ps_status delete_end(void *context, const char *path, struct ps_slice text)
{
    struct delete_reader *reader = context;
    if (at(path, "Delete/Object/Key")) {
        if (reader->has_key) {
            return PS_INVALID;
        }
        reader->has_key = true;
        reader->list->keys[reader->list->count - 1] = text;
    } else if (at(path, "Delete/Object")) {
        return reader->has_key ? PS_OK : PS_INVALID;
    } else if (at(path, "Delete/Quiet")) {
        text = ps_s3_trim(text);
        reader->list->quiet = ps_slice_eq(text, PS_LIT("true"));
        return reader->list->quiet || ps_slice_eq(text, PS_LIT("false")) ? PS_OK : PS_INVALID;
    }
    return PS_OK;
}

enum ps_status ps_s3_delete_read(struct ps_slice body, struct ps_s3_delete *ret)
{
    *ret = (struct ps_s3_delete){0};
    struct delete_reader context = {.list = ret};
    struct ps_s3_xml_reader reader = {delete_begin, delete_end, &context};
    enum ps_status status = ps_s3_xml_walk(body, "Delete", &reader, &ret->text);
    if (status == PS_OK && ret->count == 0) {
        status = PS_INVALID;
    }
    if (status != PS_OK) {
        ps_s3_delete_fini(ret);
    }
    return status;
}

void ps_s3_delete_fini(struct ps_s3_delete *list)
{
    free(list->keys);
    ps_buf_fini(&list->text);
    *list = (struct ps_s3_delete){0};
}

/* ---- CompleteMultipartUpload ---- */

struct complete_reader {
    struct ps_s3_complete *list;
    size_t capacity;
    bool has_number;
    bool has_etag;
};

#define PART "CompleteMultipartUpload/Part"

static enum ps_status complete_begin(void *context, const char *path)
{
    struct complete_reader *reader = context;
    if (!at(path, PART)) {
        return PS_OK;
    }
    reader->has_number = false;
    reader->has_etag = false;
    struct ps_s3_complete *list = reader->list;
    if (list->count == PS_R2_PARTS_MAX) {
        return PS_LIMIT;
    }
    list->parts = ps_grow(list->parts, list->count, &reader->capacity, sizeof *list->parts);
    list->parts[list->count++] = (struct ps_r2_named_part){0};
    return PS_OK;
}

/* An integer that no part can have counts as 0: there is no such part, which is another error. */
static enum ps_status read_number(struct ps_slice text, uint32_t *ret)
{
    text = ps_s3_trim(text);
    bool minus = text.size > 1 && *text.data == '-';
    uint64_t number;
    if (!ps_s3_number(minus ? (struct ps_slice){text.data + 1, text.size - 1} : text, &number)) {
        return PS_INVALID;
    }
    *ret = minus || number > PS_R2_PARTS_MAX ? 0 : (uint32_t)number;
    return PS_OK;
}

static struct ps_slice unquote(struct ps_slice etag)
{
    etag = ps_s3_trim(etag);
    if (etag.size > 0 && *etag.data == '"') {
        etag = (struct ps_slice){etag.data + 1, etag.size - 1};
    }
    if (etag.size > 0 && etag.data[etag.size - 1] == '"') {
        etag.size--;
    }
    return etag;
}

static enum ps_status read_checksum(const char *name, struct ps_slice text,
                                    struct ps_r2_checksums *ret)
{
    static const struct {
        const char *name;
        enum ps_r2_hash hash;
    } names[] = {{"ChecksumCRC32", PS_R2_CRC32},
                 {"ChecksumCRC32C", PS_R2_CRC32C},
                 {"ChecksumCRC64NVME", PS_R2_CRC64NVME},
                 {"ChecksumSHA1", PS_R2_SHA1},
                 {"ChecksumSHA256", PS_R2_SHA256}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (at(name, names[i].name)) {
            bool valid = ps_r2_checksums_set_base64(ret, names[i].hash, ps_s3_trim(text));
            return valid ? PS_OK : PS_INVALID;
        }
    }
    return PS_OK;
}

static enum ps_status complete_end(void *context, const char *path, struct ps_slice text)
{
    struct complete_reader *reader = context;
    if (at(path, PART)) {
        return reader->has_number && reader->has_etag ? PS_OK : PS_INVALID;
    }
    size_t skip = sizeof PART "/" - 1;
    if (strncmp(path, PART "/", skip) != 0) {
        return PS_OK;
    }
    struct ps_r2_named_part *part = &reader->list->parts[reader->list->count - 1];
    if (at(path, PART "/PartNumber")) {
        bool twice = reader->has_number;
        reader->has_number = true;
        return twice ? PS_INVALID : read_number(text, &part->number);
    }
    if (at(path, PART "/ETag")) {
        bool twice = reader->has_etag;
        reader->has_etag = true;
        part->etag = unquote(text);
        return twice ? PS_INVALID : PS_OK;
    }
    return read_checksum(path + skip, text, &part->checksums);
}

enum ps_status ps_s3_complete_read(struct ps_slice body, struct ps_s3_complete *ret)
{
    *ret = (struct ps_s3_complete){0};
    struct complete_reader context = {.list = ret};
    struct ps_s3_xml_reader reader = {complete_begin, complete_end, &context};
    enum ps_status status = ps_s3_xml_walk(body, "CompleteMultipartUpload", &reader, &ret->text);
    if (status == PS_OK && ret->count == 0) {
        status = PS_INVALID;
    }
    if (status != PS_OK) {
        ps_s3_complete_fini(ret);
    }
    return status;
}

void ps_s3_complete_fini(struct ps_s3_complete *list)
{
    free(list->parts);
    ps_buf_fini(&list->text);
    *list = (struct ps_s3_complete){0};
}

/* ---- CreateBucketConfiguration ---- */

static enum ps_status create_end(void *context, const char *path, struct ps_slice text)
{
    struct ps_s3_create *create = context;
    if (at(path, "CreateBucketConfiguration/LocationConstraint")) {
        create->location = ps_s3_trim(text);
    }
    return PS_OK;
}

enum ps_status ps_s3_create_read(struct ps_slice body, struct ps_s3_create *ret)
{
    *ret = (struct ps_s3_create){0};
    if (body.size == 0) {
        return PS_OK;
    }
    struct ps_s3_xml_reader reader = {NULL, create_end, ret};
    enum ps_status status = ps_s3_xml_walk(body, "CreateBucketConfiguration", &reader, &ret->text);
    if (status != PS_OK) {
        ps_s3_create_fini(ret);
    }
    return status;
}

void ps_s3_create_fini(struct ps_s3_create *create)
{
    ps_buf_fini(&create->text);
    *create = (struct ps_s3_create){0};
}
