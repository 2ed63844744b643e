#include "node/r2/r2_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* Appending to a buffer cannot fail, so the packer's results, always 0, are dropped here. */

static struct ps_slice id_bytes(const uint8_t *bytes)
{
    return (struct ps_slice){(const char *)bytes, PS_R2_ID_SIZE};
}

static void note(struct ps_wire_reader *reader, enum ps_status status)
{
    reader->status = reader->status == PS_OK ? status : reader->status;
}

/* Times before 1970 are rare but can be given (If-Modified-Since): zigzag. */
void ps_r2_pack_i64(msgpack_packer *packer, int64_t value)
{
    ps_pack_u64(packer, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

int64_t ps_r2_read_i64(struct ps_wire_reader *reader)
{
    uint64_t value = ps_wire_read_u64(reader, 0, UINT64_MAX);
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

void ps_r2_read_format(struct ps_wire_reader *reader)
{
    uint64_t format = ps_wire_read_u64(reader, PS_R2_FORMAT, UINT64_MAX);
    if (reader->status == PS_OK && format > PS_R2_FORMAT) {
        note(reader, PS_UNSUPPORTED);
    }
}

void ps_r2_pack_id(msgpack_packer *packer, const struct ps_r2_id *id)
{
    ps_pack_bin(packer, id_bytes(id->bytes));
}

static void read_16(struct ps_wire_reader *reader, uint8_t ret[PS_R2_ID_SIZE])
{
    struct ps_slice bytes = ps_wire_read_bin(reader, PS_R2_ID_SIZE, PS_R2_ID_SIZE);
    if (reader->status == PS_OK) {
        memcpy(ret, bytes.data, PS_R2_ID_SIZE);
    }
}

void ps_r2_read_id(struct ps_wire_reader *reader, struct ps_r2_id *ret)
{
    read_16(reader, ret->bytes);
}

void ps_r2_pack_checksums(msgpack_packer *packer, const struct ps_r2_checksums *sums)
{
    PS_ASSERT(sums->present >> PS_R2_HASHES == 0);
    size_t count = 0;
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        count += sums->present >> hash & 1U;
    }
    ps_pack_array(packer, 1 + count);
    ps_pack_u64(packer, sums->present);
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        if ((sums->present >> hash & 1U) != 0) {
            ps_pack_bin(packer, ps_r2_checksums_get(sums, (enum ps_r2_hash)hash));
        }
    }
}

void ps_r2_read_checksums(struct ps_wire_reader *reader, struct ps_r2_checksums *ret)
{
    struct ps_wire_reader items = ps_wire_reader_of(ps_wire_read_array(reader));
    uint64_t present = ps_wire_read_u64(&items, 0, (1U << PS_R2_HASHES) - 1);
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        if ((present >> hash & 1U) != 0) {
            size_t size = ps_r2_hash_size((enum ps_r2_hash)hash);
            struct ps_slice bytes = ps_wire_read_bin(&items, size, size);
            if (items.status == PS_OK) {
                (void)ps_r2_checksums_set(ret, (enum ps_r2_hash)hash, bytes);
            }
        }
    }
    ps_wire_read_end(&items);
    note(reader, items.status);
}

void ps_r2_pack_ssec(msgpack_packer *packer, const struct ps_r2_ssec *ssec)
{
    ps_pack_bin(packer, ssec->given ? id_bytes(ssec->key_md5) : (struct ps_slice){NULL, 0});
}

void ps_r2_read_ssec(struct ps_wire_reader *reader, struct ps_r2_ssec *ret)
{
    struct ps_slice bytes = ps_wire_read_bin(reader, 0, PS_R2_ID_SIZE);
    ret->given = bytes.size == PS_R2_ID_SIZE;
    if (ret->given) {
        memcpy(ret->key_md5, bytes.data, PS_R2_ID_SIZE);
    } else if (bytes.size != 0) {
        note(reader, PS_CORRUPT);
    }
}

