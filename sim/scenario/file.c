#include "sim/scenario/file.h"

#include "sim/scenario/read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK_SIZE = 64 << 10 };

enum ps_status ps_file_read(const char *path, size_t most, struct ps_buf *ret, struct ps_error *err)
{
    char reason[128];
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return ps_fail(err, PS_NOT_FOUND, "%s: %s", path, strerror_r(errno, reason, sizeof reason));
    }
    /* A pipe or device could go on for ever; fread of a folder says only that. */
    struct stat about;
    enum ps_status status = PS_OK;
    if (fstat(fileno(file), &about) == 0 && S_ISDIR(about.st_mode)) {
        status = ps_fail(err, PS_INVALID, "%s: is a folder, expected a file", path);
    }
    size_t before = ret->size;
    while (status == PS_OK) {
        ps_buf_reserve(ret, CHUNK_SIZE);
        size_t got = fread(ret->data + ret->size, 1, CHUNK_SIZE, file);
        ret->size += got;
        if (ret->size - before > most) {
            status = ps_fail(err, PS_LIMIT, "%s: has more than %zu bytes, expected at most %zu",
                             path, most, most);
        } else if (got == 0) {
            break;
        }
    }
    if (status == PS_OK && ferror(file) != 0) {
        status = ps_fail(err, PS_IO, "%s: %s", path, strerror_r(errno, reason, sizeof reason));
    }
    (void)fclose(file);
    return status;
}

void ps_scenario_file(const struct ps_reader *reader, struct ps_slice name, struct ps_buf *ret)
{
    const char *slash = strrchr(reader->path, '/');
    if (slash != NULL && (name.size == 0 || name.data[0] != '/')) {
        ps_buf_append(ret, reader->path, (size_t)(slash - reader->path) + 1);
    }
    ps_buf_append_slice(ret, name);
}

enum ps_status ps_read_file(struct ps_reader *reader, const struct ps_yaml *node,
                            struct ps_buf *ret_path, struct ps_buf *ret)
{
    struct ps_slice name;
    enum ps_status status = ps_read_text(reader, node, "the name of a file", &name);
    if (status != PS_OK) {
        return status;
    }
    if (!reader->files) {
        return ps_refuse(reader, node,
                         "found the name of a file, expected none: this scenario is no "
                         "file itself");
    }
    struct ps_error err = {0};
    ps_scenario_file(reader, name, ret_path);
    status = ps_file_read(ps_buf_text(ret_path), PS_SCENARIO_FILE_MAX, ret, &err);
    return status == PS_OK ? PS_OK : ps_refuse(reader, node, "found %s", err.text);
}
