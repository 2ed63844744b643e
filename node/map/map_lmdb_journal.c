/* The journal's files. map_lmdb_journal.h says what they are for. */
#include "node/map/map_lmdb_journal.h"

#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_SIZE = 32,
    CHECKED_AT = 8,       /* the check is of what lies behind it */
    ROOM_STEP = 256 << 10 /* files are longer than their entries: a sync then need not write that */
};

/* A file that held large entries is cut back to this when it starts anew. */
static const off_t KEEP_SIZE = 8 << 20;

int ps_journal_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int rc = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return rc;
}

int ps_journal_sync_folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    PS_ASSERT(slash != NULL);
    char *folder = ps_strndup(file, (size_t)(slash - file));
    int rc = ps_journal_sync_folder(folder);
    free(folder);
    return rc;
}

int ps_journal_init(struct ps_journal *journal, const char *folder)
{
    for (int i = 0; i < 2; i++) {
        struct ps_buf path = {0};
        ps_buf_printf(&path, "%s/journal.%d", folder, i);
        journal->paths[i] = ps_strndup(path.data, path.size);
        ps_buf_fini(&path);
        journal->fds[i] = -1;
    }
    for (int i = 0; i < 2; i++) {
        struct stat info;
        journal->fds[i] = open(journal->paths[i], O_RDWR | O_CLOEXEC);
        if (journal->fds[i] < 0 && errno == ENOENT) {
            continue;
        }
        if (journal->fds[i] < 0 || fstat(journal->fds[i], &info) != 0) {
            return errno;
        }
        journal->sizes[i] = info.st_size;
    }
    return 0;
}

void ps_journal_fini(struct ps_journal *journal)
{
    for (int i = 0; i < 2; i++) {
        if (journal->paths[i] != NULL && journal->fds[i] >= 0) {
            close(journal->fds[i]);
        }
        free(journal->paths[i]);
        journal->paths[i] = NULL;
    }
    ps_buf_fini(&journal->entry);
}

uint64_t ps_journal_chain(uint64_t generation, uint64_t chain_before)
{
    struct ps_buf bytes = {0};
    ps_row_put_u64(&bytes, generation);
    ps_row_put_u64(&bytes, chain_before);
    uint64_t chain = ps_slice_hash(ps_buf_slice(&bytes));
    ps_buf_fini(&bytes);
    return chain;
}

void ps_journal_start(struct ps_journal *journal, uint64_t generation, uint64_t chain)
{
    size_t file = generation & 1;
    journal->generation = generation;
    journal->chain = chain;
    journal->unsynced = false;
    journal->at = 0;
    if (journal->sizes[file] > KEEP_SIZE && ftruncate(journal->fds[file], KEEP_SIZE) == 0) {
        journal->sizes[file] = KEEP_SIZE;
    }
}

static int read_at(int fd, void *out, size_t size, off_t at)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, (char *)out + done, size - done, at + (off_t)done);
        if (got <= 0) {
            return got < 0 ? errno : EIO;
        }
        done += (size_t)got;
    }
    return 0;
}

static int write_at(int fd, const void *bytes, size_t size, off_t at)
{
    size_t done = 0;
    while (done < size) {
        ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, at + (off_t)done);
        if (put <= 0) {
            return put < 0 ? errno : ENOSPC;
        }
        done += (size_t)put;
    }
    return 0;
}

/* One entry behind `chain`, into `bytes`, with its header; false where the chain ends. */
static bool read_entry(const struct ps_journal *journal, size_t file, off_t at, uint64_t chain,
                       struct ps_buf *bytes, int *ret_error)
{
    off_t left = journal->sizes[file] - at;
    bytes->size = 0;
    if (left < HEADER_SIZE) {
        return false;
    }
    ps_buf_reserve(bytes, HEADER_SIZE);
    *ret_error = read_at(journal->fds[file], bytes->data, HEADER_SIZE, at);
    if (*ret_error != 0) {
        return false;
    }
    struct ps_row header = ps_row_of(ps_lmdb_val(bytes->data, HEADER_SIZE));
    uint64_t check = ps_row_u64(&header);
    uint64_t before = ps_row_u64(&header);
    (void)ps_row_u64(&header);
    uint64_t size = ps_row_u64(&header) >> 32;
    if (before != chain || size > (uint64_t)(left - HEADER_SIZE)) {
        return false;
    }
    bytes->size = HEADER_SIZE;
    ps_buf_reserve(bytes, size);
    *ret_error = read_at(journal->fds[file], bytes->data + HEADER_SIZE, size, at + HEADER_SIZE);
    bytes->size += size;
    return *ret_error == 0 && ps_slice_hash((struct ps_slice){bytes->data + CHECKED_AT,
                                                              bytes->size - CHECKED_AT}) == check;
}

