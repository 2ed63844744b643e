/* Node processes of one cluster in a temporary folder. A node is this program again, as
 * `chaos --node FOLDER POP`. */
#include "node/cluster/cluster_file.h"
#include "replication/base/memory.h"
#include "tests/integration/chaos/chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *const chaos_pops[POPS] = {"ams", "fra", "sin", "iad", "syd"};

static void must(enum ps_status status, const struct ps_error *err)
{
    if (status != PS_OK) {
        chaos_fail("set up the cluster: %s", err->text);
    }
}

static void add_store(struct ps_cluster *cluster, const struct cluster_store *wanted)
{
    struct ps_store *store;
    struct ps_error err = {0};
    must(ps_cluster_add_store(cluster, ps_slice_of(wanted->name), wanted->type,
                              ps_slice_of(wanted->profile), &store, &err),
         &err);
    store->kv.write_interval_ns = 0;
    store->home = (uint16_t)wanted->home;
}

void cluster_create(struct cluster *cluster, size_t pops, const struct cluster_store *stores,
                    size_t store_count, uint64_t seed)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(cluster->folder, sizeof cluster->folder, "%s/popsim-chaos-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    if (mkdtemp(cluster->folder) == NULL) {
        chaos_fail("%s: %s", cluster->folder, strerror(errno));
    }
    struct ps_error err = {0};
    struct ps_cluster_state state = {
        .bind = "127.0.0.1", .s3_key_id = CHAOS_KEY_ID, .s3_secret = CHAOS_SECRET};
    cluster->pops = pops;
    chaos_where.folder = cluster->folder;
    ps_cluster_init(&state.cluster);
    for (size_t i = 0; i < cluster->pops; i++) {
        must(ps_cluster_add_pop(&state.cluster, ps_slice_of(chaos_pops[i]), &err), &err);
    }
    state.cluster.seed = seed;
    state.cluster.speed_milli = 60000;
    for (size_t i = 0; i < store_count; i++) {
        add_store(&state.cluster, &stores[i]);
    }
    state.timeline = (struct ps_timeline){.origin_ns = chaos_now_ns(), .speed_milli = 60000};
    state.nodes = PS_NEW_ARRAY(struct ps_cluster_node, pops); /* ports: whichever are free */
    must(ps_cluster_state_save(cluster->folder, &state, &err), &err);
    ps_cluster_state_fini(&state);
    for (size_t i = 0; i < cluster->pops; i++) {
        cluster_start(cluster, i);
    }
    for (size_t i = 0; i < cluster->pops; i++) {
        cluster_wait(cluster, i);
    }
}

static void path_of(const struct cluster *cluster, size_t pop, const char *name, char ret[512])
{
    (void)snprintf(ret, 512, "%s/pop-%s%s", cluster->folder, chaos_pops[pop], name);
}

void cluster_start(struct cluster *cluster, size_t pop)
{
    char path[512];
    path_of(cluster, pop, "/node.json", path);
    (void)unlink(path);
    path_of(cluster, pop, ".log", path);
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {(char *)(uintptr_t) "chaos", (char *)(uintptr_t) "--node",
                               cluster->folder, (char *)(uintptr_t)chaos_pops[pop], NULL};
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, path,
                                         O_WRONLY | O_CREAT | O_APPEND, 0600) != 0 ||
        posix_spawn(&cluster->pids[pop], "/proc/self/exe", &actions, NULL, arguments, environ) !=
            0) {
        chaos_fail("start %s: %s", chaos_pops[pop], strerror(errno));
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    cluster->starts++;
}

