/* Any bytes as a file of SQL: run as a script on an empty database, dumped, and the dump run on
 * another: what runs gives the same dump again. Where the first statement ends is where
 * sqlite3_complete says. */
#include "node/d1/database.h"
#include "node/d1/dump.h"
#include "node/d1/statement.h"
#include "replication/base/memory.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS = 20, TEXT_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct home {
    struct ps_map *map;
    ps_map_store store;
    struct ps_d1_database *database;
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

static void home_open(struct home *home)
{
    *home = (struct home){.map = ps_map_create_memory()};
    require(ps_map_store_open(home->map, PS_LIT("DB"), &home->store, NULL) == PS_OK);
    const struct ps_pages_config config = {.map = home->map,
                                           .store = home->store,
                                           .commit = commit,
                                           .context = home,
                                           .page_count_max = 200};
    require(ps_d1_database_open(&config, &home->database, NULL) == PS_OK);
}

static void home_close(struct home *home)
{
    ps_d1_database_close(home->database);
    ps_map_close(home->map);
}

static struct ps_d1_call call_of(struct home *home)
{
    home->looks = LOOKS;
    return (struct ps_d1_call){.view = {.lsn = UINT64_MAX, .unix_ms = 1700000000000},
                               .seed = 1,
                               .expired = expired,
                               .context = home};
}

static bool run(struct home *home, struct ps_slice text)
{
    struct ps_d1_statement statement = {.sql = text};
    const struct ps_d1_request request = {.statements = &statement, .count = 1, .script = true};
    const struct ps_d1_call call = call_of(home);
    struct ps_d1_answer answer;
    ps_d1_database_run(home->database, &request, &call, &answer);
    bool done = answer.outcome == PS_D1_DONE;
    require(done == (answer.error.size == 0));
    ps_d1_answer_fini(&answer);
    return done;
}

static bool take_line(void *context, struct ps_slice text)
{
    struct ps_buf *out = context;
    require(text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
    ps_buf_append_slice(out, text);
    ps_buf_append_char(out, '\n');
    return true;
}

static bool dump(struct home *home, struct ps_buf *out)
{
    const struct ps_d1_dump how = {.line = take_line, .context = out};
    const struct ps_d1_call call = call_of(home);
    struct ps_d1_answer answer;
    ps_d1_database_dump(home->database, &how, &call, &answer);
    bool done = answer.outcome == PS_D1_DONE;
    ps_d1_answer_fini(&answer);
    return done;
}

static void check_size(struct ps_slice text)
{
    size_t size = ps_d1_statement_size(text);
    require(size <= text.size && (size > 0 || text.size == 0));
    if (size == text.size || memchr(text.data, '\0', size) != NULL) {
        return;
    }
    char *copy = ps_strndup(text.data, size);
    require(copy[size - 1] == ';' && sqlite3_complete(copy) != 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_slice text = {(const char *)data, size};
    if (size > TEXT_MAX) {
        return 0;
    }
    check_size(text);
    struct home first;
    struct home second;
    struct ps_buf one = {0};
    struct ps_buf two = {0};
    home_open(&first);
    home_open(&second);
    if (run(&first, text) && dump(&first, &one) && run(&second, ps_buf_slice(&one)) &&
        dump(&second, &two)) {
        require(ps_slice_eq(ps_buf_slice(&one), ps_buf_slice(&two)));
    }
    home_close(&first);
    home_close(&second);
    ps_buf_fini(&one);
    ps_buf_fini(&two);
    return 0;
}
