#include "replication/base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { GROW_MIN = 16 };

static _Noreturn void out_of_memory(size_t count, size_t size)
{
    (void)fprintf(stderr, "popsim: out of memory (%zu x %zu bytes)\n", count, size);
    abort();
}

void *ps_calloc(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (memory == NULL) {
        out_of_memory(count, size);
    }
    return memory;
}

void *ps_realloc(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        out_of_memory(count, size);
    }
    void *moved = realloc(memory, bytes == 0 ? 1 : bytes);
    if (moved == NULL) {
        out_of_memory(count, size);
    }
    return moved;
}

char *ps_strndup(const char *text, size_t size)
{
    char *copy = ps_calloc(size + 1, 1);
    if (size > 0) {
        memcpy(copy, text, size);
    }
    return copy;
}

void *ps_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity) {
        return array;
    }
    size_t grown = *capacity == 0 ? GROW_MIN : *capacity * 2;
    if (grown <= *capacity) {
        out_of_memory(*capacity, element_size);
    }
    array = ps_realloc(array, grown, element_size);
    *capacity = grown;
    return array;
}
