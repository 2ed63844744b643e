#include "node/s3/s3_internal.h"

#include <string.h>

/* What a parameter of the query makes of a request: an operation, or the name of one that R2 knows
 * and does not have. */
struct subresource {
    const char *param;
    const char *missing; /* NULL: `op` is it */
    enum ps_s3_op op;
};

static const struct subresource bucket_get[] = {
    {"encryption", NULL, PS_S3_GET_ENCRYPTION},
    {"versioning", NULL, PS_S3_GET_VERSIONING},
    {"tagging", NULL, PS_S3_GET_TAGGING},
    {"object-lock", NULL, PS_S3_GET_OBJECT_LOCK},
    {"replication", NULL, PS_S3_GET_REPLICATION},
    {"acl", NULL, PS_S3_GET_ACL},
    {"cors", NULL, PS_S3_GET_CORS},
    {"lifecycle", NULL, PS_S3_GET_LIFECYCLE},
    {"versions", "ListObjectVersions", 0},
    {"policy", "GetBucketPolicy", 0},
    {"website", "GetBucketWebsite", 0},
    {"notification", "GetBucketNotificationConfiguration", 0},
    {"requestPayment", "GetBucketRequestPayment", 0},
    {"logging", "GetBucketLogging", 0},
    {"accelerate", "GetBucketAccelerateConfiguration", 0},
    {"publicAccessBlock", "GetPublicAccessBlock", 0},
    {"ownershipControls", "GetBucketOwnershipControls", 0},
    {"intelligent-tiering", "GetBucketIntelligentTieringConfiguration", 0},
    {"inventory", "GetBucketInventoryConfiguration", 0},
    {"metrics", "GetBucketMetricsConfiguration", 0},
    {"analytics", "GetBucketAnalyticsConfiguration", 0},
    {"policyStatus", "GetGetBucketPolicyStatus", 0} /* R2's own slip */
};

static const struct subresource bucket_put[] = {
    {"cors", NULL, PS_S3_PUT_CORS},
    {"lifecycle", NULL, PS_S3_PUT_LIFECYCLE},
    {"encryption", NULL, PS_S3_PUT_ENCRYPTION},
    {"accelerate", "PutBucketAccelerateConfiguration", 0},
    {"acl", "PutBucketAcl", 0},
    {"analytics", "PutBucketAnalyticsConfiguration", 0},
    {"intelligent-tiering", "PutBucketIntelligentTieringConfiguration", 0},
    {"inventory", "PutBucketInventoryConfiguration", 0},
    {"logging", "PutBucketLogging", 0},
    {"metrics", "PutBucketMetricsConfiguration", 0},
    {"notification", "PutBucketNotificationConfiguration", 0},
    {"object-lock", "PutObjectLockConfiguration", 0},
    {"ownershipControls", "PutBucketOwnershipControls", 0},
    {"policy", "PutBucketPolicy", 0},
    {"publicAccessBlock", "PutPublicAccessBlock", 0},
    {"replication", "PutBucketReplication", 0},
    {"requestPayment", "PutBucketRequestPayment", 0},
    {"tagging", "PutBucketTagging", 0},
    {"website", "PutBucketWebsite", 0},
    {"versioning", "PutBucketVersioning", 0}};

static const struct subresource bucket_delete[] = {
    {"cors", NULL, PS_S3_DELETE_CORS},
    {"lifecycle", NULL, PS_S3_DELETE_LIFECYCLE},
    {"analytics", "DeleteBucketAnalyticsConfiguration", 0},
    {"intelligent-tiering", "DeleteBucketIntelligentTieringConfiguration", 0},
    {"inventory", "DeleteBucketInventoryConfiguration", 0},
    {"metrics", "DeleteBucketMetricsConfiguration", 0},
    {"ownershipControls", "DeleteBucketOwnershipControls", 0},
    {"policy", "DeleteBucketPolicy", 0},
    {"replication", "DeleteBucketReplication", 0},
    {"tagging", "DeleteBucketTagging", 0},
    {"website", "DeleteBucketWebsite", 0},
    {"encryption", "DeleteBucketEncryption", 0}};

static const struct subresource object_get[] = {
    {"tagging", "GetObjectTagging", 0},       {"acl", "GetObjectAcl", 0},
    {"attributes", "GetObjectAttributes", 0}, {"torrent", "GetObjectTorrent", 0},
    {"retention", "GetObjectRetention", 0},   {"legal-hold", "GetObjectLegalHold", 0}};

static const struct subresource object_put[] = {{"tagging", "PutObjectTagging", 0},
                                                {"acl", "PutObjectAcl", 0},
                                                {"retention", "PutObjectRetention", 0},
                                                {"legal-hold", "PutObjectLegalHold", 0}};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool has(const struct ps_s3_call *call, const char *param)
{
    return ps_s3_query_get(&call->query, param) != NULL;
}

