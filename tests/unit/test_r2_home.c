/* Home's mutations, one rule at a time: conditions, the write limit, copies, multipart uploads,
 * tries with the same token, failed commits, who waits for whom. */
#include "node/r2/list.h"
#include "replication/base/assert.h"
#include "tests/support/r2_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The newest answers, encoded, by tag. */
enum { TAGS = 64 };

static struct {
    bool is_there;
    struct ps_buf bytes;
    struct ps_r2_answer answer;
} answers[TAGS];

static void on_answer(void *context, void *tag, const struct ps_r2_answer *answer)
{
    (void)context;
    size_t i = (size_t)(uintptr_t)tag;
    assert_true(i < TAGS);
    assert_false(answers[i].is_there);
    answers[i].is_there = true;
    ps_r2_answer_encode(&answers[i].bytes, answer);
    assert_int_equal(ps_r2_answer_decode(ps_buf_slice(&answers[i].bytes), &answers[i].answer),
                     PS_OK);
}

static void forget_answers(void)
{
    for (size_t i = 0; i < TAGS; i++) {
        ps_r2_answer_fini(&answers[i].answer);
        ps_buf_fini(&answers[i].bytes);
        answers[i].is_there = false;
    }
}

static void *tag_of(size_t i)
{
    return (void *)(uintptr_t)i;
}

static struct ps_token token_of(uint64_t n)
{
    struct ps_token token = {{0xAA}};
    memcpy(token.bytes + 8, &n, sizeof n);
    return token;
}

static struct ps_token next_token(void)
{
    static uint64_t count;
    return token_of(1000 + ++count);
}

/* Run one mutation alone. The answer is good until the next one. */
static const struct ps_r2_answer *run(struct r2_world *world, const struct ps_r2_request *request)
{
    forget_answers();
    struct ps_token token = next_token();
    assert_int_equal(r2_world_submit(world, &token, request, tag_of(0)), PS_OK);
    r2_world_settle(world);
    assert_true(answers[0].is_there);
    return &answers[0].answer;
}

static void check_code(struct r2_world *world, const struct ps_r2_request *request,
                       enum ps_r2_code code)
{
    const struct ps_r2_answer *answer = run(world, request);
    if (answer->error.code != code) {
        fail_msg("%s: %s, not %s", ps_r2_op_name(request->op),
                 ps_r2_code_info(answer->error.code)->s3_code, ps_r2_code_info(code)->s3_code);
    }
}

static struct ps_r2_request put_of(const char *key, const char *value)
{
    struct ps_r2_request request = {
        .op = PS_R2_PUT, .key = ps_slice_of(key), .body = {.bytes = ps_slice_of(value)}};
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), request.body.bytes, &request.computed);
    return request;
}

static bool find(struct r2_world *world, const char *key, struct ps_r2_object *ret)
{
    struct ps_version version;
    *ret = (struct ps_r2_object){.size = 0};
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    enum ps_status status =
        ps_map_get(world->map, world->store, ps_slice_of(key), &PS_BOUND_NEWEST, &version);
    if (status == PS_OK) {
        status = ps_r2_object_of(&world->cluster, ps_slice_of(key), &version, ret);
    }
    ps_map_read_end(world->map);
    return status == PS_OK;
}

static void test_put_and_delete(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_request put = put_of("k", "v");
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_SHA1) | PS_R2_HASH_BIT(PS_R2_MD5), PS_LIT("v"),
                    &put.computed);
    put.declared.present = PS_R2_HASH_BIT(PS_R2_SHA1);
    memcpy(put.declared.bytes, put.computed.bytes, sizeof put.declared.bytes);
    const struct ps_r2_answer *answer = run(&world, &put);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_true(answer->has_object);
    assert_int_equal(answer->lsn, 1);
    assert_string_equal(answer->object.etag, "9e3669d19b675bd57058fd4664205d2a");
    assert_int_equal(answer->object.uploaded_ms, ((int64_t)R2_EPOCH_S + 3600) * 1000);
    assert_int_equal(answer->object.checksums.present,
                     PS_R2_HASH_BIT(PS_R2_SHA1) | PS_R2_HASH_BIT(PS_R2_MD5));
    struct ps_r2_id version = answer->object.version;
    struct ps_r2_object object;
    assert_true(find(&world, "k", &object));
    assert_true(ps_r2_id_eq(&object.version, &version));
    assert_true(ps_slice_eq(object.body, PS_LIT("v")));
    ps_r2_object_fini(&object);

    struct ps_slice keys[] = {PS_LIT("none"), PS_LIT("k"), PS_LIT("k")};
    struct ps_r2_request delete_it = {.op = PS_R2_DELETE, .keys = keys, .key_count = 3};
    answer = run(&world, &delete_it);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_int_equal(answer->lsn, 2);
    assert_false(find(&world, "k", &object));
    answer = run(&world, &delete_it); /* nothing left: no record */
    assert_int_equal(answer->lsn, 0);
    assert_int_equal(answer->commit_ns, world.now_ns);
    forget_answers();
    r2_world_fini(&world);
}

