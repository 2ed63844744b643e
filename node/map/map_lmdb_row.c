/* The bytes of rows; map_lmdb_internal.h has their table. */
#include "node/map/map_lmdb_internal.h"

#include <endian.h>
#include <string.h>

enum { ROW_MARK = 0x80 }; /* set in each row's first byte: a page of zeros is no row */

enum { VERSION_DELETED = 1, VERSION_EXPIRES = 2, VERSION_METADATA = 4 };

enum { LOG_TOKEN = 1 };

MDB_val ps_lmdb_val(const void *data, size_t size)
{
    /* LMDB's API has no const; keys and values that are put are only read. */
    union {
        const void *in;
        void *out;
    } pointer = {.in = data};

    return (MDB_val){.mv_size = size, .mv_data = pointer.out};
}

struct ps_slice ps_lmdb_slice(MDB_val val)
{
    return (struct ps_slice){val.mv_data, val.mv_size};
}

void ps_put_be16(unsigned char *out, uint16_t value)
{
    uint16_t be = htobe16(value);
    memcpy(out, &be, sizeof be);
}

void ps_put_be32(unsigned char *out, uint32_t value)
{
    uint32_t be = htobe32(value);
    memcpy(out, &be, sizeof be);
}

void ps_put_be64(unsigned char *out, uint64_t value)
{
    uint64_t be = htobe64(value);
    memcpy(out, &be, sizeof be);
}

uint16_t ps_get_be16(const unsigned char *in)
{
    uint16_t be;
    memcpy(&be, in, sizeof be);
    return be16toh(be);
}

uint32_t ps_get_be32(const unsigned char *in)
{
    uint32_t be;
    memcpy(&be, in, sizeof be);
    return be32toh(be);
}

uint64_t ps_get_be64(const unsigned char *in)
{
    uint64_t be;
    memcpy(&be, in, sizeof be);
    return be64toh(be);
}

struct ps_row ps_row_of(MDB_val val)
{
    return (struct ps_row){.at = val.mv_data, .left = val.mv_size};
}

struct ps_slice ps_row_bytes(struct ps_row *row, uint64_t size)
{
    if (row->bad || size > row->left) {
        row->bad = true;
        return (struct ps_slice){NULL, 0};
    }
    struct ps_slice bytes = {(const char *)row->at, (size_t)size};
    row->at += size;
    row->left -= (size_t)size;
    return bytes;
}

uint8_t ps_row_u8(struct ps_row *row)
{
    struct ps_slice bytes = ps_row_bytes(row, 1);
    return bytes.size == 0 ? 0 : (uint8_t)bytes.data[0];
}

uint64_t ps_row_u64(struct ps_row *row)
{
    uint64_t le = 0;
    struct ps_slice bytes = ps_row_bytes(row, sizeof le);
    if (bytes.size != 0) {
        memcpy(&le, bytes.data, sizeof le);
    }
    return le64toh(le);
}

uint64_t ps_row_varint(struct ps_row *row)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = ps_row_u8(row);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return row->bad ? 0 : value;
        }
    }
    row->bad = true;
    return 0;
}

void ps_row_put_u8(struct ps_buf *buf, uint8_t value)
{
    ps_buf_append(buf, &value, 1);
}

void ps_row_put_u64(struct ps_buf *buf, uint64_t value)
{
    uint64_t le = htole64(value);
    ps_buf_append(buf, &le, sizeof le);
}

