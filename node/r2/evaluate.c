#include "node/r2/home_internal.h"
#include "node/r2/list.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum { ID_VERSION, ID_UPLOAD }; /* which of a token's ids */

struct eval {
    const struct ps_r2_against *against;
    struct ps_r2_mutation *mutation;
    const struct ps_r2_request *request;
    struct ps_r2_error *err;
};

/* ---- entries ---- */

static struct ps_slice copy_to(char **at, struct ps_slice bytes)
{
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
    }
    struct ps_slice copied = {*at, bytes.size};
    *at += bytes.size;
    return copied;
}

static struct ps_entry *add_entry(struct eval *eval, struct ps_slice key, struct ps_slice metadata,
                                  struct ps_slice value, bool deleted)
{
    struct ps_r2_mutation *mutation = eval->mutation;
    struct ps_record *record = &mutation->commit.record;
    PS_ASSERT(record->entry_count < PS_ENTRIES_MAX);
    char *at = ps_calloc(key.size + metadata.size + value.size + 1, 1);
    mutation->memory = ps_grow(mutation->memory, record->entry_count, &mutation->memory_capacity,
                               sizeof *mutation->memory);
    mutation->memory[record->entry_count] = at;
    record->entries = ps_grow(record->entries, record->entry_count, &mutation->entry_capacity,
                              sizeof *record->entries);
    struct ps_entry *entry = &record->entries[record->entry_count++];
    *entry = (struct ps_entry){.deleted = deleted};
    entry->key = copy_to(&at, key);
    entry->metadata = copy_to(&at, metadata);
    entry->value = copy_to(&at, value);
    return entry;
}

static void add_tombstone(struct eval *eval, struct ps_slice key)
{
    static const struct ps_slice none;
    (void)add_entry(eval, key, none, none, true);
}

/* The new version of request->key, which is also the answer. */
static void add_object(struct eval *eval, const struct ps_r2_object *object, struct ps_slice value)
{
    struct ps_r2_answer *answer = &eval->mutation->answer;
    struct ps_buf head = {.size = 0};
    ps_r2_object_encode(&head, object);
    const struct ps_entry *entry =
        add_entry(eval, eval->request->key, ps_buf_slice(&head), value, false);
    ps_buf_fini(&head);
    enum ps_status status = ps_r2_head_decode(entry->key, entry->metadata, &answer->object);
    PS_ASSERT(status == PS_OK);
    answer->has_object = true;
}

/* ---- what is there ---- */

/* The newest version; tombstones are found, too. */
static bool find_version(struct eval *eval, struct ps_slice key, struct ps_version *ret)
{
    enum ps_status status =
        ps_map_get(eval->against->map, eval->against->store, key, &PS_BOUND_NEWEST, ret);
    if (status != PS_OK && status != PS_NOT_FOUND) {
        (void)ps_r2_fail(eval->err, ps_r2_code_of(status));
    }
    return status == PS_OK;
}

/* An object; false when there is none, or with an error. The caller's in either case. */
static bool find_object(struct eval *eval, struct ps_slice key, struct ps_r2_object *ret)
{
    struct ps_version version;
    *ret = (struct ps_r2_object){.size = 0};
    if (!find_version(eval, key, &version)) {
        return false;
    }
    enum ps_status status = ps_r2_object_of(eval->against->cluster, key, &version, ret);
    if (status != PS_OK && status != PS_NOT_FOUND) {
        (void)ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL);
    }
    return status == PS_OK;
}

static bool holds(struct eval *eval, const struct ps_r2_condition *condition,
                  const struct ps_r2_object *object)
{
    return ps_r2_condition_test(condition, object) == PS_R2_HOLDS ||
           ps_r2_fail(eval->err, PS_R2_CODE_PRECONDITION_FAILED);
}

/* May the key be put now? Its deletes do not count, and do not lift the limit. */
static bool check_rate(struct eval *eval, struct ps_slice key)
{
    const struct ps_r2_against *against = eval->against;
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    while (against->write_interval_ns > 0 &&
           ps_map_get(against->map, against->store, key, &bound, &version) == PS_OK &&
           ps_time_add(version.commit_ns, against->write_interval_ns) > against->now_ns) {
        if (!version.deleted) {
            return ps_r2_fail(eval->err, PS_R2_CODE_TOO_MANY_REQUESTS);
        }
        bound.lsn_max = version.lsn - 1;
    }
    return true;
}

