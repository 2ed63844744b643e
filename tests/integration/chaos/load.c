/* The load: clients that write and read at all PoPs, each on one connection, and remember it. */
#include "node/kv/kv.h"
#include "replication/base/memory.h"
#include "tests/integration/chaos/chaos.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_MS = 1500,  /* a client's patience */
    GIVES_UP_OF = 8, /* one in so many writes is given up at its first broken try */
    ECHO_OF = 16,    /* one in so many acknowledged writes is sent again */
    DELETE_OF = 8,
    LARGE_OF = 100,
    HUGE_OF = 2000
};

#define EXPIRES_UNIX_S UINT64_C(4102444800) /* 2100: never within a test */

void key_name(uint16_t key, char ret[8])
{
    (void)snprintf(ret, 8, "k%03u", key % 1000U);
}

static size_t value_size(uint64_t word)
{
    if (word % HUGE_OF == 0) {
        return 300000 + word % 1000;
    }
    return word % LARGE_OF == 0 ? 8000 + word % 1000 : 10 + word % 200;
}

void write_value(struct ps_buf *buf, uint64_t seed, uint32_t writer, uint64_t number)
{
    uint64_t word = ps_random_u64(seed, writer, number);
    size_t size = value_size(word >> 8);
    ps_buf_printf(buf, "%u:%" PRIu64 ":", writer, number);
    ps_buf_reserve(buf, size);
    memset(buf->data + buf->size, 'a' + (int)(word % 26), size);
    buf->size += size;
}

uint64_t write_expires(uint64_t number)
{
    return number % 8 == 3 ? EXPIRES_UNIX_S : 0;
}

void load_pause(struct load *load)
{
    gate_close(&load->gate, WRITERS + READERS);
}

void load_resume(struct load *load)
{
    gate_open(&load->gate);
}

void load_wait_acked(struct load *load, uint64_t count)
{
    uint64_t wanted = load->acked + count;
    WAIT_FOR(load->acked >= wanted);
}

/* ---- writers ---- */

static void head_of_write(struct ps_buf *headers, uint64_t seed, uint32_t writer, size_t number,
                          const struct write *write)
{
    ps_buf_printf(headers, "popsim-store: %s\r\npopsim-token: %08x%08zx%016" PRIx64 "\r\n",
                  chaos_stores[write->store], writer + 1, number, seed);
    if (!write->deleted) {
        ps_buf_printf(headers, "CF-KV-Metadata: %zu\r\n", number);
    }
}

static void target_of_write(char ret[128], size_t number, const struct write *write)
{
    char key[8];
    key_name(write->key, key);
    uint64_t expires_unix_s = write_expires(number);
    if (expires_unix_s != 0 && !write->deleted) {
        (void)snprintf(ret, 128, "/%s?urlencoded=true&expiration=%" PRIu64, key, expires_unix_s);
    } else {
        (void)snprintf(ret, 128, "/%s?urlencoded=true", key);
    }
}

/* One try at some PoP: the LSN, or 0 when nothing is known. */
static uint64_t try_write(struct load *load, struct writer *writer, const struct write *write,
                          const char *target, const char *headers, struct ps_slice value)
{
    size_t pop = ps_rng_below(&writer->rng, POPS);
    struct reply reply;
    if (!client_call(&writer->client, load->cluster->ports[pop], write->deleted ? "DELETE" : "PUT",
                     target, headers, value, CALL_MS, &reply)) {
        return 0;
    }
    if (reply.status != 200 && reply.status < 500) {
        chaos_fail("a write at %s is refused: %s", chaos_pops[pop], reply.head);
    }
    load->refused += reply.status == 507;
    int64_t lsn = reply.status == 200 ? reply_number(&reply, "popsim-lsn") : 0;
    if (reply.status == 200 && lsn <= 0) {
        chaos_fail("an acknowledgement of %s without an LSN: %s", chaos_pops[pop], reply.head);
    }
    return (uint64_t)lsn;
}

static struct write *new_write(struct load *load, struct writer *writer, struct ps_buf *value)
{
    size_t number = writer->count;
    writer->writes =
        ps_grow(writer->writes, writer->count, &writer->capacity, sizeof *writer->writes);
    struct write *write = &writer->writes[writer->count++];
    *write = (struct write){.key = (uint16_t)ps_rng_below(&writer->rng, KEYS),
                            .store = (uint8_t)ps_rng_below(&writer->rng, STORES),
                            .deleted = ps_rng_below(&writer->rng, DELETE_OF) == 0,
                            .outcome = OPEN};
    if (!write->deleted) {
        write_value(value, load->seed, writer->index, number);
    }
    write->digest = ps_slice_hash(ps_buf_slice(value));
    return write;
}

