#include "tools/popsim/tables.h"

#include "replication/base/assert.h"

#include <unistd.h>

struct libscols_table *tables_new(FILE *out, const char *const *columns, size_t count)
{
    struct libscols_table *table = scols_new_table();
    PS_ASSERT(table != NULL);
    bool terminal = isatty(fileno(out)) == 1;
    (void)scols_table_set_stream(table, out);
    (void)scols_table_enable_colors(table, terminal ? 1 : 0);
    if (!terminal) {
        (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    }
    for (size_t i = 0; i < count; i++) {
        PS_ASSERT(scols_table_new_column(table, columns[i], 0, 0) != NULL);
    }
    return table;
}

void tables_row(struct libscols_table *table, const char *const *cells, size_t count)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    PS_ASSERT(line != NULL);
    for (size_t i = 0; i < count; i++) {
        PS_ASSERT(scols_line_set_data(line, i, cells[i]) == 0);
    }
}

void tables_print(struct libscols_table *table)
{
    (void)scols_print_table(table);
    scols_unref_table(table);
}

void tables_print_cluster(FILE *out, const struct ps_cluster_state *state)
{
    static const char *const columns[] = {"POP", "CITY", "REGION",    "URL",
                                          "S3",  "HOME", "ROUND TRIP"};
    struct libscols_table *table = tables_new(out, columns, 7);
    const struct ps_cluster *cluster = &state->cluster;
    for (size_t i = 0; i < cluster->pop_count; i++) {
        const struct ps_pop *pop = cluster->pops[i];
        char url[96];
        char s3[96];
        (void)snprintf(url, sizeof url, "http://%s:%u", state->bind, state->nodes[i].api_port);
        (void)snprintf(s3, sizeof s3, "http://%s:%u", state->bind, state->nodes[i].s3_port);
        struct ps_buf trip = {0};
        ps_dur_format(&trip,
                      ps_pop_round_trip(cluster->pops[cluster->home], pop, cluster->route_factor));
        const char *cells[] = {
            pop->code,         pop->city, pop->region, url, s3, i == cluster->home ? "home" : "",
            ps_buf_text(&trip)};
        tables_row(table, cells, 7);
        ps_buf_fini(&trip);
    }
    tables_print(table);
}
