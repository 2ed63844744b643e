/* After the load has come to rest: home's log against the ledger of the clients, every replica
 * against home. */
#include "replication/base/memory.h"
#include "tests/integration/chaos/chaos.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 20000, KEYS_A_CALL = 100 };

void check_init(struct check *check, struct cluster *cluster, struct load *load)
{
    *check = (struct check){.cluster = cluster, .load = load};
    for (size_t i = 0; i < POPS; i++) {
        check->clients[i] = CLIENT_NONE;
    }
}

void check_fini(struct check *check)
{
    for (size_t i = 0; i < POPS; i++) {
        client_close(&check->clients[i]);
    }
    for (size_t i = 0; i < STORES; i++) {
        free(check->archives[i].records);
    }
}

/* The load rests, so a node that does not answer is a fault. */
static struct reply ask(struct check *check, size_t pop, const char *method, const char *target,
                        const char *headers, struct ps_slice body)
{
    struct reply reply = {0};
    if (!client_call(&check->clients[pop], check->cluster->ports[pop], method, target, headers,
                     body, CALL_MS, &reply)) {
        /* The node may have been started anew since this connection was used. */
        if (!client_call(&check->clients[pop], check->cluster->ports[pop], method, target, headers,
                         body, CALL_MS, &reply)) {
            chaos_fail("%s does not answer %s %s", chaos_pops[pop], method, target);
        }
    }
    return reply;
}

static struct reply ask_log(struct check *check, size_t pop, size_t store, uint64_t from_lsn)
{
    char target[96];
    (void)snprintf(target, sizeof target, "/popsim/log?store=%s&from=%" PRIu64, chaos_stores[store],
                   from_lsn);
    return ask(check, pop, "GET", target, "", PS_LIT(""));
}

int check_log_status(struct check *check, size_t pop, size_t store, uint64_t from_lsn)
{
    return ask_log(check, pop, store, from_lsn).status;
}

/* ---- home's log against the ledger ---- */

struct line {
    uint64_t lsn;
    uint64_t commit_ns;
    uint32_t writer;
    uint64_t number;
    uint64_t seed;
    char key[8];
    bool deleted;
    uint64_t expires_unix_s;
    uint64_t digest;
};

static void parse_line(struct ps_slice text, struct line *ret)
{
    char copy[512];
    char deleted[8];
    *ret = (struct line){0};
    (void)snprintf(copy, sizeof copy, "%.*s", (int)text.size, text.data);
    int got = sscanf(copy,
                     "{\"lsn\":%" SCNu64 ",\"commit_ns\":%" SCNu64 ",\"token\":\"%8" SCNx32
                     "%8" SCNx64 "%16" SCNx64 "\",\"key\":\"%7[^\"]\",\"deleted\":%5[a-z]"
                     ",\"expires_unix_s\":%" SCNu64 ",\"digest\":\"%" SCNx64 "\"}",
                     &ret->lsn, &ret->commit_ns, &ret->writer, &ret->number, &ret->seed, ret->key,
                     deleted, &ret->expires_unix_s, &ret->digest);
    if (got != 9) {
        chaos_fail("a line of the log is not understood: %s", copy);
    }
    ret->deleted = strcmp(deleted, "true") == 0;
}

static struct write *write_of(struct load *load, const struct line *line)
{
    if (line->seed != load->seed || line->writer == 0 || line->writer > WRITERS ||
        line->number >= load->writers[line->writer - 1].count) {
        chaos_fail("LSN %" PRIu64 " has a token that no client has made", line->lsn);
    }
    return &load->writers[line->writer - 1].writes[line->number];
}

