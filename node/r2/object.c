#include "node/r2/object.h"

#include "node/r2/r2_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <string.h>

enum { UPLOAD_KEY_SIZE = 2 + PS_R2_ID_SIZE, PART_KEY_SIZE = UPLOAD_KEY_SIZE + 2 };

/* ---- ids, keys, times ---- */

void ps_r2_id_hex(const struct ps_r2_id *id, char ret[PS_R2_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < PS_R2_ID_SIZE; i++) {
        ret[2 * i] = digits[id->bytes[i] >> 4];
        ret[2 * i + 1] = digits[id->bytes[i] & 0xf];
    }
    ret[PS_R2_HEX_SIZE - 1] = '\0';
}

bool ps_r2_id_parse(struct ps_slice text, struct ps_r2_id *ret)
{
    return ps_r2_unhex(text, ret->bytes, PS_R2_ID_SIZE);
}

bool ps_r2_id_eq(const struct ps_r2_id *a, const struct ps_r2_id *b)
{
    return memcmp(a->bytes, b->bytes, PS_R2_ID_SIZE) == 0;
}

struct ps_r2_id ps_r2_id_of_token(const struct ps_token *token, uint64_t n)
{
    uint64_t half[2];
    memcpy(half, token->bytes, sizeof half);
    struct ps_r2_id id;
    uint64_t words[2];
    ps_random_u64x2(half[0], half[1], n, words);
    memcpy(id.bytes, words, sizeof id.bytes);
    return id;
}

int64_t ps_r2_unix_ms(const struct ps_cluster *cluster, ps_time_ns t)
{
    return cluster->epoch_unix_s * 1000 + (int64_t)(t / PS_MS);
}

/* How many bytes follow the first one of a UTF-8 sequence, and what the second one may be. */
static int sequence_of(uint8_t first, uint8_t *ret_min, uint8_t *ret_max)
{
    *ret_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return first < 0x80    ? 0
           : first < 0xc2  ? -1
           : first < 0xe0  ? 1
           : first < 0xf0  ? 2
           : first <= 0xf4 ? 3
                           : -1;
}

static bool is_utf8(struct ps_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t min;
        uint8_t max;
        int more = sequence_of((uint8_t)text.data[i], &min, &max);
        if (more < 0 || (size_t)more > text.size - i - 1) {
            return false;
        }
        for (; more > 0; more--) {
            uint8_t byte = (uint8_t)text.data[++i];
            if (byte < min || byte > max) {
                return false;
            }
            min = 0x80;
            max = 0xbf;
        }
    }
    return true;
}

bool ps_r2_key_valid(struct ps_slice key)
{
    return key.size > 0 && key.size <= PS_R2_KEY_SIZE_MAX && is_utf8(key);
}

static void internal_key(struct ps_buf *buf, char kind)
{
    ps_buf_append_char(buf, (char)(uint8_t)PS_R2_INTERNAL);
    ps_buf_append_char(buf, kind);
}

void ps_r2_upload_key(struct ps_buf *buf, const struct ps_r2_id *upload)
{
    internal_key(buf, 'u');
    ps_buf_append(buf, upload->bytes, PS_R2_ID_SIZE);
}

void ps_r2_part_key(struct ps_buf *buf, const struct ps_r2_id *upload, uint32_t number)
{
    PS_ASSERT(number <= PS_R2_PARTS_MAX);
    internal_key(buf, 'p');
    ps_buf_append(buf, upload->bytes, PS_R2_ID_SIZE);
    if (number > 0) {
        ps_buf_append_char(buf, (char)(uint8_t)(number >> 8));
        ps_buf_append_char(buf, (char)(uint8_t)(number & 0xff));
    }
}

void ps_r2_closed_key(struct ps_buf *buf)
{
    internal_key(buf, 'c');
}

void ps_r2_purge_key(struct ps_buf *buf, struct ps_slice key)
{
    internal_key(buf, 'x');
    uint64_t hash = ps_slice_hash(key);
    for (int shift = 56; key.size > 0 && shift >= 0; shift -= 8) {
        ps_buf_append_char(buf, (char)(uint8_t)(hash >> shift));
    }
}

void ps_r2_purged_key(struct ps_buf *buf)
{
    internal_key(buf, 'w');
}

static bool is_internal(struct ps_slice key, char kind, size_t size)
{
    return key.size == size && (uint8_t)key.data[0] == PS_R2_INTERNAL && key.data[1] == kind;
}

bool ps_r2_record_purges(const struct ps_record *record, struct ps_slice *ret_key)
{
    enum { SIZE = 2 };

    for (size_t i = 0; i < record->entry_count; i++) {
        if (is_internal(record->entries[i].key, 'w', SIZE)) {
            *ret_key = record->entries[i].value;
            return true;
        }
    }
    return false;
}

/* ---- objects ---- */

