/* Checkpoints: making LMDB's file durable, and putting it back after a loss of power.
 * map_lmdb_journal.h says how and why.
 *
 * LMDB 0.9's meta page (struct MDB_meta behind a page's header of 16 bytes, in pages 0 and 1):
 * magic u32, version u32, address, map size, the roots of the free pages and of the tables (the
 * first begins with the page size u32), last page, transaction u64. The page with the greater
 * transaction counts. All of it lies in the page's first 152 bytes.
 *
 * A slot of `checkpoint`, SLOT_SIZE bytes: XXH3 of the rest u64, magic u64, number u64, state u64,
 * txn u64, generation u64, chain u64, page size u64, boot id, meta pages' beginnings, zeros. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 2, SLOT_SIZE = 4096, CHECKED_AT = 8 };

static const uint64_t SLOT_MAGIC = UINT64_C(0x3174706b63706f70); /* "popckpt1" */

/* What is done again after a crash is not older. */
#define NS_PER_S INT64_C(1000000000)
static const int64_t AGE_MAX_NS = 5 * NS_PER_S;
static const int64_t STUCK_NS = NS_PER_S; /* until it is tried again on a full disk */

/* About as many bytes of LMDB's pages, or of the journal, are written between two checkpoints. Work
 * counts a transaction's rows, a page for each, and the inner pages of the tables. */
static const uint64_t WORK_MAX = 64 << 20;
static const off_t JOURNAL_MAX = 32 << 20;

enum {
    WORK_OF_TRANSACTION = 32 << 10, /* of one that does any */
    WORK_BEHIND = 4                 /* times the most: then the writer waits */
};

static_assert(PS_LMDB_META_SIZE >= 152, "LMDB's meta page");

static enum ps_status fail_errno(const struct ps_lmdb_map *map, const char *file, int rc,
                                 struct ps_error *err)
{
    return ps_fail(err, ps_lmdb_status_of(rc), "%s/%s: %s", map->path, file, mdb_strerror(rc));
}

static const char *file_path(const struct ps_lmdb_map *map, const char *file, struct ps_buf *buf)
{
    buf->size = 0;
    ps_buf_printf(buf, "%s/%s", map->path, file);
    return ps_buf_text(buf);
}

/* --- the file `checkpoint` --- */

static void slot_encode(struct ps_buf *buf, const struct ps_lmdb_saved *saved)
{
    static const char zeros[SLOT_SIZE];
    buf->size = 0;
    ps_row_put_u64(buf, 0);
    ps_row_put_u64(buf, SLOT_MAGIC);
    ps_row_put_u64(buf, saved->number);
    ps_row_put_u64(buf, saved->state);
    ps_row_put_u64(buf, saved->txn);
    ps_row_put_u64(buf, saved->generation);
    ps_row_put_u64(buf, saved->chain);
    ps_row_put_u64(buf, saved->page_size);
    ps_buf_append(buf, saved->boot_id, sizeof saved->boot_id);
    ps_buf_append(buf, saved->metas, sizeof saved->metas);
    PS_ASSERT(buf->size <= SLOT_SIZE);
    ps_buf_append(buf, zeros, SLOT_SIZE - buf->size);
    struct ps_buf check = {0};
    ps_row_put_u64(
        &check, ps_slice_hash((struct ps_slice){buf->data + CHECKED_AT, SLOT_SIZE - CHECKED_AT}));
    memcpy(buf->data, check.data, check.size);
    ps_buf_fini(&check);
}

static bool slot_decode(const char bytes[SLOT_SIZE], struct ps_lmdb_saved *ret)
{
    struct ps_row row = ps_row_of(ps_lmdb_val(bytes, SLOT_SIZE));
    uint64_t check = ps_row_u64(&row);
    if (ps_slice_hash((struct ps_slice){bytes + CHECKED_AT, SLOT_SIZE - CHECKED_AT}) != check ||
        ps_row_u64(&row) != SLOT_MAGIC) {
        return false;
    }
    ret->number = ps_row_u64(&row);
    uint64_t state = ps_row_u64(&row);
    ret->state = state == PS_LMDB_UNBORN ? PS_LMDB_UNBORN : PS_LMDB_WHOLE;
    ret->txn = ps_row_u64(&row);
    ret->generation = ps_row_u64(&row);
    ret->chain = ps_row_u64(&row);
    ret->page_size = ps_row_u64(&row);
    memcpy(ret->boot_id, ps_row_bytes(&row, sizeof ret->boot_id).data, sizeof ret->boot_id);
    memcpy(ret->metas, ps_row_bytes(&row, sizeof ret->metas).data, sizeof ret->metas);
    return !row.bad && ret->boot_id[PS_LMDB_BOOT_SIZE - 1] == 0;
}

