#include "node/s3/chunked.h"

#include "node/s3/text.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <openssl/evp.h>

#include <string.h>
#include <strings.h>

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum state {
    CHUNK_LINE, /* "size;chunk-signature=..." */
    DATA,
    DATA_END, /* the line end behind the data */
    TRAILER_LINE,
    DONE,
    FAILED
};

struct ps_s3_chunked {
    enum ps_s3_payload payload;
    struct ps_s3_seed seed; /* with the signature of what came last */
    enum state state;
    enum ps_s3_chunked_event failure;
    uint64_t size;
    uint64_t size_max;
    uint64_t left;      /* bytes of the chunk that are to come */
    bool last;          /* the chunk without data has come */
    char signature[65]; /* the chunk's, as sent */
    EVP_MD_CTX *digest; /* of the chunk's data */
    char line[PS_S3_CHUNK_LINE_MAX];
    size_t line_size;
    struct ps_buf trailer; /* "name:value\n" lines, names in lower case */
    bool trailer_signed;
    unsigned blank_lines; /* of the trailer, and behind it */
};

static bool is_signed(const struct ps_s3_chunked *chunked)
{
    return chunked->payload != PS_S3_PAYLOAD_UNSIGNED_TRAILER;
}

struct ps_s3_chunked *ps_s3_chunked_create(enum ps_s3_payload payload,
                                           const struct ps_s3_seed *seed, uint64_t size_max)
{
    PS_ASSERT(payload == PS_S3_PAYLOAD_CHUNKS || payload == PS_S3_PAYLOAD_CHUNKS_TRAILER ||
              payload == PS_S3_PAYLOAD_UNSIGNED_TRAILER);
    struct ps_s3_chunked *chunked = PS_NEW(struct ps_s3_chunked);
    chunked->payload = payload;
    chunked->size_max = size_max;
    if (is_signed(chunked)) {
        chunked->seed = *seed;
        chunked->digest = EVP_MD_CTX_new();
        PS_ASSERT(chunked->digest != NULL);
    }
    return chunked;
}

void ps_s3_chunked_destroy(struct ps_s3_chunked *chunked)
{
    if (chunked != NULL) {
        EVP_MD_CTX_free(chunked->digest);
        ps_buf_fini(&chunked->trailer);
        free(chunked);
    }
}

/* ---- signatures ---- */

static void sign_next(struct ps_s3_seed *seed, const char *algorithm, const char *middle,
                      const char *digest)
{
    struct ps_buf text = {0};
    ps_buf_printf(&text, "%s\n%s\n%s\n%s\n%s%s", algorithm, seed->date, seed->scope,
                  seed->signature, middle, digest);
    ps_s3_signature(seed->signing_key, ps_buf_slice(&text), seed->signature);
    ps_buf_fini(&text);
}

/* The middle is the digest of no bytes: chunks have no headers of their own. */
static void sign_chunk(struct ps_s3_seed *seed, const char *digest)
{
    sign_next(seed, "AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256 "\n", digest);
}

void ps_s3_chunk_sign(struct ps_s3_seed *seed, struct ps_slice data)
{
    char digest[65];
    ps_s3_sha256_hex(data, digest);
    sign_chunk(seed, digest);
}

void ps_s3_trailer_sign(struct ps_s3_seed *seed, struct ps_slice lines)
{
    char digest[65];
    ps_s3_sha256_hex(lines, digest);
    sign_next(seed, "AWS4-HMAC-SHA256-TRAILER", "", digest);
}

static enum ps_s3_chunked_event fail(struct ps_s3_chunked *chunked,
                                     enum ps_s3_chunked_event failure)
{
    chunked->state = FAILED;
    chunked->failure = failure;
    return failure;
}

/* The chunk is whole: does it have the signature that its line says? */
static bool chunk_is_right(struct ps_s3_chunked *chunked)
{
    uint8_t digest[32];
    char hex[65];
    if (!is_signed(chunked)) {
        return true;
    }
    int done = EVP_DigestFinal_ex(chunked->digest, digest, NULL);
    PS_ASSERT(done == 1);
    ps_s3_hex(digest, sizeof digest, hex);
    sign_chunk(&chunked->seed, hex);
    return ps_s3_same_secret(ps_slice_of(chunked->seed.signature), ps_slice_of(chunked->signature));
}

/* ---- lines ---- */

/* Take bytes up to a line end. The line, without it, is chunked->line; it is emptied by whoever has
 * read it. */
static enum ps_s3_chunked_event take_line(struct ps_s3_chunked *chunked, struct ps_slice *bytes,
                                          struct ps_slice *ret)
{
    const char *end = memchr(bytes->data, '\n', bytes->size);
    size_t size = end == NULL ? bytes->size : (size_t)(end - bytes->data);
    if (size > sizeof chunked->line - chunked->line_size) {
        return fail(chunked, PS_S3_CHUNKED_MALFORMED);
    }
    memcpy(chunked->line + chunked->line_size, bytes->data, size);
    chunked->line_size += size;
    size_t used = size + (end == NULL ? 0 : 1);
    *bytes = (struct ps_slice){bytes->data + used, bytes->size - used};
    if (end == NULL) {
        return PS_S3_CHUNKED_NEED;
    }
    *ret = (struct ps_slice){chunked->line, chunked->line_size};
    chunked->line_size = 0;
    if (ret->size > 0 && ret->data[ret->size - 1] == '\r') {
        ret->size--;
    }
    return PS_S3_CHUNKED_DATA;
}

static bool read_size(struct ps_slice digits, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        char c = digits.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16 || value >> 60 != 0) {
            return false;
        }
        value = value << 4 | digit;
    }
    *ret = value;
    return digits.size > 0;
}

