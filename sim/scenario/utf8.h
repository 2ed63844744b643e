/* UTF-8: where it is wrong, and places in it counted in characters. */
#ifndef PS_SIM_SCENARIO_UTF8_H
#define PS_SIM_SCENARIO_UTF8_H

#include <stddef.h>

/** The first byte that begins no valid character (RFC 3629: no surrogates, no overlong forms);
 *  `size` if all is well. */
size_t ps_utf8_bad_at(const char *text, size_t size);

/** Characters of the valid UTF-8 text[0..size). */
size_t ps_utf8_count(const char *text, size_t size);

/** Line and column, both from 1, of byte `at`. */
void ps_utf8_place(const char *text, size_t at, int *ret_line, int *ret_column);

#endif
