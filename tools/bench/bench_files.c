/* What durable puts of objects are measured against: files of SIZE bytes written and synced, by
 * THREADS threads, one file each at a time; with `rename` each gets its name when it is synced, and
 * the folder is synced too, as a body that is to survive must. Prints a line of JSON.
 *
 *   bench_files FOLDER SECONDS THREADS SIZE write|rename     FOLDER exists and is empty */
#include "replication/base/memory.h"
#include "tools/bench/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_BAD_INPUT = 2, EXIT_FAILED = 3, THREADS_MAX = 256, SIZE_MAX_ALLOWED = 1 << 20 };

struct bench {
    int folder;
    double until_s;
    const char *bytes;
    size_t size;
    bool renames;
    _Atomic uint64_t files;
    _Atomic bool failed;
};

struct thread {
    pthread_t thread;
    struct bench *bench;
    int index;
};

static bool write_one(const struct bench *bench, int index, uint64_t number)
{
    char name[72];
    char final[64];
    (void)snprintf(final, sizeof final, "%d-%llu", index, (unsigned long long)number);
    (void)snprintf(name, sizeof name, "%s%s", final, bench->renames ? ".tmp" : "");
    int fd = openat(bench->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool done = write(fd, bench->bytes, bench->size) == (ssize_t)bench->size && fsync(fd) == 0;
    done = close(fd) == 0 && done;
    if (done && bench->renames) {
        done =
            renameat(bench->folder, name, bench->folder, final) == 0 && fsync(bench->folder) == 0;
    }
    return done;
}

static void *work(void *argument)
{
    const struct thread *thread = argument;
    struct bench *bench = thread->bench;
    for (uint64_t number = 0; wall_s() < bench->until_s && !bench->failed; number++) {
        if (write_one(bench, thread->index, number)) {
            bench->files++;
        } else {
            bench->failed = true;
        }
    }
    return NULL;
}

static bool run(struct bench *bench, int thread_count)
{
    struct thread threads[THREADS_MAX];
    int started = 0;
    while (started < thread_count && !bench->failed) {
        threads[started] = (struct thread){.bench = bench, .index = started};
        if (pthread_create(&threads[started].thread, NULL, work, &threads[started]) != 0) {
            bench->failed = true;
        } else {
            started++;
        }
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i].thread, NULL);
    }
    return !bench->failed;
}

int main(int argc, char **argv)
{
    double seconds = argc == 6 ? strtod(argv[2], NULL) : 0;
    long threads = argc == 6 ? strtol(argv[3], NULL, 10) : 0;
    long size = argc == 6 ? strtol(argv[4], NULL, 10) : 0;
    if (seconds <= 0 || threads < 1 || threads > THREADS_MAX || size < 1 ||
        size > SIZE_MAX_ALLOWED) {
        (void)fprintf(stderr, "usage: bench_files FOLDER SECONDS THREADS SIZE write|rename\n");
        return EXIT_BAD_INPUT;
    }
    char *bytes = ps_calloc(1, (size_t)size);
    double begin_s = wall_s();
    struct bench bench = {.folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                          .until_s = begin_s + seconds,
                          .bytes = bytes,
                          .size = (size_t)size,
                          .renames = strcmp(argv[5], "rename") == 0};
    bool done = bench.folder >= 0 && run(&bench, (int)threads);
    if (done) {
        printf("{\"files\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n",
               (unsigned long long)bench.files, wall_s() - begin_s, cpu_s());
    } else {
        perror(argv[1]);
    }
    free(bytes);
    return done ? 0 : EXIT_FAILED;
}
