#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <string.h>

#define DELAY_MAX (365 * PS_DAY)
static const char DELAY_EXPECTED[] = "a delay of at most 365d, such as 5s or 250ms";

static const char *const FORMS[] = {"constant", "uniform", "exponential", "lognormal",
                                    "pareto",   "mixture", "empirical"};

static enum ps_status read_duration(struct ps_reader *reader, const struct ps_yaml *node,
                                    ps_dur_ns least, ps_dur_ns *ret)
{
    return ps_read_duration(reader, node, least, DELAY_MAX, DELAY_EXPECTED, ret);
}

static enum ps_status read_uniform(struct ps_reader *reader, const struct ps_yaml *node,
                                   struct ps_delay *delay)
{
    if (node->kind != PS_YAML_LIST || node->count != 2) {
        return ps_found(reader, node, "the least and the greatest delay, as in [0s, 60s]");
    }
    enum ps_status status = read_duration(reader, node->items[0], 0, &delay->uniform.from_ns);
    if (status == PS_OK) {
        status = read_duration(reader, node->items[1], 0, &delay->uniform.to_ns);
    }
    if (status == PS_OK && delay->uniform.to_ns < delay->uniform.from_ns) {
        status = ps_found(reader, node->items[1], "a delay not below the first");
    }
    return status;
}

static enum ps_status read_exponential(struct ps_reader *reader, const struct ps_yaml *node,
                                       struct ps_delay *delay)
{
    static const char *const KEYS[] = {"mean", "min"};
    const struct ps_yaml *mean = NULL;
    enum ps_status status =
        ps_read_keys(reader, node, "an exponential delay", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK) {
        status = ps_read_member(reader, node, "mean", "the mean of the exponential part", &mean);
    }
    if (status == PS_OK) {
        status = read_duration(reader, mean, 0, &delay->exponential.mean_ns);
    }
    const struct ps_yaml *least = ps_yaml_get(node, "min");
    if (status == PS_OK && least != NULL) {
        status = read_duration(reader, least, 0, &delay->exponential.min_ns);
    }
    return status;
}

static enum ps_status read_lognormal(struct ps_reader *reader, const struct ps_yaml *node,
                                     struct ps_delay *delay)
{
    static const char *const KEYS[] = {"p50", "p99", "median", "sigma"};
    enum ps_status status = ps_read_keys(reader, node, "a lognormal delay", KEYS, PS_COUNT(KEYS));
    if (status != PS_OK) {
        return status;
    }
    const struct ps_yaml *p50 = ps_yaml_get(node, "p50"), *p99 = ps_yaml_get(node, "p99");
    const struct ps_yaml *median = ps_yaml_get(node, "median"), *sigma = ps_yaml_get(node, "sigma");
    if (p50 != NULL && p99 != NULL && node->count == 2) {
        ps_dur_ns low = 0, high = 0;
        status = read_duration(reader, p50, 1, &low);
        if (status == PS_OK) {
            status = read_duration(reader, p99, 1, &high);
        }
        if (status == PS_OK && high < low) {
            status = ps_found(reader, p99, "a p99 not below the p50");
        }
        if (status == PS_OK) {
            *delay = ps_delay_from_p50_p99(low, high);
        }
        return status;
    }
    if (median != NULL && sigma != NULL && node->count == 2) {
        status = read_duration(reader, median, 1, &delay->lognormal.median_ns);
        if (status == PS_OK) {
            status = ps_read_double(reader, sigma, 0, 10, "a sigma from 0 to 10",
                                    &delay->lognormal.sigma);
        }
        return status;
    }
    return ps_refuse(reader, node,
                     "found a lognormal delay without its two figures, expected "
                     "p50 and p99, or median and sigma");
}

static enum ps_status read_pareto(struct ps_reader *reader, const struct ps_yaml *node,
                                  struct ps_delay *delay)
{
    static const char *const KEYS[] = {"scale", "shape"};
    const struct ps_yaml *scale = NULL, *shape = NULL;
    enum ps_status status = ps_read_keys(reader, node, "a Pareto delay", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK) {
        status = ps_read_member(reader, node, "scale", "the smallest delay", &scale);
    }
    if (status == PS_OK) {
        status = ps_read_member(reader, node, "shape", "the exponent alpha", &shape);
    }
    if (status == PS_OK) {
        status = read_duration(reader, scale, 1, &delay->pareto.scale_ns);
    }
    if (status == PS_OK) {
        status = ps_read_double(reader, shape, 0.01, 1000, "a shape from 0.01 to 1000",
                                &delay->pareto.shape);
    }
    return status;
}

