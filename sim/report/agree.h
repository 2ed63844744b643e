/* Two runs of one scenario, read by read: did the same read, of the same session and with the same
 * number, return the same version? Pure.
 *
 * LSNs of two runs differ where concurrent writes were put in another order, so a version is known
 * by the write that made it: the session's name and the write's number in it. */
#ifndef PS_SIM_REPORT_AGREE_H
#define PS_SIM_REPORT_AGREE_H

#include "sim/measure/history.h"

struct ps_agreement {
    uint64_t left_reads; /* gets and lists of each history */
    uint64_t right_reads;
    uint64_t matched; /* asked in both: session, number, store and key */
    uint64_t failed;  /* of these, answered in one run at most */
    uint64_t same;    /* answered alike: the same version, or the same names */
    uint64_t newer;   /* the right run returned a version that is newer there than the left one's */
    uint64_t older;
    uint64_t other;       /* different, and there is no telling which is newer (lists) */
    ps_dur_ns shift_p50;  /* between the instants at which a matched read was decided, each from */
    ps_dur_ns shift_most; /* its run's begin; of reads decided in both */
};

void ps_agree(const struct ps_history *left, const struct ps_history *right,
              struct ps_agreement *ret);

/** Append it in words. */
void ps_agree_text(const struct ps_agreement *agreement, const struct ps_history *left,
                   const struct ps_history *right, struct ps_buf *ret);

#endif
