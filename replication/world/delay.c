#include "replication/world/delay.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

/* Draws above this are clamped to it: no parameter may make a delay overflow cluster time. */
#define DELAY_MAX (100 * 366 * PS_DAY)

/* Not a number counts as nothing: it is 0 times infinity, where a scale of 0 meets a heavy tail. */
static ps_dur_ns to_ns(double ns)
{
    return ns >= (double)DELAY_MAX ? DELAY_MAX : ns > 0 ? (ps_dur_ns)(ns + 0.5) : 0;
}

static ps_dur_ns clamp(const struct ps_delay *delay, ps_dur_ns drawn_ns)
{
    return delay->max_ns != 0 && drawn_ns > delay->max_ns ? delay->max_ns : drawn_ns;
}

static ps_dur_ns interpolate(const ps_dur_ns *samples, size_t count, double u)
{
    double position = u * (double)(count - 1);
    size_t at = (size_t)position;
    if (at + 1 >= count) {
        return samples[count - 1];
    }
    double share = position - (double)at;
    return samples[at] + to_ns(share * (double)(samples[at + 1] - samples[at]));
}

/* The value at probability u of a delay that is no mixture; increasing in u. */
static ps_dur_ns value_at(const struct ps_delay *delay, double u)
{
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        return delay->constant.value_ns;
    case PS_DELAY_UNIFORM:
        return delay->uniform.from_ns +
               to_ns(u * (double)(delay->uniform.to_ns - delay->uniform.from_ns));
    case PS_DELAY_EXPONENTIAL:
        return delay->exponential.min_ns +
               to_ns(-(double)delay->exponential.mean_ns * ps_log(1 - u));
    case PS_DELAY_LOGNORMAL:
        return to_ns((double)delay->lognormal.median_ns *
                     ps_exp(delay->lognormal.sigma * ps_normal_quantile(u)));
    case PS_DELAY_PARETO:
        return to_ns((double)delay->pareto.scale_ns * ps_exp(-ps_log(1 - u) / delay->pareto.shape));
    case PS_DELAY_EMPIRICAL:
        return interpolate(delay->empirical.samples, delay->empirical.count, u);
    case PS_DELAY_MIXTURE:
        break;
    }
    PS_NOT_REACHED();
}

static const struct ps_delay *part_of(const struct ps_delay *delay, double u)
{
    for (size_t i = 0; i + 1 < delay->mixture.count; i++) {
        if (u < delay->mixture.weights[i]) {
            return &delay->mixture.parts[i];
        }
        u -= delay->mixture.weights[i];
    }
    return &delay->mixture.parts[delay->mixture.count - 1];
}

ps_dur_ns ps_delay_draw(const struct ps_delay *delay, uint64_t seed, ps_stream stream, uint64_t n)
{
    if (delay->kind == PS_DELAY_CONSTANT) {
        return clamp(delay, delay->constant.value_ns);
    }
    uint64_t words[2];
    ps_random_u64x2(seed, stream, n, words);
    double u = ps_unit_of(words[0]);
    if (delay->kind == PS_DELAY_MIXTURE) {
        const struct ps_delay *part = part_of(delay, ps_unit_of(words[1]));
        return clamp(delay, clamp(part, value_at(part, u)));
    }
    return clamp(delay, value_at(delay, u));
}

/* Words to delays, in place: what value_at does, with the logarithms taken together. */
static void exponential_many(const struct ps_delay *delay, size_t count, uint64_t *words)
{
    enum { BLOCK = 64 };

    double logs[BLOCK];
    for (size_t from = 0; from < count; from += BLOCK) {
        size_t size = count - from < BLOCK ? count - from : BLOCK;
        for (size_t i = 0; i < size; i++) {
            logs[i] = 1 - ps_unit_of(words[from + i]);
        }
        ps_log_many(logs, size);
        for (size_t i = 0; i < size; i++) {
            ps_dur_ns drawn_ns =
                delay->exponential.min_ns + to_ns(-(double)delay->exponential.mean_ns * logs[i]);
            words[from + i] = clamp(delay, drawn_ns);
        }
    }
}

void ps_delay_draw_many(const struct ps_delay *delay, uint64_t seed, ps_stream stream,
                        uint64_t first, size_t count, ps_dur_ns *ret)
{
    if (delay->kind == PS_DELAY_CONSTANT || delay->kind == PS_DELAY_MIXTURE) {
        for (size_t i = 0; i < count; i++) {
            ret[i] = ps_delay_draw(delay, seed, stream, first + i);
        }
        return;
    }
    ps_random_many(seed, stream, first, count, ret);
    if (delay->kind == PS_DELAY_EXPONENTIAL) {
        exponential_many(delay, count, ret);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ret[i] = clamp(delay, value_at(delay, ps_unit_of(ret[i])));
    }
}

