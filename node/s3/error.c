#include "node/s3/error.h"

#include "node/s3/xml.h"
#include "replication/base/assert.h"

#include <stdarg.h>
#include <stdio.h>

void ps_s3_fail_open(struct ps_http_response *response, int status, const char *code,
                     struct ps_slice message)
{
    PS_ASSERT(response->status == 0 && status >= 400);
    response->status = status;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/xml"));
    ps_s3_xml_begin(&response->body);
    ps_s3_xml_open(&response->body, "Error");
    ps_s3_xml_text(&response->body, "Code", ps_slice_of(code));
    ps_s3_xml_text(&response->body, "Message", message);
}

void ps_s3_fail_close(struct ps_http_response *response)
{
    ps_s3_xml_close(&response->body, "Error");
}

PS_PRINTF(4, 0)

static void fail(struct ps_http_response *response, int status, const char *code,
                 const char *format, va_list arguments)
{
    struct ps_buf message = {0};
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    PS_ASSERT(size >= 0);
    ps_buf_reserve(&message, (size_t)size + 1);
    (void)vsnprintf(message.data, (size_t)size + 1, format, arguments);
    message.size = (size_t)size;
    ps_s3_fail_open(response, status, code, ps_buf_slice(&message));
    ps_s3_fail_close(response);
    ps_buf_fini(&message);
}

void ps_s3_fail(struct ps_http_response *response, int status, const char *code, const char *format,
                ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(response, status, code, format, arguments);
    va_end(arguments);
}

void ps_s3_not_implemented(struct ps_http_response *response, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(response, 501, "NotImplemented", format, arguments);
    va_end(arguments);
}

void ps_s3_invalid_argument(struct ps_http_response *response, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(response, 400, "InvalidArgument", format, arguments);
    va_end(arguments);
}

void ps_s3_no_such_bucket(struct ps_http_response *response)
{
    ps_s3_fail(response, 404, "NoSuchBucket", "The specified bucket does not exist.");
}

void ps_s3_malformed_xml(struct ps_http_response *response)
{
    ps_s3_fail(response, 400, "MalformedXML",
               "The XML you provided was not well formed or did not validate against our published "
               "schema.");
}

void ps_s3_route_not_found(struct ps_http_response *response)
{
    ps_s3_fail(response, 404, "RouteNotFound", "No route matches this url.");
}
