#include "node/io/s3/s3_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

enum { PARTS_OF_A_TURN = 4 };

struct ps_s3_copying {
    struct ps_node_store *store; /* the source's */
    struct ps_download *download;
    struct ps_upload *upload;
    struct ps_r2_blob blob;
    struct ps_object_call read;
    struct ps_r2_span span;
    struct ps_r2_request put; /* what it comes to: a PUT, or an UPLOAD_PART */
    struct ps_tail tail;
    struct ps_buf part;
    bool begun; /* the tail is there */
    bool full;  /* the upload takes no more for now */
    struct ps_blob_loss loss;
};

void ps_s3_copying_destroy(struct ps_s3_copying *copying)
{
    if (copying == NULL) {
        return;
    }
    if (copying->download != NULL) {
        ps_download_cancel(copying->download);
    }
    if (copying->upload != NULL) {
        ps_upload_abort(copying->upload);
    }
    ps_tail_fini(&copying->tail);
    ps_object_call_fini(&copying->read);
    ps_buf_fini(&copying->part);
    if (copying->put.op == PS_R2_PUT) {
        free(copying->put.meta.custom);
    }
    free(copying);
}

/* ---- what it comes to ---- */

/* The hashes that the copy is to have: as long as the bytes are the same, the source's. */
static ps_r2_hash_set hashes_of(const struct ps_s3_request *request)
{
    const struct ps_r2_object *source = &request->copying->read.object;
    ps_r2_hash_set hashes = request->call.hashes | PS_R2_HASH_BIT(PS_R2_MD5);
    return request->copying->put.op == PS_R2_PUT && !source->composite
               ? hashes | source->checksums.present
               : hashes;
}

static void set_put(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    const struct ps_r2_object *source = &copying->read.object;
    if (request->call.op == PS_S3_COPY_OBJECT) {
        ps_s3_copy_as_put(&request->call, source, &copying->put);
        if (!source->composite) {
            copying->put.declared = source->checksums;
        }
    } else {
        copying->put = request->call.request;
    }
}

/* ---- the bytes ---- */

static void on_uploaded(void *context, const struct ps_blob_result *result)
{
    struct ps_s3_request *request = context;
    struct ps_s3_copying *copying = request->copying;
    request->copying->upload = NULL;
    if (result->status != PS_OK) {
        ps_s3_complete_failed(request, result->status);
        return;
    }
    request->copying->blob.size = result->size;
    copying->put.body = (struct ps_r2_body){.blobs = &request->copying->blob, .blob_count = 1};
    copying->put.computed = result->checksums;
    ps_s3_run_as(request, &copying->put);
}

static void break_off(struct ps_s3_request *request, enum ps_status status)
{
    ps_upload_abort(request->copying->upload);
    request->copying->upload = NULL;
    ps_s3_complete_failed(request, status);
}

static void pump(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    struct ps_tail *tail = &copying->tail;
    enum ps_tail_state state = PS_TAIL_READY;
    for (int i = 0;
         i < PARTS_OF_A_TURN && state == PS_TAIL_READY && !copying->full && ps_tail_left(tail);
         i++) {
        copying->part.size = 0;
        state = ps_tail_next(tail, &copying->part);
        if (state == PS_TAIL_READY) {
            copying->full =
                !ps_upload_append(request->copying->upload, ps_buf_slice(&copying->part));
        }
    }
    if (state == PS_TAIL_BROKEN) {
        break_off(request, PS_UNREACHABLE);
    } else if (!ps_tail_left(tail)) {
        ps_upload_finish(request->copying->upload);
    } else if (state == PS_TAIL_READY && !copying->full) {
        ps_s3_later(request, pump); /* others first */
    }
}

static void on_ready(void *reader)
{
    struct ps_s3_request *request = reader;
    if (request->copying->upload != NULL && !request->copying->full) {
        ps_s3_later(request, pump);
    }
}

static void on_drained(void *context)
{
    struct ps_s3_request *request = context;
    request->copying->full = false;
    if (request->copying->begun && ps_tail_left(&request->copying->tail)) {
        ps_s3_later(request, pump);
    }
}

static void begin_upload(struct ps_s3_request *request)
{
    const struct ps_blob_writer writer = {on_drained, on_uploaded, request};
    struct ps_token id;
    ps_node_unique(request->node, &id);
    memcpy(&request->copying->blob.id, &id, sizeof request->copying->blob.id);
    request->copying->upload =
        ps_upload_begin(request->store, &request->copying->blob.id, hashes_of(request), true,
                        request->copying->span.length, &writer);
}

