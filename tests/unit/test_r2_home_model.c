/* Home against a plain sequential model: mutations of a few keys and uploads drawn at random, many
 * at a time, batches that fail, restarts in between after which everything unanswered is sent again
 * with its token, and answered things are asked again. Each answer must be what the model says when
 * it takes the mutations one by one: those that committed in the order of their LSNs, the others
 * when they are answered. */
#include "node/r2/list.h"
#include "replication/base/random.h"
#include "tests/support/r2_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 4, VALUES = 5, NUMBERS = 3, UPLOADS_MAX = 512, OPS_MAX = 1200, ROUNDS = 12 };

static const char *const names[KEYS] = {"a", "b", "c", "d"};

struct model_object {
    bool exists;
    char etag[PS_R2_ETAG_SIZE];
    uint64_t size;
    ps_time_ns put_ns; /* the last put; PS_NEVER: none */
};

struct model_part {
    bool exists;
    size_t value;
    uint64_t size;
};

struct model_upload {
    struct ps_r2_id id;
    size_t key;
    bool live;
    struct model_part parts[NUMBERS + 1];
};

struct op {
    struct ps_token token;
    enum ps_r2_op kind;
    size_t key;
    size_t source; /* COPY */
    unsigned keys; /* DELETE: bits */
    size_t value;  /* PUT, UPLOAD_PART */
    int condition; /* 0 none, 1 If-None-Match: *, 2 .. If-Match: of value - 2 */
    size_t upload; /* index into uploads; UPLOADS_MAX: of none */
    uint32_t number;
    uint64_t size;
    unsigned numbers; /* COMPLETE: bits */
    size_t values[NUMBERS + 1];
    bool applied; /* by the model */
    enum ps_r2_code code;
    char etag[PS_R2_ETAG_SIZE];
    uint64_t lsn;
    size_t answers;
};

static struct {
    struct r2_world world;
    struct ps_rng rng;
    struct model_object objects[KEYS];
    struct model_upload uploads[UPLOADS_MAX];
    size_t upload_count;
    struct op ops[OPS_MAX];
    size_t op_count;
    uint64_t lsn;        /* of the last mutation that the model took */
    size_t restarted_at; /* ops before it may not be asked again unless they committed */
} game;

static uint64_t draw(uint64_t bound)
{
    return ps_rng_below(&game.rng, bound);
}

static void value_md5(size_t value, struct ps_r2_checksums *ret)
{
    char text[8];
    int size = snprintf(text, sizeof text, "v%zu", value);
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), (struct ps_slice){text, (size_t)size}, ret);
}

static void value_etag(size_t value, char ret[PS_R2_ETAG_SIZE])
{
    struct ps_r2_checksums sums;
    value_md5(value, &sums);
    ps_r2_etag_of_md5(sums.bytes[PS_R2_MD5], ret);
}

/* ---- the model ---- */

static enum ps_r2_code model_may_write(const struct op *op, ps_time_ns at_ns)
{
    const struct model_object *object = &game.objects[op->key];
    char etag[PS_R2_ETAG_SIZE] = "";
    if (op->condition >= 2) {
        value_etag((size_t)op->condition - 2, etag);
    }
    bool good =
        op->condition == 0 ||
        (op->condition == 1 ? !object->exists : object->exists && strcmp(etag, object->etag) == 0);
    if (!good) {
        return PS_R2_CODE_PRECONDITION_FAILED;
    }
    bool soon = object->put_ns != PS_NEVER && object->put_ns + game.world.interval_ns > at_ns;
    return soon ? PS_R2_CODE_TOO_MANY_REQUESTS : PS_R2_CODE_NONE;
}

static void model_store(struct op *op, uint64_t size, ps_time_ns at_ns)
{
    struct model_object *object = &game.objects[op->key];
    object->exists = true;
    object->size = size;
    object->put_ns = at_ns;
    memcpy(object->etag, op->etag, sizeof object->etag);
}

