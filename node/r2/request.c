#include "node/r2/request.h"

#include "node/r2/r2_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

bool ps_r2_op_reads(enum ps_r2_op op)
{
    return op < PS_R2_PUT;
}

const char *ps_r2_op_name(enum ps_r2_op op)
{
    static const char *const names[] = {"head",
                                        "get",
                                        "list",
                                        "listParts",
                                        "listMultipartUploads",
                                        "put",
                                        "delete",
                                        "copy",
                                        "createMultipartUpload",
                                        "uploadPart",
                                        "completeMultipartUpload",
                                        "abortMultipartUpload",
                                        "purge",
                                        "deleteBucket"};
    PS_ASSERT(op <= PS_R2_CLOSE);
    return names[op];
}

/* ---- limits ---- */

static bool check_key(struct ps_slice key, struct ps_r2_error *err)
{
    return ps_r2_key_valid(key) || ps_r2_fail(err, PS_R2_CODE_INVALID_OBJECT_NAME);
}

static bool check_metadata(const struct ps_r2_metadata *meta, struct ps_r2_error *err)
{
    size_t size = 0;
    for (size_t i = 0; i < meta->custom_count; i++) {
        size += meta->custom[i].name.size + meta->custom[i].value.size;
    }
    size_t http = meta->http.content_type.size + meta->http.content_language.size +
                  meta->http.content_disposition.size + meta->http.content_encoding.size +
                  meta->http.cache_control.size;
    if (size > PS_R2_METADATA_SIZE_MAX || meta->custom_count > PS_R2_CUSTOM_MAX ||
        http > PS_R2_HTTP_SIZE_MAX) {
        return ps_r2_fail(err, PS_R2_CODE_METADATA_TOO_LARGE);
    }
    return true;
}

static uint64_t size_of(const struct ps_r2_body *body)
{
    return body->blob_count > 0 ? body->blobs[0].size : body->bytes.size;
}

/* The words of R2's own error, which name the hash and both values. */
static bool check_digest(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    enum ps_r2_hash hash = ps_r2_checksums_differ(&request->declared, &request->computed);
    if (hash == PS_R2_HASHES) {
        return true;
    }
    struct ps_buf given = {.size = 0};
    struct ps_buf actual = {.size = 0};
    ps_r2_hex(&given, ps_r2_checksums_get(&request->declared, hash));
    ps_r2_hex(&actual, ps_r2_checksums_get(&request->computed, hash));
    const char *name = ps_r2_hash_name(hash);
    (void)ps_r2_fail_with(err, PS_R2_CODE_BAD_DIGEST,
                          "The %s checksum you specified did not match what we received.\n"
                          "You provided a %s checksum with value: %s\nActual %s was: %s",
                          name, name, ps_buf_text(&given), name, ps_buf_text(&actual));
    ps_buf_fini(&given);
    ps_buf_fini(&actual);
    return false;
}

static bool check_body(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    if (size_of(&request->body) > PS_R2_UPLOAD_SIZE_MAX) {
        return ps_r2_fail(err, PS_R2_CODE_ENTITY_TOO_LARGE);
    }
    bool is_one = request->body.blob_count <= 1 && request->body.bytes.size <= PS_R2_INLINE_MAX;
    bool is_blob = request->body.blob_count == 1 || request->op == PS_R2_PUT;
    bool has_md5 = (request->computed.present & PS_R2_HASH_BIT(PS_R2_MD5)) != 0;
    /* What was declared and has not been computed cannot be promised to be right. */
    bool computed = (request->declared.present & ~request->computed.present) == 0;
    if (!is_one || !is_blob || !has_md5 || !computed) {
        return ps_r2_fail(err, PS_R2_CODE_INTERNAL);
    }
    return check_digest(request, err);
}

static bool check_part_number(uint32_t number, struct ps_r2_error *err)
{
    if (number >= 1 && number <= PS_R2_PARTS_MAX) {
        return true;
    }
    return ps_r2_fail_with(err, PS_R2_CODE_INVALID_ARGUMENT,
                           "Part number must be an integer between 1 and 10000, inclusive.");
}

static bool check_parts(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    if (request->part_count == 0 || request->part_count > PS_R2_PARTS_MAX) {
        return ps_r2_fail(err, PS_R2_CODE_MALFORMED_XML);
    }
    for (size_t i = 0; i < request->part_count; i++) {
        if (!check_part_number(request->parts[i].number, err)) {
            return false;
        }
    }
    return true;
}

