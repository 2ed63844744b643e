#include "tools/popsim/http_client.h"

#include "replication/base/limits.h"
#include "replication/base/memory.h"
#include "tools/popsim/cli.h"

#include <llhttp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADERS_SIZE_MAX = 1 << 20,
    BODY_SIZE_MAX = 128 << 20, /* more than any answer of a node */
    READ_SIZE = 64 << 10,
    NS_PER_MS = 1000000
};

void http_reply_fini(struct http_reply *reply)
{
    ps_buf_fini(&reply->headers);
    ps_buf_fini(&reply->body);
    *reply = (struct http_reply){0};
}

struct ps_slice http_reply_header(const struct http_reply *reply, const char *name)
{
    size_t size = strlen(name);
    const char *at = reply->headers.data;
    const char *end = reply->headers.size == 0 ? at : at + reply->headers.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if ((size_t)(stop - at) >= size + 2 && memcmp(at, name, size) == 0 && at[size] == ':') {
            return (struct ps_slice){at + size + 2, (size_t)(stop - at) - size - 2};
        }
        at = stop + 1;
    }
    return (struct ps_slice){NULL, 0};
}

/* ---- the answer's bytes ---- */

struct reader {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    struct http_reply *reply;
    bool has_head;
    bool whole;
    bool head_request;
    FILE *file; /* where the body of a 200 goes; NULL: into the reply */
    bool file_failed;
    const struct http_stream *stream; /* who is told of the file's progress; NULL: nobody */
    uint64_t came;                    /* of the file */
    uint64_t total;
};

static int take_phrase(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reader *reader = llhttp->data;
    size_t have = strlen(reader->reply->phrase);
    size_t room = sizeof reader->reply->phrase - 1 - have;
    memcpy(reader->reply->phrase + have, at, size < room ? size : room);
    return 0;
}

static int take_header(struct reader *reader, const char *at, size_t size)
{
    if (reader->has_head) {
        return 0; /* trailers are read over */
    }
    ps_buf_append(&reader->reply->headers, at, size);
    return reader->reply->headers.size > HEADERS_SIZE_MAX ? HPE_USER : 0;
}

static int take_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reader *reader = llhttp->data;
    size_t from = reader->reply->headers.size;
    int code = take_header(reader, at, size);
    for (size_t i = from; i < reader->reply->headers.size; i++) {
        char *c = &reader->reply->headers.data[i];
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    return code;
}

static int end_name(llhttp_t *llhttp)
{
    return take_header(llhttp->data, ": ", 2);
}

static int take_value(llhttp_t *llhttp, const char *at, size_t size)
{
    return take_header(llhttp->data, at, size);
}

static int end_value(llhttp_t *llhttp)
{
    return take_header(llhttp->data, "\n", 1);
}

static int end_head(llhttp_t *llhttp)
{
    struct reader *reader = llhttp->data;
    if (llhttp->status_code / 100 == 1) { /* an interim answer: the real one follows */
        http_reply_fini(reader->reply);
        return 0;
    }
    reader->has_head = true;
    reader->reply->status = llhttp->status_code;
    reader->total = (llhttp->flags & F_CONTENT_LENGTH) != 0 ? llhttp->content_length : 0;
    return reader->head_request ? 1 : 0; /* 1: no body follows */
}

static int take_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct reader *reader = llhttp->data;
    if (reader->file != NULL && reader->reply->status == 200) {
        reader->file_failed = fwrite(at, 1, size, reader->file) != size;
        reader->came += size;
        if (reader->stream != NULL && reader->stream->progress != NULL) {
            reader->stream->progress(reader->stream->context, reader->came, reader->total);
        }
        return reader->file_failed ? HPE_USER : 0;
    }
    ps_buf_append(&reader->reply->body, at, size);
    return reader->reply->body.size > BODY_SIZE_MAX ? HPE_USER : 0;
}

static int end_message(llhttp_t *llhttp)
{
    struct reader *reader = llhttp->data;
    reader->whole = reader->has_head;
    return reader->whole ? HPE_PAUSED : 0;
}

static void reader_init(struct reader *reader, struct http_reply *reply, const char *method)
{
    *reader = (struct reader){.reply = reply, .head_request = strcmp(method, "HEAD") == 0};
    llhttp_settings_init(&reader->settings);
    reader->settings.on_status = take_phrase;
    reader->settings.on_header_field = take_name;
    reader->settings.on_header_field_complete = end_name;
    reader->settings.on_header_value = take_value;
    reader->settings.on_header_value_complete = end_value;
    reader->settings.on_headers_complete = end_head;
    reader->settings.on_body = take_body;
    reader->settings.on_message_complete = end_message;
    llhttp_init(&reader->llhttp, HTTP_RESPONSE, &reader->settings);
    reader->llhttp.data = reader;
}

