/* The running maximum of arrivals: a ring of marks, one per record that is still of interest. */
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/world/visibility.h"

enum { RING_MIN = 64 };

static struct ps_push_mark *mark_of(const struct ps_push_window *window, ps_lsn n)
{
    return &window->marks[n & (window->capacity - 1)];
}

static size_t mark_count(const struct ps_push_window *window)
{
    return (size_t)(window->last + 1 - window->first);
}

/* A zeroed window has first = 0; LSNs start at 1. */
static void settle(struct ps_push_window *window)
{
    if (window->first == 0) {
        window->first = 1;
    }
}

static void grow(struct ps_push_window *window)
{
    size_t capacity = window->capacity == 0 ? RING_MIN : window->capacity * 2;
    struct ps_push_mark *marks = PS_NEW_ARRAY(struct ps_push_mark, capacity);
    for (ps_lsn n = window->first; n <= window->last && window->capacity > 0; n++) {
        marks[n & (capacity - 1)] = *mark_of(window, n);
    }
    free(window->marks);
    window->marks = marks;
    window->capacity = capacity;
}

void ps_push_window_fini(struct ps_push_window *window)
{
    free(window->marks);
    *window = (struct ps_push_window){0};
}

void ps_push_window_reset(struct ps_push_window *window, ps_lsn lsn, ps_time_ns visible_ns)
{
    window->first = lsn + 1;
    window->last = lsn;
    window->before_ns = visible_ns;
}

void ps_push_window_append(struct ps_push_window *window, const struct ps_replica *replica,
                           ps_time_ns commit_ns)
{
    settle(window);
    if (mark_count(window) == window->capacity) {
        grow(window);
    }
    ps_lsn n = window->last + 1;
    ps_time_ns before_ns =
        n == window->first ? window->before_ns : mark_of(window, window->last)->visible_ns;
    ps_time_ns arrival_ns = ps_push_arrival(replica, n, commit_ns);
    *mark_of(window, n) = (struct ps_push_mark){.commit_ns = commit_ns,
                                                .visible_ns = ps_time_max(before_ns, arrival_ns)};
    window->last = n;
}

ps_lsn ps_push_window_at(const struct ps_push_window *window, ps_time_ns t)
{
    if (window->first == 0) {
        return 0;
    }
    /* The first mark that is not visible yet; all before it are. */
    ps_lsn low = window->first;
    ps_lsn high = window->last + 1;
    while (low < high) {
        ps_lsn middle = low + (high - low) / 2;
        if (mark_of(window, middle)->visible_ns > t) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low - 1;
}

ps_time_ns ps_push_window_visible(const struct ps_push_window *window, ps_lsn n)
{
    PS_ASSERT(n >= window->first);
    PS_ASSERT(n <= window->last);
    return mark_of(window, n)->visible_ns;
}

void ps_push_window_trim(struct ps_push_window *window, ps_time_ns t)
{
    if (window->first == 0) {
        return;
    }
    ps_lsn seen = ps_push_window_at(window, t);
    if (seen >= window->first) {
        window->before_ns = mark_of(window, seen)->visible_ns;
        window->first = seen + 1;
    }
}

void ps_push_window_relink(struct ps_push_window *window, const struct ps_replica *replica,
                           ps_time_ns t)
{
    if (window->first == 0) {
        return;
    }
    ps_lsn from = ps_push_window_at(window, ps_time_sub(t, 1)) + 1;
    if (from < window->first) {
        from = window->first;
    }
    for (ps_lsn n = from; n <= window->last; n++) {
        ps_time_ns before_ns =
            n == window->first ? window->before_ns : mark_of(window, n - 1)->visible_ns;
        ps_time_ns arrival_ns = ps_push_arrival(replica, n, mark_of(window, n)->commit_ns);
        mark_of(window, n)->visible_ns = ps_time_max(before_ns, arrival_ns);
    }
}
