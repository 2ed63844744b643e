/* Lists against a plain model: page by page, with prefixes, delimiters and starts drawn; uploads
 * and parts; pages that end by size. */
#include "node/r2/list.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS_MAX = 400, NOW_S = 1767225600 };

static const struct ps_cluster cluster = {.epoch_unix_s = NOW_S};

struct bucket {
    struct ps_map *map;
    ps_map_store store;
    uint64_t lsn;
};

static struct bucket bucket_create(void)
{
    struct bucket bucket = {.map = ps_map_create_memory()};
    assert_int_equal(ps_map_store_open(bucket.map, PS_LIT("B"), &bucket.store, NULL), PS_OK);
    return bucket;
}

static void commit(struct bucket *bucket, struct ps_slice key, struct ps_slice metadata,
                   bool deleted)
{
    struct ps_entry entry = {.key = key, .metadata = metadata, .deleted = deleted};
    struct ps_record record = {.lsn = bucket->lsn + 1,
                               .commit_ns = (bucket->lsn + 1) * PS_SECOND,
                               .entries = &entry,
                               .entry_count = 1};
    struct ps_append append = {bucket->store, &record};
    assert_int_equal(ps_map_apply(bucket->map, &append, 1, NULL), PS_OK);
    bucket->lsn++;
}

static void put(struct bucket *bucket, struct ps_slice key)
{
    struct ps_r2_pair pair = {PS_LIT("name"), PS_LIT("value")};
    struct ps_r2_object object = {.size = key.size,
                                  .etag = "e",
                                  .is_inline = true,
                                  .meta = {.custom = &pair, .custom_count = 1}};
    struct ps_buf head = {0};
    ps_r2_object_encode(&head, &object);
    commit(bucket, key, ps_buf_slice(&head), false);
    ps_buf_fini(&head);
}

static void erase(struct bucket *bucket, struct ps_slice key)
{
    commit(bucket, key, (struct ps_slice){NULL, 0}, true);
}

static void list(struct bucket *bucket, const struct ps_r2_request *request, size_t size_max,
                 struct ps_r2_page *ret)
{
    struct ps_r2_error err = {0};
    assert_int_equal(ps_map_read_begin(bucket->map), PS_OK);
    assert_int_equal(ps_r2_list(bucket->map, bucket->store, &cluster, &PS_BOUND_NEWEST, request,
                                (int64_t)NOW_S * 1000, size_max, ret, &err),
                     PS_OK);
    ps_map_read_end(bucket->map);
    assert_int_equal(err.code, PS_R2_CODE_NONE);
}

/* ---- objects ---- */

struct model {
    char keys[KEYS_MAX][16]; /* sorted */
    bool live[KEYS_MAX];
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void make(struct bucket *bucket, struct model *model, struct ps_rng *rng)
{
    static const char letters[] = "ab/-";
    model->count = 20 + ps_rng_below(rng, KEYS_MAX - 20);
    for (size_t i = 0; i < model->count; i++) {
        size_t size = 1 + ps_rng_below(rng, 8);
        memset(model->keys[i], 0, sizeof model->keys[i]);
        for (size_t k = 0; k < size; k++) {
            model->keys[i][k] = letters[ps_rng_below(rng, 4)];
        }
    }
    qsort(model->keys, model->count, sizeof model->keys[0], by_text);
    size_t kept = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (kept == 0 || strcmp(model->keys[i], model->keys[kept - 1]) != 0) {
            memmove(model->keys[kept++], model->keys[i], sizeof model->keys[i]);
        }
    }
    model->count = kept;
    for (size_t i = 0; i < kept; i++) {
        model->live[i] = ps_rng_below(rng, 4) != 0;
        put(bucket, ps_slice_of(model->keys[i]));
        if (!model->live[i]) {
            erase(bucket, ps_slice_of(model->keys[i]));
        }
    }
}

