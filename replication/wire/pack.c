#include "replication/base/assert.h"
#include "replication/wire/wire_internal.h"

static int append(void *data, const char *bytes, size_t size)
{
    struct ps_buf *buf = data;
    ps_buf_append(buf, bytes, size);
    return 0;
}

void ps_pack_init(msgpack_packer *packer, struct ps_buf *buf)
{
    msgpack_packer_init(packer, buf, append);
}

/* Appending to a buffer cannot fail, so the packer's results, always 0, are dropped here. */

void ps_pack_array(msgpack_packer *packer, size_t count)
{
    PS_ASSERT(count <= PS_ENTRIES_MAX);
    (void)msgpack_pack_array(packer, count);
}

void ps_pack_u64(msgpack_packer *packer, uint64_t value)
{
    (void)msgpack_pack_uint64(packer, value);
}

void ps_pack_bool(msgpack_packer *packer, bool value)
{
    (void)(value ? msgpack_pack_true(packer) : msgpack_pack_false(packer));
}

void ps_pack_bin(msgpack_packer *packer, struct ps_slice bytes)
{
    PS_ASSERT(bytes.size <= PS_TEXT_SIZE_MAX);
    (void)msgpack_pack_bin(packer, bytes.size);
    if (bytes.size > 0) {
        (void)msgpack_pack_bin_body(packer, bytes.data, bytes.size);
    }
}

void ps_pack_entry(msgpack_packer *packer, const struct ps_entry *entry)
{
    ps_pack_array(packer, 4);
    ps_pack_bin(packer, entry->key);
    if (entry->deleted) {
        PS_ASSERT(entry->value.size == 0);
        (void)msgpack_pack_nil(packer);
    } else {
        ps_pack_bin(packer, entry->value);
    }
    ps_pack_bin(packer, entry->metadata);
    ps_pack_u64(packer, entry->expires_unix_s);
}

void ps_pack_record(msgpack_packer *packer, const struct ps_record *record)
{
    ps_pack_array(packer, 5);
    ps_pack_u64(packer, PS_WIRE_VERSION);
    ps_pack_u64(packer, record->lsn);
    ps_pack_u64(packer, record->commit_ns);
    ps_pack_bin(packer, (struct ps_slice){(const char *)record->token.bytes, PS_TOKEN_SIZE});
    ps_pack_array(packer, record->entry_count);
    for (size_t i = 0; i < record->entry_count; i++) {
        ps_pack_entry(packer, &record->entries[i]);
    }
}
