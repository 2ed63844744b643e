/* Requests to another node, against a server that is the test itself. */
#include "node/io/peer.h"
#include "replication/base/memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct ps_node node;
    struct ps_cluster_node other;
    int listener;
    int server; /* the other node's end of the connection */
    /* the call */
    struct ps_buf body;
    size_t full_at; /* bytes after which the handler has enough */
    bool head;
    bool done;
    enum ps_status status;
};

static void on_head(void *context, const struct ps_http1_answer_head *head)
{
    struct world *world = context;
    assert_int_equal(head->status, 200);
    world->head = true;
}

static bool on_bytes(void *context, struct ps_slice bytes)
{
    struct world *world = context;
    ps_buf_append_slice(&world->body, bytes);
    return world->body.size < world->full_at;
}

static void on_done(void *context, enum ps_status status)
{
    struct world *world = context;
    world->done = true;
    world->status = status;
}

static void open_world(struct world *world)
{
    *world = (struct world){.server = -1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(world->listener, 1), 0);
    assert_int_equal(getsockname(world->listener, (struct sockaddr *)&address, &size), 0);
    world->other.api_port = ntohs(address.sin_port);
    world->node.state.nodes = &world->other;
    world->node.peer_silent_ns = PS_PEER_SILENT_S * PS_SECOND;
    world->node.loop = ev_loop_new(EVFLAG_AUTO);
    world->node.peers = ps_peers_create(&world->node);
}

static void close_world(struct world *world)
{
    ps_peers_destroy(world->node.peers);
    ps_heap_fini(&world->node.alarms);
    ev_loop_destroy(world->node.loop);
    ps_buf_fini(&world->body);
    (void)close(world->server);
    (void)close(world->listener);
}

static void on_deadline(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    fail_msg("what was waited for does not come");
}

#define RUN_UNTIL(world, condition)                                                                \
    do {                                                                                           \
        ev_timer deadline;                                                                         \
        ev_timer_init(&deadline, on_deadline, 10., 0.);                                            \
        ev_timer_start((world)->node.loop, &deadline);                                             \
        while (!(condition)) {                                                                     \
            ev_run((world)->node.loop, EVRUN_ONCE);                                                \
        }                                                                                          \
        ev_timer_stop((world)->node.loop, &deadline);                                              \
    } while (0)

/* What the node's timer does. */
static void ring(struct world *world)
{
    struct ps_heap_item *item;
    (void)ev_run(world->node.loop, EVRUN_NOWAIT);
    while ((item = ps_heap_first(&world->node.alarms)) != NULL && item->key <= ps_mono_ns()) {
        ps_heap_remove(&world->node.alarms, item);
        struct ps_alarm *alarm = (struct ps_alarm *)(void *)item;
        alarm->ring(alarm);
    }
    (void)poll(NULL, 0, 1);
}

#define RING_UNTIL(world, condition)                                                               \
    do {                                                                                           \
        uint64_t deadline_ns = ps_mono_ns() + 30 * PS_SECOND;                                      \
        while (!(condition)) {                                                                     \
            assert_true(ps_mono_ns() < deadline_ns);                                               \
            ring(world);                                                                           \
        }                                                                                          \
    } while (0)

static struct ps_peer_call *start_put(struct world *world)
{
    const struct ps_peer_handler handler = {
        .head = on_head, .bytes = on_bytes, .done = on_done, .context = world};
    const struct ps_peer_request request = {
        .method = "PUT", .target = PS_LIT("/x"), .headers = PS_LIT(""), .has_body = true};
    world->done = false;
    return ps_peer_start(world->node.peers, 0, &request, &handler);
}

static struct ps_peer_call *start(struct world *world)
{
    const struct ps_peer_handler handler = {
        .head = on_head, .bytes = on_bytes, .done = on_done, .context = world};
    const struct ps_peer_request request = {
        .method = "GET", .target = PS_LIT("/x"), .headers = PS_LIT("")};
    world->done = false;
    world->head = false;
    world->body.size = 0;
    return ps_peer_start(world->node.peers, 0, &request, &handler);
}

static void say(const struct world *world, const char *text)
{
    assert_int_equal(send(world->server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The end of an answer is known with its last byte; who holds that one back is told of the end when
 * it goes on, though nothing more comes. */
static void test_the_end_behind_a_pause(void **unused)
{
    (void)unused;

    static const size_t full_at[] = {1, 5, 10, 11};
    struct world world;
    open_world(&world);
    for (size_t i = 0; i < sizeof full_at / sizeof full_at[0]; i++) {
        world.full_at = full_at[i];
        struct ps_peer_call *call = start(&world);
        if (world.server < 0) {
            world.server = accept(world.listener, NULL, NULL);
            assert_true(world.server >= 0);
        }
        say(&world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        RUN_UNTIL(&world, world.head);
        say(&world, "0123");
        RUN_UNTIL(&world, world.body.size == 4);
        ps_peer_resume(call);
        say(&world, "456789");
        RUN_UNTIL(&world, world.body.size == 10);
        if (world.full_at <= 10) {
            assert_false(world.done);
            ps_peer_resume(call);
        }
        RUN_UNTIL(&world, world.done);
        assert_int_equal(world.status, PS_OK);
        assert_memory_equal(world.body.data, "0123456789", 10);
    }
    close_world(&world);
}

static void take_over(struct world *world)
{
    if (world->server >= 0) {
        (void)close(world->server);
    }
    world->server = accept(world->listener, NULL, NULL);
    assert_true(world->server >= 0);
}

/* Longer than a node may be silent. */
static void wait_long(struct world *world)
{
    uint64_t until_ns = ps_mono_ns() + 3 * world->node.peer_silent_ns;
    RING_UNTIL(world, ps_mono_ns() > until_ns);
}

/* The other node stops in the middle of its answer's body, or of taking ours. Who waits for us is
 * not silent. */
static void test_a_silent_node(void **unused)
{
    (void)unused;

    enum { MANY = 32 << 20 };

    struct world world;
    struct ps_buf many = {0};
    open_world(&world);
    world.node.peer_silent_ns = 50 * PS_MS;
    world.full_at = SIZE_MAX;
    (void)start(&world);
    take_over(&world);
    say(&world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123");
    RING_UNTIL(&world, world.done);
    assert_int_equal(world.body.size, 4);
    assert_int_equal(world.status, PS_TIMEOUT);

    world.full_at = 1;
    struct ps_peer_call *call = start(&world);
    take_over(&world);
    say(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n0");
    RING_UNTIL(&world, world.body.size == 1);
    wait_long(&world); /* the handler has enough */
    assert_false(world.done);
    ps_peer_resume(call);
    RING_UNTIL(&world, world.done);
    assert_int_equal(world.status, PS_TIMEOUT);

    call = start_put(&world);
    take_over(&world);
    wait_long(&world); /* there is no more of the body yet */
    assert_false(world.done);
    for (size_t i = 0; i < MANY; i++) {
        ps_buf_append_char(&many, 'x');
    }
    assert_false(ps_peer_send(call, ps_buf_slice(&many)));
    RING_UNTIL(&world, world.done);
    assert_int_equal(world.status, PS_TIMEOUT);

    call = start_put(&world);
    take_over(&world);
    ps_peer_finish(call); /* and no answer comes */
    RING_UNTIL(&world, world.done);
    assert_int_equal(world.status, PS_TIMEOUT);
    ps_buf_fini(&many);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_behind_a_pause),
        cmocka_unit_test(test_a_silent_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
