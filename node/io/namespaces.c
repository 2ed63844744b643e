/* Namespaces that are made, renamed and dropped while the cluster runs.
 *
 * A hidden store says which there are. It is homed at the cluster's home, and every node follows it
 * as any other; its newest state is the truth. A record's key is the namespace's id:
 *
 *   value title, metadata profile   a namespace that was made at run time
 *   value title, no metadata        a store of the cluster's description under another title
 *   empty value                     a store of the cluster's description that was dropped
 *   deleted                         a namespace that was dropped
 *
 * Home takes one change at a time and holds it against what is there, so that no title is given
 * twice, whoever asks. Who asked is answered when the change is durable, and done at its own PoP.
 */
#include "node/io/server.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/world/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STORE "popsim/namespaces" /* no user's store can have this name */

#define PROFILE "workers-kv"

enum { DONE_WALL_MS = 10000, AGAIN_MS = 20 };

/* ---- what the hidden store says ---- */

static struct ps_store *hidden_config(const struct ps_node *node)
{
    struct ps_store *config = PS_NEW(struct ps_store);
    *config = (struct ps_store){
        .name = STORE, .type = PS_STORE_KV, .profile = "none", .home = node->state.cluster.home};
    ps_profile_find(PS_LIT("none"))->fill(&config->policy, &config->kv);
    config->kv.write_interval_ns = 0;
    return config;
}

static bool is_id(struct ps_slice key)
{
    bool right = key.size == sizeof((struct ps_store *)0)->id - 1;
    for (size_t i = 0; right && i < key.size; i++) {
        right = (key.data[i] >= '0' && key.data[i] <= '9') ||
                (key.data[i] >= 'a' && key.data[i] <= 'f');
    }
    return right;
}

static bool is_title(struct ps_slice title)
{
    return title.size > 0 && title.size <= PS_KV_TITLE_SIZE_MAX &&
           memchr(title.data, 0, title.size) == NULL;
}

/* Open or not, by id. */
static struct ps_node_store *find(struct ps_node *node, struct ps_slice id)
{
    struct ps_node_store *store = ps_node_store_by_id(node, id);
    return store != NULL ? store
                         : ps_store_opening(node, id); /* made at run time: the id names it */
}

static void set_title(struct ps_node_store *store, struct ps_slice title)
{
    memcpy(store->title, title.data, title.size);
    store->title[title.size] = '\0';
}

/* A namespace that is new here; NULL when it cannot be one. */
static struct ps_node_store *make(struct ps_node *node, struct ps_slice id,
                                  const struct ps_version *version)
{
    const struct ps_profile *profile = ps_profile_find(version->metadata);
    if (profile == NULL) {
        ps_node_log(node, PS_LOG_ERROR, "node", "namespace %.*s: unknown profile", (int)id.size,
                    id.data);
        return NULL;
    }
    struct ps_store *config = PS_NEW(struct ps_store);
    *config = (struct ps_store){.type = PS_STORE_KV, .home = node->state.cluster.home};
    memcpy(config->name, id.data, id.size);
    memcpy(config->id, id.data, id.size);
    (void)snprintf(config->profile, sizeof config->profile, "%s", profile->name);
    profile->fill(&config->policy, &config->kv);
    struct ps_node_store *store = ps_store_create(node, config);
    store->own = config;
    return store;
}

/* What must be opened is opened once the map is not being read. */
struct listing {
    struct ps_node *node;
    struct ps_node_store *made;
};

static bool take_entry(void *context, struct ps_slice id, const struct ps_version *version)
{
    struct listing *listing = context;
    if (version->deleted || !is_id(id)) {
        return true;
    }
    struct ps_node_store *store = find(listing->node, id);
    if (version->value.size == 0) {
        if (store != NULL) {
            ps_store_drop(store);
        }
        return true;
    }
    if (!is_title(version->value)) {
        return true;
    }
    if (store == NULL && version->metadata.size > 0) {
        store = make(listing->node, id, version);
        if (store != NULL) {
            store->next = listing->made;
            listing->made = store;
        }
    }
    if (store != NULL) {
        store->named = true;
        set_title(store, version->value);
    }
    return true;
}