/* Of a delete with a condition: what was put since stays. */
static void test_delete_what_is_old(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    const struct ps_r2_request old = put_of("old", "v");
    const struct ps_r2_request fresh = put_of("new", "v");
    int64_t old_ms = run(&world, &old)->object.uploaded_ms;
    world.now_ns += PS_SECOND;
    (void)run(&world, &fresh);
    struct ps_slice keys[] = {PS_LIT("new"), PS_LIT("none"), PS_LIT("old")};
    const struct ps_r2_request delete_old = {
        .op = PS_R2_DELETE,
        .keys = keys,
        .key_count = 3,
        .condition = {.has_before = true, .before_ms = old_ms + 1}};
    assert_int_equal(run(&world, &delete_old)->error.code, PS_R2_CODE_NONE);
    struct ps_r2_object object;
    assert_false(find(&world, "old", &object));
    assert_true(find(&world, "new", &object));
    ps_r2_object_fini(&object);
    r2_world_fini(&world);
}

static void test_conditions(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_etag etag = {PS_R2_ETAG_ANY, {NULL, 0}};
    struct ps_r2_request put = put_of("k", "1");
    put.condition =
        (struct ps_r2_condition){.has_matches = true, .matches = &etag, .match_count = 1};
    check_code(&world, &put, PS_R2_CODE_PRECONDITION_FAILED);
    put.condition =
        (struct ps_r2_condition){.has_differs = true, .differs = &etag, .differ_count = 1};
    check_code(&world, &put, PS_R2_CODE_NONE);
    check_code(&world, &put, PS_R2_CODE_PRECONDITION_FAILED);
    etag = (struct ps_r2_etag){PS_R2_ETAG_STRONG, PS_LIT("c4ca4238a0b923820dcc509a6f75849b")};
    put = put_of("k", "2");
    put.condition =
        (struct ps_r2_condition){.has_matches = true, .matches = &etag, .match_count = 1};
    check_code(&world, &put, PS_R2_CODE_NONE);
    check_code(&world, &put, PS_R2_CODE_PRECONDITION_FAILED);
    forget_answers();
    r2_world_fini(&world);
}

/* A put within a second of the key's last one is refused; deletes in between do not help. */
static void test_write_limit(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, PS_SECOND, on_answer);
    struct ps_r2_request put = put_of("k", "v");
    struct ps_slice key = PS_LIT("k");
    struct ps_r2_request delete_it = {.op = PS_R2_DELETE, .keys = &key, .key_count = 1};
    check_code(&world, &put, PS_R2_CODE_NONE);
    world.now_ns += PS_SECOND - 1;
    check_code(&world, &put, PS_R2_CODE_TOO_MANY_REQUESTS);
    check_code(&world, &delete_it, PS_R2_CODE_NONE);
    check_code(&world, &put, PS_R2_CODE_TOO_MANY_REQUESTS);
    struct ps_r2_request other = put_of("l", "v");
    check_code(&world, &other, PS_R2_CODE_NONE);
    r2_world_crash(&world);
    check_code(&world, &put, PS_R2_CODE_TOO_MANY_REQUESTS);
    world.now_ns += 1;
    check_code(&world, &put, PS_R2_CODE_NONE);
    forget_answers();
    r2_world_fini(&world);
}

