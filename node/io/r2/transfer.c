#include "node/io/r2/transfer.h"

#include "node/io/peer.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_SIZE_MAX = 4096,  /* of what home says of an upload */
    BUFFER_FULL = 128 << 10, /* bytes that wait for the client before home is to wait */
    TARGET_SIZE = 256
};

static void put_target(char ret[TARGET_SIZE], const struct ps_node_store *store,
                       const struct ps_r2_id *id, const char *query)
{
    char hex[PS_R2_HEX_SIZE];
    ps_r2_id_hex(id, hex);
    int size = snprintf(ret, TARGET_SIZE, "/popsim/blobs/%s/%s%s", store->config->name, hex, query);
    PS_ASSERT(size > 0 && size < TARGET_SIZE);
}

static enum ps_status status_of(int http)
{
    switch (http) {
    case 200:
    case 206:
        return PS_OK;
    case 404:
        return PS_NOT_FOUND;
    case 409:
        return PS_EXISTS;
    case 416:
        return PS_INVALID;
    case 507:
        return PS_FULL;
    default:
        return PS_IO;
    }
}

/* ---- uploads ---- */

struct ps_upload {
    struct ps_node_store *store;
    struct ps_blob_writer writer;
    struct ps_blob_write *write; /* at home */
    struct ps_peer_call *call;   /* elsewhere */
    /* Elsewhere, of a known size: home takes the last byte for the end, so it goes with the finish.
     * Else bytes would become a blob that are then given up. */
    bool sized;
    uint64_t left; /* bytes that have not been appended yet */
    bool has_last;
    char last;
    struct ps_buf answer;
    int http;
};

static void upload_destroy(struct ps_upload *upload)
{
    ps_buf_fini(&upload->answer);
    free(upload);
}

static void upload_end(struct ps_upload *upload, const struct ps_blob_result *result)
{
    struct ps_blob_writer writer = upload->writer;
    writer.done(writer.context, result);
    upload_destroy(upload);
}

static void on_drained(void *context)
{
    const struct ps_upload *upload = context;
    upload->writer.drained(upload->writer.context);
}

static void on_written(void *context, const struct ps_blob_result *result)
{
    upload_end(context, result);
}

static void on_upload_head(void *context, const struct ps_http1_answer_head *head)
{
    ((struct ps_upload *)context)->http = head->status;
}

static bool on_upload_bytes(void *context, struct ps_slice bytes)
{
    struct ps_upload *upload = context;
    size_t room = ANSWER_SIZE_MAX - upload->answer.size;
    bytes.size = bytes.size < room ? bytes.size : room;
    ps_buf_append_slice(&upload->answer, bytes);
    return true;
}

static bool read_hash(const json_t *json, enum ps_r2_hash hash, struct ps_r2_checksums *ret)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%d", (int)hash);
    const char *hex = json_string_value(json_object_get(json, name));
    return hex == NULL || ps_r2_checksums_set_hex(ret, hash, ps_slice_of(hex));
}

static bool read_result(const json_t *json, struct ps_blob_result *ret)
{
    const json_t *size = json_object_get(json, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0) {
        return false;
    }
    ret->size = (uint64_t)json_integer_value(size);
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        if (!read_hash(json_object_get(json, "checksums"), (enum ps_r2_hash)hash,
                       &ret->checksums)) {
            return false;
        }
    }
    return true;
}

static void on_upload_done(void *context, enum ps_status status)
{
    struct ps_upload *upload = context;
    const struct ps_node *node = upload->store->node;
    struct ps_blob_result result = {.status = status == PS_OK ? status_of(upload->http) : status};
    char text[PS_ERROR_TEXT_SIZE];
    (void)snprintf(text, sizeof text, "home (%s) is away: %s",
                   node->state.cluster.pops[upload->store->config->home]->code,
                   ps_status_text(status));
    json_t *json = NULL;
    if (status == PS_OK) {
        json = json_loadb(upload->answer.data == NULL ? "" : upload->answer.data,
                          upload->answer.size, 0, NULL);
        const char *said = json_string_value(json_object_get(json, "error"));
        (void)snprintf(text, sizeof text, "%s",
                       said != NULL ? said : "home's answer is not understood");
        if (result.status == PS_OK && !read_result(json, &result)) {
            result.status = PS_IO;
        }
    }
    result.text = result.status == PS_OK ? NULL : text;
    json_decref(json);
    upload_end(upload, &result);
}

