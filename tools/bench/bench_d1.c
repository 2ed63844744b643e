/* SQLite over the versioned map beside SQLite over a file: the same build of SQLite, the same
 * schema and data, one process, one thread, one folder.
 *
 *   bench_d1 FOLDER ROWS       FOLDER exists and is empty; ROWS to begin with
 *
 * It makes the databases, prints "ready", then reads lines "SIDE WORK COUNT" and answers each with
 * a line of JSON, so that whoever asks lets the sides take turns. A side is made when it is first
 * named.
 *
 * Sides, and what has been acknowledged after
 *                            kill -9                  power loss
 *   pages-sync               all of it                all of it: an fsync a commit
 *   file-full (WAL, FULL)    all of it                all of it: an fsync a commit
 *   pages-relaxed            all of it                whole; what came since the last checkpoint
 *                                                     may be gone: a sync a checkpoint, not more
 *   file-normal (WAL)        all of it                whole; what came since the last checkpoint
 *                                                     may be gone: an fsync a checkpoint, not more
 *   file-off (WAL, OFF)      all of it                undefined until the system has written all
 *
 * So pages-sync and file-full promise the same, and so do pages-relaxed and file-normal.
 *
 * Every side has the same cache of pages. Work, COUNT times:
 *   read     one row by its id: a prepared statement in a transaction of its own
 *   insert   one row in a transaction of its own; at home the record is worked out as well: pages,
 *            checksum, what differs from the former pages and the message to other nodes
 *   batch    rows, BATCH in each transaction
 *   text     as read, from the SQL's text: a request of D1 (JSON of the row, counters, limits);
 *            with a file: prepare, bind, step, finalize
 *   put      as insert, from the SQL's text */
#include "node/d1/database.h"
#include "node/d1/delta.h"
#include "node/d1/pages.h"
#include "replication/base/assert.h"
#include "replication/base/histogram.h"
#include "replication/base/memory.h"
#include "replication/wire/message.h"
#include "tools/bench/clock.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_BAD_INPUT = 2, EXIT_FAILED = 3, BATCH = 100, BODY_SIZE = 100, PATH_SIZE = 4096 };

#define READ_SQL "SELECT id, name, body FROM t WHERE id = ?1"
#define INSERT_SQL "INSERT INTO t(name, body) VALUES(?1, ?2)"

struct side {
    const char *name;
    const char *synchronous; /* of a file */
    bool paged;
    bool sync; /* paged: fsync at each commit */
    ps_map_store store;
    /* once it is open */
    struct sqlite3 *db;
    struct sqlite3_stmt *begin;
    struct sqlite3_stmt *commit;
    struct sqlite3_stmt *read;
    struct sqlite3_stmt *insert;
    uint64_t rows;
    uint64_t drawn;
    /* paged */
    struct ps_map *map;
    struct ps_pages *pages;
    struct ps_d1_database *database; /* beside it, on the same store */
    struct ps_histogram *wire;       /* bytes of the messages to other nodes */
    uint64_t whole_bytes;            /* of the pages that they stand for */
    struct ps_buf message;
    struct ps_page_record delta;
};

static struct side sides[] = {
    {.name = "pages-relaxed", .paged = true},
    {.name = "pages-sync", .paged = true, .sync = true},
    {.name = "file-normal", .synchronous = "NORMAL"},
    {.name = "file-full", .synchronous = "FULL"},
    {.name = "file-off", .synchronous = "OFF"},
};

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_d1: %s: %s\n", what, why);
    exit(EXIT_FAILED);
}

static void must(const struct side *side, bool done)
{
    if (!done) {
        die(side->name, side->db == NULL ? "cannot be opened" : sqlite3_errmsg(side->db));
    }
}

/* ---- a commit, as home makes it ---- */

static enum ps_status read_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct side *side = context;
    return ps_pages_read(side->map, side->store, page, UINT64_MAX, ret);
}

static enum ps_status encode(struct side *side, const struct ps_record *record)
{
    enum ps_status status = ps_map_read_begin(side->map);
    if (status == PS_OK) {
        status = ps_page_record_encode(record, read_former, side, &side->delta);
        ps_map_read_end(side->map);
    }
    return status;
}

static enum ps_status commit(void *context, struct ps_record *record)
{
    struct side *side = context;
    struct ps_log_state log;
    enum ps_status status = ps_map_log_state(side->map, side->store, &log);
    status = status == PS_OK ? encode(side, record) : status;
    if (status != PS_OK) {
        return status;
    }
    record->commit_ns = log.last_commit_ns + PS_US;
    memcpy(record->token.bytes, &record->lsn, sizeof record->lsn);
    const struct ps_append append = {side->store, record};
    status = ps_map_apply(side->map, &append, 1, NULL);

