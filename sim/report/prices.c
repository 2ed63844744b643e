/* Prices, as data: read in the month below, from the pages below. A new price is a new line here.
 */
#include "sim/report/report.h"

enum {
    KV_READ_NANO_USD = 500,   /* $0.50 a million keys read */
    KV_WRITE_NANO_USD = 5000, /* $5.00 a million keys written or deleted */
    KV_LIST_NANO_USD = 5000,  /* $5.00 a million list requests */

    D1_ROW_READ_NANO_USD = 1,       /* $0.001 a million rows read */
    D1_ROW_WRITTEN_NANO_USD = 1000, /* $1.00 a million rows written */

    R2_CLASS_A_NANO_USD = 4500, /* $4.50 a million operations that change or list */
    R2_CLASS_B_NANO_USD = 360   /* $0.36 a million that read */
};

const char *ps_report_prices(void)
{
    return "2026-11, developers.cloudflare.com/kv/platform/pricing/, "
           "developers.cloudflare.com/d1/platform/pricing/ and "
           "developers.cloudflare.com/r2/pricing/";
}

struct ps_kv_cost ps_report_kv_cost(const struct ps_store_measures *store)
{
    return (struct ps_kv_cost){.reads_nano_usd = store->reads * KV_READ_NANO_USD,
                               .writes_nano_usd = store->writes * KV_WRITE_NANO_USD,
                               .lists_nano_usd = store->lists * KV_LIST_NANO_USD};
}

struct ps_d1_cost ps_report_d1_cost(const struct ps_store_measures *store)
{
    return (struct ps_d1_cost){.rows_read_nano_usd = store->rows_read * D1_ROW_READ_NANO_USD,
                               .rows_written_nano_usd =
                                   store->rows_written * D1_ROW_WRITTEN_NANO_USD};
}

struct ps_r2_cost ps_report_r2_cost(const struct ps_store_measures *store,
                                    const struct ps_store_measures *url)
{
    uint64_t class_a = store->writes - store->deletes + store->lists;
    uint64_t class_b = store->reads + url->fetches;
    return (struct ps_r2_cost){.class_a_nano_usd = class_a * R2_CLASS_A_NANO_USD,
                               .class_b_nano_usd = class_b * R2_CLASS_B_NANO_USD};
}
