#include "node/io/server.h"

#include "node/io/conn.h"
#include "node/io/exchange.h"
#include "node/s3/sigv4.h"
#include "replication/base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPT_BUDGET = 64, FDS_RESERVED = 64 };

static void on_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct ps_listener *listener = watcher->data;
    struct ps_server *server = listener->server;
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        if (server->conn_count >= server->conn_max) {
            ev_io_stop(loop, watcher); /* until one ends; the kernel's queue holds the rest */
            return;
        }
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                ps_node_log(server->node, PS_LOG_WARN, "http", "no connection taken: %s",
                            strerror(errno));
                ev_io_stop(loop, watcher);
            }
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        server->accepted++;
        ps_conn_open(listener, fd);
    }
}

void ps_server_accept(struct ps_server *server)
{
    bool takes = !server->stopping && !server->destroying && server->conn_count < server->conn_max;
    for (size_t i = 0; i < PS_LISTENERS && takes; i++) {
        ev_io_start(server->node->loop, &server->listeners[i].accept);
    }
}

/* Once a second: connections that are silent for too long, and a new try to accept. */
static void on_sweep(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct ps_server *server = watcher->data;
    double now_s = ev_now(loop);
    struct ps_conn *conn = server->conns;
    while (conn != NULL) {
        struct ps_conn *next = ps_conn_next(conn);
        if (ps_conn_expired(conn, now_s)) {
            ps_conn_close(conn);
        }
        conn = next;
    }
    ps_server_accept(server);
}

static size_t conn_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 256;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < PS_CONNECTIONS_MAX + FDS_RESERVED
                             ? limit.rlim_max
                             : PS_CONNECTIONS_MAX + FDS_RESERVED;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    size_t most = limit.rlim_cur > 2 * FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED : FDS_RESERVED;
    return most < PS_CONNECTIONS_MAX ? most : PS_CONNECTIONS_MAX;
}

static enum ps_status listen_on(struct ps_listener *listener, const char *bind_to, uint16_t port,
                                struct ps_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, bind_to, &address.sin_addr) != 1) {
        return ps_fail(err, PS_INVALID, "%s is no IPv4 address", bind_to);
    }
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    socklen_t size = sizeof address;
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener->fd, BACKLOG) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0) {
        return ps_fail(err, PS_IO, "listen on %s:%u: %s", bind_to, port, strerror(errno));
    }
    listener->port = ntohs(address.sin_port);
    return PS_OK;
}

void ps_server_describe(struct ps_server *server)
{
    const struct ps_node *node = server->node;
    free(server->namespaces);
    free(server->stores);
    server->namespaces = PS_NEW_ARRAY(struct ps_api_namespace, node->store_count + 1);
    server->stores = PS_NEW_ARRAY(struct ps_node_store *, node->store_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < node->store_count; i++) {
        struct ps_node_store *store = node->stores[i];
        if (!ps_store_is_shown(store)) {
            continue;
        }
        server->stores[count] = store;
        server->namespaces[count++] = (struct ps_api_namespace){
            .name = store->config->name,
            .title = store->title,
            .id = store->config->id,
            .created_unix_s = store->created_unix_s,
            .unreplicated = store->unreplicated,
            .is_kv = store->config->type == PS_STORE_KV,
            .is_d1 = store->config->type == PS_STORE_D1,
            .is_r2 = store->config->type == PS_STORE_R2,
            .infrequent = store->infrequent,
            .region = node->state.cluster.pops[store->config->home]->region};
    }
    server->api = (struct ps_api_config){.namespaces = server->namespaces,
                                         .namespace_count = count,
                                         .token = node->state.token,
                                         .token_for_all = ps_cluster_is_exposed(&node->state),
                                         .pop = node->code};
}

