#include "node/http/http1.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <llhttp.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct message {
    struct ps_http1_message public; /* first member */
    struct ps_buf head;             /* target, then names and values */
    struct ps_buf body;
    struct ps_http_header headers[]; /* as many as came */
};

/* Offsets while the head grows and moves. */
struct span {
    size_t name;
    size_t name_size;
    size_t value;
    size_t value_size;
};

struct ps_http1_parser {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    ps_http1_limit_fn limit;
    void *context;
    struct ps_buf head;
    struct ps_buf body;
    struct span *spans; /* owned; an idle connection's parser is small */
    size_t span_capacity;
    size_t header_count;
    size_t head_bytes; /* all that came as target, headers and trailers */
    size_t target_size;
    struct ps_http_intake intake;
    uint64_t body_came; /* of a streamed request */
    struct ps_slice span;
    enum ps_http_method method;
    bool in_name;
    bool has_head;
    bool inside;
    bool waits;  /* for 100 Continue */
    bool headed; /* ps_http1_take is due for a streamed request's head, */
    bool taken;  /* ... and was called */
    bool whole;  /* the request is; when it is not streamed, ps_http1_take is due */
    bool closed; /* nothing behind the last request is read */
    bool http10;
    bool keep_alive;
    bool sized;
    uint64_t body_size;
    int refusal;
    char phrase[96];
};

static int refuse(struct ps_http1_parser *parser, int status)
{
    parser->refusal = status;
    return HPE_USER;
}

static int add_head(struct ps_http1_parser *parser, const char *at, size_t size)
{
    parser->head_bytes += size;
    if (parser->head_bytes > PS_HTTP1_HEAD_SIZE_MAX) {
        return refuse(parser, 431);
    }
    if (!parser->has_head) { /* trailers are read over */
        ps_buf_append(&parser->head, at, size);
    }
    return 0;
}

static int on_begin(llhttp_t *llhttp)
{
    struct ps_http1_parser *parser = llhttp->data;
    parser->inside = true;
    return 0;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_http1_parser *parser = llhttp->data;
    parser->target_size += size;
    return add_head(parser, at, size);
}

static int on_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_http1_parser *parser = llhttp->data;
    if (!parser->has_head && !parser->in_name) {
        if (parser->header_count == PS_HTTP1_HEADERS_MAX) {
            return refuse(parser, 431);
        }
        parser->spans = ps_grow(parser->spans, parser->header_count, &parser->span_capacity,
                                sizeof parser->spans[0]);
        parser->spans[parser->header_count++] = (struct span){.name = parser->head.size};
        parser->in_name = true;
    }
    return add_head(parser, at, size);
}

static int on_name_end(llhttp_t *llhttp)
{
    struct ps_http1_parser *parser = llhttp->data;
    if (!parser->has_head && parser->header_count > 0) {
        struct span *span = &parser->spans[parser->header_count - 1];
        span->name_size = parser->head.size - span->name;
        span->value = parser->head.size;
        parser->in_name = false;
    }
    return 0;
}

/* RFC 9110, 5.5, but for 0x7F, which workerd sends as it is in CF-R2-Request. */
static bool is_value(const char *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)at[i] < ' ' && at[i] != '\t') {
            return false;
        }
    }
    return true;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_http1_parser *parser = llhttp->data;
    if (!is_value(at, size)) {
        return refuse(parser, 400);
    }
    if (!parser->has_head && parser->header_count > 0) {
        parser->spans[parser->header_count - 1].value_size += size;
    }
    return add_head(parser, at, size);
}

static enum ps_http_method method_of(unsigned method)
{
    static const enum ps_http_method methods[] = {
        [HTTP_GET] = PS_HTTP_GET,        [HTTP_HEAD] = PS_HTTP_HEAD,
        [HTTP_PUT] = PS_HTTP_PUT,        [HTTP_POST] = PS_HTTP_POST,
        [HTTP_DELETE] = PS_HTTP_DELETE,  [HTTP_PATCH] = PS_HTTP_PATCH,
        [HTTP_OPTIONS] = PS_HTTP_OPTIONS};

