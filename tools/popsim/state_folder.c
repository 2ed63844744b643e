#include "tools/popsim/state_folder.h"

#include "replication/base/memory.h"
#include "tools/popsim/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_PORT = 8700,
    S3_ABOVE = 100, /* from the first API port to the first S3 port, or more for more PoPs */
    S3_ID_BYTES = 16,
    S3_SECRET_BYTES = 32
};

bool state_folder_exists(const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/cluster.json", folder);
    return access(path, F_OK) == 0;
}

/* Take the folder's lock; the descriptor stays open for the life of the process. */
static enum ps_status lock_folder(const char *folder, struct ps_error *err)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ps_fail(err, PS_IO, "%s: %s", path, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return PS_OK;
    }
    enum ps_status status =
        errno == EWOULDBLOCK
            ? ps_fail(err, PS_BUSY, "a cluster is already up in %s; stop it with: popsim down",
                      folder)
            : ps_fail(err, PS_IO, "lock %s: %s", path, strerror(errno));
    (void)close(fd);
    return status;
}

bool state_folder_in_use(const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool in_use = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(fd);
    return in_use;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

enum ps_status state_folder_remove(const char *folder, struct ps_error *err)
{
    if (!state_folder_exists(folder)) {
        return PS_OK; /* not a state folder: nothing of ours to remove */
    }
    if (nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        return ps_fail(err, PS_IO, "remove %s: %s", folder, strerror(errno));
    }
    return PS_OK;
}

/* Free ports for all PoPs: bound together so that they differ, then released. */
static enum ps_status take_free_ports(struct ps_cluster_state *state, bool api, bool s3,
                                      struct ps_error *err)
{
    struct ps_cluster_node *nodes = state->nodes;
    size_t pops = state->cluster.pop_count;
    size_t count = (api ? pops : 0) + (s3 ? pops : 0);
    int *sockets = PS_NEW_ARRAY(int, count);
    enum ps_status status = PS_OK;
    size_t taken = 0;
    for (; taken < count && status == PS_OK; taken++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        (void)inet_pton(AF_INET, state->bind, &address.sin_addr);
        socklen_t size = sizeof address;
        sockets[taken] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (sockets[taken] < 0 ||
            bind(sockets[taken], (const struct sockaddr *)&address, size) != 0 ||
            getsockname(sockets[taken], (struct sockaddr *)&address, &size) != 0) {
            status =
                ps_fail(err, PS_IO, "find a free port on %s: %s", state->bind, strerror(errno));
        }
        bool is_api = api && taken < pops;
        uint16_t *port = is_api ? &nodes[taken].api_port : &nodes[taken - (api ? pops : 0)].s3_port;
        *port = ntohs(address.sin_port);
    }
    for (size_t i = 0; i < taken; i++) {
        if (sockets[i] >= 0) {
            (void)close(sockets[i]);
        }
    }
    free(sockets);
    return status;
}

static enum ps_status choose_address(struct ps_cluster_state *state, const char *bind,
                                     struct ps_error *err)
{
    struct in_addr address;
    if (bind == NULL) {
        return PS_OK;
    }
    if (inet_pton(AF_INET, bind, &address) != 1) {
        return ps_fail(err, PS_INVALID, "--bind %s: an IPv4 address is expected", bind);
    }
    (void)inet_ntop(AF_INET, &address, state->bind, sizeof state->bind);
    return PS_OK;
}

static enum ps_status check_ports(const struct ps_cluster_state *state, const char *option,
                                  int first_port, struct ps_error *err)
{
    if (first_port > 0 && (size_t)first_port + state->cluster.pop_count > UINT16_MAX) {
        return ps_fail(err, PS_INVALID, "%s %d: %zu PoPs do not fit above it", option, first_port,
                       state->cluster.pop_count);
    }
    return PS_OK;
}

/* 0 takes free ones, -1 leaves them as they are. */
static enum ps_status assign_ports(struct ps_cluster_state *state, int first_port,
                                   int first_s3_port, struct ps_error *err)
{
    enum ps_status status = check_ports(state, "--port", first_port, err);
    if (status == PS_OK) {
        status = check_ports(state, "--s3-port", first_s3_port, err);
    }
    if (status == PS_OK && first_port > 0 && first_s3_port > 0 &&
        (size_t)abs(first_port - first_s3_port) < state->cluster.pop_count) {
        status = ps_fail(err, PS_INVALID, "--s3-port %d: %zu PoPs need ports of the API from %d on",
                         first_s3_port, state->cluster.pop_count, first_port);
    }
    if (status == PS_OK && (first_port == 0 || first_s3_port == 0)) {
        status = take_free_ports(state, first_port == 0, first_s3_port == 0, err);
    }
    for (size_t i = 0; i < state->cluster.pop_count && status == PS_OK; i++) {
        if (first_port > 0) {
            state->nodes[i].api_port = (uint16_t)((size_t)first_port + i);
        }
        if (first_s3_port > 0) {
            state->nodes[i].s3_port = (uint16_t)((size_t)first_s3_port + i);
        }
    }
    return status;
}

/* Where S3 ports go when nobody says. */
static int usual_s3_port(const struct ps_cluster_state *state, int first_port)
{
    size_t hundreds = (state->cluster.pop_count + S3_ABOVE - 1) / S3_ABOVE;
    return first_port == 0 ? 0 : first_port + S3_ABOVE * (int)hundreds;
}

/* 0: they do not follow each other. */
static int first_port_of(const struct ps_cluster_state *state)
{
    int first = state->nodes[0].api_port;
    for (size_t i = 0; i < state->cluster.pop_count; i++) {
        if (state->nodes[i].api_port != first + (int)i) {
            return 0;
        }
    }
    return first;
}

static enum ps_status resume_ports(const struct state_folder_request *request,
                                   struct ps_cluster_state *state, struct ps_error *err)
{
    int first_s3_port = request->first_s3_port;
    bool lacks_s3 = state->nodes[0].s3_port == 0; /* a version before S3 wrote it */
    if (first_s3_port < 0 && (request->first_port >= 0 || lacks_s3)) {
        int first_port = request->first_port >= 0 ? request->first_port : first_port_of(state);
        first_s3_port = usual_s3_port(state, first_port);
    }
    return assign_ports(state, request->first_port, first_s3_port, err);
}

static enum ps_status new_ports(const struct state_folder_request *request,
                                struct ps_cluster_state *state, struct ps_error *err)
{
    int first_port = request->first_port < 0 ? FIRST_PORT : request->first_port;
    int first_s3_port =
        request->first_s3_port < 0 ? usual_s3_port(state, first_port) : request->first_s3_port;
    return assign_ports(state, first_port, first_s3_port, err);
}

static void hex(const unsigned char *bytes, size_t size, char *ret)
{
    for (size_t i = 0; i < size; i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    }
}

static enum ps_status make_keys(struct ps_cluster_state *state, struct ps_error *err)
{
    unsigned char bytes[S3_ID_BYTES + S3_SECRET_BYTES];
    if (state->s3_key_id[0] != '\0') {
        return PS_OK;
    }
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        return ps_fail(err, PS_IO, "make a key pair: %s", strerror(errno));
    }
    hex(bytes, S3_ID_BYTES, state->s3_key_id);
    hex(bytes + S3_ID_BYTES, S3_SECRET_BYTES, state->s3_secret);
    return PS_OK;
}

