/* /popsim/...: what a node tells of itself, and faults that are injected into it. */
#include "node/d1/page.h"
#include "node/io/d1/d1_thread.h"
#include "node/io/exchange.h"
#include "node/io/r2/objects.h"
#include "node/r2/object.h"
#include "replication/base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

enum {
    LOG_LINES_MAX = 10000,
    LOG_BYTES_MAX = 8 << 20,
    FACTOR_MILLI_MAX = 1000000000 /* what a scenario may ask for */
};

void ps_exchange_json(struct ps_exchange *exchange, int status)
{
    exchange->response.status = status;
    ps_http_response_header(&exchange->response, "Content-Type", PS_LIT("application/json"));
    ps_exchange_complete(exchange);
}

void ps_exchange_fail(struct ps_exchange *exchange, int status, const char *format, ...)
{
    char text[PS_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct ps_buf *body = &exchange->response.body;
    body->size = 0;
    ps_buf_append_text(body, "{\"error\":");
    ps_buf_append_json(body, ps_slice_of(text));
    ps_buf_append_text(body, "}\n");
    ps_exchange_json(exchange, status);
}

/* ---- state ---- */

static void put_store(struct ps_buf *body, struct ps_node_store *store)
{
    const struct ps_node *node = store->node;
    bool home = store->primary != NULL;
    uint64_t last_lsn = store->follower.announced_lsn;
    ps_time_ns closed_ns = store->closed_ns;
    if (home) {
        ps_time_ns now_ns = ps_time_max(ps_node_now(node), node->eval.last_ns);
        closed_ns = ps_primary_closed(store->primary, now_ns, &last_lsn);
    }
    ps_buf_append_text(body, "{\"name\":");
    ps_buf_append_json(body, ps_slice_of(store->config->name));
    ps_buf_append_text(body, ",\"title\":");
    ps_buf_append_json(body, ps_slice_of(store->title));
    ps_buf_printf(
        body,
        ",\"id\":\"%s\",\"type\":\"%s\",\"profile\":\"%s\",\"home\":\"%s\",\"role\":\"%s\""
        ",\"have_lsn\":%" PRIu64 ",\"last_lsn\":%" PRIu64 ",\"closed_ns\":%" PRIu64
        ",\"rtt_ns\":%" PRIu64 ",\"pins\":%zu",
        store->config->id, ps_store_type_name(store->config->type), store->config->profile,
        node->state.cluster.pops[store->config->home]->code, home ? "home" : "follower",
        store->have_lsn, last_lsn, closed_ns, store->link.rtt_ns, ps_store_pins(store));
    if (store->objects != NULL) {
        struct ps_object_counts counts = ps_objects_counts(store->objects);
        ps_buf_printf(body, ",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64, counts.objects,
                      counts.bytes);
    }
    if (store->d1 != NULL) {
        ps_buf_printf(body, ",\"queries\":%zu", ps_d1_thread_queued(store->d1));
    }
    if (!home) {
        static const char *const states[] = {"steady", "catching_up", "snapshotting"};
        const struct ps_follower *follower = &store->follower;
        ps_buf_printf(body,
                      ",\"state\":\"%s\",\"gaps\":%" PRIu64 ",\"catch_ups\":%" PRIu64
                      ",\"snapshots\":%" PRIu64 ",\"home_away\":%s",
                      states[follower->state], follower->gaps, follower->catch_ups,
                      follower->snapshots,
                      ps_follower_home_away(follower, ps_mono_ns()) ? "true" : "false");
    }
    ps_buf_append_char(body, '}');
}

static void serve_state(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    struct ps_buf *body = &exchange->response.body;
    ps_buf_printf(body, "{\"pop\":\"%s\",\"boot\":%" PRIu64 ",\"now_ns\":%" PRIu64 ",\"stores\":[",
                  node->code, node->boot, ps_node_now(node));
    const char *comma = "";
    for (size_t i = 0; i < node->store_count; i++) {
        if (ps_store_is_shown(node->stores[i])) {
            ps_buf_append_text(body, comma);
            put_store(body, node->stores[i]);
            comma = ",";
        }
    }
    ps_buf_append_text(body, "]}\n");
    ps_exchange_json(exchange, 200);
}

/* ---- the link ---- */

static void serve_link(struct ps_exchange *exchange)
{
    ps_link_encode(&exchange->response.body, &exchange->node->link);
    ps_exchange_json(exchange, 200);
}

static void on_link_saved(void *context, enum ps_status status)
{
    struct ps_exchange *exchange = context;
    if (status != PS_OK) {
        ps_exchange_fail(exchange, 500, "the link is changed but not stored: %s",
                         ps_status_text(status));
        return;
    }
    serve_link(exchange);
}

static void on_state_saved(void *context, enum ps_status status)
{
    struct ps_exchange *exchange = context;
    if (status != PS_OK) {
        ps_exchange_fail(exchange, 500, "the boot count is not stored: %s", ps_status_text(status));
        return;
    }
    serve_state(exchange);
}

/* Give all stores the node's link as it is now, changed from `t` on. */
static void relink(struct ps_node *node, ps_time_ns t)
{
    for (size_t i = 0; i < node->store_count; i++) {
        struct ps_node_store *store = node->stores[i];
        store->link.outage_count = 0;
        store->link.slow_count = 0;
        if (ps_link_add(&store->link, &node->link) != PS_OK) {
            ps_node_log(node, PS_LOG_ERROR, "control", "%s: the link cannot be copied",
                        store->config->name);
        }
        ps_store_replica_relinked(store->replica, t);
        ps_queries_wake(store);
    }
}

/* An instant that is given as null or not at all means `none`. */
static bool read_instant(const json_t *value, ps_time_ns none, ps_time_ns *ret)
{
    if (value == NULL || json_is_null(value)) {
        *ret = none;
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *ret = (ps_time_ns)json_integer_value(value);
    return true;
}

/* No read of the past changes its meaning: a cut begins after the round trips that are known to
 * have succeeded, and nothing begins before now. */
static enum ps_status add_outages(struct ps_node *node, const json_t *outages, ps_time_ns now_ns,
                                  struct ps_link *link, struct ps_error *err)
{
    size_t i;
    const json_t *outage;
    ps_time_ns earliest_ns = ps_time_max(now_ns, ps_time_add(node->fetch_end_ns, 1));
    json_array_foreach(outages, i, outage)
    {
        struct ps_interval when;
        if (!json_is_array(outage) || !read_instant(json_array_get(outage, 0), 0, &when.from_ns) ||
            !read_instant(json_array_get(outage, 1), PS_NEVER, &when.until_ns)) {
            return ps_fail(err, PS_INVALID, "outages[%zu]: [from, until or null] is expected", i);
        }
        when.from_ns = ps_time_max(when.from_ns, earliest_ns);
        if (when.until_ns <= when.from_ns) {
            continue; /* over before it could begin */
        }
        enum ps_status status = ps_link_cut(link, when);
        if (status != PS_OK) {
            return ps_fail(err, status, "outages[%zu]: %s", i, ps_status_text(status));
        }
    }
    return PS_OK;
}

static enum ps_status add_slows(const json_t *slows, ps_time_ns now_ns, struct ps_link *link,
                                struct ps_error *err)
{
    size_t i;
    const json_t *slow;
    json_array_foreach(slows, i, slow)
    {
        struct ps_slow one;
        json_int_t factor = json_integer_value(json_array_get(slow, 2));
        if (!json_is_array(slow) || factor < 1000 || factor > FACTOR_MILLI_MAX ||
            !read_instant(json_array_get(slow, 0), 0, &one.when.from_ns) ||
            !read_instant(json_array_get(slow, 1), PS_NEVER, &one.when.until_ns)) {
            return ps_fail(err, PS_INVALID,
                           "slows[%zu]: [from, until or null, factor_milli from 1000 to %d] is "
                           "expected",
                           i, FACTOR_MILLI_MAX);
        }
        one.factor_milli = (uint32_t)factor;
        one.when.from_ns = ps_time_max(one.when.from_ns, now_ns);
        if (one.when.until_ns <= one.when.from_ns) {
            continue;
        }
        enum ps_status status = ps_link_slow(link, one);
        if (status != PS_OK) {
            return ps_fail(err, status, "slows[%zu]: %s", i, ps_status_text(status));
        }
    }
    return PS_OK;
}

static void change_link(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    struct ps_slice body = exchange->request.body;
    json_error_t where;
    json_t *json =
        json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(json)) {
        ps_exchange_fail(exchange, 400, "a JSON object is expected: %s", where.text);
        json_decref(json);
        return;
    }
    ps_time_ns now_ns = ps_eval_clock_next(&node->eval, ps_node_now(node));
    struct ps_error err = {0};
    struct ps_link changed = {0};
    enum ps_status status = ps_link_add(&changed, &node->link);
    if (status == PS_OK) {
        status = add_outages(node, json_object_get(json, "outages"), now_ns, &changed, &err);
    }
    if (status == PS_OK) {
        status = add_slows(json_object_get(json, "slows"), now_ns, &changed, &err);
    }
    json_decref(json);
    if (status != PS_OK) {
        ps_link_fini(&changed);
        ps_exchange_fail(exchange, 400, "%s", err.text);
        return;
    }
    ps_link_fini(&node->link);
    node->link = changed;
    relink(node, now_ns);
    ps_node_log(node, PS_LOG_INFO, "control", "link changed outages=%zu slows=%zu",
                changed.outage_count, changed.slow_count);
    ps_node_save_meta(node, on_link_saved, exchange);
}

static void heal(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    ps_time_ns now_ns = ps_eval_clock_next(&node->eval, ps_node_now(node));
    ps_time_ns at_ns = now_ns;
    /* One that was asked for but begins only after the round trips under way ends right there. */
    for (size_t i = 0; i < node->link.outage_count; i++) {
        const struct ps_interval *outage = &node->link.outages[i];
        if (outage->from_ns >= now_ns && outage->until_ns == PS_NEVER) {
            at_ns = outage->from_ns + 1;
        }
    }
    enum ps_status status = ps_link_heal(&node->link, at_ns);
    if (status != PS_OK) {
        ps_exchange_fail(exchange, 409, "no outage is in force");
        return;
    }
    relink(node, now_ns);
    ps_node_log(node, PS_LOG_INFO, "control", "link healed");
    ps_node_save_meta(node, on_link_saved, exchange);
}

static void reset_cache(struct ps_exchange *exchange)
{
    struct ps_node *node = exchange->node;
    for (size_t i = 0; i < node->store_count; i++) {
        node->stores[i]->metrics.late_max_ns = 0;
    }
    ps_node_empty_caches(node, on_state_saved, exchange);
}

/* ---- the log ---- */

struct lines {
    struct ps_buf *body;
    bool pages;   /* of a database, which is one key, "" */
    bool objects; /* of a bucket */
    size_t count;
    uint64_t last_lsn;
};

/* Of a database's record, whose first entry is its head: what 'now' was. */
static void put_time(const struct lines *lines, const struct ps_entry *entry)
{
    struct ps_page_head head;
    if (lines->pages && ps_page_head_read(entry->value, &head) == PS_OK) {
        ps_buf_printf(lines->body, ",\"unix_ms\":%" PRIu64, head.unix_ms);
    }
}

static bool is_internal(const struct ps_entry *entry)
{
    return entry->key.size > 0 && (uint8_t)entry->key.data[0] == PS_R2_INTERNAL;
}

/* What an object's head says that a cache, or a condition, asks for. */
static void put_head(struct ps_buf *body, const struct ps_entry *entry)
{
    struct ps_r2_object object;
    if (entry->deleted || ps_r2_head_decode(entry->key, entry->metadata, &object) != PS_OK) {
        return;
    }
    ps_buf_printf(body, ",\"etag\":\"%s\"", object.etag);
    if (!object.is_inline) {
        ps_buf_append_text(body, ",\"large\":true");
    }
    if (object.meta.http.cache_control.size > 0) {
        ps_buf_append_text(body, ",\"cache_control\":");
        ps_buf_append_json(body, object.meta.http.cache_control);
    }
    if (object.meta.http.has_cache_expiry) {
        ps_buf_printf(body, ",\"cache_expiry_ms\":%" PRId64, object.meta.http.cache_expiry_ms);
    }
    ps_r2_object_fini(&object);
}

/* A bucket's record: the objects that it puts or deletes, or what it purges, or (`none`) what
 * concerns uploads alone. Gives the entry that stands for all. */
static const struct ps_entry *put_objects(struct ps_buf *body, const struct ps_record *record)
{
    const struct ps_entry *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < record->entry_count; i++) {
        const struct ps_entry *entry = &record->entries[i];
        if (is_internal(entry)) {
            continue;
        }
        first = first == NULL ? entry : first;
        ps_buf_append_text(body, count == 0 ? ",\"keys\":[" : ",");
        ps_buf_append_json(body, entry->key);
        count++;
    }
    ps_buf_append_text(body, count > 0 ? "]" : "");
    struct ps_slice purged;
    if (first != NULL) {
        put_head(body, first);
    } else {
        bool purges = ps_r2_record_purges(record, &purged);
        ps_buf_append_text(body, purges ? ",\"purge\":true" : ",\"none\":true");
    }
    return first;
}

