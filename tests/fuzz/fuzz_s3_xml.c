/* Any bytes as each of the documents that clients send: refused, or read within the bounds; what is
 * written of a configuration that was read is read again as the same. */
#include "node/s3/xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void lists(struct ps_slice body)
{
    struct ps_s3_delete keys;
    if (ps_s3_delete_read(body, &keys) == PS_OK) {
        require(keys.count >= 1 && keys.count <= PS_R2_DELETE_MAX);
        for (size_t i = 0; i < keys.count; i++) {
            require(keys.keys[i].size == 0 ||
                    memchr(keys.keys[i].data, '\0', keys.keys[i].size) == NULL);
        }
    } else {
        require(keys.keys == NULL && keys.count == 0);
    }
    ps_s3_delete_fini(&keys);
    struct ps_s3_complete parts;
    if (ps_s3_complete_read(body, &parts) == PS_OK) {
        require(parts.count >= 1 && parts.count <= PS_R2_PARTS_MAX);
        for (size_t i = 0; i < parts.count; i++) {
            require(parts.parts[i].number <= PS_R2_PARTS_MAX);
        }
    } else {
        require(parts.parts == NULL && parts.count == 0);
    }
    ps_s3_complete_fini(&parts);
    struct ps_s3_create create;
    require(ps_s3_create_read(body, &create) == PS_OK || create.location.size == 0);
    ps_s3_create_fini(&create);
}

/* XML cannot have all that a text may be: a carriage return that came as a reference is written as
 * one, and white space around is not kept, so the second reading counts. */
static void cors(struct ps_slice body)
{
    struct ps_s3_cors first;
    struct ps_s3_cors second;
    struct ps_buf once = {0};
    struct ps_buf twice = {0};
    if (ps_s3_cors_read(body, &first) != PS_OK) {
        return;
    }
    ps_s3_cors_write(&first, &once);
    require(ps_s3_cors_read(ps_buf_slice(&once), &second) == PS_OK);
    require(second.count == first.count);
    ps_s3_cors_write(&second, &twice);
    require(ps_slice_eq(ps_buf_slice(&once), ps_buf_slice(&twice)));
    ps_s3_cors_fini(&first);
    ps_s3_cors_fini(&second);
    ps_buf_fini(&once);
    ps_buf_fini(&twice);
}

static void lifecycle(struct ps_slice body)
{
    struct ps_s3_lifecycle first;
    struct ps_s3_lifecycle second;
    struct ps_buf once = {0};
    struct ps_buf twice = {0};
    if (ps_s3_lifecycle_read(body, &first) != PS_OK) {
        return;
    }
    ps_s3_lifecycle_write(&first, &once);
    require(ps_s3_lifecycle_read(ps_buf_slice(&once), &second) == PS_OK);
    require(second.count == first.count);
    ps_s3_lifecycle_write(&second, &twice);
    require(ps_slice_eq(ps_buf_slice(&once), ps_buf_slice(&twice)));
    ps_s3_lifecycle_fini(&first);
    ps_s3_lifecycle_fini(&second);
    ps_buf_fini(&once);
    ps_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_slice body = {(const char *)data, size};
    lists(body);
    cors(body);
    lifecycle(body);
    return 0;
}
