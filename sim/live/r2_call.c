#include "sim/live/r2_call.h"

#include "node/r2/cache.h"
#include "sim/live/translate.h"
#include "sim/workload/body.h"

#include <jansson.h>

#include <ctype.h>
#include <string.h>

#define PUBLIC_PATH "/cdn-cgi/local/r2/public/"

/* ---- requests ---- */

static void put_authorization(struct ps_buf *out, const struct ps_cluster_state *state)
{
    if (ps_cluster_is_exposed(state)) {
        ps_buf_append_text(out, "\r\nAuthorization: Bearer ");
        ps_buf_append_text(out, state->token);
    }
}

static void put_head(struct ps_buf *out, const struct ps_cluster_state *state,
                     const struct ps_drawn *drawn, const char *method)
{
    ps_buf_printf(out, "%s / HTTP/1.1\r\nHost: popsim\r\npopsim-store: %s", method,
                  state->cluster.stores[drawn->action->store].name);
    put_authorization(out, state);
}

static void put_write(struct ps_buf *out, const struct ps_cluster_state *state,
                      const struct ps_drawn *drawn, const struct ps_token *token)
{
    size_t size = drawn->generated ? (size_t)drawn->body.size : drawn->value.size;
    put_head(out, state, drawn, "PUT");
    ps_buf_append_text(out, "\r\npopsim-token: ");
    for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
        ps_buf_printf(out, "%02x", token->bytes[i]);
    }
    ps_buf_printf(out, "\r\nCF-R2-Metadata-Size: %zu\r\nContent-Length: %zu\r\n\r\n",
                  drawn->request.size, drawn->request.size + size);
    ps_buf_append_slice(out, drawn->request);
    if (drawn->generated) {
        ps_body_bytes(&drawn->body, 0, size, out);
    } else {
        ps_buf_append_slice(out, drawn->value);
    }
}

static void put_url(struct ps_buf *out, const char *store, struct ps_slice key)
{
    ps_buf_append_text(out, PUBLIC_PATH);
    ps_buf_append_text(out, store);
    ps_buf_append_char(out, '/');
    ps_live_percent_encode(out, key);
}

static void put_fetch(struct ps_buf *out, const char *store, struct ps_slice key)
{
    ps_buf_append_text(out, "GET ");
    put_url(out, store, key);
    ps_buf_append_text(out, " HTTP/1.1\r\nHost: popsim\r\n\r\n");
}

static void put_purge(struct ps_buf *out, const struct ps_cluster_state *state, const char *store,
                      struct ps_slice key)
{
    struct ps_buf body = {0};
    if (key.size == 0) {
        ps_buf_append_text(&body, "{\"purge_everything\":true}");
    } else {
        ps_buf_append_text(&body, "{\"files\":[\"http://popsim");
        put_url(&body, store, key);
        ps_buf_append_text(&body, "\"]}");
    }
    ps_buf_printf(out,
                  "POST /client/v4/zones/%s/purge_cache HTTP/1.1\r\nHost: popsim\r\n"
                  "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  store, state->token, body.size);
    ps_buf_append_slice(out, ps_buf_slice(&body));
    ps_buf_fini(&body);
}

void ps_live_r2_request(struct ps_buf *out, const struct ps_cluster_state *state,
                        const struct ps_drawn *drawn, const struct ps_token *token)
{
    const struct ps_action *action = drawn->action;
    const char *store = state->cluster.stores[action->store].name;
    if (action->verb == PS_VERB_R2_FETCH) {
        put_fetch(out, store, drawn->key);
    } else if (action->verb == PS_VERB_R2_PURGE) {
        put_purge(out, state, store, drawn->key);
    } else if (action->verb == PS_VERB_R2_PUT || action->verb == PS_VERB_R2_DELETE) {
        put_write(out, state, drawn, token);
    } else {
        put_head(out, state, drawn, "GET");
        ps_buf_append_text(out, "\r\nCF-R2-Request: ");
        ps_buf_append_slice(out, drawn->request);
        ps_buf_append_text(out, "\r\n\r\n");
    }
}

void ps_live_object_ask(struct ps_history *history, const struct ps_drawn *drawn, struct ps_op *op)
{
    const struct ps_action *action = drawn->action;
    if (ps_op_is_r2(op) && (action->options.count > 0 || action->key_count > 0)) {
        op->request = ps_intern_put(history->requests, drawn->request) + 1;
    }
}

/* ---- answers ---- */

/* A 404 says that there is no object, to those who read; a 412 or 304 that a condition does not
 * hold. */
bool ps_live_r2_answered(const struct ps_op *op, const struct ps_live_response *response)
{
    int status = response->status;
    if (op->kind == PS_OP_R2_PURGE) {
        return status == 200;
    }
    bool absent = status == 404 && ps_op_is_read(op);
    bool declined =
        (status == 412 || status == 304) && (op->kind == PS_OP_R2_PUT || op->kind == PS_OP_R2_GET);
    return response->told && (status == 200 || absent || declined);
}

static uint8_t state_of(const char *name)
{
    for (int state = PS_R2_CACHE_DYNAMIC; state < PS_R2_CACHE_STATES; state++) {
        const char *known = ps_r2_cache_state_name((enum ps_r2_cache_state)state);
        size_t i = 0;
        while (known[i] != '\0' && tolower((unsigned char)known[i]) == name[i]) {
            i++;
        }
        if (known[i] == '\0' && name[i] == '\0') {
            return (uint8_t)(state + 1);
        }
    }
    return 0;
}

static uint32_t put_etag(struct ps_intern *requests, struct ps_slice etag)
{
    return etag.size == 0 ? 0 : ps_intern_put(requests, etag) + 1;
}

static enum ps_status take_public(struct ps_op *op, struct ps_intern *requests,
                                  const struct ps_live_response *response, struct ps_error *err)
{
    struct ps_slice etag = ps_slice_of(response->etag);
    bool quoted = etag.size > 2 && etag.data[0] == '"' && etag.data[etag.size - 1] == '"';
    op->found = response->status == 200;
    op->cache = state_of(response->cache);
    op->dropped_ns = response->dropped_ns;
    if (op->cache == 0 || op->found != quoted) {
        return ps_fail(err, PS_CORRUPT, "a public answer without its cache's state or its ETag");
    }
    if (op->found) {
        op->etag = put_etag(requests, (struct ps_slice){etag.data + 1, etag.size - 2});
        op->digest = ps_body_digest_of(ps_buf_slice(&response->body));
    }
    return PS_OK;
}

static void add_names(const json_t *list, const char *member, struct ps_buf *names)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const json_t *name = member == NULL ? item : json_object_get(item, member);
        ps_buf_append(names, json_string_value(name), json_string_length(name));
        ps_buf_append_char(names, 0);
    }
}

