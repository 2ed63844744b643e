/* Export and import of a D1 database, home's part: on the database's thread, between the database
 * and a file in the folder of the PoP that was asked. All PoPs share the cluster's folder, so that
 * a file of gigabytes goes through no message.
 *
 * A job's body is JSON: {"pop", "file"}, for an export also no_schema, no_data and tables. */
#ifndef PS_NODE_IO_D1_FILES_H
#define PS_NODE_IO_D1_FILES_H

#include "node/d1/database.h"
#include "node/io/d1/d1_thread.h"

enum {
    PS_D1_FILES_S = 600,       /* one export or import, on the wall */
    PS_D1_FILES_KEY_SIZE = 32, /* hexadecimal digits of a file's name */
    PS_D1_FILES_PATH_SIZE = 4224
};

static inline bool ps_d1_files_is(const struct ps_d1_job *job)
{
    return (job->flags & (PS_QUERY_EXPORT | PS_QUERY_IMPORT)) != 0;
}

/** Where a PoP keeps the file of that key; `key` NULL: its folder of files. */
void ps_d1_files_path(const struct ps_node *node, uint16_t pop, const char *key,
                      char ret[PS_D1_FILES_PATH_SIZE]);

/** Run the job. `ret` is the answer as of a request, without results; for an import that was done
 *  `text` gets {"num_queries", "meta"} without the braces, `served` being who did it. */
void ps_d1_files_run(const struct ps_node *node, struct ps_d1_database *database,
                     const struct ps_d1_job *job, const struct ps_d1_call *call,
                     const struct ps_d1_served *served, struct ps_buf *text,
                     struct ps_d1_answer *ret);

#endif