static void write_once(struct load *load, struct writer *writer)
{
    size_t number = writer->count;
    struct ps_buf value = {0};
    struct ps_buf headers = {0};
    char target[128];
    struct write *write = new_write(load, writer, &value);
    head_of_write(&headers, load->seed, writer->index, number, write);
    target_of_write(target, number, write);
    const char *head = ps_buf_text(&headers);
    bool gives_up = ps_rng_below(&writer->rng, GIVES_UP_OF) == 0;
    uint64_t until_ns = chaos_now_ns() + DEADLINE_S * UINT64_C(1000000000);
    while (write->outcome == OPEN) {
        write->lsn = try_write(load, writer, write, target, head, ps_buf_slice(&value));
        if (write->lsn > 0) {
            write->outcome = ACKED;
            load->acked++;
        } else if (gives_up) {
            write->outcome = UNKNOWN;
        } else if (chaos_now_ns() > until_ns) {
            chaos_fail("a write at %s is never acknowledged", chaos_stores[write->store]);
        } else {
            writer->broken++;
            chaos_pause_ms(2);
        }
    }
    if (write->outcome == ACKED && ps_rng_below(&writer->rng, ECHO_OF) == 0) {
        uint64_t again = try_write(load, writer, write, target, head, ps_buf_slice(&value));
        if (again != 0 && again != write->lsn) {
            chaos_fail("a token was given LSN %" PRIu64 ", then %" PRIu64, write->lsn, again);
        }
        writer->echoes += again != 0;
    }
    ps_buf_fini(&value);
    ps_buf_fini(&headers);
}

struct client_of {
    struct load *load;
    void *who;
};

static void *run_writer(void *context)
{
    struct client_of *of = context;
    while (gate_pass(&of->load->gate)) {
        write_once(of->load, of->who);
    }
    free(of);
    return NULL;
}

/* ---- readers ---- */

static void note_read(struct reader *reader, const struct reply *reply, size_t store, uint16_t key)
{
    int64_t lsn = reply_number(reply, "popsim-lsn");
    reader->reads++;
    if (lsn < 0 || (lsn == 0 && reply->status == 200)) {
        chaos_fail("a read without an LSN: %s", reply->head);
    }
    if (lsn == 0) {
        return;
    }
    reader->seen =
        ps_grow(reader->seen, reader->seen_count, &reader->capacity, sizeof *reader->seen);
    reader->seen[reader->seen_count++] = (struct seen){.lsn = (uint64_t)lsn,
                                                       .digest = ps_slice_hash(reply->body),
                                                       .key = key,
                                                       .store = (uint8_t)store,
                                                       .deleted = reply->status == 404};
}

static void read_once(struct load *load, struct reader *reader)
{
    size_t pop = ps_rng_below(&reader->rng, POPS);
    size_t store = ps_rng_below(&reader->rng, STORES);
    uint16_t key = (uint16_t)ps_rng_below(&reader->rng, KEYS);
    bool list = ps_rng_below(&reader->rng, 32) == 0;
    char name[8];
    char target[64];
    char headers[64];
    key_name(key, name);
    (void)snprintf(target, sizeof target, list ? "/?prefix=%.2s" : "/%s?urlencoded=true", name);
    (void)snprintf(headers, sizeof headers, "popsim-store: %s\r\n", chaos_stores[store]);
    struct reply reply;
    if (!client_call(&reader->client, load->cluster->ports[pop], "GET", target, headers, PS_LIT(""),
                     CALL_MS, &reply)) {
        chaos_pause_ms(2);
        return;
    }
    if (reply.status == 200 && list) {
        reader->lists++;
    } else if (!list && (reply.status == 200 || reply.status == 404)) {
        note_read(reader, &reply, store, key);
    } else if (reply.status < 500) {
        chaos_fail("a read at %s is refused: %s", chaos_pops[pop], reply.head);
    }
}

static void *run_reader(void *context)
{
    struct client_of *of = context;
    while (gate_pass(&of->load->gate)) {
        read_once(of->load, of->who);
    }
    free(of);
    return NULL;
}

/* ---- all of them ---- */

static void start_thread(struct load *load, pthread_t *thread, void *(*run)(void *), void *who)
{
    struct client_of *of = PS_NEW(struct client_of);
    *of = (struct client_of){load, who};
    if (pthread_create(thread, NULL, run, of) != 0) {
        chaos_fail("a thread cannot be started");
    }
}

void load_start(struct load *load, struct cluster *cluster, uint64_t seed)
{
    load->cluster = cluster;
    load->seed = seed;
    gate_init(&load->gate);
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct writer *writer = &load->writers[i];
        *writer = (struct writer){.index = i,
                                  .rng = {seed, ps_stream_of("writer", NULL, NULL) + i, 0},
                                  .client = CLIENT_NONE};
        start_thread(load, &writer->thread, run_writer, writer);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        struct reader *reader = &load->readers[i];
        *reader = (struct reader){.index = i,
                                  .rng = {seed, ps_stream_of("reader", NULL, NULL) + i, 0},
                                  .client = CLIENT_NONE};
        start_thread(load, &reader->thread, run_reader, reader);
    }
}

void load_end(struct load *load)
{
    gate_end(&load->gate);
    for (size_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(load->writers[i].thread, NULL);
        client_close(&load->writers[i].client);
        free(load->writers[i].writes);
    }
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(load->readers[i].thread, NULL);
        client_close(&load->readers[i].client);
        free(load->readers[i].seen);
    }
    gate_fini(&load->gate);
}
