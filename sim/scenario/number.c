#include "sim/scenario/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE_MAX = 64 };

bool ps_number_u64(struct ps_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > NUMBER_SIZE_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/** Digits, then maybe a point and digits, then maybe an exponent: what strtod would take besides
 *  (hex, inf, spaces) is none. */
static bool is_decimal(struct ps_slice text)
{
    size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    size_t digits = 0;
    bool point = false;
    for (; at < text.size; at++) {
        char c = text.data[at];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (c == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        at += at < text.size && (text.data[at] == '-' || text.data[at] == '+');
        digits = 0;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
            at++;
            digits++;
        }
        if (digits == 0) {
            return false;
        }
    }
    return at == text.size;
}

bool ps_number_double(struct ps_slice text, double *ret)
{
    if (text.size > NUMBER_SIZE_MAX || !is_decimal(text)) {
        return false;
    }
    char copy[NUMBER_SIZE_MAX + 1];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    /* No program of ours calls setlocale for numbers: the decimal point is a point. */
    double value = strtod(copy, NULL);
    if (!isfinite(value)) {
        return false;
    }
    *ret = value;
    return true;
}

bool ps_number_rate(struct ps_slice text, double *ret_hz)
{
    double per_s = 1, value;
    if (text.size > 2 && text.data[text.size - 2] == '/') {
        switch (text.data[text.size - 1]) {
        case 's':
            break;
        case 'm':
            per_s = 60;
            break;
        case 'h':
            per_s = 3600;
            break;
        case 'd':
            per_s = 86400;
            break;
        default:
            return false;
        }
        text.size -= 2;
    }
    if (!ps_number_double(text, &value) || value < 0) {
        return false;
    }
    *ret_hz = value / per_s;
    return true;
}