static void test_copy(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_request copy = {
        .op = PS_R2_COPY, .key = PS_LIT("to"), .source_key = PS_LIT("from")};
    check_code(&world, &copy, PS_R2_CODE_NO_SUCH_KEY);
    struct ps_r2_pair source_pairs[] = {{PS_LIT("a"), PS_LIT("1")}, {PS_LIT("b"), PS_LIT("2")}};
    struct ps_r2_request put = put_of("from", "body");
    put.meta = (struct ps_r2_metadata){
        .http = {.content_type = PS_LIT("text/plain"), .cache_control = PS_LIT("max-age=1")},
        .custom = source_pairs,
        .custom_count = 2,
        .storage_class = PS_R2_INFREQUENT};
    check_code(&world, &put, PS_R2_CODE_NONE);
    check_code(&world, &copy, PS_R2_CODE_NONE);
    struct ps_r2_object object;
    assert_true(find(&world, "to", &object));
    assert_true(ps_slice_eq(object.body, PS_LIT("body")));
    assert_int_equal(object.meta.custom_count, 2);
    assert_int_equal(object.meta.storage_class, PS_R2_STANDARD);
    ps_r2_object_fini(&object);

    struct ps_r2_pair pairs[] = {{PS_LIT("b"), PS_LIT("3")}, {PS_LIT("c"), PS_LIT("4")}};
    copy.directive = PS_R2_DIRECTIVE_MERGE;
    copy.meta = (struct ps_r2_metadata){
        .http = {.content_type = PS_LIT("text/html")}, .custom = pairs, .custom_count = 2};
    check_code(&world, &copy, PS_R2_CODE_NONE);
    assert_true(find(&world, "to", &object));
    assert_int_equal(object.meta.custom_count, 3);
    PS_ASSERT(object.meta.custom != NULL);
    assert_true(ps_slice_eq(object.meta.custom[0].value, PS_LIT("3")));
    assert_true(ps_slice_eq(object.meta.custom[2].name, PS_LIT("a")));
    assert_true(ps_slice_eq(object.meta.http.content_type, PS_LIT("text/html")));
    assert_true(ps_slice_eq(object.meta.http.cache_control, PS_LIT("max-age=1")));
    ps_r2_object_fini(&object);

    copy.directive = PS_R2_DIRECTIVE_REPLACE;
    copy.key = copy.source_key; /* onto itself */
    check_code(&world, &copy, PS_R2_CODE_NONE);
    assert_true(find(&world, "from", &object));
    assert_int_equal(object.meta.custom_count, 2);
    assert_int_equal(object.meta.http.cache_control.size, 0);
    ps_r2_object_fini(&object);

    struct ps_r2_etag etag = {PS_R2_ETAG_STRONG, PS_LIT("other")};
    copy.source_condition =
        (struct ps_r2_condition){.has_matches = true, .matches = &etag, .match_count = 1};
    check_code(&world, &copy, PS_R2_CODE_PRECONDITION_FAILED);

    struct ps_r2_request secret = put_of("secret", "s");
    secret.meta.ssec = (struct ps_r2_ssec){true, {7}};
    check_code(&world, &secret, PS_R2_CODE_NONE);
    copy = (struct ps_r2_request){
        .op = PS_R2_COPY, .key = PS_LIT("to"), .source_key = PS_LIT("secret")};
    check_code(&world, &copy, PS_R2_CODE_INVALID_REQUEST);
    copy.source_ssec = (struct ps_r2_ssec){true, {8}};
    check_code(&world, &copy, PS_R2_CODE_ACCESS_DENIED);
    copy.source_ssec.key_md5[0] = 7;
    check_code(&world, &copy, PS_R2_CODE_NONE);
    forget_answers();
    r2_world_fini(&world);
}

/* ---- multipart ---- */

struct upload {
    struct ps_r2_id id;
    const char *key;
    struct ps_r2_named_part named[16];
    char etags[16][PS_R2_ETAG_SIZE];
    size_t count;
};

static struct upload begin(struct r2_world *world, const char *key, ps_r2_hash_set hashes,
                           bool full)
{
    struct ps_r2_request create = {.op = PS_R2_CREATE_UPLOAD,
                                   .key = ps_slice_of(key),
                                   .hashes = hashes,
                                   .full_object = full,
                                   .meta = {.http = {.content_type = PS_LIT("a/b")}}};
    const struct ps_r2_answer *answer = run(world, &create);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    return (struct upload){.id = answer->upload_id, .key = key};
}

/* The part's bytes do not exist: their hashes are those of its number as text. */
static struct ps_r2_request part_of(const struct upload *upload, uint32_t number,
                                    struct ps_r2_blob *blob)
{
    struct ps_r2_request part = {.op = PS_R2_UPLOAD_PART,
                                 .key = ps_slice_of(upload->key),
                                 .upload_id = upload->id,
                                 .part_number = number,
                                 .body = {.blobs = blob, .blob_count = 1}};
    char text[16];
    int size = snprintf(text, sizeof text, "%u", number);
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5) | PS_R2_HASH_BIT(PS_R2_CRC32),
                    (struct ps_slice){text, (size_t)size}, &part.computed);
    return part;
}

static void add(struct r2_world *world, struct upload *upload, uint32_t number, uint64_t size)
{
    struct ps_r2_blob blob = {.id = {{(uint8_t)number}}, .size = size};
    struct ps_r2_request part = part_of(upload, number, &blob);
    const struct ps_r2_answer *answer = run(world, &part);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_int_equal(answer->part.number, number);
    size_t i = upload->count++;
    ps_r2_etag_of_md5(answer->part.checksums.bytes[PS_R2_MD5], upload->etags[i]);
    upload->named[i] = (struct ps_r2_named_part){.number = number};
}

static struct ps_r2_request complete_of(struct upload *upload)
{
    for (size_t i = 0; i < upload->count; i++) {
        upload->named[i].etag = ps_slice_of(upload->etags[i]);
    }
    return (struct ps_r2_request){.op = PS_R2_COMPLETE,
                                  .key = ps_slice_of(upload->key),
                                  .upload_id = upload->id,
                                  .parts = upload->named,
                                  .part_count = upload->count};
}

