#include "tools/popsim/schemas.h"

#include "replication/base/memory.h"
#include "sim/live/d1_answer.h"
#include "sim/live/translate.h"
#include "tools/popsim/http_client.h"

#include <stdlib.h>

void schemas_take(struct schemas *schemas, struct ps_scenario *scenario)
{
    if (scenario->schemas != NULL) {
        *schemas = (struct schemas){scenario->schemas, scenario->cluster.store_count};
        scenario->schemas = NULL;
    }
}

void schemas_fini(struct schemas *schemas)
{
    for (size_t i = 0; i < schemas->count; i++) {
        free(schemas->texts[i]);
    }
    free(schemas->texts);
    *schemas = (struct schemas){0};
}

/* Run SQL at the home of a store; a refusal by D1 is an error. */
static enum ps_status run(const struct ps_cluster_state *state, size_t store, const char *sql,
                          struct http_reply *ret, struct ps_error *err)
{
    const struct ps_store *config = &state->cluster.stores[store];
    const struct ps_token token = ps_live_schema_token(ps_slice_of(sql));
    struct ps_live_d1_answer answer = {0};
    struct ps_buf headers = {0};
    struct ps_buf body = {0};
    ps_buf_printf(&headers, "popsim-store: %s\r\nContent-Type: application/json\r\npopsim-token: ",
                  config->name);
    for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
        ps_buf_printf(&headers, "%02x", token.bytes[i]);
    }
    ps_buf_append_text(&headers, "\r\n");
    if (ps_cluster_is_exposed(state)) {
        ps_buf_printf(&headers, "Authorization: Bearer %s\r\n", state->token);
    }
    ps_live_schema_request(&body, ps_slice_of(sql));
    enum ps_status status =
        http_call(state->bind, state->nodes[config->home].api_port, "POST",
                  PS_LIT("/query?resultsFormat=ROWS_AND_COLUMNS"), ps_buf_text(&headers),
                  ps_buf_slice(&body), HTTP_LIMIT_MS, ret, err);
    if (status == PS_OK) {
        status = ps_live_d1_answer_read(ps_buf_slice(&ret->body), &answer, err);
    }
    if (status == PS_OK && answer.failed) {
        status = ps_fail(err, PS_INVALID, "the schema of store %s: %s", config->name,
                         ps_buf_text(&answer.error));
    }
    ps_live_d1_answer_fini(&answer);
    ps_buf_fini(&headers);
    ps_buf_fini(&body);
    return status;
}

/* Was anything ever committed there? */
static enum ps_status is_new(const struct ps_cluster_state *state, size_t store, bool *ret,
                             struct ps_error *err)
{
    struct http_reply reply = {0};
    enum ps_status status = run(state, store, "SELECT 1", &reply, err);
    *ret = status == PS_OK && ps_slice_eq(http_reply_header(&reply, "popsim-lsn"), PS_LIT("0"));
    http_reply_fini(&reply);
    return status;
}

enum ps_status schemas_run(const struct schemas *schemas, const struct ps_cluster_state *state,
                           struct ps_error *err)
{
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < schemas->count && status == PS_OK; i++) {
        bool runs = false;
        struct http_reply reply = {0};
        if (schemas->texts[i] != NULL) {
            status = is_new(state, i, &runs, err);
        }
        if (runs) {
            status = run(state, i, schemas->texts[i], &reply, err);
        }
        http_reply_fini(&reply);
    }
    return status;
}
