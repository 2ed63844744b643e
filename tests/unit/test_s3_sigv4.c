/* Signature Version 4: AWS's documented examples with their published signatures, both ways; the
 * order and the texts of R2's errors; the aws-chunked body that follows. */
#include "node/s3/chunked.h"
#include "node/s3/sigv4.h"
#include "node/s3/text.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* A slice in a static initialiser. */
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define HOST                                                                                       \
    {                                                                                              \
        TEXT("Host"), TEXT("examplebucket.s3.amazonaws.com")                                       \
    }
#define DATE                                                                                       \
    {                                                                                              \
        TEXT("x-amz-date"), TEXT("20130524T000000Z")                                               \
    }

enum { NOW_S = 1369353600 }; /* 2013-05-24T00:00:00Z */

static const int64_t now_ms = (int64_t)NOW_S * 1000;

static struct ps_s3_keyring *keyring_of_docs(void)
{
    struct ps_s3_keyring *keyring = ps_s3_keyring_create();
    assert_int_equal(ps_s3_keyring_add(keyring, PS_LIT(ID), PS_LIT(SECRET)), PS_OK);
    return keyring;
}

static const struct ps_s3_signer signer = {.key_id = {ID, sizeof ID - 1},
                                           .secret = {SECRET, sizeof SECRET - 1},
                                           .region = {"us-east-1", 9},
                                           .unix_s = NOW_S};

static bool body_has(const struct ps_http_response *response, const char *text)
{
    return memmem(response->body.data, response->body.size, text, strlen(text)) != NULL;
}

/* The signature among an Authorization header's fields. */
static struct ps_slice signature_of(const struct ps_buf *authorization)
{
    return (struct ps_slice){authorization->data + authorization->size - 64, 64};
}

/* ---- the documented examples ---- */

struct example {
    enum ps_http_method method;
    const char *name;
    const char *target;
    struct ps_http_header headers[8];
    size_t header_count;
    const char *payload;
    const char *signature;
};

