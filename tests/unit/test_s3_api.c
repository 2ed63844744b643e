/* Requests as calls and results as answers: which errors R2 gives in which order, what operations
 * read from targets and headers, what clients get. */
#include "node/r2/bucket.h"
#include "node/s3/body.h"
#include "node/s3/cors.h"
#include "node/s3/error.h"
#include "node/s3/s3.h"
#include "node/s3/s3_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_S = 1369353600, HEADERS = 24 };

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define ID "00112233445566778899aabbccddeeff"

static struct ps_s3_config config;

static const struct ps_s3_signer signer = {
    .key_id = {"id", 2}, .secret = {"secret", 6}, .region = {"auto", 4}, .unix_s = NOW_S};

static int set_up(void **state)
{
    (void)state;
    config.keyring = ps_s3_keyring_create();
    config.domain = PS_LIT("localhost");
    return ps_s3_keyring_add(config.keyring, signer.key_id, signer.secret) == PS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ps_s3_keyring_destroy(config.keyring);
    return 0;
}

/* One exchange: a signed request, what it came to, and its answer. */
struct exchange {
    struct ps_http_header headers[HEADERS];
    struct ps_buf authorization;
    struct ps_buf lines; /* the extra headers */
    struct ps_http_request head;
    struct ps_s3_call call;
    struct ps_http_response response;
    bool good;
};

static enum ps_http_method method_of(const char *name)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"};

    for (unsigned i = 0; i < 7; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum ps_http_method)i;
        }
    }
    return PS_HTTP_OTHER;
}

/* `extra` is "name: value\n" lines; a host among them replaces the usual one. */
static void open_call(struct exchange *exchange, const char *method, const char *target,
                      const char *extra)
{
    *exchange = (struct exchange){0};
    ps_buf_append_text(&exchange->lines, extra);
    (void)ps_buf_text(&exchange->lines);
    size_t count = 0;
    struct ps_http_header *headers = exchange->headers;
    bool has_host = strncmp(extra, "host:", 5) == 0;
    if (!has_host) {
        headers[count++] = (struct ps_http_header){PS_LIT("host"), PS_LIT("127.0.0.1:8800")};
    }
    headers[count++] = (struct ps_http_header){PS_LIT("x-amz-date"), PS_LIT("20130524T000000Z")};
    headers[count++] =
        (struct ps_http_header){PS_LIT("x-amz-content-sha256"), PS_LIT("UNSIGNED-PAYLOAD")};
    for (char *at = exchange->lines.data; *at != '\0';) {
        char *colon = strchr(at, ':');
        char *end = strchr(at, '\n');
        assert_true(colon != NULL && end != NULL && count + 1 < HEADERS);
        headers[count++] = (struct ps_http_header){{at, (size_t)(colon - at)},
                                                   {colon + 2, (size_t)(end - colon - 2)}};
        at = end + 1;
    }
    ps_s3_sign(&signer, method, ps_slice_of(target), headers, count, PS_LIT("UNSIGNED-PAYLOAD"),
               &exchange->authorization, NULL);
    headers[count++] =
        (struct ps_http_header){PS_LIT("Authorization"), ps_buf_slice(&exchange->authorization)};
    exchange->head = (struct ps_http_request){.method = method_of(method),
                                              .target = ps_slice_of(target),
                                              .headers = headers,
                                              .header_count = count};
    exchange->good = ps_s3_open(&config, &exchange->head, (int64_t)NOW_S * 1000, &exchange->call,
                                &exchange->response);
    assert_int_equal(exchange->good, exchange->response.status == 0);
}

static void end(struct exchange *exchange)
{
    ps_s3_call_fini(&exchange->call);
    ps_http_response_fini(&exchange->response);
    ps_buf_fini(&exchange->authorization);
    ps_buf_fini(&exchange->lines);
}

/* A fresh answer for the same call. */
static struct ps_http_response *again(struct exchange *exchange)
{
    ps_http_response_fini(&exchange->response);
    exchange->response.tail_size = 0;
    return &exchange->response;
}

static bool has(const struct ps_buf *in, const char *text)
{
    return in->size > 0 && memmem(in->data, in->size, text, strlen(text)) != NULL;
}

/* ---- refusals ---- */

struct refusal {
    const char *method;
    const char *target;
    const char *headers;
    int status;
    const char *code;
    const char *message; /* as XML */
};

#define KEY "/b/k"
#define PUT_LENGTH "content-length: 0\n"