/* A record is what its writer asked for, and stands there once. */
static void audit_record(struct check *check, size_t store, const struct line *line)
{
    struct write *write = write_of(check->load, line);
    char key[8];
    key_name(write->key, key);
    uint64_t expires_unix_s = write->deleted ? 0 : write_expires(line->number);
    if (write->store != store || strcmp(key, line->key) != 0 || write->deleted != line->deleted ||
        write->digest != line->digest || expires_unix_s != line->expires_unix_s) {
        chaos_fail("%s: LSN %" PRIu64 " is not what its client wrote", chaos_stores[store],
                   line->lsn);
    }
    if (write->seen_lsn != 0) {
        chaos_fail("%s: one token stands at LSN %" PRIu64 " and at %" PRIu64, chaos_stores[store],
                   write->seen_lsn, line->lsn);
    }
    if (write->outcome == ACKED && write->lsn != line->lsn) {
        chaos_fail("%s: acknowledged with LSN %" PRIu64 ", it stands at %" PRIu64,
                   chaos_stores[store], write->lsn, line->lsn);
    }
    write->seen_lsn = line->lsn;
    check->late_writes += write->outcome == UNKNOWN;
}

static void archive_line(struct check *check, size_t store, struct ps_slice text)
{
    struct archive *archive = &check->archives[store];
    struct line line;
    parse_line(text, &line);
    if (line.lsn != archive->count + 1 || line.commit_ns <= archive->commit_ns) {
        chaos_fail("%s: behind LSN %zu (committed at %" PRIu64 ") comes %.*s", chaos_stores[store],
                   archive->count, archive->commit_ns, (int)text.size, text.data);
    }
    audit_record(check, store, &line);
    archive->records =
        ps_grow(archive->records, archive->count, &archive->capacity, sizeof *archive->records);
    archive->records[archive->count++] = (struct record){.line_hash = ps_slice_hash(text),
                                                         .writer = line.writer - 1,
                                                         .number = (uint32_t)line.number};
    archive->commit_ns = line.commit_ns;
    archive->newest[write_of(check->load, &line)->key] = line.lsn;
}

static bool next_line(struct ps_slice *rest, struct ps_slice *ret)
{
    if (rest->size == 0) {
        return false;
    }
    const char *end = memchr(rest->data, '\n', rest->size);
    if (end == NULL) {
        chaos_fail("a log ends within a line");
    }
    *ret = (struct ps_slice){rest->data, (size_t)(end - rest->data)};
    *rest = (struct ps_slice){end + 1, rest->size - ret->size - 1};
    return true;
}

static void archive_store(struct check *check, size_t store)
{
    struct archive *archive = &check->archives[store];
    for (;;) {
        struct reply reply = ask_log(check, chaos_homes[store], store, archive->count + 1);
        if (reply.status != 200) {
            chaos_fail("home's log of %s: status %d", chaos_stores[store], reply.status);
        }
        if (reply.body.size == 0) {
            return;
        }
        struct ps_slice line;
        while (next_line(&reply.body, &line)) {
            archive_line(check, store, line);
        }
    }
}

/* All that was acknowledged is there. */
static void audit_writers(struct load *load)
{
    for (size_t i = 0; i < WRITERS; i++) {
        struct writer *writer = &load->writers[i];
        for (; writer->audited < writer->count; writer->audited++) {
            const struct write *write = &writer->writes[writer->audited];
            if (write->outcome == ACKED && write->seen_lsn != write->lsn) {
                chaos_fail("LOST: %s acknowledged LSN %" PRIu64 " to client %zu (its write %zu), "
                           "which is not in home's log",
                           chaos_stores[write->store], write->lsn, i, writer->audited);
            }
        }
    }
}

/* Nothing that was read has vanished or become another thing. */
static void audit_readers(struct check *check)
{
    for (size_t i = 0; i < READERS; i++) {
        struct reader *reader = &check->load->readers[i];
        for (size_t k = 0; k < reader->seen_count; k++) {
            const struct seen *seen = &reader->seen[k];
            const struct archive *archive = &check->archives[seen->store];
            if (seen->lsn > archive->count) {
                chaos_fail("%s: LSN %" PRIu64 " was read and is not in home's log",
                           chaos_stores[seen->store], seen->lsn);
            }
            const struct record *record = &archive->records[seen->lsn - 1];
            const struct write *write =
                &check->load->writers[record->writer].writes[record->number];
            if (write->key != seen->key || write->digest != seen->digest ||
                write->deleted != seen->deleted) {
                chaos_fail("%s: a read of LSN %" PRIu64 " gave something else",
                           chaos_stores[seen->store], seen->lsn);
            }
        }
        reader->seen_count = 0;
    }
}

