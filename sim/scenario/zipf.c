#include "sim/scenario/zipf.h"

#include "replication/base/memory.h"

enum { CELLS = 512, COEFFICIENTS = 4 };

/* Below this the differences 1 - e^y and ln(1 + y) lose digits, and their series are better. */
#define SERIES_BELOW 0.02

/** (e^y - 1) / y */
static double exp_quotient(double y)
{
    if (y > SERIES_BELOW || y < -SERIES_BELOW) {
        return (ps_exp(y) - 1) / y;
    }
    return 1 + y * (1.0 / 2 +
                    y * (1.0 / 6 + y * (1.0 / 24 + y * (1.0 / 120 + y * (1.0 / 720 + y / 5040)))));
}

/** ln(1 + y) / y, y > -1 */
static double log_quotient(double y)
{
    if (y > SERIES_BELOW || y < -SERIES_BELOW) {
        return ps_log(1 + y) / y;
    }
    return 1 -
           y * (1.0 / 2 -
                y * (1.0 / 3 -
                     y * (1.0 / 4 -
                          y * (1.0 / 5 - y * (1.0 / 6 - y * (1.0 / 7 - y * (1.0 / 8 - y / 9)))))));
}

/** H(x) */
static double area(double exponent, double x)
{
    double log_x = ps_log(x);
    return log_x * exp_quotient((1 - exponent) * log_x);
}

/** The x with H(x) = a. */
static double inverse_area(double exponent, double a)
{
    double y = a * (1 - exponent);
    if (y <= -1) {
        /* H has the limit 1 / (s - 1): rounding may reach it. The caller bounds the rank. */
        return 0x1p63;
    }
    return ps_exp(a * log_quotient(y));
}

static double density(double exponent, double x)
{
    return ps_exp(-exponent * ps_log(x));
}

void ps_zipf_prepare(struct ps_piece *piece)
{
    double s = piece->exponent;
    piece->zipf_h_x1 = area(s, 1.5) - 1;
    piece->zipf_h_n = area(s, (double)piece->to + 0.5);
    piece->zipf_s = 2 - inverse_area(s, area(s, 2.5) - density(s, 2));
}

static double point(const struct ps_piece *piece, double unit)
{
    return inverse_area(piece->exponent,
                        piece->zipf_h_n + unit * (piece->zipf_h_x1 - piece->zipf_h_n));
}

static double cubic(const double *c, double t)
{
    return c[0] + t * (c[1] + t * (c[2] + t * c[3]));
}

void ps_zipf_tabulate(struct ps_piece *piece)
{
    double *cells = PS_NEW_ARRAY(double, (size_t)CELLS *COEFFICIENTS);
    for (size_t i = 0; i < CELLS; i++) {
        double *c = cells + i * COEFFICIENTS;
        double f[COEFFICIENTS]; /* at 0, 1/3, 2/3 and 1: neighbours meet */
        for (size_t k = 0; k < COEFFICIENTS; k++) {
            f[k] = point(piece, ((double)i + (double)k / 3) / CELLS);
        }
        c[0] = f[0];
        c[1] = (-11 * f[0] + 18 * f[1] - 9 * f[2] + 2 * f[3]) / 2;
        c[2] = (18 * f[0] - 45 * f[1] + 36 * f[2] - 9 * f[3]) / 2;
        c[3] = (-9 * f[0] + 27 * f[1] - 27 * f[2] + 9 * f[3]) / 2;
        for (int k = 1; k < 6; k += 2) { /* the middles between the four: where it is worst */
            double t = (double)k / 6, x = point(piece, ((double)i + t) / CELLS);
            double off = (cubic(c, t) - x) / x;
            if (!(off < 1e-6 && off > -1e-6)) {
                c[0] = -1;
                break;
            }
        }
    }
    piece->zipf_cells = cells;
}

uint64_t ps_zipf_attempt(const struct ps_piece *piece, double unit)
{
    double s = piece->exponent;
    double x = -1;
    if (piece->zipf_cells != NULL) {
        double at = unit * CELLS;
        size_t i = (size_t)at < CELLS ? (size_t)at : CELLS - 1;
        const double *c = piece->zipf_cells + i * COEFFICIENTS;
        if (c[0] >= 0) {
            x = cubic(c, at - (double)i);
        }
    }
    if (x < 0) {
        x = point(piece, unit);
    }
    double n = (double)piece->to;
    double rank = x + 0.5 >= n ? n : x < 1 ? 1 : (double)(uint64_t)(x + 0.5);
    if (rank - x <= piece->zipf_s) {
        return (uint64_t)rank;
    }
    /* The share of a rank's interval that is rejected is about s (s + 1) / (24 rank^2). Where that
     * is nothing, so would be the difference below, to all its digits. */
    if (s * (s + 1) < rank * rank * 1e-10) {
        return (uint64_t)rank;
    }
    /* H(x), not the a that x came from: with a table they differ, and a rank's interval must begin
     * where its neighbour's ends. */
    if (area(s, x) >= area(s, rank + 0.5) - density(s, rank)) {
        return (uint64_t)rank;
    }
    return 0;
}