static const struct refusal refusals[] = {
    {"PATCH", "/b", "", 404, "RouteNotFound", "No route matches this url."},
    {"PATCH", KEY, "", 404, "RouteNotFound", "No route matches this url."},
    {"PUT", "/", "", 404, "RouteNotFound", "No route matches this url."},
    {"GET", "//k", "", 404, "RouteNotFound", "No route matches this url."},
    {"GET", "/?foobar", "", 501, "NotImplemented",
     "ListBuckets search parameter foobar not implemented"},
    {"GET", "/b?versions", "", 501, "NotImplemented", "ListObjectVersions not implemented"},
    {"GET", "/b/?policyStatus=", "", 501, "NotImplemented",
     "GetGetBucketPolicyStatus not implemented"},
    {"GET", "/b?intelligent-tiering", "", 501, "NotImplemented",
     "GetBucketIntelligentTieringConfiguration not implemented"},
    {"GET", "/b?foobar", "", 501, "NotImplemented",
     "ListObjectsV1 search parameter foobar not implemented"},
    {"GET", "/b?list-type=2&foobar", "", 501, "NotImplemented",
     "ListObjectsV2 search parameter foobar not implemented"},
    {"GET", "/b?list-type=3", "", 501, "NotImplemented", "ListObjectsV3 not implemented"},
    {"GET", "/b?continuation-token=x", "", 400, "InvalidArgument",
     "continuation-token not supported in ListObjects"},
    {"GET", "/b?encoding-type=base64", "", 501, "NotImplemented",
     "Unrecognized encoding-type &quot;base64&quot; not implemented"},
    {"GET", "/b?max-keys=-1", "", 400, "InvalidMaxKeys",
     "MaxKeys params must be positive integer &lt;= 1000."},
    {"GET", "/b?max-keys=", "", 400, "InvalidMaxKeys",
     "MaxKeys params must be positive integer &lt;= 1000."},
    {"GET", "/b?location&foobar", "", 400, "InvalidArgument",
     "Search param foobar is unsupported for bucket location"},
    {"PUT", "/b?tagging", "", 501, "NotImplemented", "PutBucketTagging not implemented"},
    {"PUT", "/b?junk&versioning", "", 501, "NotImplemented", "PutBucketVersioning not implemented"},
    {"PUT", "/b?junk", "", 400, "InvalidArgument",
     "Unsupported search param(s) &quot;junk&quot; on a PUT bucket route"},
    {"DELETE", "/b?versioning&junk=1&junk=2&x-id=a&X-Amz-Foo=b", "", 400, "InvalidArgument",
     "Unsupported search param(s) &quot;versioning&quot;, &quot;junk&quot; on a DELETE bucket "
     "route"},
    {"DELETE", "/b?policy", "", 501, "NotImplemented", "DeleteBucketPolicy not implemented"},
    {"GET", "/b/k?acl", "", 501, "NotImplemented", "GetObjectAcl not implemented"},
    {"GET", "/b/k?attributes", "", 501, "NotImplemented", "GetObjectAttributes not implemented"},
    {"PUT", "/b/k?legal-hold", "", 501, "NotImplemented", "PutObjectLegalHold not implemented"},
    {"GET", KEY, "x-amz-security-token: t\n", 400, "InvalidArgument", "X-Amz-Security-Token"},
    {"GET", KEY, "x-amz-expected-bucket-owner: me\n", 501, "NotImplemented",
     "Header &apos;x-amz-expected-bucket-owner&apos; with value &apos;me&apos; not implemented"},
    {"PUT", KEY, PUT_LENGTH "x-amz-tagging: a=b\n", 501, "NotImplemented",
     "Header &apos;x-amz-tagging&apos; with value &apos;a=b&apos; not implemented"},
    {"PUT", KEY, PUT_LENGTH "x-amz-server-side-encryption: aws:kms\n", 501, "NotImplemented",
     "Header &apos;x-amz-server-side-encryption&apos; with value &apos;aws:kms&apos; not "
     "implemented"},
    {"PUT", KEY, PUT_LENGTH "x-amz-acl: secret\n", 501, "NotImplemented",
     "Header &apos;x-amz-acl&apos; with value &apos;secret&apos; not implemented"},
    {"PUT", KEY, PUT_LENGTH "x-amz-storage-class: GLACIER\n", 400, "InvalidStorageClass",
     "The storage class specified is not valid."},
    {"PUT", KEY, PUT_LENGTH "content-md5: x\n", 400, "InvalidDigest",
     "The checksum or Content-MD5 you specified is not valid."},
    {"PUT", KEY, PUT_LENGTH "x-amz-checksum-crc32: AAAA\n", 400, "InvalidRequest",
     "Value for x-amz-checksum-crc32 header is invalid."},
    {"PUT", KEY, "transfer-encoding: chunked\n", 411, "MissingContentLength",
     "You must provide the Content-Length HTTP header."},
    {"PUT", KEY, "content-length: 5363466241\n", 400, "EntityTooLarge",
     "Your proposed upload exceeds the maximum allowed object size."},
    {"GET", KEY, "range: bytes=0-1,3-4\n", 400, "InvalidArgument",
     "range must be in format &apos;bytes=start-end&apos;, &apos;bytes=start-&apos; or "
     "&apos;bytes=-suffix&apos;.&apos;"},
    {"GET", KEY, "range: bytes=5-4\n", 400, "InvalidArgument", "range must be positive."},
    {"GET", KEY, "range: bytes=-0\n", 416, "InvalidRange",
     "The requested range is not satisfiable"},
    {"GET", "/b/k?partNumber=1", "range: bytes=0-1\n", 400, "InvalidRequest",
     "Cannot specify both Range header and partNumber query parameter"},
    {"GET", "/b/k?partNumber=0", "", 400, "InvalidArgument",
     "Part number must be an integer between 1 and 10000, inclusive."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=1.0", "", 404, "RouteNotFound",
     "No route matches this url."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=", PUT_LENGTH, 400, "InvalidArgument",
     "Part number must be an integer between 1 and 10000, inclusive."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=-1", PUT_LENGTH, 400, "InvalidArgument",
     "Part number must be an integer between 1 and 10000, inclusive."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=10001", PUT_LENGTH, 400, "InvalidArgument",
     "Part number must be an integer between 1 and 10000, inclusive."},
    {"PUT", "/b/k?uploadId=nonsense&partNumber=1", PUT_LENGTH, 404, "NoSuchUpload",
     "The specified multipart upload does not exist."},
    {"DELETE", "/b/k?uploadId=", "", 404, "NoSuchUpload",
     "The specified multipart upload does not exist."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=1",
     PUT_LENGTH "x-amz-server-side-encryption: AES256\n", 501, "NotImplemented",
     "Header &apos;x-amz-server-side-encryption&apos; with value &apos;AES256&apos; not "
     "implemented"},
    {"PUT", KEY, "x-amz-copy-source: nobucket\n", 400, "InvalidArgument",
     "copy source bucket name"},
    {"PUT", KEY, "x-amz-copy-source: b/\n", 400, "InvalidArgument", "copy source bucket name"},
    {"PUT", KEY, "x-amz-copy-source: b/s\nx-amz-metadata-directive: WAT\n", 400, "InvalidArgument",
     "metadata directive WAT."},
    {"PUT", KEY, "x-amz-copy-source: b/s\nx-amz-checksum-algorithm: CRC32\n", 501, "NotImplemented",
     "Header &apos;x-amz-checksum-algorithm&apos; with value &apos;CRC32&apos; not implemented"},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=1",
     "x-amz-copy-source: b/s\nx-amz-copy-source-range: bytes=0-\n", 400, "InvalidArgument",
     "Invalid x-amz-copy-source-range: bytes=0-"},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=1",
     "x-amz-copy-source: b/s\nx-amz-copy-source-range: bytes=2-1\n", 400, "InvalidArgument",
     "x-amz-copy-source-range must be positive."},
    {"PUT", "/b/k?uploadId=" ID "&partNumber=1",
     "x-amz-copy-source: b/s\nx-amz-copy-source-if-match: e\n", 501, "NotImplemented",
     "Header &apos;x-amz-copy-source-if-match&apos; with value &apos;e&apos; not implemented"},
    {"POST", "/b/k?uploads", "x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT\n",
     501, "NotImplemented",
     "Header &apos;x-amz-checksum-type&apos; with value &apos;FULL_OBJECT&apos; not implemented"},
    {"PUT", "/b", "x-amz-bucket-object-lock-enabled: true\n", 501, "NotImplemented",
     "Header &apos;x-amz-bucket-object-lock-enabled&apos; with value &apos;true&apos; not "
     "implemented"},
    {"POST", "/b/k?uploads", "if-none-match: \"\n", 400, "InvalidArgument",
     "The list of ETags is not valid."},
    {"DELETE", KEY, "x-amz-mfa: 1\n", 501, "NotImplemented",
     "Header &apos;x-amz-mfa&apos; with value &apos;1&apos; not implemented"},
    {"GET", "/b/%ff", "", 400, "InvalidObjectName", "The specified object name is not valid."},
    {"GET", KEY, "x-amz-server-side-encryption-customer-algorithm: AES256\n", 400,
     "InvalidArgument",
     "Requests specifying Server Side Encryption with Customer provided keys must provide an "
     "appropriate secret key."},
    {"GET", KEY, "x-amz-server-side-encryption-customer-key: x\n", 400, "InvalidArgument",
     "Requests specifying Server Side Encryption with Customer provided keys must provide the "
     "client calculated MD5 of the secret key."},
    {"GET", KEY,
     "x-amz-server-side-encryption-customer-key: x\n"
     "x-amz-server-side-encryption-customer-key-MD5: x\n",
     400, "InvalidArgument",
     "Requests specifying Server Side Encryption with Customer provided keys must provide a valid "
     "encryption algorithm."},
    {"GET", KEY,
     "x-amz-server-side-encryption-customer-key: x\n"
     "x-amz-server-side-encryption-customer-key-MD5: x\n"
     "x-amz-server-side-encryption-customer-algorithm: DES\n",
     400, "InvalidEncryptionAlgorithmError",
     "The encryption request that you specified is not valid. The valid value is AES256."},
    {"GET", KEY,
     "x-amz-server-side-encryption-customer-key: "
     "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
     "x-amz-server-side-encryption-customer-key-MD5: AAAAAAAAAAAAAAAAAAAAAA==\n"
     "x-amz-server-side-encryption-customer-algorithm: AES256\n",
     400, "InvalidArgument",
     "The calculated MD5 hash of the key did not match the hash that was provided."}};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        struct exchange exchange;
        open_call(&exchange, refusal->method, refusal->target, refusal->headers);
        struct ps_buf wanted = {0};
        ps_buf_printf(&wanted, XML "<Error><Code>%s</Code><Message>%s</Message></Error>",
                      refusal->code, refusal->message);
        if (exchange.response.status != refusal->status ||
            strcmp(ps_buf_text(&exchange.response.body), ps_buf_text(&wanted)) != 0) {
            fail_msg("%s %s %s: %d %s", refusal->method, refusal->target, refusal->headers,
                     exchange.response.status, ps_buf_text(&exchange.response.body));
        }
        assert_true(has(&exchange.response.headers, "Content-Type: application/xml\r\n"));
        ps_buf_fini(&wanted);
        end(&exchange);
    }
}

