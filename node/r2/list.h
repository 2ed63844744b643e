/* Lists: the objects, parts and uploads of a bucket that a read within a bound shows. Pure; the
 * live node and the virtual world call the same functions. */
#ifndef PS_NODE_R2_LIST_H
#define PS_NODE_R2_LIST_H

#include "node/r2/request.h"

/** Keys that one list looks at; one that walks over more deleted ones ends there, truncated. */
enum { PS_R2_LIST_WALK_MAX = 200000 };

/** One page. Owns all that it points to; zeroed = empty. */
struct ps_r2_page {
    struct ps_r2_object *objects; /* LIST: ascending by key; without bodies */
    size_t object_count;
    struct ps_r2_upload *uploads; /* LIST_UPLOADS: ascending by key, then id */
    size_t upload_count;
    struct ps_r2_part *parts; /* LIST_PARTS: ascending by number */
    size_t part_count;
    struct ps_slice *prefixes; /* groups of the delimiter, with it, ascending: "a/" */
    size_t prefix_count;
    bool truncated;
    /* When truncated: the last name of the page, an object's key or a group (also what S3's
     * NextMarker says); of uploads with `last_upload`; of parts the last number. */
    struct ps_slice last;
    struct ps_r2_id last_upload;
    uint32_t last_part;
    struct ps_r2_upload upload; /* LIST_PARTS: of which */
    /* its own */
    char **memory;
    size_t memory_count;
    size_t memory_capacity;
    size_t object_capacity;
    size_t upload_capacity;
    size_t part_capacity;
    size_t prefix_capacity;
};

/** Read a page of request->op, one of the LISTs, within `bound` at Unix time `now_unix_ms`; inside
 * a map read. `request` has passed ps_r2_request_check. A page that would take more than `size_max`
 *  bytes in an answer (as JSON, about; 0 = no bound) ends early, truncated, with one object at
 * least. LIST_PARTS of an upload that is not there is PS_R2_CODE_NO_SUCH_UPLOAD in *err and PS_OK;
 * a cursor that is none is PS_R2_CODE_INVALID_ARGUMENT. Errors: PS_IO, PS_CORRUPT. */
PS_MUST_CHECK enum ps_status
ps_r2_list(struct ps_map *map, ps_map_store store, const struct ps_cluster *cluster,
           const struct ps_bound *bound, const struct ps_r2_request *request, int64_t now_unix_ms,
           size_t size_max, struct ps_r2_page *ret, struct ps_r2_error *err);
void ps_r2_page_fini(struct ps_r2_page *page); /* zeroed accepted */

/** Call `each` for the uploads that are too old at `now_unix_ms` (PS_R2_UPLOAD_AGE_MS): home aborts
 *  them (PS_R2_ABORT). Inside a map read. Errors: PS_IO, PS_CORRUPT. */
typedef void (*ps_r2_upload_fn)(void *context, const struct ps_r2_upload *upload);
PS_MUST_CHECK enum ps_status ps_r2_list_old_uploads(struct ps_map *map, ps_map_store store,
                                                    const struct ps_cluster *cluster,
                                                    int64_t now_unix_ms, ps_r2_upload_fn each,
                                                    void *context);

/** Append the opaque cursor of a truncated page of objects. */
void ps_r2_cursor_encode(struct ps_buf *buf, struct ps_slice last);
/** Append the name that a cursor holds. Errors: PS_INVALID. */
PS_MUST_CHECK enum ps_status ps_r2_cursor_decode(struct ps_slice cursor, struct ps_buf *ret);

#endif
