/* cluster.json: what the supervisor, the nodes and the commands share. */
#include "node/cluster/cluster_internal.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE_MAX = 16 << 20, PATH_SIZE = 4096 };

void ps_cluster_state_fini(struct ps_cluster_state *state)
{
    ps_cluster_fini(&state->cluster);
    free(state->nodes);
    *state = (struct ps_cluster_state){0};
}

bool ps_cluster_is_exposed(const struct ps_cluster_state *state)
{
    return state->bind[0] != '\0' && strcmp(state->bind, PS_LOOPBACK) != 0;
}

static enum ps_status read_file(const char *path, struct ps_buf *ret, struct ps_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ps_fail(err, errno == ENOENT ? PS_NOT_FOUND : PS_IO, "%s: %s", path,
                       strerror(errno));
    }
    ssize_t got;
    do {
        ps_buf_reserve(ret, 65536);
        got = read(fd, ret->data + ret->size, 65536);
        ret->size += got > 0 ? (size_t)got : 0;
    } while (got > 0 && ret->size <= FILE_SIZE_MAX);
    int failure = errno;
    (void)close(fd);
    if (got < 0) {
        return ps_fail(err, PS_IO, "%s: %s", path, strerror(failure));
    }
    return got == 0 ? PS_OK : ps_fail(err, PS_LIMIT, "%s: it is too large", path);
}

static void get_nodes(struct ps_json_reader *reader, const json_t *json,
                      struct ps_cluster_state *state)
{
    json_t *nodes = ps_json_read_array(reader, json, "nodes", PS_POPS_MAX);
    size_t count = state->cluster.pop_count;
    if (nodes == NULL || json_array_size(nodes) != count) {
        ps_json_read_fail(reader, "nodes", "one for each PoP is expected");
        return;
    }
    state->nodes = PS_NEW_ARRAY(struct ps_cluster_node, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *node = json_array_get(nodes, i);
        size_t path_size = ps_json_read_enter(reader, "nodes[%zu].", i);
        state->nodes[i].api_port = (uint16_t)ps_json_read_u64(reader, node, "api_port", UINT16_MAX);
        if (json_object_get(node, "s3_port") != NULL) { /* versions before S3 wrote none */
            state->nodes[i].s3_port =
                (uint16_t)ps_json_read_u64(reader, node, "s3_port", UINT16_MAX);
        }
        state->nodes[i].pid = (int32_t)ps_json_read_u64(reader, node, "pid", INT32_MAX);
        ps_json_read_leave(reader, path_size);
    }
}

static void get_text(struct ps_json_reader *reader, const json_t *json, const char *name, char *ret,
                     size_t size)
{
    struct ps_slice text = ps_json_read_text(reader, json, name);
    if (text.size >= size) {
        ps_json_read_fail(reader, name, "it is too long");
        return;
    }
    (void)snprintf(ret, size, "%.*s", (int)text.size, text.size == 0 ? "" : text.data);
}

static enum ps_status decode_state(const json_t *json, struct ps_cluster_state *ret,
                                   struct ps_error *err)
{
    struct ps_cluster_state state = {0};
    struct ps_json_reader reader = {.err = err};
    size_t path_size = ps_json_read_enter(&reader, "cluster.");
    enum ps_status status =
        ps_cluster_decode_json(&reader, json_object_get(json, "cluster"), &state.cluster);
    if (status != PS_OK) {
        return status;
    }
    ps_json_read_leave(&reader, path_size);
    state.timeline.origin_ns = ps_json_read_u64(&reader, json, "origin_ns", UINT64_MAX);
    state.timeline.base_ns = ps_json_read_u64(&reader, json, "base_ns", UINT64_MAX);
    state.timeline.speed_milli = ps_json_read_u64(&reader, json, "speed_milli", 1000000);
    if (state.timeline.speed_milli == 0) {
        ps_json_read_fail(&reader, "speed_milli", "a positive number is expected");
    }
    state.supervisor_pid = (int32_t)ps_json_read_u64(&reader, json, "supervisor_pid", INT32_MAX);
    get_text(&reader, json, "token", state.token, sizeof state.token);
    get_text(&reader, json, "bind", state.bind, sizeof state.bind);
    if (json_object_get(json, "s3") != NULL) {
        const json_t *keys = json_object_get(json, "s3");
        path_size = ps_json_read_enter(&reader, "s3.");
        get_text(&reader, keys, "access_key_id", state.s3_key_id, sizeof state.s3_key_id);
        get_text(&reader, keys, "secret_access_key", state.s3_secret, sizeof state.s3_secret);
        ps_json_read_leave(&reader, path_size);
    }
    get_nodes(&reader, json, &state);
    if (reader.status != PS_OK) {
        ps_cluster_state_fini(&state);
        return reader.status;
    }
    *ret = state;
    return PS_OK;
}