static bool check_keys(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    if (request->key_count > PS_R2_DELETE_MAX) {
        return ps_r2_fail(err, PS_R2_CODE_MALFORMED_XML);
    }
    for (size_t i = 0; i < request->key_count; i++) {
        if (!check_key(request->keys[i], err)) {
            return false;
        }
    }
    return true;
}

static bool check_list(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    if (request->has_limit && (request->limit < 0 || request->limit > PS_R2_LIST_MAX)) {
        return ps_r2_fail(err, PS_R2_CODE_INVALID_MAX_KEYS);
    }
    if (request->prefix.size > PS_R2_KEY_SIZE_MAX || request->delimiter.size > PS_R2_KEY_SIZE_MAX ||
        request->start_after.size > PS_R2_KEY_SIZE_MAX) {
        return ps_r2_fail(err, PS_R2_CODE_INVALID_OBJECT_NAME);
    }
    return request->op != PS_R2_LIST_PARTS || check_key(request->key, err);
}

bool ps_r2_request_check(const struct ps_r2_request *request, struct ps_r2_error *err)
{
    switch (request->op) {
    case PS_R2_HEAD:
    case PS_R2_GET:
    case PS_R2_ABORT:
        return check_key(request->key, err);
    case PS_R2_LIST:
    case PS_R2_LIST_PARTS:
    case PS_R2_LIST_UPLOADS:
        return check_list(request, err);
    case PS_R2_DELETE:
        return check_keys(request, err);
    case PS_R2_PUT:
        return check_key(request->key, err) && check_metadata(&request->meta, err) &&
               check_body(request, err);
    case PS_R2_COPY:
        return check_key(request->key, err) && check_key(request->source_key, err) &&
               check_metadata(&request->meta, err);
    case PS_R2_CREATE_UPLOAD:
        return check_key(request->key, err) && check_metadata(&request->meta, err);
    case PS_R2_UPLOAD_PART:
        return check_key(request->key, err) && check_part_number(request->part_number, err) &&
               check_body(request, err);
    case PS_R2_COMPLETE:
        return check_key(request->key, err) && check_parts(request, err);
    case PS_R2_PURGE:
        return request->key.size == 0 || check_key(request->key, err);
    case PS_R2_CLOSE:
        return true;
    }
    return ps_r2_fail(err, PS_R2_CODE_INTERNAL);
}

bool ps_r2_ssec_check(const struct ps_r2_object *object, const struct ps_r2_ssec *given,
                      struct ps_r2_error *err)
{
    const struct ps_r2_ssec *own = &object->meta.ssec;
    if (own->given && !given->given) {
        return ps_r2_fail_with(err, PS_R2_CODE_INVALID_REQUEST,
                               "The object was stored using a form of Server Side Encryption. The "
                               "correct parameters must be provided to retrieve the object.");
    }
    if (!own->given && given->given) {
        return ps_r2_fail_with(err, PS_R2_CODE_INVALID_REQUEST,
                               "The encryption parameters are not applicable to this object.");
    }
    if (own->given && memcmp(own->key_md5, given->key_md5, PS_R2_ID_SIZE) != 0) {
        return ps_r2_fail(err, PS_R2_CODE_ACCESS_DENIED);
    }
    return true;
}

/* ---- a mutation's bytes ---- */

static void pack_etags(msgpack_packer *packer, const struct ps_r2_etag *etags, size_t count)
{
    ps_pack_array(packer, 2 * count);
    for (size_t i = 0; i < count; i++) {
        ps_pack_u64(packer, etags[i].kind);
        ps_pack_bin(packer, etags[i].value);
    }
}

static void pack_condition(msgpack_packer *packer, const struct ps_r2_condition *condition)
{
    ps_pack_array(packer, 9);
    ps_pack_bool(packer, condition->has_matches);
    pack_etags(packer, condition->matches, condition->match_count);
    ps_pack_bool(packer, condition->has_differs);
    pack_etags(packer, condition->differs, condition->differ_count);
    ps_pack_bool(packer, condition->has_before);
    ps_r2_pack_i64(packer, condition->before_ms);
    ps_pack_bool(packer, condition->has_after);
    ps_r2_pack_i64(packer, condition->after_ms);
    ps_pack_bool(packer, condition->seconds);
}

