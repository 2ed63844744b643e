/* Records and messages as bytes: known bytes, round trips, and bytes that must be refused. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "replication/base/memory.h"
#include "replication/base/random.h"
#include "replication/wire/message.h"
#include "tests/support/wire_equal.h"

#include <stdlib.h>
#include <string.h>

enum { KINDS = PS_MESSAGE_ANSWERED, ROUNDS = 400, ITEMS_MAX = 5 };

static struct ps_slice lit(const char *bytes, size_t size)
{
    return (struct ps_slice){bytes, size};
}

#define BYTES(text) lit((text), sizeof(text) - 1)

static void check_bytes(struct ps_slice found, struct ps_slice expected)
{
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, expected.size);
}

/* Random values; the bytes are slices of one random block. */
struct maker {
    struct ps_rng rng;
    char block[4096];
};

static uint64_t below(struct maker *maker, uint64_t bound)
{
    return ps_rng_below(&maker->rng, bound);
}

/* A number of any magnitude, never the largest. */
static uint64_t number(struct maker *maker)
{
    uint64_t value = ps_rng_u64(&maker->rng) >> below(maker, 64);
    return value == UINT64_MAX ? 0 : value;
}

static struct ps_slice some_bytes(struct maker *maker, size_t min, size_t max)
{
    size_t size = min + (size_t)below(maker, max - min + 1);
    return (struct ps_slice){maker->block + below(maker, sizeof maker->block - size + 1), size};
}

static struct maker *make_maker(uint64_t seed)
{
    struct maker *maker = PS_NEW(struct maker);
    maker->rng = (struct ps_rng){.seed = seed, .stream = ps_stream_of("test-wire", NULL, NULL)};
    for (size_t i = 0; i < sizeof maker->block; i++) {
        maker->block[i] = (char)ps_rng_u64(&maker->rng);
    }
    return maker;
}

static void fill_token(struct maker *maker, struct ps_token *token)
{
    memcpy(token->bytes, some_bytes(maker, PS_TOKEN_SIZE, PS_TOKEN_SIZE).data, PS_TOKEN_SIZE);
}

static struct ps_entry some_entry(struct maker *maker)
{
    struct ps_entry entry = {.key = some_bytes(maker, 1, PS_KEY_SIZE_MAX),
                             .metadata = some_bytes(maker, 0, below(maker, 2) * 300),
                             .expires_unix_s = below(maker, 2) * number(maker),
                             .deleted = below(maker, 4) == 0};
    if (!entry.deleted) {
        entry.value = some_bytes(maker, 0, 1 + below(maker, sizeof maker->block - 1));
    }
    return entry;
}

/* A record whose entries the caller frees. */
static struct ps_record some_record(struct maker *maker)
{
    struct ps_record record = {.lsn = 1 + number(maker) / 2, .commit_ns = number(maker)};
    fill_token(maker, &record.token);
    record.entry_count = (size_t)below(maker, ITEMS_MAX + 1);
    record.entries = PS_NEW_ARRAY(struct ps_entry, ITEMS_MAX);
    for (size_t i = 0; i < record.entry_count; i++) {
        record.entries[i] = some_entry(maker);
    }
    return record;
}

static void fill_batch(struct maker *maker, struct ps_batch *batch)
{
    batch->home_boot = number(maker);
    batch->closed_ns = number(maker);
    batch->last_lsn = number(maker);
    batch->record_count = (size_t)below(maker, ITEMS_MAX + 1);
    batch->records = PS_NEW_ARRAY(struct ps_record, ITEMS_MAX);
    for (size_t i = 0; i < batch->record_count; i++) {
        batch->records[i] = some_record(maker);
    }
}

static void fill_part(struct maker *maker, struct ps_message *message)
{
    message->part.home_boot = number(maker);
    message->part.at_lsn = number(maker);
    message->part.at_commit_ns = number(maker);
    message->part.after_key = some_bytes(maker, 0, PS_KEY_SIZE_MAX);
    message->part.last = below(maker, 2) == 0;
    message->part.entry_count = (size_t)below(maker, ITEMS_MAX + 1);
    message->part.entries = PS_NEW_ARRAY(struct ps_snapshot_entry, ITEMS_MAX);
    for (size_t i = 0; i < message->part.entry_count; i++) {
        message->part.entries[i] = (struct ps_snapshot_entry){
            .entry = some_entry(maker), .lsn = 1 + number(maker) / 2, .commit_ns = number(maker)};
    }
}

