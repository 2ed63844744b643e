/* Routes: what a request asks of a node, and results as answers in the dialect it came in.
 * Pure. The dialects: the protocols of workerd's KV and D1 bindings (also through miniflare's
 * remote-binding hook), and the v4 REST API. Control routes are told apart only; the node answers
 * them. */
#ifndef PS_NODE_HTTP_API_H
#define PS_NODE_HTTP_API_H

#include "node/http/http.h"
#include "node/kv/kv.h"
#include "node/r2/request.h"

enum ps_api_kind {
    PS_API_ANSWERED,    /* the response is filled already (an error) */
    PS_API_KV,          /* call->kv on namespace call->ns */
    PS_API_KV_METADATA, /* call->kv is a get; answer its metadata */
    PS_API_KV_BULK,     /* call->writes: puts or deletes */
    PS_API_NS_LIST,     /* answered by ps_api_answer_namespaces */
    PS_API_NS_GET,      /* answered by ps_api_answer_namespace */
    PS_API_NS_CREATE,   /* with call->title; answered by ps_api_answer_change, */
    PS_API_NS_RENAME,   /* as namespace call->ns with call->title */
    PS_API_NS_DELETE,   /* and namespace call->ns */
    PS_API_R2,          /* a bucket's binding: call->r2 on store call->ns (node/http/api_r2.h) */
    PS_API_D1,          /* call->body on database call->ns; answered by ps_api_answer_d1 */
    PS_API_D1_LIST,     /* ps_api_answer_databases */
    PS_API_D1_GET,      /* ps_api_answer_database */
    PS_API_D1_CREATE,   /* with call->title and d1; ps_api_answer_database, or _d1_change */
    PS_API_D1_UPDATE,   /* as database call->ns, with d1.unreplicated; the same */
    PS_API_D1_DELETE,   /* ps_api_answer_d1_change */
    PS_API_D1_EXPORT,   /* ps_api_answer_d1_transfer */
    PS_API_D1_IMPORT,   /* ps_api_answer_d1_upload, _d1_transfer */
    PS_API_FILE,        /* the export or import file call->title, GET or PUT */
    PS_API_PUBLIC,      /* object call->title of bucket call->ns, by its cache; api_public.h */
    PS_API_PURGE,       /* call->purges; the same */
    /* R2's REST API; answers: api_r2_rest.h */
    PS_API_BUCKETS,       /* list them, as call->bucket says; ps_api_answer_buckets */
    PS_API_BUCKET_GET,    /* bucket call->ns; ps_api_answer_bucket */
    PS_API_BUCKET_CREATE, /* with call->title and bucket; ps_api_answer_bucket, or _bucket_change */
    PS_API_BUCKET_UPDATE, /* bucket call->ns, with bucket.infrequent; the same */
    PS_API_BUCKET_DELETE, /* if it is empty; ps_api_answer_bucket_change */
    PS_API_BUCKET_UNKNOWN, /* no such bucket is known; the response is filled */
    PS_API_OBJECT,         /* call->bucket.request on bucket call->ns; a PUT's body is streamed */
    PS_API_CONTROL,        /* /popsim/..., path and query in call */
    PS_API_HEALTHZ,
    PS_API_METRICS
};

enum ps_api_dialect { PS_API_BINDING, PS_API_REST };

/** A store as routes see it: a KV namespace, a bucket or a D1 database. Text is NUL-terminated,
 * borrowed. */
struct ps_api_namespace {
    const char *name; /* the store's: what popsim-store and MF-Binding say, if not title or id */
    const char *title;
    const char *id; /* 32 hex digits */
    int64_t created_unix_s;
    bool is_kv;
    bool is_d1;
    bool is_r2;
    bool unreplicated;  /* D1: no replica serves it */
    bool infrequent;    /* R2: what is put without a storage class is InfrequentAccess */
    const char *region; /* R2: home's ("weur") */
};

/** A value with more bytes is not copied into the answer to a get of one key: response->tail_size
 * says so, and the caller sends it behind the head. */
enum { PS_API_INLINE_MAX = 256 << 10 };