static size_t uploads_left(struct r2_world *world)
{
    struct ps_r2_request list = {.op = PS_R2_LIST_UPLOADS};
    struct ps_r2_page page;
    struct ps_r2_error err = {0};
    assert_int_equal(ps_map_read_begin(world->map), PS_OK);
    assert_int_equal(ps_r2_list(world->map, world->store, &world->cluster, &PS_BOUND_NEWEST, &list,
                                ps_r2_unix_ms(&world->cluster, world->now_ns), 0, &page, &err),
                     PS_OK);
    ps_map_read_end(world->map);
    size_t count = page.upload_count;
    ps_r2_page_fini(&page);
    return count;
}

static void test_multipart(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "big", 0, false);
    add(&world, &upload, 7, PS_R2_PART_SIZE_MIN); /* in any order */
    add(&world, &upload, 9, 3);
    add(&world, &upload, 2, PS_R2_PART_SIZE_MIN);
    struct ps_r2_request complete = complete_of(&upload);
    const struct ps_r2_answer *answer = run(&world, &complete);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_int_equal(answer->object.size, 2 * PS_R2_PART_SIZE_MIN + 3);
    assert_int_equal(answer->object.part_count, 3);
    assert_int_equal(answer->object.checksums.present, 0);
    /* MD5 over the MD5s of "2", "7" and "9". */
    assert_string_equal(answer->object.etag, "1fad6fa7ceb51dd876c904a942b9ed46-3");
    struct ps_r2_object object;
    struct ps_r2_body body;
    assert_true(find(&world, "big", &object));
    assert_true(ps_slice_eq(object.meta.http.content_type, PS_LIT("a/b")));
    assert_int_equal(ps_r2_object_body(&object, &body), PS_OK);
    assert_int_equal(body.blob_count, 3);
    assert_int_equal(body.blobs[0].id.bytes[0], 2);
    assert_int_equal(body.blobs[2].id.bytes[0], 9);
    ps_r2_body_fini(&body);
    ps_r2_object_fini(&object);
    assert_int_equal(uploads_left(&world), 0);
    check_code(&world, &complete, PS_R2_CODE_NO_SUCH_UPLOAD); /* another call, not another try */
    struct ps_r2_request abort_it = {
        .op = PS_R2_ABORT, .key = PS_LIT("big"), .upload_id = upload.id};
    check_code(&world, &abort_it, PS_R2_CODE_NONE);
    abort_it.upload_id.bytes[0]++;
    check_code(&world, &abort_it, PS_R2_CODE_NO_SUCH_UPLOAD);
    forget_answers();
    r2_world_fini(&world);
}

static void test_complete_refuses(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "k", 0, false);
    add(&world, &upload, 1, PS_R2_PART_SIZE_MIN);
    add(&world, &upload, 2, PS_R2_PART_SIZE_MIN + 1);
    add(&world, &upload, 3, PS_R2_PART_SIZE_MIN - 1);
    add(&world, &upload, 4, 1);
    struct ps_r2_request complete = complete_of(&upload);
    complete.part_count = 2; /* the last one is larger */
    check_code(&world, &complete, PS_R2_CODE_BAD_UPLOAD);
    complete.part_count = 3; /* not of one size */
    check_code(&world, &complete, PS_R2_CODE_BAD_UPLOAD);
    complete.part_count = 4; /* one that is not the last is too small */
    check_code(&world, &complete, PS_R2_CODE_ENTITY_TOO_SMALL);
    struct ps_r2_named_part good = upload.named[1];
    complete.part_count = 2;
    upload.named[1] = upload.named[0];
    check_code(&world, &complete, PS_R2_CODE_INVALID_PART);
    upload.named[1] = good;
    upload.named[1].number = 5;
    check_code(&world, &complete, PS_R2_CODE_INVALID_PART);
    upload.named[1] = good;
    upload.named[1].etag = PS_LIT("c4ca4238a0b923820dcc509a6f75849c");
    check_code(&world, &complete, PS_R2_CODE_INVALID_PART);
    upload.named[1] = good;
    (void)ps_r2_checksums_set_hex(&upload.named[0].checksums, PS_R2_CRC32, PS_LIT("00000000"));
    check_code(&world, &complete, PS_R2_CODE_INVALID_PART);
    upload.named[0].checksums.present = 0;
    complete.key = PS_LIT("other");
    check_code(&world, &complete, PS_R2_CODE_NO_SUCH_UPLOAD);
    complete.key = PS_LIT("k");
    complete.part_count = 0;
    check_code(&world, &complete, PS_R2_CODE_MALFORMED_XML);
    assert_int_equal(uploads_left(&world), 1);
    /* A part that comes again replaces the first one. */
    upload.count = 1;
    add(&world, &upload, 2, PS_R2_PART_SIZE_MIN);
    complete = complete_of(&upload);
    check_code(&world, &complete, PS_R2_CODE_NONE);
    forget_answers();
    r2_world_fini(&world);
}