static struct model_upload *model_find(const struct op *op)
{
    struct model_upload *upload = op->upload < game.upload_count ? &game.uploads[op->upload] : NULL;
    return upload != NULL && upload->live && upload->key == op->key ? upload : NULL;
}

static enum ps_r2_code model_complete(struct op *op, ps_time_ns at_ns)
{
    struct model_upload *upload = model_find(op);
    if (upload == NULL) {
        return PS_R2_CODE_NO_SUCH_UPLOAD;
    }
    uint8_t md5s[NUMBERS][PS_R2_ID_SIZE];
    uint64_t sizes[NUMBERS];
    size_t count = 0;
    uint64_t size = 0;
    for (uint32_t number = 1; number <= NUMBERS; number++) {
        const struct model_part *part = &upload->parts[number];
        if ((op->numbers >> number & 1U) == 0) {
            continue;
        }
        if (!part->exists || part->value != op->values[number]) {
            return PS_R2_CODE_INVALID_PART;
        }
        struct ps_r2_checksums sums;
        value_md5(part->value, &sums);
        memcpy(md5s[count], sums.bytes[PS_R2_MD5], PS_R2_ID_SIZE);
        sizes[count++] = part->size;
        size += part->size;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (sizes[i] < PS_R2_PART_SIZE_MIN) {
            return PS_R2_CODE_ENTITY_TOO_SMALL;
        }
    }
    for (size_t i = 1; i < count; i++) {
        if (i + 1 < count ? sizes[i] != sizes[0] : sizes[i] > sizes[0]) {
            return PS_R2_CODE_BAD_UPLOAD;
        }
    }
    enum ps_r2_code code = model_may_write(op, at_ns);
    if (code == PS_R2_CODE_NONE) {
        ps_r2_etag_of_parts((const uint8_t(*)[PS_R2_ID_SIZE])md5s, count, op->etag);
        model_store(op, size, at_ns);
    }
    upload->live = code == PS_R2_CODE_TOO_MANY_REQUESTS;
    return code;
}

static enum ps_r2_code model_put_part(struct op *op)
{
    struct model_upload *upload = model_find(op);
    if (upload == NULL) {
        return PS_R2_CODE_NO_SUCH_UPLOAD;
    }
    upload->parts[op->number] = (struct model_part){true, op->value, op->size};
    value_etag(op->value, op->etag);
    return PS_R2_CODE_NONE;
}

static enum ps_r2_code model_abort(const struct op *op)
{
    struct model_upload *upload = model_find(op);
    if (upload != NULL) {
        upload->live = false;
        return PS_R2_CODE_NONE;
    }
    bool ended = op->upload < game.upload_count && !game.uploads[op->upload].live;
    return ended ? PS_R2_CODE_NONE : PS_R2_CODE_NO_SUCH_UPLOAD;
}

static enum ps_r2_code model_write(struct op *op, ps_time_ns at_ns)
{
    const struct model_object *source = &game.objects[op->source];
    uint64_t size = 2;
    if (op->kind == PS_R2_COPY && !source->exists) {
        return PS_R2_CODE_NO_SUCH_KEY;
    }
    enum ps_r2_code code = model_may_write(op, at_ns);
    if (code == PS_R2_CODE_NONE) {
        if (op->kind == PS_R2_COPY) {
            memcpy(op->etag, source->etag, sizeof op->etag);
            size = source->size;
        } else {
            value_etag(op->value, op->etag);
        }
        model_store(op, size, at_ns);
    }
    return code;
}