static void fill_writes(struct maker *maker, struct ps_message *message)
{
    message->write.write_count = (size_t)below(maker, ITEMS_MAX + 1);
    message->write.writes = PS_NEW_ARRAY(struct ps_write, ITEMS_MAX);
    for (size_t i = 0; i < message->write.write_count; i++) {
        fill_token(maker, &message->write.writes[i].token);
        message->write.writes[i].entry = some_entry(maker);
    }
}

static void fill_results(struct maker *maker, struct ps_message *message)
{
    message->written.result_count = (size_t)below(maker, ITEMS_MAX + 1);
    message->written.results = PS_NEW_ARRAY(struct ps_written, ITEMS_MAX);
    for (size_t i = 0; i < message->written.result_count; i++) {
        message->written.results[i] =
            (struct ps_written){.status = (enum ps_status)below(maker, PS_STATUS_LAST + 1),
                                .lsn = number(maker),
                                .commit_ns = number(maker)};
    }
}

/* A message that ps_message_fini releases. */
static struct ps_message some_message(struct maker *maker, enum ps_message_kind kind)
{
    struct ps_message message;
    memset(&message, 0, sizeof message);
    message.kind = kind;
    message.store = some_bytes(maker, 1, PS_STORE_NAME_MAX);
    switch (kind) {
    case PS_MESSAGE_BATCH:
        fill_batch(maker, &message.batch);
        break;
    case PS_MESSAGE_CATCH_UP:
        message.catch_up.from_lsn = 1 + number(maker) / 2;
        message.catch_up.bytes_max = number(maker);
        break;
    case PS_MESSAGE_SYNC:
        message.sync.need_ns = number(maker);
        break;
    case PS_MESSAGE_SNAPSHOT:
        message.snapshot.at_lsn = number(maker);
        message.snapshot.after_key = some_bytes(maker, 0, PS_KEY_SIZE_MAX);
        message.snapshot.bytes_max = number(maker);
        break;
    case PS_MESSAGE_PART:
        fill_part(maker, &message);
        break;
    case PS_MESSAGE_WRITE:
        fill_writes(maker, &message);
        break;
    case PS_MESSAGE_WRITTEN:
        fill_results(maker, &message);
        break;
    case PS_MESSAGE_ERROR:
        message.error.status = (enum ps_status)(1 + below(maker, PS_UNSUPPORTED));
        break;
    case PS_MESSAGE_QUERY:
        fill_token(maker, &message.query.token);
        message.query.flags = below(maker, PS_QUERY_FLAGS + 1);
        message.query.need_lsn = number(maker);
        message.query.retries = below(maker, PS_QUERY_RETRIES_MAX + 1);
        message.query.body = some_bytes(maker, 0, sizeof maker->block);
        break;
    case PS_MESSAGE_ANSWERED:
        message.answered.status = (enum ps_status)below(maker, PS_STATUS_LAST + 1);
        message.answered.failed = below(maker, 2) == 0;
        message.answered.wrote = below(maker, 2) == 0;
        message.answered.lsn = number(maker);
        message.answered.commit_ns = number(maker);
        message.answered.restores = (uint32_t)below(maker, UINT32_MAX);
        message.answered.eval_ns = number(maker);
        message.answered.run_ns = number(maker);
        message.answered.body = some_bytes(maker, 0, sizeof maker->block);
        break;
    }
    return message;
}

