#include "node/io/conn.h"

#include "node/http/api.h"
#include "node/http/http1.h"
#include "node/io/exchange.h"
#include "node/io/s3/s3.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FLUSH_ROUNDS = 64,
    LARGE_BODY = 32 << 10,  /* is written from where it is, not copied */
    OUTPUT_KEPT = 256 << 10 /* a larger buffer is given back */
};

struct ps_conn {
    struct ps_server *server;
    struct ps_conn *next;
    struct ps_conn **prev;
    struct ps_conn *ready_next;
    struct ps_conn **ready_prev; /* NULL = not in the list of ready ones */
    int fd;
    ev_io io;
    int events; /* what io waits for */
    struct ps_http1_parser *parser;
    struct ps_buf held;            /* input behind the last request that was taken */
    struct ps_exchange *head;      /* under way, in the order of the requests */
    struct ps_exchange *receiving; /* the last of them, while its streamed body comes; else NULL */
    struct ps_exchange **tail;
    size_t count;
    struct ps_buf out; /* heads and small bodies to be written ... */
    size_t out_sent;
    struct ps_buf body; /* ... behind them one large body, or a part of a value ... */
    size_t body_sent;
    struct ps_tail rest; /* ... and what is still to come of its answer */
    double active_s;     /* when a byte last came or went */
    double request_s;    /* when the request that is incomplete began; 0 = none */
    bool s3;             /* it came to the S3 port */
    bool eof;            /* the client sends no more */
    bool last;           /* no more requests are taken */
    bool expected;       /* the client waits for 100 Continue, which comes behind the answers */
    bool refused;        /* what still comes is read over, so that the client sees the answer */
    bool lingers;        /* ... which is written */
};

struct ps_conn *ps_conn_next(const struct ps_conn *conn)
{
    return conn->next;
}

void ps_conn_ready(struct ps_conn *conn)
{
    if (conn->ready_prev != NULL) {
        return;
    }
    struct ps_server *server = conn->server;
    conn->ready_next = server->ready;
    if (server->ready != NULL) {
        server->ready->ready_prev = &conn->ready_next;
    }
    conn->ready_prev = &server->ready;
    server->ready = conn;
}

static void unready(struct ps_conn *conn)
{
    if (conn->ready_prev != NULL) {
        *conn->ready_prev = conn->ready_next;
        if (conn->ready_next != NULL) {
            conn->ready_next->ready_prev = conn->ready_prev;
        }
        conn->ready_prev = NULL;
    }
}

static void wait_for(struct ps_conn *conn, int events)
{
    if (conn->events == events) {
        return;
    }
    conn->events = events;
    ev_io_stop(conn->server->node->loop, &conn->io);
    if (events != 0) {
        ev_io_set(&conn->io, conn->fd, events);
        ev_io_start(conn->server->node->loop, &conn->io);
    }
}

void ps_conn_resume(struct ps_conn *conn)
{
    conn->active_s = ev_now(conn->server->node->loop); /* it was not the client that was silent */
    ps_conn_ready(conn);
}

static bool has_bytes(const struct ps_conn *conn)
{
    return conn->out_sent < conn->out.size || conn->body_sent < conn->body.size;
}

/* Is something to be written, now or later? */
static bool has_output(const struct ps_conn *conn)
{
    return has_bytes(conn) || ps_tail_left(&conn->rest);
}

static bool can_write(const struct ps_conn *conn)
{
    return has_bytes(conn) ||
           (ps_tail_left(&conn->rest) && ps_tail_state(&conn->rest) != PS_TAIL_WAITS);
}

static bool takes_input(const struct ps_conn *conn)
{
    return !conn->last && !conn->expected && (conn->receiving == NULL || !conn->receiving->held) &&
           conn->count < PS_PIPELINE_MAX &&
           conn->out.size - conn->out_sent + conn->body.size - conn->body_sent < PS_OUTPUT_MAX;
}

