/* Wrong scenario files and the exact words each is refused with. */
#include "node/kv/kv.h"
#include "node/r2/conditional.h"
#include "replication/base/memory.h"
#include "sim/scenario/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Lines 1 to 3, and line 4, of most cases. */
#define HEAD                                                                                       \
    "duration: 60s\ncluster: {home: ams, pops: [ams, fra, syd]}\nstores: {CACHE: {type: kv}}\n"
#define GETS "workload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n"

#define HEAD_D1                                                                                    \
    "duration: 60s\ncluster: {home: ams, pops: [ams, fra, syd]}\n"                                 \
    "stores: {CACHE: {type: kv}, DB: {type: d1}}\n"

#define HEAD_R2                                                                                    \
    "duration: 60s\ncluster: {home: ams, pops: [ams, fra, syd]}\n"                                 \
    "stores: {CACHE: {type: kv}, ASSETS: {type: r2}}\n"

/* clang-format off */
static const struct wrong {
    const char *yaml;
    const char *message;
} WRONG[] = {
    {"",
     "t.yaml:1:1: found nothing, expected a scenario"},
    {"# nothing\n",
     "t.yaml:1:1: found nothing, expected a scenario"},
    {"--- \n",
     "t.yaml:1:1: found nothing, expected a scenario, a map with the keys name, seed, duration, cluster, stores, workload, faults, expect"},
    {"[]\n",
     "t.yaml:1:1: found an empty list, expected a scenario, a map with the keys name, seed, duration, cluster, stores, workload, faults, expect"},
    {"name",
     "t.yaml:1:1: found \"name\", expected a scenario, a map with the keys name, seed, duration, cluster, stores, workload, faults, expect"},
    {"a: b: c\n",
     "t.yaml:1:5: found a mistake in the YAML: invalid nested block mapping on the same line"},
    {"a: [1, 2\n",
     "t.yaml:2:1: found a mistake in the YAML: flow sequence without a closing bracket"},
    {"a: \"x\n",
     "t.yaml:1:5: found a mistake in the YAML: double-quoted scalar without closing quote"},
    {"\tname: x\n",
     "t.yaml:1:1: found a mistake in the YAML: invalid tab as indendation in a mapping"},
    {HEAD "name: x\nname: y\n",
     "t.yaml:5:1: found key \"name\" twice, expected it once (first at line 4)"},
    {"name: &a x\n",
     "t.yaml:1:7: found an anchor, expected plain YAML without anchors and aliases"},
    {"name: *a\n",
     "t.yaml:1:7: found an alias, expected plain YAML without anchors and aliases"},
    {"name: !!str x\n",
     "t.yaml:1:7: found a tag, expected plain YAML without tags"},
    {"a: 1\n---\na: 2\n",
     "t.yaml:2:1: found a second document, expected one"},
    {"? [a]\n: b\n",
     "t.yaml:1:3: found a list as a key, expected a name"},
    {"? {a: b}\n: c\n",
     "t.yaml:1:3: found a map as a key, expected a name"},
    {"name: \"a\\0b\"\n",
     "t.yaml:1:7: found a NUL character in text, expected none"},
    {"name: \"\\ud800\"\n",
     "t.yaml:1:8: found a mistake in the YAML: double-quoted scalar has invalid UTF8 escape"},
    {"name: x\377y\n",
     "t.yaml:1:8: found a byte that is no UTF-8, expected text"},
    {"name: a\\0b",
     "t.yaml:1:1: found no key \"duration\", expected how long it runs, as in duration: 3m"},
    {"a: [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n",
     "t.yaml:1:19: found nesting deeper than 16, expected at most 16"},
    {HEAD "workload: [[1]]\n",
     "t.yaml:4:12: found a list, expected a workload, a map with the keys name, at, every, rate, clients, think, trace, from, until, count, pop, mix, kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {HEAD "workload: [{every: 1s, pop: each, mix: [[1]]}]\n",
     "t.yaml:4:41: found a list, expected an operation with a weight, a map with the keys weight, kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {HEAD GETS "workloads: []\n",
     "t.yaml:5:1: found key \"workloads\", expected one of name, seed, duration, cluster, stores, workload, faults, expect; did you mean workload?"},
    {HEAD GETS "colour: red\n",
     "t.yaml:5:1: found key \"colour\", expected one of name, seed, duration, cluster, stores, workload, faults, expect"},
    {HEAD GETS "seed: -1\n",
     "t.yaml:5:7: found \"-1\", expected a seed, an integer from 0 to 2^64 - 1"},
    {HEAD GETS "seed: 1.5\n",
     "t.yaml:5:7: found \"1.5\", expected a seed, an integer from 0 to 2^64 - 1"},
    {HEAD GETS "seed: 99999999999999999999\n",
     "t.yaml:5:7: found \"99999999999999999999\", expected a seed, an integer from 0 to 2^64 - 1"},
    {HEAD GETS "name: [a]\n",
     "t.yaml:5:7: found a list, expected a name"},
    {HEAD GETS "name: ''\n",
     "t.yaml:5:7: found \"\", expected a name of 1 to 200 bytes"},
    {HEAD GETS "flows: a.lua\n",
     "t.yaml:5:1: flows are not available in this version; available: kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {"cluster: {pops: [ams]}\n",
     "t.yaml:1:1: found no key \"duration\", expected how long it runs, as in duration: 3m"},
    {"duration: 3 minutes\n",
     "t.yaml:1:11: found \"3 minutes\", expected a time over 0 and up to 3650d, such as 3m"},
    {"duration: 0s\n",
     "t.yaml:1:11: found \"0s\", expected a time over 0 and up to 3650d, such as 3m"},
    {"duration: 11y\n",
     "t.yaml:1:11: found \"11y\", expected a time over 0 and up to 3650d, such as 3m"},
    {"duration: [3m]\n",
     "t.yaml:1:11: found a list, expected a time over 0 and up to 3650d, such as 3m"},
    {"duration: 4000d\n",
     "t.yaml:1:11: found \"4000d\", expected a time over 0 and up to 3650d, such as 3m"},
    {"duration:\n",
     "t.yaml:1:1: found nothing, expected a time over 0 and up to 3650d, such as 3m"},
    {"duration: 60s\n",
     "t.yaml:1:1: found no key \"cluster\", expected the cluster, as in cluster: {pops: [ams, fra]}"},
    {"duration: 60s\ncluster: ams\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:10: found \"ams\", expected a cluster, a map with the keys home, pops, latency, speed, route_factor, durability, epoch"},
    {"duration: 60s\ncluster: {home: ams}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:10: found no key \"pops\", expected pops: a list of PoP codes, a number, all, or {region: weur}"},
    {"duration: 60s\ncluster: {pops: [ams, frx]}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:23: found PoP \"frx\", expected a code that `popsim pops` lists, for example fra, fru, akx"},
    {"duration: 60s\ncluster: {pops: [Frankfurt]}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:18: found PoP \"Frankfurt\", expected a code that `popsim pops` lists, for example fra"},
    {"duration: 60s\ncluster: {pops: [ams, ams]}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:23: found \"ams\", expected each PoP once"},
    {"duration: 60s\ncluster: {pops: []}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:17: found an empty list, expected at least one PoP"},
    {"duration: 60s\ncluster: {pops: 0}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:17: found 0 PoPs, expected 1 to 332"},
    {"duration: 60s\ncluster: {pops: 5000}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:17: found 5000 PoPs, expected 1 to 332"},
    {"duration: 60s\ncluster: {pops: some}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:17: found \"some\", expected a list of PoP codes, a number, all, or {region: weur}"},
    {"duration: 60s\ncluster: {pops: {region: europe}}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:26: found \"europe\", expected one of wnam, enam, weur, eeur, apac, oc, sam, afr, me"},
    {"duration: 60s\ncluster: {pops: {region: []}}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:26: found an empty list, expected a region or a list of regions"},
    {"duration: 60s\ncluster: {pops: {area: weur}}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:18: found key \"area\", expected region"},
    {"duration: 60s\ncluster: {home: fra, pops: [ams, syd]}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:17: found home fra, expected one of the cluster's pops"},
    {"duration: 60s\ncluster: {pops: [ams], latency: fast}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:33: found \"fast\", expected profile, none, or {scale: 0.5}"},
    {"duration: 60s\ncluster: {pops: [ams], latency: {scale: 0}}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:41: found \"0\", expected a factor from 0.001 to 1000"},
    {"duration: 60s\ncluster: {pops: [ams], speed: 0}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:31: found \"0\", expected cluster seconds per second, from 0.001 to 100000"},
    {"duration: 60s\ncluster: {pops: [ams], route_factor: 0.5}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:38: found \"0.5\", expected a factor from 1 to 100"},
    {"duration: 60s\ncluster: {pops: [ams], durability: none}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:36: found \"none\", expected one of sync, relaxed"},
    {"duration: 60s\ncluster: {pops: [ams], epoch: 2026-02-30T00:00:00Z}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:31: found \"2026-02-30T00:00:00Z\", expected Unix seconds, or a time such as 2026-01-01T00:00:00Z"},
    {"duration: 60s\ncluster: {pops: [ams], hom: ams}\nstores: {CACHE: {type: kv}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:2:24: found key \"hom\", expected one of home, pops, latency, speed, route_factor, durability, epoch; did you mean home?"},
    {"duration: 60s\ncluster: {pops: [ams]}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:1:1: found no key \"stores\", expected the stores, as in stores: {CACHE: {type: kv}}"},
    {"duration: 60s\ncluster: {pops: [ams]}\nstores: {}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:3:9: found no store, expected at least one, as in CACHE: {type: kv}"},
    {"duration: 60s\ncluster: {pops: [ams]}\nstores: [CACHE]\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:3:9: found a list, expected stores by name, as in CACHE: {type: kv}"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: kv\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:10: found \"kv\", expected a store, a map with the keys type, profile, home, policy, timeout, write_interval, delay, order, ttl, ttl_min, own_writes, negative, shorten, refresh_ahead, tier, schema, schema_sql, public"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:10: found no key \"type\", expected a store type, as in type: kv"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: d1}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:5:51: found store CACHE, which is of type d1, expected one of type kv"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, profile: workers-kv}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:27: found \"workers-kv\", expected one of d1-replica, none"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, order: none}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:25: found key \"order\" of a store of type d1, expected those of type kv alone to have it: databases are pushed in order"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, schema: schema.sql}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:29: found key \"schema\" of a store of type kv, expected it of stores of type d1 alone"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, schema: no-such.sql}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:26: found no-such.sql: No such file or directory"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, schema_sql: ''}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:30: found nothing, expected SQL"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, schema_sql: []}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:30: found an empty list, expected SQL"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  DB: {type: d1, schema: a.sql, schema_sql: SELECT 1}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:45: found both schema and schema_sql, expected one of them"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  ASSETS: {type: r2, policy: push}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:30: found key \"policy\" of a store of type r2, expected none: buckets are strongly consistent"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: redis}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:17: found \"redis\", expected a store type: kv, d1 or r2"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, profile: worker-kv}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:30: found \"worker-kv\", expected one of workers-kv, workers-kv-30s, kv-instant, kv-push-60s, d1-replica, r2, none; did you mean workers-kv?"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, home: gru}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:27: found PoP \"gru\", expected one of this cluster: fra, ams, syd"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  \"CA CHE\": {type: kv}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:3: found store \"CA CHE\": a store's name has 1 to 63 letters, digits, \"_\", \"-\" or \".\""},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, tll: 60s}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:21: found key \"tll\", expected one of type, profile, home, policy, timeout, write_interval, delay, order, ttl, ttl_min, own_writes, negative, shorten, refresh_ahead, tier, schema, schema_sql, public; did you mean ttl?"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, ttl: 0s}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:26: found \"0s\", expected a time over 0 and up to 365d, such as 60s"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, ttl: sixty}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:26: found \"sixty\", expected a time over 0 and up to 365d, such as 60s"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, delay: 5s}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:21: found key \"delay\" of policy push, expected keys of this store's policy, which is cache"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, ttl: 5s}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:35: found key \"ttl\" of policy cache, expected keys of this store's policy, which is push"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: pull}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:29: found \"pull\", expected one of push, cache, strong; did you mean push?"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, own_writes: maybe}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:33: found \"maybe\", expected true or false"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, refresh_ahead: 2}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:36: found \"2\", expected a share of an entry's life from 0 (never) to 1"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, tier: maybe}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:27: found \"maybe\", expected none, {ttl: 5m} or {revalidated: 2s}"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, tier: {ttl: 5m, revalidated: 2s}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:27: found a tier with 2 keys, expected none, {ttl: 5m} or {revalidated: 2s}"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, timeout: 0}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:30: found \"0\", expected a time from 1ms to 1h, such as 5s"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, write_interval: -1s}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:37: found \"-1s\", expected a time up to 1h between writes of one key, such as 1s (0 = any)"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, order: lifo}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:42: found \"lifo\", expected one of fifo, none; did you mean fifo?"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {gauss: 5s}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:43: found key \"gauss\", expected one of constant, uniform, exponential, lognormal, pareto, mixture, empirical, max"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {constant: 5s, uniform: [0s, 1s]}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:42: found 2 distributions, expected one of constant, uniform, exponential, lognormal, pareto, mixture, empirical"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {max: 5s}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:42: found 0 distributions, expected one of constant, uniform, exponential, lognormal, pareto, mixture, empirical"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {uniform: [5s]}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:52: found a list, expected the least and the greatest delay, as in [0s, 60s]"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {uniform: [5s, 1s]}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:57: found \"1s\", expected a delay not below the first"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {lognormal: {p50: 1s}}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:54: found a lognormal delay without its two figures, expected p50 and p99, or median and sigma"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {lognormal: {p50: 2s, p99: 1s}}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:69: found \"1s\", expected a p99 not below the p50"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {pareto: {scale: 1s, shape: 0}}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:70: found \"0\", expected a shape from 0.01 to 1000"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {mixture: []}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:52: found an empty list, expected a list of 1 to 8 delays, each with a weight"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {mixture: [{constant: 1s}]}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:53: found no key \"weight\", expected the part's share"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {mixture: [{weight: 1, mixture: []}]}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:53: found a mixture in a mixture, expected a simple distribution"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {empirical: no-such-file.txt}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:54: found no-such-file.txt: No such file or directory"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  CACHE: {type: kv, policy: push, delay: {empirical: []}}\nworkload: [{every: 1s, pop: each, kv.get: {store: CACHE, key: a}}]\n",
     "t.yaml:4:54: found no samples, expected at least one"},
    {HEAD "",
     "t.yaml:1:1: found no key \"workload\", expected a list of workloads"},
    {HEAD "workload: []\n",
     "t.yaml:4:11: found an empty list, expected at least one workload"},
    {HEAD "workload: {}\n",
     "t.yaml:4:11: found an empty map, expected a list of workloads"},
    {HEAD "workload:\n  - read\n",
     "t.yaml:5:5: found \"read\", expected a workload, a map with the keys name, at, every, rate, clients, think, trace, from, until, count, pop, mix, kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {HEAD "workload:\n  - {pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found no timing, expected one of at, every, rate, clients, trace"},
    {HEAD "workload:\n  - {at: 1s, every: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found both at and every, expected one of at, every, rate, clients, trace"},
    {HEAD "workload:\n  - {at: 60s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:10: found at: 60s, expected a time before the run's duration, 1m"},
    {HEAD "workload:\n  - {at: [1s, 70s], pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:15: found at: 70s, expected a time before the run's duration, 1m"},
    {HEAD "workload:\n  - {at: [], pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:10: found an empty list, expected a time such as 30s, or a list of 1 to 10000 times"},
    {HEAD "workload:\n  - {every: 0s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:13: found \"0s\", expected a period over 0, such as 1s"},
    {HEAD "workload:\n  - {rate: fast, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:12: found \"fast\", expected operations per time over 0, such as 200/s, 5/m or 0.5"},
    {HEAD "workload:\n  - {rate: 5/w, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:12: found \"5/w\", expected operations per time over 0, such as 200/s, 5/m or 0.5"},
    {HEAD "workload:\n  - {rate: 0, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:12: found \"0\", expected operations per time over 0, such as 200/s, 5/m or 0.5"},
    {HEAD "workload:\n  - {clients: 0, think: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:15: found \"0\", expected a number of clients from 1 to 1000000"},
    {HEAD "workload:\n  - {clients: 5, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found no key \"think\", expected how long a client waits between operations, as in think: 50ms"},
    {HEAD "workload:\n  - {clients: 5, think: 0, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:25: found \"0\", expected a think time from 1us to 365d"},
    {HEAD "workload:\n  - {every: 1s, think: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:17: found key \"think\" beside every, expected keys that go with it"},
    {HEAD "workload:\n  - {at: 1s, count: 3, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:14: found key \"count\" beside at, expected keys that go with it"},
    {HEAD "workload:\n  - {every: 1s, from: 30s, until: 20s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:35: found until: 20s, expected a time after from: 30s"},
    {HEAD "workload:\n  - {every: 1s, until: 61s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:24: found until: 61s, expected a time not beyond the run's duration, 1m"},
    {HEAD "workload:\n  - {every: 1s, from: 60s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:23: found from: 60s, expected a time before the run's duration, 1m"},
    {HEAD "workload:\n  - {every: 1s, count: 0, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:24: found \"0\", expected a number of operations from 1 to 10000000000"},
    {HEAD "workload:\n  - {every: 1ns, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found about 6e+10 operations, expected at most 1e+10"},
    {HEAD "workload:\n  - {every: 1s, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found no key \"pop\", expected where: pop: fra, a list of PoPs, each or any"},
    {HEAD "workload:\n  - {every: 1s, pop: lhr, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:22: found PoP \"lhr\", expected one of this cluster: ams, fra, syd"},
    {HEAD "workload:\n  - {every: 1s, pop: [fra, fra], kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:28: found \"fra\", expected each PoP once"},
    {HEAD "workload:\n  - {every: 1s, pop: [], kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:22: found an empty list, expected the code of a PoP, or a list of such codes"},
    {HEAD "workload:\n  - {every: 1s, pop: fra}\n",
     "t.yaml:5:5: found no operation, expected one of kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: a}, kv.put: {store: CACHE, key: a, value: b}}\n",
     "t.yaml:5:5: found both kv.get and kv.put, expected one operation (mix: [...] for several)"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.gett: {store: CACHE, key: a}}\n",
     "t.yaml:5:27: found key \"kv.gett\", expected one of name, at, every, rate, clients, think, trace, from, until, count, pop, mix, kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge; did you mean kv.get?"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, flow: getUser}\n",
     "t.yaml:5:27: operation flow is not available in this version; available: kv.get, kv.put, kv.delete, kv.list, d1.query, d1.batch, r2.get, r2.head, r2.put, r2.delete, r2.list, r2.fetch, r2.purge"},
    {HEAD "workload:\n  - {name: a/b, every: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:12: found \"a/b\", expected a name of 1 to 200 bytes without / and #"},
    {HEAD "workload:\n  - {name: a, every: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n  - {name: a, every: 1s, pop: fra, kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:6:12: found name \"a\" twice, expected a name of its own for each workload"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, mix: []}\n",
     "t.yaml:5:32: found an empty list, expected a list of 1 to 64 operations, as in [{weight: 9, kv.get: {...}}, ...]"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, mix: [{weight: 0, kv.get: {store: CACHE, key: a}}]}\n",
     "t.yaml:5:42: found \"0\", expected a weight over 0"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, mix: [{kv.get: {store: CACHE, key: a}}], kv.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:5: found both mix and kv.get, expected one of them"},
    {HEAD "workload:\n  - {trace: no-such-file.jsonl}\n",
     "t.yaml:5:13: found no-such-file.jsonl: No such file or directory"},
    {HEAD "workload:\n  - {trace: t.jsonl, pop: fra}\n",
     "t.yaml:5:22: found key \"pop\" beside trace, expected keys that go with it"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CASH, key: a}}\n",
     "t.yaml:5:43: found \"CASH\", expected CACHE"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {key: a}}\n",
     "t.yaml:5:35: found no key \"store\", expected the name of a store"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE}}\n",
     "t.yaml:5:35: found no key \"key\", expected a key"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: ''}}\n",
     "t.yaml:5:55: found an empty text, expected a key"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: ..}}\n",
     "t.yaml:5:55: found \"..\", expected a key other than . and .."},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"{bytes(513)}\"}}\n",
     "t.yaml:5:55: found a text of up to 513 bytes, expected a key of at most 512"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: a, ttl: 60}}\n",
     "t.yaml:5:58: found key \"ttl\", expected one of store, key, cacheTtl"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: a, cacheTtl: 29}}\n",
     "t.yaml:5:68: found \"29\", expected a cacheTtl of whole seconds, at least 30s"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.put: {store: CACHE, key: a}}\n",
     "t.yaml:5:35: found no key \"value\", expected a value"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.put: {store: CACHE, key: a, value: b, expirationTtl: 59s}}\n",
     "t.yaml:5:83: found \"59s\", expected an expirationTtl of whole seconds, at least 60s"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.put: {store: CACHE, key: a, value: b, expiration: 5}}\n",
     "t.yaml:5:80: found 5, expected an expiration at least 60 s after the run's begin, which is 1767225600"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.put: {store: CACHE, key: a, value: b, metadata: \"{bytes(1023)}\"}}\n",
     "t.yaml:5:78: found metadata of up to 1025 bytes as JSON, expected at most 1024"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.put: {store: CACHE, key: a, value: \"{bytes(26214401)}\"}}\n",
     "t.yaml:5:73: found \"26214401\", expected a number of bytes from 1 to 26214400"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.list: {store: CACHE, limit: 1001}}\n",
     "t.yaml:5:58: found \"1001\", expected a limit from 1 to 1000"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.list: {store: CACHE, key: a}}\n",
     "t.yaml:5:51: found key \"key\", expected one of store, prefix, limit"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:{zipf(10)}\"}}\n",
     "t.yaml:5:59: found \"zipf(10)\", expected {zipf(n, s)}"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:{zipf(0, 1)}\"}}\n",
     "t.yaml:5:64: found \"0\", expected the number of ranks, an integer from 1 to 2^50"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:{zipf(10, x)}\"}}\n",
     "t.yaml:5:68: found \"x\", expected an exponent from 0 to 100"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:{uniform(9, 3)}\"}}\n",
     "t.yaml:5:70: found \"3\", expected an integer not below the first"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:{rand}\"}}\n",
     "t.yaml:5:59: found \"rand\", expected a generator: zipf(n, s), uniform(from, to), seq, uuid, bytes(n) or pop ({{ for a brace)"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"\303\274:{seq\"}}\n",
     "t.yaml:5:58: found \"{seq\", expected a closing }, or {{ for a brace"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"u:seq}\"}}\n",
     "t.yaml:5:61: found \"}\", expected { before it, or }} for a brace"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"{seq(1)}\"}}\n",
     "t.yaml:5:57: found \"seq(1)\", expected {seq}"},
    {HEAD "workload:\n  - {every: 1s, pop: fra, kv.get: {store: CACHE, key: \"{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}{seq}\"}}\n",
     "t.yaml:5:131: found more than 15 parts in a text, expected at most 15"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: CACHE, sql: SELECT 1}}\n",
     "t.yaml:5:45: found store CACHE, which is of type kv, expected one of type d1"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, kv.get: {store: DB, key: a}}\n",
     "t.yaml:5:43: found store DB, which is of type d1, expected one of type kv"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB}}\n",
     "t.yaml:5:37: found no key \"sql\", expected a statement"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: ''}}\n",
     "t.yaml:5:54: found an empty text, expected a statement"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, withSession: primary}}\n",
     "t.yaml:5:77: found \"primary\", expected one of first-primary, first-unconstrained, bookmark, bookmark-primary"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, session: bookmark}}\n",
     "t.yaml:5:64: found key \"session\", expected one of store, sql, params, withSession"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, params: 5}}\n",
     "t.yaml:5:72: found \"5\", expected a list of at most 100 parameters, as in [1, \"two\"]"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, params: [[1]]}}\n",
     "t.yaml:5:73: found a list, expected a parameter: a text, a number, true, false, null or {number: \"{uniform(1, 100)}\"}"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, params: [{int: 1}]}}\n",
     "t.yaml:5:74: found key \"int\", expected number"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, params: [{number: five}]}}\n",
     "t.yaml:5:82: found \"five\", expected one generator of numbers, as in {number: \"{uniform(1, 100)}\"}"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: SELECT 1, params: [\"{rand}\"]}}\n",
     "t.yaml:5:75: found \"rand\", expected a generator: zipf(n, s), uniform(from, to), seq, uuid, bytes(n) or pop ({{ for a brace)"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.query: {store: DB, sql: \"{bytes(200000)}\"}}\n",
     "t.yaml:5:37: found statements and parameters of up to 200000 bytes, expected at most 131072"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.batch: {store: DB}}\n",
     "t.yaml:5:37: found no key \"statements\", expected a list, as in statements: [{sql: ...}, ...]"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.batch: {store: DB, statements: []}}\n",
     "t.yaml:5:61: found an empty list, expected a list of 1 to 1000 statements, as in [{sql: ...}, ...]"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.batch: {store: DB, statements: [SELECT 1]}}\n",
     "t.yaml:5:62: found \"SELECT 1\", expected a statement, a map with the keys sql, params"},
    {HEAD_D1 "workload:\n  - {every: 1s, pop: fra, d1.batch: {store: DB, statements: [{sql: SELECT 1, param: []}]}}\n",
     "t.yaml:5:78: found key \"param\", expected one of sql, params; did you mean params?"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.get: {store: ASSETS}}\n",
     "t.yaml:5:35: found no key \"key\", expected a key"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.get: {store: CACHE, key: a}}\n",
     "t.yaml:5:43: found store CACHE, which is of type kv, expected one of type r2"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, kv.get: {store: ASSETS, key: a}}\n",
     "t.yaml:5:43: found store ASSETS, which is of type r2, expected one of type kv"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.get: {store: ASSETS, key: a, range: 1}}\n",
     "t.yaml:5:59: found key \"range\", expected one of store, key, onlyIf"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.get: {store: ASSETS, key: \"\"}}\n",
     "t.yaml:5:56: found an empty text, expected a key"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.get: {store: ASSETS, key: \"{bytes(1025)}\"}}\n",
     "t.yaml:5:56: found a text of up to 1025 bytes, expected a key of at most 1024"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a}}\n",
     "t.yaml:5:35: found neither value nor size, expected one of them"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, size: 5}}\n",
     "t.yaml:5:75: found both value and size, expected one of them"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, size: 1.5MB}}\n",
     "t.yaml:5:65: found \"1.5MB\", expected a size up to 5115MiB, as in 64KiB, or one generator of numbers, as in \"{uniform(1, 100000)}\""},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, size: 6GiB}}\n",
     "t.yaml:5:65: found \"6GiB\", expected a size up to 5115MiB, as in 64KiB, or one generator of numbers, as in \"{uniform(1, 100000)}\""},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, size: \"{uuid}\"}}\n",
     "t.yaml:5:65: found \"{uuid}\", expected a size up to 5115MiB, as in 64KiB, or one generator of numbers, as in \"{uniform(1, 100000)}\""},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, size: \"{uniform(1, 9000000000)}\"}}\n",
     "t.yaml:5:65: found \"{uniform(1, 9000000000)}\", expected a size up to 5115MiB, as in 64KiB, or one generator of numbers, as in \"{uniform(1, 100000)}\""},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, httpMetadata: {cachecontrol: no-store}}}\n",
     "t.yaml:5:84: found key \"cachecontrol\", expected one of contentType, contentLanguage, cacheControl, contentDisposition, contentEncoding, cacheExpiry; did you mean cacheControl?"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, httpMetadata: {cacheControl: \"{rand}\"}}}\n",
     "t.yaml:5:100: found \"rand\", expected a generator: zipf(n, s), uniform(from, to), seq, uuid, bytes(n) or pop ({{ for a brace)"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, httpMetadata: {cacheExpiry: tomorrow}}}\n",
     "t.yaml:5:97: found \"tomorrow\", expected a time in Unix seconds"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, customMetadata: [a]}}\n",
     "t.yaml:5:85: found a list, expected texts by name, as in customMetadata: {owner: me}"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, customMetadata: {a: [b]}}}\n",
     "t.yaml:5:89: found a list, expected a text"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, storageClass: Frequent}}\n",
     "t.yaml:5:83: found \"Frequent\", expected one of Standard, InfrequentAccess"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, onlyIf: {etag: x}}}\n",
     "t.yaml:5:78: found key \"etag\", expected one of etagMatches, etagDoesNotMatch, uploadedBefore, uploadedAfter, secondsGranularity"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, onlyIf: {etagMatches: []}}}\n",
     "t.yaml:5:91: found an empty list, expected one ETag or a list of 1 to 64"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, onlyIf: {uploadedBefore: soon}}}\n",
     "t.yaml:5:94: found \"soon\", expected a time in Unix seconds"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.put: {store: ASSETS, key: a, value: v, onlyIf: {secondsGranularity: 1}}}\n",
     "t.yaml:5:98: found \"1\", expected true or false"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.delete: {store: ASSETS}}\n",
     "t.yaml:5:38: found neither key nor keys, expected one of them"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.delete: {store: ASSETS, key: a, keys: [b]}}\n",
     "t.yaml:5:68: found both key and keys, expected one of them"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.delete: {store: ASSETS, keys: []}}\n",
     "t.yaml:5:60: found an empty list, expected a list of 1 to 1000 keys"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.delete: {store: ASSETS, keys: [a, \"\"]}}\n",
     "t.yaml:5:64: found an empty text, expected a key"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.list: {store: ASSETS, key: a}}\n",
     "t.yaml:5:52: found key \"key\", expected one of store, prefix, delimiter, limit"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.list: {store: ASSETS, limit: 1001}}\n",
     "t.yaml:5:59: found \"1001\", expected a limit from 1 to 1000"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.list: {store: ASSETS, delimiter: [/]}}\n",
     "t.yaml:5:63: found a list, expected a delimiter"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.fetch: {store: ASSETS, keys: [a]}}\n",
     "t.yaml:5:53: found key \"keys\", expected one of store, key; did you mean key?"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.purge: {store: ASSETS}}\n",
     "t.yaml:5:37: found neither key nor everything, expected one of them"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.purge: {store: ASSETS, everything: false}}\n",
     "t.yaml:5:65: found \"false\", expected true, or a key"},
    {HEAD_R2 "workload:\n  - {every: 1s, pop: fra, r2.purge: {store: ASSETS, everything: true, key: a}}\n",
     "t.yaml:5:65: found both key and everything, expected one of them"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  A: {type: r2, public: {cache: all}}\n" "workload: []\n",
     "t.yaml:4:33: found \"all\", expected one of default, everything"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  A: {type: r2, public: {}}\n" "workload: []\n",
     "t.yaml:4:25: found no key \"cache\", expected what PoPs keep: default or everything"},
    {"duration: 60s\ncluster: {pops: [ams, fra, syd]}\nstores:\n  A: {type: kv, public: {cache: default}}\n" "workload: []\n",
     "t.yaml:4:25: found key \"public\" of a store of type kv, expected it of stores of type r2 alone"},
    {HEAD GETS "faults: {}\n",
     "t.yaml:5:9: found an empty map, expected a list of faults"},
    {HEAD GETS "faults:\n  - {at: 10s}\n",
     "t.yaml:6:5: found no kind of fault, expected one of partition, crash, slow"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, partition: {pop: syd}, crash: {pop: syd}}\n",
     "t.yaml:6:5: found both partition and crash, expected one of partition, crash, slow"},
    {HEAD GETS "faults:\n  - {at: 60s, partition: {pop: syd}}\n",
     "t.yaml:6:10: found at: 60s, expected a time before the run's duration, 1m"},
    {HEAD GETS "faults:\n  - {at: 50s, for: 20s, partition: {pop: syd}}\n",
     "t.yaml:6:20: found for: 20s, expected an end not beyond the run's duration, 1m (without for: it lasts to the end)"},
    {HEAD GETS "faults:\n  - {for: 20s, partition: {pop: syd}}\n",
     "t.yaml:6:5: found no key \"at\", expected when it begins, as in at: 60s"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 0s, partition: {pop: syd}}\n",
     "t.yaml:6:20: found \"0s\", expected a length of time, such as for: 30s"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, partition: {pop: gru}}\n",
     "t.yaml:6:41: found PoP \"gru\", expected one of this cluster: fra, ams, syd"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, partition: {pop: ams}}\n",
     "t.yaml:6:41: found a partition of ams, home of CACHE, expected another PoP: the link from home to a PoP is what it changes"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, slow: {pop: syd}}\n",
     "t.yaml:6:30: found no key \"factor\", expected how many times longer, as in factor: 10"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, slow: {pop: syd, factor: 0.5}}\n",
     "t.yaml:6:49: found \"0.5\", expected a factor from 1 to 1000000"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, crash: {pop: syd, factor: 2}}\n",
     "t.yaml:6:42: found key \"factor\", expected pop"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 20s, crash: {pop: syd}}\n  - {at: 20s, for: 20s, crash: {pop: [fra, syd]}}\n",
     "t.yaml:7:5: found a crash of syd while it is down from another, expected crashes of one PoP not to overlap"},
    {HEAD GETS "faults:\n  - {at: 10s, for: 5s, flood: {pop: syd}}\n",
     "t.yaml:6:24: found key \"flood\", expected one of at, for, partition, crash, slow"},
    {HEAD GETS "expect: CACHE.visibility.max <= 60s\n",
     "t.yaml:5:9: found \"CACHE.visibility.max <= 60s\", expected a list of expectations, as in [CACHE.visibility.max <= 60s]"},
    {HEAD GETS "expect:\n  - CACHE.visibility.max\n",
     "t.yaml:6:25: found nothing behind the name, expected one of <= < == != >= >"},
    {HEAD GETS "expect:\n  - CACHE.visibility.max =< 60s\n",
     "t.yaml:6:26: found \"=< 60s\", expected one of <= < == != >= >"},
    {HEAD GETS "expect:\n  - CACHE.visibility.max <= 60q\n",
     "t.yaml:6:29: found \"60q\", expected a number or a duration, as 0.2 or 60s"},
    {HEAD GETS "expect:\n  - CASH.visibility.max <= 60s\n",
     "t.yaml:6:5: found \"CASH\", expected one of CACHE, fidelity, operations"},
    {HEAD GETS "expect:\n  - CACHE <= 60s\n",
     "t.yaml:6:5: found a name without a measure, expected one, as in CACHE.visibility.max"},
    {HEAD GETS "expect:\n  - operations.x > 5\n",
     "t.yaml:6:5: found more behind operations, expected it alone"},
    {HEAD GETS "expect:\n  - \"<= 60s\"\n",
     "t.yaml:6:5: found \"<= 60s\", expected NAME, then one of <= < == != >= >, then a number, as in CACHE.visibility.max <= 60s"},
    {HEAD GETS "expect:\n  - {CACHE: 5}\n",
     "t.yaml:6:5: found a map, expected NAME, then one of <= < == != >= >, then a number, as in CACHE.visibility.max <= 60s"},
};

