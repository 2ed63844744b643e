#include "replication/base/status.h"

#include "replication/base/assert.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const texts[] = {
#define PS_STATUS_ENTRY(name, text) text,
    PS_STATUS_LIST(PS_STATUS_ENTRY)
#undef PS_STATUS_ENTRY
};

enum { STATUS_COUNT = sizeof texts / sizeof texts[0] };

const char *ps_status_text(enum ps_status status)
{
    return (size_t)status < STATUS_COUNT ? texts[status] : "unknown status";
}

const char *ps_status_name(enum ps_status status)
{
    switch (status) {
    case PS_OK:
        return "ok";
    case PS_INVALID:
        return "invalid";
    case PS_CORRUPT:
        return "corrupt";
    case PS_NOT_FOUND:
        return "not_found";
    case PS_EXISTS:
        return "exists";
    case PS_LIMIT:
        return "limit";
    case PS_RATE_LIMITED:
        return "rate_limited";
    case PS_GAP:
        return "gap";
    case PS_TOO_OLD:
        return "too_old";
    case PS_BEHIND:
        return "behind";
    case PS_UNREACHABLE:
        return "unreachable";
    case PS_TIMEOUT:
        return "timeout";
    case PS_BUSY:
        return "busy";
    case PS_FULL:
        return "full";
    case PS_IO:
        return "io";
    case PS_CANCELLED:
        return "cancelled";
    case PS_UNSUPPORTED:
        return "unsupported";
    }
    return "unknown";
}

enum ps_status ps_fail(struct ps_error *err, enum ps_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        err->status = status;
    }
    return status;
}

enum ps_status ps_error_wrap(struct ps_error *err, const char *format, ...)
{
    if (err == NULL) {
        return PS_OK;
    }
    char reason[PS_ERROR_TEXT_SIZE];
    (void)snprintf(reason, sizeof reason, "%s", err->text);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (size >= 0 && (size_t)size < sizeof err->text) {
        size_t left = sizeof err->text - (size_t)size;
        int wanted = snprintf(err->text + size, left, ": %s", reason);
        PS_ASSERT(wanted >= 0); /* text that does not fit is cut */
    }
    return err->status;
}