/* A condition that does not hold ends the upload; a second try is told the same. */
static void test_complete_condition(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "k", 0, false);
    add(&world, &upload, 1, 10);
    struct ps_r2_request complete = complete_of(&upload);
    struct ps_r2_etag any = {PS_R2_ETAG_ANY, {NULL, 0}};
    complete.condition =
        (struct ps_r2_condition){.has_matches = true, .matches = &any, .match_count = 1};
    struct ps_token token = next_token();
    for (int i = 0; i < 2; i++) {
        forget_answers();
        assert_int_equal(r2_world_submit(&world, &token, &complete, tag_of(0)), PS_OK);
        r2_world_settle(&world);
        assert_int_equal(answers[0].answer.error.code, PS_R2_CODE_PRECONDITION_FAILED);
        assert_int_equal(uploads_left(&world), 0);
        r2_world_crash(&world);
    }
    struct ps_r2_object object;
    assert_false(find(&world, "k", &object));
    forget_answers();
    r2_world_fini(&world);
}

/* Where the object of now does not please, no upload begins; what comes later is not asked. */
static void test_create_condition(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_etag any = {.kind = PS_R2_ETAG_ANY};
    struct ps_r2_request create = {
        .op = PS_R2_CREATE_UPLOAD,
        .key = PS_LIT("k"),
        .condition = {.has_differs = true, .differs = &any, .differ_count = 1}};
    struct ps_r2_request put = put_of("k", "v");
    check_code(&world, &create, PS_R2_CODE_NONE);
    assert_int_equal(uploads_left(&world), 1);
    /* A put that is not durable yet is waited for. */
    forget_answers();
    struct ps_token tokens[2] = {next_token(), next_token()};
    assert_int_equal(r2_world_submit(&world, &tokens[0], &put, tag_of(0)), PS_OK);
    assert_int_equal(r2_world_submit(&world, &tokens[1], &create, tag_of(1)), PS_OK);
    r2_world_settle(&world);
    assert_true(answers[0].is_there && answers[1].is_there);
    assert_int_equal(answers[0].answer.error.code, PS_R2_CODE_NONE);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_PRECONDITION_FAILED);
    assert_int_equal(uploads_left(&world), 1);
    create.condition =
        (struct ps_r2_condition){.has_matches = true, .matches = &any, .match_count = 1};
    check_code(&world, &create, PS_R2_CODE_NONE);
    assert_int_equal(uploads_left(&world), 2);
    forget_answers();
    r2_world_fini(&world);
}

static void test_complete_checksums(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    /* CRC-32 of "12", joined from those of "1" and "2"; their sizes are the text's here. */
    struct upload upload = begin(&world, "full", PS_R2_HASH_BIT(PS_R2_CRC32), true);
    add(&world, &upload, 1, 1);
    struct ps_r2_request complete = complete_of(&upload);
    const struct ps_r2_answer *answer = run(&world, &complete);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    struct ps_r2_checksums one;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_CRC32), PS_LIT("1"), &one);
    assert_int_equal(answer->object.checksums.present, PS_R2_HASH_BIT(PS_R2_CRC32));
    assert_int_equal(ps_r2_checksums_differ(&answer->object.checksums, &one), PS_R2_HASHES);
    assert_false(answer->object.composite);

    upload = begin(&world, "composite", PS_R2_HASH_BIT(PS_R2_CRC32), false);
    add(&world, &upload, 1, PS_R2_PART_SIZE_MIN);
    add(&world, &upload, 2, 1);
    complete = complete_of(&upload);
    complete.declared = one;
    check_code(&world, &complete, PS_R2_CODE_BAD_DIGEST);
    struct ps_r2_checksums two;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_CRC32), PS_LIT("2"), &two);
    char both[8];
    memcpy(both, one.bytes[PS_R2_CRC32], 4);
    memcpy(both + 4, two.bytes[PS_R2_CRC32], 4);
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_CRC32), (struct ps_slice){both, 8}, &complete.declared);
    answer = run(&world, &complete);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_true(answer->object.composite);
    forget_answers();
    r2_world_fini(&world);
}

/* As many parts as there may be: one record, whose object lists them all. */
static void test_most_parts(void **state)
{
    (void)state;
    static struct ps_r2_named_part named[PS_R2_PARTS_MAX];
    static char etags[PS_R2_PARTS_MAX][PS_R2_ETAG_SIZE];
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "k", 0, false);
    for (uint32_t i = 0; i < PS_R2_PARTS_MAX; i++) {
        struct ps_r2_blob blob = {.id = {{1}}, .size = PS_R2_PART_SIZE_MIN};
        struct ps_r2_request part = part_of(&upload, i + 1, &blob);
        assert_int_equal(run(&world, &part)->error.code, PS_R2_CODE_NONE);
        ps_r2_etag_of_md5(part.computed.bytes[PS_R2_MD5], etags[i]);
        named[i] = (struct ps_r2_named_part){.number = i + 1, .etag = ps_slice_of(etags[i])};
    }
    struct ps_r2_request complete = complete_of(&upload);
    complete.parts = named;
    complete.part_count = PS_R2_PARTS_MAX;
    const struct ps_r2_answer *answer = run(&world, &complete);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_int_equal(answer->object.size, PS_R2_PARTS_MAX * PS_R2_PART_SIZE_MIN);
    assert_string_equal(answer->object.etag + 32, "-10000");
    struct ps_r2_object object;
    struct ps_r2_body body;
    assert_true(find(&world, "k", &object));
    assert_int_equal(ps_r2_object_body(&object, &body), PS_OK);
    assert_int_equal(body.blob_count, PS_R2_PARTS_MAX);
    ps_r2_body_fini(&body);
    ps_r2_object_fini(&object);
    forget_answers();
    r2_world_fini(&world);
}