void ps_r2_object_encode(struct ps_buf *buf, const struct ps_r2_object *object)
{
    PS_ASSERT(object->part_count <= PS_R2_PARTS_MAX);
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 9);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    ps_r2_pack_id(&packer, &object->version);
    ps_pack_u64(&packer, object->size);
    ps_pack_bin(&packer, ps_slice_of(object->etag));
    ps_r2_pack_checksums(&packer, &object->checksums);
    ps_pack_bool(&packer, object->composite);
    ps_pack_u64(&packer, object->part_count);
    ps_pack_bool(&packer, object->is_inline);
    ps_r2_pack_metadata(&packer, &object->meta);
}

static enum ps_status read_object(const msgpack_object *root, struct ps_r2_object *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    ps_r2_read_id(&reader, &ret->version);
    ret->size = ps_wire_read_u64(&reader, 0, PS_R2_SIZE_MAX);
    ps_r2_read_etag(&reader, ret->etag);
    ps_r2_read_checksums(&reader, &ret->checksums);
    ret->composite = ps_wire_read_bool(&reader);
    ret->part_count = (uint32_t)ps_wire_read_u64(&reader, 0, PS_R2_PARTS_MAX);
    ret->is_inline = ps_wire_read_bool(&reader);
    ps_r2_read_metadata(&reader, &ret->meta);
    ps_wire_read_end(&reader);
    return reader.status;
}

enum ps_status ps_r2_head_decode(struct ps_slice key, struct ps_slice metadata,
                                 struct ps_r2_object *ret)
{
    *ret = (struct ps_r2_object){.key = key};
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, metadata, PS_METADATA_SIZE_MAX);
    if (status == PS_OK) {
        status = read_object(&tree.root, ret);
        ps_tree_fini(&tree);
    }
    if (status != PS_OK) {
        ps_r2_object_fini(ret);
    }
    return status;
}

enum ps_status ps_r2_object_decode(struct ps_slice key, struct ps_slice metadata,
                                   struct ps_slice value, struct ps_r2_object *ret)
{
    enum ps_status status = ps_r2_head_decode(key, metadata, ret);
    ret->body = value;
    if (status == PS_OK && ret->is_inline && value.size != ret->size) {
        status = PS_CORRUPT;
    }
    if (status != PS_OK) {
        ps_r2_object_fini(ret);
    }
    return status;
}

enum ps_status ps_r2_object_of(const struct ps_cluster *cluster, struct ps_slice key,
                               const struct ps_version *version, struct ps_r2_object *ret)
{
    *ret = (struct ps_r2_object){.size = 0};
    if (version->deleted) {
        return PS_NOT_FOUND;
    }
    enum ps_status status = ps_r2_object_decode(key, version->metadata, version->value, ret);
    if (status == PS_OK) {
        ret->uploaded_ms = ps_r2_unix_ms(cluster, version->commit_ns);
    }
    return status;
}

void ps_r2_object_fini(struct ps_r2_object *object)
{
    ps_r2_metadata_fini(&object->meta);
    *object = (struct ps_r2_object){.size = 0};
}

/* ---- bodies ---- */

void ps_r2_blobs_encode(struct ps_buf *buf, const struct ps_r2_blob *blobs, size_t count)
{
    PS_ASSERT(count > 0 && count <= PS_R2_PARTS_MAX);
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 1 + 2 * count);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    for (size_t i = 0; i < count; i++) {
        ps_r2_pack_blob(&packer, &blobs[i]);
    }
}

static enum ps_status read_blobs(const msgpack_object *root, struct ps_r2_body *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    size_t count = reader.left / 2;
    if (reader.status != PS_OK) {
        return reader.status;
    }
    if (count == 0 || count > PS_R2_PARTS_MAX) {
        return PS_CORRUPT;
    }
    ret->blobs = PS_NEW_ARRAY(struct ps_r2_blob, count);
    ret->blob_count = count;
    for (size_t i = 0; i < count; i++) {
        ps_r2_read_blob(&reader, &ret->blobs[i]);
    }
    ps_wire_read_end(&reader);
    return reader.status;
}

static bool sizes_add_up(const struct ps_r2_body *body, uint64_t size)
{
    uint64_t sum = 0; /* 10,000 sizes of 5 TiB at most: cannot wrap */
    for (size_t i = 0; i < body->blob_count; i++) {
        sum += body->blobs[i].size;
    }
    return sum == size;
}

enum ps_status ps_r2_object_body(const struct ps_r2_object *object, struct ps_r2_body *ret)
{
    *ret = (struct ps_r2_body){.blob_count = 0};
    if (object->is_inline) {
        ret->bytes = object->body;
        return PS_OK;
    }
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, object->body, PS_VALUE_SIZE_MAX);
    if (status != PS_OK) {
        return status;
    }
    status = read_blobs(&tree.root, ret);
    ps_tree_fini(&tree);
    if (status == PS_OK && !sizes_add_up(ret, object->size)) {
        status = PS_CORRUPT;
    }
    if (status != PS_OK) {
        ps_r2_body_fini(ret);
    }
    return status;
}

