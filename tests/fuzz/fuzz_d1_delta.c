/* Any bytes as a record of page deltas over a small database: refused, or pages whose checksum is
 * right and that come out again the same after another way over the wire. */
#include "node/d1/delta.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 3 };

/* Three pages: of ones, of twos, of threes. */
static enum ps_status former(void *context, uint32_t page, struct ps_slice *ret)
{
    static char pages[PAGES + 1][PS_PAGE_KEPT];
    static char head[PS_PAGE_HEAD_SIZE];
    (void)context;
    if (head[0] == 0) {
        struct ps_page_head made = {.page_count = PAGES};
        for (uint32_t i = 1; i <= PAGES; i++) {
            memset(pages[i], (int)i, PS_PAGE_KEPT);
            made.checksum ^= ps_page_hash(i, pages[i]);
        }
        ps_page_head_write(head, &made);
    }
    if (page == 0) {
        *ret = (struct ps_slice){head, sizeof head};
    } else if (page <= PAGES) {
        *ret = (struct ps_slice){pages[page], PS_PAGE_KEPT};
    }
    return page <= PAGES ? PS_OK : PS_NOT_FOUND;
}

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_again(const struct ps_record *whole)
{
    struct ps_page_record wire = {0};
    struct ps_page_record again = {0};
    require(ps_page_record_encode(whole, former, NULL, &wire) == PS_OK);
    require(ps_page_record_apply(&wire.record, former, NULL, &again) == PS_OK);
    require(again.record.entry_count == whole->entry_count);
    for (size_t i = 0; i < whole->entry_count; i++) {
        require(ps_slice_eq(again.record.entries[i].value, whole->entries[i].value));
    }
    ps_page_record_fini(&wire);
    ps_page_record_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_record record;
    if (ps_record_decode((struct ps_slice){(const char *)data, size}, &record) != PS_OK) {
        return 0;
    }
    struct ps_page_record whole = {0};
    enum ps_status status = ps_page_record_apply(&record, former, NULL, &whole);
    if (status == PS_OK) {
        check_again(&whole.record);
    } else {
        require(whole.record.entries == NULL && whole.bytes.data == NULL);
    }
    ps_page_record_fini(&whole);
    ps_record_fini(&record);
    return 0;
}
