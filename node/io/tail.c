#include "node/io/tail.h"

void ps_tail_init(struct ps_tail *tail, struct ps_node_store *store, struct ps_slice key,
                  uint64_t lsn, size_t size)
{
    *tail = (struct ps_tail){.store = store, .lsn = lsn, .size = size};
    ps_buf_append_slice(&tail->key, key);
}

void ps_tail_fini(struct ps_tail *tail)
{
    ps_buf_fini(&tail->key);
    *tail = (struct ps_tail){0};
}

bool ps_tail_left(const struct ps_tail *tail)
{
    return tail->sent < tail->size;
}

bool ps_tail_next(struct ps_tail *tail, struct ps_buf *ret)
{
    struct ps_map *map = tail->store->node->map;
    if (ps_map_read_begin(map) != PS_OK) {
        return false;
    }
    struct ps_bound bound = {.lsn_max = tail->lsn, .commit_max = PS_NEVER};
    struct ps_version version;
    bool there = ps_map_get(map, tail->store->map_store, ps_buf_slice(&tail->key), &bound,
                            &version) == PS_OK &&
                 version.lsn == tail->lsn && version.value.size == tail->size;
    if (there) {
        size_t left = tail->size - tail->sent;
        size_t size = left < PS_TAIL_PART ? left : PS_TAIL_PART;
        ps_buf_append(ret, version.value.data + tail->sent, size);
        tail->sent += size;
    }
    ps_map_read_end(map);
    return there;
}
