/* The catalogue of PoPs: its form, where its cities lie, distances and round trips. */
#include "replication/base/memory.h"
#include "replication/world/pops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct ps_pop *pop(const char *code)
{
    const struct ps_pop *found = ps_pop_find(ps_slice_of(code));
    assert_non_null(found);
    return found;
}

/* Where a region's cities may lie: south, north, west, east (beyond 180: over the date line). */
static const struct {
    const char *name;
    double south, north, west, east;
} regions[] = {
    {"wnam", 14, 72, -180, -86}, {"enam", 7, 60, -100, -50}, {"weur", 27, 72, -32, 32},
    {"eeur", 34, 72, 11, 180},   {"apac", -12, 54, 50, 150}, {"oc", -50, 20, 110, 215},
    {"sam", -56, 14, -93, -33},  {"afr", -36, 38, -26, 64},  {"me", 12, 42, 30, 64},
};

static void test_entries(void **state)
{
    (void)state;
    size_t in_region[COUNT(regions)] = {0};
    assert_true(ps_pop_count() >= 300);
    for (size_t i = 0; i < ps_pop_count(); i++) {
        const struct ps_pop *at = ps_pop_at(i);
        assert_int_equal(strlen(at->code), 3);
        for (int k = 0; k < 3; k++) {
            assert_in_range(at->code[k], 'a', 'z');
        }
        assert_true(i == 0 || strcmp(ps_pop_at(i - 1)->code, at->code) < 0);
        assert_true(strlen(at->city) >= 2);
        assert_int_equal(strlen(at->country), 2);
        assert_in_range(at->country[0], 'A', 'Z');
        assert_in_range(at->country[1], 'A', 'Z');
        size_t region = 0;
        while (region < COUNT(regions) && strcmp(regions[region].name, at->region) != 0) {
            region++;
        }
        assert_true(region < COUNT(regions));
        in_region[region]++;
        double longitude = at->longitude + (at->longitude < regions[region].west ? 360 : 0);
        if (at->latitude < regions[region].south || at->latitude > regions[region].north ||
            longitude > regions[region].east) {
            fail_msg("%s (%s) lies outside of %s: %f %f", at->code, at->city, at->region,
                     at->latitude, at->longitude);
        }
        /* A city name is text: no quote of the table it came from, no control character. */
        assert_null(strpbrk(at->city, "\"\\\t\n\r"));
    }
    for (size_t i = 0; i < COUNT(regions); i++) {
        assert_true(in_region[i] >= 5);
        assert_true(ps_region_exists(ps_slice_of(regions[i].name)));
    }
    assert_false(ps_region_exists(PS_LIT("")));
    assert_false(ps_region_exists(PS_LIT("europe")));
    assert_false(ps_region_exists(PS_LIT("weu")));
}

static void test_known_entries(void **state)
{
    (void)state;

    static const struct {
        const char *code, *city, *country, *region;
        double latitude, longitude;
    } known[] = {
        {"fra", "Frankfurt", "DE", "weur", 50.03, 8.57},
        {"iad", "Ashburn", "US", "enam", 38.94, -77.46},
        {"sjc", "San Jose", "US", "wnam", 37.36, -121.93},
        {"sin", "Singapore", "SG", "apac", 1.36, 103.99},
        {"syd", "Sydney", "AU", "oc", -33.95, 151.18},
        {"gru", "São Paulo", "BR", "sam", -23.44, -46.47},
        {"jnb", "Johannesburg", "ZA", "afr", -26.14, 28.25},
        {"dxb", "Dubai", "AE", "me", 25.25, 55.36},
        {"waw", "Warsaw", "PL", "eeur", 52.17, 20.97},
    };

    for (size_t i = 0; i < COUNT(known); i++) {
        const struct ps_pop *at = pop(known[i].code);
        assert_string_equal(at->city, known[i].city);
        assert_string_equal(at->country, known[i].country);
        assert_string_equal(at->region, known[i].region);
        assert_true(fabs(at->latitude - known[i].latitude) < 0.05);
        assert_true(fabs(at->longitude - known[i].longitude) < 0.05);
    }
}

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < ps_pop_count(); i++) {
        const struct ps_pop *at = ps_pop_at(i);
        assert_ptr_equal(ps_pop_find(ps_slice_of(at->code)), at);
        char upper[3];
        for (int k = 0; k < 3; k++) {
            upper[k] = (char)(at->code[k] - 'a' + 'A');
        }
        assert_ptr_equal(ps_pop_find((struct ps_slice){upper, 3}), at);
        upper[1] = at->code[1];
        assert_ptr_equal(ps_pop_find((struct ps_slice){upper, 3}), at);
    }
    static const struct ps_slice absent[] = {{NULL, 0},     {"", 0},     {"fr", 2},
                                             {"fran", 4},   {"zzz", 3},  {"aaa", 3},
                                             {"\0\0\0", 3}, {"fr\0", 3}, {"\xFF\xFF\xFF", 3}};
    for (size_t i = 0; i < COUNT(absent); i++) {
        assert_null(ps_pop_find(absent[i]));
    }
}