static enum ps_status add_sample(struct ps_reader *reader, const struct ps_yaml *node,
                                 struct ps_delay *delay, size_t *capacity, ps_dur_ns sample)
{
    if (delay->empirical.count == PS_DELAY_SAMPLES_MAX) {
        return ps_refuse(reader, node, "found more than %d samples, expected at most %d",
                         (int)PS_DELAY_SAMPLES_MAX, (int)PS_DELAY_SAMPLES_MAX);
    }
    delay->empirical.samples = ps_grow(delay->empirical.samples, delay->empirical.count, capacity,
                                       sizeof *delay->empirical.samples);
    delay->empirical.samples[delay->empirical.count++] = sample;
    return PS_OK;
}

/** One duration a line; empty lines and those that begin with # do not count. */
static enum ps_status read_samples_file(struct ps_reader *reader, const struct ps_yaml *node,
                                        struct ps_delay *delay, size_t *capacity)
{
    struct ps_buf path = {0}, bytes = {0};
    enum ps_status status = ps_read_file(reader, node, &path, &bytes);
    size_t at = 0;
    for (size_t line = 1; status == PS_OK && at < bytes.size; line++) {
        const char *end = memchr(bytes.data + at, '\n', bytes.size - at);
        size_t until = end != NULL ? (size_t)(end - bytes.data) : bytes.size;
        struct ps_slice text = {bytes.data + at, until - at};
        at = until + 1;
        if (text.size > 0 && text.data[text.size - 1] == '\r') {
            text.size--;
        }
        if (text.size == 0 || text.data[0] == '#') {
            continue;
        }
        ps_dur_ns sample;
        if (ps_dur_parse(text, &sample) != PS_OK || sample > DELAY_MAX) {
            struct ps_buf found = {0};
            ps_yaml_quote(&found, text);
            status = ps_fail(reader->err, PS_INVALID, "%s:%zu:1: found %s, expected %s",
                             ps_buf_text(&path), line, ps_buf_text(&found), DELAY_EXPECTED);
            ps_buf_fini(&found);
        } else {
            status = add_sample(reader, node, delay, capacity, sample);
        }
    }
    ps_buf_fini(&path);
    ps_buf_fini(&bytes);
    return status;
}

static int compare_samples(const void *a, const void *b)
{
    const ps_dur_ns *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum ps_status read_empirical(struct ps_reader *reader, const struct ps_yaml *node,
                                     struct ps_delay *delay)
{
    size_t capacity = 0;
    enum ps_status status = PS_OK;
    if (node->kind == PS_YAML_LIST) {
        for (size_t i = 0; i < node->count && status == PS_OK; i++) {
            ps_dur_ns sample = 0;
            status = read_duration(reader, node->items[i], 0, &sample);
            if (status == PS_OK) {
                status = add_sample(reader, node->items[i], delay, &capacity, sample);
            }
        }
    } else if (node->kind == PS_YAML_SCALAR && !ps_yaml_is_null(node)) {
        status = read_samples_file(reader, node, delay, &capacity);
    } else {
        return ps_found(reader, node, "a file of delays, one a line, or a list of delays");
    }
    if (status == PS_OK && delay->empirical.count == 0) {
        status = ps_refuse(reader, node, "found no samples, expected at least one");
    }
    if (status == PS_OK) {
        qsort(delay->empirical.samples, delay->empirical.count, sizeof *delay->empirical.samples,
              compare_samples);
    }
    return status;
}

static enum ps_status read_form(struct ps_reader *reader, const struct ps_yaml *node,
                                bool in_mixture, struct ps_delay *delay);

static enum ps_status read_mixture(struct ps_reader *reader, const struct ps_yaml *node,
                                   struct ps_delay *delay)
{
    if (node->kind != PS_YAML_LIST || node->count == 0 || node->count > PS_DELAY_PARTS_MAX) {
        return ps_found(reader, node, "a list of 1 to 8 delays, each with a weight");
    }
    delay->mixture.parts = PS_NEW_ARRAY(struct ps_delay, node->count);
    delay->mixture.weights = PS_NEW_ARRAY(double, node->count);
    delay->mixture.count = node->count;
    double sum = 0;
    enum ps_status status = PS_OK;
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        const struct ps_yaml *weight = NULL;
        if (node->items[i]->kind != PS_YAML_MAP) {
            return ps_found(reader, node->items[i],
                            "a delay with a weight, as in "
                            "{weight: 1, constant: 5s}");
        }
        status = ps_read_member(reader, node->items[i], "weight", "the part's share", &weight);
        if (status == PS_OK) {
            status = ps_read_double(reader, weight, 1e-9, 1e9, "a weight over 0",
                                    &delay->mixture.weights[i]);
        }
        if (status == PS_OK) {
            status = read_form(reader, node->items[i], true, &delay->mixture.parts[i]);
        }
        sum += delay->mixture.weights[i];
    }
    for (size_t i = 0; i < node->count && status == PS_OK; i++) {
        delay->mixture.weights[i] /= sum;
    }
    return status;
}

