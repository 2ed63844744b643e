/* The S3 port: requests of S3 clients, run on this PoP's buckets. What they mean and how they are
 * answered is node/s3's; here they get their bodies, their buckets and their time.
 *
 * A bucket is a store of type r2. Its name is the store's title in lower case, with "-" for "_":
 * the store ASSETS of `popsim up --store ASSETS=r2` is the bucket "assets".
 *
 * Signatures are checked by the wall's clock, all else happens in cluster time. */
#ifndef PS_NODE_IO_S3_H
#define PS_NODE_IO_S3_H

#include "node/http/http.h"

struct ps_exchange;
struct ps_node;
struct ps_node_store;

/** All is streamed: the head says what is to be done with the body. */
struct ps_http_intake ps_s3_intake(const struct ps_http_request *head);
/** As ps_exchange_start, of a request that came to the S3 port. */
void ps_s3_start(struct ps_exchange *exchange);

#endif
