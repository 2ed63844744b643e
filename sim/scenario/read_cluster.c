#include "replication/base/memory.h"
#include "sim/scenario/number.h"
#include "sim/scenario/read.h"

#include <string.h>

static const char *const CLUSTER_KEYS[] = {"home",         "pops",       "latency", "speed",
                                           "route_factor", "durability", "epoch"};

static enum ps_status find_in_catalogue(struct ps_reader *reader, const struct ps_yaml *node,
                                        const struct ps_pop **ret)
{
    struct ps_slice code;
    enum ps_status status = ps_read_text(reader, node, "the code of a PoP, such as fra", &code);
    if (status != PS_OK) {
        return status;
    }
    const struct ps_pop *pop = ps_pop_find(code);
    if (pop == NULL) {
        struct ps_buf text = {0};
        ps_buf_append_text(&text, "found PoP ");
        ps_yaml_quote(&text, code);
        ps_buf_append_text(&text, ", expected a code that `popsim pops` lists, for example ");
        (void)ps_nearest_pops(&text, code, NULL);
        status = ps_refuse(reader, node, "%s", ps_buf_text(&text));
        ps_buf_fini(&text);
        return status;
    }
    *ret = pop;
    return PS_OK;
}

static enum ps_status add(struct ps_reader *reader, const struct ps_yaml *node,
                          const struct ps_pop *pop)
{
    struct ps_error err = {0};
    enum ps_status status =
        ps_cluster_add_pop(&reader->scenario->cluster, ps_slice_of(pop->code), &err);
    if (status == PS_EXISTS) {
        return ps_found(reader, node, "each PoP once");
    }
    return status == PS_OK ? PS_OK : ps_refuse(reader, node, "%s", err.text);
}

static enum ps_status add_number(struct ps_reader *reader, const struct ps_yaml *node,
                                 const struct ps_pop *home, uint64_t count)
{
    const struct ps_cluster *cluster = &reader->scenario->cluster;
    enum ps_status status = home != NULL ? add(reader, node, home) : PS_OK;
    for (size_t i = 0; status == PS_OK && cluster->pop_count < count; i++) {
        const struct ps_pop *pop = ps_pop_spread(i);
        if (pop != home) {
            status = add(reader, node, pop);
        }
    }
    return status;
}

static bool region_named(const struct ps_yaml *node, const char *region)
{
    struct ps_slice name = ps_slice_of(region);
    if (node->kind == PS_YAML_SCALAR) {
        return ps_slice_eq(ps_yaml_slice(node), name);
    }
    for (size_t i = 0; i < node->count; i++) {
        if (ps_slice_eq(ps_yaml_slice(node->items[i]), name)) {
            return true;
        }
    }
    return false;
}

static enum ps_status add_regions(struct ps_reader *reader, const struct ps_yaml *node)
{
    static const char *const KEYS[] = {"region"};
    static const char *const REGIONS[] = {"wnam", "enam", "weur", "eeur", "apac",
                                          "oc",   "sam",  "afr",  "me"};
    const struct ps_yaml *regions = NULL;
    enum ps_status status = ps_read_keys(reader, node, "PoPs", KEYS, PS_COUNT(KEYS));
    if (status == PS_OK) {
        status = ps_read_member(reader, node, "region", "a region, as in {region: weur}", &regions);
    }
    if (status == PS_OK &&
        (regions->kind == PS_YAML_MAP || (regions->kind == PS_YAML_LIST && regions->count == 0))) {
        status = ps_found(reader, regions, "a region or a list of regions");
    }
    if (status == PS_OK) {
        size_t index;
        if (regions->kind == PS_YAML_SCALAR) {
            status = ps_read_choice(reader, regions, REGIONS, PS_COUNT(REGIONS), &index);
        }
        for (size_t i = 0; regions->kind == PS_YAML_LIST && i < regions->count && status == PS_OK;
             i++) {
            status = ps_read_choice(reader, regions->items[i], REGIONS, PS_COUNT(REGIONS), &index);
        }
    }
    for (size_t i = 0; i < ps_pop_count() && status == PS_OK; i++) {
        if (region_named(regions, ps_pop_at(i)->region)) {
            status = add(reader, node, ps_pop_at(i));
        }
    }
    return status;
}