static void pack_body(msgpack_packer *packer, const struct ps_r2_body *body)
{
    ps_pack_array(packer, 1 + 2 * body->blob_count);
    ps_pack_bin(packer, body->bytes);
    for (size_t i = 0; i < body->blob_count; i++) {
        ps_r2_pack_blob(packer, &body->blobs[i]);
    }
}

static void pack_parts(msgpack_packer *packer, const struct ps_r2_request *request)
{
    ps_pack_array(packer, 3 * request->part_count);
    for (size_t i = 0; i < request->part_count; i++) {
        ps_pack_u64(packer, request->parts[i].number);
        ps_pack_bin(packer, request->parts[i].etag);
        ps_r2_pack_checksums(packer, &request->parts[i].checksums);
    }
}

void ps_r2_request_encode(struct ps_buf *buf, const struct ps_r2_request *request)
{
    PS_ASSERT(!ps_r2_op_reads(request->op));
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 19);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    ps_pack_u64(&packer, request->op);
    ps_pack_bin(&packer, request->key);
    ps_pack_array(&packer, request->key_count);
    for (size_t i = 0; i < request->key_count; i++) {
        ps_pack_bin(&packer, request->keys[i]);
    }
    pack_condition(&packer, &request->condition);
    ps_pack_u64(&packer, request->part_number);
    ps_r2_pack_metadata(&packer, &request->meta);
    ps_pack_bool(&packer, request->has_storage_class);
    ps_r2_pack_checksums(&packer, &request->declared);
    ps_r2_pack_checksums(&packer, &request->computed);
    pack_body(&packer, &request->body);
    ps_r2_pack_id(&packer, &request->upload_id);
    ps_pack_u64(&packer, request->hashes);
    ps_pack_bool(&packer, request->full_object);
    pack_parts(&packer, request);
    ps_pack_bin(&packer, request->source_key);
    pack_condition(&packer, &request->source_condition);
    ps_r2_pack_ssec(&packer, &request->source_ssec);
    ps_pack_u64(&packer, request->directive);
}

/* ---- reading them ---- */

static void note(struct ps_wire_reader *reader, enum ps_status status)
{
    reader->status = reader->status == PS_OK ? status : reader->status;
}

/* An array of groups of `each` elements: how many groups; 0 when the status is no longer PS_OK. */
static size_t open_groups(struct ps_wire_reader *reader, size_t each, size_t max,
                          struct ps_wire_reader *ret)
{
    *ret = ps_wire_reader_of(ps_wire_read_array(reader));
    size_t count = ret->left / each;
    if (ret->status == PS_OK && (ret->left % each != 0 || count > max)) {
        ret->status = PS_CORRUPT;
    }
    return ret->status == PS_OK ? count : 0;
}

static void read_etags(struct ps_wire_reader *reader, struct ps_r2_etag **ret, size_t *ret_count)
{
    struct ps_wire_reader items;
    size_t count = open_groups(reader, 2, PS_R2_ETAGS_MAX, &items);
    if (count > 0) {
        *ret = PS_NEW_ARRAY(struct ps_r2_etag, count);
        *ret_count = count;
    }
    for (size_t i = 0; i < count; i++) {
        (*ret)[i].kind = (enum ps_r2_etag_kind)ps_wire_read_u64(&items, 0, PS_R2_ETAG_ANY);
        (*ret)[i].value = ps_wire_read_bin(&items, 0, PS_R2_METADATA_SIZE_MAX);
    }
    note(reader, items.status);
}

static void read_condition(struct ps_wire_reader *reader, struct ps_r2_condition *ret)
{
    struct ps_wire_reader items = ps_wire_reader_of(ps_wire_read_array(reader));
    ret->has_matches = ps_wire_read_bool(&items);
    read_etags(&items, &ret->matches, &ret->match_count);
    ret->has_differs = ps_wire_read_bool(&items);
    read_etags(&items, &ret->differs, &ret->differ_count);
    ret->has_before = ps_wire_read_bool(&items);
    ret->before_ms = ps_r2_read_i64(&items);
    ret->has_after = ps_wire_read_bool(&items);
    ret->after_ms = ps_r2_read_i64(&items);
    ret->seconds = ps_wire_read_bool(&items);
    ps_wire_read_end(&items);
    note(reader, items.status);
}

static void read_body(struct ps_wire_reader *reader, struct ps_r2_body *ret)
{
    struct ps_wire_reader items = ps_wire_reader_of(ps_wire_read_array(reader));
    ret->bytes = ps_wire_read_bin(&items, 0, PS_R2_INLINE_MAX);
    if (items.status == PS_OK && items.left > 0) {
        ret->blobs = PS_NEW(struct ps_r2_blob);
        ret->blob_count = 1;
        ps_r2_read_blob(&items, ret->blobs);
    }
    ps_wire_read_end(&items);
    note(reader, items.status);
}

