/* What a D1 database answered, as histories keep it. Pure; the bytes are not trusted.
 *
 * The body is that of the binding's protocol with resultsFormat=ROWS_AND_COLUMNS: one result, an
 * array of them, or {"success":false,"error":...}. */
#ifndef PS_SIM_LIVE_D1_ANSWER_H
#define PS_SIM_LIVE_D1_ANSWER_H

#include "replication/base/slice.h"

struct ps_live_d1_answer {
    bool failed;
    uint64_t digest; /* history.h: of each statement's `results`, or of the words of the failure */
    uint64_t rows_read;
    uint64_t rows_written;
    struct ps_buf error; /* owned; the words of the failure */
};

/** Errors: PS_CORRUPT: no node answers so; *ret zeroed. Ownership: ps_live_d1_answer_fini. */
PS_MUST_CHECK enum ps_status
ps_live_d1_answer_read(struct ps_slice body, struct ps_live_d1_answer *ret, struct ps_error *err);
void ps_live_d1_answer_fini(struct ps_live_d1_answer *answer);

#endif