static void model_apply(struct op *op, ps_time_ns at_ns)
{
    assert_false(op->applied);
    op->applied = true;
    op->code = PS_R2_CODE_NONE;
    if (op->kind == PS_R2_PUT || op->kind == PS_R2_COPY) {
        op->code = model_write(op, at_ns);
    } else if (op->kind == PS_R2_DELETE) {
        for (size_t i = 0; i < KEYS; i++) {
            game.objects[i].exists = game.objects[i].exists && (op->keys >> i & 1U) == 0;
        }
    } else if (op->kind == PS_R2_CREATE_UPLOAD) {
        game.uploads[game.upload_count++] = (struct model_upload){
            .id = ps_r2_id_of_token(&op->token, 1), .key = op->key, .live = true};
    } else if (op->kind == PS_R2_UPLOAD_PART) {
        op->code = model_put_part(op);
    } else if (op->kind == PS_R2_COMPLETE) {
        op->code = model_complete(op, at_ns);
    } else {
        op->code = model_abort(op);
    }
}

/* ---- answers ---- */

static void on_answer(void *context, void *tag, const struct ps_r2_answer *answer)
{
    (void)context;
    struct op *op = (struct op *)tag;
    if (!op->applied) {
        if (answer->lsn > 0) {
            assert_int_equal(answer->lsn, game.lsn + 1);
            game.lsn = answer->lsn;
        }
        op->lsn = answer->lsn;
        model_apply(op, answer->commit_ns);
    }
    op->answers++;
    if (answer->error.code != op->code || answer->lsn != op->lsn) {
        fail_msg("op %td %s: %s at %d, the model says %s at %d", op - game.ops,
                 ps_r2_op_name(op->kind), ps_r2_code_info(answer->error.code)->s3_code,
                 (int)answer->lsn, ps_r2_code_info(op->code)->s3_code, (int)op->lsn);
    }
    if (op->code != PS_R2_CODE_NONE) {
        return;
    }
    if (op->kind == PS_R2_PUT || op->kind == PS_R2_COPY || op->kind == PS_R2_COMPLETE) {
        assert_true(answer->has_object);
        assert_string_equal(answer->object.etag, op->etag);
        assert_int_equal(answer->object.uploaded_ms,
                         ps_r2_unix_ms(&game.world.cluster, answer->commit_ns));
    } else if (op->kind == PS_R2_UPLOAD_PART) {
        char etag[PS_R2_ETAG_SIZE];
        ps_r2_etag_of_md5(answer->part.checksums.bytes[PS_R2_MD5], etag);
        assert_string_equal(etag, op->etag);
    }
}

/* ---- drawing and sending ---- */

static void draw_upload(struct op *op)
{
    static const uint64_t sizes[] = {PS_R2_PART_SIZE_MIN, PS_R2_PART_SIZE_MIN,
                                     PS_R2_PART_SIZE_MIN + 1, 100};
    size_t newest = game.upload_count < 6 ? game.upload_count : 6;
    op->upload = newest == 0 || draw(20) == 0 ? UPLOADS_MAX : game.upload_count - 1 - draw(newest);
    const struct model_upload *upload =
        op->upload == UPLOADS_MAX ? NULL : &game.uploads[op->upload];
    op->key = upload == NULL || draw(20) == 0 ? draw(KEYS) : upload->key;
    op->number = 1 + (uint32_t)draw(NUMBERS);
    op->size = sizes[draw(4)];
    for (uint32_t number = 1; number <= NUMBERS; number++) {
        bool there = upload != NULL && upload->parts[number].exists;
        bool named = there ? draw(8) != 0 : draw(12) == 0;
        op->numbers |= named ? 1U << number : 0;
        op->values[number] = there && draw(12) != 0 ? upload->parts[number].value : draw(VALUES);
    }
    op->numbers |= op->numbers == 0 ? 2 : 0;
}

