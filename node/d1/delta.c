#include "node/d1/delta.h"

#include "node/map/patch.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* A page's value on the wire: from u8, what it is made from; then a patch (node/map/patch.h). */
enum from {
    FROM_ZEROS = 0, /* a page that there was not */
    FROM_FORMER = 1 /* the page's version before this record */
};

static const char ZEROS[PS_PAGE_KEPT];

/* --- what both ways have in common --- */

/* Keys ascend from the head's; pages within the new size are set, those behind it removed. */
static enum ps_status check_entry(const struct ps_entry *entry, size_t i, uint32_t *last,
                                  const struct ps_page_head *head)
{
    uint32_t page;
    if (!ps_page_key_read(entry->key, &page) || (i == 0) != (page == 0) ||
        (i > 0 && page <= *last) || entry->metadata.size != 0 || entry->expires_unix_s != 0) {
        return PS_CORRUPT;
    }
    if (i > 0 && entry->deleted != (page > head->page_count)) {
        return PS_CORRUPT;
    }
    *last = page;
    return PS_OK;
}

static enum ps_status check_record(const struct ps_record *record, struct ps_page_head *ret_head)
{
    if (record->entry_count == 0 || record->entry_count > PS_ENTRIES_MAX ||
        record->entries[0].deleted) {
        return PS_CORRUPT;
    }
    enum ps_status status = ps_page_head_read(record->entries[0].value, ret_head);
    uint32_t last = 0;
    for (size_t i = 0; status == PS_OK && i < record->entry_count; i++) {
        status = check_entry(&record->entries[i], i, &last, ret_head);
    }
    return status;
}

static uint32_t page_of(const struct ps_entry *entry)
{
    uint32_t page = 0;
    PS_ASSERT(ps_page_key_read(entry->key, &page));
    return page;
}

/* `ret` becomes the record with values to come: each is bytes from an offset on, since the buffer
 * moves while it grows. */
static void start(const struct ps_record *record, struct ps_page_record *ret)
{
    ps_page_record_fini(ret);
    ret->record = *record;
    ret->record.entries = PS_NEW_ARRAY(struct ps_entry, record->entry_count);
    for (size_t i = 0; i < record->entry_count; i++) {
        ret->record.entries[i] = (struct ps_entry){
            .key = record->entries[i].key,
            .deleted = record->entries[i].deleted,
        };
    }
}

static void finish(struct ps_page_record *ret)
{
    size_t offset = 0;
    for (size_t i = 0; i < ret->record.entry_count; i++) {
        struct ps_entry *entry = &ret->record.entries[i];
        if (!entry->deleted) {
            entry->value.data = ret->bytes.data + offset;
            offset += entry->value.size;
        }
    }
    PS_ASSERT(offset == ret->bytes.size);
}

/* A page as it was; NULL in *ret if it was not. */
static enum ps_status former_page(ps_page_former_fn former, void *context, uint32_t page,
                                  const char **ret)
{
    struct ps_slice bytes;
    *ret = NULL;
    enum ps_status status = former(context, page, &bytes);
    if (status == PS_NOT_FOUND) {
        return PS_OK;
    }
    if (status == PS_OK && bytes.size != PS_PAGE_KEPT) {
        return PS_CORRUPT;
    }
    *ret = status == PS_OK ? bytes.data : NULL;
    return status;
}

void ps_page_record_fini(struct ps_page_record *record)
{
    free(record->record.entries);
    ps_buf_fini(&record->bytes);
    *record = (struct ps_page_record){0};
}

/* --- to the wire --- */

static void put_page(struct ps_buf *buf, const char *page, const char *former)
{
    ps_buf_append_char(buf, (char)(former == NULL ? FROM_ZEROS : FROM_FORMER));
    ps_patch_put(buf, page, former == NULL ? ZEROS : former, PS_PAGE_KEPT);
}

