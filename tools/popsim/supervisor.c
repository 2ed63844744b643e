#include "tools/popsim/supervisor.h"

#include "replication/base/memory.h"
#include "tools/popsim/cli.h"

#include <ev.h>
#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_S 0.05
#define BACKOFF_MAX_S 5.0
#define HEALTHY_S 10.0
#define POLL_S 0.01
#define HOLD_POLL_S 0.05
#define STOP_S 10.0
#define START_TRIES_MAX 5
#define FORMER_S 30.0
#define FORMER_POLL_S 0.05

struct supervisor;

struct child {
    struct supervisor *supervisor;
    const char *code;
    size_t index;
    ev_child exit;
    ev_timer retry;
    double backoff_s;
    ev_tstamp started_at;
    bool ready;
    bool ever_ready;
    int failed_starts;
    ev_tstamp former_since; /* when it began to wait for another's node to end; 0 = it does not */
};

struct supervisor {
    const struct supervisor_options *options;
    struct ps_cluster_state *state;
    struct ev_loop *loop;
    struct child *children;
    size_t count;
    ev_timer poll;
    ev_timer stop_limit;
    ev_signal interrupt;
    ev_signal terminate;
    bool announced;
    bool stopping;
    struct ps_error failure;
};

void supervisor_path(const char *folder, const char *code, const char *name, char ret[4096])
{
    (void)snprintf(ret, 4096, "%s/pop-%s/%s", folder, code, name);
}

static void say(const struct supervisor *supervisor, const char *format, ...) PS_PRINTF(2, 3);

static void say(const struct supervisor *supervisor, const char *format, ...)
{
    if (supervisor->options->quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)fflush(stdout);
}

static void save(struct supervisor *supervisor)
{
    struct ps_error err = {0};
    if (ps_cluster_state_save(supervisor->options->folder, supervisor->state, &err) != PS_OK) {
        (void)fprintf(stderr, "popsim: %s\n", err.text);
    }
}

static void kill_all(struct supervisor *supervisor, int signal_number)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        int32_t pid = supervisor->state->nodes[i].pid;
        if (pid > 0) {
            (void)kill(pid, signal_number);
        }
    }
}

static bool any_running(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (supervisor->state->nodes[i].pid > 0) {
            return true;
        }
    }
    return false;
}

static void stop(struct supervisor *supervisor)
{
    if (supervisor->stopping) {
        kill_all(supervisor, SIGKILL);
        return;
    }
    supervisor->stopping = true;
    kill_all(supervisor, SIGTERM);
    if (!any_running(supervisor)) {
        ev_break(supervisor->loop, EVBREAK_ALL);
        return;
    }
    ev_timer_start(supervisor->loop, &supervisor->stop_limit);
}

