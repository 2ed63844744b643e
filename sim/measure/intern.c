#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "sim/measure/history.h"

#include <string.h>

/* Open addressing over a table of numbers; texts lie behind each other in one buffer. */
struct entry {
    uint64_t hash;
    size_t at; /* in texts */
    size_t size;
};

struct ps_intern {
    struct ps_buf texts;
    struct entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *slots;   /* number + 1; 0 = free */
    size_t slot_count; /* a power of two */
};

enum { SLOTS_FIRST = 64 };

struct ps_intern *ps_intern_create(void)
{
    struct ps_intern *intern = PS_NEW(struct ps_intern);
    intern->slot_count = SLOTS_FIRST;
    intern->slots = PS_NEW_ARRAY(uint32_t, intern->slot_count);
    return intern;
}

void ps_intern_destroy(struct ps_intern *intern)
{
    if (intern == NULL) {
        return;
    }
    ps_buf_fini(&intern->texts);
    free(intern->entries);
    free(intern->slots);
    free(intern);
}

static void rehash(struct ps_intern *intern)
{
    free(intern->slots);
    intern->slot_count *= 2;
    intern->slots = PS_NEW_ARRAY(uint32_t, intern->slot_count);
    size_t mask = intern->slot_count - 1;
    for (size_t i = 0; i < intern->count; i++) {
        size_t at = (size_t)intern->entries[i].hash & mask;
        while (intern->slots[at] != 0) {
            at = (at + 1) & mask;
        }
        intern->slots[at] = (uint32_t)i + 1;
    }
}

uint32_t ps_intern_put(struct ps_intern *intern, struct ps_slice text)
{
    uint64_t hash = ps_slice_hash(text);
    size_t mask = intern->slot_count - 1;
    size_t at = (size_t)hash & mask;
    for (; intern->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t number = intern->slots[at] - 1;
        if (intern->entries[number].hash == hash &&
            ps_slice_eq(ps_intern_text(intern, number), text)) {
            return number;
        }
    }
    PS_ASSERT(intern->count < UINT32_MAX - 1);
    intern->entries =
        ps_grow(intern->entries, intern->count, &intern->capacity, sizeof *intern->entries);
    intern->entries[intern->count] = (struct entry){hash, intern->texts.size, text.size};
    ps_buf_append_slice(&intern->texts, text);
    intern->slots[at] = (uint32_t)++intern->count;
    if (intern->count * 2 > intern->slot_count) {
        rehash(intern);
    }
    return (uint32_t)intern->count - 1;
}

struct ps_slice ps_intern_text(const struct ps_intern *intern, uint32_t number)
{
    PS_ASSERT(number < intern->count);
    const struct entry *entry = &intern->entries[number];
    if (entry->size == 0) {
        return (struct ps_slice){0};
    }
    return (struct ps_slice){intern->texts.data + entry->at, entry->size};
}

size_t ps_intern_count(const struct ps_intern *intern)
{
    return intern->count;
}
