/* A database's thread and its queue: how many may wait, and for how long. */
#include "node/io/d1/d1_thread.h"
#include "replication/base/memory.h"
#include "tests/support/d1_base.h"

#include <ev.h>

struct fixture {
    struct d1_store home;
    struct ps_node node;
    struct ps_store config;
    struct ps_node_store store;
    struct ps_d1_thread *thread;
};

static size_t done_count;

static void on_done(struct ps_d1_job *job)
{
    (void)job;
    done_count++;
}

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.node = {.code = "ams"}};
    done_count = 0;
    d1_store_open(&f->home, ps_map_create_memory());
    f->node.map = f->home.map;
    f->node.loop = ev_loop_new(EVFLAG_AUTO);
    ps_cluster_init(&f->node.state.cluster);
    assert_int_equal(ps_cluster_add_pop(&f->node.state.cluster, PS_LIT("ams"), NULL), PS_OK);
    f->node.state.timeline = (struct ps_timeline){.origin_ns = ps_mono_ns(), .speed_milli = 1000};
    f->store =
        (struct ps_node_store){.node = &f->node, .config = &f->config, .map_store = f->home.store};
    assert_int_equal(ps_d1_thread_create(&f->store, &f->thread, NULL), PS_OK);
}

static void tear_down(struct fixture *f)
{
    ps_d1_thread_destroy(f->thread);
    ps_cluster_fini(&f->node.state.cluster);
    ev_loop_destroy(f->node.loop);
    ps_map_close(f->home.map);
}

static struct ps_d1_job job_of(const char *body)
{
    return (struct ps_d1_job){.body = ps_slice_of(body), .lsn = UINT64_MAX, .done = on_done};
}

static void wait_for(struct fixture *f, size_t count)
{
    while (done_count < count) {
        ev_run(f->node.loop, EVRUN_ONCE);
    }
}

static const char endless[] = "{\"sql\":\"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 "
                              "FROM c) SELECT count(*) FROM c\"}";
static const char one[] = "{\"sql\":\"SELECT 1 AS one\"}";

static void test_too_many(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct ps_d1_job *jobs = PS_NEW_ARRAY(struct ps_d1_job, PS_D1_QUEUE_MAX + 1);
    for (size_t i = 0; i <= PS_D1_QUEUE_MAX; i++) {
        jobs[i] = job_of(i == 0 ? endless : one);
        assert_int_equal(ps_d1_thread_submit(f.thread, &jobs[i]),
                         i < PS_D1_QUEUE_MAX ? PS_OK : PS_BUSY);
    }
    assert_int_equal(ps_d1_thread_queued(f.thread), PS_D1_QUEUE_MAX);
    ps_d1_thread_hurry(f.thread); /* so that the first comes to an end */
    wait_for(&f, PS_D1_QUEUE_MAX);
    assert_true(jobs[0].failed);
    assert_int_equal(jobs[PS_D1_QUEUE_MAX - 1].status, PS_OK);
    assert_non_null(strstr(ps_buf_text(&jobs[PS_D1_QUEUE_MAX - 1].text), "[{\"one\":1}]"));
    assert_int_equal(ps_d1_thread_submit(f.thread, &jobs[PS_D1_QUEUE_MAX]), PS_OK);
    wait_for(&f, PS_D1_QUEUE_MAX + 1);
    for (size_t i = 0; i <= PS_D1_QUEUE_MAX; i++) {
        ps_d1_job_fini(&jobs[i]);
    }
    free(jobs);
    tear_down(&f);
}

static void test_for_too_long(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct ps_d1_job jobs[] = {job_of(one), job_of(one), job_of(one)};
    jobs[0].queued_mono_ns = ps_mono_ns() - PS_D1_QUEUED_S * PS_SECOND - 1;
    jobs[1].queued_mono_ns = ps_mono_ns();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ps_d1_thread_submit(f.thread, &jobs[i]), PS_OK);
    }
    wait_for(&f, 3);
    assert_int_equal(jobs[0].status, PS_BUSY);
    assert_true(jobs[0].failed);
    assert_string_equal(ps_buf_text(&jobs[0].text),
                        "D1 DB is overloaded. Requests queued for too long.");
    for (size_t i = 1; i < 3; i++) {
        assert_int_equal(jobs[i].status, PS_OK);
        assert_false(jobs[i].failed);
    }
    for (size_t i = 0; i < 3; i++) {
        ps_d1_job_fini(&jobs[i]);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_for_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