enum ps_status ps_page_record_encode(const struct ps_record *record, ps_page_former_fn former,
                                     void *context, struct ps_page_record *ret)
{
    struct ps_page_head head;
    enum ps_status status = check_record(record, &head);
    if (status != PS_OK) {
        return status;
    }
    start(record, ret);
    for (size_t i = 0; status == PS_OK && i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        size_t before = ret->bytes.size;
        if (i == 0) {
            ps_buf_append_slice(&ret->bytes, entry->value);
        } else if (!entry->deleted) {
            const char *was;
            status = entry->value.size == PS_PAGE_KEPT
                         ? former_page(former, context, page_of(entry), &was)
                         : PS_CORRUPT;
            if (status == PS_OK) {
                put_page(&ret->bytes, entry->value.data, was);
            }
        }
        ret->record.entries[i].value.size = ret->bytes.size - before;
    }
    if (status != PS_OK) {
        ps_page_record_fini(ret);
        return status;
    }
    finish(ret);
    return PS_OK;
}

/* --- from the wire --- */

static enum ps_status get_page(struct ps_slice value, const char *former, char *out)
{
    if (value.size == 0) {
        return PS_CORRUPT;
    }
    unsigned char from = (unsigned char)value.data[0];
    if (from > FROM_FORMER) {
        return PS_UNSUPPORTED;
    }
    if (from == FROM_FORMER && former == NULL) {
        return PS_GAP;
    }
    const struct ps_slice patch = {value.data + 1, value.size - 1};
    return ps_patch_apply(patch, from == FROM_FORMER ? former : ZEROS, out, PS_PAGE_KEPT);
}

static enum ps_status former_head(ps_page_former_fn former, void *context, struct ps_page_head *ret)
{
    struct ps_slice bytes;
    *ret = (struct ps_page_head){0};
    enum ps_status status = former(context, 0, &bytes);
    if (status == PS_NOT_FOUND) {
        return PS_OK;
    }
    return status == PS_OK ? ps_page_head_read(bytes, ret) : status;
}

/* One entry; *checksum moves from the page's former state to its new one. */
static enum ps_status apply_entry(const struct ps_entry *entry, ps_page_former_fn former,
                                  void *context, struct ps_page_record *ret, uint64_t *checksum)
{
    uint32_t page = page_of(entry);
    const char *was;
    enum ps_status status = former_page(former, context, page, &was);
    if (status != PS_OK) {
        return status;
    }
    if (was != NULL) {
        *checksum ^= ps_page_hash(page, was);
    }
    if (entry->deleted) {
        return PS_OK;
    }
    ps_buf_reserve(&ret->bytes, PS_PAGE_KEPT);
    char *out = ret->bytes.data + ret->bytes.size;
    status = get_page(entry->value, was, out);
    if (status == PS_OK) {
        *checksum ^= ps_page_hash(page, out);
        ret->bytes.size += PS_PAGE_KEPT;
    }
    return status;
}

enum ps_status ps_page_record_apply(const struct ps_record *wire, ps_page_former_fn former,
                                    void *context, struct ps_page_record *ret)
{
    struct ps_page_head head;
    enum ps_status status = check_record(wire, &head);
    if (status == PS_OK && wire->entry_count > PS_PAGES_PER_RECORD_MAX + 1) {
        /* Removed pages have no bytes, so there may be more of them. */
        size_t whole = 0;
        for (size_t i = 1; i < wire->entry_count; i++) {
            whole += wire->entries[i].deleted ? 0 : 1;
        }
        status = whole > PS_PAGES_PER_RECORD_MAX ? PS_CORRUPT : PS_OK;
    }
    struct ps_page_head was = {0};
    status = status != PS_OK ? status : former_head(former, context, &was);
    if (status != PS_OK) {
        return status;
    }
    start(wire, ret);
    ps_buf_append_slice(&ret->bytes, wire->entries[0].value);
    ret->record.entries[0].value.size = wire->entries[0].value.size;
    uint64_t checksum = was.checksum;
    for (size_t i = 1; status == PS_OK && i < wire->entry_count; i++) {
        status = apply_entry(&wire->entries[i], former, context, ret, &checksum);
        ret->record.entries[i].value.size = wire->entries[i].deleted ? 0 : PS_PAGE_KEPT;
    }
    if (status == PS_OK && checksum != head.checksum) {
        status = PS_GAP;
    }
    if (status != PS_OK) {
        ps_page_record_fini(ret);
        return status;
    }
    finish(ret);
    return PS_OK;
}
