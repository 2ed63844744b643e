#include "node/r2/digest.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <string.h>

enum {
    FIRST_CRC = (int)PS_R2_CRC32,
    CRCS = (int)PS_R2_HASHES - FIRST_CRC,
    SLICES = 8,    /* bytes that a step of a CRC takes at once */
    BIT_COUNT = 64 /* of the register, also of the CRCs of 32 bits */
};

static const struct {
    const char *name;
    size_t size;
} hashes[PS_R2_HASHES] = {{"MD5", 16},     {"SHA-1", 20}, {"SHA-256", 32}, {"SHA-384", 48},
                          {"SHA-512", 64}, {"CRC32", 4},  {"CRC32C", 4},   {"CRC64NVME", 8}};

/* Polynomials with the lowest power in the highest bit, as a CRC that shifts to the right has them.
 */
static const uint64_t polynomials[CRCS] = {0xedb88320, 0x82f63b78, 0x9a6c9329ac4bc9b5};

struct crc {
    uint64_t value;
    uint64_t table[SLICES][256];
};

struct ps_r2_digest {
    ps_r2_hash_set which;
    EVP_MD_CTX *evp[FIRST_CRC];
    struct crc *crc[CRCS];
};

size_t ps_r2_hash_size(enum ps_r2_hash hash)
{
    PS_ASSERT(hash < PS_R2_HASHES);
    return hashes[hash].size;
}

const char *ps_r2_hash_name(enum ps_r2_hash hash)
{
    PS_ASSERT(hash < PS_R2_HASHES);
    return hashes[hash].name;
}

static bool has(ps_r2_hash_set set, unsigned hash)
{
    return (set >> hash & 1U) != 0;
}

/* ---- sets of hashes ---- */

bool ps_r2_checksums_set(struct ps_r2_checksums *sums, enum ps_r2_hash hash, struct ps_slice bytes)
{
    if (bytes.size != ps_r2_hash_size(hash)) {
        return false;
    }
    memcpy(sums->bytes[hash], bytes.data, bytes.size);
    sums->present |= PS_R2_HASH_BIT(hash);
    return true;
}

bool ps_r2_checksums_set_hex(struct ps_r2_checksums *sums, enum ps_r2_hash hash,
                             struct ps_slice text)
{
    uint8_t bytes[PS_R2_HASH_SIZE_MAX];
    size_t size = ps_r2_hash_size(hash);
    return ps_r2_unhex(text, bytes, size) &&
           ps_r2_checksums_set(sums, hash, (struct ps_slice){(const char *)bytes, size});
}

bool ps_r2_checksums_set_base64(struct ps_r2_checksums *sums, enum ps_r2_hash hash,
                                struct ps_slice text)
{
    uint8_t bytes[PS_R2_HASH_SIZE_MAX];
    size_t size = ps_r2_hash_size(hash);
    return ps_r2_unbase64(text, bytes, size) &&
           ps_r2_checksums_set(sums, hash, (struct ps_slice){(const char *)bytes, size});
}

struct ps_slice ps_r2_checksums_get(const struct ps_r2_checksums *sums, enum ps_r2_hash hash)
{
    size_t size = ps_r2_hash_size(hash);
    return has(sums->present, hash) ? (struct ps_slice){(const char *)sums->bytes[hash], size}
                                    : (struct ps_slice){NULL, 0};
}

enum ps_r2_hash ps_r2_checksums_differ(const struct ps_r2_checksums *a,
                                       const struct ps_r2_checksums *b)
{
    for (unsigned hash = 0; hash < PS_R2_HASHES; hash++) {
        if (has(a->present & b->present, hash) &&
            memcmp(a->bytes[hash], b->bytes[hash], hashes[hash].size) != 0) {
            return (enum ps_r2_hash)hash;
        }
    }
    return PS_R2_HASHES;
}

/* ---- CRCs: eight bytes a step, by eight tables ---- */

static struct crc *crc_create(uint64_t polynomial)
{
    struct crc *crc = PS_NEW(struct crc);
    for (size_t i = 0; i < 256; i++) {
        uint64_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ ((value & 1) != 0 ? polynomial : 0);
        }
        crc->table[0][i] = value;
    }
    for (size_t slice = 1; slice < SLICES; slice++) {
        for (size_t i = 0; i < 256; i++) {
            uint64_t before = crc->table[slice - 1][i];
            crc->table[slice][i] = before >> 8 ^ crc->table[0][before & 0xff];
        }
    }
    return crc;
}