/* Does the request's condition hold of the object that is there now? */
static bool holds_now(struct eval *eval)
{
    struct ps_r2_object current;
    bool found = find_object(eval, eval->request->key, &current);
    bool good = eval->err->code == PS_R2_CODE_NONE &&
                holds(eval, &eval->request->condition, found ? &current : NULL);
    ps_r2_object_fini(&current);
    return good;
}

/* May request->key be written: its condition, and the limit? */
static bool may_write(struct eval *eval)
{
    return holds_now(eval) && check_rate(eval, eval->request->key);
}

/* ---- put, delete, copy, purge ---- */

static void run_put(struct eval *eval)
{
    const struct ps_r2_request *request = eval->request;
    if (!may_write(eval)) {
        return;
    }
    const struct ps_r2_body *body = &request->body;
    struct ps_r2_object object = {.version = ps_r2_id_of_token(&eval->mutation->token, ID_VERSION),
                                  .size =
                                      body->blob_count > 0 ? body->blobs[0].size : body->bytes.size,
                                  .checksums = request->computed,
                                  .meta = request->meta,
                                  .is_inline = body->blob_count == 0};
    object.checksums.present &= request->declared.present | PS_R2_HASH_BIT(PS_R2_MD5);
    ps_r2_etag_of_md5(request->computed.bytes[PS_R2_MD5], object.etag);
    struct ps_buf blobs = {.size = 0};
    if (body->blob_count > 0) {
        ps_r2_blobs_encode(&blobs, body->blobs, body->blob_count);
    }
    add_object(eval, &object, object.is_inline ? body->bytes : ps_buf_slice(&blobs));
    ps_buf_fini(&blobs);
}

/* Of a delete with a condition, only the keys for which it holds are deleted. */
static bool applies(struct eval *eval, struct ps_slice key)
{
    struct ps_r2_object object;
    const struct ps_r2_condition *condition = &eval->request->condition;
    if (!ps_r2_condition_given(condition)) {
        return true;
    }
    bool found = find_object(eval, key, &object);
    bool holds = found && ps_r2_condition_test(condition, &object) == PS_R2_HOLDS;
    ps_r2_object_fini(&object);
    return holds;
}

/* The holds are the keys, each once, and the bucket. */
static void run_delete(struct eval *eval)
{
    for (size_t i = 0; i < eval->mutation->hold_count; i++) {
        const struct ps_r2_lock *lock = eval->mutation->holds[i].lock;
        struct ps_slice key = {lock->key, lock->key_size};
        struct ps_version version;
        if (eval->mutation->holds[i].exclusive && find_version(eval, key, &version) &&
            !version.deleted && applies(eval, key)) {
            add_tombstone(eval, key);
        }
    }
}

static struct ps_slice either(struct ps_slice first, struct ps_slice second)
{
    return first.size > 0 ? first : second;
}

