/* popsim d1: databases made, dropped, listed, exported and imported through the REST API, as
 * wrangler does it. Each function does it, prints what came of it, and returns the exit code. */
#ifndef PS_TOOLS_POPSIM_D1_ADMIN_H
#define PS_TOOLS_POPSIM_D1_ADMIN_H

#include "tools/popsim/client.h"

/** `location`: a hint ("weur"), or NULL. */
int d1_create(const struct client *client, const char *name, const char *location, bool json);
int d1_delete(const struct client *client, const char *name);
int d1_list(const struct client *client, bool json);
int d1_info(const struct client *client, const char *name, bool json);

struct d1_export {
    const char *output; /* "-": standard output */
    const char *tables; /* names with commas between; NULL = all */
    bool no_data;
    bool no_schema;
};

int d1_export(const struct client *client, const char *name, const struct d1_export *options);

/** Run a text of any size as one transaction, each statement by itself within D1's limit. *ret is
 *  the import's result, with a reference; prints only a failure. */
int d1_import(const struct client *client, const char *name, struct ps_slice sql, json_t **ret);

/** Print an import's result. */
void d1_print_import(const struct client *client, const json_t *result, bool json);

/** The database's id (32 hexadecimal digits), by its name. */
int d1_find(const struct client *client, const char *name, char ret[33]);

#endif