    struct ps_record wire = side->delta.record;
    wire.commit_ns = record->commit_ns;
    wire.token = record->token;
    const struct ps_message message = {.kind = PS_MESSAGE_BATCH,
                                       .store = PS_LIT("DB"),
                                       .batch = {.home_boot = 1,
                                                 .closed_ns = record->commit_ns,
                                                 .last_lsn = record->lsn,
                                                 .records = &wire,
                                                 .record_count = 1}};
    side->message.size = 0;
    ps_message_encode(&side->message, &message);
    ps_histogram_record(side->wire, side->message.size, 1);
    for (size_t i = 0; i < record->entry_count; i++) {
        side->whole_bytes += record->entries[i].key.size + record->entries[i].value.size;
    }
    return status;
}

/* ---- opening ---- */

static void open_pages(struct side *side, const char *path)
{
    struct ps_error err = {0};
    side->wire = PS_NEW(struct ps_histogram);
    (void)mkdir(path, 0700);
    if (ps_map_open_lmdb(path, side->sync, &side->map, &err) != PS_OK ||
        ps_map_store_open(side->map, PS_LIT("DB"), &side->store, &err) != PS_OK) {
        die(side->name, err.text);
    }
    const struct ps_pages_config config = {
        .map = side->map, .store = side->store, .commit = commit, .context = side};
    if (ps_pages_open(&config, &side->pages, &err) != PS_OK ||
        ps_d1_database_open(&config, &side->database, &err) != PS_OK) {
        die(side->name, err.text);
    }
    side->db = ps_pages_db(side->pages);
}

static void open_file(struct side *side, const char *path)
{
    char sql[128];
    must(side, sqlite3_open_v2(path, &side->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               NULL) == SQLITE_OK);
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA cache_size=%d",
                   side->synchronous, (int)PS_PAGES_CACHE);
    must(side, sqlite3_exec(side->db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static struct sqlite3_stmt *prepare(const struct side *side, const char *sql)
{
    struct sqlite3_stmt *statement = NULL;
    must(side, sqlite3_prepare_v3(side->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) ==
                   SQLITE_OK);
    return statement;
}

static void step(const struct side *side, struct sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
    }
    must(side, rc == SQLITE_DONE);
    (void)sqlite3_reset(statement);
}

/* ---- work ---- */

/* The same on each side, as long as each is asked for the same. Cheap: it is in all figures. */
static uint64_t draw(struct side *side)
{
    uint64_t x = ++side->drawn * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

struct row {
    char name[24];
    char body[BODY_SIZE];
};

static struct row draw_row(struct side *side)
{
    struct row row;
    (void)snprintf(row.name, sizeof row.name, "user-%016" PRIx64, draw(side));
    for (size_t i = 0; i < BODY_SIZE; i += sizeof(uint64_t)) {
        uint64_t word = draw(side);
        memcpy(row.body + i, &word, BODY_SIZE - i < sizeof word ? BODY_SIZE - i : sizeof word);
    }
    side->rows++;
    return row;
}

static void bind_row(struct sqlite3_stmt *statement, const struct row *row)
{
    (void)sqlite3_bind_text(statement, 1, row->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, row->body, BODY_SIZE, SQLITE_STATIC);
}

static int64_t draw_id(struct side *side)
{
    return (int64_t)(draw(side) % side->rows) + 1;
}

static void do_read(struct side *side)
{
    (void)sqlite3_bind_int64(side->read, 1, draw_id(side));
    must(side, sqlite3_step(side->read) == SQLITE_ROW &&
                   sqlite3_column_bytes(side->read, 2) == BODY_SIZE);
    step(side, side->read);
}

static void do_insert(struct side *side)
{
    const struct row row = draw_row(side);
    bind_row(side->insert, &row);
    step(side, side->insert);
}

static void do_batch(struct side *side, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (i % BATCH == 0) {
            step(side, side->begin);
        }
        do_insert(side);
        if (i % BATCH == BATCH - 1 || i == count - 1) {
            step(side, side->commit);
        }
    }
}

static void run_request(struct side *side, const char *sql, struct ps_d1_value *params,
                        size_t count)
{
    struct ps_d1_statement statement = {
        .sql = ps_slice_of(sql), .params = params, .param_count = count};
    const struct ps_d1_request request = {.statements = &statement, .count = 1};
    const struct ps_d1_call call = {.view = {.lsn = UINT64_MAX, .unix_ms = 1}};
    struct ps_d1_answer answer;
    ps_d1_database_run(side->database, &request, &call, &answer);
    if (answer.outcome != PS_D1_DONE) {
        die(side->name, ps_buf_text(&answer.error));
    }
    ps_d1_answer_fini(&answer);
}

static void do_text(struct side *side)
{
    int64_t id = draw_id(side);
    if (side->paged) {
        run_request(side, READ_SQL,
                    &(struct ps_d1_value){.kind = PS_D1_NUMBER, .number = (double)id}, 1);
        return;
    }
    struct sqlite3_stmt *statement = prepare(side, READ_SQL);
    (void)sqlite3_bind_int64(statement, 1, id);
    step(side, statement);
    (void)sqlite3_finalize(statement);
}

static void do_put(struct side *side)
{
    const struct row row = draw_row(side);
    if (side->paged) {
        struct ps_d1_value values[] = {{.kind = PS_D1_TEXT, .bytes = ps_slice_of(row.name)},
                                       {.kind = PS_D1_BLOB, .bytes = {row.body, BODY_SIZE}}};
        run_request(side, INSERT_SQL, values, 2);
        return;
    }
    struct sqlite3_stmt *statement = prepare(side, INSERT_SQL);
    bind_row(statement, &row);
    step(side, statement);
    (void)sqlite3_finalize(statement);
}

static void each(struct side *side, void (*work)(struct side *side), uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        work(side);
    }
}

