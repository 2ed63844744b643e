/* A binary heap of things that wait for a number to be reached: an instant of the monotonic clock,
 * or a commit time up to which the log must be complete. Ties come out in the order they went in.
 */
#ifndef PS_NODE_IO_HEAP_H
#define PS_NODE_IO_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Embedded in what waits. Zeroed = in no heap. */
struct ps_heap_item {
    uint64_t key;
    uint64_t turn; /* breaks ties */
    size_t place;  /* 1 + index in the heap; 0 = in none */
};

/** Zeroed = empty. Ownership: the items are their owners'. */
struct ps_heap {
    struct ps_heap_item **items;
    size_t count;
    size_t capacity;
    uint64_t turns;
};

void ps_heap_fini(struct ps_heap *heap); /* forgets the items that are still in it */
void ps_heap_push(struct ps_heap *heap, struct ps_heap_item *item, uint64_t key);
/** Take an item out; nothing happens if it is in no heap. */
void ps_heap_remove(struct ps_heap *heap, struct ps_heap_item *item);
/** The item with the smallest key; NULL if the heap is empty. */
struct ps_heap_item *ps_heap_first(const struct ps_heap *heap);

#endif
