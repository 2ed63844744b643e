/* A database at home and its replica for tests: home's records are appended to its map at once, and
 * reach the replica's map in their wire form when the test says so. */
#ifndef PS_TESTS_SUPPORT_D1_BASE_H
#define PS_TESTS_SUPPORT_D1_BASE_H

#include "node/d1/delta.h"
#include "node/d1/pages.h"
#include "replication/base/memory.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct d1_store {
    struct ps_map *map;
    ps_map_store store;
    enum ps_status refuse;  /* what the next commits give; PS_OK: they are appended */
    size_t commits;         /* appended */
    size_t wire_bytes;      /* of the last record that was replicated */
    size_t pages_in_record; /* of it */
};

static inline void d1_store_open(struct d1_store *home, struct ps_map *map)
{
    *home = (struct d1_store){.map = map};
    assert_int_equal(ps_map_store_open(map, PS_LIT("DB"), &home->store, NULL), PS_OK);
}

static inline struct ps_log_state d1_log(const struct d1_store *home)
{
    struct ps_log_state log;
    assert_int_equal(ps_map_log_state(home->map, home->store, &log), PS_OK);
    return log;
}

static inline enum ps_status d1_commit(void *context, struct ps_record *record)
{
    struct d1_store *home = context;
    if (home->refuse != PS_OK) {
        return home->refuse;
    }
    record->commit_ns = d1_log(home).last_commit_ns + 1000;
    const struct ps_append append = {home->store, record};
    enum ps_status status = ps_map_apply(home->map, &append, 1, NULL);
    home->commits += status == PS_OK ? 1 : 0;
    return status;
}

