#include "node/kv/list.h"

struct walk {
    const struct ps_kv_list *list;
    size_t limit;
    size_t walked;
    size_t shown;
    bool complete;
};

static bool take(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct walk *walk = context;
    bool absent = ps_kv_absent(version, walk->list->now_unix_s);
    if (!absent && walk->shown == walk->limit) {
        walk->complete = false;
        return false;
    }
    if (!absent) {
        walk->shown++;
        walk->list->each(walk->list->context, key, version);
    }
    bool is_last = ++walk->walked == PS_KV_LIST_WALK_MAX;
    if (walk->list->last != NULL && (is_last || walk->shown == walk->limit)) {
        walk->list->last->size = 0;
        ps_buf_append_slice(walk->list->last, key);
    }
    walk->complete = !is_last;
    return walk->complete;
}

enum ps_status ps_kv_list_walk(struct ps_map *map, ps_map_store store, const struct ps_bound *bound,
                               const struct ps_kv_list *list, bool *ret_complete)
{
    struct walk walk = {
        .list = list, .limit = list->limit == 0 ? PS_KV_LIST_MAX : list->limit, .complete = true};
    enum ps_status status = ps_map_list(map, store, list->prefix, list->after, bound, take, &walk);
    *ret_complete = walk.complete;
    return status;
}

void ps_kv_list_pin_key(struct ps_buf *buf, struct ps_slice prefix)
{
    /* Longer than any key of a user can be, whatever the prefix is. */
    static const char mark[PS_KV_KEY_SIZE_MAX + 1] = "list";
    ps_buf_append(buf, mark, sizeof mark);
    ps_buf_append_slice(buf, prefix);
}
