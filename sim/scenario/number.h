/* Numbers as people write them in scenarios; the whole text must be one. Independent of the locale.
 */
#ifndef PS_SIM_SCENARIO_NUMBER_H
#define PS_SIM_SCENARIO_NUMBER_H

#include "replication/base/slice.h"
#include "replication/base/time.h"

/** Decimal digits only; false if the text is no such number or does not fit. */
bool ps_number_u64(struct ps_slice text, uint64_t *ret);

/** "12", "0.25", "-1", "1.5e3": a finite decimal number. */
bool ps_number_double(struct ps_slice text, double *ret);

/** "200/s", "3/m", "10/h", "5/d", or a number alone, which is per second; 0 is one. */
bool ps_number_rate(struct ps_slice text, double *ret_hz);

#endif
