/* The LMDB environment: its folder and lock, opening and closing. */
#include "node/map/map_lmdb_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Threads that read, and their helpers' reads: one for each database, and the node's own. */
enum { READERS_MAX = 256, PINS_MAX = 2 };

/* Recent records are settled when they are worth so much: some thousand transactions of two pages.
 * It takes some 15 ms, in which no other record is applied. */
static const size_t RECENT_MAX = 12 << 20;

static const size_t RESERVE = (size_t)1 << 40;
static const size_t RESERVE_MIN = (size_t)1 << 24;

static void lmdb_close(struct ps_map *base)
{
    struct ps_lmdb_map *map = (struct ps_lmdb_map *)(void *)base;
    PS_ASSERT(map->readers == 0);
    while (map->reader_list != NULL) {
        struct ps_lmdb_reader *reader = map->reader_list;
        map->reader_list = reader->next;
        ps_lmdb_close_cursors(&reader->txn);
        if (reader->txn.txn != NULL) {
            mdb_txn_abort(reader->txn.txn);
        }
        free(reader);
    }
    for (size_t i = 0; i < map->store_count; i++) {
        ps_lmdb_snapshot_drop(&map->stores[i]);
    }
    ps_lmdb_checkpoint_stop(map);
    ps_lmdb_recent_release(map, map->recent);
    if (map->env != NULL) {
        mdb_env_close(map->env);
    }
    if (map->lock_fd >= 0) {
        close(map->lock_fd); /* and so releases the lock */
    }
    pthread_cond_destroy(&map->checkpoints.wake);
    pthread_cond_destroy(&map->checkpoints.done);
    pthread_mutex_destroy(&map->recent_lock);
    pthread_mutex_destroy(&map->writing);
    pthread_cond_destroy(&map->changed);
    pthread_mutex_destroy(&map->mutex);
    ps_buf_fini(&map->scratch);
    free(map->path);
    free(map);
}

static const struct ps_map_ops LMDB_OPS = {
    .close = lmdb_close,
    .store_open = ps_lmdb_store_open,
    .log_state = ps_lmdb_log_state,
    .apply = ps_lmdb_apply,
    .read_begin = ps_lmdb_read_begin,
    .read_end = ps_lmdb_read_end,
    .get = ps_lmdb_get,
    .freshness = ps_lmdb_freshness,
    .list = ps_lmdb_list,
    .log = ps_lmdb_log,
    .token = ps_lmdb_token,
    .snapshot_begin = ps_lmdb_snapshot_begin,
    .snapshot_put = ps_lmdb_snapshot_put,
    .snapshot_finish = ps_lmdb_snapshot_finish,
    .forget = ps_lmdb_forget,
    .meta_get = ps_lmdb_meta_get,
    .meta_put = ps_lmdb_meta_put,
    .make_sync = ps_lmdb_make_sync,
    .stats = ps_lmdb_stats,
};

