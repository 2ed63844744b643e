#include "node/io/r2/blobs.h"

#include "node/io/worker.h"
#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <ev.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 4608,
    WRITEBACK =
        8 << 20, /* the kernel is asked to write this early, so that the last sync is short */
    FOLDERS_OPEN = 16
};

/* A blob that is not to be swept: `count` records are on their way, or until an instant. */
struct hold {
    struct ps_r2_id id; /* the key */
    size_t count;
    double until_s; /* 0: it is not new, or a record may refer to it */
    UT_hash_handle hh;
};

/* A blob that may be swept, or one whose file is about to go. */
struct candidate {
    struct ps_r2_id id; /* the key */
    UT_hash_handle hh;
};

/* What there is of one store. */
struct place {
    char *store; /* the key */
    UT_hash_handle hh;
    struct ps_blob_write *writes; /* under way */
    bool dropped;                 /* takes no more of them; goes when there are none */
    DIR *round;                   /* how far sweeping has come; NULL: a round is to begin */
};

struct ps_blobs {
    struct ev_loop *loop;
    char path[4096];
    bool sync;
    bool stopped;
    struct ps_worker *workers[PS_BLOB_THREADS];
    size_t turn;
    uint64_t names; /* temporary ones given out */
    double hold_s;
    struct hold *holds;
    struct place *places;
    struct place *swept; /* a sweep of it is under way */
    struct candidate *candidates;
    struct candidate *going; /* their files are being deleted: they are as good as gone */
};

struct ps_blob_write {
    struct ps_job job; /* first member */
    struct ps_blobs *blobs;
    struct place *place;
    struct ps_blob_write *next; /* of the place's */
    struct ps_blob_write **prev;
    struct ps_blob_writer writer;
    struct ps_r2_id id;
    char *folder;
    char *temporary;
    char *path;
    /* the loop's */
    struct ps_buf pending;
    bool busy;
    bool finished; /* ps_blob_finish was called */
    bool told;     /* ... to wait */
    bool aborted;
    /* its thread's, while it is busy */
    struct ps_buf bytes;
    bool last;
    bool dropped; /* its store is: it fails */
    int fd;
    bool created;
    struct ps_r2_digest *digest;
    struct ps_blob_result result;
    uint64_t written_back;
};

/* ---- names ---- */

static char *path_of(const char *format, ...) PS_PRINTF(1, 2);

static char *path_of(const char *format, ...)
{
    char path[PATH_SIZE];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    PS_ASSERT(size > 0 && size < PATH_SIZE); /* the node's folder, a store's name and an id */
    return ps_strndup(path, (size_t)size);
}

char *ps_blob_path(const struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id)
{
    char hex[PS_R2_HEX_SIZE];
    ps_r2_id_hex(id, hex);
    return path_of("%s/%s/%s", blobs->path, store, hex);
}

static bool is_temporary(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".tmp") == 0;
}

/* A store that is gone, whose files are not all gone yet. */
static bool is_gone(const char *name)
{
    return strncmp(name, ".gone", 5) == 0;
}

/* ---- jobs of no write ---- */

static void submit(struct ps_blobs *blobs, struct ps_job *job)
{
    if (blobs->stopped) {
        job->run(job);
        job->done(job);
        return;
    }
    /* One that has nothing to do, if there is one. */
    size_t best = blobs->turn++ % PS_BLOB_THREADS;
    for (size_t i = 0; i < PS_BLOB_THREADS && ps_worker_busy(blobs->workers[best]); i++) {
        best = (best + 1) % PS_BLOB_THREADS;
    }
    ps_worker_submit(blobs->workers[best], job);
}

