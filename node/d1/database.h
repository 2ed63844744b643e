/* A D1 database as its users know it: requests of one or several statements, run on one connection
 * as one transaction, under D1's rules.
 *
 * What a user may say is what workerd lets through (its authorizer and limits, measured; see
 * tests/unit/test_d1_policy.c), with its words for what it refuses. A replica's connection runs
 * what only reads and hands the rest back, for the primary. Rows come out as the JSON that D1's
 * protocol carries; no more is known here of HTTP.
 *
 * A database belongs to one thread at a time. No clock is read and no chance is drawn but what a
 * call brings: the same requests with the same calls give the same answers. */
#ifndef PS_NODE_D1_DATABASE_H
#define PS_NODE_D1_DATABASE_H

#include "node/d1/pages.h"
#include "node/d1/request.h"

enum {
    PS_D1_VALUE_SIZE_MAX = 2000000,         /* of a string, a BLOB or a row */
    PS_D1_RESULTS_SIZE_MAX = 64 << 20,      /* JSON bytes of one answer's rows */
    PS_D1_SIZE_MAX_PAGES = 10u << (30 - 12) /* 10 GB of pages */
};

struct ps_d1_database;

/** As ps_pages_open; a page_count_max of 0 is D1's 10 GB. */
PS_MUST_CHECK enum ps_status ps_d1_database_open(const struct ps_pages_config *config,
                                                 struct ps_d1_database **ret, struct ps_error *err);
void ps_d1_database_close(struct ps_d1_database *database); /* NULL accepted */
/** The connection below; for what is read beside SQL (its LSN, its size). */
struct ps_pages *ps_d1_database_pages(struct ps_d1_database *database);

/** What a request is given of the world. */
struct ps_d1_call {
    struct ps_pages_view view;
    uint64_t seed; /* of random() and randomblob() in this request */
    /** Has the request's time (D1: 30 s) run out? Asked every few thousand steps; NULL: never. */
    bool (*expired)(void *context);
    /** A clock for `duration`; NULL: it is 0. */
    uint64_t (*now_ns)(void *context);
    void *context;
};

struct ps_d1_meta {
    uint64_t changes;
    int64_t last_row_id;
    bool changed_db;
    uint64_t size_after; /* bytes of the pages in use */
    uint64_t rows_read;
    uint64_t rows_written;
    uint64_t duration_ns;
};

/** What one statement gave. */
struct ps_d1_result {
    struct ps_buf rows; /* JSON, in the request's format */
    struct ps_d1_meta meta;
};

enum ps_d1_outcome {
    PS_D1_DONE,      /* committed; one result a statement */
    PS_D1_FAILED,    /* `error` says why; nothing has changed */
    PS_D1_TO_PRIMARY /* a replica cannot run it; nothing has changed */
};

struct ps_d1_answer {
    enum ps_d1_outcome outcome;
    struct ps_buf error;   /* D1's text, without its "D1_ERROR: " */
    enum ps_status status; /* why the map or the commit failed, when that was it; else PS_OK */
    struct ps_d1_result *results;
    size_t result_count;
    size_t statement_count; /* of a script: how many were run */
    uint64_t lsn;           /* that it read at, or that its commit made */
};

/** Run a request. `ret` is set anew; ps_d1_answer_fini releases it. */
void ps_d1_database_run(struct ps_d1_database *database, const struct ps_d1_request *request,
                        const struct ps_d1_call *call, struct ps_d1_answer *ret);
void ps_d1_answer_fini(struct ps_d1_answer *answer);

/** Does the request write, as far as it can be told before it is run? Statements that cannot be
 *  prepared do not. */
bool ps_d1_database_writes(struct ps_d1_database *database, const struct ps_d1_request *request);

/** Who served it, for `meta`. `region` NULL: only what a local D1 says (miniflare's eight keys). */
struct ps_d1_served {
    const char *by;     /* "v3-prod", "miniflare.db" */
    const char *region; /* "WEUR" */
    const char *colo;   /* "AMS" */
    bool primary;
    unsigned attempts;
};

/** Append `meta` alone. */
void ps_d1_meta_write(struct ps_buf *buf, const struct ps_d1_meta *meta,
                      const struct ps_d1_served *served);
/** Append D1's JSON for the answer: one object for a failure; for a success an array of
 *  {"success":true,"results":...,"meta":{...}}, or, where `array` is false, the one object. */
void ps_d1_answer_write(struct ps_buf *buf, const struct ps_d1_answer *answer, bool array,
                        const struct ps_d1_served *served);

#endif
