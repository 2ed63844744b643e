/* Home's answers to followers that ask for the records from an LSN on.
 *
 * What a database's record is on the wire has to be worked out again, which takes a while for a
 * large one: a thread of its own does that, so that neither the loop nor commits wait for it. */
#include "node/d1/delta.h"
#include "node/d1/pages.h"
#include "node/io/node_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* Beyond these a request is lost, and asked again. */
enum { CATCH_UPS_MAX = 32 };

/* One answer in the making. */
struct catch_up {
    struct ps_job job; /* first member */
    struct ps_node_store *store;
    bool paged; /* the store is a database */
    struct ps_reply_to from;
    uint64_t from_lsn;
    uint64_t bytes_max;
    struct ps_message message; /* what home could tell when it was asked */
    struct ps_buf bytes;       /* of the answer */
};

/* Records as a message: their bytes are copied, since the map's go with each step. */
struct tail {
    struct ps_buf bytes; /* encoded records, one after the other */
    size_t *ends;
    size_t count;
    size_t capacity;
    uint64_t last_lsn;
    uint64_t bytes_max;
};

static bool take_record(void *context, const struct ps_record *record)
{
    struct tail *tail = context;
    if (record->lsn > tail->last_lsn) {
        return false;
    }
    ps_record_encode(&tail->bytes, record);
    tail->ends = ps_grow(tail->ends, tail->count, &tail->capacity, sizeof *tail->ends);
    tail->ends[tail->count++] = tail->bytes.size;
    return tail->bytes.size < tail->bytes_max && tail->count < PS_ENTRIES_MAX / 2;
}

/* A database's record, whose pages are read beside it: the walk of the log stands still meanwhile.
 */
struct copied {
    struct ps_record record; /* entries of its own, which point into bytes */
    struct ps_buf bytes;
};

static bool copy_record(void *context, const struct ps_record *record)
{
    struct copied *copied = context;
    copied->record = *record;
    copied->record.entries = PS_NEW_ARRAY(struct ps_entry, record->entry_count + 1);
    size_t size = 0;
    for (size_t i = 0; i < record->entry_count; i++) {
        size += record->entries[i].key.size + record->entries[i].value.size;
    }
    ps_buf_reserve(&copied->bytes, size + 1); /* so that it never moves */
    for (size_t i = 0; i < record->entry_count; i++) {
        struct ps_entry *entry = &copied->record.entries[i];
        *entry = record->entries[i];
        entry->key.data = copied->bytes.data + copied->bytes.size;
        ps_buf_append_slice(&copied->bytes, record->entries[i].key);
        entry->value.data = copied->bytes.data + copied->bytes.size;
        ps_buf_append_slice(&copied->bytes, record->entries[i].value);
    }
    return false;
}

struct former {
    struct ps_node_store *store;
    uint64_t lsn;
};

static enum ps_status read_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct former *former = context;
    return ps_pages_read(former->store->node->map, former->store->map_store, page, former->lsn,
                         ret);
}

/* The pages before the record may be forgotten, although it is not: a snapshot has them. */
static enum ps_status check_former(struct former *former)
{
    struct ps_slice head;
    enum ps_status status = former->lsn == 0 ? PS_OK : read_former(former, 0, &head);
    return status == PS_NOT_FOUND ? PS_TOO_OLD : status;
}

/* Take one record; *ret tells whether there may be more. */
static enum ps_status take_pages(struct ps_node_store *store, uint64_t lsn, struct tail *tail,
                                 bool *ret_more)
{
    struct copied copied = {.bytes = {0}};
    struct ps_page_record wire = {0};
    struct former former = {store, lsn - 1};
    enum ps_status status =
        ps_map_log(store->node->map, store->map_store, lsn, copy_record, &copied);
    status = status == PS_OK ? check_former(&former) : status;
    if (status == PS_OK) {
        status = ps_page_record_encode(&copied.record, read_former, &former, &wire);
    }
    if (status == PS_OK) {
        *ret_more = take_record(tail, &wire.record) && lsn < tail->last_lsn;
    }
    ps_page_record_fini(&wire);
    free(copied.record.entries);
    ps_buf_fini(&copied.bytes);
    return status;
}