static inline struct ps_pages *d1_connect(struct d1_store *store, bool writes)
{
    const struct ps_pages_config config = {
        .map = store->map,
        .store = store->store,
        .commit = writes ? d1_commit : NULL,
        .context = store,
    };
    struct ps_pages *pages = NULL;
    struct ps_error err = {0};
    if (ps_pages_open(&config, &pages, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    return pages;
}

static inline void d1_view(struct ps_pages *pages, uint64_t lsn)
{
    ps_pages_set_view(pages, &(struct ps_pages_view){.lsn = lsn, .unix_ms = 1700000000000});
}

/* --- replication --- */

struct d1_former {
    const struct d1_store *store;
    uint64_t lsn;
};

static inline enum ps_status d1_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct d1_former *at = context;
    return ps_pages_read(at->store->map, at->store->store, page, at->lsn, ret);
}

struct d1_carry {
    struct d1_store *home;
    struct ps_buf bytes; /* the records' wire form, as the feed would carry it */
};

static inline bool d1_to_wire(void *context, const struct ps_record *record)
{
    struct d1_carry *carry = context;
    struct d1_former former = {carry->home, record->lsn - 1};
    struct ps_page_record wire = {0};
    assert_int_equal(ps_page_record_encode(record, d1_former, &former, &wire), PS_OK);
    carry->bytes.size = 0;
    ps_record_encode(&carry->bytes, &wire.record);
    carry->home->pages_in_record = record->entry_count - 1;
    ps_page_record_fini(&wire);
    return false;
}

/* Record `lsn` from home's map to the replica's. */
static inline enum ps_status d1_try_replicate_one(struct d1_store *home, struct d1_store *replica,
                                                  uint64_t lsn)
{
    struct d1_carry carry = {.home = home};
    assert_int_equal(ps_map_read_begin(home->map), PS_OK);
    assert_int_equal(ps_map_log(home->map, home->store, lsn, d1_to_wire, &carry), PS_OK);
    ps_map_read_end(home->map);
    home->wire_bytes = carry.bytes.size;

    struct ps_record wire;
    assert_int_equal(ps_record_decode(ps_buf_slice(&carry.bytes), &wire), PS_OK);
    struct d1_former former = {replica, lsn - 1};
    struct ps_page_record whole = {0};
    assert_int_equal(ps_map_read_begin(replica->map), PS_OK);
    enum ps_status status = ps_page_record_apply(&wire, d1_former, &former, &whole);
    ps_map_read_end(replica->map);
    if (status == PS_OK) {
        const struct ps_append append = {replica->store, &whole.record};
        status = ps_map_apply(replica->map, &append, 1, NULL);
    }
    ps_page_record_fini(&whole);
    ps_record_fini(&wire);
    ps_buf_fini(&carry.bytes);
    return status;
}

static inline void d1_replicate(struct d1_store *home, struct d1_store *replica)
{
    for (uint64_t lsn = d1_log(replica).last_lsn + 1; lsn <= d1_log(home).last_lsn; lsn++) {
        assert_int_equal(d1_try_replicate_one(home, replica, lsn), PS_OK);
    }
}

/* Every page and the head at `lsn`: one hash of all, and the head's own checksum is checked. */
static inline uint64_t d1_hash(const struct d1_store *store, uint64_t lsn)
{
    struct ps_slice bytes;
    struct ps_page_head head = {0};
    uint64_t checksum = 0;
    uint64_t hash = 0;
    assert_int_equal(ps_map_read_begin(store->map), PS_OK);
    if (ps_pages_read(store->map, store->store, 0, lsn, &bytes) == PS_OK) {
        assert_int_equal(ps_page_head_read(bytes, &head), PS_OK);
        hash = ps_slice_hash(bytes);
    }
    for (uint32_t page = 1; page <= head.page_count; page++) {
        if (ps_pages_read(store->map, store->store, page, lsn, &bytes) == PS_OK) {
            checksum ^= ps_page_hash(page, bytes.data);
            hash = hash * 31 + ps_slice_hash(bytes);
        }
    }
    ps_map_read_end(store->map);
    assert_true(checksum == head.checksum);
    return hash;
}

/* --- SQL --- */

static inline void d1_put_value(struct ps_buf *out, struct sqlite3_stmt *statement, int column)
{
    static const char *const types[] = {"?", "i:", "r:", "t:", "b:", "null"};
    int type = sqlite3_column_type(statement, column);
    ps_buf_append_text(out, types[type]);
    const unsigned char *bytes = sqlite3_column_blob(statement, column);
    int size = sqlite3_column_bytes(statement, column);
    if (type == SQLITE_INTEGER) {
        ps_buf_printf(out, "%lld", sqlite3_column_int64(statement, column));
    } else if (type == SQLITE_FLOAT) {
        ps_buf_printf(out, "%.17g", sqlite3_column_double(statement, column));
    } else if (type == SQLITE_TEXT) {
        ps_buf_append(out, bytes, (size_t)size);
    }
    for (int i = 0; type == SQLITE_BLOB && i < size && i < 64; i++) {
        ps_buf_printf(out, "%02x", bytes[i]);
    }
    if (type == SQLITE_BLOB && size > 64) {
        ps_buf_printf(out, "...%d:%llu", size,
                      (unsigned long long)ps_slice_hash(
                          (struct ps_slice){(const char *)bytes, (size_t)size}));
    }
    ps_buf_append_char(out, '|');
}

/* Run every statement of `sql`; append what each gives, or its error, which ends the run. */
static inline int d1_run(struct sqlite3 *db, const char *sql, struct ps_buf *out)
{
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && sql[strspn(sql, " \n;")] != 0) {
        struct sqlite3_stmt *statement = NULL;
        rc = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        while (rc == SQLITE_OK && statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(statement); i++) {
                d1_put_value(out, statement, i);
            }
            ps_buf_append_char(out, '\n');
        }
        int end = sqlite3_finalize(statement);
        rc = rc == SQLITE_OK ? end : rc;
        if (rc != SQLITE_OK) {
            ps_buf_printf(out, "error %d: %s\n", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
        }
    }
    return rc;
}

static inline void d1_exec(struct ps_pages *pages, const char *sql)
{
    struct ps_buf out = {0};
    if (d1_run(ps_pages_db(pages), sql, &out) != SQLITE_OK) {
        fail_msg("%s: %s", sql, ps_buf_text(&out));
    }
    ps_buf_fini(&out);
}

static inline int d1_try(struct ps_pages *pages, const char *sql)
{
    struct ps_buf out = {0};
    int rc = d1_run(ps_pages_db(pages), sql, &out);
    ps_buf_fini(&out);
    return rc;
}

/* What `sql` gives, as text; the caller's to free. */
static inline char *d1_ask(struct ps_pages *pages, const char *sql)
{
    struct ps_buf out = {0};
    (void)d1_run(ps_pages_db(pages), sql, &out);
    (void)ps_buf_text(&out);
    return out.data;
}

static inline void d1_expect(struct ps_pages *pages, const char *sql, const char *expected)
{
    char *found = d1_ask(pages, sql);
    if (strcmp(found, expected) != 0) {
        fail_msg("%s gave %s not %s", sql, found, expected);
    }
    free(found);
}

#endif
