#include "replication/base/assert.h"
#include "replication/base/limits.h"
#include "replication/base/memory.h"
#include "replication/feed/transport_internal.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* The header that raw REQ and REP sockets give and take is a stack of big-endian words; the last
 * one has its top bit set. nn_rep(7) puts the connection's key in front of what the asker sent. A
 * request id has 32 bits, so it takes two words of 31. */
enum { ID_SIZE = 8, CONTROL_SIZE = 256, URL_SIZE = NN_SOCKADDR_MAX };

enum {
    SOCKET_BUFFER_SIZE = 16 << 20, /* what the kernel may hold, not what is allocated */
    RECONNECT_MS = 20,
    RECONNECT_MS_MAX = 500,
    BROKEN_MAX = 8 /* connections in a row that came about and were never seen to stand */
};

/* A socket and the folder that its address is relative to. */
struct end {
    int socket;
    int folder;           /* -1 = none */
    uint64_t connections; /* that had come about when one stood the last time */
};

struct peer {
    struct end subscriber;
    struct end asker;
    char *publish_url;
    char *answer_url;
};

struct nano {
    struct ps_transport base;
    struct end publisher;
    struct end answerer;
    struct peer *peers;
    size_t peer_count;
    size_t peer_capacity;
    size_t turn; /* the source that the next poll starts with, so that none starves */
};

static struct nano *nano_of(struct ps_transport *transport)
{
    return (struct nano *)transport;
}

static void end_close(struct end *end)
{
    if (end->socket >= 0) {
        (void)nn_close(end->socket);
    }
    if (end->folder >= 0) {
        (void)close(end->folder);
    }
    *end = (struct end){-1, -1, 0};
}

/* The kernel bounds a socket's path (and nanomsg aborts on a longer one). A path that is too long
 * is reached through its deepest folder that exists already, held open as *ret_folder. */
static enum ps_status shorten(const char *url, char ret[URL_SIZE], int *ret_folder,
                              struct ps_error *err)
{
    static const char scheme[] = "ipc://";
    size_t path_max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    *ret_folder = -1;
    bool is_ipc = strncmp(url, scheme, sizeof scheme - 1) == 0;
    const char *path = is_ipc ? url + sizeof scheme - 1 : url;
    if (strlen(path) <= (is_ipc ? path_max : URL_SIZE - 1)) {
        (void)snprintf(ret, URL_SIZE, "%s", url);
        return PS_OK;
    }
    if (!is_ipc) {
        return ps_fail(err, PS_INVALID, "%s: the address is longer than %d bytes", url,
                       URL_SIZE - 1);
    }
    char *folder = ps_strndup(path, strlen(path));
    int fd = -1;
    for (char *slash = strrchr(folder, '/'); slash != NULL && slash != folder && fd < 0;
         slash = strrchr(folder, '/')) {
        *slash = '\0';
        fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    size_t skip = strlen(folder);
    free(folder);
    int size =
        fd < 0 ? URL_SIZE : snprintf(ret, URL_SIZE, "ipc:///proc/self/fd/%d%s", fd, path + skip);
    if (size >= (int)(sizeof scheme - 1 + path_max)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return ps_fail(err, PS_INVALID,
                       "%s: a socket's path has at most %zu bytes; use a shorter folder", url,
                       path_max);
    }
    *ret_folder = fd;
    return PS_OK;
}

static bool set_int(int socket, int option, int value)
{
    return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof value) == 0;
}

