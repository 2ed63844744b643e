#include "sim/live/client.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_S 0.1

/* A node closes a connection that is silent for 300 s; ours are closed well before, so that no
 * request meets one that is being closed. */
#define IDLE_NS (60 * PS_SECOND)

enum { FDS_RESERVED = 256, CONNECTIONS_MAX = 16384, INPUT_SIZE = 128 << 10 };

struct target {
    struct sockaddr_in address;
    struct ps_live_conn *idle; /* the last used first */
    struct ps_live_call *line; /* calls that wait for a connection */
    struct ps_live_call **line_end;
};

struct ps_live_conn {
    struct ps_live_client *client;
    struct target *target;
    struct ps_live_conn *next; /* of all */
    struct ps_live_conn **prev;
    struct ps_live_conn *idle_next;
    struct ps_live_call *call; /* NULL = idle */
    struct ps_live_parser *parser;
    int fd;
    ev_io readable;
    ev_io writable; /* active while connecting, or while the request is not all sent */
    size_t sent;
    uint64_t idle_since_ns;
};

struct ps_live_client {
    struct ev_loop *loop;
    struct target *targets;
    size_t target_count;
    struct ps_live_conn *conns;
    size_t conn_count;
    size_t conn_max;
    size_t in_line; /* calls that wait for a connection */
    struct ps_live_call *under_way;
    struct ps_live_call *failed; /* found nobody: told in the loop's next turn */
    struct ps_live_call **failed_end;
    ev_timer tell;
    ev_timer sweep;
    char input[INPUT_SIZE];
};

/* ---- connections ---- */

static void conn_close(struct ps_live_conn *conn)
{
    struct ps_live_client *client = conn->client;
    PS_ASSERT(conn->call == NULL);
    struct ps_live_conn **at = &conn->target->idle;
    while (*at != NULL && *at != conn) {
        at = &(*at)->idle_next;
    }
    if (*at == conn) {
        *at = conn->idle_next;
    }
    ev_io_stop(client->loop, &conn->readable);
    ev_io_stop(client->loop, &conn->writable);
    (void)close(conn->fd);
    *conn->prev = conn->next;
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    client->conn_count--;
    ps_live_parser_destroy(conn->parser);
    free(conn);
}

static void unlink_call(struct ps_live_call *call)
{
    if (call->prev != NULL) {
        *call->prev = call->next;
        if (call->next != NULL) {
            call->next->prev = call->prev;
        }
        call->prev = NULL;
    }
}

static void finish(struct ps_live_call *call, enum ps_status status,
                   const struct ps_live_response *response)
{
    unlink_call(call);
    call->conn = NULL;
    call->done(call, status, response);
}

static void next_in_line(struct ps_live_client *client, struct target *target);

/* The connection is lost, and with it the call that is on it. */
static void lose(struct ps_live_conn *conn, enum ps_status status)
{
    struct ps_live_client *client = conn->client;
    struct target *target = conn->target;
    struct ps_live_call *call = conn->call;
    conn->call = NULL;
    if (call != NULL) {
        finish(call, status, ps_live_parser_head(conn->parser));
    }
    conn_close(conn);
    next_in_line(client, target);
}

static void send_some(struct ps_live_conn *conn)
{
    const struct ps_buf *request = &conn->call->request;
    while (conn->sent < request->size) {
        ssize_t sent = send(conn->fd, request->data + conn->sent, request->size - conn->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) {
                ev_io_start(conn->client->loop, &conn->writable);
            }
            return; /* a lost connection becomes readable */
        }
        conn->sent += (size_t)sent;
    }
    ev_io_stop(conn->client->loop, &conn->writable);
}

