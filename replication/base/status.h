/* Status codes and the text a person reads.
 *
 * Functions return `enum ps_status` by value. Where a person will read the reason (configuration,
 * scenarios, opening a store, the command line) a trailing, nullable `struct ps_error *err` carries
 * it; on the way up callers prefix it ("open store /x/y: no space left"). Libraries return errors
 * and never print them; the program does, once. */
#ifndef PS_REPLICATION_BASE_STATUS_H
#define PS_REPLICATION_BASE_STATUS_H

#include <stddef.h>

/* name, text */
#define PS_STATUS_LIST(X)                                                                          \
    X(OK, "ok")                                                                                    \
    X(INVALID, "invalid argument")                                                                 \
    X(CORRUPT, "corrupt data")                                                                     \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "already exists")                                                                    \
    X(LIMIT, "limit exceeded")                                                                     \
    X(RATE_LIMITED, "too many requests")                                                           \
    X(GAP, "records are missing")                                                                  \
    X(TOO_OLD, "older than what is kept")                                                          \
    X(BEHIND, "not yet known here")                                                                \
    X(UNREACHABLE, "unreachable")                                                                  \
    X(TIMEOUT, "timed out")                                                                        \
    X(BUSY, "busy")                                                                                \
    X(FULL, "full")                                                                                \
    X(IO, "input/output error")                                                                    \
    X(UNSUPPORTED, "not supported")                                                                \
    X(CANCELLED, "cancelled")

enum ps_status {

#define PS_STATUS_ENUM(name, text) PS_##name,
    PS_STATUS_LIST(PS_STATUS_ENUM)
#undef PS_STATUS_ENUM
};

enum { PS_STATUS_LAST = PS_CANCELLED }; /* of the list: what comes over the wire is at most this */

#define PS_MUST_CHECK __attribute__((warn_unused_result))
#define PS_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

enum { PS_ERROR_TEXT_SIZE = 512 };

/** Why something failed, for a person. Zeroed = no error. */
struct ps_error {
    enum ps_status status;
    char text[PS_ERROR_TEXT_SIZE];
};

/** The list's text for a code; never NULL. */
const char *ps_status_text(enum ps_status status);

/** The code's name in lower case ("not_found"), as histories and JSON carry it; never NULL. */
const char *ps_status_name(enum ps_status status);

/** Set the reason (err may be NULL) and return `status`, so that a caller can `return
 * ps_fail(...)`. Text that does not fit is cut. */
enum ps_status ps_fail(struct ps_error *err, enum ps_status status, const char *format, ...)
    PS_PRINTF(3, 4);

/** Put "<text>: " before the reason already there; returns err's status (PS_OK if err is NULL). */
enum ps_status ps_error_wrap(struct ps_error *err, const char *format, ...) PS_PRINTF(2, 3);

#endif