struct ps_upload *ps_upload_begin(struct ps_node_store *store, const struct ps_r2_id *id,
                                  ps_r2_hash_set hashes, bool sized, uint64_t size,
                                  const struct ps_blob_writer *writer)
{
    struct ps_node *node = store->node;
    struct ps_upload *upload = PS_NEW(struct ps_upload);
    upload->store = store;
    upload->writer = *writer;
    if (store->primary != NULL) {
        const struct ps_blob_writer ours = {on_drained, on_written, upload};
        upload->write = ps_blob_begin(node->blobs, store->config->name, id, hashes, &ours);
        return upload;
    }
    const struct ps_peer_handler handler = {.drained = on_drained,
                                            .head = on_upload_head,
                                            .bytes = on_upload_bytes,
                                            .done = on_upload_done,
                                            .context = upload};
    upload->sized = sized;
    upload->left = size;
    char query[32];
    char target[TARGET_SIZE];
    (void)snprintf(query, sizeof query, "?hashes=%u", hashes);
    put_target(target, store, id, query);
    const struct ps_peer_request request = {.method = "PUT",
                                            .target = ps_slice_of(target),
                                            .has_body = true,
                                            .sized = sized,
                                            .body_size = size};
    upload->call = ps_peer_start(node->peers, store->config->home, &request, &handler);
    return upload;
}

static struct ps_slice hold_last_back(struct ps_upload *upload, struct ps_slice bytes)
{
    PS_ASSERT(bytes.size <= upload->left);
    upload->left -= bytes.size;
    if (bytes.size > 0 && upload->left == 0) {
        bytes.size--;
        upload->last = bytes.data[bytes.size];
        upload->has_last = true;
    }
    return bytes;
}

bool ps_upload_append(struct ps_upload *upload, struct ps_slice bytes)
{
    if (upload->write != NULL) {
        return ps_blob_append(upload->write, bytes);
    }
    return ps_peer_send(upload->call, upload->sized ? hold_last_back(upload, bytes) : bytes);
}

void ps_upload_finish(struct ps_upload *upload)
{
    if (upload->write != NULL) {
        ps_blob_finish(upload->write);
    } else {
        if (upload->has_last) {
            (void)ps_peer_send(upload->call, (struct ps_slice){&upload->last, 1});
        }
        ps_peer_finish(upload->call);
    }
}

void ps_upload_abort(struct ps_upload *upload)
{
    if (upload->write != NULL) {
        ps_blob_abort(upload->write);
    } else {
        ps_peer_cancel(upload->call);
    }
    upload_destroy(upload);
}

/* ---- downloads ---- */

struct ps_download {
    struct ps_tail_source source; /* first member */
    struct ps_node_store *store;
    struct ps_download_part *parts;
    size_t count;
    size_t part; /* under way */
    ps_download_fn begun;
    void *context;
    bool has_begun;
    struct ps_peer_call *call; /* NULL: none is under way */
    enum ps_status refused;    /* of the part */
    struct ps_buf buffer;
    bool paused;
    bool broken;
};

static void start_part(struct ps_download *download);

static void download_destroy(struct ps_download *download)
{
    if (download->call != NULL) {
        ps_peer_cancel(download->call);
    }
    ps_buf_fini(&download->buffer);
    free(download->parts);
    free(download);
}

void ps_download_cancel(struct ps_download *download)
{
    download_destroy(download);
}

static enum ps_tail_state state_of(const struct ps_tail_source *source)
{
    const struct ps_download *download = (const struct ps_download *)(const void *)source;
    return download->buffer.size > 0 ? PS_TAIL_READY
           : download->broken        ? PS_TAIL_BROKEN
                                     : PS_TAIL_WAITS;
}

static enum ps_tail_state next_of(struct ps_tail_source *source, struct ps_buf *ret)
{
    struct ps_download *download = (struct ps_download *)(void *)source;
    enum ps_tail_state state = state_of(source);
    if (ret->size == 0) {
        struct ps_buf empty = *ret;
        *ret = download->buffer;
        download->buffer = empty;
    } else {
        ps_buf_append_slice(ret, ps_buf_slice(&download->buffer));
        download->buffer.size = 0;
    }
    if (download->paused) {
        download->paused = false;
        ps_peer_resume(download->call);
    }
    return state;
}

static void close_it(struct ps_tail_source *source)
{
    download_destroy((struct ps_download *)(void *)source);
}

static void tell(struct ps_download *download)
{
    if (download->source.ready != NULL) {
        download->source.ready(download->source.reader);
    }
}