/* An answer is whole: tell, then let the connection go on. */
static void answered(struct ps_live_conn *conn)
{
    struct ps_live_client *client = conn->client;
    struct target *target = conn->target;
    const struct ps_live_response *response = ps_live_parser_response(conn->parser);
    bool keep = response->keep_alive && conn->sent == conn->call->request.size;
    struct ps_live_call *call = conn->call;
    conn->call = NULL;
    finish(call, PS_OK, response);
    if (keep) {
        conn->idle_since_ns = ps_live_mono_ns();
        conn->idle_next = target->idle;
        target->idle = conn;
    } else {
        conn_close(conn);
    }
    next_in_line(client, target);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live_conn *conn = watcher->data;
    struct ps_live_client *client = conn->client;
    ssize_t got = recv(conn->fd, client->input, sizeof client->input, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || conn->call == NULL) {
        lose(conn, PS_UNREACHABLE);
        return;
    }
    size_t taken = 0;
    struct ps_slice bytes = {client->input, (size_t)got};
    switch (ps_live_parser_feed(conn->parser, bytes, &taken)) {
    case PS_LIVE_NEED:
        return;
    case PS_LIVE_WHOLE:
        if (taken == bytes.size) {
            answered(conn);
            return;
        }
        break; /* more than was asked for */
    case PS_LIVE_BROKEN:
        break;
    }
    lose(conn, PS_CORRUPT);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct ps_live_conn *conn = watcher->data;
    int failure = 0;
    socklen_t size = sizeof failure;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) {
        lose(conn, PS_UNREACHABLE);
        return;
    }
    if (conn->call == NULL) {
        ev_io_stop(loop, watcher);
        return;
    }
    send_some(conn);
}

/* NULL: nobody listens there, or there is no socket to be had. */
static struct ps_live_conn *conn_open(struct ps_live_client *client, struct target *target)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return NULL;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&target->address, sizeof target->address) != 0 &&
        errno != EINPROGRESS) {
        (void)close(fd);
        return NULL;
    }
    struct ps_live_conn *conn = PS_NEW(struct ps_live_conn);
    conn->client = client;
    conn->target = target;
    conn->fd = fd;
    conn->parser = ps_live_parser_create();
    conn->next = client->conns;
    conn->prev = &client->conns;
    if (conn->next != NULL) {
        conn->next->prev = &conn->next;
    }
    client->conns = conn;
    client->conn_count++;
    ev_io_init(&conn->readable, on_readable, fd, EV_READ);
    ev_io_init(&conn->writable, on_writable, fd, EV_WRITE);
    conn->readable.data = conn;
    conn->writable.data = conn;
    ev_io_start(client->loop, &conn->readable);
    return conn;
}

/* ---- calls ---- */

/* Connections are scarce: one that rests at another PoP gives way. */
static bool close_any_idle(struct ps_live_client *client)
{
    for (size_t i = 0; i < client->target_count; i++) {
        if (client->targets[i].idle != NULL) {
            conn_close(client->targets[i].idle);
            return true;
        }
    }
    return false;
}

static void carry(struct ps_live_conn *conn, struct ps_live_call *call)
{
    conn->call = call;
    conn->sent = 0;
    call->conn = conn;
    send_some(conn);
}

static void fail_later(struct ps_live_client *client, struct ps_live_call *call)
{
    unlink_call(call); /* it is no longer for the sweep to end */
    call->after = NULL;
    *client->failed_end = call;
    client->failed_end = &call->after;
    if (!ev_is_active(&client->tell)) {
        ev_timer_set(&client->tell, 0., 0.);
        ev_timer_start(client->loop, &client->tell);
    }
}

static void on_tell(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live_client *client = watcher->data;
    struct ps_live_call *call = client->failed;
    client->failed = NULL;
    client->failed_end = &client->failed;
    while (call != NULL) {
        struct ps_live_call *next = call->after;
        finish(call, PS_UNREACHABLE, NULL);
        call = next;
    }
}

/* Give the call a connection. Returns false if it must wait for one. */
static bool try_start(struct ps_live_client *client, struct target *target,
                      struct ps_live_call *call)
{
    struct ps_live_conn *conn = target->idle;
    if (conn != NULL) {
        target->idle = conn->idle_next;
        carry(conn, call);
        return true;
    }
    if (client->conn_count >= client->conn_max && !close_any_idle(client)) {
        return false;
    }
    conn = conn_open(client, target);
    if (conn != NULL) {
        carry(conn, call);
    } else {
        fail_later(client, call);
    }
    return true;
}

static void serve_line(struct ps_live_client *client, struct target *target)
{
    while (target->line != NULL) {
        struct ps_live_call *call = target->line;
        struct ps_live_call *after = call->after;
        if (!try_start(client, target, call)) {
            return;
        }
        client->in_line--;
        target->line = after;
        if (after == NULL) {
            target->line_end = &target->line;
        }
    }
}

/* A connection is free, or may be opened: the target's own calls come first. */
static void next_in_line(struct ps_live_client *client, struct target *target)
{
    serve_line(client, target);
    for (size_t i = 0; i < client->target_count && client->in_line > 0; i++) {
        serve_line(client, &client->targets[i]);
    }
}

