#include "node/io/heap.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

void ps_heap_fini(struct ps_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        heap->items[i]->place = 0;
    }
    free(heap->items);
    *heap = (struct ps_heap){0};
}

static bool before(const struct ps_heap_item *a, const struct ps_heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->turn < b->turn;
}

static void put(struct ps_heap *heap, size_t index, struct ps_heap_item *item)
{
    heap->items[index] = item;
    item->place = index + 1;
}

static void rise(struct ps_heap *heap, size_t index)
{
    struct ps_heap_item *item = heap->items[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!before(item, heap->items[parent])) {
            break;
        }
        put(heap, index, heap->items[parent]);
        index = parent;
    }
    put(heap, index, item);
}

static void sink(struct ps_heap *heap, size_t index)
{
    struct ps_heap_item *item = heap->items[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child])) {
            child++;
        }
        if (!before(heap->items[child], item)) {
            break;
        }
        put(heap, index, heap->items[child]);
        index = child;
    }
    put(heap, index, item);
}

void ps_heap_push(struct ps_heap *heap, struct ps_heap_item *item, uint64_t key)
{
    PS_ASSERT(item->place == 0);
    item->key = key;
    item->turn = heap->turns++;
    heap->items = ps_grow(heap->items, heap->count, &heap->capacity, sizeof(struct ps_heap_item *));
    heap->items[heap->count++] = item;
    rise(heap, heap->count - 1);
}

void ps_heap_remove(struct ps_heap *heap, struct ps_heap_item *item)
{
    if (item->place == 0) {
        return;
    }
    size_t index = item->place - 1;
    PS_ASSERT(index < heap->count && heap->items[index] == item);
    item->place = 0;
    struct ps_heap_item *last = heap->items[--heap->count];
    if (last != item) {
        put(heap, index, last);
        rise(heap, index);
        sink(heap, last->place - 1);
    }
}

struct ps_heap_item *ps_heap_first(const struct ps_heap *heap)
{
    return heap->count == 0 ? NULL : heap->items[0];
}