static bool set_options(int socket, int protocol)
{
    bool set = set_int(socket, NN_SNDBUF, SOCKET_BUFFER_SIZE) &&
               set_int(socket, NN_RECONNECT_IVL, RECONNECT_MS) &&
               set_int(socket, NN_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    if (protocol != NN_PUB) {
        set = set && set_int(socket, NN_RCVBUF, SOCKET_BUFFER_SIZE) &&
              set_int(socket, NN_RCVMAXSIZE, PS_MESSAGE_SIZE_MAX + CONTROL_SIZE);
    }
    if (protocol == NN_SUB) {
        set = set && nn_setsockopt(socket, NN_SUB, NN_SUB_SUBSCRIBE, "", 0) == 0;
    }
    return set;
}

/* Open a socket and bind or connect it. */
static enum ps_status end_open(int domain, int protocol, const char *url, bool bind,
                               struct end *ret, struct ps_error *err)
{
    char address[URL_SIZE];
    struct end end = {-1, -1, 0};
    enum ps_status status = shorten(url, address, &end.folder, err);
    if (status != PS_OK) {
        return status;
    }
    end.socket = nn_socket(domain, protocol);
    if (end.socket < 0 || !set_options(end.socket, protocol)) {
        status = ps_fail(err, PS_IO, "open a socket for %s: %s", url, nn_strerror(nn_errno()));
    } else if ((bind ? nn_bind(end.socket, address) : nn_connect(end.socket, address)) < 0) {
        status = ps_fail(err, PS_IO, "%s %s: %s", bind ? "bind" : "connect to", url,
                         nn_strerror(nn_errno()));
    }
    if (status != PS_OK) {
        end_close(&end);
        return status;
    }
    *ret = end;
    return PS_OK;
}

static void nano_destroy(struct ps_transport *transport)
{
    struct nano *nano = nano_of(transport);
    for (size_t i = 0; i < nano->peer_count; i++) {
        end_close(&nano->peers[i].subscriber);
        end_close(&nano->peers[i].asker);
        free(nano->peers[i].publish_url);
        free(nano->peers[i].answer_url);
    }
    end_close(&nano->publisher);
    end_close(&nano->answerer);
    free(nano->peers);
    free(nano);
}

static enum ps_status nano_connect(struct ps_transport *transport, const char *publish_url,
                                   const char *answer_url, uint32_t *ret_peer, struct ps_error *err)
{
    struct nano *nano = nano_of(transport);
    struct peer peer = {.subscriber = {-1, -1, 0}, .asker = {-1, -1, 0}};
    enum ps_status status = end_open(AF_SP, NN_SUB, publish_url, false, &peer.subscriber, err);
    if (status == PS_OK) {
        status = end_open(AF_SP_RAW, NN_REQ, answer_url, false, &peer.asker, err);
    }
    if (status != PS_OK) {
        end_close(&peer.subscriber);
        return status;
    }
    peer.publish_url = ps_strndup(publish_url, strlen(publish_url));
    peer.answer_url = ps_strndup(answer_url, strlen(answer_url));
    nano->peers = ps_grow(nano->peers, nano->peer_count, &nano->peer_capacity, sizeof *nano->peers);
    nano->peers[nano->peer_count] = peer;
    *ret_peer = (uint32_t)nano->peer_count++;
    return PS_OK;
}

static void nano_publish(struct ps_transport *transport, struct ps_slice bytes)
{
    /* PUB drops for each subscriber whose pipe is full; its follower notices the gap. */
    (void)nn_send(nano_of(transport)->publisher.socket, bytes.data, bytes.size, NN_DONTWAIT);
}

/* Send with a header of words in front of the body. */
static int send_with_header(int socket, const void *header, size_t header_size,
                            struct ps_slice bytes)
{
    _Alignas(max_align_t) unsigned char control[CONTROL_SIZE] = {0};
    size_t size = NN_CMSG_SPACE(header_size + sizeof(size_t));
    PS_ASSERT(size <= sizeof control);
    struct nn_cmsghdr head = {.cmsg_len = size, .cmsg_level = PROTO_SP, .cmsg_type = SP_HDR};
    memcpy(control, &head, sizeof head);
    memcpy(control + sizeof head, &header_size, sizeof header_size);
    memcpy(control + sizeof head + sizeof header_size, header, header_size);
    char nothing = 0;
    struct nn_iovec body = {.iov_base = bytes.size > 0 ? (void *)(uintptr_t)bytes.data : &nothing,
                            .iov_len = bytes.size};
    struct nn_msghdr message = {
        .msg_iov = &body, .msg_iovlen = 1, .msg_control = control, .msg_controllen = size};
    return nn_sendmsg(socket, &message, NN_DONTWAIT);
}

static void word_put(unsigned char *bytes, uint32_t word)
{
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(word >> (24 - 8 * i));
    }
}

