/* popsim d1: SQL at a PoP, as a Worker's binding would run it; migrations and Time Travel as with
 * wrangler. */
#include "replication/base/memory.h"
#include "tools/popsim/client.h"
#include "tools/popsim/d1_admin.h"
#include "tools/popsim/d1_travel.h"
#include "tools/popsim/http_client.h"
#include "tools/popsim/tables.h"

#include <jansson.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value {
    POP = CLIENT_POP,
    COMMAND,
    SQL_FILE,
    AS_JSON,
    SESSION,
    DIR_PATH,
    BOOKMARK,
    TIMESTAMP,
    LOCATION,
    OUTPUT,
    TABLES,
    NO_DATA,
    NO_SCHEMA
};

enum {
    MS_PER_S = 1000,
    SQL_SIZE_MAX = 100000,      /* of what is run as a query: D1's limit of one statement */
    FILE_SIZE_MAX = 1024 << 20, /* of what is imported; memory holds it */
};

static const struct argp_option argp_options[] = {
    CLIENT_POP_OPTION,
    {"command", CLI_OPTION + COMMAND, "SQL", 0, "execute: one or several statements", 0},
    {"file", CLI_OPTION + SQL_FILE, "FILE", 0, "execute: take the statements from FILE", 0},
    {"session", CLI_OPTION + SESSION, "TEXT", 0,
     "execute: first-primary, first-unconstrained or a bookmark", 0},
    {"json", CLI_OPTION + AS_JSON, NULL, 0, "execute, time-travel, create, list, info: print JSON",
     0},
    {"dir", CLI_OPTION + DIR_PATH, "DIR", 0, "migrations apply: the folder of NNNN_name.sql files",
     0},
    {"bookmark", CLI_OPTION + BOOKMARK, "TEXT", 0, "time-travel restore: the state to bring back",
     0},
    {"timestamp", CLI_OPTION + TIMESTAMP, "TIME", 0,
     "time-travel: the state at that instant (Unix seconds, or RFC 3339: 2026-11-25T19:00:00Z)", 0},
    {"location", CLI_OPTION + LOCATION, "HINT", 0,
     "create: home is a PoP of that region: wnam, enam, weur, eeur, apac or oc", 0},
    {"output", CLI_OPTION + OUTPUT, "FILE", 0, "export: the file to write (-: standard output)", 0},
    {"table", CLI_OPTION + TABLES, "NAMES", 0, "export: only these tables, with commas between", 0},
    {"no-data", CLI_OPTION + NO_DATA, NULL, 0, "export: only the schema", 0},
    {"no-schema", CLI_OPTION + NO_SCHEMA, NULL, 0, "export: only the rows", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {argp_options,
                                 client_parse,
                                 "create NAME\ndelete DATABASE\nlist\ninfo DATABASE\n"
                                 "execute DATABASE\nexport DATABASE\nmigrations apply DATABASE\n"
                                 "time-travel info DATABASE\ntime-travel restore DATABASE",
                                 "Run SQL on a D1 database at a PoP, apply migrations, travel "
                                 "in time; make, drop and export databases.\v"
                                 "Without --session each statement goes to home, as in D1; with "
                                 "one, what only reads is run by the "
                                 "PoP's replica, which may be behind. Rows go to stdout; the LSN, "
                                 "how stale it is and the bookmark "
                                 "to stderr. A file of migrations is applied once, all of it or "
                                 "nothing; the table d1_migrations "
                                 "tells which were. A file of more than 100,000 bytes is imported: "
                                 "its statements are run one by one, as one transaction, and their "
                                 "rows not printed. time-travel info "
                                 "prints the bookmark of now or of an instant of the cluster's "
                                 "time, time-travel restore makes the database what it was then, "
                                 "as one more commit.",
                                 NULL,
                                 NULL,
                                 NULL};

struct call {
    struct client client;
    const char *database; /* as it was named */
    char store[PS_STORE_NAME_MAX + 1];
    const char *session; /* NULL = none */
};

static const char *pop_of(const struct call *call)
{
    return client_code(&call->client);
}

/* ---- one call ---- */

/* Run the text; *ret_results is the array of its statements' results, with a reference. */
static int run_sql(const struct call *call, struct ps_slice sql, struct http_reply *reply,
                   json_t **ret_results)
{
    struct ps_buf headers = {0};
    struct ps_buf body = {0};
    struct ps_error err = {0};
    ps_buf_printf(&headers, "popsim-store: %s\r\nContent-Type: application/json\r\n", call->store);
    if (call->session != NULL) {
        ps_buf_printf(&headers, "x-cf-d1-session-commit-token: %s\r\n", call->session);
    }
    const struct ps_cluster_state *state = call->client.state;
    client_put_token(&call->client, &headers);
    ps_buf_append_text(&body, "{\"sql\":");
    ps_buf_append_json(&body, sql);
    ps_buf_append_text(&body, ",\"params\":[]}");
    enum ps_status status =
        http_call(state->bind, state->nodes[call->client.pop].api_port, "POST",
                  PS_LIT("/query?resultsFormat=ROWS_AND_COLUMNS&each=true"), ps_buf_text(&headers),
                  ps_buf_slice(&body), HTTP_LIMIT_MS, reply, &err);
    ps_buf_fini(&headers);
    ps_buf_fini(&body);
    if (status != PS_OK) {
        return cli_fail(&err);
    }
    json_t *json = json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size,
                              JSON_ALLOW_NUL, NULL);
    if (json_is_array(json)) {
        *ret_results = json;
        return CLI_OK;
    }
    const char *error = json_string_value(json_object_get(json, "error"));
    (void)fprintf(stderr, "popsim: %s: %s\n", pop_of(call), error == NULL ? reply->phrase : error);
    bool lost = error == NULL || strstr(error, "Network connection lost") != NULL ||
                strstr(error, "not reached in time") != NULL ||
                strstr(error, "overloaded") != NULL || strstr(error, "Internal error") != NULL;
    json_decref(json);
    return lost ? CLI_FAILED : CLI_BAD_INPUT;
}

/* ---- results ---- */

static void put_cell(struct ps_buf *buf, const json_t *value)
{
    if (json_is_string(value)) {
        ps_buf_append(buf, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        ps_buf_printf(buf, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        ps_buf_printf(buf, "%.15g", json_real_value(value));
    } else if (json_is_array(value)) {
        size_t index;
        const json_t *byte;
        ps_buf_append_text(buf, "x'");
        json_array_foreach(value, index, byte)
        {
            ps_buf_printf(buf, "%02x", (unsigned)json_integer_value(byte) & 0xff);
        }
        ps_buf_append_text(buf, "'");
    } else {
        ps_buf_append_text(buf, "NULL");
    }
}

static void print_row(struct libscols_table *table, const json_t *row, size_t count)
{
    struct ps_buf *cells = PS_NEW_ARRAY(struct ps_buf, count);
    const char **texts = PS_NEW_ARRAY(const char *, count);
    for (size_t i = 0; i < count; i++) {
        put_cell(&cells[i], json_array_get(row, i));
        texts[i] = ps_buf_text(&cells[i]);
    }
    tables_row(table, texts, count);
    for (size_t i = 0; i < count; i++) {
        ps_buf_fini(&cells[i]);
    }
    free(cells);
    free(texts);
}

static void print_table(const json_t *results)
{
    const json_t *columns = json_object_get(results, "columns");
    size_t count = json_array_size(columns);
    if (count == 0) {
        return;
    }
    const char **names = PS_NEW_ARRAY(const char *, count);
    for (size_t i = 0; i < count; i++) {
        names[i] = json_string_value(json_array_get(columns, i));
    }
    struct libscols_table *table = tables_new(stdout, names, count);
    size_t index;
    const json_t *row;
    json_array_foreach(json_object_get(results, "rows"), index, row)
    {
        print_row(table, row, count);
    }
    tables_print(table);
    free(names);
}

static struct ps_slice text_or(struct ps_slice text, const char *otherwise)
{
    return text.size == 0 ? ps_slice_of(otherwise) : text;
}

/* "syd: LSN 3 at syd's replica, STALE: 2 commits behind (newest is LSN 5), superseded 0.214 s ago"
 */
static void print_staleness(const struct call *call, const struct http_reply *reply,
                            const json_t *results)
{
    const json_t *meta = json_object_get(json_array_get(results, 0), "meta");
    const char *colo = json_string_value(json_object_get(meta, "served_by_colo"));
    struct ps_slice lsn = text_or(http_reply_header(reply, "popsim-lsn"), "?");
    struct ps_slice latest = text_or(http_reply_header(reply, "popsim-latest-lsn"), "?");
    struct ps_slice behind = text_or(http_reply_header(reply, "popsim-behind"), "0");
    struct ps_slice stale = text_or(http_reply_header(reply, "popsim-stale-ms"), "0");
    struct ps_slice bookmark = http_reply_header(reply, "x-cf-d1-session-commit-token");
    bool primary = json_is_true(json_object_get(meta, "served_by_primary"));
    (void)fprintf(stderr, "%s: LSN %.*s, served by %s (%s)", pop_of(call), (int)lsn.size, lsn.data,
                  colo == NULL ? "?" : colo, primary ? "primary" : "replica");
    if (http_reply_header(reply, "popsim-late").size > 0) {
        (void)fprintf(stderr, ", LATE: home is away");
    }
    if (ps_slice_eq(behind, PS_LIT("0"))) {
        (void)fprintf(stderr, ", the newest\n");
    } else {
        (void)fprintf(stderr,
                      ", STALE: %.*s commit%s behind (newest is LSN %.*s), superseded %.3f s ago\n",
                      (int)behind.size, behind.data, ps_slice_eq(behind, PS_LIT("1")) ? "" : "s",
                      (int)latest.size, latest.data, strtod(stale.data, NULL) / MS_PER_S);
    }
    (void)fprintf(stderr, "%s: bookmark %.*s\n", pop_of(call), (int)bookmark.size, bookmark.data);
}

static void print_results(const struct call *call, const struct http_reply *reply,
                          const json_t *results, bool as_json)
{
    if (as_json) {
        (void)fwrite(reply->body.data, 1, reply->body.size, stdout);
        (void)fputc('\n', stdout);
    } else {
        size_t index;
        const json_t *one;
        json_array_foreach(results, index, one)
        {
            print_table(json_object_get(one, "results"));
        }
    }
    (void)fflush(stdout);
    print_staleness(call, reply, results);
}

static int run_and_print(const struct call *call, struct ps_slice sql, bool as_json)
{
    struct http_reply reply = {0};
    json_t *results = NULL;
    int code = run_sql(call, sql, &reply, &results);
    if (code == CLI_OK) {
        print_results(call, &reply, results, as_json);
    }
    json_decref(results);
    http_reply_fini(&reply);
    return code;
}

static int import_and_print(const struct call *call, struct ps_slice sql, bool as_json)
{
    json_t *result = NULL;
    if (call->session != NULL) {
        return cli_usage("--session: a file of more than %d bytes has none", SQL_SIZE_MAX);
    }
    int code = d1_import(&call->client, call->database, sql, &result);
    if (code == CLI_OK) {
        d1_print_import(&call->client, result, as_json);
    }
    json_decref(result);
    return code;
}

static int execute(const struct client_args *args, struct call *call)
{
    const char *file = args->values[SQL_FILE];
    bool as_json = args->values[AS_JSON] != NULL;
    struct ps_buf sql = {0};
    int code = CLI_OK;
    call->session = args->values[SESSION];
    if ((args->values[COMMAND] == NULL) == (file == NULL)) {
        return cli_usage("d1 execute: --command SQL or --file FILE is expected");
    }
    if (call->session != NULL && strpbrk(call->session, "\r\n") != NULL) {
        return cli_usage("--session: it must be one line");
    }
    if (file != NULL) {
        code = client_read_file(file, FILE_SIZE_MAX, &sql);
    } else {
        ps_buf_append_text(&sql, args->values[COMMAND]);
    }
    if (code == CLI_OK) {
        code = (file != NULL && sql.size > SQL_SIZE_MAX ? import_and_print : run_and_print)(
            call, ps_buf_slice(&sql), as_json);
    }
    ps_buf_fini(&sql);
    return code;
}

/* ---- migrations ---- */

static int is_migration(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 4 && strcmp(entry->d_name + size - 4, ".sql") == 0;
}

/* By the number that a name begins with, as wrangler orders them. */
static int by_number(const struct dirent **a, const struct dirent **b)
{
    unsigned long first = strtoul((*a)->d_name, NULL, 10);
    unsigned long second = strtoul((*b)->d_name, NULL, 10);
    return first != second ? (first > second ? 1 : -1) : strcmp((*a)->d_name, (*b)->d_name);
}

static int read_applied(const struct call *call, json_t **ret)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS d1_migrations(id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL);"
        "SELECT name FROM d1_migrations ORDER BY id;";
    struct http_reply reply = {0};
    int code = run_sql(call, PS_LIT(sql), &reply, ret);
    http_reply_fini(&reply);
    return code;
}

static bool is_applied(const json_t *applied, const char *name)
{
    size_t index;
    const json_t *row;
    const json_t *rows =
        json_object_get(json_object_get(json_array_get(applied, 1), "results"), "rows");
    json_array_foreach(rows, index, row)
    {
        const char *known = json_string_value(json_array_get(row, 0));
        if (known != NULL && strcmp(known, name) == 0) {
            return true;
        }
    }
    return false;
}

static void put_quoted(struct ps_buf *sql, const char *text)
{
    ps_buf_append_char(sql, '\'');
    for (; *text != '\0'; text++) {
        ps_buf_append_text(sql, *text == '\'' ? "'" : "");
        ps_buf_append_char(sql, *text);
    }
    ps_buf_append_char(sql, '\'');
}

/* A text without rows that anybody looks at. */
static int run_quietly(const struct call *call, struct ps_slice sql)
{
    struct http_reply reply = {0};
    json_t *results = NULL;
    int code = sql.size > SQL_SIZE_MAX ? d1_import(&call->client, call->database, sql, &results)
                                       : run_sql(call, sql, &reply, &results);
    json_decref(results);
    http_reply_fini(&reply);
    return code;
}

static int apply_one(const struct call *call, const char *dir, const char *name)
{
    struct ps_buf path = {0};
    struct ps_buf sql = {0};
    ps_buf_printf(&path, "%s/%s", dir, name);
    int code = client_read_file(ps_buf_text(&path), FILE_SIZE_MAX, &sql);
    if (code == CLI_OK) {
        ps_buf_append_text(&sql, "\n;INSERT INTO d1_migrations (name) values (");
        put_quoted(&sql, name);
        ps_buf_append_text(&sql, ");");
        code = run_quietly(call, ps_buf_slice(&sql));
    }
    (void)printf("%s: %s\n", name, code == CLI_OK ? "applied" : "FAILED, nothing of it is done");
    ps_buf_fini(&sql);
    ps_buf_fini(&path);
    return code;
}

static int apply_migrations(const struct client_args *args, const struct call *call)
{
    const char *dir = args->values[DIR_PATH] == NULL ? "migrations" : args->values[DIR_PATH];
    struct dirent **files = NULL;
    int count = scandir(dir, &files, is_migration, by_number);
    if (count < 0) {
        return cli_usage("%s: %s", dir, strerror(errno));
    }
    json_t *applied = NULL;
    int code = read_applied(call, &applied);
    int done = 0;
    for (int i = 0; i < count && code == CLI_OK; i++) {
        if (!is_applied(applied, files[i]->d_name)) {
            code = apply_one(call, dir, files[i]->d_name);
            done += code == CLI_OK ? 1 : 0;
        }
    }
    if (code == CLI_OK && done == 0) {
        (void)puts("No migrations to apply.");
    }
    json_decref(applied);
    for (int i = 0; i < count; i++) {
        free(files[i]);
    }
    free(files);
    return code;
}

/* ---- the command ---- */

enum verb {
    VERB_NONE,
    VERB_CREATE,
    VERB_DELETE,
    VERB_LIST,
    VERB_INFO,
    VERB_EXPORT,
    VERB_EXECUTE,
    VERB_MIGRATE,
    VERB_BOOKMARK,
    VERB_RESTORE
};

static enum verb verb_of(const struct client_args *args)
{
    static const struct {
        const char *words;
        enum verb verb;
    } known[] = {{"create", VERB_CREATE},
                 {"delete", VERB_DELETE},
                 {"list", VERB_LIST},
                 {"info", VERB_INFO},
                 {"export", VERB_EXPORT},
                 {"execute", VERB_EXECUTE},
                 {"migrations apply", VERB_MIGRATE},
                 {"time-travel info", VERB_BOOKMARK},
                 {"time-travel restore", VERB_RESTORE}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t count = client_verb(args, known[i].words);
        size_t names = known[i].verb == VERB_LIST ? 0 : 1;
        if (count > 0 && args->word_count == count + names) {
            return known[i].verb;
        }
    }
    return VERB_NONE;
}

static int travel(const struct client_args *args, const struct call *call, bool restore)
{
    const struct d1_travel travel = {.client = &call->client,
                                     .database = call->database,
                                     .bookmark = args->values[BOOKMARK],
                                     .timestamp = args->values[TIMESTAMP],
                                     .restore = restore,
                                     .json = args->values[AS_JSON] != NULL};
    return d1_travel_run(&travel);
}

static int export(const struct client_args *args, const struct call *call)
{
    const struct d1_export options = {.output = args->values[OUTPUT],
                                      .tables = args->values[TABLES],
                                      .no_data = args->values[NO_DATA] != NULL,
                                      .no_schema = args->values[NO_SCHEMA] != NULL};
    if (options.output == NULL) {
        return cli_usage("d1 export: --output FILE is expected");
    }
    return d1_export(&call->client, call->database, &options);
}

/* One of the cluster's stores, or one that was made since. */
static int find(struct call *call)
{
    const struct ps_cluster *cluster = &call->client.state->cluster;
    int store = ps_cluster_find_store(cluster, ps_slice_of(call->database));
    if (store >= 0 && cluster->stores[store].type != PS_STORE_D1) {
        return cli_usage("the cluster has no D1 database \"%s\"; see popsim d1 list",
                         call->database);
    }
    (void)snprintf(call->store, sizeof call->store, "%s", call->database);
    return store >= 0 ? CLI_OK : d1_find(&call->client, call->database, call->store);
}

static int run(const struct client_args *args, enum verb verb, const struct ps_cluster_state *state)
{
    const char *name = args->words[args->word_count - 1];
    bool json = args->values[AS_JSON] != NULL;
    struct call call = {.database = name};
    int code = client_init(&call.client, args, state);
    bool found = verb == VERB_EXECUTE || verb == VERB_MIGRATE;
    if (code == CLI_OK && found) {
        code = find(&call);
    }
    if (code != CLI_OK) {
        return code;
    }
    switch (verb) {
    case VERB_CREATE:
        return d1_create(&call.client, name, args->values[LOCATION], json);
    case VERB_DELETE:
        return d1_delete(&call.client, name);
    case VERB_LIST:
        return d1_list(&call.client, json);
    case VERB_INFO:
        return d1_info(&call.client, name, json);
    case VERB_EXPORT:
        return export(args, &call);
    case VERB_EXECUTE:
        return execute(args, &call);
    case VERB_MIGRATE:
        return apply_migrations(args, &call);
    case VERB_BOOKMARK:
    case VERB_RESTORE:
        return travel(args, &call, verb == VERB_RESTORE);
    case VERB_NONE:
        break;
    }
    return CLI_BAD_INPUT;
}

int cmd_d1(int argc, char **argv)
{
    struct client_args args = {0};
    if (cli_parse(&argp, argc, argv, &args) != 0) {
        return CLI_BAD_INPUT;
    }
    enum verb verb = verb_of(&args);
    if (verb == VERB_NONE) {
        return cli_usage("d1: list, or create, delete, info, execute, export, migrations apply, "
                         "time-travel info or time-travel restore and a DATABASE are expected; see "
                         "popsim d1 --help");
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_running(cli_state_folder(args.state), &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    int code = run(&args, verb, &state);
    ps_cluster_state_fini(&state);
    return code;
}