/* Its key: of the first object, or of what is purged. */
static void put_object_key(struct ps_buf *body, const struct ps_record *record)
{
    struct ps_slice key = {"", 0};
    for (size_t i = record->entry_count; i > 0; i--) {
        if (!is_internal(&record->entries[i - 1])) {
            key = record->entries[i - 1].key;
        }
    }
    (void)ps_r2_record_purges(record, &key);
    ps_buf_append_json(body, key);
}

static bool put_line(void *context, const struct ps_record *record)
{
    struct lines *lines = context;
    if (record->lsn > lines->last_lsn || lines->count == LOG_LINES_MAX ||
        lines->body->size > LOG_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < record->entry_count && i < 1; i++) {
        const struct ps_entry *entry = &record->entries[i];
        ps_buf_printf(lines->body, "{\"lsn\":%" PRIu64 ",\"commit_ns\":%" PRIu64 ",\"token\":\"",
                      record->lsn, record->commit_ns);
        for (size_t k = 0; k < PS_TOKEN_SIZE; k++) {
            ps_buf_printf(lines->body, "%02x", record->token.bytes[k]);
        }
        ps_buf_append_text(lines->body, "\",\"key\":");
        if (lines->objects) {
            static const struct ps_entry nothing = {.deleted = true};
            put_object_key(lines->body, record);
            entry = put_objects(lines->body, record);
            entry = entry == NULL ? &nothing : entry;
        } else {
            ps_buf_append_json(lines->body, lines->pages ? PS_LIT("") : entry->key);
            put_time(lines, entry);
        }
        ps_buf_printf(
            lines->body,
            ",\"deleted\":%s,\"expires_unix_s\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\"}\n",
            entry->deleted ? "true" : "false", entry->expires_unix_s, ps_slice_hash(entry->value));
    }
    lines->count++;
    return true;
}