/** Read the one key of `node` that is a distribution, and `max`. */
static enum ps_status read_form(struct ps_reader *reader, const struct ps_yaml *node,
                                bool in_mixture, struct ps_delay *delay)
{
    static const char *const KEYS[] = {"constant",  "uniform", "exponential",
                                       "lognormal", "pareto",  "mixture",
                                       "empirical", "max",     "weight"};
    enum ps_status status =
        ps_read_keys(reader, node, "a delay", KEYS, PS_COUNT(KEYS) - (in_mixture ? 0 : 1));
    const struct ps_yaml *value = NULL;
    size_t form = 0, forms = 0;
    for (size_t i = 0; i < PS_COUNT(FORMS) && status == PS_OK; i++) {
        const struct ps_yaml *member = ps_yaml_get(node, FORMS[i]);
        if (member != NULL) {
            value = member;
            form = i;
            forms++;
        }
    }
    if (status == PS_OK && forms != 1) {
        return ps_refuse(reader, node,
                         "found %zu distributions, expected one of constant, uniform, "
                         "exponential, lognormal, pareto, mixture, empirical",
                         forms);
    }
    if (status == PS_OK && in_mixture && form == PS_DELAY_MIXTURE) {
        return ps_refuse(reader, node,
                         "found a mixture in a mixture, expected a simple distribution");
    }
    if (status != PS_OK) {
        return status;
    }
    delay->kind = (enum ps_delay_kind)form;
    switch (delay->kind) {
    case PS_DELAY_CONSTANT:
        status = read_duration(reader, value, 0, &delay->constant.value_ns);
        break;
    case PS_DELAY_UNIFORM:
        status = read_uniform(reader, value, delay);
        break;
    case PS_DELAY_EXPONENTIAL:
        status = read_exponential(reader, value, delay);
        break;
    case PS_DELAY_LOGNORMAL:
        status = read_lognormal(reader, value, delay);
        break;
    case PS_DELAY_PARETO:
        status = read_pareto(reader, value, delay);
        break;
    case PS_DELAY_MIXTURE:
        status = read_mixture(reader, value, delay);
        break;
    case PS_DELAY_EMPIRICAL:
        status = read_empirical(reader, value, delay);
        break;
    }
    const struct ps_yaml *most = ps_yaml_get(node, "max");
    if (status == PS_OK && most != NULL) {
        status = read_duration(reader, most, 1, &delay->max_ns);
    }
    return status;
}

enum ps_status ps_read_delay(struct ps_reader *reader, const struct ps_yaml *node,
                             struct ps_delay *ret)
{
    struct ps_delay delay = {0};
    enum ps_status status;
    if (node->kind == PS_YAML_SCALAR) {
        status = read_duration(reader, node, 0, &delay.constant.value_ns);
    } else {
        status = read_form(reader, node, false, &delay);
    }
    struct ps_error err = {0};
    if (status == PS_OK && ps_delay_check(&delay, &err) != PS_OK) {
        status = ps_refuse(reader, node, "found a delay that cannot be: %s", err.text);
    }
    if (status != PS_OK) {
        ps_delay_fini(&delay);
        return status;
    }
    *ret = delay;
    return PS_OK;
}
