#include "node/r2/list.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum {
    GROUP_STEPS = 8,   /* keys of a group that is shown already which are walked before a seek */
    OBJECT_SIZE = 256, /* what an object takes in an answer besides names and metadata */
    CURSOR_SIZE_MAX = 1400 /* base64 of the longest key */
};

struct walk {
    struct ps_map *map;
    ps_map_store store;
    const struct ps_cluster *cluster;
    const struct ps_bound *bound;
    const struct ps_r2_request *request;
    struct ps_r2_page *page;
    int64_t now_unix_ms;
    size_t limit;
    size_t shown;
    size_t walked;
    size_t size;
    size_t size_max;
    struct ps_buf last;  /* the last name that the page accounts for */
    struct ps_buf group; /* the group whose keys are being passed; empty = none */
    size_t in_group;
    bool seek; /* the walk goes on behind the group */
    enum ps_status status;
};

/* ---- pages ---- */

static char *keep(struct ps_r2_page *page, struct ps_slice a, struct ps_slice b)
{
    char *bytes = ps_calloc(a.size + b.size + 1, 1);
    page->memory =
        ps_grow(page->memory, page->memory_count, &page->memory_capacity, sizeof *page->memory);
    page->memory[page->memory_count++] = bytes;
    if (a.size > 0) {
        memcpy(bytes, a.data, a.size);
    }
    if (b.size > 0) {
        memcpy(bytes + a.size, b.data, b.size);
    }
    return bytes;
}

static struct ps_slice keep_slice(struct ps_r2_page *page, struct ps_slice bytes)
{
    return (struct ps_slice){keep(page, bytes, (struct ps_slice){NULL, 0}), bytes.size};
}

void ps_r2_page_fini(struct ps_r2_page *page)
{
    for (size_t i = 0; i < page->object_count; i++) {
        ps_r2_object_fini(&page->objects[i]);
    }
    for (size_t i = 0; i < page->upload_count; i++) {
        ps_r2_upload_fini(&page->uploads[i]);
    }
    for (size_t i = 0; i < page->memory_count; i++) {
        free(page->memory[i]);
    }
    ps_r2_upload_fini(&page->upload);
    free(page->objects);
    free(page->uploads);
    free(page->parts);
    free(page->prefixes);
    free(page->memory);
    *page = (struct ps_r2_page){.truncated = false};
}

void ps_r2_cursor_encode(struct ps_buf *buf, struct ps_slice last)
{
    ps_r2_base64(buf, last);
}

enum ps_status ps_r2_cursor_decode(struct ps_slice cursor, struct ps_buf *ret)
{
    if (cursor.size == 0 || cursor.size % 4 != 0 || cursor.size > CURSOR_SIZE_MAX) {
        return PS_INVALID;
    }
    size_t padding = cursor.data[cursor.size - 2] == '=' ? 2 : 0;
    padding = padding == 0 && cursor.data[cursor.size - 1] == '=' ? 1 : padding;
    size_t size = cursor.size / 4 * 3 - padding;
    ps_buf_reserve(ret, size);
    if (size > PS_R2_KEY_SIZE_MAX ||
        !ps_r2_unbase64(cursor, (uint8_t *)ret->data + ret->size, size)) {
        return PS_INVALID;
    }
    ret->size += size;
    return PS_OK;
}

/* ---- groups ---- */

static void set(struct ps_buf *buf, struct ps_slice bytes)
{
    buf->size = 0;
    ps_buf_append_slice(buf, bytes);
}

/* The group of a name: up to the first delimiter behind the prefix, with it. Empty: none. */
static struct ps_slice group_of(const struct ps_r2_request *request, struct ps_slice name)
{
    struct ps_slice delimiter = request->delimiter;
    size_t at = request->prefix.size;
    if (delimiter.size == 0 || name.size < at + delimiter.size ||
        !ps_slice_starts(name, request->prefix)) {
        return (struct ps_slice){NULL, 0};
    }
    const char *found = memmem(name.data + at, name.size - at, delimiter.data, delimiter.size);
    return found == NULL
               ? (struct ps_slice){NULL, 0}
               : (struct ps_slice){name.data, (size_t)(found - name.data) + delimiter.size};
}