static void test_old_uploads(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "k", 0, false);
    add(&world, &upload, 1, 10);
    world.now_ns += (uint64_t)PS_R2_UPLOAD_AGE_MS * PS_MS;
    struct ps_r2_request complete = complete_of(&upload);
    check_code(&world, &complete, PS_R2_CODE_NO_SUCH_UPLOAD);
    struct ps_r2_request abort_it = {.op = PS_R2_ABORT, .key = PS_LIT("k"), .upload_id = upload.id};
    const struct ps_r2_answer *answer = run(&world, &abort_it);
    assert_int_equal(answer->error.code, PS_R2_CODE_NONE);
    assert_true(answer->lsn > 0);
    forget_answers();
    r2_world_fini(&world);
}

/* ---- tries ---- */

static void submit(struct r2_world *world, uint64_t token, const struct ps_r2_request *request,
                   size_t tag)
{
    struct ps_token bytes = token_of(token);
    assert_int_equal(r2_world_submit(world, &bytes, request, tag_of(tag)), PS_OK);
}

static void test_tries(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, PS_SECOND, on_answer);
    struct ps_r2_request put = put_of("k", "v");
    forget_answers();
    submit(&world, 1, &put, 0);
    submit(&world, 1, &put, 1); /* joins it */
    assert_int_equal(ps_r2_home_pending(world.home), 1);
    r2_world_settle(&world);
    assert_true(answers[0].is_there && answers[1].is_there);
    struct ps_r2_id version = answers[0].answer.object.version;
    struct ps_r2_request other = put_of("k", "w");
    world.now_ns += PS_SECOND;
    submit(&world, 2, &other, 2);
    r2_world_settle(&world);
    r2_world_crash(&world);
    submit(&world, 1, &put, 3); /* long done, superseded, and after a restart */
    r2_world_settle(&world);
    assert_int_equal(answers[3].answer.error.code, PS_R2_CODE_NONE);
    assert_int_equal(answers[3].answer.lsn, 1);
    assert_true(ps_r2_id_eq(&answers[3].answer.object.version, &version));
    assert_int_equal(answers[3].answer.object.uploaded_ms, answers[0].answer.object.uploaded_ms);
    /* What had nothing to commit is remembered for a minute. */
    struct ps_slice key = PS_LIT("none");
    struct ps_r2_request delete_it = {.op = PS_R2_DELETE, .keys = &key, .key_count = 1};
    submit(&world, 3, &delete_it, 4);
    r2_world_settle(&world);
    struct ps_r2_request late = put_of("none", "v");
    submit(&world, 4, &late, 5);
    r2_world_settle(&world);
    submit(&world, 3, &delete_it, 6);
    r2_world_settle(&world);
    assert_int_equal(answers[6].answer.lsn, 0);
    struct ps_r2_object object;
    assert_true(find(&world, "none", &object));
    ps_r2_object_fini(&object);
    world.now_ns += PS_R2_ANSWERS_KEPT_NS;
    submit(&world, 3, &delete_it, 7);
    r2_world_settle(&world);
    assert_int_not_equal(answers[7].answer.lsn, 0);
    forget_answers();
    r2_world_fini(&world);
}

static void submit_lost(struct r2_world *world, uint64_t token, const struct ps_r2_request *request,
                        size_t tag)
{
    struct ps_token bytes = token_of(token);
    struct ps_buf encoded = {.size = 0};
    ps_r2_request_encode(&encoded, request);
    assert_int_equal(
        ps_r2_home_submit_lost(world->home, &bytes, ps_buf_slice(&encoded), tag_of(tag)), PS_OK);
    ps_buf_fini(&encoded);
}

/* A try whose body is not there any more can be told what came of an earlier one, but not be done.
 */
