/* R2's REST API: buckets that are made, listed, changed and dropped, and objects.
 *
 * A bucket that was made at another PoP a moment ago may not be known here yet. So before a bucket
 * is said not to be there, and before they are listed, what there is is read as of now. */
#ifndef PS_NODE_IO_BUCKETS_REST_H
#define PS_NODE_IO_BUCKETS_REST_H

#include "node/http/api.h"
#include "node/io/exchange.h"

/** Serve PS_API_BUCKETS ... PS_API_OBJECT. `call` lives as long as the exchange; it may be parsed
 *  again. Sets exchange->transfer. */
void ps_buckets_rest_start(struct ps_exchange *exchange, struct ps_api_call *call);

#endif