static void add_prefix(struct walk *walk, struct ps_slice group)
{
    struct ps_r2_page *page = walk->page;
    page->prefixes =
        ps_grow(page->prefixes, page->prefix_count, &page->prefix_capacity, sizeof *page->prefixes);
    page->prefixes[page->prefix_count++] = keep_slice(page, group);
}

/* ---- objects ---- */

static size_t json_size(struct ps_slice text)
{
    size_t size = text.size;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        size += byte < 0x20 ? 5 : byte == '"' || byte == '\\' ? 1 : 0;
    }
    return size;
}

static size_t cost_of(const struct ps_r2_request *request, const struct ps_r2_object *object)
{
    const struct ps_r2_metadata *meta = &object->meta;
    size_t size = OBJECT_SIZE + json_size(object->key);
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        bool has = (object->checksums.present >> hash & 1U) != 0;
        size += has ? 8 + 2 * ps_r2_hash_size((enum ps_r2_hash)hash) : 0;
    }
    if ((request->include & PS_R2_INCLUDE_HTTP) != 0) {
        size += OBJECT_SIZE + json_size(meta->http.content_type) +
                json_size(meta->http.content_language) + json_size(meta->http.content_disposition) +
                json_size(meta->http.content_encoding) + json_size(meta->http.cache_control);
    }
    for (size_t i = 0; (request->include & PS_R2_INCLUDE_CUSTOM) != 0 && i < meta->custom_count;
         i++) {
        size += 16 + json_size(meta->custom[i].name) + json_size(meta->custom[i].value);
    }
    return size;
}

static bool end_page(struct walk *walk)
{
    walk->page->truncated = true;
    return false;
}

static bool add_object(struct walk *walk, struct ps_slice key, const struct ps_version *version)
{
    struct ps_r2_page *page = walk->page;
    char *bytes = keep(page, key, version->metadata);
    struct ps_r2_object object;
    walk->status =
        ps_r2_head_decode((struct ps_slice){bytes, key.size},
                          (struct ps_slice){bytes + key.size, version->metadata.size}, &object);
    if (walk->status != PS_OK) {
        return false;
    }
    size_t cost = cost_of(walk->request, &object);
    if (walk->size_max != 0 && walk->shown > 0 && cost > walk->size_max - walk->size) {
        ps_r2_object_fini(&object);
        return end_page(walk);
    }
    walk->size = walk->size_max != 0 && cost > walk->size_max - walk->size ? walk->size_max
                                                                           : walk->size + cost;
    object.uploaded_ms = ps_r2_unix_ms(walk->cluster, version->commit_ns);
    page->objects =
        ps_grow(page->objects, page->object_count, &page->object_capacity, sizeof *page->objects);
    page->objects[page->object_count++] = object;
    walk->shown++;
    set(&walk->last, key);
    return true;
}

static bool add_group(struct walk *walk, struct ps_slice group)
{
    size_t cost = 16 + json_size(group);
    if (walk->size_max != 0 && walk->shown > 0 && cost > walk->size_max - walk->size) {
        return end_page(walk);
    }
    walk->size = walk->size_max != 0 && cost > walk->size_max - walk->size ? walk->size_max
                                                                           : walk->size + cost;
    add_prefix(walk, group);
    walk->shown++;
    walk->in_group = 0;
    set(&walk->group, group);
    set(&walk->last, group);
    return true;
}

/* A key of the group that is shown already. A long group is left by a seek. */
static bool pass(struct walk *walk)
{
    walk->seek = ++walk->in_group > GROUP_STEPS;
    return !walk->seek;
}

