/* The parts of the node's process that need no process: the heap of waiting things and the writer
 * thread. */
#include "node/io/heap.h"
#include "node/io/worker.h"
#include "replication/base/memory.h"
#include "replication/base/random.h"

#include <ev.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ITEMS = 1000, JOBS = 500 };

static void test_heap_gives_the_smallest_first(void **state)
{
    (void)state;
    struct ps_heap heap = {0};
    struct ps_heap_item items[ITEMS] = {0};
    struct ps_rng rng = {.seed = 3, .stream = ps_stream_of("heap", NULL, NULL)};
    assert_null(ps_heap_first(&heap));
    for (size_t i = 0; i < ITEMS; i++) {
        ps_heap_push(&heap, &items[i], ps_rng_below(&rng, ITEMS / 4));
    }
    for (size_t i = 0; i < ITEMS; i += 3) {
        ps_heap_remove(&heap, &items[i]);
        ps_heap_remove(&heap, &items[i]); /* in no heap: nothing happens */
        assert_int_equal(items[i].place, 0);
    }
    const struct ps_heap_item *former = NULL;
    size_t count = 0;
    for (struct ps_heap_item *item = ps_heap_first(&heap); item != NULL;
         item = ps_heap_first(&heap)) {
        if (former != NULL) {
            assert_true(former->key < item->key ||
                        (former->key == item->key && former->turn < item->turn));
        }
        former = item;
        ps_heap_remove(&heap, item);
        count++;
    }
    assert_int_equal(count, ITEMS - (ITEMS + 2) / 3);
    ps_heap_fini(&heap);
}

static void test_heap_forgets_at_its_end(void **state)
{
    (void)state;
    struct ps_heap heap = {0};
    struct ps_heap_item item = {0};
    ps_heap_push(&heap, &item, 1);
    ps_heap_fini(&heap);
    assert_int_equal(item.place, 0);
    ps_heap_push(&heap, &item, 2);
    assert_ptr_equal(ps_heap_first(&heap), &item);
    ps_heap_fini(&heap);
}

struct counted {
    struct ps_job job; /* first member */
    size_t *ran;       /* guarded by the order of run and done */
    size_t *done;
    size_t turn;
    struct ev_loop *loop;
};

static void run(struct ps_job *job)
{
    struct counted *counted = (struct counted *)(void *)job;
    job->status = *counted->ran == counted->turn ? PS_OK : PS_INVALID;
    (*counted->ran)++;
}

static void done(struct ps_job *job)
{
    struct counted *counted = (struct counted *)(void *)job;
    assert_int_equal(job->status, PS_OK);
    assert_int_equal(*counted->done, counted->turn);
    (*counted->done)++;
    if (*counted->done == JOBS) {
        ev_break(counted->loop, EVBREAK_ALL);
    }
}

static void test_worker_runs_jobs_in_order(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct ps_worker *worker;
    assert_int_equal(ps_worker_create(loop, &worker, NULL), PS_OK);
    assert_false(ps_worker_busy(worker));
    struct counted jobs[2 * JOBS] = {0};
    size_t ran = 0;
    size_t finished = 0;
    for (size_t i = 0; i < 2 * JOBS; i++) {
        jobs[i] = (struct counted){.job = {.run = run, .done = done},
                                   .ran = &ran,
                                   .done = &finished,
                                   .turn = i,
                                   .loop = loop};
    }
    for (size_t i = 0; i < JOBS; i++) {
        ps_worker_submit(worker, &jobs[i].job);
    }
    assert_true(ps_worker_busy(worker));
    ev_run(loop, 0);
    assert_int_equal(finished, JOBS);
    assert_false(ps_worker_busy(worker));
    /* What is still queued at the end is run and told of. */
    for (size_t i = JOBS; i < 2 * JOBS; i++) {
        ps_worker_submit(worker, &jobs[i].job);
    }
    ps_worker_destroy(worker);
    assert_int_equal(finished, 2 * JOBS);
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_gives_the_smallest_first),
        cmocka_unit_test(test_heap_forgets_at_its_end),
        cmocka_unit_test(test_worker_runs_jobs_in_order),
    };
    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
