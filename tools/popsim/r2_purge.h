/* popsim r2 purge: ends what all PoPs' public caches hold of a bucket, or of some keys of it. */
#ifndef PS_TOOLS_POPSIM_R2_PURGE_H
#define PS_TOOLS_POPSIM_R2_PURGE_H

#include "tools/popsim/client.h"

enum { R2_PURGE_MAX = 100 /* keys of one purge */ };

/** `count` 0: all of the bucket. Prints what came of it; returns the exit code. */
int r2_purge(const struct client *client, const char *bucket, const char *const *keys,
             size_t count);

#endif
