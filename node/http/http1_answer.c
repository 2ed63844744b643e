#include "node/http/http1_answer.h"

#include "replication/base/memory.h"

#include <llhttp.h>

enum { HEAD_SIZE_MAX = 64 << 10 };

struct ps_http1_answer_parser {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    struct ps_http1_answer_head head;
    struct ps_slice span;
    size_t head_bytes;
    bool inside;
    bool headed;  /* the event is due */
    bool whole;   /* the event is due */
    bool refused; /* for good */
};

static int on_begin(llhttp_t *llhttp)
{
    struct ps_http1_answer_parser *parser = llhttp->data;
    parser->inside = true;
    parser->head_bytes = 0;
    return 0;
}

static int on_head_bytes(llhttp_t *llhttp, const char *at, size_t size)
{
    (void)at;
    struct ps_http1_answer_parser *parser = llhttp->data;
    parser->head_bytes += size;
    return parser->head_bytes > HEAD_SIZE_MAX ? HPE_USER : 0;
}

static int on_head(llhttp_t *llhttp)
{
    struct ps_http1_answer_parser *parser = llhttp->data;
    if (llhttp->status_code < 200) {
        return 0;
    }
    bool sized = (llhttp->flags & F_CONTENT_LENGTH) != 0;
    bool bodiless = llhttp->status_code == 204 || llhttp->status_code == 304;
    parser->head =
        (struct ps_http1_answer_head){.status = llhttp->status_code,
                                      .keep_alive = llhttp_should_keep_alive(llhttp) != 0,
                                      .sized = sized || bodiless,
                                      .body_size = sized && !bodiless ? llhttp->content_length : 0};
    parser->headed = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_http1_answer_parser *parser = llhttp->data;
    parser->span = (struct ps_slice){at, size};
    return size > 0 ? HPE_PAUSED : 0;
}

static int on_whole(llhttp_t *llhttp)
{
    struct ps_http1_answer_parser *parser = llhttp->data;
    if (llhttp->status_code < 200) {
        return 0;
    }
    parser->whole = true;
    return HPE_PAUSED;
}

struct ps_http1_answer_parser *ps_http1_answer_parser_create(void)
{
    struct ps_http1_answer_parser *parser = PS_NEW(struct ps_http1_answer_parser);
    llhttp_settings_init(&parser->settings);
    parser->settings.on_message_begin = on_begin;
    parser->settings.on_status = on_head_bytes;
    parser->settings.on_header_field = on_head_bytes;
    parser->settings.on_header_value = on_head_bytes;
    parser->settings.on_headers_complete = on_head;
    parser->settings.on_body = on_body;
    parser->settings.on_message_complete = on_whole;
    llhttp_init(&parser->llhttp, HTTP_RESPONSE, &parser->settings);
    parser->llhttp.data = parser;
    return parser;
}

void ps_http1_answer_parser_destroy(struct ps_http1_answer_parser *parser)
{
    free(parser);
}

static enum ps_http1_answer_event stopped(struct ps_http1_answer_parser *parser)
{
    if (parser->headed) {
        parser->headed = false;
        return PS_HTTP1_ANSWER_HEAD;
    }
    if (parser->span.size > 0) {
        return PS_HTTP1_ANSWER_BODY;
    }
    parser->whole = false;
    parser->inside = false;
    llhttp_reset(&parser->llhttp);
    return PS_HTTP1_ANSWER_END;
}

static enum ps_http1_answer_event refuse(struct ps_http1_answer_parser *parser)
{
    parser->refused = true;
    return PS_HTTP1_ANSWER_REFUSED;
}

enum ps_http1_answer_event ps_http1_answer_feed(struct ps_http1_answer_parser *parser,
                                                struct ps_slice bytes, size_t *ret_taken)
{
    *ret_taken = 0;
    if (parser->refused) {
        return PS_HTTP1_ANSWER_REFUSED;
    }
    parser->span.size = 0;
    llhttp_resume(&parser->llhttp);
    const char *data = bytes.size == 0 ? "" : bytes.data;
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, bytes.size);
    if (error == HPE_OK) {
        *ret_taken = bytes.size;
        return PS_HTTP1_ANSWER_NEED;
    }
    if (error == HPE_PAUSED) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
        return stopped(parser);
    }
    return refuse(parser);
}

enum ps_http1_answer_event ps_http1_answer_finish(struct ps_http1_answer_parser *parser)
{
    if (parser->refused) {
        return PS_HTTP1_ANSWER_REFUSED;
    }
    if (!parser->inside) {
        return PS_HTTP1_ANSWER_NEED;
    }
    llhttp_resume(&parser->llhttp);
    (void)llhttp_finish(&parser->llhttp);
    return parser->whole ? stopped(parser) : refuse(parser);
}

struct ps_http1_answer_head ps_http1_answer_head(const struct ps_http1_answer_parser *parser)
{
    return parser->head;
}

struct ps_slice ps_http1_answer_span(const struct ps_http1_answer_parser *parser)
{
    return parser->span;
}