/* A form, which is not signed; and a preflight, which never is. */
static void unsigned_requests(void **state)
{
    (void)state;
    struct ps_http_header host = {PS_LIT("Host"), PS_LIT("h")};
    struct ps_http_request head = {
        .method = PS_HTTP_POST, .target = PS_LIT("/b"), .headers = &host, .header_count = 1};
    struct ps_s3_call call = {0};
    struct ps_http_response response = {0};
    assert_false(ps_s3_open(&config, &head, 0, &call, &response));
    assert_int_equal(response.status, 501);
    assert_true(has(&response.body, "<Message>Presigned post requests are not yet implemented not "
                                    "implemented</Message>"));
    ps_s3_call_fini(&call);
    ps_http_response_fini(&response);
    head.target = PS_LIT("/b?delete");
    assert_false(ps_s3_open(&config, &head, 0, &call, &response));
    assert_true(has(&response.body, "<Message>Authorization</Message>"));
    ps_s3_call_fini(&call);
    ps_http_response_fini(&response);
    head.target = PS_LIT("/b/k");
    head.method = PS_HTTP_OPTIONS;
    assert_true(ps_s3_open(&config, &head, 0, &call, &response));
    assert_int_equal(call.op, PS_S3_PREFLIGHT);
    assert_true(ps_slice_eq(call.bucket, PS_LIT("b")));
    ps_s3_call_fini(&call);
}

/* ---- what is read ---- */

struct routed {
    const char *method;
    const char *target;
    const char *headers;
    enum ps_s3_op op;
    const char *bucket;
    const char *key;
};

static const struct routed routes[] = {
    {"POST", "/b/k", PUT_LENGTH, PS_S3_PUT_OBJECT, "b", "k"},
    {"POST", "/b/k", PUT_LENGTH "x-amz-copy-source: b/s\n", PS_S3_PUT_OBJECT, "b", "k"},
    {"PUT", "/b/k?uploadId=" ID, PUT_LENGTH, PS_S3_PUT_OBJECT, "b", "k"},
    {"PUT", "/b/k?uploadId=" ID, "x-amz-copy-source: b/s\n", PS_S3_COPY_OBJECT, "b", "k"},
    {"HEAD", "/b/k?uploadId=" ID, "", PS_S3_HEAD_OBJECT, "b", "k"},
    {"HEAD", "/b/k?acl", "", PS_S3_HEAD_OBJECT, "b", "k"},
    {"DELETE", "/b/k?tagging", "", PS_S3_DELETE_OBJECT, "b", "k"},
    {"GET", "/b/k?uploads", "", PS_S3_LIST_UPLOADS, "b", ""},
    {"POST", "/b", "", PS_S3_POST_NOTHING, "b", ""},
    {"GET", "/b?acl", "", PS_S3_GET_ACL, "b", ""},
    {"GET", "/b/k?x-unknown=1", "x-amz-unknown: 1\n", PS_S3_GET_OBJECT, "b", "k"},
    {"GET", "/b//a/../b%2Fc%20+%zz", "", PS_S3_GET_OBJECT, "b", "/a/../b/c +%zz"},
    {"GET", "/k/l", "host: b.localhost:8800\n", PS_S3_GET_OBJECT, "b", "k/l"},
    {"GET", "/k", "host: x.y.LOCALHOST\n", PS_S3_GET_OBJECT, "x.y", "k"},
    {"GET", "/", "host: b.localhost\n", PS_S3_LIST_OBJECTS, "b", ""},
    {"GET", "/b/k", "host: localhost:8800\n", PS_S3_GET_OBJECT, "b", "k"},
    {"GET", "/b/k", "host: b.notlocalhost\n", PS_S3_GET_OBJECT, "b", "k"},
    {"PUT", "/b/k", "x-amz-acl: public-read\nx-amz-server-side-encryption: AES256\n",
     PS_S3_PUT_OBJECT, "b", "k"}};

static void routing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct routed *routed = &routes[i];
        struct exchange exchange;
        open_call(&exchange, routed->method, routed->target, routed->headers);
        if (!exchange.good) {
            fail_msg("%s %s: %s", routed->method, routed->target,
                     ps_buf_text(&exchange.response.body));
        }
        assert_int_equal(exchange.call.op, routed->op);
        assert_true(ps_slice_eq(exchange.call.bucket, ps_slice_of(routed->bucket)));
        assert_true(ps_slice_eq(exchange.call.request.key, ps_slice_of(routed->key)));
        end(&exchange);
    }
}

static bool is(struct ps_slice slice, const char *text)
{
    return ps_slice_eq(slice, ps_slice_of(text));
}

