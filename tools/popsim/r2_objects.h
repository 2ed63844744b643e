/* What popsim r2 does over HTTP: objects put, got, deleted and listed through the REST API, whose
 * bytes pass through files of any size. Each function does it, prints what came of it, and returns
 * the exit code. */
#ifndef PS_TOOLS_POPSIM_R2_OBJECTS_H
#define PS_TOOLS_POPSIM_R2_OBJECTS_H

#include "tools/popsim/client.h"

#define R2_BUCKETS "/client/v4/accounts/popsim/r2/buckets"

/** One object, and what was said about it. NULL: not given. */
struct r2_object {
    const char *bucket;
    const char *key;
    const char *file; /* NULL: standard input or output (pipe), or a get's key */
    bool pipe;
    bool json;
    const char *content_type; /* put, as all that follows */
    const char *content_language;
    const char *content_disposition;
    const char *content_encoding;
    const char *cache_control;
    const char *expires;
    const char *storage_class;
};

int r2_put(const struct client *client, const struct r2_object *object);
/** A key that is not there: CLI_BROKEN; of r2_head, too. */
int r2_get(const struct client *client, const struct r2_object *object);
int r2_head(const struct client *client, const struct r2_object *object);
int r2_delete(const struct client *client, const struct r2_object *object);

struct r2_list {
    const char *bucket;
    const char *prefix; /* NULL: not given, as all that follows */
    const char *delimiter;
    const char *limit;
    const char *cursor;
    bool json;
};

int r2_list(const struct client *client, const struct r2_list *list);

/** Change a bucket's default storage class; prints only why not. */
int r2_set_class(const struct client *client, const char *bucket, const char *storage_class);

/** Append a bucket's path below R2_BUCKETS, and that of an object. */
void r2_put_bucket(struct ps_buf *target, const char *bucket);
/** Append "?name=value" or "&name=value", unless value is NULL. */
void r2_put_query(struct ps_buf *target, const char *name, const char *value);
void r2_print_json(const json_t *json);

#endif
