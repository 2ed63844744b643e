/* What a user of D1 may say. The rules are what workerd 1.20261117.1 lets through, measured. */
#include "node/d1/database_internal.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <string.h>

/* Functions that may be used; those of ALTER TABLE are SQLite's own, called by itself. */
static const char *const FUNCTIONS[] = {
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "bm25",
    "ceil",
    "changes",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "highlight",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_each",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_tree",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_insert_rowid",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "load_extension",
    "log",
    "log2",
    "lower",
    "ltrim",
    "match",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtreecheck",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "snippet",
    "sqlite_drop_column",
    "sqlite_rename_column",
    "sqlite_rename_quotefix",
    "sqlite_rename_table",
    "sqlite_rename_test",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "total_changes",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
};

/* Modules of virtual tables that may be made. */
static const char *const MODULES[] = {"fts5", "fts5vocab", "rtree", "rtree_i32"};

/* What a pragma's argument has to be. */
enum argument {
    ARGUMENT_NONE,
    ARGUMENT_BOOLEAN, /* or none */
    ARGUMENT_NAME,    /* of a table or an index */
    ARGUMENT_OPTIONAL_NAME,
    ARGUMENT_OPTIONAL_NUMBER,
    ARGUMENT_ANY_NAME /* a name, a number or none */
};

struct pragma {
    const char *name;
    enum argument argument;
};

static const struct pragma PRAGMAS[] = {
    {"case_sensitive_like", ARGUMENT_BOOLEAN},
    {"data_version", ARGUMENT_NONE},
    {"defer_foreign_keys", ARGUMENT_BOOLEAN},
    {"foreign_key_check", ARGUMENT_OPTIONAL_NAME},
    {"foreign_key_list", ARGUMENT_NAME},
    {"foreign_keys", ARGUMENT_BOOLEAN},
    {"ignore_check_constraints", ARGUMENT_BOOLEAN},
    {"index_info", ARGUMENT_NAME},
    {"index_list", ARGUMENT_NAME},
    {"index_xinfo", ARGUMENT_NAME},
    {"legacy_alter_table", ARGUMENT_BOOLEAN},
    {"optimize", ARGUMENT_OPTIONAL_NUMBER},
    {"page_size", ARGUMENT_NONE},
    {"quick_check", ARGUMENT_ANY_NAME},
    {"recursive_triggers", ARGUMENT_BOOLEAN},
    {"reverse_unordered_selects", ARGUMENT_BOOLEAN},
    {"table_info", ARGUMENT_NAME},
    {"table_list", ARGUMENT_OPTIONAL_NAME},
    {"table_xinfo", ARGUMENT_NAME},
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_stricmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* D1's own tables are not the user's. */
static bool may_name(const char *name)
{
    return name == NULL || strncmp(name, "_cf_", 4) != 0;
}

static bool is_boolean(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};
    char bare[8] = {0};
    size_t size = strlen(text);
    if (size >= 2 && (text[0] == '\'' || text[0] == '"') && text[size - 1] == text[0]) {
        text++;
        size -= 2;
    }
    if (size >= sizeof bare) {
        return false;
    }
    memcpy(bare, text, size);
    return is_one_of(bare, words, sizeof words / sizeof words[0]);
}

static bool is_number(const char *text)
{
    text += *text == '-' ? 1 : 0;
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 11 && text[digits] == 0;
}

static bool may_pragma(const char *name, const char *argument)
{
    const struct pragma *pragma = NULL;
    for (size_t i = 0; i < sizeof PRAGMAS / sizeof PRAGMAS[0]; i++) {
        pragma = sqlite3_stricmp(name, PRAGMAS[i].name) == 0 ? &PRAGMAS[i] : pragma;
    }
    if (pragma == NULL) {
        return false;
    }
    if (argument == NULL) {
        return pragma->argument != ARGUMENT_NAME;
    }
    switch (pragma->argument) {
    case ARGUMENT_NONE:
        return false;
    case ARGUMENT_BOOLEAN:
        return is_boolean(argument);
    case ARGUMENT_OPTIONAL_NUMBER:
        return is_number(argument);
    case ARGUMENT_NAME:
    case ARGUMENT_OPTIONAL_NAME:
    case ARGUMENT_ANY_NAME:
        return may_name(argument);
    }
    return false;
}

