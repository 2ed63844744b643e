/* The nanomsg transport: real sockets, in a temporary folder, all ends in this process. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "replication/base/limits.h"
#include "replication/base/memory.h"
#include "replication/feed/transport.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* nanomsg 1.1.5 does not release an ipc endpoint whose bind failed; nothing of ours leaks there. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:nn_bipc_create\n";
}

enum { ENDS_MAX = 2, FDS_MAX = 16, REQUESTS = 1000, TURNS_MAX = 2000, TURN_MS = 10 };

/* One end and what it was given. */
struct end {
    struct ps_transport *transport;
    size_t published;
    size_t published_size;
    struct ps_reply_to asked_by[REQUESTS];
    uint32_t asked[REQUESTS];
    size_t asked_count;
    size_t asked_size;
    uint32_t answered[REQUESTS];
    size_t answered_count;
    size_t answered_size;
    bool answer_at_once;
};

struct fixture {
    char folder[64];
    char feed[512];
    char answer[512];
    char feed_other[512];
    char answer_other[512];
    struct end ends[ENDS_MAX];
};

static void on_published(void *context, uint32_t peer, struct ps_slice bytes)
{
    struct end *end = context;
    assert_int_equal(peer, 0);
    end->published++;
    end->published_size = bytes.size;
}

static void on_requested(void *context, const struct ps_reply_to *from, struct ps_slice bytes)
{
    struct end *end = context;
    assert_true(bytes.size >= sizeof(uint32_t));
    if (end->answer_at_once) {
        ps_transport_answer(end->transport, from, bytes);
        return;
    }
    assert_true(end->asked_count < REQUESTS);
    memcpy(&end->asked[end->asked_count], bytes.data, sizeof(uint32_t));
    end->asked_by[end->asked_count++] = *from;
    end->asked_size = bytes.size;
}

/* Each answer repeats the id that the request carried. */
static void on_answered(void *context, uint32_t peer, uint32_t request_id, struct ps_slice bytes)
{
    struct end *end = context;
    uint32_t id;
    assert_int_equal(peer, 0);
    assert_true(bytes.size >= sizeof id);
    memcpy(&id, bytes.data, sizeof id);
    assert_int_equal(id, request_id);
    assert_true(end->answered_count < REQUESTS);
    end->answered[end->answered_count++] = request_id;
    end->answered_size = bytes.size;
}