static enum ps_status read_pops(struct ps_reader *reader, const struct ps_yaml *node,
                                const struct ps_pop *home)
{
    static const char EXPECTED[] = "a list of PoP codes, a number, all, or {region: weur}";
    enum ps_status status = PS_OK;
    uint64_t count;
    size_t most = ps_pop_count() < PS_POPS_MAX ? ps_pop_count() : PS_POPS_MAX;
    if (node->kind == PS_YAML_MAP) {
        return add_regions(reader, node);
    }
    if (node->kind == PS_YAML_LIST) {
        if (node->count == 0) {
            return ps_refuse(reader, node, "found an empty list, expected at least one PoP");
        }
        for (size_t i = 0; i < node->count && status == PS_OK; i++) {
            const struct ps_pop *pop = NULL;
            status = find_in_catalogue(reader, node->items[i], &pop);
            if (status == PS_OK) {
                status = add(reader, node->items[i], pop);
            }
        }
        return status;
    }
    if (ps_slice_eq(ps_yaml_slice(node), PS_LIT("all"))) {
        for (size_t i = 0; i < most && status == PS_OK; i++) {
            status = add(reader, node, ps_pop_at(i));
        }
        return status;
    }
    if (ps_number_u64(ps_yaml_slice(node), &count)) {
        if (count < 1 || count > most) {
            return ps_refuse(reader, node, "found %s PoPs, expected 1 to %zu", node->text, most);
        }
        return add_number(reader, node, home, count);
    }
    return ps_found(reader, node, EXPECTED);
}

/** Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    /* Count years from March, so that the leap day is a year's last. */
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t digits(const char *text, size_t count)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = text[i] >= '0' && text[i] <= '9' ? value * 10 + (text[i] - '0') : INT32_MIN;
        if (value < 0) {
            return -1;
        }
    }
    return value;
}

