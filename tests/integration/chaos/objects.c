/* A bucket's home and PoPs are killed at random moments while clients upload, overwrite, copy, read
 * and delete, some of them with a token until they have an answer. After each round the load rests,
 * and then: what each client saw of each key is linearizable, with what was acknowledged in it and
 * without what was refused or broken off; no body is mixed with another's; and when home has been
 * killed once more and started, its files are those that its map refers to.
 *
 *   PS_CHAOS_ROUNDS   rounds (7; the long form: 200)
 *   PS_CHAOS_SEED     the schedule's seed (the moments within a round are the machine's) */
#include "tests/integration/chaos/objects.h"

#include "replication/base/memory.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, JUMP_HOURS = 200 };

struct chaos {
    struct cluster cluster;
    struct objects_load load;
    struct objects_check check;
    struct object_client reader;
    struct ps_rng rng;
    uint64_t aborted;
    uint64_t jumps;
};

static void pause_up_to(struct chaos *chaos, uint64_t ms)
{
    chaos_pause_ms(ps_rng_below(&chaos->rng, ms));
}

static size_t some_pop(struct chaos *chaos)
{
    return 1 + ps_rng_below(&chaos->rng, OBJECT_POPS - 1);
}

static void kill_one(struct chaos *chaos, size_t pop)
{
    cluster_kill(&chaos->cluster, pop);
    pause_up_to(chaos, 200);
    cluster_start(&chaos->cluster, pop);
    cluster_wait(&chaos->cluster, pop);
}

static void kill_home(struct chaos *chaos)
{
    kill_one(chaos, 0);
}

static void kill_pop(struct chaos *chaos)
{
    kill_one(chaos, some_pop(chaos));
}

static void kill_home_again(struct chaos *chaos)
{
    cluster_kill(&chaos->cluster, 0);
    for (size_t i = 0; i < 4; i++) {
        cluster_start(&chaos->cluster, 0);
        pause_up_to(chaos, 80);
        cluster_kill(&chaos->cluster, 0);
    }
    cluster_start(&chaos->cluster, 0);
    cluster_wait(&chaos->cluster, 0);
}

static void kill_both(struct chaos *chaos)
{
    size_t pop = some_pop(chaos);
    cluster_kill(&chaos->cluster, pop);
    pause_up_to(chaos, 20);
    cluster_kill(&chaos->cluster, 0);
    cluster_start(&chaos->cluster, pop);
    pause_up_to(chaos, 100);
    cluster_start(&chaos->cluster, 0);
    cluster_wait(&chaos->cluster, 0);
    cluster_wait(&chaos->cluster, pop);
}

/* And days pass, so that former versions are forgotten and their blobs are swept. */
static void kill_all(struct chaos *chaos)
{
    for (size_t i = 0; i < OBJECT_POPS; i++) {
        cluster_kill(&chaos->cluster, i);
    }
    cluster_jump(&chaos->cluster, JUMP_HOURS);
    chaos->jumps++;
    for (size_t i = OBJECT_POPS; i-- > 0;) {
        cluster_start(&chaos->cluster, i);
    }
    for (size_t i = 0; i < OBJECT_POPS; i++) {
        cluster_wait(&chaos->cluster, i);
    }
}

static void stop_home(struct chaos *chaos)
{
    uint64_t failed = chaos->load.failed;
    cluster_signal(&chaos->cluster, 0, SIGSTOP);
    WAIT_FOR(chaos->load.failed > failed);
    pause_up_to(chaos, 1000);
    cluster_signal(&chaos->cluster, 0, SIGCONT);
}

/* Bodies and records find no room at home. */
static void fill_home(struct chaos *chaos)
{
    uint64_t failed = chaos->load.failed;
    cluster_fill_disk(&chaos->cluster, 0, true);
    WAIT_FOR(chaos->load.failed >= failed + 10);
    if (ps_rng_below(&chaos->rng, 2) == 0) {
        kill_one(chaos, 0);
    } else {
        cluster_fill_disk(&chaos->cluster, 0, false);
    }
}

