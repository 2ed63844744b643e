#include "node/d1/pages.h"

#include "node/d1/pages_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdio.h>
#include <string.h>

enum ps_status ps_pages_read(struct ps_map *map, ps_map_store store, uint32_t page, uint64_t lsn,
                             struct ps_slice *ret)
{
    char key[PS_PAGE_KEY_SIZE];
    ps_page_key(key, page);
    const struct ps_bound bound = {.lsn_max = lsn, .commit_max = PS_NEVER};
    struct ps_version version;
    enum ps_status status =
        ps_map_get(map, store, (struct ps_slice){key, sizeof key}, &bound, &version);
    if (status != PS_OK) {
        return status;
    }
    if (version.deleted) {
        return PS_NOT_FOUND;
    }
    if (page != 0 && version.value.size != PS_PAGE_KEPT) {
        return PS_CORRUPT;
    }
    *ret = version.value;
    return PS_OK;
}

/* The head at an LSN. Each record of the store has one, so none means that it was forgotten. */
enum ps_status ps_pages_read_head(const struct ps_pages *pages, uint64_t lsn,
                                  struct ps_page_head *ret)
{
    struct ps_slice bytes;
    enum ps_status status = ps_pages_read(pages->config.map, pages->config.store, 0, lsn, &bytes);
    if (status == PS_OK) {
        return ps_page_head_read(bytes, ret);
    }
    return status == PS_NOT_FOUND ? PS_TOO_OLD : status;
}

static enum ps_status wanted_lsn(struct ps_pages *pages, uint64_t *ret)
{
    struct ps_log_state log;
    enum ps_status status = ps_map_log_state(pages->config.map, pages->config.store, &log);
    if (status != PS_OK) {
        return status;
    }
    if (pages->view.lsn != UINT64_MAX && pages->view.lsn > log.last_lsn) {
        return PS_BEHIND;
    }
    *ret = pages->view.lsn == UINT64_MAX ? log.last_lsn : pages->view.lsn;
    return PS_OK;
}

enum ps_status ps_pages_snapshot(struct ps_pages *pages)
{
    PS_ASSERT(pages->dirty == NULL);
    uint64_t lsn;
    enum ps_status status = wanted_lsn(pages, &lsn);
    if (status == PS_OK && !(pages->known && pages->lsn == lsn)) {
        struct ps_page_head head = {0};
        if (lsn > 0) {
            status = ps_map_read_begin(pages->config.map);
            if (status == PS_OK) {
                status = ps_pages_read_head(pages, lsn, &head);
                ps_map_read_end(pages->config.map);
            }
        }
        pages->emptied +=
            pages->known && pages->head.page_count > 0 && head.page_count == 0 ? 1 : 0;
        pages->known = status == PS_OK;
        pages->lsn = lsn;
        pages->head = head;
        pages->first_known = false;
    }
    pages->size = pages->head.page_count;
    pages->status = status == PS_OK ? pages->status : status;
    return status;
}

/* A page that is not there was never written (a free one at the end, the one at 1 GiB) and reads as
 * zeros; unless it is not there because the snapshot has been forgotten, and then the head, which
 * changes with every record, is not there either. */
static enum ps_status load(struct ps_pages *pages, uint32_t page, char *out)
{
    struct ps_slice bytes;
    enum ps_status status =
        ps_pages_read(pages->config.map, pages->config.store, page, pages->lsn, &bytes);
    if (status == PS_OK) {
        memcpy(out, bytes.data, PS_PAGE_KEPT);
    } else if (status == PS_NOT_FOUND) {
        struct ps_page_head head;
        memset(out, 0, PS_PAGE_KEPT);
        status = pages->lsn == 0 ? PS_OK : ps_pages_read_head(pages, pages->lsn, &head);
    }
    return status;
}

static void put_changes(struct ps_pages *pages, char *page)
{
    /* Two values of `emptied` that follow each other are a thousand million LSNs apart. */
    uint32_t count = (uint32_t)pages->lsn + (pages->emptied << 30);
    for (size_t i = 0; i < PS_CHANGES_SIZE; i++) {
        char byte = (char)(count >> (8 * (PS_CHANGES_SIZE - 1 - i)));
        page[PS_CHANGES_AT + i] = byte;
        page[PS_CHANGES_VALID_AT + i] = byte;
    }
}

enum ps_status ps_pages_load(struct ps_pages *pages, uint32_t page, char *out)
{
    PS_ASSERT(pages->known);
    if (page == 1 && pages->first_known) {
        memcpy(out, pages->first, PS_PAGE_KEPT);
        return PS_OK;
    }
    enum ps_status status = ps_map_read_begin(pages->config.map);
    if (status == PS_OK) {
        status = load(pages, page, out);
        ps_map_read_end(pages->config.map);
    }
    if (status == PS_OK && page == 1) {
        put_changes(pages, out);
        memcpy(pages->first, out, PS_PAGE_KEPT);
        pages->first_known = true;
    }
    pages->status = status == PS_OK ? pages->status : status;
    return status;
}

enum ps_status ps_pages_schema(struct ps_pages *pages, uint32_t *ret)
{
    enum { COOKIE_AT = 40 };

