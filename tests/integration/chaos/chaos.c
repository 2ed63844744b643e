/* Processes are killed at random moments under load, over and over. After each round the load
 * rests, and then: every acknowledged write stands in home's log once, with its LSN; no token
 * stands there twice; nothing that was read has vanished; and every replica has home's log and
 * gives home's values.
 *
 *   PS_CHAOS_ROUNDS   rounds (12; the long form: 200)
 *   PS_CHAOS_SEED     the schedule's seed (the moments within a round are the machine's) */
#include "tests/integration/chaos/chaos.h"

#include "replication/base/memory.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, JUMP_HOURS = 100 };

static const struct cluster_store stores[STORES] = {
    {"NONE", PS_STORE_KV, "none", 0},
    {"CACHE", PS_STORE_KV, "workers-kv", 0},
    {"STRONG", PS_STORE_KV, "r2", 0},
    {"PUSH", PS_STORE_KV, "kv-instant", 1},
};
const char *const chaos_stores[STORES] = {"NONE", "CACHE", "STRONG", "PUSH"};
const size_t chaos_homes[STORES] = {0, 0, 0, 1};
static struct cluster the_cluster;

struct chaos {
    struct cluster *cluster;
    struct load load;
    struct check check;
    struct ps_rng rng;
    uint64_t stops;
    uint64_t wipes;
    uint64_t jumps;
    uint64_t fills;
};

static size_t some_home(struct chaos *chaos)
{
    return chaos_homes[ps_rng_below(&chaos->rng, STORES)];
}

/* A PoP that is home of nothing. */
static size_t some_pop(struct chaos *chaos)
{
    return 2 + ps_rng_below(&chaos->rng, POPS - 2);
}

static void pause_up_to(struct chaos *chaos, uint64_t ms)
{
    chaos_pause_ms(ps_rng_below(&chaos->rng, ms));
}

static void restart(struct chaos *chaos, size_t pop)
{
    cluster_start(chaos->cluster, pop);
    cluster_wait(chaos->cluster, pop);
}

/* ---- what can happen in a round ---- */

static void kill_home(struct chaos *chaos)
{
    size_t home = some_home(chaos);
    cluster_kill(chaos->cluster, home);
    pause_up_to(chaos, 300);
    restart(chaos, home);
}

static void kill_pop(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    cluster_kill(chaos->cluster, pop);
    pause_up_to(chaos, 300);
    restart(chaos, pop);
}

static void kill_both(struct chaos *chaos)
{
    size_t home = some_home(chaos);
    size_t pop = some_pop(chaos);
    cluster_kill(chaos->cluster, pop);
    pause_up_to(chaos, 20);
    cluster_kill(chaos->cluster, home);
    pause_up_to(chaos, 100);
    cluster_start(chaos->cluster, pop);
    pause_up_to(chaos, 100);
    restart(chaos, home);
    cluster_wait(chaos->cluster, pop);
}

static void kill_all(struct chaos *chaos)
{
    for (size_t i = 0; i < POPS; i++) {
        cluster_kill(chaos->cluster, i);
    }
    for (size_t i = POPS; i-- > 0;) {
        cluster_start(chaos->cluster, i);
    }
    for (size_t i = 0; i < POPS; i++) {
        cluster_wait(chaos->cluster, i);
    }
}

/* Again and again while it starts, or has just started. */
static void kill_starting(struct chaos *chaos, size_t pop)
{
    cluster_kill(chaos->cluster, pop);
    for (size_t i = 0; i < 4; i++) {
        cluster_start(chaos->cluster, pop);
        pause_up_to(chaos, 60);
        cluster_kill(chaos->cluster, pop);
    }
    restart(chaos, pop);
}

static void kill_home_starting(struct chaos *chaos)
{
    kill_starting(chaos, some_home(chaos));
}

/* It has much to catch up with, and is killed while it does. */
static void kill_pop_behind(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    cluster_kill(chaos->cluster, pop);
    load_wait_acked(&chaos->load, 300);
    for (size_t i = 0; i < 3; i++) {
        restart(chaos, pop);
        pause_up_to(chaos, 10);
        cluster_kill(chaos->cluster, pop);
    }
    restart(chaos, pop);
}

static void stop_home(struct chaos *chaos)
{
    size_t home = some_home(chaos);
    size_t store = home == 0 ? 0 : STORES - 1;
    size_t pop = some_pop(chaos);
    chaos->stops++;
    cluster_signal(chaos->cluster, home, SIGSTOP);
    WAIT_FOR(check_home_away(&chaos->check, pop, store));
    pause_up_to(chaos, 1500);
    cluster_signal(chaos->cluster, home, SIGCONT);
    WAIT_FOR(!check_home_away(&chaos->check, pop, store));
}