/* clang-format on */

static void check(struct ps_slice yaml, const struct ps_setting *settings, size_t count,
                  const char *message)
{
    struct ps_scenario *scenario = NULL;
    struct ps_error err = {0};
    enum ps_status status = ps_scenario_parse(yaml, "t.yaml", settings, count, &scenario, &err);
    assert_string_equal(err.text, message);
    assert_true(status == PS_INVALID || status == PS_LIMIT);
    assert_null(scenario);
}

static void test_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        check(ps_slice_of(WRONG[i].yaml), NULL, 0, WRONG[i].message);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    struct ps_buf yaml = {0};
    ps_buf_append_text(&yaml, "name: ");
    while (yaml.size <= PS_YAML_SIZE_MAX) {
        ps_buf_append_char(&yaml, 'x');
    }
    check(ps_buf_slice(&yaml), NULL, 0,
          "t.yaml:1:1: found more than 1 MiB, expected at most 1 MiB");
    yaml.size = 0;
    for (int i = 0; i < 1025; i++) {
        ps_buf_printf(&yaml, "k%d: 1\n", i);
    }
    check(ps_buf_slice(&yaml), NULL, 0,
          "t.yaml:1025:1: found more than 1024 members in a map, expected at most 1024");
    yaml.size = 0;
    ps_buf_append_char(&yaml, '[');
    for (int i = 0; i < PS_YAML_NODES_MAX; i++) {
        ps_buf_append_text(&yaml, "a,");
    }
    ps_buf_append_char(&yaml, ']');
    check(ps_buf_slice(&yaml), NULL, 0,
          "t.yaml:1:200000: found more than 100000 values, expected at most 100000");
    yaml.size = 0;
    ps_buf_append_text(&yaml, HEAD "workload: [{every: 1s, pop: fra, kv.get: {store: CACHE, key: ");
    for (int i = 0; i < 513; i++) {
        ps_buf_append_char(&yaml, 'k');
    }
    ps_buf_append_text(&yaml, "}}]\n");
    check(ps_buf_slice(&yaml), NULL, 0,
          "t.yaml:4:62: found a text of up to 513 bytes, expected a key of at most 512");
    ps_buf_fini(&yaml);
}

