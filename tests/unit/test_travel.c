/* Time Travel at home: which state an instant names, what is kept, and for how long. */
#include "node/io/d1/travel.h"
#include "replication/base/random.h"
#include "tests/support/d1_base.h"

#include <inttypes.h>
#include <stdio.h>

enum { COMMITS = 200, ASKED = 2000, EPOCH_S = 1000 };

struct fixture {
    struct d1_store home;
    struct ps_pages *pages;
    struct ps_store config;
    struct ps_node node;
    struct ps_node_store store;
    struct ps_rng rng;
    ps_time_ns step_ns;  /* between commits, at most */
    ps_time_ns *commits; /* by LSN */
    size_t count;
};

static enum ps_status commit(void *context, struct ps_record *record)
{
    struct fixture *f = context;
    record->commit_ns =
        d1_log(&f->home).last_commit_ns + 1 + ps_rng_below(&f->rng, (uint64_t)f->step_ns);
    const struct ps_append append = {f->home.store, record};
    f->commits[f->count++] = record->commit_ns;
    return ps_map_apply(f->home.map, &append, 1, NULL);
}

static void set_up(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){.rng = {.seed = seed, .stream = ps_stream_of("test", NULL, NULL)},
                          .step_ns = 4 * PS_SECOND,
                          .count = 1};
    f->commits = PS_NEW_ARRAY(ps_time_ns, COMMITS + 2);
    d1_store_open(&f->home, ps_map_create_memory());
    const struct ps_pages_config config = {
        .map = f->home.map, .store = f->home.store, .commit = commit, .context = f};
    assert_int_equal(ps_pages_open(&config, &f->pages, NULL), PS_OK);
    (void)snprintf(f->config.id, sizeof f->config.id, "0123456789abcdef0123456789abcdef");
    f->node.map = f->home.map;
    f->node.state.cluster.epoch_unix_s = EPOCH_S;
    f->node.state.timeline =
        (struct ps_timeline){.origin_ns = ps_mono_ns(), .speed_milli = 1000000 * UINT64_C(1000)};
    f->store =
        (struct ps_node_store){.node = &f->node, .config = &f->config, .map_store = f->home.store};
}

static void tear_down(struct fixture *f)
{
    ps_pages_close(f->pages);
    ps_map_close(f->home.map);
    free(f->commits);
}

/* Ask for a state: its LSN; SIZE_MAX where it is refused with words that have `says` in them. */
static uint64_t ask(struct fixture *f, unsigned flags, const char *body, const char *says)
{
    struct ps_d1_job job = {.flags = flags, .body = ps_slice_of(body)};
    ps_travel_run(&f->store, f->pages, &job, false);
    assert_int_equal(job.status, PS_OK);
    const char *text = ps_buf_text(&job.text);
    if (strstr(text, says) == NULL || job.failed == (text[0] == '{')) {
        fail_msg("%s: %s", body, text);
    }
    uint64_t lsn = job.failed ? UINT64_MAX : job.at_lsn;
    ps_d1_job_fini(&job);
    return lsn;
}

static uint64_t lsn_at(struct fixture *f, ps_time_ns t, const char *says)
{
    char body[32];
    (void)snprintf(body, sizeof body, "t%" PRIu64, t + EPOCH_S * PS_SECOND);
    return ask(f, PS_QUERY_BOOKMARK, body, says);
}

/* Against a walk through all commits; and the bookmark that comes names the same state. */
static void test_instants(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1);
    assert_int_equal(ask(&f, PS_QUERY_BOOKMARK, "", "\"00001000-00000000-"), 0);
    d1_exec(f.pages, "CREATE TABLE t(a)");
    for (int i = 1; i < COMMITS; i++) {
        d1_exec(f.pages, "INSERT INTO t VALUES(1)");
    }
    ps_time_ns last_ns = f.commits[COMMITS];
    while (ps_node_now(&f.node) <= last_ns + PS_SECOND) { /* a million times as fast as the wall */
    }
    for (int i = 0; i < ASKED; i++) {
        ps_time_ns t = ps_rng_below(&f.rng, last_ns + PS_SECOND);
        if (i % 2 == 0) {
            t = f.commits[1 + ps_rng_below(&f.rng, COMMITS)] - (i % 4 == 0 ? 1 : 0);
        }
        uint64_t expected = 0;
        while (expected < COMMITS && f.commits[expected + 1] <= t) {
            expected++;
        }
        assert_int_equal(lsn_at(&f, t, "{\"bookmark\":\"00001000-"), expected);
        const struct ps_travel_state wanted = {.lsn = expected, .commit_ns = f.commits[expected]};
        char body[PS_BOOKMARK_SIZE + 2] = "b";
        ps_travel_bookmark(&f.store, &wanted, body + 1);
        assert_int_equal(ask(&f, PS_QUERY_BOOKMARK, body, body + 1), expected);
    }
    /* Another state's numbers in it, and it is no bookmark of ours. */
    struct ps_travel_state forged = {.lsn = 5, .commit_ns = f.commits[5] + 86400 * PS_SECOND};
    char body[PS_BOOKMARK_SIZE + 2] = "b";
    ps_travel_bookmark(&f.store, &forged, body + 1);
    assert_true(ask(&f, PS_QUERY_BOOKMARK, body, "never gave it") == UINT64_MAX);
    forged = (struct ps_travel_state){.restores = 1};
    ps_travel_bookmark(&f.store, &forged, body + 1);
    assert_true(ask(&f, PS_QUERY_RESTORE, body, "never gave it") == UINT64_MAX);
    tear_down(&f);
}