/* All names that a list with this prefix and delimiter shows behind `start`, groups with a "+". */
static void expected(const struct model *model, const char *prefix, const char *delimiter,
                     const char *start, struct ps_buf *ret)
{
    char before[16] = "";
    for (size_t i = 0; i < model->count; i++) {
        const char *key = model->keys[i];
        size_t size = strlen(prefix);
        if (!model->live[i] || strncmp(key, prefix, size) != 0 || strcmp(key, start) <= 0) {
            continue;
        }
        const char *found = delimiter[0] == '\0' ? NULL : strstr(key + size, delimiter);
        if (found == NULL) {
            ps_buf_printf(ret, "%s ", key);
            continue;
        }
        char group[16] = "";
        (void)snprintf(group, sizeof group, "%.*s", (int)(found - key + (int)strlen(delimiter)),
                       key);
        if (strcmp(group, before) != 0 && strcmp(group, start) != 0) {
            ps_buf_printf(ret, "+%s ", group);
        }
        (void)snprintf(before, sizeof before, "%s", group);
    }
}

/* A page's names in order, objects and groups merged. */
static void shown(const struct ps_r2_page *page, struct ps_buf *ret)
{
    size_t object = 0;
    size_t group = 0;
    while (object < page->object_count || group < page->prefix_count) {
        bool is_group = object == page->object_count ||
                        (group < page->prefix_count &&
                         ps_slice_cmp(page->prefixes[group], page->objects[object].key) < 0);
        struct ps_slice name = is_group ? page->prefixes[group++] : page->objects[object++].key;
        ps_buf_printf(ret, "%s%.*s ", is_group ? "+" : "", (int)name.size, name.data);
    }
}

static void check_pages(struct bucket *bucket, struct ps_r2_request request, size_t size_max,
                        const struct ps_buf *wanted)
{
    struct ps_buf names = {0};
    struct ps_buf cursor = {0};
    for (int pages = 0;; pages++) {
        assert_true(pages < 2 * KEYS_MAX);
        struct ps_r2_page page;
        request.cursor = ps_buf_slice(&cursor);
        list(bucket, &request, size_max, &page);
        assert_true(page.object_count + page.prefix_count <=
                    (size_t)(request.has_limit ? request.limit : PS_R2_LIST_MAX));
        shown(&page, &names);
        bool truncated = page.truncated;
        assert_true(!truncated || page.object_count + page.prefix_count > 0);
        cursor.size = 0;
        ps_r2_cursor_encode(&cursor, page.last);
        ps_r2_page_fini(&page);
        if (!truncated) {
            break;
        }
    }
    if (!ps_slice_eq(ps_buf_slice(&names), ps_buf_slice(wanted))) {
        fail_msg("prefix %.*s delimiter %.*s start %.*s limit %d:\n%.*s\nnot\n%.*s",
                 (int)request.prefix.size, request.prefix.data, (int)request.delimiter.size,
                 request.delimiter.data, (int)request.start_after.size, request.start_after.data,
                 (int)request.limit, (int)names.size, names.data, (int)wanted->size, wanted->data);
    }
    ps_buf_fini(&names);
    ps_buf_fini(&cursor);
}

static void test_model(void **state)
{
    (void)state;
    static struct model model;
    static const char *const prefixes[] = {"", "a", "a/", "b-", "//", "ab/a"};
    static const char *const delimiters[] = {"", "/", "-", "/a", "a"};
    struct ps_rng rng = {.seed = 5};
    for (int round = 0; round < 40; round++) {
        struct bucket bucket = bucket_create();
        make(&bucket, &model, &rng);
        for (int query = 0; query < 60; query++) {
            const char *prefix = prefixes[ps_rng_below(&rng, 6)];
            const char *delimiter = delimiters[ps_rng_below(&rng, 5)];
            const char *start =
                ps_rng_below(&rng, 2) == 0 ? "" : model.keys[ps_rng_below(&rng, model.count)];
            struct ps_buf wanted = {0};
            expected(&model, prefix, delimiter, start, &wanted);
            struct ps_r2_request request = {.op = PS_R2_LIST,
                                            .prefix = ps_slice_of(prefix),
                                            .delimiter = ps_slice_of(delimiter),
                                            .start_after = ps_slice_of(start),
                                            .has_limit = true,
                                            .limit = 1 + (int64_t)ps_rng_below(&rng, 30)};
            size_t size_max = ps_rng_below(&rng, 3) == 0 ? 1 + ps_rng_below(&rng, 4000) : 0;
            check_pages(&bucket, request, size_max, &wanted);
            ps_buf_fini(&wanted);
        }
        ps_map_close(bucket.map);
    }
}

