/* Where a statement ends in a text of several, without SQLite: so that a file of any size is given
 * to it a statement at a time, and each is held against D1's limit by itself. Pure. */
#ifndef PS_NODE_D1_STATEMENT_H
#define PS_NODE_D1_STATEMENT_H

#include "replication/base/slice.h"

#include <stdbool.h>

/** The text behind the blanks that it begins with. */
struct ps_slice ps_d1_skip_blanks(struct ps_slice text);

/** Bytes of the first statement of `text`, its semicolon included; all of it where none ends. The
 *  rule is sqlite3_complete's: semicolons in strings, quoted names and comments do not count, and
 *  CREATE TRIGGER ends at "; END ;". */
size_t ps_d1_statement_size(struct ps_slice text);

/** Does a text of statements only read, as D1 tells by its words before it asks again: it begins
 * with SELECT, EXPLAIN or WITH, and has no keyword of what writes anywhere outside of strings,
 * quoted names and comments? */
bool ps_d1_text_only_reads(struct ps_slice text);

#endif
