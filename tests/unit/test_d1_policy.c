/* The same statements give here what they give in workerd: rows, counts of rows, and errors in its
 * words, for what D1 allows and for what it refuses (test_d1_workerd.jsonl). */
#include "node/d1/database_internal.h"
#include "tests/support/d1_request.h"

enum { LINE_SIZE_MAX = 16 << 10 };

static json_t *answer_json(const struct ps_d1_answer *answer)
{
    if (answer->outcome != PS_D1_DONE) {
        return json_pack("{s:s%}", "error", answer->error.data, answer->error.size);
    }
    const struct ps_d1_result *result = &answer->results[answer->result_count - 1];
    json_t *rows = json_loadb(result->rows.data, result->rows.size, JSON_ALLOW_NUL, NULL);
    if (rows == NULL) {
        fail_msg("no JSON: %.*s", (int)result->rows.size, result->rows.data);
    }
    const struct ps_d1_meta *meta = &result->meta;
    return json_pack("{s:o, s:[I,I,I,I,b,I]}", "results", rows, "meta", (json_int_t)meta->rows_read,
                     (json_int_t)meta->rows_written, (json_int_t)meta->changes,
                     (json_int_t)meta->last_row_id, meta->changed_db, (json_int_t)meta->size_after);
}

/* The transaction's long text stands for itself once. */
static const char *const NO_TRANSACTIONS =
    "To execute a transaction, please use the state.storage.transaction() or "
    "state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
    "statements. The JavaScript API is safer because it will automatically roll back on "
    "exceptions, and because it interacts correctly with Durable Objects' automatic atomic write "
    "coalescing.";

static bool same(json_t *found, json_t *expected)
{
    const char *error = json_string_value(json_object_get(expected, "error"));
    if (error != NULL) {
        const char *text = strcmp(error, "BEGIN") == 0 ? NO_TRANSACTIONS : error;
        const char *ours = json_string_value(json_object_get(found, "error"));
        return ours != NULL && strcmp(ours, text) == 0;
    }
    if (json_object_get(expected, "results") == NULL) {
        return json_object_get(found, "error") == NULL;
    }
    return json_equal(json_object_get(found, "results"), json_object_get(expected, "results")) &&
           json_equal(json_object_get(found, "meta"), json_object_get(expected, "meta"));
}

static bool run_line(struct ps_d1_database *database, const char *line)
{
    json_t *expected = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(expected);
    struct ps_d1_answer answer = d1_body(database, line);
    json_t *found = answer_json(&answer);
    bool right = same(found, expected);
    if (!right) {
        char *text = json_dumps(found, JSON_COMPACT);
        print_error("%s    gave %s\n", line, text);
        free(text);
    }
    json_decref(found);
    json_decref(expected);
    ps_d1_answer_fini(&answer);
    return right;
}

static size_t run_group(FILE *file, size_t count)
{
    static char line[LINE_SIZE_MAX];
    struct d1_store home;
    d1_store_open(&home, ps_map_create_memory());
    struct ps_d1_database *database = d1_database_open(&home, true);
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        assert_non_null(fgets(line, sizeof line, file));
        wrong += run_line(database, line) ? 0 : 1;
        if (i == 0) {
            database->trusted = true;
            d1_exec(database->pages, "CREATE TABLE _cf_METADATA(key INTEGER PRIMARY KEY, value "
                                     "BLOB); INSERT INTO _cf_METADATA VALUES(2, 1)");
            database->trusted = false;
        }
    }
    ps_d1_database_close(database);
    ps_map_close(home.map);
    return wrong;
}

static void test_as_workerd(void **state)
{
    (void)state;
    static char line[LINE_SIZE_MAX];
    FILE *file = fopen(PS_SOURCE_DIR "/tests/unit/test_d1_workerd.jsonl", "r");
    assert_non_null(file);
    size_t wrong = 0;
    size_t lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *json = json_loads(line, 0, NULL);
        json_t *group = json_object_get(json, "group");
        size_t count = group == NULL ? 0 : (size_t)json_integer_value(group);
        json_decref(json);
        wrong += run_group(file, count);
        lines += count;
    }
    (void)fclose(file);
    assert_in_range(lines, 250, 1000);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_workerd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
