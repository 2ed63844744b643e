/* Public buckets at this PoP: GET and HEAD of an object through the PoP's cache (node/r2/public.h),
 * and purges of it (purge_cache). */
#ifndef PS_NODE_IO_PUBLIC_H
#define PS_NODE_IO_PUBLIC_H

#include "node/http/api_public.h"
#include "node/io/exchange.h"

/** Serve PS_API_PUBLIC and PS_API_PURGE. `call` lives as long as the exchange. */
void ps_public_start(struct ps_exchange *exchange, const struct ps_api_call *call);

#endif