void ps_conn_close(struct ps_conn *conn)
{
    struct ps_server *server = conn->server;
    while (conn->head != NULL) {
        struct ps_exchange *exchange = conn->head;
        conn->head = exchange->next;
        ps_exchange_drop(exchange);
    }
    unready(conn);
    wait_for(conn, 0);
    (void)close(conn->fd);
    *conn->prev = conn->next;
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    server->conn_count--;
    ps_server_accept(server);
    ps_http1_parser_destroy(conn->parser);
    ps_buf_fini(&conn->held);
    ps_buf_fini(&conn->out);
    ps_buf_fini(&conn->body);
    ps_tail_fini(&conn->rest);
    free(conn);
}

void ps_conn_finish(struct ps_conn *conn)
{
    if (conn->lingers) {
        ps_conn_close(conn);
        return;
    }
    /* A request whose first bytes are here is still taken. */
    bool idle = conn->request_s <= 0 && conn->held.size == 0;
    if (idle) {
        conn->last = true;
        if (conn->head == NULL && !has_output(conn)) {
            ps_conn_close(conn);
        }
    }
}

bool ps_conn_expired(const struct ps_conn *conn, double now_s)
{
    double silent_s = now_s - conn->active_s;
    if (conn->lingers) {
        return now_s - conn->request_s > PS_LINGER_S;
    }
    if (can_write(conn)) {
        return silent_s > PS_WRITE_S;
    }
    if (conn->receiving != NULL) {
        return !conn->receiving->held && silent_s > PS_BODY_S;
    }
    if (has_output(conn)) {
        return false; /* its source's limits are over first */
    }
    if (conn->head != NULL) {
        return false; /* the answer is ours to give */
    }
    if (conn->request_s > 0) {
        return silent_s > PS_BODY_S ||
               (!ps_http1_has_head(conn->parser) && now_s - conn->request_s > PS_HEADER_S);
    }
    return silent_s > PS_IDLE_S;
}

/* ---- output ---- */

static struct ps_slice date(struct ps_server *server)
{
    int64_t now_unix_s = (int64_t)ev_now(server->node->loop);
    if (server->date_unix_s != now_unix_s) {
        server->date_unix_s = now_unix_s;
        ps_http1_date(now_unix_s, server->date);
    }
    return (struct ps_slice){server->date, sizeof server->date - 1};
}

static void on_rest(void *reader)
{
    ps_conn_ready(reader);
}

static void take_rest(struct ps_conn *conn, struct ps_exchange *exchange)
{
    ps_tail_fini(&conn->rest);
    conn->rest = exchange->tail;
    exchange->tail = (struct ps_tail){0};
    if (conn->rest.source != NULL) {
        conn->rest.source->ready = on_rest;
        conn->rest.source->reader = conn;
    }
}

static bool is_whole(const struct ps_exchange *exchange)
{
    return exchange != NULL && exchange->complete && !exchange->receiving;
}

/* Move complete answers, in order, to the output; stops behind a large body. */
static void collect(struct ps_conn *conn)
{
    while (is_whole(conn->head) && conn->body.size == 0 && !ps_tail_left(&conn->rest)) {
        struct ps_exchange *exchange = conn->head;
        bool close = exchange->close || (conn->server->stopping && exchange->next == NULL);
        conn->head = exchange->next;
        if (conn->head == NULL) {
            conn->tail = &conn->head;
        }
        conn->count--;
        ps_http1_write_head_dated(&conn->out, &exchange->response, close, exchange->http10,
                                  date(conn->server));
        if (!exchange->head) {
            struct ps_buf *body = &exchange->response.body;
            if (body->size > LARGE_BODY) {
                conn->body = *body;
                *body = (struct ps_buf){0};
            } else {
                ps_buf_append(&conn->out, body->data, body->size);
            }
            take_rest(conn, exchange);
        }
        conn->last = conn->last || close;
        ps_exchange_destroy(exchange);
    }
}