static enum ps_status read_pages_tail(struct ps_node_store *store, uint64_t from_lsn,
                                      struct tail *tail)
{
    enum ps_status status = PS_OK;
    bool more = true;
    for (uint64_t lsn = from_lsn; more && status == PS_OK; lsn++) {
        status = take_pages(store, lsn, tail, &more);
    }
    return status;
}

static enum ps_status read_tail(const struct catch_up *catch_up, struct tail *tail)
{
    struct ps_node_store *store = catch_up->store;
    uint64_t from_lsn = catch_up->from_lsn;
    enum ps_status status = ps_map_read_begin(store->node->map);
    if (status != PS_OK) {
        return status;
    }
    if (catch_up->paged) {
        status = read_pages_tail(store, from_lsn, tail);
    } else {
        status = ps_map_log(store->node->map, store->map_store, from_lsn, take_record, tail);
    }
    ps_map_read_end(store->node->map);
    return status;
}

/* On any thread. */
static void make_answer(struct ps_job *job)
{
    struct catch_up *catch_up = (struct catch_up *)(void *)job;
    struct ps_message *message = &catch_up->message;
    struct tail tail = {.last_lsn = message->batch.last_lsn, .bytes_max = catch_up->bytes_max};
    job->status = PS_OK;
    if (catch_up->from_lsn <= message->batch.last_lsn) {
        job->status = read_tail(catch_up, &tail);
    }
    if (job->status == PS_OK) {
        struct ps_record *records = PS_NEW_ARRAY(struct ps_record, tail.count + 1);
        size_t start = 0;
        for (size_t i = 0; i < tail.count; i++) {
            struct ps_slice bytes = {tail.bytes.data + start, tail.ends[i] - start};
            enum ps_status decoded = ps_record_decode(bytes, &records[i]);
            PS_ASSERT(decoded == PS_OK); /* encoded right here */
            start = tail.ends[i];
        }
        message->batch.records = records;
        message->batch.record_count = tail.count;
        ps_message_encode(&catch_up->bytes, message);
        for (size_t i = 0; i < tail.count; i++) {
            ps_record_fini(&records[i]);
        }
        free(records);
    }
    ps_buf_fini(&tail.bytes);
    free(tail.ends);
}

static void send_answer(struct ps_job *job)
{
    struct catch_up *catch_up = (struct catch_up *)(void *)job;
    struct ps_node *node = catch_up->store->node;
    if (job->status == PS_OK) {
        ps_transport_answer(node->transport, &catch_up->from, ps_buf_slice(&catch_up->bytes));
    } else {
        ps_home_answer_error(node, &catch_up->from, catch_up->message.store, job->status);
    }
    ps_buf_fini(&catch_up->bytes);
    free(catch_up);
}

static void on_made(struct ps_job *job)
{
    ((struct catch_up *)(void *)job)->store->node->catch_ups--;
    send_answer(job);
}

static struct ps_worker *reader_of(struct ps_node *node)
{
    struct ps_error err = {0};
    if (node->reader == NULL && ps_worker_create(node->loop, &node->reader, &err) != PS_OK) {
        ps_node_log(node, PS_LOG_ERROR, "feed", "catching up waits: %s", err.text);
    }
    return node->reader;
}

void ps_catch_up_serve(struct ps_node_store *store, const struct ps_reply_to *from,
                       uint64_t from_lsn, uint64_t bytes_max)
{
    struct ps_node *node = store->node;
    struct catch_up *catch_up = PS_NEW(struct catch_up);
    *catch_up =
        (struct catch_up){.job = {.run = make_answer, .done = on_made},
                          .store = store,
                          .paged = store->d1 != NULL,
                          .from = *from,
                          .from_lsn = from_lsn,
                          .bytes_max = bytes_max < PS_BATCH_SIZE ? bytes_max : PS_BATCH_SIZE};
    ps_home_batch_init(store, &catch_up->message);
    if (!catch_up->paged || from_lsn > catch_up->message.batch.last_lsn) {
        make_answer(&catch_up->job);
        send_answer(&catch_up->job);
        return;
    }
    struct ps_worker *reader = node->catch_ups < CATCH_UPS_MAX ? reader_of(node) : NULL;
    if (reader == NULL) {
        free(catch_up);
        return;
    }
    node->catch_ups++;
    ps_worker_submit(reader, &catch_up->job);
}