static void put_headers(void **state)
{
    (void)state;
    struct exchange exchange;
    open_call(&exchange, "PUT", KEY,
              "Content-Type: text/plain\nContent-Encoding: aws-chunked, gzip\n"
              "content-language: de\nContent-Disposition: inline\nCache-Control: no-store\n"
              "Expires: Sunday, 06-Nov-94 08:49:37 GMT\nx-amz-storage-class: STANDARD_IA\n"
              "X-Amz-Meta-One: =?utf-8?B?w6k=?= =?UTF-8?q?=C3=A9_x?= y\nx-amz-meta-two: a\n"
              "X-AMZ-META-TWO: b\nif-match: \"e1\", W/\"e2\"\ncontent-length: 5\n"
              "content-md5: XUFAKrxLKna5cZ2REBfFkg==\nx-amz-checksum-sha1: "
              "qvTGHdzF6KLavt4PO0gs2a6pQ00=\ncf-create-bucket-if-missing: true\n");
    assert_true(exchange.good);
    const struct ps_s3_call *call = &exchange.call;
    const struct ps_r2_metadata *meta = &call->request.meta;
    assert_true(is(meta->http.content_type, "text/plain"));
    assert_true(is(meta->http.content_encoding, "gzip"));
    assert_true(is(meta->http.content_language, "de"));
    assert_true(is(meta->http.content_disposition, "inline"));
    assert_true(is(meta->http.cache_control, "no-store"));
    assert_true(meta->http.has_cache_expiry);
    assert_int_equal(meta->http.cache_expiry_ms, 784111777000);
    assert_int_equal(meta->storage_class, PS_R2_INFREQUENT);
    assert_int_equal(meta->custom_count, 2);
    assert_true(is(meta->custom[0].name, "one"));
    assert_true(is(meta->custom[0].value, "\xc3\xa9\xc3\xa9 x y"));
    assert_true(is(meta->custom[1].name, "two"));
    assert_true(is(meta->custom[1].value, "a,b"));
    assert_int_equal(call->request.condition.match_count, 2);
    assert_true(call->create_bucket && call->has_size);
    assert_int_equal(call->size, 5);
    assert_int_equal(call->body_max, 5);
    assert_int_equal(call->hashes, PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_SHA1));
    /* The bytes "hello" are what was declared; others are told so by R2's own check. */
    struct ps_s3_body *body = ps_s3_body_create(call);
    struct ps_slice bytes = PS_LIT("hello");
    struct ps_slice data;
    assert_int_equal(ps_s3_body_feed(body, &bytes, &data), PS_S3_BODY_DATA);
    struct ps_r2_request request = call->request;
    assert_true(ps_s3_body_finish(body, &request.declared, &request.computed, &exchange.response));
    request.body.bytes = PS_LIT("hello");
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    assert_true(ps_r2_request_check(&request, &error));
    ps_s3_body_destroy(body);
    end(&exchange);
    /* More than R2 keeps. */
    struct ps_buf much = {0};
    ps_buf_append_text(&much, "x-amz-meta-x: ");
    for (size_t i = 0; i < PS_R2_METADATA_SIZE_MAX; i++) {
        ps_buf_append_char(&much, 'y');
    }
    ps_buf_append_char(&much, '\n');
    open_call(&exchange, "PUT", KEY, ps_buf_text(&much));
    assert_true(has(&exchange.response.body, "<Code>MetadataTooLarge</Code>"));
    ps_buf_fini(&much);
    end(&exchange);
}

static void encoded_words(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *decoded;
    } words[] = {{"", ""},
                 {"plain =? text", "plain =? text"},
                 {"=?utf-8?Q?a_b=21?=", "a b!"},
                 {"=?iso-8859-1?Q?=E9?=", "\xc3\xa9"},
                 {"=?ISO-8859-1?B?6Q==?= x", "\xc3\xa9 x"},
                 {"a =?utf-8?Q?b?=  =?utf-8?Q?c?= d", "a bc d"},
                 {"=?utf-8?Q?b?= \t", "b \t"},
                 {"=?koi8-r?Q?a?=", "=?koi8-r?Q?a?="},
                 {"=?utf-8?B?a?=", "=?utf-8?B?a?="},
                 {"=?utf-8?Q?=4?=", "=?utf-8?Q?=4?="},
                 {"=?utf-8?Q?a", "=?utf-8?Q?a"}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct ps_buf decoded = {0};
        ps_s3_words_decode(&decoded, ps_slice_of(words[i].text));
        assert_string_equal(ps_buf_text(&decoded), words[i].decoded);
        ps_buf_fini(&decoded);
    }
    /* What is encoded is ASCII in words of at most 75 characters, and decodes to the same. */
    struct ps_buf text = {0};
    for (unsigned i = 0; i < 300; i++) {
        struct ps_buf encoded = {0};
        struct ps_buf decoded = {0};
        ps_buf_append_text(&text, i % 7 == 0 ? "\xe2\x82\xac" : i % 5 == 0 ? "=?" : "x ");
        ps_s3_words_encode(&encoded, ps_buf_slice(&text));
        size_t length = 0;
        for (size_t j = 0; j < encoded.size; j++) {
            assert_true(encoded.data[j] >= ' ' && encoded.data[j] < 0x7f);
            length = encoded.data[j] == ' ' ? 0 : length + 1;
            assert_true(length <= 75);
        }
        ps_s3_words_decode(&decoded, ps_buf_slice(&encoded));
        assert_true(ps_slice_eq(ps_buf_slice(&decoded), ps_buf_slice(&text)));
        ps_buf_fini(&encoded);
        ps_buf_fini(&decoded);
    }
    ps_buf_fini(&text);
}

/* ---- documents ---- */

struct posted {
    const char *method;
    const char *target;
    const char *headers;
    const char *body;
    const char *code; /* NULL: it is taken */
};

#define PART(number, etag) "<Part><PartNumber>" number "</PartNumber><ETag>" etag "</ETag></Part>"
#define COMPLETE(parts) "<CompleteMultipartUpload>" parts "</CompleteMultipartUpload>"
#define REGION(name)                                                                               \
    "<CreateBucketConfiguration><LocationConstraint>" name                                         \
    "</LocationConstraint></CreateBucketConfiguration>"
#define ENCRYPTION(name)                                                                           \
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><"               \
    "SSEAlgorithm>" name "</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"             \
    "</ServerSideEncryptionConfiguration>"

