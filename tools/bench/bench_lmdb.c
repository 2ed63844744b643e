/* What durable writes are measured against: LMDB alone, one transaction and one sync for each BATCH
 * records, each one pair of an ascending number and SIZE bytes. Prints a line of JSON.
 *
 *   bench_lmdb FOLDER SECONDS BATCH SIZE       FOLDER exists and is empty */
#include "replication/base/memory.h"
#include "tools/bench/clock.h"

#include <lmdb.h>

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_BAD_INPUT = 2, EXIT_FAILED = 3, SIZE_MAX_ALLOWED = 1 << 20 };

#define MAP_SIZE ((size_t)8 << 30)

/* One group commit; returns LMDB's code. */
static int commit_batch(MDB_env *env, MDB_dbi dbi, uint64_t *number, long batch, MDB_val value)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (long i = 0; i < batch && rc == 0; i++) {
        uint64_t bytes = htobe64(++*number);
        MDB_val key = {.mv_size = sizeof bytes, .mv_data = &bytes};
        rc = mdb_put(txn, dbi, &key, &value, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_table(MDB_env *env, MDB_dbi *ret)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "records", MDB_CREATE, ret);
        if (rc == 0) {
            return mdb_txn_commit(txn);
        }
        mdb_txn_abort(txn);
    }
    return rc;
}

static int run(MDB_env *env, double seconds, long batch, MDB_val value)
{
    MDB_dbi dbi;
    int rc = open_table(env, &dbi);
    uint64_t records = 0;
    uint64_t commits = 0;
    double begin_s = wall_s();
    double begin_cpu_s = cpu_s();
    while (rc == 0 && wall_s() - begin_s < seconds) {
        rc = commit_batch(env, dbi, &records, batch, value);
        commits++;
    }
    if (rc == 0) {
        double took_s = wall_s() - begin_s;
        double took_cpu_s = cpu_s() - begin_cpu_s;
        (void)printf("{\"records\": %llu, \"commits\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n",
                     (unsigned long long)records, (unsigned long long)commits, took_s, took_cpu_s);
    }
    return rc;
}

int main(int argc, char **argv)
{
    double seconds = argc == 5 ? strtod(argv[2], NULL) : 0;
    long batch = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
    long size = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
    if (seconds <= 0 || batch <= 0 || size <= 0 || size > SIZE_MAX_ALLOWED) {
        (void)fputs("usage: bench_lmdb FOLDER SECONDS BATCH SIZE\n", stderr);
        return EXIT_BAD_INPUT;
    }
    char *bytes = ps_calloc(1, (size_t)size);
    memset(bytes, 'x', (size_t)size);
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc == 0) {
        (void)mdb_env_set_mapsize(env, MAP_SIZE);
        (void)mdb_env_set_maxdbs(env, 1);
        rc = mdb_env_open(env, argv[1], MDB_NORDAHEAD, 0600);
        if (rc == 0) {
            rc = run(env, seconds, batch, (MDB_val){.mv_size = (size_t)size, .mv_data = bytes});
        }
        mdb_env_close(env);
    }
    free(bytes);
    if (rc != 0) {
        (void)fprintf(stderr, "bench_lmdb: %s: %s\n", argv[1], mdb_strerror(rc));
        return EXIT_FAILED;
    }
    return 0;
}