static const struct kind {
    const char *name;
    void (*run)(struct chaos *chaos);
} kinds[] = {
    {"kill home", kill_home},
    {"kill a PoP", kill_pop},
    {"kill home and a PoP", kill_both},
    {"kill home while it starts", kill_home_again},
    {"stop home for a while", stop_home},
    {"fill home's disk", fill_home},
    {"kill all, and days pass", kill_all},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void check_round(struct chaos *chaos)
{
    for (size_t pop = 0; pop < OBJECT_POPS; pop++) {
        objects_read_all(&chaos->load, &chaos->reader, pop);
    }
    objects_check_histories(&chaos->load, &chaos->check);
    chaos->aborted += objects_abort_uploads(&chaos->load, &chaos->reader);
    objects_check_blobs(&chaos->load, &chaos->check);
}

static void play(struct chaos *chaos, size_t rounds)
{
    for (chaos_where.round = 1; chaos_where.round <= rounds; chaos_where.round++) {
        const struct kind *kind = &kinds[(chaos_where.round - 1) % KINDS];
        chaos_where.kind = kind->name;
        uint64_t began_ns = chaos_now_ns();
        gate_open(&chaos->load.gate);
        objects_load_wait_acked(&chaos->load, 20 + ps_rng_below(&chaos->rng, 60));
        pause_up_to(chaos, 5);
        kind->run(chaos);
        objects_load_wait_acked(&chaos->load, 20);
        uint64_t done_ns = chaos_now_ns();
        gate_close(&chaos->load.gate, OBJECT_CLIENTS);
        check_round(chaos);
        printf("%3zu %-28s %5.1f s load, %.1f s to rest and agree\n", chaos_where.round, kind->name,
               (double)(done_ns - began_ns) / 1e9, (double)(chaos_now_ns() - done_ns) / 1e9);
        (void)fflush(stdout);
    }
}

static void report(const struct chaos *chaos, size_t rounds, uint64_t began_ns)
{
    uint64_t unknown = 0;
    uint64_t refused = 0;
    uint64_t again = 0;
    printf("rounds %zu, seed %" PRIu64 ", %.1f s\n", rounds, chaos_where.seed,
           (double)(chaos_now_ns() - began_ns) / 1e9);
    for (size_t kind = 0; objects_kind_name(kind) != NULL; kind++) {
        uint64_t count = 0;
        for (size_t i = 0; i < OBJECT_CLIENTS; i++) {
            count += chaos->load.clients[i].counts[kind];
        }
        printf("  %-16s %8" PRIu64 "\n", objects_kind_name(kind), count);
    }
    for (size_t i = 0; i < OBJECT_CLIENTS; i++) {
        unknown += chaos->load.clients[i].unknown;
        refused += chaos->load.clients[i].refused;
        again += chaos->load.clients[i].tried_again;
    }
    printf("mutations: %" PRIu64 " acknowledged, %" PRIu64 " refused by their condition, %" PRIu64
           " of unknown outcome, %" PRIu64 " for want of room, %" PRIu64
           " tries with the same token; %" PRIu64 " uploads aborted\n"
           "%" PRIu64 " operations on %d keys are linearizable\n"
           "kill -9: %" PRIu64 "; starts: %" PRIu64 "; clock put forward: %" PRIu64 "\n"
           "blobs: %" PRIu64 " referred to, all there; %" PRIu64 " orphans, all swept\n",
           (uint64_t)chaos->load.acked, refused, unknown, (uint64_t)chaos->load.full, again,
           chaos->aborted, chaos->check.operations, OBJECT_KEYS, chaos->cluster.kills,
           chaos->cluster.starts, chaos->jumps, chaos->check.blobs, chaos->check.orphans);
}

int main(int argc, char **argv)
{
    static const struct cluster_store store = {BUCKET, PS_STORE_R2, "r2", 0};

    if (argc == 4 && strcmp(argv[1], "--node") == 0) {
        return chaos_run_node(argv);
    }
    size_t rounds = (size_t)chaos_from_environment("PS_CHAOS_ROUNDS", ROUNDS);
    chaos_where.seed = chaos_from_environment("PS_CHAOS_SEED", 1);
    uint64_t began_ns = chaos_now_ns();
    struct chaos *chaos = PS_NEW(struct chaos);
    chaos->rng = (struct ps_rng){chaos_where.seed, ps_stream_of("schedule", NULL, NULL), 0};
    chaos->reader = (struct object_client){
        .rng = {chaos_where.seed, ps_stream_of("reader", NULL, NULL), 0}, .client = CLIENT_NONE};
    (void)signal(SIGPIPE, SIG_IGN);
    cluster_create(&chaos->cluster, OBJECT_POPS, &store, 1, chaos_where.seed);
    objects_load_start(&chaos->load, &chaos->cluster);
    play(chaos, rounds);
    report(chaos, rounds, began_ns);
    cluster_end(&chaos->cluster);
    client_close(&chaos->reader.client);
    objects_load_end(&chaos->load);
    free(chaos);
    return 0;
}
