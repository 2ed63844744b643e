#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"

/* ---- the account's ---- */

static bool is_asked_for(const struct ps_s3_call *call, struct ps_slice after, struct ps_slice name)
{
    return ps_slice_starts(name, call->prefix) && ps_slice_cmp(name, after) > 0;
}

static void write_bucket(const struct ps_s3_bucket *bucket, struct ps_buf *body)
{
    ps_s3_xml_open(body, "Bucket");
    ps_s3_xml_text(body, "Name", bucket->name);
    ps_s3_element_date(body, "CreationDate", bucket->created_ms);
    ps_s3_xml_close(body, "Bucket");
}

/* Behind the last bucket: as elements, and as headers for clients that see no others. */
static void end_buckets(const struct ps_s3_call *call, struct ps_slice last, uint64_t count,
                        bool truncated, struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_s3_xml_close(body, "Buckets");
    ps_s3_xml_bool(body, "IsTruncated", truncated);
    ps_s3_xml_number(body, "KeyCount", count);
    ps_s3_xml_number(body, "MaxKeys", call->max_keys);
    if (call->prefix.size > 0) {
        ps_s3_xml_text(body, "Prefix", call->prefix);
    }
    if (call->start_after.size > 0) {
        ps_s3_xml_text(body, "StartAfter", call->start_after);
    }
    if (call->token.size > 0) {
        ps_s3_xml_text(body, "ContinuationToken", call->token);
    }
    ps_http_response_header(response, "cf-is-truncated",
                            truncated ? PS_LIT("true") : PS_LIT("false"));
    if (truncated && count > 0) {
        struct ps_buf token = {0};
        ps_r2_cursor_encode(&token, last);
        ps_s3_xml_text(body, "NextContinuationToken", ps_buf_slice(&token));
        ps_http_response_header(response, "cf-next-continuation-token", ps_buf_slice(&token));
        ps_buf_fini(&token);
    }
    ps_s3_xml_close(body, "ListAllMyBucketsResult");
}

void ps_s3_answer_buckets(const struct ps_s3_call *call, const struct ps_s3_bucket *buckets,
                          size_t count, struct ps_http_response *response)
{
    struct ps_buf resumed = {0};
    PS_ASSERT(call->op == PS_S3_LIST_BUCKETS);
    if (call->token.size > 0 && ps_r2_cursor_decode(call->token, &resumed) != PS_OK) {
        ps_s3_invalid_argument(response, "The continuation token provided is not valid");
        ps_buf_fini(&resumed);
        return;
    }
    struct ps_slice after = call->start_after;
    if (ps_slice_cmp(ps_buf_slice(&resumed), after) > 0) {
        after = ps_buf_slice(&resumed);
    }
    uint64_t shown = 0;
    uint64_t most = call->max_keys < PS_R2_LIST_MAX ? call->max_keys : PS_R2_LIST_MAX;
    bool truncated = false;
    struct ps_slice last = {"", 0};
    ps_s3_begin_document(response, "ListAllMyBucketsResult");
    ps_s3_xml_open(&response->body, "Buckets");
    for (size_t i = 0; i < count && !truncated; i++) {
        if (is_asked_for(call, after, buckets[i].name)) {
            truncated = shown == most;
            if (!truncated) {
                write_bucket(&buckets[i], &response->body);
                last = buckets[i].name;
                shown++;
            }
        }
    }
    end_buckets(call, last, shown, truncated, response);
    ps_buf_fini(&resumed);
}

/* ---- a bucket's ---- */

static void answer_location(const struct ps_s3_bucket *bucket, struct ps_http_response *response)
{
    ps_s3_begin_document(response, "LocationConstraint");
    /* The root has the text itself. */
    ps_buf_append_slice(&response->body,
                        bucket->location.size == 0 ? PS_LIT("auto") : bucket->location);
    ps_s3_xml_close(&response->body, "LocationConstraint");
}

static void answer_encryption(struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_s3_begin_document(response, "ServerSideEncryptionConfiguration");
    ps_s3_xml_open(body, "Rule");
    ps_s3_xml_open(body, "ApplyServerSideEncryptionByDefault");
    ps_s3_xml_text(body, "SSEAlgorithm", PS_LIT("AES256"));
    ps_s3_xml_close(body, "ApplyServerSideEncryptionByDefault");
    ps_s3_xml_bool(body, "BucketKeyEnabled", true);
    ps_s3_xml_close(body, "Rule");
    ps_s3_xml_close(body, "ServerSideEncryptionConfiguration");
}