int ps_journal_read(const struct ps_journal *journal, uint64_t generation, uint64_t *chain,
                    ps_journal_fn each, void *context, size_t *ret_count)
{
    size_t file = generation & 1;
    struct ps_buf bytes = {0};
    off_t at = 0;
    int error = 0;
    *ret_count = 0;
    while (journal->fds[file] >= 0 && read_entry(journal, file, at, *chain, &bytes, &error)) {
        struct ps_row row = ps_row_of(ps_lmdb_val(bytes.data, bytes.size));
        *chain = ps_row_u64(&row);
        (void)ps_row_u64(&row);
        uint64_t txn = ps_row_u64(&row);
        uint32_t kind = (uint32_t)ps_row_u64(&row);
        ++*ret_count;
        at += (off_t)bytes.size;
        if (!each(context, txn, kind, (struct ps_slice){(const char *)row.at, row.left})) {
            break;
        }
    }
    ps_buf_fini(&bytes);
    return error;
}

struct ps_buf *ps_journal_begin(struct ps_journal *journal)
{
    static const char header[HEADER_SIZE];
    journal->entry.size = 0;
    ps_buf_append(&journal->entry, header, sizeof header);
    return &journal->entry;
}

static void put_le64(char *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (char)(value >> (8 * i));
    }
}

/* The file, made when it is first written; its name is durable before what is in it. */
static int file_of(struct ps_journal *journal, size_t file)
{
    if (journal->fds[file] >= 0) {
        return 0;
    }
    int fd = open(journal->paths[file], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int rc = ps_journal_sync_folder_of(journal->paths[file]);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    journal->fds[file] = fd;
    return 0;
}

/* Zeros ahead of the entries. Without room for them the entry alone is tried. */
static void make_room(struct ps_journal *journal, size_t file, off_t end)
{
    static const char zeros[ROOM_STEP];
    while (journal->sizes[file] < end) {
        if (write_at(journal->fds[file], zeros, sizeof zeros, journal->sizes[file]) != 0) {
            return;
        }
        journal->sizes[file] += ROOM_STEP;
    }
}

int ps_journal_append(struct ps_journal *journal, enum ps_journal_kind kind, uint64_t txn)
{
    struct ps_buf *entry = &journal->entry;
    PS_ASSERT(entry->size >= HEADER_SIZE && entry->size - HEADER_SIZE <= UINT32_MAX);
    put_le64(entry->data + 8, journal->chain);
    put_le64(entry->data + 16, txn);
    put_le64(entry->data + 24, (uint64_t)(entry->size - HEADER_SIZE) << 32 | (uint32_t)kind);
    uint64_t check =
        ps_slice_hash((struct ps_slice){entry->data + CHECKED_AT, entry->size - CHECKED_AT});
    put_le64(entry->data, check);

    size_t file = journal->generation & 1;
    off_t end = journal->at + (off_t)entry->size;
    int rc = file_of(journal, file);
    if (rc != 0) {
        return rc;
    }
    if (end > journal->sizes[file]) {
        make_room(journal, file, end);
    }
    rc = write_at(journal->fds[file], entry->data, entry->size, journal->at);
    if (rc != 0) {
        return rc;
    }
    journal->sizes[file] = end > journal->sizes[file] ? end : journal->sizes[file];
    journal->chain_back = journal->chain;
    journal->at_back = journal->at;
    journal->chain = check;
    journal->at = end;
    journal->unsynced = true;
    return 0;
}

int ps_journal_cancel(struct ps_journal *journal)
{
    static const char zeros[HEADER_SIZE];
    journal->chain = journal->chain_back;
    journal->at = journal->at_back;
    int rc = write_at(journal->fds[journal->generation & 1], zeros, sizeof zeros, journal->at);
    journal->unsynced = true;
    return rc != 0 ? rc : ps_journal_sync(journal);
}

int ps_journal_sync(struct ps_journal *journal)
{
    if (journal->unsynced && fdatasync(journal->fds[journal->generation & 1]) != 0) {
        return errno;
    }
    journal->unsynced = false;
    return 0;
}
