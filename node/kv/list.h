/* Lists: the names that a read within a bound shows. Pure; the live node and the virtual world call
 * the same functions. */
#ifndef PS_NODE_KV_LIST_H
#define PS_NODE_KV_LIST_H

#include "node/kv/kv.h"

/** Keys that one list looks at; one that walks over more expired or deleted ones ends there,
 *  incomplete, as the service's own may. */
enum { PS_KV_LIST_WALK_MAX = 200000 };

/** One list. */
struct ps_kv_list {
    struct ps_slice prefix;
    struct ps_slice after; /* names > this; empty = from the start */
    size_t limit;          /* 0 = PS_KV_LIST_MAX */
    int64_t now_unix_s;    /* expiry is evaluated at this time */
    /** Called for each name, in byte order. Slices live until it returns. */
    void (*each)(void *context, struct ps_slice key, const struct ps_version *version);
    void *context;
    /** NULL, or: when names are left, the name that the next page begins behind is left here. It
     *  need not have been shown. */
    struct ps_buf *last;
};

/** Walk the list within `bound`; inside a map read. *ret_complete: no name was left behind the
 * last. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_kv_list_walk(struct ps_map *map, ps_map_store store,
                                             const struct ps_bound *bound,
                                             const struct ps_kv_list *list, bool *ret_complete);

/** Append the bytes under which a list's cache entry stands: no key of a user can be equal to them.
 */
void ps_kv_list_pin_key(struct ps_buf *buf, struct ps_slice prefix);

#endif
