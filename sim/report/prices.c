/* Prices, as data: read in the month below, from the pages below. A new price is a new line here.
 */
#include "sim/report/report.h"

enum {
    KV_READ_NANO_USD = 500,   /* $0.50 a million keys read */
    KV_WRITE_NANO_USD = 5000, /* $5.00 a million keys written or deleted */
    KV_LIST_NANO_USD = 5000,  /* $5.00 a million list requests */

    D1_ROW_READ_NANO_USD = 1,      /* $0.001 a million rows read */
    D1_ROW_WRITTEN_NANO_USD = 1000 /* $1.00 a million rows written */
};

const char *ps_report_prices(void)
{
    return "2026-11, developers.cloudflare.com/kv/platform/pricing/ and "
           "developers.cloudflare.com/d1/platform/pricing/";
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