static void close_listeners(struct ps_server *server)
{
    for (size_t i = 0; i < PS_LISTENERS; i++) {
        struct ps_listener *listener = &server->listeners[i];
        ev_io_stop(server->node->loop, &listener->accept);
        if (listener->fd >= 0) {
            (void)close(listener->fd);
            listener->fd = -1;
        }
    }
}

static enum ps_status open_listeners(struct ps_server *server, struct ps_error *err)
{
    const struct ps_cluster_state *state = &server->node->state;
    const struct ps_cluster_node *self = &state->nodes[server->node->pop];
    const char *address = state->bind[0] == '\0' ? PS_LOOPBACK : state->bind;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < PS_LISTENERS; i++) {
        struct ps_listener *listener = &server->listeners[i];
        *listener = (struct ps_listener){.server = server, .fd = -1, .s3 = i > 0};
        ev_init(&listener->accept, on_accept);
        listener->accept.data = listener;
    }
    for (size_t i = 0; i < PS_LISTENERS && status == PS_OK; i++) {
        struct ps_listener *listener = &server->listeners[i];
        status = listen_on(listener, address, listener->s3 ? self->s3_port : self->api_port, err);
        if (status == PS_OK) {
            ev_io_set(&listener->accept, listener->fd, EV_READ);
        }
    }
    return status;
}

static void open_keyring(struct ps_server *server)
{
    const struct ps_cluster_state *state = &server->node->state;
    server->keyring = ps_s3_keyring_create();
    if (state->s3_key_id[0] != '\0' &&
        ps_s3_keyring_add(server->keyring, ps_slice_of(state->s3_key_id),
                          ps_slice_of(state->s3_secret)) != PS_OK) {
        ps_node_log(server->node, PS_LOG_ERROR, "http", "the S3 key pair cannot be used");
    }
}

enum ps_status ps_server_create(struct ps_node *node, struct ps_server **ret, struct ps_error *err)
{
    struct ps_server *server = PS_NEW(struct ps_server);
    server->node = node;
    server->conn_max = conn_max();
    enum ps_status status = open_listeners(server, err);
    if (status != PS_OK) {
        close_listeners(server);
        free(server);
        return status;
    }
    open_keyring(server);
    ps_server_describe(server);
    ps_server_accept(server);
    ev_timer_init(&server->sweep, on_sweep, 1., 1.);
    server->sweep.data = server;
    ev_timer_start(node->loop, &server->sweep);
    *ret = server;
    return PS_OK;
}

void ps_server_stop(struct ps_server *server)
{
    server->stopping = true;
    close_listeners(server);
    struct ps_conn *conn = server->conns;
    while (conn != NULL) {
        struct ps_conn *next = ps_conn_next(conn);
        ps_conn_finish(conn);
        conn = next;
    }
}

bool ps_server_busy(const struct ps_server *server)
{
    return server->under_way > 0 || server->conns != NULL;
}

void ps_server_destroy(struct ps_server *server)
{
    if (server == NULL) {
        return;
    }
    struct ev_loop *loop = server->node->loop;
    server->destroying = true;
    while (server->conns != NULL) {
        ps_conn_close(server->conns);
    }
    while (server->exchanges != NULL) {
        ps_exchange_destroy(server->exchanges);
    }
    close_listeners(server);
    ev_timer_stop(loop, &server->sweep);
    ps_s3_keyring_destroy(server->keyring);
    free(server->namespaces);
    free(server->stores);
    free(server);
}

bool ps_server_turn(struct ps_server *server)
{
    return ps_conns_turn(server);
}

uint16_t ps_server_port(const struct ps_server *server)
{
    return server->listeners[0].port;
}

uint16_t ps_server_s3_port(const struct ps_server *server)
{
    return server->listeners[1].port;
}

size_t ps_server_connections(const struct ps_server *server)
{
    return server->conn_count;
}

uint64_t ps_server_accepted(const struct ps_server *server)
{
    return server->accepted;
}

uint64_t ps_server_requests(const struct ps_server *server)
{
    return server->requests;
}