    PS_ASSERT(pages->lock != SQLITE_LOCK_NONE);
    *ret = 0;
    if (pages->head.page_count == 0) {
        return PS_OK;
    }
    char page[PS_PAGE_KEPT];
    if (!pages->first_known) {
        enum ps_status status = ps_pages_load(pages, 1, page);
        if (status != PS_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < sizeof *ret; i++) {
        *ret = *ret << 8 | (uint8_t)pages->first[COOKIE_AT + i];
    }
    return PS_OK;
}

struct ps_dirty_page *ps_pages_dirty(struct ps_pages *pages, uint32_t page)
{
    struct ps_dirty_page *dirty;
    HASH_FIND(hh, pages->dirty, &page, sizeof page, dirty);
    if (dirty == NULL) {
        dirty = PS_NEW(struct ps_dirty_page);
        dirty->page = page;
        HASH_ADD(hh, pages->dirty, page, sizeof dirty->page, dirty);
    }
    return dirty;
}

void ps_pages_drop_dirty(struct ps_pages *pages)
{
    struct ps_dirty_page *page;
    struct ps_dirty_page *next;
    HASH_ITER(hh, pages->dirty, page, next)
    {
        HASH_DEL(pages->dirty, page);
        free(page);
    }
    pages->dirty = NULL;
    pages->size = pages->head.page_count;
}

/* What SQLite must be told before anybody else speaks to it: the journal is only for rolling back
 * within the process, the map makes commits durable, and the tail of each page is ours. */
static enum ps_status set_up(struct ps_pages *pages, struct ps_error *err)
{
    int reserved = PS_PAGE_RESERVED;
    sqlite3_file_control(pages->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    const struct ps_pages_config *config = &pages->config;
    struct ps_buf sql = {0};
    ps_buf_append_text(&sql, "PRAGMA journal_mode=MEMORY;PRAGMA synchronous=OFF;");
    ps_buf_printf(&sql, "PRAGMA cache_size=%u;",
                  config->cache_pages == 0 ? (unsigned)PS_PAGES_CACHE : config->cache_pages);
    if (config->page_count_max != 0) {
        ps_buf_printf(&sql, "PRAGMA max_page_count=%u;", config->page_count_max);
    }
    int rc = sqlite3_exec(pages->db, ps_buf_text(&sql), NULL, NULL, NULL);
    ps_buf_fini(&sql);
    if (rc != SQLITE_OK) {
        enum ps_status status = pages->status != PS_OK ? pages->status : PS_CORRUPT;
        return ps_fail(err, status, "open the database: %s", sqlite3_errmsg(pages->db));
    }
    pages->set_up = true;
    return PS_OK;
}

enum ps_status ps_pages_open(const struct ps_pages_config *config, struct ps_pages **ret,
                             struct ps_error *err)
{
    struct ps_pages *pages = PS_NEW(struct ps_pages);
    pages->config = *config;
    pages->view.lsn = UINT64_MAX;
    ps_pages_vfs_init(pages);
    /* SQLite finds a VFS by its name, also when it opens the copy that VACUUM makes. */
    (void)snprintf(pages->vfs_name, sizeof pages->vfs_name, "popsim-%p", (void *)pages);
    int rc = sqlite3_vfs_register(&pages->vfs, 0);
    if (rc == SQLITE_OK) {
        int access = config->commit == NULL ? SQLITE_OPEN_READONLY
                                            : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        rc = sqlite3_open_v2("database", &pages->db, access | SQLITE_OPEN_NOMUTEX, pages->vfs_name);
    }
    enum ps_status status = PS_OK;
    if (rc != SQLITE_OK) {
        status = pages->status != PS_OK ? pages->status : PS_IO;
        status = ps_fail(err, status, "open the database: %s", sqlite3_errstr(rc));
    } else {
        status = set_up(pages, err);
    }
    if (status != PS_OK) {
        ps_pages_close(pages);
        return status;
    }
    *ret = pages;
    return PS_OK;
}

void ps_pages_close(struct ps_pages *pages)
{
    if (pages == NULL) {
        return;
    }
    int rc = sqlite3_close(pages->db);
    PS_ASSERT(rc == SQLITE_OK); /* a statement was not finalized */
    sqlite3_vfs_unregister(&pages->vfs);
    ps_pages_drop_dirty(pages);
    free(pages);
}

struct sqlite3 *ps_pages_db(struct ps_pages *pages)
{
    return pages->db;
}

void ps_pages_set_view(struct ps_pages *pages, const struct ps_pages_view *view)
{
    if (pages->known && pages->lsn == 0) {
        /* Of a file without pages SQLite keeps no change counter, but a page 1 of zeros: it would
         * take that for the one of a counter it saw before. */
        (void)sqlite3_db_release_memory(pages->db);
    }
    pages->view = *view;
    pages->status = PS_OK;
}

uint64_t ps_pages_lsn(const struct ps_pages *pages)
{
    return pages->lsn;
}

uint32_t ps_pages_count(const struct ps_pages *pages)
{
    return pages->head.page_count;
}

uint32_t ps_pages_restores(const struct ps_pages *pages)
{
    return pages->head.restores;
}

enum ps_status ps_pages_status(const struct ps_pages *pages)
{
    return pages->status;
}
