#include "sim/scenario/zipf.h"

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

uint64_t ps_zipf_attempt(const struct ps_piece *piece, double unit)
{
    double s = piece->exponent;
    double a = piece->zipf_h_n + unit * (piece->zipf_h_x1 - piece->zipf_h_n);
    double x = inverse_area(s, a);
    double n = (double)piece->to;
    double rank = x + 0.5 >= n ? n : x < 1 ? 1 : (double)(uint64_t)(x + 0.5);
    if (rank - x <= piece->zipf_s || a >= area(s, rank + 0.5) - density(s, rank)) {
        return (uint64_t)rank;
    }
    return 0;
}