/* The newest of what the slots hold; a slot that a write tore is passed over. */
static int slots_read(struct ps_lmdb_map *map)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    struct ps_buf path = {0};
    checkpoints->fd = open(file_path(map, "checkpoint", &path), O_RDWR | O_CLOEXEC);
    ps_buf_fini(&path);
    if (checkpoints->fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    for (int i = 0; i < SLOTS; i++) {
        char bytes[SLOT_SIZE];
        struct ps_lmdb_saved saved = {0};
        ssize_t got = pread(checkpoints->fd, bytes, sizeof bytes, (off_t)i * SLOT_SIZE);
        if (got < 0) {
            return errno;
        }
        if (got == SLOT_SIZE && slot_decode(bytes, &saved) &&
            saved.number > checkpoints->saved.number) {
            checkpoints->saved = saved;
        }
    }
    return 0;
}

/* Write `saved` beside the slot that counts until now. */
static int slot_write(struct ps_lmdb_map *map, const struct ps_lmdb_saved *saved)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    bool made = checkpoints->fd < 0;
    if (made) {
        struct ps_buf path = {0};
        checkpoints->fd =
            open(file_path(map, "checkpoint", &path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        ps_buf_fini(&path);
        if (checkpoints->fd < 0) {
            return errno;
        }
    }
    struct ps_buf bytes = {0};
    slot_encode(&bytes, saved);
    ssize_t put =
        pwrite(checkpoints->fd, bytes.data, SLOT_SIZE, (off_t)(saved->number % SLOTS) * SLOT_SIZE);
    int rc = put == SLOT_SIZE ? 0 : (put < 0 ? errno : ENOSPC);
    ps_buf_fini(&bytes);
    if (rc == 0 && fdatasync(checkpoints->fd) != 0) {
        rc = errno;
    }
    if (rc == 0 && made) {
        rc = ps_journal_sync_folder(map->path);
    }
    return rc;
}

/* --- opening --- */

static void boot_id_read(char out[PS_LMDB_BOOT_SIZE], const char *given)
{
    memset(out, 0, PS_LMDB_BOOT_SIZE);
    if (given != NULL) {
        memcpy(out, given, strnlen(given, PS_LMDB_BOOT_SIZE - 1));
        return;
    }
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, out, PS_LMDB_BOOT_SIZE - 1) < 0) {
            out[0] = 0; /* as after another boot: safe, if a relaxed map may lose by it */
        }
        close(fd);
    }
    out[strcspn(out, "\n")] = 0;
}

/* Has the system kept running since? */
static bool same_boot(const struct ps_lmdb_checkpoints *checkpoints)
{
    return checkpoints->boot_id[0] != 0 &&
           strcmp(checkpoints->boot_id, checkpoints->saved.boot_id) == 0;
}

/* The folder is new: say so before the file is made, so that what is torn of it is thrown away. */
static int prepare_new(struct ps_lmdb_map *map)
{
    struct ps_lmdb_saved *saved = &map->checkpoints.saved;
    *saved = (struct ps_lmdb_saved){.number = 1, .generation = 1};
    int rc = slot_write(map, saved);
    return rc != 0 ? rc : ps_journal_sync_folder_of(map->path);
}

static int restore_metas(struct ps_lmdb_map *map, const char *path)
{
    const struct ps_lmdb_saved *saved = &map->checkpoints.saved;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        ssize_t put =
            pwrite(fd, saved->metas[i], PS_LMDB_META_SIZE, (off_t)((uint64_t)i * saved->page_size));
        rc = put == PS_LMDB_META_SIZE ? 0 : (put < 0 ? errno : ENOSPC);
    }
    if (rc == 0 && fdatasync(fd) != 0) {
        rc = errno;
    }
    close(fd);
    return rc;
}

static int prepare_file(struct ps_lmdb_map *map, const char *path)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    struct stat info;
    bool there = stat(path, &info) == 0 && info.st_size != 0;
    if (checkpoints->saved.number == 0) {
        return there ? 0 : prepare_new(map); /* if there: written before checkpoints were */
    }
    if (checkpoints->saved.state == PS_LMDB_UNBORN) {
        return unlink(path) == 0 || errno == ENOENT ? 0 : errno;
    }
    if (!there) {
        return MDB_INVALID;
    }
    checkpoints->restored = checkpoints->saved.state == PS_LMDB_WHOLE && !same_boot(checkpoints);
    return checkpoints->restored ? restore_metas(map, path) : 0;
}

