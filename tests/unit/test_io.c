/* The parts of the node's process that need no process: the heap of waiting things, the writer
 * thread, and the HTTP front, whose loop is turned by hand. */
#include "node/io/conn.h"
#include "node/io/heap.h"
#include "node/io/worker.h"
#include "node/kv/list.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <ev.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ITEMS = 1000, JOBS = 500 };

static void test_heap_gives_the_smallest_first(void **state)
{
    (void)state;
    struct ps_heap heap = {0};
    struct ps_heap_item items[ITEMS] = {0};
    struct ps_rng rng = {.seed = 3, .stream = ps_stream_of("heap", NULL, NULL)};
    assert_null(ps_heap_first(&heap));
    for (size_t i = 0; i < ITEMS; i++) {
        ps_heap_push(&heap, &items[i], ps_rng_below(&rng, ITEMS / 4));
    }
    for (size_t i = 0; i < ITEMS; i += 3) {
        ps_heap_remove(&heap, &items[i]);
        ps_heap_remove(&heap, &items[i]); /* in no heap: nothing happens */
        assert_int_equal(items[i].place, 0);
    }
    const struct ps_heap_item *former = NULL;
    size_t count = 0;
    for (struct ps_heap_item *item = ps_heap_first(&heap); item != NULL;
         item = ps_heap_first(&heap)) {
        if (former != NULL) {
            assert_true(former->key < item->key ||
                        (former->key == item->key && former->turn < item->turn));
        }
        former = item;
        ps_heap_remove(&heap, item);
        count++;
    }
    assert_int_equal(count, ITEMS - (ITEMS + 2) / 3);
    ps_heap_fini(&heap);
}

static void test_heap_forgets_at_its_end(void **state)
{
    (void)state;
    struct ps_heap heap = {0};
    struct ps_heap_item item = {0};
    ps_heap_push(&heap, &item, 1);
    ps_heap_fini(&heap);
    assert_int_equal(item.place, 0);
    ps_heap_push(&heap, &item, 2);
    assert_ptr_equal(ps_heap_first(&heap), &item);
    ps_heap_fini(&heap);
}

struct counted {
    struct ps_job job; /* first member */
    size_t *ran;       /* guarded by the order of run and done */
    size_t *done;
    size_t turn;
    struct ev_loop *loop;
};

static void run(struct ps_job *job)
{
    struct counted *counted = (struct counted *)(void *)job;
    job->status = *counted->ran == counted->turn ? PS_OK : PS_INVALID;
    (*counted->ran)++;
}

static void done(struct ps_job *job)
{
    struct counted *counted = (struct counted *)(void *)job;
    assert_int_equal(job->status, PS_OK);
    assert_int_equal(*counted->done, counted->turn);
    (*counted->done)++;
    if (*counted->done == JOBS) {
        ev_break(counted->loop, EVBREAK_ALL);
    }
}

static void test_worker_runs_jobs_in_order(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct ps_worker *worker;
    assert_int_equal(ps_worker_create(loop, &worker, NULL), PS_OK);
    assert_false(ps_worker_busy(worker));
    struct counted jobs[2 * JOBS] = {0};
    size_t ran = 0;
    size_t finished = 0;
    for (size_t i = 0; i < 2 * JOBS; i++) {
        jobs[i] = (struct counted){.job = {.run = run, .done = done},
                                   .ran = &ran,
                                   .done = &finished,
                                   .turn = i,
                                   .loop = loop};
    }
    for (size_t i = 0; i < JOBS; i++) {
        ps_worker_submit(worker, &jobs[i].job);
    }
    assert_true(ps_worker_busy(worker));
    ev_run(loop, 0);
    assert_int_equal(finished, JOBS);
    assert_false(ps_worker_busy(worker));
    /* What is still queued at the end is run and told of. */
    for (size_t i = JOBS; i < 2 * JOBS; i++) {
        ps_worker_submit(worker, &jobs[i].job);
    }
    ps_worker_destroy(worker);
    assert_int_equal(finished, 2 * JOBS);
    ev_loop_destroy(loop);
}

/* ---- the front: a server whose loop the test turns ---- */

enum { DEADLINE_S = 30 };