static const struct posted documents[] = {
    {"POST", "/b?delete", "", "<Delete><Object><Key>a</Key></Object></Delete>", NULL},
    {"POST", "/b?delete", "content-md5: AAAAAAAAAAAAAAAAAAAAAA==\n",
     "<Delete><Object><Key>a</Key></Object></Delete>", "BadDigest"},
    {"POST", "/b?delete", "x-amz-checksum-crc32: AAAAAA==\n",
     "<Delete><Object><Key>a</Key></Object></Delete>", "BadDigest"},
    {"POST", "/b?delete", "", "<Delete/>", "MalformedXML"},
    {"POST", "/b/k?uploadId=" ID, "", COMPLETE(PART("2", "b") PART("1", "a")), NULL},
    {"POST", "/b/k?uploadId=" ID, "x-amz-checksum-crc32: AAAAAA==\n", COMPLETE(PART("1", "a")),
     NULL},
    {"POST", "/b/k?uploadId=" ID, "", COMPLETE(PART("2", "b") PART("1", "a") PART("2", "b")),
     "InvalidPart"},
    {"POST", "/b/k?uploadId=" ID, "", COMPLETE(PART("0", "b")), "InvalidPart"},
    {"POST", "/b/k?uploadId=" ID, "", COMPLETE(""), "MalformedXML"},
    {"PUT", "/b", "", "", NULL},
    {"PUT", "/b", "", REGION("WEUR"), NULL},
    {"PUT", "/b", "", REGION("eu-central-1"), "InvalidRegionName"},
    {"PUT", "/b?cors", "", "<CORSConfiguration/>", "MalformedXML"},
    {"PUT", "/b?lifecycle", "",
     "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Tag/></Filter>"
     "</Rule></LifecycleConfiguration>",
     "NotImplemented"},
    {"PUT", "/b?encryption", "", ENCRYPTION("AES256"), NULL},
    {"PUT", "/b?encryption", "", ENCRYPTION("aws:kms"), "NotImplemented"},
    {"PUT", "/b?encryption", "", "<ServerSideEncryptionConfiguration/>", "MalformedXML"}};

static void takes_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        const struct posted *posted = &documents[i];
        struct exchange exchange;
        open_call(&exchange, posted->method, posted->target, posted->headers);
        assert_true(exchange.good && exchange.call.intake == PS_S3_DOCUMENT);
        bool good =
            ps_s3_take_document(&exchange.call, ps_slice_of(posted->body), &exchange.response);
        assert_int_equal(good, posted->code == NULL);
        struct ps_buf code = {0};
        ps_buf_printf(&code, "<Code>%s</Code>", posted->code == NULL ? "" : posted->code);
        if (!good && !has(&exchange.response.body, ps_buf_text(&code))) {
            fail_msg("%s: %s", posted->body, ps_buf_text(&exchange.response.body));
        }
        if (good && exchange.call.op == PS_S3_COMPLETE && posted->headers[0] == '\0') {
            assert_int_equal(exchange.call.request.parts[0].number, 1);
            assert_true(is(exchange.call.request.parts[1].etag, "b"));
        }
        ps_buf_fini(&code);
        end(&exchange);
    }
}

/* ---- answers ---- */

static struct ps_r2_pair custom[] = {{{"a", 1}, {"\xc3\xa9", 2}}, {{"\xc3\xa9", 2}, {"b", 1}}};

static struct ps_r2_object object_of(uint64_t size)
{
    struct ps_r2_object object = {.key = PS_LIT("k"), .size = size, .uploaded_ms = 784111777123};
    memcpy(object.etag, "5d41402abc4b2a76b9719d911017c592", 33);
    memset(object.version.bytes, 5, sizeof object.version.bytes);
    object.meta.custom = custom;
    object.meta.custom_count = 2;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_CRC32), PS_LIT("hello"),
                    &object.checksums);
    return object;
}

static void get_answers(const char *headers, uint64_t size, int status, uint64_t offset,
                        uint64_t length, const char *wanted)
{
    struct exchange exchange;
    struct ps_r2_object object = object_of(size);
    struct ps_r2_span span;
    open_call(&exchange, "GET", KEY, headers);
    assert_true(exchange.good);
    ps_s3_answer_object(&exchange.call, &object, &span, &exchange.response);
    assert_int_equal(exchange.response.status, status);
    assert_int_equal(span.offset, offset);
    assert_int_equal(exchange.response.tail_size, length);
    if (!has(status < 400 ? &exchange.response.headers : &exchange.response.body, wanted)) {
        fail_msg("%s: %s", headers, ps_buf_text(&exchange.response.headers));
    }
    assert_int_equal(status < 400, has(&exchange.response.headers,
                                       "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n"
                                       "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                       "Accept-Ranges: bytes\r\n"
                                       "x-amz-version-id: 05050505050505050505050505050505\r\n"));
    assert_int_equal(status < 400, has(&exchange.response.headers,
                                       "x-amz-meta-a: =?UTF-8?B?w6k=?=\r\nx-amz-missing-meta: 1"));
    end(&exchange);
}

static void answers_objects(void **state)
{
    (void)state;
    get_answers("", 5, 200, 0, 5, "Content-Type: application/octet-stream\r\n");
    get_answers("x-amz-checksum-mode: ENABLED\n", 5, 200, 0, 5,
                "x-amz-checksum-crc32: NhCmhg==\r\nx-amz-checksum-type: FULL_OBJECT\r\n");
    get_answers("range: bytes=1-2\n", 5, 206, 1, 2, "Content-Range: bytes 1-2/5\r\n");
    get_answers("range: bytes=-3\n", 5, 206, 2, 3, "Content-Range: bytes 2-4/5\r\n");
    get_answers("range: bytes=4-100\n", 5, 206, 4, 1, "Content-Range: bytes 4-4/5\r\n");
    get_answers("range: bytes=5-\n", 5, 416, 0, 0, "<Code>InvalidRange</Code>");
    get_answers("range: bytes=0-\n", 0, 416, 0, 0, "<Code>InvalidRange</Code>");
    get_answers("if-none-match: \"5d41402abc4b2a76b9719d911017c592\"\n", 5, 304, 0, 0, "ETag");
    get_answers("if-match: \"x\"\nif-none-match: *\n", 5, 412, 0, 0,
                "<Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you "
                "specified did not hold.</Message>");
    get_answers("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\n", 5, 304, 0, 0, "ETag");
    get_answers("if-unmodified-since: Sun, 06 Nov 1994 08:49:36 GMT\n", 5, 412, 0, 0,
                "<Code>PreconditionFailed</Code>");
    get_answers("x-amz-server-side-encryption-customer-algorithm: AES256\n"
                "x-amz-server-side-encryption-customer-key: "
                "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
                "x-amz-server-side-encryption-customer-key-MD5: y4HAEFCYWuvAXWFTtA1Qpg==\n",
                5, 400, 0, 0,
                "<Code>InvalidRequest</Code><Message>The encryption parameters are not applicable "
                "to this object.</Message>");
    struct exchange exchange;
    struct ps_r2_span span;
    open_call(&exchange, "HEAD", KEY, "");
    ps_s3_answer_object(&exchange.call, NULL, &span, &exchange.response);
    assert_int_equal(exchange.response.status, 404);
    assert_true(has(&exchange.response.body,
                    "<Code>NoSuchKey</Code><Message>The specified key does "
                    "not exist.</Message>"));
    end(&exchange);
}