static uint64_t load(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < SLICES; i++) {
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    return word;
}

static uint64_t crc_step(const struct crc *crc, uint64_t word)
{
    uint64_t value = 0;
    for (size_t i = 0; i < SLICES; i++) {
        value ^= crc->table[SLICES - 1 - i][word >> 8 * i & 0xff];
    }
    return value;
}

static void crc_update(struct crc *crc, const uint8_t *bytes, size_t size)
{
    uint64_t value = crc->value;
    for (; size >= SLICES; size -= SLICES, bytes += SLICES) {
        value = crc_step(crc, value ^ load(bytes));
    }
    for (; size > 0; size--, bytes++) {
        value = value >> 8 ^ crc->table[0][(value ^ *bytes) & 0xff];
    }
    crc->value = value;
}

static uint64_t ones(size_t size)
{
    return UINT64_MAX >> (BIT_COUNT - 8 * size);
}

static void store(uint64_t value, uint8_t *ret, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ret[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
}

static uint64_t value_of(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* a * b modulo the polynomial, all with the lowest power in the highest of `bits` bits. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t polynomial, size_t bits)
{
    uint64_t product = 0;
    for (size_t bit = bits; bit-- > 0;) {
        product ^= (a >> bit & 1) != 0 ? b : 0;
        b = b >> 1 ^ ((b & 1) != 0 ? polynomial : 0);
    }
    return product;
}

void ps_r2_crc_join(enum ps_r2_hash hash, const uint8_t *second, uint64_t second_size, uint8_t *ret)
{
    PS_ASSERT(hash >= PS_R2_CRC32 && hash < PS_R2_HASHES);
    size_t size = ps_r2_hash_size(hash);
    size_t bits = 8 * size;
    uint64_t polynomial = polynomials[hash - PS_R2_CRC32];
    /* The first CRC times x^(8 * second_size), by squaring; x^8 is eight places below the top. */
    uint64_t power = (uint64_t)1 << (bits - 1 - 8);
    uint64_t value = value_of(ret, size);
    for (uint64_t left = second_size; left > 0; left >>= 1) {
        if ((left & 1) != 0) {
            value = multiply(value, power, polynomial, bits);
        }
        power = multiply(power, power, polynomial, bits);
    }
    store(value ^ value_of(second, size), ret, size);
}

/* ---- a digest under way ---- */

static EVP_MD_CTX *evp_create(unsigned hash)
{
    const EVP_MD *kinds[FIRST_CRC] = {EVP_md5(), EVP_sha1(), EVP_sha256(), EVP_sha384(),
                                      EVP_sha512()};
    EVP_MD_CTX *evp = EVP_MD_CTX_new();
    PS_ASSERT(evp != NULL);
    int begun = EVP_DigestInit_ex(evp, kinds[hash], NULL);
    PS_ASSERT(begun == 1);
    return evp;
}

struct ps_r2_digest *ps_r2_digest_create(ps_r2_hash_set which)
{
    struct ps_r2_digest *digest = PS_NEW(struct ps_r2_digest);
    digest->which = which;
    for (unsigned hash = 0; hash < FIRST_CRC; hash++) {
        digest->evp[hash] = has(which, hash) ? evp_create(hash) : NULL;
    }
    for (unsigned i = 0; i < CRCS; i++) {
        if (has(which, FIRST_CRC + i)) {
            digest->crc[i] = crc_create(polynomials[i]);
            digest->crc[i]->value = ones(hashes[FIRST_CRC + i].size);
        }
    }
    return digest;
}

void ps_r2_digest_destroy(struct ps_r2_digest *digest)
{
    if (digest == NULL) {
        return;
    }
    for (unsigned hash = 0; hash < FIRST_CRC; hash++) {
        EVP_MD_CTX_free(digest->evp[hash]);
    }
    for (unsigned i = 0; i < CRCS; i++) {
        free(digest->crc[i]);
    }
    free(digest);
}

void ps_r2_digest_update(struct ps_r2_digest *digest, struct ps_slice bytes)
{
    if (bytes.size == 0) {
        return;
    }
    for (unsigned hash = 0; hash < FIRST_CRC; hash++) {
        if (digest->evp[hash] != NULL) {
            int taken = EVP_DigestUpdate(digest->evp[hash], bytes.data, bytes.size);
            PS_ASSERT(taken == 1);
        }
    }
    for (unsigned i = 0; i < CRCS; i++) {
        if (digest->crc[i] != NULL) {
            crc_update(digest->crc[i], (const uint8_t *)bytes.data, bytes.size);
        }
    }
}

void ps_r2_digest_finish(struct ps_r2_digest *digest, struct ps_r2_checksums *ret)
{
    *ret = (struct ps_r2_checksums){.present = digest->which};
    for (unsigned hash = 0; hash < FIRST_CRC; hash++) {
        if (digest->evp[hash] != NULL) {
            unsigned size = 0;
            int done = EVP_DigestFinal_ex(digest->evp[hash], ret->bytes[hash], &size);
            PS_ASSERT(done == 1 && size == hashes[hash].size);
        }
    }
    for (unsigned i = 0; i < CRCS; i++) {
        unsigned hash = FIRST_CRC + i;
        if (digest->crc[i] != NULL) {
            store(digest->crc[i]->value ^ ones(hashes[hash].size), ret->bytes[hash],
                  hashes[hash].size);
        }
    }
}

void ps_r2_digest_of(ps_r2_hash_set which, struct ps_slice bytes, struct ps_r2_checksums *ret)
{
    struct ps_r2_digest *digest = ps_r2_digest_create(which);
    ps_r2_digest_update(digest, bytes);
    ps_r2_digest_finish(digest, ret);
    ps_r2_digest_destroy(digest);
}

/* ---- text ---- */

void ps_r2_hex(struct ps_buf *buf, struct ps_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    ps_buf_reserve(buf, 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        ps_buf_append_char(buf, digits[byte >> 4]);
        ps_buf_append_char(buf, digits[byte & 0xf]);
    }
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ps_r2_base64(struct ps_buf *buf, struct ps_slice bytes)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t word = 0;
        for (size_t k = 0; k < 3; k++) {
            word = word << 8 | (k < count ? (uint8_t)bytes.data[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; k++) {
            ps_buf_append_char(buf, k <= count ? base64_digits[word >> (18 - 6 * k) & 63] : '=');
        }
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool ps_r2_unhex(struct ps_slice text, uint8_t *ret, size_t size)
{
    if (text.size != 2 * size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.data[2 * i]);
        int low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int base64_digit(char c)
{
    const char *at = c == '\0' ? NULL : strchr(base64_digits, c);
    return at == NULL ? -1 : (int)(at - base64_digits);
}

bool ps_r2_unbase64(struct ps_slice text, uint8_t *ret, size_t size)
{
    size_t padding = (3 - size % 3) % 3;
    if (text.size != (size + padding) / 3 * 4) {
        return false;
    }
    uint32_t word = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool is_padding = i + padding >= text.size;
        int digit = is_padding && text.data[i] == '=' ? 0 : base64_digit(text.data[i]);
        if (digit < 0 || (is_padding && text.data[i] != '=')) {
            return false;
        }
        word = word << 6 | (uint32_t)digit;
        for (size_t k = 0; i % 4 == 3 && k < 3 && at < size; k++) {
            ret[at++] = (uint8_t)(word >> (16 - 8 * k));
        }
    }
    return true;
}

void ps_r2_etag_of_md5(const uint8_t md5[PS_R2_ID_SIZE], char ret[PS_R2_ETAG_SIZE])
{
    for (size_t i = 0; i < PS_R2_ID_SIZE; i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", md5[i]);
    }
}

void ps_r2_etag_of_parts(const uint8_t (*md5s)[PS_R2_ID_SIZE], size_t count,
                         char ret[PS_R2_ETAG_SIZE])
{
    struct ps_r2_checksums sums;
    ps_r2_digest_of(PS_R2_HASH_BIT(PS_R2_MD5),
                    (struct ps_slice){(const char *)md5s, count * PS_R2_ID_SIZE}, &sums);
    ps_r2_etag_of_md5(sums.bytes[PS_R2_MD5], ret);
    size_t at = strlen(ret);
    (void)snprintf(ret + at, PS_R2_ETAG_SIZE - at, "-%zu", count);
}
