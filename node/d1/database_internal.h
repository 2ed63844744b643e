/* What the files of node/d1/database*.c share. For node/d1 and its tests only.
 *
 *   database.c         opening, a request from its begin to its end
 *   database_policy.c  what a user may say: authorizer, limits; the functions that draw chance
 *   database_error.c   D1's words for SQLite's errors
 *   database_cache.c   statements that were prepared before
 *   database_rows.c    rows and answers as JSON
 *   dump.c             a database as SQL
 *   dump_request.c     ... that is asked for in SQL */
#ifndef PS_NODE_D1_DATABASE_INTERNAL_H
#define PS_NODE_D1_DATABASE_INTERNAL_H

#include "node/d1/database.h"

#include <sqlite3.h>

/** The two counters that node/d1/sqlite/count-rows adds to a statement. */
enum { PS_STATUS_ROWS_READ = 9, PS_STATUS_ROWS_WRITTEN = 10 };

struct ps_d1_database {
    struct ps_pages *pages;
    struct sqlite3 *db;       /* of pages */
    bool writes;              /* it is home's */
    bool trusted;             /* the statement that is prepared is ours */
    bool transaction_refused; /* the user's last statement was BEGIN or the like */
    bool only_rows;           /* the statement that is prepared reads and writes rows, no more */

    const struct ps_d1_call *call; /* while a request runs */
    uint64_t drawn;                /* random words in this call */
    bool expired;

    struct ps_d1_kept *kept; /* statements, the least lately used first */
    uint32_t kept_schema;    /* the schema cookie that they belong to */
    bool keeps;              /* in a transaction, and the schema is that one */

    /* Ours, prepared once. */
    struct sqlite3_stmt *begin;
    struct sqlite3_stmt *commit;
    struct sqlite3_stmt *rollback;
    struct sqlite3_stmt *page_count;
    struct sqlite3_stmt *free_count;
};

/* database.c */

/** Take what the call brings; give it back, and roll back what is open. Everything that runs SQL
 *  stands between the two. */
void ps_d1_call_begin(struct ps_d1_database *database, const struct ps_d1_call *call);
void ps_d1_call_end(struct ps_d1_database *database);
/** Run one of the connection's own statements to its end; gives SQLite's code. */
int ps_d1_run_own(struct ps_d1_database *database, struct sqlite3_stmt *statement);
/** The connection's last error as an answer. */
void ps_d1_fail_sqlite(struct ps_d1_database *database, struct ps_d1_answer *answer);

/* dump_request.c */

/** Is the request a binding's for a dump (PS_D1_EXPORT_PRAGMA)? */
bool ps_d1_asks_for_dump(const struct ps_d1_request *request);
/** Answer it, as ps_d1_database_run does others. */
void ps_d1_run_dump(struct ps_d1_database *database, const struct ps_d1_request *request,
                    const struct ps_d1_call *call, struct ps_d1_answer *ret);

/* database_policy.c */

/** Put the policy on a fresh connection. Errors: PS_IO. */
PS_MUST_CHECK enum ps_status ps_d1_policy_set(struct ps_d1_database *database);

/* database_cache.c */

/** A statement to run once. */
struct ps_d1_prepared {
    struct sqlite3_stmt *statement; /* NULL: the text holds comments alone */
    size_t used;                    /* bytes of the text that it took */
    struct ps_d1_kept *kept;        /* whose it is; NULL: nobody's */
};

/** Prepare the first statement of a text, or take what was prepared before, with its counters at
 *  zero. The caller gives it back, whatever becomes of it. Gives SQLite's code. */
int ps_d1_prepare(struct ps_d1_database *database, struct ps_slice text,
                  struct ps_d1_prepared *ret);
void ps_d1_give_back(struct ps_d1_database *database, struct ps_d1_prepared *prepared);
/** Within a transaction that has read something: from here on statements are kept, and those of
 *  another schema are not. Until _end. */
void ps_d1_cache_begin(struct ps_d1_database *database);
void ps_d1_cache_end(struct ps_d1_database *database);
void ps_d1_cache_clear(struct ps_d1_database *database);
size_t ps_d1_cache_count(const struct ps_d1_database *database);

/* database_error.c */

/** Append D1's text for the connection's last error. */
void ps_d1_put_error(struct ps_buf *buf, const struct ps_d1_database *database);

/* database_rows.c */

/** Rows as they come, in a request's format. */
struct ps_d1_rows {
    struct ps_buf *out;
    enum ps_d1_format format;
    bool any;
};

void ps_d1_rows_begin(struct ps_d1_rows *rows, struct sqlite3_stmt *statement);
void ps_d1_rows_add(struct ps_d1_rows *rows, struct sqlite3_stmt *statement);
void ps_d1_rows_end(struct ps_d1_rows *rows);

/** Append a number as JavaScript writes it in JSON: the shortest digits that read back as the same
 *  number; null for infinities and what is no number. */
void ps_d1_put_number(struct ps_buf *buf, double number);

#endif
