#include "node/s3/s3.h"

#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

bool ps_s3_header(const struct ps_http_request *head, const char *name, struct ps_slice *ret)
{
    const struct ps_http_header *header = ps_http_header(head, name);
    if (header == NULL) {
        return false;
    }
    *ret = ps_s3_trim(header->value);
    return true;
}

bool ps_s3_refuse(enum ps_r2_code code, struct ps_http_response *response)
{
    const struct ps_r2_code_info *info = ps_r2_code_info(code);
    ps_s3_fail(response, info->http_status, info->s3_code, "%s", info->message);
    return false;
}

/* ---- which bucket, which key ---- */

/* The bucket that a Host of BUCKET.domain[:port] names; empty: it names none. */
static struct ps_slice bucket_of_host(const struct ps_s3_config *config,
                                      const struct ps_http_request *head)
{
    struct ps_slice host;
    struct ps_slice none = {"", 0};
    size_t domain = config->domain.size;
    if (domain == 0 || !ps_s3_header(head, "host", &host)) {
        return none;
    }
    const char *colon = host.size == 0 ? NULL : memrchr(host.data, ':', host.size);
    size_t size = colon == NULL ? host.size : (size_t)(colon - host.data);
    bool below = size > domain + 1 && host.data[size - domain - 1] == '.' &&
                 strncasecmp(host.data + size - domain, config->domain.data, domain) == 0;
    return below ? (struct ps_slice){host.data, size - domain - 1} : none;
}

static struct ps_slice decode_path(struct ps_s3_call *call, struct ps_slice raw)
{
    size_t from = call->text.size;
    ps_s3_uri_decode(&call->text, raw, false);
    return (struct ps_slice){call->text.data + from, call->text.size - from};
}

static void read_address(const struct ps_s3_config *config, struct ps_slice path,
                         struct ps_s3_call *call)
{
    call->bucket = bucket_of_host(config, call->head);
    struct ps_slice rest = path;
    if (rest.size > 0 && *rest.data == '/') {
        rest = (struct ps_slice){rest.data + 1, rest.size - 1};
    }
    if (call->bucket.size == 0) {
        const char *slash = rest.size == 0 ? NULL : memchr(rest.data, '/', rest.size);
        size_t size = slash == NULL ? rest.size : (size_t)(slash - rest.data);
        call->bucket = decode_path(call, (struct ps_slice){rest.data, size});
        size_t used = size + (slash == NULL ? 0 : 1);
        rest = (struct ps_slice){rest.data + used, rest.size - used};
    }
    call->request.key = decode_path(call, rest);
}

/* ---- opening ---- */

/* Room for all that is decoded from the head, so that it never moves: nothing grows by more than
 * half, but metadata that come in several headers of one name are put together. */
static void reserve_text(struct ps_s3_call *call)
{
    size_t room = call->head->target.size + 2 * PS_R2_METADATA_SIZE_MAX + 64;
    for (size_t i = 0; i < call->head->header_count; i++) {
        room += 2 * (call->head->headers[i].name.size + call->head->headers[i].value.size);
    }
    ps_buf_reserve(&call->text, room);
}

/* What needs no signature; *ret_done: the call is what it will be. */
static bool before_signature(struct ps_s3_call *call, bool *ret_done,
                             struct ps_http_response *response)
{
    bool account = call->bucket.size == 0;
    *ret_done = false;
    if (call->method == PS_HTTP_OPTIONS && !account) {
        call->op = PS_S3_PREFLIGHT;
        *ret_done = true;
        return true;
    }
    if (account && (call->method != PS_HTTP_GET || call->request.key.size > 0)) {
        ps_s3_route_not_found(response);
        return false;
    }
    /* A form that a browser uploads: its signature is in the form. */
    bool form = !account && call->request.key.size == 0 && call->method == PS_HTTP_POST &&
                ps_s3_query_get(&call->query, "delete") == NULL && !ps_s3_has_signature(call->head);
    if (form) {
        ps_s3_not_implemented(response,
                              "Presigned post requests are not yet implemented not implemented");
    }
    return !form;
}

bool ps_s3_open(const struct ps_s3_config *config, const struct ps_http_request *head,
                int64_t now_unix_ms, struct ps_s3_call *call, struct ps_http_response *response)
{
    struct ps_slice path;
    struct ps_slice query;
    bool done;
    call->head = head;
    call->method = head->method;
    ps_s3_split_target(head->target, &path, &query);
    if (ps_s3_query_read(query, &call->query) != PS_OK) {
        ps_s3_invalid_argument(response, "Too many search parameters");
        return false;
    }
    reserve_text(call);
    read_address(config, path, call);
    if (!before_signature(call, &done, response)) {
        return false;
    }
    if (done) {
        return true;
    }
    size_t capacity = call->text.capacity;
    bool good = ps_s3_verify(config->keyring, head, now_unix_ms, &call->auth, response) &&
                ps_s3_route(call, response) && ps_s3_screen_headers(call, response) &&
                ps_s3_read_list(call, response) && ps_s3_read_headers(call, response);
    PS_ASSERT(call->text.capacity == capacity && good == (response->status == 0));
    return good;
}

void ps_s3_call_fini(struct ps_s3_call *call)
{
    ps_r2_condition_fini(&call->request.condition);
    ps_r2_condition_fini(&call->request.source_condition);
    ps_r2_condition_fini(&call->source.condition);
    ps_s3_query_fini(&call->query);
    ps_s3_delete_fini(&call->deletion);
    ps_s3_complete_fini(&call->completion);
    ps_s3_create_fini(&call->creation);
    free(call->pairs);
    ps_buf_fini(&call->text);
    ps_buf_fini(&call->kept);
    *call = (struct ps_s3_call){0};
}