/* What signing and SDKs add to any request. */
static bool is_passed_over(struct ps_slice name)
{
    return ps_slice_starts(name, PS_LIT("X-Amz-")) || ps_slice_eq(name, PS_LIT("x-id"));
}

/* The first parameter, in their order, that the table has. false: refused. *ret NULL: there is
 * none.
 */
static bool find_subresource(struct ps_s3_call *call, const struct subresource *table, size_t count,
                             const struct subresource **ret, struct ps_http_response *response)
{
    *ret = NULL;
    for (size_t i = 0; i < call->query.count && *ret == NULL; i++) {
        for (size_t j = 0; j < count && *ret == NULL; j++) {
            if (ps_slice_eq(call->query.params[i].name, ps_slice_of(table[j].param))) {
                *ret = &table[j];
            }
        }
    }
    if (*ret != NULL && (*ret)->missing != NULL) {
        ps_s3_not_implemented(response, "%s not implemented", (*ret)->missing);
        return false;
    }
    if (*ret != NULL) {
        call->op = (*ret)->op;
    }
    return true;
}

/* ---- buckets ---- */

static bool nothing_else(struct ps_s3_call *call, const char *method,
                         struct ps_http_response *response)
{
    struct ps_buf names = {0};
    for (size_t i = 0; i < call->query.count; i++) {
        struct ps_slice name = call->query.params[i].name;
        bool seen = is_passed_over(name);
        for (size_t j = 0; j < i && !seen; j++) {
            seen = ps_slice_eq(call->query.params[j].name, name);
        }
        if (!seen) {
            ps_buf_append_text(&names, names.size == 0 ? "\"" : ", \"");
            ps_buf_append_slice(&names, name);
            ps_buf_append_char(&names, '"');
        }
    }
    bool none = names.size == 0;
    if (!none) {
        ps_s3_invalid_argument(response, "Unsupported search param(s) %s on a %s bucket route",
                               ps_buf_text(&names), method);
    }
    ps_buf_fini(&names);
    return none;
}

static bool route_mutation(struct ps_s3_call *call, const char *method,
                           const struct subresource *table, size_t count, enum ps_s3_op bare,
                           struct ps_http_response *response)
{
    const struct subresource *found;
    if (!find_subresource(call, table, count, &found, response)) {
        return false;
    }
    if (found == NULL) {
        call->op = bare;
        return nothing_else(call, method, response);
    }
    return true;
}

static bool route_location(struct ps_s3_call *call, struct ps_http_response *response)
{
    for (size_t i = 0; i < call->query.count; i++) {
        struct ps_slice name = call->query.params[i].name;
        if (!ps_slice_eq(name, PS_LIT("location")) && !is_passed_over(name)) {
            ps_s3_invalid_argument(response, "Search param %.*s is unsupported for bucket location",
                                   (int)name.size, name.data);
            return false;
        }
    }
    call->op = PS_S3_GET_LOCATION;
    return true;
}

static bool is_one_of(struct ps_slice name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (ps_slice_eq(name, ps_slice_of(*names))) {
            return true;
        }
    }
    return false;
}

/* What is not among the parameters of a list is not passed over. */
static bool only(struct ps_s3_call *call, const char *const *names, const char *operation,
                 struct ps_http_response *response)
{
    for (size_t i = 0; i < call->query.count; i++) {
        struct ps_slice name = call->query.params[i].name;
        if (!is_one_of(name, names) && !is_passed_over(name)) {
            ps_s3_not_implemented(response, "%s search parameter %.*s not implemented", operation,
                                  (int)name.size, name.data);
            return false;
        }
    }
    return true;
}

static bool route_list(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const first[] = {"prefix",   "delimiter",     "marker",
                                        "max-keys", "encoding-type", NULL};
    static const char *const second[] = {"list-type",          "prefix",      "delimiter",
                                         "continuation-token", "start-after", "max-keys",
                                         "encoding-type",      "fetch-owner", NULL};

    const struct ps_slice *type = ps_s3_query_get(&call->query, "list-type");
    if (type != NULL && !ps_slice_eq(*type, PS_LIT("2"))) {
        ps_s3_not_implemented(response, "ListObjectsV%.*s not implemented", (int)type->size,
                              type->data);
        return false;
    }
    if (type == NULL && has(call, "continuation-token")) {
        ps_s3_invalid_argument(response, "continuation-token not supported in ListObjects");
        return false;
    }
    call->op = type == NULL ? PS_S3_LIST_OBJECTS : PS_S3_LIST_OBJECTS_V2;
    return type == NULL ? only(call, first, "ListObjectsV1", response)
                        : only(call, second, "ListObjectsV2", response);
}