static enum ps_s3_chunked_event begin_chunk(struct ps_s3_chunked *chunked, struct ps_slice line)
{
    const char *mark = line.size == 0 ? NULL : memchr(line.data, ';', line.size);
    size_t digits = mark == NULL ? line.size : (size_t)(mark - line.data);
    struct ps_slice rest = {line.data + digits, line.size - digits};
    if (!read_size((struct ps_slice){line.data, digits}, &chunked->left)) {
        return fail(chunked, PS_S3_CHUNKED_MALFORMED);
    }
    if (is_signed(chunked)) {
        struct ps_slice name = PS_LIT(";chunk-signature=");
        if (!ps_slice_starts(rest, name) || rest.size != name.size + 64) {
            return fail(chunked, PS_S3_CHUNKED_MALFORMED);
        }
        memcpy(chunked->signature, rest.data + name.size, 64);
        int begun = EVP_DigestInit_ex(chunked->digest, EVP_sha256(), NULL);
        PS_ASSERT(begun == 1);
    }
    if (chunked->left > chunked->size_max - chunked->size) {
        return fail(chunked, PS_S3_CHUNKED_TOO_LARGE);
    }
    chunked->last = chunked->left == 0;
    chunked->state = chunked->last ? TRAILER_LINE : DATA;
    if (chunked->last && !chunk_is_right(chunked)) {
        return fail(chunked, PS_S3_CHUNKED_SIGNATURE);
    }
    return PS_S3_CHUNKED_NEED;
}

/* ---- the trailer ---- */

static enum ps_s3_chunked_event check_trailer(struct ps_s3_chunked *chunked,
                                              struct ps_slice signature)
{
    ps_s3_trailer_sign(&chunked->seed, ps_buf_slice(&chunked->trailer));
    if (!ps_s3_same_secret(ps_slice_of(chunked->seed.signature), signature)) {
        return fail(chunked, PS_S3_CHUNKED_SIGNATURE);
    }
    chunked->trailer_signed = true;
    return PS_S3_CHUNKED_NEED;
}

/* An empty line ends the body, but some clients also put one before the trailer's signature. */
static enum ps_s3_chunked_event blank_line(struct ps_s3_chunked *chunked)
{
    bool awaited = chunked->payload == PS_S3_PAYLOAD_CHUNKS_TRAILER && !chunked->trailer_signed;
    if (!awaited) {
        chunked->state = DONE;
        return PS_S3_CHUNKED_DONE;
    }
    return ++chunked->blank_lines > 2 ? fail(chunked, PS_S3_CHUNKED_MALFORMED) : PS_S3_CHUNKED_NEED;
}

