/* Clients of a bucket, each on one connection, and what they saw of each key. */
#include "node/s3/sigv4.h"
#include "replication/base/memory.h"
#include "tests/integration/chaos/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CALL_MS = 8000,
    GIVE_UP_MS = 30,
    GIVES_UP_OF = 40,
    EXPIRES_S = 3600,
    TRIES_MS = 4000, /* of one mutation, with one token */
    HOT_KEYS = 2     /* half of all is done with these */
};

/* ---- calls ---- */

static void target_of(struct ps_buf *into, const char *method, const char *target)
{
    const struct ps_s3_signer signer = {.key_id = PS_LIT(CHAOS_KEY_ID),
                                        .secret = PS_LIT(CHAOS_SECRET),
                                        .region = PS_LIT("auto"),
                                        .unix_s = time(NULL)};
    ps_s3_presign(&signer, method, PS_LIT("x"), ps_slice_of(target), EXPIRES_S, into);
}

static size_t some_pop(struct object_client *client)
{
    return ps_rng_below(&client->rng, OBJECT_POPS);
}

/* The status, or 0 when nothing came. */
static int call_at(struct objects_load *load, struct object_client *client, size_t pop,
                   const char *method, const char *target, const char *headers,
                   struct ps_slice body, struct reply *ret)
{
    struct ps_buf signed_target = {0};
    target_of(&signed_target, method, target);
    bool hasty = ps_rng_below(&client->rng, GIVES_UP_OF) == 0;
    bool came =
        client_call(&client->client, load->cluster->s3_ports[pop], method,
                    ps_buf_text(&signed_target), headers, body, hasty ? GIVE_UP_MS : CALL_MS, ret);
    ps_buf_fini(&signed_target);
    if (!came) {
        chaos_pause_ms(2);
        return 0;
    }
    if (ret->status >= 400 && ret->status < 500 && ret->status != 404 && ret->status != 412 &&
        ret->status != 416) {
        chaos_fail("%s %s at %s is refused: %s%.*s", method, target, chaos_pops[pop], ret->head,
                   (int)ret->body.size, ret->body.data);
    }
    load->full += ret->status == 507;
    return ret->status;
}

static int call(struct objects_load *load, struct object_client *client, const char *method,
                const char *target, const char *headers, struct ps_slice body, struct reply *ret)
{
    return call_at(load, client, some_pop(client), method, target, headers, body, ret);
}

static void path_of(size_t key, char ret[64])
{
    (void)snprintf(ret, 64, "/" BUCKET "/object-%zu", key);
}

/* Between this and `end`: what stands there between quotes or tags. */
static struct ps_slice text_between(struct ps_slice text, const char *begin, const char *end)
{
    const char *from = text.size == 0 ? NULL : memmem(text.data, text.size, begin, strlen(begin));
    if (from == NULL) {
        return (struct ps_slice){0};
    }
    from += strlen(begin);
    const char *until = memmem(from, text.size - (size_t)(from - text.data), end, strlen(end));
    return until == NULL ? (struct ps_slice){0} : (struct ps_slice){from, (size_t)(until - from)};
}

static struct ps_slice etag_of(const struct reply *reply)
{
    struct ps_slice text = reply_text(reply, "etag");
    if (text.size < 3 || text.data[0] != '"') {
        chaos_fail("no ETag: %s", reply->head);
    }
    return (struct ps_slice){text.data + 1, text.size - 2};
}

/* ---- histories ---- */

static void note(struct objects_load *load, size_t key, struct linear_op op)
{
    struct key_history *history = &load->keys[key];
    op.complete_ns = chaos_now_ns();
    pthread_mutex_lock(&load->mutex);
    history->ops = ps_grow(history->ops, history->count, &history->capacity, sizeof *history->ops);
    history->ops[history->count++] = op;
    pthread_mutex_unlock(&load->mutex);
}

static void note_read(struct objects_load *load, struct object_client *client, size_t key,
                      uint64_t invoke_ns, struct ps_slice etag)
{
    uint64_t value = etag.size == 0 ? 0 : object_value(etag);
    (void)snprintf(client->etags[key], PS_R2_ETAG_SIZE, "%.*s", (int)etag.size,
                   etag.size == 0 ? "" : etag.data);
    note(load, key,
         (struct linear_op){.kind = LINEAR_READ, .value = value, .invoke_ns = invoke_ns});
}