static void answer_acl(struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    ps_s3_begin_document(response, "AccessControlPolicy");
    ps_s3_xml_open(body, "Owner");
    ps_s3_xml_text(body, "ID", PS_LIT("popsim"));
    ps_s3_xml_close(body, "Owner");
    ps_s3_xml_open(body, "AccessControlList");
    ps_s3_xml_open(body, "Grant");
    ps_buf_append_text(body, "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                             "xsi:type=\"CanonicalUser\">");
    ps_s3_xml_text(body, "ID", PS_LIT("popsim"));
    ps_s3_xml_close(body, "Grantee");
    ps_s3_xml_text(body, "Permission", PS_LIT("FULL_CONTROL"));
    ps_s3_xml_close(body, "Grant");
    ps_s3_xml_close(body, "AccessControlList");
    ps_s3_xml_close(body, "AccessControlPolicy");
}

/* A configuration as it is kept. */
static void answer_document(struct ps_slice document, const char *missing, const char *message,
                            struct ps_http_response *response)
{
    if (document.size == 0) {
        ps_s3_fail(response, 404, missing, "%s", message);
        return;
    }
    response->status = 200;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/xml"));
    ps_buf_append_slice(&response->body, document);
}

/* What is the same of every bucket: it has none of it. */
static void answer_fresh(enum ps_s3_op op, struct ps_http_response *response)
{
    if (op == PS_S3_GET_VERSIONING) {
        ps_s3_begin_document(response, "VersioningConfiguration");
        ps_s3_xml_close(&response->body, "VersioningConfiguration");
    } else if (op == PS_S3_GET_TAGGING) {
        ps_s3_fail(response, 404, "NoSuchTagSet", "The TagSet does not exist.");
    } else if (op == PS_S3_GET_OBJECT_LOCK) {
        ps_s3_fail(response, 404, "ObjectLockConfigurationNotFoundError",
                   "Object Lock configuration does not exist for this bucket.");
    } else if (op == PS_S3_GET_REPLICATION) {
        ps_s3_fail(response, 404, "ReplicationConfigurationNotFoundError",
                   "The replication configuration was not found.");
    } else {
        PS_ASSERT(op == PS_S3_GET_ACL);
        answer_acl(response);
    }
}

static void answer_created(const struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_buf location = {0};
    response->status = 200;
    ps_buf_append_char(&location, '/');
    ps_buf_append_slice(&location, call->bucket);
    ps_http_response_header(response, "Location", ps_buf_slice(&location));
    ps_buf_fini(&location);
}

void ps_s3_answer_bucket(const struct ps_s3_call *call, const struct ps_s3_bucket *bucket,
                         struct ps_http_response *response)
{
    enum ps_s3_op op = call->op;
    PS_ASSERT(op >= PS_S3_HEAD_BUCKET && op <= PS_S3_POST_NOTHING);
    if (op == PS_S3_HEAD_BUCKET) {
        response->status = 200;
        ps_http_response_header(response, "x-amz-bucket-region", PS_LIT("auto"));
    } else if (op == PS_S3_CREATE_BUCKET) {
        answer_created(call, response);
    } else if (op == PS_S3_GET_LOCATION) {
        answer_location(bucket, response);
    } else if (op == PS_S3_GET_ENCRYPTION) {
        answer_encryption(response);
    } else if (op == PS_S3_GET_CORS) {
        answer_document(bucket->cors, "NoSuchCORSConfiguration",
                        "The CORS configuration does not exist.", response);
    } else if (op == PS_S3_GET_LIFECYCLE) {
        answer_document(bucket->lifecycle, "NoSuchLifecycleConfiguration",
                        "The lifecycle configuration does not exist.", response);
    } else if (op >= PS_S3_GET_VERSIONING && op <= PS_S3_GET_ACL) {
        answer_fresh(op, response);
    } else {
        bool deletes =
            op == PS_S3_DELETE_BUCKET || op == PS_S3_DELETE_CORS || op == PS_S3_DELETE_LIFECYCLE;
        response->status = deletes ? 204 : 200;
    }
}