/* The JSON in front of the answer's value, parsed; NULL: there is none. */
static json_t *metadata_of(const struct ps_op *op, const struct ps_live_response *response,
                           size_t *ret_size)
{
    bool split = !ps_op_is_write(op);
    *ret_size = split ? (size_t)response->metadata_size : response->body.size;
    if (*ret_size == 0 || *ret_size > response->body.size) {
        return NULL;
    }
    return json_loadb(response->body.data, *ret_size, JSON_ALLOW_NUL, NULL);
}

static enum ps_status take_list(struct ps_op *op, const json_t *root, struct ps_error *err)
{
    const json_t *objects = json_object_get(root, "objects");
    struct ps_buf names = {0};
    if (!json_is_array(objects)) {
        return ps_fail(err, PS_CORRUPT, "a list answered without objects");
    }
    add_names(objects, "name", &names);
    add_names(json_object_get(root, "delimitedPrefixes"), NULL, &names);
    op->digest = ps_slice_hash(ps_buf_slice(&names));
    ps_buf_fini(&names);
    return PS_OK;
}

static enum ps_status take_object(struct ps_op *op, struct ps_intern *requests,
                                  const struct ps_live_response *response, const json_t *root,
                                  size_t size, struct ps_error *err)
{
    const json_t *etag = json_object_get(root, "etag");
    if (!json_is_string(etag)) {
        return ps_fail(err, PS_CORRUPT, "an object without an ETag");
    }
    op->etag = put_etag(requests, ps_slice_of(json_string_value(etag)));
    if (ps_op_is_write(op)) {
        return PS_OK;
    }
    op->found = true;
    bool body = op->kind == PS_OP_R2_GET && response->status == 200;
    op->digest = body ? ps_body_digest_of((struct ps_slice){response->body.data + size,
                                                            response->body.size - size})
                      : 0;
    return PS_OK;
}

enum ps_status ps_live_r2_answer(struct ps_op *op, struct ps_intern *requests,
                                 const struct ps_live_response *response, struct ps_error *err)
{
    op->lsn = response->lsn;
    op->eval_ns = response->eval_ns;
    if (ps_op_is_public(op)) {
        return take_public(op, requests, response, err);
    }
    /* What is not there, or was not written, has no object. */
    bool none = response->status == 404 || op->kind == PS_OP_R2_PURGE || ps_op_is_delete(op) ||
                (op->kind == PS_OP_R2_PUT && response->status != 200);
    if (none) {
        return PS_OK;
    }
    size_t size;
    json_t *root = metadata_of(op, response, &size);
    enum ps_status status =
        root == NULL        ? ps_fail(err, PS_CORRUPT, "a bucket's answer that cannot be read")
        : ps_op_is_list(op) ? take_list(op, root, err)
                            : take_object(op, requests, response, root, size, err);
    json_decref(root);
    return status;
}