static void test_tries_without_a_body(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_etag any = {PS_R2_ETAG_ANY, {NULL, 0}};
    struct ps_r2_blob blob = {.size = 100000};
    struct ps_r2_request put = {.op = PS_R2_PUT,
                                .key = PS_LIT("k"),
                                .computed = {.present = PS_R2_HASH_BIT(PS_R2_MD5)},
                                .body = {.blobs = &blob, .blob_count = 1}};
    struct ps_r2_request other = put;
    other.condition =
        (struct ps_r2_condition){.has_differs = true, .differs = &any, .differ_count = 1};
    forget_answers();
    submit(&world, 1, &put, 1);
    submit(&world, 2, &other, 2);
    r2_world_settle(&world);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_NONE);
    assert_int_equal(answers[2].answer.error.code, PS_R2_CODE_PRECONDITION_FAILED);
    submit_lost(&world, 1, &put, 3);
    submit_lost(&world, 2, &other, 4);
    submit_lost(&world, 3, &put, 5);
    r2_world_settle(&world);
    assert_int_equal(answers[3].answer.lsn, answers[1].answer.lsn);
    assert_int_equal(answers[4].answer.error.code, PS_R2_CODE_PRECONDITION_FAILED);
    assert_int_equal(answers[5].answer.error.code, PS_R2_CODE_INTERNAL);
    world.now_ns += PS_R2_ANSWERS_KEPT_NS;
    submit_lost(&world, 2, &other, 6);
    r2_world_settle(&world);
    assert_int_equal(answers[6].answer.error.code, PS_R2_CODE_INTERNAL);
    forget_answers();
    r2_world_fini(&world);
}

static void test_bad_bytes(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_token token = token_of(1);
    struct ps_token none = {{0}};
    assert_int_equal(ps_r2_home_submit(world.home, &token, PS_LIT("what"), NULL), PS_CORRUPT);
    struct ps_r2_request put = put_of("k", "v");
    assert_int_equal(r2_world_submit(&world, &none, &put, NULL), PS_INVALID);
    assert_int_equal(ps_r2_home_pending(world.home), 0);
    assert_false(ps_r2_home_has_work(world.home));
    r2_world_fini(&world);
}

/* A commit that failed left nothing, and may be tried again with its token. */
static void test_failed_commit(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, PS_SECOND, on_answer);
    struct ps_r2_request put = put_of("k", "v");
    forget_answers();
    submit(&world, 1, &put, 0);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    assert_true(r2_world_take(&world));
    r2_world_done(&world, PS_FULL);
    assert_int_equal(answers[0].answer.error.code, PS_R2_CODE_DISK_FULL);
    assert_false(answers[0].answer.has_object);
    submit(&world, 1, &put, 1);
    r2_world_settle(&world);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_NONE);
    forget_answers();
    r2_world_fini(&world);
}

static void count(void *context, const struct ps_r2_blob *blob)
{
    *(uint64_t *)context += blob->size;
}

/* One key one at a time, in order; other keys and the parts of an upload together. */
static void test_who_waits(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct upload upload = begin(&world, "k", 0, false);
    forget_answers();
    struct ps_r2_request a = put_of("a", "1");
    struct ps_r2_request b = put_of("b", "1");
    struct ps_slice keys[] = {PS_LIT("a"), PS_LIT("b")};
    struct ps_r2_request both = {.op = PS_R2_DELETE, .keys = keys, .key_count = 2};
    struct ps_r2_blob blobs[2] = {{.size = 1000}, {.size = 500}};
    struct ps_r2_request part_1 = part_of(&upload, 1, &blobs[0]);
    struct ps_r2_request part_2 = part_of(&upload, 2, &blobs[1]);
    struct ps_r2_request abort_it = {.op = PS_R2_ABORT, .key = PS_LIT("k"), .upload_id = upload.id};
    submit(&world, 1, &a, 1);
    submit(&world, 2, &both, 2);
    submit(&world, 3, &b, 3); /* waits behind `both`, which waits for `a` */
    submit(&world, 4, &part_1, 4);
    submit(&world, 5, &part_2, 5);
    submit(&world, 6, &abort_it, 6);
    submit(&world, 7, &part_1, 7); /* waits behind the abort */
    uint64_t blob_bytes = 0;
    ps_r2_home_blobs(world.home, count, &blob_bytes);
    assert_int_equal(blob_bytes, 2500);
    static const size_t batches[] = {3, 2, 1}; /* a 1 2; both abort; b */
    for (size_t i = 0; i < 3; i++) {
        assert_true(ps_r2_home_has_work(world.home));
        ps_r2_home_run(world.home, world.now_ns, &world.sink);
        assert_false(ps_r2_home_has_work(world.home));
        assert_true(r2_world_take(&world));
        assert_int_equal(world.record_count, batches[i]);
        r2_world_apply(&world);
        r2_world_done(&world, PS_OK);
    }
    assert_int_equal(answers[7].answer.error.code, PS_R2_CODE_NO_SUCH_UPLOAD);
    struct ps_r2_object object;
    assert_false(find(&world, "a", &object));
    assert_true(find(&world, "b", &object));
    ps_r2_object_fini(&object);
    assert_int_equal(ps_r2_home_pending(world.home), 0);
    forget_answers();
    r2_world_fini(&world);
}

