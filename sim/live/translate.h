/* Operations of a scenario as requests to a node, and its answers as operations of a history. Pure;
 * what a node says is not trusted. */
#ifndef PS_SIM_LIVE_TRANSLATE_H
#define PS_SIM_LIVE_TRANSLATE_H

#include "replication/wire/record.h"
#include "sim/live/r2_call.h"
#include "sim/live/response.h"
#include "sim/measure/history.h"
#include "sim/workload/session.h"

/** A run's number, and the token of its operation `id` (from 1): each write has one, by which it is
 *  found in home's log though its answer was lost. */
struct ps_token ps_live_token(uint64_t run, uint64_t id);
/** The operation that made a token; 0: none of this run. */
uint64_t ps_live_token_id(uint64_t run, const struct ps_token *token);

/** The token of a database's schema, the same in every run and in popsim up: so home knows whether
 * it was run already, and a history that it was. */
struct ps_token ps_live_schema_token(struct ps_slice sql);
/** Append its request's body. */
void ps_live_schema_request(struct ps_buf *out, struct ps_slice sql);

/** Where a database's chance is drawn from for a request with this token (docs/PROTOCOL.md). */
uint64_t ps_live_seed(const struct ps_token *token);

/** Append `text` as one segment of a path or one value of a query. */
void ps_live_percent_encode(struct ps_buf *out, struct ps_slice text);

/** What a drawn operation does not know of the run it is part of. */
struct ps_live_asked {
    struct ps_token token;
    int64_t unix_shift_s; /* added to a put's `expiration`: a scenario counts it from its own epoch,
                             a cluster from the cluster's */
    const char *bookmark; /* d1: of drawn->bookmark_lsn; NULL where there is none */
};

/** Append the drawn operation as a request of the KV, D1 or R2 binding, of a public URL, or a
 * purge, with the bearer token where the cluster asks bindings for it. */
void ps_live_request(struct ps_buf *out, const struct ps_cluster_state *state,
                     const struct ps_drawn *drawn, const struct ps_live_asked *asked);

/** The parts of an operation that are known before it is answered; id, session, key, request and
 * invoke_ns are the caller's. */
void ps_live_op_init(struct ps_op *op, const struct ps_drawn *drawn, const struct ps_token *token);

/** Put what the head of an answer says, whose body broke off, into the operation, which failed:
 * when the PoP decided it, and so what its cache has from then on. */
void ps_live_op_cut(struct ps_op *op, const struct ps_live_response *response);

/** Put what the node answered into the operation; ETags go into `requests`. Errors: PS_CORRUPT: no
 * node of a cluster answers so; the operation counts as failed with it. */
PS_MUST_CHECK enum ps_status ps_live_op_answer(struct ps_op *op, struct ps_intern *requests,
                                               const struct ps_live_response *response,
                                               struct ps_error *err);

/** What GET /popsim/state says, as far as a run must know: is each store's log being followed, and
 *  home heard of? Errors: PS_CORRUPT. */
PS_MUST_CHECK enum ps_status ps_live_state_ready(struct ps_slice json, bool *ret_ready,
                                                 struct ps_error *err);

/** Over all samples of that name ("popsim_records_late_total") in OpenMetrics text: their sum and
 * the largest; 0 if there is none. Whole numbers only. */
struct ps_live_metric {
    uint64_t sum;
    uint64_t most;
};

void ps_live_metric_add(struct ps_live_metric *metric, struct ps_slice text, const char *name);

#endif
