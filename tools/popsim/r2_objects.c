#include "tools/popsim/r2_objects.h"

#include "node/r2/error.h"
#include "node/r2/object.h"
#include "tools/popsim/http_client.h"
#include "tools/popsim/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERVAL_NS (200 * PS_MS)

enum { PATH_SIZE = 4096 };

/* ---- how far it is ---- */

struct progress {
    bool shown; /* somebody looks */
    bool dirty;
    uint64_t begun_ns;
    uint64_t last_ns;
};

static void progress_begin(struct progress *progress)
{
    *progress =
        (struct progress){.shown = isatty(STDERR_FILENO) == 1, .begun_ns = cli_monotonic_ns()};
}

static void show(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    uint64_t now_ns = cli_monotonic_ns();
    if (!progress->shown || now_ns - progress->last_ns < INTERVAL_NS) {
        return;
    }
    progress->last_ns = now_ns;
    progress->dirty = true;
    (void)fprintf(stderr, "\r\033[K%" PRIu64 " MiB", done / PS_R2_MIB);
    if (total > 0 && done > 0) {
        uint64_t spent_ns = now_ns - progress->begun_ns;
        uint64_t left_ns = (uint64_t)((ps_u128)spent_ns * (total - done) / done);
        (void)fprintf(stderr, " of %" PRIu64 ", %" PRIu64 " %%, %" PRIu64 " s left",
                      total / PS_R2_MIB, (uint64_t)((ps_u128)done * 100 / total),
                      (left_ns + PS_SECOND - 1) / PS_SECOND);
    }
    (void)fflush(stderr);
}

static void progress_end(const struct progress *progress)
{
    if (progress->dirty) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}

/* ---- calls ---- */

void r2_put_bucket(struct ps_buf *target, const char *bucket)
{
    ps_buf_append_text(target, R2_BUCKETS "/");
    client_put_coded(target, bucket);
}

void r2_put_query(struct ps_buf *target, const char *name, const char *value)
{
    if (value != NULL) {
        bool first = memchr(target->data, '?', target->size) == NULL;
        ps_buf_printf(target, "%c%s=", first ? '?' : '&', name);
        client_put_coded(target, value);
    }
}

static void put_object(struct ps_buf *target, const struct r2_object *object)
{
    r2_put_bucket(target, object->bucket);
    ps_buf_append_text(target, "/objects/");
    client_put_coded(target, object->key);
}

void r2_print_json(const json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fputc('\n', stdout);
}

/* Returns an exit code; of an answer, whatever it is, CLI_OK. */
static int pass_to(const struct client *client, const char *method, struct ps_slice target,
                   const char *more, struct http_stream *stream, struct http_reply *ret)
{
    const struct ps_cluster_state *state = client->state;
    struct ps_buf headers = {0};
    struct ps_error err = {0};
    struct progress progress;
    progress_begin(&progress);
    stream->progress = show;
    stream->context = &progress;
    client_put_token(client, &headers);
    ps_buf_append_text(&headers, more);
    enum ps_status status = http_pass(state->bind, state->nodes[client->pop].api_port, method,
                                      target, ps_buf_text(&headers), stream, ret, &err);
    progress_end(&progress);
    ps_buf_fini(&headers);
    return status == PS_OK ? CLI_OK : cli_fail(&err);
}

/* One call about the object. */
static int pass(const struct client *client, const struct r2_object *object, const char *method,
                const char *more, struct http_stream *stream, struct http_reply *ret)
{
    struct ps_buf target = {0};
    put_object(&target, object);
    int code = pass_to(client, method, ps_buf_slice(&target), more, stream, ret);
    ps_buf_fini(&target);
    return code;
}

/* ---- put ---- */

static int put_header(struct ps_buf *headers, const char *name, const char *value)
{
    if (value == NULL) {
        return CLI_OK;
    }
    if (strpbrk(value, "\r\n") != NULL) {
        return cli_usage("%s: it must be one line", name);
    }
    ps_buf_printf(headers, "%s: %s\r\n", name, value);
    return CLI_OK;
}

static int put_headers(const struct r2_object *object, struct ps_buf *headers)
{
    const struct {
        const char *name;
        const char *value;
    } given[] = {{"Content-Type", object->content_type},
                 {"Content-Language", object->content_language},
                 {"Content-Disposition", object->content_disposition},
                 {"Content-Encoding", object->content_encoding},
                 {"Cache-Control", object->cache_control},
                 {"Expires", object->expires},
                 {"cf-r2-storage-class", object->storage_class}};

    int code = CLI_OK;
    for (size_t i = 0; i < sizeof given / sizeof given[0] && code == CLI_OK; i++) {
        code = put_header(headers, given[i].name, given[i].value);
    }
    return code;
}

