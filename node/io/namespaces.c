/* Stores that are made, renamed, changed and dropped while the cluster runs: KV namespaces, D1
 * databases, R2 buckets.
 *
 * A hidden store says which there are. It is homed at the cluster's home, and every node follows it
 * as any other; its newest state is the truth. A record's key is the store's id:
 *
 *   value title, metadata with a profile  a store that was made at run time
 *   value title, other metadata or none   a store of the cluster's description, as it is now
 *   empty value                           a store of the cluster's description that was dropped
 *   deleted                               a store that was dropped
 *
 * A key with ".cors" or ".lifecycle" behind the id holds that setting of a bucket: a document. It
 * means nothing once the bucket is dropped: ids are not given twice.
 *
 * Metadata is a text of words, "type=d1 profile=d1-replica home=fra created=1790000000
 * replication=disabled class=InfrequentAccess"; words that are not known here are passed over. A
 * text without "=" is the profile of a KV namespace, as versions before this one wrote it.
 *
 * Home takes one change at a time and holds it against what is there, so that no title is given
 * twice among stores of one type, whoever asks. Who asked is answered when the change is durable,
 * and done at its own PoP.
 */
#include "node/io/r2/blobs.h"
#include "node/io/server.h"
#include "node/r2/bucket.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"
#include "replication/world/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STORE "popsim/namespaces" /* no user's store can have this name */

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

static bool is_setting_name(struct ps_slice name)
{
    return ps_slice_eq(name, PS_LIT("cors")) || ps_slice_eq(name, PS_LIT("lifecycle"));
}

/* "ID.NAME". Gives the id. */
static bool is_setting(struct ps_slice key, struct ps_slice *ret_id)
{
    size_t size = sizeof((struct ps_store *)0)->id - 1;
    if (key.size <= size || key.data[size] != '.') {
        return false;
    }
    *ret_id = (struct ps_slice){key.data, size};
    return is_id(*ret_id) &&
           is_setting_name((struct ps_slice){key.data + size + 1, key.size - size - 1});
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

bool ps_store_is_bucket(const struct ps_node_store *store, struct ps_slice name)
{
    return store->config->type == PS_STORE_R2 && ps_store_is_shown(store) &&
           ps_r2_bucket_name_eq(ps_slice_of(store->title), name);
}

void ps_namespace_setting(struct ps_node_store *store, const char *setting, struct ps_buf *ret)
{
    struct ps_node *node = store->node;
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    struct ps_buf key = {0};
    ps_buf_printf(&key, "%s.%s", store->config->id, setting);
    if (ps_map_read_begin(node->map) == PS_OK) {
        if (ps_map_get(node->map, node->names->map_store, ps_buf_slice(&key), &bound, &version) ==
                PS_OK &&
            !version.deleted) {
            ps_buf_append_slice(ret, version.value);
        }
        ps_map_read_end(node->map);
    }
    ps_buf_fini(&key);
}

/* ---- metadata ---- */

struct told {
    const struct ps_profile *profile; /* NULL: it is a store of the cluster's description */
    enum ps_store_type type;
    uint16_t home;
    int64_t created_unix_s;
    bool unreplicated;
    bool infrequent;
};

static bool read_type(struct ps_slice text, enum ps_store_type *ret)
{
    static const enum ps_store_type types[] = {PS_STORE_KV, PS_STORE_D1, PS_STORE_R2};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (ps_slice_eq(text, ps_slice_of(ps_store_type_name(types[i])))) {
            *ret = types[i];
            return true;
        }
    }
    return false;
}

static bool read_seconds(struct ps_slice text, int64_t *ret)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (i >= 15 || text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return text.size > 0;
}