enum ps_status ps_lmdb_checkpoint_prepare(struct ps_lmdb_map *map, struct ps_error *err)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    boot_id_read(checkpoints->boot_id, checkpoints->tuning.boot_id);
    int rc = slots_read(map);
    if (rc != 0) {
        return fail_errno(map, "checkpoint", rc, err);
    }
    struct ps_buf path = {0};
    rc = prepare_file(map, file_path(map, "data.mdb", &path));
    ps_buf_fini(&path);
    if (rc == 0) {
        rc = ps_journal_init(&map->journal, map->path);
    }
    return rc == 0 ? PS_OK : fail_errno(map, "data.mdb", rc, err);
}

/* --- making one --- */

/* LMDB's newest state: what names it, and a pin. `writing` is held. */
static int capture(struct ps_lmdb_map *map, struct ps_lmdb_saved *ret, MDB_txn **ret_pin)
{
    const struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    MDB_stat stat;
    int fd = -1;
    int rc = mdb_env_stat(map->env, &stat);
    rc = rc != 0 ? rc : mdb_env_get_fd(map->env, &fd);
    rc = rc != 0 ? rc : mdb_txn_begin(map->env, NULL, MDB_RDONLY, ret_pin);
    if (rc != 0) {
        return rc;
    }
    *ret = (struct ps_lmdb_saved){.number = checkpoints->saved.number + 1,
                                  .state = PS_LMDB_WHOLE,
                                  .txn = mdb_txn_id(*ret_pin),
                                  .generation = checkpoints->saved.generation,
                                  .chain = checkpoints->saved.chain,
                                  .page_size = stat.ms_psize};
    memcpy(ret->boot_id, checkpoints->boot_id, sizeof ret->boot_id);
    for (int i = 0; i < 2 && rc == 0; i++) {
        ssize_t got =
            pread(fd, ret->metas[i], PS_LMDB_META_SIZE, (off_t)((uint64_t)i * ret->page_size));
        rc = got == PS_LMDB_META_SIZE ? 0 : (got < 0 ? errno : EIO);
    }
    return rc;
}

static void phase(const struct ps_lmdb_map *map, enum ps_lmdb_phase reached)
{
    const struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    if (checkpoints->tuning.phase != NULL) {
        checkpoints->tuning.phase(checkpoints->tuning.context, reached);
    }
}

/* Steps 2 and 3. `writing` is not held: transactions go on. */
static int make_durable(struct ps_lmdb_map *map, const struct ps_lmdb_saved *saved)
{
    phase(map, PS_LMDB_PINNED);
    int rc = mdb_env_sync(map->env, 1);
    if (rc == 0) {
        phase(map, PS_LMDB_SYNCED);
        rc = slot_write(map, saved);
    }
    if (rc == 0) {
        phase(map, PS_LMDB_NAMED);
    }
    return rc;
}

/* Step 1, but for settling and for the journal's going on. `generation` leads further from the
 * state. */
static int begin_one(struct ps_lmdb_map *map, uint64_t generation, uint64_t chain,
                     struct ps_lmdb_saved *ret, MDB_txn **ret_pin)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    /* What is acknowledged in the next generation must find its way through this one. */
    int rc = map->sync ? ps_journal_sync(&map->journal) : 0;
    rc = rc != 0 ? rc : capture(map, ret, ret_pin);
    if (rc == 0) {
        ret->generation = generation;
        ret->chain = chain;
        checkpoints->dirty = false;
        checkpoints->wanted = false;
        checkpoints->work = 0;
        pthread_cond_broadcast(&checkpoints->done);
    }
    return rc;
}

static void end_one(struct ps_lmdb_map *map, int rc, const struct ps_lmdb_saved *saved,
                    MDB_txn *pin)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    if (rc == 0) {
        if (checkpoints->pin != NULL) {
            mdb_txn_abort(checkpoints->pin);
        }
        checkpoints->pin = pin;
        checkpoints->saved = *saved;
    } else {
        if (pin != NULL) {
            mdb_txn_abort(pin);
        }
        checkpoints->failed = checkpoints->failed != 0 ? checkpoints->failed : rc;
    }
    checkpoints->making = false;
    pthread_cond_broadcast(&checkpoints->done);
}

