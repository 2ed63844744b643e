/* A dump that is asked for in SQL, as a request among others. */
#include "node/d1/database_internal.h"
#include "node/d1/dump.h"
#include "node/d1/statement.h"
#include "replication/base/memory.h"

bool ps_d1_asks_for_dump(const struct ps_d1_request *request)
{
    return request->count == 1 && !request->script &&
           ps_slice_starts(ps_d1_skip_blanks(request->statements[0].sql),
                           PS_LIT(PS_D1_EXPORT_PRAGMA));
}

struct lines {
    struct ps_buf *out;
    bool any;
};

static bool take_line(void *context, struct ps_slice text)
{
    struct lines *lines = context;
    ps_buf_append_text(lines->out, lines->any ? "," : "[[");
    lines->any = true;
    ps_buf_append_json(lines->out, text);
    return lines->out->size <= PS_D1_RESULTS_SIZE_MAX;
}

static bool is_true(const struct ps_d1_statement *statement, size_t i)
{
    return i < statement->param_count && statement->params[i].kind == PS_D1_NUMBER &&
           (statement->params[i].number > 0 || statement->params[i].number < 0);
}

void ps_d1_run_dump(struct ps_d1_database *database, const struct ps_d1_request *request,
                    const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    const struct ps_d1_statement *statement = &request->statements[0];
    size_t count = statement->param_count;
    struct ps_slice *tables = PS_NEW_ARRAY(struct ps_slice, count);
    struct lines lines = {.out = &(struct ps_buf){0}};
    struct ps_d1_dump dump = {.no_schema = is_true(statement, 0),
                              .no_data = is_true(statement, 1),
                              .tables = tables,
                              .line = take_line,
                              .context = &lines};
    for (size_t i = 2; i < count; i++) {
        if (statement->params[i].kind == PS_D1_TEXT) {
            tables[dump.table_count++] = statement->params[i].bytes;
        }
    }
    ps_d1_database_dump(database, &dump, call, ret);
    if (ret->outcome == PS_D1_DONE) {
        ps_buf_append_text(lines.out, "]]");
        ret->results = PS_NEW(struct ps_d1_result);
        ret->results[ret->result_count++].rows = *lines.out;
    } else {
        ps_buf_fini(lines.out);
    }
    free(tables);
}