/* A mutation's answer. What is refused for want of room did not happen; of other failures of
 * popsim's nobody knows. */
static void note_write(struct objects_load *load, struct object_client *client, size_t key,
                       struct linear_op op, int status)
{
    if (status == 507 || status == 404) {
        load->failed++;
        return;
    }
    op.kind = LINEAR_WRITE;
    op.outcome = LINEAR_DONE;
    if (status == 0 || status >= 500) {
        op.outcome = LINEAR_UNKNOWN;
        client->unknown++;
        load->failed++;
    } else if (status == 412) {
        op.outcome = LINEAR_REFUSED;
        client->refused++;
        if (op.condition == LINEAR_ALWAYS) {
            chaos_fail("refused without a condition");
        }
    } else {
        load->acked++;
    }
    note(load, key, op);
}

/* ---- writes ---- */

static uint64_t new_number(struct object_client *client, bool multipart)
{
    uint64_t number;
    do {
        number = (uint64_t)(client->index + 1) << 40 | ++client->numbers;
    } while (object_is_multipart(number) != multipart);
    return number;
}

static struct linear_op value_op(struct ps_slice body, uint64_t number, uint64_t invoke_ns)
{
    char etag[PS_R2_ETAG_SIZE];
    object_etag(number, body, etag);
    return (struct linear_op){.value = object_value(ps_slice_of(etag)), .invoke_ns = invoke_ns};
}

/* None, that there is no object, or that it is still the one that this client saw last. */
static void put_condition(struct object_client *client, size_t key, struct linear_op *op,
                          struct ps_buf *headers)
{
    uint64_t way = ps_rng_below(&client->rng, 6);
    if (way == 0) {
        op->condition = LINEAR_IF;
        ps_buf_append_text(headers, "If-None-Match: *\r\n");
    } else if (way == 1 && client->etags[key][0] != '\0') {
        op->condition = LINEAR_IF;
        op->expected = object_value(ps_slice_of(client->etags[key]));
        ps_buf_printf(headers, "If-Match: \"%s\"\r\n", client->etags[key]);
    }
}

static void put(struct objects_load *load, struct object_client *client, size_t key)
{
    struct ps_buf body = {0};
    struct ps_buf headers = {0};
    struct reply reply;
    char path[64];
    uint64_t number = new_number(client, false);
    object_body(&body, number);
    struct linear_op op = value_op(ps_buf_slice(&body), number, 0);
    put_condition(client, key, &op, &headers);
    ps_buf_printf(&headers, "x-amz-meta-number: %016" PRIx64 "\r\n", number);
    path_of(key, path);
    op.invoke_ns = chaos_now_ns();
    int status =
        call(load, client, "PUT", path, ps_buf_text(&headers), ps_buf_slice(&body), &reply);
    note_write(load, client, key, op, status);
    if (status == 200 && object_value(etag_of(&reply)) != op.value) {
        chaos_fail("a put's ETag is not its body's: %s", reply.head);
    }
    ps_buf_fini(&headers);
    ps_buf_fini(&body);
}

/* As put_condition, in the binding's words. */
static void put_only_if(struct object_client *client, size_t key, struct linear_op *op,
                        struct ps_buf *json)
{
    uint64_t way = ps_rng_below(&client->rng, 4);
    if (way == 0) {
        op->condition = LINEAR_IF;
        ps_buf_append_text(json, ",\"onlyIf\":{\"etagDoesNotMatch\":[{\"type\":\"wildcard\"}]}");
    } else if (way == 1 && client->etags[key][0] != '\0') {
        op->condition = LINEAR_IF;
        op->expected = object_value(ps_slice_of(client->etags[key]));
        ps_buf_printf(json,
                      ",\"onlyIf\":{\"etagMatches\":[{\"value\":\"%s\",\"type\":\"strong\"}]}",
                      client->etags[key]);
    }
}

/* With one token, until there is an answer. Some tries are given up at once, and the next one finds
 * the first under way or done. One that took its whole time is the last: it may come yet. */
