/* Real node processes: one cluster in a temporary folder, whose nodes are started, killed, spoken
 * to over HTTP, and stopped. For test programs with cmocka.
 *
 * The program starts itself again as `PROGRAM --node FOLDER POP`: its main calls nodes_become
 * first, which is what `popsim node` does. */
#ifndef PS_TESTS_SUPPORT_NODES_H
#define PS_TESTS_SUPPORT_NODES_H

#include "node/cluster/cluster_file.h"
#include "node/io/node.h"
#include "replication/base/memory.h"
#include "tests/support/temp_folder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_S = 60, NODES_MAX = 3 };

struct cluster {
    char folder[64];
    const char *const *codes; /* of its PoPs */
    size_t count;
    pid_t pids[NODES_MAX]; /* 0: does not run */
    uint16_t ports[NODES_MAX];
};

struct reply {
    int status;
    struct ps_buf bytes; /* all of it, NUL-terminated */
    const char *body;
    size_t body_size;
};

/* ---- waiting ---- */

static inline uint64_t mono_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Between two looks at a condition of another process. */
static inline void yield_briefly(void)
{
    (void)poll(NULL, 0, 1);
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ns = mono_ns() + DEADLINE_S * UINT64_C(1000000000);                         \
        while (!(condition)) {                                                                     \
            if (mono_ns() > until_ns) {                                                            \
                fail_msg("in vain: %s", #condition);                                               \
            }                                                                                      \
            yield_briefly();                                                                       \
        }                                                                                          \
    } while (0)

/* ---- HTTP ---- */

static inline int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    struct timeval limit = {.tv_sec = DEADLINE_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static inline bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static inline void read_to_end(int fd, struct ps_buf *bytes)
{
    for (;;) {
        ps_buf_reserve(bytes, 65536);
        ssize_t got = recv(fd, bytes->data + bytes->size, 65536, 0);
        if (got <= 0) {
            break;
        }
        bytes->size += (size_t)got;
    }
    (void)ps_buf_text(bytes);
}

static inline void reply_fini(struct reply *reply)
{
    ps_buf_fini(&reply->bytes);
    *reply = (struct reply){0};
}

static inline void reply_parse(struct reply *reply)
{
    const char *text = reply->bytes.data;
    if (reply->bytes.size < 12 || strncmp(text, "HTTP/1.1 ", 9) != 0) {
        return;
    }
    const char *end = strstr(text, "\r\n\r\n");
    if (end != NULL) {
        reply->status = atoi(text + 9);
        reply->body = end + 4;
        reply->body_size = reply->bytes.size - (size_t)(reply->body - text);
    }
}

/* Returns a reply of status 0 when the node did not answer. */
static inline struct reply call(uint16_t port, const char *method, const char *target,
                                const char *store, const char *headers, struct ps_slice body)
{
    struct reply reply = {.body = ""};
    int fd = dial(port);
    if (fd < 0) {
        return reply;
    }
    struct ps_buf request = {0};
    ps_buf_printf(&request,
                  "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s",
                  method, target, body.size, headers);
    if (store != NULL) {
        ps_buf_printf(&request, "popsim-store: %s\r\n", store);
    }
    ps_buf_append_text(&request, "\r\n");
    ps_buf_append_slice(&request, body);
    if (send_all(fd, request.data, request.size)) {
        read_to_end(fd, &reply.bytes);
        reply_parse(&reply);
    }
    (void)close(fd);
    ps_buf_fini(&request);
    return reply;
}

static inline int call_status(uint16_t port, const char *method, const char *target,
                              const char *store, const char *body)
{
    struct reply reply = call(port, method, target, store, "", ps_slice_of(body));
    int status = reply.status;
    reply_fini(&reply);
    return status;
}

/* A header's number, -1 if it is not there. */
static inline int64_t header_number(const struct reply *reply, const char *name)
{
    char line[64];
    (void)snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = reply->bytes.data == NULL ? NULL : strcasestr(reply->bytes.data, line);
    return at == NULL || at > reply->body ? -1 : strtoll(at + strlen(line), NULL, 10);
}

/* ---- the nodes ---- */

static inline void start_node(struct cluster *cluster, size_t i)
{
    const char *code = cluster->codes[i];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/pop-%s/node.json", cluster->folder, code);
    (void)unlink(path);
    (void)fflush(NULL);
    cluster->pids[i] = fork();
    assert_true(cluster->pids[i] >= 0);
    if (cluster->pids[i] == 0) {
        const char *program = "/proc/self/exe";
        (void)snprintf(path, sizeof path, "%s/pop-%s.log", cluster->folder, code);
        if (freopen(path, "a", stderr) != NULL) {
            (void)execl(program, program, "--node", cluster->folder, code, (char *)NULL);
        }
        _exit(9);
    }
}

static inline bool read_port(struct cluster *cluster, size_t i)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/pop-%s/node.json", cluster->folder, cluster->codes[i]);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    int pid = 0;
    unsigned port = 0;
    int got = fscanf(file, "{\"pid\":%d,\"port\":%u", &pid, &port);
    (void)fclose(file);
    cluster->ports[i] = (uint16_t)port;
    return got == 2 && pid == cluster->pids[i];
}

static inline void wait_for_node(struct cluster *cluster, size_t i)
{
    WAIT_FOR(read_port(cluster, i));
    WAIT_FOR(call_status(cluster->ports[i], "GET", "/healthz", NULL, "") == 200);
}

static inline void kill_node(struct cluster *cluster, size_t i)
{
    int status;
    assert_true(cluster->pids[i] > 0); /* 0 would be all of us */
    assert_int_equal(kill(cluster->pids[i], SIGKILL), 0);
    assert_int_equal(waitpid(cluster->pids[i], &status, 0), cluster->pids[i]);
    cluster->pids[i] = 0;
}

static inline void restart_node(struct cluster *cluster, size_t i)
{
    start_node(cluster, i);
    wait_for_node(cluster, i);
}

/* Of the nodes that are started from then on: environment variables, in milliseconds. */
#define NODES_BLOB_HOLD "PS_TEST_BLOB_HOLD_MS"
#define NODES_SWEEP_EVERY "PS_TEST_SWEEP_EVERY_MS"
#define NODES_PEER_SILENT "PS_TEST_PEER_SILENT_MS"

static inline unsigned nodes_wait(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);
}

