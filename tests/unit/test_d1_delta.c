/* Pages on the wire: what comes out is what went in, small, and a replica notices when it has other
 * pages than home. */
#include "replication/base/random.h"
#include "tests/support/d1_base.h"

#include <stdio.h>

enum { PAGES = 6, ROUNDS = 2000, INSERTS = 300 };

/* --- made by hand --- */

/* A database of PAGES pages, as a function gives it; NULL: no such page. */
struct made {
    char head[PS_PAGE_HEAD_SIZE];
    bool empty;
    char *pages[PAGES + 1];
};

static enum ps_status made_former(void *context, uint32_t page, struct ps_slice *ret)
{
    const struct made *made = context;
    if (page == 0 && !made->empty) {
        *ret = (struct ps_slice){made->head, sizeof made->head};
        return PS_OK;
    }
    if (page == 0 || page > PAGES || made->pages[page] == NULL) {
        return PS_NOT_FOUND;
    }
    *ret = (struct ps_slice){made->pages[page], PS_PAGE_KEPT};
    return PS_OK;
}

static void made_finish(struct made *made, uint32_t page_count)
{
    struct ps_page_head head = {.page_count = page_count};
    for (uint32_t page = 1; page <= PAGES; page++) {
        if (made->pages[page] != NULL) {
            head.checksum ^= ps_page_hash(page, made->pages[page]);
        }
    }
    ps_page_head_write(made->head, &head);
}

/* Turn the state into another: pages changed here and there, new ones, fewer ones. */
static size_t change(struct made *now, struct ps_rng *rng, struct ps_entry *entries,
                     char keys[][PS_PAGE_KEY_SIZE])
{
    uint32_t page_count = (uint32_t)ps_rng_below(rng, PAGES + 1);
    size_t count = 1;
    for (uint32_t page = 1; page <= PAGES; page++) {
        bool there = now->pages[page] != NULL;
        if (page > page_count ? !there : there && ps_rng_below(rng, 3) == 0) {
            continue;
        }
        ps_page_key(keys[count], page);
        entries[count] = (struct ps_entry){.key = {keys[count], PS_PAGE_KEY_SIZE}};
        if (page > page_count) {
            free(now->pages[page]);
            now->pages[page] = NULL;
            entries[count++].deleted = true;
            continue;
        }
        if (!there) {
            now->pages[page] = ps_calloc(PS_PAGE_KEPT, 1);
        }
        for (uint64_t run = ps_rng_below(rng, 4); run > 0; run--) {
            size_t at = (size_t)ps_rng_below(rng, PS_PAGE_KEPT);
            size_t size = (size_t)ps_rng_below(rng, ps_rng_below(rng, PS_PAGE_KEPT - at) + 1);
            for (size_t i = 0; i < size; i++) {
                now->pages[page][at + i] = (char)ps_rng_below(rng, 3);
            }
        }
        entries[count++].value = (struct ps_slice){now->pages[page], PS_PAGE_KEPT};
    }
    made_finish(now, page_count);
    ps_page_key(keys[0], 0);
    entries[0] = (struct ps_entry){
        .key = {keys[0], PS_PAGE_KEY_SIZE},
        .value = {now->head, sizeof now->head},
    };
    return count;
}

static void made_copy(struct made *to, const struct made *from)
{
    *to = *from;
    for (size_t page = 1; page <= PAGES; page++) {
        if (from->pages[page] != NULL) {
            to->pages[page] = ps_calloc(PS_PAGE_KEPT, 1);
            memcpy(to->pages[page], from->pages[page], PS_PAGE_KEPT);
        }
    }
}