static int call_until_answered(struct objects_load *load, struct object_client *client,
                               const char *headers, struct ps_slice body)
{
    struct reply reply;
    size_t pop = some_pop(client); /* each try goes the way of the one before, and so behind it */
    uint64_t until_ns = chaos_now_ns() + TRIES_MS * PS_MS;
    while (chaos_now_ns() < until_ns) {
        bool hasty = ps_rng_below(&client->rng, 3) == 0;
        uint64_t limit_ms = hasty ? ps_rng_below(&client->rng, 5) : CALL_MS;
        uint64_t began_ns = chaos_now_ns();
        bool came = client_call(&client->client, load->cluster->ports[pop], "PUT", "/", headers,
                                body, limit_ms, &reply);
        if (came && (reply.status < 500 || reply.status == 507)) {
            load->full += reply.status == 507;
            return reply.status;
        }
        if (!hasty && !came && chaos_now_ns() >= began_ns + CALL_MS * PS_MS) {
            break;
        }
        client->tried_again++;
        chaos_pause_ms(ps_rng_below(&client->rng, 20));
    }
    return 0;
}

/* By the binding, whose mutations have tokens: it is done once, however often it is tried. */
static void put_once(struct objects_load *load, struct object_client *client, size_t key)
{
    struct ps_buf body = {0};
    struct ps_buf all = {0};
    char headers[256];
    uint64_t number = new_number(client, false);
    object_body(&body, number);
    struct linear_op op = value_op(ps_buf_slice(&body), number, 0);
    ps_buf_printf(&all,
                  "{\"version\":1,\"method\":\"put\",\"object\":\"object-%zu\",\"customFields\":"
                  "[{\"k\":\"number\",\"v\":\"%016" PRIx64 "\"}]",
                  key, number);
    put_only_if(client, key, &op, &all);
    ps_buf_append_char(&all, '}');
    (void)snprintf(headers, sizeof headers,
                   "popsim-store: " BUCKET "\r\nCF-R2-Metadata-Size: %zu\r\n"
                   "popsim-token: %032" PRIx64 "\r\n",
                   all.size, number);
    ps_buf_append_slice(&all, ps_buf_slice(&body));
    op.invoke_ns = chaos_now_ns();
    int status = call_until_answered(load, client, headers, ps_buf_slice(&all));
    if (status >= 400 && status != 412 && status != 507) {
        chaos_fail("a put by the binding is refused: %d", status);
    }
    note_write(load, client, key, op, status);
    ps_buf_fini(&all);
    ps_buf_fini(&body);
}

