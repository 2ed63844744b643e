/* The test as a whole: where it is, why it ends, time, settings. */
#include "node/io/node.h"
#include "tests/integration/chaos/chaos.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct chaos_where chaos_where = {.kind = "start", .folder = "none"};

void chaos_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr,
                  "FAILED in round %zu (%s) of seed %" PRIu64 ", folder %s: ", chaos_where.round,
                  chaos_where.kind, chaos_where.seed, chaos_where.folder);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    _exit(1); /* the nodes end with their parent */
}

uint64_t chaos_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void chaos_pause_ms(uint64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* ---- the gate ---- */

void gate_init(struct gate *gate)
{
    *gate = (struct gate){.closed = true};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

void gate_fini(struct gate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->mutex);
}

bool gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    bool rests = gate->closed;
    gate->resting += rests;
    pthread_cond_broadcast(&gate->changed);
    while (gate->closed && !gate->ended) {
        pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    gate->resting -= rests;
    bool goes_on = !gate->ended;
    pthread_mutex_unlock(&gate->mutex);
    return goes_on;
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->closed = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_close(struct gate *gate, size_t threads)
{
    struct timespec until = {.tv_sec =
                                 (time_t)(chaos_now_ns() / 1000000000 + (uint64_t)2 * DEADLINE_S)};
    pthread_mutex_lock(&gate->mutex);
    gate->closed = true;
    while (gate->resting < threads) {
        if (pthread_cond_clockwait(&gate->changed, &gate->mutex, CLOCK_MONOTONIC, &until) != 0) {
            chaos_fail("a client does not finish its operation");
        }
    }
    pthread_mutex_unlock(&gate->mutex);
}

void gate_end(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->ended = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

/* ---- how it is run ---- */

uint64_t chaos_from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    if (text == NULL || text[0] == '\0') {
        return otherwise;
    }
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value == 0) {
        chaos_fail("%s=%s: a positive number is expected", name, text);
    }
    return value;
}

int chaos_run_node(char **argv)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return 3;
    }
    struct ps_node_options options = {.folder = argv[2], .pop = argv[3]};
    return ps_node_main(&options);
}
