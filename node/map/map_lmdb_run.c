/* How the LMDB end's map is read and written: the gate, growing, and how transactions are run.
 *
 * Growing. LMDB maps its file once, and may map it anew only while no transaction is open. So the
 * first mapping is far larger than any store gets (1 TiB of address space; the file has only what
 * was written, and pages that nobody touches take no memory), and nothing ever has to wait. Where
 * so much cannot be had (an address space limit, a sanitizer) a smaller mapping is taken, and when
 * that is full the writer aborts its transaction, waits at the gate until no read is on, doubles
 * the mapping and starts again. A read costs one uncontended mutex more for it. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum ps_status ps_lmdb_status_of(int rc)
{
    switch (rc) {
    case 0:
        return PS_OK;
    case MDB_NOTFOUND:
        return PS_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return PS_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return PS_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return PS_UNSUPPORTED;
    default:
        return PS_IO;
    }
}

enum ps_status ps_lmdb_fail_in(const struct ps_lmdb_map *map, enum ps_status status,
                               const char *reason, struct ps_error *err)
{
    const char *file = status == PS_CORRUPT ? "/data.mdb" : "";
    return ps_fail(err, status, "%s%s: %s", map->path, file, reason);
}

/* --- the gate --- */

/* Each thread has its own read transaction; this is the one that it used last. */
static _Thread_local struct ps_lmdb_reader *last_used;

static struct ps_lmdb_reader *find_reader(const struct ps_lmdb_map *map)
{
    struct ps_lmdb_reader *reader = map->reader_list;
    while (reader != NULL && !pthread_equal(reader->thread, pthread_self())) {
        reader = reader->next;
    }
    return reader;
}

/* within: a helper's read within a read of the same thread must not wait for a move that waits for
 * that read. *ret_recent: the newest generation, held. */
static struct ps_lmdb_reader *gate_enter(struct ps_lmdb_map *map, bool within,
                                         struct ps_lmdb_recent **ret_recent)
{
    pthread_mutex_lock(&map->mutex);
    struct ps_lmdb_reader *reader = find_reader(map);
    bool nested = within && reader != NULL && reader->reading;
    while (map->growing && !nested) {
        pthread_cond_wait(&map->changed, &map->mutex);
    }
    map->readers++;
    if (!within && reader == NULL) {
        reader = PS_NEW(struct ps_lmdb_reader);
        reader->txn.map = map;
        reader->thread = pthread_self();
        reader->next = map->reader_list;
        map->reader_list = reader;
    }
    if (!within) {
        PS_ASSERT(!reader->reading);
        reader->reading = true;
    }
    *ret_recent = map->recent;
    map->recent->users++;
    pthread_mutex_unlock(&map->mutex);
    return reader;
}

static void gate_leave(struct ps_lmdb_map *map, struct ps_lmdb_reader *reading)
{
    pthread_mutex_lock(&map->mutex);
    PS_ASSERT(map->readers > 0);
    map->readers--;
    if (reading != NULL) {
        reading->reading = false;
    }
    if (map->growing) {
        pthread_cond_broadcast(&map->changed);
    }
    pthread_mutex_unlock(&map->mutex);
}

struct ps_lmdb_txn *ps_lmdb_reader(struct ps_lmdb_map *map)
{
    struct ps_lmdb_reader *reader = last_used;
    if (reader == NULL || reader->txn.map != map) {
        pthread_mutex_lock(&map->mutex);
        reader = find_reader(map);
        pthread_mutex_unlock(&map->mutex);
    }
    PS_ASSERT(reader != NULL && reader->reading);
    return &reader->txn;
}

/* Double the mapping. False: it cannot be, and stays as it is. */
static bool grow(struct ps_lmdb_map *map)
{
    MDB_envinfo info;
    if (mdb_env_info(map->env, &info) != 0) {
        return false;
    }
    pthread_mutex_lock(&map->mutex);
    const struct ps_lmdb_reader *own = find_reader(map);
    if (own != NULL && own->reading) {
        pthread_mutex_unlock(&map->mutex); /* a read of this thread's own would never end */
        return false;
    }
    map->growing = true;
    while (map->readers > 0) {
        pthread_cond_wait(&map->changed, &map->mutex);
    }
    bool grown = mdb_env_set_mapsize(map->env, info.me_mapsize * 2) == 0;
    if (!grown) {
        /* LMDB gave the old mapping up before it asked for the new one. */
        int rc = mdb_env_set_mapsize(map->env, info.me_mapsize);
        PS_ASSERT(rc == 0);
    }
    map->growing = false;
    pthread_cond_broadcast(&map->changed);
    pthread_mutex_unlock(&map->mutex);
    return grown;
}