/* Something failed. Returns false when the connection is gone. */
static bool blocked(struct ps_conn *conn, bool *ret_blocked)
{
    *ret_blocked = errno == EAGAIN || errno == EINTR;
    if (!*ret_blocked) {
        ps_conn_close(conn);
    }
    return *ret_blocked;
}

static bool send_file(struct ps_conn *conn, bool *ret_blocked)
{
    if (ps_tail_send(&conn->rest, conn->fd) < 0) {
        return blocked(conn, ret_blocked);
    }
    conn->active_s = ev_now(conn->server->node->loop);
    if (!ps_tail_left(&conn->rest)) {
        ps_tail_fini(&conn->rest);
    }
    return true;
}

/* Returns false when the connection is gone. */
static bool send_some(struct ps_conn *conn, bool *ret_blocked)
{
    bool files = conn->rest.kind == PS_TAIL_FILES && ps_tail_left(&conn->rest);
    if (files && !has_bytes(conn)) {
        return send_file(conn, ret_blocked);
    }
    if (conn->body.size == 0 && !files && ps_tail_left(&conn->rest) &&
        ps_tail_next(&conn->rest, &conn->body) == PS_TAIL_BROKEN) {
        ps_conn_close(conn); /* the client sees that bytes are missing */
        return false;
    }
    struct iovec parts[2];
    int count = 0;
    if (conn->out_sent < conn->out.size) {
        parts[count++] =
            (struct iovec){conn->out.data + conn->out_sent, conn->out.size - conn->out_sent};
    }
    if (conn->body_sent < conn->body.size) {
        parts[count++] =
            (struct iovec){conn->body.data + conn->body_sent, conn->body.size - conn->body_sent};
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (files ? MSG_MORE : 0);
    ssize_t sent = sendmsg(conn->fd, &message, flags);
    if (sent < 0) {
        return blocked(conn, ret_blocked);
    }
    conn->active_s = ev_now(conn->server->node->loop);
    size_t size = (size_t)sent;
    size_t of_out = conn->out.size - conn->out_sent;
    of_out = size < of_out ? size : of_out;
    conn->out_sent += of_out;
    conn->body_sent += size - of_out;
    if (conn->out_sent == conn->out.size) {
        conn->out.size = 0;
        conn->out_sent = 0;
        if (conn->out.capacity > OUTPUT_KEPT) {
            ps_buf_fini(&conn->out);
        }
    }
    if (conn->body.size > 0 && conn->body_sent == conn->body.size) {
        ps_buf_fini(&conn->body);
        conn->body_sent = 0;
    }
    return true;
}

/* All is written. Closing on input that is not read resets the connection, and the client may lose
 * the answer by it. Returns false when the connection is gone. */
static bool end(struct ps_conn *conn)
{
    if (conn->refused && !conn->eof && !conn->server->stopping) {
        if (!conn->lingers) {
            conn->lingers = true;
            conn->request_s = ev_now(conn->server->node->loop);
            (void)shutdown(conn->fd, SHUT_WR);
        }
        return true;
    }
    ps_conn_close(conn);
    return false;
}

/* Returns false when the connection is gone. */
static bool flush(struct ps_conn *conn)
{
    bool is_blocked = false;
    for (int round = 0; round < FLUSH_ROUNDS && !is_blocked; round++) {
        collect(conn);
        if (!can_write(conn)) {
            break;
        }
        if (!send_some(conn, &is_blocked)) {
            return false;
        }
    }
    if (conn->last && conn->head == NULL && !has_output(conn)) {
        return end(conn);
    }
    if (!is_blocked && can_write(conn)) {
        ps_conn_ready(conn); /* others first */
    }
    return true;
}

static void set_events(struct ps_conn *conn)
{
    int events = can_write(conn) ? EV_WRITE : 0;
    if (!conn->eof && conn->held.size == 0 && (takes_input(conn) || conn->lingers)) {
        events |= EV_READ;
    }
    wait_for(conn, events);
}

/* ---- input ---- */

static struct ps_http_intake intake(void *context, const struct ps_http_request *head)
{
    const struct ps_conn *conn = context;
    return conn->s3 ? ps_s3_intake(head) : ps_api_intake(head);
}

static struct ps_exchange *add_exchange(struct ps_conn *conn)
{
    struct ps_server *server = conn->server;
    struct ps_exchange *exchange = PS_NEW(struct ps_exchange);
    exchange->node = server->node;
    exchange->conn = conn;
    exchange->all_next = server->exchanges;
    exchange->all_prev = &server->exchanges;
    if (server->exchanges != NULL) {
        server->exchanges->all_prev = &exchange->all_next;
    }
    server->exchanges = exchange;
    server->under_way++;
    *conn->tail = exchange;
    conn->tail = &exchange->next;
    conn->count++;
    return exchange;
}

/* Take the last exchange out: its body will not come. */
static void break_off(struct ps_conn *conn)
{
    struct ps_exchange *broken = conn->receiving;
    conn->receiving = NULL;
    conn->tail = &conn->head;
    while (*conn->tail != broken) {
        conn->tail = &(*conn->tail)->next;
    }
    *conn->tail = NULL;
    conn->count--;
    ps_exchange_drop(broken);
}

/* The bytes are no HTTP, or too many: say so, once, and close. */
static void refuse(struct ps_conn *conn)
{
    if (conn->receiving != NULL) {
        break_off(conn);
    }
    struct ps_exchange *exchange = add_exchange(conn);
    const char *phrase;
    exchange->close = true;
    exchange->response.status = ps_http1_refusal(conn->parser, &phrase);
    (void)snprintf(exchange->response.phrase, sizeof exchange->response.phrase, "%s", phrase);
    conn->last = true;
    conn->refused = true;
    conn->request_s = 0;
    ps_exchange_complete(exchange);
}

static void take_request(struct ps_conn *conn)
{
    struct ps_http1_message *message = ps_http1_take(conn->parser);
    struct ps_exchange *exchange = add_exchange(conn);
    exchange->request = message->request;
    exchange->storage = message;
    exchange->free_storage = ps_http1_message_free;
    exchange->close = !message->keep_alive;
    exchange->head = message->request.method == PS_HTTP_HEAD;
    exchange->http10 = message->http10;
    if (message->streamed) {
        exchange->receiving = true;
        exchange->sized = message->sized;
        exchange->body_size = message->body_size;
        conn->receiving = exchange;
    } else {
        conn->last = exchange->close;
    }
    if (conn->s3) {
        ps_s3_start(exchange);
    } else {
        ps_exchange_start(exchange);
    }
}

static void end_body(struct ps_conn *conn)
{
    struct ps_exchange *exchange = conn->receiving;
    conn->receiving = NULL;
    conn->last = exchange->close;
    ps_exchange_end(exchange);
    ps_conn_ready(conn);
}

/* The interim answer must not stand between an answer and its body, nor before another's answer. */
static bool may_continue(const struct ps_conn *conn)
{
    return conn->expected && conn->head == conn->receiving && conn->body.size == 0 &&
           !ps_tail_left(&conn->rest);
}

static void say_continue(struct ps_conn *conn)
{
    if (may_continue(conn)) {
        conn->expected = false;
        ps_buf_append_text(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
        ps_conn_ready(conn);
    }
}

/* Feed bytes to the parser; what it cannot take yet is held. */
static void take_input(struct ps_conn *conn, const char *data, size_t size)
{
    struct ps_slice bytes = {data, size};
    if (conn->parser == NULL) {
        conn->parser = ps_http1_parser_create(intake, conn);
    }
    bool more = bytes.size > 0 || conn->receiving != NULL;
    while (more && takes_input(conn)) {
        size_t taken;
        enum ps_http1_event event = ps_http1_feed(conn->parser, bytes, &taken);
        PS_ASSERT(taken <= bytes.size);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        more = bytes.size > 0 || event == PS_HTTP1_HEAD || event == PS_HTTP1_BODY;
        if (event == PS_HTTP1_REQUEST || event == PS_HTTP1_HEAD) {
            take_request(conn);
        } else if (event == PS_HTTP1_BODY) {
            ps_exchange_bytes(conn->receiving, ps_http1_span(conn->parser));
        } else if (event == PS_HTTP1_END) {
            end_body(conn);
        } else if (event == PS_HTTP1_CONTINUE) {
            conn->expected = true;
            say_continue(conn);
        } else if (event == PS_HTTP1_REFUSED) {
            refuse(conn);
        }
    }
    if (!ps_http1_is_inside(conn->parser)) {
        conn->request_s = 0;
    } else if (conn->request_s <= 0) {
        conn->request_s = ev_now(conn->server->node->loop);
    }
    if (!conn->last) {
        ps_buf_append(&conn->held, bytes.data, bytes.size);
    }
}

static void on_readable(struct ps_conn *conn)
{
    struct ps_server *server = conn->server;
    ssize_t got = recv(conn->fd, server->input, sizeof server->input, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            ps_conn_close(conn);
        }
        return;
    }
    if (conn->lingers) {
        if (got == 0) {
            ps_conn_close(conn);
        }
        return;
    }
    conn->active_s = ev_now(server->node->loop);
    if (got == 0) {
        /* The client may have closed only its side: what it asked for is still answered. */
        conn->eof = true;
        conn->last = true;
        if (conn->receiving != NULL || (conn->head == NULL && !has_output(conn))) {
            ps_conn_close(conn);
            return;
        }
        set_events(conn);
        return;
    }
    take_input(conn, server->input, (size_t)got);
    ps_conn_ready(conn);
}

static void on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct ps_conn *conn = watcher->data;
    if ((events & EV_WRITE) != 0) {
        ps_conn_ready(conn);
    }
    if ((events & EV_READ) != 0) {
        on_readable(conn);
    }
}