    if (method == HTTP_DELETE) {
        return PS_HTTP_DELETE;
    }
    /* GET is 0 in ours, as are the table's gaps. */
    if (method < sizeof methods / sizeof methods[0] &&
        (methods[method] != PS_HTTP_GET || method == HTTP_GET)) {
        return methods[method];
    }
    return PS_HTTP_OTHER;
}

static void fill_request(const struct ps_http1_parser *parser, const char *head,
                         struct ps_http_header *headers, struct ps_http_request *ret)
{
    for (size_t i = 0; i < parser->header_count; i++) {
        const struct span *span = &parser->spans[i];
        size_t size = span->value_size;
        while (size > 0 &&
               (head[span->value + size - 1] == ' ' || head[span->value + size - 1] == '\t')) {
            size--;
        }
        headers[i].name = (struct ps_slice){head + span->name, span->name_size};
        headers[i].value = (struct ps_slice){head + span->value, size};
    }
    *ret = (struct ps_http_request){.method = parser->method,
                                    .target = {head, parser->target_size},
                                    .headers = headers,
                                    .header_count = parser->header_count};
}

static int on_head(llhttp_t *llhttp)
{
    struct ps_http1_parser *parser = llhttp->data;
    parser->has_head = true;
    parser->method = method_of(llhttp->method);
    parser->http10 = llhttp->http_major == 1 && llhttp->http_minor == 0;
    if (llhttp->http_major != 1) {
        return refuse(parser, 400);
    }
    struct ps_http_request request;
    struct ps_http_header headers[PS_HTTP1_HEADERS_MAX];
    fill_request(parser, parser->head.data, headers, &request);
    parser->intake = parser->limit(parser->context, &request);
    bool sized = (llhttp->flags & F_CONTENT_LENGTH) != 0;
    if (sized && llhttp->content_length > parser->intake.size_max) {
        (void)snprintf(parser->phrase, sizeof parser->phrase,
                       "Value length of %" PRIu64 " exceeds limit of %" PRIu64 ".",
                       llhttp->content_length, parser->intake.size_max);
        return refuse(parser, 413);
    }
    bool has_body = (sized && llhttp->content_length > 0) || (llhttp->flags & F_CHUNKED) != 0;
    const struct ps_http_header *expect = ps_http_header(&request, "expect");
    if (has_body && !parser->http10 && expect != NULL && expect->value.size == 12 &&
        strncasecmp(expect->value.data, "100-continue", 12) == 0) {
        parser->waits = true;
    }
    parser->sized = sized || (llhttp->flags & F_CHUNKED) == 0;
    parser->body_size = sized ? llhttp->content_length : 0;
    parser->keep_alive = llhttp_should_keep_alive(llhttp) != 0 && llhttp->upgrade == 0;
    parser->headed = parser->intake.stream;
    return parser->waits || parser->headed ? HPE_PAUSED : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct ps_http1_parser *parser = llhttp->data;
    uint64_t came = parser->intake.stream ? parser->body_came : parser->body.size;
    if (size > parser->intake.size_max - came) {
        (void)snprintf(parser->phrase, sizeof parser->phrase,
                       "Value length exceeds limit of %" PRIu64 ".", parser->intake.size_max);
        return refuse(parser, 413);
    }
    if (parser->intake.stream) {
        parser->body_came += size;
        parser->span = (struct ps_slice){at, size};
        return size > 0 ? HPE_PAUSED : 0;
    }
    /* One allocation for a body whose size is known and that does not come at once; but what a
     * client only claims is not taken in advance without end. */
    if (parser->body.size == 0 && (llhttp->flags & F_CONTENT_LENGTH) != 0) {
        uint64_t rest = llhttp->content_length;
        ps_buf_reserve(&parser->body, size + (rest < 1 << 20 ? (size_t)rest : 1 << 20));
    }
    ps_buf_append(&parser->body, at, size);
    return 0;
}