static uint32_t word_get(const unsigned char *bytes)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4; i++) {
        word = word << 8 | bytes[i];
    }
    return word;
}

static enum ps_status nano_request(struct ps_transport *transport, uint32_t peer,
                                   uint32_t request_id, struct ps_slice bytes)
{
    struct nano *nano = nano_of(transport);
    PS_ASSERT(peer < nano->peer_count);
    if (bytes.size > PS_MESSAGE_SIZE_MAX) {
        return PS_LIMIT;
    }
    unsigned char header[ID_SIZE];
    word_put(header, request_id >> 31);
    word_put(header + 4, request_id | UINT32_C(1) << 31);
    if (send_with_header(nano->peers[peer].asker.socket, header, sizeof header, bytes) >= 0) {
        return PS_OK;
    }
    return nn_errno() == EAGAIN ? PS_BUSY : PS_IO;
}

static void nano_answer(struct ps_transport *transport, const struct ps_reply_to *to,
                        struct ps_slice bytes)
{
    PS_ASSERT(to->size <= sizeof to->bytes);
    (void)send_with_header(nano_of(transport)->answerer.socket, to->bytes, to->size, bytes);
}

static size_t nano_fds(const struct ps_transport *transport, int *ret_fds, size_t size)
{
    const struct nano *nano = (const struct nano *)transport;
    size_t count = 0;
    for (size_t i = 0; i <= 2 * nano->peer_count && count < size; i++) {
        const struct peer *peer = i == 0 ? NULL : &nano->peers[(i - 1) / 2];
        int socket = peer == NULL       ? nano->answerer.socket
                     : (i - 1) % 2 == 0 ? peer->subscriber.socket
                                        : peer->asker.socket;
        int fd;
        size_t fd_size = sizeof fd;
        if (nn_getsockopt(socket, NN_SOL_SOCKET, NN_RCVFD, &fd, &fd_size) == 0) {
            ret_fds[count++] = fd;
        }
    }
    return count;
}

/* Replace a socket whose connections do not last. A peer that is away is another matter: to it
 * none comes about. When no new socket can be had the old one stays, until the next time. */
static bool end_mend(struct end *end, int domain, int protocol, const char *url)
{
    uint64_t connections = nn_get_statistic(end->socket, NN_STAT_ESTABLISHED_CONNECTIONS);
    struct end anew;
    if (nn_get_statistic(end->socket, NN_STAT_CURRENT_CONNECTIONS) > 0) {
        end->connections = connections;
        return false;
    }
    if (connections < end->connections + BROKEN_MAX ||
        end_open(domain, protocol, url, false, &anew, NULL) != PS_OK) {
        return false;
    }
    end_close(end);
    *end = anew;
    return true;
}

static bool nano_mend(struct ps_transport *transport)
{
    struct nano *nano = nano_of(transport);
    bool changed = false;
    for (size_t i = 0; i < nano->peer_count; i++) {
        struct peer *peer = &nano->peers[i];
        changed |= end_mend(&peer->subscriber, AF_SP, NN_SUB, peer->publish_url);
        changed |= end_mend(&peer->asker, AF_SP_RAW, NN_REQ, peer->answer_url);
    }
    return changed;
}

/* One received message: its body in the library's memory and the words before it. */
struct received {
    void *body;
    struct ps_slice bytes;
    size_t header_size; /* 0 = no header, or one that is longer than ours can be */
    unsigned char header[sizeof(((struct ps_reply_to *)0)->bytes)];
};

