#include "node/io/server.h"

#include "node/io/conn.h"
#include "node/io/exchange.h"
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
    struct ps_server *server = watcher->data;
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        if (server->conn_count >= server->conn_max) {
            ev_io_stop(loop, watcher); /* until one ends; the kernel's queue holds the rest */
            return;
        }
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
        ps_conn_open(server, fd);
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
    if (!server->stopping && server->conn_count < server->conn_max) {
        ev_io_start(loop, &server->accept);
    }
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

static enum ps_status listen_on(struct ps_server *server, const char *bind_to, uint16_t port,
                                struct ps_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, bind_to, &address.sin_addr) != 1) {
        return ps_fail(err, PS_INVALID, "%s is no IPv4 address", bind_to);
    }
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    socklen_t size = sizeof address;
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(server->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->fd, BACKLOG) != 0 ||
        getsockname(server->fd, (struct sockaddr *)&address, &size) != 0) {
        return ps_fail(err, PS_IO, "listen on %s:%u: %s", bind_to, port, strerror(errno));
    }
    server->port = ntohs(address.sin_port);
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
        server->namespaces[count++] =
            (struct ps_api_namespace){.name = store->config->name,
                                      .title = store->title,
                                      .id = store->config->id,
                                      .created_unix_s = store->created_unix_s,
                                      .unreplicated = store->unreplicated,
                                      .is_kv = store->config->type == PS_STORE_KV,
                                      .is_d1 = store->config->type == PS_STORE_D1};
    }
    server->api = (struct ps_api_config){.namespaces = server->namespaces,
                                         .namespace_count = count,
                                         .token = node->state.token,
                                         .token_for_all = ps_cluster_is_exposed(&node->state),
                                         .pop = node->code};
}

enum ps_status ps_server_create(struct ps_node *node, struct ps_server **ret, struct ps_error *err)
{
    struct ps_server *server = PS_NEW(struct ps_server);
    server->node = node;
    server->conn_max = conn_max();
    const char *address = node->state.bind[0] == '\0' ? PS_LOOPBACK : node->state.bind;
    enum ps_status status = listen_on(server, address, node->state.nodes[node->pop].api_port, err);
    if (status != PS_OK) {
        if (server->fd >= 0) {
            (void)close(server->fd);
        }
        free(server);
        return status;
    }
    ps_server_describe(server);
    ev_io_init(&server->accept, on_accept, server->fd, EV_READ);
    server->accept.data = server;
    ev_io_start(node->loop, &server->accept);
    ev_timer_init(&server->sweep, on_sweep, 1., 1.);
    server->sweep.data = server;
    ev_timer_start(node->loop, &server->sweep);
    *ret = server;
    return PS_OK;
}

void ps_server_stop(struct ps_server *server)
{
    server->stopping = true;
    ev_io_stop(server->node->loop, &server->accept);
    if (server->fd >= 0) {
        (void)close(server->fd);
        server->fd = -1;
    }
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
    ev_io_stop(loop, &server->accept);
    ev_timer_stop(loop, &server->sweep);
    if (server->fd >= 0) {
        (void)close(server->fd);
    }
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
    return server->port;
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
