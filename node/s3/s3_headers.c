#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"

#include <string.h>
#include <strings.h>

/* ---- what is not implemented ---- */

enum screen {
    OWNER = 1,        /* x-amz-expected-bucket-owner */
    SOURCE_OWNER = 2, /* of a copy's source */
    LOCKS = 4,        /* MFA, bypass of governance */
    WRITE = 8,        /* tags, grants, locks, KMS, redirects; values of SSE and ACL */
    COPY = 16,        /* tagging directive, checksum algorithm */
    SOURCE_IF = 32,   /* conditions on a copied part's source */
    PART = 64,        /* server-side encryption of a part */
    CREATE_BUCKET = 128,
    KEY = 256,       /* a customer's key */
    SOURCE_KEY = 512 /* and one of the source */
};

static const struct {
    const char *name;
    unsigned screens;
} unsupported[] = {{"x-amz-expected-bucket-owner", OWNER},
                   {"x-amz-tagging", WRITE},
                   {"x-amz-grant-full-control", WRITE | CREATE_BUCKET},
                   {"x-amz-grant-read", WRITE | CREATE_BUCKET},
                   {"x-amz-grant-read-acp", WRITE | CREATE_BUCKET},
                   {"x-amz-grant-write", WRITE | CREATE_BUCKET},
                   {"x-amz-grant-write-acp", WRITE | CREATE_BUCKET},
                   {"x-amz-bucket-object-lock-enabled", CREATE_BUCKET},
                   {"x-amz-website-redirect-location", WRITE},
                   {"x-amz-object-lock-mode", WRITE},
                   {"x-amz-object-lock-retain-until-date", WRITE},
                   {"x-amz-object-lock-legal-hold", WRITE},
                   {"x-amz-server-side-encryption-aws-kms-key-id", WRITE},
                   {"x-amz-server-side-encryption-context", WRITE},
                   {"x-amz-server-side-encryption-bucket-key-enabled", WRITE},
                   {"x-amz-source-expected-bucket-owner", SOURCE_OWNER},
                   {"x-amz-mfa", LOCKS},
                   {"x-amz-bypass-governance-retention", LOCKS},
                   {"x-amz-tagging-directive", COPY},
                   {"x-amz-checksum-algorithm", COPY},
                   {"x-amz-server-side-encryption", PART},
                   {"x-amz-copy-source-if-match", SOURCE_IF},
                   {"x-amz-copy-source-if-none-match", SOURCE_IF},
                   {"x-amz-copy-source-if-modified-since", SOURCE_IF},
                   {"x-amz-copy-source-if-unmodified-since", SOURCE_IF}};

static unsigned screens_of(enum ps_s3_op op)
{
    static const unsigned screens[] = {
        [PS_S3_CREATE_BUCKET] = OWNER | CREATE_BUCKET,
        [PS_S3_GET_OBJECT] = OWNER | KEY,
        [PS_S3_HEAD_OBJECT] = OWNER | KEY,
        [PS_S3_PUT_OBJECT] = OWNER | WRITE | KEY,
        [PS_S3_COPY_OBJECT] = OWNER | WRITE | SOURCE_OWNER | COPY | KEY | SOURCE_KEY,
        [PS_S3_DELETE_OBJECT] = OWNER | LOCKS,
        [PS_S3_DELETE_OBJECTS] = OWNER | LOCKS,
        [PS_S3_CREATE_UPLOAD] = OWNER | WRITE | KEY,
        [PS_S3_UPLOAD_PART] = OWNER | PART | KEY,
        [PS_S3_UPLOAD_PART_COPY] = OWNER | SOURCE_OWNER | SOURCE_IF | KEY | SOURCE_KEY,
        [PS_S3_ABORT] = 0};

    bool listed = op == PS_S3_CREATE_BUCKET || op == PS_S3_ABORT ||
                  (op >= PS_S3_GET_OBJECT && op < PS_S3_COMPLETE);
    return listed ? screens[op] : op == PS_S3_PREFLIGHT || op == PS_S3_LIST_BUCKETS ? 0 : OWNER;
}

