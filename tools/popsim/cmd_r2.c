/* popsim r2: buckets and objects at a PoP, with the verbs of wrangler. */
#include "tools/popsim/client.h"
#include "tools/popsim/r2_objects.h"
#include "tools/popsim/r2_purge.h"
#include "tools/popsim/tables.h"

#include <stdio.h>
#include <string.h>

enum value {
    POP = CLIENT_POP,
    DATA_FILE,
    PIPE,
    CONTENT_TYPE,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CACHE_CONTROL,
    EXPIRES,
    STORAGE_CLASS,
    LOCATION,
    PREFIX,
    DELIMITER,
    LIMIT,
    CURSOR,
    AS_JSON
};

static const struct argp_option argp_options[] = {
    CLIENT_POP_OPTION,
    {"file", CLI_OPTION + DATA_FILE, "FILE", 0, "object put, get: the file to read or to write", 0},
    {"pipe", CLI_OPTION + PIPE, NULL, 0, "object put, get: standard input or output", 0},
    {"content-type", CLI_OPTION + CONTENT_TYPE, "TYPE", 0, "object put: a media type", 0},
    {"content-language", CLI_OPTION + CONTENT_LANGUAGE, "TEXT", 0, "object put: its language", 0},
    {"content-disposition", CLI_OPTION + CONTENT_DISPOSITION, "TEXT", 0,
     "object put: how it is to be presented", 0},
    {"content-encoding", CLI_OPTION + CONTENT_ENCODING, "TEXT", 0,
     "object put: how its bytes are encoded", 0},
    {"cache-control", CLI_OPTION + CACHE_CONTROL, "TEXT", 0,
     "object put: what caches may do with it", 0},
    {"expires", CLI_OPTION + EXPIRES, "DATE", 0, "object put: until when caches may keep it", 0},
    {"storage-class", CLI_OPTION + STORAGE_CLASS, "CLASS", 0,
     "object put, bucket create, bucket update: Standard or InfrequentAccess", 0},
    {"location", CLI_OPTION + LOCATION, "HINT", 0,
     "bucket create: home is a PoP of that region: wnam, enam, weur, eeur, apac or oc", 0},
    {"prefix", CLI_OPTION + PREFIX, "TEXT", 0, "object list: only keys that start with TEXT", 0},
    {"delimiter", CLI_OPTION + DELIMITER, "TEXT", 0,
     "object list: one row for all keys that are the same up to TEXT", 0},
    {"limit", CLI_OPTION + LIMIT, "N", 0, "object list: at most N rows", 0},
    {"cursor", CLI_OPTION + CURSOR, "TEXT", 0, "object list: go on where an earlier list ended", 0},
    {"json", CLI_OPTION + AS_JSON, NULL, 0,
     "bucket create, list, info, object put, head, list: print JSON", 0},
    CLI_STATE_OPTION,
    {0},
};

static const struct argp argp = {
    argp_options,
    client_parse,
    "bucket create NAME\nbucket list\nbucket info BUCKET\nbucket delete BUCKET\n"
    "bucket update storage-class BUCKET\nobject put BUCKET/KEY\nobject get BUCKET/KEY\n"
    "object head BUCKET/KEY\nobject delete BUCKET/KEY\nobject list BUCKET\n"
    "purge BUCKET [KEY...]",
    "Make, list and drop R2 buckets; put, get, delete and list their objects at a PoP.\v"
    "Bytes stream between a file and the PoP, however many they are; a put takes up to 5 GiB less "
    "5 MiB. Without --file or --pipe a get writes a file of the key's name. A key that is not "
    "there exits with 1. A purge ends what all PoPs' public caches hold of the bucket, or of up to "
    "100 keys of it. The store ASSETS is the bucket \"assets\"; either name will do.",
    NULL,
    NULL,
    NULL};

/* ---- buckets ---- */

static int call_bucket(const struct client *client, const char *method, const char *name,
                       struct ps_slice body, json_t **ret)
{
    struct ps_buf target = {0};
    if (name == NULL) {
        ps_buf_append_text(&target, R2_BUCKETS);
    } else {
        r2_put_bucket(&target, name);
    }
    int code = client_rest(client, method, ps_buf_slice(&target), body, ret);
    ps_buf_fini(&target);
    return code;
}

static void put_member(struct ps_buf *body, const char *name, const char *value)
{
    if (value != NULL) {
        ps_buf_printf(body, ",\"%s\":", name);
        ps_buf_append_json(body, ps_slice_of(value));
    }
}