/* Not all of the body comes, or it is not the one that its MD5 is of: no history has it. */
static void put_in_vain(struct objects_load *load, struct object_client *client, size_t key)
{
    struct ps_buf body = {0};
    struct ps_buf target = {0};
    struct ps_buf headers = {0};
    char path[64];
    uint64_t number = new_number(client, false);
    object_body(&body, number);
    path_of(key, path);
    target_of(&target, "PUT", path);
    ps_buf_printf(&headers, "x-amz-meta-number: %016" PRIx64 "\r\n", number);
    uint16_t port = load->cluster->s3_ports[some_pop(client)];
    if (ps_rng_below(&client->rng, 2) == 0) {
        struct ps_slice part = {body.data, ps_rng_below(&client->rng, body.size)};
        client_break_off(&client->client, port, "PUT", ps_buf_text(&target), ps_buf_text(&headers),
                         body.size, part, CALL_MS);
    } else {
        struct reply reply;
        ps_buf_append_text(&headers, "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
        if (client_call(&client->client, port, "PUT", ps_buf_text(&target), ps_buf_text(&headers),
                        ps_buf_slice(&body), CALL_MS, &reply) &&
            reply.status != 400 && reply.status < 500) {
            chaos_fail("a body of another MD5 is taken: %s", reply.head);
        }
    }
    ps_buf_fini(&headers);
    ps_buf_fini(&target);
    ps_buf_fini(&body);
}

static bool put_part(struct objects_load *load, struct object_client *client, const char *path,
                     const char *upload, int part, struct ps_slice bytes, struct ps_buf *document)
{
    struct reply reply;
    char target[256];
    (void)snprintf(target, sizeof target, "%s?partNumber=%d&uploadId=%s", path, part, upload);
    if (call(load, client, "PUT", target, "", bytes, &reply) != 200) {
        return false;
    }
    struct ps_slice etag = etag_of(&reply);
    ps_buf_printf(document, "<Part><PartNumber>%d</PartNumber><ETag>\"%.*s\"</ETag></Part>", part,
                  (int)etag.size, etag.data);
    return true;
}

static void put_parts(struct objects_load *load, struct object_client *client, size_t key)
{
    struct ps_buf body = {0};
    struct ps_buf document = {0};
    struct reply reply;
    char path[64];
    char target[256];
    char headers[64];
    char upload[160] = "";
    uint64_t number = new_number(client, true);
    object_body(&body, number);
    path_of(key, path);
    (void)snprintf(target, sizeof target, "%s?uploads=", path);
    (void)snprintf(headers, sizeof headers, "x-amz-meta-number: %016" PRIx64 "\r\n", number);
    if (call(load, client, "POST", target, headers, PS_LIT(""), &reply) == 200) {
        struct ps_slice id = text_between(reply.body, "<UploadId>", "</UploadId>");
        (void)snprintf(upload, sizeof upload, "%.*s", (int)id.size, id.data);
    }
    ps_buf_append_text(&document, "<CompleteMultipartUpload>");
    if (upload[0] != '\0' &&
        put_part(load, client, path, upload, 1, (struct ps_slice){body.data, PART_SIZE},
                 &document) &&
        put_part(load, client, path, upload, 2,
                 (struct ps_slice){body.data + PART_SIZE, body.size - PART_SIZE}, &document)) {
        ps_buf_append_text(&document, "</CompleteMultipartUpload>");
        (void)snprintf(target, sizeof target, "%s?uploadId=%s", path, upload);
        struct linear_op op = value_op(ps_buf_slice(&body), number, chaos_now_ns());
        int status = call(load, client, "POST", target, "", ps_buf_slice(&document), &reply);
        if (status == 404) {
            chaos_fail("an upload is not there any more: %s", target);
        }
        note_write(load, client, key, op, status);
    }
    ps_buf_fini(&document);
    ps_buf_fini(&body);
}

/* Of the version that this client saw last, so that it knows what is copied. */
static void copy(struct objects_load *load, struct object_client *client, size_t key)
{
    size_t source = (key + 1 + ps_rng_below(&client->rng, OBJECT_KEYS - 1)) % OBJECT_KEYS;
    char path[64];
    char from[64];
    char headers[256];
    struct reply reply;
    if (client->etags[source][0] == '\0') {
        return;
    }
    path_of(key, path);
    path_of(source, from);
    (void)snprintf(headers, sizeof headers,
                   "x-amz-copy-source: %s\r\nx-amz-copy-source-if-match: \"%s\"\r\n", from,
                   client->etags[source]);
    struct linear_op op = {.value = object_value(ps_slice_of(client->etags[source])),
                           .invoke_ns = chaos_now_ns()};
    int status = call(load, client, "PUT", path, headers, PS_LIT(""), &reply);
    if (status == 412) {
        return; /* the source is another one by now */
    }
    note_write(load, client, key, op, status);
    if (status == 200) {
        note(load, source,
             (struct linear_op){.kind = LINEAR_READ, .value = op.value, .invoke_ns = op.invoke_ns});
    }
}

static void delete (struct objects_load *load, struct object_client *client, size_t key)
{
    char path[64];
    struct reply reply;
    path_of(key, path);
    struct linear_op op = {.value = 0, .invoke_ns = chaos_now_ns()};
    note_write(load, client, key, op, call(load, client, "DELETE", path, "", PS_LIT(""), &reply));
}

static void delete_some(struct objects_load *load, struct object_client *client, size_t key)
{
    enum { SOME = 3 };

    struct ps_buf document = {0};
    struct reply reply;
    ps_buf_append_text(&document, "<Delete>");
    for (size_t i = 0; i < SOME; i++) {
        ps_buf_printf(&document, "<Object><Key>object-%zu</Key></Object>", (key + i) % OBJECT_KEYS);
    }
    ps_buf_append_text(&document, "</Delete>");
    struct linear_op op = {.value = 0, .invoke_ns = chaos_now_ns()};
    int status =
        call(load, client, "POST", "/" BUCKET "?delete=", "", ps_buf_slice(&document), &reply);
    if (status == 200 && memmem(reply.body.data, reply.body.size, "<Error>", 7) != NULL) {
        status = 500;
    }
    for (size_t i = 0; i < SOME; i++) {
        note_write(load, client, (key + i) % OBJECT_KEYS, op, status);
    }
    ps_buf_fini(&document);
}

/* ---- reads ---- */

/* All that a reply says of an object belongs to one number. */
static void hold_together(const struct reply *reply, size_t from, bool whole)
{
    struct ps_buf body = {0};
    char etag[PS_R2_ETAG_SIZE];
    struct ps_slice meta = reply_text(reply, "x-amz-meta-number");
    uint64_t number = meta.data == NULL ? 0 : strtoull(meta.data, NULL, 16);
    struct ps_slice said = etag_of(reply);
    object_body(&body, number);
    object_etag(number, ps_buf_slice(&body), etag);
    bool fits = ps_slice_eq(said, ps_slice_of(etag));
    fits = fits && (!whole || reply->body.size == body.size);
    fits = fits && from + reply->body.size <= body.size &&
           (reply->body.size == 0 ||
            memcmp(reply->body.data, body.data + from, reply->body.size) == 0);
    if (!fits) {
        chaos_fail("object %016" PRIx64 " is mixed with another (%016" PRIx64 "): %s", number,
                   object_number(reply->body), reply->head);
    }
    ps_buf_fini(&body);
}

static void get_at(struct objects_load *load, struct object_client *client, size_t pop, size_t key)
{
    char path[64];
    char headers[64] = "";
    struct reply reply;
    size_t from = ps_rng_below(&client->rng, 4) == 0 ? ps_rng_below(&client->rng, 20000) : 0;
    if (from > 0) {
        (void)snprintf(headers, sizeof headers, "Range: bytes=%zu-\r\n", from);
    }
    path_of(key, path);
    uint64_t invoke_ns = chaos_now_ns();
    int status = call_at(load, client, pop, "GET", path, headers, PS_LIT(""), &reply);
    if (status == 404) {
        note_read(load, client, key, invoke_ns, (struct ps_slice){0});
    } else if (status == 200 || status == 206) {
        hold_together(&reply, from, status == 200);
        note_read(load, client, key, invoke_ns, etag_of(&reply));
    } else {
        load->failed += status != 416;
    }
}

static void get(struct objects_load *load, struct object_client *client, size_t key)
{
    get_at(load, client, some_pop(client), key);
}

static void head(struct objects_load *load, struct object_client *client, size_t key)
{
    char path[64];
    struct reply reply;
    path_of(key, path);
    uint64_t invoke_ns = chaos_now_ns();
    int status = call(load, client, "HEAD", path, "", PS_LIT(""), &reply);
    if (status == 404) {
        note_read(load, client, key, invoke_ns, (struct ps_slice){0});
    } else if (status == 200) {
        hold_together(&reply, 0, false);
        note_read(load, client, key, invoke_ns, etag_of(&reply));
    }
}

static bool list_at(struct objects_load *load, struct object_client *client, size_t pop)
{
    struct reply reply;
    uint64_t invoke_ns = chaos_now_ns();
    if (call_at(load, client, pop, "GET", "/" BUCKET "?list-type=2", "", PS_LIT(""), &reply) !=
        200) {
        return false;
    }
    for (size_t key = 0; key < OBJECT_KEYS; key++) {
        char name[64];
        (void)snprintf(name, sizeof name, "<Key>object-%zu</Key>", key);
        struct ps_slice entry = text_between(reply.body, name, "</Contents>");
        struct ps_slice etag = text_between(entry, "<ETag>&quot;", "&quot;</ETag>");
        if (entry.data != NULL && etag.size == 0) {
            etag = text_between(entry, "<ETag>\"", "\"</ETag>");
        }
        if (entry.data != NULL && etag.size == 0) {
            chaos_fail("a list without an ETag: %.*s", (int)entry.size, entry.data);
        }
        note_read(load, client, key, invoke_ns, etag);
    }
    return true;
}

static void list(struct objects_load *load, struct object_client *client, size_t key)
{
    (void)key;
    (void)list_at(load, client, some_pop(client));
}

static bool has_read(struct objects_load *load, struct object_client *client, size_t pop,
                     size_t key)
{
    size_t before = load->keys[key].count;
    get_at(load, client, pop, key);
    return load->keys[key].count > before;
}

void objects_read_all(struct objects_load *load, struct object_client *client, size_t pop)
{
    for (size_t key = 0; key < OBJECT_KEYS; key++) {
        WAIT_FOR(has_read(load, client, pop, key));
    }
    WAIT_FOR(list_at(load, client, pop));
}

static bool list_uploads(struct objects_load *load, struct object_client *client,
                         struct ps_buf *ret)
{
    struct reply reply;
    ret->size = 0;
    if (call_at(load, client, 0, "GET", "/" BUCKET "?uploads=", "", PS_LIT(""), &reply) != 200) {
        return false;
    }
    ps_buf_append_slice(ret, reply.body);
    return true;
}

size_t objects_abort_uploads(struct objects_load *load, struct object_client *client)
{
    struct ps_buf page = {0};
    size_t count = 0;
    WAIT_FOR(list_uploads(load, client, &page));
    for (struct ps_slice rest = ps_buf_slice(&page);;) {
        struct ps_slice upload = text_between(rest, "<Upload>", "</Upload>");
        if (upload.data == NULL) {
            break;
        }
        struct ps_slice key = text_between(upload, "<Key>", "</Key>");
        struct ps_slice id = text_between(upload, "<UploadId>", "</UploadId>");
        struct reply reply;
        char target[256];
        (void)snprintf(target, sizeof target, "/" BUCKET "/%.*s?uploadId=%.*s", (int)key.size,
                       key.data, (int)id.size, id.data);
        int status;
        WAIT_FOR((status = call_at(load, client, 0, "DELETE", target, "", PS_LIT(""), &reply)) ==
                     204 ||
                 status == 404);
        count++;
        rest.size -= (size_t)(upload.data + upload.size - rest.data);
        rest.data = upload.data + upload.size;
    }
    ps_buf_fini(&page);
    return count;
}

/* ---- all of them ---- */

static const struct kind {
    const char *name;
    unsigned weight;
    void (*run)(struct objects_load *load, struct object_client *client, size_t key);
} kinds[] = {
    {"put", 18, put},
    {"put once", 12, put_once},
    {"put in vain", 6, put_in_vain},
    {"multipart", 2, put_parts},
    {"copy", 6, copy},
    {"delete", 8, delete},
    {"delete of three", 2, delete_some},
    {"get", 30, get},
    {"head", 10, head},
    {"list", 6, list},
};

enum { KINDS = sizeof kinds / sizeof kinds[0], WEIGHTS = 100 };

const char *objects_kind_name(size_t kind)
{
    return kind < KINDS ? kinds[kind].name : NULL;
}

static void operate(struct objects_load *load, struct object_client *client)
{
    uint64_t chance = ps_rng_below(&client->rng, WEIGHTS);
    size_t kind = 0;
    while (chance >= kinds[kind].weight) {
        chance -= kinds[kind].weight;
        kind++;
    }
    client->counts[kind]++;
    bool hot = ps_rng_below(&client->rng, 2) == 0;
    kinds[kind].run(load, client, ps_rng_below(&client->rng, hot ? HOT_KEYS : OBJECT_KEYS));
}

struct client_of {
    struct objects_load *load;
    struct object_client *client;
};

static void *run_client(void *context)
{
    struct client_of *of = context;
    while (gate_pass(&of->load->gate)) {
        operate(of->load, of->client);
    }
    free(of);
    return NULL;
}

void objects_load_start(struct objects_load *load, struct cluster *cluster)
{
    load->cluster = cluster;
    gate_init(&load->gate);
    pthread_mutex_init(&load->mutex, NULL);
    for (uint32_t i = 0; i < OBJECT_CLIENTS; i++) {
        struct object_client *client = &load->clients[i];
        *client = (struct object_client){
            .index = i,
            .rng = {chaos_where.seed, ps_stream_of("object client", NULL, NULL) + i, 0},
            .client = CLIENT_NONE};
        struct client_of *of = PS_NEW(struct client_of);
        *of = (struct client_of){load, client};
        if (pthread_create(&client->thread, NULL, run_client, of) != 0) {
            chaos_fail("a thread cannot be started");
        }
    }
}

void objects_load_end(struct objects_load *load)
{
    gate_end(&load->gate);
    for (size_t i = 0; i < OBJECT_CLIENTS; i++) {
        (void)pthread_join(load->clients[i].thread, NULL);
        client_close(&load->clients[i].client);
    }
    for (size_t i = 0; i < OBJECT_KEYS; i++) {
        free(load->keys[i].ops);
    }
    pthread_mutex_destroy(&load->mutex);
    gate_fini(&load->gate);
}

void objects_load_wait_acked(struct objects_load *load, uint64_t count)
{
    uint64_t wanted = load->acked + count;
    WAIT_FOR(load->acked >= wanted);
}
