#include "sim/live/response.h"

#include "replication/base/memory.h"

#include <llhttp.h>

#include <string.h>

enum { TEXT_MAX = PS_LIVE_TEXT_SIZE_MAX, BODY_KEPT_MAX = 1 << 20, STATUS_INFORMAL_MAX = 199 };

/* A header name or value, cut at TEXT_MAX: those that count are shorter. */
struct text {
    char bytes[TEXT_MAX + 1];
    size_t size;
};

struct ps_live_parser {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    struct ps_live_response response;
    size_t head_size;
    struct text name;
    struct text value;
    bool in_value;
    bool whole;
    bool broken;
};

static int add_text(struct ps_live_parser *parser, struct text *text, const char *at, size_t size)
{
    parser->head_size += size;
    if (parser->head_size > PS_LIVE_HEAD_SIZE_MAX) {
        return HPE_USER;
    }
    for (size_t i = 0; i < size && text->size <= TEXT_MAX; i++) {
        char c = at[i];
        text->bytes[text->size++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return HPE_OK;
}

static int on_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_live_parser *parser = llhttp->data;
    if (parser->in_value) {
        parser->in_value = false;
        parser->name.size = 0;
        parser->value.size = 0;
    }
    return add_text(parser, &parser->name, at, size);
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_live_parser *parser = llhttp->data;
    parser->in_value = true;
    return add_text(parser, &parser->value, at, size);
}

static bool read_u64(const struct text *text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text->size; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text->bytes[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return text->size > 0 && text->size <= TEXT_MAX;
}

/* One that is too long is no value of ours. */
static void keep_text(const struct text *text, char ret[TEXT_MAX + 1])
{
    size_t size = text->size <= TEXT_MAX ? text->size : 0;
    memcpy(ret, text->bytes, size);
    ret[size] = '\0';
}

static int on_value_complete(llhttp_t *llhttp)
{
    struct ps_live_parser *parser = llhttp->data;
    struct ps_live_response *response = &parser->response;
    struct ps_slice name = {parser->name.bytes, parser->name.size};
    parser->in_value = true; /* also behind an empty value */

    const struct {
        struct ps_slice name;
        uint64_t *value;
    } known[] = {{PS_LIT("popsim-time"), &response->eval_ns},
                 {PS_LIT("popsim-lsn"), &response->lsn},
                 {PS_LIT("popsim-boot"), &response->boot},
                 {PS_LIT("popsim-refresh-time"), &response->refresh_ns},
                 {PS_LIT("popsim-have-lsn"), &response->have_lsn},
                 {PS_LIT("popsim-run-time"), &response->run_ns},
                 {PS_LIT("popsim-home"), &response->at_home},
                 {PS_LIT("popsim-wrote"), &response->wrote},
                 {PS_LIT("popsim-dropped"), &response->dropped_ns},
                 {PS_LIT("cf-r2-metadata-size"), &response->metadata_size}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (ps_slice_eq(name, known[i].name)) {
            response->told = response->told || i == 0;
            return read_u64(&parser->value, known[i].value) ? HPE_OK : HPE_USER;
        }
    }
    response->late = response->late || ps_slice_eq(name, PS_LIT("popsim-late"));
    if (ps_slice_eq(name, PS_LIT("x-cf-d1-session-commit-token"))) {
        keep_text(&parser->value, response->bookmark);
    } else if (ps_slice_eq(name, PS_LIT("popsim-status"))) {
        keep_text(&parser->value, response->error);
    } else if (ps_slice_eq(name, PS_LIT("etag"))) {
        keep_text(&parser->value, response->etag);
    } else if (ps_slice_eq(name, PS_LIT("cf-cache-status"))) {
        keep_text(&parser->value, response->cache);
    }
    return HPE_OK;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct ps_live_parser *parser = llhttp->data;
    parser->response.status = llhttp->status_code;
    parser->response.keep_alive = llhttp_should_keep_alive(llhttp) != 0;
    bool counted = (llhttp->flags & F_CONTENT_LENGTH) != 0;
    return counted && llhttp->content_length > PS_LIVE_BODY_SIZE_MAX ? -1 : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_live_parser *parser = llhttp->data;
    if (parser->response.body.size + size > PS_LIVE_BODY_SIZE_MAX) {
        return HPE_USER;
    }
    ps_buf_append(&parser->response.body, at, size);
    return HPE_OK;
}

static void clear(struct ps_live_parser *parser)
{
    struct ps_buf body = parser->response.body;
    body.size = 0;
    if (body.capacity > BODY_KEPT_MAX) {
        ps_buf_fini(&body);
    }
    parser->response = (struct ps_live_response){.body = body};
    parser->head_size = 0;
    parser->name.size = 0;
    parser->value.size = 0;
    parser->in_value = false;
    parser->whole = false;
}

static int on_complete(llhttp_t *llhttp)
{
    struct ps_live_parser *parser = llhttp->data;
    if (parser->response.status <= STATUS_INFORMAL_MAX) {
        clear(parser); /* the final one is to come */
        return HPE_OK;
    }
    parser->whole = true;
    return HPE_PAUSED;
}

struct ps_live_parser *ps_live_parser_create(void)
{
    struct ps_live_parser *parser = PS_NEW(struct ps_live_parser);
    llhttp_settings_init(&parser->settings);
    parser->settings.on_header_field = on_name;
    parser->settings.on_header_value = on_value;
    parser->settings.on_header_value_complete = on_value_complete;
    parser->settings.on_headers_complete = on_headers_complete;
    parser->settings.on_body = on_body;
    parser->settings.on_message_complete = on_complete;
    llhttp_init(&parser->llhttp, HTTP_RESPONSE, &parser->settings);
    parser->llhttp.data = parser;
    return parser;
}

void ps_live_parser_destroy(struct ps_live_parser *parser)
{
    if (parser != NULL) {
        ps_buf_fini(&parser->response.body);
        free(parser);
    }
}

enum ps_live_event ps_live_parser_feed(struct ps_live_parser *parser, struct ps_slice bytes,
                                       size_t *ret_taken)
{
    *ret_taken = 0;
    if (parser->broken) {
        return PS_LIVE_BROKEN;
    }
    if (parser->whole) {
        clear(parser);
        llhttp_reset(&parser->llhttp);
    }
    if (bytes.size == 0) {
        return PS_LIVE_NEED;
    }
    llhttp_errno_t result = llhttp_execute(&parser->llhttp, bytes.data, bytes.size);
    if (result == HPE_OK) {
        *ret_taken = bytes.size;
        return PS_LIVE_NEED;
    }
    if (result == HPE_PAUSED && parser->whole) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&parser->llhttp) - bytes.data);
        return PS_LIVE_WHOLE;
    }
    parser->broken = true;
    return PS_LIVE_BROKEN;
}

const struct ps_live_response *ps_live_parser_head(const struct ps_live_parser *parser)
{
    bool within = !parser->whole && parser->response.status > STATUS_INFORMAL_MAX;
    return within ? &parser->response : NULL;
}

const struct ps_live_response *ps_live_parser_response(const struct ps_live_parser *parser)
{
    return &parser->response;
}
