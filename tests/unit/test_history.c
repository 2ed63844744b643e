/* Histories: order, bytes, hash, reading back, and what a reader refuses. */
#include "tests/support/tiny_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* All lines of a history, and their hash. */
static struct ps_buf written(const struct ps_history *history, char sha256[65])
{
    char *data = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&data, &size);
    assert_non_null(file);
    assert_int_equal(ps_history_write(history, file, sha256, NULL), PS_OK);
    (void)fclose(file);
    struct ps_buf buf = {0};
    ps_buf_append(&buf, data, size);
    free(data);
    return buf;
}

static void interning_keeps_numbers(void **state)
{
    (void)state;
    struct ps_intern *intern = ps_intern_create();
    char text[16];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            int size = snprintf(text, sizeof text, "t%u", i);
            assert_int_equal(ps_intern_put(intern, (struct ps_slice){text, (size_t)size}), i);
        }
    }
    assert_int_equal(ps_intern_put(intern, (struct ps_slice){0}), 1000);
    assert_int_equal(ps_intern_count(intern), 1001);
    assert_true(ps_slice_eq(ps_intern_text(intern, 999), PS_LIT("t999")));
    assert_int_equal(ps_intern_text(intern, 1000).size, 0);
    ps_intern_destroy(intern);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(11, 400, true);
    struct ps_history *history = tiny->history;
    history->live = true;
    history->begin_ns = 5;
    history->ops[7].late = true;
    history->ops[7].have_lsn = 3;
    history->ops[8].http_status = 503;
    history->ops[9].list_limit = 10;
    history->ops[9].kind = PS_OP_KV_LIST;
    history->foreign = PS_NEW(struct ps_foreign);
    history->foreign[history->foreign_count++] =
        (struct ps_foreign){.store = 1,
                            .lsn = 9000,
                            .commit_ns = UINT64_C(9007199254740993), /* no double holds it */
                            .key = ps_intern_put(history->keys, PS_LIT("quote \" and \n")),
                            .deleted = true,
                            .digest = 0xabcdef};
    history->downtimes = PS_NEW(struct ps_downtime);
    history->downtimes[history->downtime_count++] = (struct ps_downtime){2, {77, PS_NEVER}};
    char first[65];
    char second[65];
    struct ps_buf lines = written(history, first);
    struct ps_history *back;
    struct ps_error err = {0};
    if (ps_history_parse(ps_buf_slice(&lines), "h", &back, &err) != PS_OK) {
        fail_msg("%s", err.text);
    }
    struct ps_buf again = written(back, second);
    assert_int_equal(lines.size, again.size);
    assert_memory_equal(lines.data, again.data, lines.size);
    assert_string_equal(first, second);
    assert_int_equal(back->op_count, history->op_count);
    assert_int_equal(back->foreign[0].commit_ns, UINT64_C(9007199254740993));
    assert_int_equal(back->downtimes[0].when.until_ns, PS_NEVER);
    assert_int_equal(back->links[2].outage_count, 1);
    ps_buf_fini(&lines);
    ps_buf_fini(&again);
    ps_history_destroy(back);
    tiny_destroy(tiny);
}

static void a_line_is_as_documented(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(1, 1, false);
    struct ps_history *history = tiny->history;
    history->ops[0] = (struct ps_op){.id = 1,
                                     .invoke_ns = 2,
                                     .complete_ns = 3,
                                     .eval_ns = 2,
                                     .lsn = 4,
                                     .digest = 0x12ab,
                                     .boot = 1,
                                     .found = true,
                                     .cache_ttl_ns = 60};
    history->sessions = (ps_intern_destroy(history->sessions), ps_intern_create());
    history->keys = (ps_intern_destroy(history->keys), ps_intern_create());
    ps_intern_put(history->sessions, PS_LIT("readers/fra"));
    ps_intern_put(history->keys, PS_LIT("user:1"));
    char sha256[65];
    struct ps_buf lines = written(history, sha256);
    const char *expected =
        "{\"id\":1,\"session\":\"readers/"
        "fra\",\"pop\":\"fra\",\"store\":\"CACHE\",\"op\":\"kv.get\","
        "\"key\":\"user:1\",\"invoke_ns\":2,\"complete_ns\":3,\"eval_ns\":2,\"lsn\":4,\"ok\":true,"
        "\"error\":null,\"boot\":1,\"found\":true,\"digest\":\"00000000000012ab\","
        "\"cache_ttl_ns\":60,\"run\":{\"version\":";
    assert_true(lines.size > strlen(expected));
    assert_memory_equal(lines.data, expected, strlen(expected));
    ps_buf_fini(&lines);
    tiny_destroy(tiny);
}

