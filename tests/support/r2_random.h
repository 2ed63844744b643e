/* Drawn R2 objects, uploads, parts and requests, for tests of what they become as bytes. */
#ifndef PS_TESTS_SUPPORT_R2_RANDOM_H
#define PS_TESTS_SUPPORT_R2_RANDOM_H

#include "node/r2/request.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <string.h>

/** Memory that drawn things point into; released by r2_draw_fini. */
struct r2_draw {
    struct ps_rng rng;
    void *memory[4096];
    size_t count;
};

static inline void *r2_draw_keep(struct r2_draw *draw, size_t count, size_t size)
{
    void *memory = ps_calloc(count == 0 ? 1 : count, size);
    draw->memory[draw->count++] = memory;
    return memory;
}

static inline void r2_draw_fini(struct r2_draw *draw)
{
    while (draw->count > 0) {
        free(draw->memory[--draw->count]);
    }
}

static inline uint64_t r2_below(struct r2_draw *draw, uint64_t bound)
{
    return ps_rng_below(&draw->rng, bound);
}

static inline bool r2_flip(struct r2_draw *draw)
{
    return r2_below(draw, 2) == 1;
}

static inline void r2_bytes(struct r2_draw *draw, uint8_t *ret, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ret[i] = (uint8_t)r2_below(draw, 256);
    }
}

static inline struct ps_slice r2_text(struct r2_draw *draw, size_t min, size_t max)
{
    size_t size = min + r2_below(draw, max - min + 1);
    char *text = (char *)r2_draw_keep(draw, size, 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)('a' + r2_below(draw, 26));
    }
    return (struct ps_slice){text, size};
}

static inline struct ps_r2_checksums r2_checksums(struct r2_draw *draw, ps_r2_hash_set always)
{
    struct ps_r2_checksums sums = {0};
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        uint8_t bytes[PS_R2_HASH_SIZE_MAX];
        size_t size = ps_r2_hash_size((enum ps_r2_hash)hash);
        r2_bytes(draw, bytes, size);
        if ((always >> hash & 1U) != 0 || r2_below(draw, 4) == 0) {
            (void)ps_r2_checksums_set(&sums, (enum ps_r2_hash)hash,
                                      (struct ps_slice){(const char *)bytes, size});
        }
    }
    return sums;
}

static inline struct ps_r2_metadata r2_metadata(struct r2_draw *draw)
{
    struct ps_r2_metadata meta = {.http = {.content_type = r2_text(draw, 0, 20),
                                           .content_language = r2_text(draw, 0, 3),
                                           .content_disposition = r2_text(draw, 0, 3),
                                           .content_encoding = r2_text(draw, 0, 3),
                                           .cache_control = r2_text(draw, 0, 3),
                                           .has_cache_expiry = r2_flip(draw)},
                                  .storage_class = (enum ps_r2_class)r2_below(draw, 2)};
    meta.http.cache_expiry_ms =
        meta.http.has_cache_expiry ? (int64_t)r2_below(draw, 1000) - 500 : 0;
    meta.custom_count = r2_below(draw, 4);
    meta.custom =
        (struct ps_r2_pair *)r2_draw_keep(draw, meta.custom_count, sizeof(struct ps_r2_pair));
    for (size_t i = 0; i < meta.custom_count; i++) {
        meta.custom[i] = (struct ps_r2_pair){r2_text(draw, 0, 9), r2_text(draw, 0, 9)};
    }
    meta.ssec.given = r2_flip(draw);
    if (meta.ssec.given) {
        r2_bytes(draw, meta.ssec.key_md5, PS_R2_ID_SIZE);
    }
    return meta;
}

static inline struct ps_r2_blob r2_blob(struct r2_draw *draw)
{
    struct ps_r2_blob blob = {.size = r2_below(draw, PS_R2_GIB)};
    r2_bytes(draw, blob.id.bytes, PS_R2_ID_SIZE);
    return blob;
}

static inline struct ps_r2_object r2_object(struct r2_draw *draw)
{
    struct ps_r2_object object = {.key = r2_text(draw, 1, 30),
                                  .size = r2_below(draw, PS_R2_SIZE_MAX),
                                  .uploaded_ms = (int64_t)r2_below(draw, 1000),
                                  .checksums = r2_checksums(draw, 0),
                                  .composite = r2_flip(draw),
                                  .part_count = (uint32_t)r2_below(draw, 3),
                                  .meta = r2_metadata(draw)};
    r2_bytes(draw, object.version.bytes, PS_R2_ID_SIZE);
    struct ps_slice etag = r2_text(draw, 1, PS_R2_ETAG_SIZE - 1);
    memcpy(object.etag, etag.data, etag.size);
    return object;
}

