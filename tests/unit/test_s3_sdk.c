/* What the AWS SDK for JavaScript sends (test_s3_sdk.jsonl, recorded by test_s3_sdk.mjs): the
 * signature of each request holds, it is the operation that was called, its body is what it says,
 * and nothing of it may be changed. */
#include "node/http/http1.h"
#include "node/s3/body.h"
#include "node/s3/s3.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {[PS_S3_LIST_BUCKETS] = "ListBuckets",
                                    [PS_S3_HEAD_BUCKET] = "HeadBucket",
                                    [PS_S3_CREATE_BUCKET] = "CreateBucket",
                                    [PS_S3_DELETE_BUCKET] = "DeleteBucket",
                                    [PS_S3_GET_LOCATION] = "GetBucketLocation",
                                    [PS_S3_GET_ENCRYPTION] = "GetBucketEncryption",
                                    [PS_S3_GET_CORS] = "GetBucketCors",
                                    [PS_S3_PUT_CORS] = "PutBucketCors",
                                    [PS_S3_DELETE_CORS] = "DeleteBucketCors",
                                    [PS_S3_GET_LIFECYCLE] = "GetBucketLifecycleConfiguration",
                                    [PS_S3_PUT_LIFECYCLE] = "PutBucketLifecycleConfiguration",
                                    [PS_S3_GET_VERSIONING] = "GetBucketVersioning",
                                    [PS_S3_LIST_OBJECTS] = "ListObjects",
                                    [PS_S3_LIST_OBJECTS_V2] = "ListObjectsV2",
                                    [PS_S3_LIST_UPLOADS] = "ListMultipartUploads",
                                    [PS_S3_LIST_PARTS] = "ListParts",
                                    [PS_S3_GET_OBJECT] = "GetObject",
                                    [PS_S3_HEAD_OBJECT] = "HeadObject",
                                    [PS_S3_PUT_OBJECT] = "PutObject",
                                    [PS_S3_COPY_OBJECT] = "CopyObject",
                                    [PS_S3_DELETE_OBJECT] = "DeleteObject",
                                    [PS_S3_DELETE_OBJECTS] = "DeleteObjects",
                                    [PS_S3_CREATE_UPLOAD] = "CreateMultipartUpload",
                                    [PS_S3_UPLOAD_PART] = "UploadPart",
                                    [PS_S3_UPLOAD_PART_COPY] = "UploadPartCopy",
                                    [PS_S3_COMPLETE] = "CompleteMultipartUpload",
                                    [PS_S3_ABORT] = "AbortMultipartUpload"};