/* ---- the socket ---- */

struct peer {
    const char *address;
    uint16_t port;
    int fd;
    uint64_t deadline_ns;
    uint64_t idle_ns; /* the deadline moves on by this whenever bytes have moved; 0: it stays */
};

static enum ps_status fail_with(const struct peer *peer, enum ps_status status, const char *what,
                                struct ps_error *err)
{
    return ps_fail(err, status, "%s:%u: %s", peer->address, peer->port, what);
}

static enum ps_status fail_by_errno(const struct peer *peer, struct ps_error *err)
{
    return fail_with(peer, PS_UNREACHABLE, strerror(errno), err);
}

static enum ps_status wait_for(const struct peer *peer, short events, struct ps_error *err)
{
    for (;;) {
        uint64_t now_ns = cli_monotonic_ns();
        if (now_ns >= peer->deadline_ns) {
            return fail_with(peer, PS_TIMEOUT, "no answer in time", err);
        }
        struct pollfd poll_fd = {.fd = peer->fd, .events = events};
        int got = poll(&poll_fd, 1, (int)((peer->deadline_ns - now_ns) / NS_PER_MS) + 1);
        if (got > 0) {
            return PS_OK;
        }
        if (got < 0 && errno != EINTR) {
            return fail_by_errno(peer, err);
        }
    }
}

static void moved(struct peer *peer)
{
    if (peer->idle_ns > 0) {
        peer->deadline_ns = cli_monotonic_ns() + peer->idle_ns;
    }
}

static enum ps_status dial(struct peer *peer, struct ps_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
    if (inet_pton(AF_INET, peer->address, &address.sin_addr) != 1) {
        return fail_with(peer, PS_UNREACHABLE, "this is no IPv4 address", err);
    }
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0) {
        return fail_by_errno(peer, err);
    }
    if (connect(peer->fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return PS_OK;
    }
    if (errno != EINPROGRESS) {
        return fail_by_errno(peer, err);
    }
    enum ps_status status = wait_for(peer, POLLOUT, err);
    int reason = 0;
    socklen_t size = sizeof reason;
    if (status == PS_OK &&
        (getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0 || reason != 0)) {
        errno = reason != 0 ? reason : errno;
        return fail_by_errno(peer, err);
    }
    return status;
}

/* A node that refuses a request may stop reading it: what it says is then read all the same. */
static enum ps_status send_all(struct peer *peer, struct ps_slice bytes, bool *ret_closed,
                               struct ps_error *err)
{
    *ret_closed = false;
    while (bytes.size > 0) {
        ssize_t sent = send(peer->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            enum ps_status status = wait_for(peer, POLLOUT, err);
            if (status != PS_OK) {
                return status;
            }
        } else if (sent < 0 && errno != EINTR) {
            *ret_closed = errno == EPIPE || errno == ECONNRESET;
            return *ret_closed ? PS_OK : fail_by_errno(peer, err);
        } else if (sent > 0) {
            bytes = (struct ps_slice){bytes.data + sent, bytes.size - (size_t)sent};
            moved(peer);
        }
    }
    return PS_OK;
}

/* A file's bytes, framed when their number was not told. */
static enum ps_status send_file(struct peer *peer, const struct http_stream *stream,
                                struct ps_error *err)
{
    enum { FRAME = 20 }; /* "10000\r\n" before, "\r\n" behind */

    char *chunk = ps_calloc(1, READ_SIZE + FRAME);
    char *data = chunk + FRAME - 2;
    uint64_t done = 0;
    bool closed = false;
    enum ps_status status = PS_OK;
    while (status == PS_OK && !closed) {
        uint64_t left = stream->sized ? stream->size - done : READ_SIZE;
        size_t wanted = left < READ_SIZE ? (size_t)left : READ_SIZE;
        size_t got = wanted == 0 ? 0 : fread(data, 1, wanted, stream->from);
        if (ferror(stream->from) != 0 || (stream->sized && got < wanted)) {
            status = ps_fail(err, PS_IO, "the file cannot be read, or has become shorter");
            break;
        }
        struct ps_slice bytes = {data, got};
        if (!stream->sized) {
            char size[FRAME - 2];
            int length = snprintf(size, sizeof size, "%zx\r\n", got);
            memcpy(data - length, size, (size_t)length);
            memcpy(data + got, "\r\n", 2);
            bytes = (struct ps_slice){data - length, (size_t)length + got + 2};
        }
        status = send_all(peer, bytes, &closed, err);
        done += got;
        if (stream->progress != NULL) {
            stream->progress(stream->context, done, stream->sized ? stream->size : 0);
        }
        if (got == 0 || (stream->sized && done == stream->size)) {
            break;
        }
    }
    free(chunk);
    return status;
}

