/* What a transport's end implements; transport.c dispatches. */
#ifndef PS_REPLICATION_FEED_TRANSPORT_INTERNAL_H
#define PS_REPLICATION_FEED_TRANSPORT_INTERNAL_H

#include "replication/feed/transport.h"

/** One end's functions, each as transport.h describes its namesake. */
struct ps_transport_ops {
    void (*destroy)(struct ps_transport *transport);
    enum ps_status (*connect)(struct ps_transport *transport, const char *publish_url,
                              const char *answer_url, uint32_t *ret_peer, struct ps_error *err);
    void (*publish)(struct ps_transport *transport, struct ps_slice bytes);
    enum ps_status (*request)(struct ps_transport *transport, uint32_t peer, uint32_t request_id,
                              struct ps_slice bytes);
    void (*answer)(struct ps_transport *transport, const struct ps_reply_to *to,
                   struct ps_slice bytes);
    size_t (*fds)(const struct ps_transport *transport, int *ret_fds, size_t size);
    bool (*mend)(struct ps_transport *transport); /* NULL: there is nothing to mend */
    size_t (*poll)(struct ps_transport *transport, size_t budget);
};

/** The first member of each end's own struct. */
struct ps_transport {
    const struct ps_transport_ops *ops;
    struct ps_transport_handler handler;
    bool delivering; /* a handler is running: destroy is refused */
};

#endif
