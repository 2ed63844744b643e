/* R2's errors: one table of what each is called in the bindings' protocol and the REST API (v4
 * code), in the S3 API (code), over HTTP (status), and the service's words for it. Pure. */
#ifndef PS_NODE_R2_ERROR_H
#define PS_NODE_R2_ERROR_H

#include "replication/base/slice.h"

#include <stdint.h>

/* name, v4 code (0: the bindings never see it), S3 code, HTTP status, message */
#define PS_R2_CODE_LIST(X)                                                                         \
    X(NONE, 0, "", 200, "")                                                                        \
    X(INTERNAL, 10001, "InternalError", 500,                                                       \
      "We encountered an internal error. Please try again.")                                       \
    X(UNAUTHORIZED, 10002, "Unauthorized", 401, "Unauthorized")                                    \
    X(ACCESS_DENIED, 10003, "AccessDenied", 403, "Access Denied")                                  \
    X(BUCKET_EXISTS, 10004, "BucketAlreadyOwnedByYou", 409,                                        \
      "The bucket you tried to create already exists, and you own it.")                            \
    X(INVALID_BUCKET_NAME, 10005, "InvalidBucketName", 400,                                        \
      "The specified bucket name is not valid.")                                                   \
    X(NO_SUCH_BUCKET, 10006, "NoSuchBucket", 404, "The specified bucket does not exist.")          \
    X(NO_SUCH_KEY, 10007, "NoSuchKey", 404, "The specified key does not exist.")                   \
    X(BUCKET_NOT_EMPTY, 10008, "BucketNotEmpty", 409,                                              \
      "The bucket you tried to delete is not empty.")                                              \
    X(TOO_MANY_BUCKETS, 10009, "TooManyBuckets", 400,                                              \
      "You have attempted to create more buckets than allowed.")                                   \
    X(ENTITY_TOO_SMALL, 10011, "EntityTooSmall", 400,                                              \
      "Your proposed upload is smaller than the minimum allowed object size.")                     \
    X(METADATA_TOO_LARGE, 10012, "MetadataTooLarge", 400,                                          \
      "Your metadata headers exceed the maximum allowed metadata size.")                           \
    X(INCOMPLETE_BODY, 10013, "IncompleteBody", 400,                                               \
      "You did not provide the number of bytes specified by the Content-Length HTTP header.")      \
    X(INVALID_DIGEST, 10014, "InvalidDigest", 400,                                                 \
      "The Content-MD5 or checksum value that you specified is not valid.")                        \
    X(EXPIRED_REQUEST, 10018, "ExpiredRequest", 403, "Request has expired")                        \
    X(INVALID_OBJECT_NAME, 10020, "InvalidObjectName", 400,                                        \
      "The specified object name is not valid.")                                                   \
    X(INVALID_MAX_KEYS, 10022, "InvalidMaxKeys", 400,                                              \
      "MaxKeys params must be positive integer <= 1000.")                                          \
    X(NO_SUCH_UPLOAD, 10024, "NoSuchUpload", 404,                                                  \
      "The specified multipart upload does not exist.")                                            \
    X(INVALID_PART, 10025, "InvalidPart", 400,                                                     \
      "One or more of the specified parts could not be found.")                                    \
    X(INVALID_ARGUMENT, 10029, "InvalidArgument", 400, "Invalid argument")                         \
    X(PRECONDITION_FAILED, 10031, "PreconditionFailed", 412,                                       \
      "At least one of the pre-conditions you specified did not hold.")                            \
    X(NOT_MODIFIED, 10032, "NotModified", 304,                                                     \
      "At least one of the pre-conditions you specified did not hold.")                            \
    X(MISSING_CONTENT_LENGTH, 10033, "MissingContentLength", 411,                                  \
      "You must provide the Content-Length HTTP header.")                                          \
    X(SIGNATURE_DOES_NOT_MATCH, 10035, "SignatureDoesNotMatch", 403,                               \
      "The request signature we calculated does not match the signature you provided. Check your " \
      "secret access key and signing method.")                                                     \
    X(BAD_DIGEST, 10037, "BadDigest", 400,                                                         \
      "The checksum you specified did not match what we received.")                                \
    X(INVALID_RANGE, 10039, "InvalidRange", 416, "The requested range is not satisfiable")         \
    X(NOT_ENTITLED, 10042, "NotEntitled", 403, "Please enable R2 through the dashboard.")          \
    X(SERVICE_UNAVAILABLE, 10043, "ServiceUnavailable", 503,                                       \
      "The service is temporarily unavailable. Please try again.")                                 \
    X(BAD_UPLOAD, 10048, "InvalidPart", 400, "All non-trailing parts must have the same length.")  \
    X(CLIENT_DISCONNECT, 10054, "ClientDisconnect", 400,                                           \
      "The client disconnected before the request was complete.")                                  \
    X(TOO_MANY_REQUESTS, 10058, "TooManyRequests", 429,                                            \
      "Reduce your concurrent request rate for the same object.")                                  \
    X(OBJECT_LOCKED, 10069, "ObjectLockedByBucketPolicy", 403,                                     \
      "The object is locked by the bucket's policy.")                                              \
    X(BUCKET_CONFLICT, 10073, "BucketConflict", 409, "The bucket already exists.")                 \
    X(ENTITY_TOO_LARGE, 100100, "EntityTooLarge", 400,                                             \
      "Your proposed upload exceeds the maximum allowed object size.")                             \
    /* popsim's own */                                                                             \
    X(DISK_FULL, 0, "InsufficientStorage", 507,                                                    \
      "The disk of the bucket's home has no room left: nothing was changed.")                      \
    /* the S3 API alone */                                                                         \
    X(INVALID_REQUEST, 0, "InvalidRequest", 400, "The request is not valid.")                      \
    X(INVALID_STORAGE_CLASS, 0, "InvalidStorageClass", 400,                                        \
      "The storage class you specified is not valid.")                                             \
    X(INVALID_PART_ORDER, 0, "InvalidPartOrder", 400,                                              \
      "The list of parts was not in ascending order.")                                             \
    X(MALFORMED_XML, 0, "MalformedXML", 400,                                                       \
      "The XML you provided was not well formed or did not validate against our published "        \
      "schema.")                                                                                   \
    X(METHOD_NOT_ALLOWED, 0, "MethodNotAllowed", 405,                                              \
      "The specified method is not allowed against this resource.")                                \
    X(NOT_IMPLEMENTED, 0, "NotImplemented", 501, "Not implemented")                                \
    X(REQUEST_TIME_TOO_SKEWED, 0, "RequestTimeTooSkewed", 403,                                     \
      "The difference between the request time and the server's time is too large.")               \
    X(ROUTE_NOT_FOUND, 0, "RouteNotFound", 404, "No route matches this url.")                      \
    X(CONTENT_SHA256_MISMATCH, 0, "XAmzContentSHA256Mismatch", 400,                                \
      "The provided 'x-amz-content-sha256' header does not match what was computed.")