struct removal {
    struct ps_job job; /* first member */
    struct ps_blobs *blobs;
    char **paths;
    struct ps_r2_id *ids; /* of these files; NULL: of a tree */
    size_t count;
    void (*done)(void *context, enum ps_status status);
    void *context;
};

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static void run_removal(struct ps_job *job)
{
    struct removal *removal = (struct removal *)(void *)job;
    for (size_t i = 0; i < removal->count; i++) {
        int failed = removal->ids == NULL
                         ? nftw(removal->paths[i], remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS)
                         : unlink(removal->paths[i]);
        if (failed != 0) {
            job->status = errno == ENOENT ? PS_NOT_FOUND : PS_IO;
        }
    }
}

static struct candidate *find_candidate(struct candidate *list, const struct ps_r2_id *id)
{
    struct candidate *candidate;
    HASH_FIND(hh, list, id, sizeof *id, candidate);
    return candidate;
}

static void add_candidate(struct candidate **list, const struct ps_r2_id *id)
{
    struct candidate *candidate = PS_NEW(struct candidate);
    candidate->id = *id;
    HASH_ADD(hh, *list, id, sizeof candidate->id, candidate);
}

static void drop_candidate(struct candidate **list, const struct ps_r2_id *id)
{
    struct candidate *candidate = find_candidate(*list, id);
    if (candidate != NULL) {
        PS_ASSERT(*list != NULL && (*list)->hh.tbl != NULL);
        HASH_DEL(*list, candidate);
        free(candidate);
    }
}

static void on_removed(struct ps_job *job)
{
    struct removal *removal = (struct removal *)(void *)job;
    for (size_t i = 0; i < removal->count; i++) {
        if (removal->ids != NULL) {
            drop_candidate(&removal->blobs->going, &removal->ids[i]);
        }
        free(removal->paths[i]);
    }
    if (removal->done != NULL) {
        removal->done(removal->context, job->status);
    }
    free(removal->paths);
    free(removal->ids);
    free(removal);
}

/* Takes over the paths and the ids. */
static void remove_later(struct ps_blobs *blobs, char **paths, struct ps_r2_id *ids, size_t count,
                         void (*done)(void *context, enum ps_status status), void *context)
{
    struct removal *removal = PS_NEW(struct removal);
    *removal = (struct removal){.job = {.run = run_removal, .done = on_removed},
                                .blobs = blobs,
                                .paths = paths,
                                .ids = ids,
                                .count = count,
                                .done = done,
                                .context = context};
    for (size_t i = 0; ids != NULL && i < count; i++) {
        if (find_candidate(blobs->going, &ids[i]) == NULL) {
            add_candidate(&blobs->going, &ids[i]);
        }
    }
    submit(blobs, &removal->job);
}

static void remove_tree(struct ps_blobs *blobs, char *path)
{
    char **paths = PS_NEW_ARRAY(char *, 1);
    paths[0] = path;
    remove_later(blobs, paths, NULL, 1, NULL, NULL);
}

void ps_blob_delete(struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id,
                    void (*done)(void *context, enum ps_status status), void *context)
{
    char **paths = PS_NEW_ARRAY(char *, 1);
    struct ps_r2_id *ids = PS_NEW_ARRAY(struct ps_r2_id, 1);
    paths[0] = ps_blob_path(blobs, store, id);
    ids[0] = *id;
    remove_later(blobs, paths, ids, 1, done, context);
}

/* ---- places ---- */

static struct place *place_of(struct ps_blobs *blobs, const char *store)
{
    struct place *place;
    HASH_FIND_STR(blobs->places, store, place);
    if (place == NULL) {
        place = PS_NEW(struct place);
        place->store = path_of("%s", store);
        HASH_ADD_KEYPTR(hh, blobs->places, place->store, strlen(place->store), place);
    }
    return place;
}

static void end_round(struct place *place)
{
    if (place->round != NULL) {
        (void)closedir(place->round);
        place->round = NULL;
    }
}

static void free_places(struct ps_blobs *blobs)
{
    struct place *place;
    struct place *next;
    HASH_ITER(hh, blobs->places, place, next)
    {
        PS_ASSERT(place->writes == NULL);
        HASH_DEL(blobs->places, place);
        end_round(place);
        free(place->store);
        free(place);
    }
}