static int create(const struct client *client, const struct client_args *args, const char *name)
{
    struct ps_buf body = {0};
    json_t *made = NULL;
    ps_buf_append_text(&body, "{\"name\":");
    ps_buf_append_json(&body, ps_slice_of(name));
    put_member(&body, "locationHint", args->values[LOCATION]);
    put_member(&body, "storageClass", args->values[STORAGE_CLASS]);
    ps_buf_append_char(&body, '}');
    int code = call_bucket(client, "POST", NULL, ps_buf_slice(&body), &made);
    if (code == CLI_OK && args->values[AS_JSON] != NULL) {
        r2_print_json(made);
    } else if (code == CLI_OK) {
        (void)printf("%s is made, in region %s, with storage class %s\n", name,
                     client_text_of(made, "location"), client_text_of(made, "storage_class"));
    }
    json_decref(made);
    ps_buf_fini(&body);
    return code;
}

static int ask_buckets(const struct client *client, const char *cursor, json_t **ret)
{
    struct ps_buf target = {0};
    ps_buf_append_text(&target, R2_BUCKETS "?per_page=1000");
    r2_put_query(&target, "cursor", cursor);
    int code = client_rest_page(client, ps_buf_slice(&target), ret);
    ps_buf_fini(&target);
    return code;
}

/* All of them: *ret is an array. */
static int collect(const struct client *client, json_t **ret)
{
    json_t *page = NULL;
    int code = ask_buckets(client, NULL, &page);
    *ret = json_array();
    while (code == CLI_OK) {
        (void)json_array_extend(*ret, json_object_get(json_object_get(page, "result"), "buckets"));
        json_t *cursor =
            json_incref(json_object_get(json_object_get(page, "result_info"), "cursor"));
        json_decref(page);
        page = NULL;
        if (cursor == NULL) {
            break;
        }
        code = ask_buckets(client, json_string_value(cursor), &page);
        json_decref(cursor);
    }
    return code;
}

static int list(const struct client *client, bool json)
{
    json_t *buckets = NULL;
    int code = collect(client, &buckets);
    if (code == CLI_OK && json) {
        r2_print_json(buckets);
    } else if (code == CLI_OK) {
        static const char *const columns[] = {"NAME", "LOCATION", "STORAGE CLASS", "CREATED"};
        struct libscols_table *table = tables_new(stdout, columns, 4);
        size_t index;
        const json_t *one;
        json_array_foreach(buckets, index, one)
        {
            const char *const cells[] = {
                client_text_of(one, "name"), client_text_of(one, "location"),
                client_text_of(one, "storage_class"), client_text_of(one, "creation_date")};
            tables_row(table, cells, 4);
        }
        tables_print(table);
    }
    json_decref(buckets);
    return code;
}

static int info(const struct client *client, const char *name, bool json)
{
    json_t *bucket = NULL;
    int code = call_bucket(client, "GET", name, PS_LIT(""), &bucket);
    if (code == CLI_OK && json) {
        r2_print_json(bucket);
    } else if (code == CLI_OK) {
        (void)printf("name           %s\n", client_text_of(bucket, "name"));
        (void)printf("created        %s\n", client_text_of(bucket, "creation_date"));
        (void)printf("location       %s\n", client_text_of(bucket, "location"));
        (void)printf("storage class  %s\n", client_text_of(bucket, "storage_class"));
    }
    json_decref(bucket);
    return code;
}

static int drop(const struct client *client, const char *name)
{
    json_t *gone = NULL;
    int code = call_bucket(client, "DELETE", name, PS_LIT(""), &gone);
    if (code == CLI_OK) {
        (void)printf("%s is deleted\n", name);
    }
    json_decref(gone);
    return code;
}

static int update(const struct client *client, const char *name, const char *storage_class)
{
    if (storage_class == NULL) {
        return cli_usage("r2 bucket update storage-class: --storage-class is expected");
    }
    int code = r2_set_class(client, name, storage_class);
    if (code == CLI_OK) {
        (void)printf("%s has the storage class %s by default\n", name, storage_class);
    }
    return code;
}

/* ---- objects ---- */

/* "BUCKET/KEY". False: it is none. */
static bool split(const char *path, char *ret_bucket, size_t size, const char **ret_key)
{
    const char *slash = strchr(path, '/');
    if (slash == NULL || slash == path || slash[1] == '\0' || (size_t)(slash - path) >= size) {
        return false;
    }
    (void)snprintf(ret_bucket, size, "%.*s", (int)(slash - path), path);
    *ret_key = slash + 1;
    return true;
}

