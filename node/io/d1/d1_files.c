#include "node/io/d1/d1_files.h"

#include "node/d1/dump.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void ps_d1_files_path(const struct ps_node *node, uint16_t pop, const char *key,
                      char ret[PS_D1_FILES_PATH_SIZE])
{
    size_t root_size = strlen(node->folder) - strlen("pop-fra");
    (void)snprintf(ret, PS_D1_FILES_PATH_SIZE, "%.*spop-%s/files%s%s", (int)root_size, node->folder,
                   node->state.cluster.pops[pop]->code, key == NULL ? "" : "/",
                   key == NULL ? "" : key);
}

static void fail(struct ps_d1_answer *ret, enum ps_status status, const char *what)
{
    ret->outcome = PS_D1_FAILED;
    ret->status = status;
    ps_buf_append_text(&ret->error, what);
}

static void fail_by_errno(struct ps_d1_answer *ret, const char *path)
{
    ret->outcome = PS_D1_FAILED;
    ret->status = errno == ENOSPC ? PS_FULL : PS_IO;
    ps_buf_printf(&ret->error, "%s: %s", path, strerror(errno));
}

/* ---- the job's body ---- */

static bool is_key(const char *text)
{
    return text != NULL && strlen(text) == PS_D1_FILES_KEY_SIZE &&
           strspn(text, "0123456789abcdef") == PS_D1_FILES_KEY_SIZE;
}

static bool read_path(const struct ps_node *node, const json_t *body,
                      char ret[PS_D1_FILES_PATH_SIZE])
{
    const char *code = json_string_value(json_object_get(body, "pop"));
    const char *key = json_string_value(json_object_get(body, "file"));
    int pop = code == NULL ? -1 : ps_cluster_find_pop(&node->state.cluster, ps_slice_of(code));
    if (pop < 0 || !is_key(key)) {
        return false;
    }
    ps_d1_files_path(node, (uint16_t)pop, key, ret);
    return true;
}

/* ---- export ---- */

static bool put_line(void *context, struct ps_slice text)
{
    FILE *file = context;
    return fwrite(text.data, 1, text.size, file) == text.size && fputc('\n', file) != EOF;
}

static void export_to(FILE *file, struct ps_d1_database *database, const json_t *body,
                      const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    const json_t *tables = json_object_get(body, "tables");
    size_t count = json_array_size(tables);
    struct ps_slice *names = PS_NEW_ARRAY(struct ps_slice, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(tables, i);
        names[i] = (struct ps_slice){json_string_value(name), json_string_length(name)};
    }
    const struct ps_d1_dump dump = {.no_schema = json_is_true(json_object_get(body, "no_schema")),
                                    .no_data = json_is_true(json_object_get(body, "no_data")),
                                    .tables = names,
                                    .table_count = count,
                                    .line = put_line,
                                    .context = file};
    ps_d1_database_dump(database, &dump, call, ret);
    free(names);
}

static void run_export(const char *path, struct ps_d1_database *database, const json_t *body,
                       const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        fail_by_errno(ret, path);
        return;
    }
    export_to(file, database, body, call, ret);
    if (fclose(file) != 0 && ret->outcome == PS_D1_DONE) {
        fail_by_errno(ret, path);
    }
}

/* ---- import ---- */

static void import_text(struct ps_slice text, struct ps_d1_database *database,
                        const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    struct ps_d1_statement statement = {.sql = text};
    const struct ps_d1_request request = {.statements = &statement, .count = 1, .script = true};
    ps_d1_database_run(database, &request, call, ret);
}

/* The file is mapped, not read: its size costs no memory. */
static void run_import(const char *path, struct ps_d1_database *database,
                       const struct ps_d1_call *call, struct ps_d1_answer *ret)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        fail_by_errno(ret, path);
    } else if (stat.st_size == 0) {
        import_text(PS_LIT(""), database, call, ret);
    } else {
        size_t size = (size_t)stat.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            fail_by_errno(ret, path);
        } else {
            import_text((struct ps_slice){bytes, size}, database, call, ret);
            (void)munmap(bytes, size);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

void ps_d1_files_run(const struct ps_node *node, struct ps_d1_database *database,
                     const struct ps_d1_job *job, const struct ps_d1_call *call,
                     const struct ps_d1_served *served, struct ps_buf *text,
                     struct ps_d1_answer *ret)
{
    char path[PS_D1_FILES_PATH_SIZE];
    *ret = (struct ps_d1_answer){.outcome = PS_D1_DONE};
    json_t *body = json_loadb(job->body.size == 0 ? "" : job->body.data, job->body.size, 0, NULL);
    if (!read_path(node, body, path)) {
        fail(ret, PS_INVALID, "the request names no file");
    } else if ((job->flags & PS_QUERY_EXPORT) != 0) {
        run_export(path, database, body, call, ret);
    } else {
        run_import(path, database, call, ret);
    }
    json_decref(body);
    if (ret->outcome == PS_D1_DONE && ret->result_count > 0) {
        ps_buf_printf(text, "\"num_queries\":%zu,\"meta\":", ret->statement_count);
        ps_d1_meta_write(text, &ret->results[0].meta, served);
    }
}