static void sorting_restores_the_order(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(12, 300, false);
    char sorted[65];
    char shuffled[65];
    assert_int_equal(ps_history_write(tiny->history, NULL, sorted, NULL), PS_OK);
    for (size_t i = 0; i < 300; i++) {
        size_t other = (i * 7919 + 13) % 300;
        struct ps_op op = tiny->history->ops[i];
        tiny->history->ops[i] = tiny->history->ops[other];
        tiny->history->ops[other] = op;
    }
    ps_history_sort(tiny->history);
    assert_int_equal(ps_history_write(tiny->history, NULL, shuffled, NULL), PS_OK);
    assert_string_equal(sorted, shuffled);
    tiny_destroy(tiny);
}

static void the_hash_is_sha256(void **state)
{
    (void)state;
    struct ps_history *history = ps_history_create();
    char sha256[65];
    assert_int_equal(ps_history_write(history, NULL, sha256, NULL), PS_OK);
    assert_string_equal(sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ps_history_destroy(history);
}

static void refused(struct ps_buf *lines, const char *what, const char *with, const char *message)
{
    struct ps_buf broken = {0};
    const char *text = ps_buf_text(lines);
    const char *at = strstr(text, what);
    assert_non_null(at);
    ps_buf_append(&broken, text, (size_t)(at - text));
    ps_buf_append_text(&broken, with);
    ps_buf_append_text(&broken, at + strlen(what));
    struct ps_history *history;
    struct ps_error err = {0};
    assert_int_equal(ps_history_parse(ps_buf_slice(&broken), "h", &history, &err), PS_INVALID);
    if (strncmp(err.text, message, strlen(message)) != 0) {
        fail_msg("expected \"%s\", got \"%s\"", message, err.text);
    }
    ps_buf_fini(&broken);
}

static void bad_lines_are_named(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(13, 50, false);
    char sha256[65];
    struct ps_buf lines = written(tiny->history, sha256);
    refused(&lines, "\"id\":1,", "\"id\":-1,", "h:1: \"id\": expected a whole number in range");
    refused(&lines, "\"id\":2,", "", "h:2: \"id\": expected a whole number in range");
    refused(&lines, "\"pop\":", "\"pop\":\"zzz\",\"x\":",
            "h:1: \"pop\": expected the code of a PoP of the cluster");
    refused(&lines, "\"op\":\"kv", "\"op\":\"d1", "h:1: \"op\": expected the name of an operation");
    refused(&lines, "\"ok\":true", "\"ok\":false", "h:1: \"error\": expected a string");
    refused(&lines, "\"digest\":\"", "\"digest\":\"x", "h:");
    refused(&lines, "\"run\":", "\"walk\":", "h:1: the first line has no \"run\"");
    refused(&lines, "\"mode\":\"virtual\"", "\"mode\":\"dream\"", "h:1: \"mode\": expected");
    refused(&lines, "\"foreign\":[", "\"foreign\":[{}", "h:1: \"store\": expected");
    refused(&lines, "\"downtimes\":[", "\"downtimes\":[1", "h:1: \"downtimes\": expected");
    refused(&lines, "\"complete_ns\":", "\"complete_ns\":9999",
            "h:2: the lines are not in ascending order");
    refused(&lines, "}\n{", "}\n[", "h:2:");
    refused(&lines, "}\n{", "}\n\n{", "h:2:");
    ps_buf_fini(&lines);
    struct ps_history *history;
    struct ps_error err = {0};
    assert_int_equal(ps_history_parse((struct ps_slice){0}, "h", &history, &err), PS_INVALID);
    assert_string_equal(err.text, "h: the history is empty");
    assert_int_equal(ps_history_read("/nonexistent/history", &history, &err), PS_NOT_FOUND);
    tiny_destroy(tiny);
}

static void files_read_like_bytes(void **state)
{
    (void)state;
    struct tiny *tiny = tiny_create(14, 200, true);
    char path[] = "/tmp/popsim-history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    char first[65];
    char second[65];
    assert_int_equal(ps_history_write(tiny->history, file, first, NULL), PS_OK);
    (void)fclose(file);
    struct ps_history *back;
    assert_int_equal(ps_history_read(path, &back, NULL), PS_OK);
    assert_int_equal(ps_history_write(back, NULL, second, NULL), PS_OK);
    assert_string_equal(first, second);
    unlink(path);
    ps_history_destroy(back);
    tiny_destroy(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interning_keeps_numbers), cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_line_is_as_documented), cmocka_unit_test(sorting_restores_the_order),
        cmocka_unit_test(the_hash_is_sha256),      cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(files_read_like_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