static void records_have_known_bytes(void **state)
{
    (void)state;
    struct ps_entry entries[] = {
        {.key = PS_LIT("k"),
         .value = PS_LIT("v1"),
         .metadata = PS_LIT("{}"),
         .expires_unix_s = 300},
        {.key = PS_LIT("gone"), .deleted = true},
    };
    struct ps_record record = {.lsn = 258, .commit_ns = 5, .entries = entries, .entry_count = 2};
    memset(record.token.bytes, 0xab, PS_TOKEN_SIZE);
    struct ps_buf buf = {.size = 0};
    ps_record_encode(&buf, &record);
    check_bytes(ps_buf_slice(&buf),
                BYTES("\x95\x01\xcd\x01\x02\x05"
                      "\xc4\x10\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab"
                      "\x92"
                      "\x94\xc4\x01k\xc4\x02v1\xc4\x02{}\xcd\x01\x2c"
                      "\x94\xc4\x04gone\xc0\xc4\x00\x00"));
    ps_buf_fini(&buf);
}

static void messages_have_known_bytes(void **state)
{
    (void)state;
    struct ps_message message = {.kind = PS_MESSAGE_BATCH, .store = PS_LIT("CACHE")};
    message.batch = (struct ps_batch){.home_boot = 3, .closed_ns = 1000, .last_lsn = 7};
    struct ps_buf buf = {.size = 0};
    ps_message_encode(&buf, &message);
    check_bytes(ps_buf_slice(&buf), BYTES("\x94\x01\x01\xc4\x05"
                                          "CACHE"
                                          "\x94\x03\xcd\x03\xe8\x07\x90"));
    buf.size = 0;
    struct ps_message snapshot = {.kind = PS_MESSAGE_SNAPSHOT, .store = PS_LIT("DB")};
    snapshot.snapshot.at_lsn = 0;
    snapshot.snapshot.after_key = PS_LIT("k");
    snapshot.snapshot.bytes_max = 1;
    ps_message_encode(&buf, &snapshot);
    check_bytes(ps_buf_slice(&buf), BYTES("\x94\x01\x04\xc4\x02"
                                          "DB"
                                          "\x93\x00\xc4\x01k\x01"));
    buf.size = 0;
    struct ps_message error = {.kind = PS_MESSAGE_ERROR, .store = PS_LIT("DB")};
    error.error.status = PS_TOO_OLD;
    ps_message_encode(&buf, &error);
    check_bytes(ps_buf_slice(&buf), BYTES("\x94\x01\x08\xc4\x02"
                                          "DB"
                                          "\x91\x08"));
    ps_buf_fini(&buf);
}

static void records_survive_the_round_trip(void **state)
{
    (void)state;
    struct maker *maker = make_maker(1);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct ps_record record = some_record(maker);
        struct ps_buf buf = {.size = 0};
        ps_record_encode(&buf, &record);
        struct ps_record decoded;
        assert_int_equal(ps_record_decode(ps_buf_slice(&buf), &decoded), PS_OK);
        assert_true(record_equal(&record, &decoded));
        ps_record_fini(&decoded);
        ps_record_fini(&record);
        ps_buf_fini(&buf);
    }
    free(maker);
}

static void messages_survive_the_round_trip(void **state)
{
    (void)state;
    struct maker *maker = make_maker(2);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct ps_message message = some_message(maker, (enum ps_message_kind)(1 + i % KINDS));
        struct ps_buf buf = {.size = 0};
        ps_message_encode(&buf, &message);
        struct ps_message decoded;
        assert_int_equal(ps_message_decode(ps_buf_slice(&buf), &decoded), PS_OK);
        assert_true(message_equal(&message, &decoded));
        ps_message_fini(&decoded);
        ps_message_fini(&message);
        ps_buf_fini(&buf);
    }
    free(maker);
}

