/* What the programs of tools/bench measure with. */
#ifndef PS_TOOLS_BENCH_CLOCK_H
#define PS_TOOLS_BENCH_CLOCK_H

#include <sys/resource.h>
#include <time.h>

/** Seconds since some instant; only differences mean anything. */
static inline double wall_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/** Seconds of CPU, user's and system's, that this process has had in all its threads. */
static inline double cpu_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif
