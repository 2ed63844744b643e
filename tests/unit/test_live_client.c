/* The live driver's connections, against a server in the same loop that behaves as each test says.
 */
#include "replication/base/memory.h"
#include "sim/live/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum manner {
    ANSWER,    /* each request with the same body */
    DRIBBLE,   /* the same, a byte at a time */
    HANG_UP,   /* close in the midst of the answer */
    CLOSE,     /* answer, and say that the connection ends */
    GIBBERISH, /* no HTTP */
    TWICE,     /* two answers to one question */
    SILENCE
};

struct server {
    struct ev_loop *loop;
    enum manner manner;
    int fd;
    ev_io accept;
    int accepted;
    int open;
    int open_most;
    int requests;
    size_t request_size; /* answered once so many bytes are here */
};

struct peer {
    struct server *server;
    ev_io io;
    ev_timer dribble;
    size_t got;
    size_t sent;
};

static const char answer[] = "HTTP/1.1 200 OK\r\npopsim-time: 5\r\nContent-Length: 5\r\n\r\nhello";
static const char last_answer[] =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

static void hang_up(struct peer *peer)
{
    ev_io_stop(peer->server->loop, &peer->io);
    ev_timer_stop(peer->server->loop, &peer->dribble);
    (void)close(peer->io.fd);
    peer->server->open--;
    free(peer);
}

static void on_dribble(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct peer *peer = watcher->data;
    (void)!write(peer->io.fd, answer + peer->sent++, 1);
    if (peer->sent == sizeof answer - 1) {
        peer->sent = 0;
        ev_timer_stop(loop, watcher);
    }
}

static void on_request(struct peer *peer)
{
    struct server *server = peer->server;
    server->requests++;
    switch (server->manner) {
    case ANSWER:
        (void)!write(peer->io.fd, answer, sizeof answer - 1);
        return;
    case DRIBBLE:
        ev_timer_start(server->loop, &peer->dribble);
        return;
    case HANG_UP:
        (void)!write(peer->io.fd, answer, sizeof answer - 4);
        hang_up(peer);
        return;
    case CLOSE:
        (void)!write(peer->io.fd, last_answer, sizeof last_answer - 1);
        hang_up(peer);
        return;
    case GIBBERISH:
        (void)!write(peer->io.fd, "SSH-2.0-x\r\n", 11);
        return;
    case TWICE:
        (void)!write(peer->io.fd, answer, sizeof answer - 1);
        (void)!write(peer->io.fd, answer, sizeof answer - 1);
        return;
    case SILENCE:
        return;
    }
}

static void on_peer(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct peer *peer = watcher->data;
    static char bytes[1 << 16];
    ssize_t got = read(peer->io.fd, bytes, sizeof bytes);
    if (got <= 0) {
        hang_up(peer);
        return;
    }
    peer->got += (size_t)got;
    if (peer->got == peer->server->request_size) {
        peer->got = 0;
        on_request(peer);
    }
}

static void on_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct server *server = watcher->data;
    struct peer *peer = PS_NEW(struct peer);
    peer->server = server;
    server->accepted++;
    server->open++;
    server->open_most = server->open > server->open_most ? server->open : server->open_most;
    ev_io_init(&peer->io, on_peer, accept(server->fd, NULL, NULL), EV_READ);
    ev_timer_init(&peer->dribble, on_dribble, 0., 0.0001);
    peer->io.data = peer;
    peer->dribble.data = peer;
    ev_io_start(loop, &peer->io);
}

/* ---- fixture ---- */

struct fixture {
    struct server server;
    struct ps_cluster_state state;
    struct ps_cluster_node nodes[2];
    struct ps_live_client *client;
};

