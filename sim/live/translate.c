#include "sim/live/translate.h"

#include "sim/live/d1_answer.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

/* ---- tokens ---- */

static void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8) {
        at[i] = (uint8_t)value;
    }
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

struct ps_token ps_live_token(uint64_t run, uint64_t id)
{
    struct ps_token token;
    put_u64(token.bytes, run);
    put_u64(token.bytes + 8, id);
    return token;
}

uint64_t ps_live_token_id(uint64_t run, const struct ps_token *token)
{
    return get_u64(token->bytes) == run ? get_u64(token->bytes + 8) : 0;
}

struct ps_token ps_live_schema_token(struct ps_slice sql)
{
    struct ps_token token;
    struct ps_buf named = {0};
    ps_buf_append_text(&named, "schema: ");
    ps_buf_append_slice(&named, sql);
    put_u64(token.bytes, ps_slice_hash(sql));
    put_u64(token.bytes + 8, ps_slice_hash(ps_buf_slice(&named)));
    ps_buf_fini(&named);
    return token;
}

void ps_live_schema_request(struct ps_buf *out, struct ps_slice sql)
{
    ps_buf_append_text(out, "{\"sql\":");
    ps_buf_append_json(out, sql);
    ps_buf_append_text(out, ",\"params\":[]}");
}

uint64_t ps_live_seed(const struct ps_token *token)
{
    return ps_slice_hash((struct ps_slice){(const char *)token->bytes, PS_TOKEN_SIZE});
}

/* ---- requests ---- */

void ps_live_percent_encode(struct ps_buf *out, struct ps_slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    ps_buf_reserve(out, 3 * text.size);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
                     byte == '~';
        if (plain) {
            ps_buf_append_char(out, (char)byte);
        } else {
            char code[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            ps_buf_append(out, code, sizeof code);
        }
    }
}

static void put_target(struct ps_buf *out, const struct ps_drawn *drawn, int64_t unix_shift_s)
{
    const struct ps_action *action = drawn->action;
    if (ps_verb_is_d1(action->verb)) {
        ps_buf_append_text(out, "/query?resultsFormat=ROWS_AND_COLUMNS");
        return;
    }
    if (action->verb == PS_VERB_KV_LIST) {
        ps_buf_append_text(out, "/?prefix=");
        ps_live_percent_encode(out, drawn->key);
        if (action->limit != 0) {
            ps_buf_printf(out, "&key_count_limit=%" PRIu32, action->limit);
        }
        return;
    }
    ps_buf_append_char(out, '/');
    ps_live_percent_encode(out, drawn->key);
    ps_buf_append_text(out, "?urlencoded=true");
    if (action->verb == PS_VERB_KV_GET && action->cache_ttl_ns != 0) {
        ps_buf_printf(out, "&cache_ttl=%" PRIu64, action->cache_ttl_ns / PS_SECOND);
    }
    if (action->verb == PS_VERB_KV_PUT && action->expiration_ttl_ns != 0) {
        ps_buf_printf(out, "&expiration_ttl=%" PRIu64, action->expiration_ttl_ns / PS_SECOND);
    } else if (action->verb == PS_VERB_KV_PUT && action->expiration_s != 0) {
        ps_buf_printf(out, "&expiration=%" PRId64, action->expiration_s + unix_shift_s);
    }
}

static void put_session(struct ps_buf *out, const struct ps_drawn *drawn, const char *bookmark)
{
    const char *session =
        drawn->session == PS_D1_SESSION_BOOKMARK ? bookmark : ps_d1_session_name(drawn->session);
    if (session != NULL && session[0] != '\0') {
        ps_buf_printf(out, "\r\nx-cf-d1-session-commit-token: %s", session);
    }
}

/* Any request to a database may write, so each has a token. */
static bool has_token(enum ps_verb verb)
{
    return verb == PS_VERB_KV_PUT || verb == PS_VERB_KV_DELETE || ps_verb_is_d1(verb);
}