/* The decoded value of a query parameter; empty if it is not given. Store names need no decoding.
 */
static struct ps_slice parameter(struct ps_slice query, const char *name)
{
    size_t name_size = strlen(name);
    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        size_t size = end == NULL ? query.size : (size_t)(end - query.data);
        if (size > name_size && memcmp(query.data, name, name_size) == 0 &&
            query.data[name_size] == '=') {
            return (struct ps_slice){query.data + name_size + 1, size - name_size - 1};
        }
        size_t step = end == NULL ? size : size + 1;
        query = (struct ps_slice){query.data + step, query.size - step};
    }
    return (struct ps_slice){NULL, 0};
}

static bool parse_u64(struct ps_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > UINT64_MAX / 10 - 1) {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret = value;
    return text.size > 0;
}

static void serve_log(struct ps_exchange *exchange, struct ps_slice query)
{
    struct ps_node *node = exchange->node;
    struct ps_node_store *store = ps_node_store_find(node, parameter(query, "store"));
    if (store == NULL || store->hidden) {
        ps_exchange_fail(exchange, 404, "there is no such store");
        return;
    }
    uint64_t from_lsn = 1;
    struct ps_slice from = parameter(query, "from");
    if (from.size > 0 && !parse_u64(from, &from_lsn)) {
        ps_exchange_fail(exchange, 400, "from=%.*s: an LSN is expected",
                         (int)(from.size > 32 ? 32 : from.size), from.data);
        return;
    }
    struct lines lines = {.body = &exchange->response.body,
                          .pages = store->d1 != NULL,
                          .objects = store->config->type == PS_STORE_R2,
                          .last_lsn = store->have_lsn};
    enum ps_status status = PS_OK;
    if (from_lsn <= lines.last_lsn) {
        status = ps_map_read_begin(node->map);
        if (status == PS_OK) {
            status = ps_map_log(node->map, store->map_store, from_lsn == 0 ? 1 : from_lsn, put_line,
                                &lines);
            ps_map_read_end(node->map);
        }
    }
    if (status != PS_OK) {
        ps_exchange_fail(exchange, status == PS_TOO_OLD ? 410 : 500, "%s", ps_status_text(status));
        return;
    }
    exchange->response.status = 200;
    ps_http_response_header(&exchange->response, "Content-Type", PS_LIT("application/x-ndjson"));
    ps_exchange_complete(exchange);
}

