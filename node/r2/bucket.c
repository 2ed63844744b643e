#include "node/r2/bucket.h"

static char as_name(char c)
{
    return (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool ps_r2_bucket_name_valid(struct ps_slice name)
{
    enum { LEAST = 3, MOST = 63 };

    if (name.size < LEAST || name.size > MOST) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool inside = i > 0 && i + 1 < name.size;
        if (!plain && !(inside && c == '-')) {
            return false;
        }
    }
    return true;
}

bool ps_r2_bucket_name_eq(struct ps_slice a, struct ps_slice b)
{
    bool same = a.size == b.size;
    for (size_t i = 0; same && i < a.size; i++) {
        same = as_name(a.data[i]) == as_name(b.data[i]);
    }
    return same;
}

void ps_r2_bucket_name_put(struct ps_buf *buf, struct ps_slice title)
{
    for (size_t i = 0; i < title.size; i++) {
        ps_buf_append_char(buf, as_name(title.data[i]));
    }
}