static int object(const struct client *client, const struct client_args *args, const char *verb,
                  const char *path)
{
    char bucket[256];
    struct r2_object object = {.bucket = bucket,
                               .file = args->values[DATA_FILE],
                               .pipe = args->values[PIPE] != NULL,
                               .json = args->values[AS_JSON] != NULL,
                               .content_type = args->values[CONTENT_TYPE],
                               .content_language = args->values[CONTENT_LANGUAGE],
                               .content_disposition = args->values[CONTENT_DISPOSITION],
                               .content_encoding = args->values[CONTENT_ENCODING],
                               .cache_control = args->values[CACHE_CONTROL],
                               .expires = args->values[EXPIRES],
                               .storage_class = args->values[STORAGE_CLASS]};
    if (!split(path, bucket, sizeof bucket, &object.key)) {
        return cli_usage("r2 object %s: BUCKET/KEY is expected, not \"%s\"", verb, path);
    }
    if (object.file != NULL && object.pipe) {
        return cli_usage("r2 object %s: --file or --pipe, not both", verb);
    }
    if (strcmp(verb, "put") == 0) {
        return object.file == NULL && !object.pipe
                   ? cli_usage("r2 object put: --file FILE or --pipe is expected")
                   : r2_put(client, &object);
    }
    return strcmp(verb, "get") == 0    ? r2_get(client, &object)
           : strcmp(verb, "head") == 0 ? r2_head(client, &object)
                                       : r2_delete(client, &object);
}

/* ---- the command ---- */

static bool is(const struct client_args *args, size_t word, const char *text)
{
    return args->word_count > word && strcmp(args->words[word], text) == 0;
}

static int run_bucket(const struct client *client, const struct client_args *args)
{
    bool json = args->values[AS_JSON] != NULL;
    const char *name = args->words[args->word_count - 1];
    return is(args, 1, "create")   ? create(client, args, name)
           : is(args, 1, "list")   ? list(client, json)
           : is(args, 1, "info")   ? info(client, name, json)
           : is(args, 1, "update") ? update(client, name, args->values[STORAGE_CLASS])
                                   : drop(client, name);
}

static int run(const struct client *client, const struct client_args *args)
{
    if (is(args, 0, "bucket")) {
        return run_bucket(client, args);
    }
    if (is(args, 0, "purge")) {
        return r2_purge(client, args->words[1], &args->words[2], args->word_count - 2);
    }
    if (is(args, 1, "list")) {
        const struct r2_list page = {.bucket = args->words[2],
                                     .prefix = args->values[PREFIX],
                                     .delimiter = args->values[DELIMITER],
                                     .limit = args->values[LIMIT],
                                     .cursor = args->values[CURSOR],
                                     .json = args->values[AS_JSON] != NULL};
        return r2_list(client, &page);
    }
    return object(client, args, args->words[1], args->words[2]);
}

/* Are the words a verb, with what it is about? */
static bool is_known(const struct client_args *args)
{
    static const struct {
        const char *words;
        size_t names; /* that follow */
    } known[] = {{"bucket create", 1},
                 {"bucket list", 0},
                 {"bucket info", 1},
                 {"bucket delete", 1},
                 {"bucket update storage-class", 1},
                 {"object put", 1},
                 {"object get", 1},
                 {"object head", 1},
                 {"object delete", 1},
                 {"object list", 1}};

    if (is(args, 0, "purge")) {
        return args->word_count >= 2 && args->word_count <= 2 + (size_t)R2_PURGE_MAX;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t count = client_verb(args, known[i].words);
        if (count > 0 && args->word_count == count + known[i].names) {
            return true;
        }
    }
    return false;
}

int cmd_r2(int argc, char **argv)
{
    struct client_args args = {0};
    if (cli_parse(&argp, argc, argv, &args) != 0) {
        return CLI_BAD_INPUT;
    }
    if (!is_known(&args)) {
        return cli_usage("r2: bucket create, list, info, delete or update, or object put, get, "
                         "head, delete or list, or purge are expected; see popsim r2 --help");
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    if (cli_running(cli_state_folder(args.state), &state, &err) != PS_OK) {
        return cli_fail(&err);
    }
    struct client client;
    int code = client_init(&client, &args, &state);
    if (code == CLI_OK) {
        code = run(&client, &args);
    }
    ps_cluster_state_fini(&state);
    return code;
}
