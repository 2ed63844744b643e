/* Reading JSON members with a sticky status: straight-line code, one check at the end. A failure
 * names the member by its path ("stores[0].delay.kind"). */
#ifndef PS_NODE_CLUSTER_JSON_READ_H
#define PS_NODE_CLUSTER_JSON_READ_H

#include "replication/base/slice.h"

#include <jansson.h>

enum { PS_JSON_PATH_SIZE = 96 };

struct ps_json_reader {
    enum ps_status status;        /* PS_OK until the first failure */
    struct ps_error *err;         /* may be NULL */
    char path[PS_JSON_PATH_SIZE]; /* of the object that is read, with its dot; empty: the root */
    size_t path_size;
};

/** Go into a member: its name with a dot behind it ("stores[3]."). Gives what ps_json_read_leave
 *  takes. */
size_t ps_json_read_enter(struct ps_json_reader *reader, const char *format, ...) PS_PRINTF(2, 3);
void ps_json_read_leave(struct ps_json_reader *reader, size_t path_size);

/** Note a failure of member `name`, the first one only. */
void ps_json_read_fail(struct ps_json_reader *reader, const char *name, const char *reason);
/** Parse; duplicate keys are refused. Ownership: *ret is the caller's (json_decref). */
PS_MUST_CHECK enum ps_status ps_json_read_parse(struct ps_slice bytes, json_t **ret,
                                                struct ps_error *err);
/** A whole number from 0 to max; 0 on failure. */
uint64_t ps_json_read_u64(struct ps_json_reader *reader, const json_t *object, const char *name,
                          uint64_t max);
bool ps_json_read_bool(struct ps_json_reader *reader, const json_t *object, const char *name);
/** A finite double as 16 hex digits of its bits. */
double ps_json_read_double(struct ps_json_reader *reader, const json_t *object, const char *name);
/** A string; borrowed from the object. */
struct ps_slice ps_json_read_text(struct ps_json_reader *reader, const json_t *object,
                                  const char *name);
/** One of a table's names: its index; 0 on failure. */
size_t ps_json_read_name(struct ps_json_reader *reader, const json_t *object, const char *name,
                         const char *const *names, size_t count);
/** An array of at most `max` members; NULL on failure. */
json_t *ps_json_read_array(struct ps_json_reader *reader, const json_t *object, const char *name,
                           size_t max);

#endif
