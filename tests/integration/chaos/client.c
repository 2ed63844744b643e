/* HTTP/1.1 over one kept connection; bodies by Content-Length. */
#include "tests/integration/chaos/chaos.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 << 10 };

void client_close(struct client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    ps_buf_fini(&client->in);
    *client = CLIENT_NONE;
}

static bool dial(struct client *client, uint16_t port)
{
    if (client->fd >= 0 && client->port == port) {
        return true;
    }
    client_close(client);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->port = port;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (client->fd < 0 ||
        connect(client->fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) {
        client_close(client);
        return false;
    }
    return true;
}

static bool wait_for(const struct client *client, short events, uint64_t until_ns)
{
    uint64_t now_ns = chaos_now_ns();
    struct pollfd watch = {.fd = client->fd, .events = events};
    int ms = now_ns >= until_ns ? 0 : (int)((until_ns - now_ns) / 1000000 + 1);
    return poll(&watch, 1, ms) == 1;
}

static bool send_all(struct client *client, struct ps_slice bytes, uint64_t until_ns)
{
    while (bytes.size > 0) {
        ssize_t sent = send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN && wait_for(client, POLLOUT, until_ns)) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        bytes.data += sent;
        bytes.size -= (size_t)sent;
    }
    return true;
}

static bool receive(struct client *client, uint64_t until_ns)
{
    if (!wait_for(client, POLLIN, until_ns)) {
        return false;
    }
    ps_buf_reserve(&client->in, READ_SIZE);
    ssize_t got = recv(client->fd, client->in.data + client->in.size, READ_SIZE, 0);
    if (got <= 0) {
        return false;
    }
    client->in.size += (size_t)got;
    return true;
}

struct ps_slice reply_text(const struct reply *reply, const char *name)
{
    char line[64];
    (void)snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = strcasestr(reply->head, line);
    return at == NULL ? (struct ps_slice){0}
                      : (struct ps_slice){at + strlen(line), strcspn(at + strlen(line), "\r")};
}

int64_t reply_number(const struct reply *reply, const char *name)
{
    struct ps_slice text = reply_text(reply, name);
    return text.data == NULL ? -1 : strtoll(text.data, NULL, 10);
}

static bool receive_reply(struct client *client, bool head_only, uint64_t until_ns,
                          struct reply *ret)
{
    client->in.size = 0;
    char *end = NULL;
    while (end == NULL) {
        if (!receive(client, until_ns)) {
            return false;
        }
        end = memmem(client->in.data, client->in.size, "\r\n\r\n", 4);
    }
    size_t head_size = (size_t)(end - client->in.data) + 4;
    end[3] = '\0';
    ret->head = client->in.data;
    if (sscanf(ret->head, "HTTP/1.1 %d ", &ret->status) != 1) {
        chaos_fail("no HTTP: %s", ret->head);
    }
    bool bodiless = head_only || ret->status == 204 || ret->status == 304;
    int64_t body_size = bodiless ? 0 : reply_number(ret, "content-length");
    if (body_size < 0) {
        chaos_fail("no Content-Length: %s", ret->head);
    }
    while (client->in.size < head_size + (size_t)body_size) {
        if (!receive(client, until_ns)) {
            return false;
        }
    }
    ret->head = client->in.data;
    ret->body = (struct ps_slice){client->in.data + head_size, (size_t)body_size};
    return true;
}

bool client_call(struct client *client, uint16_t port, const char *method, const char *target,
                 const char *headers, struct ps_slice body, uint64_t limit_ms, struct reply *ret)
{
    if (port == 0 || !dial(client, port)) {
        return false;
    }
    uint64_t until_ns = chaos_now_ns() + limit_ms * 1000000;
    struct ps_buf request = {0};
    ps_buf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", method,
                  target, body.size, headers);
    ps_buf_append_slice(&request, body);
    bool done = send_all(client, ps_buf_slice(&request), until_ns) &&
                receive_reply(client, strcmp(method, "HEAD") == 0, until_ns, ret);
    ps_buf_fini(&request);
    if (!done) {
        client_close(client);
    }
    return done;
}

void client_break_off(struct client *client, uint16_t port, const char *method, const char *target,
                      const char *headers, size_t size, struct ps_slice part, uint64_t limit_ms)
{
    if (port != 0 && dial(client, port)) {
        struct ps_buf request = {0};
        ps_buf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n",
                      method, target, size, headers);
        ps_buf_append_slice(&request, part);
        (void)send_all(client, ps_buf_slice(&request), chaos_now_ns() + limit_ms * 1000000);
        ps_buf_fini(&request);
    }
    client_close(client);
}
