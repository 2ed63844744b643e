/* The structural check against the msgpack library: what passes, the library reads whole, in memory
 * that the size of the input bounds. */
#include "replication/wire/record.h"

#include <msgpack.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Objects in the tree: each took a byte of input at least. */
static size_t count_objects(const msgpack_object *object)
{
    size_t count = 1;
    if (object->type == MSGPACK_OBJECT_ARRAY) {
        for (size_t i = 0; i < object->via.array.size; i++) {
            count += count_objects(&object->via.array.ptr[i]);
        }
    } else if (object->type == MSGPACK_OBJECT_MAP) {
        for (size_t i = 0; i < object->via.map.size; i++) {
            count += count_objects(&object->via.map.ptr[i].key);
            count += count_objects(&object->via.map.ptr[i].val);
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_slice bytes = {(const char *)data, size};
    if (ps_wire_check(bytes) != PS_OK) {
        return 0;
    }
    msgpack_zone zone;
    if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE)) {
        abort();
    }
    msgpack_object root;
    size_t at = 0;
    if (msgpack_unpack(bytes.data, bytes.size, &at, &zone, &root) != MSGPACK_UNPACK_SUCCESS ||
        at != size || count_objects(&root) > size) {
        abort();
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
