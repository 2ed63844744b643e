#include "replication/wire/message.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/wire/wire_internal.h"

#include <string.h>

/* Encoding. Every message is [version, kind, store, fields]. */

static void pack_batch(msgpack_packer *packer, const struct ps_batch *batch)
{
    ps_pack_array(packer, 4);
    ps_pack_u64(packer, batch->home_boot);
    ps_pack_u64(packer, batch->closed_ns);
    ps_pack_u64(packer, batch->last_lsn);
    ps_pack_array(packer, batch->record_count);
    for (size_t i = 0; i < batch->record_count; i++) {
        ps_pack_record(packer, &batch->records[i]);
    }
}

static void pack_part(msgpack_packer *packer, const struct ps_message *message)
{
    ps_pack_array(packer, 6);
    ps_pack_u64(packer, message->part.home_boot);
    ps_pack_u64(packer, message->part.at_lsn);
    ps_pack_u64(packer, message->part.at_commit_ns);
    ps_pack_bin(packer, message->part.after_key);
    ps_pack_bool(packer, message->part.last);
    ps_pack_array(packer, message->part.entry_count);
    for (size_t i = 0; i < message->part.entry_count; i++) {
        const struct ps_snapshot_entry *entry = &message->part.entries[i];
        ps_pack_array(packer, 3);
        ps_pack_entry(packer, &entry->entry);
        ps_pack_u64(packer, entry->lsn);
        ps_pack_u64(packer, entry->commit_ns);
    }
}

static void pack_writes(msgpack_packer *packer, const struct ps_message *message)
{
    ps_pack_array(packer, message->write.write_count);
    for (size_t i = 0; i < message->write.write_count; i++) {
        const struct ps_write *write = &message->write.writes[i];
        ps_pack_array(packer, 2);
        ps_pack_bin(packer, (struct ps_slice){(const char *)write->token.bytes, PS_TOKEN_SIZE});
        ps_pack_entry(packer, &write->entry);
    }
}

static void pack_results(msgpack_packer *packer, const struct ps_message *message)
{
    ps_pack_array(packer, message->written.result_count);
    for (size_t i = 0; i < message->written.result_count; i++) {
        const struct ps_written *result = &message->written.results[i];
        ps_pack_array(packer, 3);
        ps_pack_u64(packer, result->status);
        ps_pack_u64(packer, result->lsn);
        ps_pack_u64(packer, result->commit_ns);
    }
}

static void pack_fields(msgpack_packer *packer, const struct ps_message *message)
{
    switch (message->kind) {
    case PS_MESSAGE_BATCH:
        pack_batch(packer, &message->batch);
        return;
    case PS_MESSAGE_CATCH_UP:
        ps_pack_array(packer, 2);
        ps_pack_u64(packer, message->catch_up.from_lsn);
        ps_pack_u64(packer, message->catch_up.bytes_max);
        return;
    case PS_MESSAGE_SYNC:
        ps_pack_array(packer, 1);
        ps_pack_u64(packer, message->sync.need_ns);
        return;
    case PS_MESSAGE_SNAPSHOT:
        ps_pack_array(packer, 3);
        ps_pack_u64(packer, message->snapshot.at_lsn);
        ps_pack_bin(packer, message->snapshot.after_key);
        ps_pack_u64(packer, message->snapshot.bytes_max);
        return;
    case PS_MESSAGE_PART:
        pack_part(packer, message);
        return;
    case PS_MESSAGE_WRITE:
        pack_writes(packer, message);
        return;
    case PS_MESSAGE_WRITTEN:
        pack_results(packer, message);
        return;
    case PS_MESSAGE_ERROR:
        ps_pack_array(packer, 1);
        ps_pack_u64(packer, message->error.status);
        return;
    case PS_MESSAGE_QUERY:
        ps_pack_array(packer, 5);
        ps_pack_bin(packer,
                    (struct ps_slice){(const char *)message->query.token.bytes, PS_TOKEN_SIZE});
        ps_pack_u64(packer, message->query.flags);
        ps_pack_u64(packer, message->query.need_lsn);
        ps_pack_u64(packer, message->query.retries);
        ps_pack_bin(packer, message->query.body);
        return;
    case PS_MESSAGE_ANSWERED:
        ps_pack_array(packer, 9);
        ps_pack_u64(packer, message->answered.status);
        ps_pack_bool(packer, message->answered.failed);
        ps_pack_bool(packer, message->answered.wrote);
        ps_pack_u64(packer, message->answered.lsn);
        ps_pack_u64(packer, message->answered.commit_ns);
        ps_pack_u64(packer, message->answered.restores);
        ps_pack_u64(packer, message->answered.eval_ns);
        ps_pack_u64(packer, message->answered.run_ns);
        ps_pack_bin(packer, message->answered.body);
        return;
    }
    PS_NOT_REACHED();
}

