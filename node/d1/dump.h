/* A database as SQL, in the form that `wrangler d1 export` gives: a statement a line, in an order
 * in which they can be run in one transaction into an empty database. That gives the same tables,
 * rows, indexes, views, triggers and sequences; values keep their types and bits.
 *
 *     PRAGMA defer_foreign_keys=TRUE;
 *     tables, each with its rows (before these, what it refers to)
 *     virtual tables, each with what it holds
 *     indexes, views, triggers
 *
 * FTS5 tables come with their rows and settings, those over another table's content are built anew;
 * R-trees with their boxes. (The real D1 refuses to export a database with virtual tables.) An FTS5
 * table without content cannot be dumped. Statistics of ANALYZE and the hidden row numbers of
 * tables without an INTEGER PRIMARY KEY: the first are kept, the second counted anew. */
#ifndef PS_NODE_D1_DUMP_H
#define PS_NODE_D1_DUMP_H

#include "node/d1/database.h"

struct ps_d1_dump {
    bool no_schema;
    bool no_data;
    const struct ps_slice *tables; /* only these tables, indexes, views and triggers; none: all */
    size_t table_count;
    /** Takes one statement, without a line end. False: it cannot; the dump ends with PS_IO. */
    bool (*line)(void *context, struct ps_slice text);
    void *context;
};

/** Dump the database as call->view sees it. `ret` is set anew, has no results, and tells how it
 *  went; on PS_D1_FAILED what was given to `line` is not whole. */
void ps_d1_database_dump(struct ps_d1_database *database, const struct ps_d1_dump *dump,
                         const struct ps_d1_call *call, struct ps_d1_answer *ret);

/** The name of SQL through which a binding asks for a dump, as miniflare's: parameters no_schema,
 *  no_data, tables. It gives the lines as one row. */
#define PS_D1_EXPORT_PRAGMA "PRAGMA miniflare_d1_export"

#endif