static bool names(const struct ps_r2_metadata *meta, struct ps_slice name)
{
    for (size_t i = 0; i < meta->custom_count; i++) {
        if (ps_slice_eq(meta->custom[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* What the request gives, and of the source what it does not. Owns `custom`. */
static struct ps_r2_metadata merge(const struct ps_r2_metadata *given,
                                   const struct ps_r2_metadata *source)
{
    struct ps_r2_metadata merged = *given;
    struct ps_r2_http *http = &merged.http;
    http->content_type = either(given->http.content_type, source->http.content_type);
    http->content_language = either(given->http.content_language, source->http.content_language);
    http->content_disposition =
        either(given->http.content_disposition, source->http.content_disposition);
    http->content_encoding = either(given->http.content_encoding, source->http.content_encoding);
    http->cache_control = either(given->http.cache_control, source->http.cache_control);
    if (!given->http.has_cache_expiry) {
        http->has_cache_expiry = source->http.has_cache_expiry;
        http->cache_expiry_ms = source->http.cache_expiry_ms;
    }
    merged.custom = PS_NEW_ARRAY(struct ps_r2_pair, given->custom_count + source->custom_count + 1);
    for (size_t i = 0; i < given->custom_count; i++) {
        merged.custom[i] = given->custom[i];
    }
    for (size_t i = 0; i < source->custom_count; i++) {
        if (!names(given, source->custom[i].name)) {
            merged.custom[merged.custom_count++] = source->custom[i];
        }
    }
    return merged;
}

static void copy_object(struct eval *eval, const struct ps_r2_object *source)
{
    const struct ps_r2_request *request = eval->request;
    struct ps_r2_object object = *source;
    object.version = ps_r2_id_of_token(&eval->mutation->token, ID_VERSION);
    object.meta = request->directive == PS_R2_DIRECTIVE_REPLACE ? request->meta : source->meta;
    bool merges = request->directive == PS_R2_DIRECTIVE_MERGE;
    if (merges) {
        object.meta = merge(&request->meta, &source->meta);
    }
    object.meta.storage_class =
        request->has_storage_class ? request->meta.storage_class : PS_R2_STANDARD;
    object.meta.ssec = request->meta.ssec;
    struct ps_r2_request check = {
        .op = PS_R2_CREATE_UPLOAD, .key = request->key, .meta = object.meta};
    if (ps_r2_request_check(&check, eval->err)) {
        add_object(eval, &object, source->body);
    }
    if (merges) {
        free(object.meta.custom);
    }
}

static void run_copy(struct eval *eval)
{
    const struct ps_r2_request *request = eval->request;
    struct ps_r2_object source;
    if (!find_object(eval, request->source_key, &source)) {
        (void)ps_r2_fail(eval->err, PS_R2_CODE_NO_SUCH_KEY);
    } else if (ps_r2_ssec_check(&source, &request->source_ssec, eval->err) &&
               holds(eval, &request->source_condition, &source) && may_write(eval)) {
        copy_object(eval, &source);
    }
    ps_r2_object_fini(&source);
}

/* A deletion of its own key, so that the map forgets it in time; what it is of stands beside it. */
static void run_purge(struct eval *eval)
{
    struct ps_buf key = {.size = 0};
    ps_r2_purge_key(&key, eval->request->key);
    add_tombstone(eval, ps_buf_slice(&key));
    key.size = 0;
    ps_r2_purged_key(&key);
    (void)add_entry(eval, ps_buf_slice(&key), (struct ps_slice){NULL, 0}, eval->request->key,
                    false);
    ps_buf_fini(&key);
}

/* ---- close ---- */

/* Is there nothing of that kind? */
static bool lists_nothing(struct eval *eval, enum ps_r2_op op)
{
    const struct ps_r2_against *against = eval->against;
    const struct ps_r2_request any = {.op = op, .has_limit = true, .limit = 1};
    struct ps_r2_page page = {.truncated = false};
    enum ps_status status =
        ps_r2_list(against->map, against->store, against->cluster, &PS_BOUND_NEWEST, &any,
                   ps_r2_unix_ms(against->cluster, against->now_ns), 0, &page, eval->err);
    bool nothing = page.object_count == 0 && page.upload_count == 0 && !page.truncated;
    ps_r2_page_fini(&page);
    return status == PS_OK ? nothing : ps_r2_fail(eval->err, ps_r2_code_of(status));
}

/* Uploads that are not completed count. */
static void run_close(struct eval *eval)
{
    if (eval->against->closed) {
        return;
    }
    if (!lists_nothing(eval, PS_R2_LIST) || !lists_nothing(eval, PS_R2_LIST_UPLOADS)) {
        (void)ps_r2_fail(eval->err, PS_R2_CODE_BUCKET_NOT_EMPTY);
        return;
    }
    struct ps_buf key = {.size = 0};
    ps_r2_closed_key(&key);
    (void)add_entry(eval, ps_buf_slice(&key), (struct ps_slice){NULL, 0},
                    (struct ps_slice){NULL, 0}, false);
    ps_buf_fini(&key);
}

/* ---- multipart ---- */

/* A condition is asked for here alone: what becomes of the key until the upload completes is
 * another question. */
static void run_create(struct eval *eval)
{
    const struct ps_r2_request *request = eval->request;
    if (!holds_now(eval)) {
        return;
    }
    struct ps_r2_upload upload = {.key = request->key,
                                  .meta = request->meta,
                                  .hashes = request->hashes,
                                  .full_object = request->full_object};
    struct ps_buf key = {.size = 0};
    struct ps_buf head = {.size = 0};
    eval->mutation->answer.upload_id = ps_r2_id_of_token(&eval->mutation->token, ID_UPLOAD);
    ps_r2_upload_key(&key, &eval->mutation->answer.upload_id);
    ps_r2_upload_encode(&head, &upload);
    (void)add_entry(eval, ps_buf_slice(&key), ps_buf_slice(&head), (struct ps_slice){NULL, 0},
                    false);
    ps_buf_fini(&key);
    ps_buf_fini(&head);
}

/* The upload that the request names; false and an error when there is none. `key` and `ret` are the
 * caller's. `ret_ended`: there was one, which completed or was aborted. */
static bool find_upload(struct eval *eval, struct ps_buf *key, struct ps_r2_upload *ret,
                        bool *ret_ended)
{
    struct ps_version version;
    *ret = (struct ps_r2_upload){.hashes = 0};
    *ret_ended = false;
    ps_r2_upload_key(key, &eval->request->upload_id);
    if (!find_version(eval, ps_buf_slice(key), &version)) {
        return ps_r2_fail(eval->err, PS_R2_CODE_NO_SUCH_UPLOAD);
    }
    *ret_ended = version.deleted;
    if (version.deleted) {
        return ps_r2_fail(eval->err, PS_R2_CODE_NO_SUCH_UPLOAD);
    }
    if (ps_r2_upload_decode(ps_buf_slice(key), version.metadata, ret) != PS_OK) {
        return ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL);
    }
    const struct ps_cluster *cluster = eval->against->cluster;
    ret->initiated_ms = ps_r2_unix_ms(cluster, version.commit_ns);
    int64_t age_ms = ps_r2_unix_ms(cluster, eval->against->now_ns) - ret->initiated_ms;
    /* One that is too old is only there to be aborted. */
    bool is_there = ps_slice_eq(ret->key, eval->request->key) &&
                    (age_ms < PS_R2_UPLOAD_AGE_MS || eval->request->op == PS_R2_ABORT);
    return is_there || ps_r2_fail(eval->err, PS_R2_CODE_NO_SUCH_UPLOAD);
}

static void add_part(struct eval *eval, const struct ps_r2_upload *upload)
{
    const struct ps_r2_request *request = eval->request;
    struct ps_r2_part *part = &eval->mutation->answer.part;
    *part = (struct ps_r2_part){.number = request->part_number,
                                .blob = request->body.blobs[0],
                                .checksums = request->computed};
    part->checksums.present &=
        request->declared.present | upload->hashes | PS_R2_HASH_BIT(PS_R2_MD5);
    struct ps_buf key = {.size = 0};
    struct ps_buf head = {.size = 0};
    ps_r2_part_key(&key, &request->upload_id, request->part_number);
    ps_r2_part_encode(&head, part);
    (void)add_entry(eval, ps_buf_slice(&key), ps_buf_slice(&head), (struct ps_slice){NULL, 0},
                    false);
    ps_buf_fini(&key);
    ps_buf_fini(&head);
}

static void run_part(struct eval *eval)
{
    struct ps_buf key = {.size = 0};
    struct ps_r2_upload upload;
    bool ended;
    if (find_upload(eval, &key, &upload, &ended)) {
        struct ps_r2_object as_object = {.meta = upload.meta};
        if (ps_r2_ssec_check(&as_object, &eval->request->meta.ssec, eval->err)) {
            add_part(eval, &upload);
        }
    }
    ps_r2_upload_fini(&upload);
    ps_buf_fini(&key);
}

static bool tombstone_part(void *context, struct ps_slice key, const struct ps_version *version)
{
    if (!version->deleted) {
        add_tombstone(context, key);
    }
    return true;
}

/* The upload and all its parts go. */
static void end_upload(struct eval *eval, struct ps_slice upload_key)
{
    struct ps_buf prefix = {.size = 0};
    ps_r2_part_key(&prefix, &eval->request->upload_id, 0);
    add_tombstone(eval, upload_key);
    enum ps_status status =
        ps_map_list(eval->against->map, eval->against->store, ps_buf_slice(&prefix),
                    (struct ps_slice){NULL, 0}, &PS_BOUND_NEWEST, tombstone_part, eval);
    if (status != PS_OK) {
        (void)ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL);
    }
    ps_buf_fini(&prefix);
}

static void run_abort(struct eval *eval)
{
    struct ps_buf key = {.size = 0};
    struct ps_r2_upload upload;
    bool ended;
    if (find_upload(eval, &key, &upload, &ended)) {
        end_upload(eval, ps_buf_slice(&key));
    } else if (ended) {
        *eval->err = (struct ps_r2_error){.code = PS_R2_CODE_NONE}; /* again: nothing to do */
    }
    ps_r2_upload_fini(&upload);
    ps_buf_fini(&key);
}

/* ---- completing ---- */

/* The named parts as they are here, ascending. */
struct assembly {
    struct ps_r2_part *parts;
    size_t count;
    uint64_t size;
};

static int by_number(const void *a, const void *b)
{
    const struct ps_r2_named_part *x = a;
    const struct ps_r2_named_part *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static bool is_same_part(const struct ps_r2_named_part *named, const struct ps_r2_part *part)
{
    char etag[PS_R2_ETAG_SIZE];
    ps_r2_etag_of_md5(part->checksums.bytes[PS_R2_MD5], etag);
    return ps_slice_eq(named->etag, ps_slice_of(etag)) &&
           (named->checksums.present & ~part->checksums.present) == 0 &&
           ps_r2_checksums_differ(&named->checksums, &part->checksums) == PS_R2_HASHES;
}

static bool find_part(struct eval *eval, const struct ps_r2_named_part *named,
                      struct ps_r2_part *ret)
{
    struct ps_buf key = {.size = 0};
    struct ps_version version;
    ps_r2_part_key(&key, &eval->request->upload_id, named->number);
    bool found = find_version(eval, ps_buf_slice(&key), &version) && !version.deleted &&
                 ps_r2_part_decode(ps_buf_slice(&key), version.metadata, ret) == PS_OK &&
                 is_same_part(named, ret);
    ps_buf_fini(&key);
    return found || ps_r2_fail(eval->err, PS_R2_CODE_INVALID_PART);
}

static bool assemble(struct eval *eval, struct assembly *ret)
{
    size_t count = eval->request->part_count;
    struct ps_r2_named_part *named = PS_NEW_ARRAY(struct ps_r2_named_part, count);
    memcpy(named, eval->request->parts, count * sizeof *named);
    qsort(named, count, sizeof *named, by_number);
    *ret = (struct assembly){.parts = PS_NEW_ARRAY(struct ps_r2_part, count), .count = count};
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        if (i > 0 && named[i].number == named[i - 1].number) {
            good = ps_r2_fail(eval->err, PS_R2_CODE_INVALID_PART);
        } else {
            good = find_part(eval, &named[i], &ret->parts[i]);
            ret->size += ret->parts[i].blob.size;
        }
    }
    free(named);
    return good;
}

/* All parts but the last have one size, of 5 MiB at least, and the last is not larger. */
static bool check_sizes(struct eval *eval, const struct assembly *assembly)
{
    for (size_t i = 0; i + 1 < assembly->count; i++) {
        if (assembly->parts[i].blob.size < PS_R2_PART_SIZE_MIN) {
            return ps_r2_fail(eval->err, PS_R2_CODE_ENTITY_TOO_SMALL);
        }
    }
    for (size_t i = 1; i < assembly->count; i++) {
        uint64_t size = assembly->parts[i].blob.size;
        uint64_t first = assembly->parts[0].blob.size;
        bool is_last = i + 1 == assembly->count;
        if (is_last ? size > first : size != first) {
            return ps_r2_fail(eval->err, PS_R2_CODE_BAD_UPLOAD);
        }
    }
    return assembly->size <= PS_R2_SIZE_MAX || ps_r2_fail(eval->err, PS_R2_CODE_ENTITY_TOO_LARGE);
}

/* One of S3's checksums of the whole, out of the parts'; false if a part lacks it. */
static bool join_checksum(const struct assembly *assembly, enum ps_r2_hash hash, bool full,
                          struct ps_r2_checksums *ret)
{
    struct ps_buf all = {.size = 0};
    bool complete = true;
    for (size_t i = 0; i < assembly->count; i++) {
        struct ps_slice sum = ps_r2_checksums_get(&assembly->parts[i].checksums, hash);
        complete = complete && sum.size > 0;
        if (complete && full) {
            ps_r2_crc_join(hash, assembly->parts[i].checksums.bytes[hash],
                           assembly->parts[i].blob.size, ret->bytes[hash]);
        } else {
            ps_buf_append_slice(&all, sum);
        }
    }
    if (complete && !full) {
        struct ps_r2_checksums sums;
        ps_r2_digest_of(PS_R2_HASH_BIT(hash), ps_buf_slice(&all), &sums);
        memcpy(ret->bytes[hash], sums.bytes[hash], sizeof ret->bytes[hash]);
    }
    ret->present |= complete ? PS_R2_HASH_BIT(hash) : 0;
    ps_buf_fini(&all);
    return complete;
}

static void join_checksums(const struct assembly *assembly, const struct ps_r2_upload *upload,
                           struct ps_r2_object *object)
{
    bool full = upload->full_object;
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        bool is_crc = hash >= (unsigned)PS_R2_CRC32;
        if ((upload->hashes >> hash & 1U) != 0 && hash != (unsigned)PS_R2_MD5 &&
            (is_crc || !full)) {
            bool joined = join_checksum(assembly, (enum ps_r2_hash)hash, full, &object->checksums);
            object->composite = object->composite || (joined && !full);
        }
    }
}

static bool check_declared(struct eval *eval, const struct ps_r2_object *object)
{
    enum ps_r2_hash hash = ps_r2_checksums_differ(&eval->request->declared, &object->checksums);
    return hash == PS_R2_HASHES ||
           ps_r2_fail_with(eval->err, PS_R2_CODE_BAD_DIGEST,
                           "The %s you specified did not match the calculated checksum.",
                           ps_r2_hash_name(hash));
}

static struct ps_r2_object object_of(struct eval *eval, const struct assembly *assembly,
                                     const struct ps_r2_upload *upload)
{
    struct ps_r2_object object = {.version = ps_r2_id_of_token(&eval->mutation->token, ID_VERSION),
                                  .size = assembly->size,
                                  .part_count = (uint32_t)assembly->count,
                                  .meta = upload->meta};
    uint8_t(*md5s)[PS_R2_ID_SIZE] = ps_calloc(assembly->count, sizeof *md5s);
    for (size_t i = 0; i < assembly->count; i++) {
        memcpy(md5s[i], assembly->parts[i].checksums.bytes[PS_R2_MD5], PS_R2_ID_SIZE);
    }
    ps_r2_etag_of_parts((const uint8_t(*)[PS_R2_ID_SIZE])md5s, assembly->count, object.etag);
    free(md5s);
    join_checksums(assembly, upload, &object);
    return object;
}

static void add_assembled(struct eval *eval, const struct assembly *assembly,
                          const struct ps_r2_object *object)
{
    struct ps_r2_blob *blobs = PS_NEW_ARRAY(struct ps_r2_blob, assembly->count);
    for (size_t i = 0; i < assembly->count; i++) {
        blobs[i] = assembly->parts[i].blob;
    }
    struct ps_buf list = {.size = 0};
    ps_r2_blobs_encode(&list, blobs, assembly->count);
    add_object(eval, object, ps_buf_slice(&list));
    ps_buf_fini(&list);
    free(blobs);
}

/* A condition that fails ends the upload all the same. */
static void complete(struct eval *eval, struct ps_slice upload_key,
                     const struct ps_r2_upload *upload, const struct assembly *assembly)
{
    struct ps_r2_object object = object_of(eval, assembly, upload);
    if (!check_declared(eval, &object)) {
        return;
    }
    if (may_write(eval)) {
        add_assembled(eval, assembly, &object);
        end_upload(eval, upload_key);
    } else if (eval->err->code == PS_R2_CODE_PRECONDITION_FAILED) {
        end_upload(eval, upload_key);
    }
}

static void run_complete(struct eval *eval)
{
    struct ps_buf key = {.size = 0};
    struct ps_r2_upload upload;
    struct assembly assembly = {.count = 0};
    bool ended;
    if (find_upload(eval, &key, &upload, &ended) && assemble(eval, &assembly) &&
        check_sizes(eval, &assembly)) {
        complete(eval, ps_buf_slice(&key), &upload, &assembly);
    }
    free(assembly.parts);
    ps_r2_upload_fini(&upload);
    ps_buf_fini(&key);
}

/* ---- all of them ---- */

static void run(struct eval *eval)
{
    switch (eval->request->op) {
    case PS_R2_PUT:
        run_put(eval);
        return;
    case PS_R2_DELETE:
        run_delete(eval);
        return;
    case PS_R2_COPY:
        run_copy(eval);
        return;
    case PS_R2_CREATE_UPLOAD:
        run_create(eval);
        return;
    case PS_R2_UPLOAD_PART:
        run_part(eval);
        return;
    case PS_R2_COMPLETE:
        run_complete(eval);
        return;
    case PS_R2_ABORT:
        run_abort(eval);
        return;
    case PS_R2_PURGE:
        run_purge(eval);
        return;
    case PS_R2_CLOSE:
        run_close(eval);
        return;
    case PS_R2_HEAD:
    case PS_R2_GET:
    case PS_R2_LIST:
    case PS_R2_LIST_PARTS:
    case PS_R2_LIST_UPLOADS:
        break;
    }
    (void)ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL);
}

void ps_r2_evaluate(const struct ps_r2_against *against, struct ps_r2_mutation *mutation)
{
    struct eval eval = {.against = against,
                        .mutation = mutation,
                        .request = &mutation->request,
                        .err = &mutation->answer.error};
    PS_ASSERT(mutation->commit.record.entry_count == 0);
    if (against->closed && mutation->request.op != PS_R2_CLOSE) {
        (void)ps_r2_fail(eval.err, PS_R2_CODE_NO_SUCH_BUCKET);
    } else if (ps_r2_request_check(&mutation->request, eval.err)) {
        run(&eval);
    }
    bool failed = mutation->answer.error.code != PS_R2_CODE_NONE;
    /* Only a completion whose condition fails has an error and something to commit. */
    bool ends_upload = failed && mutation->request.op == PS_R2_COMPLETE &&
                       mutation->answer.error.code == PS_R2_CODE_PRECONDITION_FAILED;
    while (failed && !ends_upload && mutation->commit.record.entry_count > 0) {
        free(mutation->memory[--mutation->commit.record.entry_count]);
    }
}

/* ---- once more ---- */

/* The version that the record at `lsn` made of a key; false when it made none. */
static bool find_made(struct eval *eval, struct ps_slice key, uint64_t lsn, struct ps_version *ret)
{
    struct ps_bound bound = PS_BOUND_NEWEST;
    bound.lsn_max = lsn;
    return ps_map_get(eval->against->map, eval->against->store, key, &bound, ret) == PS_OK &&
           ret->lsn == lsn && !ret->deleted;
}

static void recall_object(struct eval *eval, uint64_t lsn)
{
    struct ps_version version;
    struct ps_r2_answer *answer = &eval->mutation->answer;
    if (!find_made(eval, eval->request->key, lsn, &version)) {
        /* A record of a completion without the object: its condition did not hold. */
        (void)ps_r2_fail(eval->err, eval->request->op == PS_R2_COMPLETE
                                        ? PS_R2_CODE_PRECONDITION_FAILED
                                        : PS_R2_CODE_INTERNAL);
        return;
    }
    /* Kept as an entry, so that its bytes outlive the map read. */
    const struct ps_entry *entry =
        add_entry(eval, eval->request->key, version.metadata, (struct ps_slice){NULL, 0}, false);
    answer->has_object = ps_r2_head_decode(entry->key, entry->metadata, &answer->object) == PS_OK;
    if (!answer->has_object) {
        (void)ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL);
    }
}