/* One part of an object, by its blobs. */
static void answers_parts(void **state)
{
    (void)state;
    struct ps_r2_blob blobs[3] = {{.size = 10}, {.size = 10}, {.size = 3}};
    struct ps_buf list = {0};
    ps_r2_blobs_encode(&list, blobs, 3);
    struct ps_r2_object object = object_of(23);
    object.part_count = 3;
    object.body = ps_buf_slice(&list);

    static const struct {
        const char *target;
        int status;
        uint64_t offset, length;
    } parts[] = {{"/b/k?partNumber=1", 206, 0, 10},
                 {"/b/k?partNumber=3", 206, 20, 3},
                 {"/b/k?partNumber=4", 416, 0, 0}};

    for (size_t i = 0; i < 3; i++) {
        struct exchange exchange;
        struct ps_r2_span span;
        open_call(&exchange, "HEAD", parts[i].target, "");
        ps_s3_answer_object(&exchange.call, &object, &span, &exchange.response);
        assert_int_equal(exchange.response.status, parts[i].status);
        assert_int_equal(span.offset, parts[i].offset);
        assert_int_equal(exchange.response.tail_size, parts[i].length);
        assert_int_equal(parts[i].status == 206,
                         has(&exchange.response.headers, "x-amz-mp-parts-count: 3\r\n"));
        end(&exchange);
    }
    ps_buf_fini(&list);
}

static void mutation(const char *method, const char *target, const char *headers,
                     const struct ps_r2_answer *answer, int status, const char *header,
                     const char *body)
{
    struct exchange exchange;
    open_call(&exchange, method, target, headers);
    if (!exchange.good) {
        fail_msg("%s %s: %s", method, target, ps_buf_text(&exchange.response.body));
    }
    if (exchange.call.op == PS_S3_DELETE_OBJECTS) {
        assert_true(ps_s3_take_document(
            &exchange.call, PS_LIT("<Delete><Object><Key>a&amp;</Key></Object></Delete>"),
            &exchange.response));
    }
    ps_s3_answer(&exchange.call, answer, &exchange.response);
    assert_int_equal(exchange.response.status, status);
    assert_true(header[0] == '\0' || has(&exchange.response.headers, header));
    assert_string_equal(ps_buf_text(&exchange.response.body), body);
    end(&exchange);
}

#define VERSION "x-amz-version-id: 05050505050505050505050505050505\r\n"
#define ETAG "&quot;5d41402abc4b2a76b9719d911017c592&quot;"

static void answers_mutations(void **state)
{
    (void)state;
    struct ps_r2_answer done = {.has_object = true, .object = object_of(5)};
    memset(done.upload_id.bytes, 0x11, sizeof done.upload_id.bytes);
    done.part = (struct ps_r2_part){.number = 1, .uploaded_ms = 1000};
    done.part.checksums = done.object.checksums;
    mutation("PUT", KEY, "", &done, 200, "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n", "");
    mutation("PUT", KEY, "", &done, 200, VERSION, "");
    mutation("DELETE", KEY, "", &done, 204, "", "");
    mutation("DELETE", "/b/k?uploadId=" ID, "", &done, 204, "", "");
    mutation("POST", "/b?delete", "", &done, 200, "",
             XML "<DeleteResult" NS "><Deleted><Key>a&amp;</Key></Deleted></DeleteResult>");
    mutation("PUT", KEY, "x-amz-copy-source: b/s\n", &done, 200, VERSION,
             XML "<CopyObjectResult" NS "><ETag>" ETAG
                 "</ETag><LastModified>1994-11-06T08:49:37.123Z</LastModified><ChecksumCRC32>"
                 "NhCmhg==</ChecksumCRC32></CopyObjectResult>");
    mutation("POST", "/b/k%3C?uploads", "x-amz-checksum-algorithm: CRC64NVME\n", &done, 200,
             "x-amz-checksum-algorithm: CRC64NVME\r\nx-amz-checksum-type: FULL_OBJECT\r\n",
             XML "<InitiateMultipartUploadResult" NS "><UploadId>11111111111111111111111111111111"
                 "</UploadId><Bucket>b</Bucket><Key>k&lt;</Key></InitiateMultipartUploadResult>");
    mutation("PUT", "/b/k?partNumber=1&uploadId=" ID, "", &done, 200,
             "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\nx-amz-checksum-crc32: NhCmhg==\r\n",
             "");
    mutation("PUT", "/b/k?partNumber=1&uploadId=" ID, "x-amz-copy-source: b/s\n", &done, 200, "",
             XML "<CopyPartResult" NS "><ETag>" ETAG
                 "</ETag><LastModified>1970-01-01T00:00:01.000Z</LastModified></CopyPartResult>");
    mutation("POST", "/b/a%20k?uploadId=" ID, "", &done, 200, VERSION,
             XML "<CompleteMultipartUploadResult" NS "><Bucket>b</Bucket><Key>a k</Key><ETag>" ETAG
                 "</ETag><Location>http://127.0.0.1:8800/b/a%20k</Location><ChecksumCRC32>NhCmhg=="
                 "</ChecksumCRC32></CompleteMultipartUploadResult>");
    struct ps_r2_answer failed = {.error = {.code = PS_R2_CODE_NOT_MODIFIED}};
    mutation("PUT", KEY, "", &failed, 412, "",
             XML
             "<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions "
             "you specified did not hold.</Message></Error>");
    failed.error.code = PS_R2_CODE_TOO_MANY_REQUESTS;
    mutation("PUT", KEY, "", &failed, 429, "",
             XML "<Error><Code>TooManyRequests</Code><Message>Reduce your concurrent request rate "
                 "for the same object.</Message></Error>");
}

static void page(const char *target, const struct ps_r2_page *page, const char *body)
{
    struct exchange exchange;
    open_call(&exchange, "GET", target, "");
    assert_true(exchange.good);
    ps_s3_answer_page(&exchange.call, page, &exchange.response);
    assert_int_equal(exchange.response.status, 200);
    assert_string_equal(ps_buf_text(&exchange.response.body), body);
    end(&exchange);
}

#define CONTENTS(key)                                                                              \
    "<Contents><Key>" key "</Key><Size>5</Size><LastModified>1994-11-06T08:49:37.123Z"             \
    "</LastModified><ETag>" ETAG "</ETag><StorageClass>STANDARD</StorageClass></Contents>"

