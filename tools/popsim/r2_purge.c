#include "tools/popsim/r2_purge.h"

#include "tools/popsim/r2_objects.h"

#include <stdio.h>

/* A zone that is no bucket's name would mean all buckets. */
static int check_bucket(const struct client *client, const char *bucket)
{
    struct ps_buf target = {0};
    json_t *found = NULL;
    r2_put_bucket(&target, bucket);
    int code = client_rest(client, "GET", ps_buf_slice(&target), PS_LIT(""), &found);
    json_decref(found);
    ps_buf_fini(&target);
    return code;
}

/* Addresses are JSON of their own accord: what is coded has no quotes. */
static void put_files(struct ps_buf *body, const char *bucket, const char *const *keys,
                      size_t count)
{
    ps_buf_append_text(body, "{\"files\":[");
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_text(body, i == 0 ? "\"http://popsim/cdn-cgi/local/r2/public/"
                                        : ",\"http://popsim/cdn-cgi/local/r2/public/");
        client_put_coded(body, bucket);
        ps_buf_append_char(body, '/');
        client_put_coded(body, keys[i]);
        ps_buf_append_char(body, '"');
    }
    ps_buf_append_text(body, "]}");
}

int r2_purge(const struct client *client, const char *bucket, const char *const *keys, size_t count)
{
    struct ps_buf target = {0};
    struct ps_buf body = {0};
    json_t *purged = NULL;
    int code = check_bucket(client, bucket);
    if (code == CLI_OK) {
        ps_buf_append_text(&target, "/client/v4/zones/");
        client_put_coded(&target, bucket);
        ps_buf_append_text(&target, "/purge_cache");
        if (count == 0) {
            ps_buf_append_text(&body, "{\"purge_everything\":true}");
        } else {
            put_files(&body, bucket, keys, count);
        }
        code = client_rest(client, "POST", ps_buf_slice(&target), ps_buf_slice(&body), &purged);
    }
    if (code == CLI_OK && count == 0) {
        (void)printf("all of %s purged from public caches\n", bucket);
    } else if (code == CLI_OK) {
        (void)printf("%zu key%s of %s purged from public caches\n", count, count == 1 ? "" : "s",
                     bucket);
    }
    json_decref(purged);
    ps_buf_fini(&body);
    ps_buf_fini(&target);
    return code;
}