static void drop_unnamed(struct ps_node_store *store)
{
    if (store->own != NULL && !store->hidden && !store->named && !store->dropped) {
        ps_store_drop(store);
    }
    store->named = false;
}

/* Compare what there is with what the hidden store says. Gives the stores to be opened. */
static struct ps_node_store *compare(struct ps_node *node)
{
    struct listing listing = {.node = node};
    struct ps_bound bound = PS_BOUND_NEWEST;
    enum ps_status status = ps_map_read_begin(node->map);
    if (status == PS_OK) {
        status = ps_map_list(node->map, node->names->map_store, (struct ps_slice){0},
                             (struct ps_slice){0}, &bound, take_entry, &listing);
        ps_map_read_end(node->map);
    }
    if (status != PS_OK) {
        ps_node_log(node, PS_LOG_ERROR, "node", "the namespaces cannot be read: %s",
                    ps_status_text(status));
        return listing.made; /* nothing is dropped that may be there */
    }
    for (size_t i = 0; i < node->store_count; i++) {
        drop_unnamed(node->stores[i]);
    }
    for (struct ps_node_store *store = node->opening; store != NULL; store = store->next) {
        drop_unnamed(store);
    }
    return listing.made;
}

static struct ps_node_store *next_made(struct ps_node_store **made)
{
    struct ps_node_store *store = *made;
    if (store != NULL) {
        *made = store->next;
        store->named = false;
    }
    return store;
}

/* ---- at start ---- */

static bool is_dropped(struct ps_node *node, const struct ps_store *config)
{
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    if (ps_map_read_begin(node->map) != PS_OK) {
        return false;
    }
    bool dropped = ps_map_get(node->map, node->names->map_store, ps_slice_of(config->id), &bound,
                              &version) == PS_OK &&
                   !version.deleted && version.value.size == 0;
    ps_map_read_end(node->map);
    return dropped;
}

enum ps_status ps_namespaces_open(struct ps_node *node, struct ps_error *err)
{
    const struct ps_cluster *cluster = &node->state.cluster;
    struct ps_store *config = hidden_config(node);
    node->names = ps_store_create(node, config);
    node->names->own = config;
    node->names->hidden = true;
    enum ps_status status = ps_store_open(node->names, err);
    for (size_t i = 0; i < cluster->store_count && status == PS_OK; i++) {
        if (!is_dropped(node, &cluster->stores[i])) {
            status = ps_store_open(ps_store_create(node, &cluster->stores[i]), err);
        }
    }
    if (status != PS_OK) {
        return status;
    }
    struct ps_node_store *made = compare(node);
    for (struct ps_node_store *store = next_made(&made); store != NULL; store = next_made(&made)) {
        struct ps_error reason = {0};
        if (ps_store_open(store, &reason) != PS_OK) {
            ps_node_log(node, PS_LOG_ERROR, "node", "a namespace is not served: %s", reason.text);
        }
    }
    return PS_OK;
}

/* ---- at home ---- */

static bool has_title(const struct ps_node_store *store, struct ps_slice title, struct ps_slice id)
{
    return ps_store_is_shown(store) && ps_slice_eq(ps_slice_of(store->title), title) &&
           !ps_slice_eq(ps_slice_of(store->config->id), id);
}

/* Does another one than `id` have this title? */
static bool is_taken(struct ps_node *node, struct ps_slice title, struct ps_slice id)
{
    bool taken = false;
    for (size_t i = 0; i < node->store_count && !taken; i++) {
        taken = has_title(node->stores[i], title, id);
    }
    for (struct ps_node_store *store = node->opening; store != NULL && !taken;
         store = store->next) {
        taken = has_title(store, title, id);
    }
    return taken;
}

