/* Any request that is signed right, with its body: refused with an error, or a call that R2's own
 * checks take, whose answers are whole. Covers targets, Range, If-*, metadata, copies. */
#include "node/s3/body.h"
#include "node/s3/cors.h"
#include "node/s3/s3.h"
#include "tests/support/s3_request.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct ps_s3_signer signer = {
    .key_id = {"id", 2}, .secret = {"secret", 6}, .region = {"auto", 4}, .unix_s = S3_NOW_S};

/* An answer has a status, and each of its header lines is one line. */
static void check(struct ps_http_response *response)
{
    require(response->status >= 200 && response->status < 600);
    const struct ps_buf *headers = &response->headers;
    for (size_t i = 0; i < headers->size; i++) {
        char c = headers->data[i];
        require(c != '\0');
        require(c != '\r' || (i + 1 < headers->size && headers->data[i + 1] == '\n'));
        require(c != '\n' || (i > 0 && headers->data[i - 1] == '\r'));
    }
    require(response->status != 204 || response->body.size == 0);
    require(response->status != 304 || response->body.size == 0);
    ps_http_response_fini(response);
    response->tail_size = 0;
}

static struct ps_r2_object object_of(const struct ps_s3_call *call)
{
    struct ps_r2_object object = {.key = call->request.key,
                                  .size = 5,
                                  .uploaded_ms = 1000,
                                  .meta = call->request.meta,
                                  .is_inline = true,
                                  .body = PS_LIT("hello")};
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_SHA1), object.body,
                    &object.checksums);
    ps_r2_etag_of_md5(object.checksums.bytes[PS_R2_MD5], object.etag);
    return object;
}

static void answer_copy(const struct ps_s3_call *call, const struct ps_r2_object *object)
{
    struct ps_http_response response = {0};
    struct ps_r2_span span;
    struct ps_r2_request put;
    if (!ps_s3_check_source(call, object, &span, &response)) {
        check(&response);
        return;
    }
    require(span.offset + span.length <= object->size);
    ps_s3_copy_as_put(call, object, &put);
    require(put.meta.custom_count <= call->request.meta.custom_count + object->meta.custom_count);
    free(put.meta.custom);
}

static void answer(const struct ps_s3_call *call)
{
    struct ps_http_response response = {0};
    struct ps_r2_object object = object_of(call);
    struct ps_r2_span span;
    struct ps_s3_bucket bucket = {.name = call->bucket};
    if (call->op == PS_S3_LIST_BUCKETS) {
        ps_s3_answer_buckets(call, &bucket, 1, &response);
    } else if (call->op < PS_S3_LIST_OBJECTS) {
        ps_s3_answer_bucket(call, &bucket, &response);
    } else if (call->op < PS_S3_GET_OBJECT) {
        struct ps_r2_page page = {
            .objects = &object, .object_count = 1, .truncated = true, .last = PS_LIT("x")};
        ps_s3_answer_page(call, &page, &response);
    } else if (call->op < PS_S3_PUT_OBJECT) {
        ps_s3_answer_object(call, &object, &span, &response);
        require(span.offset + span.length <= object.size);
        require(response.tail_size == span.length);
    } else {
        struct ps_r2_answer done = {.has_object = true, .object = object};
        done.part.checksums = object.checksums;
        ps_s3_answer(call, &done, &response);
        if (call->op == PS_S3_COPY_OBJECT || call->op == PS_S3_UPLOAD_PART_COPY) {
            answer_copy(call, &object);
        }
    }
    check(&response);
}

/* An upload's bytes; the call goes on when they are what it says. */
static bool take_bytes(struct ps_s3_call *call, struct ps_slice bytes,
                       struct ps_http_response *response)
{
    struct ps_s3_body *body = ps_s3_body_create(call);
    struct ps_slice data;
    uint64_t size = 0;
    while (ps_s3_body_feed(body, &bytes, &data) == PS_S3_BODY_DATA) {
        size += data.size;
    }
    bool good = ps_s3_body_finish(body, &call->request.declared, &call->request.computed, response);
    require(!good || size == call->size);
    ps_s3_body_destroy(body);
    return good;
}

/* R2's own check: what is left for it are limits of content, not of form. */
static void check_request(const struct ps_s3_call *call)
{
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    struct ps_r2_request request = call->request;
    struct ps_r2_blob blob = {.size = call->size};
    request.body = (struct ps_r2_body){.blobs = &blob, .blob_count = 1};
    if (call->op >= PS_S3_LIST_OBJECTS && call->op != PS_S3_UPLOAD_PART_COPY) {
        bool good = ps_r2_request_check(&request, &error);
        require(good || error.code == PS_R2_CODE_INVALID_OBJECT_NAME ||
                error.code == PS_R2_CODE_METADATA_TOO_LARGE ||
                error.code == PS_R2_CODE_INVALID_ARGUMENT || error.code == PS_R2_CODE_BAD_DIGEST);
    }
}

static void run(struct ps_s3_config *config, struct s3_request *request)
{
    struct ps_s3_call call = {0};
    struct ps_http_response response = {0};
    bool good = ps_s3_open(config, &request->head, (int64_t)S3_NOW_S * 1000, &call, &response);
    if (good && call.op == PS_S3_PREFLIGHT) {
        ps_s3_preflight(NULL, &request->head, &response);
        good = false;
    } else if (good && call.intake == PS_S3_DOCUMENT) {
        good = ps_s3_take_document(&call, request->body, &response);
    } else if (good && call.intake == PS_S3_BYTES) {
        good = take_bytes(&call, request->body, &response);
    }
    if (good) {
        check_request(&call);
        answer(&call);
    } else {
        check(&response);
    }
    ps_s3_call_fini(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ps_s3_config config;

    if (config.keyring == NULL) {
        config.keyring = ps_s3_keyring_create();
        config.domain = PS_LIT("localhost");
        require(ps_s3_keyring_add(config.keyring, signer.key_id, signer.secret) == PS_OK);
    }
    struct s3_request request;
    s3_request_read((struct ps_slice){(const char *)data, size}, &request);
    if (s3_request_sign(&request, &signer)) {
        run(&config, &request);
    }
    s3_request_fini(&request);
    return 0;
}
