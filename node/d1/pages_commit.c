/* From the pages that a transaction has written to the record that it becomes. */
#include "node/d1/pages_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

struct commit {
    struct ps_pages *pages;
    struct ps_page_head head; /* what it will be */
    char head_bytes[PS_PAGE_HEAD_SIZE];
    struct ps_entry *entries;
    char *keys;
    size_t count;
    size_t capacity;
};

static void add(struct commit *commit, uint32_t page, struct ps_slice value, bool deleted)
{
    PS_ASSERT(commit->count < commit->capacity);
    char *key = commit->keys + commit->count * PS_PAGE_KEY_SIZE;
    ps_page_key(key, page);
    commit->entries[commit->count++] = (struct ps_entry){
        .key = {key, PS_PAGE_KEY_SIZE},
        .value = value,
        .deleted = deleted,
    };
}

static int by_page(struct ps_dirty_page *a, struct ps_dirty_page *b)
{
    return a->page < b->page ? -1 : a->page > b->page;
}

/* All but the change counter, which tells nothing: whoever reads page 1 is given the LSN. */
static bool same(uint32_t page, const char *a, const char *b)
{
    if (page != 1) {
        return memcmp(a, b, PS_PAGE_KEPT) == 0;
    }
    const size_t between = PS_CHANGES_AT + PS_CHANGES_SIZE;
    const size_t behind = PS_CHANGES_VALID_AT + PS_CHANGES_SIZE;
    return memcmp(a, b, PS_CHANGES_AT) == 0 &&
           memcmp(a + between, b + between, PS_CHANGES_VALID_AT - between) == 0 &&
           memcmp(a + behind, b + behind, PS_PAGE_KEPT - behind) == 0;
}

static enum ps_status add_page(struct commit *commit, const struct ps_dirty_page *dirty,
                               bool always)
{
    struct ps_pages *pages = commit->pages;
    struct ps_slice former;
    enum ps_status status =
        ps_pages_read(pages->config.map, pages->config.store, dirty->page, pages->lsn, &former);
    if (status != PS_OK && status != PS_NOT_FOUND) {
        return status;
    }
    bool was = status == PS_OK;
    if (was && !always && same(dirty->page, former.data, dirty->data)) {
        return PS_OK;
    }
    if (commit->count > PS_PAGES_PER_RECORD_MAX) {
        return PS_LIMIT;
    }
    if (was) {
        commit->head.checksum ^= ps_page_hash(dirty->page, former.data);
    }
    commit->head.checksum ^= ps_page_hash(dirty->page, dirty->data);
    add(commit, dirty->page, (struct ps_slice){dirty->data, PS_PAGE_KEPT}, false);
    return PS_OK;
}

/* Pages are written that do not change: rolled back to a savepoint, or spilled; and page 1 by every
 * transaction, for the sake of its change counter. */
static enum ps_status add_changed(struct commit *commit)
{
    struct ps_pages *pages = commit->pages;
    HASH_SORT(pages->dirty, by_page);
    struct ps_dirty_page *dirty;
    struct ps_dirty_page *next;
    enum ps_status status = PS_OK;
    HASH_ITER(hh, pages->dirty, dirty, next)
    {
        if (status == PS_OK && dirty->page <= pages->size) {
            status = add_page(commit, dirty, false);
        }
    }
    return status;
}

/* Where nothing but the counter was written there is a record all the same: SQLite has counted, and
 * would trust its cached pages after the next record, whoever made that. */
static enum ps_status add_counted(struct commit *commit)
{
    struct ps_pages *pages = commit->pages;
    struct ps_dirty_page *first = pages->dirty;
    bool counted = commit->count == 1 && first != NULL && first->page == 1 && pages->size >= 1;
    return counted ? add_page(commit, first, true) : PS_OK;
}

/* The pages behind the new end are no more. */
static enum ps_status add_removed(struct commit *commit)
{
    struct ps_pages *pages = commit->pages;
    for (uint32_t page = pages->size + 1; page <= pages->head.page_count; page++) {
        struct ps_slice former;
        enum ps_status status =
            ps_pages_read(pages->config.map, pages->config.store, page, pages->lsn, &former);
        if (status == PS_NOT_FOUND) {
            continue;
        }
        if (status != PS_OK) {
            return status;
        }
        if (commit->count == PS_ENTRIES_MAX) {
            return PS_LIMIT;
        }
        commit->head.checksum ^= ps_page_hash(page, former.data);
        add(commit, page, (struct ps_slice){NULL, 0}, true);
    }
    return PS_OK;
}

static enum ps_status collect(struct commit *commit)
{
    struct ps_pages *pages = commit->pages;
    add(commit, 0, (struct ps_slice){commit->head_bytes, sizeof commit->head_bytes}, false);
    enum ps_status status = ps_map_read_begin(pages->config.map);
    if (status != PS_OK) {
        return status;
    }
    status = add_changed(commit);
    status = status != PS_OK ? status : add_removed(commit);
    status = status != PS_OK ? status : add_counted(commit);
    ps_map_read_end(pages->config.map);
    ps_page_head_write(commit->head_bytes, &commit->head);
    return status;
}

static enum ps_status hand_over(struct commit *commit)
{
    struct ps_pages *pages = commit->pages;
    struct ps_record record = {
        .lsn = pages->lsn + 1,
        .entries = commit->entries,
        .entry_count = commit->count,
    };
    enum ps_status status = pages->config.commit(pages->config.context, &record);
    if (status == PS_OK) {
        PS_ASSERT(record.lsn == pages->lsn + 1);
        pages->lsn = record.lsn;
        pages->head = commit->head;
        pages->first_known = false;
    }
    return status;
}

enum ps_status ps_pages_commit(struct ps_pages *pages, uint32_t restores)
{
    PS_ASSERT(pages->config.commit != NULL && pages->known);
    uint32_t removed =
        pages->head.page_count > pages->size ? pages->head.page_count - pages->size : 0;
    if (pages->dirty == NULL && pages->size == pages->head.page_count) {
        return PS_OK;
    }
    struct commit commit = {
        .pages = pages,
        .head = {.page_count = pages->size,
                 .checksum = pages->head.checksum,
                 .restores = restores,
                 .unix_ms = pages->view.unix_ms > 0 ? (uint64_t)pages->view.unix_ms : 0},
        .capacity = 1 + (size_t)HASH_COUNT(pages->dirty) + removed,
    };
    commit.entries = PS_NEW_ARRAY(struct ps_entry, commit.capacity);
    commit.keys = PS_NEW_ARRAY(char, commit.capacity *PS_PAGE_KEY_SIZE);
    enum ps_status status = collect(&commit);
    bool changed = commit.count > 1 || pages->size != pages->head.page_count;
    if (status == PS_OK && changed) {
        status = hand_over(&commit);
    }
    free(commit.entries);
    free(commit.keys);
    if (status == PS_OK) {
        ps_pages_drop_dirty(pages);
    }
    pages->status = status == PS_OK ? pages->status : status;
    return status;
}
