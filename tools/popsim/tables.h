/* Tables of the commands that look at a cluster. */
#ifndef PS_TOOLS_POPSIM_TABLES_H
#define PS_TOOLS_POPSIM_TABLES_H

#include "node/cluster/cluster_file.h"

#include <libsmartcols/libsmartcols.h>

#include <stdio.h>

/** A table for `out`, coloured and fitted when it is a terminal. Ownership: the caller's,
 * scols_unref_table. */
struct libscols_table *tables_new(FILE *out, const char *const *columns, size_t count);
/** Append a row of texts (copied). */
void tables_row(struct libscols_table *table, const char *const *cells, size_t count);
void tables_print(struct libscols_table *table); /* prints and releases */

/** PoPs with their cities, URLs and round trips to home. */
void tables_print_cluster(FILE *out, const struct ps_cluster_state *state);

#endif