void check_home(struct check *check)
{
    for (size_t i = 0; i < STORES; i++) {
        archive_store(check, i);
    }
    audit_writers(check->load);
    audit_readers(check);
}

/* ---- what nodes tell of themselves ---- */

static json_t *ask_state(struct check *check, size_t pop)
{
    struct reply reply = ask(check, pop, "GET", "/popsim/state", "", PS_LIT(""));
    json_t *json = json_loadb(reply.body.data, reply.body.size, 0, NULL);
    if (reply.status != 200 || json == NULL) {
        chaos_fail("the state of %s: %s", chaos_pops[pop], reply.head);
    }
    return json;
}

static json_t *store_of(json_t *state, size_t store)
{
    json_t *ret = json_array_get(json_object_get(state, "stores"), store);
    if (json_object_get(ret, "have_lsn") == NULL) {
        chaos_fail("a state without the store %s", chaos_stores[store]);
    }
    return ret;
}

bool check_home_away(struct check *check, size_t pop, size_t store)
{
    json_t *state = ask_state(check, pop);
    bool away = json_is_true(json_object_get(store_of(state, store), "home_away"));
    json_decref(state);
    return away;
}

static bool is_steady(json_t *store)
{
    const char *state = json_string_value(json_object_get(store, "state"));
    return state == NULL || strcmp(state, "steady") == 0; /* home has none */
}

bool check_reads_late(struct check *check, size_t pop, size_t store)
{
    char headers[64];
    (void)snprintf(headers, sizeof headers, "popsim-store: %s\r\n", chaos_stores[store]);
    struct reply reply = ask(check, pop, "GET", "/k000?urlencoded=true", headers, PS_LIT(""));
    return reply_number(&reply, "popsim-late") == 1;
}

static uint64_t have_lsn(json_t *store)
{
    return (uint64_t)json_integer_value(json_object_get(store, "have_lsn"));
}

/* Does the replica have what was read from home, and home no more? */
static bool has_all(struct check *check, size_t pop)
{
    json_t *state = ask_state(check, pop);
    bool all = true;
    for (size_t i = 0; i < STORES && all; i++) {
        json_t *store = store_of(state, i);
        if (have_lsn(store) > check->archives[i].count) {
            check_home(check); /* what a client had given up came late */
        }
        all = have_lsn(store) == check->archives[i].count && is_steady(store);
    }
    json_decref(state);
    return all;
}

static bool all_have_all(struct check *check)
{
    check_home(check);
    bool all = true;
    for (size_t i = 0; i < POPS && all; i++) {
        all = has_all(check, i);
    }
    return all;
}

/* Counters begin at zero with each process. */
static void count(struct check *check, size_t pop)
{
    static const char *const names[] = {"gaps", "catch_ups", "snapshots"};
    uint64_t *sums[] = {&check->gaps, &check->catch_ups, &check->snapshots};
    if (check->counted_pids[pop] != check->cluster->pids[pop]) {
        check->counted_pids[pop] = check->cluster->pids[pop];
        memset(check->counted[pop], 0, sizeof check->counted[pop]);
    }
    json_t *state = ask_state(check, pop);
    for (size_t i = 0; i < STORES; i++) {
        for (size_t k = 0; k < 3; k++) {
            uint64_t now =
                (uint64_t)json_integer_value(json_object_get(store_of(state, i), names[k]));
            *sums[k] += now - check->counted[pop][i][k];
            check->counted[pop][i][k] = now;
        }
    }
    json_decref(state);
}

/* ---- logs ---- */