struct front {
    struct ps_node node; /* without stores */
    struct ps_server *server;
};

struct client {
    int fd;
    struct ps_buf got;
    bool ended;
};

static int front_set_up(void **state)
{
    struct front *front = PS_NEW(struct front);
    struct ps_node *node = &front->node;
    node->loop = ev_loop_new(EVFLAG_AUTO);
    node->map = ps_map_create_memory();
    node->code = "fra";
    node->state.timeline.speed_milli = 1000;
    node->state.nodes = PS_NEW_ARRAY(struct ps_cluster_node, 1); /* port 0: a free one */
    assert_int_equal(ps_server_create(node, &front->server, NULL), PS_OK);
    node->server = front->server;
    *state = front;
    return 0;
}

static int front_tear_down(void **state)
{
    struct front *front = *state;
    ps_server_destroy(front->server);
    ev_loop_destroy(front->node.loop);
    ps_map_close(front->node.map);
    free(front->node.state.nodes);
    free(front);
    return 0;
}

static void turn(struct front *front)
{
    ev_run(front->node.loop, EVRUN_NOWAIT);
    (void)ps_server_turn(front->server);
}

static void take(struct client *client)
{
    char chunk[65536];
    ssize_t got;
    while (!client->ended && (got = recv(client->fd, chunk, sizeof chunk, MSG_DONTWAIT)) >= 0) {
        ps_buf_append(&client->got, chunk, (size_t)got);
        client->ended = got == 0;
    }
}

static bool has(struct client *client, const char *text)
{
    return strstr(ps_buf_text(&client->got), text) != NULL;
}

static size_t count(struct client *client, const char *text)
{
    size_t found = 0;
    for (const char *at = strstr(ps_buf_text(&client->got), text); at != NULL;
         at = strstr(at + 1, text)) {
        found++;
    }
    return found;
}

