#include "tools/popsim/d1_admin.h"

#include "node/r2/digest.h"
#include "tools/popsim/http_client.h"
#include "tools/popsim/tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DATABASES "/client/v4/accounts/popsim/d1/database"

enum { FILE_LIMIT_MS = 660000 /* home's own limit for an import is 600 s */ };

/* A call about one database, or all (name NULL). */
static int rest(const struct client *client, const char *method, const char *name,
                const char *below, struct ps_slice body, json_t **ret)
{
    struct ps_buf target = {0};
    ps_buf_append_text(&target, DATABASES);
    if (name != NULL) {
        ps_buf_append_char(&target, '/');
        client_put_coded(&target, name);
    }
    ps_buf_append_text(&target, below);
    int code = client_rest(client, method, ps_buf_slice(&target), body, ret);
    ps_buf_fini(&target);
    return code;
}

static void print_json(const json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fputc('\n', stdout);
}

/* ---- databases ---- */

int d1_create(const struct client *client, const char *name, const char *location, bool json)
{
    struct ps_buf body = {0};
    json_t *made = NULL;
    ps_buf_append_text(&body, "{\"name\":");
    ps_buf_append_json(&body, ps_slice_of(name));
    if (location != NULL) {
        ps_buf_append_text(&body, ",\"primary_location_hint\":");
        ps_buf_append_json(&body, ps_slice_of(location));
    }
    ps_buf_append_char(&body, '}');
    int code = rest(client, "POST", NULL, "", ps_buf_slice(&body), &made);
    if (code == CLI_OK && json) {
        print_json(made);
    } else if (code == CLI_OK) {
        (void)printf("%s is made, in region %s: %s\n", name,
                     client_text_of(made, "created_in_region"), client_text_of(made, "uuid"));
    }
    json_decref(made);
    ps_buf_fini(&body);
    return code;
}

int d1_delete(const struct client *client, const char *name)
{
    json_t *gone = NULL;
    int code = rest(client, "DELETE", name, "", (struct ps_slice){0}, &gone);
    if (code == CLI_OK) {
        (void)printf("%s is deleted\n", name);
    }
    json_decref(gone);
    return code;
}

int d1_list(const struct client *client, bool json)
{
    json_t *databases = NULL;
    int code = rest(client, "GET", NULL, "?per_page=1000", (struct ps_slice){0}, &databases);
    if (code == CLI_OK && json) {
        print_json(databases);
    } else if (code == CLI_OK) {
        static const char *const columns[] = {"NAME", "UUID", "CREATED"};
        struct libscols_table *table = tables_new(stdout, columns, 3);
        size_t index;
        const json_t *one;
        json_array_foreach(databases, index, one)
        {
            const char *const cells[] = {client_text_of(one, "name"), client_text_of(one, "uuid"),
                                         client_text_of(one, "created_at")};
            tables_row(table, cells, 3);
        }
        tables_print(table);
    }
    json_decref(databases);
    return code;
}

int d1_info(const struct client *client, const char *name, bool json)
{
    json_t *database = NULL;
    int code = rest(client, "GET", name, "", (struct ps_slice){0}, &database);
    if (code == CLI_OK && json) {
        print_json(database);
    } else if (code == CLI_OK) {
        (void)printf("name              %s\n", client_text_of(database, "name"));
        (void)printf("uuid              %s\n", client_text_of(database, "uuid"));
        (void)printf("created           %s\n", client_text_of(database, "created_at"));
        (void)printf("region            %s\n", client_text_of(database, "running_in_region"));
        (void)printf("bytes             %" JSON_INTEGER_FORMAT "\n",
                     json_integer_value(json_object_get(database, "file_size")));
        (void)printf("read replication  %s\n",
                     client_text_of(json_object_get(database, "read_replication"), "mode"));
    }
    json_decref(database);
    return code;
}

int d1_find(const struct client *client, const char *name, char ret[33])
{
    json_t *database = NULL;
    int code = rest(client, "GET", name, "", (struct ps_slice){0}, &database);
    if (code == CLI_OK) {
        size_t size = 0;
        for (const char *at = client_text_of(database, "uuid"); *at != '\0' && size < 32; at++) {
            if (*at != '-') {
                ret[size++] = *at;
            }
        }
        ret[size] = '\0';
    }
    json_decref(database);
    return code;
}

/* ---- exports and imports ---- */

static bool has_status(const json_t *transfer, const char *status)
{
    return strcmp(client_text_of(transfer, "status"), status) == 0;
}

/* Ask until it is over; `body` is the first question, which goes on as `again` and the bookmark.
 * *ret is then its result. */
static int transfer(const struct client *client, const char *name, const char *below,
                    struct ps_slice body, const char *again, json_t **ret)
{
    json_t *told = NULL;
    struct ps_buf question = {0};
    int code = rest(client, "POST", name, below, body, &told);
    while (code == CLI_OK && has_status(told, "active")) {
        question.size = 0;
        ps_buf_printf(&question, "{%s,\"current_bookmark\":\"%s\"}", again,
                      client_text_of(told, "at_bookmark"));
        json_decref(told);
        told = NULL;
        code = rest(client, "POST", name, below, ps_buf_slice(&question), &told);
    }
    if (code == CLI_OK && has_status(told, "complete")) {
        *ret = json_incref(json_object_get(told, "result"));
    } else if (code == CLI_OK) {
        (void)fprintf(stderr, "popsim: %s: %s\n", client_code(client),
                      client_text_of(told, "error"));
        code = CLI_BAD_INPUT;
    }
    json_decref(told);
    ps_buf_fini(&question);
    return code;
}

