/* Memory that cannot be had ends the program.
 *
 * popsim bounds every size that comes from outside before it takes memory, so running out means the
 * machine has none left, and no useful answer can be given. These functions print what was asked
 * for and abort; they never return NULL. tools/lint refuses bare malloc elsewhere. Release with
 * free(). */
#ifndef PS_REPLICATION_BASE_MEMORY_H
#define PS_REPLICATION_BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

/** `count` zeroed objects of `size` bytes. Ownership: the caller's, released by free(). */
void *ps_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/** As realloc(); the grown part is not zeroed. */
void *ps_realloc(void *memory, size_t count, size_t size) __attribute__((returns_nonnull));

/** A copy of `size` bytes with a NUL behind it. */
char *ps_strndup(const char *text, size_t size) __attribute__((malloc, returns_nonnull));

/** Make room for one more element in a growing array: doubles `*capacity` from 16 when
 *  `count == *capacity`. Returns the (moved) array. */
void *ps_grow(void *array, size_t count, size_t *capacity, size_t element_size)
    __attribute__((returns_nonnull));

#define PS_NEW(type) ((type *)ps_calloc(1, sizeof(type)))
#define PS_NEW_ARRAY(type, count) ((type *)ps_calloc((count), sizeof(type)))

#endif