/* What is recent goes to LMDB. When it cannot, all is as before: the disk is full, say. */
static int settle(struct ps_lmdb_map *map)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    struct ps_lmdb_txn txn;
    ps_lmdb_settle(map, &txn);
    checkpoints->stuck = txn.status != PS_OK;
    if (checkpoints->stuck) {
        pthread_cond_broadcast(&checkpoints->done);
        return txn.rc != 0 ? txn.rc : EIO;
    }
    return 0;
}

enum ps_status ps_lmdb_checkpoint(struct ps_lmdb_map *map, struct ps_error *err)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    struct ps_lmdb_saved saved;
    MDB_txn *pin = NULL;
    pthread_mutex_lock(&map->writing);
    while (checkpoints->making) {
        pthread_cond_wait(&checkpoints->done, &map->writing);
    }
    int rc = checkpoints->failed;
    rc = rc != 0 ? rc : settle(map);
    if (rc == 0) {
        checkpoints->making = true;
        uint64_t generation = map->journal.generation + 1;
        uint64_t chain = ps_journal_chain(generation, map->journal.chain);
        rc = begin_one(map, generation, chain, &saved, &pin);
        if (rc == 0) {
            ps_journal_start(&map->journal, generation, chain);
            pthread_mutex_unlock(&map->writing);
            rc = make_durable(map, &saved);
            pthread_mutex_lock(&map->writing);
        }
        end_one(map, rc, &saved, pin);
    }
    pthread_mutex_unlock(&map->writing);
    return rc == 0 ? PS_OK : fail_errno(map, "checkpoint", rc, err);
}

enum ps_status ps_map_checkpoint_lmdb(struct ps_map *base, struct ps_error *err)
{
    return ps_lmdb_checkpoint((struct ps_lmdb_map *)(void *)base, err);
}

/* While the map is opened: nobody else is there, and the journal stays what it is. */
static enum ps_status checkpoint_at_open(struct ps_lmdb_map *map, uint64_t generation,
                                         uint64_t chain, struct ps_error *err)
{
    struct ps_lmdb_saved saved;
    MDB_txn *pin = NULL;
    int rc = begin_one(map, generation, chain, &saved, &pin);
    rc = rc != 0 ? rc : make_durable(map, &saved);
    end_one(map, rc, &saved, pin);
    return rc == 0 ? PS_OK : fail_errno(map, "checkpoint", rc, err);
}

enum ps_status ps_lmdb_checkpoint_pin(struct ps_lmdb_map *map, struct ps_error *err)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    uint64_t generation = checkpoints->saved.generation != 0 ? checkpoints->saved.generation : 1;
    int rc = mdb_txn_begin(map->env, NULL, MDB_RDONLY, &checkpoints->pin);
    if (rc != 0) {
        return fail_errno(map, "data.mdb", rc, err);
    }
    uint64_t txn = mdb_txn_id(checkpoints->pin);
    if (checkpoints->restored && txn != checkpoints->saved.txn) {
        return ps_fail(err, PS_CORRUPT, "%s/checkpoint: it does not fit data.mdb", map->path);
    }
    /* After restoring the state is named already, with the boot that calls for restoring. */
    bool named = checkpoints->restored ||
                 (checkpoints->saved.state == PS_LMDB_WHOLE && checkpoints->saved.txn == txn);
    return named ? PS_OK : checkpoint_at_open(map, generation, checkpoints->saved.chain, err);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void wait_until(struct ps_lmdb_map *map, int64_t due_ns)
{
    const struct timespec due = {.tv_sec = due_ns / NS_PER_S, .tv_nsec = due_ns % NS_PER_S};
    (void)pthread_cond_timedwait(&map->checkpoints.wake, &map->writing, &due);
}

/* Whenever there is something to do, a checkpoint; of a relaxed map only for work's sake. */
static void *thread_main(void *context)
{
    struct ps_lmdb_map *map = context;
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    pthread_mutex_lock(&map->writing);
    while (!checkpoints->stop) {
        int64_t due_ns = checkpoints->dirty_ns + AGE_MAX_NS;
        bool waits = !checkpoints->wanted && (!checkpoints->dirty || !map->sync);
        if (checkpoints->failed != 0 || waits) {
            pthread_cond_wait(&checkpoints->wake, &map->writing);
        } else if (!checkpoints->wanted && now_ns() < due_ns) {
            wait_until(map, due_ns);
        } else {
            pthread_mutex_unlock(&map->writing);
            enum ps_status status = ps_lmdb_checkpoint(map, NULL);
            (void)status; /* a failure sticks: the next write tells of it */
            pthread_mutex_lock(&map->writing);
            if (checkpoints->stuck && !checkpoints->stop) {
                wait_until(map, now_ns() + STUCK_NS);
            }
        }
    }
    pthread_mutex_unlock(&map->writing);
    return NULL;
}