static bool work(struct side *side, const char *name, uint64_t count)
{
    static const struct {
        const char *name;
        void (*work)(struct side *side);
    } works[] = {{"read", do_read}, {"insert", do_insert}, {"text", do_text}, {"put", do_put}};

    if (strcmp(name, "batch") == 0) {
        do_batch(side, count);
        return true;
    }
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(name, works[i].name) == 0) {
            each(side, works[i].work, count);
            return true;
        }
    }
    return false;
}

static void open_side(struct side *side, const char *folder, uint64_t rows)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, side->name);
    if (side->paged) {
        open_pages(side, path);
    } else {
        open_file(side, path);
    }
    must(side, sqlite3_exec(side->db,
                            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, body BLOB);"
                            "CREATE INDEX by_name ON t(name)",
                            NULL, NULL, NULL) == SQLITE_OK);
    side->begin = prepare(side, "BEGIN");
    side->commit = prepare(side, "COMMIT");
    side->read = prepare(side, READ_SQL);
    side->insert = prepare(side, INSERT_SQL);
    step(side, side->begin);
    each(side, do_insert, rows);
    step(side, side->commit);
}

static void close_side(struct side *side)
{
    (void)sqlite3_finalize(side->begin);
    (void)sqlite3_finalize(side->commit);
    (void)sqlite3_finalize(side->read);
    (void)sqlite3_finalize(side->insert);
    if (side->paged) {
        ps_d1_database_close(side->database);
        ps_pages_close(side->pages);
        ps_map_close(side->map);
        ps_buf_fini(&side->message);
        ps_page_record_fini(&side->delta);
        free(side->wire);
    } else {
        (void)sqlite3_close(side->db);
    }
}

/* ---- taking turns ---- */

static void print_wire(const struct side *side)
{
    const struct ps_histogram *wire = side->wire;
    if (side->paged && wire->count != 0) {
        (void)printf(", \"wire_p50\": %" PRIu64 ", \"wire_mean\": %.1f, \"wire_p99\": %" PRIu64
                     ", \"wire_max\": %" PRIu64 ", \"whole_mean\": %.1f",
                     ps_histogram_quantile(wire, 0.5), ps_histogram_mean(wire),
                     ps_histogram_quantile(wire, 0.99), wire->max,
                     (double)side->whole_bytes / (double)wire->count);
    }
}

static void turn(struct side *side, const char *name, uint64_t count)
{
    side->whole_bytes = 0;
    if (side->paged) {
        *side->wire = (struct ps_histogram){0};
    }
    double begin_s = wall_s();
    double begin_cpu_s = cpu_s();
    if (!work(side, name, count)) {
        die(name, "no such work");
    }
    (void)printf("{\"count\": %" PRIu64 ", \"wall_s\": %.6f, \"cpu_s\": %.6f", count,
                 wall_s() - begin_s, cpu_s() - begin_cpu_s);
    print_wire(side);
    (void)puts("}");
    (void)fflush(stdout);
}

static struct side *find(const char *name)
{
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        if (strcmp(name, sides[i].name) == 0) {
            return &sides[i];
        }
    }
    die(name, "no such side");
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t rows = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (rows == 0) {
        (void)fputs("usage: bench_d1 FOLDER ROWS\n", stderr);
        return EXIT_BAD_INPUT;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char name[32];
        char what[32];
        char digits[24];
        uint64_t count = 0;
        if (sscanf(line, "%31s %31s %23[0-9]", name, what, digits) == 3) {
            count = strtoull(digits, NULL, 10);
        }
        if (count == 0) {
            die(line, "SIDE WORK COUNT is expected");
        }
        struct side *side = find(name);
        if (side->db == NULL) {
            open_side(side, argv[1], rows);
        }
        turn(side, what, count);
    }
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        if (sides[i].db != NULL) {
            close_side(&sides[i]);
        }
    }
    return 0;
}