static void set_up(struct fixture *it, enum manner manner)
{
    *it = (struct fixture){.server = {.manner = manner, .loop = ev_loop_new(0)}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    it->server.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(it->server.fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(it->server.fd, 64), 0);
    assert_int_equal(getsockname(it->server.fd, (struct sockaddr *)&address, &size), 0);
    ev_io_init(&it->server.accept, on_accept, it->server.fd, EV_READ);
    it->server.accept.data = &it->server;
    ev_io_start(it->server.loop, &it->server.accept);
    it->state.nodes = it->nodes;
    it->state.cluster.pop_count = 2;
    it->nodes[0].api_port = ntohs(address.sin_port);
    it->nodes[1].api_port = ntohs(address.sin_port);
    struct ps_error err = {0};
    assert_int_equal(ps_live_client_create(it->server.loop, &it->state, &it->client, &err), PS_OK);
}

static void tear_down(struct fixture *it)
{
    ps_live_client_destroy(it->client);
    ev_io_stop(it->server.loop, &it->server.accept);
    while (it->server.open > 0) { /* each peer sees its end */
        (void)ev_run(it->server.loop, EVRUN_ONCE);
    }
    (void)close(it->server.fd);
    ev_loop_destroy(it->server.loop);
}

/* One question, and what came of it. */
struct question {
    struct ps_live_call call; /* first member */
    struct fixture *fixture;
    int done;
    enum ps_status status;
    struct ps_buf body;
    struct question *then; /* started within `done` */
};

static void on_done(struct ps_live_call *call, enum ps_status status,
                    const struct ps_live_response *response)
{
    struct question *question = (struct question *)(void *)call;
    question->done++;
    question->status = status;
    if (status == PS_OK) {
        assert_int_equal(response->status, 200);
        ps_buf_append_slice(&question->body, ps_buf_slice(&response->body));
    }
    if (question->then != NULL) {
        ps_live_client_start(question->fixture->client, &question->then->call);
    }
}

static void ask(struct fixture *it, struct question *question, size_t size, uint64_t patience_ns)
{
    *question = (struct question){.fixture = it, .call = {.done = on_done}};
    while (question->call.request.size < size) {
        ps_buf_append_char(&question->call.request, 'x');
    }
    it->server.request_size = size;
    question->call.deadline_mono_ns = ps_live_mono_ns() + patience_ns;
}

static void wait_for(struct question *question)
{
    while (question->done == 0) {
        (void)ev_run(question->fixture->server.loop, EVRUN_ONCE);
    }
    assert_int_equal(question->done, 1);
    ps_buf_fini(&question->call.request);
}

static enum ps_status ask_one(struct fixture *it, uint64_t patience_ns)
{
    struct question question;
    ask(it, &question, 10, patience_ns);
    ps_live_client_start(it->client, &question.call);
    assert_int_equal(question.done, 0); /* never before the start returns */
    wait_for(&question);
    if (question.status == PS_OK && it->server.manner != CLOSE) {
        assert_true(ps_slice_eq(ps_buf_slice(&question.body), PS_LIT("hello")));
    }
    ps_buf_fini(&question.body);
    return question.status;
}

/* ---- tests ---- */

static void test_keep_alive(void **state)
{
    (void)state;

    static const enum manner manners[] = {ANSWER, DRIBBLE};

    for (size_t m = 0; m < 2; m++) {
        struct fixture it;
        set_up(&it, manners[m]);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(ask_one(&it, PS_MINUTE), PS_OK);
        }
        assert_int_equal(it.server.requests, 5);
        assert_int_equal(it.server.accepted, 1);
        tear_down(&it);
    }
}

static void test_at_once(void **state)
{
    (void)state;

    enum { COUNT = 20 };

    struct fixture it;
    set_up(&it, ANSWER);
    struct question questions[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            ask(&it, &questions[i], 10, PS_MINUTE);
            questions[i].call.pop = (uint16_t)(i % 2);
            ps_live_client_start(it.client, &questions[i].call);
        }
        for (int i = 0; i < COUNT; i++) {
            wait_for(&questions[i]);
            assert_int_equal(questions[i].status, PS_OK);
            ps_buf_fini(&questions[i].body);
        }
    }
    assert_int_equal(it.server.accepted, COUNT); /* one each, used again in the second round */
    tear_down(&it);
}

