#include "replication/feed/transport.h"

#include "replication/base/assert.h"
#include "replication/feed/transport_internal.h"

void ps_transport_destroy(struct ps_transport *transport)
{
    if (transport != NULL) {
        PS_ASSERT(!transport->delivering);
        transport->ops->destroy(transport);
    }
}

enum ps_status ps_transport_connect(struct ps_transport *transport, const char *publish_url,
                                    const char *answer_url, uint32_t *ret_peer,
                                    struct ps_error *err)
{
    return transport->ops->connect(transport, publish_url, answer_url, ret_peer, err);
}

void ps_transport_publish(struct ps_transport *transport, struct ps_slice bytes)
{
    transport->ops->publish(transport, bytes);
}

enum ps_status ps_transport_request(struct ps_transport *transport, uint32_t peer,
                                    uint32_t request_id, struct ps_slice bytes)
{
    return transport->ops->request(transport, peer, request_id, bytes);
}

void ps_transport_answer(struct ps_transport *transport, const struct ps_reply_to *to,
                         struct ps_slice bytes)
{
    transport->ops->answer(transport, to, bytes);
}

size_t ps_transport_fds(const struct ps_transport *transport, int *ret_fds, size_t size)
{
    return transport->ops->fds(transport, ret_fds, size);
}

bool ps_transport_mend(struct ps_transport *transport)
{
    PS_ASSERT(!transport->delivering);
    return transport->ops->mend != NULL && transport->ops->mend(transport);
}

size_t ps_transport_poll(struct ps_transport *transport, size_t budget)
{
    PS_ASSERT(!transport->delivering);
    transport->delivering = true;
    size_t delivered = transport->ops->poll(transport, budget);
    transport->delivering = false;
    return delivered;
}