static void draw_op(struct op *op)
{
    static const enum ps_r2_op kinds[] = {PS_R2_PUT,           PS_R2_PUT,         PS_R2_PUT,
                                          PS_R2_PUT,           PS_R2_DELETE,      PS_R2_COPY,
                                          PS_R2_CREATE_UPLOAD, PS_R2_UPLOAD_PART, PS_R2_UPLOAD_PART,
                                          PS_R2_UPLOAD_PART,   PS_R2_COMPLETE,    PS_R2_ABORT};

    uint64_t number = game.op_count;
    *op = (struct op){.kind = kinds[draw(12)],
                      .key = draw(KEYS),
                      .source = draw(KEYS),
                      .keys = (unsigned)draw(1U << KEYS),
                      .value = draw(VALUES),
                      .condition = draw(2) == 0 ? 0 : 1 + (int)draw(VALUES + 1)};
    memcpy(op->token.bytes, &number, sizeof number);
    op->token.bytes[15] = 1;
    if (op->kind >= PS_R2_UPLOAD_PART) {
        draw_upload(op);
    }
}

static void send(struct op *op)
{
    struct ps_r2_request request = {.op = op->kind,
                                    .key = ps_slice_of(names[op->key]),
                                    .source_key = ps_slice_of(names[op->source]),
                                    .part_number = op->number};
    struct ps_r2_etag etag = {.kind = PS_R2_ETAG_ANY};
    char etag_text[PS_R2_ETAG_SIZE];
    bool writes = op->kind == PS_R2_PUT || op->kind == PS_R2_COPY || op->kind == PS_R2_COMPLETE;
    if (writes && op->condition == 1) {
        request.condition =
            (struct ps_r2_condition){.has_differs = true, .differs = &etag, .differ_count = 1};
    } else if (writes && op->condition >= 2) {
        value_etag((size_t)op->condition - 2, etag_text);
        etag = (struct ps_r2_etag){PS_R2_ETAG_STRONG, ps_slice_of(etag_text)};
        request.condition =
            (struct ps_r2_condition){.has_matches = true, .matches = &etag, .match_count = 1};
    }
    struct ps_slice keys[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        if ((op->keys >> i & 1U) != 0) {
            keys[request.key_count++] = ps_slice_of(names[i]);
        }
    }
    request.keys = keys;
    struct ps_r2_blob blob = {.size = op->size};
    value_md5(op->value, &request.computed);
    if (op->kind == PS_R2_PUT) {
        request.body.bytes = PS_LIT("vv"); /* of the right size */
    } else if (op->kind == PS_R2_UPLOAD_PART) {
        request.body = (struct ps_r2_body){.blobs = &blob, .blob_count = 1};
    }
    request.upload_id =
        op->upload < game.upload_count ? game.uploads[op->upload].id : (struct ps_r2_id){{0xEE}};
    struct ps_r2_named_part parts[NUMBERS];
    char etags[NUMBERS][PS_R2_ETAG_SIZE];
    for (uint32_t number = NUMBERS; number > 0; number--) { /* in no good order */
        if ((op->numbers >> number & 1U) != 0) {
            size_t i = request.part_count++;
            value_etag(op->values[number], etags[i]);
            parts[i] = (struct ps_r2_named_part){.number = number, .etag = ps_slice_of(etags[i])};
        }
    }
    request.parts = parts;
    assert_int_equal(r2_world_submit(&game.world, &op->token, &request, op), PS_OK);
}

/* What lies in the map counts, although nobody was told. */
static void apply_batch_silently(void)
{
    for (size_t i = 0; i < game.world.record_count; i++) {
        const struct ps_record *record = &game.world.records[i];
        uint64_t number;
        memcpy(&number, record->token.bytes, sizeof number);
        struct op *op = &game.ops[number];
        assert_int_equal(record->lsn, game.lsn + 1);
        game.lsn = record->lsn;
        op->lsn = record->lsn;
        model_apply(op, record->commit_ns);
    }
}

static void restart(void)
{
    r2_world_crash(&game.world);
    game.restarted_at = game.op_count;
    for (size_t i = 0; i < game.op_count; i++) {
        if (game.ops[i].answers == 0) {
            send(&game.ops[i]);
        }
    }
}