void ps_live_request(struct ps_buf *out, const struct ps_cluster_state *state,
                     const struct ps_drawn *drawn, const struct ps_live_asked *asked)
{
    static const char *const methods[PS_VERBS] = {
        [PS_VERB_KV_GET] = "GET ",  [PS_VERB_KV_PUT] = "PUT ",    [PS_VERB_KV_DELETE] = "DELETE ",
        [PS_VERB_KV_LIST] = "GET ", [PS_VERB_D1_QUERY] = "POST ", [PS_VERB_D1_BATCH] = "POST "};
    enum ps_verb verb = drawn->action->verb;
    if (ps_verb_is_r2(verb)) {
        ps_live_r2_request(out, state, drawn, &asked->token);
        return;
    }
    bool has_body = verb == PS_VERB_KV_PUT || ps_verb_is_d1(verb);
    ps_buf_append_text(out, methods[verb]);
    put_target(out, drawn, asked->unix_shift_s);
    ps_buf_append_text(out, " HTTP/1.1\r\nHost: popsim\r\npopsim-store: ");
    ps_buf_append_text(out, state->cluster.stores[drawn->action->store].name);
    if (ps_cluster_is_exposed(state)) {
        ps_buf_append_text(out, "\r\nAuthorization: Bearer ");
        ps_buf_append_text(out, state->token);
    }
    if (has_token(verb)) {
        ps_buf_append_text(out, "\r\npopsim-token: ");
        for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
            ps_buf_printf(out, "%02x", asked->token.bytes[i]);
        }
    }
    if (ps_verb_is_d1(verb)) {
        put_session(out, drawn, asked->bookmark);
    }
    if (verb == PS_VERB_KV_PUT && drawn->metadata.size > 0) {
        ps_buf_append_text(out, "\r\nCF-KV-Metadata: ");
        ps_buf_append_slice(out, drawn->metadata);
    }
    if (has_body) {
        ps_buf_printf(out, "\r\nContent-Length: %zu", drawn->value.size);
    }
    ps_buf_append_text(out, "\r\n\r\n");
    if (has_body) {
        ps_buf_append_slice(out, drawn->value);
    }
}

/* ---- operations ---- */

void ps_live_op_init(struct ps_op *op, const struct ps_drawn *drawn, const struct ps_token *token)
{
    static const enum ps_op_kind kinds[PS_VERBS] = {
        [PS_VERB_KV_GET] = PS_OP_KV_GET,       [PS_VERB_KV_PUT] = PS_OP_KV_PUT,
        [PS_VERB_KV_DELETE] = PS_OP_KV_DELETE, [PS_VERB_KV_LIST] = PS_OP_KV_LIST,
        [PS_VERB_D1_QUERY] = PS_OP_D1_QUERY,   [PS_VERB_D1_BATCH] = PS_OP_D1_BATCH,
        [PS_VERB_R2_GET] = PS_OP_R2_GET,       [PS_VERB_R2_HEAD] = PS_OP_R2_HEAD,
        [PS_VERB_R2_PUT] = PS_OP_R2_PUT,       [PS_VERB_R2_DELETE] = PS_OP_R2_DELETE,
        [PS_VERB_R2_LIST] = PS_OP_R2_LIST,     [PS_VERB_R2_FETCH] = PS_OP_R2_FETCH,
        [PS_VERB_R2_PURGE] = PS_OP_R2_PURGE};
    const struct ps_action *action = drawn->action;
    bool read = action->verb == PS_VERB_KV_GET || action->verb == PS_VERB_KV_LIST;
    *op = (struct ps_op){
        .kind = (uint8_t)kinds[action->verb],
        .pop = drawn->pop,
        .store = action->store,
        .digest = action->verb == PS_VERB_KV_PUT ? ps_slice_hash(drawn->value) : 0,
        .cache_ttl_ns = read ? action->cache_ttl_ns : 0,
        .list_limit = action->verb == PS_VERB_KV_LIST ? action->limit : 0,
    };
    if (ps_verb_is_d1(action->verb)) {
        op->with_session = (uint8_t)drawn->session;
        op->bookmark_lsn = drawn->session == PS_D1_SESSION_BOOKMARK ? drawn->bookmark_lsn : 0;
        op->seed = ps_live_seed(token);
    }
    if (action->verb == PS_VERB_R2_PUT) {
        op->digest = drawn->generated ? ps_body_digest(&drawn->body) : ps_slice_hash(drawn->value);
    } else if (action->verb == PS_VERB_R2_LIST) {
        op->list_limit = action->limit;
    }
}