static const struct example examples[] = {
    {PS_HTTP_GET,
     "GET",
     "/test.txt",
     {HOST, {TEXT("Range"), TEXT("bytes=0-9")}, {TEXT("x-amz-content-sha256"), TEXT(EMPTY)}, DATE},
     4,
     EMPTY,
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {PS_HTTP_PUT,
     "PUT",
     "/test%24file.text",
     {HOST,
      {TEXT("Date"), TEXT("Fri, 24 May 2013 00:00:00 GMT")},
      DATE,
      {TEXT("x-amz-storage-class"), TEXT("REDUCED_REDUNDANCY")},
      {TEXT("x-amz-content-sha256"),
       TEXT("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")}},
     5,
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {PS_HTTP_GET,
     "GET",
     "/?lifecycle",
     {HOST, DATE, {TEXT("x-amz-content-sha256"), TEXT(EMPTY)}},
     3,
     EMPTY,
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {PS_HTTP_GET,
     "GET",
     "/?prefix=J&max-keys=2",
     {HOST, DATE, {TEXT("x-amz-content-sha256"), TEXT(EMPTY)}},
     3,
     EMPTY,
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}};

static void documented_headers(void **state)
{
    (void)state;
    struct ps_s3_keyring *keyring = keyring_of_docs();
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *example = &examples[i];
        struct ps_buf authorization = {0};
        ps_s3_sign(&signer, example->name, ps_slice_of(example->target), example->headers,
                   example->header_count, ps_slice_of(example->payload), &authorization, NULL);
        assert_memory_equal(signature_of(&authorization).data, example->signature, 64);
        struct ps_http_header headers[9];
        memcpy(headers, example->headers, sizeof example->headers);
        headers[example->header_count] =
            (struct ps_http_header){PS_LIT("Authorization"), ps_buf_slice(&authorization)};
        struct ps_http_request head = {.method = example->method,
                                       .target = ps_slice_of(example->target),
                                       .headers = headers,
                                       .header_count = example->header_count + 1};
        struct ps_s3_auth auth;
        struct ps_http_response response = {0};
        assert_true(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
        assert_string_equal(auth.seed.signature, example->signature);
        assert_int_equal(auth.payload, PS_S3_PAYLOAD_SHA256);
        assert_true(ps_slice_eq(auth.key_id, PS_LIT(ID)));
        /* The 15 minutes are to the millisecond. */
        assert_true(ps_s3_verify(keyring, &head, now_ms + PS_S3_SKEW_MAX_MS, &auth, &response));
        assert_true(ps_s3_verify(keyring, &head, now_ms - PS_S3_SKEW_MAX_MS, &auth, &response));
        for (int side = -1; side <= 1; side += 2) {
            int64_t late = now_ms + side * ((int64_t)PS_S3_SKEW_MAX_MS + 1);
            assert_false(ps_s3_verify(keyring, &head, late, &auth, &response));
            assert_int_equal(response.status, 403);
            assert_true(body_has(&response, "<Code>RequestTimeTooSkewed</Code><Message>The "
                                            "difference between the request time and the "
                                            "server&apos;s time is too large.</Message>"));
            ps_http_response_fini(&response);
        }
        ps_buf_fini(&authorization);
    }
    ps_s3_keyring_destroy(keyring);
}

#define PRESIGNED                                                                                  \
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ID                              \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"  \
    "&X-Amz-SignedHeaders=host"

#define PRESIGNED_SIGNATURE                                                                        \
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

static void verify_target(const char *target, int64_t at_ms, int status, const char *text)
{
    struct ps_s3_keyring *keyring = keyring_of_docs();
    struct ps_http_header headers[] = {HOST};
    struct ps_http_request head = {.method = PS_HTTP_GET,
                                   .target = ps_slice_of(target),
                                   .headers = headers,
                                   .header_count = 1};
    struct ps_s3_auth auth;
    struct ps_http_response response = {0};
    assert_true(ps_s3_has_signature(&head));
    assert_int_equal(ps_s3_verify(keyring, &head, at_ms, &auth, &response), status == 0);
    assert_int_equal(response.status, status);
    if (status == 0) {
        assert_true(auth.presigned && auth.payload == PS_S3_PAYLOAD_UNSIGNED);
    } else if (!body_has(&response, text)) {
        fail_msg("%s: %s", target, ps_buf_text(&response.body));
    }
    ps_http_response_fini(&response);
    ps_s3_keyring_destroy(keyring);
}

static void presigned(void **state)
{
    (void)state;
    struct ps_buf made = {0};
    ps_s3_presign(&signer, "GET", PS_LIT("examplebucket.s3.amazonaws.com"), PS_LIT("/test.txt"),
                  86400, &made);
    assert_string_equal(ps_buf_text(&made), PRESIGNED PRESIGNED_SIGNATURE);
    ps_buf_fini(&made);
    verify_target(PRESIGNED PRESIGNED_SIGNATURE, now_ms, 0, NULL);
    verify_target(PRESIGNED PRESIGNED_SIGNATURE, now_ms + 86400 * 1000, 0, NULL);
    verify_target(PRESIGNED PRESIGNED_SIGNATURE, now_ms + 86400 * 1000 + 1, 403,
                  "<Error><Code>ExpiredRequest</Code><Message>Request has expired</Message>");
    verify_target(PRESIGNED PRESIGNED_SIGNATURE "&x-id=GetObject", now_ms, 403,
                  "<Code>SignatureDoesNotMatch</Code>");
    verify_target("/test.txt?X-Amz-Credential=a", now_ms, 400,
                  "<Code>InvalidArgument</Code><Message>Required search parameters "
                  "X-Amz-Algorithm,  X-Amz-Signature,  X-Amz-Date,  X-Amz-SignedHeaders,  "
                  "X-Amz-Expires missing</Message>");
    verify_target(PRESIGNED, now_ms, 400,
                  "<Message>Required search parameter X-Amz-Signature missing</Message>");
    /* Names of nothing are none that bind it to a host. */
    verify_target("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ID
                  "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
                  "&X-Amz-Expires=86400&X-Amz-SignedHeaders=%3Bx&X-Amz-Signature=0",
                  now_ms, 401, "<Code>Unauthorized</Code>");
}

/* A presigned target with one parameter's value replaced. */
static void with_value(const char *name, const char *value, int status, const char *text)
{
    struct ps_buf target = {0};
    const char *whole = PRESIGNED PRESIGNED_SIGNATURE;
    const char *at = strstr(whole, name) + strlen(name);
    const char *rest = strchr(at, '&');
    ps_buf_append(&target, whole, (size_t)(at - whole));
    ps_buf_append_text(&target, value);
    ps_buf_append_text(&target, rest == NULL ? "" : rest);
    verify_target(ps_buf_text(&target), now_ms, status, text);
    ps_buf_fini(&target);
}

static void presigned_errors(void **state)
{
    (void)state;
    with_value("X-Amz-Algorithm=", "AWS4-ECDSA", 400,
               "<Code>InvalidRequest</Code><Message>Please use AWS4-HMAC-SHA256</Message>");
    with_value("X-Amz-Date=", "2013-05-24", 400,
               "<Message>Date provided in X-Amz-Date (2013-05-24) didn&apos;t parse successfully");
    with_value("X-Amz-Expires=", "", 400, "<Message>X-Amz-Expires should be a number</Message>");
    with_value("X-Amz-Expires=", "x1", 400, "<Message>X-Amz-Expires should be a number</Message>");
    with_value("X-Amz-Expires=", "604801", 400,
               "<Message>X-Amz-Expires must be less than a week (in seconds); that is, the given "
               "X-Amz-Expires must be less than 604800 seconds</Message>");
    with_value("X-Amz-Expires=", "0", 403, "<Code>ExpiredRequest</Code>");
    with_value("X-Amz-Expires=", "-5", 403, "<Code>ExpiredRequest</Code>");
    with_value("X-Amz-Expires=", "604800", 403, "<Code>SignatureDoesNotMatch</Code>");
    with_value("X-Amz-SignedHeaders=", "range", 401, "<Code>Unauthorized</Code>");
    with_value("X-Amz-Credential=", "a/b/s3", 400,
               "<Message>Credential sigv4 header should have at least 5 slash-separated parts, not "
               "3</Message>");
    with_value("X-Amz-Credential=", "other%2F20130524%2Fauto%2Fs3%2Faws4_request", 401,
               "<Code>Unauthorized</Code><Message>Unauthorized</Message>");
}

/* ---- the header's errors, in their order ---- */

struct tried {
    const char *authorization;
    const char *sha256;
    const char *amz_date;
    const char *date;
    int status;
    const char *text;
};

#define FIELDS ", SignedHeaders=host;x-amz-date, Signature=00"
#define SCOPE "/20130524/us-east-1/s3/aws4_request"

static const struct tried tries[] = {
    {NULL, NULL, NULL, NULL, 400,
     "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>InvalidArgument</Code>"
     "<Message>Authorization</Message></Error>"},
    {"Basic x", NULL, NULL, NULL, 400,
     "InvalidRequest</Code><Message>Missing x-amz-content-sha256"},
    {"Basic x", EMPTY, NULL, NULL, 400,
     "<Code>InvalidArgument</Code><Message>No date provided in x-amz-date nor date header<"},
    {"Basic x", EMPTY, NULL, "Fri, 24 May 2013 00:00:00 GMT", 400,
     "<Message>Date provided in &apos;date&apos; header (Fri, 24 May 2013 00:00:00 GMT) "
     "didn&apos;t parse successfully</Message>"},
    {"Basic x", EMPTY, "2013-05-24T00:00:00Z", "20130524T000000Z", 400,
     "<Message>Date provided in &apos;x-amz-date&apos; header (2013-05-24T00:00:00Z) "},
    {"Basic x", EMPTY, "20130524T001501Z", NULL, 403, "<Code>RequestTimeTooSkewed</Code>"},
    {"Basic x", EMPTY, NULL, "20130524T000000Z", 400,
     "<Code>InvalidRequest</Code><Message>Please use AWS4-HMAC-SHA256</Message>"},
    {"AWS4-HMAC-SHA256 Credential=a" SCOPE ", Signature=00", EMPTY, "20130524T000000Z", NULL, 400,
     "Please use AWS4-HMAC-SHA256"},
    {"AWS4-HMAC-SHA256 Credential=a/b/c" FIELDS, EMPTY, "20130524T000000Z", NULL, 400,
     "<Message>Credential sigv4 header should have at least 5 slash-separated parts, not 3<"},
    {"AWS4-HMAC-SHA256 Credential=x/19990101/auto/sqs/wat" FIELDS, EMPTY, "20130524T000000Z", NULL,
     400, "<Message>Credential service should be s3, not sqs</Message>"},
    {"AWS4-HMAC-SHA256 Credential=x/19990101/auto/s3/wat" FIELDS, EMPTY, "20130524T000000Z", NULL,
     400, "<Message>Credential termination string should be aws4_request, not wat</Message>"},
    {"AWS4-HMAC-SHA256 Credential=x/19990101/auto/s3/aws4_request" FIELDS, EMPTY,
     "20130524T000000Z", NULL, 400,
     "<Message>Credential signed date 19990101 does not match 20130524 from &apos;x-amz-date&apos; "
     "header</Message>"},
    {"AWS4-HMAC-SHA256 Credential=x" SCOPE FIELDS, EMPTY, "20130524T000000Z", NULL, 401,
     "<Code>Unauthorized</Code><Message>Unauthorized</Message>"},
    {"AWS4-HMAC-SHA256 Credential=" ID SCOPE ", SignedHeaders=x-amz-date, Signature=00", EMPTY,
     "20130524T000000Z", NULL, 401, "<Code>Unauthorized</Code>"},
    {"AWS4-HMAC-SHA256 Credential=" ID SCOPE FIELDS, EMPTY, "20130524T000000Z", NULL, 403,
     "<Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not "
     "match "
     "the signature you provided. Check your secret access key and signing method.</Message>"
     "<StringToSign>AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"}};

static void header_errors(void **state)
{
    (void)state;
    struct ps_s3_keyring *keyring = keyring_of_docs();
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        const struct tried *tried = &tries[i];
        const char *names[] = {"authorization", "X-Amz-Content-Sha256", "x-amz-date", "date"};
        const char *values[] = {tried->authorization, tried->sha256, tried->amz_date, tried->date};
        struct ps_http_header headers[5] = {HOST};
        size_t count = 1;
        for (size_t j = 0; j < 4; j++) {
            if (values[j] != NULL) {
                headers[count++] =
                    (struct ps_http_header){ps_slice_of(names[j]), ps_slice_of(values[j])};
            }
        }
        struct ps_http_request head = {.method = PS_HTTP_GET,
                                       .target = PS_LIT("/test.txt"),
                                       .headers = headers,
                                       .header_count = count};
        struct ps_s3_auth auth;
        struct ps_http_response response = {0};
        assert_false(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
        assert_int_equal(response.status, tried->status);
        if (!body_has(&response, tried->text)) {
            fail_msg("%zu: %s", i, ps_buf_text(&response.body));
        }
        if (response.status == 403 && tried->authorization[0] == 'A') {
            assert_true(body_has(&response, "<StringToSignBytes>41 57 53 34 2d "));
            assert_true(body_has(&response, "<CanonicalRequest>GET\n/test.txt\n\nhost:"));
            assert_true(body_has(&response, "<CanonicalRequestBytes>47 45 54 0a 2f "));
            assert_true(body_has(&response, "<SignatureProvided>00</SignatureProvided></Error>"));
        }
        ps_http_response_fini(&response);
    }
    ps_s3_keyring_destroy(keyring);
}

/* What is signed: changing any of it makes the signature wrong. */
static void tampering(void **state)
{
    (void)state;
    struct ps_s3_keyring *keyring = keyring_of_docs();
    const struct example *example = &examples[0];
    struct ps_buf authorization = {0};
    ps_s3_sign(&signer, "GET", PS_LIT("/a%20b?x=1"), example->headers, 4, PS_LIT(EMPTY),
               &authorization, NULL);
    struct ps_http_header headers[6];
    memcpy(headers, example->headers, sizeof headers);
    headers[4] = (struct ps_http_header){PS_LIT("Authorization"), ps_buf_slice(&authorization)};
    struct ps_http_request head = {.method = PS_HTTP_GET,
                                   .target = PS_LIT("/a%20b?x=1"),
                                   .headers = headers,
                                   .header_count = 5};
    static const char *const targets[] = {"/a%20b?x=2", "/a+b?x=1", "/a%20b", "/a%20b?x=1&y", "/"};
    struct ps_s3_auth auth;
    struct ps_http_response response = {0};
    assert_true(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        head.target = ps_slice_of(targets[i]);
        assert_false(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
        assert_int_equal(response.status, 403);
        ps_http_response_fini(&response);
    }
    head.target = PS_LIT("/a%20b?x=1");
    head.method = PS_HTTP_DELETE;
    assert_false(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
    ps_http_response_fini(&response);
    head.method = PS_HTTP_GET;
    headers[1].value = PS_LIT("bytes=0-8");
    assert_false(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
    ps_http_response_fini(&response);
    /* Blanks around a value, and runs of them, are not signed; nor is what is not named. */
    headers[1].value = PS_LIT("  bytes=0-9 ");
    headers[5] = (struct ps_http_header){PS_LIT("x-other"), PS_LIT("1")};
    head.header_count = 6;
    assert_true(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
    ps_buf_fini(&authorization);
    ps_s3_keyring_destroy(keyring);
}

/* The cache of signing keys must not take one pair's, day's or region's key for another's. */
static void many_keys(void **state)
{
    (void)state;
    struct ps_s3_keyring *keyring = ps_s3_keyring_create();
    char id[8];
    for (unsigned i = 0; i < PS_S3_KEYS_MAX; i++) {
        (void)snprintf(id, sizeof id, "k%u", i);
        assert_int_equal(ps_s3_keyring_add(keyring, ps_slice_of(id), ps_slice_of(id)), PS_OK);
    }
    assert_int_equal(ps_s3_keyring_add(keyring, PS_LIT("more"), PS_LIT("s")), PS_LIMIT);
    for (uint64_t n = 0; n < 2000; n++) {
        static const char *const regions[] = {"auto", "", "us-east-1", "weur"};
        uint64_t chance = ps_random_u64(7, 1, n);
        int64_t unix_s = NOW_S + (int64_t)(chance % 3) * 86400;
        (void)snprintf(id, sizeof id, "k%u", (unsigned)(chance >> 8) % PS_S3_KEYS_MAX);
        struct ps_s3_signer who = {.key_id = ps_slice_of(id),
                                   .secret = ps_slice_of(id),
                                   .region = ps_slice_of(regions[chance >> 16 & 3]),
                                   .unix_s = unix_s};
        char date[17];
        ps_s3_amz_date(unix_s, date);
        struct ps_buf authorization = {0};
        struct ps_http_header headers[4] = {
            HOST,
            {PS_LIT("x-amz-date"), ps_slice_of(date)},
            {PS_LIT("x-amz-content-sha256"), PS_LIT("UNSIGNED-PAYLOAD")}};
        ps_s3_sign(&who, "GET", PS_LIT("/"), headers, 3, PS_LIT("UNSIGNED-PAYLOAD"), &authorization,
                   NULL);
        headers[3] = (struct ps_http_header){PS_LIT("authorization"), ps_buf_slice(&authorization)};
        struct ps_http_request head = {
            .method = PS_HTTP_GET, .target = PS_LIT("/"), .headers = headers, .header_count = 4};
        struct ps_s3_auth auth;
        struct ps_http_response response = {0};
        assert_true(ps_s3_verify(keyring, &head, unix_s * 1000, &auth, &response));
        assert_true(ps_slice_eq(auth.key_id, ps_slice_of(id)));
        ps_buf_fini(&authorization);
    }
    assert_int_equal(ps_s3_keyring_add(keyring, PS_LIT(""), PS_LIT("s")), PS_INVALID);
    ps_s3_keyring_destroy(keyring);
}

/* ---- aws-chunked ---- */

#define CHUNKED_HOST                                                                               \
    {                                                                                              \
        TEXT("Host"), TEXT("s3.amazonaws.com")                                                     \
    }
#define CHUNKED_CLASS                                                                              \
    {                                                                                              \
        TEXT("x-amz-storage-class"), TEXT("REDUCED_REDUNDANCY")                                    \
    }
#define CHUNKED_CODING                                                                             \
    {                                                                                              \
        TEXT("Content-Encoding"), TEXT("aws-chunked")                                              \
    }
#define CHUNKED_SIZE                                                                               \
    {                                                                                              \
        TEXT("x-amz-decoded-content-length"), TEXT("66560")                                        \
    }

static void documented_seed(bool trailer, struct ps_s3_seed *ret)
{
    const char *payload = trailer ? "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
                                  : "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    struct ps_http_header headers[8] = {
        CHUNKED_HOST,   DATE,         CHUNKED_CLASS,
        CHUNKED_CODING, CHUNKED_SIZE, {PS_LIT("x-amz-content-sha256"), ps_slice_of(payload)}};
    headers[6] =
        trailer ? (struct ps_http_header){PS_LIT("x-amz-trailer"), PS_LIT("x-amz-checksum-crc32c")}
                : (struct ps_http_header){PS_LIT("Content-Length"), PS_LIT("66824")};
    struct ps_buf authorization = {0};
    ps_s3_sign(&signer, "PUT", PS_LIT("/examplebucket/chunkObject.txt"), headers, 7,
               ps_slice_of(payload), &authorization, NULL);
    headers[7] = (struct ps_http_header){PS_LIT("Authorization"), ps_buf_slice(&authorization)};
    struct ps_http_request head = {.method = PS_HTTP_PUT,
                                   .target = PS_LIT("/examplebucket/chunkObject.txt"),
                                   .headers = headers,
                                   .header_count = 8};
    struct ps_s3_keyring *keyring = keyring_of_docs();
    struct ps_s3_auth auth;
    struct ps_http_response response = {0};
    assert_true(ps_s3_verify(keyring, &head, now_ms, &auth, &response));
    assert_int_equal(auth.payload, trailer ? PS_S3_PAYLOAD_CHUNKS_TRAILER : PS_S3_PAYLOAD_CHUNKS);
    assert_string_equal(auth.seed.signature,
                        trailer
                            ? "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
                            : "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    *ret = auth.seed;
    ps_buf_fini(&authorization);
    ps_s3_keyring_destroy(keyring);
}

static const char *const plain_signatures[] = {
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
static const char *const trailer_signatures[] = {
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"};

/* The body of the documented example: 65536 and 1024 times "a". */
static void documented_body(bool trailer, struct ps_buf *into)
{
    static const size_t sizes[] = {65536, 1024, 0};

    const char *const *signatures = trailer ? trailer_signatures : plain_signatures;
    for (size_t i = 0; i < 3; i++) {
        ps_buf_printf(into, "%zx;chunk-signature=%s\r\n", sizes[i], signatures[i]);
        ps_buf_reserve(into, sizes[i]);
        memset(into->data + into->size, 'a', sizes[i]);
        into->size += sizes[i];
        if (i < 2 || !trailer) {
            ps_buf_append_text(into, "\r\n");
        }
    }
    if (trailer) {
        ps_buf_append_text(into,
                           "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82f"
                           "c3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n");
    }
}

/* Feed in pieces, the n-th of size(n); the last event, and all data. */
static enum ps_s3_chunked_event feed_all(struct ps_s3_chunked *chunked, struct ps_slice bytes,
                                         uint64_t seed, size_t piece_max, struct ps_buf *ret)
{
    enum ps_s3_chunked_event event = PS_S3_CHUNKED_NEED;
    for (uint64_t n = 0; bytes.size > 0 && event <= PS_S3_CHUNKED_DONE; n++) {
        size_t size = 1 + (size_t)(ps_random_u64(seed, 2, n) % piece_max);
        size = size < bytes.size ? size : bytes.size;
        struct ps_slice piece = {bytes.data, size};
        bytes = (struct ps_slice){bytes.data + size, bytes.size - size};
        do {
            struct ps_slice data;
            event = ps_s3_chunked_feed(chunked, &piece, &data);
            assert_int_equal(event == PS_S3_CHUNKED_DATA, data.size > 0);
            ps_buf_append_slice(ret, data);
        } while (event == PS_S3_CHUNKED_DATA || (piece.size > 0 && event == PS_S3_CHUNKED_DONE));
    }
    return event;
}

static void documented_chunks(void **state)
{
    (void)state;
    for (int trailer = 0; trailer <= 1; trailer++) {
        struct ps_s3_seed seed;
        struct ps_buf body = {0};
        documented_seed(trailer == 1, &seed);
        documented_body(trailer == 1, &body);
        struct ps_s3_seed client = seed;
        char *data = calloc(1, 65536);
        memset(data, 'a', 65536);
        ps_s3_chunk_sign(&client, (struct ps_slice){data, 65536});
        assert_string_equal(client.signature,
                            trailer == 1 ? trailer_signatures[0] : plain_signatures[0]);
        free(data);
        static const size_t pieces[] = {1, 7, 1000, 100000};
        for (size_t i = 0; i < 4; i++) {
            struct ps_s3_chunked *chunked = ps_s3_chunked_create(
                trailer == 1 ? PS_S3_PAYLOAD_CHUNKS_TRAILER : PS_S3_PAYLOAD_CHUNKS, &seed, 66560);
            struct ps_buf got = {0};
            assert_int_equal(feed_all(chunked, ps_buf_slice(&body), i, pieces[i], &got),
                             PS_S3_CHUNKED_DONE);
            assert_int_equal(got.size, 66560);
            assert_int_equal(ps_s3_chunked_size(chunked), 66560);
            assert_true(ps_s3_chunked_is_done(chunked));
            struct ps_slice sum;
            assert_int_equal(ps_s3_chunked_trailer(chunked, "x-amz-checksum-crc32c", &sum),
                             trailer == 1);
            assert_true(trailer == 0 || ps_slice_eq(sum, PS_LIT("sOO8/Q==")));
            ps_buf_fini(&got);
            ps_s3_chunked_destroy(chunked);
        }
        ps_buf_fini(&body);
    }
}

/* One byte of a signed body changed anywhere is noticed, as one of the failures. */
static void chunk_tampering(void **state)
{
    (void)state;
    struct ps_s3_seed seed;
    documented_seed(true, &seed);
    struct ps_s3_seed client = seed;
    struct ps_buf body = {0};
    static const char *const texts[] = {"first", "second", ""};
    for (size_t i = 0; i < 3; i++) {
        ps_s3_chunk_sign(&client, ps_slice_of(texts[i]));
        ps_buf_printf(&body, "%zx;chunk-signature=%s\r\n%s%s", strlen(texts[i]), client.signature,
                      texts[i], i < 2 ? "\r\n" : "");
    }
    ps_s3_trailer_sign(&client, PS_LIT("x-amz-checksum-crc32:AAAAAA==\n"));
    ps_buf_printf(&body, "x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:%s\r\n\r\n",
                  client.signature);
    size_t refused = 0;
    for (size_t i = 0; i <= body.size; i++) {
        char *copy = calloc(1, body.size);
        memcpy(copy, body.data, body.size);
        if (i < body.size) {
            copy[i] ^= 1;
        }
        struct ps_s3_chunked *chunked =
            ps_s3_chunked_create(PS_S3_PAYLOAD_CHUNKS_TRAILER, &seed, 100);
        struct ps_buf got = {0};
        enum ps_s3_chunked_event event =
            feed_all(chunked, (struct ps_slice){copy, body.size}, i, 9, &got);
        if (i == body.size) {
            assert_int_equal(event, PS_S3_CHUNKED_DONE);
            assert_string_equal(ps_buf_text(&got), "firstsecond");
        } else {
            refused += event > PS_S3_CHUNKED_DONE ? 1 : 0;
            /* A line end without its CR, or one that is another line's end, is the same to us. */
            bool same = event == PS_S3_CHUNKED_DONE && memchr("\r\n", body.data[i], 2) != NULL;
            assert_true(event > PS_S3_CHUNKED_DONE || event == PS_S3_CHUNKED_NEED || same);
        }
        ps_buf_fini(&got);
        ps_s3_chunked_destroy(chunked);
        free(copy);
    }
    assert_true(refused > body.size * 9 / 10);
    ps_buf_fini(&body);
}

static enum ps_s3_chunked_event unsigned_body(const char *text, uint64_t size_max,
                                              struct ps_buf *ret)
{
    struct ps_s3_chunked *chunked =
        ps_s3_chunked_create(PS_S3_PAYLOAD_UNSIGNED_TRAILER, NULL, size_max);
    enum ps_s3_chunked_event event = feed_all(chunked, ps_slice_of(text), 3, 4, ret);
    struct ps_slice sum;
    if (ps_s3_chunked_trailer(chunked, "x-amz-checksum-crc32", &sum)) {
        ps_buf_append_char(ret, '|');
        ps_buf_append_slice(ret, sum);
    }
    ps_s3_chunked_destroy(chunked);
    return event;
}

static void unsigned_chunks(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        enum ps_s3_chunked_event event;
        const char *got;
    } bodies[] = {{"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", PS_S3_CHUNKED_DONE,
                   "hello|NhCmhg=="},
                  {"5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC32: NhCmhg== \n\r\n\r\n",
                   PS_S3_CHUNKED_DONE, "hello|NhCmhg=="},
                  {"5\r\nhello\r\n0\r\n\r\n", PS_S3_CHUNKED_DONE, "hello"},
                  {"0\r\n\r\n", PS_S3_CHUNKED_DONE, ""},
                  {"5\r\nhello\r\n0\r\n", PS_S3_CHUNKED_NEED, "hello"},
                  {"5\r\nhelloX\r\n", PS_S3_CHUNKED_MALFORMED, "hello"},
                  {"\r\n", PS_S3_CHUNKED_MALFORMED, ""},
                  {"g\r\n", PS_S3_CHUNKED_MALFORMED, ""},
                  {"10000000000000000\r\n", PS_S3_CHUNKED_MALFORMED, ""},
                  {"ffffffffffffffff\r\n", PS_S3_CHUNKED_TOO_LARGE, ""},
                  {"b\r\n", PS_S3_CHUNKED_TOO_LARGE, ""},
                  {"5\r\nhello\r\n6\r\n", PS_S3_CHUNKED_TOO_LARGE, "hello"},
                  {"0\r\nno colon\r\n", PS_S3_CHUNKED_MALFORMED, ""},
                  {"0\r\n\r\nx", PS_S3_CHUNKED_MALFORMED, ""}};

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct ps_buf got = {0};
        assert_int_equal(unsigned_body(bodies[i].text, 10, &got), bodies[i].event);
        assert_string_equal(ps_buf_text(&got), bodies[i].got);
        ps_buf_fini(&got);
    }
    /* Lines have a bound. */
    struct ps_buf text = {0};
    struct ps_buf got = {0};
    ps_buf_append_text(&text, "0\r\nx:");
    for (size_t i = 0; i < PS_S3_CHUNK_LINE_MAX; i++) {
        ps_buf_append_char(&text, 'y');
    }
    assert_int_equal(unsigned_body(ps_buf_text(&text), 10, &got), PS_S3_CHUNKED_MALFORMED);
    ps_buf_fini(&text);
    ps_buf_fini(&got);
}

/* ---- texts ---- */

static void dates(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 20000; n++) {
        int64_t unix_s = (int64_t)(ps_random_u64(1, 3, n) % 253402300800);
        int64_t again;
        char text[17];
        ps_s3_amz_date(unix_s, text);
        assert_true(ps_s3_amz_date_read(ps_slice_of(text), &again));
        assert_int_equal(again, unix_s);
    }
    int64_t unix_s;
    static const char *const wrong[] = {"20130229T000000Z", "20131301T000000Z", "20130100T000000Z",
                                        "20130101T240000Z", "20130101T006000Z", "20130101t000000Z",
                                        "2013010100000000", "20130101T000000",  ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(ps_s3_amz_date_read(ps_slice_of(wrong[i]), &unix_s));
    }
    assert_true(ps_s3_amz_date_read(PS_LIT("20120229T235959Z"), &unix_s));
    assert_int_equal(unix_s, 1330559999);
}

static void queries(void **state)
{
    (void)state;
    struct ps_s3_query query;
    assert_int_equal(ps_s3_query_read(PS_LIT("a=1&b&&c=%41+%zz%4&=d&a=2"), &query), PS_OK);
    assert_int_equal(query.count, 5);
    assert_true(ps_slice_eq(*ps_s3_query_get(&query, "a"), PS_LIT("1")));
    assert_true(ps_slice_eq(*ps_s3_query_get(&query, "b"), PS_LIT("")));
    assert_true(ps_slice_eq(*ps_s3_query_get(&query, "c"), PS_LIT("A %zz%4")));
    assert_null(ps_s3_query_get(&query, "d"));
    ps_s3_query_fini(&query);
    char many[2 * (PS_S3_PARAMS_MAX + 1)];
    for (size_t i = 0; i < sizeof many; i++) {
        many[i] = i % 2 == 0 ? 'a' : '&';
    }
    assert_int_equal(ps_s3_query_read((struct ps_slice){many, sizeof many}, &query), PS_LIMIT);
    assert_int_equal(ps_s3_query_read((struct ps_slice){many, sizeof many - 2}, &query), PS_OK);
    assert_int_equal(query.count, PS_S3_PARAMS_MAX);
    ps_s3_query_fini(&query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documented_headers),
                                       cmocka_unit_test(presigned),
                                       cmocka_unit_test(presigned_errors),
                                       cmocka_unit_test(header_errors),
                                       cmocka_unit_test(tampering),
                                       cmocka_unit_test(many_keys),
                                       cmocka_unit_test(documented_chunks),
                                       cmocka_unit_test(chunk_tampering),
                                       cmocka_unit_test(unsigned_chunks),
                                       cmocka_unit_test(dates),
                                       cmocka_unit_test(queries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