static void stop_pop(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    chaos->stops++;
    cluster_signal(chaos->cluster, pop, SIGSTOP);
    load_wait_acked(&chaos->load, 60); /* slowly: clients wait for it in vain */
    cluster_signal(chaos->cluster, pop, SIGCONT);
}

static void wipe_pop(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    chaos->wipes++;
    cluster_kill(chaos->cluster, pop);
    cluster_wipe(chaos->cluster, pop);
    restart(chaos, pop);
    pause_up_to(chaos, 20);
    cluster_kill(chaos->cluster, pop);
    restart(chaos, pop);
}

static bool forgotten(struct chaos *chaos, const uint64_t last_lsn[STORES])
{
    for (size_t i = 0; i < STORES; i++) {
        if (check_log_status(&chaos->check, chaos_homes[i], i, last_lsn[i] + 1) != 410) {
            return false;
        }
    }
    return true;
}

/* A PoP is down for so long that home has forgotten what it must have next: it needs a snapshot,
 * and is killed while it takes it. Days pass by putting the cluster's clock forward. */
static void outlast_log(struct chaos *chaos)
{
    struct cluster *cluster = chaos->cluster;
    size_t away = some_pop(chaos);
    uint64_t last_lsn[STORES];
    load_pause(&chaos->load);
    check_all(&chaos->check, false);
    for (size_t i = 0; i < STORES; i++) {
        last_lsn[i] = chaos->check.archives[i].count;
    }
    cluster_kill(cluster, away);
    load_resume(&chaos->load);
    load_wait_acked(&chaos->load, 100);
    load_pause(&chaos->load);
    for (size_t i = 0; i < POPS; i++) {
        if (i != away) {
            cluster_kill(cluster, i);
        }
    }
    cluster_jump(cluster, JUMP_HOURS);
    chaos->jumps++;
    for (size_t i = 0; i < POPS; i++) {
        if (i != away) {
            restart(chaos, i);
        }
    }
    check_home(&chaos->check); /* before home forgets it */
    load_resume(&chaos->load);
    load_wait_acked(&chaos->load, 50);
    WAIT_FOR(forgotten(chaos, last_lsn));
    restart(chaos, away);
    for (size_t kills = ps_rng_below(&chaos->rng, 4); kills > 0; kills--) {
        pause_up_to(chaos, 20);
        cluster_kill(cluster, away);
        restart(chaos, away);
    }
    load_pause(&chaos->load);
    check_all(&chaos->check, false);
    for (size_t i = 0; i < STORES; i++) {
        if (check_log_status(&chaos->check, away, i, last_lsn[i] + 1) != 410) {
            chaos_fail("%s has caught up with %s without a snapshot", chaos_pops[away],
                       chaos_stores[i]);
        }
    }
    load_resume(&chaos->load);
}

/* Home refuses writes, and takes them again. */
static void fill_home(struct chaos *chaos)
{
    size_t home = some_home(chaos);
    uint64_t refused = chaos->load.refused;
    chaos->fills++;
    cluster_fill_disk(chaos->cluster, home, true);
    WAIT_FOR(chaos->load.refused > refused);
    if (ps_rng_below(&chaos->rng, 2) == 0) {
        cluster_kill(chaos->cluster, home);
        restart(chaos, home);
    } else {
        cluster_fill_disk(chaos->cluster, home, false);
    }
}

/* A replica can take no more records: it answers from what it has, and says so. */
static void fill_pop(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    chaos->fills++;
    cluster_fill_disk(chaos->cluster, pop, true);
    WAIT_FOR(check_reads_late(&chaos->check, pop, 0));
    if (ps_rng_below(&chaos->rng, 2) == 0) {
        cluster_kill(chaos->cluster, pop);
        restart(chaos, pop);
    } else {
        cluster_fill_disk(chaos->cluster, pop, false);
    }
}