/* What each line of the recording comes to, besides its operation. */
static const char *const expected[] = {
    "ListBuckets  limit=1000",
    "CreateBucket assets",
    "HeadBucket assets",
    "DeleteBucket assets",
    "GetBucketLocation assets",
    "GetBucketEncryption assets",
    "GetBucketVersioning assets",
    "PutBucketCors assets",
    "GetBucketCors assets",
    "DeleteBucketCors assets",
    "PutBucketLifecycleConfiguration assets",
    "GetBucketLifecycleConfiguration assets",
    "ListObjects assets prefix=d ir/ delimiter=/ after=m limit=7",
    "ListObjectsV2 assets prefix=p after=s cursor=t/= limit=1000 url",
    "ListMultipartUploads assets prefix=p after=k limit=3",
    "GetObject assets key=dir/a b+\xc3\xa9%~'.txt range=bytes=0-4 differ=e",
    "HeadObject assets key=dir/a b+\xc3\xa9%~'.txt",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=text/plain cache=max-age=60 differ=* "
    "meta-one is=1 meta-two is=z expires=1000000000000 body=hello declared=20",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream body=hello "
    "declared=0",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream body=hello stream "
    "declared=20",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream infrequent "
    "body=hello stream declared=4",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream body=hello "
    "declared=40",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream ssec body=hello "
    "declared=20",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=application/octet-stream body=hosted "
    "declared=20",
    "CopyObject assets key=dir/a b+\xc3\xa9%~'.txt type=text/css source=assets source-key=other "
    "key source-match=e replace",
    "DeleteObject assets key=dir/a b+\xc3\xa9%~'.txt",
    "DeleteObjects assets keys=a&b<c> keys=\xc3\xa9",
    "CreateMultipartUpload assets key=dir/a b+\xc3\xa9%~'.txt type=x/y meta-m is=v",
    "UploadPart assets key=dir/a b+\xc3\xa9%~'.txt number=2 body=part declared=20",
    "UploadPart assets key=dir/a b+\xc3\xa9%~'.txt number=3 body=hello stream declared=20",
    "UploadPartCopy assets key=dir/a b+\xc3\xa9%~'.txt source=assets source-key=src number=4 "
    "from=5 length=5",
    "ListParts assets key=dir/a b+\xc3\xa9%~'.txt marker=1 limit=5",
    "CompleteMultipartUpload assets key=dir/a b+\xc3\xa9%~'.txt part 1 "
    "is=0123456789abcdef0123456789abcdef part 2 is=fedcba9876543210fedcba9876543210",
    "AbortMultipartUpload assets key=dir/a b+\xc3\xa9%~'.txt",
    "501 GetObjectTagging not implemented</Messag",
    "501 PutBucketPolicy not implemented</Message",
    "GetObject assets key=dir/a b+\xc3\xa9%~'.txt presigned",
    "PutObject assets key=dir/a b+\xc3\xa9%~'.txt type=text/plain;charset=UTF-8 presigned body=by "
    "url declared=0",
    "HeadObject assets key=dir/a b+\xc3\xa9%~'.txt presigned",
    "DeleteObject assets key=dir/a b+\xc3\xa9%~'.txt presigned"};

enum { EXPECTED = sizeof expected / sizeof expected[0] };

static struct ps_s3_config config;

static int set_up(void **state)
{
    (void)state;
    config.keyring = ps_s3_keyring_create();
    config.domain = PS_LIT("localhost");
    return ps_s3_keyring_add(config.keyring, PS_LIT("popsim-test-key"),
                             PS_LIT("popsim-test-secret")) == PS_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ps_s3_keyring_destroy(config.keyring);
    return 0;
}

static struct ps_http_intake whole(void *context, const struct ps_http_request *head)
{
    (void)context;
    (void)head;
    return (struct ps_http_intake){1 << 20, false};
}

/* A request's bytes, which JSON has as code points below 256. */
static void from_latin(const char *text, size_t size, struct ps_buf *into)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c >= 0x80) {
            c = (uint8_t)(c << 6 | ((uint8_t)text[++i] & 0x3f));
        }
        ps_buf_append_char(into, (char)c);
    }
}

/* When it was signed, a second ago. */
static int64_t now_of(const struct ps_http_request *request)
{
    const struct ps_http_header *date = ps_http_header(request, "x-amz-date");
    int64_t unix_s;
    struct ps_slice text;
    if (date != NULL) {
        text = date->value;
    } else {
        const char *at = memmem(request->target.data, request->target.size, "X-Amz-Date=", 11);
        assert_non_null(at);
        text = (struct ps_slice){at + 11, 16};
    }
    assert_true(ps_s3_amz_date_read(text, &unix_s));
    return (unix_s + 1) * 1000;
}

static void say(struct ps_buf *into, const char *name, struct ps_slice text)
{
    if (text.size > 0) {
        ps_buf_printf(into, " %s=%.*s", name, (int)text.size, text.data);
    }
}

static void say_etags(struct ps_buf *into, const char *name, const struct ps_r2_etag *etags,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        say(into, name, etags[i].kind == PS_R2_ETAG_ANY ? PS_LIT("*") : etags[i].value);
    }
}

