#include "node/r2/error.h"

#include "replication/base/assert.h"

#include <stdarg.h>
#include <stdio.h>

const struct ps_r2_code_info *ps_r2_code_info(enum ps_r2_code code)
{
    static const struct ps_r2_code_info table[] = {
#define INFO(name, v4, s3, http, message) {s3, message, v4, http},
        PS_R2_CODE_LIST(INFO)
#undef INFO
    };
    PS_ASSERT(code < PS_R2_CODES);
    return &table[code];
}

const char *ps_r2_error_message(const struct ps_r2_error *error)
{
    return error->text[0] != '\0' ? error->text : ps_r2_code_info(error->code)->message;
}

bool ps_r2_fail(struct ps_r2_error *err, enum ps_r2_code code)
{
    PS_ASSERT(code != PS_R2_CODE_NONE);
    if (err->code == PS_R2_CODE_NONE) {
        *err = (struct ps_r2_error){.code = code};
    }
    return false;
}

bool ps_r2_fail_with(struct ps_r2_error *err, enum ps_r2_code code, const char *format, ...)
{
    PS_ASSERT(code != PS_R2_CODE_NONE);
    if (err->code == PS_R2_CODE_NONE) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return false;
}

bool ps_r2_is_refusal(enum ps_r2_code code)
{
    return code != PS_R2_CODE_NONE && code != PS_R2_CODE_INTERNAL &&
           code != PS_R2_CODE_SERVICE_UNAVAILABLE && code != PS_R2_CODE_DISK_FULL;
}

enum ps_r2_code ps_r2_code_of(enum ps_status status)
{
    static const struct {
        enum ps_status status;
        enum ps_r2_code code;
    } known[] = {
        {PS_OK, PS_R2_CODE_NONE},
        {PS_RATE_LIMITED, PS_R2_CODE_TOO_MANY_REQUESTS},
        {PS_NOT_FOUND, PS_R2_CODE_NO_SUCH_KEY},
        {PS_UNREACHABLE, PS_R2_CODE_SERVICE_UNAVAILABLE},
        {PS_TIMEOUT, PS_R2_CODE_SERVICE_UNAVAILABLE},
        {PS_BUSY, PS_R2_CODE_SERVICE_UNAVAILABLE},
        {PS_BEHIND, PS_R2_CODE_SERVICE_UNAVAILABLE},
        {PS_FULL, PS_R2_CODE_DISK_FULL},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].code;
        }
    }
    return PS_R2_CODE_INTERNAL;
}