static bool may_in_main(int action, const char *one, const char *two)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_ANALYZE:
        return true;
    case SQLITE_READ:
    case SQLITE_UPDATE:
    case SQLITE_INSERT:
    case SQLITE_DELETE:
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_VIEW:
    case SQLITE_REINDEX:
        return may_name(one);
    case SQLITE_CREATE_INDEX:
    case SQLITE_DROP_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_TRIGGER:
        return may_name(one) && may_name(two);
    case SQLITE_ALTER_TABLE: /* the database's name comes first */
        return may_name(two);
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_VTABLE:
        return may_name(one) && is_one_of(two, MODULES, sizeof MODULES / sizeof MODULES[0]);
    case SQLITE_PRAGMA:
        return may_pragma(one, two);
    case SQLITE_FUNCTION:
        return is_one_of(two, FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]);
    default:
        return false; /* ATTACH, DETACH, all that is temporary */
    }
}

/* What neither changes the schema nor how statements are prepared. */
static bool is_of_rows(int action)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
        return true;
    default:
        return false;
    }
}

static int authorize(void *context, int action, const char *one, const char *two,
                     const char *schema, const char *trigger)
{
    (void)trigger;
    struct ps_d1_database *database = context;
    if (database->trusted) {
        return SQLITE_OK;
    }
    database->only_rows = database->only_rows && is_of_rows(action);
    if (action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT) {
        database->transaction_refused = true;
        return SQLITE_DENY;
    }
    schema = action == SQLITE_ALTER_TABLE ? one : schema;
    bool may = false;
    if (schema == NULL || strcmp(schema, "main") == 0) {
        may = may_in_main(action, one, two);
    } else if (strcmp(schema, "temp") == 0) {
        may = (action == SQLITE_READ || action == SQLITE_UPDATE) && may_name(one);
    }
    return may ? SQLITE_OK : SQLITE_DENY;
}

/* --- chance --- */

static uint64_t draw(struct ps_d1_database *database)
{
    uint64_t seed = database->call == NULL ? 0 : database->call->seed;
    return ps_random_u64(seed, ps_stream_of("d1-random", NULL, NULL), database->drawn++);
}

static void sql_random(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_int64(context, (sqlite3_int64)draw(sqlite3_user_data(context)));
}

static void sql_randomblob(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct ps_d1_database *database = sqlite3_user_data(context);
    sqlite3_int64 size = sqlite3_value_int64(values[0]);
    size = size < 1 ? 1 : size;
    if (size > sqlite3_limit(database->db, SQLITE_LIMIT_LENGTH, -1)) {
        sqlite3_result_error_toobig(context);
        return;
    }
    char *bytes = ps_calloc((size_t)size, 1);
    for (size_t at = 0; at < (size_t)size; at += sizeof(uint64_t)) {
        uint64_t word = draw(database);
        size_t left = (size_t)size - at;
        for (size_t i = 0; i < sizeof word && i < left; i++) {
            bytes[at + i] = (char)(word >> (8 * i));
        }
    }
    sqlite3_result_blob64(context, bytes, (sqlite3_uint64)size, free);
}

/* --- limits --- */

static void set_limits(struct sqlite3 *db)
{
    static const struct {
        int limit;
        int value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, PS_D1_VALUE_SIZE_MAX},
        {SQLITE_LIMIT_SQL_LENGTH, 100000},
        {SQLITE_LIMIT_COLUMN, 100},
        {SQLITE_LIMIT_EXPR_DEPTH, 100},
        {SQLITE_LIMIT_COMPOUND_SELECT, 5},
        {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_FUNCTION_ARG, 127},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 100},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 10},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        (void)sqlite3_limit(db, limits[i].limit, limits[i].value);
    }
}

enum ps_status ps_d1_policy_set(struct ps_d1_database *database)
{
    struct sqlite3 *db = database->db;
    const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS;
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc = rc != SQLITE_OK
             ? rc
             : sqlite3_create_function(db, "random", 0, flags, database, sql_random, NULL, NULL);
    rc = rc != SQLITE_OK ? rc
                         : sqlite3_create_function(db, "randomblob", 1, flags, database,
                                                   sql_randomblob, NULL, NULL);
    rc = rc != SQLITE_OK ? rc : sqlite3_set_authorizer(db, authorize, database);
    set_limits(db);
    return rc == SQLITE_OK ? PS_OK : PS_IO;
}