static void fail_download(struct ps_download *download, enum ps_status status)
{
    if (download->has_begun) {
        download->broken = true;
        tell(download);
        return;
    }
    ps_download_fn begun = download->begun;
    void *context = download->context;
    download_destroy(download);
    begun(context, status, NULL);
}

static uint64_t size_of(const struct ps_download_part *parts, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
    }
    return size;
}

static void on_part_head(void *context, const struct ps_http1_answer_head *head)
{
    struct ps_download *download = context;
    struct ps_download_part *part = &download->parts[download->part];
    download->refused = status_of(head->status);
    if (part->size == UINT64_MAX && head->sized) {
        part->size = head->body_size;
    }
    if (download->refused == PS_OK && (!head->sized || head->body_size != part->size)) {
        download->refused = PS_INVALID;
    }
    if (download->refused == PS_OK && !download->has_begun) {
        struct ps_tail tail;
        ps_tail_init_source(&tail, &download->source, size_of(download->parts, download->count));
        download->has_begun = true;
        download->begun(download->context, PS_OK, &tail);
    }
}

static bool on_part_bytes(void *context, struct ps_slice bytes)
{
    struct ps_download *download = context;
    if (download->refused != PS_OK) {
        return true;
    }
    ps_buf_append_slice(&download->buffer, bytes);
    download->paused = download->buffer.size >= BUFFER_FULL;
    bool goes_on = !download->paused;
    tell(download);
    return goes_on;
}

static void on_part_done(void *context, enum ps_status status)
{
    struct ps_download *download = context;
    download->call = NULL;
    download->paused = false;
    status = status == PS_OK ? download->refused : status;
    if (status != PS_OK) {
        fail_download(download, status);
        return;
    }
    download->part++;
    if (download->part < download->count) {
        start_part(download);
    }
}

static void start_part(struct ps_download *download)
{
    struct ps_node_store *store = download->store;
    const struct ps_download_part *part = &download->parts[download->part];
    const struct ps_peer_handler handler = {
        .head = on_part_head, .bytes = on_part_bytes, .done = on_part_done, .context = download};
    char target[TARGET_SIZE];
    char range[96] = "";
    put_target(target, store, &part->id, "");
    if (part->size != UINT64_MAX) {
        (void)snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64 "\r\n",
                       part->offset, part->offset + part->size - 1);
    } else if (part->offset > 0) {
        (void)snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-\r\n", part->offset);
    }
    const struct ps_peer_request request = {
        .method = "GET", .target = ps_slice_of(target), .headers = ps_slice_of(range)};
    download->refused = PS_IO;
    download->call = ps_peer_start(store->node->peers, store->config->home, &request, &handler);
}

/* The files are here. Takes over the parts. */
static void download_here(struct ps_node_store *store, struct ps_download_part *parts, size_t count,
                          ps_download_fn begun, void *context)
{
    const struct ps_blobs *blobs = store->node->blobs;
    const char *name = store->config->name;
    int fd = -1;
    uint64_t size;
    enum ps_status status = ps_blob_open(blobs, name, &parts[0].id, &fd, &size);
    if (status == PS_OK && (parts[0].offset > size || parts[0].size > size - parts[0].offset)) {
        (void)close(fd);
        status = PS_INVALID;
    }
    if (status != PS_OK) {
        free(parts);
        begun(context, status, NULL);
        return;
    }
    struct ps_tail_file *files = PS_NEW_ARRAY(struct ps_tail_file, count);
    for (size_t i = 0; i < count; i++) {
        files[i] = (struct ps_tail_file){ps_blob_path(blobs, name, &parts[i].id), parts[i].offset,
                                         parts[i].size};
    }
    free(parts);
    struct ps_tail tail;
    ps_tail_init_files(&tail, files, count, fd);
    begun(context, PS_OK, &tail);
}

struct ps_download *ps_download_begin(struct ps_node_store *store,
                                      const struct ps_download_part *parts, size_t count,
                                      ps_download_fn begun, void *context)
{
    struct ps_download_part *kept = PS_NEW_ARRAY(struct ps_download_part, count);
    size_t kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > 0) {
            kept[kept_count++] = parts[i];
        }
    }
    PS_ASSERT(kept_count > 0);
    if (store->primary != NULL) {
        download_here(store, kept, kept_count, begun, context);
        return NULL;
    }
    struct ps_download *download = PS_NEW(struct ps_download);
    download->source =
        (struct ps_tail_source){.next = next_of, .state = state_of, .close = close_it};
    download->store = store;
    download->parts = kept;
    download->count = kept_count;
    download->begun = begun;
    download->context = context;
    start_part(download);
    return download;
}