static enum ps_status add_name(void *context, struct ps_slice part, struct ps_error *err)
{
    struct ps_buf *body = context;
    (void)err;
    ps_buf_append_text(body, body->data[body->size - 1] == '[' ? "" : ",");
    ps_buf_append_json(body, part);
    return PS_OK;
}

static int put_export(const struct d1_export *options, struct ps_buf *body)
{
    struct ps_error err = {0};
    ps_buf_printf(
        body,
        "{\"output_format\":\"polling\",\"dump_options\":{\"no_data\":%s,\"no_schema\":%s,"
        "\"tables\":[",
        options->no_data ? "true" : "false", options->no_schema ? "true" : "false");
    if (options->tables != NULL && cli_split(options->tables, add_name, body, &err) != PS_OK) {
        return cli_fail(&err);
    }
    ps_buf_append_text(body, "]}}");
    return CLI_OK;
}

/* The path of a URL. */
static struct ps_slice path_of(const char *url)
{
    const char *at = strstr(url, "://");
    at = at == NULL ? NULL : strchr(at + 3, '/');
    return ps_slice_of(at == NULL ? "/" : at);
}

static int download(const struct client *client, const char *url, const char *output)
{
    const struct ps_cluster_state *state = client->state;
    bool standard = strcmp(output, "-") == 0;
    FILE *file = standard ? stdout : fopen(output, "wbe");
    if (file == NULL) {
        return cli_usage("%s: %s", output, strerror(errno));
    }
    struct http_reply reply = {0};
    struct ps_error err = {0};
    int code = CLI_OK;
    if (http_download(state->bind, state->nodes[client->pop].api_port, path_of(url), file,
                      FILE_LIMIT_MS, &reply, &err) != PS_OK) {
        code = cli_fail(&err);
    } else if (reply.status != 200) {
        (void)fprintf(stderr, "popsim: %s: the export's file: %d %s\n", client_code(client),
                      reply.status, reply.phrase);
        code = CLI_FAILED;
    }
    bool failed = standard ? fflush(stdout) != 0 : fclose(file) != 0;
    if (failed && code == CLI_OK) {
        (void)fprintf(stderr, "popsim: %s: %s\n", output, strerror(errno));
        code = CLI_FAILED;
    }
    http_reply_fini(&reply);
    return code;
}

int d1_export(const struct client *client, const char *name, const struct d1_export *options)
{
    struct ps_buf body = {0};
    json_t *result = NULL;
    int code = put_export(options, &body);
    if (code == CLI_OK) {
        code = transfer(client, name, "/export", ps_buf_slice(&body),
                        "\"output_format\":\"polling\"", &result);
    }
    if (code == CLI_OK) {
        code = download(client, client_text_of(result, "signed_url"), options->output);
    }
    json_decref(result);
    ps_buf_fini(&body);
    return code;
}

static int upload(const struct client *client, const char *url, struct ps_slice sql)
{
    const struct ps_cluster_state *state = client->state;
    struct http_reply reply = {0};
    struct ps_error err = {0};
    int code = CLI_OK;
    if (http_call(state->bind, state->nodes[client->pop].api_port, "PUT", path_of(url), "", sql,
                  FILE_LIMIT_MS, &reply, &err) != PS_OK) {
        return cli_fail(&err);
    }
    if (reply.status != 200) {
        (void)fprintf(stderr, "popsim: %s: the upload: %d %s\n", client_code(client), reply.status,
                      reply.phrase);
        code = CLI_FAILED;
    }
    http_reply_fini(&reply);
    return code;
}

int d1_import(const struct client *client, const char *name, struct ps_slice sql, json_t **ret)
{
    struct ps_r2_checksums sums = {0};
    struct ps_buf body = {0};
    char etag[PS_R2_ETAG_SIZE];
    json_t *place = NULL;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5), sql, &sums);
    ps_r2_etag_of_md5(sums.bytes[PS_R2_MD5], etag);
    ps_buf_printf(&body, "{\"action\":\"init\",\"etag\":\"%s\"}", etag);
    int code = rest(client, "POST", name, "/import", ps_buf_slice(&body), &place);
    if (code == CLI_OK) {
        code = upload(client, client_text_of(place, "upload_url"), sql);
    }
    if (code == CLI_OK) {
        body.size = 0;
        ps_buf_printf(&body, "{\"action\":\"ingest\",\"etag\":\"%s\",\"filename\":\"%s\"}", etag,
                      client_text_of(place, "filename"));
        code = transfer(client, name, "/import", ps_buf_slice(&body), "\"action\":\"poll\"", ret);
    }
    json_decref(place);
    ps_buf_fini(&body);
    return code;
}

void d1_print_import(const struct client *client, const json_t *result, bool json)
{
    const json_t *meta = json_object_get(result, "meta");
    json_int_t queries = json_integer_value(json_object_get(result, "num_queries"));
    json_int_t read = json_integer_value(json_object_get(meta, "rows_read"));
    json_int_t written = json_integer_value(json_object_get(meta, "rows_written"));
    if (json) {
        print_json(result);
    } else {
        (void)printf("%" JSON_INTEGER_FORMAT " statements, %" JSON_INTEGER_FORMAT
                     " rows read, %" JSON_INTEGER_FORMAT " rows written\n",
                     queries, read, written);
    }
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s: bookmark %s\n", client_code(client),
                  client_text_of(result, "final_bookmark"));
}