static void pack_http(msgpack_packer *packer, const struct ps_r2_http *http)
{
    ps_pack_bin(packer, http->content_type);
    ps_pack_bin(packer, http->content_language);
    ps_pack_bin(packer, http->content_disposition);
    ps_pack_bin(packer, http->content_encoding);
    ps_pack_bin(packer, http->cache_control);
    ps_pack_bool(packer, http->has_cache_expiry);
    ps_r2_pack_i64(packer, http->has_cache_expiry ? http->cache_expiry_ms : 0);
}

static void read_http(struct ps_wire_reader *reader, struct ps_r2_http *ret)
{
    ret->content_type = ps_wire_read_bin(reader, 0, PS_R2_HTTP_SIZE_MAX);
    ret->content_language = ps_wire_read_bin(reader, 0, PS_R2_HTTP_SIZE_MAX);
    ret->content_disposition = ps_wire_read_bin(reader, 0, PS_R2_HTTP_SIZE_MAX);
    ret->content_encoding = ps_wire_read_bin(reader, 0, PS_R2_HTTP_SIZE_MAX);
    ret->cache_control = ps_wire_read_bin(reader, 0, PS_R2_HTTP_SIZE_MAX);
    ret->has_cache_expiry = ps_wire_read_bool(reader);
    ret->cache_expiry_ms = ps_r2_read_i64(reader);
}

void ps_r2_pack_metadata(msgpack_packer *packer, const struct ps_r2_metadata *meta)
{
    ps_pack_array(packer, 10);
    pack_http(packer, &meta->http);
    ps_pack_array(packer, 2 * meta->custom_count);
    for (size_t i = 0; i < meta->custom_count; i++) {
        ps_pack_bin(packer, meta->custom[i].name);
        ps_pack_bin(packer, meta->custom[i].value);
    }
    ps_pack_u64(packer, meta->storage_class);
    ps_r2_pack_ssec(packer, &meta->ssec);
}

static void read_custom(struct ps_wire_reader *reader, struct ps_r2_metadata *ret)
{
    struct ps_wire_reader items = ps_wire_reader_of(ps_wire_read_array(reader));
    size_t count = items.left / 2;
    if (items.status == PS_OK && items.left % 2 != 0) {
        items.status = PS_CORRUPT;
    }
    if (items.status == PS_OK && count > 0) {
        ret->custom = PS_NEW_ARRAY(struct ps_r2_pair, count);
        ret->custom_count = count;
    }
    for (size_t i = 0; i < ret->custom_count; i++) {
        ret->custom[i].name = ps_wire_read_bin(&items, 0, PS_R2_METADATA_SIZE_MAX);
        ret->custom[i].value = ps_wire_read_bin(&items, 0, PS_R2_METADATA_SIZE_MAX);
    }
    note(reader, items.status);
}

void ps_r2_read_metadata(struct ps_wire_reader *reader, struct ps_r2_metadata *ret)
{
    struct ps_wire_reader items = ps_wire_reader_of(ps_wire_read_array(reader));
    read_http(&items, &ret->http);
    read_custom(&items, ret);
    ret->storage_class = (enum ps_r2_class)ps_wire_read_u64(&items, 0, PS_R2_INFREQUENT);
    ps_r2_read_ssec(&items, &ret->ssec);
    ps_wire_read_end(&items);
    note(reader, items.status);
}

void ps_r2_metadata_fini(struct ps_r2_metadata *meta)
{
    free(meta->custom);
    meta->custom = NULL;
    meta->custom_count = 0;
}

void ps_r2_pack_blob(msgpack_packer *packer, const struct ps_r2_blob *blob)
{
    ps_r2_pack_id(packer, &blob->id);
    ps_pack_u64(packer, blob->size);
}

void ps_r2_read_blob(struct ps_wire_reader *reader, struct ps_r2_blob *ret)
{
    ps_r2_read_id(reader, &ret->id);
    ret->size = ps_wire_read_u64(reader, 0, PS_R2_SIZE_MAX);
}

void ps_r2_read_etag(struct ps_wire_reader *reader, char ret[PS_R2_ETAG_SIZE])
{
    struct ps_slice text = ps_wire_read_bin(reader, 1, PS_R2_ETAG_SIZE - 1);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] == '"' || text.data[i] > '~') {
            note(reader, PS_CORRUPT);
            return;
        }
        ret[i] = text.data[i];
    }
}