static void describe(const struct ps_s3_call *call, struct ps_buf *into)
{
    const struct ps_r2_request *request = &call->request;
    const struct ps_r2_http *http = &request->meta.http;
    ps_buf_append_slice(into, call->bucket);
    say(into, "key", request->key);
    say(into, "prefix", request->prefix);
    say(into, "delimiter", request->delimiter);
    say(into, "after", request->start_after);
    say(into, "cursor", request->cursor);
    say(into, "type", http->content_type);
    say(into, "encoding", http->content_encoding);
    say(into, "cache", http->cache_control);
    say(into, "range", request->range.header);
    say(into, "source", call->source_bucket);
    say(into, "source-key", request->source_key);
    say(into, "location", call->location);
    say_etags(into, "match", request->condition.matches, request->condition.match_count);
    say_etags(into, "differ", request->condition.differs, request->condition.differ_count);
    say_etags(into, "source-match", request->source_condition.matches,
              request->source_condition.match_count);
    for (size_t i = 0; i < request->meta.custom_count; i++) {
        ps_buf_printf(into, " meta-%.*s", (int)request->meta.custom[i].name.size,
                      request->meta.custom[i].name.data);
        say(into, "is", request->meta.custom[i].value);
    }
    for (size_t i = 0; i < request->part_count; i++) {
        ps_buf_printf(into, " part %u", request->parts[i].number);
        say(into, "is", request->parts[i].etag);
    }
    for (size_t i = 0; request->key_count > 1 && i < request->key_count; i++) {
        say(into, "keys", request->keys[i]);
    }
    if (http->has_cache_expiry) {
        ps_buf_printf(into, " expires=%lld", (long long)http->cache_expiry_ms);
    }
    if (request->part_number != 0) {
        ps_buf_printf(into, " number=%u", request->part_number);
    }
    if (request->part_marker != 0) {
        ps_buf_printf(into, " marker=%u", request->part_marker);
    }
    if (request->has_limit) {
        ps_buf_printf(into, " limit=%lld", (long long)request->limit);
    }
    if (call->source.range.has_length) {
        ps_buf_printf(into, " from=%llu length=%llu", (unsigned long long)call->source.range.offset,
                      (unsigned long long)call->source.range.length);
    }
    if (request->directive != PS_R2_DIRECTIVE_COPY) {
        ps_buf_append_text(into, " replace");
    }
    if (request->meta.storage_class == PS_R2_INFREQUENT) {
        ps_buf_append_text(into, " infrequent");
    }
    if (request->meta.ssec.given) {
        ps_buf_append_text(into, " ssec");
    }
    if (request->hashes != 0) {
        ps_buf_printf(into, " hashes=%x", request->hashes);
    }
    if (call->url) {
        ps_buf_append_text(into, " url");
    }
    if (call->auth.presigned) {
        ps_buf_append_text(into, " presigned");
    }
}

/* The body, byte by byte; what it declares must be what it has. */
static void take_body(struct ps_s3_call *call, struct ps_slice bytes, struct ps_buf *into)
{
    struct ps_s3_body *body = ps_s3_body_create(call);
    struct ps_http_response response = {0};
    ps_buf_append_text(into, " body=");
    for (size_t i = 0; i < bytes.size; i++) {
        struct ps_slice piece = {bytes.data + i, 1};
        struct ps_slice data;
        while (ps_s3_body_feed(body, &piece, &data) == PS_S3_BODY_DATA) {
            ps_buf_append_slice(into, data);
        }
        assert_int_equal(piece.size, 0);
    }
    bool good =
        ps_s3_body_finish(body, &call->request.declared, &call->request.computed, &response);
    assert_true(good);
    assert_int_equal(ps_r2_checksums_differ(&call->request.declared, &call->request.computed),
                     PS_R2_HASHES);
    ps_buf_printf(into, " declared=%x", call->request.declared.present);
    ps_s3_body_destroy(body);
    /* Without its last byte, or with another one, it is not. */
    for (int other = 0; other <= 1 && bytes.size > 0 && !call->auth.presigned; other++) {
        struct ps_r2_checksums declared = call->request.declared;
        struct ps_r2_checksums computed;
        struct ps_slice data;
        struct ps_slice rest = {bytes.data, bytes.size - 1};
        body = ps_s3_body_create(call);
        while (ps_s3_body_feed(body, &rest, &data) == PS_S3_BODY_DATA) {
        }
        rest = PS_LIT("x");
        if (other == 1) {
            (void)ps_s3_body_feed(body, &rest, &data);
        }
        assert_false(ps_s3_body_finish(body, &declared, &computed, &response));
        assert_int_equal(response.status, 400);
        ps_http_response_fini(&response);
        ps_s3_body_destroy(body);
    }
}