/* A copy in a block of its own size, so that a sanitizer sees any byte read behind it. */
static enum ps_status decode_copy(struct ps_slice bytes, struct ps_message *ret)
{
    char *copy = ps_realloc(NULL, bytes.size + (bytes.size == 0), 1);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    enum ps_status status = ps_message_decode((struct ps_slice){copy, bytes.size}, ret);
    if (status == PS_OK) {
        struct ps_buf again = {.size = 0};
        struct ps_message twice;
        ps_message_encode(&again, ret);
        assert_int_equal(ps_message_decode(ps_buf_slice(&again), &twice), PS_OK);
        assert_true(message_equal(ret, &twice));
        ps_message_fini(&twice);
        ps_buf_fini(&again);
        ps_message_fini(ret);
    }
    free(copy);
    return status;
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct maker *maker = make_maker(3);
    for (size_t kind = 1; kind <= KINDS; kind++) {
        struct ps_message message = some_message(maker, (enum ps_message_kind)kind);
        struct ps_buf buf = {.size = 0};
        ps_message_encode(&buf, &message);
        for (size_t size = 0; size < buf.size; size++) {
            struct ps_message decoded;
            assert_int_equal(decode_copy(lit(buf.data, size), &decoded), PS_CORRUPT);
            assert_int_equal(decoded.kind, 0);
        }
        ps_buf_append_char(&buf, '\0'); /* and one byte too many */
        struct ps_message decoded;
        assert_int_equal(decode_copy(ps_buf_slice(&buf), &decoded), PS_CORRUPT);
        ps_buf_fini(&buf);
        ps_message_fini(&message);
    }
    free(maker);
}

/* Whatever one byte becomes: refused, or a message that is stable. */
static void any_changed_byte_is_survived(void **state)
{
    (void)state;
    struct ps_entry entry = {.key = PS_LIT("key"), .value = PS_LIT("v"), .metadata = PS_LIT("m")};
    struct ps_record record = {.lsn = 9, .commit_ns = 3, .entries = &entry, .entry_count = 1};
    struct ps_message message = {.kind = PS_MESSAGE_BATCH, .store = PS_LIT("S")};
    message.batch = (struct ps_batch){1, 300, 9, &record, 1};
    struct ps_buf buf = {.size = 0};
    ps_message_encode(&buf, &message);
    size_t refused = 0;
    for (size_t i = 0; i < buf.size; i++) {
        char kept = buf.data[i];
        for (int value = 0; value < 256; value++) {
            struct ps_message decoded;
            buf.data[i] = (char)value;
            enum ps_status status = decode_copy(ps_buf_slice(&buf), &decoded);
            assert_true(status == PS_OK || status == PS_CORRUPT || status == PS_UNSUPPORTED);
            refused += status != PS_OK;
        }
        buf.data[i] = kept;
    }
    assert_true(refused > buf.size * 100);
    ps_buf_fini(&buf);
}

static enum ps_status decode_record(struct ps_slice bytes)
{
    struct ps_record record;
    enum ps_status status = ps_record_decode(bytes, &record);
    if (status != PS_OK) {
        assert_null(record.entries);
        assert_int_equal(record.lsn, 0);
    }
    ps_record_fini(&record);
    return status;
}

#define TOKEN "\xc4\x10\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x30\x31\x32\x33\x34\x35"

static void wrong_fields_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_record(BYTES("\x95\x01\x01\x05" TOKEN "\x90")), PS_OK);
    /* a later version; version 0; a negative one */
    assert_int_equal(decode_record(BYTES("\x95\x02\x01\x05" TOKEN "\x90")), PS_UNSUPPORTED);
    assert_int_equal(decode_record(BYTES("\x91\x02")), PS_UNSUPPORTED);
    assert_int_equal(decode_record(BYTES("\x95\x00\x01\x05" TOKEN "\x90")), PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("\x95\xff\x01\x05" TOKEN "\x90")), PS_CORRUPT);
    /* LSN 0; a commit at the end of time; a short token; one field too many, one too few */
    assert_int_equal(decode_record(BYTES("\x95\x01\x00\x05" TOKEN "\x90")), PS_CORRUPT);
    assert_int_equal(
        decode_record(BYTES("\x95\x01\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff" TOKEN "\x90")),
        PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("\x95\x01\x01\x05\xc4\x02xx\x90")), PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("\x96\x01\x01\x05" TOKEN "\x90\xc0")), PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("\x94\x01\x01\x05" TOKEN)), PS_CORRUPT);
    /* an entry without a key, with text for bytes, with a number for a value, that is no array */
    assert_int_equal(
        decode_record(BYTES("\x95\x01\x01\x05" TOKEN "\x91\x94\xc4\x00\xc4\x00\xc4\x00\x00")),
        PS_CORRUPT);
    assert_int_equal(
        decode_record(BYTES("\x95\x01\x01\x05" TOKEN "\x91\x94\xa1k\xc4\x00\xc4\x00\x00")),
        PS_CORRUPT);
    assert_int_equal(
        decode_record(BYTES("\x95\x01\x01\x05" TOKEN "\x91\x94\xc4\x01k\x01\xc4\x00\x00")),
        PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("\x95\x01\x01\x05" TOKEN "\x91\xc0")), PS_CORRUPT);
    /* not an array at all */
    assert_int_equal(decode_record(BYTES("\x80")), PS_CORRUPT);
    assert_int_equal(decode_record(BYTES("")), PS_CORRUPT);
}