static _Noreturn void become_node(const struct supervisor *supervisor, const struct child *child,
                                  pid_t parent)
{
    /* A node must not outlive its supervisor, however that ends. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(0);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    char path[4096];
    supervisor_path(supervisor->options->folder, child->code, "node.log", path);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)setpgid(0, 0);
    char *const arguments[] = {(char *)(uintptr_t) "popsim",
                               (char *)(uintptr_t) "node",
                               (char *)(uintptr_t) "--state",
                               (char *)(uintptr_t)supervisor->options->folder,
                               (char *)(uintptr_t) "--pop",
                               (char *)(uintptr_t)child->code,
                               NULL};
    (void)execv("/proc/self/exe", arguments);
    _exit(127);
}

static void on_exit_of(struct ev_loop *loop, ev_child *watcher, int events);

/* A supervisor that was killed takes its nodes along, but they end what they have under way first.
 * A node holds this lock for as long as it lives. */
static bool has_former(const struct child *child)
{
    char path[4096];
    supervisor_path(child->supervisor->options->folder, child->code, "map/lock", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(fd);
    return held;
}

static void wait_for_former(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    ev_tstamp now = ev_now(supervisor->loop);
    if (child->former_since <= 0) {
        child->former_since = now;
        if (!supervisor->options->quiet) {
            (void)fprintf(stderr,
                          "popsim: %s: its node of an earlier start ends what it has under way; "
                          "waiting for it\n",
                          child->code);
        }
    }
    if (now - child->former_since > FORMER_S && !child->ever_ready) {
        char path[4096];
        supervisor_path(supervisor->options->folder, child->code, "node.json", path);
        json_t *json = json_load_file(path, 0, NULL);
        (void)ps_fail(
            &supervisor->failure, PS_BUSY,
            "%s cannot be started: its node of an earlier start (pid %" JSON_INTEGER_FORMAT
            ") has not ended in %.0f s",
            child->code, json_integer_value(json_object_get(json, "pid")), FORMER_S);
        json_decref(json);
        stop(supervisor);
        return;
    }
    ev_timer_set(&child->retry, FORMER_POLL_S, 0.);
    ev_timer_start(supervisor->loop, &child->retry);
}

static void start(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    char path[4096];
    if (has_former(child)) {
        wait_for_former(child);
        return;
    }
    child->former_since = 0;
    supervisor_path(supervisor->options->folder, child->code, "", path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        (void)ps_fail(&supervisor->failure, PS_IO, "%s: %s", path, strerror(errno));
        stop(supervisor);
        return;
    }
    supervisor_path(supervisor->options->folder, child->code, "node.json", path);
    (void)unlink(path);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        (void)ps_fail(&supervisor->failure, PS_IO, "start %s: %s", child->code, strerror(errno));
        stop(supervisor);
        return;
    }
    if (pid == 0) {
        become_node(supervisor, child, parent);
    }
    supervisor->state->nodes[child->index].pid = pid;
    child->ready = false;
    child->started_at = ev_now(supervisor->loop);
    ev_child_init(&child->exit, on_exit_of, pid, 0);
    child->exit.data = child;
    ev_child_start(supervisor->loop, &child->exit);
    ev_timer_again(supervisor->loop, &supervisor->poll);
}

static bool held(const struct child *child)
{
    char path[4096];
    supervisor_path(child->supervisor->options->folder, child->code, "hold", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char text[32] = "";
    (void)!fgets(text, sizeof text, file);
    (void)fclose(file);
    char *end;
    uint64_t until_mono_ns = strtoull(text, &end, 10);
    bool has_end = end != text;
    if (!has_end || cli_monotonic_ns() < until_mono_ns) {
        return true;
    }
    (void)unlink(path);
    return false;
}

/* What a node that could not start said of it last; empty if it said nothing. */
static void last_words(const struct child *child, char ret[512])
{
    static const char *const marks[] = {"cannot start: ", "cannot go on: "};
    char path[4096];
    char *line = NULL;
    size_t capacity = 0;
    ret[0] = '\0';
    supervisor_path(child->supervisor->options->folder, child->code, "node.log", path);
    FILE *log = fopen(path, "re");
    while (log != NULL && getline(&line, &capacity, log) > 0) {
        ret[0] = '\0';
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
            const char *words = strstr(line, marks[i]);
            if (words != NULL) {
                (void)snprintf(ret, 512, "%s", words + strlen(marks[i]));
                ret[strcspn(ret, "\n")] = '\0';
            }
        }
    }
    free(line);
    if (log != NULL) {
        (void)fclose(log);
    }
}

static void give_up_on(struct child *child, const char *how)
{
    struct supervisor *supervisor = child->supervisor;
    char words[512];
    last_words(child, words);
    (void)ps_fail(&supervisor->failure, PS_IO,
                  "%s cannot be started: %s%s; its log: %s/pop-%s/node.log", child->code,
                  words[0] == '\0' ? "it " : "", words[0] == '\0' ? how : words,
                  supervisor->options->folder, child->code);
    stop(supervisor);
}

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct child *child = watcher->data;
    if (child->supervisor->stopping) {
        return;
    }
    if (held(child)) {
        ev_timer_set(watcher, HOLD_POLL_S, 0.);
        ev_timer_start(loop, watcher);
        return;
    }
    start(child);
    if (child->former_since <= 0) {
        save(child->supervisor);
    }
}

static void on_exit_of(struct ev_loop *loop, ev_child *watcher, int events)
{
    (void)events;
    struct child *child = watcher->data;
    struct supervisor *supervisor = child->supervisor;
    ev_child_stop(loop, watcher);
    supervisor->state->nodes[child->index].pid = 0;
    int status = watcher->rstatus;
    if (supervisor->stopping) {
        if (!any_running(supervisor)) {
            ev_break(loop, EVBREAK_ALL);
        }
        return;
    }
    char how[64];
    if (WIFSIGNALED(status)) {
        (void)snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(how, sizeof how, "ended with code %d", WEXITSTATUS(status));
    }
    if (!child->ever_ready && ++child->failed_starts >= START_TRIES_MAX) {
        give_up_on(child, how);
        return;
    }
    if (ev_now(loop) - child->started_at > HEALTHY_S) {
        child->backoff_s = BACKOFF_MIN_S;
    }
    if (held(child)) {
        say(supervisor, "%s %s and is held down\n", child->code, how);
        ev_timer_set(&child->retry, HOLD_POLL_S, 0.);
    } else {
        say(supervisor, "%s %s; starting it again in %.0f ms\n", child->code, how,
            child->backoff_s * 1000);
        ev_timer_set(&child->retry, child->backoff_s, 0.);
        child->backoff_s =
            child->backoff_s * 2 < BACKOFF_MAX_S ? child->backoff_s * 2 : BACKOFF_MAX_S;
    }
    ev_timer_start(loop, &child->retry);
    save(supervisor);
}

