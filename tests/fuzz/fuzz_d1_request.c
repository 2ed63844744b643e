/* Any bytes as the body of a request to a small database: refused, or run; the answer is JSON, and
 * the same request on an equal database gives the same bytes. */
#include "node/d1/database.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOOKS = 20 };

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct home {
    struct ps_map *map;
    ps_map_store store;
    ps_time_ns last_ns;
    int looks;
};

static enum ps_status commit(void *context, struct ps_record *record)
{
    struct home *home = context;
    record->commit_ns = ++home->last_ns;
    const struct ps_append append = {home->store, record};
    return ps_map_apply(home->map, &append, 1, NULL);
}

static bool expired(void *context)
{
    struct home *home = context;
    return home->looks-- <= 0;
}

static void run(struct ps_d1_database *database, struct home *home,
                const struct ps_d1_request *request, struct ps_buf *ret)
{
    static const struct ps_d1_served served = {"v3-prod", "WEUR", "AMS", true, 1};
    home->looks = LOOKS;
    const struct ps_d1_call call = {
        .view = {.lsn = UINT64_MAX, .unix_ms = 1700000000000},
        .seed = 1,
        .expired = expired,
        .context = home,
    };
    struct ps_d1_answer answer;
    ps_d1_database_run(database, request, &call, &answer);
    ps_d1_answer_write(ret, &answer, request->array, &served);
    ps_d1_answer_fini(&answer);
}

static void run_fresh(const struct ps_d1_request *request, struct ps_buf *ret)
{
    struct home home = {.map = ps_map_create_memory()};
    require(ps_map_store_open(home.map, PS_LIT("DB"), &home.store, NULL) == PS_OK);
    const struct ps_pages_config config = {
        .map = home.map,
        .store = home.store,
        .commit = commit,
        .context = &home,
        .page_count_max = 200,
    };
    struct ps_d1_database *database;
    require(ps_d1_database_open(&config, &database, NULL) == PS_OK);
    struct ps_d1_statement statement = {
        .sql = PS_LIT("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT, y);"
                      "CREATE INDEX tx ON t(x); INSERT INTO t VALUES(1,'a',x'00'),(2,'b',2.5)")};
    struct ps_buf first = {0};
    run(database, &home, &(struct ps_d1_request){.statements = &statement, .count = 1}, &first);
    ps_buf_fini(&first);
    run(database, &home, request, ret);
    ps_d1_database_close(database);
    ps_map_close(home.map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_d1_request request;
    struct ps_slice body = {(const char *)data, size};
    if (size == 0 ||
        ps_d1_request_read((struct ps_slice){body.data + 1, size - 1}, &request, NULL) != PS_OK) {
        return 0;
    }
    request.format = (data[0] & 1) != 0 ? PS_D1_ROWS_AND_COLUMNS : PS_D1_ARRAY_OF_OBJECTS;
    request.each = (data[0] & 2) != 0;
    struct ps_buf one = {0};
    struct ps_buf two = {0};
    run_fresh(&request, &one);
    run_fresh(&request, &two);
    require(ps_slice_eq(ps_buf_slice(&one), ps_buf_slice(&two)));
    json_t *json = json_loadb(one.data, one.size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    require(json != NULL);
    json_decref(json);
    ps_buf_fini(&one);
    ps_buf_fini(&two);
    ps_d1_request_fini(&request);
    return 0;
}
