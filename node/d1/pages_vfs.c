/* The file that SQLite thinks it has. */
#include "node/d1/pages_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

struct file {
    struct sqlite3_file base;
    struct ps_pages *pages;
};

static struct ps_pages *pages_of(struct sqlite3_file *file)
{
    return ((struct file *)(void *)file)->pages;
}

/* --- reading and writing --- */

static struct ps_dirty_page *find_dirty(struct ps_pages *pages, uint32_t number)
{
    struct ps_dirty_page *dirty = NULL;
    if (pages->dirty != NULL) {
        HASH_FIND(hh, pages->dirty, &number, sizeof number, dirty);
    }
    return dirty;
}

/* A whole page to where SQLite wants it. */
static enum ps_status read_page(struct ps_pages *pages, uint32_t number, char *out)
{
    const struct ps_dirty_page *dirty = find_dirty(pages, number);
    if (dirty != NULL) {
        memcpy(out, dirty->data, PS_PAGE_SIZE);
        return PS_OK;
    }
    memset(out + PS_PAGE_KEPT, 0, PS_PAGE_RESERVED);
    return ps_pages_load(pages, number, out);
}

/* A part of one. SQLite looks at a few bytes of page 1 at each begin. */
static enum ps_status read_part(struct ps_pages *pages, uint32_t number, int at, int size,
                                char *out)
{
    if (number == 1 && pages->first_known && at + size <= PS_PAGE_KEPT &&
        find_dirty(pages, number) == NULL) {
        memcpy(out, pages->first + at, (size_t)size);
        return PS_OK;
    }
    char page[PS_PAGE_SIZE];
    enum ps_status status = read_page(pages, number, page);
    if (status == PS_OK) {
        memcpy(out, page + at, (size_t)size);
    }
    return status;
}

/* SQLite looks at the head of the file before it takes a lock: what is newest then will do. */
static enum ps_status have_snapshot(struct ps_pages *pages)
{
    return pages->lock == SQLITE_LOCK_NONE ? ps_pages_snapshot(pages) : PS_OK;
}

static int file_read(struct sqlite3_file *file, void *out, int amount, sqlite3_int64 offset)
{
    struct ps_pages *pages = pages_of(file);
    if (have_snapshot(pages) != PS_OK) {
        return SQLITE_IOERR_READ;
    }
    char *to = out;
    int left = amount;
    while (left > 0) {
        sqlite3_int64 number = offset / PS_PAGE_SIZE + 1;
        int at = (int)(offset % PS_PAGE_SIZE);
        int size = PS_PAGE_SIZE - at < left ? PS_PAGE_SIZE - at : left;
        if (number > (sqlite3_int64)pages->size) {
            memset(to, 0, (size_t)left);
            return SQLITE_IOERR_SHORT_READ;
        }
        enum ps_status status = size == PS_PAGE_SIZE
                                    ? read_page(pages, (uint32_t)number, to)
                                    : read_part(pages, (uint32_t)number, at, size, to);
        if (status != PS_OK) {
            return SQLITE_IOERR_READ;
        }
        to += size;
        offset += size;
        left -= size;
    }
    return SQLITE_OK;
}

static int file_write(struct sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    struct ps_pages *pages = pages_of(file);
    if (amount != PS_PAGE_SIZE || offset % PS_PAGE_SIZE != 0 ||
        pages->lock < SQLITE_LOCK_RESERVED) {
        return SQLITE_IOERR_WRITE;
    }
    uint32_t number = (uint32_t)(offset / PS_PAGE_SIZE) + 1;
    if (find_dirty(pages, number) == NULL && HASH_COUNT(pages->dirty) >= PS_PAGES_PER_RECORD_MAX) {
        pages->status = PS_LIMIT;
        return SQLITE_FULL;
    }
    memcpy(ps_pages_dirty(pages, number)->data, data, PS_PAGE_SIZE);
    pages->size = number > pages->size ? number : pages->size;
    return SQLITE_OK;
}

static int file_truncate(struct sqlite3_file *file, sqlite3_int64 size)
{
    struct ps_pages *pages = pages_of(file);
    PS_ASSERT(pages->lock >= SQLITE_LOCK_RESERVED);
    pages->size = (uint32_t)((size + PS_PAGE_SIZE - 1) / PS_PAGE_SIZE);
    struct ps_dirty_page *dirty;
    struct ps_dirty_page *next;
    HASH_ITER(hh, pages->dirty, dirty, next)
    {
        if (dirty->page > pages->size) {
            HASH_DEL(pages->dirty, dirty);
            free(dirty);
        }
    }
    return SQLITE_OK;
}

static int file_size(struct sqlite3_file *file, sqlite3_int64 *ret)
{
    struct ps_pages *pages = pages_of(file);
    if (have_snapshot(pages) != PS_OK) {
        return SQLITE_IOERR_FSTAT;
    }
    *ret = (sqlite3_int64)pages->size * PS_PAGE_SIZE;
    return SQLITE_OK;
}

static int file_sync(struct sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return SQLITE_OK;
}

/* --- locks --- */