static bool take(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct walk *walk = context;
    if ((uint8_t)key.data[0] == PS_R2_INTERNAL) {
        return false;
    }
    struct ps_slice shown = ps_buf_slice(&walk->group);
    bool passing = shown.size > 0 && ps_slice_starts(key, shown);
    if (walk->walked++ == PS_R2_LIST_WALK_MAX) {
        return end_page(walk);
    }
    if (passing) {
        return pass(walk);
    }
    if (version->deleted) {
        if (walk->walked == PS_R2_LIST_WALK_MAX) {
            set(&walk->last, key);
        }
        return true;
    }
    if (walk->shown == walk->limit) {
        return end_page(walk);
    }
    struct ps_slice group = group_of(walk->request, key);
    return group.size > 0 ? add_group(walk, group) : add_object(walk, key, version);
}

/* Is `name` itself a group? */
static bool is_group(const struct ps_r2_request *request, struct ps_slice name)
{
    struct ps_slice group = group_of(request, name);
    return group.size > 0 && group.size == name.size;
}

/* Where the page begins: behind the later one of cursor and start-after, and behind all of a group
 * when that is a group's name. A group comes after a start-after within it. */
static bool find_start(struct walk *walk, struct ps_r2_error *err)
{
    const struct ps_r2_request *request = walk->request;
    struct ps_slice start = request->start_after;
    struct ps_buf cursor = {.size = 0};
    if (request->cursor.size > 0 && ps_r2_cursor_decode(request->cursor, &cursor) != PS_OK) {
        ps_buf_fini(&cursor);
        return ps_r2_fail_with(err, PS_R2_CODE_INVALID_ARGUMENT,
                               "The continuation token provided is incorrect");
    }
    struct ps_slice last = ps_buf_slice(&cursor);
    bool is_later =
        ps_slice_cmp(last, start) > 0 || (is_group(request, last) && ps_slice_starts(start, last));
    set(&walk->last, is_later ? last : start);
    ps_buf_fini(&cursor);
    if (is_group(request, ps_buf_slice(&walk->last))) {
        set(&walk->group, ps_buf_slice(&walk->last));
        walk->seek = true;
    }
    return true;
}

static void list_objects(struct walk *walk)
{
    struct ps_buf after = {.size = 0};
    set(&after, ps_buf_slice(&walk->last));
    bool more = true;
    while (more && walk->status == PS_OK) {
        if (walk->seek) {
            set(&after, ps_buf_slice(&walk->group));
            if (after.size < PS_KEY_SIZE_MAX) { /* else it is the only key of its group */
                ps_buf_append_char(&after, (char)(uint8_t)PS_R2_INTERNAL); /* above all UTF-8 */
            }
        }
        walk->seek = false;
        enum ps_status status = ps_map_list(walk->map, walk->store, walk->request->prefix,
                                            ps_buf_slice(&after), walk->bound, take, walk);
        walk->status = walk->status == PS_OK ? status : walk->status;
        more = walk->seek;
    }
    ps_buf_fini(&after);
}

/* ---- uploads ---- */

static bool take_upload(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct walk *walk = context;
    struct ps_r2_page *page = walk->page;
    if (version->deleted) {
        return true;
    }
    if (page->upload_count == PS_R2_LIST_WALK_MAX) {
        return end_page(walk);
    }
    char *bytes = keep(page, key, version->metadata);
    struct ps_r2_upload upload;
    walk->status =
        ps_r2_upload_decode((struct ps_slice){bytes, key.size},
                            (struct ps_slice){bytes + key.size, version->metadata.size}, &upload);
    if (walk->status != PS_OK) {
        return false;
    }
    upload.initiated_ms = ps_r2_unix_ms(walk->cluster, version->commit_ns);
    page->uploads =
        ps_grow(page->uploads, page->upload_count, &page->upload_capacity, sizeof *page->uploads);
    page->uploads[page->upload_count++] = upload;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct ps_r2_upload *x = a;
    const struct ps_r2_upload *y = b;
    int order = ps_slice_cmp(x->key, y->key);
    return order != 0 ? order : memcmp(x->id.bytes, y->id.bytes, PS_R2_ID_SIZE);
}

