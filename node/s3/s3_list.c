#include "node/s3/s3_internal.h"

#include <string.h>

/* A count as R2 takes it: a number that is not negative, without what stands behind its point. */
static bool read_count(struct ps_slice text, uint64_t *ret)
{
    text = ps_s3_trim(text);
    const char *point = text.size == 0 ? NULL : memchr(text.data, '.', text.size);
    size_t whole = point == NULL ? text.size : (size_t)(point - text.data);
    uint64_t fraction;
    struct ps_slice rest = {text.data + whole, text.size - whole};
    return ps_s3_number((struct ps_slice){text.data, whole}, ret) &&
           (rest.size == 0 ||
            ps_s3_number((struct ps_slice){rest.data + 1, rest.size - 1}, &fraction));
}

static bool read_limit(struct ps_s3_call *call, const struct ps_slice *text,
                       struct ps_http_response *response)
{
    call->max_keys = PS_R2_LIST_MAX;
    if (text != NULL && !read_count(*text, &call->max_keys)) {
        return ps_s3_refuse(PS_R2_CODE_INVALID_MAX_KEYS, response);
    }
    /* None asked for: one tells whether there are any. */
    uint64_t limit = call->max_keys < PS_R2_LIST_MAX ? call->max_keys : PS_R2_LIST_MAX;
    call->request.has_limit = true;
    call->request.limit = limit == 0 ? 1 : (int64_t)limit;
    return true;
}

static struct ps_slice param(const struct ps_s3_call *call, const char *name)
{
    const struct ps_slice *value = ps_s3_query_get(&call->query, name);
    return value == NULL ? (struct ps_slice){"", 0} : *value;
}

static bool read_encoding(struct ps_s3_call *call, struct ps_http_response *response)
{
    const struct ps_slice *encoding = ps_s3_query_get(&call->query, "encoding-type");
    call->url = encoding != NULL && ps_slice_eq(*encoding, PS_LIT("url"));
    if (encoding != NULL && !call->url) {
        ps_s3_not_implemented(response, "Unrecognized encoding-type \"%.*s\" not implemented",
                              (int)encoding->size, encoding->data);
        return false;
    }
    return true;
}

static bool read_objects(struct ps_s3_call *call, struct ps_http_response *response)
{
    bool second = call->op == PS_S3_LIST_OBJECTS_V2;
    call->request.prefix = param(call, "prefix");
    call->request.delimiter = param(call, "delimiter");
    call->request.start_after = param(call, second ? "start-after" : "marker");
    call->request.cursor = second ? param(call, "continuation-token") : (struct ps_slice){"", 0};
    return read_encoding(call, response) &&
           read_limit(call, ps_s3_query_get(&call->query, "max-keys"), response);
}

static bool read_uploads(struct ps_s3_call *call, struct ps_http_response *response)
{
    call->request.prefix = param(call, "prefix");
    call->request.delimiter = param(call, "delimiter");
    call->request.start_after = param(call, "key-marker");
    call->request.upload_marker = param(call, "upload-id-marker");
    return read_encoding(call, response) &&
           read_limit(call, ps_s3_query_get(&call->query, "max-uploads"), response);
}

static bool read_parts(struct ps_s3_call *call, struct ps_http_response *response)
{
    const struct ps_slice *marker = ps_s3_query_get(&call->query, "part-number-marker");
    uint64_t number = 0;
    if (marker != NULL && marker->size > 0 && !read_count(*marker, &number)) {
        ps_s3_invalid_argument(response, "part-number-marker must be a number.");
        return false;
    }
    call->request.part_marker = number > PS_R2_PARTS_MAX ? PS_R2_PARTS_MAX : (uint32_t)number;
    return read_encoding(call, response) &&
           read_limit(call, ps_s3_query_get(&call->query, "max-parts"), response);
}

/* Clients that cannot send parameters of ListBuckets send headers, which win. */
static bool read_buckets(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice max;
    call->prefix = param(call, "prefix");
    call->start_after = param(call, "start-after");
    call->token = param(call, "continuation-token");
    (void)ps_s3_header(call->head, "cf-prefix", &call->prefix);
    (void)ps_s3_header(call->head, "cf-start-after", &call->start_after);
    (void)ps_s3_header(call->head, "cf-continuation-token", &call->token);
    const struct ps_slice *in_query = ps_s3_query_get(&call->query, "max-keys");
    return read_limit(call, ps_s3_header(call->head, "cf-max-keys", &max) ? &max : in_query,
                      response);
}

/* The upload that the query names; what is no id is no upload's. */
static bool read_upload_id(struct ps_s3_call *call, struct ps_http_response *response)
{
    return ps_r2_id_parse(param(call, "uploadId"), &call->request.upload_id) ||
           ps_s3_refuse(PS_R2_CODE_NO_SUCH_UPLOAD, response);
}

static bool read_part_number(struct ps_s3_call *call, struct ps_http_response *response)
{
    uint64_t number;
    bool good = ps_s3_number(ps_s3_trim(param(call, "partNumber")), &number) && number >= 1 &&
                number <= PS_R2_PARTS_MAX;
    if (!good) {
        ps_s3_invalid_argument(response,
                               "Part number must be an integer between 1 and 10000, inclusive.");
        return false;
    }
    call->request.part_number = (uint32_t)number;
    return true;
}

bool ps_s3_read_list(struct ps_s3_call *call, struct ps_http_response *response)
{
    enum ps_s3_op op = call->op;
    if (op == PS_S3_LIST_BUCKETS) {
        return read_buckets(call, response);
    }
    if (op == PS_S3_LIST_OBJECTS || op == PS_S3_LIST_OBJECTS_V2) {
        return read_objects(call, response);
    }
    if (op == PS_S3_LIST_UPLOADS) {
        return read_uploads(call, response);
    }
    if (op == PS_S3_LIST_PARTS) {
        return read_upload_id(call, response) && read_parts(call, response);
    }
    if (op == PS_S3_UPLOAD_PART || op == PS_S3_UPLOAD_PART_COPY) {
        return read_part_number(call, response) && read_upload_id(call, response);
    }
    if (op == PS_S3_COMPLETE || op == PS_S3_ABORT) {
        return read_upload_id(call, response);
    }
    bool of_part = (op == PS_S3_GET_OBJECT || op == PS_S3_HEAD_OBJECT) &&
                   ps_s3_query_get(&call->query, "partNumber") != NULL;
    return !of_part || read_part_number(call, response);
}