/* Write, and go on with input that was held back. */
static void turn(struct ps_conn *conn)
{
    say_continue(conn);
    if ((conn->held.size > 0 || conn->receiving != NULL) && takes_input(conn)) {
        struct ps_buf held = conn->held;
        conn->held = (struct ps_buf){0};
        take_input(conn, held.data == NULL ? "" : held.data, held.size);
        ps_buf_fini(&held);
    }
    if (!flush(conn)) {
        return;
    }
    bool goes_on = conn->held.size > 0 && takes_input(conn);
    if (goes_on || may_continue(conn)) {
        ps_conn_ready(conn);
    }
    set_events(conn);
}

bool ps_conns_turn(struct ps_server *server)
{
    struct ps_conn *ready = server->ready;
    if (ready == NULL) {
        return false;
    }
    server->ready = NULL;
    ready->ready_prev = &ready;
    while (ready != NULL) {
        struct ps_conn *conn = ready;
        unready(conn);
        turn(conn);
    }
    return true;
}

void ps_conn_open(struct ps_listener *listener, int fd)
{
    struct ps_server *server = listener->server;
    struct ps_conn *conn = PS_NEW(struct ps_conn);
    conn->server = server;
    conn->s3 = listener->s3;
    conn->fd = fd;
    conn->tail = &conn->head;
    conn->active_s = ev_now(server->node->loop);
    conn->next = server->conns;
    conn->prev = &server->conns;
    if (conn->next != NULL) {
        conn->next->prev = &conn->next;
    }
    server->conns = conn;
    server->conn_count++;
    ev_init(&conn->io, on_event);
    conn->io.data = conn;
    wait_for(conn, EV_READ);
}
