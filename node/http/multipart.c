#include "node/http/multipart.h"

#include <string.h>
#include <strings.h>

enum { BOUNDARY_SIZE_MAX = 70 }; /* RFC 2046, 5.1.1 */

/* The value of `name=` among a header's parameters, without its quotes; empty if there is none. */
static struct ps_slice parameter(struct ps_slice header, const char *name)
{
    size_t size = strlen(name);
    const char *end = header.data + header.size;
    const char *at = header.size == 0 ? NULL : memchr(header.data, ';', header.size);
    while (at != NULL) {
        do {
            at++;
        } while (at < end && (*at == ' ' || *at == '\t'));
        if ((size_t)(end - at) > size && strncasecmp(at, name, size) == 0 && at[size] == '=') {
            at += size + 1;
            bool quoted = at < end && *at == '"';
            at += quoted ? 1 : 0;
            const char *stop = at;
            while (stop < end && (quoted ? *stop != '"' : *stop != ';' && *stop != ' ')) {
                stop++;
            }
            return (struct ps_slice){at, (size_t)(stop - at)};
        }
        at = at == end ? NULL : memchr(at, ';', (size_t)(end - at));
    }
    return (struct ps_slice){NULL, 0};
}

static struct ps_slice rest_of(struct ps_slice text, const char *from)
{
    return (struct ps_slice){from, text.size - (size_t)(from - text.data)};
}

/* Take one line of a part's header, without its end. */
static bool take_line(struct ps_slice *text, struct ps_slice *ret)
{
    const char *end = text->size == 0 ? NULL : memmem(text->data, text->size, "\r\n", 2);
    if (end == NULL) {
        return false;
    }
    *ret = (struct ps_slice){text->data, (size_t)(end - text->data)};
    *text = rest_of(*text, end + 2);
    return true;
}

/* Take a part's header up to its empty line; *ret_name is the field's. */
static bool take_header(struct ps_slice *text, struct ps_slice *ret_name)
{
    static const char disposition[] = "content-disposition:";
    struct ps_slice line;
    *ret_name = (struct ps_slice){NULL, 0};
    while (take_line(text, &line)) {
        if (line.size == 0) {
            return true;
        }
        if (line.size >= sizeof disposition - 1 &&
            strncasecmp(line.data, disposition, sizeof disposition - 1) == 0) {
            *ret_name = parameter(line, "name");
        }
    }
    return false;
}

enum ps_status ps_multipart_field(struct ps_slice content_type, struct ps_slice body,
                                  const char *name, struct ps_slice *ret, bool *ret_found)
{
    *ret_found = false;
    struct ps_slice boundary = parameter(content_type, "boundary");
    if (boundary.size == 0 || boundary.size > BOUNDARY_SIZE_MAX) {
        return PS_INVALID;
    }
    /* The first delimiter may stand at the very start: it has no line end before it. */
    char delimiter[4 + BOUNDARY_SIZE_MAX] = "\r\n--";
    memcpy(delimiter + 4, boundary.data, boundary.size);
    size_t size = 4 + boundary.size;
    struct ps_slice first = {delimiter + 2, size - 2};
    const char *at = body.size == 0 ? NULL : memmem(body.data, body.size, first.data, first.size);
    if (at == NULL) {
        return PS_INVALID;
    }
    struct ps_slice text = rest_of(body, at + first.size);
    while (!ps_slice_starts(text, PS_LIT("--"))) {
        struct ps_slice padding;
        struct ps_slice part;
        if (!take_line(&text, &padding) || !take_header(&text, &part)) {
            return PS_INVALID;
        }
        /* An empty part may end where its header's empty line does. */
        const char *start = text.data;
        struct ps_slice from = {start - 2, text.size + 2};
        const char *stop = memmem(from.data, from.size, delimiter, size);
        if (stop == NULL) {
            return PS_INVALID;
        }
        if (!*ret_found && ps_slice_eq(part, ps_slice_of(name))) {
            *ret = (struct ps_slice){start, stop < start ? 0 : (size_t)(stop - start)};
            *ret_found = true;
        }
        text = rest_of(text, stop + size);
    }
    return PS_OK;
}