/* A group of very many keys, deleted ones in front and behind, costs one name. */
static void test_long_group(void **state)
{
    (void)state;
    struct bucket bucket = bucket_create();
    char key[32];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(key, sizeof key, "dir/%05d", i);
        put(&bucket, ps_slice_of(key));
    }
    erase(&bucket, PS_LIT("dir/00000"));
    put(&bucket, PS_LIT("dir0"));
    struct ps_r2_request request = {.op = PS_R2_LIST, .delimiter = PS_LIT("/")};
    struct ps_r2_page page;
    list(&bucket, &request, 0, &page);
    assert_int_equal(page.prefix_count, 1);
    assert_int_equal(page.object_count, 1);
    assert_true(ps_slice_eq(page.objects[0].key, PS_LIT("dir0")));
    assert_int_equal(page.objects[0].uploaded_ms, ((int64_t)NOW_S + 3002) * 1000);
    assert_false(page.truncated);
    ps_r2_page_fini(&page);
    request = (struct ps_r2_request){.op = PS_R2_LIST, .has_limit = true, .limit = 0};
    list(&bucket, &request, 0, &page); /* S3's max-keys=0: is there any? */
    assert_true(page.truncated);
    assert_int_equal(page.object_count, 0);
    ps_r2_page_fini(&page);
    ps_map_close(bucket.map);
}

static void test_bad_cursor(void **state)
{
    (void)state;
    struct bucket bucket = bucket_create();
    static const char *const bad[] = {"c", "====", "a b=", "YQ=a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ps_r2_request request = {.op = PS_R2_LIST, .cursor = ps_slice_of(bad[i])};
        struct ps_r2_error err = {0};
        struct ps_r2_page page;
        assert_int_equal(ps_map_read_begin(bucket.map), PS_OK);
        assert_int_equal(ps_r2_list(bucket.map, bucket.store, &cluster, &PS_BOUND_NEWEST, &request,
                                    0, 0, &page, &err),
                         PS_OK);
        ps_map_read_end(bucket.map);
        assert_int_equal(err.code, PS_R2_CODE_INVALID_ARGUMENT);
        ps_r2_page_fini(&page);
    }
    ps_map_close(bucket.map);
}

/* ---- uploads and parts ---- */

static struct ps_r2_id id_of(uint8_t n)
{
    return (struct ps_r2_id){{n}};
}

static void begin_upload(struct bucket *bucket, const char *key, uint8_t n)
{
    struct ps_r2_upload upload = {.key = ps_slice_of(key)};
    struct ps_r2_id id = id_of(n);
    struct ps_buf name = {0};
    struct ps_buf head = {0};
    ps_r2_upload_key(&name, &id);
    ps_r2_upload_encode(&head, &upload);
    commit(bucket, ps_buf_slice(&name), ps_buf_slice(&head), false);
    ps_buf_fini(&name);
    ps_buf_fini(&head);
}

static void uploads_as_text(struct bucket *bucket, const struct ps_r2_request *request,
                            struct ps_buf *ret)
{
    struct ps_r2_page page;
    list(bucket, request, 0, &page);
    ret->size = 0;
    for (size_t i = 0; i < page.upload_count; i++) {
        ps_buf_printf(ret, "%.*s:%d ", (int)page.uploads[i].key.size, page.uploads[i].key.data,
                      page.uploads[i].id.bytes[0]);
    }
    for (size_t i = 0; i < page.prefix_count; i++) {
        ps_buf_printf(ret, "+%.*s ", (int)page.prefixes[i].size, page.prefixes[i].data);
    }
    if (page.truncated) {
        ps_buf_printf(ret, "> %.*s:%d", (int)page.last.size, page.last.data,
                      page.last_upload.bytes[0]);
    }
    ps_r2_page_fini(&page);
}

