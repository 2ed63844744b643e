/* Export and import of D1 databases at the PoP that was asked: which are under way, their files,
 * and the questions of those who wait for them.
 *
 * Each runs at home, as one request among its database's others (d1_files.h). Whoever asks how it
 * stands gets the answer when it is over, or after a second. Its file is in the PoP's folder
 * `files`, under a name that cannot be guessed, which is also its address; it goes an hour after
 * the transfer was over, and when the node starts. */
#ifndef PS_NODE_IO_DATABASES_H
#define PS_NODE_IO_DATABASES_H

#include "node/http/api.h"
#include "node/io/exchange.h"

enum {
    PS_D1_TRANSFERS_MAX = 64,      /* of one PoP, files of old ones included */
    PS_D1_TRANSFER_POLL_MS = 1000, /* a question's answer comes no later */
    PS_D1_TRANSFER_KEPT_S = 3600   /* on the wall */
};

/** Make the folder of files, or empty it. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_databases_open(struct ps_node *node, struct ps_error *err);
/** Forget all; behind ps_stores_close. */
void ps_databases_fini(struct ps_node *node);

/** Serve PS_API_D1_EXPORT, PS_API_D1_IMPORT, PS_API_FILE. */
void ps_databases_start(struct ps_exchange *exchange, const struct ps_api_call *call);

#endif