/* The first LSN from `from` on that is still in the log: a snapshot or forgetting took the rest. */
static uint64_t first_in_log(struct check *check, size_t pop, size_t store, uint64_t from)
{
    uint64_t until = check->archives[store].count + 1;
    while (from < until) {
        uint64_t middle = from + (until - from) / 2;
        int status = check_log_status(check, pop, store, middle);
        if (status != 200 && status != 410) {
            chaos_fail("the log of %s at %s: status %d", chaos_stores[store], chaos_pops[pop],
                       status);
        }
        if (status == 200) {
            until = middle;
        } else {
            from = middle + 1;
        }
    }
    return from;
}

static void compare_log(struct check *check, size_t pop, size_t store, bool whole)
{
    struct archive *archive = &check->archives[store];
    uint64_t next = whole ? 1 : archive->compared[pop] + 1;
    next = first_in_log(check, pop, store, next);
    while (next <= archive->count) {
        struct reply reply = ask_log(check, pop, store, next);
        if (reply.status != 200 || reply.body.size == 0) {
            chaos_fail("%s has no LSN %" PRIu64 " of %s: status %d", chaos_pops[pop], next,
                       chaos_stores[store], reply.status);
        }
        struct ps_slice line;
        while (next_line(&reply.body, &line)) {
            if (next > archive->count ||
                ps_slice_hash(line) != archive->records[next - 1].line_hash) {
                chaos_fail("DIFFERS: LSN %" PRIu64 " of %s at %s: %.*s", next, chaos_stores[store],
                           chaos_pops[pop], (int)line.size, line.data);
            }
            next++;
            check->lines_compared++;
        }
    }
    archive->compared[pop] = archive->count;
}

/* ---- values ---- */

/* What a client sees of a store at a PoP: the list and all values, as the bytes of the answers. */
static void see(struct check *check, size_t pop, size_t store, struct ps_buf *ret_list,
                struct ps_buf ret_values[KEYS / KEYS_A_CALL])
{
    char headers[64];
    (void)snprintf(headers, sizeof headers, "popsim-store: %s\r\n", chaos_stores[store]);
    struct reply reply = ask(check, pop, "GET", "/", headers, PS_LIT(""));
    ret_list->size = 0;
    ps_buf_append_slice(ret_list, reply.body);
    for (size_t i = 0; i < KEYS / KEYS_A_CALL; i++) {
        struct ps_buf body = {0};
        char key[8];
        for (size_t k = 0; k < KEYS_A_CALL; k++) {
            key_name((uint16_t)(i * KEYS_A_CALL + k), key);
            ps_buf_printf(&body, "%s\"%s\"", k == 0 ? "{\"keys\":[" : ",", key);
        }
        ps_buf_append_text(&body, "]}");
        reply = ask(check, pop, "POST", "/bulk/get", headers, ps_buf_slice(&body));
        ps_buf_fini(&body);
        if (reply.status != 200) {
            chaos_fail("values of %s at %s: %s", chaos_stores[store], chaos_pops[pop], reply.head);
        }
        ret_values[i].size = 0;
        ps_buf_append_slice(&ret_values[i], reply.body);
    }
}

static bool value_is(struct check *check, size_t store, uint16_t key, const json_t *got)
{
    const struct archive *archive = &check->archives[store];
    uint64_t lsn = archive->newest[key];
    if (lsn == 0) {
        return json_is_null(got);
    }
    const struct record *record = &archive->records[lsn - 1];
    if (check->load->writers[record->writer].writes[record->number].deleted) {
        return json_is_null(got);
    }
    struct ps_buf wanted = {0};
    write_value(&wanted, check->load->seed, record->writer, record->number);
    bool same = json_is_string(got) &&
                ps_slice_eq(ps_buf_slice(&wanted),
                            (struct ps_slice){json_string_value(got), json_string_length(got)});
    ps_buf_fini(&wanted);
    return same;
}

static bool text_is(const json_t *got, const char *wanted)
{
    return json_is_string(got) && strcmp(json_string_value(got), wanted) == 0;
}