ps_dur_ns ps_delay_min(const struct ps_delay *delay)
{
    ps_dur_ns min_ns = 0;
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        min_ns = delay->constant.value_ns;
        break;
    case PS_DELAY_UNIFORM:
        min_ns = delay->uniform.from_ns;
        break;
    case PS_DELAY_EXPONENTIAL:
        min_ns = delay->exponential.min_ns;
        break;
    case PS_DELAY_LOGNORMAL:
        break;
    case PS_DELAY_PARETO:
        min_ns = delay->pareto.scale_ns;
        break;
    case PS_DELAY_MIXTURE:
        min_ns = PS_NEVER;
        for (size_t i = 0; i < delay->mixture.count; i++) {
            min_ns = ps_time_min(min_ns, ps_delay_min(&delay->mixture.parts[i]));
        }
        break;
    case PS_DELAY_EMPIRICAL:
        min_ns = delay->empirical.samples[0];
        break;
    }
    return clamp(delay, min_ns);
}

/* Share of draws at or below x. */
static double share_below(const struct ps_delay *delay, ps_dur_ns x_ns)
{
    double low = 0;
    double high = 1;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (middle <= 0 || middle >= 1) {
            break;
        }
        if (clamp(delay, value_at(delay, middle)) <= x_ns) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static ps_dur_ns mixture_quantile(const struct ps_delay *delay, double p)
{
    ps_dur_ns low_ns = 0;
    ps_dur_ns high_ns = DELAY_MAX;
    while (low_ns < high_ns) {
        ps_dur_ns middle_ns = low_ns + (high_ns - low_ns) / 2;
        double share = 0;
        for (size_t i = 0; i < delay->mixture.count; i++) {
            share += delay->mixture.weights[i] * share_below(&delay->mixture.parts[i], middle_ns);
        }
        if (share >= p) {
            high_ns = middle_ns;
        } else {
            low_ns = middle_ns + 1;
        }
    }
    return low_ns;
}

ps_dur_ns ps_delay_quantile(const struct ps_delay *delay, double p)
{
    return clamp(delay,
                 delay->kind == PS_DELAY_MIXTURE ? mixture_quantile(delay, p) : value_at(delay, p));
}

struct ps_delay ps_delay_from_p50_p99(ps_dur_ns p50_ns, ps_dur_ns p99_ns)
{
    PS_ASSERT(p50_ns > 0);
    PS_ASSERT(p99_ns >= p50_ns);
    double sigma = ps_log((double)p99_ns / (double)p50_ns) / ps_normal_quantile(0.99);
    return (struct ps_delay){.kind = PS_DELAY_LOGNORMAL,
                             .lognormal = {.median_ns = p50_ns, .sigma = sigma}};
}

void ps_delay_fini(struct ps_delay *delay)
{
    if (delay->kind == PS_DELAY_MIXTURE) {
        for (size_t i = 0; i < delay->mixture.count; i++) {
            ps_delay_fini(&delay->mixture.parts[i]);
        }
        free(delay->mixture.parts);
        free(delay->mixture.weights);
    } else if (delay->kind == PS_DELAY_EMPIRICAL) {
        free(delay->empirical.samples);
    }
    *delay = (struct ps_delay){0};
}

void ps_delay_copy(struct ps_delay *into, const struct ps_delay *from)
{
    *into = *from;
    if (from->kind == PS_DELAY_MIXTURE) {
        size_t count = from->mixture.count;
        into->mixture.parts = PS_NEW_ARRAY(struct ps_delay, count);
        into->mixture.weights = PS_NEW_ARRAY(double, count);
        for (size_t i = 0; i < count; i++) {
            ps_delay_copy(&into->mixture.parts[i], &from->mixture.parts[i]);
            into->mixture.weights[i] = from->mixture.weights[i];
        }
    } else if (from->kind == PS_DELAY_EMPIRICAL) {
        size_t count = from->empirical.count;
        into->empirical.samples = PS_NEW_ARRAY(ps_dur_ns, count);
        memcpy(into->empirical.samples, from->empirical.samples, count * sizeof(ps_dur_ns));
    }
}

static bool within(ps_dur_ns value_ns)
{
    return value_ns <= DELAY_MAX;
}

static enum ps_status check_mixture(const struct ps_delay *delay, struct ps_error *err)
{
    if (delay->mixture.count == 0 || delay->mixture.count > PS_DELAY_PARTS_MAX) {
        return ps_fail(err, PS_INVALID, "a mixture has 1 to %d parts", PS_DELAY_PARTS_MAX);
    }
    double sum = 0;
    for (size_t i = 0; i < delay->mixture.count; i++) {
        const struct ps_delay *part = &delay->mixture.parts[i];
        if (part->kind == PS_DELAY_MIXTURE) {
            return ps_fail(err, PS_INVALID, "a mixture's part is no mixture itself");
        }
        if (!(delay->mixture.weights[i] > 0)) {
            return ps_fail(err, PS_INVALID, "a mixture's weights are positive");
        }
        sum += delay->mixture.weights[i];
        enum ps_status status = ps_delay_check(part, err);
        if (status != PS_OK) {
            return status;
        }
    }
    if (sum < 1 - 1e-9 || sum > 1 + 1e-9) {
        return ps_fail(err, PS_INVALID, "a mixture's weights add up to 1");
    }
    return PS_OK;
}

static enum ps_status check_empirical(const struct ps_delay *delay, struct ps_error *err)
{
    size_t count = delay->empirical.count;
    if (count == 0 || count > PS_DELAY_SAMPLES_MAX) {
        return ps_fail(err, PS_INVALID, "1 to %d samples are expected", PS_DELAY_SAMPLES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (!within(delay->empirical.samples[i]) ||
            (i > 0 && delay->empirical.samples[i] < delay->empirical.samples[i - 1])) {
            return ps_fail(err, PS_INVALID, "samples ascend and are below 100 years");
        }
    }
    return PS_OK;
}

enum ps_status ps_delay_check(const struct ps_delay *delay, struct ps_error *err)
{
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        return within(delay->constant.value_ns)
                   ? PS_OK
                   : ps_fail(err, PS_INVALID, "a delay is below 100 years");
    case PS_DELAY_UNIFORM:
        if (delay->uniform.from_ns > delay->uniform.to_ns || !within(delay->uniform.to_ns)) {
            return ps_fail(err, PS_INVALID, "uniform: from <= to is expected, below 100 years");
        }
        return PS_OK;
    case PS_DELAY_EXPONENTIAL:
        if (!within(delay->exponential.mean_ns) || !within(delay->exponential.min_ns)) {
            return ps_fail(err, PS_INVALID, "exponential: mean and min are below 100 years");
        }
        return PS_OK;
    case PS_DELAY_LOGNORMAL:
        if (!(delay->lognormal.sigma >= 0 && delay->lognormal.sigma <= 20)) {
            return ps_fail(err, PS_INVALID, "lognormal: sigma from 0 to 20 is expected");
        }
        return within(delay->lognormal.median_ns)
                   ? PS_OK
                   : ps_fail(err, PS_INVALID, "lognormal: the median is below 100 years");
    case PS_DELAY_PARETO:
        if (!(delay->pareto.shape >= 0.01 && delay->pareto.shape <= 1000)) {
            return ps_fail(err, PS_INVALID, "pareto: a shape from 0.01 to 1000 is expected");
        }
        return within(delay->pareto.scale_ns)
                   ? PS_OK
                   : ps_fail(err, PS_INVALID, "pareto: the scale is below 100 years");
    case PS_DELAY_MIXTURE:
        return check_mixture(delay, err);
    case PS_DELAY_EMPIRICAL:
        return check_empirical(delay, err);
    }
    return ps_fail(err, PS_INVALID, "unknown delay distribution");
}

static void format_named(struct ps_buf *buf, const char *name, ps_dur_ns value_ns)
{
    ps_buf_append_text(buf, name);
    ps_dur_format(buf, value_ns);
}

void ps_delay_format(struct ps_buf *buf, const struct ps_delay *delay)
{
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        format_named(buf, "constant(", delay->constant.value_ns);
        break;
    case PS_DELAY_UNIFORM:
        format_named(buf, "uniform(", delay->uniform.from_ns);
        format_named(buf, ", ", delay->uniform.to_ns);
        break;
    case PS_DELAY_EXPONENTIAL:
        format_named(buf, "exponential(mean ", delay->exponential.mean_ns);
        format_named(buf, ", min ", delay->exponential.min_ns);
        break;
    case PS_DELAY_LOGNORMAL:
        format_named(buf, "lognormal(p50 ", delay->lognormal.median_ns);
        ps_buf_printf(buf, ", sigma %.3f", delay->lognormal.sigma);
        break;
    case PS_DELAY_PARETO:
        format_named(buf, "pareto(scale ", delay->pareto.scale_ns);
        ps_buf_printf(buf, ", shape %.3g", delay->pareto.shape);
        break;
    case PS_DELAY_MIXTURE:
        ps_buf_append_text(buf, "mixture(");
        for (size_t i = 0; i < delay->mixture.count; i++) {
            ps_buf_printf(buf, "%s%.3g ", i == 0 ? "" : ", ", delay->mixture.weights[i]);
            ps_delay_format(buf, &delay->mixture.parts[i]);
        }
        break;
    case PS_DELAY_EMPIRICAL:
        ps_buf_printf(buf, "empirical(%zu samples", delay->empirical.count);
        break;
    }
    if (delay->max_ns != 0) {
        format_named(buf, ", max ", delay->max_ns);
    }
    ps_buf_append_char(buf, ')');
}
