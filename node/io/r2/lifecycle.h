/* Home deletes what a bucket's lifecycle configuration says (node/s3/lifecycle.h): every few
 * seconds it looks at all objects and uploads, a page at a time. Now and then, and at the start, it
 * aborts the uploads that are too old in any bucket (PS_R2_UPLOAD_AGE_MS). Ages are counted in
 * cluster time. */
#ifndef PS_NODE_IO_LIFECYCLE_H
#define PS_NODE_IO_LIFECYCLE_H

#include "node/io/node_internal.h"

enum {
    PS_LIFECYCLE_EVERY_S = 5,     /* of the wall, from the end of one round to the next */
    PS_LIFECYCLE_OLD_ROUNDS = 12, /* so many rounds from one look at old uploads to the next */
    PS_LIFECYCLE_OLD_MAX = 64     /* uploads that one such look aborts */
};

struct ps_lifecycle;

/** Of a bucket that has its home here. */
struct ps_lifecycle *ps_lifecycle_create(struct ps_node_store *store);
/** Before ps_objects_destroy. NULL accepted. */
void ps_lifecycle_destroy(struct ps_lifecycle *lifecycle);

#endif
