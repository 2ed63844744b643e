#include "replication/base/memory.h"
#include "replication/wire/wire_internal.h"

#include <string.h>

enum ps_status ps_tree_init(struct ps_tree *tree, struct ps_slice bytes, size_t size_max)
{
    if (bytes.size > size_max) {
        return PS_LIMIT;
    }
    enum ps_status status = ps_wire_check(bytes);
    if (status != PS_OK) {
        return status;
    }
    if (!msgpack_zone_init(&tree->zone, MSGPACK_ZONE_CHUNK_SIZE)) {
        return PS_LIMIT;
    }
    size_t at = 0;
    if (msgpack_unpack(bytes.data, bytes.size, &at, &tree->zone, &tree->root) !=
        MSGPACK_UNPACK_SUCCESS) {
        msgpack_zone_destroy(&tree->zone);
        return PS_CORRUPT;
    }
    return PS_OK;
}

void ps_tree_fini(struct ps_tree *tree)
{
    msgpack_zone_destroy(&tree->zone);
}

struct ps_wire_reader ps_wire_reader_of(const msgpack_object *object)
{
    if (object == NULL || object->type != MSGPACK_OBJECT_ARRAY) {
        return (struct ps_wire_reader){.status = PS_CORRUPT};
    }
    return (struct ps_wire_reader){.next = object->via.array.ptr, .left = object->via.array.size};
}

/* The next element; NULL when the walk has failed or is over. */
static const msgpack_object *take(struct ps_wire_reader *reader)
{
    if (reader->status == PS_OK && reader->left == 0) {
        reader->status = PS_CORRUPT;
    }
    if (reader->status != PS_OK) {
        return NULL;
    }
    reader->left--;
    return reader->next++;
}

static void fail(struct ps_wire_reader *reader, enum ps_status status)
{
    if (reader->status == PS_OK) {
        reader->status = status;
    }
}

uint64_t ps_wire_read_u64(struct ps_wire_reader *reader, uint64_t min, uint64_t max)
{
    const msgpack_object *object = take(reader);
    if (object == NULL) {
        return 0;
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 < min ||
        object->via.u64 > max) {
        fail(reader, PS_CORRUPT);
        return 0;
    }
    return object->via.u64;
}

void ps_wire_read_version(struct ps_wire_reader *reader)
{
    uint64_t version = ps_wire_read_u64(reader, PS_WIRE_VERSION, UINT64_MAX);
    if (reader->status == PS_OK && version > PS_WIRE_VERSION) {
        fail(reader, PS_UNSUPPORTED);
    }
}

bool ps_wire_read_bool(struct ps_wire_reader *reader)
{
    const msgpack_object *object = take(reader);
    if (object == NULL) {
        return false;
    }
    if (object->type != MSGPACK_OBJECT_BOOLEAN) {
        fail(reader, PS_CORRUPT);
        return false;
    }
    return object->via.boolean;
}

static struct ps_slice bin_of(struct ps_wire_reader *reader, const msgpack_object *object,
                              size_t min, size_t max)
{
    if (object->type != MSGPACK_OBJECT_BIN || object->via.bin.size < min) {
        fail(reader, PS_CORRUPT);
    } else if (object->via.bin.size > max) {
        fail(reader, PS_LIMIT);
    } else {
        return (struct ps_slice){object->via.bin.ptr, object->via.bin.size};
    }
    return (struct ps_slice){NULL, 0};
}

struct ps_slice ps_wire_read_bin(struct ps_wire_reader *reader, size_t min, size_t max)
{
    const msgpack_object *object = take(reader);
    return object == NULL ? (struct ps_slice){NULL, 0} : bin_of(reader, object, min, max);
}

void ps_wire_read_token(struct ps_wire_reader *reader, struct ps_token *ret)
{
    struct ps_slice bytes = ps_wire_read_bin(reader, PS_TOKEN_SIZE, PS_VALUE_SIZE_MAX);
    if (reader->status == PS_OK && bytes.size != PS_TOKEN_SIZE) {
        fail(reader, PS_CORRUPT);
    }
    if (reader->status == PS_OK) {
        memcpy(ret->bytes, bytes.data, PS_TOKEN_SIZE);
    }
}

const msgpack_object *ps_wire_read_array(struct ps_wire_reader *reader)
{
    const msgpack_object *object = take(reader);
    if (object == NULL) {
        return NULL;
    }
    if (object->type != MSGPACK_OBJECT_ARRAY) {
        fail(reader, PS_CORRUPT);
        return NULL;
    }
    return object;
}

void ps_wire_read_end(struct ps_wire_reader *reader)
{
    if (reader->left > 0) {
        fail(reader, PS_CORRUPT);
    }
}

enum ps_status ps_wire_read_entry(const msgpack_object *object, struct ps_entry *ret)
{
    struct ps_entry entry = {.deleted = false};
    struct ps_wire_reader reader = ps_wire_reader_of(object);
    entry.key = ps_wire_read_bin(&reader, 1, PS_KEY_SIZE_MAX);
    const msgpack_object *value = take(&reader);
    if (value != NULL && value->type == MSGPACK_OBJECT_NIL) {
        entry.deleted = true;
    } else if (value != NULL) {
        entry.value = bin_of(&reader, value, 0, PS_VALUE_SIZE_MAX);
    }
    entry.metadata = ps_wire_read_bin(&reader, 0, PS_METADATA_SIZE_MAX);
    entry.expires_unix_s = ps_wire_read_u64(&reader, 0, UINT64_MAX);
    ps_wire_read_end(&reader);
    *ret = reader.status == PS_OK ? entry : (struct ps_entry){.deleted = false};
    return reader.status;
}

enum ps_status ps_wire_read_record(const msgpack_object *object, struct ps_record *ret)
{
    *ret = (struct ps_record){.lsn = 0};
    struct ps_record record = {.lsn = 0};
    struct ps_wire_reader reader = ps_wire_reader_of(object);
    ps_wire_read_version(&reader);
    record.lsn = ps_wire_read_u64(&reader, 1, UINT64_MAX - 1);
    record.commit_ns = ps_wire_read_u64(&reader, 0, PS_NEVER - 1);
    ps_wire_read_token(&reader, &record.token);
    struct ps_wire_reader entries = ps_wire_reader_of(ps_wire_read_array(&reader));
    ps_wire_read_end(&reader);
    if (reader.status != PS_OK) {
        return reader.status;
    }
    record.entry_count = entries.left;
    record.entries = PS_NEW_ARRAY(struct ps_entry, record.entry_count + 1);
    for (size_t i = 0; i < record.entry_count; i++) {
        enum ps_status status = ps_wire_read_entry(&entries.next[i], &record.entries[i]);
        if (status != PS_OK) {
            free(record.entries);
            return status;
        }
    }
    *ret = record;
    return PS_OK;
}
