/* AWS Signature Version 4, as R2's S3 endpoint checks it: the Authorization header and the query of
 * a presigned URL. Pure: time is an argument, and it is the wall's, not the cluster's, since
 * clients sign with their own clocks.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; for
 * S3 the canonical URI is the path as sent. Order and texts of the errors are R2's, as captured by
 * miniflare (workers/r2/s3/auth.worker.ts). */
#ifndef PS_NODE_S3_SIGV4_H
#define PS_NODE_S3_SIGV4_H

#include "node/http/http.h"

enum {
    PS_S3_KEY_ID_MAX = 128,            /* bytes of an access key id */
    PS_S3_SECRET_MAX = 128,            /* bytes of a secret */
    PS_S3_REGION_MAX = 64,             /* bytes of a credential's region */
    PS_S3_KEYS_MAX = 64,               /* key pairs of a keyring */
    PS_S3_EXPIRES_MAX_S = 604800,      /* of a presigned URL: a week */
    PS_S3_SKEW_MAX_MS = 15 * 60 * 1000 /* between a request's date and now */
};

/** Key pairs, and the last signing keys derived from them (one key serves a day). */
struct ps_s3_keyring;
struct ps_s3_keyring *ps_s3_keyring_create(void);
void ps_s3_keyring_destroy(struct ps_s3_keyring *keyring); /* NULL accepted */
/** Add a pair; texts are copied. Errors: PS_LIMIT (a text or the count), PS_INVALID (an empty
 * text), PS_EXISTS. */
PS_MUST_CHECK enum ps_status ps_s3_keyring_add(struct ps_s3_keyring *keyring, struct ps_slice id,
                                               struct ps_slice secret);

/** What the request says of its body. */
enum ps_s3_payload {
    PS_S3_PAYLOAD_UNSIGNED,
    PS_S3_PAYLOAD_SHA256,          /* the body must have this digest */
    PS_S3_PAYLOAD_CHUNKS,          /* aws-chunked, each chunk signed */
    PS_S3_PAYLOAD_CHUNKS_TRAILER,  /* and a signed trailer behind them */
    PS_S3_PAYLOAD_UNSIGNED_TRAILER /* aws-chunked without signatures, with a trailer */
};

/** From where the signatures of chunks go on. */
struct ps_s3_seed {
    uint8_t signing_key[32];
    char date[17]; /* as in x-amz-date */
    char scope[8 + 1 + PS_S3_REGION_MAX + sizeof "/s3/aws4_request"];
    char signature[65]; /* of the request, lower hex */
};

struct ps_s3_auth {
    enum ps_s3_payload payload;
    uint8_t sha256[32];     /* for PS_S3_PAYLOAD_SHA256 */
    struct ps_s3_seed seed; /* for the two kinds with signed chunks */
    bool presigned;
    struct ps_slice key_id; /* borrowed from the keyring */
};

/** Does the request carry a signature at all? */
bool ps_s3_has_signature(const struct ps_http_request *head);

/** Check a request by its head. false: refused, and the response is the error document (with its
 *  body also for HEAD: who sends it leaves that out). */
bool ps_s3_verify(struct ps_s3_keyring *keyring, const struct ps_http_request *head,
                  int64_t now_unix_ms, struct ps_s3_auth *ret, struct ps_http_response *response);

/** With what a client signs. Borrowed texts; region and key pair within the bounds above. */
struct ps_s3_signer {
    struct ps_slice key_id;
    struct ps_slice secret;
    struct ps_slice region;
    int64_t unix_s;
};

/** Sign a request as a client does: append the value of its Authorization header. All of `headers`
 *  are signed; host, x-amz-date and x-amz-content-sha256 must be among them, the latter two with
 * what the signer and `payload` ("UNSIGNED-PAYLOAD", a digest, ...) say. ret_seed may be NULL. */
void ps_s3_sign(const struct ps_s3_signer *signer, const char *method, struct ps_slice target,
                const struct ps_http_header *headers, size_t header_count, struct ps_slice payload,
                struct ps_buf *into, struct ps_s3_seed *ret_seed);

/** Append a presigned target: `target` (origin form, path already encoded) with the parameters that
 *  let anybody send `method` to `host` until expires_s have passed (1 .. PS_S3_EXPIRES_MAX_S). */
void ps_s3_presign(const struct ps_s3_signer *signer, const char *method, struct ps_slice host,
                   struct ps_slice target, uint32_t expires_s, struct ps_buf *into);

/** The signature over a text with a signing key; lower hex. */
void ps_s3_signature(const uint8_t key[static 32], struct ps_slice text, char ret[static 65]);
/** SHA-256, lower hex. */
void ps_s3_sha256_hex(struct ps_slice bytes, char ret[static 65]);
/** Equal, in a time that depends on the sizes only. */
bool ps_s3_same_secret(struct ps_slice a, struct ps_slice b);

#endif
