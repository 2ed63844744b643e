/* Operations on buckets as requests to a node, and its answers. Part of translate.h. */
#ifndef PS_SIM_LIVE_R2_CALL_H
#define PS_SIM_LIVE_R2_CALL_H

#include "node/cluster/cluster_file.h"
#include "replication/wire/record.h"
#include "sim/live/response.h"
#include "sim/measure/history.h"
#include "sim/workload/session.h"

/** The largest body that a live run puts: requests and answers are held as a whole. */
#define PS_LIVE_OBJECT_SIZE_MAX ((uint64_t)32 << 20)

/** Append the drawn operation as a request. */
void ps_live_r2_request(struct ps_buf *out, const struct ps_cluster_state *state,
                        const struct ps_drawn *drawn, const struct ps_token *token);

/** Note in an operation what is asked besides the key. Nothing for those of other types. */
void ps_live_object_ask(struct ps_history *history, const struct ps_drawn *drawn, struct ps_op *op);

/** Is it an answer to the operation, not an error? */
bool ps_live_r2_answered(const struct ps_op *op, const struct ps_live_response *response);
/** Put such an answer into the operation. Errors: PS_CORRUPT. */
PS_MUST_CHECK enum ps_status ps_live_r2_answer(struct ps_op *op, struct ps_intern *requests,
                                               const struct ps_live_response *response,
                                               struct ps_error *err);

#endif