static bool route_bucket(struct ps_s3_call *call, struct ps_http_response *response)
{
    const struct subresource *found;
    switch (call->method) {
    case PS_HTTP_HEAD:
        call->op = PS_S3_HEAD_BUCKET;
        return true;
    case PS_HTTP_PUT:
        return route_mutation(call, "PUT", bucket_put, COUNT(bucket_put), PS_S3_CREATE_BUCKET,
                              response);
    case PS_HTTP_DELETE:
        return route_mutation(call, "DELETE", bucket_delete, COUNT(bucket_delete),
                              PS_S3_DELETE_BUCKET, response);
    case PS_HTTP_POST:
        call->op = has(call, "delete") ? PS_S3_DELETE_OBJECTS : PS_S3_POST_NOTHING;
        return true;
    case PS_HTTP_GET:
        if (has(call, "uploads")) {
            call->op = PS_S3_LIST_UPLOADS;
            return true;
        }
        if (has(call, "location")) {
            return route_location(call, response);
        }
        return find_subresource(call, bucket_get, COUNT(bucket_get), &found, response) &&
               (found != NULL || route_list(call, response));
    case PS_HTTP_PATCH:
    case PS_HTTP_OPTIONS:
    case PS_HTTP_OTHER:
        break;
    }
    ps_s3_route_not_found(response);
    return false;
}

static bool route_account(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const names[] = {"prefix", "start-after", "continuation-token", "max-keys",
                                        NULL};

    call->op = PS_S3_LIST_BUCKETS;
    return only(call, names, "ListBuckets", response);
}

/* ---- objects ---- */

/* R2's routes of parts match "[ ]*-?[0-9]*" only; whether it is in range is seen later. */
static bool looks_like_number(struct ps_slice text)
{
    size_t i = 0;
    while (i < text.size && text.data[i] == ' ') {
        i++;
    }
    if (i < text.size && text.data[i] == '-') {
        i++;
    }
    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') {
        i++;
    }
    return i == text.size;
}

/* A request with an uploadId. *ret_done false: it is one like those without. */
static bool route_upload(struct ps_s3_call *call, bool *ret_done, struct ps_http_response *response)
{
    const struct ps_slice *part = ps_s3_query_get(&call->query, "partNumber");
    struct ps_slice source;
    *ret_done = true;
    if (part != NULL && !looks_like_number(*part)) {
        ps_s3_route_not_found(response);
        return false;
    }
    switch (call->method) {
    case PS_HTTP_GET:
        call->op = PS_S3_LIST_PARTS;
        return true;
    case PS_HTTP_PUT:
        call->op = ps_s3_header(call->head, "x-amz-copy-source", &source) ? PS_S3_UPLOAD_PART_COPY
                                                                          : PS_S3_UPLOAD_PART;
        *ret_done = part != NULL;
        return true;
    case PS_HTTP_POST:
        call->op = PS_S3_COMPLETE;
        return true;
    case PS_HTTP_DELETE:
        call->op = PS_S3_ABORT;
        return true;
    case PS_HTTP_HEAD:
        *ret_done = false;
        return true;
    case PS_HTTP_PATCH:
    case PS_HTTP_OPTIONS:
    case PS_HTTP_OTHER:
        break;
    }
    ps_s3_route_not_found(response);
    return false;
}

static bool route_plain_object(struct ps_s3_call *call, struct ps_http_response *response)
{
    const struct subresource *found;
    struct ps_slice source;
    switch (call->method) {
    case PS_HTTP_GET:
        call->op = PS_S3_GET_OBJECT;
        return find_subresource(call, object_get, COUNT(object_get), &found, response);
    case PS_HTTP_HEAD:
        call->op = PS_S3_HEAD_OBJECT;
        return true;
    case PS_HTTP_PUT:
        call->op = ps_s3_header(call->head, "x-amz-copy-source", &source) ? PS_S3_COPY_OBJECT
                                                                          : PS_S3_PUT_OBJECT;
        return find_subresource(call, object_put, COUNT(object_put), &found, response);
    case PS_HTTP_POST:
        call->op = PS_S3_PUT_OBJECT; /* also with x-amz-copy-source */
        return true;
    case PS_HTTP_DELETE:
        call->op = PS_S3_DELETE_OBJECT;
        return true;
    case PS_HTTP_PATCH:
    case PS_HTTP_OPTIONS:
    case PS_HTTP_OTHER:
        break;
    }
    ps_s3_route_not_found(response);
    return false;
}