/* The name of the operation, then what is known of it; or the error. */
static void open_it(const struct ps_http_request *request, int64_t now_ms, struct ps_buf *into)
{
    struct ps_s3_call call = {0};
    struct ps_http_response response = {0};
    bool good = ps_s3_open(&config, request, now_ms, &call, &response);
    if (good && call.intake == PS_S3_DOCUMENT) {
        assert_true(request->body.size <= call.body_max);
        good = ps_s3_take_document(&call, request->body, &response);
    }
    if (!good) {
        const char *message = memmem(response.body.data, response.body.size, "<Message>", 9);
        assert_non_null(message);
        ps_buf_printf(into, "%d %.40s", response.status, message + 9);
    } else {
        ps_buf_printf(into, "%s ", names[call.op]);
        describe(&call, into);
        if (call.intake == PS_S3_BYTES) {
            take_body(&call, request->body, into);
        }
    }
    ps_http_response_fini(&response);
    ps_s3_call_fini(&call);
}

/* A signature with one digit changed, wherever it stands. */
static void forge(const struct ps_http_request *request, const char *raw_signature)
{
    struct ps_buf got = {0};
    char *digit = (char *)(uintptr_t)raw_signature; /* of the message, which is this test's own */
    char before = *digit;
    *digit = before == '0' ? '1' : '0';
    open_it(request, now_of(request), &got);
    *digit = before;
    assert_true(ps_slice_starts(ps_buf_slice(&got), PS_LIT("403 The request signature we calcu")));
    ps_buf_fini(&got);
}

static const char *find_signature(const struct ps_http_request *request)
{
    const struct ps_http_header *header = ps_http_header(request, "authorization");
    struct ps_slice in = header == NULL ? request->target : header->value;
    const char *at = memmem(in.data, in.size, "Signature=", 10);
    assert_non_null(at);
    return at + 10;
}

static void replay(const char *call, struct ps_slice raw, size_t line)
{
    struct ps_http1_parser *parser = ps_http1_parser_create(whole, NULL);
    struct ps_buf got = {0};
    size_t taken;
    assert_int_equal(ps_http1_feed(parser, raw, &taken), PS_HTTP1_REQUEST);
    assert_int_equal(taken, raw.size);
    struct ps_http1_message *message = ps_http1_take(parser);
    open_it(&message->request, now_of(&message->request), &got);
    bool refused = got.size > 0 && got.data[0] == '5';
    if (!refused && !ps_slice_starts(ps_buf_slice(&got), ps_slice_of(call))) {
        fail_msg("line %zu: %s is %s", line + 1, call, ps_buf_text(&got));
    }
    assert_true(line < EXPECTED);
    assert_string_equal(ps_buf_text(&got), expected[line]);
    forge(&message->request, find_signature(&message->request));
    ps_buf_fini(&got);
    ps_http1_message_free(message);
    ps_http1_parser_destroy(parser);
}

static void recording(void **state)
{
    (void)state;
    FILE *file = fopen(PS_SOURCE_DIR "/tests/unit/test_s3_sdk.jsonl", "r");
    assert_non_null(file);
    size_t line = 0;
    for (;;) {
        json_error_t error;
        json_t *one = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error);
        if (one == NULL) {
            break;
        }
        struct ps_buf raw = {0};
        json_t *text = json_object_get(one, "raw");
        from_latin(json_string_value(text), json_string_length(text), &raw);
        replay(json_string_value(json_object_get(one, "call")), ps_buf_slice(&raw), line++);
        ps_buf_fini(&raw);
        json_decref(one);
    }
    assert_true(feof(file) != 0);
    assert_int_equal(line, EXPECTED);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recording)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
