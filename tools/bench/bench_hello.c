/* What the node's HTTP front is measured against: the same two libraries (llhttp, libev), the same
 * accept and keep-alive, and one fixed answer of 100 bytes. No limits, no timeouts, no store.
 *
 *   bench_hello          listens on a free port of 127.0.0.1 and prints it; ended by a signal
 *   bench_hello busy     ... and computes all the time on another thread, as a D1 query does */
#include "replication/base/memory.h"

#include <ev.h>
#include <llhttp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, INPUT_SIZE = 64 << 10, OUT_MAX = 64, EXIT_FAILED = 3 };

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 100\r\n"
                             "\r\n"
                             "0123456789012345678901234567890123456789012345678\n"
                             "0123456789012345678901234567890123456789012345678\n";

static llhttp_settings_t settings;
static char input[INPUT_SIZE];

struct conn {
    ev_io io;
    llhttp_t parser;
    unsigned due; /* answers to write */
    bool last;    /* the connection ends after them */
};

static int on_message(llhttp_t *parser)
{
    struct conn *conn = parser->data;
    conn->due++;
    if (llhttp_should_keep_alive(parser) == 0) {
        conn->last = true;
    }
    return 0;
}

static void close_conn(struct ev_loop *loop, struct conn *conn)
{
    ev_io_stop(loop, &conn->io);
    (void)close(conn->io.fd);
    free(conn);
}

/* A client that does not read its answers is dropped: this is a bench, not a server. */
static bool write_due(struct conn *conn)
{
    while (conn->due > 0) {
        struct iovec parts[OUT_MAX];
        unsigned count = conn->due < OUT_MAX ? conn->due : OUT_MAX;
        for (unsigned i = 0; i < count; i++) {
            parts[i] = (struct iovec){(void *)(uintptr_t)answer, sizeof answer - 1};
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(conn->io.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != (ssize_t)(count * (sizeof answer - 1))) {
            return false;
        }
        conn->due -= count;
    }
    return !conn->last;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct conn *conn = io->data;
    ssize_t got = recv(io->fd, input, sizeof input, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || llhttp_execute(&conn->parser, input, (size_t)got) != HPE_OK ||
        !write_due(conn)) {
        close_conn(loop, conn);
    }
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    for (;;) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *conn = PS_NEW(struct conn);
        llhttp_init(&conn->parser, HTTP_REQUEST, &settings);
        conn->parser.data = conn;
        ev_io_init(&conn->io, on_readable, fd, EV_READ);
        conn->io.data = conn;
        ev_io_start(loop, &conn->io);
    }
}

/* Returns the socket, or -1. */
static int listen_on_free_port(struct sockaddr_in *ret_address)
{
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = (struct sockaddr *)ret_address;
    socklen_t size = sizeof *ret_address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool listens = fd >= 0 && bind(fd, address, size) == 0 && listen(fd, BACKLOG) == 0 &&
                   getsockname(fd, address, &size) == 0;
    return listens ? fd : -1;
}

static void *compute(void *argument)
{
    (void)argument;
    static atomic_uint_fast64_t turns; /* so that the compiler leaves it in */
    for (;;) {
        atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
    }
    return NULL;
}

static bool start_computing(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, compute, NULL) == 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    bool busy = argc > 1 && strcmp(argv[1], "busy") == 0;
    int fd = listen_on_free_port(&address);
    if (fd < 0 || (busy && !start_computing())) {
        (void)fprintf(stderr, "bench_hello: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    (void)printf("%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message;
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    ev_io accept;
    ev_io_init(&accept, on_accept, fd, EV_READ);
    ev_io_start(loop, &accept);
    ev_run(loop, 0);
    return 0;
}