/* --- transactions --- */

/* A write that was cut short comes as EIO from LMDB; a full disk is the usual cause. */
static bool disk_is_full(const struct ps_lmdb_map *map)
{
    struct statvfs disk;
    struct rlimit limit;
    struct stat file;
    int fd = -1;
    if (statvfs(map->path, &disk) == 0 && disk.f_bavail * disk.f_frsize < (1U << 16)) {
        return true;
    }
    return mdb_env_get_fd(map->env, &fd) == 0 && fstat(fd, &file) == 0 &&
           getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)file.st_size + (1U << 16) > limit.rlim_cur;
}

/* The journal has it before LMDB has. A sync that fails may have lost what was written long before:
 * it sticks. */
static int write_entry(struct ps_lmdb_map *map, enum ps_journal_kind kind, uint64_t number)
{
    int rc = ps_journal_append(&map->journal, kind, number);
    if (rc == 0 && map->sync && kind != PS_JOURNAL_FORGET) {
        rc = ps_journal_sync(&map->journal);
        map->checkpoints.failed = rc;
    }
    return rc;
}

int ps_lmdb_write_records(struct ps_lmdb_map *map)
{
    return write_entry(map, PS_JOURNAL_APPLY, map->recent->base_txn + 1);
}

static void write_once(struct ps_lmdb_map *map, enum ps_journal_kind kind, ps_lmdb_work_fn work,
                       void *context, struct ps_lmdb_txn *txn)
{
    bool entry = map->opened && kind != PS_JOURNAL_NONE;
    *txn = (struct ps_lmdb_txn){.map = map, .next_key = map->next_key, .next_node = map->next_node};
    int rc = mdb_txn_begin(map->env, NULL, 0, &txn->txn);
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
        return;
    }
    work(txn, context);
    ps_lmdb_close_cursors(txn);
    if (entry && !ps_lmdb_failed(txn)) {
        rc = write_entry(map, kind, mdb_txn_id(txn->txn));
        if (rc != 0) {
            ps_lmdb_fail(txn, rc);
        }
    }
    if (ps_lmdb_failed(txn)) {
        mdb_txn_abort(txn->txn);
        return;
    }
    rc = mdb_txn_commit(txn->txn);
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
        if (entry) {
            map->checkpoints.failed = ps_journal_cancel(&map->journal);
        }
    }
}

/* With `writing` held; what is recent is settled by then, or by `work`. */
static void write_locked(struct ps_lmdb_map *map, enum ps_journal_kind kind, ps_lmdb_work_fn work,
                         void *context, struct ps_lmdb_txn *txn)
{
    do {
        *txn = (struct ps_lmdb_txn){.map = map};
        if (map->checkpoints.failed != 0) {
            ps_lmdb_fail(txn, map->checkpoints.failed);
            return;
        }
        write_once(map, kind, work, context, txn);
    } while (txn->rc == MDB_MAP_FULL && grow(map));
    if (txn->status == PS_OK) {
        map->next_key = txn->next_key;
        map->next_node = txn->next_node;
        int rc = ps_lmdb_recent_renew(map);
        PS_ASSERT(rc == 0); /* it fails for a wrong argument only */
        ps_lmdb_checkpoint_note(map, txn->work);
    } else if (txn->rc == EIO && disk_is_full(map)) {
        txn->status = PS_FULL;
        txn->rc = ENOSPC;
    }
}

void ps_lmdb_settle(struct ps_lmdb_map *map, struct ps_lmdb_txn *ret)
{
    *ret = (struct ps_lmdb_txn){.map = map};
    if (atomic_load(&map->recent->records) != 0) {
        write_locked(map, PS_JOURNAL_NONE, ps_lmdb_settle_work, NULL, ret);
    }
}

static void settle_and_write(struct ps_lmdb_map *map, enum ps_journal_kind kind,
                             ps_lmdb_work_fn work, void *context, struct ps_lmdb_txn *txn)
{
    pthread_mutex_lock(&map->writing);
    *txn = (struct ps_lmdb_txn){.map = map};
    int rc = ps_lmdb_checkpoint_wait(map);
    if (rc != 0) {
        ps_lmdb_fail(txn, rc);
    } else {
        ps_lmdb_settle(map, txn);
    }
    if (txn->status == PS_OK) {
        write_locked(map, kind, work, context, txn);
    }
    pthread_mutex_unlock(&map->writing);
}