/* Only one's own lock: between connections the LSN tells who came first. */
static int file_lock(struct sqlite3_file *file, int level)
{
    struct ps_pages *pages = pages_of(file);
    if (level <= pages->lock) {
        return SQLITE_OK;
    }
    if (pages->lock == SQLITE_LOCK_NONE && ps_pages_snapshot(pages) != PS_OK) {
        return SQLITE_IOERR_LOCK;
    }
    if (level >= SQLITE_LOCK_RESERVED && pages->lock < SQLITE_LOCK_RESERVED) {
        struct ps_log_state log;
        if (ps_map_log_state(pages->config.map, pages->config.store, &log) != PS_OK) {
            return SQLITE_IOERR_LOCK;
        }
        if (log.last_lsn != pages->lsn) {
            return SQLITE_BUSY; /* what it has read is no longer the newest */
        }
    }
    pages->lock = level;
    return SQLITE_OK;
}

static int file_unlock(struct sqlite3_file *file, int level)
{
    struct ps_pages *pages = pages_of(file);
    if (level <= SQLITE_LOCK_SHARED) {
        ps_pages_drop_dirty(pages); /* what was not committed is rolled back */
    }
    pages->lock = level < pages->lock ? level : pages->lock;
    return SQLITE_OK;
}

static int file_check_reserved(struct sqlite3_file *file, int *ret)
{
    (void)file;
    *ret = 0;
    return SQLITE_OK;
}

/* --- control --- */

static int commit(struct ps_pages *pages)
{
    if (pages->lock < SQLITE_LOCK_RESERVED) {
        return SQLITE_OK;
    }
    enum ps_status status = ps_pages_commit(pages, pages->head.restores);
    if (status == PS_OK) {
        return SQLITE_OK;
    }
    /* Only after these two SQLite throws its cached pages away. After SQLITE_BUSY it would keep
     * them, and trust them where the transaction that was first made the same change counter. */
    return status == PS_FULL || status == PS_LIMIT ? SQLITE_FULL : SQLITE_IOERR;
}

/* What would write the file in a way that is not ours. Asking is allowed. */
static int pragma(const struct ps_pages *pages, char **argument)
{
    static const char *const refused[] = {"journal_mode", "locking_mode", "page_size", "mmap_size"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && pages->set_up; i++) {
        if (argument[2] != NULL && sqlite3_stricmp(argument[1], refused[i]) == 0) {
            argument[0] = sqlite3_mprintf("%s cannot be changed", refused[i]);
            return SQLITE_ERROR;
        }
    }
    return SQLITE_NOTFOUND;
}

static int file_control(struct sqlite3_file *file, int operation, void *argument)
{
    switch (operation) {
    case SQLITE_FCNTL_COMMIT_PHASETWO:
        return commit(pages_of(file));
    case SQLITE_FCNTL_PRAGMA:
        return pragma(pages_of(file), argument);
    default:
        return SQLITE_NOTFOUND;
    }
}

static int file_sector_size(struct sqlite3_file *file)
{
    (void)file;
    return PS_PAGE_SIZE;
}

static int file_characteristics(struct sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN | SQLITE_IOCAP_POWERSAFE_OVERWRITE |
           SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_SEQUENTIAL;
}

static int file_close(struct sqlite3_file *file)
{
    (void)file;
    return SQLITE_OK;
}

/* Version 1: no shared memory, so no write-ahead log. */
static const struct sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* --- the file system --- */

static struct ps_pages *pages_of_vfs(struct sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* There is one file. Journals and temporary ones live in memory, and nothing can be attached. */
static int vfs_open(struct sqlite3_vfs *vfs, const char *name, struct sqlite3_file *file, int flags,
                    int *ret_flags)
{
    (void)name;
    struct file *ours = (struct file *)(void *)file;
    struct ps_pages *pages = pages_of_vfs(vfs);
    if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || pages->opened) {
        file->pMethods = NULL;
        return SQLITE_CANTOPEN;
    }
    pages->opened = true;
    *ours = (struct file){.base = {.pMethods = &METHODS}, .pages = pages};
    if (ret_flags != NULL) {
        *ret_flags = flags;
    }
    return SQLITE_OK;
}

static int vfs_delete(struct sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)name;
    (void)sync;
    return SQLITE_OK;
}

/* No journal is left over from anybody. */
static int vfs_access(struct sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    (void)name;
    (void)flags;
    *ret = 0;
    return SQLITE_OK;
}

static int vfs_full_name(struct sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

/* Only names of files are made of it, and there are no files. */
static int vfs_randomness(struct sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    memset(out, 0, (size_t)size);
    return size;
}

static int vfs_sleep(struct sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int vfs_last_error(struct sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    if (size > 0) {
        out[0] = 0;
    }
    return 0;
}

/* Milliseconds since noon of the day that Julian days are counted from. */
static int vfs_now(struct sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    const sqlite3_int64 epoch_ms = 210866760000000;
    *ret = epoch_ms + pages_of_vfs(vfs)->view.unix_ms;
    return SQLITE_OK;
}

void ps_pages_vfs_init(struct ps_pages *pages)
{
    pages->vfs = (struct sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct file),
        .mxPathname = 64,
        .zName = pages->vfs_name,
        .pAppData = pages,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_now,
    };
}
