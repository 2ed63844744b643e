/* Any bytes as an aws-chunked body of each kind: fed whole and in pieces they come to the same
 * event, data and trailer. The first byte chooses the pieces; the rest is also what is put into
 * chunks by the book, and must come out again. */
#include "node/s3/chunked.h"
#include "replication/base/random.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA_MAX = 4096 };

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct ps_s3_seed seed = {.signing_key = {1, 2, 3},
                                       .date = "20130524T000000Z",
                                       .scope = "20130524/auto/s3/aws4_request",
                                       .signature = "00000000000000000000000000000000"
                                                    "00000000000000000000000000000000"};

/* The last event; what came out is appended. */
static enum ps_s3_chunked_event feed(enum ps_s3_payload payload, struct ps_slice bytes,
                                     uint64_t chance, size_t piece_max, struct ps_buf *ret)
{
    struct ps_s3_chunked *chunked = ps_s3_chunked_create(payload, &seed, DATA_MAX);
    enum ps_s3_chunked_event event = PS_S3_CHUNKED_NEED;
    for (uint64_t n = 0; bytes.size > 0 && event <= PS_S3_CHUNKED_DONE; n++) {
        size_t size = 1 + (size_t)(ps_random_u64(chance, 1, n) % piece_max);
        size = size < bytes.size ? size : bytes.size;
        struct ps_slice piece = {bytes.data, size};
        bytes = (struct ps_slice){bytes.data + size, bytes.size - size};
        while (piece.size > 0 && event <= PS_S3_CHUNKED_DONE) {
            struct ps_slice out;
            event = ps_s3_chunked_feed(chunked, &piece, &out);
            require((event == PS_S3_CHUNKED_DATA) == (out.size > 0));
            ps_buf_append_slice(ret, out);
        }
    }
    require(ps_s3_chunked_size(chunked) == ret->size && ret->size <= DATA_MAX);
    struct ps_slice value;
    if (event == PS_S3_CHUNKED_DONE &&
        ps_s3_chunked_trailer(chunked, "x-amz-checksum-crc32", &value)) {
        ps_buf_append_slice(ret, value);
    }
    require(ps_s3_chunked_is_done(chunked) == (event == PS_S3_CHUNKED_DONE));
    ps_s3_chunked_destroy(chunked);
    return event == PS_S3_CHUNKED_DATA ? PS_S3_CHUNKED_NEED : event;
}

static void both_ways(enum ps_s3_payload payload, struct ps_slice bytes, uint8_t choice)
{
    struct ps_buf whole = {0};
    struct ps_buf pieces = {0};
    enum ps_s3_chunked_event first = feed(payload, bytes, 0, (size_t)1 << 20, &whole);
    enum ps_s3_chunked_event second = feed(payload, bytes, choice, 1 + choice % 9, &pieces);
    require(first == second);
    require(ps_slice_eq(ps_buf_slice(&whole), ps_buf_slice(&pieces)));
    ps_buf_fini(&whole);
    ps_buf_fini(&pieces);
}

static void append_chunk(struct ps_s3_seed *client, enum ps_s3_payload payload,
                         struct ps_slice data, struct ps_buf *into)
{
    ps_buf_printf(into, "%zx", data.size);
    if (payload != PS_S3_PAYLOAD_UNSIGNED_TRAILER) {
        ps_s3_chunk_sign(client, data);
        ps_buf_printf(into, ";chunk-signature=%s", client->signature);
    }
    ps_buf_append(into, "\r\n", 2);
    ps_buf_append_slice(into, data);
    if (data.size > 0) {
        ps_buf_append(into, "\r\n", 2);
    }
}

static void round_trip(enum ps_s3_payload payload, struct ps_slice data, uint8_t choice)
{
    struct ps_s3_seed client = seed;
    struct ps_buf body = {0};
    struct ps_buf got = {0};
    data.size = data.size < DATA_MAX ? data.size : DATA_MAX;
    size_t half = data.size / 2;
    if (half > 0) {
        append_chunk(&client, payload, (struct ps_slice){data.data, half}, &body);
        append_chunk(&client, payload, (struct ps_slice){data.data + half, data.size - half},
                     &body);
    } else {
        data.size = 0;
    }
    append_chunk(&client, payload, (struct ps_slice){"", 0}, &body);
    if (payload == PS_S3_PAYLOAD_CHUNKS_TRAILER) {
        ps_s3_trailer_sign(&client, PS_LIT("x-other:v\n"));
        ps_buf_printf(&body, "x-other:v\r\nx-amz-trailer-signature:%s\r\n", client.signature);
    }
    ps_buf_append(&body, "\r\n", 2);
    require(feed(payload, ps_buf_slice(&body), choice, 1 + choice, &got) == PS_S3_CHUNKED_DONE);
    require(ps_slice_eq(ps_buf_slice(&got), data));
    ps_buf_fini(&body);
    ps_buf_fini(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum ps_s3_payload payloads[] = {
        PS_S3_PAYLOAD_CHUNKS, PS_S3_PAYLOAD_CHUNKS_TRAILER, PS_S3_PAYLOAD_UNSIGNED_TRAILER};

    if (size == 0) {
        return 0;
    }
    struct ps_slice bytes = {(const char *)data + 1, size - 1};
    for (size_t i = 0; i < 3; i++) {
        both_ways(payloads[i], bytes, data[0]);
        round_trip(payloads[i], bytes, data[0]);
    }
    return 0;
}
