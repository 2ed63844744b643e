/* The cache in front of a public bucket: what an answer's stay in it is, and what it answers
 * (RFC 9111, as Cloudflare's edge applies it). Pure: object, times and request in, decision out;
 * the pins themselves are kept by whoever calls. */
#ifndef PS_NODE_R2_CACHE_H
#define PS_NODE_R2_CACHE_H

#include "node/r2/request.h"

/** What the Cache-Status headers say (CF-Cache-Status). */
enum ps_r2_cache_state {
    PS_R2_CACHE_DYNAMIC,     /* not of a kind that is cached */
    PS_R2_CACHE_BYPASS,      /* the object's Cache-Control forbids it */
    PS_R2_CACHE_MISS,        /* not here: fetched, and kept */
    PS_R2_CACHE_HIT,         /* here and fresh */
    PS_R2_CACHE_EXPIRED,     /* here but no longer fresh: fetched anew */
    PS_R2_CACHE_REVALIDATED, /* here but no longer fresh: home says it is still the one */
    PS_R2_CACHE_UPDATING,    /* here but no longer fresh: given, while home is asked */
    PS_R2_CACHE_STALE,       /* here but no longer fresh, and home cannot be asked */
    PS_R2_CACHE_STATES
};

/** "HIT", ...; never NULL. */
const char *ps_r2_cache_state_name(enum ps_r2_cache_state state);

/* stale-while-revalidate and stale-if-error are RFC 5861's, as Cloudflare has them: since 2026-02
 * the first request that finds an entry out of date no longer waits, either
 * (developers.cloudflare.com/cache/concepts/revalidation); must-revalidate, proxy-revalidate and
 * s-maxage forbid both. */

/** The directives of a Cache-Control header that count in a shared cache. Unknown ones are ignored;
 *  of one that is given twice the first counts; a number that is none is 0 (stale at once). */
struct ps_r2_cache_control {
    bool no_store;
    bool no_cache;
    bool is_private;
    bool must_revalidate; /* or proxy-revalidate: never served stale */
    bool has_max_age;
    uint64_t max_age_s;
    bool has_s_maxage;
    uint64_t s_maxage_s;
    bool has_stale_while_revalidate;
    uint64_t stale_while_revalidate_s;
    bool has_stale_if_error;
    uint64_t stale_if_error_s;
};

void ps_r2_cache_control_parse(struct ps_slice header, struct ps_r2_cache_control *ret);

/** Which keys are cached: of the edge's default list of file extensions, or all. */
enum ps_r2_cache_kinds { PS_R2_CACHE_DEFAULT_KINDS, PS_R2_CACHE_EVERYTHING };

bool ps_r2_cache_kind(struct ps_slice key, enum ps_r2_cache_kinds kinds);

/** What may be kept of an answer that was fetched. */
struct ps_r2_cache_stay {
    bool stored;        /* else `state` says why not: DYNAMIC or BYPASS */
    ps_dur_ns fresh_ns; /* for so long it is given without asking home */
    ps_dur_ns
        updating_ns; /* after that: for so long while home is asked (stale-while-revalidate) */
    ps_dur_ns on_error_ns; /* after fresh_ns: for so long when home cannot be asked */
    enum ps_r2_cache_state state;
};

/** For how long, all in all, an answer that stays so may be given. */
ps_dur_ns ps_r2_cache_life(const struct ps_r2_cache_stay *stay);

/** The stay of an answer fetched at Unix time `now_unix_ms`: of `object`, or NULL: of the 404 that
 *  says that there is none. */
struct ps_r2_cache_stay ps_r2_cache_stay_of(struct ps_slice key, const struct ps_r2_object *object,
                                            enum ps_r2_cache_kinds kinds, int64_t now_unix_ms);

/** An answer that is kept: which version, since when. */
struct ps_r2_cache_entry {
    uint64_t lsn; /* the version's; 0 = none: a 404 */
    ps_time_ns stored_ns;
    struct ps_r2_cache_stay stay;
};

enum ps_r2_cache_step {
    PS_R2_CACHE_GIVE, /* give the entry's version; if it is UPDATING, home is to be asked, too */
    PS_R2_CACHE_FETCH /* ask home: its newest version is to be given, and kept */
};

struct ps_r2_cache_decision {
    enum ps_r2_cache_step step;
    enum ps_r2_cache_state state; /* FETCH: MISS or EXPIRED, for ps_r2_cache_fetched to refine */
    uint64_t age_s;               /* GIVE: the Age header */
};

/** What is to be done at `now_ns` for a read of a key whose entry is `entry` (NULL: none), and
 * whose newest purge that is visible here was visible at `purged_ns` (PS_NEVER: none). home_away: a
 * fetch would fail. */
struct ps_r2_cache_decision ps_r2_cache_decide(const struct ps_r2_cache_entry *entry,
                                               ps_time_ns purged_ns, ps_time_ns now_ns,
                                               bool home_away);

/** The state to tell after a fetch that `decision` asked for gave version `lsn`. */
enum ps_r2_cache_state ps_r2_cache_fetched(const struct ps_r2_cache_entry *entry,
                                           const struct ps_r2_cache_decision *decision,
                                           uint64_t lsn, const struct ps_r2_cache_stay *stay);

/** What a public GET or HEAD is answered with: 200, 206, 304, 404, 412 or 416, and the part of the
 *  body. `if_range` is the If-Range header (RFC 9110, 13.1.5); empty = not given. */
struct ps_r2_public_answer {
    int http_status;
    struct ps_r2_span span;
};

struct ps_r2_public_answer ps_r2_public_answer_of(const struct ps_r2_object *object,
                                                  const struct ps_r2_if_headers *headers,
                                                  struct ps_slice range, struct ps_slice if_range);

#endif