static int start_thread(struct ps_lmdb_map *map)
{
    sigset_t all;
    sigset_t before;
    if (map->checkpoints.tuning.by_hand) {
        return 0;
    }
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&map->checkpoints.thread, NULL, thread_main, map);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    map->checkpoints.threaded = rc == 0;
    return rc;
}

enum ps_status ps_lmdb_checkpoint_start(struct ps_lmdb_map *map, bool entries, struct ps_error *err)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    uint64_t generation = checkpoints->saved.generation;
    uint64_t chain = checkpoints->saved.chain;
    MDB_envinfo info;
    int rc = settle(map);
    rc = rc != 0 ? rc : mdb_env_info(map->env, &info);
    if (rc != 0) {
        return fail_errno(map, "data.mdb", rc, err);
    }
    if (entries) {
        generation += 2; /* entries may be in the generation and in the one behind it */
        chain = ps_journal_chain(generation, chain);
    }
    enum ps_status status = PS_OK;
    if (entries || checkpoints->restored || info.me_last_txnid != checkpoints->saved.txn) {
        status = checkpoint_at_open(map, generation, chain, err);
    }
    if (status == PS_OK) {
        ps_journal_start(&map->journal, generation, chain); /* which may cut a file */
    }
    checkpoints->dirty = false;
    checkpoints->wanted = false;
    checkpoints->work = 0;
    if (status == PS_OK) {
        rc = start_thread(map);
    }
    return rc == 0 ? status : fail_errno(map, "checkpoint", rc, err);
}

/* --- while the map is written --- */

static uint64_t work_max(const struct ps_lmdb_checkpoints *checkpoints)
{
    return checkpoints->tuning.work_max != 0 ? checkpoints->tuning.work_max : WORK_MAX;
}

void ps_lmdb_checkpoint_note(struct ps_lmdb_map *map, uint64_t work)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    checkpoints->work += work == 0 ? 0 : work + WORK_OF_TRANSACTION;
    bool first = !checkpoints->dirty;
    if (first) {
        checkpoints->dirty = true;
        checkpoints->dirty_ns = now_ns();
    }
    bool wanted = checkpoints->work >= work_max(checkpoints) || map->journal.at >= JOURNAL_MAX;
    if (checkpoints->threaded && (first || wanted != checkpoints->wanted)) {
        checkpoints->wanted = wanted;
        pthread_cond_signal(&checkpoints->wake);
    }
}

static bool far_behind(const struct ps_lmdb_map *map)
{
    const struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    return checkpoints->wanted && (checkpoints->work >= WORK_BEHIND * work_max(checkpoints) ||
                                   map->journal.at >= WORK_BEHIND * JOURNAL_MAX);
}

int ps_lmdb_checkpoint_wait(struct ps_lmdb_map *map)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    while (checkpoints->threaded && checkpoints->failed == 0 && far_behind(map)) {
        if (checkpoints->stuck) {
            return ENOSPC;
        }
        pthread_cond_wait(&checkpoints->done, &map->writing);
    }
    return checkpoints->failed;
}

int ps_lmdb_checkpoint_await(struct ps_lmdb_map *map)
{
    while (map->checkpoints.making) {
        pthread_cond_wait(&map->checkpoints.done, &map->writing);
    }
    return map->checkpoints.failed;
}

void ps_lmdb_checkpoint_stop(struct ps_lmdb_map *map)
{
    struct ps_lmdb_checkpoints *checkpoints = &map->checkpoints;
    if (checkpoints->threaded) {
        pthread_mutex_lock(&map->writing);
        checkpoints->stop = true;
        pthread_cond_signal(&checkpoints->wake);
        pthread_mutex_unlock(&map->writing);
        (void)pthread_join(checkpoints->thread, NULL);
        checkpoints->threaded = false;
    }
    if (map->opened && checkpoints->dirty && checkpoints->failed == 0 &&
        !checkpoints->tuning.by_hand) {
        enum ps_status status = ps_lmdb_checkpoint(map, NULL);
        (void)status; /* the journal has it all */
    }
    if (checkpoints->pin != NULL) {
        mdb_txn_abort(checkpoints->pin);
        checkpoints->pin = NULL;
    }
    if (checkpoints->fd >= 0) {
        close(checkpoints->fd);
    }
    ps_journal_fini(&map->journal);
}