/* Nothing is being written into it. */
static void remove_place(struct ps_blobs *blobs, struct place *place)
{
    char *from = path_of("%s/%s", blobs->path, place->store);
    char *to =
        path_of("%s/.gone-%d-%llu", blobs->path, (int)getpid(), (unsigned long long)blobs->names++);
    end_round(place);
    if (rename(from, to) == 0) {
        remove_tree(blobs, to);
    } else {
        free(to);
    }
    free(from);
}

static void kick(struct ps_blob_write *write);

void ps_blobs_drop(struct ps_blobs *blobs, const char *store)
{
    struct place *place = place_of(blobs, store);
    place->dropped = true;
    for (struct ps_blob_write *write = place->writes; write != NULL; write = write->next) {
        kick(write);
    }
    if (place->writes == NULL) {
        remove_place(blobs, place);
    }
}

void ps_blobs_stores(const struct ps_blobs *blobs, void (*each)(void *context, const char *store),
                     void *context)
{
    DIR *folder = opendir(blobs->path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            each(context, entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

/* ---- open and close ---- */

/* Temporary files of one store. */
static enum ps_status tidy_store(const char *path, struct ps_error *err)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return ps_fail(err, PS_IO, "%s: %s", path, strerror(errno));
    }
    enum ps_status status = PS_OK;
    const struct dirent *entry;
    while (status == PS_OK && (entry = readdir(folder)) != NULL) {
        if (is_temporary(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0) {
            status = ps_fail(err, PS_IO, "delete %s/%s: %s", path, entry->d_name, strerror(errno));
        }
    }
    (void)closedir(folder);
    return status;
}

static enum ps_status tidy(struct ps_blobs *blobs, struct ps_error *err)
{
    DIR *folder = opendir(blobs->path);
    if (folder == NULL) {
        return ps_fail(err, PS_IO, "%s: %s", blobs->path, strerror(errno));
    }
    enum ps_status status = PS_OK;
    const struct dirent *entry;
    while (status == PS_OK && (entry = readdir(folder)) != NULL) {
        char *path = path_of("%s/%s", blobs->path, entry->d_name);
        if (is_gone(entry->d_name)) {
            remove_tree(blobs, path);
            continue;
        }
        if (entry->d_name[0] != '.') {
            status = tidy_store(path, err);
        }
        free(path);
    }
    (void)closedir(folder);
    return status;
}

enum ps_status ps_blobs_open(struct ev_loop *loop, const char *path, bool sync, double hold_s,
                             struct ps_blobs **ret, struct ps_error *err)
{
    struct ps_blobs *blobs = PS_NEW(struct ps_blobs);
    blobs->loop = loop;
    blobs->sync = sync;
    blobs->hold_s = hold_s;
    enum ps_status status = PS_OK;
    if (snprintf(blobs->path, sizeof blobs->path, "%s", path) >= (int)sizeof blobs->path) {
        status = ps_fail(err, PS_INVALID, "%s: the path is too long", path);
    } else if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        status = ps_fail(err, errno == ENOSPC ? PS_FULL : PS_IO, "%s: %s", path, strerror(errno));
    }
    for (size_t i = 0; i < PS_BLOB_THREADS && status == PS_OK; i++) {
        status = ps_worker_create(loop, &blobs->workers[i], err);
    }
    status = status == PS_OK ? tidy(blobs, err) : status;
    if (status != PS_OK) {
        ps_blobs_stop(blobs);
        ps_blobs_close(blobs);
        return status;
    }
    *ret = blobs;
    return PS_OK;
}

void ps_blobs_stop(struct ps_blobs *blobs)
{
    if (blobs == NULL || blobs->stopped) {
        return;
    }
    blobs->stopped = true;
    for (size_t i = 0; i < PS_BLOB_THREADS; i++) {
        ps_worker_destroy(blobs->workers[i]);
    }
}

bool ps_blobs_busy(const struct ps_blobs *blobs)
{
    for (size_t i = 0; i < PS_BLOB_THREADS; i++) {
        if (ps_worker_busy(blobs->workers[i])) {
            return true;
        }
    }
    return false;
}

static void clear_candidates(struct candidate **list)
{
    struct candidate *candidate;
    struct candidate *next;
    HASH_ITER(hh, *list, candidate, next)
    {
        HASH_DEL(*list, candidate);
        free(candidate);
    }
}

void ps_blobs_close(struct ps_blobs *blobs)
{
    if (blobs == NULL) {
        return;
    }
    PS_ASSERT(blobs->stopped);
    struct hold *hold;
    struct hold *next;
    HASH_ITER(hh, blobs->holds, hold, next)
    {
        HASH_DEL(blobs->holds, hold);
        free(hold);
    }
    clear_candidates(&blobs->candidates);
    clear_candidates(&blobs->going);
    free_places(blobs);
    free(blobs);
}

/* ---- a write, on its thread ---- */

static enum ps_status fail(struct ps_job *job, const char *what, const char *path)
{
    int code = errno;
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    enum ps_status status = full ? PS_FULL : code == EEXIST ? PS_EXISTS : PS_IO;
    return ps_fail(&job->err, status, "%s %s: %s", what, path, strerror(code));
}

static enum ps_status create(struct ps_blob_write *write)
{
    if (mkdir(write->folder, 0700) != 0 && errno != EEXIST) {
        return fail(&write->job, "create", write->folder);
    }
    write->fd = open(write->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (write->fd < 0) {
        return fail(&write->job, "create", write->temporary);
    }
    write->created = true;
    return PS_OK;
}

static enum ps_status write_bytes(struct ps_blob_write *write)
{
    size_t done = 0;
    while (done < write->bytes.size) {
        ssize_t count = pwrite(write->fd, write->bytes.data + done, write->bytes.size - done,
                               (off_t)(write->result.size + done));
        if (count < 0 && errno != EINTR) {
            return fail(&write->job, "write", write->temporary);
        }
        done += count > 0 ? (size_t)count : 0;
    }
    ps_r2_digest_update(write->digest, ps_buf_slice(&write->bytes));
    write->result.size += write->bytes.size;
    uint64_t dirty = write->result.size - write->written_back;
    if (write->blobs->sync && dirty >= WRITEBACK) {
        (void)sync_file_range(write->fd, (off_t)write->written_back, (off_t)dirty,
                              SYNC_FILE_RANGE_WRITE);
        write->written_back = write->result.size;
    }
    return PS_OK;
}

static enum ps_status sync_folder(struct ps_job *job, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail(job, "open", path);
    }
    enum ps_status status = fsync(fd) == 0 ? PS_OK : fail(job, "sync", path);
    (void)close(fd);
    return status;
}

/* Its bytes, its name, and its store's name in turn. */
static enum ps_status finish(struct ps_blob_write *write)
{
    struct ps_job *job = &write->job;
    bool sync = write->blobs->sync;
    if (sync && fsync(write->fd) != 0) {
        return fail(job, "sync", write->temporary);
    }
    if (renameat2(AT_FDCWD, write->temporary, AT_FDCWD, write->path, RENAME_NOREPLACE) != 0) {
        return fail(job, "create", write->path);
    }
    write->created = false; /* the temporary file is none any more */
    (void)close(write->fd);
    write->fd = -1;
    enum ps_status status = sync ? sync_folder(job, write->folder) : PS_OK;
    if (status == PS_OK && sync) {
        status = sync_folder(job, write->blobs->path);
    }
    if (status != PS_OK) {
        (void)unlink(write->path);
        return status;
    }
    ps_r2_digest_finish(write->digest, &write->result.checksums);
    return PS_OK;
}

static void discard(struct ps_blob_write *write)
{
    if (write->fd >= 0) {
        (void)close(write->fd);
        write->fd = -1;
    }
    if (write->created) {
        (void)unlink(write->temporary);
        write->created = false;
    }
}

static void run_write(struct ps_job *job)
{
    struct ps_blob_write *write = (struct ps_blob_write *)(void *)job;
    if (write->dropped) {
        job->status = ps_fail(&job->err, PS_NOT_FOUND, "%s: the bucket was deleted", write->folder);
    } else {
        job->status = write->created ? PS_OK : create(write);
    }
    if (job->status == PS_OK) {
        job->status = write_bytes(write);
    }
    if (job->status == PS_OK && write->last) {
        job->status = finish(write);
    }
    if (job->status != PS_OK) {
        discard(write);
    }
}

static void run_discard(struct ps_job *job)
{
    discard((struct ps_blob_write *)(void *)job);
}

/* ---- a write, on the loop ---- */

static void destroy(struct ps_blob_write *write)
{
    PS_ASSERT(!write->created && write->fd < 0);
    struct place *place = write->place;
    *write->prev = write->next;
    if (write->next != NULL) {
        write->next->prev = write->prev;
    }
    if (place->dropped && place->writes == NULL) {
        remove_place(write->blobs, place);
    }
    ps_r2_digest_destroy(write->digest);
    ps_buf_fini(&write->pending);
    ps_buf_fini(&write->bytes);
    free(write->folder);
    free(write->temporary);
    free(write->path);
    free(write);
}

static void end_hold(struct ps_blob_write *write, bool whole);

static void on_discarded(struct ps_job *job)
{
    struct ps_blob_write *write = (struct ps_blob_write *)(void *)job;
    end_hold(write, false);
    destroy(write);
}

static void discard_later(struct ps_blob_write *write)
{
    write->job.run = run_discard;
    write->job.done = on_discarded;
    submit(write->blobs, &write->job);
}

static void go_on(struct ps_blob_write *write)
{
    if (write->busy || write->blobs->stopped || (write->pending.size == 0 && !write->finished)) {
        return;
    }
    struct ps_buf empty = write->bytes;
    empty.size = 0;
    write->bytes = write->pending;
    write->pending = empty;
    write->last = write->finished;
    write->dropped = write->place->dropped;
    write->busy = true;
    submit(write->blobs, &write->job);
}

/* Its store is dropped: it is to end, though nobody may give it more. */
static void kick(struct ps_blob_write *write)
{
    if (!write->busy && !write->aborted && !write->blobs->stopped) {
        write->dropped = true;
        write->busy = true;
        submit(write->blobs, &write->job);
    }
}

static struct hold *find_hold(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    struct hold *hold;
    HASH_FIND(hh, blobs->holds, id, sizeof *id, hold);
    return hold;
}

static struct hold *add_hold(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    struct hold *hold = find_hold(blobs, id);
    if (hold == NULL) {
        hold = PS_NEW(struct hold);
        hold->id = *id;
        HASH_ADD(hh, blobs->holds, id, sizeof hold->id, hold);
    }
    ps_blobs_sweep_known(blobs, id);
    return hold;
}

static void drop_hold(struct ps_blobs *blobs, struct hold *hold)
{
    HASH_DEL(blobs->holds, hold);
    free(hold);
}

static bool is_over(const struct ps_blobs *blobs, const struct hold *hold)
{
    return hold->count == 0 && ev_now(blobs->loop) >= hold->until_s;
}

/* A write's own hold ends: its blob has its name, and is held for a while, or there is none. */
static void end_hold(struct ps_blob_write *write, bool whole)
{
    struct ps_blobs *blobs = write->blobs;
    struct hold *hold = find_hold(blobs, &write->id);
    PS_ASSERT(hold != NULL && hold->count > 0);
    hold->count--;
    if (whole) {
        hold->until_s = ev_now(blobs->loop) + blobs->hold_s;
    } else if (is_over(blobs, hold)) {
        drop_hold(blobs, hold);
    }
}

static void end_write(struct ps_blob_write *write)
{
    write->result.status = write->job.status;
    write->result.text = write->job.status == PS_OK ? NULL : write->job.err.text;
    end_hold(write, write->job.status == PS_OK);
    write->writer.done(write->writer.context, &write->result);
    destroy(write);
}

static void on_written(struct ps_job *job)
{
    struct ps_blob_write *write = (struct ps_blob_write *)(void *)job;
    write->busy = false;
    if (write->aborted) {
        /* It may have got its name meanwhile. */
        if (job->status == PS_OK && write->last) {
            ps_r2_digest_destroy(write->digest);
            write->digest = NULL;
            write->created = true;
            free(write->temporary);
            write->temporary = write->path;
            write->path = NULL;
        }
        discard_later(write);
        return;
    }
    if (write->place->dropped && job->status == PS_OK) {
        /* What it has made goes with the folder, once it is ended. */
        if (!write->last) {
            kick(write);
            return;
        }
        job->status = ps_fail(&job->err, PS_NOT_FOUND, "%s: the bucket was deleted", write->folder);
    }
    if (job->status != PS_OK || write->last) {
        end_write(write);
        return;
    }
    bool drained = write->told;
    go_on(write);
    if (drained) {
        write->told = false;
        write->writer.drained(write->writer.context);
    }
}

struct ps_blob_write *ps_blob_begin(struct ps_blobs *blobs, const char *store,
                                    const struct ps_r2_id *id, ps_r2_hash_set hashes,
                                    const struct ps_blob_writer *writer)
{
    PS_ASSERT(store[0] != '.' && strchr(store, '/') == NULL);
    struct ps_blob_write *write = PS_NEW(struct ps_blob_write);
    struct place *place = place_of(blobs, store);
    write->blobs = blobs;
    write->place = place;
    write->next = place->writes;
    write->prev = &place->writes;
    if (write->next != NULL) {
        write->next->prev = &write->next;
    }
    place->writes = write;
    write->writer = *writer;
    write->id = *id;
    write->fd = -1;
    ps_blob_hold(blobs, id); /* it has its name before the loop is told */
    write->folder = path_of("%s/%s", blobs->path, store);
    write->path = ps_blob_path(blobs, store, id);
    write->temporary = path_of("%s.%llu.tmp", write->path, (unsigned long long)blobs->names++);
    write->digest = ps_r2_digest_create(hashes);
    write->job.run = run_write;
    write->job.done = on_written;
    return write;
}

bool ps_blob_append(struct ps_blob_write *write, struct ps_slice bytes)
{
    PS_ASSERT(!write->finished && !write->aborted);
    ps_buf_append_slice(&write->pending, bytes);
    go_on(write);
    write->told = write->pending.size >= PS_BLOB_PENDING;
    return !write->told;
}

void ps_blob_finish(struct ps_blob_write *write)
{
    PS_ASSERT(!write->finished && !write->aborted);
    write->finished = true;
    write->told = false;
    go_on(write);
}

void ps_blob_abort(struct ps_blob_write *write)
{
    PS_ASSERT(!write->aborted);
    write->aborted = true;
    if (!write->busy) {
        discard_later(write);
    }
}

enum ps_status ps_blob_open(const struct ps_blobs *blobs, const char *store,
                            const struct ps_r2_id *id, int *ret_fd, uint64_t *ret_size)
{
    if (find_candidate(blobs->going, id) != NULL) {
        return PS_NOT_FOUND;
    }
    char *path = ps_blob_path(blobs, store, id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = errno;
    free(path);
    if (fd < 0) {
        return code == ENOENT ? PS_NOT_FOUND : PS_IO;
    }
    struct stat info;
    if (fstat(fd, &info) != 0) {
        (void)close(fd);
        return PS_IO;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)info.st_size;
    return PS_OK;
}

/* ---- sweeping ---- */

void ps_blob_hold(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    add_hold(blobs, id)->count++;
}

void ps_blob_release(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    struct hold *hold = find_hold(blobs, id);
    PS_ASSERT(hold != NULL && hold->count > 0);
    hold->until_s = 0;
    if (--hold->count == 0) {
        drop_hold(blobs, hold);
    }
}

void ps_blob_discard(struct ps_blobs *blobs, const char *store, const struct ps_r2_id *id)
{
    struct hold *hold = find_hold(blobs, id);
    PS_ASSERT(hold != NULL && hold->count > 0);
    if (--hold->count > 0) {
        return;
    }
    if (hold->until_s > 0) { /* it is new, and was not released */
        ps_blob_delete(blobs, store, id, NULL, NULL);
    }
    drop_hold(blobs, hold);
}

/* Also forgets a hold that is over. */
static bool is_held(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    struct hold *hold = find_hold(blobs, id);
    if (hold == NULL || !is_over(blobs, hold)) {
        return hold != NULL;
    }
    drop_hold(blobs, hold);
    return false;
}

static void look_at(struct ps_blobs *blobs, const char *name)
{
    struct ps_r2_id id;
    if (ps_r2_id_parse(ps_slice_of(name), &id) && !is_held(blobs, &id) &&
        find_candidate(blobs->candidates, &id) == NULL &&
        find_candidate(blobs->going, &id) == NULL) {
        add_candidate(&blobs->candidates, &id);
    }
}

static DIR *open_place(const struct ps_blobs *blobs, const struct place *place)
{
    char *path = path_of("%s/%s", blobs->path, place->store);
    DIR *folder = opendir(path); /* NULL: it has none yet */
    free(path);
    return folder;
}

size_t ps_blobs_sweep_begin(struct ps_blobs *blobs, const char *store, size_t budget,
                            bool *ret_round)
{
    PS_ASSERT(blobs->swept == NULL && blobs->candidates == NULL);
    struct place *place = place_of(blobs, store);
    if (place->round == NULL) {
        place->round = open_place(blobs, place);
    }
    *ret_round = place->round == NULL;
    budget = budget < PS_BLOB_SWEEP_MAX ? budget : PS_BLOB_SWEEP_MAX;
    for (size_t i = 0; i < budget && !*ret_round; i++) {
        const struct dirent *entry = readdir(place->round);
        if (entry != NULL) {
            look_at(blobs, entry->d_name);
        } else {
            *ret_round = true;
            end_round(place);
        }
    }
    blobs->swept = place;
    return HASH_COUNT(blobs->candidates);
}

bool ps_blobs_sweeps(const struct ps_blobs *blobs)
{
    return blobs->swept != NULL;
}

void ps_blobs_sweep_known(struct ps_blobs *blobs, const struct ps_r2_id *id)
{
    drop_candidate(&blobs->candidates, id);
}

size_t ps_blobs_sweep_end(struct ps_blobs *blobs, bool all_known)
{
    PS_ASSERT(blobs->swept != NULL);
    size_t count = all_known ? 0 : HASH_COUNT(blobs->candidates);
    if (count > 0) {
        char **paths = PS_NEW_ARRAY(char *, count);
        struct ps_r2_id *ids = PS_NEW_ARRAY(struct ps_r2_id, count);
        size_t i = 0;
        for (struct candidate *one = blobs->candidates; one != NULL; one = one->hh.next) {
            paths[i] = ps_blob_path(blobs, blobs->swept->store, &one->id);
            ids[i++] = one->id;
        }
        remove_later(blobs, paths, ids, count, NULL, NULL);
    }
    clear_candidates(&blobs->candidates);
    blobs->swept = NULL;
    return count;
}