static void answers_pages(void **state)
{
    (void)state;
    struct ps_r2_object object = object_of(5);
    object.key = PS_LIT("a/ b");
    struct ps_slice prefix = PS_LIT("a/c/");
    struct ps_r2_page whole = {.objects = &object,
                               .object_count = 1,
                               .prefixes = &prefix,
                               .prefix_count = 1,
                               .truncated = true,
                               .last = prefix};
    struct ps_buf cursor = {0};
    ps_r2_cursor_encode(&cursor, prefix);
    struct ps_buf second = {0};
    ps_buf_printf(
        &second,
        XML "<ListBucketResult" NS "><Name>b</Name>" CONTENTS(
            "a%%2F%%20b") "<IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>a%%2Fc%%2F</"
                          "Prefix>"
                          "</CommonPrefixes><Prefix>a%%2F</Prefix><Delimiter>%%2F</Delimiter>"
                          "<NextContinuationToken>%s</NextContinuationToken><MaxKeys>2</MaxKeys>"
                          "<KeyCount>2</KeyCount><EncodingType>url</EncodingType></"
                          "ListBucketResult>",
        ps_buf_text(&cursor));
    page("/b?list-type=2&prefix=a/&delimiter=/&encoding-type=url&max-keys=2.9", &whole,
         ps_buf_text(&second));
    page("/b?prefix=a/&delimiter=/&max-keys=5000", &whole,
         XML "<ListBucketResult" NS "><Name>b</Name>" CONTENTS(
             "a/ b") "<IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>a/c/</Prefix></"
                     "CommonPrefixes>"
                     "<Prefix>a/</Prefix><Delimiter>/</Delimiter><Marker></Marker><NextMarker>a/c/"
                     "</NextMarker>"
                     "<MaxKeys>5000</MaxKeys></ListBucketResult>");
    page("/b?list-type=2&max-keys=0", &whole,
         XML "<ListBucketResult" NS "><Name>b</Name><IsTruncated>true</IsTruncated>"
             "<Prefix></Prefix><MaxKeys>0</MaxKeys><KeyCount>0</KeyCount></ListBucketResult>");
    struct ps_r2_upload upload = {.key = PS_LIT("k"), .initiated_ms = 1000};
    struct ps_r2_page uploads = {.uploads = &upload, .upload_count = 1};
    page("/b?uploads&max-uploads=7", &uploads,
         XML "<ListMultipartUploadsResult" NS "><Bucket>b</Bucket><KeyMarker></KeyMarker>"
             "<UploadIdMarker></UploadIdMarker><Prefix></Prefix><MaxUploads>7</MaxUploads>"
             "<IsTruncated>false</IsTruncated><Upload><Key>k</Key><UploadId>"
             "00000000000000000000000000000000</UploadId><Initiated>1970-01-01T00:00:01.000Z"
             "</Initiated><StorageClass>STANDARD</StorageClass></Upload>"
             "</ListMultipartUploadsResult>");
    struct ps_r2_part part = {
        .number = 4, .blob = {.size = 5}, .uploaded_ms = 1000, .checksums = object.checksums};
    struct ps_r2_page parts = {.parts = &part, .part_count = 1, .truncated = true, .last_part = 4};
    page("/b/k?uploadId=" ID "&part-number-marker=3&max-parts=1", &parts,
         XML "<ListPartsResult" NS "><Bucket>b</Bucket><Key>k</Key><UploadId>" ID
             "</UploadId><StorageClass>STANDARD</StorageClass><PartNumberMarker>3"
             "</PartNumberMarker><NextPartNumberMarker>4</NextPartNumberMarker><MaxParts>1"
             "</MaxParts><IsTruncated>true</IsTruncated><Part><PartNumber>4</PartNumber>"
             "<LastModified>1970-01-01T00:00:01.000Z</LastModified><ETag>" ETAG
             "</ETag><Size>5</Size><ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part>"
             "</ListPartsResult>");
    ps_buf_fini(&cursor);
    ps_buf_fini(&second);
}

static const struct ps_s3_bucket buckets[] = {{.name = {"aa1", 3}, .created_ms = 1000},
                                              {.name = {"ab2", 3}, .created_ms = 2000},
                                              {.name = {"ab3", 3}},
                                              {.name = {"b", 1}}};

static void answers_buckets(void **state)
{
    (void)state;
    struct exchange exchange;
    open_call(&exchange, "GET", "/?max-keys=3&prefix=zz", "cf-prefix: ab\ncf-max-keys: 1\n");
    assert_true(exchange.good);
    ps_s3_answer_buckets(&exchange.call, buckets, 4, &exchange.response);
    struct ps_buf token = {0};
    ps_r2_cursor_encode(&token, PS_LIT("ab2"));
    assert_true(has(&exchange.response.body,
                    "<Buckets><Bucket><Name>ab2</Name><CreationDate>1970-01-01T00:00:02.000Z"
                    "</CreationDate></Bucket></Buckets><IsTruncated>true</IsTruncated>"
                    "<KeyCount>1</KeyCount><MaxKeys>1</MaxKeys><Prefix>ab</Prefix>"));
    assert_true(has(&exchange.response.headers, "cf-is-truncated: true\r\n"));
    assert_true(has(&exchange.response.headers, ps_buf_text(&token)));
    end(&exchange);
    struct ps_buf headers = {0};
    ps_buf_printf(&headers, "cf-continuation-token: %s\n", ps_buf_text(&token));
    open_call(&exchange, "GET", "/?start-after=aa1", ps_buf_text(&headers));
    ps_s3_answer_buckets(&exchange.call, buckets, 4, &exchange.response);
    assert_true(has(&exchange.response.body, "<Buckets><Bucket><Name>ab3</Name>"));
    assert_true(has(&exchange.response.body, "<Name>b</Name>"));
    assert_true(has(&exchange.response.headers, "cf-is-truncated: false\r\n"));
    ps_buf_fini(&headers);
    ps_buf_fini(&token);
    end(&exchange);
    static const char *const valid[] = {"abc", "a-1", "0ab"};
    static const char *const wrong[] = {"ab", "Abc", "-ab", "ab-", "a_b", "a.b", ""};
    for (size_t i = 0; i < 3; i++) {
        assert_true(ps_r2_bucket_name_valid(ps_slice_of(valid[i])));
    }
    for (size_t i = 0; i < 7; i++) {
        assert_false(ps_r2_bucket_name_valid(ps_slice_of(wrong[i])));
    }
}

static void bucket(const char *method, const char *target, int status, const char *header,
                   const char *body)
{
    struct exchange exchange;
    open_call(&exchange, method, target, "");
    assert_true(exchange.good);
    ps_s3_answer_bucket(&exchange.call, &buckets[0], &exchange.response);
    assert_int_equal(exchange.response.status, status);
    assert_true(header[0] == '\0' || has(&exchange.response.headers, header));
    assert_true(body[0] == '\0' ? exchange.response.body.size == 0
                                : has(&exchange.response.body, body));
    end(&exchange);
}

static void answers_bucket(void **state)
{
    (void)state;
    bucket("HEAD", "/b", 200, "x-amz-bucket-region: auto\r\n", "");
    bucket("PUT", "/b", 200, "Location: /b\r\n", "");
    struct exchange unlocked;
    open_call(&unlocked, "PUT", "/b", "x-amz-bucket-object-lock-enabled: false\n");
    assert_true(unlocked.good);
    end(&unlocked);
    bucket("DELETE", "/b", 204, "", "");
    bucket("POST", "/b", 200, "", "");
    bucket("GET", "/b?location", 200, "",
           XML "<LocationConstraint" NS ">auto</LocationConstraint>");
    bucket("GET", "/b?encryption", 200, "",
           "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
           "<BucketKeyEnabled>true</BucketKeyEnabled>");
    bucket("GET", "/b?versioning", 200, "",
           XML "<VersioningConfiguration" NS "></VersioningConfiguration>");
    bucket("GET", "/b?tagging", 404, "", "<Code>NoSuchTagSet</Code>");
    bucket("GET", "/b?object-lock", 404, "", "<Code>ObjectLockConfigurationNotFoundError</Code>");
    bucket("GET", "/b?replication", 404, "", "<Code>ReplicationConfigurationNotFoundError</Code>");
    bucket("GET", "/b?acl", 200, "", "<Permission>FULL_CONTROL</Permission>");
    bucket("GET", "/b?cors", 404, "", "<Code>NoSuchCORSConfiguration</Code>");
    bucket("GET", "/b?lifecycle", 404, "", "<Code>NoSuchLifecycleConfiguration</Code>");
    bucket("PUT", "/b?cors", 200, "", "");
    bucket("DELETE", "/b?cors", 204, "", "");
}

