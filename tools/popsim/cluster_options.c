#include "tools/popsim/cluster_options.h"

#include "tools/popsim/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum ps_status add_pop(void *context, struct ps_slice code, struct ps_error *err)
{
    return ps_cluster_add_pop(context, code, err);
}

static bool read_number(const char *text, double low, double high, double *ret)
{
    char *end;
    errno = 0;
    *ret = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && *ret >= low && *ret <= high;
}

static enum ps_status add_spread(struct ps_cluster *cluster, size_t count, struct ps_error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum ps_status status =
            ps_cluster_add_pop(cluster, ps_slice_of(ps_pop_spread(i)->code), err);
        if (status != PS_OK) {
            return status;
        }
    }
    return PS_OK;
}

enum ps_status cluster_options_pops(struct ps_cluster *cluster, const char *text,
                                    struct ps_error *err)
{
    if (strcmp(text, "all") == 0) {
        return add_spread(cluster, ps_pop_count(), err);
    }
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        unsigned long count = strtoul(text, NULL, 10);
        if (count < 1 || count > ps_pop_count()) {
            return ps_fail(err, PS_INVALID, "--pops %s: a number of PoPs from 1 to %zu is expected",
                           text, ps_pop_count());
        }
        return add_spread(cluster, count, err);
    }
    enum ps_status status = cli_split(text, add_pop, cluster, err);
    return status == PS_OK ? PS_OK : ps_error_wrap(err, "--pops");
}

static bool store_type_of(struct ps_slice name, enum ps_store_type *ret)
{
    static const enum ps_store_type types[] = {PS_STORE_KV, PS_STORE_D1, PS_STORE_R2};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (ps_slice_eq(name, ps_slice_of(ps_store_type_name(types[i])))) {
            *ret = types[i];
            return true;
        }
    }
    return false;
}

enum ps_status cluster_options_store(struct ps_cluster *cluster, const char *text,
                                     struct ps_error *err)
{
    size_t name_size = strcspn(text, "=");
    if (name_size == 0 || text[name_size] == '\0') {
        return ps_fail(err, PS_INVALID, "--store %s: NAME=TYPE or NAME=TYPE:PROFILE is expected",
                       text);
    }
    const char *type_text = text + name_size + 1;
    size_t type_size = strcspn(type_text, ":");
    const char *profile = type_text[type_size] == ':' ? type_text + type_size + 1 : "";
    enum ps_store_type type;
    if (!store_type_of((struct ps_slice){type_text, type_size}, &type)) {
        return ps_fail(err, PS_INVALID, "--store %s: unknown type \"%.*s\"; available: kv, d1, r2",
                       text, (int)type_size, type_text);
    }
    struct ps_store *store;
    enum ps_status status = ps_cluster_add_store(cluster, (struct ps_slice){text, name_size}, type,
                                                 ps_slice_of(profile), &store, err);
    return status == PS_OK ? PS_OK : ps_error_wrap(err, "--store %s", text);
}

enum ps_status cluster_options_speed(struct ps_cluster *cluster, const char *text,
                                     struct ps_error *err)
{
    double speed;
    if (!read_number(text, 0.001, 1000, &speed)) {
        return ps_fail(err, PS_INVALID, "--speed %s: a number from 0.001 to 1000 is expected",
                       text);
    }
    cluster->speed_milli = (uint64_t)(speed * 1000 + 0.5);
    return PS_OK;
}

enum ps_status cluster_options_latency(struct ps_cluster *cluster, const char *text,
                                       struct ps_error *err)
{
    double factor;
    if (strcmp(text, "profile") == 0) {
        cluster->latency = PS_LATENCY_PROFILE;
    } else if (strcmp(text, "none") == 0) {
        cluster->latency = PS_LATENCY_NONE;
    } else if (read_number(text, 0, 1000, &factor)) {
        cluster->latency = PS_LATENCY_SCALE;
        cluster->latency_scale_milli = (uint32_t)(factor * 1000 + 0.5);
    } else {
        return ps_fail(err, PS_INVALID,
                       "--latency %s: profile, none or a factor (0 to 1000) is expected", text);
    }
    return PS_OK;
}