static enum ps_status list_digest(struct ps_slice json, uint64_t *ret, struct ps_error *err)
{
    json_t *root = json_loadb(json.data == NULL ? "" : json.data, json.size, JSON_ALLOW_NUL, NULL);
    json_t *keys = json_object_get(root, "keys");
    struct ps_buf names = {0};
    enum ps_status status =
        json_is_array(keys) ? PS_OK : ps_fail(err, PS_CORRUPT, "a list answered without keys");
    size_t i;
    const json_t *key;
    json_array_foreach(keys, i, key)
    {
        const json_t *name = json_object_get(key, "name");
        if (!json_is_string(name)) {
            status = ps_fail(err, PS_CORRUPT, "a list answered with a key without a name");
            break;
        }
        ps_buf_append(&names, json_string_value(name), json_string_length(name) + 1);
    }
    json_decref(root);
    *ret = ps_slice_hash(ps_buf_slice(&names));
    ps_buf_fini(&names);
    return status;
}

static enum ps_status take_ok(struct ps_op *op, const struct ps_live_response *response,
                              struct ps_error *err)
{
    op->lsn = response->lsn;
    op->eval_ns = response->eval_ns;
    if (op->kind == PS_OP_KV_LIST) {
        return list_digest(ps_buf_slice(&response->body), &op->digest, err);
    }
    if (op->kind == PS_OP_KV_GET) {
        op->found = response->status == 200;
        op->digest = op->found ? ps_slice_hash(ps_buf_slice(&response->body)) : 0;
    } else {
        op->refresh_ns = response->refresh_ns;
    }
    return PS_OK;
}

static enum ps_status error_of(int http_status)
{
    switch (http_status) {
    case 400:
    case 413:
    case 414:
        return PS_INVALID;
    case 404:
        return PS_NOT_FOUND;
    case 429:
        return PS_RATE_LIMITED;
    case 500:
        return PS_IO;
    case 503:
    case 522: /* what an edge says of an origin that does not answer */
        return PS_UNREACHABLE;
    case 524:
        return PS_TIMEOUT;
    case 507:
        return PS_FULL;
    default:
        return PS_CORRUPT;
    }
}

static enum ps_status status_of(const char *name)
{
#define PS_STATUS_CODE(code, text) PS_##code,

    static const enum ps_status all[] = {PS_STATUS_LIST(PS_STATUS_CODE)};

#undef PS_STATUS_CODE
    for (size_t i = 1; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(ps_status_name(all[i]), name) == 0) {
            return all[i];
        }
    }
    return PS_CORRUPT;
}

/* The binding's protocol says in the body how it went. What the cluster could not run it says in a
 * header besides; all else that failed D1 has refused, at the LSN that it says. */
static enum ps_status take_d1(struct ps_op *op, const struct ps_live_response *response,
                              struct ps_error *err)
{
    struct ps_live_d1_answer answer;
    op->boot = (uint32_t)response->boot;
    op->late = response->late;
    op->have_lsn = response->have_lsn;
    op->eval_ns = response->eval_ns;
    op->at_home = response->at_home != 0;
    enum ps_status status = ps_live_d1_answer_read(ps_buf_slice(&response->body), &answer, err);
    if (status == PS_OK && response->error[0] != '\0') {
        status = answer.failed ? PS_OK : ps_fail(err, PS_CORRUPT, "a failure with results");
        op->error = (uint8_t)status_of(response->error);
    } else if (status == PS_OK) {
        op->error = answer.failed ? PS_INVALID : PS_OK;
        op->lsn = response->lsn;
        op->wrote = response->wrote != 0;
        op->run_ns = response->run_ns;
        op->digest = answer.digest;
        op->rows_read = answer.rows_read;
        op->rows_written = answer.rows_written;
    }
    if (status != PS_OK) {
        op->error = (uint8_t)status;
    }
    ps_live_d1_answer_fini(&answer);
    return status;
}