enum ps_r2_code {

#define PS_R2_CODE_ENUM(name, v4, s3, http, message) PS_R2_CODE_##name,
    PS_R2_CODE_LIST(PS_R2_CODE_ENUM)
#undef PS_R2_CODE_ENUM
        PS_R2_CODES
};

enum { PS_R2_ERROR_TEXT_SIZE = 448 };

/** An error as it is told. Zeroed = none. */
struct ps_r2_error {
    enum ps_r2_code code;
    char text[PS_R2_ERROR_TEXT_SIZE]; /* instead of the table's message; empty = that one */
};

/** One line of the table. */
struct ps_r2_code_info {
    const char *s3_code;
    const char *message;
    uint32_t v4_code;
    int http_status;
};

const struct ps_r2_code_info *ps_r2_code_info(enum ps_r2_code code);

/** What is told: the error's own text, or the table's message. Borrowed from `error`. */
const char *ps_r2_error_message(const struct ps_r2_error *error);

/** Set the code (and words other than the table's) and return false, so that a check can
 *  `return ps_r2_fail(...)`. An error that is there already stays. Text that does not fit is cut.
 */
bool ps_r2_fail(struct ps_r2_error *err, enum ps_r2_code code);
bool ps_r2_fail_with(struct ps_r2_error *err, enum ps_r2_code code, const char *format, ...)
    PS_PRINTF(3, 4);

/** Was a mutation refused for what it is or what it met, so that each try of it is refused? Not
 * when popsim's own part failed, where it may have been done. */
bool ps_r2_is_refusal(enum ps_r2_code code);

/** The error that a client is told when popsim's own part failed so (PS_UNREACHABLE: home is away;
 *  PS_FULL, PS_IO, ...). PS_OK gives PS_R2_CODE_NONE. */
enum ps_r2_code ps_r2_code_of(enum ps_status status);

#endif