static void made_fini(struct made *made)
{
    for (size_t page = 1; page <= PAGES; page++) {
        free(made->pages[page]);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct made now = {.empty = true};
    struct ps_rng rng = {.seed = 7, .stream = ps_stream_of("test-delta", NULL, NULL)};
    for (int round = 0; round < ROUNDS; round++) {
        struct made was;
        struct ps_entry entries[PAGES + 1];
        char keys[PAGES + 1][PS_PAGE_KEY_SIZE];
        made_copy(&was, &now);
        now.empty = false;
        struct ps_record record = {.lsn = 5, .commit_ns = 6, .entries = entries};
        record.entry_count = change(&now, &rng, entries, keys);
        struct ps_page_record wire = {0};
        struct ps_page_record whole = {0};
        /* Sometimes home has forgotten what there was. */
        struct made nothing = {.empty = true};
        struct made *former = round % 5 == 0 ? &nothing : &was;
        assert_int_equal(ps_page_record_encode(&record, made_former, former, &wire), PS_OK);
        assert_int_equal(ps_page_record_apply(&wire.record, made_former, &was, &whole), PS_OK);
        assert_int_equal(whole.record.lsn, 5);
        assert_int_equal(whole.record.commit_ns, 6);
        assert_int_equal(whole.record.entry_count, record.entry_count);
        for (size_t i = 0; i < record.entry_count; i++) {
            const struct ps_entry *entry = &whole.record.entries[i];
            assert_true(ps_slice_eq(entry->key, entries[i].key));
            assert_true(ps_slice_eq(entry->value, entries[i].value));
            assert_int_equal(entry->deleted, entries[i].deleted);
        }
        ps_page_record_fini(&wire);
        ps_page_record_fini(&whole);
        made_fini(&was);
    }
    made_fini(&now);
}

/* --- wrong bytes --- */

struct wrong {
    const char *bytes;
    size_t size;
    enum ps_status status;
};

#define WRONG(text, status)                                                                        \
    {                                                                                              \
        (text), sizeof(text) - 1, (status)                                                         \
    }

static void test_wrong_page_bytes(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        WRONG("", PS_CORRUPT),
        WRONG("\x02", PS_UNSUPPORTED),
        WRONG("\x01", PS_GAP),                      /* from a page that is not here */
        WRONG("\x00\x05", PS_CORRUPT),              /* a run without a size */
        WRONG("\x00\x05\x00", PS_CORRUPT),          /* an empty run */
        WRONG("\x00\x05\x02x", PS_CORRUPT),         /* shorter than it says */
        WRONG("\x00\xcf\x1f\x02xy", PS_CORRUPT),    /* over the page's end */
        WRONG("\x00\xd1\x1f\x01x", PS_CORRUPT),     /* begins behind it */
        WRONG("\x00\x80\x80\x01\x01x", PS_CORRUPT), /* too long a number */
        WRONG("\x00\xcf", PS_CORRUPT),              /* no whole number */
        WRONG("\x00\xcf\x1f\x01x", PS_GAP),         /* the last byte: right, but another checksum */
        WRONG("\x00", PS_GAP),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made nothing = {.empty = true};
        struct made after = {.empty = false};
        made_finish(&after, 1);
        struct ps_entry entries[] = {
            {.key = {"\0\0\0\0", 4}, .value = {after.head, sizeof after.head}},
            {.key = {"\0\0\0\1", 4}, .value = {cases[i].bytes, cases[i].size}},
        };
        struct ps_record record = {.lsn = 1, .entries = entries, .entry_count = 2};
        struct ps_page_record whole = {0};
        enum ps_status status = ps_page_record_apply(&record, made_former, &nothing, &whole);
        if (status != cases[i].status) {
            fail_msg("case %zu gave %s", i, ps_status_name(status));
        }
    }
}

static void test_wrong_records(void **state)
{
    (void)state;
    struct made nothing = {.empty = true};
    struct made after = {.empty = false};
    made_finish(&after, 2);
    const struct ps_slice zero = {"\0", 1};
    const struct ps_entry head = {.key = {"\0\0\0\0", 4}, .value = {after.head, sizeof after.head}};
    const struct ps_entry one = {.key = {"\0\0\0\1", 4}, .value = zero};
    const struct ps_entry two = {.key = {"\0\0\0\2", 4}, .value = zero};
    const struct ps_entry three = {.key = {"\0\0\0\3", 4}, .value = zero};
    const struct ps_entry gone_two = {.key = {"\0\0\0\2", 4}, .deleted = true};
    const struct ps_entry gone_head = {.key = {"\0\0\0\0", 4}, .deleted = true};
    const struct ps_entry long_key = {.key = {"\0\0\0\1x", 5}, .value = zero};
    const struct ps_entry expires = {.key = {"\0\0\0\1", 4}, .value = zero, .expires_unix_s = 1};
    const struct ps_entry meta = {.key = {"\0\0\0\1", 4}, .value = zero, .metadata = {"{}", 2}};
    const struct ps_entry short_head = {.key = {"\0\0\0\0", 4}, .value = {after.head, 5}};
    const struct ps_entry cases[][3] = {
        {one, two, three},     {head, two, one},       {head, one, one},      {head, one, three},
        {head, one, gone_two}, {gone_head, one, two},  {head, long_key, two}, {head, expires, two},
        {head, meta, two},     {short_head, one, two}, {head, head, two},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_entry entries[3];
        memcpy(entries, cases[i], sizeof entries);
        struct ps_record record = {.lsn = 1, .entries = entries, .entry_count = 3};
        struct ps_page_record ret = {0};
        enum ps_status status = ps_page_record_apply(&record, made_former, &nothing, &ret);
        if (status != PS_CORRUPT) {
            fail_msg("case %zu gave %s", i, ps_status_name(status));
        }
        assert_int_equal(ps_page_record_encode(&record, made_former, &nothing, &ret), PS_CORRUPT);
    }
    struct ps_record none = {.lsn = 1};
    struct ps_page_record ret = {0};
    assert_int_equal(ps_page_record_apply(&none, made_former, &nothing, &ret), PS_CORRUPT);
}