enum ps_status ps_cluster_state_load(const char *folder, struct ps_cluster_state *ret,
                                     struct ps_error *err)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/cluster.json", folder);
    struct ps_buf bytes = {0};
    json_t *json = NULL;
    enum ps_status status = read_file(path, &bytes, err);
    if (status == PS_OK) {
        status = ps_json_read_parse(ps_buf_slice(&bytes), &json, err);
        if (status == PS_OK) {
            status = decode_state(json, ret, err);
        }
        if (status != PS_OK) {
            (void)ps_error_wrap(err, "%s", path);
        }
    }
    json_decref(json);
    ps_buf_fini(&bytes);
    return status;
}

static void encode_state(struct ps_buf *buf, const struct ps_cluster_state *state)
{
    ps_buf_append_text(buf, "{\"cluster\":");
    ps_cluster_encode(buf, &state->cluster);
    ps_buf_printf(buf,
                  ",\n\"origin_ns\":%" PRIu64 ",\"base_ns\":%" PRIu64 ",\"speed_milli\":%" PRIu64
                  ",\n\"supervisor_pid\":%d,\"bind\":",
                  state->timeline.origin_ns, state->timeline.base_ns, state->timeline.speed_milli,
                  state->supervisor_pid);
    ps_buf_append_json(buf, ps_slice_of(state->bind));
    ps_buf_append_text(buf, ",\"token\":");
    ps_buf_append_json(buf, ps_slice_of(state->token));
    if (state->s3_key_id[0] != '\0') {
        ps_buf_append_text(buf, ",\n\"s3\":{\"access_key_id\":");
        ps_buf_append_json(buf, ps_slice_of(state->s3_key_id));
        ps_buf_append_text(buf, ",\"secret_access_key\":");
        ps_buf_append_json(buf, ps_slice_of(state->s3_secret));
        ps_buf_append_char(buf, '}');
    }
    ps_buf_append_text(buf, ",\n\"nodes\":[");
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        const struct ps_cluster_node *node = &state->nodes[i];
        ps_buf_printf(buf, "%s\n{\"pop\":\"%s\",\"api_port\":%u,\"s3_port\":%u,\"pid\":%d}",
                      i == 0 ? "" : ",", state->cluster.pops[i]->code, node->api_port,
                      node->s3_port, node->pid);
    }
    ps_buf_append_text(buf, "]}\n");
}

static bool write_all(int fd, struct ps_slice bytes)
{
    while (bytes.size > 0) {
        ssize_t wrote = write(fd, bytes.data, bytes.size);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        if (wrote > 0) {
            bytes.data += wrote;
            bytes.size -= (size_t)wrote;
        }
    }
    return true;
}

enum ps_status ps_cluster_state_save(const char *folder, const struct ps_cluster_state *state,
                                     struct ps_error *err)
{
    char path[PATH_SIZE];
    char fresh[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/cluster.json", folder);
    (void)snprintf(fresh, sizeof fresh, "%s/cluster.json.new", folder);
    struct ps_buf bytes = {0};
    encode_state(&bytes, state);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    /* A file left over from a crash keeps its mode when it is opened again. */
    bool done =
        fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, ps_buf_slice(&bytes)) && fsync(fd) == 0;
    int failure = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    ps_buf_fini(&bytes);
    if (done && rename(fresh, path) != 0) {
        done = false;
        failure = errno;
    }
    if (!done && fd >= 0) {
        (void)unlink(fresh);
    }
    return done ? PS_OK : ps_fail(err, PS_IO, "%s: %s", path, strerror(failure));
}