static enum ps_status decode_entry_of(size_t key_size, size_t value_size, size_t metadata_size)
{
    size_t most = PS_VALUE_SIZE_MAX + 1;
    char *zeroes = PS_NEW_ARRAY(char, most);
    /* Put together by hand: the encoder asserts what it is given. */
    struct ps_buf buf = {.size = 0};
    ps_buf_append_slice(&buf, BYTES("\x95\x01\x01\x05" TOKEN "\x91\x94"));
    size_t sizes[] = {key_size, value_size, metadata_size};
    for (size_t i = 0; i < 3; i++) {
        ps_buf_append_char(&buf, (char)0xc6);
        for (size_t shift = 32; shift > 0; shift -= 8) {
            ps_buf_append_char(&buf, (char)(sizes[i] >> (shift - 8)));
        }
        ps_buf_append(&buf, zeroes, sizes[i]);
    }
    ps_buf_append_char(&buf, '\0');
    enum ps_status status = decode_record(ps_buf_slice(&buf));
    ps_buf_fini(&buf);
    free(zeroes);
    return status;
}

static void sizes_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_entry_of(PS_KEY_SIZE_MAX, PS_VALUE_SIZE_MAX, PS_METADATA_SIZE_MAX),
                     PS_OK);
    assert_int_equal(decode_entry_of(PS_KEY_SIZE_MAX + 1, 0, 0), PS_LIMIT);
    assert_int_equal(decode_entry_of(1, PS_VALUE_SIZE_MAX + 1, 0), PS_LIMIT);
    assert_int_equal(decode_entry_of(1, 0, PS_METADATA_SIZE_MAX + 1), PS_LIMIT);
    char *zeroes = PS_NEW_ARRAY(char, PS_MESSAGE_SIZE_MAX + 1);
    struct ps_record record;
    assert_int_equal(ps_record_decode(lit(zeroes, PS_RECORD_SIZE_MAX + 1), &record), PS_LIMIT);
    struct ps_message message;
    assert_int_equal(ps_message_decode(lit(zeroes, PS_MESSAGE_SIZE_MAX + 1), &message), PS_LIMIT);
    free(zeroes);
}

static void unknown_kinds_and_statuses_are_refused(void **state)
{
    (void)state;
    struct ps_message message;
    assert_int_equal(decode_copy(BYTES("\x94\x01\x08\xc4\x01S\x91\x08"), &message), PS_OK);
    assert_int_equal(decode_copy(BYTES("\x94\x01\x09\xc4\x01S\x91\x08"), &message), PS_CORRUPT);
    assert_int_equal(decode_copy(BYTES("\x94\x01\x00\xc4\x01S\x91\x08"), &message), PS_CORRUPT);
    assert_int_equal(decode_copy(BYTES("\x94\x01\x08\xc4\x00\x91\x08"), &message), PS_CORRUPT);
    /* an error that says ok, and one that does not exist */
    assert_int_equal(decode_copy(BYTES("\x94\x01\x08\xc4\x01S\x91\x00"), &message), PS_CORRUPT);
    assert_int_equal(decode_copy(BYTES("\x94\x01\x08\xc4\x01S\x91\x7f"), &message), PS_CORRUPT);
    assert_int_equal(decode_copy(BYTES("\x94\x02\x08\xc4\x01S\x91\x08"), &message), PS_UNSUPPORTED);
}

