/* Any bytes as the JSON of an R2 binding's call (the first byte says whether it writes): refused
 * with an error that can be told, or a request that holds the limits and, if it is a mutation,
 * survives the way to home. */
#include "node/http/api_r2.h"

#include <jansson.h>

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

static void check_error(const struct ps_r2_error *err)
{
    struct ps_http_response response = {0};
    ps_api_r2_answer_error(err, NULL, &response);
    require(response.status >= 400 && response.headers.size > 0);
    require(memmem(response.headers.data, response.headers.size, "CF-R2-Error: {", 14) != NULL);
    ps_http_response_fini(&response);
}

static void check_mutation(struct ps_api_r2_call *call)
{
    struct ps_r2_request request = call->request;
    struct ps_r2_blob blob = {.size = 7};
    if (request.op == PS_R2_UPLOAD_PART) {
        request.body = (struct ps_r2_body){.blobs = &blob, .blob_count = 1};
    }
    ps_r2_digest_of(call->hashes, PS_LIT("value"), &request.computed);
    struct ps_r2_error err = {0};
    bool good = ps_r2_request_check(&request, &err);
    require(good || err.code == PS_R2_CODE_BAD_DIGEST);
    struct ps_buf one = {0};
    struct ps_buf two = {0};
    ps_r2_request_encode(&one, &request);
    struct ps_r2_request back;
    require(ps_r2_request_decode(ps_buf_slice(&one), &back) == PS_OK);
    ps_r2_request_encode(&two, &back);
    require(ps_slice_eq(ps_buf_slice(&one), ps_buf_slice(&two)));
    ps_r2_request_fini(&back);
    ps_buf_fini(&one);
    ps_buf_fini(&two);
}

/* An object with the metadata that were sent comes out as JSON. */
static void check_answer(const struct ps_r2_request *request)
{
    struct ps_r2_object object = {.key = request->key, .etag = "e", .meta = request->meta};
    struct ps_http_response response = {0};
    ps_api_r2_answer_object(&object, NULL, &response);
    json_t *json = json_loadb(response.body.data, response.body.size, JSON_ALLOW_NUL, NULL);
    require(json != NULL);
    json_decref(json);
    ps_http_response_fini(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct ps_api_r2_call call;
    struct ps_r2_error err;
    struct ps_slice json = {(const char *)data + 1, size - 1};
    if (!ps_api_r2_parse(json, data[0] % 2 == 1, &call, &err)) {
        check_error(&err);
    } else {
        if (!ps_r2_op_reads(call.request.op)) {
            check_mutation(&call);
        }
        check_answer(&call.request);
        struct ps_r2_span span;
        if (!ps_r2_range_resolve(&call.request.range, 100, &span, &err)) {
            check_error(&err);
        } else {
            require(span.offset + span.length <= 100);
        }
    }
    ps_api_r2_call_fini(&call);
    return 0;
}
