#include "node/io/peer.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire {
    struct ps_peers *peers;
    struct wire *next; /* of the idle ones, or of all in use */
    struct wire **prev;
    uint16_t pop;
    int fd;
    ev_io io;
    int events;
    bool connecting;
    double idle_s; /* since when */
    struct ps_http1_answer_parser *parser;
    struct ps_peer_call *call; /* NULL: idle */
};

struct ps_peers {
    struct ps_node *node;
    struct wire *idle; /* the last used first */
    ev_timer sweep;
    size_t calls;
    char input[128 << 10];
};

struct ps_peer_call {
    struct ps_alarm alarm; /* first member */
    struct ps_peers *peers;
    struct ps_peer_handler handler;
    struct wire *wire; /* NULL: there is none, and `done` is due */
    struct ps_buf out;
    size_t out_sent;
    struct ps_buf held; /* of the answer, behind what was taken */
    struct ps_http1_answer_head head;
    uint64_t active_mono_ns; /* when a byte last went or came, or the other side was to blame */
    enum ps_status failure;
    bool chunked;
    bool sent;   /* the request is whole */
    bool told;   /* ... to wait */
    bool paused; /* the answer is not to be read on */
    bool due;    /* what the parser was given may hold more: if no bytes, the answer's end */
    bool within; /* its handler is being called */
    bool cancelled;
    bool broken; /* the other side takes no more */
};

/* ---- connections ---- */

static void wait_for(struct wire *wire, int events)
{
    struct ev_loop *loop = wire->peers->node->loop;
    if (wire->events == events) {
        return;
    }
    wire->events = events;
    ev_io_stop(loop, &wire->io);
    if (events != 0) {
        ev_io_set(&wire->io, wire->fd, events);
        ev_io_start(loop, &wire->io);
    }
}

static void unlist(struct wire *wire)
{
    if (wire->prev != NULL) {
        *wire->prev = wire->next;
        if (wire->next != NULL) {
            wire->next->prev = wire->prev;
        }
        wire->prev = NULL;
    }
}

static void hang_up(struct wire *wire)
{
    unlist(wire);
    wait_for(wire, 0);
    (void)close(wire->fd);
    ps_http1_answer_parser_destroy(wire->parser);
    free(wire);
}

/* Keep it for the next request to that node. */
static void keep(struct wire *wire)
{
    struct ps_peers *peers = wire->peers;
    size_t count = 0;
    struct wire *oldest = NULL;
    for (struct wire *other = peers->idle; other != NULL; other = other->next) {
        if (other->pop == wire->pop) {
            oldest = other;
            count++;
        }
    }
    if (count >= PS_PEER_IDLE_MAX) {
        hang_up(oldest);
    }
    wire->call = NULL;
    wire->idle_s = ev_now(peers->node->loop);
    wire->next = peers->idle;
    wire->prev = &peers->idle;
    if (wire->next != NULL) {
        wire->next->prev = &wire->next;
    }
    peers->idle = wire;
    wait_for(wire, EV_READ); /* so that its end is noticed */
    ev_timer_start(peers->node->loop, &peers->sweep);
}

static void on_event(struct ev_loop *loop, ev_io *watcher, int events);

/* Where it was left to the system to choose, the node has said which one it got. */
static uint16_t port_of(const struct ps_node *node, uint16_t pop)
{
    uint16_t port = node->state.nodes[pop].api_port;
    if (port != 0) {
        return port;
    }
    char path[4224];
    size_t root_size = strlen(node->folder) - strlen(node->code);
    (void)snprintf(path, sizeof path, "%.*s%s/node.json", (int)root_size, node->folder,
                   node->state.cluster.pops[pop]->code);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        char digits[6] = "";
        if (fscanf(file, "{\"pid\":%*[0-9],\"port\":%5[0-9]", digits) == 1) {
            port = (uint16_t)strtoul(digits, NULL, 10);
        }
        (void)fclose(file);
    }
    return port;
}