static inline struct ps_r2_part r2_part(struct r2_draw *draw)
{
    return (struct ps_r2_part){.number = 1 + (uint32_t)r2_below(draw, PS_R2_PARTS_MAX),
                               .blob = r2_blob(draw),
                               .checksums = r2_checksums(draw, PS_R2_HASH_BIT(PS_R2_MD5))};
}

static inline struct ps_r2_etag *r2_etags(struct r2_draw *draw, size_t count)
{
    struct ps_r2_etag *etags =
        (struct ps_r2_etag *)r2_draw_keep(draw, count, sizeof(struct ps_r2_etag));
    for (size_t i = 0; i < count; i++) {
        etags[i] =
            (struct ps_r2_etag){(enum ps_r2_etag_kind)r2_below(draw, 3), r2_text(draw, 0, 40)};
    }
    return etags;
}

static inline struct ps_r2_condition r2_condition(struct r2_draw *draw)
{
    struct ps_r2_condition condition = {.has_matches = r2_flip(draw),
                                        .match_count = r2_below(draw, 3),
                                        .has_differs = r2_flip(draw),
                                        .differ_count = r2_below(draw, 3),
                                        .has_before = r2_flip(draw),
                                        .before_ms = (int64_t)r2_below(draw, 1000) - 500,
                                        .has_after = r2_flip(draw),
                                        .after_ms = INT64_MIN,
                                        .seconds = r2_flip(draw)};
    condition.matches = r2_etags(draw, condition.match_count);
    condition.differs = r2_etags(draw, condition.differ_count);
    return condition;
}

/** A mutation of any kind with all fields filled, whether or not they mean something to it. */
static inline struct ps_r2_request r2_mutation(struct r2_draw *draw)
{
    struct ps_r2_request request = {
        .op = (enum ps_r2_op)(PS_R2_PUT + r2_below(draw, PS_R2_CLOSE - PS_R2_PUT + 1)),
        .key = r2_text(draw, 0, 20),
        .key_count = r2_below(draw, 4),
        .condition = r2_condition(draw),
        .part_number = (uint32_t)r2_below(draw, 20),
        .meta = r2_metadata(draw),
        .has_storage_class = r2_flip(draw),
        .declared = r2_checksums(draw, 0),
        .computed = r2_checksums(draw, PS_R2_HASH_BIT(PS_R2_MD5)),
        .hashes = (ps_r2_hash_set)r2_below(draw, 1U << PS_R2_HASHES),
        .full_object = r2_flip(draw),
        .part_count = r2_below(draw, 4),
        .source_key = r2_text(draw, 0, 9),
        .source_condition = r2_condition(draw),
        .directive = (enum ps_r2_directive)r2_below(draw, 3)};
    struct ps_slice *keys =
        (struct ps_slice *)r2_draw_keep(draw, request.key_count, sizeof(struct ps_slice));
    for (size_t i = 0; i < request.key_count; i++) {
        keys[i] = r2_text(draw, 1, 20);
    }
    request.keys = keys;
    if (r2_flip(draw)) {
        struct ps_r2_blob *blob = (struct ps_r2_blob *)r2_draw_keep(draw, 1, sizeof *blob);
        *blob = r2_blob(draw);
        request.body = (struct ps_r2_body){.blobs = blob, .blob_count = 1};
    } else {
        request.body.bytes = r2_text(draw, 0, 100);
    }
    r2_bytes(draw, request.upload_id.bytes, PS_R2_ID_SIZE);
    struct ps_r2_named_part *parts = (struct ps_r2_named_part *)r2_draw_keep(
        draw, request.part_count, sizeof(struct ps_r2_named_part));
    for (size_t i = 0; i < request.part_count; i++) {
        parts[i] = (struct ps_r2_named_part){.number = (uint32_t)i + 1,
                                             .etag = r2_text(draw, 0, 40),
                                             .checksums = r2_checksums(draw, 0)};
    }
    request.parts = parts;
    return request;
}

#endif