static void step(void)
{
    game.world.now_ns += draw(700) * PS_MS;
    for (uint64_t left = draw(6); left > 0 && game.op_count < OPS_MAX; left--) {
        draw_op(&game.ops[game.op_count]);
        send(&game.ops[game.op_count++]);
    }
    if (game.op_count > 0 && draw(4) == 0) { /* asked again */
        size_t i = draw(game.op_count);
        struct op *op = &game.ops[i];
        if (op->lsn > 0 || (i >= game.restarted_at && i + 20 > game.op_count)) {
            send(op);
        }
    }
    ps_r2_home_run(game.world.home, game.world.now_ns, &game.world.sink);
    if (!r2_world_take(&game.world)) {
        return;
    }
    uint64_t fate = draw(20);
    if (fate == 0) {
        restart(); /* before it was durable */
    } else if (fate == 1) {
        r2_world_apply(&game.world);
        apply_batch_silently();
        restart();
    } else {
        r2_world_apply(&game.world);
        r2_world_done(&game.world, PS_OK);
    }
}

static void compare_end(void)
{
    struct ps_version version;
    struct ps_r2_object object;
    assert_int_equal(ps_map_read_begin(game.world.map), PS_OK);
    for (size_t i = 0; i < KEYS; i++) {
        bool found =
            ps_map_get(game.world.map, game.world.store, ps_slice_of(names[i]), &PS_BOUND_NEWEST,
                       &version) == PS_OK &&
            ps_r2_object_of(&game.world.cluster, ps_slice_of(names[i]), &version, &object) == PS_OK;
        assert_int_equal(found, game.objects[i].exists);
        if (found) {
            assert_string_equal(object.etag, game.objects[i].etag);
            assert_int_equal(object.size, game.objects[i].size);
            ps_r2_object_fini(&object);
        }
    }
    size_t live = 0;
    for (size_t i = 0; i < game.upload_count; i++) {
        live += game.uploads[i].live ? 1 : 0;
    }
    struct ps_r2_request list = {.op = PS_R2_LIST_UPLOADS};
    struct ps_r2_page page;
    struct ps_r2_error err = {0};
    assert_int_equal(
        ps_r2_list(game.world.map, game.world.store, &game.world.cluster, &PS_BOUND_NEWEST, &list,
                   ps_r2_unix_ms(&game.world.cluster, game.world.now_ns), 0, &page, &err),
        PS_OK);
    assert_int_equal(page.upload_count, live);
    ps_r2_page_fini(&page);
    ps_map_read_end(game.world.map);
}

static void test_model(void **state)
{
    (void)state;
    size_t codes[PS_R2_CODES] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        memset(&game, 0, sizeof game);
        game.rng = (struct ps_rng){.seed = 100 + round};
        for (size_t i = 0; i < KEYS; i++) {
            game.objects[i].put_ns = PS_NEVER;
        }
        r2_world_init(&game.world, round % 2 == 0 ? 0 : PS_SECOND, on_answer);
        while (game.op_count < OPS_MAX) {
            step();
        }
        r2_world_settle(&game.world);
        for (size_t i = 0; i < game.op_count; i++) {
            assert_true(game.ops[i].answers > 0);
            codes[game.ops[i].code]++;
        }
        compare_end();
        r2_world_fini(&game.world);
    }

    /* All that can happen did. */
    static const enum ps_r2_code happen[] = {
        PS_R2_CODE_NONE,           PS_R2_CODE_NO_SUCH_KEY,      PS_R2_CODE_PRECONDITION_FAILED,
        PS_R2_CODE_INVALID_PART,   PS_R2_CODE_BAD_UPLOAD,       PS_R2_CODE_ENTITY_TOO_SMALL,
        PS_R2_CODE_NO_SUCH_UPLOAD, PS_R2_CODE_TOO_MANY_REQUESTS};

    for (size_t i = 0; i < sizeof happen / sizeof happen[0]; i++) {
        assert_true(codes[happen[i]] > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