#define TURN_UNTIL(front, client, condition)                                                       \
    do {                                                                                           \
        double until_s = ev_time() + DEADLINE_S;                                                   \
        for (take(client); !(condition); take(client)) {                                           \
            if (ev_time() > until_s) {                                                             \
                fail_msg("in vain: %s; so far: %s", #condition, ps_buf_text(&(client)->got));      \
            }                                                                                      \
            turn(front);                                                                           \
        }                                                                                          \
    } while (0)

static struct client dial(const struct front *front)
{
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ps_server_port(front->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static void say(const struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hang_up(struct client *client)
{
    (void)close(client->fd);
    ps_buf_fini(&client->got);
}

static void test_answers_in_order_and_keeps_alive(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    for (int i = 0; i < 3 * PS_PIPELINE_MAX; i++) {
        say(&client, "GET /healthz HTTP/1.1\r\n\r\n");
    }
    say(&client, "HEAD /healthz HTTP/1.1\r\n\r\nGET /popsim/no HTTP/1.1\r\n\r\n");
    TURN_UNTIL(front, &client, has(&client, "there is nothing here"));
    assert_int_equal(count(&client, "\r\n\r\nok\n"), 3 * PS_PIPELINE_MAX);
    assert_int_equal(count(&client, "HTTP/1.1 200 OK"), 3 * PS_PIPELINE_MAX + 1);
    assert_int_equal(count(&client, "Content-Length: 3\r\n"), 3 * PS_PIPELINE_MAX + 1);
    assert_non_null(strstr(client.got.data, "GMT\r\n\r\nHTTP/1.1 404 Not Found")); /* HEAD's */
    client.got.size = 0;
    say(&client, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    TURN_UNTIL(front, &client, client.ended);
    assert_int_equal(count(&client, "Connection: close\r\n"), 1);
    assert_int_equal(ps_server_connections(front->server), 0);
    assert_int_equal(ps_server_requests(front->server), 3 * PS_PIPELINE_MAX + 3);
    assert_int_equal(ps_server_accepted(front->server), 1);
    hang_up(&client);
}

static void test_a_client_that_sends_no_more_is_answered(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    for (int i = 0; i < 2 * PS_PIPELINE_MAX; i++) {
        say(&client, "GET /healthz HTTP/1.1\r\n\r\n");
    }
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    TURN_UNTIL(front, &client, client.ended);
    assert_int_equal(count(&client, "\r\n\r\nok\n"), 2 * PS_PIPELINE_MAX);
    hang_up(&client);
}

static void test_bodies_byte_by_byte(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    static const char text[] = "PUT /k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n0\r\n\r\n"
                               "POST /popsim/no HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_false(has(&client, "there is nothing here"));
        assert_int_equal(send(client.fd, text + i, 1, MSG_NOSIGNAL), 1);
        turn(front);
        take(&client);
    }
    TURN_UNTIL(front, &client, has(&client, "there is nothing here"));
    assert_int_equal(count(&client, "HTTP/1.1 404 Not Found"), 2);
    hang_up(&client);
}

static void test_continue_comes_behind_the_answers(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    say(&client, "GET /healthz HTTP/1.1\r\n\r\n"
                 "PUT /k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    TURN_UNTIL(front, &client, has(&client, "\r\n\r\nok\nHTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(count(&client, "404"), 0);
    say(&client, "helloGET /popsim/no HTTP/1.1\r\n\r\n");
    TURN_UNTIL(front, &client, has(&client, "there is nothing here"));
    assert_int_equal(count(&client, "404 Not Found"), 2);
    /* One who does not wait for it is served as well. */
    client.got.size = 0;
    say(&client, "PUT /k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
                 "GET /healthz HTTP/1.1\r\n\r\n");
    TURN_UNTIL(front, &client, has(&client, "ok\n"));
    assert_int_equal(count(&client, "100 Continue"), 1);
    hang_up(&client);
}

static void test_a_refused_client_sees_the_answer(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    say(&client, "PUT /k HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n");
    static const char chunk[65536];
    for (int i = 0; i < 64; i++) { /* 4 MiB that nobody wants */
        ssize_t sent = send(client.fd, chunk, sizeof chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(sent > 0 || errno == EAGAIN);
        turn(front);
    }
    TURN_UNTIL(front, &client, client.ended);
    assert_true(has(&client, "HTTP/1.1 413 Value length of 99999999 exceeds limit of 26214400."));
    assert_true(has(&client, "Connection: close\r\n"));
    /* It is read over until the client goes, but not for ever. */
    assert_int_equal(ps_server_connections(front->server), 1);
    double now_s = ev_now(front->node.loop);
    assert_false(ps_conn_expired(front->server->conns, now_s));
    assert_true(ps_conn_expired(front->server->conns, now_s + PS_LINGER_S + 1));
    (void)close(client.fd);
    double until_s = ev_time() + DEADLINE_S;
    while (ps_server_connections(front->server) > 0 && ev_time() < until_s) {
        turn(front);
    }
    assert_int_equal(ps_server_connections(front->server), 0);
    ps_buf_fini(&client.got);
}

static void test_time_limits(void **state)
{
    struct front *front = *state;

    static const struct {
        const char *text;
        double limit_s;
    } cases[] = {{"", PS_IDLE_S},
                 {"GET /healthz HTTP/1.1\r\n\r\n", PS_IDLE_S},
                 {"GET /heal", PS_HEADER_S},
                 {"GET /healthz HTTP/1.1\r\n\r\nGET", PS_HEADER_S},
                 {"PUT /k HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf", PS_BODY_S}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client = dial(front);
        TURN_UNTIL(front, &client, ps_server_connections(front->server) == 1);
        struct ps_conn *conn = front->server->conns;
        say(&client, cases[i].text);
        double base_s = 0;
        /* All of it has come when the limit is the one that goes with it. */
        TURN_UNTIL(front, &client,
                   (base_s = ev_now(front->node.loop),
                    ps_conn_expired(conn, base_s + cases[i].limit_s + 1)));
        if (strstr(cases[i].text, "healthz") != NULL) {
            TURN_UNTIL(front, &client, has(&client, "ok\n"));
        }
        assert_false(ps_conn_expired(conn, base_s));
        assert_false(ps_conn_expired(conn, base_s + cases[i].limit_s / 2));
        hang_up(&client);
        struct client nobody = {.fd = -1, .ended = true};
        TURN_UNTIL(front, &nobody, ps_server_connections(front->server) == 0);
        ps_buf_fini(&nobody.got);
    }
}

/* A client that asks and does not read must not make the node remember ever more. */
static void test_a_slow_reader_is_not_read(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    char request[4096]; /* as large as its answer, or the sockets would hold very many */
    (void)snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nX: %04000d\r\n\r\n", 0);
    size_t size = strlen(request);
    size_t asked = 0;
    size_t refused = 0;
    size_t sent = 0;
    while (refused < 1000) {
        ssize_t more = send(client.fd, request + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += more > 0 ? (size_t)more : 0;
        refused = more > 0 ? 0 : refused + 1;
        if (sent == size) {
            sent = 0;
            asked++;
        }
        turn(front);
    }
    assert_true(ps_server_requests(front->server) < asked);
    double now_s = ev_now(front->node.loop);
    assert_false(ps_conn_expired(front->server->conns, now_s));
    assert_true(ps_conn_expired(front->server->conns, now_s + PS_WRITE_S + 1));
    /* Once it reads, it gets all. */
    size_t answered = 0;
    while (answered < asked) {
        TURN_UNTIL(front, &client, has(&client, "# EOF\n"));
        answered += count(&client, "# EOF\n");
        const char *behind = strrchr(ps_buf_text(&client.got), '#'); /* the last may be cut */
        size_t left = client.got.size - (size_t)(behind - client.got.data);
        left = strcmp(behind, "# EOF\n") == 0 || left > 6 ? 0 : left;
        memmove(client.got.data, behind, left);
        client.got.size = left;
    }
    hang_up(&client);
}

static void test_no_more_connections_than_allowed(void **state)
{
    struct front *front = *state;
    front->server->conn_max = 2;
    struct client clients[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = dial(front);
        say(&clients[i], "GET /healthz HTTP/1.1\r\n\r\n");
    }
    TURN_UNTIL(front, &clients[0], has(&clients[0], "ok\n"));
    TURN_UNTIL(front, &clients[1], has(&clients[1], "ok\n"));
    turn(front);
    take(&clients[2]);
    assert_int_equal(clients[2].got.size, 0);
    assert_int_equal(ps_server_connections(front->server), 2);
    hang_up(&clients[0]); /* its place is free */
    TURN_UNTIL(front, &clients[2], has(&clients[2], "ok\n"));
    hang_up(&clients[1]);
    hang_up(&clients[2]);
}

static void test_stop_answers_what_has_begun(void **state)
{
    struct front *front = *state;
    struct client idle = dial(front);
    struct client begun = dial(front);
    say(&begun, "GET /heal");
    TURN_UNTIL(front, &begun, ps_server_connections(front->server) == 2);
    double header_s = ev_now(front->node.loop) + PS_HEADER_S + 1;
    TURN_UNTIL(front, &begun,
               ps_conn_expired(front->server->conns, header_s) ||
                   ps_conn_expired(ps_conn_next(front->server->conns), header_s));
    ps_server_stop(front->server);
    TURN_UNTIL(front, &idle, idle.ended);
    assert_int_equal(idle.got.size, 0);
    assert_true(ps_server_busy(front->server));
    say(&begun, "thz HTTP/1.1\r\n\r\n");
    TURN_UNTIL(front, &begun, begun.ended);
    assert_true(has(&begun, "Connection: close\r\n"));
    assert_true(has(&begun, "ok\n"));
    assert_false(ps_server_busy(front->server));
    hang_up(&idle);
    hang_up(&begun);
}

/* A client that goes while its requests are under way leaves nothing behind. */
static void test_a_client_that_goes(void **state)
{
    struct front *front = *state;
    struct client client = dial(front);
    for (int i = 0; i < 3 * PS_PIPELINE_MAX; i++) {
        say(&client, "GET /metrics HTTP/1.1\r\n\r\n");
    }
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    hang_up(&client);
    struct client nobody = {.fd = -1, .ended = true};
    TURN_UNTIL(front, &nobody,
               ps_server_accepted(front->server) == 1 && !ps_server_busy(front->server));
    ps_buf_fini(&nobody.got);
}

/* ---- reads of a follower, whose home is the test ---- */

struct follower {
    struct ps_node node;
    struct ps_node_store store;
    struct ps_node_store *stores[1];
    struct ps_memory_hub *hub; /* in which nobody answers */
};

struct read {
    struct ps_read_call call; /* first member */
    struct ps_read_key key;
    struct ps_kv_staleness staleness; /* as told at the end */
    enum ps_status status;
    bool done;
};

static int follower_set_up(void **state)
{
    struct follower *follower = PS_NEW(struct follower);
    struct ps_node *node = &follower->node;
    struct ps_node_store *store = &follower->store;
    struct ps_cluster *cluster = &node->state.cluster;
    struct ps_store *config;
    node->loop = ev_loop_new(EVFLAG_AUTO);
    node->map = ps_map_create_memory();
    node->code = "sin";
    node->pop = 1;
    node->boot = node->boot_saved = 1;
    node->state.timeline =
        (struct ps_timeline){ps_mono_ns(), PS_HOUR, 1}; /* almost stands: see go_to */
    ps_cluster_init(cluster);
    assert_int_equal(ps_cluster_add_pop(cluster, PS_LIT("ams"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_pop(cluster, PS_LIT("sin"), NULL), PS_OK);
    assert_int_equal(ps_cluster_add_store(cluster, PS_LIT("CACHE"), PS_STORE_KV,
                                          PS_LIT("workers-kv"), &config, NULL),
                     PS_OK);
    assert_int_equal(ps_worker_create(node->loop, &node->worker, NULL), PS_OK);
    follower->hub = ps_memory_hub_create(1, 0);
    node->transport = ps_transport_memory_create(follower->hub, "feed", "answer",
                                                 &(struct ps_transport_handler){0});
    assert_int_equal(
        ps_transport_connect(node->transport, "home feed", "home answer", &store->peer, NULL),
        PS_OK);
    store->node = node;
    store->config = config;
    assert_int_equal(ps_map_store_open(node->map, PS_LIT("CACHE"), &store->map_store, NULL), PS_OK);
    ps_cluster_link(cluster, config, node->pop, &store->link);
    store->view = ps_cluster_replica(cluster, config, node->pop, &store->link);
    store->replica = ps_store_replica_create(cluster, config, node->pop, &store->link, node->map,
                                             store->map_store);
    ps_feed_init(store);
    follower->stores[0] = store;
    node->stores = follower->stores;
    node->store_count = 1;
    *state = follower;
    return 0;
}

static int follower_tear_down(void **state)
{
    struct follower *follower = *state;
    struct ps_node *node = &follower->node;
    ps_worker_destroy(node->worker);
    ps_feed_fini(&follower->store);
    ps_heap_fini(&follower->store.waiting);
    ps_heap_fini(&node->alarms);
    ps_store_replica_destroy(follower->store.replica);
    ps_map_close(node->map);
    ps_transport_destroy(node->transport);
    ps_memory_hub_destroy(follower->hub);
    ps_link_fini(&follower->store.link);
    ps_cluster_fini(&node->state.cluster);
    ev_loop_destroy(node->loop);
    free(follower);
    return 0;
}

static void go_to(struct follower *follower, ps_time_ns t)
{
    follower->node.state.timeline.base_ns = t;
}

static void finish_jobs(struct follower *follower)
{
    while (ps_worker_busy(follower->node.worker)) {
        ev_run(follower->node.loop, EVRUN_ONCE);
    }
}

static void on_emptied(void *context, enum ps_status status)
{
    (void)context;
    assert_int_equal(status, PS_OK);
}

static void on_read_done(struct ps_read_call *call, enum ps_status status)
{
    struct read *read = (struct read *)(void *)call;
    struct ps_version version;
    bool found;
    ps_read_staleness(call, &read->staleness);
    read->status =
        status == PS_OK ? ps_read_get(call, 0, &version, &found, &read->staleness) : status;
    read->done = true;
}

static void start_read(struct follower *follower, struct read *read, const char *key)
{
    *read = (struct read){.call = {.store = &follower->store,
                                   .keys = &read->key,
                                   .key_count = 1,
                                   .done = on_read_done},
                          .key = {.key = ps_slice_of(key)}};
    ps_read_start(&read->call);
}

static void ring(struct follower *follower, struct read *read)
{
    assert_false(read->done);
    assert_true(read->call.alarm.item.place != 0);
    ps_node_alarm_stop(&follower->node, &read->call.alarm);
    read->call.alarm.ring(&read->call.alarm);
    assert_true(read->done);
}

static void hear(struct follower *follower, struct ps_message *message, bool published)
{
    struct ps_buf bytes = {0};
    message->store = PS_LIT("CACHE");
    ps_message_encode(&bytes, message);
    if (published) {
        ps_feed_published(&follower->node, 0, ps_buf_slice(&bytes));
    } else {
        ps_feed_answered(&follower->node, 0, 1, ps_buf_slice(&bytes));
    }
    ps_buf_fini(&bytes);
    while (follower->store.intake != NULL || ps_worker_busy(follower->node.worker)) {
        if (follower->store.intake != NULL && !follower->store.applying) {
            (void)ps_feed_turn(&follower->store, 0);
        }
        finish_jobs(follower);
    }
}

static void hear_of(struct follower *follower, uint64_t lsn, const char *key, ps_time_ns commit_ns)
{
    struct ps_entry entry = {.key = ps_slice_of(key), .value = PS_LIT("v")};
    struct ps_record record = {
        .lsn = lsn, .commit_ns = commit_ns, .entries = &entry, .entry_count = 1};
    struct ps_message message = {.kind = PS_MESSAGE_BATCH,
                                 .batch = {.home_boot = 1,
                                           .closed_ns = commit_ns,
                                           .last_lsn = lsn,
                                           .records = &record,
                                           .record_count = 1}};
    hear(follower, &message, true);
}

/* A reset that comes while a read is on its way is none of that read's. */
static void test_a_read_tells_the_boot_of_its_decision(void **state)
{
    struct follower *follower = *state;
    struct read before;
    struct read after;
    start_read(follower, &before, "k");
    ps_node_empty_caches(&follower->node, on_emptied, NULL);
    assert_int_equal(follower->node.boot, 1); /* nobody is told before the disk knows */
    finish_jobs(follower);
    struct ps_buf saved = {0};
    assert_int_equal(ps_map_meta_get(follower->node.map, PS_LIT("boot"), &saved), PS_OK);
    assert_string_equal(ps_buf_text(&saved), "2");
    ps_buf_fini(&saved);
    start_read(follower, &after, "k");
    hear_of(follower, 1, "k", PS_HOUR + PS_MINUTE);
    go_to(follower, PS_HOUR + PS_MINUTE);
    ring(follower, &before);
    ring(follower, &after);
    assert_int_equal(before.status, PS_OK);
    assert_int_equal(before.staleness.boot, 1);
    assert_int_equal(after.staleness.boot, 2);
    assert_int_equal(after.staleness.cache, PS_CACHE_MISS);
}

/* What a snapshot replaces is not there any more for whoever had counted on it. */
static void test_a_snapshot_ends_what_was_decided_before_it(void **state)
{
    struct follower *follower = *state;
    struct ps_node_store *store = &follower->store;
    struct read on_its_way;
    struct read waiting;
    struct read later;
    start_read(follower, &on_its_way, "a");
    hear_of(follower, 1, "a", PS_HOUR + PS_SECOND); /* complete: what is left is the latency */
    go_to(follower, PS_HOUR + PS_MINUTE);
    start_read(follower, &waiting, "b");
    assert_false(waiting.done);
    assert_int_equal(ps_store_replica_pins(store->replica), 2);
    store->follower.state = PS_FOLLOWER_SNAPSHOTTING;
    struct ps_snapshot_entry entries[] = {
        {.entry = {.key = PS_LIT("a"), .value = PS_LIT("new")}, .lsn = 40, .commit_ns = PS_HOUR}};
    struct ps_message part = {.kind = PS_MESSAGE_PART,
                              .part = {.home_boot = 1,
                                       .at_lsn = 50,
                                       .at_commit_ns = PS_HOUR + 30 * PS_SECOND,
                                       .entries = entries,
                                       .entry_count = 1}};
    hear(follower, &part, false);
    assert_true(waiting.done);
    assert_int_equal(waiting.status, PS_UNREACHABLE);
    assert_int_equal(waiting.staleness.boot, 1);
    assert_int_equal(follower->node.boot, 2);
    assert_int_equal(ps_store_replica_pins(store->replica), 0);
    assert_int_equal(store->have_lsn, 0);
    assert_false(ps_store_complete(store, 0));
    start_read(follower, &later, "a");
    assert_false(later.done);
    part.part.after_key = PS_LIT("a");
    part.part.last = true;
    part.part.entry_count = 0;
    hear(follower, &part, false);
    assert_int_equal(store->have_lsn, 50);
    assert_true(ps_store_complete(store, PS_HOUR + 30 * PS_SECOND));
    hear_of(follower, 51, "b", PS_HOUR + 2 * PS_MINUTE);
    go_to(follower, PS_HOUR + 2 * PS_MINUTE);
    ring(follower, &on_its_way);
    assert_int_equal(on_its_way.status, PS_UNREACHABLE);
    ring(follower, &later);
    assert_int_equal(later.status, PS_OK);
    assert_int_equal(later.staleness.lsn, 40);
    assert_int_equal(later.staleness.boot, 2);
    /* Its entry was made since: it stands. */
    start_read(follower, &later, "a");
    assert_true(later.done);
    assert_int_equal(later.staleness.cache, PS_CACHE_HIT);
}

/* The cache of a region may hold what home had before the snapshot: it cannot be had here. */
static void test_a_snapshot_is_not_asked_about_the_time_before_it(void **state)
{
    struct follower *follower = *state;
    struct ps_node_store *store = &follower->store;
    struct ps_policy *policy = &follower->node.state.cluster.stores[0].policy;
    policy->cache.tier = PS_TIER_REVALIDATED;
    policy->cache.tier_ns = PS_MINUTE;
    struct read early;
    struct read late;
    store->installed_ns = PS_HOUR;
    start_read(follower, &early, "k");
    assert_true(early.done);
    assert_int_equal(early.status, PS_UNREACHABLE);
    go_to(follower, PS_HOUR + PS_MINUTE);
    start_read(follower, &late, "k");
    assert_false(late.done);
    hear_of(follower, 1, "k", PS_HOUR + PS_MINUTE);
    assert_true(late.done);
    assert_int_equal(late.status, PS_OK);
}

/* Home's acknowledgement of a write may come before the write itself: until then nobody here knows
 * that the entry is no absence, which such a policy does not keep. */
static void test_a_read_waits_for_what_decides_it(void **state)
{
    struct follower *follower = *state;
    struct ps_node_store *store = &follower->store;
    follower->node.state.cluster.stores[0].policy.cache.negative = false;
    ps_time_ns commit_ns = PS_HOUR - PS_SECOND;
    assert_true(ps_store_replica_acknowledge(store->replica, PS_LIT("k"), commit_ns,
                                             ps_eval_clock_next(&follower->node.eval, PS_HOUR)));
    struct read read;
    go_to(follower, PS_HOUR + PS_SECOND);
    start_read(follower, &read, "k");
    assert_false(read.done);
    hear_of(follower, 1, "k", commit_ns);
    assert_true(read.done);
    assert_int_equal(read.staleness.cache, PS_CACHE_HIT);
    assert_int_equal(read.staleness.lsn, 1);
    /* One that can never be decided has changed nothing, and says so. */
    assert_true(ps_store_replica_acknowledge(store->replica, PS_LIT("k"), PS_HOUR,
                                             ps_eval_clock_next(&follower->node.eval, PS_HOUR)));
    store->follower.heard_mono_ns = 0;
    start_read(follower, &read, "k");
    assert_true(read.done);
    assert_int_equal(read.status, PS_UNREACHABLE);
    assert_int_equal(read.staleness.eval_ns, 0);
    assert_int_equal(read.staleness.boot, 0);
}

/* ---- lists ---- */

static void show(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct ps_buf *names = context;
    assert_false(version->deleted);
    ps_buf_append_slice(names, key);
    ps_buf_append_char(names, ' ');
}

static void append(struct ps_map *map, ps_map_store store, uint64_t lsn, size_t from, size_t count_,
                   bool deleted)
{
    struct ps_entry *entries = PS_NEW_ARRAY(struct ps_entry, count_);
    char(*keys)[16] = ps_calloc(count_, sizeof *keys);
    for (size_t i = 0; i < count_; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "%08zu", from + i);
        entries[i] = (struct ps_entry){.key = ps_slice_of(keys[i]), .deleted = deleted};
    }
    struct ps_record record = {
        .lsn = lsn, .commit_ns = lsn, .entries = entries, .entry_count = count_};
    struct ps_append one = {.store = store, .record = &record};
    assert_int_equal(ps_map_apply(map, &one, 1, NULL), PS_OK);
    free(entries);
    free(keys);
}

/* Pages of a list with a long run of deleted names: each goes on where the one before ended. */
static void test_a_list_walks_over_deleted_names(void **state)
{
    (void)state;

    enum { STEP = 50000, DELETED = PS_KV_LIST_WALK_MAX + STEP };

    struct ps_map *map = ps_map_create_memory();
    ps_map_store store;
    assert_int_equal(ps_map_store_open(map, PS_LIT("S"), &store, NULL), PS_OK);
    append(map, store, 1, 0, 3, false);
    uint64_t lsn = 2;
    for (size_t from = 3; from < 3 + DELETED; from += STEP) {
        append(map, store, lsn++, from, STEP, true);
    }
    append(map, store, lsn, 3 + DELETED, 2, false);
    struct ps_buf names = {0};
    struct ps_buf after = {0};
    struct ps_buf last = {0};
    bool complete = false;
    size_t pages = 0;
    while (!complete) {
        struct ps_kv_list list = {.after = ps_buf_slice(&after),
                                  .limit = 2,
                                  .each = show,
                                  .context = &names,
                                  .last = &last};
        struct ps_bound bound = PS_BOUND_NEWEST;
        assert_int_equal(ps_map_read_begin(map), PS_OK);
        assert_int_equal(ps_kv_list_walk(map, store, &bound, &list, &complete), PS_OK);
        ps_map_read_end(map);
        ps_buf_append_char(&names, '|');
        assert_true(complete || ps_slice_cmp(ps_buf_slice(&last), ps_buf_slice(&after)) > 0);
        after.size = 0;
        ps_buf_append_slice(&after, ps_buf_slice(&last));
        assert_true(++pages < 10);
    }
    /* A full page, one that only walks, and what is behind it. */
    assert_string_equal(ps_buf_text(&names), "00000000 00000001 |00000002 |00250003 00250004 |");
    ps_buf_fini(&names);
    ps_buf_fini(&after);
    ps_buf_fini(&last);
    ps_map_close(map);
}

int main(void)
{
#define FRONT_TEST(function)                                                                       \
    cmocka_unit_test_setup_teardown(function, front_set_up, front_tear_down)
#define FOLLOWER_TEST(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, follower_set_up, follower_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_gives_the_smallest_first),
        cmocka_unit_test(test_heap_forgets_at_its_end),
        cmocka_unit_test(test_worker_runs_jobs_in_order),
        FRONT_TEST(test_answers_in_order_and_keeps_alive),
        FRONT_TEST(test_a_client_that_sends_no_more_is_answered),
        FRONT_TEST(test_bodies_byte_by_byte),
        FRONT_TEST(test_continue_comes_behind_the_answers),
        FRONT_TEST(test_a_refused_client_sees_the_answer),
        FRONT_TEST(test_time_limits),
        FRONT_TEST(test_a_slow_reader_is_not_read),
        FRONT_TEST(test_no_more_connections_than_allowed),
        FRONT_TEST(test_stop_answers_what_has_begun),
        FRONT_TEST(test_a_client_that_goes),
        FOLLOWER_TEST(test_a_read_tells_the_boot_of_its_decision),
        FOLLOWER_TEST(test_a_snapshot_ends_what_was_decided_before_it),
        FOLLOWER_TEST(test_a_snapshot_is_not_asked_about_the_time_before_it),
        FOLLOWER_TEST(test_a_read_waits_for_what_decides_it),
        cmocka_unit_test(test_a_list_walks_over_deleted_names),
    };
    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
