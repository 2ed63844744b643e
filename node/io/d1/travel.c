#include "node/io/d1/travel.h"

#include <inttypes.h>
#include <string.h>

enum { DAY_S = 86400, RECORD_MB = PS_RECORD_SIZE_MAX >> 20 };

/* ---- states and bookmarks ---- */

/* Every record changes the head, so its version at an LSN was committed with that LSN. */
static enum ps_status read_state(const struct ps_node_store *store, const struct ps_bound *bound,
                                 struct ps_travel_state *ret)
{
    char key[PS_PAGE_KEY_SIZE];
    ps_page_key(key, 0);
    struct ps_version version;
    struct ps_page_head head;
    enum ps_status status = ps_map_get(store->node->map, store->map_store,
                                       (struct ps_slice){key, sizeof key}, bound, &version);
    status = status != PS_OK ? status : ps_page_head_read(version.value, &head);
    if (status == PS_OK) {
        *ret = (struct ps_travel_state){
            .lsn = version.lsn, .commit_ns = version.commit_ns, .restores = head.restores};
    }
    return status;
}

enum ps_status ps_travel_find(const struct ps_node_store *store, const struct ps_bound *bound,
                              struct ps_travel_state *ret)
{
    *ret = (struct ps_travel_state){0};
    enum ps_status status = ps_map_read_begin(store->node->map);
    if (status == PS_OK) {
        status = read_state(store, bound, ret);
        ps_map_read_end(store->node->map);
    }
    return status;
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The store's id, which is 32 hexadecimal digits. */
static void read_hash(const struct ps_store *config, uint8_t ret[PS_BOOKMARK_HASH_SIZE])
{
    for (size_t i = 0; i < PS_BOOKMARK_HASH_SIZE; i++) {
        ret[i] = (uint8_t)(nibble(config->id[2 * i]) << 4 | nibble(config->id[2 * i + 1]));
    }
}

static uint32_t epoch_of(const struct ps_travel_state *state)
{
    enum { MOST = PS_BOOKMARK_EPOCH_MAX - PS_BOOKMARK_EPOCH_FIRST };

    return PS_BOOKMARK_EPOCH_FIRST + (state->restores < MOST ? state->restores : MOST);
}

void ps_travel_bookmark(const struct ps_node_store *store, const struct ps_travel_state *state,
                        char ret[PS_BOOKMARK_SIZE + 1])
{
    const struct ps_cluster *cluster = &store->node->state.cluster;
    struct ps_bookmark bookmark = {
        .epoch = epoch_of(state),
        .lsn = state->lsn,
        .day = (uint32_t)((uint64_t)ps_kv_unix_s(cluster, state->commit_ns) / DAY_S)};
    read_hash(store->config, bookmark.hash);
    ps_bookmark_write(ret, &bookmark);
    ret[PS_BOOKMARK_SIZE] = '\0';
}

bool ps_travel_is_of(const struct ps_node_store *store, const struct ps_bookmark *bookmark)
{
    uint8_t hash[PS_BOOKMARK_HASH_SIZE];
    read_hash(store->config, hash);
    return bookmark->epoch >= PS_BOOKMARK_EPOCH_FIRST &&
           memcmp(bookmark->hash, hash, sizeof hash) == 0;
}

ps_time_ns ps_travel_horizon(const struct ps_node_store *store, ps_time_ns now_ns)
{
    ps_time_ns horizon_ns = ps_time_sub(now_ns, PS_TRAVEL_NS);
    struct ps_travel_state state;
    if (store->have_lsn > PS_TRAVEL_COMMITS) {
        const struct ps_bound bound = {.lsn_max = store->have_lsn - PS_TRAVEL_COMMITS,
                                       .commit_max = PS_NEVER};
        if (ps_travel_find(store, &bound, &state) == PS_OK) {
            horizon_ns = ps_time_max(horizon_ns, state.commit_ns);
        }
    }
    return horizon_ns;
}

/* ---- which state is meant ---- */

struct travel {
    const struct ps_node_store *store;
    struct ps_d1_job *job;
};

static bool fail(const struct travel *travel, const char *text)
{
    travel->job->failed = true;
    ps_buf_append_text(&travel->job->text, text);
    return false;
}

static bool fail_status(const struct travel *travel, enum ps_status status)
{
    travel->job->status = status;
    return false;
}

/* Say where the kept states begin: with the oldest record of the log. */
static bool fail_too_old(const struct travel *travel)
{
    const struct ps_node_store *store = travel->store;
    struct ps_log_state log;
    struct ps_travel_state oldest;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    enum ps_status status = ps_map_log_state(store->node->map, store->map_store, &log);
    if (status == PS_OK) {
        uint64_t lsn = log.first_lsn < log.last_lsn ? log.first_lsn : log.last_lsn;
        const struct ps_bound bound = {.lsn_max = lsn, .commit_max = PS_NEVER};
        status = ps_travel_find(store, &bound, &oldest);
    }
    if (status != PS_OK) {
        return fail_status(travel, status);
    }
    ps_travel_bookmark(store, &oldest, bookmark);
    ps_buf_printf(&travel->job->text,
                  "That state is no longer kept: the oldest bookmark is %s. (Kept are %d days of "
                  "the cluster's time, and the states of the newest %d commits at most.)",
                  bookmark, (int)(PS_TRAVEL_NS / (24 * PS_HOUR)), PS_TRAVEL_COMMITS);
    travel->job->failed = true;
    return false;
}

/* The state before the first commit is empty; it is kept as long as the first record is. */
static bool find_empty(const struct travel *travel, struct ps_travel_state *ret)
{
    const struct ps_node_store *store = travel->store;
    struct ps_log_state log;
    enum ps_status status = ps_map_log_state(store->node->map, store->map_store, &log);
    if (status != PS_OK) {
        return fail_status(travel, status);
    }
    *ret = (struct ps_travel_state){0};
    return log.last_lsn == 0 || log.first_lsn == 1 || fail_too_old(travel);
}

static bool find_newest(const struct travel *travel, struct ps_travel_state *ret)
{
    enum ps_status status = ps_travel_find(travel->store, &PS_BOUND_NEWEST, ret);
    return status == PS_OK || status == PS_NOT_FOUND || fail_status(travel, status);
}

static bool find_by_lsn(const struct travel *travel, uint64_t lsn, struct ps_travel_state *ret)
{
    if (lsn == 0) {
        return find_empty(travel, ret);
    }
    const struct ps_bound bound = {.lsn_max = lsn, .commit_max = PS_NEVER};
    enum ps_status status = ps_travel_find(travel->store, &bound, ret);
    if (status == PS_NOT_FOUND) {
        return fail_too_old(travel);
    }
    return status == PS_OK || fail_status(travel, status);
}

static bool find_by_bookmark(const struct travel *travel, struct ps_slice text,
                             struct ps_travel_state *ret)
{
    struct ps_bookmark bookmark;
    if (ps_bookmark_read(text, &bookmark) != PS_OK) {
        return fail(travel, "Invalid bookmark: it has not the form of one.");
    }
    if (!ps_travel_is_of(travel->store, &bookmark)) {
        return fail(travel, "Invalid bookmark: it is not of this database.");
    }
    struct ps_travel_state newest;
    if (!find_newest(travel, &newest)) {
        return false;
    }
    if (bookmark.lsn > newest.lsn) {
        return fail(travel, "Invalid bookmark: it is of a state that there is not yet.");
    }
    if (!find_by_lsn(travel, bookmark.lsn, ret)) {
        return false;
    }
    char own[PS_BOOKMARK_SIZE + 1];
    ps_travel_bookmark(travel->store, ret, own);
    return ps_slice_eq(ps_slice_of(own), text) ||
           fail(travel, "Invalid bookmark: this database never gave it.");
}

/* Decimal; false where it is no number of 64 bits. */
static bool read_ns(struct ps_slice text, int64_t *ret)
{
    uint64_t value = 0;
    bool minus = text.size > 0 && text.data[0] == '-';
    size_t i = minus ? 1 : 0;
    if (text.size == i || text.size > i + 19) {
        return false;
    }
    for (; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value > INT64_MAX) {
        return false;
    }
    *ret = minus ? -(int64_t)value : (int64_t)value;
    return true;
}

/* No record will be committed at or before an instant that is past: so each has one bookmark for
 * ever. */
static bool find_by_time(const struct travel *travel, struct ps_slice text,
                         struct ps_travel_state *ret)
{
    const struct ps_node_store *store = travel->store;
    const int64_t epoch_s = store->node->state.cluster.epoch_unix_s;
    int64_t unix_ns;
    if (!read_ns(text, &unix_ns)) {
        return fail_status(travel, PS_INVALID);
    }
    const int64_t epoch_ns = epoch_s * (int64_t)PS_SECOND;
    const int64_t created_ns = store->created_unix_s * (int64_t)PS_SECOND;
    if (unix_ns < epoch_ns || unix_ns < created_ns) {
        return fail(travel, "Invalid timestamp: it is before this database was created.");
    }
    ps_time_ns t = (ps_time_ns)(unix_ns - epoch_ns);
    if (t >= travel->job->now_ns) {
        ps_buf_printf(&travel->job->text,
                      "Invalid timestamp: it is in the future. (The cluster's clock says %" PRId64
                      " s since 1970.)",
                      ps_kv_unix_s(&store->node->state.cluster, travel->job->now_ns));
        travel->job->failed = true;
        return false;
    }
    const struct ps_bound bound = {.lsn_max = UINT64_MAX, .commit_max = t};
    enum ps_status status = ps_travel_find(store, &bound, ret);
    return status == PS_OK ||
           (status == PS_NOT_FOUND ? find_empty(travel, ret) : fail_status(travel, status));
}

static bool find_state(const struct travel *travel, struct ps_travel_state *ret)
{
    struct ps_slice body = travel->job->body;
    if (body.size == 0) {
        return find_newest(travel, ret);
    }
    struct ps_slice rest = {body.data + 1, body.size - 1};
    if (body.data[0] == 'b') {
        return find_by_bookmark(travel, rest, ret);
    }
    return body.data[0] == 't' ? find_by_time(travel, rest, ret) : fail_status(travel, PS_INVALID);
}

/* ---- the two things to do ---- */

static void tell(const struct travel *travel, const struct ps_travel_state *state)
{
    char bookmark[PS_BOOKMARK_SIZE + 1];
    ps_travel_bookmark(travel->store, state, bookmark);
    ps_buf_printf(&travel->job->text, "{\"bookmark\":\"%s\"}", bookmark);
}

/* The restore is done, as at_lsn. */
static bool tell_restored(const struct travel *travel, struct ps_travel_state *ret)
{
    struct ps_travel_state before;
    char bookmark[PS_BOOKMARK_SIZE + 1];
    char previous[PS_BOOKMARK_SIZE + 1];
    struct ps_bound bound = {.lsn_max = travel->job->at_lsn, .commit_max = PS_NEVER};
    enum ps_status status = ps_travel_find(travel->store, &bound, ret);
    bound.lsn_max--;
    if (status == PS_OK) {
        status = ps_travel_find(travel->store, &bound, &before);
        status = status == PS_NOT_FOUND && bound.lsn_max == 0 ? PS_OK : status;
    }
    if (status != PS_OK) {
        return fail_status(travel, PS_EXISTS); /* it is done, and long ago */
    }
    ps_travel_bookmark(travel->store, ret, bookmark);
    ps_travel_bookmark(travel->store, &before, previous);
    ps_buf_printf(&travel->job->text,
                  "{\"bookmark\":\"%s\",\"previous_bookmark\":\"%s\",\"message\":\"Database "
                  "restored. To undo this, restore the previous bookmark.\"}",
                  bookmark, previous);
    return true;
}

/* The record of the restore with this number, the last one being `newest.restores`: the first
 * whose head has counted it. */
static enum ps_status find_restore(const struct ps_node_store *store,
                                   const struct ps_travel_state *newest, uint32_t number,
                                   struct ps_travel_state *ret)
{
    struct ps_log_state log;
    enum ps_status status = ps_map_log_state(store->node->map, store->map_store, &log);
    uint64_t low = log.first_lsn;
    uint64_t high = newest->lsn; /* has counted it */
    *ret = *newest;
    while (status == PS_OK && low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct ps_bound bound = {.lsn_max = middle, .commit_max = PS_NEVER};
        struct ps_travel_state state;
        status = ps_travel_find(store, &bound, &state);
        if (status == PS_OK && state.restores >= number) {
            *ret = state;
            high = middle;
        } else if (status == PS_OK || status == PS_NOT_FOUND) { /* forgotten since */
            status = PS_OK;
            low = middle + 1;
        }
    }
    return status;
}

/* Known from the log, so that it outlives a restart. */
static bool check_rate(const struct travel *travel)
{
    struct ps_travel_state newest;
    struct ps_travel_state tenth;
    if (!find_newest(travel, &newest)) {
        return false;
    }
    if (newest.restores < PS_TRAVEL_RESTORES) {
        return true;
    }
    enum ps_status status =
        find_restore(travel->store, &newest, newest.restores + 1 - PS_TRAVEL_RESTORES, &tenth);
    if (status != PS_OK) {
        return fail_status(travel, status);
    }
    ps_time_ns since_ns = ps_time_sub(travel->job->now_ns, PS_TRAVEL_RESTORES_NS);
    if (tenth.commit_ns <= since_ns) {
        return true;
    }
    travel->job->status = PS_BUSY;
    return fail(travel, "Too many restores: D1 makes 10 of a database in 10 minutes at most.");
}

static bool restore(const struct travel *travel, struct ps_pages *pages, uint64_t lsn)
{
    if (!check_rate(travel)) {
        return false;
    }
    enum ps_status status = ps_pages_restore(pages, lsn);
    travel->job->at_lsn = ps_pages_lsn(pages);
    if (status == PS_TOO_OLD) {
        return fail_too_old(travel);
    }
    if (status == PS_LIMIT) {
        ps_buf_printf(&travel->job->text,
                      "That state differs from the present one in more pages than one commit of "
                      "popsim holds (%d MiB); restore to a state between them first.",
                      RECORD_MB);
        travel->job->failed = true;
        return false;
    }
    return status == PS_OK || fail_status(travel, status);
}

bool ps_travel_restores(const struct ps_node_store *store, const struct ps_d1_job *job)
{
    if ((job->flags & PS_QUERY_RESTORE) == 0) {
        return false;
    }
    struct ps_d1_job tried = {
        .body = job->body, .flags = job->flags, .now_ns = ps_node_now(store->node)};
    const struct travel travel = {store, &tried};
    struct ps_travel_state state;
    bool restores = !ps_d1_thread_made(store, &job->token, &tried.at_lsn, &tried.commit_ns) &&
                    find_state(&travel, &state) && check_rate(&travel);
    ps_d1_job_fini(&tried);
    return restores;
}

void ps_travel_run(struct ps_node_store *store, struct ps_pages *pages, struct ps_d1_job *job,
                   bool made)
{
    const struct travel travel = {store, job};
    struct ps_travel_state state = {0};
    bool restores = (job->flags & PS_QUERY_RESTORE) != 0;
    job->now_ns = ps_node_now(store->node);
    job->at_lsn = made ? job->at_lsn : ps_pages_lsn(pages);
    bool known = made || find_state(&travel, &state);
    if (known && !restores) {
        tell(&travel, &state);
    } else if (known && (made || restore(&travel, pages, state.lsn))) {
        known = tell_restored(&travel, &state);
    }
    job->at_lsn = known ? state.lsn : job->at_lsn;
    job->commit_ns = state.commit_ns;
    job->restores = state.restores;
}