static void serve_text(struct ps_exchange *exchange, const char *type)
{
    exchange->response.status = 200;
    ps_http_response_header(&exchange->response, "Content-Type", ps_slice_of(type));
    ps_exchange_complete(exchange);
}

void ps_control_start(struct ps_exchange *exchange)
{
    struct ps_slice path = exchange->request.target;
    struct ps_slice query = {NULL, 0};
    const char *mark = path.size == 0 ? NULL : memchr(path.data, '?', path.size);
    if (mark != NULL) {
        query = (struct ps_slice){mark + 1, path.size - (size_t)(mark + 1 - path.data)};
        path.size = (size_t)(mark - path.data);
    }
    bool get = exchange->request.method == PS_HTTP_GET || exchange->request.method == PS_HTTP_HEAD;
    bool post = exchange->request.method == PS_HTTP_POST;
    if (ps_slice_eq(path, PS_LIT("/healthz")) && get) {
        ps_buf_append_text(&exchange->response.body, "ok\n");
        serve_text(exchange, "text/plain; charset=utf-8");
    } else if (ps_slice_eq(path, PS_LIT("/metrics")) && get) {
        ps_metrics_write(exchange->node, &exchange->response.body);
        serve_text(exchange, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    } else if (ps_slice_eq(path, PS_LIT("/popsim/state")) && get) {
        serve_state(exchange);
    } else if (ps_slice_eq(path, PS_LIT("/popsim/log")) && get) {
        serve_log(exchange, query);
    } else if (ps_slice_starts(path, PS_LIT("/popsim/blobs/"))) {
        path.data += strlen("/popsim/blobs/");
        path.size -= strlen("/popsim/blobs/");
        ps_blob_route_start(exchange, path, query);
    } else if (ps_slice_eq(path, PS_LIT("/popsim/link")) && get) {
        serve_link(exchange);
    } else if (ps_slice_eq(path, PS_LIT("/popsim/link")) && post) {
        change_link(exchange);
    } else if (ps_slice_eq(path, PS_LIT("/popsim/heal")) && post) {
        heal(exchange);
    } else if (ps_slice_eq(path, PS_LIT("/popsim/cache/reset")) && post) {
        reset_cache(exchange);
    } else {
        ps_exchange_fail(exchange, 404, "there is nothing here");
    }
}