static void read_keys(struct ps_wire_reader *reader, struct ps_r2_request *ret)
{
    struct ps_wire_reader items;
    size_t count = open_groups(reader, 1, PS_R2_DELETE_MAX, &items);
    struct ps_slice *keys = count == 0 ? NULL : PS_NEW_ARRAY(struct ps_slice, count);
    for (size_t i = 0; i < count; i++) {
        keys[i] = ps_wire_read_bin(&items, 1, PS_R2_KEY_SIZE_MAX);
    }
    ret->keys = keys;
    ret->key_count = count;
    note(reader, items.status);
}

static void read_parts(struct ps_wire_reader *reader, struct ps_r2_request *ret)
{
    struct ps_wire_reader items;
    size_t count = open_groups(reader, 3, PS_R2_PARTS_MAX, &items);
    struct ps_r2_named_part *parts =
        count == 0 ? NULL : PS_NEW_ARRAY(struct ps_r2_named_part, count);
    for (size_t i = 0; i < count; i++) {
        parts[i].number = (uint32_t)ps_wire_read_u64(&items, 0, UINT32_MAX);
        parts[i].etag = ps_wire_read_bin(&items, 0, PS_R2_METADATA_SIZE_MAX);
        ps_r2_read_checksums(&items, &parts[i].checksums);
    }
    ret->parts = parts;
    ret->part_count = count;
    note(reader, items.status);
}

static enum ps_status read_request(const msgpack_object *root, struct ps_r2_request *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    ret->op = (enum ps_r2_op)ps_wire_read_u64(&reader, PS_R2_PUT, PS_R2_CLOSE);
    ret->key = ps_wire_read_bin(&reader, 0, PS_R2_KEY_SIZE_MAX);
    read_keys(&reader, ret);
    read_condition(&reader, &ret->condition);
    ret->part_number = (uint32_t)ps_wire_read_u64(&reader, 0, UINT32_MAX);
    ps_r2_read_metadata(&reader, &ret->meta);
    ret->has_storage_class = ps_wire_read_bool(&reader);
    ps_r2_read_checksums(&reader, &ret->declared);
    ps_r2_read_checksums(&reader, &ret->computed);
    read_body(&reader, &ret->body);
    ps_r2_read_id(&reader, &ret->upload_id);
    ret->hashes = (ps_r2_hash_set)ps_wire_read_u64(&reader, 0, (1U << PS_R2_HASHES) - 1);
    ret->full_object = ps_wire_read_bool(&reader);
    read_parts(&reader, ret);
    ret->source_key = ps_wire_read_bin(&reader, 0, PS_R2_KEY_SIZE_MAX);
    read_condition(&reader, &ret->source_condition);
    ps_r2_read_ssec(&reader, &ret->source_ssec);
    ret->directive = (enum ps_r2_directive)ps_wire_read_u64(&reader, 0, PS_R2_DIRECTIVE_MERGE);
    ps_wire_read_end(&reader);
    return reader.status;
}

enum ps_status ps_r2_request_decode(struct ps_slice bytes, struct ps_r2_request *ret)
{
    *ret = (struct ps_r2_request){.op = PS_R2_PUT};
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, bytes, PS_VALUE_SIZE_MAX);
    if (status == PS_OK) {
        status = read_request(&tree.root, ret);
        ps_tree_fini(&tree);
    }
    if (status != PS_OK) {
        ps_r2_request_fini(ret);
    }
    return status;
}

void ps_r2_request_fini(struct ps_r2_request *request)
{
    free((void *)(uintptr_t)request->keys); /* const only for those who borrow theirs */
    free((void *)(uintptr_t)request->parts);
    ps_r2_condition_fini(&request->condition);
    ps_r2_condition_fini(&request->source_condition);
    ps_r2_metadata_fini(&request->meta);
    ps_r2_body_fini(&request->body);
    *request = (struct ps_r2_request){.op = PS_R2_HEAD};
}

/* ---- answers ---- */

