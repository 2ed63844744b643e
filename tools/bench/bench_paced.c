/* Load at a fixed rate: request k is due at start + k / rate, on connection k mod connections. Its
 * latency counts from the instant at which this process saw that, also when the connection still
 * waited for its last answer: so what a server keeps waiting is not left out ("coordinated
 * omission"). That this process saw it late is no server's doing, and is told apart.
 *
 *   bench_paced PORT PATH STORE RATE SECONDS CONNECTIONS
 *
 * GETs PATH from 127.0.0.1 with `popsim-store: STORE` and prints one JSON object: the requests,
 * those not answered with 200, quantiles in microseconds of the latency, and of how late it was
 * seen that a request is due. */
#include "replication/base/histogram.h"
#include "replication/base/memory.h"

#include <ev.h>
#include <llhttp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUT_SIZE = 64 << 10,
    REQUEST_SIZE = 1024,
    CONNECTIONS_MAX = 1024,
    OK = 200,
    EXIT_FAILED = 3,
    GRACE_S = 30 /* the last answers may take that long */
};

struct conn {
    ev_io io;
    llhttp_t parser;
    uint64_t next; /* the number of the request that it sends next, or waits for */
    bool waits;    /* ... for its answer */
};

static llhttp_settings_t settings;
static char input[INPUT_SIZE];
static char request[REQUEST_SIZE];
static size_t request_size;
static struct conn conns[CONNECTIONS_MAX];
static uint64_t conn_count;
static uint64_t total;
static uint64_t rate;
static uint64_t start_ns;
static uint64_t answered;
static uint64_t failed;
static int timer_fd;
static struct ps_histogram latency;
static struct ps_histogram lateness;
static uint64_t *seen_ns; /* by request: since when it is known to be due; 0: it is not */

static uint64_t mono_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * PS_SECOND + (uint64_t)now.tv_nsec;
}

static void quit(const char *what)
{
    (void)fprintf(stderr, "bench_paced: %s\n", what);
    exit(EXIT_FAILED);
}

static uint64_t due_ns(uint64_t number)
{
    return start_ns + (uint64_t)((ps_u128)number * PS_SECOND / rate);
}

/* The first request that is not due yet. */
static uint64_t next_number(uint64_t now_ns)
{
    uint64_t number = (uint64_t)((ps_u128)(now_ns - start_ns) * rate / PS_SECOND) + 1;
    return number < total ? number : total;
}

static void see(uint64_t number, uint64_t now_ns)
{
    if (seen_ns[number] == 0) {
        seen_ns[number] = now_ns;
        ps_histogram_record(&lateness, now_ns - due_ns(number), 1);
    }
}

static void send_due(struct conn *conn, uint64_t now_ns)
{
    if (conn->waits || conn->next >= total || due_ns(conn->next) > now_ns) {
        return;
    }
    see(conn->next, now_ns);
    if (send(conn->io.fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) {
        quit("a request could not be sent");
    }
    conn->waits = true;
}

static int on_message(llhttp_t *parser)
{
    struct conn *conn = parser->data;
    ps_histogram_record(&latency, mono_ns() - seen_ns[conn->next], 1);
    failed += parser->status_code != OK ? 1 : 0;
    answered++;
    conn->waits = false;
    conn->next += conn_count;
    return 0;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct conn *conn = io->data;
    ssize_t got = recv(io->fd, input, sizeof input, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || llhttp_execute(&conn->parser, input, (size_t)got) != HPE_OK) {
        quit("an answer is broken off");
    }
    send_due(conn, mono_ns());
    if (answered == total) {
        ev_break(loop, EVBREAK_ALL);
    }
}

static void set_timer(uint64_t number)
{
    uint64_t ns = due_ns(number);
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ns / PS_SECOND), .tv_nsec = (long)(ns % PS_SECOND)}};
    (void)timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    static uint64_t seen; /* that all below it are due */
    uint64_t ticks;
    if (read(io->fd, &ticks, sizeof ticks) < 0) {
        return;
    }
    uint64_t now_ns = mono_ns();
    uint64_t end = next_number(now_ns);
    for (; seen < end; seen++) {
        see(seen, now_ns);
        send_due(&conns[seen % conn_count], now_ns);
    }
    if (seen < total) {
        set_timer(seen);
    }
}

static void on_grace(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    quit("not all was answered");
}

static void open_conn(struct ev_loop *loop, uint64_t index, uint16_t port)
{
    struct conn *conn = &conns[index];
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        quit(strerror(errno));
    }
    llhttp_init(&conn->parser, HTTP_RESPONSE, &settings);
    conn->parser.data = conn;
    conn->next = index;
    ev_io_init(&conn->io, on_readable, fd, EV_READ);
    conn->io.data = conn;
    ev_io_start(loop, &conn->io);
}

static void print_quantiles(const char *name, const struct ps_histogram *histogram)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        (void)printf(", \"%s%s_us\": %.1f", name, quantiles[i].name,
                     (double)ps_histogram_quantile(histogram, quantiles[i].q) / (double)PS_US);
    }
}

static uint64_t number_of(const char *text, uint64_t most)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*end != '\0' || number == 0 || number > most) {
        quit("usage: bench_paced PORT PATH STORE RATE SECONDS CONNECTIONS");
    }
    return number;
}

static void read_arguments(char **argv, uint16_t *ret_port)
{
    enum { RATE_MAX = 1000000, SECONDS_MAX = 3600 };

    *ret_port = (uint16_t)number_of(argv[1], UINT16_MAX);
    rate = number_of(argv[4], RATE_MAX);
    total = rate * number_of(argv[5], SECONDS_MAX);
    conn_count = number_of(argv[6], CONNECTIONS_MAX);
    int size =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: popsim\r\npopsim-store: %s\r\n\r\n", argv[2], argv[3]);
    if (size < 0 || (size_t)size >= sizeof request) {
        quit("too long a path");
    }
    request_size = (size_t)size;
}

int main(int argc, char **argv)
{
    enum { ARGUMENTS = 6 };

    uint16_t port;
    if (argc != ARGUMENTS + 1) {
        quit("usage: bench_paced PORT PATH STORE RATE SECONDS CONNECTIONS");
    }
    read_arguments(argv, &port);
    seen_ns = PS_NEW_ARRAY(uint64_t, total);
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message;
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    for (uint64_t i = 0; i < conn_count; i++) {
        open_conn(loop, i, port);
    }
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer_fd < 0) {
        quit(strerror(errno));
    }
    ev_io timer;
    ev_io_init(&timer, on_timer, timer_fd, EV_READ);
    ev_io_start(loop, &timer);
    ev_timer grace;
    ev_timer_init(&grace, on_grace, (double)total / (double)rate + GRACE_S, 0);
    ev_timer_start(loop, &grace);
    start_ns = mono_ns();
    set_timer(0);
    ev_run(loop, 0);
    (void)printf("{\"requests\": %" PRIu64 ", \"failed\": %" PRIu64, answered, failed);
    print_quantiles("", &latency);
    print_quantiles("late_", &lateness);
    (void)printf("}\n");
    free(seen_ns);
    return 0;
}