void ps_r2_body_fini(struct ps_r2_body *body)
{
    free(body->blobs);
    *body = (struct ps_r2_body){.blob_count = 0};
}

/* ---- uploads and parts ---- */

void ps_r2_upload_encode(struct ps_buf *buf, const struct ps_r2_upload *upload)
{
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 5);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    ps_pack_bin(&packer, upload->key);
    ps_pack_u64(&packer, upload->hashes);
    ps_pack_bool(&packer, upload->full_object);
    ps_r2_pack_metadata(&packer, &upload->meta);
}

static enum ps_status read_upload(const msgpack_object *root, struct ps_r2_upload *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    ret->key = ps_wire_read_bin(&reader, 1, PS_R2_KEY_SIZE_MAX);
    ret->hashes = (ps_r2_hash_set)ps_wire_read_u64(&reader, 0, (1U << PS_R2_HASHES) - 1);
    ret->full_object = ps_wire_read_bool(&reader);
    ps_r2_read_metadata(&reader, &ret->meta);
    ps_wire_read_end(&reader);
    return reader.status;
}

enum ps_status ps_r2_upload_decode(struct ps_slice key, struct ps_slice metadata,
                                   struct ps_r2_upload *ret)
{
    *ret = (struct ps_r2_upload){.hashes = 0};
    if (!is_internal(key, 'u', UPLOAD_KEY_SIZE)) {
        return PS_CORRUPT;
    }
    memcpy(ret->id.bytes, key.data + 2, PS_R2_ID_SIZE);
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, metadata, PS_METADATA_SIZE_MAX);
    if (status == PS_OK) {
        status = read_upload(&tree.root, ret);
        ps_tree_fini(&tree);
    }
    if (status != PS_OK) {
        ps_r2_upload_fini(ret);
    }
    return status;
}

void ps_r2_upload_fini(struct ps_r2_upload *upload)
{
    ps_r2_metadata_fini(&upload->meta);
    *upload = (struct ps_r2_upload){.hashes = 0};
}

void ps_r2_part_encode(struct ps_buf *buf, const struct ps_r2_part *part)
{
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 4);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    ps_r2_pack_blob(&packer, &part->blob);
    ps_r2_pack_checksums(&packer, &part->checksums);
}

static enum ps_status read_part(const msgpack_object *root, struct ps_r2_part *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    ps_r2_read_blob(&reader, &ret->blob);
    ps_r2_read_checksums(&reader, &ret->checksums);
    ps_wire_read_end(&reader);
    bool has_md5 = (ret->checksums.present & PS_R2_HASH_BIT(PS_R2_MD5)) != 0;
    return reader.status == PS_OK && !has_md5 ? PS_CORRUPT : reader.status;
}

enum ps_status ps_r2_part_decode(struct ps_slice key, struct ps_slice metadata,
                                 struct ps_r2_part *ret)
{
    *ret = (struct ps_r2_part){.number = 0};
    if (!is_internal(key, 'p', PART_KEY_SIZE)) {
        return PS_CORRUPT;
    }
    const uint8_t *number = (const uint8_t *)key.data + UPLOAD_KEY_SIZE;
    ret->number = (uint32_t)(number[0] << 8 | number[1]);
    struct ps_tree tree;
    enum ps_status status = ret->number == 0 || ret->number > PS_R2_PARTS_MAX
                                ? PS_CORRUPT
                                : ps_tree_init(&tree, metadata, PS_METADATA_SIZE_MAX);
    if (status == PS_OK) {
        status = read_part(&tree.root, ret);
        ps_tree_fini(&tree);
    }
    if (status != PS_OK) {
        *ret = (struct ps_r2_part){.number = 0};
    }
    return status;
}

/* ---- what garbage collection keeps ---- */

static enum ps_status object_blobs(struct ps_slice key, struct ps_slice metadata,
                                   struct ps_slice value, ps_r2_blob_fn each, void *context)
{
    struct ps_r2_object object;
    struct ps_r2_body body = {.blob_count = 0};
    enum ps_status status = ps_r2_object_decode(key, metadata, value, &object);
    if (status == PS_OK) {
        status = ps_r2_object_body(&object, &body);
    }
    for (size_t i = 0; i < body.blob_count; i++) {
        each(context, &body.blobs[i]);
    }
    ps_r2_body_fini(&body);
    ps_r2_object_fini(&object);
    return status;
}

enum ps_status ps_r2_entry_blobs(struct ps_slice key, struct ps_slice metadata,
                                 struct ps_slice value, ps_r2_blob_fn each, void *context)
{
    if (key.size > 0 && (uint8_t)key.data[0] != PS_R2_INTERNAL) {
        return object_blobs(key, metadata, value, each, context);
    }
    if (!is_internal(key, 'p', PART_KEY_SIZE)) {
        return PS_OK;
    }
    struct ps_r2_part part;
    enum ps_status status = ps_r2_part_decode(key, metadata, &part);
    if (status == PS_OK) {
        each(context, &part.blob);
    }
    return status;
}
