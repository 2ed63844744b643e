/* One R2 operation as a request to its bucket: the virtual world carries it out, verify holds what
 * came of it against the log. */
#ifndef PS_SIM_MEASURE_R2_CALL_H
#define PS_SIM_MEASURE_R2_CALL_H

#include "node/http/api_r2.h"
#include "sim/measure/public_cache.h"
#include "sim/measure/store_log.h"

/** What an operation asks: `request` is the binding's JSON, empty: `key` says all. Returns false
 * and fills *err when it is refused for what it asks; the value of a put is not looked at. *ret
 * needs ps_api_r2_call_fini in either case, and borrows both slices. */
bool ps_r2_call_make(enum ps_op_kind kind, struct ps_slice key, struct ps_slice request,
                     struct ps_api_r2_call *ret, struct ps_r2_error *err);

/** The same of an operation of a history, or of one of its foreign records (a put). */
bool ps_r2_call_of(const struct ps_history *history, enum ps_op_kind kind, uint32_t key,
                   uint32_t request, struct ps_api_r2_call *ret, struct ps_r2_error *err);

/** What a fetch that found this version at `as_of_ns` leaves in a public cache (version NULL: the
 * key has none). *ret_there: is it an object? */
struct ps_r2_cache_stay ps_r2_stay_of(const struct ps_history *history, uint16_t store,
                                      uint32_t key, const struct ps_log_record *version,
                                      ps_time_ns as_of_ns, bool *ret_there);
/** Tell a cache of all purges of a log. */
void ps_r2_tell_purges(const struct ps_history *history, const struct ps_store_log *log,
                       struct ps_public_cache *cache);
enum ps_r2_cache_kinds ps_r2_kinds_of(const struct ps_store *store);

/** The digest of what a list gave. */
uint64_t ps_r2_page_digest(const struct ps_r2_page *page);

#endif
