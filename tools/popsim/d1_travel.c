/* popsim d1 time-travel: through the REST API, as wrangler does it. */
#include "tools/popsim/d1_travel.h"

#include <jansson.h>

#include <stdio.h>

static void put_target(struct ps_buf *buf, const struct d1_travel *travel)
{
    ps_buf_append_text(buf, "/client/v4/accounts/popsim/d1/database/");
    client_put_coded(buf, travel->database);
    ps_buf_append_text(buf, travel->restore ? "/time_travel/restore" : "/time_travel/bookmark");
    if (travel->timestamp != NULL) {
        ps_buf_append_text(buf, "?timestamp=");
        client_put_coded(buf, travel->timestamp);
    } else if (travel->bookmark != NULL) {
        ps_buf_append_text(buf, "?bookmark=");
        client_put_coded(buf, travel->bookmark);
    }
}

static void print_result(const struct d1_travel *travel, const json_t *result)
{
    const char *bookmark = json_string_value(json_object_get(result, "bookmark"));
    const char *previous = json_string_value(json_object_get(result, "previous_bookmark"));
    if (travel->json) {
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    } else if (travel->restore) {
        (void)printf("%s is restored, and at bookmark %s\n"
                     "To undo this: popsim d1 time-travel restore %s --bookmark %s\n",
                     travel->database, bookmark == NULL ? "?" : bookmark, travel->database,
                     previous == NULL ? "?" : previous);
    } else {
        (void)puts(bookmark == NULL ? "?" : bookmark);
    }
}

int d1_travel_run(const struct d1_travel *travel)
{
    if (travel->restore && (travel->bookmark == NULL) == (travel->timestamp == NULL)) {
        return cli_usage("d1 time-travel restore: --bookmark or --timestamp is expected");
    }
    if (!travel->restore && travel->bookmark != NULL) {
        return cli_usage("d1 time-travel info: --bookmark is for restore");
    }
    struct ps_buf target = {0};
    json_t *result = NULL;
    put_target(&target, travel);
    int code = client_rest(travel->client, travel->restore ? "POST" : "GET", ps_buf_slice(&target),
                           (struct ps_slice){0}, &result);
    ps_buf_fini(&target);
    if (code == CLI_OK) {
        print_result(travel, result);
    }
    json_decref(result);
    return code;
}