static struct wire *dial(struct ps_peers *peers, uint16_t pop)
{
    const struct ps_cluster_state *state = &peers->node->state;
    bool any = state->bind[0] == '\0' || strcmp(state->bind, "0.0.0.0") == 0;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port_of(peers->node, pop))};
    int on = 1;
    if (inet_pton(AF_INET, any ? PS_LOOPBACK : state->bind, &address.sin_addr) != 1) {
        return NULL;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return NULL;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        return NULL;
    }
    struct wire *wire = PS_NEW(struct wire);
    wire->peers = peers;
    wire->pop = pop;
    wire->fd = fd;
    wire->connecting = true;
    wire->parser = ps_http1_answer_parser_create();
    ev_init(&wire->io, on_event);
    wire->io.data = wire;
    return wire;
}

/* Has the other side closed it, or said what it was not asked? */
static bool is_usable(const struct wire *wire)
{
    char byte;
    return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

static struct wire *connection(struct ps_peers *peers, uint16_t pop)
{
    struct wire *next;
    for (struct wire *wire = peers->idle; wire != NULL; wire = next) {
        next = wire->next;
        if (wire->pop != pop) {
            continue;
        }
        if (is_usable(wire)) {
            unlist(wire);
            return wire;
        }
        hang_up(wire);
    }
    return dial(peers, pop);
}

static void on_sweep(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct ps_peers *peers = watcher->data;
    struct wire *next;
    for (struct wire *wire = peers->idle; wire != NULL; wire = next) {
        next = wire->next;
        if (ev_now(loop) - wire->idle_s > PS_PEER_IDLE_S) {
            hang_up(wire);
        }
    }
    if (peers->idle == NULL) {
        ev_timer_stop(loop, watcher);
    }
}

struct ps_peers *ps_peers_create(struct ps_node *node)
{
    struct ps_peers *peers = PS_NEW(struct ps_peers);
    peers->node = node;
    ev_timer_init(&peers->sweep, on_sweep, 1., 1.);
    peers->sweep.data = peers;
    return peers;
}

void ps_peers_destroy(struct ps_peers *peers)
{
    if (peers == NULL) {
        return;
    }
    PS_ASSERT(peers->calls == 0);
    while (peers->idle != NULL) {
        hang_up(peers->idle);
    }
    ev_timer_stop(peers->node->loop, &peers->sweep);
    free(peers);
}

/* ---- calls ---- */

static void destroy(struct ps_peer_call *call)
{
    ps_node_alarm_stop(call->peers->node, &call->alarm);
    if (call->wire != NULL) {
        hang_up(call->wire);
    }
    call->peers->calls--;
    ps_buf_fini(&call->out);
    ps_buf_fini(&call->held);
    free(call);
}

static void end(struct ps_peer_call *call, enum ps_status status)
{
    struct ps_peer_handler handler = call->handler;
    struct wire *wire = call->wire;
    if (status == PS_OK && call->sent && !call->broken && call->head.keep_alive &&
        call->held.size == 0 && call->out_sent == call->out.size) {
        call->wire = NULL;
        keep(wire);
    }
    destroy(call);
    handler.done(handler.context, status);
}

static void fail_later(struct ps_peer_call *call, enum ps_status status)
{
    call->failure = status;
    ps_node_alarm(call->peers->node, &call->alarm, 0);
}

static void set_events(const struct ps_peer_call *call)
{
    bool more = call->wire->connecting || call->out_sent < call->out.size;
    more = more || (call->due && !call->paused); /* comes with the loop's next turn */
    wait_for(call->wire, (more ? EV_WRITE : 0) | (call->paused ? 0 : EV_READ));
}

static void touch(struct ps_peer_call *call)
{
    call->active_mono_ns = ps_mono_ns();
}

/* The other side is to act: not we, nor who gives the body or takes the answer. */
static bool waits_for_peer(const struct ps_peer_call *call)
{
    return call->wire->connecting || call->out_sent < call->out.size ||
           (call->sent && !call->paused);
}

static void on_alarm(struct ps_alarm *alarm)
{
    struct ps_peer_call *call = (struct ps_peer_call *)(void *)alarm;
    if (call->failure != PS_OK) {
        end(call, call->failure);
        return;
    }
    if (!waits_for_peer(call)) {
        touch(call);
    }
    uint64_t due_ns = call->active_mono_ns + call->peers->node->peer_silent_ns;
    if (due_ns <= ps_mono_ns()) {
        end(call, PS_TIMEOUT);
        return;
    }
    ps_node_alarm(call->peers->node, alarm, due_ns);
}

static void put_head(struct ps_peer_call *call, const struct ps_peer_request *request)
{
    const char *token = call->peers->node->state.token;
    struct ps_buf *out = &call->out;
    ps_buf_printf(out, "%s %.*s HTTP/1.1\r\nHost: popsim\r\n", request->method,
                  (int)request->target.size, request->target.data);
    if (token != NULL && token[0] != '\0') {
        ps_buf_printf(out, "Authorization: Bearer %s\r\n", token);
    }
    ps_buf_append_slice(out, request->headers);
    if (call->chunked) {
        ps_buf_append_text(out, "Transfer-Encoding: chunked\r\n");
    } else if (request->has_body) {
        ps_buf_printf(out, "Content-Length: %" PRIu64 "\r\n", request->body_size);
    }
    ps_buf_append_text(out, "\r\n");
}

struct ps_peer_call *ps_peer_start(struct ps_peers *peers, uint16_t pop,
                                   const struct ps_peer_request *request,
                                   const struct ps_peer_handler *handler)
{
    struct ps_peer_call *call = PS_NEW(struct ps_peer_call);
    call->peers = peers;
    call->handler = *handler;
    call->alarm.ring = on_alarm;
    call->chunked = request->has_body && !request->sized;
    call->sent = !request->has_body;
    peers->calls++;
    touch(call);
    put_head(call, request);
    call->wire = connection(peers, pop);
    if (call->wire == NULL) {
        fail_later(call, PS_UNREACHABLE);
        return call;
    }
    call->wire->call = call;
    ps_node_alarm(peers->node, &call->alarm, call->active_mono_ns + peers->node->peer_silent_ns);
    set_events(call);
    return call;
}

bool ps_peer_send(struct ps_peer_call *call, struct ps_slice bytes)
{
    PS_ASSERT(!call->sent);
    if (bytes.size == 0 || call->wire == NULL) {
        return true; /* `done` is due */
    }
    if (call->out_sent == call->out.size) {
        touch(call); /* until now it was not the other side that was silent */
    }
    if (call->chunked) {
        ps_buf_printf(&call->out, "%zx\r\n", bytes.size);
    }
    ps_buf_append_slice(&call->out, bytes);
    if (call->chunked) {
        ps_buf_append_text(&call->out, "\r\n");
    }
    set_events(call);
    call->told = call->out.size - call->out_sent >= PS_PEER_PENDING;
    return !call->told;
}

void ps_peer_finish(struct ps_peer_call *call)
{
    PS_ASSERT(!call->sent);
    call->sent = true;
    call->told = false;
    touch(call);
    if (call->wire != NULL) {
        if (call->chunked) {
            ps_buf_append_text(&call->out, "0\r\n\r\n");
        }
        set_events(call);
    }
}

void ps_peer_cancel(struct ps_peer_call *call)
{
    if (call->within) {
        call->cancelled = true;
    } else {
        destroy(call);
    }
}

/* ---- what happens on the wire ---- */

/* Each returns false when the call is gone. */

static bool is_gone(struct ps_peer_call *call)
{
    call->within = false;
    if (call->cancelled) {
        destroy(call);
        return true;
    }
    return false;
}

static bool give_head(struct ps_peer_call *call)
{
    call->head = ps_http1_answer_head(call->wire->parser);
    call->within = true;
    call->handler.head(call->handler.context, &call->head);
    return !is_gone(call);
}

static bool give_bytes(struct ps_peer_call *call)
{
    call->within = true;
    if (!call->handler.bytes(call->handler.context, ps_http1_answer_span(call->wire->parser))) {
        call->paused = true;
        call->due = true;
    }
    return !is_gone(call);
}

static bool take(struct ps_peer_call *call, struct ps_slice bytes)
{
    bool more = true;
    call->due = false;
    while (more && !call->paused) {
        size_t taken;
        enum ps_http1_answer_event event = ps_http1_answer_feed(call->wire->parser, bytes, &taken);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        switch (event) {
        case PS_HTTP1_ANSWER_NEED:
            more = false;
            break;
        case PS_HTTP1_ANSWER_HEAD:
            more = give_head(call);
            break;
        case PS_HTTP1_ANSWER_BODY:
            more = give_bytes(call);
            break;
        case PS_HTTP1_ANSWER_END:
            ps_buf_append_slice(&call->held, bytes); /* what was not asked for */
            end(call, PS_OK);
            return false;
        case PS_HTTP1_ANSWER_REFUSED:
            end(call, PS_UNREACHABLE);
            return false;
        }
        if (!more && event != PS_HTTP1_ANSWER_NEED) {
            return false;
        }
    }
    ps_buf_append_slice(&call->held, bytes);
    return true;
}

void ps_peer_resume(struct ps_peer_call *call)
{
    if (!call->paused || call->failure != PS_OK || call->wire == NULL) {
        return;
    }
    call->paused = false;
    touch(call);
    set_events(call);
}

static bool read_some(struct ps_peer_call *call)
{
    struct ps_peers *peers = call->peers;
    if (call->due) {
        struct ps_buf held = call->held;
        call->held = (struct ps_buf){0};
        bool there = take(call, held.size == 0 ? PS_LIT("") : ps_buf_slice(&held));
        ps_buf_fini(&held);
        if (!there || call->paused) {
            return there;
        }
    }
    ssize_t got = recv(call->wire->fd, peers->input, sizeof peers->input, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return true;
        }
        end(call, PS_UNREACHABLE);
        return false;
    }
    touch(call);
    if (got == 0) {
        bool whole = ps_http1_answer_finish(call->wire->parser) == PS_HTTP1_ANSWER_END;
        call->broken = true;
        end(call, whole ? PS_OK : PS_UNREACHABLE);
        return false;
    }
    return take(call, (struct ps_slice){peers->input, (size_t)got});
}