static int open_source(const struct r2_object *object, struct http_stream *stream)
{
    struct stat stat;
    if (object->pipe) {
        stream->from = stdin;
        return CLI_OK;
    }
    stream->from = fopen(object->file, "rbe");
    if (stream->from == NULL || fstat(fileno(stream->from), &stat) != 0) {
        return cli_usage("%s: %s", object->file, strerror(errno));
    }
    if (S_ISDIR(stat.st_mode)) {
        return cli_usage("%s: %s", object->file, strerror(EISDIR));
    }
    stream->sized = S_ISREG(stat.st_mode);
    stream->size = stream->sized ? (uint64_t)stat.st_size : 0;
    if (stream->size > PS_R2_UPLOAD_SIZE_MAX) {
        return cli_usage("%s: more than %" PRIu64 " MiB go in parts only, through the S3 port",
                         object->file, (uint64_t)(PS_R2_UPLOAD_SIZE_MAX / PS_R2_MIB));
    }
    return CLI_OK;
}

static int print_put(const struct client *client, const struct r2_object *object,
                     const struct http_reply *reply)
{
    json_t *json =
        json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size, 0, NULL);
    const json_t *result = json_object_get(json, "result");
    struct ps_slice lsn = http_reply_header(reply, "popsim-lsn");
    if (object->json) {
        r2_print_json(result);
    }
    (void)fprintf(stderr, "%s: %s bytes, etag %s, committed at LSN %.*s\n", client_code(client),
                  client_text_of(result, "size"), client_text_of(result, "etag"), (int)lsn.size,
                  lsn.data);
    json_decref(json);
    return CLI_OK;
}

int r2_put(const struct client *client, const struct r2_object *object)
{
    struct http_stream stream = {0};
    struct http_reply reply = {0};
    struct ps_buf headers = {0};
    int code = put_headers(object, &headers);
    if (code == CLI_OK) {
        code = open_source(object, &stream);
    }
    if (code == CLI_OK) {
        code = pass(client, object, "PUT", ps_buf_text(&headers), &stream, &reply);
    }
    if (code == CLI_OK) {
        code = reply.status == 200 ? print_put(client, object, &reply)
                                   : client_refusal(client, &reply);
    }
    if (stream.from != NULL && stream.from != stdin) {
        (void)fclose(stream.from);
    }
    http_reply_fini(&reply);
    ps_buf_fini(&headers);
    return code;
}

int r2_set_class(const struct client *client, const char *bucket, const char *storage_class)
{
    struct http_stream stream = {0};
    struct http_reply reply = {0};
    struct ps_buf headers = {0};
    struct ps_buf target = {0};
    r2_put_bucket(&target, bucket);
    int code = put_header(&headers, "cf-r2-storage-class", storage_class);
    if (code == CLI_OK) {
        code =
            pass_to(client, "PATCH", ps_buf_slice(&target), ps_buf_text(&headers), &stream, &reply);
    }
    if (code == CLI_OK && reply.status != 200) {
        code = client_refusal(client, &reply);
    }
    http_reply_fini(&reply);
    ps_buf_fini(&headers);
    ps_buf_fini(&target);
    return code;
}

/* ---- get ---- */

/* Where a get's bytes go: under another name until all are there. */
struct sink {
    const char *path;     /* NULL: standard output */
    char temp[PATH_SIZE]; /* empty: `path` itself, which is no regular file */
    FILE *file;
};

/* A key may be a path; it leads nowhere but below the working directory. */
static bool is_below(const char *path)
{
    bool below = path[0] != '/' && path[0] != '\0';
    for (const char *at = path; below && at != NULL; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        size_t size = strcspn(at, "/");
        below =
            size > 0 && !(size == 2 && memcmp(at, "..", 2) == 0) && !(size == 1 && at[0] == '.');
    }
    return below;
}

static void make_folders(const char *path)
{
    char folder[PATH_SIZE];
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(at - path), path);
        if (folder[0] != '\0') {
            (void)mkdir(folder, 0777); /* what fails is told when the file is opened */
        }
    }
}