static void test_refused_instants(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 2);
    d1_exec(f.pages, "CREATE TABLE t(a)");
    assert_true(ask(&f, PS_QUERY_BOOKMARK, "t999999999999", "before this database") == UINT64_MAX);
    assert_true(ask(&f, PS_QUERY_BOOKMARK, "t-1", "before this database") == UINT64_MAX);
    assert_true(ask(&f, PS_QUERY_RESTORE, "t9223372036854775807", "in the future") == UINT64_MAX);
    static const char *const nonsense[] = {
        "t", "t-", "tx", "t9223372036854775808", "x", "t99999999999999999999"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        struct ps_d1_job job = {.flags = PS_QUERY_RESTORE, .body = ps_slice_of(nonsense[i])};
        ps_travel_run(&f.store, f.pages, &job, false);
        assert_int_equal(job.status, PS_INVALID);
        assert_int_equal(job.text.size, 0);
        ps_d1_job_fini(&job);
    }
    assert_int_equal(d1_log(&f.home).last_lsn, 1);
    tear_down(&f);
}

/* What is forgotten is refused with the oldest bookmark that is not, and that one can be had. */
static void test_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 3);
    d1_exec(f.pages, "CREATE TABLE t(a)");
    for (int i = 1; i < COMMITS / 2; i++) {
        d1_exec(f.pages, "INSERT INTO t VALUES(1)");
    }
    ps_time_ns last_ns = f.commits[COMMITS / 2];
    while (ps_node_now(&f.node) <= last_ns) {
    }

    enum { KEPT = 40 };

    bool more = true;
    while (more) {
        assert_int_equal(
            ps_map_forget(f.home.map, f.home.store, f.commits[KEPT], 1000, &more, NULL), PS_OK);
    }
    const struct ps_travel_state oldest = {.lsn = KEPT, .commit_ns = f.commits[KEPT]};
    char body[PS_BOOKMARK_SIZE + 2] = "b";
    ps_travel_bookmark(&f.store, &oldest, body + 1);
    assert_true(lsn_at(&f, f.commits[KEPT] - 1, body + 1) == UINT64_MAX);
    assert_true(lsn_at(&f, 0, body + 1) == UINT64_MAX);
    assert_int_equal(lsn_at(&f, f.commits[KEPT], body + 1), KEPT);
    assert_int_equal(ask(&f, PS_QUERY_RESTORE, body, "previous_bookmark"), COMMITS / 2 + 1);
    d1_expect(f.pages, "SELECT count(*) FROM t", "i:39|\n");
    const struct ps_travel_state gone = {.lsn = KEPT - 1, .commit_ns = f.commits[KEPT - 1]};
    ps_travel_bookmark(&f.store, &gone, body + 1);
    assert_true(ask(&f, PS_QUERY_RESTORE, body, "no longer kept") == UINT64_MAX);
    assert_int_equal(d1_log(&f.home).last_lsn, COMMITS / 2 + 1);
    tear_down(&f);
}

/* A restore that an earlier try has made is answered, not made again. */
static void test_made_already(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 4);
    d1_exec(f.pages, "CREATE TABLE t(a)");
    d1_exec(f.pages, "CREATE TABLE u(a)");
    struct ps_d1_job jobs[2] = {{.flags = PS_QUERY_RESTORE, .body = PS_LIT("")},
                                {.flags = PS_QUERY_RESTORE, .body = PS_LIT(""), .at_lsn = 3}};
    for (size_t i = 0; i < 2; i++) {
        ps_travel_run(&f.store, f.pages, &jobs[i], i == 1);
        assert_int_equal(jobs[i].status, PS_OK);
        assert_int_equal(jobs[i].at_lsn, 3);
        assert_int_equal(jobs[i].restores, 1);
    }
    assert_int_equal(d1_log(&f.home).last_lsn, 3);
    assert_true(ps_slice_eq(ps_buf_slice(&jobs[0].text), ps_buf_slice(&jobs[1].text)));
    ps_d1_job_fini(&jobs[0]);
    ps_d1_job_fini(&jobs[1]);
    tear_down(&f);
}

