/* Are two decoded records or messages the same? For tests and fuzz targets. */
#ifndef PS_TESTS_SUPPORT_WIRE_EQUAL_H
#define PS_TESTS_SUPPORT_WIRE_EQUAL_H

#include "replication/wire/message.h"

#include <string.h>

static inline bool entry_equal(const struct ps_entry *a, const struct ps_entry *b)
{
    return ps_slice_eq(a->key, b->key) && ps_slice_eq(a->value, b->value) &&
           ps_slice_eq(a->metadata, b->metadata) && a->expires_unix_s == b->expires_unix_s &&
           a->deleted == b->deleted;
}

static inline bool record_equal(const struct ps_record *a, const struct ps_record *b)
{
    if (a->lsn != b->lsn || a->commit_ns != b->commit_ns || a->entry_count != b->entry_count ||
        memcmp(a->token.bytes, b->token.bytes, PS_TOKEN_SIZE) != 0) {
        return false;
    }
    for (size_t i = 0; i < a->entry_count; i++) {
        if (!entry_equal(&a->entries[i], &b->entries[i])) {
            return false;
        }
    }
    return true;
}

static inline bool batch_equal(const struct ps_batch *a, const struct ps_batch *b)
{
    if (a->home_boot != b->home_boot || a->closed_ns != b->closed_ns ||
        a->last_lsn != b->last_lsn || a->record_count != b->record_count) {
        return false;
    }
    for (size_t i = 0; i < a->record_count; i++) {
        if (!record_equal(&a->records[i], &b->records[i])) {
            return false;
        }
    }
    return true;
}

static inline bool part_equal(const struct ps_message *a, const struct ps_message *b)
{
    if (a->part.home_boot != b->part.home_boot || a->part.at_lsn != b->part.at_lsn ||
        a->part.at_commit_ns != b->part.at_commit_ns || a->part.last != b->part.last ||
        !ps_slice_eq(a->part.after_key, b->part.after_key) ||
        a->part.entry_count != b->part.entry_count) {
        return false;
    }
    for (size_t i = 0; i < a->part.entry_count; i++) {
        if (!entry_equal(&a->part.entries[i].entry, &b->part.entries[i].entry) ||
            a->part.entries[i].lsn != b->part.entries[i].lsn ||
            a->part.entries[i].commit_ns != b->part.entries[i].commit_ns) {
            return false;
        }
    }
    return true;
}

static inline bool writes_equal(const struct ps_message *a, const struct ps_message *b)
{
    if (a->write.write_count != b->write.write_count) {
        return false;
    }
    for (size_t i = 0; i < a->write.write_count; i++) {
        if (memcmp(a->write.writes[i].token.bytes, b->write.writes[i].token.bytes, PS_TOKEN_SIZE) !=
                0 ||
            !entry_equal(&a->write.writes[i].entry, &b->write.writes[i].entry)) {
            return false;
        }
    }
    return true;
}

static inline bool results_equal(const struct ps_message *a, const struct ps_message *b)
{
    if (a->written.result_count != b->written.result_count) {
        return false;
    }
    for (size_t i = 0; i < a->written.result_count; i++) {
        if (a->written.results[i].status != b->written.results[i].status ||
            a->written.results[i].lsn != b->written.results[i].lsn ||
            a->written.results[i].commit_ns != b->written.results[i].commit_ns) {
            return false;
        }
    }
    return true;
}

static inline bool message_equal(const struct ps_message *a, const struct ps_message *b)
{
    if (a->kind != b->kind || !ps_slice_eq(a->store, b->store)) {
        return false;
    }
    switch (a->kind) {
    case PS_MESSAGE_BATCH:
        return batch_equal(&a->batch, &b->batch);
    case PS_MESSAGE_CATCH_UP:
        return a->catch_up.from_lsn == b->catch_up.from_lsn &&
               a->catch_up.bytes_max == b->catch_up.bytes_max;
    case PS_MESSAGE_SYNC:
        return a->sync.need_ns == b->sync.need_ns;
    case PS_MESSAGE_SNAPSHOT:
        return a->snapshot.at_lsn == b->snapshot.at_lsn &&
               ps_slice_eq(a->snapshot.after_key, b->snapshot.after_key) &&
               a->snapshot.bytes_max == b->snapshot.bytes_max;
    case PS_MESSAGE_PART:
        return part_equal(a, b);
    case PS_MESSAGE_WRITE:
        return writes_equal(a, b);
    case PS_MESSAGE_WRITTEN:
        return results_equal(a, b);
    case PS_MESSAGE_ERROR:
        return a->error.status == b->error.status;
    case PS_MESSAGE_QUERY:
        return memcmp(&a->query.token, &b->query.token, PS_TOKEN_SIZE) == 0 &&
               a->query.flags == b->query.flags && a->query.need_lsn == b->query.need_lsn &&
               a->query.retries == b->query.retries && ps_slice_eq(a->query.body, b->query.body);
    case PS_MESSAGE_ANSWERED:
        return a->answered.status == b->answered.status &&
               a->answered.failed == b->answered.failed && a->answered.wrote == b->answered.wrote &&
               a->answered.lsn == b->answered.lsn &&
               a->answered.commit_ns == b->answered.commit_ns &&
               a->answered.restores == b->answered.restores &&
               a->answered.eval_ns == b->answered.eval_ns &&
               a->answered.run_ns == b->answered.run_ns &&
               ps_slice_eq(a->answered.body, b->answered.body);
    }
    return false;
}

#endif