static bool read_port(struct cluster *cluster, size_t pop)
{
    int status;
    if (waitpid(cluster->pids[pop], &status, WNOHANG) != 0) {
        chaos_fail("%s ended by itself while it started (status %d)", chaos_pops[pop], status);
    }
    char path[512];
    path_of(cluster, pop, "/node.json", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    int pid = 0;
    unsigned port = 0;
    unsigned s3_port = 0;
    int got = fscanf(file, "{\"pid\":%d,\"port\":%u,\"s3_port\":%u", &pid, &port, &s3_port);
    (void)fclose(file);
    if (got != 3 || pid != cluster->pids[pop]) {
        return false;
    }
    cluster->s3_ports[pop] = (uint16_t)s3_port;
    cluster->ports[pop] = (uint16_t)port;
    return true;
}

void cluster_wait(struct cluster *cluster, size_t pop)
{
    WAIT_FOR(read_port(cluster, pop));
}

void cluster_kill(struct cluster *cluster, size_t pop)
{
    int status;
    cluster->ports[pop] = 0;
    cluster->s3_ports[pop] = 0;
    if (kill(cluster->pids[pop], SIGKILL) != 0 ||
        waitpid(cluster->pids[pop], &status, 0) != cluster->pids[pop]) {
        chaos_fail("kill %s: %s", chaos_pops[pop], strerror(errno));
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        chaos_fail("%s had ended by itself (status %d)", chaos_pops[pop], status);
    }
    cluster->pids[pop] = 0;
    cluster->kills++;
}

void cluster_signal(struct cluster *cluster, size_t pop, int number)
{
    if (kill(cluster->pids[pop], number) != 0) {
        chaos_fail("signal %d to %s: %s", number, chaos_pops[pop], strerror(errno));
    }
}

void cluster_fill_disk(struct cluster *cluster, size_t pop, bool full)
{
    char path[512];
    struct stat file;
    path_of(cluster, pop, "/map/data.mdb", path);
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (stat(path, &file) != 0) {
        chaos_fail("%s: %s", path, strerror(errno));
    }
    if (full) {
        limit.rlim_cur = (rlim_t)file.st_size;
    }
    if (prlimit(cluster->pids[pop], RLIMIT_FSIZE, &limit, NULL) != 0) {
        chaos_fail("limit the files of %s: %s", chaos_pops[pop], strerror(errno));
    }
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void cluster_wipe(struct cluster *cluster, size_t pop)
{
    char path[512];
    path_of(cluster, pop, "", path);
    if (cluster->pids[pop] != 0 || nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        chaos_fail("remove %s: %s", path, strerror(errno));
    }
}

void cluster_jump(struct cluster *cluster, uint64_t hours)
{
    struct ps_error err = {0};
    struct ps_cluster_state state;
    must(ps_cluster_state_load(cluster->folder, &state, &err), &err);
    uint64_t now_ns = chaos_now_ns();
    state.timeline.base_ns = ps_timeline_at(&state.timeline, now_ns) + hours * PS_HOUR;
    state.timeline.origin_ns = now_ns;
    must(ps_cluster_state_save(cluster->folder, &state, &err), &err);
    ps_cluster_state_fini(&state);
}

/* Lines at level error, and of records that home should not have sent, have no place here: nothing
 * was wrong but that processes died and disks were full. */
static bool is_complaint(const char *line)
{
    static const char *const words[] = {"Z error ", " is dropped", "ssertion", "Sanitizer",
                                        "runtime error"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(line, words[i]) != NULL) {
            return strstr(line, "records are not written: ") == NULL;
        }
    }
    return false;
}

static void look_through_log(const struct cluster *cluster, size_t pop)
{
    char path[512];
    path_of(cluster, pop, ".log", path);
    FILE *log = fopen(path, "re");
    if (log == NULL) {
        chaos_fail("%s: %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, log) > 0) {
        if (is_complaint(line)) {
            chaos_fail("%s says: %s", chaos_pops[pop], line);
        }
    }
    free(line);
    (void)fclose(log);
}

void cluster_end(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->pops; i++) {
        cluster_signal(cluster, i, SIGTERM);
    }
    for (size_t i = 0; i < cluster->pops; i++) {
        int status;
        if (waitpid(cluster->pids[i], &status, 0) != cluster->pids[i] || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0) {
            chaos_fail("%s did not stop well (status %d)", chaos_pops[i], status);
        }
        cluster->pids[i] = 0;
    }
    for (size_t i = 0; i < cluster->pops; i++) {
        look_through_log(cluster, i);
    }
    (void)nftw(cluster->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