static void test_nul_byte(void **state)
{
    (void)state;
    static const char YAML[] = "name: x\nseed: \0 1\n";
    check((struct ps_slice){YAML, sizeof YAML - 1}, NULL, 0,
          "t.yaml:2:7: found a NUL byte, expected text");
}

static void test_settings(void **state)
{
    (void)state;

    static const struct {
        const char *path, *value, *message;
    } CASES[] = {
        {"cluster.home", "gru",
         "--set cluster.home: found home gru, expected one of the cluster's pops"},
        {"workload.0.every", "1x",
         "--set workload.0.every: found \"1x\", expected a period over 0, such as 1s"},
        {"workload.1.every", "1s",
         "--set workload.1.every: found \"1\", expected the index of a list of 1 (from 0)"},
        {"workload.x.every", "1s",
         "--set workload.x.every: found \"x\", expected the index of a list of 1 (from 0)"},
        {"duration.x", "1s", "--set duration.x: found \"60s\" on the way, expected a map or list"},
        {"workload.0.kv.get.key", "\"{zipf(1)}\"",
         "--set workload.0.kv.get.key: found \"zipf(1)\", expected {zipf(n, s)}"},
        {"stores.CACHE.ttl", "[1",
         "--set stores.CACHE.ttl: found a mistake in the YAML: flow sequence without a closing "
         "bracket"},
        {"stores.CACHE.tll", "1s",
         "--set stores.CACHE.tll: found key \"tll\", expected one of type, profile, home, policy, "
         "timeout, write_interval, delay, order, ttl, ttl_min, own_writes, negative, shorten, "
         "refresh_ahead, tier, schema, schema_sql, public; did you mean ttl?"},
        {"", "1s", "--set: expected a.b.c=value of at most 4096 bytes each"},
        {"a..b", "1s", "--set a..b: found an empty name, expected a.b.c=value"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "1",
         "--set a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: nesting deeper than 16"},
        {"seed", "", "--set seed: found nothing, expected a value"},
    };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ps_setting setting = {CASES[i].path, CASES[i].value};
        check(PS_LIT(HEAD GETS), &setting, 1, CASES[i].message);
    }
}

