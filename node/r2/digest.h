/* Digests and checksums of bodies, taken as the bytes pass. Pure; the mathematics are OpenSSL's
 * (MD5, SHA) and this file's tables (CRC-32, CRC-32C, CRC-64/NVME). */
#ifndef PS_NODE_R2_DIGEST_H
#define PS_NODE_R2_DIGEST_H

#include "replication/base/slice.h"

enum ps_r2_hash {
    PS_R2_MD5,
    PS_R2_SHA1,
    PS_R2_SHA256,
    PS_R2_SHA384,
    PS_R2_SHA512,
    PS_R2_CRC32, /* from here on: only in the S3 API; bytes are big-endian, as it shows them */
    PS_R2_CRC32C,
    PS_R2_CRC64NVME,
    PS_R2_HASHES
};

enum {
    PS_R2_HASH_SIZE_MAX = 64,
    PS_R2_ID_SIZE = 16,   /* bytes of a version, an upload or a blob */
    PS_R2_ETAG_SIZE = 40, /* room for 32 hex digits, "-", 10000 and a NUL */
    PS_R2_HEX_SIZE = 2 * PS_R2_ID_SIZE + 1
};

/** A set of hashes: bits 1 << enum ps_r2_hash. */
typedef unsigned ps_r2_hash_set;
#define PS_R2_HASH_BIT(hash) (1U << (unsigned)(hash))

/** Some of a body's hashes. Zeroed = none. */
struct ps_r2_checksums {
    ps_r2_hash_set present;
    uint8_t bytes[PS_R2_HASHES][PS_R2_HASH_SIZE_MAX];
};

/** Bytes of a hash, and its name as R2's error messages have it ("MD5", "SHA-256", "CRC32"). */
size_t ps_r2_hash_size(enum ps_r2_hash hash);
const char *ps_r2_hash_name(enum ps_r2_hash hash);

/** Set a hash from its bytes; false when they are not as many as it has. */
bool ps_r2_checksums_set(struct ps_r2_checksums *sums, enum ps_r2_hash hash, struct ps_slice bytes);
/** ... from hex digits of either case, or from base64 with its padding. */
bool ps_r2_checksums_set_hex(struct ps_r2_checksums *sums, enum ps_r2_hash hash,
                             struct ps_slice text);
bool ps_r2_checksums_set_base64(struct ps_r2_checksums *sums, enum ps_r2_hash hash,
                                struct ps_slice text);
/** The bytes of a hash that is present; borrowed. Empty when it is not. */
struct ps_slice ps_r2_checksums_get(const struct ps_r2_checksums *sums, enum ps_r2_hash hash);

/** The first hash that both have and that differs; PS_R2_HASHES if there is none. */
enum ps_r2_hash ps_r2_checksums_differ(const struct ps_r2_checksums *a,
                                       const struct ps_r2_checksums *b);

/** A digest under way. */
struct ps_r2_digest;

/** `which` hashes are to be taken. */
struct ps_r2_digest *ps_r2_digest_create(ps_r2_hash_set which);
void ps_r2_digest_destroy(struct ps_r2_digest *digest); /* NULL accepted */
void ps_r2_digest_update(struct ps_r2_digest *digest, struct ps_slice bytes);
/** The hashes of all bytes so far; the digest then takes no more. */
void ps_r2_digest_finish(struct ps_r2_digest *digest, struct ps_r2_checksums *ret);
/** All at once. */
void ps_r2_digest_of(ps_r2_hash_set which, struct ps_slice bytes, struct ps_r2_checksums *ret);

/** The CRC of two bodies behind each other: *ret holds the first's and becomes that of both. This
 * is how a multipart object's FULL_OBJECT checksum comes out of its parts'. Only for CRCs. */
void ps_r2_crc_join(enum ps_r2_hash hash, const uint8_t *second, uint64_t second_size,
                    uint8_t *ret);

/** Append lower-case hex, or base64 with padding. */
void ps_r2_hex(struct ps_buf *buf, struct ps_slice bytes);
void ps_r2_base64(struct ps_buf *buf, struct ps_slice bytes);
/** Decode hex of either case, or base64 with its padding, of `size` bytes exactly. */
bool ps_r2_unhex(struct ps_slice text, uint8_t *ret, size_t size);
bool ps_r2_unbase64(struct ps_slice text, uint8_t *ret, size_t size);

/** The ETag (unquoted) of a body put at once: the hex of its MD5. */
void ps_r2_etag_of_md5(const uint8_t md5[PS_R2_ID_SIZE], char ret[PS_R2_ETAG_SIZE]);
/** ... of a multipart object: the MD5 over the parts' binary MD5s, "-" and their count. */
void ps_r2_etag_of_parts(const uint8_t (*md5s)[PS_R2_ID_SIZE], size_t count,
                         char ret[PS_R2_ETAG_SIZE]);

#endif