static int open_sink(const struct r2_object *object, struct sink *sink)
{
    struct stat stat_;
    *sink = (struct sink){.path = object->pipe ? NULL : object->file};
    if (object->pipe) {
        sink->file = stdout;
        return CLI_OK;
    }
    if (object->file == NULL) {
        if (!is_below(object->key)) {
            return cli_usage("r2 object get: the key is no name for a file here; give --file or "
                             "--pipe");
        }
        sink->path = object->key;
        make_folders(object->key);
    }
    bool plain = stat(sink->path, &stat_) != 0 || S_ISREG(stat_.st_mode);
    if (plain &&
        snprintf(sink->temp, sizeof sink->temp, "%s.part", sink->path) >= (int)sizeof sink->temp) {
        return cli_usage("%s: %s", sink->path, strerror(ENAMETOOLONG));
    }
    sink->file = fopen(plain ? sink->temp : sink->path, "wbe");
    return sink->file != NULL ? CLI_OK : cli_usage("%s: %s", sink->path, strerror(errno));
}

/* `code`: how it went so far. */
static int close_sink(struct sink *sink, int code)
{
    if (sink->file == NULL) {
        return code;
    }
    bool failed = sink->file == stdout ? fflush(stdout) != 0 : fclose(sink->file) != 0;
    if (code == CLI_OK && !failed && sink->temp[0] != '\0') {
        failed = rename(sink->temp, sink->path) != 0;
    }
    if (code == CLI_OK && failed) {
        (void)fprintf(stderr, "popsim: %s: %s\n", sink->path == NULL ? "-" : sink->path,
                      strerror(errno));
        code = CLI_FAILED;
    }
    if (code != CLI_OK && sink->temp[0] != '\0') {
        (void)unlink(sink->temp);
    }
    return code;
}

static bool is_no_such_key(const struct http_reply *reply)
{
    json_t *json =
        json_loadb(reply->body.size == 0 ? "" : reply->body.data, reply->body.size, 0, NULL);
    const json_t *first = json_array_get(json_object_get(json, "errors"), 0);
    json_int_t code = json_integer_value(json_object_get(first, "code"));
    json_decref(json);
    return code == (json_int_t)ps_r2_code_info(PS_R2_CODE_NO_SUCH_KEY)->v4_code;
}

static int not_found(const struct client *client)
{
    (void)fprintf(stderr, "%s: not found\n", client_code(client));
    return CLI_BROKEN;
}

static struct ps_slice unquoted(struct ps_slice etag)
{
    bool quoted = etag.size >= 2 && etag.data[0] == '"';
    return quoted ? (struct ps_slice){etag.data + 1, etag.size - 2} : etag;
}

static void print_got(const struct client *client, const struct http_reply *reply)
{
    struct ps_slice size = http_reply_header(reply, "content-length");
    struct ps_slice etag = unquoted(http_reply_header(reply, "etag"));
    struct ps_slice lsn = http_reply_header(reply, "popsim-lsn");
    (void)fprintf(stderr, "%s: %.*s bytes, etag %.*s, version at LSN %.*s\n", client_code(client),
                  (int)size.size, size.data, (int)etag.size, etag.data, (int)lsn.size, lsn.data);
}

int r2_get(const struct client *client, const struct r2_object *object)
{
    struct sink sink = {0};
    struct http_reply reply = {0};
    int code = open_sink(object, &sink);
    struct http_stream stream = {.into = sink.file};
    if (code == CLI_OK) {
        code = pass(client, object, "GET", "", &stream, &reply);
        bool absent = code == CLI_OK && reply.status == 404 && is_no_such_key(&reply);
        if (absent) {
            code = not_found(client);
        } else if (code == CLI_OK && reply.status != 200) {
            code = client_refusal(client, &reply);
        }
    }
    code = close_sink(&sink, code);
    if (code == CLI_OK) {
        print_got(client, &reply);
    }
    http_reply_fini(&reply);
    return code;
}

/* ---- delete ---- */

int r2_delete(const struct client *client, const struct r2_object *object)
{
    struct http_stream stream = {0};
    struct http_reply reply = {0};
    int code = pass(client, object, "DELETE", "", &stream, &reply);
    if (code == CLI_OK && reply.status != 200) {
        code = client_refusal(client, &reply);
    } else if (code == CLI_OK) {
        struct ps_slice lsn = http_reply_header(&reply, "popsim-lsn");
        bool was_there = lsn.size > 0 && !ps_slice_eq(lsn, PS_LIT("0"));
        (void)fprintf(stderr, was_there ? "%s: deleted at LSN %.*s\n" : "%s: it was not there\n",
                      client_code(client), (int)lsn.size, lsn.data);
    }
    http_reply_fini(&reply);
    return code;
}