/* Behind the markers: of a later key, or a later upload of the same. */
static bool is_behind(const struct ps_r2_request *request, const struct ps_r2_upload *upload)
{
    int order = ps_slice_cmp(upload->key, request->start_after);
    struct ps_r2_id marker;
    if (order != 0 || request->start_after.size == 0) {
        return order > 0;
    }
    return ps_r2_id_parse(request->upload_marker, &marker) &&
           memcmp(upload->id.bytes, marker.bytes, PS_R2_ID_SIZE) > 0;
}

static bool is_wanted(const struct walk *walk, const struct ps_r2_upload *upload)
{
    struct ps_slice group = group_of(walk->request, upload->key);
    return upload->initiated_ms > walk->now_unix_ms - PS_R2_UPLOAD_AGE_MS &&
           ps_slice_starts(upload->key, walk->request->prefix) &&
           is_behind(walk->request, upload) &&
           (group.size == 0 || ps_slice_cmp(group, walk->request->start_after) > 0);
}

/* Whether the upload is on the page (true), or stands for a group, or comes after the page's end.
 */
static bool show_upload(struct walk *walk, const struct ps_r2_upload *upload)
{
    struct ps_slice group = group_of(walk->request, upload->key);
    bool is_shown = group.size > 0 && ps_slice_eq(group, ps_buf_slice(&walk->group));
    if (is_shown || walk->page->truncated) {
        return false;
    }
    if (walk->shown == walk->limit) {
        return end_page(walk);
    }
    walk->shown++;
    set(&walk->last, group.size > 0 ? group : upload->key);
    walk->page->last_upload = upload->id;
    if (group.size > 0) {
        walk->page->last_upload = (struct ps_r2_id){{0}};
        set(&walk->group, group);
        add_prefix(walk, group);
        return false;
    }
    return true;
}

static void collect_uploads(struct walk *walk)
{
    static const char prefix[] = {(char)(uint8_t)PS_R2_INTERNAL, 'u'};
    enum ps_status status =
        ps_map_list(walk->map, walk->store, (struct ps_slice){prefix, sizeof prefix},
                    (struct ps_slice){NULL, 0}, walk->bound, take_upload, walk);
    walk->status = walk->status == PS_OK ? status : walk->status;
}

enum ps_status ps_r2_list_old_uploads(struct ps_map *map, ps_map_store store,
                                      const struct ps_cluster *cluster, int64_t now_unix_ms,
                                      ps_r2_upload_fn each, void *context)
{
    struct ps_r2_page page = {.truncated = false};
    struct walk walk = {
        .map = map, .store = store, .cluster = cluster, .bound = &PS_BOUND_NEWEST, .page = &page};
    collect_uploads(&walk);
    for (size_t i = 0; walk.status == PS_OK && i < page.upload_count; i++) {
        if (page.uploads[i].initiated_ms <= now_unix_ms - PS_R2_UPLOAD_AGE_MS) {
            each(context, &page.uploads[i]);
        }
    }
    ps_r2_page_fini(&page);
    return walk.status;
}

static void list_uploads(struct walk *walk)
{
    struct ps_r2_page *page = walk->page;
    collect_uploads(walk);
    if (page->upload_count > 0) {
        qsort(page->uploads, page->upload_count, sizeof *page->uploads, by_key);
    }
    page->truncated = false;
    size_t kept = 0;
    for (size_t i = 0; i < page->upload_count; i++) {
        if (is_wanted(walk, &page->uploads[i]) && show_upload(walk, &page->uploads[i])) {
            page->uploads[kept++] = page->uploads[i];
        } else {
            ps_r2_upload_fini(&page->uploads[i]);
        }
    }
    page->upload_count = kept;
}

/* ---- parts ---- */

static bool take_part(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct walk *walk = context;
    struct ps_r2_page *page = walk->page;
    if (version->deleted) {
        return true;
    }
    if (walk->shown == walk->limit) {
        return end_page(walk);
    }
    struct ps_r2_part part;
    walk->status = ps_r2_part_decode(key, version->metadata, &part);
    if (walk->status != PS_OK) {
        return false;
    }
    part.uploaded_ms = ps_r2_unix_ms(walk->cluster, version->commit_ns);
    page->parts = ps_grow(page->parts, page->part_count, &page->part_capacity, sizeof *page->parts);
    page->parts[page->part_count++] = part;
    page->last_part = part.number;
    walk->shown++;
    return true;
}