/** What routes are parsed against; borrowed. Control and REST calls must carry the token; where
 * other machines can ask, bindings' calls and /metrics must, too. */
struct ps_api_config {
    const struct ps_api_namespace *namespaces;
    size_t namespace_count;
    const char *token; /* a bearer token; NULL or empty = none needed */
    const char *pop;   /* for the popsim-pop header */
    bool token_for_all;
};

enum ps_api_import { PS_API_IMPORT_INIT, PS_API_IMPORT_INGEST, PS_API_IMPORT_POLL };

/** What D1's administrative routes are given. */
struct ps_api_d1_admin {
    char region[8];            /* create: "weur"; empty = none */
    bool unreplicated;         /* create, update */
    struct ps_slice bookmark;  /* export, import's poll: current_bookmark; empty = none */
    struct ps_buf dump;        /* export: members of a JSON object, no_schema, no_data, tables */
    enum ps_api_import action; /* import, as all that follows */
    struct ps_slice etag;      /* init, ingest: an MD5, in hexadecimal */
    struct ps_slice filename;  /* ingest */
};

/** A call of a bucket's binding: where its JSON is. */
struct ps_api_r2_binding {
    bool writes;          /* the first json_size bytes of the body, which is streamed, are it */
    struct ps_slice json; /* reads: this is it */
    size_t json_size;
};

/** One key whose cached public answers are to end; empty: all of the bucket. */
struct ps_api_purge {
    size_t ns;
    struct ps_slice key;
};

/** What R2's REST routes are given. */
struct ps_api_bucket_call {
    char region[8];           /* create: "weur"; empty = none */
    bool infrequent;          /* create, update: the default storage class */
    struct ps_slice contains; /* list: only names with this in them; per_page and descending, too */
    struct ps_slice after;    /* list: only names behind this */
    struct ps_r2_request request; /* GET, HEAD, PUT (but for its body), DELETE, LIST */
    struct ps_slice key;          /* what request.keys points to */
};

/** One parsed request. Zero it first. Slices borrow from the request and from the call. */
struct ps_api_call {
    enum ps_api_kind kind;
    enum ps_api_dialect dialect;
    enum ps_http_method method;
    struct ps_slice path; /* raw */
    struct ps_slice query;
    struct ps_slice body;
    size_t ns; /* index into namespaces */
    struct ps_kv_request kv;
    struct ps_kv_request *writes; /* KV_BULK; owned */
    size_t write_count;
    struct ps_token token; /* popsim-token, zero if not given */
    bool bulk_json;        /* bulk get: values are parsed JSON */
    bool with_metadata;    /* bulk get */
    const char *operation; /* what REST errors begin with: "put"; NULL = nothing */
    size_t page;           /* NS_LIST, from 1 */
    size_t per_page;
    bool order_by_id;
    bool descending;
    struct ps_slice title; /* NS_CREATE, NS_RENAME, ...; D1_LIST: only of that name, if not empty */
    unsigned d1_flags;     /* enum ps_query_flag */
    struct ps_api_d1_admin d1;
    struct ps_api_r2_binding r2;
    struct ps_slice session;     /* D1: the session's constraint or bookmark; empty = none */
    struct ps_api_purge *purges; /* PURGE; owned */
    size_t purge_count;
    struct ps_api_bucket_call bucket;
    /* its own */
    struct ps_slice *keys;
    struct ps_buf text;
    void *json;
};

/** One key's part of a result. Slices are borrowed for the call. */
struct ps_api_item {
    struct ps_slice key;
    bool found;
    struct ps_version version;        /* reads and lists, when found */
    struct ps_kv_staleness staleness; /* reads and writes */
    enum ps_status status;            /* writes */
};

/** The result of PS_API_KV, PS_API_KV_METADATA or PS_API_KV_BULK. */
struct ps_api_result {
    enum ps_status status; /* of the whole */
    const struct ps_api_item *items;
    size_t item_count;
    struct ps_kv_staleness staleness; /* of the only key, or of the whole */
    bool list_complete;
    struct ps_slice last_name; /* of a list that is not complete: the next page begins behind it */
};

/** The largest file of an import, in bytes (D1's limit). */
#define PS_API_IMPORT_SIZE_MAX ((uint64_t)5 << 30)