static bool same_word(struct ps_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static bool header_not_implemented(const char *name, struct ps_slice value,
                                   struct ps_http_response *response)
{
    ps_s3_not_implemented(response, "Header '%s' with value '%.*s' not implemented", name,
                          (int)value.size, value.data);
    return false;
}

/* There are no locks: not to want any is fine. */
static bool wants_no_lock(const char *name, struct ps_slice value)
{
    return strcmp(name, "x-amz-bucket-object-lock-enabled") == 0 && same_word(value, "false");
}

/* Canned ACLs do nothing; R2 encrypts with AES256 anyway. */
static bool screen_values(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const canned[] = {
        "private",       "public-read",       "public-read-write",        "authenticated-read",
        "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"};

    struct ps_slice value;
    if (ps_s3_header(call->head, "x-amz-server-side-encryption", &value) &&
        !ps_slice_eq(value, PS_LIT("AES256"))) {
        return header_not_implemented("x-amz-server-side-encryption", value, response);
    }
    if (!ps_s3_header(call->head, "x-amz-acl", &value)) {
        return true;
    }
    for (size_t i = 0; i < sizeof canned / sizeof canned[0]; i++) {
        if (ps_slice_eq(value, ps_slice_of(canned[i]))) {
            return true;
        }
    }
    return header_not_implemented("x-amz-acl", value, response);
}

/* ---- customers' keys ---- */

#define NEEDS "Requests specifying Server Side Encryption with Customer provided keys must provide "

static bool read_customer_key(struct ps_slice text, struct ps_slice md5_text,
                              struct ps_r2_ssec *ret, struct ps_http_response *response)
{
    uint8_t key[32];
    uint8_t md5[PS_R2_ID_SIZE];
    if (!ps_r2_unbase64(text, key, sizeof key)) {
        ps_s3_invalid_argument(response, "The secret key was invalid for the specified algorithm.");
        return false;
    }
    struct ps_r2_checksums sums;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), (struct ps_slice){(const char *)key, sizeof key},
                    &sums);
    if (!ps_r2_unbase64(md5_text, md5, sizeof md5) ||
        memcmp(md5, sums.bytes[PS_R2_MD5], sizeof md5) != 0) {
        ps_s3_invalid_argument(response,
                               "The calculated MD5 hash of the key did not match the hash "
                               "that was provided.");
        return false;
    }
    ret->given = true;
    memcpy(ret->key_md5, md5, sizeof md5);
    return true;
}

/* All three headers or none, checked in R2's order. */
static bool read_ssec(struct ps_s3_call *call, const char *const names[3], struct ps_r2_ssec *ret,
                      struct ps_http_response *response)
{
    struct ps_slice algorithm;
    struct ps_slice key;
    struct ps_slice md5;
    bool has_algorithm = ps_s3_header(call->head, names[0], &algorithm);
    bool has_key = ps_s3_header(call->head, names[1], &key);
    bool has_md5 = ps_s3_header(call->head, names[2], &md5);
    if (!has_algorithm && !has_key && !has_md5) {
        return true;
    }
    if (!has_key) {
        ps_s3_invalid_argument(response, NEEDS "an appropriate secret key.");
    } else if (!has_md5) {
        ps_s3_invalid_argument(response, NEEDS "the client calculated MD5 of the secret key.");
    } else if (!has_algorithm) {
        ps_s3_invalid_argument(response, NEEDS "a valid encryption algorithm.");
    } else if (!ps_slice_eq(algorithm, PS_LIT("AES256"))) {
        ps_s3_fail(response, 400, "InvalidEncryptionAlgorithmError",
                   "The encryption request that you specified is not valid. The valid value is "
                   "AES256.");
    } else {
        return read_customer_key(key, md5, ret, response);
    }
    return false;
}