/* `--pops N` takes each PoP once, and the first few from all over the world. */
static void test_spread_is_a_permutation(void **state)
{
    (void)state;
    bool *seen = PS_NEW_ARRAY(bool, ps_pop_count());
    for (size_t n = 0; n < ps_pop_count(); n++) {
        size_t index = (size_t)(ps_pop_spread(n) - ps_pop_at(0));
        assert_true(index < ps_pop_count());
        assert_false(seen[index]);
        seen[index] = true;
    }
    free(seen);
    for (size_t a = 0; a < COUNT(regions); a++) {
        for (size_t b = 0; b < a; b++) {
            assert_string_not_equal(ps_pop_spread(a)->region, ps_pop_spread(b)->region);
        }
    }
}

static void check_distance(const struct ps_pop *a, const struct ps_pop *b, double km)
{
    /* The earth is no sphere: up to half a per cent. */
    assert_true(fabs(ps_pop_distance_km(a, b) - km) < km * 0.005);
}

static void test_distances(void **state)
{
    (void)state;
    const struct ps_pop jfk = {.code = "jfk", .latitude = 40.6398, .longitude = -73.7789};
    check_distance(pop("lhr"), &jfk, 5540);
    check_distance(pop("fra"), pop("sin"), 10263);
    check_distance(pop("sin"), pop("syd"), 6289);
    check_distance(pop("syd"), pop("akl"), 2158);
    check_distance(pop("lax"), pop("nrt"), 8773); /* over the date line */
    check_distance(pop("gru"), pop("jnb"), 7446);
    check_distance(pop("lhr"), pop("cdg"), 348);

    const struct ps_pop zero = {.latitude = 0, .longitude = 0};
    const struct ps_pop behind = {.latitude = 0, .longitude = 180};
    const struct ps_pop north = {.latitude = 90, .longitude = 123};
    const struct ps_pop south = {.latitude = -90, .longitude = -7};
    double half_km = 3.14159265358979 * 6371.0088;
    assert_true(fabs(ps_pop_distance_km(&zero, &behind) - half_km) < 1e-6);
    assert_true(fabs(ps_pop_distance_km(&north, &south) - half_km) < 1e-6);
    assert_true(fabs(ps_pop_distance_km(&zero, &north) - half_km / 2) < 1e-6);
    const struct ps_pop near = {.latitude = 0, .longitude = 1e-6};
    assert_true(fabs(ps_pop_distance_km(&zero, &near) / (half_km * 1e-6 / 180) - 1) < 1e-9);
}

/* Round trips are times that a run replays: all machines must agree on them to the bit. They come
 * from libm's sine, whose last bit differs between machines, so none may lie close to where it is
 * rounded. */
static void test_round_trips(void **state)
{
    (void)state;
    assert_true(ps_pop_round_trip(pop("fra"), pop("fra"), PS_ROUTE_FACTOR) == 0);
    for (size_t a = 0; a < ps_pop_count(); a++) {
        for (size_t b = 0; b < a; b++) {
            double km = ps_pop_distance_km(ps_pop_at(a), ps_pop_at(b));
            assert_true(km > 0 && km < 20016);
            double us = 2e6 * km * PS_ROUTE_FACTOR / (299792.458 * 2 / 3) + 1000;
            assert_true(fabs(us - floor(us) - 0.5) > 1e-7);
            ps_dur_ns trip_ns = ps_pop_round_trip(ps_pop_at(a), ps_pop_at(b), PS_ROUTE_FACTOR);
            assert_true(trip_ns % PS_US == 0);
            assert_true(fabs((double)trip_ns / 1000 - us) <= 0.5 + 1e-6);
            assert_true(trip_ns == ps_pop_round_trip(ps_pop_at(b), ps_pop_at(a), PS_ROUTE_FACTOR));
        }
    }
    /* As far as published measurements go: London - New York 70 to 90 ms, Frankfurt - Singapore 145
     * to 180. */
    assert_in_range(ps_pop_round_trip(pop("lhr"), pop("ewr"), PS_ROUTE_FACTOR), 70 * PS_MS,
                    90 * PS_MS);
    assert_in_range(ps_pop_round_trip(pop("fra"), pop("sin"), PS_ROUTE_FACTOR), 145 * PS_MS,
                    180 * PS_MS);
    ps_dur_ns direct_ns = ps_pop_round_trip(pop("fra"), pop("sin"), 1);
    ps_dur_ns twice_ns = ps_pop_round_trip(pop("fra"), pop("sin"), 2);
    assert_in_range(twice_ns + PS_MS, 2 * direct_ns - PS_US, 2 * direct_ns + PS_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),   cmocka_unit_test(test_known_entries),
        cmocka_unit_test(test_find),      cmocka_unit_test(test_spread_is_a_permutation),
        cmocka_unit_test(test_distances), cmocka_unit_test(test_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