static const struct kind {
    const char *name;
    void (*run)(struct chaos *chaos);
} kinds[] = {
    {"kill home", kill_home},
    {"kill a PoP", kill_pop},
    {"kill home and a PoP", kill_both},
    {"kill all", kill_all},
    {"kill home while it starts", kill_home_starting},
    {"kill a PoP while it catches up", kill_pop_behind},
    {"stop home for a while", stop_home},
    {"stop a PoP for a while", stop_pop},
    {"empty a PoP's folder", wipe_pop},
    {"outlast the log", outlast_log},
    {"fill home's disk", fill_home},
    {"fill a PoP's disk", fill_pop},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- rounds ---- */

/* Each kind once in random order, then again. */
static void shuffle(struct chaos *chaos, size_t order[KINDS])
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t k = ps_rng_below(&chaos->rng, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
}

static void play(struct chaos *chaos, size_t rounds)
{
    size_t order[KINDS];
    for (chaos_where.round = 1; chaos_where.round <= rounds; chaos_where.round++) {
        size_t turn = (chaos_where.round - 1) % KINDS;
        if (turn == 0) {
            shuffle(chaos, order);
        }
        const struct kind *kind = &kinds[order[turn]];
        chaos_where.kind = kind->name;
        uint64_t began_ns = chaos_now_ns();
        load_resume(&chaos->load);
        load_wait_acked(&chaos->load, 20 + ps_rng_below(&chaos->rng, 200));
        pause_up_to(chaos, 5);
        kind->run(chaos);
        load_wait_acked(&chaos->load, 20);
        uint64_t done_ns = chaos_now_ns();
        load_pause(&chaos->load);
        uint64_t rest_ns = chaos_now_ns();
        check_all(&chaos->check, false);
        printf("%3zu %-32s %5.1f s load, %.1f s to rest, %.1f s to agree\n", chaos_where.round,
               kind->name, (double)(done_ns - began_ns) / 1e9, (double)(rest_ns - done_ns) / 1e9,
               (double)(chaos_now_ns() - rest_ns) / 1e9);
        (void)fflush(stdout);
    }
    chaos_where.kind = "the end";
    check_all(&chaos->check, true);
}

static void report(const struct chaos *chaos, size_t rounds, uint64_t began_ns)
{
    uint64_t unknown = 0;
    uint64_t broken = 0;
    uint64_t echoes = 0;
    uint64_t reads = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        const struct writer *writer = &chaos->load.writers[i];
        broken += writer->broken;
        echoes += writer->echoes;
        for (size_t k = 0; k < writer->count; k++) {
            unknown += writer->writes[k].outcome == UNKNOWN;
        }
    }
    for (size_t i = 0; i < READERS; i++) {
        reads += chaos->load.readers[i].reads + chaos->load.readers[i].lists;
    }
    const struct check *check = &chaos->check;
    printf("rounds %zu, seed %" PRIu64 ", %.1f s\n"
           "writes: %" PRIu64 " acknowledged, all in home's log once; %" PRIu64
           " given up, of which %" PRIu64 " are there, once\n"
           "tries that broke and were made again: %" PRIu64
           "; acknowledged writes sent again: %" PRIu64 "\nreads: %" PRIu64 "\n"
           "kill -9: %" PRIu64 "; starts: %" PRIu64 "; stopped for a while: %" PRIu64
           "; folders emptied: %" PRIu64 "; disks filled: %" PRIu64 "; clock put forward: %" PRIu64
           "\n"
           "followers: %" PRIu64 " gaps, %" PRIu64 " catch-ups, %" PRIu64 " snapshots (of those "
           "processes that were not killed before they were asked)\n"
           "compared with home: %" PRIu64 " records, %" PRIu64 " values; no difference\n",
           rounds, chaos_where.seed, (double)(chaos_now_ns() - began_ns) / 1e9,
           (uint64_t)chaos->load.acked, unknown, check->late_writes, broken, echoes, reads,
           chaos->cluster->kills, chaos->cluster->starts, chaos->stops, chaos->wipes, chaos->fills,
           chaos->jumps, check->gaps, check->catch_ups, check->snapshots, check->lines_compared,
           check->values_compared);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--node") == 0) {
        return chaos_run_node(argv);
    }
    size_t rounds = (size_t)chaos_from_environment("PS_CHAOS_ROUNDS", ROUNDS);
    chaos_where.seed = chaos_from_environment("PS_CHAOS_SEED", 1);
    uint64_t began_ns = chaos_now_ns();
    struct chaos *chaos = PS_NEW(struct chaos);
    chaos->cluster = &the_cluster;
    chaos->rng = (struct ps_rng){chaos_where.seed, ps_stream_of("schedule", NULL, NULL), 0};
    (void)signal(SIGPIPE, SIG_IGN);
    cluster_create(chaos->cluster, POPS, stores, STORES, chaos_where.seed);
    load_start(&chaos->load, chaos->cluster, chaos_where.seed);
    check_init(&chaos->check, chaos->cluster, &chaos->load);
    play(chaos, rounds);
    report(chaos, rounds, began_ns);
    cluster_end(chaos->cluster);
    check_fini(&chaos->check);
    load_end(&chaos->load);
    free(chaos);
    return 0;
}