/* Is this process to be a node? Then it is one, and *ret what its main returns. */
static inline bool nodes_become(int argc, char **argv, int *ret)
{
    if (argc != 4 || strcmp(argv[1], "--node") != 0) {
        return false;
    }
    struct ps_node_options options = {.folder = argv[2],
                                      .pop = argv[3],
                                      .blob_hold_ms = nodes_wait(NODES_BLOB_HOLD),
                                      .sweep_every_ms = nodes_wait(NODES_SWEEP_EVERY),
                                      .peer_silent_ms = nodes_wait(NODES_PEER_SILENT)};
    *ret = ps_node_main(&options);
    return true;
}

/* ---- the cluster ---- */

/* A cluster of these PoPs, the first of them home, and its state, to which the caller adds stores.
 */
static inline struct cluster *cluster_create(const char *const *codes, size_t count,
                                             struct ps_cluster_state *ret)
{
    struct cluster *cluster = PS_NEW(struct cluster);
    assert_true(count <= NODES_MAX);
    cluster->codes = codes;
    cluster->count = count;
    (void)snprintf(cluster->folder, sizeof cluster->folder, "/tmp/popsim-node-XXXXXX");
    assert_non_null(mkdtemp(cluster->folder));
    *ret = (struct ps_cluster_state){.bind = "127.0.0.1"};
    ps_cluster_init(&ret->cluster);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ps_cluster_add_pop(&ret->cluster, ps_slice_of(codes[i]), NULL), PS_OK);
    }
    ret->cluster.home = 0;
    ret->cluster.epoch_unix_s = PS_EPOCH_VIRTUAL;
    return cluster;
}

/* A store under no write limit; of the type's own profile when `profile` is empty. */
static inline struct ps_store *add_store(struct ps_cluster_state *state, const char *name,
                                         enum ps_store_type type, const char *profile)
{
    struct ps_store *store;
    assert_int_equal(ps_cluster_add_store(&state->cluster, ps_slice_of(name), type,
                                          ps_slice_of(profile), &store, NULL),
                     PS_OK);
    store->kv.write_interval_ns = 0;
    return store;
}

/* Write the state, release it, and start all nodes. */
static inline void cluster_start(struct cluster *cluster, struct ps_cluster_state *state,
                                 uint64_t speed_milli)
{
    state->cluster.speed_milli = speed_milli;
    state->timeline = (struct ps_timeline){.origin_ns = mono_ns(), .speed_milli = speed_milli};
    state->nodes =
        PS_NEW_ARRAY(struct ps_cluster_node, cluster->count); /* ports: whichever are free */
    assert_int_equal(ps_cluster_state_save(cluster->folder, state, NULL), PS_OK);
    ps_cluster_state_fini(state);
    for (size_t i = 0; i < cluster->count; i++) {
        start_node(cluster, i);
    }
    for (size_t i = 0; i < cluster->count; i++) {
        wait_for_node(cluster, i);
    }
}

/* Stop what runs. The folder stays when a node did not stop well, which cmocka is told. */
static inline int cluster_tear_down(void **state)
{
    struct cluster *cluster = *state;
    int bad = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->pids[i] > 0) {
            int status;
            (void)kill(cluster->pids[i], SIGTERM);
            (void)waitpid(cluster->pids[i], &status, 0);
            bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0; /* also what sanitizers found */
        }
    }
    if (bad > 0) {
        print_error("a node did not stop well; see %s\n", cluster->folder);
    } else {
        (void)nftw(cluster->folder, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    free(cluster);
    return bad;
}

#endif