void ps_live_op_cut(struct ps_op *op, const struct ps_live_response *response)
{
    bool read = (ps_op_is_read(op) || ps_op_is_list(op)) && !ps_op_is_d1(op);
    if (read && response->told && response->boot <= UINT32_MAX) {
        op->boot = (uint32_t)response->boot;
        op->late = response->late;
        op->have_lsn = response->have_lsn;
        op->eval_ns = response->eval_ns;
        op->dropped_ns = response->dropped_ns;
    }
}

enum ps_status ps_live_op_answer(struct ps_op *op, struct ps_intern *requests,
                                 const struct ps_live_response *response, struct ps_error *err)
{
    bool read = (ps_op_is_read(op) || ps_op_is_list(op)) && !ps_op_is_d1(op);
    bool absent = op->kind == PS_OP_KV_GET && response->status == 404;
    bool answered = ps_op_is_r2(op) ? ps_live_r2_answered(op, response)
                                    : response->told && (response->status == 200 || absent);
    enum ps_status status = PS_OK;
    if (response->boot > UINT32_MAX) {
        status = ps_fail(err, PS_CORRUPT, "popsim-boot: %" PRIu64, response->boot);
    } else if (answered && ps_op_is_d1(op)) {
        return take_d1(op, response, err);
    } else if (answered) {
        op->boot = (uint32_t)response->boot;
        op->late = response->late;
        op->have_lsn = response->have_lsn;
        status = ps_op_is_r2(op) ? ps_live_r2_answer(op, requests, response, err)
                                 : take_ok(op, response, err);
        op->error = (uint8_t)status;
        return status;
    } else if (response->status == 200) {
        status = ps_fail(err, PS_CORRUPT, "an answer without popsim-time");
    } else if (error_of(response->status) == PS_CORRUPT) {
        status = ps_fail(err, PS_CORRUPT, "HTTP status %d", response->status);
    }
    op->error = (uint8_t)(status == PS_OK ? error_of(response->status) : status);
    op->http_status = (uint16_t)response->status;
    if (status == PS_OK) {
        op->boot = (uint32_t)response->boot;
        /* The PoP decided such a read, and could not answer it. */
        op->eval_ns = read && response->told ? response->eval_ns : 0;
        op->dropped_ns = read ? response->dropped_ns : 0;
    }
    return status;
}

/* ---- what nodes say of themselves ---- */

enum ps_status ps_live_state_ready(struct ps_slice json, bool *ret_ready, struct ps_error *err)
{
    json_t *root = json_loadb(json.data == NULL ? "" : json.data, json.size, 0, NULL);
    const json_t *stores = json_object_get(root, "stores");
    if (!json_is_array(stores)) {
        json_decref(root);
        return ps_fail(err, PS_CORRUPT, "a node's state without stores");
    }
    *ret_ready = true;
    size_t i;
    const json_t *store;
    json_array_foreach(stores, i, store)
    {
        const char *role = json_string_value(json_object_get(store, "role"));
        bool follows = role != NULL && strcmp(role, "follower") == 0;
        bool heard = json_is_false(json_object_get(store, "home_away")) &&
                     json_integer_value(json_object_get(store, "closed_ns")) > 0;
        *ret_ready = *ret_ready && (!follows || heard);
    }
    json_decref(root);
    return PS_OK;
}

void ps_live_metric_add(struct ps_live_metric *metric, struct ps_slice text, const char *name)
{
    size_t name_size = strlen(name);
    for (size_t at = 0; at < text.size;) {
        const char *line = text.data + at;
        const char *end = memchr(line, '\n', text.size - at);
        size_t size = end == NULL ? text.size - at : (size_t)(end - line);
        at += size + 1;
        if (size <= name_size || memcmp(line, name, name_size) != 0 ||
            (line[name_size] != '{' && line[name_size] != ' ')) {
            continue;
        }
        uint64_t value = 0;
        size_t digit = size;
        while (digit > 0 && line[digit - 1] >= '0' && line[digit - 1] <= '9') {
            digit--;
        }
        for (size_t i = digit; i < size; i++) {
            value = value * 10 + (uint64_t)(line[i] - '0');
        }
        metric->sum += value;
        metric->most = value > metric->most ? value : metric->most;
    }
}
