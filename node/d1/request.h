/* A request to D1: its statements and their parameters, and the JSON that carries them. Pure.
 *
 * The binding sends {"sql","params"} or an array of such; the REST API the same single form, or
 * {"batch":[...]}. Parameters follow D1's types: every number is a REAL, true and false are 1 and
 * 0, an array of bytes is a BLOB. */
#ifndef PS_NODE_D1_REQUEST_H
#define PS_NODE_D1_REQUEST_H

#include "replication/base/slice.h"

enum {
    PS_D1_BODY_SIZE_MAX = 100 << 20, /* bytes of a request's JSON */
    PS_D1_STATEMENTS_MAX = 10000,    /* statements of a batch */
    PS_D1_PARAMS_MAX = 1000,         /* of a statement, before SQLite is asked */
    PS_D1_RETRIES_MAX = 2            /* of what only reads, after an error that may pass */
};

enum ps_d1_kind { PS_D1_NULL, PS_D1_NUMBER, PS_D1_TEXT, PS_D1_BLOB };

struct ps_d1_value {
    enum ps_d1_kind kind;
    double number;
    struct ps_slice bytes; /* of a text or a BLOB */
};

struct ps_d1_statement {
    struct ps_slice sql; /* may hold several statements, of which the last has the parameters */
    struct ps_d1_value *params;
    size_t param_count;
};

enum ps_d1_format {
    PS_D1_ARRAY_OF_OBJECTS, /* also what NONE gives */
    PS_D1_ROWS_AND_COLUMNS
};

struct ps_d1_request {
    struct ps_d1_statement *statements;
    size_t count;
    enum ps_d1_format format;
    bool each; /* a text of several statements gives one result each (REST), not the last's only */
    bool script; /* the statements' texts are files of SQL: of any size, run for what they do, one
                    result each */
    bool array;  /* it came as an array, or as a batch */
    void *owner; /* what ps_d1_request_read took; NULL for a request made by hand */
};

/** The format of a query string's value ("ROWS_AND_COLUMNS", "NONE", ...); unknown ones and none
 *  are ARRAY_OF_OBJECTS. */
enum ps_d1_format ps_d1_format_of(struct ps_slice name);

/** Read a body. Ownership: `ret` owns its values, ps_d1_request_fini releases them.
 *  Errors: PS_INVALID, PS_LIMIT, with a reason; *ret zeroed. */
PS_MUST_CHECK enum ps_status ps_d1_request_read(struct ps_slice body, struct ps_d1_request *ret,
                                                struct ps_error *err);
void ps_d1_request_fini(struct ps_d1_request *request);

/** Would D1 by itself ask again for what this body asks? One that cannot be read it would not. */
bool ps_d1_body_only_reads(struct ps_slice body);

#endif
