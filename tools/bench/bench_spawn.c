/* How long it takes to start processes: fork and exec COUNT times, then wait for all. Prints the
 * seconds.
 *
 *   bench_spawn COUNT PROGRAM [ARGUMENT...] */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { COUNT_MAX = 10000, EXIT_BAD_INPUT = 2, EXIT_FAILED = 3 };

#define NS_PER_S 1e9

static double wall_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

int main(int argc, char **argv)
{
    long count = argc < 3 ? 0 : strtol(argv[1], NULL, 10);
    if (count < 1 || count > COUNT_MAX) {
        (void)fputs("usage: bench_spawn COUNT PROGRAM [ARGUMENT...]\n", stderr);
        return EXIT_BAD_INPUT;
    }
    double begin_s = wall_s();
    for (long i = 0; i < count; i++) {
        pid_t pid;
        int error = posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ);
        if (error != 0) {
            (void)fprintf(stderr, "bench_spawn: %s: %s\n", argv[2], strerror(error));
            return EXIT_FAILED;
        }
    }
    for (long i = 0; i < count; i++) {
        int status;
        if (wait(&status) < 0 || status != 0) {
            (void)fprintf(stderr, "bench_spawn: %s failed\n", argv[2]);
            return EXIT_FAILED;
        }
    }
    (void)printf("%.6f\n", wall_s() - begin_s);
    return 0;
}