static bool route_object(struct ps_s3_call *call, struct ps_http_response *response)
{
    if (has(call, "uploadId")) {
        bool done;
        if (!route_upload(call, &done, response) || done) {
            return response->status == 0;
        }
    }
    if (has(call, "uploads") && call->method == PS_HTTP_POST) {
        call->op = PS_S3_CREATE_UPLOAD;
        return true;
    }
    if (has(call, "uploads") && call->method == PS_HTTP_GET) {
        call->op = PS_S3_LIST_UPLOADS; /* of the bucket, also on an object's path */
        call->request.key = (struct ps_slice){"", 0};
        return true;
    }
    return route_plain_object(call, response);
}

/* ---- all ---- */

static void take_in(struct ps_s3_call *call, enum ps_s3_intake intake, uint64_t max)
{
    call->intake = intake;
    call->body_max = max;
}

/* What follows from the operation alone. */
static void set_request(struct ps_s3_call *call)
{
    struct ps_r2_request *request = &call->request;
    switch (call->op) {
    case PS_S3_CREATE_BUCKET:
        take_in(call, PS_S3_DOCUMENT, PS_S3_CREATE_SIZE_MAX);
        break;
    case PS_S3_PUT_CORS:
    case PS_S3_PUT_LIFECYCLE:
    case PS_S3_PUT_ENCRYPTION:
        take_in(call, PS_S3_DOCUMENT, PS_S3_CONFIG_SIZE_MAX);
        break;
    case PS_S3_LIST_OBJECTS:
    case PS_S3_LIST_OBJECTS_V2:
        request->op = PS_R2_LIST;
        break;
    case PS_S3_LIST_UPLOADS:
        request->op = PS_R2_LIST_UPLOADS;
        break;
    case PS_S3_LIST_PARTS:
        request->op = PS_R2_LIST_PARTS;
        break;
    case PS_S3_GET_OBJECT:
        request->op = PS_R2_GET;
        break;
    case PS_S3_HEAD_OBJECT:
        request->op = PS_R2_HEAD;
        break;
    case PS_S3_PUT_OBJECT:
        request->op = PS_R2_PUT;
        call->intake = PS_S3_BYTES;
        break;
    case PS_S3_COPY_OBJECT:
        request->op = PS_R2_COPY;
        break;
    case PS_S3_DELETE_OBJECT:
        request->op = PS_R2_DELETE;
        request->keys = &request->key;
        request->key_count = 1;
        break;
    case PS_S3_DELETE_OBJECTS:
        request->op = PS_R2_DELETE;
        take_in(call, PS_S3_DOCUMENT, PS_S3_DELETE_SIZE_MAX);
        break;
    case PS_S3_CREATE_UPLOAD:
        request->op = PS_R2_CREATE_UPLOAD;
        break;
    case PS_S3_UPLOAD_PART:
        call->intake = PS_S3_BYTES;
        request->op = PS_R2_UPLOAD_PART;
        break;
    case PS_S3_UPLOAD_PART_COPY:
        request->op = PS_R2_UPLOAD_PART;
        break;
    case PS_S3_COMPLETE:
        request->op = PS_R2_COMPLETE;
        take_in(call, PS_S3_DOCUMENT, PS_S3_COMPLETE_SIZE_MAX);
        break;
    case PS_S3_ABORT:
        request->op = PS_R2_ABORT;
        break;
    case PS_S3_PREFLIGHT:
    case PS_S3_LIST_BUCKETS:
    case PS_S3_HEAD_BUCKET:
    case PS_S3_DELETE_BUCKET:
    case PS_S3_GET_LOCATION:
    case PS_S3_GET_ENCRYPTION:
    case PS_S3_GET_CORS:
    case PS_S3_DELETE_CORS:
    case PS_S3_GET_LIFECYCLE:
    case PS_S3_DELETE_LIFECYCLE:
    case PS_S3_GET_VERSIONING:
    case PS_S3_GET_TAGGING:
    case PS_S3_GET_OBJECT_LOCK:
    case PS_S3_GET_REPLICATION:
    case PS_S3_GET_ACL:
    case PS_S3_POST_NOTHING:
        break;
    }
}

bool ps_s3_route(struct ps_s3_call *call, struct ps_http_response *response)
{
    bool routed = call->bucket.size == 0        ? route_account(call, response)
                  : call->request.key.size == 0 ? route_bucket(call, response)
                                                : route_object(call, response);
    if (!routed) {
        return false;
    }
    set_request(call);
    bool of_object = call->op >= PS_S3_GET_OBJECT && call->op != PS_S3_DELETE_OBJECTS;
    return !of_object || ps_r2_key_valid(call->request.key) ||
           ps_s3_refuse(PS_R2_CODE_INVALID_OBJECT_NAME, response);
}