static void read_source(struct ps_s3_request *request);

static void read_again(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    uint64_t wait_ns;
    if (!ps_blob_look_again(&copying->loss, &copying->read.object.version, &wait_ns)) {
        ps_s3_complete_failed(request, PS_CORRUPT);
        return;
    }
    ps_object_call_fini(&copying->read);
    if (copying->put.op == PS_R2_PUT) {
        free(copying->put.meta.custom);
    }
    copying->put = (struct ps_r2_request){.op = PS_R2_HEAD};
    ps_s3_later_in(request, wait_ns, read_source);
}

static void on_begun(void *context, enum ps_status status, struct ps_tail *tail)
{
    struct ps_s3_request *request = context;
    struct ps_s3_copying *copying = request->copying;
    request->copying->download = NULL;
    if (status == PS_NOT_FOUND) {
        read_again(request);
        return;
    }
    if (status != PS_OK) {
        ps_s3_complete_failed(request, status == PS_INVALID ? PS_CORRUPT : status);
        return;
    }
    copying->tail = *tail;
    copying->begun = true;
    if (tail->source != NULL) {
        tail->source->ready = on_ready;
        tail->source->reader = request;
    }
    begin_upload(request);
    ps_s3_later(request, pump);
}

static void copy_blobs(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    size_t count;
    copying->read.span = copying->span;
    struct ps_download_part *parts = ps_object_call_parts(&copying->read, &count);
    struct ps_download *download =
        ps_download_begin(copying->store, parts, count, on_begun, request);
    free(parts);
    if (download != NULL) {
        request->copying->download = download;
    }
}

static void copy_bytes(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    const struct ps_slice all = copying->read.body.bytes;
    const struct ps_slice bytes = {copying->span.length == 0 ? "" : all.data + copying->span.offset,
                                   copying->span.length};
    if (copying->put.op == PS_R2_PUT) {
        copying->put.body = (struct ps_r2_body){.bytes = bytes};
        ps_r2_digest_of(hashes_of(request), bytes, &copying->put.computed);
        ps_s3_run_as(request, &copying->put);
        return;
    }
    begin_upload(request);
    (void)ps_upload_append(request->copying->upload, bytes);
    ps_upload_finish(request->copying->upload);
}

static void copy(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    struct ps_object_call *read = &copying->read;
    struct ps_http_response *response = &request->exchange->response;
    struct ps_r2_error error = read->error;
    if (read->status != PS_OK) {
        ps_s3_complete_failed(request, read->status);
        return;
    }
    bool hidden = !read->has_object && error.code != PS_R2_CODE_NO_SUCH_KEY;
    if (!hidden && !ps_s3_check_source(&request->call, read->has_object ? &read->object : NULL,
                                       &copying->span, response)) {
        ps_s3_complete(request);
        return;
    }
    bool too_large = copying->span.length > PS_R2_UPLOAD_SIZE_MAX;
    if (hidden || too_large) {
        error.code = hidden ? error.code : PS_R2_CODE_ENTITY_TOO_LARGE;
        ps_s3_answer_error(&request->call, &error, response);
        ps_s3_complete(request);
        return;
    }
    set_put(request);
    if (read->body.blob_count > 0 && copying->span.length > 0) {
        copy_blobs(request);
    } else {
        copy_bytes(request);
    }
}

static void on_read(struct ps_object_call *call)
{
    ps_s3_later(call->context, copy);
}

static void read_source(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    copying->read = (struct ps_object_call){.store = copying->store,
                                            .request = &request->call.source,
                                            .context = request,
                                            .done = on_read};
    ps_object_call_start(&copying->read);
}

static void on_found(struct ps_s3_request *request)
{
    struct ps_s3_copying *copying = request->copying;
    if (copying->store == NULL) {
        ps_s3_no_such_bucket(&request->exchange->response);
        ps_s3_complete(request);
    } else if (copying->store == request->store && request->call.op == PS_S3_COPY_OBJECT) {
        ps_s3_run(request); /* home has all of it */
    } else {
        read_source(request);
    }
}

void ps_s3_copy(struct ps_s3_request *request)
{
    request->copying = PS_NEW(struct ps_s3_copying);
    ps_s3_find(request, request->call.source_bucket, &request->copying->store, on_found);
}