static void the_check_knows_every_type(void **state)
{
    (void)state;

    static const struct {
        const char *head;
        size_t head_size;
        size_t body; /* bytes that must follow */
    } types[] = {
        {"\x7f", 1, 0},
        {"\xe0", 1, 0},
        {"\xa3", 1, 3},
        {"\xc0", 1, 0},
        {"\xc2", 1, 0},
        {"\xc3", 1, 0},
        {"\xc4\x02", 2, 2},
        {"\xc5\x01\x00", 3, 256},
        {"\xc6\x00\x00\x00\x05", 5, 5},
        {"\xc7\x02", 2, 3},
        {"\xc8\x00\x02", 3, 3},
        {"\xc9\x00\x00\x00\x02", 5, 3},
        {"\xca", 1, 4},
        {"\xcb", 1, 8},
        {"\xcc", 1, 1},
        {"\xcd", 1, 2},
        {"\xce", 1, 4},
        {"\xcf", 1, 8},
        {"\xd0", 1, 1},
        {"\xd1", 1, 2},
        {"\xd2", 1, 4},
        {"\xd3", 1, 8},
        {"\xd4", 1, 2},
        {"\xd5", 1, 3},
        {"\xd6", 1, 5},
        {"\xd7", 1, 9},
        {"\xd8", 1, 17},
        {"\xd9\x02", 2, 2},
        {"\xda\x00\x02", 3, 2},
        {"\xdb\x00\x00\x00\x02", 5, 2},
        {"\x93", 1, 3},
        {"\x82", 1, 4},
        {"\xdc\x00\x03", 3, 3},
        {"\xdd\x00\x00\x00\x03", 5, 3},
        {"\xde\x00\x02", 3, 4},
        {"\xdf\x00\x00\x00\x02", 5, 4},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ps_buf buf = {.size = 0};
        ps_buf_append(&buf, types[i].head, types[i].head_size);
        for (size_t k = 0; k < types[i].body; k++) {
            assert_int_equal(ps_wire_check(ps_buf_slice(&buf)), PS_CORRUPT);
            ps_buf_append_char(&buf, '\0');
        }
        assert_int_equal(ps_wire_check(ps_buf_slice(&buf)), PS_OK);
        ps_buf_append_char(&buf, '\0');
        assert_int_equal(ps_wire_check(ps_buf_slice(&buf)), PS_CORRUPT);
        ps_buf_fini(&buf);
    }
    assert_int_equal(ps_wire_check(BYTES("\xc1")), PS_CORRUPT);
}

static void the_check_bounds_nesting_and_counts(void **state)
{
    (void)state;
    assert_int_equal(ps_wire_check(BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x00")), PS_OK);
    assert_int_equal(ps_wire_check(BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00")), PS_CORRUPT);
    /* the library would take gigabytes for these */
    assert_int_equal(ps_wire_check(BYTES("\xdd\x10\x00\x00\x00")), PS_CORRUPT);
    assert_int_equal(ps_wire_check(BYTES("\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff")), PS_CORRUPT);
    assert_int_equal(ps_wire_check(BYTES("\xdf\xff\xff\xff\xff\x00")), PS_CORRUPT);
    size_t size = PS_ENTRIES_MAX + 6;
    char *bytes = PS_NEW_ARRAY(char, size);
    memcpy(bytes, "\xdd\x00\x01\x00\x00", 5);
    assert_int_equal(ps_wire_check(lit(bytes, size - 1)), PS_OK); /* PS_ENTRIES_MAX items */
    bytes[4] = 1;
    assert_int_equal(ps_wire_check(lit(bytes, size)), PS_CORRUPT);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_have_known_bytes),
        cmocka_unit_test(messages_have_known_bytes),
        cmocka_unit_test(records_survive_the_round_trip),
        cmocka_unit_test(messages_survive_the_round_trip),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(any_changed_byte_is_survived),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(sizes_beyond_the_limits_are_refused),
        cmocka_unit_test(unknown_kinds_and_statuses_are_refused),
        cmocka_unit_test(the_check_knows_every_type),
        cmocka_unit_test(the_check_bounds_nesting_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