static bool write_some(struct ps_peer_call *call)
{
    struct wire *wire = call->wire;
    if (wire->connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
            end(call, PS_UNREACHABLE);
            return false;
        }
        wire->connecting = false;
        touch(call);
    }
    while (call->out_sent < call->out.size) {
        ssize_t sent = send(wire->fd, call->out.data + call->out_sent,
                            call->out.size - call->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                break;
            }
            /* It may have answered before it closed. */
            call->out_sent = call->out.size;
            call->broken = true;
            break;
        }
        call->out_sent += (size_t)sent;
        touch(call);
    }
    size_t left = call->out.size - call->out_sent;
    if (left == 0) {
        call->out.size = 0;
        call->out_sent = 0;
    }
    if (call->told && left < PS_PEER_PENDING / 2) {
        call->told = false;
        call->within = true;
        call->handler.drained(call->handler.context);
        return !is_gone(call);
    }
    return true;
}

static void on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct wire *wire = watcher->data;
    struct ps_peer_call *call = wire->call;
    if (call == NULL) {
        hang_up(wire); /* it was idle: this is its end */
        return;
    }
    if ((events & EV_WRITE) != 0 && !write_some(call)) {
        return;
    }
    bool reads = !call->paused && ((events & EV_READ) != 0 || call->due);
    if (reads && !read_some(call)) {
        return;
    }
    set_events(call);
}
