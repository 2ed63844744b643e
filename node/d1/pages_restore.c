/* Time Travel: from a former state to the pages that bring it back. */
#include "node/d1/pages_internal.h"
#include "replication/base/assert.h"

#include <string.h>

/* Fields of page 1 (SQLite's file format, section 1.3). */
enum {
    HEADER_SIZE = 100,
    AT_SIZE = 28,
    AT_SCHEMA_COOKIE = 40,
    AT_SCHEMA_FORMAT = 44,
    AT_ENCODING = 56,
    AT_VERSION = 96
};

static void put_be(char *out, size_t bytes, uint32_t value)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (char)(value >> (8 * (bytes - 1 - i)));
    }
}

static uint32_t get_be32(const char *in)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        value = value << 8 | (uint8_t)in[i];
    }
    return value;
}

/* The first page of a database without a table: at LSN 0 there was not even that, but a file of no
 * pages has no place for the schema cookie and the change counter, which must go on ascending. */
static void write_empty(char *page)
{
    static const char magic[] = "SQLite format 3";
    memset(page, 0, PS_PAGE_SIZE);
    memcpy(page, magic, sizeof magic);
    put_be(page + 16, 2, PS_PAGE_SIZE);
    page[18] = 1; /* written and read with a rollback journal */
    page[19] = 1;
    page[20] = PS_PAGE_RESERVED;
    page[21] = 64; /* three shares that are always these */
    page[22] = 32;
    page[23] = 32;
    put_be(page + AT_SIZE, 4, 1);
    put_be(page + AT_SCHEMA_FORMAT, 4, 4);
    put_be(page + AT_ENCODING, 4, SQLITE_UTF8);
    put_be(page + AT_VERSION, 4, SQLITE_VERSION_NUMBER);
    char *tree = page + HEADER_SIZE; /* a leaf of a table, with nothing on it */
    tree[0] = 13;
    put_be(tree + 5, 2, PS_PAGE_KEPT);
}

/* A page as it was, or NULL if it was not or was of zeros never written; and whether its newest
 * version is that one. */
static enum ps_status read_version(const struct ps_pages *pages, uint32_t page, uint64_t lsn,
                                   struct ps_version *ret, bool *ret_found)
{
    char key[PS_PAGE_KEY_SIZE];
    ps_page_key(key, page);
    const struct ps_bound bound = {.lsn_max = lsn, .commit_max = PS_NEVER};
    enum ps_status status = ps_map_get(pages->config.map, pages->config.store,
                                       (struct ps_slice){key, sizeof key}, &bound, ret);
    *ret_found = status == PS_OK && !ret->deleted;
    if (*ret_found && ret->value.size != PS_PAGE_KEPT) {
        return PS_CORRUPT;
    }
    return status == PS_NOT_FOUND ? PS_OK : status;
}

/* Write the page as it was, if it is another one now. */
static enum ps_status restore_page(struct ps_pages *pages, uint32_t page, uint64_t lsn)
{
    static const char zeros[PS_PAGE_KEPT];
    struct ps_version now;
    struct ps_version then;
    bool is;
    bool was;
    enum ps_status status = read_version(pages, page, pages->lsn, &now, &is);
    if (status != PS_OK || (is && now.lsn <= lsn)) {
        return status;
    }
    status = read_version(pages, page, lsn, &then, &was);
    if (status != PS_OK || (!is && !was)) {
        return status;
    }
    const char *bytes = was ? then.value.data : zeros;
    if (is && memcmp(now.value.data, bytes, PS_PAGE_KEPT) == 0) {
        return PS_OK;
    }
    if (HASH_COUNT(pages->dirty) >= PS_PAGES_PER_RECORD_MAX) {
        return PS_LIMIT;
    }
    memcpy(ps_pages_dirty(pages, page)->data, bytes, PS_PAGE_KEPT);
    return PS_OK;
}

/* Page 1 comes out as it was, but with a schema cookie above all that there were: the newest plus
 * one, since each change of the schema raised it. (Its change counter is the LSN, whoever reads.)
 */
static enum ps_status restore_first(struct ps_pages *pages, uint64_t lsn)
{
    struct ps_version now;
    struct ps_version then;
    bool is;
    bool was;
    enum ps_status status = read_version(pages, 1, pages->lsn, &now, &is);
    status = status != PS_OK ? status : read_version(pages, 1, lsn, &then, &was);
    if (status != PS_OK) {
        return status;
    }
    uint32_t cookie = is ? get_be32(now.value.data + AT_SCHEMA_COOKIE) : 0;
    char *page = ps_pages_dirty(pages, 1)->data;
    if (was) {
        memcpy(page, then.value.data, PS_PAGE_KEPT);
    } else {
        write_empty(page);
    }
    put_be(page + AT_SCHEMA_COOKIE, 4, cookie + 1);
    return PS_OK;
}

/* One read of the map for all: house-keeping may forget the state meanwhile, but not under it. */
static enum ps_status restore_pages(struct ps_pages *pages, uint64_t lsn)
{
    struct ps_page_head then = {0};
    enum ps_status status = lsn == 0 ? PS_OK : ps_pages_read_head(pages, lsn, &then);
    status = status != PS_OK ? status : restore_first(pages, lsn);
    for (uint32_t page = 2; status == PS_OK && page <= then.page_count; page++) {
        status = restore_page(pages, page, lsn);
    }
    pages->size = then.page_count == 0 ? 1 : then.page_count;
    return status;
}

enum ps_status ps_pages_restore(struct ps_pages *pages, uint64_t lsn)
{
    PS_ASSERT(pages->config.commit != NULL && pages->lock == SQLITE_LOCK_NONE);
    pages->view.lsn = UINT64_MAX;
    pages->status = PS_OK;
    enum ps_status status = ps_pages_snapshot(pages);
    if (status == PS_OK && lsn > pages->lsn) {
        status = PS_BEHIND;
    }
    if (status == PS_OK) {
        status = ps_map_read_begin(pages->config.map);
    }
    if (status == PS_OK) {
        status = restore_pages(pages, lsn);
        ps_map_read_end(pages->config.map);
    }
    if (status == PS_OK) {
        status = ps_pages_commit(pages, pages->head.restores + 1);
    }
    if (status != PS_OK) {
        ps_pages_drop_dirty(pages);
    }
    pages->status = PS_OK; /* it is told here, not to SQLite */
    return status;
}