void ps_message_encode(struct ps_buf *buf, const struct ps_message *message)
{
    PS_ASSERT(message->store.size > 0);
    PS_ASSERT(message->store.size <= PS_STORE_NAME_MAX);
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_array(&packer, 4);
    ps_pack_u64(&packer, PS_WIRE_VERSION);
    ps_pack_u64(&packer, message->kind);
    ps_pack_bin(&packer, message->store);
    pack_fields(&packer, message);
}

/* Decoding. Arrays are attached to the message as soon as they exist, so that one ps_message_fini
 * releases whatever was read before something was found wrong. */

static void read_batch(struct ps_wire_reader *fields, struct ps_batch *batch)
{
    batch->home_boot = ps_wire_read_u64(fields, 0, UINT64_MAX);
    batch->closed_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
    batch->last_lsn = ps_wire_read_u64(fields, 0, UINT64_MAX - 1);
    const msgpack_object *array = ps_wire_read_array(fields);
    if (array == NULL) {
        return;
    }
    struct ps_wire_reader records = ps_wire_reader_of(array);
    batch->records = PS_NEW_ARRAY(struct ps_record, records.left + 1);
    for (; records.left > 0 && fields->status == PS_OK; records.left--, records.next++) {
        fields->status = ps_wire_read_record(records.next, &batch->records[batch->record_count]);
        batch->record_count += fields->status == PS_OK;
    }
}

static void read_part(struct ps_wire_reader *fields, struct ps_message *message)
{
    message->part.home_boot = ps_wire_read_u64(fields, 0, UINT64_MAX);
    message->part.at_lsn = ps_wire_read_u64(fields, 0, UINT64_MAX - 1);
    message->part.at_commit_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
    message->part.after_key = ps_wire_read_bin(fields, 0, PS_KEY_SIZE_MAX);
    message->part.last = ps_wire_read_bool(fields);
    const msgpack_object *array = ps_wire_read_array(fields);
    if (array == NULL) {
        return;
    }
    struct ps_wire_reader entries = ps_wire_reader_of(array);
    message->part.entries = PS_NEW_ARRAY(struct ps_snapshot_entry, entries.left + 1);
    for (; entries.left > 0 && fields->status == PS_OK; entries.left--, entries.next++) {
        struct ps_snapshot_entry *ret = &message->part.entries[message->part.entry_count++];
        struct ps_wire_reader reader = ps_wire_reader_of(entries.next);
        const msgpack_object *entry = ps_wire_read_array(&reader);
        if (entry != NULL) {
            reader.status = ps_wire_read_entry(entry, &ret->entry);
        }
        ret->lsn = ps_wire_read_u64(&reader, 1, UINT64_MAX - 1);
        ret->commit_ns = ps_wire_read_u64(&reader, 0, PS_NEVER - 1);
        ps_wire_read_end(&reader);
        fields->status = reader.status;
    }
}

static void read_writes(struct ps_wire_reader *fields, struct ps_message *message)
{
    message->write.writes = PS_NEW_ARRAY(struct ps_write, fields->left + 1);
    for (; fields->left > 0 && fields->status == PS_OK; fields->left--, fields->next++) {
        struct ps_write *ret = &message->write.writes[message->write.write_count++];
        struct ps_wire_reader reader = ps_wire_reader_of(fields->next);
        ps_wire_read_token(&reader, &ret->token);
        const msgpack_object *entry = ps_wire_read_array(&reader);
        if (entry != NULL) {
            reader.status = ps_wire_read_entry(entry, &ret->entry);
        }
        ps_wire_read_end(&reader);
        fields->status = reader.status;
    }
}

static void read_results(struct ps_wire_reader *fields, struct ps_message *message)
{
    message->written.results = PS_NEW_ARRAY(struct ps_written, fields->left + 1);
    for (; fields->left > 0 && fields->status == PS_OK; fields->left--, fields->next++) {
        struct ps_written *ret = &message->written.results[message->written.result_count++];
        struct ps_wire_reader reader = ps_wire_reader_of(fields->next);
        ret->status = (enum ps_status)ps_wire_read_u64(&reader, PS_OK, PS_STATUS_LAST);
        ret->lsn = ps_wire_read_u64(&reader, 0, UINT64_MAX - 1);
        ret->commit_ns = ps_wire_read_u64(&reader, 0, PS_NEVER - 1);
        ps_wire_read_end(&reader);
        fields->status = reader.status;
    }
}