static bool listed_is(struct check *check, size_t store, uint16_t key, const json_t *got)
{
    const struct archive *archive = &check->archives[store];
    const struct record *record = &archive->records[archive->newest[key] - 1];
    json_int_t expires_unix_s = (json_int_t)write_expires(record->number);
    char name[8];
    char metadata[16];
    key_name(key, name);
    (void)snprintf(metadata, sizeof metadata, "%u", record->number);
    return text_is(json_object_get(got, "name"), name) &&
           text_is(json_object_get(got, "metadata"), metadata) &&
           json_integer_value(json_object_get(got, "expiration")) == expires_unix_s;
}

/* Is this what the log says? */
static bool as_logged(struct check *check, size_t store, const struct ps_buf *list,
                      const struct ps_buf values[KEYS / KEYS_A_CALL])
{
    json_t *listed = json_loadb(list->data, list->size, 0, NULL);
    json_t *names = json_object_get(listed, "keys");
    bool same = json_is_true(json_object_get(listed, "list_complete"));
    size_t at = 0;
    for (size_t i = 0; i < KEYS / KEYS_A_CALL; i++) {
        json_t *part = json_loadb(values[i].data, values[i].size, 0, NULL);
        for (size_t k = 0; k < KEYS_A_CALL; k++) {
            uint16_t key = (uint16_t)(i * KEYS_A_CALL + k);
            char name[8];
            key_name(key, name);
            const json_t *value = json_object_get(part, name);
            same = same && value_is(check, store, key, value);
            if (same && json_is_string(value)) {
                same = listed_is(check, store, key, json_array_get(names, at++));
            }
        }
        json_decref(part);
    }
    same = same && at == json_array_size(names);
    json_decref(listed);
    return same;
}

static bool home_is_as_logged(struct check *check, size_t store, struct ps_buf *list,
                              struct ps_buf values[KEYS / KEYS_A_CALL])
{
    see(check, chaos_homes[store], store, list, values);
    return as_logged(check, store, list, values);
}

static bool sees_the_same(struct check *check, size_t pop, size_t store, const struct ps_buf *list,
                          const struct ps_buf values[KEYS / KEYS_A_CALL])
{
    struct ps_buf list_here = {0};
    struct ps_buf here[KEYS / KEYS_A_CALL] = {{0}};
    see(check, pop, store, &list_here, here);
    bool same = ps_slice_eq(ps_buf_slice(&list_here), ps_buf_slice(list));
    for (size_t i = 0; i < KEYS / KEYS_A_CALL; i++) {
        same = same && ps_slice_eq(ps_buf_slice(&here[i]), ps_buf_slice(&values[i]));
        ps_buf_fini(&here[i]);
    }
    ps_buf_fini(&list_here);
    return same;
}

/* What is visible follows the log by the link's delay, so it is waited for. */
static void compare_values(struct check *check, size_t store)
{
    struct ps_buf list = {0};
    struct ps_buf values[KEYS / KEYS_A_CALL] = {{0}};
    WAIT_FOR(home_is_as_logged(check, store, &list, values));
    for (size_t pop = 0; pop < POPS; pop++) {
        WAIT_FOR(sees_the_same(check, pop, store, &list, values));
        check->values_compared += KEYS;
    }
    ps_buf_fini(&list);
    for (size_t i = 0; i < KEYS / KEYS_A_CALL; i++) {
        ps_buf_fini(&values[i]);
    }
}

static size_t records_of_all(const struct check *check)
{
    size_t records = 0;
    for (size_t i = 0; i < STORES; i++) {
        records += check->archives[i].count;
    }
    return records;
}

void check_all(struct check *check, bool whole)
{
    size_t records;
    do {
        WAIT_FOR(all_have_all(check));
        records = records_of_all(check);
        for (size_t pop = 0; pop < POPS; pop++) {
            count(check, pop);
            for (size_t store = 0; store < STORES; store++) {
                compare_log(check, pop, store, whole);
            }
            /* What a cache has read is not what a replica holds. */
            (void)ask(check, pop, "POST", "/popsim/cache/reset", "", PS_LIT(""));
        }
        for (size_t store = 0; store < STORES; store++) {
            compare_values(check, store);
        }
        check_home(check);
    } while (records_of_all(check) != records); /* a write that came late is compared too */
}
