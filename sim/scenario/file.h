/* Reading a whole file, with a bound. Private to sim/scenario. */
#ifndef PS_SIM_SCENARIO_FILE_H
#define PS_SIM_SCENARIO_FILE_H

#include "replication/base/slice.h"

/** Append the file's bytes. Errors as "path: ...": PS_NOT_FOUND (it cannot be opened),
 *  PS_INVALID (a folder), PS_IO, PS_LIMIT (more than `most` bytes). */
PS_MUST_CHECK enum ps_status ps_file_read(const char *path, size_t most, struct ps_buf *ret,
                                          struct ps_error *err);

#endif
