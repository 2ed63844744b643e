/* Names of buckets. Pure.
 *
 * A bucket is called by its store's title in lower case, with "-" for "_": the store ASSETS is the
 * bucket "assets". So stores keep the names that a Worker's bindings like, and buckets those that
 * R2's clients insist on. */
#ifndef PS_NODE_R2_BUCKET_H
#define PS_NODE_R2_BUCKET_H

#include "replication/base/slice.h"

/** May a new bucket be called so: 3 to 63 lower-case letters, digits and, inside, hyphens? */
bool ps_r2_bucket_name_valid(struct ps_slice name);
/** Are these names, or titles, those of one bucket? */
bool ps_r2_bucket_name_eq(struct ps_slice a, struct ps_slice b);
/** Append the name of the bucket with this title. */
void ps_r2_bucket_name_put(struct ps_buf *buf, struct ps_slice title);

#endif