/* The upload that is asked about; false when it is not there. */
static bool find_upload(struct walk *walk)
{
    struct ps_r2_page *page = walk->page;
    struct ps_buf key = {.size = 0};
    struct ps_version version = {.lsn = 0};
    ps_r2_upload_key(&key, &walk->request->upload_id);
    enum ps_status status =
        ps_map_get(walk->map, walk->store, ps_buf_slice(&key), walk->bound, &version);
    bool found = status == PS_OK && !version.deleted;
    if (status != PS_OK && status != PS_NOT_FOUND) {
        walk->status = status;
    }
    if (found) {
        char *bytes = keep(page, ps_buf_slice(&key), version.metadata);
        walk->status = ps_r2_upload_decode(
            (struct ps_slice){bytes, key.size},
            (struct ps_slice){bytes + key.size, version.metadata.size}, &page->upload);
        page->upload.initiated_ms = ps_r2_unix_ms(walk->cluster, version.commit_ns);
        found = walk->status == PS_OK && ps_slice_eq(page->upload.key, walk->request->key) &&
                page->upload.initiated_ms > walk->now_unix_ms - PS_R2_UPLOAD_AGE_MS;
    }
    ps_buf_fini(&key);
    return found;
}

static void list_parts(struct walk *walk, struct ps_r2_error *err)
{
    const struct ps_r2_request *request = walk->request;
    if (!find_upload(walk)) {
        (void)(walk->status == PS_OK && ps_r2_fail(err, PS_R2_CODE_NO_SUCH_UPLOAD));
        return;
    }
    uint32_t marker = request->part_marker;
    marker = marker < PS_R2_PARTS_MAX ? marker : PS_R2_PARTS_MAX;
    walk->page->last_part = marker;
    struct ps_buf prefix = {.size = 0};
    struct ps_buf after = {.size = 0};
    ps_r2_part_key(&prefix, &request->upload_id, 0);
    ps_r2_part_key(&after, &request->upload_id, marker);
    enum ps_status status = ps_map_list(walk->map, walk->store, ps_buf_slice(&prefix),
                                        ps_buf_slice(&after), walk->bound, take_part, walk);
    walk->status = walk->status == PS_OK ? status : walk->status;
    ps_buf_fini(&prefix);
    ps_buf_fini(&after);
}

enum ps_status ps_r2_list(struct ps_map *map, ps_map_store store, const struct ps_cluster *cluster,
                          const struct ps_bound *bound, const struct ps_r2_request *request,
                          int64_t now_unix_ms, size_t size_max, struct ps_r2_page *ret,
                          struct ps_r2_error *err)
{
    PS_ASSERT(!request->has_limit || (request->limit >= 0 && request->limit <= PS_R2_LIST_MAX));
    *ret = (struct ps_r2_page){.truncated = false};
    struct walk walk = {.map = map,
                        .store = store,
                        .cluster = cluster,
                        .bound = bound,
                        .request = request,
                        .page = ret,
                        .now_unix_ms = now_unix_ms,
                        .limit = request->has_limit ? (size_t)request->limit : PS_R2_LIST_MAX,
                        .size_max = size_max};
    if (request->op == PS_R2_LIST_UPLOADS) {
        list_uploads(&walk);
    } else if (request->op == PS_R2_LIST_PARTS) {
        list_parts(&walk, err);
    } else if (find_start(&walk, err)) {
        PS_ASSERT(request->op == PS_R2_LIST);
        list_objects(&walk);
    }
    ret->last = keep_slice(ret, ps_buf_slice(&walk.last));
    ps_buf_fini(&walk.last);
    ps_buf_fini(&walk.group);
    if (walk.status != PS_OK) {
        ps_r2_page_fini(ret);
    }
    return walk.status;
}