/** The scenario reader keeps its own copies of KV's limits. */
static void test_limits_agree(void **state)
{
    (void)state;
    assert_int_equal(PS_SCENARIO_KEY_MAX, PS_KV_KEY_SIZE_MAX);
    assert_int_equal(PS_SCENARIO_METADATA_MAX, PS_KV_METADATA_SIZE_MAX);
    assert_int_equal(PS_SCENARIO_VALUE_MAX, PS_KV_VALUE_SIZE_MAX);
    assert_int_equal(PS_SCENARIO_TTL_S_MIN, PS_KV_TTL_S_MIN);
    assert_int_equal(PS_SCENARIO_CACHE_TTL_S_MIN, PS_KV_CACHE_TTL_S_MIN);
    assert_int_equal(PS_SCENARIO_LIST_MAX, PS_KV_LIST_MAX);
    assert_int_equal(PS_SCENARIO_LIST_MAX, PS_R2_LIST_MAX);
    assert_int_equal(PS_SCENARIO_LIST_MAX, PS_R2_DELETE_MAX);
    assert_int_equal(PS_SCENARIO_OBJECT_KEY_MAX, PS_R2_KEY_SIZE_MAX);
    assert_int_equal(PS_SCENARIO_ETAGS_MAX, PS_R2_ETAGS_MAX);
    assert_int_equal(PS_SCENARIO_SIZE_MAX, PS_R2_UPLOAD_SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_nul_byte),     cmocka_unit_test(test_settings),
        cmocka_unit_test(test_limits_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