bool ps_s3_check_ssec(const struct ps_r2_ssec *given, const struct ps_r2_ssec *object,
                      struct ps_http_response *response)
{
    if (given->given && !object->given) {
        ps_s3_fail(response, 400, "InvalidRequest",
                   "The encryption parameters are not applicable to this object.");
        return false;
    }
    if (!given->given && object->given) {
        ps_s3_fail(response, 400, "InvalidRequest",
                   "The object was stored using a form of Server Side Encryption. The correct "
                   "parameters must be provided to retrieve the object.");
        return false;
    }
    bool same =
        !object->given ||
        ps_s3_same_secret((struct ps_slice){(const char *)given->key_md5, sizeof given->key_md5},
                          (struct ps_slice){(const char *)object->key_md5, sizeof object->key_md5});
    return same || ps_s3_refuse(PS_R2_CODE_ACCESS_DENIED, response);
}

#define SSEC "server-side-encryption-customer-"

bool ps_s3_screen_headers(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const own[3] = {"x-amz-" SSEC "algorithm", "x-amz-" SSEC "key",
                                       "x-amz-" SSEC "key-md5"};
    static const char *const source[3] = {"x-amz-copy-source-" SSEC "algorithm",
                                          "x-amz-copy-source-" SSEC "key",
                                          "x-amz-copy-source-" SSEC "key-md5"};

    unsigned screens = screens_of(call->op);
    struct ps_slice value;
    if (ps_s3_header(call->head, "x-amz-security-token", &value)) {
        ps_s3_invalid_argument(response, "X-Amz-Security-Token");
        return false;
    }
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        if ((unsupported[i].screens & screens) != 0 &&
            ps_s3_header(call->head, unsupported[i].name, &value) &&
            !wants_no_lock(unsupported[i].name, value)) {
            return header_not_implemented(unsupported[i].name, value, response);
        }
    }
    if ((screens & (WRITE | CREATE_BUCKET)) != 0 && !screen_values(call, response)) {
        return false;
    }
    if ((screens & KEY) != 0 && !read_ssec(call, own, &call->request.meta.ssec, response)) {
        return false;
    }
    if ((screens & SOURCE_KEY) != 0 &&
        !read_ssec(call, source, &call->request.source_ssec, response)) {
        return false;
    }
    call->source.meta.ssec = call->request.source_ssec;
    return true;
}

/* ---- checksums ---- */

