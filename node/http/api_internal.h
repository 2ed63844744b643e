/* What the files of node/http/api*.c share. Parsing: only within ps_api_parse. */
#ifndef PS_NODE_HTTP_API_INTERNAL_H
#define PS_NODE_HTTP_API_INTERNAL_H

#include "node/http/api.h"
#include "node/r2/error.h"

struct ps_api_parser {
    const struct ps_api_config *config;
    const struct ps_http_request *request;
    int64_t now_unix_s;
    struct ps_api_call *call;
    struct ps_http_response *response;
    bool hook; /* through miniflare's remote-binding hook: headers have a prefix */
};

/** Answer with an error; REST messages say which operation failed ("put: '...'"). */
void ps_api_fail(struct ps_api_parser *parser, int http_status, int api_code, const char *phrase);
/** Hold a request against the limits; fails the call when it may not go on. */
void ps_api_check(struct ps_api_parser *parser, struct ps_kv_request *request);
/** A whole number; what is none becomes 0, which every limit refuses with its own words. */
int64_t ps_api_number(struct ps_slice text);
/** Is it one JSON value of any kind? */
bool ps_api_is_json(struct ps_slice text);

/** The raw value of a query parameter; false if it is not given. */
bool ps_api_query(const struct ps_api_call *call, const char *name, struct ps_slice *ret);
/** Decode a path's or (plus: '+' is a space) query's part; *ret lives as long as the call. False:
 *  its escapes are wrong. */
bool ps_api_decode(struct ps_api_call *call, struct ps_slice from, bool plus, struct ps_slice *ret);
/** A header's value (lower-case name), also through the hook; empty if it is not given. */
struct ps_slice ps_api_header(const struct ps_api_parser *parser, const char *name);

/** Does the head have a header of the R2 binding, and that of its writes? */
bool ps_api_is_r2_binding(const struct ps_http_request *head);
bool ps_api_is_r2_write(const struct ps_http_request *head);
/** A call of a bucket's binding; call->ns is set. */
void ps_api_parse_r2_binding(struct ps_api_parser *parser);
/** Answer with an error in that binding's way. */
void ps_api_fail_r2(struct ps_api_parser *parser, enum ps_r2_code code);
/** A call of a D1 database's binding; call->ns is set. */
void ps_api_parse_d1_binding(struct ps_api_parser *parser);
/** Below /d1/database. */
void ps_api_parse_d1_rest(struct ps_api_parser *parser, struct ps_slice rest);

/** Below /d1/database/{id}/time_travel. */
void ps_api_parse_d1_travel(struct ps_api_parser *parser, struct ps_slice rest);
/** An instant as Time Travel's users write it: Unix seconds (or milliseconds, of 12 digits and
 *  more), or RFC 3339 with an offset, in nanoseconds since 1970. */
bool ps_api_read_instant(struct ps_slice text, int64_t *ret_unix_ns);
/** POST /d1/database; PUT and PATCH of one. */
void ps_api_parse_d1_create(struct ps_api_parser *parser);
void ps_api_parse_d1_update(struct ps_api_parser *parser);
/** Export and import of a database; false: `rest` is another route. */
bool ps_api_parse_d1_transfer(struct ps_api_parser *parser, struct ps_slice rest);

/** Below /r2/buckets. */
void ps_api_parse_r2_rest(struct ps_api_parser *parser, struct ps_slice rest);
/** Is it the path (no query) of an object in R2's REST API? */
bool ps_api_is_r2_object(struct ps_slice path);

/** Begin a REST answer: what follows is the result, and "}". */
void ps_api_answer_begin(struct ps_http_response *response);
/** An object of a public bucket. */
void ps_api_parse_public(struct ps_api_parser *parser);
/** POST /zones/{zone}/purge_cache; false: it is another route. */
bool ps_api_parse_purge(struct ps_api_parser *parser);

/** {"keys": [...], "type", "withMetadata", "cacheTtl"} */
void ps_api_parse_bulk_get(struct ps_api_parser *parser);
/** [{"key", "value", "base64", "expiration", "expiration_ttl", "metadata"}, ...] */
void ps_api_parse_bulk_put(struct ps_api_parser *parser);
/** ["key", ...] */
void ps_api_parse_bulk_delete(struct ps_api_parser *parser);

/** Put an error's words as REST tells them into *err: "<operation>: '<words>'". */
void ps_api_rest_words(const struct ps_api_call *call, struct ps_kv_error *err);

#endif
