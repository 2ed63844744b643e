/* A cluster for popsim run --live: the one that is up, or one of its own for the time of the run.
 */
#include "tools/popsim/cli.h"
#include "tools/popsim/cluster_options.h"
#include "tools/popsim/run.h"
#include "tools/popsim/state_folder.h"
#include "tools/popsim/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What faults need to know of the cluster. */
struct reach {
    const char *folder;
    const struct ps_cluster *cluster;
    struct run_progress *progress;
};

/* ---- crashes ---- */

static enum ps_status crash(void *context, uint16_t pop, struct ps_error *err)
{
    const struct reach *reach = context;
    const char *code = reach->cluster->pops[pop]->code;
    struct ps_cluster_state state;
    enum ps_status status = ps_cluster_state_load(reach->folder, &state, err); /* the pid changes */
    if (status != PS_OK) {
        return status;
    }
    int32_t pid = state.nodes[pop].pid;
    ps_cluster_state_fini(&state);
    char hold[4096];
    supervisor_path(reach->folder, code, "hold", hold);
    int fd = open(hold, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ps_fail(err, PS_IO, "crash of %s: %s: %s", code, hold, strerror(errno));
    }
    (void)close(fd);
    if (pid > 0 && kill(pid, SIGKILL) != 0 && errno != ESRCH) {
        return ps_fail(err, PS_IO, "crash of %s: kill %d: %s", code, pid, strerror(errno));
    }
    return PS_OK;
}

static enum ps_status release(void *context, uint16_t pop, struct ps_error *err)
{
    const struct reach *reach = context;
    char hold[4096];
    supervisor_path(reach->folder, reach->cluster->pops[pop]->code, "hold", hold);
    if (unlink(hold) != 0 && errno != ENOENT) {
        return ps_fail(err, PS_IO, "%s: %s", hold, strerror(errno));
    }
    return PS_OK;
}

/* ---- a cluster of the run's own ---- */

struct own {
    char folder[4000];
    pid_t pid; /* of its supervisor */
};

/* The child's life: supervise, then take everything away, also when the parent is gone. */
static _Noreturn void be_supervisor(struct own *own, struct ps_cluster *cluster, pid_t parent,
                                    int ready_fd)
{
    (void)setpgid(0, 0); /* Ctrl-C is the parent's to handle */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(CLI_FAILED);
    }
    struct ps_error err = {0};
    struct ps_cluster_state state;
    struct state_folder_request request = {.folder = own->folder, .asked = cluster};
    enum ps_status status = state_folder_open(&request, &state, &err);
    if (status == PS_OK) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/supervisor.log", own->folder);
        int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (log >= 0 && null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(log, STDOUT_FILENO);
        }
        struct supervisor_options options = {.folder = own->folder, .ready_fd = ready_fd};
        status = supervisor_run(&options, &state, &err);
        ps_cluster_state_fini(&state);
    }
    if (status != PS_OK) {
        exit(cli_fail(&err)); /* its logs stay, to be read */
    }
    (void)!state_folder_remove(own->folder, NULL);
    exit(CLI_OK);
}

static void own_stop(struct own *own)
{
    if (own->pid > 0) {
        (void)kill(own->pid, SIGTERM);
        while (waitpid(own->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

static enum ps_status own_start(struct own *own, struct ps_cluster *cluster, struct ps_error *err)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(own->folder, sizeof own->folder, "%s/popsim-run.XXXXXX",
                   base == NULL || base[0] == '\0' ? "/tmp" : base);
    if (mkdtemp(own->folder) == NULL) {
        return ps_fail(err, PS_IO, "%s: %s", own->folder, strerror(errno));
    }
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        return ps_fail(err, PS_IO, "pipe: %s", strerror(errno));
    }
    (void)fflush(NULL);
    pid_t parent = getpid();
    own->pid = fork();
    if (own->pid == 0) {
        (void)close(ready[0]);
        be_supervisor(own, cluster, parent, ready[1]);
    }
    (void)close(ready[1]);
    char byte;
    ssize_t got = own->pid < 0 ? 0 : read(ready[0], &byte, 1);
    (void)close(ready[0]);
    if (got == 1) {
        return PS_OK;
    }
    own_stop(own);
    return ps_fail(err, PS_IO, "a cluster for the run cannot be started; its logs: %s",
                   own->folder);
}

/* ---- which one ---- */

static bool is_scenarios(const struct ps_cluster_state *state, const struct ps_scenario *scenario,
                         const struct run_options *options)
{
    bool speed =
        options->speed == NULL || state->timeline.speed_milli == scenario->cluster.speed_milli;
    return speed && state_folder_same_cluster(&scenario->cluster, &state->cluster);
}

static enum ps_status copy_cluster(const struct ps_cluster *from, struct ps_cluster *ret,
                                   struct ps_error *err)
{
    struct ps_buf json = {0};
    ps_cluster_encode(&json, from);
    enum ps_status status = ps_cluster_decode(ps_buf_slice(&json), ret, err);
    ps_buf_fini(&json);
    return status;
}

static void show(void *context, ps_time_ns now_ns, ps_time_ns end_ns, uint64_t operations)
{
    const struct reach *reach = context;
    run_progress_show(reach->progress, now_ns, end_ns, operations);
}

static enum ps_status run_on(const char *folder, const struct ps_cluster_state *state,
                             const struct ps_scenario *scenario, struct run_progress *progress,
                             struct ps_live_result *ret, struct ps_error *err)
{
    struct reach reach = {.folder = folder, .cluster = &state->cluster, .progress = progress};
    struct ps_live_options live = {
        .progress = show, .crash = crash, .release = release, .context = &reach};
    run_progress_begin(progress, progress->quiet);
    return ps_live_run(scenario, state, &live, ret, err);
}

static enum ps_status run_on_own(const struct ps_scenario *scenario, struct run_progress *progress,
                                 struct ps_live_result *ret, struct ps_error *err)
{
    struct own own = {0};
    struct ps_cluster cluster;
    struct ps_cluster_state state;
    enum ps_status status = copy_cluster(&scenario->cluster, &cluster, err);
    if (status != PS_OK) {
        return status;
    }
    status = own_start(&own, &cluster, err);
    ps_cluster_fini(&cluster);
    if (status != PS_OK) {
        return status;
    }
    status = cli_running(own.folder, &state, err);
    if (status == PS_OK) {
        status = run_on(own.folder, &state, scenario, progress, ret, err);
        ps_cluster_state_fini(&state);
    }
    own_stop(&own);
    return status;
}

enum ps_status run_live(const struct run_options *options, const struct ps_scenario *scenario,
                        struct run_progress *progress, struct ps_live_result *ret,
                        struct ps_error *err)
{
    const char *folder = cli_state_folder(options->state);
    struct ps_cluster_state state;
    if (cli_running(folder, &state, NULL) == PS_OK) {
        bool fits = is_scenarios(&state, scenario, options);
        enum ps_status status = PS_OK;
        if (fits) {
            status = run_on(folder, &state, scenario, progress, ret, err);
        } else if (!options->quiet) {
            (void)fprintf(stderr,
                          "The cluster that is up in %s has other PoPs, stores, seed or speed: the "
                          "scenario runs on one of its own.\n",
                          folder);
        }
        ps_cluster_state_fini(&state);
        if (fits) {
            return status;
        }
    }
    return run_on_own(scenario, progress, ret, err);
}