static const struct {
    enum ps_r2_hash hash;
    const char *algorithm;
    const char *header;
    const char *element;
} checksums[] = {{PS_R2_CRC32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32"},
                 {PS_R2_CRC32C, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C"},
                 {PS_R2_CRC64NVME, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME"},
                 {PS_R2_SHA1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1"},
                 {PS_R2_SHA256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256"}};

enum { CHECKSUMS = sizeof checksums / sizeof checksums[0] };

const char *ps_s3_checksum_header(enum ps_r2_hash hash)
{
    for (size_t i = 0; i < CHECKSUMS; i++) {
        if (checksums[i].hash == hash) {
            return checksums[i].header;
        }
    }
    return NULL;
}

const char *ps_s3_checksum_element(enum ps_r2_hash hash)
{
    for (size_t i = 0; i < CHECKSUMS; i++) {
        if (checksums[i].hash == hash) {
            return checksums[i].element;
        }
    }
    return NULL;
}

bool ps_s3_checksum_of(struct ps_slice algorithm, enum ps_r2_hash *ret)
{
    for (size_t i = 0; i < CHECKSUMS; i++) {
        if (same_word(algorithm, checksums[i].algorithm)) {
            *ret = checksums[i].hash;
            return true;
        }
    }
    return false;
}

/* What the headers say of an object's (or a document's) bytes. */
static bool read_checksums(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    struct ps_r2_checksums *declared = &call->request.declared;
    if (ps_s3_header(call->head, "content-md5", &value) &&
        !ps_r2_checksums_set_base64(declared, PS_R2_MD5, value)) {
        ps_s3_fail(response, 400, "InvalidDigest",
                   "The checksum or Content-MD5 you specified is not valid.");
        return false;
    }
    for (size_t i = 0; i < CHECKSUMS; i++) {
        if (ps_s3_header(call->head, checksums[i].header, &value) &&
            !ps_r2_checksums_set_base64(declared, checksums[i].hash, value)) {
            ps_s3_fail(response, 400, "InvalidRequest", "Value for %s header is invalid.",
                       checksums[i].header);
            return false;
        }
    }
    call->hashes |= PS_R2_HASH_BIT(PS_R2_MD5) | declared->present;
    if (!ps_s3_header(call->head, "x-amz-trailer", &value)) {
        return true;
    }
    for (size_t i = 0; i < CHECKSUMS; i++) {
        if (same_word(value, checksums[i].header)) {
            call->hashes |= PS_R2_HASH_BIT(checksums[i].hash);
        }
    }
    return true;
}

/* How the checksum of a whole multipart object is to be made; R2 has one way for each. */
static bool read_algorithm(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    enum ps_r2_hash hash;
    bool has = ps_s3_header(call->head, "x-amz-checksum-algorithm", &value);
    if (has && !ps_s3_checksum_of(value, &hash)) {
        return header_not_implemented("x-amz-checksum-algorithm", value, response);
    }
    if (has) {
        call->request.hashes = PS_R2_HASH_BIT(hash);
        call->request.full_object = hash == PS_R2_CRC64NVME;
    }
    bool full = call->request.full_object;
    if (ps_s3_header(call->head, "x-amz-checksum-type", &value) && has &&
        !same_word(value, full ? "FULL_OBJECT" : "COMPOSITE")) {
        return header_not_implemented("x-amz-checksum-type", value, response);
    }
    return true;
}

/* ---- conditions, ranges, sizes ---- */

static bool read_condition(struct ps_s3_call *call, const char *const names[4],
                           struct ps_r2_condition *ret, struct ps_http_response *response)
{
    struct ps_r2_if_headers headers = {.if_match = {NULL, 0}};
    (void)ps_s3_header(call->head, names[0], &headers.if_match);
    (void)ps_s3_header(call->head, names[1], &headers.if_none_match);
    (void)ps_s3_header(call->head, names[2], &headers.if_modified_since);
    (void)ps_s3_header(call->head, names[3], &headers.if_unmodified_since);
    if (ps_r2_condition_parse(&headers, ret) != PS_OK) {
        ps_s3_invalid_argument(response, "The list of ETags is not valid.");
        return false;
    }
    return true;
}

static const char *const if_names[4] = {"if-match", "if-none-match", "if-modified-since",
                                        "if-unmodified-since"};

/* What is wrong with a range whatever it is of is said before the object is looked up. */
static bool read_range(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    if (!ps_s3_header(call->head, "range", &value)) {
        return true;
    }
    if (call->request.part_number != 0) {
        ps_s3_fail(response, 400, "InvalidRequest",
                   "Cannot specify both Range header and partNumber query parameter");
        return false;
    }
    struct ps_r2_span span;
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    call->request.range = (struct ps_r2_range){.kind = PS_R2_RANGE_S3, .header = value};
    if (!ps_r2_range_resolve(&call->request.range, (uint64_t)1 << 62, &span, &error)) {
        ps_s3_answer_error(call, &error, response);
        return false;
    }
    return true;
}

/* How much comes. Of a body in aws-chunked it is said besides. */
static bool read_size(struct ps_s3_call *call, struct ps_http_response *response)
{
    enum { OVERHEAD = 128 }; /* of a chunk of one byte */

    struct ps_slice value;
    enum ps_s3_payload payload = call->auth.payload;
    bool chunked = payload != PS_S3_PAYLOAD_UNSIGNED && payload != PS_S3_PAYLOAD_SHA256;
    const char *name = chunked ? "x-amz-decoded-content-length" : "content-length";
    call->has_size = ps_s3_header(call->head, name, &value);
    if (!call->has_size && (chunked || ps_http_header(call->head, "transfer-encoding") != NULL)) {
        return ps_s3_refuse(PS_R2_CODE_MISSING_CONTENT_LENGTH, response);
    }
    if (call->has_size && !ps_s3_number(value, &call->size)) {
        ps_s3_invalid_argument(response, "%s must be a number.", name);
        return false;
    }
    call->has_size = true;
    if (call->size > PS_R2_UPLOAD_SIZE_MAX) {
        return ps_s3_refuse(PS_R2_CODE_ENTITY_TOO_LARGE, response);
    }
    call->body_max = chunked ? (call->size + 1) * OVERHEAD + PS_S3_CHUNK_ROOM : call->size;
    return true;
}

/* ---- metadata ---- */

static struct ps_slice keep(struct ps_s3_call *call, size_t from)
{
    return (struct ps_slice){call->text.data + from, call->text.size - from};
}

/* Content-Encoding without aws-chunked, which is of the way and not of the object. */
static struct ps_slice without_chunked(struct ps_s3_call *call, struct ps_slice value)
{
    size_t from = call->text.size;
    while (value.size > 0) {
        const char *comma = memchr(value.data, ',', value.size);
        size_t size = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct ps_slice coding = ps_s3_trim((struct ps_slice){value.data, size});
        if (coding.size > 0 && !same_word(coding, "aws-chunked")) {
            if (call->text.size > from) {
                ps_buf_append_char(&call->text, ',');
            }
            ps_buf_append_slice(&call->text, coding);
        }
        size_t used = size + (comma == NULL ? 0 : 1);
        value = (struct ps_slice){value.data + used, value.size - used};
    }
    return keep(call, from);
}

static void read_http(struct ps_s3_call *call)
{
    struct ps_r2_http *http = &call->request.meta.http;
    struct ps_slice value;
    int64_t unix_s;
    (void)ps_s3_header(call->head, "content-type", &http->content_type);
    (void)ps_s3_header(call->head, "content-language", &http->content_language);
    (void)ps_s3_header(call->head, "content-disposition", &http->content_disposition);
    (void)ps_s3_header(call->head, "cache-control", &http->cache_control);
    if (ps_s3_header(call->head, "content-encoding", &value)) {
        http->content_encoding = without_chunked(call, value);
    }
    if (ps_s3_header(call->head, "expires", &value) && ps_r2_date_parse(value, &unix_s)) {
        http->has_cache_expiry = true;
        http->cache_expiry_ms = unix_s * 1000;
    }
}

static bool read_class(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    call->request.has_storage_class = ps_s3_header(call->head, "x-amz-storage-class", &value);
    if (!call->request.has_storage_class || ps_slice_eq(value, PS_LIT("STANDARD"))) {
        return true;
    }
    if (ps_slice_eq(value, PS_LIT("STANDARD_IA"))) {
        call->request.meta.storage_class = PS_R2_INFREQUENT;
        return true;
    }
    ps_s3_fail(response, 400, "InvalidStorageClass", "The storage class specified is not valid.");
    return false;
}

static bool read_object_headers(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    call->create_bucket = ps_s3_header(call->head, "cf-create-bucket-if-missing", &value) &&
                          ps_slice_eq(value, PS_LIT("true"));
    read_http(call);
    return read_class(call, response) && ps_s3_read_metadata(call, response);
}

/* ---- copies ---- */

static bool read_source(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    bool has = ps_s3_header(call->head, "x-amz-copy-source", &value);
    PS_ASSERT(has);
    size_t from = call->text.size;
    ps_s3_uri_decode(&call->text, value, false);
    struct ps_slice source = keep(call, from);
    if (source.size > 0 && *source.data == '/') {
        source = (struct ps_slice){source.data + 1, source.size - 1};
    }
    const char *slash = source.size == 0 ? NULL : memchr(source.data, '/', source.size);
    if (slash == NULL || slash + 1 == source.data + source.size) {
        ps_s3_invalid_argument(response, "copy source bucket name");
        return false;
    }
    size_t size = (size_t)(slash - source.data);
    call->source_bucket = (struct ps_slice){source.data, size};
    call->source.op = PS_R2_GET;
    call->source.key = (struct ps_slice){slash + 1, source.size - size - 1};
    call->request.source_key = call->source.key;
    return ps_r2_key_valid(call->source.key) ||
           ps_s3_refuse(PS_R2_CODE_INVALID_OBJECT_NAME, response);
}

static bool read_directive(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const names[] = {[PS_R2_DIRECTIVE_COPY] = "COPY",
                                        [PS_R2_DIRECTIVE_REPLACE] = "REPLACE",
                                        [PS_R2_DIRECTIVE_MERGE] = "MERGE"};

    struct ps_slice value;
    if (!ps_s3_header(call->head, "x-amz-metadata-directive", &value)) {
        return true;
    }
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (ps_slice_eq(value, ps_slice_of(names[i]))) {
            call->request.directive = (enum ps_r2_directive)i;
            return true;
        }
    }
    ps_s3_invalid_argument(response, "metadata directive %.*s.", (int)value.size, value.data);
    return false;
}

static bool read_copy(struct ps_s3_call *call, struct ps_http_response *response)
{
    static const char *const source[4] = {
        "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"};
    static const char *const destination[4] = {
        "cf-copy-destination-if-match", "cf-copy-destination-if-none-match",
        "cf-copy-destination-if-modified-since", "cf-copy-destination-if-unmodified-since"};

    return read_directive(call, response) && read_object_headers(call, response) &&
           read_source(call, response) &&
           read_condition(call, source, &call->request.source_condition, response) &&
           read_condition(call, source, &call->source.condition, response) &&
           read_condition(call, destination, &call->request.condition, response);
}

/* "bytes=first-last" and no other form. */
static bool read_source_range(struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice value;
    struct ps_slice unit = PS_LIT("bytes=");
    uint64_t first;
    uint64_t last;
    if (!ps_s3_header(call->head, "x-amz-copy-source-range", &value)) {
        return true;
    }
    struct ps_slice rest = {value.data + unit.size, value.size - unit.size};
    const char *dash =
        ps_slice_starts(value, unit) && rest.size > 0 ? memchr(rest.data, '-', rest.size) : NULL;
    size_t size = dash == NULL ? 0 : (size_t)(dash - rest.data);
    bool good = dash != NULL && ps_s3_number((struct ps_slice){rest.data, size}, &first) &&
                ps_s3_number((struct ps_slice){dash + 1, rest.size - size - 1}, &last);
    if (!good) {
        ps_s3_invalid_argument(response, "Invalid x-amz-copy-source-range: %.*s", (int)value.size,
                               value.data);
        return false;
    }
    if (last < first) {
        ps_s3_invalid_argument(response, "x-amz-copy-source-range must be positive.");
        return false;
    }
    call->source.range = (struct ps_r2_range){.kind = PS_R2_RANGE_SPAN,
                                              .has_offset = true,
                                              .offset = first,
                                              .has_length = true,
                                              .length = last - first + 1};
    return true;
}

/* ---- all ---- */

bool ps_s3_read_headers(struct ps_s3_call *call, struct ps_http_response *response)
{
    enum ps_s3_op op = call->op;
    if (op == PS_S3_GET_OBJECT || op == PS_S3_HEAD_OBJECT) {
        return read_range(call, response) &&
               read_condition(call, if_names, &call->request.condition, response);
    }
    if (op == PS_S3_PUT_OBJECT) {
        return read_object_headers(call, response) && read_checksums(call, response) &&
               read_condition(call, if_names, &call->request.condition, response) &&
               read_size(call, response);
    }
    if (op == PS_S3_COPY_OBJECT) {
        return read_copy(call, response);
    }
    if (op == PS_S3_CREATE_UPLOAD) {
        return read_object_headers(call, response) && read_algorithm(call, response) &&
               read_condition(call, if_names, &call->request.condition, response);
    }
    if (op == PS_S3_UPLOAD_PART) {
        return read_checksums(call, response) && read_size(call, response);
    }
    if (op == PS_S3_UPLOAD_PART_COPY) {
        call->hashes = PS_R2_HASH_BIT(PS_R2_MD5);
        return read_source(call, response) && read_source_range(call, response);
    }
    if (op == PS_S3_COMPLETE) {
        /* These are the object's; what the document has, only its signature says. */
        bool good = read_checksums(call, response) && read_algorithm(call, response) &&
                    read_condition(call, if_names, &call->request.condition, response);
        call->request.declared.present &= ~PS_R2_HASH_BIT(PS_R2_MD5);
        return good;
    }
    return call->intake != PS_S3_DOCUMENT || read_checksums(call, response);
}
