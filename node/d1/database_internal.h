/* What the files of node/d1/database*.c share. For node/d1 and its tests only. */
#ifndef PS_NODE_D1_DATABASE_INTERNAL_H
#define PS_NODE_D1_DATABASE_INTERNAL_H

#include <sqlite3.h>

/** The two counters that node/d1/sqlite/count-rows adds to a statement. */
enum { PS_STATUS_ROWS_READ = 9, PS_STATUS_ROWS_WRITTEN = 10 };

#endif
