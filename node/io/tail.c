#include "node/io/tail.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { SEND_MAX = 1 << 20 /* bytes of a file in one call: others have their turn, too */ };

void ps_tail_init(struct ps_tail *tail, struct ps_node_store *store, struct ps_slice key,
                  uint64_t lsn, size_t size)
{
    *tail = (struct ps_tail){.kind = PS_TAIL_VALUE, .store = store, .lsn = lsn, .size = size};
    ps_buf_append_slice(&tail->key, key);
}

void ps_tail_init_files(struct ps_tail *tail, struct ps_tail_file *files, size_t count, int fd)
{
    *tail = (struct ps_tail){
        .kind = PS_TAIL_FILES, .files = files, .file_count = count, .fd = fd, .file_open = fd >= 0};
    for (size_t i = 0; i < count; i++) {
        tail->size += files[i].size;
    }
}

void ps_tail_init_source(struct ps_tail *tail, struct ps_tail_source *source, uint64_t size)
{
    *tail = (struct ps_tail){.kind = PS_TAIL_SOURCE, .source = source, .size = size};
}

static void close_file(struct ps_tail *tail)
{
    if (tail->file_open) {
        (void)close(tail->fd);
        tail->file_open = false;
    }
}

void ps_tail_fini(struct ps_tail *tail)
{
    ps_buf_fini(&tail->key);
    close_file(tail);
    for (size_t i = 0; i < tail->file_count; i++) {
        free(tail->files[i].path);
    }
    free(tail->files);
    if (tail->source != NULL) {
        tail->source->close(tail->source);
    }
    *tail = (struct ps_tail){0};
}

bool ps_tail_left(const struct ps_tail *tail)
{
    return tail->sent < tail->size;
}

enum ps_tail_state ps_tail_state(const struct ps_tail *tail)
{
    return tail->kind == PS_TAIL_SOURCE && ps_tail_left(tail) ? tail->source->state(tail->source)
                                                              : PS_TAIL_READY;
}

static enum ps_tail_state next_of_value(struct ps_tail *tail, struct ps_buf *ret)
{
    struct ps_map *map = tail->store->node->map;
    if (ps_map_read_begin(map) != PS_OK) {
        return PS_TAIL_BROKEN;
    }
    struct ps_bound bound = {.lsn_max = tail->lsn, .commit_max = PS_NEVER};
    struct ps_version version;
    bool there = ps_map_get(map, tail->store->map_store, ps_buf_slice(&tail->key), &bound,
                            &version) == PS_OK &&
                 version.lsn == tail->lsn && version.value.size == tail->size;
    if (there) {
        size_t left = (size_t)(tail->size - tail->sent);
        ps_buf_append(ret, version.value.data + tail->sent,
                      left < PS_TAIL_PART ? left : PS_TAIL_PART);
    }
    ps_map_read_end(map);
    return there ? PS_TAIL_READY : PS_TAIL_BROKEN;
}

/* Is the file whose turn it is open? */
static bool open_file(struct ps_tail *tail)
{
    while (tail->file < tail->file_count && tail->file_sent == tail->files[tail->file].size) {
        close_file(tail);
        tail->file++;
        tail->file_sent = 0;
    }
    PS_ASSERT(tail->file < tail->file_count);
    if (!tail->file_open) {
        tail->fd = open(tail->files[tail->file].path, O_RDONLY | O_CLOEXEC);
        tail->file_open = tail->fd >= 0;
    }
    return tail->file_open;
}

/* The kernel has the bytes, or reads them now. */
static enum ps_tail_state next_of_files(struct ps_tail *tail, struct ps_buf *ret)
{
    if (!open_file(tail)) {
        return PS_TAIL_BROKEN;
    }
    const struct ps_tail_file *file = &tail->files[tail->file];
    uint64_t left = file->size - tail->file_sent;
    size_t size = left < PS_TAIL_PART ? (size_t)left : PS_TAIL_PART;
    ps_buf_reserve(ret, size);
    ssize_t got;
    do {
        got = pread(tail->fd, ret->data + ret->size, size, (off_t)(file->offset + tail->file_sent));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return PS_TAIL_BROKEN;
    }
    ret->size += (size_t)got;
    tail->file_sent += (uint64_t)got;
    return PS_TAIL_READY;
}

enum ps_tail_state ps_tail_next(struct ps_tail *tail, struct ps_buf *ret)
{
    PS_ASSERT(ps_tail_left(tail));
    size_t before = ret->size;
    enum ps_tail_state state = tail->kind == PS_TAIL_VALUE ? next_of_value(tail, ret)
                               : tail->kind == PS_TAIL_FILES
                                   ? next_of_files(tail, ret)
                                   : tail->source->next(tail->source, ret);
    uint64_t came = ret->size - before;
    if (came > tail->size - tail->sent) {
        return PS_TAIL_BROKEN; /* more than was said */
    }
    tail->sent += came;
    return state;
}

ssize_t ps_tail_send(struct ps_tail *tail, int socket)
{
    PS_ASSERT(tail->kind == PS_TAIL_FILES && ps_tail_left(tail));
    if (!open_file(tail)) {
        errno = EPIPE;
        return -1;
    }
    const struct ps_tail_file *file = &tail->files[tail->file];
    uint64_t left = file->size - tail->file_sent;
    off_t offset = (off_t)(file->offset + tail->file_sent);
    ssize_t sent =
        sendfile(socket, tail->fd, &offset, left < SEND_MAX ? (size_t)left : (size_t)SEND_MAX);
    if (sent == 0) {
        errno = EPIPE; /* the file is shorter than was said */
        return -1;
    }
    if (sent > 0) {
        tail->file_sent += (uint64_t)sent;
        tail->sent += (uint64_t)sent;
    }
    return sent;
}