static size_t count_namespaces(struct ps_node *node)
{
    size_t count = 0;
    for (size_t i = 0; i < node->store_count; i++) {
        count += ps_store_is_shown(node->stores[i]) ? 1 : 0;
    }
    for (struct ps_node_store *store = node->opening; store != NULL; store = store->next) {
        count += ps_store_is_shown(store) ? 1 : 0;
    }
    return count;
}

static enum ps_status check(struct ps_node *node, const struct ps_entry *entry)
{
    if (!is_id(entry->key)) {
        return PS_INVALID;
    }
    const struct ps_node_store *store = find(node, entry->key);
    bool drops = entry->deleted || entry->value.size == 0;
    bool made_later = store == NULL || store->own != NULL;
    if (drops) {
        bool right = store != NULL && entry->deleted == made_later;
        return right ? PS_OK : PS_NOT_FOUND;
    }
    if (!is_title(entry->value) ||
        (entry->metadata.size > 0 && ps_profile_find(entry->metadata) == NULL)) {
        return PS_INVALID;
    }
    if (store == NULL && entry->metadata.size == 0) {
        return PS_NOT_FOUND;
    }
    if (made_later != (entry->metadata.size > 0)) {
        return PS_INVALID;
    }
    if (is_taken(node, entry->value, entry->key)) {
        return PS_EXISTS;
    }
    return store == NULL && count_namespaces(node) >= PS_STORES_MAX ? PS_LIMIT : PS_OK;
}

static bool is_made_already(struct ps_node *node, const struct ps_write *write)
{
    uint64_t lsn;
    ps_time_ns commit_ns;
    if (ps_map_read_begin(node->map) != PS_OK) {
        return false;
    }
    bool made =
        ps_map_token(node->map, node->names->map_store, &write->token, &lsn, &commit_ns) == PS_OK;
    ps_map_read_end(node->map);
    return made;
}

bool ps_namespaces_refuse(struct ps_node *node, const struct ps_write *write,
                          struct ps_written *ret)
{
    const struct ps_primary *primary = node->names->primary;
    PS_ASSERT(primary != NULL);
    enum ps_status status = PS_OK;
    if (ps_primary_busy(primary) || ps_primary_has_queue(primary)) {
        status = PS_BUSY;
    } else if (!is_made_already(node, write)) {
        status = check(node, &write->entry);
    }
    *ret = (struct ps_written){.status = status};
    return status != PS_OK;
}

/* ---- a change ---- */

static struct ps_namespace_call *of_alarm(struct ps_alarm *alarm)
{
    return (struct ps_namespace_call *)(void *)((char *)alarm -
                                                offsetof(struct ps_namespace_call, alarm));
}

/* The write call, with what it borrows from. */
struct change {
    struct ps_write_call write; /* first member */
    struct ps_namespace_call *call;
};

static void finish(struct ps_namespace_call *call, enum ps_status status)
{
    ps_node_alarm_stop(call->node, &call->alarm);
    call->done(call, status);
}

static void write_change(struct ps_namespace_call *call);

static void on_again(struct ps_alarm *alarm)
{
    write_change(of_alarm(alarm));
}

/* Is the change done here? *ret tells how it went. */
static bool is_done(const struct ps_namespace_call *call, enum ps_status *ret)
{
    struct ps_node *node = call->node;
    struct ps_slice id = ps_slice_of(call->id);
    *ret = PS_OK;
    if (node->names->installing || node->names->have_lsn < call->lsn) {
        return false;
    }
    if (call->op != PS_NAMESPACE_CREATE || ps_node_store_by_id(node, id) != NULL) {
        return true;
    }
    const struct ps_node_store *opening = ps_store_opening(node, id);
    *ret = opening == NULL ? PS_NOT_FOUND : opening->open_status; /* dropped meanwhile, or failed */
    return *ret != PS_OK;
}