/* ---- list, head ---- */

static int ask_page(const struct client *client, const struct r2_list *list, json_t **ret)
{
    struct ps_buf target = {0};
    r2_put_bucket(&target, list->bucket);
    ps_buf_append_text(&target, "/objects");
    r2_put_query(&target, "prefix", list->prefix);
    r2_put_query(&target, "delimiter", list->delimiter);
    r2_put_query(&target, "per_page", list->limit);
    r2_put_query(&target, "cursor", list->cursor);
    int code = client_rest_page(client, ps_buf_slice(&target), ret);
    ps_buf_fini(&target);
    return code;
}

static json_int_t size_of(const json_t *object)
{
    return json_integer_value(json_object_get(object, "size"));
}

/* Groups are rows without more than their name. */
static void print_page(const json_t *page)
{
    static const char *const columns[] = {"KEY", "SIZE", "LAST MODIFIED", "ETAG", "STORAGE CLASS"};
    struct libscols_table *table = tables_new(stdout, columns, 5);
    size_t index;
    const json_t *one;
    json_array_foreach(json_object_get(page, "result"), index, one)
    {
        char size[32];
        (void)snprintf(size, sizeof size, "%" JSON_INTEGER_FORMAT, size_of(one));
        const char *const cells[] = {
            client_text_of(one, "key"), size, client_text_of(one, "last_modified"),
            client_text_of(one, "etag"), client_text_of(one, "storage_class")};
        tables_row(table, cells, 5);
    }
    json_array_foreach(json_object_get(json_object_get(page, "result_info"), "delimited"), index,
                       one)
    {
        const char *const cells[] = {json_string_value(one), "", "", "", ""};
        tables_row(table, cells, 5);
    }
    tables_print(table);
}

int r2_list(const struct client *client, const struct r2_list *list)
{
    json_t *page = NULL;
    int code = ask_page(client, list, &page);
    if (code == CLI_OK && list->json) {
        json_t *shown = json_pack("{s:O, s:O}", "objects", json_object_get(page, "result"), "info",
                                  json_object_get(page, "result_info"));
        r2_print_json(shown);
        json_decref(shown);
    } else if (code == CLI_OK) {
        const json_t *cursor = json_object_get(json_object_get(page, "result_info"), "cursor");
        print_page(page);
        (void)fflush(stdout);
        if (cursor != NULL) {
            (void)fprintf(stderr, "there are more; go on with --cursor %s\n",
                          json_string_value(cursor));
        }
    }
    json_decref(page);
    return code;
}

static void print_member(const json_t *object, const char *name, const char *label)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text != NULL) {
        (void)printf("%-20s%s\n", label, text);
    }
}

static void print_head(const json_t *object)
{
    const json_t *http = json_object_get(object, "http_metadata");
    const char *name;
    json_t *value;
    print_member(object, "key", "key");
    (void)printf("%-20s%" JSON_INTEGER_FORMAT "\n", "size", size_of(object));
    print_member(object, "etag", "etag");
    print_member(object, "last_modified", "last modified");
    print_member(object, "storage_class", "storage class");
    print_member(http, "contentType", "content type");
    print_member(http, "contentLanguage", "content language");
    print_member(http, "contentDisposition", "content disposition");
    print_member(http, "contentEncoding", "content encoding");
    print_member(http, "cacheControl", "cache control");
    print_member(http, "cacheExpiry", "expires");
    json_object_foreach(json_object_get(object, "custom_metadata"), name, value)
    {
        (void)printf("%-20s%s: %s\n", "metadata", name, json_string_value(value));
    }
}

/* A list tells more of an object than its headers do; a key comes before all it is a prefix of. */
int r2_head(const struct client *client, const struct r2_object *object)
{
    const struct r2_list list = {.bucket = object->bucket, .prefix = object->key, .limit = "1"};
    json_t *page = NULL;
    int code = ask_page(client, &list, &page);
    const json_t *first = json_array_get(json_object_get(page, "result"), 0);
    if (code == CLI_OK && strcmp(client_text_of(first, "key"), object->key) != 0) {
        code = not_found(client);
    } else if (code == CLI_OK && object->json) {
        r2_print_json(first);
    } else if (code == CLI_OK) {
        print_head(first);
    }
    json_decref(page);
    return code;
}
