#include "node/io/jobs.h"

#include <signal.h>

int ps_thread_start(pthread_t *ret, void *(*run)(void *argument), void *argument)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(ret, NULL, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}