static void recall_part(struct eval *eval, uint64_t lsn)
{
    struct ps_buf key = {.size = 0};
    struct ps_version version;
    uint32_t number = eval->request->part_number;
    ps_r2_part_key(&key, &eval->request->upload_id, number <= PS_R2_PARTS_MAX ? number : 0);
    bool found = find_made(eval, ps_buf_slice(&key), lsn, &version) &&
                 ps_r2_part_decode(ps_buf_slice(&key), version.metadata,
                                   &eval->mutation->answer.part) == PS_OK;
    (void)(found || ps_r2_fail(eval->err, PS_R2_CODE_INTERNAL));
    ps_buf_fini(&key);
}

void ps_r2_recall(const struct ps_r2_against *against, struct ps_r2_mutation *mutation,
                  uint64_t lsn, ps_time_ns commit_ns)
{
    struct eval eval = {.against = against,
                        .mutation = mutation,
                        .request = &mutation->request,
                        .err = &mutation->answer.error};
    struct ps_r2_answer *answer = &mutation->answer;
    enum ps_r2_op op = mutation->request.op;
    if (op == PS_R2_PUT || op == PS_R2_COPY || op == PS_R2_COMPLETE) {
        recall_object(&eval, lsn);
    } else if (op == PS_R2_CREATE_UPLOAD) {
        answer->upload_id = ps_r2_id_of_token(&mutation->token, ID_UPLOAD);
    } else if (op == PS_R2_UPLOAD_PART) {
        recall_part(&eval, lsn);
    }
    answer->lsn = lsn;
    answer->commit_ns = commit_ns;
}