static int on_whole(llhttp_t *llhttp)
{
    struct ps_http1_parser *parser = llhttp->data;
    parser->whole = true;
    parser->keep_alive = llhttp_should_keep_alive(llhttp) != 0 && llhttp->upgrade == 0;
    return HPE_PAUSED;
}

struct ps_http1_parser *ps_http1_parser_create(ps_http1_limit_fn limit, void *context)
{
    struct ps_http1_parser *parser = PS_NEW(struct ps_http1_parser);
    parser->limit = limit;
    parser->context = context;
    llhttp_settings_init(&parser->settings);
    parser->settings.on_message_begin = on_begin;
    parser->settings.on_url = on_url;
    parser->settings.on_header_field = on_name;
    parser->settings.on_header_field_complete = on_name_end;
    parser->settings.on_header_value = on_value;
    parser->settings.on_headers_complete = on_head;
    parser->settings.on_body = on_body;
    parser->settings.on_message_complete = on_whole;
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &parser->settings);
    llhttp_set_lenient_headers(&parser->llhttp, 1); /* is_value is what holds */
    parser->llhttp.data = parser;
    return parser;
}

void ps_http1_parser_destroy(struct ps_http1_parser *parser)
{
    if (parser != NULL) {
        ps_buf_fini(&parser->head);
        ps_buf_fini(&parser->body);
        free(parser->spans);
        free(parser);
    }
}

/* The next request may come. */
static void next(struct ps_http1_parser *parser)
{
    parser->closed = !parser->keep_alive;
    parser->head.size = 0;
    parser->head_bytes = 0;
    parser->target_size = 0;
    parser->header_count = 0;
    parser->body_came = 0;
    parser->in_name = false;
    parser->has_head = false;
    parser->inside = false;
    parser->taken = false;
    parser->whole = false;
    llhttp_reset(&parser->llhttp);
}

/* What the parser stopped for. */
static enum ps_http1_event stopped(struct ps_http1_parser *parser)
{
    if (parser->headed) {
        return PS_HTTP1_HEAD;
    }
    if (parser->waits) {
        parser->waits = false;
        return PS_HTTP1_CONTINUE;
    }
    if (parser->span.size > 0) {
        return PS_HTTP1_BODY;
    }
    PS_ASSERT(parser->whole);
    if (parser->taken) {
        next(parser);
        return PS_HTTP1_END;
    }
    return PS_HTTP1_REQUEST;
}

enum ps_http1_event ps_http1_feed(struct ps_http1_parser *parser, struct ps_slice bytes,
                                  size_t *ret_taken)
{
    *ret_taken = 0;
    if (parser->refusal != 0) {
        return PS_HTTP1_REFUSED;
    }
    parser->span.size = 0;
    if (parser->headed || parser->waits || parser->whole) {
        return stopped(parser);
    }
    if (parser->closed) {
        *ret_taken = bytes.size;
        return PS_HTTP1_NEED;
    }
    llhttp_resume(&parser->llhttp);
    if (bytes.size == 0 && !parser->taken) {
        return PS_HTTP1_NEED;
    }
    /* Without bytes: the end of a streamed body is not behind its last byte but at it. */
    const char *data = bytes.size == 0 ? "" : bytes.data;
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, bytes.size);
    if (error == HPE_OK) {
        *ret_taken = bytes.size;
        return PS_HTTP1_NEED;
    }
    if (error == HPE_PAUSED) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
        return stopped(parser);
    }
    if (parser->refusal == 0) {
        parser->refusal = 400;
    }
    return PS_HTTP1_REFUSED;
}

struct ps_slice ps_http1_span(const struct ps_http1_parser *parser)
{
    return parser->span;
}