static bool receive(int socket, struct received *ret)
{
    _Alignas(max_align_t) unsigned char control[CONTROL_SIZE] = {0};
    void *body = NULL;
    struct nn_iovec iov = {.iov_base = &body, .iov_len = NN_MSG};
    struct nn_msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int size = nn_recvmsg(socket, &message, NN_DONTWAIT);
    if (size < 0) {
        return false;
    }
    ret->body = body;
    ret->bytes = (struct ps_slice){body, (size_t)size};
    ret->header_size = 0;
    struct nn_cmsghdr head;
    memcpy(&head, control, sizeof head);
    size_t header_size;
    memcpy(&header_size, control + sizeof head, sizeof header_size);
    if (head.cmsg_type == SP_HDR && header_size <= sizeof ret->header) {
        memcpy(ret->header, control + sizeof head + sizeof header_size, header_size);
        ret->header_size = header_size;
    }
    return true;
}

static bool deliver_request(struct nano *nano)
{
    struct received received;
    if (!receive(nano->answerer.socket, &received)) {
        return false;
    }
    if (received.header_size > 0) {
        struct ps_reply_to from = {.size = (uint32_t)received.header_size};
        memcpy(from.bytes, received.header, received.header_size);
        nano->base.handler.requested(nano->base.handler.context, &from, received.bytes);
    }
    (void)nn_freemsg(received.body);
    return true;
}

static bool deliver_published(struct nano *nano, size_t peer)
{
    struct received received;
    if (!receive(nano->peers[peer].subscriber.socket, &received)) {
        return false;
    }
    nano->base.handler.published(nano->base.handler.context, (uint32_t)peer, received.bytes);
    (void)nn_freemsg(received.body);
    return true;
}

static bool deliver_answer(struct nano *nano, size_t peer)
{
    struct received received;
    if (!receive(nano->peers[peer].asker.socket, &received)) {
        return false;
    }
    /* The library splits off one word; the second is in front of the body. */
    if (received.header_size == 4 && received.bytes.size >= 4) {
        uint32_t low = word_get((const unsigned char *)received.bytes.data);
        uint32_t id = word_get(received.header) << 31 | (low & UINT32_MAX >> 1);
        struct ps_slice bytes = {received.bytes.data + 4, received.bytes.size - 4};
        nano->base.handler.answered(nano->base.handler.context, (uint32_t)peer, id, bytes);
    }
    (void)nn_freemsg(received.body);
    return true;
}

/* Source 0 is the answerer, then two per peer. */
static bool deliver(struct nano *nano, size_t source)
{
    if (source == 0) {
        return deliver_request(nano);
    }
    size_t peer = (source - 1) / 2;
    return (source - 1) % 2 == 0 ? deliver_published(nano, peer) : deliver_answer(nano, peer);
}

static size_t nano_poll(struct ps_transport *transport, size_t budget)
{
    struct nano *nano = nano_of(transport);
    size_t delivered = 0;
    size_t dry = 0; /* sources in a row that had nothing */
    while (delivered < budget && dry < 1 + 2 * nano->peer_count) {
        size_t source = nano->turn++ % (1 + 2 * nano->peer_count);
        if (deliver(nano, source)) {
            delivered++;
            dry = 0;
        } else {
            dry++;
        }
    }
    return delivered;
}

static const struct ps_transport_ops nano_ops = {.destroy = nano_destroy,
                                                 .connect = nano_connect,
                                                 .publish = nano_publish,
                                                 .request = nano_request,
                                                 .answer = nano_answer,
                                                 .fds = nano_fds,
                                                 .mend = nano_mend,
                                                 .poll = nano_poll};

enum ps_status ps_transport_nano_create(const char *publish_url, const char *answer_url,
                                        const struct ps_transport_handler *handler,
                                        struct ps_transport **ret, struct ps_error *err)
{
    struct nano *nano = PS_NEW(struct nano);
    nano->base.ops = &nano_ops;
    nano->base.handler = *handler;
    nano->publisher = (struct end){-1, -1, 0};
    nano->answerer = (struct end){-1, -1, 0};
    enum ps_status status = end_open(AF_SP, NN_PUB, publish_url, true, &nano->publisher, err);
    if (status == PS_OK) {
        status = end_open(AF_SP_RAW, NN_REP, answer_url, true, &nano->answerer, err);
    }
    if (status != PS_OK) {
        nano_destroy(&nano->base);
        return status;
    }
    *ret = &nano->base;
    return PS_OK;
}