void ps_live_client_start(struct ps_live_client *client, struct ps_live_call *call)
{
    PS_ASSERT(call->pop < client->target_count);
    struct target *target = &client->targets[call->pop];
    call->conn = NULL;
    call->next = client->under_way;
    call->prev = &client->under_way;
    if (call->next != NULL) {
        call->next->prev = &call->next;
    }
    client->under_way = call;
    if (target->line == NULL && try_start(client, target, call)) {
        return;
    }
    call->after = NULL;
    *target->line_end = call;
    target->line_end = &call->after;
    client->in_line++;
}

/* ---- limits of time ---- */

static void leave_line(struct ps_live_client *client, const struct ps_live_call *call)
{
    struct target *target = &client->targets[call->pop];
    struct ps_live_call **at = &target->line;
    while (*at != NULL && *at != call) {
        at = &(*at)->after;
    }
    if (*at == call) {
        *at = call->after;
        if (target->line_end == &call->after) {
            target->line_end = at;
        }
        client->in_line--;
    }
}

static void close_idle(struct ps_live_client *client, uint64_t mono_ns)
{
    for (size_t i = 0; i < client->target_count; i++) {
        struct ps_live_conn **at = &client->targets[i].idle;
        while (*at != NULL) {
            struct ps_live_conn *conn = *at;
            if (conn->idle_since_ns + IDLE_NS < mono_ns) {
                conn_close(conn); /* unlinks it from the list */
            } else {
                at = &conn->idle_next;
            }
        }
    }
}

static void on_sweep(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct ps_live_client *client = watcher->data;
    uint64_t mono_ns = ps_live_mono_ns();
    close_idle(client, mono_ns);
    for (;;) {
        struct ps_live_call *call = client->under_way;
        while (call != NULL && call->deadline_mono_ns >= mono_ns) {
            call = call->next;
        }
        if (call == NULL) {
            return;
        }
        if (call->conn != NULL) {
            lose(call->conn, PS_TIMEOUT);
        } else {
            leave_line(client, call);
            finish(call, PS_TIMEOUT, NULL);
        }
    }
}

/* ---- the whole ---- */

/* As many as the process may open; the limit is raised as far as it goes. */
static size_t conn_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return FDS_RESERVED;
    }
    limit.rlim_cur = limit.rlim_max < CONNECTIONS_MAX + FDS_RESERVED
                         ? limit.rlim_max
                         : CONNECTIONS_MAX + FDS_RESERVED;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > 2 * FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED : FDS_RESERVED / 2;
}

enum ps_status ps_live_client_create(struct ev_loop *loop, const struct ps_cluster_state *state,
                                     struct ps_live_client **ret, struct ps_error *err)
{
    struct in_addr address;
    const char *bind = state->bind[0] == '\0' ? PS_LOOPBACK : state->bind;
    if (inet_pton(AF_INET, bind, &address) != 1) {
        return ps_fail(err, PS_INVALID, "%s is no IPv4 address", bind);
    }
    struct ps_live_client *client = PS_NEW(struct ps_live_client);
    client->loop = loop;
    client->conn_max = conn_max();
    client->failed_end = &client->failed;
    client->target_count = state->cluster.pop_count;
    client->targets = PS_NEW_ARRAY(struct target, client->target_count + 1);
    for (size_t i = 0; i < client->target_count; i++) {
        client->targets[i].address =
            (struct sockaddr_in){.sin_family = AF_INET,
                                 .sin_port = htons(state->nodes[i].api_port),
                                 .sin_addr = address};
        client->targets[i].line_end = &client->targets[i].line;
    }
    ev_timer_init(&client->tell, on_tell, 0., 0.);
    ev_timer_init(&client->sweep, on_sweep, SWEEP_S, SWEEP_S);
    client->tell.data = client;
    client->sweep.data = client;
    ev_timer_start(loop, &client->sweep);
    *ret = client;
    return PS_OK;
}

void ps_live_client_destroy(struct ps_live_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->conns != NULL) {
        client->conns->call = NULL;
        conn_close(client->conns);
    }
    ev_timer_stop(client->loop, &client->tell);
    ev_timer_stop(client->loop, &client->sweep);
    free(client->targets);
    free(client);
}