/* ---- copies ---- */

static void copies(void **state)
{
    (void)state;
    struct ps_r2_object source = object_of(5);
    struct ps_r2_span span;
    struct exchange exchange;
    source.meta.http.content_type = PS_LIT("text/old");
    source.meta.http.cache_control = PS_LIT("no-cache");
    static const char *const directives[] = {"COPY", "REPLACE", "MERGE"};
    for (unsigned i = 0; i < 3; i++) {
        struct ps_buf headers = {0};
        struct ps_r2_request put;
        ps_buf_printf(&headers,
                      "x-amz-copy-source: /other/a%%2Fb\nx-amz-metadata-directive: %s\n"
                      "content-type: text/new\nx-amz-meta-a: new\nx-amz-meta-c: d\n"
                      "cf-copy-destination-if-none-match: *\n",
                      directives[i]);
        open_call(&exchange, "PUT", KEY, ps_buf_text(&headers));
        assert_true(exchange.good);
        assert_true(is(exchange.call.source_bucket, "other"));
        assert_true(is(exchange.call.source.key, "a/b"));
        assert_true(ps_s3_check_source(&exchange.call, &source, &span, &exchange.response));
        assert_int_equal(span.length, 5);
        ps_s3_copy_as_put(&exchange.call, &source, &put);
        assert_int_equal(put.condition.differ_count, 1);
        assert_true(is(put.meta.http.content_type, i == 0 ? "text/old" : "text/new"));
        assert_true(is(put.meta.http.cache_control, i == 1 ? "" : "no-cache"));
        assert_int_equal(put.meta.custom_count, i == 2 ? 3 : 2);
        assert_true(is(put.meta.custom[0].value, i == 0 ? "\xc3\xa9" : "new"));
        free(put.meta.custom);
        ps_buf_fini(&headers);
        end(&exchange);
    }
    open_call(&exchange, "PUT", KEY, "x-amz-copy-source: b/s\nx-amz-copy-source-if-match: x\n");
    assert_false(ps_s3_check_source(&exchange.call, &source, &span, &exchange.response));
    assert_int_equal(exchange.response.status, 412);
    assert_false(ps_s3_check_source(&exchange.call, NULL, &span, again(&exchange)));
    assert_int_equal(exchange.response.status, 404);
    end(&exchange);
}

/* ---- CORS ---- */

static void cors(void **state)
{
    (void)state;
    struct ps_s3_cors rules;
    assert_int_equal(
        ps_s3_cors_read(
            PS_LIT("<CORSConfiguration><CORSRule><AllowedOrigin>https://*.a.example</AllowedOrigin>"
                   "<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader>"
                   "<AllowedHeader>Content-Type</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
                   "<MaxAgeSeconds>9</MaxAgeSeconds></CORSRule><CORSRule><AllowedOrigin>*"
                   "</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
                   "</CORSConfiguration>"),
            &rules),
        PS_OK);

    static const struct {
        const char *origin;
        const char *method;
        const char *headers;
        int status;
        const char *allowed;
    } asked[] = {
        {"https://w.a.example", "PUT", "X-Amz-Meta-A, content-type", 204, "https://w.a.example"},
        {"https://w.a.example", "PUT", "authorization", 403, NULL},
        {"https://a.example", "PUT", NULL, 403, NULL},
        {"http://w.a.example", "PUT", NULL, 403, NULL},
        {"http://any", "GET", NULL, 204, "*"},
        {"http://any", "GET", "range", 403, NULL},
        {"http://any", "DELETE", NULL, 403, NULL},
        {"http://any", NULL, NULL, 400, NULL},
        {NULL, "GET", NULL, 400, NULL}};

    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct ps_http_header headers[3];
        size_t count = 0;
        const char *names[] = {"Origin", "Access-Control-Request-Method",
                               "Access-Control-Request-Headers"};
        const char *values[] = {asked[i].origin, asked[i].method, asked[i].headers};
        for (size_t j = 0; j < 3; j++) {
            if (values[j] != NULL) {
                headers[count++] =
                    (struct ps_http_header){ps_slice_of(names[j]), ps_slice_of(values[j])};
            }
        }
        struct ps_http_request head = {
            .method = PS_HTTP_OPTIONS, .headers = headers, .header_count = count};
        struct ps_http_response response = {0};
        ps_s3_preflight(&rules, &head, &response);
        assert_int_equal(response.status, asked[i].status);
        if (asked[i].status == 204) {
            struct ps_buf line = {0};
            ps_buf_printf(&line, "Access-Control-Allow-Origin: %s\r\n", asked[i].allowed);
            assert_true(has(&response.headers, ps_buf_text(&line)));
            ps_buf_fini(&line);
        }
        assert_int_equal(i == 0, has(&response.headers, "Access-Control-Max-Age: 9\r\n"));
        ps_http_response_fini(&response);
        head.method = asked[i].method == NULL ? PS_HTTP_OTHER : method_of(asked[i].method);
        ps_s3_cors_headers(&rules, &head, &response);
        bool named = asked[i].origin != NULL && asked[i].method != NULL &&
                     (asked[i].method[0] == 'G' || i < 2);
        assert_int_equal(named, has(&response.headers, "Access-Control-Allow-Origin: "));
        ps_http_response_fini(&response);
        ps_s3_preflight(NULL, &head, &response);
        assert_true(response.status == 403 || response.status == 400);
        ps_http_response_fini(&response);
    }
    ps_s3_cors_fini(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses),
                                       cmocka_unit_test(unsigned_requests),
                                       cmocka_unit_test(routing),
                                       cmocka_unit_test(put_headers),
                                       cmocka_unit_test(encoded_words),
                                       cmocka_unit_test(takes_documents),
                                       cmocka_unit_test(answers_objects),
                                       cmocka_unit_test(answers_parts),
                                       cmocka_unit_test(answers_mutations),
                                       cmocka_unit_test(answers_pages),
                                       cmocka_unit_test(answers_buckets),
                                       cmocka_unit_test(answers_bucket),
                                       cmocka_unit_test(copies),
                                       cmocka_unit_test(cors)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
