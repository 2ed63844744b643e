#include "sim/measure/d1_run.h"

/* Instead of D1's 30 s, which no clock measures here: so many times SQLite asks, each after some
 * thousand steps of its machine. About as long on a slow machine. */
enum { LOOKS_MAX = 1 << 18 };

static bool expired(void *context)
{
    uint32_t *looks = context;
    return ++*looks > LOOKS_MAX;
}

static struct ps_d1_call call_of(const struct ps_cluster *cluster, const struct ps_d1_asked *asked)
{
    return (struct ps_d1_call){
        .view = {.lsn = asked->lsn,
                 .unix_ms = cluster->epoch_unix_s * 1000 + (int64_t)(asked->run_ns / PS_MS)},
        .seed = asked->seed};
}

static void take_results(const struct ps_d1_answer *answer, struct ps_d1_ran *ret)
{
    struct ps_buf rows = {0};
    for (size_t i = 0; i < answer->result_count; i++) {
        const struct ps_d1_result *result = &answer->results[i];
        ps_buf_append_slice(&rows, ps_buf_slice(&result->rows));
        ps_buf_append_char(&rows, 0);
        ret->rows_read += result->meta.rows_read;
        ret->rows_written += result->meta.rows_written;
    }
    ret->digest = ps_slice_hash(ps_buf_slice(&rows));
    ps_buf_fini(&rows);
}

static void refuse(struct ps_slice words, struct ps_d1_ran *ret)
{
    ret->outcome = PS_D1_FAILED;
    ps_buf_append_slice(&ret->words, words);
    ret->digest = ps_slice_hash(words);
}

void ps_d1_run(struct ps_d1_database *database, const struct ps_cluster *cluster,
               const struct ps_d1_asked *asked, struct ps_d1_ran *ret)
{
    struct ps_d1_request request;
    struct ps_error err = {0};
    *ret = (struct ps_d1_ran){.outcome = PS_D1_DONE};
    if (ps_d1_request_read(asked->request, &request, &err) != PS_OK) {
        refuse(ps_slice_of(err.text), ret);
        return;
    }
    request.format = PS_D1_ROWS_AND_COLUMNS;
    uint32_t looks = 0;
    struct ps_d1_call call = call_of(cluster, asked);
    call.expired = expired;
    call.context = &looks;
    struct ps_d1_answer answer;
    ps_d1_database_run(database, &request, &call, &answer);
    ret->outcome = answer.outcome;
    ret->status = answer.status;
    ret->lsn = answer.lsn;
    if (answer.outcome == PS_D1_DONE) {
        take_results(&answer, ret);
    } else if (answer.outcome == PS_D1_FAILED) {
        refuse(ps_buf_slice(&answer.error), ret);
    }
    ps_d1_answer_fini(&answer);
    ps_d1_request_fini(&request);
}

bool ps_d1_run_writes(struct ps_d1_database *database, const struct ps_cluster *cluster,
                      const struct ps_d1_asked *asked)
{
    struct ps_d1_request request;
    if (ps_d1_request_read(asked->request, &request, NULL) != PS_OK) {
        return false;
    }
    struct ps_d1_call call = call_of(cluster, asked);
    ps_pages_set_view(ps_d1_database_pages(database), &call.view);
    bool writes = ps_d1_database_writes(database, &request);
    ps_d1_request_fini(&request);
    return writes;
}