/** Begin of the paths of export's and import's files; what follows is their key. */
#define PS_API_FILES "/popsim/files/"

/** The largest blob: an object's or a part's body, in bytes (R2's limit). */
#define PS_API_BLOB_SIZE_MAX ((uint64_t)5 << 30)

/** How the body behind this head is taken: in one piece and how large, or as it comes. */
struct ps_http_intake ps_api_intake(const struct ps_http_request *head);

/** Find out what a whole request asks for. now_unix_s: for the limits (ps_kv_check); puts get
 *  kv.expiration_s, has_expiration set from whichever was given. The request must live as long as
 * the call. After PS_API_ANSWERED the response is complete. */
void ps_api_parse(const struct ps_api_config *config, const struct ps_http_request *request,
                  int64_t now_unix_s, struct ps_api_call *ret, struct ps_http_response *response);
void ps_api_call_fini(struct ps_api_call *call);

/** Fill the response from a result, or from the error that it tells. */
void ps_api_answer(const struct ps_api_config *config, const struct ps_api_call *call,
                   const struct ps_api_result *result, struct ps_http_response *response);

/** Answers of the namespace routes. */
void ps_api_answer_namespaces(const struct ps_api_config *config, const struct ps_api_call *call,
                              struct ps_http_response *response);
void ps_api_answer_namespace(const struct ps_api_namespace *ns, struct ps_http_response *response);
/** The answer of a change of the namespaces that went so; `id` is that of the namespace. PS_EXISTS:
 * another one has the title; PS_NOT_FOUND: it is not there (any more); PS_LIMIT: there are too
 * many. */
void ps_api_answer_change(const struct ps_api_call *call, enum ps_status status, const char *id,
                          struct ps_http_response *response);

/** What the PoP tells of a read, as headers. */
void ps_api_put_staleness(const struct ps_api_config *config, const struct ps_kv_staleness *told,
                          struct ps_http_response *response);

/** The result of PS_API_D1. Borrowed for the call. */
struct ps_api_d1_result {
    enum ps_status status; /* PS_OK: it was run */
    bool failed;
    struct ps_slice text; /* the results as JSON, or why it failed */
    struct ps_kv_staleness staleness;
    const char *bookmark; /* empty = none */
};

void ps_api_answer_d1(const struct ps_api_config *config, const struct ps_api_call *call,
                      const struct ps_api_d1_result *result, struct ps_http_response *response);
void ps_api_answer_databases(const struct ps_api_config *config, const struct ps_api_call *call,
                             struct ps_http_response *response);
/** `region` is home's ("WEUR"). */
void ps_api_answer_database(const struct ps_api_config *config, const struct ps_api_call *call,
                            const char *region, uint64_t file_size,
                            struct ps_http_response *response);
/** What became of a database's creation, change or deletion; PS_OK: of a deletion. */
void ps_api_answer_d1_change(const struct ps_api_call *call, enum ps_status status,
                             struct ps_http_response *response);

enum ps_api_transfer_state {
    PS_API_TRANSFER_ACTIVE,
    PS_API_TRANSFER_COMPLETE,
    PS_API_TRANSFER_FAILED
};

/** How an export or import stands. Borrowed for the call. */
struct ps_api_transfer {
    bool import;
    enum ps_api_transfer_state state;
    const char *bookmark; /* what the next question names it by */
    const char *message;  /* for a person; NULL = none */
    struct ps_slice text; /* complete: members of the result, as JSON; failed: why */
};

void ps_api_answer_d1_transfer(const struct ps_api_transfer *transfer,
                               struct ps_http_response *response);
/** Where the file of an import is to be put. */
void ps_api_answer_d1_upload(const char *url, const char *filename,
                             struct ps_http_response *response);
/** A failure with D1's code for all that has none of its own. */
void ps_api_answer_d1_failed(int http_status, const char *words, struct ps_http_response *response);
/** An error in the call's dialect: the binding's reason phrase, or the REST API's envelope. */
void ps_api_answer_error(enum ps_api_dialect dialect, const struct ps_kv_error *error,
                         struct ps_http_response *response);

#endif
