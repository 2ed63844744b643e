#include "node/s3/cors.h"

#include "node/s3/error.h"
#include "node/s3/text.h"

#include <string.h>
#include <strings.h>

/* Does `text` match a pattern with at most one "*"? */
static bool matches(struct ps_slice pattern, struct ps_slice text, bool fold)
{
    const char *star = pattern.size == 0 ? NULL : memchr(pattern.data, '*', pattern.size);
    size_t head = star == NULL ? pattern.size : (size_t)(star - pattern.data);
    size_t tail = star == NULL ? 0 : pattern.size - head - 1;
    if (star == NULL ? text.size != head : text.size < head + tail) {
        return false;
    }
    const char *end = text.data + text.size - tail;
    if (fold) {
        return strncasecmp(pattern.data, text.data, head) == 0 &&
               (tail == 0 || strncasecmp(star + 1, end, tail) == 0);
    }
    return memcmp(pattern.data, text.data, head) == 0 &&
           (tail == 0 || memcmp(star + 1, end, tail) == 0);
}

static bool one_matches(const struct ps_s3_texts *patterns, struct ps_slice text, bool fold)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (matches(patterns->items[i], text, fold)) {
            return true;
        }
    }
    return false;
}

static bool get(const struct ps_http_request *head, const char *name, struct ps_slice *ret)
{
    const struct ps_http_header *header = ps_http_header(head, name);
    *ret = header == NULL ? (struct ps_slice){"", 0} : ps_s3_trim(header->value);
    return header != NULL;
}

/* Are all headers that the page wants to send allowed? */
static bool headers_match(const struct ps_s3_cors_rule *rule, struct ps_slice wanted)
{
    while (wanted.size > 0) {
        const char *comma = memchr(wanted.data, ',', wanted.size);
        size_t size = comma == NULL ? wanted.size : (size_t)(comma - wanted.data);
        struct ps_slice name = ps_s3_trim((struct ps_slice){wanted.data, size});
        if (name.size > 0 && !one_matches(&rule->headers, name, true)) {
            return false;
        }
        size_t used = size + (comma == NULL ? 0 : 1);
        wanted = (struct ps_slice){wanted.data + used, wanted.size - used};
    }
    return true;
}

static const struct ps_s3_cors_rule *find_rule(const struct ps_s3_cors *cors,
                                               struct ps_slice origin, struct ps_slice method,
                                               struct ps_slice headers)
{
    for (size_t i = 0; i < cors->count; i++) {
        const struct ps_s3_cors_rule *rule = &cors->rules[i];
        if (one_matches(&rule->origins, origin, false) &&
            one_matches(&rule->methods, method, false) && headers_match(rule, headers)) {
            return rule;
        }
    }
    return NULL;
}

static void write_list(struct ps_http_response *response, const char *name,
                       const struct ps_s3_texts *texts)
{
    struct ps_buf value = {0};
    for (size_t i = 0; i < texts->count; i++) {
        ps_buf_append_text(&value, i == 0 ? "" : ", ");
        ps_buf_append_slice(&value, texts->items[i]);
    }
    if (value.size > 0) {
        ps_http_response_header(response, name, ps_buf_slice(&value));
    }
    ps_buf_fini(&value);
}

static void write_rule(const struct ps_s3_cors_rule *rule, struct ps_slice origin,
                       struct ps_http_response *response)
{
    bool any = false;
    for (size_t i = 0; i < rule->origins.count; i++) {
        any = any || ps_slice_eq(rule->origins.items[i], PS_LIT("*"));
    }
    ps_http_response_header(response, "Access-Control-Allow-Origin", any ? PS_LIT("*") : origin);
    write_list(response, "Access-Control-Expose-Headers", &rule->expose);
    ps_http_response_header(
        response, "Vary",
        PS_LIT("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
}

void ps_s3_preflight(const struct ps_s3_cors *cors, const struct ps_http_request *head,
                     struct ps_http_response *response)
{
    struct ps_slice origin;
    struct ps_slice method;
    struct ps_slice headers;
    bool asked =
        get(head, "origin", &origin) && get(head, "access-control-request-method", &method);
    if (!asked) {
        ps_s3_fail(
            response, 400, "BadRequest",
            "Insufficient information. Origin and Access-Control-Request-Method are needed.");
        return;
    }
    (void)get(head, "access-control-request-headers", &headers);
    const struct ps_s3_cors_rule *rule =
        cors == NULL ? NULL : find_rule(cors, origin, method, headers);
    if (rule == NULL) {
        ps_s3_fail(response, 403, "AccessForbidden",
                   cors == NULL ? "CORSResponse: CORS is not enabled for this bucket."
                                : "CORSResponse: This CORS request is not allowed.");
        return;
    }
    response->status = 204;
    write_rule(rule, origin, response);
    write_list(response, "Access-Control-Allow-Methods", &rule->methods);
    if (headers.size > 0) {
        ps_http_response_header(response, "Access-Control-Allow-Headers", headers);
    }
    if (rule->has_max_age) {
        struct ps_buf seconds = {0};
        ps_buf_append_u64(&seconds, rule->max_age_s);
        ps_http_response_header(response, "Access-Control-Max-Age", ps_buf_slice(&seconds));
        ps_buf_fini(&seconds);
    }
}

void ps_s3_cors_headers(const struct ps_s3_cors *cors, const struct ps_http_request *head,
                        struct ps_http_response *response)
{
    static const struct ps_slice methods[] = {
        [PS_HTTP_GET] = {"GET", 3},       [PS_HTTP_HEAD] = {"HEAD", 4},
        [PS_HTTP_PUT] = {"PUT", 3},       [PS_HTTP_POST] = {"POST", 4},
        [PS_HTTP_DELETE] = {"DELETE", 6}, [PS_HTTP_PATCH] = {"PATCH", 5},
        [PS_HTTP_OPTIONS] = {"", 0},      [PS_HTTP_OTHER] = {"", 0}};

    struct ps_slice origin;
    if (get(head, "origin", &origin)) {
        const struct ps_s3_cors_rule *rule =
            find_rule(cors, origin, methods[head->method], PS_LIT(""));
        if (rule != NULL) {
            write_rule(rule, origin, response);
        }
    }
}
