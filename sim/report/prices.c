/* Prices, as data: read in the month below, from the page below. A new price is a new line here. */
#include "sim/report/report.h"

enum {
    KV_READ_NANO_USD = 500,   /* $0.50 a million keys read */
    KV_WRITE_NANO_USD = 5000, /* $5.00 a million keys written or deleted */
    KV_LIST_NANO_USD = 5000   /* $5.00 a million list requests */
};

const char *ps_report_prices(void)
{
    return "2026-11, developers.cloudflare.com/kv/platform/pricing/";
}

struct ps_kv_cost ps_report_kv_cost(const struct ps_store_measures *store)
{
    return (struct ps_kv_cost){.reads_nano_usd = store->reads * KV_READ_NANO_USD,
                               .writes_nano_usd = store->writes * KV_WRITE_NANO_USD,
                               .lists_nano_usd = store->lists * KV_LIST_NANO_USD};
}
