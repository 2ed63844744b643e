/* What the writer may have meant. */
#include "sim/scenario/read.h"

#include <string.h>

enum { NAME_MAX_SIZE = 63, HINTS_MAX = 3 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/** Edit distance (insert, remove, replace; case does not count); both at most NAME_MAX_SIZE bytes.
 */
static size_t distance(struct ps_slice a, struct ps_slice b)
{
    size_t row[NAME_MAX_SIZE + 1];
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t replace = diagonal + (lower(a.data[i]) != lower(b.data[j]));
            diagonal = row[j + 1];
            size_t best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            row[j + 1] = replace < best ? replace : best;
        }
    }
    return row[b.size];
}

const char *ps_nearest(struct ps_slice text, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    if (text.size == 0 || text.size > NAME_MAX_SIZE) {
        return NULL;
    }
    size_t best = text.size / 3 + 2; /* the first distance that is too far */
    for (size_t i = 0; i < count; i++) {
        struct ps_slice name = ps_slice_of(names[i]);
        size_t d = name.size <= NAME_MAX_SIZE ? distance(text, name) : best;
        if (d < best && d < name.size) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

/** Nearness of a PoP to what was written: 0 for its city. */
static size_t pop_distance(struct ps_slice text, const struct ps_pop *pop)
{
    struct ps_slice city = ps_slice_of(pop->city);
    if (city.size == text.size && city.size <= NAME_MAX_SIZE && distance(text, city) == 0) {
        return 0;
    }
    return distance(text, ps_slice_of(pop->code)) + 1;
}

size_t ps_nearest_pops(struct ps_buf *buf, struct ps_slice text, const struct ps_cluster *cluster)
{
    size_t count = cluster != NULL ? cluster->pop_count : ps_pop_count();
    size_t written = 0;
    if (text.size > NAME_MAX_SIZE) {
        text.size = NAME_MAX_SIZE;
    }
    bool city = false;
    for (size_t want = 0; want <= NAME_MAX_SIZE + 1 && written < HINTS_MAX && !city; want++) {
        for (size_t i = 0; i < count && written < HINTS_MAX; i++) {
            const struct ps_pop *pop = cluster != NULL ? cluster->pops[i] : ps_pop_at(i);
            if (pop_distance(text, pop) == want) {
                ps_buf_append_text(buf, written > 0 ? ", " : "");
                ps_buf_append_text(buf, pop->code);
                written++;
                city = city || want == 0;
            }
        }
    }
    return written;
}
