/* How long a record is on its way: delay distributions, drawn by counter.
 *
 * ps_delay_draw(d, seed, stream, n) is a pure function: the same in the live cluster and in the
 * virtual world. All parameters are in nanoseconds. A delay may be truncated above by `max_ns`
 * (the draw is clamped). */
#ifndef PS_REPLICATION_WORLD_DELAY_H
#define PS_REPLICATION_WORLD_DELAY_H

#include "replication/base/random.h"
#include "replication/base/status.h"
#include "replication/base/time.h"

enum ps_delay_kind {
    PS_DELAY_CONSTANT,
    PS_DELAY_UNIFORM,
    PS_DELAY_EXPONENTIAL,
    PS_DELAY_LOGNORMAL,
    PS_DELAY_PARETO,
    PS_DELAY_MIXTURE,
    PS_DELAY_EMPIRICAL
};

enum { PS_DELAY_PARTS_MAX = 8, PS_DELAY_SAMPLES_MAX = 65536 };

/** One distribution. Zeroed = constant 0. */
struct ps_delay {
    enum ps_delay_kind kind;
    ps_dur_ns max_ns; /* draws are clamped to this; 0 = no clamp */

    union {
        struct {
            ps_dur_ns value_ns;
        } constant;

        struct {
            ps_dur_ns from_ns;
            ps_dur_ns to_ns; /* draws lie in [from, to] */
        } uniform;

        struct {
            ps_dur_ns mean_ns; /* of the exponential part */
            ps_dur_ns min_ns;  /* added to every draw */
        } exponential;

        struct {
            ps_dur_ns median_ns;
            double sigma; /* of the underlying normal */
        } lognormal;

        struct {
            ps_dur_ns scale_ns; /* the smallest value */
            double shape;       /* alpha > 0 */
        } pareto;

        struct {
            struct ps_delay *parts; /* owned; parts are no mixtures themselves */
            double *weights;        /* owned; sum is 1 */
            size_t count;
        } mixture;

        struct {
            ps_dur_ns *samples; /* owned; ascending; a draw interpolates between neighbours */
            size_t count;
        } empirical;
    };
};

/** Release what a delay owns and zero it; a copy made by assignment shares the owned parts. */
void ps_delay_fini(struct ps_delay *delay);
/** Deep copy. */
void ps_delay_copy(struct ps_delay *into, const struct ps_delay *from);

/** Check the parameters. Errors: PS_INVALID with the reason. */
PS_MUST_CHECK enum ps_status ps_delay_check(const struct ps_delay *delay, struct ps_error *err);

/** Draw number n of the stream. delay has passed ps_delay_check. */
ps_dur_ns ps_delay_draw(const struct ps_delay *delay, uint64_t seed, ps_stream stream, uint64_t n);

/** Draws first .. first + count - 1, as ps_delay_draw gives them, faster. */
void ps_delay_draw_many(const struct ps_delay *delay, uint64_t seed, ps_stream stream,
                        uint64_t first, size_t count, ps_dur_ns *ret);

/** The largest lower bound of all draws: delivery has to beat only this. */
ps_dur_ns ps_delay_min(const struct ps_delay *delay);

/** Inverse of the distribution function, 0 < p < 1; mixtures by bisection. For tests and tables. */
ps_dur_ns ps_delay_quantile(const struct ps_delay *delay, double p);

/** Lognormal by two of its quantiles, as measurements are published: median and 99th percentile. */
struct ps_delay ps_delay_from_p50_p99(ps_dur_ns p50_ns, ps_dur_ns p99_ns);

/** Append the distribution as people write it: "lognormal(p50 107ms, sigma 0.375)". */
void ps_delay_format(struct ps_buf *buf, const struct ps_delay *delay);

#endif