static enum ps_status receive(struct peer *peer, struct reader *reader, struct ps_error *err)
{
    char *chunk = ps_calloc(1, READ_SIZE);
    enum ps_status status = PS_OK;
    while (status == PS_OK && !reader->whole) {
        ssize_t got = recv(peer->fd, chunk, READ_SIZE, 0);
        if (got < 0 && errno == EAGAIN) {
            status = wait_for(peer, POLLIN, err);
        } else if (got < 0 && errno != EINTR) {
            status = fail_by_errno(peer, err);
        } else if (got == 0) {
            bool ended = llhttp_finish(&reader->llhttp) == HPE_OK && reader->has_head;
            reader->whole = ended;
            status =
                ended ? PS_OK : fail_with(peer, PS_UNREACHABLE, "the connection ended early", err);
        } else if (got > 0) {
            moved(peer);
            llhttp_errno_t error = llhttp_execute(&reader->llhttp, chunk, (size_t)got);
            if (error != HPE_OK && error != HPE_PAUSED) {
                status = fail_with(peer, PS_CORRUPT, "the answer is no HTTP", err);
            }
        }
    }
    free(chunk);
    return status;
}

struct question {
    const char *method;
    struct ps_slice target;
    const char *headers;
    struct ps_slice body;
    const struct http_stream *stream; /* NULL: `body` is the body */
};

static enum ps_status call(struct peer *peer, const struct question *question,
                           struct reader *reader, struct ps_error *err)
{
    struct ps_buf head = {0};
    ps_buf_printf(&head, "%s %.*s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n%s",
                  question->method, (int)question->target.size, question->target.data,
                  peer->address, peer->port, question->headers);
    const struct http_stream *stream = question->stream;
    bool streams = stream != NULL && stream->from != NULL;
    bool closed = false;
    if (streams && !stream->sized) {
        ps_buf_append_text(&head, "Transfer-Encoding: chunked\r\n\r\n");
    } else {
        ps_buf_printf(&head, "Content-Length: %" PRIu64 "\r\n\r\n",
                      streams ? stream->size : (uint64_t)question->body.size);
    }
    enum ps_status status = dial(peer, err);
    if (status == PS_OK) {
        status = send_all(peer, ps_buf_slice(&head), &closed, err);
    }
    if (status == PS_OK && !closed) {
        status =
            streams ? send_file(peer, stream, err) : send_all(peer, question->body, &closed, err);
    }
    if (status == PS_OK) {
        status = receive(peer, reader, err);
    }
    if (reader->file_failed) {
        status = ps_fail(err, PS_IO, "the file cannot be written");
    }
    if (status != PS_OK) {
        http_reply_fini(reader->reply);
    }
    if (peer->fd >= 0) {
        (void)close(peer->fd);
    }
    ps_buf_fini(&head);
    return status;
}

static struct peer peer_of(const char *address, uint16_t port, uint64_t limit_ms)
{
    return (struct peer){.address = address,
                         .port = port,
                         .fd = -1,
                         .deadline_ns = cli_monotonic_ns() + limit_ms * NS_PER_MS};
}

enum ps_status http_call(const char *address, uint16_t port, const char *method,
                         struct ps_slice target, const char *headers, struct ps_slice body,
                         uint64_t limit_ms, struct http_reply *ret, struct ps_error *err)
{
    struct peer peer = peer_of(address, port, limit_ms);
    const struct question question = {method, target, headers, body, NULL};
    struct reader reader;
    *ret = (struct http_reply){0};
    reader_init(&reader, ret, method);
    return call(&peer, &question, &reader, err);
}

enum ps_status http_pass(const char *address, uint16_t port, const char *method,
                         struct ps_slice target, const char *headers,
                         const struct http_stream *stream, struct http_reply *ret,
                         struct ps_error *err)
{
    struct peer peer = peer_of(address, port, HTTP_LIMIT_MS);
    const struct question question = {method, target, headers, {"", 0}, stream};
    struct reader reader;
    peer.idle_ns = (uint64_t)HTTP_LIMIT_MS * NS_PER_MS;
    *ret = (struct http_reply){0};
    reader_init(&reader, ret, method);
    reader.file = stream->into;
    reader.stream = stream->into == NULL ? NULL : stream;
    return call(&peer, &question, &reader, err);
}

enum ps_status http_download(const char *address, uint16_t port, struct ps_slice target, FILE *file,
                             uint64_t limit_ms, struct http_reply *ret, struct ps_error *err)
{
    struct peer peer = peer_of(address, port, limit_ms);
    const struct question question = {"GET", target, "", {"", 0}, NULL};
    struct reader reader;
    *ret = (struct http_reply){0};
    reader_init(&reader, ret, "GET");
    reader.file = file;
    return call(&peer, &question, &reader, err);
}