/* A node says that it serves by writing node.json with its pid. */
static bool says_ready(const struct child *child)
{
    char path[4096];
    supervisor_path(child->supervisor->options->folder, child->code, "node.json", path);
    json_t *json = json_load_file(path, 0, NULL);
    bool ready = json_integer_value(json_object_get(json, "pid")) ==
                 child->supervisor->state->nodes[child->index].pid;
    json_decref(json);
    return ready;
}

static void announce(struct supervisor *supervisor)
{
    supervisor->announced = true;
    save(supervisor);
    if (supervisor->options->ready != NULL) {
        supervisor->options->ready(supervisor->options->context, supervisor->state);
    }
    if (supervisor->options->ready_fd >= 0) {
        /* The terminal, or the pipe, of whoever waited is theirs again. */
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        (void)!write(supervisor->options->ready_fd, "1", 1);
        (void)close(supervisor->options->ready_fd);
    }
}

static void on_poll(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct supervisor *supervisor = watcher->data;
    bool all = true;
    for (size_t i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->ready || supervisor->state->nodes[i].pid == 0) {
            all = all && (child->ready || child->ever_ready);
            continue;
        }
        if (!says_ready(child)) {
            all = false;
            continue;
        }
        if (child->ever_ready) {
            say(supervisor, "%s serves again\n", child->code);
        }
        child->ready = true;
        child->ever_ready = true;
        child->failed_starts = 0;
    }
    if (all) {
        ev_timer_stop(loop, watcher);
        if (!supervisor->announced) {
            announce(supervisor);
        }
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    stop(watcher->data);
}

static void on_stop_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    kill_all(watcher->data, SIGKILL);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void set_up(struct supervisor *supervisor)
{
    supervisor->loop = ev_default_loop(0);
    ev_init(&supervisor->poll, on_poll);
    supervisor->poll.repeat = POLL_S;
    supervisor->poll.data = supervisor;
    ev_timer_init(&supervisor->stop_limit, on_stop_limit, STOP_S, 0.);
    supervisor->stop_limit.data = supervisor;
    ev_signal_init(&supervisor->interrupt, on_signal, SIGINT);
    ev_signal_init(&supervisor->terminate, on_signal, SIGTERM);
    supervisor->interrupt.data = supervisor;
    supervisor->terminate.data = supervisor;
    ev_signal_start(supervisor->loop, &supervisor->interrupt);
    ev_signal_start(supervisor->loop, &supervisor->terminate);
    supervisor->children = PS_NEW_ARRAY(struct child, supervisor->count);
    for (size_t i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];
        child->supervisor = supervisor;
        child->index = i;
        child->code = supervisor->state->cluster.pops[i]->code;
        child->backoff_s = BACKOFF_MIN_S;
        ev_timer_init(&child->retry, on_retry, 0., 0.);
        child->retry.data = child;
        char path[4096];
        supervisor_path(supervisor->options->folder, child->code, "hold", path);
        (void)unlink(path);
    }
}

enum ps_status supervisor_run(const struct supervisor_options *options,
                              struct ps_cluster_state *state, struct ps_error *err)
{
    struct supervisor supervisor = {
        .options = options, .state = state, .count = state->cluster.pop_count};
    raise_file_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    set_up(&supervisor);
    state->supervisor_pid = getpid();
    save(&supervisor);
    for (size_t i = 0; i < supervisor.count && supervisor.failure.status == PS_OK; i++) {
        start(&supervisor.children[i]);
    }
    if (supervisor.failure.status == PS_OK || any_running(&supervisor)) {
        ev_run(supervisor.loop, 0);
    }
    state->supervisor_pid = 0;
    save(&supervisor);
    free(supervisor.children);
    if (supervisor.failure.status != PS_OK) {
        return ps_fail(err, supervisor.failure.status, "%s", supervisor.failure.text);
    }
    return PS_OK;
}