/* Closing waits for what came first, and what comes behind waits for it. */
static void test_close(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    const struct ps_r2_request close = {.op = PS_R2_CLOSE};
    const struct ps_r2_request put = put_of("k", "v");
    forget_answers();
    submit(&world, 1, &put, 1);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    submit(&world, 2, &close, 2);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    assert_false(answers[2].is_there); /* the put is on its way */
    r2_world_settle(&world);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_NONE);
    assert_int_equal(answers[2].answer.error.code, PS_R2_CODE_BUCKET_NOT_EMPTY);
    assert_false(ps_r2_home_closed(world.home));
    struct ps_slice key = PS_LIT("k");
    const struct ps_r2_request delete_it = {.op = PS_R2_DELETE, .keys = &key, .key_count = 1};
    check_code(&world, &delete_it, PS_R2_CODE_NONE);

    struct upload upload = begin(&world, "k", 0, false);
    check_code(&world, &close, PS_R2_CODE_BUCKET_NOT_EMPTY);
    struct ps_r2_request abort_it = {.op = PS_R2_ABORT, .key = PS_LIT("k"), .upload_id = upload.id};
    check_code(&world, &abort_it, PS_R2_CODE_NONE);

    forget_answers();
    submit(&world, 3, &close, 3);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    submit(&world, 4, &put, 4);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    assert_false(answers[4].is_there); /* it is being closed */
    r2_world_settle(&world);
    assert_int_equal(answers[3].answer.error.code, PS_R2_CODE_NONE);
    assert_int_not_equal(answers[3].answer.lsn, 0);
    assert_int_equal(answers[4].answer.error.code, PS_R2_CODE_NO_SUCH_BUCKET);
    assert_true(ps_r2_home_closed(world.home));
    uint64_t lsn = answers[3].answer.lsn;

    r2_world_crash(&world);
    assert_true(ps_r2_home_closed(world.home));
    check_code(&world, &put, PS_R2_CODE_NO_SUCH_BUCKET);
    assert_int_equal(run(&world, &close)->lsn, 0); /* it is closed already */
    forget_answers();
    submit(&world, 3, &close, 3); /* who closed it is told so again */
    submit(&world, 1, &put, 1);   /* as is what was done before */
    r2_world_settle(&world);
    assert_int_equal(answers[3].answer.lsn, lsn);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_NONE);
    forget_answers();
    r2_world_fini(&world);
}

/* A close whose commit failed has closed nothing. */
static void test_close_that_failed(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    const struct ps_r2_request close = {.op = PS_R2_CLOSE};
    const struct ps_r2_request put = put_of("k", "v");
    forget_answers();
    submit(&world, 1, &close, 1);
    ps_r2_home_run(world.home, world.now_ns, &world.sink);
    assert_true(r2_world_take(&world));
    r2_world_done(&world, PS_FULL);
    assert_int_equal(answers[1].answer.error.code, PS_R2_CODE_DISK_FULL);
    check_code(&world, &put, PS_R2_CODE_NONE);
    check_code(&world, &close, PS_R2_CODE_BUCKET_NOT_EMPTY);
    forget_answers();
    r2_world_fini(&world);
}

static void test_purge(void **state)
{
    (void)state;
    struct r2_world world;
    r2_world_init(&world, 0, on_answer);
    struct ps_r2_request purge = {.op = PS_R2_PURGE, .key = PS_LIT("k")};
    const struct ps_r2_answer *answer = run(&world, &purge);
    assert_int_equal(answer->lsn, 1);
    struct ps_buf key = {0};
    ps_r2_purge_key(&key, PS_LIT("k"));
    struct ps_version version;
    assert_int_equal(ps_map_read_begin(world.map), PS_OK);
    assert_int_equal(
        ps_map_get(world.map, world.store, ps_buf_slice(&key), &PS_BOUND_NEWEST, &version), PS_OK);
    assert_true(version.deleted); /* so that it is forgotten in time */
    key.size = 0;
    ps_r2_purged_key(&key);
    assert_int_equal(
        ps_map_get(world.map, world.store, ps_buf_slice(&key), &PS_BOUND_NEWEST, &version), PS_OK);
    assert_true(ps_slice_eq(version.value, PS_LIT("k")));
    ps_map_read_end(world.map);
    ps_buf_fini(&key);
    forget_answers();
    r2_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_delete),
        cmocka_unit_test(test_delete_what_is_old),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_write_limit),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_complete_refuses),
        cmocka_unit_test(test_complete_condition),
        cmocka_unit_test(test_create_condition),
        cmocka_unit_test(test_complete_checksums),
        cmocka_unit_test(test_old_uploads),
        cmocka_unit_test(test_most_parts),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_tries_without_a_body),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_failed_commit),
        cmocka_unit_test(test_who_waits),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_that_failed),
        cmocka_unit_test(test_purge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