/* LMDB must not open an environment twice in a process, and two processes would both be writers. */
static enum ps_status take_folder(struct ps_lmdb_map *map, struct ps_error *err)
{
    if (mkdir(map->path, 0700) != 0 && errno != EEXIST) {
        int reason = errno;
        return ps_fail(err, ps_lmdb_status_of(reason), "%s: %s", map->path, mdb_strerror(reason));
    }
    struct ps_buf name = {0};
    ps_buf_printf(&name, "%s/lock", map->path);
    map->lock_fd = open(ps_buf_text(&name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ps_buf_fini(&name);
    if (map->lock_fd < 0 || flock(map->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int reason = errno;
        if (map->lock_fd >= 0 && reason == EWOULDBLOCK) {
            return ps_fail(err, PS_BUSY, "%s: open elsewhere", map->path);
        }
        return ps_fail(err, ps_lmdb_status_of(reason), "%s/lock: %s", map->path,
                       mdb_strerror(reason));
    }
    return PS_OK;
}

static size_t first_size(size_t wanted)
{
    struct rlimit limit;
    size_t size = wanted != 0 ? wanted : RESERVE;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        /* The rest of the process needs address space too. */
        while (size > RESERVE_MIN && size > limit.rlim_cur / 8) {
            size /= 2;
        }
    }
    return size;
}

/* LMDB asserts what it reads from the file, and would abort with the place in its source alone. */
static void on_assert(MDB_env *env, const char *text)
{
    const struct ps_lmdb_map *map = mdb_env_get_userctx(env);
    (void)fprintf(stderr, "cannot go on: %s/data.mdb: corrupt data (%s)\n", map->path, text);
    abort();
}

static int open_env(struct ps_lmdb_map *map, size_t size)
{
    int rc = mdb_env_create(&map->env);
    if (rc == 0) {
        mdb_env_set_userctx(map->env, map);
        mdb_env_set_assert(map->env, on_assert);
        mdb_env_set_maxdbs(map->env, PS_LMDB_TABLES);
        mdb_env_set_maxreaders(map->env, READERS_MAX + PINS_MAX);
        mdb_env_set_mapsize(map->env, size);
        rc = mdb_env_open(map->env, map->path, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOSYNC, 0600);
    }
    if (rc != 0 && map->env != NULL) {
        mdb_env_close(map->env);
        map->env = NULL;
    }
    return rc;
}

/* A file that lost its end must give errors, not SIGBUS: what is missing becomes zeros, which no
 * page and no row is. (The end may be missing by right: LMDB leaves free pages there unwritten.) */
static int restore_length(struct ps_lmdb_map *map)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd = -1;
    int rc = mdb_env_info(map->env, &info);
    rc = rc != 0 ? rc : mdb_env_stat(map->env, &stat);
    rc = rc != 0 ? rc : mdb_env_get_fd(map->env, &fd);
    if (rc != 0) {
        return rc;
    }
    off_t size = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
    if (fstat(fd, &file) != 0 || (file.st_size < size && ftruncate(fd, size) != 0)) {
        return errno;
    }
    return 0;
}

static void open_tables_work(struct ps_lmdb_txn *txn, void *context)
{
    static const char *const names[PS_LMDB_TABLES] = {"log", "key", "version", "token", "meta"};
    bool *later = context;
    for (size_t i = 0; i < PS_LMDB_TABLES; i++) {
        int rc = mdb_dbi_open(txn->txn, names[i], MDB_CREATE, &txn->map->tables[i]);
        if (rc != 0) {
            ps_lmdb_fail(txn, rc);
            return;
        }
    }
    MDB_val key = ps_lmdb_val("f", 1);
    MDB_val value;
    if (ps_lmdb_seek(txn, PS_LMDB_META, MDB_SET, &key, &value)) {
        uint32_t format = value.mv_size == 4 ? ps_get_be32(value.mv_data) : 0;
        *later = format > PS_LMDB_FORMAT;
        if (*later || format == 0) {
            ps_lmdb_fail_status(txn, *later ? PS_UNSUPPORTED : PS_CORRUPT);
        }
        if (*later || format == 0 || format == PS_LMDB_FORMAT) {
            return;
        }
    }
    unsigned char bytes[4];
    ps_put_be32(bytes, PS_LMDB_FORMAT);
    value = ps_lmdb_val(bytes, sizeof bytes);
    ps_lmdb_put(txn, PS_LMDB_META, ps_lmdb_val("f", 1), &value, 0);
}

/* Ids go on behind the last ones in use; every key has a version and every node a row. */
static void load_ids_work(struct ps_lmdb_txn *txn, void *unused)
{
    (void)unused;
    MDB_val key;
    MDB_val value;
    txn->map->next_key = 1;
    txn->map->next_node = PS_LMDB_NODE_FIRST;
    if (ps_lmdb_seek(txn, PS_LMDB_VERSION, MDB_LAST, &key, &value)) {
        txn->map->next_key = ps_get_be64(key.mv_data) + 1;
    }
    if (ps_lmdb_seek(txn, PS_LMDB_KEY, MDB_LAST, &key, &value) &&
        ps_get_be32(key.mv_data) >= PS_LMDB_NODE_FIRST) {
        txn->map->next_node = (uint64_t)ps_get_be32(key.mv_data) + 1;
    }
}

/* What LMDB's file has, then what the journal has beyond it. */
static enum ps_status load(struct ps_lmdb_map *map, struct ps_error *err)
{
    bool later = false;
    bool entries = false;
    enum ps_status status = ps_lmdb_write(map, PS_JOURNAL_NONE, open_tables_work, &later, err);
    if (status != PS_OK) {
        return later ? ps_fail(err, status, "%s: written by a later version of popsim", map->path)
                     : status;
    }
    status = ps_lmdb_read(map, load_ids_work, NULL);
    status = status != PS_OK ? status : ps_lmdb_read(map, ps_lmdb_load_stores, NULL);
    if (status != PS_OK) {
        return ps_lmdb_fail_in(map, status, ps_status_text(status), err);
    }
    status = ps_lmdb_replay(map, &entries, err);
    status = status != PS_OK ? status : ps_lmdb_snapshot_recover(map, err);
    return status != PS_OK ? status : ps_lmdb_checkpoint_start(map, entries, err);
}

static enum ps_status open_map(struct ps_lmdb_map *map, struct ps_error *err)
{
    enum ps_status status = take_folder(map, err);
    status = status != PS_OK ? status : ps_lmdb_checkpoint_prepare(map, err);
    if (status != PS_OK) {
        return status;
    }
    size_t size = first_size(map->checkpoints.tuning.size_bytes);
    int rc = open_env(map, size);
    while (rc == ENOMEM && size > RESERVE_MIN) {
        size /= 2;
        rc = open_env(map, size);
    }
    rc = rc != 0 ? rc : restore_length(map);
    if (rc != 0) {
        return ps_lmdb_fail_in(map, ps_lmdb_status_of(rc), mdb_strerror(rc), err);
    }
    rc = ps_lmdb_recent_renew(map);
    if (rc != 0) {
        return ps_lmdb_fail_in(map, ps_lmdb_status_of(rc), mdb_strerror(rc), err);
    }
    status = ps_lmdb_checkpoint_pin(map, err);
    return status != PS_OK ? status : load(map, err);
}

enum ps_status ps_map_open_lmdb_tuned(const char *path, bool sync,
                                      const struct ps_lmdb_tuning *tuning, struct ps_map **ret,
                                      struct ps_error *err)
{
    struct ps_lmdb_map *map = PS_NEW(struct ps_lmdb_map);
    map->base.ops = &LMDB_OPS;
    map->path = ps_strndup(path, strlen(path));
    map->lock_fd = -1;
    map->checkpoints.fd = -1;
    map->checkpoints.tuning = *tuning;
    map->recent_max = tuning->recent_max != 0 ? tuning->recent_max : RECENT_MAX;
    pthread_mutex_init(&map->mutex, NULL);
    pthread_cond_init(&map->changed, NULL);
    pthread_mutex_init(&map->writing, NULL);
    pthread_cond_init(&map->checkpoints.done, NULL);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&map->recent_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&map->checkpoints.wake, &clock);
    pthread_condattr_destroy(&clock);
    enum ps_status status = open_map(map, err);
    if (status != PS_OK) {
        lmdb_close(&map->base);
        return status;
    }
    /* What opening did, its checkpoint has made durable: none of it is in the journal. */
    pthread_mutex_lock(&map->writing);
    map->sync = sync;
    map->opened = true;
    pthread_mutex_unlock(&map->writing);
    *ret = &map->base;
    return PS_OK;
}

enum ps_status ps_map_open_lmdb(const char *path, bool sync, struct ps_map **ret,
                                struct ps_error *err)
{
    return ps_map_open_lmdb_tuned(path, sync, &(struct ps_lmdb_tuning){0}, ret, err);
}