bool state_folder_same_cluster(const struct ps_cluster *a, const struct ps_cluster *b)
{
    struct ps_buf texts[2] = {{0}};
    const struct ps_cluster *clusters[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        struct ps_cluster copy = *clusters[i];
        copy.speed_milli = 1000;
        copy.epoch_unix_s = 0;
        copy.latency = PS_LATENCY_PROFILE;
        copy.latency_scale_milli = 0;
        copy.durability = PS_DURABILITY_SYNC;
        ps_cluster_encode(&texts[i], &copy);
    }
    bool same = ps_slice_eq(ps_buf_slice(&texts[0]), ps_buf_slice(&texts[1]));
    ps_buf_fini(&texts[0]);
    ps_buf_fini(&texts[1]);
    return same;
}

/* Time goes on from where it stood; a machine that was started again has a younger clock. */
static void resume_time(struct ps_cluster_state *state)
{
    uint64_t now_ns = cli_monotonic_ns();
    ps_time_ns stood_ns = now_ns > state->timeline.origin_ns
                              ? ps_timeline_at(&state->timeline, now_ns)
                              : ps_time_add(state->timeline.base_ns, PS_DAY);
    state->timeline.base_ns = stood_ns;
    state->timeline.origin_ns = now_ns;
}

static enum ps_status resume(const struct state_folder_request *request,
                             struct ps_cluster_state *ret, struct ps_error *err)
{
    enum ps_status status = ps_cluster_state_load(request->folder, ret, err);
    if (status != PS_OK) {
        return status;
    }
    if (request->asked != NULL && !state_folder_same_cluster(request->asked, &ret->cluster)) {
        ps_cluster_state_fini(ret);
        return ps_fail(
            err, PS_EXISTS,
            "%s holds another cluster's data; go on with it (popsim up without options), "
            "throw it away (--fresh), or choose another folder (--state)",
            request->folder);
    }
    resume_time(ret);
    if (request->asked != NULL) {
        ret->cluster.speed_milli = request->asked->speed_milli;
        ret->cluster.latency = request->asked->latency;
        ret->cluster.latency_scale_milli = request->asked->latency_scale_milli;
        ret->cluster.durability = request->asked->durability;
    }
    ret->timeline.speed_milli = ret->cluster.speed_milli;
    /* What a supervisor left behind that was killed. */
    ret->supervisor_pid = 0;
    for (size_t i = 0; i < ret->cluster.pop_count; i++) {
        ret->nodes[i].pid = 0;
    }
    status = choose_address(ret, request->bind, err);
    if (status == PS_OK) {
        status = resume_ports(request, ret, err);
    }
    if (status == PS_OK) {
        status = make_keys(ret, err);
    }
    if (status == PS_OK) {
        status = ps_cluster_state_save(request->folder, ret, err);
    }
    if (status != PS_OK) {
        ps_cluster_state_fini(ret);
    }
    return status;
}

