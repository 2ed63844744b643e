/* YAML as a tree of our own, each node with its place, so that every later check can name it.
 *
 * A subset of YAML 1.2: one document of maps, lists and scalars. Anchors, aliases, tags, duplicate
 * keys, keys that are no scalars, NUL bytes and text that is no UTF-8 are errors. Sizes are bounded
 * before memory is taken. yaml.c is the only file that knows libfyaml. */
#ifndef PS_SIM_SCENARIO_YAML_H
#define PS_SIM_SCENARIO_YAML_H

#include "replication/base/slice.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PS_YAML_SIZE_MAX = 1 << 20, /* bytes of a file */
    PS_YAML_NESTING_MAX = 16,   /* maps and lists inside each other */
    PS_YAML_NODES_MAX = 100000, /* nodes of a document */
    PS_YAML_MEMBERS_MAX = 1024, /* members of one map */
    PS_YAML_SETTING_MAX = 4096  /* bytes of a setting's path, and of its value */
};

enum ps_yaml_kind { PS_YAML_SCALAR, PS_YAML_LIST, PS_YAML_MAP };

struct ps_yaml {
    enum ps_yaml_kind kind;
    bool plain; /* a scalar without quotes */
    bool exact; /* the scalar's bytes stand in the file as they are: one line, no escapes */
    const char *setting;    /* borrowed: the path of the setting it came from; NULL = the file */
    int line, column;       /* from 1, in characters; in a setting: of its value */
    char *text;             /* owned: a scalar's, with a NUL behind it */
    size_t size;            /* bytes of text */
    struct ps_yaml **keys;  /* owned: a map's, all scalars */
    struct ps_yaml **items; /* owned: a map's or list's values */
    size_t count;
    size_t capacity;
};

/** Parse one document. `path` is for messages. Errors: PS_INVALID, PS_LIMIT as "path:line:column:
 * ...". Ownership: *ret is the caller's, ps_yaml_destroy; it holds no reference to `source`. */
PS_MUST_CHECK enum ps_status ps_yaml_parse(struct ps_slice source, const char *path,
                                           struct ps_yaml **ret, struct ps_error *err);
/** The same for the value of a setting; errors are "--set path: ...". The nodes borrow `path`. */
PS_MUST_CHECK enum ps_status ps_yaml_parse_setting(const char *path, const char *value,
                                                   struct ps_yaml **ret, struct ps_error *err);
/** Releases the whole tree; NULL is accepted. */
void ps_yaml_destroy(struct ps_yaml *node);

/** The member of a map; NULL if it has none of that name or is no map. */
struct ps_yaml *ps_yaml_get(const struct ps_yaml *map, const char *key);

/** Append to a list (key NULL) or map. Ownership: both nodes become the parent's. */
void ps_yaml_add(struct ps_yaml *parent, struct ps_yaml *key, struct ps_yaml *item);

/** Is it a plain scalar that stands for nothing: empty, ~ or null? */
bool ps_yaml_is_null(const struct ps_yaml *node);

/** Change the tree at a dotted path ("cluster.home", "workload.0.rate"): the value is YAML. Maps
 * that are missing on the way are made; list elements must exist. The setting's strings must
 * outlive the tree. Errors: PS_INVALID, PS_LIMIT as "--set path: ...". */
PS_MUST_CHECK enum ps_status ps_yaml_set(struct ps_yaml *root, const char *path, const char *value,
                                         struct ps_error *err);

/** Append a node as errors name what they found: "\"abc\"" (cut after 40 bytes), "a list",
 *  "an empty map", "nothing". */
void ps_yaml_describe(struct ps_buf *buf, const struct ps_yaml *node);

/** Append bytes for a message: quoted, cut, with unprintable ones as \xNN. */
void ps_yaml_quote(struct ps_buf *buf, struct ps_slice text);

#endif