static void test_uploads(void **state)
{
    (void)state;
    struct bucket bucket = bucket_create();
    begin_upload(&bucket, "b", 1);
    begin_upload(&bucket, "a", 9);
    begin_upload(&bucket, "a", 3);
    begin_upload(&bucket, "d/x", 4);
    begin_upload(&bucket, "d/y", 5);
    put(&bucket, PS_LIT("object"));
    struct ps_buf text = {0};
    struct ps_r2_request request = {.op = PS_R2_LIST_UPLOADS};
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "a:3 a:9 b:1 d/x:4 d/y:5 ");
    request.has_limit = true;
    request.limit = 1;
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "a:3 > a:3");
    request.start_after = PS_LIT("a");
    request.upload_marker = PS_LIT("03000000000000000000000000000000");
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "a:9 > a:9");
    request.upload_marker = (struct ps_slice){NULL, 0};
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "b:1 > b:1");
    request = (struct ps_r2_request){.op = PS_R2_LIST_UPLOADS, .delimiter = PS_LIT("/")};
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "a:3 a:9 b:1 +d/ ");
    request.start_after = PS_LIT("d/");
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "");
    request = (struct ps_r2_request){.op = PS_R2_LIST_UPLOADS, .prefix = PS_LIT("d")};
    uploads_as_text(&bucket, &request, &text);
    assert_string_equal(ps_buf_text(&text), "d/x:4 d/y:5 ");
    ps_buf_fini(&text);
    ps_map_close(bucket.map);
}

static void test_parts(void **state)
{
    (void)state;
    struct bucket bucket = bucket_create();
    begin_upload(&bucket, "k", 1);
    struct ps_r2_id id = id_of(1);
    for (uint32_t number = 300; number > 0; number -= 50) {
        struct ps_r2_part part = {.number = number, .blob = {.size = number}};
        part.checksums.present = PS_R2_HASH_BIT(PS_R2_MD5);
        struct ps_buf name = {0};
        struct ps_buf head = {0};
        ps_r2_part_key(&name, &id, number);
        ps_r2_part_encode(&head, &part);
        commit(&bucket, ps_buf_slice(&name), ps_buf_slice(&head), false);
        ps_buf_fini(&name);
        ps_buf_fini(&head);
    }
    struct ps_r2_request request = {
        .op = PS_R2_LIST_PARTS, .key = PS_LIT("k"), .upload_id = id, .has_limit = true, .limit = 4};
    struct ps_r2_page page;
    list(&bucket, &request, 0, &page);
    assert_int_equal(page.part_count, 4);
    assert_int_equal(page.parts[0].number, 50);
    assert_true(page.truncated);
    assert_int_equal(page.last_part, 200);
    assert_true(ps_slice_eq(page.upload.key, PS_LIT("k")));
    ps_r2_page_fini(&page);
    request.part_marker = 200;
    list(&bucket, &request, 0, &page);
    assert_int_equal(page.part_count, 2);
    assert_int_equal(page.parts[1].number, 300);
    assert_false(page.truncated);
    ps_r2_page_fini(&page);

    struct ps_r2_error err = {0};
    request.key = PS_LIT("other"); /* the upload is of another key */
    assert_int_equal(ps_map_read_begin(bucket.map), PS_OK);
    assert_int_equal(ps_r2_list(bucket.map, bucket.store, &cluster, &PS_BOUND_NEWEST, &request, 0,
                                0, &page, &err),
                     PS_OK);
    assert_int_equal(err.code, PS_R2_CODE_NO_SUCH_UPLOAD);
    ps_r2_page_fini(&page);
    request.key = PS_LIT("k");
    err.code = PS_R2_CODE_NONE;
    int64_t week_later_ms = ((int64_t)NOW_S + 1) * 1000 + PS_R2_UPLOAD_AGE_MS;
    assert_int_equal(ps_r2_list(bucket.map, bucket.store, &cluster, &PS_BOUND_NEWEST, &request,
                                week_later_ms, 0, &page, &err),
                     PS_OK);
    assert_int_equal(err.code, PS_R2_CODE_NO_SUCH_UPLOAD);
    ps_r2_page_fini(&page);
    ps_map_read_end(bucket.map);
    ps_map_close(bucket.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),      cmocka_unit_test(test_long_group),
        cmocka_unit_test(test_bad_cursor), cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
