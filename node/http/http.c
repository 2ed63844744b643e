#include "node/http/http.h"

#include <string.h>
#include <strings.h>

const struct ps_http_header *ps_http_header(const struct ps_http_request *request, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct ps_http_header *header = &request->headers[i];
        if (header->name.size == size && strncasecmp(header->name.data, name, size) == 0) {
            return header;
        }
    }
    return NULL;
}

void ps_http_response_fini(struct ps_http_response *response)
{
    ps_buf_fini(&response->headers);
    ps_buf_fini(&response->body);
    response->status = 0;
    response->phrase[0] = '\0';
}

void ps_http_response_header(struct ps_http_response *response, const char *name,
                             struct ps_slice value)
{
    struct ps_buf *buf = &response->headers;
    ps_buf_append_text(buf, name);
    ps_buf_append(buf, ": ", 2);
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c != '\r' && c != '\n' && c != '\0') {
            ps_buf_append_char(buf, c);
        }
    }
    ps_buf_append(buf, "\r\n", 2);
}

const char *ps_http_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{100, "Continue"},
                   {200, "OK"},
                   {201, "Created"},
                   {204, "No Content"},
                   {206, "Partial Content"},
                   {304, "Not Modified"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {411, "Length Required"},
                   {412, "Precondition Failed"},
                   {413, "Payload Too Large"},
                   {414, "URI Too Long"},
                   {416, "Range Not Satisfiable"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {507, "Insufficient Storage"}};

    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return "";
}