static enum ps_s3_chunked_event trailer_line(struct ps_s3_chunked *chunked, struct ps_slice line)
{
    if (line.size == 0) {
        return blank_line(chunked);
    }
    const char *colon = memchr(line.data, ':', line.size);
    size_t name_size = colon == NULL ? 0 : (size_t)(colon - line.data);
    bool odd = chunked->payload == PS_S3_PAYLOAD_CHUNKS || name_size == 0 ||
               chunked->trailer_signed ||
               chunked->trailer.size + line.size > PS_S3_CHUNK_TRAILER_MAX;
    if (odd) {
        return fail(chunked, PS_S3_CHUNKED_MALFORMED);
    }
    struct ps_slice value = ps_s3_trim((struct ps_slice){colon + 1, line.size - name_size - 1});
    static const char signature[] = "x-amz-trailer-signature";
    if (is_signed(chunked) && name_size == sizeof signature - 1 &&
        strncasecmp(line.data, signature, name_size) == 0) {
        return check_trailer(chunked, value);
    }
    for (size_t i = 0; i < name_size; i++) {
        char c = line.data[i];
        ps_buf_append_char(&chunked->trailer, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
    ps_buf_append_char(&chunked->trailer, ':');
    ps_buf_append_slice(&chunked->trailer, value);
    ps_buf_append_char(&chunked->trailer, '\n');
    return PS_S3_CHUNKED_NEED;
}

bool ps_s3_chunked_trailer(const struct ps_s3_chunked *chunked, const char *name,
                           struct ps_slice *ret)
{
    struct ps_slice wanted = ps_slice_of(name);
    struct ps_slice rest = ps_buf_slice(&chunked->trailer);
    while (rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        PS_ASSERT(end != NULL);
        size_t size = (size_t)(end - rest.data);
        if (size > wanted.size && rest.data[wanted.size] == ':' && ps_slice_starts(rest, wanted)) {
            *ret = (struct ps_slice){rest.data + wanted.size + 1, size - wanted.size - 1};
            return true;
        }
        rest = (struct ps_slice){end + 1, rest.size - size - 1};
    }
    return false;
}

/* ---- all of it ---- */

static enum ps_s3_chunked_event take_data(struct ps_s3_chunked *chunked, struct ps_slice *bytes,
                                          struct ps_slice *ret_data)
{
    size_t size = bytes->size < chunked->left ? bytes->size : (size_t)chunked->left;
    *ret_data = (struct ps_slice){bytes->data, size};
    *bytes = (struct ps_slice){bytes->data + size, bytes->size - size};
    chunked->left -= size;
    chunked->size += size;
    if (is_signed(chunked)) {
        int done = EVP_DigestUpdate(chunked->digest, ret_data->data, size);
        PS_ASSERT(done == 1);
    }
    if (chunked->left == 0) {
        chunked->state = DATA_END;
    }
    return PS_S3_CHUNKED_DATA;
}

static enum ps_s3_chunked_event end_data(struct ps_s3_chunked *chunked, struct ps_slice line)
{
    if (line.size != 0) {
        return fail(chunked, PS_S3_CHUNKED_MALFORMED);
    }
    if (!chunk_is_right(chunked)) {
        return fail(chunked, PS_S3_CHUNKED_SIGNATURE);
    }
    chunked->state = CHUNK_LINE;
    return PS_S3_CHUNKED_NEED;
}

/* Line ends are all that may follow; not many of them. */
static enum ps_s3_chunked_event after_done(struct ps_s3_chunked *chunked, struct ps_slice *bytes)
{
    while (bytes->size > 0) {
        char c = *bytes->data;
        *bytes = (struct ps_slice){bytes->data + 1, bytes->size - 1};
        if ((c != '\r' && c != '\n') || ++chunked->blank_lines > 8) {
            return fail(chunked, PS_S3_CHUNKED_MALFORMED);
        }
    }
    return PS_S3_CHUNKED_DONE;
}

static enum ps_s3_chunked_event take_one_line(struct ps_s3_chunked *chunked, struct ps_slice *bytes)
{
    struct ps_slice line;
    enum ps_s3_chunked_event event = take_line(chunked, bytes, &line);
    if (event != PS_S3_CHUNKED_DATA) {
        return event;
    }
    return chunked->state == CHUNK_LINE ? begin_chunk(chunked, line)
           : chunked->state == DATA_END ? end_data(chunked, line)
                                        : trailer_line(chunked, line);
}

enum ps_s3_chunked_event ps_s3_chunked_feed(struct ps_s3_chunked *chunked, struct ps_slice *bytes,
                                            struct ps_slice *ret_data)
{
    *ret_data = (struct ps_slice){NULL, 0};
    while (bytes->size > 0) {
        if (chunked->state == FAILED) {
            return chunked->failure;
        }
        if (chunked->state == DONE) {
            return after_done(chunked, bytes);
        }
        if (chunked->state == DATA) {
            return take_data(chunked, bytes, ret_data);
        }
        enum ps_s3_chunked_event event = take_one_line(chunked, bytes);
        if (event > PS_S3_CHUNKED_DONE) {
            return event;
        }
    }
    return chunked->state == FAILED ? chunked->failure
           : chunked->state == DONE ? PS_S3_CHUNKED_DONE
                                    : PS_S3_CHUNKED_NEED;
}

bool ps_s3_chunked_is_done(const struct ps_s3_chunked *chunked)
{
    return chunked->state == DONE;
}

uint64_t ps_s3_chunked_size(const struct ps_s3_chunked *chunked)
{
    return chunked->size;
}
