/* A request to a node's API as a test writes it down, and what the API makes of it. */
#ifndef PS_TESTS_SUPPORT_API_ASK_H
#define PS_TESTS_SUPPORT_API_ASK_H

#include "node/http/api.h"

enum { ASKED_HEADERS_MAX = 8, ASKED_UNIX_S = 1000 };

/** What was asked, which must stay where it is; the answer, unless it is a call. asked_fini
 *  releases it. */
struct asked {
    struct ps_http_request request;
    struct ps_http_header headers[ASKED_HEADERS_MAX];
    struct ps_api_call call;
    struct ps_http_response response;
};

/** Headers: pairs of names and values, ended by NULL; NULL: none. All texts are borrowed. */
static inline void ask_api(const struct ps_api_config *config, enum ps_http_method method,
                           const char *target, const char *const *headers, const char *body,
                           struct asked *ret)
{
    *ret = (struct asked){.request = {.method = method, .target = ps_slice_of(target)}};
    ret->request.headers = ret->headers;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2) {
        ret->headers[ret->request.header_count++] =
            (struct ps_http_header){ps_slice_of(headers[i]), ps_slice_of(headers[i + 1])};
    }
    ret->request.body = ps_slice_of(body);
    ps_api_parse(config, &ret->request, ASKED_UNIX_S, &ret->call, &ret->response);
}

static inline void asked_fini(struct asked *asked)
{
    ps_api_call_fini(&asked->call);
    ps_http_response_fini(&asked->response);
}

#endif