static void read_fields(struct ps_wire_reader *fields, struct ps_message *message)
{
    switch (message->kind) {
    case PS_MESSAGE_BATCH:
        read_batch(fields, &message->batch);
        break;
    case PS_MESSAGE_CATCH_UP:
        message->catch_up.from_lsn = ps_wire_read_u64(fields, 1, UINT64_MAX - 1);
        message->catch_up.bytes_max = ps_wire_read_u64(fields, 0, UINT64_MAX);
        break;
    case PS_MESSAGE_SYNC:
        message->sync.need_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
        break;
    case PS_MESSAGE_SNAPSHOT:
        message->snapshot.at_lsn = ps_wire_read_u64(fields, 0, UINT64_MAX - 1);
        message->snapshot.after_key = ps_wire_read_bin(fields, 0, PS_KEY_SIZE_MAX);
        message->snapshot.bytes_max = ps_wire_read_u64(fields, 0, UINT64_MAX);
        break;
    case PS_MESSAGE_PART:
        read_part(fields, message);
        break;
    case PS_MESSAGE_WRITE:
        read_writes(fields, message);
        break;
    case PS_MESSAGE_WRITTEN:
        read_results(fields, message);
        break;
    case PS_MESSAGE_ERROR:
        message->error.status = (enum ps_status)ps_wire_read_u64(fields, PS_OK + 1, PS_STATUS_LAST);
        break;
    case PS_MESSAGE_QUERY:
        ps_wire_read_token(fields, &message->query.token);
        message->query.flags = ps_wire_read_u64(fields, 0, PS_QUERY_FLAGS);
        message->query.need_lsn = ps_wire_read_u64(fields, 0, UINT64_MAX - 1);
        message->query.retries = ps_wire_read_u64(fields, 0, PS_QUERY_RETRIES_MAX);
        message->query.body = ps_wire_read_bin(fields, 0, PS_TEXT_SIZE_MAX);
        break;
    case PS_MESSAGE_ANSWERED:
        message->answered.status = (enum ps_status)ps_wire_read_u64(fields, PS_OK, PS_STATUS_LAST);
        message->answered.failed = ps_wire_read_bool(fields);
        message->answered.wrote = ps_wire_read_bool(fields);
        message->answered.lsn = ps_wire_read_u64(fields, 0, UINT64_MAX - 1);
        message->answered.commit_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
        message->answered.restores = (uint32_t)ps_wire_read_u64(fields, 0, UINT32_MAX);
        message->answered.eval_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
        message->answered.run_ns = ps_wire_read_u64(fields, 0, PS_NEVER - 1);
        message->answered.body = ps_wire_read_bin(fields, 0, PS_TEXT_SIZE_MAX);
        break;
    }
    ps_wire_read_end(fields);
}

enum ps_status ps_message_decode(struct ps_slice bytes, struct ps_message *ret)
{
    memset(ret, 0, sizeof *ret); /* every member of the union */
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, bytes, PS_MESSAGE_SIZE_MAX);
    if (status != PS_OK) {
        return status;
    }
    struct ps_wire_reader reader = ps_wire_reader_of(&tree.root);
    ps_wire_read_version(&reader);
    uint64_t kind = ps_wire_read_u64(&reader, PS_MESSAGE_BATCH, PS_MESSAGE_ANSWERED);
    ret->store = ps_wire_read_bin(&reader, 1, PS_STORE_NAME_MAX);
    const msgpack_object *array = ps_wire_read_array(&reader);
    ps_wire_read_end(&reader);
    status = reader.status;
    if (status == PS_OK) {
        struct ps_wire_reader fields = ps_wire_reader_of(array);
        ret->kind = (enum ps_message_kind)kind;
        read_fields(&fields, ret);
        status = fields.status;
    }
    ps_tree_fini(&tree);
    if (status != PS_OK) {
        ps_message_fini(ret);
    }
    return status;
}

void ps_message_fini(struct ps_message *message)
{
    switch (message->kind) {
    case PS_MESSAGE_BATCH:
        for (size_t i = 0; i < message->batch.record_count; i++) {
            ps_record_fini(&message->batch.records[i]);
        }
        free(message->batch.records);
        break;
    case PS_MESSAGE_PART:
        free(message->part.entries);
        break;
    case PS_MESSAGE_WRITE:
        free(message->write.writes);
        break;
    case PS_MESSAGE_WRITTEN:
        free(message->written.results);
        break;
    case PS_MESSAGE_CATCH_UP:
    case PS_MESSAGE_SYNC:
    case PS_MESSAGE_SNAPSHOT:
    case PS_MESSAGE_ERROR:
    case PS_MESSAGE_QUERY:
    case PS_MESSAGE_ANSWERED:
        break;
    }
    memset(message, 0, sizeof *message);
}
