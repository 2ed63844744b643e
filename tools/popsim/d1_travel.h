/* popsim d1 time-travel. */
#ifndef PS_TOOLS_POPSIM_D1_TRAVEL_H
#define PS_TOOLS_POPSIM_D1_TRAVEL_H

#include "tools/popsim/client.h"

/** Which state of which database, asked for at which PoP. */
struct d1_travel {
    const struct client *client;
    const char *database;
    const char *bookmark;  /* NULL: not given */
    const char *timestamp; /* NULL: not given */
    bool restore;          /* else only tell its bookmark */
    bool json;
};

/** Do it and print what came of it; returns the exit code. */
int d1_travel_run(const struct d1_travel *travel);

#endif