static void open_end(struct end *end, const char *feed, const char *answer)
{
    const struct ps_transport_handler handler = {
        .context = end,
        .published = on_published,
        .requested = on_requested,
        .answered = on_answered,
    };
    struct ps_error err = {.status = PS_OK};
    if (ps_transport_nano_create(feed, answer, &handler, &end->transport, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
}

/* Deliver what has come to each end, waiting a little where nothing has. */
static void turn(struct fixture *f)
{
    struct pollfd polled[FDS_MAX];
    size_t count = 0;
    size_t delivered = 0;
    for (size_t i = 0; i < ENDS_MAX; i++) {
        if (f->ends[i].transport == NULL) {
            continue;
        }
        delivered += ps_transport_poll(f->ends[i].transport, 64);
        int fds[FDS_MAX];
        size_t n = ps_transport_fds(f->ends[i].transport, fds, FDS_MAX - count);
        for (size_t k = 0; k < n; k++) {
            polled[count++] = (struct pollfd){.fd = fds[k], .events = POLLIN};
        }
    }
    if (delivered == 0) {
        assert_true(poll(polled, (nfds_t)count, TURN_MS) >= 0);
    }
}

static int setup(void **state)
{
    struct fixture *f = PS_NEW(struct fixture);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/ps-transport-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        free(f);
        return -1;
    }
    (void)snprintf(f->feed, sizeof f->feed, "ipc://%s/feed", f->folder);
    (void)snprintf(f->answer, sizeof f->answer, "ipc://%s/answer", f->folder);
    (void)snprintf(f->feed_other, sizeof f->feed_other, "ipc://%s/feed2", f->folder);
    (void)snprintf(f->answer_other, sizeof f->answer_other, "ipc://%s/answer2", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ENDS_MAX; i++) {
        ps_transport_destroy(f->ends[i].transport);
    }
    int left = rmdir(f->folder); /* fails when a socket's file was left behind */
    free(f);
    return left;
}

static void open_both(struct fixture *f)
{
    open_end(&f->ends[0], f->feed, f->answer);
    open_end(&f->ends[1], f->feed_other, f->answer_other);
    uint32_t peer = 9;
    assert_int_equal(ps_transport_connect(f->ends[1].transport, f->feed, f->answer, &peer, NULL),
                     PS_OK);
    assert_int_equal(peer, 0);
}

static void publish_until_heard(struct fixture *f, struct ps_slice bytes)
{
    size_t before = f->ends[1].published;
    for (size_t i = 0; i < TURNS_MAX && f->ends[1].published == before; i++) {
        ps_transport_publish(f->ends[0].transport, bytes);
        turn(f);
    }
    assert_true(f->ends[1].published > before);
    assert_int_equal(f->ends[1].published_size, bytes.size);
}

/* Send a request that carries its id, again while the pipe is full or not connected yet. */
static void ask(struct fixture *f, uint32_t id, struct ps_slice rest)
{
    struct ps_buf body = {.size = 0};
    ps_buf_append(&body, &id, sizeof id);
    ps_buf_append_slice(&body, rest);
    enum ps_status status = PS_BUSY;
    for (size_t i = 0; i < TURNS_MAX && status == PS_BUSY; i++) {
        status = ps_transport_request(f->ends[1].transport, 0, id, ps_buf_slice(&body));
        if (status == PS_BUSY) {
            turn(f);
        }
    }
    ps_buf_fini(&body);
    assert_int_equal(status, PS_OK);
}

static void publications_reach_a_subscriber(void **state)
{
    struct fixture *f = *state;
    open_end(&f->ends[0], f->feed, f->answer);
    ps_transport_publish(f->ends[0].transport, PS_LIT("nobody hears this"));
    open_end(&f->ends[1], f->feed_other, f->answer_other);
    uint32_t peer;
    assert_int_equal(ps_transport_connect(f->ends[1].transport, f->feed, f->answer, &peer, NULL),
                     PS_OK);
    publish_until_heard(f, PS_LIT("hello"));
}

static void a_peer_may_come_up_later(void **state)
{
    struct fixture *f = *state;
    open_end(&f->ends[1], f->feed_other, f->answer_other);
    uint32_t peer;
    assert_int_equal(ps_transport_connect(f->ends[1].transport, f->feed, f->answer, &peer, NULL),
                     PS_OK);
    assert_int_equal(ps_transport_request(f->ends[1].transport, peer, 1, PS_LIT("????")), PS_BUSY);
    open_end(&f->ends[0], f->feed, f->answer);
    publish_until_heard(f, PS_LIT("hello"));
    f->ends[0].answer_at_once = true;
    ask(f, 7, PS_LIT(""));
    for (size_t i = 0; i < TURNS_MAX && f->ends[1].answered_count == 0; i++) {
        turn(f);
    }
    assert_int_equal(f->ends[1].answered_count, 1);
}

static void requests_are_answered_in_any_order(void **state)
{
    struct fixture *f = *state;
    open_both(f);
    /* ids with each of the 32 bits */
    for (uint32_t i = 0; i < REQUESTS; i++) {
        ask(f, i * UINT32_C(4294967), PS_LIT(""));
    }
    for (size_t i = 0; i < TURNS_MAX && f->ends[0].asked_count < REQUESTS; i++) {
        turn(f);
    }
    assert_int_equal(f->ends[0].asked_count, REQUESTS);
    for (size_t i = REQUESTS; i-- > 0;) {
        struct ps_slice id = {(const char *)&f->ends[0].asked[i], sizeof(uint32_t)};
        ps_transport_answer(f->ends[0].transport, &f->ends[0].asked_by[i], id);
        if (i % 50 == 0) {
            turn(f);
        }
    }
    for (size_t i = 0; i < TURNS_MAX && f->ends[1].answered_count < REQUESTS; i++) {
        turn(f);
    }
    assert_int_equal(f->ends[1].answered_count, REQUESTS);
    for (size_t i = 0; i < REQUESTS; i++) {
        assert_int_equal(f->ends[1].answered[i], (uint32_t)(REQUESTS - 1 - i) * UINT32_C(4294967));
    }
}

static void the_largest_messages_pass(void **state)
{
    struct fixture *f = *state;
    open_both(f);
    f->ends[0].answer_at_once = true;
    size_t size = PS_MESSAGE_SIZE_MAX - sizeof(uint32_t);
    char *bytes = PS_NEW_ARRAY(char, size + 1 + sizeof(uint32_t));
    ask(f, 3, (struct ps_slice){bytes, size});
    for (size_t i = 0; i < TURNS_MAX && f->ends[1].answered_count == 0; i++) {
        turn(f);
    }
    assert_int_equal(f->ends[1].answered_count, 1);
    assert_int_equal(f->ends[1].answered_size, PS_MESSAGE_SIZE_MAX);
    publish_until_heard(f, (struct ps_slice){bytes, (size_t)30 << 20});
    struct ps_slice over = {bytes, PS_MESSAGE_SIZE_MAX + 1};
    assert_int_equal(ps_transport_request(f->ends[1].transport, 0, 4, over), PS_LIMIT);
    free(bytes);
}

static void a_restarted_peer_is_found_again(void **state)
{
    struct fixture *f = *state;
    open_both(f);
    publish_until_heard(f, PS_LIT("first life"));
    ps_transport_destroy(f->ends[0].transport);
    f->ends[0].transport = NULL;
    turn(f);
    open_end(&f->ends[0], f->feed, f->answer);
    publish_until_heard(f, PS_LIT("second life, longer"));
    /* A request that was on its way when the peer fell may be lost: ask with new ids. */
    f->ends[0].answer_at_once = true;
    for (uint32_t i = 0; i < REQUESTS && f->ends[1].answered_count == 0; i++) {
        ask(f, i, PS_LIT("again"));
        turn(f);
    }
    for (size_t i = 0; i < TURNS_MAX && f->ends[1].answered_count == 0; i++) {
        turn(f);
    }
    assert_true(f->ends[1].answered_count > 0);
}

/* A listener to which connections come about and are of no use. */
static int listen_at(const char *url)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path, sizeof address.sun_path, "%s", url + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(size > 0 && (size_t)size < sizeof address.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void greet_and_go(int listener)
{
    static const char greeting[] = {0, 'S', 'P', 0, 0, 0x10, 0, 0}; /* no REP socket's */
    struct pollfd watched = {.fd = listener, .events = POLLIN};
    if (poll(&watched, 1, TURN_MS) == 1) {
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        (void)send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
        (void)close(fd);
    }
}

static void connections_that_do_not_last_are_mended(void **state)
{
    struct fixture *f = *state;
    uint32_t peer;
    open_end(&f->ends[0], f->feed, f->answer);
    assert_false(ps_transport_mend(f->ends[0].transport)); /* nobody */
    int listener = listen_at(f->answer_other);
    assert_int_equal(
        ps_transport_connect(f->ends[0].transport, f->feed_other, f->answer_other, &peer, NULL),
        PS_OK);
    bool mended = false;
    for (size_t i = 0; i < TURNS_MAX && !mended; i++) {
        greet_and_go(listener);
        mended = ps_transport_mend(f->ends[0].transport);
    }
    assert_true(mended);
    (void)close(listener);
    (void)unlink(f->answer_other + strlen("ipc://"));
    open_end(&f->ends[1], f->feed_other, f->answer_other);
    f->ends[1].answer_at_once = true;
    const uint32_t id = 7;
    for (size_t i = 0; i < TURNS_MAX && f->ends[0].answered_count == 0; i++) {
        (void)!ps_transport_request(f->ends[0].transport, peer, id,
                                    (struct ps_slice){(const char *)&id, sizeof id});
        turn(f);
    }
    assert_true(f->ends[0].answered_count > 0);
    assert_false(ps_transport_mend(f->ends[0].transport)); /* it stands */
}

static void an_answer_to_one_who_left_is_dropped(void **state)
{
    struct fixture *f = *state;
    open_both(f);
    ask(f, 1, PS_LIT(""));
    for (size_t i = 0; i < TURNS_MAX && f->ends[0].asked_count == 0; i++) {
        turn(f);
    }
    assert_int_equal(f->ends[0].asked_count, 1);
    ps_transport_destroy(f->ends[1].transport);
    f->ends[1].transport = NULL;
    ps_transport_answer(f->ends[0].transport, &f->ends[0].asked_by[0], PS_LIT("gone?"));
    struct ps_reply_to nobody = {.size = 0};
    ps_transport_answer(f->ends[0].transport, &nobody, PS_LIT("nobody"));
}

static void an_address_that_cannot_be_bound_is_an_error(void **state)
{
    struct fixture *f = *state;
    open_both(f);
    const struct ps_transport_handler handler = {.context = NULL};
    struct ps_transport *transport = NULL;
    struct ps_error err = {.status = PS_OK};
    assert_int_equal(ps_transport_nano_create(f->feed, f->answer, &handler, &transport, &err),
                     PS_IO);
    assert_non_null(strstr(err.text, f->feed));
    err.status = PS_OK;
    assert_int_equal(
        ps_transport_nano_create("ipc:///nowhere/at/all", f->answer, &handler, &transport, &err),
        PS_IO);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_null(transport);
}

static void long_paths_are_reached_through_their_folder(void **state)
{
    struct fixture *f = *state;
    char folder[300];
    int size = snprintf(folder, sizeof folder, "%s/", f->folder);
    memset(folder + size, 'x', 200);
    folder[size + 200] = '\0';
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(f->feed, sizeof f->feed, "ipc://%s/feed", folder);
    (void)snprintf(f->answer, sizeof f->answer, "ipc://%s/answer", folder);
    open_both(f);
    publish_until_heard(f, PS_LIT("far down"));
    char path[400];
    (void)snprintf(path, sizeof path, "%s/feed", folder);
    assert_int_equal(access(path, F_OK), 0);
    ps_transport_destroy(f->ends[0].transport);
    f->ends[0].transport = NULL;
    assert_int_equal(rmdir(folder), 0);
}

static void a_path_without_any_short_folder_is_refused(void **state)
{
    struct fixture *f = *state;
    char url[400];
    int size = snprintf(url, sizeof url, "ipc://%s/", f->folder);
    memset(url + size, 'x', 200);
    url[size + 200] = '\0';
    const struct ps_transport_handler handler = {.context = NULL};
    struct ps_transport *transport = NULL;
    struct ps_error err = {.status = PS_OK};
    assert_int_equal(ps_transport_nano_create(url, f->answer, &handler, &transport, &err),
                     PS_INVALID);
    assert_non_null(strstr(err.text, "shorter folder"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(publications_reach_a_subscriber),
        TEST(a_peer_may_come_up_later),
        TEST(requests_are_answered_in_any_order),
        TEST(the_largest_messages_pass),
        TEST(a_restarted_peer_is_found_again),
        TEST(connections_that_do_not_last_are_mended),
        TEST(an_answer_to_one_who_left_is_dropped),
        TEST(an_address_that_cannot_be_bound_is_an_error),
        TEST(long_paths_are_reached_through_their_folder),
        TEST(a_path_without_any_short_folder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
