/* SQL over pages of the versioned map gives what the same SQLite gives on a plain file, at home and
 * on a replica that has caught up (test_d1_sql.txt: one case a line); a replica's pages are home's,
 * byte by byte. */
#include "tests/support/d1_base.h"
#include "tests/support/temp_folder.h"

enum { LINE_SIZE_MAX = 8 << 10, CASES_MIN = 200 };

struct places {
    struct d1_store home;
    struct d1_store replica;
    struct ps_pages *writer;
    struct ps_pages *reader;
    struct sqlite3 *plain;
    char path[96];
};

static void places_open(struct places *places, const struct temp_folder *folder)
{
    d1_store_open(&places->home, ps_map_create_memory());
    d1_store_open(&places->replica, ps_map_create_memory());
    places->writer = d1_connect(&places->home, true);
    places->reader = d1_connect(&places->replica, false);
    (void)snprintf(places->path, sizeof places->path, "%s/plain.db", folder->path);
    assert_int_equal(sqlite3_open(places->path, &places->plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(places->plain, "PRAGMA synchronous=OFF", NULL, NULL, NULL),
                     SQLITE_OK);
}

static void places_close(struct places *places)
{
    ps_pages_close(places->writer);
    ps_pages_close(places->reader);
    assert_int_equal(sqlite3_close(places->plain), SQLITE_OK);
    ps_map_close(places->home.map);
    ps_map_close(places->replica.map);
    (void)remove(places->path);
}

/* What the database holds, all of it: schema, rows, the check. Not where pages are. */
static char *dump(struct sqlite3 *db)
{
    struct ps_buf sql = {0};
    struct ps_buf names = {0};
    struct ps_buf out = {0};
    (void)d1_run(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid", &out);
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT format('SELECT %Q, * FROM main.\"%w\";', name, name) FROM "
                                "sqlite_schema WHERE type = 'table' ORDER BY rowid",
                                -1, &statement, NULL);
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        ps_buf_append_text(&sql, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    ps_buf_append_text(&sql, "PRAGMA integrity_check");
    (void)d1_run(db, ps_buf_text(&sql), &out);
    ps_buf_fini(&sql);
    ps_buf_fini(&names);
    (void)ps_buf_text(&out);
    return out.data;
}

static char *ask(struct sqlite3 *db, const char *sql)
{
    struct ps_buf out = {0};
    while (*sql != 0) {
        /* One at a time: a question that fails does not hide the next. */
        const char *end = strchr(sql, ';');
        size_t size = end == NULL ? strlen(sql) : (size_t)(end - sql);
        char *one = ps_strndup(sql, size);
        (void)d1_run(db, one, &out);
        free(one);
        sql += end == NULL ? size : size + 1;
    }
    (void)ps_buf_text(&out);
    return out.data;
}

static void same(const char *line, const char *where, char *found, char *expected)
{
    if (strcmp(found, expected) != 0) {
        fail_msg("%s\n%s gave\n%s\nnot\n%s", line, where, found, expected);
    }
    free(found);
    free(expected);
}

/* Does it name what a replica may not do, even to ask? */
static bool writes(const char *sql)
{
    return strstr(sql, "INSERT") != NULL || strstr(sql, "DELETE") != NULL ||
           strstr(sql, "DROP") != NULL;
}

static void run_case(struct places *places, const char *line, const char *setup, const char *asked)
{
    struct sqlite3 *home = ps_pages_db(places->writer);
    struct sqlite3 *replica = ps_pages_db(places->reader);
    struct ps_buf at_home = {0};
    struct ps_buf at_plain = {0};
    (void)d1_run(home, setup, &at_home);
    (void)d1_run(places->plain, setup, &at_plain);
    (void)ps_buf_text(&at_home);
    (void)ps_buf_text(&at_plain);
    same(line, "home", at_home.data, at_plain.data);
    (void)sqlite3_exec(home, "ROLLBACK", NULL, NULL, NULL);
    (void)sqlite3_exec(places->plain, "ROLLBACK", NULL, NULL, NULL);

    d1_replicate(&places->home, &places->replica);
    /* A pragma alone does not look whether the schema is still the one that SQLite knows. */
    d1_exec(places->reader, "SELECT count(*) FROM sqlite_schema");
    if (!writes(asked)) {
        same(line, "replica", ask(replica, asked), ask(home, asked));
    }
    same(line, "home", ask(home, asked), ask(places->plain, asked));
    same(line, "home", dump(home), dump(places->plain));
    d1_replicate(&places->home, &places->replica);
    same(line, "replica", dump(replica), dump(home));
    uint64_t lsn = d1_log(&places->home).last_lsn;
    assert_true(d1_hash(&places->home, lsn) == d1_hash(&places->replica, lsn));
}

static void test_cases(void **state)
{
    (void)state;
    static char line[LINE_SIZE_MAX];
    struct temp_folder folder;
    temp_folder_make(&folder);
    FILE *file = fopen(PS_SOURCE_DIR "/tests/unit/test_d1_sql.txt", "r");
    assert_non_null(file);
    int cases = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#') {
            continue;
        }
        char *whole = ps_strndup(line, strlen(line));
        char *arrow = strstr(line, " => ");
        assert_non_null(arrow);
        *arrow = 0;
        struct places places;
        places_open(&places, &folder);
        run_case(&places, whole, line, arrow + 4);
        places_close(&places);
        free(whole);
        cases++;
    }
    (void)fclose(file);
    temp_folder_remove(&folder);
    assert_in_range(cases, CASES_MIN, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
