/* Any bytes as each of R2's records (the first byte says which): refused, or something that encodes
 * to bytes which decode to the same. */
#include "node/r2/request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_equal(const struct ps_buf *a, const struct ps_buf *b)
{
    if (a->size != b->size || (a->size > 0 && memcmp(a->data, b->data, a->size) != 0)) {
        abort();
    }
}

static void check_object(struct ps_slice bytes, struct ps_buf *one, struct ps_buf *two)
{
    struct ps_r2_object object;
    if (ps_r2_head_decode(PS_LIT("key"), bytes, &object) != PS_OK) {
        return;
    }
    ps_r2_object_encode(one, &object);
    ps_r2_object_fini(&object);
    if (ps_r2_head_decode(PS_LIT("key"), ps_buf_slice(one), &object) != PS_OK) {
        abort();
    }
    ps_r2_object_encode(two, &object);
    ps_r2_object_fini(&object);
}

static void check_request(struct ps_slice bytes, struct ps_buf *one, struct ps_buf *two)
{
    struct ps_r2_request request;
    if (ps_r2_request_decode(bytes, &request) != PS_OK) {
        return;
    }
    struct ps_r2_error err = {0};
    (void)ps_r2_request_check(&request, &err);
    ps_r2_request_encode(one, &request);
    ps_r2_request_fini(&request);
    if (ps_r2_request_decode(ps_buf_slice(one), &request) != PS_OK) {
        abort();
    }
    ps_r2_request_encode(two, &request);
    ps_r2_request_fini(&request);
}

static void check_answer(struct ps_slice bytes, struct ps_buf *one, struct ps_buf *two)
{
    struct ps_r2_answer answer;
    if (ps_r2_answer_decode(bytes, &answer) != PS_OK) {
        return;
    }
    ps_r2_answer_encode(one, &answer);
    ps_r2_answer_fini(&answer);
    if (ps_r2_answer_decode(ps_buf_slice(one), &answer) != PS_OK) {
        abort();
    }
    ps_r2_answer_encode(two, &answer);
    ps_r2_answer_fini(&answer);
}

static void add_size(void *context, const struct ps_r2_blob *blob)
{
    *(uint64_t *)context += blob->size;
}

/* An entry as garbage collection sees it: a key, a head and a value, cut at bytes that say where.
 */
static void check_entry(struct ps_slice bytes)
{
    if (bytes.size < 2) {
        return;
    }
    size_t key_size = (uint8_t)bytes.data[0];
    size_t rest = bytes.size - 2;
    key_size = key_size < rest ? key_size : rest;
    size_t value_size = (uint8_t)bytes.data[1];
    value_size = value_size < rest - key_size ? value_size : rest - key_size;
    const char *at = bytes.data + 2;
    uint64_t sum = 0;
    enum ps_status status =
        ps_r2_entry_blobs((struct ps_slice){at, key_size},
                          (struct ps_slice){at + key_size, rest - key_size - value_size},
                          (struct ps_slice){at + rest - value_size, value_size}, add_size, &sum);
    struct ps_r2_upload upload;
    if (ps_r2_upload_decode((struct ps_slice){at, key_size},
                            (struct ps_slice){at + key_size, rest - key_size}, &upload) == PS_OK) {
        if (status != PS_OK) {
            abort(); /* an upload has no blobs */
        }
        ps_r2_upload_fini(&upload);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct ps_slice bytes = {(const char *)data + 1, size - 1};
    struct ps_buf one = {.size = 0};
    struct ps_buf two = {.size = 0};
    if (data[0] % 4 == 0) {
        check_object(bytes, &one, &two);
    } else if (data[0] % 4 == 1) {
        check_request(bytes, &one, &two);
    } else if (data[0] % 4 == 2) {
        check_answer(bytes, &one, &two);
    } else {
        check_entry(bytes);
    }
    must_equal(&one, &two);
    ps_buf_fini(&one);
    ps_buf_fini(&two);
    return 0;
}