struct ps_http1_message *ps_http1_take(struct ps_http1_parser *parser)
{
    PS_ASSERT(parser->headed || parser->whole);
    struct message *message =
        ps_calloc(1, sizeof *message + parser->header_count * sizeof message->headers[0]);
    /* The head is copied, so that the parser keeps its buffer; the body is handed over. */
    ps_buf_append(&message->head, parser->head.data, parser->head.size);
    message->body = parser->body;
    parser->body = (struct ps_buf){0};
    fill_request(parser, message->head.data, message->headers, &message->public.request);
    message->public.request.body = ps_buf_slice(&message->body);
    message->public.keep_alive = parser->keep_alive;
    message->public.http10 = parser->http10;
    if (parser->headed) {
        message->public.streamed = true;
        message->public.sized = parser->sized;
        message->public.body_size = parser->body_size;
        parser->headed = false;
        parser->taken = true;
    } else {
        next(parser);
    }
    return &message->public;
}

void ps_http1_message_free(void *pointer)
{
    struct message *message = pointer;
    if (message != NULL) {
        ps_buf_fini(&message->head);
        ps_buf_fini(&message->body);
        free(message);
    }
}

int ps_http1_refusal(const struct ps_http1_parser *parser, const char **ret_phrase)
{
    *ret_phrase = parser->phrase;
    return parser->refusal;
}

bool ps_http1_has_head(const struct ps_http1_parser *parser)
{
    return parser->has_head;
}

bool ps_http1_is_inside(const struct ps_http1_parser *parser)
{
    return parser->inside;
}

void ps_http1_write_head_dated(struct ps_buf *out, const struct ps_http_response *response,
                               bool close, bool http10, struct ps_slice date)
{
    ps_buf_append(out, "HTTP/1.1 ", 9);
    ps_buf_append_u64(out, (uint64_t)response->status);
    ps_buf_append_char(out, ' ');
    const char *phrase =
        response->phrase[0] != '\0' ? response->phrase : ps_http_phrase(response->status);
    for (; *phrase != '\0'; phrase++) {
        /* A control character would end the line, or be refused by the client. */
        bool plain = (unsigned char)*phrase >= ' ' && *phrase != 127;
        ps_buf_append_char(out, plain ? *phrase : '?');
    }
    ps_buf_append(out, "\r\n", 2);
    ps_buf_append(out, response->headers.data, response->headers.size);
    if (response->status >= 200 && response->status != 204 && response->status != 304) {
        ps_buf_append(out, "Content-Length: ", 16);
        ps_buf_append_u64(out, response->body.size + response->tail_size);
        ps_buf_append(out, "\r\n", 2);
    }
    if (date.size > 0) {
        ps_buf_append(out, "Date: ", 6);
        ps_buf_append_slice(out, date);
        ps_buf_append(out, "\r\n", 2);
    }
    if (close) {
        ps_buf_append_text(out, "Connection: close\r\n");
    } else if (http10) {
        ps_buf_append_text(out, "Connection: keep-alive\r\n");
    }
    ps_buf_append(out, "\r\n", 2);
}

void ps_http1_write_head(struct ps_buf *out, const struct ps_http_response *response, bool close,
                         bool http10)
{
    ps_http1_write_head_dated(out, response, close, http10, (struct ps_slice){0});
}

/* The proleptic Gregorian date of a day counted from 1970-01-01, by Howard Hinnant's
 * "chrono-Compatible Low-Level Date Algorithms" (civil_from_days): years begin in March, so that
 * the leap day is the last of its year. */
static void civil_date(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* 0 = March */
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

void ps_http1_date(int64_t unix_s, char ret_date[static 30])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    bool fits = unix_s >= 0 && unix_s < INT64_C(253402300800); /* before the year 10000 */
    int64_t seconds = fits ? unix_s : 0;
    int64_t day = seconds / 86400;
    int64_t rest = seconds % 86400;
    int64_t year;
    int month;
    int day_of_month;
    civil_date(day, &year, &month, &day_of_month);
    char text[80];
    (void)snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   &days[3 * ((day + 4) % 7)], day_of_month, &months[3 * (month - 1)], (int)year,
                   (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    memcpy(ret_date, text, 29);
    ret_date[29] = '\0';
}
