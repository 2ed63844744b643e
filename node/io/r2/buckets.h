/* Workerd's R2 binding over an exchange: the call's JSON out of the head or off the front of the
 * body, and its answer. What is between them is object_exchange.h's. */
#ifndef PS_NODE_IO_BUCKETS_H
#define PS_NODE_IO_BUCKETS_H

#include "node/http/api.h"
#include "node/io/exchange.h"

/** Serve PS_API_R2. The call must live as long as the exchange. */
void ps_buckets_start(struct ps_exchange *exchange, const struct ps_api_call *call);

#endif
