#include "node/s3/body.h"

#include "node/s3/chunked.h"
#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

struct ps_s3_body {
    enum ps_s3_payload payload;
    uint8_t sha256[32];
    struct ps_s3_chunked *chunked; /* NULL: the bytes are the object's */
    struct ps_r2_digest *digest;
    ps_r2_hash_set hashes; /* that are asked for */
    ps_r2_hash_set in_trailer;
    bool has_size;
    uint64_t size_declared;
    uint64_t size;
    enum ps_s3_chunked_event failure; /* NEED: none */
    size_t head_size;
    char head[PS_R2_SNIFF_SIZE];
};

/* The hashes that the trailer is to bring. */
static ps_r2_hash_set trailer_hashes(const struct ps_s3_call *call)
{
    struct ps_slice value;
    bool has = ps_s3_header(call->head, "x-amz-trailer", &value);
    ps_r2_hash_set hashes = 0;
    for (unsigned hash = 0; has && hash < PS_R2_HASHES; hash++) {
        const char *name = ps_s3_checksum_header((enum ps_r2_hash)hash);
        if (name != NULL && (call->hashes & PS_R2_HASH_BIT(hash)) != 0 &&
            value.size == strlen(name) && strncasecmp(value.data, name, value.size) == 0) {
            hashes |= PS_R2_HASH_BIT(hash);
        }
    }
    return hashes;
}

struct ps_s3_body *ps_s3_body_create(const struct ps_s3_call *call)
{
    struct ps_s3_body *body = PS_NEW(struct ps_s3_body);
    body->payload = call->auth.payload;
    body->has_size = call->has_size;
    body->size_declared = call->size;
    body->hashes = call->hashes | PS_R2_HASH_BIT(PS_R2_MD5);
    bool plain = body->payload == PS_S3_PAYLOAD_UNSIGNED || body->payload == PS_S3_PAYLOAD_SHA256;
    ps_r2_hash_set taken = body->hashes;
    if (body->payload == PS_S3_PAYLOAD_SHA256) {
        memcpy(body->sha256, call->auth.sha256, sizeof body->sha256);
        taken |= PS_R2_HASH_BIT(PS_R2_SHA256);
    }
    if (!plain) {
        uint64_t most = call->has_size ? call->size : call->body_max;
        body->chunked = ps_s3_chunked_create(body->payload, &call->auth.seed, most);
    }
    if (body->payload == PS_S3_PAYLOAD_CHUNKS_TRAILER ||
        body->payload == PS_S3_PAYLOAD_UNSIGNED_TRAILER) {
        body->in_trailer = trailer_hashes(call);
    }
    body->digest = ps_r2_digest_create(taken);
    return body;
}

void ps_s3_body_destroy(struct ps_s3_body *body)
{
    if (body != NULL) {
        ps_s3_chunked_destroy(body->chunked);
        ps_r2_digest_destroy(body->digest);
        free(body);
    }
}

static enum ps_s3_body_event take(struct ps_s3_body *body, struct ps_slice data)
{
    size_t room = sizeof body->head - body->head_size;
    size_t kept = data.size < room ? data.size : room;
    if (kept > 0) {
        memcpy(body->head + body->head_size, data.data, kept);
        body->head_size += kept;
    }
    ps_r2_digest_update(body->digest, data);
    body->size += data.size;
    return PS_S3_BODY_DATA;
}

enum ps_s3_body_event ps_s3_body_feed(struct ps_s3_body *body, struct ps_slice *bytes,
                                      struct ps_slice *ret_data)
{
    *ret_data = (struct ps_slice){NULL, 0};
    if (body->failure != PS_S3_CHUNKED_NEED) {
        return PS_S3_BODY_REFUSED;
    }
    if (bytes->size == 0) {
        return PS_S3_BODY_NEED;
    }
    if (body->chunked == NULL) {
        *ret_data = *bytes;
        *bytes = (struct ps_slice){bytes->data + bytes->size, 0};
        return take(body, *ret_data);
    }
    enum ps_s3_chunked_event event = PS_S3_CHUNKED_DONE;
    while (bytes->size > 0 && event == PS_S3_CHUNKED_DONE) {
        event = ps_s3_chunked_feed(body->chunked, bytes, ret_data);
    }
    if (event == PS_S3_CHUNKED_DATA) {
        return take(body, *ret_data);
    }
    if (event > PS_S3_CHUNKED_DONE) {
        body->failure = event;
        return PS_S3_BODY_REFUSED;
    }
    return PS_S3_BODY_NEED;
}

struct ps_slice ps_s3_body_head(const struct ps_s3_body *body)
{
    return (struct ps_slice){body->head, body->head_size};
}

/* ---- the verdict ---- */

static bool framing_is_right(const struct ps_s3_body *body, struct ps_http_response *response)
{
    if (body->failure == PS_S3_CHUNKED_SIGNATURE) {
        return ps_s3_refuse(PS_R2_CODE_SIGNATURE_DOES_NOT_MATCH, response);
    }
    if (body->failure == PS_S3_CHUNKED_MALFORMED) {
        ps_s3_fail(response, 400, "InvalidRequest", "The aws-chunked body is not well formed.");
        return false;
    }
    bool whole = body->failure == PS_S3_CHUNKED_NEED &&
                 (body->chunked == NULL || ps_s3_chunked_is_done(body->chunked)) &&
                 (!body->has_size || body->size == body->size_declared);
    return whole || ps_s3_refuse(PS_R2_CODE_INCOMPLETE_BODY, response);
}

static bool read_trailer(const struct ps_s3_body *body, struct ps_r2_checksums *ret_declared,
                         struct ps_http_response *response)
{
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        struct ps_slice value;
        if ((body->in_trailer & PS_R2_HASH_BIT(hash)) == 0) {
            continue;
        }
        const char *name = ps_s3_checksum_header((enum ps_r2_hash)hash);
        if (!ps_s3_chunked_trailer(body->chunked, name, &value)) {
            ps_s3_fail(response, 400, "MalformedTrailerError",
                       "The request contained trailing data that was not well-formed or did not "
                       "conform to our published schema.");
            return false;
        }
        if (!ps_r2_checksums_set_base64(ret_declared, (enum ps_r2_hash)hash, value)) {
            ps_s3_fail(response, 400, "InvalidRequest", "Value for %s trailing header is invalid.",
                       name);
            return false;
        }
    }
    return true;
}

bool ps_s3_body_finish(struct ps_s3_body *body, struct ps_r2_checksums *ret_declared,
                       struct ps_r2_checksums *ret_computed, struct ps_http_response *response)
{
    ps_r2_digest_finish(body->digest, ret_computed);
    if (!framing_is_right(body, response)) {
        return false;
    }
    bool signed_one = body->payload == PS_S3_PAYLOAD_SHA256;
    if (signed_one && memcmp(ret_computed->bytes[PS_R2_SHA256], body->sha256, 32) != 0) {
        return ps_s3_refuse(PS_R2_CODE_CONTENT_SHA256_MISMATCH, response);
    }
    ret_computed->present &= body->hashes;
    PS_ASSERT(ret_computed->present == body->hashes);
    return read_trailer(body, ret_declared, response);
}