static enum ps_status create(const struct state_folder_request *request,
                             struct ps_cluster_state *ret, struct ps_error *err)
{
    *ret = (struct ps_cluster_state){.cluster = *request->asked, .bind = PS_LOOPBACK};
    *request->asked = (struct ps_cluster){0};
    ret->cluster.epoch_unix_s = (int64_t)time(NULL);
    ret->timeline = (struct ps_timeline){.origin_ns = cli_monotonic_ns(),
                                         .speed_milli = ret->cluster.speed_milli};
    ret->nodes = PS_NEW_ARRAY(struct ps_cluster_node, ret->cluster.pop_count);
    enum ps_status status = choose_address(ret, request->bind, err);
    if (status == PS_OK) {
        status = new_ports(request, ret, err);
    }
    if (status == PS_OK) {
        status = make_keys(ret, err);
    }
    if (status == PS_OK) {
        status = ps_cluster_state_save(request->folder, ret, err);
    }
    if (status != PS_OK) {
        ps_cluster_state_fini(ret);
    }
    return status;
}

enum ps_status state_folder_open(const struct state_folder_request *request,
                                 struct ps_cluster_state *ret, struct ps_error *err)
{
    if (mkdir(request->folder, 0700) != 0 && errno != EEXIST) {
        return ps_fail(err, PS_IO, "%s: %s", request->folder, strerror(errno));
    }
    enum ps_status status = lock_folder(request->folder, err);
    if (status == PS_OK && request->fresh && state_folder_exists(request->folder)) {
        /* The lock's file goes with the rest. */
        status = state_folder_remove(request->folder, err);
        if (status == PS_OK && mkdir(request->folder, 0700) != 0 && errno != EEXIST) {
            status = ps_fail(err, PS_IO, "%s: %s", request->folder, strerror(errno));
        }
        status = status == PS_OK ? lock_folder(request->folder, err) : status;
    }
    if (status != PS_OK) {
        return status;
    }
    return state_folder_exists(request->folder) ? resume(request, ret, err)
                                                : create(request, ret, err);
}