static void unlist(struct ps_namespace_call *call)
{
    struct ps_namespace_call **at = &call->node->namespace_calls;
    while (*at != NULL && *at != call) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = call->next;
    }
}

static void on_deadline(struct ps_alarm *alarm)
{
    struct ps_namespace_call *call = of_alarm(alarm);
    unlist(call);
    finish(call, PS_TIMEOUT);
}

static void look(struct ps_node *node)
{
    struct ps_namespace_call *next;
    for (struct ps_namespace_call *call = node->namespace_calls; call != NULL; call = next) {
        enum ps_status status;
        next = call->next;
        if (is_done(call, &status)) {
            unlist(call);
            finish(call, status);
        }
    }
}

static void on_written(struct ps_write_call *write, enum ps_status status)
{
    struct ps_namespace_call *call = ((struct change *)(void *)write)->call;
    struct ps_node *node = call->node;
    if (status == PS_BUSY && ps_mono_ns() < call->deadline_mono_ns) {
        call->alarm.ring = on_again;
        ps_node_alarm(node, &call->alarm, ps_mono_ns() + AGAIN_MS * PS_MS);
        return;
    }
    if (status != PS_OK) {
        finish(call, status);
        return;
    }
    call->lsn = write->writer.result.lsn;
    call->next = node->namespace_calls;
    node->namespace_calls = call;
    call->alarm.ring = on_deadline;
    ps_node_alarm(node, &call->alarm, call->deadline_mono_ns);
    look(node);
}

/* Each try carries the same token. */
static void write_change(struct ps_namespace_call *call)
{
    call->write->fresh = true;
    call->write->done = on_written;
    ps_write_start(call->write);
}

void ps_namespace_start(struct ps_namespace_call *call)
{
    struct ps_node *node = call->node;
    struct change *change = PS_NEW(struct change);
    struct ps_entry *entry = &change->write.write.entry;
    change->call = call;
    change->write.store = node->names;
    call->write = &change->write;
    call->deadline_mono_ns = ps_mono_ns() + DONE_WALL_MS * PS_MS;
    ps_node_unique(node, &change->write.write.token);
    (void)snprintf(call->profile, sizeof call->profile, "%s", PROFILE);
    if (call->op == PS_NAMESPACE_CREATE) {
        struct ps_token id;
        ps_node_unique(node, &id);
        for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
            (void)snprintf(call->id + 2 * i, 3, "%02x", id.bytes[i]);
        }
    } else {
        const struct ps_node_store *store = find(node, ps_slice_of(call->id));
        if (store == NULL) {
            finish(call, PS_NOT_FOUND);
            return;
        }
        bool made_later = store->own != NULL;
        (void)snprintf(call->profile, sizeof call->profile, "%s",
                       made_later ? store->config->profile : "");
        entry->deleted = call->op == PS_NAMESPACE_DELETE && made_later;
    }
    bool drops = call->op == PS_NAMESPACE_DELETE;
    entry->key = ps_slice_of(call->id);
    entry->value = drops ? (struct ps_slice){"", 0} : call->title;
    entry->metadata = drops ? (struct ps_slice){0} : ps_slice_of(call->profile);
    write_change(call);
}

void ps_namespace_fini(struct ps_namespace_call *call)
{
    free(call->write);
}

void ps_namespaces_changed(struct ps_node *node)
{
    struct ps_node_store *made = compare(node);
    for (struct ps_node_store *store = next_made(&made); store != NULL; store = next_made(&made)) {
        ps_node_log(node, PS_LOG_INFO, "node", "store %s is made", store->config->name);
        ps_store_open_later(store);
    }
    ps_server_describe(node->server);
    look(node);
}

void ps_namespaces_opened(struct ps_node *node)
{
    ps_server_describe(node->server);
    look(node);
}
