/* One D1 request, run as a history tells of it: the virtual world makes histories by it, verify
 * makes them again. */
#ifndef PS_SIM_MEASURE_D1_RUN_H
#define PS_SIM_MEASURE_D1_RUN_H

#include "node/d1/database.h"
#include "replication/world/cluster.h"

/** What is run, and when. */
struct ps_d1_asked {
    struct ps_slice request; /* JSON, as the binding sends it */
    uint64_t lsn;            /* read at; UINT64_MAX: at the newest */
    ps_time_ns run_ns;       /* cluster time: what 'now' is */
    uint64_t seed;
};

/** What came of it. */
struct ps_d1_ran {
    enum ps_d1_outcome outcome;
    enum ps_status status; /* PS_OK, or why the map or the commit failed */
    uint64_t lsn;          /* read at, or made */
    uint64_t digest;       /* of the results, or of the words of a refusal (history.h) */
    uint64_t rows_read;
    uint64_t rows_written;
    struct ps_buf words; /* of a refusal; owned */
};

/** Run it. Ownership: ret->words is the caller's. Its duration is 0; what takes a thousand million
 * steps of SQLite's machine is ended as D1 ends what takes too long. */
void ps_d1_run(struct ps_d1_database *database, const struct ps_cluster *cluster,
               const struct ps_d1_asked *asked, struct ps_d1_ran *ret);

/** Does the request write, by the schema at asked->lsn? One that cannot be read does not. */
bool ps_d1_run_writes(struct ps_d1_database *database, const struct ps_cluster *cluster,
                      const struct ps_d1_asked *asked);

#endif