void ps_row_put_varint(struct ps_buf *buf, uint64_t value)
{
    while (value >= 0x80) {
        ps_row_put_u8(buf, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    ps_row_put_u8(buf, (uint8_t)value);
}

void ps_version_key(unsigned char out[PS_LMDB_VERSION_KEY_SIZE], uint64_t id, uint64_t lsn)
{
    ps_put_be64(out, id);
    ps_put_be64(out + 8, ~lsn);
}

void ps_log_key(unsigned char out[PS_LMDB_LOG_KEY_SIZE], unsigned store, uint64_t lsn)
{
    ps_put_be16(out, (uint16_t)store);
    ps_put_be64(out + 2, lsn);
}

void ps_version_row_head(struct ps_buf *buf, uint64_t seq, ps_time_ns commit_ns,
                         const struct ps_entry *entry)
{
    unsigned flags = ROW_MARK | (entry->deleted ? VERSION_DELETED : 0U) |
                     (entry->expires_unix_s != 0 ? VERSION_EXPIRES : 0U) |
                     (entry->metadata.size != 0 ? VERSION_METADATA : 0U);
    ps_row_put_u8(buf, (uint8_t)flags);
    ps_row_put_u64(buf, commit_ns);
    ps_row_put_varint(buf, seq);
    if (entry->expires_unix_s != 0) {
        ps_row_put_varint(buf, entry->expires_unix_s);
    }
    if (entry->metadata.size != 0) {
        ps_row_put_varint(buf, entry->metadata.size);
        ps_buf_append_slice(buf, entry->metadata);
    }
}

enum ps_status ps_version_row_read(MDB_val key, MDB_val value, struct ps_version *ret,
                                   uint64_t *ret_seq)
{
    if (key.mv_size != PS_LMDB_VERSION_KEY_SIZE) {
        return PS_CORRUPT;
    }
    struct ps_row row = ps_row_of(value);
    unsigned flags = ps_row_u8(&row);
    *ret = (struct ps_version){
        .lsn = ~ps_get_be64((const unsigned char *)key.mv_data + 8),
        .commit_ns = ps_row_u64(&row),
        .deleted = (flags & VERSION_DELETED) != 0,
    };
    *ret_seq = ps_row_varint(&row);
    if ((flags & VERSION_EXPIRES) != 0) {
        ret->expires_unix_s = ps_row_varint(&row);
    }
    if ((flags & VERSION_METADATA) != 0) {
        ret->metadata = ps_row_bytes(&row, ps_row_varint(&row));
    }
    ret->value = (struct ps_slice){(const char *)row.at, row.left};
    return row.bad || (flags & ROW_MARK) == 0 ? PS_CORRUPT : PS_OK;
}

void ps_log_row_head(struct ps_buf *buf, ps_time_ns commit_ns, const struct ps_token *token,
                     size_t key_count)
{
    bool with_token = !ps_token_is_zero(token);
    ps_row_put_u8(buf, (uint8_t)(ROW_MARK | (with_token ? LOG_TOKEN : 0U)));
    ps_row_put_u64(buf, commit_ns);
    if (with_token) {
        ps_buf_append(buf, token->bytes, sizeof token->bytes);
    }
    ps_row_put_varint(buf, key_count);
}

void ps_log_row_key(struct ps_buf *buf, struct ps_slice key)
{
    ps_row_put_varint(buf, key.size);
    ps_buf_append_slice(buf, key);
}

enum ps_status ps_log_row_read(MDB_val key, MDB_val value, struct ps_log_row *ret)
{
    if (key.mv_size < PS_LMDB_LOG_KEY_SIZE) {
        return PS_CORRUPT;
    }
    struct ps_row row = ps_row_of(value);
    unsigned flags = ps_row_u8(&row);
    *ret = (struct ps_log_row){
        .lsn = ps_get_be64((const unsigned char *)key.mv_data + 2),
        .commit_ns = ps_row_u64(&row),
    };
    if ((flags & LOG_TOKEN) != 0) {
        struct ps_slice token = ps_row_bytes(&row, sizeof ret->token.bytes);
        if (token.size != 0) {
            memcpy(ret->token.bytes, token.data, token.size);
        }
    }
    ret->key_count = ps_row_varint(&row);
    ret->keys = row;
    return row.bad || (flags & ROW_MARK) == 0 || ret->key_count > row.left ? PS_CORRUPT : PS_OK;
}

struct ps_slice ps_log_row_next(struct ps_log_row *row)
{
    return ps_row_bytes(&row->keys, ps_row_varint(&row->keys));
}
