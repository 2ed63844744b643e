/* Bookmarks: an LSN in D1's form. Pure.
 *
 *     00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683
 *
 * Four numbers in lower-case hexadecimal of fixed width, so that bytes, and JavaScript's
 * localeCompare, sort them from oldest to newest. D1 does not publish what they mean; of real ones
 * the third is the day since 1970 and the second counts within the first. Here the first is the
 * database's epoch (one more after each Time Travel restore, so that what is written then sorts
 * behind all there was) above the LSN's high bits, the second the LSN's low bits, the fourth tells
 * databases and histories apart. */
#ifndef PS_NODE_D1_BOOKMARK_H
#define PS_NODE_D1_BOOKMARK_H

#include "replication/base/slice.h"

enum { PS_BOOKMARK_SIZE = 8 + 1 + 8 + 1 + 8 + 1 + 32, PS_BOOKMARK_HASH_SIZE = 16 };

enum { PS_BOOKMARK_EPOCH_MAX = (1 << 20) - 1 };

/** Of a database that was never restored; one more for each time (struct ps_page_head). */
enum { PS_BOOKMARK_EPOCH_FIRST = 1 };

#define PS_BOOKMARK_LSN_MAX ((UINT64_C(1) << 44) - 1)

struct ps_bookmark {
    uint32_t epoch;
    uint64_t lsn; /* PS_BOOKMARK_LSN_MAX: the end of its epoch, whatever comes in it */
    uint32_t day; /* of the record's commit, since 1970-01-01 */
    uint8_t hash[PS_BOOKMARK_HASH_SIZE];
};

/** Write PS_BOOKMARK_SIZE bytes. Epoch and LSN within their limits. */
void ps_bookmark_write(char out[PS_BOOKMARK_SIZE], const struct ps_bookmark *bookmark);
/** Strict. Errors: PS_INVALID. */
PS_MUST_CHECK enum ps_status ps_bookmark_read(struct ps_slice text, struct ps_bookmark *ret);
/** Older < 0, newer > 0: the order of their texts. Total. */
int ps_bookmark_cmp(const struct ps_bookmark *a, const struct ps_bookmark *b);

#endif