/* --- with SQLite --- */

struct pair {
    struct d1_store home;
    struct d1_store replica;
    struct ps_pages *writer;
};

static void pair_open(struct pair *pair)
{
    d1_store_open(&pair->home, ps_map_create_memory());
    d1_store_open(&pair->replica, ps_map_create_memory());
    pair->writer = d1_connect(&pair->home, true);
    d1_exec(pair->writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, x BLOB);"
                          "CREATE INDEX tk ON t(k)");
}

static void pair_close(struct pair *pair)
{
    ps_pages_close(pair->writer);
    ps_map_close(pair->home.map);
    ps_map_close(pair->replica.map);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* A row of 120 bytes whose key falls anywhere in an index: at most 2 KB a replica, where the whole
 * pages would be 13. */
static void test_bytes_of_an_insert(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    d1_exec(pair.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                         "i<5000) INSERT INTO t SELECT i, hex((i * 7919) % 100003), "
                         "zeroblob(100) FROM n");
    d1_replicate(&pair.home, &pair.replica);
    size_t bytes[INSERTS];
    size_t sum = 0;
    size_t pages = 0;
    for (int i = 0; i < INSERTS; i++) {
        char sql[128];
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO t(k, x) VALUES(hex((%d * 7919) %% 100003), "
                       "randomblob(100))",
                       100000 + i * 31);
        d1_exec(pair.writer, sql);
        d1_replicate(&pair.home, &pair.replica);
        bytes[i] = pair.home.wire_bytes;
        sum += bytes[i];
        pages += pair.home.pages_in_record;
    }
    qsort(bytes, INSERTS, sizeof bytes[0], by_size);
    print_message("an insert sends %zu bytes (median), %zu (mean), %zu (most); %.2f pages\n",
                  bytes[INSERTS / 2], sum / INSERTS, bytes[INSERTS - 1], (double)pages / INSERTS);
    assert_true(bytes[INSERTS / 2] <= 2048);
    assert_true(sum / INSERTS <= 2048);
    uint64_t lsn = d1_log(&pair.home).last_lsn;
    assert_true(d1_hash(&pair.home, lsn) == d1_hash(&pair.replica, lsn));
    pair_close(&pair);
}

/* A byte that is not home's is noticed with the first record that touches its page. */
static void test_divergence_is_noticed(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    d1_exec(pair.writer, "INSERT INTO t(k) VALUES('a')");
    d1_replicate(&pair.home, &pair.replica);

    /* Another history: the same LSN with other content. */
    struct pair other;
    pair_open(&other);
    d1_exec(other.writer, "INSERT INTO t(k) VALUES('b')");
    d1_exec(other.writer, "INSERT INTO t(k) VALUES('c')");
    assert_int_equal(d1_try_replicate_one(&other.home, &pair.replica, 4), PS_GAP);
    assert_int_equal(d1_log(&pair.replica).last_lsn, 3);
    /* A record that is one too far. */
    d1_exec(pair.writer, "INSERT INTO t(k) VALUES('d')");
    d1_exec(pair.writer, "INSERT INTO t(k) VALUES('e')");
    assert_int_equal(d1_try_replicate_one(&pair.home, &pair.replica, 5), PS_GAP);
    d1_replicate(&pair.home, &pair.replica);
    assert_true(d1_hash(&pair.home, 5) == d1_hash(&pair.replica, 5));
    pair_close(&other);
    pair_close(&pair);
}

/* Home has forgotten the version that a record was made from: it sends the page whole. */
static void test_former_is_forgotten(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    d1_exec(pair.writer, "INSERT INTO t(k) VALUES('a')");
    d1_replicate(&pair.home, &pair.replica);
    d1_exec(pair.writer, "INSERT INTO t(k) VALUES('b')");
    bool more = true;
    while (more) {
        assert_int_equal(ps_map_forget(pair.home.map, pair.home.store,
                                       d1_log(&pair.home).last_commit_ns, 100, &more, NULL),
                         PS_OK);
    }
    d1_replicate(&pair.home, &pair.replica);
    uint64_t lsn = d1_log(&pair.home).last_lsn;
    assert_true(d1_hash(&pair.home, lsn) == d1_hash(&pair.replica, lsn));
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_wrong_page_bytes),
        cmocka_unit_test(test_wrong_records),
        cmocka_unit_test(test_bytes_of_an_insert),
        cmocka_unit_test(test_divergence_is_noticed),
        cmocka_unit_test(test_former_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
