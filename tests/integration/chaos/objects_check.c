/* After the load has come to rest: what clients saw against a register per key, and home's files
 * against what its map refers to. */
#include "node/map/map.h"
#include "node/r2/object.h"
#include "replication/base/memory.h"
#include "tests/integration/chaos/objects.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A mutation whose client has gone is given up after seconds; until then it may take effect. */
#define LINGERS_NS (30 * PS_SECOND)

static const char *describe(const struct linear_op *op, char ret[128])
{
    static const char *const outcomes[] = {"", ", refused", ", outcome unknown"};
    (void)snprintf(ret, 128, "%s %016" PRIx64 "%s%s, %.3f to %.3f ms",
                   op->kind == LINEAR_READ ? "read" : "wrote", op->value,
                   op->condition == LINEAR_ALWAYS ? "" : " by a condition", outcomes[op->outcome],
                   (double)op->invoke_ns / 1e6, (double)op->complete_ns / 1e6);
    return ret;
}

static void complain(const struct key_history *history, size_t key, size_t stuck)
{
    char text[128];
    for (size_t i = 0; i < history->count; i++) {
        (void)fprintf(stderr, "  %s\n", describe(&history->ops[i], text));
    }
    chaos_fail("object-%zu, first %016" PRIx64 ", is not linearizable: %s", key, history->value,
               describe(&history->ops[stuck], text));
}

/* What may still take effect is part of the next history, too. */
static void begin_anew(struct key_history *history, uint64_t value)
{
    uint64_t now_ns = chaos_now_ns();
    size_t kept = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct linear_op *op = &history->ops[i];
        if (op->outcome == LINEAR_UNKNOWN && op->invoke_ns + LINGERS_NS > now_ns) {
            history->ops[kept++] = *op;
        }
    }
    history->count = kept;
    history->value = value;
}

void objects_check_histories(struct objects_load *load, struct objects_check *check)
{
    for (size_t key = 0; key < OBJECT_KEYS; key++) {
        struct key_history *history = &load->keys[key];
        const struct linear_op *last = &history->ops[history->count - 1];
        size_t stuck = 0;
        if (!linear_check(history->ops, history->count, history->value, &stuck)) {
            complain(history, key, stuck);
        }
        PS_ASSERT(last->kind == LINEAR_READ); /* all was read when the load had come to rest */
        check->operations += history->count;
        begin_anew(history, last->value);
    }
}

/* ---- blobs ---- */

struct blob {
    UT_hash_handle hh;
    struct ps_r2_id id;
    uint64_t size;
};

struct blobs {
    struct blob *all;
    bool corrupt;
};

static void blobs_fini(struct blobs *blobs)
{
    struct blob *blob = blobs->all;
    HASH_CLEAR(hh, blobs->all);
    while (blob != NULL) {
        struct blob *next = blob->hh.next;
        free(blob);
        blob = next;
    }
}

static void add_blob(void *context, const struct ps_r2_blob *found)
{
    struct blobs *blobs = context;
    struct blob *blob;
    HASH_FIND(hh, blobs->all, &found->id, sizeof found->id, blob);
    if (blob == NULL) {
        blob = PS_NEW(struct blob);
        blob->id = found->id;
        blob->size = found->size;
        HASH_ADD(hh, blobs->all, id, sizeof blob->id, blob);
    }
}

static bool each_key(void *context, struct ps_slice key, const struct ps_version *version)
{
    struct blobs *blobs = context;
    if (!version->deleted) {
        blobs->corrupt |=
            ps_r2_entry_blobs(key, version->metadata, version->value, add_blob, blobs) != PS_OK;
    }
    return true;
}

static bool each_record(void *context, const struct ps_record *record)
{
    struct blobs *blobs = context;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        if (!entry->deleted) {
            blobs->corrupt |= ps_r2_entry_blobs(entry->key, entry->metadata, entry->value, add_blob,
                                                blobs) != PS_OK;
        }
    }
    return true;
}

static void must(enum ps_status status, const char *what)
{
    if (status != PS_OK) {
        chaos_fail("home's map: %s: %s", what, ps_status_text(status));
    }
}

/* All that a read may still see refers to; home is down. */
static void read_references(const struct cluster *cluster, struct blobs *ret)
{
    char path[512];
    struct ps_map *map;
    ps_map_store store;
    struct ps_log_state log;
    (void)snprintf(path, sizeof path, "%s/pop-%s/map", cluster->folder, chaos_pops[0]);
    must(ps_map_open_lmdb(path, false, &map, NULL), "open");
    must(ps_map_store_open(map, PS_LIT(BUCKET), &store, NULL), "open the store");
    must(ps_map_read_begin(map), "begin to read");
    must(ps_map_log_state(map, store, &log), "read where the log begins");
    if (log.first_lsn <= log.last_lsn) {
        must(ps_map_log(map, store, log.first_lsn, each_record, ret), "read the log");
    }
    const struct ps_bound bound = {.lsn_max = log.first_lsn - 1, .commit_max = PS_NEVER};
    must(ps_map_list(map, store, PS_LIT(""), PS_LIT(""), &bound, each_key, ret), "list");
    ps_map_read_end(map);
    ps_map_close(map);
    if (ret->corrupt) {
        chaos_fail("an entry of home's map is not understood");
    }
}

/* Files that nothing refers to, temporary ones among them; *ret_missing: references without one. */
static size_t compare_files(const struct cluster *cluster, const struct blobs *blobs,
                            size_t *ret_missing)
{
    char path[512];
    size_t orphans = 0;
    size_t found = 0;
    (void)snprintf(path, sizeof path, "%s/pop-%s/blobs/" BUCKET, cluster->folder, chaos_pops[0]);
    DIR *folder = opendir(path);
    for (const struct dirent *file; folder != NULL && (file = readdir(folder)) != NULL;) {
        struct ps_r2_id id;
        struct blob *blob = NULL;
        if (file->d_name[0] == '.') {
            continue;
        }
        if (ps_r2_id_parse(ps_slice_of(file->d_name), &id)) {
            HASH_FIND(hh, blobs->all, &id, sizeof id, blob);
        }
        found += blob != NULL;
        orphans += blob == NULL;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    *ret_missing = HASH_COUNT(blobs->all) - found;
    return orphans;
}

void objects_check_blobs(struct objects_load *load, struct objects_check *check)
{
    struct blobs blobs = {0};
    size_t missing;
    cluster_kill(load->cluster, 0);
    read_references(load->cluster, &blobs);
    check->orphans += compare_files(load->cluster, &blobs, &missing);
    if (missing > 0) {
        chaos_fail("%zu blobs are referred to and are not there", missing);
    }
    cluster_start(load->cluster, 0);
    cluster_wait(load->cluster, 0);
    WAIT_FOR(compare_files(load->cluster, &blobs, &missing) == 0);
    (void)compare_files(load->cluster, &blobs, &missing);
    if (missing > 0) {
        chaos_fail("%zu blobs that are referred to were swept", missing);
    }
    check->blobs += HASH_COUNT(blobs.all);
    blobs_fini(&blobs);
}