/* A call that is started by another's answer may be the first to use its connection again. */
static void test_one_after_the_other(void **state)
{
    (void)state;
    struct fixture it;
    set_up(&it, ANSWER);
    struct question first;
    struct question second;
    ask(&it, &first, 10, PS_MINUTE);
    ask(&it, &second, 10, PS_MINUTE);
    first.then = &second;
    ps_live_client_start(it.client, &first.call);
    wait_for(&first);
    wait_for(&second);
    assert_int_equal(second.status, PS_OK);
    ps_buf_fini(&first.body);
    ps_buf_fini(&second.body);
    tear_down(&it);
}

static void test_large_request(void **state)
{
    (void)state;
    struct fixture it;
    set_up(&it, ANSWER);
    struct question question;
    ask(&it, &question, 20 << 20, PS_MINUTE);
    ps_live_client_start(it.client, &question.call);
    wait_for(&question);
    assert_int_equal(question.status, PS_OK);
    ps_buf_fini(&question.body);
    tear_down(&it);
}

static void test_lost(void **state)
{
    (void)state;
    struct fixture it;
    set_up(&it, HANG_UP);
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_UNREACHABLE);
    it.server.manner = CLOSE;
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_OK);
    it.server.manner = GIBBERISH;
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_CORRUPT);
    it.server.manner = TWICE;
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_CORRUPT);
    it.server.manner = SILENCE;
    assert_int_equal(ask_one(&it, PS_MS), PS_TIMEOUT);
    it.server.manner = ANSWER;
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_OK);
    assert_int_equal(it.server.accepted, 6); /* none of the others was used again */
    tear_down(&it);
}

static void test_nobody(void **state)
{
    (void)state;
    struct fixture it;
    set_up(&it, ANSWER);
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_OK);
    ev_io_stop(it.server.loop, &it.server.accept);
    (void)shutdown(it.server.fd, SHUT_RDWR);          /* from here on connections are refused */
    assert_int_equal(ask_one(&it, PS_MINUTE), PS_OK); /* the open one serves on */
    struct question questions[3];
    for (int i = 0; i < 3; i++) {
        ask(&it, &questions[i], 10, PS_MINUTE);
        questions[i].call.pop = 1;
        ps_live_client_start(it.client, &questions[i].call);
    }
    for (int i = 0; i < 3; i++) {
        wait_for(&questions[i]);
        assert_int_equal(questions[i].status, PS_UNREACHABLE);
    }
    tear_down(&it);
}

/* With few descriptors calls wait in line; a connection that rests at another PoP gives way, and
 * those whose time is over leave the line. */
static void test_line(void **state)
{
    (void)state;

    enum { COUNT = 300 };

    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {300, 300}; /* room for 128 connections: see conn_max */
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) {
        skip();
    }
    struct fixture it;
    set_up(&it, ANSWER);
    static struct question questions[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ask(&it, &questions[i], 10, PS_MINUTE);
        questions[i].call.pop = i < COUNT / 2 ? 0 : 1;
        ps_live_client_start(it.client, &questions[i].call);
    }
    for (int i = 0; i < COUNT; i++) {
        wait_for(&questions[i]);
        assert_int_equal(questions[i].status, PS_OK);
        ps_buf_fini(&questions[i].body);
    }
    assert_in_range(it.server.open_most, 100, 129);
    it.server.manner = SILENCE;
    for (int i = 0; i < COUNT; i++) {
        ask(&it, &questions[i], 10, PS_MS);
        questions[i].call.pop = (uint16_t)(i % 2);
        ps_live_client_start(it.client, &questions[i].call);
    }
    for (int i = 0; i < COUNT; i++) {
        wait_for(&questions[i]);
        assert_int_equal(questions[i].status, PS_TIMEOUT);
    }
    tear_down(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_large_request),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_line), /* last: it leaves few descriptors */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
