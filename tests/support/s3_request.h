/* A request as a fuzzer's bytes have it: "METHOD target\n", "name: value\n" lines, an empty line,
 * the body. Names are tokens and values have no line ends, as HTTP's parser leaves them. */
#ifndef PS_TESTS_SUPPORT_S3_REQUEST_H
#define PS_TESTS_SUPPORT_S3_REQUEST_H

#include "node/http/http.h"
#include "node/s3/sigv4.h"
#include "node/s3/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { S3_NOW_S = 1369353600, S3_HEADERS = 32 };

struct s3_request {
    struct ps_http_header headers[S3_HEADERS + 4];
    struct ps_http_request head;
    const char *method;
    struct ps_slice body;
    struct ps_buf authorization;
};

static inline const char *s3_method(struct ps_slice text, enum ps_http_method *ret)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (ps_slice_eq(text, ps_slice_of(names[i]))) {
            *ret = (enum ps_http_method)i;
            return names[i];
        }
    }
    *ret = PS_HTTP_OTHER;
    return "";
}

static inline bool s3_is_token(struct ps_slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return name.size > 0;
}

/* Up to the next `stop`, which is cut off; what is left when there is none. */
static inline struct ps_slice s3_cut(struct ps_slice *rest, char stop)
{
    const char *at = rest->size == 0 ? NULL : memchr(rest->data, stop, rest->size);
    struct ps_slice part = {rest->data, at == NULL ? rest->size : (size_t)(at - rest->data)};
    size_t used = part.size + (at == NULL ? 0 : 1);
    *rest = (struct ps_slice){rest->data + used, rest->size - used};
    return part;
}

static inline void s3_request_read(struct ps_slice bytes, struct s3_request *ret)
{
    *ret = (struct s3_request){.head = {.headers = ret->headers}};
    struct ps_slice first = s3_cut(&bytes, '\n');
    ret->method = s3_method(s3_cut(&first, ' '), &ret->head.method);
    ret->head.target = first;
    while (bytes.size > 0) {
        struct ps_slice line = s3_cut(&bytes, '\n');
        if (line.size == 0) {
            break;
        }
        struct ps_slice name = s3_cut(&line, ':');
        if (s3_is_token(name) && ret->head.header_count < S3_HEADERS) {
            ret->headers[ret->head.header_count++] =
                (struct ps_http_header){name, ps_s3_trim(line)};
        }
    }
    ret->body = bytes;
}

static inline void s3_request_fini(struct s3_request *request)
{
    ps_buf_fini(&request->authorization);
}

static inline void s3_request_add(struct s3_request *request, const char *name,
                                  struct ps_slice value)
{
    request->headers[request->head.header_count++] =
        (struct ps_http_header){ps_slice_of(name), value};
}

/* Sign it as a client does that knows the key pair, with what it says of its payload. false: it
 * cannot be signed (too many parameters). */
static inline bool s3_request_sign(struct s3_request *request, const struct ps_s3_signer *signer)
{
    struct ps_slice path;
    struct ps_slice raw;
    struct ps_s3_query query;
    size_t kept = 0;
    for (size_t i = 0; i < request->head.header_count; i++) {
        struct ps_slice name = request->headers[i].name;
        bool own = (name.size == 13 && strncasecmp(name.data, "authorization", 13) == 0) ||
                   (name.size == 10 && strncasecmp(name.data, "x-amz-date", 10) == 0);
        if (!own) {
            request->headers[kept++] = request->headers[i];
        }
    }
    request->head.header_count = kept;
    s3_request_add(request, "x-amz-date", PS_LIT("20130524T000000Z"));
    if (ps_http_header(&request->head, "host") == NULL) {
        s3_request_add(request, "host", PS_LIT("h"));
    }
    if (ps_http_header(&request->head, "x-amz-content-sha256") == NULL) {
        s3_request_add(request, "x-amz-content-sha256", PS_LIT("UNSIGNED-PAYLOAD"));
    }
    ps_s3_split_target(request->head.target, &path, &raw);
    if (ps_s3_query_read(raw, &query) != PS_OK) {
        return false;
    }
    ps_s3_query_fini(&query);
    struct ps_slice payload = ps_http_header(&request->head, "x-amz-content-sha256")->value;
    ps_s3_sign(signer, request->method, request->head.target, request->headers,
               request->head.header_count, payload, &request->authorization, NULL);
    s3_request_add(request, "authorization", ps_buf_slice(&request->authorization));
    return true;
}

#endif