enum ps_status ps_lmdb_fail_at(const struct ps_lmdb_map *map, const struct ps_lmdb_txn *txn,
                               struct ps_error *err)
{
    const char *reason = txn->rc != 0 ? mdb_strerror(txn->rc) : ps_status_text(txn->status);
    return ps_lmdb_fail_in(map, txn->status, reason, err);
}

enum ps_status ps_lmdb_write(struct ps_lmdb_map *map, enum ps_journal_kind kind,
                             ps_lmdb_work_fn work, void *context, struct ps_error *err)
{
    struct ps_lmdb_txn txn;
    settle_and_write(map, kind, work, context, &txn);
    /* Pages that only a checkpoint's pin holds may be had instead of new ones. */
    if (txn.status == PS_FULL && map->opened && ps_lmdb_checkpoint(map, NULL) == PS_OK) {
        settle_and_write(map, kind, work, context, &txn);
    }
    return txn.status == PS_OK ? PS_OK : ps_lmdb_fail_at(map, &txn, err);
}

static int read_txn_begin(struct ps_lmdb_map *map, MDB_txn **ret)
{
    int rc = mdb_txn_begin(map->env, NULL, MDB_RDONLY, ret);
    if (rc == MDB_READERS_FULL) {
        int dead;
        rc = mdb_reader_check(map->env, &dead);
        rc = rc != 0 ? rc : mdb_txn_begin(map->env, NULL, MDB_RDONLY, ret);
    }
    return rc;
}

/* LMDB's newest snapshot, and the generation that lies on it. Between a commit and its generation
 * there is an instant in which the two do not fit. */
static int begin_read(struct ps_lmdb_map *map, bool within, struct ps_lmdb_txn *helper,
                      struct ps_lmdb_reader **ret)
{
    for (;;) {
        struct ps_lmdb_recent *recent;
        struct ps_lmdb_reader *reader = gate_enter(map, within, &recent);
        struct ps_lmdb_txn *txn = within ? helper : &reader->txn;
        int rc = txn->txn == NULL ? read_txn_begin(map, &txn->txn) : mdb_txn_renew(txn->txn);
        bool fits = rc == 0 && mdb_txn_id(txn->txn) == recent->base_txn;
        txn->recent = recent;
        txn->limit_count = 0;
        *ret = reader;
        if (fits) {
            return 0;
        }
        if (rc == 0) {
            mdb_txn_reset(txn->txn);
        }
        ps_lmdb_recent_release(map, recent);
        gate_leave(map, within ? NULL : reader);
        if (rc != 0) {
            return rc;
        }
        (void)sched_yield();
    }
}

enum ps_status ps_lmdb_read(struct ps_lmdb_map *map, ps_lmdb_work_fn work, void *context)
{
    struct ps_lmdb_txn txn = {.map = map};
    struct ps_lmdb_reader *reader;
    int rc = begin_read(map, true, &txn, &reader);
    if (rc == 0) {
        work(&txn, context);
        ps_lmdb_close_cursors(&txn);
        ps_lmdb_recent_release(map, txn.recent);
    } else {
        ps_lmdb_fail(&txn, rc);
    }
    if (txn.txn != NULL) {
        mdb_txn_abort(txn.txn);
    }
    if (rc == 0) {
        gate_leave(map, NULL);
    }
    return txn.status;
}

enum ps_status ps_lmdb_read_begin(struct ps_map *base)
{
    struct ps_lmdb_map *map = (struct ps_lmdb_map *)(void *)base;
    struct ps_lmdb_reader *reader;
    int rc = begin_read(map, false, NULL, &reader);
    if (rc != 0) {
        return ps_lmdb_status_of(rc);
    }
    for (size_t i = 0; i < PS_LMDB_TABLES; i++) {
        reader->txn.cursors[i].stale = true;
    }
    last_used = reader;
    return PS_OK;
}

void ps_lmdb_read_end(struct ps_map *base)
{
    struct ps_lmdb_map *map = (struct ps_lmdb_map *)(void *)base;
    struct ps_lmdb_txn *txn = ps_lmdb_reader(map);
    mdb_txn_reset(txn->txn);
    ps_lmdb_recent_release(map, txn->recent);
    txn->recent = NULL;
    last_used = NULL; /* it may be gone with its map before this thread reads again */
    gate_leave(map, (struct ps_lmdb_reader *)(void *)txn);
}