/* Ten in ten minutes, counted by the log. */
static void test_rate(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 6);
    f.step_ns = 1;
    f.node.state.timeline = (struct ps_timeline){.origin_ns = ps_mono_ns() - 5 * PS_SECOND,
                                                 .speed_milli = 1000}; /* at its fifth second */
    uint64_t lsn = 0;
    for (int i = 1; i <= PS_TRAVEL_RESTORES; i++) {
        d1_exec(f.pages, "CREATE TABLE t(a)");
        assert_int_equal(ask(&f, PS_QUERY_RESTORE, "", "previous_bookmark"), lsn + 2);
        d1_exec(f.pages, "DROP TABLE t");
        lsn += 3;
    }
    struct ps_d1_job job = {.flags = PS_QUERY_RESTORE};
    ps_travel_run(&f.store, f.pages, &job, false);
    assert_int_equal(job.status, PS_BUSY);
    assert_non_null(strstr(ps_buf_text(&job.text), "Too many restores"));
    ps_d1_job_fini(&job);
    assert_int_equal(d1_log(&f.home).last_lsn, lsn);
    assert_int_equal(ask(&f, PS_QUERY_BOOKMARK, "", "bookmark"), lsn);
    /* Ten minutes after the first of them, which was at its second nanosecond. */
    f.node.state.timeline.origin_ns = ps_mono_ns() - PS_TRAVEL_RESTORES_NS - 2;
    assert_int_equal(ask(&f, PS_QUERY_RESTORE, "", "previous_bookmark"), lsn + 1);
    tear_down(&f);
}

/* Only that of the log which is kept is looked through. */
static void test_rate_after_forgetting(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 7);
    f.step_ns = 1;
    f.node.state.timeline =
        (struct ps_timeline){.origin_ns = ps_mono_ns() - PS_HOUR, .speed_milli = 1000};
    for (int i = 1; i <= 2 * PS_TRAVEL_RESTORES; i++) {
        assert_int_equal(ask(&f, PS_QUERY_RESTORE, "", "previous_bookmark"), i);
    }
    bool more = true;
    while (more) {
        assert_int_equal(ps_map_forget(f.home.map, f.home.store, f.commits[15], 1000, &more, NULL),
                         PS_OK);
    }
    assert_int_equal(ask(&f, PS_QUERY_RESTORE, "", "previous_bookmark"),
                     2 * PS_TRAVEL_RESTORES + 1);
    f.store.created_unix_s = EPOCH_S + 60;
    char body[32];
    (void)snprintf(body, sizeof body, "t%" PRIu64, (EPOCH_S + 60) * PS_SECOND - 1);
    assert_true(ask(&f, PS_QUERY_BOOKMARK, body, "before this database") == UINT64_MAX);
    (void)snprintf(body, sizeof body, "t%" PRIu64, (EPOCH_S + 60) * PS_SECOND);
    assert_int_equal(ask(&f, PS_QUERY_BOOKMARK, body, "bookmark"), 2 * PS_TRAVEL_RESTORES + 1);
    tear_down(&f);
}

/* Thirty days, or so many commits, whatever is less. */
static void test_horizon(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 5);
    char key[PS_PAGE_KEY_SIZE];
    char head[PS_PAGE_HEAD_SIZE];
    ps_page_key(key, 0);
    ps_page_head_write(head, &(struct ps_page_head){0});
    struct ps_entry entry = {.key = {key, sizeof key}, .value = {head, sizeof head}};
    const ps_time_ns day_ns = 24 * PS_HOUR;
    for (uint64_t lsn = 1; lsn <= PS_TRAVEL_COMMITS + 9; lsn++) {
        const struct ps_record record = {
            .lsn = lsn, .commit_ns = 40 * day_ns + lsn, .entries = &entry, .entry_count = 1};
        const struct ps_append append = {f.home.store, &record};
        assert_int_equal(ps_map_apply(f.home.map, &append, 1, NULL), PS_OK);
        f.store.have_lsn = lsn;
        if (lsn == PS_TRAVEL_COMMITS) {
            assert_true(ps_travel_horizon(&f.store, 41 * day_ns) == 11 * day_ns);
            assert_true(ps_travel_horizon(&f.store, 29 * day_ns) == 0);
        }
    }
    assert_true(ps_travel_horizon(&f.store, 41 * day_ns) == 40 * day_ns + 9);
    assert_true(ps_travel_horizon(&f.store, 80 * day_ns) == 50 * day_ns);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_refused_instants),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_made_already),
        cmocka_unit_test(test_horizon),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_after_forgetting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
