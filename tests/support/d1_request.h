/* Requests to a D1 database in a test, as JSON in and out. */
#ifndef PS_TESTS_SUPPORT_D1_REQUEST_H
#define PS_TESTS_SUPPORT_D1_REQUEST_H

#include "node/d1/database.h"
#include "tests/support/d1_base.h"

#include <jansson.h>

#include <stdio.h>

static inline struct ps_d1_database *d1_database_open(struct d1_store *store, bool writes)
{
    const struct ps_pages_config config = {
        .map = store->map,
        .store = store->store,
        .commit = writes ? d1_commit : NULL,
        .context = store,
    };
    struct ps_d1_database *database = NULL;
    struct ps_error err = {0};
    if (ps_d1_database_open(&config, &database, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return database;
}

static inline struct ps_d1_call d1_call(void)
{
    return (struct ps_d1_call){.view = {.lsn = UINT64_MAX, .unix_ms = 1700000000000}, .seed = 7};
}

/* Run a body that must be readable. */
static inline struct ps_d1_answer d1_body_with(struct ps_d1_database *database, const char *body,
                                               enum ps_d1_format format, bool each,
                                               const struct ps_d1_call *call)
{
    struct ps_d1_request request;
    struct ps_error err = {0};
    if (ps_d1_request_read(ps_slice_of(body), &request, &err) != PS_OK) {
        fail_msg("%s: %s", body, err.text);
    }
    request.format = format;
    request.each = each;
    struct ps_d1_answer answer;
    ps_d1_database_run(database, &request, call, &answer);
    ps_d1_request_fini(&request);
    return answer;
}

static inline struct ps_d1_answer d1_body(struct ps_d1_database *database, const char *body)
{
    struct ps_d1_call call = d1_call();
    return d1_body_with(database, body, PS_D1_ARRAY_OF_OBJECTS, false, &call);
}

/* Run one text without parameters. */
static inline struct ps_d1_answer d1_sql(struct ps_d1_database *database, const char *sql)
{
    struct ps_d1_statement statement = {.sql = ps_slice_of(sql)};
    const struct ps_d1_request request = {.statements = &statement, .count = 1};
    struct ps_d1_call call = d1_call();
    struct ps_d1_answer answer;
    ps_d1_database_run(database, &request, &call, &answer);
    return answer;
}

/* The rows of the last result, or the error, which must be `expected`. */
static inline void d1_expect_answer(struct ps_d1_answer answer, const char *expected, int line)
{
    struct ps_buf *found = &answer.error;
    static struct ps_buf to_primary;
    if (answer.outcome == PS_D1_DONE) {
        found = &answer.results[answer.result_count - 1].rows;
    } else if (answer.outcome == PS_D1_TO_PRIMARY) {
        found = &to_primary;
        found->size = 0;
        ps_buf_append_text(found, "to primary");
    }
    if (strcmp(ps_buf_text(found), expected) != 0) {
        fail_msg("line %d: %s not %s", line, ps_buf_text(found), expected);
    }
    ps_d1_answer_fini(&answer);
}

#define EXPECT(answer, expected) d1_expect_answer((answer), (expected), __LINE__)

#endif