void ps_r2_answer_encode(struct ps_buf *buf, const struct ps_r2_answer *answer)
{
    struct ps_buf head = {.size = 0};
    struct ps_buf part = {.size = 0};
    if (answer->has_object) {
        ps_r2_object_encode(&head, &answer->object);
    }
    if (answer->part.number > 0) {
        ps_r2_part_encode(&part, &answer->part);
    }
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 12);
    ps_pack_u64(&packer, PS_R2_FORMAT);
    ps_pack_u64(&packer, answer->error.code);
    ps_pack_bin(&packer, ps_slice_of(answer->error.text));
    ps_pack_bin(&packer, answer->object.key);
    ps_pack_bin(&packer, ps_buf_slice(&head));
    ps_r2_pack_i64(&packer, answer->object.uploaded_ms);
    ps_r2_pack_id(&packer, &answer->upload_id);
    ps_pack_u64(&packer, answer->part.number);
    ps_pack_bin(&packer, ps_buf_slice(&part));
    ps_r2_pack_i64(&packer, answer->part.uploaded_ms);
    ps_pack_u64(&packer, answer->lsn);
    ps_pack_u64(&packer, answer->commit_ns);
    ps_buf_fini(&head);
    ps_buf_fini(&part);
}

static enum ps_status read_head(struct ps_slice key, struct ps_slice head, int64_t uploaded_ms,
                                struct ps_r2_answer *ret)
{
    if (head.size == 0) {
        return PS_OK;
    }
    enum ps_status status = ps_r2_head_decode(key, head, &ret->object);
    ret->has_object = status == PS_OK;
    ret->object.uploaded_ms = uploaded_ms;
    return status;
}

static enum ps_status read_part(struct ps_slice bytes, uint32_t number, int64_t uploaded_ms,
                                struct ps_r2_answer *ret)
{
    if (number == 0) {
        return bytes.size == 0 ? PS_OK : PS_CORRUPT;
    }
    struct ps_buf key = {.size = 0};
    ps_r2_part_key(&key, &(struct ps_r2_id){{0}}, number);
    enum ps_status status = ps_r2_part_decode(ps_buf_slice(&key), bytes, &ret->part);
    ps_buf_fini(&key);
    ret->part.uploaded_ms = status == PS_OK ? uploaded_ms : 0;
    return status;
}

static enum ps_status read_answer(const msgpack_object *root, struct ps_r2_answer *ret)
{
    struct ps_wire_reader reader = ps_wire_reader_of(root);
    ps_r2_read_format(&reader);
    ret->error.code = (enum ps_r2_code)ps_wire_read_u64(&reader, 0, PS_R2_CODES - 1);
    struct ps_slice text = ps_wire_read_bin(&reader, 0, PS_R2_ERROR_TEXT_SIZE - 1);
    struct ps_slice key = ps_wire_read_bin(&reader, 0, PS_R2_KEY_SIZE_MAX);
    struct ps_slice head = ps_wire_read_bin(&reader, 0, PS_METADATA_SIZE_MAX);
    int64_t uploaded_ms = ps_r2_read_i64(&reader);
    ps_r2_read_id(&reader, &ret->upload_id);
    uint32_t number = (uint32_t)ps_wire_read_u64(&reader, 0, PS_R2_PARTS_MAX);
    struct ps_slice part = ps_wire_read_bin(&reader, 0, PS_METADATA_SIZE_MAX);
    int64_t part_ms = ps_r2_read_i64(&reader);
    ret->lsn = ps_wire_read_u64(&reader, 0, UINT64_MAX - 1);
    ret->commit_ns = ps_wire_read_u64(&reader, 0, PS_NEVER);
    ps_wire_read_end(&reader);
    if (reader.status != PS_OK) {
        return reader.status;
    }
    if (text.size > 0) {
        memcpy(ret->error.text, text.data, text.size);
    }
    enum ps_status status = read_head(key, head, uploaded_ms, ret);
    return status == PS_OK ? read_part(part, number, part_ms, ret) : status;
}

enum ps_status ps_r2_answer_decode(struct ps_slice bytes, struct ps_r2_answer *ret)
{
    *ret = (struct ps_r2_answer){.lsn = 0};
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, bytes, PS_VALUE_SIZE_MAX);
    if (status == PS_OK) {
        status = read_answer(&tree.root, ret);
        ps_tree_fini(&tree);
    }
    if (status != PS_OK) {
        ps_r2_answer_fini(ret);
    }
    return status;
}

void ps_r2_answer_fini(struct ps_r2_answer *answer)
{
    ps_r2_object_fini(&answer->object);
    *answer = (struct ps_r2_answer){.lsn = 0};
}