static bool read_word(const struct ps_node *node, struct ps_slice name, struct ps_slice value,
                      struct told *ret)
{
    if (ps_slice_eq(name, PS_LIT("type"))) {
        return read_type(value, &ret->type);
    }
    if (ps_slice_eq(name, PS_LIT("profile"))) {
        ret->profile = ps_profile_find(value);
        return ret->profile != NULL;
    }
    if (ps_slice_eq(name, PS_LIT("home"))) {
        int home = ps_cluster_find_pop(&node->state.cluster, value);
        ret->home = (uint16_t)home;
        return home >= 0;
    }
    if (ps_slice_eq(name, PS_LIT("created"))) {
        return read_seconds(value, &ret->created_unix_s);
    }
    if (ps_slice_eq(name, PS_LIT("replication"))) {
        ret->unreplicated = ps_slice_eq(value, PS_LIT("disabled"));
    }
    if (ps_slice_eq(name, PS_LIT("class"))) {
        ret->infrequent = ps_slice_eq(value, PS_LIT("InfrequentAccess"));
    }
    return true;
}

/* False: it is none, or of a store that cannot be here. */
static bool read_told(const struct ps_node *node, struct ps_slice metadata, struct told *ret)
{
    const struct ps_cluster *cluster = &node->state.cluster;
    *ret = (struct told){
        .type = PS_STORE_KV, .home = cluster->home, .created_unix_s = cluster->epoch_unix_s};
    if (metadata.size > 0 && memchr(metadata.data, '=', metadata.size) == NULL) {
        ret->profile = ps_profile_find(metadata);
        return ret->profile != NULL;
    }
    const char *at = metadata.data;
    const char *end = metadata.size == 0 ? at : at + metadata.size;
    while (at < end) {
        const char *stop = memchr(at, ' ', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        const char *sign = memchr(at, '=', (size_t)(stop - at));
        if (sign == NULL ||
            !read_word(node, (struct ps_slice){at, (size_t)(sign - at)},
                       (struct ps_slice){sign + 1, (size_t)(stop - sign - 1)}, ret)) {
            return false;
        }
        at = stop + (stop < end);
    }
    return ret->profile == NULL ||
           strstr(ret->profile->types, ps_store_type_name(ret->type)) != NULL;
}

static void write_told(const struct ps_node *node, const struct told *told, struct ps_buf *ret)
{
    if (told->profile != NULL) {
        ps_buf_printf(ret, "type=%s profile=%s home=%s created=%" PRId64,
                      ps_store_type_name(told->type), told->profile->name,
                      node->state.cluster.pops[told->home]->code, told->created_unix_s);
    }
    if (told->unreplicated) {
        ps_buf_printf(ret, "%sreplication=disabled", ret->size > 0 ? " " : "");
    }
    if (told->infrequent) {
        ps_buf_printf(ret, "%sclass=InfrequentAccess", ret->size > 0 ? " " : "");
    }
}

/* What would be told of a store as it is. */
static struct told told_of(const struct ps_node_store *store)
{
    const struct ps_store *own = store->own;
    return (struct told){.profile = own == NULL ? NULL : ps_profile_find(ps_slice_of(own->profile)),
                         .type = store->config->type,
                         .home = store->config->home,
                         .created_unix_s = store->created_unix_s,
                         .unreplicated = store->unreplicated,
                         .infrequent = store->infrequent};
}

/* A store that is new here. */
static struct ps_node_store *make(struct ps_node *node, struct ps_slice id, const struct told *told)
{
    struct ps_store *config = PS_NEW(struct ps_store);
    *config = (struct ps_store){.type = told->type, .home = told->home};
    memcpy(config->name, id.data, id.size);
    memcpy(config->id, id.data, id.size);
    (void)snprintf(config->profile, sizeof config->profile, "%s", told->profile->name);
    told->profile->fill(&config->policy, &config->kv);
    if (node->state.cluster.no_write_limit) {
        config->kv.write_interval_ns = 0;
    }
    struct ps_node_store *store = ps_store_create(node, config);
    store->own = config;
    store->created_unix_s = told->created_unix_s;
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
    struct told told;
    if (!is_title(version->value) || !read_told(listing->node, version->metadata, &told)) {
        ps_node_log(listing->node, PS_LOG_ERROR, "node", "store %.*s cannot be here: %.*s",
                    (int)id.size, id.data, (int)version->metadata.size, version->metadata.data);
        return true;
    }
    if (store == NULL && told.profile != NULL) {
        store = make(listing->node, id, &told);
        store->next = listing->made;
        listing->made = store;
    }
    if (store != NULL) {
        store->named = true;
        store->unreplicated = told.unreplicated;
        store->infrequent = told.infrequent;
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
        ps_node_log(node, PS_LOG_ERROR, "node", "which stores there are cannot be read: %s",
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

/* Does the hidden store say so? Of one that it does not know it says nothing. */
static bool is_dropped(struct ps_node *node, struct ps_slice id)
{
    struct ps_bound bound = PS_BOUND_NEWEST;
    struct ps_version version;
    if (ps_map_read_begin(node->map) != PS_OK) {
        return false;
    }
    bool dropped = ps_map_get(node->map, node->names->map_store, id, &bound, &version) == PS_OK &&
                   (version.deleted || version.value.size == 0);
    ps_map_read_end(node->map);
    return dropped;
}

static void drop_left(void *context, const char *name)
{
    struct ps_node *node = context;
    const struct ps_cluster *cluster = &node->state.cluster;
    struct ps_slice id = ps_slice_of(name); /* of one that was made at run time */
    for (size_t i = 0; i < cluster->store_count; i++) {
        id = strcmp(cluster->stores[i].name, name) == 0 ? ps_slice_of(cluster->stores[i].id) : id;
    }
    if (is_id(id) && is_dropped(node, id)) {
        ps_node_log(node, PS_LOG_INFO, "blobs", "what was left of %s goes", name);
        ps_blobs_drop(node->blobs, name);
    }
}

/* A process that was killed behind a bucket's last record may have left its blobs. */
static enum ps_status drop_left_blobs(struct ps_node *node, struct ps_error *err)
{
    enum ps_status status = ps_stores_open_blobs(node, err);
    if (status == PS_OK && node->blobs != NULL) {
        ps_blobs_stores(node->blobs, drop_left, node);
    }
    return status;
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
        if (!is_dropped(node, ps_slice_of(cluster->stores[i].id))) {
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
            ps_node_log(node, PS_LOG_ERROR, "node", "a store is not served: %s", reason.text);
        }
    }
    return drop_left_blobs(node, err);
}

/* ---- at home ---- */

static bool has_title(const struct ps_node_store *store, enum ps_store_type type,
                      const struct ps_entry *entry)
{
    bool same = type == PS_STORE_R2 ? ps_store_is_bucket(store, entry->value)
                                    : ps_slice_eq(ps_slice_of(store->title), entry->value);
    return same && ps_store_is_shown(store) && store->config->type == type &&
           !ps_slice_eq(ps_slice_of(store->config->id), entry->key);
}

/* Does another store of the type have this title? */
static bool is_taken(struct ps_node *node, enum ps_store_type type, const struct ps_entry *entry)
{
    bool taken = false;
    for (size_t i = 0; i < node->store_count && !taken; i++) {
        taken = has_title(node->stores[i], type, entry);
    }
    for (struct ps_node_store *store = node->opening; store != NULL && !taken;
         store = store->next) {
        taken = has_title(store, type, entry);
    }
    return taken;
}

static size_t count_stores(struct ps_node *node)
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
    struct ps_slice id;
    if (is_setting(entry->key, &id)) {
        const struct ps_node_store *bucket = find(node, id);
        return bucket != NULL && bucket->config->type == PS_STORE_R2 ? PS_OK : PS_NOT_FOUND;
    }
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
    struct told told;
    if (!is_title(entry->value) || !read_told(node, entry->metadata, &told)) {
        return PS_INVALID;
    }
    if (store == NULL && told.profile == NULL) {
        return PS_NOT_FOUND;
    }
    if (made_later != (told.profile != NULL) ||
        (store != NULL && made_later &&
         (told.type != store->config->type || told.home != store->config->home))) {
        return PS_INVALID;
    }
    enum ps_store_type type = store == NULL ? told.type : store->config->type;
    if (is_taken(node, type, entry)) {
        return PS_EXISTS;
    }
    return store == NULL && count_stores(node) >= PS_STORES_MAX ? PS_LIMIT : PS_OK;
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

static uint16_t home_of(const struct ps_cluster *cluster, const char *region)
{
    uint16_t home = cluster->home;
    for (size_t i = cluster->pop_count; i > 0 && region[0] != '\0'; i--) {
        home = strcmp(cluster->pops[i - 1]->region, region) == 0 ? (uint16_t)(i - 1) : home;
    }
    return home;
}

static struct told told_of_new(const struct ps_namespace_call *call)
{
    const struct ps_node *node = call->node;
    return (struct told){.profile = ps_profile_find(ps_slice_of(ps_profile_default(call->type))),
                         .type = call->type,
                         .home = home_of(&node->state.cluster, call->region),
                         .created_unix_s = ps_kv_unix_s(&node->state.cluster, ps_node_now(node)),
                         .unreplicated = call->unreplicated,
                         .infrequent = call->infrequent};
}

static void draw_id(struct ps_namespace_call *call)
{
    struct ps_token id;
    ps_node_unique(call->node, &id);
    for (size_t i = 0; i < PS_TOKEN_SIZE; i++) {
        (void)snprintf(call->id + 2 * i, 3, "%02x", id.bytes[i]);
    }
}

/* The record that the change is. False: there is no such store. */
static bool fill_entry(struct ps_namespace_call *call, struct ps_entry *entry)
{
    struct told told;
    if (call->op == PS_NAMESPACE_SETTING) {
        ps_buf_printf(&call->key, "%s.%s", call->id, call->setting);
        entry->key = ps_buf_slice(&call->key);
        entry->value = call->document;
        entry->deleted = call->document.size == 0;
        return true;
    }
    if (call->op == PS_NAMESPACE_CREATE) {
        draw_id(call);
        told = told_of_new(call);
        entry->value = call->title;
    } else {
        const struct ps_node_store *store = find(call->node, ps_slice_of(call->id));
        if (store == NULL) {
            return false;
        }
        told = told_of(store);
        told.unreplicated =
            call->op == PS_NAMESPACE_REPLICATION ? call->unreplicated : told.unreplicated;
        told.infrequent = call->op == PS_NAMESPACE_CLASS ? call->infrequent : told.infrequent;
        ps_buf_append_text(&call->title_now, store->title); /* which may change meanwhile */
        entry->value =
            call->op == PS_NAMESPACE_RENAME ? call->title : ps_buf_slice(&call->title_now);
    }
    entry->key = ps_slice_of(call->id);
    if (call->op == PS_NAMESPACE_DELETE) {
        entry->value = PS_LIT("");
        entry->deleted = told.profile != NULL;
    } else {
        write_told(call->node, &told, &call->told);
        entry->metadata = ps_buf_slice(&call->told);
    }
    return true;
}

void ps_namespace_start(struct ps_namespace_call *call)
{
    struct ps_node *node = call->node;
    struct change *change = PS_NEW(struct change);
    change->call = call;
    change->write.store = node->names;
    call->write = &change->write;
    call->deadline_mono_ns = ps_mono_ns() + DONE_WALL_MS * PS_MS;
    ps_node_unique(node, &change->write.write.token);
    if (fill_entry(call, &change->write.write.entry)) {
        write_change(call);
    } else {
        finish(call, PS_NOT_FOUND);
    }
}

void ps_namespace_fini(struct ps_namespace_call *call)
{
    ps_buf_fini(&call->told);
    ps_buf_fini(&call->key);
    ps_buf_fini(&call->title_now);
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
