/* Public buckets over HTTP: the address of an object, its answer as a cache at the edge gives it
 * (RFC 9110, RFC 9111), and purge_cache of the v4 API. Pure. */
#ifndef PS_NODE_HTTP_API_PUBLIC_H
#define PS_NODE_HTTP_API_PUBLIC_H

#include "node/http/api.h"
#include "node/r2/cache.h"

/** Begin of a public address; what follows is a bucket's name (as S3's clients say it, its
 *  title, the store's name or its id),
 *  "/", and the object's key, percent-encoded. Miniflare has the same. */
#define PS_API_PUBLIC_PATH "/cdn-cgi/local/r2/public/"

enum { PS_API_PURGE_MAX = 100 /* addresses of one purge_cache */ };

/** What a read of the public cache came to. Borrowed for the call. */
struct ps_api_public {
    enum ps_status status;             /* of popsim; else PS_OK */
    const struct ps_r2_object *object; /* NULL: there is none */
    struct ps_r2_public_answer answer;
    enum ps_r2_cache_state state;
    bool cached; /* then age_s is told */
    uint64_t age_s;
    ps_time_ns dropped_ns; /* the cache's entry had to be dropped first */
    struct ps_kv_staleness staleness;
};

/** The client's conditions: the If-* headers, Range and If-Range, of a whole request. */
struct ps_r2_public_answer ps_api_public_decide(const struct ps_http_request *request,
                                                const struct ps_r2_object *object);

/** Fill the head, and the body where that is a page for a person. The bytes that answer.span says
 *  are the caller's to append, or to announce (tail_size). */
void ps_api_answer_public(const struct ps_api_config *config, const struct ps_api_public *result,
                          struct ps_http_response *response);

/** What became of a purge_cache. */
void ps_api_answer_purge(const struct ps_api_call *call, enum ps_status status,
                         struct ps_http_response *response);

#endif