/** "2026-01-01T00:00:00Z" */
static bool parse_date(struct ps_slice text, int64_t *ret)
{
    static const int64_t DAYS[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *t = text.data;
    if (text.size != 20 || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' ||
        t[16] != ':' || t[19] != 'Z') {
        return false;
    }
    int64_t year = digits(t, 4), month = digits(t + 5, 2), day = digits(t + 8, 2);
    int64_t hour = digits(t + 11, 2), minute = digits(t + 14, 2), second = digits(t + 17, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > DAYS[month - 1] ||
        (month == 2 && day == 29 && !leap) || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59) {
        return false;
    }
    *ret = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

static enum ps_status read_epoch(struct ps_reader *reader, const struct ps_yaml *node)
{
    uint64_t seconds;
    int64_t epoch;
    if (node->kind == PS_YAML_SCALAR && ps_number_u64(ps_yaml_slice(node), &seconds) &&
        seconds <= (uint64_t)253402300799) { /* the end of year 9999 */
        reader->scenario->cluster.epoch_unix_s = (int64_t)seconds;
    } else if (node->kind == PS_YAML_SCALAR && parse_date(ps_yaml_slice(node), &epoch)) {
        reader->scenario->cluster.epoch_unix_s = epoch;
    } else {
        return ps_found(reader, node, "Unix seconds, or a time such as 2026-01-01T00:00:00Z");
    }
    return PS_OK;
}

static enum ps_status read_latency(struct ps_reader *reader, const struct ps_yaml *node)
{
    struct ps_cluster *cluster = &reader->scenario->cluster;
    static const char EXPECTED[] = "profile, none, or {scale: 0.5}";
    if (node->kind == PS_YAML_MAP) {
        static const char *const KEYS[] = {"scale"};
        const struct ps_yaml *scale = NULL;
        double factor = 0;
        enum ps_status status = ps_read_keys(reader, node, "a latency", KEYS, PS_COUNT(KEYS));
        if (status == PS_OK) {
            status = ps_read_member(reader, node, "scale", "a factor, as in {scale: 0.5}", &scale);
        }
        if (status == PS_OK) {
            status =
                ps_read_double(reader, scale, 0.001, 1000, "a factor from 0.001 to 1000", &factor);
        }
        if (status == PS_OK) {
            cluster->latency = PS_LATENCY_SCALE;
            cluster->latency_scale_milli = (uint32_t)(factor * 1000 + 0.5);
        }
        return status;
    }
    if (node->kind == PS_YAML_SCALAR && ps_slice_eq(ps_yaml_slice(node), PS_LIT("profile"))) {
        cluster->latency = PS_LATENCY_PROFILE;
    } else if (node->kind == PS_YAML_SCALAR && ps_slice_eq(ps_yaml_slice(node), PS_LIT("none"))) {
        cluster->latency = PS_LATENCY_NONE;
    } else {
        return ps_found(reader, node, EXPECTED);
    }
    return PS_OK;
}

static enum ps_status read_options(struct ps_reader *reader, const struct ps_yaml *node)
{
    struct ps_cluster *cluster = &reader->scenario->cluster;
    enum ps_status status = PS_OK;
    const struct ps_yaml *option = ps_yaml_get(node, "latency");
    if (option != NULL) {
        status = read_latency(reader, option);
    }
    option = ps_yaml_get(node, "speed");
    if (option != NULL && status == PS_OK) {
        double speed = 1;
        status = ps_read_double(reader, option, 0.001, 100000,
                                "cluster seconds per second, from 0.001 to 100000", &speed);
        cluster->speed_milli = (uint64_t)(speed * 1000 + 0.5);
    }
    option = ps_yaml_get(node, "route_factor");
    if (option != NULL && status == PS_OK) {
        status = ps_read_double(reader, option, 1, 100, "a factor from 1 to 100",
                                &cluster->route_factor);
    }
    option = ps_yaml_get(node, "durability");
    if (option != NULL && status == PS_OK) {
        static const char *const NAMES[] = {"sync", "relaxed"};
        size_t index = 0;
        status = ps_read_choice(reader, option, NAMES, PS_COUNT(NAMES), &index);
        cluster->durability = index == 0 ? PS_DURABILITY_SYNC : PS_DURABILITY_RELAXED;
    }
    option = ps_yaml_get(node, "epoch");
    if (option != NULL && status == PS_OK) {
        status = read_epoch(reader, option);
    }
    return status;
}

enum ps_status ps_read_cluster(struct ps_reader *reader, const struct ps_yaml *node)
{
    struct ps_cluster *cluster = &reader->scenario->cluster;
    const struct ps_yaml *pops = NULL;
    const struct ps_yaml *home_node = NULL;
    const struct ps_pop *home = NULL;
    enum ps_status status =
        ps_read_keys(reader, node, "a cluster", CLUSTER_KEYS, PS_COUNT(CLUSTER_KEYS));
    if (status == PS_OK) {
        status =
            ps_read_member(reader, node, "pops",
                           "pops: a list of PoP codes, a number, all, or {region: weur}", &pops);
    }
    if (status == PS_OK) {
        home_node = ps_yaml_get(node, "home");
        status = home_node != NULL ? find_in_catalogue(reader, home_node, &home) : PS_OK;
    }
    if (status == PS_OK) {
        status = read_pops(reader, pops, home);
    }
    if (status == PS_OK && home != NULL) {
        int index = ps_cluster_find_pop(cluster, ps_slice_of(home->code));
        if (index < 0) {
            return ps_refuse(reader, home_node, "found home %s, expected one of the cluster's pops",
                             home->code);
        }
        cluster->home = (uint16_t)index;
    }
    return status == PS_OK ? read_options(reader, node) : status;
}
